-- What makes onec_fdw 1.1 of 1.0, sha256 5b5b83d2aa6528b046277648ba07428a3effc10d5c2a9e91f280e404f231c600.
\echo Use "ALTER EXTENSION onec_fdw UPDATE" to load this file. \quit

CREATE OR REPLACE FUNCTION onec_internal.is_strange_beside(server name, target text, from_ts timestamp,
												till_ts timestamp) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	date_column name := onec_internal.date_column(target);
	beside record;
	known boolean := false;
BEGIN
	FOR beside IN EXECUTE format('
		SELECT min(x.at) AS first, max(x.at) AS last
		FROM (SELECT %1$I AS at FROM %2$s WHERE server = %3$s AND %1$I < $1
			  ORDER BY %1$I DESC LIMIT 20) x
		UNION ALL
		SELECT min(x.at), max(x.at)
		FROM (SELECT %1$I AS at FROM %2$s WHERE server = %3$s AND %1$I >= $2
			  ORDER BY %1$I LIMIT 20) x', date_column, tab, onec_internal.server_in(tab, server))
		USING from_ts, till_ts
	LOOP
		CONTINUE WHEN beside.first IS NULL;
		PERFORM onec_internal.stage_rows(server, target,
										 format('f.%1$I >= %2$L::timestamp AND f.%1$I <= %3$L::timestamp',
												date_column, beside.first, beside.last), '', 'onec_found');
		known := onec_internal.holds_known_rows(server, target, 'onec_found');
		EXIT WHEN known;
	END LOOP;
	IF NOT known AND to_regclass('pg_temp.onec_waiting_row') IS NOT NULL THEN
		known := onec_internal.holds_missing_rows(target, 'onec_waiting_row', 'true');
	END IF;
	IF NOT known THEN
		known := (SELECT m.there FROM onec_internal.ask_for_missing_rows(server, target, 'true') m);
	END IF;
	RETURN NOT known;
END $$;

SELECT onec_internal.finish_script();
