-- Pairs of goods, offers and their check, from rows put here by hand; what they ought to be is worked out by
-- queries of another make.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SERVER rt FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');
CREATE SERVER rt2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														 timezone 'Europe/Moscow');
CREATE SERVER ft FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');

CREATE FUNCTION id(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION no(id uuid) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT right(id::text, 12)::int $$;
CREATE FUNCTION sold(server name, doc int, line int, at timestamp, who int, product int, store int,
					 amount numeric,
					 kind text DEFAULT 'Document_ЧекККМ', on_ boolean DEFAULT true,
					 original int DEFAULT NULL) RETURNS int
	LANGUAGE sql AS $$
	INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active,
								customer_id, product_id, store_id,
								document_id, document_type, quantity, amount, attribution)
	SELECT server, 'sales', id(doc), kind, line, at, on_, id(who), id(product), id(store),
		   id(coalesce(original, doc)), 'Document_ЧекККМ',
		   sign(amount), amount, CASE WHEN who IS NULL THEN 'anonymous' ELSE 'counterparty' END
	RETURNING 1 $$;

-- seventeen goods of three categories and packaging
INSERT INTO onec.category (server, category_id, name)
	SELECT s, id(c), n FROM unnest('{rt,rt2,ft}'::name[]) s,
		   (VALUES (901, 'Серьги'), (902, 'Кольца'), (903, 'Колье'), (904, 'Упаковка')) v (c, n);
INSERT INTO onec.product (server, product_id, name, category_id)
	SELECT s, id(p), 'Товар ' || p, id(CASE WHEN p = 17 THEN 904 ELSE 901 + p % 3 END)
	FROM unnest('{rt,rt2}'::name[]) s, generate_series(1, 17) p;

-- forty customers with six receipts each; goods of a category cost alike, so there are many ties
CREATE VIEW made AS
	SELECT c * 100 + k AS doc, i AS line,
		   timestamp '2025-01-01 12:00' + ((c * 13 + k * 29) % 400) * interval '1 day' AS at, c AS who,
		   1 + (c * 7 + k * k * 3 + i * (c % 5 + 1) * 5) % 17 AS product, 800 + c % 3 AS store
	FROM generate_series(1, 40) c, generate_series(1, 6) k, generate_series(1, 3) i;
SELECT count(sold('rt', doc, line, at, who, product, store, 100 + product % 3 * 50)) FROM made;
-- some come back; and what does not count: a wholesaler, nobody, opening balances, rows switched off
SELECT count(sold('rt', doc + 10000, 1, at + interval '5 days', who, product, store,
				  -(100 + product % 3 * 50), 'Document_ЧекККМВозврат', true, doc))
	FROM made WHERE line = 1 AND doc % 7 = 0;
SELECT count(sold('rt', 50001, p, '2025-06-01', 77, p, 800, 100)) FROM generate_series(1, 16) p;
SELECT count(sold('rt', 50002, p, '2025-06-01', NULL, p, 800, 100)) FROM generate_series(1, 4) p;
SELECT count(sold('rt', 50003, p, '2025-06-01', 1, p, 800, 100, 'Document_ВводНачальныхОстатков'))
FROM generate_series(1, 4) p;
SELECT count(sold('rt', 50004, p, '2025-06-01', 1, p, 800, 100, 'Document_ЧекККМ', false))
FROM generate_series(1, 4) p;
INSERT INTO onec.sale_line
SELECT (l).* FROM (SELECT jsonb_populate_record(s, '{"server": "rt2"}') AS l FROM onec.sale_line s
	WHERE s.server = 'rt' ORDER BY s.line_no DESC, s.recorder DESC) x;
SELECT onec.set('pairs.max_basket', '15', s), onec.set('pairs.top', '5', s) FROM unnest('{rt,rt2}'::name[]) s;

SELECT * FROM onec.refresh_pairs('rt', '2026-03-01');
SELECT basis, count(*), count(DISTINCT product_id) AS products, max(n_ab) AS n_ab, max(score) AS score
FROM onec.product_pair WHERE server = 'rt' GROUP BY 1 ORDER BY 1;

-- the same by brute force: each pair of goods, each basket looked into
CREATE TEMPORARY TABLE kept AS
	SELECT s.customer_id AS c, s.document_id AS d, s.product_id AS p
	FROM onec.sale_line s
	WHERE s.server = 'rt' AND s.active AND s.recorder_type LIKE '%Чек%' AND no(s.product_id) <> 17
	  AND no(s.customer_id) IS DISTINCT FROM 77 AND s.amount > 0
	  AND NOT EXISTS (SELECT FROM onec.sale_line r
					  WHERE r.server = 'rt' AND r.amount < 0 AND r.document_id = s.document_id
						AND r.product_id = s.product_id
					  AND NOT EXISTS (SELECT FROM onec.sale_line t
									  WHERE t.server = 'rt' AND t.amount > 0 AND t.document_id = s.document_id
									  AND t.product_id = s.product_id AND t.line_no <> s.line_no));
CREATE TEMPORARY TABLE brute AS
	WITH basket AS (
		SELECT 'receipt' AS basis, array_agg(DISTINCT no(p)) AS goods FROM kept GROUP BY c, d
		UNION ALL SELECT 'customer', array_agg(DISTINCT no(p)) FROM kept WHERE c IS NOT NULL GROUP BY c),
	pair AS (
		SELECT b.basis, x, y, (SELECT count(*) FROM basket k WHERE k.basis = b.basis) AS all_,
			   (SELECT count(*) FROM basket k WHERE k.basis = b.basis AND x = ANY (goods)) AS a,
			   (SELECT count(*) FROM basket k WHERE k.basis = b.basis AND y = ANY (goods)) AS b,
			   (SELECT count(*) FROM basket k WHERE k.basis = b.basis AND ARRAY[x, y] <@ goods) AS ab
		FROM (VALUES ('receipt'), ('customer')) b (basis), generate_series(1, 17) x, generate_series(1, 17) y
		WHERE x <> y),
	measured AS (
		SELECT *, round(ab / power(a::numeric * b, 0.5) * (ab / (ab + 5.0)), 6) AS score FROM pair
		WHERE ab >= 3)
	SELECT m.*, (SELECT count(*) FROM measured o
				 WHERE o.basis = m.basis AND o.x = m.x
				   AND (o.score, o.ab, -o.y) > (m.score, m.ab, -m.y)) AS before
	FROM measured m;
SELECT count(*) AS compared, count(*) FILTER (WHERE p.server IS NULL OR b.basis IS NULL) AS not_in_both,
	   max(abs(p.n_a - b.a) + abs(p.n_b - b.b) + abs(p.n_ab - b.ab)) AS counts_off,
	   max(abs(p.score - b.score)) < 0.000002 AS score,
	   max(abs(p.support - b.ab::numeric / b.all_)) < 0.000001 AS support,
	   max(abs(p.confidence - b.ab::numeric / b.a)) < 0.000001 AS confidence,
	   max(abs(p.lift - (b.ab::numeric / b.all_) / ((b.a::numeric / b.all_) * (b.b::numeric / b.all_))))
		   < 0.0001 AS lift,
	   max(abs(p.cosine - b.ab / power(b.a::numeric * b.b, 0.5))) < 0.000001 AS cosine,
	   max(abs(p.jaccard - b.ab / (b.a + b.b - b.ab)::numeric)) < 0.000001 AS jaccard
FROM (SELECT * FROM onec.product_pair WHERE server = 'rt') p
FULL JOIN (SELECT * FROM brute WHERE before < 5) b ON b.basis = p.basis AND id(b.x) = p.product_id
	AND id(b.y) = p.other_id;
SELECT count(*) > 0 AS ties_decide FROM brute a JOIN brute b USING (basis, x, score, ab)
WHERE a.before = 4 AND b.before = 5;

-- rows in another order, a session elsewhere: the same pairs; a second run writes nothing, a line more only
-- what it changes
SET TIME ZONE 'Asia/Vladivostok';
SET enable_hashagg = off;
SELECT * FROM onec.refresh_pairs('rt2', '2026-03-01');
RESET enable_hashagg;
SET TIME ZONE 'UTC';
SELECT count(*) AS differ
FROM (SELECT to_jsonb(p) - 'server' AS p FROM onec.product_pair p WHERE server = 'rt'
	EXCEPT SELECT to_jsonb(p) - 'server' FROM onec.product_pair p WHERE server = 'rt2') x;
SELECT count(*) AS differ FROM (SELECT to_jsonb(p) - 'server' AS p FROM onec.bestseller p WHERE server = 'rt'
	EXCEPT SELECT to_jsonb(p) - 'server' FROM onec.bestseller p WHERE server = 'rt2') x;
CREATE VIEW place AS SELECT ctid AS c, xmin AS x FROM onec.product_pair UNION ALL SELECT ctid, xmin
	FROM onec.bestseller;
CREATE TEMPORARY TABLE places AS SELECT * FROM place;
SELECT * FROM onec.refresh_pairs('rt', '2026-03-01');
SELECT count(*) AS moved FROM (SELECT c, x::text FROM places EXCEPT ALL SELECT c, x::text FROM place) x;
BEGIN;
SELECT sold('rt', 101, 9, '2025-02-12', 1, 16, 801, 100);
SELECT rows_updated > 0 AS some, rows_updated + rows_deleted < 80 AS not_all
FROM onec.refresh_pairs('rt', '2026-03-01');
ROLLBACK;

-- bestsellers: of the year before the day
SELECT count(*) AS goods, round(sum(b.share), 4) AS shares, count(*) FILTER (WHERE b.receipts <> t.n) AS wrong
FROM onec.bestseller b JOIN (
	SELECT k.p, count(DISTINCT (k.c, k.d)) AS n
	FROM (SELECT c, d, p FROM kept UNION ALL SELECT id(77), id(50001), id(g) FROM generate_series(1, 16) g) k
	WHERE (SELECT min(s.period) FROM onec.sale_line s
		   WHERE s.server = 'rt' AND s.document_id = k.d) >= '2025-03-01' GROUP BY 1) t ON t.p = b.product_id
WHERE b.server = 'rt' AND b.scope = 'all';

-- scores of offers by brute force: the last four goods, pairs fading with age, popularity, what the customer
-- likes
SELECT onec.set('recommend.last_products', '4', 'rt');
CREATE TEMPORARY TABLE counted AS
	SELECT no(customer_id) AS c, document_id AS d, no(product_id) AS p, no(product_id) % 3 AS k, period AS at,
		   amount FROM onec.sale_line
	WHERE server = 'rt' AND active AND recorder_type LIKE '%Чек%' AND product_id <> id(17);
CREATE TEMPORARY TABLE net AS SELECT c, d, p, k, min(at) AS at, sum(amount) AS amount FROM counted
	GROUP BY c, d, p, k HAVING sum(amount) > 0;
DELETE FROM net WHERE at < '2025-03-01';
CREATE TEMPORARY TABLE wanted AS
	WITH buyer AS (SELECT DISTINCT c FROM counted WHERE c IS NOT NULL),
	latest AS (SELECT c, p, max(at) AS at FROM counted WHERE amount > 0 GROUP BY c, p),
	liking AS (
		SELECT b.c, k, (SELECT count(DISTINCT d) FROM counted x WHERE x.c = b.c AND x.amount > 0) AS r,
			   greatest((SELECT coalesce(sum(amount * exp(ln(0.5) * extract(epoch FROM '2026-03-01' - at)
														  / 86400 / 365)), 0) FROM counted x
															  WHERE x.c = b.c AND x.k = g.k), 0) AS w,
			   (SELECT sum(amount) FROM net n WHERE n.k = g.k) / (SELECT sum(amount) FROM net) AS g
		FROM buyer b, generate_series(0, 2) g (k)),
	score AS (
		SELECT b.c, o AS p,
			   (SELECT sum(exp(ln(0.5) * extract(epoch FROM '2026-03-01' - l.at) / 86400 / 180)
					* (SELECT max(score) FROM onec.product_pair q
					   WHERE q.server = 'rt' AND q.product_id = id(l.p) AND q.other_id = id(o)))
				FROM (SELECT * FROM latest x WHERE x.c = b.c ORDER BY x.at DESC, x.p LIMIT 4) l) AS together,
			   (SELECT count(*) FROM net n WHERE n.p = o)::numeric / (SELECT count(*) FROM net) AS share
		FROM buyer b, generate_series(1, 16) o
		WHERE NOT EXISTS (SELECT FROM counted x WHERE x.c = b.c AND x.p = o AND x.amount > 0))
	SELECT s.c, s.p, (s.together + 10 * s.share)
		* (SELECT (l.r * l.w / (SELECT sum(m.w) FROM liking m WHERE m.c = s.c) + 30 * l.g)
		   / ((l.r + 30) * l.g) FROM liking l WHERE l.c = s.c AND l.k = s.p % 3) AS score
	FROM score s WHERE s.together IS NOT NULL;
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE r.customer_id IS NULL OR w.c IS NULL) AS not_in_both,
	   max(abs(r.score - w.score)) < 0.0001 AS scores
FROM (SELECT * FROM onec_internal.recommendations('rt', NULL, 16, '2026-03-01', 'onec')
	  WHERE reason = 'bought_together') r
FULL JOIN wanted w ON id(w.c) = r.customer_id AND id(w.p) = r.product_id;
SELECT onec.set('recommend.last_products', NULL, 'rt');

-- every reason: who bought 1 and 3 is offered what goes with 1, then bestsellers of the category, of the
-- store, of the month, of all
INSERT INTO onec.product (server, product_id, name, category_id, deletion_mark)
	SELECT 'ft', id(p), 'Товар ' || p, id(c), p = 8
	FROM (VALUES (1, 901), (2, 902), (3, 901), (4, 901), (5, 901), (6, 902), (7, 903), (8, 901), (9, 904),
		  (10, 902), (11, 901), (12, 903)) v (p, c);
SELECT sum(sold('ft', d.doc, d.line, d.at, d.who, d.product, d.store, 100)) FROM (VALUES
	(1, 1, timestamp '2025-09-01 10:00', 1, 1, 800), (1, 2, '2025-09-01 10:00', 1, 2, 800),
	(2, 1, '2025-09-02 10:00', 2, 1, 801), (2, 2, '2025-09-02 10:00', 2, 2, 801),
	(3, 1, '2025-09-03 10:00', 3, 1, 801), (3, 2, '2025-09-03 10:00', 3, 2, 801),
	-- 4 sells better than 5; 8 is withdrawn; 9 is packaging; 11 was sold too long ago
	(4, 1, '2025-10-01 10:00', 4, 4, 801), (5, 1, '2025-10-02 10:00', 5, 4, 801),
	(6, 1, '2025-10-03 10:00', 6, 5, 801), (7, 1, '2025-10-04 10:00', 6, 8, 801),
	(8, 1, '2025-10-05 10:00', 5, 9, 800), (9, 1, '2024-10-05 10:00', 5, 11, 800),
	-- 6 is sold in store 800, 7 in March, 10 and 12 elsewhere and at other times: equally often, so by their
	-- numbers
	(10, 1, '2025-11-01 10:00', 7, 6, 800), (11, 1, '2025-03-20 10:00', 7, 7, 801),
	(12, 1, '2025-11-02 10:00', 7, 12, 801), (13, 1, '2025-11-03 10:00', 7, 10, 801),
	(14, 1, '2025-12-01 10:00', 20, 1, 800),
	(15, 1, '2025-12-20 10:00', 20, 3, 800)) d (doc, line, at, who, product, store);
SELECT * FROM onec.refresh_pairs('ft', '2026-03-10');
SELECT no(product_id) AS product, no(other_id) AS other, basis, n_a, n_b, n_ab, support, confidence, lift,
	   cosine, jaccard, score
FROM onec.product_pair WHERE server = 'ft' ORDER BY 3, 1;
SELECT no(product_id) AS product, score, name, basis, n_ab, confidence, lift
FROM onec.similar_items(id(1), 5, 'ft');
SELECT rank, no(product_id) AS product, name, score, reason
FROM onec.recommend(id(20)::text, 10, 'ft', '2026-03-10');
SELECT rank, no(product_id) AS product, reason FROM onec.recommend(id(20)::text, 2, 'ft', '2026-03-10');
-- somebody without a name, somebody without purchases, nobody
SELECT rank, no(product_id) AS product, score, reason FROM onec.recommend(NULL, 4, 'ft', '2026-03-10');
INSERT INTO onec.site_user (server, user_id, phone, login, is_active)
VALUES ('ft', id(30), '70000000030', '70000000030', true),
	('ft', id(20), '70000000020', '70000000020', true);
UPDATE onec.site_user SET customer_id = user_id WHERE user_id = id(20);
SELECT rank, no(product_id) AS product, reason
FROM onec.recommend('8 (000) 000-00-30', 3, 'ft', '2026-03-10');
SELECT rank, no(product_id) AS product, reason
FROM onec.recommend('8 (000) 000-00-20', 3, 'ft', '2026-03-10');
SELECT count(*) AS unknown FROM onec.recommend('70009999999', 3, 'ft', '2026-03-10');
SELECT count(*) AS unknown FROM onec.recommend(id(99)::text, 3, 'ft', '2026-03-10');
SELECT rank, no(product_id) AS product, reason FROM onec.recommend(id(20)::text, 2, 'ft');
-- what is used up may be bought again; what is withdrawn is nobody's neighbour
SELECT onec.set('recommend.consumable_categories', '{earrings}', 'ft');
SELECT rank, no(product_id) AS product, reason FROM onec.recommend(id(20)::text, 4, 'ft', '2026-03-10');
SELECT onec.set('recommend.consumable_categories', NULL, 'ft');
BEGIN;
UPDATE onec.product SET is_deleted = true WHERE server = 'ft' AND product_id = id(2);
SELECT rank, no(product_id) AS product, reason FROM onec.recommend(id(20)::text, 2, 'ft', '2026-03-10');
SELECT count(*) FROM onec.similar_items(id(1), 5, 'ft');
ROLLBACK;

-- the feed is what recommend() says, of all who bought something
SELECT * FROM onec.refresh_recommendations('ft', '2026-03-10');
SELECT * FROM onec.refresh_recommendations('ft', '2026-03-10');
SELECT rank, no(product_id) AS product, score, reason FROM onec.recommendation_feed
WHERE server = 'ft' AND customer_id = id(20) ORDER BY rank;
SELECT count(DISTINCT customer_id) AS customers,
	   count(*) FILTER (WHERE NOT EXISTS (SELECT FROM onec.recommend(f.customer_id::text, 10, 'ft',
		   '2026-03-10') r
	WHERE (r.product_id, r.rank, r.score, r.reason) = (f.product_id, f.rank, f.score, f.reason))) AS differ
FROM onec.recommendation_feed f WHERE server = 'ft';

-- the check on the past: 144 customers of six tastes buy three of the eight goods of their taste, and in 2026
-- a fourth, a quarter of them of another taste
CREATE SERVER et FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');
CREATE SERVER et2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														 timezone 'Europe/Moscow');
SELECT sum(sold('et', c * 10 + i, 1, timestamp '2025-06-01 12:00' + (c + i * 40) * interval '1 day', c,
				100 * (c % 6) + (c / 6 + i * i) % 8 + 1, 800, 100))
FROM generate_series(1, 144) c, generate_series(0, 2) i;
INSERT INTO onec.sale_line SELECT (jsonb_populate_record(s, '{"server": "et2"}')).* FROM onec.sale_line s
WHERE s.server = 'et';
SELECT sum(sold('et', c * 10 + 5, 1, timestamp '2026-02-01 12:00' + c * interval '1 hour', c,
				100 * ((c + CASE WHEN c % 4 = 0 THEN 3 ELSE 0 END) % 6) + (c / 6 + 3 * (c % 2 + 1)) % 8 + 1,
				800, 100))
FROM generate_series(1, 144) c;
SELECT customers, hits, hit_rate, bestseller_rate, new_bestseller_rate, verdict
FROM onec.eval_recommend('et', '2026-02-01');
-- in a base that knows nothing of 2026 the same is offered: hits and bestsellers counted from there
SELECT FROM onec.refresh_pairs('et2', '2026-02-01');
SELECT FROM onec.refresh_recommendations('et2', '2026-02-01');
CREATE TEMPORARY TABLE after AS
	SELECT DISTINCT customer_id, product_id FROM onec.sale_line s
	WHERE server = 'et' AND period >= '2026-02-01'
	  AND NOT EXISTS (SELECT FROM onec.sale_line o
					  WHERE o.server = 'et2'
						AND (o.customer_id, o.product_id) = (s.customer_id, s.product_id));
SELECT count(DISTINCT a.customer_id) AS customers, count(DISTINCT f.customer_id) AS hits,
	   count(DISTINCT t.customer_id) AS bestseller_hits
FROM after a LEFT JOIN onec.recommendation_feed f ON f.server = 'et2'
	AND (f.customer_id, f.product_id) = (a.customer_id, a.product_id)
LEFT JOIN (SELECT x.customer_id, p.product_id
		   FROM (SELECT product_id FROM onec.sale_line WHERE server = 'et2' GROUP BY 1
				 ORDER BY count(*) DESC, 1 LIMIT 10) p, after x
	WHERE x.product_id = p.product_id) t ON t.customer_id = a.customer_id;
-- with the signal gone, because pairs are never enough, it says so
SELECT onec.set('pairs.min_together', '1000', 'et');
SELECT customers, hit_rate, bestseller_rate, new_bestseller_rate, verdict
FROM onec.eval_recommend('et', '2026-02-01');
SELECT customers, hit_rate, verdict FROM onec.eval_recommend('et', '2027-01-01');
SELECT onec.eval_recommend('nobody', '2026-02-01');

DROP SERVER rt, rt2, ft, et, et2;
DELETE FROM onec.sale_line WHERE server IN ('rt', 'rt2', 'ft', 'et', 'et2');
DELETE FROM onec.product WHERE server IN ('rt', 'rt2', 'ft');
DELETE FROM onec.category WHERE server IN ('rt', 'rt2', 'ft');
DELETE FROM onec.site_user WHERE server = 'ft';
DELETE FROM onec.config WHERE server IN ('rt', 'rt2', 'et');
DELETE FROM onec.product_pair;
DELETE FROM onec.bestseller;
DELETE FROM onec.recommendation_feed;
DROP VIEW place, made;
DROP FUNCTION sold, id, no;
