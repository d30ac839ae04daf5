-- The page of onec.report, taken apart by xpath and compared with the rows it is made of.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'Asia/Vladivostok';
CREATE SERVER rp FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');
CREATE FUNCTION pg_temp.page() RETURNS xml LANGUAGE sql AS $$
	SELECT replace(onec.report('rp', '2026-06-30'), '<!DOCTYPE html>', '')::xml $$;
CREATE FUNCTION pg_temp.texts(path text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT x::text
	FROM unnest(xpath(path, pg_temp.page())) x $$;

-- an empty shop: each section says so
SELECT x AS section, pg_temp.texts(format('//section[@id="%s"]/p[@class="none"]/text()', x))
FROM pg_temp.texts('//section/@id') x;

-- 30 customers, two years
INSERT INTO onec.category (server, category_id, name)
VALUES ('rp', '00000000-0000-0000-0001-000000000001', '<b>&"'),
	('rp', '00000000-0000-0000-0001-000000000002', 'Кольца');
INSERT INTO onec.product (server, product_id, name, category_id)
	SELECT 'rp', ('00000000-0000-0000-0002-00000000000' || n)::uuid, 'Товар ' || n,
		   ('00000000-0000-0000-0001-00000000000' || n)::uuid FROM generate_series(1, 2) n;
INSERT INTO onec.store (server, store_id, name)
VALUES ('rp', '00000000-0000-0000-0003-000000000001', 'У <реки>');
INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, customer_id,
							product_id, store_id, quantity, amount, attribution)
	SELECT 'rp', 'sales', ('00000000-0000-0000-0004-' || lpad(n::text, 12, '0'))::uuid, 'Document_ЧекККМ', 1,
		   timestamp '2024-07-02 12:00' + n * interval '1 day 7 minutes', true,
		   ('00000000-0000-0000-0005-' || lpad((n * n % 30 + 30 * (n / 150))::text, 12, '0'))::uuid,
		   ('00000000-0000-0000-0002-00000000000' || 1 + n % 2)::uuid,
		   CASE WHEN n % 3 > 0 THEN '00000000-0000-0000-0003-000000000001'::uuid END, 1, 1000 + n,
		   'counterparty' FROM generate_series(1, 700) n;
INSERT INTO onec.discount_card (server, card_id, code, barcode, owner_id)
	SELECT 'rp', ('00000000-0000-0000-0006-' || lpad(n::text, 12, '0'))::uuid, n::text,
		   '7000111' || lpad(n::text, 4, '0'), ('00000000-0000-0000-0005-' || lpad(n::text, 12, '0'))::uuid
	FROM generate_series(0, 29) n;
INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id,
								   accrued, spent)
	SELECT 'rp', ('00000000-0000-0000-0007-' || lpad(n::text, 12, '0'))::uuid, 'Document_ЧекККМ', l,
		   CASE l WHEN 1 THEN timestamp '2026-01-01' ELSE '2100-01-01' END, true, 'Receipt',
		   ('00000000-0000-0000-0006-' || lpad(n::text, 12, '0'))::uuid, CASE l WHEN 1 THEN 100 ELSE 0 END,
		   CASE l WHEN 2 THEN 100 ELSE 0 END
	FROM generate_series(0, 29) n, generate_series(1, 2) l;
SELECT count(*) FROM onec_internal.refresh_people('rp');
SELECT count(*) FROM onec.refresh_profiles('rp', NULL, '2026-06-30'), onec.refresh_rfm('rp', '2026-06-30'),
	   onec.refresh_outlook('rp', NULL, '2026-06-30');

-- the last thirty days
SELECT pg_temp.texts('//div[@class="cards"]/div/b/text()');
SELECT onec_internal.spaced_number(sum(amount)), count(*), count(DISTINCT customer_id),
	   onec_internal.spaced_number(avg(amount)) FROM onec.sale_line
WHERE server = 'rp' AND period >= '2026-06-01' AND period < '2026-07-01';
-- each month and store has its piece, as high as its share of the greatest month
WITH bar AS (SELECT (xpath('/*/@height', x))[1]::text::numeric AS height,
					(xpath('/*/*/text()', x))[1]::text AS tip
			 FROM unnest(xpath('//section[@id="revenue"]//*[local-name()="rect"]', pg_temp.page())) x),
fact AS (SELECT to_char(period, 'MM.YYYY') || ': ' || onec_internal.spaced_number(sum(amount)) AS tip,
				sum(amount) AS net, date_trunc('month', period) AS month
		 FROM onec.sale_line WHERE server = 'rp' AND period >= '2024-07-01' AND period < '2026-07-01'
		 GROUP BY date_trunc('month', period), to_char(period, 'MM.YYYY'), store_id),
scaled AS (SELECT tip, round(200 * net / (SELECT max(s)
										  FROM (SELECT sum(net) AS s FROM fact GROUP BY month) m),
											  1) AS height FROM fact)
SELECT (SELECT count(*) FROM bar) AS bars,
	   (SELECT count(*) FROM (SELECT * FROM bar EXCEPT ALL SELECT height, tip FROM scaled) x) AS wrong;
-- names are escaped, once
SELECT pg_temp.texts('//section[@id="categories"]//div[@class="name"]/text()');
SELECT DISTINCT btrim(regexp_replace(x, ':.*', ''))
FROM pg_temp.texts('//p[@class="legend"]/span/text()') x ORDER BY 1;
-- the RFM grid counts every scored customer
SELECT sum(x::int) = (SELECT count(*) FROM onec.customer_rfm
					  WHERE server = 'rp' AND r_score IS NOT NULL) AS all_customers
FROM pg_temp.texts('//section[@id="rfm"]//td[contains(@class,"heat")]/text()') x;
-- cohorts: a line for each month with first purchases, among the last fifteen
SELECT count(*) FROM pg_temp.texts('//section[@id="cohorts"]//tbody/tr/th/text()') x;
SELECT count(DISTINCT date_trunc('month', first_purchase)) FROM onec.customer_profile
WHERE server = 'rp' AND first_purchase >= '2025-04-01';
-- orders in work: those that are posted and have not ended, by when they are to be shipped
INSERT INTO onec.customer_order (server, order_id, number, date, posted, deletion_mark, outcome, ship_at,
								 store_id, amount)
	SELECT 'rp', ('00000000-0000-0000-0008-' || lpad(n::text, 12, '0'))::uuid, 'Н' || n,
		   timestamp '2026-06-01' + n * interval '1 hour', n <> 6, n = 7,
		   CASE n WHEN 8 THEN 'Успешно' WHEN 9 THEN '' END, ship_at::timestamp,
		   CASE WHEN n < 3 THEN '00000000-0000-0000-0003-000000000001'::uuid END, 1000 * n
	FROM unnest('{2026-06-29,2026-06-30 10:00,2026-07-06,2026-07-07,NULL,2026-06-30,2026-06-30,2026-06-30,'
				'2026-06-28,2026-06-30}'::text[]) WITH ORDINALITY x (ship_at, n);
UPDATE onec.customer_order SET date = '2026-07-01' WHERE server = 'rp' AND number = 'Н10';
SELECT n AS table, (SELECT string_agg(c::text, ' ') FROM unnest(xpath('//th/text()|//td/text()', r)) c)
FROM (SELECT 1 AS n, unnest(xpath('(//section[@id="orders"]//tbody)[1]/tr', pg_temp.page())) AS r
	  UNION ALL
	  SELECT 2, unnest(xpath('(//section[@id="orders"]//tbody)[2]/tr', pg_temp.page()))) x;
-- goods that will not last two weeks, at the pace of thirty days: 1 has enough for 13, 2 for 14, 3 nothing, 4
-- is in no store, 5 was sold before
INSERT INTO onec.product (server, product_id, name)
	SELECT 'rp', ('00000000-0000-0000-0002-00000000010' || n)::uuid, 'На складе ' || n
	FROM generate_series(1, 5) n;
INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, product_id,
							store_id, quantity, amount, attribution)
	SELECT 'rp', 'sales', ('00000000-0000-0000-0009-' || lpad(n::text, 12, '0'))::uuid, 'Document_ЧекККМ', p,
		   onec.local_now('rp')::date - CASE p WHEN 5 THEN 30 ELSE n END, true,
		   ('00000000-0000-0000-0002-00000000010' || p)::uuid,
		   CASE WHEN p <> 4 THEN '00000000-0000-0000-0003-000000000001'::uuid END, 3, 100 * p, 'unknown'
	FROM generate_series(0, 27, 3) n, generate_series(1, 5) p;
CREATE FUNCTION pg_temp.short(day date) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT (SELECT string_agg(c::text, ' ') FROM unnest(xpath('//th/text()|//td/text()', r)) c)
	FROM unnest(xpath('//section[@id="stock"]//tbody/tr',
					  replace(onec.report('rp', day), '<!DOCTYPE html>', '')::xml)) r $$;
SELECT pg_temp.short(NULL);
INSERT INTO onec_internal.stock (server, product_id, variant_id, store_id, on_hand)
	SELECT 'rp', ('00000000-0000-0000-0002-00000000010' || p)::uuid,
		   ('00000000-0000-0000-0000-00000000000' || v)::uuid,
		   CASE p WHEN 4 THEN '00000000-0000-0000-0000-000000000000'
			   ELSE '00000000-0000-0000-0003-000000000001' END::uuid, q
	FROM (VALUES (1, 0, 13), (2, 1, 10), (2, 2, 4), (4, 0, 5)) x (p, v, q);
SELECT pg_temp.short(NULL);
SELECT pg_temp.short('2026-06-30');
-- no telephone, nothing of the network, no script
SELECT count(*) FILTER (WHERE p ~ '7000111\d{4}') AS phones,
	   count(*) FILTER (WHERE p ~* '<script|<link rel="style|@import|url\(|src=|https?://') AS outside
FROM onec.report('rp', '2026-06-30') p;
SELECT count(*) FROM onec.report('rp') WHERE report ~ 'NaN|\mnull\M';
SELECT onec_internal.spaced_number(-1234567.5), onec_internal.spaced_number(999),
	   onec_internal.spaced_number(NULL), onec_internal.percent(0.256), onec_internal.report_change(10, 8),
	   onec_internal.report_change(NULL, 8), onec_internal.report_change(5, 0);

DO $$
DECLARE t text;
BEGIN
	FOR t IN SELECT c.oid::regclass FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
			 WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
			   AND c.relkind = 'r' AND c.relname <> 'server_number' LOOP
		EXECUTE format('DELETE FROM %s WHERE server = %s', t, onec_internal.server_in(t, 'rp'));
	END LOOP;
END $$;
DROP SERVER rp CASCADE;
