-- What all sessions have asked of each base, counted as pg_stat_* count.  Nothing has to be preloaded for it:
-- the counts live in a small file in pg_stat_tmp, and outlive restarts.

CREATE FUNCTION onec_internal.server_totals(server oid, OUT requests bigint, OUT retries bigint,
											OUT rows bigint, OUT bytes bigint, OUT errors bigint,
											OUT cancelled bigint, OUT wait_ms double precision,
											OUT stats_reset timestamptz)
	RETURNS SETOF record
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_server_totals';
COMMENT ON FUNCTION onec_internal.server_totals(oid) IS 'Счётчики сервера за все сеансы (служебная)';

CREATE FUNCTION onec_internal.server_errors(server oid, OUT kind text, OUT errors bigint)
	RETURNS SETOF record
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_server_errors';
COMMENT ON FUNCTION onec_internal.server_errors(oid) IS 'Ошибки сервера по видам за все сеансы (служебная)';

CREATE FUNCTION onec_internal.reset_totals(server name) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_reset_totals';
COMMENT ON FUNCTION onec_internal.reset_totals(name) IS 'Начать счёт запросов к серверу заново (служебная)';

CREATE VIEW onec.stat_server AS
	SELECT s.srvname AS server, coalesce(t.requests, 0) AS requests, coalesce(t.retries, 0) AS retries,
		   coalesce(t.rows, 0) AS rows, coalesce(t.bytes, 0) AS bytes, coalesce(t.errors, 0) AS errors,
		   coalesce(t.cancelled, 0) AS cancelled, coalesce(t.wait_ms, 0) AS wait_ms, t.stats_reset
	FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'onec_fdw'
	LEFT JOIN LATERAL onec_internal.server_totals(s.oid) t ON true;
COMMENT ON VIEW onec.stat_server IS 'Сколько все сеансы спросили у каждой базы 1С и что из этого вышло';
COMMENT ON COLUMN onec.stat_server.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.stat_server.requests IS 'Запросов, считая повторные и завершающие сеанс 1С';
COMMENT ON COLUMN onec.stat_server.retries IS 'Из них повторных после неудачи';
COMMENT ON COLUMN onec.stat_server.rows IS 'Строк получено';
COMMENT ON COLUMN onec.stat_server.bytes IS 'Байт получено по сети';
COMMENT ON COLUMN onec.stat_server.errors IS 'Неудачных запросов; по видам — onec.stat_server_error';
COMMENT ON COLUMN onec.stat_server.cancelled IS 'Запросов, брошенных до конца ответа: отмена, LIMIT';
COMMENT ON COLUMN onec.stat_server.wait_ms IS
	'Сколько миллисекунд шли запросы, от отправки до конца ответа; идущие одновременно складываются';
COMMENT ON COLUMN onec.stat_server.stats_reset IS 'С какого времени идёт счёт; NULL — ещё ничего не спрошено';

CREATE VIEW onec.stat_server_error AS
	SELECT s.srvname AS server, e.kind, e.errors
	FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'onec_fdw'
	CROSS JOIN LATERAL onec_internal.server_errors(s.oid) e;
COMMENT ON VIEW onec.stat_server_error IS 'Неудачные запросы всех сеансов к базам 1С по видам';
COMMENT ON COLUMN onec.stat_server_error.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.stat_server_error.kind IS 'Что случилось, как в сообщениях об ошибках';
COMMENT ON COLUMN onec.stat_server_error.errors IS 'Сколько раз';

CREATE FUNCTION onec.stat_reset(server name) RETURNS void
	LANGUAGE sql VOLATILE STRICT
	SET search_path = pg_catalog, pg_temp
	RETURN onec_internal.reset_totals($1);
COMMENT ON FUNCTION onec.stat_reset(name) IS 'Начать счёт onec.stat_server заново';
REVOKE EXECUTE ON FUNCTION onec.stat_reset(name) FROM PUBLIC;
