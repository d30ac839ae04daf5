-- Settings of the shop: what is read, and the numbers in the definitions.  Where and as whom to connect are
-- options of the server and of the user mapping.

CREATE TABLE onec.setting (
	key text PRIMARY KEY,
	type text NOT NULL CHECK (type IN ('text', 'text[]', 'int', 'numeric', 'bool', 'uuid[]')),
	initial text,
	choices text[],
	description text NOT NULL
);
COMMENT ON TABLE onec.setting IS 'Какие настройки бывают: ключ, тип, значение по умолчанию, смысл';
COMMENT ON COLUMN onec.setting.key IS 'Ключ';
COMMENT ON COLUMN onec.setting.type IS 'Тип значения';
COMMENT ON COLUMN onec.setting.initial IS 'Значение по умолчанию';
COMMENT ON COLUMN onec.setting.choices IS 'Допустимые значения, если их перечень закрыт';
COMMENT ON COLUMN onec.setting.description IS 'Смысл';

INSERT INTO onec.setting (key, type, initial, choices, description) VALUES
	('endpoint.discount_card', 'text', 'Catalog_ДисконтныеКарты', NULL, 'Набор дисконтных карт'),
	('endpoint.counterparty', 'text', 'Catalog_Контрагенты', NULL, 'Набор контрагентов'),
	('endpoint.counterparty_contact', 'text', 'Catalog_Контрагенты_КонтактнаяИнформация', NULL, 'Табличная часть контактов контрагентов'),
	('endpoint.product', 'text', 'Catalog_Номенклатура', NULL, 'Набор товаров'),
	('endpoint.category', 'text', 'Catalog_КатегорииНоменклатуры', NULL, 'Набор категорий товаров'),
	('endpoint.store', 'text', 'Catalog_СтруктурныеЕдиницы', NULL, 'Набор магазинов и складов'),
	('endpoint.sale_line', 'text', 'AccumulationRegister_Продажи_RecordType', NULL, 'Строки регистра продаж'),
	('endpoint.card_sale_line', 'text', 'AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType', NULL, 'Строки регистра продаж по картам'),
	('endpoint.receipt', 'text', 'DocumentJournal_РозничныеПродажи', NULL, 'Журнал чеков'),
	('endpoint.loyalty_movement', 'text', 'AccumulationRegister_БонусныеБаллы_RecordType', NULL, 'Движения бонусных баллов'),
	('endpoint.loyalty_lot', 'text', 'AccumulationRegister_НачисленияБонусныхБаллов_RecordType', NULL, 'Начисления бонусных баллов'),
	('filter_fields.card_sales', 'text[]', '{ДисконтнаяКарта_Key,ДисконтнаяКарта,Карта_Key,Карта}', NULL, 'Где в продажах по картам искать карту: первое опубликованное'),
	('filter_fields.loyalty', 'text[]', '{БонуснаяКарта_Key,ДисконтнаяКарта_Key,ВладелецКарты_Key,Контрагент_Key,Покупатель_Key}', NULL, 'Где в баллах искать карту и владельца: первое опубликованное'),
	('sync.enabled', 'bool', 'true', NULL, 'Синхронизация по расписанию включена'),
	('sync.interval_hours', 'int', '4', NULL, 'Через сколько часов запускать частую синхронизацию'),
	('sync.purchase_days', 'int', '3', NULL, 'За сколько дней перечитывать покупки при частой синхронизации'),
	('sync.cards_limit', 'int', '0', NULL, 'Не больше стольких карт за запуск; 0 — все'),
	('nightly.enabled', 'bool', 'true', NULL, 'Ночная синхронизация включена'),
	('nightly.hour', 'int', '3', NULL, 'Час ночной синхронизации, местное время базы 1С'),
	('nightly.minute', 'int', '0', NULL, 'Минута ночной синхронизации'),
	('nightly.purchase_days', 'int', '30', NULL, 'За сколько дней перечитывать покупки ночью'),
	('nightly.cards_limit', 'int', '10000', NULL, 'Не больше стольких карт за ночной запуск; 0 — все'),
	('loyalty.enabled', 'bool', 'true', NULL, 'Читать бонусные баллы'),
	('check_unit', 'text', 'receipt', '{receipt,row}', 'Чем делить выручку в среднем чеке: чеками или строками'),
	('exclude_recorder_types', 'text[]', '{Document_ВводНачальныхОстатков}', NULL, 'Документы, которые не являются покупками'),
	('organization_ids', 'uuid[]', '{}', NULL, 'Учитывать только эти организации; пусто — все'),
	('affinity.min_line', 'numeric', '5', NULL, 'Строки дешевле не говорят о предпочтениях (упаковка)'),
	('affinity.half_life_days', 'numeric', '365', NULL, 'За сколько дней вес покупки падает вдвое'),
	('affinity.exclude_categories', 'text[]', '{packaging}', NULL, 'Категории, которые не говорят о предпочтениях'),
	('phone.country', 'text', 'RU', '{RU,KZ,BY}', 'Страна телефонов без кода'),
	('phone.conflict', 'text', 'newest', '{newest,first}', 'Кому принадлежит телефон двух карт разных владельцев'),
	('keep.job_days', 'int', '30', NULL, 'Сколько дней хранить записи pg_cron о заданиях; 0 — все'),
	('keep.run_days', 'int', '180', NULL, 'Сколько дней хранить журнал запусков синхронизации; 0 — весь'),
	('keep.drift_days', 'int', '180', NULL, 'Сколько дней помнить разошедшиеся и перечитанные месяцы; 0 — всегда'),
	('name.ignore', 'text[]', '{Розничный покупатель,Покупатель,Физлицо,Физическое лицо}', NULL, 'Наименования, которые не являются именами');

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

CREATE FUNCTION onec.get(key text, server name DEFAULT '') RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT coalesce(
			(SELECT c.value FROM onec.config c WHERE c.key = get.key AND c.server IN (get.server, '')
			 ORDER BY c.server = '' LIMIT 1),
			(SELECT s.initial FROM onec.setting s WHERE s.key = get.key));
	END;
COMMENT ON FUNCTION onec.get(text, name) IS 'Значение настройки: сервера, общее или по умолчанию';

CREATE FUNCTION onec._check_setting(s onec.setting, value text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('SELECT $1::%s', s.type) USING value;
	IF s.choices IS NOT NULL AND value <> ALL (s.choices) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid value for setting "%s": "%s"', s.key, value),
			HINT = format('Possible values: %s.', array_to_string(s.choices, ', '));
	END IF;
EXCEPTION
	WHEN invalid_text_representation OR numeric_value_out_of_range OR datatype_mismatch THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid value for setting "%s": "%s"', s.key, value),
			HINT = format('A value of type %s is expected.', s.type);
END $$;
COMMENT ON FUNCTION onec._check_setting(onec.setting, text) IS 'Проверка значения настройки (служебная)';

-- The keys nearest to a misspelt one: those that share most of its three-letter pieces.
CREATE FUNCTION onec._similar_keys(key text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH piece AS (SELECT DISTINCT substr(lower($1), i, 3) AS text FROM generate_series(1, greatest(length($1) - 2, 1)) i)
	SELECT string_agg(k.key, ', ' ORDER BY k.hits DESC, k.key)
	FROM (SELECT s.key, count(*) AS hits FROM onec.setting s JOIN piece p ON position(p.text IN s.key) > 0
		  GROUP BY s.key ORDER BY 2 DESC, 1 LIMIT 3) k
	WHERE k.hits * 2 >= (SELECT count(*) FROM piece)
$$;
COMMENT ON FUNCTION onec._similar_keys(text) IS 'Похожие ключи настроек для подсказки (служебная)';

CREATE FUNCTION onec.set(key text, value text, server name DEFAULT '') RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.setting;
BEGIN
	SELECT * INTO s FROM onec.setting t WHERE t.key = set.key;
	IF NOT FOUND THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unrecognized setting "%s"', key),
			HINT = coalesce('Perhaps you meant: ' || onec._similar_keys(key) || '.', 'See onec.settings.');
	END IF;
	IF value IS NULL THEN
		DELETE FROM onec.config c WHERE c.server = set.server AND c.key = set.key;
		RETURN;
	END IF;
	PERFORM onec._check_setting(s, value);
	INSERT INTO onec.config AS c (server, key, value) VALUES (set.server, set.key, set.value)
	ON CONFLICT ON CONSTRAINT config_pkey DO UPDATE SET value = excluded.value, set_at = excluded.set_at;
END $$;
COMMENT ON FUNCTION onec.set(text, text, name) IS 'Задать настройку (NULL — вернуть умолчание); без сервера — для всех';
REVOKE EXECUTE ON FUNCTION onec.set(text, text, name) FROM PUBLIC;

CREATE VIEW onec.settings AS
	SELECT s.key, c.server, coalesce(c.value, s.initial) AS value, s.initial AS "default",
		   CASE WHEN c.key IS NULL THEN 'default' WHEN c.server = '' THEN 'all servers' ELSE 'server' END AS source,
		   s.type, s.description
	FROM onec.setting s LEFT JOIN onec.config c ON c.key = s.key;
COMMENT ON VIEW onec.settings IS 'Настройки: действующее значение, умолчание, откуда взято, смысл';
COMMENT ON COLUMN onec.settings."default" IS 'Значение, если не задано';
COMMENT ON COLUMN onec.settings.source IS 'Откуда значение: умолчание, общее или этого сервера';

-- The server meant when none is named: the only one there is.
CREATE FUNCTION onec._server(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	servers name[];
BEGIN
	IF server IS NOT NULL THEN
		PERFORM FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
		WHERE s.srvname = server AND w.fdwname = 'onec_fdw';
		IF NOT FOUND THEN
			RAISE undefined_object USING MESSAGE = format('server "%s" of onec_fdw does not exist', server);
		END IF;
		RETURN server;
	END IF;
	SELECT array_agg(s.srvname) INTO servers
	FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE w.fdwname = 'onec_fdw';
	IF coalesce(cardinality(servers), 0) <> 1 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a server must be named',
			DETAIL = format('Servers of onec_fdw: %s.', coalesce(array_to_string(servers, ', '), 'none'));
	END IF;
	RETURN servers[1];
END $$;
COMMENT ON FUNCTION onec._server(name) IS 'Проверить имя сервера или найти единственный (служебная)';
