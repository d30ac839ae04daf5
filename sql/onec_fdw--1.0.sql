-- onec_fdw 1.0, as released: what comes after it goes to sql/updates.
\echo Use "CREATE EXTENSION onec_fdw" to load this file. \quit

-- What users call is in schema onec, which CREATE EXTENSION makes.  What that calls is in onec_internal:
-- given to nobody but by onec.grant_reader and onec.grant_sync, and not the same in each version.

CREATE SCHEMA onec_internal;
COMMENT ON SCHEMA onec_internal IS 'Внутреннее устройство onec_fdw: пользоваться этим напрямую не нужно';
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
-- What of an error may be kept for readers: what happened and where, never a value or a row, for those are of
-- people.

-- Texts of 1C about a request, of the wrapper and of this extension hold none; those of PostgreSQL hold
-- values where a value is at fault (class 22), and rows in DETAIL; what a function of somebody else raises (a
-- trigger on a table of the store) may hold anything.
CREATE FUNCTION onec_internal.message_without_values(code text, message text, detail text,
													 context text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN (code LIKE 'HV%' OR context ~ '^request to 1C: ') AND w.raised ~ '\monec(_internal)?\.'
			THEN concat_ws(': ', message, nullif(detail, ''))
		WHEN w.place <> '' AND message IN ('value of 1C does not fit the type of the column',
										   'value of 1C is not valid base64', 'value of 1C is too long',
			'number of 1C has more digits after the point than the column') THEN message || ': ' || w.place
		-- the innermost function that says so is another's
		WHEN w.raised !~ '\monec(_internal)?\.' OR left(code, 2) NOT IN ('08', '0A', '21', '22', '23', '25',
			'28', '2B', '2D', '3D', '3F', '40', '42', '53', '54', '55', '57', '58', 'XX')
			THEN 'an error whose text is not kept, for it may hold values (SQLSTATE ' || code || ')'
		WHEN left(code, 2) = '22' AND w.raised !~ 'RAISE$' THEN CASE code
			WHEN '22001' THEN 'a text is too long' WHEN '22003' THEN 'a number is out of range'
			WHEN '22007' THEN 'a date is not valid'
			WHEN '22008' THEN 'a date is out of range' WHEN '22012' THEN 'division by zero'
			WHEN '22P02' THEN 'a text is no value of the type'
			ELSE 'a value is not accepted' END
				|| concat(' (SQLSTATE ', code, ')', ': ' || nullif(w.place, ''))
		ELSE message END
	FROM (SELECT coalesce(substring(context FROM '(?n)^column "[^\n]* of the answer$'), '') AS place,
				 coalesce(substring(context FROM '(?n)^.*\mPL/.*$'), 'onec.') AS raised) w
$$;
COMMENT ON FUNCTION onec_internal.message_without_values(text, text, text, text) IS
	'Что из текста ошибки можно хранить и показывать: без значений и строк (служебная)';
-- What a call asks for is refused before any work: words that are none of a list (keys, names, kinds), with
-- the nearest; calls that write where nothing can be written.

-- A read-only transaction, above all one of a standby, is told of by the name of what was called.
CREATE FUNCTION onec_internal.must_write(what text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF current_setting('transaction_read_only')::boolean THEN
		RAISE read_only_sql_transaction USING
			MESSAGE = format('cannot execute onec.%s in a read-only transaction', what),
			HINT = CASE WHEN pg_is_in_recovery() THEN 'This is a standby: call it on the primary server.'
				   ELSE 'Set transaction_read_only, or default_transaction_read_only, to off.' END;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.must_write(text) IS 'Отказать, если транзакция только читает (служебная)';

-- Those of a list that a word was perhaps meant to be: at least two fifths of their pairs of letters are the
-- same.
CREATE FUNCTION onec_internal.nearest_words(word text, known text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH word (is_known, name, pair) AS (
		SELECT DISTINCT w.is_known, w.name, substr(' ' || lower(w.name) || ' ', i, 2)
		FROM (SELECT true, unnest($2) UNION ALL SELECT false, left($1, 100)) w (is_known, name),
			generate_series(1, length(w.name) + 1) i),
	alike AS (
		SELECT k.name, 2.0 * count(w.pair) / (count(*) + (SELECT count(*) FROM word a
														  WHERE NOT a.is_known)) AS share
		FROM word k LEFT JOIN word w ON NOT w.is_known AND w.pair = k.pair WHERE k.is_known GROUP BY 1)
	SELECT string_agg(a.name, ', ' ORDER BY a.share DESC, a.name)
	FROM (SELECT * FROM alike WHERE share >= 0.4 ORDER BY share DESC, name LIMIT 3) a
$$;
COMMENT ON FUNCTION onec_internal.nearest_words(text, text[]) IS
	'Похожие слова перечня для подсказки (служебная)';

-- The word, if it is one of those that are known, or NULL; else an error that names the nearest, and all
-- where they are few.
CREATE FUNCTION onec_internal.checked_word(what text, word text, known text[]) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF word <> ALL (known) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unrecognized %s "%s"', what, word),
			HINT = concat_ws(' ', 'Perhaps you meant: ' || onec_internal.nearest_words(word, known) || '.',
							 CASE WHEN cardinality(known) <= 20
								  THEN format('Known are: %s.', array_to_string(known, ', ')) END);
	END IF;
	RETURN word;
END $$;
COMMENT ON FUNCTION onec_internal.checked_word(text, text, text[]) IS
	'Слово, если оно есть в перечне, иначе ошибка с похожими (служебная)';
-- Which bases the store knows, and which of them is meant.
--
-- A base is known by the name of its foreign server.  What is known of it is kept beside the data, so that
-- these go on where the server is called something else, was dropped, or never was, as on a replica.

CREATE TABLE onec_internal.base (
	server name PRIMARY KEY,
	server_oid oid,
	timezone text,
	former name[] NOT NULL DEFAULT '{}',
	purged_before date,
	known_since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE onec_internal.base IS
	'Базы, данные или настройки которых здесь есть; остаются, когда внешний сервер удалён '
	'(onec.forget_server убирает)';
COMMENT ON COLUMN onec_internal.base.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.base.server_oid IS 'Его номер в каталоге: по нему узнаётся переименованный';
COMMENT ON COLUMN onec_internal.base.timezone IS 'Часовой пояс базы: параметр timezone сервера';
COMMENT ON COLUMN onec_internal.base.former IS 'Как сервер назывался раньше';
COMMENT ON COLUMN onec_internal.base.purged_before IS
	'Покупки раньше этого дня удалены (onec.purge, keep.purchase_days) и больше не читаются';
COMMENT ON COLUMN onec_internal.base.known_since IS 'С какого времени известна';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.base', '');

CREATE VIEW onec_internal.live_servers AS
	SELECT s.srvname AS server, s.oid AS server_oid,
		   (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'timezone') AS timezone
	FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'onec_fdw';
COMMENT ON VIEW onec_internal.live_servers IS 'Внешние серверы onec_fdw (служебное)';
COMMENT ON COLUMN onec_internal.live_servers.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.live_servers.server_oid IS 'Его номер в каталоге';
COMMENT ON COLUMN onec_internal.live_servers.timezone IS 'Параметр timezone';

CREATE VIEW onec_internal.known_servers AS
	SELECT s.server FROM onec_internal.live_servers s
	UNION SELECT b.server FROM onec_internal.base b;
COMMENT ON VIEW onec_internal.known_servers IS
	'Базы: внешние серверы onec_fdw и те, чьи данные остались (служебное)';
COMMENT ON COLUMN onec_internal.known_servers.server IS 'Внешний сервер';

-- The server that is named, else the only one there is: every function that takes a server asks here.  Those
-- that are gone count only where none is left.
CREATE FUNCTION onec_internal.server_meant(server name) RETURNS name
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	live text[] := ARRAY(SELECT s.server FROM onec_internal.live_servers s ORDER BY 1);
	known text[] := live;
	told text;
BEGIN
	IF server = ANY (live) THEN
		RETURN server;
	ELSIF server IS NOT NULL OR live = '{}' THEN
		known := ARRAY(SELECT s.server FROM onec_internal.known_servers s ORDER BY 1);
	END IF;
	told := format('Servers of onec_fdw: %s.', coalesce(nullif(array_to_string(live, ', '), ''), 'none'));
	IF server IS NULL AND cardinality(known) = 1 THEN
		RETURN known[1];
	ELSIF server IS NULL THEN
		RAISE invalid_parameter_value USING MESSAGE = 'a server must be named', DETAIL = told;
	ELSIF server <> ALL (known) THEN
		RAISE undefined_object USING
			MESSAGE = format('server "%s" of onec_fdw does not exist', server),
			HINT = coalesce('Perhaps you meant: ' || onec_internal.nearest_words(server, known) || '.', told);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.server_meant(name) IS
	'Проверить имя сервера или найти единственный (служебная)';

-- The same, of one that can be asked.
CREATE FUNCTION onec_internal.live_server_meant(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	server := onec_internal.server_meant(server);
	IF NOT EXISTS (SELECT FROM onec_internal.live_servers s WHERE s.server = live_server_meant.server) THEN
		RAISE undefined_object USING
			MESSAGE = format('server "%s" of onec_fdw does not exist any more', server),
			HINT = format('What the store has of it can be read; SELECT * FROM '
						  'onec.forget_server(%L) deletes it.', server);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.live_server_meant(name) IS
	'То же для сервера, к которому можно обратиться (служебная)';

-- Write down what the store has to know of a server that is there.
CREATE FUNCTION onec_internal.remember_base(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO onec_internal.base AS b (server, server_oid, timezone)
	SELECT s.server, s.server_oid, s.timezone FROM onec_internal.live_servers s WHERE s.server = $1
	ON CONFLICT ON CONSTRAINT base_pkey DO UPDATE SET server_oid = excluded.server_oid,
	timezone = excluded.timezone
	WHERE (b.server_oid, b.timezone) IS DISTINCT FROM (excluded.server_oid, excluded.timezone)
$$;
COMMENT ON FUNCTION onec_internal.remember_base(name) IS 'Запомнить сервер (служебная)';
-- Settings of the shop: what is read, and the numbers in doc/definitions.md.  Where and as whom to connect
-- are options of the server and of the user mapping.

CREATE TABLE onec.setting (
	key text PRIMARY KEY,
	type text NOT NULL CHECK (type IN ('text', 'text[]', 'int', 'numeric', 'numeric[]', 'bool', 'uuid[]')),
	initial text,
	choices text[],
	lowest numeric,
	highest numeric,
	description text NOT NULL,
	CHECK (type IN ('int', 'numeric', 'numeric[]') = (lowest IS NOT NULL)),
	CHECK (lowest IS NOT NULL OR highest IS NULL)
);
COMMENT ON TABLE onec.setting IS 'Какие настройки бывают: ключ, тип, значение по умолчанию, смысл';
COMMENT ON COLUMN onec.setting.key IS 'Ключ';
COMMENT ON COLUMN onec.setting.type IS 'Тип значения';
COMMENT ON COLUMN onec.setting.initial IS 'Значение по умолчанию';
COMMENT ON COLUMN onec.setting.choices IS 'Допустимые значения, если их перечень закрыт';
COMMENT ON COLUMN onec.setting.lowest IS 'Наименьшее допустимое число';
COMMENT ON COLUMN onec.setting.highest IS 'Наибольшее допустимое число; пусто — предела нет';
COMMENT ON COLUMN onec.setting.description IS 'Смысл';

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('filter_fields.card_sales', 'text[]', '{ДисконтнаяКарта_Key,ДисконтнаяКарта,Карта_Key,Карта}', NULL,
	 NULL, NULL, 'Где в продажах по картам искать карту: первое опубликованное'),
	('filter_fields.loyalty', 'text[]',
	 '{БонуснаяКарта_Key,ДисконтнаяКарта_Key,ВладелецКарты_Key,Контрагент_Key,Покупатель_Key}', NULL, NULL,
	 NULL, 'Где в баллах искать карту и владельца: первое опубликованное'),
	('sync.enabled', 'bool', 'true', NULL, NULL, NULL, 'Синхронизация по расписанию включена'),
	('sync.interval_hours', 'int', '4', NULL, 1, 744, 'Через сколько часов запускать частую синхронизацию'),
	('sync.purchase_days', 'int', '3', NULL, 0, 36500,
	 'За сколько дней перечитывать покупки при частой синхронизации'),
	('sync.cards_limit', 'int', '0', NULL, 0, 1000000000, 'Не больше стольких карт за запуск; 0 — все'),
	('nightly.enabled', 'bool', 'true', NULL, NULL, NULL, 'Ночная синхронизация включена'),
	('nightly.hour', 'int', '3', NULL, 0, 23, 'Час ночной синхронизации, местное время базы 1С'),
	('nightly.minute', 'int', '0', NULL, 0, 59, 'Минута ночной синхронизации'),
	('nightly.purchase_days', 'int', '30', NULL, 0, 36500, 'За сколько дней перечитывать покупки ночью'),
	('nightly.cards_limit', 'int', '10000', NULL, 0, 1000000000,
	 'Не больше стольких карт за ночной запуск; 0 — все'),
	('loyalty.enabled', 'bool', 'true', NULL, NULL, NULL, 'Читать бонусные баллы'),
	('check_unit', 'text', 'receipt', '{receipt,row}', NULL, NULL,
	 'Чем делить выручку в среднем чеке: чеками или строками'),
	('exclude_recorder_types', 'text[]', '{Document_ВводНачальныхОстатков}', NULL, NULL, NULL,
	 'Документы, которые не являются покупками'),
	('organization_ids', 'uuid[]', '{}', NULL, NULL, NULL, 'Учитывать только эти организации; пусто — все'),
	('affinity.min_line', 'numeric', '5', NULL, 0, 1000000000,
	 'Строки дешевле не говорят о предпочтениях (упаковка)'),
	('affinity.half_life_days', 'numeric', '365', NULL, 0.01, NULL,
	 'За сколько дней вес покупки падает вдвое'),
	('affinity.exclude_categories', 'text[]', '{packaging}', NULL, NULL, NULL,
	 'Категории, которые не говорят о предпочтениях'),
	('phone.country', 'text', 'RU', '{RU,KZ,BY}', NULL, NULL, 'Страна телефонов без кода'),
	('phone.conflict', 'text', 'newest', '{newest,first}', NULL, NULL,
	 'Кому принадлежит телефон двух карт разных владельцев'),
	('keep.job_days', 'int', '30', NULL, 0, 36500, 'Сколько дней хранить записи pg_cron о заданиях; 0 — все'),
	('keep.purchase_days', 'int', '0', NULL, 0, 36500,
	 'Сколько дней хранить покупки, чеки, заказы и баллы; более старые не читаются и удаляются; 0 — все'),
	('keep.run_days', 'int', '180', NULL, 0, 36500,
	 'Сколько дней хранить журнал запусков синхронизации; 0 — весь'),
	('keep.drift_days', 'int', '180', NULL, 0, 36500,
	 'Сколько дней помнить разошедшиеся и перечитанные месяцы; 0 — всегда'),
	('name.ignore', 'text[]', '{Розничный покупатель,Покупатель,Физлицо,Физическое лицо}', NULL, NULL, NULL,
	 'Наименования, которые не являются именами');

CREATE TABLE onec.config (
	server name NOT NULL,
	key text NOT NULL REFERENCES onec.setting (key),
	value text,
	set_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, key)
);
COMMENT ON TABLE onec.config IS 'Настройки, отличные от умолчаний, по серверам; менять через onec.set';
COMMENT ON COLUMN onec.config.server IS 'Внешний сервер; пустое имя — для всех';
COMMENT ON COLUMN onec.config.key IS 'Ключ';
COMMENT ON COLUMN onec.config.value IS 'Значение';
COMMENT ON COLUMN onec.config.set_at IS 'Когда задано';
SELECT pg_catalog.pg_extension_config_dump('onec.config', '');

CREATE FUNCTION onec_internal.checked_setting_key(key text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN onec_internal.checked_word('setting', coalesce(key, ''),
									  ARRAY(SELECT s.key FROM onec.setting s ORDER BY 1));
COMMENT ON FUNCTION onec_internal.checked_setting_key(text) IS
	'Ключ настройки, если такая есть, иначе ошибка (служебная)';

CREATE FUNCTION onec.get(key text, server name DEFAULT '') RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(
		(SELECT c.value FROM onec.config c WHERE c.key = get.key AND c.server IN (get.server, '')
		 ORDER BY c.server = '' LIMIT 1),
		(SELECT s.initial FROM onec.setting s WHERE s.key = get.key),
		-- no setting is without a default: that is an error
		onec_internal.checked_setting_key(key));
END $$;
COMMENT ON FUNCTION onec.get(text, name) IS 'Значение настройки: сервера, общее или по умолчанию';

-- What a value must be, for people.
CREATE FUNCTION onec_internal.expected_setting_value(s onec.setting) RETURNS text
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN ($1).choices IS NOT NULL
				THEN format('Possible values: %s.', array_to_string(($1).choices, ', '))
				WHEN ($1).lowest IS NOT NULL
					THEN format('A value of type %s from %s to %s is expected.', ($1).type, ($1).lowest,
								coalesce(($1).highest, 'Infinity'))
				WHEN ($1).type ~ '\[\]$'
					THEN format('A list is expected: {one,two}, of values of type %s that are not empty.',
								rtrim(($1).type, '[]'))
				ELSE format('A value of type %s is expected.', ($1).type) END
$$;
COMMENT ON FUNCTION onec_internal.expected_setting_value(onec.setting) IS
	'Каким должно быть значение настройки (служебная)';

-- Whether a value that is of the right type is one that makes sense.
CREATE FUNCTION onec_internal.is_setting_in_range(s onec.setting, value text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parts text[] := CASE WHEN s.type ~ '\[\]$' THEN value::text[] ELSE ARRAY[value] END;
BEGIN
	RETURN (s.choices IS NULL OR value = ANY (s.choices))
		AND NOT EXISTS (SELECT FROM unnest(parts) p WHERE p IS NULL OR btrim(p) = '')
		AND (s.lowest IS NULL OR NOT EXISTS (
			SELECT FROM unnest(parts) p
			WHERE p::numeric < s.lowest OR p::numeric > s.highest OR p::numeric = 'NaN'));
END $$;
COMMENT ON FUNCTION onec_internal.is_setting_in_range(onec.setting, text) IS
	'Имеет ли значение настройки смысл (служебная)';

CREATE FUNCTION onec_internal.check_setting(s onec.setting, value text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	good boolean;
BEGIN
	BEGIN
		EXECUTE format('SELECT $1::%s', s.type) USING value;
		good := onec_internal.is_setting_in_range(s, value);
	EXCEPTION WHEN data_exception OR datatype_mismatch THEN
		good := false;
	END;
	IF good IS NOT TRUE THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid value for setting "%s": "%s"', s.key, value),
			HINT = concat_ws(' ', 'Perhaps you meant: ' || onec_internal.nearest_words(value, s.choices)
							 || '.', onec_internal.expected_setting_value(s));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_setting(onec.setting, text) IS
	'Проверка значения настройки (служебная)';

CREATE FUNCTION onec.set(key text, value text, server name DEFAULT '') RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.setting;
BEGIN
	PERFORM onec_internal.checked_setting_key(key);
	SELECT * INTO s FROM onec.setting t WHERE t.key = set.key;
	IF server IS DISTINCT FROM '' THEN
		-- NULL is nobody's name, and not the word for all
		PERFORM onec_internal.server_meant(coalesce(server, '?'));
		PERFORM onec_internal.remember_base(server);
	END IF;
	IF value IS NULL THEN
		DELETE FROM onec.config c WHERE c.server = set.server AND c.key = set.key;
		RETURN;
	END IF;
	PERFORM onec_internal.check_setting(s, value);
	INSERT INTO onec.config AS c (server, key, value) VALUES (set.server, set.key, set.value)
	ON CONFLICT ON CONSTRAINT config_pkey DO UPDATE SET value = excluded.value, set_at = excluded.set_at;
END $$;
COMMENT ON FUNCTION onec.set(text, text, name) IS
	'Задать настройку (NULL — вернуть умолчание); без сервера — для всех';
REVOKE EXECUTE ON FUNCTION onec.set(text, text, name) FROM PUBLIC;

CREATE VIEW onec.settings AS
	SELECT s.key, c.server, coalesce(c.value, s.initial) AS value, s.initial AS "default",
		   CASE WHEN c.key IS NULL THEN 'default' WHEN c.server = '' THEN 'all servers'
				ELSE 'server' END AS source,
		   s.type, s.choices, s.lowest, s.highest, s.description
	FROM onec.setting s LEFT JOIN onec.config c ON c.key = s.key;
COMMENT ON VIEW onec.settings IS 'Настройки: действующее значение, умолчание, откуда взято, смысл';
COMMENT ON COLUMN onec.settings."default" IS 'Значение, если не задано';
COMMENT ON COLUMN onec.settings.source IS 'Откуда значение: умолчание, общее или этого сервера';
-- What the clock on the wall of each base says, and which day is meant.

-- The zone of each base: the server's option, or what is kept of it where there is no server; else the
-- database's.
CREATE VIEW onec_internal.base_clock AS
	SELECT z.server, z.zone, now() AT TIME ZONE z.zone AS now
	FROM (SELECT server, coalesce(CASE WHEN s.server_oid IS NOT NULL THEN s.timezone ELSE b.timezone END,
								  current_setting('TimeZone')) AS zone
		  FROM onec_internal.live_servers s FULL JOIN onec_internal.base b USING (server)) z;
COMMENT ON VIEW onec_internal.base_clock IS 'Часы баз (служебное)';
COMMENT ON COLUMN onec_internal.base_clock.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.base_clock.zone IS 'Часовой пояс базы 1С';
COMMENT ON COLUMN onec_internal.base_clock.now IS 'Который час в базе 1С';

CREATE FUNCTION onec_internal.server_zone(server name) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT c.zone FROM onec_internal.base_clock c WHERE c.server = server_zone.server),
					current_setting('TimeZone'));
END $$;
COMMENT ON FUNCTION onec_internal.server_zone(name) IS 'Часовой пояс базы 1С (служебная)';

CREATE FUNCTION onec.local_now(server name DEFAULT NULL) RETURNS timestamp
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN now() AT TIME ZONE onec_internal.server_zone(onec_internal.server_meant($1));
COMMENT ON FUNCTION onec.local_now(name) IS 'Который час в базе 1С';

-- In C for the number of calls: marts show it of each row.
CREATE FUNCTION onec.moment(server name, local timestamp) RETURNS timestamptz
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_moment';
COMMENT ON FUNCTION onec.moment(name, timestamp) IS
	'Местное время базы 1С как момент, с её часовым поясом';

CREATE FUNCTION onec_internal.months_between(a timestamp, b timestamp) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT ((extract(year FROM b) - extract(year FROM a)) * 12 + extract(month FROM b)
				- extract(month FROM a))::int;
	END;
COMMENT ON FUNCTION onec_internal.months_between(timestamp, timestamp) IS
	'На сколько календарных месяцев второе позже первого (служебная)';

CREATE FUNCTION onec_internal.server_and_day(server name, as_of date, OUT server_name name, OUT day date)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	server_name := onec_internal.server_meant(server);
	day := coalesce(as_of, onec.local_now(server_name)::date);
END $$;
COMMENT ON FUNCTION onec_internal.server_and_day(name, date) IS
	'Какой сервер и какой день имеются в виду (служебная)';

-- A day that is named is over; today is not.
CREATE FUNCTION onec_internal.moment_meant(server name, as_of date) RETURNS timestamp
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce($2 + interval '1 day -1 microsecond', onec.local_now($1));
COMMENT ON FUNCTION onec_internal.moment_meant(name, date) IS
	'Какой момент имеется в виду: конец названного дня или сейчас (служебная)';

-- First moment of the last "days" days, the day itself included; all of them if there is no limit.
CREATE FUNCTION onec_internal.start_of_last_days(day date, days int) RETURNS timestamp
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN days > 0 THEN (day + 1 - days)::timestamp ELSE '-infinity'::timestamp END;
	END;
COMMENT ON FUNCTION onec_internal.start_of_last_days(date, int) IS 'Начало последних дней (служебная)';

-- The ends of time, for windows that are open: days that every client can read, which infinity is not.  1C
-- has no date before the first, which is its empty one, and none behind the last.
CREATE FUNCTION onec_internal.first_moment() RETURNS timestamp
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '0001-01-01'::timestamp;
COMMENT ON FUNCTION onec_internal.first_moment() IS 'Начало времён: окно открыто в прошлое (служебная)';

CREATE FUNCTION onec_internal.last_moment() RETURNS timestamp
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '9999-12-31'::timestamp;
COMMENT ON FUNCTION onec_internal.last_moment() IS 'Конец времён: окно открыто в будущее (служебная)';

-- Days from one on, up to another, which is left out.
CREATE FUNCTION onec_internal.check_day_order("from" date, "to" date) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF "from" >= "to" THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('there is no day from %s up to %s', "from", "to"),
				HINT = '"to" is left out, and comes after "from".';
	ELSIF NOT isfinite("from") OR NOT isfinite("to") THEN
		RAISE invalid_parameter_value USING MESSAGE = 'days without an end cannot be asked for',
			HINT = 'Leave the day out.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_day_order(date, date) IS 'Проверить порядок дней (служебная)';
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
-- Short numbers for what stands in every line of the large tables: the base, words of 1C such as types of
-- documents, and references of which there are few, such as shops.  The name of a server alone would be 64
-- bytes of each row and of each entry of an index.
--
-- Rows with numbers are in onec_internal, under the names that people know as views of onec, where the words
-- and references stand again.  A number is never given to another while rows may have it.

CREATE TABLE onec_internal.server_number (
	number smallint PRIMARY KEY,
	server name NOT NULL UNIQUE
);
COMMENT ON TABLE onec_internal.server_number IS 'Номера внешних серверов в строках больших таблиц';
COMMENT ON COLUMN onec_internal.server_number.number IS 'Номер';
COMMENT ON COLUMN onec_internal.server_number.server IS 'Внешний сервер';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.server_number', '');

CREATE TABLE onec_internal.term (
	number smallint PRIMARY KEY,
	word text NOT NULL UNIQUE
);
COMMENT ON TABLE onec_internal.term IS
	'Номера слов в строках больших таблиц: виды документов, регистры, виды движений';
COMMENT ON COLUMN onec_internal.term.number IS 'Номер; от 100 — слова из 1С';
COMMENT ON COLUMN onec_internal.term.word IS 'Слово';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.term', 'WHERE number >= 100');

-- A column of this type holds the number of a word.
CREATE DOMAIN onec_internal.term_number AS smallint;
COMMENT ON DOMAIN onec_internal.term_number IS 'Номер слова из onec_internal.term (служебный)';

-- References: 1C may have any number of what is a shop to it.
CREATE TABLE onec_internal.reference (
	number int PRIMARY KEY,
	id uuid NOT NULL UNIQUE
);
COMMENT ON TABLE onec_internal.reference IS
	'Номера ссылок в строках больших таблиц: магазины, организации';
COMMENT ON COLUMN onec_internal.reference.number IS 'Номер';
COMMENT ON COLUMN onec_internal.reference.id IS 'Ссылка';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.reference', '');

-- A column of this type holds the number of a reference.
CREATE DOMAIN onec_internal.reference_number AS int;
COMMENT ON DOMAIN onec_internal.reference_number IS 'Номер ссылки из onec_internal.reference (служебный)';

-- The words that this extension itself writes, numbered from 0: constants, so that plans and checks may use
-- them.  "recorder" is the type of a document that is the recorder of its row.
CREATE FUNCTION onec_internal.own_words() RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '{anonymous,counterparty,card,card_register,sales,card_sales,Receipt,Expense,"",recorder}'::text[];
COMMENT ON FUNCTION onec_internal.own_words() IS 'Слова, которые пишет само расширение (служебная)';

CREATE FUNCTION onec_internal.own_term(word text) RETURNS smallint
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN (array_position(onec_internal.own_words(), word) - 1)::smallint;
COMMENT ON FUNCTION onec_internal.own_term(text) IS 'Номер слова, известного заранее (служебная)';
INSERT INTO onec_internal.term (number, word)
	SELECT onec_internal.own_term(w), w FROM unnest(onec_internal.own_words()) w;

-- The first copy of a logical replica brings words that are here already.
CREATE FUNCTION onec_internal.skip_known_term() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN NOT EXISTS (SELECT FROM onec_internal.term t
								 WHERE t.number = NEW.number AND t.word = NEW.word) THEN NEW END;
END $$;
COMMENT ON FUNCTION onec_internal.skip_known_term() IS 'Слово, которое уже есть, не добавляется (служебная)';
CREATE TRIGGER skip_known_term BEFORE INSERT
	ON onec_internal.term FOR EACH ROW EXECUTE FUNCTION onec_internal.skip_known_term();
ALTER TABLE onec_internal.term ENABLE ALWAYS TRIGGER skip_known_term;

-- The number of a word, which gets one if it is new.  Whoever meets a new word at the same moment waits for
-- the other's commit.
CREATE FUNCTION onec_internal.new_term(word text) RETURNS smallint
	LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found smallint;
BEGIN
	LOOP
		found := (SELECT t.number FROM onec_internal.term t WHERE t.word = new_term.word);
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
		INSERT INTO onec_internal.term (number, word)
		SELECT greatest(max(t.number), 99) + 1, new_term.word FROM onec_internal.term t
		ON CONFLICT DO NOTHING;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.new_term(text) IS 'Номер слова; новому даётся следующий (служебная)';

-- The same for a reference.
CREATE FUNCTION onec_internal.new_reference(id uuid) RETURNS int
	LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found int;
BEGIN
	LOOP
		found := (SELECT r.number FROM onec_internal.reference r WHERE r.id = new_reference.id);
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
		INSERT INTO onec_internal.reference (number, id)
		SELECT coalesce(max(r.number), 0) + 1, new_reference.id FROM onec_internal.reference r
		ON CONFLICT DO NOTHING;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.new_reference(uuid) IS 'Номер ссылки; новой даётся следующий (служебная)';

-- And for a server.
CREATE FUNCTION onec_internal.new_server_number(server name) RETURNS smallint
	LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found smallint;
BEGIN
	LOOP
		found := (SELECT n.number FROM onec_internal.server_number n
				  WHERE n.server = new_server_number.server);
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
		INSERT INTO onec_internal.server_number (number, server)
		SELECT coalesce(max(n.number), 0) + 1, new_server_number.server FROM onec_internal.server_number n
		ON CONFLICT DO NOTHING;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.new_server_number(name) IS
	'Номер внешнего сервера; новому даётся следующий (служебная)';

-- The number that it has; NULL: no row is of it.
CREATE FUNCTION onec_internal.number_of_server(server name) RETURNS smallint
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN (SELECT n.number FROM onec_internal.server_number n WHERE n.server = $1);
COMMENT ON FUNCTION onec_internal.number_of_server(name) IS 'Номер внешнего сервера (служебная)';

-- How statements on a table call a server: by its number where the column is one, else by its name.
CREATE FUNCTION onec_internal.server_in(tab text, server name) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(tab) AND a.attname = 'server'
			   AND a.atttypid = 'smallint'::regtype) THEN
		RETURN format('%L::smallint', onec_internal.number_of_server(server));
	END IF;
	RETURN format('%L::name', server);
END $$;
COMMENT ON FUNCTION onec_internal.server_in(text, name) IS
	'Как назвать сервер в запросе к таблице: номером или именем (служебная)';
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
-- What is synced: one row for each table that a run makes equal to 1C, or makes of what is here.
--
-- Whatever treats the tables alike (setup, sync, proof, forget, purge, rights, watching) asks here, and knows
-- none of them by name (test/lint: one_list).  A new one is a row here, a table with comments in
-- 30_store/10_tables.sql and a list of fields in 70_setup/10_fields.sql; see CONTRIBUTING.md.  What nobody
-- may forget to decide has no default: what forget and purge do with it, whether what is gone is marked, who
-- may read it.
--
-- A row may be of one base only: a set that somebody mirrors into a table of his own, in a schema of his own.
CREATE TABLE onec.target (
	target text PRIMARY KEY,
	server name,
	ordinal int NOT NULL UNIQUE,
	step text NOT NULL,
	title text NOT NULL,
	source text NOT NULL CHECK (source IN ('set', 'people', 'profiles')),
	entity_set text CHECK ((entity_set IS NOT NULL) = (source = 'set')),
	table_schema name NOT NULL DEFAULT 'onec',
	table_name name NOT NULL,
	unit name[] NOT NULL CHECK (unit <> '{}'),
	date_column name,
	marks_deleted boolean NOT NULL,
	people name[] NOT NULL,
	erasure text NOT NULL CHECK (erasure IN ('delete', 'mask', 'none')),
	purge text NOT NULL CHECK (purge IN ('date', 'zero balance', 'no movements', 'none')),
	touches text[] NOT NULL
		CHECK (touches <@ '{customers,buyers,buyers of categories,buyers of brands,buyers in stores,'
						  'documents,documents of cards,users,users of cards}'),
	is_open boolean NOT NULL,
	asked_by name[] NOT NULL DEFAULT '{}' CHECK (asked_by <@ '{customer_id,card_id}'),
	switch text,
	made_of text,
	sums text CHECK (sums IN ('turnovers', 'balance')),
	is_limited boolean NOT NULL DEFAULT false,
	UNIQUE (table_schema, table_name),
	CHECK ((server IS NULL) = (ordinal < 1000)),
	CHECK ((erasure = 'none') = (people = '{}')),
	CHECK (purge = 'none' OR date_column IS NOT NULL)
);
COMMENT ON TABLE onec.target IS 'Что синхронизируется: по строке на таблицу';
COMMENT ON COLUMN onec.target.target IS 'Имя внешней таблицы в схеме сервера';
COMMENT ON COLUMN onec.target.server IS 'Внешний сервер; NULL — у каждого';
COMMENT ON COLUMN onec.target.ordinal IS 'Порядок в запуске; у таблиц одного сервера от 1000';
COMMENT ON COLUMN onec.target.step IS 'Шаг синхронизации';
COMMENT ON COLUMN onec.target.title IS 'Что это, по-русски';
COMMENT ON COLUMN onec.target.source IS
	'Откуда строки: set — набор 1С, people — из карт и контрагентов, profiles — из покупок';
COMMENT ON COLUMN onec.target.entity_set IS 'Набор 1С, если настройка endpoint.* не называет другой';
COMMENT ON COLUMN onec.target.table_schema IS
	'Схема местной таблицы; если там представление, строки лежат в таблице того же имени в onec_internal';
COMMENT ON COLUMN onec.target.table_name IS
	'Местная таблица; её столбцы server, copy, is_deleted, attribution заполняются сами';
COMMENT ON COLUMN onec.target.unit IS
	'Столбцы того, что 1С записывает целиком: документ, контрагент; первый — ссылка';
COMMENT ON COLUMN onec.target.date_column IS
	'Столбец даты, по которому читается окнами; NULL — читается целиком';
COMMENT ON COLUMN onec.target.marks_deleted IS
	'Исчезнувшие в 1С строки помечаются (is_deleted), а не удаляются';
COMMENT ON COLUMN onec.target.people IS 'Столбцы, которые говорят, чья строка: контрагент, карта';
COMMENT ON COLUMN onec.target.erasure IS
	'Что делает onec.forget: delete — удаляет строки человека, mask — оставляет их '
	'безымянными, none — строки не о людях';
COMMENT ON COLUMN onec.target.purge IS
	'Что делает onec.purge с прежними строками: date — удаляет и больше не читает, zero balance — '
	'удаляет движения карт с нулевым '
	'остатком, no movements — удаляет начисления карт без движений, none — оставляет';
COMMENT ON COLUMN onec.target.touches IS
	'Чего касаются изменения: customers — профилей покупателей строк, buyers — профилей покупателей товаров '
	'(of categories — категорий, of brands — марок, in stores — в магазинах), documents — того, кто '
	'купил в этих документах, documents of cards — того, кто купил по этим картам, users — '
	'пользователей сайта, users of cards — '
	'владельцев карт';
COMMENT ON COLUMN onec.target.is_open IS 'Читают ли её роли, которым дано onec.grant_reader';
COMMENT ON COLUMN onec.target.asked_by IS
	'По каким столбцам 1С спрашивают строки одного покупателя (onec.sync_purchases)';
COMMENT ON COLUMN onec.target.switch IS 'Настройка, которая выключает чтение';
COMMENT ON COLUMN onec.target.made_of IS 'Из какой таблицы берутся строки, если набор не опубликован';
COMMENT ON COLUMN onec.target.sums IS
	'Какие суммы самой 1С читаются рядом для сверки: turnovers — обороты по месяцам, balance — остатки карт';
COMMENT ON COLUMN onec.target.is_limited IS 'Читается частями, если задано cards_limit';
GRANT SELECT ON onec.target TO PUBLIC;

INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open) VALUES
	('discount_card', 1, 'cards', 'Дисконтные карты', 'set', 'Catalog_ДисконтныеКарты', 'discount_card',
	 '{card_id}', NULL,
		true, '{card_id,owner_id}', 'delete', 'none', '{documents of cards,users of cards}', false),
	('counterparty', 2, 'counterparties', 'Контрагенты', 'set', 'Catalog_Контрагенты', 'counterparty',
	 '{customer_id}', NULL,
		true, '{customer_id}', 'delete', 'none', '{users}', false),
	('counterparty_contact', 3, 'counterparties', 'Контакты контрагентов', 'set',
	 'Catalog_Контрагенты_КонтактнаяИнформация',
		'counterparty_contact', '{customer_id}', NULL,
		false, '{customer_id}', 'delete', 'none', '{users}', false),
	('category', 4, 'products', 'Категории товаров', 'set', 'Catalog_КатегорииНоменклатуры', 'category',
	 '{category_id}', NULL,
		true, '{}', 'none', 'none', '{buyers of categories}', true),
	('brand', 5, 'products', 'Марки и производители', 'set', 'Catalog_Производители', 'brand',
	 '{brand_id}', NULL,
		true, '{}', 'none', 'none', '{buyers of brands}', true),
	('product', 6, 'products', 'Товары', 'set', 'Catalog_Номенклатура', 'product', '{product_id}', NULL,
		true, '{}', 'none', 'none', '{buyers}', true),
	('store', 7, 'stores', 'Магазины и склады', 'set', 'Catalog_СтруктурныеЕдиницы', 'store',
	 '{store_id}', NULL,
		true, '{}', 'none', 'none', '{buyers in stores}', true),
	('card_sale_line', 8, 'purchases', 'Строки продаж по картам', 'set',
		'AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType', 'card_sale_line',
		'{recorder,recorder_type}', 'period',
		false, '{card_id,owner_id}', 'mask', 'date', '{documents}', false),
	('sale_line', 9, 'purchases', 'Строки продаж', 'set', 'AccumulationRegister_Продажи_RecordType',
	 'sale_line',
		'{recorder,recorder_type}', 'period',
		false, '{customer_id,card_id}', 'mask', 'date', '{customers}', true),
	('receipt', 10, 'purchases', 'Чеки', 'set', 'DocumentJournal_РозничныеПродажи', 'receipt_journal',
		'{document_id,document_type}', 'date',
		false, '{customer_id}', 'mask', 'date', '{}', true),
	('loyalty_movement', 11, 'loyalty', 'Движения бонусных баллов', 'set',
	 'AccumulationRegister_БонусныеБаллы_RecordType',
		'loyalty_movement', '{recorder,recorder_type}', 'period',
		false, '{card_id}', 'delete', 'zero balance', '{}', true),
	('loyalty_lot', 12, 'loyalty', 'Начисления бонусных баллов', 'set',
	 'AccumulationRegister_НачисленияБонусныхБаллов_RecordType',
		'loyalty_lot', '{recorder,recorder_type}', 'period',
		false, '{card_id,owner_id}', 'delete', 'no movements', '{}', true),
	('customer_order', 13, 'orders', 'Заказы покупателей', 'set', 'Document_ЗаказПокупателя',
	 'customer_order', '{order_id}', 'date',
		false, '{customer_id}', 'mask', 'date', '{}', true),
	('site_user', 101, 'profiles', 'Пользователи сайта', 'people', NULL, 'site_user', '{user_id}', NULL,
		false, '{user_id,customer_id,discount_card_id}', 'delete', 'none', '{}', false),
	('customer_profile', 102, 'profiles', 'Профили покупателей', 'profiles', NULL, 'customer_profile',
	 '{customer_id}', NULL,
		false, '{customer_id}', 'delete', 'none', '{}', true);
-- what only some of them have
UPDATE onec.target SET asked_by = '{card_id}' WHERE target = 'card_sale_line';
UPDATE onec.target SET asked_by = '{customer_id}' WHERE target = 'customer_order';
UPDATE onec.target SET asked_by = '{customer_id,card_id}', made_of = 'card_sale_line', sums = 'turnovers'
WHERE target = 'sale_line';
UPDATE onec.target SET switch = 'loyalty.enabled' WHERE step = 'loyalty';
UPDATE onec.target SET sums = 'balance' WHERE target = 'loyalty_movement';
UPDATE onec.target SET is_limited = true WHERE target = 'discount_card';

-- Under which name the set of each is published can be said for every base.
INSERT INTO onec.setting (key, type, initial, description)
	SELECT 'endpoint.' || t.target, 'text', t.entity_set, 'Набор 1С: ' || t.title FROM onec.target t
	WHERE t.source = 'set';

-- In PL/pgSQL, as what follows: a window asks often, and plans are kept.
CREATE FUNCTION onec_internal.target_named(target text) RETURNS onec.target
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found onec.target;
BEGIN
	SELECT t.* INTO found FROM onec.target t WHERE t.target = target_named.target;
	RETURN found;
END $$;
COMMENT ON FUNCTION onec_internal.target_named(text) IS 'Что известно о синхронизируемой таблице (служебная)';

-- The targets of a base by step, all or those of some steps.
CREATE FUNCTION onec_internal.sync_steps(server name, wanted text[]) RETURNS SETOF onec.target
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT t FROM onec.target t
		WHERE (t.server = $1) IS NOT FALSE AND (t.step = ANY ($2)) IS NOT FALSE ORDER BY t.ordinal;
	END;
COMMENT ON FUNCTION onec_internal.sync_steps(name, text[]) IS
	'Что синхронизируется с базой, по порядку (служебная)';

-- The set of a target, as this base publishes it.
CREATE FUNCTION onec_internal.entity_set_of(server name, target text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT ltrim(coalesce((SELECT onec.get(s.key, $1) FROM onec.setting s
							   WHERE s.key = 'endpoint.' || t.target), t.entity_set), '/')
		FROM onec.target t WHERE t.target = $2;
	END;
COMMENT ON FUNCTION onec_internal.entity_set_of(name, text) IS
	'Набор 1С, из которого читается таблица (служебная)';

-- The local table, as a statement names it: where the name that people know is a view, the rows are in the
-- table of that name in onec_internal.
CREATE FUNCTION onec_internal.table_of_target(target text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT format('%I.%I', CASE WHEN c.relkind = 'v' THEN 'onec_internal' ELSE t.table_schema END,
						  t.table_name)
			FROM onec.target t
			LEFT JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', t.table_schema, t.table_name))
			WHERE t.target = table_of_target.target);
END $$;
COMMENT ON FUNCTION onec_internal.table_of_target(text) IS
	'Местная таблица, как её называть в запросе (служебная)';

CREATE FUNCTION onec_internal.date_column(target text) RETURNS name
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT t.date_column FROM onec.target t WHERE t.target = date_column.target);
END $$;
COMMENT ON FUNCTION onec_internal.date_column(text) IS
	'Столбец даты, по которому таблица читается окнами (служебная)';

CREATE FUNCTION onec_internal.unit_columns(target text) RETURNS name[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT t.unit FROM onec.target t WHERE t.target = unit_columns.target);
END $$;
COMMENT ON FUNCTION onec_internal.unit_columns(text) IS
	'Столбцы того, что 1С записывает целиком: документ, контрагент (служебная)';

CREATE FUNCTION onec_internal.has_deletion_mark(target text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT t.marks_deleted FROM onec.target t WHERE t.target = has_deletion_mark.target);
END $$;
COMMENT ON FUNCTION onec_internal.has_deletion_mark(text) IS
	'Помечаются ли исчезнувшие строки вместо удаления (служебная)';

CREATE FUNCTION onec_internal.what_target_touches(target text) RETURNS text[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT t.touches FROM onec.target t WHERE t.target = what_target_touches.target);
END $$;
COMMENT ON FUNCTION onec_internal.what_target_touches(text) IS 'Чего касаются изменения (служебная)';

-- Some columns are not read but filled here, in whichever local table they are.
CREATE FUNCTION onec_internal.has_column(relation text, field name) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(relation) AND a.attname = field
				   AND a.attnum > 0 AND NOT a.attisdropped);
END $$;
COMMENT ON FUNCTION onec_internal.has_column(text, name) IS 'Есть ли столбец у таблицы (служебная)';

-- Whether rows of one key can be told apart by a running number.
CREATE FUNCTION onec_internal.has_copies(target text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec.target t JOIN pg_attribute a ON a.attname = 'copy'
		AND a.attrelid = to_regclass(format('%I.%I', t.table_schema, t.table_name))
	  WHERE t.target = has_copies.target);
END $$;
COMMENT ON FUNCTION onec_internal.has_copies(text) IS 'Нумеруются ли строки с одним ключом (служебная)';

-- Whether it is worked out whose each row is: see onec_internal.attribute_staged_sales.
CREATE FUNCTION onec_internal.has_buyer(target text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec.target t JOIN pg_attribute a ON a.attname = 'attribution'
		AND a.attrelid = to_regclass(format('%I.%I', t.table_schema, t.table_name))
	  WHERE t.target = has_buyer.target);
END $$;
COMMENT ON FUNCTION onec_internal.has_buyer(text) IS 'Определяется ли покупатель строк (служебная)';

-- The step whose months are compared with 1C's own sums, and read again where these differ.
CREATE FUNCTION onec_internal.compared_step() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT t.step FROM onec.target t WHERE t.sums = 'turnovers' ORDER BY t.ordinal LIMIT 1;
	END;
COMMENT ON FUNCTION onec_internal.compared_step() IS
	'Шаг, месяцы которого сверяются с суммами 1С (служебная)';

-- A reference as uuid; values of other types have none.
CREATE FUNCTION onec_internal.reference_uuid(value text) RETURNS uuid
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_reference_uuid';
COMMENT ON FUNCTION onec_internal.reference_uuid(text) IS 'Ссылка составного поля как uuid (служебная)';

-- The type of such a field's value, as the store calls it.
CREATE FUNCTION onec_internal.type_word(type text) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_type_word';
COMMENT ON FUNCTION onec_internal.type_word(text) IS 'Вид объекта без имени сервиса 1С (служебная)';
-- Local copies of what the shop has in 1C.  Every table has the server in its one key, so that several bases
-- live side by side.  References are not enforced: in 1C the other end may be absent, deleted or forbidden.
--
-- What has a row for each line of 1C is kept short: in a table of onec_internal, with numbers for servers
-- and words (20_base/70_dictionary.sql), its columns in the order in which they need no gaps; the view of the
-- same name in onec is what people read.  1C numbers the lines of a register with at most nine digits, so int
-- holds them; a longer number is an error of that window.

CREATE TABLE onec.discount_card (
	server name NOT NULL,
	card_id uuid NOT NULL,
	code text,
	description text,
	barcode text,
	magnetic_code text,
	owner_id uuid,
	kind_id uuid,
	is_invalid boolean,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, card_id)
);
-- The cards of a user of the site: who is folded anew, or forgotten.
CREATE INDEX discount_card_user ON onec.discount_card (coalesce(owner_id, card_id));
COMMENT ON TABLE onec.discount_card IS 'Дисконтные карты';
COMMENT ON COLUMN onec.discount_card.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.discount_card.card_id IS 'Ссылка на карту в 1С';
COMMENT ON COLUMN onec.discount_card.code IS 'Код';
COMMENT ON COLUMN onec.discount_card.description IS 'Наименование';
COMMENT ON COLUMN onec.discount_card.barcode IS 'Штрихкод; у магазина это телефон';
COMMENT ON COLUMN onec.discount_card.magnetic_code IS 'Магнитный код';
COMMENT ON COLUMN onec.discount_card.owner_id IS 'Владелец карты (контрагент)';
COMMENT ON COLUMN onec.discount_card.kind_id IS 'Вид карты';
COMMENT ON COLUMN onec.discount_card.is_invalid IS 'Карта недействительна';
COMMENT ON COLUMN onec.discount_card.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.discount_card.is_deleted IS 'В 1С карты больше нет';

CREATE TABLE onec.counterparty (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	code text,
	name text,
	full_name text,
	parent_id uuid,
	is_folder boolean,
	phone text,
	email text,
	birth_date timestamp,
	created_at timestamp,
	gender text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.counterparty IS 'Контрагенты';
COMMENT ON COLUMN onec.counterparty.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.counterparty.customer_id IS 'Ссылка на контрагента в 1С';
COMMENT ON COLUMN onec.counterparty.code IS 'Код';
COMMENT ON COLUMN onec.counterparty.name IS 'Наименование';
COMMENT ON COLUMN onec.counterparty.full_name IS 'Полное наименование';
COMMENT ON COLUMN onec.counterparty.parent_id IS 'Группа';
COMMENT ON COLUMN onec.counterparty.is_folder IS 'Это группа';
COMMENT ON COLUMN onec.counterparty.phone IS 'Телефон для поиска';
COMMENT ON COLUMN onec.counterparty.email IS 'Электронная почта для поиска';
COMMENT ON COLUMN onec.counterparty.birth_date IS 'Дата рождения';
COMMENT ON COLUMN onec.counterparty.created_at IS 'Дата создания в 1С';
COMMENT ON COLUMN onec.counterparty.gender IS 'Пол';
COMMENT ON COLUMN onec.counterparty.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.counterparty.is_deleted IS 'В 1С контрагента больше нет';

CREATE TABLE onec.counterparty_contact (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	line_no bigint NOT NULL,
	kind text,
	presentation text,
	phone text,
	email text,
	copy smallint NOT NULL DEFAULT 0,
	PRIMARY KEY (server, customer_id, line_no, copy)
);
COMMENT ON TABLE onec.counterparty_contact IS 'Контакты контрагентов';
COMMENT ON COLUMN onec.counterparty_contact.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.counterparty_contact.customer_id IS 'Контрагент';
COMMENT ON COLUMN onec.counterparty_contact.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.counterparty_contact.kind IS 'Тип контакта';
COMMENT ON COLUMN onec.counterparty_contact.presentation IS 'Представление';
COMMENT ON COLUMN onec.counterparty_contact.phone IS 'Номер телефона';
COMMENT ON COLUMN onec.counterparty_contact.email IS 'Адрес электронной почты';
COMMENT ON COLUMN onec.counterparty_contact.copy IS
	'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE TABLE onec.product (
	server name NOT NULL,
	product_id uuid NOT NULL,
	code text,
	article text,
	name text,
	parent_id uuid,
	is_folder boolean,
	category_id uuid,
	brand_id uuid,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, product_id)
);
COMMENT ON TABLE onec.product IS 'Товары';
COMMENT ON COLUMN onec.product.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.product.product_id IS 'Ссылка на товар в 1С';
COMMENT ON COLUMN onec.product.code IS 'Код';
COMMENT ON COLUMN onec.product.article IS 'Артикул';
COMMENT ON COLUMN onec.product.name IS 'Наименование';
COMMENT ON COLUMN onec.product.parent_id IS 'Группа';
COMMENT ON COLUMN onec.product.is_folder IS 'Это группа';
COMMENT ON COLUMN onec.product.category_id IS 'Категория';
COMMENT ON COLUMN onec.product.brand_id IS 'Производитель или марка';
COMMENT ON COLUMN onec.product.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.product.is_deleted IS 'В 1С товара больше нет';

CREATE TABLE onec.brand (
	server name NOT NULL,
	brand_id uuid NOT NULL,
	code text,
	name text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, brand_id)
);
COMMENT ON TABLE onec.brand IS 'Марки и производители товаров';
COMMENT ON COLUMN onec.brand.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.brand.brand_id IS 'Ссылка на марку в 1С';
COMMENT ON COLUMN onec.brand.code IS 'Код';
COMMENT ON COLUMN onec.brand.name IS 'Наименование';
COMMENT ON COLUMN onec.brand.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.brand.is_deleted IS 'В 1С марки больше нет';

CREATE TABLE onec.category (
	server name NOT NULL,
	category_id uuid NOT NULL,
	code text,
	name text,
	parent_id uuid,
	is_folder boolean,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, category_id)
);
COMMENT ON TABLE onec.category IS 'Категории товаров';
COMMENT ON COLUMN onec.category.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.category.category_id IS 'Ссылка на категорию в 1С';
COMMENT ON COLUMN onec.category.code IS 'Код';
COMMENT ON COLUMN onec.category.name IS 'Наименование';
COMMENT ON COLUMN onec.category.parent_id IS 'Вышестоящая категория';
COMMENT ON COLUMN onec.category.is_folder IS 'Это группа';
COMMENT ON COLUMN onec.category.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.category.is_deleted IS 'В 1С категории больше нет';

CREATE TABLE onec.store (
	server name NOT NULL,
	store_id uuid NOT NULL,
	code text,
	name text,
	parent_id uuid,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, store_id)
);
COMMENT ON TABLE onec.store IS 'Магазины и склады';
COMMENT ON COLUMN onec.store.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.store.store_id IS 'Ссылка на магазин в 1С';
COMMENT ON COLUMN onec.store.code IS 'Код';
COMMENT ON COLUMN onec.store.name IS 'Наименование';
COMMENT ON COLUMN onec.store.parent_id IS 'Группа';
COMMENT ON COLUMN onec.store.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.store.is_deleted IS 'В 1С магазина больше нет';

-- Whose a line is: a customer's, or, where the card has no owner, the card's; of nobody known, the
-- document's.  It is part of the key, so that a table can be spread by it over partitions or machines, all
-- that is somebody's in one place; what 1C knows a line by (register, document, number) is unique as well,
-- for the merge sees to it.
CREATE FUNCTION onec_internal.person_of_line(attribution smallint, customer_id uuid, card_id uuid,
											 recorder uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(CASE WHEN attribution <> onec_internal.own_term('anonymous')
						 THEN coalesce(customer_id, card_id) END, recorder);
COMMENT ON FUNCTION onec_internal.person_of_line(smallint, uuid, uuid, uuid) IS
	'Чья строка: покупателя, без него карты, а если он неизвестен — документа (служебная)';

-- The buyer of a line; NULL if he is not known.
CREATE FUNCTION onec_internal.buyer_id(attribution smallint, person_id uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN attribution <> onec_internal.own_term('anonymous') THEN person_id END;
COMMENT ON FUNCTION onec_internal.buyer_id(smallint, uuid) IS
	'Чья строка: покупателя, а без него карты; пусто — ничья (служебная)';

-- Mostly the document of a line is its recorder, and is not kept twice: the type says so.
CREATE FUNCTION onec_internal.is_own_document(document_id uuid, document_type text, recorder uuid,
											  recorder_type text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(document_id = recorder AND document_type = recorder_type, false);
COMMENT ON FUNCTION onec_internal.is_own_document(uuid, text, uuid, text) IS
	'Документ строки — её регистратор (служебная)';
CREATE FUNCTION onec_internal.line_document(document_id uuid, document_type smallint,
											recorder uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN document_type = onec_internal.own_term('recorder') THEN recorder ELSE document_id END;
COMMENT ON FUNCTION onec_internal.line_document(uuid, smallint, uuid) IS 'Документ строки (служебная)';
CREATE FUNCTION onec_internal.line_document_type(document_type smallint, recorder_type smallint)
	RETURNS smallint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN document_type = onec_internal.own_term('recorder') THEN recorder_type
				ELSE document_type END;
COMMENT ON FUNCTION onec_internal.line_document_type(smallint, smallint) IS
	'Номер вида документа строки (служебная)';

CREATE TABLE onec_internal.sale_line (
	period timestamp,
	line_no int NOT NULL,
	store_id onec_internal.reference_number,
	organization_id onec_internal.reference_number,
	server smallint NOT NULL,
	register onec_internal.term_number NOT NULL,
	recorder_type onec_internal.term_number NOT NULL,
	document_type onec_internal.term_number,
	attribution onec_internal.term_number NOT NULL,
	copy smallint NOT NULL DEFAULT 0,
	active boolean,
	recorder uuid NOT NULL,
	person_id uuid NOT NULL,
	customer_id uuid,
	card_id uuid,
	product_id uuid,
	variant_id uuid,
	document_id uuid,
	quantity numeric,
	amount numeric,
	cost numeric,
	PRIMARY KEY (server, recorder, line_no, register, recorder_type, copy, person_id),
	CHECK (person_id = onec_internal.person_of_line(attribution, customer_id, card_id, recorder))
);
-- The key finds the lines of a document: merge, doubles, buyers by the register of cards.  In the indexes of
-- people an entry stands once for all its lines, so that each costs some seven bytes a line.
-- Windows, marts of a time.  The time first: a planner without statistics would look for documents, too, by
-- an index that begins with the server.
CREATE INDEX sale_line_period ON onec_internal.sale_line (period, server);
-- Facts of one buyer or some; profiles, JSON, users of the site.  The buyer first: plans that join by hashing
-- know him alone, those that look lines up one by one the server, too.
CREATE INDEX sale_line_buyer
	ON onec_internal.sale_line (onec_internal.buyer_id(attribution, person_id), server)
	WHERE onec_internal.buyer_id(attribution, person_id) IS NOT NULL;
-- What people ask of the view, and forget.
CREATE INDEX sale_line_customer ON onec_internal.sale_line (customer_id) WHERE customer_id IS NOT NULL;
-- A card gets another owner; the last sales by a card; forget.
CREATE INDEX sale_line_card ON onec_internal.sale_line (card_id) WHERE card_id IS NOT NULL;
CREATE VIEW onec.sale_line AS
	SELECT s.server, g.word AS register, l.recorder, r.word AS recorder_type,
		   l.line_no::bigint AS line_no, l.period, l.active, l.customer_id, l.card_id, l.product_id,
		   l.variant_id, t.id AS store_id, o.id AS organization_id,
		   onec_internal.line_document(l.document_id, l.document_type, l.recorder) AS document_id,
		   d.word AS document_type, l.quantity, l.amount, l.cost, a.word AS attribution, l.copy
	FROM onec_internal.sale_line l JOIN onec_internal.server_number s ON s.number = l.server
	LEFT JOIN onec_internal.term g ON g.number = l.register
	LEFT JOIN onec_internal.term r ON r.number = l.recorder_type
	LEFT JOIN onec_internal.term d
		ON d.number = onec_internal.line_document_type(l.document_type, l.recorder_type)
	LEFT JOIN onec_internal.term a ON a.number = l.attribution
	LEFT JOIN onec_internal.reference t ON t.number = l.store_id
	LEFT JOIN onec_internal.reference o ON o.number = l.organization_id;
COMMENT ON VIEW onec.sale_line IS 'Строки продаж: одна строка регистра 1С — одна строка здесь';
COMMENT ON COLUMN onec.sale_line.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sale_line.register IS
	'Регистр: sales — Продажи, card_sales — ПродажиПоДисконтнымКартам, если других нет';
COMMENT ON COLUMN onec.sale_line.recorder IS 'Регистратор (документ)';
COMMENT ON COLUMN onec.sale_line.recorder_type IS 'Вид регистратора';
COMMENT ON COLUMN onec.sale_line.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.sale_line.period IS 'Дата и время, местные для базы 1С';
COMMENT ON COLUMN onec.sale_line.active IS 'Движение включено';
COMMENT ON COLUMN onec.sale_line.customer_id IS 'Покупатель; NULL — неизвестен';
COMMENT ON COLUMN onec.sale_line.card_id IS 'Дисконтная карта';
COMMENT ON COLUMN onec.sale_line.product_id IS 'Товар';
COMMENT ON COLUMN onec.sale_line.variant_id IS 'Характеристика товара';
COMMENT ON COLUMN onec.sale_line.store_id IS 'Магазин';
COMMENT ON COLUMN onec.sale_line.organization_id IS 'Организация';
COMMENT ON COLUMN onec.sale_line.document_id IS 'Документ продажи';
COMMENT ON COLUMN onec.sale_line.document_type IS 'Вид документа продажи';
COMMENT ON COLUMN onec.sale_line.quantity IS 'Количество; у возвратов меньше нуля';
COMMENT ON COLUMN onec.sale_line.amount IS 'Сумма; у возвратов меньше нуля';
COMMENT ON COLUMN onec.sale_line.cost IS 'Себестоимость';
COMMENT ON COLUMN onec.sale_line.attribution IS
	'Откуда известен покупатель: counterparty, card, card_register, anonymous';
COMMENT ON COLUMN onec.sale_line.copy IS 'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE TABLE onec_internal.card_sale_line (
	period timestamp,
	line_no int NOT NULL,
	server smallint NOT NULL,
	recorder_type onec_internal.term_number NOT NULL,
	copy smallint NOT NULL DEFAULT 0,
	active boolean,
	recorder uuid NOT NULL,
	card_id uuid,
	owner_id uuid,
	product_id uuid,
	variant_id uuid,
	quantity numeric,
	amount numeric,
	discount numeric,
	PRIMARY KEY (server, recorder, line_no, recorder_type, copy)
);
-- Windows.
CREATE INDEX card_sale_line_period ON onec_internal.card_sale_line (period, server);
-- A card gets another owner; forget.
CREATE INDEX card_sale_line_card ON onec_internal.card_sale_line (card_id);
CREATE INDEX card_sale_line_owner ON onec_internal.card_sale_line (owner_id) WHERE owner_id IS NOT NULL;
CREATE VIEW onec.card_sale_line AS
	SELECT s.server, l.recorder, r.word AS recorder_type, l.line_no::bigint AS line_no, l.period,
		   l.active, l.card_id, l.owner_id, l.product_id, l.variant_id, l.quantity, l.amount,
		   l.discount, l.copy
	FROM onec_internal.card_sale_line l JOIN onec_internal.server_number s ON s.number = l.server
	LEFT JOIN onec_internal.term r ON r.number = l.recorder_type;
COMMENT ON VIEW onec.card_sale_line IS
	'Строки продаж по дисконтным картам: нужны, чтобы узнать покупателя; отдельно не суммируются';
COMMENT ON COLUMN onec.card_sale_line.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.card_sale_line.recorder IS 'Регистратор (документ)';
COMMENT ON COLUMN onec.card_sale_line.recorder_type IS 'Вид регистратора';
COMMENT ON COLUMN onec.card_sale_line.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.card_sale_line.period IS 'Дата и время, местные для базы 1С';
COMMENT ON COLUMN onec.card_sale_line.active IS 'Движение включено';
COMMENT ON COLUMN onec.card_sale_line.card_id IS 'Дисконтная карта';
COMMENT ON COLUMN onec.card_sale_line.owner_id IS 'Владелец карты';
COMMENT ON COLUMN onec.card_sale_line.product_id IS 'Товар';
COMMENT ON COLUMN onec.card_sale_line.variant_id IS 'Характеристика товара';
COMMENT ON COLUMN onec.card_sale_line.quantity IS 'Количество';
COMMENT ON COLUMN onec.card_sale_line.amount IS 'Сумма';
COMMENT ON COLUMN onec.card_sale_line.discount IS 'Скидка';
COMMENT ON COLUMN onec.card_sale_line.copy IS 'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE TABLE onec_internal.receipt_journal (
	date timestamp,
	server smallint NOT NULL,
	document_type onec_internal.term_number NOT NULL,
	posted boolean,
	deletion_mark boolean,
	document_id uuid NOT NULL,
	customer_id uuid,
	till_id uuid,
	organization_id uuid,
	number text,
	amount numeric,
	receipt_number text,
	PRIMARY KEY (server, document_id, document_type)
);
-- Windows.
CREATE INDEX receipt_journal_date ON onec_internal.receipt_journal (date, server);
-- Forget.
CREATE INDEX receipt_journal_customer ON onec_internal.receipt_journal (customer_id)
	WHERE customer_id IS NOT NULL;
CREATE VIEW onec.receipt_journal AS
	SELECT s.server, l.document_id, d.word AS document_type, l.date, l.number, l.posted,
		   l.deletion_mark, l.amount, l.receipt_number, l.customer_id, l.till_id, l.organization_id
	FROM onec_internal.receipt_journal l JOIN onec_internal.server_number s ON s.number = l.server
	LEFT JOIN onec_internal.term d ON d.number = l.document_type;
COMMENT ON VIEW onec.receipt_journal IS 'Журнал чеков';
COMMENT ON COLUMN onec.receipt_journal.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.receipt_journal.document_id IS 'Документ';
COMMENT ON COLUMN onec.receipt_journal.document_type IS 'Вид документа';
COMMENT ON COLUMN onec.receipt_journal.date IS 'Дата и время';
COMMENT ON COLUMN onec.receipt_journal.number IS 'Номер';
COMMENT ON COLUMN onec.receipt_journal.posted IS 'Проведён';
COMMENT ON COLUMN onec.receipt_journal.deletion_mark IS 'Пометка удаления';
COMMENT ON COLUMN onec.receipt_journal.amount IS 'Сумма';
COMMENT ON COLUMN onec.receipt_journal.receipt_number IS 'Номер чека';
COMMENT ON COLUMN onec.receipt_journal.customer_id IS 'Покупатель';
COMMENT ON COLUMN onec.receipt_journal.till_id IS 'Касса';
COMMENT ON COLUMN onec.receipt_journal.organization_id IS 'Организация';

CREATE TABLE onec_internal.loyalty_movement (
	period timestamp,
	granted_on timestamp,
	line_no int NOT NULL,
	server smallint NOT NULL,
	recorder_type onec_internal.term_number NOT NULL,
	kind onec_internal.term_number,
	copy smallint NOT NULL DEFAULT 0,
	active boolean,
	recorder uuid NOT NULL,
	card_id uuid,
	accrued numeric,
	spent numeric,
	PRIMARY KEY (server, recorder, line_no, recorder_type, copy)
);
-- Balances of a card; forget, purge.
CREATE INDEX loyalty_movement_card ON onec_internal.loyalty_movement (card_id);
-- Windows; what is dated ahead.
CREATE INDEX loyalty_movement_period ON onec_internal.loyalty_movement (period, server);
CREATE VIEW onec.loyalty_movement AS
	SELECT s.server, l.recorder, r.word AS recorder_type, l.line_no::bigint AS line_no, l.period,
		   l.active, k.word AS kind, l.card_id, l.granted_on, l.accrued, l.spent, l.copy
	FROM onec_internal.loyalty_movement l JOIN onec_internal.server_number s ON s.number = l.server
	LEFT JOIN onec_internal.term r ON r.number = l.recorder_type
	LEFT JOIN onec_internal.term k ON k.number = l.kind;
COMMENT ON VIEW onec.loyalty_movement IS 'Движения бонусных баллов; сгорание записано будущей датой';
COMMENT ON COLUMN onec.loyalty_movement.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.loyalty_movement.recorder IS 'Регистратор (документ)';
COMMENT ON COLUMN onec.loyalty_movement.recorder_type IS 'Вид регистратора';
COMMENT ON COLUMN onec.loyalty_movement.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.loyalty_movement.period IS 'Когда действует';
COMMENT ON COLUMN onec.loyalty_movement.active IS 'Движение включено';
COMMENT ON COLUMN onec.loyalty_movement.kind IS 'Вид движения: Receipt — приход, Expense — расход';
COMMENT ON COLUMN onec.loyalty_movement.card_id IS 'Бонусная карта';
COMMENT ON COLUMN onec.loyalty_movement.granted_on IS 'Дата первоначального начисления';
COMMENT ON COLUMN onec.loyalty_movement.accrued IS 'Начислено';
COMMENT ON COLUMN onec.loyalty_movement.spent IS 'К списанию';
COMMENT ON COLUMN onec.loyalty_movement.copy IS
	'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE TABLE onec_internal.loyalty_lot (
	period timestamp,
	line_no int NOT NULL,
	server smallint NOT NULL,
	recorder_type onec_internal.term_number NOT NULL,
	copy smallint NOT NULL DEFAULT 0,
	active boolean,
	recorder uuid NOT NULL,
	card_id uuid,
	owner_id uuid,
	amount numeric,
	PRIMARY KEY (server, recorder, line_no, recorder_type, copy)
);
-- Windows.
CREATE INDEX loyalty_lot_period ON onec_internal.loyalty_lot (period, server);
-- Forget.
CREATE INDEX loyalty_lot_card ON onec_internal.loyalty_lot (card_id);
CREATE INDEX loyalty_lot_owner ON onec_internal.loyalty_lot (owner_id) WHERE owner_id IS NOT NULL;
CREATE VIEW onec.loyalty_lot AS
	SELECT s.server, l.recorder, r.word AS recorder_type, l.line_no::bigint AS line_no, l.period,
		   l.active, l.card_id, l.owner_id, l.amount, l.copy
	FROM onec_internal.loyalty_lot l JOIN onec_internal.server_number s ON s.number = l.server
	LEFT JOIN onec_internal.term r ON r.number = l.recorder_type;
COMMENT ON VIEW onec.loyalty_lot IS 'Начисления бонусных баллов';
COMMENT ON COLUMN onec.loyalty_lot.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.loyalty_lot.recorder IS 'Регистратор (документ)';
COMMENT ON COLUMN onec.loyalty_lot.recorder_type IS 'Вид регистратора';
COMMENT ON COLUMN onec.loyalty_lot.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.loyalty_lot.period IS 'Дата и время';
COMMENT ON COLUMN onec.loyalty_lot.active IS 'Движение включено';
COMMENT ON COLUMN onec.loyalty_lot.card_id IS 'Бонусная карта';
COMMENT ON COLUMN onec.loyalty_lot.owner_id IS 'Владелец карты';
COMMENT ON COLUMN onec.loyalty_lot.amount IS 'Сумма баллов';
COMMENT ON COLUMN onec.loyalty_lot.copy IS 'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE TABLE onec.customer_order (
	server name NOT NULL,
	order_id uuid NOT NULL,
	number text,
	date timestamp,
	posted boolean,
	deletion_mark boolean,
	customer_id uuid,
	state_id uuid,
	outcome text,
	ship_at timestamp,
	store_id uuid,
	organization_id uuid,
	amount numeric,
	lines jsonb,
	PRIMARY KEY (server, order_id)
);
CREATE INDEX customer_order_date ON onec.customer_order (server, date);
CREATE INDEX customer_order_customer ON onec.customer_order (server, customer_id);
COMMENT ON TABLE onec.customer_order IS 'Заказы покупателей';
COMMENT ON COLUMN onec.customer_order.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_order.order_id IS 'Ссылка на заказ в 1С';
COMMENT ON COLUMN onec.customer_order.number IS 'Номер';
COMMENT ON COLUMN onec.customer_order.date IS 'Дата и время';
COMMENT ON COLUMN onec.customer_order.posted IS 'Проведён';
COMMENT ON COLUMN onec.customer_order.deletion_mark IS 'Пометка удаления';
COMMENT ON COLUMN onec.customer_order.customer_id IS 'Покупатель';
COMMENT ON COLUMN onec.customer_order.state_id IS 'Состояние заказа';
COMMENT ON COLUMN onec.customer_order.outcome IS 'Чем завершён: Успешно, Отменен; пусто — ещё нет';
COMMENT ON COLUMN onec.customer_order.ship_at IS 'Дата отгрузки';
COMMENT ON COLUMN onec.customer_order.store_id IS 'Магазин';
COMMENT ON COLUMN onec.customer_order.organization_id IS 'Организация';
COMMENT ON COLUMN onec.customer_order.amount IS 'Сумма';
COMMENT ON COLUMN onec.customer_order.lines IS 'Строки заказа; таблицей — onec.customer_order_line';

CREATE VIEW onec.customer_order_line AS
	SELECT o.server, o.order_id, l.line_no, l.product_id, l.variant_id, l.quantity, l.price, l.amount
	FROM onec.customer_order o CROSS JOIN LATERAL jsonb_to_recordset(o.lines)
		l (line_no bigint, product_id uuid, variant_id uuid, quantity numeric, price numeric, amount numeric);
COMMENT ON VIEW onec.customer_order_line IS 'Строки заказов покупателей';
COMMENT ON COLUMN onec.customer_order_line.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_order_line.order_id IS 'Заказ';
COMMENT ON COLUMN onec.customer_order_line.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.customer_order_line.product_id IS 'Товар';
COMMENT ON COLUMN onec.customer_order_line.variant_id IS 'Характеристика товара';
COMMENT ON COLUMN onec.customer_order_line.quantity IS 'Количество';
COMMENT ON COLUMN onec.customer_order_line.price IS 'Цена';
COMMENT ON COLUMN onec.customer_order_line.amount IS 'Сумма со скидкой';

SELECT pg_catalog.pg_extension_config_dump('onec.discount_card', '');
SELECT pg_catalog.pg_extension_config_dump('onec.counterparty', '');
SELECT pg_catalog.pg_extension_config_dump('onec.counterparty_contact', '');
SELECT pg_catalog.pg_extension_config_dump('onec.product', '');
SELECT pg_catalog.pg_extension_config_dump('onec.brand', '');
SELECT pg_catalog.pg_extension_config_dump('onec.category', '');
SELECT pg_catalog.pg_extension_config_dump('onec.store', '');
SELECT pg_catalog.pg_extension_config_dump('onec_internal.sale_line', '');
SELECT pg_catalog.pg_extension_config_dump('onec_internal.card_sale_line', '');
SELECT pg_catalog.pg_extension_config_dump('onec_internal.receipt_journal', '');
SELECT pg_catalog.pg_extension_config_dump('onec_internal.loyalty_movement', '');
SELECT pg_catalog.pg_extension_config_dump('onec_internal.loyalty_lot', '');
SELECT pg_catalog.pg_extension_config_dump('onec.customer_order', '');

-- What the short tables hold is what their views say.
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT t.relname, obj_description(v.oid, 'pg_class') AS table_comment, a.attname,
				 col_description(v.oid, b.attnum) AS comment
			 FROM pg_catalog.pg_class t
			 JOIN pg_catalog.pg_class v ON v.relname = t.relname AND v.relnamespace = 'onec'::regnamespace
				 AND v.relkind = 'v'
			 JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
			 LEFT JOIN pg_catalog.pg_attribute b ON b.attrelid = v.oid AND b.attname = a.attname
			 WHERE t.relnamespace = 'onec_internal'::regnamespace AND t.relkind = 'r' LOOP
		EXECUTE format('COMMENT ON TABLE onec_internal.%I IS %L', c.relname,
					   c.table_comment || ': хранение; читайте представление onec.' || c.relname);
		EXECUTE format('COMMENT ON COLUMN onec_internal.%I.%I IS %L', c.relname, c.attname, c.comment);
	END LOOP;
END $$;
COMMENT ON COLUMN onec_internal.sale_line.person_id IS
	'Чья строка: покупателя, без него карты, а если он неизвестен — документа; часть ключа';
-- Goods: the category and the brand of each product, decided here for every mart.

CREATE TABLE onec.category_map (
	priority int PRIMARY KEY,
	pattern text NOT NULL,
	slug text NOT NULL,
	title_ru text NOT NULL
);
COMMENT ON TABLE onec.category_map IS 'Категории товаров для сайта: первое совпавшее выражение выигрывает';
COMMENT ON COLUMN onec.category_map.priority IS 'Порядок';
COMMENT ON COLUMN onec.category_map.pattern IS
	'Регулярное выражение по названию категории, без учёта регистра';
COMMENT ON COLUMN onec.category_map.slug IS 'Обозначение на сайте';
COMMENT ON COLUMN onec.category_map.title_ru IS 'По-русски';
INSERT INTO onec.category_map (priority, pattern, slug, title_ru) VALUES
	(10, 'упаков|пакет|коробк', 'packaging', 'Упаковка'),
	(20, 'комплект|гарнитур|набор', 'sets', 'Комплекты'),
	(30, 'серьг|серёж|сереж|пусет', 'earrings', 'Серьги'), (40, 'кольц', 'rings', 'Кольца'),
	(50, 'колье|ожерель|бусы|чокер', 'necklace', 'Колье'), (60, 'браслет', 'bracelets', 'Браслеты'),
	(70, 'подвес|кулон', 'pendants', 'Подвески'), (80, 'брош', 'brooches', 'Броши');

CREATE TABLE onec.brand_map (
	server name NOT NULL DEFAULT '',
	priority int NOT NULL,
	brand_id uuid,
	pattern text,
	slug text NOT NULL,
	title_ru text NOT NULL,
	PRIMARY KEY (server, priority),
	CHECK (brand_id IS NOT NULL OR pattern IS NOT NULL)
);
COMMENT ON TABLE onec.brand_map IS
	'Марки, как их зовёт сайт: первая подошедшая строка выигрывает; товар без подходящей строки остаётся '
	'при марке, как её зовёт 1С';
COMMENT ON COLUMN onec.brand_map.server IS 'Внешний сервер; пустое имя — для всех';
COMMENT ON COLUMN onec.brand_map.priority IS 'Порядок; строки сервера раньше общих';
COMMENT ON COLUMN onec.brand_map.brand_id IS 'Марка товара в 1С; пусто — любая';
COMMENT ON COLUMN onec.brand_map.pattern IS
	'Регулярное выражение по названию товара, без учёта регистра; пусто — любое';
COMMENT ON COLUMN onec.brand_map.slug IS 'Обозначение';
COMMENT ON COLUMN onec.brand_map.title_ru IS 'По-русски';
SELECT pg_catalog.pg_extension_config_dump('onec.brand_map', '');

-- A category of 1C as the site names it.
CREATE FUNCTION onec_internal.category_slug(name text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN coalesce((SELECT m.slug FROM onec.category_map m WHERE name ~* m.pattern
					 ORDER BY m.priority LIMIT 1), name);
COMMENT ON FUNCTION onec_internal.category_slug(text) IS 'Обозначение категории по её названию (служебная)';

-- The category of a product is what 1C calls so, else the folder it lies in.
CREATE VIEW onec_internal.product_with_category AS
	SELECT p.server, p.product_id, p.name, p.brand_id, coalesce(c.name, f.name) AS category,
		   p.is_deleted OR coalesce(p.deletion_mark, false) OR coalesce(p.is_folder, false) AS withdrawn
	FROM onec.product p
	LEFT JOIN onec.category c ON c.server = p.server AND c.category_id = p.category_id
	LEFT JOIN onec.product f ON f.server = p.server AND f.product_id = p.parent_id;
COMMENT ON VIEW onec_internal.product_with_category IS 'Товары с категорией (служебное)';
COMMENT ON COLUMN onec_internal.product_with_category.category IS 'Категория, а если её нет — группа товара';
COMMENT ON COLUMN onec_internal.product_with_category.withdrawn IS
	'Снят с продажи: удалён, помечен на удаление или группа';

-- The category of each product (all, or those named) as the site names it, and what the product may be used
-- for.
CREATE FUNCTION onec_internal.goods_by_use(server name, products uuid[] DEFAULT NULL)
	RETURNS TABLE (product_id uuid, name text, brand_id uuid, slug text, title text, excluded boolean,
				   consumable boolean, withdrawn boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH list AS MATERIALIZED (
			SELECT onec.get('affinity.exclude_categories', $1)::text[] AS excluded,
				   onec.get('recommend.consumable_categories', $1)::text[] AS consumable),
		-- of the two arms one is empty before it begins
		product AS MATERIALIZED (
			SELECT p.* FROM onec_internal.product_with_category p WHERE p.server = $1 AND $2 IS NULL
			UNION ALL
			SELECT p.* FROM onec_internal.product_with_category p
			WHERE p.server = $1 AND p.product_id = ANY ($2)),
		-- many products have few categories: each name is looked up once
		slug AS MATERIALIZED (
			SELECT n.category, onec_internal.category_slug(n.category) AS value
			FROM (SELECT DISTINCT p.category FROM product p WHERE p.category IS NOT NULL) n),
		titled AS MATERIALIZED (
			SELECT s.category, s.value,
				   coalesce((SELECT m.title_ru FROM onec.category_map m WHERE m.slug = s.value
												  ORDER BY m.priority LIMIT 1), s.value) AS title
			FROM slug s)
		SELECT p.product_id, p.name, p.brand_id, s.value, s.title,
			   coalesce(s.value = ANY (l.excluded), false),
			   coalesce(s.value = ANY (l.consumable), false), p.withdrawn
		FROM product p LEFT JOIN titled s ON s.category = p.category CROSS JOIN list l;
	END;
COMMENT ON FUNCTION onec_internal.goods_by_use(name, uuid[]) IS
	'Категории товаров (всех или названных), и для чего товары годятся (служебная)';

-- What a product is worth to a taste: its category, its brand; none for packaging and its like.
CREATE FUNCTION onec_internal.product_tags(server name, products uuid[] DEFAULT NULL)
	RETURNS TABLE (product_id uuid, kind text, value_id text, title text)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH kept AS MATERIALIZED (SELECT g.* FROM onec_internal.goods_by_use($1, $2) g
							  WHERE NOT g.excluded)
		SELECT k.product_id, 'category'::text, k.slug, k.title FROM kept k WHERE k.slug IS NOT NULL
		UNION ALL
		SELECT b.product_id, 'brand', b.value_id, b.title
		FROM (SELECT k.product_id, coalesce(m.slug, k.brand_id::text) AS value_id,
					 coalesce(m.title_ru, n.name, k.brand_id::text) AS title
			  FROM kept k LEFT JOIN onec.brand n ON n.server = $1 AND n.brand_id = k.brand_id
			  LEFT JOIN LATERAL (
				SELECT m.slug, m.title_ru FROM onec.brand_map m
				WHERE m.server IN ($1, '') AND (m.brand_id IS NULL OR m.brand_id = k.brand_id)
				  AND (m.pattern IS NULL OR k.name ~* m.pattern)
				ORDER BY m.server = '', m.priority LIMIT 1) m ON true) b
		WHERE b.value_id IS NOT NULL;
	END;
COMMENT ON FUNCTION onec_internal.product_tags(name, uuid[]) IS
	'Категория и марка каждого товара, всех или названных (служебная)';
-- Facts: which rows count, whose they are, what a receipt, a purchase, a visit is, what a point is worth.
-- Every reader, mart, document and report asks here; nothing else decides it (test/lint: one_fact).
--
-- All of it is views and functions that the planner looks into: a condition on a customer reaches the index
-- of the lines.  "till" is the moment up to which things are known, itself left out: the day after as_of;
-- NULL means the end of today.  It is a day's end and not the minute because documents that close a shift are
-- dated ahead within their day.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('count_free_receipts', 'bool', 'false', NULL, NULL, NULL,
	 'Считать покупками чеки, в которых всё отдано даром; оплаченные баллами считаются всегда'),
	('loyalty.rule', 'text', 'auto', '{auto,signed,unsigned}', NULL, NULL,
	 'Как складываются движения баллов: signed — расход со знаком минус, unsigned — начислено без '
	 'списанного, auto — как сходится с остатками 1С');

-- ---- points ----

CREATE TABLE onec.loyalty_rule (
	server name PRIMARY KEY,
	rule text NOT NULL CHECK (rule IN ('signed', 'unsigned')),
	cards int NOT NULL,
	agree int NOT NULL,
	message text,
	checked_at timestamptz NOT NULL
);
COMMENT ON TABLE onec.loyalty_rule IS 'Какое правило сложения баллов сходится с остатками самой 1С';
COMMENT ON COLUMN onec.loyalty_rule.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.loyalty_rule.rule IS
	'signed — расход со знаком минус, unsigned — начислено без списанного';
COMMENT ON COLUMN onec.loyalty_rule.cards IS 'Карт сравнено; 0 — остатков 1С не дала';
COMMENT ON COLUMN onec.loyalty_rule.agree IS 'У скольких из них остаток равен остатку 1С';
COMMENT ON COLUMN onec.loyalty_rule.message IS 'Почему остатки 1С не прочитаны';
COMMENT ON COLUMN onec.loyalty_rule.checked_at IS 'С какого времени сравнение даёт этот итог';
SELECT pg_catalog.pg_extension_config_dump('onec.loyalty_rule', '');

-- The rule in force.  1C says of each movement whether it is a receipt or an expense, unless the register
-- knows turnovers only.
CREATE FUNCTION onec_internal.loyalty_rule_in_force(server name) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE s.rule WHEN 'auto' THEN
					coalesce((SELECT r.rule FROM onec.loyalty_rule r WHERE r.server = $1), 'signed')
						ELSE s.rule END
		FROM (SELECT onec.get('loyalty.rule', $1) AS rule) s;
	END;
COMMENT ON FUNCTION onec_internal.loyalty_rule_in_force(name) IS
	'Действующее правило сложения баллов (служебная)';

-- What one movement adds.  Only under "signed" does an expense subtract: a register without signs writes what
-- is spent in a column of its own.
CREATE FUNCTION onec_internal.movement_points(kind text, accrued numeric, spent numeric,
											  rule text) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN rule = 'signed' AND kind = 'Expense' THEN -1 ELSE 1 END
		* (coalesce(accrued, 0) - coalesce(spent, 0));
COMMENT ON FUNCTION onec_internal.movement_points(text, numeric, numeric, text) IS
	'Что прибавляет движение баллов (служебная)';

-- What is asked of every shop: its clock, its rules.  Worked out once for a query, whatever the planner takes
-- the other tables for: of those just filled it knows nothing, and would ask for each line.
CREATE VIEW onec_internal.shop_rules AS
	WITH shop AS MATERIALIZED (
		SELECT c.server, c.now, c.now::date AS today,
			   onec.get('exclude_recorder_types', c.server)::text[] AS excluded,
			   nullif(onec.get('organization_ids', c.server)::uuid[], '{}') AS organizations,
			   onec.get('count_free_receipts', c.server)::boolean AS counts_free,
			   onec.get('loyalty.enabled', c.server)::boolean AS has_loyalty,
			   onec_internal.loyalty_rule_in_force(c.server) AS points_rule
		FROM onec_internal.base_clock c),
	numbered AS MATERIALIZED (
		SELECT s.*, n.number,
			   ARRAY(SELECT t.number FROM onec_internal.term t
					 WHERE t.word = ANY (s.excluded)) AS excluded_terms,
			   CASE WHEN s.organizations IS NOT NULL
					THEN ARRAY(SELECT r.number FROM onec_internal.reference r
							   WHERE r.id = ANY (s.organizations)) END AS organization_numbers
		FROM shop s LEFT JOIN onec_internal.server_number n ON n.server = s.server)
	SELECT s.server, s.now, s.today, s.excluded, s.organizations, s.counts_free, s.has_loyalty,
		   s.points_rule, s.number, s.excluded_terms, s.organization_numbers
	FROM numbered s;
COMMENT ON VIEW onec_internal.shop_rules IS 'Часы и правила серверов (служебное)';
COMMENT ON COLUMN onec_internal.shop_rules.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.shop_rules.now IS 'Который час в базе 1С';
COMMENT ON COLUMN onec_internal.shop_rules.today IS 'Какой там день';
COMMENT ON COLUMN onec_internal.shop_rules.excluded IS 'Документы, которые не покупки';
COMMENT ON COLUMN onec_internal.shop_rules.organizations IS 'Учитываемые организации; NULL — все';
COMMENT ON COLUMN onec_internal.shop_rules.counts_free IS
	'Считаются ли покупками чеки, в которых всё отдано даром';
COMMENT ON COLUMN onec_internal.shop_rules.has_loyalty IS 'Читаются ли баллы';
COMMENT ON COLUMN onec_internal.shop_rules.points_rule IS 'Действующее правило сложения баллов';
COMMENT ON COLUMN onec_internal.shop_rules.number IS 'Номер сервера в строках больших таблиц';
COMMENT ON COLUMN onec_internal.shop_rules.organization_numbers IS
	'Номера учитываемых организаций; NULL — все';
COMMENT ON COLUMN onec_internal.shop_rules.excluded_terms IS 'Номера видов документов, которые не покупки';

CREATE VIEW onec_internal.counted_points AS
	SELECT w.server, m.card_id, m.period, m.recorder,
		   onec_internal.movement_points(k.word, m.accrued, m.spent, w.points_rule) AS points
	FROM onec_internal.shop_rules w JOIN onec_internal.loyalty_movement m ON m.server = w.number
	LEFT JOIN onec_internal.term k ON k.number = m.kind
	WHERE m.active IS NOT FALSE AND m.period IS NOT NULL;
COMMENT ON VIEW onec_internal.counted_points IS
	'Что прибавляет каждое движение баллов по действующему правилу (служебное)';
COMMENT ON COLUMN onec_internal.counted_points.points IS 'Баллов; меньше нуля — списано';

-- Expiry is written together with the accrual, with a date ahead, and what is spent meanwhile is taken back
-- from it in a row of the same date: so movements ahead are added up by card and moment.  One row for what a
-- card has (period NULL), one for each moment ahead, up to "till" if that is given.
CREATE FUNCTION onec_internal.points_ahead(server name, at timestamp, till timestamp)
	RETURNS TABLE (card_id uuid, period timestamp, points numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.card_id, CASE WHEN p.period > $2 THEN p.period END, sum(p.points)
		FROM onec_internal.counted_points p WHERE p.server = $1 AND (p.period < $3) IS NOT FALSE
		GROUP BY 1, 2;
	END;
COMMENT ON FUNCTION onec_internal.points_ahead(name, timestamp, timestamp) IS
	'Остатки баллов по картам на момент (period пуст) и суммы будущих движений по '
	'картам и моментам (служебная)';

-- ---- lines ----

-- An empty date is none, whichever way it is written; what is dated ahead is not yet.
CREATE FUNCTION onec_internal.is_dated_before(period timestamp, till timestamp) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN period >= '0001-01-02'::timestamp AND period < till;
COMMENT ON FUNCTION onec_internal.is_dated_before(timestamp, timestamp) IS
	'Есть ли у строки дата, и раньше ли она указанного времени (служебная)';

-- Whether a row sells or takes back anything: it is switched on, and not one of cost alone.
CREATE FUNCTION onec_internal.sells(active boolean, quantity numeric, amount numeric) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN active IS NOT FALSE AND NOT (coalesce(quantity, 0) = 0 AND coalesce(amount, 0) = 0);
COMMENT ON FUNCTION onec_internal.sells(boolean, numeric, numeric) IS
	'Есть ли в строке продажа или возврат (служебная)';

-- Whether the shop counts what documents of that type, of that organization, hold.
CREATE FUNCTION onec_internal.is_let_in(recorder_type smallint, organization_id int,
										excluded_terms smallint[], organizations int[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN recorder_type <> ALL (excluded_terms)
		AND coalesce(organization_id = ANY (organizations), organizations IS NULL);
COMMENT ON FUNCTION onec_internal.is_let_in(smallint, int, smallint[], int[]) IS
	'Учитываются ли документы этого вида и этой организации (служебная)';

-- The document of which a row is a part.
CREATE FUNCTION onec_internal.receipt_of(document_id uuid, recorder uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(document_id, recorder);
COMMENT ON FUNCTION onec_internal.receipt_of(uuid, uuid) IS 'Документ покупки (служебная)';

-- The lines that count.  They are chosen by numbers; of the words only those are looked up that somebody asks
-- for.
CREATE VIEW onec_internal.counted_line AS
	SELECT w.server, onec_internal.buyer_id(l.attribution, l.person_id) AS customer_id,
		   onec_internal.receipt_of(l.document_id, l.recorder) AS receipt_id,
		   CASE WHEN l.document_id IS NOT NULL THEN d.word ELSE r.word END AS receipt_type,
		   l.period, l.product_id, t.id AS store_id, coalesce(l.quantity, 0) AS quantity,
		   coalesce(l.amount, 0) AS amount, l.cost, l.card_id,
		   onec_internal.line_document(l.document_id, l.document_type, l.recorder) AS document_id,
		   d.word AS document_type, l.recorder, r.word AS recorder_type, l.line_no::bigint AS line_no,
		   a.word AS attribution, w.today, w.counts_free
	FROM onec_internal.shop_rules w JOIN onec_internal.sale_line l ON l.server = w.number
	LEFT JOIN onec_internal.term r ON r.number = l.recorder_type
	LEFT JOIN onec_internal.term d
		ON d.number = onec_internal.line_document_type(l.document_type, l.recorder_type)
	LEFT JOIN onec_internal.term a ON a.number = l.attribution
	LEFT JOIN onec_internal.reference t ON t.number = l.store_id
	WHERE onec_internal.sells(l.active, l.quantity, l.amount)
	  AND onec_internal.is_let_in(l.recorder_type, l.organization_id, w.excluded_terms,
									w.organization_numbers);
COMMENT ON VIEW onec_internal.counted_line IS 'Учитываемые строки продаж (служебное)';
COMMENT ON COLUMN onec_internal.counted_line.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта; пусто — неизвестен';
COMMENT ON COLUMN onec_internal.counted_line.receipt_id IS 'Документ покупки';
COMMENT ON COLUMN onec_internal.counted_line.receipt_type IS 'Вид документа покупки';
COMMENT ON COLUMN onec_internal.counted_line.today IS 'Какой в базе день';
COMMENT ON COLUMN onec_internal.counted_line.counts_free IS
	'Считаются ли покупками чеки, в которых всё отдано даром';

-- Those of a shop that are known by "till": all of them, also of unknown buyers, or those of some customers.
-- Of the two arms one is empty before it begins, and the other is found by its own index: "all or these" in
-- one condition would forbid that.  The time of some customers' lines is written so that no index of it can
-- be taken: a planner without statistics thinks that all lines before now are few.
CREATE FUNCTION onec_internal.counted_lines(server name, till timestamp,
											customers uuid[]) RETURNS SETOF onec_internal.counted_line
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND $3 IS NULL
		  AND onec_internal.is_dated_before(l.period, coalesce($2, l.today + 1))
		UNION ALL
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND l.customer_id = ANY ($3)
		  AND onec_internal.is_dated_before(l.period + interval '0', coalesce($2, l.today + 1));
	END;
COMMENT ON FUNCTION onec_internal.counted_lines(name, timestamp, uuid[]) IS
	'Учитываемые строки продаж до указанного времени: все или названных покупателей (служебная)';

-- Those of some days, through their index.
CREATE FUNCTION onec_internal.counted_lines_between(server name, since timestamp,
													till timestamp) RETURNS SETOF onec_internal.counted_line
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND l.period >= $2 AND onec_internal.is_dated_before(l.period, $3);
	END;
COMMENT ON FUNCTION onec_internal.counted_lines_between(name, timestamp, timestamp) IS
	'Учитываемые строки продаж с одного времени до другого (служебная)';

-- Those that were dated ahead on a day, and have come to pass since.  Of the view itself: a run with nothing
-- new asks this, too, and must find by the index of the period that there are none.
CREATE FUNCTION onec_internal.lines_come_since(server name, day date) RETURNS SETOF onec_internal.counted_line
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND $2 < l.today AND l.period >= ($2 + 1)::timestamp
		  AND onec_internal.is_dated_before(l.period, l.today + 1);
	END;
COMMENT ON FUNCTION onec_internal.lines_come_since(name, date) IS
	'Строки продаж, которые в этот день были ещё впереди, а теперь наступили (служебная)';

-- ---- receipts ----

-- Whether points were spent in a document, on its day: that they will expire is written with it, too.
CREATE FUNCTION onec_internal.paid_with_points(server name, recorder uuid, at timestamp) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN EXISTS (
		SELECT FROM onec.loyalty_movement m
		WHERE m.server = $1 AND m.recorder = $2 AND m.active IS NOT FALSE AND m.period < $3::date + 1
		  AND onec_internal.movement_points(m.kind, m.accrued, m.spent,
											onec_internal.loyalty_rule_in_force($1)) < 0);
COMMENT ON FUNCTION onec_internal.paid_with_points(name, uuid, timestamp) IS
	'Списаны ли документом баллы (служебная)';

-- A receipt is a purchase if something was sold and not all came back, or if all was given for nothing
-- ("given" of it) and that counts: because the shop says so, or because points paid for it.
CREATE FUNCTION onec_internal.is_purchase(sold boolean, net numeric, free boolean, given numeric,
										  counts_free boolean,
										  server name, recorder text, at timestamp) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN sold AND net > 0
		OR free AND given > 0 AND (counts_free OR onec_internal.paid_with_points(server, recorder::uuid, at));
COMMENT ON FUNCTION onec_internal.is_purchase(boolean, numeric, boolean, numeric, boolean, name, text,
											  timestamp) IS
	'Покупка ли чек (служебная)';

-- A receipt is a document and a customer, for a report of a shift holds many of them; its time is that of its
-- first line.
CREATE FUNCTION onec_internal.receipts_till(server name, till timestamp, customers uuid[])
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, net numeric, gross numeric,
				   returned numeric, lines bigint, items numeric, is_purchase boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.customer_id, l.receipt_id, min(l.period), sum(l.amount),
			   sum(l.amount) FILTER (WHERE l.amount > 0), sum(l.amount) FILTER (WHERE l.amount < 0), count(*),
			   sum(l.quantity),
			   onec_internal.is_purchase(bool_or(l.amount > 0), sum(l.amount), bool_and(l.amount = 0),
										 sum(l.quantity) FILTER (WHERE l.amount = 0),
										 bool_or(l.counts_free), $1,
										 min(l.recorder::text) FILTER (WHERE l.amount = 0), min(l.period))
		FROM onec_internal.counted_lines($1, $2, $3) l GROUP BY l.customer_id, l.receipt_id;
	END;
COMMENT ON FUNCTION onec_internal.receipts_till(name, timestamp, uuid[]) IS
	'Чеки до указанного времени: все или названных покупателей (служебная)';

-- The lines again, each with the time of its receipt and whether that is a purchase.
CREATE FUNCTION onec_internal.receipt_lines_till(server name, till timestamp, customers uuid[])
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, is_purchase boolean, period timestamp,
				   product_id uuid, store_id uuid, quantity numeric, amount numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.customer_id, l.receipt_id, min(l.period) OVER w,
			   onec_internal.is_purchase(
				   bool_or(l.amount > 0) OVER w, sum(l.amount) OVER w, bool_and(l.amount = 0) OVER w,
				   sum(l.quantity) FILTER (WHERE l.amount = 0) OVER w, l.counts_free, $1,
				   min(l.recorder::text) FILTER (WHERE l.amount = 0) OVER w, min(l.period) OVER w),
			   l.period, l.product_id, l.store_id, l.quantity, l.amount
		FROM onec_internal.counted_lines($1, $2, $3) l
		WINDOW w AS (PARTITION BY l.customer_id, l.receipt_id);
	END;
COMMENT ON FUNCTION onec_internal.receipt_lines_till(name, timestamp, uuid[]) IS
	'Учитываемые строки продаж с временем чека и тем, покупка ли он (служебная)';

-- A visit is a day with a purchase: the day of a receipt.
CREATE FUNCTION onec_internal.visit_day(at timestamp) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN at::date;
COMMENT ON FUNCTION onec_internal.visit_day(timestamp) IS 'День визита: день чека (служебная)';

-- Weight halves with age.  After seven hundred halvings nothing is left that any rounding would show, and
-- more would be an error of underflow.
CREATE FUNCTION onec_internal.faded_weight(at timestamp, moment timestamp,
										   half_life_days float8) RETURNS float8
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN power(2, -least(greatest(date_part('epoch', moment - at) / 86400, 0) / half_life_days, 700));
COMMENT ON FUNCTION onec_internal.faded_weight(timestamp, timestamp, float8) IS
	'Что осталось от веса к моменту, если за столько дней он падает вдвое (служебная)';
-- Receipts that are kept, so that what tells of the whole shop need not put all lines together each time.
--
-- A part of a receipt is what one document adds to it at one moment, of one buyer, store and organization: it
-- follows from the lines alone, whatever the shop's rules are, and these are applied when it is read.
-- Triggers of the lines keep it, of the documents touched, whoever writes them.  Most receipts are one part,
-- which says so: only the others are put together.
--
-- A dump leaves it out: who restores the lines makes it again.

CREATE TABLE onec_internal.receipt_part (
	period timestamp NOT NULL,
	part int NOT NULL,
	lines int NOT NULL,
	store_id onec_internal.reference_number,
	organization_id onec_internal.reference_number,
	server smallint NOT NULL,
	recorder_type onec_internal.term_number NOT NULL,
	alone boolean NOT NULL,
	receipt_id uuid NOT NULL,
	recorder uuid,
	customer_id uuid,
	quantity numeric NOT NULL,
	net numeric NOT NULL,
	gross numeric,
	returned numeric,
	given numeric,
	PRIMARY KEY (receipt_id, part, server)
);
-- The key finds the parts of a receipt when its lines change.
-- Receipts of some days.
CREATE INDEX receipt_part_period ON onec_internal.receipt_part (period, server);
-- Receipts of somebody.
CREATE INDEX receipt_part_customer ON onec_internal.receipt_part (customer_id) WHERE customer_id IS NOT NULL;
-- Those that have to be put together.
CREATE INDEX receipt_part_several ON onec_internal.receipt_part (period, server) WHERE NOT alone;
COMMENT ON TABLE onec_internal.receipt_part IS
	'Части чеков: что в чек внёс один документ в один момент, одного покупателя, магазина и организации';
COMMENT ON COLUMN onec_internal.receipt_part.period IS 'Дата и время строк';
COMMENT ON COLUMN onec_internal.receipt_part.part IS 'Номер части у чека';
COMMENT ON COLUMN onec_internal.receipt_part.lines IS 'Строк';
COMMENT ON COLUMN onec_internal.receipt_part.server IS 'Номер внешнего сервера';
COMMENT ON COLUMN onec_internal.receipt_part.recorder_type IS 'Номер вида документа';
COMMENT ON COLUMN onec_internal.receipt_part.alone IS 'Единственная часть чека этого покупателя';
COMMENT ON COLUMN onec_internal.receipt_part.receipt_id IS 'Документ покупки';
COMMENT ON COLUMN onec_internal.receipt_part.recorder IS
	'Документ, чьи это строки; пусто — документ самой покупки';
COMMENT ON COLUMN onec_internal.receipt_part.customer_id IS 'Покупатель; пусто — неизвестен';
COMMENT ON COLUMN onec_internal.receipt_part.store_id IS 'Номер магазина';
COMMENT ON COLUMN onec_internal.receipt_part.organization_id IS 'Номер организации';
COMMENT ON COLUMN onec_internal.receipt_part.quantity IS 'Штук';
COMMENT ON COLUMN onec_internal.receipt_part.net IS 'Сумма за вычетом возвратов';
COMMENT ON COLUMN onec_internal.receipt_part.gross IS 'Продано; пусто — ничего';
COMMENT ON COLUMN onec_internal.receipt_part.returned IS 'Возвращено, меньше нуля; пусто — ничего';
COMMENT ON COLUMN onec_internal.receipt_part.given IS 'Штук, отданных даром; пусто — таких строк нет';

-- ---- kept with the lines ----

-- The receipts that a statement touches, anew: the parts of the documents that it touches from their lines,
-- those of others as they were.  What is there is locked first, in one order: who changes lines of the same
-- receipt waits here, then sees the other's.  Where nothing is there yet, the lines that came are all; else
-- documents are looked up one by one, whatever the planner takes the tables for.  Receipts are gone through
-- in the order of the key: neighbours are on one page of its index.
CREATE FUNCTION onec_internal.keep_receipts() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB' SET enable_seqscan = off SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	servers smallint[];
	receipts uuid[];
	recorders uuid[];
	locked bigint;
	known bigint;
	fresh boolean;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		DELETE FROM onec_internal.receipt_part;
		RETURN NULL;
	ELSIF TG_OP = 'UPDATE' THEN
		SELECT array_agg(x.server), array_agg(x.id), array_agg(x.recorder) INTO servers, receipts, recorders
		FROM (SELECT l.server, onec_internal.receipt_of(l.document_id, l.recorder) AS id, l.recorder
			  FROM former_line l
			  UNION
			  SELECT l.server, onec_internal.receipt_of(l.document_id, l.recorder), l.recorder
			  FROM changed_line l ORDER BY id) x;
	ELSE
		SELECT array_agg(x.server), array_agg(x.id), array_agg(x.recorder) INTO servers, receipts, recorders
		FROM (SELECT DISTINCT l.server, onec_internal.receipt_of(l.document_id, l.recorder) AS id, l.recorder
			  FROM changed_line l ORDER BY id) x;
	END IF;
	LOOP
		PERFORM FROM unnest(servers, receipts) k (server, id)
		JOIN onec_internal.receipt_part p ON p.receipt_id = k.id AND p.server = k.server
		ORDER BY p.receipt_id, p.part, p.server FOR UPDATE OF p;
		GET DIAGNOSTICS locked = ROW_COUNT;
		-- whom it has waited for has put others in their place
		known := (SELECT count(*) FROM unnest(servers, receipts) k (server, id)
				  JOIN onec_internal.receipt_part p ON p.receipt_id = k.id AND p.server = k.server);
		EXIT WHEN known = locked;
	END LOOP;
	fresh := TG_OP = 'INSERT' AND known = 0;
	WITH former AS (
		DELETE FROM onec_internal.receipt_part p
		USING (SELECT u.server, u.id, array_agg(u.recorder) AS recorders
			   FROM unnest(servers, receipts, recorders) u (server, id, recorder) GROUP BY 1, 2) k
		WHERE known > 0 AND p.receipt_id = k.id AND p.server = k.server
		RETURNING p.*, onec_internal.receipt_of(p.recorder, p.receipt_id) = ANY (k.recorders) AS is_anew)
	INSERT INTO onec_internal.receipt_part
	SELECT g.period, row_number() OVER (PARTITION BY g.id, g.server
									   ORDER BY g.customer_id, g.recorder, g.period, g.store_id,
												g.organization_id, g.recorder_type), g.lines, g.store_id,
		   g.organization_id, g.server, g.recorder_type,
		   count(*) OVER (PARTITION BY g.id, g.server, g.customer_id) = 1, g.id, nullif(g.recorder, g.id),
		   g.customer_id, g.quantity, g.net, g.gross, g.returned, g.given
	FROM (SELECT l.period, count(*) AS lines, l.server, l.recorder_type,
				 onec_internal.receipt_of(l.document_id, l.recorder) AS id, l.recorder,
				 onec_internal.buyer_id(l.attribution, l.person_id) AS customer_id, l.store_id,
				 l.organization_id, sum(coalesce(l.quantity, 0)) AS quantity,
				 sum(coalesce(l.amount, 0)) AS net, sum(l.amount) FILTER (WHERE l.amount > 0) AS gross,
				 sum(l.amount) FILTER (WHERE l.amount < 0) AS returned,
				 sum(l.quantity) FILTER (WHERE coalesce(l.amount, 0) = 0) AS given
		  FROM (SELECT c.* FROM changed_line c WHERE fresh
				UNION ALL
				SELECT s.* FROM unnest(servers, receipts, recorders) k (server, id, recorder)
				JOIN onec_internal.sale_line s ON s.server = k.server AND s.recorder = k.recorder
				WHERE NOT fresh AND onec_internal.receipt_of(s.document_id, s.recorder) = k.id) l
		  WHERE l.period IS NOT NULL AND onec_internal.sells(l.active, l.quantity, l.amount)
		  GROUP BY l.server, 5, l.recorder, l.period, l.recorder_type, 7, l.store_id, l.organization_id
		  UNION ALL
		  SELECT f.period, f.lines, f.server, f.recorder_type, f.receipt_id,
				 onec_internal.receipt_of(f.recorder, f.receipt_id), f.customer_id, f.store_id,
				 f.organization_id, f.quantity, f.net, f.gross, f.returned, f.given
		  FROM former f WHERE NOT f.is_anew) g;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.keep_receipts() IS 'Части чеков следуют строкам продаж (служебная)';
CREATE TRIGGER keep_receipts_inserted AFTER INSERT ON onec_internal.sale_line
	REFERENCING NEW TABLE AS changed_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();
CREATE TRIGGER keep_receipts_updated AFTER UPDATE ON onec_internal.sale_line
	REFERENCING OLD TABLE AS former_line NEW TABLE AS changed_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();
CREATE TRIGGER keep_receipts_deleted AFTER DELETE ON onec_internal.sale_line
	REFERENCING OLD TABLE AS changed_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();
CREATE TRIGGER keep_receipts_truncated AFTER TRUNCATE ON onec_internal.sale_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();

-- ---- read by the shop's rules ----

CREATE VIEW onec_internal.counted_part AS
	SELECT w.server, p.customer_id, p.receipt_id, p.period, t.id AS store_id,
		   onec_internal.receipt_of(p.recorder, p.receipt_id) AS recorder, p.lines,
		   p.quantity AS items, p.net, p.gross, p.returned, p.given, p.alone, w.today, w.counts_free
	FROM onec_internal.shop_rules w JOIN onec_internal.receipt_part p ON p.server = w.number
	LEFT JOIN onec_internal.reference t ON t.number = p.store_id
	WHERE onec_internal.is_let_in(p.recorder_type, p.organization_id, w.excluded_terms,
									w.organization_numbers);
COMMENT ON VIEW onec_internal.counted_part IS 'Части чеков из учитываемых строк (служебное)';
COMMENT ON COLUMN onec_internal.counted_part.items IS 'Штук';

-- The receipts of a shop that are known by "till": what onec_internal.receipts_till puts together of lines.
CREATE FUNCTION onec_internal.kept_receipts(server name, till timestamp)
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, net numeric, gross numeric,
				   returned numeric, lines bigint, items numeric, is_purchase boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.customer_id, p.receipt_id, p.period, p.net, p.gross, p.returned, p.lines::bigint, p.items,
			   onec_internal.is_purchase(p.gross IS NOT NULL, p.net,
										 p.gross IS NULL AND p.returned IS NULL, p.given, p.counts_free, $1,
										 p.recorder::text, p.period)
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		UNION ALL
		SELECT p.customer_id, p.receipt_id, min(p.period), sum(p.net), sum(p.gross), sum(p.returned),
			   sum(p.lines), sum(p.items),
			   onec_internal.is_purchase(bool_or(p.gross IS NOT NULL), sum(p.net),
										 bool_and(p.gross IS NULL AND p.returned IS NULL), sum(p.given),
										 bool_or(p.counts_free), $1,
										 min(p.recorder::text) FILTER (WHERE p.given IS NOT NULL),
										 min(p.period))
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND NOT p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		GROUP BY p.customer_id, p.receipt_id;
	END;
COMMENT ON FUNCTION onec_internal.kept_receipts(name, timestamp) IS
	'Все чеки магазина до указанного времени, из хранимых частей (служебная)';

-- Their parts, each with the time of its receipt and whether that is a purchase; "is_first" is true of the
-- first part of each receipt, "once" of one of each receipt and store.
CREATE FUNCTION onec_internal.kept_parts(server name, till timestamp)
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, is_purchase boolean, period timestamp,
				   store_id uuid, items numeric, net numeric, gross numeric, returned numeric,
				   is_first boolean, once boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.customer_id, p.receipt_id, p.period,
			   onec_internal.is_purchase(p.gross IS NOT NULL, p.net,
										 p.gross IS NULL AND p.returned IS NULL, p.given, p.counts_free, $1,
										 p.recorder::text, p.period),
			   p.period, p.store_id, p.items, p.net, p.gross, p.returned, true, true
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		UNION ALL
		SELECT p.customer_id, p.receipt_id, min(p.period) OVER w,
			   onec_internal.is_purchase(
				   bool_or(p.gross IS NOT NULL) OVER w, sum(p.net) OVER w,
				   bool_and(p.gross IS NULL AND p.returned IS NULL) OVER w, sum(p.given) OVER w,
				   p.counts_free, $1, min(p.recorder::text) FILTER (WHERE p.given IS NOT NULL) OVER w,
				   min(p.period) OVER w),
			   p.period, p.store_id, p.items, p.net, p.gross, p.returned,
			   row_number() OVER (w ORDER BY p.period) = 1,
			   row_number() OVER (PARTITION BY p.customer_id, p.receipt_id, p.store_id) = 1
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND NOT p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		WINDOW w AS (PARTITION BY p.customer_id, p.receipt_id);
	END;
COMMENT ON FUNCTION onec_internal.kept_parts(name, timestamp) IS
	'Части чеков магазина с временем чека и тем, покупка ли он (служебная)';
-- Who is forgotten, and what is too old to be kept: neither comes back with the next reading.
--
-- 1C goes on holding whom we forget, and every sync would bring them back.  So their references, which say
-- nothing by themselves, stay in onec.forgotten, and the rows that a sync stages are passed through
-- onec_internal.drop_forgotten_from_staged.

CREATE TABLE onec.forgotten (
	server name NOT NULL,
	id uuid NOT NULL,
	forgotten_at timestamptz NOT NULL DEFAULT now(),
	requested_by name NOT NULL DEFAULT session_user,
	PRIMARY KEY (server, id)
);
COMMENT ON TABLE onec.forgotten IS
	'Кого забыли (onec.forget): только ссылки 1С, чтобы синхронизация не вернула человека; строку можно '
	'удалить, когда он снова согласен';
COMMENT ON COLUMN onec.forgotten.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.forgotten.id IS 'Ссылка на контрагента или карту в 1С';
COMMENT ON COLUMN onec.forgotten.forgotten_at IS 'Когда';
COMMENT ON COLUMN onec.forgotten.requested_by IS 'Кто вызвал: роль PostgreSQL';
SELECT pg_catalog.pg_extension_config_dump('onec.forgotten', '');

-- The day before which purchases are neither kept nor read.  Points are: their balances are sums of all
-- movements.
CREATE FUNCTION onec_internal.purchases_kept_since(server name, target text) RETURNS timestamp
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days int;
	since date;
BEGIN
	IF (SELECT t.purge FROM onec.target t WHERE t.target = purchases_kept_since.target) = 'date' THEN
		since := (SELECT b.purged_before FROM onec_internal.base b
				  WHERE b.server = purchases_kept_since.server);
		days := onec.get('keep.purchase_days', server);
		IF days > 0 THEN
			since := greatest(since, (now() AT TIME ZONE onec_internal.server_zone(server))::date - days);
		END IF;
	END IF;
	RETURN coalesce(since::timestamp, onec_internal.first_moment());
END $$;
COMMENT ON FUNCTION onec_internal.purchases_kept_since(name, text) IS
	'С какого дня хранятся покупки (служебная)';

-- Whoever makes rows about people of a base (shared) and whoever erases them (alone) wait for one another,
-- and what they read from then on is what the other has left.  A snapshot that is older than the lock would
-- show whom nobody may see any more.  Nobody waits who only reads, nor whoever is at work on another base.
CREATE FUNCTION onec_internal.lock_people(server name, alone boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key bigint := hashtextextended('onec people ' || server, 0);
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		RAISE invalid_transaction_state USING
			MESSAGE = 'rows about people are written and erased in READ COMMITTED only',
			DETAIL = 'Whoever is forgotten meanwhile would be seen, or left, by a transaction '
					 'that looks at an older state.',
			HINT = 'SET default_transaction_isolation = ''read committed'' first.';
	ELSIF alone THEN
		PERFORM pg_advisory_xact_lock(key);
	ELSE
		PERFORM pg_advisory_xact_lock_shared(key);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.lock_people(name, boolean) IS
	'Не дать забывать людей базы или, если alone, записывать их до конца транзакции (служебная)';

-- Which rows are about people, by which columns, and what is to become of them: of what is synced its target
-- says so; what is made of it here goes, and what is added later is found as well.
CREATE FUNCTION onec_internal.tables_about_people() RETURNS TABLE (table_name text, relation text,
	people name[], erasure text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat(nullif(t.table_schema, 'onec') || '.', t.table_name),
		   onec_internal.table_of_target(t.target), t.people, t.erasure
	FROM onec.target t WHERE t.erasure <> 'none'
		AND to_regclass(onec_internal.table_of_target(t.target)) IS NOT NULL
	UNION ALL
	SELECT c.relname::text, c.oid::regclass::text, array_agg(a.attname ORDER BY a.attnum), 'delete'
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		AND a.atttypid = 'uuid'::regtype
	JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
		AND e.extname = 'onec_fdw'
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  AND a.attname IN ('customer_id', 'user_id', 'owner_id', 'card_id', 'discount_card_id')
	  AND NOT EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname)
	GROUP BY c.oid, c.relname
$$;
COMMENT ON FUNCTION onec_internal.tables_about_people() IS
	'Таблицы со строками о людях, по каким столбцам они чьи, и что с ними делать (служебная)';

-- The statement that takes the people of the array $1 out of the rows of a server in a relation.  Sales and
-- receipts stay, for the shop's sums are made of them, but are nobody's; another's purchase with a card of
-- theirs stays his.  Rows of card sales stay as well: without them a line of somebody else that looks alike
-- would be taken for theirs.  "has_buyer": it is worked out here whose a row is; "also": a condition on rows
-- that are to go with them.
CREATE FUNCTION onec_internal.erasure_statement(relation text, server name, people name[], erasure text,
												has_buyer boolean, also text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE WHEN $4 = 'delete' THEN 'DELETE FROM %1$s t WHERE t.server = %4$s AND (%2$s)'
		WHEN $5 THEN
			'UPDATE %1$s t SET card_id = NULL, customer_id = CASE WHEN t.customer_id <> ALL '
			'($1) THEN t.customer_id END, '
			'attribution = CASE WHEN t.customer_id <> ALL ($1) THEN t.attribution ELSE %5$s END %6$s '
			'WHERE t.server = %4$s AND (%2$s)'
		ELSE 'UPDATE %1$s t SET %3$s WHERE t.server = %4$s AND (%2$s)' END,
		$1, concat_ws(' OR ', string_agg(format('t.%I = ANY ($1)', p), ' OR '), $6),
		string_agg(format('%I = NULL', p), ', '), onec_internal.server_in($1, $2),
		onec_internal.own_term('anonymous'),
		CASE WHEN onec_internal.has_column($1, 'person_id')
			 THEN ', person_id = CASE WHEN t.customer_id <> ALL ($1) THEN t.customer_id '
				  'ELSE t.recorder END' END)
	FROM unnest($3) p
$$;
COMMENT ON FUNCTION onec_internal.erasure_statement(text, name, name[], text, boolean, text) IS
	'Запрос, который убирает людей из таблицы (служебная)';

-- Between staging and merging: whoever is forgotten leaves pg_temp.onec_stage as they left the local tables.
CREATE FUNCTION onec_internal.drop_forgotten_from_staged(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	since timestamp := onec_internal.purchases_kept_since(server, target);
	ids uuid[];
	t onec.target;
	touched bigint;
BEGIN
	PERFORM onec_internal.lock_people(server, false);
	IF since > onec_internal.first_moment() AND to_regclass('pg_temp.onec_stage') IS NOT NULL THEN
		EXECUTE format('DELETE FROM pg_temp.onec_stage s WHERE s.%I < $1', onec_internal.date_column(target))
			USING since;
	END IF;
	ids := ARRAY(SELECT f.id FROM onec.forgotten f WHERE f.server = drop_forgotten_from_staged.server);
	IF ids = '{}' OR to_regclass('pg_temp.onec_stage') IS NULL THEN
		RETURN 0;
	END IF;
	t := onec_internal.target_named(target);
	IF t.erasure = 'none' THEN
		RETURN 0;
	END IF;
	IF t.unit = '{card_id}' AND 'owner_id' = ANY (t.people) THEN
		-- a new card of theirs is theirs
		INSERT INTO onec.forgotten (server, id)
		SELECT s.server, s.card_id FROM pg_temp.onec_stage s WHERE s.owner_id = ANY (ids)
		ON CONFLICT DO NOTHING;
	END IF;
	EXECUTE onec_internal.erasure_statement('pg_temp.onec_stage', server, t.people, t.erasure,
											onec_internal.has_buyer(target),
		-- made of card sales that are nobody's already
		CASE WHEN onec_internal.has_buyer(target)
			 THEN 't.customer_id IS NULL AND t.card_id IS NULL AND t.attribution <> '
				  || onec_internal.own_term('anonymous') END)
		USING ids;
	GET DIAGNOSTICS touched = ROW_COUNT;
	RETURN touched;
END $$;
COMMENT ON FUNCTION onec_internal.drop_forgotten_from_staged(name, text) IS
	'Убрать забытых из прочитанных строк; возвращает, сколько строк затронуто (служебная)';
-- Discount cards become users of the site: the telephone is the login, one user for all cards of an owner.

-- How numbers are written in the countries of phone.country.  Source: the national numbering plans that ITU
-- publishes under Recommendation E.129 (Russian Federation and Kazakhstan +7, Belarus +375); at most 15
-- digits in all: E.164.  A number that goes without code and trunk prefix is taken only where it cannot be
-- something else: in Russia and Kazakhstan mobile numbers begin with 9 or 7, but a seven may be the country
-- as well; those nobody owns begin with 000.
CREATE TABLE onec.phone_plan (
	country text PRIMARY KEY,
	code text NOT NULL,
	trunk text NOT NULL,
	digits int NOT NULL,
	bare text NOT NULL
);
COMMENT ON TABLE onec.phone_plan IS 'Планы нумерации стран настройки phone.country (МСЭ-Т, E.129)';
COMMENT ON COLUMN onec.phone_plan.country IS 'Страна';
COMMENT ON COLUMN onec.phone_plan.code IS 'Код страны';
COMMENT ON COLUMN onec.phone_plan.trunk IS 'Что набирают внутри страны вместо её кода';
COMMENT ON COLUMN onec.phone_plan.digits IS 'Сколько цифр после кода';
COMMENT ON COLUMN onec.phone_plan.bare IS 'Какие номера понятны и без кода: регулярное выражение';
INSERT INTO onec.phone_plan (country, code, trunk, digits, bare) VALUES
	('RU', '7', '8', 10, '^(9|0)'), ('KZ', '7', '8', 10, '^(9|0)'), ('BY', '375', '80', 9, '');
GRANT SELECT ON onec.phone_plan TO PUBLIC;

CREATE FUNCTION onec_internal.written_number(text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_written_number';
COMMENT ON FUNCTION onec_internal.written_number(text) IS
	'Цифры номера подряд, с плюсом, если он впереди; NULL — это не номер из 9–17 цифр (служебная)';

-- Spaces and dashes of every kind, brackets and dots are dropped; any other letter makes it something else
-- than a number. With a plus the number begins with the code of some country, and no trunk prefix is looked
-- for: of zone 8 the codes +83 and +89 are nobody's.  Without one it is of the shop's own country, or it
-- begins with the code of a known plan and has its length. 00 stands for a plus, unless it may be a bar code:
-- digits without a space are a number only if a plan knows them.
CREATE FUNCTION onec.normalize_phone(phone text, country text DEFAULT 'RU') RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	written text := onec_internal.written_number(phone);
	number text := ltrim(written, '+');
	abroad boolean := starts_with(written, '+');
BEGIN
	-- what most texts are: not a number at all
	IF written IS NULL THEN
		RETURN NULL;
	END IF;
	IF starts_with(written, '00') AND length(written) > 12 THEN
		number := substr(written, 3);
		abroad := true;
		IF btrim(phone) = written
			AND NOT EXISTS (SELECT FROM onec.phone_plan p
							WHERE starts_with(number, p.code)
							  AND length(number) = length(p.code) + p.digits) THEN
			RETURN NULL;
		END IF;
	END IF;
	IF abroad THEN
		RETURN CASE WHEN length(number) BETWEEN 11 AND 15 AND number !~ '^(0|8[39])'
			AND NOT EXISTS (SELECT FROM onec.phone_plan p
							WHERE starts_with(number, p.code) AND length(number) <> length(p.code) + p.digits)
			THEN number END;
	END IF;
	RETURN (SELECT p.code || right(number, p.digits) FROM onec.phone_plan p
			WHERE length(number) = length(p.code) + p.digits AND starts_with(number, p.code)
			   OR p.country = normalize_phone.country
				  AND (length(number) = length(p.trunk) + p.digits AND starts_with(number, p.trunk)
					   OR length(number) = p.digits AND number ~ p.bare)
			LIMIT 1);
END $$;
COMMENT ON FUNCTION onec.normalize_phone(text, text) IS
	'Телефон в едином виде (только цифры, с кодом страны) или NULL, если это не телефон';

CREATE TABLE onec.site_user (
	server name NOT NULL,
	user_id uuid NOT NULL,
	customer_id uuid,
	phone text,
	login text,
	discount_card_id uuid,
	name text,
	email text,
	is_active boolean NOT NULL,
	conflict_phone boolean NOT NULL DEFAULT false,
	name_locked boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, user_id)
);
CREATE INDEX site_user_phone ON onec.site_user (phone);
CREATE INDEX site_user_card ON onec.site_user (server, discount_card_id);
COMMENT ON TABLE onec.site_user IS
	'Пользователи сайта: по одному на владельца карт; карта без владельца — сама по себе';
COMMENT ON COLUMN onec.site_user.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.site_user.user_id IS 'Владелец, а если его нет — карта';
COMMENT ON COLUMN onec.site_user.customer_id IS 'Контрагент; NULL — у карты нет владельца';
COMMENT ON COLUMN onec.site_user.phone IS 'Телефон в едином виде';
COMMENT ON COLUMN onec.site_user.login IS
	'Имя для входа: телефон; NULL — телефона нет или он достался другому';
COMMENT ON COLUMN onec.site_user.discount_card_id IS 'Основная карта';
COMMENT ON COLUMN onec.site_user.name IS 'Имя';
COMMENT ON COLUMN onec.site_user.email IS 'Электронная почта';
COMMENT ON COLUMN onec.site_user.is_active IS 'Есть действующая карта';
COMMENT ON COLUMN onec.site_user.conflict_phone IS 'Тот же телефон у другого владельца, вход отдан ему';
COMMENT ON COLUMN onec.site_user.name_locked IS 'Имя исправлено на сайте, из 1С не менять';
SELECT pg_catalog.pg_extension_config_dump('onec.site_user', '');

CREATE TABLE onec.customer_card (
	server name NOT NULL,
	card_id uuid NOT NULL,
	user_id uuid NOT NULL,
	customer_id uuid,
	phone text,
	is_primary boolean NOT NULL,
	PRIMARY KEY (server, card_id)
);
CREATE INDEX customer_card_user ON onec.customer_card (server, user_id);
COMMENT ON TABLE onec.customer_card IS 'Чьи карты: все карты каждого пользователя';
COMMENT ON COLUMN onec.customer_card.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_card.card_id IS 'Карта';
COMMENT ON COLUMN onec.customer_card.user_id IS 'Пользователь';
COMMENT ON COLUMN onec.customer_card.customer_id IS 'Контрагент';
COMMENT ON COLUMN onec.customer_card.phone IS 'Телефон карты в едином виде';
COMMENT ON COLUMN onec.customer_card.is_primary IS 'Основная карта пользователя';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_card', '');

-- A name out of a description: not a number, not a word like "retail customer".
CREATE FUNCTION onec_internal.person_name(name text, ignored text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN name !~ '[[:alpha:]]' OR lower(btrim(name)) = ANY (ignored) THEN NULL
				ELSE btrim(name) END;
COMMENT ON FUNCTION onec_internal.person_name(text, text[]) IS 'Имя из наименования или NULL (служебная)';

-- The last sales by cards and to buyers: to all, whom the kept receipts tell without their lines, or to some
-- users.
CREATE FUNCTION onec_internal.last_sales(server name, users uuid[]) RETURNS TABLE (customer_id uuid,
	card_id uuid, last_sale timestamp)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.customer_id, NULL::uuid, max(p.period) FROM onec_internal.counted_part p
		WHERE p.server = $1 AND $2 IS NULL AND p.customer_id IS NOT NULL
		  AND onec_internal.is_dated_before(p.period, p.today + 1)
		GROUP BY 1
		UNION ALL
		SELECT NULL, l.card_id, max(l.period) FROM onec_internal.counted_line l
		WHERE l.server = $1 AND $2 IS NULL AND l.card_id IS NOT NULL
		  AND onec_internal.is_dated_before(l.period, l.today + 1)
		GROUP BY 2
		UNION ALL
		SELECT l.customer_id, l.card_id, max(l.period)
		FROM (SELECT x.customer_id, x.card_id, x.period FROM onec_internal.counted_lines($1, NULL, $2) x
			  UNION ALL
			  -- sold by their cards to whoever had them then
			  SELECT x.customer_id, x.card_id, x.period FROM onec.discount_card d
			  JOIN onec_internal.counted_line x ON x.server = d.server AND x.card_id = d.card_id
			  WHERE d.server = $1 AND coalesce(d.owner_id, d.card_id) = ANY ($2)
				AND onec_internal.is_dated_before(x.period, x.today + 1)) l
		WHERE $2 IS NOT NULL GROUP BY 1, 2;
	END;
COMMENT ON FUNCTION onec_internal.last_sales(name, uuid[]) IS
	'Последние продажи по картам и покупателям: всем или названных пользователей (служебная)';

-- Every card, or those of some users, with its user, its telephone, and how lively it is.
CREATE FUNCTION onec_internal.cards_with_people(server name, users uuid[])
	RETURNS TABLE (card_id uuid, user_id uuid, customer_id uuid, phone text, live boolean,
				   last_sale timestamp, place bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	-- of rows made in the query the planner knows nothing, and takes them for few
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
	WITH country AS MATERIALIZED (SELECT onec.get('phone.country', $1) AS code),
	line AS MATERIALIZED (SELECT * FROM onec_internal.last_sales($1, $2)),
	sale AS (SELECT l.card_id, max(l.last_sale) AS last_sale FROM line l WHERE l.card_id IS NOT NULL
			 GROUP BY 1),
	owner_sale AS (
		SELECT l.customer_id, max(l.last_sale) AS last_sale FROM line l WHERE l.customer_id IS NOT NULL
		GROUP BY 1),
	contact AS (
		SELECT DISTINCT ON (c.customer_id) c.customer_id, c.phone
		FROM (SELECT k.customer_id, k.line_no, k.copy,
					 coalesce(onec.normalize_phone(k.phone, country.code),
							  onec.normalize_phone(k.presentation, country.code)) AS phone
			  FROM onec.counterparty_contact k CROSS JOIN country
			  WHERE k.server = $1 AND ($2 IS NULL OR k.customer_id = ANY ($2))) c
		WHERE c.phone IS NOT NULL
		ORDER BY c.customer_id, c.line_no, c.copy),
	card AS (
		SELECT d.card_id, coalesce(d.owner_id, d.card_id) AS user_id, d.owner_id AS customer_id, d.code,
			   coalesce(onec.normalize_phone(d.barcode, country.code),
						onec.normalize_phone(d.description, country.code),
						onec.normalize_phone(p.phone, country.code), t.phone) AS phone,
			   NOT (d.is_deleted OR coalesce(d.deletion_mark, false)
					OR coalesce(d.is_invalid, false)) AS live,
			   coalesce(s.last_sale, o.last_sale) AS last_sale
		FROM onec.discount_card d CROSS JOIN country
		LEFT JOIN onec.counterparty p ON p.server = d.server AND p.customer_id = d.owner_id
		LEFT JOIN contact t ON t.customer_id = d.owner_id
		LEFT JOIN sale s ON s.card_id = d.card_id
		LEFT JOIN owner_sale o ON o.customer_id = d.owner_id
		WHERE d.server = $1 AND ($2 IS NULL OR coalesce(d.owner_id, d.card_id) = ANY ($2)))
	SELECT c.card_id, c.user_id, c.customer_id, c.phone, c.live, c.last_sale,
		   row_number() OVER (PARTITION BY c.user_id ORDER BY c.live DESC, c.last_sale DESC NULLS LAST,
							  c.code, c.card_id)
	FROM card c
$$;
COMMENT ON FUNCTION onec_internal.cards_with_people(name, uuid[]) IS
	'Карты (все или названных пользователей) с пользователем, телефоном и местом среди его карт (служебная)';

-- The users as they ought to be, made of the cards in pg_temp.onec_cards.
CREATE FUNCTION onec_internal.people_of_cards(server name)
	RETURNS TABLE (user_id uuid, customer_id uuid, phone text, login text, discount_card_id uuid,
				   name text, email text,
				   is_active boolean, conflict_phone boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	WITH person AS (
		SELECT c.user_id, c.customer_id, c.card_id, l.live, l.last_sale,
			   coalesce(c.phone, l.phone) AS phone
		FROM pg_temp.onec_cards c
		JOIN (SELECT k.user_id, bool_or(k.live) AS live, max(k.last_sale) AS last_sale,
					 (array_agg(k.phone ORDER BY k.place) FILTER (WHERE k.phone IS NOT NULL))[1] AS phone
			  FROM pg_temp.onec_cards k GROUP BY 1) l ON l.user_id = c.user_id
		WHERE c.place = 1),
	ranked AS (
		SELECT p.*, p.phone IS NOT NULL AND row_number() OVER (PARTITION BY p.phone ORDER BY p.live DESC,
			CASE WHEN (SELECT onec.get('phone.conflict', $1) = 'newest') THEN p.last_sale END DESC NULLS LAST,
			p.last_sale NULLS LAST, p.user_id) > 1 AS conflict
		FROM person p)
	SELECT r.user_id, r.customer_id, r.phone, CASE WHEN NOT r.conflict THEN r.phone END, r.card_id,
		   coalesce(onec_internal.person_name(k.name, i.list),
					onec_internal.person_name(k.full_name, i.list)),
		   nullif(btrim(k.email), ''), r.live, r.conflict
	FROM ranked r
	-- the collation of the server's name would make lower() one of ASCII
	CROSS JOIN (SELECT lower(onec.get('name.ignore', $1) COLLATE "default")::text[] AS list OFFSET 0) i
	LEFT JOIN onec.counterparty k ON k.server = $1 AND k.customer_id = r.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.people_of_cards(name) IS 'Пользователи, какими они должны быть (служебная)';

-- ---- whose cards, names and sales have changed since people were folded ----

CREATE TABLE onec_internal.people_state (
	server name PRIMARY KEY,
	definitions text NOT NULL,
	day date NOT NULL
);
COMMENT ON TABLE onec_internal.people_state IS
	'При каких настройках и в какой день собраны пользователи сайта; нет строки — собираются все';
COMMENT ON COLUMN onec_internal.people_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.people_state.definitions IS
	'Свёртка настроек: когда она другая, собираются все';
COMMENT ON COLUMN onec_internal.people_state.day IS
	'День последнего сбора: строки с датой позже станут покупками, когда она настанет';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.people_state', '');

CREATE TABLE onec_internal.touched_user (
	server name NOT NULL,
	user_id uuid NOT NULL,
	PRIMARY KEY (server, user_id)
);
COMMENT ON TABLE onec_internal.touched_user IS
	'Пользователи, чьи карты, контакты или покупки изменились после сбора';
COMMENT ON COLUMN onec_internal.touched_user.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.touched_user.user_id IS 'Пользователь';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.touched_user', '');

-- All that users of the site are made by, besides the cards, the counterparties and the sales.
CREATE FUNCTION onec_internal.people_digest(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT md5(string_agg(d.line, E'\n' ORDER BY d.line COLLATE "C")) FROM (
		SELECT s.key || '=' || coalesce(onec.get(s.key, $1), '') FROM onec.setting s
		WHERE s.key IN ('phone.country', 'phone.conflict', 'name.ignore')
		UNION ALL SELECT ROW(w.excluded, w.organizations)::text FROM onec_internal.shop_rules w
		WHERE w.server = $1
		UNION ALL SELECT p::text FROM onec.phone_plan p) d (line)
$$;
COMMENT ON FUNCTION onec_internal.people_digest(name) IS
	'Свёртка настроек, от которых зависят пользователи сайта (служебная)';

-- Note whom the changes of cards, counterparties or contacts concern, as pg_temp.onec_change and
-- pg_temp.onec_stage have them: before they are written.  Before the first fold everybody is new.
CREATE FUNCTION onec_internal.touch_people(server name, by_card boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = touch_people.server) THEN
		RETURN;
	END IF;
	IF by_card THEN
		INSERT INTO onec_internal.touched_user
		SELECT touch_people.server, x.user_id FROM (
			SELECT coalesce(s.owner_id, s.card_id) FROM pg_temp.onec_change c
			JOIN pg_temp.onec_stage s ON s.ctid = c.place
			UNION
			SELECT k.user_id FROM pg_temp.onec_change c
			JOIN onec.customer_card k ON k.server = touch_people.server AND k.card_id = c.card_id
			WHERE c.here) x (user_id)
		ON CONFLICT DO NOTHING;
	ELSE
		INSERT INTO onec_internal.touched_user
		SELECT touch_people.server, x.customer_id FROM (
			SELECT s.customer_id FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
			UNION
			SELECT c.customer_id FROM pg_temp.onec_change c WHERE c.here) x
		WHERE x.customer_id IS NOT NULL
		ON CONFLICT DO NOTHING;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.touch_people(name, boolean) IS
	'Запомнить пользователей, которых касаются изменения карт и контрагентов (служебная)';

-- What is known is not what the cards and lines are: the next time everybody is folded.
CREATE FUNCTION onec_internal.refresh_all_people_next(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.touched_user t WHERE t.server = $1;
	DELETE FROM onec_internal.people_state s WHERE s.server = $1;
$$;
COMMENT ON FUNCTION onec_internal.refresh_all_people_next(name) IS
	'В следующий раз собрать всех пользователей сайта (служебная)';

-- Above a tenth of all it costs less to take everybody than to pick them: then NULL.
CREATE FUNCTION onec_internal.some_or_all(ids uuid[], everybody bigint) RETURNS uuid[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN cardinality(ids) <= greatest(100, everybody / 10) THEN ids END;
COMMENT ON FUNCTION onec_internal.some_or_all(uuid[], bigint) IS
	'Названные, если их немного, иначе NULL: все (служебная)';

-- Whom to fold again; NULL: everybody.
CREATE FUNCTION onec_internal.stale_people(server name) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH come AS MATERIALIZED (
		SELECT l.customer_id, l.card_id FROM onec_internal.people_state s
		CROSS JOIN LATERAL onec_internal.lines_come_since(s.server, s.day) l WHERE s.server = $1),
	stale AS (
		SELECT t.user_id FROM onec_internal.touched_user t WHERE t.server = $1
		UNION SELECT c.customer_id FROM come c WHERE c.customer_id IS NOT NULL
		UNION SELECT k.user_id FROM come c
		JOIN onec.customer_card k ON k.server = $1 AND k.card_id = c.card_id)
	SELECT onec_internal.some_or_all(ARRAY(SELECT s.user_id FROM stale s),
									 (SELECT count(*) FROM onec.site_user u WHERE u.server = $1))
$$;
COMMENT ON FUNCTION onec_internal.stale_people(name) IS 'Кого пора собрать заново; NULL — всех (служебная)';

-- The cards of these users (NULL: of all) in pg_temp.onec_cards, and of those who have a telephone in common
-- with them: a login that one gives up is another's.  Returns all whose they are.
CREATE FUNCTION onec_internal.collect_cards(server name, users uuid[]) RETURNS uuid[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	others uuid[];
BEGIN
	CREATE TEMPORARY TABLE onec_cards
		ON COMMIT DROP AS SELECT * FROM onec_internal.cards_with_people(server, users);
	IF users IS NOT NULL THEN
		others := ARRAY(
			SELECT u.user_id FROM onec.site_user u
			WHERE u.server = collect_cards.server AND u.user_id <> ALL (users)
			  AND u.phone IN (SELECT c.phone FROM pg_temp.onec_cards c
							  UNION SELECT o.phone FROM onec.site_user o
							  WHERE o.server = collect_cards.server AND o.user_id = ANY (users)));
		IF others <> '{}' THEN
			INSERT INTO pg_temp.onec_cards SELECT * FROM onec_internal.cards_with_people(server, others);
		END IF;
	END IF;
	ANALYZE pg_temp.onec_cards;
	RETURN users || others;
END $$;
COMMENT ON FUNCTION onec_internal.collect_cards(name, uuid[]) IS
	'Собрать карты пользователей и всех, у кого с ними общий телефон (служебная)';

-- Make onec.site_user and onec.customer_card as pg_temp.onec_people and pg_temp.onec_cards are, for these
-- users, and write only what differs.
CREATE FUNCTION onec_internal.write_changed_people(server name, users uuid[], OUT rows_inserted bigint,
												   OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n bigint;
BEGIN
	UPDATE onec.site_user u
	SET customer_id = p.customer_id, phone = p.phone, login = p.login, discount_card_id = p.discount_card_id,
		name = CASE WHEN u.name_locked THEN u.name ELSE p.name END, email = p.email, is_active = p.is_active,
		conflict_phone = p.conflict_phone
	FROM pg_temp.onec_people p
	WHERE u.server = write_changed_people.server AND u.user_id = p.user_id
	  AND (u.customer_id, u.phone, u.login, u.discount_card_id,
		   CASE WHEN u.name_locked THEN '' ELSE u.name END,
		   u.email, u.is_active, u.conflict_phone)
		  IS DISTINCT FROM (p.customer_id, p.phone, p.login, p.discount_card_id,
							CASE WHEN u.name_locked THEN '' ELSE p.name END,
							p.email, p.is_active, p.conflict_phone);
	GET DIAGNOSTICS rows_updated = ROW_COUNT;
	-- a user whose cards are gone stays, switched off
	UPDATE onec.site_user u SET is_active = false, login = NULL
	WHERE u.server = write_changed_people.server AND (users IS NULL OR u.user_id = ANY (users))
	  AND (u.is_active OR u.login IS NOT NULL)
	  AND NOT EXISTS (SELECT FROM pg_temp.onec_people p WHERE p.user_id = u.user_id);
	GET DIAGNOSTICS n = ROW_COUNT;
	rows_updated := rows_updated + n;
	INSERT INTO onec.site_user (server, user_id, customer_id, phone, login, discount_card_id, name, email,
								is_active, conflict_phone)
	SELECT write_changed_people.server, p.* FROM pg_temp.onec_people p
	WHERE NOT EXISTS (SELECT FROM onec.site_user u
					  WHERE u.server = write_changed_people.server AND u.user_id = p.user_id);
	GET DIAGNOSTICS rows_inserted = ROW_COUNT;
	UPDATE onec.customer_card k
	SET user_id = c.user_id, customer_id = c.customer_id, phone = c.phone, is_primary = c.place = 1
	FROM pg_temp.onec_cards c
	WHERE k.server = write_changed_people.server AND k.card_id = c.card_id
	  AND (k.user_id, k.customer_id, k.phone, k.is_primary) IS DISTINCT FROM (c.user_id, c.customer_id,
		  c.phone, c.place = 1);
	GET DIAGNOSTICS n = ROW_COUNT;
	rows_updated := rows_updated + n;
	INSERT INTO onec.customer_card (server, card_id, user_id, customer_id, phone, is_primary)
	SELECT write_changed_people.server, c.card_id, c.user_id, c.customer_id, c.phone, c.place = 1
	FROM pg_temp.onec_cards c
	WHERE NOT EXISTS (SELECT FROM onec.customer_card k
					  WHERE k.server = write_changed_people.server AND k.card_id = c.card_id);
	GET DIAGNOSTICS n = ROW_COUNT;
	rows_inserted := rows_inserted + n;
	DELETE FROM onec.customer_card k
	WHERE k.server = write_changed_people.server AND (users IS NULL OR k.user_id = ANY (users))
	  AND NOT EXISTS (SELECT FROM pg_temp.onec_cards c WHERE c.card_id = k.card_id);
	GET DIAGNOSTICS rows_deleted = ROW_COUNT;
END $$;
COMMENT ON FUNCTION onec_internal.write_changed_people(name, uuid[]) IS
	'Записать отличия пользователей сайта и их карт от собранных (служебная)';

-- Everybody, or whom changes have touched since the last time.
CREATE FUNCTION onec_internal.refresh_people(server name, everybody boolean DEFAULT true,
											 OUT rows_inserted bigint, OUT rows_updated bigint,
											 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defined text := onec_internal.people_digest(server);
	today date := onec.local_now(server)::date;
	users uuid[];
BEGIN
	PERFORM onec_internal.lock_people(server, false);
	IF NOT everybody AND EXISTS (SELECT FROM onec_internal.people_state s
								 WHERE s.server = refresh_people.server AND s.definitions = defined) THEN
		users := onec_internal.stale_people(server);
	END IF;
	IF users = '{}' THEN
		rows_inserted := 0;
		rows_updated := 0;
		rows_deleted := 0;
	ELSE
		users := onec_internal.collect_cards(server, users);
		CREATE TEMPORARY TABLE onec_people
			ON COMMIT DROP AS SELECT * FROM onec_internal.people_of_cards(server);
		SELECT * INTO rows_inserted, rows_updated, rows_deleted
		FROM onec_internal.write_changed_people(server, users);
		DROP TABLE pg_temp.onec_people, pg_temp.onec_cards;
		DELETE FROM onec_internal.touched_user t WHERE t.server = refresh_people.server;
	END IF;
	INSERT INTO onec_internal.people_state AS s VALUES (server, defined, today)
	ON CONFLICT ON CONSTRAINT people_state_pkey DO UPDATE SET definitions = excluded.definitions,
	day = excluded.day
	WHERE (s.definitions, s.day) <> (excluded.definitions, excluded.day);
END $$;
COMMENT ON FUNCTION onec_internal.refresh_people(name, boolean) IS
	'Собрать пользователей сайта из карт и контрагентов, записав только отличия: всех или тех, кого '
	'касаются изменения (служебная)';

-- What is left to see of a telephone, a name, an address: enough to tell two of them apart, not to reach
-- anybody.
CREATE FUNCTION onec_internal.masked(value text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN value ~ '^[0-9]{10,}$' THEN left(value, 4) || repeat('*', length(value) - 6)
				|| right(value, 2)
				ELSE left(value, 1) || '***' END;
COMMENT ON FUNCTION onec_internal.masked(text) IS 'Телефон, имя или почта под маской (служебная)';

-- Whom a key means: a telephone in any spelling, a card, a customer.
CREATE FUNCTION onec_internal.person_by_key(key text, server name) RETURNS onec.site_user
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	id uuid := onec_internal.reference_uuid(key);
	wanted text;
	u onec.site_user;
BEGIN
	IF id IS NOT NULL THEN
		SELECT t.* INTO u FROM onec.site_user t
		WHERE t.server = srv AND t.user_id IN (SELECT id UNION ALL SELECT c.user_id FROM onec.customer_card c
											   WHERE c.server = srv AND c.card_id = id)
		LIMIT 1;
		RETURN u;
	END IF;
	-- what a number without its country means depends on the shop
	wanted := onec.normalize_phone(key, onec.get('phone.country', srv));
	SELECT t.* INTO u FROM onec.site_user t WHERE t.server = srv AND t.phone = wanted
	ORDER BY t.conflict_phone, t.is_active DESC, t.user_id LIMIT 1;
	RETURN u;
END $$;
COMMENT ON FUNCTION onec_internal.person_by_key(text, name) IS
	'Пользователь по телефону, карте или контрагенту (служебная)';
-- Bonus points: what a card has, and what it is about to lose.

CREATE FUNCTION onec_internal.card_points(server name, at timestamp)
	RETURNS TABLE (card_id uuid, balance numeric, expires_next_at timestamp, expires_next_amount numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.card_id, coalesce(sum(p.points) FILTER (WHERE p.period IS NULL), 0),
			   min(p.period) FILTER (WHERE p.points < 0),
			   (array_agg(-p.points ORDER BY p.period)
				FILTER (WHERE p.period IS NOT NULL AND p.points < 0))[1]
		FROM onec_internal.points_ahead($1, $2, NULL) p GROUP BY 1;
	END;
COMMENT ON FUNCTION onec_internal.card_points(name, timestamp) IS
	'Остатки баллов по картам на момент и ближайшее сгорание (служебная)';

CREATE FUNCTION onec.loyalty_balance_at(server name DEFAULT NULL, at timestamp DEFAULT NULL)
	RETURNS TABLE (card_id uuid, balance numeric, source text, expires_next_at timestamp,
				   expires_next_amount numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT b.card_id, b.balance, s.points_rule, b.expires_next_at, b.expires_next_amount
	FROM onec_internal.shop_rules s
	CROSS JOIN LATERAL onec_internal.card_points(s.server, coalesce($2, s.now)) b
	WHERE s.server = onec_internal.server_meant($1) AND s.has_loyalty
$$;
COMMENT ON FUNCTION onec.loyalty_balance_at(name, timestamp) IS
	'Остатки баллов по картам на момент местного времени (сейчас), когда и сколько сгорит в ближайший раз; '
	'source — правило сложения';

CREATE VIEW onec.loyalty_balance AS
	SELECT w.server, b.card_id, c.customer_id, b.balance, b.expires_next_at, b.expires_next_amount,
		   w.points_rule AS source, onec.moment(w.server, b.expires_next_at) AS expires_next_at_tz
	FROM onec_internal.shop_rules w CROSS JOIN LATERAL onec_internal.card_points(w.server, w.now) b
	LEFT JOIN onec.customer_card c ON c.server = w.server AND c.card_id = b.card_id
	WHERE w.has_loyalty;
COMMENT ON VIEW onec.loyalty_balance IS 'Остатки бонусных баллов по картам на сейчас';
COMMENT ON COLUMN onec.loyalty_balance.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.loyalty_balance.card_id IS 'Карта';
COMMENT ON COLUMN onec.loyalty_balance.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.loyalty_balance.balance IS 'Баллов сейчас';
COMMENT ON COLUMN onec.loyalty_balance.expires_next_at IS 'Когда сгорят ближайшие';
COMMENT ON COLUMN onec.loyalty_balance.expires_next_amount IS 'Сколько их сгорит';
COMMENT ON COLUMN onec.loyalty_balance.source IS 'Правило сложения: signed или unsigned';
-- What is too old to be kept, and how it is deleted.

-- Balances are sums of all movements, so those of a card go only where they come to nothing by that day.  The
-- day is remembered: what is older is read no more.
CREATE FUNCTION onec_internal.purge_before(server name, before date) RETURNS TABLE (table_name text,
	rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	statement text;
BEGIN
	PERFORM onec_internal.refresh_all_people_next(purge_before.server);
	INSERT INTO onec_internal.base AS b (server, purged_before) VALUES (purge_before.server, before)
	ON CONFLICT ON CONSTRAINT base_pkey DO UPDATE SET purged_before = greatest(b.purged_before,
		excluded.purged_before);
	FOR table_name, statement IN
		SELECT t.table_name,
			   format('DELETE FROM %s l WHERE l.server = %s AND l.%I < $2 %s',
					  onec_internal.table_of_target(t.target),
					  onec_internal.server_in(onec_internal.table_of_target(t.target), $1), t.date_column,
			CASE t.purge
			WHEN 'zero balance' THEN 'AND ROW(l.card_id)::text NOT IN (
				SELECT ROW(p.card_id)::text FROM onec_internal.counted_points p
				WHERE p.server = $1 AND p.period < $2
				GROUP BY p.card_id HAVING sum(p.points) <> 0)'
			WHEN 'no movements' THEN 'AND NOT EXISTS (
				SELECT FROM onec.loyalty_movement m
				WHERE m.server = $1 AND m.card_id = l.card_id AND m.period < $2)' END)
		FROM onec_internal.sync_steps(server, NULL) t WHERE t.purge <> 'none' ORDER BY t.ordinal
	LOOP
		EXECUTE statement USING purge_before.server, before::timestamp;
		GET DIAGNOSTICS rows = ROW_COUNT;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.purge_before(name, date) IS
	'Удалить покупки, чеки, заказы и баллы раньше этого дня (служебная)';
-- The year of the shop: what the seasons of its customers are measured by.

-- Whole months only: the first counts if the history begins on its first day, the last if it is over.  Each
-- calendar month is divided by how often it was observed, so that a month seen three times does not look
-- stronger than one seen twice.
CREATE FUNCTION onec.month_season_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (month int, observed bigint, gross numeric, net numeric, receipts bigint,
				   gross_per_month numeric, net_per_month numeric,
				   season_index numeric, whole_year boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	-- the span of time is of all lines: money by month once, then of what lies within
	month AS MATERIALIZED (
		SELECT date_trunc('month', p.period) AS month, min(p.period) AS first,
			   coalesce(sum(p.gross), 0) AS gross, sum(p.net) AS net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p GROUP BY 1),
	span AS MATERIALIZED (
		SELECT date_trunc('month', min(m.first)::date + interval '1 month -1 day') AS from_month,
			   date_trunc('month', (me.day + 1)::timestamp) AS till
		FROM month m CROSS JOIN me GROUP BY me.day),
	seen AS (
		SELECT extract(month FROM g.month)::int AS month, count(*) AS observed
		FROM span s CROSS JOIN LATERAL generate_series(s.from_month, s.till - interval '1 month',
													   interval '1 month') g (month) GROUP BY 1),
	money AS (
		SELECT extract(month FROM m.month)::int AS month, sum(m.gross) AS gross, sum(m.net) AS net
		FROM month m CROSS JOIN span s WHERE m.month >= s.from_month AND m.month < s.till GROUP BY 1),
	sale AS (
		SELECT extract(month FROM r.month)::int AS month, sum(r.receipts)::bigint AS receipts
		FROM (SELECT date_trunc('month', r.at) AS month, count(*) AS receipts
			  FROM me, onec_internal.kept_receipts(me.server_name, me.day + 1) r
			  WHERE r.is_purchase GROUP BY 1) r CROSS JOIN span s
		WHERE r.month >= s.from_month AND r.month < s.till GROUP BY 1),
	rate AS (
		SELECT n.month, coalesce(o.observed, 0) AS observed,
			   CASE WHEN o.observed > 0 THEN coalesce(m.gross, 0) END AS gross,
			   CASE WHEN o.observed > 0 THEN coalesce(m.net, 0) END AS net,
			   CASE WHEN o.observed > 0 THEN coalesce(s.receipts, 0) END AS receipts
		FROM generate_series(1, 12) n (month)
		LEFT JOIN seen o ON o.month = n.month LEFT JOIN money m ON m.month = n.month
		LEFT JOIN sale s ON s.month = n.month)
	SELECT r.month, r.observed, r.gross, r.net, r.receipts, round(r.gross / nullif(r.observed, 0), 2),
		   round(r.net / nullif(r.observed, 0), 2),
		   round(r.gross / nullif(r.observed, 0) / nullif(avg(r.gross / nullif(r.observed, 0)) OVER (), 0),
				 4), min(r.observed) OVER () > 0
	FROM rate r
	ORDER BY r.month
$$;
COMMENT ON FUNCTION onec.month_season_at(name, date) IS 'Сезонность магазина по календарным месяцам на дату';

CREATE VIEW onec.month_season AS
	SELECT s.server, m.month, m.observed, m.gross, m.net, m.receipts, m.gross_per_month, m.net_per_month,
		   m.season_index, m.whole_year
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.month_season_at(s.server) m;
COMMENT ON VIEW onec.month_season IS
	'Сезонность магазина: выручка календарного месяца, делённая на то, сколько раз он наблюдался';
COMMENT ON COLUMN onec.month_season.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.month_season.receipts IS 'Чеков в этом месяце года';
COMMENT ON COLUMN onec.month_season.net_per_month IS 'Выручка в среднем за такой месяц';
COMMENT ON COLUMN onec.month_season.month IS 'Календарный месяц, 1 — январь';
COMMENT ON COLUMN onec.month_season.observed IS 'Сколько раз месяц наблюдался целиком';
COMMENT ON COLUMN onec.month_season.gross IS 'Выручка без возвратов за все наблюдения';
COMMENT ON COLUMN onec.month_season.net IS 'Выручка за вычетом возвратов за все наблюдения';
COMMENT ON COLUMN onec.month_season.gross_per_month IS 'Выручка без возвратов за один такой месяц';
COMMENT ON COLUMN onec.month_season.season_index IS 'Во сколько раз больше среднего месяца';
COMMENT ON COLUMN onec.month_season.whole_year IS 'Наблюдался весь год: месяцы можно сравнивать';
-- One pass over the lines of each customer: what profiles, tastes, seasons, the next purchase, RFM and models
-- are made of.  C folds the lines (src/sql/history.c); which they are, what a purchase and a visit is and how
-- weight fades comes from the facts.

-- How products and stores are called, for the fold: numbers of words, and the words.  Products, stores and
-- numbers ascend.
CREATE TYPE onec_internal.taste_book AS (
	products uuid[],
	category_of int[],
	brand_of int[],
	stores uuid[],
	store_of int[],
	words int[],
	"values" text[],
	titles text[]
);
COMMENT ON TYPE onec_internal.taste_book IS
	'Как называются товары и магазины: номера слов по товарам, сами слова (служебный)';

CREATE TYPE onec_internal.history AS (
	receipts int,
	sale_net numeric,
	repeat_net numeric,
	median_check numeric,
	first_at timestamp,
	last_at timestamp,
	visits int,
	first_day date,
	last_day date,
	low_gap numeric,
	median_gap numeric,
	high_gap numeric,
	march boolean,
	new_year boolean,
	valentine boolean,
	span_receipts int,
	recent_receipts int,
	recent_visits int,
	months numeric[],
	span_months numeric[],
	words int[],
	weights numeric[],
	word_receipts int[],
	lasts timestamp[],
	found int[],
	totals numeric[],
	diversity numeric[],
	favorite_categories text[],
	favorite_brands text[],
	favorite_stores text[]
);
COMMENT ON TYPE onec_internal.history IS
	'История покупателя: чеки, визиты, промежутки, месяцы, предпочтения (служебный). Предпочтения — сначала '
	'категории, потом марки, потом магазины, лучшие вперёд; found — сколько каких, totals — вес любимых';

CREATE FUNCTION onec_internal.history_line(state internal, receipt uuid, at timestamp, day date,
										   is_purchase boolean, period timestamp, amount numeric,
										   weight numeric, product uuid, store uuid, since timestamp,
										   till timestamp, recent timestamp,
										   book onec_internal.taste_book) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_history_line';
COMMENT ON FUNCTION onec_internal.history_line(internal, uuid, timestamp, date, boolean, timestamp, numeric,
											   numeric, uuid, uuid, timestamp, timestamp, timestamp,
											   onec_internal.taste_book) IS 'Часть history (служебная)';

CREATE FUNCTION onec_internal.history_end(state internal) RETURNS onec_internal.history
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_history_end';
COMMENT ON FUNCTION onec_internal.history_end(internal) IS 'Часть history (служебная)';

-- A line, with the time, the day and the kind of its receipt; its weight for tastes, or none; the months seen
-- whole (since, till), the window of RFM.
CREATE AGGREGATE onec_internal.history(receipt uuid, at timestamp, day date, is_purchase boolean,
									   period timestamp, amount numeric, weight numeric, product uuid,
									   store uuid, since timestamp, till timestamp, recent timestamp,
									   book onec_internal.taste_book) (
	SFUNC = onec_internal.history_line, STYPE = internal, SSPACE = 16384,
	FINALFUNC = onec_internal.history_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE onec_internal.history(uuid, timestamp, date, boolean, timestamp, numeric, numeric, uuid,
										   uuid, timestamp, timestamp, timestamp, onec_internal.taste_book) IS
	'Строки одного покупателя — в его историю (служебная)';

-- The words that are kept of tastes, with their shares in all of the shop's customers.
CREATE TABLE onec_internal.taste_word (
	server name NOT NULL,
	kind text NOT NULL,
	value_id text NOT NULL,
	no int NOT NULL,
	title text NOT NULL,
	share numeric,
	PRIMARY KEY (server, kind, value_id),
	UNIQUE (server, no)
);
COMMENT ON TABLE onec_internal.taste_word IS 'Чем бывают предпочтения: категории, марки, магазины';
COMMENT ON COLUMN onec_internal.taste_word.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.taste_word.kind IS 'category — категория, brand — марка, store — магазин';
COMMENT ON COLUMN onec_internal.taste_word.value_id IS 'Обозначение категории или марки, ссылка на магазин';
COMMENT ON COLUMN onec_internal.taste_word.no IS 'Номер: под ним слово стоит в customer_taste';
COMMENT ON COLUMN onec_internal.taste_word.title IS 'По-русски';
COMMENT ON COLUMN onec_internal.taste_word.share IS 'Доля у всех известных покупателей';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.taste_word', '');

-- What some customers bought, and where; of all customers only the stores, since all products are wanted.
CREATE FUNCTION onec_internal.goods_and_stores(server name, as_of date, customers uuid[],
											   OUT products uuid[], OUT stores uuid[])
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
	IF customers IS NOT NULL THEN
		products := ARRAY(SELECT DISTINCT l.product_id
						  FROM onec_internal.counted_lines(server, as_of + 1, customers) l
						  WHERE l.product_id IS NOT NULL);
	END IF;
	stores := ARRAY(SELECT DISTINCT l.store_id
					FROM onec_internal.counted_lines(server, as_of + 1, customers) l
					WHERE l.store_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec_internal.goods_and_stores(name, date, uuid[]) IS
	'Что и где покупали: товары названных покупателей, магазины (служебная)';

-- The words of tastes, with numbers: those that are kept, or numbers for this query alone.
CREATE FUNCTION onec_internal.taste_words(server name, products uuid[], stores uuid[], kept boolean)
	RETURNS TABLE (kind text, value_id text, no int, title text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT w.kind, w.value_id, w.no, w.title FROM onec_internal.taste_word w WHERE $4 AND w.server = $1
		UNION ALL
		SELECT x.kind, x.value_id, (row_number() OVER (ORDER BY x.kind, x.value_id COLLATE "C"))::int, x.title
		FROM (SELECT t.kind, t.value_id, min(t.title) AS title FROM onec_internal.product_tags($1, $2) t
			  WHERE NOT $4 GROUP BY 1, 2
			  UNION ALL
			  SELECT 'store', i.id::text, coalesce(s.name, i.id::text)
			  FROM unnest($3) i (id) LEFT JOIN onec.store s ON s.server = $1 AND s.store_id = i.id
			  WHERE NOT $4) x;
END $$;
COMMENT ON FUNCTION onec_internal.taste_words(name, uuid[], uuid[], boolean) IS
	'Чем бывают предпочтения: категории, марки, магазины (служебная)';

-- Keep the words that are new, and the titles that are other.
CREATE FUNCTION onec_internal.keep_taste_words(server name, products uuid[], stores uuid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH said AS MATERIALIZED (SELECT * FROM onec_internal.taste_words(server, products, stores, false)),
	renamed AS (
		UPDATE onec_internal.taste_word w SET title = s.title FROM said s
		WHERE w.server = keep_taste_words.server AND w.kind = s.kind AND w.value_id = s.value_id
		  AND w.title <> s.title)
	INSERT INTO onec_internal.taste_word (server, kind, value_id, no, title)
	SELECT keep_taste_words.server, s.kind, s.value_id,
		   (SELECT coalesce(max(w.no), 0) FROM onec_internal.taste_word w
			WHERE w.server = keep_taste_words.server)
			   + row_number() OVER (ORDER BY s.kind, s.value_id COLLATE "C"), s.title FROM said s
	WHERE NOT EXISTS (SELECT FROM onec_internal.taste_word w
					  WHERE w.server = keep_taste_words.server AND w.kind = s.kind
						AND w.value_id = s.value_id)
	ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION onec_internal.keep_taste_words(name, uuid[], uuid[]) IS
	'Запомнить слова предпочтений (служебная)';

CREATE FUNCTION onec_internal.taste_book_of(server name, products uuid[], stores uuid[], kinds text[],
											kept boolean) RETURNS onec_internal.taste_book
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH word AS MATERIALIZED (
			SELECT w.* FROM onec_internal.taste_words($1, $2, $3, $5) w
			WHERE (w.kind = ANY ($4)) IS NOT FALSE),
		product AS MATERIALIZED (
			SELECT t.product_id, coalesce(min(w.no) FILTER (WHERE t.kind = 'category'), 0) AS category,
				   coalesce(min(w.no) FILTER (WHERE t.kind = 'brand'), 0) AS brand
			FROM onec_internal.product_tags($1, $2) t
			JOIN word w ON w.kind = t.kind AND w.value_id = t.value_id GROUP BY 1)
		SELECT ROW(ARRAY(SELECT p.product_id FROM product p ORDER BY p.product_id),
				   ARRAY(SELECT p.category FROM product p ORDER BY p.product_id),
				   ARRAY(SELECT p.brand FROM product p ORDER BY p.product_id),
				   ARRAY(SELECT w.value_id::uuid FROM word w WHERE w.kind = 'store'
						 ORDER BY w.value_id::uuid),
				   ARRAY(SELECT w.no FROM word w WHERE w.kind = 'store' ORDER BY w.value_id::uuid),
				   ARRAY(SELECT w.no FROM word w ORDER BY w.no),
				   ARRAY(SELECT w.value_id FROM word w ORDER BY w.no),
				   ARRAY(SELECT w.title FROM word w ORDER BY w.no))::onec_internal.taste_book);
END $$;
COMMENT ON FUNCTION onec_internal.taste_book_of(name, uuid[], uuid[], text[], boolean) IS
	'Слова предпочтений для history: всех видов или названных (служебная)';

-- Customers with lines (all, or those named), as of the end of a day, with tastes in the words of a book.
-- "season" says which months were seen whole.  Weights are of whole days and rounded line by line, so that a
-- sum does not depend on the order of its terms.
--
-- The memory is for the one sort; loops are off because the planner takes what functions return for a few
-- rows, and they are all customers; where it then reckons with so much, each query would be compiled: no jit.
CREATE FUNCTION onec_internal.customer_histories(server name, as_of date, customers uuid[],
												 book onec_internal.taste_book, season jsonb)
	RETURNS TABLE (customer_id uuid, lines int, net numeric, gross numeric, returned numeric, items numeric,
				   recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_nestloop = off SET enable_hashagg = off SET jit = off SET work_mem = '64MB'
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH given AS MATERIALIZED (
			SELECT onec.get('affinity.min_line', $1)::numeric AS min_line,
				   onec.get('affinity.half_life_days', $1)::float8 AS half_life,
				   onec_internal.start_of_last_days($2, onec.get('rfm.window', $1)::int) AS recent)
		SELECT l.customer_id, count(*)::int, sum(l.amount),
			   coalesce(sum(l.amount) FILTER (WHERE l.amount > 0), 0),
			   coalesce(sum(l.amount) FILTER (WHERE l.amount < 0), 0), sum(l.quantity),
			   coalesce(sum(l.amount) FILTER (WHERE l.period >= (SELECT g.recent FROM given g)), 0),
			   onec_internal.history(
				   l.receipt_id, l.at, onec_internal.visit_day(l.at), l.is_purchase, l.period, l.amount,
				   CASE WHEN abs(l.amount) >= (SELECT g.min_line FROM given g)
						THEN round((l.amount::float8 * onec_internal.faded_weight(
							l.period::date, $2, (SELECT g.half_life FROM given g)))::numeric, 6) END,
				   l.product_id, l.store_id, ($5 ->> 'from')::timestamp, ($5 ->> 'till')::timestamp,
				   (SELECT g.recent FROM given g), $4)
		FROM onec_internal.receipt_lines_till($1, $2 + 1, $3) l WHERE l.customer_id IS NOT NULL
		GROUP BY l.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.customer_histories(name, date, uuid[], onec_internal.taste_book, jsonb) IS
	'Истории покупателей (всех или названных) на конец дня (служебная)';

-- The same by itself: words are numbered for this query.
CREATE FUNCTION onec_internal.histories(server name, as_of date, customers uuid[], kinds text[], season jsonb)
	RETURNS TABLE (customer_id uuid, lines int, net numeric, gross numeric, returned numeric, items numeric,
				   recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH word AS MATERIALIZED (
			SELECT onec_internal.taste_book_of($1, g.products, g.stores, $4, false) AS book
			FROM onec_internal.goods_and_stores($1, $2, $3) g)
		SELECT x.* FROM word w CROSS JOIN LATERAL onec_internal.customer_histories($1, $2, $3, w.book, $5) x;
END $$;
COMMENT ON FUNCTION onec_internal.histories(name, date, uuid[], text[], jsonb) IS
	'Истории покупателей на конец дня, с предпочтениями всех видов или названных (служебная)';

-- Histories without tastes, which follow from receipts alone: for all customers of the kept ones.  What was
-- sold and what came back in a part of a receipt stand for its lines.
CREATE FUNCTION onec_internal.visit_histories(server name, as_of date, customers uuid[], season jsonb)
	RETURNS TABLE (customer_id uuid, recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_nestloop = off SET enable_hashagg = off SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	recent timestamp := onec_internal.start_of_last_days(as_of, onec.get('rfm.window', server)::int);
	since timestamp := season ->> 'from';
	till timestamp := season ->> 'till';
	no_words onec_internal.taste_book := ROW('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
BEGIN
	IF customers IS NOT NULL THEN
		RETURN QUERY SELECT x.customer_id, x.recent_net, x.h
			FROM onec_internal.histories(server, as_of, customers, '{}', season) x;
		RETURN;
	END IF;
	RETURN QUERY
		SELECT l.customer_id, coalesce(sum(l.amount) FILTER (WHERE l.period >= recent), 0),
			   onec_internal.history(l.receipt_id, l.at, onec_internal.visit_day(l.at), l.is_purchase,
									 l.period, l.amount, NULL, NULL, NULL, since, till, recent, no_words)
		FROM (SELECT p.customer_id, p.receipt_id, p.at, p.is_purchase, p.period,
					 coalesce(p.gross, p.returned, 0) AS amount
			  FROM onec_internal.kept_parts(server, (as_of + 1)::timestamp) p
			  UNION ALL
			  SELECT p.customer_id, p.receipt_id, p.at, p.is_purchase, p.period, p.returned
			  FROM onec_internal.kept_parts(server, (as_of + 1)::timestamp) p
			  WHERE p.gross IS NOT NULL AND p.returned IS NOT NULL) l
		WHERE l.customer_id IS NOT NULL GROUP BY l.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.visit_histories(name, date, uuid[], jsonb) IS
	'Истории покупателей (всех или названных) без предпочтений (служебная)';
-- Customer profiles: one row for each customer with a purchase or a card, and the JSON that the site reads.

CREATE TABLE onec.frequency_class (
	upper_days numeric PRIMARY KEY,
	code text NOT NULL UNIQUE,
	title_ru text NOT NULL
);
COMMENT ON TABLE onec.frequency_class IS 'Классы частоты покупок по медианному промежутку между визитами';
COMMENT ON COLUMN onec.frequency_class.upper_days IS 'Промежуток до стольких дней включительно';
COMMENT ON COLUMN onec.frequency_class.code IS 'Код';
COMMENT ON COLUMN onec.frequency_class.title_ru IS 'По-русски';
-- Bounds are geometric midpoints between 1, 7, 14, 30.4, 60.9, 91.3, 182.6, 365.25 and 730.5 days.
INSERT INTO onec.frequency_class (upper_days, code, title_ru) VALUES
	(2, 'daily', 'ежедневно'), (10, 'weekly', 'еженедельно'), (21, 'biweekly', 'раз в две недели'),
	(43, 'monthly', 'ежемесячно'), (75, 'bimonthly', 'раз в два месяца'), (129, 'quarterly', 'раз в квартал'),
	(258, 'semiannual', 'раз в полгода'), (517, 'annual', 'раз в год'), (1000000, 'rare', 'реже');

CREATE TABLE onec.customer_profile (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	total_revenue numeric NOT NULL,
	gross_revenue numeric NOT NULL,
	returns_amount numeric NOT NULL,
	return_rate numeric,
	receipts int NOT NULL,
	lines int NOT NULL,
	visits int NOT NULL,
	total_items numeric NOT NULL,
	average_check numeric,
	median_check numeric,
	average_line numeric,
	items_per_receipt numeric,
	purchase_frequency text NOT NULL,
	frequency_confidence text,
	median_gap numeric,
	mean_gap numeric,
	first_purchase timestamp,
	last_purchase timestamp,
	favorite_categories text[] NOT NULL,
	favorite_stores text[] NOT NULL,
	month_share numeric[] NOT NULL,
	buys_8_march boolean NOT NULL,
	buys_new_year boolean NOT NULL,
	buys_valentine boolean NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_profile IS 'Профили покупателей';
COMMENT ON COLUMN onec.customer_profile.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_profile.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта';
COMMENT ON COLUMN onec.customer_profile.total_revenue IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.customer_profile.gross_revenue IS 'Выручка без возвратов';
COMMENT ON COLUMN onec.customer_profile.returns_amount IS 'Сумма возвратов, меньше нуля';
COMMENT ON COLUMN onec.customer_profile.return_rate IS 'Доля возвратов в выручке';
COMMENT ON COLUMN onec.customer_profile.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.customer_profile.lines IS 'Строк продаж и возвратов';
COMMENT ON COLUMN onec.customer_profile.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.customer_profile.total_items IS 'Штук';
COMMENT ON COLUMN onec.customer_profile.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.customer_profile.median_check IS 'Медианный чек';
COMMENT ON COLUMN onec.customer_profile.average_line IS 'Средняя сумма строки';
COMMENT ON COLUMN onec.customer_profile.items_per_receipt IS 'Штук в чеке';
COMMENT ON COLUMN onec.customer_profile.purchase_frequency IS 'Класс частоты покупок';
COMMENT ON COLUMN onec.customer_profile.frequency_confidence IS 'Надёжность класса: low, medium, high';
COMMENT ON COLUMN onec.customer_profile.median_gap IS 'Медианный промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_profile.mean_gap IS 'Средний промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_profile.first_purchase IS 'Первая покупка, местное время';
COMMENT ON COLUMN onec.customer_profile.last_purchase IS 'Последняя покупка, местное время';
COMMENT ON COLUMN onec.customer_profile.favorite_categories IS
	'Любимые категории, до пяти, как их называет сайт';
COMMENT ON COLUMN onec.customer_profile.favorite_stores IS 'Магазины по числу визитов, до пяти';
COMMENT ON COLUMN onec.customer_profile.month_share IS 'Доли месяцев (январь … декабрь) в покупках';
COMMENT ON COLUMN onec.customer_profile.buys_8_march IS 'Покупал с 1 по 8 марта';
COMMENT ON COLUMN onec.customer_profile.buys_new_year IS 'Покупал с 10 по 31 декабря';
COMMENT ON COLUMN onec.customer_profile.buys_valentine IS 'Покупал с 7 по 14 февраля';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_profile', '');

-- The profiles as they ought to be, of histories (kept: those in pg_temp.onec_history); also of those who
-- have a card and no purchase.
CREATE FUNCTION onec_internal.computed_profiles(server name, customers uuid[], as_of date,
												kept boolean DEFAULT false) RETURNS SETOF
													onec.customer_profile
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH found AS MATERIALIZED (
			SELECT x.customer_id, x.lines, x.net, x.gross, x.returned, x.items, x.h FROM %s x),
		everybody AS (
			SELECT f.customer_id, f.lines, f.net, f.gross, f.returned, f.items, (f.h).* FROM found f
			UNION ALL
			SELECT c.user_id, NULL, NULL, NULL, NULL, NULL, (NULL::onec_internal.history).*
			FROM (SELECT DISTINCT k.user_id FROM onec.customer_card k
				  WHERE k.server = $1 AND ($2 IS NULL OR k.user_id = ANY ($2))) c
			WHERE NOT EXISTS (SELECT FROM found f WHERE f.customer_id = c.user_id))
		SELECT $1, m.customer_id, coalesce(m.net, 0), coalesce(m.gross, 0), coalesce(m.returned, 0),
			   CASE WHEN m.gross > 0 THEN round(-m.returned / m.gross, 4) END,
			   coalesce(m.receipts, 0), coalesce(m.lines, 0), coalesce(m.visits, 0), coalesce(m.items, 0),
			   CASE WHEN $4 = 'row' THEN round(m.net / nullif(m.lines, 0), 2)
					ELSE round(m.sale_net / nullif(m.receipts, 0), 2) END,
			   round(m.median_check, 2), round(m.net / nullif(m.lines, 0), 2),
			   round(m.items / nullif(m.receipts, 0), 2),
			   CASE WHEN coalesce(m.visits, 0) = 0 THEN 'none' WHEN m.visits = 1 THEN 'single'
					ELSE (SELECT f.code FROM onec.frequency_class f WHERE m.median_gap <= f.upper_days
						  ORDER BY f.upper_days LIMIT 1) END,
			   CASE WHEN m.visits > 1 THEN CASE WHEN m.visits < 4 THEN 'low' WHEN m.visits < 7 THEN 'medium'
												ELSE 'high' END END,
			   m.median_gap, round((m.last_day - m.first_day)::numeric / nullif(m.visits - 1, 0), 2),
			   m.first_at, m.last_at,
			   coalesce(m.favorite_categories, '{}'), coalesce(m.favorite_stores, '{}'),
			   CASE WHEN m.gross > 0
					THEN ARRAY(SELECT round(coalesce(u.gross, 0) / m.gross, 4)
							   FROM unnest(m.months) WITH ORDINALITY u (gross, n) ORDER BY u.n)
					ELSE '{}' END,
			   coalesce(m.march, false), coalesce(m.new_year, false), coalesce(m.valentine, false)
		FROM everybody m$q$,
		CASE WHEN kept THEN 'pg_temp.onec_history'
			 ELSE 'onec_internal.histories($1, $3, $2, ''{category,store}'', NULL)' END)
	USING server, customers, as_of, onec.get('check_unit', server);
END $$;
COMMENT ON FUNCTION onec_internal.computed_profiles(name, uuid[], date, boolean) IS
	'Профили, какими они должны быть (служебная)';

-- Make the rows of a table about customers (all, or those named) equal to those of a temporary one that has
-- its columns, and write only what differs; "same" may say when rows that are not equal say the same (t is
-- here, excluded is new).  Rows that stay are not even locked.
CREATE FUNCTION onec_internal.write_changed_rows(tab regclass, stage text, server name, customers uuid[],
												 same text DEFAULT 'false',
												 OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	part record;
	here text := 't.server = $1' || CASE WHEN customers IS NOT NULL THEN ' AND t.customer_id = ANY ($2)'
									ELSE '' END;
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
		   string_agg('t.' || quote_ident(a.attname), ', ' ORDER BY a.attnum) AS before,
		   string_agg('excluded.' || quote_ident(a.attname), ', ' ORDER BY a.attnum) AS after,
		   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL) AS key,
		   string_agg(format('excluded.%1$I = t.%1$I', a.attname), ' AND ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL) AS same_key,
		   string_agg(format('%1$I = excluded.%1$I', a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NULL) AS set_list
	INTO part
	FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		AND a.attnum = ANY (i.indkey)
	WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped;
	EXECUTE format('DELETE FROM %s t WHERE %s AND NOT EXISTS (SELECT FROM pg_temp.%I excluded WHERE %s)',
				   tab, here, stage, part.same_key) USING server, customers;
	GET DIAGNOSTICS deleted = ROW_COUNT;
	EXECUTE format(
		'WITH written AS (INSERT INTO %1$s AS n (%2$s)
			SELECT %3$s FROM pg_temp.%4$I excluded LEFT JOIN %1$s t ON %5$s AND %6$s
			WHERE t.server IS NULL OR ROW(%7$s) IS DISTINCT FROM ROW(%3$s) AND NOT (%8$s)
			ON CONFLICT (%9$s) DO UPDATE SET %10$s RETURNING n.xmax = 0 AS fresh)
		 SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written',
		tab, part.columns, part.after, stage, part.same_key, here, part.before, same, part.key,
		part.set_list) INTO inserted, updated USING server, customers;
END $$;
COMMENT ON FUNCTION onec_internal.write_changed_rows(regclass, text, name, uuid[], text) IS
	'Записать в таблицу о покупателях только отличия от временной (служебная)';

-- Those in pg_temp.onec_history.
CREATE FUNCTION onec_internal.write_profiles(server name, customers uuid[], as_of date,
											 OUT rows_inserted bigint, OUT rows_updated bigint,
											 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	CREATE TEMPORARY TABLE onec_profiles
		ON COMMIT DROP AS SELECT * FROM onec_internal.computed_profiles(server, customers, as_of, true);
	ANALYZE pg_temp.onec_profiles;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_profile', 'onec_profiles', server, customers) k;
	DROP TABLE pg_temp.onec_profiles;
END $$;
COMMENT ON FUNCTION onec_internal.write_profiles(name, uuid[], date) IS
	'Записать профили по собранным историям (служебная)';
-- What a customer prefers and when: months and holidays, categories, brands and stores, the next purchase.
-- The functions answer for any day, as if later sales did not exist yet; two tables keep the answer of the
-- last refresh.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('season.prior_receipts', 'numeric', '6', NULL, 0, 1000000,
	 'Сколькими чеками весит сезонность магазина в сезонности покупателя'),
	('season.peak_index', 'numeric', '1.25', NULL, 0, 12,
	 'С какого индекса месяц считается пиком покупателя'),
	('outlook.baseline_days', 'int', '7', NULL, 0, 3650,
	 'Сколько дней сравнивать затронутых покупателей с прежними показателями магазина');

CREATE FUNCTION onec_internal.visit_gaps(server name, as_of date, customers uuid[])
	RETURNS TABLE (customer_id uuid, visits int, first_day date, last_day date, median_gap numeric,
				   low_gap numeric, high_gap numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT x.customer_id, (x.h).visits, (x.h).first_day, (x.h).last_day, (x.h).median_gap, (x.h).low_gap,
			   (x.h).high_gap
		FROM onec_internal.visit_histories($1, $2, $3, NULL) x WHERE (x.h).visits > 0;
END $$;
COMMENT ON FUNCTION onec_internal.visit_gaps(name, date, uuid[]) IS
	'Визиты и промежутки между ними (служебная)';

-- The gap of a shop without a customer who came twice is not known.
CREATE FUNCTION onec_internal.usual_gap(server name, as_of date) RETURNS numeric
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY g.median_gap)::numeric
	FROM onec_internal.visit_gaps($1, $2, NULL) g
$$;
COMMENT ON FUNCTION onec_internal.usual_gap(name, date) IS
	'Обычный промежуток между визитами в магазине (служебная)';

-- A third of a whole number times 1.5 may be whole: the limits are rounded, so that such a day falls on its
-- right side.
CREATE FUNCTION onec_internal.churn_class_of(days int, gap numeric, visits int) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN gap IS NOT NULL
					AND days IS NOT NULL THEN CASE WHEN visits = 1 THEN 'single_' ELSE '' END ||
			CASE WHEN days <= gap THEN 'active' WHEN days <= round(gap * 1.5, 3) THEN 'due'
				 WHEN days <= round(gap * 2.5, 3) THEN 'at_risk'
				 WHEN days <= round(gap * 4, 3) THEN 'lapsed' ELSE 'lost' END END;
	END;
COMMENT ON FUNCTION onec_internal.churn_class_of(int, numeric, int) IS
	'Класс оттока по прошедшим дням и обычному промежутку (служебная)';

-- A gap known from one interval is drawn to the shop's usual one, as if two intervals of that length were
-- known as well.
CREATE FUNCTION onec_internal.gap_drawn_to_usual(visits int, median_gap numeric,
												 usual numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN visits >= 3 THEN median_gap
				ELSE ((visits - 1) * coalesce(median_gap, 0) + 2 * usual) / (visits + 1) END;
COMMENT ON FUNCTION onec_internal.gap_drawn_to_usual(int, numeric, numeric) IS
	'Обычный промежуток между визитами покупателя (служебная)';

-- When a customer is to be expected, of the visits up to a day and the usual gap of the shop.
CREATE FUNCTION onec_internal.next_purchase_from(visits int, last_day date, median_gap numeric,
												 low_gap numeric, high_gap numeric, as_of date, usual numeric,
												 OUT gap numeric, OUT expected_next date,
												 OUT window_from date, OUT window_to date,
												 OUT days_since int, OUT overdue_ratio numeric,
												 OUT churn_class text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT round(g.gap, 4), last_day + round(g.gap)::int,
			   CASE WHEN visits >= 5 THEN last_day + round(low_gap)::int END,
			   CASE WHEN visits >= 5 THEN last_day + round(high_gap)::int END,
			   as_of - last_day, round((as_of - last_day) / nullif(g.gap, 0), 2),
			   onec_internal.churn_class_of(as_of - last_day, round(g.gap, 4), visits)
		FROM (SELECT onec_internal.gap_drawn_to_usual(visits, median_gap, usual) AS gap) g;
	END;
COMMENT ON FUNCTION onec_internal.next_purchase_from(int, date, numeric, numeric, numeric, date, numeric) IS
	'Когда ждать покупателя при известном обычном промежутке (служебная)';

-- Customers are compared with the shop: its seasons, its usual gap, its shares.  To find these out takes all
-- lines of the shop, which for a few customers would cost more than they do; so a refresh of everybody writes
-- them down, and later ones, and whoever asks of a few customers, take them from there.  Example: on the 1st
-- refresh_outlook('shop') reads the shop and writes its baseline.  On the 4th refresh_outlook('shop', '{A}')
-- reads the lines of A alone.  On the 9th the baseline is older than outlook.baseline_days (7): the shop is
-- read once more.
CREATE TABLE onec.outlook_baseline (
	server name PRIMARY KEY,
	as_of date NOT NULL,
	season jsonb NOT NULL,
	usual_gap numeric,
	shares jsonb NOT NULL
);
COMMENT ON TABLE onec.outlook_baseline IS
	'С чем сравниваются покупатели: сезонность магазина, обычный промежуток, доли; от '
	'последнего полного пересчёта';
COMMENT ON COLUMN onec.outlook_baseline.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outlook_baseline.as_of IS 'На какой день';
COMMENT ON COLUMN onec.outlook_baseline.season IS 'Наблюдавшиеся месяцы и кривая сезонности';
COMMENT ON COLUMN onec.outlook_baseline.usual_gap IS 'Обычный промежуток между визитами, дней';
COMMENT ON COLUMN onec.outlook_baseline.shares IS 'Доли категорий, марок и магазинов';
SELECT pg_catalog.pg_extension_config_dump('onec.outlook_baseline', '');

-- That of about a day, for some customers.
CREATE FUNCTION onec_internal.kept_baseline(server name, day date, customers uuid[])
	RETURNS SETOF onec.outlook_baseline
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT t.* FROM onec.outlook_baseline t
		WHERE t.server = $1 AND $3 IS NOT NULL
		  AND abs($2 - t.as_of) <= onec.get('outlook.baseline_days', $1)::int;
END $$;
COMMENT ON FUNCTION onec_internal.kept_baseline(name, date, uuid[]) IS
	'С чем сравнивать названных покупателей, если это известно (служебная)';

CREATE FUNCTION onec.next_purchase(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date,
				   window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
		kept AS MATERIALIZED (
			SELECT b.usual_gap FROM me
			CROSS JOIN LATERAL onec_internal.kept_baseline(me.server_name, me.day, $3) b),
		found AS MATERIALIZED (
			SELECT g.*, me.day FROM me
			CROSS JOIN LATERAL onec_internal.visit_gaps(me.server_name, me.day, $3) g),
		usual AS MATERIALIZED (
			SELECT k.usual_gap AS gap FROM kept k
			UNION ALL
			SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f.median_gap)::numeric FROM found f
			WHERE $3 IS NULL HAVING $3 IS NULL
			UNION ALL
			SELECT onec_internal.usual_gap(me.server_name, me.day) FROM me
			WHERE $3 IS NOT NULL AND NOT EXISTS (SELECT FROM kept))
		SELECT f.customer_id, f.visits, f.last_day, n.gap, n.expected_next, n.window_from, n.window_to,
			   n.days_since, n.overdue_ratio, n.churn_class
		FROM found f CROSS JOIN usual u
		CROSS JOIN LATERAL onec_internal.next_purchase_from(f.visits, f.last_day, f.median_gap, f.low_gap,
															f.high_gap, f.day, u.gap) n;
END $$;
COMMENT ON FUNCTION onec.next_purchase(name, date, uuid[]) IS
	'Когда ждать покупателей (всех или названных) снова, насколько опаздывают и класс оттока; '
	'single_* — купившие один раз';

-- What seasons are measured by: which whole months the shop was observed, and its own curve.  A calendar
-- month never seen whole is taken for an average one.
CREATE FUNCTION onec_internal.shop_season(server name, as_of date) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH m AS (SELECT s.month, s.observed, coalesce(s.season_index, 1) AS rate,
					  sum(coalesce(s.season_index, 1)) OVER () AS total FROM onec.month_season_at($1, $2) s),
	span AS (SELECT sum(m.observed)::int AS months, date_trunc('month', ($2 + 1)::timestamp) AS till FROM m)
	SELECT jsonb_build_object('from', s.till - s.months * interval '1 month', 'till', s.till,
		'observed', (SELECT jsonb_agg(m.observed ORDER BY m.month) FROM m), 'curve',
		(SELECT jsonb_agg(round(m.rate / m.total, 6) ORDER BY m.month) FROM m))
	FROM span s
$$;
COMMENT ON FUNCTION onec_internal.shop_season(name, date) IS
	'Наблюдавшиеся месяцы и сезонность магазина (служебная)';

-- Shares of the months drawn to the shop's curve: (receipts * share + prior * curve) / (receipts + prior),
-- 1 being an average month (doc/definitions.md 3.2, with an example).  Money counts in months seen whole,
-- divided by how often they were.
CREATE FUNCTION onec_internal.season_index(receipts int, sold numeric[], observed numeric[], curve numeric[],
										   prior numeric) RETURNS numeric[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_season_index';
COMMENT ON FUNCTION onec_internal.season_index(int, numeric[], numeric[], numeric[], numeric) IS
	'Индексы месяцев покупателя (служебная)';

-- Up to three months from an index on, the strongest first.
CREATE FUNCTION onec_internal.peak_months(month_index numeric[], peak numeric) RETURNS int[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ARRAY(SELECT m.month::int FROM unnest(month_index) WITH ORDINALITY m (value, month)
				 WHERE m.value >= peak ORDER BY m.value DESC, m.month LIMIT 3);
COMMENT ON FUNCTION onec_internal.peak_months(numeric[], numeric) IS 'Месяцы-пики покупателя (служебная)';

-- The observed months and the curve of onec_internal.shop_season as arrays, with the settings.
CREATE FUNCTION onec_internal.season_given(server name, base jsonb, OUT observed numeric[],
										   OUT curve numeric[], OUT prior numeric, OUT peak numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	observed := ARRAY(SELECT o::numeric FROM jsonb_array_elements_text(base -> 'observed') o);
	curve := ARRAY(SELECT c::numeric FROM jsonb_array_elements_text(base -> 'curve') c);
	prior := onec.get('season.prior_receipts', server);
	peak := onec.get('season.peak_index', server);
END $$;
COMMENT ON FUNCTION onec_internal.season_given(name, jsonb) IS
	'Сезонность магазина и настройки для season_index (служебная)';

CREATE FUNCTION onec.season(server name DEFAULT NULL, as_of date DEFAULT NULL, customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, receipts int, month_index numeric[], peak_months int[],
				   buys_8_march boolean, buys_new_year boolean, buys_valentine boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH me AS MATERIALIZED (
			SELECT d.*, coalesce((SELECT b.season
								  FROM onec_internal.kept_baseline(d.server_name, d.day, $3) b),
								 onec_internal.shop_season(d.server_name, d.day)) AS base
			FROM onec_internal.server_and_day($1, $2) d)
		SELECT x.customer_id, (x.h).span_receipts, i.list, onec_internal.peak_months(i.list, g.peak),
			   (x.h).march, (x.h).new_year, (x.h).valentine
		FROM me CROSS JOIN LATERAL onec_internal.season_given(me.server_name, me.base) g
		CROSS JOIN LATERAL onec_internal.visit_histories(me.server_name, me.day, $3, me.base) x
		CROSS JOIN LATERAL (SELECT onec_internal.season_index((x.h).span_receipts, (x.h).span_months,
															  g.observed, g.curve, g.prior) AS list
							OFFSET 0) i;
END $$;
COMMENT ON FUNCTION onec.season(name, date, uuid[]) IS
	'Сезонность покупателей (всех или названных): индексы месяцев (1 — средний), до трёх пиков от '
	'сильного к слабому, праздники';

-- The tastes of a history one by one: "place" is of its kind, and none where there is no weight.
CREATE FUNCTION onec_internal.tastes_of(words int[], weights numeric[], word_receipts int[],
										lasts timestamp[], found int[], totals numeric[])
	RETURNS TABLE (no int, place int, weight numeric, receipts int, last_at timestamp, total numeric,
				   kind int)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT u.no, CASE WHEN u.weight > 0
						  THEN u.n::int - CASE k.kind WHEN 1 THEN 0 WHEN 2 THEN found[1]
										  ELSE found[1] + found[2] END END,
			   u.weight, u.receipts, u.last_at, totals[k.kind], k.kind
		FROM unnest(words, weights, word_receipts, lasts)
			WITH ORDINALITY u (no, weight, receipts, last_at, n)
		CROSS JOIN LATERAL (
			SELECT CASE WHEN u.n <= found[1] THEN 1 WHEN u.n <= found[1] + found[2] THEN 2
						ELSE 3 END AS kind) k;
	END;
COMMENT ON FUNCTION onec_internal.tastes_of(int[], numeric[], int[], timestamp[], int[], numeric[]) IS
	'Предпочтения из истории по одному (служебная)';

-- The shop's shares come as {"kind": {"value": share}}, or from the rows themselves if those are of all
-- customers.
CREATE FUNCTION onec_internal.affinity_of(server name, as_of date, customers uuid[],
										  only_kind text, shop jsonb)
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, place int, weight numeric,
				   share numeric, receipts int,
				   penetration numeric, lift numeric, last_at timestamp, diversity numeric,
				   shop_share numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_nestloop = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH here AS MATERIALIZED (SELECT * FROM onec_internal.goods_and_stores($1, $2, $3)),
		book AS MATERIALIZED (
			SELECT onec_internal.taste_book_of($1, here.products, here.stores,
											   CASE WHEN $4 IS NOT NULL THEN ARRAY[$4] END, false) AS book
			FROM here),
		found AS MATERIALIZED (
			SELECT x.customer_id, (x.h).receipts AS all_receipts, (x.h).diversity[t.kind] AS diversity,
				   ('{category,brand,store}'::text[])[t.kind] AS kind, t.no, t.place, t.weight, t.receipts,
				   t.last_at, t.total
			FROM book b CROSS JOIN LATERAL onec_internal.customer_histories($1, $2, $3, b.book, NULL) x
			CROSS JOIN LATERAL onec_internal.tastes_of(
				(x.h).words, (x.h).weights, (x.h).word_receipts, (x.h).lasts, (x.h).found, (x.h).totals) t),
		word AS MATERIALIZED (
			SELECT u.no, u.value_id, u.title FROM book b CROSS JOIN LATERAL unnest(
				(b.book).words, (b.book)."values", (b.book).titles) u (no, value_id, title)),
		shop AS MATERIALIZED (
			SELECT k.key AS kind, v.key AS value_id, v.value::numeric AS share
			FROM jsonb_each($5) k CROSS JOIN LATERAL jsonb_each_text(k.value) v
			UNION ALL
			SELECT s.kind, w.value_id,
				   round(s.weight / nullif(sum(s.weight) OVER (PARTITION BY s.kind), 0), 6)
			FROM (SELECT f.kind, f.no, greatest(sum(f.weight), 0) AS weight FROM found f WHERE $5 IS NULL
				  GROUP BY 1, 2) s JOIN word w ON w.no = s.no)
		SELECT f.customer_id, f.kind, w.value_id, w.title, f.place, round(f.weight, 2),
			   round(f.weight / f.total, 4), f.receipts,
			   round(f.receipts::numeric / nullif(f.all_receipts, 0), 4),
			   round(f.weight / f.total / nullif(s.share, 0), 2), f.last_at, round(f.diversity, 4), s.share
		FROM found f JOIN word w ON w.no = f.no
		LEFT JOIN shop s ON s.kind = f.kind AND s.value_id = w.value_id WHERE f.weight > 0;
END $$;
COMMENT ON FUNCTION onec_internal.affinity_of(name, date, uuid[], text, jsonb) IS
	'Предпочтения покупателей при известных долях магазина (служебная)';

CREATE FUNCTION onec_internal.shop_taste_shares(server name, as_of date, only_kind text) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(k.kind, k.shares), '{}')
	FROM (SELECT v.kind, jsonb_object_agg(v.value_id, v.shop_share) AS shares
		  FROM (SELECT DISTINCT a.kind, a.value_id, a.shop_share
				FROM onec_internal.affinity_of($1, $2, NULL, $3, NULL) a) v GROUP BY 1) k
$$;
COMMENT ON FUNCTION onec_internal.shop_taste_shares(name, date, text) IS
	'Доли категорий, марок и магазинов у всех известных покупателей (служебная)';

CREATE FUNCTION onec.affinity(server name DEFAULT NULL, as_of date DEFAULT NULL,
							  customers uuid[] DEFAULT NULL, only_kind text DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, place int, weight numeric,
				   share numeric, receipts int,
				   penetration numeric, lift numeric, last_at timestamp, diversity numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH me AS MATERIALIZED (
			SELECT d.*, k.kind, CASE WHEN $3 IS NOT NULL THEN coalesce(
					   (SELECT b.shares FROM onec_internal.kept_baseline(d.server_name, d.day, $3) b),
					   onec_internal.shop_taste_shares(d.server_name, d.day, k.kind)) END AS shares
			FROM onec_internal.server_and_day($1, $2) d
			CROSS JOIN LATERAL onec_internal.checked_word('kind', $4, '{category,brand,store}') k (kind))
		SELECT a.customer_id, a.kind, a.value_id, a.title, a.place, a.weight, a.share, a.receipts,
			   a.penetration, a.lift, a.last_at, a.diversity
		FROM me
		CROSS JOIN LATERAL onec_internal.affinity_of(me.server_name, me.day, $3, me.kind, me.shares) a;
END $$;
COMMENT ON FUNCTION onec.affinity(name, date, uuid[], text) IS
	'Предпочтения покупателей (всех или названных): only_kind — category, brand, store или пусто для всех; '
	'первые пять мест — любимые';

-- One row for each customer, best tastes first: a row for each taste would take more room than the lines
-- themselves.
CREATE TABLE onec_internal.customer_taste (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	weighed_on date NOT NULL,
	receipts int NOT NULL,
	words int[] NOT NULL,
	weights numeric[] NOT NULL,
	word_receipts int[] NOT NULL,
	lasts timestamp[] NOT NULL,
	found int[] NOT NULL,
	totals numeric[] NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec_internal.customer_taste IS
	'Предпочтения покупателей, по строке на покупателя; по одному их показывает onec.customer_affinity';
COMMENT ON COLUMN onec_internal.customer_taste.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.customer_taste.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec_internal.customer_taste.weighed_on IS
	'На какой день веса; строка не переписывается, пока они лишь убывают со временем';
COMMENT ON COLUMN onec_internal.customer_taste.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec_internal.customer_taste.words IS
	'Номера слов: категории, потом марки, потом магазины, лучшие вперёд';
COMMENT ON COLUMN onec_internal.customer_taste.weights IS 'Веса';
COMMENT ON COLUMN onec_internal.customer_taste.word_receipts IS 'Чеков продажи с каждым';
COMMENT ON COLUMN onec_internal.customer_taste.lasts IS 'Последние покупки';
COMMENT ON COLUMN onec_internal.customer_taste.found IS 'Сколько категорий, марок и магазинов';
COMMENT ON COLUMN onec_internal.customer_taste.totals IS 'Сумма весов любимых категорий, марок и магазинов';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.customer_taste', '');

CREATE VIEW onec.customer_affinity AS
	SELECT t.server, t.customer_id, w.kind, w.value_id, w.title, u.place, round(u.weight, 2) AS weight,
		   t.weighed_on, round(u.weight / u.total, 4) AS share, u.receipts,
		   round(u.receipts::numeric / nullif(t.receipts, 0), 4) AS penetration,
		   round(u.weight / u.total / nullif(w.share, 0), 2) AS lift, u.last_at,
		   onec.moment(t.server, u.last_at) AS last_at_tz
	FROM onec_internal.customer_taste t
	CROSS JOIN LATERAL onec_internal.tastes_of(t.words, t.weights, t.word_receipts, t.lasts, t.found,
											   t.totals) u
	JOIN onec_internal.taste_word w ON w.no = u.no AND w.server = t.server
	WHERE u.weight > 0;
COMMENT ON VIEW onec.customer_affinity IS 'Предпочтения покупателей: категории, марки и магазины';
COMMENT ON COLUMN onec.customer_affinity.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_affinity.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_affinity.kind IS 'category — категория, brand — марка, store — магазин';
COMMENT ON COLUMN onec.customer_affinity.value_id IS 'Обозначение категории или марки, ссылка на магазин';
COMMENT ON COLUMN onec.customer_affinity.title IS 'По-русски';
COMMENT ON COLUMN onec.customer_affinity.place IS 'Место у покупателя; первые пять — любимые';
COMMENT ON COLUMN onec.customer_affinity.weight IS
	'Вес на день weighed_on: сумма покупок, вдвое меньше за каждые affinity.half_life_days; у '
	'магазина — дней с покупкой';
COMMENT ON COLUMN onec.customer_affinity.weighed_on IS
	'На какой день вес; строка не переписывается, пока он лишь убывает со временем';
COMMENT ON COLUMN onec.customer_affinity.share IS 'Доля в весе всех значений этого вида';
COMMENT ON COLUMN onec.customer_affinity.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.customer_affinity.penetration IS 'Доля чеков покупателя';
COMMENT ON COLUMN onec.customer_affinity.lift IS
	'Во сколько раз доля больше, чем у всех известных покупателей';
COMMENT ON COLUMN onec.customer_affinity.last_at IS 'Последняя покупка, местное время';

CREATE TABLE onec.customer_outlook (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	month_index numeric[] NOT NULL,
	peak_months int[] NOT NULL,
	buys_8_march boolean NOT NULL,
	buys_new_year boolean NOT NULL,
	buys_valentine boolean NOT NULL,
	visits int NOT NULL,
	last_visit date,
	gap numeric,
	expected_next date,
	window_from date,
	window_to date,
	days_since int,
	overdue_ratio numeric,
	churn_class text,
	favorite_categories text[] NOT NULL,
	favorite_brands text[] NOT NULL,
	favorite_stores text[] NOT NULL,
	category_diversity numeric,
	brand_diversity numeric,
	store_diversity numeric,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_outlook IS
	'Чего ждать от покупателей: сезонность, следующая покупка, класс оттока, любимое; на '
	'день последнего пересчёта';
COMMENT ON COLUMN onec.customer_outlook.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_outlook.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_outlook.month_index IS
	'Индексы месяцев (январь … декабрь): 1 — средний месяц';
COMMENT ON COLUMN onec.customer_outlook.peak_months IS 'До трёх месяцев-пиков, от сильного к слабому';
COMMENT ON COLUMN onec.customer_outlook.buys_8_march IS 'Покупал с 1 по 8 марта';
COMMENT ON COLUMN onec.customer_outlook.buys_new_year IS 'Покупал с 10 по 31 декабря';
COMMENT ON COLUMN onec.customer_outlook.buys_valentine IS 'Покупал с 7 по 14 февраля';
COMMENT ON COLUMN onec.customer_outlook.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.customer_outlook.last_visit IS 'День последней покупки';
COMMENT ON COLUMN onec.customer_outlook.gap IS 'Обычный промежуток, дней';
COMMENT ON COLUMN onec.customer_outlook.expected_next IS 'Когда ждать снова';
COMMENT ON COLUMN onec.customer_outlook.window_from IS
	'Начало окна ожидания: четверть промежутков короче; при четырёх промежутках и больше';
COMMENT ON COLUMN onec.customer_outlook.window_to IS 'Конец окна ожидания: четверть промежутков длиннее';
COMMENT ON COLUMN onec.customer_outlook.days_since IS 'Дней с последней покупки';
COMMENT ON COLUMN onec.customer_outlook.overdue_ratio IS 'Сколько обычных промежутков прошло';
COMMENT ON COLUMN onec.customer_outlook.churn_class IS
	'active, due, at_risk, lapsed, lost; у купивших один раз — single_*';
COMMENT ON COLUMN onec.customer_outlook.favorite_categories IS
	'Любимые категории, до пяти, как их называет сайт; по-русски — title в customer_affinity';
COMMENT ON COLUMN onec.customer_outlook.favorite_brands IS 'Любимые марки, до пяти';
COMMENT ON COLUMN onec.customer_outlook.favorite_stores IS 'Магазины по числу визитов, до пяти';
COMMENT ON COLUMN onec.customer_outlook.category_diversity IS
	'Разнообразие категорий: 0 — одна, ближе к 1 — много поровну';
COMMENT ON COLUMN onec.customer_outlook.brand_diversity IS 'Разнообразие марок';
COMMENT ON COLUMN onec.customer_outlook.store_diversity IS 'Разнообразие магазинов';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_outlook', '');

-- The rows of customer_outlook as they ought to be, of the histories in pg_temp.onec_history.
CREATE FUNCTION onec_internal.computed_outlook(server name, as_of date, season jsonb,
											   usual numeric) RETURNS SETOF onec.customer_outlook
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN QUERY
		SELECT computed_outlook.server, x.customer_id, i.list, onec_internal.peak_months(i.list, g.peak),
			   (x.h).march, (x.h).new_year, (x.h).valentine, (x.h).visits, (x.h).last_day,
			   n.gap, n.expected_next, n.window_from, n.window_to, n.days_since, n.overdue_ratio,
			   n.churn_class, (x.h).favorite_categories, (x.h).favorite_brands, (x.h).favorite_stores,
			   round((x.h).diversity[1], 4), round((x.h).diversity[2], 4), round((x.h).diversity[3], 4)
		FROM onec_internal.season_given(computed_outlook.server, season) g
		CROSS JOIN pg_temp.onec_history x
		CROSS JOIN LATERAL (SELECT onec_internal.season_index((x.h).span_receipts, (x.h).span_months,
															  g.observed, g.curve, g.prior) AS list
							OFFSET 0) i
		LEFT JOIN LATERAL onec_internal.next_purchase_from((x.h).visits, (x.h).last_day, (x.h).median_gap,
														   (x.h).low_gap, (x.h).high_gap, as_of, usual) n
			ON (x.h).visits > 0;
END $$;
COMMENT ON FUNCTION onec_internal.computed_outlook(name, date, jsonb, numeric) IS
	'Ожидания, какими они должны быть (служебная)';

-- The shares of words in all customers' weights, of those in pg_temp.onec_history.
CREATE FUNCTION onec_internal.collected_shares(server name) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN (
		WITH sums AS (
			SELECT u.no, greatest(sum(u.weight), 0) AS weight
			FROM pg_temp.onec_history x CROSS JOIN LATERAL unnest((x.h).words, (x.h).weights) u (no, weight)
			GROUP BY 1),
		shared AS (
			SELECT w.kind, w.value_id,
				   round(s.weight / nullif(sum(s.weight) OVER (PARTITION BY w.kind), 0), 6) AS share
			FROM sums s JOIN onec_internal.taste_word w ON w.server = collected_shares.server AND w.no = s.no)
		SELECT coalesce(jsonb_object_agg(k.kind, k.shares), '{}')
		FROM (SELECT s.kind, jsonb_object_agg(s.value_id, s.share) AS shares FROM shared s GROUP BY 1) k);
END $$;
COMMENT ON FUNCTION onec_internal.collected_shares(name) IS
	'Доли предпочтений у всех собранных покупателей (служебная)';

CREATE FUNCTION onec_internal.keep_baseline(b onec.outlook_baseline) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO onec.outlook_baseline AS t VALUES (b.*)
	ON CONFLICT ON CONSTRAINT outlook_baseline_pkey DO UPDATE
		SET as_of = excluded.as_of, season = excluded.season, usual_gap = excluded.usual_gap,
			shares = excluded.shares
		WHERE ROW(t.*) IS DISTINCT FROM ROW(excluded.*);
	UPDATE onec_internal.taste_word w SET share = s.share
	FROM (SELECT o.kind, o.value_id, (b.shares -> o.kind ->> o.value_id)::numeric AS share
		  FROM onec_internal.taste_word o WHERE o.server = b.server) s
	WHERE w.server = b.server AND w.kind = s.kind AND w.value_id = s.value_id
	  AND w.share IS DISTINCT FROM s.share;
END $$;
COMMENT ON FUNCTION onec_internal.keep_baseline(onec.outlook_baseline) IS
	'Запомнить, с чем сравниваются покупатели (служебная)';

-- Whether the first weights are what is left of those before, but for what rounding may do, and the others
-- (of stores) are the same.
CREATE FUNCTION onec_internal.have_faded(before numeric[], now numeric[], fading int,
										 left_over float8) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN NOT EXISTS (SELECT FROM unnest(before, now) WITH ORDINALITY u (before, now, n)
					   WHERE abs(u.now - u.before::float8 * CASE WHEN u.n <= fading THEN left_over
															ELSE 1 END) > 0.02);
COMMENT ON FUNCTION onec_internal.have_faded(numeric[], numeric[], int, float8) IS
	'Убыли ли веса лишь со временем (служебная)';

-- Read the lines of customers once, into pg_temp.onec_history; what they are compared with is that which is
-- kept, or made anew and kept.
CREATE FUNCTION onec_internal.collect_histories(server name, customers uuid[],
												day date) RETURNS onec.outlook_baseline
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	b onec.outlook_baseline := onec_internal.kept_baseline(server, day, customers);
	here record;
BEGIN
	SELECT * INTO here FROM onec_internal.goods_and_stores(server, day, customers) g;
	PERFORM onec_internal.keep_taste_words(server, here.products, here.stores);
	IF b.server IS NULL THEN
		b := ROW(server, day, onec_internal.shop_season(server, day), NULL, NULL);
	END IF;
	CREATE TEMPORARY TABLE onec_history ON COMMIT DROP AS
		SELECT x.* FROM onec_internal.customer_histories(
			server, day, customers,
			onec_internal.taste_book_of(server, here.products, here.stores, NULL, true), b.season) x;
	ANALYZE pg_temp.onec_history (customer_id);
	IF b.shares IS NULL AND customers IS NULL THEN
		b.usual_gap := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (x.h).median_gap)::numeric
						FROM pg_temp.onec_history x);
		b.shares := onec_internal.collected_shares(server);
	ELSIF b.shares IS NULL THEN
		b.usual_gap := onec_internal.usual_gap(server, day);
		b.shares := onec_internal.shop_taste_shares(server, day, NULL);
	END IF;
	PERFORM onec_internal.keep_baseline(b);
	RETURN b;
END $$;
COMMENT ON FUNCTION onec_internal.collect_histories(name, uuid[], date) IS
	'Собрать истории покупателей (всех или названных) на дату; с чем их сравнивать (служебная)';

CREATE FUNCTION onec_internal.write_outlook(b onec.outlook_baseline, customers uuid[], day date,
											OUT rows_inserted bigint, OUT rows_updated bigint,
											OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	a record;
	o record;
BEGIN
	CREATE TEMPORARY TABLE onec_taste ON COMMIT DROP AS
		SELECT b.server AS server, x.customer_id, day AS weighed_on, (x.h).receipts, (x.h).words,
			   (x.h).weights, (x.h).word_receipts, (x.h).lasts, (x.h).found, (x.h).totals
		FROM pg_temp.onec_history x WHERE (x.h).words <> '{}';
	CREATE TEMPORARY TABLE onec_outlook ON COMMIT DROP AS
		SELECT x.* FROM onec_internal.computed_outlook(b.server, day, b.season, b.usual_gap) x;
	ANALYZE pg_temp.onec_taste (customer_id), pg_temp.onec_outlook (customer_id);
	-- weights that have only faded since they were written say the same as the new ones
	SELECT * INTO a FROM onec_internal.write_changed_rows(
		'onec_internal.customer_taste', 'onec_taste', b.server, customers,
		format('ROW(t.receipts, t.words, t.word_receipts, t.lasts, t.found)
				IS NOT DISTINCT FROM ROW(excluded.receipts, excluded.words, excluded.word_receipts,
										 excluded.lasts, excluded.found)
			AND onec_internal.have_faded(t.weights, excluded.weights, excluded.found[1] + excluded.found[2],
										 onec_internal.faded_weight(t.weighed_on, excluded.weighed_on, %s))',
			   onec.get('affinity.half_life_days', b.server)));
	SELECT * INTO o FROM onec_internal.write_changed_rows('onec.customer_outlook', 'onec_outlook',
														  b.server, customers);
	rows_inserted := a.inserted + o.inserted;
	rows_updated := a.updated + o.updated;
	rows_deleted := a.deleted + o.deleted;
	DROP TABLE pg_temp.onec_taste, pg_temp.onec_outlook;
END $$;
COMMENT ON FUNCTION onec_internal.write_outlook(onec.outlook_baseline, uuid[], date) IS
	'Записать ожидания и предпочтения по собранным историям (служебная)';

CREATE FUNCTION onec.refresh_outlook(server name DEFAULT NULL, customers uuid[] DEFAULT NULL,
									 as_of date DEFAULT NULL,
									 OUT rows_inserted bigint, OUT rows_updated bigint,
									 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	PERFORM onec_internal.must_write('refresh_outlook');
	PERFORM onec_internal.lock_people(srv, false);
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.collect_histories(srv, customers, day) b
	CROSS JOIN LATERAL onec_internal.write_outlook(b, customers, day) w;
	DROP TABLE pg_temp.onec_history;
END $$;
COMMENT ON FUNCTION onec.refresh_outlook(name, uuid[], date) IS
	'Пересчитать ожидания и предпочтения (всех или названных покупателей) на дату; '
	'неизменившиеся не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_outlook(name, uuid[], date) FROM PUBLIC;

CREATE FUNCTION onec.refresh_profiles(server name DEFAULT NULL, customers uuid[] DEFAULT NULL,
									  as_of date DEFAULT NULL,
									  OUT rows_inserted bigint, OUT rows_updated bigint,
									  OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	PERFORM onec_internal.must_write('refresh_profiles');
	PERFORM onec_internal.lock_people(srv, false);
	CREATE TEMPORARY TABLE onec_history ON COMMIT DROP AS
		SELECT x.* FROM onec_internal.histories(srv, day, customers, '{category,store}', NULL) x;
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_profiles(srv, customers, day) w;
	DROP TABLE pg_temp.onec_history;
END $$;
COMMENT ON FUNCTION onec.refresh_profiles(name, uuid[], date) IS
	'Пересчитать профили (всех или названных покупателей) на дату; неизменившиеся не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_profiles(name, uuid[], date) FROM PUBLIC;

-- The table keeps the day of its refresh; days go on for those whom no refresh has touched.
CREATE VIEW onec.outlook AS
	SELECT o.server, o.customer_id, o.month_index, o.peak_months, o.buys_8_march, o.buys_new_year,
		   o.buys_valentine, o.visits, o.last_visit, o.gap,
		   o.expected_next, o.window_from, o.window_to, d.day - o.last_visit AS days_since,
		   round((d.day - o.last_visit) / nullif(o.gap, 0), 2) AS overdue_ratio,
		   onec_internal.churn_class_of(d.day - o.last_visit, o.gap, o.visits) AS churn_class,
		   o.favorite_categories, o.favorite_brands, o.favorite_stores,
		   o.category_diversity, o.brand_diversity, o.store_diversity
	FROM (SELECT t.server, onec.local_now(t.server)::date AS day FROM onec.outlook_baseline t OFFSET 0) d
	JOIN onec.customer_outlook o ON o.server = d.server;
COMMENT ON VIEW onec.outlook IS
	'Чего ждать от покупателей сегодня: customer_outlook с опозданием и классом оттока на сегодняшний день';
COMMENT ON COLUMN onec.outlook.days_since IS 'Дней с последней покупки на сегодня';
COMMENT ON COLUMN onec.outlook.overdue_ratio IS 'Сколько обычных промежутков прошло на сегодня';
COMMENT ON COLUMN onec.outlook.churn_class IS
	'Класс оттока на сегодня: active, due, at_risk, lapsed, lost; у купивших один раз — single_*';
-- Models of customers: who still buys, how often and for how much.  The formulas are in src/stats/clv.c, one
-- SQL function for each; onec.fit_clv finds their parameters from visits, onec.customer_clv applies them.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('clv.model', 'text', 'mbgnbd', '{mbgnbd,bgnbd}', NULL, NULL,
	 'Модель визитов; bgnbd считает каждого, кто пришёл один раз, живым'),
	('clv.discount', 'numeric', '0.01', NULL, 0, 1, 'Ставка дисконта в месяц для ценности покупателя'),
	('clv.penalizer', 'numeric', '0', NULL, 0, 1000000,
	 'Штраф за величину параметров модели; помогает, когда данных мало');

CREATE FUNCTION onec.bgnbd_palive(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
								  b float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_bgnbd_palive';
COMMENT ON FUNCTION onec.bgnbd_palive(float8, float8, float8, float8, float8, float8, float8) IS
	'BG/NBD: вероятность, что покупатель ещё покупает; x — визитов после первого, t_x и t — недель от '
	'первого визита до последнего и до сегодня';

CREATE FUNCTION onec.mbgnbd_palive(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
								   b float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_mbgnbd_palive';
COMMENT ON FUNCTION onec.mbgnbd_palive(float8, float8, float8, float8, float8, float8, float8) IS
	'MBG/NBD: вероятность, что покупатель ещё покупает; аргументы как у bgnbd_palive';

CREATE FUNCTION onec.bgnbd_expected(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
									b float8, horizon float8)
	RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_bgnbd_expected';
COMMENT ON FUNCTION onec.bgnbd_expected(float8, float8, float8, float8, float8, float8, float8, float8) IS
	'BG/NBD: сколько визитов ждать за столько недель вперёд; x = t = 0 — от нового покупателя';

CREATE FUNCTION onec.mbgnbd_expected(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
									 b float8, horizon float8)
	RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_mbgnbd_expected';
COMMENT ON FUNCTION onec.mbgnbd_expected(float8, float8, float8, float8, float8, float8, float8, float8) IS
	'MBG/NBD: сколько визитов ждать за столько недель вперёд; аргументы как у bgnbd_expected';

CREATE FUNCTION onec.gamma_gamma_expected(x float8, m float8, p float8, q float8, v float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_gamma_gamma_expected';
COMMENT ON FUNCTION onec.gamma_gamma_expected(float8, float8, float8, float8, float8) IS
	'Gamma-Gamma: ожидаемая сумма визита; x — повторных визитов, m — их средняя сумма (не важна при x = 0)';

CREATE FUNCTION onec.bgnbd_value(x float8, t_x float8, t float8, r float8, alpha float8, a float8, b float8,
								 spend float8, months int DEFAULT 12,
								 discount float8 DEFAULT 0.01) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_bgnbd_value';
COMMENT ON FUNCTION onec.bgnbd_value(float8, float8, float8, float8, float8, float8, float8, float8,
									 int, float8) IS
	'BG/NBD: дисконтированная выручка будущих месяцев (по 30.44 дня); spend — ожидаемая сумма визита, '
	'discount — ставка в месяц';

CREATE FUNCTION onec.mbgnbd_value(x float8, t_x float8, t float8, r float8, alpha float8, a float8, b float8,
								  spend float8, months int DEFAULT 12,
								  discount float8 DEFAULT 0.01) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_mbgnbd_value';
COMMENT ON FUNCTION onec.mbgnbd_value(float8, float8, float8, float8, float8, float8, float8, float8,
									  int, float8) IS
	'MBG/NBD: дисконтированная выручка будущих месяцев; аргументы как у bgnbd_value';

CREATE FUNCTION onec_internal.fit_visit_model(model text, x float8[], t_x float8[], t float8[],
											  penalizer float8,
											  OUT status text, OUT customers int, OUT repeaters int,
											  OUT r float8, OUT alpha float8, OUT a float8, OUT b float8,
											  OUT log_likelihood float8)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_fit_visits';
COMMENT ON FUNCTION onec_internal.fit_visit_model(text, float8[], float8[], float8[], float8) IS
	'Параметры модели визитов по максимуму правдоподобия (служебная)';

CREATE FUNCTION onec_internal.fit_spend_model(x float8[], m float8[], penalizer float8,
											  OUT status text, OUT customers int,
											  OUT p float8, OUT q float8, OUT v float8,
											  OUT log_likelihood float8, OUT correlation float8)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_fit_spend';
COMMENT ON FUNCTION onec_internal.fit_spend_model(float8[], float8[], float8) IS
	'Параметры модели суммы визита по максимуму правдоподобия (служебная)';

CREATE TABLE onec.clv_model (
	server name NOT NULL,
	as_of date NOT NULL,
	model text NOT NULL CHECK (model IN ('mbgnbd', 'bgnbd')),
	status text NOT NULL,
	customers int NOT NULL,
	repeaters int NOT NULL,
	r float8,
	alpha float8,
	a float8,
	b float8,
	log_likelihood float8,
	spend_status text NOT NULL,
	spend_customers int NOT NULL,
	p float8,
	q float8,
	v float8,
	spend_log_likelihood float8,
	correlation float8,
	warning text,
	fitted_at timestamptz NOT NULL,
	PRIMARY KEY (server, as_of, model)
);
COMMENT ON TABLE onec.clv_model IS
	'Модели покупателей: параметры, найденные onec.fit_clv, или причина, почему их нет';
COMMENT ON COLUMN onec.clv_model.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.clv_model.as_of IS 'По покупкам до этого дня включительно';
COMMENT ON COLUMN onec.clv_model.model IS 'mbgnbd или bgnbd';
COMMENT ON COLUMN onec.clv_model.status IS
	'ok; few customers — меньше 100 покупателей; few repeaters — меньше 30 повторных; no dropout — по данным '
	'не видно, что покупатели уходят; not converged; bad data';
COMMENT ON COLUMN onec.clv_model.customers IS 'Покупателей';
COMMENT ON COLUMN onec.clv_model.repeaters IS 'Из них пришедших в другой день снова';
COMMENT ON COLUMN onec.clv_model.r IS 'Форма распределения частоты визитов';
COMMENT ON COLUMN onec.clv_model.alpha IS 'Масштаб распределения частоты визитов, недель';
COMMENT ON COLUMN onec.clv_model.a IS 'Первый параметр распределения вероятности ухода';
COMMENT ON COLUMN onec.clv_model.b IS 'Второй параметр распределения вероятности ухода';
COMMENT ON COLUMN onec.clv_model.log_likelihood IS 'Логарифм правдоподобия визитов';
COMMENT ON COLUMN onec.clv_model.spend_status IS
	'То же о модели суммы; no mean spend — среднего у найденного распределения нет';
COMMENT ON COLUMN onec.clv_model.spend_customers IS 'Повторных покупателей с суммой больше нуля';
COMMENT ON COLUMN onec.clv_model.p IS 'Gamma-Gamma: форма распределения суммы визита';
COMMENT ON COLUMN onec.clv_model.q IS 'Gamma-Gamma: форма различий между покупателями';
COMMENT ON COLUMN onec.clv_model.v IS 'Gamma-Gamma: масштаб различий между покупателями, рублей';
COMMENT ON COLUMN onec.clv_model.spend_log_likelihood IS 'Логарифм правдоподобия сумм';
COMMENT ON COLUMN onec.clv_model.correlation IS
	'Корреляция средней суммы и числа повторных визитов; модель считает их независимыми';
COMMENT ON COLUMN onec.clv_model.warning IS 'Чему в модели не верить';
COMMENT ON COLUMN onec.clv_model.fitted_at IS 'Когда найдены параметры';
SELECT pg_catalog.pg_extension_config_dump('onec.clv_model', '');

-- Visits on any day, as if later sales did not exist yet.
CREATE FUNCTION onec_internal.visit_history(server name, as_of date)
	RETURNS TABLE (customer_id uuid, x int, t_x float8, t float8, m float8)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.customer_id, (x.h).visits - 1, ((x.h).last_day - (x.h).first_day) / 7.0::float8,
		   ($2 - (x.h).first_day) / 7.0::float8,
		   coalesce((x.h).repeat_net / nullif((x.h).visits - 1, 0), 0)::float8
	FROM onec_internal.visit_histories($1, $2, NULL, NULL) x WHERE (x.h).visits > 0
$$;
COMMENT ON FUNCTION onec_internal.visit_history(name, date) IS
	'Визиты покупателей на дату: повторных, недель до последнего и до даты, средняя '
	'сумма повторного (служебная)';

CREATE FUNCTION onec.fit_clv(server name DEFAULT NULL, as_of date DEFAULT NULL,
							 model text DEFAULT NULL) RETURNS onec.clv_model
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
	kind text := coalesce(model, onec.get('clv.model', srv));
	penalty float8 := onec.get('clv.penalizer', srv)::float8;
	history record;
	visits record;
	spend record;
	result onec.clv_model;
BEGIN
	PERFORM onec_internal.must_write('fit_clv');
	SELECT coalesce(array_agg(h.x::float8), '{}') AS x, coalesce(array_agg(h.t_x), '{}') AS t_x,
		   coalesce(array_agg(h.t), '{}') AS t,
		   coalesce(array_agg(h.x::float8) FILTER (WHERE h.x > 0 AND h.m > 0), '{}') AS spend_x,
		   coalesce(array_agg(h.m) FILTER (WHERE h.x > 0 AND h.m > 0), '{}') AS spend_m
	INTO history FROM onec_internal.visit_history(srv, day) h;
	SELECT f.* INTO visits
	FROM onec_internal.fit_visit_model(kind, history.x, history.t_x, history.t, penalty) f;
	SELECT f.* INTO spend FROM onec_internal.fit_spend_model(history.spend_x, history.spend_m, penalty) f;
	result := ROW(srv, day, kind, visits.status, visits.customers, visits.repeaters, visits.r, visits.alpha,
				  visits.a, visits.b,
		visits.log_likelihood, spend.status, spend.customers, spend.p, spend.q, spend.v, spend.log_likelihood,
		spend.correlation,
		CASE WHEN spend.correlation > 0.3 THEN
			format('Кто чаще приходит, тот и тратит больше (корреляция %s): ценность постоянных занижена',
				   round(spend.correlation::numeric, 2)) END,
		clock_timestamp());
	DELETE FROM onec.clv_model c WHERE c.server = srv AND c.as_of = day AND c.model = kind;
	-- another session that did the same at this moment has the same result
	INSERT INTO onec.clv_model SELECT (result).* ON CONFLICT DO NOTHING;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec.fit_clv(name, date, text) IS
	'Найти параметры модели покупателей на дату и записать в onec.clv_model; когда данных мало — '
	'записывается причина, а не ошибка';
REVOKE EXECUTE ON FUNCTION onec.fit_clv(name, date, text) FROM PUBLIC;

CREATE FUNCTION onec.customer_clv_at(server name DEFAULT NULL, as_of date DEFAULT NULL,
									 model text DEFAULT NULL)
	RETURNS TABLE (server name, customer_id uuid, repeat_visits int, weeks_since_first numeric,
				   weeks_since_last numeric,
				   p_alive numeric, churn_risk numeric, expected_3m numeric, expected_12m numeric,
				   expected_spend numeric, clv_12m numeric,
				   model text, model_as_of date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH wanted AS MATERIALIZED (
		SELECT s.server, coalesce($2, onec.local_now(s.server)::date) AS day,
			   coalesce($3, onec.get('clv.model', s.server)) AS model,
			   onec.get('clv.discount', s.server)::float8 AS discount
		FROM (SELECT onec_internal.server_meant($1) AS server) s),
	-- the last one that can be used; a later attempt that failed does not take it away
	params AS MATERIALIZED (
		SELECT c.*, w.day, w.discount FROM wanted w
		JOIN onec.clv_model c ON c.server = w.server AND c.model = w.model
		WHERE c.status = 'ok' AND c.as_of <= w.day
		ORDER BY c.as_of DESC LIMIT 1),
	score AS (
		SELECT k.server, h.*, k.model, k.as_of,
			   CASE k.model WHEN 'bgnbd' THEN onec.bgnbd_palive(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b)
					ELSE onec.mbgnbd_palive(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b) END AS p_alive,
			   CASE k.model WHEN 'bgnbd'
					THEN onec.bgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 3 * 30.44 / 7)
					ELSE onec.mbgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b,
											  3 * 30.44 / 7) END AS expected_3m,
			   CASE k.model WHEN 'bgnbd'
					THEN onec.bgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 12 * 30.44 / 7)
					ELSE onec.mbgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b,
											  12 * 30.44 / 7) END AS expected_12m,
			   -- of one ruble a visit: months are discounted, the spend multiplies
			   CASE k.model WHEN 'bgnbd'
					THEN onec.bgnbd_value(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 1, 12, k.discount)
					ELSE onec.mbgnbd_value(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 1, 12,
										   k.discount) END AS discounted,
			   CASE WHEN k.spend_status = 'ok'
					THEN onec.gamma_gamma_expected(h.x, h.m, k.p, k.q, k.v) END AS spend
		FROM params k CROSS JOIN LATERAL onec_internal.visit_history(k.server, k.day) h)
	SELECT s.server, s.customer_id, s.x, round(s.t::numeric, 2), round((s.t - s.t_x)::numeric, 2),
		   round(s.p_alive::numeric, 6), round((1 - s.p_alive)::numeric, 6), round(s.expected_3m::numeric, 4),
		   round(s.expected_12m::numeric, 4),
		   round(s.spend::numeric, 2), round((s.discounted * s.spend)::numeric, 2), s.model, s.as_of
	FROM score s
$$;
COMMENT ON FUNCTION onec.customer_clv_at(name, date, text) IS
	'Оценки покупателей на дату по последней годной модели не новее этой даты; нет модели — нет строк '
	'(причина в onec.clv_model)';

CREATE VIEW onec.customer_clv AS
	-- a model may outlive its server
	SELECT c.* FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.customer_clv_at(s.server) c;
COMMENT ON VIEW onec.customer_clv IS
	'Покупатели сегодня по последней годной модели: вероятность ухода, ожидаемые визиты и выручка';
COMMENT ON COLUMN onec.customer_clv.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_clv.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_clv.repeat_visits IS 'Визитов после первого (не больше одного в день)';
COMMENT ON COLUMN onec.customer_clv.weeks_since_first IS 'Недель с первого визита';
COMMENT ON COLUMN onec.customer_clv.weeks_since_last IS 'Недель с последнего визита';
COMMENT ON COLUMN onec.customer_clv.p_alive IS 'Вероятность, что ещё покупает';
COMMENT ON COLUMN onec.customer_clv.churn_risk IS 'Вероятность, что ушёл: 1 − p_alive';
COMMENT ON COLUMN onec.customer_clv.expected_3m IS 'Ожидаемых визитов за три месяца';
COMMENT ON COLUMN onec.customer_clv.expected_12m IS 'Ожидаемых визитов за год';
COMMENT ON COLUMN onec.customer_clv.expected_spend IS
	'Ожидаемая сумма визита; пусто, если модель суммы не годится';
COMMENT ON COLUMN onec.customer_clv.clv_12m IS
	'Ожидаемая выручка за год, дисконтированная помесячно; выручка, а не прибыль';
COMMENT ON COLUMN onec.customer_clv.model IS 'Модель';
COMMENT ON COLUMN onec.customer_clv.model_as_of IS 'На какую дату найдены её параметры';

-- Scores of all customers, kept: to work them out for a million lines takes seconds, too long for every look
-- at a customer.
CREATE TABLE onec.customer_value (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	p_alive numeric,
	churn_risk numeric,
	expected_3m numeric,
	expected_12m numeric,
	expected_spend numeric,
	clv_12m numeric,
	as_of date NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_value IS
	'Оценки покупателей по модели на день последнего недельного пересчёта; сегодняшние — onec.customer_clv';
COMMENT ON COLUMN onec.customer_value.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_value.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_value.p_alive IS 'Вероятность, что ещё покупает';
COMMENT ON COLUMN onec.customer_value.churn_risk IS 'Вероятность, что ушёл: 1 − p_alive';
COMMENT ON COLUMN onec.customer_value.expected_3m IS 'Ожидаемых визитов за три месяца';
COMMENT ON COLUMN onec.customer_value.expected_12m IS 'Ожидаемых визитов за год';
COMMENT ON COLUMN onec.customer_value.expected_spend IS
	'Ожидаемая сумма визита; по модели, а если она не годится — средний чек';
COMMENT ON COLUMN onec.customer_value.clv_12m IS
	'Ожидаемая выручка за год: по модели, дисконтированная помесячно; без модели суммы — визиты за год, '
	'умноженные на средний чек';
COMMENT ON COLUMN onec.customer_value.as_of IS 'На какой день';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_value', '');

CREATE FUNCTION onec.refresh_value(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	PERFORM onec_internal.must_write('refresh_value');
	PERFORM onec_internal.lock_people(srv, false);
	CREATE TEMPORARY TABLE onec_value ON COMMIT DROP AS
		SELECT c.server, c.customer_id, c.p_alive, c.churn_risk, c.expected_3m, c.expected_12m,
			   coalesce(c.expected_spend, p.average_check) AS expected_spend,
			   coalesce(c.clv_12m, round(c.expected_12m * p.average_check, 2)) AS clv_12m, day AS as_of
		FROM onec.customer_clv_at(srv, day) c
		LEFT JOIN onec.customer_profile p ON p.server = c.server AND p.customer_id = c.customer_id;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_value', 'onec_value', srv, NULL) k;
	DROP TABLE pg_temp.onec_value;
END $$;
COMMENT ON FUNCTION onec.refresh_value(name, date) IS
	'Пересчитать оценки всех покупателей по последней годной модели; нет модели — нет строк';
REVOKE EXECUTE ON FUNCTION onec.refresh_value(name, date) FROM PUBLIC;
-- RFM: how recently, how often and for how much each customer buys, scored from 1 to 5 against the others or
-- against fixed limits, and the segments that the scores make.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('rfm.window', 'int', '365', NULL, 0, 36500, 'За сколько последних дней считать RFM; 0 — за всё время'),
	('rfm.frequency', 'text', 'visits', '{visits,receipts}', NULL, NULL,
	 'Что считать частотой в RFM: визиты (дни) или чеки'),
	('rfm.mode', 'text', 'quantile', '{quantile,thresholds,r_compat}', NULL, NULL,
	 'Границы RFM: квинтили, заданные пороги или квинтили, как в пакете rfm языка R'),
	('rfm.recency_cuts', 'numeric[]', '{30,60,120,240}', NULL, 0, 1000000000000,
	 'Пороги давности, дней: до первого включительно — 5 баллов'),
	('rfm.frequency_cuts', 'numeric[]', '{1,2,3,5}', NULL, 0, 1000000000000,
	 'Пороги частоты: до первого включительно — 1 балл'),
	('rfm.monetary_cuts', 'numeric[]', '{3000,10000,30000,60000}', NULL, 0, 1000000000000,
	 'Пороги суммы: до первого включительно — 1 балл'),
	('rfm.segments', 'text', 'default', NULL, NULL, NULL,
	 'Какой набор сегментов из onec.rfm_segment действует; менять через onec.load_rfm_segments');

CREATE TABLE onec.rfm_segment (
	set_name text NOT NULL,
	priority int NOT NULL,
	code text NOT NULL,
	title_ru text NOT NULL,
	r_lo int,
	r_hi int,
	f_lo int,
	f_hi int,
	m_lo int,
	m_hi int,
	fm_lo numeric,
	fm_hi numeric,
	sum_lo int,
	days_lo int,
	PRIMARY KEY (set_name, priority)
);
COMMENT ON TABLE onec.rfm_segment IS
	'Сегменты RFM: первая подошедшая строка действующего набора выигрывает; пустая граница не проверяется. '
	'Свой набор — строки со своим set_name';
COMMENT ON COLUMN onec.rfm_segment.set_name IS 'Набор: default (пакет rfm языка R), shopify, simple или свой';
COMMENT ON COLUMN onec.rfm_segment.priority IS 'Порядок';
COMMENT ON COLUMN onec.rfm_segment.code IS 'Код';
COMMENT ON COLUMN onec.rfm_segment.title_ru IS 'По-русски';
COMMENT ON COLUMN onec.rfm_segment.r_lo IS 'Балл давности не меньше';
COMMENT ON COLUMN onec.rfm_segment.r_hi IS 'Балл давности не больше';
COMMENT ON COLUMN onec.rfm_segment.f_lo IS 'Балл частоты не меньше';
COMMENT ON COLUMN onec.rfm_segment.f_hi IS 'Балл частоты не больше';
COMMENT ON COLUMN onec.rfm_segment.m_lo IS 'Балл суммы не меньше';
COMMENT ON COLUMN onec.rfm_segment.m_hi IS 'Балл суммы не больше';
COMMENT ON COLUMN onec.rfm_segment.fm_lo IS 'Среднее баллов частоты и суммы не меньше';
COMMENT ON COLUMN onec.rfm_segment.fm_hi IS 'Среднее баллов частоты и суммы не больше';
COMMENT ON COLUMN onec.rfm_segment.sum_lo IS 'Сумма трёх баллов не меньше';
COMMENT ON COLUMN onec.rfm_segment.days_lo IS 'Последняя покупка не позже стольких дней назад';
-- The ten segments that the documentation of R's package rfm (0.3) defines.
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, r_lo, r_hi, f_lo, f_hi, m_lo, m_hi) VALUES
	('default', 1, 'champions', 'Чемпионы', 5, 5, 5, 5, 5, 5),
	('default', 2, 'potential_loyalist', 'Будущие постоянные', 3, 5, 3, 5, 2, 5),
	('default', 3, 'loyal', 'Постоянные', 2, 4, 2, 4, 2, 4),
	('default', 4, 'promising', 'Многообещающие', 3, 4, 1, 3, 3, 5),
	('default', 5, 'new', 'Новые', 4, 5, 1, 3, 1, 5),
	('default', 6, 'cant_lose', 'Нельзя потерять', 1, 2, 3, 4, 4, 5),
	('default', 7, 'at_risk', 'Под угрозой ухода', 1, 2, 2, 5, 4, 5),
	('default', 8, 'need_attention', 'Требуют внимания', 1, 3, 3, 5, 3, 5),
	('default', 9, 'about_to_sleep', 'Засыпающие', 2, 3, 1, 3, 1, 4),
	('default', 10, 'lost', 'Потерянные', 1, 1, 1, 5, 1, 5);
-- Names and meanings are Shopify's (CustomerRfmGroup: recency against the mean of frequency and money); it
-- describes the groups in words, the bounds here are a division of the whole plane that agrees with the
-- words.
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, r_lo, r_hi, fm_lo, fm_hi) VALUES
	('shopify', 1, 'champions', 'Чемпионы', 5, 5, 4, 5), ('shopify', 2, 'loyal', 'Постоянные', 3, 4, 4, 5),
	('shopify', 3, 'active', 'Активные', 4, 5, 2.5, 3.5), ('shopify', 4, 'new', 'Новые', 5, 5, 1, 2),
	('shopify', 5, 'promising', 'Многообещающие', 4, 4, 1, 2),
	('shopify', 6, 'needs_attention', 'Требуют внимания', 3, 3, 2.5, 3.5),
	('shopify', 7, 'previously_loyal', 'Бывшие постоянные', 1, 2, 4.5, 5),
	('shopify', 8, 'at_risk', 'Под угрозой ухода', 1, 2, 3, 4),
	('shopify', 9, 'almost_lost', 'Почти потерянные', 2, 3, 1, 2.5),
	('shopify', 10, 'dormant', 'Спящие', 1, 1, 1, 2.5);
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, sum_lo, days_lo) VALUES
	('simple', 1, 'vip', 'VIP', 12, NULL), ('simple', 2, 'active', 'Активные', 8, NULL),
	('simple', 3, 'regular', 'Обычные', 5, NULL),
	('simple', 4, 'sleeping', 'Спящие', NULL, 91), ('simple', 5, 'new', 'Новые', NULL, NULL);

CREATE FUNCTION onec.load_rfm_segments(name text, server name DEFAULT '') RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	segments int := (SELECT count(*) FROM onec.rfm_segment s WHERE s.set_name = name);
BEGIN
	PERFORM onec_internal.checked_word('set of RFM segments', coalesce(name, ''),
									   ARRAY(SELECT DISTINCT s.set_name FROM onec.rfm_segment s ORDER BY 1));
	PERFORM onec.set('rfm.segments', name, server);
	RETURN segments;
END $$;
COMMENT ON FUNCTION onec.load_rfm_segments(text, name) IS
	'Ввести в действие набор сегментов RFM (default, shopify, simple или свой) для сервера или для всех; '
	'возвращает число сегментов';
REVOKE EXECUTE ON FUNCTION onec.load_rfm_segments(text, name) FROM PUBLIC;

-- Equal values always get equal scores, whatever the order of rows; that is why this is not ntile().  R's
-- package rfm moves the cut points up by one and compares with >=, which differs where values are not whole.
CREATE FUNCTION onec.rfm_score(value numeric, cuts numeric[], mode text DEFAULT 'quantile',
							   smaller_is_better boolean DEFAULT false) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN value IS NULL THEN NULL
					WHEN mode NOT IN ('quantile', 'thresholds', 'r_compat') THEN
						onec_internal.checked_word('mode', mode, '{quantile,thresholds,r_compat}')::int
					WHEN smaller_is_better THEN cardinality(cuts) + 1 - n.passed ELSE 1 + n.passed END
		FROM (SELECT count(*)
			  FILTER (WHERE CASE WHEN mode = 'r_compat' THEN c.cut + 1 <= value
								 ELSE c.cut < value END)::int AS passed
			  FROM unnest(cuts) c (cut)) n;
	END;
COMMENT ON FUNCTION onec.rfm_score(numeric, numeric[], text, boolean) IS
	'Балл RFM значения при данных границах; mode => ''r_compat'' — как в пакете rfm языка R; для давности '
	'smaller_is_better => true';

-- percentile_cont(array[.2,.4,.6,.8]) in exact arithmetic: a cut point never falls beside a value that it
-- equals.
CREATE FUNCTION onec_internal.quintile_bounds(sorted numeric[]) RETURNS numeric[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT array_agg(trim_scale(sorted[p.at] + (coalesce(sorted[p.at + 1], sorted[p.at]) - sorted[p.at])
									* p.fifths / 5.0) ORDER BY p.at, p.fifths)
		FROM (SELECT k.k * (cardinality(sorted) - 1) / 5 + 1 AS at,
					 k.k * (cardinality(sorted) - 1) % 5 AS fifths
			  FROM generate_series(1, 4) k (k)) p
		WHERE cardinality(sorted) > 0;
	END;
COMMENT ON FUNCTION onec_internal.quintile_bounds(numeric[]) IS
	'Границы квинтилей упорядоченных значений (служебная)';

-- The fixed limits of a measure: four numbers that do not fall.
CREATE FUNCTION onec_internal.configured_rfm_cuts(key text, server name) RETURNS numeric[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cuts numeric[] := onec.get(key, server)::numeric[];
BEGIN
	IF cardinality(cuts) <> 4 OR cuts <> ARRAY(SELECT c FROM unnest(cuts) c ORDER BY c)
		OR array_position(cuts, NULL) IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid value for setting "%s": "%s"', key, onec.get(key, server)),
			HINT = 'Four numbers in ascending order are expected.';
	END IF;
	RETURN cuts;
END $$;
COMMENT ON FUNCTION onec_internal.configured_rfm_cuts(text, name) IS 'Заданные пороги RFM (служебная)';

-- What is scored, of histories (kept: those in pg_temp.onec_history).  Only what was known on the day: later
-- lines do not exist.
CREATE FUNCTION onec_internal.rfm_measures(server name, as_of date, customers uuid[] DEFAULT NULL,
										   kept boolean DEFAULT false)
	RETURNS TABLE (customer_id uuid, last_purchase date, frequency int, monetary numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH found AS MATERIALIZED (
			SELECT x.customer_id, (x.h).last_day AS last,
				   CASE $4 WHEN 'receipts' THEN (x.h).recent_receipts ELSE (x.h).recent_visits
				   END AS frequency, x.recent_net AS net FROM %s x)
		SELECT f.customer_id, f.last, f.frequency, f.net FROM found f
		UNION ALL
		SELECT k.user_id, NULL, 0, 0::numeric
		FROM (SELECT DISTINCT c.user_id FROM onec.customer_card c
			  WHERE c.server = $1 AND ($3 IS NULL OR c.user_id = ANY ($3))) k
		WHERE NOT EXISTS (SELECT FROM found f WHERE f.customer_id = k.user_id)$q$,
		CASE WHEN kept THEN 'pg_temp.onec_history'
			 ELSE 'onec_internal.visit_histories($1, $2, $3, NULL)' END)
	USING server, as_of, customers, onec.get('rfm.frequency', server);
END $$;
COMMENT ON FUNCTION onec_internal.rfm_measures(name, date, uuid[], boolean) IS
	'Давность, частота и сумма покупателей до расстановки баллов (служебная)';

CREATE FUNCTION onec_internal.rfm_score_cuts(server name, r numeric[], f numeric[], m numeric[],
											 OUT r_cuts numeric[], OUT f_cuts numeric[], OUT m_cuts numeric[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN t.fixed THEN onec_internal.configured_rfm_cuts('rfm.recency_cuts', $1)
				ELSE onec_internal.quintile_bounds($2) END,
		   CASE WHEN t.fixed THEN onec_internal.configured_rfm_cuts('rfm.frequency_cuts', $1)
				ELSE onec_internal.quintile_bounds($3) END,
		   CASE WHEN t.fixed THEN onec_internal.configured_rfm_cuts('rfm.monetary_cuts', $1)
				ELSE onec_internal.quintile_bounds($4) END
	FROM (SELECT onec.get('rfm.mode', $1) = 'thresholds' AS fixed) t
$$;
COMMENT ON FUNCTION onec_internal.rfm_score_cuts(name, numeric[], numeric[], numeric[]) IS
	'Границы баллов RFM по настройкам сервера (служебная)';

-- onec.rfm_score() for the four bounds of a shop, which the planner can look into: it is asked of everybody.
CREATE FUNCTION onec_internal.fifth_of(value numeric, cuts numeric[], mode text,
									   smaller_is_better boolean) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN smaller_is_better THEN -1 ELSE 1 END
		* CASE mode WHEN 'r_compat'
			   THEN (cuts[1] + 1 <= value)::int + (cuts[2] + 1 <= value)::int + (cuts[3] + 1 <= value)::int
				   + (cuts[4] + 1 <= value)::int
			   ELSE (cuts[1] < value)::int + (cuts[2] < value)::int + (cuts[3] < value)::int
				   + (cuts[4] < value)::int END
		+ CASE WHEN smaller_is_better THEN 5 ELSE 1 END;
COMMENT ON FUNCTION onec_internal.fifth_of(numeric, numeric[], text, boolean) IS
	'Балл RFM при четырёх границах (служебная)';

-- Customers who never bought are prospects; those who bought, but not in the window, are inactive.  Neither
-- is scored.  Segments are looked up once for all who have the same scores.
CREATE FUNCTION onec_internal.scored_customers(server name, day date, measures text)
	RETURNS TABLE (customer_id uuid, last_purchase date, frequency int, monetary numeric, r_score int,
				   f_score int, m_score int, segment text, segment_title text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH fact AS MATERIALIZED (SELECT f.*, $2 - f.last_purchase AS days FROM %s f),
		cut AS MATERIALIZED (
			SELECT c.* FROM (SELECT array_agg(f.days::numeric ORDER BY f.days) AS r,
									array_agg(f.frequency::numeric ORDER BY f.frequency) AS f,
									array_agg(f.monetary ORDER BY f.monetary) AS m
							 FROM fact f WHERE f.frequency > 0) v,
				 onec_internal.rfm_score_cuts($1, v.r, v.f, v.m) c),
		score AS MATERIALIZED (
			SELECT f.*, onec_internal.fifth_of(f.days, (SELECT c.r_cuts FROM cut c), $3, true) AS r,
				   onec_internal.fifth_of(f.frequency, (SELECT c.f_cuts FROM cut c), $3, false) AS f,
				   onec_internal.fifth_of(f.monetary, (SELECT c.m_cuts FROM cut c), $3, false) AS m,
				   -- only where a segment of the set asks for days
				   CASE WHEN EXISTS (SELECT FROM onec.rfm_segment t
									 WHERE t.set_name = $4 AND t.days_lo IS NOT NULL)
						THEN f.days ELSE 0 END AS of_days
			FROM fact f WHERE f.frequency > 0),
		class AS MATERIALIZED (
			SELECT s.*, g.code, g.title_ru
			FROM (SELECT DISTINCT s.r, s.f, s.m, s.of_days FROM score s) s
			LEFT JOIN LATERAL (
				SELECT t.code, t.title_ru FROM onec.rfm_segment t
				WHERE t.set_name = $4 AND (s.r >= t.r_lo) IS NOT FALSE AND (s.r <= t.r_hi) IS NOT FALSE
				  AND (s.f >= t.f_lo) IS NOT FALSE AND (s.f <= t.f_hi) IS NOT FALSE
				  AND (s.m >= t.m_lo) IS NOT FALSE AND (s.m <= t.m_hi) IS NOT FALSE
				  AND ((s.f + s.m) / 2.0 >= t.fm_lo) IS NOT FALSE
				  AND ((s.f + s.m) / 2.0 <= t.fm_hi) IS NOT FALSE
				  AND (s.r + s.f + s.m >= t.sum_lo) IS NOT FALSE AND (s.of_days >= t.days_lo) IS NOT FALSE
				ORDER BY t.priority LIMIT 1) g ON true)
		SELECT s.customer_id, s.last_purchase, s.frequency, s.monetary, s.r, s.f, s.m,
			   coalesce(c.code, 'others'), coalesce(c.title_ru, 'Прочие')
		FROM score s JOIN class c ON c.r = s.r AND c.f = s.f AND c.m = s.m AND c.of_days = s.of_days
		UNION ALL
		SELECT f.customer_id, f.last_purchase, f.frequency, f.monetary, NULL, NULL, NULL,
			   CASE WHEN f.days IS NULL THEN 'prospect' ELSE 'inactive' END,
			   CASE WHEN f.days IS NULL THEN 'Ещё не покупали' ELSE 'Давно не покупали' END
		FROM fact f WHERE f.frequency = 0$q$, measures)
	USING server, day, onec.get('rfm.mode', server), onec.get('rfm.segments', server);
END $$;
COMMENT ON FUNCTION onec_internal.scored_customers(name, date, text) IS
	'Баллы и сегменты RFM по измеренному (служебная)';

CREATE FUNCTION onec.rfm(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, recency_days int, frequency int, monetary numeric, r_score int,
				   f_score int, m_score int,
				   rfm text, segment text, segment_title text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.customer_id, d.day - s.last_purchase, s.frequency, s.monetary, s.r_score, s.f_score, s.m_score,
		   s.r_score::text || s.f_score || s.m_score, s.segment, s.segment_title
	FROM onec_internal.server_and_day($1, $2) d
	CROSS JOIN LATERAL onec_internal.scored_customers(d.server_name, d.day,
													  'onec_internal.rfm_measures($1, $2)') s
$$;
COMMENT ON FUNCTION onec.rfm(name, date) IS
	'RFM покупателей на дату: давность, частота, сумма, баллы от 1 до 5, сегмент; равные '
	'значения получают равные баллы';

CREATE FUNCTION onec.rfm_cutpoints(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (measure text, score int, above numeric, up_to numeric, customers bigint, smallest numeric,
				   largest numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH scored AS MATERIALIZED (SELECT * FROM onec.rfm($1, $2) s WHERE s.r_score IS NOT NULL),
	value AS (
		SELECT 'recency' AS measure, s.recency_days::numeric AS value, s.r_score AS score FROM scored s
		UNION ALL SELECT 'frequency', s.frequency, s.f_score FROM scored s
		UNION ALL SELECT 'monetary', s.monetary, s.m_score FROM scored s),
	cut AS (
		SELECT m.* FROM (SELECT array_agg(s.recency_days::numeric ORDER BY s.recency_days) AS r,
								array_agg(s.frequency::numeric ORDER BY s.frequency) AS f,
								array_agg(s.monetary ORDER BY s.monetary) AS m FROM scored s) v,
			 onec_internal.rfm_score_cuts(onec_internal.server_meant($1), v.r, v.f, v.m) c,
			 LATERAL (VALUES (1, 'recency', c.r_cuts), (2, 'frequency', c.f_cuts),
					  (3, 'monetary', c.m_cuts)) m (place, measure, cuts))
	SELECT c.measure, k.score, c.cuts[b.class - 1], c.cuts[b.class], n.customers, n.smallest, n.largest
	FROM cut c CROSS JOIN generate_series(1, 5) k (score)
	CROSS JOIN LATERAL (SELECT CASE c.measure WHEN 'recency' THEN 6 - k.score ELSE k.score END AS class) b
	CROSS JOIN LATERAL (SELECT count(*) AS customers, min(v.value) AS smallest, max(v.value) AS largest
						FROM value v WHERE v.measure = c.measure AND v.score = k.score) n
	ORDER BY c.place, k.score
$$;
COMMENT ON FUNCTION onec.rfm_cutpoints(name, date) IS
	'Границы баллов RFM (больше above, до up_to включительно) и сколько покупателей в каждом: при равных '
	'значениях классы неравны или пусты';

-- The day of the last purchase rather than the days since: so a row changes when the customer or a score
-- does, not every night.
CREATE TABLE onec.customer_rfm (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	last_purchase date,
	frequency int NOT NULL,
	monetary numeric NOT NULL,
	r_score int,
	f_score int,
	m_score int,
	rfm text,
	segment text NOT NULL,
	segment_title text NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_rfm IS 'RFM покупателей на день последнего пересчёта (onec.refresh_rfm)';
COMMENT ON COLUMN onec.customer_rfm.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_rfm.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_rfm.last_purchase IS 'День последней покупки';
COMMENT ON COLUMN onec.customer_rfm.frequency IS 'Визитов (или чеков) за период';
COMMENT ON COLUMN onec.customer_rfm.monetary IS 'Выручка за период за вычетом возвратов';
COMMENT ON COLUMN onec.customer_rfm.r_score IS 'Балл давности, 5 — недавно; NULL — в периоде не покупал';
COMMENT ON COLUMN onec.customer_rfm.f_score IS 'Балл частоты, 5 — часто';
COMMENT ON COLUMN onec.customer_rfm.m_score IS 'Балл суммы, 5 — много';
COMMENT ON COLUMN onec.customer_rfm.rfm IS 'Три балла подряд';
COMMENT ON COLUMN onec.customer_rfm.segment IS
	'Код сегмента; prospect — ещё не покупал, inactive — не покупал в периоде, others — не подошёл ни один';
COMMENT ON COLUMN onec.customer_rfm.segment_title IS 'Сегмент по-русски';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_rfm', '');

CREATE FUNCTION onec_internal.write_rfm(server name, day date, measures text,
										OUT rows_inserted bigint, OUT rows_updated bigint,
										OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	CREATE TEMPORARY TABLE onec_rfm ON COMMIT DROP AS
		SELECT write_rfm.server, s.customer_id, s.last_purchase, s.frequency, s.monetary,
			   s.r_score, s.f_score, s.m_score, s.r_score::text || s.f_score || s.m_score AS rfm,
			   s.segment, s.segment_title
		FROM onec_internal.scored_customers(server, day, measures) s;
	ANALYZE pg_temp.onec_rfm;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_rfm', 'onec_rfm', server, NULL) k;
	DROP TABLE pg_temp.onec_rfm;
END $$;
COMMENT ON FUNCTION onec_internal.write_rfm(name, date, text) IS
	'Расставить и записать баллы RFM по измеренному (служебная)';

CREATE FUNCTION onec.refresh_rfm(server name DEFAULT NULL, as_of date DEFAULT NULL,
								 OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	PERFORM onec_internal.must_write('refresh_rfm');
	PERFORM onec_internal.lock_people(srv, false);
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_rfm(srv, coalesce(as_of, onec.local_now(srv)::date),
								 'onec_internal.rfm_measures($1, $2)') w;
END $$;
COMMENT ON FUNCTION onec.refresh_rfm(name, date) IS
	'Пересчитать RFM всех покупателей на дату; неизменившиеся строки не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_rfm(name, date) FROM PUBLIC;

-- The measures of a day after another, into pg_temp.onec_measure.  What changes them are the customers' own
-- lines ("changed" names whose have changed since), and lines that the window of RFM has left behind; all
-- others have in customer_rfm what they had.
CREATE FUNCTION onec_internal.collect_measures(server name, before date, day date,
											   changed uuid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	days int := onec.get('rfm.window', server)::int;
	others uuid[];
BEGIN
	others := ARRAY(
		SELECT unnest(changed)
		UNION
		SELECT l.customer_id FROM onec_internal.counted_lines_between(
			server, onec_internal.start_of_last_days(before, days),
			onec_internal.start_of_last_days(day, days)) l
		WHERE days > 0 AND l.customer_id IS NOT NULL);
	CREATE TEMPORARY TABLE onec_measure ON COMMIT DROP AS
		SELECT r.customer_id, r.last_purchase, r.frequency, r.monetary FROM onec.customer_rfm r
		WHERE r.server = collect_measures.server
		  AND NOT EXISTS (SELECT FROM unnest(others) o (id) WHERE o.id = r.customer_id)
		UNION ALL
		SELECT m.customer_id, m.last_purchase, m.frequency, m.monetary
		FROM onec_internal.rfm_measures(server, day, others) m;
END $$;
COMMENT ON FUNCTION onec_internal.collect_measures(name, date, date, uuid[]) IS
	'Собрать измеренное для RFM по прежнему и изменившемуся (служебная)';

CREATE VIEW onec.rfm_summary AS
	SELECT c.server, c.segment, c.segment_title, count(*) AS customers,
		   round(count(*) / sum(count(*)) OVER (PARTITION BY c.server), 4) AS share,
		   sum(c.monetary) AS monetary,
		   round(sum(c.monetary) / nullif(sum(sum(c.monetary)) OVER (PARTITION BY c.server), 0),
				 4) AS monetary_share,
		   round(avg(c.monetary), 2) AS average_monetary, round(avg(c.frequency), 2) AS average_frequency,
		   max(c.last_purchase) AS last_purchase
	FROM onec.customer_rfm c
	GROUP BY c.server, c.segment, c.segment_title;
COMMENT ON VIEW onec.rfm_summary IS 'Сегменты RFM: сколько покупателей, какая доля выручки';
COMMENT ON COLUMN onec.rfm_summary.customers IS 'Покупателей';
COMMENT ON COLUMN onec.rfm_summary.average_monetary IS 'Выручка в среднем на покупателя';
COMMENT ON COLUMN onec.rfm_summary.average_frequency IS 'Визитов (или чеков) в среднем';
COMMENT ON COLUMN onec.rfm_summary.share IS 'Доля среди покупателей сервера';
COMMENT ON COLUMN onec.rfm_summary.monetary IS 'Выручка сегмента за период RFM';
COMMENT ON COLUMN onec.rfm_summary.monetary_share IS 'Доля в выручке';
-- What an analyst looks at: cohorts, ABC/XYZ, seasons, hours, stores, whom to call.  A view "x" shows today
-- and every server; the function x_at(server, as_of) behind it shows one server on any day, as if later sales
-- did not exist yet.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('analysis.window', 'int', '365', NULL, 0, 36500,
	 'За сколько последних дней показывать магазины и карту часов; 0 — за всё время'),
	('cohort.censored_months', 'int', '3', NULL, 0, 1200,
	 'Когорты стольких первых месяцев истории помечать: их покупатели могли прийти раньше'),
	('abc.months', 'int', '12', NULL, 0, 1200,
	 'За сколько последних месяцев, включая текущий, считать ABC/XYZ; 0 — за всё время'),
	('abc.a', 'numeric', '0.80', NULL, 0, 1, 'Класс A: накопленная доля выручки до этой включительно'),
	('abc.b', 'numeric', '0.95', NULL, 0, 1, 'Класс B: накопленная доля выручки до этой включительно'),
	('xyz.x', 'numeric', '0.10', NULL, 0, 1000,
	 'Класс X: коэффициент вариации месячной выручки до этого включительно'),
	('xyz.y', 'numeric', '0.25', NULL, 0, 1000,
	 'Класс Y: коэффициент вариации месячной выручки до этого включительно'),
	('xyz.min_months', 'int', '3', NULL, 1, 1200,
	 'При меньшем числе месяцев с продажами класс XYZ не присваивать'),
	('call.days_ahead', 'int', '7', NULL, 0, 3650, 'Звонить тем, кого ждём в ближайшие столько дней'),
	('call.max_overdue', 'numeric', '4', NULL, 0, 1000000,
	 'Не звонить тем, кто опаздывает больше чем на столько своих промежутков'),
	('call.min_visits', 'int', '2', NULL, 1, 1000000, 'С какого числа визитов ждать покупателя снова'),
	('call.points_days', 'int', '14', NULL, 0, 3650,
	 'Предупреждать о баллах, сгорающих в ближайшие столько дней');

-- A cohort is the month of a customer's first purchase.  Receipts count in the month of the receipt, money in
-- the month of the line, so that returns lower the month in which they came; what came back before the first
-- known purchase counts in month 0.
CREATE FUNCTION onec.cohort_retention_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (cohort date, "offset" int, month date, customers bigint, retained bigint,
				   retention numeric, receipts bigint, net numeric,
				   cumulative_net_per_customer numeric, is_partial boolean, left_censored boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	-- a receipt is told of by its first part, whose month is the receipt's
	month AS MATERIALIZED (
		SELECT p.customer_id, date_trunc('month', p.period) AS month, min(p.at) AS began,
			   min(p.at) FILTER (WHERE p.is_purchase) AS first,
			   count(*) FILTER (WHERE p.is_purchase AND p.is_first) AS receipts, sum(p.net) AS net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p GROUP BY 1, 2),
	first AS MATERIALIZED (
		SELECT m.customer_id, date_trunc('month', min(m.first)) AS cohort FROM month m
		WHERE m.first IS NOT NULL AND m.customer_id IS NOT NULL GROUP BY 1),
	size AS (SELECT f.cohort, count(*) AS customers FROM first f GROUP BY 1),
	visit AS MATERIALIZED (
		SELECT c.*, onec_internal.months_between(c.cohort, c.month) AS n
		FROM (SELECT f.cohort, m.month, count(*) FILTER (WHERE m.receipts > 0) AS retained,
					 sum(m.receipts)::bigint AS receipts, sum(m.net) AS net
			  FROM month m JOIN first f ON f.customer_id = m.customer_id GROUP BY 1, 2) c),
	money AS (SELECT v.cohort, greatest(v.n, 0) AS n, sum(v.net) AS net FROM visit v GROUP BY 1, 2),
	grid AS (
		SELECT s.cohort, s.customers, n.n, s.cohort + n.n * interval '1 month' AS month, me.day,
			   s.cohort + n.n * interval '1 month' > me.day AS future
		FROM size s CROSS JOIN me
		CROSS JOIN LATERAL (SELECT generate_series(0, onec_internal.months_between((SELECT min(x.cohort)
			FROM size x), me.day)) AS n) n)
	SELECT g.cohort::date, g.n, g.month::date, g.customers,
		   CASE WHEN NOT g.future THEN coalesce(v.retained, 0) END,
		   CASE WHEN NOT g.future THEN round(coalesce(v.retained, 0)::numeric / g.customers, 4) END,
		   CASE WHEN NOT g.future THEN coalesce(v.receipts, 0) END,
		   CASE WHEN NOT g.future THEN coalesce(m.net, 0) END,
		   CASE WHEN NOT g.future
				THEN round(sum(coalesce(m.net, 0)) OVER (PARTITION BY g.cohort ORDER BY g.n) / g.customers,
						   2) END,
		   NOT g.future AND g.month + interval '1 month' > g.day + 1,
		   g.cohort < date_trunc('month', (SELECT min(m.began) FROM month m))
			   + (SELECT onec.get('cohort.censored_months', me.server_name)::int FROM me) * interval '1 month'
	FROM grid g
	LEFT JOIN visit v ON v.cohort = g.cohort AND v.n = g.n
	LEFT JOIN money m ON m.cohort = g.cohort AND m.n = g.n
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.cohort_retention_at(name, date) IS
	'Когорты покупателей на дату: сколько вернулось и сколько принесло по месяцам после первой покупки';

CREATE VIEW onec.cohort_retention AS
	SELECT s.server, c.cohort, c."offset", c.month, c.customers, c.retained, c.retention, c.receipts, c.net,
		   c.cumulative_net_per_customer, c.is_partial, c.left_censored,
		   onec.moment(s.server, c.cohort::timestamp) AS cohort_tz,
		   onec.moment(s.server, c.month::timestamp) AS month_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.cohort_retention_at(s.server) c;
COMMENT ON VIEW onec.cohort_retention IS
	'Когорты: удержание и выручка по месяцам после первой покупки; будущие месяцы пусты, а не нули';
COMMENT ON COLUMN onec.cohort_retention.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.cohort_retention.receipts IS 'Чеков в этом месяце';
COMMENT ON COLUMN onec.cohort_retention.cohort IS 'Месяц первой покупки';
COMMENT ON COLUMN onec.cohort_retention."offset" IS 'Сколько месяцев прошло';
COMMENT ON COLUMN onec.cohort_retention.month IS 'Календарный месяц';
COMMENT ON COLUMN onec.cohort_retention.customers IS 'Покупателей в когорте';
COMMENT ON COLUMN onec.cohort_retention.retained IS 'Из них покупали в этом месяце';
COMMENT ON COLUMN onec.cohort_retention.retention IS 'Доля покупавших';
COMMENT ON COLUMN onec.cohort_retention.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.cohort_retention.cumulative_net_per_customer IS
	'Накопленная выручка на покупателя когорты';
COMMENT ON COLUMN onec.cohort_retention.is_partial IS 'Месяц ещё не кончился';
COMMENT ON COLUMN onec.cohort_retention.left_censored IS
	'Начало загруженной истории: эти покупатели могли прийти раньше';

CREATE FUNCTION onec.cohort_matrix(server name DEFAULT NULL, as_of date DEFAULT NULL) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	cell AS MATERIALIZED (SELECT c.* FROM me, onec.cohort_retention_at(me.server_name, me.day) c),
	line AS (
		SELECT c.cohort, json_build_object('cohort', to_char(c.cohort, 'YYYY-MM'), 'customers', c.customers,
										   'left_censored', c.left_censored,
			'retained', json_agg(c.retained ORDER BY c."offset"), 'retention',
			json_agg(c.retention ORDER BY c."offset"),
			'net', json_agg(c.net ORDER BY c."offset"),
			'cumulative_net_per_customer', json_agg(c.cumulative_net_per_customer ORDER BY c."offset")) AS doc
		FROM cell c GROUP BY c.cohort, c.customers, c.left_censored)
	SELECT json_build_object('server', me.server_name, 'as_of', me.day,
		'offsets', (SELECT coalesce(json_agg(DISTINCT c."offset"), '[]'::json) FROM cell c),
		'cohorts', (SELECT coalesce(json_agg(l.doc ORDER BY l.cohort), '[]'::json) FROM line l))
	FROM me
$$;
COMMENT ON FUNCTION onec.cohort_matrix(name, date) IS
	'Когорты как JSON для тепловой карты: строка на когорту, будущие месяцы null';

-- Equal sums share one class, which their common cumulative share gives; the largest are A even if they alone
-- exceed the limit. The month that still runs is left out of the variation, for it would look like a fall.
CREATE FUNCTION onec.abc_xyz_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (kind text, item_id uuid, net numeric, share numeric, cumulative_share numeric, abc text,
				   active_months bigint,
				   monthly_net numeric, variation numeric, xyz text, class text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (
		SELECT d.*, date_trunc('month', (d.day + 1)::timestamp) AS next_day,
			   CASE WHEN n.months > 0
					THEN date_trunc('month', d.day::timestamp) - (n.months - 1) * interval '1 month'
					ELSE '-infinity' END AS since,
			   onec.get('abc.a', d.server_name)::numeric AS a, onec.get('abc.b', d.server_name)::numeric AS b,
			   onec.get('xyz.x', d.server_name)::numeric AS x, onec.get('xyz.y', d.server_name)::numeric AS y,
			   onec.get('xyz.min_months', d.server_name)::int AS least
		FROM onec_internal.server_and_day($1, $2) d
		CROSS JOIN LATERAL (SELECT onec.get('abc.months', d.server_name)::int AS months) n),
	-- who bought is known of the kept receipts: only goods need the lines
	month AS (
		SELECT 'customer' AS kind, p.customer_id AS item_id, date_trunc('month', p.period) AS month,
			   sum(p.net) AS net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p
		WHERE p.period >= me.since AND p.customer_id IS NOT NULL GROUP BY 2, 3
		UNION ALL
		SELECT 'product', l.product_id, date_trunc('month', l.period), sum(l.amount)
		FROM me, onec_internal.counted_lines_between(me.server_name, me.since, me.day + 1) l
		WHERE l.product_id IS NOT NULL GROUP BY 2, 3),
	item AS (
		SELECT m.kind, m.item_id, sum(m.net) AS net, count(*) FILTER (WHERE m.month < me.next_day) AS months,
			   avg(m.net) FILTER (WHERE m.month < me.next_day) AS mean,
			   stddev_pop(m.net) FILTER (WHERE m.month < me.next_day) AS deviation
		FROM month m CROSS JOIN me GROUP BY 1, 2),
	ranked AS (
		SELECT i.*, sum(greatest(i.net, 0))
			OVER (PARTITION BY i.kind ORDER BY i.net DESC RANGE UNBOUNDED PRECEDING) AS running,
			   nullif(sum(greatest(i.net, 0)) OVER (PARTITION BY i.kind), 0) AS total,
			   rank() OVER (PARTITION BY i.kind ORDER BY i.net DESC) AS place
		FROM item i),
	class AS (
		SELECT r.*, CASE WHEN r.net <= 0 THEN 'C' WHEN r.running <= r.total * me.a OR r.place = 1 THEN 'A'
						 WHEN r.running <= r.total * me.b THEN 'B' ELSE 'C' END AS abc,
			   CASE WHEN r.months < me.least OR r.mean <= 0 THEN NULL
					WHEN r.deviation <= r.mean * me.x THEN 'X' WHEN r.deviation <= r.mean * me.y THEN 'Y'
					ELSE 'Z' END AS xyz
		FROM ranked r CROSS JOIN me)
	SELECT c.kind, c.item_id, c.net, round(c.net / c.total, 4), round(c.running / c.total, 4), c.abc,
		   c.months, round(c.mean, 2),
		   CASE WHEN c.mean > 0 THEN round(c.deviation / c.mean, 4) END, c.xyz, c.abc || coalesce(c.xyz, '')
	FROM class c
	ORDER BY c.kind, c.net DESC, c.item_id
$$;
COMMENT ON FUNCTION onec.abc_xyz_at(name, date) IS
	'ABC/XYZ покупателей (kind = customer) и товаров (kind = product) на дату';

CREATE VIEW onec.abc_xyz AS
	SELECT s.server, a.kind, a.item_id, coalesce(p.name, u.name, c.name) AS title, a.net, a.share,
		   a.cumulative_share, a.abc, a.active_months, a.monthly_net,
		   a.variation, a.xyz, a.class
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.abc_xyz_at(s.server) a
	LEFT JOIN onec.product p ON a.kind = 'product' AND p.server = s.server AND p.product_id = a.item_id
	LEFT JOIN onec.site_user u ON a.kind = 'customer' AND u.server = s.server AND u.user_id = a.item_id
	LEFT JOIN onec.counterparty c ON a.kind = 'customer' AND c.server = s.server
		AND c.customer_id = a.item_id;
COMMENT ON VIEW onec.abc_xyz IS 'ABC/XYZ покупателей и товаров: доля в выручке и постоянство спроса';
COMMENT ON COLUMN onec.abc_xyz.class IS 'Класс ABC и XYZ вместе';
COMMENT ON COLUMN onec.abc_xyz.share IS 'Доля в выручке';
COMMENT ON COLUMN onec.abc_xyz.monthly_net IS 'Средняя выручка месяца';
COMMENT ON COLUMN onec.abc_xyz.kind IS 'customer — покупатель, product — товар';
COMMENT ON COLUMN onec.abc_xyz.item_id IS 'Покупатель или товар';
COMMENT ON COLUMN onec.abc_xyz.title IS 'Имя или название';
COMMENT ON COLUMN onec.abc_xyz.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.abc_xyz.cumulative_share IS 'Накопленная доля, от больших к меньшим; равные вместе';
COMMENT ON COLUMN onec.abc_xyz.abc IS 'A — главные, B — средние, C — остальные и убыточные';
COMMENT ON COLUMN onec.abc_xyz.active_months IS 'Законченных месяцев с продажами';
COMMENT ON COLUMN onec.abc_xyz.variation IS 'Коэффициент вариации месячной выручки';
COMMENT ON COLUMN onec.abc_xyz.xyz IS 'X — ровный спрос, Y — меняется, Z — случайный; пусто — мало месяцев';

-- Periods are local wall time already: an hour here is the hour on the shop's clock.
CREATE FUNCTION onec.weekday_hour_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (weekday int, hour int, days bigint, receipts bigint, net numeric, receipts_per_day numeric,
				   share numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT d.*, onec_internal.start_of_last_days(d.day,
		onec.get('analysis.window', d.server_name)::int) AS since
			FROM onec_internal.server_and_day($1, $2) d),
	receipt AS MATERIALIZED (
		SELECT r.at, r.net, r.is_purchase
		FROM me, onec_internal.kept_receipts(me.server_name, me.day + 1) r),
	day AS (
		SELECT extract(isodow FROM g.day)::int AS weekday, count(*) AS days
		FROM (SELECT greatest(min(r.at)::date, me.since) AS first, me.day AS last FROM receipt r
			  CROSS JOIN me GROUP BY me.since, me.day) s
		CROSS JOIN LATERAL generate_series(s.first::date::timestamp, s.last::timestamp,
										   interval '1 day') g (day) GROUP BY 1),
	sale AS (
		SELECT extract(isodow FROM r.hour)::int AS weekday, extract(hour FROM r.hour)::int AS hour,
			   sum(r.receipts)::bigint AS receipts, sum(r.net) AS net
		FROM (SELECT date_trunc('hour', r.at) AS hour, count(*) AS receipts, sum(r.net) AS net
			  FROM receipt r CROSS JOIN me WHERE r.is_purchase AND r.at >= me.since GROUP BY 1) r
		GROUP BY 1, 2)
	SELECT w.weekday, h.hour, coalesce(d.days, 0), coalesce(s.receipts, 0), coalesce(s.net, 0),
		   round(coalesce(s.receipts, 0)::numeric / d.days, 3),
		   round(coalesce(s.receipts, 0) / nullif(sum(s.receipts) OVER (), 0), 4)
	FROM generate_series(1, 7) w (weekday) CROSS JOIN generate_series(0, 23) h (hour)
	LEFT JOIN day d ON d.weekday = w.weekday
	LEFT JOIN sale s ON s.weekday = w.weekday AND s.hour = h.hour
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.weekday_hour_at(name, date) IS 'Карта дней недели и часов на дату: когда покупают';

CREATE VIEW onec.weekday_hour AS
	SELECT s.server, w.weekday, w.hour, w.days, w.receipts, w.net, w.receipts_per_day, w.share
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.weekday_hour_at(s.server) w;
COMMENT ON VIEW onec.weekday_hour IS 'Карта дней недели и часов, местное время: когда покупают';
COMMENT ON COLUMN onec.weekday_hour.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.weekday_hour.weekday IS 'День недели, 1 — понедельник';
COMMENT ON COLUMN onec.weekday_hour.hour IS 'Час по местному времени';
COMMENT ON COLUMN onec.weekday_hour.days IS 'Сколько таких дней недели было';
COMMENT ON COLUMN onec.weekday_hour.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.weekday_hour.net IS 'Их сумма за вычетом возвратов';
COMMENT ON COLUMN onec.weekday_hour.receipts_per_day IS 'Чеков за один такой день';
COMMENT ON COLUMN onec.weekday_hour.share IS 'Доля во всех чеках';

-- A receipt counts in each store that has a line of it; money counts where and when the line was.
CREATE FUNCTION onec.store_summary_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (store_id uuid, receipts bigint, customers bigint, items numeric, gross numeric,
				   returned numeric, net numeric, share numeric,
				   average_check numeric, known_share numeric, first_sale timestamp, last_sale timestamp,
				   previous_net numeric, change numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (
		SELECT d.*, w.days, onec_internal.start_of_last_days(d.day, w.days) AS since
		FROM onec_internal.server_and_day($1, $2) d
		CROSS JOIN LATERAL (SELECT onec.get('analysis.window', d.server_name)::int AS days) w),
	part AS MATERIALIZED (
		SELECT p.* FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p),
	money AS (
		SELECT p.store_id, sum(p.items) FILTER (WHERE p.period >= me.since) AS items,
			   coalesce(sum(p.gross) FILTER (WHERE p.period >= me.since), 0) AS gross,
			   coalesce(sum(p.returned) FILTER (WHERE p.period >= me.since), 0) AS returned,
			   sum(p.net) FILTER (WHERE p.period >= me.since) AS net,
			   sum(p.net) FILTER (WHERE p.period >= me.since AND p.customer_id IS NOT NULL) AS known,
			   CASE WHEN me.days > 0
					THEN coalesce(sum(p.net) FILTER (WHERE p.period < me.since), 0) END AS previous
		FROM part p CROSS JOIN me
		WHERE me.days <= 0 OR p.period >= me.since - me.days * interval '1 day'
		GROUP BY p.store_id, me.days),
	sale AS (
		SELECT b.store_id, sum(b.receipts)::bigint AS receipts, count(b.customer_id) AS customers,
			   sum(b.net) AS net, min(b.first) AS first, max(b.last) AS last
		FROM (SELECT p.store_id, p.customer_id, count(*) FILTER (WHERE p.once) AS receipts, sum(p.net) AS net,
					 min(p.at) AS first, max(p.at) AS last
			  FROM part p CROSS JOIN me WHERE p.is_purchase AND p.at >= me.since GROUP BY 1, 2) b
		GROUP BY 1)
	SELECT m.store_id, coalesce(s.receipts, 0), coalesce(s.customers, 0), coalesce(m.items, 0), m.gross,
		   m.returned, coalesce(m.net, 0),
		   round(coalesce(m.net, 0) / nullif(sum(m.net) OVER (), 0), 4), round(s.net / s.receipts, 2),
		   round(coalesce(m.known, 0) / nullif(m.net, 0), 4),
		   s.first, s.last, m.previous, round(coalesce(m.net, 0) / nullif(m.previous, 0) - 1, 4)
	FROM money m LEFT JOIN sale s ON s.store_id IS NOT DISTINCT FROM m.store_id
	ORDER BY coalesce(m.net, 0) DESC, m.store_id
$$;
COMMENT ON FUNCTION onec.store_summary_at(name, date) IS
	'Магазины на дату: чеки, покупатели, выручка и её изменение';

CREATE VIEW onec.store_summary AS
	SELECT s.server, t.store_id, n.name AS store, t.receipts, t.customers, t.items, t.gross, t.returned,
		   t.net, t.share, t.average_check, t.known_share,
		   t.first_sale, t.last_sale, t.previous_net, t.change,
		   onec.moment(s.server, t.first_sale) AS first_sale_tz,
		   onec.moment(s.server, t.last_sale) AS last_sale_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.store_summary_at(s.server) t
	LEFT JOIN onec.store n ON n.server = s.server AND n.store_id = t.store_id;
COMMENT ON VIEW onec.store_summary IS
	'Магазины за последние дни (analysis.window): чеки, покупатели, выручка, сравнение '
	'с такими же днями до того';
COMMENT ON COLUMN onec.store_summary.store IS 'Магазин';
COMMENT ON COLUMN onec.store_summary.items IS 'Штук';
COMMENT ON COLUMN onec.store_summary.gross IS 'Продано';
COMMENT ON COLUMN onec.store_summary.returned IS 'Возвращено, меньше нуля';
COMMENT ON COLUMN onec.store_summary.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.store_summary.first_sale IS 'Первая продажа';
COMMENT ON COLUMN onec.store_summary.last_sale IS 'Последняя продажа';
COMMENT ON COLUMN onec.store_summary.store_id IS 'Магазин; пусто — не указан';
COMMENT ON COLUMN onec.store_summary.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.store_summary.customers IS 'Известных покупателей';
COMMENT ON COLUMN onec.store_summary.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.store_summary.share IS 'Доля в выручке';
COMMENT ON COLUMN onec.store_summary.known_share IS 'Какая доля выручки от известных покупателей';
COMMENT ON COLUMN onec.store_summary.previous_net IS 'Выручка за столько же дней до того';
COMMENT ON COLUMN onec.store_summary.change IS 'Изменение выручки: 0.1 — выросла на десятую';

CREATE FUNCTION onec.revenue_month_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (month date, store_id uuid, receipts bigint, customers bigint, new_customers bigint,
				   gross numeric, returned numeric, net numeric, known_net numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	part AS MATERIALIZED (
		SELECT p.customer_id, p.store_id, p.at, p.is_purchase AND p.once AS is_receipt, p.period, p.gross,
			   p.returned, p.net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p),
	money AS (
		SELECT date_trunc('month', p.period) AS month, p.store_id, coalesce(sum(p.gross), 0) AS gross,
			   coalesce(sum(p.returned), 0) AS returned, sum(p.net) AS net,
			   coalesce(sum(p.net) FILTER (WHERE p.customer_id IS NOT NULL), 0) AS known
		FROM part p GROUP BY 1, 2),
	-- receipts and customers once each, whatever months their lines are of
	visit AS MATERIALIZED (
		SELECT date_trunc('month', p.at) AS month, p.store_id, p.customer_id, count(*) AS receipts,
			   min(p.at) AS first
		FROM part p WHERE p.is_receipt GROUP BY 1, 2, 3),
	sale AS (
		SELECT v.month, v.store_id, sum(v.receipts)::bigint AS receipts, count(v.customer_id) AS customers,
			   count(v.customer_id) FILTER (WHERE v.first = f.at) AS new
		FROM visit v
		LEFT JOIN (SELECT x.customer_id, min(x.first) AS at FROM visit x GROUP BY 1) f
			ON f.customer_id = v.customer_id GROUP BY 1, 2)
	SELECT m.month::date, m.store_id, coalesce(s.receipts, 0), coalesce(s.customers, 0), coalesce(s.new, 0),
		   m.gross, m.returned, m.net, m.known
	FROM money m LEFT JOIN sale s ON s.month = m.month AND s.store_id IS NOT DISTINCT FROM m.store_id
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.revenue_month_at(name, date) IS 'Выручка по месяцам и магазинам на дату';

CREATE VIEW onec.revenue_month AS
	SELECT s.server, r.month, r.store_id, n.name AS store, r.receipts, r.customers, r.new_customers, r.gross,
		   r.returned, r.net, r.known_net, onec.moment(s.server, r.month::timestamp) AS month_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.revenue_month_at(s.server) r
	LEFT JOIN onec.store n ON n.server = s.server AND n.store_id = r.store_id;
COMMENT ON VIEW onec.revenue_month IS 'Выручка по месяцам и магазинам';
COMMENT ON COLUMN onec.revenue_month.month IS 'Месяц';
COMMENT ON COLUMN onec.revenue_month.store IS 'Магазин';
COMMENT ON COLUMN onec.revenue_month.gross IS 'Продано';
COMMENT ON COLUMN onec.revenue_month.returned IS 'Возвращено, меньше нуля';
COMMENT ON COLUMN onec.revenue_month.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.revenue_month.customers IS 'Известных покупателей';
COMMENT ON COLUMN onec.revenue_month.new_customers IS 'Из них купили впервые';
COMMENT ON COLUMN onec.revenue_month.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.revenue_month.known_net IS 'Из неё от известных покупателей';

-- Visits up to a day: those that the profiles keep; only of whom a profile tells of later ones the lines are
-- looked at.
CREATE FUNCTION onec_internal.expected_visits(server name, day date)
	RETURNS TABLE (customer_id uuid, visits int, gap numeric, expected_next date, days_since int,
				   overdue_ratio numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH later AS MATERIALIZED (
		SELECT array_agg(p.customer_id) AS list FROM onec.customer_profile p
		WHERE p.server = $1 AND p.last_purchase >= $2 + 1),
	buyer AS MATERIALIZED (
		SELECT p.customer_id, p.visits, p.median_gap, p.last_purchase::date AS last
		FROM onec.customer_profile p
		WHERE p.server = $1 AND p.visits > 0 AND p.last_purchase < $2 + 1
		UNION ALL
		SELECT g.customer_id, g.visits, g.median_gap, g.last_day
		FROM later l CROSS JOIN LATERAL onec_internal.visit_gaps($1, $2, l.list) g WHERE l.list IS NOT NULL),
	usual AS (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY b.median_gap)::numeric AS gap FROM buyer b),
	g AS (SELECT b.*, onec_internal.gap_drawn_to_usual(b.visits, b.median_gap, u.gap) AS gap FROM buyer b
		  CROSS JOIN usual u)
	SELECT g.customer_id, g.visits, round(g.gap, 1), g.last + round(g.gap)::int, $2 - g.last,
		   round(($2 - g.last) / nullif(g.gap, 0), 2)
	FROM g
$$;
COMMENT ON FUNCTION onec_internal.expected_visits(name, date) IS 'Когда ждать покупателей снова (служебная)';

-- What is left of a card at a moment, and what of that burns within some days: they were granted long before,
-- so no more can burn than is left.
CREATE FUNCTION onec_internal.points_soon_expiring(server name, at timestamp, till timestamp)
	RETURNS TABLE (customer_id uuid, balance numeric, burning numeric, burn_on date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.customer_id, t.balance, least(t.burning, greatest(t.balance, 0)), t.burn_on
	FROM (SELECT c.user_id AS customer_id,
				 coalesce(sum(p.points) FILTER (WHERE p.period IS NULL), 0) AS balance,
				 coalesce(-sum(p.points) FILTER (WHERE p.period IS NOT NULL AND p.points < 0), 0) AS burning,
				 min(p.period) FILTER (WHERE p.points < 0)::date AS burn_on
		  FROM onec_internal.shop_rules w CROSS JOIN LATERAL onec_internal.points_ahead(w.server, $2, $3) p
		  JOIN onec.customer_card c ON c.server = w.server AND c.card_id = p.card_id
		  WHERE w.server = $1 AND w.has_loyalty GROUP BY 1) t
$$;
COMMENT ON FUNCTION onec_internal.points_soon_expiring(name, timestamp, timestamp) IS
	'Какие баллы скоро сгорят (служебная)';

CREATE FUNCTION onec.call_list_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (place bigint, customer_id uuid, reasons text[], expected_next date, days_since int,
				   overdue_ratio numeric, usual_gap numeric,
				   points_balance numeric, points_burning numeric, points_burn_on date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (
		SELECT d.*, onec.get('call.days_ahead', d.server_name)::int AS ahead,
			   onec.get('call.max_overdue', d.server_name)::numeric AS limit_ratio,
			   onec.get('call.min_visits', d.server_name)::int AS min_visits,
			   onec.get('call.points_days', d.server_name)::int AS points_days,
			   onec_internal.moment_meant(d.server_name, $2) AS at
		FROM onec_internal.server_and_day($1, $2) d),
	person AS (
		SELECT u.user_id AS customer_id, coalesce(p.total_revenue, 0) AS revenue, e.expected_next,
			   e.days_since, e.overdue_ratio, e.gap, b.balance, b.burning, b.burn_on,
			   e.visits >= me.min_visits AND e.expected_next < me.day
				   AND e.overdue_ratio <= me.limit_ratio AS overdue,
			   e.visits >= me.min_visits AND e.expected_next BETWEEN me.day AND me.day + me.ahead AS due,
			   b.burning > 0 AS burns
		FROM me
		JOIN onec.site_user u ON u.server = me.server_name AND u.is_active
			AND coalesce(u.phone, u.email) IS NOT NULL
		LEFT JOIN onec.customer_profile p ON p.server = me.server_name AND p.customer_id = u.user_id
		LEFT JOIN onec_internal.expected_visits(me.server_name, me.day) e ON e.customer_id = u.user_id
		LEFT JOIN onec_internal.points_soon_expiring(me.server_name, me.at, me.day + 1 + me.points_days) b
			ON b.customer_id = u.user_id)
	SELECT row_number() OVER (ORDER BY p.revenue DESC, p.customer_id), p.customer_id,
		   array_remove(ARRAY[CASE WHEN p.overdue THEN 'overdue' END, CASE WHEN p.due THEN 'due' END,
							  CASE WHEN p.burns THEN 'points' END], NULL),
		   p.expected_next, p.days_since, p.overdue_ratio, p.gap, p.balance,
		   CASE WHEN p.burns THEN p.burning END, CASE WHEN p.burns THEN p.burn_on END
	FROM person p
	WHERE p.overdue OR p.due OR p.burns
	ORDER BY 1
$$;
COMMENT ON FUNCTION onec.call_list_at(name, date) IS
	'Кому позвонить: кого ждём, кто опаздывает, у кого сгорают баллы; по профилям, какие они сейчас';

-- The same with names, and the reasons in words.
CREATE FUNCTION onec_internal.call_list_with_names(server name, as_of date)
	RETURNS TABLE (place bigint, customer_id uuid, name text, phone text, email text, reasons text[],
				   why text, expected_next date,
				   days_since int, overdue_ratio numeric, usual_gap numeric, last_purchase timestamp,
				   visits int, average_check numeric,
				   total_revenue numeric, favorite_categories text[], segment text, points_balance numeric,
				   points_burning numeric,
				   points_burn_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.place, l.customer_id, u.name, u.phone, u.email, l.reasons,
			   array_to_string(ARRAY[
				   CASE WHEN 'overdue' = ANY (l.reasons) THEN 'опаздывает, ждали '
						|| to_char(l.expected_next, 'DD.MM.YYYY') END,
				   CASE WHEN 'due' = ANY (l.reasons) THEN 'ждём '
						|| to_char(l.expected_next, 'DD.MM.YYYY') END,
				   CASE WHEN 'points' = ANY (l.reasons) THEN
					   'сгорят баллы: ' || trim_scale(l.points_burning) || ', '
						   || to_char(l.points_burn_on, 'DD.MM.YYYY') END], '; '),
			   l.expected_next, l.days_since, l.overdue_ratio, l.usual_gap, p.last_purchase, p.visits,
			   p.average_check, p.total_revenue,
			   p.favorite_categories, r.segment_title, l.points_balance, l.points_burning, l.points_burn_on
		FROM onec.call_list_at($1, $2) l
		JOIN onec.site_user u ON u.server = $1 AND u.user_id = l.customer_id
		LEFT JOIN onec.customer_profile p ON p.server = $1 AND p.customer_id = l.customer_id
		LEFT JOIN onec.customer_rfm r ON r.server = $1 AND r.customer_id = l.customer_id;
	END;
COMMENT ON FUNCTION onec_internal.call_list_with_names(name, date) IS
	'Кому позвонить, с именами и причинами словами (служебная)';

CREATE VIEW onec.call_list AS
	SELECT s.server, l.place, l.customer_id, l.name, l.phone, l.email, l.reasons, l.why, l.expected_next,
		   l.days_since, l.overdue_ratio,
		   l.usual_gap, l.last_purchase, l.visits, l.average_check, l.total_revenue, l.favorite_categories,
		   l.segment, l.points_balance,
		   l.points_burning, l.points_burn_on, onec.moment(s.server, l.last_purchase) AS last_purchase_tz
	FROM onec_internal.known_servers s
	CROSS JOIN LATERAL onec_internal.call_list_with_names(s.server, NULL) l;
COMMENT ON VIEW onec.call_list IS
	'Кому позвонить: кого ждём в ближайшие дни, кто опаздывает, у кого сгорают баллы; '
	'сначала те, кто принёс больше';
COMMENT ON COLUMN onec.call_list.customer_id IS 'Покупатель: контрагент, у карты без владельца — карта';
COMMENT ON COLUMN onec.call_list.name IS 'Имя';
COMMENT ON COLUMN onec.call_list.phone IS 'Телефон в едином виде';
COMMENT ON COLUMN onec.call_list.email IS 'Электронная почта';
COMMENT ON COLUMN onec.call_list.last_purchase IS 'Последняя покупка, местное время';
COMMENT ON COLUMN onec.call_list.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.call_list.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.call_list.total_revenue IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.call_list.favorite_categories IS 'Любимые категории, до пяти, как их называет сайт';
COMMENT ON COLUMN onec.call_list.days_since IS 'Дней с последней покупки';
COMMENT ON COLUMN onec.call_list.place IS 'Очередь: по выручке';
COMMENT ON COLUMN onec.call_list.reasons IS 'overdue — опаздывает, due — ждём, points — сгорают баллы';
COMMENT ON COLUMN onec.call_list.why IS 'Почему, словами';
COMMENT ON COLUMN onec.call_list.expected_next IS
	'Когда ждали или ждём: последняя покупка и обычный промежуток';
COMMENT ON COLUMN onec.call_list.overdue_ratio IS 'Сколько обычных промежутков прошло';
COMMENT ON COLUMN onec.call_list.usual_gap IS 'Обычный промежуток, дней';
COMMENT ON COLUMN onec.call_list.segment IS 'Сегмент RFM';
COMMENT ON COLUMN onec.call_list.points_balance IS 'Баллов сейчас';
COMMENT ON COLUMN onec.call_list.points_burning IS 'Сколько из них скоро сгорит';
COMMENT ON COLUMN onec.call_list.points_burn_on IS 'Когда сгорят первые';
-- What is bought together: pairs of goods; and bestsellers.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('pairs.shrink', 'numeric', '5', NULL, 0, 1000000,
	 'Насколько не доверять редким парам: оценка пары умножается на n/(n+это число)'),
	('pairs.min_together', 'int', '3', NULL, 1, 1000000000, 'Пары, купленные вместе реже, не учитывать'),
	('pairs.top', 'int', '50', NULL, 1, 10000, 'Сколько соседей хранить для каждого товара'),
	('pairs.exclude_receipt_types', 'text[]', '{Document_ОтчетОРозничныхПродажах}', NULL, NULL, NULL,
	 'Документы, в которых много чеков: что в одном таком документе, куплено не вместе'),
	('pairs.max_basket', 'int', '100', NULL, 2, 1000000,
	 'Чеки и покупатели с большим числом разных товаров (опт) в парах не участвуют'),
	('recommend.active_days', 'int', '365', NULL, 1, 36500,
	 'Товары, не продававшиеся столько дней, не рекомендовать; за столько же дней считаются хиты продаж');

CREATE TABLE onec.product_pair (
	server name NOT NULL,
	basis text NOT NULL CHECK (basis IN ('receipt', 'customer')),
	product_id uuid NOT NULL,
	other_id uuid NOT NULL,
	n_a int NOT NULL,
	n_b int NOT NULL,
	n_ab int NOT NULL,
	support numeric NOT NULL,
	confidence numeric NOT NULL,
	lift numeric NOT NULL,
	cosine numeric NOT NULL,
	jaccard numeric NOT NULL,
	score numeric NOT NULL,
	PRIMARY KEY (server, product_id, basis, other_id)
);
COMMENT ON TABLE onec.product_pair IS
	'Товары, которые покупают вместе: ближайшие соседи каждого товара, в обе стороны; '
	'обновляет onec.refresh_pairs';
COMMENT ON COLUMN onec.product_pair.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.product_pair.basis IS
	'Что значит вместе: receipt — в одном чеке, customer — одним покупателем';
COMMENT ON COLUMN onec.product_pair.product_id IS 'Товар';
COMMENT ON COLUMN onec.product_pair.other_id IS 'Сосед';
COMMENT ON COLUMN onec.product_pair.n_a IS 'Чеков (покупателей) с товаром';
COMMENT ON COLUMN onec.product_pair.n_b IS 'Чеков (покупателей) с соседом';
COMMENT ON COLUMN onec.product_pair.n_ab IS 'Чеков (покупателей) с обоими';
COMMENT ON COLUMN onec.product_pair.support IS 'Поддержка: доля чеков (покупателей) с обоими';
COMMENT ON COLUMN onec.product_pair.confidence IS 'Достоверность: доля чеков с соседом среди чеков с товаром';
COMMENT ON COLUMN onec.product_pair.lift IS 'Подъём: во сколько раз чаще, чем случайно';
COMMENT ON COLUMN onec.product_pair.cosine IS 'Косинусная близость';
COMMENT ON COLUMN onec.product_pair.jaccard IS 'Мера Жаккара';
COMMENT ON COLUMN onec.product_pair.score IS 'Оценка: косинус, уменьшенный у редких пар';
SELECT pg_catalog.pg_extension_config_dump('onec.product_pair', '');

CREATE TABLE onec.bestseller (
	server name NOT NULL,
	scope text NOT NULL CHECK (scope IN ('all', 'category', 'store', 'month')),
	scope_key text NOT NULL,
	product_id uuid NOT NULL,
	receipts int NOT NULL,
	amount numeric NOT NULL,
	share numeric NOT NULL,
	place int NOT NULL,
	PRIMARY KEY (server, product_id, scope, scope_key)
);
CREATE INDEX bestseller_place ON onec.bestseller (server, scope, scope_key, place);
COMMENT ON TABLE onec.bestseller IS
	'Хиты продаж: по всему магазину (все товары), по категориям, точкам и календарным месяцам (первые сто); '
	'обновляет onec.refresh_pairs';
COMMENT ON COLUMN onec.bestseller.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.bestseller.scope IS 'Среди чего: all, category, store, month';
COMMENT ON COLUMN onec.bestseller.scope_key IS 'Категория, магазин или месяц (1–12); у all пусто';
COMMENT ON COLUMN onec.bestseller.product_id IS 'Товар';
COMMENT ON COLUMN onec.bestseller.receipts IS 'Чеков с товаром';
COMMENT ON COLUMN onec.bestseller.amount IS 'Выручка';
COMMENT ON COLUMN onec.bestseller.share IS 'Доля среди товаров, считая чеки';
COMMENT ON COLUMN onec.bestseller.place IS 'Место';
SELECT pg_catalog.pg_extension_config_dump('onec.bestseller', '');

-- What was bought before a moment and has not come back by then, by whomever: one row for each receipt and
-- product.  The temporary table serves pairs and bestsellers alike, so that both see the same goods;
-- "together": the document is one receipt.
CREATE FUNCTION onec_internal.collect_bought_goods(server name, before timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	reports text[] := onec.get('pairs.exclude_receipt_types', server);
BEGIN
	CREATE TEMPORARY TABLE onec_goods ON COMMIT DROP AS SELECT * FROM onec_internal.goods_by_use(server);
	ANALYZE pg_temp.onec_goods;
	CREATE TEMPORARY TABLE onec_bought ON COMMIT DROP AS
		SELECT l.receipt_id AS receipt, l.customer_id, l.product_id,
			   min(l.store_id::text) FILTER (WHERE l.amount > 0) AS store,
			   min(l.period) AS at, sum(l.amount) AS amount,
			   bool_and(l.receipt_type <> ALL (reports)) AS together
		FROM onec_internal.counted_lines(server, before, NULL) l
		WHERE l.product_id IS NOT NULL
		  AND NOT EXISTS (SELECT FROM pg_temp.onec_goods g WHERE g.product_id = l.product_id AND g.excluded)
		GROUP BY 1, 2, 3 HAVING sum(l.amount) > 0;
	ANALYZE pg_temp.onec_bought;
END $$;
COMMENT ON FUNCTION onec_internal.collect_bought_goods(name, timestamp) IS
	'Собрать купленное до указанного времени (служебная)';

CREATE TYPE onec_internal.pair_counts AS (a int[], b int[], baskets int[]);
COMMENT ON TYPE onec_internal.pair_counts IS 'Пары и сколько раз они вместе (служебный)';

CREATE FUNCTION onec_internal.count_pairs_basket(state internal, goods int[], enough int) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_count_pairs_basket';
COMMENT ON FUNCTION onec_internal.count_pairs_basket(internal, int[], int) IS
	'Часть count_pairs (служебная)';

CREATE FUNCTION onec_internal.count_pairs_end(state internal) RETURNS onec_internal.pair_counts
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_count_pairs_end';
COMMENT ON FUNCTION onec_internal.count_pairs_end(internal) IS 'Часть count_pairs (служебная)';

-- Of each two goods that lie together in enough baskets, in how many: the smaller number is "a".
CREATE AGGREGATE onec_internal.count_pairs(goods int[], enough int) (
	SFUNC = onec_internal.count_pairs_basket, STYPE = internal, SSPACE = 67108864,
	FINALFUNC = onec_internal.count_pairs_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE onec_internal.count_pairs(int[], int) IS
	'В скольких корзинах товары лежат вместе (служебная)';

-- Pairs of one basis into pg_temp.product_pair, of the baskets that are not too large.
CREATE FUNCTION onec_internal.collect_pairs(server name, basis text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	baskets bigint;
	shrink float8 := onec.get('pairs.shrink', server);
	-- variables: a call in a condition is made for each row
	min_together int := onec.get('pairs.min_together', server);
	max_basket int := onec.get('pairs.max_basket', server);
	top int := onec.get('pairs.top', server);
	found onec_internal.pair_counts;
BEGIN
	CREATE TEMPORARY TABLE onec_number ON COMMIT DROP AS
		SELECT x.product_id, row_number() OVER (ORDER BY x.product_id)::int AS no
		FROM (SELECT DISTINCT b.product_id FROM pg_temp.onec_bought b) x;
	ANALYZE pg_temp.onec_number;
	-- a receipt is that of one customer
	CREATE TEMPORARY TABLE onec_basket ON COMMIT DROP AS
		SELECT array_agg(DISTINCT n.no) AS goods
		FROM pg_temp.onec_bought b JOIN pg_temp.onec_number n ON n.product_id = b.product_id
		WHERE CASE basis WHEN 'receipt' THEN b.together ELSE b.customer_id IS NOT NULL END
		GROUP BY CASE basis WHEN 'receipt' THEN b.receipt END, b.customer_id
		HAVING count(DISTINCT n.no) <= max_basket;
	ANALYZE pg_temp.onec_basket;
	baskets := (SELECT count(*) FROM pg_temp.onec_basket);
	found := (SELECT onec_internal.count_pairs(b.goods, min_together) FROM pg_temp.onec_basket b
			  WHERE cardinality(b.goods) > 1);
	INSERT INTO pg_temp.product_pair
	WITH single AS MATERIALIZED (
		SELECT n.product_id, n.no, x.n FROM (
			SELECT g.no, count(*)::int AS n
			FROM pg_temp.onec_basket b CROSS JOIN LATERAL unnest(b.goods) g (no) GROUP BY 1) x
		JOIN pg_temp.onec_number n ON n.no = x.no),
	pair AS MATERIALIZED (
		SELECT p.a, p.b, p.n FROM unnest((found).a, (found).b, (found).baskets) p (a, b, n)),
	both_ways AS (SELECT p.a, p.b, p.n FROM pair p UNION ALL SELECT p.b, p.a, p.n FROM pair p),
	measured AS (
		SELECT a.product_id, b.product_id AS other_id, a.n AS n_a, b.n AS n_b, p.n AS n_ab,
			   (p.n / sqrt(a.n::float8 * b.n)) AS cosine
		FROM both_ways p JOIN single a ON a.no = p.a JOIN single b ON b.no = p.b),
	scored AS (SELECT m.*, round((m.cosine * m.n_ab / (m.n_ab + shrink))::numeric, 6) AS score
			   FROM measured m),
	ranked AS (
		SELECT s.*, row_number() OVER (PARTITION BY s.product_id ORDER BY s.score DESC, s.n_ab DESC,
									   s.other_id) AS place FROM scored s)
	SELECT server, basis, r.product_id, r.other_id, r.n_a, r.n_b, r.n_ab, round(r.n_ab::numeric / baskets, 8),
		   round(r.n_ab::numeric / r.n_a, 6),
		   round(r.n_ab::numeric * baskets / (r.n_a::numeric * r.n_b), 4), round(r.cosine::numeric, 6),
		   round(r.n_ab::numeric / (r.n_a + r.n_b - r.n_ab), 6), r.score
	FROM ranked r WHERE r.place <= top;
	DROP TABLE pg_temp.onec_number, pg_temp.onec_basket;
END $$;
COMMENT ON FUNCTION onec_internal.collect_pairs(name, text) IS
	'Пары товаров по чекам или по покупателям (служебная)';

-- Bestsellers into pg_temp.bestseller.  What has not been sold for long is not one of them, not even of its
-- month.
CREATE FUNCTION onec_internal.collect_bestsellers(server name, before timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	since timestamp := before - make_interval(days => onec.get('recommend.active_days', server)::int);
BEGIN
	INSERT INTO pg_temp.bestseller
	WITH recent AS MATERIALIZED (SELECT b.*, g.slug FROM pg_temp.onec_bought b
								 LEFT JOIN pg_temp.onec_goods g ON g.product_id = b.product_id
								 WHERE b.at >= since),
	counted AS (
		SELECT 'all' AS scope, '' AS scope_key, r.product_id, count(*)::int AS receipts,
			   sum(r.amount) AS amount FROM recent r GROUP BY r.product_id
		UNION ALL
		SELECT 'category', r.slug, r.product_id, count(*)::int, sum(r.amount) FROM recent r
		WHERE r.slug IS NOT NULL GROUP BY r.slug, r.product_id
		UNION ALL
		SELECT 'store', r.store, r.product_id, count(*)::int, sum(r.amount) FROM recent r
		WHERE r.store IS NOT NULL GROUP BY r.store, r.product_id
		UNION ALL
		SELECT 'month', extract(month FROM b.at)::int::text, b.product_id, count(*)::int, sum(b.amount)
		FROM pg_temp.onec_bought b WHERE b.product_id IN (SELECT r.product_id FROM recent r)
		GROUP BY 2, b.product_id),
	ranked AS (
		SELECT c.*, c.receipts::numeric / sum(c.receipts) OVER (PARTITION BY c.scope, c.scope_key) AS share,
			   row_number() OVER (PARTITION BY c.scope, c.scope_key ORDER BY c.receipts DESC,
								  c.product_id)::int AS place
		FROM counted c)
	SELECT server, r.scope, r.scope_key, r.product_id, r.receipts, r.amount, round(r.share, 8), r.place
	FROM ranked r WHERE r.scope = 'all' OR r.place <= 100;
END $$;
COMMENT ON FUNCTION onec_internal.collect_bestsellers(name, timestamp) IS
	'Хиты продаж на указанное время (служебная)';

-- Pairs and bestsellers as they were known at a moment, into temporary tables that are named as the lasting
-- ones.
CREATE FUNCTION onec_internal.collect_pairs_and_bestsellers(server name, before timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TEMPORARY TABLE product_pair (LIKE onec.product_pair) ON COMMIT DROP;
	CREATE TEMPORARY TABLE bestseller (LIKE onec.bestseller) ON COMMIT DROP;
	PERFORM onec_internal.collect_bought_goods(server, before);
	PERFORM onec_internal.collect_pairs(server, 'receipt');
	PERFORM onec_internal.collect_pairs(server, 'customer');
	PERFORM onec_internal.collect_bestsellers(server, before);
	DROP TABLE pg_temp.onec_bought, pg_temp.onec_goods;
	ANALYZE pg_temp.product_pair, pg_temp.bestseller;
END $$;
COMMENT ON FUNCTION onec_internal.collect_pairs_and_bestsellers(name, timestamp) IS
	'Пары и хиты продаж на указанное время (служебная)';

CREATE FUNCTION onec.refresh_pairs(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	n bigint;
BEGIN
	PERFORM onec_internal.must_write('refresh_pairs');
	PERFORM onec_internal.collect_pairs_and_bestsellers(srv, coalesce(as_of,
		onec.local_now(srv)::date)::timestamp);
	DELETE FROM onec.product_pair p
	USING pg_temp.product_pair n
	WHERE p.server = srv AND n.product_id = p.product_id AND n.basis = p.basis AND n.other_id = p.other_id
	  AND ROW(p.*) IS DISTINCT FROM ROW(n.*);
	GET DIAGNOSTICS rows_updated = ROW_COUNT;
	DELETE FROM onec.product_pair p
	WHERE p.server = srv AND NOT EXISTS (SELECT FROM pg_temp.product_pair n
		WHERE n.product_id = p.product_id AND n.basis = p.basis AND n.other_id = p.other_id);
	GET DIAGNOSTICS rows_deleted = ROW_COUNT;
	INSERT INTO onec.product_pair
	SELECT n.* FROM pg_temp.product_pair n
	WHERE NOT EXISTS (SELECT FROM onec.product_pair p
		WHERE p.server = srv AND p.product_id = n.product_id AND p.basis = n.basis
		  AND p.other_id = n.other_id);
	GET DIAGNOSTICS rows_inserted = ROW_COUNT;
	rows_inserted := rows_inserted - rows_updated;
	-- the counts of bestsellers change with nearly every receipt, and are few
	DELETE FROM onec.bestseller b
	WHERE b.server = srv AND NOT EXISTS (SELECT FROM pg_temp.bestseller n
		WHERE n.product_id = b.product_id AND n.scope = b.scope AND n.scope_key = b.scope_key
		  AND (n.receipts, n.amount, n.share, n.place) = (b.receipts, b.amount, b.share, b.place));
	INSERT INTO onec.bestseller
	SELECT n.* FROM pg_temp.bestseller n
	WHERE NOT EXISTS (SELECT FROM onec.bestseller b
		WHERE b.server = srv AND b.product_id = n.product_id AND b.scope = n.scope
		  AND b.scope_key = n.scope_key);
	DROP TABLE pg_temp.product_pair, pg_temp.bestseller;
END $$;
COMMENT ON FUNCTION onec.refresh_pairs(name, date) IS
	'Пересчитать пары товаров и хиты продаж по покупкам до даты; неизменившиеся не '
	'записываются; считает строки пар';
REVOKE EXECUTE ON FUNCTION onec.refresh_pairs(name, date) FROM PUBLIC;

-- A product may be a neighbour by receipts and by customers: it is listed once, by the better score.
CREATE FUNCTION onec.similar_items(product uuid, n int DEFAULT 10, server name DEFAULT NULL)
	RETURNS TABLE (product_id uuid, score numeric, name text, basis text, n_ab int, confidence numeric,
				   lift numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH best AS (
		SELECT DISTINCT ON (p.other_id) p.other_id, p.score, p.basis, p.n_ab, p.confidence, p.lift
		FROM onec.product_pair p WHERE p.server = onec_internal.server_meant($3) AND p.product_id = $1
		ORDER BY p.other_id, p.score DESC, p.basis DESC)
	SELECT b.other_id, b.score, g.name, b.basis, b.n_ab, b.confidence, b.lift
	FROM best b LEFT JOIN onec.product g ON g.server = onec_internal.server_meant($3)
		AND g.product_id = b.other_id
	WHERE EXISTS (SELECT FROM onec.bestseller a
				  WHERE a.server = onec_internal.server_meant($3) AND a.scope = 'all'
					AND a.product_id = b.other_id)
	  AND NOT (coalesce(g.is_deleted, false) OR coalesce(g.deletion_mark, false)
			   OR coalesce(g.is_folder, false))
	ORDER BY b.score DESC, b.n_ab DESC, b.other_id LIMIT $2
$$;
COMMENT ON FUNCTION onec.similar_items(uuid, int, name) IS
	'Что покупают вместе с товаром: ближайшие соседи из onec.product_pair, кроме снятых с продажи';
-- What to offer whom: what goes with a customer's purchases, bestsellers to fall back on, reasons.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('recommend.half_life_days', 'numeric', '180', NULL, 0.01, NULL,
	 'За сколько дней вес купленного товара в рекомендациях падает вдвое'),
	('recommend.last_products', 'int', '20', NULL, 1, 1000,
	 'По скольким последним товарам покупателя рекомендовать'),
	('recommend.category_prior', 'numeric', '30', NULL, 0, 1000000,
	 'Скольким чекам равна уверенность в том, что покупатель любит те же категории, что и все'),
	('recommend.popularity', 'numeric', '10', NULL, 0, 1000000,
	 'Сколько весит доля товара в продажах рядом с оценками пар; 0 — только пары'),
	('recommend.favorite_receipts', 'int', '2', NULL, 1, 1000000,
	 'С какого числа чеков категория считается любимой'),
	('recommend.consumable_categories', 'text[]', '{}', NULL, NULL, NULL,
	 'Категории расходного: предлагать и то, что уже куплено'),
	('recommend.feed_size', 'int', '10', NULL, 1, 1000,
	 'Сколько товаров каждому покупателю в recommendation_feed');

-- ---- what customers like ----

-- What customers bought before a moment, returned or not, each product once; the last of them speak for their
-- taste.  "products": all that these customers bought, or NULL.
CREATE FUNCTION onec_internal.goods_bought_by(server name, customers uuid[], before timestamp,
											  products uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, product_id uuid, at timestamp, slug text, consumable boolean,
				   place bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH last AS (
			SELECT l.customer_id, l.product_id, max(l.period) AS at
			FROM onec_internal.counted_lines($1, $3, $2) l
			WHERE l.amount > 0 AND l.customer_id IS NOT NULL AND l.product_id IS NOT NULL GROUP BY 1, 2)
		SELECT l.customer_id, l.product_id, l.at, coalesce(g.slug, ''), coalesce(g.consumable, false),
			   row_number() OVER (PARTITION BY l.customer_id ORDER BY l.at DESC, l.product_id)
		FROM last l LEFT JOIN onec_internal.goods_by_use($1, $4) g ON g.product_id = l.product_id
		WHERE NOT coalesce(g.excluded, false);
	END;
COMMENT ON FUNCTION onec_internal.goods_bought_by(name, uuid[], timestamp, uuid[]) IS
	'Купленное каждым покупателем, новое впереди (служебная)';

-- The shop's shares of the categories that it has any of, numbered.
CREATE FUNCTION onec_internal.numbered_shares(shop jsonb) RETURNS TABLE (slug text, no int, share numeric)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT s.key, (row_number() OVER (ORDER BY s.key COLLATE "C"))::int, s.value::numeric
		FROM jsonb_each_text($1) s WHERE s.value::numeric > 0;
	END;
COMMENT ON FUNCTION onec_internal.numbered_shares(jsonb) IS 'Доли категорий с номерами (служебная)';

-- Shares of the categories in what a customer buys (doc/definitions.md 9), pulled towards the shop's own
-- shares where there are few receipts: who bought one brooch is no lover of brooches yet.
CREATE FUNCTION onec_internal.category_tastes(server name, customers uuid[], before timestamp, shop jsonb,
											  products uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, slug text, receipts bigint, share numeric, factor numeric, place bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH limits AS MATERIALIZED (SELECT onec.get('affinity.min_line', $1)::numeric AS min_line,
			onec.get('affinity.half_life_days', $1)::float8 AS half_life,
			onec.get('recommend.category_prior', $1)::numeric AS prior),
		-- a line each would be sorted for each count
		part AS MATERIALIZED (
			SELECT l.customer_id, l.receipt_id, coalesce(g.slug, '') AS slug, bool_or(l.amount > 0) AS sold,
				   sum(round((l.amount::float8
							  * onec_internal.faded_weight(l.period, $3, m.half_life))::numeric, 4)) AS weight
			FROM onec_internal.counted_lines($1, $3, $2) l
			LEFT JOIN onec_internal.goods_by_use($1, $5) g ON g.product_id = l.product_id
			CROSS JOIN limits m
			WHERE l.customer_id IS NOT NULL AND l.product_id IS NOT NULL AND NOT coalesce(g.excluded, false)
			  AND abs(l.amount) >= m.min_line
			GROUP BY 1, 2, 3),
		weight AS (
			SELECT p.customer_id, p.slug, greatest(sum(p.weight), 0) AS weight,
				   count(*) FILTER (WHERE p.sold) AS receipts
			FROM part p GROUP BY 1, 2),
		total AS (
			SELECT w.customer_id, sum(w.weight) AS weight, r.receipts FROM weight w
			JOIN (SELECT x.customer_id, count(*) FILTER (WHERE x.sold) AS receipts
				  FROM (SELECT p.customer_id, p.receipt_id, bool_or(p.sold) AS sold FROM part p
						GROUP BY 1, 2) x GROUP BY 1) r ON r.customer_id = w.customer_id
			GROUP BY 1, 3 HAVING sum(w.weight) > 0),
		mixed AS (
			SELECT t.customer_id, s.slug, w.weight, coalesce(w.receipts, 0) AS receipts, s.share AS usual,
				   (t.receipts * coalesce(w.weight, 0) / t.weight + m.prior * s.share)
					   / (t.receipts + m.prior) AS share
			FROM total t CROSS JOIN onec_internal.numbered_shares($4) s CROSS JOIN limits m
			LEFT JOIN weight w ON w.customer_id = t.customer_id AND w.slug = s.slug)
		SELECT x.customer_id, x.slug, x.receipts, x.share, x.share / x.usual,
			   row_number() OVER (PARTITION BY x.customer_id ORDER BY x.weight DESC NULLS LAST,
								  x.receipts DESC, x.slug)
		FROM mixed x;
	END;
COMMENT ON FUNCTION onec_internal.category_tastes(name, uuid[], timestamp, jsonb, uuid[]) IS
	'Склонность покупателей к категориям (служебная)';

-- Customers who bought something, as the fold wants them: how many goods; the last ones, with what each
-- weighs in millionths; those not offered again; what tastes multiply by, by number of category.
CREATE FUNCTION onec_internal.buyers(server name, customers uuid[], before timestamp, shop jsonb)
	RETURNS TABLE (customer_id uuid, goods int, last uuid[], weights bigint[], barred uuid[],
				   factors numeric[])
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	half_life float8 := onec.get('recommend.half_life_days', server);
	places int := onec.get('recommend.last_products', server);
	products uuid[];
BEGIN
	IF customers IS NOT NULL THEN
		products := ARRAY(SELECT DISTINCT l.product_id
						  FROM onec_internal.counted_lines(server, before, customers) l
						  WHERE l.product_id IS NOT NULL);
	END IF;
	RETURN QUERY
		WITH bought AS (
			SELECT m.customer_id, count(*)::int AS goods,
				   array_agg(m.product_id ORDER BY m.place) FILTER (WHERE m.place <= places) AS last,
				   array_agg((round(onec_internal.faded_weight(m.at, before, half_life)::numeric, 6)
							  * 1000000)::bigint ORDER BY m.place)
					   FILTER (WHERE m.place <= places) AS weights,
				   array_agg(m.product_id) FILTER (WHERE NOT m.consumable) AS barred
			FROM onec_internal.goods_bought_by(server, customers, before, products) m GROUP BY 1),
		taste AS (
			SELECT t.customer_id, array_agg(t.factor ORDER BY t.slug COLLATE "C") AS factors
			FROM onec_internal.category_tastes(server, customers, before, shop, products) t GROUP BY 1)
		SELECT b.customer_id, b.goods, b.last, b.weights, b.barred, t.factors
		FROM bought b LEFT JOIN taste t ON t.customer_id = b.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.buyers(name, uuid[], timestamp, jsonb) IS
	'Покупатели с купленным и склонностями, по строке на каждого (служебная)';

-- ---- what to offer ----

-- What may be offered: sold of late and not withdrawn.  The schema is onec, or pg_temp for what was known at
-- an earlier moment; marks of today say nothing of that.
CREATE FUNCTION onec_internal.goods_to_offer(server name, source name) RETURNS TABLE (product_id uuid,
	slug text, share numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		SELECT b.product_id, coalesce(g.slug, ''), b.share FROM %I.bestseller b
		LEFT JOIN onec_internal.goods_by_use($1) g ON g.product_id = b.product_id
		WHERE b.server = $1 AND b.scope = 'all' AND NOT coalesce(g.excluded, false)
		  AND ($2 OR NOT coalesce(g.withdrawn, false))$q$, source)
	USING server, source = 'pg_temp';
END $$;
COMMENT ON FUNCTION onec_internal.goods_to_offer(name, name) IS
	'Товары, которые можно предлагать (служебная)';

-- What goes with which goods, for the fold: goods in order of their identifiers, each with its share in sales
-- (in hundred-millionths; below 0: not offered) and the number of its category; pairs as places of goods from
-- 1, with scores in millionths.
CREATE TYPE onec_internal.offer_book AS (
	goods uuid[],
	shares bigint[],
	categories int[],
	pair_of int[],
	pair_with int[],
	scores bigint[]
);
COMMENT ON TYPE onec_internal.offer_book IS 'Что покупают вместе с чем, для best_offers (служебный)';

CREATE TYPE onec_internal.offers AS (goods uuid[], scores numeric[]);
COMMENT ON TYPE onec_internal.offers IS 'Предложения покупателю, лучшие впереди (служебный)';

-- The best n that go with some goods: round((sum of score * weight + popularity * share) * factor, 6), by
-- identifier where equal.
CREATE FUNCTION onec_internal.best_offers(book onec_internal.offer_book, last uuid[], weights bigint[],
										  barred uuid[], factors numeric[], popularity numeric, n int)
	RETURNS onec_internal.offers
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_best_offers';
COMMENT ON FUNCTION onec_internal.best_offers(onec_internal.offer_book, uuid[], bigint[], uuid[], numeric[],
											  numeric, int) IS
	'Что лучше всего идёт к купленному (служебная)';

-- Pairs of these goods, or of all.
CREATE FUNCTION onec_internal.offer_book_of(server name, bought uuid[], shop jsonb,
											source name) RETURNS onec_internal.offer_book
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	book onec_internal.offer_book;
BEGIN
	EXECUTE format($q$
		WITH pair AS MATERIALIZED (
			SELECT p.product_id, p.other_id, (max(p.score) * 1000000)::bigint AS score
			FROM %1$I.product_pair p
			WHERE p.server = $1 AND ($2 IS NULL OR p.product_id = ANY ($2)) GROUP BY 1, 2),
		good AS MATERIALIZED (
			SELECT x.id, row_number() OVER (ORDER BY x.id)::int AS no,
				   coalesce((o.share * 100000000)::bigint, -1) AS share, coalesce(s.no, 0) AS category
			FROM (SELECT p.product_id AS id FROM pair p UNION SELECT p.other_id FROM pair p) x
			LEFT JOIN onec_internal.goods_to_offer($1, %1$L) o ON o.product_id = x.id
			LEFT JOIN onec_internal.numbered_shares($3) s ON s.slug = o.slug),
		numbered AS MATERIALIZED (
			SELECT a.no AS one, b.no AS other, p.score
			FROM pair p JOIN good a ON a.id = p.product_id JOIN good b ON b.id = p.other_id
			WHERE b.share >= 0)
		SELECT ARRAY(SELECT g.id FROM good g ORDER BY g.no), ARRAY(SELECT g.share FROM good g ORDER BY g.no),
			   ARRAY(SELECT g.category FROM good g ORDER BY g.no),
			   ARRAY(SELECT n.one FROM numbered n ORDER BY n.one, n.other),
			   ARRAY(SELECT n.other FROM numbered n ORDER BY n.one, n.other),
			   ARRAY(SELECT n.score FROM numbered n ORDER BY n.one, n.other)$q$, source)
	INTO book USING server, bought, shop;
	RETURN book;
END $$;
COMMENT ON FUNCTION onec_internal.offer_book_of(name, uuid[], jsonb, name) IS
	'Что покупают вместе с этими товарами, или со всеми (служебная)';

-- For the customers in "short", who have bought so many goods; "customers" is NULL when they are too many to
-- be looked up one by one.
CREATE FUNCTION onec_internal.bestsellers_instead(server name, customers uuid[], short uuid[], bought int[],
												  before timestamp, shop jsonb, source name, n int)
	RETURNS TABLE (customer_id uuid, product_id uuid, score numeric, kind int)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
BEGIN
	IF short IS NULL THEN
		RETURN;
	END IF;
	-- so many places cannot all be taken by what a customer has bought or is offered already
	RETURN QUERY EXECUTE format($q$
		WITH who AS MATERIALIZED (
			SELECT c.id, 3 * $6 + c.bought AS enough FROM unnest($7, $8) c (id, bought)),
		visit AS (
			SELECT l.customer_id, l.store_id::text AS store,
				   count(DISTINCT onec_internal.visit_day(l.at)) AS days,
				   max(l.at) AS last
			FROM onec_internal.receipt_lines_till($1, $3, $2) l
			WHERE l.is_purchase AND l.amount >= 0 AND l.customer_id IS NOT NULL AND l.store_id IS NOT NULL
			GROUP BY 1, 2),
		home AS (
			SELECT DISTINCT ON (v.customer_id) v.customer_id, v.store FROM visit v
			ORDER BY v.customer_id, v.days DESC, v.last DESC, v.store),
		favorite AS (
			SELECT t.customer_id, t.slug, t.share FROM onec_internal.category_tastes($1, $2, $3, $4) t
			WHERE t.place <= 5 AND t.receipts >= $5 AND t.slug <> ''),
		best AS (
			SELECT w.id, b.product_id, round(f.share * b.share, 6) AS score, 2 AS kind
			FROM who w JOIN favorite f ON f.customer_id = w.id
			JOIN %1$I.bestseller b ON b.server = $1 AND b.scope = 'category' AND b.scope_key = f.slug
				AND b.place <= w.enough
			UNION ALL
			SELECT w.id, b.product_id, round(b.share, 6), 3
			FROM who w JOIN home h ON h.customer_id = w.id
			JOIN %1$I.bestseller b ON b.server = $1 AND b.scope = 'store' AND b.scope_key = h.store
				AND b.place <= w.enough
			UNION ALL
			SELECT w.id, b.product_id, round(b.share, 6), CASE b.scope WHEN 'month' THEN 4 ELSE 5 END
			FROM who w JOIN %1$I.bestseller b ON b.server = $1 AND b.place <= w.enough
			WHERE b.scope = 'all' OR b.scope = 'month'
			  AND b.scope_key = extract(month FROM $3)::int::text)
		SELECT b.* FROM best b
		JOIN onec_internal.goods_to_offer($1, %1$L) o ON o.product_id = b.product_id$q$, source)
	USING server, customers, before, shop, onec.get('recommend.favorite_receipts', server)::int, n, short,
		bought;
END $$;
COMMENT ON FUNCTION onec_internal.bestsellers_instead(name, uuid[], uuid[], int[], timestamp, jsonb, name,
													  int) IS
	'Хиты продаж на случай, когда покупок мало (служебная)';

-- The shop's own shares of the categories, by money.
CREATE FUNCTION onec_internal.shop_category_shares(server name, source name) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	shares jsonb;
BEGIN
	EXECUTE format($q$
		SELECT coalesce(jsonb_object_agg(x.slug, x.share), '{}')
		FROM (SELECT coalesce(g.slug, '') AS slug,
					 round(sum(b.amount) / sum(sum(b.amount)) OVER (), 8) AS share
			  FROM %I.bestseller b LEFT JOIN onec_internal.goods_by_use($1) g ON g.product_id = b.product_id
			  WHERE b.server = $1 AND b.scope = 'all' GROUP BY 1) x$q$, source)
	INTO shares USING server;
	RETURN shares;
END $$;
COMMENT ON FUNCTION onec_internal.shop_category_shares(name, name) IS
	'Доли категорий в выручке магазина (служебная)';

-- The best n for each customer: first what goes with their purchases, then one kind of bestseller after the
-- other.
CREATE FUNCTION onec_internal.recommendations(server name, customers uuid[], n int, before timestamp,
											  source name)
	RETURNS TABLE (customer_id uuid, rank int, product_id uuid, score numeric, reason text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	popularity numeric := onec.get('recommend.popularity', server);
	shop jsonb := onec_internal.shop_category_shares(server, source);
BEGIN
	RETURN QUERY
		WITH buyer AS MATERIALIZED (SELECT b.* FROM onec_internal.buyers(server, customers, before, shop) b),
		book AS MATERIALIZED (
			SELECT onec_internal.offer_book_of(
				server, CASE WHEN customers IS NOT NULL THEN ARRAY(SELECT unnest(b.last) FROM buyer b) END,
				shop, source) AS it),
		together AS MATERIALIZED (
			SELECT b.customer_id, u.product_id, u.score, 1 AS kind
			FROM buyer b CROSS JOIN LATERAL onec_internal.best_offers(
				(SELECT k.it FROM book k), b.last, b.weights, b.barred, b.factors, popularity, n) o
			CROSS JOIN LATERAL unnest(o.goods, o.scores) u (product_id, score)),
		short AS MATERIALIZED (
			SELECT c.id, coalesce(b.goods, 0) AS goods, coalesce(b.barred, '{}') AS barred
			FROM (SELECT unnest(customers) AS id UNION SELECT b.customer_id FROM buyer b) c
			LEFT JOIN buyer b ON b.customer_id = c.id
			WHERE c.id NOT IN (SELECT t.customer_id FROM together t GROUP BY 1 HAVING count(*) >= n)),
		other AS (
			SELECT f.customer_id, f.product_id, f.score, f.kind
			FROM (SELECT array_agg(s.id) AS ids, array_agg(s.goods) AS goods FROM short s) a
			CROSS JOIN LATERAL onec_internal.bestsellers_instead(
				server, onec_internal.some_or_all(a.ids, (SELECT count(*) FROM buyer)), a.ids, a.goods,
				before, shop, source, n) f
			JOIN short s ON s.id = f.customer_id WHERE f.product_id <> ALL (s.barred)),
		once AS (
			SELECT DISTINCT ON (x.customer_id, x.product_id) x.*
			FROM (SELECT * FROM together UNION ALL SELECT * FROM other) x
			ORDER BY x.customer_id, x.product_id, x.kind, x.score DESC),
		ranked AS (
			SELECT c.*, row_number() OVER (PARTITION BY c.customer_id ORDER BY c.kind, c.score DESC,
										   c.product_id)::int AS rank FROM once c)
		SELECT r.customer_id, r.rank, r.product_id, r.score,
			   ('{bought_together,favourite_category,store,season,bestseller}'::text[])[r.kind]
		FROM ranked r WHERE r.rank <= n;
END $$;
COMMENT ON FUNCTION onec_internal.recommendations(name, uuid[], int, timestamp, name) IS
	'Рекомендации на указанное время (служебная)';

-- Whom a key means: whoever has a profile, and customers who have no card.
CREATE FUNCTION onec_internal.buyer_by_key(key text, INOUT server name, OUT customer uuid)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	u onec.site_user := onec_internal.person_by_key(key, server);
BEGIN
	IF u.user_id IS NOT NULL THEN
		server := u.server;
		customer := coalesce(u.customer_id, u.user_id);
		RETURN;
	END IF;
	server := onec_internal.server_meant(server);
	SELECT l.customer_id INTO customer
	FROM onec_internal.counted_lines(buyer_by_key.server, NULL, ARRAY[onec_internal.reference_uuid(key)]) l
	LIMIT 1;
END $$;
COMMENT ON FUNCTION onec_internal.buyer_by_key(text, name) IS
	'Покупатель по телефону, карте или контрагенту (служебная)';

CREATE FUNCTION onec.recommend(customer text, n int DEFAULT 10, server name DEFAULT NULL,
							   as_of date DEFAULT NULL)
	RETURNS TABLE (rank int, product_id uuid, name text, score numeric, reason text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	-- a visitor without a name has no history; a name that is not known has nothing at all
	SELECT r.rank, r.product_id, p.name, r.score, r.reason
	FROM onec_internal.buyer_by_key($1, CASE WHEN $1 IS NULL THEN onec_internal.server_meant($3)
											 ELSE $3 END) b
	CROSS JOIN LATERAL onec_internal.recommendations(b.server, ARRAY[coalesce(b.customer,
		'00000000-0000-0000-0000-000000000000'::uuid)], $2,
		coalesce($4::timestamp, onec.local_now(b.server)), 'onec') r
	LEFT JOIN onec.product p ON p.server = b.server AND p.product_id = r.product_id
	WHERE $1 IS NULL OR b.customer IS NOT NULL
	ORDER BY r.rank
$$;
COMMENT ON FUNCTION onec.recommend(text, int, name, date) IS
	'Что предложить покупателю (телефон, карта или контрагент; NULL — незнакомому): товары по порядку и '
	'причина: bought_together — '
	'берут вместе с купленным, favourite_category — хит любимой категории, store — хит его магазина, '
	'season — хит этого месяца, '
	'bestseller — хит продаж; оценки сравнимы только внутри одной причины';

CREATE TABLE onec.recommendation_feed (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	product_id uuid NOT NULL,
	rank int NOT NULL,
	score numeric NOT NULL,
	reason text NOT NULL,
	PRIMARY KEY (server, customer_id, product_id)
);
COMMENT ON TABLE onec.recommendation_feed IS
	'Рекомендации всем, кто что-нибудь купил, для сайта и рассылок; обновляет onec.refresh_recommendations';
COMMENT ON COLUMN onec.recommendation_feed.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.recommendation_feed.customer_id IS 'Покупатель';
COMMENT ON COLUMN onec.recommendation_feed.product_id IS 'Товар';
COMMENT ON COLUMN onec.recommendation_feed.rank IS 'Место';
COMMENT ON COLUMN onec.recommendation_feed.score IS 'Оценка; сравнима только внутри одной причины';
COMMENT ON COLUMN onec.recommendation_feed.reason IS
	'Причина: bought_together, favourite_category, store, season, bestseller';
SELECT pg_catalog.pg_extension_config_dump('onec.recommendation_feed', '');

CREATE FUNCTION onec.refresh_recommendations(server name DEFAULT NULL, as_of date DEFAULT NULL,
											 OUT rows_inserted bigint, OUT rows_updated bigint,
											 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	PERFORM onec_internal.must_write('refresh_recommendations');
	PERFORM onec_internal.lock_people(srv, false);
	CREATE TEMPORARY TABLE onec_feed ON COMMIT DROP AS
		SELECT srv AS server, r.customer_id, r.product_id, r.rank, r.score, r.reason
		FROM onec_internal.recommendations(srv, NULL, onec.get('recommend.feed_size', srv)::int,
										   coalesce(as_of, onec.local_now(srv)::date)::timestamp, 'onec') r;
	ANALYZE pg_temp.onec_feed;
	DELETE FROM onec.recommendation_feed f
	USING pg_temp.onec_feed n
	WHERE f.server = srv AND n.customer_id = f.customer_id AND n.product_id = f.product_id
	  AND ROW(f.*) IS DISTINCT FROM ROW(n.*);
	GET DIAGNOSTICS rows_updated = ROW_COUNT;
	DELETE FROM onec.recommendation_feed f
	WHERE f.server = srv AND NOT EXISTS (SELECT FROM pg_temp.onec_feed n
										 WHERE n.customer_id = f.customer_id AND n.product_id = f.product_id);
	GET DIAGNOSTICS rows_deleted = ROW_COUNT;
	INSERT INTO onec.recommendation_feed
	SELECT n.* FROM pg_temp.onec_feed n
	WHERE NOT EXISTS (SELECT FROM onec.recommendation_feed f
		WHERE f.server = srv AND f.customer_id = n.customer_id AND f.product_id = n.product_id);
	GET DIAGNOSTICS rows_inserted = ROW_COUNT;
	rows_inserted := rows_inserted - rows_updated;
	DROP TABLE pg_temp.onec_feed;
END $$;
COMMENT ON FUNCTION onec.refresh_recommendations(name, date) IS
	'Обновить recommendation_feed по покупкам до даты; неизменившиеся строки не записываются; '
	'сначала нужен onec.refresh_pairs';
REVOKE EXECUTE ON FUNCTION onec.refresh_recommendations(name, date) FROM PUBLIC;
-- Recommendations tried on the past: would they have offered what was bought then?

-- What can be said honestly of customers for whom only one of two ways hit (McNemar's test): below 1.96
-- standard errors the difference may be chance.
CREATE FUNCTION onec_internal.comparison_verdict(customers int, better int, worse int) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN customers < 30 THEN 'too few customers to compare with'
		WHEN better + worse < 10 OR abs(better - worse) < 1.96 * sqrt(better + worse) THEN 'no different from'
		WHEN better > worse THEN 'better than'
		ELSE 'worse than'
	END;
COMMENT ON FUNCTION onec_internal.comparison_verdict(int, int, int) IS
	'Вывод из сравнения двух способов (служебная)';

-- What is compared, as it would have been offered on the day: recommendations, the same ten bestsellers for
-- everyone, and bestsellers without what the customer has.  The last is the harder one: much of a hit rate
-- comes from leaving goods out.
CREATE FUNCTION onec_internal.collect_trial_offers(server name, cut timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.collect_pairs_and_bestsellers(server, cut);
	RAISE NOTICE 'pairs and bestsellers of the time before are counted';
	CREATE TEMPORARY TABLE onec_known
		ON COMMIT DROP AS SELECT * FROM onec_internal.goods_bought_by(server, NULL, cut);
	CREATE TEMPORARY TABLE onec_later ON COMMIT DROP AS
		SELECT l.customer_id, l.product_id
		FROM onec_internal.counted_lines(collect_trial_offers.server, NULL, NULL) l
		WHERE l.period >= cut AND l.amount > 0 AND l.product_id IS NOT NULL
		  AND l.customer_id IN (SELECT k.customer_id FROM pg_temp.onec_known k)
		  AND NOT EXISTS (SELECT FROM onec_internal.goods_by_use(collect_trial_offers.server) g
						  WHERE g.product_id = l.product_id AND g.excluded)
		EXCEPT SELECT k.customer_id, k.product_id FROM pg_temp.onec_known k WHERE NOT k.consumable;
	CREATE TEMPORARY TABLE onec_offer ON COMMIT DROP AS
		SELECT 'recommended' AS way, r.customer_id, r.product_id
		FROM onec_internal.recommendations(server, NULL, 10, cut, 'pg_temp') r;
	ANALYZE pg_temp.onec_known, pg_temp.onec_later;
	RAISE NOTICE 'recommendations of that day are made';
	INSERT INTO pg_temp.onec_offer
	WITH who AS (SELECT k.customer_id, count(*) AS n FROM pg_temp.onec_known k
				 WHERE k.customer_id IN (SELECT l.customer_id FROM pg_temp.onec_later l) GROUP BY 1)
	SELECT 'bestsellers', w.customer_id, b.product_id FROM who w
	JOIN pg_temp.bestseller b ON b.scope = 'all' AND b.place <= 10
	UNION ALL
	SELECT 'new bestsellers', x.customer_id, x.product_id
	FROM (SELECT w.customer_id, b.product_id,
				 row_number() OVER (PARTITION BY w.customer_id ORDER BY b.place) AS place
		  FROM who w JOIN pg_temp.bestseller b ON b.scope = 'all' AND b.place <= w.n + 10
		  WHERE NOT EXISTS (SELECT FROM pg_temp.onec_known o
			  WHERE o.customer_id = w.customer_id AND o.product_id = b.product_id AND NOT o.consumable)) x
	WHERE x.place <= 10;
	DROP TABLE pg_temp.product_pair, pg_temp.bestseller, pg_temp.onec_known;
	ANALYZE pg_temp.onec_offer;
END $$;
COMMENT ON FUNCTION onec_internal.collect_trial_offers(name, timestamp) IS
	'Что предложили бы в указанный день разные способы (служебная)';

CREATE FUNCTION onec.eval_recommend(server name, cut_date date, OUT customers int, OUT hits int,
									OUT hit_rate numeric,
									OUT bestseller_hits int, OUT bestseller_rate numeric,
									OUT new_bestseller_hits int, OUT new_bestseller_rate numeric,
									OUT verdict text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('eval_recommend');
	PERFORM onec_internal.collect_trial_offers(onec_internal.server_meant(server), cut_date::timestamp);
	WITH hit AS MATERIALIZED (
		SELECT DISTINCT o.way, o.customer_id FROM pg_temp.onec_offer o
		JOIN pg_temp.onec_later l ON l.customer_id = o.customer_id AND l.product_id = o.product_id),
	outcome AS (
		SELECT w.customer_id,
			   w.customer_id IN (SELECT h.customer_id FROM hit h WHERE h.way = 'recommended') AS ours,
			   w.customer_id IN (SELECT h.customer_id FROM hit h WHERE h.way = 'bestsellers') AS plain,
			   w.customer_id IN (SELECT h.customer_id FROM hit h WHERE h.way = 'new bestsellers') AS new
		FROM (SELECT DISTINCT l.customer_id FROM pg_temp.onec_later l) w)
	SELECT count(*), count(*) FILTER (WHERE o.ours), count(*) FILTER (WHERE o.plain),
		   count(*) FILTER (WHERE o.new),
		   format('%s the same ten bestsellers for everyone; %s bestsellers that the '
				  'customer has not bought yet',
			   onec_internal.comparison_verdict(count(*)::int,
												(count(*) FILTER (WHERE o.ours AND NOT o.plain))::int,
												(count(*) FILTER (WHERE o.plain AND NOT o.ours))::int),
			   onec_internal.comparison_verdict(count(*)::int,
												(count(*) FILTER (WHERE o.ours AND NOT o.new))::int,
												(count(*) FILTER (WHERE o.new AND NOT o.ours))::int))
	INTO customers, hits, bestseller_hits, new_bestseller_hits, verdict FROM outcome o;
	hit_rate := round(hits::numeric / nullif(customers, 0), 4);
	bestseller_rate := round(bestseller_hits::numeric / nullif(customers, 0), 4);
	new_bestseller_rate := round(new_bestseller_hits::numeric / nullif(customers, 0), 4);
	DROP TABLE pg_temp.onec_later, pg_temp.onec_offer;
END $$;
COMMENT ON FUNCTION onec.eval_recommend(name, date) IS
	'Проверка рекомендаций на прошлом: скольким из покупателей, купивших после даты новое для себя, оно '
	'было бы предложено в первой '
	'десятке; то же для десяти хитов продаж, одних на всех, и для хитов, которых у покупателя ещё нет; '
	'покупки после даты при составлении предложений не видны';
REVOKE EXECUTE ON FUNCTION onec.eval_recommend(name, date) FROM PUBLIC;
-- What is computed anew after a sync: for customers whose purchases have changed each time, of the whole shop
-- once a week.

CREATE TABLE onec_internal.touched_customer (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec_internal.touched_customer IS
	'Покупатели, чьи покупки изменились после пересчёта их профилей';
COMMENT ON COLUMN onec_internal.touched_customer.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.touched_customer.customer_id IS 'Покупатель (контрагент)';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.touched_customer', '');

CREATE TABLE onec_internal.profile_state (
	server name PRIMARY KEY,
	definitions text NOT NULL,
	day date NOT NULL,
	scored date
);
COMMENT ON TABLE onec_internal.profile_state IS
	'При каких настройках и справочниках и в какой день пересчитаны профили';
COMMENT ON COLUMN onec_internal.profile_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.profile_state.definitions IS
	'Свёртка настроек, категорий и магазинов: когда она другая, пересчитываются все';
COMMENT ON COLUMN onec_internal.profile_state.day IS
	'День последнего пересчёта: строки с датой позже станут покупками, когда она настанет';
COMMENT ON COLUMN onec_internal.profile_state.scored IS
	'На какой день расставлены баллы RFM; NULL — с тех пор пересчитаны все';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.profile_state', '');

CREATE TABLE onec_internal.unscored_customer (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec_internal.unscored_customer IS
	'Покупатели, чьи профили пересчитаны после расстановки баллов RFM';
COMMENT ON COLUMN onec_internal.unscored_customer.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.unscored_customer.customer_id IS 'Покупатель (контрагент)';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.unscored_customer', '');

-- All that profiles depend on besides the sales and the products bought.
CREATE FUNCTION onec_internal.definitions_digest(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT md5(string_agg(d.line, E'\n' ORDER BY d.line COLLATE "C")) FROM (
		SELECT 'setting ' || s.key || '=' || coalesce(onec.get(s.key, $1), '') FROM onec.setting s
		WHERE s.key ~ '^(affinity|season|outlook|rfm)\.' OR s.key = 'check_unit'
		UNION ALL SELECT ROW(w.excluded, w.organizations, w.counts_free)::text
		FROM onec_internal.shop_rules w WHERE w.server = $1
		UNION ALL SELECT 'category_map ' || m::text FROM onec.category_map m
		UNION ALL SELECT 'brand_map ' || m::text FROM onec.brand_map m
		UNION ALL SELECT 'rfm_segment ' || g::text FROM onec.rfm_segment g
		UNION ALL SELECT 'frequency_class ' || f::text FROM onec.frequency_class f
		UNION ALL SELECT 'category ' || c.category_id || ' ' || coalesce(c.name, '') FROM onec.category c
		WHERE c.server = $1
		UNION ALL SELECT 'folder ' || p.product_id || ' ' || coalesce(p.name, '') FROM onec.product p
		WHERE p.server = $1 AND p.is_folder
		UNION ALL SELECT 'store ' || t.store_id || ' ' || coalesce(t.name, '') FROM onec.store t
		WHERE t.server = $1) d (line)
$$;
COMMENT ON FUNCTION onec_internal.definitions_digest(name) IS
	'Свёртка всего, от чего зависят профили, кроме продаж и товаров (служебная)';

-- Whom the changes of a window of sales concern, as pg_temp.onec_change and pg_temp.onec_stage have them,
-- before they are written: whose a line will be, and whose it was.
CREATE FUNCTION onec_internal.changed_lines() RETURNS TABLE (buyer_id uuid, card_id uuid)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT onec_internal.buyer_id(s.attribution, onec_internal.person_of_line(
			   s.attribution, s.customer_id, s.card_id, s.recorder)), s.card_id
	FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
	UNION
	SELECT onec_internal.buyer_id(l.attribution, l.person_id), l.card_id
	FROM (SELECT c.server, c.register, c.recorder, c.recorder_type, c.line_no FROM pg_temp.onec_change c
		  WHERE c.here
		  UNION ALL
		  SELECT s.server, s.register, s.recorder, s.recorder_type, s.line_no
		  FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place WHERE NOT c.here) k
	JOIN onec_internal.sale_line l ON l.server = k.server AND l.register = k.register
		AND l.recorder = k.recorder
		AND l.recorder_type = k.recorder_type AND l.line_no = k.line_no;
END $$;
COMMENT ON FUNCTION onec_internal.changed_lines() IS 'Чьи строки продаж меняются окном (служебная)';

-- Note them, for their profiles and as users: each from when these are made for the first time, since before
-- everybody is new.
CREATE FUNCTION onec_internal.touch_customers_of_window(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = touch_customers_of_window.server
				   UNION ALL
				   SELECT FROM onec_internal.profile_state p
				   WHERE p.server = touch_customers_of_window.server) THEN
		RETURN;
	END IF;
	WITH line AS MATERIALIZED (SELECT * FROM onec_internal.changed_lines()),
	buyer AS MATERIALIZED (SELECT DISTINCT l.buyer_id AS id FROM line l),
	profile AS (
		INSERT INTO onec_internal.touched_customer SELECT p.server, b.id FROM onec_internal.profile_state p
		CROSS JOIN buyer b
		WHERE p.server = touch_customers_of_window.server AND b.id IS NOT NULL
		ON CONFLICT DO NOTHING)
	INSERT INTO onec_internal.touched_user
	SELECT p.server, u.id FROM onec_internal.people_state p CROSS JOIN (
		SELECT b.id FROM buyer b WHERE b.id IS NOT NULL
		UNION
		SELECT k.user_id FROM line l
		JOIN onec.customer_card k ON k.server = touch_customers_of_window.server AND k.card_id = l.card_id) u
	WHERE p.server = touch_customers_of_window.server
	ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION onec_internal.touch_customers_of_window(name) IS
	'Запомнить покупателей, которых касаются изменения окна (служебная)';

-- The same for products, and for the folders, categories, brands and shops by whose names tastes are called.
CREATE FUNCTION onec_internal.touch_buyers_of_products(server name, touches text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	of_line text := CASE
		WHEN 'buyers in stores' = ANY (touches)
			THEN 'l.store_id IN (SELECT r.number FROM onec_internal.reference r
								JOIN pg_temp.onec_change c ON c.store_id = r.id)'
		WHEN 'buyers of categories' = ANY (touches) THEN 'l.product_id IN (SELECT p.product_id
															  FROM onec.product p JOIN pg_temp.onec_change c
																  ON c.category_id = p.category_id
			WHERE p.server = $1)'
		WHEN 'buyers of brands' = ANY (touches) THEN 'l.product_id IN (SELECT p.product_id
			FROM onec.product p WHERE p.server = $1 AND p.brand_id IN (
				-- products may have been here before their brand
				SELECT coalesce(c.brand_id, s.brand_id) FROM pg_temp.onec_change c
				LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place))'
		ELSE 'l.product_id IN (SELECT c.product_id FROM pg_temp.onec_change c
			UNION SELECT p.product_id FROM onec.product p
			JOIN pg_temp.onec_change c ON c.product_id = p.parent_id WHERE p.server = $1)' END;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.profile_state p
			   WHERE p.server = touch_buyers_of_products.server) THEN
		EXECUTE 'INSERT INTO onec_internal.touched_customer
			SELECT DISTINCT $1, onec_internal.buyer_id(l.attribution, l.person_id)
			FROM onec_internal.sale_line l
			WHERE l.server = onec_internal.number_of_server($1)
			  AND onec_internal.buyer_id(l.attribution, l.person_id) IS NOT NULL AND ' || of_line || '
			ON CONFLICT DO NOTHING' USING server;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.touch_buyers_of_products(name, text[]) IS
	'Запомнить покупателей того, что изменилось: товаров, групп, категорий, магазинов (служебная)';

-- Whose profiles have to be computed again; NULL: everybody's.
CREATE FUNCTION onec_internal.stale_customers(server name) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH stale AS (
		SELECT t.customer_id FROM onec_internal.touched_customer t WHERE t.server = $1
		UNION
		-- dated ahead then: moments that are known before the lines are looked for, through their index
		SELECT l.customer_id FROM onec_internal.counted_lines_between(
			$1, (SELECT s.day + 1 FROM onec_internal.profile_state s WHERE s.server = $1),
			(SELECT w.today + 1 FROM onec_internal.shop_rules w WHERE w.server = $1)) l
		WHERE l.customer_id IS NOT NULL
		UNION
		SELECT c.user_id FROM onec.customer_card c
		WHERE c.server = $1 AND NOT EXISTS (SELECT FROM onec.customer_profile p
											WHERE p.server = $1 AND p.customer_id = c.user_id)
		UNION
		SELECT p.customer_id FROM onec.customer_profile p
		WHERE p.server = $1 AND p.lines = 0
		  AND NOT EXISTS (SELECT FROM onec.customer_card c WHERE c.server = $1 AND c.user_id = p.customer_id))
	SELECT onec_internal.some_or_all(ARRAY(SELECT s.customer_id FROM stale s),
									 (SELECT count(*) FROM onec.customer_profile p WHERE p.server = $1))
$$;
COMMENT ON FUNCTION onec_internal.stale_customers(name) IS
	'Чьи профили пора пересчитать; NULL — все (служебная)';

-- Scores of today, of what has changed since the last ones: nothing where nothing has, not even the day.
CREATE FUNCTION onec_internal.score_after_sync(server name, scored_on date, today date, collected boolean,
											   OUT rows_inserted bigint, OUT rows_updated bigint,
											   OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	changed uuid[] := ARRAY(SELECT u.customer_id FROM onec_internal.unscored_customer u
							WHERE u.server = score_after_sync.server);
	measures text := format('onec_internal.rfm_measures($1, $2, NULL, %L)', collected);
BEGIN
	IF scored_on = today AND changed = '{}' THEN
		rows_inserted := 0;
		rows_updated := 0;
		rows_deleted := 0;
		RETURN;
	ELSIF scored_on <= today THEN
		PERFORM onec_internal.collect_measures(server, scored_on, today, changed);
		measures := 'pg_temp.onec_measure';
	END IF;
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_rfm(server, today, measures) w;
	IF measures = 'pg_temp.onec_measure' THEN
		DROP TABLE pg_temp.onec_measure;
	END IF;
	DELETE FROM onec_internal.unscored_customer u WHERE u.server = score_after_sync.server;
END $$;
COMMENT ON FUNCTION onec_internal.score_after_sync(name, date, date, boolean) IS
	'Расставить баллы RFM после синхронизации; collected — собраны истории всех (служебная)';

-- A run of a part leaves the scores alone: they compare everybody with everybody, on a day, and the next
-- whole run makes them.
CREATE FUNCTION onec_internal.refresh_after_sync(server name, everybody boolean DEFAULT true,
												 scores boolean DEFAULT true,
												 OUT rows_inserted bigint, OUT rows_updated bigint,
												 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defined text := onec_internal.definitions_digest(server);
	today date := onec.local_now(server)::date;
	scored_on date;
	customers uuid[];
	b onec.outlook_baseline;
	w record;
BEGIN
	IF NOT everybody THEN
		SELECT s.scored, CASE WHEN s.definitions = defined
							  THEN onec_internal.stale_customers(s.server) END INTO scored_on, customers
		FROM onec_internal.profile_state s WHERE s.server = refresh_after_sync.server;
	END IF;
	rows_inserted := 0;
	rows_updated := 0;
	rows_deleted := 0;
	IF customers IS DISTINCT FROM '{}' THEN
		PERFORM onec_internal.lock_people(server, false);
		b := onec_internal.collect_histories(server, customers, today);
		FOR w IN SELECT * FROM onec_internal.write_outlook(b, customers, today)
				 UNION ALL SELECT * FROM onec_internal.write_profiles(server, customers, today) LOOP
			rows_inserted := rows_inserted + w.rows_inserted;
			rows_updated := rows_updated + w.rows_updated;
			rows_deleted := rows_deleted + w.rows_deleted;
		END LOOP;
		INSERT INTO onec_internal.unscored_customer SELECT refresh_after_sync.server, c
		FROM unnest(customers) c ON CONFLICT DO NOTHING;
		IF customers IS NULL THEN
			scored_on := NULL;
		END IF;
	END IF;
	IF scores THEN
		PERFORM onec_internal.lock_people(server, false);
		SELECT * INTO w FROM onec_internal.score_after_sync(server, scored_on, today, customers IS NULL);
		rows_inserted := rows_inserted + w.rows_inserted;
		rows_updated := rows_updated + w.rows_updated;
		rows_deleted := rows_deleted + w.rows_deleted;
		scored_on := today;
	END IF;
	IF customers IS DISTINCT FROM '{}' THEN
		DROP TABLE pg_temp.onec_history;
	END IF;
	DELETE FROM onec_internal.touched_customer t WHERE t.server = refresh_after_sync.server;
	IF customers IS NULL THEN
		INSERT INTO onec_internal.profile_state AS s VALUES (server, defined, today, scored_on)
		ON CONFLICT ON CONSTRAINT profile_state_pkey DO UPDATE SET definitions = excluded.definitions
		WHERE s.definitions <> excluded.definitions;
	END IF;
	UPDATE onec_internal.profile_state s SET day = today, scored = scored_on
	WHERE s.server = refresh_after_sync.server AND (s.day, s.scored) IS DISTINCT FROM (today, scored_on);
END $$;
COMMENT ON FUNCTION onec_internal.refresh_after_sync(name, boolean, boolean) IS
	'Обновить после синхронизации профили, ожидания (everybody — всех, иначе тех, чьи покупки изменились) и, '
	'если scores, RFM (служебная)';

-- Each part stands alone: what fails is told, the rest is done.
CREATE FUNCTION onec.refresh_models(server name DEFAULT NULL)
	RETURNS TABLE (part text, status text, seconds numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	started timestamptz;
	call text;
	code text;
	detail text;
	context text;
BEGIN
	PERFORM onec_internal.must_write('refresh_models');
	FOREACH part IN ARRAY ARRAY['fit_clv', 'refresh_value', 'refresh_pairs', 'refresh_recommendations'] LOOP
		started := clock_timestamp();
		call := format('SELECT * FROM onec.%I(%L)', part, srv);
		BEGIN
			EXECUTE call;
			status := CASE part WHEN 'fit_clv' THEN
						  (SELECT m.status FROM onec.clv_model m WHERE m.server = srv
						   ORDER BY m.as_of DESC, m.model LIMIT 1) ELSE 'ok' END;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
			status := 'failed: ' || onec_internal.message_without_values(code, SQLERRM, detail, context);
			RAISE WARNING USING MESSAGE = format('%s %s', part, status), ERRCODE = code;
		END;
		seconds := round(extract(epoch FROM clock_timestamp() - started)::numeric, 1);
		IF status NOT LIKE 'failed:%' THEN
			RAISE NOTICE USING MESSAGE = format('%s: %s, %s s', part, status, seconds);
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.refresh_models(name) IS
	'Обновить модель покупок (CLV) и оценки по ней, пары товаров и рекомендации; '
	'так делает недельное задание';
REVOKE EXECUTE ON FUNCTION onec.refresh_models(name) FROM PUBLIC;
-- From the properties that a base publishes to fields.
--
-- A field is the first property of its list that $metadata shows.  Field lists are data: a base with names of
-- its own needs a row here, not new code.

CREATE TABLE onec.field_source (
	target text NOT NULL,
	ordinal int NOT NULL,
	field text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('ref', 'type', 'text', 'numeric', 'timestamp', 'boolean',
									   'bigint', 'rows')),
	candidates text[] NOT NULL,
	is_key boolean NOT NULL DEFAULT false,
	setting text,
	setting_pattern text NOT NULL DEFAULT '',
	PRIMARY KEY (target, field)
);
COMMENT ON TABLE onec.field_source IS 'Из каких свойств 1С берутся поля: первое найденное из перечня';
COMMENT ON COLUMN onec.field_source.target IS
	'Таблица на английском: onec.target; у полей строк табличной части — с именем её '
	'поля: customer_order.lines';
COMMENT ON COLUMN onec.field_source.ordinal IS 'Порядок';
COMMENT ON COLUMN onec.field_source.field IS 'Поле';
COMMENT ON COLUMN onec.field_source.kind IS 'Вид значения; rows — табличная часть';
COMMENT ON COLUMN onec.field_source.candidates IS 'Свойства 1С, первое опубликованное выигрывает';
COMMENT ON COLUMN onec.field_source.is_key IS 'Без него таблицы быть не может';
COMMENT ON COLUMN onec.field_source.setting IS 'Настройка, чей перечень свойств идёт впереди';
COMMENT ON COLUMN onec.field_source.setting_pattern IS 'Какие свойства из её перечня: регулярное выражение';

INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key) VALUES
	('discount_card', 1, 'card_id', 'ref', '{Ref_Key}', true),
	('discount_card', 2, 'code', 'text', '{Code}', false),
	('discount_card', 3, 'description', 'text', '{Description}', false),
	('discount_card', 4, 'barcode', 'text', '{КодКартыШтрихкод,Штрихкод}', false),
	('discount_card', 5, 'magnetic_code', 'text', '{КодКартыМагнитный,МагнитныйКод}', false),
	('discount_card', 6, 'owner_id', 'ref', '{ВладелецКарты_Key,ВладелецКарты,Контрагент_Key}', false),
	('discount_card', 7, 'kind_id', 'ref', '{ВидДисконтнойКарты_Key,Owner_Key}', false),
	('discount_card', 8, 'is_invalid', 'boolean', '{КартаНедействительна}', false),
	('discount_card', 9, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('counterparty', 1, 'customer_id', 'ref', '{Ref_Key}', true),
	('counterparty', 2, 'code', 'text', '{Code}', false),
	('counterparty', 3, 'name', 'text', '{Description}', false),
	('counterparty', 4, 'full_name', 'text', '{НаименованиеПолное}', false),
	('counterparty', 5, 'parent_id', 'ref', '{Parent_Key}', false),
	('counterparty', 6, 'is_folder', 'boolean', '{IsFolder}', false),
	('counterparty', 7, 'phone', 'text', '{НомерТелефонаДляПоиска}', false),
	('counterparty', 8, 'email', 'text', '{АдресЭПДляПоиска}', false),
	('counterparty', 9, 'birth_date', 'timestamp', '{ДатаРождения}', false),
	('counterparty', 10, 'created_at', 'timestamp', '{ДатаСоздания}', false),
	('counterparty', 11, 'gender', 'text', '{Пол}', false),
	('counterparty', 12, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('counterparty_contact', 1, 'customer_id', 'ref', '{Ref_Key}', true),
	('counterparty_contact', 2, 'line_no', 'bigint', '{LineNumber}', true),
	('counterparty_contact', 3, 'kind', 'text', '{Тип}', false),
	('counterparty_contact', 4, 'presentation', 'text', '{Представление}', false),
	('counterparty_contact', 5, 'phone', 'text', '{НомерТелефона}', false),
	('counterparty_contact', 6, 'email', 'text', '{АдресЭП}', false),
	('product', 1, 'product_id', 'ref', '{Ref_Key}', true),
	('product', 2, 'code', 'text', '{Code}', false),
	('product', 3, 'article', 'text', '{Артикул}', false),
	('product', 4, 'name', 'text', '{Description}', false),
	('product', 5, 'parent_id', 'ref', '{Parent_Key}', false),
	('product', 6, 'is_folder', 'boolean', '{IsFolder}', false),
	('product', 7, 'category_id', 'ref', '{КатегорияНоменклатуры_Key,ВидНоменклатуры_Key}', false),
	('product', 8, 'brand_id', 'ref',
	 '{Бренд_Key,Производитель_Key,Изготовитель_Key,Марка_Key,ТорговаяМарка_Key}', false),
	('product', 9, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('brand', 1, 'brand_id', 'ref', '{Ref_Key}', true),
	('brand', 2, 'code', 'text', '{Code}', false),
	('brand', 3, 'name', 'text', '{Description}', false),
	('brand', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('category', 1, 'category_id', 'ref', '{Ref_Key}', true),
	('category', 2, 'code', 'text', '{Code}', false),
	('category', 3, 'name', 'text', '{Description}', false),
	('category', 4, 'parent_id', 'ref', '{Parent_Key}', false),
	('category', 5, 'is_folder', 'boolean', '{IsFolder}', false),
	('category', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('store', 1, 'store_id', 'ref', '{Ref_Key}', true),
	('store', 2, 'code', 'text', '{Code}', false),
	('store', 3, 'name', 'text', '{Description}', false),
	('store', 4, 'parent_id', 'ref', '{Parent_Key}', false),
	('store', 5, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('sale_line', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('sale_line', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('sale_line', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('sale_line', 4, 'period', 'timestamp', '{Period}', true),
	('sale_line', 5, 'active', 'boolean', '{Active}', false),
	('sale_line', 6, 'customer_id', 'ref', '{Контрагент_Key,Покупатель_Key,Контрагент}', false),
	('sale_line', 7, 'card_id', 'ref', '{ДисконтнаяКарта_Key}', false),
	('sale_line', 8, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', false),
	('sale_line', 9, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('sale_line', 10, 'store_id', 'ref', '{Склад_Key,СтруктурнаяЕдиница_Key,Магазин_Key}', false),
	('sale_line', 11, 'organization_id', 'ref', '{Организация_Key}', false),
	('sale_line', 12, 'document_id', 'ref', '{Документ,Документ_Key}', false),
	('sale_line', 13, 'document_type', 'type', '{Документ_Type}', false),
	('sale_line', 14, 'quantity', 'numeric', '{Количество}', false),
	('sale_line', 15, 'amount', 'numeric', '{Сумма}', true),
	('sale_line', 16, 'cost', 'numeric', '{Себестоимость}', false),
	('card_sale_line', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('card_sale_line', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('card_sale_line', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('card_sale_line', 4, 'period', 'timestamp', '{Period}', true),
	('card_sale_line', 5, 'active', 'boolean', '{Active}', false),
	('card_sale_line', 6, 'card_id', 'ref', '{ДисконтнаяКарта_Key,ДисконтнаяКарта,Карта_Key,Карта}', false),
	('card_sale_line', 7, 'owner_id', 'ref', '{ВладелецКарты_Key}', false),
	('card_sale_line', 8, 'product_id', 'ref', '{Номенклатура_Key}', false),
	('card_sale_line', 9, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('card_sale_line', 10, 'quantity', 'numeric', '{Количество}', false),
	('card_sale_line', 11, 'amount', 'numeric', '{Сумма}', true),
	('card_sale_line', 12, 'discount', 'numeric', '{Скидка}', false),
	('receipt', 1, 'document_id', 'ref', '{Ref,Ref_Key}', true),
	('receipt', 2, 'document_type', 'type', '{Ref_Type,Type}', false),
	('receipt', 3, 'date', 'timestamp', '{Date}', true),
	('receipt', 4, 'number', 'text', '{Number}', false),
	('receipt', 5, 'posted', 'boolean', '{Posted}', false),
	('receipt', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('receipt', 7, 'amount', 'numeric', '{Сумма,СуммаДокумента}', false),
	('receipt', 8, 'receipt_number', 'text', '{НомерЧека}', false),
	('receipt', 9, 'customer_id', 'ref', '{Покупатель_Key,Контрагент_Key}', false),
	('receipt', 10, 'till_id', 'ref', '{КассаККМ_Key}', false),
	('receipt', 11, 'organization_id', 'ref', '{Организация_Key}', false),
	('loyalty_movement', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('loyalty_movement', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('loyalty_movement', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('loyalty_movement', 4, 'period', 'timestamp', '{Period}', true),
	('loyalty_movement', 5, 'active', 'boolean', '{Active}', false),
	('loyalty_movement', 6, 'kind', 'text', '{RecordType}', false),
	('loyalty_movement', 7, 'card_id', 'ref', '{БонуснаяКарта_Key,ДисконтнаяКарта_Key}', false),
	('loyalty_movement', 8, 'granted_on', 'timestamp', '{ДатаПервоначальногоНачисления}', false),
	('loyalty_movement', 9, 'accrued', 'numeric', '{Начислено}', false),
	('loyalty_movement', 10, 'spent', 'numeric', '{КСписанию}', false),
	('loyalty_lot', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('loyalty_lot', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('loyalty_lot', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('loyalty_lot', 4, 'period', 'timestamp', '{Period}', true),
	('loyalty_lot', 5, 'active', 'boolean', '{Active}', false),
	('loyalty_lot', 6, 'card_id', 'ref', '{БонуснаяКарта_Key,ДисконтнаяКарта_Key}', false),
	('loyalty_lot', 7, 'owner_id', 'ref', '{ВладелецКарты_Key}', false),
	('loyalty_lot', 8, 'amount', 'numeric', '{Сумма}', false),
	('customer_order', 1, 'order_id', 'ref', '{Ref_Key}', true),
	('customer_order', 2, 'number', 'text', '{Number}', false),
	('customer_order', 3, 'date', 'timestamp', '{Date}', true),
	('customer_order', 4, 'posted', 'boolean', '{Posted}', false),
	('customer_order', 5, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('customer_order', 6, 'customer_id', 'ref', '{Контрагент_Key,Контрагент}', false),
	('customer_order', 7, 'state_id', 'ref', '{СостояниеЗаказа_Key,СостояниеЗаказа}', false),
	('customer_order', 8, 'outcome', 'text', '{ВариантЗавершения}', false),
	('customer_order', 9, 'ship_at', 'timestamp', '{ДатаОтгрузки}', false),
	('customer_order', 10, 'store_id', 'ref',
	 '{СтруктурнаяЕдиницаПродажи_Key,СтруктурнаяЕдиницаРезерв_Key,Склад_Key}', false),
	('customer_order', 11, 'organization_id', 'ref', '{Организация_Key}', false),
	('customer_order', 12, 'amount', 'numeric', '{СуммаДокумента}', false),
	('customer_order', 13, 'lines', 'rows', '{Запасы,Товары}', false),
	('customer_order.lines', 1, 'line_no', 'bigint', '{LineNumber}', true),
	('customer_order.lines', 2, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', false),
	('customer_order.lines', 3, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('customer_order.lines', 4, 'quantity', 'numeric', '{Количество}', false),
	('customer_order.lines', 5, 'price', 'numeric', '{Цена}', false),
	('customer_order.lines', 6, 'amount', 'numeric', '{Всего,Сумма}', false);

-- Where to look for a field: the setting of the shop goes before the list of the table.
CREATE FUNCTION onec_internal.field_candidates(server name, f onec.field_source) RETURNS text[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN f.setting IS NOT NULL THEN
		ARRAY(SELECT c FROM unnest(onec.get(f.setting, $1)::text[]) c WHERE c ~ f.setting_pattern)
			ELSE '{}' END || f.candidates
$$;
COMMENT ON FUNCTION onec_internal.field_candidates(name, onec.field_source) IS
	'Свойства, в которых ищется поле, по порядку (служебная)';

-- The columns that a foreign table of "target" gets from the properties of a set.
CREATE FUNCTION onec_internal.resolved_fields(server name, target text, entity_set text)
	RETURNS TABLE (ordinal int, field text, property text, edm_type text, pg_type text, is_key boolean)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH published AS MATERIALIZED (SELECT * FROM onec.properties($1, $3))
	SELECT f.ordinal, f.field, p.property, p.edm_type, p.pg_type, f.is_key
	FROM onec.field_source f
	LEFT JOIN LATERAL (
		SELECT q.property, q.edm_type, q.pg_type
		FROM unnest(onec_internal.field_candidates($1, f)) WITH ORDINALITY c (name, n)
		JOIN published q ON q.property = c.name
		ORDER BY c.n LIMIT 1) p ON true
	WHERE f.target = $2
	ORDER BY f.ordinal
$$;
COMMENT ON FUNCTION onec_internal.resolved_fields(name, text, text) IS
	'Поля таблицы и найденные для них свойства набора (служебная)';
-- Foreign tables that setup makes and makes again: what is there already is altered where it differs, so that
-- options, rights, columns and views that somebody has added stay.

-- A column as it is to be; "options" as pg_attribute has them, "title" is its comment.
CREATE TYPE onec_internal.made_column AS (name text, type text, options text[], title text);
COMMENT ON TYPE onec_internal.made_column IS 'Столбец внешней таблицы, каким он должен быть (служебное)';

-- The comment of a column: what it is in 1C, with its type there.
CREATE FUNCTION onec_internal.column_remark(made onec_internal.made_column) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ($1).title
		|| coalesce(' (' || substring(array_to_string(($1).options, ' ') FROM 'edm_type=(\w+)') || ')', '');
COMMENT ON FUNCTION onec_internal.column_remark(onec_internal.made_column) IS
	'Комментарий столбца: свойство 1С и его тип (служебная)';

-- Is the relation read through a view, of rows that are published within others?
CREATE FUNCTION onec_internal.is_nested(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_class c
				   WHERE c.oid = to_regclass(format('%I.%I', server, target)) AND c.relkind = 'v');
END $$;
COMMENT ON FUNCTION onec_internal.is_nested(name, text) IS
	'Читается ли таблица из вложенных наборов записей (служебная)';

-- The relation of this name, if there is one: made by setup, which its comment says, as a foreign table of
-- this server, or a view over one.  Whatever else stands there is somebody's.
CREATE FUNCTION onec_internal.made_relation(server name, relation text, title text) RETURNS regclass
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found regclass := to_regclass(format('%I.%I', server, relation));
BEGIN
	IF found IS NOT NULL
		AND (NOT starts_with(coalesce(obj_description(found, 'pg_class'), ''), title || ': ') OR NOT EXISTS (
		SELECT FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
		WHERE s.srvname = server
		  AND t.ftrelid = CASE WHEN onec_internal.is_nested(server, relation)
							   THEN to_regclass(format('%I.%I', server, relation || '_set'))
								   ELSE found END)) THEN
		RAISE duplicate_table USING
			MESSAGE = format('%I.%I was not made by onec.setup, and is left alone', server, relation),
			DETAIL = format('The tables of the shop are made in schema %I.', server),
			HINT = 'Give it another name or schema, or the server another name, and run onec.setup again.';
	END IF;
	RETURN found;
END $$;
COMMENT ON FUNCTION onec_internal.made_relation(name, text, text) IS
	'Созданное onec.setup под этим именем; чужое — ошибка (служебная)';

-- Whether the foreign table has a column: setup makes those that 1C publishes, and may have to keep others,
-- which read NULL.
CREATE FUNCTION onec_internal.publishes_field(server name, target text, field text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_attribute a
				   WHERE a.attrelid = to_regclass(format('%I.%I', server, target)) AND a.attname = field
				   AND a.attnum > 0 AND NOT a.attisdropped
				   AND 'missing_property=null' = ANY (a.attfdwoptions) IS NOT TRUE);
COMMENT ON FUNCTION onec_internal.publishes_field(name, text, text) IS
	'Есть ли столбец у внешней таблицы (служебная)';

-- Something has to be made anew, and cannot be.
CREATE FUNCTION onec_internal.refuse_making_anew(server name, relation text, dependent text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE dependent_objects_still_exist USING
		MESSAGE = format('%I.%I has to be made anew, and other objects depend on it', server, relation),
			DETAIL = dependent,
		HINT = 'Drop them, run onec.setup, and make them again.';
END $$;
COMMENT ON FUNCTION onec_internal.refuse_making_anew(name, text, text) IS
	'Ошибка: зависящее мешает создать заново (служебная)';

-- Take away what setup has made under a name, if it is there.  What others depend on stays where it
-- "may_stay"; the answer says so.
CREATE FUNCTION onec_internal.drop_made_by_setup(server name, relation text, title text,
												 may_stay boolean DEFAULT true) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found regclass := onec_internal.made_relation(server, relation, title);
	dependent text;
BEGIN
	IF found IS NULL THEN
		RETURN '{}';
	END IF;
	EXECUTE format('DROP %s %s',
				   CASE WHEN onec_internal.is_nested(server, relation) THEN 'VIEW' ELSE 'FOREIGN TABLE' END,
				   found);
	RETURN ARRAY[relation || ': dropped'];
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS dependent = PG_EXCEPTION_DETAIL;
	IF NOT may_stay THEN
		PERFORM onec_internal.refuse_making_anew(server, relation, dependent);
	END IF;
	RETURN ARRAY[format('%s: kept, though published no more: %s', relation, dependent)];
END $$;
COMMENT ON FUNCTION onec_internal.drop_made_by_setup(name, text, text, boolean) IS
	'Убрать созданное onec.setup, если от него ничто не зависит (служебная)';

-- Options, as the catalog has them, in the words of CREATE; or in those of ALTER, as against what there is.
CREATE FUNCTION onec_internal.option_list(wanted text[], present text[] DEFAULT NULL) RETURNS text
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(concat_ws(' ', CASE WHEN $2 IS NULL THEN NULL WHEN x.was IS NULL THEN 'ADD'
										  ELSE 'SET' END,
								quote_ident(x.name),
								quote_literal(substr(x.option, length(x.name) + 2))), ', ')
	FROM (SELECT o.option, split_part(o.option, '=', 1) AS name,
				 (SELECT p FROM unnest($2) p
				  WHERE split_part(p, '=', 1) = split_part(o.option, '=', 1)) AS was
		  FROM unnest($1) o (option)) x
	WHERE x.option IS DISTINCT FROM x.was
$$;
COMMENT ON FUNCTION onec_internal.option_list(text[], text[]) IS
	'Параметры для CREATE или отличия для ALTER (служебная)';

-- One column as it is to be; what that changes, or NULL.  Columns that others have given options of their own
-- keep them.
CREATE FUNCTION onec_internal.make_column(tab regclass, c onec_internal.made_column) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was record;
	options text;
	change text;
BEGIN
	SELECT a.atttypid, coalesce(a.attfdwoptions, '{}') AS options,
		   (SELECT o.option_value FROM pg_options_to_table(a.attfdwoptions) o
			WHERE o.option_name = 'property') AS property,
		   'missing_property=null' = ANY (a.attfdwoptions) AS lost
	INTO was FROM pg_attribute a
		WHERE a.attrelid = tab AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped;
	IF was.atttypid IS NULL THEN
		EXECUTE format('ALTER FOREIGN TABLE %s ADD COLUMN %I %s OPTIONS (%s)', tab, c.name, c.type,
					   onec_internal.option_list(c.options));
		change := format('%s: added', c.name);
	ELSE
		IF was.lost THEN
			EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (DROP missing_property)',
						   tab, c.name);
			change := format('%s: published again', c.name);
		END IF;
		options := onec_internal.option_list(c.options, was.options);
		IF options IS NOT NULL THEN
			EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (%s)', tab, c.name, options);
			change := coalesce(change, format('%s: %s in place of %s', c.name, c.title, was.property));
		END IF;
		IF was.atttypid <> c.type::regtype THEN
			EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I TYPE %s', tab, c.name, c.type);
			change := format('%s: of type %s', c.name, c.type);
		END IF;
	END IF;
	IF change IS NOT NULL THEN
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tab, c.name, onec_internal.column_remark(c));
	END IF;
	RETURN change;
END $$;
COMMENT ON FUNCTION onec_internal.make_column(regclass, onec_internal.made_column) IS
	'Создать или изменить столбец внешней таблицы (служебная)';

-- A column whose property the base has no more: dropped, or, where others depend on it, kept to read NULL.
CREATE FUNCTION onec_internal.lose_column(tab regclass, name text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	dependent text;
BEGIN
	EXECUTE format('ALTER FOREIGN TABLE %s DROP COLUMN %I', tab, name);
	RETURN format('%s: dropped', name);
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS dependent = PG_EXCEPTION_DETAIL;
	IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = tab AND a.attname = lose_column.name
				 AND 'missing_property=null' = ANY (a.attfdwoptions)) THEN
		RETURN format('%s: kept, reads NULL: %s', name, dependent);
	END IF;
	EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (ADD missing_property ''null'')', tab,
				   name);
	RETURN format('%s: reads NULL from now on: %s', name, dependent);
END $$;
COMMENT ON FUNCTION onec_internal.lose_column(regclass, text) IS
	'Убрать столбец, свойства которого в базе больше нет (служебная)';

-- A foreign table with these options and columns; of others it loses those that setup has made, whose comment
-- is their property.  Returns what has been changed, "{}" for nothing.
CREATE FUNCTION onec_internal.make_table(server name, relation text, title text, source text, options text[],
										 columns onec_internal.made_column[]) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.made_relation(server, relation, title);
	changes text[] := '{}';
	altered text;
	dependent text;
	c onec_internal.made_column;
BEGIN
	IF onec_internal.is_nested(server, relation) THEN
		PERFORM onec_internal.drop_made_by_setup(server, relation, title, false),
			onec_internal.drop_made_by_setup(server, relation || '_set', onec_internal.title_of_sets());
		tab := NULL;
	END IF;
	IF tab IS NULL THEN
		EXECUTE format('CREATE FOREIGN TABLE %I.%I (%s) SERVER %I OPTIONS (%s)', server, relation,
			(SELECT string_agg(format('%I %s OPTIONS (%s)', u.name, u.type,
									  onec_internal.option_list(u.options)), ', ') FROM unnest(columns) u),
			server, onec_internal.option_list(options));
		tab := format('%I.%I', server, relation)::regclass;
		FOREACH c IN ARRAY columns LOOP
			EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tab, c.name, onec_internal.column_remark(c));
		END LOOP;
		changes := ARRAY[relation || ': created'];
	ELSE
		altered := (SELECT onec_internal.option_list(options, t.ftoptions) FROM pg_foreign_table t
					WHERE t.ftrelid = tab);
		IF altered IS NOT NULL THEN
			EXECUTE format('ALTER FOREIGN TABLE %s OPTIONS (%s)', tab, altered);
			changes := ARRAY[relation || ': ' || source];
		END IF;
		changes := changes || ARRAY(SELECT x FROM unnest(columns) u, onec_internal.make_column(tab, u) x
									WHERE x IS NOT NULL)
			|| ARRAY(SELECT onec_internal.lose_column(tab, a.attname) FROM pg_attribute a
					 WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped
					   AND 'property=' || split_part(col_description(tab, a.attnum), ' (', 1)
						   = ANY (a.attfdwoptions)
					   AND a.attname <> ALL (ARRAY(SELECT u.name FROM unnest(columns) u)) ORDER BY a.attnum);
	END IF;
	IF changes <> '{}' THEN
		EXECUTE format('COMMENT ON FOREIGN TABLE %s IS %L', tab, title || ': ' || source);
	END IF;
	RETURN changes;
EXCEPTION WHEN feature_not_supported THEN
	-- the type of a column that a view uses
	GET STACKED DIAGNOSTICS dependent = PG_EXCEPTION_DETAIL;
	PERFORM onec_internal.refuse_making_anew(server, relation, dependent);
END $$;
COMMENT ON FUNCTION onec_internal.make_table(name, text, text, text, text[], onec_internal.made_column[]) IS
	'Создать внешнюю таблицу или привести её к нужному виду; возвращает, что изменилось (служебная)';

-- The title of the tables whose rows a view takes apart.
CREATE FUNCTION onec_internal.title_of_sets() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'Регистраторы с наборами записей';
COMMENT ON FUNCTION onec_internal.title_of_sets() IS
	'Название таблиц с вложенными наборами записей (служебная)';
-- Registers whose rows are published only inside of their recorders, as the member RecordSet: a view makes
-- rows of them.
--
-- 1C takes no condition on what is nested, so such a table is read whole each time it is read at all.

-- The value of the first member that there is, else of what stands beside the rows, as the type of the local
-- column.
CREATE FUNCTION onec_internal.nested_value_expression(candidates text[], kind text,
													  otherwise text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE $2 WHEN 'ref' THEN 'onec_internal.reference_uuid(%s)'
						  WHEN 'type' THEN $q$replace(%s, 'StandardODATA.', '')$q$
						  WHEN 'timestamp' THEN $q$nullif(%s, '0001-01-01T00:00:00')::timestamp$q$
						  WHEN 'text' THEN '%s'
						  ELSE $q$nullif(%s, '')::$q$ || $2 END,
				  'coalesce(' || string_agg(format('r.value ->> %L', c), ', ' ORDER BY n)
					  || coalesce(', ' || $3, '') || ')')
	FROM unnest($1) WITH ORDINALITY u (c, n)
$$;
COMMENT ON FUNCTION onec_internal.nested_value_expression(text[], text, text) IS
	'Выражение: значение поля вложенной записи (служебная)';

-- The rows of a set of recorders, taken apart.  Returns what changed; "status" otherwise says why it cannot
-- be done.
CREATE FUNCTION onec_internal.create_nested_table(server name, target text, entity_set text, OUT status text,
												  OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	beside onec_internal.made_column[];
BEGIN
	IF NOT EXISTS (SELECT FROM onec.properties(server, entity_set) p WHERE p.property = 'RecordSet') THEN
		status := 'no property RecordSet';
		RETURN;
	END IF;
	-- who has made the rows is said once for all of them
	SELECT array_agg(ROW(r.field, 'text', ARRAY['property=' || r.property],
						 r.property)::onec_internal.made_column ORDER BY r.ordinal) INTO beside
	FROM onec_internal.resolved_fields(server, target, entity_set) r
	WHERE r.field IN ('recorder', 'recorder_type') AND r.property IS NOT NULL;
	IF beside IS NULL THEN
		status := 'no property for recorder';
		RETURN;
	END IF;
	IF NOT onec_internal.is_nested(server, target) THEN
		PERFORM onec_internal.drop_made_by_setup(server, target,
												 (onec_internal.target_named(target)).title, false);
	END IF;
	changes := onec_internal.make_table(server, target || '_set', onec_internal.title_of_sets(), entity_set,
										ARRAY['entity_set=' || entity_set, 'key=Recorder'],
		beside || ('rows', 'jsonb', '{property=RecordSet}', 'RecordSet')::onec_internal.made_column);
	changes := onec_internal.make_nested_view(server, target, entity_set) || changes;
END $$;
COMMENT ON FUNCTION onec_internal.create_nested_table(name, text, text) IS
	'Создать таблицу по вложенным наборам записей или изменить её (служебная)';

-- The view over them; what that changes.
CREATE FUNCTION onec_internal.make_nested_view(server name, target text, entity_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	title text := (onec_internal.target_named(target)).title;
	was regclass := onec_internal.made_relation(server, target, title);
	before text := pg_get_viewdef(was);
	statement text;
BEGIN
	statement := format('CREATE OR REPLACE VIEW %I.%I AS SELECT %s FROM %I.%I s CROSS JOIN LATERAL '
						'jsonb_array_elements(s.rows) r (value)',
		server, target,
		(SELECT string_agg(onec_internal.nested_value_expression(onec_internal.field_candidates(server, f),
			f.kind, 's.' || quote_ident(a.attname)) || format(' AS %I', f.field),
										   ', ' ORDER BY f.ordinal)
						 FROM onec.field_source f LEFT JOIN pg_attribute a ON a.attname = f.field
							AND a.attrelid = to_regclass(format('%I.%I', server, f.target || '_set'))
							AND a.attnum > 0 AND NOT a.attisdropped
						 WHERE f.target = make_nested_view.target),
		server, target || '_set');
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN invalid_table_definition THEN
		-- fields have been added or taken away in between
		PERFORM onec_internal.drop_made_by_setup(server, target, title, false);
		EXECUTE statement;
	END;
	EXECUTE format('COMMENT ON VIEW %I.%I IS %L', server, target,
				   title || ': ' || entity_set || ', RecordSet');
	RETURN CASE WHEN was IS NULL THEN ARRAY[target || ': created']
				WHEN pg_get_viewdef(to_regclass(format('%I.%I', server, target))) <> before
					THEN ARRAY[target || ': altered'] ELSE '{}' END;
END $$;
COMMENT ON FUNCTION onec_internal.make_nested_view(name, text, text) IS
	'Создать представление вложенных записей или изменить его (служебная)';
-- onec.setup: foreign tables in English, one schema per server.

UPDATE onec.field_source SET setting = 'filter_fields.card_sales'
WHERE (target, field) = ('card_sale_line', 'card_id');
-- a card is looked for where a card is, an owner where an owner is
UPDATE onec.field_source
SET setting = 'filter_fields.loyalty',
	setting_pattern = CASE field WHEN 'card_id' THEN 'Карта' ELSE '^(?!.*Карта)' END
WHERE (target, field) IN (('loyalty_movement', 'card_id'), ('loyalty_lot', 'card_id'),
						  ('loyalty_lot', 'owner_id'));

-- The columns of a foreign table of "target" as they are to be, from the properties of a set.
CREATE FUNCTION onec_internal.columns_to_make(server name, target text,
											  entity_set text) RETURNS onec_internal.made_column[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(ROW(r.field, r.pg_type, ARRAY['property=' || r.property, 'edm_type=' || r.edm_type],
						 r.property)::onec_internal.made_column ORDER BY r.ordinal)
	FROM onec_internal.resolved_fields($1, $2, $3) r WHERE r.property IS NOT NULL
$$;
COMMENT ON FUNCTION onec_internal.columns_to_make(name, text, text) IS
	'Столбцы внешней таблицы по свойствам набора (служебная)';

-- The foreign table of a set whose rows are published as such.  Returns what changed; "status" otherwise says
-- why there is none.
CREATE FUNCTION onec_internal.create_target_table(server name, target text, entity_set text, key text,
												  OUT status text, OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	status := (SELECT 'no property for ' || string_agg(r.field, ', ' ORDER BY r.ordinal)
			   FROM onec_internal.resolved_fields(server, target, entity_set) r
			   WHERE r.property IS NULL AND r.is_key);
	IF status IS NULL THEN
		changes := onec_internal.make_table(server, target,
											(onec_internal.target_named(target)).title, entity_set,
			ARRAY['entity_set=' || entity_set, 'key=' || key],
			onec_internal.columns_to_make(server, target, entity_set));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.create_target_table(name, text, text, text) IS
	'Создать внешнюю таблицу для набора 1С или изменить её (служебная)';

-- The sums of 1C itself, if the register of sales has them.
CREATE FUNCTION onec_internal.create_turnover_table(server name, target text, rows_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	title constant text := 'Обороты продаж за период';
	register text := regexp_replace(rows_set, '_RecordType$', '');
	amount text := (SELECT p.property || 'Turnover'
					FROM onec_internal.resolved_fields(server, target, rows_set) p WHERE p.field = 'amount');
BEGIN
	IF register = rows_set OR amount IS NULL THEN
		RETURN onec_internal.drop_made_by_setup(server, 'sale_turnover', title);
	END IF;
	RETURN onec_internal.make_table(server, 'sale_turnover', title, register || '/Turnovers',
									ARRAY['entity_set=' || register, 'function=Turnovers'],
		ARRAY[('amount', 'numeric', ARRAY['property=' || amount, 'edm_type=Double'], amount),
			  ('startperiod_arg', 'timestamp', '{argument=StartPeriod}', 'Начало периода'),
			  ('endperiod_arg', 'timestamp', '{argument=EndPeriod}',
			   'Конец периода, включительно')]::onec_internal.made_column[]);
END $$;
COMMENT ON FUNCTION onec_internal.create_turnover_table(name, text, text) IS
	'Создать таблицу оборотов продаж (служебная)';

-- The balances of 1C itself, if the register of bonus points has them; a register of turnovers refuses when
-- it is asked.
CREATE FUNCTION onec_internal.create_balance_table(server name, target text, rows_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	title constant text := 'Остатки баллов';
	register text := regexp_replace(rows_set, '_RecordType$', '');
	columns onec_internal.made_column[];
BEGIN
	SELECT array_agg(ROW(p.field, v.type, ARRAY['property=' || p.property || v.suffix],
						 v.title)::onec_internal.made_column ORDER BY p.field) INTO columns
	FROM onec_internal.resolved_fields(server, target, rows_set) p
	JOIN (VALUES ('accrued', 'numeric', 'Balance', 'Начислено, остаток'), ('card_id', 'uuid', '', 'Карта'),
				 ('spent', 'numeric', 'Balance', 'К списанию, остаток')) v (field, type, suffix, title)
					 ON v.field = p.field
	WHERE p.property IS NOT NULL;
	IF register = rows_set OR cardinality(columns) IS DISTINCT FROM 3 THEN
		RETURN onec_internal.drop_made_by_setup(server, 'loyalty_now', title);
	END IF;
	RETURN onec_internal.make_table(server, 'loyalty_now', title, register || '/Balance',
									ARRAY['entity_set=' || register, 'function=Balance'],
		columns || ('period_arg', 'timestamp', '{argument=Period}',
					'На какой момент')::onec_internal.made_column);
END $$;
COMMENT ON FUNCTION onec_internal.create_balance_table(name, text, text) IS
	'Создать таблицу остатков баллов (служебная)';

-- Take away the table of a target, whichever of its two shapes it has.
CREATE FUNCTION onec_internal.drop_target_table(server name, target text) RETURNS text[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.drop_made_by_setup($1, $2, (onec_internal.target_named($2)).title)
		|| onec_internal.drop_made_by_setup($1, $2 || '_set', onec_internal.title_of_sets())
$$;
COMMENT ON FUNCTION onec_internal.drop_target_table(name, text) IS
	'Убрать внешнюю таблицу магазина (служебная)';

-- The table of one target, as the base has it now: its set is "published", or "nested" within another, or
-- neither.
CREATE FUNCTION onec_internal.set_up_target(server name, target text, published text, key text, nested text,
											OUT status text, OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sums text := (onec_internal.target_named(target)).sums;
	w record;
BEGIN
	IF nested IS NOT NULL THEN
		SELECT * INTO w FROM onec_internal.create_nested_table(server, target, nested);
	ELSIF published IS NOT NULL THEN
		SELECT * INTO w FROM onec_internal.create_target_table(server, target, published, key);
	ELSE
		SELECT 'not published' AS status, onec_internal.drop_target_table(server, target) AS changes INTO w;
	END IF;
	changes := w.changes;
	IF w.status IS NULL AND nested IS NULL AND sums = 'turnovers' THEN
		changes := changes || onec_internal.create_turnover_table(server, target, published);
	ELSIF w.status IS NULL AND nested IS NULL AND sums = 'balance' THEN
		changes := changes || onec_internal.create_balance_table(server, target, published);
	END IF;
	status := coalesce(w.status, CASE WHEN w.changes[1] LIKE '%: created' THEN 'created'
									  WHEN ': kept, ' = ALL (SELECT substring(c FROM ': kept, ')
															 FROM unnest(changes) c) THEN 'kept'
																 ELSE 'changed' END);
	changes := nullif(array_remove(changes, target || ': created'), '{}');
END $$;
COMMENT ON FUNCTION onec_internal.set_up_target(name, text, text, text, text) IS
	'Привести внешнюю таблицу магазина к тому, что публикует база (служебная)';

CREATE FUNCTION onec.setup(server name DEFAULT NULL)
	RETURNS TABLE (target text, entity_set text, status text, columns int, missing text[], changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	t record;
BEGIN
	PERFORM onec_internal.must_write('setup');
	PERFORM onec_internal.remember_base(srv);
	IF to_regnamespace(quote_ident(srv)) IS NULL THEN
		EXECUTE format('CREATE SCHEMA %I', srv);
		EXECUTE format('COMMENT ON SCHEMA %I IS %L', srv, 'Магазин в базе 1С ' || srv);
	END IF;
	FOR t IN
		SELECT d.target, d.wanted, s.entity_set, s.key, n.entity_set AS nested
		FROM (SELECT k.target, onec_internal.entity_set_of(srv, k.target) AS wanted
			  FROM onec_internal.sync_steps(srv, NULL) k WHERE k.source = 'set') d
		LEFT JOIN onec.entity_sets(srv) s ON s.entity_set = d.wanted
		LEFT JOIN onec.entity_sets(srv) n ON s.entity_set IS NULL AND d.wanted ~ '_RecordType$'
			AND n.entity_set = left(d.wanted, -11)
		ORDER BY 1
	LOOP
		target := t.target;
		entity_set := coalesce(t.nested, t.wanted);
		SELECT * INTO status, changes
		FROM onec_internal.set_up_target(srv, t.target, t.entity_set, t.key, t.nested);
		SELECT count(*) FILTER (WHERE p.published),
			   array_agg(p.field ORDER BY p.ordinal) FILTER (WHERE NOT p.published)
		INTO columns, missing
		FROM (SELECT f.field, f.ordinal, onec_internal.publishes_field(srv, f.target, f.field) AS published
			  FROM onec.field_source f
			  WHERE f.target = t.target AND status <> 'not published') p;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.setup(name) IS
	'Создать схему с именем сервера и в ней внешние таблицы магазина с английскими именами; показывает, что '
	'изменилось. Повторять можно: '
	'параметры, права, свои столбцы и зависящие представления остаются';
REVOKE EXECUTE ON FUNCTION onec.setup(name) FROM PUBLIC;
-- A .env file of the site as settings of the shop.

-- Which variable means what: a setting, an option of the server, or the token of the user mapping.
CREATE TABLE onec.env_name (
	name text PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('setting', 'list', 'server', 'mapping', 'ignored')),
	target text NOT NULL
);
COMMENT ON TABLE onec.env_name IS 'Переменные окружения прежних решений и что им соответствует';
COMMENT ON COLUMN onec.env_name.name IS 'Переменная';
COMMENT ON COLUMN onec.env_name.kind IS
	'Вид: настройка, настройка-перечень, параметр сервера, сопоставление пользователя, не нужна';
COMMENT ON COLUMN onec.env_name.target IS 'Настройка или параметр';
INSERT INTO onec.env_name (name, kind, target) VALUES
	('ONEC_API_URL', 'server', 'url'),
	('ONEC_API_TOKEN', 'mapping', 'token'),
	('ONEC_DISCOUNT_CARDS_ENDPOINT', 'setting', 'endpoint.discount_card'),
	('ONEC_SALES_ENDPOINT', 'setting', 'endpoint.sale_line'),
	('ONEC_SALES_BY_CARD_ENDPOINT', 'setting', 'endpoint.card_sale_line'),
	('ONEC_CUSTOMERS_ENDPOINT', 'setting', 'endpoint.counterparty'),
	('ONEC_PRODUCTS_ENDPOINT', 'setting', 'endpoint.product'),
	('ONEC_SALES_BY_CARD_FILTER_FIELDS', 'list', 'filter_fields.card_sales'),
	('ONEC_LOYALTY_ENABLED', 'setting', 'loyalty.enabled'),
	('ONEC_LOYALTY_ENDPOINT', 'setting', 'endpoint.loyalty_movement'),
	('ONEC_LOYALTY_ACCRUAL_ENDPOINT', 'setting', 'endpoint.loyalty_lot'),
	('ONEC_LOYALTY_FILTER_FIELDS', 'list', 'filter_fields.loyalty'),
	('CUSTOMER_SYNC_ENABLED', 'setting', 'sync.enabled'),
	('CUSTOMER_SYNC_INTERVAL_HOURS', 'setting', 'sync.interval_hours'),
	('CUSTOMER_SYNC_NIGHTLY_ENABLED', 'setting', 'nightly.enabled'),
	('CUSTOMER_SYNC_NIGHTLY_HOUR', 'setting', 'nightly.hour'),
	('CUSTOMER_SYNC_NIGHTLY_MINUTE', 'setting', 'nightly.minute'),
	('CUSTOMER_SYNC_NIGHTLY_PURCHASE_DAYS', 'setting', 'nightly.purchase_days'),
	('CUSTOMER_SYNC_NIGHTLY_CARDS_LIMIT', 'setting', 'nightly.cards_limit'),
	('CUSTOMER_SYNC_CARDS_LIMIT', 'setting', 'sync.cards_limit'),
	('CUSTOMER_SYNC_PURCHASE_DAYS', 'setting', 'sync.purchase_days'),
	('CUSTOMER_SYNC_RUN_ON_START', 'ignored', 'a job of pg_cron has no start'),
	('ONEC_CONNECT_TIMEOUT', 'server', 'connect_timeout'),
	('ONEC_READ_TIMEOUT', 'server', 'request_timeout');

-- Lines "NAME=value": export before it, quotes around it, comments behind it.
CREATE FUNCTION onec_internal.env_lines(env text) RETURNS TABLE (line int, name text, value text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT l.n::int, m[1],
		   CASE WHEN m[2] ~ '^"'
				THEN replace(replace(substring(m[2] FROM '^"((?:[^"\\]|\\.)*)"'), '\"', '"'), '\\', '\')
				WHEN m[2] ~ '^''' THEN substring(m[2] FROM '^''([^'']*)''')
				ELSE btrim(regexp_replace(m[2], '\s+#.*$', '')) END
	FROM regexp_split_to_table($1, '\r?\n') WITH ORDINALITY l (text, n),
		 regexp_matches(l.text, '^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$') m
$$;
COMMENT ON FUNCTION onec_internal.env_lines(text) IS 'Строки файла .env (служебная)';

CREATE FUNCTION onec_internal.set_server_option(server name, option text, value text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = server) THEN
		EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER onec_fdw OPTIONS (%I %L)', server,
					   option, value);
	ELSE
		EXECUTE format('ALTER SERVER %I OPTIONS (%s %I %L)', server,
			CASE WHEN EXISTS (SELECT FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o
							  WHERE s.srvname = server AND o.option_name = option) THEN 'SET'
								  ELSE 'ADD' END, option, value);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.set_server_option(name, text, text) IS
	'Задать параметр сервера (служебная)';

CREATE FUNCTION onec_internal.set_login_token(server name, token text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER %I', server);
	EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (token %L)', server, token);
END $$;
COMMENT ON FUNCTION onec_internal.set_login_token(name, text) IS
	'Записать токен в сопоставление пользователя (служебная)';

CREATE FUNCTION onec_internal.apply_env_variable(server name, name text, value text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e onec.env_name;
BEGIN
	SELECT * INTO e FROM onec.env_name t WHERE t.name = apply_env_variable.name;
	CASE coalesce(e.kind, '')
		WHEN '' THEN RETURN 'unknown';
		WHEN 'ignored' THEN RETURN 'not needed: ' || e.target;
		WHEN 'server' THEN PERFORM onec_internal.set_server_option(server, e.target, value);
		WHEN 'mapping' THEN PERFORM onec_internal.set_login_token(server, value);
		WHEN 'list' THEN PERFORM onec.set(e.target, '{' || regexp_replace(value, '\s', '', 'g')
										  || '}', server);
		ELSE PERFORM onec.set(e.target, ltrim(value, '/'), server);
	END CASE;
	RETURN CASE e.kind WHEN 'server' THEN 'server option ' || e.target WHEN 'mapping' THEN 'user mapping'
				ELSE 'setting ' || e.target END;
EXCEPTION WHEN invalid_parameter_value OR fdw_invalid_attribute_value OR fdw_invalid_option_name THEN
	RETURN 'refused: ' || SQLERRM;
END $$;
COMMENT ON FUNCTION onec_internal.apply_env_variable(name, text, text) IS
	'Применить одну переменную окружения (служебная)';

CREATE FUNCTION onec.import_env(env text, server name DEFAULT NULL)
	RETURNS TABLE (line int, name text, result text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := coalesce(import_env.server, onec_internal.server_meant(NULL));
	v record;
BEGIN
	-- the address first: without a server there is nothing to put the rest into
	FOR v IN SELECT l.* FROM onec_internal.env_lines(env) l ORDER BY l.name <> 'ONEC_API_URL', l.line LOOP
		line := v.line;
		name := v.name;
		result := CASE WHEN coalesce(v.value, '') = '' THEN 'empty, left as it is'
					   ELSE onec_internal.apply_env_variable(srv, v.name, v.value) END;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.import_env(text, name) IS
	'Взять настройки из файла .env сайта; токен уходит в сопоставление пользователя, '
	'неизвестные имена перечисляются';
REVOKE EXECUTE ON FUNCTION onec.import_env(text, name) FROM PUBLIC;
-- onec.diagnose: what works with a base, what does not, and what to do, each with the statement to run.

CREATE FUNCTION onec_internal.try_statement(statement text, OUT value text, OUT error text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	code text;
	detail text;
	context text;
BEGIN
	EXECUTE statement INTO value;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, error = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
	context = PG_EXCEPTION_CONTEXT;
	error := onec_internal.message_without_values(code, error, detail, context);
END $$;
COMMENT ON FUNCTION onec_internal.try_statement(text) IS
	'Выполнить запрос и вернуть значение или ошибку (служебная)';

-- Requests of this statement to the set of a table.
CREATE FUNCTION onec_internal.requests_of_table(server name, tab regclass) RETURNS TABLE (url text,
	status int, error text)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.url, r.status, r.error FROM onec.last_requests() r
	WHERE r.server = requests_of_table.server AND r.at >= statement_timestamp()
		AND starts_with(r.url, (SELECT o.option_value
								FROM pg_foreign_table f, pg_options_to_table(f.ftoptions) o
								WHERE f.ftrelid = tab AND o.option_name = 'entity_set') || '?') $$;
COMMENT ON FUNCTION onec_internal.requests_of_table(name, regclass) IS
	'Запросы этой команды к набору таблицы (служебная)';

-- The statement that gives an option of a server a value, whether it has one now or not.
CREATE FUNCTION onec_internal.option_statement(server name, option text, value text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('ALTER SERVER %I OPTIONS (%s %I %L);', server, CASE WHEN EXISTS (
		SELECT FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o
		WHERE s.srvname = server AND o.option_name = option)
		THEN 'SET' ELSE 'ADD' END, option, value) $$;
COMMENT ON FUNCTION onec_internal.option_statement(name, text, text) IS
	'Команда, задающая параметр сервера (служебная)';

-- Whether 1C takes an order without a word and does not follow it, which would lose rows between pages:
-- "newest" is what it gave as the last date.  Rows that lie by date begin with the oldest in both orders.
CREATE FUNCTION onec_internal.base_ignores_order(tab text, date_column text, newest timestamp) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	oldest timestamp;
	other text;
BEGIN
	SELECT value::timestamp INTO oldest FROM onec_internal.try_statement(
		format('SELECT %1$I FROM %2$s WHERE %1$I IS NOT NULL ORDER BY %1$I LIMIT 1', date_column, tab));
	IF oldest > newest THEN
		RETURN true;
	END IF;
	SELECT value INTO other
	FROM onec_internal.try_statement(format('SELECT %1$I FROM %2$s WHERE %1$I %3$s %4$L::timestamp LIMIT 1',
											date_column, tab,
		CASE WHEN oldest = newest THEN '<>' ELSE '<' END, oldest));
	RETURN other IS NOT NULL;
END $$;
COMMENT ON FUNCTION onec_internal.base_ignores_order(text, text, timestamp) IS
	'Принимает ли база порядок, не соблюдая его (служебная)';

-- One entity set: how many rows, whether conditions and order are taken, what fields were not found.
CREATE FUNCTION onec_internal.diagnose_target(server name, target text)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := format('%I.%I', server, target);
	date_column text := onec_internal.date_column(target);
	missing text;
	t record;
BEGIN
	SELECT string_agg(f.field, ', ' ORDER BY f.ordinal) FILTER (WHERE a.attname IS NULL) INTO missing
	FROM onec.field_source f
	LEFT JOIN pg_attribute a ON a.attrelid = tab::regclass AND a.attname = f.field AND NOT a.attisdropped
	WHERE f.target = diagnose_target.target;
	SELECT * INTO t FROM onec_internal.try_statement(format('SELECT count(*) FROM %s', tab));
	RETURN QUERY SELECT target || ': rows', CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
		coalesce(t.value, t.error),
		CASE WHEN t.error IS NOT NULL THEN 'Дайте пользователю 1С право чтения этого объекта' END;
	IF t.error IS NOT NULL THEN
		RETURN;
	END IF;
	IF missing IS NOT NULL THEN
		RETURN QUERY SELECT target || ': fields', 'warning', 'no property for ' || missing,
			'Добавьте имя свойства в onec.field_source и повторите onec.setup, если '
			'оно есть под другим именем'::text;
	END IF;
	IF date_column IS NOT NULL THEN
		SELECT * INTO t
		FROM onec_internal.try_statement(format('SELECT %1$I FROM %2$s WHERE %1$I IS NOT NULL '
												'ORDER BY %1$I DESC LIMIT 1', date_column, tab));
		RETURN QUERY SELECT target || ': newest', CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no rows'), NULL::text;
		-- where the rows were sorted here, there is nothing to find out
		IF EXISTS (SELECT FROM onec_internal.requests_of_table(server, tab) r
				   WHERE r.status = 200 AND r.url ~ '[$]orderby=[^&]* desc')
			AND onec_internal.base_ignores_order(tab, date_column, t.value::timestamp) THEN
			RETURN QUERY SELECT target || ': order', 'failed',
				'1C takes the order and gives rows as they lie'::text,
				onec_internal.option_statement(diagnose_target.server, 'push_order', 'off');
		END IF;
		RETURN QUERY
			SELECT target || ': conditions and order',
				   CASE WHEN bool_or(r.status <> 200) THEN 'warning' ELSE 'ok' END,
				   coalesce('refused: ' || string_agg(DISTINCT left(r.error, 120), '; ')
							FILTER (WHERE r.status <> 200), 'accepted'),
				   CASE WHEN bool_or(r.status <> 200)
						THEN onec_internal.option_statement(diagnose_target.server, 'push_order', 'off') END
			FROM onec_internal.requests_of_table(diagnose_target.server, tab) r;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_target(name, text) IS 'Проверить один набор 1С (служебная)';

-- Shares that tell whether the shop's habits are those that the sync supposes; telephones and owners are only
-- counted.
CREATE FUNCTION onec_internal.diagnose_shop(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	IF to_regclass(format('%I.discount_card', server)) IS NOT NULL THEN
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT round(100.0 * count(onec.normalize_phone(c.barcode)) / nullif(count(*), 0), 1) || '' '
			'%%'' FROM (SELECT barcode FROM %I.discount_card LIMIT 1000) c', server));
		RETURN QUERY SELECT 'cards with a telephone as barcode'::text,
			CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no cards'), NULL::text;
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT round(100.0 * count(c.owner_id) / nullif(count(*), 0), 1) || '' %%'' FROM (SELECT '
			'owner_id FROM %I.discount_card LIMIT 1000) c', server));
		RETURN QUERY SELECT 'cards with an owner'::text,
			CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no cards'), NULL::text;
	END IF;
	IF to_regclass(format('%I.sale_line', server)) IS NOT NULL THEN
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT round(100.0 * count(*) FILTER (WHERE s.customer_id IS NULL) / nullif(count(*), 0),
						  1) || '' %%''
			 FROM (SELECT customer_id FROM %I.sale_line
				   WHERE period >= %L::timestamp) s', server, onec.local_now(server)::date - 30));
		RETURN QUERY SELECT 'anonymous sales of 30 days'::text,
			CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no sales'), NULL::text;
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT count(*) FROM %I.sale_line WHERE period > %L::timestamp', server,
			onec.local_now(server) + interval '1 hour'));
		RETURN QUERY SELECT 'sales in the future'::text,
			CASE WHEN t.error IS NOT NULL THEN 'failed' WHEN t.value <> '0' THEN 'warning' ELSE 'ok' END,
			coalesce(t.value, t.error),
			CASE WHEN t.value <> '0' THEN 'Проверьте параметр timezone сервера и часы 1С' END;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_shop(name) IS
	'Проверить, похож ли магазин на ожидаемый (служебная)';

-- Whether 1C finds a text by its letters in the other case: the wrapper drops such rows, but tells how many
-- came.
CREATE FUNCTION onec_internal.diagnose_case(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
	other text;
	found bigint;
BEGIN
	IF to_regclass(format('%I.product', server)) IS NULL THEN
		RETURN;
	END IF;
	SELECT * INTO t
	FROM onec_internal.try_statement(format('SELECT max(name) FROM (SELECT name FROM %I.product LIMIT 200) p '
											'WHERE upper(name) <> lower(name)', server));
	IF t.value IS NULL THEN
		RETURN;
	END IF;
	other := CASE WHEN upper(t.value) <> t.value THEN upper(t.value) ELSE lower(t.value) END;
	SELECT * INTO t
	FROM onec_internal.try_statement(format('SELECT count(*) FROM %I.product WHERE name = %L',
											server, other));
	SELECT r.rows INTO found FROM onec_internal.recent_readings() r ORDER BY r.number DESC LIMIT 1;
	RETURN QUERY SELECT 'text without case'::text, CASE WHEN t.error IS NOT NULL THEN 'failed' ELSE 'ok' END,
		coalesce(t.error, CASE WHEN found > 0 THEN '1C ignores case'
							   ELSE '1C does not find a text by other case' END),
		CASE WHEN found > 0 THEN onec_internal.option_statement(server, 'ignores_case', 'on') END;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_case(name) IS
	'Проверить, различает ли база регистр букв (служебная)';

-- Whether the recorder of a sale can be asked for by cast(): tried with the option on, which is then as it
-- was.
CREATE FUNCTION onec_internal.diagnose_composite(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := format('%I.sale_line', server);
	recorder text;
	recorder_type text;
	found text;
BEGIN
	IF to_regclass(tab) IS NULL OR NOT EXISTS (
		SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(tab) AND a.attname = 'recorder'
			AND a.attfdwoptions @> '{edm_type=Composite}') THEN
		RETURN;
	END IF;
	IF current_setting('transaction_read_only')::boolean THEN
		RETURN QUERY SELECT 'values of several types'::text, 'warning'::text,
			'not tried: it takes a transaction that may write'::text,
			CASE WHEN pg_is_in_recovery() THEN 'Запустите onec.diagnose на основном сервере' END;
		RETURN;
	END IF;
	BEGIN
		EXECUTE format('SELECT recorder::text, recorder_type FROM %s WHERE recorder IS NOT NULL LIMIT 1',
					   tab) INTO recorder, recorder_type;
		EXECUTE format('ALTER FOREIGN TABLE %s OPTIONS (ADD push_composite ''on'')', tab);
		EXECUTE format('SELECT count(*) FROM %s WHERE recorder::text IS NOT NULL AND recorder = '
					   '%L AND recorder_type = %L', tab, recorder, recorder_type) INTO found;
		RAISE EXCEPTION USING ERRCODE = 'OC001', MESSAGE = coalesce(found, '0');
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		found := SQLERRM;
	WHEN OTHERS THEN
		found := '0';
	END;
	RETURN QUERY SELECT 'values of several types'::text, 'ok'::text,
		CASE WHEN found <> '0' THEN '1C finds them by cast()' ELSE '1C does not find them by cast()' END,
		CASE WHEN found <> '0' THEN onec_internal.option_statement(server, 'push_composite', 'on') END;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_composite(name) IS
	'Проверить, ищет ли база по значениям составного типа (служебная)';

CREATE FUNCTION onec.diagnose(server name DEFAULT NULL)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	zone text := (SELECT s.timezone FROM onec_internal.live_servers s WHERE s.server = srv);
	t record;
	v record;
BEGIN
	SELECT * INTO t
	FROM onec_internal.try_statement(format('SELECT count(*) FROM onec.entity_sets(%L)', srv));
	RETURN QUERY SELECT 'connection and metadata'::text,
		CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
		coalesce(t.value || ' entity sets', t.error),
		CASE WHEN t.error IS NOT NULL
			 THEN 'Проверьте адрес, логин и пароль: ALTER SERVER, ALTER USER MAPPING' END;
	IF t.error IS NOT NULL THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT 'time zone'::text, CASE WHEN zone IS NULL THEN 'warning' ELSE 'ok' END,
		coalesce(zone, 'not set, that of the session is used: ' || current_setting('TimeZone')),
		CASE WHEN zone IS NULL
			 THEN format('ALTER SERVER %I OPTIONS (ADD timezone ''Europe/Moscow'');', srv) END;
	FOR v IN SELECT k.target FROM onec_internal.sync_steps(srv, NULL) k WHERE k.source = 'set' ORDER BY 1 LOOP
		IF to_regclass(format('%I.%I', srv, v.target)) IS NULL THEN
			RETURN QUERY SELECT v.target, 'warning',
				onec_internal.entity_set_of(srv, v.target) || ' is not published, or onec.setup was not run',
				format('SELECT * FROM onec.setup(%L);', srv);
		ELSE
			RETURN QUERY SELECT d.* FROM onec_internal.diagnose_target(srv, v.target) d;
		END IF;
	END LOOP;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_case(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_composite(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_shop(srv) d;
	-- a standby looks, too, but what it finds it cannot remember
	IF NOT current_setting('transaction_read_only')::boolean THEN
		PERFORM onec.remember_refusals(srv);
	END IF;
END $$;
COMMENT ON FUNCTION onec.diagnose(name) IS
	'Проверить базу 1С: связь, права, наборы, поля, условия и порядок, часовой пояс, доли '
	'телефонов и владельцев; с советом';
REVOKE EXECUTE ON FUNCTION onec.diagnose(name) FROM PUBLIC;
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
		WHERE c.relkind = 'r' AND c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
		  AND s.pages > 0 AND (c.reltuples < 0 OR abs(s.pages - c.relpages) > c.relpages / 10.0)
	LOOP
		EXECUTE format('ANALYZE (SKIP_LOCKED) %s', tab);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.analyze_what_changed() IS
	'Обновить статистику планировщика таблиц, которые изменились больше чем на десятую (служебная)';
-- The account of syncs: runs, their steps, what has been read completely, what is in doubt; and how people
-- look at it.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('sync.max_minutes', 'int', '240', NULL, 0, 10080,
	 'Сколько минут может длиться запуск по расписанию; следующий продолжит с того же '
	 'места. 0 — сколько угодно'),
	('sync.suspicious_share', 'numeric', '0.2', NULL, 0, 1,
	 'Если исчезла такая доля строк окна (и не меньше 50), удаление доказывается и '
	 'счётом 1С, и вторым чтением');

CREATE TABLE onec.sync_run (
	server name NOT NULL,
	run_id bigint GENERATED ALWAYS AS IDENTITY,
	started_at timestamptz NOT NULL,
	finished_at timestamptz,
	status text NOT NULL CHECK (status IN
		('running', 'ok', 'incomplete', 'partial', 'failed', 'skipped (busy)', 'skipped (login)',
		 'interrupted')),
	pid int NOT NULL,
	backend_start timestamptz,
	days int,
	message text,
	size int NOT NULL DEFAULT 2,
	job text,
	ended_at int,
	PRIMARY KEY (server, run_id)
);
COMMENT ON TABLE onec.sync_run IS 'Запуски синхронизации';
COMMENT ON COLUMN onec.sync_run.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sync_run.run_id IS 'Номер запуска';
COMMENT ON COLUMN onec.sync_run.started_at IS 'Начало';
COMMENT ON COLUMN onec.sync_run.finished_at IS 'Конец';
COMMENT ON COLUMN onec.sync_run.status IS
	'Состояние: running, ok, incomplete — удаление не доказано, partial — не все шаги, failed, skipped '
	'(busy), skipped (login), interrupted';
COMMENT ON COLUMN onec.sync_run.pid IS 'Процесс сервера';
COMMENT ON COLUMN onec.sync_run.backend_start IS 'Когда начался процесс сервера';
COMMENT ON COLUMN onec.sync_run.days IS 'За сколько дней читались покупки';
COMMENT ON COLUMN onec.sync_run.message IS 'Пояснение';
COMMENT ON COLUMN onec.sync_run.size IS
	'Объём: 0 — часть покупок, 1 — отдельные шаги, 2 — все шаги, 3 — со сверкой старых '
	'месяцев, 4 — полное чтение';
COMMENT ON COLUMN onec.sync_run.job IS 'Задание расписания; NULL — вызвано вручную';
COMMENT ON COLUMN onec.sync_run.ended_at IS
	'Шаг, на котором вышло время; следующий такой запуск начнёт с него';

CREATE TABLE onec.sync_step (
	server name NOT NULL,
	run_id bigint NOT NULL,
	ordinal int NOT NULL,
	step text NOT NULL,
	target text NOT NULL,
	status text NOT NULL CHECK (status IN
		('waiting', 'running', 'ok', 'incomplete', 'failed', 'not published', 'skipped')),
	started_at timestamptz,
	finished_at timestamptz,
	windows_total int NOT NULL DEFAULT 1,
	windows_done int NOT NULL DEFAULT 0,
	rows_read bigint NOT NULL DEFAULT 0,
	rows_inserted bigint NOT NULL DEFAULT 0,
	rows_updated bigint NOT NULL DEFAULT 0,
	rows_deleted bigint NOT NULL DEFAULT 0,
	requests bigint NOT NULL DEFAULT 0,
	retries bigint NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	truncated boolean NOT NULL DEFAULT false,
	error_code text,
	message text,
	turn int NOT NULL DEFAULT 0,
	days int,
	windows tsrange[],
	empty_windows int NOT NULL DEFAULT 0,
	went_back boolean NOT NULL DEFAULT false,
	covered tsmultirange NOT NULL DEFAULT '{}',
	covered_keys bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (server, run_id, ordinal)
);
COMMENT ON TABLE onec.sync_step IS 'Шаги запусков синхронизации';
COMMENT ON COLUMN onec.sync_step.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sync_step.run_id IS 'Номер запуска';
COMMENT ON COLUMN onec.sync_step.ordinal IS 'Порядок шага';
COMMENT ON COLUMN onec.sync_step.step IS 'Шаг';
COMMENT ON COLUMN onec.sync_step.target IS 'Таблица';
COMMENT ON COLUMN onec.sync_step.status IS
	'Состояние: waiting, running, ok, incomplete — удаление не доказано, failed, not published, skipped';
COMMENT ON COLUMN onec.sync_step.started_at IS 'Начало';
COMMENT ON COLUMN onec.sync_step.finished_at IS 'Конец';
COMMENT ON COLUMN onec.sync_step.windows_total IS 'Всего окон';
COMMENT ON COLUMN onec.sync_step.windows_done IS 'Готово окон';
COMMENT ON COLUMN onec.sync_step.rows_read IS 'Прочитано строк';
COMMENT ON COLUMN onec.sync_step.rows_inserted IS 'Добавлено строк';
COMMENT ON COLUMN onec.sync_step.rows_updated IS 'Изменено строк';
COMMENT ON COLUMN onec.sync_step.rows_deleted IS 'Удалено строк';
COMMENT ON COLUMN onec.sync_step.requests IS 'Запросов к 1С, с повторами';
COMMENT ON COLUMN onec.sync_step.retries IS 'Из них повторов после неудачи';
COMMENT ON COLUMN onec.sync_step.bytes IS 'Получено байтов';
COMMENT ON COLUMN onec.sync_step.truncated IS 'Прочитано не всё: сработало ограничение';
COMMENT ON COLUMN onec.sync_step.error_code IS 'SQLSTATE ошибки';
COMMENT ON COLUMN onec.sync_step.message IS 'Текст ошибки';
COMMENT ON COLUMN onec.sync_step.turn IS 'Очередь шага в этом запуске';
COMMENT ON COLUMN onec.sync_step.days IS 'За сколько дней читался шаг; NULL — всё';
COMMENT ON COLUMN onec.sync_step.windows IS
	'Окна, которые осталось прочитать; после остановки по времени продолжит следующий запуск';
COMMENT ON COLUMN onec.sync_step.empty_windows IS 'Сколько последних окон подряд были пусты';
COMMENT ON COLUMN onec.sync_step.covered IS
	'Время прочитанных окон, которые ещё не сверены с количеством в 1С';
COMMENT ON COLUMN onec.sync_step.covered_keys IS 'Сколько разных строк в них прочитано';
COMMENT ON COLUMN onec.sync_step.went_back IS
	'Взяты ли уже дни, откуда документы перенесли в прочитанные окна';

CREATE TABLE onec.sync_state (
	server name NOT NULL,
	target text NOT NULL,
	complete_from timestamp,
	last_ok timestamptz,
	place bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (server, target)
);
COMMENT ON TABLE onec.sync_state IS 'Что уже загружено';
COMMENT ON COLUMN onec.sync_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sync_state.target IS 'Таблица';
COMMENT ON COLUMN onec.sync_state.complete_from IS
	'С какого времени загружено всё; 0001-01-01 — с самого начала';
COMMENT ON COLUMN onec.sync_state.last_ok IS 'Последнее полное прочтение';
COMMENT ON COLUMN onec.sync_state.place IS
	'Сколько строк прошли запуски, ограниченные cards_limit; 0 — дошли до конца';
SELECT pg_catalog.pg_extension_config_dump('onec.sync_state', '');

-- What a reading left in doubt: kinds are unproven (rows were missing, and that was not proven), twice (one
-- key, two rows) and hole (rows without a property that others had).
CREATE TABLE onec_internal.sync_doubt (
	server name NOT NULL,
	target text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('unproven', 'twice', 'hole')),
	from_ts timestamp NOT NULL,
	till_ts timestamp NOT NULL,
	found bigint NOT NULL,
	reason text NOT NULL,
	found_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, target, kind, from_ts)
);
COMMENT ON TABLE onec_internal.sync_doubt IS
	'В чём ответы 1С ненадёжны: недоказанные удаления (следующий запуск попробует '
	'снова) и неединственные ключи';
COMMENT ON COLUMN onec_internal.sync_doubt.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.sync_doubt.target IS 'Таблица';
COMMENT ON COLUMN onec_internal.sync_doubt.kind IS
	'unproven — удаление не доказано, twice — в 1С несколько строк с одним ключом, hole — у строк не было '
	'свойства, которое было у других';
COMMENT ON COLUMN onec_internal.sync_doubt.from_ts IS 'Начало окна; 0001-01-01 — всё прежнее';
COMMENT ON COLUMN onec_internal.sync_doubt.till_ts IS 'Конец окна, не включая; 9999-12-31 — всё позднейшее';
COMMENT ON COLUMN onec_internal.sync_doubt.found IS 'Скольких строк это касается';
COMMENT ON COLUMN onec_internal.sync_doubt.reason IS 'Почему';
COMMENT ON COLUMN onec_internal.sync_doubt.found_at IS 'Когда замечено';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.sync_doubt', '');

CREATE TABLE onec_internal.card_seen (
	server name NOT NULL,
	card_id uuid NOT NULL,
	known boolean NOT NULL,
	PRIMARY KEY (server, card_id)
);
COMMENT ON TABLE onec_internal.card_seen IS
	'Карты, увиденные запусками с cards_limit с начала круга; в конце круга остальные проверяются по ключу';
COMMENT ON COLUMN onec_internal.card_seen.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.card_seen.card_id IS 'Карта';
COMMENT ON COLUMN onec_internal.card_seen.known IS 'Была ли она здесь до этого круга';

CREATE TABLE onec_internal.login_refusal (
	server name PRIMARY KEY,
	login_version text NOT NULL,
	refused_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE onec_internal.login_refusal IS
	'Серверы, где 1С не приняла вход: задания ждут, пока сопоставление пользователя или сервер не изменят';
COMMENT ON COLUMN onec_internal.login_refusal.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.login_refusal.login_version IS
	'С каким сопоставлением пользователя (без его содержания)';
COMMENT ON COLUMN onec_internal.login_refusal.refused_at IS 'Когда';

CREATE VIEW onec.sync_status AS
	SELECT s.server, s.step, s.target, s.status, s.started_at, s.finished_at, k.last_ok,
		   now() - k.last_ok AS age,
		   s.rows_read, s.rows_inserted, s.rows_updated, s.rows_deleted,
		   greatest(s.rows_read - s.rows_inserted - s.rows_updated, 0) AS rows_same, s.windows_done,
		   s.requests, s.retries, s.bytes,
		   (SELECT string_agg(f.capability, ', ' ORDER BY f.capability) FROM onec_internal.refusal f
			WHERE f.server = s.server
			  AND f.entity_set = onec_internal.entity_set_of(s.server, s.target)) AS refused,
		   s.truncated, round(extract(epoch FROM s.finished_at - s.started_at)::numeric, 1) AS seconds,
		   s.error_code, s.message
	FROM onec.sync_step s
	JOIN (SELECT n.server, n.ordinal, max(n.run_id) AS run_id
		  FROM onec.sync_step n JOIN onec.sync_run r ON r.server = n.server AND r.run_id = n.run_id
		  WHERE r.size > 0 AND r.status NOT LIKE 'skipped%' AND n.status <> 'waiting' GROUP BY 1, 2) last
		ON last.server = s.server AND last.ordinal = s.ordinal AND last.run_id = s.run_id
	LEFT JOIN onec.sync_state k ON k.server = s.server AND k.target = s.target
	ORDER BY s.server, s.ordinal;
COMMENT ON VIEW onec.sync_status IS
	'Итог последнего целого чтения каждой таблицы: части (один покупатель, отдельные дни) его не заслоняют';
COMMENT ON COLUMN onec.sync_status.last_ok IS 'Когда таблица в последний раз прочитана целиком';
COMMENT ON COLUMN onec.sync_status.age IS 'Сколько с тех пор прошло';
COMMENT ON COLUMN onec.sync_status.rows_same IS 'Прочитано строк, которые не изменились';
COMMENT ON COLUMN onec.sync_status.requests IS 'Запросов к 1С, с повторами';
COMMENT ON COLUMN onec.sync_status.refused IS
	'В чём база отказывает для этого набора: приходится обходиться без этого';
COMMENT ON COLUMN onec.sync_status.truncated IS
	'Прочитано не всё: сработало ограничение cards_limit; следующий запуск продолжит';
COMMENT ON COLUMN onec.sync_status.seconds IS 'Сколько длился шаг, секунд';

CREATE VIEW onec.sync_progress AS
	SELECT s.server, s.run_id, s.step, s.target, s.windows_done, s.windows_total, s.rows_read, s.requests,
		   clock_timestamp() - s.started_at AS elapsed,
		   round(s.rows_read / nullif(extract(epoch FROM clock_timestamp() - s.started_at), 0),
				 0) AS rows_per_second,
		   CASE WHEN s.windows_done > 0 THEN
				(clock_timestamp() - s.started_at) / s.windows_done
					* (s.windows_total - s.windows_done) END AS remaining
	FROM onec.sync_step s JOIN onec.sync_run r ON r.server = s.server AND r.run_id = s.run_id
	WHERE r.status = 'running' AND s.status = 'running';
COMMENT ON VIEW onec.sync_progress IS 'Что синхронизируется сейчас и сколько осталось';
COMMENT ON COLUMN onec.sync_progress.rows_per_second IS 'Строк в секунду';
COMMENT ON COLUMN onec.sync_progress.windows_done IS 'Окон прочитано';
COMMENT ON COLUMN onec.sync_progress.windows_total IS 'Окон всего';
COMMENT ON COLUMN onec.sync_progress.elapsed IS 'Сколько длится шаг';
COMMENT ON COLUMN onec.sync_progress.remaining IS 'Сколько ещё, если окна одинаковы';

-- What a run is to do.  "size" ranks runs: a larger one waits for a smaller one to end; see onec.sync_run.
CREATE TYPE onec_internal.sync_plan AS (
	server name,
	days int,				-- NULL: everything
	cards_limit int,
	steps text[],			-- NULL: all
	deep boolean,			-- compare old months with 1C, too
	force boolean,			-- believe an answer of nothing
	afresh boolean,			-- do not go on where another run ran out of time
	job text,
	size int,
	minutes int,			-- 0: no deadline
	from_ts timestamp,		-- a part of the purchases: of these days …
	till_ts timestamp,
	user_id uuid			-- … of this person only
);
COMMENT ON TYPE onec_internal.sync_plan IS 'Что делать запуску синхронизации (служебный)';
-- Reading 1C into a temporary table.

-- A tabular section as 1C sends it with its object, in the English of its fields and the order of its lines.
CREATE FUNCTION onec_internal.tabular_part(server name, target text, field text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('CASE WHEN f.%1$I IS NOT NULL THEN (
			SELECT coalesce(jsonb_agg(jsonb_build_object(%2$s) ORDER BY (r.value ->> ''LineNumber'')::bigint,
									  r.value), ''[]'')
			FROM jsonb_array_elements(f.%1$I) r (value)) END', $3,
		string_agg(format('%L, %s', s.field,
						  onec_internal.nested_value_expression(onec_internal.field_candidates($1, s), s.kind,
																NULL)), ', ' ORDER BY s.ordinal))
	FROM onec.field_source s WHERE s.target = concat_ws('.', $2, $3)
$$;
COMMENT ON FUNCTION onec_internal.tabular_part(name, text, text) IS
	'Выражение: строки табличной части (служебная)';

-- The type of a local column of a kind.
CREATE FUNCTION onec_internal.type_of_kind(kind text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE kind WHEN 'ref' THEN 'uuid' WHEN 'type' THEN 'text' WHEN 'rows' THEN 'jsonb' ELSE kind END;
COMMENT ON FUNCTION onec_internal.type_of_kind(text) IS 'Тип местного столбца по виду значения (служебная)';

-- SELECT list that turns rows of the foreign table into rows of the local one, in the order of field_source;
-- words that the local table has numbers of are still words.
CREATE FUNCTION onec_internal.stage_select_list(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	list text;
BEGIN
	SELECT string_agg(
		CASE
			WHEN a.attname IS NULL AND f.kind = 'type' THEN '''''::text'
			WHEN a.attname IS NULL THEN 'NULL::' || onec_internal.type_of_kind(f.kind)
			WHEN f.kind = 'rows' THEN onec_internal.tabular_part($1, $2, f.field)
			WHEN f.kind = 'ref' AND a.atttypid = 'text'::regtype
				THEN format('onec_internal.reference_uuid(f.%I)', f.field)
			WHEN f.kind = 'type' THEN format('onec_internal.type_word(f.%I)', f.field)
			ELSE format('f.%I::%s', f.field, onec_internal.type_of_kind(f.kind))
		END || format(' AS %I', f.field), ', ' ORDER BY f.ordinal)
	INTO list FROM onec.field_source f
	LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', server, stage_select_list.target))
		AND a.attname = f.field AND a.attnum > 0 AND NOT a.attisdropped
	WHERE f.target = stage_select_list.target;
	RETURN list;
END $$;
COMMENT ON FUNCTION onec_internal.stage_select_list(name, text) IS
	'Выражения, которыми строки 1С становятся местными (служебная)';

-- The columns of pg_temp.onec_stage, made of what onec_internal.stage_select_list gives as r: with numbers in
-- place of words and references where the local table has them, through "joins".  One that has no number yet
-- gets one.  The document of a sale is not there twice where it is the recorder.
CREATE FUNCTION onec_internal.stage_columns(target text, OUT list text, OUT joins text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT string_agg(format(CASE
			WHEN f.type = 'onec_internal.term_number'::regtype
				THEN 'coalesce(%1$I.number, onec_internal.new_term(%2$s))::%3$s AS %1$I'
			WHEN f.type = 'onec_internal.reference_number'::regtype
				THEN 'coalesce(%1$I.number, onec_internal.new_reference(%2$s))::%3$s AS %1$I'
			WHEN f.kind = 'bigint' THEN '%2$s::%3$s AS %1$I'
			ELSE '%2$s AS %1$I' END, f.field, f.value, format_type(f.type, NULL)), ', ' ORDER BY f.ordinal),
		string_agg(format(CASE f.type
			WHEN 'onec_internal.term_number'::regtype
				THEN ' LEFT JOIN onec_internal.term %1$I ON %1$I.word = %2$s'
			WHEN 'onec_internal.reference_number'::regtype
				THEN ' LEFT JOIN onec_internal.reference %1$I ON %1$I.id = %2$s' END, f.field, f.value), '')
	INTO list, joins
	FROM (SELECT s.field, s.kind, s.ordinal, a.atttypid AS type,
				 CASE WHEN s.field = 'document_id' AND onec_internal.has_buyer(s.target)
					  THEN format('CASE WHEN NOT %s THEN r.document_id END', o.is_own)
					  WHEN s.field = 'document_type' AND onec_internal.has_buyer(s.target)
					  THEN format('CASE WHEN %s THEN ''recorder'' ELSE r.document_type END', o.is_own)
					  ELSE format('r.%I', s.field) END AS value
		  FROM onec.field_source s
		  CROSS JOIN (VALUES ('onec_internal.is_own_document(r.document_id, r.document_type, r.recorder, '
							  'r.recorder_type)')) o (is_own)
		  LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(onec_internal.table_of_target(s.target))
			  AND a.attname = s.field AND a.attnum > 0
		  WHERE s.target = stage_columns.target) f;
	IF onec_internal.has_buyer(target) THEN
		list := list || format(', %s::onec_internal.term_number AS register, '
			'CASE WHEN r.customer_id IS NULL THEN %s ELSE %s END::onec_internal.term_number AS attribution',
			onec_internal.own_term('sales'), onec_internal.own_term('anonymous'),
			onec_internal.own_term('counterparty'));
	END IF;
	IF onec_internal.has_copies(target) THEN
		list := list || ', 0::smallint AS copy';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.stage_columns(text) IS
	'Столбцы прочитанных строк: слова заменены номерами (служебная)';

-- Temporary tables that every window needs are made once for the windows of a step, and emptied by each
-- COMMIT: made for each of them, they would leave a catalog full of dead rows.  Whether the session has such
-- a table, made by the same "shape"; it is emptied.  Another of that name is dropped.
CREATE FUNCTION onec_internal.take_table_again(tab name, shape text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	filled boolean;
BEGIN
	IF to_regclass('pg_temp.' || tab) IS NULL THEN
		RETURN false;
	ELSIF current_setting('onec_internal.' || tab, true) IS DISTINCT FROM shape THEN
		EXECUTE format('DROP TABLE pg_temp.%I', tab);
		RETURN false;
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.%I)', tab) INTO filled;
	IF filled THEN
		EXECUTE format('TRUNCATE pg_temp.%I', tab);
	END IF;
	RETURN true;
END $$;
COMMENT ON FUNCTION onec_internal.take_table_again(name, text) IS
	'Есть ли уже такая временная таблица; она пуста (служебная)';

-- Fill a temporary table by a query.
CREATE FUNCTION onec_internal.fill_table(tab name, shape text, query text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rows bigint;
BEGIN
	IF onec_internal.take_table_again(tab, shape) THEN
		EXECUTE format('INSERT INTO pg_temp.%I %s', tab, query);
		GET DIAGNOSTICS rows = ROW_COUNT;
	ELSE
		EXECUTE format('CREATE TEMPORARY TABLE %I ON COMMIT DELETE ROWS AS %s', tab, query);
		GET DIAGNOSTICS rows = ROW_COUNT;
		PERFORM set_config('onec_internal.' || tab, shape, false);
	END IF;
	RETURN rows;
END $$;
COMMENT ON FUNCTION onec_internal.fill_table(name, text, text) IS
	'Заполнить временную таблицу запросом (служебная)';

-- Read the rows of a condition into a temporary table: all, or those that "part" (LIMIT and OFFSET) says.
-- Values are worked out once, before numbers are looked up; which of the two sides of that is kept in memory
-- the planner, who does not know how many rows will come, may get wrong.
CREATE FUNCTION onec_internal.stage_rows(server name, target text, condition text, part text DEFAULT '',
										 into_table text DEFAULT 'onec_stage')
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
DECLARE
	made record;
BEGIN
	PERFORM onec_internal.new_server_number(server);
	SELECT * INTO made FROM onec_internal.stage_columns(target);
	RETURN onec_internal.fill_table(into_table, target, format(
		'SELECT %s AS server, %s FROM (SELECT %s FROM %I.%I f WHERE %s %s) r%s',
		onec_internal.server_in(onec_internal.table_of_target(target), server), made.list,
		onec_internal.stage_select_list(server, target), server, target, condition,
		coalesce(nullif(part, ''), 'OFFSET 0'), made.joins));
END $$;
COMMENT ON FUNCTION onec_internal.stage_rows(name, text, text, text, text) IS
	'Прочитать строки 1С во временную таблицу (служебная)';

-- How the last reading of a target went; see onec_internal.recent_readings.  Rows of one page that are nested
-- in their recorders do not come twice by themselves.
CREATE FUNCTION onec_internal.last_reading(server name, target text, OUT pages bigint, OUT page_rows bigint,
										   OUT by_skip boolean,
										   OUT filtered boolean, OUT lacked text[], OUT twice bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	foreign_table regclass := onec_internal.foreign_table(server, target);
BEGIN
	SELECT r.pages, r.page_rows, r.by_skip, r.filtered, r.lacked, r.twice INTO pages, page_rows, by_skip,
		   filtered, lacked, twice
	FROM onec_internal.recent_readings() r WHERE r.relation = foreign_table ORDER BY r.number DESC LIMIT 1;
	IF twice IS NULL OR twice > 0 AND onec_internal.is_nested(server, target) THEN
		twice := 0;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.last_reading(name, text) IS
	'Как прошло последнее чтение таблицы (служебная)';

-- The documents of staged sales that are the recorders: each written out, as 1C has it, or not there twice.
CREATE FUNCTION onec_internal.write_out_own_documents(twice boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF twice THEN
		UPDATE pg_temp.onec_stage s SET document_id = s.recorder, document_type = s.recorder_type
		WHERE s.document_type = onec_internal.own_term('recorder');
	ELSE
		UPDATE pg_temp.onec_stage s SET document_id = NULL, document_type = onec_internal.own_term('recorder')
		WHERE s.document_id = s.recorder AND s.document_type = s.recorder_type;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.write_out_own_documents(boolean) IS
	'Документы, которые сами регистраторы, у прочитанных строк: полностью или кратко (служебная)';

-- A value is emptied only by a row that has the property: where rows of the last reading lacked some
-- ("holes") that others had, what is here stays.  Returns how many rows of pg_temp.onec_stage it concerns.
CREATE FUNCTION onec_internal.keep_lacking_values(server name, target text, holes text[]) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	documents boolean := onec_internal.has_buyer(target) AND holes && '{document_id,document_type}';
	part record;
	filled bigint := 0;
BEGIN
	IF holes IS NULL OR holes = '{}' THEN
		RETURN 0;
	END IF;
	SELECT string_agg(format('%1$I = CASE WHEN nullif(s.%2$I::text, %3$L) IS NULL THEN %4$s ELSE s.%1$I END',
							 c.name, c.hole, c.nothing, c.here), ', ') AS set_list,
		   string_agg(format('nullif(s.%1$I::text, %2$L) IS NULL '
							 'AND nullif((%3$s)::text, %2$L) IS NOT NULL',
							 c.hole, c.nothing, c.here), ' OR ') AS emptied
	INTO part
	FROM (SELECT DISTINCT a.attname AS hole, x.name,
				 CASE WHEN a.atttypid = 'onec_internal.term_number'::regtype
					  THEN onec_internal.own_term('')::text ELSE '' END AS nothing,
				 CASE WHEN documents AND x.name = 'document_id'
					  THEN 'onec_internal.line_document(t.document_id, t.document_type, t.recorder)'
					  WHEN documents AND x.name = 'document_type'
					  THEN 'onec_internal.line_document_type(t.document_type, t.recorder_type)'
					  ELSE format('t.%I', x.name) END AS here
		  FROM pg_attribute a
		  -- whose line it is was said by the column that is lacking
		  CROSS JOIN LATERAL (SELECT a.attname AS name UNION SELECT 'attribution'
							  WHERE onec_internal.has_buyer(target) AND a.attname = 'customer_id') x
		  JOIN pg_attribute s ON s.attrelid = to_regclass('pg_temp.onec_stage') AND s.attname = x.name
			  AND s.attnum > 0
		  WHERE a.attrelid = tab AND a.attname = ANY (holes) AND a.attnum > 0 AND NOT a.attisdropped) c;
	IF part.set_list IS NULL THEN
		RETURN 0;
	END IF;
	IF documents THEN
		PERFORM onec_internal.write_out_own_documents(true);
	END IF;
	EXECUTE format('UPDATE pg_temp.onec_stage s SET %s FROM %s t WHERE t.server = '
				   '%s AND (%s) = (%s) AND (%s)', part.set_list, tab,
		onec_internal.server_in(tab::text, server),
		onec_internal.stage_key_columns(target, 's'), onec_internal.stage_key_columns(target, 't'),
		part.emptied);
	GET DIAGNOSTICS filled = ROW_COUNT;
	IF documents THEN
		PERFORM onec_internal.write_out_own_documents(false);
	END IF;
	RETURN filled;
END $$;
COMMENT ON FUNCTION onec_internal.keep_lacking_values(name, text, text[]) IS
	'Оставить значения, свойств которых у прочитанных строк не было (служебная)';

CREATE FUNCTION onec_internal.foreign_table(server name, target text) RETURNS regclass
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN to_regclass(format('%I.%I', server,
							  target || CASE WHEN onec_internal.is_nested(server, target) THEN '_set'
											 ELSE '' END));
END $$;
COMMENT ON FUNCTION onec_internal.foreign_table(name, text) IS
	'Внешняя таблица, из которой читается эта (служебная)';

-- The key of a target as pg_temp.onec_stage has it before rows are numbered.
CREATE FUNCTION onec_internal.stage_key_columns(target text, alias text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
BEGIN
	RETURN (SELECT string_agg(format('%s.%I', alias, a.attname), ', ' ORDER BY a.attnum)
			FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
			WHERE i.indrelid = tab AND i.indisprimary AND a.attname NOT IN ('server', 'copy', 'person_id'));
END $$;
COMMENT ON FUNCTION onec_internal.stage_key_columns(text, text) IS 'Ключ прочитанных строк (служебная)';

-- Those of what 1C writes as a whole, a document, of "alias" if that is given.
CREATE FUNCTION onec_internal.stage_unit_columns(target text, alias text DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT string_agg(concat_ws('.', alias, quote_ident(u)), ', ')
			FROM unnest(onec_internal.unit_columns(target)) u);
END $$;
COMMENT ON FUNCTION onec_internal.stage_unit_columns(text, text) IS
	'Столбцы документа у прочитанных строк (служебная)';

-- SQL for "row a of the local table says what row b of pg_temp.onec_stage says", keys aside.
CREATE FUNCTION onec_internal.same_row_condition(target text, a text, b text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(format('%s.%I IS NOT DISTINCT FROM %s.%I', $2, t.attname, $3, t.attname),
					  ' AND ' ORDER BY t.attnum)
	FROM pg_attribute t JOIN pg_attribute s ON s.attrelid = to_regclass('pg_temp.onec_stage')
		AND s.attname = t.attname AND s.attnum > 0
	WHERE t.attrelid = onec_internal.table_of_target($1)::regclass AND t.attnum > 0 AND NOT t.attisdropped
$$;
COMMENT ON FUNCTION onec_internal.same_row_condition(text, text, text) IS
	'Условие: местная строка равна прочитанной (служебная)';

-- The columns that the local table and the staged rows have in common.
CREATE FUNCTION onec_internal.columns_in_common(target text, a text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(format('%s.%I', $2, t.attname), ', ' ORDER BY t.attnum)
	FROM pg_attribute t JOIN pg_attribute s ON s.attrelid = to_regclass('pg_temp.onec_stage')
		AND s.attname = t.attname AND s.attnum > 0
	WHERE t.attrelid = onec_internal.table_of_target($1)::regclass AND t.attnum > 0 AND NOT t.attisdropped
$$;
COMMENT ON FUNCTION onec_internal.columns_in_common(text, text) IS
	'Общие столбцы местной таблицы и прочитанного (служебная)';

-- The rows of a window.  Rows with an empty date belong to the window that is open to the past.
CREATE FUNCTION onec_internal.window_condition(target text, from_ts timestamp, till_ts timestamp) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	field name := onec_internal.date_column(target);
BEGIN
	RETURN coalesce(nullif(concat_ws(' AND ',
			CASE WHEN from_ts > onec_internal.first_moment()
				 THEN format('%I >= %L::timestamp', field, from_ts) END,
			CASE WHEN till_ts < onec_internal.last_moment() THEN
				format(CASE WHEN from_ts <= onec_internal.first_moment()
							THEN '(%I < %L::timestamp) IS NOT FALSE' ELSE '%I < %L::timestamp' END,
					   field, till_ts) END),
		''), 'true');
END $$;
COMMENT ON FUNCTION onec_internal.window_condition(text, timestamp, timestamp) IS
	'Условие на строки окна (служебная)';
-- Keys that come twice in one reading, as pg_temp.onec_stage has it, or in two windows of a step.

-- Rows that are alike in everything are one row that came twice.  Returns how many are taken out;
-- pg_temp.onec_twice then holds the keys that are left with rows that differ.  "all_differ": it is known that
-- no key comes twice.
CREATE FUNCTION onec_internal.drop_equal_doubles(target text, all_differ boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys text := onec_internal.stage_key_columns(target, 's');
	gone bigint := 0;
	any_twice boolean;
BEGIN
	IF to_regclass('pg_temp.onec_twice') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_twice;
	END IF;
	IF all_differ THEN
		RETURN 0;
	END IF;
	-- mostly there are none, and a temporary table costs more than looking
	EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.onec_stage s GROUP BY %s HAVING count(*) > 1)',
				   keys) INTO any_twice;
	IF NOT any_twice THEN
		RETURN 0;
	END IF;
	EXECUTE format('CREATE TEMPORARY TABLE onec_twice ON COMMIT DROP AS
		SELECT %1$s FROM pg_temp.onec_stage s GROUP BY %1$s HAVING count(*) > 1', keys);
	EXECUTE format('DELETE FROM pg_temp.onec_stage s USING (
			SELECT s.ctid AS place, row_number() OVER (PARTITION BY s::text ORDER BY s.ctid) AS n
			FROM pg_temp.onec_stage s JOIN pg_temp.onec_twice k ON (%s) = (%s)) d
		WHERE s.ctid = d.place AND d.n > 1', keys, onec_internal.stage_key_columns(target, 'k'));
	GET DIAGNOSTICS gone = ROW_COUNT;
	EXECUTE format('DELETE FROM pg_temp.onec_twice k
		WHERE (SELECT count(*) FROM pg_temp.onec_stage s
			   WHERE (%s) = (%s)) = 1', keys, onec_internal.stage_key_columns(target, 'k'));
	RETURN gone;
END $$;
COMMENT ON FUNCTION onec_internal.drop_equal_doubles(text, boolean) IS
	'Убрать строки, прочитанные дважды; onec_twice — ключи, у которых строки разные (служебная)';

-- Whether keys are left with rows that differ.
CREATE FUNCTION onec_internal.any_differing_doubles() RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_twice') IS NULL THEN
		RETURN false;
	END IF;
	RETURN EXISTS (SELECT FROM pg_temp.onec_twice);
END $$;
COMMENT ON FUNCTION onec_internal.any_differing_doubles() IS
	'Есть ли разные строки с одним ключом (служебная)';

-- Where rows of one key differ, and none of them is like the one that is here, nobody knows which is true:
-- the one that is here takes their place.
CREATE FUNCTION onec_internal.keep_what_is_here(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key_here text := onec_internal.stage_key_columns(target, 'h');
	key_read text := onec_internal.stage_key_columns(target, 's');
	key_twice text := onec_internal.stage_key_columns(target, 'k');
BEGIN
	EXECUTE format('
		WITH here AS MATERIALIZED (
			SELECT %1$s, h.ctid AS place FROM %2$s h JOIN pg_temp.onec_twice k ON (%3$s) = (%4$s)
			WHERE h.server = %5$s AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s
												  WHERE (%6$s) = (%3$s) AND %7$s)),
		gone AS (DELETE FROM pg_temp.onec_stage s USING here k WHERE (%6$s) = (%4$s))
		INSERT INTO pg_temp.onec_stage (%8$s)
		SELECT %9$s FROM here k JOIN %2$s h ON h.ctid = k.place',
		key_twice, onec_internal.table_of_target(target), key_here, key_twice,
		onec_internal.server_in(onec_internal.table_of_target(target), server), key_read,
		onec_internal.same_row_condition(target, 'h', 's'),
		replace(onec_internal.columns_in_common(target, 'h'), 'h.', ''),
		onec_internal.columns_in_common(target, 'h'));
END $$;
COMMENT ON FUNCTION onec_internal.keep_what_is_here(name, text) IS
	'Оставить местные строки там, где из прочитанных с тем же ключом ни одна не такая же (служебная)';

-- Rows of one key that differ: they get running numbers, by their content; where the table has none, one of
-- them stays, that which is here already or else always the same one.  Returns how many keys it concerns.
CREATE FUNCTION onec_internal.number_differing_doubles(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys text := onec_internal.stage_key_columns(target, 's');
	doubles bigint;
BEGIN
	IF NOT onec_internal.any_differing_doubles() THEN
		RETURN 0;
	END IF;
	doubles := (SELECT count(*) FROM pg_temp.onec_twice);
	IF onec_internal.has_copies(target) THEN
		EXECUTE format('UPDATE pg_temp.onec_stage s SET copy = d.n - 1
			FROM (SELECT s.ctid AS place, row_number() OVER (PARTITION BY %1$s ORDER BY s::text) AS n
				  FROM pg_temp.onec_stage s JOIN pg_temp.onec_twice k ON (%1$s) = (%2$s)) d
			WHERE s.ctid = d.place AND d.n > 1', keys, onec_internal.stage_key_columns(target, 'k'));
	ELSE
		PERFORM onec_internal.keep_what_is_here(server, target);
		EXECUTE format('DELETE FROM pg_temp.onec_stage s
			USING (SELECT s.ctid AS place,
						  row_number() OVER (PARTITION BY %1$s ORDER BY h.server IS NULL, s::text) AS n
				   FROM pg_temp.onec_stage s JOIN pg_temp.onec_twice k ON (%1$s) = (%2$s)
				   LEFT JOIN %3$s h ON h.server = %4$s AND %5$s) d
			WHERE s.ctid = d.place AND d.n > 1', keys, onec_internal.stage_key_columns(target, 'k'),
			onec_internal.table_of_target(target),
			onec_internal.server_in(onec_internal.table_of_target(target), server),
			onec_internal.same_row_condition(target, 'h', 's'));
	END IF;
	RETURN doubles;
END $$;
COMMENT ON FUNCTION onec_internal.number_differing_doubles(name, text) IS
	'Пронумеровать разные строки с одним ключом (служебная)';

-- Keys of pg_temp.onec_stage, of one window, that another window has, too: those rows are here outside of
-- "scope", for sure as the condition on t says.  The staged ones get the running numbers that they have here,
-- or the next ones; with "ask" only if 1C still has the other row, which may have moved here meanwhile.
-- Returns how many keys it concerns.
CREATE FUNCTION onec_internal.number_across_windows(server name, target text, scope text, sure text,
													ask boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	date_column name := onec_internal.date_column(target);
	key_here text := onec_internal.stage_key_columns(target, 't');
	key_read text := onec_internal.stage_key_columns(target, 's');
	key_across text := onec_internal.stage_key_columns(target, 'k');
	day date;
	numbered bigint;
BEGIN
	IF date_column IS NULL OR NOT onec_internal.has_copies(target) THEN
		RETURN 0;
	END IF;
	EXECUTE format('CREATE TEMPORARY TABLE onec_across ON COMMIT DROP AS
		SELECT * FROM (
			SELECT %1$s, min(t.copy) FILTER (WHERE here) AS known,
				   max(t.copy) FILTER (WHERE sure) + 1 AS next,
				   min(t.%2$I::date) FILTER (WHERE sure) AS day
			FROM (SELECT t.*, (%3$s) AS here, (%4$s) AS sure FROM %5$s t WHERE t.server = %6$s) t
			JOIN (SELECT DISTINCT %7$s FROM pg_temp.onec_stage s) s ON (%1$s) = (%7$s)
			GROUP BY %1$s HAVING NOT bool_and(here)) k
		WHERE coalesce(k.known, k.next) > 0',
		key_here, date_column, scope, sure, onec_internal.table_of_target(target),
		onec_internal.server_in(onec_internal.table_of_target(target), server), key_read);
	FOR day IN SELECT DISTINCT k.day FROM pg_temp.onec_across k
		WHERE ask AND k.known IS NULL AND k.day IS NOT NULL LOOP
		PERFORM onec_internal.stage_rows(server, target,
			format('f.%1$I >= %2$L::timestamp AND f.%1$I < %3$L::timestamp', date_column, day, day + 1), '',
			'onec_found');
		EXECUTE format('DELETE FROM pg_temp.onec_across k WHERE k.known IS NULL AND k.day = %L
			AND NOT EXISTS (SELECT FROM pg_temp.onec_found s WHERE (%s) = (%s))', day, key_read, key_across);
	END LOOP;
	EXECUTE format('UPDATE pg_temp.onec_stage s SET copy = s.copy + coalesce(k.known, k.next)
		FROM pg_temp.onec_across k WHERE (%s) = (%s)', key_read, key_across);
	numbered := (SELECT count(*) FROM pg_temp.onec_across);
	DROP TABLE pg_temp.onec_across;
	RETURN numbered;
END $$;
COMMENT ON FUNCTION onec_internal.number_across_windows(name, text, text, text, boolean) IS
	'Пронумеровать строки, ключ которых есть и в другом окне (служебная)';
-- The local tables made equal to what was read, writing only what differs.

-- How the local table of a target is compared with pg_temp.onec_stage: its columns as SQL, t being here and
-- s what was read.  Whose a row is (person_id) follows from the others: it is part of the key, but not of
-- what a row is known by.
CREATE FUNCTION onec_internal.merge_column_lists(tab regclass, OUT key text, OUT same_key text,
												 OUT columns text, OUT read text, OUT set_list text,
												 OUT differs text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	person constant text :=
		'onec_internal.person_of_line(s.attribution, s.customer_id, s.card_id, s.recorder)';
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NOT NULL),
		   string_agg(format('s.%1$I = t.%1$I', a.attname), ' AND ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL),
		   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
		   string_agg(format('%1$I = s.%1$I', a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NULL),
		   format('ROW(%s) IS DISTINCT FROM ROW(%s)',
				  string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum)
					  FILTER (WHERE i.indexrelid IS NULL),
				  string_agg(format('s.%I', a.attname), ', ' ORDER BY a.attnum)
					  FILTER (WHERE i.indexrelid IS NULL))
	INTO key, same_key, columns, set_list, differs
	FROM pg_attribute a
	JOIN pg_attribute b ON b.attrelid = to_regclass('pg_temp.onec_stage') AND b.attname = a.attname
		AND b.attnum > 0
	LEFT JOIN pg_index i ON i.indrelid = tab AND i.indisprimary AND a.attnum = ANY (i.indkey)
	WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'person_id';
	read := 's.' || replace(columns, ', ', ', s.');
	IF onec_internal.has_column(tab::text, 'person_id') THEN
		columns := columns || ', person_id';
		read := read || ', ' || person;
		set_list := set_list || ', person_id = ' || person;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.merge_column_lists(regclass) IS
	'Столбцы местной таблицы для сравнения с прочитанным (служебная)';

-- What differs between the rows of the local table that satisfy "scope" and the staged ones (all rows, and
-- none is missing, if it is NULL), into pg_temp.onec_change: mostly nothing.  A staged row may be here
-- outside of the scope: its document has got another date.  Returns how many rows differ.  "fresh": it is
-- known that they are all new; nothing is compared.
CREATE FUNCTION onec_internal.compare_with_staged(server name, target text, scope text,
												  fresh boolean DEFAULT false) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	marked boolean := onec_internal.has_deletion_mark(target);
	part record;
BEGIN
	SELECT * INTO part FROM onec_internal.merge_column_lists(tab);
	RETURN onec_internal.fill_table('onec_change', target, format(
		'SELECT s.place, t.server IS NOT NULL AS here, %9$s AS redated, %1$s
			FROM (SELECT ctid AS place, * FROM pg_temp.onec_stage) s
			%2$s JOIN (SELECT * FROM %3$s WHERE server = %4$s AND (%5$s)) t ON %6$s
			WHERE CASE WHEN t.server IS NULL THEN true WHEN s.server IS NULL THEN %7$s ELSE %8$s END
			%10$s',
		(SELECT string_agg(format('t.%s', k), ', ') FROM regexp_split_to_table(part.key, ', ') k),
		CASE WHEN scope IS NULL THEN 'LEFT' ELSE 'FULL' END, tab, onec_internal.server_in(tab::text, server),
		coalesce(scope, 'true'),
		part.same_key,
		CASE WHEN marked THEN 'NOT t.is_deleted' ELSE 'true' END,
		part.differs || CASE WHEN marked THEN ' OR t.is_deleted' ELSE '' END,
		coalesce((SELECT format('t.server IS NOT NULL AND s.place IS NOT NULL AND '
								't.%1$I IS DISTINCT FROM s.%1$I', d)
				  FROM onec_internal.date_column(target) d WHERE d IS NOT NULL), 'false'),
		CASE WHEN fresh THEN 'LIMIT 0' END));
END $$;
COMMENT ON FUNCTION onec_internal.compare_with_staged(name, text, text, boolean) IS
	'Найти отличия местной таблицы от прочитанного (служебная)';

-- Documents that were written here have got another date: where rows of theirs that were not read still
-- stand, days have to be read again, lest half of the old document stay beside the new one.
CREATE FUNCTION onec_internal.note_days_left_behind(server name, target text, same_key text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('
		WITH document AS MATERIALIZED (SELECT DISTINCT %1$s FROM pg_temp.onec_change c
									   JOIN pg_temp.onec_stage x ON x.ctid = c.place),
		behind AS MATERIALIZED (
			SELECT t.%2$I::date AS day FROM %3$s t JOIN document x ON (%1$s) = (%4$s)
			WHERE t.server = %8$s AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s WHERE %6$s))
		INSERT INTO onec_internal.sync_doubt AS d (server, target, kind, from_ts, till_ts, found, reason)
		SELECT %5$L, %7$L, ''unproven'', lower(b.days), upper(b.days), b.n, onec_internal.reason_left_behind()
		FROM (SELECT unnest(range_agg(tsrange(coalesce(day, onec_internal.first_moment()),
											  coalesce(day + 1, ''0001-01-02'')))) AS days, count(*) AS n
												  FROM behind) b
		ON CONFLICT ON CONSTRAINT sync_doubt_pkey DO UPDATE SET till_ts = greatest(d.till_ts,
			excluded.till_ts), found_at = excluded.found_at',
		onec_internal.stage_unit_columns(target, 'x'),
		onec_internal.date_column(target),
		onec_internal.table_of_target(target),
		onec_internal.stage_unit_columns(target, 't'),
		server, same_key, target,
		onec_internal.server_in(onec_internal.table_of_target(target), server));
END $$;
COMMENT ON FUNCTION onec_internal.note_days_left_behind(name, text, text) IS
	'Отметить дни, где остались строки перенесённых документов (служебная)';

CREATE FUNCTION onec_internal.reason_left_behind() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'documents have left these days for others';
COMMENT ON FUNCTION onec_internal.reason_left_behind() IS
	'Чем объясняется сомнение в днях, откуда документы перенесены (служебная)';

-- Write all that is staged, where nothing of it is here; see onec_internal.is_all_new.  By date, in whatever
-- order it came: a day's rows lie together.  Keys that another window of the step has brought are left out,
-- and counted.
CREATE FUNCTION onec_internal.write_new_rows(target text, OUT inserted bigint, OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	-- by the key, whose pages are written next: what is here grows with each window, and is not read again;
	-- memory for the rows that the triggers of the table look at
	SET enable_hashjoin = off SET enable_mergejoin = off SET work_mem = '64MB'
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	part record;
	any_here boolean;
BEGIN
	SELECT * INTO part FROM onec_internal.merge_column_lists(tab);
	-- documents are fewer than their rows, and mostly none is here: counted, for who asks whether there is
	-- any is given a plan that is quick where there are many; in the order of the key, whose pages they share
	EXECUTE format('SELECT count(*) > 0 FROM (SELECT DISTINCT s.server, %1$s FROM pg_temp.onec_stage s
											  ORDER BY s.server, %1$s) s
						JOIN %2$s t ON t.server = s.server AND (%3$s) = (%1$s)',
				   onec_internal.stage_unit_columns(target, 's'), tab,
				   onec_internal.stage_unit_columns(target, 't')) INTO any_here;
	EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %3$s FROM pg_temp.onec_stage s
						WHERE NOT %5$L OR NOT EXISTS (SELECT FROM %1$s t WHERE %4$s) %6$s',
				   tab, part.columns, part.read, part.same_key, any_here,
				   'ORDER BY s.' || quote_ident(onec_internal.date_column(target)));
	GET DIAGNOSTICS inserted = ROW_COUNT;
	left_out := (SELECT count(*) FROM pg_temp.onec_stage) - inserted;
END $$;
COMMENT ON FUNCTION onec_internal.write_new_rows(text) IS
	'Записать прочитанное, которого здесь ещё нет (служебная)';

-- Write pg_temp.onec_change, but for the new rows whose key a row t that is here has for sure, as the
-- condition "sure" says: these are left out, and counted.
CREATE FUNCTION onec_internal.write_differences(server name, target text, sure text DEFAULT 'false',
												OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
												OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	touches text[];
	part record;
	moved bigint := 0;
	todo record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	left_out := 0;
	SELECT count(*) FILTER (WHERE c.place IS NULL) AS gone,
		   count(*) FILTER (WHERE c.here AND c.place IS NOT NULL) AS changed,
		   count(*) FILTER (WHERE NOT c.here) AS new, bool_or(c.redated) AS redated INTO todo
			   FROM pg_temp.onec_change c;
	-- mostly nothing, and to plan what writes costs more than to look
	IF todo.gone + todo.changed + todo.new = 0 THEN
		RETURN;
	END IF;
	touches := onec_internal.what_target_touches(target);
	SELECT * INTO part FROM onec_internal.merge_column_lists(tab);
	IF onec_internal.has_deletion_mark(target) THEN
		part.set_list := part.set_list || ', is_deleted = false';
	END IF;
	IF 'customers' = ANY (touches) THEN
		PERFORM onec_internal.touch_customers_of_window(server);
	END IF;
	IF touches && '{buyers,buyers of categories,buyers of brands,buyers in stores}' THEN
		PERFORM onec_internal.touch_buyers_of_products(server, touches);
	END IF;
	IF touches && '{users,users of cards}' THEN
		PERFORM onec_internal.touch_people(server, 'users of cards' = ANY (touches));
	END IF;
	IF todo.changed > 0 THEN
		EXECUTE format('UPDATE %s t SET %s FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = '
					   'c.place WHERE c.here AND %s',
			tab, part.set_list, part.same_key);
		GET DIAGNOSTICS updated = ROW_COUNT;
	END IF;
	IF todo.gone > 0 THEN
		EXECUTE format(CASE WHEN onec_internal.has_deletion_mark(target)
							THEN 'UPDATE %s t SET is_deleted = true FROM' ELSE 'DELETE FROM %s t USING' END
			|| ' pg_temp.onec_change s WHERE s.place IS NULL AND %s', tab, part.same_key);
		GET DIAGNOSTICS deleted = ROW_COUNT;
	END IF;
	IF todo.new > 0 THEN
		EXECUTE format('UPDATE %s t SET %s FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = '
					   'c.place WHERE NOT c.here AND %s AND NOT (%s)',
			tab, part.set_list, part.same_key, sure);
		GET DIAGNOSTICS moved = ROW_COUNT;
		EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %3$s
							FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
							WHERE NOT c.here AND NOT EXISTS (SELECT FROM %1$s t WHERE %4$s)',
			tab, part.columns, part.read, part.same_key);
		GET DIAGNOSTICS inserted = ROW_COUNT;
		left_out := todo.new - inserted - moved;
	END IF;
	updated := updated + moved;
	IF todo.redated OR moved > 0 AND onec_internal.date_column(target) IS NOT NULL THEN
		PERFORM onec_internal.note_days_left_behind(server, target, part.same_key);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.write_differences(name, text, text) IS
	'Записать найденные отличия (служебная)';
-- Who bought: what the rows of sales, the cards and the register of card sales tell together.

-- The card rows of the documents staged.
CREATE FUNCTION onec_internal.card_rows_of_staged(server name)
	RETURNS TABLE (recorder uuid, recorder_type smallint, line_no int, copy smallint, product_id uuid,
				   amount numeric, card_id uuid, owner_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = on
AS $$
	SELECT l.recorder, l.recorder_type, l.line_no, l.copy, l.product_id, l.amount, l.card_id,
		   coalesce(l.owner_id, d.owner_id)
	FROM (SELECT DISTINCT t.server, t.recorder, t.recorder_type FROM pg_temp.onec_stage t) t
	JOIN onec_internal.card_sale_line l ON l.server = t.server AND l.recorder = t.recorder
		AND l.recorder_type = t.recorder_type
	LEFT JOIN onec.discount_card d ON d.server = $1 AND d.card_id = l.card_id
$$;
COMMENT ON FUNCTION onec_internal.card_rows_of_staged(name) IS
	'Продажи по картам прочитанных документов (служебная)';

-- What rows of one document have in common that may be the same sale: product and sum, each of which may be
-- unknown.  No product has the number of nothing, and no sum is not a number.
CREATE FUNCTION onec_internal.known_product(product_id uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(product_id, '00000000-0000-0000-0000-000000000000'::uuid);
COMMENT ON FUNCTION onec_internal.known_product(uuid) IS 'Товар, чтобы сравнивать и пустой (служебная)';
CREATE FUNCTION onec_internal.known_amount(amount numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(amount, 'NaN'::numeric);
COMMENT ON FUNCTION onec_internal.known_amount(numeric) IS 'Сумма, чтобы сравнивать и пустую (служебная)';

-- Whether a copy of a line is answered by this copy of a card row: the first by the first, and so on; copies
-- that the card row has no like of by its last.
CREATE FUNCTION onec_internal.is_same_twin(sold bigint, carded bigint, is_last boolean) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN sold = carded OR (is_last AND sold > carded);
COMMENT ON FUNCTION onec_internal.is_same_twin(bigint, bigint, boolean) IS
	'Отвечает ли экземпляр строки по карте экземпляру строки продажи (служебная)';

-- What the register of card sales tells of the staged rows.  A shift report has rows of many people, and
-- rows may be alike (document, product, amount), so they are matched in three turns.  Example: a report has
-- three rings of 2000.
--
--	row 1  of Anna          card row 1  Anna's card
--	row 2  of nobody        card row 2  Boris' card
--	row 3  of nobody
--
-- First rows get the card rows of their own customer: row 1 is by Anna's card.  Then rows of nobody get
-- those that are left, the n-th the n-th: row 2 is Boris'.  Row 3 is left over.  It stays anonymous, for
-- the document is of two cards.  Had both card rows been Boris', and each row of the document been like one
-- of his (then it is of one buyer), row 3 would be his as well.
--
-- A row whose key came twice is one line in two copies, and counts once: else those behind it would get the
-- card rows of their neighbours.  What is left over of a line, one of whose copies has its buyer ("taken"),
-- is for copies of such lines alone.
CREATE FUNCTION onec_internal.attribute_by_card_register(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	-- of rows made in the query the planner knows nothing, and takes them for few
	SET enable_nestloop = off SET jit = off
AS $$
	WITH sold AS MATERIALIZED (
		SELECT t.ctid AS place, t.customer_id, t.card_id, t.attribution, t.line_no, t.recorder,
			   t.recorder_type, onec_internal.known_product(t.product_id) AS product,
			   onec_internal.known_amount(t.amount) AS amount,
			   dense_rank() OVER (PARTITION BY t.recorder, t.recorder_type, t.product_id, t.amount,
								  t.customer_id ORDER BY t.line_no) AS n,
			   row_number() OVER (PARTITION BY t.recorder, t.recorder_type, t.product_id, t.amount,
								  t.customer_id, t.line_no ORDER BY t.copy, t.ctid) AS twin
		FROM pg_temp.onec_stage t),
	carded AS MATERIALIZED (
		SELECT l.line_no, l.copy, l.recorder, l.recorder_type,
			   onec_internal.known_product(l.product_id) AS product,
			   onec_internal.known_amount(l.amount) AS amount, l.card_id, l.owner_id,
			   dense_rank() OVER (PARTITION BY l.recorder, l.recorder_type, l.product_id, l.amount,
								  l.owner_id ORDER BY l.line_no) AS n,
			   row_number() OVER line AS twin, lead(l.copy) OVER line IS NULL AS is_last
		FROM onec_internal.card_rows_of_staged($1) l
		WINDOW line AS (PARTITION BY l.recorder, l.recorder_type, l.product_id, l.amount, l.owner_id,
						l.line_no ORDER BY l.copy)),
	one_buyer AS (
		SELECT c.recorder, c.recorder_type FROM carded c GROUP BY 1, 2
		HAVING min(c.card_id::text) = max(c.card_id::text) AND count(c.card_id) = count(*)
		EXCEPT SELECT o.recorder, o.recorder_type FROM sold o
		WHERE NOT EXISTS (SELECT FROM carded c
						  WHERE (c.recorder, c.recorder_type, c.product, c.amount)
								= (o.recorder, o.recorder_type, o.product, o.amount))),
	own AS (SELECT o.place, c.recorder, c.recorder_type, c.product, c.amount, o.line_no AS sold_line,
				   c.line_no, c.card_id, c.owner_id
			FROM sold o JOIN carded c ON (c.recorder, c.recorder_type, c.product, c.amount)
										 = (o.recorder, o.recorder_type, o.product, o.amount)
				AND c.owner_id = o.customer_id AND c.n = o.n
				AND onec_internal.is_same_twin(o.twin, c.twin, c.is_last)),
	spare AS (
		SELECT c.recorder, c.recorder_type, c.product, c.amount, c.card_id, c.owner_id,
			   t.line_no IS NOT NULL AS is_taken,
			   dense_rank() OVER (PARTITION BY c.recorder, c.recorder_type, c.product, c.amount,
								  t.line_no IS NULL ORDER BY c.line_no) AS turn,
			   row_number() OVER line AS twin, lead(c.copy) OVER line IS NULL AS is_last
		FROM carded c
		LEFT JOIN (SELECT DISTINCT w.recorder, w.recorder_type, w.product, w.amount, w.line_no FROM own w) t
			ON (t.recorder, t.recorder_type, t.product, t.amount, t.line_no)
			   = (c.recorder, c.recorder_type, c.product, c.amount, c.line_no)
		WHERE NOT EXISTS (SELECT FROM own w
						  WHERE (w.recorder, w.recorder_type, w.product, w.amount, w.line_no, w.owner_id)
								= (c.recorder, c.recorder_type, c.product, c.amount, c.line_no, c.owner_id))
		WINDOW line AS (PARTITION BY c.recorder, c.recorder_type, c.product, c.amount, c.line_no
						ORDER BY c.copy)),
	nobodys AS (SELECT o.*, t.sold_line IS NOT NULL AS is_taken,
					   dense_rank() OVER (PARTITION BY o.recorder, o.recorder_type, o.product, o.amount,
										  t.sold_line IS NULL ORDER BY o.line_no) AS turn
				FROM sold o
				LEFT JOIN (SELECT DISTINCT w.recorder, w.recorder_type, w.product, w.amount, w.sold_line
						   FROM own w) t
					ON (t.recorder, t.recorder_type, t.product, t.amount, t.sold_line)
					   = (o.recorder, o.recorder_type, o.product, o.amount, o.line_no)
				WHERE o.customer_id IS NULL AND o.attribution = onec_internal.own_term('anonymous'))
	UPDATE pg_temp.onec_stage s
	SET customer_id = coalesce(s.customer_id, r.owner_id), card_id = coalesce(s.card_id, r.card_id),
		attribution = CASE WHEN s.attribution = onec_internal.own_term('anonymous')
						   THEN onec_internal.own_term('card_register') ELSE s.attribution END
	FROM (SELECT w.place, w.card_id, w.owner_id FROM own w
		  UNION ALL
		  SELECT o.place, p.card_id, p.owner_id FROM nobodys o
		  JOIN spare p ON (p.recorder, p.recorder_type, p.product, p.amount, p.is_taken, p.turn)
						  = (o.recorder, o.recorder_type, o.product, o.amount, o.is_taken, o.turn)
			  AND onec_internal.is_same_twin(o.twin, p.twin, p.is_last)
		  UNION ALL
		  SELECT o.place, c.card_id, c.owner_id FROM nobodys o
		  JOIN one_buyer b ON b.recorder = o.recorder AND b.recorder_type = o.recorder_type
		  JOIN carded c ON (c.recorder, c.recorder_type, c.product, c.amount)
						   = (o.recorder, o.recorder_type, o.product, o.amount) AND c.n = 1 AND c.twin = 1
		  WHERE NOT EXISTS (SELECT FROM spare p
							WHERE (p.recorder, p.recorder_type, p.product, p.amount, p.is_taken, p.turn)
								  = (o.recorder, o.recorder_type, o.product, o.amount, o.is_taken,
									 o.turn))) r
	WHERE s.ctid = r.place AND r.card_id IS NOT NULL
	  AND (s.card_id IS NULL OR s.attribution = onec_internal.own_term('anonymous'))
$$;
COMMENT ON FUNCTION onec_internal.attribute_by_card_register(name) IS
	'Определить покупателя по регистру продаж по картам (служебная)';

-- Who bought: the counterparty of the row, else the owner of its card, else what the register of card sales
-- tells. A row without them is staged as anonymous.
CREATE FUNCTION onec_internal.attribute_staged_sales(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE pg_temp.onec_stage s SET customer_id = coalesce(s.customer_id, c.owner_id),
		attribution = onec_internal.own_term('card')
	FROM onec.discount_card c
	WHERE c.server = attribute_staged_sales.server AND c.card_id = s.card_id
	  AND s.attribution = onec_internal.own_term('anonymous');
	UPDATE pg_temp.onec_stage s SET attribution = onec_internal.own_term('card')
	WHERE s.card_id IS NOT NULL AND s.attribution = onec_internal.own_term('anonymous');
	IF NOT EXISTS (SELECT FROM onec_internal.card_sale_line l
				   WHERE l.server = onec_internal.number_of_server(attribute_staged_sales.server)) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.attribute_by_card_register(server);
END $$;
COMMENT ON FUNCTION onec_internal.attribute_staged_sales(name) IS
	'Определить покупателя прочитанных строк продаж (служебная)';

-- The documents whose lines are attributed by what a window changes, into pg_temp.onec_document, before it is
-- written: rows of card sales tell of their own documents, an owner that is new of all that his card has
-- bought.
CREATE FUNCTION onec_internal.note_documents_to_attribute(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	touches text[] := onec_internal.what_target_touches(target);
	number smallint := onec_internal.number_of_server(server);
BEGIN
	IF to_regclass('pg_temp.onec_document') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_document;
	END IF;
	IF 'documents' = ANY (touches) THEN
		CREATE TEMPORARY TABLE onec_document ON COMMIT DROP AS
			SELECT coalesce(s.recorder, c.recorder) AS recorder,
				   coalesce(s.recorder_type, c.recorder_type) AS recorder_type
			FROM pg_temp.onec_change c LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place GROUP BY 1, 2;
	ELSIF 'documents of cards' = ANY (touches) THEN
		CREATE TEMPORARY TABLE onec_document ON COMMIT DROP AS
			WITH card AS MATERIALIZED (
				SELECT s.card_id FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
				LEFT JOIN onec.discount_card d ON d.server = note_documents_to_attribute.server
					AND d.card_id = s.card_id
				WHERE d.owner_id IS DISTINCT FROM s.owner_id)
			SELECT l.recorder, l.recorder_type FROM card k JOIN onec_internal.sale_line l
				ON l.card_id = k.card_id AND l.server = number
					AND l.attribution = onec_internal.own_term('card')
			UNION
			SELECT l.recorder, l.recorder_type FROM card k JOIN onec_internal.card_sale_line l
				ON l.card_id = k.card_id AND l.server = number AND l.owner_id IS NULL;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_documents_to_attribute(name, text) IS
	'Отметить документы, у строк которых может смениться покупатель (служебная)';

-- Attribute the lines of pg_temp.onec_document anew, wherever they lie.  What the row itself had in 1C is
-- told by its attribution; the card of a row with a counterparty may be the row's own where 1C publishes one,
-- and is kept then.  Nobody loses a line here: it may be older than the card rows, which have another sum
-- already, until its own window is read.  That window takes it from him if it is right.
CREATE FUNCTION onec_internal.attribute_noted_documents(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own_card boolean := onec_internal.publishes_field(server, 'sale_line', 'card_id');
	lines bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_temp.onec_document) THEN
		RETURN;
	END IF;
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
		SELECT l.* FROM onec_internal.sale_line l
		JOIN pg_temp.onec_document d ON d.recorder = l.recorder AND d.recorder_type = l.recorder_type
		WHERE l.server = onec_internal.number_of_server(attribute_noted_documents.server)
		  AND l.register = onec_internal.own_term('sales');
	GET DIAGNOSTICS lines = ROW_COUNT;
	IF lines > 0 THEN
		UPDATE pg_temp.onec_stage s
		SET customer_id = CASE s.attribution WHEN onec_internal.own_term('counterparty')
							   THEN s.customer_id END,
			card_id = CASE WHEN s.attribution = onec_internal.own_term('card')
							OR s.attribution = onec_internal.own_term('counterparty')
						   AND own_card THEN s.card_id END,
			attribution = CASE s.attribution WHEN onec_internal.own_term('counterparty') THEN s.attribution
							   ELSE onec_internal.own_term('anonymous') END;
		ANALYZE pg_temp.onec_stage;
		PERFORM onec_internal.attribute_staged_sales(server);
		UPDATE pg_temp.onec_stage s
		SET customer_id = l.customer_id, card_id = l.card_id, attribution = l.attribution
		FROM onec_internal.sale_line l
		WHERE s.attribution = onec_internal.own_term('anonymous')
		  AND l.attribution = onec_internal.own_term('card_register') AND l.server = s.server
		  AND l.register = s.register AND l.recorder = s.recorder AND l.recorder_type = s.recorder_type
		  AND l.line_no = s.line_no AND l.copy = s.copy;
		PERFORM onec_internal.drop_forgotten_from_staged(server, 'sale_line');
		PERFORM onec_internal.compare_with_staged(server, 'sale_line', NULL);
		PERFORM onec_internal.write_differences(server, 'sale_line');
	END IF;
	DROP TABLE pg_temp.onec_stage, pg_temp.onec_document;
END $$;
COMMENT ON FUNCTION onec_internal.attribute_noted_documents(name) IS
	'Определить покупателя заново у строк отмеченных документов (служебная)';
-- Proof before deletion: rows that a reading lacks are believed gone only if 1C says so in other ways, too.
--
-- A reading that lacks nothing needs no proof.  Otherwise 1C's own count must equal what was read, and again
-- after whatever else was asked; what is missing is asked for by key, or by its days where 1C takes no key;
-- and where that cannot be, or is not enough, a second reading with other pages must give the same keys.
-- Each function says NULL, or what is wrong.

-- The number that 1C itself gives for windows of a target: by one request, or where it does not count them
-- together, by one each.
CREATE FUNCTION onec_internal.count_window_in_1c(server name, target text,
												 windows tsmultirange) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation regclass := onec_internal.foreign_table(server, target);
	date_column name := coalesce(onec_internal.date_column(target), '');
	from_list timestamp[] := ARRAY(
		SELECT CASE WHEN lower(w) <= onec_internal.first_moment() THEN '-infinity' ELSE lower(w) END
		FROM unnest(windows) w);
	till_list timestamp[] := ARRAY(
		SELECT CASE WHEN upper(w) >= onec_internal.last_moment() THEN 'infinity' ELSE upper(w) END
		FROM unnest(windows) w);
	counted bigint := 0;
BEGIN
	IF from_list <> '{}' THEN
		counted := onec_internal.count_in_1c(relation, date_column, from_list, till_list);
	END IF;
	IF counted IS NULL AND cardinality(from_list) > 1 THEN
		counted := 0;
		FOR i IN 1 .. cardinality(from_list) LOOP
			counted := counted + onec_internal.count_in_1c(relation, date_column, from_list[i:i],
														   till_list[i:i]);
			EXIT WHEN counted IS NULL;
		END LOOP;
	END IF;
	RETURN counted;
END $$;
COMMENT ON FUNCTION onec_internal.count_window_in_1c(name, text, tsmultirange) IS
	'Сколько строк окон насчитала сама 1С (служебная)';

CREATE FUNCTION onec_internal.count_window_in_1c(server name, target text, from_ts timestamp,
												 till_ts timestamp) RETURNS bigint
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN from_ts < till_ts
				THEN onec_internal.count_window_in_1c(server, target, tsmultirange(tsrange(from_ts, till_ts)))
				WHEN from_ts >= till_ts THEN 0 END;
COMMENT ON FUNCTION onec_internal.count_window_in_1c(name, text, timestamp, timestamp) IS
	'Сколько строк окна насчитала сама 1С (служебная)';

-- Whether rows that are missing in pg_temp.onec_change are in another temporary table, where they satisfy
-- "scope".
CREATE FUNCTION onec_internal.holds_missing_rows(target text, other text, scope text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	held boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (
			SELECT FROM (SELECT %1$s, count(*) AS copies
						 FROM (SELECT DISTINCT * FROM pg_temp.%2$I WHERE %3$s) s GROUP BY %1$s) s
			JOIN pg_temp.onec_change c ON (%1$s) = (%4$s) WHERE c.place IS NULL %5$s)',
		onec_internal.stage_key_columns(target, 's'), other, scope,
		onec_internal.stage_key_columns(target, 'c'),
		CASE WHEN onec_internal.has_copies(target) THEN 'AND c.copy < s.copies' END) INTO held;
	RETURN held;
END $$;
COMMENT ON FUNCTION onec_internal.holds_missing_rows(text, text, text) IS
	'Есть ли недостающие строки в другом чтении (служебная)';

-- Whether a temporary table has a key that is here.
CREATE FUNCTION onec_internal.holds_known_rows(server name, target text, other text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.%I s JOIN %s t ON t.server = %s AND (%s) = (%s))',
				   other, onec_internal.table_of_target(target),
				   onec_internal.server_in(onec_internal.table_of_target(target), server),
				   onec_internal.stage_key_columns(target, 't'),
				   onec_internal.stage_key_columns(target, 's')) INTO known;
	RETURN known;
END $$;
COMMENT ON FUNCTION onec_internal.holds_known_rows(name, text, text) IS
	'Есть ли в прочитанном строки, которые уже здесь (служебная)';

-- Whether the last reading turned pages by $skip, where rows can slip between two of them.
CREATE FUNCTION onec_internal.went_by_skip(server name, target text) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(r.by_skip, true) FROM onec_internal.last_reading($1, $2) r
$$;
COMMENT ON FUNCTION onec_internal.went_by_skip(name, text) IS
	'Листало ли последнее чтение через $skip (служебная)';

-- The conditions that ask for what is missing: 25 keys of the first thousand each where 1C compares the key;
-- else the days, where pages went by $skip; no rows where neither can be asked, or need not be.
CREATE FUNCTION onec_internal.questions_about_missing(server name, target text) RETURNS TABLE (condition text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	key name := (onec_internal.unit_columns(target))[1];
	date_column name := onec_internal.date_column(target);
BEGIN
	IF EXISTS (SELECT FROM pg_attribute a
			   WHERE a.attrelid = onec_internal.foreign_table(server, target) AND a.attname = key
			   AND a.atttypid = 'uuid'::regtype) AND NOT onec_internal.is_nested(server, target) THEN
		RETURN QUERY EXECUTE format('
			SELECT format(''f.%%I IN (%%s)'', %1$L, string_agg(quote_literal(u.key), '', '' ORDER BY u.key))
			FROM (SELECT k.key, row_number() OVER (ORDER BY k.key) - 1 AS n
				  FROM (SELECT DISTINCT c.%2$I AS key FROM pg_temp.onec_change c WHERE c.place IS NULL) k
				  ORDER BY k.key LIMIT 1000) u
			GROUP BY u.n / 25', key, key);
	ELSIF date_column IS NOT NULL AND NOT onec_internal.is_nested(server, target)
		AND onec_internal.went_by_skip(server, target) THEN
		RETURN QUERY EXECUTE format('
			WITH day AS MATERIALIZED (
				SELECT DISTINCT t.%1$I::date AS day FROM %2$s t JOIN pg_temp.onec_change c ON (%3$s) = (%4$s)
				WHERE t.server = %5$s AND c.place IS NULL AND t.%1$I IS NOT NULL)
			SELECT format(''f.%%1$I >= %%2$L::timestamp AND f.%%1$I < %%3$L::timestamp'', %1$L,
						  d.day, d.day + 1)
			FROM day d WHERE (SELECT count(*) FROM day) <= 31',
			date_column, tab, onec_internal.stage_key_columns(target, 't'),
			onec_internal.stage_key_columns(target, 'c'), onec_internal.server_in(tab, server));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.questions_about_missing(name, text) IS
	'Условия, которыми спрашивается о недостающих строках (служебная)';

-- Ask for what is missing.  "asked" is false where that cannot be done; "there" where 1C still has some of
-- it.
CREATE FUNCTION onec_internal.ask_for_missing_rows(server name, target text, scope text, OUT asked boolean,
												   OUT there boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	question text;
BEGIN
	asked := false;
	there := false;
	FOR question IN SELECT q.condition FROM onec_internal.questions_about_missing(server, target) q LOOP
		PERFORM onec_internal.stage_rows(server, target, question, '', 'onec_found');
		asked := coalesce((SELECT r.filtered FROM onec_internal.last_reading(server, target) r), true);
		there := onec_internal.holds_missing_rows(target, 'onec_found', scope);
		EXIT WHEN there OR NOT asked;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.ask_for_missing_rows(name, text, text) IS
	'Спросить 1С о недостающих строках (служебная)';

-- Read the rows of a condition once more, cut into other pages, into pg_temp.onec_again; no page is the last
-- because it is short, or a base that cuts them all would tell the same twice.  Returns how many differ.
CREATE FUNCTION onec_internal.stage_rows_again(server name, target text, condition text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_fdw.page_size = 0 SET onec_fdw.short_page_ends = off
AS $$
BEGIN
	PERFORM set_config('onec_fdw.page_size',
					   greatest(61 * coalesce((SELECT r.page_rows
											   FROM onec_internal.last_reading(server, target) r), 1000)
		/ 100, 1)::text, true);
	PERFORM onec_internal.stage_rows(server, target, condition, '', 'onec_again');
	RETURN (SELECT count(*) FROM (SELECT DISTINCT * FROM pg_temp.onec_again) d);
END $$;
COMMENT ON FUNCTION onec_internal.stage_rows_again(name, text, text) IS
	'Прочитать строки ещё раз другими страницами (служебная)';

-- Does another reading of the window give the same keys?
CREATE FUNCTION onec_internal.second_reading_agrees(server name, target text, scope text,
													keys bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	same boolean := onec_internal.stage_rows_again(server, target, scope) = keys;
BEGIN
	IF same THEN
		EXECUTE format('SELECT NOT EXISTS (
			SELECT %1$s FROM pg_temp.onec_stage s EXCEPT SELECT %1$s
			FROM pg_temp.onec_again s)', onec_internal.stage_key_columns(target, 's')) INTO same;
	END IF;
	RETURN same AND NOT onec_internal.holds_missing_rows(target, 'onec_again', 'true');
END $$;
COMMENT ON FUNCTION onec_internal.second_reading_agrees(name, text, text, bigint) IS
	'Прочитать окно ещё раз и сравнить ключи (служебная)';

-- Whether so many rows that 1C counts beyond the different ones are the like of others: a page of the first
-- reading had them, or one of the second, which was the last.  A row that came with two pages may stand in
-- the place of another.
CREATE FUNCTION onec_internal.are_surplus_rows_alike(server name, target text, more bigint,
													 alike bigint) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN more = greatest(alike, (SELECT r.twice FROM onec_internal.last_reading(server, target) r));
COMMENT ON FUNCTION onec_internal.are_surplus_rows_alike(name, text, bigint, bigint) IS
	'Одинаковы ли лишние по счёту 1С строки с другими (служебная)';

-- Rows nested in their recorders: the recorders alone are read, and must be as many as 1C counts and hold all
-- that were read with their rows.  Rows of a recorder that is there, but came without any, are in doubt.
CREATE FUNCTION onec_internal.recorders_agree(server name, target text, counted bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	agree boolean;
BEGIN
	EXECUTE format('CREATE TEMPORARY TABLE onec_recorder ON COMMIT DROP AS
		SELECT onec_internal.reference_uuid(f.recorder::text) AS recorder
		FROM %s f', onec_internal.foreign_table(server, target));
	agree := (SELECT count(*) FROM pg_temp.onec_recorder) = coalesce(counted,
		(SELECT count(*) FROM pg_temp.onec_recorder))
		AND NOT EXISTS (SELECT s.recorder FROM pg_temp.onec_stage s EXCEPT SELECT r.recorder
						FROM pg_temp.onec_recorder r)
		AND NOT EXISTS (
			SELECT FROM pg_temp.onec_change c JOIN pg_temp.onec_recorder r ON r.recorder = c.recorder
			WHERE c.place IS NULL AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s
												  WHERE s.recorder = c.recorder));
	DROP TABLE pg_temp.onec_recorder;
	RETURN agree;
END $$;
COMMENT ON FUNCTION onec_internal.recorders_agree(name, text, bigint) IS
	'Сверить регистраторы вложенных наборов записей (служебная)';

-- Rows here that the window holds, whether one of them was read, and how many are missing.
CREATE FUNCTION onec_internal.held_and_missing_rows(server name, target text, scope text, OUT held bigint,
													OUT shared boolean, OUT missing bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
BEGIN
	missing := (SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL);
	EXECUTE format('SELECT count(*) FROM %s WHERE server = %s AND (%s) %s', tab,
				   onec_internal.server_in(tab, server), scope,
				   CASE WHEN onec_internal.has_deletion_mark(target) THEN 'AND NOT is_deleted' END) INTO held;
	shared := onec_internal.holds_known_rows(server, target, 'onec_stage');
END $$;
COMMENT ON FUNCTION onec_internal.held_and_missing_rows(name, text, text) IS
	'Сколько строк окна здесь и скольких из них не прочитано (служебная)';

-- Whether 1C knows none of the rows that are here nearest to a window: those before it, else those behind.
-- Nor its own ones, which may have got another date: they wait, read in another window of the step, or 1C
-- finds them by key.
CREATE FUNCTION onec_internal.is_strange_beside(server name, target text, from_ts timestamp,
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
	EXECUTE format('SELECT min(x.at), max(x.at) FROM (
			SELECT * FROM (SELECT %1$I AS at FROM %2$s WHERE server = %3$s AND %1$I < $1
						   ORDER BY %1$I DESC LIMIT 20) x
			UNION ALL SELECT * FROM (SELECT %1$I FROM %2$s WHERE server = %3$s AND %1$I >= $2
									 ORDER BY %1$I LIMIT 20) x
				WHERE NOT EXISTS (SELECT FROM %2$s WHERE server = %3$s AND %1$I < $1)) x', date_column, tab,
				   onec_internal.server_in(tab, server))
		INTO beside USING from_ts, till_ts;
	IF beside.min IS NOT NULL THEN
		PERFORM onec_internal.stage_rows(server, target,
										 format('f.%1$I >= %2$L::timestamp AND f.%1$I <= %3$L::timestamp',
												date_column, beside.min, beside.max), '', 'onec_found');
		known := onec_internal.holds_known_rows(server, target, 'onec_found');
	END IF;
	IF NOT known AND to_regclass('pg_temp.onec_waiting_row') IS NOT NULL THEN
		known := onec_internal.holds_missing_rows(target, 'onec_waiting_row', 'true');
	END IF;
	IF NOT known THEN
		known := (SELECT m.there FROM onec_internal.ask_for_missing_rows(server, target, 'true') m);
	END IF;
	RETURN NOT known;
END $$;
COMMENT ON FUNCTION onec_internal.is_strange_beside(name, text, timestamp, timestamp) IS
	'Не знает ли 1С и строк рядом с окном (служебная)';

-- An answer of nothing, or of nothing that is known here, is another base's or nobody's: of a whole set, read
-- at once or in windows, it takes "force" to believe that, and to write anything of it.  NULL: it is this
-- base's; else why not.
CREATE FUNCTION onec_internal.why_strange(server name, target text, scope text, from_ts timestamp,
										  till_ts timestamp, force boolean)
	RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	here record;
BEGIN
	IF force THEN
		RETURN NULL;
	END IF;
	SELECT * INTO here FROM onec_internal.held_and_missing_rows(server, target, scope);
	IF NOT here.shared
		AND (scope = 'true' OR here.held >= 50
			 OR onec_internal.is_strange_beside(server, target, from_ts, till_ts)) THEN
		RETURN format('%s of %s rows would go, and no row read is one of them', here.missing, here.held);
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.why_strange(name, text, text, timestamp, timestamp, boolean) IS
	'Почему ответ похож на ответ другой базы; NULL — не похож (служебная)';

-- Is what pg_temp.onec_change lacks gone in 1C?  "read" rows came, "keys" of them are not alike, "alike" came
-- beside their like in one page.  NULL: proven; else why not.  Where others wait already, rows are counted
-- for all of them together, see onec_internal.settle_waiting.
CREATE FUNCTION onec_internal.why_unproven(server name, target text, from_ts timestamp, till_ts timestamp,
										   scope text, read bigint,
										   keys bigint, alike bigint, counted_later boolean) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	nested boolean := onec_internal.is_nested(server, target);
	missing bigint := (SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL);
	counted bigint;
	ask record;
	suspicious boolean := false;
	twice boolean;
BEGIN
	counted := CASE WHEN counted_later THEN keys
					ELSE onec_internal.count_window_in_1c(server, target, from_ts, till_ts) END;
	IF nested THEN
		IF NOT onec_internal.recorders_agree(server, target, counted) THEN
			RETURN 'the recorders read are not those that 1C has';
		END IF;
	ELSIF counted <> keys AND counted <> read THEN
		RETURN format('1C counts %s rows, %s were read', counted, keys);
	END IF;
	SELECT * INTO ask FROM onec_internal.ask_for_missing_rows(server, target, scope);
	IF ask.there THEN
		RETURN 'rows that were missing are there when asked for';
	END IF;
	IF missing >= 50 THEN
		suspicious := missing >= onec.get('sync.suspicious_share', server)::numeric
			* (SELECT h.held FROM onec_internal.held_and_missing_rows(server, target, scope) h);
	END IF;
	-- a row that came with two values may stand in the place of another
	twice := counted IS NULL OR counted <> keys AND NOT nested OR suspicious OR missing > 1000
		OR onec_internal.any_differing_doubles()
		OR NOT ask.asked AND NOT nested AND onec_internal.went_by_skip(server, target);
	IF twice AND NOT onec_internal.second_reading_agrees(server, target, scope, keys) THEN
		RETURN 'a second reading gave other rows';
	ELSIF counted <> keys AND NOT nested
		AND NOT onec_internal.are_surplus_rows_alike(server, target, counted - keys, alike) THEN
		RETURN format('1C counts %s rows, %s were read that differ', counted, keys);
	END IF;
	-- a second number is news only where something was asked after the first
	IF (ask.asked OR twice OR nested) AND NOT counted_later
		AND counted <> onec_internal.count_window_in_1c(server, target, from_ts, till_ts) THEN
		RETURN 'the number of rows changed meanwhile';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.why_unproven(name, text, timestamp, timestamp, text, bigint, bigint,
											   bigint, boolean) IS
	'Доказать, что недостающих строк в 1С нет: NULL или почему не доказано (служебная)';
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
-- One window of one table: read, compared, proven where rows would go, written.

-- Note what a window leaves in doubt, in place of what earlier readings of its time left; found 0: nothing.
CREATE FUNCTION onec_internal.note_doubt(server name, target text, kind text, from_ts timestamp,
										 till_ts timestamp, found bigint, reason text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM onec_internal.sync_doubt d
	WHERE d.server = $1 AND d.target = $2 AND d.kind = $3 AND d.from_ts >= $4 AND d.till_ts <= $5;
	IF $6 > 0 THEN
		INSERT INTO onec_internal.sync_doubt AS d (server, target, kind, from_ts, till_ts, found, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT ON CONSTRAINT sync_doubt_pkey DO UPDATE
		SET till_ts = greatest(d.till_ts, excluded.till_ts), found = excluded.found, reason = excluded.reason,
			found_at = excluded.found_at;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_doubt(name, text, text, timestamp, timestamp, bigint, text) IS
	'Записать, в чём окно ненадёжно (служебная)';

CREATE FUNCTION onec_internal.reason_two_rows() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'rows that differ have one key in 1C';
COMMENT ON FUNCTION onec_internal.reason_two_rows() IS
	'Чем объясняется сомнение в ключах с несколькими строками (служебная)';

-- Who bought, and who is forgotten; then what differs: how many rows.
CREATE FUNCTION onec_internal.complete_and_compare(server name, target text, scope text,
												   fresh boolean DEFAULT false) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.has_buyer(target) THEN
		-- one column will do: the planner looks how many rows there are, and makes its plans anew
		ANALYZE pg_temp.onec_stage (server);
		PERFORM onec_internal.attribute_staged_sales(server);
	END IF;
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	RETURN onec_internal.compare_with_staged(server, target, scope, fresh);
END $$;
COMMENT ON FUNCTION onec_internal.complete_and_compare(name, text, text, boolean) IS
	'Дополнить прочитанное и сравнить с тем, что здесь (служебная)';

-- Whether the keys of pg_temp.onec_twice are known to have several rows: they had them in the reading before,
-- or are here so.
CREATE FUNCTION onec_internal.are_doubles_known(server name, target text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known boolean := true;
	keys text := onec_internal.stage_key_columns(target, 'k');
BEGIN
	IF NOT onec_internal.any_differing_doubles() THEN
		RETURN true;
	END IF;
	IF to_regclass('pg_temp.onec_before') IS NULL THEN
		CREATE TEMPORARY TABLE onec_before ON COMMIT DROP AS SELECT * FROM pg_temp.onec_twice LIMIT 0;
	END IF;
	IF onec_internal.has_copies(target) THEN
		EXECUTE format('SELECT NOT EXISTS (SELECT FROM pg_temp.onec_twice k
				WHERE NOT EXISTS (SELECT FROM pg_temp.onec_before b WHERE (%1$s) = (%2$s))
				  AND NOT EXISTS (SELECT FROM %3$s t
								  WHERE t.server = %4$s AND (%1$s) = (%5$s) AND t.copy > 0))', keys,
			onec_internal.stage_key_columns(target, 'b'), onec_internal.table_of_target(target),
			onec_internal.server_in(onec_internal.table_of_target(target), server),
			onec_internal.stage_key_columns(target, 't'))
		INTO known;
	ELSE
		EXECUTE format('SELECT NOT EXISTS (SELECT FROM pg_temp.onec_twice k
				WHERE NOT EXISTS (SELECT FROM pg_temp.onec_before b
								  WHERE (%s) = (%s)))', keys, onec_internal.stage_key_columns(target, 'b'))
		INTO known;
	END IF;
	RETURN known;
END $$;
COMMENT ON FUNCTION onec_internal.are_doubles_known(name, text) IS
	'Известно ли, что у этих ключей несколько строк (служебная)';

-- Take the keys that came twice for the next reading's judgement.
CREATE FUNCTION onec_internal.remember_doubles() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_before') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_before;
	END IF;
	ALTER TABLE pg_temp.onec_twice RENAME TO onec_before;
END $$;
COMMENT ON FUNCTION onec_internal.remember_doubles() IS 'Запомнить ключи, прочитанные дважды (служебная)';

-- How many keys pg_temp.onec_stage has, of the rows that came in so many pages; NULL: not counted.  Only
-- between two pages can a row come twice unseen.
CREATE FUNCTION onec_internal.count_different_keys(server name, target text, pages bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys bigint;
BEGIN
	IF coalesce(pages, 2) > 1 AND onec_internal.deletion_waits_for_end(server, target) THEN
		EXECUTE format('SELECT count(*) FROM (SELECT DISTINCT %s FROM pg_temp.onec_stage s) k',
					   onec_internal.stage_key_columns(target, 's')) INTO keys;
	END IF;
	RETURN keys;
END $$;
COMMENT ON FUNCTION onec_internal.count_different_keys(name, text, bigint) IS
	'Сколько разных ключей прочитано (служебная)';

-- Whether the store can differ from the staged rows only by lacking them: no row of "scope" is here, nor one
-- of a document that waits or stands in time which the step has not read, and nobody has been folded whom new
-- rows would touch.  So it is in a first load, where comparing costs more than writing.
CREATE FUNCTION onec_internal.is_all_new(server name, target text, scope text, later tsrange) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	touches text[] := onec_internal.what_target_touches(target);
	tab text := onec_internal.table_of_target(target);
	any_here boolean;
BEGIN
	IF scope IS NULL
		OR touches && '{documents,documents of cards}'
			AND EXISTS (SELECT FROM onec.sale_line l WHERE l.server = is_all_new.server)
		OR touches <> '{}' AND (
			EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = is_all_new.server)
			OR EXISTS (SELECT FROM onec_internal.profile_state p WHERE p.server = is_all_new.server)) THEN
		RETURN false;
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE server = %s AND (%s))',
				   tab, onec_internal.server_in(tab, server), scope) INTO any_here;
	RETURN NOT any_here
		AND (later IS NULL OR onec_internal.half_documents_query(server, target, later) IS NULL);
END $$;
COMMENT ON FUNCTION onec_internal.is_all_new(name, text, text, tsrange) IS
	'Все ли прочитанные строки новые, как при первой загрузке (служебная)';

-- Read the rows of a condition and compare them with "scope": "differ" rows are not as here, "alike" ones
-- came beside their like in one page, "surplus" ones have a key that others have.  Whoever wants to know
-- which keys came twice looks when something differs, and always where that has happened before; rows that
-- differ are then read once more.  "fresh": all rows are new, and nothing was compared.
CREATE FUNCTION onec_internal.read_window(server name, target text, condition text, scope text, later tsrange,
										  OUT read bigint, OUT keys bigint, OUT alike bigint,
										  OUT surplus bigint, OUT differ bigint, OUT numbered bigint,
										  OUT holes bigint, OUT doubt text, OUT fresh boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	careful boolean := EXISTS (SELECT FROM onec_internal.sync_doubt d
							   WHERE d.server = read_window.server AND d.target = read_window.target
								 AND d.kind = 'twice');
	went record;
	staged bigint;
	counted bigint;
BEGIN
	FOR attempt IN 1 .. 2 LOOP
		staged := onec_internal.stage_rows(server, target, condition);
		SELECT * INTO went FROM onec_internal.last_reading(server, target);
		alike := went.twice;
		read := staged + alike;
		holes := onec_internal.keep_lacking_values(server, target, went.lacked);
		counted := onec_internal.count_different_keys(server, target, went.pages);
		keys := coalesce(counted, staged);
		numbered := 0;
		surplus := 0;
		IF careful THEN
			keys := read - alike - onec_internal.drop_equal_doubles(target, counted = staged);
			surplus := keys - coalesce(onec_internal.count_different_keys(server, target, NULL), keys);
			IF NOT onec_internal.are_doubles_known(server, target) AND attempt = 1 THEN
				PERFORM onec_internal.remember_doubles();
				CONTINUE;
			END IF;
			IF onec_internal.are_doubles_known(server, target) OR NOT onec_internal.has_copies(target) THEN
				numbered := onec_internal.number_differing_doubles(server, target);
			ELSE
				doubt := 'rows of one key differ from reading to reading';
			END IF;
			IF later IS NOT NULL THEN
				numbered := numbered
					+ onec_internal.number_across_windows(server, target, scope,
														  onec_internal.sure_row_condition(server, target,
															  later), true);
			END IF;
		END IF;
		fresh := NOT careful AND onec_internal.is_all_new(server, target, scope, later);
		differ := onec_internal.complete_and_compare(server, target, scope, fresh)
			+ CASE WHEN fresh THEN staged ELSE 0 END;
		EXIT WHEN careful OR differ = 0;
		keys := read - alike - onec_internal.drop_equal_doubles(target, counted = staged);
		IF onec_internal.any_differing_doubles() THEN
			PERFORM onec_internal.remember_doubles();
			careful := true;
			CONTINUE;
		END IF;
		IF keys <> read - alike AND NOT fresh THEN
			differ := onec_internal.compare_with_staged(server, target, scope);
		END IF;
		EXIT;
	END LOOP;
	IF numbered = 0 AND doubt IS NULL AND to_regclass('pg_temp.onec_twice') IS NOT NULL THEN
		DELETE FROM pg_temp.onec_twice;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.read_window(name, text, text, text, tsrange) IS
	'Прочитать окно и разобраться с повторами ключей (служебная)';

-- The temporary tables of a window; but for those that the windows of a step have in common, if they are to
-- be kept.
CREATE FUNCTION onec_internal.drop_window_tables(all_of_step boolean DEFAULT true) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text;
BEGIN
	FOREACH tab IN ARRAY '{onec_twice,onec_before}'::text[]
		|| CASE WHEN all_of_step THEN '{onec_stage,onec_change,onec_found,onec_again}'::text[] END LOOP
		IF to_regclass('pg_temp.' || tab) IS NOT NULL THEN
			EXECUTE format('DROP TABLE pg_temp.%I', tab);
			PERFORM set_config('onec_internal.' || tab, '', false);
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.drop_window_tables(boolean) IS 'Убрать временные таблицы окна (служебная)';

-- Write what pg_temp.onec_change says, or where that is all new, what is staged; and what follows from it for
-- the buyers of other windows.
CREATE FUNCTION onec_internal.write_window(server name, target text, sure text DEFAULT 'false',
										   fresh boolean DEFAULT false,
										   OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
										   OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attributes boolean := EXISTS (SELECT FROM pg_temp.onec_change)
		AND onec_internal.what_target_touches(target) && '{documents,documents of cards}'
		AND EXISTS (SELECT FROM onec.sale_line l WHERE l.server = write_window.server)
		AND to_regclass(format('%I.sale_line', server)) IS NOT NULL;
BEGIN
	IF fresh THEN
		SELECT a.inserted, 0, 0, a.left_out INTO inserted, updated, deleted, left_out
		FROM onec_internal.write_new_rows(target) a;
		RETURN;
	END IF;
	IF attributes THEN
		PERFORM onec_internal.note_documents_to_attribute(server, target);
	END IF;
	SELECT a.inserted, a.updated, a.deleted, a.left_out INTO inserted, updated, deleted, left_out
	FROM onec_internal.write_differences(server, target, sure) a;
	IF attributes THEN
		PERFORM onec_internal.drop_window_tables();
		PERFORM onec_internal.attribute_noted_documents(server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.write_window(name, text, text, boolean) IS
	'Записать отличия окна и заново определить покупателей (служебная)';

-- Whether what a window of the target would take away waits for the other windows of the step: a document
-- that 1C has moved between two of them may be missing in one only because the other was read badly.
CREATE FUNCTION onec_internal.deletion_waits_for_end(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN onec_internal.date_column(target) IS NOT NULL AND NOT onec_internal.is_nested(server, target);
END $$;
COMMENT ON FUNCTION onec_internal.deletion_waits_for_end(name, text) IS
	'Ждут ли удаления окна конца шага (служебная)';

-- How many of the rows of a window, of which some have one key, count beside what 1C counts in all windows,
-- see onec_internal.why_unsettled: one too many would stand for one that is missing elsewhere.  Rows that are
-- alike count for two where 1C counts them so, and another reading has the same; those that differ where its
-- number does not gainsay it; in doubt, each key counts once.
CREATE FUNCTION onec_internal.rows_that_1c_counts(server name, target text, condition text, from_ts timestamp,
												  till_ts timestamp, read bigint, keys bigint, alike bigint,
												  surplus bigint, in_doubt boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counted bigint := onec_internal.count_window_in_1c(server, target, from_ts, till_ts);
BEGIN
	IF keys <> read AND counted = read
		AND onec_internal.second_reading_agrees(server, target, condition, keys)
		AND onec_internal.are_surplus_rows_alike(server, target, read - keys, alike) THEN
		RETURN read;
	END IF;
	RETURN keys - CASE WHEN in_doubt OR counted <> keys THEN surplus ELSE 0 END;
END $$;
COMMENT ON FUNCTION onec_internal.rows_that_1c_counts(name, text, text, timestamp, timestamp, bigint, bigint,
													  bigint, bigint, boolean) IS
	'Сколько строк окна считаются в сумме всех окон (служебная)';

-- Make the rows of "scope" equal to those that 1C has for "condition"; without a scope nothing is taken for
-- deleted.  The times say what 1C is to count; NULL: it cannot.  "doubt" says why rows that were missing are
-- still here, "kept" how many; "numbered" tells of keys that have several rows.  With "later", documents that
-- lose rows, or of which other days have a part, wait for onec_internal.settle_waiting.
CREATE FUNCTION onec_internal.sync_part_of_table(server name, target text, condition text, scope text,
												 from_ts timestamp, till_ts timestamp,
												 force boolean, later tsrange, OUT read bigint,
												 OUT keys bigint, OUT inserted bigint,
												 OUT updated bigint, OUT deleted bigint, OUT doubt text,
												 OUT kept bigint, OUT numbered bigint,
												 OUT holes bigint, OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w record;
	missing boolean;
	strange text;
BEGIN
	kept := 0;
	FOR attempt IN 1 .. 2 LOOP
		PERFORM onec_internal.drop_window_tables(false);
		SELECT * INTO w FROM onec_internal.read_window(server, target, condition, scope, later);
		read := w.read;
		keys := w.keys;
		numbered := w.numbered;
		doubt := w.doubt;
		holes := w.holes;
		missing := w.differ > 0 AND EXISTS (SELECT FROM pg_temp.onec_change c WHERE c.place IS NULL);
		strange := NULL;
		EXIT WHEN NOT missing;
		IF numbered > 0 AND NOT onec_internal.has_copies(target) THEN
			doubt := 'several objects have one key';
		END IF;
		doubt := coalesce(doubt, onec_internal.why_unproven(server, target, from_ts, till_ts, scope, w.read,
															w.keys, w.alike,
			later IS NOT NULL AND onec_internal.any_documents_wait()));
		strange := onec_internal.why_strange(server, target, scope, from_ts, till_ts, force);
		doubt := coalesce(strange, doubt);
		EXIT WHEN doubt IS NULL;
	END LOOP;
	IF later IS NOT NULL AND (keys <> read OR w.surplus > 0) THEN
		keys := onec_internal.rows_that_1c_counts(server, target, condition, from_ts, till_ts, read, keys,
												  w.alike, w.surplus, doubt IS NOT NULL);
	END IF;
	IF doubt IS NOT NULL THEN
		kept := greatest(onec_internal.withhold_deletion(server, target, coalesce(scope, 'false'),
														 later, true), 1);
		IF strange IS NOT NULL THEN
			DELETE FROM pg_temp.onec_change;
		END IF;
	ELSIF w.differ > 0 AND later IS NOT NULL
		AND (missing OR onec_internal.any_half_documents(server, target, later)) THEN
		kept := greatest(onec_internal.withhold_deletion(server, target, scope, later, false), 1);
	END IF;
	IF w.differ = 0 THEN
		PERFORM onec_internal.drop_window_tables(false);
		SELECT 0, 0, 0, 0 INTO inserted, updated, deleted, left_out;
		RETURN;
	END IF;
	SELECT x.inserted, x.updated, x.deleted, x.left_out INTO inserted, updated, deleted, left_out
	FROM onec_internal.write_window(server, target,
									CASE WHEN later IS NULL OR w.fresh THEN 'false'
										 ELSE onec_internal.sure_row_condition(server, target, later) END,
									w.fresh) x;
END $$;
COMMENT ON FUNCTION onec_internal.sync_part_of_table(name, text, text, text, timestamp, timestamp,
													 boolean, tsrange) IS
	'Сделать часть местной таблицы равной прочитанному (служебная)';

-- Replace one window, from "from_ts" to before "till_ts", the ends of time for what is read whole.  With
-- "part_of", a condition that leaves out rows, nothing is taken for deleted.
CREATE FUNCTION onec_internal.sync_window(server name, target text, from_ts timestamp, till_ts timestamp,
										  part_of text, force boolean,
										  OUT read bigint, OUT keys bigint, OUT inserted bigint,
										  OUT updated bigint, OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	condition text := onec_internal.window_condition(target, from_ts, till_ts);
	whole text := concat_ws(' AND ', condition, part_of);
	scope text := CASE WHEN part_of IS NULL THEN condition END;
	later tsrange := CASE WHEN part_of IS NULL AND onec_internal.deletion_waits_for_end(server, target)
						  THEN tsrange(from_ts, till_ts) END;
	first record;
	hole constant text := 'rows came without a property that others have';
	w record;
BEGIN
	SELECT * INTO w FROM onec_internal.sync_part_of_table(server, target, whole, scope, from_ts, till_ts,
														  force, later);
	IF w.left_out > 0 THEN
		-- keys that the other windows have, too: the window is read with an eye on them
		PERFORM onec_internal.note_doubt(server, target, 'twice', from_ts, till_ts, w.left_out,
										 onec_internal.reason_two_rows());
		first := w;
		SELECT * INTO w FROM onec_internal.sync_part_of_table(server, target, whole, scope, from_ts, till_ts,
															  force, later);
		w.inserted := w.inserted + first.inserted;
		w.updated := w.updated + first.updated;
		w.deleted := w.deleted + first.deleted;
		w.doubt := coalesce(w.doubt, first.doubt,
							CASE WHEN w.left_out > 0 AND onec_internal.has_copies(target) THEN
			'documents have moved while they were read' END);
		w.kept := greatest(w.kept, first.kept, CASE WHEN w.doubt IS NOT NULL THEN 1 END);
		w.numbered := w.numbered + w.left_out;
	END IF;
	IF part_of IS NULL AND (w.kept > 0 OR w.numbered > 0 OR w.holes > 0 OR EXISTS (
			SELECT FROM onec_internal.sync_doubt d
			WHERE d.server = sync_window.server AND d.target = sync_window.target)) THEN
		PERFORM onec_internal.note_doubt(server, target, 'unproven', from_ts, till_ts, w.kept,
										 coalesce(w.doubt, 'the run ended before the step did'));
		PERFORM onec_internal.note_doubt(server, target, 'twice', from_ts, till_ts, w.numbered,
										 onec_internal.reason_two_rows());
		PERFORM onec_internal.note_doubt(server, target, 'hole', from_ts, till_ts, w.holes, hole);
	END IF;
	read := w.read;
	keys := w.keys;
	inserted := w.inserted;
	updated := w.updated;
	deleted := w.deleted;
	doubt := coalesce(w.doubt, CASE WHEN w.holes > 0 THEN hole END);
END $$;
COMMENT ON FUNCTION onec_internal.sync_window(name, text, timestamp, timestamp, text, boolean) IS
	'Заменить одно окно местной таблицы (служебная)';
-- Cards read some at a time (cards_limit): where the next run goes on, and which cards a whole round has not
-- seen.

-- Where the next run with a limit goes on: behind the rows read, or at the beginning when the end was
-- reached.
CREATE FUNCTION onec_internal.remember_place(server name, target text, place bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_state t SET place = remember_place.place
	WHERE t.server = remember_place.server AND t.target = remember_place.target
	  AND t.place <> remember_place.place;
	IF place > 0 THEN
		INSERT INTO onec.sync_state (server, target, place)
		VALUES (server, target, place) ON CONFLICT DO NOTHING;
		RAISE WARNING USING
			MESSAGE = format('%s: read up to row %s only, because of cards_limit', target, place),
			DETAIL = 'The next run goes on from there; until the end is reached '
					 'nothing is taken for deleted.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.remember_place(name, text, bigint) IS
	'Запомнить, докуда прочитан справочник (служебная)';

-- Whether the limit would leave out nothing: then cards are read as everything else is.
CREATE FUNCTION onec_internal.cards_fit_limit(server name, max_rows int) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 <= 0 OR EXISTS (SELECT FROM onec.sync_state t
							  WHERE t.server = $1 AND t.target = 'discount_card' AND t.place = 0
							  AND t.last_ok IS NOT NULL)
		AND (SELECT count(*) FROM onec.discount_card d
			 WHERE d.server = $1 AND NOT d.is_deleted) BETWEEN 1 AND $2 * 0.9
$$;
COMMENT ON FUNCTION onec_internal.cards_fit_limit(name, int) IS
	'Укладываются ли все карты в ограничение cards_limit (служебная)';

-- Some cards from where the last such run ended.  A limited reading tells of no deletion; when it has gone
-- round once, the cards that no part of the round had are asked for by key.
CREATE FUNCTION onec_internal.sync_some_cards(server name, max_rows int, force boolean, OUT read bigint,
											  OUT inserted bigint, OUT updated bigint,
											  OUT deleted bigint, OUT doubt text, OUT truncated boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	start bigint := coalesce((SELECT t.place FROM onec.sync_state t
							  WHERE t.server = sync_some_cards.server AND t.target = 'discount_card'), 0);
	holes bigint;
	w record;
BEGIN
	IF start = 0 THEN
		DELETE FROM onec_internal.card_seen s WHERE s.server = sync_some_cards.server;
	END IF;
	PERFORM onec_internal.drop_window_tables();
	read := onec_internal.stage_rows(server, 'discount_card', 'true',
									 format('LIMIT %s OFFSET %s', max_rows, start));
	holes := onec_internal.keep_lacking_values(server, 'discount_card',
											   (SELECT r.lacked FROM onec_internal.last_reading(server,
												   'discount_card') r));
	truncated := read >= max_rows OR start > 0;
	INSERT INTO onec_internal.card_seen (server, card_id, known)
	SELECT s.server, s.card_id,
		   EXISTS (SELECT FROM onec.discount_card d WHERE d.server = s.server AND d.card_id = s.card_id)
	FROM pg_temp.onec_stage s WHERE s.card_id IS NOT NULL ON CONFLICT DO NOTHING;
	PERFORM onec_internal.remember_place(server, 'discount_card',
										 CASE WHEN read >= max_rows THEN start + read ELSE 0 END);
	PERFORM onec_internal.drop_equal_doubles('discount_card', false);
	PERFORM onec_internal.number_differing_doubles(server, 'discount_card');
	PERFORM onec_internal.complete_and_compare(server, 'discount_card', NULL);
	SELECT * INTO w FROM onec_internal.write_window(server, 'discount_card');
	inserted := w.inserted;
	updated := w.updated;
	deleted := 0;
	IF read < max_rows THEN
		SELECT * INTO w FROM onec_internal.delete_unseen_cards(server, force);
		deleted := w.deleted;
		doubt := w.doubt;
	END IF;
	IF holes > 0 THEN
		doubt := coalesce(doubt, 'cards came without a property that others have');
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.sync_some_cards(name, int, boolean) IS
	'Прочитать часть карт с того места, где остановились (служебная)';

-- The end of a round: cards that are here and were not seen.  A round that saw none of those that were here
-- is another base's.
CREATE FUNCTION onec_internal.delete_unseen_cards(server name, force boolean, OUT deleted bigint,
												  OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ask record;
	missing bigint;
BEGIN
	PERFORM onec_internal.drop_window_tables();
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT d.* FROM onec.discount_card d LIMIT 0;
	ALTER TABLE pg_temp.onec_stage DROP COLUMN is_deleted;
	CREATE TEMPORARY TABLE onec_change ON COMMIT DROP AS
		SELECT NULL::tid AS place, true AS here, false AS redated, d.server, d.card_id
		FROM onec.discount_card d
		WHERE d.server = delete_unseen_cards.server AND NOT d.is_deleted
		  AND NOT EXISTS (SELECT FROM onec_internal.card_seen s
						  WHERE s.server = d.server AND s.card_id = d.card_id);
	missing := (SELECT count(*) FROM pg_temp.onec_change);
	IF missing > 0 THEN
		SELECT * INTO ask FROM onec_internal.ask_for_missing_rows(server, 'discount_card', 'true');
		doubt := CASE WHEN NOT force AND NOT EXISTS (
							SELECT FROM onec_internal.card_seen s
							WHERE s.server = delete_unseen_cards.server AND s.known)
						  THEN 'no card that was read is one that was here'
					  WHEN missing > 1000 THEN 'too many cards are missing to be asked for by key'
					  WHEN NOT ask.asked THEN 'cards cannot be asked for by key'
					  WHEN ask.there THEN 'cards that were missing are there when asked for'
					  WHEN missing >= 50 AND missing >= onec.get('sync.suspicious_share', server)::numeric
							* (SELECT count(*) FROM onec.discount_card d
							   WHERE d.server = delete_unseen_cards.server AND NOT d.is_deleted)
						AND onec_internal.count_window_in_1c(server, 'discount_card',
															 onec_internal.first_moment(),
															 onec_internal.last_moment()) <> (
							SELECT count(*) FROM onec_internal.card_seen s
							WHERE s.server = delete_unseen_cards.server)
						  THEN '1C does not count as many cards as the round has seen' END;
	END IF;
	IF doubt IS NOT NULL THEN
		DELETE FROM pg_temp.onec_change;
	END IF;
	PERFORM onec_internal.note_doubt(server, 'discount_card', 'unproven', onec_internal.first_moment(),
									 onec_internal.last_moment(),
									 CASE WHEN doubt IS NULL THEN 0 ELSE missing END, doubt);
	DELETE FROM onec_internal.card_seen s WHERE s.server = delete_unseen_cards.server;
	SELECT a.deleted INTO deleted FROM onec_internal.write_differences(server, 'discount_card') a;
	PERFORM onec_internal.drop_window_tables();
END $$;
COMMENT ON FUNCTION onec_internal.delete_unseen_cards(name, boolean) IS
	'Пометить удалёнными карты, которых 1С не нашла и по ключу (служебная)';
-- The end of a step: what has waited (45_waiting.sql) is written if 1C counts as many rows in all windows, or
-- stays as it was.

-- Whether 1C, which does not count, has the same rows in other pages: as many in the windows of the step, of
-- the documents that wait all that came, and none that is neither among these nor here, in another window.
CREATE FUNCTION onec_internal.same_rows_came_again(server name, s onec.sync_step) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	read bigint := 0;
	w tsrange;
	same boolean := true;
	unit text := onec_internal.stage_unit_columns(s.target, 'x');
	date_column name := onec_internal.date_column(s.target);
	place text := format('%s, x.%I', onec_internal.stage_key_columns(s.target, 'x'), date_column);
	day text := format('coalesce(x.%I, %L)', date_column, onec_internal.first_moment());
BEGIN
	FOREACH w IN ARRAY ARRAY(SELECT unnest(s.covered)) LOOP
		read := read + onec_internal.stage_rows_again(server, s.target,
													  onec_internal.window_condition(s.target,
														  lower(w), upper(w)));
		EXECUTE format('SELECT NOT EXISTS (
				SELECT %1$s FROM pg_temp.onec_waiting_row x WHERE x.onec_window <@ %2$L::tsrange
				EXCEPT SELECT %1$s FROM pg_temp.onec_again x)
			AND NOT EXISTS (
				SELECT %1$s FROM pg_temp.onec_again x
				WHERE (%3$s) IN (SELECT %3$s FROM pg_temp.onec_waiting x)
				EXCEPT SELECT %1$s FROM pg_temp.onec_waiting_row x
				EXCEPT SELECT %1$s FROM %4$s x WHERE x.server = %5$s
					AND NOT EXISTS (SELECT FROM pg_temp.onec_waiting k
									WHERE (%3$s) = (%6$s) AND %7$s <@ k.onec_window))', place, w, unit,
			onec_internal.table_of_target(s.target),
			onec_internal.server_in(onec_internal.table_of_target(s.target), server),
			onec_internal.stage_unit_columns(s.target, 'k'), day) INTO same;
		EXIT WHEN NOT same;
	END LOOP;
	RETURN same AND read = s.covered_keys;
END $$;
COMMENT ON FUNCTION onec_internal.same_rows_came_again(name, onec.sync_step) IS
	'Прочитать окна шага ещё раз, если 1С не считает (служебная)';

-- Why what waits cannot be written; NULL: it can, for 1C has as many rows in all windows together as came, so
-- that none hid what another lacks.
CREATE FUNCTION onec_internal.why_unsettled(server name, s onec.sync_step) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counted bigint := onec_internal.count_window_in_1c(server, s.target, s.covered);
BEGIN
	IF counted <> s.covered_keys THEN
		RETURN format('1C counts %s rows in all windows, %s were read', counted, s.covered_keys);
	ELSIF counted IS NULL AND NOT onec_internal.same_rows_came_again(server, s) THEN
		RETURN 'a second reading of all windows gave other rows';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.why_unsettled(name, onec.sync_step) IS
	'Почему отложенное нельзя записать; NULL — можно (служебная)';

-- Documents that wait in one window and are in doubt in another wait in vain.  Returns the windows that lack
-- them.
CREATE FUNCTION onec_internal.drop_doubtful_waits(target text) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := onec_internal.stage_unit_columns(target);
	lacking tsrange[];
BEGIN
	EXECUTE format('
		WITH gone AS (DELETE FROM pg_temp.onec_waiting
			WHERE onec_window IS NOT NULL AND (%1$s) IN (SELECT %1$s FROM pg_temp.onec_waiting
														 WHERE onec_window IS NULL)
			RETURNING onec_window),
		gone_row AS (DELETE FROM pg_temp.onec_waiting_row
			WHERE (%1$s) IN (SELECT %1$s FROM pg_temp.onec_waiting WHERE onec_window IS NULL))
		SELECT array_agg(DISTINCT onec_window) FROM gone', unit) INTO lacking;
	RETURN lacking;
END $$;
COMMENT ON FUNCTION onec_internal.drop_doubtful_waits(text) IS
	'Не записывать отложенное, если другое окно документа не доказано (служебная)';

-- All windows are read: what has waited is written, or "doubt" says why it stays as it was.
CREATE FUNCTION onec_internal.settle_waiting(server name, s onec.sync_step,
											 OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
											 OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	windows tsrange[] := ARRAY(SELECT DISTINCT k.onec_window FROM pg_temp.onec_waiting k
							   WHERE k.onec_window IS NOT NULL ORDER BY 1);
	lacking tsrange[];
	w tsrange;
	x record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	IF windows <> '{}' THEN
		doubt := onec_internal.why_unsettled(server, s);
		lacking := CASE WHEN doubt IS NULL THEN onec_internal.drop_doubtful_waits(s.target) ELSE windows END;
	END IF;
	IF windows <> '{}' AND doubt IS NULL THEN
		SELECT l.inserted, l.updated, l.deleted INTO inserted, updated, deleted
		FROM onec_internal.write_documents_of_one_window(server, s.target) l;
	END IF;
	FOREACH w IN ARRAY windows LOOP
		IF doubt IS NULL AND EXISTS (SELECT FROM pg_temp.onec_waiting k WHERE k.onec_window = w) THEN
			SELECT * INTO x FROM onec_internal.write_waiting_documents(server, s.target, w);
			inserted := inserted + x.inserted;
			updated := updated + x.updated;
			deleted := deleted + x.deleted;
			IF x.numbered > 0 THEN
				PERFORM onec_internal.note_doubt(server, s.target, 'twice', lower(w), upper(w), x.numbered,
												 onec_internal.reason_two_rows());
			END IF;
		END IF;
		IF w = ANY (lacking) THEN
			UPDATE onec_internal.sync_doubt d
			SET reason = coalesce(doubt, 'documents have rows in other days that are in doubt')
			WHERE d.server = settle_waiting.server AND d.target = s.target AND d.kind = 'unproven'
			  AND d.from_ts = lower(w);
		ELSE
			PERFORM onec_internal.note_doubt(server, s.target, 'unproven', lower(w), upper(w), 0, NULL);
		END IF;
	END LOOP;
	PERFORM onec_internal.drop_waiting_documents();
END $$;
COMMENT ON FUNCTION onec_internal.settle_waiting(name, onec.sync_step) IS
	'Записать отложенное, если 1С насчитала столько же (служебная)';

-- The documents that have waited in one window, made equal to what was read of them.  "numbered": keys that
-- another window has, too.
CREATE FUNCTION onec_internal.write_waiting_documents(server name, target text, w tsrange,
													  OUT inserted bigint, OUT updated bigint,
													  OUT deleted bigint, OUT numbered bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := onec_internal.stage_unit_columns(target);
	scope text := onec_internal.window_condition(target, lower(w), upper(w));
	sure text;
BEGIN
	PERFORM onec_internal.drop_window_tables();
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT r.* FROM pg_temp.onec_waiting_row r
		WHERE r.onec_window = w;
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	sure := onec_internal.sure_row_condition(server, target, w);
	numbered := onec_internal.number_across_windows(server, target, scope, sure, false);
	PERFORM onec_internal.compare_with_staged(server, target, format('(%s) AND (%s) IN (
		SELECT %2$s FROM pg_temp.onec_waiting WHERE onec_window = %3$L)', scope, unit, w));
	SELECT a.inserted, a.updated, a.deleted, numbered + a.left_out INTO inserted, updated, deleted, numbered
	FROM onec_internal.write_window(server, target, sure) a;
	DELETE FROM pg_temp.onec_waiting WHERE onec_window = w;
END $$;
COMMENT ON FUNCTION onec_internal.write_waiting_documents(name, text, tsrange) IS
	'Записать отложенные документы окна (служебная)';

-- The documents that wait in one window and have rows here in no other, of all windows at once: none of their
-- keys is another's.
CREATE FUNCTION onec_internal.write_documents_of_one_window(server name, target text, OUT inserted bigint,
															OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	unit text := onec_internal.stage_unit_columns(target, 'x');
	day text := format('coalesce(t.%I, %L)', onec_internal.date_column(target), onec_internal.first_moment());
BEGIN
	PERFORM onec_internal.drop_window_tables();
	EXECUTE format('CREATE TEMPORARY TABLE onec_local ON COMMIT DROP AS
		SELECT * FROM pg_temp.onec_waiting x WHERE x.onec_window IS NOT NULL
			AND NOT EXISTS (SELECT FROM pg_temp.onec_waiting t
							WHERE (%1$s) = (%2$s) AND t.onec_window IS DISTINCT FROM x.onec_window)
			AND NOT EXISTS (SELECT FROM %3$s t
							WHERE t.server = %4$s AND (%1$s) = (%2$s) AND NOT %5$s <@ x.onec_window)',
		unit, onec_internal.stage_unit_columns(target, 't'), tab, onec_internal.server_in(tab, server), day);
	EXECUTE format('CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT t.*
						FROM pg_temp.onec_waiting_row t
		JOIN pg_temp.onec_local x ON (%s) = (%s)
			AND t.onec_window = x.onec_window', unit, onec_internal.stage_unit_columns(target, 't'));
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	PERFORM onec_internal.compare_with_staged(server, target,
											  format('EXISTS (SELECT FROM pg_temp.onec_local x WHERE (%s) = '
													 '(%s) AND %s <@ x.onec_window)',
		unit, onec_internal.stage_unit_columns(target, tab),
		replace(day, 't.', tab || '.')));
	SELECT a.inserted, a.updated, a.deleted INTO inserted, updated, deleted
	FROM onec_internal.write_window(server, target) a;
	EXECUTE format('
		WITH gone AS (DELETE FROM pg_temp.onec_waiting t USING pg_temp.onec_local x WHERE (%1$s) = (%2$s))
		DELETE FROM pg_temp.onec_waiting_row t USING pg_temp.onec_local x
		WHERE (%1$s) = (%2$s)', unit, onec_internal.stage_unit_columns(target, 't'));
	DROP TABLE pg_temp.onec_local;
END $$;
COMMENT ON FUNCTION onec_internal.write_documents_of_one_window(name, text) IS
	'Записать отложенные документы, целиком лежащие в одном окне (служебная)';
-- Which of the readings of the register of points 1C itself agrees with, and the cards that it does not.

-- The balances that 1C itself has, card by card, beside those here.
CREATE FUNCTION onec.check_loyalty(server name DEFAULT NULL)
	RETURNS TABLE (card_id uuid, balance_1c numeric, signed numeric, unsigned numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	-- to the second, as 1C counts
	moment timestamp := date_trunc('second', onec.local_now(srv));
BEGIN
	IF to_regclass(format('%I.loyalty_now', srv)) IS NULL THEN
		RAISE undefined_table USING
			MESSAGE = format('server "%s" has no foreign table of balances', srv),
			HINT = format('Run SELECT * FROM onec.setup(%L); without a register of '
						  'bonus points there is none.', srv);
	END IF;
	RETURN QUERY EXECUTE format('
		SELECT coalesce(b.card_id, s.card_id), coalesce(b.balance, 0), coalesce(s.points, 0),
			   coalesce(s.unsigned, 0)
		FROM (SELECT f.card_id, sum(coalesce(f.accrued, 0) - coalesce(f.spent, 0)) AS balance
			  FROM %I.loyalty_now f WHERE f.period_arg = %L::timestamp GROUP BY 1) b
		FULL JOIN (SELECT m.card_id, sum(onec_internal.movement_points(m.kind, m.accrued, m.spent,
			''signed'')) AS points,
						  sum(onec_internal.movement_points(m.kind, m.accrued, m.spent,
															''unsigned'')) AS unsigned
				   FROM onec.loyalty_movement m
				   WHERE m.server = %3$L AND m.active IS NOT FALSE AND m.period < %2$L::timestamp
				   GROUP BY 1) s ON s.card_id = b.card_id
		ORDER BY 1', srv, moment, srv);
END $$;
COMMENT ON FUNCTION onec.check_loyalty(name) IS
	'Сверка остатков баллов по картам с остатками самой 1С; одним запросом к ней';
REVOKE EXECUTE ON FUNCTION onec.check_loyalty(name) FROM PUBLIC;

CREATE FUNCTION onec.choose_loyalty_rule(server name DEFAULT NULL) RETURNS onec.loyalty_rule
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	chosen onec.loyalty_rule;
	by_sign int := 0;
	by_column int := 0;
	code text;
	detail text;
	context text;
BEGIN
	chosen := ROW(srv, 'signed', 0, 0, NULL, clock_timestamp());
	BEGIN
		SELECT count(*), count(*) FILTER (WHERE c.balance_1c = c.signed),
			   count(*) FILTER (WHERE c.balance_1c = c.unsigned)
		INTO chosen.cards, by_sign, by_column FROM onec.check_loyalty(srv) c;
	EXCEPTION WHEN fdw_error OR fdw_unable_to_create_reply OR fdw_column_name_not_found OR fdw_table_not_found
		OR insufficient_privilege OR undefined_table THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL,
		context = PG_EXCEPTION_CONTEXT;
		chosen.message := onec_internal.message_without_values(code, SQLERRM, detail, context);
	END;
	-- where 1C says nothing, rows that are neither receipt nor expense belong to a register that has no sign
	IF by_column > by_sign OR chosen.cards = 0
		AND EXISTS (SELECT FROM onec.loyalty_movement m WHERE m.server = srv)
		AND NOT EXISTS (SELECT FROM onec.loyalty_movement m
						WHERE m.server = srv AND m.kind IN ('Receipt', 'Expense')) THEN
		chosen.rule := 'unsigned';
	END IF;
	chosen.agree := greatest(by_sign, by_column);
	INSERT INTO onec.loyalty_rule AS r VALUES (chosen.*)
	ON CONFLICT ON CONSTRAINT loyalty_rule_pkey DO UPDATE
		SET rule = excluded.rule, cards = excluded.cards, agree = excluded.agree, message = excluded.message,
			checked_at = excluded.checked_at
		WHERE ROW(r.rule, r.cards, r.agree, r.message) IS DISTINCT FROM ROW(excluded.rule, excluded.cards,
			excluded.agree, excluded.message);
	RETURN chosen;
END $$;
COMMENT ON FUNCTION onec.choose_loyalty_rule(name) IS
	'Выбрать правило сложения баллов, сходящееся с остатками 1С, и записать в '
	'onec.loyalty_rule; так делает полное чтение';
REVOKE EXECUTE ON FUNCTION onec.choose_loyalty_rule(name) FROM PUBLIC;

-- After the movements are read: the rule, where it is not known or everything was read; and at night the
-- balances.  Movements of days that no run reads again (a document deleted or dated back) show in 1C's own
-- balances: of the cards that differ all movements are read.  Cards by the thousand do not differ for that
-- reason, and are left to the full reading.
CREATE FUNCTION onec_internal.check_points_with_1c(plan onec_internal.sync_plan,
												   s onec.sync_step) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cards text;
	did record;
BEGIN
	IF s.days IS NULL OR NOT EXISTS (SELECT FROM onec.loyalty_rule r WHERE r.server = plan.server) THEN
		PERFORM onec.choose_loyalty_rule(plan.server);
	END IF;
	IF NOT plan.deep OR to_regclass(format('%I.loyalty_now', plan.server)) IS NULL THEN
		RETURN;
	END IF;
	BEGIN
		SELECT string_agg(quote_literal(c.card_id), ', ') FILTER (WHERE c.card_id IS NOT NULL) INTO cards
		FROM onec.check_loyalty(plan.server) c
		WHERE c.balance_1c <> CASE onec_internal.loyalty_rule_in_force(plan.server)
								   WHEN 'unsigned' THEN c.unsigned ELSE c.signed END
		HAVING count(*) <= 1000;
	EXCEPTION WHEN fdw_error OR fdw_unable_to_create_reply OR fdw_column_name_not_found OR fdw_table_not_found
		OR insufficient_privilege THEN
		-- 1C gives no balances
		RETURN;
	END;
	IF cards IS NOT NULL THEN
		SELECT * INTO did FROM onec_internal.sync_part_of_table(plan.server, 'loyalty_movement',
																format('card_id IN (%s)', cards),
																format('card_id IN (%s)', cards), NULL, NULL,
																false, NULL);
		UPDATE onec.sync_step t
		SET rows_read = t.rows_read + did.read, rows_inserted = t.rows_inserted + did.inserted,
			rows_updated = t.rows_updated + did.updated,
			rows_deleted = t.rows_deleted + did.deleted
		WHERE t.server = s.server AND t.run_id = s.run_id AND t.ordinal = s.ordinal;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_points_with_1c(onec_internal.sync_plan, onec.sync_step) IS
	'Сверить баллы с остатками 1С и перечитать разошедшиеся карты (служебная)';
-- A base that publishes no register of sales but that of card sales.

-- Its rows are the sales.  Sales that were read when there was a register of their own stay, unless "force"
-- says that there will be none.
CREATE FUNCTION onec_internal.sales_from_card_register(server name, force boolean, OUT read bigint,
													   OUT inserted bigint, OUT updated bigint,
													   OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT force AND EXISTS (SELECT FROM onec.sale_line l
							 WHERE l.server = sales_from_card_register.server AND l.register = 'sales') THEN
		SELECT 0, 0, 0, 0, 'the register of sales has no foreign table any more' INTO read, inserted, updated,
			   deleted, doubt;
		RETURN;
	END IF;
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
		SELECT l.server, onec_internal.own_term('card_sales')::onec_internal.term_number AS register,
			   l.recorder, l.recorder_type, l.line_no, l.copy,
			   l.period, l.active,
			   coalesce(l.owner_id, d.owner_id) AS customer_id, l.card_id, l.product_id, l.variant_id,
			   l.quantity, l.amount, onec_internal.own_term('card')::onec_internal.term_number AS attribution
		FROM onec_internal.card_sale_line l
		LEFT JOIN onec.discount_card d ON d.server = sales_from_card_register.server AND d.card_id = l.card_id
		WHERE l.server = onec_internal.number_of_server(sales_from_card_register.server);
	GET DIAGNOSTICS read = ROW_COUNT;
	PERFORM onec_internal.drop_forgotten_from_staged(server, 'sale_line');
	ANALYZE pg_temp.onec_stage;
	PERFORM onec_internal.compare_with_staged(server, 'sale_line', 'true');
	SELECT a.inserted, a.updated, a.deleted INTO inserted, updated, deleted
	FROM onec_internal.write_differences(server, 'sale_line') a;
	PERFORM onec_internal.drop_window_tables();
END $$;
COMMENT ON FUNCTION onec_internal.sales_from_card_register(name, boolean) IS
	'Продажи из регистра продаж по картам, если другого нет (служебная)';
-- What of the purchases concerns one person.

-- What of a table concerns a person: rows with their cards, or with them as the buyer.  References are
-- written without a type, to be compared as the column is: one of several types is text.
CREATE FUNCTION onec_internal.purchases_of_person(server name, target text, person uuid) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws(' OR ',
		(SELECT 'customer_id = ' || quote_literal(u.customer_id) FROM onec.site_user u
		 WHERE u.server = $1 AND u.user_id = $3 AND 'customer_id' = ANY (t.asked_by)
		   AND onec_internal.publishes_field($1, $2, 'customer_id')),
		(SELECT 'card_id IN (' || string_agg(quote_literal(c.card_id), ', ' ORDER BY c.card_id) || ')'
		 FROM onec.customer_card c
		 WHERE c.server = $1 AND c.user_id = $3 AND 'card_id' = ANY (t.asked_by)
		   AND onec_internal.publishes_field($1, $2, 'card_id'))), '')
	FROM onec.target t WHERE t.target = $2
$$;
COMMENT ON FUNCTION onec_internal.purchases_of_person(name, text, uuid) IS
	'Условие: покупки одного человека; NULL — такого условия нет (служебная)';

-- Purchases of a person that only the register of card sales tells of: their documents are read by the moment
-- they stand at. What is here already was attributed when the card sales came.
CREATE FUNCTION onec_internal.sync_documents_by_card(server name, person uuid, from_ts timestamp,
													 till_ts timestamp,
													 OUT read bigint, OUT inserted bigint, OUT updated bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moments text := (
		SELECT string_agg(DISTINCT quote_literal(l.period) || '::timestamp', ', ') FROM onec.card_sale_line l
		JOIN onec.customer_card k ON k.server = l.server AND k.card_id = l.card_id AND k.user_id = person
		WHERE l.server = sync_documents_by_card.server AND l.period >= from_ts AND l.period < till_ts
		  AND NOT EXISTS (SELECT FROM onec.sale_line s
						  WHERE s.server = l.server AND s.register = 'sales' AND s.recorder = l.recorder
						  AND s.recorder_type = l.recorder_type));
BEGIN
	read := 0;
	inserted := 0;
	updated := 0;
	IF moments IS NOT NULL THEN
		SELECT w.read, w.inserted, w.updated INTO read, inserted, updated
		FROM onec_internal.sync_part_of_table(server, 'sale_line', format('period IN (%s)', moments), NULL,
											  NULL, NULL, false, NULL) w;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.sync_documents_by_card(name, uuid, timestamp, timestamp) IS
	'Прочитать покупки человека, известные только по регистру продаж по картам (служебная)';
-- Months compared with 1C's own sums: back-dated edits outside the window that a run reads again.

CREATE TABLE onec.drift (
	server name NOT NULL,
	month date NOT NULL,
	rows_1c bigint,
	rows_local bigint,
	sum_1c numeric,
	sum_local numeric,
	found_at timestamptz NOT NULL,
	repaired_at timestamptz,
	PRIMARY KEY (server, month)
);
COMMENT ON TABLE onec.drift IS 'Месяцы, в которых суммы разошлись с 1С; ночной запуск перечитывает их';
COMMENT ON COLUMN onec.drift.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.drift.month IS 'Месяц';
COMMENT ON COLUMN onec.drift.rows_1c IS 'Строк в 1С';
COMMENT ON COLUMN onec.drift.rows_local IS 'Строк здесь';
COMMENT ON COLUMN onec.drift.sum_1c IS 'Сумма в 1С';
COMMENT ON COLUMN onec.drift.sum_local IS 'Сумма здесь';
COMMENT ON COLUMN onec.drift.found_at IS 'Когда найдено';
COMMENT ON COLUMN onec.drift.repaired_at IS 'Когда перечитано; NULL — ещё нет';

-- What 1C says of one month: rows by /$count, the sum by Turnovers where they are published, else by reading.
CREATE FUNCTION onec_internal.month_in_1c(server name, month date, OUT rows bigint, OUT sum numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('SELECT count(*) FROM %I.sale_line WHERE period >= %L::timestamp '
				   'AND period < %L::timestamp',
				   server, month, month + interval '1 month') INTO rows;
	IF to_regclass(format('%I.sale_turnover', server)) IS NOT NULL THEN
		BEGIN
			EXECUTE format('SELECT coalesce(sum(amount), 0) FROM %I.sale_turnover WHERE startperiod_arg = '
						   '%L::timestamp AND endperiod_arg = %L::timestamp',
						   server, month, month + interval '1 month' - interval '1 second') INTO sum;
			RETURN;
		EXCEPTION WHEN fdw_error OR fdw_unable_to_create_reply OR fdw_column_name_not_found
			OR fdw_table_not_found OR insufficient_privilege THEN
			-- refused: the rows themselves tell, too
			NULL;
		END;
	END IF;
	EXECUTE format('SELECT coalesce(sum(amount), 0) FROM %I.sale_line WHERE period >= %L::timestamp AND '
				   'period < %L::timestamp AND active',
				   server, month, month + interval '1 month') INTO sum;
END $$;
COMMENT ON FUNCTION onec_internal.month_in_1c(name, date) IS
	'Число строк и сумма месяца по данным 1С (служебная)';

-- The months to compare: those with rows here, and of stretches without, those where 1C has some.  A stretch
-- costs one count, so that a date of the year 0206 does not cost a request for each month since.
CREATE FUNCTION onec_internal.months_to_compare(server name, first date, last date) RETURNS TABLE (month date)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	here date[];
	at timestamp;
BEGIN
	SELECT array_agg(DISTINCT date_trunc('month', l.period)::date) INTO here FROM onec.sale_line l
	WHERE l.server = months_to_compare.server AND l.register = 'sales' AND l.period >= first
	  AND l.period < last + 1;
	FOREACH month IN ARRAY here || ARRAY[(last + interval '1 month')::date] LOOP
		WHILE first < month LOOP
			EXIT WHEN onec_internal.count_window_in_1c(server, 'sale_line', first,
													   least(month, last + 1)) = 0;
			at := onec_internal.first_date_in_1c(server, 'sale_line', first);
			EXIT WHEN (at < month AND at < last + 1) IS NOT TRUE;
			first := (date_trunc('month', at) + interval '1 month')::date;
			here := here || date_trunc('month', at)::date;
		END LOOP;
		first := (month + interval '1 month')::date;
	END LOOP;
	RETURN QUERY SELECT DISTINCT m FROM unnest(here) m ORDER BY 1;
END $$;
COMMENT ON FUNCTION onec_internal.months_to_compare(name, date, date) IS
	'Месяцы, в которых есть строки здесь или в 1С (служебная)';

CREATE FUNCTION onec.check_amounts("from" date DEFAULT NULL, "to" date DEFAULT NULL, server name DEFAULT NULL)
	RETURNS TABLE (month date, rows_1c bigint, rows_local bigint, sum_1c numeric, sum_local numeric,
				   verdict text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	first date;
	last date;
BEGIN
	PERFORM onec_internal.check_day_order("from", "to");
	IF to_regclass(format('%I.sale_line', srv)) IS NULL THEN
		RAISE undefined_table USING
			MESSAGE = format('server "%s" has no foreign table of sales', srv),
			HINT = format('Run SELECT * FROM onec.setup(%L) first.', srv);
	END IF;
	-- of the month that was cut by a purge the sums cannot be equal
	SELECT coalesce(check_amounts."from", greatest(min(l.period)::date, date_trunc('month',
			nullif(onec_internal.purchases_kept_since(srv, 'sale_line'), onec_internal.first_moment())
				+ interval '1 month -1 day')::date)), coalesce(check_amounts."to" - 1, max(l.period)::date)
	INTO first, last FROM onec.sale_line l WHERE l.server = srv AND l.register = 'sales';
	FOR month IN
		SELECT m.month
		FROM onec_internal.months_to_compare(srv, date_trunc('month', first::timestamp)::date, last) m
	LOOP
		SELECT c.rows, c.sum INTO rows_1c, sum_1c FROM onec_internal.month_in_1c(srv, month) c;
		SELECT count(*), coalesce(sum(l.amount) FILTER (WHERE l.active), 0) INTO rows_local, sum_local
		FROM onec.sale_line l
		WHERE l.server = srv AND l.register = 'sales' AND l.period >= month
		  AND l.period < month + interval '1 month';
		verdict := CASE WHEN rows_1c = rows_local AND sum_1c = sum_local THEN 'equal' ELSE 'differs' END;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.check_amounts(date, date, name) IS
	'Сверка по месяцам: строки и суммы в 1С и здесь; по два небольших запроса на месяц';
REVOKE EXECUTE ON FUNCTION onec.check_amounts(date, date, name) FROM PUBLIC;

-- Compare the months before "before" and remember those that differ.
CREATE FUNCTION onec_internal.find_drift(server name, before date) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO onec.drift AS d (server, month, rows_1c, rows_local, sum_1c, sum_local, found_at)
	SELECT $1, c.month, c.rows_1c, c.rows_local, c.sum_1c, c.sum_local, now()
	FROM onec.check_amounts(NULL, $2, $1) c WHERE c.verdict = 'differs'
	ON CONFLICT ON CONSTRAINT drift_pkey DO UPDATE
	SET rows_1c = excluded.rows_1c, rows_local = excluded.rows_local, sum_1c = excluded.sum_1c,
		sum_local = excluded.sum_local,
		found_at = excluded.found_at, repaired_at = NULL
$$;
COMMENT ON FUNCTION onec_internal.find_drift(name, date) IS 'Найти месяцы, разошедшиеся с 1С (служебная)';
-- The steps of a run, which windows each reads, and what is written down of it.

-- How a step is done: read (from 1C), people and profiles (made of what is here), derived (sales that are the
-- card sales), none.
CREATE FUNCTION onec_internal.way_of_step(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	SELECT k.target, k.source, k.made_of INTO t FROM onec.target k WHERE k.target = way_of_step.target;
	RETURN CASE WHEN t.source <> 'set' THEN t.source
				WHEN to_regclass(format('%I.%I', server, t.target)) IS NOT NULL THEN 'read'
				WHEN to_regclass(quote_ident(server) || '.' || quote_ident(t.made_of)) IS NOT NULL
					THEN 'derived'
				ELSE 'none' END;
END $$;
COMMENT ON FUNCTION onec_internal.way_of_step(name, text) IS 'Как выполняется шаг (служебная)';

-- ---- windows ----

-- Months from a day on, cut at it; the last one is open where it is not ended by "till".
CREATE FUNCTION onec_internal.months_since(first timestamp, till timestamp,
										   today date) RETURNS TABLE (from_ts timestamp, till_ts timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(m, $1),
		   CASE WHEN m + interval '1 month' > coalesce($2, $3) THEN coalesce($2, onec_internal.last_moment())
				ELSE m + interval '1 month' END
	FROM generate_series(date_trunc('month', $1), coalesce($2 - interval '1 second', $3),
						 interval '1 month') m
$$;
COMMENT ON FUNCTION onec_internal.months_since(timestamp, timestamp, date) IS
	'Месяцы с указанного дня (служебная)';

-- Everything: months, open at both ends.  What stands before the first 1C is a slip of the pen, and goes into
-- the open one.
CREATE FUNCTION onec_internal.all_windows(server name, target text) RETURNS TABLE (from_ts timestamp,
	till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today date := onec.local_now(server)::date;
	first timestamp := onec_internal.first_date_in_1c(server, target, onec_internal.first_moment());
BEGIN
	IF first < '1990-01-01' THEN
		first := onec_internal.first_date_in_1c(server, target, '1990-01-01');
	END IF;
	first := date_trunc('month', least(first, today::timestamp));
	RETURN QUERY SELECT onec_internal.first_moment(), first UNION ALL
		SELECT * FROM onec_internal.months_since(first, NULL, today);
END $$;
COMMENT ON FUNCTION onec_internal.all_windows(name, text) IS
	'Окна, которыми таблица читается вся (служебная)';

-- Whether the target is the first of its step that the base publishes.
CREATE FUNCTION onec_internal.begins_step(server name, target text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN $2 = (SELECT s.target
				 FROM onec_internal.sync_steps($1, ARRAY[(onec_internal.target_named($2)).step]) s
				 WHERE onec_internal.way_of_step($1, s.target) = 'read' ORDER BY s.ordinal LIMIT 1);
COMMENT ON FUNCTION onec_internal.begins_step(name, text) IS
	'Первая ли это из читаемых таблиц шага (служебная)';

-- Some days, the months that differ from 1C, and what an earlier run could not prove.
CREATE FUNCTION onec_internal.recent_windows(server name, target text, days int,
											 deep boolean) RETURNS TABLE (from_ts timestamp,
												 till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today date := onec.local_now(server)::date;
	first timestamp := today - days;
	compared boolean := (onec_internal.target_named(target)).step = onec_internal.compared_step();
BEGIN
	first := least(first, (SELECT min(d.from_ts) FROM onec_internal.sync_doubt d
						   WHERE d.server = recent_windows.server AND d.target = recent_windows.target
							 AND d.kind IN ('unproven', 'hole')
							 AND d.till_ts > today - days));
	IF first = onec_internal.first_moment() THEN
		RETURN QUERY SELECT * FROM onec_internal.all_windows(server, target);
		RETURN;
	END IF;
	-- compared once for all tables of the step
	IF deep AND compared AND onec_internal.begins_step(server, target)
		AND onec_internal.way_of_step(server, 'sale_line') = 'read'
		AND NOT onec_internal.is_nested(server, 'sale_line') THEN
		PERFORM onec_internal.find_drift(server, first::date);
	END IF;
	RETURN QUERY
		SELECT d.from_ts, least(d.till_ts, first) FROM onec_internal.sync_doubt d
		WHERE d.server = recent_windows.server AND d.target = recent_windows.target
		  AND d.kind IN ('unproven', 'hole') AND d.till_ts <= first
		UNION
		SELECT d.month::timestamp, least(d.month + interval '1 month', first) FROM onec.drift d
		WHERE d.server = recent_windows.server AND d.repaired_at IS NULL AND d.month < first
		  AND compared;
	RETURN QUERY SELECT * FROM onec_internal.months_since(first, NULL, today);
END $$;
COMMENT ON FUNCTION onec_internal.recent_windows(name, text, int, boolean) IS
	'Окна последних дней, разошедшихся месяцев и недоказанных удалений (служебная)';

-- The windows that a step has to read.
CREATE FUNCTION onec_internal.wanted_windows(plan onec_internal.sync_plan, target text,
											 days int) RETURNS TABLE (from_ts timestamp, till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.date_column(target) IS NULL OR onec_internal.way_of_step(plan.server, target) <> 'read'
		OR onec_internal.is_nested(plan.server, target) THEN
		-- what is nested takes no condition: any would read all of it
		RETURN QUERY SELECT onec_internal.first_moment(), onec_internal.last_moment();
	ELSIF plan.user_id IS NOT NULL THEN
		RETURN QUERY SELECT plan.from_ts, plan.till_ts;
	ELSIF plan.from_ts IS NOT NULL THEN
		RETURN QUERY SELECT * FROM onec_internal.months_since(plan.from_ts, plan.till_ts, NULL);
	ELSIF days IS NULL THEN
		RETURN QUERY SELECT * FROM onec_internal.all_windows(plan.server, target);
	ELSE
		RETURN QUERY SELECT * FROM onec_internal.recent_windows(plan.server, target, days, plan.deep);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.wanted_windows(onec_internal.sync_plan, text, int) IS
	'Окна шага (служебная)';

-- The windows of a step, oldest first.  One that reads everything goes on where such a one ended for want of
-- time.
CREATE FUNCTION onec_internal.windows_in_order(plan onec_internal.sync_plan, run bigint, target text,
											   days int) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	windows tsrange[];
BEGIN
	IF days IS NULL AND NOT plan.afresh THEN
		windows := (SELECT nullif(s.windows, '{}') FROM onec.sync_step s
					JOIN onec.sync_run r ON r.server = s.server AND r.run_id = s.run_id
					WHERE s.server = plan.server AND s.target = windows_in_order.target AND s.run_id < run
					  AND s.days IS NULL
					  AND s.windows IS NOT NULL AND r.size > 0 AND r.started_at > now() - interval '8 days'
					ORDER BY s.run_id DESC LIMIT 1);
		-- what that one could not prove lies behind the place
		IF windows IS NOT NULL THEN
			windows := ARRAY(
				SELECT tsrange(d.from_ts, d.till_ts) AS w FROM onec_internal.sync_doubt d
				WHERE d.server = plan.server AND d.target = windows_in_order.target AND d.kind = 'unproven'
				  AND NOT EXISTS (SELECT FROM unnest(windows) w WHERE w @> tsrange(d.from_ts, d.till_ts))
				UNION SELECT unnest(windows) ORDER BY w);
		END IF;
	END IF;
	RETURN coalesce(windows, ARRAY(
		SELECT tsrange(greatest(w.from_ts, k.since), w.till_ts)
		FROM onec_internal.wanted_windows(plan, target, days) w,
			onec_internal.purchases_kept_since(plan.server, target) k (since)
		WHERE greatest(w.from_ts, k.since) < w.till_ts ORDER BY w.from_ts));
END $$;
COMMENT ON FUNCTION onec_internal.windows_in_order(onec_internal.sync_plan, bigint, text, int) IS
	'Окна шага по порядку (служебная)';

-- The days that documents have left since a moment; see onec_internal.note_days_left_behind.
CREATE FUNCTION onec_internal.days_left_behind(server name, target text, since timestamptz) RETURNS tsrange[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN ARRAY(SELECT tsrange(d.from_ts, d.till_ts) FROM onec_internal.sync_doubt d
				 WHERE d.server = $1 AND d.target = $2 AND d.kind = 'unproven'
				   AND d.reason = onec_internal.reason_left_behind() AND d.found_at >= $3
				 ORDER BY d.from_ts);
COMMENT ON FUNCTION onec_internal.days_left_behind(name, text, timestamptz) IS
	'Дни, откуда документы перенесены (служебная)';

-- After two windows without rows: of those that follow, all before the next row, here or in 1C, become one.
CREATE FUNCTION onec_internal.join_empty_windows(server name, target text,
												 windows tsrange[]) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	here timestamp;
	next timestamp;
	last int;
BEGIN
	IF onec_internal.date_column(target) IS NULL OR cardinality(windows) < 4 THEN
		RETURN windows;
	END IF;
	EXECUTE format('SELECT %1$I FROM %2$s WHERE server = %3$s AND %1$I >= $1 ORDER BY %1$I LIMIT 1',
				   onec_internal.date_column(target), tab, onec_internal.server_in(tab, server))
		INTO here USING lower(windows[1]);
	next := least(onec_internal.first_date_in_1c(server, target, lower(windows[1])), here);
	last := (SELECT count(*) FROM unnest(windows) w WHERE upper(w) <= next OR next IS NULL);
	RETURN CASE WHEN last > 1 THEN tsrange(lower(windows[1]), upper(windows[last])) || windows[last + 1:]
				ELSE windows END;
END $$;
COMMENT ON FUNCTION onec_internal.join_empty_windows(name, text, tsrange[]) IS
	'Объединить окна без строк в одно (служебная)';

-- ---- the account ----

-- Add to a step what has been asked of 1C since the sums "before".
CREATE FUNCTION onec_internal.account_requests(server name, run bigint, ordinal int,
											   before bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sums bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
BEGIN
	UPDATE onec.sync_step s
	SET requests = s.requests + sums[1] - before[1], retries = s.retries + sums[2] - before[2],
		bytes = s.bytes + sums[3] - before[3]
	WHERE s.server = account_requests.server AND s.run_id = run AND s.ordinal = account_requests.ordinal
	  AND sums <> before;
END $$;
COMMENT ON FUNCTION onec_internal.account_requests(name, bigint, int, bigint[]) IS
	'Записать за шагом его запросы к 1С (служебная)';

-- A step that failed; a base that does not let us in is noted, so that jobs do not try again.
CREATE FUNCTION onec_internal.note_step_failure(server name, run bigint, ordinal int, code text,
												told text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	failed text;
BEGIN
	-- 1C has another name for it now, or has it no more
	told := concat_ws('; ', told, CASE WHEN code IN ('HV005', 'HV00R')
									   THEN format('SELECT * FROM onec.setup(%L) looks what there is',
												   server) END);
	UPDATE onec.sync_step s SET status = 'failed', finished_at = clock_timestamp(), error_code = code,
		message = told
	WHERE s.server = note_step_failure.server AND s.run_id = run AND s.ordinal = note_step_failure.ordinal
	RETURNING s.target INTO failed;
	IF code = '28000' THEN
		INSERT INTO onec_internal.login_refusal AS l (server, login_version)
		VALUES (server, onec_internal.login_version(server))
		ON CONFLICT ON CONSTRAINT login_refusal_pkey DO UPDATE SET login_version = excluded.login_version,
		refused_at = now();
	END IF;
	RAISE WARNING USING MESSAGE = format('step "%s" failed: %s', failed, told), ERRCODE = code;
END $$;
COMMENT ON FUNCTION onec_internal.note_step_failure(name, bigint, int, text, text) IS
	'Записать неудачу шага (служебная)';

-- All windows are read.  Only a reading without doubt moves what is known to be complete; a limited one when
-- its round is done.
CREATE FUNCTION onec_internal.end_step(plan onec_internal.sync_plan, run bigint,
									   s onec.sync_step) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_step t SET status = CASE WHEN t.message IS NULL THEN 'ok' ELSE 'incomplete' END,
		finished_at = clock_timestamp()
	WHERE t.server = s.server AND t.run_id = run AND t.ordinal = s.ordinal;
	DELETE FROM onec_internal.login_refusal l WHERE l.server = s.server AND s.requests > 0;
	-- what is purged, but goes on being read, goes again
	IF s.target = (SELECT t.target FROM onec.target t WHERE t.purge NOT IN ('date', 'none')
				   ORDER BY t.ordinal DESC LIMIT 1) THEN
		PERFORM onec_internal.purge_before(s.server, b.purged_before) FROM onec_internal.base b
			WHERE b.server = s.server AND b.purged_before IS NOT NULL;
	END IF;
	IF plan.size > 0 AND s.message IS NULL
		AND NOT EXISTS (SELECT FROM onec.sync_state t
						WHERE t.server = s.server AND t.target = s.target AND t.place > 0) THEN
		INSERT INTO onec.sync_state AS t (server, target, complete_from, last_ok)
		VALUES (s.server, s.target,
				CASE WHEN s.days IS NULL THEN onec_internal.first_moment()
					 ELSE onec.local_now(s.server)::date - s.days END,
				clock_timestamp())
		ON CONFLICT ON CONSTRAINT sync_state_pkey DO UPDATE
		SET complete_from = least(t.complete_from, excluded.complete_from), last_ok = excluded.last_ok;
		DELETE FROM onec_internal.sync_doubt d
		WHERE d.server = s.server AND d.target = s.target AND d.kind IN ('unproven', 'hole')
		  AND d.found_at < s.started_at;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.end_step(onec_internal.sync_plan, bigint, onec.sync_step) IS
	'Закончить шаг (служебная)';

CREATE FUNCTION onec_internal.step_summary(server name, run bigint, ordinal int) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s: %s read, %s inserted, %s updated, %s deleted in %s s%s', s.target, s.rows_read,
				  s.rows_inserted,
				  s.rows_updated, s.rows_deleted,
				  round(extract(epoch FROM s.finished_at - s.started_at)::numeric, 1),
				  CASE WHEN s.status = 'incomplete' THEN '; incomplete: ' || s.message END)
	FROM onec.sync_step s WHERE s.server = $1 AND s.run_id = $2 AND s.ordinal = $3
$$;
COMMENT ON FUNCTION onec_internal.step_summary(name, bigint, int) IS 'Итог шага одной строкой (служебная)';
-- CALL onec.sync: 1C into the local tables, window by window.
--
-- A window is read into a temporary table, compared with what is here, and only the differences are written,
-- in one transaction; then it is committed.  Whatever stops a run, every window is either old or new.  The
-- procedures that commit can have no SET clause, so they hold control flow and qualified calls only; the work
-- is in functions that have one.

-- ---- a run begins and ends ----

CREATE FUNCTION onec_internal.run_lock_key(server name) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN hashtextextended('onec run ' || server, 0);
COMMENT ON FUNCTION onec_internal.run_lock_key(name) IS 'Ключ блокировки запуска (служебная)';

-- Runs whose mark is gone: cancelled, or their process has ended.
CREATE FUNCTION onec_internal.close_lost_runs(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.sync_run r SET status = 'interrupted', finished_at = now(),
		message = 'the process ended before the run'
	WHERE r.server = $1 AND r.status = 'running';
	UPDATE onec.sync_step s SET status = 'failed', finished_at = now(), message = 'interrupted'
	FROM onec.sync_run r
	WHERE r.server = $1 AND r.status = 'interrupted' AND s.server = r.server AND s.run_id = r.run_id
	  AND s.status IN ('running', 'waiting');
$$;
COMMENT ON FUNCTION onec_internal.close_lost_runs(name) IS
	'Закрыть прерванные запуски, когда ни один не идёт (служебная)';

-- Steps in turn: those behind which the last run of this size ran out of time come first, what is made here
-- last.
CREATE FUNCTION onec_internal.write_down_steps(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	late_at int := (SELECT r.ended_at FROM onec.sync_run r
					WHERE r.server = plan.server AND r.size = plan.size AND r.run_id < run
					  AND r.status NOT LIKE 'skipped%'
					ORDER BY r.run_id DESC LIMIT 1);
BEGIN
	INSERT INTO onec.sync_step (server, run_id, ordinal, step, target, status, turn)
	SELECT plan.server, run, s.ordinal, s.step, s.target, 'waiting',
		   s.ordinal + CASE WHEN s.source <> 'set' THEN 2000000
							WHEN s.ordinal < late_at THEN 1000000 ELSE 0 END
	FROM onec_internal.sync_steps(plan.server, plan.steps) s
	WHERE (s.switch IS NULL OR onec.get(s.switch, plan.server)::boolean)
	  -- a part is of what is read, and of a person only where there is a condition for them
	  AND (plan.size > 0 OR s.source = 'profiles'
		   OR s.source = 'set' AND onec_internal.way_of_step(plan.server, s.target) = 'read'
			  AND (plan.user_id IS NULL
				   OR onec_internal.purchases_of_person(plan.server, s.target, plan.user_id) IS NOT NULL));
END $$;
COMMENT ON FUNCTION onec_internal.write_down_steps(onec_internal.sync_plan, bigint) IS
	'Записать шаги запуска (служебная)';

-- Begin a run.  When another one is at work a larger run is told to wait, until "since" is too long ago;
-- others are on record as skipped, and so are jobs whose login 1C has refused, until it is changed.
CREATE FUNCTION onec_internal.begin_run(plan onec_internal.sync_plan, since timestamptz, OUT run bigint,
										OUT wait boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state text := 'running';
	said text;
	other int;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('onec sync ' || plan.server, 0));
	PERFORM onec_internal.remember_base(plan.server);
	wait := false;
	IF plan.job IS NOT NULL AND EXISTS (SELECT FROM onec_internal.login_refusal l
										WHERE l.server = plan.server
										  AND l.login_version = onec_internal.login_version(plan.server)) THEN
		state := 'skipped (login)';
		said := '1C refused the login: the jobs wait until the user mapping or the server is altered';
	ELSIF onec_internal.hold_run(onec_internal.run_lock_key(plan.server)) THEN
		PERFORM onec_internal.close_lost_runs(plan.server);
	ELSE
		other := (SELECT r.size FROM onec.sync_run r WHERE r.server = plan.server AND r.status = 'running'
				  ORDER BY r.run_id DESC LIMIT 1);
		-- one that is just ending has no row any more
		wait := CASE WHEN other IS NULL THEN clock_timestamp() < since + interval '10 seconds'
					 ELSE plan.size > other
						 AND (plan.minutes = 0
							  OR clock_timestamp() < since + make_interval(mins => plan.minutes)) END;
		IF wait THEN
			RETURN;
		END IF;
		state := 'skipped (busy)';
		said := 'another run is at work';
	END IF;
	-- the sequence of a replica that was promoted is behind the rows that came to it
	WHILE run IS NULL LOOP
		INSERT INTO onec.sync_run AS r (server, started_at, finished_at, status, pid, backend_start, days,
										message, size, job)
		SELECT plan.server, clock_timestamp(), CASE WHEN state <> 'running' THEN clock_timestamp() END, state,
			   pg_backend_pid(),
			   (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()), plan.days,
			   said, plan.size, plan.job
		ON CONFLICT ON CONSTRAINT sync_run_pkey DO NOTHING
		RETURNING r.run_id INTO run;
	END LOOP;
	IF state <> 'running' THEN
		RAISE NOTICE USING MESSAGE = format('sync of "%s" %s: %s', plan.server, state, said);
		run := NULL;
		RETURN;
	END IF;
	PERFORM onec_internal.write_down_steps(plan, run);
	-- who reads everything, be it of one step, finds out anew what the base refuses: it may have been a
	-- passing trouble
	IF plan.size = 4 OR (plan.afresh AND plan.from_ts IS NULL AND plan.user_id IS NULL) THEN
		PERFORM onec.forget_refusals(plan.server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.begin_run(onec_internal.sync_plan, timestamptz) IS
	'Начать запуск синхронизации (служебная)';

CREATE FUNCTION onec_internal.end_run(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.analyze_what_changed();
	PERFORM onec.remember_refusals(plan.server);
	UPDATE onec.sync_run r
	SET finished_at = clock_timestamp(),
		status = (SELECT CASE WHEN bool_and(s.status IN ('failed', 'not published', 'skipped'))
							  AND bool_or(s.status = 'failed') THEN 'failed'
							  WHEN bool_or(s.status IN ('failed', 'skipped')) THEN 'partial'
							  WHEN bool_or(s.status = 'incomplete') THEN 'incomplete'
							  ELSE 'ok' END
				  FROM onec.sync_step s WHERE s.server = r.server AND s.run_id = r.run_id),
		message = (SELECT string_agg(DISTINCT CASE s.status WHEN 'skipped' THEN s.message
												   ELSE s.target || ': ' || s.message END, '; ')
				   FROM onec.sync_step s
				   WHERE s.server = r.server AND s.run_id = r.run_id
					 AND s.status IN ('failed', 'incomplete', 'skipped'))
	WHERE r.server = plan.server AND r.run_id = run;
	-- when all of what is compared is read, what had drifted is
	UPDATE onec.drift d SET repaired_at = clock_timestamp()
	WHERE d.server = plan.server AND d.repaired_at IS NULL AND plan.size > 0
	  AND (SELECT bool_and(s.status IN ('ok', 'not published')) FROM onec.sync_step s
		   WHERE s.server = d.server AND s.run_id = run AND s.step = onec_internal.compared_step());
END $$;
COMMENT ON FUNCTION onec_internal.end_run(onec_internal.sync_plan, bigint) IS 'Закончить запуск (служебная)';

-- ---- steps and windows ----

-- Why the run is to do no more: its time is over, or the base did not answer or refused the login.
CREATE FUNCTION onec_internal.reason_to_stop(plan onec_internal.sync_plan, run bigint) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	codes text[] := ARRAY(SELECT s.error_code FROM onec.sync_step s
						  WHERE s.server = plan.server AND s.run_id = run AND s.error_code IS NOT NULL);
BEGIN
	IF codes && '{08001,08006,HV00N}' THEN
		RETURN 'given up: the base does not answer';
	ELSIF codes && '{28000}' THEN
		RETURN 'given up: the login is refused';
	ELSIF plan.minutes > 0 AND clock_timestamp() > (SELECT r.started_at FROM onec.sync_run r
													WHERE r.server = plan.server AND r.run_id = run)
												   + make_interval(mins => plan.minutes) THEN
		RETURN 'out of time';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.reason_to_stop(onec_internal.sync_plan, bigint) IS
	'Почему запуску пора остановиться (служебная)';

-- Leave what is still to be done, and remember where.
CREATE FUNCTION onec_internal.stop_run_here(plan onec_internal.sync_plan, run bigint,
											reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_run r SET ended_at = s.ordinal
	FROM (SELECT t.ordinal FROM onec.sync_step t
		  WHERE t.server = plan.server AND t.run_id = run AND t.status IN ('running', 'waiting')
		  ORDER BY t.turn LIMIT 1) s
	WHERE r.server = plan.server AND r.run_id = run AND reason = 'out of time';
	UPDATE onec.sync_step s SET status = 'skipped', finished_at = clock_timestamp(), message = reason
	WHERE s.server = plan.server AND s.run_id = run AND s.status IN ('running', 'waiting');
END $$;
COMMENT ON FUNCTION onec_internal.stop_run_here(onec_internal.sync_plan, bigint, text) IS
	'Остановить запуск и запомнить место (служебная)';

-- How many days a step reads: a table never read completely is read from the beginning; after a pause longer
-- than what the run was told, its days are read, too.
CREATE FUNCTION onec_internal.days_of_step(plan onec_internal.sync_plan, target text) RETURNS int
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(($1).days, ceil(extract(epoch FROM clock_timestamp() - t.last_ok) / 86400)::int)
	FROM onec.sync_state t
	WHERE t.server = ($1).server AND t.target = $2 AND ($1).days IS NOT NULL
	  AND (t.last_ok IS NOT NULL OR onec_internal.date_column($2) IS NULL)
$$;
COMMENT ON FUNCTION onec_internal.days_of_step(onec_internal.sync_plan, text) IS
	'За сколько дней читать таблицу; NULL — всю (служебная)';

-- Begin the next step and list its windows.  Returns its number; NULL when there is none, or the run is to
-- stop.
CREATE FUNCTION onec_internal.begin_next_step(plan onec_internal.sync_plan, run bigint) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.sync_step;
	asked bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
	stop text := onec_internal.reason_to_stop(plan, run);
	code text;
	said text;
	detail text;
	context text;
BEGIN
	PERFORM onec_internal.drop_waiting_documents();
	PERFORM onec_internal.drop_window_tables();
	PERFORM onec_internal.analyze_what_changed();
	IF stop IS NOT NULL THEN
		PERFORM onec_internal.stop_run_here(plan, run, stop);
		RETURN NULL;
	END IF;
	UPDATE onec.sync_step t SET status = 'running', started_at = clock_timestamp(),
		days = onec_internal.days_of_step(plan, t.target)
	WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = (SELECT n.ordinal FROM onec.sync_step n
		WHERE n.server = plan.server AND n.run_id = run AND n.status = 'waiting' ORDER BY n.turn LIMIT 1)
	RETURNING t.* INTO s;
	IF s.ordinal IS NULL THEN
		RETURN NULL;
	END IF;
	BEGIN
		IF onec_internal.way_of_step(plan.server, s.target) = 'none' THEN
			UPDATE onec.sync_step t SET status = 'not published', finished_at = clock_timestamp()
			WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
		ELSE
			s.windows := onec_internal.windows_in_order(plan, run, s.target, s.days);
			UPDATE onec.sync_step t SET windows = s.windows, windows_total = cardinality(s.windows)
			WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.note_step_failure(plan.server, run, s.ordinal, code,
												onec_internal.message_without_values(code, said,
													detail, context));
	END;
	PERFORM onec_internal.account_requests(plan.server, run, s.ordinal, asked);
	RETURN s.ordinal;
END $$;
COMMENT ON FUNCTION onec_internal.begin_next_step(onec_internal.sync_plan, bigint) IS
	'Начать следующий шаг (служебная)';

-- Do what one window of a step takes.
CREATE FUNCTION onec_internal.do_window(plan onec_internal.sync_plan, target text, from_ts timestamp,
										till_ts timestamp, days int,
										OUT read bigint, OUT keys bigint, OUT inserted bigint,
										OUT updated bigint, OUT deleted bigint,
										OUT doubt text, OUT truncated boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way text := onec_internal.way_of_step(plan.server, target);
	part_of text := CASE WHEN plan.user_id IS NOT NULL
						 THEN onec_internal.purchases_of_person(plan.server, target, plan.user_id) END;
	more record;
BEGIN
	truncated := false;
	read := 0;
	keys := 0;
	IF way IN ('people', 'profiles') THEN
		PERFORM onec_internal.drop_forgotten_from_staged(plan.server, target);
	END IF;
	IF way = 'people' THEN
		SELECT f.rows_inserted, f.rows_updated, f.rows_deleted INTO inserted, updated, deleted
		FROM onec_internal.refresh_people(plan.server, days IS NULL OR plan.size >= 3) f;
	ELSIF way = 'profiles' THEN
		SELECT f.rows_inserted, f.rows_updated, f.rows_deleted INTO inserted, updated, deleted
		FROM onec_internal.refresh_after_sync(plan.server, days IS NULL AND plan.size > 0, plan.size > 0) f;
	ELSIF way = 'derived' THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt
		FROM onec_internal.sales_from_card_register(plan.server, plan.force) f;
	ELSIF (SELECT t.is_limited FROM onec.target t WHERE t.target = do_window.target)
		AND NOT onec_internal.cards_fit_limit(plan.server, plan.cards_limit) THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt, truncated
		FROM onec_internal.sync_some_cards(plan.server, plan.cards_limit, plan.force) f;
	ELSE
		SELECT f.* INTO read, keys, inserted, updated, deleted, doubt
		FROM onec_internal.sync_window(plan.server, target, from_ts, till_ts, part_of, plan.force) f;
		IF onec_internal.has_buyer(target) AND plan.user_id IS NOT NULL THEN
			SELECT * INTO more FROM onec_internal.sync_documents_by_card(plan.server, plan.user_id,
				from_ts, till_ts);
			read := read + more.read;
			inserted := inserted + more.inserted;
			updated := updated + more.updated;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.do_window(onec_internal.sync_plan, text, timestamp, timestamp, int) IS
	'Выполнить одно окно шага (служебная)';

-- The end of a step's windows, or of those that it went back to: what has waited is settled.
CREATE FUNCTION onec_internal.settle_step(plan onec_internal.sync_plan, run bigint, s onec.sync_step,
										  asked bigint[]) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	did record;
	code text;
	said text;
	detail text;
	context text;
BEGIN
	BEGIN
		SELECT * INTO did FROM onec_internal.settle_waiting(plan.server, s);
		UPDATE onec.sync_step t
		SET rows_inserted = t.rows_inserted + did.inserted, rows_updated = t.rows_updated + did.updated,
			rows_deleted = t.rows_deleted + did.deleted, message = coalesce(t.message, did.doubt),
			covered = '{}', covered_keys = 0
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.drop_waiting_documents();
		PERFORM onec_internal.note_step_failure(plan.server, run, s.ordinal, code,
												onec_internal.message_without_values(code, said,
													detail, context));
	END;
	PERFORM onec_internal.account_requests(plan.server, run, s.ordinal, asked);
	RETURN code IS NULL;
END $$;
COMMENT ON FUNCTION onec_internal.settle_step(onec_internal.sync_plan, bigint, onec.sync_step, bigint[]) IS
	'Сверить прочитанное шагом и записать отложенное (служебная)';

-- Whoever listens on onec_changed hears of a step that is over, once it is committed: a site its caches of
-- which are to be refreshed.  No row is in it, so everybody may listen.
CREATE FUNCTION onec_internal.tell_of_step(server name, run bigint, place int) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_notify('onec_changed',
					 json_build_object('server', t.server, 'target', t.target, 'run_id', t.run_id,
									   'changed', t.rows_inserted + t.rows_updated + t.rows_deleted)::text)
	FROM onec.sync_step t WHERE t.server = $1 AND t.run_id = $2 AND t.ordinal = $3
$$;
COMMENT ON FUNCTION onec_internal.tell_of_step(name, bigint, int) IS
	'Сообщить слушающим onec_changed, что шаг завершён (служебная)';

-- One window of a step, with its account; an error is kept with the step.  Returns whether there may be more
-- of it.
CREATE FUNCTION onec_internal.do_next_window(plan onec_internal.sync_plan, run bigint,
											 place int) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.sync_step;
	w tsrange;
	did record;
	asked bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
	-- what else stops a run has failed a step, and is looked for before the next one
	stop text := CASE WHEN plan.minutes > 0 THEN onec_internal.reason_to_stop(plan, run) END;
	code text;
	said text;
	detail text;
	context text;
BEGIN
	SELECT t.* INTO s FROM onec.sync_step t
	WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place AND t.status = 'running';
	w := s.windows[1];
	IF s.ordinal IS NULL THEN
		RETURN false;
	END IF;
	IF w IS NULL AND onec_internal.any_documents_wait() THEN
		RETURN onec_internal.settle_step(plan, run, s, asked);
	END IF;
	IF w IS NULL AND NOT s.went_back AND plan.user_id IS NULL THEN
		s.windows := onec_internal.days_left_behind(plan.server, s.target, s.started_at);
		w := s.windows[1];
		UPDATE onec.sync_step t
		SET went_back = true, windows = s.windows, windows_total = t.windows_total + cardinality(s.windows)
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place AND w IS NOT NULL;
	END IF;
	-- a step that was begun reads one window at least, lest a run that is always late stands still
	IF stop IS NOT NULL AND s.windows_done > 0 AND w IS NOT NULL THEN
		PERFORM onec_internal.stop_run_here(plan, run, stop);
		RETURN false;
	END IF;
	BEGIN
		IF w IS NULL THEN
			IF plan.size > 0 AND (onec_internal.target_named(s.target)).sums = 'balance' THEN
				PERFORM onec_internal.check_points_with_1c(plan, s);
			END IF;
			PERFORM onec_internal.end_step(plan, run, s);
		ELSE
			SELECT * INTO did FROM onec_internal.do_window(plan, s.target, lower(w), upper(w), s.days);
			s.windows := s.windows[2:];
			IF did.read = 0 AND s.empty_windows > 0 THEN
				s.windows := onec_internal.join_empty_windows(plan.server, s.target, s.windows);
			END IF;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.note_step_failure(plan.server, run, place, code,
												onec_internal.message_without_values(code, said,
													detail, context));
	END;
	IF w IS NOT NULL AND code IS NULL THEN
		UPDATE onec.sync_step t
		SET windows = s.windows, windows_done = t.windows_done + 1, rows_read = t.rows_read + did.read,
			rows_inserted = t.rows_inserted + did.inserted,
			rows_updated = t.rows_updated + did.updated, rows_deleted = t.rows_deleted + did.deleted,
			truncated = t.truncated OR did.truncated, message = coalesce(t.message, did.doubt),
			covered = CASE WHEN onec_internal.deletion_waits_for_end(t.server, t.target)
						   THEN t.covered + tsmultirange(w) ELSE '{}' END,
			covered_keys = t.covered_keys + did.keys,
			empty_windows = CASE WHEN did.read = 0 THEN t.empty_windows + 1 ELSE 0 END
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place;
	END IF;
	PERFORM onec_internal.account_requests(plan.server, run, place, asked);
	IF w IS NULL OR code IS NOT NULL THEN
		PERFORM onec_internal.tell_of_step(plan.server, run, place);
	END IF;
	IF w IS NULL AND code IS NULL THEN
		RAISE NOTICE USING MESSAGE = onec_internal.step_summary(plan.server, run, place);
	END IF;
	RETURN w IS NOT NULL AND code IS NULL;
END $$;
COMMENT ON FUNCTION onec_internal.do_next_window(onec_internal.sync_plan, bigint, int) IS
	'Прочитать следующее окно шага (служебная)';

CREATE PROCEDURE onec_internal.carry_out(plan onec_internal.sync_plan)
	LANGUAGE plpgsql
AS $$
DECLARE
	since pg_catalog.timestamptz := pg_catalog.clock_timestamp();
	begun pg_catalog.record;
	step int;
BEGIN
	-- whatever the session's default is: each window sees what others have committed before it
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	LOOP
		SELECT * INTO begun FROM onec_internal.begin_run(plan, since);
		COMMIT AND CHAIN;
		EXIT WHEN NOT begun.wait;
		PERFORM pg_catalog.pg_sleep(0.5);
	END LOOP;
	IF begun.run IS NULL THEN
		RETURN;
	END IF;
	LOOP
		step := onec_internal.begin_next_step(plan, begun.run);
		COMMIT AND CHAIN;
		EXIT WHEN step IS NULL;
		WHILE onec_internal.do_next_window(plan, begun.run, step) LOOP
			COMMIT AND CHAIN;
		END LOOP;
		COMMIT AND CHAIN;
	END LOOP;
	PERFORM onec_internal.end_run(plan, begun.run);
	COMMIT;
	PERFORM onec_internal.release_run();
END $$;
COMMENT ON PROCEDURE onec_internal.carry_out(onec_internal.sync_plan) IS
	'Синхронизация без проверок (служебная)';

-- What a window leaves to the end of its transaction; what waits for the end of its step stays.
CREATE FUNCTION onec_internal.drop_passing_tables() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass;
BEGIN
	FOR tab IN SELECT c.oid FROM pg_class c
			   WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r' AND c.relname ~ '^onec_'
				 AND c.relname !~ '^onec_waiting' LOOP
		EXECUTE format('DROP TABLE %s', tab);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.drop_passing_tables() IS
	'Убрать временные таблицы окна, когда транзакция одна на все (служебная)';

-- A dry run is the run itself in one transaction, taken back: its steps are told as they end.
CREATE PROCEDURE onec_internal.try_plan(plan onec_internal.sync_plan)
	LANGUAGE plpgsql
AS $$
DECLARE
	begun pg_catalog.record;
	step int;
BEGIN
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	SELECT * INTO begun FROM onec_internal.begin_run(plan, '-infinity');
	IF begun.run IS NULL THEN
		RAISE object_in_use USING MESSAGE = 'another run is at work',
			HINT = 'A dry run does not wait: try again when that one has ended.';
	END IF;
	LOOP
		step := onec_internal.begin_next_step(plan, begun.run);
		EXIT WHEN step IS NULL;
		WHILE onec_internal.do_next_window(plan, begun.run, step) LOOP
			PERFORM onec_internal.drop_passing_tables();
		END LOOP;
		PERFORM onec_internal.drop_passing_tables();
	END LOOP;
	ROLLBACK;
	RAISE NOTICE 'dry run: nothing of this is kept';
END $$;
COMMENT ON PROCEDURE onec_internal.try_plan(onec_internal.sync_plan) IS
	'Показать, что сделала бы синхронизация (служебная)';

-- ---- how it is asked for ----

-- The plan of a run of the shop's steps.
CREATE FUNCTION onec_internal.plan_of_steps(server name, days int, cards_limit int, steps text[],
											deep boolean, force boolean, afresh boolean, job text)
	RETURNS onec_internal.sync_plan
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ROW($1, $2, coalesce($3, onec.get('sync.cards_limit', $1)::int), $4, $5, $6, $7, $8,
			   CASE WHEN $4 IS NOT NULL THEN 1 WHEN $2 IS NULL THEN 4 WHEN $5 THEN 3 ELSE 2 END,
			   CASE WHEN $8 IS NULL THEN 0 ELSE onec.get('sync.max_minutes', $1)::int END, NULL, NULL,
			   NULL)::onec_internal.sync_plan
$$;
COMMENT ON FUNCTION onec_internal.plan_of_steps(name, int, int, text[], boolean, boolean, boolean, text) IS
	'Что делать запуску (служебная)';

CREATE FUNCTION onec_internal.check_steps(steps text[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.checked_word('step', coalesce(u, ''),
									   ARRAY(SELECT t.step FROM onec.target t GROUP BY 1
											 ORDER BY min(t.ordinal))) FROM unnest(steps) u;
	IF steps = '{}' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'there is no step to do',
			HINT = 'Leave steps out to do all of them.';
	END IF;
	PERFORM onec_internal.must_write('sync');
END $$;
COMMENT ON FUNCTION onec_internal.check_steps(text[]) IS 'Проверить параметры синхронизации (служебная)';

-- Asked by a procedure itself, in its own body: what it calls cannot tell for it.
CREATE FUNCTION onec_internal.in_transaction_block() RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_in_transaction_block';
COMMENT ON FUNCTION onec_internal.in_transaction_block() IS
	'Нельзя ли вызвавшей процедуре фиксировать: блок BEGIN … COMMIT, обработчик ошибок, функция (служебная)';

CREATE FUNCTION onec_internal.refuse_transaction_block(procedure text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE invalid_transaction_termination USING
		MESSAGE = format('onec.%s cannot run inside a transaction block or a function', procedure),
		HINT = 'It commits window by window: call it outside of BEGIN … COMMIT, functions and exception '
			   'handlers, as a statement of its own.';
END $$;
COMMENT ON FUNCTION onec_internal.refuse_transaction_block(text) IS
	'Ошибка: процедуре нельзя фиксировать (служебная)';

-- What only setup makes is there.
CREATE FUNCTION onec_internal.check_setup_was_run(server name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.sync_steps(server, NULL) t
				   WHERE to_regclass(format('%I.%I', check_setup_was_run.server, t.target)) IS NOT NULL) THEN
		RAISE undefined_table USING
			MESSAGE = format('server "%s" has no foreign tables of the shop', server),
			HINT = format('Run SELECT * FROM onec.setup(%L) first.', server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_setup_was_run(name) IS
	'Проверить, что onec.setup выполнен (служебная)';

-- Days and limits that can be meant; a year has 366 days, and no base is older than a century.
CREATE FUNCTION onec_internal.check_days_and_limit(days int, cards_limit int) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF days NOT BETWEEN 0 AND 36500 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid number of days: %s', days),
				HINT = 'From 0 to 36500; full_reload => true reads everything.';
	ELSIF cards_limit < 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = format('invalid limit of cards: %s', cards_limit),
			HINT = 'From 0, which means all.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_days_and_limit(int, int) IS
	'Проверить дни и ограничение карт (служебная)';

-- What onec.sync has been asked, as a plan; errors where it cannot be done.
CREATE FUNCTION onec_internal.plan_of_sync(server name, days int, cards_limit int, steps text[],
										   full_reload boolean, deep boolean, force boolean)
	RETURNS onec_internal.sync_plan
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
BEGIN
	PERFORM onec_internal.check_steps(steps);
	PERFORM onec_internal.check_days_and_limit(days, cards_limit);
	srv := onec_internal.live_server_meant(server);
	PERFORM onec_internal.check_setup_was_run(srv);
	RETURN onec_internal.plan_of_steps(srv, CASE WHEN full_reload IS NOT TRUE
												 THEN coalesce(days, onec.get('sync.purchase_days',
													 srv)::int) END,
									   cards_limit, steps, coalesce(deep, false), coalesce(force, false),
									   coalesce(full_reload, false), NULL);
END $$;
COMMENT ON FUNCTION onec_internal.plan_of_sync(name, int, int, text[], boolean, boolean, boolean) IS
	'Что делать запуску по параметрам onec.sync (служебная)';

CREATE PROCEDURE onec.sync(server name DEFAULT NULL, days int DEFAULT NULL, cards_limit int DEFAULT NULL,
						   steps text[] DEFAULT NULL,
						   full_reload boolean DEFAULT false, deep boolean DEFAULT false,
						   force boolean DEFAULT false,
						   dry_run boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('sync');
	END IF;
	COMMIT;
	IF dry_run THEN
		CALL onec_internal.try_plan(onec_internal.plan_of_sync(server, days, cards_limit, steps, full_reload,
															   deep, force));
		RETURN;
	END IF;
	CALL onec_internal.carry_out(onec_internal.plan_of_sync(server, days, cards_limit, steps, full_reload,
															deep, force));
END $$;
COMMENT ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean, boolean, boolean) IS
	'Синхронизация с 1С: карты, контрагенты, товары, магазины, покупки за days дней, баллы, заказы, профили; '
	'фиксирует каждое окно, можно прервать и повторить; deep — ещё и сверить старые месяцы и перечитать '
	'разошедшиеся; force — поверить пустому ответу или ответу, в котором нет ни одной здешней строки; '
	'dry_run — только показать, сколько строк изменилось бы';
REVOKE EXECUTE ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean, boolean, boolean) FROM PUBLIC;
-- Syncs of a part: one kind of data, some months of purchases, one customer.

CREATE PROCEDURE onec.sync_cards(server name DEFAULT NULL, cards_limit int DEFAULT NULL,
								 force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, cards_limit => cards_limit, steps => '{cards,profiles}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_cards(name, int, boolean) IS 'Прочитать карты и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_cards(name, int, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_counterparties(server name DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{counterparties,profiles}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_counterparties(name, boolean) IS
	'Прочитать контрагентов с контактами и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_counterparties(name, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_products(server name DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{products,stores}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_products(name, boolean) IS 'Прочитать товары, категории и магазины';
REVOKE EXECUTE ON PROCEDURE onec.sync_products(name, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_loyalty(server name DEFAULT NULL, days int DEFAULT NULL,
								   force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, days => days, steps => '{loyalty}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_loyalty(name, int, boolean) IS 'Прочитать бонусные баллы за days дней';
REVOKE EXECUTE ON PROCEDURE onec.sync_loyalty(name, int, boolean) FROM PUBLIC;

-- What onec.sync_purchases has been asked, as a plan.
CREATE FUNCTION onec_internal.plan_of_purchases(server name, days int, "from" date, "to" date, customer text,
												force boolean) RETURNS onec_internal.sync_plan
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	today date := onec.local_now(srv)::date;
	plan onec_internal.sync_plan;
	person onec.site_user;
BEGIN
	PERFORM onec_internal.check_days_and_limit(days, NULL);
	PERFORM onec_internal.check_day_order("from", "to");
	PERFORM onec_internal.check_setup_was_run(srv);
	IF "from" IS NULL AND customer IS NULL THEN
		IF "to" IS NOT NULL THEN
			RAISE invalid_parameter_value USING MESSAGE = '"to" needs "from"',
				HINT = 'Days are read from "from" on, up to "to", which is left out.';
		END IF;
		RETURN onec_internal.plan_of_sync(srv, days, NULL, '{purchases,profiles}', false, false, force);
	END IF;
	IF customer IS NOT NULL THEN
		person := onec_internal.person_by_key(customer, srv);
		IF person.user_id IS NULL THEN
			RAISE no_data_found USING MESSAGE = 'no customer is known by this key',
				HINT = 'Read the cards first: CALL onec.sync_cards().';
		END IF;
	END IF;
	plan := onec_internal.plan_of_steps(srv, NULL, NULL, '{purchases,profiles}', false, force, true, NULL);
	plan.size := 0;
	plan.user_id := person.user_id;
	plan.from_ts := coalesce("from", today - coalesce(days, onec.get('sync.purchase_days', srv)::int));
	plan.till_ts := coalesce("to", today + 1);
	RETURN plan;
END $$;
COMMENT ON FUNCTION onec_internal.plan_of_purchases(name, int, date, date, text, boolean) IS
	'Что делать запуску по параметрам onec.sync_purchases (служебная)';

CREATE PROCEDURE onec.sync_purchases(server name DEFAULT NULL, days int DEFAULT NULL,
									 "from" date DEFAULT NULL, "to" date DEFAULT NULL,
									 customer text DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('sync_purchases');
	END IF;
	COMMIT;
	CALL onec_internal.carry_out(onec_internal.plan_of_purchases(server, days, "from", "to",
		customer, force));
END $$;
COMMENT ON PROCEDURE onec.sync_purchases(name, int, date, date, text, boolean) IS
	'Прочитать покупки: за days дней, за дни с from по to (to не входит) или одного покупателя по телефону, '
	'карте, контрагенту — так дёшево обновить его по запросу';
REVOKE EXECUTE ON PROCEDURE onec.sync_purchases(name, int, date, date, text, boolean) FROM PUBLIC;
-- Jobs of pg_cron, which is optional.  Their text is only CALL onec.run_job(…): no address, no login, no
-- numbers.

-- The clock of pg_cron: GMT, and from 1.5 on what cron.timezone says.  pg_settings shows a setting only where
-- the library has defined it: a line of postgresql.conf that 1.4 does not understand does not count.
CREATE FUNCTION onec_internal.cron_zone() RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT nullif(s.setting, '') FROM pg_settings s WHERE s.name = 'cron.timezone'), 'GMT')
$$;
COMMENT ON FUNCTION onec_internal.cron_zone() IS 'Часовой пояс, по которому работает pg_cron (служебная)';

-- The next occurrence of a local time of the base, on its clock and on that of pg_cron: on the eve of a
-- change of the clocks that is already the new one.  Whoever asks often says what clock that is: to look it
-- up takes a millisecond.
CREATE FUNCTION onec_internal.cron_moment(server name, hour int, minute int, at timestamptz, clock text,
										  OUT local timestamp, OUT cron timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.local, (x.local AT TIME ZONE z.zone) AT TIME ZONE coalesce($5, onec_internal.cron_zone())
	FROM (SELECT onec_internal.server_zone($1) AS zone, make_time($2, $3, 0) AS time OFFSET 0) z,
		 LATERAL (SELECT date_trunc('minute', $4 AT TIME ZONE z.zone) AS now) l,
		 LATERAL (SELECT l.now::date + z.time + CASE WHEN l.now::time > z.time THEN interval '1 day'
													 ELSE interval '0' END AS local) x
$$;
COMMENT ON FUNCTION onec_internal.cron_moment(name, int, int, timestamptz, text) IS
	'Когда местное время базы 1С наступит по часам её и pg_cron (служебная)';

-- That time as minute and hour of pg_cron.
CREATE FUNCTION onec_internal.cron_time(server name, hour int, minute int, at timestamptz DEFAULT now(),
										clock text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s %s', extract(minute FROM m.cron)::int, extract(hour FROM m.cron)::int)
	FROM onec_internal.cron_moment($1, $2, $3, $4, $5) m
$$;
COMMENT ON FUNCTION onec_internal.cron_time(name, int, int, timestamptz, text) IS
	'Местное время базы 1С как минута и час по часам pg_cron (служебная)';

-- The day of the week on which pg_cron's clock has that time of a local Sunday: half past one in Moscow is
-- Saturday evening there.
CREATE FUNCTION onec_internal.cron_day_of_sunday(server name, hour int, minute int,
												 at timestamptz DEFAULT now(),
												 clock text DEFAULT NULL) RETURNS int
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (7 + m.cron::date - m.local::date) % 7 FROM onec_internal.cron_moment($1, $2, $3, $4, $5) m
$$;
COMMENT ON FUNCTION onec_internal.cron_day_of_sunday(name, int, int, timestamptz, text) IS
	'На какой день недели pg_cron приходится это время воскресенья (служебная)';

-- Jobs that begin in one minute would end as "skipped (busy)", all but one, and not the right one: the
-- smaller job leaves its turn to the larger.
CREATE FUNCTION onec_internal.leaves_turn_to_larger(server name, job text,
													at timestamptz DEFAULT now()) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(to_char(x.clock, 'FMMI FMHH24') = onec_internal.cron_time($1,
		onec.get('nightly.hour', $1)::int, onec.get('nightly.minute', $1)::int, $3)
		   AND ($2 = 'interval'
				AND (onec.get('nightly.enabled', $1)::boolean OR extract(dow FROM x.clock) = x.sunday)
				OR $2 = 'nightly' AND extract(dow FROM x.clock) = x.sunday), false)
	FROM (SELECT $3 AT TIME ZONE onec_internal.cron_zone(),
				 onec_internal.cron_day_of_sunday($1, onec.get('nightly.hour', $1)::int,
												  onec.get('nightly.minute', $1)::int, $3)) x (clock, sunday)
$$;
COMMENT ON FUNCTION onec_internal.leaves_turn_to_larger(name, text, timestamptz) IS
	'Уступает ли задание большему, назначенному на ту же минуту (служебная)';

-- Whether the interval has passed since the last whole run; ten minutes early is in time.
CREATE FUNCTION onec_internal.is_interval_due(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 24 % h = 0 AND h < 24 OR NOT EXISTS (
		SELECT FROM onec.sync_run r
		WHERE r.server = $1 AND r.size >= 2 AND r.status IN ('ok', 'incomplete', 'partial', 'running')
		  AND r.started_at > now() - make_interval(hours => h) + interval '10 minutes')
	FROM (SELECT onec.get('sync.interval_hours', $1)::int) x (h)
$$;
COMMENT ON FUNCTION onec_internal.is_interval_due(name) IS 'Пора ли частой синхронизации (служебная)';

-- The jobs, and what each is called in pg_cron, whose names end at 63 bytes.  A job of another database than
-- pg_cron's has that in its name: there may be a server of the same name in each.
CREATE FUNCTION onec_internal.job_names(server name, database name DEFAULT NULL)
	RETURNS TABLE (job text, job_name text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT v.job, format('onec:%s:%s',
						 CASE WHEN octet_length(w.owner) > 45 THEN md5(w.owner) ELSE w.owner END, v.job)
	FROM (SELECT concat_ws('.', $2, $1) AS owner) w,
		(VALUES ('interval'), ('nightly'), ('weekly'), ('housekeeping'), ('history')) v (job)
	-- history is cleaned by a job of its own only where that of the housekeeping is out of reach
	WHERE $2 IS NOT NULL OR v.job <> 'history'
$$;
COMMENT ON FUNCTION onec_internal.job_names(name, name) IS 'Задания сервера и их имена в pg_cron (служебная)';

CREATE FUNCTION onec_internal.jobs_of_server(server name, at timestamptz DEFAULT now(),
											 clock text DEFAULT onec_internal.cron_zone())
	RETURNS TABLE (job text, job_name text, cron text, command text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	hours int := onec.get('sync.interval_hours', server)::int;
	hour int := onec.get('nightly.hour', server)::int;
	minute int := onec.get('nightly.minute', server)::int;
	nightly text := onec_internal.cron_time(server, hour, minute, at, clock);
BEGIN
	RETURN QUERY
		SELECT n.job, n.job_name, v.cron, format('CALL onec.run_job(%L, %L)', n.job, server)
		FROM onec_internal.job_names(server) n
		JOIN (VALUES (1, 'interval',
					  CASE WHEN 24 % hours = 0 AND hours < 24 THEN format('0 */%s * * *', hours)
										  -- other intervals: every hour the job looks whether it is due
										  ELSE '0 * * * *' END),
					 (2, 'nightly', nightly || ' * * *'),
					 (3, 'weekly', nightly || ' * * '
					  || onec_internal.cron_day_of_sunday(server, hour, minute, at, clock)),
					 -- after the night: it sets the clock for the next one
					 (4, 'housekeeping', onec_internal.cron_time(server, (hour + 1) % 24, minute, at, clock)
					  || ' * * *')) v (place, job, cron)
			ON v.job = n.job
		ORDER BY v.place;
END $$;
COMMENT ON FUNCTION onec_internal.jobs_of_server(name, timestamptz, text) IS
	'Задания расписания сервера (служебная)';

-- The database pg_cron works in; NULL where it is not loaded or this role may not see.
CREATE FUNCTION onec_internal.cron_database() RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.setting FROM pg_settings s WHERE s.name = 'cron.database_name'
$$;
COMMENT ON FUNCTION onec_internal.cron_database() IS 'База данных, в которой работает pg_cron (служебная)';

-- Where pg_cron is: here, not created (it could be here), elsewhere (in another database), none.
CREATE FUNCTION onec_internal.cron_place() RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN c.home <> current_database() THEN 'elsewhere'
				WHEN EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN 'here'
				WHEN c.home IS NOT NULL THEN 'not created'
				ELSE 'none' END
	FROM (SELECT onec_internal.cron_database()) c (home)
$$;
COMMENT ON FUNCTION onec_internal.cron_place() IS
	'Где pg_cron: here, not created, elsewhere, none (служебная)';

-- A text inside double quotes of a line of crontab, where a percent sign would end the line.
CREATE FUNCTION onec_internal.shell_quoted(value text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '"' || replace(regexp_replace($1, '([\\"$`])', '\\\1', 'g'), '%', '\%') || '"'
$$;
COMMENT ON FUNCTION onec_internal.shell_quoted(text) IS 'Текст в кавычках для строки crontab (служебная)';

-- What keeps pg_cron's own log short where the housekeeping cannot reach it.
CREATE FUNCTION onec_internal.cron_history_command(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('DELETE FROM cron.job_run_details WHERE database = %L AND command IN (%s) AND end_time < '
				  'now() - interval ''%s days''',
				  current_database(), string_agg(quote_literal(j.command), ', ' ORDER BY j.job),
				  onec.get('keep.job_days', $1)::int)
	FROM onec_internal.jobs_of_server($1) j
$$;
COMMENT ON FUNCTION onec_internal.cron_history_command(name) IS
	'Команда, удаляющая записи pg_cron, который в другой базе данных (служебная)';

-- What to run in the database that has pg_cron.
CREATE FUNCTION onec_internal.cron_statements_elsewhere(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(CASE WHEN n.job <> 'history' THEN
						  format('SELECT cron.schedule_in_database(%L, %L, %L, %L, %L);', n.job_name, j.cron,
								 j.command, current_database(), current_user)
						   WHEN onec.get('keep.job_days', $1)::int > 0 THEN
						  format('SELECT cron.schedule(%L, %L, %L);', n.job_name, j.cron,
								 onec_internal.cron_history_command($1)) END, E'\n' ORDER BY n.place)
	FROM onec_internal.job_names($1, current_database()) WITH ORDINALITY n (job, job_name, place)
	JOIN onec_internal.jobs_of_server($1) j
		ON j.job = CASE n.job WHEN 'history' THEN 'housekeeping' ELSE n.job END
$$;
COMMENT ON FUNCTION onec_internal.cron_statements_elsewhere(name) IS
	'Что выполнить в базе данных, где pg_cron (служебная)';

-- What to do where this database has no pg_cron: lines for its own database, or for the system's cron.
CREATE FUNCTION onec_internal.schedule_hint(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE onec_internal.cron_place()
		WHEN 'elsewhere' THEN
			format(E'Run in database "%s", and again after a change of the clocks or of the settings:\n%s',
			onec_internal.cron_database(), onec_internal.cron_statements_elsewhere($1))
		ELSE format(E'%sor put these lines into a crontab (its clock must be %s):\n%s',
			CASE onec_internal.cron_place() WHEN 'not created' THEN 'Run CREATE EXTENSION pg_cron, '
									ELSE 'Install pg_cron and add it to shared_preload_libraries, ' END,
										onec_internal.cron_zone(),
			(SELECT string_agg(format('%s psql -X -q -d %s -c %s', j.cron,
									  onec_internal.shell_quoted(current_database()),
									  onec_internal.shell_quoted(j.command)), E'\n' ORDER BY j.place)
			 FROM onec_internal.jobs_of_server($1) WITH ORDINALITY j (job, job_name, cron, command,
				 place))) END
$$;
COMMENT ON FUNCTION onec_internal.schedule_hint(name) IS
	'Что сделать, если pg_cron не в этой базе данных (служебная)';

CREATE FUNCTION onec.schedule(server name DEFAULT NULL)
	RETURNS TABLE (job text, cron text, command text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	j record;
BEGIN
	IF onec_internal.cron_place() <> 'here' THEN
		RAISE feature_not_supported USING
			MESSAGE = CASE onec_internal.cron_place()
						   WHEN 'elsewhere' THEN 'pg_cron works in another database'
											  ELSE 'pg_cron is not installed in this database' END,
			HINT = onec_internal.schedule_hint(srv);
	END IF;
	FOR j IN SELECT * FROM onec_internal.jobs_of_server(srv) LOOP
		EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING j.job_name, j.cron, j.command;
		job := j.job_name;
		cron := j.cron;
		command := j.command;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.schedule(name) IS
	'Создать задания pg_cron; можно повторять. Если pg_cron в другой базе данных или его нет, подсказка '
	'ошибки содержит готовые строки';
REVOKE EXECUTE ON FUNCTION onec.schedule(name) FROM PUBLIC;

CREATE FUNCTION onec.unschedule(server name DEFAULT NULL) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	removed int := 0;
BEGIN
	IF onec_internal.cron_place() = 'elsewhere' THEN
		RAISE NOTICE USING
			MESSAGE = 'pg_cron works in another database',
			HINT = format(E'Run in database "%s":\n%s', onec_internal.cron_database(),
				(SELECT string_agg(format('SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = %L;',
										  n.job_name), E'\n' ORDER BY n.place)
				 FROM onec_internal.job_names(srv, current_database()) WITH ORDINALITY n (job,
					 job_name, place)));
	ELSIF onec_internal.cron_place() = 'here' THEN
		EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j
				 WHERE j.database = current_database()
				   AND j.jobname IN (SELECT n.job_name FROM onec_internal.job_names($1) n)'
			INTO removed USING srv;
	END IF;
	RETURN removed;
END $$;
COMMENT ON FUNCTION onec.unschedule(name) IS 'Убрать задания pg_cron; возвращает их число';
REVOKE EXECUTE ON FUNCTION onec.unschedule(name) FROM PUBLIC;

-- Old entries of pg_cron's own log, which it never cleans: those of our commands only.  A job that could not
-- even start has no times; it goes with its neighbours.
CREATE FUNCTION onec_internal.forget_job_runs(server name, days int) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	deleted bigint;
BEGIN
	IF days <= 0 OR onec_internal.cron_place() <> 'here' THEN
		RETURN 0;
	END IF;
	EXECUTE '
		WITH ours AS (SELECT d.runid, coalesce(d.start_time, d.end_time) AS at FROM cron.job_run_details d
					  WHERE d.database = current_database()
						AND d.command IN (SELECT j.command FROM onec_internal.jobs_of_server($1) j)),
			 old AS (SELECT max(o.runid) AS runid FROM ours o WHERE o.at < now() - make_interval(days => $2))
		DELETE FROM cron.job_run_details d USING ours o, old
		WHERE d.runid = o.runid
		  AND (o.at < now() - make_interval(days => $2) OR o.at IS NULL AND o.runid < old.runid)'
		USING server, days;
	GET DIAGNOSTICS deleted = ROW_COUNT;
	RETURN deleted;
END $$;
COMMENT ON FUNCTION onec_internal.forget_job_runs(name, int) IS
	'Удалить старые записи журнала pg_cron о наших заданиях (служебная)';

-- Jobs whose time is that of the other half of the year.  A time that somebody chose is left alone.
CREATE FUNCTION onec_internal.reschedule_jobs(server name) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moved bigint := 0;
BEGIN
	IF onec_internal.cron_place() = 'here' THEN
		EXECUTE '
			SELECT count(cron.schedule(w.job_name, w.cron, w.command))
			FROM onec_internal.jobs_of_server($1) w
			JOIN cron.job j ON j.jobname = w.job_name AND j.username = current_user
				AND j.database = current_database()
			WHERE j.schedule <> w.cron AND EXISTS (
				SELECT FROM generate_series(now() - interval ''360 days'', now(), interval ''30 days'') t,
					   onec_internal.jobs_of_server($1, t) o
				WHERE o.job = w.job AND o.cron = j.schedule)'
			INTO moved USING server;
	END IF;
	RETURN moved;
END $$;
COMMENT ON FUNCTION onec_internal.reschedule_jobs(name) IS
	'Перенести задания после перевода часов (служебная)';

CREATE FUNCTION onec_internal.housekeep(server name, OUT job_runs bigint, OUT runs bigint, OUT drifts bigint,
										OUT moved bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	run_days int := onec.get('keep.run_days', server)::int;
	drift_days int := onec.get('keep.drift_days', server)::int;
BEGIN
	job_runs := onec_internal.forget_job_runs(server, onec.get('keep.job_days', server)::int);
	-- the newest run, and the newest that did something, tell how things stand
	DELETE FROM onec.sync_run r
	WHERE r.server = housekeep.server AND run_days > 0
	  AND r.started_at < now() - make_interval(days => run_days) AND r.status <> 'running'
	  AND r.run_id < (SELECT max(n.run_id) FILTER (WHERE n.status NOT LIKE 'skipped%') FROM onec.sync_run n
					  WHERE n.server = housekeep.server);
	GET DIAGNOSTICS runs = ROW_COUNT;
	DELETE FROM onec.sync_step s
	WHERE s.server = housekeep.server
	  AND NOT EXISTS (SELECT FROM onec.sync_run r WHERE r.server = s.server AND r.run_id = s.run_id);
	DELETE FROM onec.drift d
	WHERE d.server = housekeep.server AND drift_days > 0
	  AND d.repaired_at < now() - make_interval(days => drift_days);
	GET DIAGNOSTICS drifts = ROW_COUNT;
	IF onec_internal.purchases_kept_since(server, 'sale_line') > onec_internal.first_moment() THEN
		PERFORM onec_internal.purge_before(server, onec_internal.purchases_kept_since(server,
			'sale_line')::date);
	END IF;
	moved := onec_internal.reschedule_jobs(server);
END $$;
COMMENT ON FUNCTION onec_internal.housekeep(name) IS
	'Удалить старые журналы, поправить время заданий (служебная)';

-- The server of a job that can be done.  The job comes first; who turns them round is told so.
CREATE FUNCTION onec_internal.server_of_job(job text, server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	jobs text[] := ARRAY(SELECT n.job FROM onec_internal.job_names('') n);
BEGIN
	IF server = ANY (jobs) AND job <> ALL (jobs) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unrecognized job "%s"', job),
			HINT = format('The job comes before the server: (%L, %L).', server, job);
	END IF;
	PERFORM onec_internal.checked_word('job', coalesce(job, ''), jobs);
	-- lines that were given to another cron still have the name of before
	server := coalesce((SELECT b.server FROM onec_internal.base b WHERE server_of_job.server = ANY (b.former)
						AND NOT EXISTS (SELECT FROM onec_internal.live_servers s
										WHERE s.server = server_of_job.server) LIMIT 1), server);
	server := onec_internal.live_server_meant(server);
	IF job <> 'housekeeping' THEN
		PERFORM onec_internal.check_setup_was_run(server);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.server_of_job(text, name) IS
	'Проверить задание и найти его сервер (служебная)';

-- What a job of the schedule reads.
CREATE FUNCTION onec_internal.plan_of_job(server name, job text) RETURNS onec_internal.sync_plan
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.plan_of_steps($1, CASE $2 WHEN 'interval'
												THEN onec.get('sync.purchase_days', $1)::int
												   WHEN 'nightly' THEN onec.get('nightly.purchase_days',
													   $1)::int END,
									   CASE $2 WHEN 'interval' THEN onec.get('sync.cards_limit', $1)::int
											   WHEN 'nightly' THEN onec.get('nightly.cards_limit', $1)::int
											   ELSE 0 END,
									   NULL, $2 = 'nightly', false, false, $2)
$$;
COMMENT ON FUNCTION onec_internal.plan_of_job(name, text) IS 'Что делать запуску по заданию (служебная)';

-- What is to be done when a job comes: a larger one that found another run at work, was interrupted or ran
-- out of time stays due until a run as large has ended.
CREATE FUNCTION onec_internal.due_job(server name, job text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH last AS (
		SELECT DISTINCT ON (r.job) r.job, r.size, r.run_id, r.status = 'skipped (busy)'
			OR r.ended_at IS NOT NULL
			OR r.status = 'interrupted' AND r.message NOT LIKE 'cancelled by %' AS owed
		FROM onec.sync_run r WHERE r.server = $1 AND r.job IN ('nightly', 'weekly') AND r.status <> 'running'
		ORDER BY r.job, r.run_id DESC)
	SELECT coalesce((
		SELECT l.job FROM last l
		WHERE l.owed AND $2 IN ('interval', 'nightly') AND l.job <> $2
		  AND (l.job = 'weekly' OR onec.get('nightly.enabled', $1)::boolean)
		  AND NOT EXISTS (SELECT FROM onec.sync_run n
						  WHERE n.server = $1 AND n.run_id > l.run_id AND n.size >= l.size
						  AND n.status IN ('running', 'ok', 'incomplete'))
		ORDER BY l.size DESC LIMIT 1), $2)
$$;
COMMENT ON FUNCTION onec_internal.due_job(name, text) IS
	'Какое задание выполнить: большее, которое не состоялось, остаётся за базой (служебная)';

-- Whether the job does nothing now: switched off, not due, or giving way.
CREATE FUNCTION onec_internal.has_nothing_to_do(server name, job text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 = 'interval'
		AND NOT (onec.get('sync.enabled', $1)::boolean AND onec_internal.is_interval_due($1))
		OR $2 = 'nightly' AND NOT onec.get('nightly.enabled', $1)::boolean
		OR onec_internal.leaves_turn_to_larger($1, $2)
$$;
COMMENT ON FUNCTION onec_internal.has_nothing_to_do(name, text) IS
	'Нечего ли делать заданию сейчас (служебная)';

CREATE FUNCTION onec_internal.housekeep_and_tell(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept record;
BEGIN
	SELECT * INTO kept FROM onec_internal.housekeep(server);
	RAISE NOTICE USING MESSAGE = format('deleted: %s entries of pg_cron, %s runs, %s months; jobs moved: %s',
		kept.job_runs, kept.runs, kept.drifts, kept.moved);
END $$;
COMMENT ON FUNCTION onec_internal.housekeep_and_tell(name) IS 'Уборка журналов с отчётом (служебная)';

CREATE PROCEDURE onec_internal.do_job(server name, job text)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF job OPERATOR(pg_catalog.=) 'housekeeping' THEN
		PERFORM onec_internal.housekeep_and_tell(server);
		RETURN;
	END IF;
	CALL onec_internal.carry_out(onec_internal.plan_of_job(server, job));
	IF job OPERATOR(pg_catalog.=) 'weekly' THEN
		PERFORM onec.refresh_models(server);
		COMMIT;
	END IF;
END $$;
COMMENT ON PROCEDURE onec_internal.do_job(name, text) IS 'Выполнить задание без проверок (служебная)';

CREATE PROCEDURE onec.run_job(job text, server name DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('run_job');
	END IF;
	COMMIT;
	server := onec_internal.server_of_job(job, server);
	IF onec_internal.has_nothing_to_do(server, job) THEN
		RETURN;
	END IF;
	CALL onec_internal.do_job(server, onec_internal.due_job(server, job));
END $$;
COMMENT ON PROCEDURE onec.run_job(text, name) IS
	'Выполнить задание: interval — частая синхронизация, nightly — ночная, weekly — полная сверка, '
	'housekeeping — уборка журналов. '
	'Большее, которому помешали, выполняет следующее';
REVOKE EXECUTE ON PROCEDURE onec.run_job(text, name) FROM PUBLIC;

CREATE PROCEDURE onec.run_now(job text, server name DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('run_now');
	END IF;
	COMMIT;
	CALL onec_internal.do_job(onec_internal.server_of_job(job, server), job);
END $$;
COMMENT ON PROCEDURE onec.run_now(text, name) IS
	'Выполнить задание сейчас, даже если оно выключено или его время не пришло: interval, '
	'nightly, weekly, housekeeping';
REVOKE EXECUTE ON PROCEDURE onec.run_now(text, name) FROM PUBLIC;
-- Watching the jobs and acting on a run: what is scheduled and when it comes, how old the data are,
-- cancelling.

-- What a field of a schedule allows, from 0 to "top".
CREATE FUNCTION onec_internal.cron_field_values(field text, top int) RETURNS SETOF int
	LANGUAGE sql IMMUTABLE
	BEGIN ATOMIC
		SELECT n FROM generate_series(CASE WHEN field ~ '^\d+$' THEN field::int ELSE 0 END,
									  CASE WHEN field ~ '^\d+$' THEN least(field::int, top) ELSE top END,
									  CASE WHEN field LIKE '*/%' THEN substr(field, 3)::int ELSE 1 END) n;
	END;
COMMENT ON FUNCTION onec_internal.cron_field_values(text, int) IS
	'Значения, которые допускает поле расписания (служебная)';

-- The next minute a schedule of pg_cron means, on the clock of "zone", after a moment.  Known are the forms
-- that are used here: minute and hour as a number, * or */N, every day or one day of the week; NULL for
-- others.
CREATE FUNCTION onec_internal.next_cron_run(cron text, zone text, after timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	form text[] := regexp_match(cron, '^(\d+|\*|\*/[1-9]\d*) (\d+|\*|\*/[1-9]\d*) \* \* ([0-7]|\*)$');
	day date := (after AT TIME ZONE zone)::date - 1;
	coming timestamptz;
BEGIN
	FOR i IN 1 .. 10 LOOP
		-- seven is Sunday, too
		IF form[3] = '*' OR extract(dow FROM day) = form[3]::int % 7 THEN
			SELECT min(x.at) INTO coming
			FROM onec_internal.cron_field_values(form[2], 23) h,
				onec_internal.cron_field_values(form[1], 59) m,
				 LATERAL (SELECT (day + make_time(h, m, 0)) AT TIME ZONE zone AS at) x
			WHERE x.at > after;
			EXIT WHEN coming IS NOT NULL;
		END IF;
		day := day + 1;
	END LOOP;
	RETURN coming;
END $$;
COMMENT ON FUNCTION onec_internal.next_cron_run(text, text, timestamptz) IS
	'Когда сработает расписание pg_cron после указанного момента (служебная)';

-- What pg_cron knows of our jobs; no rows where it is not in this database, or may not be looked at.
CREATE FUNCTION onec_internal.cron_jobs_known()
	RETURNS TABLE (server name, job text, jobid bigint, cron text, active boolean,
				   last_start timestamptz, last_status text, last_message text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.cron_place() <> 'here' OR NOT has_schema_privilege('cron', 'USAGE') THEN
		RETURN;
	END IF;
	RETURN QUERY EXECUTE '
		-- the first line only: what follows may be the row at fault
		SELECT s.server, n.job, j.jobid, j.schedule, j.active, d.start_time, d.status,
			   split_part(d.return_message, chr(10), 1)
		FROM onec_internal.live_servers s CROSS JOIN LATERAL onec_internal.job_names(s.server) n
		JOIN cron.job j ON j.jobname = n.job_name AND j.database = current_database()
		LEFT JOIN (SELECT r.jobid, max(r.runid) AS runid FROM cron.job_run_details r GROUP BY 1) l
			ON l.jobid = j.jobid
		LEFT JOIN cron.job_run_details d ON d.runid = l.runid';
END $$;
COMMENT ON FUNCTION onec_internal.cron_jobs_known() IS
	'Что знает pg_cron о наших заданиях; без pg_cron — ничего (служебная)';

-- The moment before which the job only looks and goes away: an interval that does not divide the day.
CREATE FUNCTION onec_internal.interval_due_from(server name, job text) RETURNS timestamptz
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT max(r.started_at) + make_interval(hours => h.hours) - interval '10 minutes 1 microsecond'
	FROM (SELECT onec.get('sync.interval_hours', $1)::int) h (hours)
	JOIN onec.sync_run r ON r.server = $1 AND r.size >= 2
		AND r.status IN ('ok', 'incomplete', 'partial', 'running')
	WHERE $2 = 'interval' AND (24 % h.hours <> 0 OR h.hours >= 24)
	GROUP BY h.hours
$$;
COMMENT ON FUNCTION onec_internal.interval_due_from(name, text) IS
	'Раньше какого времени частая синхронизация не начнётся (служебная)';

-- What is to be done about the schedule, and, whoever runs the jobs, about what they found.
CREATE FUNCTION onec_internal.job_hint(server name, job text, jobid bigint, active boolean, stale boolean,
									   last_message text, place text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws('; ', CASE
		WHEN $7 = 'elsewhere'
			THEN format('pg_cron works in another database: SELECT onec.schedule(%L) tells what to run there',
						$1)
		WHEN $7 = 'not created' THEN format('run CREATE EXTENSION pg_cron, then SELECT onec.schedule(%L)', $1)
		WHEN $7 = 'none' THEN format('no pg_cron: SELECT onec.schedule(%L) gives lines for a crontab', $1)
		WHEN NOT has_schema_privilege('cron', 'USAGE')
			THEN 'the jobs are seen by those who have the right USAGE on schema cron'
		WHEN $3 IS NULL THEN format('not scheduled: SELECT onec.schedule(%L)', $1)
		WHEN NOT $4 THEN format('switched off: SELECT cron.alter_job(%s, active => true)', $3)
		WHEN $5 THEN format('the time differs from the settings (changed since, or the clocks '
							'were): SELECT onec.schedule(%L)', $1)
		WHEN $6 ~* 'connection failed|could not connect' THEN
			'pg_cron could not connect: set cron.use_background_workers = on, or let it in '
			'by pg_hba.conf or .pgpass'
		WHEN $2 = 'interval' AND NOT onec.get('sync.enabled', $1)::boolean
			THEN 'does nothing: sync.enabled is false'
		WHEN $2 = 'nightly' AND NOT onec.get('nightly.enabled', $1)::boolean
			THEN 'does nothing: nightly.enabled is false' END,
		CASE WHEN $2 <> 'housekeeping' AND EXISTS (SELECT FROM onec_internal.login_refusal l
												   WHERE l.server = $1) THEN
			'waits: 1C refused the login; alter the user mapping (ALTER USER MAPPING … '
			'OPTIONS (SET password …))'
		WHEN $2 <> 'housekeeping' AND EXISTS (SELECT FROM onec_internal.sync_doubt d
											  WHERE d.server = $1 AND d.kind IN ('unproven', 'hole')) THEN
			'incomplete: rows are missing in 1C, but that is not proven; see onec.data_quality' END), '')
$$;
COMMENT ON FUNCTION onec_internal.job_hint(name, text, bigint, boolean, boolean, text, text) IS
	'Что сделать с заданием (служебная)';

CREATE VIEW onec.schedule_status AS
	WITH cron AS MATERIALIZED (SELECT onec_internal.cron_zone() AS zone, onec_internal.cron_place() AS place)
	SELECT s.server, w.job, j.cron, j.active,
		   n.next_run AT TIME ZONE 'GMT' AS next_run_gmt,
		   n.next_run AT TIME ZONE onec_internal.server_zone(s.server) AS next_run_local,
		   j.last_start, j.last_status, j.last_message, j.cron <> w.cron AS stale,
		   onec_internal.job_hint(s.server, w.job, j.jobid, j.active, j.cron <> w.cron, j.last_message,
								  c.place) AS hint
	FROM cron c CROSS JOIN onec_internal.live_servers s
	CROSS JOIN LATERAL onec_internal.jobs_of_server(s.server, now(), c.zone) w
	LEFT JOIN onec_internal.cron_jobs_known() j ON j.server = s.server AND j.job = w.job
	LEFT JOIN LATERAL (
		SELECT onec_internal.next_cron_run(j.cron, c.zone,
										   greatest(now(), onec_internal.interval_due_from(s.server,
											   w.job))) AS next_run
		WHERE j.active) n ON true;
COMMENT ON VIEW onec.schedule_status IS
	'Задания pg_cron: когда следующий запуск, чем кончился последний, что сделать';
COMMENT ON COLUMN onec.schedule_status.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.schedule_status.job IS 'Задание: interval, nightly, weekly, housekeeping';
COMMENT ON COLUMN onec.schedule_status.cron IS 'Расписание в pg_cron; NULL — задания нет или его не видно';
COMMENT ON COLUMN onec.schedule_status.active IS 'Включено ли задание';
COMMENT ON COLUMN onec.schedule_status.next_run_gmt IS 'Следующий запуск по Гринвичу';
COMMENT ON COLUMN onec.schedule_status.next_run_local IS 'Следующий запуск по местному времени базы 1С';
COMMENT ON COLUMN onec.schedule_status.last_start IS 'Начало последнего запуска';
COMMENT ON COLUMN onec.schedule_status.last_status IS
	'Итог последнего запуска для pg_cron; итог синхронизации — в onec.sync_status';
COMMENT ON COLUMN onec.schedule_status.last_message IS 'Последнее сообщение pg_cron';
COMMENT ON COLUMN onec.schedule_status.stale IS
	'Расписание уже не соответствует настройке: её изменили или перевели часы';
COMMENT ON COLUMN onec.schedule_status.hint IS 'Что сделать; NULL — всё в порядке';

-- The oldest of the tables of the step tells: a step is as fresh as its stalest part.  What 1C does not
-- publish has no age.
CREATE FUNCTION onec.lag_seconds(step text DEFAULT 'purchases', server name DEFAULT NULL) RETURNS numeric
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	lag numeric;
BEGIN
	PERFORM onec_internal.checked_word('step', step,
									   ARRAY(SELECT s.step FROM onec_internal.sync_steps(srv, NULL) s
											 UNION SELECT s.target FROM onec_internal.sync_steps(srv, NULL) s
											 ORDER BY 1));
	SELECT CASE WHEN count(*) = count(t.last_ok)
				THEN extract(epoch FROM clock_timestamp() - min(t.last_ok)) END INTO lag
	FROM onec_internal.sync_steps(srv, NULL) s
	LEFT JOIN onec.sync_state t ON t.server = srv AND t.target = s.target
	WHERE lag_seconds.step IN (s.step, s.target)
	  AND (SELECT l.status FROM onec.sync_step l
		   WHERE l.server = srv AND l.target = s.target AND l.status <> 'waiting'
		   ORDER BY l.run_id DESC LIMIT 1) IS DISTINCT FROM 'not published';
	RETURN lag;
END $$;
COMMENT ON FUNCTION onec.lag_seconds(text, name) IS
	'Сколько секунд прошло с последнего успешного конца шага (cards, counterparties, products, stores, '
	'purchases, loyalty, orders, profiles) или чтения таблицы; NULL — его ещё не было';

-- Is the process still at a run of this base?  The lock tells that a run holds while it works, whoever asks
-- and whatever is shown of activities.  A session that goes on after its run was cancelled is at a later
-- statement: that is not to be hit.
CREATE FUNCTION onec_internal.is_run_at_work(server name, run_pid int) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (
		SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.locktype = 'advisory' AND l.granted AND l.pid = run_pid AND l.pid <> pg_backend_pid()
		  AND l.objsubid = 1
		  AND l.classid::bigint << 32 | l.objid::bigint = onec_internal.run_lock_key(server));
COMMENT ON FUNCTION onec_internal.is_run_at_work(name, int) IS
	'Занят ли ещё процесс запуском этой базы (служебная)';

CREATE FUNCTION onec.cancel(run bigint DEFAULT NULL, server name DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := CASE WHEN run IS NULL OR server IS NOT NULL THEN onec_internal.server_meant(server) END;
	r record;
	busy boolean;
BEGIN
	SELECT t.* INTO r FROM onec.sync_run t
	WHERE (srv IS NULL OR t.server = srv)
	  AND CASE WHEN run IS NULL THEN t.status = 'running' ELSE t.run_id = run END
	ORDER BY t.run_id DESC LIMIT 1;
	IF run IS NOT NULL AND r.run_id IS NULL THEN
		RAISE invalid_parameter_value USING MESSAGE = format('run %s does not exist', run),
			HINT = 'See onec.sync_run.';
	END IF;
	IF r.status IS DISTINCT FROM 'running' THEN
		RETURN false;
	END IF;
	busy := onec_internal.is_run_at_work(r.server, r.pid);
	IF busy THEN
		PERFORM pg_cancel_backend(r.pid);
	END IF;
	FOR i IN 1 .. 100 LOOP
		EXIT WHEN NOT busy;
		PERFORM pg_sleep(0.05);
		busy := onec_internal.is_run_at_work(r.server, r.pid);
	END LOOP;
	RETURN onec_internal.note_cancelled_run(r.server, r.run_id, NOT busy);
END $$;
COMMENT ON FUNCTION onec.cancel(bigint, name) IS
	'Прервать идущую синхронизацию (по номеру запуска или по серверу); true — прервана, false — прерывать '
	'было нечего; права как у pg_cancel_backend';

-- The account of a run that was told to stop.  It may have come to its end by itself in the meantime; who may
-- only send signals, or does not see what the run wrote last, leaves the account to the next run.
CREATE FUNCTION onec_internal.note_cancelled_run(server name, run bigint, gone boolean) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state text;
BEGIN
	SELECT r.status INTO state FROM onec.sync_run r
	WHERE r.server = note_cancelled_run.server AND r.run_id = run;
	IF state IS DISTINCT FROM 'running' THEN
		RETURN state = 'interrupted';
	END IF;
	IF NOT gone THEN
		RAISE WARNING USING
			MESSAGE = format('run %s has been told to stop, but is still at work', run),
			HINT = 'If it does not end soon, see pg_terminate_backend.';
		RETURN false;
	END IF;
	IF has_table_privilege('onec.sync_run', 'UPDATE') AND has_table_privilege('onec.sync_step', 'UPDATE') THEN
		UPDATE onec.sync_run r SET status = 'interrupted', finished_at = clock_timestamp(),
			message = 'cancelled by ' || session_user
		WHERE r.server = note_cancelled_run.server AND r.run_id = run AND r.status = 'running';
		UPDATE onec.sync_step s SET status = 'failed', finished_at = clock_timestamp(),
			message = 'interrupted'
		WHERE s.server = note_cancelled_run.server AND s.run_id = run AND s.status IN ('running', 'waiting');
	END IF;
	RETURN true;
EXCEPTION WHEN serialization_failure THEN
	RETURN true;
END $$;
COMMENT ON FUNCTION onec_internal.note_cancelled_run(name, bigint, boolean) IS
	'Записать итог прерванного запуска (служебная)';
-- Oddities of the data, each counted, with examples and advice.

CREATE VIEW onec_internal.quality_people AS
	SELECT u.server, 'Q1' AS code, 'Карты без телефона' AS title, count(*) AS found,
		   (array_agg(u.card_id::text ORDER BY u.card_id))[1:5] AS sample,
		   'Исправьте штрихкод карты в 1С' AS advice
	FROM onec.customer_card u WHERE u.phone IS NULL GROUP BY 1
	UNION ALL
	SELECT d.server, 'Q2', 'Карты без владельца', count(*),
		   (array_agg(d.card_id::text ORDER BY d.card_id))[1:5], 'Укажите владельца карты в 1С'
	FROM onec.discount_card d WHERE d.owner_id IS NULL AND NOT d.is_deleted GROUP BY 1
	UNION ALL
	SELECT x.server, 'Q3', 'Телефон у двух владельцев', count(*),
		   (array_agg(x.user_id ORDER BY x.user_id))[1:5], 'Уточните, чей телефон'
	FROM (SELECT k.server, min(k.user_id::text) AS user_id FROM onec.customer_card k
		  WHERE k.phone IS NOT NULL GROUP BY k.server, k.phone
		  HAVING count(DISTINCT k.user_id) > 1) x GROUP BY 1;
COMMENT ON VIEW onec_internal.quality_people IS 'Замечания о картах и пользователях (служебное)';

-- A receipt in the journal and the rows that it has made: returns are positive there and negative here.
CREATE VIEW onec_internal.quality_sales AS
	SELECT x.server, 'Q4' AS code, 'Одна покупка у двух регистраторов' AS title, count(*) AS found,
		   (array_agg(x.recorder ORDER BY x.recorder))[1:5] AS sample,
		   'Похоже на повторную регистрацию при закрытии смены' AS advice
	-- only who has two documents of a day can have one purchase in both
	FROM (SELECT n.server, min(l.recorder::text) AS recorder
		  FROM (SELECT p.server, p.customer_id, p.period::date AS day FROM onec_internal.receipt_part p
				WHERE p.customer_id IS NOT NULL AND p.gross IS NOT NULL
				GROUP BY 1, 2, 3 HAVING count(*) > 1) d
		  JOIN onec_internal.sale_line l ON l.server = d.server AND l.customer_id = d.customer_id
			  AND l.period::date = d.day
		  JOIN onec_internal.server_number n ON n.number = d.server
		  WHERE l.active IS NOT FALSE AND l.amount > 0
		  GROUP BY n.server, l.customer_id, l.product_id, l.amount, d.day
		  HAVING count(DISTINCT l.recorder) > 1) x GROUP BY 1
	UNION ALL
	SELECT n.server, 'Q5', 'Продажи неизвестных товаров', sum(l.lines)::bigint,
		   (array_agg(DISTINCT l.product_id::text))[1:5], 'Опубликуйте товары или проверьте права'
	FROM (SELECT s.server, s.product_id, count(*) AS lines FROM onec_internal.sale_line s
		  WHERE s.product_id IS NOT NULL GROUP BY 1, 2) l
	JOIN onec_internal.server_number n ON n.number = l.server
	WHERE NOT EXISTS (SELECT FROM onec.product p WHERE p.server = n.server AND p.product_id = l.product_id)
	GROUP BY 1
	UNION ALL
	SELECT l.server, 'Q7', 'Продажи будущей датой', count(*),
		   (array_agg(l.recorder::text ORDER BY l.period DESC, l.recorder))[1:5],
		   'Проверьте timezone и часы 1С'
	FROM onec_internal.shop_rules w
	JOIN onec.sale_line l ON l.server = w.server AND l.period > w.now + interval '1 day' GROUP BY 1
	UNION ALL
	SELECT j.server, 'Q6', 'Сумма чека в журнале не равна сумме в регистре', count(*),
		   (array_agg(j.document_id::text ORDER BY j.document_id))[1:5],
		   'Перепроведите чек в 1С или проверьте, кто менял движения'
	FROM onec.receipt_journal j
	LEFT JOIN (SELECT l.server, l.recorder, l.recorder_type, sum(l.amount) AS amount
			   FROM onec.sale_line l WHERE l.register = 'sales' AND l.active IS NOT FALSE GROUP BY 1, 2, 3) l
		ON l.server = j.server AND l.recorder = j.document_id AND l.recorder_type = j.document_type
	WHERE j.posted IS NOT FALSE AND j.deletion_mark IS NOT TRUE AND j.amount IS NOT NULL
	  AND abs(j.amount) <> abs(coalesce(l.amount, 0))
	  AND EXISTS (SELECT FROM onec.sync_state s
				  WHERE s.server = j.server AND s.target = 'sale_line' AND s.complete_from <= j.date)
	GROUP BY 1
	UNION ALL
	-- a month against the three before it
	SELECT a.server, 'Q10', 'Покупок без карты стало заметно больше', a.recent_anonymous,
		   ARRAY[round(100.0 * a.recent_anonymous / a.recent) || ' %',
				 'раньше ' || round(100.0 * a.before_anonymous / a.before) || ' %'],
		   'Спрашивают ли карту на кассе; не пропал ли в 1С покупатель в чеках'
	FROM (SELECT w.server, count(*) FILTER (WHERE l.period >= w.now - interval '30 days') AS recent,
				 count(*) FILTER (WHERE l.period >= w.now - interval '30 days'
								  AND onec_internal.buyer_id(l.attribution, l.person_id) IS NULL)
					 AS recent_anonymous,
				 count(*) FILTER (WHERE l.period < w.now - interval '30 days') AS before,
				 count(*) FILTER (WHERE l.period < w.now - interval '30 days'
								  AND onec_internal.buyer_id(l.attribution, l.person_id) IS NULL)
					 AS before_anonymous
		  FROM onec_internal.shop_rules w
		  JOIN onec_internal.sale_line l ON l.server = w.number
			  AND l.period BETWEEN w.now - interval '120 days' AND w.now
		  WHERE l.active IS NOT FALSE AND l.recorder_type <> ALL (w.excluded_terms) GROUP BY 1) a
	WHERE a.recent >= 100 AND a.before >= 100
	  AND a.recent_anonymous::numeric / a.recent > a.before_anonymous::numeric / a.before + 0.1;
COMMENT ON VIEW onec_internal.quality_sales IS 'Замечания о продажах (служебное)';

CREATE VIEW onec_internal.quality_points AS
	SELECT b.server, 'Q8' AS code, 'Остаток баллов меньше нуля' AS title, count(*) AS found,
		   (array_agg(b.card_id::text ORDER BY b.balance, b.card_id))[1:5] AS sample,
		   'Проверьте списания' AS advice
	FROM onec.loyalty_balance b WHERE b.balance < 0 GROUP BY 1
	UNION ALL
	SELECT x.server, 'Q9', 'Начисления баллов не равны движениям', count(*),
		   (array_agg(x.card_id::text ORDER BY x.card_id))[1:5],
		   'Начисления и движения баллов в 1С разошлись: сверьте документы начисления'
	FROM (SELECT coalesce(o.server, m.server) AS server, coalesce(o.card_id, m.card_id) AS card_id
		  FROM (SELECT l.server, l.card_id, sum(l.amount) AS points FROM onec.loyalty_lot l
				WHERE l.active IS NOT FALSE GROUP BY 1, 2) o
		  FULL JOIN (SELECT l.server, l.card_id, sum(l.accrued) AS points FROM onec.loyalty_movement l
					 WHERE l.active IS NOT FALSE AND l.kind = 'Receipt'
					 GROUP BY 1, 2) m ON m.server = o.server AND m.card_id = o.card_id
		  WHERE coalesce(o.points, 0) <> coalesce(m.points, 0)) x
	-- a base that keeps no lots has nothing to compare
	WHERE EXISTS (SELECT FROM onec.loyalty_lot l WHERE l.server = x.server) GROUP BY 1;
COMMENT ON VIEW onec_internal.quality_points IS 'Замечания о баллах (служебное)';

-- What readings left in doubt.
CREATE VIEW onec_internal.quality_reading AS
	SELECT d.server, CASE d.kind WHEN 'unproven' THEN 'Q11' WHEN 'twice' THEN 'Q12' ELSE 'Q13' END AS code,
		   CASE d.kind WHEN 'unproven' THEN 'Удаление в 1С не доказано: строки оставлены'
					   WHEN 'twice' THEN 'Разные строки с одним ключом'
					   ELSE 'У части строк не было свойства: прежние значения оставлены' END AS title,
		   sum(d.found)::bigint AS found, (array_agg(DISTINCT d.target || ': ' || d.reason))[1:5] AS sample,
		   CASE d.kind WHEN 'unproven'
				THEN 'Следующий запуск попробует снова; если набор и вправду пуст, '
					 'вызовите onec.sync(force => true)'
					   WHEN 'twice' THEN
						   'Ключ в 1С не единственный: проверьте набор; строки сохранены под номерами copy'
					   ELSE 'Следующий запуск прочитает снова; если свойства и '
							'вправду нет, помогает onec.setup' END AS advice
	FROM onec_internal.sync_doubt d GROUP BY d.server, d.kind;
COMMENT ON VIEW onec_internal.quality_reading IS 'Замечания о чтении (служебное)';
COMMENT ON COLUMN onec_internal.quality_reading.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_reading.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_reading.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_reading.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_reading.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_reading.advice IS 'Что делать';

CREATE VIEW onec.data_quality AS
	SELECT q.server, q.code, q.title, q.found, q.sample, q.advice FROM onec_internal.quality_people q
	UNION ALL SELECT q.server, q.code, q.title, q.found, q.sample, q.advice FROM onec_internal.quality_sales q
	UNION ALL SELECT q.server, q.code, q.title, q.found, q.sample, q.advice
	FROM onec_internal.quality_points q
	UNION ALL SELECT q.server, q.code, q.title, q.found, q.sample, q.advice
	FROM onec_internal.quality_reading q;
COMMENT ON VIEW onec.data_quality IS 'Что в данных 1С заслуживает внимания: сколько, примеры, что делать';
COMMENT ON COLUMN onec.data_quality.title IS 'Что найдено';
COMMENT ON COLUMN onec.data_quality.found IS 'Сколько';
COMMENT ON COLUMN onec.data_quality.sample IS 'Примеры: до пяти ключей';
COMMENT ON COLUMN onec.data_quality.advice IS 'Что делать';
COMMENT ON COLUMN onec.data_quality.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.data_quality.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_people.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_people.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_people.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_people.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_people.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_people.advice IS 'Что делать';
COMMENT ON COLUMN onec_internal.quality_sales.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_sales.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_sales.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_sales.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_sales.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_sales.advice IS 'Что делать';
COMMENT ON COLUMN onec_internal.quality_points.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_points.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_points.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_points.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_points.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_points.advice IS 'Что делать';
-- Views for people: names beside identifiers, one flat row for each customer.

CREATE VIEW onec.purchase AS
	SELECT l.server, l.period, l.customer_id, u.name AS customer, u.phone, l.card_id, l.product_id,
		   p.name AS product, p.category,
		   l.store_id, s.name AS store, l.document_id, l.document_type, l.recorder,
		   l.recorder_type, l.line_no,
		   l.quantity, l.amount, l.cost, l.attribution, onec.moment(l.server, l.period) AS period_tz
	FROM onec_internal.counted_line l
	LEFT JOIN onec_internal.product_with_category p ON p.server = l.server AND p.product_id = l.product_id
	LEFT JOIN onec.store s ON s.server = l.server AND s.store_id = l.store_id
	LEFT JOIN onec.site_user u ON u.server = l.server AND u.user_id = l.customer_id
	WHERE onec_internal.is_dated_before(l.period, l.today + 1);
COMMENT ON VIEW onec.purchase IS
	'Учитываемые строки продаж (все прочие — в onec.sale_line) с названиями товара, магазина и покупателя';
COMMENT ON COLUMN onec.purchase.customer IS 'Покупатель';
COMMENT ON COLUMN onec.purchase.product IS 'Товар';
COMMENT ON COLUMN onec.purchase.category IS 'Категория';
COMMENT ON COLUMN onec.purchase.store IS 'Магазин';

CREATE VIEW onec.receipt AS
	SELECT s.server, r.receipt_id, r.customer_id, r.at AS period, r.net, r.gross, r.returned, r.lines,
		   r.items, r.is_purchase, onec.moment(s.server, r.at) AS period_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec_internal.kept_receipts(s.server, NULL) r;
COMMENT ON VIEW onec.receipt IS 'Чеки: документ и покупатель';
COMMENT ON COLUMN onec.receipt.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта; пусто — неизвестен';
COMMENT ON COLUMN onec.receipt.period IS 'Дата и время первой строки, местные для базы 1С';
COMMENT ON COLUMN onec.receipt.receipt_id IS 'Документ покупки';
COMMENT ON COLUMN onec.receipt.is_purchase IS
	'Это покупка: продано, и вернули не всё; или отдано даром, и это считается';
COMMENT ON COLUMN onec.receipt.net IS 'Сумма за вычетом возвратов';
COMMENT ON COLUMN onec.receipt.gross IS 'Продано';
COMMENT ON COLUMN onec.receipt.returned IS 'Возвращено, меньше нуля';
COMMENT ON COLUMN onec.receipt.lines IS 'Строк';
COMMENT ON COLUMN onec.receipt.items IS 'Штук';

CREATE VIEW onec.customer_360 AS
	SELECT p.*, u.phone, u.name, u.email, u.discount_card_id, u.is_active,
		   w.today - p.last_purchase::date AS days_since,
		   p.last_purchase::date - p.first_purchase::date AS tenure_days,
		   (SELECT count(*) FROM onec.customer_card c
			WHERE c.server = p.server AND c.user_id = p.customer_id) AS cards,
		   r.r_score, r.f_score, r.m_score, r.rfm, r.segment AS rfm_segment, r.segment_title AS rfm_title,
		   o.gap AS usual_gap, o.expected_next, o.window_from, o.window_to,
		   round((w.today - o.last_visit) / nullif(o.gap, 0), 2) AS overdue_ratio,
		   onec_internal.churn_class_of(w.today - o.last_visit, o.gap, o.visits) AS churn_class,
		   o.month_index, o.peak_months,
		   o.favorite_brands, o.category_diversity, v.p_alive, v.churn_risk, v.expected_12m,
		   v.expected_spend, v.clv_12m, onec.moment(p.server, p.first_purchase) AS first_purchase_tz,
		   onec.moment(p.server, p.last_purchase) AS last_purchase_tz
	FROM onec_internal.shop_rules w JOIN onec.customer_profile p ON p.server = w.server
	LEFT JOIN onec.site_user u ON u.server = p.server AND u.user_id = p.customer_id
	LEFT JOIN onec.customer_rfm r ON r.server = p.server AND r.customer_id = p.customer_id
	LEFT JOIN onec.customer_outlook o ON o.server = p.server AND o.customer_id = p.customer_id
	LEFT JOIN onec.customer_value v ON v.server = p.server AND v.customer_id = p.customer_id;
COMMENT ON VIEW onec.customer_360 IS 'Всё о покупателе одной строкой';
COMMENT ON COLUMN onec.customer_360.days_since IS 'Дней с последней покупки на сегодня';
COMMENT ON COLUMN onec.customer_360.tenure_days IS 'Дней от первой покупки до последней';
COMMENT ON COLUMN onec.customer_360.cards IS 'Карт у покупателя';
COMMENT ON COLUMN onec.customer_360.rfm_segment IS 'Код сегмента RFM';
COMMENT ON COLUMN onec.customer_360.rfm_title IS 'Сегмент RFM по-русски';
COMMENT ON COLUMN onec.customer_360.usual_gap IS 'Обычный промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_360.overdue_ratio IS 'Сколько обычных промежутков прошло на сегодня';
COMMENT ON COLUMN onec.customer_360.churn_class IS
	'Класс оттока на сегодня: active, due, at_risk, lapsed, lost; у купивших один раз — single_*';
-- The JSON that a site asks for: a customer, the purchases, the profile.

CREATE FUNCTION onec.customer_json(key text, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('phone', u.phone, 'discount_card_id', u.discount_card_id, 'customer_id',
								 u.customer_id, 'name', u.name)
		FROM onec_internal.person_by_key($1, $2) u WHERE u.user_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec.customer_json(text, name) IS 'Покупатель как JSON: телефон, карта, контрагент, имя';

CREATE FUNCTION onec.purchases_json(key text, days int DEFAULT NULL, max_rows int DEFAULT NULL,
									server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT coalesce(
			(SELECT json_agg(json_build_object('date', to_char(l.period, 'YYYY-MM-DD"T"HH24:MI:SS'), 'amount',
											   round(l.amount, 2),
					'quantity', l.quantity, 'product_id', l.product_id, 'document_id', l.receipt_id,
					'store_id', l.store_id))
			 FROM (SELECT s.period, s.amount, s.quantity, s.product_id, s.receipt_id, s.store_id
				   FROM onec_internal.counted_lines(u.server, NULL, ARRAY[u.user_id]) s
				   WHERE (s.period >= s.today - $2) IS NOT FALSE
				   ORDER BY s.period DESC, s.recorder, s.line_no
				   LIMIT $3) l), '[]'::json)
		FROM onec_internal.person_by_key($1, $4) u WHERE u.user_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec.purchases_json(text, int, int, name) IS 'История покупок как JSON, сначала новые';

CREATE FUNCTION onec_internal.statistics_json(server name, customer uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object(
			'total_revenue', round(coalesce(p.total_revenue, 0), 2),
			'total_purchases', CASE WHEN onec.get('check_unit', $1) = 'row' THEN coalesce(p.lines, 0)
									ELSE coalesce(p.receipts, 0) END,
			'average_check', round(p.average_check, 2),
			'favorite_categories', to_json(coalesce(p.favorite_categories, '{}')),
			'purchase_frequency', coalesce(p.purchase_frequency, 'none'),
			'total_items', coalesce(p.total_items, 0), 'purchase_count', coalesce(p.receipts, 0), 'visits',
			coalesce(p.visits, 0),
			'returns_amount', round(coalesce(p.returns_amount, 0), 2),
			'median_check', round(p.median_check, 2),
			'favorite_stores', to_json(coalesce(p.favorite_stores, '{}')),
			'first_purchase', to_char(p.first_purchase, 'YYYY-MM-DD"T"HH24:MI:SS'),
			'last_purchase', to_char(p.last_purchase, 'YYYY-MM-DD"T"HH24:MI:SS'),
			'favorite_brands', to_json(coalesce(p.favorite_brands, '{}')), 'peak_months',
			to_json(coalesce(p.peak_months, '{}')),
			'expected_next', p.expected_next, 'churn_class', p.churn_class, 'rfm', p.rfm, 'rfm_segment',
			p.rfm_segment,
			'p_alive', p.p_alive, 'clv_12m', p.clv_12m)
		FROM (SELECT) x LEFT JOIN onec.customer_360 p ON p.server = $1 AND p.customer_id = $2);
END $$;
COMMENT ON FUNCTION onec_internal.statistics_json(name, uuid) IS 'Статистика покупателя как JSON (служебная)';

CREATE FUNCTION onec.profile_json(key text, days int DEFAULT NULL, max_rows int DEFAULT NULL,
								  server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('phone', u.phone, 'discount_card_id', u.discount_card_id, 'customer_id',
								 u.customer_id, 'name', u.name,
			'purchases', onec.purchases_json(u.user_id::text, $2, $3, u.server),
			'statistics', onec_internal.statistics_json(u.server, u.user_id))
		FROM onec_internal.person_by_key($1, $4) u WHERE u.user_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec.profile_json(text, int, int, name) IS
	'Профиль покупателя как JSON для сайта; ключ — телефон в любом написании, карта или контрагент';
-- onec.report: a page for people who would rather look than read.  One HTML file that is well-formed XML, in
-- Russian, with its styles and pictures inside: nothing is asked of the network, no script runs.  Names and
-- telephones are under a mask.

CREATE FUNCTION onec_internal.html_text(value text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN replace(replace(replace(replace(regexp_replace(coalesce(value, ''),
														  '[\x01-\x08\x0B\x0C\x0E-\x1F]', '', 'g'),
								   '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');
COMMENT ON FUNCTION onec_internal.html_text(text) IS 'Текст для страницы (служебная)';

-- 1 234 567, with spaces that do not break; the same in every locale.
CREATE FUNCTION onec_internal.spaced_number(value numeric) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(regexp_replace(round(value)::text, '(\d)(?=(\d{3})+$)', E'\\1\u00A0', 'g'), '–');
COMMENT ON FUNCTION onec_internal.spaced_number(numeric) IS
	'Целое число с пробелами между тысячами (служебная)';

CREATE FUNCTION onec_internal.percent(value numeric) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(round(value * 100)::text || E'\u00A0%', '–');
COMMENT ON FUNCTION onec_internal.percent(numeric) IS 'Доля в процентах (служебная)';

CREATE FUNCTION onec_internal.report_section(id text, title text, hint text, body text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN format(E'<section id="%s">\n<h2>%s</h2>\n<p class="hint">%s</p>\n%s\n</section>\n', id,
				  title, hint,
				  coalesce(nullif(body, ''), '<p class="none">Данных пока нет.</p>'));
COMMENT ON FUNCTION onec_internal.report_section(text, text, text, text) IS
	'Раздел страницы; без данных так и говорит (служебная)';

CREATE FUNCTION onec_internal.report_table(head text[], rows text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '<div class="wide"><table><thead><tr><th>' || array_to_string(head, '</th><th>')
		|| '</th></tr></thead><tbody>' || rows || '</tbody></table></div>';
COMMENT ON FUNCTION onec_internal.report_table(text[], text) IS
	'Таблица страницы; без строк — NULL (служебная)';

-- A row of cells: the first is a name, the others are numbers.
CREATE FUNCTION onec_internal.report_row(cells text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '<tr><th>' || onec_internal.html_text(cells[1]) || '</th><td>'
		|| array_to_string((SELECT array_agg(onec_internal.html_text(c) ORDER BY n)
		FROM unnest(cells) WITH ORDINALITY u (c, n) WHERE n > 1), '</td><td>') || '</td></tr>';
COMMENT ON FUNCTION onec_internal.report_row(text[]) IS 'Строка таблицы (служебная)';

-- A cell as dark as its share of the greatest value.
CREATE FUNCTION onec_internal.report_heat_cell(value text, share numeric, tip text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN format('<td class="heat" style="background:rgba(31,111,178,%s)%s" title="%s">%s</td>',
				  round(least(greatest(coalesce(share, 0), 0), 1) * 0.9, 2),
				  CASE WHEN share > 0.55 THEN ';color:#fff' ELSE '' END, onec_internal.html_text(tip),
				  onec_internal.html_text(value));
COMMENT ON FUNCTION onec_internal.report_heat_cell(text, numeric, text) IS
	'Клетка тем темнее, чем больше доля (служебная)';

-- Horizontal bars: names, values, what is written beside.
CREATE FUNCTION onec_internal.report_bars(names text[], parts numeric[], labels text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '<div class="bars">'
		|| string_agg(format('<div class="name">%s</div><div class="bar"><span '
							 'style="width:%s%%"></span></div><div class="value">%s</div>',
		onec_internal.html_text(b.name), coalesce(round(100 * greatest(b.part, 0) / nullif(b.top, 0), 1), 0),
		onec_internal.html_text(b.label)), '' ORDER BY b.n) || '</div>'
	FROM (SELECT u.*, max(greatest(u.part, 0)) OVER () AS top
		  FROM unnest($1, $2, $3) WITH ORDINALITY u (name, part, label, n)) b
$$;
COMMENT ON FUNCTION onec_internal.report_bars(text[], numeric[], text[]) IS 'Полосы с подписями (служебная)';

CREATE FUNCTION onec_internal.report_change(value numeric, before numeric) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN before > 0 THEN CASE WHEN coalesce(value, 0) >= before THEN '+' ELSE '−' END
				|| abs(round((coalesce(value, 0) / before - 1) * 100)) || E'\u00A0% к прошлым' ELSE '' END;
COMMENT ON FUNCTION onec_internal.report_change(numeric, numeric) IS 'На сколько изменилось (служебная)';

-- Months from left to right, stores one upon another.
CREATE FUNCTION onec_internal.report_revenue(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH month AS (
		SELECT m::date AS month, (row_number() OVER (ORDER BY m))::int - 1 AS x
		FROM generate_series(date_trunc('month', $2::timestamp) - interval '23 months', $2::timestamp,
							 interval '1 month') m),
	revenue AS MATERIALIZED (
		SELECT r.month, r.store_id, r.net FROM onec.revenue_month_at($1, $2) r
		WHERE r.month >= (SELECT min(m.month) FROM month m)),
	store AS (
		SELECT r.store_id, coalesce(min(n.name), 'Без магазина') AS title, sum(r.net) AS net,
			   (row_number() OVER (ORDER BY sum(r.net) DESC, r.store_id))::int AS place
		FROM revenue r LEFT JOIN onec.store n ON n.server = $1 AND n.store_id = r.store_id
		GROUP BY r.store_id),
	part AS (
		SELECT m.x, m.month, least(s.place, 6) AS place, sum(greatest(r.net, 0)) AS net
		FROM month m JOIN revenue r ON r.month = m.month
		JOIN store s ON s.store_id IS NOT DISTINCT FROM r.store_id
		GROUP BY 1, 2, 3),
	high AS (SELECT nullif(max(t.net), 0) AS net FROM (SELECT sum(p.net) AS net FROM part p GROUP BY p.x) t),
	piece AS (
		SELECT p.*, h.net AS top, sum(p.net) OVER (PARTITION BY p.x ORDER BY p.place) AS upto FROM part p
		CROSS JOIN high h),
	picture AS (
		SELECT string_agg(format('<rect class="s%s" x="%s" y="%s" width="22" '
								 'height="%s"><title>%s: %s</title></rect>', p.place, 64 + p.x * 27,
				round(220 - 200 * p.upto / p.top, 1), round(200 * p.net / p.top, 1),
				to_char(p.month, 'MM.YYYY'), onec_internal.spaced_number(p.net)), ''
					ORDER BY p.x, p.place) AS bars
		FROM piece p WHERE p.top > 0)
	SELECT format('<div class="wide"><svg viewBox="0 0 720 250" role="img" aria-label="Выручка по '
				  'месяцам"><line x1="60" y1="220" x2="716" y2="220"/>'
				  '<text x="0" y="24" class="axis">%s</text><text x="0" y="224" '
				  'class="axis">0</text>%s%s</svg></div><p class="legend">%s</p>',
				  onec_internal.html_text(onec_internal.spaced_number((SELECT h.net FROM high h))), x.bars,
				  (SELECT string_agg(format('<text x="%s" y="238" class="axis mid">%s</text>', 75 + m.x * 27,
											to_char(m.month, 'MM.YY')), '' ORDER BY m.x) FROM month m
												WHERE m.x % 2 = 1),
				  (SELECT string_agg(format('<span><i class="s%s"></i>%s: %s</span> ', s.place,
											onec_internal.html_text(s.title),
											onec_internal.spaced_number(s.net)), '' ORDER BY s.place)
				   FROM (SELECT least(t.place, 6) AS place,
								CASE WHEN t.place < 6 THEN t.title ELSE 'Прочие' END AS title,
								sum(t.net) AS net
						 FROM store t GROUP BY 1, 2) s))
	FROM picture x WHERE x.bars IS NOT NULL
$$;
COMMENT ON FUNCTION onec_internal.report_revenue(name, date) IS
	'Раздел отчёта: выручка по месяцам и магазинам (служебная)';

-- The scores that are kept are of the last refresh; those of another day are worked out.
CREATE FUNCTION onec_internal.report_rfm(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH scored AS MATERIALIZED (
		SELECT c.r_score, c.f_score, c.monetary, c.segment, c.segment_title FROM onec.customer_rfm c
		WHERE c.server = $1 AND $2 = onec.local_now($1)::date
		UNION ALL
		SELECT r.r_score, r.f_score, r.monetary, r.segment, r.segment_title FROM onec.rfm($1, $2) r
		WHERE $2 <> onec.local_now($1)::date),
	cell AS (
		SELECT c.r_score, c.f_score, count(*) AS customers, sum(c.monetary) AS net FROM scored c
		WHERE c.r_score IS NOT NULL GROUP BY 1, 2),
	line AS (
		SELECT f.f, string_agg(onec_internal.report_heat_cell(coalesce(c.customers, 0)::text,
															  c.customers::numeric / (SELECT max(x.customers)
																  FROM cell x),
				'выручка ' || onec_internal.spaced_number(coalesce(c.net, 0))), '' ORDER BY r.r) AS cells
		FROM generate_series(1, 5) f (f) CROSS JOIN generate_series(1, 5) r (r)
		LEFT JOIN cell c ON c.r_score = r.r AND c.f_score = f.f GROUP BY 1)
	SELECT onec_internal.report_table('{частота \ давность,1 — давно,2,3,4,5 — недавно}',
									  string_agg(format('<tr><th>%s</th>%s</tr>',
														CASE l.f WHEN 5 THEN '5 — часто'
															 WHEN 1 THEN '1 — редко'
															 ELSE l.f::text END, l.cells), ''
																 ORDER BY l.f DESC))
		   || (SELECT onec_internal.report_table('{Сегмент,Покупателей,Выручка,Доля выручки}',
												 string_agg(onec_internal.report_row(ARRAY[s.segment_title,
													 s.customers::text,
													 onec_internal.spaced_number(s.monetary),
					onec_internal.percent(s.monetary_share)]), '' ORDER BY s.monetary DESC, s.segment))
			   FROM (SELECT c.segment, c.segment_title, count(*) AS customers, sum(c.monetary) AS monetary,
							round(sum(c.monetary) / nullif(sum(sum(c.monetary)) OVER (), 0),
								  4) AS monetary_share
					 FROM scored c GROUP BY 1, 2) s)
	FROM line l WHERE EXISTS (SELECT FROM cell)
$$;
COMMENT ON FUNCTION onec_internal.report_rfm(name, date) IS 'Раздел отчёта: RFM (служебная)';

CREATE FUNCTION onec_internal.report_cohorts(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH cell AS (
		SELECT c.cohort, c."offset" AS n, c.customers, c.retained, c.retention
		FROM onec.cohort_retention_at($1, $2) c
		WHERE c.cohort > date_trunc('month', $2::timestamp) - interval '15 months' AND c."offset" <= 12
		  AND c.retention IS NOT NULL),
	line AS (
		SELECT k.cohort, k.customers, string_agg(CASE WHEN c.n IS NULL THEN '<td></td>'
				ELSE onec_internal.report_heat_cell(round(c.retention * 100)::text,
													CASE WHEN c.n = 0 THEN 0.15 ELSE c.retention * 2 END,
													c.retained || ' из ' || c.customers) END, ''
														ORDER BY o.n) AS cells
		FROM (SELECT DISTINCT cohort, customers FROM cell) k CROSS JOIN generate_series(0, 12) o (n)
		LEFT JOIN cell c ON c.cohort = k.cohort AND c.n = o.n GROUP BY 1, 2)
	SELECT onec_internal.report_table(ARRAY['Первая покупка', 'Пришло'] || ARRAY(SELECT n::text
		FROM generate_series(0, 12) n),
									  string_agg(format('<tr><th>%s</th><td>%s</td>%s</tr>',
														to_char(l.cohort, 'MM.YYYY'), l.customers, l.cells),
														'' ORDER BY l.cohort))
	FROM line l
$$;
COMMENT ON FUNCTION onec_internal.report_cohorts(name, date) IS 'Раздел отчёта: когорты (служебная)';

CREATE FUNCTION onec_internal.report_categories(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_bars(array_agg(c.title ORDER BY c.net DESC, c.title),
									 array_agg(c.net ORDER BY c.net DESC, c.title),
									 array_agg(onec_internal.spaced_number(c.net) || ' · '
											   || onec_internal.percent(c.net / nullif(c.total, 0))
												   ORDER BY c.net DESC, c.title))
	FROM (SELECT coalesce(p.category, 'Без категории') AS title, sum(p.amount) AS net,
				 sum(sum(p.amount)) OVER () AS total
		  FROM onec.purchase p
		  WHERE p.server = $1 AND p.period >= $2 - 365 AND p.period < $2 + 1
		  GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) c
$$;
COMMENT ON FUNCTION onec_internal.report_categories(name, date) IS
	'Раздел отчёта: категории за год (служебная)';

CREATE FUNCTION onec_internal.report_calls(server name, as_of date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Покупатель,Телефон,Почему,Покупок,Выручка}',
									  string_agg(onec_internal.report_row(
										  ARRAY[coalesce(onec_internal.masked(c.name), '–'),
												onec_internal.masked(c.phone), c.why,
						c.visits::text, onec_internal.spaced_number(c.total_revenue)]), '' ORDER BY c.place))
	FROM onec_internal.call_list_with_names($1, $2) c WHERE c.place <= 20
$$;
COMMENT ON FUNCTION onec_internal.report_calls(name, date) IS 'Раздел отчёта: кому позвонить (служебная)';

CREATE FUNCTION onec_internal.report_points(server name, at timestamp) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Когда сгорят,Карт,Баллов}',
									  string_agg(onec_internal.report_row(ARRAY[to_char(x.day, 'DD.MM.YYYY'),
										  x.cards::text, onec_internal.spaced_number(x.points)]), ''
											  ORDER BY x.day))
	FROM (SELECT b.expires_next_at::date AS day, count(*) AS cards, sum(b.expires_next_amount) AS points
		  FROM onec.loyalty_balance_at($1, $2) b WHERE b.expires_next_at < $2::date + 31 GROUP BY 1
		  ORDER BY 1 LIMIT 31) x
$$;
COMMENT ON FUNCTION onec_internal.report_points(name, timestamp) IS
	'Раздел отчёта: сгорающие баллы (служебная)';

CREATE FUNCTION onec_internal.report_freshness(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Таблица,Состояние,Прочитана,Строк,Изменений}',
									  string_agg(onec_internal.report_row(ARRAY[
			coalesce(obj_description(to_regclass(onec_internal.table_of_target(s.target)), 'pg_class'),
					 s.target),
			CASE s.status WHEN 'ok' THEN 'в порядке' WHEN 'failed' THEN 'ошибка: ' || coalesce(s.message, '')
				 WHEN 'not published' THEN 'не опубликована' ELSE s.status END,
			coalesce(to_char(s.last_ok AT TIME ZONE z.zone, 'DD.MM.YYYY HH24:MI'), '–'),
			onec_internal.spaced_number(s.rows_read),
			onec_internal.spaced_number(s.rows_inserted + s.rows_updated + s.rows_deleted)]), ''
				ORDER BY s.started_at, s.target))
	FROM onec.sync_status s
	CROSS JOIN (SELECT onec_internal.server_zone($1) AS zone) z
	WHERE s.server = $1
$$;
COMMENT ON FUNCTION onec_internal.report_freshness(name) IS 'Раздел отчёта: свежесть данных (служебная)';

CREATE FUNCTION onec_internal.report_quality(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Что,Сколько,Что делать}',
									  string_agg(onec_internal.report_row(ARRAY[q.title, q.found::text,
										  q.advice]), '' ORDER BY q.code))
	FROM onec.data_quality q WHERE q.server = $1
$$;
COMMENT ON FUNCTION onec_internal.report_quality(name) IS 'Раздел отчёта: замечания к данным (служебная)';

-- What comes first: the last thirty days against the thirty before.
CREATE FUNCTION onec_internal.report_head(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '<div class="cards">'
		|| string_agg(format('<div><b>%s</b><span>%s</span><em>%s</em></div>', k.value, k.title, k.change),
					  '' ORDER BY k.n) || '</div>'
	FROM (SELECT sum(r.net) FILTER (WHERE r.last) AS net, sum(r.net) FILTER (WHERE NOT r.last) AS net_before,
				 count(*) FILTER (WHERE r.last AND r.is_purchase) AS receipts,
				 count(*) FILTER (WHERE NOT r.last AND r.is_purchase) AS receipts_before,
				 count(DISTINCT r.customer_id) FILTER (WHERE r.last AND r.is_purchase) AS buyers,
				 count(DISTINCT r.customer_id) FILTER (WHERE NOT r.last AND r.is_purchase) AS buyers_before,
				 sum(r.net) FILTER (WHERE r.last AND r.is_purchase) AS sold,
				 sum(r.net) FILTER (WHERE NOT r.last AND r.is_purchase) AS sold_before
		  FROM (SELECT x.*, x.at >= $2 - 29 AS last FROM onec_internal.receipts_till($1, $2 + 1, NULL) x
				WHERE x.at >= $2 - 59) r) t
	CROSS JOIN LATERAL (VALUES
		(1, 'выручка за 30 дней', onec_internal.spaced_number(coalesce(t.net, 0)),
		 onec_internal.report_change(t.net, t.net_before)),
		(2, 'чеков', onec_internal.spaced_number(t.receipts),
		 onec_internal.report_change(t.receipts, t.receipts_before)),
		(3, 'известных покупателей', onec_internal.spaced_number(t.buyers),
		 onec_internal.report_change(t.buyers, t.buyers_before)),
		(4, 'средний чек', onec_internal.spaced_number(t.sold / nullif(t.receipts, 0)),
			onec_internal.report_change(t.sold / nullif(t.receipts, 0),
										t.sold_before / nullif(t.receipts_before, 0)))) k (n, title,
											value, change)
$$;
COMMENT ON FUNCTION onec_internal.report_head(name, date) IS
	'Начало отчёта: последние тридцать дней (служебная)';

-- The looks: one column on a telephone, black on white on paper, dark where the reader's system is.
CREATE FUNCTION onec_internal.report_style() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ':root{color-scheme:light '
		   'dark;--ink:#1d2530;--dim:#66707d;--line:#d9dee5;--back:#fff;--card:#f4f6f9}'
		'@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa5b1;--line:#3a434e;--back:#171c22;'
		'--card:#222932}}'
		'body{margin:0 '
		'auto;padding:16px;max-width:960px;background:var(--back);color:var(--ink);font:15px/1.45 '
		'system-ui,sans-serif}'
		'h1{font-size:24px;margin:8px 0 2px}h2{font-size:18px;margin:32px 0 '
		'2px}.hint,.none,footer{color:var(--dim);font-size:13px;margin:0 0 10px}'
		'.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:14px 0}'
		'.cards div{background:var(--card);border-radius:8px;padding:12px}.cards '
		'b{display:block;font-size:22px}.cards span{color:var(--dim);font-size:13px}'
		'.cards '
		'em{display:block;font-style:normal;font-size:13px}.wide{overflow-x:auto;margin-bottom:10px}'
		'table{border-collapse:collapse;font-size:13px}'
		'th,td{padding:4px 8px;border-bottom:1px solid '
		'var(--line);text-align:right;white-space:nowrap}th:first-child{text-align:left;font-weight:600}'
		'thead th{color:var(--dim);font-weight:400}#calls :is(th,td):nth-child(3),#quality '
		':is(th,td):nth-child(3),#freshness :is(th,td):nth-child(2)'
		'{text-align:left;white-space:normal;min-width:180px}.heat{text-align:center;min-width:26px}'
		'svg{min-width:640px;width:100%;height:auto}'
		'svg line{stroke:var(--line)}.axis{fill:var(--dim);font-size:11px}.mid{text-anchor:middle}.legend '
		'span{display:inline-block;margin-right:14px;font-size:13px}'
		'.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}'
		'.s1{fill:#1f6fb2;background:#1f6fb2}.s2{fill:#e08a2e;background:#e08a2e}.s3{fill:#3a9a6b;'
		'background:#3a9a6b}.s4{fill:#b4478f;background:#b4478f}'
		'.s5{fill:#8a6fd1;background:#8a6fd1}.s6{fill:#8b95a1;background:#8b95a1}'
		'.bars{display:grid;grid-template-columns:minmax(90px,max-content) 1fr max-content;gap:6px '
		'10px;align-items:center;font-size:13px}'
		'.bar{background:var(--card);border-radius:4px;height:14px}.bar '
		'span{display:block;height:14px;border-radius:4px;background:#1f6fb2}.value{text-align:right}'
		'@media print{body{max-width:none;font-size:12px}section{break-inside:avoid}.heat,.bar span,.legend '
		'i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}';
COMMENT ON FUNCTION onec_internal.report_style() IS 'Оформление отчёта (служебная)';

CREATE FUNCTION onec.report(server name DEFAULT NULL, as_of date DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	RETURN format(E'<!DOCTYPE html>\n<html lang="ru">\n<head><meta charset="utf-8"/><meta name="viewport" '
				  'content="width=device-width, initial-scale=1"/>'
				  '<title>Магазин %1$s, %2$s</title><link rel="icon" '
				  'href="data:,"/><style>%3$s</style></head>\n<body>\n<h1>Магазин %1$s</h1>\n<p '
				  'class="hint">На %2$s, по данным 1С</p>\n',
				  onec_internal.html_text(srv), to_char(day, 'DD.MM.YYYY'), onec_internal.report_style())
		|| coalesce(onec_internal.report_head(srv, day), '')
		|| onec_internal.report_section('revenue', 'Выручка по месяцам',
										'За вычетом возвратов, по магазинам.',
										onec_internal.report_revenue(srv, day))
		|| onec_internal.report_section('categories', 'Категории за год', 'Выручка за 365 дней.',
										onec_internal.report_categories(srv, day))
		|| onec_internal.report_section('rfm', 'Давность и частота',
										'Сколько покупателей с каждой парой баллов; чем темнее, тем больше.',
										onec_internal.report_rfm(srv, day))
		|| onec_internal.report_section('cohorts', 'Возвращаются ли покупатели',
										'Процент пришедших снова через столько месяцев после первой покупки.',
										onec_internal.report_cohorts(srv, day))
		|| onec_internal.report_section('calls', 'Кому позвонить',
										'Первые двадцать; полностью — onec.call_list.',
										onec_internal.report_calls(srv, as_of))
		|| onec_internal.report_section('points', 'Сгорают баллы', 'В ближайшие 30 дней.',
										onec_internal.report_points(srv,
											onec_internal.moment_meant(srv, as_of)))
		|| onec_internal.report_section('quality', 'Замечания к данным', 'Что стоит исправить в 1С.',
										onec_internal.report_quality(srv))
		|| onec_internal.report_section('freshness', 'Свежесть', 'Последняя синхронизация.',
										onec_internal.report_freshness(srv))
		|| E'<footer>onec_fdw: SELECT onec.report()</footer>\n</body>\n</html>\n';
END $$;
COMMENT ON FUNCTION onec.report(name, date) IS
	'Отчёт о магазине одной страницей HTML: выручка, RFM, когорты, категории, кому позвонить, сгорающие '
	'баллы, свежесть; без сети и сценариев, телефоны скрыты';
REVOKE EXECUTE ON FUNCTION onec.report(name, date) FROM PUBLIC;
-- Personal data: how a person is forgotten, how old purchases are deleted, what an analyst sees of both.

-- Everybody whom a key may mean, users of the site or not.  An identifier that is no card is taken for a
-- customer's.
CREATE FUNCTION onec_internal.people_meant(server name, key text) RETURNS SETOF uuid
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id uuid := onec_internal.reference_uuid(btrim(key));
	country text := onec.get('phone.country', server);
	wanted text := onec.normalize_phone(key, country);
BEGIN
	IF id IS NOT NULL THEN
		RETURN NEXT coalesce(
			(SELECT coalesce(d.owner_id, d.card_id) FROM onec.discount_card d
			 WHERE d.server = people_meant.server AND d.card_id = id),
			(SELECT c.user_id FROM onec.customer_card c
			 WHERE c.server = people_meant.server AND c.card_id = id),
			(SELECT min(l.owner_id::text)::uuid FROM onec.card_sale_line l
			 WHERE l.server = people_meant.server AND l.card_id = id),
			id);
		RETURN;
	END IF;
	RETURN QUERY
		SELECT u.user_id FROM onec.site_user u
		WHERE u.server = people_meant.server AND (u.login = btrim(key) OR u.phone = wanted)
		UNION SELECT c.user_id FROM onec.customer_card c
		WHERE c.server = people_meant.server AND c.phone = wanted
		UNION SELECT coalesce(d.owner_id, d.card_id) FROM onec.discount_card d
			WHERE d.server = people_meant.server AND wanted IS NOT NULL
			  AND wanted IN (onec.normalize_phone(d.barcode, country),
							 onec.normalize_phone(d.description, country),
				onec.normalize_phone(d.magnetic_code, country))
		UNION SELECT p.customer_id FROM onec.counterparty p
			WHERE p.server = people_meant.server AND wanted IS NOT NULL
			  AND wanted IN (onec.normalize_phone(p.phone, country), onec.normalize_phone(p.name, country),
				onec.normalize_phone(p.full_name, country))
		UNION SELECT c.customer_id FROM onec.counterparty_contact c
			WHERE c.server = people_meant.server AND wanted IS NOT NULL
			  AND wanted IN (onec.normalize_phone(c.phone, country),
							 onec.normalize_phone(c.presentation, country));
END $$;
COMMENT ON FUNCTION onec_internal.people_meant(name, text) IS 'Все, кого может означать ключ (служебная)';

-- A person and their cards, by whatever names them: catalog, users, rows of sales and points.  A card that
-- has another owner by now is the other's.  Example: card K was Anna's, and a row of sales still says so;
-- in the catalog it is Boris' today.  To forget Anna means her and her other cards, and K stays; to forget
-- Boris means him and K.
CREATE FUNCTION onec_internal.ids_of_person(server name, person uuid) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(DISTINCT x.id)
	FROM (SELECT $2 AS id
		  UNION ALL SELECT d.card_id FROM onec.discount_card d
		  WHERE d.server = $1 AND coalesce(d.owner_id, d.card_id) = $2
		  UNION ALL SELECT c.card_id FROM onec.customer_card c
		  WHERE c.server = $1 AND $2 IN (c.user_id, c.customer_id)
		  UNION ALL SELECT u.discount_card_id FROM onec.site_user u
		  WHERE u.server = $1 AND $2 IN (u.user_id, u.customer_id)
		  UNION ALL SELECT l.card_id FROM onec.card_sale_line l WHERE l.server = $1 AND l.owner_id = $2
		  UNION ALL SELECT l.card_id FROM onec.loyalty_lot l WHERE l.server = $1 AND l.owner_id = $2) x
	WHERE x.id IS NOT NULL
	  AND NOT EXISTS (SELECT FROM onec.discount_card o
					  WHERE o.server = $1 AND o.card_id = x.id AND coalesce(o.owner_id, o.card_id) <> $2)
$$;
COMMENT ON FUNCTION onec_internal.ids_of_person(name, uuid) IS 'Человек и его карты (служебная)';

-- What a message tells a person by, in small letters: identifiers, addresses, names and each long word of
-- them, and numbers of ten digits or more, a telephone by its last ten.  Example: "Анна Ли", +7 (700)
-- 000-00-01, a@shop.example, card "Золотая" give "анна ли", "анна", "7000000001", "+7 (700) 000-00-01",
-- "a@shop.example"; not "ли", which is too short, nor "золотая" where other cards are called so, too: that
-- tells nobody.
CREATE FUNCTION onec_internal.words_naming_person(server name, ids uuid[]) RETURNS text[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH named (line) AS (
		SELECT u.name FROM onec.site_user u WHERE u.server = $1 AND u.user_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[p.name, p.full_name]) FROM onec.counterparty p
		WHERE p.server = $1 AND p.customer_id = ANY ($2)
		UNION ALL SELECT d.description FROM onec.discount_card d
			WHERE d.server = $1 AND (d.card_id = ANY ($2) OR d.owner_id = ANY ($2)) AND NOT EXISTS (
				SELECT FROM onec.discount_card o
				WHERE o.server = $1 AND o.description = d.description AND o.card_id <> d.card_id)),
	said (line) AS (
		SELECT unnest(ARRAY[u.email, u.phone, u.login]) FROM onec.site_user u
		WHERE u.server = $1 AND u.user_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[p.email, p.phone]) FROM onec.counterparty p
		WHERE p.server = $1 AND p.customer_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[c.presentation, c.email, c.phone]) FROM onec.counterparty_contact c
		WHERE c.server = $1 AND c.customer_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[d.barcode, d.magnetic_code]) FROM onec.discount_card d
		WHERE d.server = $1 AND (d.card_id = ANY ($2) OR d.owner_id = ANY ($2))
		UNION ALL SELECT n.line FROM named n)
	SELECT array_agg(DISTINCT w.word) FROM (
		SELECT i::text FROM unnest($2) i
		UNION ALL SELECT lower(btrim(s.line) COLLATE "default") FROM said s WHERE length(btrim(s.line)) >= 6
		UNION ALL SELECT lower(m[1] COLLATE "default")
		FROM named n, regexp_matches(n.line COLLATE "default", '([[:alpha:]]{4,})', 'g') m
		UNION ALL SELECT right(d.digits, 10)
		FROM said s, LATERAL (SELECT regexp_replace(s.line, '\D', '', 'g') AS digits) d
			WHERE length(d.digits) BETWEEN 10 AND 15) w (word)
	WHERE w.word <> ALL (ARRAY(SELECT lower(unnest(onec.get('name.ignore', $1)::text[]) COLLATE "default")))
$$;
COMMENT ON FUNCTION onec_internal.words_naming_person(name, uuid[]) IS
	'По каким словам и числам в сообщении узнаётся человек (служебная)';

-- Take the words out of what is kept of errors: of every column "message" of the extension, and of pg_cron's
-- account of our jobs.
CREATE FUNCTION onec_internal.forget_messages_naming(server name,
													 words text[]) RETURNS TABLE (table_name text,
														 rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- letters in either case, digits whatever stands between them
	tells text := 'EXISTS (SELECT FROM unnest($2) w WHERE position(w IN lower(t.%1$I COLLATE "default")) > 0
		OR w ~ ''^\d{10}$'' AND position(w IN regexp_replace(t.%1$I, ''[^0-9[:alpha:]]'', '''', ''g'')) > 0)';
BEGIN
	FOR table_name IN
		SELECT c.relname FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'message' AND a.atttypid = 'text'::regtype
		WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1
	LOOP
		EXECUTE format('UPDATE onec.%I t SET message = ''erased by onec.forget'' WHERE t.server = $1 AND '
					   || format(tells, 'message'), table_name) USING server, words;
		GET DIAGNOSTICS rows = ROW_COUNT;
		IF rows > 0 THEN
			EXECUTE format('ANALYZE onec.%I', table_name);
			RETURN NEXT;
		END IF;
	END LOOP;
	IF onec_internal.cron_place() = 'here' AND has_schema_privilege('cron', 'USAGE')
		AND has_table_privilege('cron.job_run_details', 'SELECT')
		AND has_table_privilege('cron.job_run_details', 'UPDATE') THEN
		table_name := 'cron.job_run_details';
		EXECUTE 'UPDATE cron.job_run_details t SET return_message = ''erased by onec.forget''
			WHERE t.database = current_database()
			  AND t.command ~ ''onec[.]'' AND ' || format(tells, 'return_message') USING server, words;
		GET DIAGNOSTICS rows = ROW_COUNT;
		IF rows > 0 THEN
			RETURN NEXT;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.forget_messages_naming(name, text[]) IS
	'Убрать сообщения об ошибках, в которых назван человек (служебная)';

-- Whether the samples that the planner keeps of a table hold one of the words: then they are taken anew.
CREATE FUNCTION onec_internal.statistics_name(relation regclass, words text[]) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
		CROSS JOIN LATERAL (
			SELECT lower(concat(s.most_common_vals, s.histogram_bounds) COLLATE "default") AS said
			OFFSET 0) x,
			unnest($2) w
		WHERE c.oid = $1 AND (position(w IN x.said) > 0
			OR w ~ '^\d{10}$' AND position(w IN regexp_replace(x.said, '[^0-9,{}[:alpha:]]', '', 'g')) > 0))
$$;
COMMENT ON FUNCTION onec_internal.statistics_name(regclass, text[]) IS
	'Есть ли слова человека в выборках планировщика (служебная)';

CREATE FUNCTION onec_internal.forget_person(server name, key text) RETURNS TABLE (table_name text,
	rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := server;
	people uuid[];
	ids uuid[];
	words text[];
	w record;
	total bigint := 0;
BEGIN
	-- looked for before anybody has to wait, and once more what came meanwhile
	people := ARRAY(SELECT m FROM onec_internal.people_meant(srv, key) m ORDER BY m);
	IF cardinality(people) > 1 THEN
		RAISE cardinality_violation USING
			MESSAGE = format('%s people have this telephone', cardinality(people)),
			DETAIL = format('Their identifiers: %s.', array_to_string(people, ', ')),
			HINT = 'Forget each of them by identifier.';
	END IF;
	ids := onec_internal.ids_of_person(srv, people[1]);
	words := onec_internal.words_naming_person(srv, ids);
	PERFORM onec_internal.lock_people(srv, true);
	ids := ids || onec_internal.ids_of_person(srv, people[1]);
	FOR w IN SELECT * FROM onec_internal.tables_about_people() ORDER BY 1 LOOP
		EXECUTE onec_internal.erasure_statement(w.relation, srv, w.people, w.erasure,
												onec_internal.has_column(w.relation, 'attribution'))
			USING ids;
		GET DIAGNOSTICS rows = ROW_COUNT;
		total := total + rows;
		IF rows > 0 THEN
			RAISE NOTICE USING MESSAGE = format('%s: %s rows', w.table_name, rows);
			-- the planner's statistics hold samples of telephones and names
			IF onec_internal.statistics_name(w.relation::regclass, words) THEN
				EXECUTE format('ANALYZE %s', w.relation);
			END IF;
			table_name := w.table_name;
			RETURN NEXT;
		END IF;
	END LOOP;
	-- the key is not repeated: the server's log is no place for a telephone
	IF total = 0 AND NOT EXISTS (SELECT FROM onec.forgotten f WHERE f.server = srv AND f.id = people[1]) THEN
		RAISE no_data_found USING MESSAGE = format('nobody on server "%s" is known by this key', srv),
			HINT = 'A key is a telephone in any spelling, the login, or the identifier '
				   'of a card or of a customer.';
	END IF;
	INSERT INTO onec.forgotten (server, id) SELECT DISTINCT srv, i FROM unnest(ids) i
	ON CONFLICT DO NOTHING;
	PERFORM onec_internal.refresh_all_people_next(srv);
	FOR table_name, rows IN SELECT m.table_name, m.rows
		FROM onec_internal.forget_messages_naming(srv, words) m LOOP
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.forget_person(name, text) IS 'Забыть человека (служебная)';

-- A dry run is the run itself, taken back.
CREATE FUNCTION onec.forget(key text, server name DEFAULT NULL, dry_run boolean DEFAULT false)
	RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	told jsonb;
BEGIN
	PERFORM onec_internal.must_write('forget');
	BEGIN
		told := (SELECT jsonb_agg(p) FROM onec_internal.forget_person(srv, key) p);
		IF dry_run THEN
			RAISE SQLSTATE 'OC001';
		END IF;
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		NULL;
	END;
	RETURN QUERY SELECT r.table_name, r.rows FROM jsonb_to_recordset(told) r (table_name text, rows bigint);
END $$;
COMMENT ON FUNCTION onec.forget(text, name, boolean) IS
	'Забыть человека (152-ФЗ) по телефону, логину, карте или контрагенту: удалить всё личное, '
	'покупки оставить безымянными, '
	'из 1С больше не брать; показывает, в какой таблице сколько строк затронуто. dry_run — только показать. '
	'Необратимо; в самой 1С данные остаются';
REVOKE EXECUTE ON FUNCTION onec.forget(text, name, boolean) FROM PUBLIC;

-- A dry run is the run itself, taken back.
CREATE FUNCTION onec.purge(before date, server name DEFAULT NULL, dry_run boolean DEFAULT false)
	RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	told jsonb;
BEGIN
	PERFORM onec_internal.must_write('purge');
	IF (before <= onec.local_now(srv)::date) IS NOT TRUE OR NOT isfinite(before) THEN
		RAISE invalid_parameter_value USING MESSAGE = 'purge needs a day that is not in the future';
	END IF;
	BEGIN
		told := (SELECT jsonb_agg(p) FROM onec_internal.purge_before(srv, before) p);
		IF dry_run THEN
			RAISE SQLSTATE 'OC001';
		END IF;
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		NULL;
	END;
	RETURN QUERY SELECT r.table_name, r.rows FROM jsonb_to_recordset(told) r (table_name text, rows bigint);
END $$;
COMMENT ON FUNCTION onec.purge(date, name, boolean) IS
	'Удалить покупки, чеки, заказы и баллы раньше этого дня (остатки баллов не меняются) и больше их не '
	'читать; потом пересчитайте профили. '
	'dry_run — только показать, сколько строк было бы удалено';
REVOKE EXECUTE ON FUNCTION onec.purge(date, name, boolean) FROM PUBLIC;

CREATE VIEW onec.site_user_masked AS
	SELECT u.server, u.user_id, u.customer_id, onec_internal.masked(u.phone) AS phone,
		   onec_internal.masked(u.name) AS name, u.is_active
	FROM onec.site_user u;
COMMENT ON VIEW onec.site_user_masked IS 'Пользователи без телефонов и имён: для аналитиков';

CREATE VIEW onec.customer_360_masked AS
	SELECT c.server, c.customer_id, c.total_revenue, c.gross_revenue, c.returns_amount, c.return_rate,
		   c.receipts, c.lines, c.visits, c.total_items,
		   c.average_check, c.median_check, c.average_line, c.items_per_receipt, c.purchase_frequency,
		   c.frequency_confidence, c.median_gap, c.mean_gap,
		   c.first_purchase, c.last_purchase, c.favorite_categories, c.favorite_stores, c.month_share,
		   c.buys_8_march, c.buys_new_year, c.buys_valentine,
		   onec_internal.masked(c.phone) AS phone, onec_internal.masked(c.name) AS name,
		   onec_internal.masked(c.email) AS email, c.discount_card_id, c.is_active,
		   c.days_since, c.tenure_days, c.cards, c.r_score, c.f_score, c.m_score, c.rfm, c.rfm_segment,
		   c.rfm_title, c.usual_gap, c.expected_next,
		   c.window_from, c.window_to, c.overdue_ratio, c.churn_class, c.month_index, c.peak_months,
		   c.favorite_brands, c.category_diversity,
		   c.p_alive, c.churn_risk, c.expected_12m, c.expected_spend, c.clv_12m,
		   c.first_purchase_tz, c.last_purchase_tz
	FROM onec.customer_360 c;
COMMENT ON VIEW onec.customer_360_masked IS
	'Всё о покупателе одной строкой без телефона, имени и почты: для аналитиков';
COMMENT ON COLUMN onec.customer_360_masked.phone IS 'Телефон под маской';
COMMENT ON COLUMN onec.customer_360_masked.name IS 'Имя под маской';
COMMENT ON COLUMN onec.customer_360_masked.email IS 'Электронная почта под маской';

CREATE VIEW onec.purchase_masked AS
	SELECT p.server, p.period, p.customer_id, p.card_id, p.product_id, p.product, p.category, p.store_id,
		   p.store, p.document_id, p.document_type,
		   p.recorder, p.recorder_type, p.line_no, p.quantity, p.amount, p.cost, p.attribution,
		   p.period_tz
	FROM onec.purchase p;
COMMENT ON VIEW onec.purchase_masked IS
	'Учитываемые строки продаж с названиями товара и магазина, без имени и телефона: для аналитиков';
COMMENT ON COLUMN onec.purchase_masked.product IS 'Товар';
COMMENT ON COLUMN onec.purchase_masked.category IS 'Категория';
COMMENT ON COLUMN onec.purchase_masked.store IS 'Магазин';

CREATE VIEW onec.abc_xyz_masked AS
	SELECT a.server, a.kind, a.item_id,
		   CASE a.kind WHEN 'customer' THEN onec_internal.masked(a.title) ELSE a.title END AS title,
		   a.net, a.share,
		   a.cumulative_share, a.abc, a.active_months, a.monthly_net, a.variation, a.xyz, a.class
	FROM onec.abc_xyz a;
COMMENT ON VIEW onec.abc_xyz_masked IS 'ABC/XYZ покупателей и товаров без имён: для аналитиков';
COMMENT ON COLUMN onec.abc_xyz_masked.title IS 'Товар или имя покупателя под маской';
-- A server is called something else, is dropped, is forgotten: what the store, the schema of its tables and
-- the jobs do then.

-- Every table with a server in each row, by name or by number: of the extension, and of what is synced
-- besides for one base.  Which number a server has is not among them: it is never given to another.
CREATE FUNCTION onec_internal.tables_by_server() RETURNS SETOF text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.oid::regclass::text FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
	JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
		AND e.extname = 'onec_fdw'
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  AND c.oid <> 'onec_internal.server_number'::regclass
	UNION
	SELECT onec_internal.table_of_target(t.target) FROM onec.target t
	WHERE to_regclass(onec_internal.table_of_target(t.target)) IS NOT NULL
	ORDER BY 1
$$;
COMMENT ON FUNCTION onec_internal.tables_by_server() IS 'Таблицы, в строках которых есть сервер (служебная)';

-- Was the schema of this name made by setup?
CREATE FUNCTION onec_internal.is_schema_of_setup(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_namespace n
				   WHERE n.nspname = server
					 AND obj_description(n.oid, 'pg_namespace') = 'Магазин в базе 1С ' || server);
COMMENT ON FUNCTION onec_internal.is_schema_of_setup(name) IS 'Создана ли схема onec.setup (служебная)';

-- The jobs in pg_cron, if it is here, get the new name; a NULL removes them.
CREATE FUNCTION onec_internal.rename_jobs(old name, new name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.cron_place() <> 'here' THEN
		RETURN;
	ELSIF new IS NULL THEN
		EXECUTE 'DELETE FROM cron.job j WHERE j.database = current_database() AND j.jobname IN (SELECT '
				'n.job_name FROM onec_internal.job_names($1) n)' USING old;
	ELSE
		EXECUTE 'UPDATE cron.job j SET jobname = w.job_name, command = w.command
				 FROM onec_internal.job_names($1) n JOIN onec_internal.jobs_of_server($2) w ON w.job = n.job
				 WHERE j.database = current_database() AND j.jobname = n.job_name' USING old, new;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.rename_jobs(name, name) IS
	'Переименовать или убрать задания pg_cron (служебная)';

-- All that bears the old name bears the new one.
CREATE FUNCTION onec_internal.rename_base(old name, new name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.base b WHERE b.server = new) THEN
		RAISE object_in_use USING
			MESSAGE = format('the store already has data of a server "%s"', new),
			HINT = format('SELECT * FROM onec.forget_server(%L) deletes them, once '
						  'no server bears that name.', new);
	ELSIF onec_internal.is_schema_of_setup(old) AND to_regnamespace(quote_ident(new)) IS NOT NULL THEN
		RAISE duplicate_schema USING
			MESSAGE = format('schema "%s" exists already', new),
			DETAIL = format('The tables of the shop are in schema "%s", which is called as the server is.',
							old);
	ELSIF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(old)) THEN
		RAISE object_in_use USING
			MESSAGE = format('a sync of "%s" is at work', old),
				HINT = format('Wait for its end, or SELECT onec.cancel(server => %L).', old);
	END IF;
	-- a number goes on being that of the base; one of the new name has no rows
	DELETE FROM onec_internal.server_number n WHERE n.server = new;
	UPDATE onec_internal.server_number n SET server = new WHERE n.server = old;
	FOR tab IN SELECT t FROM onec_internal.tables_by_server() t
			   JOIN pg_attribute a ON a.attrelid = t::regclass AND a.attname = 'server'
			   WHERE a.atttypid = 'name'::regtype LOOP
		EXECUTE format('UPDATE %s SET server = $2 WHERE server = $1', tab) USING old, new;
	END LOOP;
	UPDATE onec_internal.base b SET former = array_remove(b.former, new) || old WHERE b.server = new;
	IF onec_internal.is_schema_of_setup(old) THEN
		EXECUTE format('ALTER SCHEMA %I RENAME TO %I', old, new);
		EXECUTE format('COMMENT ON SCHEMA %I IS %L', new, 'Магазин в базе 1С ' || new);
	END IF;
	PERFORM onec_internal.rename_jobs(old, new);
END $$;
COMMENT ON FUNCTION onec_internal.rename_base(name, name) IS 'Переименовать базу в хранилище (служебная)';

-- What is done to servers, by whoever may.  Before it, their numbers are those of here and now: a dump brings
-- others along.
CREATE FUNCTION onec_internal.on_server_change() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b record;
BEGIN
	IF tg_event = 'sql_drop' THEN
		FOR b IN SELECT k.server FROM onec_internal.base k
			JOIN pg_event_trigger_dropped_objects() d ON d.object_type = 'server'
				AND d.object_name = k.server LOOP
			PERFORM onec_internal.rename_jobs(b.server, NULL);
		END LOOP;
		RETURN;
	END IF;
	FOR b IN SELECT k.server, s.server AS called FROM onec_internal.base k
		JOIN onec_internal.live_servers s ON s.server_oid = k.server_oid
			 WHERE tg_event = 'ddl_command_end' AND s.server <> k.server LOOP
		PERFORM onec_internal.rename_base(b.server, b.called);
	END LOOP;
	PERFORM onec_internal.remember_base(k.server) FROM onec_internal.base k;
END $$;
COMMENT ON FUNCTION onec_internal.on_server_change() IS
	'Следит за переименованием и удалением серверов (служебная)';

CREATE EVENT TRIGGER onec_server_before ON ddl_command_start
	WHEN TAG IN ('ALTER SERVER') EXECUTE FUNCTION onec_internal.on_server_change();
CREATE EVENT TRIGGER onec_server_after ON ddl_command_end
	WHEN TAG IN ('ALTER SERVER') EXECUTE FUNCTION onec_internal.on_server_change();
CREATE EVENT TRIGGER onec_server_dropped ON sql_drop
	WHEN TAG IN ('DROP SERVER', 'DROP FOREIGN DATA WRAPPER', 'DROP OWNED')
	EXECUTE FUNCTION onec_internal.on_server_change();

-- Who was forgotten stays on record, lest a server of the same name bring them back.
CREATE FUNCTION onec.forget_server(server name) RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(coalesce(server, '?'));
BEGIN
	IF EXISTS (SELECT FROM onec_internal.live_servers s WHERE s.server = srv) THEN
		RAISE object_in_use USING
			MESSAGE = format('server "%s" still exists', srv),
			HINT = format('DROP SERVER %I CASCADE first; what the store has of it '
						  'stays until it is forgotten.', srv);
	END IF;
	PERFORM onec_internal.rename_jobs(srv, NULL);
	IF onec_internal.is_schema_of_setup(srv)
		AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(srv))) THEN
		EXECUTE format('DROP SCHEMA %I', srv);
	END IF;
	FOR table_name IN SELECT t FROM onec_internal.tables_by_server() t
					  WHERE t <> 'onec.forgotten' LOOP
		EXECUTE format('DELETE FROM %s t WHERE t.server = %s', table_name,
					   onec_internal.server_in(table_name, srv));
		GET DIAGNOSTICS rows = ROW_COUNT;
		table_name := regexp_replace(table_name, '^onec(_internal)?\.', '');
		IF rows > 0 THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.forget_server(name) IS
	'Убрать всё, что осталось от удалённого сервера: данные, настройки, журналы, задания, пустую схему; '
	'показывает, сколько строк удалено. '
	'Остаются только ссылки тех, кого забыли';
REVOKE EXECUTE ON FUNCTION onec.forget_server(name) FROM PUBLIC;
-- Rows that the extension brings along, apart from what people make of them.  A dump holds the edits only and
-- brings them back over the rows of the new extension; the first copy of a logical replica meets rows of its
-- own and goes on.

-- Which rows that were brought along are deleted, or have another key: a dump cannot hold what is not there.
CREATE TABLE onec_internal.seed_removed (
	table_name text NOT NULL,
	key jsonb NOT NULL,
	PRIMARY KEY (table_name, key)
);
COMMENT ON TABLE onec_internal.seed_removed IS
	'Какие из поставляемых строк удалены: после восстановления из копии их снова не будет';
COMMENT ON COLUMN onec_internal.seed_removed.table_name IS 'Таблица';
COMMENT ON COLUMN onec_internal.seed_removed.key IS 'Ключ строки';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.seed_removed', '');

-- Values of columns, by name.
CREATE FUNCTION onec_internal.key_of_row(fields jsonb, columns text) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT jsonb_object_agg(c, $1 -> c) FROM unnest(string_to_array($2, ',')) c);
COMMENT ON FUNCTION onec_internal.key_of_row(jsonb, text) IS 'Ключ строки (служебная)';

-- Arguments: the columns of each unique key, the primary one first.  Triggers of a replica fire, too, but
-- only what it inserts matters: its other changes are those of the publisher.
CREATE FUNCTION onec_internal.keep_edit() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys jsonb[];
	same text := format('FROM onec.%I t WHERE t.is_seed AND EXISTS (SELECT FROM unnest($1) '
						'k WHERE to_jsonb(t) @> k)', tg_table_name);
	there boolean;
BEGIN
	IF tg_op = 'INSERT' THEN
		keys := ARRAY(SELECT onec_internal.key_of_row(to_jsonb(NEW), a) FROM unnest(tg_argv) a);
		IF NEW.is_seed THEN
			EXECUTE 'SELECT EXISTS (SELECT ' || same || ')' INTO there USING keys[1:1];
			RETURN CASE WHEN NOT there THEN NEW END;
		END IF;
		-- in place of what was brought along
		EXECUTE 'DELETE ' || same USING keys;
		RETURN NEW;
	END IF;
	IF OLD.is_seed AND pg_trigger_depth() = 1 AND current_setting('session_replication_role') <> 'replica'
		AND (tg_op = 'DELETE'
			 OR onec_internal.key_of_row(to_jsonb(NEW), tg_argv[0]) <> onec_internal.key_of_row(to_jsonb(OLD),
				 tg_argv[0])) THEN
		INSERT INTO onec_internal.seed_removed
		VALUES (tg_table_name, onec_internal.key_of_row(to_jsonb(OLD), tg_argv[0])) ON CONFLICT DO NOTHING;
	END IF;
	IF tg_op = 'DELETE' THEN
		RETURN OLD;
	END IF;
	NEW.is_seed := NEW.is_seed AND NEW IS NOT DISTINCT FROM OLD;
	RETURN NEW;
END $$;
COMMENT ON FUNCTION onec_internal.keep_edit() IS 'Отличает правки от поставляемых строк (служебная)';

CREATE FUNCTION onec_internal.remove_seed() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- told by a dump or by a publisher, and not by keep_edit
	IF pg_trigger_depth() = 1 THEN
		EXECUTE format('DELETE FROM onec.%I t WHERE t.is_seed AND to_jsonb(t) @> $1', NEW.table_name)
			USING NEW.key;
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.remove_seed() IS
	'Удаляет поставляемую строку, которую удалили и раньше (служебная)';
CREATE TRIGGER remove_seed AFTER INSERT
	ON onec_internal.seed_removed FOR EACH ROW EXECUTE FUNCTION onec_internal.remove_seed();
ALTER TABLE onec_internal.seed_removed ENABLE ALWAYS TRIGGER remove_seed;

-- The tables: all that stands in them now was brought along.
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM (VALUES ('setting', '{key}'::text[]), ('target', '{target}'),
							('env_name', '{name}'), ('field_source', '{"target,field"}'),
							('category_map', '{priority}'), ('phone_plan', '{country}'),
							('frequency_class', '{upper_days,code}'),
							('rfm_segment', '{"set_name,priority"}')) v (name, keys) LOOP
		EXECUTE format('ALTER TABLE onec.%I ADD is_seed boolean NOT NULL DEFAULT false', t.name);
		EXECUTE format('COMMENT ON COLUMN onec.%I.is_seed IS ''Поставлена с расширением и не изменена''',
					   t.name);
		EXECUTE format('UPDATE onec.%I SET is_seed = true', t.name);
		EXECUTE format('CREATE TRIGGER keep_edit BEFORE INSERT OR UPDATE OR DELETE ON onec.%I FOR EACH ROW '
					   'EXECUTE FUNCTION onec_internal.keep_edit(%s)',
					   t.name, (SELECT string_agg(quote_literal(k), ', ') FROM unnest(t.keys) k));
		EXECUTE format('ALTER TABLE onec.%I ENABLE ALWAYS TRIGGER keep_edit', t.name);
		PERFORM pg_catalog.pg_extension_config_dump(format('onec.%I', t.name)::regclass, 'WHERE NOT is_seed');
	END LOOP;
END $$;
-- Who reads, who syncs, who serves the site.  Roles are the owner's to make.

-- What some routines and views of schema onec need of onec_internal, where they run with the rights of
-- whoever calls: their own texts tell, and those of what they call.  What people are told is no call.
CREATE FUNCTION onec_internal.needed_helpers(callers text[], OUT routines text, OUT relations text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE source AS MATERIALIZED (
		SELECT format('%s.%s', n.nspname, p.proname) AS name, CASE
			WHEN p.prosecdef THEN ''
			WHEN p.prosqlbody IS NULL
				THEN regexp_replace(p.prosrc, '\m(MESSAGE|DETAIL|HINT)\s*=\s*(format\()?(E?''[^'']*''\s*)+',
									'', 'g')
			ELSE regexp_replace(pg_get_functiondef(p.oid), '''[^'']*''', '', 'g') END AS code
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('onec', 'onec_internal') AND p.prokind IN ('f', 'p', 'a')
		UNION ALL
		SELECT format('%s.%s', n.nspname, c.relname),
			   regexp_replace(pg_get_viewdef(c.oid), '''[^'']*''', '', 'g')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('onec', 'onec_internal') AND c.relkind = 'v'),
	call AS MATERIALIZED (
		SELECT DISTINCT s.name AS caller, m[1] AS called
		FROM source s CROSS JOIN LATERAL regexp_matches(s.code, '\m(onec(?:_internal)?\.\w+)', 'g') m
		-- what is not given is not called, but told of
		WHERE m[1] !~ '^onec\.' OR m[1] = ANY ($1) OR to_regclass(m[1]) IS NOT NULL),
	reached AS (
		SELECT unnest($1) AS name
		UNION SELECT c.called FROM reached r JOIN call c ON c.caller = r.name)
	SELECT (SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid) FROM pg_proc p
			WHERE p.pronamespace = 'onec_internal'::regnamespace
			  AND format('onec_internal.%s', p.proname) IN (SELECT r.name FROM reached r)),
		   (SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid) FROM pg_class c
			WHERE c.relnamespace = 'onec_internal'::regnamespace AND c.relkind IN ('r', 'v')
			  AND format('onec_internal.%s', c.relname) IN (SELECT r.name FROM reached r))
$$;
COMMENT ON FUNCTION onec_internal.needed_helpers(text[]) IS
	'Что из onec_internal нужно тому, кто вызывает это сам (служебная)';

-- What an analyst reads, and the functions that everybody may call.  The list names what is allowed, so a
-- table that is added later is closed until somebody has looked whether it tells of people.
CREATE FUNCTION onec.grant_reader(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	open text[] := '{setting,config,settings,field_source,env_name,target,server_capability,
		stat_server,stat_server_error,
		receipt,customer_order_line,loyalty_balance,loyalty_rule,category_map,brand_map,frequency_class,
		rfm_segment,customer_affinity,customer_outlook,outlook_baseline,outlook,customer_rfm,rfm_summary,
		clv_model,customer_clv,customer_value,cohort_retention,abc_xyz_masked,month_season,weekday_hour,
		store_summary,revenue_month,product_pair,bestseller,recommendation_feed,site_user_masked,
		customer_360_masked,purchase_masked,sync_run,sync_step,sync_state,sync_status,sync_progress,drift,
		data_quality}';
	behind text[] := '{base,live_servers,base_clock,refusal,largest_page,known_servers,
		shop_rules,product_with_category,counted_line,counted_part,counted_points,taste_word}';
	helpers text;
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec, onec_internal TO %s', role);
	-- whatever an earlier version or a hasty hand gave
	EXECUTE format('REVOKE SELECT ON ALL TABLES IN SCHEMA onec, onec_internal FROM %s', role);
	EXECUTE format('GRANT SELECT ON %s TO %s',
		(SELECT string_agg(format('onec.%I', c.relname), ', ') FROM pg_class c
		 WHERE c.relnamespace = 'onec'::regnamespace AND (c.relname = ANY (open)
			OR EXISTS (SELECT FROM onec.target t
					   WHERE t.table_schema = 'onec' AND t.table_name = c.relname AND t.is_open))), role);
	-- a view reads with its owner's rights, but calls with those of whoever asks
	EXECUTE format('GRANT SELECT ON %s TO %s',
				   (SELECT string_agg(format('onec_internal.%I', b), ', ') FROM unnest(behind) b), role);
	SELECT h.routines INTO helpers FROM onec_internal.needed_helpers(
		ARRAY(SELECT format('onec.%s', c.relname) FROM pg_class c
			  WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind = 'v'
				AND has_table_privilege(role, c.oid, 'SELECT')
			  UNION ALL
			  SELECT format('onec.%s', p.proname) FROM pg_proc p
			  WHERE p.pronamespace = 'onec'::regnamespace
				AND has_function_privilege('public', p.oid, 'EXECUTE'))) h;
	EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', helpers, role);
END $$;
COMMENT ON FUNCTION onec.grant_reader(regrole) IS
	'Дать роли право читать витрины магазина, в которых нет телефонов, имён и почты; '
	'прочие права на чтение отнять';
REVOKE EXECUTE ON FUNCTION onec.grant_reader(regrole) FROM PUBLIC;

-- What CALL onec.sync(), its parts and the jobs need, and no more: they run with the rights of whoever calls.
-- Tables that a sync fills are those with a server in each row; what is set by hand, and who is forgotten, it
-- only reads.  Functions give nothing by themselves.
CREATE FUNCTION onec.grant_sync(role regrole, server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	filled text;
	read text;
	called text;
	helpers record;
	entries text := '^(sync|run_job$|run_now$|refresh_|fit_clv$|(forget|remember)_refusals$|'
					'(check|choose)_loyalty|check_amounts$)';
BEGIN
	SELECT string_agg(c.oid::regclass::text, ', ') FILTER (WHERE c.relkind = 'r' AND a.attname IS NOT NULL
														   AND c.relname NOT IN ('config', 'target',
															   'forgotten', 'server_number')),
		   string_agg(c.oid::regclass::text, ', ')
	INTO filled, read
	FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
	WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  AND (c.relkind = 'r' OR c.relkind = 'v' AND c.relnamespace = 'onec'::regnamespace
		   AND EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname));
	SELECT string_agg(p.oid::regprocedure::text, ', ') INTO called FROM pg_proc p
	WHERE p.pronamespace = 'onec'::regnamespace AND p.proname ~ entries;
	SELECT h.routines, h.relations INTO helpers FROM onec_internal.needed_helpers(
		ARRAY(SELECT format('onec.%s', p.proname) FROM pg_proc p
			  WHERE p.pronamespace = 'onec'::regnamespace
				AND (p.proname ~ entries OR has_function_privilege('public', p.oid, 'EXECUTE')))) h;
	EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %s', current_database(), role);
	EXECUTE format('GRANT USAGE ON SCHEMA onec, onec_internal, %I TO %s', srv, role);
	EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO %s', srv, role);
	EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %s', srv, role);
	EXECUTE format('GRANT SELECT ON %s, %s TO %s', read, helpers.relations, role);
	EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO %s', filled, role);
	EXECUTE format('GRANT INSERT ON onec.forgotten TO %s', role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE %s, %s TO %s', called, helpers.routines, role);
	IF NOT EXISTS (SELECT FROM pg_user_mappings m WHERE m.srvname = srv AND m.umuser IN (0, role)) THEN
		RAISE WARNING USING
			MESSAGE = format('role "%s" has no login at server "%s" yet', role, srv),
			HINT = format('CREATE USER MAPPING FOR %s SERVER %I OPTIONS (user …, password …);', role, srv);
	END IF;
END $$;
COMMENT ON FUNCTION onec.grant_sync(regrole, name) IS
	'Дать роли то, что нужно синхронизации с базой (onec.sync, её части, задания), и не больше; логин 1С '
	'задаёт сопоставление пользователя';
REVOKE EXECUTE ON FUNCTION onec.grant_sync(regrole, name) FROM PUBLIC;

-- The site asks for one customer at a time, by key, and reads no table.
ALTER FUNCTION onec.customer_json(text, name) SECURITY DEFINER;
ALTER FUNCTION onec.purchases_json(text, int, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.profile_json(text, int, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.recommend(text, int, name, date) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION onec.customer_json(text, name), onec.purchases_json(text, int, int, name),
	onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date) FROM PUBLIC;

CREATE FUNCTION onec.grant_site(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.customer_json(text, name), '
				   'onec.purchases_json(text, int, int, name), '
		'onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date) TO %s', role);
END $$;
COMMENT ON FUNCTION onec.grant_site(regrole) IS
	'Дать роли сайта профиль, покупки и рекомендации одного покупателя по ключу: customer_json, '
	'purchases_json, profile_json, recommend; таблиц она не читает';
REVOKE EXECUTE ON FUNCTION onec.grant_site(regrole) FROM PUBLIC;
-- What comes last in every script, this one and those of updates.

-- Comments: columns of views without any take that of the column of the same name in what the view is made
-- of (views of views take it when theirs has got one, hence the rounds), and a moment that of the local time
-- beside it.  Rights: helpers are nobody's, whatever PostgreSQL gives to everybody.
CREATE FUNCTION onec_internal.finish_script() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c record;
BEGIN
	FOR i IN 1 .. 3 LOOP
		FOR c IN
			SELECT v.oid::regclass AS view, a.attname, min(col_description(f.oid, b.attnum)) AS comment
			FROM pg_class v
			JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
			JOIN pg_rewrite r ON r.ev_class = v.oid
			JOIN (SELECT DISTINCT d.objid, d.refobjid FROM pg_depend d
				  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass) d
				ON d.objid = r.oid AND d.refobjid <> v.oid
			JOIN pg_class f ON f.oid = d.refobjid
			JOIN pg_attribute b ON b.attrelid = f.oid AND b.attname = a.attname
			WHERE v.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
			  AND v.relkind = 'v' AND col_description(v.oid, a.attnum) IS NULL
			GROUP BY 1, 2
			HAVING count(col_description(f.oid, b.attnum)) > 0
		LOOP
			EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname, c.comment);
		END LOOP;
	END LOOP;
	FOR c IN
		SELECT v.oid::regclass AS view, a.attname, col_description(v.oid, b.attnum) AS comment
		FROM pg_class v
		JOIN pg_attribute a ON a.attrelid = v.oid AND a.atttypid = 'timestamptz'::regtype
		JOIN pg_attribute b ON b.attrelid = v.oid AND a.attname = b.attname || '_tz'
		WHERE v.relnamespace = 'onec'::regnamespace AND v.relkind = 'v'
		  AND col_description(v.oid, a.attnum) IS NULL
	LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname,
			regexp_replace(c.comment, ', местн.*', '') || ', с часовым поясом базы');
	END LOOP;
	REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA onec_internal FROM PUBLIC;
END $$;
COMMENT ON FUNCTION onec_internal.finish_script() IS
	'Конец каждого скрипта расширения: комментарии и права (служебная)';

SELECT onec_internal.finish_script();
