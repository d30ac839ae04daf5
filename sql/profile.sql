-- Telephones, users and profiles from rows put here by hand: no 1C is needed for what follows from
-- definitions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SERVER pt FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');

-- settings: typed, with advice
SELECT onec.get('check_unit'), onec.get('nightly.hour', 'pt');
SELECT onec.set('nightly.hour', '4', 'pt');
SELECT onec.get('nightly.hour'), onec.get('nightly.hour', 'pt');
SELECT onec.set('nightly.hour', 'four');
SELECT onec.set('check_unit', 'both');
SELECT onec.set('nightly.houre', '4');
SELECT onec.set('nightly.hour', NULL, 'pt');
SELECT server, value, source FROM onec.settings WHERE key = 'nightly.hour';

-- telephones
SELECT phone, onec.normalize_phone(phone)
FROM (VALUES ('70000000001'), ('+7 (000) 000-00-01'), ('8 000 000 00 01'), ('80000000001'),
	('0000000001'), ('7000000001'), ('+70000000001'), (' 7-000-000-00-01 '), ('12345'), (''),
	('abc70000000001'), ('+375 00 000-00-00'),
	('7000000000123456'), (NULL)) v (phone);

-- one customer with two cards, one whose telephone is another's, one card without an owner, one deleted
INSERT INTO onec.discount_card (server, card_id, code, description, barcode, owner_id, deletion_mark) VALUES
	('pt', '00000000-0000-0000-0000-0000000000c1', '1', 'Карта', '+7 (000) 000-00-01',
	 '00000000-0000-0000-0000-00000000000a', false),
	('pt', '00000000-0000-0000-0000-0000000000c2', '2', 'Карта', '80000000002',
	 '00000000-0000-0000-0000-00000000000a', false),
	('pt', '00000000-0000-0000-0000-0000000000c3', '3', '8 000 000-00-02', 'не телефон',
	 '00000000-0000-0000-0000-00000000000b', false),
	('pt', '00000000-0000-0000-0000-0000000000c4', '4', 'Карта', '70000000004', NULL, false),
	('pt', '00000000-0000-0000-0000-0000000000c5', '5', 'Карта', '70000000005',
	 '00000000-0000-0000-0000-00000000000d', true),
	('pt', '00000000-0000-0000-0000-0000000000c6', '6', 'Карта', '70000000001',
	 '00000000-0000-0000-0000-00000000000e', false);
INSERT INTO onec.counterparty (server, customer_id, name, full_name, email) VALUES
	('pt', '00000000-0000-0000-0000-00000000000a', 'Иванова Анна', NULL, ' a@shop.example '),
	('pt', '00000000-0000-0000-0000-00000000000b', '8 000 000-00-02', 'Петрова Вера', ''),
	('pt', '00000000-0000-0000-0000-00000000000d', 'Розничный покупатель', NULL, NULL);
INSERT INTO onec.category (server, category_id, name) VALUES
	('pt', '00000000-0000-0000-0000-0000000000f1', 'Серьги'),
	('pt', '00000000-0000-0000-0000-0000000000f2', 'Упаковка'),
	('pt', '00000000-0000-0000-0000-0000000000f3', 'Часы');
INSERT INTO onec.product (server, product_id, name, category_id) VALUES
	('pt', '00000000-0000-0000-0000-000000000101', 'Серьги', '00000000-0000-0000-0000-0000000000f1'),
	('pt', '00000000-0000-0000-0000-000000000102', 'Пакет', '00000000-0000-0000-0000-0000000000f2'),
	('pt', '00000000-0000-0000-0000-000000000103', 'Часы', '00000000-0000-0000-0000-0000000000f3');

CREATE FUNCTION sale(doc int, line int, at timestamp, who text, product int, quantity numeric, amount numeric,
					 kind text DEFAULT 'Document_ЧекККМ', on_ boolean DEFAULT true,
					 original int DEFAULT NULL) RETURNS void
	LANGUAGE sql AS $$
	INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active,
								customer_id, product_id, store_id,
								document_id, document_type, quantity, amount, attribution)
	SELECT 'pt', 'sales', ('00000000-0000-0000-0000-' || lpad(doc::text, 12, '0'))::uuid, kind, line, at, on_,
		   CASE WHEN who <> '' THEN ('00000000-0000-0000-0000-00000000000' || who)::uuid END,
		   ('00000000-0000-0000-0000-' || lpad(product::text, 12, '0'))::uuid, NULL,
		   ('00000000-0000-0000-0000-' || lpad(coalesce(original, doc)::text, 12, '0'))::uuid,
		   'Document_ЧекККМ', quantity, amount,
		   CASE WHEN who <> '' THEN 'counterparty' ELSE 'anonymous' END $$;
SELECT count(sale(d.doc, d.line, d.at, d.who, d.product, d.quantity, d.amount)) FROM (VALUES
	-- two lines in one receipt, one of them packaging
	(1, 1, timestamp '2026-01-10 12:00', 'a', 101, 1, 1000.00), (1, 2, '2026-01-10 12:00', 'a', 102, 1, 3),
	-- two receipts in one day are one visit
	(2, 1, '2026-02-09 10:00', 'a', 101, 2, 500.50), (3, 1, '2026-02-09 18:00', 'a', 103, 1, 250),
	-- goods for nothing
	(4, 1, '2026-03-08 10:00', 'a', 101, 1, 0),
	(5, 1, '2026-03-20 10:00', 'a', 103, 1, 700),
	-- nobody
	(6, 1, '2026-03-21 10:00', '', 101, 1, 9999)) d (doc, line, at, who, product, quantity, amount);
-- the whole of receipt 5 comes back, and something whose sale is not known
SELECT sale(7, 1, '2026-03-25 10:00', 'a', 103, -1, -700, 'Document_ЧекККМВозврат', true, 5);
SELECT sale(8, 1, '2026-04-25 10:00', 'a', 101, -1, -100, 'Document_ЧекККМВозврат');
-- what does not count
SELECT sale(9, 1, '2026-04-26 10:00', 'a', 101, 1, 5000, 'Document_ВводНачальныхОстатков');
SELECT sale(10, 1, '2026-04-27 10:00', 'a', 101, 1, 6000, 'Document_ЧекККМ', false);

SELECT onec.set('count_free_receipts', 'true', 'pt');
SELECT * FROM onec_internal.refresh_people('pt');
SELECT right(user_id::text, 2) AS u, right(customer_id::text, 2) AS c, phone, login,
	   right(discount_card_id::text, 2) AS card, name, email,
	   is_active, conflict_phone FROM onec.site_user WHERE server = 'pt' ORDER BY 1;
SELECT right(card_id::text, 2) AS card, right(user_id::text, 2) AS u, phone, is_primary
FROM onec.customer_card WHERE server = 'pt' ORDER BY 1;
SELECT * FROM onec_internal.refresh_people('pt');

SELECT * FROM onec.refresh_profiles('pt', as_of => '2026-05-01');
-- counted: 1000+3+500.50+250+0+700 - 700-100 = 1653.50; receipts 1, 2, 3, 4: 1753.50 / 4
SELECT total_revenue, gross_revenue, returns_amount, receipts, lines, visits, total_items, average_check,
	   median_check, purchase_frequency,
	   frequency_confidence, median_gap, first_purchase, last_purchase, favorite_categories, buys_8_march,
	   buys_new_year
FROM onec.customer_profile WHERE server = 'pt' AND customer_id = '00000000-0000-0000-0000-00000000000a';
SELECT right(customer_id::text, 2) AS c, total_revenue, receipts, purchase_frequency, average_check
FROM onec.customer_profile WHERE server = 'pt' ORDER BY 1;
SELECT * FROM onec.refresh_profiles('pt', as_of => '2026-05-01');
SELECT onec.set('check_unit', 'row', 'pt');
SELECT * FROM onec.refresh_profiles('pt', as_of => '2026-05-01');
SELECT average_check FROM onec.customer_profile WHERE server = 'pt' AND receipts > 0;
SELECT onec.set('check_unit', NULL, 'pt');
SELECT rows_updated FROM onec.refresh_profiles('pt', as_of => '2026-05-01');

-- the JSON of the site, by any spelling of the telephone, by card and by customer
SELECT onec.customer_json('8 (000) 000-00-01');
SELECT onec.profile_json('+7 000 000 00 01', max_rows => 2);
SELECT onec.profile_json('00000000-0000-0000-0000-0000000000c2')::text =
	onec.profile_json('00000000-0000-0000-0000-00000000000a')::text AS same;
SELECT onec.profile_json('70000000002')->'statistics'->>'total_purchases' AS none,
	   json_typeof(onec.profile_json('70000000002')->'purchases') AS list;
SELECT onec.profile_json('70009999999') IS NULL AS unknown;

-- a name put right on the site stays; a card that goes switches its user off
UPDATE onec.site_user SET name = 'Анна', name_locked = true
WHERE server = 'pt' AND customer_id = '00000000-0000-0000-0000-00000000000a';
DELETE FROM onec.discount_card WHERE server = 'pt' AND code = '4';
SELECT * FROM onec_internal.refresh_people('pt');
SELECT name, phone, login, is_active FROM onec.site_user
WHERE server = 'pt' AND (name_locked OR customer_id IS NULL) ORDER BY phone;

-- receipts as a view
SELECT right(receipt_id::text, 2) AS r, right(customer_id::text, 2) AS c, net, gross, returned, lines
FROM onec.receipt WHERE server = 'pt' ORDER BY 1;

-- who bought: rows that are alike go with their like in the register of card sales, in order
INSERT INTO onec.card_sale_line (server, recorder, recorder_type, line_no, card_id, owner_id, product_id,
								 amount) VALUES
	('pt', '00000000-0000-0000-0000-0000000000e1', 'Document_ОтчетОРозничныхПродажах', 1,
	 '00000000-0000-0000-0000-0000000000c1', NULL, NULL, 100),
	('pt', '00000000-0000-0000-0000-0000000000e1', 'Document_ОтчетОРозничныхПродажах', 2,
	 '00000000-0000-0000-0000-0000000000c3', NULL, NULL, 100),
	('pt', '00000000-0000-0000-0000-0000000000e2', 'Document_ЧекККМ', 1,
	 '00000000-0000-0000-0000-0000000000c1', NULL, NULL, 50);
BEGIN;
CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
	SELECT 'pt'::name AS server, ('00000000-0000-0000-0000-0000000000e' || v.doc)::uuid AS recorder,
		   v.kind AS recorder_type,
		   v.line::bigint AS line_no, v.who::uuid AS customer_id,
		   v.card::uuid AS card_id, NULL::uuid AS product_id, v.amount::numeric AS amount,
		   0::smallint AS copy
	FROM (VALUES (1, 'Document_ОтчетОРозничныхПродажах', 1, NULL, NULL, 100),
		  (1, 'Document_ОтчетОРозничныхПродажах', 2, NULL, NULL, 100),
		(1, 'Document_ОтчетОРозничныхПродажах', 3, NULL, NULL, 100),
		(2, 'Document_ЧекККМ', 1, NULL, NULL, 50), (2, 'Document_ЧекККМ', 2, NULL, NULL, 50),
		(3, 'Document_ЧекККМ', 1, '00000000-0000-0000-0000-00000000000b', NULL, 7),
		(3, 'Document_ЧекККМ', 2, NULL, '00000000-0000-0000-0000-0000000000c1', 8),
		(3, 'Document_ЧекККМ', 3, NULL, NULL, 9)) v (doc, kind, line, who, card, amount);
ALTER TABLE onec_stage ADD COLUMN attribution text;
UPDATE onec_stage SET attribution = CASE WHEN customer_id IS NULL THEN 'anonymous' ELSE 'counterparty' END;
SELECT public.short_stage('sale_line');
SELECT onec_internal.attribute_staged_sales('pt');
SELECT right(recorder::text, 2) AS r, line_no, right(customer_id::text, 2) AS c,
	   right(card_id::text, 2) AS card, t.word AS attribution
FROM onec_stage s JOIN onec_internal.term t ON t.number = s.attribution ORDER BY 1, 2;
ROLLBACK;
DELETE FROM onec.card_sale_line WHERE server = 'pt';

DELETE FROM onec.sale_line WHERE server = 'pt';
DELETE FROM onec.discount_card WHERE server = 'pt';
DELETE FROM onec.counterparty WHERE server = 'pt';
DELETE FROM onec.category WHERE server = 'pt';
DELETE FROM onec.product WHERE server = 'pt';
DELETE FROM onec.site_user WHERE server = 'pt';
DELETE FROM onec.customer_card WHERE server = 'pt';
SELECT rows_deleted FROM onec.refresh_profiles('pt');
DROP FUNCTION sale;
DROP SERVER pt;
