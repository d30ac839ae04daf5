-- What a site writes, field by field: which property of 1C a field is in this base, and the value that the
-- shop gives it where the site says none.
--
-- A field is the first property of its list that the base publishes, as what is read: releases of one
-- configuration differ (Номенклатура_Key, or Номенклатура and its type).  A base with names of its own
-- needs a row here, not new code.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('write.points_set', 'text', 'Document_НачислениеСписаниеБонусныхБаллов', NULL, NULL, NULL,
	 'Набор 1С: документ, которым сайт начисляет и списывает баллы');

CREATE TABLE onec.write_object (
	object text PRIMARY KEY,
	endpoint text NOT NULL REFERENCES onec.setting (key),
	title text NOT NULL
);
COMMENT ON TABLE onec.write_object IS
	'Что пишет сайт: объекты функций onec.create_customer, place_order и других';
COMMENT ON COLUMN onec.write_object.object IS 'Объект';
COMMENT ON COLUMN onec.write_object.endpoint IS 'Настройка, которая называет его набор в 1С';
COMMENT ON COLUMN onec.write_object.title IS 'Что это, по-русски';
INSERT INTO onec.write_object (object, endpoint, title) VALUES
	('customer', 'endpoint.counterparty', 'Покупатель'),
	('card', 'endpoint.discount_card', 'Дисконтная карта'),
	('points', 'write.points_set', 'Начисление и списание баллов'),
	('order', 'endpoint.customer_order', 'Заказ покупателя');

CREATE TABLE onec.write_field (
	object text NOT NULL,
	ordinal int NOT NULL,
	field text NOT NULL,
	said_by text NOT NULL CHECK (said_by IN ('site', 'shop', 'nobody')),
	is_required boolean NOT NULL,
	candidates text[] NOT NULL,
	type_name text,
	initial jsonb,
	PRIMARY KEY (object, field)
);
COMMENT ON TABLE onec.write_field IS 'В какие свойства 1С пишутся поля: первое опубликованное из перечня';
COMMENT ON COLUMN onec.write_field.object IS
	'Объект; у строк табличной части — с именем её поля: order.lines';
COMMENT ON COLUMN onec.write_field.ordinal IS 'Порядок';
COMMENT ON COLUMN onec.write_field.field IS 'Поле: под этим именем его называют сайт и onec.write_default';
COMMENT ON COLUMN onec.write_field.said_by IS
	'Кто говорит значение: site — сайт, shop — магазин (onec.write_default), если сайт молчит, nobody — '
	'вычисляется';
COMMENT ON COLUMN onec.write_field.is_required IS 'Без значения объект не ставится в очередь';
COMMENT ON COLUMN onec.write_field.candidates IS
	'Свойства 1С, первое опубликованное выигрывает; пусто — не пишется, а нужно для расчёта';
COMMENT ON COLUMN onec.write_field.type_name IS 'Вид объекта, на который ссылается поле';
COMMENT ON COLUMN onec.write_field.initial IS 'Значение, если его не говорит никто';

INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial) VALUES
	('customer', 1, 'name', 'site', true, '{Description}', NULL, NULL),
	('customer', 2, 'full_name', 'site', false, '{НаименованиеПолное}', NULL, NULL),
	('customer', 3, 'kind', 'shop', false, '{ВидКонтрагента}', NULL, '"ФизическоеЛицо"'),
	('customer', 4, 'legal_kind', 'shop', false, '{ЮридическоеФизическоеЛицо,ЮрФизЛицо}', NULL,
	 '"ФизическоеЛицо"'),
	('customer', 5, 'is_buyer', 'shop', false, '{Покупатель}', NULL, 'true'),
	('customer', 6, 'group', 'shop', false, '{Parent_Key}', 'Catalog_Контрагенты', NULL),
	('customer', 7, 'phone', 'site', false, '{НомерТелефонаДляПоиска}', NULL, NULL),
	('customer', 8, 'email', 'site', false, '{АдресЭПДляПоиска}', NULL, NULL),
	('customer', 9, 'birth_date', 'site', false, '{ДатаРождения}', NULL, NULL),
	('customer', 10, 'gender', 'site', false, '{Пол}', NULL, NULL),
	('customer', 11, 'comment', 'site', false, '{Комментарий}', NULL, NULL),
	('customer', 12, 'contacts', 'nobody', false, '{КонтактнаяИнформация}', NULL, NULL),
	('customer', 13, 'phone_kind', 'shop', false, '{}', 'Catalog_ВидыКонтактнойИнформации', NULL),
	('customer', 14, 'email_kind', 'shop', false, '{}', 'Catalog_ВидыКонтактнойИнформации', NULL),
	('customer.contacts', 1, 'type', 'nobody', true, '{Тип}', NULL, NULL),
	('customer.contacts', 2, 'kind', 'nobody', true, '{Вид_Key,Вид}', 'Catalog_ВидыКонтактнойИнформации',
	 NULL),
	('customer.contacts', 3, 'presentation', 'nobody', true, '{Представление}', NULL, NULL),
	('customer.contacts', 4, 'phone', 'nobody', false, '{НомерТелефона}', NULL, NULL),
	('customer.contacts', 5, 'phone_without_code', 'nobody', false, '{НомерТелефонаБезКодов}', NULL, NULL),
	('customer.contacts', 6, 'phone_reversed', 'nobody', false, '{ОбратныйНомерТелефона}', NULL, NULL),
	('customer.contacts', 7, 'email', 'nobody', false, '{АдресЭП}', NULL, NULL),
	('customer.contacts', 8, 'domain', 'nobody', false, '{ДоменноеИмяСервера}', NULL, NULL),
	-- what they hold in XML and JSON is of the value before: 1C makes them of the presentation
	('customer.contacts', 9, 'values', 'nobody', false, '{ЗначенияПолей}', NULL, NULL),
	('customer.contacts', 10, 'value', 'nobody', false, '{Значение}', NULL, NULL),
	('card', 1, 'description', 'site', true, '{Description}', NULL, NULL),
	('card', 2, 'barcode', 'site', true, '{КодКартыШтрихкод,Штрихкод}', NULL, NULL),
	('card', 3, 'magnetic_code', 'site', false, '{КодКартыМагнитный,МагнитныйКод}', NULL, NULL),
	('card', 4, 'owner', 'nobody', true, '{ВладелецКарты_Key,ВладелецКарты,Контрагент_Key}',
	 'Catalog_Контрагенты', NULL),
	('card', 5, 'card_kind', 'shop', true, '{ВидДисконтнойКарты_Key,Owner_Key}',
	 'Catalog_ВидыДисконтныхКарт', NULL),
	('card', 6, 'program', 'shop', false, '{БонуснаяПрограмма_Key}', 'Catalog_БонусныеПрограммы', NULL),
	('card', 7, 'comment', 'site', false, '{Комментарий}', NULL, NULL),
	('points', 1, 'date', 'nobody', true, '{Date}', NULL, NULL),
	('points', 2, 'organization', 'shop', false, '{Организация_Key}', 'Catalog_Организации', NULL),
	('points', 3, 'program', 'shop', true, '{БонуснаяПрограмма_Key}', 'Catalog_БонусныеПрограммы', NULL),
	('points', 4, 'comment', 'site', false, '{Комментарий}', NULL, NULL),
	('points', 5, 'accruals', 'nobody', true, '{НачисленияБонусов}', NULL, NULL),
	('points.accruals', 1, 'card', 'nobody', true, '{БонуснаяКарта_Key,ДисконтнаяКарта_Key}',
	 'Catalog_ДисконтныеКарты', NULL),
	('points.accruals', 2, 'points', 'nobody', true, '{Количество}', NULL, NULL),
	('points.accruals', 3, 'granted_at', 'nobody', false, '{ДатаНачисления}', NULL, NULL),
	('points.accruals', 4, 'expires_at', 'nobody', false, '{ДатаСгорания}', NULL, NULL),
	('points.accruals', 5, 'analytics', 'shop', false,
	 '{АналитикаНачисленияБонусов_Key,АналитикаНачисленияБонусов}', 'Catalog_АналитикаНачисленияБонусов',
	 NULL),
	('order', 1, 'date', 'site', true, '{Date}', NULL, NULL),
	('order', 2, 'number', 'site', false, '{Number}', NULL, NULL),
	('order', 3, 'customer', 'site', true, '{Контрагент_Key,Контрагент}', 'Catalog_Контрагенты', NULL),
	('order', 4, 'organization', 'shop', true, '{Организация_Key,Организация}', 'Catalog_Организации', NULL),
	('order', 5, 'operation_kind', 'shop', true, '{ВидОперации}', NULL, NULL),
	('order', 6, 'operation', 'shop', true, '{ХозяйственнаяОперация_Key}', 'Catalog_ХозяйственныеОперации',
	 NULL),
	('order', 7, 'price_kind', 'shop', true, '{ВидЦен_Key}', 'Catalog_ВидыЦен', NULL),
	('order', 8, 'currency', 'shop', true, '{ВалютаДокумента_Key}', 'Catalog_Валюты', NULL),
	('order', 9, 'rate', 'shop', false, '{Курс}', NULL, '1'),
	('order', 10, 'multiplicity', 'shop', false, '{Кратность}', NULL, '1'),
	('order', 11, 'store', 'shop', true, '{СтруктурнаяЕдиницаПродажи_Key,Склад_Key}',
	 'Catalog_СтруктурныеЕдиницы', NULL),
	('order', 12, 'reserve_store', 'shop', true, '{СтруктурнаяЕдиницаРезерв_Key}',
	 'Catalog_СтруктурныеЕдиницы', NULL),
	('order', 13, 'taxation', 'shop', true, '{НалогообложениеНДС}', NULL, NULL),
	('order', 14, 'includes_vat', 'shop', true, '{СуммаВключаетНДС}', NULL, NULL),
	('order', 15, 'contract', 'site', false, '{Договор_Key}', 'Catalog_ДоговорыКонтрагентов', NULL),
	('order', 16, 'ship_at', 'site', false, '{ДатаОтгрузки}', NULL, NULL),
	('order', 17, 'state', 'site', false, '{СостояниеЗаказа_Key,СостояниеЗаказа}',
	 'Catalog_СостоянияЗаказовПокупателей', NULL),
	('order', 18, 'comment', 'site', false, '{Комментарий}', NULL, NULL),
	('order', 19, 'amount', 'nobody', false, '{СуммаДокумента}', NULL, NULL),
	('order', 20, 'lines', 'nobody', true, '{Запасы,Товары}', NULL, NULL),
	('order.lines', 1, 'link', 'nobody', false, '{КлючСвязи}', NULL, NULL),
	('order.lines', 2, 'is_stock', 'shop', false, '{ТипНоменклатурыЗапас}', NULL, 'true'),
	('order.lines', 3, 'product', 'site', true, '{Номенклатура_Key,Номенклатура}', 'Catalog_Номенклатура',
	 NULL),
	('order.lines', 4, 'variant', 'site', false, '{Характеристика_Key,Характеристика}',
	 'Catalog_ХарактеристикиНоменклатуры', NULL),
	('order.lines', 5, 'unit', 'shop', true, '{ЕдиницаИзмерения_Key,ЕдиницаИзмерения}',
	 'Catalog_КлассификаторЕдиницИзмерения', NULL),
	('order.lines', 6, 'quantity', 'site', true, '{Количество}', NULL, NULL),
	('order.lines', 7, 'price', 'site', true, '{Цена}', NULL, NULL),
	('order.lines', 8, 'amount', 'nobody', false, '{Сумма}', NULL, NULL),
	('order.lines', 9, 'discount_percent', 'site', false, '{ПроцентСкидкиНаценки}', NULL, NULL),
	('order.lines', 10, 'discount', 'site', false, '{СуммаСкидкиНаценки}', NULL, NULL),
	('order.lines', 11, 'total', 'nobody', false, '{Всего}', NULL, NULL),
	('order.lines', 12, 'vat_rate', 'shop', true, '{СтавкаНДС_Key,СтавкаНДС}', 'Catalog_СтавкиНДС', NULL),
	('order.lines', 13, 'vat_percent', 'shop', false, '{}', NULL, NULL),
	('order.lines', 14, 'vat_amount', 'nobody', false, '{СуммаНДС}', NULL, NULL),
	('order.lines', 15, 'line_store', 'nobody', false, '{СтруктурнаяЕдиницаРезерв_Key,Склад_Key}',
	 'Catalog_СтруктурныеЕдиницы', NULL);

CREATE TABLE onec.write_default (
	server name NOT NULL,
	entity_set text NOT NULL,
	field text NOT NULL,
	value jsonb NOT NULL,
	type_name text,
	PRIMARY KEY (server, entity_set, field)
);
COMMENT ON TABLE onec.write_default IS
	'Что магазин пишет в свои документы, если сайт не сказал иного: организация, вид цен, склад и прочее; '
	'предлагает onec.setup_write, задаёт onec.set_write_default';
COMMENT ON COLUMN onec.write_default.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.write_default.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec.write_default.field IS 'Поле onec.write_field';
COMMENT ON COLUMN onec.write_default.value IS 'Значение';
COMMENT ON COLUMN onec.write_default.type_name IS
	'Вид объекта, на который ссылается значение, если он другой, чем в onec.write_field';
SELECT pg_catalog.pg_extension_config_dump('onec.write_default', '');

-- The set of an object, or of the object whose rows are meant.
CREATE FUNCTION onec_internal.write_set(server name, object text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT ltrim(onec.get(w.endpoint, $1), '/') FROM onec.write_object w
			WHERE w.object = split_part($2, '.', 1));
COMMENT ON FUNCTION onec_internal.write_set(name, text) IS 'Набор 1С объекта, который пишет сайт (служебная)';

-- The property of a field in what a base publishes; NULL: it publishes none.
CREATE FUNCTION onec_internal.property_of(server name, entity_set text, part text,
										  candidates text[]) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT p.property FROM unnest($4) WITH ORDINALITY c (name, n)
			JOIN onec_internal.outbox_property p
				ON p.server = $1 AND p.entity_set = $2 AND p.part = $3 AND p.property = c.name
			ORDER BY c.n LIMIT 1);
COMMENT ON FUNCTION onec_internal.property_of(name, text, text, text[]) IS
	'Свойство, которым поле стало в этой базе (служебная)';

-- The tabular part of "order.lines"; '' for an object itself, NULL where the base has no such part.
CREATE FUNCTION onec_internal.part_of_object(server name, object text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN position('.' IN $2) = 0 THEN '' ELSE (
		SELECT onec_internal.property_of($1, onec_internal.write_set($1, $2), '', f.candidates)
		FROM onec.write_field f
		WHERE f.object = split_part($2, '.', 1) AND f.field = split_part($2, '.', 2)) END;
COMMENT ON FUNCTION onec_internal.part_of_object(name, text) IS
	'Табличная часть, строками которой объект стал в этой базе (служебная)';

-- The fields of an object as this base has them.  "is_mixed": the property may be of several types, and is
-- told which; "value" is what the shop says where the site is silent.
CREATE FUNCTION onec_internal.write_fields(server name, object text)
	RETURNS TABLE (ordinal int, field text, said_by text, is_required boolean, property text, edm_type text,
				   is_mixed boolean, type_name text, value jsonb)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.ordinal, f.field, f.said_by, f.is_required AND (p.property IS NOT NULL OR f.candidates = '{}'),
		   p.property, p.edm_type, p.edm_type = 'Composite',
		   'StandardODATA.' || coalesce(d.type_name, f.type_name), coalesce(d.value, f.initial)
	FROM onec.write_field f
	CROSS JOIN (SELECT onec_internal.write_set($1, $2) AS entity_set,
					   onec_internal.part_of_object($1, $2) AS part OFFSET 0) o
	LEFT JOIN onec_internal.outbox_property p
		ON p.server = $1 AND p.entity_set = o.entity_set AND p.part = o.part
		AND p.property = onec_internal.property_of($1, o.entity_set, o.part, f.candidates)
	LEFT JOIN onec.write_default d
		ON d.server = $1 AND d.entity_set = o.entity_set AND d.field = f.field AND f.said_by = 'shop'
	WHERE f.object = $2
$$;
COMMENT ON FUNCTION onec_internal.write_fields(name, text) IS
	'Поля объекта, какими они стали в этой базе, и что говорит магазин (служебная)';

-- What a call lacks, by name; "line": in which row.
CREATE FUNCTION onec_internal.refuse_missing(server name, object text, field text,
											 line bigint) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	told text := concat(format('%s needs a value for "%s"', split_part(object, '.', 1), field),
						' (line ' || line || ')');
	f record;
BEGIN
	SELECT w.said_by, concat(format('"%s" of server "%s" has no default for it',
									onec_internal.write_set(server, object), server),
							 ' (property "' || w.property || '")', '.') AS detail
	INTO f FROM onec_internal.write_fields(server, object) w WHERE w.field = refuse_missing.field;
	IF f.said_by = 'shop' THEN
		RAISE not_null_violation USING MESSAGE = told, DETAIL = f.detail,
			HINT = format('SELECT statement FROM onec.setup_write(%L); proposes defaults from the newest '
						  'documents of the base.', server);
	END IF;
	RAISE not_null_violation USING MESSAGE = told, HINT = 'The site says it.';
END $$;
COMMENT ON FUNCTION onec_internal.refuse_missing(name, text, text, bigint) IS
	'Отказать: полю нет значения (служебная)';

-- What the shop says for one field; NULL: nothing.
CREATE FUNCTION onec_internal.shop_says(server name, object text, field text) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT f.value FROM onec_internal.write_fields($1, $2) f WHERE f.field = $3);
COMMENT ON FUNCTION onec_internal.shop_says(name, text, text) IS
	'Значение поля, которое задал магазин (служебная)';

-- The same, or a refusal by name: of what is needed to work something out.
CREATE FUNCTION onec_internal.shop_must_say(server name, object text, field text) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	value jsonb := onec_internal.shop_says(server, object, field);
BEGIN
	IF value IS NULL THEN
		PERFORM onec_internal.refuse_missing(server, object, field, NULL);
	END IF;
	RETURN value;
END $$;
COMMENT ON FUNCTION onec_internal.shop_must_say(name, text, text) IS
	'Значение поля, которое задал магазин, иначе ошибка (служебная)';

-- Set what the shop says; NULL: nothing any more.
CREATE FUNCTION onec.set_write_default(server name, entity_set text, field text, value jsonb,
									   type_name text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	fault text;
BEGIN
	PERFORM onec_internal.must_write('set_write_default');
	PERFORM onec_internal.checked_word('entity set that a site writes', entity_set, ARRAY(
		SELECT onec_internal.write_set(srv, w.object) FROM onec.write_object w ORDER BY 1));
	PERFORM onec_internal.checked_word('field with a default', field, ARRAY(
		SELECT f.field FROM onec.write_field f
		WHERE f.said_by = 'shop' AND onec_internal.write_set(srv, f.object) = entity_set ORDER BY 1));
	IF jsonb_typeof(value) = 'null' OR value IS NULL THEN
		DELETE FROM onec.write_default d
		WHERE d.server = srv AND d.entity_set = set_write_default.entity_set
			AND d.field = set_write_default.field;
		RETURN;
	END IF;
	SELECT onec_internal.value_fault(w.edm_type, set_write_default.value, w.type_name) INTO fault
	FROM onec.write_field f
	CROSS JOIN LATERAL onec_internal.write_fields(srv, f.object) w
	WHERE f.field = set_write_default.field AND w.field = f.field AND w.property IS NOT NULL
	  AND onec_internal.write_set(srv, f.object) = set_write_default.entity_set;
	IF fault IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid default for "%s" of "%s": it %s', field, entity_set, fault);
	END IF;
	INSERT INTO onec.write_default AS d (server, entity_set, field, value, type_name)
	VALUES (srv, set_write_default.entity_set, set_write_default.field, set_write_default.value,
			set_write_default.type_name)
	ON CONFLICT ON CONSTRAINT write_default_pkey
		DO UPDATE SET value = excluded.value, type_name = excluded.type_name;
END $$;
COMMENT ON FUNCTION onec.set_write_default(name, text, text, jsonb, text) IS
	'Задать, что магазин пишет в поле, если сайт молчит (NULL — убрать)';
REVOKE EXECUTE ON FUNCTION onec.set_write_default(name, text, text, jsonb, text) FROM PUBLIC;
