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
	('stock.enabled', 'bool', 'false', NULL, NULL, NULL, 'Читать остатки и резервы товаров'),
	('prices.enabled', 'bool', 'false', NULL, NULL, NULL, 'Читать цены товаров'),
	('prices.history', 'bool', 'false', NULL, NULL, NULL, 'Читать и прежние цены товаров'),
	('product_cards.enabled', 'bool', 'false', NULL, NULL, NULL,
	 'Читать характеристики, дополнительные реквизиты, единицы и ставки НДС товаров'),
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
		(SELECT c.value FROM onec.config c WHERE c.key = get.key AND c.server = get.server),
		(SELECT c.value FROM onec.config c WHERE c.key = get.key AND c.server = ''),
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
