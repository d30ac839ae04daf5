-- The examples of doc/definitions.md, figure by figure: what stands there is what comes out here.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
SELECT format('CREATE SERVER d%s FOREIGN DATA WRAPPER onec_fdw OPTIONS (url ''http://127.0.0.1:1/base'', '
			  'timezone ''Europe/Moscow'')', n)
FROM generate_series(1, 7) n \gexec
CREATE FUNCTION id(kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE
	RETURN md5(kind || n)::uuid;
CREATE FUNCTION sale(server text, doc int, line int, at timestamp, who int, product int, quantity numeric,
					 amount numeric) RETURNS int
	LANGUAGE sql AS $$
	INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active,
								customer_id, product_id,
								document_id, document_type, quantity, amount, attribution)
	SELECT server, 'sales', id('recorder', doc), 'Document_ЧекККМ', line, at, true, id('customer', who),
		   id('product', product),
		   id('recorder', doc), 'Document_ЧекККМ', quantity, amount,
		   CASE WHEN who > 0 THEN 'counterparty' ELSE 'anonymous' END
	RETURNING 1 $$;

-- 1, 2: the customer of the table
INSERT INTO onec.category (server, category_id, name) SELECT 'd1', id('category', n), t
FROM (VALUES (1, 'Серьги'), (2, 'Упаковка'), (3, 'Колье'),
	(4, 'Кольца'), (5, 'Браслеты')) v (n, t);
INSERT INTO onec.product (server, product_id, name, category_id)
SELECT 'd1', id('product', n), 'p' || n, id('category', n) FROM generate_series(1, 5) n;
SELECT count(sale('d1', doc, line, at, 1, product, quantity, amount)) FROM (VALUES
	(1, 1, timestamp '2026-01-10 12:00', 1, 1, 3000), (1, 2, '2026-01-10 12:00', 2, 1, 3),
	(2, 1, '2026-02-09 18:30', 3, 1, 5000),
	(2, 2, '2026-02-20 11:00', 3, -1, -5000), (3, 1, '2026-03-11 13:00', 4, 2, 2000),
	(4, 1, '2026-03-11 19:00', 5, 1, 1000))
	v (doc, line, at, product, quantity, amount);
SELECT rows_inserted FROM onec.refresh_profiles('d1', as_of => '2026-03-31');
SELECT total_revenue, gross_revenue, returns_amount, return_rate, receipts, lines, total_items, visits
FROM onec.customer_profile WHERE server = 'd1';
SELECT average_check, median_check, average_line, items_per_receipt, median_gap, mean_gap, purchase_frequency,
	   frequency_confidence
FROM onec.customer_profile WHERE server = 'd1';
SELECT first_purchase, last_purchase, month_share[1:3], favorite_categories FROM onec.customer_profile
WHERE server = 'd1';
SELECT onec.set('check_unit', 'row', 'd1');
SELECT rows_updated FROM onec.refresh_profiles('d1', as_of => '2026-03-31');
SELECT average_check FROM onec.customer_profile WHERE server = 'd1';

-- 4: earrings of a year ago, a ring of today
SELECT sale('d1', 11, 1, '2025-03-31 12:00', 2, 1, 1, 3000) + sale('d1', 12, 1, '2026-03-31 12:00', 2, 4, 1,
	2500) AS lines;
SELECT value_id, weight, share, diversity
FROM onec.affinity('d1', '2026-03-31', ARRAY[id('customer', 2)], 'category') ORDER BY place;

-- 5: one gap of 60 days, and 90 are usual
SELECT sale('d1', 21, 1, '2026-01-01 12:00', 3, 1, 1, 1000) + sale('d1', 22, 1, '2026-04-01 12:00', 3, 1, 1,
	1000) AS lines;
SELECT visits, gap, expected_next, days_since, overdue_ratio, churn_class
FROM onec.next_purchase('d1', '2026-07-09', ARRAY[id('customer', 1)]);

-- 3.1: two Decembers and one of each other month
SELECT count(sale('d2', n, 1, d, 1, 1, 1, CASE WHEN n = 0 THEN 190 WHEN n = 12 THEN 210 ELSE 100 END))
FROM generate_series(0, 12) n, LATERAL (SELECT timestamp '2024-12-01 10:00' + n * interval '1 month') x (d);
SELECT month, observed, gross_per_month, season_index FROM onec.month_season_at('d2', '2025-12-31')
WHERE month IN (1, 12);

-- 6: equal values, equal scores
SELECT count(sale('d3', c * 10 + i, 1, timestamp '2026-03-31 12:00' - (days + 10 * i) * interval '1 day',
				  c, 1, 1, 100))
FROM (VALUES (1, 1, 1), (2, 5, 1), (3, 10, 1), (4, 30, 2), (5, 90, 4)) v (c, days, visits),
	LATERAL generate_series(0, visits - 1) i;
SELECT recency_days, r_score, frequency, f_score FROM onec.rfm('d3', '2026-03-31') ORDER BY 1;
SELECT measure, score, above FROM onec.rfm_cutpoints('d3', '2026-03-31')
WHERE measure <> 'monetary' AND above IS NOT NULL ORDER BY measure, above, score;

-- 7: CDNOW's customer
SELECT round(onec.bgnbd_palive(2, 30.43, 38.86, 0.242593, 4.413532, 0.792920, 2.425752)::numeric,
			 3) AS bg_alive,
	   round(onec.bgnbd_expected(2, 30.43, 38.86, 0.242593, 4.413532, 0.792920, 2.425752, 39)::numeric,
			 3) AS bg_visits,
	   round(onec.mbgnbd_palive(2, 30.43, 38.86, 0.525, 6.183, 0.891, 1.614)::numeric, 3) AS mbg_alive,
	   round(onec.mbgnbd_expected(2, 30.43, 38.86, 0.525, 6.183, 0.891, 1.614, 39)::numeric, 3) AS mbg_visits,
	   round(onec.gamma_gamma_expected(2, 22.35, 6.25, 3.74, 15.44)::numeric, 2) AS spend,
	   round(onec.gamma_gamma_expected(0, 0, 6.25, 3.74, 15.44)::numeric, 2) AS of_once;

-- 8: ABC of four goods, X of a steady one; 10 of 40 come again after two months
SELECT count(sale('d4', n, 1, '2026-02-01 10:00', 0, n, 1, amount))
FROM (VALUES (1, 800), (2, 100), (3, 60), (4, 40)) v (n, amount);
SELECT net, cumulative_share, abc FROM onec.abc_xyz_at('d4', '2026-03-31') WHERE kind = 'product'
ORDER BY net DESC;
SELECT count(sale('d5', n, 1, at, 0, 1, 1, amount))
FROM (VALUES (1, timestamp '2026-01-05', 100), (2, '2026-02-05', 110), (3, '2026-03-05', 90)) v (n,
	at, amount);
SELECT monthly_net, variation, xyz FROM onec.abc_xyz_at('d5', '2026-03-31') WHERE kind = 'product';
SELECT count(sale('d6', n, 1, '2026-01-05', n, 1, 1, 100)) FROM generate_series(1, 40) n;
SELECT count(sale('d6', 100 + n, 1, '2026-03-05', n, 1, 1, 100)) FROM generate_series(1, 10) n;
SELECT cohort, "offset", customers, retained, retention FROM onec.cohort_retention_at('d6', '2026-03-31')
WHERE "offset" = 2 AND cohort = '2026-01-01';

-- 9: a in 20 baskets, b in 30, both in 6 of 1000
SELECT count(sale('d7', n, p, '2026-03-01', 0, p, 1, 100))
FROM generate_series(1, 1000) n, generate_series(1, 3) p
WHERE CASE p WHEN 1 THEN n <= 20 WHEN 2 THEN n BETWEEN 15 AND 44 ELSE n > 44 END;
SELECT rows_inserted FROM onec.refresh_pairs('d7', '2026-04-01');
SELECT n_a, n_b, n_ab, round(support, 3) AS support, confidence, lift, round(cosine, 4) AS cosine,
	   round(jaccard, 4) AS jaccard, round(score, 4) AS score
FROM onec.product_pair WHERE server = 'd7' AND basis = 'receipt' AND product_id = id('product', 1);

-- 10: points and their expiry
INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id,
								   accrued, spent)
SELECT 'd1', id('points', n), 'Document_ЧекККМ', 1, at, true, kind, id('card', 1), accrued, spent
FROM (VALUES (1, timestamp '2025-10-01', 'Receipt', 1000, 0), (2, '2025-11-01', 'Expense', 900, 0),
	  (3, '2025-12-05', 'Receipt', 0, 1000),
	(4, '2025-12-05', 'Expense', 0, 900)) v (n, at, kind, accrued, spent);
SELECT balance, source, expires_next_at, expires_next_amount FROM onec.loyalty_balance_at('d1', '2025-11-15');

-- 11: telephones
SELECT onec.normalize_phone('8 (700) 000-00-01') AS home, onec.normalize_phone('+7 700 000 00 01') AS plus,
	   onec.normalize_phone('4600000000001') AS code;

DELETE FROM onec.sale_line WHERE server ~ '^d[1-7]$';
DELETE FROM onec.loyalty_movement WHERE server = 'd1';
DELETE FROM onec.product WHERE server = 'd1';
DELETE FROM onec.category WHERE server = 'd1';
DELETE FROM onec.product_pair WHERE server = 'd7';
DELETE FROM onec.bestseller WHERE server = 'd7';
SELECT rows_deleted FROM onec.refresh_profiles('d1');
DELETE FROM onec.config WHERE server = 'd1';
DROP FUNCTION sale;
DROP FUNCTION id;
DROP SERVER d1, d2, d3, d4, d5, d6, d7;
