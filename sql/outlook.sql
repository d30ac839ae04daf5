-- Seasons, preferences and the next purchase of customers from rows put here by hand; what they ought to be is worked out by
-- queries of another make.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SERVER ot FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'Europe/Moscow');
CREATE SERVER ot2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'Europe/Moscow');

CREATE FUNCTION id(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION no(id uuid) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT right(id::text, 12)::int $$;
CREATE FUNCTION sold(server name, doc int, line int, at timestamp, who int, product int, store int, amount numeric,
					 kind text DEFAULT 'Document_ЧекККМ', on_ boolean DEFAULT true, original int DEFAULT NULL) RETURNS int
	LANGUAGE sql AS $$
	INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, customer_id, product_id, store_id,
								document_id, document_type, quantity, amount, attribution)
	SELECT server, 'sales', id(doc), kind, line, at, on_, id(who), id(product), id(store), id(coalesce(original, doc)), 'Document_ЧекККМ',
		   coalesce(nullif(sign(amount), 0), 1), amount, CASE WHEN who IS NULL THEN 'anonymous' ELSE 'counterparty' END
	RETURNING 1 $$;

-- by hand: one visit; two; three; five, at uneven gaps; one that was given back whole; gifts only
SELECT count(sold('ot', 9000 + n, 1, at, who, 1, 800, amount)) FROM (VALUES
	(1, 301, '2026-02-01 10:00'::timestamp, 100), (2, 302, '2025-12-01 10:00', 100), (3, 302, '2026-01-10 10:00', 100),
	(4, 303, '2025-10-01 23:59', 100), (5, 303, '2025-10-02 00:01', 100), (6, 303, '2025-10-21 10:00', 100), (7, 303, '2025-10-21 18:00', 100),
	(8, 304, '2025-01-01 10:00', 100), (9, 304, '2025-01-11 10:00', 100), (10, 304, '2025-01-31 10:00', 100), (11, 304, '2025-03-02 10:00', 100),
	(12, 304, '2025-04-11 10:00', 100), (13, 305, '2026-01-01 10:00', 100), (14, 306, '2026-02-20 10:00', 0)) v (n, who, at, amount);
SELECT sold('ot', 9013, 2, '2026-01-05 10:00', 305, 1, 800, -100);
SELECT no(customer_id) AS who, visits, last_visit, gap, expected_next, window_from, window_to, days_since, overdue_ratio, churn_class
FROM onec.next_purchase('ot', '2026-03-01') ORDER BY 1;
