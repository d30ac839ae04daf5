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
	full_name text,
	barcode text,
	description text,
	unit_id uuid,
	vat text,
	picture_id uuid,
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
COMMENT ON COLUMN onec.product.full_name IS 'Полное наименование';
COMMENT ON COLUMN onec.product.barcode IS 'Штрихкод';
COMMENT ON COLUMN onec.product.description IS 'Описание';
COMMENT ON COLUMN onec.product.unit_id IS 'Единица измерения';
COMMENT ON COLUMN onec.product.vat IS
	'Ставка НДС: ссылка на неё или, если у товара перечисление, её вид — Общая, Пониженная';
COMMENT ON COLUMN onec.product.picture_id IS 'Файл главной картинки';

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
-- The orders of one customer, newest first; forget.
CREATE INDEX customer_order_customer ON onec.customer_order (server, customer_id, date);
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
