-- What a sync asks of the library: 1C's own count, a mark that it is at work, the login that it works by;
-- and of PostgreSQL: what the planner goes by.

-- The number that 1C itself gives for windows of a foreign table, asked at once; NULL where it refuses to
-- count or cannot be asked.
CREATE FUNCTION onec_internal.count_in_1c(relation regclass, date_column name, from_list timestamp[],
										  till_list timestamp[]) RETURNS bigint
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_count';
COMMENT ON FUNCTION onec_internal.count_in_1c(regclass, name, timestamp[], timestamp[]) IS
	'Сколько строк окон насчитала сама 1С; NULL — не считает (служебная)';

CREATE FUNCTION onec_internal.hold_run(key bigint) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_hold_run';
COMMENT ON FUNCTION onec_internal.hold_run(bigint) IS
	'Отметить, что запуск работает: блокировка сеанса, которую снимает и ошибка (служебная)';

CREATE FUNCTION onec_internal.release_run() RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_release_run';
COMMENT ON FUNCTION onec_internal.release_run() IS 'Снять отметку работающего запуска (служебная)';

CREATE FUNCTION onec_internal.login_version(server name) RETURNS text
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'onec_login_version';
COMMENT ON FUNCTION onec_internal.login_version(name) IS
	'Меняется, когда изменены сервер или сопоставление пользователя; секретов не выдаёт (служебная)';

-- The rows of a query into a table, many at a time where it is a plain one; how many.
CREATE FUNCTION onec_internal.insert_many(tab regclass, query text) RETURNS bigint
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_insert_many';
COMMENT ON FUNCTION onec_internal.insert_many(regclass, text) IS
	'Вставить строки запроса помногу, как COPY (служебная)';

-- The first date of the table from a moment on, as 1C has it.
CREATE FUNCTION onec_internal.first_date_in_1c(server name, target text, since timestamp) RETURNS timestamp
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first timestamp;
BEGIN
	EXECUTE format('SELECT %1$I FROM %2$I.%3$I WHERE %1$I IS NOT NULL %4$s ORDER BY %1$I LIMIT 1',
				   onec_internal.date_column(target), server,
				   target, CASE WHEN since > onec_internal.first_moment()
								THEN format('AND %I >= %L::timestamp',
											onec_internal.date_column(target), since) END)
		INTO first;
	RETURN first;
END $$;
COMMENT ON FUNCTION onec_internal.first_date_in_1c(name, text, timestamp) IS
	'Первая дата в 1С, начиная с указанной (служебная)';

-- Tables whose size is another by more than a tenth than when they were analysed last, or that never were:
-- after a first load the planner would take them for empty, and autovacuum comes only after the CALL has
-- ended. Where somebody else is at it, it is left to him.  As the owner, for who syncs need not be; and
-- roughly, for autovacuum looks closer when it comes.
CREATE FUNCTION onec_internal.analyze_what_changed() RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET default_statistics_target = 30
AS $$
DECLARE
	tab regclass;
BEGIN
	FOR tab IN
		SELECT c.oid FROM pg_class c
		CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::int AS pages
							OFFSET 0) s
		WHERE c.relkind = 'r'
		  AND (c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
			   OR c.oid IN (SELECT o.tab FROM onec_internal.tables_of_mirrors() o))
		  AND s.pages > 0 AND (c.reltuples < 0 OR abs(s.pages - c.relpages) > c.relpages / 10.0)
	LOOP
		EXECUTE format('ANALYZE (SKIP_LOCKED) %s', tab);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.analyze_what_changed() IS
	'Обновить статистику планировщика таблиц, которые изменились больше чем на десятую (служебная)';
