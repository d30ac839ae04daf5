-- What makes onec_fdw 1.1 of 1.0, sha256 5b5b83d2aa6528b046277648ba07428a3effc10d5c2a9e91f280e404f231c600.
\echo Use "ALTER EXTENSION onec_fdw UPDATE" to load this file. \quit

CREATE FUNCTION onec_internal.server_option(server name, option text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o
			WHERE s.srvname = server AND o.option_name = option);
END $$;

COMMENT ON FUNCTION onec_internal.server_option(name, text) IS
	'Параметр сервера; NULL — не задан (служебная)';

CREATE FUNCTION onec_internal.is_live_server(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.live_servers s WHERE s.server = is_live_server.server);
END $$;

COMMENT ON FUNCTION onec_internal.is_live_server(name) IS 'Есть ли такой внешний сервер (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.server_meant(server name) RETURNS name
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	live text[];
	known text[];
	told text;
BEGIN
	IF server IS NOT NULL AND onec_internal.is_live_server(server) THEN
		RETURN server;
	END IF;
	live := ARRAY(SELECT s.server FROM onec_internal.live_servers s ORDER BY 1);
	known := live;
	IF server IS NOT NULL OR live = '{}' THEN
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

CREATE OR REPLACE FUNCTION onec_internal.live_server_meant(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	server := onec_internal.server_meant(server);
	IF NOT onec_internal.is_live_server(server) THEN
		RAISE undefined_object USING
			MESSAGE = format('server "%s" of onec_fdw does not exist any more', server),
			HINT = format('What the store has of it can be read; SELECT * FROM '
						  'onec.forget_server(%L) deletes it.', server);
	END IF;
	RETURN server;
END $$;

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

CREATE OR REPLACE FUNCTION onec.get(key text, server name DEFAULT '') RETURNS text
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

-- by hand: table onec.target
ALTER TABLE onec.target DROP CONSTRAINT target_source_check,
	ADD CONSTRAINT target_source_check CHECK (source IN ('set', 'people', 'profiles', 'files')),
	ADD function text CHECK (function IN ('Balance', 'SliceLast')), ADD other_sets text[],
	ADD CHECK (function IS NULL OR source = 'set' AND date_column IS NULL),
	ADD feeds text, ADD feed_key name, ADD CHECK ((feeds IS NULL) = (feed_key IS NULL));
--   -	source text NOT NULL CHECK (source IN ('set', 'people', 'profiles')),
--   +	source text NOT NULL CHECK (source IN ('set', 'people', 'profiles', 'files')),
--   +	function text CHECK (function IN ('Balance', 'SliceLast')),
--   +	other_sets text[],
--   +	feeds text,
--   +	feed_key name,
--   -	CHECK (purge = 'none' OR date_column IS NOT NULL)
--   +	CHECK (purge = 'none' OR date_column IS NOT NULL),
--   +	CHECK (function IS NULL OR source = 'set' AND date_column IS NULL),
--   +	CHECK ((feeds IS NULL) = (feed_key IS NULL))

COMMENT ON COLUMN onec.target.source IS
	'Откуда строки: set — набор 1С, people — из карт и контрагентов, profiles — из покупок, files — '
	'содержимое файлов, которое спрашивается по ключам, когда файл изменился';

COMMENT ON COLUMN onec.target.function IS
	'Виртуальная таблица регистра, из которой читается: Balance — остатки, складываются по ключу; '
	'SliceLast — последние значения на сейчас; NULL — сам набор';

COMMENT ON COLUMN onec.target.other_sets IS
	'Под какими ещё именами базы публикуют этот набор: берётся первое опубликованное';

COMMENT ON COLUMN onec.target.feeds IS
	'О чьих изменениях сообщает onec.change_feed: customer, product, order …; NULL — ни о чьих';

COMMENT ON COLUMN onec.target.feed_key IS 'Столбец со ссылкой на того, кто изменился';

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

ALTER TABLE onec.target DISABLE TRIGGER keep_edit;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets, is_seed) VALUES ('order_state', 30, 'orders', 'Состояния заказов', 'set', 'Catalog_СостоянияЗаказовПокупателей',
	 'order_state', '{state_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'order_details.enabled', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets, is_seed) VALUES ('order_payment', 31, 'orders', 'Оплата заказов', 'set',
	 'AccumulationRegister_ОплатаСчетовИЗаказов_RecordType', 'order_payment',
		'{recorder,recorder_type}', 'period',
		false, '{}', 'none', 'date', '{}', true, 'order_details.enabled',
		'{AccumulationRegister_РасчетыСПокупателями_RecordType}', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets, is_seed) VALUES ('order_shipment', 32, 'orders', 'Отгрузка заказов', 'set',
	 'AccumulationRegister_ЗаказыПокупателей_RecordType', 'order_shipment',
		'{recorder,recorder_type}', 'period',
		false, '{}', 'none', 'date', '{}', true, 'order_details.enabled', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets, is_seed) VALUES ('product_file', 33, 'images', 'Присоединённые файлы товаров', 'set',
	 'Catalog_НоменклатураПрисоединенныеФайлы', 'product_file', '{file_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'image.enabled', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets, is_seed) VALUES ('stored_file', 34, 'images', 'Где хранятся файлы', 'set', 'InformationRegister_ХранилищеФайлов',
	 'stored_file', '{file_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'image.enabled', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets, is_seed) VALUES ('product_image', 39, 'images', 'Картинки товаров', 'files', NULL, 'product_image', '{file_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'image.enabled', NULL, true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.target ENABLE ALWAYS TRIGGER keep_edit;

-- by hand: UPDATE onec.target t SET feeds = f.feeds, feed_key = f.key F
ALTER TABLE onec.target DISABLE TRIGGER keep_edit;
UPDATE onec.target t SET feeds = f.feeds, feed_key = f.key
FROM (VALUES ('discount_card', 'card', 'card_id'), ('counterparty', 'customer', 'customer_id'),
			 ('counterparty_contact', 'customer', 'customer_id'), ('category', 'category', 'category_id'),
			 ('brand', 'brand', 'brand_id'), ('product', 'product', 'product_id'),
			 ('product_property', 'product', 'product_id'), ('product_variant', 'product', 'product_id'),
			 ('stock', 'stock', 'product_id'), ('stock_reserved', 'stock', 'product_id'),
			 ('price', 'price', 'product_id'), ('store', 'store', 'store_id'),
			 ('sale_line', 'customer', 'customer_id'), ('loyalty_movement', 'balance', 'card_id'),
			 ('customer_order', 'order', 'order_id'), ('order_payment', 'order', 'order_id'),
			 ('order_shipment', 'order', 'order_id'), ('order_state', 'order_state', 'state_id'),
			 ('unit', 'unit', 'unit_id'), ('vat_rate', 'vat_rate', 'vat_rate_id'),
			 ('currency', 'currency', 'currency_id'), ('price_kind', 'price_kind', 'kind_id'),
			 ('property_name', 'property_name', 'property_id'),
			 ('property_value', 'property_value', 'value_id'),
			 ('product_image', 'image', 'product_id'), ('customer_profile', 'profile', 'customer_id'))
	f (target, feeds, key)
WHERE t.target = f.target;
ALTER TABLE onec.target ENABLE ALWAYS TRIGGER keep_edit;
--   -
--   +UPDATE onec.target t SET feeds = f.feeds, feed_key = f.key
--   +FROM (VALUES ('discount_card', 'card', 'card_id'), ('counterparty', 'customer', 'customer_id'),
--   +			 ('counterparty_contact', 'customer', 'customer_id'), ('category', 'category', 'category_id'),
--   +			 ('brand', 'brand', 'brand_id'), ('product', 'product', 'product_id'),
--   +			 ('product_property', 'product', 'product_id'), ('product_variant', 'product', 'product_id'),
--   +			 ('stock', 'stock', 'product_id'), ('stock_reserved', 'stock', 'product_id'),
--   +			 ('price', 'price', 'product_id'), ('store', 'store', 'store_id'),
--   +			 ('sale_line', 'customer', 'customer_id'), ('loyalty_movement', 'balance', 'card_id'),
--   +			 ('customer_order', 'order', 'order_id'), ('order_payment', 'order', 'order_id'),
--   +			 ('order_shipment', 'order', 'order_id'), ('order_state', 'order_state', 'state_id'),
--   +			 ('unit', 'unit', 'unit_id'), ('vat_rate', 'vat_rate', 'vat_rate_id'),
--   +			 ('currency', 'currency', 'currency_id'), ('price_kind', 'price_kind', 'kind_id'),
--   +			 ('property_name', 'property_name', 'property_id'),
--   +			 ('property_value', 'property_value', 'value_id'),
--   +			 ('product_image', 'image', 'product_id'), ('customer_profile', 'profile', 'customer_id'))
--   +	f (target, feeds, key)
--   +WHERE t.target = f.target;

CREATE FUNCTION onec_internal.is_switched_on(server name, t onec.target) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN t.switch IS NULL OR onec.get(t.switch, server)::boolean;
END $$;

COMMENT ON FUNCTION onec_internal.is_switched_on(name, onec.target) IS
	'Включено ли чтение таблицы (служебная)';

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

CREATE OR REPLACE FUNCTION onec_internal.table_of_target(target text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT format('%I.%I', CASE WHEN c.relkind = 'v' AND t.table_schema = 'onec' THEN 'onec_internal'
										ELSE t.table_schema END, t.table_name)
			FROM onec.target t
			LEFT JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', t.table_schema, t.table_name))
			WHERE t.target = table_of_target.target);
END $$;

-- by hand: table onec.product
ALTER TABLE onec.product ADD full_name text, ADD barcode text, ADD description text, ADD unit_id uuid,
	ADD vat text, ADD picture_id uuid;
--   +	full_name text,
--   +	barcode text,
--   +	description text,
--   +	unit_id uuid,
--   +	vat text,
--   +	picture_id uuid,

COMMENT ON COLUMN onec.product.full_name IS 'Полное наименование';

COMMENT ON COLUMN onec.product.barcode IS 'Штрихкод';

COMMENT ON COLUMN onec.product.description IS 'Описание';

COMMENT ON COLUMN onec.product.unit_id IS 'Единица измерения';

COMMENT ON COLUMN onec.product.vat IS
	'Ставка НДС: ссылка на неё или, если у товара перечисление, её вид — Общая, Пониженная';

COMMENT ON COLUMN onec.product.picture_id IS 'Файл главной картинки';

DROP INDEX onec.customer_order_customer;
CREATE INDEX customer_order_customer ON onec.customer_order (server, customer_id, date);

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

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, description, is_seed) VALUES ('order_details.enabled', 'bool', 'false', 'Читать состояния, оплату и отгрузку заказов', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec.order_state (
	server name NOT NULL,
	state_id uuid NOT NULL,
	code text,
	name text,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, state_id)
);

COMMENT ON TABLE onec.order_state IS 'Состояния заказов покупателей';

COMMENT ON COLUMN onec.order_state.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.order_state.state_id IS 'Ссылка на состояние в 1С';

COMMENT ON COLUMN onec.order_state.code IS 'Код';

COMMENT ON COLUMN onec.order_state.name IS 'Наименование';

COMMENT ON COLUMN onec.order_state.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.order_state.is_deleted IS 'В 1С состояния больше нет';

CREATE TABLE onec.order_payment (
	server name NOT NULL,
	recorder uuid NOT NULL,
	recorder_type text NOT NULL,
	line_no bigint NOT NULL,
	period timestamp,
	active boolean,
	kind text,
	order_id uuid,
	paid numeric,
	advance numeric,
	copy smallint NOT NULL DEFAULT 0,
	PRIMARY KEY (server, recorder, recorder_type, line_no, copy)
);

CREATE INDEX order_payment_period ON onec.order_payment (server, period);

CREATE INDEX order_payment_order ON onec.order_payment (server, order_id);

COMMENT ON TABLE onec.order_payment IS 'Движения регистра оплаты заказов';

COMMENT ON COLUMN onec.order_payment.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.order_payment.recorder IS 'Регистратор (документ)';

COMMENT ON COLUMN onec.order_payment.recorder_type IS 'Вид регистратора';

COMMENT ON COLUMN onec.order_payment.line_no IS 'Номер строки';

COMMENT ON COLUMN onec.order_payment.period IS 'Дата и время, местные для базы 1С';

COMMENT ON COLUMN onec.order_payment.active IS 'Движение включено';

COMMENT ON COLUMN onec.order_payment.kind IS
	'Receipt — приход (долг), Expense — расход (оплата); NULL — регистр оборотов, где каждая строка — оплата';

COMMENT ON COLUMN onec.order_payment.order_id IS 'Заказ';

COMMENT ON COLUMN onec.order_payment.paid IS 'Оплачено';

COMMENT ON COLUMN onec.order_payment.advance IS 'Оплачено вперёд, если регистр держит аванс отдельно';

COMMENT ON COLUMN onec.order_payment.copy IS
	'Которая из строк с одним ключом, если в 1С он не единственный';

CREATE TABLE onec.order_shipment (
	server name NOT NULL,
	recorder uuid NOT NULL,
	recorder_type text NOT NULL,
	line_no bigint NOT NULL,
	period timestamp,
	active boolean,
	kind text,
	order_id uuid,
	product_id uuid,
	variant_id uuid,
	quantity numeric,
	copy smallint NOT NULL DEFAULT 0,
	PRIMARY KEY (server, recorder, recorder_type, line_no, copy)
);

CREATE INDEX order_shipment_period ON onec.order_shipment (server, period);

CREATE INDEX order_shipment_order ON onec.order_shipment (server, order_id);

COMMENT ON TABLE onec.order_shipment IS 'Движения регистра заказов: что заказано и что отгружено';

COMMENT ON COLUMN onec.order_shipment.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.order_shipment.recorder IS 'Регистратор (документ)';

COMMENT ON COLUMN onec.order_shipment.recorder_type IS 'Вид регистратора';

COMMENT ON COLUMN onec.order_shipment.line_no IS 'Номер строки';

COMMENT ON COLUMN onec.order_shipment.period IS 'Дата и время, местные для базы 1С';

COMMENT ON COLUMN onec.order_shipment.active IS 'Движение включено';

COMMENT ON COLUMN onec.order_shipment.kind IS
	'Receipt — приход (заказано), Expense — расход (отгружено); NULL — регистр оборотов, где каждая строка — '
	'отгрузка';

COMMENT ON COLUMN onec.order_shipment.order_id IS 'Заказ';

COMMENT ON COLUMN onec.order_shipment.product_id IS 'Товар';

COMMENT ON COLUMN onec.order_shipment.variant_id IS 'Характеристика товара';

COMMENT ON COLUMN onec.order_shipment.quantity IS 'Количество';

COMMENT ON COLUMN onec.order_shipment.copy IS
	'Которая из строк с одним ключом, если в 1С он не единственный';

SELECT pg_catalog.pg_extension_config_dump('onec.order_state', '');

SELECT pg_catalog.pg_extension_config_dump('onec.order_payment', '');

SELECT pg_catalog.pg_extension_config_dump('onec.order_shipment', '');

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('sync.versions', 'text', 'auto', '{auto,on,off}', NULL, NULL,
	 'Читать ли у справочников и документов сначала ключи и DataVersion, а целиком — только изменившиеся: '
	 'auto — где это дешевле, on — всегда, off — никогда', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec_internal.row_version (
	key_id uuid NOT NULL,
	row_hash bigint NOT NULL,
	server smallint NOT NULL,
	target onec_internal.term_number NOT NULL,
	version text NOT NULL CHECK (version <> ''),
	PRIMARY KEY (server, target, key_id)
);

COMMENT ON TABLE onec_internal.row_version IS
	'Версии объектов 1С (DataVersion), с которыми записаны местные строки';

COMMENT ON COLUMN onec_internal.row_version.key_id IS 'Ссылка на объект';

COMMENT ON COLUMN onec_internal.row_version.row_hash IS 'Хеш его строк, какими они записаны';

COMMENT ON COLUMN onec_internal.row_version.server IS 'Номер внешнего сервера';

COMMENT ON COLUMN onec_internal.row_version.target IS 'Номер имени таблицы';

COMMENT ON COLUMN onec_internal.row_version.version IS 'DataVersion';

CREATE TABLE onec_internal.version_use (
	server name NOT NULL,
	target text NOT NULL,
	signature text NOT NULL,
	whole_bytes numeric,
	header_bytes numeric,
	key_bytes numeric,
	changed_share numeric,
	broken text,
	broken_at timestamptz,
	PRIMARY KEY (server, target)
);

COMMENT ON TABLE onec_internal.version_use IS
	'Во что обходится чтение наборов целиком и сначала по версиям: по этому выбирает sync.versions = auto';

COMMENT ON COLUMN onec_internal.version_use.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.version_use.target IS 'Таблица';

COMMENT ON COLUMN onec_internal.version_use.signature IS
	'Из чего сделаны строки: если другое, прежние версии не годятся';

COMMENT ON COLUMN onec_internal.version_use.whole_bytes IS 'Байтов на строку, когда набор читается целиком';

COMMENT ON COLUMN onec_internal.version_use.header_bytes IS 'Байтов на ключ с версией';

COMMENT ON COLUMN onec_internal.version_use.key_bytes IS 'Байтов на строку, прочитанную по ключу';

COMMENT ON COLUMN onec_internal.version_use.changed_share IS 'Какая доля объектов изменилась в последний раз';

COMMENT ON COLUMN onec_internal.version_use.broken IS 'Почему версиям этого набора нельзя верить';

COMMENT ON COLUMN onec_internal.version_use.broken_at IS 'Когда замечено';

CREATE TABLE onec_internal.outbox_remote (
	server name NOT NULL,
	key uuid NOT NULL,
	remote_key uuid NOT NULL,
	PRIMARY KEY (server, key)
);

CREATE INDEX outbox_remote_key ON onec_internal.outbox_remote (server, remote_key);

COMMENT ON TABLE onec_internal.outbox_remote IS
	'Ссылки, которые 1С дала вместо присланных: то, что названо прежней, отправляется с новой (служебное)';

COMMENT ON COLUMN onec_internal.outbox_remote.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.outbox_remote.key IS 'Ссылка, которую получил сайт';

COMMENT ON COLUMN onec_internal.outbox_remote.remote_key IS 'Ссылка в 1С';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_remote', '');

CREATE FUNCTION onec_internal.key_in_1c(server name, key uuid) RETURNS uuid
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT r.remote_key FROM onec_internal.outbox_remote r WHERE r.server = $1
		AND r.key = $2), $2);

COMMENT ON FUNCTION onec_internal.key_in_1c(name, uuid) IS 'Ссылка, под которой объект знает 1С (служебная)';

CREATE FUNCTION onec_internal.site_key(server name, key uuid) RETURNS uuid
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT r.key FROM onec_internal.outbox_remote r
					 WHERE r.server = site_key.server AND r.remote_key = site_key.key), key);
END $$;

COMMENT ON FUNCTION onec_internal.site_key(name, uuid) IS
	'Ссылка, под которой объект знает сайт: очередь называет его ею (служебная)';

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('sync.plan_hours', 'int', '24', NULL, 1, 8760,
	 'Если изменения сообщает план обмена (change_source ''plan''): раз в сколько часов таблицы всё же '
	 'читаются без него', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec_internal.plan_state (
	server name PRIMARY KEY,
	plan text NOT NULL,
	named text NOT NULL,
	node uuid,
	message_no bigint,
	taken boolean NOT NULL DEFAULT false,
	asked_at timestamptz,
	kept_at timestamptz,
	confirmed_at timestamptz,
	run_id bigint,
	failed text,
	failed_run bigint
);

COMMENT ON TABLE onec_internal.plan_state IS 'До какого сообщения узла плана обмена дошёл обмен (служебная)';

COMMENT ON COLUMN onec_internal.plan_state.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.plan_state.plan IS 'План обмена';

COMMENT ON COLUMN onec_internal.plan_state.named IS 'Как узел назван в параметре exchange_node';

COMMENT ON COLUMN onec_internal.plan_state.node IS 'Ссылка на узел; NULL — ещё не найден';

COMMENT ON COLUMN onec_internal.plan_state.message_no IS
	'Номер последнего сообщения, которое спрашивали; NULL — ни одного';

COMMENT ON COLUMN onec_internal.plan_state.taken IS
	'Владелец сказал, что узел наш, какой бы номер у него ни был: onec.take_exchange_node';

COMMENT ON COLUMN onec_internal.plan_state.asked_at IS 'Когда его спросили';

COMMENT ON COLUMN onec_internal.plan_state.kept_at IS 'Когда записано, что оно сообщило; NULL — ещё нет';

COMMENT ON COLUMN onec_internal.plan_state.confirmed_at IS
	'Когда 1С приняла подтверждение; NULL — это неизвестно, или подтверждать нечего';

COMMENT ON COLUMN onec_internal.plan_state.run_id IS 'Какой запуск спросил последним';

COMMENT ON COLUMN onec_internal.plan_state.failed IS 'Почему план обмена не спросили в последний раз';

COMMENT ON COLUMN onec_internal.plan_state.failed_run IS 'В каком запуске';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_state', '');

CREATE TABLE onec_internal.plan_change (
	server name NOT NULL,
	target text NOT NULL,
	key_id uuid NOT NULL,
	gone boolean NOT NULL,
	PRIMARY KEY (server, target, key_id)
);

COMMENT ON TABLE onec_internal.plan_change IS
	'Объекты, об изменении которых сообщил план обмена: строка есть, пока её таблица не прочитана '
	'(служебная)';

COMMENT ON COLUMN onec_internal.plan_change.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.plan_change.target IS 'Таблица';

COMMENT ON COLUMN onec_internal.plan_change.key_id IS 'Ссылка на объект';

COMMENT ON COLUMN onec_internal.plan_change.gone IS 'План сообщил, что объект удалён';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_change', '');

CREATE TABLE onec_internal.plan_use (
	server name NOT NULL,
	target text NOT NULL,
	signature text NOT NULL,
	told_at timestamptz NOT NULL,
	checked_at timestamptz,
	broken text,
	broken_at timestamptz,
	PRIMARY KEY (server, target)
);

COMMENT ON TABLE onec_internal.plan_use IS
	'О каких таблицах сообщает план обмена и можно ли ему верить (служебная)';

COMMENT ON COLUMN onec_internal.plan_use.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.plan_use.target IS 'Таблица';

COMMENT ON COLUMN onec_internal.plan_use.signature IS
	'Из чего сделаны строки: если другое, читаются без плана';

COMMENT ON COLUMN onec_internal.plan_use.told_at IS 'Когда план впервые сообщил о её объекте';

COMMENT ON COLUMN onec_internal.plan_use.checked_at IS
	'Когда она после этого в последний раз прочитана без плана';

COMMENT ON COLUMN onec_internal.plan_use.broken IS 'Почему плану об этой таблице нельзя верить';

COMMENT ON COLUMN onec_internal.plan_use.broken_at IS 'Когда это замечено в последний раз';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_use', '');

CREATE TABLE onec_internal.plan_untold (
	server name NOT NULL,
	target text NOT NULL,
	key_id uuid NOT NULL,
	PRIMARY KEY (server, target, key_id)
);

COMMENT ON TABLE onec_internal.plan_untold IS
	'Объекты, которые изменились, а план обмена о них не сообщил: должен в следующем сообщении (служебная)';

COMMENT ON COLUMN onec_internal.plan_untold.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.plan_untold.target IS 'Таблица';

COMMENT ON COLUMN onec_internal.plan_untold.key_id IS 'Ссылка на объект';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_untold', '');

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('image.enabled', 'bool', 'false', NULL, NULL, NULL, 'Читать картинки товаров', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('image.max_bytes', 'int', '5000000', NULL, 1, 100000000,
	 'Наибольшая картинка, байтов; бо́льшие не хранятся', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('image.max_total', 'numeric', '2000000000', NULL, 0, NULL,
	 'Сколько байтов картинок одной базы хранить; на остальные места не будет', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('image.storage', 'text', 'Catalog_ХранилищеДвоичныхДанных', NULL, NULL, NULL,
	 'Набор 1С с содержимым файлов, на который ссылается регистр файлов', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec.product_file (
	server name NOT NULL,
	file_id uuid NOT NULL,
	version text,
	product_id uuid,
	name text,
	extension text,
	size bigint,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, file_id)
);

COMMENT ON TABLE onec.product_file IS 'Файлы, присоединённые к товарам';

COMMENT ON COLUMN onec.product_file.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.product_file.file_id IS 'Ссылка на файл в 1С';

COMMENT ON COLUMN onec.product_file.version IS 'Версия данных: меняется, когда файл записан заново';

COMMENT ON COLUMN onec.product_file.product_id IS 'Товар';

COMMENT ON COLUMN onec.product_file.name IS 'Наименование';

COMMENT ON COLUMN onec.product_file.extension IS 'Расширение';

COMMENT ON COLUMN onec.product_file.size IS 'Размер, байтов, как его знает 1С';

COMMENT ON COLUMN onec.product_file.deletion_mark IS 'Пометка удаления в 1С';

COMMENT ON COLUMN onec.product_file.is_deleted IS 'В 1С файла больше нет';

CREATE TABLE onec.stored_file (
	server name NOT NULL,
	file_id uuid NOT NULL,
	storage_id uuid,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, file_id)
);

COMMENT ON TABLE onec.stored_file IS 'В каком хранилище лежит содержимое файла';

COMMENT ON COLUMN onec.stored_file.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.stored_file.file_id IS 'Файл';

COMMENT ON COLUMN onec.stored_file.storage_id IS 'Хранилище двоичных данных';

COMMENT ON COLUMN onec.stored_file.is_deleted IS 'В 1С записи больше нет';

CREATE TABLE onec.product_image (
	server name NOT NULL,
	file_id uuid NOT NULL,
	product_id uuid NOT NULL,
	name text,
	version text NOT NULL,
	type text,
	size bigint,
	sha256 bytea,
	refused text,
	content bytea,
	PRIMARY KEY (server, file_id),
	CHECK ((refused IS NULL) = (content IS NOT NULL AND type IS NOT NULL AND sha256 IS NOT NULL))
);

ALTER TABLE onec.product_image ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX product_image_product ON onec.product_image (server, product_id, name);

COMMENT ON TABLE onec.product_image IS
	'Картинки товаров с содержимым; отвергнутые файлы — с причиной и без содержимого';

COMMENT ON COLUMN onec.product_image.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.product_image.file_id IS 'Файл';

COMMENT ON COLUMN onec.product_image.product_id IS 'Товар';

COMMENT ON COLUMN onec.product_image.name IS 'Наименование файла';

COMMENT ON COLUMN onec.product_image.version IS 'При каком состоянии файла содержимое прочитано';

COMMENT ON COLUMN onec.product_image.type IS
	'Тип по первым байтам: image/jpeg, image/png, image/webp, image/gif';

COMMENT ON COLUMN onec.product_image.size IS 'Размер, байтов';

COMMENT ON COLUMN onec.product_image.sha256 IS 'SHA-256 содержимого';

COMMENT ON COLUMN onec.product_image.refused IS
	'Почему файл не хранится: too large — больше image.max_bytes, no room — не хватило image.max_total, '
	'not a picture — это не JPEG, PNG, WebP или GIF, truncated — оборван, no data — 1С не дала '
	'содержимого, another host — ссылка ведёт не на этот сервер';

COMMENT ON COLUMN onec.product_image.content IS 'Содержимое';

SELECT pg_catalog.pg_extension_config_dump('onec.product_file', '');

SELECT pg_catalog.pg_extension_config_dump('onec.stored_file', '');

SELECT pg_catalog.pg_extension_config_dump('onec.product_image', '');

CREATE OR REPLACE FUNCTION onec_internal.category_slug(name text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT m.slug FROM onec.category_map m WHERE category_slug.name ~* m.pattern
					 ORDER BY m.priority LIMIT 1), name);
END $$;

CREATE FUNCTION onec_internal.category_title(slug text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT m.title_ru FROM onec.category_map m WHERE m.slug = category_title.slug
					 ORDER BY m.priority LIMIT 1), slug);
END $$;

COMMENT ON FUNCTION onec_internal.category_title(text) IS 'Название категории по её обозначению (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.goods_by_use(server name, products uuid[] DEFAULT NULL)
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
			SELECT s.category, s.value, onec_internal.category_title(s.value) AS title FROM slug s)
		SELECT p.product_id, p.name, p.brand_id, s.value, s.title,
			   coalesce(s.value = ANY (l.excluded), false),
			   coalesce(s.value = ANY (l.consumable), false), p.withdrawn
		FROM product p LEFT JOIN titled s ON s.category = p.category CROSS JOIN list l;
	END;

CREATE OR REPLACE FUNCTION onec_internal.loyalty_rule_in_force(server name) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	told text := onec.get('loyalty.rule', server);
BEGIN
	RETURN CASE told
		WHEN 'auto' THEN coalesce((SELECT r.rule FROM onec.loyalty_rule r
								   WHERE r.server = loyalty_rule_in_force.server), 'signed')
		ELSE told END;
END $$;

CREATE FUNCTION onec_internal.tables_by_year() RETURNS SETOF regclass
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN unnest('{onec_internal.sale_line,onec_internal.receipt_part}'::regclass[]);

COMMENT ON FUNCTION onec_internal.tables_by_year() IS 'Таблицы, которые делятся по годам (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.keep_receipts() RETURNS trigger
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
	IF current_setting('onec_store.moves_rows', true) = 'on' THEN
		-- the lines are what they were, in another table (50_people/35_years.sql)
		RETURN NULL;
	ELSIF TG_OP = 'TRUNCATE' THEN
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
	-- a dump is being restored, whose years have no keys yet
	IF EXISTS (SELECT FROM pg_inherits i
			   WHERE i.inhparent IN (SELECT t FROM onec_internal.tables_by_year() t)
				 AND NOT EXISTS (SELECT FROM pg_index x
								 WHERE x.indrelid = i.inhrelid AND x.indisprimary)) THEN
		PERFORM set_config('enable_hashjoin', 'on', true);
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

CREATE FUNCTION onec_internal.people_lock_key(server name) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN hashtextextended('onec people ' || server, 0);

COMMENT ON FUNCTION onec_internal.people_lock_key(name) IS 'Ключ блокировки строк о людях (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.lock_people(server name, alone boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key bigint := onec_internal.people_lock_key(server);
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

CREATE OR REPLACE FUNCTION onec_internal.tables_about_people() RETURNS TABLE (table_name text, relation text,
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
	  -- key_id: of whatever object, people among them
	  AND a.attname IN ('customer_id', 'user_id', 'owner_id', 'card_id', 'discount_card_id', 'key_id')
	  AND NOT EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname)
	GROUP BY c.oid, c.relname
$$;

CREATE FUNCTION onec_internal.is_text_column(relation text, field name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(relation) AND a.attname = field
				   AND a.atttypid = 'text'::regtype);

COMMENT ON FUNCTION onec_internal.is_text_column(text, name) IS 'Текст ли этот столбец (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.erasure_statement(relation text, server name, people name[], erasure text,
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
		$1, concat_ws(' OR ', string_agg(format(CASE WHEN onec_internal.is_text_column($1, p)
											 THEN 'onec_internal.reference_uuid(t.%I) = ANY ($1)'
											 ELSE 't.%I = ANY ($1)' END, p), ' OR '), $6),
		string_agg(format('%I = NULL', p), ', '), onec_internal.server_in($1, $2),
		onec_internal.own_term('anonymous'),
		CASE WHEN onec_internal.has_column($1, 'person_id')
			 THEN ', person_id = CASE WHEN t.customer_id <> ALL ($1) THEN t.customer_id '
				  'ELSE t.recorder END' END)
	FROM unnest($3) p
$$;

CREATE OR REPLACE FUNCTION onec_internal.stale_people(server name) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	-- as in onec_internal.stale_customers
	SET jit = off
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

CREATE OR REPLACE FUNCTION onec_internal.person_by_key(key text, server name) RETURNS onec.site_user
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	id uuid := onec_internal.key_in_1c(srv, onec_internal.reference_uuid(key));
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

CREATE FUNCTION onec_internal.years_of(tab regclass)
	RETURNS TABLE (year int, part regclass, since timestamp, till timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT y.year, y.part, make_timestamp(y.year, 1, 1, 0, 0, 0), make_timestamp(y.year + 1, 1, 1, 0, 0, 0)
	FROM (SELECT substring(c.relname FROM '_(\d{4})$')::int AS year, c.oid::regclass AS part
		  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1) y
	WHERE y.year IS NOT NULL ORDER BY y.year
$$;

COMMENT ON FUNCTION onec_internal.years_of(regclass) IS 'Таблицы лет (служебная)';

CREATE FUNCTION onec_internal.is_by_year() RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_inherits i
				   WHERE i.inhparent IN (SELECT t FROM onec_internal.tables_by_year() t));

COMMENT ON FUNCTION onec_internal.is_by_year() IS 'Поделены ли строки по годам (служебная)';

CREATE FUNCTION onec_internal.first_year_within(tab regclass, server smallint, till timestamp) RETURNS int
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	-- the index of the time, whatever the planner takes the table for
	SET enable_seqscan = off
AS $$
DECLARE
	first timestamp;
BEGIN
	EXECUTE format('SELECT l.period FROM ONLY %s l WHERE l.period >= ''1990-01-01'' AND l.period < $1 %s
					ORDER BY l.period LIMIT 1', tab, 'AND l.server = ' || server) INTO first USING till;
	RETURN extract(year FROM first);
END $$;

COMMENT ON FUNCTION onec_internal.first_year_within(regclass, smallint, timestamp) IS
	'Год первой строки, которой место в таблице своего года (служебная)';

CREATE FUNCTION onec_internal.make_year(tab regclass, year int) RETURNS regclass
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET client_min_messages = warning
AS $$
DECLARE
	part text := tab || '_' || year;
BEGIN
	EXECUTE format('CREATE TABLE %s () INHERITS (%s)', part, tab);
	EXECUTE format('COMMENT ON TABLE %s IS %L', part,
				   obj_description(tab, 'pg_class') || ', за ' || year || ' год');
	RETURN part::regclass;
END $$;

COMMENT ON FUNCTION onec_internal.make_year(regclass, int) IS 'Создать таблицу года (служебная)';

CREATE FUNCTION onec_internal.index_year(tab regclass, part regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	statement text;
BEGIN
	FOR statement IN
		SELECT format('ALTER TABLE %s ADD %s', part, pg_get_constraintdef(c.oid))
		FROM pg_constraint c WHERE c.conrelid = tab AND c.contype = 'p'
		UNION ALL
		SELECT regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX \S+ ON \S+ ',
							  format(' INDEX ON %s ', part))
		FROM pg_index i WHERE i.indrelid = tab AND NOT i.indisprimary
	LOOP
		EXECUTE statement;
	END LOOP;
	EXECUTE format('ANALYZE %s', part);
END $$;

COMMENT ON FUNCTION onec_internal.index_year(regclass, regclass) IS
	'Ключ и индексы таблицы года, как у общей (служебная)';

CREATE FUNCTION onec_internal.move_rows(source regclass, destination regclass, condition text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_store.moves_rows = 'on' SET enable_seqscan = off
AS $$
DECLARE
	moved bigint;
BEGIN
	EXECUTE format('WITH gone AS (DELETE FROM ONLY %s l WHERE %s RETURNING l.*) INSERT INTO %s TABLE gone',
				   source, condition, destination);
	GET DIAGNOSTICS moved = ROW_COUNT;
	RETURN moved;
END $$;

COMMENT ON FUNCTION onec_internal.move_rows(regclass, regclass, text) IS
	'Перенести строки из таблицы в таблицу (служебная)';

CREATE FUNCTION onec_internal.keep_years(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own smallint := onec_internal.number_of_server(server);
	this_year timestamp := date_trunc('year', onec.local_now(server));
	tab regclass;
	y record;
	found boolean;
	next_year int;
	part regclass;
BEGIN
	IF own IS NULL OR NOT onec_internal.is_by_year() THEN
		RETURN;
	END IF;
	PERFORM onec_internal.lock_people(server, false);
	FOR tab IN SELECT t FROM onec_internal.tables_by_year() t LOOP
		-- whoever makes or drops years stands in line; who reads or writes does not
		EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', tab);
		FOR y IN SELECT * FROM onec_internal.years_of(tab) LOOP
			EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %1$s l WHERE l.server = $1 AND l.period < $2)
							OR EXISTS (SELECT FROM ONLY %1$s l WHERE l.server = $1 AND l.period >= $3)
							OR EXISTS (SELECT FROM ONLY %1$s l WHERE l.server = $1 AND l.period IS NULL)',
						   y.part) INTO found USING own, y.since, y.till;
			IF found THEN
				PERFORM onec_internal.move_rows(y.part, tab, format(
					'l.server = %s AND (l.period >= %L AND l.period < %L) IS NOT TRUE', own, y.since,
					y.till));
			END IF;
		END LOOP;
		LOOP
			next_year := onec_internal.first_year_within(tab, own, this_year);
			EXIT WHEN next_year IS NULL;
			part := (SELECT k.part FROM onec_internal.years_of(tab) k WHERE k.year = next_year);
			found := part IS NOT NULL;
			IF NOT found THEN
				part := onec_internal.make_year(tab, next_year);
			END IF;
			PERFORM onec_internal.move_rows(tab, part, format(
				'l.server = %s AND l.period >= %L AND l.period < %L', own,
				make_timestamp(next_year, 1, 1, 0, 0, 0), make_timestamp(next_year + 1, 1, 1, 0, 0, 0)));
			IF NOT found THEN
				PERFORM onec_internal.index_year(tab, part);
			END IF;
		END LOOP;
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.keep_years(name) IS
	'Разложить строки базы по таблицам прошедших лет, если хранилище поделено по годам (служебная)';

CREATE FUNCTION onec_internal.drop_years(tab regclass, server name, before date) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own smallint := onec_internal.number_of_server(server);
	y record;
	follower regclass;
	others boolean;
	n bigint;
	dropped bigint := 0;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.tables_by_year() t WHERE t = tab) THEN
		RETURN 0;
	END IF;
	PERFORM onec_internal.keep_years(server);
	FOR y IN SELECT * FROM onec_internal.years_of(tab) k
			 WHERE k.till <= before AND k.year < (SELECT max(m.year) FROM onec_internal.years_of(tab) m) LOOP
		-- by the key, which begins with the server
		EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %1$s l WHERE l.server < $1)
						OR EXISTS (SELECT FROM ONLY %1$s l WHERE l.server > $1)', y.part)
			INTO others USING own;
		CONTINUE WHEN others;
		EXECUTE format('SELECT count(*) FROM ONLY %s', y.part) INTO n;
		dropped := dropped + n;
		FOR follower IN SELECT k.part FROM onec_internal.tables_by_year() t, onec_internal.years_of(t) k
						WHERE k.year = y.year LOOP
			EXECUTE format('DROP TABLE %s', follower);
		END LOOP;
	END LOOP;
	RETURN dropped;
END $$;

COMMENT ON FUNCTION onec_internal.drop_years(regclass, name, date) IS
	'Убрать таблицы лет, которые целиком раньше этого дня (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.purge_before(server name, before date) RETURNS TABLE (table_name text,
	rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	statement text;
	tab regclass;
	left_over bigint;
BEGIN
	PERFORM onec_internal.refresh_all_people_next(purge_before.server);
	INSERT INTO onec_internal.base AS b (server, purged_before) VALUES (purge_before.server, before)
	ON CONFLICT ON CONSTRAINT base_pkey DO UPDATE SET purged_before = greatest(b.purged_before,
		excluded.purged_before);
	FOR table_name, tab, statement IN
		SELECT t.table_name, onec_internal.table_of_target(t.target),
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
		FROM onec_internal.sync_steps(server, NULL) t WHERE t.purge <> 'none'
		-- who drops tables has readers wait until the end: that comes last
		ORDER BY EXISTS (SELECT FROM onec_internal.years_of(onec_internal.table_of_target(t.target))),
				 t.ordinal
	LOOP
		rows := onec_internal.drop_years(tab, server, before);
		EXECUTE statement USING purge_before.server, before::timestamp;
		GET DIAGNOSTICS left_over = ROW_COUNT;
		rows := rows + left_over;
		RETURN NEXT;
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.taste_words(server name, products uuid[], stores uuid[], kept boolean)
	RETURNS TABLE (kind text, value_id text, no int, title text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec_internal.taste_book_of(server name, products uuid[], stores uuid[], kinds text[],
											kept boolean) RETURNS onec_internal.taste_book
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec_internal.histories(server name, as_of date, customers uuid[], kinds text[], season jsonb)
	RETURNS TABLE (customer_id uuid, lines int, net numeric, gross numeric, returned numeric, items numeric,
				   recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH word AS MATERIALIZED (
			SELECT onec_internal.taste_book_of($1, g.products, g.stores, $4, false) AS book
			FROM onec_internal.goods_and_stores($1, $2, $3) g)
		SELECT x.* FROM word w CROSS JOIN LATERAL onec_internal.customer_histories($1, $2, $3, w.book, $5) x;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.write_changed_rows(tab regclass, stage text, server name, customers uuid[],
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
	note text := CASE WHEN to_regclass('pg_temp.onec_written') IS NOT NULL AND starts_with(tab::text, 'onec.')
					  THEN ', noted AS (INSERT INTO pg_temp.onec_written SELECT customer_id FROM written)'
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
	EXECUTE format(
		'WITH written AS (DELETE FROM %s t
			WHERE %s AND NOT EXISTS (SELECT FROM pg_temp.%I excluded WHERE %s) RETURNING t.customer_id) %s
		 SELECT count(*) FROM written',
		tab, here, stage, part.same_key, note) INTO deleted USING server, customers;
	EXECUTE format(
		'WITH written AS (INSERT INTO %1$s AS n (%2$s)
			SELECT %3$s FROM pg_temp.%4$I excluded LEFT JOIN %1$s t ON %5$s AND %6$s
			WHERE t.server IS NULL OR ROW(%7$s) IS DISTINCT FROM ROW(%3$s) AND NOT (%8$s)
			ON CONFLICT (%9$s) DO UPDATE SET %10$s RETURNING n.customer_id, n.xmax = 0 AS fresh) %11$s
		 SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written',
		tab, part.columns, part.after, stage, part.same_key, here, part.before, same, part.key,
		part.set_list, note) INTO inserted, updated USING server, customers;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.visit_gaps(server name, as_of date, customers uuid[])
	RETURNS TABLE (customer_id uuid, visits int, first_day date, last_day date, median_gap numeric,
				   low_gap numeric, high_gap numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT x.customer_id, (x.h).visits, (x.h).first_day, (x.h).last_day, (x.h).median_gap, (x.h).low_gap,
			   (x.h).high_gap
		FROM onec_internal.visit_histories($1, $2, $3, NULL) x WHERE (x.h).visits > 0;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.kept_baseline(server name, day date, customers uuid[])
	RETURNS SETOF onec.outlook_baseline
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT t.* FROM onec.outlook_baseline t
		WHERE t.server = $1 AND $3 IS NOT NULL
		  AND abs($2 - t.as_of) <= onec.get('outlook.baseline_days', $1)::int;
END $$;

CREATE OR REPLACE FUNCTION onec.next_purchase(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date,
				   window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec.season(server name DEFAULT NULL, as_of date DEFAULT NULL, customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, receipts int, month_index numeric[], peak_months int[],
				   buys_8_march boolean, buys_new_year boolean, buys_valentine boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec.affinity(server name DEFAULT NULL, as_of date DEFAULT NULL,
							  customers uuid[] DEFAULT NULL, only_kind text DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, place int, weight numeric,
				   share numeric, receipts int,
				   penetration numeric, lift numeric, last_at timestamp, diversity numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec_internal.stale_customers(server name) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	-- what would be compiled costs what all lines cost, and reads those of a day
	SET jit = off
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

-- by hand: table onec.field_source
ALTER TABLE onec.field_source DROP CONSTRAINT field_source_kind_check, ADD COLUMN empty text,
	ADD CONSTRAINT field_source_kind_check CHECK (kind IN ('ref', 'type', 'text', 'numeric', 'timestamp',
		'boolean', 'bigint', 'rows', 'smallint', 'integer', 'bytea', 'jsonb'));
--   -									   'bigint', 'rows')),
--   +									   'bigint', 'rows', 'smallint', 'integer', 'bytea', 'jsonb')),
--   +	empty text,

COMMENT ON COLUMN onec.field_source.kind IS
	'Вид значения; rows — табличная часть, jsonb — она же, как её пишет 1С';

COMMENT ON COLUMN onec.field_source.empty IS 'Что стоит вместо пустого значения в ключе; NULL — ничего';

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
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product', 30, 'picture_id', 'ref', '{ФайлКартинки_Key,ФайлКартинки}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_state', 1, 'state_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_state', 2, 'code', 'text', '{Code}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_state', 3, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_state', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 2, 'recorder_type', 'type', '{Recorder_Type}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 3, 'line_no', 'bigint', '{LineNumber}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 4, 'period', 'timestamp', '{Period}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 5, 'active', 'boolean', '{Active}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 6, 'kind', 'text', '{RecordType}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 7, 'order_id', 'ref',
	 '{СчетНаОплату,СчетНаОплату_Key,Заказ_Key,Заказ,ЗаказПокупателя_Key,ЗаказПокупателя}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 8, 'paid', 'numeric', '{СуммаОплаты,Сумма}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_payment', 9, 'advance', 'numeric', '{СуммаАванса}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 2, 'recorder_type', 'type', '{Recorder_Type}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 3, 'line_no', 'bigint', '{LineNumber}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 4, 'period', 'timestamp', '{Period}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 5, 'active', 'boolean', '{Active}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 6, 'kind', 'text', '{RecordType}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 7, 'order_id', 'ref', '{ЗаказПокупателя_Key,ЗаказПокупателя,Заказ_Key,Заказ}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 8, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 9, 'variant_id', 'ref', '{Характеристика_Key}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('order_shipment', 10, 'quantity', 'numeric', '{Количество}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 1, 'file_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 2, 'version', 'text', '{DataVersion}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 3, 'product_id', 'ref', '{ВладелецФайла_Key,ВладелецФайла,Owner_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 4, 'name', 'text', '{Description}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 5, 'extension', 'text', '{Расширение}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 6, 'size', 'bigint', '{Размер}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_file', 7, 'deletion_mark', 'boolean', '{DeletionMark}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stored_file', 1, 'file_id', 'ref', '{Файл,Файл_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('stored_file', 2, 'storage_id', 'ref', '{ХранилищеДвоичныхДанных_Key,ХранилищеДвоичныхДанных}', true, true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.field_source ENABLE ALWAYS TRIGGER keep_edit;

ALTER TABLE onec.field_source DISABLE TRIGGER keep_edit;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_image.storage', 1, 'storage_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_image.storage', 2, 'content', 'bytea', '{ДвоичныеДанные_Base64Data}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_image.file', 1, 'file_id', 'ref', '{Ref_Key}', true, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_image.file', 2, 'content', 'bytea',
	 '{ФайлХранилище_Base64Data,ДвоичныеДанныеФайла_Base64Data}', false, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, is_seed) VALUES ('product_image.file', 3, 'stream', 'bytea', '{ФайлХранилище}', false, true)
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

CREATE OR REPLACE FUNCTION onec_internal.columns_to_make(server name, target text,
											  entity_set text) RETURNS onec_internal.made_column[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(ROW(r.field, r.pg_type, ARRAY['property=' || r.property, 'edm_type=' || r.edm_type],
						 r.property)::onec_internal.made_column ORDER BY r.ordinal)
	FROM (SELECT f.ordinal, f.field, f.property, f.edm_type, f.pg_type
		  FROM onec_internal.resolved_fields($1, $2, $3) f WHERE f.property IS NOT NULL
		  UNION ALL
		  SELECT 1000000, 'data_version', p.property, p.edm_type, p.pg_type FROM onec.properties($1, $3) p
		  WHERE p.property = 'DataVersion'
			AND NOT EXISTS (SELECT FROM onec.field_source f
							WHERE f.target = $2 AND ('DataVersion' = ANY (f.candidates)
													 OR f.field = 'data_version'))) r
$$;

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

CREATE TABLE onec_internal.outbox_base (
	server name PRIMARY KEY,
	since timestamptz NOT NULL DEFAULT now(),
	client_keys boolean,
	stopped_for text,
	stopped_at timestamptz,
	message text,
	server_oid oid,
	address text
);

COMMENT ON TABLE onec_internal.outbox_base IS 'Базы, в которые пишут: что о них известно (служебное)';

COMMENT ON COLUMN onec_internal.outbox_base.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.outbox_base.since IS 'С какого времени в базу можно писать';

COMMENT ON COLUMN onec_internal.outbox_base.client_keys IS
	'Берёт ли база ключ, который ей прислали; NULL — ещё неизвестно';

COMMENT ON COLUMN onec_internal.outbox_base.stopped_for IS
	'Отпечаток сопоставления пользователя, логин которого 1С отвергла: до его изменения ничего не '
	'отправляется';

COMMENT ON COLUMN onec_internal.outbox_base.stopped_at IS 'Когда отправка остановлена';

COMMENT ON COLUMN onec_internal.outbox_base.message IS 'Почему';

COMMENT ON COLUMN onec_internal.outbox_base.server_oid IS
	'OID внешнего сервера: под тем же именем может быть другой';

COMMENT ON COLUMN onec_internal.outbox_base.address IS 'Адрес базы';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_base', '');

CREATE TABLE onec_internal.outbox_property (
	server name NOT NULL,
	entity_set text COLLATE "C" NOT NULL,
	part text COLLATE "C" NOT NULL,
	property text COLLATE "C" NOT NULL,
	edm_type text NOT NULL,
	type_name text NOT NULL,
	length int NOT NULL,
	ordinal int NOT NULL,
	PRIMARY KEY (server, entity_set, part, property)
);

COMMENT ON TABLE onec_internal.outbox_property IS
	'Свойства объектов баз, в которые пишут, по $metadata; обновляет onec.setup (служебное)';

COMMENT ON COLUMN onec_internal.outbox_property.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.outbox_property.entity_set IS 'Набор';

COMMENT ON COLUMN onec_internal.outbox_property.part IS 'Табличная часть; пусто — сам объект';

COMMENT ON COLUMN onec_internal.outbox_property.property IS 'Свойство';

COMMENT ON COLUMN onec_internal.outbox_property.edm_type IS 'Вид типа';

COMMENT ON COLUMN onec_internal.outbox_property.type_name IS 'Тип, как он объявлен';

COMMENT ON COLUMN onec_internal.outbox_property.length IS 'Наибольшая длина текста; 0 — не сообщается';

COMMENT ON COLUMN onec_internal.outbox_property.ordinal IS 'Порядок';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_property', '');

CREATE FUNCTION onec_internal.published_properties(server name)
	RETURNS TABLE (entity_set text, part text, property text, edm_type text, type_name text, length int,
				   ordinal int)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_published_properties';

COMMENT ON FUNCTION onec_internal.published_properties(name) IS
	'Свойства всех объектов базы, у которых есть ссылка, и их табличных частей (служебная)';

CREATE FUNCTION onec_internal.is_updatable(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce(onec_internal.server_option($1, 'updatable')::boolean, false);

COMMENT ON FUNCTION onec_internal.is_updatable(name) IS 'Разрешено ли писать в базу сейчас (служебная)';

CREATE FUNCTION onec_internal.server_now(server name, OUT server_oid oid, OUT address text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.oid, onec_internal.server_option($1, 'url') FROM pg_foreign_server s WHERE s.srvname = $1
$$;

COMMENT ON FUNCTION onec_internal.server_now(name) IS 'Сервер с этим именем сейчас (служебная)';

CREATE FUNCTION onec_internal.is_another_base(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.outbox_base b
				   JOIN pg_foreign_server s ON s.srvname = b.server AND s.oid <> b.server_oid
				   WHERE b.server = is_another_base.server
					 AND b.address <> onec_internal.server_option(b.server, 'url'));
END $$;

COMMENT ON FUNCTION onec_internal.is_another_base(name) IS
	'Под именем базы сервер с другим адресом (служебная)';

CREATE FUNCTION onec_internal.keep_properties(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT onec_internal.is_updatable(server) THEN
		RETURN;
	END IF;
	INSERT INTO onec_internal.outbox_base AS b (server, server_oid, address)
	SELECT keep_properties.server, s.* FROM onec_internal.server_now(server) s
	ON CONFLICT ON CONSTRAINT outbox_base_pkey DO UPDATE
		SET server_oid = excluded.server_oid, address = excluded.address
		WHERE (b.server_oid, b.address) IS DISTINCT FROM (excluded.server_oid, excluded.address);
	WITH published AS MATERIALIZED (
		SELECT DISTINCT ON (p.entity_set, p.part, p.property) p.*
		FROM onec_internal.published_properties(keep_properties.server) p
		ORDER BY p.entity_set, p.part, p.property, p.ordinal),
	gone AS (
		DELETE FROM onec_internal.outbox_property o
		WHERE o.server = keep_properties.server AND NOT EXISTS (
			SELECT FROM published p
			WHERE (p.entity_set, p.part, p.property) = (o.entity_set, o.part, o.property)))
	INSERT INTO onec_internal.outbox_property AS o (server, entity_set, part, property, edm_type, type_name,
													length, ordinal)
	SELECT keep_properties.server, p.entity_set, p.part, p.property, p.edm_type, p.type_name, p.length,
		   p.ordinal
	FROM published p
	ON CONFLICT ON CONSTRAINT outbox_property_pkey DO UPDATE
		SET edm_type = excluded.edm_type, type_name = excluded.type_name, length = excluded.length,
			ordinal = excluded.ordinal
		WHERE (o.edm_type, o.type_name, o.length, o.ordinal)
			IS DISTINCT FROM (excluded.edm_type, excluded.type_name, excluded.length, excluded.ordinal);
END $$;

COMMENT ON FUNCTION onec_internal.keep_properties(name) IS
	'Запомнить, что в базу можно писать и какие у её объектов свойства (служебная)';

CREATE FUNCTION onec_internal.create_bytes_table(server name, relation text, title text, fields text,
												 entity_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key text := (SELECT s.key FROM onec.entity_sets(server) s
				 WHERE s.entity_set = create_bytes_table.entity_set);
BEGIN
	IF key IS NULL OR EXISTS (SELECT FROM onec_internal.resolved_fields(server, fields, entity_set) r
							  WHERE r.is_key AND r.property IS NULL) THEN
		RETURN onec_internal.drop_made_by_setup(server, relation, title);
	END IF;
	RETURN onec_internal.make_table(server, relation, title, entity_set,
									ARRAY['entity_set=' || entity_set, 'key=' || key],
									onec_internal.columns_to_make(server, fields, entity_set));
END $$;

COMMENT ON FUNCTION onec_internal.create_bytes_table(name, text, text, text, text) IS
	'Создать таблицу содержимого файлов (служебная)';

CREATE FUNCTION onec_internal.create_tables_of_bytes(server name) RETURNS text[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.create_bytes_table($1, 'file_storage', 'Содержимое файлов в хранилище',
											'product_image.storage', onec.get('image.storage', $1))
		|| onec_internal.create_bytes_table($1, 'file_content', 'Содержимое файлов',
											'product_image.file',
											onec_internal.entity_set_of($1, 'product_file'))
$$;

COMMENT ON FUNCTION onec_internal.create_tables_of_bytes(name) IS
	'Создать таблицы содержимого файлов (служебная)';

CREATE FUNCTION onec_internal.has_tables_of_bytes(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN to_regclass(format('%I.file_storage', $1)) IS NOT NULL
		OR to_regclass(format('%I.file_content', $1)) IS NOT NULL;

COMMENT ON FUNCTION onec_internal.has_tables_of_bytes(name) IS
	'Есть ли откуда читать содержимое файлов (служебная)';

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

CREATE FUNCTION onec_internal.make_schema_of_server(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.remember_base(server);
	IF to_regnamespace(quote_ident(server)) IS NULL THEN
		EXECUTE format('CREATE SCHEMA %I', server);
		EXECUTE format('COMMENT ON SCHEMA %I IS %L', server, 'Магазин в базе 1С ' || server);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.make_schema_of_server(name) IS
	'Создать схему внешних таблиц сервера, если её нет (служебная)';

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
	PERFORM onec_internal.make_schema_of_server(srv);
	FOR t IN
		SELECT DISTINCT ON (d.target) d.target, d.wanted[1] AS wanted, s.entity_set, s.key,
			   n.entity_set AS nested
		FROM (SELECT k.target, onec_internal.sets_to_try(srv, k.target) AS wanted,
					 k.server IS NULL AS is_shops, onec_internal.is_switched_on(srv, k) AS is_on
			  FROM onec_internal.sync_steps(srv, NULL) k WHERE k.source = 'set') d
		LEFT JOIN onec.entity_sets(srv) s ON s.entity_set = ANY (d.wanted)
		LEFT JOIN onec.entity_sets(srv) n ON s.entity_set IS NULL AND d.wanted[1] ~ '_RecordType$'
			AND n.entity_set = left(d.wanted[1], -11) AND d.is_shops
		-- of what has no name, or is neither wanted nor there, nothing is told; but what was made once goes
		WHERE d.wanted[1] <> '' AND (d.is_on OR s.entity_set IS NOT NULL OR n.entity_set IS NOT NULL)
			OR to_regclass(format('%I.%I', srv, d.target)) IS NOT NULL
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
	PERFORM onec_internal.keep_properties(srv);
	FOR target, entity_set IN SELECT k.target, onec.get('image.storage', srv)
		FROM onec_internal.sync_steps(srv, NULL) k
		WHERE k.source = 'files' AND (onec_internal.is_switched_on(srv, k)
			OR onec_internal.has_tables_of_bytes(srv)) LOOP
		changes := onec_internal.create_tables_of_bytes(srv);
		status := CASE WHEN NOT onec_internal.has_tables_of_bytes(srv) THEN 'not published'
					   WHEN changes = '{}' THEN 'kept'
					   WHEN changes[1] LIKE '%: created' THEN 'created' ELSE 'changed' END;
		columns := NULL;
		missing := NULL;
		changes := nullif(changes, '{}');
		RETURN NEXT;
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.set_server_option(server name, option text, value text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = server) THEN
		EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER onec_fdw OPTIONS (%I %L)', server,
					   option, value);
	ELSE
		EXECUTE format('ALTER SERVER %I OPTIONS (%s %I %L)', server,
			CASE WHEN onec_internal.server_option(server, option) IS NULL THEN 'ADD' ELSE 'SET' END, option,
			value);
	END IF;
END $$;

CREATE FUNCTION onec_internal.plan_nodes(server name, node uuid) RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_plan_nodes';

COMMENT ON FUNCTION onec_internal.plan_nodes(name, uuid) IS
	'Узлы плана обмена, или один, как их пишет 1С в JSON (служебная)';

CREATE FUNCTION onec_internal.plan_changes(server name, node uuid, number bigint)
	RETURNS TABLE (entity_set text, key_id uuid, gone boolean)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_plan_changes';

COMMENT ON FUNCTION onec_internal.plan_changes(name, uuid, bigint) IS
	'SelectChanges: о каких объектах сообщает план обмена; узел запоминает номер (служебная)';

CREATE FUNCTION onec_internal.plan_received(server name, node uuid, number bigint) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_plan_received';

COMMENT ON FUNCTION onec_internal.plan_received(name, uuid, bigint) IS
	'NotifyChangesReceived: 1С может забыть сообщённое до этого номера (служебная)';

CREATE FUNCTION onec_internal.plan_wanted(server name, OUT plan text, OUT named text) RETURNS SETOF record
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.server_option($1, 'exchange_plan'),
		   onec_internal.server_option($1, 'exchange_node')
	WHERE onec_internal.server_option($1, 'change_source') = 'plan'
$$;

COMMENT ON FUNCTION onec_internal.plan_wanted(name) IS
	'План обмена и узел из параметров сервера, если изменения сообщает план (служебная)';

CREATE FUNCTION onec_internal.plan_node(server name, named text, known uuid, OUT node uuid, OUT sent bigint,
										OUT received bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer jsonb := ltrim(onec_internal.plan_nodes(server, known), chr(65279))::jsonb;
	own boolean;
BEGIN
	SELECT (r ->> 'Ref_Key')::uuid, coalesce(r ->> 'SentNo', '0')::bigint,
		   coalesce(r ->> 'ReceivedNo', '0')::bigint, coalesce(r ->> 'ThisNode', 'false')::boolean
	INTO node, sent, received, own
	FROM jsonb_array_elements(coalesce(answer -> 'value', jsonb_build_array(answer))) r
	WHERE known IS NOT NULL OR r ->> 'Ref_Key' = lower(named) OR btrim(r ->> 'Code') = btrim(named)
	ORDER BY r ->> 'Ref_Key' = lower(named) DESC LIMIT 1;
	IF node IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'the exchange plan has no node of that key or code';
	ELSIF own THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'the node is that of the base itself, for which nothing is registered';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.plan_node(name, text, uuid) IS
	'Узел плана обмена, какой он в 1С (служебная)';

CREATE FUNCTION onec_internal.who_else_asks(server name, node uuid) RETURNS name
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.server FROM onec_internal.plan_state p
	CROSS JOIN LATERAL onec_internal.plan_wanted(p.server) w
	WHERE p.server <> $1 AND p.node = $2 AND p.message_no IS NOT NULL
	  AND onec_internal.server_option(p.server, 'url') = onec_internal.server_option($1, 'url')
	LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.who_else_asks(name, uuid) IS
	'Какой ещё сервер спрашивает этот узел (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.option_statement(server name, option text, value text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('ALTER SERVER %I OPTIONS (%s %I %L);', server,
				  CASE WHEN onec_internal.server_option(server, option) IS NULL THEN 'ADD' ELSE 'SET' END,
				  option, value) $$;

CREATE FUNCTION onec_internal.diagnose_versions(server name, target text)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 || ': versions', CASE WHEN u.broken IS NULL THEN 'ok' ELSE 'warning' END,
		   coalesce(u.broken, format(
				'bytes: %s a row, %s a key with version, %s a row by key; changed: %s %%',
				coalesce(round(u.whole_bytes)::text, '?'), coalesce(round(u.header_bytes)::text, '?'),
				coalesce(round(u.key_bytes)::text, '?'),
				coalesce(round(100 * u.changed_share, 1)::text, '?'))),
		   CASE WHEN u.broken IS NOT NULL THEN
				'Набор читается целиком. Если 1С снова меняет DataVersion при каждой записи: '
				|| format('SELECT onec.set(%L, %L, %L);', 'sync.versions', 'on', $1) END
	FROM onec_internal.version_use u WHERE u.server = $1 AND u.target = $2
$$;

COMMENT ON FUNCTION onec_internal.diagnose_versions(name, text) IS
	'Можно ли верить DataVersion набора и что она экономит (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.diagnose_target(server name, target text)
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
	RETURN QUERY SELECT v.* FROM onec_internal.diagnose_versions(server, target) v;
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

CREATE FUNCTION onec_internal.diagnose_plan(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w record;
	t record;
	p onec_internal.plan_state;
	plans text := (SELECT string_agg(e.entity_set, ', ' ORDER BY e.entity_set)
				   FROM onec.entity_sets(diagnose_plan.server) e
				   WHERE e.entity_set ~ '^ExchangePlan_[^_]+$');
BEGIN
	SELECT * INTO w FROM onec_internal.plan_wanted(server);
	IF w.plan IS NULL THEN
		RETURN QUERY SELECT 'exchange plan'::text, 'ok'::text, 'not asked; published: ' || plans,
			format('Если в нём есть узел, которым больше никто не пользуется: ALTER SERVER %I OPTIONS (ADD '
				   'change_source ''plan'', ADD exchange_plan …, ADD exchange_node …);', server)
			WHERE plans IS NOT NULL;
		RETURN;
	END IF;
	SELECT * INTO p FROM onec_internal.plan_state s WHERE s.server = diagnose_plan.server;
	SELECT * INTO t FROM onec_internal.try_statement(format(
		'SELECT format(''message %%s received, %%s sent'', n.received, n.sent) '
		'FROM onec_internal.plan_node(%L, %L, NULL) n', server, w.named));
	RETURN QUERY SELECT 'exchange plan'::text,
		CASE WHEN t.error IS NOT NULL THEN 'failed' WHEN p.failed IS NOT NULL THEN 'warning' ELSE 'ok' END,
		coalesce(t.error, p.failed, t.value),
		CASE WHEN t.error IS NOT NULL
			 THEN 'Опубликуйте план обмена, дайте пользователю 1С право читать и менять его и назовите узел: '
				  'ALTER SERVER, параметры exchange_plan и exchange_node'
			 WHEN p.failed ~ 'somebody else'
			 THEN format('Если узлом больше никто не пользуется: SELECT onec.take_exchange_node(%L);', server)
			 WHEN p.failed IS NOT NULL THEN 'Таблицы читаются без плана' END;
	RETURN QUERY SELECT u.target || ': exchange plan',
		CASE WHEN u.broken IS NULL THEN 'ok' ELSE 'warning' END,
		coalesce(u.broken, CASE WHEN u.checked_at IS NULL THEN 'told of, not compared yet'
								ELSE 'told of; compared at ' || date_trunc('second', u.checked_at) END),
		CASE WHEN u.broken IS NOT NULL
			 THEN 'План сообщает не обо всём: неделю таблица читается без него' END
		FROM onec_internal.plan_use u WHERE u.server = diagnose_plan.server ORDER BY 1;
END $$;

COMMENT ON FUNCTION onec_internal.diagnose_plan(name) IS
	'Может ли план обмена сообщать об изменениях (служебная)';

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
		  AND onec_internal.is_switched_on(srv, k)
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
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_plan(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_case(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_composite(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_shop(srv) d;
	-- a standby looks, too, but what it finds it cannot remember
	IF NOT current_setting('transaction_read_only')::boolean THEN
		PERFORM onec.remember_refusals(srv);
	END IF;
END $$;

CREATE TABLE onec_internal.mirror (
	server name NOT NULL,
	target text PRIMARY KEY,
	with_binary boolean NOT NULL,
	with_sections boolean NOT NULL,
	looked_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE onec_internal.mirror IS 'Зеркала наборов 1С (onec.mirror)';

COMMENT ON COLUMN onec_internal.mirror.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.mirror.target IS 'Строка onec.target';

COMMENT ON COLUMN onec_internal.mirror.with_binary IS 'Читаются ли и двоичные свойства';

COMMENT ON COLUMN onec_internal.mirror.with_sections IS 'Есть ли у табличных частей свои таблицы';

COMMENT ON COLUMN onec_internal.mirror.looked_at IS 'Когда свойства сверялись с $metadata';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.mirror', '');

CREATE TABLE onec_internal.mirror_section (
	server name NOT NULL,
	target text NOT NULL,
	field name NOT NULL,
	entity_set text NOT NULL,
	owner_key name NOT NULL,
	table_schema name NOT NULL,
	table_name name NOT NULL,
	PRIMARY KEY (target, field),
	UNIQUE (table_schema, table_name)
);

COMMENT ON TABLE onec_internal.mirror_section IS 'Таблицы табличных частей зеркал';

COMMENT ON COLUMN onec_internal.mirror_section.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.mirror_section.target IS 'Зеркало';

COMMENT ON COLUMN onec_internal.mirror_section.field IS 'Столбец с табличной частью';

COMMENT ON COLUMN onec_internal.mirror_section.entity_set IS 'Набор 1С, который описывает её строки';

COMMENT ON COLUMN onec_internal.mirror_section.owner_key IS 'Столбец ссылки на объект, в обеих таблицах';

COMMENT ON COLUMN onec_internal.mirror_section.table_schema IS 'Схема таблицы строк';

COMMENT ON COLUMN onec_internal.mirror_section.table_name IS 'Таблица строк';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.mirror_section', '');

CREATE FUNCTION onec_internal.is_mirror(target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.mirror m WHERE m.target = is_mirror.target);
END $$;

COMMENT ON FUNCTION onec_internal.is_mirror(text) IS 'Зеркало ли это, сделанное onec.mirror (служебная)';

CREATE FUNCTION onec_internal.drop_own_fields() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM onec.field_source f WHERE split_part(f.target, '.', 1) = OLD.target;
	DELETE FROM onec_internal.mirror_section s WHERE s.target = OLD.target;
	DELETE FROM onec_internal.mirror m WHERE m.target = OLD.target;
	RETURN NULL;
END $$;

COMMENT ON FUNCTION onec_internal.drop_own_fields() IS
	'Убирает поля таблицы, которую больше не синхронизируют (служебная)';

CREATE TRIGGER drop_own_fields AFTER DELETE ON onec.target
	FOR EACH ROW WHEN (OLD.server IS NOT NULL) EXECUTE FUNCTION onec_internal.drop_own_fields();

CREATE FUNCTION onec_internal.tables_of_mirrors() RETURNS TABLE (target text, tab regclass)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.target, to_regclass(format('%I.%I', x.table_schema, x.table_name))
	FROM (SELECT t.target, t.table_schema, t.table_name FROM onec.target t WHERE t.table_schema <> 'onec'
		  UNION ALL SELECT s.target, s.table_schema, s.table_name FROM onec_internal.mirror_section s) x
$$;

COMMENT ON FUNCTION onec_internal.tables_of_mirrors() IS 'Местные таблицы зеркал (служебная)';

CREATE FUNCTION onec_internal.free_name(wanted text, taken text[]) RETURNS name
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.name
	FROM (SELECT n, '' AS suffix FROM generate_series(1, 1) n
		  UNION ALL SELECT n, '_' || n FROM generate_series(2, cardinality($2) + 2) n) s
	CROSS JOIN LATERAL (SELECT left($1, l) || s.suffix AS name FROM generate_series(length($1), 1, -1) l
						WHERE octet_length(left($1, l) || s.suffix) <= 63 LIMIT 1) c
	WHERE c.name <> ALL ($2)
	ORDER BY s.n LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.free_name(text, text[]) IS
	'Имя не длиннее 63 байтов, которого ещё нет (служебная)';

CREATE FUNCTION onec_internal.names_of_sync() RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '{server,copy,is_deleted,attribution,register,person_id,place,here,redated,known,next,day,copies,n,
		onec_window,ctid,tableoid,xmin,xmax,cmin,cmax}'::text[];

COMMENT ON FUNCTION onec_internal.names_of_sync() IS 'Имена столбцов, занятые синхронизацией (служебная)';

CREATE FUNCTION onec_internal.kind_of_type(pg_type text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE pg_type WHEN 'uuid' THEN 'ref' WHEN 'int8' THEN 'bigint' WHEN 'bool' THEN 'boolean'
						WHEN 'int2' THEN 'smallint' WHEN 'int4' THEN 'integer' ELSE pg_type END;

COMMENT ON FUNCTION onec_internal.kind_of_type(text) IS 'Вид поля по типу PostgreSQL (служебная)';

CREATE FUNCTION onec_internal.empty_of_kind(kind text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE kind WHEN 'ref' THEN '00000000-0000-0000-0000-000000000000' WHEN 'text' THEN ''
					 WHEN 'timestamp' THEN '0001-01-01' WHEN 'boolean' THEN 'false' ELSE '0' END;

COMMENT ON FUNCTION onec_internal.empty_of_kind(text) IS
	'Что стоит в столбце ключа вместо пустого значения (служебная)';

CREATE FUNCTION onec_internal.properties_to_mirror(server name, entity_set text, with_binary boolean)
	RETURNS TABLE (ordinal int, property text, edm_type text, pg_type text, kind text, wanted text,
				   is_part boolean)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.ordinal, p.property, p.edm_type, p.pg_type, onec_internal.kind_of_type(p.pg_type),
		   p.local_name || CASE WHEN p.local_name = ANY (onec_internal.names_of_sync()) THEN '_' ELSE '' END,
		   p.is_key OR p.property IN ('Recorder', 'Recorder_Key', 'Recorder_Type')
	FROM onec.properties($1, $2) p
	WHERE $3 OR p.edm_type NOT IN ('Binary', 'Stream') OR p.property = 'DataVersion'
	ORDER BY p.ordinal
$$;

COMMENT ON FUNCTION onec_internal.properties_to_mirror(name, text, boolean) IS
	'Свойства набора, которые попадают в зеркало (служебная)';

CREATE FUNCTION onec_internal.section_values(target text, field name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(CASE
		WHEN f.field = s.owner_key THEN format('n.%I', s.owner_key)
		WHEN f.kind = 'jsonb' THEN format('r.value -> %L', f.candidates[1])
		WHEN f.kind = 'bytea' THEN format('decode(r.value ->> %L, ''base64'')', f.candidates[1])
		WHEN f.candidates = '{LineNumber}'
			THEN format('coalesce((r.value ->> ''LineNumber'')::%s, r.place)', f.kind)
		ELSE onec_internal.nested_value_expression(f.candidates, f.kind, NULL) END
		|| format(' AS %I', f.field), ', ' ORDER BY f.ordinal)
	FROM onec_internal.mirror_section s
	JOIN onec.field_source f ON f.target = concat_ws('.', s.target, s.field)
	WHERE s.target = $1 AND s.field = $2
$$;

COMMENT ON FUNCTION onec_internal.section_values(text, name) IS
	'Выражения: строка табличной части (служебная)';

CREATE FUNCTION onec_internal.section_statement(s onec_internal.mirror_section, tab regclass,
												changed boolean) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH list AS MATERIALIZED (
		SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
			   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE k.is_key) AS key,
			   string_agg(format('l.%1$I = w.%1$I', a.attname), ' AND ') FILTER (WHERE k.is_key) AS same,
			   string_agg(format('%1$I = excluded.%1$I', a.attname), ', ')
				   FILTER (WHERE NOT k.is_key) AS set,
			   string_agg(format('l.%I', a.attname), ', ' ORDER BY a.attnum) AS here,
			   string_agg(format('excluded.%I', a.attname), ', ' ORDER BY a.attnum) AS read,
			   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
				   FILTER (WHERE k.is_key AND a.attname <> 'copy') AS line
		FROM pg_attribute a
		CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $2 AND i.indisprimary
										   AND a.attnum = ANY (i.indkey)) AS is_key) k
		WHERE a.attrelid = $2 AND a.attnum > 0 AND NOT a.attisdropped
		  AND (a.attname = 'copy' OR a.attname IN (SELECT f.field FROM onec.field_source f
												   WHERE f.target = concat_ws('.', ($1).target, ($1).field))))
	SELECT format('
		WITH object AS MATERIALIZED (SELECT n.%1$I, n.%2$I FROM onec_new n %3$s),
		line AS (SELECT %4$s, r.value AS onec_value FROM object n
				 CROSS JOIN LATERAL jsonb_array_elements(n.%2$I) WITH ORDINALITY r (value, place)),
		wanted AS MATERIALIZED (
			SELECT x.*, (row_number() OVER (PARTITION BY %5$s ORDER BY x.onec_value) - 1)::smallint AS copy
			FROM line x),
		gone AS (DELETE FROM %6$s l USING object o
				 WHERE l.%1$I = o.%1$I AND NOT EXISTS (SELECT FROM wanted w WHERE %7$s))
		INSERT INTO %6$s AS l (%8$s) SELECT %8$s FROM wanted
		ON CONFLICT (%9$s) DO UPDATE SET %10$s WHERE ROW(%11$s) IS DISTINCT FROM ROW(%12$s)',
		($1).owner_key, ($1).field,
		CASE WHEN $3 THEN format('JOIN onec_old o ON o.%1$I = n.%1$I WHERE o.%2$I IS DISTINCT FROM n.%2$I',
								 ($1).owner_key, ($1).field) END,
		onec_internal.section_values(($1).target, ($1).field), i.line, $2, i.same, i.columns, i.key,
		coalesce(i.set, 'copy = excluded.copy'), i.here, i.read)
	FROM list i
$$;

COMMENT ON FUNCTION onec_internal.section_statement(onec_internal.mirror_section, regclass, boolean) IS
	'Запрос, который делает таблицу строк равной табличным частям объектов (служебная)';

CREATE FUNCTION onec_internal.spread_rows() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec_internal.mirror_section;
	tab regclass;
BEGIN
	FOR s IN SELECT m.* FROM onec_internal.mirror_section m JOIN onec.target t ON t.target = m.target
			 WHERE t.table_schema = tg_table_schema AND t.table_name = tg_table_name LOOP
		tab := to_regclass(format('%I.%I', s.table_schema, s.table_name));
		IF tab IS NULL THEN
			CONTINUE;
		ELSIF tg_op = 'DELETE' THEN
			EXECUTE format('DELETE FROM %1$s l USING onec_old o WHERE l.%2$I = o.%2$I', tab, s.owner_key);
		ELSE
			EXECUTE onec_internal.section_statement(s, tab, tg_op = 'UPDATE');
		END IF;
	END LOOP;
	RETURN NULL;
END $$;

COMMENT ON FUNCTION onec_internal.spread_rows() IS
	'Ведёт таблицы строк табличных частей зеркала (служебная)';

CREATE FUNCTION onec_internal.hold_schema(schema name) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM pg_namespace n WHERE n.nspname = hold_schema.schema FOR SHARE;
END $$;

COMMENT ON FUNCTION onec_internal.hold_schema(name) IS
	'Не дать переименовать схему до конца транзакции (служебная)';

CREATE FUNCTION onec_internal.code_of_others(tab regclass) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN pg_has_role(c.relowner, current_user, 'USAGE') THEN NULL
		WHEN c.relrowsecurity THEN 'row-level security'
		WHEN EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid) THEN 'rules'
		WHEN EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'inheritance'
		WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid
					 AND t.tgfoid <> 'onec_internal.spread_rows()'::regprocedure) THEN 'triggers'
		WHEN EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = c.oid) THEN 'defaults or generated columns'
		WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
			THEN 'check constraints'
		WHEN EXISTS (SELECT FROM pg_depend d
					 LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
					 WHERE (d.classid = 'pg_class'::regclass AND d.objid = c.oid OR i.indrelid = c.oid
							OR d.classid = 'pg_statistic_ext'::regclass AND d.objid IN (
								SELECT x.oid FROM pg_statistic_ext x WHERE x.stxrelid = c.oid))
					   AND d.refclassid IN ('pg_proc'::regclass, 'pg_type'::regclass,
											'pg_operator'::regclass))
			THEN 'types, functions or operators of others'
		END
	FROM pg_class c WHERE c.oid = $1
$$;

COMMENT ON FUNCTION onec_internal.code_of_others(regclass) IS
	'Какой чужой код сработал бы при записи в таблицу; NULL — никакой (служебная)';

CREATE FUNCTION onec_internal.hold_table(target text, table_schema name, table_name name) RETURNS regclass
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	called text := format('%I.%I', table_schema, table_name);
	tab regclass;
	code text;
BEGIN
	PERFORM onec_internal.hold_schema(table_schema);
	tab := to_regclass(called);
	IF tab IS NULL OR (SELECT c.relkind FROM pg_class c WHERE c.oid = tab) <> 'r' THEN
		RAISE undefined_table USING
			MESSAGE = format('%s, the local table of "%s", is not there or is no ordinary table', called,
							 target),
			HINT = format('Bring it back, or SELECT onec.unmirror(%L).', target);
	END IF;
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', tab);
	IF tab IS DISTINCT FROM to_regclass(called) THEN
		RAISE object_in_use USING MESSAGE = format('%s was replaced meanwhile', called);
	END IF;
	-- what policies hide would be taken for missing
	code := CASE WHEN row_security_active(tab) THEN 'row-level security'
				 ELSE onec_internal.code_of_others(tab) END;
	IF code IS NOT NULL THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('%s has %s, which would run with the rights of role "%s"', called, code,
							 current_user),
			DETAIL = format('Its owner, "%s", does not have the rights of that role.',
							(SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = tab)),
			HINT = 'Take them away, or let its owner call onec.sync.';
	END IF;
	RETURN tab;
END $$;

COMMENT ON FUNCTION onec_internal.hold_table(text, name, name) IS
	'Найти чужую таблицу и не дать её менять до конца транзакции (служебная)';

CREATE FUNCTION onec_internal.check_columns(tab regclass, fields_of text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wrong record;
BEGIN
	SELECT f.field, onec_internal.type_of_kind(f.kind) AS wanted, format_type(a.atttypid, NULL) AS type
	INTO wrong
	FROM onec.field_source f
	LEFT JOIN pg_attribute a ON a.attrelid = tab AND a.attname = f.field AND a.attnum > 0
		AND NOT a.attisdropped
	WHERE f.target = fields_of
	  AND (a.attname IS NULL OR a.attgenerated <> ''
		   OR a.atttypid <> onec_internal.type_of_kind(f.kind)::regtype)
	ORDER BY f.ordinal LIMIT 1;
	IF wrong.field IS NOT NULL THEN
		RAISE datatype_mismatch USING
			MESSAGE = format('column "%s" of %s is %s', wrong.field, tab,
							 coalesce('of type ' || wrong.type || ', which it was not made with',
									  'not there any more')),
			DETAIL = format('1C''s property is of type %s.', wrong.wanted),
			HINT = 'Bring it back, or make the mirror anew: onec.unmirror, onec.mirror.';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_columns(regclass, text) IS
	'Проверить, что столбцы чужой таблицы на месте (служебная)';

CREATE FUNCTION onec_internal.hold_own_tables(target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	s record;
	mirrored boolean;
	tab regclass;
BEGIN
	IF t.table_schema = 'onec' THEN
		RETURN;
	END IF;
	mirrored := onec_internal.is_mirror(target);
	tab := onec_internal.hold_table(target, t.table_schema, t.table_name);
	IF mirrored THEN
		PERFORM onec_internal.check_columns(tab, target);
	END IF;
	FOR s IN SELECT * FROM onec_internal.mirror_section m WHERE m.target = hold_own_tables.target LOOP
		tab := onec_internal.hold_table(target, s.table_schema, s.table_name);
		PERFORM onec_internal.check_columns(tab, concat_ws('.', target, s.field));
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.hold_own_tables(text) IS
	'Не дать менять таблицы зеркала до конца транзакции; чужой код в них — ошибка (служебная)';

CREATE FUNCTION onec_internal.columns_of_fields(fields_of text) RETURNS onec_internal.made_column[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(ROW(f.field, onec_internal.type_of_kind(f.kind), '{}'::text[],
						 f.candidates[1])::onec_internal.made_column ORDER BY f.ordinal)
	FROM onec.field_source f WHERE f.target = $1
$$;

COMMENT ON FUNCTION onec_internal.columns_of_fields(text) IS 'Столбцы местной таблицы зеркала (служебная)';

CREATE FUNCTION onec_internal.add_fields(fields_of text, properties jsonb, here text[]) RETURNS name[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p record;
	taken text[] := here || ARRAY(SELECT f.field FROM onec.field_source f WHERE f.target = fields_of);
	place int := coalesce((SELECT max(f.ordinal) FROM onec.field_source f WHERE f.target = fields_of), 0);
	added name[] := '{}';
	field name;
BEGIN
	FOR p IN SELECT x.property, x.kind, x.wanted, x.is_part
		FROM jsonb_to_recordset(properties) x (ordinal int, property text, kind text, wanted text,
											   is_part boolean)
		WHERE NOT EXISTS (SELECT FROM onec.field_source f
						  WHERE f.target = fields_of AND f.candidates = ARRAY[x.property])
		ORDER BY x.ordinal
	LOOP
		field := onec_internal.free_name(p.wanted, taken);
		taken := taken || field::text;
		place := place + 1;
		INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, empty)
		VALUES (fields_of, place, field, p.kind, ARRAY[p.property], p.is_part,
				CASE WHEN p.is_part AND p.property !~ '^(Ref|Recorder)(_Key|_Type)?$|^LineNumber$'
					 THEN onec_internal.empty_of_kind(p.kind) END);
		added := added || field;
	END LOOP;
	RETURN added;
END $$;

COMMENT ON FUNCTION onec_internal.add_fields(text, jsonb, text[]) IS
	'Завести поля для свойств, у которых их ещё нет (служебная)';

CREATE FUNCTION onec_internal.properties_as_json(server name, entity_set text,
												 with_binary boolean) RETURNS jsonb
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_agg(p) FROM onec_internal.properties_to_mirror($1, $2, $3) p
$$;

COMMENT ON FUNCTION onec_internal.properties_as_json(name, text, boolean) IS
	'Свойства набора для зеркала (служебная)';

CREATE FUNCTION onec_internal.make_mirror_table(table_schema name, table_name name, fields_of text,
												title text, with_server boolean,
												with_copy boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made onec_internal.made_column[] := onec_internal.columns_of_fields(fields_of);
	c onec_internal.made_column;
BEGIN
	EXECUTE format('CREATE TABLE %I.%I (%s%s%s, PRIMARY KEY (%s%s))', table_schema, table_name,
		(SELECT string_agg(format('%I %s', u.name, u.type), ', ') FROM unnest(made) u),
		CASE WHEN with_copy THEN ', copy smallint NOT NULL' END,
		CASE WHEN with_server THEN ', server smallint NOT NULL' END,
		(SELECT string_agg(quote_ident(f.field), ', ' ORDER BY f.ordinal) FROM onec.field_source f
		 WHERE f.target = fields_of AND f.is_key),
		CASE WHEN with_copy THEN ', copy' END);
	EXECUTE format('COMMENT ON TABLE %I.%I IS %L', table_schema, table_name, title);
	FOREACH c IN ARRAY made || ARRAY[
		('copy', '', '{}', 'Номер строки среди строк с тем же ключом, от 0'),
		('server', '', '{}', 'Номер внешнего сервера, один у всех строк')]::onec_internal.made_column[]
	LOOP
		CONTINUE WHEN c.name = 'copy' AND NOT with_copy OR c.name = 'server' AND NOT with_server;
		EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', table_schema, table_name, c.name, c.title);
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.make_mirror_table(name, name, text, text, boolean, boolean) IS
	'Создать местную таблицу зеркала (служебная)';

CREATE FUNCTION onec_internal.unit_of_mirror(target text) RETURNS name[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH part AS MATERIALIZED (SELECT f.field::name AS field, f.kind, f.ordinal, f.candidates[1] AS property
							   FROM onec.field_source f WHERE f.target = $1 AND f.is_key)
	SELECT coalesce(
		(SELECT array_agg(p.field ORDER BY p.ordinal) FROM part p WHERE p.property = 'Ref_Key'),
		(SELECT array_agg(p.field ORDER BY p.ordinal) FROM part p WHERE p.property IN ('Ref', 'Ref_Type')),
		(SELECT array_agg(p.field ORDER BY p.ordinal) FROM part p WHERE p.property ~ '^Recorder'),
		(SELECT array_agg(p.field ORDER BY p.kind = 'ref', p.ordinal) FROM part p))
$$;

COMMENT ON FUNCTION onec_internal.unit_of_mirror(text) IS
	'Столбцы того, что 1С записывает целиком, в зеркале (служебная)';

CREATE FUNCTION onec_internal.date_of_mirror(target text, entity_set text) RETURNS name
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.field::name FROM onec.field_source f
	WHERE f.target = $1 AND f.kind = 'timestamp'
	  AND f.candidates = CASE WHEN $2 ~ 'Register_' THEN '{Period}'::text[]
							  WHEN $2 ~ '^(Document|DocumentJournal|BusinessProcess|Task)_' THEN '{Date}' END
$$;

COMMENT ON FUNCTION onec_internal.date_of_mirror(text, text) IS
	'Столбец даты зеркала; NULL — читается целиком (служебная)';

CREATE FUNCTION onec_internal.people_of_mirror(target text, people text) RETURNS name[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted text;
	field name;
	found name[] := '{}';
BEGIN
	IF people = 'none' THEN
		RETURN '{}';
	END IF;
	FOREACH wanted IN ARRAY regexp_split_to_array(btrim(coalesce(people, '')), '\s*,\s*') LOOP
		field := (SELECT f.field FROM onec.field_source f
				  WHERE f.target = people_of_mirror.target AND f.kind IN ('ref', 'text')
					AND wanted IN (f.candidates[1], f.field)
				  ORDER BY f.candidates[1] = wanted DESC LIMIT 1);
		IF field IS NULL THEN
			RAISE invalid_parameter_value USING
				MESSAGE = format('the set has no reference "%s"', wanted),
				DETAIL = 'Whose a row is, is said by the properties that hold a person or a card: '
						 'onec.forget goes by them.',
				HINT = format('Its references: %s. Or say ''none'': the rows are about nobody.', (
					SELECT string_agg(f.candidates[1], ', ' ORDER BY f.ordinal) FROM onec.field_source f
					WHERE f.target = people_of_mirror.target AND f.kind = 'ref'));
		END IF;
		found := found || field;
	END LOOP;
	RETURN found;
END $$;

COMMENT ON FUNCTION onec_internal.people_of_mirror(text, text) IS
	'Столбцы, которые говорят, чья строка зеркала (служебная)';

CREATE FUNCTION onec_internal.published_set(server name, entity_set text, OUT name text, OUT local_name text,
											OUT key text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	nearest text;
BEGIN
	IF to_regclass('pg_temp.onec_published') IS NULL THEN
		CREATE TEMPORARY TABLE onec_published (server name, entity_set text, local_name text, key text)
			ON COMMIT DROP;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_temp.onec_published p WHERE p.server = published_set.server) THEN
		INSERT INTO pg_temp.onec_published
		SELECT published_set.server, s.entity_set, s.local_name, s.key
		FROM onec.entity_sets(published_set.server) s;
	END IF;
	SELECT p.entity_set, p.local_name, p.key INTO name, local_name, key FROM pg_temp.onec_published p
	WHERE p.server = published_set.server
	  AND published_set.entity_set IN (p.entity_set, p.local_name)
	ORDER BY p.entity_set <> published_set.entity_set LIMIT 1;
	IF name IS NULL THEN
		nearest := onec_internal.nearest_words(entity_set,
			ARRAY(SELECT p.entity_set FROM pg_temp.onec_published p WHERE p.server = published_set.server));
		RAISE undefined_table USING
			MESSAGE = format('1C server "%s" does not publish "%s"', server, entity_set),
			HINT = coalesce('Perhaps you meant: ' || nearest || '.',
							format('SELECT * FROM onec.entity_sets(%L) lists what it publishes.', server));
	ELSIF key IS NULL THEN
		RAISE feature_not_supported USING
			MESSAGE = format('"%s" of server "%s" has no key', name, server),
			DETAIL = 'Rows that cannot be told apart cannot be kept equal to those of 1C.';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.published_set(name, text) IS
	'Опубликованный набор: имя, имя таблицы, ключ (служебная)';

CREATE FUNCTION onec_internal.make_mirror_sections(t onec.target) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	fields_of text;
	called name;
	made int := 0;
	owner_key name := t.unit[1];
BEGIN
	FOR s IN
		SELECT f.field, f.ordinal, p.entity_set FROM onec.field_source f
		JOIN pg_temp.onec_published p ON p.server = t.server
			AND p.entity_set = t.entity_set || '_' || f.candidates[1] AND p.key = 'Ref_Key,LineNumber'
		WHERE f.target = t.target AND f.kind = 'jsonb' AND t.unit = ARRAY[owner_key] ORDER BY f.ordinal
	LOOP
		fields_of := concat_ws('.', t.target, s.field);
		PERFORM onec_internal.add_fields(fields_of,
			(SELECT jsonb_agg(to_jsonb(p) || CASE WHEN p.property = 'Ref_Key'
												  THEN jsonb_build_object('wanted', owner_key) ELSE '{}' END)
			 FROM onec_internal.properties_to_mirror(t.server, s.entity_set, (
				SELECT m.with_binary FROM onec_internal.mirror m WHERE m.target = t.target)) p),
			onec_internal.names_of_sync() || '{onec_value}'::text[]);
		called := onec_internal.free_name(t.table_name || '_' || s.field,
			ARRAY(SELECT c.relname FROM pg_class c
				  WHERE c.relnamespace = to_regnamespace(quote_ident(t.table_schema))));
		PERFORM onec_internal.make_mirror_table(t.table_schema, called, fields_of,
												format('%s: %s', t.title, s.entity_set), false, true);
		INSERT INTO onec_internal.mirror_section
		VALUES (t.server, t.target, s.field, s.entity_set, owner_key, t.table_schema, called);
		made := made + 1;
	END LOOP;
	IF made > 0 THEN
		EXECUTE format('
			CREATE TRIGGER onec_rows_insert AFTER INSERT ON %1$I.%2$I REFERENCING NEW TABLE AS onec_new
				FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.spread_rows();
			CREATE TRIGGER onec_rows_update AFTER UPDATE ON %1$I.%2$I
				REFERENCING OLD TABLE AS onec_old NEW TABLE AS onec_new
				FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.spread_rows();
			CREATE TRIGGER onec_rows_delete AFTER DELETE ON %1$I.%2$I REFERENCING OLD TABLE AS onec_old
				FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.spread_rows()',
			t.table_schema, t.table_name);
	END IF;
	RETURN made;
END $$;

COMMENT ON FUNCTION onec_internal.make_mirror_sections(onec.target) IS
	'Создать таблицы строк табличных частей (служебная)';

CREATE FUNCTION onec_internal.add_mirror_target(server name, target text, entity_set text, table_schema name,
												table_name name, people text,
												erasure text) RETURNS onec.target
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	whose name[] := onec_internal.people_of_mirror(target, people);
	made onec.target;
BEGIN
	IF erasure = 'mask' AND EXISTS (SELECT FROM onec.field_source f
									WHERE f.target = add_mirror_target.target AND f.is_key
									  AND f.field = ANY (whose)) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'rows whose key is the person cannot be masked',
			HINT = 'Leave erasure out: onec.forget deletes them.';
	END IF;
	INSERT INTO onec.target AS t (target, server, ordinal, step, title, source, entity_set, table_schema,
		table_name, unit, date_column, marks_deleted, people, erasure, purge, touches, is_open)
	SELECT x.target, x.server, (SELECT greatest(max(k.ordinal), 999) + 1 FROM onec.target k), 'mirrors',
		   onec_internal.title_of_mirrors(), 'set', x.entity_set, x.table_schema, x.table_name,
		   onec_internal.unit_of_mirror(x.target), onec_internal.date_of_mirror(x.target, x.entity_set),
		   false, whose, CASE WHEN whose = '{}' THEN 'none' ELSE coalesce(x.erasure, 'delete') END, 'none',
		   '{}', false
	FROM (SELECT target, server, entity_set, table_schema, table_name, erasure) x
	RETURNING * INTO made;
	RETURN made;
END $$;

COMMENT ON FUNCTION onec_internal.add_mirror_target(name, text, text, name, name, text, text) IS
	'Записать зеркало в onec.target (служебная)';

CREATE FUNCTION onec_internal.title_of_mirrors() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'Зеркало';

COMMENT ON FUNCTION onec_internal.title_of_mirrors() IS 'Название таблиц зеркал (служебная)';

CREATE FUNCTION onec.mirror(server name, entity_set text, people text,
							local_schema name DEFAULT current_schema(), local_table name DEFAULT NULL,
							erasure text DEFAULT NULL, sections boolean DEFAULT false,
							with_binary boolean DEFAULT false)
	RETURNS TABLE (mirror text, table_name text, source text, columns int, by_date name)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	binary_too boolean := with_binary;
	called text;
	found record;
	properties jsonb;
	t onec.target;
BEGIN
	PERFORM onec_internal.must_write('mirror');
	PERFORM onec_internal.checked_word('erasure', coalesce(erasure, 'delete'), '{delete,mask}');
	IF local_schema IS NULL OR local_schema IN ('onec', 'onec_internal', 'information_schema')
		OR starts_with(local_schema, 'pg_')
		OR local_schema IN (SELECT k.server FROM onec_internal.known_servers k) THEN
		RAISE invalid_schema_name USING
			MESSAGE = format('a mirror cannot stand in schema "%s"', coalesce(local_schema, 'NULL')),
			HINT = 'Name a schema of your own: local_schema => ''…''.';
	END IF;
	SELECT * INTO found FROM onec_internal.published_set(srv, entity_set);
	PERFORM onec_internal.make_schema_of_server(srv);
	PERFORM pg_advisory_xact_lock(hashtextextended('onec mirror', 0));
	source := found.name;
	local_table := coalesce(local_table, found.local_name);
	-- a dot stands between a target and the field of a section
	called := onec_internal.free_name(translate(local_table, '.', '_'), ARRAY(
		SELECT k.target FROM onec.target k UNION ALL SELECT 'sale_turnover' UNION ALL SELECT 'loyalty_now'
		UNION ALL SELECT c.relname FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(srv))));
	INSERT INTO onec_internal.mirror (server, target, with_binary, with_sections)
	VALUES (srv, called, binary_too, sections);
	properties := onec_internal.properties_as_json(srv, source, binary_too);
	PERFORM onec_internal.add_fields(called, properties, onec_internal.names_of_sync());
	t := onec_internal.add_mirror_target(srv, called, source, local_schema, local_table, people, erasure);
	PERFORM onec_internal.make_mirror_table(local_schema, local_table, called,
											format('%s: %s', t.title, source), true,
											found.key NOT IN ('Ref_Key', 'SurrogateKey'));
	PERFORM onec_internal.make_table(srv, called, t.title, source,
									 ARRAY['entity_set=' || source, 'key=' || found.key],
									 onec_internal.columns_to_make(srv, called, source));
	mirror := called;
	by_date := t.date_column;
	columns := jsonb_array_length(properties);
	table_name := format('%I.%I', local_schema, local_table);
	RETURN NEXT;
	IF sections AND onec_internal.make_mirror_sections(t) > 0 THEN
		RETURN QUERY SELECT called, format('%I.%I', s.table_schema, s.table_name), s.entity_set,
							(SELECT count(*)::int FROM onec.field_source f
							 WHERE f.target = concat_ws('.', s.target, s.field)), NULL::name
					 FROM onec_internal.mirror_section s WHERE s.target = called ORDER BY s.field;
	END IF;
END $$;

COMMENT ON FUNCTION onec.mirror(name, text, text, name, name, text, boolean, boolean) IS
	'Завести зеркало: обычную таблицу, которую синхронизация ведёт по любому набору базы. people — свойства, '
	'которые говорят, чья строка (контрагент, карта; через запятую), или none: строки не о людях; erasure — '
	'delete (по умолчанию) или mask: что с ними делает onec.forget; sections — таблицы и для табличных '
	'частей; with_binary — и двоичные свойства. Таблица принадлежит вызвавшему';

REVOKE EXECUTE ON FUNCTION onec.mirror(name, text, text, name, name, text, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION onec_internal.insert_many(tab regclass, query text) RETURNS bigint
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_insert_many';

COMMENT ON FUNCTION onec_internal.insert_many(regclass, text) IS
	'Вставить строки запроса помногу, как COPY (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.analyze_what_changed() RETURNS void
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

-- by hand: table onec.sync_step
ALTER TABLE onec.sync_step ADD objects_told bigint, ADD resumed boolean NOT NULL DEFAULT false;
--   +	objects_told bigint,
--   +	resumed boolean NOT NULL DEFAULT false,

COMMENT ON COLUMN onec.sync_step.objects_told IS
	'О скольких объектах сообщил план обмена, если шаг прочитал только их; NULL — читал без него';

COMMENT ON COLUMN onec.sync_step.resumed IS
	'Шаг продолжил полное чтение, начатое прежним запуском: часть таблицы прочитана тогда';

-- by hand: table onec.sync_state
ALTER TABLE onec.sync_state ADD as_of timestamptz;
--   +	as_of timestamptz,

COMMENT ON COLUMN onec.sync_state.as_of IS
	'На какой момент таблица равна 1С: когда началось последнее полное прочтение';

CREATE OR REPLACE VIEW onec.sync_progress AS
	SELECT s.server, s.run_id, s.step, s.target, s.windows_done, s.windows_total, s.rows_read, s.requests,
		   clock_timestamp() - s.started_at AS elapsed,
		   round(s.rows_read / nullif(extract(epoch FROM clock_timestamp() - s.started_at), 0),
				 0) AS rows_per_second,
		   CASE WHEN s.windows_done > 0 THEN
				(clock_timestamp() - s.started_at) / s.windows_done
					* (s.windows_total - s.windows_done) END AS remaining,
		   floor(100.0 * s.windows_done / nullif(s.windows_total, 0))::int AS percent
	FROM onec.sync_step s JOIN onec.sync_run r ON r.server = s.server AND r.run_id = s.run_id
	WHERE r.status = 'running' AND s.status = 'running';

COMMENT ON COLUMN onec.sync_progress.percent IS 'Какая часть окон прочитана, в процентах';

CREATE FUNCTION onec_internal.staged_fields(server name, target text) RETURNS SETOF onec.field_source
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.* FROM onec.field_source f
	WHERE f.target = $2
	  AND ((SELECT NOT onec_internal.is_mirror($2)) OR onec_internal.publishes_field($1, $2, f.field))
$$;

COMMENT ON FUNCTION onec_internal.staged_fields(name, text) IS
	'Поля, которые читаются во временную таблицу (служебная)';

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
			WHEN f.empty IS NOT NULL THEN format('coalesce(f.%I, %L)', f.field, f.empty)
			ELSE format(CASE WHEN adds AND f.kind = 'numeric' THEN 'sum(f.%I::%s)' ELSE 'f.%I::%s' END,
						f.field, onec_internal.type_of_kind(f.kind))
		END) || format(' AS %I', f.field), ', ' ORDER BY f.ordinal),
		   'GROUP BY ' || string_agg(f.place::text, ', ' ORDER BY f.ordinal)
			   FILTER (WHERE adds AND f.kind <> 'numeric')
	INTO list, grouped
	FROM (SELECT s.*, row_number() OVER (ORDER BY s.ordinal) AS place
		  FROM onec_internal.staged_fields(server, target) s) f
	CROSS JOIN LATERAL (SELECT f.kind = 'ref' AND NOT f.is_key
							AND onec_internal.is_part_of_key(f.target, f.field) AS is_filled) k
	LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', server, stage_select_list.target))
		AND a.attname = f.field AND a.attnum > 0 AND NOT a.attisdropped;
END $$;

COMMENT ON FUNCTION onec_internal.stage_select_list(name, text) IS
	'Выражения, которыми строки 1С становятся местными (служебная)';

DROP FUNCTION onec_internal.stage_columns;
CREATE FUNCTION onec_internal.stage_columns(server name, target text, OUT list text, OUT joins text)
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
		  FROM onec_internal.staged_fields(server, target) s
		  CROSS JOIN (VALUES ('onec_internal.is_own_document(r.document_id, r.document_type, r.recorder, '
							  'r.recorder_type)')) o (is_own)
		  LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(onec_internal.table_of_target(s.target))
			  AND a.attname = s.field AND a.attnum > 0) f;
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

COMMENT ON FUNCTION onec_internal.stage_columns(name, text) IS
	'Столбцы прочитанных строк: слова заменены номерами (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.fill_table(tab name, shape text, query text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT onec_internal.take_table_again(tab, shape) THEN
		EXECUTE format('CREATE TEMPORARY TABLE %I ON COMMIT DELETE ROWS AS %s WITH NO DATA', tab, query);
		PERFORM set_config('onec_internal.' || tab, shape, false);
	END IF;
	RETURN onec_internal.insert_many(format('pg_temp.%I', tab)::regclass, query);
END $$;

CREATE FUNCTION onec_internal.version_column(server name, target text) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT a.attname FROM pg_foreign_table f JOIN pg_attribute a ON a.attrelid = f.ftrelid
			WHERE f.ftrelid = to_regclass(format('%I.%I', server, target)) AND NOT a.attisdropped
			  AND 'property=DataVersion' = ANY (a.attfdwoptions)
			  AND 'missing_property=null' <> ALL (a.attfdwoptions)
			ORDER BY a.attnum LIMIT 1);
END $$;

COMMENT ON FUNCTION onec_internal.version_column(name, text) IS
	'Столбец внешней таблицы с DataVersion (служебная)';

DROP FUNCTION onec_internal.stage_rows;
CREATE FUNCTION onec_internal.stage_rows(server name, target text, condition text, part text DEFAULT '',
										 into_table text DEFAULT 'onec_stage',
										 versions boolean DEFAULT false)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
DECLARE
	made record;
	value record;
	shape text := target || CASE WHEN versions THEN ' with versions' ELSE '' END;
BEGIN
	PERFORM onec_internal.new_server_number(server);
	SELECT * INTO made FROM onec_internal.stage_columns(server, target);
	SELECT * INTO value FROM onec_internal.stage_select_list(server, target);
	RETURN onec_internal.fill_table(into_table, shape, format(
		'SELECT %s AS server, %s FROM (SELECT %s FROM %I.%I f WHERE %s %s %s) r%s',
		onec_internal.server_in(onec_internal.table_of_target(target), server),
		made.list || CASE WHEN versions THEN ', r.onec_version' ELSE '' END,
		value.list || CASE WHEN versions THEN format(', f.%I::text AS onec_version',
													 onec_internal.version_column(server, target))
						   ELSE '' END,
		server, target, concat_ws(' AND ', condition, onec_internal.function_arguments(server, target)),
		value.grouped, coalesce(nullif(part, ''), 'OFFSET 0'), made.joins));
END $$;

COMMENT ON FUNCTION onec_internal.stage_rows(name, text, text, text, text, boolean) IS
	'Прочитать строки 1С во временную таблицу (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.keep_what_is_here(server name, target text) RETURNS void
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
			SELECT %1$s, h.tableoid AS tab, h.ctid AS place
			FROM %2$s h JOIN pg_temp.onec_twice k ON (%3$s) = (%4$s)
			WHERE h.server = %5$s AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s
												  WHERE (%6$s) = (%3$s) AND %7$s)),
		gone AS (DELETE FROM pg_temp.onec_stage s USING here k WHERE (%6$s) = (%4$s))
		INSERT INTO pg_temp.onec_stage (%8$s)
		SELECT %9$s FROM here k JOIN %2$s h ON h.ctid = k.place AND h.tableoid = k.tab',
		key_twice, onec_internal.table_of_target(target), key_here, key_twice,
		onec_internal.server_in(onec_internal.table_of_target(target), server), key_read,
		onec_internal.same_row_condition(target, 'h', 's'),
		replace(onec_internal.columns_in_common(target, 'h'), 'h.', ''),
		onec_internal.columns_in_common(target, 'h'));
END $$;

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('feed.enabled', 'bool', 'false', NULL, NULL, NULL,
	 'Записывать в onec.change_feed, что изменила синхронизация', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('keep.feed_days', 'int', '30', NULL, 0, 36500, 'Сколько дней хранить onec.change_feed; 0 — всегда', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec.change_feed (
	server name NOT NULL,
	position bigint NOT NULL,
	kind text NOT NULL,
	key_id uuid NOT NULL,
	change text NOT NULL CHECK (change IN ('new', 'changed', 'gone')),
	target text NOT NULL,
	run_id bigint NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, position)
);

COMMENT ON TABLE onec.change_feed IS
	'Что изменила синхронизация, если включена настройка feed.enabled; читать через onec.changes_since';

COMMENT ON COLUMN onec.change_feed.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.change_feed.position IS 'Номер: у сервера по порядку фиксации';

COMMENT ON COLUMN onec.change_feed.kind IS 'Что изменилось: onec.target.feeds';

COMMENT ON COLUMN onec.change_feed.key_id IS 'Ссылка на то, что изменилось';

COMMENT ON COLUMN onec.change_feed.change IS
	'new — появилось, changed — изменилось само или строки о нём, gone — в 1С его больше нет';

COMMENT ON COLUMN onec.change_feed.target IS 'В какой таблице';

COMMENT ON COLUMN onec.change_feed.run_id IS 'Номер запуска';

COMMENT ON COLUMN onec.change_feed.changed_at IS 'Когда';

SELECT pg_catalog.pg_extension_config_dump('onec.change_feed', '');

CREATE TABLE onec_internal.feed_place (
	server name PRIMARY KEY,
	last bigint NOT NULL,
	trimmed bigint NOT NULL DEFAULT 0
);

COMMENT ON TABLE onec_internal.feed_place IS 'До какого номера дошла лента изменений';

COMMENT ON COLUMN onec_internal.feed_place.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.feed_place.last IS 'Последний номер';

COMMENT ON COLUMN onec_internal.feed_place.trimmed IS 'До какого номера записи уже удалены';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.feed_place', '');

CREATE FUNCTION onec_internal.write_feed(server name, target text, query text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kind text := (onec_internal.target_named(target)).feeds;
	behind bigint;
	added bigint;
BEGIN
	INSERT INTO onec_internal.feed_place AS p (server, last) VALUES (server, 0)
	ON CONFLICT ON CONSTRAINT feed_place_pkey DO NOTHING;
	behind := (SELECT p.last FROM onec_internal.feed_place p WHERE p.server = write_feed.server FOR UPDATE);
	EXECUTE format('INSERT INTO onec.change_feed (server, position, kind, key_id, change, target, run_id)
		SELECT $1, $2 + row_number() OVER (ORDER BY k.key_id), $3, k.key_id, k.change, $4,
			   coalesce((SELECT max(r.run_id) FROM onec.sync_run r
						 WHERE r.server = $1 AND r.status = ''running''), 0)
		FROM (%s) k WHERE k.key_id IS NOT NULL', query) USING server, behind, kind, target;
	GET DIAGNOSTICS added = ROW_COUNT;
	UPDATE onec_internal.feed_place p SET last = behind + added
	WHERE p.server = write_feed.server AND added > 0;
END $$;

COMMENT ON FUNCTION onec_internal.write_feed(name, text, text) IS 'Дописать ленту изменений (служебная)';

CREATE FUNCTION onec_internal.is_fed(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (onec_internal.target_named(target)).feeds IS NOT NULL
		AND onec.get('feed.enabled', server)::boolean;
END $$;

COMMENT ON FUNCTION onec_internal.is_fed(name, text) IS
	'Записываются ли изменения таблицы в ленту (служебная)';

CREATE FUNCTION onec_internal.feed_changed(server name, target text, query text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.is_fed(server, target) THEN
		PERFORM onec_internal.write_feed(server, target, format(
			'SELECT DISTINCT k.key_id, ''changed'' AS change FROM (%s) k (key_id)', query));
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.feed_changed(name, text, text) IS
	'Записать в ленту, о ком изменились строки (служебная)';

CREATE FUNCTION onec_internal.note_who_is_written(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.is_fed(server, target) THEN
		CREATE TEMPORARY TABLE onec_written (customer_id uuid NOT NULL) ON COMMIT DROP;
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.note_who_is_written(name, text) IS
	'Запоминать, о ком пишутся пересчитанные строки (служебная)';

CREATE FUNCTION onec_internal.feed_window(server name, target text, fresh boolean, same_key text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	tab text := onec_internal.table_of_target(target);
	is_object boolean := onec_internal.stage_key_columns(target, 's') = 's.' || quote_ident(t.feed_key);
BEGIN
	IF NOT onec_internal.is_fed(server, target) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.write_feed(server, target, CASE
		WHEN fresh THEN
			format('SELECT DISTINCT s.%I AS key_id, %L AS change FROM pg_temp.onec_stage s', t.feed_key,
				   CASE WHEN is_object THEN 'new' ELSE 'changed' END)
		WHEN is_object THEN
			format('SELECT coalesce(c.%1$I, s.%1$I) AS key_id,
						   CASE WHEN c.place IS NULL THEN ''gone'' WHEN c.here THEN ''changed''
								ELSE ''new'' END AS change
					FROM pg_temp.onec_change c LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place',
				   t.feed_key)
		ELSE
			format('SELECT s.%1$I AS key_id, ''changed'' AS change FROM pg_temp.onec_change c
						JOIN pg_temp.onec_stage s ON s.ctid = c.place
					UNION
					SELECT t.%1$I, ''changed'' FROM pg_temp.onec_change s JOIN %2$s t ON %3$s WHERE s.here',
				   t.feed_key, tab, same_key) END);
END $$;

COMMENT ON FUNCTION onec_internal.feed_window(name, text, boolean, text) IS
	'Записать в ленту, что изменит окно (служебная)';

CREATE FUNCTION onec.feed_position(server name DEFAULT NULL) RETURNS bigint
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT p.last FROM onec_internal.feed_place p
					 WHERE p.server = onec_internal.server_meant($1)), 0);

COMMENT ON FUNCTION onec.feed_position(name) IS
	'Номер последней записи ленты изменений: кто сейчас прочтёт таблицы целиком, продолжит с него';

REVOKE EXECUTE ON FUNCTION onec.feed_position(name) FROM PUBLIC;

CREATE FUNCTION onec.changes_since("position" bigint, server name DEFAULT NULL, max_rows int DEFAULT 1000)
	RETURNS SETOF onec.change_feed
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	place onec_internal.feed_place;
BEGIN
	IF "position" IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'the position is NULL',
			HINT = format('Begin with onec.feed_position(%L).', srv);
	END IF;
	SELECT * INTO place FROM onec_internal.feed_place p WHERE p.server = srv;
	IF "position" < coalesce(place.trimmed, 0) OR "position" > coalesce(place.last, 0) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the feed of server "%s" has the changes behind %s to %s, not those behind %s',
							 srv, coalesce(place.trimmed, 0), coalesce(place.last, 0), "position"),
			HINT = format('SELECT onec.feed_position(%L), then read the tables whole, then go on from '
						  'that position.', srv);
	END IF;
	RETURN QUERY SELECT f.* FROM onec.change_feed f
		WHERE f.server = srv AND f.position > changes_since.position
		ORDER BY f.position LIMIT changes_since.max_rows;
END $$;

COMMENT ON FUNCTION onec.changes_since(bigint, name, int) IS
	'Изменения после номера, по порядку, не больше max_rows; ошибка, если их уже не хранят';

REVOKE EXECUTE ON FUNCTION onec.changes_since(bigint, name, int) FROM PUBLIC;

CREATE FUNCTION onec_internal.trim_feed(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days int := onec.get('keep.feed_days', server)::int;
	upto bigint := (SELECT max(f.position) FROM onec.change_feed f
					WHERE f.server = trim_feed.server AND days > 0
					  AND f.changed_at < now() - make_interval(days => days));
BEGIN
	IF upto IS NOT NULL THEN
		UPDATE onec_internal.feed_place p SET trimmed = greatest(p.trimmed, upto)
		WHERE p.server = trim_feed.server;
		DELETE FROM onec.change_feed f WHERE f.server = trim_feed.server AND f.position <= upto;
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.trim_feed(name) IS 'Удалить старые записи ленты изменений (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.write_differences(server name, target text, sure text DEFAULT 'false',
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
	PERFORM onec_internal.feed_window(server, target, false, part.same_key);
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

CREATE FUNCTION onec_internal.are_card_rows_old(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT s.status NOT IN ('ok', 'not published') FROM onec.sync_step s
					 JOIN onec.target t ON t.target = s.target AND 'documents' = ANY (t.touches)
					 WHERE s.server = $1 ORDER BY s.run_id DESC LIMIT 1), false)
$$;

COMMENT ON FUNCTION onec_internal.are_card_rows_old(name) IS
	'Могут ли продажи по картам быть старше строк продаж (служебная)';

CREATE FUNCTION onec_internal.keep_buyers_of_staged(server name) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept bigint;
BEGIN
	UPDATE pg_temp.onec_stage s
	SET customer_id = l.customer_id, card_id = l.card_id, attribution = l.attribution
	FROM onec_internal.sale_line l
	WHERE s.attribution = onec_internal.own_term('anonymous')
	  AND l.attribution = onec_internal.own_term('card_register')
	  AND l.server = onec_internal.number_of_server(keep_buyers_of_staged.server)
	  AND l.register = s.register AND l.recorder = s.recorder AND l.recorder_type = s.recorder_type
	  AND l.line_no = s.line_no AND l.copy = s.copy AND l.product_id IS NOT DISTINCT FROM s.product_id;
	GET DIAGNOSTICS kept = ROW_COUNT;
	RETURN kept;
END $$;

COMMENT ON FUNCTION onec_internal.keep_buyers_of_staged(name) IS
	'Оставить строкам покупателей, которых дал регистр продаж по картам (служебная)';

CREATE FUNCTION onec_internal.attribute_window(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT onec_internal.has_buyer(target) THEN
		RETURN 0;
	END IF;
	-- one column will do: the planner looks how many rows there are, and makes its plans anew
	ANALYZE pg_temp.onec_stage (server);
	PERFORM onec_internal.attribute_staged_sales(server);
	RETURN CASE WHEN onec_internal.are_card_rows_old(server)
				THEN onec_internal.keep_buyers_of_staged(server) ELSE 0 END;
END $$;

COMMENT ON FUNCTION onec_internal.attribute_window(name, text) IS
	'Определить покупателей прочитанного окна (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.attribute_noted_documents(server name) RETURNS void
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
		PERFORM onec_internal.keep_buyers_of_staged(server);
		PERFORM onec_internal.drop_forgotten_from_staged(server, 'sale_line');
		PERFORM onec_internal.compare_with_staged(server, 'sale_line', NULL);
		PERFORM onec_internal.write_differences(server, 'sale_line');
	END IF;
	DROP TABLE pg_temp.onec_stage, pg_temp.onec_document;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.questions_about_missing(server name, target text) RETURNS TABLE (condition text)
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
			   AND a.atttypid = 'uuid'::regtype) AND NOT onec_internal.is_nested(server, target)
		-- 1C is not asked for an empty part of a key, nor for one dimension of many
		AND NOT EXISTS (SELECT FROM onec.field_source f
						WHERE f.target = questions_about_missing.target AND f.field = key
						  AND f.empty IS NOT NULL) THEN
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
	-- what an exchange plan has told of comes with others that are here
	IF date_column IS NULL THEN
		RETURN true;
	END IF;
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

CREATE FUNCTION onec_internal.source_set(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT o.option_value FROM pg_foreign_table f, pg_options_to_table(f.ftoptions) o
			WHERE f.ftrelid = to_regclass(format('%I.%I', server, target)) AND o.option_name = 'entity_set');
END $$;

COMMENT ON FUNCTION onec_internal.source_set(name, text) IS
	'Набор 1С, который читает внешняя таблица (служебная)';

CREATE FUNCTION onec_internal.version_owner(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit name[] := onec_internal.unit_columns(target);
	read_set text := onec_internal.source_set(server, target);
BEGIN
	IF cardinality(unit) <> 1 OR read_set IS NULL OR NOT EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = to_regclass(format('%I.%I', server, target)) AND a.attname = unit[1]
		  AND a.atttypid = 'uuid'::regtype AND 'property=Ref_Key' = ANY (a.attfdwoptions)) THEN
		RETURN NULL;
	ELSIF onec_internal.stage_key_columns(target, 's') = 's.' || quote_ident(unit[1]) THEN
		RETURN CASE WHEN onec_internal.version_column(server, target) IS NOT NULL THEN target END;
	END IF;
	RETURN (SELECT o.target FROM onec_internal.sync_steps(server, NULL) o
			CROSS JOIN LATERAL (SELECT onec_internal.source_set(version_owner.server, o.target) AS read) s
			WHERE o.target <> version_owner.target AND starts_with(read_set, s.read || '_')
			  AND cardinality(o.unit) = 1
			  AND onec_internal.version_column(version_owner.server, o.target) IS NOT NULL
			ORDER BY length(s.read) DESC LIMIT 1);
END $$;

COMMENT ON FUNCTION onec_internal.version_owner(name, text) IS
	'Таблица, по версиям которой видно изменения этой: она сама или владелец табличной части (служебная)';

CREATE FUNCTION onec_internal.version_signature(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN md5(concat_ws(';', onec_internal.source_set(server, target),
		(SELECT l.list FROM onec_internal.stage_select_list(server, target) l),
		(SELECT string_agg(format('%s %s', a.attname, a.attfdwoptions), ',' ORDER BY a.attnum)
		 FROM pg_attribute a WHERE a.attrelid = to_regclass(format('%I.%I', server, target))
		   AND a.attnum > 0 AND NOT a.attisdropped),
		(SELECT string_agg(format('%s %s', a.attname, a.atttypid), ',' ORDER BY a.attnum)
		 FROM pg_attribute a WHERE a.attrelid = onec_internal.table_of_target(target)::regclass
		   AND a.attnum > 0 AND NOT a.attisdropped)));
END $$;

COMMENT ON FUNCTION onec_internal.version_signature(name, text) IS
	'Из чего сделаны строки таблицы (служебная)';

CREATE FUNCTION onec_internal.unit_hash_query(server name, target text, also text DEFAULT 'true') RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
BEGIN
	RETURN (SELECT format('SELECT h.%1$I AS key_id, bit_xor(hash_record_extended(ROW(%2$s), 0)) AS row_hash
				FROM %3$s h WHERE h.server = %4$s AND %5$s AND %6$s GROUP BY h.%1$I',
				(onec_internal.unit_columns(target))[1],
				string_agg(format('h.%I', a.attname), ', ' ORDER BY a.attnum), tab,
				onec_internal.server_in(tab, server),
				CASE WHEN onec_internal.has_deletion_mark(target) THEN 'NOT h.is_deleted' ELSE 'true' END,
				also)
			FROM pg_attribute a
			WHERE a.attrelid = tab::regclass AND a.attnum > 0 AND NOT a.attisdropped
			  AND a.attname NOT IN ('server', 'is_deleted'));
END $$;

COMMENT ON FUNCTION onec_internal.unit_hash_query(name, text, text) IS
	'Запрос: объекты, которые здесь, с хешем их строк (служебная)';

CREATE FUNCTION onec_internal.versions_of_run(server name) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	run text := format('%s %s:', (SELECT max(r.run_id) FROM onec.sync_run r
								  WHERE r.server = versions_of_run.server AND r.status = 'running'), server);
	kept text := current_setting('onec_sync.versions_read', true);
BEGIN
	RETURN CASE WHEN starts_with(kept, run) THEN kept ELSE run END;
END $$;

COMMENT ON FUNCTION onec_internal.versions_of_run(name) IS
	'Версии каких таблиц прочитаны этим запуском (служебная)';

CREATE FUNCTION onec_internal.version_word(target text) RETURNS smallint
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT t.number FROM onec_internal.term t WHERE t.word = $1);

COMMENT ON FUNCTION onec_internal.version_word(text) IS 'Номер имени таблицы у версий (служебная)';

CREATE FUNCTION onec_internal.known_versions(server name, target text, scope text, OUT held bigint,
											 OUT known bigint)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
BEGIN
	EXECUTE format('SELECT count(*), count(v.key_id)
		FROM (SELECT %1$I AS id FROM %2$s WHERE server = %3$s AND (%4$s) %5$s LIMIT 1000) x
		LEFT JOIN onec_internal.row_version v
			ON v.server = onec_internal.number_of_server($1) AND v.target = $2 AND v.key_id = x.id',
		(onec_internal.unit_columns(target))[1], tab, onec_internal.server_in(tab, server), scope,
		CASE WHEN onec_internal.has_deletion_mark(target) THEN 'AND NOT is_deleted' END)
		INTO held, known USING server, onec_internal.version_word(target);
END $$;

COMMENT ON FUNCTION onec_internal.known_versions(name, text, text) IS
	'Сколько строк здесь и у скольких известна версия, из первой тысячи (служебная)';

CREATE FUNCTION onec_internal.version_way(server name, target text, scope text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wish text := onec.get('sync.versions', server);
	owner text;
	here record;
	step onec.sync_step;
	u onec_internal.version_use;
BEGIN
	IF wish = 'off' OR scope IS NULL THEN
		RETURN 'none';
	END IF;
	owner := onec_internal.version_owner(server, target);
	IF owner IS NULL
		OR owner <> target AND owner <> ALL (string_to_array(onec_internal.versions_of_run(server), ':')) THEN
		RETURN 'none';
	END IF;
	SELECT * INTO here FROM onec_internal.known_versions(server, target, scope);
	SELECT * INTO u FROM onec_internal.version_use k
	WHERE k.server = version_way.server AND k.target = version_way.target;
	IF wish = 'auto' AND (here.held < 1000 OR u.broken IS NOT NULL) THEN
		RETURN 'none';
	END IF;
	SELECT * INTO step FROM onec.sync_step s
	WHERE s.server = version_way.server AND s.target = version_way.target AND s.status = 'running'
	ORDER BY s.run_id DESC LIMIT 1;
	RETURN CASE
		-- a run that reads everything does, and looks whether versions are true
		WHEN step.days IS NULL OR here.held = 0 OR here.known * 2 < here.held
			OR u.signature IS DISTINCT FROM onec_internal.version_signature(server, target)
			OR EXISTS (SELECT FROM onec_internal.sync_doubt d
					   WHERE d.server = version_way.server AND d.target = version_way.target
						 AND d.found_at < step.started_at)
			OR wish = 'auto' AND (u.changed_share > 0.1
				OR u.header_bytes + coalesce(u.changed_share * u.key_bytes, 0) > 0.8 * u.whole_bytes)
			THEN 'whole'
		ELSE 'header' END;
END $$;

COMMENT ON FUNCTION onec_internal.version_way(name, text, text) IS
	'Как читать строки окна: none, whole — целиком с версиями, header — сначала версии (служебная)';

CREATE FUNCTION onec_internal.new_measure(old numeric, new numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN $2 IS NULL OR abs($2 - $1) <= $1 / 10 THEN $1 ELSE round($2, 4) END;

COMMENT ON FUNCTION onec_internal.new_measure(numeric, numeric) IS
	'Новое значение, если отличается больше чем на десятую (служебная)';

CREATE FUNCTION onec_internal.note_version_costs(server name, target text, whole numeric, header numeric,
												 by_key numeric, share numeric, objects bigint) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.version_use u
	SET whole_bytes = n.whole_bytes, header_bytes = n.header_bytes, key_bytes = n.key_bytes,
		changed_share = n.changed_share
	FROM (SELECT k.server, k.target, onec_internal.new_measure(k.whole_bytes, $3) AS whole_bytes,
				 onec_internal.new_measure(k.header_bytes, $4) AS header_bytes,
				 onec_internal.new_measure(k.key_bytes, $5) AS key_bytes,
				 CASE WHEN $6 > 0 OR k.changed_share > 0.1
					  THEN onec_internal.new_measure(k.changed_share, $6) ELSE k.changed_share END
					AS changed_share
		  FROM onec_internal.version_use k) n
	WHERE u.server = $1 AND u.target = $2 AND n.server = $1 AND n.target = $2 AND $7 >= 1000
	  AND (u.whole_bytes, u.header_bytes, u.key_bytes, u.changed_share)
		  IS DISTINCT FROM (n.whole_bytes, n.header_bytes, n.key_bytes, n.changed_share)
$$;

COMMENT ON FUNCTION onec_internal.note_version_costs(name, text, numeric, numeric, numeric, numeric,
														  bigint) IS
	'Записать, во что обошлось чтение (служебная)';

CREATE FUNCTION onec_internal.forget_versions(server name, target text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.row_version v
	WHERE v.server = onec_internal.number_of_server($1) AND v.target = onec_internal.version_word($2)
$$;

COMMENT ON FUNCTION onec_internal.forget_versions(name, text) IS
	'Забыть версии объектов таблицы (служебная)';

CREATE FUNCTION onec_internal.note_broken_versions(server name, target text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO onec_internal.version_use AS u (server, target, signature, broken, broken_at)
	VALUES (server, target, onec_internal.version_signature(server, target), reason, now())
	ON CONFLICT ON CONSTRAINT version_use_pkey
		DO UPDATE SET broken = excluded.broken, broken_at = excluded.broken_at WHERE u.broken IS NULL;
	PERFORM onec_internal.forget_versions(server, target);
END $$;

COMMENT ON FUNCTION onec_internal.note_broken_versions(name, text, text) IS
	'Записать, почему версиям набора нельзя верить (служебная)';

CREATE FUNCTION onec_internal.compare_versions(server name, target text, query text,
											   OUT objects bigint, OUT changed bigint, OUT alike bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
BEGIN
	objects := onec_internal.fill_table('onec_version', target, format(
		'SELECT f.key_id, f.version, v.row_hash IS NOT DISTINCT FROM coalesce(h.row_hash, 0) AS same
			FROM (%s) f
			LEFT JOIN onec_internal.row_version v ON v.server = %L AND v.target = %L AND v.key_id = f.key_id
				AND v.version = f.version
			LEFT JOIN (%s) h ON h.key_id = f.key_id',
		query, onec_internal.new_server_number(server), onec_internal.new_term(target),
		onec_internal.unit_hash_query(server, target)));
	SELECT count(*) FILTER (WHERE NOT x.same), count(*) - count(DISTINCT x.key_id) INTO changed, alike
	FROM pg_temp.onec_version x;
END $$;

COMMENT ON FUNCTION onec_internal.compare_versions(name, text, text) IS
	'Сравнить версии объектов с теми, что записаны (служебная)';

CREATE FUNCTION onec_internal.owners_versions_query(server name, owner text) RETURNS text
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN format('SELECT v.key_id, v.version FROM onec_internal.row_version v
				   WHERE v.server = %L AND v.target = %L', onec_internal.new_server_number($1),
				  onec_internal.new_term($2));

COMMENT ON FUNCTION onec_internal.owners_versions_query(name, text) IS
	'Запрос версий владельца табличной части (служебная)';

CREATE FUNCTION onec_internal.stage_what_is_same(server name, target text, owner text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	key name := (onec_internal.unit_columns(target))[1];
	columns text := onec_internal.columns_in_common(target, 'h');
BEGIN
	IF owner = target THEN
		EXECUTE format('UPDATE pg_temp.onec_version x SET version = s.onec_version FROM pg_temp.onec_stage s
						WHERE s.%I = x.key_id AND s.onec_version <> x.version', key);
	END IF;
	EXECUTE format('INSERT INTO pg_temp.onec_stage (%s)
					SELECT %s FROM %s h JOIN pg_temp.onec_version x ON x.key_id = h.%I AND x.same
					WHERE h.server = %s AND %s', replace(columns, 'h.', ''), columns, tab, key,
				   onec_internal.server_in(tab, server),
				   CASE WHEN onec_internal.has_deletion_mark(target) THEN 'NOT h.is_deleted' ELSE 'true' END);
END $$;

COMMENT ON FUNCTION onec_internal.stage_what_is_same(name, text, text) IS
	'Добавить к прочитанному то, что не изменилось, каким оно здесь (служебная)';

CREATE FUNCTION onec_internal.stage_by_version(server name, target text, condition text,
											   OUT staged bigint, OUT pages bigint, OUT twice bigint,
											   OUT lacked text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := onec_internal.version_owner(server, target);
	key name := (onec_internal.unit_columns(target))[1];
	bytes bigint[] := ARRAY[(SELECT t.bytes FROM onec_internal.session_totals() t)];
	found record;
	asked text;
BEGIN
	SELECT * INTO found FROM onec_internal.compare_versions(server, target, CASE WHEN owner = target
		THEN format('SELECT f.%I AS key_id, f.%I::text AS version FROM %I.%I f WHERE %s OFFSET 0', key,
					onec_internal.version_column(server, target), server, target, condition)
		ELSE onec_internal.owners_versions_query(server, owner) END);
	bytes := bytes || (SELECT t.bytes FROM onec_internal.session_totals() t);
	pages := 1;
	twice := 0;
	IF owner = target THEN
		SELECT r.pages, r.twice INTO pages, twice FROM onec_internal.last_reading(server, target) r;
	END IF;
	IF twice = 0 AND found.alike = 0 AND found.changed <= greatest(found.objects / 10, 25) THEN
		asked := (SELECT format('(%s) AND f.%I IN (%s)', condition, key,
								string_agg(quote_literal(x.key_id), ', ' ORDER BY x.key_id))
				  FROM pg_temp.onec_version x WHERE NOT x.same HAVING count(*) > 0);
		staged := onec_internal.stage_rows(server, target, coalesce(asked, 'false'),
										   versions => owner = target);
		IF asked IS NOT NULL THEN
			lacked := (SELECT r.lacked FROM onec_internal.last_reading(server, target) r);
		END IF;
		bytes := bytes || (SELECT t.bytes FROM onec_internal.session_totals() t);
		PERFORM onec_internal.stage_what_is_same(server, target, owner);
		staged := (SELECT count(*) FROM pg_temp.onec_stage);
	END IF;
	PERFORM onec_internal.note_version_costs(server, target, NULL,
		(bytes[2] - bytes[1])::numeric / nullif(found.objects, 0),
		(bytes[3] - bytes[2])::numeric / nullif(found.changed, 0),
		found.changed::numeric / nullif(found.objects, 0), found.objects);
END $$;

COMMENT ON FUNCTION onec_internal.stage_by_version(name, text, text) IS
	'Прочитать окно по версиям: все ключи, целиком — только изменившееся (служебная)';

CREATE FUNCTION onec_internal.stage_with_versions(server name, target text, condition text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := onec_internal.version_owner(server, target);
	made text := onec_internal.version_signature(server, target);
	bytes bigint := (SELECT t.bytes FROM onec_internal.session_totals() t);
	staged bigint := onec_internal.stage_rows(server, target, condition, versions => owner = target);
	found record;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.version_use u
				   WHERE u.server = stage_with_versions.server AND u.target = stage_with_versions.target
					 AND u.signature = made) THEN
		PERFORM onec_internal.forget_versions(server, target);
		INSERT INTO onec_internal.version_use AS u (server, target, signature) VALUES (server, target, made)
		ON CONFLICT ON CONSTRAINT version_use_pkey DO UPDATE SET signature = made, whole_bytes = NULL,
			header_bytes = NULL, key_bytes = NULL, changed_share = NULL, broken = NULL, broken_at = NULL;
	END IF;
	bytes := (SELECT t.bytes FROM onec_internal.session_totals() t) - bytes;
	SELECT * INTO found FROM onec_internal.compare_versions(server, target, CASE WHEN owner = target
		THEN format('SELECT s.%1$I AS key_id, min(s.onec_version) AS version FROM pg_temp.onec_stage s '
					'GROUP BY s.%1$I HAVING count(*) = 1', (onec_internal.unit_columns(target))[1])
		ELSE onec_internal.owners_versions_query(server, owner) END);
	PERFORM onec_internal.note_version_costs(server, target, bytes::numeric / nullif(staged, 0), NULL, NULL,
		CASE WHEN EXISTS (SELECT FROM pg_temp.onec_version x WHERE x.same)
			 THEN found.changed::numeric / nullif(found.objects, 0) END, found.objects);
	RETURN staged;
END $$;

COMMENT ON FUNCTION onec_internal.stage_with_versions(name, text, text) IS
	'Прочитать окно целиком, с версиями объектов (служебная)';

CREATE FUNCTION onec_internal.stage_window(server name, target text, condition text, scope text,
										   versions boolean, OUT staged bigint, OUT pages bigint,
										   OUT twice bigint, OUT lacked text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way text := CASE WHEN versions THEN onec_internal.version_way(server, target, scope) ELSE 'none' END;
BEGIN
	PERFORM onec_internal.forget_versions_of_window();
	BEGIN
		IF way = 'header' THEN
			SELECT h.staged, h.pages, h.twice, h.lacked INTO staged, pages, twice, lacked
			FROM onec_internal.stage_by_version(server, target, condition) h;
			IF staged IS NOT NULL THEN
				RETURN;
			END IF;
		END IF;
		IF way <> 'none' THEN
			staged := onec_internal.stage_with_versions(server, target, condition);
		END IF;
	EXCEPTION WHEN fdw_column_name_not_found THEN
		-- $metadata tells of a property that no row has; if it is another one, that is said below
		PERFORM onec_internal.note_broken_versions(server, target, 'no row has DataVersion');
		staged := NULL;
	END;
	staged := coalesce(staged, onec_internal.stage_rows(server, target, condition));
	SELECT r.pages, r.twice, r.lacked INTO pages, twice, lacked
	FROM onec_internal.last_reading(server, target) r;
END $$;

COMMENT ON FUNCTION onec_internal.stage_window(name, text, text, text, boolean) IS
	'Прочитать строки окна целиком или по версиям (служебная)';

CREATE FUNCTION onec_internal.forget_versions_of_window() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_version') IS NOT NULL THEN
		DELETE FROM pg_temp.onec_version;
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.forget_versions_of_window() IS
	'Не записывать версии прочитанного окна (служебная)';

CREATE FUNCTION onec_internal.any_versions_of_window() RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_version') IS NULL THEN
		RETURN false;
	END IF;
	RETURN EXISTS (SELECT FROM pg_temp.onec_version);
END $$;

COMMENT ON FUNCTION onec_internal.any_versions_of_window() IS
	'Прочитаны ли версии этого окна (служебная)';

CREATE FUNCTION onec_internal.check_versions(server name, target text, complete boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	untrue bigint;
BEGIN
	IF NOT onec_internal.any_versions_of_window() THEN
		RETURN;
	ELSIF NOT complete THEN
		PERFORM onec_internal.forget_versions_of_window();
	ELSIF onec_internal.version_owner(server, target) = target THEN
		EXECUTE format('SELECT count(*) FROM pg_temp.onec_change c
						JOIN pg_temp.onec_version x ON x.key_id = c.%I AND x.same',
					   (onec_internal.unit_columns(target))[1]) INTO untrue;
		IF untrue > 0 THEN
			PERFORM onec_internal.note_broken_versions(server, target,
				format('%s objects have changed, and their DataVersion has not', untrue));
			PERFORM onec_internal.forget_versions_of_window();
		END IF;
	END IF;
	-- who waits is not written yet
	IF onec_internal.any_documents_wait() THEN
		EXECUTE format('DELETE FROM pg_temp.onec_version x USING pg_temp.onec_waiting k
						WHERE k.%I = x.key_id', (onec_internal.unit_columns(target))[1]);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_versions(name, text, boolean) IS
	'Проверить версии прочитанного по тому, что изменилось (служебная)';

CREATE FUNCTION onec_internal.keep_versions(server name, target text, gone bigint, whole boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
DECLARE
	place smallint := onec_internal.new_server_number(server);
	word smallint := onec_internal.new_term(target);
	is_own boolean;
BEGIN
	IF NOT onec_internal.any_versions_of_window() THEN
		RETURN;
	END IF;
	is_own := onec_internal.version_owner(server, target) = target;
	EXECUTE format('
		INSERT INTO onec_internal.row_version AS v (server, target, key_id, version, row_hash)
		SELECT $1, $2, x.key_id, x.version, coalesce(h.row_hash, 0) FROM pg_temp.onec_version x
		%s JOIN (%s) h ON h.key_id = x.key_id
		LEFT JOIN onec_internal.row_version k ON k.server = $1 AND k.target = $2 AND k.key_id = x.key_id
		WHERE NOT x.same AND x.version <> ''''
		  AND (k.version, k.row_hash) IS DISTINCT FROM (x.version, coalesce(h.row_hash, 0))
		  AND NOT EXISTS (SELECT FROM onec.forgotten f WHERE f.server = $3 AND f.id = x.key_id)
		ON CONFLICT ON CONSTRAINT row_version_pkey
			DO UPDATE SET version = excluded.version, row_hash = excluded.row_hash',
		CASE WHEN NOT is_own THEN 'LEFT' END,
		onec_internal.unit_hash_query(server, target,
			format('h.%I IN (SELECT x.key_id FROM pg_temp.onec_version x WHERE NOT x.same)',
				   (onec_internal.unit_columns(target))[1])))
		USING place, word, server;
	IF gone > 0 THEN
		PERFORM onec_internal.drop_lost_versions(server, target);
	END IF;
	IF onec_internal.date_column(target) IS NULL AND is_own AND whole THEN
		PERFORM set_config('onec_sync.versions_read',
						   onec_internal.versions_of_run(server) || target || ':', false);
	END IF;
	PERFORM onec_internal.forget_versions_of_window();
END $$;

COMMENT ON FUNCTION onec_internal.keep_versions(name, text, bigint, boolean) IS
	'Запомнить версии записанных объектов (служебная)';

CREATE FUNCTION onec_internal.drop_lost_versions(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := coalesce(onec_internal.version_owner(server, target), target);
	lost bigint;
BEGIN
	EXECUTE format('DELETE FROM onec_internal.row_version v WHERE v.server = $1 AND v.target = $2
					AND NOT EXISTS (SELECT FROM (%s) h WHERE h.key_id = v.key_id)',
				   onec_internal.unit_hash_query(server, owner))
		USING onec_internal.number_of_server(server), onec_internal.version_word(target);
	GET DIAGNOSTICS lost = ROW_COUNT;
	RETURN lost;
END $$;

COMMENT ON FUNCTION onec_internal.drop_lost_versions(name, text) IS
	'Удалить версии объектов, которых здесь больше нет (служебная)';

CREATE FUNCTION onec_internal.next_message(p onec_internal.plan_state, sent bigint, received bigint,
										   OUT number bigint, OUT afresh boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- what 1C may say of the last message: at least what it has agreed to, at most what was told to it
	agreed bigint := p.message_no - CASE WHEN p.confirmed_at IS NULL THEN 1 ELSE 0 END;
	told bigint := p.message_no - CASE WHEN p.kept_at IS NULL THEN 1 ELSE 0 END;
BEGIN
	IF p.message_no IS NULL AND (sent > 0 OR received > 0) AND p.taken IS NOT TRUE THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the node has had messages before (%s sent, %s received): somebody else may use '
							 'it', sent, received);
	ELSIF received > told THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('somebody else has confirmed message %s of the node', received);
	END IF;
	afresh := coalesce(received < agreed, false);
	number := received + 1;
END $$;

COMMENT ON FUNCTION onec_internal.next_message(onec_internal.plan_state, bigint, bigint) IS
	'Номер следующего сообщения узла; ошибка, если узлом пользуется кто-то ещё (служебная)';

CREATE FUNCTION onec_internal.note_plan_failure(server name, run bigint, told text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO onec_internal.plan_state AS p (server, plan, named, failed, failed_run)
	SELECT note_plan_failure.server, w.plan, w.named, told, run
	FROM onec_internal.plan_wanted(note_plan_failure.server) w
	ON CONFLICT ON CONSTRAINT plan_state_pkey DO UPDATE SET failed = told, failed_run = run;
	RAISE WARNING USING MESSAGE = format('exchange plan of "%s": %s', server, told);
END $$;

COMMENT ON FUNCTION onec_internal.note_plan_failure(name, bigint, text) IS
	'Записать, почему план обмена не спрошен (служебная)';

CREATE FUNCTION onec_internal.plan_failure(server name, run bigint) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT 'exchange plan: ' || p.failed FROM onec_internal.plan_state p
			WHERE p.server = $1 AND p.failed_run = $2);

COMMENT ON FUNCTION onec_internal.plan_failure(name, bigint) IS
	'Что запуск говорит о плане обмена (служебная)';

CREATE FUNCTION onec_internal.distrust_plan(server name, plan text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.plan_use u
	WHERE u.server = $1 AND NOT EXISTS (SELECT FROM onec_internal.plan_state p
										WHERE p.server = u.server AND p.plan = $2);
	UPDATE onec_internal.plan_use u SET checked_at = NULL WHERE u.server = $1 AND u.checked_at IS NOT NULL;
	DELETE FROM onec_internal.plan_untold u WHERE u.server = $1;
$$;

COMMENT ON FUNCTION onec_internal.distrust_plan(name, text) IS
	'Прочитать все таблицы ещё раз без плана обмена (служебная)';

CREATE FUNCTION onec_internal.look_at_node(server name, run bigint, plan text, named text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p onec_internal.plan_state;
	n record;
	m record;
	other name;
BEGIN
	SELECT s.* INTO p FROM onec_internal.plan_state s
	WHERE s.server = look_at_node.server AND s.plan = look_at_node.plan AND s.named = look_at_node.named;
	SELECT * INTO n FROM onec_internal.plan_node(server, named, p.node);
	other := onec_internal.who_else_asks(server, n.node);
	IF other IS NOT NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('server "%s" asks the same node', other);
	END IF;
	SELECT * INTO m FROM onec_internal.next_message(p, n.sent, n.received);
	IF p.server IS NULL OR m.afresh THEN
		PERFORM onec_internal.distrust_plan(server, plan);
	END IF;
	INSERT INTO onec_internal.plan_state AS s (server, plan, named, node, message_no, asked_at)
	VALUES (server, plan, named, n.node, m.number, clock_timestamp())
	ON CONFLICT ON CONSTRAINT plan_state_pkey DO UPDATE SET plan = excluded.plan, named = excluded.named,
		node = excluded.node, message_no = excluded.message_no, asked_at = excluded.asked_at, taken = false,
		kept_at = NULL, confirmed_at = NULL, run_id = NULL, failed = NULL, failed_run = NULL;
	IF m.afresh THEN
		PERFORM onec_internal.note_plan_failure(server, run, format(
			'the base is older than its last message: the node is at %s', n.received));
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.look_at_node(name, bigint, text, text) IS
	'Посмотреть на узел и выбрать номер сообщения (служебная)';

CREATE FUNCTION onec_internal.targets_of_plan(server name) RETURNS TABLE (target text, entity_set text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.target, onec_internal.source_set($1, o.owner)
	FROM onec_internal.sync_steps($1, NULL) t
	CROSS JOIN LATERAL (SELECT CASE WHEN t.source = 'set' AND t.function IS NULL
										 AND onec_internal.is_switched_on($1, t)
									THEN onec_internal.version_owner($1, t.target) END) o (owner)
	WHERE o.owner IS NOT NULL
$$;

COMMENT ON FUNCTION onec_internal.targets_of_plan(name) IS
	'Таблицы, об изменениях которых может сообщить план обмена, и чьи это изменения (служебная)';

CREATE FUNCTION onec_internal.distrust_absent(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.plan_use u SET checked_at = NULL
	WHERE u.server = $1 AND u.checked_at IS NOT NULL
	  AND NOT EXISTS (SELECT FROM onec_internal.targets_of_plan($1) t WHERE t.target = u.target);
$$;

COMMENT ON FUNCTION onec_internal.distrust_absent(name) IS
	'Прочитать без плана обмена таблицы, которых при его сообщении не было (служебная)';

CREATE FUNCTION onec_internal.check_plan_soon(server name, target text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.plan_use u SET checked_at = '-infinity'
	WHERE u.server = $1 AND u.target = $2 AND u.checked_at > '-infinity'
$$;

COMMENT ON FUNCTION onec_internal.check_plan_soon(name, text) IS
	'Проверить план обмена следующим чтением таблицы (служебная)';

CREATE FUNCTION onec_internal.judge_untold(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec_internal.plan_use u
	SET broken = format('%s objects have changed, and the plan has not told so', x.n), broken_at = now()
	FROM (SELECT n.target, count(*) AS n FROM onec_internal.plan_untold n
		  WHERE n.server = judge_untold.server
			AND NOT EXISTS (SELECT FROM onec_internal.plan_change c
							WHERE c.server = n.server AND c.target = n.target AND c.key_id = n.key_id)
		  GROUP BY 1) x
	WHERE u.server = judge_untold.server AND u.target = x.target;
	DELETE FROM onec_internal.plan_untold n WHERE n.server = judge_untold.server;
END $$;

COMMENT ON FUNCTION onec_internal.judge_untold(name) IS
	'Сообщил ли план обмена о том, что изменилось без него (служебная)';

CREATE FUNCTION onec_internal.keep_message(server name, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p onec_internal.plan_state;
	told bigint;
BEGIN
	SELECT s.* INTO p FROM onec_internal.plan_state s WHERE s.server = keep_message.server;
	told := onec_internal.fill_table('onec_told', 'told', format(
		'SELECT c.entity_set, c.key_id, bool_or(c.gone) AS gone '
		'FROM onec_internal.plan_changes(%L, %L, %L) c GROUP BY 1, 2', server, p.node, p.message_no));
	IF told > 0 THEN
		PERFORM onec_internal.distrust_absent(server);
	END IF;
	INSERT INTO onec_internal.plan_change AS c (server, target, key_id, gone)
	SELECT keep_message.server, t.target, x.key_id, x.gone
	FROM onec_internal.targets_of_plan(keep_message.server) t
	JOIN pg_temp.onec_told x ON x.entity_set = t.entity_set AND x.key_id IS NOT NULL
	ON CONFLICT ON CONSTRAINT plan_change_pkey DO UPDATE SET gone = excluded.gone
		WHERE c.gone <> excluded.gone;
	PERFORM onec_internal.judge_untold(server);
	INSERT INTO onec_internal.plan_use (server, target, signature, told_at)
	SELECT c.server, c.target, onec_internal.version_signature(c.server, c.target), p.asked_at
	FROM (SELECT DISTINCT k.server, k.target FROM onec_internal.plan_change k
		  WHERE k.server = keep_message.server) c
	ON CONFLICT ON CONSTRAINT plan_use_pkey DO NOTHING;
	UPDATE onec_internal.plan_state s
	SET run_id = run, kept_at = CASE WHEN told > 0 THEN clock_timestamp() END
	WHERE s.server = keep_message.server;
	DROP TABLE pg_temp.onec_told;
END $$;

COMMENT ON FUNCTION onec_internal.keep_message(name, bigint) IS
	'Спросить сообщение плана обмена и записать, о чём оно (служебная)';

CREATE FUNCTION onec_internal.take_message(plan onec_internal.sync_plan, run bigint, part text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w record;
	p onec_internal.plan_state;
	code text;
	said text;
	detail text;
	context text;
BEGIN
	SELECT * INTO w FROM onec_internal.plan_wanted(plan.server);
	IF w.plan IS NULL OR plan.size = 0 THEN
		RETURN NULL;
	END IF;
	-- what is confirmed must be on disk
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'local', true);
	END IF;
	BEGIN
		IF part = 'look' THEN
			PERFORM onec_internal.look_at_node(plan.server, run, w.plan, w.named);
		ELSIF part = 'keep' THEN
			PERFORM onec_internal.keep_message(plan.server, run);
		ELSE
			SELECT s.* INTO p FROM onec_internal.plan_state s WHERE s.server = plan.server;
			IF p.kept_at IS NOT NULL THEN
				PERFORM onec_internal.plan_received(plan.server, p.node, p.message_no);
				UPDATE onec_internal.plan_state s SET confirmed_at = clock_timestamp()
				WHERE s.server = plan.server;
			END IF;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.note_plan_failure(plan.server, run,
			onec_internal.message_without_values(code, said, detail, context));
	END;
	RETURN CASE WHEN code IS NULL THEN CASE part WHEN 'look' THEN 'keep' WHEN 'keep' THEN 'confirm' END END;
END $$;

COMMENT ON FUNCTION onec_internal.take_message(onec_internal.sync_plan, bigint, text) IS
	'Одна из частей сообщения плана обмена: look, keep, confirm; какая следующая (служебная)';

CREATE FUNCTION onec.take_exchange_node(server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	w record;
BEGIN
	SELECT * INTO w FROM onec_internal.plan_wanted(srv);
	IF w.plan IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('server "%s" asks no exchange plan', srv),
			HINT = format('ALTER SERVER %I OPTIONS (ADD change_source ''plan'', ADD exchange_plan …, ADD '
						  'exchange_node …);', srv);
	END IF;
	PERFORM onec_internal.distrust_plan(srv, w.plan);
	DELETE FROM onec_internal.plan_state p WHERE p.server = srv;
	INSERT INTO onec_internal.plan_state (server, plan, named, taken) VALUES (srv, w.plan, w.named, true);
END $$;

COMMENT ON FUNCTION onec.take_exchange_node(name) IS
	'Считать узел плана обмена (exchange_node) своим: продолжить с номера сообщения, который у него сейчас. '
	'Нужно, если узлом пользовались раньше или базу восстановили из копии; другой читатель этого узла '
	'изменений больше не увидит';

REVOKE EXECUTE ON FUNCTION onec.take_exchange_node(name) FROM PUBLIC;

CREATE FUNCTION onec_internal.objects_told(plan onec_internal.sync_plan, run bigint, target text,
										   INOUT days int, OUT told bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	held bigint;
BEGIN
	IF days IS NULL OR plan.deep OR plan.from_ts IS NOT NULL OR plan.user_id IS NOT NULL OR NOT EXISTS (
		SELECT FROM onec_internal.plan_state p
		JOIN onec_internal.plan_use u ON u.server = p.server AND u.target = objects_told.target
		WHERE p.server = plan.server AND p.run_id = run
		  AND u.checked_at > now() - make_interval(hours => onec.get('sync.plan_hours', plan.server)::int)
		  AND coalesce(u.broken_at < now() - interval '7 days', true)
		  AND u.signature = onec_internal.version_signature(plan.server, objects_told.target))
		OR EXISTS (SELECT FROM onec_internal.plan_untold n
				   WHERE n.server = plan.server AND n.target = objects_told.target)
		OR EXISTS (SELECT FROM onec_internal.sync_doubt d
				   WHERE d.server = plan.server AND d.target = objects_told.target)
		OR EXISTS (SELECT FROM onec.sync_state s WHERE s.server = plan.server
				   AND s.target = objects_told.target AND s.place > 0) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.hold_own_tables(target);
	told := (SELECT count(*) FROM onec_internal.plan_change c
			 WHERE c.server = plan.server AND c.target = objects_told.target);
	IF told > 1000 THEN
		EXECUTE format('SELECT count(*) FROM %s WHERE server = %s', onec_internal.table_of_target(target),
					   onec_internal.server_in(onec_internal.table_of_target(target), plan.server)) INTO held;
	END IF;
	IF told > least(held / 10, 10000) THEN
		told := NULL;
		days := CASE WHEN onec_internal.date_column(target) IS NULL THEN days END;
	ELSIF told > 0 AND onec_internal.witnesses(plan.server, target) = '{}' THEN
		told := NULL;
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.objects_told(onec_internal.sync_plan, bigint, text, int) IS
	'О скольких объектах таблицы сообщил план обмена; NULL — читать без него (служебная)';

CREATE FUNCTION onec_internal.witnesses(server name, target text) RETURNS uuid[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	part text := '(SELECT DISTINCT t.%1$I AS id FROM %2$s t WHERE t.server = %3$s %4$s AND t.%1$I %5$s $3
			  AND NOT EXISTS (SELECT FROM onec_internal.plan_change c
							  WHERE c.server = $1 AND c.target = $2 AND c.key_id = t.%1$I)
			ORDER BY 1 LIMIT 3)';
	found uuid[];
BEGIN
	EXECUTE format('SELECT array_agg(w.id) FROM (' || part || ' UNION ALL ' || replace(part, '%5$s', '<')
				   || ' LIMIT 3) w',
		(onec_internal.unit_columns(target))[1], tab, onec_internal.server_in(tab, server),
		CASE WHEN onec_internal.has_deletion_mark(target) THEN 'AND NOT t.is_deleted' END, '>=')
		INTO found USING server, target, gen_random_uuid();
	RETURN coalesce(found, '{}');
END $$;

COMMENT ON FUNCTION onec_internal.witnesses(name, text) IS
	'Объекты, о которых план обмена не сообщал: по ним видно, что отвечает та же база (служебная)';

CREATE FUNCTION onec_internal.why_not_told(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_own boolean := onec_internal.version_owner(server, target) = target;
	untold bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL AND NOT EXISTS (
						SELECT FROM onec_internal.plan_change p
						WHERE p.server = $1 AND p.target = $2 AND p.key_id = c.%I AND (p.gone OR NOT $3))',
				   (onec_internal.unit_columns(target))[1]) INTO untold USING server, target, is_own;
	RETURN CASE WHEN untold > 0
				THEN format('%s rows are missing that the exchange plan has not told to be gone', untold) END;
END $$;

COMMENT ON FUNCTION onec_internal.why_not_told(name, text) IS
	'Почему недостающее не считается удалённым: план обмена о нём не сообщал; NULL — сообщал (служебная)';

CREATE FUNCTION onec_internal.note_untold(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.plan_use u
				   JOIN onec_internal.plan_state p ON p.server = u.server
				   JOIN onec.sync_run r ON r.server = p.server AND r.run_id = p.run_id
				   WHERE u.server = note_untold.server AND u.target = note_untold.target
					 AND u.checked_at IS NOT NULL AND r.status = 'running')
		OR NOT EXISTS (SELECT FROM pg_temp.onec_change) THEN
		RETURN;
	END IF;
	IF (SELECT u.signature FROM onec_internal.plan_use u
		WHERE u.server = note_untold.server AND u.target = note_untold.target)
	   = onec_internal.version_signature(server, target) THEN
		EXECUTE format('INSERT INTO onec_internal.plan_untold (server, target, key_id)
			SELECT DISTINCT $1, $2, x.id
			FROM (SELECT coalesce(c.%1$I, s.%1$I) AS id FROM pg_temp.onec_change c
				  LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place) x
			WHERE NOT EXISTS (SELECT FROM onec_internal.plan_change p
							  WHERE p.server = $1 AND p.target = $2 AND p.key_id = x.id) LIMIT 1000
			ON CONFLICT ON CONSTRAINT plan_untold_pkey DO NOTHING', (onec_internal.unit_columns(target))[1])
			USING server, target;
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.note_untold(name, text) IS
	'Записать, о чём план обмена должен сообщить следующим сообщением (служебная)';

CREATE FUNCTION onec_internal.end_step_of_plan(s onec.sync_step) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	date_column name := onec_internal.date_column(s.target);
	tab text;
BEGIN
	IF s.resumed OR NOT EXISTS (SELECT FROM onec_internal.plan_use u
								WHERE u.server = s.server AND u.target = s.target) THEN
		RETURN;
	END IF;
	IF s.objects_told IS NOT NULL OR s.days IS NULL OR date_column IS NULL THEN
		DELETE FROM onec_internal.plan_change c WHERE c.server = s.server AND c.target = s.target;
	ELSE
		tab := onec_internal.table_of_target(s.target);
		EXECUTE format('DELETE FROM onec_internal.plan_change c USING %1$s t
						WHERE c.server = $1 AND c.target = $2 AND t.server = %2$s AND t.%3$I = c.key_id
						  AND t.%4$I >= $3', tab, onec_internal.server_in(tab, s.server),
					   (onec_internal.unit_columns(s.target))[1], date_column)
			USING s.server, s.target, onec.local_now(s.server)::date - s.days;
	END IF;
	UPDATE onec_internal.plan_use u
	SET checked_at = s.started_at, signature = onec_internal.version_signature(s.server, s.target)
	WHERE u.server = s.server AND u.target = s.target AND s.objects_told IS NULL
	  AND u.told_at <= s.started_at;
END $$;

COMMENT ON FUNCTION onec_internal.end_step_of_plan(onec.sync_step) IS
	'Записать, что сообщённое планом обмена прочитано (служебная)';

CREATE FUNCTION onec_internal.compare_unforgotten(server name, target text, scope text,
												  fresh boolean DEFAULT false) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	RETURN onec_internal.compare_with_staged(server, target, scope, fresh);
END $$;

COMMENT ON FUNCTION onec_internal.compare_unforgotten(name, text, text, boolean) IS
	'Сравнить прочитанное с тем, что здесь (служебная)';

DROP FUNCTION onec_internal.read_window;
CREATE FUNCTION onec_internal.read_window(server name, target text, condition text, scope text, later tsrange,
										  versions boolean, OUT read bigint, OUT keys bigint,
										  OUT alike bigint, OUT surplus bigint, OUT differ bigint,
										  OUT numbered bigint,
										  OUT holes bigint, OUT hole text, OUT doubt text, OUT fresh boolean)
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
	kept bigint;
BEGIN
	FOR attempt IN 1 .. 2 LOOP
		SELECT * INTO went FROM onec_internal.stage_window(server, target, condition, scope,
														   versions AND NOT careful AND attempt = 1);
		staged := went.staged;
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
		kept := onec_internal.attribute_window(server, target);
		hole := CASE WHEN holes > 0 THEN 'rows came without a property that others have'
					 WHEN kept > 0 THEN 'the rows that tell who bought were not read' END;
		holes := holes + kept;
		fresh := NOT careful AND onec_internal.is_all_new(server, target, scope, later);
		differ := onec_internal.compare_unforgotten(server, target, scope, fresh)
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

COMMENT ON FUNCTION onec_internal.read_window(name, text, text, text, tsrange, boolean) IS
	'Прочитать окно и разобраться с повторами ключей (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.write_window(server name, target text, sure text DEFAULT 'false',
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
		PERFORM onec_internal.feed_window(server, target, true, NULL);
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

DROP FUNCTION onec_internal.sync_part_of_table;
CREATE FUNCTION onec_internal.sync_part_of_table(server name, target text, condition text, scope text,
												 from_ts timestamp, till_ts timestamp,
												 force boolean, later tsrange,
												 by_plan boolean DEFAULT false, OUT read bigint,
												 OUT keys bigint, OUT inserted bigint,
												 OUT updated bigint, OUT deleted bigint, OUT doubt text,
												 OUT kept bigint, OUT numbered bigint,
												 OUT holes bigint, OUT hole text, OUT left_out bigint)
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
		SELECT * INTO w FROM onec_internal.read_window(server, target, condition, scope, later, attempt = 1);
		read := w.read;
		keys := w.keys;
		numbered := w.numbered;
		doubt := w.doubt;
		holes := w.holes;
		hole := w.hole;
		missing := w.differ > 0 AND EXISTS (SELECT FROM pg_temp.onec_change c WHERE c.place IS NULL);
		strange := NULL;
		EXIT WHEN NOT missing;
		IF numbered > 0 AND NOT onec_internal.has_copies(target) THEN
			doubt := 'several objects have one key';
		END IF;
		doubt := coalesce(doubt, CASE WHEN by_plan THEN onec_internal.why_not_told(server, target) END,
						  onec_internal.why_unproven(server, target, from_ts, till_ts, scope, w.read,
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
	PERFORM onec_internal.check_versions(server, target, doubt IS NULL AND holes = 0 AND numbered = 0);
	IF NOT by_plan AND from_ts IS NOT NULL AND scope IS NOT NULL AND NOT w.fresh THEN
		PERFORM onec_internal.note_untold(server, target);
	END IF;
	IF w.differ = 0 THEN
		PERFORM onec_internal.keep_versions(server, target, 0, NOT by_plan);
		PERFORM onec_internal.drop_window_tables(false);
		SELECT 0, 0, 0, 0 INTO inserted, updated, deleted, left_out;
		RETURN;
	END IF;
	SELECT x.inserted, x.updated, x.deleted, x.left_out INTO inserted, updated, deleted, left_out
	FROM onec_internal.write_window(server, target,
									CASE WHEN later IS NULL OR w.fresh THEN 'false'
										 ELSE onec_internal.sure_row_condition(server, target, later) END,
									w.fresh) x;
	IF left_out = 0 THEN
		PERFORM onec_internal.keep_versions(server, target, deleted, NOT by_plan);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.sync_part_of_table(name, text, text, text, timestamp, timestamp,
													 boolean, tsrange, boolean) IS
	'Сделать часть местной таблицы равной прочитанному (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.sync_window(server name, target text, from_ts timestamp, till_ts timestamp,
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
		PERFORM onec_internal.note_doubt(server, target, 'hole', from_ts, till_ts, w.holes, w.hole);
	END IF;
	read := w.read;
	keys := w.keys;
	inserted := w.inserted;
	updated := w.updated;
	deleted := w.deleted;
	doubt := coalesce(w.doubt, w.hole);
END $$;

CREATE OR REPLACE FUNCTION onec_internal.sync_some_cards(server name, max_rows int, force boolean, OUT read bigint,
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
	PERFORM onec_internal.compare_unforgotten(server, 'discount_card', NULL);
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

CREATE FUNCTION onec_internal.sync_told(server name, target text, force boolean, OUT read bigint,
										OUT keys bigint, OUT inserted bigint, OUT updated bigint,
										OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	asked text := (SELECT string_agg(quote_literal(k.id), ', ' ORDER BY k.id)
				   FROM (SELECT c.key_id AS id FROM onec_internal.plan_change c
						 WHERE c.server = sync_told.server AND c.target = sync_told.target
						 UNION SELECT unnest(onec_internal.witnesses(sync_told.server, sync_told.target))) k
				   WHERE EXISTS (SELECT FROM onec_internal.plan_change c
								 WHERE c.server = sync_told.server AND c.target = sync_told.target));
	condition text := format('%I IN (%s)', (onec_internal.unit_columns(target))[1], asked);
	w record;
BEGIN
	IF asked IS NULL THEN
		SELECT 0, 0, 0, 0, 0 INTO read, keys, inserted, updated, deleted;
		RETURN;
	END IF;
	SELECT * INTO w FROM onec_internal.sync_part_of_table(server, target, condition, condition, NULL, NULL,
														  force, NULL, true);
	read := w.read;
	keys := w.keys;
	inserted := w.inserted;
	updated := w.updated;
	deleted := w.deleted;
	IF w.doubt IS NOT NULL AND w.read > 0 THEN
		PERFORM onec_internal.check_plan_soon(server, target);
	END IF;
	doubt := coalesce(w.doubt, CASE WHEN w.holes > 0 THEN 'rows came without a property that others have'
									WHEN w.numbered > 0 THEN onec_internal.reason_two_rows() END);
END $$;

COMMENT ON FUNCTION onec_internal.sync_told(name, text, boolean) IS
	'Прочитать то, о чём сообщил план обмена (служебная)';

CREATE FUNCTION onec_internal.own_address(server name, address text) RETURNS text
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'onec_own_address';

COMMENT ON FUNCTION onec_internal.own_address(name, text) IS
	'Что в адресе следует за адресом базы; NULL — он ведёт не туда (служебная)';

CREATE FUNCTION onec_internal.resource(server name, address text, max_bytes int) RETURNS bytea
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_resource';

COMMENT ON FUNCTION onec_internal.resource(name, text, int) IS
	'Что 1С отдаёт по ссылке внутри базы; NULL — ничего (служебная)';

CREATE FUNCTION onec_internal.picture_type(content bytea) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN substring($1, 1, 3) = '\xffd8ff' THEN 'image/jpeg'
				WHEN substring($1, 1, 8) = '\x89504e470d0a1a0a' THEN 'image/png'
				WHEN substring($1, 1, 6) IN ('GIF87a', 'GIF89a') THEN 'image/gif'
				WHEN substring($1, 1, 4) = 'RIFF' AND substring($1, 9, 4) = 'WEBP' THEN 'image/webp' END;

COMMENT ON FUNCTION onec_internal.picture_type(bytea) IS 'Тип картинки по первым байтам (служебная)';

CREATE FUNCTION onec_internal.is_cut_picture(content bytea, type text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE $2
		WHEN 'image/webp' THEN octet_length($1) < 12 OR octet_length($1) < 8 + get_byte($1, 4)
			+ 256 * get_byte($1, 5) + 65536 * get_byte($1, 6) + 16777216::bigint * get_byte($1, 7)
		ELSE position(CASE $2 WHEN 'image/jpeg' THEN '\xffd9'::bytea
							  WHEN 'image/png' THEN '\x49454e44ae426082' ELSE '\x3b' END
					  IN substring($1, greatest(octet_length($1) - 63, 1))) = 0 END;

COMMENT ON FUNCTION onec_internal.is_cut_picture(bytea, text) IS 'Оборвана ли картинка (служебная)';

CREATE FUNCTION onec_internal.wanted_images(server name)
	RETURNS TABLE (file_id uuid, product_id uuid, name text, version text, extension text, size bigint,
				   storage_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.file_id, f.product_id, f.name, concat_ws(':', f.version, s.storage_id),
		   lower(ltrim(f.extension, '.')), f.size, s.storage_id
	FROM onec.product_file f
	JOIN onec.product p ON p.server = f.server AND p.product_id = f.product_id AND NOT p.is_deleted
	LEFT JOIN onec.stored_file s ON s.server = f.server AND s.file_id = f.file_id AND NOT s.is_deleted
	WHERE f.server = $1 AND NOT f.is_deleted AND f.deletion_mark IS NOT TRUE
	UNION ALL
	SELECT p.picture_id, p.product_id, NULL, concat(s.storage_id), NULL, NULL, s.storage_id
	FROM (SELECT DISTINCT ON (p.picture_id) p.picture_id, p.product_id FROM onec.product p
		  WHERE p.server = $1 AND NOT p.is_deleted AND p.picture_id IS NOT NULL
			AND NOT EXISTS (SELECT FROM onec.product_file f
							WHERE f.server = p.server AND f.file_id = p.picture_id)
		  ORDER BY p.picture_id, p.product_id) p
	LEFT JOIN onec.stored_file s ON s.server = $1 AND s.file_id = p.picture_id AND NOT s.is_deleted
$$;

COMMENT ON FUNCTION onec_internal.wanted_images(name) IS 'Какие картинки есть в 1С (служебная)';

CREATE FUNCTION onec_internal.images_to_look_at(server name)
	RETURNS TABLE (file_id uuid, product_id uuid, name text, version text, size bigint, storage_id uuid,
				   refused text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH bound AS MATERIALIZED (
		SELECT onec.get('image.max_bytes', $1)::int AS bytes, onec.get('image.max_total', $1)::numeric
			   - coalesce(sum(i.size) FILTER (WHERE i.refused IS NULL), 0) AS room
		FROM onec.product_image i WHERE i.server = $1)
	SELECT w.file_id, w.product_id, w.name, w.version, w.size, w.storage_id,
		   CASE WHEN w.extension NOT IN ('', 'jpg', 'jpeg', 'jpe', 'jfif', 'png', 'webp', 'gif')
				THEN 'not a picture' WHEN w.size > b.bytes THEN 'too large' END
	FROM onec_internal.wanted_images($1) w CROSS JOIN bound b
	LEFT JOIN onec.product_image i ON i.server = $1 AND i.file_id = w.file_id
	WHERE i.version IS DISTINCT FROM w.version
	   OR i.refused = 'too large' AND i.size <= b.bytes
	   OR i.refused = 'no room' AND i.size <= least(b.room, b.bytes)
$$;

COMMENT ON FUNCTION onec_internal.images_to_look_at(name) IS
	'Картинки, содержимого которых в нынешнем виде здесь нет (служебная)';

CREATE FUNCTION onec_internal.batches_of_images(server name) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM set_config('onec_place.images', '', false);
	RETURN (SELECT 1 + ceil(count(*) / 100.0)
				   + 2 * ceil(coalesce(sum(coalesce(w.size, 400000)), 0) / 8000000.0)
			FROM onec_internal.images_to_look_at(server) w WHERE w.refused IS NULL);
END $$;

COMMENT ON FUNCTION onec_internal.batches_of_images(name) IS
	'За сколько раз читать содержимое картинок (служебная)';

CREATE FUNCTION onec_internal.products_with_picture(server name, files uuid[]) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $2 <> '{}' THEN
		ARRAY(SELECT p.product_id FROM onec.product p
			  WHERE p.server = $1 AND NOT p.is_deleted AND p.picture_id = ANY ($2)) END;

COMMENT ON FUNCTION onec_internal.products_with_picture(name, uuid[]) IS
	'У каких товаров эти картинки — главные (служебная)';

CREATE FUNCTION onec_internal.settle_images(server name, OUT inserted bigint, OUT updated bigint,
											OUT deleted bigint, OUT touched uuid[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	done record;
	files uuid[];
BEGIN
	WITH gone AS (
		DELETE FROM onec.product_image i
		WHERE i.server = settle_images.server
		  AND NOT EXISTS (SELECT FROM onec_internal.wanted_images(settle_images.server) w
						  WHERE w.file_id = i.file_id)
		RETURNING i.product_id, i.file_id)
	SELECT count(*), array_agg(DISTINCT g.product_id), array_agg(g.file_id) INTO deleted, touched, files
	FROM gone g;
	WITH other AS (
		UPDATE onec.product_image i SET product_id = w.product_id, name = w.name
		FROM onec_internal.wanted_images(settle_images.server) w
		JOIN onec.product_image b ON b.server = settle_images.server AND b.file_id = w.file_id
		WHERE i.server = settle_images.server AND i.file_id = w.file_id
		  AND (i.product_id, i.name) IS DISTINCT FROM (w.product_id, w.name)
		RETURNING i.file_id, ARRAY[b.product_id, i.product_id] AS products)
	SELECT count(DISTINCT o.file_id) AS rows, array_agg(DISTINCT p) AS products,
		   array_agg(DISTINCT o.file_id) AS files INTO done
	FROM other o CROSS JOIN LATERAL unnest(o.products) p;
	updated := done.rows;
	touched := touched || done.products;
	files := files || done.files;
	-- the bound may have been lowered
	WITH narrowed AS (
		UPDATE onec.product_image i
		SET refused = 'too large', type = NULL, sha256 = NULL, content = NULL
		WHERE i.server = settle_images.server AND i.refused IS NULL
		  AND i.size > onec.get('image.max_bytes', settle_images.server)::int
		RETURNING i.product_id, i.file_id)
	SELECT count(*) AS rows, array_agg(DISTINCT n.product_id) AS products, array_agg(n.file_id) AS files
	INTO done FROM narrowed n;
	updated := updated + done.rows;
	touched := touched || done.products;
	files := files || done.files;
	WITH written AS (
		INSERT INTO onec.product_image AS i (server, file_id, product_id, name, version, size, refused)
		SELECT settle_images.server, w.file_id, w.product_id, w.name, w.version, w.size, w.refused
		FROM onec_internal.images_to_look_at(settle_images.server) w WHERE w.refused IS NOT NULL
		ON CONFLICT ON CONSTRAINT product_image_pkey DO UPDATE
		SET version = excluded.version, size = excluded.size, refused = excluded.refused, type = NULL,
			sha256 = NULL, content = NULL
		RETURNING xmax = 0 AS is_new, i.product_id, i.file_id)
	SELECT count(*) FILTER (WHERE x.is_new), updated + count(*) FILTER (WHERE NOT x.is_new),
		   touched || array_agg(DISTINCT x.product_id), files || array_agg(x.file_id)
	INTO inserted, updated, touched, files FROM written x;
	touched := touched || onec_internal.products_with_picture(server, files);
END $$;

COMMENT ON FUNCTION onec_internal.settle_images(name) IS
	'Убрать исчезнувшие картинки и отметить отвергнутые без чтения (служебная)';

CREATE FUNCTION onec_internal.fetch_listed_bytes(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way record;
	keys text;
BEGIN
	FOR way IN
		SELECT * FROM (VALUES ('file_storage', 'storage_id'), ('file_content', 'file_id')) v (tab, key)
	LOOP
		CONTINUE WHEN NOT onec_internal.has_column(format('%I.%I', server, way.tab), 'content');
		EXECUTE format('SELECT string_agg(DISTINCT quote_literal(p.%I), '', '') FROM pg_temp.onec_picture p
						WHERE p.content IS NULL', way.key) INTO keys;
		CONTINUE WHEN keys IS NULL;
		EXECUTE format('
			WITH f AS MATERIALIZED (SELECT f.%1$I, f.content FROM %2$I.%3$I f WHERE f.%1$I IN (%4$s))
			UPDATE pg_temp.onec_picture p SET content = nullif(f.content, ''''::bytea) FROM f
			WHERE f.%1$I = p.%1$I AND p.content IS NULL', way.key, server, way.tab, keys);
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.fetch_listed_bytes(name) IS
	'Прочитать содержимое файлов по спискам ключей (служебная)';

CREATE FUNCTION onec_internal.fetch_linked_bytes(server name, file uuid, OUT content bytea, OUT refused text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most int := onec.get('image.max_bytes', server);
	entity text := (SELECT substring(o FROM '^entity_set=(.*)$')
					FROM pg_foreign_table t, unnest(t.ftoptions) o
					WHERE t.ftrelid = to_regclass(format('%I.file_content', server)) AND o ~ '^entity_set=');
	stream text := (SELECT substring(o FROM '^property=(.*)$') FROM pg_attribute a, unnest(a.attfdwoptions) o
					WHERE a.attrelid = to_regclass(format('%I.file_content', server))
					  AND a.attname = 'stream' AND o ~ '^property=');
	link text;
BEGIN
	IF stream IS NULL THEN
		RETURN;
	END IF;
	link := convert_from(onec_internal.resource(server, format('%s(guid''%s'')', entity, file), 1000000),
						 'UTF8');
	link := substring(substring(link FROM '<link [^>]*rel="[^"]*/mediaresource/' || stream || '"[^>]*>')
					  FROM 'href="([^"]*)"');
	link := replace(replace(replace(link, '&apos;', ''''), '&#39;', ''''), '&amp;', '&');
	IF link IS NULL THEN
		RETURN;
	ELSIF onec_internal.own_address(server, link) IS NULL THEN
		refused := 'another host';
		RETURN;
	END IF;
	content := nullif(onec_internal.resource(server, link, most), ''::bytea);
EXCEPTION WHEN program_limit_exceeded THEN
	refused := 'too large';
WHEN fdw_error THEN
	-- a redirect is no answer of the base
	IF SQLERRM !~ 'redirect' THEN
		RAISE;
	END IF;
	refused := 'another host';
END $$;

COMMENT ON FUNCTION onec_internal.fetch_linked_bytes(name, uuid) IS
	'Прочитать содержимое файла по его ссылке (служебная)';

CREATE FUNCTION onec_internal.stage_images(server name) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	staged bigint;
	one record;
	found record;
BEGIN
	staged := onec_internal.fill_table('onec_picture', 'pictures', format('
		SELECT b.file_id, b.product_id, b.name, b.version, b.storage_id, b.size, NULL::bytea AS content,
			   NULL::text AS refused
		FROM (SELECT w.*, sum(coalesce(w.size, 400000)) OVER up AS bytes, row_number() OVER up AS n
			  FROM onec_internal.images_to_look_at(%L) w
			  WHERE w.refused IS NULL AND w.file_id::text > %L
			  WINDOW up AS (ORDER BY w.file_id::text COLLATE "C")) b
		WHERE b.n = 1 OR b.n <= 100 AND b.bytes <= 8000000',
		server, coalesce(current_setting('onec_place.images', true), '')));
	IF staged = 0 THEN
		RETURN 0;
	END IF;
	PERFORM set_config('onec_place.images',
					   (SELECT max(p.file_id::text COLLATE "C") FROM pg_temp.onec_picture p), false);
	PERFORM onec_internal.fetch_listed_bytes(server);
	FOR one IN SELECT p.file_id FROM pg_temp.onec_picture p WHERE p.content IS NULL ORDER BY 1 LOOP
		SELECT * INTO found FROM onec_internal.fetch_linked_bytes(server, one.file_id);
		UPDATE pg_temp.onec_picture p SET content = found.content, refused = found.refused
		WHERE p.file_id = one.file_id AND (found.content IS NOT NULL OR found.refused IS NOT NULL);
	END LOOP;
	RETURN staged;
END $$;

COMMENT ON FUNCTION onec_internal.stage_images(name) IS
	'Прочитать содержимое следующих картинок (служебная)';

CREATE FUNCTION onec_internal.judge_staged_images(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most int := onec.get('image.max_bytes', server);
	room numeric := onec.get('image.max_total', server)::numeric - coalesce(
		(SELECT sum(i.size) FROM onec.product_image i
		 WHERE i.server = judge_staged_images.server AND i.refused IS NULL
		   AND i.file_id NOT IN (SELECT p.file_id FROM pg_temp.onec_picture p)), 0);
BEGIN
	UPDATE pg_temp.onec_picture p
	SET size = coalesce(octet_length(p.content), p.size), refused = coalesce(p.refused, CASE
		WHEN p.content IS NULL THEN 'no data'
		WHEN octet_length(p.content) > most THEN 'too large'
		WHEN onec_internal.picture_type(p.content) IS NULL THEN 'not a picture'
		WHEN onec_internal.is_cut_picture(p.content, onec_internal.picture_type(p.content))
			THEN 'truncated' END);
	UPDATE pg_temp.onec_picture p SET refused = 'no room'
	FROM (SELECT x.file_id, sum(x.size) OVER (ORDER BY x.file_id) AS bytes FROM pg_temp.onec_picture x
		  WHERE x.refused IS NULL) t
	WHERE t.file_id = p.file_id AND t.bytes > room;
END $$;

COMMENT ON FUNCTION onec_internal.judge_staged_images(name) IS 'Проверить прочитанные картинки (служебная)';

CREATE FUNCTION onec_internal.sync_some_images(server name, OUT read bigint, OUT inserted bigint,
											   OUT updated bigint, OUT deleted bigint, OUT doubt text,
											   OUT touched uuid[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept bigint;
	written record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	IF coalesce(current_setting('onec_place.images', true), '') = '' THEN
		SELECT * INTO inserted, updated, deleted, touched FROM onec_internal.settle_images(server);
	END IF;
	read := onec_internal.stage_images(server);
	IF read > 0 THEN
		PERFORM onec_internal.judge_staged_images(server);
		DELETE FROM pg_temp.onec_picture p USING onec.product_image i
		WHERE i.server = sync_some_images.server AND i.file_id = p.file_id AND i.refused IS NULL
		  AND p.refused IN ('no data', 'truncated', 'another host');
		GET DIAGNOSTICS kept = ROW_COUNT;
		doubt := CASE WHEN kept > 0
					  THEN format('%s pictures have changed, but their bytes could not be had: '
								  'the old ones stay', kept) END;
		WITH w AS (
			INSERT INTO onec.product_image AS i
				(server, file_id, product_id, name, version, type, size, sha256, refused, content)
			SELECT sync_some_images.server, p.file_id, p.product_id, p.name, p.version,
				   CASE WHEN p.refused IS NULL THEN onec_internal.picture_type(p.content) END, p.size,
				   CASE WHEN p.refused IS NULL THEN sha256(p.content) END, p.refused,
				   CASE WHEN p.refused IS NULL THEN p.content END
			FROM pg_temp.onec_picture p
			ON CONFLICT ON CONSTRAINT product_image_pkey DO UPDATE
			SET version = excluded.version, type = excluded.type, size = excluded.size,
				sha256 = excluded.sha256, refused = excluded.refused, content = excluded.content
			WHERE (i.version, i.size, i.sha256, i.refused) IS DISTINCT FROM
				(excluded.version, excluded.size, excluded.sha256, excluded.refused)
			RETURNING xmax = 0 AS is_new, i.product_id, i.file_id)
		SELECT count(*) FILTER (WHERE w.is_new) AS new, count(*) FILTER (WHERE NOT w.is_new) AS old,
			   array_agg(DISTINCT w.product_id) AS products, array_agg(w.file_id) AS files
		INTO written FROM w;
		inserted := inserted + written.new;
		updated := updated + written.old;
		touched := touched || written.products
			|| onec_internal.products_with_picture(server, written.files);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.sync_some_images(name) IS
	'Прочитать часть изменившихся картинок (служебная)';

CREATE FUNCTION onec_internal.widen_mirror(fields_of text, properties jsonb) RETURNS name[]
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	place record;
	tab regclass;
	added name[];
	c onec_internal.made_column;
BEGIN
	SELECT x.table_schema, x.table_name INTO place
	FROM (SELECT t.target AS fields_of, t.table_schema, t.table_name
		  FROM onec.target t JOIN onec_internal.mirror m ON m.target = t.target
		  UNION ALL SELECT concat_ws('.', s.target, s.field), s.table_schema, s.table_name
		  FROM onec_internal.mirror_section s) x
	WHERE x.fields_of = widen_mirror.fields_of;
	PERFORM onec_internal.hold_schema(place.table_schema);
	tab := to_regclass(format('%I.%I', place.table_schema, place.table_name));
	added := onec_internal.add_fields(fields_of, properties, onec_internal.names_of_sync() || ARRAY(
		SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = tab AND NOT a.attisdropped));
	FOREACH c IN ARRAY onec_internal.columns_of_fields(fields_of) LOOP
		CONTINUE WHEN c.name <> ALL (added);
		EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', tab, c.name, c.type);
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tab, c.name, c.title);
	END LOOP;
	RETURN added;
END $$;

COMMENT ON FUNCTION onec_internal.widen_mirror(text, jsonb) IS
	'Добавить в таблицу зеркала столбцы для новых свойств (служебная)';

CREATE FUNCTION onec_internal.alter_mirror(target text, made onec_internal.made_column[]) RETURNS text[]
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
BEGIN
	IF NOT onec_internal.is_mirror(target)
		OR EXISTS (SELECT FROM unnest(made) u
				   WHERE (u.type IN ('uuid', 'timestamp', 'numeric', 'int2', 'int4', 'int8', 'bool', 'bytea',
									 'jsonb', 'text')) IS NOT TRUE
					  OR EXISTS (SELECT FROM unnest(u.options) o WHERE o !~ '^(property|edm_type)=')) THEN
		RAISE insufficient_privilege USING MESSAGE = format('"%s" cannot be altered so', target);
	END IF;
	UPDATE onec_internal.mirror m SET looked_at = now() WHERE m.target = alter_mirror.target;
	RETURN onec_internal.make_table(t.server, target, t.title, t.entity_set, '{}', made);
END $$;

COMMENT ON FUNCTION onec_internal.alter_mirror(text, onec_internal.made_column[]) IS
	'Привести внешнюю таблицу зеркала к свойствам набора (служебная)';

CREATE FUNCTION onec_internal.check_types(fields_of text, properties jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	other record;
BEGIN
	SELECT x.property, x.edm_type, f.field, onec_internal.type_of_kind(f.kind) AS type INTO other
	FROM jsonb_to_recordset(properties) x (property text, edm_type text, kind text)
	JOIN onec.field_source f ON f.target = fields_of AND f.candidates = ARRAY[x.property] AND f.kind <> x.kind
	LIMIT 1;
	IF other.field IS NOT NULL THEN
		RAISE datatype_mismatch USING
			MESSAGE = format('property "%s" is of type %s now, and column "%s" is %s', other.property,
							 other.edm_type, other.field, other.type),
			HINT = 'Make the mirror anew: onec.unmirror, onec.mirror.';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_types(text, jsonb) IS
	'Проверить, что свойства того же типа, что и столбцы (служебная)';

CREATE FUNCTION onec_internal.is_metadata_due(plan onec_internal.sync_plan, run bigint,
											  target text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ($1).job IS NULL OR ($1).size >= 3 OR m.looked_at < now() - interval '1 day'
		OR (SELECT s.error_code FROM onec.sync_step s
			WHERE s.server = ($1).server AND s.target = $3 AND s.run_id < $2
			ORDER BY s.run_id DESC LIMIT 1) IN ('HV005', 'HV00R')
	FROM onec_internal.mirror m WHERE m.target = $3
$$;

COMMENT ON FUNCTION onec_internal.is_metadata_due(onec_internal.sync_plan, bigint, text) IS
	'Пора ли сверить зеркало с $metadata (служебная)';

CREATE FUNCTION onec_internal.follow_metadata(plan onec_internal.sync_plan, run bigint, target text)
	RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	m onec_internal.mirror;
	s record;
	added name[] := '{}';
	changes text[];
	properties jsonb;
	mark text := format('%s %s', plan.server, run);
BEGIN
	SELECT x.* INTO m FROM onec_internal.mirror x WHERE x.target = follow_metadata.target;
	IF m.target IS NULL OR onec_internal.is_metadata_due(plan, run, target) IS NOT TRUE THEN
		RETURN false;
	ELSIF current_setting('onec_mirror.metadata_of', true) IS DISTINCT FROM mark THEN
		-- asked anew once in a run
		PERFORM count(*) FROM onec.entity_sets(plan.server);
		PERFORM set_config('onec_mirror.metadata_of', mark, false);
	END IF;
	PERFORM onec_internal.hold_own_tables(target);
	properties := onec_internal.properties_as_json(plan.server, t.entity_set, m.with_binary);
	FOR s IN SELECT target AS fields_of, properties AS told
			 UNION ALL SELECT concat_ws('.', x.target, x.field),
							  onec_internal.properties_as_json(plan.server, x.entity_set, m.with_binary)
			 FROM onec_internal.mirror_section x
			 JOIN onec.field_source f ON f.target = x.target AND f.field = x.field
			 WHERE x.target = follow_metadata.target
			   -- what describes the lines goes with them
			   AND properties @> jsonb_build_array(jsonb_build_object('property', f.candidates[1])) LOOP
		PERFORM onec_internal.check_types(s.fields_of, s.told);
		added := added || onec_internal.widen_mirror(s.fields_of, s.told);
	END LOOP;
	changes := onec_internal.alter_mirror(target,
										  onec_internal.columns_to_make(plan.server, target, t.entity_set));
	IF changes <> '{}' OR added <> '{}' THEN
		RAISE NOTICE USING MESSAGE = format('mirror "%s": %s', target, concat_ws(', ',
			'new columns ' || nullif(array_to_string(added, ', '), ''),
			nullif(array_to_string(changes, ', '), '')));
		-- what runs have read before, they have read without them
		DELETE FROM onec.sync_state x WHERE x.server = plan.server AND x.target = follow_metadata.target;
		UPDATE onec.sync_step x SET windows = NULL
		WHERE x.server = plan.server AND x.target = follow_metadata.target AND x.run_id < run
		  AND x.windows IS NOT NULL;
	END IF;
	RETURN changes <> '{}' OR added <> '{}';
END $$;

COMMENT ON FUNCTION onec_internal.follow_metadata(onec_internal.sync_plan, bigint, text) IS
	'Сверить столбцы зеркала со свойствами набора (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.way_of_step(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	SELECT k.target, k.source, k.made_of INTO t FROM onec.target k WHERE k.target = way_of_step.target;
	RETURN CASE WHEN t.source = 'files' AND NOT onec_internal.has_tables_of_bytes(server) THEN 'none'
				WHEN t.source <> 'set' THEN t.source
				WHEN to_regclass(format('%I.%I', server, t.target)) IS NOT NULL THEN 'read'
				WHEN to_regclass(quote_ident(server) || '.' || quote_ident(t.made_of)) IS NOT NULL
					THEN 'derived'
				ELSE 'none' END;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.begins_step(server name, target text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 = (SELECT s.target
				 FROM onec_internal.sync_steps($1, ARRAY[(onec_internal.target_named($2)).step]) s
				 WHERE onec_internal.way_of_step($1, s.target) = 'read' ORDER BY s.ordinal LIMIT 1)
$$;

CREATE OR REPLACE FUNCTION onec_internal.wanted_windows(plan onec_internal.sync_plan, target text,
											 days int) RETURNS TABLE (from_ts timestamp, till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.way_of_step(plan.server, target) = 'files' THEN
		RETURN QUERY SELECT onec_internal.first_moment(), onec_internal.last_moment()
			FROM generate_series(1, onec_internal.batches_of_images(plan.server));
	ELSIF onec_internal.date_column(target) IS NULL
		OR onec_internal.way_of_step(plan.server, target) <> 'read'
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

CREATE FUNCTION onec_internal.windows_left(plan onec_internal.sync_plan, run bigint, target text,
										   days int) RETURNS tsrange[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN days IS NULL AND NOT (plan).afresh THEN (
		SELECT nullif(s.windows, '{}') FROM onec.sync_step s
		JOIN onec.sync_run r ON r.server = s.server AND r.run_id = s.run_id
		WHERE s.server = (plan).server AND s.target = windows_left.target AND s.run_id < run
		  AND s.days IS NULL
		  AND s.windows IS NOT NULL AND r.size > 0 AND r.started_at > now() - interval '8 days'
		ORDER BY s.run_id DESC LIMIT 1) END;

COMMENT ON FUNCTION onec_internal.windows_left(onec_internal.sync_plan, bigint, text, int) IS
	'Окна, которые прежний запуск не успел прочитать (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.windows_in_order(plan onec_internal.sync_plan, run bigint, target text,
											   days int) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	windows tsrange[] := onec_internal.windows_left(plan, run, target, days);
BEGIN
	-- what that one could not prove lies behind the place
	IF windows IS NOT NULL THEN
		windows := ARRAY(
			SELECT tsrange(d.from_ts, d.till_ts) AS w FROM onec_internal.sync_doubt d
			WHERE d.server = plan.server AND d.target = windows_in_order.target AND d.kind = 'unproven'
			  AND NOT EXISTS (SELECT FROM unnest(windows) w WHERE w @> tsrange(d.from_ts, d.till_ts))
			UNION SELECT unnest(windows) ORDER BY w);
	END IF;
	RETURN coalesce(windows, ARRAY(
		SELECT tsrange(greatest(w.from_ts, k.since), w.till_ts)
		FROM onec_internal.wanted_windows(plan, target, days) w,
			onec_internal.purchases_kept_since(plan.server, target) k (since)
		WHERE greatest(w.from_ts, k.since) < w.till_ts ORDER BY w.from_ts));
END $$;

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
		SELECT s.server, s.target,
			   CASE WHEN s.days IS NULL THEN onec_internal.first_moment()
					ELSE onec.local_now(s.server)::date - s.days END,
			   clock_timestamp(),
			   CASE WHEN s.objects_told IS NULL THEN s.started_at
					ELSE (SELECT p.asked_at FROM onec_internal.plan_state p WHERE p.server = s.server) END
		ON CONFLICT ON CONSTRAINT sync_state_pkey DO UPDATE
		SET complete_from = least(t.complete_from, excluded.complete_from), last_ok = excluded.last_ok,
			as_of = excluded.as_of;
		DELETE FROM onec_internal.sync_doubt d
		WHERE d.server = s.server AND d.target = s.target AND d.kind IN ('unproven', 'hole')
		  AND d.found_at < s.started_at;
		PERFORM onec_internal.end_step_of_plan(s);
	END IF;
END $$;

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('sync.first_models', 'bool', 'true', NULL, NULL, NULL,
	 'После первой полной синхронизации построить модель покупок, пары товаров и рекомендации, не дожидаясь '
	 'воскресенья', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('sync.progress_seconds', 'numeric', '5', NULL, 0, 86400,
	 'Первая загрузка таблицы, начатая вручную, раз в столько секунд сообщает, сколько прочитано и сколько '
	 'осталось; 0 — не сообщать', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE FUNCTION onec_internal.tell_progress(plan onec_internal.sync_plan, run bigint, place int,
											since timestamptz) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	every numeric := onec.get('sync.progress_seconds', plan.server)::numeric;
	p record;
BEGIN
	IF plan.job IS NOT NULL OR every = 0 THEN
		RETURN;
	END IF;
	SELECT s.target, s.rows_read, 100 * s.windows_done / s.windows_total AS percent,
		   n.elapsed / s.windows_done * (s.windows_total - s.windows_done) AS remaining INTO p
	FROM onec.sync_step s CROSS JOIN LATERAL (SELECT clock_timestamp() - s.started_at) n (elapsed)
	WHERE s.server = plan.server AND s.run_id = run AND s.ordinal = place
	  AND s.windows_done BETWEEN 1 AND s.windows_total - 1
	  AND div(extract(epoch FROM since - s.started_at), every) < div(extract(epoch FROM n.elapsed), every)
	  AND NOT EXISTS (SELECT FROM onec.sync_state t
					  WHERE t.server = s.server AND t.target = s.target AND t.last_ok IS NOT NULL)
	  AND (SELECT a.backend_type FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()) = 'client backend';
	IF p.target IS NOT NULL THEN
		RAISE NOTICE USING MESSAGE = format('%s: %s rows, %s %%, about %s left', p.target, p.rows_read,
			p.percent, date_trunc('second', p.remaining + interval '0.5 seconds'));
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.tell_progress(onec_internal.sync_plan, bigint, int, timestamptz) IS
	'Сообщить о ходе первой загрузки таблицы (служебная)';

CREATE FUNCTION onec_internal.models_are_due(plan onec_internal.sync_plan, run bigint) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ($1).size >= 2 AND ($1).job IS DISTINCT FROM 'weekly'
		AND onec.get('sync.first_models', ($1).server)::boolean
		AND NOT EXISTS (SELECT FROM onec.clv_model m WHERE m.server = ($1).server)
		AND EXISTS (SELECT FROM onec_internal.profile_state p WHERE p.server = ($1).server)
		AND NOT EXISTS (SELECT FROM onec.sync_step s JOIN onec.target t ON t.target = s.target
						WHERE s.server = ($1).server AND s.run_id = $2
						  AND (s.step = onec_internal.compared_step() OR t.source <> 'set')
						  AND s.status NOT IN ('ok', 'incomplete', 'not published'))
$$;

COMMENT ON FUNCTION onec_internal.models_are_due(onec_internal.sync_plan, bigint) IS
	'Пора ли впервые построить модели (служебная)';

CREATE FUNCTION onec_internal.refresh_first_models(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.models_are_due(plan, run) THEN
		PERFORM onec.refresh_models(plan.server);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.refresh_first_models(onec_internal.sync_plan, bigint) IS
	'Построить модели, пары и рекомендации после первой полной синхронизации (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.write_down_steps(plan onec_internal.sync_plan, run bigint) RETURNS void
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
	WHERE onec_internal.is_switched_on(plan.server, s)
	  -- a part is of what is read, and of a person only where there is a condition for them
	  AND (plan.size > 0 OR s.source = 'profiles'
		   OR s.source = 'set' AND onec_internal.way_of_step(plan.server, s.target) = 'read'
			  AND (plan.user_id IS NULL
				   OR onec_internal.purchases_of_person(plan.server, s.target, plan.user_id) IS NOT NULL));
END $$;

CREATE OR REPLACE FUNCTION onec_internal.end_run(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.keep_years(plan.server);
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
		message = nullif(concat_ws('; ', onec_internal.plan_failure(r.server, r.run_id),
				  (SELECT string_agg(DISTINCT CASE s.status WHEN 'skipped' THEN s.message
											  ELSE s.target || ': ' || s.message END, '; ')
				   FROM onec.sync_step s
				   WHERE s.server = r.server AND s.run_id = r.run_id
					 AND s.status IN ('failed', 'incomplete', 'skipped'))), '')
	WHERE r.server = plan.server AND r.run_id = run;
	-- when all of what is compared is read, what had drifted is
	UPDATE onec.drift d SET repaired_at = clock_timestamp()
	WHERE d.server = plan.server AND d.repaired_at IS NULL AND plan.size > 0
	  AND (SELECT bool_and(s.status IN ('ok', 'not published')) FROM onec.sync_step s
		   WHERE s.server = d.server AND s.run_id = run AND s.step = onec_internal.compared_step());
END $$;

CREATE OR REPLACE FUNCTION onec_internal.begin_next_step(plan onec_internal.sync_plan, run bigint) RETURNS int
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
			IF onec_internal.follow_metadata(plan, run, s.target) THEN
				s.days := NULL;
				UPDATE onec.sync_step t SET days = NULL
				WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
			END IF;
			SELECT o.days, o.told INTO s.days, s.objects_told
			FROM onec_internal.objects_told(plan, run, s.target, s.days) o;
			s.windows := CASE WHEN s.objects_told IS NULL
							  THEN onec_internal.windows_in_order(plan, run, s.target, s.days)
							  ELSE ARRAY[tsrange(onec_internal.first_moment(),
												 onec_internal.last_moment())] END;
			UPDATE onec.sync_step t SET windows = s.windows, windows_total = cardinality(s.windows),
				days = s.days, objects_told = s.objects_told,
				resumed = onec_internal.windows_left(plan, run, s.target, s.days) IS NOT NULL
					OR EXISTS (SELECT FROM onec.sync_state k
							   WHERE k.server = t.server AND k.target = t.target AND k.place > 0)
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

DROP FUNCTION onec_internal.do_window;
CREATE FUNCTION onec_internal.do_window(plan onec_internal.sync_plan, target text, from_ts timestamp,
										till_ts timestamp, days int, told bigint,
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
	touched uuid[];
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
		PERFORM onec_internal.note_who_is_written(plan.server, target);
		SELECT f.rows_inserted, f.rows_updated, f.rows_deleted INTO inserted, updated, deleted
		FROM onec_internal.refresh_after_sync(plan.server, days IS NULL AND plan.size > 0, plan.size > 0) f;
		PERFORM onec_internal.feed_changed(plan.server, target,
										   'SELECT w.customer_id FROM pg_temp.onec_written w');
	ELSIF way = 'files' THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt, touched
		FROM onec_internal.sync_some_images(plan.server) f;
		PERFORM onec_internal.feed_changed(plan.server, target, format('SELECT unnest(%L::uuid[])', touched));
	ELSIF way = 'derived' THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt
		FROM onec_internal.sales_from_card_register(plan.server, plan.force) f;
	ELSIF told IS NOT NULL THEN
		SELECT f.* INTO read, keys, inserted, updated, deleted, doubt
		FROM onec_internal.sync_told(plan.server, target, plan.force) f;
	ELSIF (SELECT t.is_limited FROM onec.target t WHERE t.target = do_window.target)
		AND NOT onec_internal.cards_fit_limit(plan.server, plan.cards_limit)
		-- keys and versions of all are less than some of them whole
		AND onec_internal.version_way(plan.server, target, 'true') <> 'header' THEN
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

COMMENT ON FUNCTION onec_internal.do_window(onec_internal.sync_plan, text, timestamp, timestamp, int,
											bigint) IS
	'Выполнить одно окно шага (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.settle_step(plan onec_internal.sync_plan, run bigint, s onec.sync_step,
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
		PERFORM onec_internal.hold_own_tables(s.target);
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

CREATE OR REPLACE FUNCTION onec_internal.do_next_window(plan onec_internal.sync_plan, run bigint,
											 place int) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.sync_step;
	w tsrange;
	did record;
	asked bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
	since timestamptz := clock_timestamp();
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
		PERFORM onec_internal.hold_own_tables(s.target);
		IF w IS NULL THEN
			IF plan.size > 0 AND (onec_internal.target_named(s.target)).sums = 'balance' THEN
				PERFORM onec_internal.check_points_with_1c(plan, s);
			END IF;
			PERFORM onec_internal.end_step(plan, run, s);
		ELSE
			SELECT * INTO did FROM onec_internal.do_window(plan, s.target, lower(w), upper(w), s.days,
														   s.objects_told);
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
			covered = CASE WHEN t.objects_told IS NULL
								AND onec_internal.deletion_waits_for_end(t.server, t.target)
						   THEN t.covered + tsmultirange(w) ELSE '{}' END,
			covered_keys = t.covered_keys + did.keys,
			empty_windows = CASE WHEN did.read = 0 THEN t.empty_windows + 1 ELSE 0 END
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place;
	END IF;
	PERFORM onec_internal.account_requests(plan.server, run, place, asked);
	IF w IS NULL OR code IS NOT NULL THEN
		PERFORM onec_internal.tell_of_step(plan.server, run, place);
	ELSE
		PERFORM onec_internal.tell_progress(plan, run, place, since);
	END IF;
	IF w IS NULL AND code IS NULL THEN
		RAISE NOTICE USING MESSAGE = onec_internal.step_summary(plan.server, run, place);
	END IF;
	RETURN w IS NOT NULL AND code IS NULL;
END $$;

CREATE OR REPLACE PROCEDURE onec_internal.carry_out(plan onec_internal.sync_plan)
	LANGUAGE plpgsql
AS $$
DECLARE
	since pg_catalog.timestamptz := pg_catalog.clock_timestamp();
	begun pg_catalog.record;
	part pg_catalog.text := 'look';
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
	WHILE part IS NOT NULL LOOP
		part := onec_internal.take_message(plan, begun.run, part);
		COMMIT AND CHAIN;
	END LOOP;
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
	PERFORM onec_internal.refresh_first_models(plan, begun.run);
	COMMIT;
END $$;

COMMENT ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean, boolean, boolean) IS
	'Синхронизация с 1С: карты, контрагенты, товары, магазины, покупки за days дней, баллы, заказы, '
	'картинки, профили; фиксирует каждое окно, можно прервать и повторить; deep — ещё и сверить старые '
	'месяцы и перечитать разошедшиеся; force — поверить пустому ответу или ответу, в котором нет ни одной '
	'здешней строки; dry_run — только показать, сколько строк изменилось бы';

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.settle_seconds', 'int', '300', NULL, 0, 86400,
	 'Через сколько секунд после неясного исхода смотреть, записан ли объект: 1С может ещё работать', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.retry_min_seconds', 'int', '30', NULL, 0, 86400,
	 'Через сколько секунд повторить отправку в первый раз; дальше вдвое дольше', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.retry_max_seconds', 'int', '3600', NULL, 1, 86400,
	 'Не реже чем через столько секунд повторять отправку', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.lease_seconds', 'int', '3600', NULL, 60, 86400,
	 'Через сколько секунд строка, которую отправляют, считается брошенной, даже если процесс жив', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.deliver_seconds', 'int', '60', NULL, 1, 60,
	 'Как часто задание deliver отправляет очередь, секунд; чаще раза в минуту — с pg_cron 1.5 и новее', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.notify', 'bool', 'true', NULL, NULL, NULL,
	 'Сообщать о строках очереди: NOTIFY onec_outbox; выключите, если сайт фиксирует транзакции в две фазы '
	 '(PREPARE TRANSACTION)', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.preview', 'bool', 'false', NULL, NULL, NULL,
	 'Ничего не отправлять: новые строки очереди только показываются (состояние preview, onec.rehearse)', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.key_days', 'int', '90', NULL, 1, 36500,
	 'Сколько дней после доставки помнить ключи идемпотентности', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.keep_days', 'int', '30', NULL, 0, 36500,
	 'Через сколько дней после доставки стереть содержание записанного; 0 — не стирать', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.history_days', 'int', '365', NULL, 1, 36500, 'Сколько дней хранить историю доставки', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec.outbox (
	server name NOT NULL,
	id bigint GENERATED ALWAYS AS IDENTITY,
	entity_set text NOT NULL,
	operation text NOT NULL CHECK (operation IN ('create', 'patch', 'merge_rows', 'post', 'unpost', 'mark',
												 'delete')),
	key uuid NOT NULL,
	body jsonb,
	data_version text,
	merge_by text[],
	depends_on bigint[] NOT NULL DEFAULT '{}',
	idempotency text,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT now(),
	status text NOT NULL CHECK (status IN ('pending', 'sending', 'waiting', 'blocked', 'conflict', 'unknown',
										   'failed', 'preview')),
	attempts int NOT NULL DEFAULT 0,
	maybe_sent boolean NOT NULL DEFAULT false,
	not_before timestamptz NOT NULL DEFAULT now(),
	leased_at timestamptz,
	lease_until timestamptz,
	worker int,
	worker_start timestamptz,
	http_status int,
	code int,
	message text,
	marker text,
	load_mode boolean NOT NULL DEFAULT false,
	seen jsonb,
	merge_old jsonb,
	PRIMARY KEY (server, id)
);

CREATE INDEX outbox_due ON onec.outbox (server, id) WHERE status IN ('pending', 'waiting', 'unknown',
	'sending');

CREATE INDEX outbox_sending ON onec.outbox (server, id) WHERE status = 'sending';

CREATE INDEX outbox_of_key ON onec.outbox (server, key, id);

COMMENT ON TABLE onec.outbox IS
	'Что ждёт записи в 1С: изменения, поставленные в очередь onec.enqueue и ещё не доставленные';

COMMENT ON COLUMN onec.outbox.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.outbox.id IS 'Номер';

COMMENT ON COLUMN onec.outbox.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec.outbox.operation IS
	'Что сделать: create — создать, patch — изменить, merge_rows — дополнить табличные части, post — '
	'провести, unpost — отменить проведение, mark — пометить на удаление, delete — удалить из базы';

COMMENT ON COLUMN onec.outbox.key IS 'Ссылка на объект; для нового придумана здесь';

COMMENT ON COLUMN onec.outbox.body IS 'Что записать: свойства и табличные части';

COMMENT ON COLUMN onec.outbox.data_version IS 'Какую версию объекта видел тот, кто меняет; NULL — любую';

COMMENT ON COLUMN onec.outbox.merge_by IS 'По каким полям узнаётся строка табличной части (merge_rows)';

COMMENT ON COLUMN onec.outbox.depends_on IS 'Каких строк очереди ждёт';

COMMENT ON COLUMN onec.outbox.idempotency IS 'Ключ идемпотентности: второй раз то же не ставится';

COMMENT ON COLUMN onec.outbox.requested_by IS 'Роль, поставившая в очередь';

COMMENT ON COLUMN onec.outbox.requested_at IS 'Когда поставлено';

COMMENT ON COLUMN onec.outbox.status IS
	'Состояние: pending — ждёт отправки, waiting — ждёт других строк, sending — отправляется, unknown — '
	'исход неясен, blocked — нет права или база не готова, conflict — объект изменён другим, failed — 1С '
	'отказала, preview — не отправляется (настройка outbox.preview)';

COMMENT ON COLUMN onec.outbox.attempts IS 'Сколько раз бралась в работу';

COMMENT ON COLUMN onec.outbox.maybe_sent IS 'Могла ли уже дойти до 1С';

COMMENT ON COLUMN onec.outbox.not_before IS 'Раньше этого не отправлять';

COMMENT ON COLUMN onec.outbox.leased_at IS 'Когда взята в работу';

COMMENT ON COLUMN onec.outbox.lease_until IS 'До какого времени она за тем, кто её взял';

COMMENT ON COLUMN onec.outbox.worker IS 'Процесс сервера, который её взял';

COMMENT ON COLUMN onec.outbox.worker_start IS 'Когда начался этот процесс';

COMMENT ON COLUMN onec.outbox.http_status IS 'Код HTTP последнего ответа';

COMMENT ON COLUMN onec.outbox.code IS 'Номер ошибки OData последнего ответа';

COMMENT ON COLUMN onec.outbox.message IS 'Что ответила 1С или почему строка стоит';

COMMENT ON COLUMN onec.outbox.load_mode IS
	'Писать с заголовком 1C_OData-DataLoadMode: без проверок и заполнений конфигурации';

COMMENT ON COLUMN onec.outbox.seen IS
	'Что было в объекте перед отправкой: версия, для merge_rows и табличные части';

COMMENT ON COLUMN onec.outbox.merge_old IS
	'Что было в строках табличных частей, которые меняет merge_rows: по ним узнаётся, какая из похожих';

COMMENT ON COLUMN onec.outbox.marker IS
	'Свойство, в котором новый объект помечен ссылкой сайта: база может дать ему свою';

SELECT pg_catalog.pg_extension_config_dump('onec.outbox', '');

CREATE TABLE onec.outbox_history (
	server name NOT NULL,
	id bigint NOT NULL,
	done_at timestamptz NOT NULL,
	entity_set text NOT NULL,
	operation text NOT NULL,
	key uuid NOT NULL,
	remote_key uuid,
	body jsonb,
	depends_on bigint[] NOT NULL,
	idempotency text,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL,
	status text NOT NULL CHECK (status IN ('done', 'skipped')),
	attempts int NOT NULL,
	http_status int,
	message text,
	stored_diff jsonb,
	number text,
	data_version text,
	maybe_sent boolean NOT NULL DEFAULT true,
	PRIMARY KEY (server, id, done_at)
) PARTITION BY RANGE (done_at);

CREATE INDEX outbox_history_of_key ON onec.outbox_history (server, key);

CREATE INDEX outbox_history_done ON onec.outbox_history (server, done_at);

COMMENT ON TABLE onec.outbox_history IS 'Что записано в 1С или пропущено; разделена по месяцам';

COMMENT ON COLUMN onec.outbox_history.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.outbox_history.id IS 'Номер в очереди';

COMMENT ON COLUMN onec.outbox_history.done_at IS 'Когда доставлено или пропущено';

COMMENT ON COLUMN onec.outbox_history.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec.outbox_history.operation IS 'Что сделано';

COMMENT ON COLUMN onec.outbox_history.key IS 'Ссылка, которую получил сайт';

COMMENT ON COLUMN onec.outbox_history.remote_key IS 'Ссылка, которую дала 1С, если она другая';

COMMENT ON COLUMN onec.outbox_history.body IS 'Что просили записать; через outbox.keep_days стирается';

COMMENT ON COLUMN onec.outbox_history.depends_on IS 'Каких строк ждала';

COMMENT ON COLUMN onec.outbox_history.idempotency IS 'Ключ идемпотентности';

COMMENT ON COLUMN onec.outbox_history.requested_by IS 'Роль, поставившая в очередь';

COMMENT ON COLUMN onec.outbox_history.requested_at IS 'Когда поставлено';

COMMENT ON COLUMN onec.outbox_history.status IS 'done — доставлено, skipped — пропущено';

COMMENT ON COLUMN onec.outbox_history.attempts IS 'Сколько раз бралась в работу';

COMMENT ON COLUMN onec.outbox_history.http_status IS 'Код HTTP последнего ответа';

COMMENT ON COLUMN onec.outbox_history.message IS 'Пояснение';

COMMENT ON COLUMN onec.outbox_history.stored_diff IS
	'Что 1С записала не так, как просили: свойство и записанное; через outbox.keep_days стирается';

COMMENT ON COLUMN onec.outbox_history.number IS 'Номер или код, который дала 1С';

COMMENT ON COLUMN onec.outbox_history.data_version IS 'Версия объекта после записи';

COMMENT ON COLUMN onec.outbox_history.maybe_sent IS
	'Могла ли дойти до 1С; нет — пропущена, и в 1С её наверняка нет';

CREATE TABLE onec_internal.outbox_key (
	server name NOT NULL,
	idempotency text COLLATE "C" NOT NULL,
	id bigint NOT NULL,
	entity_set text NOT NULL,
	operation text NOT NULL,
	key uuid NOT NULL,
	kept_since timestamptz NOT NULL DEFAULT now(),
	asked text,
	PRIMARY KEY (server, idempotency)
);

COMMENT ON TABLE onec_internal.outbox_key IS 'Ключи идемпотентности (служебное)';

COMMENT ON COLUMN onec_internal.outbox_key.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.outbox_key.idempotency IS 'Ключ идемпотентности';

COMMENT ON COLUMN onec_internal.outbox_key.id IS 'Номер в очереди';

COMMENT ON COLUMN onec_internal.outbox_key.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec_internal.outbox_key.operation IS 'Что сделать';

COMMENT ON COLUMN onec_internal.outbox_key.key IS 'Ссылка на объект';

COMMENT ON COLUMN onec_internal.outbox_key.asked IS
	'Отпечаток того, что просили записать: с тем же ключом другое — ошибка';

COMMENT ON COLUMN onec_internal.outbox_key.kept_since IS
	'Когда поставлено, а после доставки — когда доставлено';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_key', '');

CREATE TABLE onec.outbox_allowed (
	server name NOT NULL,
	role name NOT NULL,
	entity_set text COLLATE "C" NOT NULL,
	-- a role made again under the name of one that is gone is another; a dump tells it by its name
	role_id regrole,
	PRIMARY KEY (server, role, entity_set)
);

COMMENT ON TABLE onec.outbox_allowed IS 'Кому что можно ставить в очередь записи; меняет onec.allow_write';

COMMENT ON COLUMN onec.outbox_allowed.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.outbox_allowed.role IS 'Как роль звалась';

COMMENT ON COLUMN onec.outbox_allowed.role_id IS 'Роль';

COMMENT ON COLUMN onec.outbox_allowed.entity_set IS 'Набор 1С';

SELECT pg_catalog.pg_extension_config_dump('onec.outbox_allowed', '');

CREATE FUNCTION onec_internal.make_history_part(at timestamptz) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET timezone = 'UTC'
AS $$
DECLARE
	month date := date_trunc('month', at)::date;
	part text := to_char(month, '"outbox_history_"YYYY"_"MM');
BEGIN
	IF to_regclass(format('onec_internal.%I', part)) IS NOT NULL THEN
		RETURN;
	END IF;
	EXECUTE format('CREATE TABLE onec_internal.%I PARTITION OF onec.outbox_history FOR VALUES FROM (%L) TO '
		'(%L)',
				   part, month::timestamptz, (month + interval '1 month')::timestamptz);
	EXECUTE format('COMMENT ON TABLE onec_internal.%I IS %L', part, 'Часть onec.outbox_history (служебное)');
EXCEPTION WHEN duplicate_table THEN
	NULL;
END $$;

COMMENT ON FUNCTION onec_internal.make_history_part(timestamptz) IS
	'Создать часть истории за месяц, если её нет (служебная)';

CREATE FUNCTION onec_internal.is_reference(edm_type text, kind text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce($1 = 'Guid' OR $1 = 'Composite'
		AND $2 ~ '^StandardODATA\.(Catalog|Document|ChartOf\w*|ExchangePlan|BusinessProcess|Task)_', false);

COMMENT ON FUNCTION onec_internal.is_reference(text, text) IS 'Ссылка ли значение этого типа (служебная)';

CREATE FUNCTION onec_internal.value_fault(edm_type text, value jsonb, kind text) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_value_fault';

COMMENT ON FUNCTION onec_internal.value_fault(text, jsonb, text) IS
	'Что не так со значением; NULL — всё так (служебная)';

CREATE FUNCTION onec_internal.body_fault(server name, entity_set text, body jsonb, OUT part text,
										 OUT line int, OUT name text, OUT fault text, OUT named uuid[])
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'onec_body_fault';

COMMENT ON FUNCTION onec_internal.body_fault(name, text, jsonb) IS
	'Что в теле записи не так: табличная часть, строка, поле, ошибка; и ссылки, которые в нём есть '
	'(служебная)';

CREATE FUNCTION onec_internal.wire_value(edm_type text, value jsonb) RETURNS json
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN jsonb_typeof($2) = 'null' THEN CASE
			WHEN $1 = 'Guid' THEN '"00000000-0000-0000-0000-000000000000"'::json
			WHEN $1 = 'DateTime' THEN '"0001-01-01T00:00:00"' WHEN $1 = 'Boolean' THEN 'false'
			WHEN $1 IN ('Double', 'Int16', 'Int32', 'Int64') THEN '0' ELSE '""' END
		WHEN $1 = 'DateTime' THEN to_json(rpad(left($2 #>> '{}', 19), 19, 'T00:00:00'))
		ELSE $2::json END
$$;

COMMENT ON FUNCTION onec_internal.wire_value(text, jsonb) IS 'Значение, как его берёт 1С (служебная)';

CREATE FUNCTION onec_internal.wire_rows(server name, entity_set text, part text, given jsonb) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_agg(r.wire ORDER BY r.line), '[]')
	FROM (SELECT g.line, json_object_agg(p.property, CASE p.property WHEN 'LineNumber' THEN to_json(g.line)
				ELSE onec_internal.wire_value(p.edm_type, g.of -> p.property) END ORDER BY p.ordinal) AS wire
		  FROM jsonb_array_elements($4) WITH ORDINALITY g (of, line)
		  JOIN onec_internal.outbox_property p ON p.server = $1 AND p.entity_set = $2 AND p.part = $3
			  AND (g.of ? p.property OR p.property = 'LineNumber') AND p.property <> 'Ref_Key'
		  GROUP BY g.line) r
$$;

COMMENT ON FUNCTION onec_internal.wire_rows(name, text, text, jsonb) IS
	'Строки табличной части с номерами, как их берёт 1С (служебная)';

CREATE FUNCTION onec_internal.references_in_1c(server name, entity_set text, part text, given jsonb)
	RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $4 || coalesce(jsonb_object_agg(m.key, r.remote_key), '{}')
	FROM jsonb_each_text($4) m
	JOIN onec_internal.outbox_property p
		ON p.server = $1 AND p.entity_set = $2 AND p.part = $3 AND p.property = m.key
		AND onec_internal.is_reference(p.edm_type, $4 ->> (m.key || '_Type'))
	JOIN onec_internal.outbox_remote r ON r.server = $1 AND r.key = onec_internal.reference_uuid(m.value)
$$;

COMMENT ON FUNCTION onec_internal.references_in_1c(name, text, text, jsonb) IS
	'Объект или строка со ссылками, которые дала 1С (служебная)';

CREATE FUNCTION onec_internal.with_remote_keys(server name, entity_set text, body jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_remote r WHERE r.server = with_remote_keys.server) THEN
		RETURN body;
	END IF;
	RETURN onec_internal.references_in_1c(server, entity_set, '', body) || coalesce((
		SELECT jsonb_object_agg(e.key, (
			SELECT coalesce(jsonb_agg(onec_internal.references_in_1c(server, entity_set, e.key, r.of)
									  ORDER BY r.line), '[]')
			FROM jsonb_array_elements(e.value) WITH ORDINALITY r (of, line)))
		FROM jsonb_each(body) e WHERE jsonb_typeof(e.value) = 'array'), '{}');
END $$;

COMMENT ON FUNCTION onec_internal.with_remote_keys(name, text, jsonb) IS
	'Тело записи со ссылками, которые дала 1С (служебная)';

CREATE FUNCTION onec_internal.with_remote_keys_of(work onec.outbox, sent jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN onec_internal.with_remote_keys(($1).server, ($1).entity_set, $2);

COMMENT ON FUNCTION onec_internal.with_remote_keys_of(onec.outbox, jsonb) IS
	'То, что отправляет строка, со ссылками, которые дала 1С (служебная)';

CREATE FUNCTION onec_internal.wire_body(server name, entity_set text, body jsonb, key uuid) RETURNS json
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_object_agg(w.name, w.value ORDER BY w.ordinal, w.place), '{}')
	FROM (SELECT 0 AS ordinal, 0 AS place, 'Ref_Key' AS name, to_json($4) AS value WHERE $4 IS NOT NULL
		  UNION ALL
		  SELECT p.ordinal, t.place, CASE t.place WHEN 0 THEN p.property || '@odata.type' ELSE p.property END,
				 CASE WHEN t.place = 0 THEN to_json(p.type_name)
					  WHEN p.edm_type = 'Collection'
						  THEN onec_internal.wire_rows($1, $2, p.property, e.value)
					  ELSE onec_internal.wire_value(p.edm_type, e.value) END
		  FROM jsonb_each(onec_internal.with_remote_keys($1, $2, $3)) e
		  JOIN onec_internal.outbox_property p
			  ON p.server = $1 AND p.entity_set = $2 AND p.part = '' AND p.property = e.key
		  JOIN (VALUES (0), (1)) t (place) ON t.place = 1 OR p.edm_type = 'Collection') w
$$;

COMMENT ON FUNCTION onec_internal.wire_body(name, text, jsonb, uuid) IS 'Тело запроса к 1С (служебная)';

CREATE FUNCTION onec_internal.plain_value(edm_type text, value jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(CASE
		WHEN $1 = 'DateTime' THEN nullif(rpad(left(v.text, 19), 19, 'T00:00:00'), '0001-01-01T00:00:00')
		WHEN $1 IN ('Double', 'Int16', 'Int32', 'Int64') AND v.text ~ '^-?\d+(\.\d+)?([eE][-+]?\d+)?$'
			THEN nullif(trim_scale(v.text::numeric)::text, '0')
		WHEN $1 = 'Boolean' THEN nullif(lower(v.text), 'false')
		WHEN $1 IN ('Guid', 'Composite') THEN nullif(lower(v.text), '00000000-0000-0000-0000-000000000000')
		ELSE nullif(v.text, 'StandardODATA.Undefined') END, '')
	FROM (SELECT $2 #>> '{}') v (text)
$$;

COMMENT ON FUNCTION onec_internal.plain_value(text, jsonb) IS 'Значение в одном написании (служебная)';

CREATE FUNCTION onec_internal.rows_differ(server name, entity_set text, part text, sent jsonb,
										  stored jsonb) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_array_length($4) <> jsonb_array_length($5) OR EXISTS (
		SELECT FROM jsonb_array_elements($4) WITH ORDINALITY s (of, line)
		JOIN (SELECT r.of, row_number() OVER (ORDER BY (r.of ->> 'LineNumber')::numeric, r.line) AS line
			  FROM jsonb_array_elements($5) WITH ORDINALITY r (of, line)) t ON t.line = s.line
		CROSS JOIN LATERAL jsonb_each(s.of) f
		JOIN onec_internal.outbox_property p
			ON p.server = $1 AND p.entity_set = $2 AND p.part = $3 AND p.property = f.key
		WHERE p.property <> 'Ref_Key' AND t.of ? f.key
		  AND onec_internal.plain_value(p.edm_type, f.value)
			  IS DISTINCT FROM onec_internal.plain_value(p.edm_type, t.of -> f.key))
$$;

COMMENT ON FUNCTION onec_internal.rows_differ(name, text, text, jsonb, jsonb) IS
	'Отличаются ли записанные строки табличной части от отправленных (служебная)';

CREATE FUNCTION onec_internal.stored_diff(server name, entity_set text, sent jsonb, stored jsonb)
	RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_object_agg(e.key, $4 -> e.key)
	FROM jsonb_each(onec_internal.with_remote_keys($1, $2, $3)) e
	JOIN onec_internal.outbox_property p
		ON p.server = $1 AND p.entity_set = $2 AND p.part = '' AND p.property = e.key
	WHERE $4 ? e.key
	  AND CASE WHEN p.edm_type = 'Collection'
			   THEN jsonb_typeof($4 -> e.key) <> 'array'
				   OR onec_internal.rows_differ($1, $2, e.key, e.value, $4 -> e.key)
			   ELSE onec_internal.plain_value(p.edm_type, e.value)
				   IS DISTINCT FROM onec_internal.plain_value(p.edm_type, $4 -> e.key) END
$$;

COMMENT ON FUNCTION onec_internal.stored_diff(name, text, jsonb, jsonb) IS
	'Что 1С записала не так, как отправлено (служебная)';

CREATE FUNCTION onec_internal.same_said(one text, other text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce(lower(btrim($1)) = lower(btrim($2))
		OR $1 !~ '[[:alpha:]@]' AND length(regexp_replace($1, '\D', '', 'g')) >= 10
		   AND right(regexp_replace($1, '\D', '', 'g'), 10) = right(regexp_replace($2, '\D', '', 'g'), 10),
		   false);

COMMENT ON FUNCTION onec_internal.same_said(text, text) IS
	'Одно ли и то же два текста, как их пишут люди (служебная)';

CREATE FUNCTION onec_internal.row_has(of jsonb, sought jsonb, instead jsonb DEFAULT NULL) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM jsonb_each_text($2) s
				   WHERE onec_internal.same_said($1 ->> s.key, CASE WHEN $3 IS NULL THEN s.value
																	ELSE $3 ->> s.key END));

COMMENT ON FUNCTION onec_internal.row_has(jsonb, jsonb, jsonb) IS
	'Есть ли в строке одно из значений (служебная)';

CREATE FUNCTION onec_internal.merged_rows(stored jsonb, given jsonb, by text[], was jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH one AS (
		SELECT s.line, s.of - '{LineNumber,Ref_Key}'::text[] AS of, k.key,
			   row_number() OVER (PARTITION BY k.key ORDER BY s.line) AS nth
		FROM jsonb_array_elements($1) WITH ORDINALITY s (of, line)
		CROSS JOIN LATERAL (SELECT ARRAY(SELECT coalesce(lower(s.of ->> b), '')
										 FROM unnest($3) WITH ORDINALITY w (b, n) ORDER BY n)) k (key)),
	other AS (
		SELECT g.line, g.of - '{LineNumber,Ref_Key}'::text[] AS of,
			   ARRAY(SELECT coalesce(lower(g.of ->> b), '') FROM unnest($3) WITH ORDINALITY w (b, n)
				ORDER BY n) AS key, nullif($4 -> (g.line - 1)::int, 'null') AS was
		FROM jsonb_array_elements($2) WITH ORDINALITY g (of, line)),
	-- which row each new one is
	meant AS (
		SELECT g.*, (
			SELECT o.line FROM one o CROSS JOIN LATERAL (
				SELECT onec_internal.row_has(o.of, g.was) AS old,
					   onec_internal.row_has(o.of, g.was, g.of) AS new) h
			WHERE o.key = g.key AND CASE WHEN g.was IS NULL THEN o.nth = 1 ELSE h.old OR h.new END
			ORDER BY h.new DESC, o.line LIMIT 1) AS place
		FROM other g)
	SELECT coalesce(jsonb_agg(m.of ORDER BY m.place, m.line), '[]')
	FROM (SELECT 1 AS place, o.line, o.of || coalesce((SELECT g.of FROM meant g WHERE g.place = o.line
													   ORDER BY g.line DESC LIMIT 1), '{}') AS of FROM one o
		  UNION ALL
		  SELECT 2, g.line, g.of FROM meant g
		  WHERE g.place IS NULL
			AND NOT EXISTS (SELECT FROM meant l
							WHERE l.key = g.key AND l.place IS NULL AND l.line > g.line)) m
$$;

COMMENT ON FUNCTION onec_internal.merged_rows(jsonb, jsonb, text[], jsonb) IS
	'Табличная часть, дополненная строками (служебная)';

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('outbox.marker', 'text[]', '{Комментарий,Примечание}', NULL, NULL, NULL,
	 'Свойства 1С, в которых можно пометить новый объект, если база не берёт присланных ссылок', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec_internal.outbox_marker (
	server name NOT NULL,
	entity_set text NOT NULL,
	property text NOT NULL,
	is_kept boolean NOT NULL,
	PRIMARY KEY (server, entity_set, property)
);

COMMENT ON TABLE onec_internal.outbox_marker IS
	'Остаются ли пометки новых объектов в свойствах 1С, как показали ответы (служебное)';

COMMENT ON COLUMN onec_internal.outbox_marker.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.outbox_marker.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec_internal.outbox_marker.property IS 'Свойство';

COMMENT ON COLUMN onec_internal.outbox_marker.is_kept IS 'Осталась ли пометка';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_marker', '');

CREATE FUNCTION onec_internal.client_keys(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT b.client_keys FROM onec_internal.outbox_base b WHERE b.server = client_keys.server);
END $$;

COMMENT ON FUNCTION onec_internal.client_keys(name) IS 'Берёт ли база ключ, который ей прислали (служебная)';

CREATE FUNCTION onec_internal.marker_property(server name, entity_set text, body jsonb) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.property
	FROM unnest(onec.get('outbox.marker', $1)::text[]) WITH ORDINALITY w (name, n)
	JOIN onec_internal.outbox_property p ON p.server = $1 AND p.entity_set = $2 AND p.part = ''
		AND p.property = w.name AND p.edm_type = 'String'
	LEFT JOIN onec_internal.outbox_marker m ON m.server = $1 AND m.entity_set = $2
		AND m.property = p.property
	WHERE m.is_kept IS NOT FALSE
	  AND (p.length = 0 OR length(concat_ws(' ', nullif($3 ->> p.property, ''), '[]')) + 36 <= p.length)
	ORDER BY w.n LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.marker_property(name, text, jsonb) IS
	'Свойство, в котором новый объект можно пометить (служебная)';

CREATE FUNCTION onec_internal.marker_of(o onec.outbox) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN ($1).maybe_sent THEN ($1).marker
				WHEN ($1).operation = 'create' AND onec_internal.client_keys(($1).server) IS NOT TRUE
					THEN onec_internal.marker_property(($1).server, ($1).entity_set, ($1).body) END;

COMMENT ON FUNCTION onec_internal.marker_of(onec.outbox) IS
	'Свойство, в котором строку помечают при отправке (служебная)';

CREATE FUNCTION onec_internal.marked_body(body jsonb, property text, key uuid) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $2 IS NULL THEN $1 ELSE $1 || jsonb_build_object($2,
		concat_ws(' ', nullif($1 ->> $2, ''), '[' || $3 || ']')) END;

COMMENT ON FUNCTION onec_internal.marked_body(jsonb, text, uuid) IS 'Тело с пометкой (служебная)';

CREATE FUNCTION onec_internal.is_marker_kept(server name, entity_set text, property text) RETURNS boolean
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT m.is_kept FROM onec_internal.outbox_marker m
			WHERE m.server = $1 AND m.entity_set = $2 AND m.property = $3);

COMMENT ON FUNCTION onec_internal.is_marker_kept(name, text, text) IS
	'Остаётся ли пометка; NULL — ещё неизвестно (служебная)';

CREATE FUNCTION onec_internal.marked_objects(server name, entity_set text, property text, mark text)
	RETURNS TABLE (key uuid, told text)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_marked_objects';

COMMENT ON FUNCTION onec_internal.marked_objects(name, text, text, text) IS
	'Объекты базы, в свойстве которых есть пометка (служебная)';

CREATE FUNCTION onec_internal.equal_objects(server name, entity_set text, properties text[], types text[],
											given text[], since text)
	RETURNS SETOF uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_equal_objects';

COMMENT ON FUNCTION onec_internal.equal_objects(name, text, text[], text[], text[], text) IS
	'Объекты базы, у которых эти свойства равны этим значениям (служебная)';

CREATE FUNCTION onec_internal.telling_values(server name, entity_set text, sent jsonb, OUT properties text[],
											 OUT types text[], OUT given text[])
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(t.property ORDER BY t.n), array_agg(t.edm_type ORDER BY t.n),
		   array_agg(t.value ORDER BY t.n)
	FROM (SELECT p.property, p.edm_type, CASE p.edm_type WHEN 'DateTime' THEN rpad(left(e.value, 19), 19,
					'T00:00:00') ELSE e.value END AS value,
				 row_number() OVER (ORDER BY p.edm_type = 'String', p.length > 0 DESC, length(e.value) DESC,
									p.property) AS n
		  FROM jsonb_each_text($3) e
		  JOIN onec_internal.outbox_property p ON p.server = $1 AND p.entity_set = $2 AND p.part = ''
			  AND p.property = e.key
		  WHERE p.edm_type IN ('Guid', 'DateTime', 'String') AND e.value <> ''
			AND p.property NOT LIKE '%\_Type') t
	WHERE t.n <= 6
$$;

COMMENT ON FUNCTION onec_internal.telling_values(name, text, jsonb) IS
	'По каким значениям искать объект без пометки (служебная)';

CREATE FUNCTION onec_internal.nobodys_objects(server name, keys uuid[]) RETURNS uuid[]
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ARRAY(SELECT k FROM unnest($2) k
				 WHERE NOT EXISTS (SELECT FROM onec_internal.outbox_remote r
								   WHERE r.server = $1 AND r.remote_key = k)
				   AND NOT EXISTS (SELECT FROM onec.outbox_history h
								   WHERE h.server = $1 AND h.key = k AND h.operation = 'create'
									 AND h.status = 'done')
				   AND NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = $1 AND o.key = k) ORDER BY k)
$$;

COMMENT ON FUNCTION onec_internal.nobodys_objects(name, uuid[]) IS
	'Какие из объектов 1С созданы не отсюда (служебная)';

CREATE FUNCTION onec_internal.values_sent(sent jsonb) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT count(*) FROM jsonb_each_text($1) e WHERE e.value NOT IN ('', 'false', '0', '[]')
			AND e.value NOT LIKE '0000%');

COMMENT ON FUNCTION onec_internal.values_sent(jsonb) IS 'Сколько непустых значений отправлено (служебная)';

CREATE FUNCTION onec_internal.calling_role() RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(nullif(current_setting('role'), 'none')::name, session_user);
END $$;

COMMENT ON FUNCTION onec_internal.calling_role() IS 'Роль того, кто вызывает (служебная)';

CREATE FUNCTION onec_internal.written_server(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- as nearly ever: the very server that was set up
	IF EXISTS (SELECT FROM onec_internal.outbox_base b
			   JOIN pg_foreign_server s ON s.srvname = b.server AND s.oid = b.server_oid
			   WHERE b.server = written_server.server) THEN
		RETURN server;
	END IF;
	server := onec_internal.live_server_meant(server);
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_base b WHERE b.server = written_server.server)
		OR onec_internal.is_another_base(server) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = CASE WHEN onec_internal.is_updatable(server)
						   THEN format('what server "%s" takes is not known yet', server)
						   ELSE format('server "%s" is read only', server) END,
			HINT = concat(CASE WHEN NOT onec_internal.is_updatable(server) THEN
				format('If the shop is to write to 1C: ALTER SERVER %I OPTIONS (ADD updatable ''on''); then ',
					   server) END, format('SELECT * FROM onec.setup(%L);', server));
	END IF;
	RETURN server;
END $$;

COMMENT ON FUNCTION onec_internal.written_server(name) IS
	'Сервер, в который можно или можно было писать, иначе ошибка (служебная)';

CREATE FUNCTION onec_internal.check_allowed(server name, role name, entity_set text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = check_allowed.role) AND NOT EXISTS (
		SELECT FROM onec.outbox_allowed a JOIN pg_roles r ON r.oid = a.role_id
		WHERE a.server = check_allowed.server AND a.entity_set = check_allowed.entity_set
		  AND pg_has_role(check_allowed.role, r.oid, 'USAGE')) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('role "%s" may not write "%s" of server "%s"', role, entity_set, server),
			HINT = format('SELECT onec.allow_write(%L, %L, %L);', role, ARRAY[entity_set], server);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_allowed(name, name, text) IS 'Может ли роль писать набор (служебная)';

CREATE FUNCTION onec_internal.check_body(server name, entity_set text, body jsonb) RETURNS uuid[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off -- plans are kept, and the table may have been small when they were made
AS $$
DECLARE
	f record;
	near text;
BEGIN
	IF jsonb_typeof(body) <> 'object' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'the body must be an object: properties and values';
	END IF;
	f := onec_internal.body_fault(server, entity_set, body);
	IF f.fault IS NULL THEN
		RETURN f.named;
	END IF;
	IF f.fault = 'is no property of it' THEN
		near := onec_internal.nearest_words(f.name, ARRAY(
			SELECT p.property FROM onec_internal.outbox_property p
			WHERE p.server = check_body.server AND p.entity_set = check_body.entity_set AND p.part = f.part));
	END IF;
	RAISE invalid_parameter_value USING
		MESSAGE = format('"%s" of "%s" %s', CASE f.part WHEN '' THEN f.name
			ELSE format('%s[%s].%s', f.part, f.line, f.name) END, entity_set, f.fault),
		HINT = coalesce('Perhaps you meant: ' || near || '.', format('SELECT * FROM onec.properties(%L, %L) '
			'lists what the object has; after a change in 1C run onec.setup again.', server, entity_set));
END $$;

COMMENT ON FUNCTION onec_internal.check_body(name, text, jsonb) IS
	'Отказать, если тело записи не подходит объекту; ссылки, которые в нём есть (служебная)';

CREATE FUNCTION onec_internal.check_load_mode(role name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = role) THEN
		RAISE insufficient_privilege USING
			MESSAGE = 'only a superuser may write past the checks of the configuration (load_mode)';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_load_mode(name) IS
	'Отказать, если роль не вправе писать без проверок конфигурации (служебная)';

CREATE FUNCTION onec_internal.refuse_change(why text, hint text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE invalid_parameter_value USING MESSAGE = why, HINT = coalesce(hint, '');
END $$;

COMMENT ON FUNCTION onec_internal.refuse_change(text, text) IS 'Отказать с объяснением (служебная)';

CREATE FUNCTION onec_internal.is_deletable(server name, entity_set text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_foreign_server s
				   WHERE s.srvname = $1 AND ('delete_mode=physical' = ANY (s.srvoptions) OR EXISTS (
					   SELECT FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid
					   WHERE t.ftserver = s.oid AND pg_has_role(c.relowner, s.srvowner, 'USAGE')
						 AND t.ftoptions @> ARRAY['delete_mode=physical', 'entity_set=' || $2])));

COMMENT ON FUNCTION onec_internal.is_deletable(name, text) IS
	'Разрешено ли удалять объекты набора из базы (служебная)';

CREATE FUNCTION onec_internal.check_merge(server name, entity_set text, body jsonb, merge_by text[])
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text := (
		SELECT format('%s of "%s"', b.name, e.key)
		FROM jsonb_each(body) e CROSS JOIN unnest(merge_by) b (name)
		WHERE NOT EXISTS (SELECT FROM onec_internal.outbox_property p
						  WHERE (p.server, p.entity_set, p.part, p.property)
							  = (check_merge.server, check_merge.entity_set, e.key, b.name)) LIMIT 1);
BEGIN
	IF missing IS NOT NULL THEN
		PERFORM onec_internal.refuse_change(format('merge_rows knows no %s: its body has tabular parts '
			'only, and merge_by fields of them', missing));
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_merge(name, text, jsonb, text[]) IS
	'Отказать, если строки нельзя так дополнить (служебная)';

CREATE FUNCTION onec_internal.check_change(server name, entity_set text, operation text, key uuid, body jsonb,
										   merge_by text[]) RETURNS uuid[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	named uuid[];
BEGIN
	PERFORM onec_internal.checked_word('operation', coalesce(operation, ''),
									   '{create,patch,merge_rows,post,unpost,mark,delete}');
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_property p
				   WHERE p.server = check_change.server AND p.entity_set = check_change.entity_set) THEN
		PERFORM onec_internal.checked_word('entity set that can be written', coalesce(entity_set, ''), ARRAY(
			SELECT DISTINCT p.entity_set FROM onec_internal.outbox_property p
			WHERE p.server = check_change.server ORDER BY 1));
	ELSIF key = '00000000-0000-0000-0000-000000000000' OR key IS NULL AND operation <> 'create' THEN
		PERFORM onec_internal.refuse_change(format('operation "%s" needs the key of the object', operation));
	ELSIF operation IN ('post', 'unpost') AND entity_set NOT LIKE 'Document\_%' THEN
		PERFORM onec_internal.refuse_change(format('"%s" is no document: it cannot be posted', entity_set));
	ELSIF operation = 'delete' AND NOT onec_internal.is_deletable(server, entity_set) THEN
		PERFORM onec_internal.refuse_change(format('objects of "%s" are marked, not deleted', entity_set),
			format('operation "mark"; or, where nothing else refers to them: ALTER SERVER %I OPTIONS (ADD '
				   'delete_mode ''physical'');', server));
	ELSIF (body IS NULL) <> (operation IN ('post', 'unpost', 'mark', 'delete')) THEN
		PERFORM onec_internal.refuse_change(format(CASE WHEN body IS NULL THEN 'operation "%s" needs a body'
			ELSE 'operation "%s" takes no body' END, operation));
	ELSIF (cardinality(merge_by) > 0) IS NOT TRUE AND operation = 'merge_rows' OR merge_by IS NOT NULL
		AND operation <> 'merge_rows' THEN
		PERFORM onec_internal.refuse_change('merge_by names the fields by which merge_rows knows a row');
	END IF;
	IF body IS NOT NULL THEN
		named := onec_internal.check_body(server, entity_set, body);
	END IF;
	IF operation = 'merge_rows' THEN
		PERFORM onec_internal.check_merge(server, entity_set, body, merge_by);
	END IF;
	RETURN named;
END $$;

COMMENT ON FUNCTION onec_internal.check_change(name, text, text, uuid, jsonb, text[]) IS
	'Отказать, если изменение не может быть сделано; ссылки, которые есть в теле (служебная)';

CREATE FUNCTION onec_internal.creations_of(server name, keys uuid[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off -- the plan is kept, and the outbox may have been empty when it was made
AS $$
BEGIN
	RETURN ARRAY(SELECT o.id FROM onec.outbox o
				 WHERE o.server = creations_of.server AND o.key = ANY (keys) AND o.operation = 'create');
END $$;

COMMENT ON FUNCTION onec_internal.creations_of(name, uuid[]) IS
	'Строки очереди, создающие эти объекты (служебная)';

CREATE FUNCTION onec_internal.check_awaited(server name, ids bigint[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
AS $$
DECLARE
	wrong record;
BEGIN
	SELECT n.id INTO wrong FROM unnest(ids) n (id)
	WHERE NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = check_awaited.server AND o.id = n.id)
	  AND NOT EXISTS (SELECT FROM onec.outbox_history h
					  WHERE h.server = check_awaited.server AND h.id = n.id) LIMIT 1;
	IF FOUND THEN
		PERFORM onec_internal.refuse_change(
			format('depends_on names row %s, which is none of the outbox of server "%s"',
				   coalesce(wrong.id::text, 'NULL'), server),
			'A row waits for rows of its server that were put there before it: the ids that onec.enqueue '
			'has returned.');
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_awaited(name, bigint[]) IS
	'Отказать, если строк, которых надо ждать, в очереди базы нет и не было (служебная)';

CREATE FUNCTION onec_internal.line_lock_key(server name, key uuid) RETURNS bigint
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN hashtextextended(format('onec outbox %s %s', server, uuid_hash(key) & 1023), 0);
END $$;

COMMENT ON FUNCTION onec_internal.line_lock_key(name, uuid) IS
	'Ключ блокировки, по которой изменения объекта идут в порядке фиксации (служебная)';

CREATE FUNCTION onec_internal.change_print(body jsonb, merge_by text[]) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN encode(sha256(convert_to(concat_ws(' ', body, merge_by), 'UTF8')), 'hex');
END $$;

COMMENT ON FUNCTION onec_internal.change_print(jsonb, text[]) IS 'Отпечаток изменения (служебная)';

CREATE FUNCTION onec_internal.known_change(server name, entity_set text, operation text, idempotency text,
										   asked text, asked_key uuid)
	RETURNS onec_internal.outbox_key
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
AS $$
DECLARE
	k onec_internal.outbox_key;
BEGIN
	SELECT * INTO k FROM onec_internal.outbox_key o
	WHERE o.server = known_change.server AND o.idempotency = known_change.idempotency;
	IF k.id IS NOT NULL AND ((k.entity_set, k.operation) <> (entity_set, operation)
							 OR k.asked <> asked OR k.key <> onec_internal.site_key(server, asked_key)) THEN
		RAISE unique_violation USING
			MESSAGE = 'the idempotency key has been used for another change',
			DETAIL = format('It was to %s "%s", outbox row %s.', k.operation, k.entity_set, k.id);
	END IF;
	RETURN k;
END $$;

COMMENT ON FUNCTION onec_internal.known_change(name, text, text, text, text, uuid) IS
	'Строка с этим ключом идемпотентности (служебная)';

CREATE FUNCTION onec_internal.check_markable(server name, entity_set text, body jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.marker_property(server, entity_set, body) IS NULL THEN
		RAISE feature_not_supported USING
			MESSAGE = format('server "%s" gives new objects keys of its own, and no property of "%s" can '
							 'carry a mark', server, entity_set),
			DETAIL = 'Whether a creation with an unknown outcome was stored could not be found out there.',
			HINT = format('SELECT onec.set(''outbox.marker'', …, %L) names properties that can, texts with '
						  'room for 39 characters more.', server);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_markable(name, text, jsonb) IS
	'Отказать, если новый объект нечем пометить (служебная)';

CREATE FUNCTION onec_internal.first_status(server name, depends_on bigint[]) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN onec.get('outbox.preview', server)::boolean THEN 'preview'
				WHEN coalesce(depends_on, '{}') = '{}' THEN 'pending' ELSE 'waiting' END;
END $$;

COMMENT ON FUNCTION onec_internal.first_status(name, bigint[]) IS
	'Состояние новой строки очереди (служебная)';

CREATE FUNCTION onec_internal.tell_outbox(server name, id bigint, status text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec.get('outbox.notify', server)::boolean THEN
		PERFORM pg_notify('onec_outbox', format('%s %s', id, status));
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.tell_outbox(name, bigint, text) IS
	'Сообщить о строке очереди: NOTIFY onec_outbox, номер и состояние (служебная)';

CREATE FUNCTION onec_internal.put_into_outbox(o onec.outbox, asked text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	number bigint := nextval('onec.outbox_id_seq');
	status text := onec_internal.first_status(o.server, o.depends_on);
BEGIN
	IF o.idempotency IS NOT NULL THEN
		INSERT INTO onec_internal.outbox_key (server, idempotency, id, entity_set, operation, key, asked)
		VALUES (o.server, o.idempotency, number, o.entity_set, o.operation, o.key, asked)
		ON CONFLICT ON CONSTRAINT outbox_key_pkey DO NOTHING;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
	END IF;
	INSERT INTO onec.outbox (server, id, entity_set, operation, key, body, data_version, merge_by, depends_on,
							 idempotency, requested_by, status, load_mode) OVERRIDING SYSTEM VALUE
	VALUES (o.server, number, o.entity_set, o.operation, o.key, o.body, o.data_version, o.merge_by,
			o.depends_on, o.idempotency, o.requested_by, status, o.load_mode);
	PERFORM onec_internal.tell_outbox(o.server, number, status);
	RETURN number;
END $$;

COMMENT ON FUNCTION onec_internal.put_into_outbox(onec.outbox, text) IS
	'Поставить строку в очередь; NULL — ключ идемпотентности уже есть (служебная)';

CREATE FUNCTION onec.enqueue(server name, entity_set text, operation text, key uuid DEFAULT NULL,
							 body jsonb DEFAULT NULL, depends_on bigint[] DEFAULT NULL,
							 idempotency text DEFAULT NULL, data_version text DEFAULT NULL,
							 merge_by text[] DEFAULT NULL, load_mode boolean DEFAULT false, OUT id bigint,
							 OUT object_key uuid)
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan -- no plan of its own for each body: see 35_rows.sql
AS $$
DECLARE
	row onec.outbox;
	asked text := CASE WHEN idempotency IS NOT NULL THEN onec_internal.change_print(body, merge_by) END;
	named uuid[];
	known onec_internal.outbox_key;
BEGIN
	PERFORM onec_internal.must_write('enqueue');
	row.server := onec_internal.written_server(server);
	row.requested_by := onec_internal.calling_role();
	PERFORM onec_internal.check_allowed(row.server, row.requested_by, entity_set);
	IF load_mode THEN
		PERFORM onec_internal.check_load_mode(row.requested_by);
	END IF;
	IF idempotency = '' THEN
		PERFORM onec_internal.refuse_change('an empty text is no idempotency key');
	ELSIF idempotency IS NOT NULL THEN
		known := onec_internal.known_change(row.server, entity_set, operation, idempotency, asked, key);
	END IF;
	IF known.id IS NOT NULL THEN
		id := known.id;
		object_key := known.key;
		RETURN;
	END IF;
	named := onec_internal.check_change(row.server, entity_set, operation, key, body, merge_by);
	IF depends_on <> '{}' THEN
		PERFORM onec_internal.check_awaited(row.server, depends_on);
	END IF;
	IF operation = 'create' AND NOT onec_internal.client_keys(row.server) THEN
		PERFORM onec_internal.check_markable(row.server, entity_set, body);
	END IF;
	row.entity_set := entity_set;
	row.operation := operation;
	-- one name for one object, so that its changes keep their order
	row.key := CASE WHEN key IS NULL THEN gen_random_uuid() ELSE onec_internal.site_key(row.server, key) END;
	-- nobody else knows of what is new
	IF operation <> 'create' THEN
		PERFORM pg_advisory_xact_lock(onec_internal.line_lock_key(row.server, row.key));
	END IF;
	row.body := CASE operation WHEN 'mark' THEN '{"DeletionMark": true}' ELSE body END;
	row.data_version := data_version;
	row.merge_by := merge_by;
	row.load_mode := coalesce(load_mode, false);
	row.depends_on := coalesce(depends_on, '{}') || onec_internal.creations_of(row.server, named);
	IF row.depends_on <> '{}' THEN
		row.depends_on := ARRAY(SELECT DISTINCT d FROM unnest(row.depends_on) d ORDER BY 1);
	END IF;
	row.idempotency := idempotency;
	id := onec_internal.put_into_outbox(row, asked);
	object_key := row.key;
	IF id IS NULL THEN
		-- somebody else's, committed just now
		known := onec_internal.known_change(row.server, entity_set, operation, idempotency, asked, key);
		id := known.id;
		object_key := known.key;
	END IF;
END $$;

COMMENT ON FUNCTION onec.enqueue(name, text, text, uuid, jsonb, bigint[], text, text, text[], boolean)
IS
	'Поставить изменение объекта 1С в очередь в своей транзакции: отправится после её фиксации. Проверяет '
	'тело по метаданным базы; возвращает номер строки и ссылку на объект. С тем же ключом идемпотентности '
	'второй раз ничего не ставит. load_mode — писать без проверок конфигурации, только суперпользователю';

REVOKE EXECUTE ON FUNCTION onec.enqueue(name, text, text, uuid, jsonb, bigint[], text, text, text[], boolean)
	FROM PUBLIC;

CREATE FUNCTION onec_internal.first_faulty(server name, entity_set text, bodies jsonb[]) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT b.body
	FROM unnest($3) WITH ORDINALITY b (body, n)
	CROSS JOIN LATERAL onec_internal.body_fault($1, $2, b.body) f
	WHERE f.fault IS NOT NULL
	ORDER BY b.n LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.first_faulty(name, text, jsonb[]) IS
	'Первое тело записи, в котором что-то не так (служебная)';

CREATE FUNCTION onec_internal.named_in_bodies(server name, entity_set text, ids bigint[], keys uuid[],
											  bodies jsonb[])
	RETURNS TABLE (id bigint, depends_on bigint[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH named AS MATERIALIZED (
		SELECT DISTINCT b.id, r.key
		FROM unnest($3, $5) b (id, body)
		CROSS JOIN LATERAL onec_internal.body_fault($1, $2, b.body) f
		CROSS JOIN LATERAL unnest(f.named) r (key)),
	made AS (
		SELECT n.id, o.id AS of FROM named n
		JOIN onec.outbox o ON o.server = $1 AND o.operation = 'create' AND o.key = n.key
		UNION
		SELECT n.id, g.id FROM named n JOIN unnest($3, $4) g (id, key) ON g.key = n.key AND g.id < n.id)
	SELECT m.id, array_agg(m.of ORDER BY m.of) FROM made m GROUP BY m.id
$$;

COMMENT ON FUNCTION onec_internal.named_in_bodies(name, text, bigint[], uuid[], jsonb[]) IS
	'Строки очереди, создающие объекты, на которые ссылаются тела (служебная)';

CREATE FUNCTION onec_internal.enqueue_new(server name, entity_set text, keys uuid[], bodies jsonb[])
	RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	-- a plan of its own for each call would hold the bodies, and auto_explain may log plans
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	srv name;
	who name := onec_internal.calling_role();
	ids bigint[];
BEGIN
	PERFORM onec_internal.must_write('enqueue');
	srv := onec_internal.written_server(server);
	PERFORM onec_internal.check_allowed(srv, who, entity_set);
	-- the first tells what is wrong with all of them; a body that is faulty, what is wrong with it
	PERFORM onec_internal.check_change(srv, entity_set, 'create', k, b, NULL) FROM unnest(ARRAY[
		coalesce(onec_internal.first_faulty(srv, entity_set, bodies), '{}')], ARRAY[
		CASE WHEN '00000000-0000-0000-0000-000000000000' = ANY (keys)
			 THEN '00000000-0000-0000-0000-000000000000'::uuid END]) c (b, k);
	IF NOT onec_internal.client_keys(srv) THEN
		PERFORM onec_internal.check_markable(srv, enqueue_new.entity_set, b) FROM unnest(bodies) b;
	END IF;
	SELECT array_agg(nextval('onec.outbox_id_seq') ORDER BY n) INTO ids
	FROM unnest(keys) WITH ORDINALITY g (key, n);
	INSERT INTO onec.outbox (server, id, entity_set, operation, key, body, depends_on, requested_by, status)
		OVERRIDING SYSTEM VALUE
	SELECT srv, g.id, enqueue_new.entity_set, 'create', g.key, g.body, coalesce(d.depends_on, '{}'), who,
		   onec_internal.first_status(srv, d.depends_on)
	FROM unnest(ids, keys, bodies) g (id, key, body)
	LEFT JOIN onec_internal.named_in_bodies(srv, enqueue_new.entity_set, ids, keys, bodies) d ON d.id = g.id
	ORDER BY g.id;
	PERFORM onec_internal.tell_outbox(srv, o.id, o.status) FROM onec.outbox o
	WHERE o.server = srv AND o.id = ANY (ids);
END $$;

COMMENT ON FUNCTION onec_internal.enqueue_new(name, text, uuid[], jsonb[]) IS
	'Поставить в очередь создание многих объектов сразу (служебная)';

CREATE TYPE onec_internal.write_result AS (
	verdict text,
	http_status int,
	code int,
	message text,
	retry_after int,
	stored jsonb,
	diff jsonb,
	remote_key uuid,
	marked boolean,
	goes_on boolean
);

COMMENT ON TYPE onec_internal.write_result IS
	'Чем кончилась отправка строки и, когда исход записан, есть ли смысл продолжать (служебный)';

CREATE FUNCTION onec_internal.mapping_stamp(server name, role name) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat_ws(':', s.oid, s.xmin, m.oid, m.xmin)
	FROM pg_foreign_server s
	LEFT JOIN LATERAL (SELECT u.oid, u.xmin FROM pg_user_mapping u
					   WHERE u.umserver = s.oid AND u.umuser IN (0, (SELECT r.oid FROM pg_roles r
						WHERE r.rolname = $2))
					   ORDER BY u.umuser DESC LIMIT 1) m ON true
	WHERE s.srvname = $1
$$;

COMMENT ON FUNCTION onec_internal.mapping_stamp(name, name) IS
	'Отпечаток сервера и сопоставления пользователя (служебная)';

CREATE FUNCTION onec_internal.is_stopped(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.outbox_base b
				   JOIN pg_foreign_server s ON s.srvname = b.server
				   LEFT JOIN pg_user_mapping u ON u.umserver = s.oid
				   WHERE b.server = is_stopped.server
					 AND b.stopped_for = concat_ws(':', s.oid, s.xmin, u.oid, u.xmin));
END $$;

COMMENT ON FUNCTION onec_internal.is_stopped(name) IS
	'Остановлена ли отправка логином, который 1С не приняла (служебная)';

CREATE FUNCTION onec_internal.take_back_leases(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.outbox o SET status = 'unknown', maybe_sent = true,
		not_before = clock_timestamp() + make_interval(secs => onec.get('outbox.settle_seconds', $1)::int),
		message = 'the delivery was interrupted'
	WHERE o.server = $1 AND o.id IN (
		SELECT l.id FROM onec.outbox l
		WHERE l.server = $1 AND l.status = 'sending'
		  AND (l.lease_until < clock_timestamp() OR NOT EXISTS (
			  SELECT FROM pg_stat_activity a
			  WHERE a.pid = l.worker AND a.backend_start = l.worker_start
				AND a.pid <> pg_backend_pid() AND a.state IN ('active', 'disabled')))
		FOR UPDATE SKIP LOCKED)
$$;

COMMENT ON FUNCTION onec_internal.take_back_leases(name) IS
	'Вернуть строки, отправка которых прервалась: их исход неясен (служебная)';

CREATE FUNCTION onec_internal.reason_another_base() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'the server was dropped and made again for another address since this was put there';

COMMENT ON FUNCTION onec_internal.reason_another_base() IS
	'Почему стоит строка очереди: под именем базы другой сервер (служебная)';

CREATE FUNCTION onec_internal.block_for_another_base(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.outbox o SET status = 'blocked', http_status = NULL, code = NULL,
		message = onec_internal.reason_another_base()
	WHERE o.server = block_for_another_base.server
	  AND o.status IN ('pending', 'waiting', 'unknown', 'sending');
END $$;

COMMENT ON FUNCTION onec_internal.block_for_another_base(name) IS
	'Остановить строки очереди: под именем базы другой сервер (служебная)';

CREATE FUNCTION onec_internal.on_another_base() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.block_for_another_base(OLD.server);
	NEW.client_keys := NULL;
	NEW.stopped_for := NULL;
	RETURN NEW;
END $$;

COMMENT ON FUNCTION onec_internal.on_another_base() IS
	'Под именем базы настроен другой сервер (служебная)';

CREATE TRIGGER another_base BEFORE UPDATE OF server_oid, address ON onec_internal.outbox_base
	FOR EACH ROW WHEN (OLD.server_oid <> NEW.server_oid AND OLD.address <> NEW.address)
	EXECUTE FUNCTION onec_internal.on_another_base();

CREATE FUNCTION onec_internal.lease_time(server name) RETURNS interval
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN make_interval(secs => greatest(onec.get('outbox.lease_seconds', $1)::int,
		-- 300: what src/table/options.c takes where the owner says nothing
		onec.get('outbox.settle_seconds', $1)::int
			+ 3 * coalesce(onec_internal.server_option($1, 'request_timeout')::int, 300)));

COMMENT ON FUNCTION onec_internal.lease_time(name) IS 'На сколько строка берётся в работу (служебная)';

CREATE FUNCTION onec_internal.lease_write(server name, stamp text) RETURNS onec.outbox
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken onec.outbox;
	at timestamptz;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.outbox_base b
			   WHERE b.server = lease_write.server AND b.stopped_for = stamp) THEN
		RETURN NULL;
	ELSIF onec_internal.is_another_base(server) THEN
		PERFORM onec_internal.block_for_another_base(server);
		RETURN NULL;
	END IF;
	PERFORM onec_internal.take_back_leases(server);
	at := clock_timestamp();
	SELECT o.* INTO taken FROM onec.outbox o
	WHERE o.server = lease_write.server AND o.status IN ('pending', 'waiting', 'unknown')
		AND o.not_before <= at
	  -- OFFSET 0: looked up for the few rows before the first that is due, and not joined for all that wait
	  AND NOT EXISTS (SELECT FROM onec.outbox e
					  WHERE e.server = o.server AND e.key = o.key AND e.id < o.id AND e.status <> 'preview'
					  OFFSET 0)
	  AND NOT EXISTS (SELECT FROM unnest(o.depends_on) n (id)
					  CROSS JOIN LATERAL (SELECT FROM onec.outbox d
										  WHERE d.server = o.server AND d.id = n.id OFFSET 0) d OFFSET 0)
	ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF taken.id IS NULL THEN
		RETURN NULL;
	END IF;
	UPDATE onec.outbox o SET status = 'sending', attempts = o.attempts + 1, leased_at = at,
		lease_until = at + onec_internal.lease_time(o.server),
		worker = pg_backend_pid(), message = NULL, http_status = NULL, code = NULL,
		-- what may be in 1C already is looked for by the mark that it was sent with
		marker = onec_internal.marker_of(o),
		seen = CASE WHEN o.maybe_sent THEN o.seen END,
		worker_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid())
	WHERE o.server = taken.server AND o.id = taken.id
	RETURNING * INTO taken;
	RETURN taken;
END $$;

COMMENT ON FUNCTION onec_internal.lease_write(name, text) IS
	'Взять следующую строку очереди для отправки (служебная)';

CREATE FUNCTION onec_internal.write_delay(server name, attempts int, asked int) RETURNS interval
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT make_interval(secs => greatest(coalesce($3, 0), least(onec.get('outbox.retry_max_seconds',
		$1)::int,
		onec.get('outbox.retry_min_seconds', $1)::int * 2.0 ^ least(greatest($2 - 1, 0), 20))))
$$;

COMMENT ON FUNCTION onec_internal.write_delay(name, int, int) IS
	'Через сколько повторить отправку (служебная)';

CREATE FUNCTION onec_internal.write_done(work onec.outbox, result onec_internal.write_result) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at timestamptz := clock_timestamp();
BEGIN
	PERFORM onec_internal.make_history_part(at);
	INSERT INTO onec.outbox_history (server, id, done_at, entity_set, operation, key, remote_key, body,
		depends_on,
									 idempotency, requested_by, requested_at, status, attempts,
										http_status, message,
									 stored_diff, number, data_version, maybe_sent)
	VALUES (work.server, work.id, at, work.entity_set, work.operation, work.key, result.remote_key, work.body,
			work.depends_on, work.idempotency, work.requested_by, work.requested_at, result.verdict,
				work.attempts,
			result.http_status, result.message, result.diff,
			coalesce(result.stored ->> 'Number', result.stored ->> 'Code'), result.stored ->> 'DataVersion',
			result.verdict = 'done' OR work.maybe_sent);
	DELETE FROM onec.outbox o WHERE o.server = work.server AND o.id = work.id;
	PERFORM onec_internal.tell_outbox(work.server, work.id, result.verdict);
	UPDATE onec_internal.outbox_key k SET kept_since = at
	WHERE k.server = work.server AND k.idempotency = work.idempotency;
END $$;

COMMENT ON FUNCTION onec_internal.write_done(onec.outbox, onec_internal.write_result) IS
	'Перенести строку в историю (служебная)';

CREATE FUNCTION onec_internal.follow_version(work onec.outbox, version text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.outbox o SET data_version = $2
	WHERE o.server = ($1).server AND o.key = ($1).key AND o.id > ($1).id
	  AND o.data_version = ($1).data_version AND NOT ($1).maybe_sent AND $2 IS NOT NULL
$$;

COMMENT ON FUNCTION onec_internal.follow_version(onec.outbox, text) IS
	'Следующие изменения, сделанные с той же версии объекта, идут за этим (служебная)';

CREATE FUNCTION onec_internal.note_client_keys(work onec.outbox, result onec_internal.write_result)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	honoured boolean := result.remote_key IS NULL;
BEGIN
	UPDATE onec_internal.outbox_base b SET client_keys = honoured
	WHERE b.server = work.server AND b.client_keys IS DISTINCT FROM honoured;
	IF NOT honoured THEN
		INSERT INTO onec_internal.outbox_remote AS r (server, key, remote_key)
		VALUES (work.server, work.key, result.remote_key) ON CONFLICT DO NOTHING;
	END IF;
	IF result.marked IS NOT NULL THEN
		INSERT INTO onec_internal.outbox_marker AS m (server, entity_set, property, is_kept)
		VALUES (work.server, work.entity_set, work.marker, result.marked)
		ON CONFLICT ON CONSTRAINT outbox_marker_pkey DO UPDATE SET is_kept = excluded.is_kept
		WHERE m.is_kept <> excluded.is_kept;
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.note_client_keys(onec.outbox, onec_internal.write_result) IS
	'Запомнить, взяла ли база присланный ключ и осталась ли пометка (служебная)';

CREATE FUNCTION onec_internal.stop_deliveries(server name, stamp text, why text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.outbox_base b SET stopped_for = $2, stopped_at = clock_timestamp(), message = $3
	WHERE b.server = $1
$$;

COMMENT ON FUNCTION onec_internal.stop_deliveries(name, text, text) IS
	'Не отправлять ничего, пока не изменится логин (служебная)';

CREATE FUNCTION onec_internal.settle_write(work onec.outbox, result onec_internal.write_result,
										   stamp text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	wait interval := onec_internal.write_delay(work.server, work.attempts, result.retry_after);
BEGIN
	result.goes_on := result.verdict <> 'login' AND (result.verdict <> 'passing' OR result.code IS NOT NULL);
	PERFORM FROM onec.outbox o
	WHERE o.server = work.server AND o.id = work.id AND o.status = 'sending' AND o.attempts = work.attempts
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN result;
	ELSIF result.verdict = 'done' THEN
		IF work.operation = 'create' THEN
			PERFORM onec_internal.note_client_keys(work, result);
		END IF;
		PERFORM onec_internal.write_done(work, result);
		PERFORM onec_internal.follow_version(work, result.stored ->> 'DataVersion');
		RETURN result;
	ELSIF result.verdict = 'unknown' THEN
		wait := greatest(wait, make_interval(secs => onec.get('outbox.settle_seconds', work.server)::int));
	ELSIF result.verdict = 'login' THEN
		PERFORM onec_internal.stop_deliveries(work.server, stamp, result.message);
		wait := interval '0';
	END IF;
	UPDATE onec.outbox o SET
		status = CASE WHEN result.verdict IN ('passing', 'login') THEN
					CASE WHEN o.maybe_sent THEN 'unknown' ELSE 'pending' END ELSE result.verdict END,
		maybe_sent = o.maybe_sent OR result.verdict = 'unknown',
		not_before = clock_timestamp() + wait, http_status = result.http_status, code = result.code,
		message = result.message
	WHERE o.server = work.server AND o.id = work.id;
	IF result.verdict IN ('failed', 'conflict', 'blocked') THEN
		PERFORM onec_internal.tell_outbox(work.server, work.id, result.verdict);
	END IF;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.settle_write(onec.outbox, onec_internal.write_result, text) IS
	'Записать исход отправки и сказать, есть ли смысл продолжать (служебная)';

CREATE TABLE onec_internal.written_unread (
	server name NOT NULL,
	entity_set text NOT NULL,
	key uuid NOT NULL,
	PRIMARY KEY (server, entity_set, key)
);

COMMENT ON TABLE onec_internal.written_unread IS
	'Записанные в 1С объекты, которых ещё нет в местных данных: шла синхронизация (служебное)';

COMMENT ON COLUMN onec_internal.written_unread.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.written_unread.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec_internal.written_unread.key IS 'Ссылка в 1С';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.written_unread', '');

CREATE FUNCTION onec_internal.targets_of_set(server name, entity_set text)
	RETURNS TABLE (target text, part text, unit name)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.target, p.part, t.unit[1]
	FROM onec_internal.sync_steps($1, NULL) t
	JOIN onec.sync_state s ON s.server = $1 AND s.target = t.target AND s.last_ok IS NOT NULL
	JOIN (SELECT DISTINCT o.part FROM onec_internal.outbox_property o
		  WHERE o.server = $1 AND o.entity_set = $2) p
		ON onec_internal.entity_set_of($1, t.target) = concat_ws('_', $2, nullif(p.part, ''))
	-- what somebody mirrors may have types that an answer is not taken apart into
	WHERE t.source = 'set' AND cardinality(t.unit) = 1 AND NOT onec_internal.is_mirror(t.target)
	  AND (t.switch IS NULL OR onec.get(t.switch, $1)::boolean)
	ORDER BY t.ordinal
$$;

COMMENT ON FUNCTION onec_internal.targets_of_set(name, text) IS
	'Местные таблицы, в которых есть объекты набора (служебная)';

CREATE FUNCTION onec_internal.stage_objects(server name, target text, objects jsonb) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made record;
	fields text;
	parts text;
BEGIN
	PERFORM onec_internal.new_server_number(server);
	IF to_regclass('pg_temp.onec_object') IS NULL THEN
		CREATE TEMPORARY TABLE onec_object (value jsonb) ON COMMIT DELETE ROWS;
	END IF;
	DELETE FROM pg_temp.onec_object;
	INSERT INTO pg_temp.onec_object SELECT o.value FROM jsonb_array_elements(objects) o (value);
	SELECT * INTO made FROM onec_internal.stage_columns(server, target);
	SELECT string_agg(CASE
			WHEN f.kind = 'rows' THEN onec_internal.tabular_part(server, f.target, f.field)
			WHEN f.kind = 'ref' AND NOT f.is_key AND onec_internal.is_part_of_key(f.target, f.field)
				THEN format('coalesce(%s, onec_internal.no_reference())', v.value)
			WHEN f.empty IS NOT NULL THEN format('coalesce(%s, %L)', v.value, f.empty)
			ELSE v.value END || format(' AS %I', f.field), ', ' ORDER BY f.ordinal),
		   string_agg(format('coalesce(%s) AS %I', (SELECT string_agg(format('r.value -> %L', n), ', ')
													FROM unnest(c.names) n), f.field), ', ')
			   FILTER (WHERE f.kind = 'rows')
	INTO fields, parts
	FROM onec_internal.staged_fields(server, target) f
	CROSS JOIN LATERAL onec_internal.field_candidates(server, f) c (names)
	CROSS JOIN LATERAL onec_internal.nested_value_expression(c.names, f.kind, NULL) v (value);
	RETURN onec_internal.fill_table('onec_stage', target, format(
		'SELECT %s AS server, %s FROM (SELECT %s FROM pg_temp.onec_object r%s OFFSET 0) r%s',
		onec_internal.server_in(onec_internal.table_of_target(target), server), made.list, fields,
		' CROSS JOIN LATERAL (SELECT ' || parts || ') f', made.joins));
END $$;

COMMENT ON FUNCTION onec_internal.stage_objects(name, text, jsonb) IS
	'Объекты 1С, пришедшие в ответе, во временную таблицу (служебная)';

CREATE FUNCTION onec_internal.store_objects(server name, entity_set text, objects jsonb) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	keys text := (SELECT string_agg(quote_literal(o ->> 'Ref_Key'), ', ')
				  FROM jsonb_array_elements(objects) o);
	t record;
BEGIN
	IF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(server)) THEN
		RETURN false;
	END IF;
	FOR t IN SELECT * FROM onec_internal.targets_of_set(server, entity_set) LOOP
		CONTINUE WHEN t.part <> ''
			AND NOT EXISTS (SELECT FROM jsonb_array_elements(objects) o WHERE o ? t.part);
		PERFORM onec_internal.drop_window_tables();
		PERFORM onec_internal.stage_objects(server, t.target, CASE t.part WHEN '' THEN objects ELSE (
			SELECT coalesce(jsonb_agg(r || jsonb_build_object('Ref_Key', o -> 'Ref_Key')), '[]')
			FROM jsonb_array_elements(objects) o, jsonb_array_elements(o -> t.part) r) END);
		PERFORM onec_internal.compare_unforgotten(server, t.target, format('%I IN (%s)', t.unit, keys));
		PERFORM onec_internal.write_window(server, t.target);
	END LOOP;
	PERFORM onec_internal.drop_window_tables();
	DELETE FROM onec_internal.written_unread w
	WHERE w.server = store_objects.server AND w.entity_set = store_objects.entity_set
	  AND w.key IN (SELECT (o ->> 'Ref_Key')::uuid FROM jsonb_array_elements(objects) o);
	RETURN true;
END $$;

COMMENT ON FUNCTION onec_internal.store_objects(name, text, jsonb) IS
	'Записать объекты 1С в местные данные, если не идёт синхронизация (служебная)';

CREATE FUNCTION onec_internal.note_written(written jsonb, work onec.outbox,
										   result onec_internal.write_result) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
	IF result.verdict <> 'done' OR result.stored IS NULL
		OR NOT EXISTS (SELECT FROM onec_internal.targets_of_set(work.server, work.entity_set)) THEN
		RETURN written;
	END IF;
	INSERT INTO onec_internal.written_unread (server, entity_set, key)
	VALUES (work.server, work.entity_set, (result.stored ->> 'Ref_Key')::uuid) ON CONFLICT DO NOTHING;
	RETURN coalesce(written, '[]') || jsonb_build_object('set', work.entity_set, 'at',
		extract(epoch FROM clock_timestamp()), 'object', result.stored);
END $$;

COMMENT ON FUNCTION onec_internal.note_written(jsonb, onec.outbox, onec_internal.write_result) IS
	'Отметить доставленный объект, которого ещё нет в местных данных (служебная)';

CREATE FUNCTION onec_internal.warn_of_storing(server name, code text, message text, detail text,
											  context text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE WARNING USING
		MESSAGE = format('what was delivered to server "%s" is not in the store yet', server),
		DETAIL = onec_internal.message_without_values(code, message, detail, context);
END $$;

COMMENT ON FUNCTION onec_internal.warn_of_storing(name, text, text, text, text) IS
	'Предупредить: доставленное не записано в местные данные (служебная)';

CREATE FUNCTION onec_internal.store_written(server name, written jsonb, at_end boolean) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	s record;
	said text;
	detail text;
	place text;
BEGIN
	IF written IS NULL OR NOT at_end AND jsonb_array_length(written) < 20
		AND (written -> 0 ->> 'at')::numeric > extract(epoch FROM clock_timestamp()) - 3 THEN
		RETURN written;
	END IF;
	FOR s IN SELECT l.entity_set, jsonb_agg(l.object) AS objects FROM (
			SELECT DISTINCT ON (w ->> 'set', w #> '{object,Ref_Key}') w ->> 'set' AS entity_set,
				   w -> 'object' AS object
			FROM jsonb_array_elements(written) WITH ORDINALITY e (w, n)
			ORDER BY w ->> 'set', w #> '{object,Ref_Key}', n DESC) l
		GROUP BY 1 ORDER BY 1 LOOP
		EXIT WHEN NOT onec_internal.store_objects(server, s.entity_set, s.objects);
	END LOOP;
	RETURN NULL;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	PERFORM onec_internal.warn_of_storing(server, SQLSTATE, said, detail, place);
	RETURN NULL;
END $$;

COMMENT ON FUNCTION onec_internal.store_written(name, jsonb, boolean) IS
	'Записать доставленное в местные данные (служебная)';

CREATE FUNCTION onec_internal.write_once(
	server name, method text, entity_set text, key uuid, action text, body json, if_match text,
	load_mode boolean DEFAULT false,
	OUT outcome text, OUT http_status int, OUT code int, OUT message text, OUT answer text,
		OUT retry_after int,
	OUT ms double precision)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_write_once';

COMMENT ON FUNCTION onec_internal.write_once(name, text, text, uuid, text, json, text, boolean) IS
	'Один запрос к 1С, который меняет или читает один объект, и его исход: stored, missing, exists, '
	'changed, refused, rights, login, passing, unknown (служебная)';

CREATE FUNCTION onec_internal.ask_1c(work onec.outbox, method text, action text DEFAULT NULL,
									 body json DEFAULT NULL, if_match text DEFAULT NULL,
									 key uuid DEFAULT NULL)
	RETURNS onec_internal.write_result
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ROW(w.outcome, w.http_status, w.code, w.message, w.retry_after, w.answer::jsonb, NULL, NULL,
			   NULL, NULL)::onec_internal.write_result
	FROM onec_internal.write_once(($1).server, $2, ($1).entity_set,
								  CASE WHEN $2 <> 'POST' OR $3 IS NOT NULL
									   THEN coalesce($6, onec_internal.key_in_1c(($1).server, ($1).key)) END,
								  $3, $4, $5, ($1).load_mode) w
$$;

COMMENT ON FUNCTION onec_internal.ask_1c(onec.outbox, text, text, json, text, uuid) IS
	'Запрос к 1С о строке очереди (служебная)';

CREATE FUNCTION onec_internal.write_verdict(work onec.outbox, result onec_internal.write_result,
											sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' THEN
		result.diff := onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored);
	END IF;
	result.message := coalesce(result.message, CASE result.verdict WHEN 'missing' THEN 'no such object' END);
	result.verdict := CASE result.verdict WHEN 'stored' THEN 'done' WHEN 'missing' THEN 'failed'
		WHEN 'refused' THEN 'failed' WHEN 'exists' THEN 'failed' WHEN 'changed' THEN 'conflict'
		WHEN 'rights' THEN 'blocked' ELSE result.verdict END;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.write_verdict(onec.outbox, onec_internal.write_result, jsonb) IS
	'Чем кончилась отправка строки по исходу последнего запроса (служебная)';

CREATE FUNCTION onec_internal.told_verdict(result onec_internal.write_result, verdict text,
										   message text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	result.verdict := verdict;
	result.message := message;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.told_verdict(onec_internal.write_result, text, text) IS
	'Исход с пояснением (служебная)';

CREATE FUNCTION onec_internal.with_stored(work onec.outbox,
										  result onec_internal.write_result)
											RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' AND result.stored IS NULL THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict <> 'stored' THEN
			RETURN onec_internal.told_verdict(result, 'unknown',
				'answered well, but the object cannot be read');
		END IF;
	END IF;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.with_stored(onec.outbox, onec_internal.write_result) IS
	'Исход вместе с тем, что записано (служебная)';

CREATE FUNCTION onec_internal.find_created(work onec.outbox, honoured boolean)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	found_keys uuid[];
	said text;
	detail text;
	place text;
BEGIN
	result.verdict := 'missing';
	IF honoured IS NOT FALSE OR onec_internal.key_in_1c(work.server, work.key) <> work.key THEN
		result := onec_internal.ask_1c(work, 'GET');
	END IF;
	IF result.verdict <> 'missing' OR work.marker IS NULL OR honoured THEN
		RETURN result;
	END IF;
	found_keys := ARRAY(SELECT m.key FROM onec_internal.marked_objects(work.server, work.entity_set,
		work.marker, work.key::text) m);
	RETURN CASE cardinality(found_keys) WHEN 0 THEN result
		WHEN 1 THEN onec_internal.ask_1c(work, 'GET', key => found_keys[1])
		ELSE onec_internal.told_verdict(result, 'conflict', 'several objects carry its mark') END;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'passing',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;

COMMENT ON FUNCTION onec_internal.find_created(onec.outbox, boolean) IS
	'Объект, который могла создать прежняя попытка (служебная)';

CREATE FUNCTION onec_internal.find_twin(work onec.outbox, sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	twin onec_internal.write_result;
	sought record;
	keys uuid[];
	said text;
	detail text;
	place text;
BEGIN
	result.verdict := 'missing';
	SELECT * INTO sought FROM onec_internal.telling_values(work.server, work.entity_set,
		onec_internal.with_remote_keys_of(work, sent));
	IF sought.properties IS NULL THEN
		RETURN result;
	END IF;
	-- the moment that a document was not given is when it was made
	keys := onec_internal.nobodys_objects(work.server, ARRAY(SELECT onec_internal.equal_objects(work.server,
		work.entity_set, sought.properties, sought.types, sought.given,
		CASE WHEN work.entity_set LIKE 'Document\_%' AND sent ->> 'Date' IS NULL THEN to_char(
			work.requested_at AT TIME ZONE 'UTC' - interval '2 days', 'YYYY-MM-DD"T"HH24:MI:SS') END)));
	IF cardinality(keys) > 20 THEN
		RETURN onec_internal.told_verdict(result, 'conflict', 'several objects may be what was created');
	END IF;
	FOR n IN 1 .. cardinality(keys) LOOP
		twin := onec_internal.ask_1c(work, 'GET', key => keys[n]);
		CONTINUE WHEN twin.verdict = 'missing' OR twin.verdict = 'stored'
			AND onec_internal.stored_diff(work.server, work.entity_set, sent, twin.stored) IS NOT NULL;
		IF twin.verdict <> 'stored' THEN
			RETURN twin;
		ELSIF result.verdict = 'stored' OR onec_internal.values_sent(sent) < 3 THEN
			RETURN onec_internal.told_verdict(twin, 'conflict',
				'an object like it is there under another key: whether it is this one a person has to see');
		END IF;
		result := twin;
	END LOOP;
	RETURN result;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'passing',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;

COMMENT ON FUNCTION onec_internal.find_twin(onec.outbox, jsonb) IS
	'Объект, который прежняя попытка могла создать под другой ссылкой (служебная)';

CREATE FUNCTION onec_internal.doubt_of_absence(work onec.outbox, honoured boolean, OUT verdict text,
											   OUT why text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN d.why IS NOT NULL THEN CASE WHEN d.is_final THEN 'blocked' ELSE 'unknown' END END, d.why
	FROM (SELECT coalesce(NOT $2 AND (($1).marker IS NULL OR NOT k.kept), false) AS is_final, CASE
			WHEN $2 THEN NULL
			WHEN NOT $2 AND (($1).marker IS NULL OR NOT k.kept)
				THEN 'the base gives new objects keys of its own, and this one carried no mark: whether it '
					 'was stored a person has to see'
			WHEN ($1).marker IS NULL OR k.kept IS FALSE
				THEN 'nothing of this key is there, but whether the base takes keys that it is sent is not '
					 'known yet'
			WHEN k.kept IS NULL
				THEN 'nothing of this key or mark is there, but whether the base keeps either is not known '
					 'yet' END AS why
		  FROM (SELECT onec_internal.is_marker_kept(($1).server, ($1).entity_set, ($1).marker)) k (kept)) d
$$;

COMMENT ON FUNCTION onec_internal.doubt_of_absence(onec.outbox, boolean) IS
	'Почему ненайденное всё же может быть записано (служебная)';

CREATE FUNCTION onec_internal.with_own_key(work onec.outbox, result onec_internal.write_result)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' THEN
		result.remote_key := nullif((result.stored ->> 'Ref_Key')::uuid, work.key);
		result.marked := CASE WHEN work.marker IS NOT NULL
			THEN position(work.key::text IN coalesce(result.stored ->> work.marker, '')) > 0 END;
	END IF;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.with_own_key(onec.outbox, onec_internal.write_result) IS
	'Исход с ключом, который дала 1С (служебная)';

CREATE FUNCTION onec_internal.ask_for_new(work onec.outbox, sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'POST', NULL,
		onec_internal.wire_body(work.server, work.entity_set, sent, work.key));
BEGIN
	RETURN onec_internal.with_own_key(work, onec_internal.with_stored(work, result));
END $$;

COMMENT ON FUNCTION onec_internal.ask_for_new(onec.outbox, jsonb) IS
	'Запрос, который создаёт объект (служебная)';

CREATE FUNCTION onec_internal.carry_create(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	doubt record;
	honoured boolean := onec_internal.client_keys(work.server);
	sent jsonb := onec_internal.marked_body(work.body, work.marker, work.key);
BEGIN
	IF work.attempts > 1 OR onec_internal.key_in_1c(work.server, work.key) <> work.key THEN
		result := onec_internal.with_own_key(work, onec_internal.find_created(work, honoured));
		SELECT * INTO doubt FROM onec_internal.doubt_of_absence(work, honoured);
		IF result.verdict = 'stored' AND NOT work.maybe_sent AND onec_internal.stored_diff(work.server,
			work.entity_set, sent, result.stored) IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, 'conflict', 'another object has this key');
		ELSIF result.verdict <> 'missing' THEN
			RETURN onec_internal.write_verdict(work, result, sent);
		ELSIF work.maybe_sent AND doubt.verdict IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, doubt.verdict, doubt.why);
		ELSIF work.maybe_sent AND honoured THEN
			result := onec_internal.with_own_key(work, onec_internal.find_twin(work, sent));
			IF result.verdict <> 'missing' THEN
				RETURN onec_internal.write_verdict(work, result, sent);
			END IF;
		END IF;
	END IF;
	IF honoured IS FALSE AND work.marker IS NULL THEN
		RETURN onec_internal.told_verdict(result, 'blocked', 'the base gives new objects keys of its own, '
			'and no property of this one can carry a mark (setting outbox.marker)');
	END IF;
	result := onec_internal.ask_for_new(work, sent);
	IF result.verdict = 'exists' THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict = 'stored' AND work.attempts = 1
			AND onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored) IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, 'conflict', 'another object has this key');
		ELSIF result.verdict = 'missing' THEN
			RETURN onec_internal.told_verdict(result, 'unknown',
				'the key is taken, but nothing can be read by it');
		END IF;
	END IF;
	RETURN onec_internal.write_verdict(work, result, sent);
END $$;

COMMENT ON FUNCTION onec_internal.carry_create(onec.outbox) IS 'Создать объект в 1С (служебная)';

CREATE FUNCTION onec_internal.body_to_store(work onec.outbox, stored jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN ($1).operation <> 'merge_rows' THEN ($1).body
		ELSE (SELECT jsonb_object_agg(e.key, onec_internal.merged_rows(coalesce($2 -> e.key, '[]'), e.value,
				($1).merge_by, ($1).merge_old -> e.key))
			  FROM jsonb_each(onec_internal.with_remote_keys(($1).server, ($1).entity_set, ($1).body)) e) END
$$;

COMMENT ON FUNCTION onec_internal.body_to_store(onec.outbox, jsonb) IS
	'Что должно оказаться в 1С (служебная)';

CREATE FUNCTION onec_internal.look_at_changed(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'GET');
	sent jsonb := onec_internal.body_to_store(work, result.stored);
	version text := result.stored ->> 'DataVersion';
BEGIN
	IF result.verdict <> 'stored' THEN
		RETURN onec_internal.write_verdict(work, result, sent);
	ELSIF onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored) IS NULL
		AND (work.maybe_sent OR version IS NOT DISTINCT FROM coalesce(work.data_version, version)) THEN
		RETURN onec_internal.write_verdict(work, result, sent);
	ELSIF version <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since it was read');
	ELSIF work.maybe_sent AND version <> work.seen ->> 'DataVersion' THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since this was sent, with an unknown outcome');
	END IF;
	result.verdict := NULL;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.look_at_changed(onec.outbox) IS
	'Прочитать объект перед изменением; без исхода — изменение надо отправить (служебная)';

CREATE FUNCTION onec_internal.carry_patch(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sent jsonb := onec_internal.body_to_store(work, work.seen);
	result onec_internal.write_result := onec_internal.ask_1c(work, 'PATCH', NULL, onec_internal.wire_body(
		work.server, work.entity_set, sent, NULL), work.seen ->> 'DataVersion');
BEGIN
	IF result.verdict = 'changed' AND work.data_version IS NULL THEN
		RETURN onec_internal.told_verdict(result, 'passing', 'the object was changed meanwhile');
	END IF;
	RETURN onec_internal.write_verdict(work, onec_internal.with_stored(work, result), sent);
END $$;

COMMENT ON FUNCTION onec_internal.carry_patch(onec.outbox) IS 'Изменить объект в 1С (служебная)';

CREATE FUNCTION onec_internal.version_left(work onec.outbox) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.data_version FROM onec.outbox_history h
	WHERE h.server = ($1).server AND h.key = ($1).key AND h.status = 'done' AND h.done_at >= ($1).requested_at
	ORDER BY h.done_at DESC LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.version_left(onec.outbox) IS
	'Версия, которую оставило предыдущее изменение объекта (служебная)';

CREATE FUNCTION onec_internal.posted_wanted(operation text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN ($1 = 'post')::text;

COMMENT ON FUNCTION onec_internal.posted_wanted(text) IS 'Каким должен стать Posted (служебная)';

CREATE FUNCTION onec_internal.look_at_posted(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	known text := CASE WHEN work.attempts = 1 AND work.data_version IS NULL
					   THEN onec_internal.version_left(work) END;
	version text;
BEGIN
	IF known IS NOT NULL THEN
		result.stored := jsonb_build_object('DataVersion', known);
		RETURN result;
	END IF;
	result := onec_internal.ask_1c(work, 'GET');
	version := result.stored ->> 'DataVersion';
	IF result.verdict <> 'stored' THEN
		RETURN onec_internal.write_verdict(work, result, NULL);
	ELSIF work.maybe_sent AND (version = work.seen ->> 'DataVersion') IS NOT TRUE THEN
		RETURN CASE WHEN result.stored ->> 'Posted' = onec_internal.posted_wanted(work.operation)
			THEN onec_internal.write_verdict(work, result, NULL)
			ELSE onec_internal.told_verdict(result, 'conflict',
				'the document has been changed since this was sent, with an unknown outcome') END;
	ELSIF version <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the document has been changed since it was read');
	END IF;
	result.verdict := NULL;
	RETURN result;
END $$;

COMMENT ON FUNCTION onec_internal.look_at_posted(onec.outbox) IS
	'Прочитать документ перед проведением; без исхода — проведение надо отправить (служебная)';

CREATE FUNCTION onec_internal.carry_post(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'POST', initcap(work.operation));
BEGIN
	IF result.verdict = 'stored' THEN
		result.stored := NULL;
		result := onec_internal.with_stored(work, result);
		IF result.verdict = 'stored'
			AND result.stored ->> 'Posted' IS DISTINCT FROM onec_internal.posted_wanted(work.operation) THEN
			RETURN onec_internal.told_verdict(result, 'failed', 'answered well, but the document is not '
				|| CASE work.operation WHEN 'post' THEN 'posted' ELSE 'unposted' END);
		END IF;
	END IF;
	RETURN onec_internal.write_verdict(work, result, NULL);
END $$;

COMMENT ON FUNCTION onec_internal.carry_post(onec.outbox) IS
	'Провести документ в 1С или отменить проведение (служебная)';

CREATE FUNCTION onec_internal.carry_delete(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'GET');
BEGIN
	IF result.verdict = 'stored' AND result.stored ->> 'DataVersion' <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since it was read');
	ELSIF result.verdict = 'stored' THEN
		result := onec_internal.ask_1c(work, 'DELETE', NULL, NULL, result.stored ->> 'DataVersion');
	ELSIF result.verdict = 'missing' AND work.maybe_sent THEN
		result.verdict := 'stored';
	END IF;
	RETURN onec_internal.write_verdict(work, result, NULL);
END $$;

COMMENT ON FUNCTION onec_internal.carry_delete(onec.outbox) IS 'Удалить объект из 1С (служебная)';

CREATE FUNCTION onec_internal.seen_of(work onec.outbox, stored jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each($2) e
	WHERE e.key = 'DataVersion' OR ($1).operation = 'merge_rows' AND ($1).body ? e.key
$$;

COMMENT ON FUNCTION onec_internal.seen_of(onec.outbox, jsonb) IS
	'Что строка очереди помнит о прочитанном объекте (служебная)';

CREATE FUNCTION onec_internal.is_looked_at_first(work onec.outbox) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN ($1).operation IN ('patch', 'merge_rows', 'mark', 'post', 'unpost');

COMMENT ON FUNCTION onec_internal.is_looked_at_first(onec.outbox) IS
	'Смотрят ли на объект перед отправкой (служебная)';

CREATE FUNCTION onec_internal.look_at(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN ($1).operation IN ('post', 'unpost') THEN onec_internal.look_at_posted($1)
				ELSE onec_internal.look_at_changed($1) END
$$;

COMMENT ON FUNCTION onec_internal.look_at(onec.outbox) IS
	'Посмотреть на объект перед отправкой (служебная)';

CREATE FUNCTION onec_internal.own_lease(work onec.outbox) RETURNS onec.outbox
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own onec.outbox;
BEGIN
	SELECT o.* INTO own FROM onec.outbox o
	WHERE o.server = work.server AND o.id = work.id AND o.status = 'sending' AND o.attempts = work.attempts
	  AND o.worker = pg_backend_pid()
	  AND o.worker_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid());
	IF own.id IS NULL OR NOT has_server_privilege(onec_internal.calling_role(), own.server, 'USAGE') THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('row %s of the outbox is not this session''s to deliver', work.id);
	END IF;
	RETURN own;
END $$;

COMMENT ON FUNCTION onec_internal.own_lease(onec.outbox) IS
	'Строка очереди, которую взял этот процесс (служебная)';

CREATE FUNCTION onec_internal.carry_write(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan -- auto_explain may log plans: none holds a body
AS $$
DECLARE
	result onec_internal.write_result;
	said text;
	detail text;
	place text;
BEGIN
	IF onec_internal.is_looked_at_first(work) AND work.seen IS NULL THEN
		result := onec_internal.look_at(work);
		IF result.verdict IS NOT NULL THEN
			RETURN result;
		END IF;
		work.seen := onec_internal.seen_of(work, result.stored);
	END IF;
	-- what has no row is tried once, so nothing has to be looked up later
	RETURN CASE WHEN work.operation = 'create' AND work.id IS NULL THEN onec_internal.write_verdict(work,
					onec_internal.ask_for_new(work, work.body), work.body)
				WHEN work.operation = 'create' THEN onec_internal.carry_create(work)
				WHEN work.operation = 'delete' THEN onec_internal.carry_delete(work)
				WHEN work.operation IN ('post', 'unpost') THEN onec_internal.carry_post(work)
				ELSE onec_internal.carry_patch(work) END;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'unknown',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;

COMMENT ON FUNCTION onec_internal.carry_write(onec.outbox) IS
	'Отправить строку очереди; ошибка — неясный исход (служебная)';

CREATE FUNCTION onec_internal.look_first(work onec.outbox, stamp text)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	own onec.outbox := onec_internal.own_lease(work);
	result onec_internal.write_result;
	said text;
	detail text;
	place text;
BEGIN
	IF NOT onec_internal.is_looked_at_first(own) THEN
		RETURN NULL;
	END IF;
	-- nothing was sent before what was seen was kept
	own.maybe_sent := own.maybe_sent AND own.seen IS NOT NULL;
	BEGIN
		result := onec_internal.look_at(own);
	EXCEPTION WHEN others THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			place = PG_EXCEPTION_CONTEXT;
		result := onec_internal.told_verdict(result, 'unknown',
			onec_internal.message_without_values(SQLSTATE, said, detail, place));
	END;
	IF result.verdict IS NULL THEN
		UPDATE onec.outbox o SET seen = onec_internal.seen_of(own, result.stored)
		WHERE o.server = own.server AND o.id = own.id;
		RETURN NULL;
	END IF;
	RETURN onec_internal.settle_write(own, result, stamp);
END $$;

COMMENT ON FUNCTION onec_internal.look_first(onec.outbox, text) IS
	'Посмотреть на объект перед отправкой строки, взятой этим процессом (служебная)';

CREATE FUNCTION onec_internal.carry_leased(work onec.outbox, stamp text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	own onec.outbox := onec_internal.own_lease(work);
BEGIN
	RETURN onec_internal.settle_write(own, onec_internal.carry_write(own), stamp);
END $$;

COMMENT ON FUNCTION onec_internal.carry_leased(onec.outbox, text) IS
	'Отправить строку очереди, взятую этим процессом, и записать исход (служебная)';

CREATE FUNCTION onec_internal.writing_role(server name) RETURNS name
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce(onec_internal.server_option($1, 'write_user')::name, current_user);

COMMENT ON FUNCTION onec_internal.writing_role(name) IS 'Роль, логином которой отправляется (служебная)';

CREATE FUNCTION onec_internal.delivering_server(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	writer name;
BEGIN
	PERFORM onec_internal.must_write('deliver');
	server := onec_internal.live_server_meant(server);
	writer := onec_internal.writing_role(server);
	IF NOT onec_internal.is_updatable(server) THEN
		RAISE NOTICE 'server "%" is not updatable now: nothing is delivered', server;
		RETURN NULL;
	ELSIF NOT EXISTS (SELECT FROM pg_user_mappings m JOIN pg_roles r ON m.umuser IN (0, r.oid)
					  WHERE m.srvname = delivering_server.server AND r.rolname = writer) THEN
		RAISE undefined_object USING
			MESSAGE = format('role "%s" has no login at server "%s"', writer, server),
			HINT = format('CREATE USER MAPPING FOR %I SERVER %I OPTIONS (user …, password …);',
				writer, server);
	END IF;
	RETURN server;
END $$;

COMMENT ON FUNCTION onec_internal.delivering_server(name) IS
	'Сервер, в который сейчас можно отправлять; NULL — выключено (служебная)';

CREATE FUNCTION onec_internal.is_delivery_over(done int, max_rows int, began timestamptz,
											   max_seconds int) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce($1 >= $2, false) OR coalesce(clock_timestamp() >= $3 + make_interval(secs => $4), false);

COMMENT ON FUNCTION onec_internal.is_delivery_over(int, int, timestamptz, int) IS
	'Довольно ли отправлено (служебная)';

CREATE FUNCTION onec_internal.read_written(server name, entity_set text, key uuid, OUT outcome text,
										   OUT answer text)
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.outcome, r.answer
	FROM onec_internal.written_unread w,
		 onec_internal.write_once(w.server, 'GET', w.entity_set, w.key, NULL, NULL, NULL) r
	WHERE (w.server, w.entity_set, w.key) = ($1, $2, $3)
	  AND has_server_privilege(onec_internal.calling_role(), w.server, 'USAGE')
	  AND EXISTS (SELECT FROM onec_internal.targets_of_set($1, $2))
$$;

COMMENT ON FUNCTION onec_internal.read_written(name, text, uuid) IS
	'Прочитать записанное, чего ещё нет в местных данных (служебная)';

CREATE FUNCTION onec_internal.catch_up_with_written(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	u record;
	answer record;
	said text;
	detail text;
	place text;
BEGIN
	FOR u IN SELECT w.* FROM onec_internal.written_unread w WHERE w.server = catch_up_with_written.server
		ORDER BY w.entity_set, w.key LIMIT 100 FOR UPDATE SKIP LOCKED LOOP
		EXIT WHEN NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(server));
		SELECT * INTO answer FROM onec_internal.read_written(server, u.entity_set, u.key);
		IF answer.outcome = 'stored' THEN
			PERFORM onec_internal.store_objects(server, u.entity_set,
												jsonb_build_array(answer.answer::jsonb));
		ELSIF answer.outcome = 'missing' THEN
			DELETE FROM onec_internal.written_unread w
			WHERE (w.server, w.entity_set, w.key) = (u.server, u.entity_set, u.key);
		END IF;
	END LOOP;
	-- after somebody was forgotten everybody is folded anew, and nobody noted
	IF (EXISTS (SELECT FROM onec_internal.touched_user t WHERE t.server = catch_up_with_written.server)
		OR NOT EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = catch_up_with_written.server)
		AND EXISTS (SELECT FROM onec.site_user s WHERE s.server = catch_up_with_written.server))
		AND pg_try_advisory_xact_lock(onec_internal.run_lock_key(server)) THEN
		PERFORM onec_internal.refresh_people(server, false);
	END IF;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	PERFORM onec_internal.warn_of_storing(server, SQLSTATE, said, detail, place);
END $$;

COMMENT ON FUNCTION onec_internal.catch_up_with_written(name) IS
	'Дочитать записанное, чего ещё нет в местных данных, и собрать тех, кого оно касается (служебная)';

CREATE PROCEDURE onec.deliver(server name DEFAULT NULL, max_rows int DEFAULT NULL,
	max_seconds int DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
DECLARE
	work onec.outbox;
	result onec_internal.write_result;
	written pg_catalog.jsonb;
	began pg_catalog.timestamptz;
	stamp pg_catalog.text;
	done int := 0;
	goes_on boolean := true;
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('deliver');
	END IF;
	COMMIT;
	server := onec_internal.delivering_server(server);
	began := pg_catalog.clock_timestamp();
	WHILE goes_on AND server IS NOT NULL AND NOT onec_internal.is_delivery_over(done, max_rows, began,
		max_seconds) LOOP
		stamp := onec_internal.mapping_stamp(server, onec_internal.writing_role(server));
		work := onec_internal.lease_write(server, stamp);
		COMMIT;
		EXIT WHEN work.id IS NULL;
		result := onec_internal.look_first(work, stamp);
		IF result.verdict IS NULL THEN
			COMMIT;
			result := onec_internal.carry_leased(work, stamp);
		END IF;
		goes_on := result.goes_on;
		written := onec_internal.note_written(written, work, result);
		COMMIT;
		written := onec_internal.store_written(server, written, false);
		COMMIT;
		done := done OPERATOR(pg_catalog.+) 1;
	END LOOP;
	IF server IS NOT NULL THEN
		written := onec_internal.store_written(server, written, true);
		COMMIT;
		PERFORM onec_internal.catch_up_with_written(server);
	END IF;
END $$;

COMMENT ON PROCEDURE onec.deliver(name, int, int) IS
	'Отправить в 1С то, что ждёт в очереди: каждая строка — один изменяющий запрос с фиксациями до и '
	'после него. Не больше max_rows строк и max_seconds секунд; можно вызывать одновременно';

REVOKE EXECUTE ON PROCEDURE onec.deliver(name, int, int) FROM PUBLIC;

CREATE FUNCTION onec_internal.check_nothing_waits(server name, key uuid, named uuid[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	waiting bigint := (SELECT min(o.id) FROM onec.outbox o
					   WHERE o.server = check_nothing_waits.server AND o.key = check_nothing_waits.key
						 AND o.status <> 'preview');
BEGIN
	waiting := coalesce(waiting, (SELECT min(n)
								  FROM unnest(onec_internal.creations_of(server, named)) n));
	IF waiting IS NOT NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the object, or one that it names, waits in the outbox: row %s', waiting),
			HINT = format('CALL onec.deliver(%L) first, or write with write_mode ''outbox'', too.', server);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_nothing_waits(name, uuid, uuid[]) IS
	'Отказать, если объект или то, на что он ссылается, ещё в очереди (служебная)';

CREATE FUNCTION onec_internal.write_now(server name, entity_set text, operation text, key uuid, body jsonb,
										data_version text, OUT verdict text, OUT message text,
										OUT stored jsonb, OUT differs text)
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan -- see 35_rows.sql
AS $$
DECLARE
	work onec.outbox;
	result onec_internal.write_result;
	named uuid[];
BEGIN
	PERFORM onec_internal.must_write('write_now');
	work.server := onec_internal.written_server(server);
	work.requested_by := onec_internal.calling_role();
	PERFORM onec_internal.check_allowed(work.server, work.requested_by, entity_set);
	named := onec_internal.check_change(work.server, entity_set, operation, key, body, NULL);
	key := onec_internal.site_key(work.server, key);
	PERFORM onec_internal.check_nothing_waits(work.server, key, named);
	IF NOT onec_internal.is_updatable(work.server) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('server "%s" is not updatable now', work.server),
			HINT = format('ALTER SERVER %I OPTIONS (SET updatable ''on'');', work.server);
	END IF;
	work.entity_set := entity_set;
	work.operation := operation;
	work.key := key;
	work.body := CASE operation WHEN 'mark' THEN '{"DeletionMark": true}' ELSE body END;
	work.data_version := data_version;
	work.attempts := 1;
	work.maybe_sent := false;
	work.load_mode := false;
	result := onec_internal.carry_write(work);
	IF result.verdict = 'done' THEN
		IF operation = 'create' THEN
			PERFORM onec_internal.note_client_keys(work, result);
		END IF;
		PERFORM onec_internal.note_written(NULL, work, result);
	END IF;
	verdict := result.verdict;
	message := result.message;
	stored := result.stored;
	differs := (SELECT string_agg(format('"%s"', d), ', ' ORDER BY d) FROM jsonb_object_keys(result.diff) d);
END $$;

COMMENT ON FUNCTION onec_internal.write_now(name, text, text, uuid, jsonb, text) IS
	'Записать изменение в 1С сразу, без очереди: исход, ответ 1С, что записано и какие свойства не так, как '
	'отправлено (служебная)';

CREATE FUNCTION onec.outbox_retry(id bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.outbox o SET status = CASE WHEN o.maybe_sent THEN 'unknown' ELSE 'pending' END,
		not_before = now()
	WHERE o.id = outbox_retry.id AND o.status <> 'sending';
	IF NOT FOUND THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	END IF;
END $$;

COMMENT ON FUNCTION onec.outbox_retry(bigint) IS
	'Отправить строку очереди ещё раз, не дожидаясь срока; прежде смотрится, не записана ли она уже';

REVOKE EXECUTE ON FUNCTION onec.outbox_retry(bigint) FROM PUBLIC;

CREATE FUNCTION onec.outbox_skip(id bigint, why text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	result onec_internal.write_result;
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = outbox_skip.id AND o.status <> 'sending' FOR UPDATE;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	END IF;
	PERFORM onec_internal.write_done(work, onec_internal.told_verdict(result, 'skipped', why));
END $$;

COMMENT ON FUNCTION onec.outbox_skip(bigint, text) IS
	'Не отправлять строку очереди: она уходит в историю, и то, что её ждало, больше не ждёт';

REVOKE EXECUTE ON FUNCTION onec.outbox_skip(bigint, text) FROM PUBLIC;

CREATE FUNCTION onec_internal.rows_before(server name, id bigint) RETURNS TABLE (id bigint, status text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE before AS (
		SELECT o.id, o.key, o.depends_on, o.status FROM onec.outbox o WHERE o.server = $1 AND o.id = $2
		UNION
		SELECT w.id, w.key, w.depends_on, w.status
		FROM before b JOIN onec.outbox w ON w.server = $1 AND (w.id = ANY (b.depends_on)
			OR w.key = b.key AND w.id < b.id AND w.status <> 'preview'))
	SELECT b.id, b.status FROM before b WHERE b.id <> $2
$$;

COMMENT ON FUNCTION onec_internal.rows_before(name, bigint) IS
	'Строки очереди, которых ждёт эта, и те, которых ждут они (служебная)';

CREATE FUNCTION onec.outbox_edit(id bigint, body jsonb, data_version text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	awaited bigint[];
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = outbox_edit.id AND o.status <> 'sending' FOR UPDATE;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	ELSIF work.operation IN ('post', 'unpost', 'mark', 'delete') THEN
		PERFORM onec_internal.refuse_change(format('operation "%s" takes no body: there is nothing to edit',
			work.operation), format('SELECT onec.outbox_retry(%1$s); or SELECT onec.outbox_skip(%1$s, …) and '
									'onec.enqueue anew.', id));
	ELSIF work.operation = 'create' AND work.maybe_sent THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('row %s may be in 1C already as it was', id),
			HINT = format('SELECT onec.outbox_retry(%s) and deliver, so that it is looked for; then put a '
						  'patch behind it.', id);
	END IF;
	awaited := onec_internal.creations_of(work.server, onec_internal.check_change(work.server,
		work.entity_set, work.operation, work.key, body, work.merge_by));
	IF EXISTS (SELECT FROM unnest(awaited) a CROSS JOIN LATERAL onec_internal.rows_before(work.server, a) b
			   WHERE b.id = work.id AND a <> work.id) THEN
		PERFORM onec_internal.refuse_change(format('row %s would wait for what waits for it: an object that '
			'the body names', id));
	END IF;
	UPDATE onec.outbox o SET body = outbox_edit.body, data_version = outbox_edit.data_version,
		status = CASE o.status WHEN 'preview' THEN o.status ELSE 'pending' END, not_before = now(),
		http_status = NULL, code = NULL, message = NULL,
		-- what this one finds is what it changes
		maybe_sent = false, seen = NULL,
		depends_on = ARRAY(SELECT DISTINCT d FROM unnest(o.depends_on || awaited) d
						   WHERE d <> o.id ORDER BY 1)
	WHERE o.server = work.server AND o.id = work.id;
	PERFORM onec_internal.tell_outbox(work.server, work.id, 'pending') WHERE work.status <> 'preview';
END $$;

COMMENT ON FUNCTION onec.outbox_edit(bigint, jsonb, text) IS
	'Изменить то, что строка очереди запишет, и отправить её: тело целиком; data_version — версия, которую '
	'видел тот, кто меняет, пусто — любая. Что уже могло дойти до 1С, не меняется';

REVOKE EXECUTE ON FUNCTION onec.outbox_edit(bigint, jsonb, text) FROM PUBLIC;

CREATE FUNCTION onec_internal.holds_up(status text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN $1 IN ('failed', 'conflict', 'blocked', 'preview');

COMMENT ON FUNCTION onec_internal.holds_up(text) IS
	'Стоит ли строка, пока с ней чего-нибудь не сделают (служебная)';

CREATE VIEW onec_internal.outbox_held AS
	WITH RECURSIVE edge AS MATERIALIZED (
		SELECT o.server, o.id, n.id AS awaited
		FROM onec.outbox o CROSS JOIN LATERAL unnest(o.depends_on) n (id)
		UNION ALL
		SELECT o.server, o.id, lag(o.id) OVER (PARTITION BY o.server, o.key ORDER BY o.id)
		FROM onec.outbox o WHERE o.status <> 'preview'),
	held AS (
		SELECT o.server, o.id, o.id AS held_by FROM onec.outbox o WHERE onec_internal.holds_up(o.status)
		UNION
		SELECT e.server, e.id, h.held_by
		FROM held h JOIN edge e ON e.server = h.server AND e.awaited = h.id)
	SELECT h.server, h.id, min(h.held_by) AS held_by FROM held h WHERE h.id <> h.held_by GROUP BY 1, 2;

COMMENT ON VIEW onec_internal.outbox_held IS 'Строки очереди, которые ждут стоящих (служебное)';

COMMENT ON COLUMN onec_internal.outbox_held.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.outbox_held.id IS 'Номер';

COMMENT ON COLUMN onec_internal.outbox_held.held_by IS 'Первая из стоящих, которых она ждёт';

CREATE FUNCTION onec_internal.held_happened(held_by bigint, status text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $1 IS NOT NULL THEN format(CASE $2 WHEN 'preview'
		THEN 'Ждёт строку %s, а та не отправляется: она только показывается'
		ELSE 'Ждёт строку %s, а та стоит: %s' END, $1, $2) END;

COMMENT ON FUNCTION onec_internal.held_happened(bigint, text) IS 'Почему ждёт строка (служебная)';

CREATE FUNCTION onec_internal.held_advice(id bigint, held_by bigint, status text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $2 IS NOT NULL THEN format(CASE $3 WHEN 'preview'
		THEN 'отправить ту, которую она ждёт: SELECT onec.outbox_retry(%2$s); отказаться от той: SELECT '
			'onec.outbox_skip(%2$s, …)'
		ELSE 'решите, что делать с той, которую она ждёт: SELECT advice FROM onec.outbox_failed WHERE id = '
			'%2$s; эта пойдёт за ней' END || '; отказаться от этой: SELECT onec.outbox_skip(%1$s, …)',
		$1, $2) END;

COMMENT ON FUNCTION onec_internal.held_advice(bigint, bigint, text) IS
	'Что делать со строкой, которая ждёт стоящую (служебная)';

CREATE FUNCTION onec_internal.outbox_happened(o onec.outbox) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE ($1).status
		WHEN 'failed' THEN '1С отказала и ничего не записала'
		WHEN 'conflict' THEN CASE WHEN ($1).operation = 'create'
			THEN 'В 1С есть объект с этой ссылкой или похожий; второй не создан'
			ELSE 'Объект изменён другим; ничего не перезаписано' END
		WHEN 'blocked' THEN CASE WHEN ($1).message = onec_internal.reason_another_base()
			THEN 'Сервер, для которого это поставлено, удалён; под его именем — другой, с другим адресом'
			WHEN ($1).operation = 'create' AND ($1).http_status IS NULL
			THEN 'База даёт новым объектам свои ссылки, и узнать этот объект потом нельзя'
			ELSE 'У пользователя 1С нет права на это' END
		ELSE 'Записано ли, неизвестно: связь оборвалась или 1С не ответила' END;

COMMENT ON FUNCTION onec_internal.outbox_happened(onec.outbox) IS 'Что случилось со строкой (служебная)';

CREATE FUNCTION onec_internal.outbox_advice(o onec.outbox) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE o.status
		WHEN 'failed' THEN concat('прочтите ответ 1С; исправьте причину там и повторите: '
			'SELECT onec.outbox_retry(%1$s); ', CASE WHEN o.body IS NOT NULL AND o.operation <> 'mark'
				THEN 'или исправьте то, что отправляется: SELECT onec.outbox_edit(%1$s, …); ' END,
			'или откажитесь: SELECT onec.outbox_skip(%1$s, …)')
		WHEN 'conflict' THEN CASE WHEN o.operation = 'create' AND o.maybe_sent
			THEN 'посмотрите в 1С, он ли это; если он: SELECT onec.outbox_skip(%1$s, …); проверить ещё раз: '
				 'SELECT onec.outbox_retry(%1$s)'
			WHEN o.body IS NULL OR o.operation = 'mark'
			THEN 'посмотрите, что в объекте сейчас; оставить как есть: SELECT onec.outbox_skip(%1$s, …); '
				 'если всё равно нужно, после этого поставьте в очередь заново, без data_version'
			ELSE 'посмотрите, что в объекте сейчас; записать всё равно: SELECT '
			'onec.outbox_edit(%1$s, …), без data_version; оставить как есть: SELECT '
			'onec.outbox_skip(%1$s, …)' END
		WHEN 'blocked' THEN CASE WHEN o.message = onec_internal.reason_another_base()
			THEN 'если это та же база и она по новому адресу: SELECT onec.setup(%4$L), потом SELECT '
				 'onec.outbox_retry(%1$s); если другая: SELECT onec.outbox_skip(%1$s, …)'
			WHEN o.operation = 'create' AND o.http_status IS NULL
			THEN 'назовите в настройке outbox.marker свойство, в котором его можно пометить, и повторите: '
				 'SELECT onec.outbox_retry(%1$s); если объект в 1С уже есть: SELECT onec.outbox_skip(%1$s, …)'
			ELSE 'дайте пользователю 1С право на %2$s и повторите: SELECT onec.outbox_retry(%1$s)' END
		WHEN 'preview' THEN 'только показывается; отправить: SELECT onec.outbox_retry(%1$s)'
		WHEN 'sending' THEN NULL
		ELSE 'делать ничего не нужно: %3$s будет проверено, записано ли; проверить сейчас: SELECT '
			'onec.outbox_retry(%1$s)' END, o.id, o.entity_set, to_char(o.not_before, 'DD.MM HH24:MI'),
			o.server)
	FROM (SELECT ($1).*) o
$$;

COMMENT ON FUNCTION onec_internal.outbox_advice(onec.outbox) IS 'Что делать со строкой (служебная)';

CREATE FUNCTION onec_internal.write_hint(o onec.outbox) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first record;
BEGIN
	IF o.status NOT IN ('pending', 'waiting') THEN
		RETURN onec_internal.outbox_advice(o);
	END IF;
	SELECT b.id, b.status INTO first FROM onec_internal.rows_before(o.server, o.id) b
	WHERE onec_internal.holds_up(b.status) ORDER BY b.id LIMIT 1;
	RETURN onec_internal.held_advice(o.id, first.id, first.status);
END $$;

COMMENT ON FUNCTION onec_internal.write_hint(onec.outbox) IS
	'Что делать со строкой или с той, которую она ждёт (служебная)';

CREATE FUNCTION onec.write_status(key uuid, server name DEFAULT NULL)
	RETURNS TABLE (id bigint, entity_set text, operation text, status text, number text, data_version text,
				   message text, hint text)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.* FROM (SELECT m.server, onec_internal.site_key(m.server, $1) AS key
		FROM onec_internal.server_meant($2) m (server)) s CROSS JOIN LATERAL (
		SELECT o.id, o.entity_set, o.operation, o.status, NULL::text AS number, NULL::text AS data_version,
			o.message, onec_internal.write_hint(o) AS hint
		FROM onec.outbox o
		WHERE o.server = s.server AND o.key = s.key
		  AND pg_has_role(onec_internal.calling_role(), (SELECT r.oid FROM pg_roles r
			WHERE r.rolname = o.requested_by),
						  'USAGE')
		UNION ALL
		SELECT h.id, h.entity_set, h.operation, h.status, h.number, h.data_version, h.message, NULL
		FROM onec.outbox_history h
		WHERE h.server = s.server AND h.key = s.key
		  AND pg_has_role(onec_internal.calling_role(), (SELECT r.oid FROM pg_roles r
			WHERE r.rolname = h.requested_by),
						  'USAGE')) w
	ORDER BY w.id
$$;

COMMENT ON FUNCTION onec.write_status(uuid, name) IS
	'Где изменения объекта, которые поставила эта роль: состояние, номер или код, который дала 1С, её ответ; '
	'что делать с теми, что стоят или ждут стоящих';

REVOKE EXECUTE ON FUNCTION onec.write_status(uuid, name) FROM PUBLIC;

CREATE FUNCTION onec_internal.keep_allowed(server name, role regrole, entity_sets text[]) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO onec.outbox_allowed AS a (server, role, entity_set, role_id)
	SELECT $1, r.rolname, e, $2 FROM unnest($3) e, pg_roles r WHERE r.oid = $2
	ON CONFLICT ON CONSTRAINT outbox_allowed_pkey DO UPDATE SET role_id = excluded.role_id
	WHERE a.role_id IS DISTINCT FROM excluded.role_id
$$;

COMMENT ON FUNCTION onec_internal.keep_allowed(name, regrole, text[]) IS
	'Запомнить, что роли можно ставить в очередь (служебная)';

CREATE FUNCTION onec.allow_write(role regrole, entity_sets text[], server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
BEGIN
	PERFORM onec_internal.checked_word('entity set that can be written', e, ARRAY(
		SELECT DISTINCT p.entity_set FROM onec_internal.outbox_property p WHERE p.server = srv))
	FROM unnest(entity_sets) e;
	PERFORM onec_internal.keep_allowed(srv, role, entity_sets);
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.enqueue(name, text, text, uuid, jsonb, bigint[], text, '
				   'text, text[], boolean), onec.write_status(uuid, name) TO %s', role);
END $$;

COMMENT ON FUNCTION onec.allow_write(regrole, text[], name) IS
	'Разрешить роли ставить в очередь изменения этих наборов; таблиц очереди она не читает';

REVOKE EXECUTE ON FUNCTION onec.allow_write(regrole, text[], name) FROM PUBLIC;

CREATE FUNCTION onec_internal.drop_old_history(days int) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part regclass;
BEGIN
	FOR part IN SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'onec.outbox_history'::regclass AND c.relname ~ '^outbox_history_\d{4}_\d\d$'
		  AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 '
			'month' < now() - make_interval(days => days) LOOP
		EXECUTE format('DROP TABLE %s', part);
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.drop_old_history(int) IS 'Удалить старые части истории (служебная)';

CREATE FUNCTION onec_internal.housekeep_outbox(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keep_days int := onec.get('outbox.keep_days', server)::int;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_base b WHERE b.server = housekeep_outbox.server) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.make_history_part(now() + interval '7 days');
	-- parts hold all servers: the longest time that one of them wants
	PERFORM onec_internal.drop_old_history(
		(SELECT max(onec.get('outbox.history_days', b.server)::int) FROM onec_internal.outbox_base b));
	UPDATE onec.outbox_history h SET body = NULL, stored_diff = NULL
	WHERE h.server = housekeep_outbox.server AND keep_days > 0
		AND h.done_at < now() - make_interval(days => keep_days)
	  AND (h.body IS NOT NULL OR h.stored_diff IS NOT NULL);
	DELETE FROM onec_internal.outbox_key k
	WHERE k.server = housekeep_outbox.server
	  AND k.kept_since < now() - make_interval(days => onec.get('outbox.key_days',
		housekeep_outbox.server)::int)
	  AND NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = k.server AND o.id = k.id);
END $$;

COMMENT ON FUNCTION onec_internal.housekeep_outbox(name) IS
	'Уборка очереди записи: тела, ключи, старые части истории (служебная)';

CREATE FUNCTION onec_internal.outbox_lag(server name) RETURNS numeric
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT coalesce((SELECT extract(epoch FROM clock_timestamp() - min(o.requested_at))
							 FROM onec.outbox o WHERE o.server = $1 AND o.status <> 'preview'), 0)
			FROM onec_internal.outbox_base b WHERE b.server = $1);

COMMENT ON FUNCTION onec_internal.outbox_lag(name) IS
	'Сколько секунд ждёт самая старая недоставленная строка очереди (служебная)';

CREATE FUNCTION onec_internal.outbox_hint(server name, is_updatable boolean, is_stopped boolean,
										  undelivered bigint, stuck bigint, lag interval) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws('; ', CASE
		WHEN $4 > 0 AND NOT $2
			THEN format('отправка выключена: ALTER SERVER %I OPTIONS (SET updatable ''on'')', $1)
		WHEN $3 THEN 'отправка остановлена: 1С не приняла логин; исправьте сопоставление пользователя '
					 '(ALTER USER MAPPING … OPTIONS (SET password …))'
		WHEN $6 > interval '10 minutes' AND $4 > $5
			THEN format('долго не доставляется: работает ли CALL onec.deliver(%L)? Задание deliver создаёт '
						'функция schedule', $1) END,
		CASE WHEN $5 > 0 THEN format('стоит строк: %s — что делать, говорит onec.outbox_failed', $5) END), '')
$$;

COMMENT ON FUNCTION onec_internal.outbox_hint(name, boolean, boolean, bigint, bigint, interval) IS
	'Что сделать с очередью записи базы (служебная)';

CREATE VIEW onec.outbox_status AS
	SELECT b.server, u.updatable AS is_updatable, u.stopped AS is_stopped, b.client_keys,
		   w.pending, w.waiting, w.sending, w.unknown, w.blocked, w.conflict, w.failed, w.preview,
		   w.oldest_at, now() - w.oldest_at AS lag, d.done_at AS last_done_at,
		   onec_internal.outbox_hint(b.server, u.updatable, u.stopped, w.undelivered,
									 w.blocked + w.conflict + w.failed, now() - w.oldest_at) AS hint
	FROM onec_internal.outbox_base b
	CROSS JOIN LATERAL (SELECT onec_internal.is_updatable(b.server) AS updatable,
							   onec_internal.is_stopped(b.server) AS stopped) u
	CROSS JOIN LATERAL (
		SELECT count(*) FILTER (WHERE o.status = 'pending') AS pending,
			   count(*) FILTER (WHERE o.status = 'waiting') AS waiting,
			   count(*) FILTER (WHERE o.status = 'sending') AS sending,
			   count(*) FILTER (WHERE o.status = 'unknown') AS unknown,
			   count(*) FILTER (WHERE o.status = 'blocked') AS blocked,
			   count(*) FILTER (WHERE o.status = 'conflict') AS conflict,
			   count(*) FILTER (WHERE o.status = 'failed') AS failed,
			   count(*) FILTER (WHERE o.status = 'preview') AS preview,
			   count(*) FILTER (WHERE o.status <> 'preview') AS undelivered,
			   min(o.requested_at) FILTER (WHERE o.status <> 'preview') AS oldest_at
		FROM onec.outbox o WHERE o.server = b.server) w
	LEFT JOIN LATERAL (SELECT h.done_at FROM onec.outbox_history h
					   WHERE h.server = b.server ORDER BY h.done_at DESC LIMIT 1) d ON true;

COMMENT ON VIEW onec.outbox_status IS
	'Очередь записи в 1С по базам: сколько строк в каком состоянии, сколько ждёт самая старая, что сделать';

COMMENT ON COLUMN onec.outbox_status.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.outbox_status.is_updatable IS 'Включена ли отправка (параметр updatable)';

COMMENT ON COLUMN onec.outbox_status.is_stopped IS
	'Отправка остановлена: 1С не приняла логин; пойдёт снова, когда изменится сопоставление пользователя';

COMMENT ON COLUMN onec.outbox_status.client_keys IS
	'Берёт ли база ссылки, которые ей присылают; иначе новые объекты помечаются (настройка outbox.marker); '
	'NULL — ещё неизвестно';

COMMENT ON COLUMN onec.outbox_status.pending IS 'Ждут отправки';

COMMENT ON COLUMN onec.outbox_status.waiting IS 'Ждут других строк';

COMMENT ON COLUMN onec.outbox_status.sending IS 'Отправляются';

COMMENT ON COLUMN onec.outbox_status.unknown IS 'Исход неясен: будет проверено, записано ли';

COMMENT ON COLUMN onec.outbox_status.blocked IS 'Стоят: нет права или база не готова';

COMMENT ON COLUMN onec.outbox_status.conflict IS 'Стоят: объект изменён другим';

COMMENT ON COLUMN onec.outbox_status.failed IS 'Стоят: 1С отказала';

COMMENT ON COLUMN onec.outbox_status.preview IS 'Только показываются (настройка outbox.preview)';

COMMENT ON COLUMN onec.outbox_status.oldest_at IS 'Когда поставлена самая старая недоставленная строка';

COMMENT ON COLUMN onec.outbox_status.lag IS 'Сколько она ждёт; в секундах — lag_seconds(''outbox'')';

COMMENT ON COLUMN onec.outbox_status.last_done_at IS 'Когда последний раз доставлено или пропущено';

COMMENT ON COLUMN onec.outbox_status.hint IS 'Что сделать; NULL — ничего';

CREATE VIEW onec.outbox_failed AS
	SELECT o.server, o.id, o.entity_set, o.operation, o.key, o.status, o.attempts, o.requested_by,
		   o.requested_at, coalesce(onec_internal.held_happened(b.id, b.status),
									onec_internal.outbox_happened(o)) AS happened, o.message,
		   coalesce(onec_internal.held_advice(o.id, b.id, b.status),
					onec_internal.outbox_advice(o)) AS advice,
		   (SELECT count(*) FROM onec.outbox w
			WHERE w.server = o.server AND w.id <> o.id
			  AND (o.id = ANY (w.depends_on) OR w.key = o.key AND w.id > o.id)) AS held_up
	FROM onec.outbox o
	LEFT JOIN (onec_internal.outbox_held h JOIN onec.outbox b ON b.server = h.server AND b.id = h.held_by)
		ON h.server = o.server AND h.id = o.id AND o.status IN ('pending', 'waiting')
	WHERE o.status IN ('failed', 'conflict', 'blocked', 'unknown') OR b.id IS NOT NULL;

COMMENT ON VIEW onec.outbox_failed IS
	'Что не доставлено в 1С и само не будет: что случилось и что делать; и что ждёт этого. Ответы 1С могут '
	'называть людей';

COMMENT ON COLUMN onec.outbox_failed.server IS 'Внешний сервер';

COMMENT ON COLUMN onec.outbox_failed.id IS 'Номер строки очереди';

COMMENT ON COLUMN onec.outbox_failed.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec.outbox_failed.operation IS 'Что сделать';

COMMENT ON COLUMN onec.outbox_failed.key IS 'Ссылка на объект, которую получил сайт';

COMMENT ON COLUMN onec.outbox_failed.status IS
	'Состояние: failed, conflict, blocked, unknown; pending и waiting — ждёт стоящую';

COMMENT ON COLUMN onec.outbox_failed.attempts IS 'Сколько раз бралась в работу';

COMMENT ON COLUMN onec.outbox_failed.requested_by IS 'Роль, поставившая в очередь';

COMMENT ON COLUMN onec.outbox_failed.requested_at IS 'Когда поставлено';

COMMENT ON COLUMN onec.outbox_failed.happened IS 'Что случилось';

COMMENT ON COLUMN onec.outbox_failed.message IS 'Что ответила 1С';

COMMENT ON COLUMN onec.outbox_failed.advice IS 'Что делать';

COMMENT ON COLUMN onec.outbox_failed.held_up IS 'Сколько строк её ждёт';

CREATE FUNCTION onec_internal.write_address(server name, entity_set text, key uuid, action text) RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_write_address_of';

COMMENT ON FUNCTION onec_internal.write_address(name, text, uuid, text) IS
	'Адрес запроса, который меняет или читает объект (служебная)';

CREATE FUNCTION onec.rehearse(id bigint)
	RETURNS TABLE (step int, method text, url text, headers text, body json, note text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	marker text;
	key uuid;
	action text;
	sent json;
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = rehearse.id;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	END IF;
	marker := onec_internal.marker_of(work);
	key := onec_internal.key_in_1c(work.server, work.key);
	action := CASE WHEN work.operation IN ('post', 'unpost') THEN initcap(work.operation) END;
	sent := onec_internal.wire_body(work.server, work.entity_set, onec_internal.marked_body(work.body, marker,
		work.key), CASE work.operation WHEN 'create' THEN work.key END);
	RETURN QUERY
		SELECT row_number() OVER (ORDER BY s.place)::int, s.method,
			   onec_internal.write_address(work.server, work.entity_set, CASE WHEN s.names THEN key END,
										   s.action),
			   nullif(concat_ws(E'\n',
				   CASE WHEN s.body IS NOT NULL THEN 'Content-Type: application/json;charset=utf-8' END,
				   CASE WHEN s.method IN ('PATCH', 'DELETE')
						THEN 'If-Match: ' || coalesce(work.data_version, '…') END,
				   CASE WHEN s.method <> 'GET' AND work.load_mode
						THEN '1C_OData-DataLoadMode: true' END), ''),
			   s.body, s.note
		FROM (VALUES
			(1, work.operation = 'create' AND work.attempts > 0, 'GET', true, NULL, NULL::json,
			 'нет ли его уже; если есть, больше ничего не отправляется'),
			(2, work.operation = 'create', 'POST', false, NULL, sent,
			 CASE WHEN marker IS NOT NULL THEN format('пометка — в свойстве %s: база может дать свою ссылку',
													  marker) END),
			(3, work.operation IN ('patch', 'mark', 'merge_rows', 'delete'), 'GET', true, NULL, NULL,
			 'что в объекте сейчас; If-Match — его DataVersion'),
			(4, work.operation IN ('patch', 'mark', 'merge_rows'), 'PATCH', true, NULL, sent,
			 CASE work.operation WHEN 'merge_rows'
				  THEN 'строки, которых здесь нет, дополняются прочитанными: часть пишется целиком'
				  ELSE 'если что-нибудь отличается' END),
			(5, work.operation = 'delete', 'DELETE', true, NULL, NULL, NULL),
			(6, action IS NOT NULL AND (work.attempts > 0 OR work.data_version IS NOT NULL OR NOT EXISTS (
				SELECT FROM onec_internal.rows_before(work.server, work.id))
				AND onec_internal.version_left(work) IS NULL), 'GET', true, NULL, NULL,
			 'какой документ сейчас: если исход останется неясным, по этому видно, не исправил ли его кто'),
			(7, action IS NOT NULL, 'POST', true, action, NULL, NULL),
			(8, action IS NOT NULL, 'GET', true, NULL, NULL, 'стало ли так: Posted')
			) s (place, is_made, method, names, action, body, note)
		WHERE s.is_made;
END $$;

COMMENT ON FUNCTION onec.rehearse(bigint) IS
	'Запросы, которыми строка очереди будет отправлена: ничего не отправляет, логина не показывает';

REVOKE EXECUTE ON FUNCTION onec.rehearse(bigint) FROM PUBLIC;

ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description, is_seed) VALUES ('write.points_set', 'text', 'Document_НачислениеСписаниеБонусныхБаллов', NULL, NULL, NULL,
	 'Набор 1С: документ, которым сайт начисляет и списывает баллы', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

CREATE TABLE onec.write_object (
	object text PRIMARY KEY,
	endpoint text NOT NULL REFERENCES onec.setting (key),
	title text NOT NULL
);

-- by hand: what 90_owner/30_seed.sql does for the tables whose rows are brought along
ALTER TABLE onec.write_object ADD is_seed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN onec.write_object.is_seed IS 'Поставлена с расширением и не изменена';
CREATE TRIGGER keep_edit BEFORE INSERT OR UPDATE OR DELETE ON onec.write_object FOR EACH ROW
	EXECUTE FUNCTION onec_internal.keep_edit('object');
ALTER TABLE onec.write_object ENABLE ALWAYS TRIGGER keep_edit;
SELECT pg_catalog.pg_extension_config_dump('onec.write_object', 'WHERE NOT is_seed');

COMMENT ON TABLE onec.write_object IS
	'Что пишет сайт: объекты функций onec.create_customer, place_order и других';

COMMENT ON COLUMN onec.write_object.object IS 'Объект';

COMMENT ON COLUMN onec.write_object.endpoint IS 'Настройка, которая называет его набор в 1С';

COMMENT ON COLUMN onec.write_object.title IS 'Что это, по-русски';

ALTER TABLE onec.write_object DISABLE TRIGGER keep_edit;
INSERT INTO onec.write_object (object, endpoint, title, is_seed) VALUES ('customer', 'endpoint.counterparty', 'Покупатель', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_object (object, endpoint, title, is_seed) VALUES ('card', 'endpoint.discount_card', 'Дисконтная карта', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_object (object, endpoint, title, is_seed) VALUES ('points', 'write.points_set', 'Начисление и списание баллов', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_object (object, endpoint, title, is_seed) VALUES ('order', 'endpoint.customer_order', 'Заказ покупателя', true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.write_object ENABLE ALWAYS TRIGGER keep_edit;

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

-- by hand: what 90_owner/30_seed.sql does for the tables whose rows are brought along
ALTER TABLE onec.write_field ADD is_seed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN onec.write_field.is_seed IS 'Поставлена с расширением и не изменена';
CREATE TRIGGER keep_edit BEFORE INSERT OR UPDATE OR DELETE ON onec.write_field FOR EACH ROW
	EXECUTE FUNCTION onec_internal.keep_edit('object,field');
ALTER TABLE onec.write_field ENABLE ALWAYS TRIGGER keep_edit;
SELECT pg_catalog.pg_extension_config_dump('onec.write_field', 'WHERE NOT is_seed');

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

ALTER TABLE onec.write_field DISABLE TRIGGER keep_edit;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 1, 'name', 'site', true, '{Description}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 2, 'full_name', 'site', false, '{НаименованиеПолное}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 3, 'kind', 'shop', false, '{ВидКонтрагента}', NULL, '"ФизическоеЛицо"', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 4, 'legal_kind', 'shop', false, '{ЮридическоеФизическоеЛицо,ЮрФизЛицо}', NULL,
	 '"ФизическоеЛицо"', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 5, 'is_buyer', 'shop', false, '{Покупатель}', NULL, 'true', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 6, 'group', 'shop', false, '{Parent_Key}', 'Catalog_Контрагенты', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 7, 'phone', 'site', false, '{НомерТелефонаДляПоиска}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 8, 'email', 'site', false, '{АдресЭПДляПоиска}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 9, 'birth_date', 'site', false, '{ДатаРождения}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 10, 'gender', 'site', false, '{Пол}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 11, 'comment', 'site', false, '{Комментарий}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 12, 'contacts', 'nobody', false, '{КонтактнаяИнформация}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 13, 'phone_kind', 'shop', false, '{}', 'Catalog_ВидыКонтактнойИнформации', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer', 14, 'email_kind', 'shop', false, '{}', 'Catalog_ВидыКонтактнойИнформации', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 1, 'type', 'nobody', true, '{Тип}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 2, 'kind', 'nobody', true, '{Вид_Key,Вид}', 'Catalog_ВидыКонтактнойИнформации',
	 NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 3, 'presentation', 'nobody', true, '{Представление}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 4, 'phone', 'nobody', false, '{НомерТелефона}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 5, 'phone_without_code', 'nobody', false, '{НомерТелефонаБезКодов}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 6, 'phone_reversed', 'nobody', false, '{ОбратныйНомерТелефона}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 7, 'email', 'nobody', false, '{АдресЭП}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 8, 'domain', 'nobody', false, '{ДоменноеИмяСервера}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 9, 'values', 'nobody', false, '{ЗначенияПолей}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('customer.contacts', 10, 'value', 'nobody', false, '{Значение}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 1, 'description', 'site', true, '{Description}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 2, 'barcode', 'site', true, '{КодКартыШтрихкод,Штрихкод}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 3, 'magnetic_code', 'site', false, '{КодКартыМагнитный,МагнитныйКод}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 4, 'owner', 'nobody', true, '{ВладелецКарты_Key,ВладелецКарты,Контрагент_Key}',
	 'Catalog_Контрагенты', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 5, 'card_kind', 'shop', true, '{ВидДисконтнойКарты_Key,Owner_Key}',
	 'Catalog_ВидыДисконтныхКарт', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 6, 'program', 'shop', false, '{БонуснаяПрограмма_Key}', 'Catalog_БонусныеПрограммы', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('card', 7, 'comment', 'site', false, '{Комментарий}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points', 1, 'date', 'nobody', true, '{Date}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points', 2, 'organization', 'shop', false, '{Организация_Key}', 'Catalog_Организации', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points', 3, 'program', 'shop', true, '{БонуснаяПрограмма_Key}', 'Catalog_БонусныеПрограммы', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points', 4, 'comment', 'site', false, '{Комментарий}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points', 5, 'accruals', 'nobody', true, '{НачисленияБонусов}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points.accruals', 1, 'card', 'nobody', true, '{БонуснаяКарта_Key,ДисконтнаяКарта_Key}',
	 'Catalog_ДисконтныеКарты', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points.accruals', 2, 'points', 'nobody', true, '{Количество}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points.accruals', 3, 'granted_at', 'nobody', false, '{ДатаНачисления}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points.accruals', 4, 'expires_at', 'nobody', false, '{ДатаСгорания}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('points.accruals', 5, 'analytics', 'shop', false,
	 '{АналитикаНачисленияБонусов_Key,АналитикаНачисленияБонусов}', 'Catalog_АналитикаНачисленияБонусов',
	 NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 1, 'date', 'site', true, '{Date}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 2, 'number', 'site', false, '{Number}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 3, 'customer', 'site', true, '{Контрагент_Key,Контрагент}', 'Catalog_Контрагенты', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 4, 'organization', 'shop', true, '{Организация_Key,Организация}', 'Catalog_Организации', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 5, 'operation_kind', 'shop', true, '{ВидОперации}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 6, 'operation', 'shop', true, '{ХозяйственнаяОперация_Key}', 'Catalog_ХозяйственныеОперации',
	 NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 7, 'price_kind', 'shop', true, '{ВидЦен_Key}', 'Catalog_ВидыЦен', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 8, 'currency', 'shop', true, '{ВалютаДокумента_Key}', 'Catalog_Валюты', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 9, 'rate', 'shop', false, '{Курс}', NULL, '1', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 10, 'multiplicity', 'shop', false, '{Кратность}', NULL, '1', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 11, 'store', 'shop', true, '{СтруктурнаяЕдиницаПродажи_Key,Склад_Key}',
	 'Catalog_СтруктурныеЕдиницы', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 12, 'reserve_store', 'shop', true, '{СтруктурнаяЕдиницаРезерв_Key}',
	 'Catalog_СтруктурныеЕдиницы', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 13, 'taxation', 'shop', true, '{НалогообложениеНДС}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 14, 'includes_vat', 'shop', true, '{СуммаВключаетНДС}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 15, 'contract', 'site', false, '{Договор_Key}', 'Catalog_ДоговорыКонтрагентов', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 16, 'ship_at', 'site', false, '{ДатаОтгрузки}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 17, 'state', 'site', false, '{СостояниеЗаказа_Key,СостояниеЗаказа}',
	 'Catalog_СостоянияЗаказовПокупателей', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 18, 'comment', 'site', false, '{Комментарий}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 19, 'amount', 'nobody', false, '{СуммаДокумента}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order', 20, 'lines', 'nobody', true, '{Запасы,Товары}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 1, 'link', 'nobody', false, '{КлючСвязи}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 2, 'is_stock', 'shop', false, '{ТипНоменклатурыЗапас}', NULL, 'true', true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 3, 'product', 'site', true, '{Номенклатура_Key,Номенклатура}', 'Catalog_Номенклатура',
	 NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 4, 'variant', 'site', false, '{Характеристика_Key,Характеристика}',
	 'Catalog_ХарактеристикиНоменклатуры', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 5, 'unit', 'shop', true, '{ЕдиницаИзмерения_Key,ЕдиницаИзмерения}',
	 'Catalog_КлассификаторЕдиницИзмерения', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 6, 'quantity', 'site', true, '{Количество}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 7, 'price', 'site', true, '{Цена}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 8, 'amount', 'nobody', false, '{Сумма}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 9, 'discount_percent', 'site', false, '{ПроцентСкидкиНаценки}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 10, 'discount', 'site', false, '{СуммаСкидкиНаценки}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 11, 'total', 'nobody', false, '{Всего}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 12, 'vat_rate', 'shop', true, '{СтавкаНДС_Key,СтавкаНДС}', 'Catalog_СтавкиНДС', NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 13, 'vat_percent', 'shop', false, '{}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 14, 'vat_amount', 'nobody', false, '{СуммаНДС}', NULL, NULL, true)
ON CONFLICT DO NOTHING;
INSERT INTO onec.write_field (object, ordinal, field, said_by, is_required, candidates, type_name,
	 initial, is_seed) VALUES ('order.lines', 15, 'line_store', 'nobody', false, '{СтруктурнаяЕдиницаРезерв_Key,Склад_Key}',
	 'Catalog_СтруктурныеЕдиницы', NULL, true)
ON CONFLICT DO NOTHING;
ALTER TABLE onec.write_field ENABLE ALWAYS TRIGGER keep_edit;

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

CREATE FUNCTION onec_internal.write_set(server name, object text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT ltrim(onec.get(w.endpoint, $1), '/') FROM onec.write_object w
			WHERE w.object = split_part($2, '.', 1));

COMMENT ON FUNCTION onec_internal.write_set(name, text) IS 'Набор 1С объекта, который пишет сайт (служебная)';

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

CREATE FUNCTION onec_internal.part_of_object(server name, object text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN position('.' IN $2) = 0 THEN '' ELSE (
		SELECT onec_internal.property_of($1, onec_internal.write_set($1, $2), '', f.candidates)
		FROM onec.write_field f
		WHERE f.object = split_part($2, '.', 1) AND f.field = split_part($2, '.', 2)) END;

COMMENT ON FUNCTION onec_internal.part_of_object(name, text) IS
	'Табличная часть, строками которой объект стал в этой базе (служебная)';

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

CREATE FUNCTION onec_internal.shop_says(server name, object text, field text) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT f.value FROM onec_internal.write_fields($1, $2) f WHERE f.field = $3);

COMMENT ON FUNCTION onec_internal.shop_says(name, text, text) IS
	'Значение поля, которое задал магазин (служебная)';

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

CREATE FUNCTION onec_internal.check_said(object text, said jsonb, besides text[] DEFAULT '{}') RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known text[] := besides || ARRAY(SELECT f.field FROM onec.write_field f
									 WHERE f.object = check_said.object AND f.said_by <> 'nobody'
									 ORDER BY f.ordinal);
	wrong text;
BEGIN
	IF jsonb_typeof(said) IS DISTINCT FROM 'array'
		OR EXISTS (SELECT FROM jsonb_array_elements(said) r WHERE jsonb_typeof(r) <> 'object') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('%s must be an object of JSON: fields and their values', object),
			HINT = format('Fields: %s.', array_to_string(known, ', '));
	END IF;
	SELECT k INTO wrong FROM jsonb_array_elements(said) r, jsonb_object_keys(r) k
		WHERE k <> ALL (known) LIMIT 1;
	IF wrong IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('%s has no field "%s" that a site says', object, wrong),
			HINT = concat_ws(' ', 'Perhaps you meant: ' || onec_internal.nearest_words(wrong, known) || '.',
							 format('Fields: %s.', array_to_string(known, ', ')));
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_said(text, jsonb, text[]) IS
	'Отказать, если сайт назвал поля, которых у объекта нет (служебная)';

CREATE FUNCTION onec_internal.check_complete(server name, object text, rows jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	many boolean := object LIKE '%.%';
	entity_set text := onec_internal.write_set(server, object);
	f record;
BEGIN
	SELECT w.field, w.property, w.said_by, r.n, w.is_required AS missing,
		   (SELECT array_to_string(k.candidates, ', ') FROM onec.write_field k
			WHERE k.object = check_complete.object AND k.field = w.field) AS candidates
	INTO f
	FROM jsonb_array_elements(rows) WITH ORDINALITY r (of, n)
	CROSS JOIN onec_internal.write_fields(server, object) w
	CROSS JOIN LATERAL (SELECT coalesce(nullif(r.of -> w.field, 'null'), w.value) AS value) v
	WHERE w.is_required AND (v.value IS NULL OR v.value = '""')
	   OR w.property IS NULL AND w.said_by = 'site' AND nullif(r.of -> w.field, 'null') IS NOT NULL
	ORDER BY r.n, w.ordinal LIMIT 1;
	IF f.missing THEN
		PERFORM onec_internal.refuse_missing(server, object, f.field, CASE WHEN many THEN f.n END);
	ELSIF f.field IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('"%s" of server "%s" has no property for "%s"', entity_set, server, f.field),
			DETAIL = format('Looked for: %s.', f.candidates),
			HINT = 'A property of another name is a row of onec.write_field.';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_complete(name, text, jsonb) IS
	'Отказать, если обязательному полю нет значения или сказанное некуда писать (служебная)';

CREATE FUNCTION onec_internal.read_value(server name, edm_type text, said text) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF edm_type = 'DateTime' THEN
		RETURN to_jsonb(date_trunc('second', said::timestamptz
								   AT TIME ZONE onec_internal.server_zone(server)));
	END IF;
	RETURN to_jsonb(said::numeric);
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;

COMMENT ON FUNCTION onec_internal.read_value(name, text, text) IS
	'Текст числом или временем базы; NULL — это не они (служебная)';

CREATE FUNCTION onec_internal.said_value(server name, edm_type text, value jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF jsonb_typeof(value) = 'string' AND (edm_type IN ('Double', 'Int16', 'Int32', 'Int64')
		OR edm_type = 'DateTime' AND value #>> '{}'
			~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d(:?\d\d)?)$') THEN
		RETURN coalesce(onec_internal.read_value(server, edm_type, value #>> '{}'), value);
	END IF;
	RETURN value;
END $$;

COMMENT ON FUNCTION onec_internal.said_value(name, text, jsonb) IS
	'Значение, как его берёт очередь: время с поясом становится временем базы (служебная)';

CREATE FUNCTION onec_internal.write_bodies(server name, object text, rows jsonb,
										   in_part boolean DEFAULT false) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT in_part THEN
		PERFORM onec_internal.check_complete(server, object, rows);
	END IF;
	RETURN (
		WITH field AS MATERIALIZED (
			SELECT w.* FROM onec_internal.write_fields(write_bodies.server, write_bodies.object) w
			WHERE w.property IS NOT NULL),
		member AS (
			SELECT r.n, f.property, f.is_mixed, f.type_name,
				   onec_internal.said_value(write_bodies.server, f.edm_type,
											coalesce(nullif(r.of -> f.field, 'null'),
													 CASE WHEN NOT in_part THEN f.value END)) AS value
			FROM jsonb_array_elements(rows) WITH ORDINALITY r (of, n) CROSS JOIN field f)
		SELECT coalesce(jsonb_agg(b.body ORDER BY b.n), '[]')
		FROM (SELECT r.n, coalesce(jsonb_object_agg(x.name, x.value) FILTER (WHERE x.value IS NOT NULL), '{}')
						 AS body
			  FROM generate_series(1, jsonb_array_length(rows)) r (n)
			  LEFT JOIN LATERAL (
				  SELECT m.property AS name, m.value FROM member m WHERE m.n = r.n
				  UNION ALL
				  SELECT m.property || '_Type', to_jsonb(m.type_name) FROM member m
				  WHERE m.n = r.n AND m.is_mixed AND m.value IS NOT NULL) x ON x.value IS NOT NULL
			  GROUP BY r.n) b);
END $$;

COMMENT ON FUNCTION onec_internal.write_bodies(name, text, jsonb, boolean) IS
	'Тела объектов по полям, которые сказали сайт и магазин (служебная)';

CREATE FUNCTION onec_internal.write_body(server name, object text, said jsonb,
										 in_part boolean DEFAULT false) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN onec_internal.write_bodies($1, $2, jsonb_build_array($3), $4) -> 0;

COMMENT ON FUNCTION onec_internal.write_body(name, text, jsonb, boolean) IS 'Тело одного объекта (служебная)';

CREATE FUNCTION onec_internal.with_part(server name, object text, body jsonb, rows jsonb) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN $3 || coalesce((
		SELECT jsonb_build_object(p.part, onec_internal.write_bodies($1, $2, $4))
		FROM (SELECT onec_internal.part_of_object($1, $2)) p (part) WHERE p.part IS NOT NULL), '{}');

COMMENT ON FUNCTION onec_internal.with_part(name, text, jsonb, jsonb) IS
	'Тело с табличной частью, если она есть в базе (служебная)';

CREATE FUNCTION onec_internal.site_writes(server name, object text) RETURNS name
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
BEGIN
	PERFORM onec_internal.check_allowed(srv, onec_internal.calling_role(),
										onec_internal.write_set(srv, object));
	PERFORM pg_advisory_xact_lock_shared(onec_internal.people_lock_key(srv));
	RETURN srv;
END $$;

COMMENT ON FUNCTION onec_internal.site_writes(name, text) IS
	'Сервер, если вызывающему можно писать этот объект, иначе ошибка (служебная)';

CREATE FUNCTION onec_internal.key_said(said jsonb) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((said ->> 'key')::uuid, gen_random_uuid());
EXCEPTION WHEN invalid_text_representation THEN
	RAISE invalid_parameter_value USING MESSAGE = '"key" is a UUID that the site has made for the object';
END $$;

COMMENT ON FUNCTION onec_internal.key_said(jsonb) IS
	'Ссылка, которую придумал сайт, или новая (служебная)';

CREATE TABLE onec_internal.site_call (
	server name NOT NULL,
	function text COLLATE "C" NOT NULL,
	idempotency text COLLATE "C" NOT NULL,
	asked text,
	key uuid,
	since timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, function, idempotency)
);

CREATE INDEX site_call_key ON onec_internal.site_call (key);

COMMENT ON TABLE onec_internal.site_call IS
	'Ключи идемпотентности вызовов сайта: у каждой функции свои (служебное)';

COMMENT ON COLUMN onec_internal.site_call.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.site_call.function IS 'Функция';

COMMENT ON COLUMN onec_internal.site_call.idempotency IS 'Ключ идемпотентности';

COMMENT ON COLUMN onec_internal.site_call.asked IS
	'Отпечаток того, о чём просили; NULL — стёрт вместе с человеком';

COMMENT ON COLUMN onec_internal.site_call.key IS 'Ссылка, которую вернула функция';

COMMENT ON COLUMN onec_internal.site_call.since IS 'С какого времени';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_call', '');

CREATE FUNCTION onec_internal.came_to_nothing(server name, id uuid) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM onec.counterparty c
				   WHERE c.server = $1 AND c.customer_id = k.in_1c AND (c.is_deleted OR c.deletion_mark))
		OR EXISTS (SELECT FROM onec.discount_card d
				   WHERE d.server = $1 AND d.card_id = k.in_1c AND (d.is_deleted OR d.deletion_mark))
		OR EXISTS (SELECT FROM onec.outbox_history h
				   WHERE h.server = $1 AND h.key = onec_internal.site_key($1, $2) AND h.operation = 'create'
					 AND h.status = 'skipped')
	FROM (SELECT onec_internal.key_in_1c($1, $2) OFFSET 0) k (in_1c)
$$;

COMMENT ON FUNCTION onec_internal.came_to_nothing(name, uuid) IS
	'Не появится ли объект, который просил сайт: пропущен или удалён (служебная)';

CREATE FUNCTION onec_internal.called_before(server name, function text, idempotency text, asked jsonb,
											again boolean DEFAULT false) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	told text := encode(sha256(convert_to(asked::text, 'UTF8')), 'hex');
	was onec_internal.site_call;
BEGIN
	IF idempotency IS NULL THEN
		RETURN NULL;
	END IF;
	INSERT INTO onec_internal.site_call (server, function, idempotency, asked)
	VALUES (called_before.server, called_before.function, called_before.idempotency, told)
	ON CONFLICT ON CONSTRAINT site_call_pkey DO NOTHING;
	IF FOUND THEN
		RETURN NULL;
	END IF;
	SELECT c.* INTO was FROM onec_internal.site_call c
	WHERE c.server = called_before.server AND c.function = called_before.function
		AND c.idempotency = called_before.idempotency FOR UPDATE;
	IF was.asked <> told THEN
		RAISE unique_violation USING
			MESSAGE = 'the idempotency key has been used for another call of this function',
			HINT = 'The same key asks for the same; something else needs a key of its own.';
	ELSIF again AND onec_internal.came_to_nothing(server, was.key) THEN
		RETURN NULL;
	END IF;
	RETURN was.key;
END $$;

COMMENT ON FUNCTION onec_internal.called_before(name, text, text, jsonb, boolean) IS
	'Ответ такого же вызова с этим ключом идемпотентности; NULL — первый (служебная)';

CREATE FUNCTION onec_internal.answered(server name, function text, idempotency text, key uuid) RETURNS uuid
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.site_call c SET key = $4, since = now()
	WHERE c.server = $1 AND c.function = $2 COLLATE "C" AND c.idempotency = $3 COLLATE "C";
	SELECT $4
$$;

COMMENT ON FUNCTION onec_internal.answered(name, text, text, uuid) IS
	'Запомнить ответ вызова и вернуть его (служебная)';

CREATE FUNCTION onec_internal.housekeep_calls(server name) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.site_call c
	WHERE c.server = $1 AND c.since < now() - make_interval(days => onec.get('outbox.key_days', $1)::int)
	  AND NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = $1 AND o.key = c.key)
$$;

COMMENT ON FUNCTION onec_internal.housekeep_calls(name) IS
	'Уборка ключей идемпотентности вызовов сайта (служебная)';

CREATE TABLE onec_internal.site_person (
	server name NOT NULL,
	kind text NOT NULL CHECK (kind IN ('phone', 'email', 'card')),
	value text NOT NULL,
	customer_id uuid NOT NULL,
	card_id uuid,
	since timestamptz NOT NULL DEFAULT now(),
	is_written boolean NOT NULL DEFAULT true,
	PRIMARY KEY (server, kind, value)
);

CREATE INDEX site_person_customer ON onec_internal.site_person (customer_id);

COMMENT ON TABLE onec_internal.site_person IS
	'Кого просил создать сайт: телефон, почта или карта — одного человека (служебное)';

COMMENT ON COLUMN onec_internal.site_person.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.site_person.kind IS 'Что это: phone, email, card';

COMMENT ON COLUMN onec_internal.site_person.value IS 'Телефон в едином виде, почта строчными, штрихкод карты';

COMMENT ON COLUMN onec_internal.site_person.customer_id IS 'Контрагент';

COMMENT ON COLUMN onec_internal.site_person.card_id IS 'Карта этого штрихкода';

COMMENT ON COLUMN onec_internal.site_person.since IS 'С какого времени';

COMMENT ON COLUMN onec_internal.site_person.is_written IS
	'Записано ли это за ним в 1С; иначе только назвал сайт, найдя его по другому';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_person', '');

CREATE INDEX counterparty_phone ON onec.counterparty (right(onec_internal.written_number(phone), 9))
	WHERE right(onec_internal.written_number(phone), 9) IS NOT NULL;

CREATE INDEX counterparty_email ON onec.counterparty (lower(btrim(email)))
	WHERE lower(btrim(email)) IS NOT NULL;

CREATE INDEX counterparty_contact_phone
	ON onec.counterparty_contact (right(onec_internal.written_number(phone), 9))
	WHERE right(onec_internal.written_number(phone), 9) IS NOT NULL;

CREATE INDEX counterparty_contact_shown
	ON onec.counterparty_contact (right(onec_internal.written_number(presentation), 9))
	WHERE right(onec_internal.written_number(presentation), 9) IS NOT NULL;

CREATE INDEX counterparty_contact_email ON onec.counterparty_contact (lower(btrim(email)))
	WHERE lower(btrim(email)) IS NOT NULL;

CREATE INDEX discount_card_barcode ON onec.discount_card (barcode) WHERE barcode IS NOT NULL;

CREATE FUNCTION onec_internal.card_known(server name, barcode text, OUT card_id uuid, OUT owner_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT d.card_id, d.owner_id FROM onec.discount_card d
	WHERE d.server = $1 AND d.barcode = $2 COLLATE "default" AND NOT d.is_deleted
		AND d.deletion_mark IS NOT TRUE
	  AND d.is_invalid IS NOT TRUE
	ORDER BY d.owner_id IS NULL, d.card_id LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.card_known(name, text) IS 'Действующая карта по штрихкоду (служебная)';

CREATE FUNCTION onec_internal.person_known(server name, phone text, email text, card text) RETURNS uuid
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	-- the collation of the server's name would be that of the texts, which the indexes are not by
	WITH country AS MATERIALIZED (SELECT onec.get('phone.country', $1) AS code)
	SELECT c.customer_id
	FROM (SELECT 1 AS trust, u.customer_id, u.phone FROM onec.site_user u
		  WHERE u.server = $1 AND u.phone = $2 COLLATE "default"
		  UNION ALL
		  SELECT 2, p.customer_id, p.phone FROM onec.counterparty p
		  WHERE p.server = $1 AND right(onec_internal.written_number(p.phone),
			9) = right($2 COLLATE "default", 9)
		  UNION ALL
		  SELECT 3, k.customer_id, k.phone FROM onec.counterparty_contact k
		  WHERE k.server = $1 AND right(onec_internal.written_number(k.phone),
			9) = right($2 COLLATE "default", 9)
		  UNION ALL
		  SELECT 3, k.customer_id, k.presentation FROM onec.counterparty_contact k
		  WHERE k.server = $1 AND right(onec_internal.written_number(k.presentation),
			9) = right($2 COLLATE "default", 9)
		  UNION ALL
		  SELECT 4, d.owner_id, NULL FROM onec_internal.card_known($1, $4) d
		  UNION ALL
		  SELECT 5, p.customer_id, NULL FROM onec.counterparty p
		  WHERE p.server = $1 AND lower(btrim(p.email)) = $3 COLLATE "default"
		  UNION ALL
		  SELECT 6, k.customer_id, NULL FROM onec.counterparty_contact k
		  WHERE k.server = $1 AND lower(btrim(k.email)) = $3 COLLATE "default") f
	CROSS JOIN country
	JOIN onec.counterparty c ON c.server = $1 AND c.customer_id = f.customer_id AND NOT c.is_deleted
		AND c.deletion_mark IS NOT TRUE AND c.is_folder IS NOT TRUE
	WHERE f.trust > 3 OR onec.normalize_phone(f.phone, country.code) = $2
	ORDER BY f.trust, f.customer_id LIMIT 1
$$;

COMMENT ON FUNCTION onec_internal.person_known(name, text, text, text) IS
	'Контрагент по телефону, карте или почте из местных данных (служебная)';

CREATE FUNCTION onec_internal.contacts_stored(server name, person uuid) RETURNS TABLE (kind text, value text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN c.said ~ '@' THEN 'email' ELSE 'phone' END, c.value
	FROM (SELECT x.said, CASE WHEN x.said ~ '@' THEN lower(btrim(x.said))
							  ELSE onec.normalize_phone(x.said, onec.get('phone.country', $1)) END AS value
		  FROM (SELECT unnest(ARRAY[p.phone, p.email]) FROM onec.counterparty p
				WHERE p.server = $1 AND p.customer_id = $2
				UNION ALL
				SELECT unnest(ARRAY[k.phone, k.presentation, k.email]) FROM onec.counterparty_contact k
				WHERE k.server = $1 AND k.customer_id = $2) x (said)) c
	WHERE c.value IS NOT NULL
$$;

COMMENT ON FUNCTION onec_internal.contacts_stored(name, uuid) IS
	'Телефоны и почта человека в местных данных (служебная)';

CREATE FUNCTION onec_internal.is_underway(server name, id uuid) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM onec.outbox o
				   WHERE o.server = $1 AND o.key = onec_internal.site_key($1, $2))
		OR EXISTS (SELECT FROM onec_internal.written_unread w
				   WHERE w.server = $1 AND w.key = onec_internal.key_in_1c($1, $2))
$$;

COMMENT ON FUNCTION onec_internal.is_underway(name, uuid) IS
	'Есть ли недоставленные изменения объекта (служебная)';

CREATE FUNCTION onec_internal.is_given_up(was onec_internal.site_person) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	thing uuid := coalesce(was.card_id, was.customer_id);
	person uuid := onec_internal.key_in_1c(was.server, was.customer_id);
BEGIN
	IF onec_internal.came_to_nothing(was.server, thing) THEN
		RETURN true;
	ELSIF NOT was.is_written OR onec_internal.is_underway(was.server, thing) THEN
		RETURN false;
	ELSIF was.kind = 'card' THEN
		RETURN EXISTS (SELECT FROM onec_internal.card_known(was.server, was.value) c
					   WHERE c.card_id IS NOT NULL AND c.owner_id IS DISTINCT FROM person);
	END IF;
	RETURN coalesce((SELECT bool_and(c.value <> was.value)
					 FROM onec_internal.contacts_stored(was.server, person) c
					 WHERE c.kind = was.kind), false);
END $$;

COMMENT ON FUNCTION onec_internal.is_given_up(onec_internal.site_person) IS
	'Свободны ли снова телефон, почта или карта (служебная)';

CREATE FUNCTION onec_internal.hold_person(server name, kind text, value text, person uuid,
										  card uuid DEFAULT NULL, written boolean DEFAULT true,
										  OUT customer_id uuid, OUT card_id uuid)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was onec_internal.site_person;
BEGIN
	INSERT INTO onec_internal.site_person (server, kind, value, customer_id, card_id, is_written)
	VALUES (hold_person.server, hold_person.kind, hold_person.value, person, card, written)
	ON CONFLICT ON CONSTRAINT site_person_pkey DO NOTHING;
	SELECT p.* INTO was FROM onec_internal.site_person p
	WHERE p.server = hold_person.server AND p.kind = hold_person.kind
		AND p.value = hold_person.value FOR UPDATE;
	IF was.customer_id = person AND written > was.is_written OR onec_internal.is_given_up(was) THEN
		UPDATE onec_internal.site_person p SET customer_id = person, card_id = card, since = now(),
			is_written = written
		WHERE p.server = hold_person.server AND p.kind = hold_person.kind AND p.value = hold_person.value
		RETURNING * INTO was;
	END IF;
	customer_id := was.customer_id;
	card_id := was.card_id;
END $$;

COMMENT ON FUNCTION onec_internal.hold_person(name, text, text, uuid, uuid, boolean) IS
	'Закрепить телефон, почту или карту за человеком; возвращает того, за кем они (служебная)';

CREATE FUNCTION onec_internal.contact_said(server name, phone text, email text, OUT number text,
										   OUT address text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	number := onec.normalize_phone(phone, onec.get('phone.country', server));
	address := nullif(btrim(email), '');
	IF number IS NULL AND btrim(phone) <> '' THEN
		RAISE invalid_parameter_value USING MESSAGE = '"phone" is no telephone number',
			HINT = 'With the code of a country, or as the country of setting phone.country writes it.';
	ELSIF address !~ '^[^@\s]+@[^@\s]+\.[^@\s]+$' THEN
		RAISE invalid_parameter_value USING MESSAGE = '"email" is no address';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.contact_said(name, text, text) IS
	'Телефон и почта в едином виде, иначе ошибка (служебная)';

CREATE FUNCTION onec_internal.contact_rows(server name, number text, address text) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_agg(r.of), '[]') FROM (
		SELECT jsonb_build_object('type', 'Телефон',
			'kind', onec_internal.shop_must_say($1, 'customer', 'phone_kind'), 'presentation', '+' || $2,
			'phone', $2, 'phone_without_code', right($2, 7), 'phone_reversed', reverse($2),
			'values', '', 'value', '') WHERE $2 IS NOT NULL
		UNION ALL
		SELECT jsonb_build_object('type', 'АдресЭлектроннойПочты',
			'kind', onec_internal.shop_must_say($1, 'customer', 'email_kind'), 'presentation', $3,
			'email', $3, 'domain', split_part($3, '@', 2), 'values', '', 'value', '')
		WHERE $3 IS NOT NULL) r (of)
$$;

COMMENT ON FUNCTION onec_internal.contact_rows(name, text, text) IS 'Строки контактов (служебная)';

CREATE FUNCTION onec_internal.refuse_card() RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE unique_violation USING MESSAGE = 'the card of this bar code is somebody else''s';
END $$;

COMMENT ON FUNCTION onec_internal.refuse_card() IS 'Отказать: карта чужая (служебная)';

CREATE FUNCTION onec_internal.put_card(server name, customer uuid, said jsonb) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	entity_set text := onec_internal.write_set(server, 'card');
	-- all by the keys that a site has been given
	customer uuid := onec_internal.site_key(server, customer);
	code text := btrim(said ->> 'barcode');
	stored record;
	held record;
	key uuid := onec_internal.key_said(said);
	is_asked_for boolean;
BEGIN
	SELECT onec_internal.site_key(server, c.card_id) AS card_id, onec_internal.site_key(server, c.owner_id)
		AS owner_id INTO stored
	FROM onec_internal.card_known(server, code) c;
	IF stored.owner_id = customer THEN
		RETURN stored.card_id;
	ELSIF stored.owner_id IS NOT NULL THEN
		PERFORM onec_internal.refuse_card();
	END IF;
	SELECT h.* INTO held
	FROM onec_internal.hold_person(server, 'card', code, customer, coalesce(stored.card_id, key)) h;
	IF held.customer_id <> customer THEN
		PERFORM onec_internal.refuse_card();
	END IF;
	-- whoever was first has been waited for, and is seen
	is_asked_for := onec_internal.is_underway(server, held.card_id);
	IF stored.card_id IS NULL AND held.card_id = key THEN
		PERFORM onec.enqueue(server, entity_set, 'create', key, onec_internal.write_body(server, 'card',
			said - 'key' || jsonb_build_object('owner', customer, 'barcode', code, 'description',
											   coalesce(said ->> 'description', code))));
	ELSIF stored.card_id IS NOT NULL AND NOT is_asked_for THEN
		PERFORM onec.enqueue(server, entity_set, 'patch', held.card_id, onec_internal.write_body(
			server, 'card', jsonb_build_object('owner', customer), true));
	END IF;
	RETURN held.card_id;
END $$;

COMMENT ON FUNCTION onec_internal.put_card(name, uuid, jsonb) IS
	'Карта покупателя: найденная или новая (служебная)';

CREATE FUNCTION onec.issue_card(server name, customer uuid, card jsonb,
								idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	done uuid;
BEGIN
	PERFORM onec_internal.must_write('issue_card');
	srv := onec_internal.site_writes(server, 'card');
	done := onec_internal.called_before(srv, 'issue_card', idempotency, jsonb_build_array(customer, card),
										true);
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_said('card', jsonb_build_array(card), '{key}');
	IF btrim(card ->> 'barcode') = '' IS NOT FALSE THEN
		PERFORM onec_internal.refuse_missing(srv, 'card', 'barcode', NULL);
	END IF;
	PERFORM onec_internal.must_be_known(srv, 'customer', customer);
	RETURN onec_internal.answered(srv, 'issue_card', idempotency,
								  onec_internal.put_card(srv, customer, card));
END $$;

COMMENT ON FUNCTION onec.issue_card(name, uuid, jsonb, text) IS
	'Выдать покупателю карту: {"barcode": …}; карта без владельца становится его, новая ставится в очередь. '
	'Возвращает ссылку на карту';

CREATE FUNCTION onec_internal.must_be_known(server name, object text, key uuid) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_1c uuid := onec_internal.key_in_1c(server, key);
	at_site uuid := onec_internal.site_key(server, key);
BEGIN
	IF key IS NULL OR onec_internal.came_to_nothing(server, key) OR NOT (
		EXISTS (SELECT FROM onec.counterparty c
				WHERE object = 'customer' AND c.server = must_be_known.server AND c.customer_id = in_1c)
		OR EXISTS (SELECT FROM onec.discount_card d
				   WHERE object = 'card' AND d.server = must_be_known.server AND d.card_id = in_1c)
		OR EXISTS (SELECT FROM onec.outbox o
				   WHERE o.server = must_be_known.server AND o.key = at_site
					 AND o.entity_set = onec_internal.write_set(must_be_known.server, object))
		OR EXISTS (SELECT FROM onec.outbox_history h
				   WHERE h.server = must_be_known.server AND h.key = at_site
					 AND h.entity_set = onec_internal.write_set(must_be_known.server, object))) THEN
		RAISE no_data_found USING
			MESSAGE = format('no %s of server "%s" is known by this key', object, server),
			HINT = format('What 1C has is known after CALL onec.sync(%L).', server);
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.must_be_known(name, text, uuid) IS
	'Отказать, если ни в местных данных, ни в очереди объекта нет (служебная)';

CREATE FUNCTION onec_internal.hold_or_find(server name, person uuid, number text, address text,
										   code text) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	plain text := lower(btrim(address) COLLATE "default");
	other uuid := onec_internal.site_key(server, onec_internal.person_known(server, number, plain, code));
	w record;
BEGIN
	FOR w IN SELECT k.kind, k.value FROM (VALUES (1, 'phone', number), (2, 'email', plain)) k (n, kind, value)
		WHERE other IS NULL AND k.value IS NOT NULL ORDER BY k.n LOOP
		SELECT h.customer_id INTO other FROM onec_internal.hold_person(server, w.kind, w.value, person) h
		WHERE h.customer_id <> person;
		EXIT WHEN other IS NOT NULL;
	END LOOP;
	IF other IS NULL AND code IS NOT NULL THEN
		SELECT p.customer_id INTO other FROM onec_internal.site_person p
		WHERE p.server = hold_or_find.server AND p.kind = 'card' AND p.value = code
		  AND NOT onec_internal.is_given_up(p);
	END IF;
	IF other IS NOT NULL THEN
		UPDATE onec_internal.site_person p SET customer_id = other, is_written = false
		WHERE p.customer_id = person AND p.server = hold_or_find.server;
		-- what they were not known by is theirs from now on
		PERFORM onec_internal.hold_person(server, k.kind, coalesce(k.phone, k.email), other,
										  written => false)
		FROM (VALUES ('phone', number, NULL), ('email', NULL, plain)) k (kind, phone, email)
		WHERE num_nonnulls(k.phone, k.email) > 0
		  AND onec_internal.person_known(server, k.phone, k.email, NULL) IS NULL;
	END IF;
	RETURN other;
END $$;

COMMENT ON FUNCTION onec_internal.hold_or_find(name, uuid, text, text, text) IS
	'Кто уже есть с таким телефоном, картой или почтой; NULL — никто, и они закреплены (служебная)';

CREATE FUNCTION onec.create_customer(server name, customer jsonb, idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	code text := nullif(btrim(customer ->> 'card'), '');
	contact record;
	other uuid;
	key uuid;
	person jsonb;
	rows jsonb;
BEGIN
	PERFORM onec_internal.must_write('create_customer');
	srv := onec_internal.site_writes(server, 'customer');
	other := onec_internal.called_before(srv, 'create_customer', idempotency, customer, true);
	IF other IS NOT NULL THEN
		RETURN other;
	END IF;
	PERFORM onec_internal.check_said('customer', jsonb_build_array(customer), '{key,card}');
	SELECT * INTO contact FROM onec_internal.contact_said(srv, customer ->> 'phone', customer ->> 'email');
	IF num_nonnulls(contact.number, contact.address, code) = 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'a customer is known by "phone", "email" or "card"',
			HINT = 'Without any of them the next visit would make another one.';
	END IF;
	key := onec_internal.key_said(customer);
	other := onec_internal.hold_or_find(srv, key, contact.number, contact.address, code);
	IF other IS NULL THEN
		person := customer - '{key,card}'::text[]
			|| jsonb_build_object('phone', contact.number, 'email', contact.address,
								  'full_name', coalesce(customer ->> 'full_name', customer ->> 'name'));
		IF onec_internal.part_of_object(srv, 'customer.contacts') IS NOT NULL THEN
			rows := onec_internal.contact_rows(srv, contact.number, contact.address);
		END IF;
		key := (onec.enqueue(srv, onec_internal.write_set(srv, 'customer'), 'create', key,
							 onec_internal.with_part(srv, 'customer.contacts',
													 onec_internal.write_body(srv, 'customer', person),
													 rows))).object_key;
	END IF;
	IF code IS NOT NULL THEN
		PERFORM onec_internal.site_writes(srv, 'card');
		PERFORM onec_internal.put_card(srv, coalesce(other, key), jsonb_build_object('barcode', code));
	END IF;
	RETURN onec_internal.answered(srv, 'create_customer', idempotency, coalesce(other, key));
END $$;

COMMENT ON FUNCTION onec.create_customer(name, jsonb, text) IS
	'Найти покупателя по телефону, карте или почте в местных данных и в очереди, а если его нет — '
	'поставить в очередь создание: {"name": …, "phone": …, "email": …, "card": штрихкод}. Возвращает '
	'ссылку; двое сразу с одним телефоном получают одну';

CREATE FUNCTION onec_internal.take_contact(server name, person uuid, number text, address text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_1c uuid := onec_internal.key_in_1c(server, person);
	w record;
	other uuid;
BEGIN
	FOR w IN SELECT k.* FROM (VALUES (1, 'phone', 'telephone', number),
			(2, 'email', 'address', lower(btrim(address) COLLATE "default"))) k (n, kind, title, value)
		WHERE k.value IS NOT NULL ORDER BY k.n LOOP
		CONTINUE WHEN (w.kind, w.value) IN (SELECT c.kind, c.value
											FROM onec_internal.contacts_stored(server, in_1c) c);
		other := onec_internal.person_known(server, CASE w.kind WHEN 'phone' THEN w.value END,
											CASE w.kind WHEN 'email' THEN w.value END, NULL);
		IF other IS NULL OR other = in_1c THEN
			other := onec_internal.key_in_1c(server, (onec_internal.hold_person(server, w.kind, w.value,
																				person)).customer_id);
		END IF;
		IF other <> in_1c THEN
			RAISE unique_violation USING MESSAGE = format('the %s is another customer''s', w.title);
		END IF;
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.take_contact(name, uuid, text, text) IS
	'Закрепить телефон и почту за человеком, если они ничьи (служебная)';

CREATE FUNCTION onec_internal.contacts_had(server name, rows jsonb, old_number text, old_address text)
	RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_agg(CASE r.of ->> 'type' WHEN 'Телефон' THEN h.phone ELSE h.email END ORDER BY r.n)
	FROM jsonb_array_elements($2) WITH ORDINALITY r (of, n)
	CROSS JOIN (
		SELECT jsonb_object_agg(f.property, $3) FILTER (WHERE f.field IN ('phone', 'presentation')
														AND $3 IS NOT NULL) AS phone,
			   jsonb_object_agg(f.property, $4) FILTER (WHERE f.field IN ('email', 'presentation')
														AND $4 IS NOT NULL) AS email
		FROM onec_internal.write_fields($1, 'customer.contacts') f WHERE f.property IS NOT NULL) h
	WHERE num_nonnulls($3, $4) > 0
$$;

COMMENT ON FUNCTION onec_internal.contacts_had(name, jsonb, text, text) IS
	'Что было в строках контактов, которые меняются (служебная)';

CREATE FUNCTION onec_internal.put_contacts(server name, person uuid, part text, rows jsonb, had jsonb)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made bigint := (onec.enqueue(server, onec_internal.write_set(server, 'customer'), 'merge_rows', person,
		jsonb_build_object(part, onec_internal.write_bodies(server, 'customer.contacts', rows)),
		merge_by => ARRAY(
			SELECT f.property FROM onec_internal.write_fields(server, 'customer.contacts') f
			WHERE f.field IN ('type', 'kind') AND f.property IS NOT NULL ORDER BY f.ordinal))).id;
BEGIN
	UPDATE onec.outbox o SET merge_old = jsonb_build_object(part, had)
	WHERE o.server = put_contacts.server AND o.id = made AND had IS NOT NULL;
	RETURN made;
END $$;

COMMENT ON FUNCTION onec_internal.put_contacts(name, uuid, text, jsonb, jsonb) IS
	'Поставить в очередь изменение контактов (служебная)';

CREATE FUNCTION onec_internal.is_second(server name, person uuid, kind text, old text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT NOT onec_internal.same_said(CASE $3 WHEN 'phone' THEN c.phone ELSE c.email END,
														$4)
					 FROM onec.counterparty c
					 WHERE c.server = $1 AND c.customer_id = onec_internal.key_in_1c($1, $2)), false);

COMMENT ON FUNCTION onec_internal.is_second(name, uuid, text, text) IS
	'Не основной ли это телефон или почта (служебная)';

CREATE FUNCTION onec.change_contact(server name, customer uuid, phone text DEFAULT NULL,
									email text DEFAULT NULL, idempotency text DEFAULT NULL,
									old_phone text DEFAULT NULL, old_email text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	entity_set text;
	part text;
	contact record;
	was record;
	rows jsonb;
	before bigint[] := '{}';
	header jsonb;
	done uuid;
BEGIN
	PERFORM onec_internal.must_write('change_contact');
	srv := onec_internal.site_writes(server, 'customer');
	entity_set := onec_internal.write_set(srv, 'customer');
	part := onec_internal.part_of_object(srv, 'customer.contacts');
	done := onec_internal.called_before(srv, 'change_contact', idempotency,
										jsonb_build_array(customer, phone, email, old_phone, old_email));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	SELECT * INTO contact FROM onec_internal.contact_said(srv, phone, email);
	IF num_nonnulls(contact.number, contact.address) = 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'change_contact needs a "phone" or an "email"';
	END IF;
	SELECT * INTO was FROM onec_internal.contact_said(srv, old_phone, old_email);
	IF was.number IS NOT NULL AND contact.number IS NULL
		OR was.address IS NOT NULL AND contact.address IS NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'the old telephone or address needs a new one: nothing is deleted';
	END IF;
	PERFORM onec_internal.must_be_known(srv, 'customer', customer);
	customer := onec_internal.site_key(srv, customer);
	PERFORM onec_internal.take_contact(srv, customer, contact.number, contact.address);
	IF part IS NOT NULL THEN
		rows := onec_internal.contact_rows(srv, contact.number, contact.address);
		before := ARRAY[onec_internal.put_contacts(srv, customer, part, rows,
			onec_internal.contacts_had(srv, rows, was.number, was.address))];
	END IF;
	-- what 1C itself looks people up by, unless it is a second one that is replaced
	header := onec_internal.write_body(srv, 'customer', jsonb_strip_nulls(jsonb_build_object(
		'phone', CASE WHEN was.number IS NULL OR NOT onec_internal.is_second(srv, customer, 'phone',
			was.number) THEN contact.number END,
		'email', CASE WHEN was.address IS NULL OR NOT onec_internal.is_second(srv, customer, 'email',
			was.address) THEN contact.address END)), true);
	IF header <> '{}' THEN
		PERFORM onec.enqueue(srv, entity_set, 'patch', customer, header, before);
	END IF;
	RETURN onec_internal.answered(srv, 'change_contact', idempotency, customer);
END $$;

COMMENT ON FUNCTION onec.change_contact(name, uuid, text, text, text, text, text) IS
	'Поставить в очередь новый телефон или почту покупателя: при доставке читается вся таблица контактов, и '
	'меняется строка своего вида; чужие остаются. Если таких несколько, меняется первая или та, в которой '
	'old_phone (old_email). Возвращает ссылку на покупателя';

CREATE TABLE onec_internal.site_points (
	server name NOT NULL,
	card_id uuid NOT NULL,
	document_id uuid NOT NULL,
	line int NOT NULL,
	points numeric NOT NULL,
	expires_at timestamp,
	PRIMARY KEY (server, card_id, document_id, line)
);

COMMENT ON TABLE onec_internal.site_points IS
	'Баллы, которые сайт начислил и списал, пока их нет в местных данных (служебное)';

COMMENT ON COLUMN onec_internal.site_points.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.site_points.card_id IS 'Карта';

COMMENT ON COLUMN onec_internal.site_points.document_id IS 'Документ';

COMMENT ON COLUMN onec_internal.site_points.line IS 'Строка';

COMMENT ON COLUMN onec_internal.site_points.points IS 'Баллов; меньше нуля — списание';

COMMENT ON COLUMN onec_internal.site_points.expires_at IS 'Когда сгорают';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_points', '');

CREATE TABLE onec_internal.site_spending (
	server name NOT NULL,
	card_id uuid NOT NULL,
	times bigint NOT NULL DEFAULT 1,
	PRIMARY KEY (server, card_id)
);

COMMENT ON TABLE onec_internal.site_spending IS
	'Карты, с которых списывал сайт: одновременные списания идут по очереди (служебное)';

COMMENT ON COLUMN onec_internal.site_spending.server IS 'Внешний сервер';

COMMENT ON COLUMN onec_internal.site_spending.card_id IS 'Карта';

COMMENT ON COLUMN onec_internal.site_spending.times IS 'Сколько раз';

SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_spending', '');

CREATE FUNCTION onec_internal.points_came_to_nothing(server name, document uuid) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(bool_or(h.operation = 'create' AND h.never_sent), false)
		OR coalesce(bool_and(h.never_sent OR h.done_at < r.at) FILTER (WHERE h.operation = 'post'), false)
			AND NOT EXISTS (SELECT FROM onec.outbox o
							WHERE o.server = $1 AND o.key = $2 AND o.operation = 'post')
	FROM (SELECT w.operation, w.done_at, w.status = 'skipped' AND NOT w.maybe_sent AS never_sent
		  FROM onec.outbox_history w WHERE w.server = $1 AND w.key = $2) h
	CROSS JOIN (SELECT coalesce(min(t.last_ok) - interval '1 day', '-infinity') AS at
				FROM onec.sync_state t JOIN onec.target g USING (target)
				WHERE t.server = $1 AND g.sums = 'balance') r
$$;

COMMENT ON FUNCTION onec_internal.points_came_to_nothing(name, uuid) IS
	'Не изменит ли документ баллов остатка: пропущен до отправки или его нет в 1С (служебная)';

CREATE FUNCTION onec_internal.points_underway(server name, card uuid)
	RETURNS TABLE (points numeric, expires_at timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.points, s.expires_at
	FROM onec_internal.site_points s
	WHERE s.server = $1 AND s.card_id IN (SELECT $2 UNION ALL SELECT r.key FROM onec_internal.outbox_remote r
										  WHERE r.server = $1 AND r.remote_key = $2)
	  AND NOT EXISTS (SELECT FROM onec_internal.counted_points p
					  WHERE p.server = $1 AND p.card_id = $2
						AND p.recorder = onec_internal.key_in_1c($1, s.document_id))
	  AND NOT onec_internal.points_came_to_nothing($1, s.document_id)
$$;

COMMENT ON FUNCTION onec_internal.points_underway(name, uuid) IS
	'Баллы карты, которых ещё нет в местных данных (служебная)';

CREATE FUNCTION onec_internal.points_to_expire(server name, card uuid)
	RETURNS TABLE (expires_at timestamp, points numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT m.at, sum(m.points)
	FROM (SELECT p.period AS at, -p.points AS points FROM onec_internal.counted_points p
		  WHERE p.server = $1 AND p.card_id = $2 AND p.period > onec.local_now($1)
		  UNION ALL
		  SELECT u.expires_at, u.points FROM onec_internal.points_underway($1, $2) u
		  WHERE u.expires_at > onec.local_now($1)) m
	GROUP BY 1 HAVING sum(m.points) > 0 ORDER BY 1
$$;

COMMENT ON FUNCTION onec_internal.points_to_expire(name, uuid) IS
	'Сколько баллов карты когда сгорит (служебная)';

CREATE FUNCTION onec_internal.points_to_spend(server name, card uuid) RETURNS numeric
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT sum(p.points) FROM onec_internal.counted_points p
					 WHERE p.server = $1 AND p.card_id = $2 AND p.period <= onec.local_now($1)), 0)
		+ coalesce((SELECT sum(least(u.points, 0)) FROM onec_internal.points_underway($1, $2) u), 0);

COMMENT ON FUNCTION onec_internal.points_to_spend(name, uuid) IS 'Сколько баллов можно списать (служебная)';

CREATE FUNCTION onec_internal.spend_lines(server name, card uuid, points numeric)
	RETURNS TABLE (points numeric, expires_at timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH lot AS (
		SELECT e.expires_at, e.points, sum(e.points) OVER (ORDER BY e.expires_at) - e.points AS before
		FROM onec_internal.points_to_expire($1, $2) e),
	taken AS (SELECT least(l.points, $3 - l.before) AS points, l.expires_at FROM lot l WHERE l.before < $3)
	SELECT -t.points, t.expires_at FROM taken t
	UNION ALL
	SELECT -r.rest, NULL FROM (SELECT $3 - coalesce(sum(t.points), 0) AS rest FROM taken t) r WHERE r.rest > 0
$$;

COMMENT ON FUNCTION onec_internal.spend_lines(name, uuid, numeric) IS
	'Строки списания: сначала то, что сгорит раньше (служебная)';

CREATE FUNCTION onec_internal.put_points(server name, card uuid, points numeric[], expires timestamp[],
										 comment text) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at timestamp := date_trunc('second', onec.local_now(server));
	entity_set text := onec_internal.write_set(server, 'points');
	lines jsonb;
	made record;
BEGIN
	lines := (SELECT jsonb_agg(jsonb_build_object('card', card, 'points', u.points, 'granted_at', at,
												  'expires_at', u.expires) ORDER BY u.n)
			  FROM unnest(points, expires) WITH ORDINALITY u (points, expires, n));
	SELECT * INTO made FROM onec.enqueue(server, entity_set, 'create', body => onec_internal.with_part(server,
		'points.accruals', onec_internal.write_body(server, 'points', jsonb_build_object('date', at,
			'comment', nullif(comment, ''), 'accruals', lines)) - onec_internal.part_of_object(server,
			'points.accruals'), lines));
	PERFORM onec.enqueue(server, entity_set, 'post', made.object_key, depends_on => ARRAY[made.id]);
	INSERT INTO onec_internal.site_points (server, card_id, document_id, line, points, expires_at)
	SELECT server, card, made.object_key, u.n, u.points, u.expires
	FROM unnest(points, expires) WITH ORDINALITY u (points, expires, n);
	RETURN made.object_key;
END $$;

COMMENT ON FUNCTION onec_internal.put_points(name, uuid, numeric[], timestamp[], text) IS
	'Поставить в очередь документ баллов и его проведение (служебная)';

CREATE FUNCTION onec_internal.check_points(points numeric) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (round(points, 2) > 0 AND points < 1e13) IS NOT TRUE THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'points must be a number greater than zero: 0.01 at least, less than 10000000000000';
	END IF;
END $$;

COMMENT ON FUNCTION onec_internal.check_points(numeric) IS 'Отказать, если это не число баллов (служебная)';

CREATE FUNCTION onec.award_points(server name, card uuid, points numeric, expires timestamp DEFAULT NULL,
								  comment text DEFAULT NULL, idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	done uuid;
BEGIN
	PERFORM onec_internal.must_write('award_points');
	srv := onec_internal.site_writes(server, 'points');
	done := onec_internal.called_before(srv, 'award_points', idempotency,
										jsonb_build_array(card, trim_scale(points), expires, comment));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_points(points);
	PERFORM onec_internal.must_be_known(srv, 'card', card);
	card := onec_internal.key_in_1c(srv, card);
	RETURN onec_internal.answered(srv, 'award_points', idempotency, onec_internal.put_points(srv, card,
		ARRAY[points], ARRAY[date_trunc('second', expires)], comment));
END $$;

COMMENT ON FUNCTION onec.award_points(name, uuid, numeric, timestamp, text, text) IS
	'Начислить карте баллы: документ и его проведение ставятся в очередь. expires — когда сгорят, по часам '
	'базы; пусто — как решит 1С. Возвращает ссылку на документ';

CREATE FUNCTION onec.spend_points(server name, card uuid, points numeric, comment text DEFAULT NULL,
								  idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	done uuid;
	can numeric;
	lines record;
BEGIN
	PERFORM onec_internal.must_write('spend_points');
	srv := onec_internal.site_writes(server, 'points');
	done := onec_internal.called_before(srv, 'spend_points', idempotency,
										jsonb_build_array(card, trim_scale(points), comment));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_points(points);
	PERFORM onec_internal.must_be_known(srv, 'card', card);
	card := onec_internal.key_in_1c(srv, card);
	INSERT INTO onec_internal.site_spending AS s (server, card_id) VALUES (srv, card)
	ON CONFLICT ON CONSTRAINT site_spending_pkey DO UPDATE SET times = s.times + 1;
	-- what has come into the store counts there
	DELETE FROM onec_internal.site_points s
	WHERE s.server = srv AND s.card_id = card AND EXISTS (
		SELECT FROM onec_internal.counted_points p
		WHERE p.server = srv AND p.card_id = card
		  AND p.recorder = onec_internal.key_in_1c(srv, s.document_id));
	can := onec_internal.points_to_spend(srv, card);
	IF points > can THEN
		RAISE check_violation USING
			MESSAGE = format('the card has %s points to spend, not %s', trim_scale(greatest(can, 0)), points),
			DETAIL = 'What is on its way to 1C counts: spends do at once, awards when they are in the store.';
	END IF;
	SELECT array_agg(l.points ORDER BY l.expires_at) AS points,
		   array_agg(l.expires_at ORDER BY l.expires_at) AS expires INTO lines
	FROM onec_internal.spend_lines(srv, card, spend_points.points) l;
	RETURN onec_internal.answered(srv, 'spend_points', idempotency,
								  onec_internal.put_points(srv, card, lines.points, lines.expires, comment));
END $$;

COMMENT ON FUNCTION onec.spend_points(name, uuid, numeric, text, text) IS
	'Списать баллы с карты: документ с начислением меньше нуля и его проведение ставятся в очередь. '
	'Считается и то, что ещё не доставлено; больше, чем есть, не списывается. Возвращает ссылку на документ';

CREATE FUNCTION onec_internal.order_lines(server name, said jsonb, includes_vat boolean,
										  store jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- what the shop says of VAT is of its own rate; a base without rates has none
	rate numeric := CASE WHEN EXISTS (SELECT FROM onec_internal.write_fields(server, 'order.lines') f
									  WHERE f.field = 'vat_rate' AND f.property IS NOT NULL)
						 THEN onec_internal.shop_says(server, 'order.lines', 'vat_percent') #>> '{}'
						 ELSE '0' END;
	fault record;
BEGIN
	WITH line AS (
		SELECT r.n, r.of, (r.of ->> 'quantity')::numeric AS quantity, (r.of ->> 'price')::numeric AS price,
			   (r.of ->> 'discount')::numeric AS discount, (r.of ->> 'discount_percent')::numeric AS percent,
			   coalesce((r.of ->> 'vat_percent')::numeric,
						CASE WHEN r.of ->> 'vat_rate' IS NULL THEN rate END) AS vat_percent
		FROM jsonb_array_elements(said) WITH ORDINALITY r (of, n)),
	priced AS (
		SELECT l.*, round(l.quantity * l.price, 2) AS amount,
			   round(coalesce(l.discount, l.quantity * l.price * l.percent / 100, 0), 2) AS off,
			   CASE WHEN l.vat_percent IS NULL THEN 'vat_percent'
					-- a sum of nothing for what has a price; more than the fifteen digits that 1C holds
					WHEN l.quantity <= 0 OR l.quantity >= 1e13
						OR l.price > 0 AND round(l.quantity * l.price, 2) = 0 THEN 'quantity'
					WHEN l.price < 0 OR l.price >= 1e13 OR l.quantity * l.price >= 1e13 THEN 'price'
					WHEN l.percent NOT BETWEEN 0 AND 100 THEN 'discount_percent'
					WHEN l.discount NOT BETWEEN 0 AND l.quantity * l.price THEN 'discount' END AS wrong
		FROM line l),
	taxed AS (
		SELECT p.*, round((p.amount - p.off) * p.vat_percent
						  / CASE WHEN includes_vat THEN 100 + p.vat_percent ELSE 100 END, 2) AS vat
		FROM priced p)
	SELECT (array_agg(t.n ORDER BY t.n) FILTER (WHERE t.wrong IS NOT NULL))[1] AS n,
		   (array_agg(t.wrong ORDER BY t.n) FILTER (WHERE t.wrong IS NOT NULL))[1] AS wrong,
		   jsonb_agg(t.of || jsonb_build_object('link', t.n, 'amount', t.amount, 'discount', t.off,
			   'discount_percent', coalesce(t.percent, round(100 * t.off / nullif(t.amount, 0), 2), 0),
			   'vat_amount', t.vat, 'total', t.amount - t.off + CASE WHEN includes_vat THEN 0 ELSE t.vat END,
			   'line_store', store) ORDER BY t.n) AS lines
	INTO fault FROM taxed t;
	IF fault.wrong = 'vat_percent' THEN
		PERFORM onec_internal.refuse_missing(server, 'order.lines', fault.wrong, fault.n);
	ELSIF fault.wrong IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('"%s" of line %s of the order is out of range', fault.wrong, fault.n);
	END IF;
	RETURN fault.lines;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range OR division_by_zero THEN
	RAISE invalid_parameter_value USING
		MESSAGE = 'quantity, price, discount and per cents of an order''s lines are numbers';
END $$;

COMMENT ON FUNCTION onec_internal.order_lines(name, jsonb, boolean, jsonb) IS
	'Строки заказа с суммами (служебная)';

CREATE FUNCTION onec.place_order(server name, "order" jsonb, post boolean DEFAULT true,
								 idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	head jsonb := "order" - '{key,lines}'::text[];
	lines jsonb := "order" -> 'lines';
	entity_set text;
	done uuid;
	made record;
BEGIN
	PERFORM onec_internal.must_write('place_order');
	srv := onec_internal.site_writes(server, 'order');
	entity_set := onec_internal.write_set(srv, 'order');
	done := onec_internal.called_before(srv, 'place_order', idempotency,
										jsonb_build_array("order", post IS NOT FALSE));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_said('order', jsonb_build_array("order"), '{key,lines}');
	PERFORM onec_internal.check_said('order.lines', lines);
	IF lines = '[]' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'an order needs at least one line';
	END IF;
	head := jsonb_build_object('date', date_trunc('second', onec.local_now(srv))) || jsonb_strip_nulls(head);
	lines := onec_internal.order_lines(srv, lines, coalesce(head -> 'includes_vat',
		onec_internal.shop_says(srv, 'order', 'includes_vat'), 'true')::boolean,
		coalesce(head -> 'reserve_store', onec_internal.shop_says(srv, 'order', 'reserve_store'),
			head -> 'store'));
	head := head || jsonb_build_object('amount', (SELECT sum((l ->> 'total')::numeric)
												  FROM jsonb_array_elements(lines) l), 'lines', lines);
	PERFORM onec_internal.check_complete(srv, 'order', jsonb_build_array(head));
	PERFORM onec_internal.must_be_known(srv, 'customer', onec_internal.reference_uuid(head ->> 'customer'));
	SELECT * INTO made FROM onec.enqueue(srv, entity_set, 'create', onec_internal.key_said("order"),
		onec_internal.with_part(srv, 'order.lines', onec_internal.write_body(srv, 'order', head)
			- onec_internal.part_of_object(srv, 'order.lines'), lines));
	IF post IS NOT FALSE THEN
		PERFORM onec.enqueue(srv, entity_set, 'post', made.object_key, depends_on => ARRAY[made.id]);
	END IF;
	RETURN onec_internal.answered(srv, 'place_order', idempotency, made.object_key);
END $$;

COMMENT ON FUNCTION onec.place_order(name, jsonb, boolean, text) IS
	'Поставить в очередь заказ покупателя и его проведение: {"customer": ссылка, "lines": [{"product": '
	'ссылка, "quantity": 1, "price": 100}]}; суммы, скидки и НДС считаются здесь, остальное говорит '
	'onec.write_default. Обязательное поле без значения — ошибка с его именем. Возвращает ссылку на заказ';

CREATE FUNCTION onec_internal.put_step(server name, entity_set text, operation text, key uuid,
									   idempotency text) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
	done uuid;
BEGIN
	-- who may not write this is told nothing of what others have
	PERFORM onec_internal.check_allowed(srv, onec_internal.calling_role(), entity_set);
	done := onec_internal.called_before(srv, operation, idempotency, jsonb_build_array(entity_set, key));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec.enqueue(srv, entity_set, operation, key, depends_on => ARRAY(
		SELECT o.id FROM onec.outbox o
		WHERE o.server = srv AND o.key = onec_internal.site_key(srv, put_step.key)
		  AND o.operation = 'create'));
	RETURN onec_internal.answered(srv, operation, idempotency, key);
END $$;

COMMENT ON FUNCTION onec_internal.put_step(name, text, text, uuid, text) IS
	'Поставить в очередь шаг с объектом (служебная)';

CREATE FUNCTION onec.post_document(server name, entity_set text, key uuid, idempotency text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('post_document');
	RETURN onec_internal.put_step(server, entity_set, 'post', key, idempotency);
END $$;

COMMENT ON FUNCTION onec.post_document(name, text, uuid, text) IS
	'Поставить в очередь проведение документа: набор 1С и ссылка. Возвращает ссылку';

CREATE FUNCTION onec.unpost_document(server name, entity_set text, key uuid, idempotency text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('unpost_document');
	RETURN onec_internal.put_step(server, entity_set, 'unpost', key, idempotency);
END $$;

COMMENT ON FUNCTION onec.unpost_document(name, text, uuid, text) IS
	'Поставить в очередь отмену проведения документа. Возвращает ссылку';

CREATE FUNCTION onec.mark_deleted(server name, entity_set text, key uuid, idempotency text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('mark_deleted');
	RETURN onec_internal.put_step(server, entity_set, 'mark', key, idempotency);
END $$;

COMMENT ON FUNCTION onec.mark_deleted(name, text, uuid, text) IS
	'Поставить в очередь пометку объекта на удаление; проведённый документ 1С не пометит, пока проведение не '
	'отменено. Возвращает ссылку';

REVOKE EXECUTE ON FUNCTION onec.create_customer(name, jsonb, text),
	onec.change_contact(name, uuid, text, text, text, text, text), onec.issue_card(name, uuid, jsonb, text),
	onec.award_points(name, uuid, numeric, timestamp, text, text),
	onec.spend_points(name, uuid, numeric, text, text), onec.place_order(name, jsonb, boolean, text),
	onec.post_document(name, text, uuid, text), onec.unpost_document(name, text, uuid, text),
	onec.mark_deleted(name, text, uuid, text) FROM PUBLIC;

CREATE FUNCTION onec_internal.newest_objects(server name, entity_set text, wanted text[],
											 "limit" int) RETURNS SETOF jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	columns text;
	document boolean := entity_set LIKE 'Document\_%';
	has_folders boolean;
BEGIN
	SELECT string_agg(format('%I %s OPTIONS (property %L, edm_type %L)', p.property, p.pg_type, p.property,
							 p.edm_type), ', ' ORDER BY p.property), bool_or(p.property = 'IsFolder')
	INTO columns, has_folders
	FROM onec.properties(server, entity_set) p
	WHERE p.property = ANY (wanted || '{Ref_Key,Date,Code,Posted,DeletionMark,IsFolder}'::text[]);
	EXECUTE format('CREATE FOREIGN TABLE pg_temp.onec_newest (%s) SERVER %I '
				   'OPTIONS (entity_set %L, key ''Ref_Key'')',
				   columns, server, entity_set);
	RETURN QUERY EXECUTE format(
		'SELECT to_jsonb(n) FROM pg_temp.onec_newest n WHERE %s ORDER BY %I DESC LIMIT %s',
		CASE WHEN document THEN '"Posted"' ELSE 'NOT "DeletionMark"'
			|| CASE WHEN has_folders THEN ' AND NOT "IsFolder"' ELSE '' END END,
		CASE WHEN document THEN 'Date' ELSE 'Code' END, "limit");
	DROP FOREIGN TABLE pg_temp.onec_newest;
END $$;

COMMENT ON FUNCTION onec_internal.newest_objects(name, text, text[], int) IS
	'Последние объекты набора, документы — проведённые (служебная)';

CREATE FUNCTION onec_internal.commonest_values(server name, object text, rows jsonb)
	RETURNS TABLE (field text, value jsonb, type_name text, seen bigint, total bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT DISTINCT ON (f.field) f.field, v.value, v.type_name, count(*),
		   (SELECT count(*) FROM jsonb_array_elements($3))
	FROM onec_internal.write_fields($1, $2) f
	JOIN LATERAL (SELECT r -> f.property AS value, CASE WHEN f.is_mixed THEN r ->> (f.property || '_Type') END
						 AS type_name
				  FROM jsonb_array_elements($3) r) v
		ON onec_internal.plain_value(CASE WHEN f.is_mixed THEN 'Guid' ELSE f.edm_type END, v.value)
			IS NOT NULL
	WHERE f.said_by = 'shop' OR f.field = 'kind' AND $2 = 'customer.contacts'
	GROUP BY f.field, v.value, v.type_name
	ORDER BY f.field, count(*) DESC, v.value
$$;

COMMENT ON FUNCTION onec_internal.commonest_values(name, text, jsonb) IS
	'Самые частые значения полей магазина (служебная)';

CREATE FUNCTION onec_internal.values_found(server name, object text)
	RETURNS TABLE (field text, value jsonb, type_name text, seen bigint, total bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	of_set text := onec_internal.write_set(server, object);
	newest jsonb;
	sub record;
	rows jsonb;
	told_by text;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_property p
				   WHERE p.server = values_found.server AND p.entity_set = of_set) THEN
		RETURN;
	END IF;
	newest := (SELECT jsonb_agg(n) FROM onec_internal.newest_objects(server, of_set, ARRAY(
		SELECT p.property FROM onec_internal.outbox_property p
		JOIN onec_internal.write_fields(values_found.server, object) f
			ON p.property IN (f.property, f.property || '_Type')
		WHERE p.server = values_found.server AND p.entity_set = of_set AND p.part = ''
		  AND (f.said_by = 'shop' OR p.edm_type = 'Collection' OR p.property LIKE '%\_Type')), 20) n);
	RETURN QUERY SELECT c.* FROM onec_internal.commonest_values(server, object, newest) c;
	FOR sub IN SELECT DISTINCT f.object, onec_internal.part_of_object(server, f.object) AS part
		FROM onec.write_field f WHERE f.object LIKE values_found.object || '.%' LOOP
		rows := (SELECT jsonb_agg(r) FROM jsonb_array_elements(newest) o,
					 jsonb_array_elements(nullif(o -> sub.part, 'null')) r);
		IF sub.object <> 'customer.contacts' THEN
			RETURN QUERY SELECT c.* FROM onec_internal.commonest_values(server, sub.object, rows) c;
			CONTINUE;
		END IF;
		told_by := (SELECT f.property FROM onec_internal.write_fields(server, sub.object) f
					WHERE f.field = 'type');
		RETURN QUERY SELECT k.field, c.value, c.type_name, c.seen, c.total
			FROM (VALUES ('phone_kind', 'Телефон'), ('email_kind', 'АдресЭлектроннойПочты')) k (field, type),
				onec_internal.commonest_values(server, sub.object, (
					SELECT jsonb_agg(r) FROM jsonb_array_elements(rows) r WHERE r ->> told_by = k.type)) c
			WHERE c.field = 'kind';
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.values_found(name, text) IS
	'Что говорят последние объекты базы (служебная)';

CREATE FUNCTION onec_internal.object_in_1c(server name, entity_set text, key text) RETURNS jsonb
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.answer::jsonb
	FROM onec_internal.write_once($1, 'GET', $2, onec_internal.reference_uuid($3), NULL, NULL, NULL) w
	WHERE w.outcome = 'stored'
$$;

COMMENT ON FUNCTION onec_internal.object_in_1c(name, text, text) IS 'Объект 1С по ссылке (служебная)';

CREATE FUNCTION onec.setup_write(server name DEFAULT NULL)
	RETURNS TABLE (entity_set text, field text, property text, value jsonb, title text, seen text,
				   is_set boolean, statement text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(onec_internal.live_server_meant(server));
	o onec.write_object;
	f record;
	proposed jsonb;
	rate jsonb;
BEGIN
	PERFORM onec_internal.must_write('setup_write');
	FOR o IN SELECT w.* FROM onec.write_object w ORDER BY w.object LOOP
		proposed := (SELECT coalesce(jsonb_object_agg(v.field, to_jsonb(v)), '{}')
					 FROM onec_internal.values_found(srv, o.object) v);
		rate := onec_internal.object_in_1c(srv, 'Catalog_СтавкиНДС', proposed #>> '{vat_rate,value}')
			-> 'Ставка';
		IF rate IS NOT NULL THEN
			proposed := proposed || jsonb_build_object('vat_percent', jsonb_build_object('value', rate));
		END IF;
		entity_set := onec_internal.write_set(srv, o.object);
		FOR f IN SELECT k.field, k.property, w.type_name AS refers, w.initial, p.value, p.type_name, p.seen,
						p.total, d.value AS set_value
			FROM onec.write_field w
			JOIN LATERAL onec_internal.write_fields(srv, w.object) k ON k.field = w.field
			LEFT JOIN LATERAL jsonb_to_record(proposed -> w.field)
				p (value jsonb, type_name text, seen bigint, total bigint) ON true
			LEFT JOIN onec.write_default d
				ON d.server = srv AND d.entity_set = setup_write.entity_set AND d.field = w.field
			WHERE split_part(w.object, '.', 1) = o.object AND w.said_by = 'shop'
			  AND (k.property IS NOT NULL OR w.candidates = '{}') AND p.value IS DISTINCT FROM w.initial
			  AND (p.value IS NOT NULL OR k.is_required AND w.initial IS NULL)
			ORDER BY w.object, w.ordinal LOOP
			field := f.field;
			property := f.property;
			value := f.value;
			is_set := coalesce(f.value = f.set_value, f.set_value IS NOT NULL);
			seen := f.seen || ' of ' || f.total;
			f.type_name := replace(f.type_name, 'StandardODATA.', '');
			title := CASE WHEN f.refers IS NULL THEN f.value #>> '{}'
				ELSE onec_internal.object_in_1c(srv, coalesce(f.type_name, f.refers), f.value #>> '{}')
					->> 'Description' END;
			statement := CASE WHEN NOT is_set AND f.value IS NOT NULL THEN
				format('SELECT onec.set_write_default(%L, %L, %L, %L%s);', srv, entity_set, field, f.value,
					   ', ' || quote_literal(nullif(f.type_name, f.refers))) END;
			RETURN NEXT;
		END LOOP;
	END LOOP;
END $$;

COMMENT ON FUNCTION onec.setup_write(name) IS
	'Предложить, что магазин пишет в документы: организация, вид цен, валюта, склад, операция, НДС, '
	'единица, вид карты, бонусная программа, виды контактов — по последним проведённым документам базы. '
	'Ничего не меняет: statement — запрос, который это задаст, если вы согласны; value пусто — поле нужно, '
	'а значения не нашлось';

REVOKE EXECUTE ON FUNCTION onec.setup_write(name) FROM PUBLIC;

CREATE FUNCTION onec_internal.deliver_cron(server name, version text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT CASE WHEN s.seconds < 60 AND regexp_match($2, '^(\d+)\.(\d+)')::int[] >= '{1,5}'
						THEN format('%s seconds', s.seconds) ELSE '* * * * *' END
			FROM (SELECT onec.get('outbox.deliver_seconds', $1)::int) s (seconds));

COMMENT ON FUNCTION onec_internal.deliver_cron(name, text) IS
	'Расписание доставки для этой версии pg_cron (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.job_names(server name, database name DEFAULT NULL)
	RETURNS TABLE (job text, job_name text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT v.job, format('onec:%s:%s',
						 CASE WHEN octet_length(w.owner) > 45 THEN md5(w.owner) ELSE w.owner END, v.job)
	FROM (SELECT concat_ws('.', $2, $1) AS owner) w,
		(VALUES ('interval'), ('nightly'), ('weekly'), ('housekeeping'), ('deliver'), ('history')) v (job)
	-- history is cleaned by a job of its own only where that of the housekeeping is out of reach
	WHERE $2 IS NOT NULL OR v.job <> 'history'
$$;

CREATE OR REPLACE FUNCTION onec_internal.jobs_of_server(server name, at timestamptz DEFAULT now(),
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
					  || ' * * *'),
					 (5, 'deliver', onec_internal.deliver_cron(jobs_of_server.server, (
						 SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cron'))))
					 v (place, job, cron)
			ON v.job = n.job
		-- only where something is written
		WHERE v.job <> 'deliver' OR onec_internal.is_updatable(jobs_of_server.server)
		ORDER BY v.place;
END $$;

CREATE OR REPLACE FUNCTION onec_internal.housekeep(server name, OUT job_runs bigint, OUT runs bigint, OUT drifts bigint,
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
	PERFORM onec_internal.drop_lost_versions(u.server, u.target) FROM onec_internal.version_use u
		WHERE u.server = housekeep.server AND onec_internal.table_of_target(u.target) IS NOT NULL;
	PERFORM onec_internal.trim_feed(server);
	IF onec_internal.purchases_kept_since(server, 'sale_line') > onec_internal.first_moment() THEN
		PERFORM onec_internal.purge_before(server, onec_internal.purchases_kept_since(server,
			'sale_line')::date);
	END IF;
	PERFORM onec_internal.housekeep_outbox(server);
	PERFORM onec_internal.housekeep_calls(server);
	moved := onec_internal.reschedule_jobs(server);
END $$;

CREATE OR REPLACE FUNCTION onec_internal.has_nothing_to_do(server name, job text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 = 'deliver' AND NOT onec_internal.is_updatable($1)
		OR $2 = 'interval'
		AND NOT (onec.get('sync.enabled', $1)::boolean AND onec_internal.is_interval_due($1))
		OR $2 = 'nightly' AND NOT onec.get('nightly.enabled', $1)::boolean
		OR onec_internal.leaves_turn_to_larger($1, $2)
$$;

CREATE OR REPLACE PROCEDURE onec_internal.do_job(server name, job text)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF job OPERATOR(pg_catalog.=) 'housekeeping' THEN
		PERFORM onec_internal.housekeep_and_tell(server);
		RETURN;
	ELSIF job OPERATOR(pg_catalog.=) 'deliver' THEN
		-- the next minute's goes on
		CALL onec.deliver(server, max_seconds => 50);
		RETURN;
	END IF;
	CALL onec_internal.carry_out(onec_internal.plan_of_job(server, job));
	IF job OPERATOR(pg_catalog.=) 'weekly' THEN
		PERFORM onec.refresh_models(server);
		COMMIT;
	END IF;
END $$;

COMMENT ON PROCEDURE onec.run_job(text, name) IS
	'Выполнить задание: interval — частая синхронизация, nightly — ночная, weekly — полная сверка, '
	'housekeeping — уборка журналов, deliver — доставка очереди записи. '
	'Большее, которому помешали, выполняет следующее';

COMMENT ON PROCEDURE onec.run_now(text, name) IS
	'Выполнить задание сейчас, даже если оно выключено или его время не пришло: interval, '
	'nightly, weekly, housekeeping, deliver';

CREATE OR REPLACE FUNCTION onec_internal.next_cron_run(cron text, zone text, after timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	form text[] := regexp_match(cron, '^(\d+|\*|\*/[1-9]\d*) (\d+|\*|\*/[1-9]\d*) \* \* ([0-7]|\*)$');
	day date := (after AT TIME ZONE zone)::date - 1;
	coming timestamptz;
BEGIN
	IF cron ~ '^\d+ seconds$' THEN
		RETURN after + make_interval(secs => split_part(cron, ' ', 1)::int);
	END IF;
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

CREATE OR REPLACE FUNCTION onec_internal.job_hint(server name, job text, jobid bigint, active boolean, stale boolean,
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
		-- the housekeeping asks nothing, deliveries have a login of their own
		CASE WHEN CASE $2 WHEN 'housekeeping' THEN false
				  WHEN 'deliver' THEN onec_internal.is_stopped($1)
				  ELSE EXISTS (SELECT FROM onec_internal.login_refusal l WHERE l.server = $1) END THEN
			'waits: 1C refused the login; alter the user mapping (ALTER USER MAPPING … '
			'OPTIONS (SET password …))'
		WHEN $2 NOT IN ('housekeeping', 'deliver')
			AND EXISTS (SELECT FROM onec_internal.sync_doubt d
						WHERE d.server = $1 AND d.kind IN ('unproven', 'hole')) THEN
			'incomplete: rows are missing in 1C, but that is not proven; see onec.data_quality' END), '')
$$;

COMMENT ON COLUMN onec.schedule_status.job IS 'Задание: interval, nightly, weekly, housekeeping, deliver';

CREATE OR REPLACE FUNCTION onec.lag_seconds(step text DEFAULT 'purchases', server name DEFAULT NULL) RETURNS numeric
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	lag numeric;
BEGIN
	PERFORM onec_internal.checked_word('step', step,
									   ARRAY(SELECT 'outbox' UNION
											 SELECT s.step FROM onec_internal.sync_steps(srv, NULL) s
											 UNION SELECT s.target FROM onec_internal.sync_steps(srv, NULL) s
											 ORDER BY 1));
	-- no step of a sync: what goes the other way
	IF 'outbox' = step THEN
		RETURN onec_internal.outbox_lag(srv);
	END IF;
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
	'purchases, loyalty, orders, profiles) или чтения таблицы; NULL — его ещё не было. outbox — сколько ждёт '
	'самая старая недоставленная строка очереди записи, 0 — никакая, NULL — в базу не пишут';

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
	LEFT JOIN onec.sync_state r ON r.server = s.server AND r.target = 'stock_reserved'
		AND r.last_ok IS NOT NULL AND onec.get('endpoint.stock_reserved', r.server) <> ''
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
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT k.as_of FROM onec.sync_state k
			WHERE k.server = stock_as_of.server AND k.target = 'stock');
END $$;

COMMENT ON FUNCTION onec_internal.stock_as_of(name) IS 'На какой момент прочитаны остатки (служебная)';

CREATE FUNCTION onec.stock_free(product uuid, variant uuid DEFAULT NULL, store uuid DEFAULT NULL,
								server name DEFAULT NULL) RETURNS numeric
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE FUNCTION onec_internal.price_json(p onec.price) RETURNS json
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN json_build_object('kind_id', ($1).kind_id, 'kind', ($1).kind, 'price', ($1).price,
							 'currency', ($1).currency,
							 'since', to_char(($1).since, 'YYYY-MM-DD"T"HH24:MI:SS'));

COMMENT ON FUNCTION onec_internal.price_json(onec.price) IS 'Одна цена как JSON (служебная)';

CREATE FUNCTION onec_internal.prices_json(server name, product uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
	RETURN (
		SELECT coalesce(json_agg(onec_internal.price_json(p) ORDER BY p.kind, p.kind_id), '[]'::json)
		FROM onec.price p
		WHERE p.server = prices_json.server AND p.product_id = product AND p.variant_id IS NULL);
END $$;

COMMENT ON FUNCTION onec_internal.prices_json(name, uuid) IS 'Цены товара как JSON (служебная)';

CREATE FUNCTION onec_internal.are_reserves_read(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM onec.sync_state r WHERE r.server = $1 AND r.target = 'stock_reserved'
						AND r.last_ok IS NOT NULL) AND onec.get('endpoint.stock_reserved', $1) <> '';

COMMENT ON FUNCTION onec_internal.are_reserves_read(name) IS
	'Назван ли и прочитан ли регистр резервов (служебная)';

CREATE FUNCTION onec_internal.stock_json(server name, product uuid, as_of timestamptz) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('as_of', $3, 'on_hand', coalesce(sum(s.on_hand), 0),
			'reserved', CASE WHEN onec_internal.are_reserves_read($1) THEN coalesce(sum(s.reserved), 0) END,
			'free', greatest(coalesce(sum(s.free), 0), 0),
			'stores', coalesce(json_agg(json_build_object('store_id', s.store_id, 'store', n.name,
														  'on_hand', s.on_hand, 'reserved', s.reserved,
														  'free', s.free) ORDER BY n.name, s.store_id), '[]'))
		FROM (SELECT t.store_id, sum(t.on_hand) AS on_hand, sum(t.reserved) AS reserved,
					 sum(t.free) AS free
			  FROM onec.stock t WHERE t.server = $1 AND t.product_id = $2 GROUP BY t.store_id) s
		LEFT JOIN onec.store n ON n.server = $1 AND n.store_id = s.store_id);
END $$;

COMMENT ON FUNCTION onec_internal.stock_json(name, uuid, timestamptz) IS
	'Остатки товара как JSON (служебная)';

CREATE FUNCTION onec_internal.variants_json(server name, product uuid, category uuid,
											as_of timestamptz) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH price AS MATERIALIZED (SELECT q.* FROM onec.price q
									WHERE q.server = $1 AND q.product_id = $2),
		free AS MATERIALIZED (SELECT t.variant_id, sum(t.free) AS free FROM onec.stock t
							  WHERE t.server = $1 AND t.product_id = $2 GROUP BY t.variant_id)
		SELECT coalesce(json_agg(json_build_object('variant_id', v.variant_id,
				'name', coalesce(nullif(v.print_name, ''), v.name), 'code', v.code,
				'free', CASE WHEN $4 IS NOT NULL THEN greatest(coalesce(f.free, 0), 0) END,
				'prices', (SELECT coalesce(json_agg(onec_internal.price_json(p)
													ORDER BY p.kind, p.kind_id), '[]'::json)
						   FROM (SELECT DISTINCT ON (q.kind_id) q.* FROM price q
								 WHERE q.variant_id = v.variant_id OR q.variant_id IS NULL
								 ORDER BY q.kind_id, q.variant_id NULLS LAST) p))
			ORDER BY v.code, v.name, v.variant_id), '[]'::json)
		FROM onec.product_variant v LEFT JOIN free f ON f.variant_id = v.variant_id
		WHERE v.server = $1 AND v.product_id IN ($2, $3) AND NOT v.is_deleted
		  AND v.deletion_mark IS NOT TRUE);
END $$;

COMMENT ON FUNCTION onec_internal.variants_json(name, uuid, uuid, timestamptz) IS
	'Характеристики товара как JSON (служебная)';

CREATE FUNCTION onec_internal.properties_json(server name, product uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT coalesce(json_agg(json_build_object('property', p.property, 'value', p.text)
								 ORDER BY p.line_no, p.copy), '[]')
		FROM onec.product_property p WHERE p.server = $1 AND p.product_id = $2);
END $$;

COMMENT ON FUNCTION onec_internal.properties_json(name, uuid) IS
	'Дополнительные реквизиты товара как JSON (служебная)';

CREATE FUNCTION onec_internal.images_json(server name, product uuid, main uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('file_id', i.file_id, 'type', i.type, 'size', i.size,
						'sha256', encode(i.sha256, 'hex'))
				ORDER BY i.file_id IS NOT DISTINCT FROM main DESC, i.name, i.file_id), '[]'::json)
			FROM onec.product_image i
			WHERE i.server = images_json.server AND i.refused IS NULL
			  AND (i.product_id = product OR i.file_id = main));
END $$;

COMMENT ON FUNCTION onec_internal.images_json(name, uuid, uuid) IS 'Картинки товара как JSON (служебная)';

CREATE FUNCTION onec.product_json(product uuid, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	srv name := onec_internal.server_meant($2);
	as_of timestamptz := onec_internal.stock_as_of(srv);
BEGIN
	RETURN (
		SELECT json_build_object('product_id', p.product_id, 'code', p.code, 'article', p.article,
			'barcode', p.barcode, 'name', p.name, 'full_name', p.full_name, 'description', p.description,
			'category', g.slug, 'category_title', onec_internal.category_title(g.slug), 'brand', b.name,
			'unit', u.name, 'vat', coalesce(v.name, p.vat), 'vat_rate', v.rate, 'withdrawn', g.withdrawn,
			'prices', onec_internal.prices_json(srv, p.product_id),
			'stock', CASE WHEN as_of IS NOT NULL THEN onec_internal.stock_json(srv, p.product_id, as_of) END,
			'variants', onec_internal.variants_json(srv, p.product_id, p.category_id, as_of),
			'properties', onec_internal.properties_json(srv, p.product_id),
			'images', onec_internal.images_json(srv, p.product_id, p.picture_id))
		FROM onec.product p
		CROSS JOIN LATERAL (SELECT onec_internal.category_slug(c.category) AS slug, c.withdrawn
							FROM onec_internal.product_with_category c
							WHERE c.server = srv AND c.product_id = p.product_id OFFSET 0) g
		LEFT JOIN onec.brand b ON b.server = srv AND b.brand_id = p.brand_id
		LEFT JOIN onec.unit u ON u.server = srv AND u.unit_id = p.unit_id
		LEFT JOIN onec.vat_rate v
			ON v.server = srv AND v.vat_rate_id = onec_internal.reference_uuid(p.vat)
		WHERE p.server = srv AND p.product_id = $1);
END $$;

COMMENT ON FUNCTION onec.product_json(uuid, name) IS
	'Товар как JSON для сайта: карточка, цены, остатки по складам, характеристики, дополнительные '
	'реквизиты; NULL — такого товара нет';

CREATE OR REPLACE FUNCTION onec.customer_json(key text, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('phone', u.phone, 'discount_card_id', u.discount_card_id, 'customer_id',
								 u.customer_id, 'name', u.name)
		FROM onec_internal.person_by_key($1, $2) u WHERE u.user_id IS NOT NULL);
END $$;

CREATE OR REPLACE FUNCTION onec.purchases_json(key text, days int DEFAULT NULL, max_rows int DEFAULT NULL,
									server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec_internal.statistics_json(server name, customer uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE OR REPLACE FUNCTION onec.profile_json(key text, days int DEFAULT NULL, max_rows int DEFAULT NULL,
								  server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
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

CREATE FUNCTION onec_internal.counts_for_order(active boolean, kind text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN $1 IS NOT FALSE AND coalesce($2, '') <> 'Receipt';

COMMENT ON FUNCTION onec_internal.counts_for_order(boolean, text) IS
	'Оплата или отгрузка ли это, а не долг или заказанное (служебная)';

CREATE FUNCTION onec_internal.was_read(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec.sync_state s
				   WHERE s.server = was_read.server AND s.target = was_read.target AND s.last_ok IS NOT NULL);
END $$;

COMMENT ON FUNCTION onec_internal.was_read(name, text) IS
	'Читалась ли таблица хоть раз целиком (служебная)';

CREATE FUNCTION onec_internal.these_orders_json(server name, orders uuid[]) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	payments_known boolean := onec_internal.was_read(server, 'order_payment');
	shipments_known boolean := onec_internal.was_read(server, 'order_shipment');
BEGIN
	RETURN (
		SELECT coalesce(json_agg(json_build_object('order_id', o.order_id, 'number', o.number,
				'date', to_char(o.date, 'YYYY-MM-DD"T"HH24:MI:SS'), 'posted', o.posted,
				'state', (SELECT t.name FROM onec.order_state t
						  WHERE t.server = these_orders_json.server AND t.state_id = o.state_id),
				'outcome', nullif(o.outcome, ''), 'ship_at', to_char(o.ship_at, 'YYYY-MM-DD"T"HH24:MI:SS'),
				'store_id', o.store_id, 'amount', round(o.amount, 2),
				'paid', CASE WHEN payments_known THEN round(coalesce(p.amount, 0), 2) END,
				'paid_at', to_char(p.at, 'YYYY-MM-DD"T"HH24:MI:SS'),
				'shipped', CASE WHEN shipments_known THEN coalesce(s.quantity, 0) END,
				'shipped_at', to_char(s.at, 'YYYY-MM-DD"T"HH24:MI:SS'), 'lines', l.list)
			ORDER BY o.date DESC, o.order_id), '[]'::json)
		FROM onec.customer_order o
		CROSS JOIN LATERAL (
			SELECT sum(coalesce(m.paid, 0) + coalesce(m.advance, 0)) AS amount,
				   max(m.period) FILTER (WHERE coalesce(m.paid, 0) + coalesce(m.advance, 0) <> 0) AS at
			FROM onec.order_payment m
			WHERE m.server = these_orders_json.server AND m.order_id = o.order_id
			  AND onec_internal.counts_for_order(m.active, m.kind)) p
		CROSS JOIN LATERAL (
			SELECT sum(g.quantity) AS quantity, max(g.at) AS at,
				   jsonb_object_agg(concat(g.product_id, g.variant_id), g.quantity) AS goods
			FROM (SELECT m.product_id, m.variant_id, sum(m.quantity) AS quantity, max(m.period) AS at
				  FROM onec.order_shipment m
				  WHERE m.server = these_orders_json.server AND m.order_id = o.order_id
					AND onec_internal.counts_for_order(m.active, m.kind)
				  GROUP BY 1, 2) g) s
		CROSS JOIN LATERAL (
			SELECT coalesce(json_agg(json_build_object('line_no', x.line_no, 'product_id', x.product_id,
						'product', (SELECT g.name FROM onec.product g
									WHERE g.server = these_orders_json.server
									  AND g.product_id = x.product_id),
						'variant_id', x.variant_id, 'quantity', x.quantity, 'price', x.price,
						'amount', round(x.amount, 2), 'shipped', CASE WHEN shipments_known
							THEN least(x.quantity, greatest(x.gone - x.before, 0)) END)
					ORDER BY x.line_no), '[]'::json) AS list
			FROM (SELECT n.*, coalesce((s.goods ->> concat(n.product_id, n.variant_id))::numeric, 0) AS gone,
						 coalesce(sum(n.quantity) OVER (
							PARTITION BY n.product_id, n.variant_id ORDER BY n.line_no
							ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
				  FROM jsonb_to_recordset(o.lines)
					n (line_no bigint, product_id uuid, variant_id uuid, quantity numeric, price numeric,
					   amount numeric)) x) l
		WHERE o.server = these_orders_json.server AND o.order_id = ANY (orders));
END $$;

COMMENT ON FUNCTION onec_internal.these_orders_json(name, uuid[]) IS 'Названные заказы как JSON (служебная)';

CREATE FUNCTION onec.orders_json(key text, max_rows int DEFAULT 20, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	u onec.site_user := onec_internal.person_by_key(key, server);
BEGIN
	RETURN CASE WHEN u.user_id IS NOT NULL THEN onec_internal.these_orders_json(u.server, ARRAY(
		SELECT c.order_id FROM onec.customer_order c
		WHERE c.server = u.server AND c.customer_id = u.customer_id AND c.deletion_mark IS NOT TRUE
		ORDER BY c.date DESC LIMIT max_rows)) END;
END $$;

COMMENT ON FUNCTION onec.orders_json(text, int, name) IS
	'Заказы покупателя как JSON для сайта, сначала новые: состояние, строки, оплата, отгрузка; ключ — как у '
	'profile_json. paid и shipped — NULL, если база не публикует оплату или отгрузку';

CREATE FUNCTION onec.order_json(order_id uuid, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	RETURN onec_internal.these_orders_json(srv, ARRAY(
		SELECT o.order_id FROM onec.customer_order o
		WHERE o.server = srv AND o.order_id = onec_internal.key_in_1c(srv, order_json.order_id)
		  AND o.deletion_mark IS NOT TRUE)) -> 0;
END $$;

COMMENT ON FUNCTION onec.order_json(uuid, name) IS
	'Один заказ как JSON, по ссылке 1С; чей он, проверяет сайт';

CREATE FUNCTION onec.image(product uuid, file uuid DEFAULT NULL, server name DEFAULT NULL)
	RETURNS TABLE (file_id uuid, type text, size bigint, sha256 text, content bytea)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	file := coalesce(file,
		(SELECT i.file_id FROM onec.product p
		 JOIN onec.product_image i ON i.server = p.server AND i.file_id = p.picture_id
		 WHERE p.server = srv AND p.product_id = image.product AND i.refused IS NULL),
		(SELECT i.file_id FROM onec.product_image i
		 WHERE i.server = srv AND i.product_id = image.product AND i.refused IS NULL
		 ORDER BY i.name, i.file_id LIMIT 1));
	RETURN QUERY
		SELECT i.file_id, i.type, i.size, encode(i.sha256, 'hex'), i.content FROM onec.product_image i
		WHERE i.server = srv AND i.file_id = file AND i.refused IS NULL
		  AND (i.product_id = image.product
			   OR EXISTS (SELECT FROM onec.product p WHERE p.server = srv AND p.product_id = image.product
							AND p.picture_id = i.file_id));
END $$;

COMMENT ON FUNCTION onec.image(uuid, uuid, name) IS
	'Картинка товара из местной таблицы, 1С не спрашивается: главная, а если её нет — первая по имени; или '
	'названный файл. Строки нет — нет и картинки';

CREATE VIEW onec.image_summary AS
	SELECT i.server, coalesce(i.refused, 'stored') AS outcome, count(*) AS files, sum(i.size) AS bytes
	FROM onec.product_image i GROUP BY 1, 2;

COMMENT ON VIEW onec.image_summary IS
	'Сколько картинок хранится и сколько файлов отвергнуто, по причинам';

COMMENT ON COLUMN onec.image_summary.outcome IS
	'stored — хранится; иначе причина, как в onec.product_image.refused';

COMMENT ON COLUMN onec.image_summary.files IS 'Файлов';

COMMENT ON COLUMN onec.image_summary.bytes IS 'Байтов; у отвергнутых — сколько известно';

CREATE OR REPLACE FUNCTION onec_internal.report_rfm(server name, day date) RETURNS text
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
	SELECT onec_internal.report_table('{частота \\ давность,1 — давно,2,3,4,5 — недавно}',
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

CREATE FUNCTION onec_internal.report_stock(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH sold AS MATERIALIZED (
		SELECT p.product_id, p.store_id, sum(p.quantity) AS quantity, sum(p.amount) AS amount
		FROM onec.purchase p
		WHERE p.server = $1 AND p.period >= $2 - 29 AND p.period < $2 + 1 AND p.product_id IS NOT NULL
		GROUP BY 1, 2 HAVING sum(p.quantity) > 0),
	free AS MATERIALIZED (
		SELECT s.product_id, s.store_id, sum(s.free) AS free FROM onec.stock s
		WHERE s.server = $1 GROUP BY 1, 2),
	short AS (
		SELECT s.*, greatest(coalesce(f.free, 0), 0) AS free,
			   row_number() OVER (ORDER BY s.amount DESC, s.product_id, s.store_id) AS n
		FROM sold s LEFT JOIN free f
			ON f.product_id = s.product_id AND f.store_id IS NOT DISTINCT FROM s.store_id
		WHERE coalesce(f.free, 0) * 30 < s.quantity * 14 AND EXISTS (SELECT FROM free)
		  AND $2 = onec.local_now($1)::date)
	SELECT onec_internal.report_table('{Товар,Хватит на дней,Свободно,Продано за 30 дней,Магазин}',
									  string_agg(onec_internal.report_row(ARRAY[coalesce(p.name, '–'),
										  floor(s.free * 30 / s.quantity)::text,
										  onec_internal.spaced_number(s.free),
										  onec_internal.spaced_number(s.quantity),
										  coalesce(t.name, '–')]), '' ORDER BY s.n))
	FROM short s
	LEFT JOIN onec.product p ON p.server = $1 AND p.product_id = s.product_id
	LEFT JOIN onec.store t ON t.server = $1 AND t.store_id = s.store_id
	WHERE s.n <= 20
$$;

COMMENT ON FUNCTION onec_internal.report_stock(name, date) IS
	'Раздел отчёта: чего не хватит на две недели (служебная)';

CREATE FUNCTION onec_internal.report_orders(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH work AS MATERIALIZED (
		SELECT o.number, o.date, o.ship_at, o.amount, coalesce(s.name, '–') AS store,
			   CASE WHEN o.ship_at < $2 THEN 1 WHEN o.ship_at < $2 + 1 THEN 2 WHEN o.ship_at < $2 + 7 THEN 3
					WHEN o.ship_at IS NOT NULL THEN 4 ELSE 5 END AS place
		FROM onec.customer_order o LEFT JOIN onec.store s ON s.server = $1 AND s.store_id = o.store_id
		WHERE o.server = $1 AND o.date < $2 + 1 AND o.posted IS NOT FALSE AND o.deletion_mark IS NOT TRUE
		  AND coalesce(o.outcome, '') = ''),
	soon AS (
		SELECT w.*, row_number() OVER (ORDER BY abs(w.ship_at::date - $2), w.ship_at, w.date, w.number) AS n
		FROM work w)
	SELECT onec_internal.report_table('{Отгрузить,Заказов,Сумма}', (
			SELECT string_agg(onec_internal.report_row(ARRAY[t.title, t.orders::text,
															 onec_internal.spaced_number(t.amount)]), ''
							  ORDER BY t.place)
			FROM (SELECT w.place, (ARRAY['просрочено', 'сегодня', 'за неделю', 'позже', 'без срока'])[w.place]
								  AS title,
						 count(*) AS orders, sum(w.amount) AS amount
				  FROM work w GROUP BY w.place) t))
		|| onec_internal.report_table('{Заказ,Отгрузить,Сумма,Магазин,Принят}',
									  string_agg(onec_internal.report_row(ARRAY[coalesce(s.number, '–'),
										  coalesce(to_char(s.ship_at, 'DD.MM.YYYY'), '–'),
										  onec_internal.spaced_number(s.amount), s.store,
										  to_char(s.date, 'DD.MM.YYYY')]), ''
											  ORDER BY s.ship_at, s.n))
	FROM soon s WHERE s.n <= 20
$$;

COMMENT ON FUNCTION onec_internal.report_orders(name, date) IS 'Раздел отчёта: заказы в работе (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.report_freshness(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Таблица,Состояние,Прочитана,Строк,Изменений}',
									  string_agg(onec_internal.report_row(ARRAY[
			coalesce((SELECT CASE t.table_schema WHEN 'onec'
							 THEN obj_description(to_regclass(onec_internal.table_of_target(t.target)),
												  'pg_class')
							 ELSE concat_ws(': ', t.title, t.entity_set) END
					  FROM onec.target t WHERE t.target = s.target), s.target),
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

CREATE FUNCTION onec_internal.report_outbox(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_section('outbox', 'Запись в 1С',
		'Что сайт поставил в очередь и что ещё не в 1С; стоит — ждёт решения человека.',
		onec_internal.report_table('{Ждут,Неясно,Стоят,Самая старая с,Последняя доставка,Что делать}',
			'<tr><td>' || concat_ws('</td><td>', o.pending + o.waiting + o.sending, o.unknown,
				o.blocked + o.conflict + o.failed,
				coalesce(to_char(o.oldest_at AT TIME ZONE z.zone, 'DD.MM.YYYY HH24:MI'), '–'),
				coalesce(to_char(o.last_done_at AT TIME ZONE z.zone, 'DD.MM.YYYY HH24:MI'), '–'),
				onec_internal.html_text(coalesce(o.hint, 'ничего'))) || '</td></tr>'))
	FROM onec.outbox_status o
	CROSS JOIN (SELECT onec_internal.server_zone($1) AS zone) z
	WHERE o.server = $1
$$;

COMMENT ON FUNCTION onec_internal.report_outbox(name) IS 'Раздел отчёта: запись в 1С (служебная)';

CREATE OR REPLACE FUNCTION onec_internal.report_style() RETURNS text
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
		'var(--line);text-align:right;white-space:nowrap}th:first-child{text-align:left;font-weight:600;'
		'position:sticky;left:0;background:var(--back)}'
		'thead th{color:var(--dim);font-weight:400}#calls :is(th,td):nth-child(3),#quality '
		':is(th,td):nth-child(3),#freshness :is(th,td):nth-child(2),'
		'#orders .wide+.wide :is(th,td):nth-child(4),#stock :is(th,td):nth-child(5)'
		'{text-align:left;white-space:normal;min-width:180px}.heat{text-align:center;min-width:26px}'
		-- the newest months are at the right: there a narrow screen begins
		'#revenue .wide{direction:rtl}svg{direction:ltr;min-width:640px;width:100%;height:auto}'
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
		'@media(max-width:480px){body{padding:12px}th,td{padding:4px 5px}thead th{white-space:normal}'
		-- names give way, so that the figures beside them are seen
		'#stock th:first-child{white-space:normal;min-width:112px}#stock :is(th,td):nth-child(5),'
		'#orders .wide+.wide :is(th,td):nth-child(4){min-width:84px}.heat{min-width:22px}}'
		'@media print{body{max-width:none;font-size:12px}section{break-inside:avoid}.heat,.bar span,.legend '
		'i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}';

CREATE OR REPLACE FUNCTION onec.report(server name DEFAULT NULL, as_of date DEFAULT NULL) RETURNS text
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
		|| onec_internal.report_section('stock', 'Скоро кончится',
										'Чего при продажах последних 30 дней не хватит на две недели; '
										'сначала то, что приносит больше.',
										onec_internal.report_stock(srv, day))
		|| onec_internal.report_section('orders', 'Заказы в работе',
										'Проведены и не завершены; внизу двадцать, чей срок ближе всего.',
										onec_internal.report_orders(srv, day))
		|| onec_internal.report_section('points', 'Сгорают баллы', 'В ближайшие 30 дней.',
										onec_internal.report_points(srv,
											onec_internal.moment_meant(srv, as_of)))
		|| coalesce(onec_internal.report_outbox(srv), '')
		|| onec_internal.report_section('quality', 'Замечания к данным', 'Что стоит исправить в 1С.',
										onec_internal.report_quality(srv))
		|| onec_internal.report_section('freshness', 'Свежесть', 'Последняя синхронизация.',
										onec_internal.report_freshness(srv))
		|| E'<footer>onec_fdw: SELECT onec.report()</footer>\n</body>\n</html>\n';
END $$;

COMMENT ON FUNCTION onec.report(name, date) IS
	'Отчёт о магазине одной страницей HTML: выручка, RFM, когорты, категории, кому позвонить, что скоро '
	'кончится, заказы в работе, сгорающие баллы, свежесть; без сети и сценариев, телефоны скрыты';

CREATE VIEW onec.mirrors AS
	SELECT t.server, t.target AS mirror, t.entity_set,
		   format('%I.%I', t.table_schema, t.table_name) AS table_name,
		   ARRAY(SELECT format('%I.%I', s.table_schema, s.table_name) FROM onec_internal.mirror_section s
				 WHERE s.target = t.target ORDER BY s.field) AS sections,
		   CASE WHEN c.oid IS NULL THEN 'no table' ELSE coalesce(l.status, 'never read') END AS status,
		   k.last_ok, now() - k.last_ok AS age, l.rows_read, l.rows_written, l.message,
		   greatest(c.reltuples, 0)::bigint AS rows_about, pg_catalog.pg_total_relation_size(c.oid) AS bytes,
		   t.date_column, t.people, t.erasure,
		   ARRAY(SELECT f.field FROM onec.field_source f
				 WHERE f.target = t.target AND NOT EXISTS (
					SELECT FROM pg_catalog.pg_attribute a
					JOIN pg_catalog.pg_class r ON r.oid = a.attrelid AND r.relname = t.target
					JOIN pg_catalog.pg_namespace w ON w.oid = r.relnamespace AND w.nspname = t.server
					WHERE a.attname = f.field AND NOT a.attisdropped
					  AND ('missing_property=null' = ANY (a.attfdwoptions)) IS NOT TRUE)
				 ORDER BY f.ordinal) AS gone,
		   m.looked_at
	FROM onec_internal.mirror m
	JOIN onec.target t ON t.target = m.target
	LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.table_schema
	LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.table_name AND c.relkind = 'r'
	LEFT JOIN onec.sync_state k ON k.server = t.server AND k.target = t.target
	LEFT JOIN LATERAL (
		SELECT s.status, s.rows_read, s.rows_inserted + s.rows_updated + s.rows_deleted AS rows_written,
			   s.message
		FROM onec.sync_step s
		WHERE s.server = t.server AND s.target = t.target AND s.status <> 'waiting'
		ORDER BY s.run_id DESC LIMIT 1) l ON true
	ORDER BY t.server, t.ordinal;

COMMENT ON VIEW onec.mirrors IS 'Зеркала: что куда читается, насколько свежо и что в 1С пропало';

COMMENT ON COLUMN onec.mirrors.mirror IS 'Имя зеркала: для onec.unmirror и в журнале запусков';

COMMENT ON COLUMN onec.mirrors.entity_set IS 'Набор 1С';

COMMENT ON COLUMN onec.mirrors.table_name IS 'Местная таблица';

COMMENT ON COLUMN onec.mirrors.sections IS 'Таблицы её табличных частей';

COMMENT ON COLUMN onec.mirrors.status IS
	'Итог последнего чтения; never read — ещё не читалось, no table — таблицы нет на месте';

COMMENT ON COLUMN onec.mirrors.last_ok IS 'Когда в последний раз прочитано целиком';

COMMENT ON COLUMN onec.mirrors.age IS 'Сколько с тех пор прошло';

COMMENT ON COLUMN onec.mirrors.rows_read IS 'Прочитано строк последним чтением';

COMMENT ON COLUMN onec.mirrors.rows_written IS 'Из них записано: добавлено, изменено, удалено';

COMMENT ON COLUMN onec.mirrors.message IS 'Пояснение последнего чтения';

COMMENT ON COLUMN onec.mirrors.rows_about IS 'Сколько строк в таблице, примерно';

COMMENT ON COLUMN onec.mirrors.bytes IS 'Сколько она занимает, с индексами';

COMMENT ON COLUMN onec.mirrors.people IS 'Столбцы, которые говорят, чья строка';

COMMENT ON COLUMN onec.mirrors.erasure IS 'Что делает с такими строками onec.forget';

COMMENT ON COLUMN onec.mirrors.gone IS
	'Столбцы, свойств которых в 1С больше нет: остаются с прежними значениями';

COMMENT ON COLUMN onec.mirrors.looked_at IS 'Когда свойства сверялись с $metadata';

CREATE OR REPLACE FUNCTION onec_internal.people_meant(server name, key text) RETURNS SETOF uuid
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id uuid := onec_internal.key_in_1c(server, onec_internal.reference_uuid(btrim(key)));
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
		UNION SELECT onec_internal.key_in_1c(p.server, p.customer_id) FROM onec_internal.site_person p
		WHERE p.server = people_meant.server AND (p.kind, p.value) = ('phone', wanted)
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

CREATE OR REPLACE FUNCTION onec_internal.ids_of_person(server name, person uuid) RETURNS uuid[]
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
		  UNION ALL SELECT l.card_id FROM onec.loyalty_lot l WHERE l.server = $1 AND l.owner_id = $2
		  UNION ALL SELECT u.id FROM onec_internal.site_person p
		  CROSS JOIN LATERAL unnest(ARRAY[p.customer_id, p.card_id,
										  onec_internal.key_in_1c($1, p.card_id)]) u (id)
		  WHERE p.server = $1 AND p.customer_id IN ($2, onec_internal.site_key($1, $2))) x
	WHERE x.id IS NOT NULL
	  AND NOT EXISTS (SELECT FROM onec.discount_card o
					  WHERE o.server = $1 AND o.card_id = x.id AND coalesce(o.owner_id, o.card_id) <> $2)
$$;

CREATE OR REPLACE FUNCTION onec_internal.words_naming_person(server name, ids uuid[]) RETURNS text[]
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
		UNION ALL SELECT p.value FROM onec_internal.site_person p
		WHERE p.server = $1 AND (p.customer_id = ANY ($2) OR p.card_id = ANY ($2))
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

CREATE FUNCTION onec_internal.forget_calls(server name, keys uuid[], words text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- letters in either case, digits whatever stands between them
	tells text := $condition$t.idempotency IS NOT NULL AND EXISTS (SELECT FROM unnest($2) w
		WHERE position(w IN lower(t.idempotency COLLATE "default")) > 0 OR w ~ '^\d{10}$'
		  AND position(w IN regexp_replace(t.idempotency, '[^0-9[:alpha:]]', '', 'g')) > 0)$condition$;
BEGIN
	EXECUTE 'UPDATE onec.outbox_history t SET idempotency = NULL WHERE t.server = $1 AND ' || tells
		USING server, words;
	EXECUTE 'DELETE FROM onec_internal.outbox_key t WHERE t.server = $1 AND ' || tells USING server, words;
	EXECUTE 'DELETE FROM onec_internal.site_call t WHERE t.server = $1 AND ' || tells USING server, words;
	UPDATE onec_internal.site_call c SET asked = NULL
	WHERE c.server = forget_calls.server AND c.key = ANY (keys) AND c.asked IS NOT NULL;
END $$;

COMMENT ON FUNCTION onec_internal.forget_calls(name, uuid[], text[]) IS
	'Убрать человека из ключей идемпотентности (служебная)';

CREATE FUNCTION onec_internal.forget_written(server name, ids uuid[], words text[],
											 skip boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- the keys that the site was given, where 1C has given others
	ids uuid[] := ids || ARRAY(SELECT r.key FROM onec_internal.outbox_remote r
							   WHERE r.server = forget_written.server AND r.remote_key = ANY (ids));
	tells text[] := ids::text[] || ARRAY(SELECT w FROM unnest(words) w WHERE w ~ '@|^\d{10}$');
	keys uuid[];
	waiting bigint[];
	masked bigint;
BEGIN
	-- the steps of a document have no body of their own
	keys := ids || ARRAY(
		SELECT w.key
		FROM (SELECT o.key, o.body FROM onec.outbox o WHERE o.server = forget_written.server
			  UNION ALL
			  SELECT h.key, h.body FROM onec.outbox_history h WHERE h.server = forget_written.server) w
		WHERE EXISTS (SELECT FROM unnest(tells) t
					  WHERE position(t IN lower(w.body::text COLLATE "default")) > 0));
	waiting := ARRAY(SELECT o.id FROM onec.outbox o
					 WHERE o.server = forget_written.server AND o.key = ANY (keys) ORDER BY 1);
	IF waiting <> '{}' AND skip IS NOT TRUE THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('%s changes of this person are not delivered to 1C yet', cardinality(waiting)),
			DETAIL = format('Rows of the outbox: %s.', array_to_string(waiting[:20], ', ')),
			HINT = format('CALL onec.deliver(%L); or, so that they never are, onec.forget(…, '
						  'skip_undelivered => true).', server);
	END IF;
	PERFORM onec.outbox_skip(w, 'erased by onec.forget') FROM unnest(waiting) w;
	UPDATE onec.outbox_history h SET body = NULL, stored_diff = NULL, message = NULL
	WHERE h.server = forget_written.server AND h.key = ANY (keys)
	  AND (h.body IS NOT NULL OR h.stored_diff IS NOT NULL OR h.message IS NOT NULL);
	GET DIAGNOSTICS masked = ROW_COUNT;
	-- a print of few words can be guessed
	UPDATE onec_internal.outbox_key k SET asked = NULL
	WHERE k.server = forget_written.server AND k.key = ANY (keys) AND k.asked IS NOT NULL;
	PERFORM onec_internal.forget_calls(server, keys, ids::text[] || words);
	RETURN masked;
END $$;

COMMENT ON FUNCTION onec_internal.forget_written(name, uuid[], text[], boolean) IS
	'Убрать человека из очереди записи и её истории (служебная)';

DROP FUNCTION onec_internal.forget_person;
CREATE FUNCTION onec_internal.forget_person(server name, key text, skip boolean DEFAULT false)
	RETURNS TABLE (table_name text, rows bigint)
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
	rows := onec_internal.forget_written(srv, ids, words, skip);
	IF rows > 0 THEN
		total := rows;
		table_name := 'outbox_history';
		RETURN NEXT;
	END IF;
	FOR w IN SELECT * FROM onec_internal.tables_about_people() ORDER BY 1 LOOP
		PERFORM onec_internal.hold_own_tables(t.target) FROM onec.target t
			WHERE onec_internal.table_of_target(t.target) = w.relation;
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

COMMENT ON FUNCTION onec_internal.forget_person(name, text, boolean) IS 'Забыть человека (служебная)';

DROP FUNCTION onec.forget;
CREATE FUNCTION onec.forget(key text, server name DEFAULT NULL, dry_run boolean DEFAULT false,
							skip_undelivered boolean DEFAULT false)
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
		told := (SELECT jsonb_agg(p) FROM onec_internal.forget_person(srv, key, skip_undelivered) p);
		IF dry_run THEN
			RAISE SQLSTATE 'OC001';
		END IF;
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		NULL;
	END;
	RETURN QUERY SELECT r.table_name, r.rows FROM jsonb_to_recordset(told) r (table_name text, rows bigint);
END $$;

COMMENT ON FUNCTION onec.forget(text, name, boolean, boolean) IS
	'Забыть человека (152-ФЗ) по телефону, логину, карте или контрагенту: удалить всё личное, '
	'покупки оставить безымянными, '
	'из 1С больше не брать; показывает, в какой таблице сколько строк затронуто. dry_run — только показать. '
	'Пока изменение человека не доставлено в 1С — ошибка; skip_undelivered — не доставлять его. '
	'Необратимо; в самой 1С данные остаются';

REVOKE EXECUTE ON FUNCTION onec.forget(text, name, boolean, boolean) FROM PUBLIC;

CREATE OR REPLACE FUNCTION onec.purge(before date, server name DEFAULT NULL, dry_run boolean DEFAULT false)
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
	PERFORM onec_internal.hold_own_tables(t.target) FROM onec_internal.sync_steps(srv, NULL) t
		WHERE t.purge <> 'none';
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

CREATE FUNCTION onec.unmirror(mirror text, drop_table boolean DEFAULT false) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target;
	s record;
	tab regclass;
	present boolean;
BEGIN
	PERFORM onec_internal.must_write('unmirror');
	SELECT k.* INTO t FROM onec.target k JOIN onec_internal.mirror m ON m.target = k.target
	WHERE unmirror.mirror IN (k.target, format('%I.%I', k.table_schema, k.table_name))
	ORDER BY k.target <> unmirror.mirror LIMIT 1;
	IF t.target IS NULL THEN
		RAISE undefined_object USING MESSAGE = format('there is no mirror "%s"', unmirror.mirror),
			HINT = 'SELECT mirror, table_name FROM onec.mirrors lists them.';
	END IF;
	-- no run is to find it half gone
	PERFORM pg_advisory_xact_lock(hashtextextended('onec mirror', 0));
	IF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(t.server)) THEN
		RAISE object_in_use USING MESSAGE = format('a sync of "%s" is at work', t.server),
			HINT = format('Wait for its end, or SELECT onec.cancel(server => %L).', t.server);
	END IF;
	FOR s IN SELECT t.table_schema, t.table_name, true AS is_object
			 UNION ALL SELECT m.table_schema, m.table_name, false FROM onec_internal.mirror_section m
			 WHERE m.target = t.target LOOP
		tab := to_regclass(format('%I.%I', s.table_schema, s.table_name));
		CONTINUE WHEN tab IS NULL;
		IF drop_table THEN
			EXECUTE format('DROP TABLE %s', tab);
		ELSIF s.is_object THEN
			EXECUTE format('DROP TRIGGER IF EXISTS onec_rows_insert ON %1$s; '
						   'DROP TRIGGER IF EXISTS onec_rows_update ON %1$s; '
						   'DROP TRIGGER IF EXISTS onec_rows_delete ON %1$s', tab);
		END IF;
	END LOOP;
	PERFORM onec_internal.drop_made_by_setup(t.server, t.target, t.title);
	DELETE FROM onec.sync_state x WHERE x.server = t.server AND x.target = t.target;
	DELETE FROM onec_internal.sync_doubt x WHERE x.server = t.server AND x.target = t.target;
	DELETE FROM onec.target k WHERE k.target = t.target;
END $$;

COMMENT ON FUNCTION onec.unmirror(text, boolean) IS
	'Больше не вести зеркало (по имени или таблице); его таблицы остаются, если не сказано drop_table';

REVOKE EXECUTE ON FUNCTION onec.unmirror(text, boolean) FROM PUBLIC;

CREATE OR REPLACE FUNCTION onec_internal.tables_by_server() RETURNS SETOF text
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
	WHERE onec_internal.has_column(onec_internal.table_of_target(t.target), 'server')
	ORDER BY 1
$$;

CREATE OR REPLACE FUNCTION onec_internal.rename_base(old name, new name) RETURNS void
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
		PERFORM onec_internal.hold_table(k.target, k.table_schema, k.table_name) FROM onec.target k
			WHERE k.table_schema <> 'onec' AND onec_internal.table_of_target(k.target) = tab;
		EXECUTE format('UPDATE %s SET server = $2 WHERE server = $1', tab) USING old, new;
	END LOOP;
	UPDATE onec_internal.base b SET former = array_remove(b.former, new) || old WHERE b.server = new;
	IF onec_internal.is_schema_of_setup(old) THEN
		EXECUTE format('ALTER SCHEMA %I RENAME TO %I', old, new);
		EXECUTE format('COMMENT ON SCHEMA %I IS %L', new, 'Магазин в базе 1С ' || new);
	END IF;
	PERFORM onec_internal.rename_jobs(old, new);
END $$;

CREATE OR REPLACE FUNCTION onec.forget_server(server name) RETURNS TABLE (table_name text, rows bigint)
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
					  WHERE t <> 'onec.forgotten'
					  -- what is somebody's first, while it is known what belongs to it
					  ORDER BY t ~ '^onec(_internal)?\.', t LOOP
		PERFORM onec_internal.hold_table(k.target, k.table_schema, k.table_name) FROM onec.target k
			WHERE k.table_schema <> 'onec'
			  AND onec_internal.table_of_target(k.target) = forget_server.table_name;
		EXECUTE format('DELETE FROM %s t WHERE t.server = %s', table_name,
					   onec_internal.server_in(table_name, srv));
		GET DIAGNOSTICS rows = ROW_COUNT;
		table_name := regexp_replace(table_name, '^onec(_internal)?\.', '');
		IF rows > 0 THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION onec_internal.hold_all_runs() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
BEGIN
	FOR srv IN SELECT b.server FROM onec_internal.base b ORDER BY 1 LOOP
		IF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(srv)) THEN
			RAISE object_in_use USING
				MESSAGE = format('a sync of "%s" is at work', srv),
				HINT = format('Wait for its end, or SELECT onec.cancel(server => %L).', srv);
		END IF;
	END LOOP;
END $$;

COMMENT ON FUNCTION onec_internal.hold_all_runs() IS
	'Не дать начаться синхронизации ни одной базы; идёт какая-то — ошибка (служебная)';

CREATE FUNCTION onec_internal.divide_by_year(tab regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_store.moves_rows = 'on'
AS $$
DECLARE
	now_year int := extract(year FROM localtimestamp);
	next_year int := extract(year FROM localtimestamp);
	since timestamp := '1990-01-01';
	till timestamp := make_timestamp(now_year + 1, 1, 1, 0, 0, 0);
	part regclass;
BEGIN
	LOOP
		EXECUTE format('SELECT extract(year FROM l.period) FROM ONLY %s l
						WHERE l.period >= $1 AND l.period < $2 ORDER BY l.period LIMIT 1', tab)
			INTO next_year USING since, till;
		-- this year's is made in any case: it tells that the store is divided
		next_year := coalesce(next_year, now_year);
		part := onec_internal.make_year(tab, next_year);
		since := make_timestamp(next_year + 1, 1, 1, 0, 0, 0);
		EXECUTE format('INSERT INTO %s SELECT * FROM ONLY %s l WHERE l.period >= $1 AND l.period < $2',
					   part, tab) USING since - interval '1 year', since;
		PERFORM onec_internal.index_year(tab, part);
		EXIT WHEN since >= till;
	END LOOP;
	EXECUTE format('CREATE TEMPORARY TABLE onec_rest ON COMMIT DROP AS SELECT * FROM ONLY %s l
					WHERE (l.period >= ''1990-01-01'' AND l.period < %L) IS NOT TRUE', tab, till);
	EXECUTE format('TRUNCATE ONLY %s', tab);
	EXECUTE format('INSERT INTO %s TABLE pg_temp.onec_rest', tab);
	DROP TABLE pg_temp.onec_rest;
	EXECUTE format('ANALYZE %s', tab);
END $$;

COMMENT ON FUNCTION onec_internal.divide_by_year(regclass) IS 'Разложить строки по таблицам лет (служебная)';

CREATE FUNCTION onec_internal.join_years(tab regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_store.moves_rows = 'on'
AS $$
DECLARE
	part regclass;
BEGIN
	FOR part IN SELECT y.part FROM onec_internal.years_of(tab) y LOOP
		EXECUTE format('INSERT INTO %s SELECT * FROM ONLY %s', tab, part);
		EXECUTE format('DROP TABLE %s', part);
	END LOOP;
	EXECUTE format('ANALYZE %s', tab);
END $$;

COMMENT ON FUNCTION onec_internal.join_years(regclass) IS 'Собрать строки из таблиц лет в одну (служебная)';

CREATE FUNCTION onec_internal.partition_store(way text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass;
BEGIN
	IF onec_internal.is_by_year() = (way = 'year') THEN
		RETURN;
	END IF;
	FOR tab IN SELECT t FROM onec_internal.tables_by_year() t LOOP
		EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', tab);
	END LOOP;
	PERFORM CASE way WHEN 'year' THEN onec_internal.divide_by_year(t) ELSE onec_internal.join_years(t) END
	FROM onec_internal.tables_by_year() t;
END $$;

COMMENT ON FUNCTION onec_internal.partition_store(text) IS
	'Поделить хранилище по годам (year) или собрать его (none) (служебная)';

CREATE FUNCTION onec.setup(server name, partition text)
	RETURNS TABLE (target text, entity_set text, status text, columns int, missing text[], changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way text := onec_internal.checked_word('partition', coalesce(partition, ''), '{none,year}');
BEGIN
	PERFORM onec_internal.must_write('setup');
	PERFORM onec_internal.hold_all_runs();
	RETURN QUERY SELECT * FROM onec.setup(setup.server);
	PERFORM onec_internal.partition_store(way);
END $$;

COMMENT ON FUNCTION onec.setup(name, text) IS
	'То же и как хранить строки продаж всех баз: year — каждый прошедший год в своей таблице, тогда прежние '
	'годы удаляются сразу; none — в одной, как сначала';

REVOKE EXECUTE ON FUNCTION onec.setup(name, text) FROM PUBLIC;

-- by hand: DO $$ DECLARE t record; BEGIN FOR t IN SELECT * FROM (VALUES
-- done where each of the two tables is created
--   +							('write_object', '{object}'), ('write_field', '{"object,field"}'),

CREATE OR REPLACE FUNCTION onec.grant_reader(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	open text[] := '{setting,config,settings,field_source,env_name,target,server_capability,
		stat_server,stat_server_error,mirrors,
		receipt,customer_order_line,loyalty_balance,loyalty_rule,category_map,brand_map,frequency_class,
		rfm_segment,customer_affinity,customer_outlook,outlook_baseline,outlook,customer_rfm,rfm_summary,
		clv_model,customer_clv,customer_value,cohort_retention,abc_xyz_masked,month_season,weekday_hour,
		store_summary,revenue_month,product_pair,bestseller,recommendation_feed,site_user_masked,
		customer_360_masked,purchase_masked,sync_run,sync_step,sync_state,sync_status,sync_progress,drift,
		data_quality,change_feed,image_summary,outbox_status}';
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

CREATE OR REPLACE FUNCTION onec.grant_sync(role regrole, server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	filled text;
	read text;
	called text;
	helpers record;
	entries text := '^(sync|run_job$|run_now$|deliver$|refresh_|fit_clv$|(forget|remember)_refusals$|'
					'(check|choose)_loyalty|check_amounts$|entity_sets$|properties$)';
BEGIN
	SELECT string_agg(c.oid::regclass::text, ', ') FILTER (WHERE c.relkind = 'r' AND a.attname IS NOT NULL
														   AND c.relname NOT IN ('config', 'target',
															   'forgotten', 'server_number', 'mirror',
															   'mirror_section')),
		   string_agg(c.oid::regclass::text, ', ')
	INTO filled, read
	FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
	WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  AND c.relname !~ '^(outbox|write_default$|site_(person|points|spending|call)$)'
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

ALTER FUNCTION onec.customer_json(text, name) SECURITY DEFINER;

ALTER FUNCTION onec.purchases_json(text, int, int, name) SECURITY DEFINER;

ALTER FUNCTION onec.profile_json(text, int, int, name) SECURITY DEFINER;

ALTER FUNCTION onec.product_json(uuid, name) SECURITY DEFINER;

ALTER FUNCTION onec.stock_free(uuid, uuid, uuid, name) SECURITY DEFINER;

ALTER FUNCTION onec.orders_json(text, int, name) SECURITY DEFINER;

ALTER FUNCTION onec.order_json(uuid, name) SECURITY DEFINER;

ALTER FUNCTION onec.image(uuid, uuid, name) SECURITY DEFINER;

REVOKE EXECUTE ON FUNCTION onec.customer_json(text, name), onec.purchases_json(text, int, int, name),
	onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date),
	onec.product_json(uuid, name), onec.stock_free(uuid, uuid, uuid, name),
	onec.orders_json(text, int, name), onec.order_json(uuid, name), onec.image(uuid, uuid, name) FROM PUBLIC;

CREATE OR REPLACE FUNCTION onec.grant_site(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.customer_json(text, name), '
				   'onec.purchases_json(text, int, int, name), '
		'onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date), '
		'onec.product_json(uuid, name), onec.stock_free(uuid, uuid, uuid, name), '
		'onec.feed_position(name), onec.changes_since(bigint, name, int), '
		'onec.orders_json(text, int, name), onec.order_json(uuid, name), '
		'onec.image(uuid, uuid, name) TO %s', role);
END $$;

COMMENT ON FUNCTION onec.grant_site(regrole) IS
	'Дать роли сайта профиль, покупки, заказы и рекомендации одного покупателя по ключу: customer_json, '
	'purchases_json, profile_json, recommend, orders_json, order_json; товар: product_json, stock_free, '
	'image; и ленту изменений: changes_since; таблиц она не читает';

CREATE FUNCTION onec.grant_site_writer(role regrole, entity_sets text[] DEFAULT NULL,
									   server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
	known text[] := ARRAY(SELECT DISTINCT p.entity_set FROM onec_internal.outbox_property p
						  WHERE p.server = srv ORDER BY 1);
	own text[] := ARRAY(SELECT onec_internal.write_set(srv, w.object) FROM onec.write_object w);
BEGIN
	PERFORM onec_internal.must_write('grant_site_writer');
	PERFORM onec_internal.checked_word('entity set that can be written', e, known) FROM unnest(entity_sets) e;
	PERFORM onec_internal.keep_allowed(srv, role, ARRAY(
		SELECT e FROM unnest(coalesce(entity_sets, own)) e WHERE e = ANY (known)));
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.create_customer(name, jsonb, text), '
		'onec.change_contact(name, uuid, text, text, text, text, text), '
		'onec.issue_card(name, uuid, jsonb, text), '
		'onec.award_points(name, uuid, numeric, timestamp, text, text), '
		'onec.spend_points(name, uuid, numeric, text, text), onec.place_order(name, jsonb, boolean, text), '
		'onec.post_document(name, text, uuid, text), onec.unpost_document(name, text, uuid, text), '
		'onec.mark_deleted(name, text, uuid, text), onec.write_status(uuid, name) TO %s', role);
END $$;

COMMENT ON FUNCTION onec.grant_site_writer(regrole, text[], name) IS
	'Дать роли сайта запись в 1С через create_customer, change_contact, issue_card, award_points, '
	'spend_points, place_order, post_document, unpost_document, mark_deleted и write_status — только в эти '
	'наборы (пусто — все, которые этим функциям нужны); onec.enqueue и таблиц она не получает';

REVOKE EXECUTE ON FUNCTION onec.grant_site_writer(regrole, text[], name) FROM PUBLIC;

-- by hand: INSERT INTO onec.setting … FROM onec.target: rows that are made of those above
ALTER TABLE onec.setting DISABLE TRIGGER keep_edit;
INSERT INTO onec.setting (key, type, initial, description, is_seed)
	SELECT 'endpoint.' || t.target, 'text', t.entity_set, 'Набор 1С: ' || t.title, true FROM onec.target t
	WHERE t.source = 'set' AND t.server IS NULL
ON CONFLICT DO NOTHING;
ALTER TABLE onec.setting ENABLE ALWAYS TRIGGER keep_edit;

DROP FUNCTION onec_internal.complete_and_compare;

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
