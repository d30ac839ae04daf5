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
ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('stock.enabled', 'bool', 'false', NULL, NULL, NULL, 'Читать остатки и резервы товаров', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('prices.enabled', 'bool', 'false', NULL, NULL, NULL, 'Читать цены товаров', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('prices.history', 'bool', 'false', NULL, NULL, NULL, 'Читать и прежние цены товаров', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('product_cards.enabled', 'bool', 'false', NULL, NULL, NULL,
	 'Читать характеристики, дополнительные реквизиты, единицы и ставки НДС товаров', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

-- by hand: table onec.target
ALTER TABLE onec.target ADD function text CHECK (function IN ('Balance', 'SliceLast')), ADD other_sets text[],
	ADD CHECK (function IS NULL OR source = 'set' AND date_column IS NULL);
--   +	function text CHECK (function IN ('Balance', 'SliceLast')),
--   +	other_sets text[],
--   -	CHECK (purge = 'none' OR date_column IS NOT NULL)
--   +	CHECK (purge = 'none' OR date_column IS NOT NULL),
--   +	CHECK (function IS NULL OR source = 'set' AND date_column IS NULL)

COMMENT ON COLUMN onec.target.function IS
	'Виртуальная таблица регистра, из которой читается: Balance — остатки, складываются по ключу; '
	'SliceLast — последние значения на сейчас; NULL — сам набор';

COMMENT ON COLUMN onec.target.other_sets IS
	'Под какими ещё именами базы публикуют этот набор: берётся первое опубликованное';

ALTER TABLE onec.target DISABLE TRIGGER keep_edit;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('stock', 18, 'stock', 'Остатки товаров', 'set', 'AccumulationRegister_ЗапасыНаСкладах', 'stock',
	 '{product_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'stock.enabled', 'Balance',
		'{AccumulationRegister_ТоварыНаСкладах,AccumulationRegister_СвободныеОстатки,AccumulationRegister_Запасы}', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('unit', 20, 'product_cards', 'Единицы измерения', 'set', 'Catalog_КлассификаторЕдиницИзмерения', 'unit',
	 '{unit_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL,
		'{Catalog_УпаковкиЕдиницыИзмерения,Catalog_ЕдиницыИзмерения}', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('vat_rate', 21, 'product_cards', 'Ставки НДС', 'set', 'Catalog_СтавкиНДС', 'vat_rate', '{vat_rate_id}',
	 NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('product_variant', 22, 'product_cards', 'Характеристики товаров', 'set',
	 'Catalog_ХарактеристикиНоменклатуры', 'product_variant', '{variant_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('property_name', 23, 'product_cards', 'Дополнительные реквизиты', 'set',
	 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'property_name', '{property_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('property_value', 24, 'product_cards', 'Значения дополнительных реквизитов', 'set',
	 'Catalog_ЗначенияСвойствОбъектов', 'property_value', '{value_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('product_property', 25, 'product_cards', 'Дополнительные реквизиты товаров', 'set',
	 'Catalog_Номенклатура_ДополнительныеРеквизиты', 'product_property', '{product_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('currency', 26, 'prices', 'Валюты', 'set', 'Catalog_Валюты', 'currency', '{currency_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'prices.enabled', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('price_kind', 27, 'prices', 'Виды цен', 'set', 'Catalog_ВидыЦен', 'price_kind', '{kind_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'prices.enabled', NULL, '{Catalog_ТипыЦенНоменклатуры}', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('price', 28, 'prices', 'Цены товаров', 'set', 'InformationRegister_ЦеныНоменклатуры', 'price',
	 '{product_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'prices.enabled', 'SliceLast',
		'{InformationRegister_ЦеныНоменклатуры_RecordType}', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets, is_seed) VALUES ('price_history', 29, 'prices', 'История цен товаров', 'set', 'InformationRegister_ЦеныНоменклатуры',
	 'price_history', '{product_id,variant_id,kind_id,since}', 'since',
		false, '{}', 'none', 'none', '{}', true, 'prices.history', NULL,
		'{InformationRegister_ЦеныНоменклатуры_RecordType}', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.target ENABLE ALWAYS TRIGGER keep_edit;

ALTER TABLE onec.target DISABLE TRIGGER keep_edit;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_schema, table_name, unit,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, is_seed) VALUES ('stock_reserved', 19, 'stock', 'Резервы товаров', 'set', '', 'onec_internal', 'stock_reserved',
	 '{product_id}',
		false, '{}', 'none', 'none', '{}', false, 'stock.enabled', 'Balance', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.target ENABLE ALWAYS TRIGGER keep_edit;

CREATE FUNCTION onec_internal.sets_to_try(server name, target text) RETURNS text[]
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT onec_internal.entity_set_of($1, $2)
			|| CASE WHEN EXISTS (SELECT FROM onec.config c
								 WHERE c.key = 'endpoint.' || t.target AND c.server IN ($1, ''))
					THEN '{}' ELSE t.other_sets END
		FROM onec.target t WHERE t.target = $2;
	END;

COMMENT ON FUNCTION onec_internal.sets_to_try(name, text) IS
	'Наборы 1С, среди которых ищется опубликованный (служебная)';

-- by hand: table onec.product
ALTER TABLE onec.product ADD full_name text, ADD barcode text, ADD description text, ADD unit_id uuid, ADD vat text;
--   +	full_name text,
--   +	barcode text,
--   +	description text,
--   +	unit_id uuid,
--   +	vat text,

COMMENT ON COLUMN onec.product.full_name IS 'Полное наименование';

COMMENT ON COLUMN onec.product.barcode IS 'Штрихкод';

COMMENT ON COLUMN onec.product.description IS 'Описание';

COMMENT ON COLUMN onec.product.unit_id IS 'Единица измерения';

COMMENT ON COLUMN onec.product.vat IS
	'Ставка НДС: ссылка на неё или, если у товара перечисление, её вид — Общая, Пониженная';

CREATE TABLE onec.unit (
	server name NOT NULL,
	unit_id uuid NOT NULL,
	code text,
	name text,
	full_name text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, unit_id)
);

COMMENT ON TABLE onec.unit IS 'Единицы измерения';

COMMENT ON COLUMN onec.unit.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.unit.unit_id IS 'Ссылка на единицу в 1С';

COMMENT ON COLUMN onec.unit.code IS 'Код';

COMMENT ON COLUMN onec.unit.name IS 'Наименование';

COMMENT ON COLUMN onec.unit.full_name IS 'Полное наименование';

COMMENT ON COLUMN onec.unit.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.unit.is_deleted IS 'В 1С единицы больше нет';

CREATE TABLE onec.vat_rate (
	server name NOT NULL,
	vat_rate_id uuid NOT NULL,
	name text,
	rate numeric,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, vat_rate_id)
);

COMMENT ON TABLE onec.vat_rate IS 'Ставки НДС';

COMMENT ON COLUMN onec.vat_rate.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.vat_rate.vat_rate_id IS 'Ссылка на ставку в 1С';

COMMENT ON COLUMN onec.vat_rate.name IS 'Наименование';

COMMENT ON COLUMN onec.vat_rate.rate IS 'Ставка, процентов';

COMMENT ON COLUMN onec.vat_rate.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.vat_rate.is_deleted IS 'В 1С ставки больше нет';

CREATE TABLE onec.product_variant (
	server name NOT NULL,
	variant_id uuid NOT NULL,
	product_id uuid,
	code text,
	name text,
	print_name text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, variant_id)
);

CREATE INDEX product_variant_product ON onec.product_variant (server, product_id);

COMMENT ON TABLE onec.product_variant IS 'Характеристики товаров';

COMMENT ON COLUMN onec.product_variant.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.product_variant.variant_id IS 'Ссылка на характеристику в 1С';

COMMENT ON COLUMN onec.product_variant.product_id IS
	'Товар; или категория, если характеристика у всех её товаров';

COMMENT ON COLUMN onec.product_variant.code IS 'Код';

COMMENT ON COLUMN onec.product_variant.name IS 'Наименование';

COMMENT ON COLUMN onec.product_variant.print_name IS 'Наименование для печати';

COMMENT ON COLUMN onec.product_variant.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.product_variant.is_deleted IS 'В 1С характеристики больше нет';

CREATE TABLE onec.property_name (
	server name NOT NULL,
	property_id uuid NOT NULL,
	name text,
	title text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, property_id)
);

COMMENT ON TABLE onec.property_name IS 'Дополнительные реквизиты: какие бывают';

COMMENT ON COLUMN onec.property_name.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.property_name.property_id IS 'Ссылка на реквизит в 1С';

COMMENT ON COLUMN onec.property_name.name IS 'Наименование';

COMMENT ON COLUMN onec.property_name.title IS 'Заголовок, как его видят люди';

COMMENT ON COLUMN onec.property_name.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.property_name.is_deleted IS 'В 1С реквизита больше нет';

CREATE TABLE onec.property_value (
	server name NOT NULL,
	value_id uuid NOT NULL,
	property_id uuid,
	name text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, value_id)
);

COMMENT ON TABLE onec.property_value IS 'Значения дополнительных реквизитов';

COMMENT ON COLUMN onec.property_value.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.property_value.value_id IS 'Ссылка на значение в 1С';

COMMENT ON COLUMN onec.property_value.property_id IS 'Реквизит';

COMMENT ON COLUMN onec.property_value.name IS 'Наименование';

COMMENT ON COLUMN onec.property_value.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.property_value.is_deleted IS 'В 1С значения больше нет';

CREATE TABLE onec.currency (
	server name NOT NULL,
	currency_id uuid NOT NULL,
	code text,
	name text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, currency_id)
);

COMMENT ON TABLE onec.currency IS 'Валюты';

COMMENT ON COLUMN onec.currency.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.currency.currency_id IS 'Ссылка на валюту в 1С';

COMMENT ON COLUMN onec.currency.code IS 'Код: 643';

COMMENT ON COLUMN onec.currency.name IS 'Обозначение: RUB';

COMMENT ON COLUMN onec.currency.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.currency.is_deleted IS 'В 1С валюты больше нет';

CREATE TABLE onec.price_kind (
	server name NOT NULL,
	kind_id uuid NOT NULL,
	code text,
	name text,
	currency_id uuid,
	with_vat boolean,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, kind_id)
);

COMMENT ON TABLE onec.price_kind IS 'Виды цен';

COMMENT ON COLUMN onec.price_kind.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.price_kind.kind_id IS 'Ссылка на вид цен в 1С';

COMMENT ON COLUMN onec.price_kind.code IS 'Код';

COMMENT ON COLUMN onec.price_kind.name IS 'Наименование';

COMMENT ON COLUMN onec.price_kind.currency_id IS 'Валюта цен этого вида';

COMMENT ON COLUMN onec.price_kind.with_vat IS 'Цена включает НДС';

COMMENT ON COLUMN onec.price_kind.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.price_kind.is_deleted IS 'В 1С вида цен больше нет';

CREATE TABLE onec_internal.product_property (
	server name NOT NULL,
	product_id uuid NOT NULL,
	line_no bigint NOT NULL,
	property_id uuid,
	value text,
	value_type text,
	long_text text,
	copy smallint NOT NULL DEFAULT 0,
	PRIMARY KEY (server, product_id, line_no, copy)
);

CREATE TABLE onec_internal.price (
	server name NOT NULL,
	product_id uuid NOT NULL,
	variant_id uuid NOT NULL,
	kind_id uuid NOT NULL,
	since timestamp,
	price numeric,
	currency_id uuid,
	is_actual boolean,
	PRIMARY KEY (server, product_id, variant_id, kind_id)
);

CREATE TABLE onec_internal.price_history (
	since timestamp NOT NULL,
	server smallint NOT NULL,
	is_actual boolean,
	product_id uuid NOT NULL,
	variant_id uuid NOT NULL,
	kind_id uuid NOT NULL,
	currency_id uuid,
	price numeric,
	PRIMARY KEY (server, product_id, variant_id, kind_id, since)
);

CREATE INDEX price_history_since ON onec_internal.price_history (since, server);

CREATE TABLE onec_internal.stock (
	server name NOT NULL,
	product_id uuid NOT NULL,
	variant_id uuid NOT NULL,
	store_id uuid NOT NULL,
	on_hand numeric,
	PRIMARY KEY (server, product_id, variant_id, store_id)
);

CREATE TABLE onec_internal.stock_reserved (
	server name NOT NULL,
	product_id uuid NOT NULL,
	variant_id uuid NOT NULL,
	store_id uuid NOT NULL,
	reserved numeric,
	PRIMARY KEY (server, product_id, variant_id, store_id)
);

COMMENT ON TABLE onec_internal.stock_reserved IS
	'Резервы товаров: хранение; читайте представление onec.stock';

COMMENT ON COLUMN onec_internal.stock_reserved.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.stock_reserved.product_id IS 'Товар';

COMMENT ON COLUMN onec_internal.stock_reserved.variant_id IS 'Характеристика товара; нули — без неё';

COMMENT ON COLUMN onec_internal.stock_reserved.store_id IS 'Склад; нули — без него';

COMMENT ON COLUMN onec_internal.stock_reserved.reserved IS 'В резерве';

SELECT pg_catalog.pg_extension_config_dump('onec.unit', '');

SELECT pg_catalog.pg_extension_config_dump('onec.vat_rate', '');

SELECT pg_catalog.pg_extension_config_dump('onec.product_variant', '');

SELECT pg_catalog.pg_extension_config_dump('onec.property_name', '');

SELECT pg_catalog.pg_extension_config_dump('onec.property_value', '');

SELECT pg_catalog.pg_extension_config_dump('onec.currency', '');

SELECT pg_catalog.pg_extension_config_dump('onec.price_kind', '');

SELECT pg_catalog.pg_extension_config_dump('onec_internal.product_property', '');

SELECT pg_catalog.pg_extension_config_dump('onec_internal.price', '');

SELECT pg_catalog.pg_extension_config_dump('onec_internal.price_history', '');

SELECT pg_catalog.pg_extension_config_dump('onec_internal.stock', '');

SELECT pg_catalog.pg_extension_config_dump('onec_internal.stock_reserved', '');

ALTER TABLE onec.field_source DISABLE TRIGGER keep_edit;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product', 10, 'full_name', 'text', '{НаименованиеПолное}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product', 11, 'barcode', 'text', '{Штрихкод}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product', 12, 'description', 'text', '{Описание,ОписаниеДляСайта}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product', 13, 'unit_id', 'ref', '{ЕдиницаИзмерения_Key,ЕдиницаИзмерения,БазоваяЕдиницаИзмерения_Key}',
	 false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product', 14, 'vat', 'text', '{СтавкаНДС_Key,ВидСтавкиНДС,СтавкаНДС}', false, true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.field_source ENABLE ALWAYS TRIGGER keep_edit;

ALTER TABLE onec.field_source DISABLE TRIGGER keep_edit;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock', 3, 'store_id', 'ref', '{СтруктурнаяЕдиница_Key,Склад_Key,СтруктурнаяЕдиница,Склад}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock', 4, 'on_hand', 'numeric', '{КоличествоBalance,ВНаличииBalance}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock_reserved', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock_reserved', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock_reserved', 3, 'store_id', 'ref', '{СтруктурнаяЕдиница_Key,Склад_Key,СтруктурнаяЕдиница,Склад}',
	 false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stock_reserved', 4, 'reserved', 'numeric',
	 '{ВРезервеBalance,ВРезервеСоСкладаBalance,РезервBalance,КоличествоBalance}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('unit', 1, 'unit_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('unit', 2, 'code', 'text', '{Code}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('unit', 3, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('unit', 4, 'full_name', 'text', '{НаименованиеПолное}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('unit', 5, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('vat_rate', 1, 'vat_rate_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('vat_rate', 2, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('vat_rate', 3, 'rate', 'numeric', '{Ставка}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('vat_rate', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_variant', 1, 'variant_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_variant', 2, 'product_id', 'ref', '{Owner_Key,Owner}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_variant', 3, 'code', 'text', '{Code}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_variant', 4, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_variant', 5, 'print_name', 'text', '{НаименованиеДляПечати,НаименованиеПолное}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_variant', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_name', 1, 'property_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_name', 2, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_name', 3, 'title', 'text', '{Заголовок}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_name', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_value', 1, 'value_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_value', 2, 'property_id', 'ref', '{Owner_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_value', 3, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('property_value', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_property', 1, 'product_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_property', 2, 'line_no', 'bigint', '{LineNumber}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_property', 3, 'property_id', 'ref', '{Свойство_Key,Свойство}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_property', 4, 'value', 'text', '{Значение}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_property', 5, 'value_type', 'type', '{Значение_Type}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_property', 6, 'long_text', 'text', '{ТекстоваяСтрока}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('currency', 1, 'currency_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('currency', 2, 'code', 'text', '{Code}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('currency', 3, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('currency', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_kind', 1, 'kind_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_kind', 2, 'code', 'text', '{Code}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_kind', 3, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_kind', 4, 'currency_id', 'ref', '{ВалютаЦены_Key,Валюта_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_kind', 5, 'with_vat', 'boolean', '{ЦенаВключаетНДС}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_kind', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 3, 'kind_id', 'ref', '{ВидЦен_Key,ВидЦены_Key,ТипЦен_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 4, 'since', 'timestamp', '{Period}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 5, 'price', 'numeric', '{Цена}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 6, 'currency_id', 'ref', '{Валюта_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price', 7, 'is_actual', 'boolean', '{Актуальность}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 3, 'kind_id', 'ref', '{ВидЦен_Key,ВидЦены_Key,ТипЦен_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 4, 'since', 'timestamp', '{Period}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 5, 'price', 'numeric', '{Цена}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 6, 'currency_id', 'ref', '{Валюта_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('price_history', 7, 'is_actual', 'boolean', '{Актуальность}', false, true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.field_source ENABLE ALWAYS TRIGGER keep_edit;

CREATE FUNCTION onec_internal.is_part_of_key(target text, field name) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_index i
				   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
				   WHERE i.indrelid = onec_internal.table_of_target(target)::regclass AND i.indisprimary
					 AND a.attname = field);
END $$;

COMMENT ON FUNCTION onec_internal.is_part_of_key(text, name) IS
	'Входит ли поле в ключ местной таблицы (служебная)';

CREATE FUNCTION onec_internal.create_function_table(server name, target text, register text, OUT status text,
													OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	answer text := register || '_' || t.function;
	arguments onec_internal.made_column[];
BEGIN
	BEGIN
		arguments := ARRAY(
			SELECT ROW(p.local_name, p.pg_type, ARRAY['argument=' || p.property, 'edm_type=' || p.edm_type],
					   p.property)::onec_internal.made_column
			FROM onec.properties(server, answer) p
			WHERE p.local_name IN ('period_arg', 'dimensions_arg') ORDER BY p.ordinal);
	EXCEPTION WHEN fdw_table_not_found THEN
		status := 'no function ' || t.function;
		changes := onec_internal.drop_made_by_setup(server, target, t.title);
		RETURN;
	END;
	status := (SELECT 'no property for ' || string_agg(r.field, ', ' ORDER BY r.ordinal)
			   FROM onec_internal.resolved_fields(server, target, answer) r
			   WHERE r.property IS NULL AND r.is_key);
	IF status IS NULL THEN
		changes := onec_internal.make_table(server, target, t.title, register || '/' || t.function,
			ARRAY['entity_set=' || register, 'function=' || t.function, 'dimensions=' || (
				SELECT string_agg(r.property, ',' ORDER BY r.ordinal)
				FROM onec_internal.resolved_fields(server, target, answer) r
				WHERE onec_internal.is_part_of_key(target, r.field))],
			onec_internal.columns_to_make(server, target, answer) || arguments);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.create_function_table(name, text, text) IS
	'Создать внешнюю таблицу для виртуальной таблицы регистра или изменить её (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.set_up_target(server name, target text, published text, key text, nested text,
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
	ELSIF published IS NOT NULL AND (onec_internal.target_named(target)).function IS NOT NULL THEN
		SELECT * INTO w FROM onec_internal.create_function_table(server, target, published);
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

CREATE OR REPLACE FUNCTION onec.setup(server name DEFAULT NULL)
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
		SELECT DISTINCT ON (d.target) d.target, d.wanted[1] AS wanted, s.entity_set, s.key,
			   n.entity_set AS nested
		FROM (SELECT k.target, onec_internal.sets_to_try(srv, k.target) AS wanted
			  FROM onec_internal.sync_steps(srv, NULL) k WHERE k.source = 'set') d
		LEFT JOIN onec.entity_sets(srv) s ON s.entity_set = ANY (d.wanted)
		LEFT JOIN onec.entity_sets(srv) n ON s.entity_set IS NULL AND d.wanted[1] ~ '_RecordType$'
			AND n.entity_set = left(d.wanted[1], -11)
		-- of what has no name nothing is told, but what was made when it had one goes
		WHERE d.wanted[1] <> '' OR to_regclass(format('%I.%I', srv, d.target)) IS NOT NULL
		ORDER BY d.target, array_position(d.wanted, s.entity_set)
	LOOP
		target := t.target;
		entity_set := coalesce(t.nested, t.entity_set, t.wanted);
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

CREATE OR REPLACE FUNCTION onec.diagnose(server name DEFAULT NULL)
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
	-- what is switched off is nobody's trouble, and a register's balances are long in coming
	FOR v IN
		SELECT k.target FROM onec_internal.sync_steps(srv, NULL) k
		WHERE k.source = 'set' AND k.entity_set <> '' AND k.function IS NULL
		  AND (k.switch IS NULL OR onec.get(k.switch, srv)::boolean)
		ORDER BY 1
	LOOP
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

-- by hand: table onec.sync_state
ALTER TABLE onec.sync_state ADD as_of timestamptz;
--   +	as_of timestamptz,

COMMENT ON COLUMN onec.sync_state.as_of IS
	'На какой момент таблица равна 1С: когда началось последнее полное прочтение';

CREATE FUNCTION onec_internal.function_arguments(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation regclass := to_regclass(format('%I.%I', server, target));
BEGIN
	RETURN (SELECT string_agg(format('f.%I = %L::%s', a.attname, v.value, a.atttypid::regtype), ' AND ')
			FROM onec.target t
			CROSS JOIN LATERAL (VALUES
				('Balance', 'dimensions_arg', (
					SELECT regexp_replace(o.option_value, '_Key(?=,|$)', '', 'g') FROM pg_foreign_table r
					CROSS JOIN LATERAL pg_options_to_table(r.ftoptions) o
					WHERE r.ftrelid = relation AND o.option_name = 'dimensions')),
				('SliceLast', 'period_arg', date_trunc('second',
														onec.local_now(function_arguments.server))::text))
				v (function, name, value)
			JOIN pg_attribute a ON a.attrelid = relation AND a.attname = v.name AND a.attnum > 0
			WHERE t.target = function_arguments.target AND v.function = t.function);
END $$;

COMMENT ON FUNCTION onec_internal.function_arguments(name, text) IS
	'С какими аргументами спрашивается виртуальная таблица регистра (служебная)';

CREATE FUNCTION onec_internal.no_reference() RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '00000000-0000-0000-0000-000000000000'::uuid;

COMMENT ON FUNCTION onec_internal.no_reference() IS 'Пустая ссылка 1С (служебная)';

DROP FUNCTION onec_internal.stage_select_list;
CREATE FUNCTION onec_internal.stage_select_list(server name, target text, OUT list text, OUT grouped text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	adds boolean := (onec_internal.target_named(target)).function IS NOT DISTINCT FROM 'Balance';
BEGIN
	SELECT string_agg(format(CASE WHEN k.is_filled THEN 'coalesce(%s, onec_internal.no_reference())'
								  ELSE '%s' END,
		CASE
			WHEN a.attname IS NULL AND f.kind = 'type' THEN '''''::text'
			WHEN a.attname IS NULL THEN 'NULL::' || onec_internal.type_of_kind(f.kind)
			WHEN f.kind = 'rows' THEN onec_internal.tabular_part($1, $2, f.field)
			WHEN f.kind = 'ref' AND a.atttypid = 'text'::regtype
				THEN format('onec_internal.reference_uuid(f.%I)', f.field)
			WHEN f.kind = 'type' THEN format('onec_internal.type_word(f.%I)', f.field)
			ELSE format(CASE WHEN adds AND f.kind = 'numeric' THEN 'sum(f.%I::%s)' ELSE 'f.%I::%s' END,
						f.field, onec_internal.type_of_kind(f.kind))
		END) || format(' AS %I', f.field), ', ' ORDER BY f.ordinal),
		   'GROUP BY ' || string_agg(f.place::text, ', ' ORDER BY f.ordinal)
			   FILTER (WHERE adds AND f.kind <> 'numeric')
	INTO list, grouped
	FROM (SELECT s.*, row_number() OVER (ORDER BY s.ordinal) AS place FROM onec.field_source s
		  WHERE s.target = stage_select_list.target) f
	CROSS JOIN LATERAL (SELECT f.kind = 'ref' AND NOT f.is_key
							AND onec_internal.is_part_of_key(f.target, f.field) AS is_filled) k
	LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', server, stage_select_list.target))
		AND a.attname = f.field AND a.attnum > 0 AND NOT a.attisdropped;
END $$;

COMMENT ON FUNCTION onec_internal.stage_select_list(name, text) IS
	'Выражения, которыми строки 1С становятся местными (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.stage_rows(server name, target text, condition text, part text DEFAULT '',
										 into_table text DEFAULT 'onec_stage')
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
DECLARE
	made record;
	value record;
BEGIN
	PERFORM onec_internal.new_server_number(server);
	SELECT * INTO made FROM onec_internal.stage_columns(target);
	SELECT * INTO value FROM onec_internal.stage_select_list(server, target);
	RETURN onec_internal.fill_table(into_table, target, format(
		'SELECT %s AS server, %s FROM (SELECT %s FROM %I.%I f WHERE %s %s %s) r%s',
		onec_internal.server_in(onec_internal.table_of_target(target), server), made.list,
		value.list, server, target,
		concat_ws(' AND ', condition, onec_internal.function_arguments(server, target)), value.grouped,
		coalesce(nullif(part, ''), 'OFFSET 0'), made.joins));
END $$;

CREATE OR REPLACE FUNCTION onec_internal.begins_step(server name, target text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 = (SELECT s.target
				 FROM onec_internal.sync_steps($1, ARRAY[(onec_internal.target_named($2)).step]) s
				 WHERE onec_internal.way_of_step($1, s.target) = 'read' ORDER BY s.ordinal LIMIT 1)
$$;

CREATE OR REPLACE FUNCTION onec_internal.end_step(plan onec_internal.sync_plan, run bigint,
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
		INSERT INTO onec.sync_state AS t (server, target, complete_from, last_ok, as_of)
		VALUES (s.server, s.target,
				CASE WHEN s.days IS NULL THEN onec_internal.first_moment()
					 ELSE onec.local_now(s.server)::date - s.days END,
				clock_timestamp(), s.started_at)
		ON CONFLICT ON CONSTRAINT sync_state_pkey DO UPDATE
		SET complete_from = least(t.complete_from, excluded.complete_from), last_ok = excluded.last_ok,
			as_of = excluded.as_of;
		DELETE FROM onec_internal.sync_doubt d
		WHERE d.server = s.server AND d.target = s.target AND d.kind IN ('unproven', 'hole')
		  AND d.found_at < s.started_at;
	END IF;
END $$;

CREATE VIEW onec_internal.reserving_server AS
	SELECT s.server FROM onec_internal.known_servers s
	JOIN onec.sync_state k ON k.server = s.server AND k.target = 'stock_reserved'
	WHERE k.last_ok IS NOT NULL AND onec.get('endpoint.stock_reserved', s.server) <> '';

COMMENT ON VIEW onec_internal.reserving_server IS 'Базы, чьи резервы прочитаны (служебное)';

CREATE VIEW onec.stock AS
	SELECT s.server, s.product_id, nullif(s.variant_id, onec_internal.no_reference()) AS variant_id,
		   nullif(s.store_id, onec_internal.no_reference()) AS store_id, coalesce(s.on_hand, 0) AS on_hand,
		   CASE WHEN r.server IS NOT NULL THEN coalesce(s.reserved, 0) END AS reserved,
		   coalesce(s.on_hand, 0) - CASE WHEN r.server IS NOT NULL THEN coalesce(s.reserved, 0)
										 ELSE 0 END AS free
	FROM (SELECT u.server, u.product_id, u.variant_id, u.store_id, sum(u.on_hand) AS on_hand,
				 sum(u.reserved) AS reserved
		  FROM (SELECT h.server, h.product_id, h.variant_id, h.store_id, h.on_hand, NULL::numeric AS reserved
				FROM onec_internal.stock h
				UNION ALL
				SELECT v.server, v.product_id, v.variant_id, v.store_id, NULL, v.reserved
				FROM onec_internal.stock_reserved v) u
		  GROUP BY u.server, u.product_id, u.variant_id, u.store_id) s
	LEFT JOIN onec_internal.reserving_server r ON r.server = s.server
	WHERE s.on_hand IS NOT NULL OR r.server IS NOT NULL;

COMMENT ON VIEW onec.stock IS
	'Остатки товаров: чего здесь нет, того нет и в 1С; на какой момент — onec.sync_state.as_of';

COMMENT ON COLUMN onec.stock.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.stock.product_id IS 'Товар';

COMMENT ON COLUMN onec.stock.variant_id IS 'Характеристика товара; NULL — без неё';

COMMENT ON COLUMN onec.stock.store_id IS 'Склад; NULL — без него';

COMMENT ON COLUMN onec.stock.on_hand IS 'В наличии';

COMMENT ON COLUMN onec.stock.reserved IS 'В резерве; NULL — регистр резервов не назван';

COMMENT ON COLUMN onec.stock.free IS 'Свободно: в наличии без резерва';

CREATE VIEW onec.price AS
	SELECT p.server, p.product_id, nullif(p.variant_id, onec_internal.no_reference()) AS variant_id,
		   nullif(p.kind_id, onec_internal.no_reference()) AS kind_id, k.name AS kind, p.price,
		   c.name AS currency, p.since, p.currency_id, p.is_actual,
		   onec.moment(p.server, p.since) AS since_tz
	FROM onec_internal.price p
	LEFT JOIN onec.price_kind k ON k.server = p.server AND k.kind_id = p.kind_id
	LEFT JOIN onec.currency c
		ON c.server = p.server AND c.currency_id = coalesce(p.currency_id, k.currency_id)
	WHERE p.is_actual IS NOT FALSE;

COMMENT ON VIEW onec.price IS 'Цены товаров, которые действуют';

COMMENT ON COLUMN onec.price.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.price.product_id IS 'Товар';

COMMENT ON COLUMN onec.price.variant_id IS 'Характеристика товара; NULL — цена товара без характеристики';

COMMENT ON COLUMN onec.price.kind_id IS 'Вид цен';

COMMENT ON COLUMN onec.price.kind IS 'Название вида цен';

COMMENT ON COLUMN onec.price.price IS 'Цена';

COMMENT ON COLUMN onec.price.currency IS 'Валюта: цены, а без неё — вида цен';

COMMENT ON COLUMN onec.price.since IS 'С какого времени действует, местное для базы 1С';

COMMENT ON COLUMN onec.price.currency_id IS 'Валюта цены, если она записана в регистре';

COMMENT ON COLUMN onec.price.is_actual IS 'Актуальность в 1С; цен, снятых ею, здесь нет';

CREATE VIEW onec.price_history AS
	SELECT s.server, h.product_id, nullif(h.variant_id, onec_internal.no_reference()) AS variant_id,
		   nullif(h.kind_id, onec_internal.no_reference()) AS kind_id, h.since, h.price, h.currency_id,
		   h.is_actual, onec.moment(s.server, h.since) AS since_tz
	FROM onec_internal.price_history h JOIN onec_internal.server_number s ON s.number = h.server;

COMMENT ON VIEW onec.price_history IS 'Прежние, нынешние и будущие цены товаров, если они читаются';

COMMENT ON COLUMN onec.price_history.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.price_history.product_id IS 'Товар';

COMMENT ON COLUMN onec.price_history.variant_id IS
	'Характеристика товара; NULL — цена товара без характеристики';

COMMENT ON COLUMN onec.price_history.kind_id IS 'Вид цен';

COMMENT ON COLUMN onec.price_history.since IS 'С какого времени действует, местное для базы 1С';

COMMENT ON COLUMN onec.price_history.price IS 'Цена';

COMMENT ON COLUMN onec.price_history.currency_id IS 'Валюта цены, если она записана в регистре';

COMMENT ON COLUMN onec.price_history.is_actual IS 'Актуальность в 1С: снятая цена — ложь';

CREATE VIEW onec.product_property AS
	SELECT p.server, p.product_id, p.line_no, p.property_id,
		   coalesce(nullif(n.title, ''), n.name) AS property,
		   coalesce(v.name, nullif(p.long_text, ''), p.value) AS text, p.value, p.value_type, p.long_text,
		   p.copy
	FROM onec_internal.product_property p
	LEFT JOIN onec.property_name n ON n.server = p.server AND n.property_id = p.property_id
	LEFT JOIN onec.property_value v
		ON v.server = p.server AND v.value_id = onec_internal.reference_uuid(p.value);

COMMENT ON VIEW onec.product_property IS
	'Дополнительные реквизиты товаров с названиями реквизитов и значений';

COMMENT ON COLUMN onec.product_property.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.product_property.product_id IS 'Товар';

COMMENT ON COLUMN onec.product_property.line_no IS 'Номер строки';

COMMENT ON COLUMN onec.product_property.property_id IS 'Реквизит';

COMMENT ON COLUMN onec.product_property.property IS 'Заголовок реквизита, а без него — наименование';

COMMENT ON COLUMN onec.product_property.text IS
	'Значение, как его видят люди: название того, на что оно ссылается, длинный текст или само значение';

COMMENT ON COLUMN onec.product_property.value IS 'Значение, как его хранит 1С';

COMMENT ON COLUMN onec.product_property.value_type IS 'Вид значения';

COMMENT ON COLUMN onec.product_property.long_text IS 'Длинный текст';

COMMENT ON COLUMN onec.product_property.copy IS
	'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE FUNCTION onec_internal.stock_as_of(server name) RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN (SELECT k.as_of FROM onec.sync_state k WHERE k.server = $1 AND k.target = 'stock');

COMMENT ON FUNCTION onec_internal.stock_as_of(name) IS 'На какой момент прочитаны остатки (служебная)';

CREATE FUNCTION onec.stock_free(product uuid, variant uuid DEFAULT NULL, store uuid DEFAULT NULL,
								server name DEFAULT NULL) RETURNS numeric
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	RETURN CASE WHEN onec_internal.stock_as_of(srv) IS NOT NULL
				THEN greatest(coalesce((SELECT sum(s.free) FROM onec.stock s
										WHERE s.server = srv AND s.product_id = product
										  AND (s.variant_id = variant OR variant IS NULL)
										  AND (s.store_id = store OR store IS NULL)), 0), 0) END;
END $$;

COMMENT ON FUNCTION onec.stock_free(uuid, uuid, uuid, name) IS
	'Сколько товара свободно: всего, одной характеристики, на одном складе; 0 — нет, NULL — '
	'остатки ещё не прочитаны';

CREATE FUNCTION onec_internal.prices_json(server name, product uuid, variant uuid) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_agg(json_build_object('kind_id', p.kind_id, 'kind', p.kind, 'price', p.price,
											   'currency', p.currency,
											   'since', to_char(p.since, 'YYYY-MM-DD"T"HH24:MI:SS'))
							 ORDER BY p.kind, p.kind_id), '[]')
	FROM (SELECT DISTINCT ON (q.kind_id) q.* FROM onec.price q
		  WHERE q.server = $1 AND q.product_id = $2 AND (q.variant_id = $3 OR q.variant_id IS NULL)
		  ORDER BY q.kind_id, q.variant_id NULLS LAST) p
$$;

COMMENT ON FUNCTION onec_internal.prices_json(name, uuid, uuid) IS 'Цены товара как JSON (служебная)';

CREATE FUNCTION onec_internal.stock_json(server name, product uuid) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT json_build_object('as_of', onec_internal.stock_as_of($1), 'on_hand', coalesce(sum(s.on_hand), 0),
		'reserved', sum(s.reserved), 'free', greatest(coalesce(sum(s.free), 0), 0),
		'stores', coalesce(json_agg(json_build_object('store_id', s.store_id, 'store', s.name,
													  'on_hand', s.on_hand, 'reserved', s.reserved,
													  'free', s.free) ORDER BY s.name, s.store_id), '[]'))
	FROM (SELECT t.store_id, n.name, sum(t.on_hand) AS on_hand, sum(t.reserved) AS reserved,
				 sum(t.free) AS free
		  FROM onec.stock t LEFT JOIN onec.store n ON n.server = $1 AND n.store_id = t.store_id
		  WHERE t.server = $1 AND t.product_id = $2 GROUP BY t.store_id, n.name) s
	WHERE onec_internal.stock_as_of($1) IS NOT NULL
$$;

COMMENT ON FUNCTION onec_internal.stock_json(name, uuid) IS 'Остатки товара как JSON (служебная)';

CREATE FUNCTION onec_internal.variants_json(server name, product uuid, category uuid) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_agg(json_build_object('variant_id', v.variant_id,
			'name', coalesce(nullif(v.print_name, ''), v.name), 'code', v.code,
			'free', CASE WHEN onec_internal.stock_as_of($1) IS NOT NULL
						 THEN greatest(coalesce((SELECT sum(t.free) FROM onec.stock t
												 WHERE t.server = $1 AND t.product_id = $2
												   AND t.variant_id = v.variant_id), 0), 0) END,
			'prices', onec_internal.prices_json($1, $2, v.variant_id))
		ORDER BY v.code, v.name, v.variant_id), '[]')
	FROM onec.product_variant v
	WHERE v.server = $1 AND v.product_id IN ($2, $3) AND NOT v.is_deleted AND v.deletion_mark IS NOT TRUE
$$;

COMMENT ON FUNCTION onec_internal.variants_json(name, uuid, uuid) IS
	'Характеристики товара как JSON (служебная)';

CREATE FUNCTION onec_internal.properties_json(server name, product uuid) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_agg(json_build_object('property', p.property, 'value', p.text)
							 ORDER BY p.line_no, p.copy), '[]')
	FROM onec.product_property p WHERE p.server = $1 AND p.product_id = $2
$$;

COMMENT ON FUNCTION onec_internal.properties_json(name, uuid) IS
	'Дополнительные реквизиты товара как JSON (служебная)';

CREATE FUNCTION onec_internal.images_json(server name, product uuid) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '[]'::json
$$;

COMMENT ON FUNCTION onec_internal.images_json(name, uuid) IS 'Картинки товара как JSON (служебная)';

CREATE FUNCTION onec.product_json(product uuid, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
	srv name := onec_internal.server_meant($2);
BEGIN
	RETURN (
		SELECT json_build_object('product_id', p.product_id, 'code', p.code, 'article', p.article,
			'barcode', p.barcode, 'name', p.name, 'full_name', p.full_name, 'description', p.description,
			'category', g.slug, 'category_title', g.title, 'brand', b.name, 'unit', u.name,
			'vat', coalesce(v.name, p.vat), 'vat_rate', v.rate, 'withdrawn', g.withdrawn,
			'prices', onec_internal.prices_json(srv, p.product_id, NULL),
			'stock', onec_internal.stock_json(srv, p.product_id),
			'variants', onec_internal.variants_json(srv, p.product_id, p.category_id),
			'properties', onec_internal.properties_json(srv, p.product_id),
			'images', onec_internal.images_json(srv, p.product_id))
		FROM onec.product p
		LEFT JOIN onec_internal.goods_by_use(srv, ARRAY[$1]) g ON g.product_id = p.product_id
		LEFT JOIN onec.brand b ON b.server = srv AND b.brand_id = p.brand_id
		LEFT JOIN onec.unit u ON u.server = srv AND u.unit_id = p.unit_id
		LEFT JOIN onec.vat_rate v
			ON v.server = srv AND v.vat_rate_id = onec_internal.reference_uuid(p.vat)
		WHERE p.server = srv AND p.product_id = $1);
END $$;

COMMENT ON FUNCTION onec.product_json(uuid, name) IS
	'Товар как JSON для сайта: карточка, цены, остатки по складам, характеристики, дополнительные '
	'реквизиты; NULL — такого товара нет';

ALTER FUNCTION onec.product_json(uuid, name) SECURITY DEFINER;

ALTER FUNCTION onec.stock_free(uuid, uuid, uuid, name) SECURITY DEFINER;

REVOKE EXECUTE ON FUNCTION onec.customer_json(text, name), onec.purchases_json(text, int, int, name),
	onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date),
	onec.product_json(uuid, name), onec.stock_free(uuid, uuid, uuid, name) FROM PUBLIC;

CREATE OR REPLACE FUNCTION onec.grant_site(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.customer_json(text, name), '
				   'onec.purchases_json(text, int, int, name), '
		'onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date), '
		'onec.product_json(uuid, name), onec.stock_free(uuid, uuid, uuid, name) TO %s', role);
END $$;

COMMENT ON FUNCTION onec.grant_site(regrole) IS
	'Дать роли сайта профиль, покупки и рекомендации одного покупателя по ключу: customer_json, '
	'purchases_json, profile_json, recommend; и товар: product_json, stock_free; таблиц она не читает';

-- by hand: INSERT INTO onec.setting … FROM onec.target: rows that are made of those above
ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, description, is_seed)
	SELECT 'endpoint.' || t.target, 'text', t.entity_set, 'Набор 1С: ' || t.title, true FROM onec.target t
	WHERE t.source = 'set' AND t.server IS NULL
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

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

SELECT onec_internal.finish_script();
