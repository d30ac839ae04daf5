-- Models of customers, from rows put here by hand: histories against what was planted, the fit against a
-- likelihood written in SQL, scores against integrals taken in SQL.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
SET extra_float_digits = 0;
CREATE SERVER mt FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														timezone 'Europe/Moscow');
CREATE SERVER mt2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base',
														 timezone 'Asia/Yekaterinburg');

-- published: customer 1516 of the CDNOW sample, and E[Y(39) | 2, 30.43, 38.86] = 1.226 (Fader, Hardie, Lee
-- 2005)
\set cdnow '.242593, 4.413532, .792920, 2.425752'
SELECT round(onec.bgnbd_expected(26, 30.857142857, 31, :cdnow, 52)::numeric, 3) AS visits,
	   round(onec.bgnbd_palive(26, 30.857142857, 31, :cdnow)::numeric, 4) AS alive,
	   round(onec.bgnbd_expected(2, 30.43, 38.86, :cdnow, 39)::numeric, 3) AS y39;
SELECT onec.bgnbd_palive(0, 0, 38, :cdnow) AS bg_once,
	   round(onec.mbgnbd_palive(0, 0, 38, :cdnow)::numeric, 4) AS mbg_once,
	   onec.mbgnbd_expected(0, 0, 38, :cdnow, 0) AS no_time,
	   onec.mbgnbd_palive(NULL, 0, 38, :cdnow) IS NULL AS strict;
-- 2 visits of 22.35: (6.25 * 15.44 + 6.25 * 2 * 22.35) / (6.25 * 2 + 3.74 - 1)
SELECT round(onec.gamma_gamma_expected(2, 22.35, 6.25, 3.74, 15.44)::numeric, 4) AS m2,
	   round(onec.gamma_gamma_expected(0, 0, 6.25, 3.74, 15.44)::numeric, 4) AS m0;
-- undiscounted, the value is visits times spend
SELECT abs(onec.bgnbd_value(2, 30.43, 38.86, :cdnow, 20, 12, 0) - 20 * onec.bgnbd_expected(2, 30.43, 38.86,
	:cdnow, 12 * 30.44 / 7)) < 1e-9 AS plain,
	   onec.bgnbd_value(2, 30.43, 38.86, :cdnow, 20) < 20 * onec.bgnbd_expected(2, 30.43, 38.86, :cdnow,
		   12 * 30.44 / 7) AS discounted;
SELECT onec.bgnbd_palive(-1, 0, 38, :cdnow);
SELECT onec.mbgnbd_expected(1, 39, 38, :cdnow, 1);
SELECT onec.mbgnbd_expected(1, 3, 38, 0, 1, 1, 1, 1);
SELECT onec.mbgnbd_expected(1, 3, 38, :cdnow, -1);
SELECT onec.mbgnbd_value(1, 3, 38, :cdnow, 1, 0);
SELECT onec.gamma_gamma_expected(1, 3, 6, 1, 15);
SELECT onec.mbgnbd_expected(0, 0, 0, .2, 1e-6, 1, 1, 1e9) IS NULL AS too_far;

-- nothing is known yet: a reason, not an error
SELECT server, as_of, model, status, customers, spend_status, r, p FROM onec.fit_clv('mt', '2025-12-31');
SELECT count(*) FROM onec.customer_clv_at('mt', '2025-12-31');
SELECT onec.fit_clv('mt', '2025-12-31', 'pareto');
SELECT onec.fit_clv('mt3', '2025-12-31');

-- A shop of 400: rates exponential, chances to leave uniform, both from a hash; days and money of each visit.
CREATE FUNCTION u(text) RETURNS float8 LANGUAGE sql IMMUTABLE AS
	$$ SELECT (('x' || substr(md5($1), 1, 8))::bit(32)::bigint + 0.5) / 4294967296.0 $$;
CREATE TABLE planted AS
	WITH RECURSIVE v AS (
		SELECT c, 1 AS n, date '2025-01-03' + (c * 7 % 180) AS day, -ln(u('rate' || c)) / 30 AS rate,
			   u('leave' || c) AS leave
		FROM generate_series(1, 400) c
		UNION ALL
		SELECT v.c, v.n + 1, v.day + ceil(-ln(u('gap' || v.c || '-' || v.n)) / v.rate)::int, v.rate, v.leave
		FROM v
		WHERE u('stay' || v.c || '-' || v.n) > v.leave AND v.day < '2025-12-31' AND v.n < 200)
	SELECT c, day, round((3000 * power(u('purse' || c),
									   -0.25) * (0.3 - ln(u('sum' || c || '-' || n))))::numeric, 2) AS net
	FROM v WHERE day <= '2025-12-31';

-- As lines of 1C: each visit in two receipts, one of them with a line that comes back; and what does not
-- count.
CREATE FUNCTION put(server name, ord text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format($sql$
	INSERT INTO onec_internal.sale_line (server, register, recorder, recorder_type, line_no, period, active,
										 customer_id, person_id, document_id, document_type,
										 quantity, amount, attribution)
	SELECT onec_internal.new_server_number(%L), onec_internal.own_term('sales'), w.recorder,
		   onec_internal.new_term(l.kind), l.line, p.day + l.shift, l.active, w.customer,
		   onec_internal.person_of_line(onec_internal.own_term(l.attribution), w.customer, NULL, w.recorder),
		   md5(p.c || ' ' || p.day || ' ' || l.original)::uuid, onec_internal.new_term('Document_ЧекККМ'),
		   sign(l.share), round(p.net * l.share, 2), onec_internal.own_term(l.attribution)
	FROM planted p CROSS JOIN (VALUES
		('one', 1, 'one', interval '10:00', 1.5, 'Document_ЧекККМ', true, 'counterparty'),
		('one', 2, 'one', '10:00', 0.25, 'Document_ЧекККМ', true, 'counterparty'),
		('back', 1, 'one', '40 days 12:00', -0.25, 'Document_ЧекККМВозврат', true, 'counterparty'),
		('two', 1, 'two', '23:59:59', -0.5, 'Document_ЧекККМ', true, 'counterparty'),
		('two', 2, 'two', '23:59:59', 1, 'Document_ЧекККМ', true, 'counterparty'),
		('none', 1, 'none', '-2 days', 1, 'Document_ЧекККМ', true, 'counterparty'),
		('undone', 1, 'none', '-47 hours', -1, 'Document_ЧекККМВозврат', true, 'counterparty'),
		('off', 1, 'off', '-3 days', 1, 'Document_ЧекККМ', false, 'counterparty'),
		('start', 1, 'start', '-4 days', 1, 'Document_ВводНачальныхОстатков', true, 'counterparty'),
		('anon', 1, 'anon', '-5 days', 1, 'Document_ЧекККМ', true, 'anonymous')
		) l (doc, line, original, shift, share, kind, active, attribution)
	CROSS JOIN LATERAL (SELECT md5(p.c || ' ' || p.day || ' ' || l.doc)::uuid AS recorder,
							   ('00000000-0000-0000-0000-' || lpad(p.c::text, 12, '0'))::uuid AS customer) w
	ORDER BY %s$sql$, server, ord);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;
SELECT put('mt', 'p.c, p.day, l.doc, l.line') = 10 * count(*) AS put,
	   put('mt2', 'md5(p.c || l.doc || p.day || l.line) DESC') = 10 * count(*) AS put_again FROM planted;

-- histories, on the last day and in the middle of the year
CREATE FUNCTION truth(day date) RETURNS TABLE (c int, x int, t_x float8, t float8,
											   m float8) LANGUAGE sql STABLE AS $$
	SELECT p.c, count(*)::int - 1, (max(p.day) - min(p.day))::float8 / 7, ($1 - min(p.day))::float8 / 7,
		   -- a line that comes back after the day has not come back yet
		   coalesce(sum(round(p.net * 1.5, 2) + round(p.net * -0.5, 2) + p.net
						+ CASE WHEN p.day + 40 <= $1 THEN 0 ELSE round(p.net * 0.25, 2) END)
							FILTER (WHERE p.day > f.first), 0)::float8
			/ greatest(count(*) - 1, 1)
	FROM planted p JOIN (SELECT q.c, min(q.day) AS first FROM planted q GROUP BY 1) f ON f.c = p.c
	WHERE p.day <= $1 GROUP BY p.c $$;
SELECT d.day, count(*) AS customers, count(*) FILTER (WHERE t.x > 0) AS repeaters, max(t.x) AS most,
	   (SELECT count(*) FROM onec_internal.visit_history('mt', d.day)) AS found,
	   count(*) FILTER (WHERE h.x = t.x AND abs(h.t_x - t.t_x) < 1e-9 AND abs(h.t - t.t) < 1e-9
						AND abs(h.m - t.m) < 1e-6) AS same
FROM (VALUES (date '2025-12-31'), ('2025-06-30')) d (day)
CROSS JOIN LATERAL truth(d.day) t
LEFT JOIN LATERAL (SELECT * FROM onec_internal.visit_history('mt', d.day) v
				   WHERE v.customer_id = ('00000000-0000-0000-0000-' || lpad(t.c::text, 12, '0'))::uuid) h
					   ON true
GROUP BY 1 ORDER BY 1;

-- the fit: log-likelihoods written from the papers in SQL, with a log-gamma of its own (Stirling's series
-- above 20)
CREATE FUNCTION lg(z float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT (z + 19.5) * ln(z + 20) - (z + 20) + 0.5 * ln(2 * pi()) + 1 / (12 * (z + 20))
		- 1 / (360 * (z + 20) ^ 3) + 1 / (1260 * (z + 20) ^ 5)
		   - ln(z) - ln(z + 1) - ln(z + 2) - ln(z + 3) - ln(z + 4) - ln(z + 5) - ln(z + 6) - ln(z + 7)
			   - ln(z + 8) - ln(z + 9)
		   - ln(z + 10) - ln(z + 11) - ln(z + 12) - ln(z + 13) - ln(z + 14) - ln(z + 15) - ln(z + 16)
			   - ln(z + 17) - ln(z + 18) - ln(z + 19) $$;
CREATE FUNCTION lbeta(a float8, b float8) RETURNS float8 LANGUAGE sql
	IMMUTABLE AS 'SELECT lg(a) + lg(b) - lg(a + b)';
SELECT abs(lg(5) - ln(24)) < 1e-12 AS lg_5, abs(lg(0.5) - ln(sqrt(pi()))) < 1e-12 AS lg_half;
CREATE FUNCTION visits_ll(kind text, r float8, alpha float8, a float8,
						  b float8) RETURNS float8 LANGUAGE sql STABLE AS $$
	SELECT sum(lg(r + x) - lg(r) + r * ln(alpha) + ln(CASE kind
		WHEN 'mbgnbd' THEN exp(lbeta(a + 1, b + x) - lbeta(a, b) - (r + x) * ln(alpha + t_x))
			+ exp(lbeta(a, b + x + 1) - lbeta(a, b) - (r + x) * ln(alpha + t))
		ELSE exp(lbeta(a, b + x) - lbeta(a, b) - (r + x) * ln(alpha + t))
			 + CASE WHEN x > 0 THEN exp(lbeta(a + 1, b + x - 1) - lbeta(a, b) - (r + x) * ln(alpha + t_x))
					ELSE 0 END END))
	FROM truth('2025-12-31') $$;
CREATE FUNCTION spend_ll(p float8, q float8, v float8) RETURNS float8 LANGUAGE sql STABLE AS $$
	SELECT sum(lg(p * x + q) - lg(p * x) - lg(q) + q * ln(v) + (p * x - 1) * ln(m) + p * x * ln(x)
			   - (p * x + q) * ln(x * m + v))
	FROM truth('2025-12-31') WHERE x > 0 $$;
SELECT model, status, customers, repeaters, spend_status, spend_customers, warning
FROM onec.fit_clv('mt', '2025-12-31');
SELECT model, status FROM onec.fit_clv('mt', '2025-12-31', 'bgnbd');
SELECT c.model, round(c.r::numeric, 2) AS r, round(c.alpha::numeric, 1) AS alpha, round(c.a::numeric, 1) AS a,
	   round(c.b::numeric, 1) AS b,
	   abs(c.log_likelihood - visits_ll(c.model, c.r, c.alpha, c.a, c.b)) < 1e-6 AS likelihood,
	   (SELECT count(*) FROM (VALUES (1.01, 1, 1, 1), (0.99, 1, 1, 1), (1, 1.01, 1, 1), (1, 0.99, 1, 1),
							  (1, 1, 1.01, 1), (1, 1, 0.99, 1), (1, 1, 1, 1.01), (1, 1, 1, 0.99),
			(1.01, 1.01, 1, 1), (0.99, 0.99, 1, 1), (1, 1, 1.01, 1.01), (1, 1, 0.99, 0.99)) f (r, alpha, a, b)
		WHERE visits_ll(c.model, c.r * f.r, c.alpha * f.alpha, c.a * f.a,
						c.b * f.b) < c.log_likelihood) AS lower_around
FROM onec.clv_model c WHERE c.server = 'mt' ORDER BY 1;
SELECT round(c.p::numeric, 2) AS p, round(c.q::numeric, 2) AS q, round(c.v::numeric) AS v,
	   abs(c.spend_log_likelihood - spend_ll(c.p, c.q, c.v)) < 1e-6 AS likelihood,
	   (SELECT count(*) FROM (VALUES (1.01, 1, 1), (0.99, 1, 1), (1, 1.01, 1), (1, 0.99, 1), (1, 1, 1.01),
							  (1, 1, 0.99)) f (p, q, v)
		WHERE spend_ll(c.p * f.p, c.q * f.q, c.v * f.v) < c.spend_log_likelihood) AS lower_around,
	   abs(c.correlation - (SELECT corr(m, x) FROM truth('2025-12-31') WHERE x > 0)) < 1e-9 AS correlation
FROM onec.clv_model c WHERE c.server = 'mt' AND c.model = 'mbgnbd';

-- the same rows in another order, under another time zone, are the same model to the last digit
SET TIME ZONE 'Pacific/Auckland';
SELECT status FROM onec.fit_clv('mt2', '2025-12-31');
RESET TIME ZONE;
SELECT count(*) AS same FROM onec.clv_model m
JOIN onec.clv_model n USING (as_of, model, status, customers, repeaters, r, alpha, a, b, log_likelihood,
	spend_status, spend_customers, p, q, v, spend_log_likelihood, correlation)
WHERE m.server = 'mt' AND n.server = 'mt2';

-- Scores: P(alive) by its formula; visits as the integral over the chance to leave, by the trapezoidal rule
-- in its logit; twelve months discounted one by one.
CREATE FUNCTION visits_to(kind text, k onec.clv_model, x int, t float8,
						  horizon float8) RETURNS float8 LANGUAGE sql STABLE AS $$
	SELECT sum(w * CASE WHEN c * s < 1e-7 THEN (k.r + x) * s * (1 - (k.r + x + 1) * c * s / 2)
						ELSE (1 - power(1 + c * s, -(k.r + x))) / c END) / sum(w)
	FROM (SELECT exp(greatest(k.a * ln(c) + (k.b + x + CASE kind WHEN 'mbgnbd' THEN 1 ELSE 0 END) *
							  -ln(1 + exp(n * float8 '0.2')), -700)) AS w, c,
				 horizon / (k.alpha + t) AS s
		  FROM generate_series(-300, 300) n
		  CROSS JOIN LATERAL (SELECT 1 / (1 + exp(-n * float8 '0.2')) AS c) c) v $$;
CREATE TABLE oracle AS
	SELECT k.model, t.c, t.x, a.alive, a.alive * visits_to(k.model, k, t.x, t.t, 3 * 30.44 / 7) AS visits_3m,
		   v.visits AS visits_12m, s.spend,
		   v.worth * s.spend AS worth
	FROM onec.clv_model k
	CROSS JOIN truth('2025-12-31') t
	CROSS JOIN LATERAL (SELECT CASE WHEN k.model = 'bgnbd' AND t.x = 0 THEN 1
		ELSE 1 / (1 + k.a / (k.b + t.x - CASE k.model WHEN 'bgnbd' THEN 1 ELSE 0 END)
				  * power((k.alpha + t.t) / (k.alpha + t.t_x), k.r + t.x)) END AS alive) a
	CROSS JOIN LATERAL (SELECT (k.p * k.v + k.p * t.x * t.m) / (k.p * t.x + k.q - 1) AS spend) s
	CROSS JOIN LATERAL (
		SELECT max(e.visits) AS visits, sum((e.visits - e.before) / 1.01 ^ e.month) AS worth
		FROM (SELECT i AS month, e.visits, lag(e.visits, 1, 0::float8) OVER (ORDER BY i) AS before
			  FROM generate_series(1, 12) i
			  CROSS JOIN LATERAL (SELECT a.alive * visits_to(k.model, k, t.x, t.t,
															 i * 30.44 / 7) AS visits) e) e) v
	WHERE k.server = 'mt' AND (t.x > 4 OR t.c % 40 = 0);
SELECT o.model, count(*) AS checked, max(abs(s.p_alive - o.alive)) < 1e-6 AS alive,
	   bool_and(s.churn_risk = 1 - s.p_alive) AS risk,
	   max(abs(s.expected_3m - o.visits_3m)) < 0.0001 AS visits_3m,
	   max(abs(s.expected_12m - o.visits_12m)) < 0.0001 AS visits_12m,
	   max(abs(s.expected_spend - o.spend)) < 0.006 AS spend, max(abs(s.clv_12m - o.worth)) < 0.006 AS worth
FROM oracle o JOIN LATERAL onec.customer_clv_at('mt', '2025-12-31', o.model) s
	ON s.customer_id = ('00000000-0000-0000-0000-' || lpad(o.c::text, 12, '0'))::uuid AND s.model = o.model
		AND s.repeat_visits = o.x
GROUP BY 1 ORDER BY 1;
SELECT abs(sum(s.p_alive) - sum(v.p_alive)) > 0 AS today_is_later, count(*)
FROM onec.customer_clv_at('mt', '2025-12-31') s
JOIN onec.customer_clv v USING (server, customer_id, model_as_of);
SELECT count(*) AS customers, min(p_alive) >= 0 AND max(p_alive) < 1 AS probabilities,
	   bool_and(weeks_since_last <= weeks_since_first) AS weeks
FROM onec.customer_clv_at('mt', '2025-12-31');
SELECT repeat_visits, weeks_since_first, weeks_since_last, round(p_alive, 2) AS p_alive,
	   round(expected_12m, 1) AS expected_12m, model, model_as_of
FROM onec.customer_clv_at('mt', '2025-12-31') ORDER BY repeat_visits DESC, customer_id LIMIT 3;

-- Which model is applied: the last usable one, not newer than the day.
SELECT status, customers, r IS NULL AS none FROM onec.fit_clv('mt', '2025-01-10');
SELECT count(*) FROM onec.customer_clv_at('mt', '2025-11-01');
INSERT INTO onec.clv_model (server, as_of, model, status, customers, repeaters, spend_status,
							spend_customers, fitted_at)
	VALUES ('mt', '2026-02-01', 'mbgnbd', 'not converged', 400, 100, 'ok', 100, '2026-02-01');
SELECT DISTINCT model_as_of FROM onec.customer_clv_at('mt', '2026-02-02');
UPDATE onec.clv_model SET spend_status = 'few repeaters' WHERE server = 'mt2';
SELECT count(*) AS customers, count(expected_12m) AS visits, count(expected_spend) + count(clv_12m) AS money
FROM onec.customer_clv_at('mt2', '2025-12-31');
SELECT onec.set('clv.model', 'bgnbd', 'mt');
SELECT DISTINCT server, model FROM onec.customer_clv ORDER BY 1;

-- Who spends more comes more often: said, not hidden.
-- (in the table itself: the view takes one row at a time)
UPDATE onec_internal.sale_line l SET amount = l.amount * (1 + n.visits * n.visits)
FROM (SELECT customer_id, count(*) / 10 AS visits FROM onec.sale_line WHERE server = 'mt' GROUP BY 1) n
WHERE l.server = onec_internal.number_of_server('mt') AND l.customer_id = n.customer_id;
SELECT round(correlation::numeric, 2) > 0.3 AS related, warning LIKE '%корреляция 0.%' AS warned
FROM onec.fit_clv('mt', '2025-12-31');

-- Nobody is seen to leave: who bought last on the last days.
SELECT (f).status, (f).customers, (f).repeaters
FROM (SELECT onec_internal.fit_visit_model('mbgnbd', array_agg(20 + i % 10), array_agg(100),
										   array_agg(100.5 + i % 3), 0) AS f
											   FROM generate_series(1, 200) i) s;
SELECT onec_internal.fit_visit_model('mbgnbd', '{1,2}', '{1}', '{1,2}', 0);
SELECT (onec_internal.fit_visit_model('mbgnbd', '{1,0.5}', '{1,1}', '{1,2}', 0)).status;
SELECT onec_internal.fit_visit_model('mbgnbd', '{1,NULL}', '{1,2}', '{1,2}', 0);
SELECT onec_internal.fit_visit_model('mbgnbd', '{}', '{}', '{}', -1);

-- A fit of many histories, which would take long, is cancelled at once.
CREATE TABLE long AS SELECT array_agg((i % 50)::float8) AS x,
	array_agg(CASE WHEN i % 50 = 0 THEN 0 ELSE i % 9973 / 100.0 END::float8) AS t_x,
	array_agg((100 + i / 1000.0)::float8) AS t FROM generate_series(1, 400000) i;
SELECT clock_timestamp() AS started \gset
SET statement_timeout = '500ms';
SELECT (onec_internal.fit_visit_model('mbgnbd', x, t_x, t, 0)).status FROM long;
RESET statement_timeout;
SELECT clock_timestamp() - :'started' < interval '8 s' AS at_once;

DROP SERVER mt;
-- the view goes on without it
SELECT DISTINCT server FROM onec.customer_clv ORDER BY 1;
DROP SERVER mt2;
DELETE FROM onec_internal.sale_line
WHERE server IN (onec_internal.number_of_server('mt'), onec_internal.number_of_server('mt2'));
DELETE FROM onec.clv_model WHERE server IN ('mt', 'mt2');
DELETE FROM onec.config WHERE server IN ('mt', 'mt2');
DROP TABLE planted, oracle, long;
DROP FUNCTION u, put, truth, visits_ll, spend_ll, visits_to, lbeta, lg;
