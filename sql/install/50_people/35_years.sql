-- Lines and receipts by year, where the owner has asked for it: onec.setup(…, partition => 'year').
--
-- Each past year then has a table of its own that inherits from the one that everything names.  So no
-- statement differs, a store that is not divided pays nothing, and a dump holds the years as what they are:
-- ordinary tables beside the extension's.  (A partitioned table could be neither: the extension would have to
-- make it for everybody, with the time in its key; one that takes its place later does not outlive pg_dump.)
--
-- Where a row lies is never relied on: new ones come into the table itself, one that is dated anew stays
-- where it is, and the end of a run puts them where they belong.  What has no date, or one of no shop's time,
-- stays in the table itself.

-- The tables of years, and the moments from which and till which they are.
CREATE FUNCTION onec_internal.years_of(tab regclass)
	RETURNS TABLE (year int, part regclass, since timestamp, till timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT y.year, y.part, make_timestamp(y.year, 1, 1, 0, 0, 0), make_timestamp(y.year + 1, 1, 1, 0, 0, 0)
	FROM (SELECT substring(c.relname FROM '_(\d{4})$')::int AS year, c.oid::regclass AS part
		  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1) y
	WHERE y.year IS NOT NULL ORDER BY y.year
$$;
COMMENT ON FUNCTION onec_internal.years_of(regclass) IS 'Таблицы лет (служебная)';

CREATE FUNCTION onec_internal.is_by_year() RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_inherits i
				   WHERE i.inhparent IN (SELECT t FROM onec_internal.tables_by_year() t));
COMMENT ON FUNCTION onec_internal.is_by_year() IS 'Поделены ли строки по годам (служебная)';

-- The year of the first row of the table itself, of all servers or one, that is of a shop's time and earlier
-- than "till"; NULL: there is none.
CREATE FUNCTION onec_internal.first_year_within(tab regclass, server smallint, till timestamp) RETURNS int
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	-- the index of the time, whatever the planner takes the table for
	SET enable_seqscan = off
AS $$
DECLARE
	first timestamp;
BEGIN
	EXECUTE format('SELECT l.period FROM ONLY %s l WHERE l.period >= ''1990-01-01'' AND l.period < $1 %s
					ORDER BY l.period LIMIT 1', tab, 'AND l.server = ' || server) INTO first USING till;
	RETURN extract(year FROM first);
END $$;
COMMENT ON FUNCTION onec_internal.first_year_within(regclass, smallint, timestamp) IS
	'Год первой строки, которой место в таблице своего года (служебная)';

-- A year's table, empty and without indexes.  Writers and readers of the table itself go on.
CREATE FUNCTION onec_internal.make_year(tab regclass, year int) RETURNS regclass
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET client_min_messages = warning
AS $$
DECLARE
	part text := tab || '_' || year;
BEGIN
	EXECUTE format('CREATE TABLE %s () INHERITS (%s)', part, tab);
	EXECUTE format('COMMENT ON TABLE %s IS %L', part,
				   obj_description(tab, 'pg_class') || ', за ' || year || ' год');
	RETURN part::regclass;
END $$;
COMMENT ON FUNCTION onec_internal.make_year(regclass, int) IS 'Создать таблицу года (служебная)';

-- Its key and indexes, those of the table itself; made when its rows are in: that is quicker.
CREATE FUNCTION onec_internal.index_year(tab regclass, part regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	statement text;
BEGIN
	FOR statement IN
		SELECT format('ALTER TABLE %s ADD %s', part, pg_get_constraintdef(c.oid))
		FROM pg_constraint c WHERE c.conrelid = tab AND c.contype = 'p'
		UNION ALL
		SELECT regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX \S+ ON \S+ ',
							  format(' INDEX ON %s ', part))
		FROM pg_index i WHERE i.indrelid = tab AND NOT i.indisprimary
	LOOP
		EXECUTE statement;
	END LOOP;
	EXECUTE format('ANALYZE %s', part);
END $$;
COMMENT ON FUNCTION onec_internal.index_year(regclass, regclass) IS
	'Ключ и индексы таблицы года, как у общей (служебная)';

-- Move rows from one of these tables to another.  What receipts are made of does not change by that, so their
-- triggers let it pass.  Returns how many there were.
CREATE FUNCTION onec_internal.move_rows(source regclass, destination regclass, condition text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_store.moves_rows = 'on' SET enable_seqscan = off
AS $$
DECLARE
	moved bigint;
BEGIN
	EXECUTE format('WITH gone AS (DELETE FROM ONLY %s l WHERE %s RETURNING l.*) INSERT INTO %s TABLE gone',
				   source, condition, destination);
	GET DIAGNOSTICS moved = ROW_COUNT;
	RETURN moved;
END $$;
COMMENT ON FUNCTION onec_internal.move_rows(regclass, regclass, text) IS
	'Перенести строки из таблицы в таблицу (служебная)';

-- Put the rows of a base where they belong: into the tables of past years.  Its own run does it, at its end,
-- as does who purges it; another base's rows may be in the middle of theirs.
CREATE FUNCTION onec_internal.keep_years(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own smallint := onec_internal.number_of_server(server);
	this_year timestamp := date_trunc('year', onec.local_now(server));
	tab regclass;
	y record;
	found boolean;
	next_year int;
	part regclass;
BEGIN
	IF own IS NULL OR NOT onec_internal.is_by_year() THEN
		RETURN;
	END IF;
	PERFORM onec_internal.lock_people(server, false);
	FOR tab IN SELECT t FROM onec_internal.tables_by_year() t LOOP
		-- whoever makes or drops years stands in line; who reads or writes does not
		EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', tab);
		FOR y IN SELECT * FROM onec_internal.years_of(tab) LOOP
			EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %1$s l WHERE l.server = $1 AND l.period < $2)
							OR EXISTS (SELECT FROM ONLY %1$s l WHERE l.server = $1 AND l.period >= $3)
							OR EXISTS (SELECT FROM ONLY %1$s l WHERE l.server = $1 AND l.period IS NULL)',
						   y.part) INTO found USING own, y.since, y.till;
			IF found THEN
				PERFORM onec_internal.move_rows(y.part, tab, format(
					'l.server = %s AND (l.period >= %L AND l.period < %L) IS NOT TRUE', own, y.since,
					y.till));
			END IF;
		END LOOP;
		LOOP
			next_year := onec_internal.first_year_within(tab, own, this_year);
			EXIT WHEN next_year IS NULL;
			part := (SELECT k.part FROM onec_internal.years_of(tab) k WHERE k.year = next_year);
			found := part IS NOT NULL;
			IF NOT found THEN
				part := onec_internal.make_year(tab, next_year);
			END IF;
			PERFORM onec_internal.move_rows(tab, part, format(
				'l.server = %s AND l.period >= %L AND l.period < %L', own,
				make_timestamp(next_year, 1, 1, 0, 0, 0), make_timestamp(next_year + 1, 1, 1, 0, 0, 0)));
			IF NOT found THEN
				PERFORM onec_internal.index_year(tab, part);
			END IF;
		END LOOP;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.keep_years(name) IS
	'Разложить строки базы по таблицам прошедших лет, если хранилище поделено по годам (служебная)';

-- Drop the tables of years that have ended before that day and hold rows of this base alone; the last one
-- stays, as the mark that the store is divided.  Returns how many rows of the table "tab" went; those that
-- follow them go, too.
CREATE FUNCTION onec_internal.drop_years(tab regclass, server name, before date) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own smallint := onec_internal.number_of_server(server);
	y record;
	follower regclass;
	others boolean;
	n bigint;
	dropped bigint := 0;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.tables_by_year() t WHERE t = tab) THEN
		RETURN 0;
	END IF;
	PERFORM onec_internal.keep_years(server);
	FOR y IN SELECT * FROM onec_internal.years_of(tab) k
			 WHERE k.till <= before AND k.year < (SELECT max(m.year) FROM onec_internal.years_of(tab) m) LOOP
		-- by the key, which begins with the server
		EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %1$s l WHERE l.server < $1)
						OR EXISTS (SELECT FROM ONLY %1$s l WHERE l.server > $1)', y.part)
			INTO others USING own;
		CONTINUE WHEN others;
		EXECUTE format('SELECT count(*) FROM ONLY %s', y.part) INTO n;
		dropped := dropped + n;
		FOR follower IN SELECT k.part FROM onec_internal.tables_by_year() t, onec_internal.years_of(t) k
						WHERE k.year = y.year LOOP
			EXECUTE format('DROP TABLE %s', follower);
		END LOOP;
	END LOOP;
	RETURN dropped;
END $$;
COMMENT ON FUNCTION onec_internal.drop_years(regclass, name, date) IS
	'Убрать таблицы лет, которые целиком раньше этого дня (служебная)';
