-- The wrapper itself, and what it knows of a base.

CREATE FUNCTION onec_internal.onec_fdw_handler() RETURNS fdw_handler
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'onec_fdw_handler';
COMMENT ON FUNCTION onec_internal.onec_fdw_handler() IS
	'Обработчик обёртки внешних данных 1С (служебная)';

CREATE FUNCTION onec_internal.onec_fdw_validator(text[], oid) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'onec_fdw_validator';
COMMENT ON FUNCTION onec_internal.onec_fdw_validator(text[], oid) IS
	'Проверка параметров сервера, сопоставления пользователя, таблицы и столбца (служебная)';

CREATE FOREIGN DATA WRAPPER onec_fdw
	HANDLER onec_internal.onec_fdw_handler VALIDATOR onec_internal.onec_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER onec_fdw IS
	'База 1С:Предприятия через стандартный интерфейс OData';

CREATE FUNCTION onec.last_requests(
	OUT at timestamptz, OUT server text, OUT url text, OUT status int, OUT ms double precision,
	OUT rows bigint, OUT bytes bigint, OUT error text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_last_requests';
COMMENT ON FUNCTION onec.last_requests() IS
	'Последние запросы этого сеанса к 1С (не более 200): адрес в читаемом виде, ответ, время, '
	'строки, байты. Паролей здесь нет';

CREATE FUNCTION onec_internal.session_totals(OUT requests bigint, OUT retries bigint, OUT bytes bigint)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_totals';
COMMENT ON FUNCTION onec_internal.session_totals() IS
	'Запросы, повторы и байты этого сеанса с его начала (служебная)';

CREATE FUNCTION onec_internal.recent_readings(
	OUT number bigint, OUT relation regclass, OUT requests bigint, OUT pages bigint, OUT rows bigint,
	OUT page_rows bigint, OUT by_skip boolean, OUT ordered boolean, OUT filtered boolean, OUT whole boolean,
	OUT lacked text[], OUT twice bigint)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_readings';
COMMENT ON FUNCTION onec_internal.recent_readings() IS
	'Как прошли последние чтения внешних таблиц этим сеансом (не более 64, старые первыми; служебная): '
	'номер, таблица, запросы, страницы, строки, наибольшая запрошенная страница; by_skip — были страницы '
	'через $skip; ordered — их порядок надёжен; filtered — условия ушли в 1С; whole — прочитано до конца; '
	'lacked — столбцы, свойств которых не было у части строк; twice — строки, дважды '
	'пришедшие в одной странице';

CREATE FUNCTION onec.entity_sets(server name)
	RETURNS TABLE (entity_set text, family text, local_name text, key text, columns int)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_entity_sets';
COMMENT ON FUNCTION onec.entity_sets(name) IS
	'Опубликованные наборы базы 1С: имя, вид, имя таблицы при импорте, ключ, число свойств';

CREATE FUNCTION onec.properties(server name, entity_set text)
	RETURNS TABLE (property text, edm_type text, pg_type text, is_key boolean, nullable boolean,
				   local_name text, ordinal int)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_properties';
COMMENT ON FUNCTION onec.properties(name, text) IS
	'Свойства набора 1С: имя, тип Edm, тип PostgreSQL, входит ли в ключ, имя столбца при импорте';

CREATE FUNCTION onec.import_schema(server name, local_schema name,
								   remote_schema text DEFAULT 'StandardODATA',
								   limit_to text[] DEFAULT NULL)
	RETURNS int
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_import_schema_sql';
COMMENT ON FUNCTION onec.import_schema(name, name, text, text[]) IS
	'Импорт таблиц 1С в схему с русскими комментариями; возвращает число созданных таблиц';

-- Whoever may make requests is for the owner of the database to say.
REVOKE EXECUTE ON FUNCTION onec.entity_sets(name) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION onec.properties(name, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION onec.import_schema(name, name, text, text[]) FROM PUBLIC;
