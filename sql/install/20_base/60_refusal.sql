-- What a base was found to refuse: seen by the session that was refused, remembered for those to come.

CREATE TABLE onec_internal.refusal (
	server name NOT NULL,
	entity_set text NOT NULL,
	capability text NOT NULL CHECK (capability IN ('filter', 'order', 'count', 'dates', 'condition')),
	condition text NOT NULL DEFAULT '' CHECK ((condition <> '') = (capability = 'condition')),
	found_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, entity_set, capability, condition)
);
COMMENT ON TABLE onec_internal.refusal IS
	'В чём база 1С отказывает; новые сеансы этого уже не просят, через сутки пробуют снова';
COMMENT ON COLUMN onec_internal.refusal.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.refusal.entity_set IS 'Набор';
COMMENT ON COLUMN onec_internal.refusal.capability IS
	'Что не принято: filter — любое условие, condition — условие одного вида, order — порядок, count — '
	'счёт, dates — порядок по дате';
COMMENT ON COLUMN onec_internal.refusal.condition IS
	'Вид непринятого условия: поле и действие без значения, например endswith(RecordType, ?)';
COMMENT ON COLUMN onec_internal.refusal.found_at IS 'Когда замечено';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.refusal', '');

CREATE FUNCTION onec.session_refusals(OUT server name, OUT entity_set text, OUT capability text,
									  OUT condition text,
		OUT found_at timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_session_refusals_sql';
COMMENT ON FUNCTION onec.session_refusals() IS 'В чём базы 1С отказали этому сеансу';

CREATE VIEW onec.server_capability AS
	SELECT coalesce(s.server, r.server) AS server, coalesce(s.entity_set, r.entity_set) AS entity_set,
		   coalesce(s.capability, r.capability) AS capability,
		   coalesce(s.condition, r.condition) AS condition,
		   r.server IS NOT NULL AS remembered, coalesce(r.found_at, s.found_at) AS found_at
	FROM onec.session_refusals() s
	FULL JOIN onec_internal.refusal r ON r.server = s.server AND r.entity_set = s.entity_set
		AND r.capability = s.capability
		AND r.condition = s.condition;
COMMENT ON VIEW onec.server_capability IS
	'В чём базы 1С отказывают: замеченное этим сеансом и то, что помнится для всех';
COMMENT ON COLUMN onec.server_capability.remembered IS 'Помнится для всех сеансов (onec.remember_refusals)';
GRANT SELECT ON onec.server_capability TO PUBLIC;

-- a page that is shorter than one that came before was not cut by a server: new sessions need not ask what
-- follows it
CREATE TABLE onec_internal.largest_page (
	server name PRIMARY KEY,
	base bigint NOT NULL,
	rows bigint NOT NULL,
	seen_at timestamptz NOT NULL
);
COMMENT ON TABLE onec_internal.largest_page IS
	'Сколько строк было в самой большой странице базы: более короткая — конец набора; '
	'через сутки узнаётся снова';
COMMENT ON COLUMN onec_internal.largest_page.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.largest_page.base IS 'Отпечаток адреса базы: для другой это неверно';
COMMENT ON COLUMN onec_internal.largest_page.rows IS 'Строк';
COMMENT ON COLUMN onec_internal.largest_page.seen_at IS 'Когда пришла';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.largest_page', '');

CREATE FUNCTION onec_internal.session_largest_pages(OUT server name, OUT base bigint, OUT rows bigint,
													OUT seen_at timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_session_pages_sql';
COMMENT ON FUNCTION onec_internal.session_largest_pages() IS
	'Самые большие страницы баз, какие знает этот сеанс (служебная)';

CREATE FUNCTION onec.remember_refusals(server name DEFAULT NULL) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	added int;
BEGIN
	INSERT INTO onec_internal.refusal AS r (server, entity_set, capability, condition, found_at)
		SELECT s.server, s.entity_set, s.capability, s.condition, pg_catalog.max(s.found_at)
		FROM onec.session_refusals() s
		WHERE s.server = srv GROUP BY 1, 2, 3, 4
		ON CONFLICT ON CONSTRAINT refusal_pkey DO UPDATE SET found_at = excluded.found_at
		WHERE r.found_at < excluded.found_at;
	GET DIAGNOSTICS added = ROW_COUNT;
	INSERT INTO onec_internal.largest_page AS l (server, base, rows, seen_at)
		SELECT s.server, s.base, s.rows, s.seen_at FROM onec_internal.session_largest_pages() s
		WHERE s.server = srv ORDER BY s.rows DESC, s.seen_at DESC LIMIT 1
		ON CONFLICT ON CONSTRAINT largest_page_pkey DO UPDATE SET base = excluded.base, rows = excluded.rows,
		seen_at = excluded.seen_at
		WHERE l.base <> excluded.base OR l.rows < excluded.rows OR l.rows = excluded.rows
		  AND l.seen_at < excluded.seen_at - interval '6 hours'
			OR l.seen_at < pg_catalog.now() - interval '1 day';
	RETURN added;
END $$;
COMMENT ON FUNCTION onec.remember_refusals(name) IS
	'Запомнить для всех сеансов, в чём база отказала этому; так делают синхронизация и onec.diagnose. '
	'Возвращает число записанного';
REVOKE EXECUTE ON FUNCTION onec.remember_refusals(name) FROM PUBLIC;

CREATE FUNCTION onec_internal.forget_session_refusals(server name) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_forget_session_refusals_sql';
COMMENT ON FUNCTION onec_internal.forget_session_refusals(name) IS
	'Забыть отказы, замеченные этим сеансом (служебная)';

CREATE FUNCTION onec.forget_refusals(server name DEFAULT NULL) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	gone int;
BEGIN
	DELETE FROM onec_internal.refusal r WHERE r.server = srv;
	GET DIAGNOSTICS gone = ROW_COUNT;
	DELETE FROM onec_internal.largest_page l WHERE l.server = srv;
	PERFORM onec_internal.forget_session_refusals(srv);
	RETURN gone;
END $$;
COMMENT ON FUNCTION onec.forget_refusals(name) IS
	'Забыть отказы базы: этот и новые сеансы попробуют всё снова; так делает и полное чтение. '
	'Возвращает число забытого';
REVOKE EXECUTE ON FUNCTION onec.forget_refusals(name) FROM PUBLIC;
