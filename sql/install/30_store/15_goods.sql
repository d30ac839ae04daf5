-- Local copies of what a page of the shop shows of a product: variants, properties, units, prices, stock.
--
-- A page asks for one product, so its rows lie together: keys begin with server and product.  A variant or a
-- store that 1C leaves empty is part of the key, too, as zeros; the views of 85_views/25_goods.sql show NULL.

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
-- The variants of a product.
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

-- Millions of rows, so the base is a number, as in the other large tables.
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
-- Windows.
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
