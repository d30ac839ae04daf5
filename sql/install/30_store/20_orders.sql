-- What becomes of the orders of customers: states by name, payments and shipments.
--
-- Payments and shipments are rows of registers whose kind differs from base to base: one of turnovers holds
-- what was paid, one of balances adds what is owed or ordered and takes away what was paid or has left.
-- They are kept as 1C has them; 85_views/40_orders.sql says what counts.

INSERT INTO onec.setting (key, type, initial, description) VALUES
	('order_details.enabled', 'bool', 'false', 'Читать состояния, оплату и отгрузку заказов');

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
-- Windows.
CREATE INDEX order_payment_period ON onec.order_payment (server, period);
-- What is paid of an order.
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
-- Windows.
CREATE INDEX order_shipment_period ON onec.order_shipment (server, period);
-- What has left of an order.
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
