-- What a sync asks of the library: 1C's own count, a mark that it is at work, the login that it works by.

-- The number that 1C itself gives for windows of a foreign table, asked at once; NULL where it refuses to count or cannot be asked.
CREATE FUNCTION onec._count(relation regclass, date_column name, from_list timestamp[], till_list timestamp[]) RETURNS bigint
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_count';
COMMENT ON FUNCTION onec._count(regclass, name, timestamp[], timestamp[]) IS
	'Сколько строк окон насчитала сама 1С; NULL — не считает (служебная)';
REVOKE EXECUTE ON FUNCTION onec._count(regclass, name, timestamp[], timestamp[]) FROM PUBLIC;

CREATE FUNCTION onec._hold_run(key bigint) RETURNS boolean
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_hold_run';
COMMENT ON FUNCTION onec._hold_run(bigint) IS 'Отметить, что запуск работает: блокировка сеанса, которую снимает и ошибка (служебная)';
REVOKE EXECUTE ON FUNCTION onec._hold_run(bigint) FROM PUBLIC;

CREATE FUNCTION onec._release_run() RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_release_run';
COMMENT ON FUNCTION onec._release_run() IS 'Снять отметку работающего запуска (служебная)';
REVOKE EXECUTE ON FUNCTION onec._release_run() FROM PUBLIC;

CREATE FUNCTION onec._login_version(server name) RETURNS text
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'onec_login_version';
COMMENT ON FUNCTION onec._login_version(name) IS
	'Меняется, когда изменены сервер или сопоставление пользователя; секретов не выдаёт (служебная)';
REVOKE EXECUTE ON FUNCTION onec._login_version(name) FROM PUBLIC;

-- The first date of the table from a moment on, as 1C has it.
CREATE FUNCTION onec._first_date(server name, target text, since timestamp) RETURNS timestamp
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first timestamp;
BEGIN
	EXECUTE format('SELECT %1$I FROM %2$I.%3$I WHERE %1$I IS NOT NULL %4$s ORDER BY %1$I LIMIT 1', onec._date_column(target), server,
				   target, CASE WHEN since > onec._first_moment() THEN format('AND %I >= %L::timestamp', onec._date_column(target), since) END)
		INTO first;
	RETURN first;
END $$;
COMMENT ON FUNCTION onec._first_date(name, text, timestamp) IS 'Первая дата в 1С, начиная с указанной (служебная)';
REVOKE EXECUTE ON FUNCTION onec._first_date(name, text, timestamp) FROM PUBLIC;
