-- What an analyst looks at: cohorts, ABC/XYZ, seasons, hours, stores, whom to call.  A view "x" shows today
-- and every server; the function x_at(server, as_of) behind it shows one server on any day, as if later sales
-- did not exist yet.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('analysis.window', 'int', '365', NULL, 0, 36500,
	 'За сколько последних дней показывать магазины и карту часов; 0 — за всё время'),
	('cohort.censored_months', 'int', '3', NULL, 0, 1200,
	 'Когорты стольких первых месяцев истории помечать: их покупатели могли прийти раньше'),
	('abc.months', 'int', '12', NULL, 0, 1200,
	 'За сколько последних месяцев, включая текущий, считать ABC/XYZ; 0 — за всё время'),
	('abc.a', 'numeric', '0.80', NULL, 0, 1, 'Класс A: накопленная доля выручки до этой включительно'),
	('abc.b', 'numeric', '0.95', NULL, 0, 1, 'Класс B: накопленная доля выручки до этой включительно'),
	('xyz.x', 'numeric', '0.10', NULL, 0, 1000,
	 'Класс X: коэффициент вариации месячной выручки до этого включительно'),
	('xyz.y', 'numeric', '0.25', NULL, 0, 1000,
	 'Класс Y: коэффициент вариации месячной выручки до этого включительно'),
	('xyz.min_months', 'int', '3', NULL, 1, 1200,
	 'При меньшем числе месяцев с продажами класс XYZ не присваивать'),
	('call.days_ahead', 'int', '7', NULL, 0, 3650, 'Звонить тем, кого ждём в ближайшие столько дней'),
	('call.max_overdue', 'numeric', '4', NULL, 0, 1000000,
	 'Не звонить тем, кто опаздывает больше чем на столько своих промежутков'),
	('call.min_visits', 'int', '2', NULL, 1, 1000000, 'С какого числа визитов ждать покупателя снова'),
	('call.points_days', 'int', '14', NULL, 0, 3650,
	 'Предупреждать о баллах, сгорающих в ближайшие столько дней');

-- A cohort is the month of a customer's first purchase.  Receipts count in the month of the receipt, money in
-- the month of the line, so that returns lower the month in which they came; what came back before the first
-- known purchase counts in month 0.
CREATE FUNCTION onec.cohort_retention_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (cohort date, "offset" int, month date, customers bigint, retained bigint,
				   retention numeric, receipts bigint, net numeric,
				   cumulative_net_per_customer numeric, is_partial boolean, left_censored boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	-- a receipt is told of by its first part, whose month is the receipt's
	month AS MATERIALIZED (
		SELECT p.customer_id, date_trunc('month', p.period) AS month, min(p.at) AS began,
			   min(p.at) FILTER (WHERE p.is_purchase) AS first,
			   count(*) FILTER (WHERE p.is_purchase AND p.is_first) AS receipts, sum(p.net) AS net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p GROUP BY 1, 2),
	first AS MATERIALIZED (
		SELECT m.customer_id, date_trunc('month', min(m.first)) AS cohort FROM month m
		WHERE m.first IS NOT NULL AND m.customer_id IS NOT NULL GROUP BY 1),
	size AS (SELECT f.cohort, count(*) AS customers FROM first f GROUP BY 1),
	visit AS MATERIALIZED (
		SELECT c.*, onec_internal.months_between(c.cohort, c.month) AS n
		FROM (SELECT f.cohort, m.month, count(*) FILTER (WHERE m.receipts > 0) AS retained,
					 sum(m.receipts)::bigint AS receipts, sum(m.net) AS net
			  FROM month m JOIN first f ON f.customer_id = m.customer_id GROUP BY 1, 2) c),
	money AS (SELECT v.cohort, greatest(v.n, 0) AS n, sum(v.net) AS net FROM visit v GROUP BY 1, 2),
	grid AS (
		SELECT s.cohort, s.customers, n.n, s.cohort + n.n * interval '1 month' AS month, me.day,
			   s.cohort + n.n * interval '1 month' > me.day AS future
		FROM size s CROSS JOIN me
		CROSS JOIN LATERAL (SELECT generate_series(0, onec_internal.months_between((SELECT min(x.cohort)
			FROM size x), me.day)) AS n) n)
	SELECT g.cohort::date, g.n, g.month::date, g.customers,
		   CASE WHEN NOT g.future THEN coalesce(v.retained, 0) END,
		   CASE WHEN NOT g.future THEN round(coalesce(v.retained, 0)::numeric / g.customers, 4) END,
		   CASE WHEN NOT g.future THEN coalesce(v.receipts, 0) END,
		   CASE WHEN NOT g.future THEN coalesce(m.net, 0) END,
		   CASE WHEN NOT g.future
				THEN round(sum(coalesce(m.net, 0)) OVER (PARTITION BY g.cohort ORDER BY g.n) / g.customers,
						   2) END,
		   NOT g.future AND g.month + interval '1 month' > g.day + 1,
		   g.cohort < date_trunc('month', (SELECT min(m.began) FROM month m))
			   + (SELECT onec.get('cohort.censored_months', me.server_name)::int FROM me) * interval '1 month'
	FROM grid g
	LEFT JOIN visit v ON v.cohort = g.cohort AND v.n = g.n
	LEFT JOIN money m ON m.cohort = g.cohort AND m.n = g.n
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.cohort_retention_at(name, date) IS
	'Когорты покупателей на дату: сколько вернулось и сколько принесло по месяцам после первой покупки';

CREATE VIEW onec.cohort_retention AS
	SELECT s.server, c.cohort, c."offset", c.month, c.customers, c.retained, c.retention, c.receipts, c.net,
		   c.cumulative_net_per_customer, c.is_partial, c.left_censored,
		   onec.moment(s.server, c.cohort::timestamp) AS cohort_tz,
		   onec.moment(s.server, c.month::timestamp) AS month_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.cohort_retention_at(s.server) c;
COMMENT ON VIEW onec.cohort_retention IS
	'Когорты: удержание и выручка по месяцам после первой покупки; будущие месяцы пусты, а не нули';
COMMENT ON COLUMN onec.cohort_retention.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.cohort_retention.receipts IS 'Чеков в этом месяце';
COMMENT ON COLUMN onec.cohort_retention.cohort IS 'Месяц первой покупки';
COMMENT ON COLUMN onec.cohort_retention."offset" IS 'Сколько месяцев прошло';
COMMENT ON COLUMN onec.cohort_retention.month IS 'Календарный месяц';
COMMENT ON COLUMN onec.cohort_retention.customers IS 'Покупателей в когорте';
COMMENT ON COLUMN onec.cohort_retention.retained IS 'Из них покупали в этом месяце';
COMMENT ON COLUMN onec.cohort_retention.retention IS 'Доля покупавших';
COMMENT ON COLUMN onec.cohort_retention.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.cohort_retention.cumulative_net_per_customer IS
	'Накопленная выручка на покупателя когорты';
COMMENT ON COLUMN onec.cohort_retention.is_partial IS 'Месяц ещё не кончился';
COMMENT ON COLUMN onec.cohort_retention.left_censored IS
	'Начало загруженной истории: эти покупатели могли прийти раньше';

CREATE FUNCTION onec.cohort_matrix(server name DEFAULT NULL, as_of date DEFAULT NULL) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	cell AS MATERIALIZED (SELECT c.* FROM me, onec.cohort_retention_at(me.server_name, me.day) c),
	line AS (
		SELECT c.cohort, json_build_object('cohort', to_char(c.cohort, 'YYYY-MM'), 'customers', c.customers,
										   'left_censored', c.left_censored,
			'retained', json_agg(c.retained ORDER BY c."offset"), 'retention',
			json_agg(c.retention ORDER BY c."offset"),
			'net', json_agg(c.net ORDER BY c."offset"),
			'cumulative_net_per_customer', json_agg(c.cumulative_net_per_customer ORDER BY c."offset")) AS doc
		FROM cell c GROUP BY c.cohort, c.customers, c.left_censored)
	SELECT json_build_object('server', me.server_name, 'as_of', me.day,
		'offsets', (SELECT coalesce(json_agg(DISTINCT c."offset"), '[]'::json) FROM cell c),
		'cohorts', (SELECT coalesce(json_agg(l.doc ORDER BY l.cohort), '[]'::json) FROM line l))
	FROM me
$$;
COMMENT ON FUNCTION onec.cohort_matrix(name, date) IS
	'Когорты как JSON для тепловой карты: строка на когорту, будущие месяцы null';

-- Equal sums share one class, which their common cumulative share gives; the largest are A even if they alone
-- exceed the limit. The month that still runs is left out of the variation, for it would look like a fall.
CREATE FUNCTION onec.abc_xyz_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (kind text, item_id uuid, net numeric, share numeric, cumulative_share numeric, abc text,
				   active_months bigint,
				   monthly_net numeric, variation numeric, xyz text, class text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (
		SELECT d.*, date_trunc('month', (d.day + 1)::timestamp) AS next_day,
			   CASE WHEN n.months > 0
					THEN date_trunc('month', d.day::timestamp) - (n.months - 1) * interval '1 month'
					ELSE '-infinity' END AS since,
			   onec.get('abc.a', d.server_name)::numeric AS a, onec.get('abc.b', d.server_name)::numeric AS b,
			   onec.get('xyz.x', d.server_name)::numeric AS x, onec.get('xyz.y', d.server_name)::numeric AS y,
			   onec.get('xyz.min_months', d.server_name)::int AS least
		FROM onec_internal.server_and_day($1, $2) d
		CROSS JOIN LATERAL (SELECT onec.get('abc.months', d.server_name)::int AS months) n),
	-- who bought is known of the kept receipts: only goods need the lines
	month AS (
		SELECT 'customer' AS kind, p.customer_id AS item_id, date_trunc('month', p.period) AS month,
			   sum(p.net) AS net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p
		WHERE p.period >= me.since AND p.customer_id IS NOT NULL GROUP BY 2, 3
		UNION ALL
		SELECT 'product', l.product_id, date_trunc('month', l.period), sum(l.amount)
		FROM me, onec_internal.counted_lines_between(me.server_name, me.since, me.day + 1) l
		WHERE l.product_id IS NOT NULL GROUP BY 2, 3),
	item AS (
		SELECT m.kind, m.item_id, sum(m.net) AS net, count(*) FILTER (WHERE m.month < me.next_day) AS months,
			   avg(m.net) FILTER (WHERE m.month < me.next_day) AS mean,
			   stddev_pop(m.net) FILTER (WHERE m.month < me.next_day) AS deviation
		FROM month m CROSS JOIN me GROUP BY 1, 2),
	ranked AS (
		SELECT i.*, sum(greatest(i.net, 0))
			OVER (PARTITION BY i.kind ORDER BY i.net DESC RANGE UNBOUNDED PRECEDING) AS running,
			   nullif(sum(greatest(i.net, 0)) OVER (PARTITION BY i.kind), 0) AS total,
			   rank() OVER (PARTITION BY i.kind ORDER BY i.net DESC) AS place
		FROM item i),
	class AS (
		SELECT r.*, CASE WHEN r.net <= 0 THEN 'C' WHEN r.running <= r.total * me.a OR r.place = 1 THEN 'A'
						 WHEN r.running <= r.total * me.b THEN 'B' ELSE 'C' END AS abc,
			   CASE WHEN r.months < me.least OR r.mean <= 0 THEN NULL
					WHEN r.deviation <= r.mean * me.x THEN 'X' WHEN r.deviation <= r.mean * me.y THEN 'Y'
					ELSE 'Z' END AS xyz
		FROM ranked r CROSS JOIN me)
	SELECT c.kind, c.item_id, c.net, round(c.net / c.total, 4), round(c.running / c.total, 4), c.abc,
		   c.months, round(c.mean, 2),
		   CASE WHEN c.mean > 0 THEN round(c.deviation / c.mean, 4) END, c.xyz, c.abc || coalesce(c.xyz, '')
	FROM class c
	ORDER BY c.kind, c.net DESC, c.item_id
$$;
COMMENT ON FUNCTION onec.abc_xyz_at(name, date) IS
	'ABC/XYZ покупателей (kind = customer) и товаров (kind = product) на дату';

CREATE VIEW onec.abc_xyz AS
	SELECT s.server, a.kind, a.item_id, coalesce(p.name, u.name, c.name) AS title, a.net, a.share,
		   a.cumulative_share, a.abc, a.active_months, a.monthly_net,
		   a.variation, a.xyz, a.class
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.abc_xyz_at(s.server) a
	LEFT JOIN onec.product p ON a.kind = 'product' AND p.server = s.server AND p.product_id = a.item_id
	LEFT JOIN onec.site_user u ON a.kind = 'customer' AND u.server = s.server AND u.user_id = a.item_id
	LEFT JOIN onec.counterparty c ON a.kind = 'customer' AND c.server = s.server
		AND c.customer_id = a.item_id;
COMMENT ON VIEW onec.abc_xyz IS 'ABC/XYZ покупателей и товаров: доля в выручке и постоянство спроса';
COMMENT ON COLUMN onec.abc_xyz.class IS 'Класс ABC и XYZ вместе';
COMMENT ON COLUMN onec.abc_xyz.share IS 'Доля в выручке';
COMMENT ON COLUMN onec.abc_xyz.monthly_net IS 'Средняя выручка месяца';
COMMENT ON COLUMN onec.abc_xyz.kind IS 'customer — покупатель, product — товар';
COMMENT ON COLUMN onec.abc_xyz.item_id IS 'Покупатель или товар';
COMMENT ON COLUMN onec.abc_xyz.title IS 'Имя или название';
COMMENT ON COLUMN onec.abc_xyz.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.abc_xyz.cumulative_share IS 'Накопленная доля, от больших к меньшим; равные вместе';
COMMENT ON COLUMN onec.abc_xyz.abc IS 'A — главные, B — средние, C — остальные и убыточные';
COMMENT ON COLUMN onec.abc_xyz.active_months IS 'Законченных месяцев с продажами';
COMMENT ON COLUMN onec.abc_xyz.variation IS 'Коэффициент вариации месячной выручки';
COMMENT ON COLUMN onec.abc_xyz.xyz IS 'X — ровный спрос, Y — меняется, Z — случайный; пусто — мало месяцев';

-- Periods are local wall time already: an hour here is the hour on the shop's clock.
CREATE FUNCTION onec.weekday_hour_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (weekday int, hour int, days bigint, receipts bigint, net numeric, receipts_per_day numeric,
				   share numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT d.*, onec_internal.start_of_last_days(d.day,
		onec.get('analysis.window', d.server_name)::int) AS since
			FROM onec_internal.server_and_day($1, $2) d),
	receipt AS MATERIALIZED (
		SELECT r.at, r.net, r.is_purchase
		FROM me, onec_internal.kept_receipts(me.server_name, me.day + 1) r),
	day AS (
		SELECT extract(isodow FROM g.day)::int AS weekday, count(*) AS days
		FROM (SELECT greatest(min(r.at)::date, me.since) AS first, me.day AS last FROM receipt r
			  CROSS JOIN me GROUP BY me.since, me.day) s
		CROSS JOIN LATERAL generate_series(s.first::date::timestamp, s.last::timestamp,
										   interval '1 day') g (day) GROUP BY 1),
	sale AS (
		SELECT extract(isodow FROM r.hour)::int AS weekday, extract(hour FROM r.hour)::int AS hour,
			   sum(r.receipts)::bigint AS receipts, sum(r.net) AS net
		FROM (SELECT date_trunc('hour', r.at) AS hour, count(*) AS receipts, sum(r.net) AS net
			  FROM receipt r CROSS JOIN me WHERE r.is_purchase AND r.at >= me.since GROUP BY 1) r
		GROUP BY 1, 2)
	SELECT w.weekday, h.hour, coalesce(d.days, 0), coalesce(s.receipts, 0), coalesce(s.net, 0),
		   round(coalesce(s.receipts, 0)::numeric / d.days, 3),
		   round(coalesce(s.receipts, 0) / nullif(sum(s.receipts) OVER (), 0), 4)
	FROM generate_series(1, 7) w (weekday) CROSS JOIN generate_series(0, 23) h (hour)
	LEFT JOIN day d ON d.weekday = w.weekday
	LEFT JOIN sale s ON s.weekday = w.weekday AND s.hour = h.hour
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.weekday_hour_at(name, date) IS 'Карта дней недели и часов на дату: когда покупают';

CREATE VIEW onec.weekday_hour AS
	SELECT s.server, w.weekday, w.hour, w.days, w.receipts, w.net, w.receipts_per_day, w.share
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.weekday_hour_at(s.server) w;
COMMENT ON VIEW onec.weekday_hour IS 'Карта дней недели и часов, местное время: когда покупают';
COMMENT ON COLUMN onec.weekday_hour.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.weekday_hour.weekday IS 'День недели, 1 — понедельник';
COMMENT ON COLUMN onec.weekday_hour.hour IS 'Час по местному времени';
COMMENT ON COLUMN onec.weekday_hour.days IS 'Сколько таких дней недели было';
COMMENT ON COLUMN onec.weekday_hour.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.weekday_hour.net IS 'Их сумма за вычетом возвратов';
COMMENT ON COLUMN onec.weekday_hour.receipts_per_day IS 'Чеков за один такой день';
COMMENT ON COLUMN onec.weekday_hour.share IS 'Доля во всех чеках';

-- A receipt counts in each store that has a line of it; money counts where and when the line was.
CREATE FUNCTION onec.store_summary_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (store_id uuid, receipts bigint, customers bigint, items numeric, gross numeric,
				   returned numeric, net numeric, share numeric,
				   average_check numeric, known_share numeric, first_sale timestamp, last_sale timestamp,
				   previous_net numeric, change numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (
		SELECT d.*, w.days, onec_internal.start_of_last_days(d.day, w.days) AS since
		FROM onec_internal.server_and_day($1, $2) d
		CROSS JOIN LATERAL (SELECT onec.get('analysis.window', d.server_name)::int AS days) w),
	part AS MATERIALIZED (
		SELECT p.* FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p),
	money AS (
		SELECT p.store_id, sum(p.items) FILTER (WHERE p.period >= me.since) AS items,
			   coalesce(sum(p.gross) FILTER (WHERE p.period >= me.since), 0) AS gross,
			   coalesce(sum(p.returned) FILTER (WHERE p.period >= me.since), 0) AS returned,
			   sum(p.net) FILTER (WHERE p.period >= me.since) AS net,
			   sum(p.net) FILTER (WHERE p.period >= me.since AND p.customer_id IS NOT NULL) AS known,
			   CASE WHEN me.days > 0
					THEN coalesce(sum(p.net) FILTER (WHERE p.period < me.since), 0) END AS previous
		FROM part p CROSS JOIN me
		WHERE me.days <= 0 OR p.period >= me.since - me.days * interval '1 day'
		GROUP BY p.store_id, me.days),
	sale AS (
		SELECT b.store_id, sum(b.receipts)::bigint AS receipts, count(b.customer_id) AS customers,
			   sum(b.net) AS net, min(b.first) AS first, max(b.last) AS last
		FROM (SELECT p.store_id, p.customer_id, count(*) FILTER (WHERE p.once) AS receipts, sum(p.net) AS net,
					 min(p.at) AS first, max(p.at) AS last
			  FROM part p CROSS JOIN me WHERE p.is_purchase AND p.at >= me.since GROUP BY 1, 2) b
		GROUP BY 1)
	SELECT m.store_id, coalesce(s.receipts, 0), coalesce(s.customers, 0), coalesce(m.items, 0), m.gross,
		   m.returned, coalesce(m.net, 0),
		   round(coalesce(m.net, 0) / nullif(sum(m.net) OVER (), 0), 4), round(s.net / s.receipts, 2),
		   round(coalesce(m.known, 0) / nullif(m.net, 0), 4),
		   s.first, s.last, m.previous, round(coalesce(m.net, 0) / nullif(m.previous, 0) - 1, 4)
	FROM money m LEFT JOIN sale s ON s.store_id IS NOT DISTINCT FROM m.store_id
	ORDER BY coalesce(m.net, 0) DESC, m.store_id
$$;
COMMENT ON FUNCTION onec.store_summary_at(name, date) IS
	'Магазины на дату: чеки, покупатели, выручка и её изменение';

CREATE VIEW onec.store_summary AS
	SELECT s.server, t.store_id, n.name AS store, t.receipts, t.customers, t.items, t.gross, t.returned,
		   t.net, t.share, t.average_check, t.known_share,
		   t.first_sale, t.last_sale, t.previous_net, t.change,
		   onec.moment(s.server, t.first_sale) AS first_sale_tz,
		   onec.moment(s.server, t.last_sale) AS last_sale_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.store_summary_at(s.server) t
	LEFT JOIN onec.store n ON n.server = s.server AND n.store_id = t.store_id;
COMMENT ON VIEW onec.store_summary IS
	'Магазины за последние дни (analysis.window): чеки, покупатели, выручка, сравнение '
	'с такими же днями до того';
COMMENT ON COLUMN onec.store_summary.store IS 'Магазин';
COMMENT ON COLUMN onec.store_summary.items IS 'Штук';
COMMENT ON COLUMN onec.store_summary.gross IS 'Продано';
COMMENT ON COLUMN onec.store_summary.returned IS 'Возвращено, меньше нуля';
COMMENT ON COLUMN onec.store_summary.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.store_summary.first_sale IS 'Первая продажа';
COMMENT ON COLUMN onec.store_summary.last_sale IS 'Последняя продажа';
COMMENT ON COLUMN onec.store_summary.store_id IS 'Магазин; пусто — не указан';
COMMENT ON COLUMN onec.store_summary.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.store_summary.customers IS 'Известных покупателей';
COMMENT ON COLUMN onec.store_summary.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.store_summary.share IS 'Доля в выручке';
COMMENT ON COLUMN onec.store_summary.known_share IS 'Какая доля выручки от известных покупателей';
COMMENT ON COLUMN onec.store_summary.previous_net IS 'Выручка за столько же дней до того';
COMMENT ON COLUMN onec.store_summary.change IS 'Изменение выручки: 0.1 — выросла на десятую';

CREATE FUNCTION onec.revenue_month_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (month date, store_id uuid, receipts bigint, customers bigint, new_customers bigint,
				   gross numeric, returned numeric, net numeric, known_net numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	part AS MATERIALIZED (
		SELECT p.customer_id, p.store_id, p.at, p.is_purchase AND p.once AS is_receipt, p.period, p.gross,
			   p.returned, p.net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p),
	money AS (
		SELECT date_trunc('month', p.period) AS month, p.store_id, coalesce(sum(p.gross), 0) AS gross,
			   coalesce(sum(p.returned), 0) AS returned, sum(p.net) AS net,
			   coalesce(sum(p.net) FILTER (WHERE p.customer_id IS NOT NULL), 0) AS known
		FROM part p GROUP BY 1, 2),
	-- receipts and customers once each, whatever months their lines are of
	visit AS MATERIALIZED (
		SELECT date_trunc('month', p.at) AS month, p.store_id, p.customer_id, count(*) AS receipts,
			   min(p.at) AS first
		FROM part p WHERE p.is_receipt GROUP BY 1, 2, 3),
	sale AS (
		SELECT v.month, v.store_id, sum(v.receipts)::bigint AS receipts, count(v.customer_id) AS customers,
			   count(v.customer_id) FILTER (WHERE v.first = f.at) AS new
		FROM visit v
		LEFT JOIN (SELECT x.customer_id, min(x.first) AS at FROM visit x GROUP BY 1) f
			ON f.customer_id = v.customer_id GROUP BY 1, 2)
	SELECT m.month::date, m.store_id, coalesce(s.receipts, 0), coalesce(s.customers, 0), coalesce(s.new, 0),
		   m.gross, m.returned, m.net, m.known
	FROM money m LEFT JOIN sale s ON s.month = m.month AND s.store_id IS NOT DISTINCT FROM m.store_id
	ORDER BY 1, 2
$$;
COMMENT ON FUNCTION onec.revenue_month_at(name, date) IS 'Выручка по месяцам и магазинам на дату';

CREATE VIEW onec.revenue_month AS
	SELECT s.server, r.month, r.store_id, n.name AS store, r.receipts, r.customers, r.new_customers, r.gross,
		   r.returned, r.net, r.known_net, onec.moment(s.server, r.month::timestamp) AS month_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.revenue_month_at(s.server) r
	LEFT JOIN onec.store n ON n.server = s.server AND n.store_id = r.store_id;
COMMENT ON VIEW onec.revenue_month IS 'Выручка по месяцам и магазинам';
COMMENT ON COLUMN onec.revenue_month.month IS 'Месяц';
COMMENT ON COLUMN onec.revenue_month.store IS 'Магазин';
COMMENT ON COLUMN onec.revenue_month.gross IS 'Продано';
COMMENT ON COLUMN onec.revenue_month.returned IS 'Возвращено, меньше нуля';
COMMENT ON COLUMN onec.revenue_month.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.revenue_month.customers IS 'Известных покупателей';
COMMENT ON COLUMN onec.revenue_month.new_customers IS 'Из них купили впервые';
COMMENT ON COLUMN onec.revenue_month.net IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.revenue_month.known_net IS 'Из неё от известных покупателей';

-- Visits up to a day: those that the profiles keep; only of whom a profile tells of later ones the lines are
-- looked at.
CREATE FUNCTION onec_internal.expected_visits(server name, day date)
	RETURNS TABLE (customer_id uuid, visits int, gap numeric, expected_next date, days_since int,
				   overdue_ratio numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH later AS MATERIALIZED (
		SELECT array_agg(p.customer_id) AS list FROM onec.customer_profile p
		WHERE p.server = $1 AND p.last_purchase >= $2 + 1),
	buyer AS MATERIALIZED (
		SELECT p.customer_id, p.visits, p.median_gap, p.last_purchase::date AS last
		FROM onec.customer_profile p
		WHERE p.server = $1 AND p.visits > 0 AND p.last_purchase < $2 + 1
		UNION ALL
		SELECT g.customer_id, g.visits, g.median_gap, g.last_day
		FROM later l CROSS JOIN LATERAL onec_internal.visit_gaps($1, $2, l.list) g WHERE l.list IS NOT NULL),
	usual AS (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY b.median_gap)::numeric AS gap FROM buyer b),
	g AS (SELECT b.*, onec_internal.gap_drawn_to_usual(b.visits, b.median_gap, u.gap) AS gap FROM buyer b
		  CROSS JOIN usual u)
	SELECT g.customer_id, g.visits, round(g.gap, 1), g.last + round(g.gap)::int, $2 - g.last,
		   round(($2 - g.last) / nullif(g.gap, 0), 2)
	FROM g
$$;
COMMENT ON FUNCTION onec_internal.expected_visits(name, date) IS 'Когда ждать покупателей снова (служебная)';

-- What is left of a card at a moment, and what of that burns within some days: they were granted long before,
-- so no more can burn than is left.
CREATE FUNCTION onec_internal.points_soon_expiring(server name, at timestamp, till timestamp)
	RETURNS TABLE (customer_id uuid, balance numeric, burning numeric, burn_on date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.customer_id, t.balance, least(t.burning, greatest(t.balance, 0)), t.burn_on
	FROM (SELECT c.user_id AS customer_id,
				 coalesce(sum(p.points) FILTER (WHERE p.period IS NULL), 0) AS balance,
				 coalesce(-sum(p.points) FILTER (WHERE p.period IS NOT NULL AND p.points < 0), 0) AS burning,
				 min(p.period) FILTER (WHERE p.points < 0)::date AS burn_on
		  FROM onec_internal.shop_rules w CROSS JOIN LATERAL onec_internal.points_ahead(w.server, $2, $3) p
		  JOIN onec.customer_card c ON c.server = w.server AND c.card_id = p.card_id
		  WHERE w.server = $1 AND w.has_loyalty GROUP BY 1) t
$$;
COMMENT ON FUNCTION onec_internal.points_soon_expiring(name, timestamp, timestamp) IS
	'Какие баллы скоро сгорят (служебная)';

CREATE FUNCTION onec.call_list_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (place bigint, customer_id uuid, reasons text[], expected_next date, days_since int,
				   overdue_ratio numeric, usual_gap numeric,
				   points_balance numeric, points_burning numeric, points_burn_on date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (
		SELECT d.*, onec.get('call.days_ahead', d.server_name)::int AS ahead,
			   onec.get('call.max_overdue', d.server_name)::numeric AS limit_ratio,
			   onec.get('call.min_visits', d.server_name)::int AS min_visits,
			   onec.get('call.points_days', d.server_name)::int AS points_days,
			   onec_internal.moment_meant(d.server_name, $2) AS at
		FROM onec_internal.server_and_day($1, $2) d),
	person AS (
		SELECT u.user_id AS customer_id, coalesce(p.total_revenue, 0) AS revenue, e.expected_next,
			   e.days_since, e.overdue_ratio, e.gap, b.balance, b.burning, b.burn_on,
			   e.visits >= me.min_visits AND e.expected_next < me.day
				   AND e.overdue_ratio <= me.limit_ratio AS overdue,
			   e.visits >= me.min_visits AND e.expected_next BETWEEN me.day AND me.day + me.ahead AS due,
			   b.burning > 0 AS burns
		FROM me
		JOIN onec.site_user u ON u.server = me.server_name AND u.is_active
			AND coalesce(u.phone, u.email) IS NOT NULL
		LEFT JOIN onec.customer_profile p ON p.server = me.server_name AND p.customer_id = u.user_id
		LEFT JOIN onec_internal.expected_visits(me.server_name, me.day) e ON e.customer_id = u.user_id
		LEFT JOIN onec_internal.points_soon_expiring(me.server_name, me.at, me.day + 1 + me.points_days) b
			ON b.customer_id = u.user_id)
	SELECT row_number() OVER (ORDER BY p.revenue DESC, p.customer_id), p.customer_id,
		   array_remove(ARRAY[CASE WHEN p.overdue THEN 'overdue' END, CASE WHEN p.due THEN 'due' END,
							  CASE WHEN p.burns THEN 'points' END], NULL),
		   p.expected_next, p.days_since, p.overdue_ratio, p.gap, p.balance,
		   CASE WHEN p.burns THEN p.burning END, CASE WHEN p.burns THEN p.burn_on END
	FROM person p
	WHERE p.overdue OR p.due OR p.burns
	ORDER BY 1
$$;
COMMENT ON FUNCTION onec.call_list_at(name, date) IS
	'Кому позвонить: кого ждём, кто опаздывает, у кого сгорают баллы; по профилям, какие они сейчас';

-- The same with names, and the reasons in words.
CREATE FUNCTION onec_internal.call_list_with_names(server name, as_of date)
	RETURNS TABLE (place bigint, customer_id uuid, name text, phone text, email text, reasons text[],
				   why text, expected_next date,
				   days_since int, overdue_ratio numeric, usual_gap numeric, last_purchase timestamp,
				   visits int, average_check numeric,
				   total_revenue numeric, favorite_categories text[], segment text, points_balance numeric,
				   points_burning numeric,
				   points_burn_on date)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.place, l.customer_id, u.name, u.phone, u.email, l.reasons,
			   array_to_string(ARRAY[
				   CASE WHEN 'overdue' = ANY (l.reasons) THEN 'опаздывает, ждали '
						|| to_char(l.expected_next, 'DD.MM.YYYY') END,
				   CASE WHEN 'due' = ANY (l.reasons) THEN 'ждём '
						|| to_char(l.expected_next, 'DD.MM.YYYY') END,
				   CASE WHEN 'points' = ANY (l.reasons) THEN
					   'сгорят баллы: ' || trim_scale(l.points_burning) || ', '
						   || to_char(l.points_burn_on, 'DD.MM.YYYY') END], '; '),
			   l.expected_next, l.days_since, l.overdue_ratio, l.usual_gap, p.last_purchase, p.visits,
			   p.average_check, p.total_revenue,
			   p.favorite_categories, r.segment_title, l.points_balance, l.points_burning, l.points_burn_on
		FROM onec.call_list_at($1, $2) l
		JOIN onec.site_user u ON u.server = $1 AND u.user_id = l.customer_id
		LEFT JOIN onec.customer_profile p ON p.server = $1 AND p.customer_id = l.customer_id
		LEFT JOIN onec.customer_rfm r ON r.server = $1 AND r.customer_id = l.customer_id;
	END;
COMMENT ON FUNCTION onec_internal.call_list_with_names(name, date) IS
	'Кому позвонить, с именами и причинами словами (служебная)';

CREATE VIEW onec.call_list AS
	SELECT s.server, l.place, l.customer_id, l.name, l.phone, l.email, l.reasons, l.why, l.expected_next,
		   l.days_since, l.overdue_ratio,
		   l.usual_gap, l.last_purchase, l.visits, l.average_check, l.total_revenue, l.favorite_categories,
		   l.segment, l.points_balance,
		   l.points_burning, l.points_burn_on, onec.moment(s.server, l.last_purchase) AS last_purchase_tz
	FROM onec_internal.known_servers s
	CROSS JOIN LATERAL onec_internal.call_list_with_names(s.server, NULL) l;
COMMENT ON VIEW onec.call_list IS
	'Кому позвонить: кого ждём в ближайшие дни, кто опаздывает, у кого сгорают баллы; '
	'сначала те, кто принёс больше';
COMMENT ON COLUMN onec.call_list.customer_id IS 'Покупатель: контрагент, у карты без владельца — карта';
COMMENT ON COLUMN onec.call_list.name IS 'Имя';
COMMENT ON COLUMN onec.call_list.phone IS 'Телефон в едином виде';
COMMENT ON COLUMN onec.call_list.email IS 'Электронная почта';
COMMENT ON COLUMN onec.call_list.last_purchase IS 'Последняя покупка, местное время';
COMMENT ON COLUMN onec.call_list.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.call_list.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.call_list.total_revenue IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.call_list.favorite_categories IS 'Любимые категории, до пяти, как их называет сайт';
COMMENT ON COLUMN onec.call_list.days_since IS 'Дней с последней покупки';
COMMENT ON COLUMN onec.call_list.place IS 'Очередь: по выручке';
COMMENT ON COLUMN onec.call_list.reasons IS 'overdue — опаздывает, due — ждём, points — сгорают баллы';
COMMENT ON COLUMN onec.call_list.why IS 'Почему, словами';
COMMENT ON COLUMN onec.call_list.expected_next IS
	'Когда ждали или ждём: последняя покупка и обычный промежуток';
COMMENT ON COLUMN onec.call_list.overdue_ratio IS 'Сколько обычных промежутков прошло';
COMMENT ON COLUMN onec.call_list.usual_gap IS 'Обычный промежуток, дней';
COMMENT ON COLUMN onec.call_list.segment IS 'Сегмент RFM';
COMMENT ON COLUMN onec.call_list.points_balance IS 'Баллов сейчас';
COMMENT ON COLUMN onec.call_list.points_burning IS 'Сколько из них скоро сгорит';
COMMENT ON COLUMN onec.call_list.points_burn_on IS 'Когда сгорят первые';
