-- Seasons, preferences and the next purchase of customers from rows put here by hand; what they ought to be
-- is worked out by queries of another make.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SERVER ot FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');
CREATE SERVER ot2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														 timezone 'Europe/Moscow');
SELECT onec.set('count_free_receipts', 'true', s) FROM unnest('{ot,ot2}'::name[]) s;

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
		   coalesce(nullif(sign(amount), 0), 1), amount,
		   CASE WHEN who IS NULL THEN 'anonymous' ELSE 'counterparty' END
	RETURNING 1 $$;

-- by hand: one visit; two; three; five, at uneven gaps; one that was given back whole; gifts only
SELECT count(sold('ot', 9000 + n, 1, at, who, 1, 800, amount)) FROM (VALUES
	(1, 301, '2026-02-01 10:00'::timestamp, 100), (2, 302, '2025-12-01 10:00', 100),
	(3, 302, '2026-01-10 10:00', 100),
	(4, 303, '2025-10-01 23:59', 100), (5, 303, '2025-10-02 00:01', 100), (6, 303, '2025-10-21 10:00', 100),
	(7, 303, '2025-10-21 18:00', 100),
	(8, 304, '2025-01-01 10:00', 100), (9, 304, '2025-01-11 10:00', 100), (10, 304, '2025-01-31 10:00', 100),
	(11, 304, '2025-03-02 10:00', 100),
	(12, 304, '2025-04-11 10:00', 100), (13, 305, '2026-01-01 10:00', 100),
	(14, 306, '2026-02-20 10:00', 0)) v (n, who, at, amount);
-- equal visits of two stores on the same days, one with more receipts there, though its name comes later
SELECT count(sold('ot', 9020 + n, 1, at, 307, 1, store, 100)) FROM (VALUES
	(1, '2025-05-01 10:00'::timestamp, 800), (2, '2025-05-01 10:00', 801), (3, '2025-05-01 10:00', 800),
	(4, '2025-06-01 10:00', 800), (5, '2025-06-01 10:00', 801)) v (n, at, store);
SELECT sold('ot', 9013, 2, '2026-01-05 10:00', 305, 1, 800, -100);
SELECT no(customer_id) AS who, visits, last_visit, gap, expected_next, window_from, window_to, days_since,
	   overdue_ratio, churn_class
FROM onec.next_purchase('ot', '2026-03-01') ORDER BY 1;

-- a shop of two years and a half with goods of four categories and three brands, three stores, returns, ties;
-- everything follows from the number of the receipt
CREATE FUNCTION dice(what text, sides int) RETURNS int LANGUAGE sql IMMUTABLE AS
	$$ SELECT (('x' || substr(md5($1), 1, 8))::bit(32)::bigint % $2)::int $$;
INSERT INTO onec.category (server, category_id, name)
	SELECT s, id(c), n FROM unnest('{ot,ot2}'::name[]) s,
		   (VALUES (901, 'Серьги'), (902, 'Кольца'), (903, 'Часы'), (904, 'Упаковка')) v (c, n);
INSERT INTO onec.product (server, product_id, name, category_id, brand_id)
	SELECT s, id(p), CASE WHEN p % 6 = 0 THEN 'Товар Янтарин ' ELSE 'Товар ' END || p,
		   id(CASE WHEN p = 20 THEN 904 WHEN p < 19 THEN 901 + p % 3 END),
		   id(CASE p % 4 WHEN 0 THEN 951 WHEN 1 THEN 952 END)
	FROM unnest('{ot,ot2}'::name[]) s, generate_series(1, 20) p;
INSERT INTO onec.store (server, store_id, name) SELECT s, id(800 + n), 'Магазин ' || 3 - n
FROM unnest('{ot,ot2}'::name[]) s, generate_series(0, 1) n;
-- the server's own rows come before the common ones
INSERT INTO onec.brand_map (server, priority, brand_id, pattern, slug, title_ru) VALUES
	('', 1, NULL, 'янтарин', 'common', 'Общая'), ('ot', 10, id(951), NULL, 'moon', 'Лунница'),
	('ot', 5, NULL, 'янтарин', 'amber', 'Янтарин'),
	('ot2', 10, id(951), NULL, 'moon', 'Лунница'), ('ot2', 5, NULL, 'янтарин', 'amber', 'Янтарин');
CREATE TEMPORARY TABLE made AS
	SELECT i, l, timestamp '2023-09-14 09:00' + dice('day' || i, 890) * interval '1 day'
		+ dice('hour' || i, 15) * interval '1 hour' AS at,
		   nullif(least(dice('who' || i, 45), dice('who2' || i, 45)), 44) AS who,
		   1 + least(dice('what' || i || '/' || l, 20), dice('what2' || i || '/' || l, 20)) AS product,
		   nullif(800 + dice('where' || i, 4), 803) AS store,
		   (ARRAY[0, 3, 100, 100, 250, 999.90])[1 + dice('sum' || i || '/' || l, 6)] AS amount
	FROM generate_series(1, 500) i, generate_series(1, 3) l WHERE l <= 1 + dice('lines' || i, 5) / 2;
SELECT count(sold('ot', i, l, at, who, product, store, amount,
				  CASE WHEN i % 17 = 0 THEN 'Document_ВводНачальныхОстатков' ELSE 'Document_ЧекККМ' END,
				  i % 19 > 0)) FROM made;
-- what comes back: whole receipts, first lines, and lines that do not name their sale
SELECT count(sold('ot', 1000 + i, l, at + dice('back' || i, 60) * interval '1 day', who, product, store,
				  -amount, 'Document_ЧекККМВозврат', true,
				  CASE WHEN i % 7 = 0 OR i % 11 = 0 THEN i END)) FROM made
					  WHERE i % 7 = 0 OR i % 11 = 0 AND l = 1 OR i % 13 = 0 AND l = 1;
INSERT INTO onec.sale_line
SELECT (l).* FROM (SELECT jsonb_populate_record(s, '{"server": "ot2"}') AS l FROM onec.sale_line s
	WHERE s.server = 'ot' ORDER BY s.line_no DESC, s.recorder DESC) x;

-- the oracle's own facts: lines that count on the day, and which receipts are purchases
\set day '''2026-01-20'''
CREATE TEMPORARY TABLE fact AS
	SELECT no(customer_id) AS c, no(document_id) AS d, no(product_id) AS p, no(store_id) AS s, period AS at,
		   amount, quantity AS q FROM onec.sale_line
	WHERE server = 'ot' AND active AND recorder_type LIKE '%Чек%' AND period::date <= :day;
CREATE TEMPORARY TABLE bought AS
	SELECT b.* FROM (SELECT DISTINCT c, d FROM fact WHERE c IS NOT NULL) k,
		LATERAL (SELECT k.c, k.d, min(f.at) AS at, sum(f.amount) AS net, max(f.amount) AS top,
						min(f.amount) AS low, sum(f.q) AS q FROM fact f WHERE f.c = k.c AND f.d = k.d) b
	WHERE b.top > 0 AND b.net > 0 OR b.top = 0 AND b.low = 0 AND b.q > 0;

-- the next purchase by brute force: days of purchases, each looked for its predecessor; quartiles between
-- neighbours
CREATE TEMPORARY TABLE gaps AS
	SELECT c, day, day - (SELECT max(o.at::date) FROM bought o WHERE o.c = v.c AND o.at::date < v.day) AS gap
	FROM (SELECT DISTINCT c, at::date AS day FROM bought) v;
CREATE FUNCTION between_(list numeric[], part numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT list[k + 1] + (coalesce(list[k + 2], list[k + 1]) - list[k + 1])
		* (part * (cardinality(list) - 1) - k)
	FROM (SELECT floor(part * (cardinality(list) - 1))::int AS k) x $$;
CREATE TEMPORARY TABLE due AS
	WITH one AS (SELECT c, count(*) AS visits, max(day) AS last,
						array_agg(gap::numeric ORDER BY gap) FILTER (WHERE gap IS NOT NULL) AS list FROM gaps
							GROUP BY c),
	usual AS (SELECT between_(array_agg(m ORDER BY m), 0.5) AS m0
			  FROM (SELECT between_(list, 0.5) AS m FROM one WHERE visits > 1) x)
	SELECT o.*, :day::date - last AS late,
		   CASE WHEN visits = 1 THEN m0 WHEN visits = 2 THEN (list[1] + 2 * m0) / 3
				ELSE between_(list, 0.5) END AS g FROM one o, usual;
SELECT count(*) AS compared, count(*) FILTER (WHERE visits = 1) AS single,
	   count(*) FILTER (WHERE visits = 2) AS twice, count(*) FILTER (WHERE visits > 4) AS window_,
	   max(late / g) > 4 AS lost
FROM due;
SELECT count(*) FILTER (WHERE n.customer_id IS NULL OR d.c IS NULL) AS not_in_both,
	   count(*) FILTER (WHERE n.visits <> d.visits OR n.last_visit <> d.last) AS visits,
	   max(abs(n.gap - d.g)) <= 0.00005 AS gap,
	   count(*) FILTER (WHERE n.expected_next <> d.last + round(d.g)::int) AS expected,
	   count(*) FILTER (WHERE (n.window_from,
							   n.window_to) IS DISTINCT FROM (CASE WHEN visits_
																   THEN d.last + round(between_(list,
																	   0.25))::int END,
																			 CASE WHEN visits_ THEN d.last
																				  + round(between_(list,
								0.75))::int END)) AS windows,
	   max(abs(n.overdue_ratio - late / g)) <= 0.005 AS overdue,
	   count(*) FILTER (WHERE n.churn_class IS DISTINCT FROM left('single_', 7 * (d.visits = 1)::int)
			|| (ARRAY['active', 'due', 'at_risk', 'lapsed', 'lost'])[1 + (SELECT count(*)
				FROM unnest('{1,1.5,2.5,4}'::numeric[]) x WHERE round(late / g, 6) > x)]) AS classes
FROM onec.next_purchase('ot', :day) n
FULL JOIN (SELECT *, visits > 4 AS visits_ FROM due) d ON id(d.c) = n.customer_id;

-- seasons: whole months are October 2023 to December 2025, thus nine calendar months twice, three times the
-- last quarter
CREATE TEMPORARY TABLE seasons AS
	WITH m AS (SELECT n AS month, CASE WHEN n >= 10 THEN 3 ELSE 2 END AS seen FROM generate_series(1, 12) n),
	line AS (SELECT c, extract(month FROM at)::int AS month, amount FROM fact
			 WHERE amount > 0 AND at >= '2023-10-01' AND at < '2026-01-01'),
	shop AS (SELECT month, (SELECT sum(amount) FROM line l WHERE l.month = m.month) / seen AS rate FROM m),
	who AS (SELECT c, (SELECT count(*) FROM bought b
					   WHERE b.c = w.c AND at >= '2023-10-01' AND at < '2026-01-01') AS receipts,
				   EXISTS (SELECT FROM line l WHERE l.c = w.c) AS paid
					   FROM (SELECT DISTINCT c FROM fact WHERE c IS NOT NULL) w)
	SELECT w.c, m.month, receipts,
		   12 * CASE WHEN receipts > 0 AND paid THEN (share + 6.0 / receipts * g) / (1 + 6.0 / receipts)
					 ELSE g END AS index
	FROM who w CROSS JOIN m,
		LATERAL (SELECT (SELECT rate FROM shop s WHERE s.month = m.month) / (SELECT sum(rate)
			FROM shop) AS g) g,
		LATERAL (SELECT coalesce((SELECT sum(amount) FROM line l WHERE l.c = w.c AND l.month = m.month),
								 0) / seen
					/ nullif((SELECT sum(amount / (SELECT seen FROM m o WHERE o.month = l.month)) FROM line l
							  WHERE l.c = w.c), 0) AS share) s;
SELECT count(*) AS customers,
	   count(*) FILTER (WHERE NOT EXISTS (SELECT FROM seasons x
										  WHERE id(x.c) = s.customer_id
											AND x.receipts = s.receipts)) AS receipts,
	   max((SELECT max(abs(x.index - s.month_index[x.month])) FROM seasons x WHERE id(x.c) = s.customer_id))
		   < 0.0005 AS index,
	   count(*) FILTER (WHERE peak_months
						<> coalesce((SELECT array_agg(month::int ORDER BY v DESC, month) FROM (
			SELECT month, v FROM unnest(month_index) WITH ORDINALITY u (v, month) WHERE v >= 1.25
			ORDER BY v DESC, month LIMIT 3) p), '{}')) AS peaks,
	   count(*) FILTER (WHERE cardinality(peak_months) = 3) AS three, max(cardinality(peak_months)) AS most,
	   count(*) FILTER (WHERE buys_8_march <> EXISTS (SELECT FROM bought b
													  WHERE id(b.c) = s.customer_id
														AND to_char(at, 'MMDD') BETWEEN '0301'
														AND '0308')) AS march,
	   count(*) FILTER (WHERE buys_new_year <> EXISTS (SELECT FROM bought b
													   WHERE id(b.c) = s.customer_id
														 AND to_char(at, 'MMDD') BETWEEN '1210'
														 AND '1231')) AS new_year,
	   count(*) FILTER (WHERE buys_valentine <> EXISTS (SELECT FROM bought b
														WHERE id(b.c) = s.customer_id
														  AND to_char(at, 'MMDD') BETWEEN '0207'
														  AND '0214')) AS valentine,
	   count(*) FILTER (WHERE buys_8_march) AS some_march,
	   count(*) FILTER (WHERE buys_new_year) AS some_new_year,
	   count(*) FILTER (WHERE buys_valentine) AS some_valentine
FROM onec.season('ot', :day) s;

-- the profile's own reckoning of the next purchase, which the call list uses, agrees
SELECT * FROM onec.refresh_profiles('ot', as_of => '2026-06-30');
SELECT count(*) AS both,
	   count(*) FILTER (WHERE e.customer_id IS NULL OR round(n.gap, 1) <> e.gap
						OR n.expected_next <> e.expected_next OR n.overdue_ratio <> e.overdue_ratio) AS differ
FROM onec.next_purchase('ot', '2026-06-30') n
LEFT JOIN onec_internal.expected_visits('ot', '2026-06-30') e ON e.customer_id = n.customer_id;

-- preferences by brute force: each customer, each value
CREATE TEMPORARY TABLE meant AS
	SELECT p, 'category' AS kind,
		   CASE p % 3 WHEN 0 THEN 'earrings' WHEN 1 THEN 'rings' ELSE 'Часы' END AS value
			   FROM generate_series(1, 18) p
	UNION ALL SELECT p, 'brand',
	CASE WHEN p % 6 = 0 THEN 'amber' WHEN p % 4 = 0 THEN 'moon' ELSE id(952)::text END
		FROM generate_series(1, 19) p WHERE p % 6 = 0 OR p % 4 < 2;
CREATE TEMPORARY TABLE liked AS
	SELECT f.c, m.kind, m.value, sum(f.amount * exp(ln(0.5) * (:day::date - f.at::date) / 365)) AS weight,
		   max(f.at) FILTER (WHERE f.amount > 0) AS last,
		   (SELECT count(*) FROM bought b
			WHERE b.c = f.c AND EXISTS (SELECT FROM fact x JOIN meant y ON y.p = x.p
										WHERE x.c = f.c AND x.d = b.d AND x.amount >= 5
																	   AND y.kind = m.kind AND y.value =
																		   m.value)) AS receipts
	FROM fact f JOIN meant m USING (p) WHERE f.c IS NOT NULL AND abs(f.amount) >= 5
	GROUP BY f.c, m.kind, m.value
	UNION ALL
	SELECT c, 'store', id(s)::text, count(DISTINCT day), max(at), count(DISTINCT d)
	FROM (SELECT f.c, f.s, f.d, b.at::date AS day, b.at FROM fact f JOIN bought b USING (c, d)
		  WHERE f.amount >= 0 AND f.s IS NOT NULL) v GROUP BY c, s;
CREATE TEMPORARY TABLE judged AS
	SELECT l.*, weight / (SELECT sum(weight) FROM liked o
						  WHERE o.c = l.c AND o.kind = l.kind AND o.weight > 0) AS share,
		   (SELECT sum(weight) FROM liked o WHERE o.kind = l.kind AND o.value = l.value) / (SELECT sum(weight)
			   FROM liked o WHERE o.kind = l.kind) AS usual,
		   (SELECT count(*) FROM bought b WHERE b.c = l.c) AS all_,
		   1 + (SELECT count(*) FROM liked o WHERE o.c = l.c AND o.kind = l.kind AND
				CASE WHEN round(o.weight, 6) <> round(l.weight, 6) THEN o.weight > l.weight
					 WHEN o.receipts <> l.receipts THEN o.receipts > l.receipts
					 WHEN o.last <> l.last THEN o.last > l.last
					 ELSE convert_to(CASE o.value WHEN id(800)::text THEN 'Магазин 3'
										  WHEN id(801)::text THEN 'Магазин 2' ELSE o.value END, 'UTF8')
						< convert_to(CASE l.value WHEN id(800)::text THEN 'Магазин 3'
										  WHEN id(801)::text THEN 'Магазин 2'
										  ELSE l.value END, 'UTF8') END) AS place
	FROM liked l WHERE weight > 0;
CREATE TEMPORARY TABLE got AS SELECT * FROM onec.affinity('ot', :day);
SELECT coalesce(g.kind, j.kind) AS kind, count(*) AS compared,
	   count(*) FILTER (WHERE g.kind IS NULL OR j.kind IS NULL) AS not_in_both,
	   max(abs(weight_)) < 0.006 AS weight,
	   max(abs(g.share - j.share)) < 0.00006 AS share,
	   count(*) FILTER (WHERE g.receipts <> j.receipts) AS receipts,
	   max(abs(g.penetration - j.receipts / nullif(all_, 0)::numeric)) < 0.00006 AS penetration,
	   max(abs(g.lift - j.share / nullif(usual, 0))) < 0.006 AS lift,
	   count(*) FILTER (WHERE g.last_at <> j.last) AS last,
	   count(*) FILTER (WHERE g.place <> j.place) AS places,
	   max(abs(g.diversity - (1 - (SELECT sum(share * share) FROM judged o
								   WHERE o.c = j.c AND o.kind = j.kind)))) < 0.00006 AS diversity
FROM got g FULL JOIN judged j ON id(j.c) = g.customer_id AND j.kind = g.kind AND j.value = g.value_id,
	LATERAL (SELECT g.weight - j.weight AS weight_) w GROUP BY 1 ORDER BY 1;
-- ties that only receipts, only the last day, only the name decide
SELECT count(*) FILTER (WHERE a.receipts > b.receipts) AS by_receipts,
	   count(*) FILTER (WHERE a.receipts = b.receipts AND a.last > b.last) AS by_date,
	   count(*) FILTER (WHERE a.receipts = b.receipts AND a.last = b.last) AS by_name
FROM judged a JOIN judged b ON b.c = a.c AND b.kind = a.kind AND b.place = a.place + 1
	AND round(b.weight, 6) = round(a.weight, 6);
SELECT DISTINCT kind, value_id, title FROM got ORDER BY 1, 2, 3;
SELECT place, title, weight, receipts, penetration FROM got
WHERE customer_id = id(307) AND kind = 'store' ORDER BY 1;

-- a refresh writes what the functions say, one of a few customers what it says of these
SELECT * FROM onec.refresh_outlook('ot', as_of => :day);
CREATE VIEW stored AS
	SELECT server, customer_id, kind, value_id, title, place, weight, share, receipts, penetration, lift,
		   last_at FROM onec.customer_affinity;
SELECT (SELECT count(*) FROM stored WHERE server = 'ot') = (SELECT count(*) FROM got) AS as_many,
	   count(*) AS differ FROM (
	SELECT customer_id, kind, value_id, title, place, weight, share, receipts, penetration, lift, last_at
	FROM got EXCEPT SELECT customer_id, kind, value_id, title, place, weight, share, receipts, penetration,
		lift, last_at FROM stored WHERE server = 'ot') x;
SELECT count(*) AS customers, count(*) FILTER (WHERE s.customer_id IS NULL) AS missing,
	   count(*) FILTER (WHERE ROW(o.month_index, o.peak_months, o.buys_8_march, o.buys_new_year,
								  o.buys_valentine)
			IS DISTINCT FROM ROW(s.month_index, s.peak_months, s.buys_8_march, s.buys_new_year,
								 s.buys_valentine)) AS seasons,
	   count(*) FILTER (WHERE ROW(nullif(o.visits, 0), o.last_visit, o.gap, o.expected_next, o.window_from,
								  o.window_to, o.days_since, o.overdue_ratio, o.churn_class)
			IS DISTINCT FROM ROW(n.visits, n.last_visit, n.gap, n.expected_next, n.window_from, n.window_to,
								 n.days_since, n.overdue_ratio, n.churn_class)) AS next,
	   count(*) FILTER (WHERE favorite_stores <> ARRAY(SELECT title FROM got g
													   WHERE g.customer_id = o.customer_id AND kind = 'store'
													   ORDER BY place LIMIT 5)
			OR favorite_categories <> ARRAY(SELECT value_id FROM got g
											WHERE g.customer_id = o.customer_id AND kind = 'category'
											ORDER BY place LIMIT 5)
			OR favorite_brands <> ARRAY(SELECT title FROM got g
										WHERE g.customer_id = o.customer_id AND kind = 'brand' ORDER BY place
										LIMIT 5)) AS favourites,
	   count(*) FILTER (WHERE ROW(category_diversity, brand_diversity,
								  store_diversity) IS DISTINCT FROM ROW((SELECT max(diversity) FROM got g
									  WHERE g.customer_id = o.customer_id AND kind = 'category'),
			(SELECT max(diversity) FROM got g WHERE g.customer_id = o.customer_id AND kind = 'brand'),
			(SELECT max(diversity) FROM got g
			 WHERE g.customer_id = o.customer_id AND kind = 'store'))) AS diversity
FROM onec.customer_outlook o LEFT JOIN onec.season('ot', :day) s ON s.customer_id = o.customer_id
LEFT JOIN onec.next_purchase('ot', :day) n ON n.customer_id = o.customer_id
WHERE o.server = 'ot';
SELECT count(*) AS few,
	   count(*) FILTER (WHERE NOT EXISTS (SELECT FROM got g WHERE to_jsonb(g) = to_jsonb(a))) AS differ
FROM onec.affinity('ot', :day, ARRAY[id(3), id(7), id(301)]) a;
SELECT count(*) = (SELECT count(*) FROM got WHERE kind = 'brand') AS as_many,
	   count(*) FILTER (WHERE NOT EXISTS (SELECT FROM got g WHERE to_jsonb(g) = to_jsonb(a))) AS differ
FROM onec.affinity('ot', :day, NULL, 'brand') a;
SELECT count(*) AS few,
	   count(*) FILTER (WHERE NOT EXISTS (SELECT FROM onec.season('ot', :day) g
										  WHERE to_jsonb(g) = to_jsonb(a))) AS differ
FROM onec.season('ot', :day, ARRAY[id(3), id(7), id(301)]) a;
SELECT count(*) AS few,
	   count(*) FILTER (WHERE NOT EXISTS (SELECT FROM onec.next_purchase('ot', :day) g
										  WHERE to_jsonb(g) = to_jsonb(a))) AS differ
FROM onec.next_purchase('ot', :day, ARRAY[id(3), id(7), id(301)]) a;

-- rows in another order, a session elsewhere: the same
SET TIME ZONE 'Asia/Vladivostok';
SET enable_hashagg = off;
SELECT rows_inserted > 0 AS some FROM onec.refresh_outlook('ot2', as_of => :day);
RESET enable_hashagg;
SET TIME ZONE 'UTC';
SELECT count(*) AS differ
FROM (SELECT to_jsonb(s) - 'server' FROM stored s WHERE server = 'ot' EXCEPT SELECT to_jsonb(s) - 'server'
	  FROM stored s WHERE server = 'ot2') x;
SELECT count(*) AS differ FROM (SELECT to_jsonb(s) - 'server' FROM onec.customer_outlook s WHERE server = 'ot'
	EXCEPT SELECT to_jsonb(s) - 'server' FROM onec.customer_outlook s WHERE server = 'ot2') x;

-- a second run writes nothing; a day later preferences have only faded, and what is kept of them stands for
-- the new day
CREATE VIEW put AS SELECT ctid AS c, xmin::text AS x, 'a' AS t FROM onec_internal.customer_taste UNION ALL
	SELECT ctid, xmin::text, 'o' FROM onec.customer_outlook
	UNION ALL SELECT ctid, xmin::text, 'b' FROM onec.outlook_baseline;
CREATE TEMPORARY TABLE puts AS SELECT * FROM put;
SELECT * FROM onec.refresh_outlook('ot', as_of => :day);
SELECT count(*) AS moved FROM (SELECT * FROM puts EXCEPT ALL SELECT * FROM put) x;
BEGIN;
DELETE FROM onec.sale_line WHERE server = 'ot' AND period::date > :day;
SELECT rows_inserted, rows_updated, rows_deleted FROM onec.refresh_outlook('ot', as_of => :day::date + 1);
SELECT count(*) FILTER (WHERE t = 'a') AS affinity, count(*) FILTER (WHERE t = 'o') > 40 AS outlook
FROM (SELECT * FROM puts EXCEPT ALL SELECT * FROM put) x;
SELECT max(abs(a.weight - c.weight * power(0.5, CASE c.kind WHEN 'store' THEN 0 ELSE 1.0 END / 365)))
	< 0.011 AS faded
FROM onec.affinity('ot', :day::date + 1) a
JOIN onec.customer_affinity c ON c.server = 'ot' AND c.customer_id = a.customer_id AND c.kind = a.kind
	AND c.value_id = a.value_id;
ROLLBACK;
-- one line more: its customer's rows are written and no others; a sum set right in 1C counts, though shares
-- stay
BEGIN;
SELECT sold('ot', 9100, 1, :day::timestamp + interval '12 hours', 301, 3, 801, 500);
SELECT * FROM onec.refresh_outlook('ot', ARRAY[id(301)], :day);
SELECT kind, value_id, place, weight, share, receipts, lift FROM onec.customer_affinity
WHERE server = 'ot' AND customer_id = id(301) ORDER BY 1, 3;
SELECT count(*) FILTER (WHERE t = 'b') AS baseline FROM (SELECT * FROM puts EXCEPT ALL SELECT * FROM put) x;
UPDATE onec.sale_line SET amount = amount * 2 WHERE server = 'ot' AND customer_id = id(301);
SELECT * FROM onec.refresh_outlook('ot', ARRAY[id(301)], :day);
-- all its rows gone from 1C: none are left here
DELETE FROM onec.sale_line WHERE server = 'ot' AND customer_id = id(301);
SELECT * FROM onec.refresh_outlook('ot', ARRAY[id(301)], :day);
ROLLBACK;
-- what a few are compared with is thrown away when it is old
BEGIN;
SELECT rows_updated > 0 AS some FROM onec.refresh_outlook('ot', ARRAY[id(3)], :day::date + 30);
SELECT server, as_of - :day::date AS days_later FROM onec.outlook_baseline WHERE server = 'ot';
ROLLBACK;

-- the view goes on by the day: classes at their very limits, from a clock of its own
SELECT d AS days, onec_internal.churn_class_of(d, 31.3333, 2) AS twice,
	   onec_internal.churn_class_of(d, 20, 1) AS single, onec_internal.churn_class_of(d, NULL, 1) AS unknown
FROM unnest('{0,20,21,30,31,32,47,48,50,51,78,79,80,81,125,126}'::int[]) d;
SELECT count(*) > 40 AS some, count(*) FILTER (WHERE o.days_since <> late) AS days,
	   max(abs(o.overdue_ratio - late / o.gap)) <= 0.005 AS overdue,
	   count(*) FILTER (WHERE o.churn_class <> left('single_', 7 * (visits = 1)::int)
						|| CASE WHEN late > 4 * o.gap THEN 'lost' WHEN late > 2.5 * o.gap THEN 'lapsed'
						WHEN late > 1.5 * o.gap THEN 'at_risk' WHEN late > o.gap THEN 'due'
						ELSE 'active' END) AS classes
FROM onec.outlook o, LATERAL (SELECT (now() AT TIME ZONE 'Europe/Moscow')::date - o.last_visit AS late) d
WHERE o.server = 'ot' AND o.visits <> 2;

-- a shop without sales, and one where nobody came twice
SELECT * FROM onec.refresh_outlook('ot2', as_of => '2020-01-01');
SELECT count(*) AS rows_ FROM onec.customer_outlook WHERE server = 'ot2';
DELETE FROM onec.sale_line WHERE server = 'ot2';
SELECT sold('ot2', 1, 1, '2026-01-10', 1, 3, 800, 500);
SELECT * FROM onec.refresh_outlook('ot2', as_of => '2026-01-20');
SELECT month_index, peak_months, visits, gap, expected_next, days_since, overdue_ratio, churn_class,
	   favorite_categories, category_diversity
FROM onec.customer_outlook WHERE server = 'ot2';

-- a year of one buyer: three months of just 1.25, one stronger, one a little weaker
DELETE FROM onec.sale_line WHERE server = 'ot2';
SELECT count(sold('ot2', m, 1, make_date(2025, m, 1)::timestamp, 1, 3, 800, amount))
FROM unnest('{500,500,500,600,499,314,314,314,314,315,315,315}'::numeric[]) WITH ORDINALITY v (amount, m_),
	LATERAL (SELECT m_::int AS m) x;
SELECT month_index, peak_months FROM onec.season('ot2', '2026-01-20');
-- the first and the last days of the holidays, and their neighbours
DELETE FROM onec.sale_line WHERE server = 'ot2';
SELECT count(sold('ot2', n::int, 1, at, n::int, 3, 800, 100))
FROM unnest('{2025-02-06 23:59,2025-02-07 00:00,2025-02-14 23:59,2025-02-15 00:00,2025-02-28
				 23:59,2025-03-01 00:00,
	2025-03-08 23:59,2025-03-09 00:00,2025-12-09 23:59,2025-12-10 00:00,2025-12-31
		23:59,2026-01-01 00:00}'::timestamp[]) WITH ORDINALITY v (at, n);
SELECT to_char(l.period, 'DD.MM') AS day, buys_valentine, buys_8_march, buys_new_year
FROM onec.season('ot2', '2026-01-20') s
JOIN onec.sale_line l ON l.server = 'ot2' AND l.customer_id = s.customer_id ORDER BY l.period;
-- only up to the day asked for
SELECT count(*) AS customers, bool_or(buys_8_march) AS march, bool_or(buys_new_year) AS new_year
FROM onec.season('ot2', '2025-12-09');

DROP SERVER ot, ot2;
DELETE FROM onec.sale_line WHERE server IN ('ot', 'ot2');
DELETE FROM onec.product WHERE server IN ('ot', 'ot2');
DELETE FROM onec.category WHERE server IN ('ot', 'ot2');
DELETE FROM onec.store WHERE server IN ('ot', 'ot2');
DELETE FROM onec.customer_profile WHERE server = 'ot';
DELETE FROM onec.brand_map;
DELETE FROM onec_internal.customer_taste;
DELETE FROM onec_internal.taste_word;
DELETE FROM onec.customer_outlook;
DELETE FROM onec.outlook_baseline;
DROP VIEW stored, put;
DROP FUNCTION sold, id, no, dice, between_;
