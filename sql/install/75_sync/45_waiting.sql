-- What waits for the end of a step.  A document that 1C has moved between two windows may be missing in one
-- only because the other was read badly: what it would lose is kept, with what was read of it, until 1C has
-- counted all windows together.

-- Whether documents of this step wait for its end.
CREATE FUNCTION onec_internal.any_documents_wait() RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN to_regclass('pg_temp.onec_waiting') IS NOT NULL;
END $$;
COMMENT ON FUNCTION onec_internal.any_documents_wait() IS 'Отложены ли документы этого шага (служебная)';

CREATE FUNCTION onec_internal.drop_waiting_documents() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.any_documents_wait() THEN
		DROP TABLE pg_temp.onec_waiting, pg_temp.onec_waiting_row;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.drop_waiting_documents() IS 'Забыть отложенное (служебная)';

-- The documents in pg_temp.onec_frozen, kept beyond the end of the transaction: with the rows that were read
-- of them in this window; or, where it is in doubt, alone: what stays as it was here must stay so in every
-- window.
CREATE FUNCTION onec_internal.keep_documents_for_end(target text, w tsrange, in_doubt boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := onec_internal.stage_unit_columns(target, 'x');
BEGIN
	IF NOT onec_internal.any_documents_wait() THEN
		CREATE TEMPORARY TABLE onec_waiting AS SELECT w AS onec_window, x.*
			FROM pg_temp.onec_frozen x LIMIT 0;
		CREATE TEMPORARY TABLE onec_waiting_row AS SELECT w AS onec_window, s.*
			FROM pg_temp.onec_stage s LIMIT 0;
	END IF;
	-- a window may be read again
	DELETE FROM pg_temp.onec_waiting x WHERE x.onec_window = w;
	DELETE FROM pg_temp.onec_waiting_row x WHERE x.onec_window = w;
	INSERT INTO pg_temp.onec_waiting SELECT CASE WHEN NOT in_doubt THEN w END, x.* FROM pg_temp.onec_frozen x;
	IF NOT in_doubt THEN
		EXECUTE format('INSERT INTO pg_temp.onec_waiting_row SELECT %L::tsrange, s.* FROM pg_temp.onec_stage s
			WHERE EXISTS (SELECT FROM pg_temp.onec_frozen x
						  WHERE (%s) = (%s))', w, unit, onec_internal.stage_unit_columns(target, 's'));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.keep_documents_for_end(text, tsrange, boolean) IS
	'Отложить документы до конца шага (служебная)';

-- The windows that the running step has read of a target.
CREATE FUNCTION onec_internal.covered_windows(server name, target text) RETURNS tsmultirange
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT s.covered FROM onec.sync_step s
					 WHERE s.server = $1 AND s.target = $2 AND s.status = 'running'
					 ORDER BY s.run_id DESC LIMIT 1), '{}');
END $$;
COMMENT ON FUNCTION onec_internal.covered_windows(name, text) IS 'Окна, прочитанные идущим шагом (служебная)';

-- SQL for "what row t, of another window than w, is here as it came with this step": it was read, and does
-- not wait.
CREATE FUNCTION onec_internal.sure_row_condition(server name, target text, w tsrange) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at text := format('coalesce(t.%I, %L)', onec_internal.date_column(target), onec_internal.first_moment());
	others tsmultirange := onec_internal.covered_windows(server, target) - tsmultirange(w);
	unit text := onec_internal.stage_unit_columns(target, 'x');
BEGIN
	IF isempty(others) THEN
		RETURN 'false';
	END IF;
	RETURN format('%s <@ %L::tsmultirange', at, others) || CASE WHEN onec_internal.any_documents_wait() THEN
		format(' AND NOT EXISTS (SELECT FROM pg_temp.onec_waiting x WHERE (%s) = (%s) AND '
			   'coalesce(%s <@ x.onec_window, true))',
			   unit, onec_internal.stage_unit_columns(target, 't'), at) ELSE '' END;
END $$;
COMMENT ON FUNCTION onec_internal.sure_row_condition(name, text, tsrange) IS
	'Условие: местная строка другого окна подтверждена этим шагом (служебная)';

-- SQL for the documents that a window would write half of: rows of theirs stand here in time that the running
-- step has not read, or wait.  NULL: there are none.
CREATE FUNCTION onec_internal.half_documents_query(server name, target text, w tsrange) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unread tsmultirange := tsmultirange(tsrange(onec_internal.first_moment(), onec_internal.last_moment()))
		- tsmultirange(w)
		- onec_internal.covered_windows(server, target);
	tab text := onec_internal.table_of_target(target);
	date_column name := onec_internal.date_column(target);
	unit text := onec_internal.stage_unit_columns(target, 'x');
	any_unread boolean := NOT isempty(unread);
BEGIN
	-- a first load has nothing before its windows, and nothing behind
	IF lower(unread) > onec_internal.first_moment() THEN
		EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE server = %s AND %I >= %L::timestamp)',
					   tab, onec_internal.server_in(tab, server),
					   date_column, lower(unread)) INTO any_unread;
	END IF;
	RETURN (SELECT string_agg(format('
			SELECT %1$s FROM pg_temp.onec_change c
			JOIN pg_temp.onec_stage x ON x.ctid = c.place JOIN %2$s', unit, o.other), ' UNION ')
		FROM (SELECT format('%s t ON (%s) = (%s) WHERE t.server = %s
							 AND coalesce(t.%I, %L) <@ %L::tsmultirange',
							tab, unit, onec_internal.stage_unit_columns(target, 't'),
							onec_internal.server_in(tab, server), date_column,
							onec_internal.first_moment(), unread)
			  WHERE any_unread
			  UNION ALL
			  SELECT format('pg_temp.onec_waiting t ON (%s) = (%s)', unit,
							onec_internal.stage_unit_columns(target, 't'))
			  WHERE onec_internal.any_documents_wait()) o (other));
END $$;
COMMENT ON FUNCTION onec_internal.half_documents_query(name, text, tsrange) IS
	'Запрос документов, которые окно записало бы наполовину (служебная)';

CREATE FUNCTION onec_internal.any_half_documents(server name, target text, w tsrange) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	halves text;
	found boolean := false;
BEGIN
	IF EXISTS (SELECT FROM pg_temp.onec_change c WHERE c.place IS NOT NULL) THEN
		halves := onec_internal.half_documents_query(server, target, w);
		IF halves IS NOT NULL THEN
			EXECUTE format('SELECT EXISTS (%s)', halves) INTO found;
		END IF;
	END IF;
	RETURN found;
END $$;
COMMENT ON FUNCTION onec_internal.any_half_documents(name, text, tsrange) IS
	'Записало бы окно какой-то документ наполовину (служебная)';

-- Leave out of pg_temp.onec_change what cannot be written yet, or, in doubt, at all.  Of what has a date, the
-- days that would lose rows stay wholly as they are, with all rows of their documents, wherever these lie:
-- half of a re-posted document would be worse than the old one.  So do the documents of pg_temp.onec_twice
-- and those of which the window "w" has only a part; without it there is only this one.  Returns how many
-- rows stay that would have gone.
CREATE FUNCTION onec_internal.withhold_deletion(server name, target text, scope text, w tsrange,
												in_doubt boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	unit text := onec_internal.stage_unit_columns(target, 'x');
	day text := CASE WHEN onec_internal.date_column(target) IS NULL THEN 'NULL::date'
					 ELSE format('coalesce(x.%I::date, ''-infinity'')',
								 onec_internal.date_column(target)) END;
	kept bigint := (SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL);
BEGIN
	IF onec_internal.has_deletion_mark(target) THEN
		DELETE FROM pg_temp.onec_change c WHERE c.place IS NULL;
		RETURN kept;
	END IF;
	EXECUTE format('CREATE TEMPORARY TABLE onec_frozen ON COMMIT DROP AS
		WITH missing AS MATERIALIZED (
			SELECT x.* FROM %1$s x JOIN pg_temp.onec_change c ON (%2$s) = (%3$s)
			WHERE x.server = %4$s AND c.place IS NULL),
		day AS MATERIALIZED (SELECT DISTINCT %5$s AS day FROM missing x)
		SELECT %6$s FROM missing x
		UNION SELECT %6$s FROM %1$s x JOIN day ON day.day = %5$s WHERE x.server = %4$s AND (%7$s)
		UNION SELECT %6$s FROM pg_temp.onec_stage x JOIN day ON day.day = %5$s
		%8$s %9$s',
		tab, onec_internal.stage_key_columns(target, 'x'), onec_internal.stage_key_columns(target, 'c'),
		onec_internal.server_in(tab, server), day, unit, scope,
		CASE WHEN onec_internal.any_differing_doubles()
			 THEN format('UNION SELECT %s FROM pg_temp.onec_twice x', unit) END,
		'UNION ' || CASE WHEN w IS NOT NULL THEN onec_internal.half_documents_query(server, target, w) END);
	IF w IS NOT NULL THEN
		PERFORM onec_internal.keep_documents_for_end(target, w, in_doubt);
	END IF;
	EXECUTE format('DELETE FROM pg_temp.onec_change c WHERE c.place IS NULL
		OR EXISTS (SELECT FROM pg_temp.onec_stage s JOIN pg_temp.onec_frozen x ON (%s) = (%s)
				   WHERE s.ctid = c.place)',
		onec_internal.stage_unit_columns(target, 's'), unit);
	DROP TABLE pg_temp.onec_frozen;
	RETURN kept;
END $$;
COMMENT ON FUNCTION onec_internal.withhold_deletion(name, text, text, tsrange, boolean) IS
	'Оставить пока как было то, что не доказано (служебная)';
