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
	source text NOT NULL CHECK (source IN ('set', 'people', 'profiles', 'files')),
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
	function text CHECK (function IN ('Balance', 'SliceLast')),
	other_sets text[],
	feeds text,
	feed_key name,
	UNIQUE (table_schema, table_name),
	CHECK ((server IS NULL) = (ordinal < 1000)),
	CHECK ((erasure = 'none') = (people = '{}')),
	CHECK (purge = 'none' OR date_column IS NOT NULL),
	CHECK (function IS NULL OR source = 'set' AND date_column IS NULL),
	CHECK ((feeds IS NULL) = (feed_key IS NULL))
);
COMMENT ON TABLE onec.target IS 'Что синхронизируется: по строке на таблицу';
COMMENT ON COLUMN onec.target.target IS 'Имя внешней таблицы в схеме сервера';
COMMENT ON COLUMN onec.target.server IS 'Внешний сервер; NULL — у каждого';
COMMENT ON COLUMN onec.target.ordinal IS 'Порядок в запуске; у таблиц одного сервера от 1000';
COMMENT ON COLUMN onec.target.step IS 'Шаг синхронизации';
COMMENT ON COLUMN onec.target.title IS 'Что это, по-русски';
COMMENT ON COLUMN onec.target.source IS
	'Откуда строки: set — набор 1С, people — из карт и контрагентов, profiles — из покупок, files — '
	'содержимое файлов, которое спрашивается по ключам, когда файл изменился';
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
COMMENT ON COLUMN onec.target.function IS
	'Виртуальная таблица регистра, из которой читается: Balance — остатки, складываются по ключу; '
	'SliceLast — последние значения на сейчас; NULL — сам набор';
COMMENT ON COLUMN onec.target.other_sets IS
	'Под какими ещё именами базы публикуют этот набор: берётся первое опубликованное';
COMMENT ON COLUMN onec.target.feeds IS
	'О чьих изменениях сообщает onec.change_feed: customer, product, order …; NULL — ни о чьих';
COMMENT ON COLUMN onec.target.feed_key IS 'Столбец со ссылкой на того, кто изменился';
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

-- What a page of the shop shows of a product, but for the product itself.
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function, other_sets) VALUES
	('stock', 18, 'stock', 'Остатки товаров', 'set', 'AccumulationRegister_ЗапасыНаСкладах', 'stock',
	 '{product_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'stock.enabled', 'Balance',
		'{AccumulationRegister_ТоварыНаСкладах,AccumulationRegister_СвободныеОстатки,AccumulationRegister_Запасы}'),
	('unit', 20, 'product_cards', 'Единицы измерения', 'set', 'Catalog_КлассификаторЕдиницИзмерения', 'unit',
	 '{unit_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL,
		'{Catalog_УпаковкиЕдиницыИзмерения,Catalog_ЕдиницыИзмерения}'),
	('vat_rate', 21, 'product_cards', 'Ставки НДС', 'set', 'Catalog_СтавкиНДС', 'vat_rate', '{vat_rate_id}',
	 NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL),
	('product_variant', 22, 'product_cards', 'Характеристики товаров', 'set',
	 'Catalog_ХарактеристикиНоменклатуры', 'product_variant', '{variant_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL),
	('property_name', 23, 'product_cards', 'Дополнительные реквизиты', 'set',
	 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'property_name', '{property_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL),
	('property_value', 24, 'product_cards', 'Значения дополнительных реквизитов', 'set',
	 'Catalog_ЗначенияСвойствОбъектов', 'property_value', '{value_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL),
	('product_property', 25, 'product_cards', 'Дополнительные реквизиты товаров', 'set',
	 'Catalog_Номенклатура_ДополнительныеРеквизиты', 'product_property', '{product_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'product_cards.enabled', NULL, NULL),
	('currency', 26, 'prices', 'Валюты', 'set', 'Catalog_Валюты', 'currency', '{currency_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'prices.enabled', NULL, NULL),
	('price_kind', 27, 'prices', 'Виды цен', 'set', 'Catalog_ВидыЦен', 'price_kind', '{kind_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'prices.enabled', NULL, '{Catalog_ТипыЦенНоменклатуры}'),
	('price', 28, 'prices', 'Цены товаров', 'set', 'InformationRegister_ЦеныНоменклатуры', 'price',
	 '{product_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'prices.enabled', 'SliceLast',
		'{InformationRegister_ЦеныНоменклатуры_RecordType}'),
	('price_history', 29, 'prices', 'История цен товаров', 'set', 'InformationRegister_ЦеныНоменклатуры',
	 'price_history', '{product_id,variant_id,kind_id,since}', 'since',
		false, '{}', 'none', 'none', '{}', true, 'prices.history', NULL,
		'{InformationRegister_ЦеныНоменклатуры_RecordType}');

-- People read it as a column of the stock.
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_schema, table_name, unit,
		marks_deleted, people, erasure, purge, touches, is_open, switch, function) VALUES
	('stock_reserved', 19, 'stock', 'Резервы товаров', 'set', '', 'onec_internal', 'stock_reserved',
	 '{product_id}',
		false, '{}', 'none', 'none', '{}', false, 'stock.enabled', 'Balance');

-- What it shows of orders, and pictures.
INSERT INTO onec.target (target, ordinal, step, title, source, entity_set, table_name, unit, date_column,
		marks_deleted, people, erasure, purge, touches, is_open, switch, other_sets) VALUES
	('order_state', 30, 'orders', 'Состояния заказов', 'set', 'Catalog_СостоянияЗаказовПокупателей',
	 'order_state', '{state_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'order_details.enabled', NULL),
	('order_payment', 31, 'orders', 'Оплата заказов', 'set',
	 'AccumulationRegister_ОплатаСчетовИЗаказов_RecordType', 'order_payment',
		'{recorder,recorder_type}', 'period',
		false, '{}', 'none', 'date', '{}', true, 'order_details.enabled',
		'{AccumulationRegister_РасчетыСПокупателями_RecordType}'),
	('order_shipment', 32, 'orders', 'Отгрузка заказов', 'set',
	 'AccumulationRegister_ЗаказыПокупателей_RecordType', 'order_shipment',
		'{recorder,recorder_type}', 'period',
		false, '{}', 'none', 'date', '{}', true, 'order_details.enabled', NULL),
	('product_file', 33, 'images', 'Присоединённые файлы товаров', 'set',
	 'Catalog_НоменклатураПрисоединенныеФайлы', 'product_file', '{file_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'image.enabled', NULL),
	('stored_file', 34, 'images', 'Где хранятся файлы', 'set', 'InformationRegister_ХранилищеФайлов',
	 'stored_file', '{file_id}', NULL,
		true, '{}', 'none', 'none', '{}', true, 'image.enabled', NULL),
	('product_image', 39, 'images', 'Картинки товаров', 'files', NULL, 'product_image', '{file_id}', NULL,
		false, '{}', 'none', 'none', '{}', true, 'image.enabled', NULL);

-- Of whose changes onec.change_feed tells.
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

-- Whether somebody wants it: what has no switch is always wanted.
CREATE FUNCTION onec_internal.is_switched_on(server name, t onec.target) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN t.switch IS NULL OR onec.get(t.switch, server)::boolean;
END $$;
COMMENT ON FUNCTION onec_internal.is_switched_on(name, onec.target) IS
	'Включено ли чтение таблицы (служебная)';

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

-- Where to look for it, the first that is published: what somebody has set, or else the names that are known.
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

-- The local table, as a statement names it: where the name that people know is a view, the rows are in the
-- table of that name in onec_internal.
CREATE FUNCTION onec_internal.table_of_target(target text) RETURNS text
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
