-- What an analyst looks at: cohorts, ABC/XYZ, seasons, hours, stores, whom to call.  A view "x" shows today and every
-- server; the function x_at(server, as_of) behind it shows one server on any day, as if later sales did not exist yet.

INSERT INTO onec.setting (key, type, initial, choices, description) VALUES
	('analysis.window', 'int', '365', NULL, 'За сколько последних дней показывать магазины и карту часов; 0 — за всё время'),
	('cohort.censored_months', 'int', '3', NULL, 'Когорты стольких первых месяцев истории помечать: их покупатели могли прийти раньше'),
	('abc.months', 'int', '12', NULL, 'За сколько последних месяцев, включая текущий, считать ABC/XYZ; 0 — за всё время'),
	('abc.a', 'numeric', '0.80', NULL, 'Класс A: накопленная доля выручки до этой включительно'),
	('abc.b', 'numeric', '0.95', NULL, 'Класс B: накопленная доля выручки до этой включительно'),
	('xyz.x', 'numeric', '0.10', NULL, 'Класс X: коэффициент вариации месячной выручки до этого включительно'),
	('xyz.y', 'numeric', '0.25', NULL, 'Класс Y: коэффициент вариации месячной выручки до этого включительно'),
	('xyz.min_months', 'int', '3', NULL, 'При меньшем числе месяцев с продажами класс XYZ не присваивать'),
	('call.days_ahead', 'int', '7', NULL, 'Звонить тем, кого ждём в ближайшие столько дней'),
	('call.max_overdue', 'numeric', '4', NULL, 'Не звонить тем, кто опаздывает больше чем на столько своих промежутков'),
	('call.min_visits', 'int', '2', NULL, 'С какого числа визитов ждать покупателя снова'),
	('call.points_days', 'int', '14', NULL, 'Предупреждать о баллах, сгорающих в ближайшие столько дней');

CREATE VIEW onec._servers AS
	SELECT s.srvname AS server FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'onec_fdw';
COMMENT ON VIEW onec._servers IS 'Серверы onec_fdw (служебное)';

-- The lines of onec._lines and those of unknown buyers, for a shop's revenue is all of it; each with the time of its receipt
-- and whether that is a purchase: goods were sold and not all came back, or were given for nothing.
CREATE FUNCTION onec._shop_lines(server name, as_of date)
	RETURNS TABLE (customer_id uuid, receipt uuid, at timestamp, is_sale boolean, period timestamp, product_id uuid, store_id uuid, quantity numeric, amount numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH line AS (
		SELECT CASE WHEN l.attribution <> 'anonymous' THEN l.customer_id END AS customer_id, coalesce(l.document_id, l.recorder) AS receipt, l.period,
			   l.product_id, l.store_id, coalesce(l.quantity, 0) AS quantity, coalesce(l.amount, 0) AS amount
		FROM onec.sale_line l
		WHERE l.server = $1 AND l.active IS NOT FALSE AND l.period < $2 + 1
		  AND l.recorder_type <> ALL ((SELECT onec.get('exclude_recorder_types', $1)::text[])::text[])
		  AND ((SELECT onec.get('organization_ids', $1) = '{}') OR l.organization_id = ANY ((SELECT onec.get('organization_ids', $1)::uuid[])::uuid[])))
	SELECT l.customer_id, l.receipt, min(l.period) OVER w,
		   coalesce(sum(l.amount) FILTER (WHERE l.amount > 0) OVER w > 0 AND sum(l.amount) OVER w > 0
					OR bool_and(l.amount = 0) OVER w AND sum(l.quantity) OVER w > 0, false),
		   l.period, l.product_id, l.store_id, l.quantity, l.amount
	FROM line l
	WINDOW w AS (PARTITION BY l.receipt, l.customer_id)
$$;
COMMENT ON FUNCTION onec._shop_lines(name, date) IS 'Учитываемые строки продаж на дату, с неизвестными покупателями (служебная)';

CREATE FUNCTION onec._months(a timestamp, b timestamp) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT ((extract(year FROM b) - extract(year FROM a)) * 12 + extract(month FROM b) - extract(month FROM a))::int;
	END;
COMMENT ON FUNCTION onec._months(timestamp, timestamp) IS 'На сколько календарных месяцев второе позже первого (служебная)';

CREATE FUNCTION onec._day(server name, as_of date, OUT server_name name, OUT day date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.server, coalesce($2, onec.local_now(s.server)::date) FROM (SELECT onec._server($1) AS server) s
$$;
COMMENT ON FUNCTION onec._day(name, date) IS 'Какой сервер и какой день имеются в виду (служебная)';

-- A cohort is the month of a customer's first purchase.  Receipts count in the month of the receipt, money in the month of the
-- line, so that returns lower the month in which they came; what came back before the first known purchase counts in month 0.
CREATE FUNCTION onec.cohort_retention_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (cohort date, "offset" int, month date, customers bigint, retained bigint, retention numeric, receipts bigint, net numeric,
				   cumulative_net_per_customer numeric, is_partial boolean, left_censored boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec._day($1, $2)),
	line AS MATERIALIZED (SELECT l.* FROM me, onec._shop_lines(me.server_name, me.day) l),
	first AS MATERIALIZED (
		SELECT l.customer_id, date_trunc('month', min(l.at)) AS cohort FROM line l WHERE l.is_sale AND l.customer_id IS NOT NULL GROUP BY 1),
	size AS (SELECT f.cohort, count(*) AS customers FROM first f GROUP BY 1),
	visit AS (
		SELECT f.cohort, onec._months(f.cohort, l.at) AS n, count(DISTINCT l.customer_id) AS retained,
			   count(DISTINCT ROW(l.receipt, l.customer_id)) AS receipts
		FROM line l JOIN first f ON f.customer_id = l.customer_id WHERE l.is_sale GROUP BY 1, 2),
	money AS (
		SELECT f.cohort, greatest(onec._months(f.cohort, l.period), 0) AS n, sum(l.amount) AS net
		FROM line l JOIN first f ON f.customer_id = l.customer_id GROUP BY 1, 2),
	grid AS (
		SELECT s.cohort, s.customers, n.n, s.cohort + n.n * interval '1 month' AS month, me.day,
			   s.cohort + n.n * interval '1 month' > me.day AS future
		FROM size s CROSS JOIN me
		CROSS JOIN LATERAL (SELECT generate_series(0, onec._months((SELECT min(x.cohort) FROM size x), me.day)) AS n) n)
	SELECT g.cohort::date, g.n, g.month::date, g.customers,
		   CASE WHEN NOT g.future THEN coalesce(v.retained, 0) END,
		   CASE WHEN NOT g.future THEN round(coalesce(v.retained, 0)::numeric / g.customers, 4) END,
		   CASE WHEN NOT g.future THEN coalesce(v.receipts, 0) END,
		   CASE WHEN NOT g.future THEN coalesce(m.net, 0) END,
		   CASE WHEN NOT g.future THEN round(sum(coalesce(m.net, 0)) OVER (PARTITION BY g.cohort ORDER BY g.n) / g.customers, 2) END,
		   NOT g.future AND g.month + interval '1 month' > g.day + 1,
		   g.cohort < date_trunc('month', (SELECT min(l.period) FROM line l))
			   + (SELECT onec.get('cohort.censored_months', me.server_name)::int FROM me) * interval '1 month'
	FROM grid g
	LEFT JOIN visit v ON v.cohort = g.cohort AND v.n = g.n
	LEFT JOIN money m ON m.cohort = g.cohort AND m.n = g.n
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.cohort_retention_at(name, date) IS 'Когорты покупателей на дату: сколько вернулось и сколько принесло по месяцам после первой покупки';

CREATE VIEW onec.cohort_retention AS
	SELECT s.server, c.cohort, c."offset", c.month, c.customers, c.retained, c.retention, c.receipts, c.net, c.cumulative_net_per_customer, c.is_partial, c.left_censored
	FROM onec._servers s CROSS JOIN LATERAL onec.cohort_retention_at(s.server) c;
COMMENT ON VIEW onec.cohort_retention IS 'Когорты: удержание и выручка по месяцам после первой покупки; будущие месяцы пусты, а не нули';
COMMENT ON COLUMN onec.cohort_retention.cohort IS 'Месяц первой покупки';
COMMENT ON COLUMN onec.cohort_retention."offset" IS 'Сколько месяцев прошло';
COMMENT ON COLUMN onec.cohort_retention.month IS 'Календарный месяц';
COMMENT ON COLUMN onec.cohort_retention.customers IS 'Покупателей в когорте';
COMMENT ON COLUMN onec.cohort_retention.retained IS 'Из них покупали в этом месяце';
COMMENT ON COLUMN onec.cohort_retention.retention IS 'Доля покупавших';
COMMENT ON COLUMN onec.cohort_retention.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.cohort_retention.cumulative_net_per_customer IS 'Накопленная выручка на покупателя когорты';
COMMENT ON COLUMN onec.cohort_retention.is_partial IS 'Месяц ещё не кончился';
COMMENT ON COLUMN onec.cohort_retention.left_censored IS 'Начало загруженной истории: эти покупатели могли прийти раньше';

CREATE FUNCTION onec.cohort_matrix(server name DEFAULT NULL, as_of date DEFAULT NULL) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec._day($1, $2)),
	cell AS MATERIALIZED (SELECT c.* FROM me, onec.cohort_retention_at(me.server_name, me.day) c),
	line AS (
		SELECT c.cohort, json_build_object('cohort', to_char(c.cohort, 'YYYY-MM'), 'customers', c.customers, 'left_censored', c.left_censored,
			'retained', json_agg(c.retained ORDER BY c."offset"), 'retention', json_agg(c.retention ORDER BY c."offset"),
			'net', json_agg(c.net ORDER BY c."offset"),
			'cumulative_net_per_customer', json_agg(c.cumulative_net_per_customer ORDER BY c."offset")) AS doc
		FROM cell c GROUP BY c.cohort, c.customers, c.left_censored)
	SELECT json_build_object('server', me.server_name, 'as_of', me.day,
		'offsets', (SELECT coalesce(json_agg(DISTINCT c."offset"), '[]'::json) FROM cell c),
		'cohorts', (SELECT coalesce(json_agg(l.doc ORDER BY l.cohort), '[]'::json) FROM line l))
	FROM me
$$;
COMMENT ON FUNCTION onec.cohort_matrix(name, date) IS 'Когорты как JSON для тепловой карты: строка на когорту, будущие месяцы null';
