-- onec.setup(…, partition => …): the store divided by years, or put together again (50_people/35_years.sql).

-- No run of any base may be at work, for it would find its rows moved under its hands.
CREATE FUNCTION onec_internal.hold_all_runs() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
BEGIN
	FOR srv IN SELECT b.server FROM onec_internal.base b ORDER BY 1 LOOP
		IF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(srv)) THEN
			RAISE object_in_use USING
				MESSAGE = format('a sync of "%s" is at work', srv),
				HINT = format('Wait for its end, or SELECT onec.cancel(server => %L).', srv);
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.hold_all_runs() IS
	'Не дать начаться синхронизации ни одной базы; идёт какая-то — ошибка (служебная)';

-- The rows of all years up to this one into tables of their own.  What then is left in the table itself, with
-- no date or a strange one, is written there anew: its file would stay as large as it was.
CREATE FUNCTION onec_internal.divide_by_year(tab regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_store.moves_rows = 'on'
AS $$
DECLARE
	now_year int := extract(year FROM localtimestamp);
	next_year int := extract(year FROM localtimestamp);
	since timestamp := '1990-01-01';
	till timestamp := make_timestamp(now_year + 1, 1, 1, 0, 0, 0);
	part regclass;
BEGIN
	LOOP
		EXECUTE format('SELECT extract(year FROM l.period) FROM ONLY %s l
						WHERE l.period >= $1 AND l.period < $2 ORDER BY l.period LIMIT 1', tab)
			INTO next_year USING since, till;
		-- this year's is made in any case: it tells that the store is divided
		next_year := coalesce(next_year, now_year);
		part := onec_internal.make_year(tab, next_year);
		since := make_timestamp(next_year + 1, 1, 1, 0, 0, 0);
		EXECUTE format('INSERT INTO %s SELECT * FROM ONLY %s l WHERE l.period >= $1 AND l.period < $2',
					   part, tab) USING since - interval '1 year', since;
		PERFORM onec_internal.index_year(tab, part);
		EXIT WHEN since >= till;
	END LOOP;
	EXECUTE format('CREATE TEMPORARY TABLE onec_rest ON COMMIT DROP AS SELECT * FROM ONLY %s l
					WHERE (l.period >= ''1990-01-01'' AND l.period < %L) IS NOT TRUE', tab, till);
	EXECUTE format('TRUNCATE ONLY %s', tab);
	EXECUTE format('INSERT INTO %s TABLE pg_temp.onec_rest', tab);
	DROP TABLE pg_temp.onec_rest;
	EXECUTE format('ANALYZE %s', tab);
END $$;
COMMENT ON FUNCTION onec_internal.divide_by_year(regclass) IS 'Разложить строки по таблицам лет (служебная)';

CREATE FUNCTION onec_internal.join_years(tab regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_store.moves_rows = 'on'
AS $$
DECLARE
	part regclass;
BEGIN
	FOR part IN SELECT y.part FROM onec_internal.years_of(tab) y LOOP
		EXECUTE format('INSERT INTO %s SELECT * FROM ONLY %s', tab, part);
		EXECUTE format('DROP TABLE %s', part);
	END LOOP;
	EXECUTE format('ANALYZE %s', tab);
END $$;
COMMENT ON FUNCTION onec_internal.join_years(regclass) IS 'Собрать строки из таблиц лет в одну (служебная)';

-- Readers go on until rows are in their new places; writers wait.
CREATE FUNCTION onec_internal.partition_store(way text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass;
BEGIN
	IF onec_internal.is_by_year() = (way = 'year') THEN
		RETURN;
	END IF;
	FOR tab IN SELECT t FROM onec_internal.tables_by_year() t LOOP
		EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', tab);
	END LOOP;
	PERFORM CASE way WHEN 'year' THEN onec_internal.divide_by_year(t) ELSE onec_internal.join_years(t) END
	FROM onec_internal.tables_by_year() t;
END $$;
COMMENT ON FUNCTION onec_internal.partition_store(text) IS
	'Поделить хранилище по годам (year) или собрать его (none) (служебная)';

CREATE FUNCTION onec.setup(server name, partition text)
	RETURNS TABLE (target text, entity_set text, status text, columns int, missing text[], changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way text := onec_internal.checked_word('partition', coalesce(partition, ''), '{none,year}');
BEGIN
	PERFORM onec_internal.must_write('setup');
	PERFORM onec_internal.hold_all_runs();
	RETURN QUERY SELECT * FROM onec.setup(setup.server);
	PERFORM onec_internal.partition_store(way);
END $$;
COMMENT ON FUNCTION onec.setup(name, text) IS
	'То же и как хранить строки продаж всех баз: year — каждый прошедший год в своей таблице, тогда прежние '
	'годы удаляются сразу; none — в одной, как сначала';
REVOKE EXECUTE ON FUNCTION onec.setup(name, text) FROM PUBLIC;
