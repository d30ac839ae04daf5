-- RFM, cohorts, ABC/XYZ and the other views of an analyst from rows put here by hand; each is compared with a
-- published result or with a query that goes another way.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SERVER sg FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');

-- five customers whose scores R's package rfm publishes, with the cut points of its data
SELECT v.days, v.orders, v.amount, v.published,
	   onec.rfm_score(v.days, c.r, 'r_compat', true)::text || onec.rfm_score(v.orders, c.f, 'r_compat')
		   || onec.rfm_score(v.amount, c.m, 'r_compat') AS scored
FROM (VALUES (205, 6, 472, '343'), (140, 3, 340, '412'), (194, 4, 405, '323'), (98, 7, 596, '544'),
	  (132, 5, 448, '433')) v (days, orders, amount, published),
	 (VALUES ('{114,180,296.4,481}'::numeric[], '{3,4,5,7}'::numeric[], '{254.8,381,505.4,665}'::numeric[]))
		 c (r, f, m);
-- the rules differ only between a cut point and the next whole number
SELECT x, onec.rfm_score(x, '{254.8,381}'), onec.rfm_score(x, '{254.8,381}', 'r_compat') AS r_compat,
	   onec.rfm_score(x, '{254.8,381}', 'quantile', true) AS reversed
FROM unnest('{254,254.8,255,255.8,381,381.5,382,NULL}'::numeric[]) x;

-- a shop of two years and a half: 40 customers, 12 products, 3 stores, returns of all kinds, and what does
-- not count. Everything follows from the number of the receipt.
CREATE FUNCTION dice(what text, sides int) RETURNS int LANGUAGE sql IMMUTABLE AS
	$$ SELECT (('x' || substr(md5($1), 1, 8))::bit(32)::bigint % $2)::int $$;
CREATE FUNCTION id(kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
	$$ SELECT ('00000000-0000-0000-000' || kind || '-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE TEMPORARY TABLE sold AS
	SELECT i, l, '2023-11-03 10:00'::timestamp + dice('day' || i, 820) * interval '1 day'
		+ dice('hour' || i, 11) * interval '1 hour' AS at,
		   CASE WHEN dice('who' || i, 4) > 0
				THEN id('a', least(dice('who2' || i, 40), dice('who3' || i, 40))) END AS who,
		   id('b', dice('what' || i || '/' || l, 12)) AS product, nullif(dice('where' || i, 4), 3) AS store,
		   1 + dice('n' || i || '/' || l, 3) / 2 AS quantity,
		   dice('sum' || i || '/' || l, 60) * 100
			   + 90.50 * (dice('sum' || i || '/' || l, 60) > 0)::int AS amount
	FROM generate_series(1, 420) i, generate_series(1, 3) l WHERE l <= 1 + dice('lines' || i, 5) / 2;
INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, customer_id,
							product_id, store_id, document_id, document_type,
							quantity, amount, attribution)
	SELECT 'sg', 'sales', id('d', i),
		   CASE WHEN i % 17 = 0 THEN 'Document_ВводНачальныхОстатков' ELSE 'Document_ЧекККМ' END, l, at,
		   i % 19 > 0, who, product,
		   id('c', store), id('d', i), 'Document_ЧекККМ', quantity, amount,
		   CASE WHEN who IS NULL THEN 'anonymous' ELSE 'counterparty' END FROM sold
	UNION ALL
	-- the whole of each ninth receipt comes back, a part of each eleventh, and of each thirteenth by a
	-- document that does not name the sale
	SELECT 'sg', 'sales', id('e', i), 'Document_ЧекККМВозврат', l,
		   at + dice('back' || i, 40) * interval '1 day', true, who, product, id('c', store),
		   CASE WHEN i % 9 = 0 OR i % 11 = 0 THEN id('d', i) END, 'Document_ЧекККМ', -quantity, -amount,
		   CASE WHEN who IS NULL THEN 'anonymous' ELSE 'counterparty' END
	FROM sold WHERE i % 9 = 0 OR i % 11 = 0 AND l = 1 OR i % 13 = 0 AND l = 1;
-- cards: of buyers, and of two people who never bought
INSERT INTO onec.discount_card (server, card_id, code, description, barcode, owner_id, deletion_mark)
	SELECT 'sg', id('f', n), n::text, 'Карта', '7000000' || lpad(n::text, 4, '0'), id('a', n), false
	FROM generate_series(0, 41) n;
INSERT INTO onec.counterparty (server, customer_id, name) SELECT 'sg', id('a', n), 'Покупатель ' || n
FROM generate_series(0, 41) n;
INSERT INTO onec.product (server, product_id, name) SELECT 'sg', id('b', n), 'Товар ' || n
FROM generate_series(0, 11) n;
INSERT INTO onec.store (server, store_id, name) SELECT 'sg', id('c', n), 'Магазин ' || n
FROM generate_series(0, 2) n;
SELECT onec.set('count_free_receipts', 'true', 'sg');
SELECT rows_inserted FROM onec_internal.refresh_people('sg');

-- the oracle's own facts: what counts, and which receipts are purchases
CREATE TEMPORARY VIEW fact AS
	SELECT * FROM onec.sale_line s
	WHERE s.server = 'sg' AND s.active AND s.recorder_type <> 'Document_ВводНачальныхОстатков';
CREATE FUNCTION bought(day date) RETURNS TABLE (who uuid, doc uuid, at timestamp,
												net numeric) LANGUAGE plpgsql AS $$
DECLARE
	d record;
	plus numeric;
BEGIN
	FOR d IN SELECT DISTINCT f.customer_id AS c, coalesce(f.document_id, f.recorder) AS r FROM fact f
		WHERE f.period::date <= day LOOP
		SELECT d.c, d.r, min(f.period), sum(f.amount),
			   sum(CASE WHEN f.amount > 0 THEN f.amount ELSE 0 END) INTO who, doc, at, net, plus
		FROM fact f WHERE coalesce(f.document_id, f.recorder) = d.r AND f.customer_id IS NOT DISTINCT FROM d.c
			AND f.period::date <= day;
		CONTINUE WHEN plus > 0 AND net <= 0;
		CONTINUE WHEN plus = 0
			AND (net < 0 OR NOT EXISTS (SELECT FROM fact f WHERE f.document_id = d.r AND f.quantity > 0));
		RETURN NEXT;
	END LOOP;
END $$;
SELECT count(*) AS receipts, count(DISTINCT who) AS buyers, count(*) FILTER (WHERE who IS NULL) AS anonymous
FROM bought('2026-03-01');

-- RFM against the same from other building blocks, in each mode and for both frequencies
CREATE FUNCTION oracle(day date, days int, by_receipts boolean, mode text)
	RETURNS TABLE (customer_id uuid, recency int, frequency int, monetary numeric, r int, f int,
				   m int) LANGUAGE sql AS $$
	WITH v AS (
		SELECT p.n, (SELECT day - max(b.at::date) FROM bought(day) b WHERE b.who = p.n) AS recency,
			   (SELECT CASE WHEN by_receipts THEN count(*) ELSE count(DISTINCT b.at::date) END
				FROM bought(day) b WHERE b.who = p.n AND day - b.at::date < days)::int AS frequency,
			   (SELECT coalesce(sum(x.amount), 0) FROM fact x
				WHERE x.customer_id = p.n AND x.period::date <= day
				  AND day - x.period::date < days) AS monetary
		FROM (SELECT id('a', n) AS n FROM generate_series(0, 41) n) p),
	q AS (SELECT percentile_cont(array[.2,.4,.6,.8]) WITHIN GROUP (ORDER BY v.recency) AS r,
				 percentile_cont(array[.2,.4,.6,.8]) WITHIN GROUP (ORDER BY v.frequency) AS f,
				 percentile_cont(array[.2,.4,.6,.8]) WITHIN GROUP (ORDER BY v.monetary) AS m FROM v
					 WHERE v.frequency > 0),
	c AS (SELECT CASE WHEN mode = 'thresholds' THEN '{30,60,120,240}' ELSE q.r END AS r,
				 CASE WHEN mode = 'thresholds' THEN '{1,2,3,5}' ELSE q.f END AS f,
				 CASE WHEN mode = 'thresholds' THEN '{3000,10000,30000,60000}' ELSE q.m END AS m,
				 CASE WHEN mode = 'r_compat' THEN 0.9999999 ELSE 0.0000001 END AS e FROM q)
	SELECT v.n, v.recency, v.frequency, v.monetary,
		   CASE WHEN v.frequency > 0
				THEN 5 - ((v.recency > c.r[1] + c.e)::int + (v.recency > c.r[2] + c.e)::int
						  + (v.recency > c.r[3] + c.e)::int + (v.recency > c.r[4] + c.e)::int) END,
		   CASE WHEN v.frequency > 0
				THEN 1 + ((v.frequency > c.f[1] + c.e)::int + (v.frequency > c.f[2] + c.e)::int
						  + (v.frequency > c.f[3] + c.e)::int + (v.frequency > c.f[4] + c.e)::int) END,
		   CASE WHEN v.frequency > 0
				THEN 1 + ((v.monetary > c.m[1] + c.e)::int + (v.monetary > c.m[2] + c.e)::int
						  + (v.monetary > c.m[3] + c.e)::int + (v.monetary > c.m[4] + c.e)::int) END
	FROM v, c $$;
CREATE FUNCTION compared(day date, days int, by_receipts boolean, mode text) RETURNS TABLE (customers bigint,
	scored bigint, different bigint) LANGUAGE sql AS $$
	SELECT onec.set('rfm.window', days::text, 'sg'), onec.set('rfm.mode', mode, 'sg'),
		   onec.set('rfm.frequency', CASE WHEN by_receipts THEN 'receipts' ELSE 'visits' END, 'sg');
	SELECT count(*), count(x.rfm),
		   count(*) FILTER (WHERE ROW(x.recency_days, x.frequency, x.monetary, x.r_score, x.f_score,
									  x.m_score, x.rfm)
		IS DISTINCT FROM ROW(o.recency, o.frequency, o.monetary, o.r, o.f, o.m,
							 o.r::text || o.f::text || o.m::text))
	FROM onec.rfm('sg', day) x
	FULL JOIN oracle(day, CASE WHEN days = 0 THEN 100000 ELSE days END, by_receipts, mode) o
		ON o.customer_id = x.customer_id $$;
SELECT mode, days, c.* FROM unnest('{quantile,thresholds,r_compat}'::text[]) mode,
	   unnest('{0,90,365}'::int[]) days, compared('2026-01-10', days, days = 90, mode) c;
SELECT c.* FROM compared('2024-12-31', 365, false, 'quantile') c;
SELECT onec.set('rfm.mode', NULL, 'sg'), onec.set('rfm.window', NULL, 'sg'),
	   onec.set('rfm.frequency', NULL, 'sg');

-- the classes, and that they hold everybody once
SELECT * FROM onec.rfm_cutpoints('sg', '2026-01-10');
SELECT c.measure, sum(c.customers), bool_and(c.smallest > c.above) AS above,
	   bool_and(c.largest <= c.up_to) AS up_to FROM onec.rfm_cutpoints('sg', '2026-01-10') c
		   GROUP BY 1 ORDER BY 1;
-- equal values have equal scores
SELECT count(*) AS values, count(*) FILTER (WHERE n > 1) AS split
FROM (SELECT count(DISTINCT f_score) AS n FROM onec.rfm('sg', '2026-01-10') GROUP BY frequency) x;
-- quintiles of nothing, of one value, of a few
SELECT onec_internal.quintile_bounds('{}'), onec_internal.quintile_bounds('{7}'),
	   onec_internal.quintile_bounds('{1,1,1,1,5}'), onec_internal.quintile_bounds('{1,2,3,4,5,6}'),
	   onec_internal.quintile_bounds('{0.1,0.2}');
SELECT count(*) AS lists, count(*) FILTER (WHERE abs(q.exact[k] - q.float[k]) > 1e-9) AS different,
	   count(*) FILTER (WHERE q.exact[k] = ANY (q.list)) AS on_a_value
FROM generate_series(1, 4) k,
	(SELECT onec_internal.quintile_bounds(array_agg(v ORDER BY v)) AS exact,
			percentile_cont(array[.2,.4,.6,.8]) WITHIN GROUP (ORDER BY v) AS float, array_agg(v) AS list
							   FROM generate_series(1, 60) n, generate_series(1, n) i,
								   LATERAL (SELECT dice(n || 'v' || i, 500) / 4.0 AS v) v GROUP BY n) q;
SELECT count(*) FROM onec.rfm('sg', '2020-01-01')
WHERE rfm IS NOT NULL OR segment <> 'prospect' OR recency_days IS NOT NULL;
SELECT count(*) FROM onec.rfm_cutpoints('sg', '2020-01-01') WHERE customers > 0;

-- segments: the first that fits wins, the rest are others
SELECT onec.load_rfm_segments('default', 'sg');
SELECT segment, segment_title, count(*), min(rfm), max(rfm) FROM onec.rfm('sg', '2026-01-10')
GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) AS customers, count(*) FILTER (WHERE r.segment IS DISTINCT FROM CASE
	WHEN r.recency_days IS NULL THEN 'prospect' WHEN r.rfm IS NULL THEN 'inactive'
	WHEN r.rfm = '555' THEN 'champions' WHEN r.rfm ~ '[345][345][2345]' THEN 'potential_loyalist'
	WHEN r.rfm ~ '[234][234][234]' THEN 'loyal' WHEN r.rfm ~ '[34][123][345]' THEN 'promising'
	WHEN r.rfm ~ '[45][123].' THEN 'new' WHEN r.rfm ~ '[12][34][45]' THEN 'cant_lose'
	WHEN r.rfm ~ '[12][2345][45]' THEN 'at_risk' WHEN r.rfm ~ '[123][345][345]' THEN 'need_attention'
	WHEN r.rfm ~ '[23][123][1234]' THEN 'about_to_sleep' WHEN r.rfm ~ '1..' THEN 'lost'
	ELSE 'others' END) AS different FROM onec.rfm('sg', '2026-01-10') r;
-- in the other sets every triple has its segment
SELECT onec.load_rfm_segments('shopify', 'sg');
SELECT segment, count(*), min(rfm), max(rfm) FROM onec.rfm('sg', '2026-01-10') GROUP BY 1 ORDER BY 1;
SELECT count(*) AS triples, count(s.code) AS with_segment
FROM generate_series(1, 5) r, generate_series(2, 10) fm
LEFT JOIN LATERAL (SELECT t.code FROM onec.rfm_segment t
				   WHERE t.set_name = 'shopify' AND r BETWEEN t.r_lo AND t.r_hi
					 AND fm / 2.0 BETWEEN t.fm_lo AND t.fm_hi LIMIT 1) s ON true;
SELECT onec.load_rfm_segments('simple', 'sg');
SELECT count(*) AS customers,
	   count(*) FILTER (WHERE segment IS DISTINCT FROM CASE WHEN rfm IS NULL AND recency_days IS NULL
															THEN 'prospect' WHEN rfm IS NULL THEN 'inactive'
	WHEN r_score + f_score + m_score >= 12 THEN 'vip' WHEN r_score + f_score + m_score >= 8 THEN 'active'
	WHEN r_score + f_score + m_score >= 5 THEN 'regular'
	WHEN recency_days > 90 THEN 'sleeping' ELSE 'new' END) AS different FROM onec.rfm('sg', '2026-01-10');
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, r_lo, m_lo)
VALUES ('own', 1, 'best', 'Лучшие', 5, 4);
SELECT onec.load_rfm_segments('own', 'sg');
SELECT DISTINCT segment, segment_title FROM onec.rfm('sg', '2026-01-10') ORDER BY 1;
SELECT onec.load_rfm_segments('owm', 'sg');
SELECT onec.load_rfm_segments('default', 'sg');
DELETE FROM onec.rfm_segment WHERE set_name = 'own';
SELECT onec.set('rfm.mode', 'thresholds', 'sg'), onec.set('rfm.frequency_cuts', '{1,3,2,4}', 'sg');
SELECT count(*) FROM onec.rfm('sg', '2026-01-10');
SELECT onec.set('rfm.frequency_cuts', NULL, 'sg');
SELECT onec.set('rfm.mode', 'ntile', 'sg');
SELECT onec.set('rfm.mode', NULL, 'sg');

-- the table: only what changed is written
SELECT * FROM onec.refresh_rfm('sg', '2026-01-10');
SELECT * FROM onec.refresh_rfm('sg', '2026-01-10');
SELECT count(*) AS rows,
	   count(*) FILTER (WHERE ROW(c.last_purchase, c.frequency, c.monetary, c.rfm, c.segment) IS DISTINCT FROM
	ROW(date '2026-01-10' - r.recency_days, r.frequency, r.monetary, r.rfm, r.segment)) AS different
FROM onec.customer_rfm c FULL JOIN onec.rfm('sg', '2026-01-10') r ON r.customer_id = c.customer_id
WHERE c.server IS NOT DISTINCT FROM 'sg';
UPDATE onec.sale_line SET amount = amount + 1
WHERE server = 'sg' AND recorder = (SELECT b.doc FROM bought('2026-01-10') b
									WHERE b.who IS NOT NULL AND b.at > '2025-06-01' ORDER BY b.at, b.doc
									LIMIT 1) AND line_no = 1;
SELECT rows_inserted, rows_updated, rows_deleted FROM onec.refresh_rfm('sg', '2026-01-10');
DELETE FROM onec.customer_card WHERE server = 'sg' AND customer_id = id('a', 41);
SELECT rows_inserted, rows_updated, rows_deleted FROM onec.refresh_rfm('sg', '2026-01-10');
SELECT s.segment, s.segment_title, s.customers, s.share, s.monetary, s.monetary_share FROM onec.rfm_summary s
WHERE s.server = 'sg' ORDER BY 1;
SELECT sum(s.customers) AS customers,
	   sum(s.monetary) = (SELECT sum(f.amount) FROM fact f
						  WHERE f.customer_id IS NOT NULL
							AND f.period::date BETWEEN '2025-01-11' AND '2026-01-10') AS all_revenue
FROM onec.rfm_summary s WHERE s.server = 'sg';
-- neither the order of rows nor the zone of the session matters
SELECT md5(string_agg(r::text, ';' ORDER BY r.customer_id)) AS before
FROM onec.rfm('sg', '2026-01-10') r \gset
CREATE TEMPORARY TABLE shuffled AS SELECT * FROM onec.sale_line WHERE server = 'sg'
	ORDER BY md5(recorder::text || line_no);
DELETE FROM onec.sale_line WHERE server = 'sg';
INSERT INTO onec.sale_line SELECT * FROM shuffled;
SET TIME ZONE 'Pacific/Kiritimati';
SELECT md5(string_agg(r::text, ';' ORDER BY r.customer_id)) = :'before' AS same
FROM onec.rfm('sg', '2026-01-10') r;
SET TIME ZONE 'UTC';

-- cohorts, each cell counted by itself
CREATE FUNCTION month_of(d timestamp) RETURNS date LANGUAGE sql IMMUTABLE AS $$
	SELECT make_date(extract(year FROM d)::int, extract(month FROM d)::int, 1) $$;
CREATE FUNCTION cohorts_differ(day date) RETURNS TABLE (cells bigint, future bigint,
														different bigint) LANGUAGE sql AS $$
	WITH b AS MATERIALIZED (SELECT * FROM bought(day) x WHERE x.who IS NOT NULL),
	born AS MATERIALIZED (SELECT DISTINCT ON (b.who) b.who, month_of(b.at) AS cohort FROM b
						  ORDER BY b.who, b.at),
	o AS (
		SELECT c.cohort, n, (c.cohort + n * interval '1 month')::date AS month,
			   (SELECT count(*) FROM born WHERE born.cohort = c.cohort) AS customers
		FROM (SELECT DISTINCT cohort FROM born) c, generate_series(0, 60) n
		WHERE c.cohort + n * interval '1 month'
			- (c.cohort - (SELECT min(cohort) FROM born)) * interval '1 day' <= month_of(day)
				+ interval '15 days'),
	p AS (
		SELECT o.*, o.month <= day AS past, (SELECT count(DISTINCT b.who) FROM b JOIN born USING (who)
											 WHERE born.cohort = o.cohort
											   AND month_of(b.at) = o.month) AS retained,
			   (SELECT count(*) FROM b JOIN born USING (who)
				WHERE born.cohort = o.cohort AND month_of(b.at) = o.month) AS receipts,
			   (SELECT coalesce(sum(f.amount), 0) FROM fact f JOIN born ON born.who = f.customer_id
				WHERE born.cohort = o.cohort AND f.period::date <= day
				AND (month_of(f.period) = o.month OR o.n = 0 AND month_of(f.period) < o.month)) AS net,
			   (SELECT sum(f.amount) FROM fact f JOIN born ON born.who = f.customer_id
				WHERE born.cohort = o.cohort AND f.period::date <= day
				  AND month_of(f.period) <= o.month) AS sum
		FROM o)
	SELECT count(*), count(*) FILTER (WHERE c.retained IS NULL),
		   count(*) FILTER (WHERE ROW(c.month, c.customers, c.retained, c.retention, c.receipts, c.net,
									  c.cumulative_net_per_customer)
		IS DISTINCT FROM ROW(p.month, p.customers, CASE WHEN p.past THEN p.retained END,
							 CASE WHEN p.past THEN round(p.retained / p.customers::numeric, 4) END,
							 CASE WHEN p.past THEN p.receipts END, CASE WHEN p.past THEN p.net END,
							 CASE WHEN p.past THEN round(p.sum / p.customers, 2) END))
	FROM onec.cohort_retention_at('sg', day) c FULL JOIN p ON p.cohort = c.cohort AND p.n = c."offset" $$;
SELECT day, c.* FROM unnest('{2024-05-31,2025-06-15,2026-01-10}'::date[]) day, cohorts_differ(day) c;
SELECT c."offset", c.month, c.customers, c.retained, c.retention, c.receipts, c.net,
	   c.cumulative_net_per_customer, c.is_partial, c.left_censored
FROM onec.cohort_retention_at('sg', '2024-05-15') c WHERE c.cohort = '2024-01-01';
SELECT DISTINCT c.cohort, c.left_censored FROM onec.cohort_retention_at('sg', '2024-05-31') c ORDER BY 1;
SELECT m->>'server' AS server, m->>'as_of' AS as_of, m->>'offsets' AS offsets
FROM onec.cohort_matrix('sg', '2024-02-10') m;
SELECT c->>'cohort' AS cohort, c->>'customers' AS customers, c->>'left_censored' AS censored,
	   c->>'retained' AS retained, c->>'retention' AS retention, c->>'net' AS net,
	   c->>'cumulative_net_per_customer' AS cumulative
		   FROM json_array_elements(onec.cohort_matrix('sg', '2024-02-10')->'cohorts') c;
SELECT onec.cohort_matrix('sg', '2020-01-01');
SELECT count(*) > 0 AS rows, count(*) FILTER (WHERE v IS DISTINCT FROM f) AS different
FROM (SELECT c.cohort, c."offset", c.retained, c.net FROM onec.cohort_retention c WHERE c.server = 'sg') v
FULL JOIN (SELECT c.cohort, c."offset", c.retained, c.net
		   FROM onec.cohort_retention_at('sg', onec.local_now('sg')::date) c) f ON f = v;

-- ABC/XYZ: shares by comparing each with all, variation from sums of squares
CREATE FUNCTION abc_differs(day date, since timestamp) RETURNS TABLE (items bigint, classes text,
	different bigint) LANGUAGE sql AS $$
	WITH f AS MATERIALIZED (SELECT * FROM fact x WHERE x.period::date <= day AND x.period >= since),
	item AS (SELECT 'customer' AS kind, customer_id AS id, sum(amount) AS net FROM f
			 WHERE customer_id IS NOT NULL GROUP BY 2
			 UNION ALL SELECT 'product', product_id, sum(amount) FROM f GROUP BY 2),
	share AS (SELECT i.*, (SELECT sum(j.net) FROM item j
						   WHERE j.kind = i.kind AND j.net > 0 AND j.net >= i.net) / (SELECT sum(j.net)
							   FROM item j WHERE j.kind = i.kind AND j.net > 0) AS upto,
					 i.net = (SELECT max(j.net) FROM item j WHERE j.kind = i.kind) AS top FROM item i),
	vary AS (
		SELECT s.*, v.* FROM share s CROSS JOIN LATERAL (
			SELECT count(*) AS months, avg(m.net)::float8 AS mean,
				   sqrt(greatest(avg(m.net * m.net) - avg(m.net) ^ 2, 0))::float8 AS deviation
			FROM (SELECT sum(f.amount) AS net FROM f
				  WHERE s.id = CASE s.kind WHEN 'customer' THEN f.customer_id ELSE f.product_id END
				  AND to_char(f.period, 'YYYY-MM') <= to_char(day - 27, 'YYYY-MM')
				GROUP BY to_char(f.period, 'YYYY-MM')) m) v),
	o AS (SELECT *, CASE WHEN net <= 0 THEN 'C' WHEN upto <= 0.8 OR top THEN 'A' WHEN upto <= 0.95 THEN 'B'
						 ELSE 'C' END AS abc,
				 CASE WHEN months < 3 OR mean <= 0 THEN '' WHEN deviation / mean <= 0.4 THEN 'X'
					  WHEN deviation / mean <= 0.6 THEN 'Y' ELSE 'Z' END AS xyz FROM vary)
	SELECT count(*), (SELECT string_agg(x.class || ' ' || x.n, ', ' ORDER BY x.class)
					  FROM (SELECT o.abc || o.xyz AS class, count(*) AS n FROM o GROUP BY 1) x),
		   count(*) FILTER (WHERE ROW(a.net, a.cumulative_share, a.class,
									  a.active_months) IS DISTINCT FROM ROW(o.net,
										  round(coalesce(o.upto, 1), 4), o.abc || o.xyz, o.months)
			OR a.variation IS DISTINCT FROM CASE WHEN o.mean > 0
												 THEN round((o.deviation / o.mean)::numeric, 4) END)
	FROM onec.abc_xyz_at('sg', day) a FULL JOIN o ON o.kind = a.kind AND o.id = a.item_id $$;
SELECT onec.set('xyz.x', '0.4', 'sg'), onec.set('xyz.y', '0.6', 'sg');
SELECT c.* FROM abc_differs('2026-01-27', '2025-02-01') c;
SELECT onec.set('abc.months', '0', 'sg');
SELECT c.* FROM abc_differs('2025-10-27', '-infinity') c;
SELECT onec.set('abc.months', NULL, 'sg');
-- equal sums stay together, the only one is A, what was only returned is C
CREATE FUNCTION small(kind text, sums numeric[]) RETURNS TABLE (net numeric, upto numeric, abc text,
																xyz text) LANGUAGE sql AS $$
	DELETE FROM onec.sale_line WHERE server = 'sg2';
	INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, customer_id,
								product_id, quantity, amount, attribution)
		SELECT 'sg2', 'sales', id('d', n::int), 'Document_ЧекККМ', 1, '2026-01-10', id('a', n::int),
			   id('b', n::int), coalesce(nullif(sign(s), 0), 1), s, 'counterparty'
				   FROM unnest(sums) WITH ORDINALITY u (s, n);
	SELECT a.net, a.cumulative_share, a.abc, a.xyz FROM onec.abc_xyz_at('sg2', '2026-01-20') a
	WHERE a.kind = small.kind $$;
CREATE SERVER sg2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														 timezone 'Europe/Moscow');
SELECT * FROM small('product', '{50,30,10,5,5,-3}');
SELECT * FROM small('customer', '{40,20,20,20}');
SELECT * FROM small('product', '{100}');
SELECT * FROM small('product', '{-5,0}');
DELETE FROM onec.sale_line WHERE server = 'sg2';

CREATE TEMPORARY TABLE bought_then AS SELECT * FROM bought('2026-01-10');
-- seasons: history begins on the 6th of November, so that month counts from the next year on
SELECT min(period) FROM fact;
SELECT m.month, m.observed, m.gross, m.net, m.receipts, m.gross_per_month, m.net_per_month, m.season_index,
	   m.whole_year FROM onec.month_season_at('sg', '2026-01-10') m;
SELECT count(*) AS months,
	   count(*) FILTER (WHERE ROW(m.observed, m.gross, m.net, m.receipts,
								  m.gross_per_month) IS DISTINCT FROM ROW(o.times, o.gross, o.net, o.receipts,
									  round(o.gross / o.times, 2))) AS different,
	   round(avg(m.season_index), 3) AS mean
FROM onec.month_season_at('sg', '2026-01-10') m
JOIN (SELECT n, count(*) AS times,
			 (SELECT sum(f.amount) FROM fact f WHERE f.amount > 0 AND f.period >= '2023-12-01'
				AND f.period < '2026-01-01' AND to_char(f.period, 'FMMM') = n::text) AS gross,
			 (SELECT sum(f.amount) FROM fact f
			  WHERE f.period >= '2023-12-01' AND f.period < '2026-01-01'
				AND to_char(f.period, 'FMMM') = n::text) AS net,
			 (SELECT count(*) FROM bought_then b
			  WHERE b.at >= '2023-12-01' AND b.at < '2026-01-01'
				AND to_char(b.at, 'FMMM') = n::text) AS receipts
	  FROM generate_series(1, 12) n, unnest('{2023,2024,2025}'::int[]) y
	  WHERE make_date(y, n, 1) BETWEEN '2023-12-01' AND '2025-12-01' GROUP BY n) o ON o.n = m.month;
-- the last day of a month ends it; a history shorter than a year cannot be compared
SELECT m.month, m.observed, m.whole_year FROM onec.month_season_at('sg', '2024-01-31') m WHERE m.observed > 0;
SELECT count(*), sum(m.observed) FROM onec.month_season_at('sg', '2020-01-31') m;

-- hours on the shop's clock, in the whole year before the day
SELECT count(*) AS cells, sum(w.receipts) AS receipts, (sum(w.days) / 24)::int AS days,
	   sum(w.share) > 0.99 AS whole,
	   count(*) FILTER (WHERE ROW(w.receipts, w.net, w.days) IS DISTINCT FROM ROW(
	(SELECT count(*) FROM bought_then b
	 WHERE b.at >= '2025-01-11' AND to_char(b.at, 'ID HH24') = w.weekday || ' '
		 || lpad(w.hour::text, 2, '0')),
	(SELECT coalesce(sum(b.net), 0) FROM bought_then b
	 WHERE b.at >= '2025-01-11' AND to_char(b.at, 'ID HH24') = w.weekday || ' '
		 || lpad(w.hour::text, 2, '0')),
	(SELECT count(*) FROM generate_series(0, 364) d
	 WHERE to_char(date '2026-01-10' - d, 'ID') = w.weekday::text))) AS different
FROM onec.weekday_hour_at('sg', '2026-01-10') w;
SET TIME ZONE 'Asia/Tokyo';
SELECT w.* FROM onec.weekday_hour_at('sg', '2026-01-10') w WHERE w.weekday = 6 AND w.hour BETWEEN 9 AND 12;
SET TIME ZONE 'UTC';

-- stores
SELECT right(t.store_id::text, 2) AS store, t.receipts, t.customers, t.items, t.gross, t.returned, t.net,
	   t.share, t.average_check, t.known_share, t.previous_net, t.change
FROM onec.store_summary_at('sg', '2026-01-10') t;
SELECT count(*) AS stores,
	   count(*) FILTER (WHERE ROW(t.items, t.gross, t.returned, t.net, t.receipts, t.customers,
								  t.previous_net, t.average_check) IS DISTINCT FROM ROW(
	(SELECT sum(f.quantity) FROM fact f
	 WHERE f.store_id IS NOT DISTINCT FROM t.store_id
	   AND f.period::date BETWEEN '2025-01-11' AND '2026-01-10'),
	(SELECT sum(f.amount) FROM fact f
	 WHERE f.store_id IS NOT DISTINCT FROM t.store_id AND f.period::date BETWEEN '2025-01-11' AND '2026-01-10'
	   AND f.amount > 0),
	(SELECT sum(f.amount) FROM fact f
	 WHERE f.store_id IS NOT DISTINCT FROM t.store_id AND f.period::date BETWEEN '2025-01-11' AND '2026-01-10'
	   AND f.amount < 0),
	(SELECT sum(f.amount) FROM fact f
	 WHERE f.store_id IS NOT DISTINCT FROM t.store_id
	   AND f.period::date BETWEEN '2025-01-11' AND '2026-01-10'),
	(SELECT count(*) FROM bought_then b
	 WHERE b.at >= '2025-01-11'
	   AND EXISTS (SELECT FROM fact f
				   WHERE f.document_id = b.doc AND f.store_id IS NOT DISTINCT FROM t.store_id)),
	(SELECT count(DISTINCT b.who) FROM bought_then b
	 WHERE b.at >= '2025-01-11'
	   AND EXISTS (SELECT FROM fact f
				   WHERE f.document_id = b.doc AND f.store_id IS NOT DISTINCT FROM t.store_id)),
	(SELECT sum(f.amount) FROM fact f
	 WHERE f.store_id IS NOT DISTINCT FROM t.store_id
	   AND f.period::date BETWEEN '2024-01-12' AND '2025-01-10'),
	(SELECT round(avg(b.net), 2) FROM bought_then b
	 WHERE b.at >= '2025-01-11'
	   AND EXISTS (SELECT FROM fact f
				   WHERE f.document_id = b.doc
					 AND f.store_id IS NOT DISTINCT FROM t.store_id)))) AS different,
	sum(t.net) = (SELECT sum(f.amount) FROM fact f
				  WHERE f.period::date BETWEEN '2025-01-11' AND '2026-01-10') AS all_revenue
FROM onec.store_summary_at('sg', '2026-01-10') t;

-- the views show today, with names
CREATE FUNCTION today() RETURNS date LANGUAGE sql AS $$ SELECT onec.local_now('sg')::date $$;
SELECT count(*) > 0 AS rows, count(*) FILTER (WHERE v IS DISTINCT FROM f) AS different
FROM (SELECT a.kind, a.item_id, a.net, a.class, a.title FROM onec.abc_xyz a WHERE a.server = 'sg') v
FULL JOIN (SELECT a.kind, a.item_id, a.net, a.class,
				  CASE a.kind WHEN 'product' THEN 'Товар ' ELSE 'Покупатель ' END
					  || right(a.item_id::text, 12)::int
		   FROM onec.abc_xyz_at('sg', today()) a) f ON f = v;
SELECT count(*) AS rows, count(*) FILTER (WHERE v IS DISTINCT FROM f) AS different
FROM (SELECT m.month, m.observed, m.net, m.season_index FROM onec.month_season m WHERE m.server = 'sg') v
FULL JOIN (SELECT m.month, m.observed, m.net, m.season_index
		   FROM onec.month_season_at('sg', today()) m) f ON f = v;
SELECT count(*) AS rows, count(*) FILTER (WHERE v IS DISTINCT FROM f) AS different
FROM (SELECT w.weekday, w.hour, w.days, w.receipts FROM onec.weekday_hour w WHERE w.server = 'sg') v
FULL JOIN (SELECT w.weekday, w.hour, w.days, w.receipts
		   FROM onec.weekday_hour_at('sg', today()) w) f ON f = v;
SELECT onec.set('analysis.window', '0', 'sg');
SELECT t.store, t.net = (SELECT sum(f.amount) FROM fact f
						 WHERE f.store_id IS NOT DISTINCT FROM t.store_id) AS all_time,
							 t.previous_net, t.change
FROM onec.store_summary t WHERE t.server = 'sg' ORDER BY 1;
SELECT onec.set('analysis.window', NULL, 'sg');

-- revenue by month and store
SELECT count(*) > 50 AS rows,
	   count(*) FILTER (WHERE ROW(r.net, r.gross, r.returned, r.known_net, r.receipts,
								  r.customers) IS DISTINCT FROM ROW(
	(SELECT sum(f.amount) FROM fact f
	 WHERE f.store_id IS NOT DISTINCT FROM r.store_id AND month_of(f.period) = r.month
	   AND f.period::date <= '2026-01-10'),
	(SELECT coalesce(sum(f.amount), 0) FROM fact f WHERE f.store_id IS NOT DISTINCT FROM r.store_id
	   AND month_of(f.period) = r.month AND f.period::date <= '2026-01-10' AND f.amount > 0),
	(SELECT coalesce(sum(f.amount), 0) FROM fact f WHERE f.store_id IS NOT DISTINCT FROM r.store_id
	   AND month_of(f.period) = r.month AND f.period::date <= '2026-01-10' AND f.amount < 0),
	(SELECT coalesce(sum(f.amount), 0) FROM fact f WHERE f.store_id IS NOT DISTINCT FROM r.store_id
	   AND month_of(f.period) = r.month AND f.period::date <= '2026-01-10' AND f.customer_id IS NOT NULL),
	(SELECT count(*) FROM bought_then b
	 WHERE month_of(b.at) = r.month
	   AND EXISTS (SELECT FROM fact f
				   WHERE f.document_id = b.doc AND f.store_id IS NOT DISTINCT FROM r.store_id)),
	(SELECT count(DISTINCT b.who) FROM bought_then b
	 WHERE month_of(b.at) = r.month
	   AND EXISTS (SELECT FROM fact f
				   WHERE f.document_id = b.doc
					 AND f.store_id IS NOT DISTINCT FROM r.store_id)))) AS different,
	sum(r.new_customers) = (SELECT count(DISTINCT b.who) FROM bought_then b) AS each_new_once
FROM onec.revenue_month_at('sg', '2026-01-10') r;
SELECT count(*) > 0 AS rows, sum(r.net) = (SELECT sum(amount) FROM fact) AS all_revenue,
	   count(*) FILTER (WHERE r.store IS DISTINCT FROM 'Магазин '
						|| right(r.store_id::text, 12)::int) AS misnamed
FROM onec.revenue_month r WHERE r.server = 'sg';

-- neither the order of rows nor the zone of the session matters
CREATE FUNCTION printed() RETURNS text LANGUAGE sql AS $$
	SELECT md5((SELECT string_agg(x::text, '' ORDER BY x::text COLLATE "C")
				FROM onec.cohort_retention_at('sg', '2026-01-10') x) || onec.cohort_matrix('sg', '2026-01-10')
		|| (SELECT string_agg(x::text, '') FROM onec.abc_xyz_at('sg', '2026-01-10') x)
			|| (SELECT string_agg(x::text, '') FROM onec.month_season_at('sg', '2026-01-10') x)
		|| (SELECT string_agg(x::text, '') FROM onec.weekday_hour_at('sg', '2026-01-10') x)
			|| (SELECT string_agg(x::text, '') FROM onec.store_summary_at('sg', '2026-01-10') x)
		|| (SELECT string_agg(x::text, '') FROM onec.revenue_month_at('sg', '2026-01-10') x)) $$;
SELECT printed() AS before \gset
DELETE FROM onec.sale_line WHERE server = 'sg';
INSERT INTO onec.sale_line SELECT * FROM shuffled ORDER BY amount, md5(recorder::text);
SET TIME ZONE 'Pacific/Kiritimati';
SELECT printed() = :'before' AS same;
SET TIME ZONE 'UTC';

-- one organization of two, and no document excluded
UPDATE onec.sale_line SET organization_id = id('9', line_no::int) WHERE server = 'sg';
SELECT onec.set('organization_ids', array[id('9', 2)]::text, 'sg'),
	   onec.set('exclude_recorder_types', '{}', 'sg');
SELECT sum(r.net) = (SELECT sum(s.amount) FROM onec.sale_line s
					 WHERE s.server = 'sg' AND s.active AND s.line_no = 2) AS net
					 FROM onec.revenue_month_at('sg', '2026-12-31') r;
SELECT sum(r.monetary) = (SELECT sum(s.amount) FROM onec.sale_line s
						  WHERE s.server = 'sg' AND s.active AND s.line_no = 2 AND s.customer_id IS NOT NULL
							AND s.period >= '2025-02-01' AND s.period < '2026-02-01') AS monetary
FROM onec.rfm('sg', '2026-01-31') r;
SELECT onec.set('organization_ids', NULL, 'sg'), onec.set('exclude_recorder_types', NULL, 'sg');

-- whom to call.  Profiles by hand: a regular who is due, one overdue, one lost, one seen once, one with two
-- visits, one without a telephone
DELETE FROM onec.sale_line WHERE server = 'sg';
INSERT INTO onec.customer_profile (server, customer_id, total_revenue, gross_revenue, returns_amount,
								   receipts, lines, visits, total_items, purchase_frequency,
								   median_gap, last_purchase, favorite_categories, favorite_stores,
								   month_share, buys_8_march, buys_new_year, buys_valentine)
	SELECT 'sg', id('a', n), revenue, revenue, 0, visits, visits, visits, visits, 'monthly', gap, last,
		   '{earrings}', '{}', '{}', false, false, false
	FROM (VALUES (50, 100, 4, 30, timestamp '2026-01-12 19:00'), (51, 900, 4, 30, '2025-12-01 10:00'),
		  (52, 800, 4, 30, '2025-08-01 10:00'), (53, 700, 1, NULL, '2026-01-01 10:00'),
				 (54, 600, 2, 60, '2025-12-31 10:00'),
				 (55, 500, 4, 30, '2026-01-12 10:00')) v (n, revenue, visits, gap, last);
INSERT INTO onec.site_user (server, user_id, customer_id, phone, is_active, name)
	SELECT 'sg', id('a', n), id('a', n), CASE WHEN n <> 55 THEN '7000000' || lpad(n::text, 4, '0') END, true,
		   'Имя ' || n FROM generate_series(50, 57) n;
INSERT INTO onec.customer_card (server, card_id, user_id, customer_id, is_primary)
SELECT 'sg', id('f', n), id('a', n), id('a', n), true FROM generate_series(50, 57) n;
-- points: 56 has 300 left, of which 120 and 100 burn in time and 50 later; 57 has spent most of what would
-- burn; 51 loses nothing soon
INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind,
								   card_id, accrued)
	SELECT 'sg', id('1', n), 'Document_НачислениеИСписаниеБонусныхБаллов', n, at, n <> 9, kind,
		   id('f', who), points
	FROM (VALUES (1, timestamp '2025-02-01', 'Receipt', 56, 350), (2, '2025-06-01', 'Expense', 56, 50),
		  (3, '2026-02-11', 'Expense', 56, 120), (4, '2026-02-20 10:00', 'Expense', 56, 100),
				 (5, '2026-02-26', 'Expense', 56, 50), (6, '2025-02-01', 'Receipt', 57, 200),
				 (7, '2025-03-01', 'Expense', 57, 170.5), (8, '2026-02-12', 'Expense', 57, 200),
				 (9, '2026-02-12', 'Expense', 50, 10),
				 (10, '2026-02-12', 'Receipt', 51, 10)) v (n, at, kind, who, points);
-- on the 10th of February: 50 is expected on the 11th; 51 was on the 31st of December, after 71 days of 30;
-- 52 is 6.4 gaps late; the shop's usual gap is 30, so that of 54 is (60 + 2*30)/3 = 40 and the day is the 9th
SELECT right(c.customer_id::text, 2) AS who, c.place, c.reasons, c.expected_next, c.days_since,
	   c.overdue_ratio, c.usual_gap, c.points_balance, c.points_burning, c.points_burn_on
FROM onec.call_list_at('sg', '2026-02-10') c ORDER BY c.place;
SELECT onec.set('call.min_visits', '1', 'sg'), onec.set('call.max_overdue', '10', 'sg'),
	   onec.set('call.days_ahead', '0', 'sg'), onec.set('call.points_days', '1', 'sg');
SELECT right(c.customer_id::text, 2) AS who, c.reasons, c.overdue_ratio, c.points_burning
FROM onec.call_list_at('sg', '2026-02-10') c ORDER BY c.place;
SELECT onec.set('loyalty.enabled', 'false', 'sg');
SELECT count(*) FROM onec.call_list_at('sg', '2026-02-10') c
WHERE 'points' = ANY (c.reasons) OR c.points_balance IS NOT NULL;
SELECT onec.set('loyalty.enabled', NULL, 'sg');
-- the view, a day from today
BEGIN;
UPDATE onec.customer_profile
SET last_purchase = onec.local_now('sg')::date - CASE WHEN customer_id = id('a', 50) THEN 30 ELSE 1000 END
	WHERE server = 'sg';
SELECT c.name, c.phone, c.why = 'ждём ' || to_char(today(), 'DD.MM.YYYY') AS why, c.total_revenue,
	   c.favorite_categories FROM onec.call_list c WHERE c.server = 'sg';
COMMIT;

DELETE FROM onec.sale_line WHERE server = 'sg';
DELETE FROM onec.loyalty_movement WHERE server = 'sg';
DELETE FROM onec.discount_card WHERE server = 'sg';
DELETE FROM onec.counterparty WHERE server = 'sg';
DELETE FROM onec.product WHERE server = 'sg';
DELETE FROM onec.store WHERE server = 'sg';
DELETE FROM onec.site_user WHERE server = 'sg';
DELETE FROM onec.customer_card WHERE server = 'sg';
DELETE FROM onec.customer_profile WHERE server = 'sg';
DELETE FROM onec.customer_rfm WHERE server = 'sg';
DELETE FROM onec.config WHERE server = 'sg';
DROP FUNCTION printed, today, small, abc_differs, cohorts_differ, month_of, compared, oracle, bought, id,
dice CASCADE;
DROP SERVER sg2;
DROP SERVER sg;
