-- Forgetting a person, deleting what is old, and who reads what: rows put here by hand, no 1C is needed.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SERVER pv FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');

CREATE FUNCTION pg_temp.id(short text) RETURNS uuid LANGUAGE sql AS $$
	SELECT ('77' || lpad($1, 30, '0'))::uuid $$;
CREATE FUNCTION pg_temp.short(id uuid) RETURNS text LANGUAGE sql AS $$
	SELECT ltrim(substr($1::text, 3), '0-') $$;

-- "a" has two cards and buys with both, "b" has one, "c3" is a card without an owner, "e" has no card and is
-- in 1C only; "b" and "d" share a telephone
INSERT INTO onec.discount_card (server, card_id, code, description, barcode, owner_id) VALUES
	('pv', pg_temp.id('c1'), '1', 'Устинья +7 000 770-00-01', '70007700001', pg_temp.id('a')),
	('pv', pg_temp.id('c2'), '2', 'Карта', '70007700011', pg_temp.id('a')),
	('pv', pg_temp.id('cb'), '3', 'Карта', '70007700002', pg_temp.id('b')),
	('pv', pg_temp.id('cd'), '4', 'Карта', '70007700002', pg_temp.id('d')),
	('pv', pg_temp.id('c3'), '5', 'Карта', '70007700003', NULL);
INSERT INTO onec.counterparty (server, customer_id, name, full_name, phone, email) VALUES
	('pv', pg_temp.id('a'), 'Небылицына Устинья', 'Небылицына Устинья Ильинична', '8 000 770 00 01',
	 'ustinya@shop.example'),
	('pv', pg_temp.id('b'), 'Скороходова Глафира', NULL, NULL, 'glafira@shop.example'),
	('pv', pg_temp.id('d'), 'Скороходов Фрол', NULL, NULL, NULL),
	('pv', pg_temp.id('e'), 'Выдумкина Зоя', NULL, '+7 (000) 770-00-05', NULL);
INSERT INTO onec.counterparty_contact (server, customer_id, line_no, kind, presentation, phone, email) VALUES
	('pv', pg_temp.id('a'), 1, 'Телефон', '8 (000) 770-00-21', '8 (000) 770-00-21', NULL),
	('pv', pg_temp.id('a'), 2, 'Почта', 'ustinya@shop.example', NULL, 'ustinya@shop.example'),
	('pv', pg_temp.id('b'), 1, 'Почта', 'glafira@shop.example', NULL, 'glafira@shop.example');
INSERT INTO onec.category (server, category_id, name)
VALUES ('pv', pg_temp.id('71'), 'Кольца'), ('pv', pg_temp.id('72'), 'Серьги');
INSERT INTO onec.product (server, product_id, name, category_id)
SELECT 'pv', pg_temp.id('9' || n), 'Товар ' || n, pg_temp.id('7' || n % 2 + 1) FROM generate_series(1, 5) n;
INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, customer_id,
							card_id, product_id, quantity, amount, attribution)
SELECT 'pv', 'sales', pg_temp.id('f' || v.doc), 'Document_ЧекККМ', v.line,
	   timestamp '2016-01-10 12:00' + v.doc * interval '20 days', true,
	   pg_temp.id(v.who), pg_temp.id(v.card), pg_temp.id('9' || v.doc % 5 + 1), 1, v.amount, v.how
FROM (VALUES (1, 1, 'a', 'c1', 1000, 'card'), (1, 2, 'a', 'c1', 250.50, 'card'),
	  (2, 1, 'a', 'c2', 700, 'card_register'), (3, 1, 'a', NULL, 90, 'counterparty'),
	(4, 1, 'b', 'c1', 333, 'counterparty'),		-- with a card of "a"
	(5, 1, 'a', 'cb', 444, 'counterparty'),		-- with the card of "b"
	(6, 1, 'b', 'cb', 800, 'card'), (7, 1, NULL, 'c3', 60, 'card'), (8, 1, NULL, NULL, 9999, 'anonymous'),
	(9, 1, 'd', 'cd', 70, 'card'))
	v (doc, line, who, card, amount, how);
INSERT INTO onec.card_sale_line (server, recorder, recorder_type, line_no, period, active, card_id, owner_id,
								 product_id, quantity, amount)
SELECT server, recorder, recorder_type, line_no, period, active, card_id, customer_id, product_id, quantity,
	   amount FROM onec.sale_line
WHERE server = 'pv' AND card_id IS NOT NULL;
INSERT INTO onec.receipt_journal (server, document_id, document_type, date, number, posted, amount,
								  customer_id)
SELECT server, recorder, recorder_type, min(period), right(recorder::text, 2), true, sum(amount),
	   min(customer_id::text)::uuid FROM onec.sale_line
WHERE server = 'pv' GROUP BY 1, 2, 3;
INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind,
								   card_id, accrued)
SELECT server, recorder, recorder_type, line_no, period, true, 'Receipt', card_id, amount / 10
FROM onec.card_sale_line WHERE server = 'pv';
INSERT INTO onec.loyalty_lot (server, recorder, recorder_type, line_no, period, active, card_id,
							  owner_id, amount)
SELECT server, recorder, recorder_type, line_no, period, true, card_id, owner_id, amount / 10
FROM onec.card_sale_line WHERE server = 'pv';
SELECT count(*) FROM onec_internal.refresh_people('pv');
SELECT count(*) FROM onec_internal.refresh_after_sync('pv');
SELECT count(*) FROM onec.refresh_pairs('pv', '2016-07-01');
INSERT INTO onec.recommendation_feed (server, customer_id, product_id, rank, score, reason) VALUES
	('pv', pg_temp.id('a'), pg_temp.id('91'), 1, 1, 'bestseller'),
	('pv', pg_temp.id('b'), pg_temp.id('91'), 1, 1, 'bestseller');

-- every row of every table of the schema that holds a text, written as text
CREATE FUNCTION pg_temp.holding(VARIADIC needles text[]) RETURNS TABLE (place text,
	hits bigint) LANGUAGE plpgsql AS $$
DECLARE
	pattern text := (SELECT string_agg(regexp_replace(n, '(\W)', '\\\1', 'g'), '|') FROM unnest(needles) n);
BEGIN
	FOR place IN SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
		  AND c.relkind IN ('r', 'p', 'm') ORDER BY 1 LOOP
		EXECUTE format('SELECT count(*) FROM %s t WHERE t::text ~* $1', place) INTO hits USING pattern;
		IF hits > 0 THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
-- what tells of "a": names, telephones in every spelling that is above, references
CREATE FUNCTION pg_temp.of_a() RETURNS TABLE (place text, hits bigint) LANGUAGE sql AS $$
	SELECT * FROM pg_temp.holding('Устинья', 'Небылицына', 'ustinya@', '70007700001', '000 770-00-01',
								  '000 770 00 01', '70007700011', '770-00-21',
		pg_temp.id('a')::text, pg_temp.id('c1')::text, pg_temp.id('c2')::text) $$;
SELECT * FROM pg_temp.of_a();

-- what 1C holds and goes on holding
CREATE TEMP TABLE of_1c_discount_card AS SELECT * FROM onec.discount_card WHERE server = 'pv';
CREATE TEMP TABLE of_1c_counterparty AS SELECT * FROM onec.counterparty WHERE server = 'pv';
CREATE TEMP TABLE of_1c_counterparty_contact AS SELECT * FROM onec.counterparty_contact WHERE server = 'pv';
CREATE TEMP TABLE of_1c_card_sale_line AS SELECT * FROM onec.card_sale_line WHERE server = 'pv';
CREATE TEMP TABLE of_1c_receipt AS SELECT * FROM onec.receipt_journal WHERE server = 'pv';
CREATE TEMP TABLE of_1c_loyalty_movement AS SELECT * FROM onec.loyalty_movement WHERE server = 'pv';
CREATE TEMP TABLE of_1c_loyalty_lot AS SELECT * FROM onec.loyalty_lot WHERE server = 'pv';
CREATE TEMP TABLE of_1c_product AS SELECT * FROM onec.product WHERE server = 'pv';
ALTER TABLE of_1c_discount_card DROP COLUMN is_deleted;
ALTER TABLE of_1c_counterparty DROP COLUMN is_deleted;
ALTER TABLE of_1c_product DROP COLUMN is_deleted;
CREATE TEMP TABLE of_1c_sale_line AS
	SELECT server, recorder, recorder_type, line_no, period, active,
		   CASE attribution WHEN 'counterparty' THEN customer_id END AS customer_id,
		   CASE WHEN attribution <> 'card_register' THEN card_id END AS card_id, product_id, quantity, amount
	FROM onec.sale_line WHERE server = 'pv';
CREATE TEMP TABLE sold AS
	SELECT count(*), sum(amount) AS amount, sum(quantity) AS quantity,
		   string_agg(recorder || '/' || line_no || '/' || amount || '/' || period, ',' ORDER BY recorder,
					  line_no) AS lines
	FROM onec.sale_line WHERE server = 'pv';
CREATE TEMP TABLE other AS SELECT s.* FROM onec.sale_line s
	WHERE s.server = 'pv' AND customer_id IS DISTINCT FROM pg_temp.id('a')
	  AND card_id IS DISTINCT FROM pg_temp.id('c1');
CREATE TEMP TABLE receipts AS SELECT count(*), sum(amount) FROM onec.receipt_journal WHERE server = 'pv';

DO $$
DECLARE
	t text;
BEGIN
	FOR t IN SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND c.relkind = 'r' LOOP
		EXECUTE format('ANALYZE %s', t);
	END LOOP;
END $$;
SELECT count(DISTINCT tablename) > 5 AS sampled FROM pg_stats s
WHERE schemaname ~ '^onec' AND s::text ~ 'Устинья|ustinya|70007700001|77000000-0000-0000-0000-00000000000a';
-- nobody, more than one, then "a" by the second telephone of a second card
SELECT * FROM onec.forget('+7 (000) 770-99-99', 'pv');
SELECT * FROM onec.forget('nobody', 'pv');
SELECT * FROM onec.forget(pg_temp.id('77')::text, 'pv');
SELECT * FROM onec.forget(NULL, 'pv');
SELECT * FROM onec.forget('8 000 770-00-02', 'pv');
SELECT count(*) FROM onec.forgotten;
SELECT * FROM onec.forget('8 (000) 770-00-11', 'pv');

-- nothing tells of "a" but the references that keep a sync from bringing them back
SELECT * FROM pg_temp.of_a();
SELECT tablename, attname FROM pg_stats s
WHERE schemaname ~ '^onec'
  AND s::text ~ 'Устинья|ustinya|700077000[01]1|77000000-0000-0000-0000-00000000000a';
SELECT server, id, requested_by = session_user AS by_me FROM onec.forgotten ORDER BY id;
-- the shop has sold what it had sold
SELECT count(*), sum(amount) AS amount, sum(quantity) AS quantity,
	   string_agg(recorder || '/' || line_no || '/' || amount || '/' || period, ',' ORDER BY recorder,
				  line_no) AS lines
FROM onec.sale_line WHERE server = 'pv'
EXCEPT SELECT * FROM sold;
SELECT count(*), sum(amount) FROM onec.receipt_journal WHERE server = 'pv' EXCEPT SELECT * FROM receipts;
SELECT right(recorder::text, 2) AS doc, line_no AS line, pg_temp.short(customer_id) AS who,
	   pg_temp.short(card_id) AS card, amount, attribution
FROM onec.sale_line WHERE server = 'pv' ORDER BY 1, 2;
-- the others have what they had
SELECT count(*) FROM (SELECT * FROM other EXCEPT SELECT * FROM onec.sale_line) x;
SELECT pg_temp.short(user_id) AS u, phone, name FROM onec.site_user WHERE server = 'pv' ORDER BY 1;
-- again, by reference: nothing more to do, and no error
SELECT * FROM onec.forget(pg_temp.id('c1')::text, 'pv');

-- a sync reads all of it again: staged, passed through the filter, merged
CREATE FUNCTION pg_temp.read_again(target text, OUT dropped bigint, OUT inserted bigint, OUT updated bigint,
								   OUT deleted bigint) LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS pg_temp.onec_stage;
	EXECUTE format('CREATE TEMPORARY TABLE onec_stage AS SELECT * FROM pg_temp.%I', 'of_1c_' || target);
	IF target = 'sale_line' THEN
		ALTER TABLE pg_temp.onec_stage ADD COLUMN register text DEFAULT 'sales', ADD COLUMN attribution text,
		ADD COLUMN copy smallint DEFAULT 0;
		UPDATE pg_temp.onec_stage
		SET attribution = CASE WHEN customer_id IS NULL THEN 'anonymous' ELSE 'counterparty' END;
	END IF;
	PERFORM public.short_stage(target);
	IF target = 'sale_line' THEN
		PERFORM onec_internal.attribute_staged_sales('pv');
	END IF;
	dropped := onec_internal.drop_forgotten_from_staged('pv', target);
	PERFORM onec_internal.compare_with_staged('pv', target, 'true');
	SELECT m.inserted, m.updated, m.deleted INTO inserted, updated, deleted
	FROM onec_internal.write_differences('pv', target) m;
	DROP TABLE IF EXISTS pg_temp.onec_stage;
END $$;
CREATE VIEW pg_temp.a_sync AS SELECT t.target, r.*
	FROM unnest('{discount_card,counterparty,counterparty_contact,product,card_sale_line,sale_line,receipt,
	loyalty_movement,loyalty_lot}'::text[]) t (target), pg_temp.read_again(t.target) r;
SELECT * FROM pg_temp.a_sync;
SELECT * FROM onec_internal.refresh_people('pv');
SELECT count(*) FROM onec_internal.refresh_after_sync('pv');
SELECT * FROM pg_temp.of_a();

-- they go on buying: with the old card, a new card, by name; only the shop sees it
INSERT INTO pg_temp.of_1c_discount_card (server, card_id, code, description, barcode, owner_id)
VALUES ('pv', pg_temp.id('c9'), '9', 'Небылицына Устинья', '70007700001', pg_temp.id('a'));
INSERT INTO pg_temp.of_1c_sale_line (server, recorder, recorder_type, line_no, period, active, customer_id,
									 card_id, product_id, quantity, amount)
SELECT 'pv', pg_temp.id('e' || n), 'Document_ЧекККМ', 1, timestamp '2016-09-01', true,
	   CASE n WHEN 3 THEN pg_temp.id('a') END,
	   CASE n WHEN 1 THEN pg_temp.id('c1') WHEN 2 THEN pg_temp.id('c9') END, pg_temp.id('91'), 1, n * 100
		   FROM generate_series(1, 3) n;
SELECT * FROM pg_temp.a_sync WHERE dropped + inserted + updated + deleted > 0;
SELECT * FROM pg_temp.of_a();
SELECT * FROM pg_temp.holding(pg_temp.id('c9')::text);
SELECT count(*), sum(amount), array_agg(DISTINCT attribution) FROM onec.sale_line
WHERE server = 'pv' AND period = '2016-09-01';
-- a shop that has card sales only: what is nobody's says so
CREATE TEMPORARY TABLE onec_stage AS
	SELECT l.server, 'card_sales'::text AS register, l.recorder, l.recorder_type, l.line_no,
		   coalesce(l.owner_id, d.owner_id) AS customer_id, l.card_id, 'card'::text AS attribution
	FROM onec.card_sale_line l LEFT JOIN onec.discount_card d ON d.server = l.server AND d.card_id = l.card_id
	WHERE l.server = 'pv';
SELECT public.short_stage('sale_line');
SELECT onec_internal.drop_forgotten_from_staged('pv', 'sale_line');
SELECT t.word AS attribution, count(*), count(customer_id) AS customers, count(card_id) AS cards
FROM pg_temp.onec_stage s JOIN onec_internal.term t ON t.number = s.attribution GROUP BY 1 ORDER BY 1;
-- another server has forgotten nobody
SELECT onec_internal.drop_forgotten_from_staged('elsewhere', 'sale_line');
DROP TABLE pg_temp.onec_stage;
SELECT onec_internal.drop_forgotten_from_staged('pv', 'sale_line'),
	   onec_internal.drop_forgotten_from_staged('pv', 'site_user');

-- a window that is being written and a person that is being forgotten wait for one another
CREATE VIEW pg_temp.held AS SELECT l.mode FROM pg_locks l
	WHERE (l.relation = 'onec.forgotten'::regclass OR l.locktype = 'advisory') AND l.pid = pg_backend_pid()
	  AND l.mode <> 'AccessShareLock';
BEGIN;
SELECT onec_internal.drop_forgotten_from_staged('pv', 'customer_profile');
SELECT * FROM pg_temp.held;
COMMIT;
BEGIN;
SELECT count(*) FROM onec.forget(pg_temp.id('a')::text, 'pv');
SELECT * FROM pg_temp.held ORDER BY 1;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM onec.forget(pg_temp.id('a')::text, 'pv');
ROLLBACK;

-- who has no card, by a telephone that only 1C knows; a card without an owner; the two of one telephone
SELECT * FROM onec.forget('80007700005', 'pv');
SELECT * FROM onec.forget(upper(pg_temp.id('c3')::text), 'pv');
SELECT * FROM onec.forget(pg_temp.id('cd')::text, 'pv');
SELECT * FROM pg_temp.holding('Выдумкина', '770-00-05', '70007700003', 'Фрол', pg_temp.id('e')::text,
							  pg_temp.id('c3')::text, pg_temp.id('cd')::text);

-- what is old: points go where nothing of them was left
INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id,
								   accrued, spent)
SELECT 'pv', pg_temp.id('d1'), 'Document_ЧекККМ', n, p, a, k, pg_temp.id(c), x, y FROM (VALUES
	(1, timestamp '2015-01-10', true, 'Receipt', 'cc', 50, 0),
	(2, '2015-02-10', true, 'Expense', 'cc', 20, 0), (3, '2015-03-10', true, 'Receipt', 'cc', 0, 30),
	(4, '2016-05-02', true, 'Receipt', 'cc', 7, 0), (5, '2015-01-10', false, 'Receipt', 'cc', 1000, 0),
	(6, '2015-01-10', true, 'Receipt', 'cb', 40, 0),
	(7, NULL, true, 'Receipt', 'cb', 1, 0)) v (n, p, a, k, c, x, y);
INSERT INTO onec.loyalty_lot (server, recorder, recorder_type, line_no, period, active, card_id, amount)
VALUES
	('pv', pg_temp.id('d1'), 'Document_ЧекККМ', 1, '2015-01-10', true, pg_temp.id('cc'), 50),
	('pv', pg_temp.id('d1'), 'Document_ЧекККМ', 2, '2015-01-10', true, pg_temp.id('cb'), 40);
CREATE TEMP TABLE points AS SELECT card_id, balance, expires_next_at FROM onec.loyalty_balance
	WHERE server = 'pv';
SELECT * FROM onec.purge(NULL, 'pv');
SELECT * FROM onec.purge('2999-01-01', 'pv');
SELECT * FROM onec.purge('2016-05-01', 'pv');
SELECT min(period) AS first FROM onec.sale_line WHERE server = 'pv'
UNION ALL SELECT min(period) FROM onec.card_sale_line WHERE server = 'pv' UNION ALL SELECT min(date)
FROM onec.receipt_journal WHERE server = 'pv';
SELECT line_no AS line, period, pg_temp.short(card_id) AS card, accrued, spent FROM onec.loyalty_movement
WHERE server = 'pv' AND recorder = pg_temp.id('d1') ORDER BY 1;
SELECT pg_temp.short(card_id) AS card, amount FROM onec.loyalty_lot
WHERE server = 'pv' AND recorder = pg_temp.id('d1') ORDER BY 1;
-- no card has more or less than before
SELECT coalesce(p.card_id, b.card_id), p.balance, b.balance, p.expires_next_at, b.expires_next_at
FROM points p FULL JOIN (SELECT * FROM onec.loyalty_balance WHERE server = 'pv') b ON b.card_id = p.card_id
WHERE (coalesce(p.balance, 0), p.expires_next_at) IS DISTINCT FROM (coalesce(b.balance, 0),
	b.expires_next_at);

-- who reads what
CREATE ROLE regress_onec_reader;
CREATE ROLE regress_onec_site;
GRANT SELECT ON onec.site_user TO regress_onec_reader;
SELECT onec.grant_reader('regress_onec_reader');
SELECT onec.grant_site('regress_onec_site');
CREATE FUNCTION pg_temp.readable(VARIADIC needles text[]) RETURNS TABLE (place text,
	answer text) LANGUAGE plpgsql AS $$
DECLARE
	pattern text := (SELECT string_agg(regexp_replace(n, '(\W)', '\\\1', 'g'), '|') FROM unnest(needles) n);
	hits bigint;
BEGIN
	FOR place IN SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
		  AND c.relkind IN ('r', 'p', 'm', 'v')
		AND has_any_column_privilege(c.oid, 'SELECT') ORDER BY 1 LOOP
		BEGIN
			EXECUTE format('SELECT count(*) FROM %s t WHERE t::text ~* $1', place) INTO hits USING pattern;
			answer := CASE WHEN hits > 0 THEN hits || ' rows tell' ELSE 'nothing' END;
		EXCEPTION WHEN OTHERS THEN
			answer := SQLERRM;
		END;
		RETURN NEXT;
	END LOOP;
END $$;
-- of today, for views that look at the last year
INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, customer_id,
							product_id, quantity, amount, attribution)
VALUES ('pv', 'sales', pg_temp.id('d2'), 'Document_ЧекККМ', 1, onec.local_now('pv') - interval '10 days',
		true, pg_temp.id('b'), pg_temp.id('91'), 1, 5, 'counterparty');
-- all of it, then what the reader sees
SELECT * FROM pg_temp.readable('Глафира', 'Скороходов', 'glafira@', '70007700002') WHERE answer <> 'nothing';
SET ROLE regress_onec_reader;
SELECT * FROM pg_temp.readable('Глафира', 'Скороходов', 'glafira@', '70007700002') WHERE answer <> 'nothing';
SELECT pg_temp.short(user_id) AS u, phone, name FROM onec.site_user_masked WHERE server = 'pv' ORDER BY 1;
SELECT pg_temp.short(customer_id) AS c, phone, name, email, total_revenue, cards FROM onec.customer_360_masked
WHERE server = 'pv' ORDER BY 1;
-- closed, whole or in part; a new table is closed until it is looked at
SELECT string_agg(c.relname, ' ' ORDER BY c.relname) AS closed FROM pg_class c
WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
  AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT has_any_column_privilege(c.oid, 'SELECT');
-- open columns of such names: of goods and shops, or under a mask
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
  AND c.relkind IN ('r', 'p', 'v', 'm') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
  AND a.attname ~ 'phone|name|mail|login|code|description|presentation|birth|customer$|title'
  AND a.atttypid IN ('text'::regtype, 'text[]'::regtype)
ORDER BY 1, 2;
-- nothing of the reader changes or looks a person up: outbox_lag tells an age, in seconds, is_stopped that
-- a login is refused
SELECT p.proname FROM pg_proc p WHERE p.pronamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	AND p.prosecdef AND has_function_privilege(p.oid, 'EXECUTE');
SELECT onec.customer_json('70007700002', 'pv');
SELECT * FROM onec.forget('70007700002', 'pv');
SELECT * FROM onec.purge('2016-06-01', 'pv');
SELECT onec.grant_reader('regress_onec_reader');
SELECT name FROM onec.site_user;
SELECT count(*) > 0 FROM onec.rfm('pv', '2016-07-01');
RESET ROLE;
-- the masked rows are the open ones but for what is hidden
SELECT to_jsonb(m) - '{phone,name,email}'::text[] FROM onec.customer_360_masked m WHERE server = 'pv'
	AND NOT EXISTS (SELECT FROM onec.customer_360 c
					WHERE c.server = m.server AND c.customer_id = m.customer_id
					AND to_jsonb(c) @> to_jsonb(m) - '{phone,name,email}'::text[]);
SELECT (SELECT count(*) FROM onec.customer_360 WHERE server = 'pv') = (SELECT count(*)
	FROM onec.customer_360_masked WHERE server = 'pv') AS as_many;
SELECT to_jsonb(m) FROM onec.purchase_masked m WHERE server = 'pv'
	AND NOT EXISTS (SELECT FROM onec.purchase p WHERE p.server = m.server AND to_jsonb(p) @> to_jsonb(m));
SELECT v, onec_internal.masked(v)
FROM (VALUES ('70007700002'), ('375000000000'), ('0000000000'), ('12345'), ('Устинья'), ('a@shop.example'),
	  (''), (NULL)) x (v);

SET ROLE regress_onec_site;
SELECT onec.customer_json('8 000 770-00-02', 'pv') ->> 'name' AS name,
	   json_array_length(onec.purchases_json(pg_temp.id('cb')::text, server => 'pv')) AS purchases,
	   onec.profile_json('70007700002', server => 'pv') -> 'statistics' ->> 'total_revenue' AS revenue;
SELECT count(*) > 0 AS offers FROM onec.recommend('70007700002', 3, 'pv', '2016-07-01');
SELECT onec.customer_json('70007700001', 'pv') AS forgotten;
SELECT count(*) FROM pg_class c WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	AND c.relkind IN ('r', 'p', 'v', 'm')
	AND has_any_column_privilege(c.oid, 'SELECT')
	AND c.relname NOT IN ('server_capability', 'phone_plan', 'target');
SELECT * FROM onec.site_user;
SELECT onec_internal.person_by_key('70007700002', 'pv');
SELECT * FROM onec.forget('70007700002', 'pv');
RESET ROLE;

DROP OWNED BY regress_onec_reader, regress_onec_site;
DROP ROLE regress_onec_reader, regress_onec_site;
DO $$
DECLARE
	t text;
BEGIN
	FOR t IN SELECT c.oid::regclass FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
		WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND c.relkind = 'r'
		  AND c.relname <> 'server_number' LOOP
		EXECUTE format('DELETE FROM %s WHERE server = %s', t, onec_internal.server_in(t, 'pv'));
	END LOOP;
END $$;
DROP SERVER pv;
