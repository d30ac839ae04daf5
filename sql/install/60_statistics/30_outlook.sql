-- What a customer prefers and when: months and holidays, categories, brands and stores, the next purchase.
-- The functions answer for any day, as if later sales did not exist yet; two tables keep the answer of the
-- last refresh.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('season.prior_receipts', 'numeric', '6', NULL, 0, 1000000,
	 'Сколькими чеками весит сезонность магазина в сезонности покупателя'),
	('season.peak_index', 'numeric', '1.25', NULL, 0, 12,
	 'С какого индекса месяц считается пиком покупателя'),
	('outlook.baseline_days', 'int', '7', NULL, 0, 3650,
	 'Сколько дней сравнивать затронутых покупателей с прежними показателями магазина');

CREATE FUNCTION onec_internal.visit_gaps(server name, as_of date, customers uuid[])
	RETURNS TABLE (customer_id uuid, visits int, first_day date, last_day date, median_gap numeric,
				   low_gap numeric, high_gap numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH gap AS (
		SELECT v.customer_id, v.day,
			   v.day - lag(v.day) OVER (PARTITION BY v.customer_id ORDER BY v.day) AS days
		FROM onec_internal.visits_till($1, $2 + 1, $3) v)
	SELECT g.customer_id, count(*)::int, min(g.day), max(g.day),
		   percentile_cont(0.5) WITHIN GROUP (ORDER BY g.days)::numeric,
		   percentile_cont(0.25) WITHIN GROUP (ORDER BY g.days)::numeric,
		   percentile_cont(0.75) WITHIN GROUP (ORDER BY g.days)::numeric
	FROM gap g GROUP BY 1
$$;
COMMENT ON FUNCTION onec_internal.visit_gaps(name, date, uuid[]) IS
	'Визиты и промежутки между ними (служебная)';

-- The gap of a shop without a customer who came twice is not known.
CREATE FUNCTION onec_internal.usual_gap(server name, as_of date) RETURNS numeric
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY g.median_gap)::numeric
	FROM onec_internal.visit_gaps($1, $2, NULL) g
$$;
COMMENT ON FUNCTION onec_internal.usual_gap(name, date) IS
	'Обычный промежуток между визитами в магазине (служебная)';

-- A third of a whole number times 1.5 may be whole: the limits are rounded, so that such a day falls on its
-- right side.
CREATE FUNCTION onec_internal.churn_class_of(days int, gap numeric, visits int) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN gap IS NOT NULL
					AND days IS NOT NULL THEN CASE WHEN visits = 1 THEN 'single_' ELSE '' END ||
			CASE WHEN days <= gap THEN 'active' WHEN days <= round(gap * 1.5, 3) THEN 'due'
				 WHEN days <= round(gap * 2.5, 3) THEN 'at_risk'
				 WHEN days <= round(gap * 4, 3) THEN 'lapsed' ELSE 'lost' END END;
	END;
COMMENT ON FUNCTION onec_internal.churn_class_of(int, numeric, int) IS
	'Класс оттока по прошедшим дням и обычному промежутку (служебная)';

-- A gap known from one interval is drawn to the shop's usual one, as if two intervals of that length were
-- known as well.
CREATE FUNCTION onec_internal.gap_drawn_to_usual(visits int, median_gap numeric,
												 usual numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN visits >= 3 THEN median_gap
				ELSE ((visits - 1) * coalesce(median_gap, 0) + 2 * usual) / (visits + 1) END;
COMMENT ON FUNCTION onec_internal.gap_drawn_to_usual(int, numeric, numeric) IS
	'Обычный промежуток между визитами покупателя (служебная)';

CREATE FUNCTION onec_internal.next_purchase_of(server name, as_of date, customers uuid[], usual numeric)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date,
				   window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH g AS (
		SELECT v.*, $2 - v.last_day AS days,
			   onec_internal.gap_drawn_to_usual(v.visits, v.median_gap, $4) AS gap
		FROM onec_internal.visit_gaps($1, $2, $3) v)
	SELECT g.customer_id, g.visits, g.last_day, round(g.gap, 4), g.last_day + round(g.gap)::int,
		   CASE WHEN g.visits >= 5 THEN g.last_day + round(g.low_gap)::int END,
		   CASE WHEN g.visits >= 5 THEN g.last_day + round(g.high_gap)::int END,
		   g.days, round(g.days / nullif(g.gap, 0), 2),
		   onec_internal.churn_class_of(g.days, round(g.gap, 4), g.visits)
	FROM g
$$;
COMMENT ON FUNCTION onec_internal.next_purchase_of(name, date, uuid[], numeric) IS
	'Когда ждать покупателей при известном обычном промежутке (служебная)';

CREATE FUNCTION onec.next_purchase(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date,
				   window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.* FROM onec_internal.server_and_day($1, $2) d
	CROSS JOIN LATERAL onec_internal.next_purchase_of(d.server_name, d.day, $3,
													  onec_internal.usual_gap(d.server_name, d.day)) n
$$;
COMMENT ON FUNCTION onec.next_purchase(name, date, uuid[]) IS
	'Когда ждать покупателей (всех или названных) снова, насколько опаздывают и класс оттока; '
	'single_* — купившие один раз';

-- What seasons are measured by: which whole months the shop was observed, and its own curve.  A calendar
-- month never seen whole is taken for an average one.
CREATE FUNCTION onec_internal.shop_season(server name, as_of date) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH m AS (SELECT s.month, s.observed, coalesce(s.season_index, 1) AS rate,
					  sum(coalesce(s.season_index, 1)) OVER () AS total FROM onec.month_season_at($1, $2) s),
	span AS (SELECT sum(m.observed)::int AS months, date_trunc('month', ($2 + 1)::timestamp) AS till FROM m)
	SELECT jsonb_build_object('from', s.till - s.months * interval '1 month', 'till', s.till,
		'observed', (SELECT jsonb_agg(m.observed ORDER BY m.month) FROM m), 'curve',
		(SELECT jsonb_agg(round(m.rate / m.total, 6) ORDER BY m.month) FROM m))
	FROM span s
$$;
COMMENT ON FUNCTION onec_internal.shop_season(name, date) IS
	'Наблюдавшиеся месяцы и сезонность магазина (служебная)';

-- Shares of the months drawn to the shop's curve: (receipts * share + prior * curve) / (receipts + prior),
-- 1 being an average month (doc/definitions.md 3.2, with an example).  Money counts in months seen whole,
-- divided by how often they were; holidays count on any day.
--
-- Nested loops are off here and below: the planner takes what a function returns for a few rows, and they
-- are all customers.  Where a loop cannot be avoided it then reckons with so much that each such query would
-- be compiled: hence no jit.
CREATE FUNCTION onec_internal.season_of(server name, as_of date, customers uuid[], base jsonb)
	RETURNS TABLE (customer_id uuid, receipts int, month_index numeric[], peak_months int[],
				   buys_8_march boolean, buys_new_year boolean, buys_valentine boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
	WITH span AS MATERIALIZED (
		SELECT ($4 ->> 'from')::timestamp AS since, ($4 ->> 'till')::timestamp AS till,
			   onec.get('season.prior_receipts', $1)::numeric AS prior,
			   onec.get('season.peak_index', $1)::numeric AS peak),
	month AS MATERIALIZED (
		SELECT n.month, ($4 -> 'observed' ->> n.month - 1)::numeric AS observed,
			   ($4 -> 'curve' ->> n.month - 1)::numeric AS usual FROM generate_series(1, 12) n (month)),
	line AS MATERIALIZED (SELECT l.* FROM onec_internal.receipt_lines_till($1, $2 + 1, $3) l
						  WHERE l.customer_id IS NOT NULL),
	person AS (
		SELECT l.customer_id,
			   count(DISTINCT l.receipt_id)
				   FILTER (WHERE l.is_purchase AND l.at >= (SELECT s.since FROM span s)
						   AND l.at < (SELECT s.till FROM span s)) AS receipts,
			   coalesce(bool_or(l.is_purchase AND extract(month FROM l.at) = 3
								AND extract(day FROM l.at) <= 8), false) AS march,
			   coalesce(bool_or(l.is_purchase AND extract(month FROM l.at) = 12
								AND extract(day FROM l.at) >= 10), false) AS new_year,
			   coalesce(bool_or(l.is_purchase AND extract(month FROM l.at) = 2
								AND extract(day FROM l.at) BETWEEN 7 AND 14), false) AS valentine
		FROM line l GROUP BY 1),
	money AS (
		SELECT l.customer_id, m.month, sum(l.amount) / m.observed AS rate
		FROM line l JOIN month m ON m.month = extract(month FROM l.period)
		WHERE l.amount > 0 AND l.period >= (SELECT s.since FROM span s)
		  AND l.period < (SELECT s.till FROM span s) GROUP BY 1, 2, m.observed),
	total AS (SELECT m.customer_id, sum(m.rate) AS rate FROM money m GROUP BY 1),
	index AS (
		SELECT p.customer_id, m.month,
			   round(CASE WHEN t.rate > 0 AND p.receipts > 0
						  THEN (p.receipts * coalesce(g.rate, 0) / t.rate + (SELECT s.prior
							  FROM span s) * m.usual) / (p.receipts + (SELECT s.prior FROM span s))
						  ELSE m.usual END * 12, 4) AS value
		FROM person p CROSS JOIN month m
		LEFT JOIN total t ON t.customer_id = p.customer_id
		LEFT JOIN money g ON g.customer_id = p.customer_id AND g.month = m.month),
	vector AS (
		SELECT i.customer_id, array_agg(i.value ORDER BY i.month) AS list,
			   coalesce((array_agg(i.month ORDER BY i.value DESC, i.month)
						 FILTER (WHERE i.value >= (SELECT s.peak FROM span s)))[1:3], '{}') AS peaks
		FROM index i GROUP BY 1)
	SELECT p.customer_id, p.receipts::int, v.list, v.peaks, p.march, p.new_year, p.valentine
	FROM person p JOIN vector v ON v.customer_id = p.customer_id
$$;
COMMENT ON FUNCTION onec_internal.season_of(name, date, uuid[], jsonb) IS
	'Сезонность покупателей при известной сезонности магазина (служебная)';

CREATE FUNCTION onec.season(server name DEFAULT NULL, as_of date DEFAULT NULL, customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, receipts int, month_index numeric[], peak_months int[],
				   buys_8_march boolean, buys_new_year boolean, buys_valentine boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.* FROM onec_internal.server_and_day($1, $2) d
	CROSS JOIN LATERAL onec_internal.season_of(d.server_name, d.day, $3,
											   onec_internal.shop_season(d.server_name, d.day)) s
$$;
COMMENT ON FUNCTION onec.season(name, date, uuid[]) IS
	'Сезонность покупателей (всех или названных): индексы месяцев (1 — средний), до трёх пиков от '
	'сильного к слабому, праздники';

-- The shop's shares come as {"kind": {"value": share}}, or from the rows themselves if those are of all
-- customers.
CREATE FUNCTION onec_internal.affinity_of(server name, as_of date, customers uuid[],
										  only_kind text, shop jsonb)
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, place int, weight numeric,
				   share numeric, receipts int,
				   penetration numeric, lift numeric, last_at timestamp, diversity numeric,
				   shop_share numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
	WITH found AS MATERIALIZED (SELECT * FROM onec_internal.taste_weights($1, $2, $3,
		CASE WHEN $4 IS NOT NULL THEN ARRAY[$4] END)),
	shop AS MATERIALIZED (
		SELECT k.key AS kind, v.key AS value_id, v.value::numeric AS share FROM jsonb_each($5) k
		CROSS JOIN LATERAL jsonb_each_text(k.value) v
		UNION ALL
		SELECT s.kind, s.value_id, round(s.weight / nullif(sum(s.weight) OVER (PARTITION BY s.kind), 0), 6)
		FROM (SELECT f.kind, f.value_id, greatest(sum(f.weight), 0) AS weight FROM found f WHERE $5 IS NULL
			  GROUP BY 1, 2) s),
	liked AS (
		SELECT f.*, f.weight / sum(f.weight) OVER (PARTITION BY f.customer_id, f.kind) AS share FROM found f
		WHERE f.weight > 0)
	SELECT l.customer_id, l.kind, l.value_id, l.title, l.place::int, round(l.weight, 2),
		   round(l.share, 4), l.receipts,
		   round(l.receipts::numeric / nullif(l.all_receipts, 0), 4),
		   round(l.share / nullif(s.share, 0), 2), l.last_at,
		   round(1 - sum(l.share * l.share) OVER (PARTITION BY l.customer_id, l.kind), 4), s.share
	FROM liked l LEFT JOIN shop s ON s.kind = l.kind AND s.value_id = l.value_id
$$;
COMMENT ON FUNCTION onec_internal.affinity_of(name, date, uuid[], text, jsonb) IS
	'Предпочтения покупателей при известных долях магазина (служебная)';

CREATE FUNCTION onec_internal.shop_taste_shares(server name, as_of date, only_kind text) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(k.kind, k.shares), '{}')
	FROM (SELECT v.kind, jsonb_object_agg(v.value_id, v.shop_share) AS shares
		  FROM (SELECT DISTINCT a.kind, a.value_id, a.shop_share
				FROM onec_internal.affinity_of($1, $2, NULL, $3, NULL) a) v GROUP BY 1) k
$$;
COMMENT ON FUNCTION onec_internal.shop_taste_shares(name, date, text) IS
	'Доли категорий, марок и магазинов у всех известных покупателей (служебная)';

CREATE FUNCTION onec.affinity(server name DEFAULT NULL, as_of date DEFAULT NULL,
							  customers uuid[] DEFAULT NULL, only_kind text DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, place int, weight numeric,
				   share numeric, receipts int,
				   penetration numeric, lift numeric, last_at timestamp, diversity numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT a.customer_id, a.kind, a.value_id, a.title, a.place, a.weight, a.share, a.receipts, a.penetration,
		   a.lift, a.last_at, a.diversity
	FROM onec_internal.server_and_day($1, $2) d
	CROSS JOIN LATERAL onec_internal.checked_word('kind', $4, '{category,brand,store}') k
	CROSS JOIN LATERAL onec_internal.affinity_of(d.server_name, d.day, $3, k,
												 CASE WHEN $3 IS NOT NULL
													  THEN onec_internal.shop_taste_shares(d.server_name,
														  d.day, k) END) a
$$;
COMMENT ON FUNCTION onec.affinity(name, date, uuid[], text) IS
	'Предпочтения покупателей (всех или названных): only_kind — category, brand, store или пусто для всех; '
	'первые пять мест — любимые';

CREATE TABLE onec.customer_outlook (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	month_index numeric[] NOT NULL,
	peak_months int[] NOT NULL,
	buys_8_march boolean NOT NULL,
	buys_new_year boolean NOT NULL,
	buys_valentine boolean NOT NULL,
	visits int NOT NULL,
	last_visit date,
	gap numeric,
	expected_next date,
	window_from date,
	window_to date,
	days_since int,
	overdue_ratio numeric,
	churn_class text,
	favorite_categories text[] NOT NULL,
	favorite_brands text[] NOT NULL,
	favorite_stores text[] NOT NULL,
	category_diversity numeric,
	brand_diversity numeric,
	store_diversity numeric,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_outlook IS
	'Чего ждать от покупателей: сезонность, следующая покупка, класс оттока, любимое; на '
	'день последнего пересчёта';
COMMENT ON COLUMN onec.customer_outlook.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_outlook.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_outlook.month_index IS
	'Индексы месяцев (январь … декабрь): 1 — средний месяц';
COMMENT ON COLUMN onec.customer_outlook.peak_months IS 'До трёх месяцев-пиков, от сильного к слабому';
COMMENT ON COLUMN onec.customer_outlook.buys_8_march IS 'Покупал с 1 по 8 марта';
COMMENT ON COLUMN onec.customer_outlook.buys_new_year IS 'Покупал с 10 по 31 декабря';
COMMENT ON COLUMN onec.customer_outlook.buys_valentine IS 'Покупал с 7 по 14 февраля';
COMMENT ON COLUMN onec.customer_outlook.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.customer_outlook.last_visit IS 'День последней покупки';
COMMENT ON COLUMN onec.customer_outlook.gap IS 'Обычный промежуток, дней';
COMMENT ON COLUMN onec.customer_outlook.expected_next IS 'Когда ждать снова';
COMMENT ON COLUMN onec.customer_outlook.window_from IS
	'Начало окна ожидания: четверть промежутков короче; при четырёх промежутках и больше';
COMMENT ON COLUMN onec.customer_outlook.window_to IS 'Конец окна ожидания: четверть промежутков длиннее';
COMMENT ON COLUMN onec.customer_outlook.days_since IS 'Дней с последней покупки';
COMMENT ON COLUMN onec.customer_outlook.overdue_ratio IS 'Сколько обычных промежутков прошло';
COMMENT ON COLUMN onec.customer_outlook.churn_class IS
	'active, due, at_risk, lapsed, lost; у купивших один раз — single_*';
COMMENT ON COLUMN onec.customer_outlook.favorite_categories IS
	'Любимые категории, до пяти, как их называет сайт; по-русски — title в customer_affinity';
COMMENT ON COLUMN onec.customer_outlook.favorite_brands IS 'Любимые марки, до пяти';
COMMENT ON COLUMN onec.customer_outlook.favorite_stores IS 'Магазины по числу визитов, до пяти';
COMMENT ON COLUMN onec.customer_outlook.category_diversity IS
	'Разнообразие категорий: 0 — одна, ближе к 1 — много поровну';
COMMENT ON COLUMN onec.customer_outlook.brand_diversity IS 'Разнообразие марок';
COMMENT ON COLUMN onec.customer_outlook.store_diversity IS 'Разнообразие магазинов';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_outlook', '');

CREATE TABLE onec.outlook_baseline (
	server name PRIMARY KEY,
	as_of date NOT NULL,
	season jsonb NOT NULL,
	usual_gap numeric,
	shares jsonb NOT NULL
);
COMMENT ON TABLE onec.outlook_baseline IS
	'С чем сравниваются покупатели: сезонность магазина, обычный промежуток, доли; от '
	'последнего полного пересчёта';
COMMENT ON COLUMN onec.outlook_baseline.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outlook_baseline.as_of IS 'На какой день';
COMMENT ON COLUMN onec.outlook_baseline.season IS 'Наблюдавшиеся месяцы и кривая сезонности';
COMMENT ON COLUMN onec.outlook_baseline.usual_gap IS 'Обычный промежуток между визитами, дней';
COMMENT ON COLUMN onec.outlook_baseline.shares IS 'Доли категорий, марок и магазинов';
SELECT pg_catalog.pg_extension_config_dump('onec.outlook_baseline', '');

-- The rows of customer_outlook as they ought to be; preferences are taken from the temporary table made
-- before.
CREATE FUNCTION onec_internal.computed_outlook(server name, as_of date, customers uuid[], season jsonb,
											   usual numeric) RETURNS SETOF onec.customer_outlook
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
BEGIN
	RETURN QUERY
		WITH liked AS (
			SELECT a.customer_id,
				   array_agg(a.value_id ORDER BY a.place)
					   FILTER (WHERE a.kind = 'category' AND a.place <= 5) AS categories,
				   array_agg(a.title ORDER BY a.place)
					   FILTER (WHERE a.kind = 'brand' AND a.place <= 5) AS brands,
				   array_agg(a.title ORDER BY a.place)
					   FILTER (WHERE a.kind = 'store' AND a.place <= 5) AS stores,
				   max(a.diversity) FILTER (WHERE a.kind = 'category') AS category,
				   max(a.diversity) FILTER (WHERE a.kind = 'brand') AS brand,
				   max(a.diversity) FILTER (WHERE a.kind = 'store') AS store
			FROM pg_temp.onec_affinity a GROUP BY 1)
		SELECT computed_outlook.server, s.customer_id, s.month_index, s.peak_months, s.buys_8_march,
			   s.buys_new_year, s.buys_valentine,
			   coalesce(n.visits, 0), n.last_visit, n.gap, n.expected_next, n.window_from, n.window_to,
			   n.days_since, n.overdue_ratio, n.churn_class,
			   coalesce(l.categories, '{}'), coalesce(l.brands, '{}'), coalesce(l.stores, '{}'), l.category,
			   l.brand, l.store
		FROM onec_internal.season_of(computed_outlook.server, as_of, customers, season) s
		LEFT JOIN onec_internal.next_purchase_of(computed_outlook.server, as_of, customers, usual) n
			ON n.customer_id = s.customer_id
		LEFT JOIN liked l ON l.customer_id = s.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.computed_outlook(name, date, uuid[], jsonb, numeric) IS
	'Ожидания, какими они должны быть (служебная)';

-- Customers are compared with the shop: its seasons, its usual gap, its shares.  To find these out takes
-- all lines of the shop, which for a few customers would cost more than they do; so a refresh writes them
-- down, and later ones take them from there.  Example: on the 1st refresh_outlook('shop') reads the shop and
-- writes its baseline.  On the 4th refresh_outlook('shop', '{A}') reads the lines of A alone.  On the 9th
-- the baseline is older than outlook.baseline_days (7): the shop is read once more.
CREATE FUNCTION onec.refresh_outlook(server name DEFAULT NULL, customers uuid[] DEFAULT NULL,
									 as_of date DEFAULT NULL,
									 OUT rows_inserted bigint, OUT rows_updated bigint,
									 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
	b onec.outlook_baseline;
	-- a weight that has only faded since it was written says the same as the new one
	faded text := format('ROW(t.title, t.place, t.share, t.receipts, t.penetration, t.lift, t.last_at)
		IS NOT DISTINCT FROM ROW(excluded.title, excluded.place, excluded.share, excluded.receipts,
								 excluded.penetration, excluded.lift, excluded.last_at)
		AND abs(excluded.weight - t.weight::float8 * CASE t.kind WHEN ''store'' THEN 1
														  ELSE onec_internal.faded_weight(t.weighed_on,
															  excluded.weighed_on, %s) END) <= 0.02',
		onec.get('affinity.half_life_days', srv));
	a record;
	o record;
BEGIN
	PERFORM onec_internal.must_write('refresh_outlook');
	PERFORM onec_internal.lock_people('ROW SHARE');
	SELECT t.* INTO b FROM onec.outlook_baseline t
	WHERE t.server = srv AND customers IS NOT NULL
	  AND abs(day - t.as_of) <= onec.get('outlook.baseline_days', srv)::int;
	IF b.server IS NULL THEN
		b := ROW(srv, day, onec_internal.shop_season(srv, day), onec_internal.usual_gap(srv, day),
				 CASE WHEN customers IS NOT NULL THEN onec_internal.shop_taste_shares(srv, day, NULL) END);
	END IF;
	CREATE TEMPORARY TABLE onec_affinity ON COMMIT DROP AS
		SELECT srv AS server, day AS weighed_on, x.*
		FROM onec_internal.affinity_of(srv, day, customers, NULL, b.shares) x;
	ANALYZE pg_temp.onec_affinity;
	IF b.shares IS NULL THEN
		SELECT coalesce(jsonb_object_agg(k.kind, k.shares), '{}') INTO b.shares
		FROM (SELECT v.kind, jsonb_object_agg(v.value_id, v.shop_share) AS shares
			  FROM (SELECT DISTINCT x.kind, x.value_id, x.shop_share FROM pg_temp.onec_affinity x) v
			  GROUP BY 1) k;
	END IF;
	INSERT INTO onec.outlook_baseline AS t VALUES (b.*)
	ON CONFLICT ON CONSTRAINT outlook_baseline_pkey DO UPDATE
		SET as_of = excluded.as_of, season = excluded.season, usual_gap = excluded.usual_gap,
			shares = excluded.shares
		WHERE ROW(t.*) IS DISTINCT FROM ROW(excluded.*);
	CREATE TEMPORARY TABLE onec_outlook ON COMMIT DROP AS SELECT x.*
		FROM onec_internal.computed_outlook(srv, day, customers, b.season, b.usual_gap) x;
	ANALYZE pg_temp.onec_outlook;
	SELECT * INTO a FROM onec_internal.write_changed_rows('onec.customer_affinity', 'onec_affinity', srv,
														  customers, faded);
	SELECT * INTO o FROM onec_internal.write_changed_rows('onec.customer_outlook', 'onec_outlook',
														  srv, customers);
	rows_inserted := a.inserted + o.inserted;
	rows_updated := a.updated + o.updated;
	rows_deleted := a.deleted + o.deleted;
	DROP TABLE pg_temp.onec_affinity, pg_temp.onec_outlook;
END $$;
COMMENT ON FUNCTION onec.refresh_outlook(name, uuid[], date) IS
	'Пересчитать ожидания и предпочтения (всех или названных покупателей) на дату; '
	'неизменившиеся не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_outlook(name, uuid[], date) FROM PUBLIC;

-- The table keeps the day of its refresh; days go on for those whom no refresh has touched.
CREATE VIEW onec.outlook AS
	SELECT o.server, o.customer_id, o.month_index, o.peak_months, o.buys_8_march, o.buys_new_year,
		   o.buys_valentine, o.visits, o.last_visit, o.gap,
		   o.expected_next, o.window_from, o.window_to, d.day - o.last_visit AS days_since,
		   round((d.day - o.last_visit) / nullif(o.gap, 0), 2) AS overdue_ratio,
		   onec_internal.churn_class_of(d.day - o.last_visit, o.gap, o.visits) AS churn_class,
		   o.favorite_categories, o.favorite_brands, o.favorite_stores,
		   o.category_diversity, o.brand_diversity, o.store_diversity
	FROM (SELECT t.server, onec.local_now(t.server)::date AS day FROM onec.outlook_baseline t OFFSET 0) d
	JOIN onec.customer_outlook o ON o.server = d.server;
COMMENT ON VIEW onec.outlook IS
	'Чего ждать от покупателей сегодня: customer_outlook с опозданием и классом оттока на сегодняшний день';
COMMENT ON COLUMN onec.outlook.days_since IS 'Дней с последней покупки на сегодня';
COMMENT ON COLUMN onec.outlook.overdue_ratio IS 'Сколько обычных промежутков прошло на сегодня';
COMMENT ON COLUMN onec.outlook.churn_class IS
	'Класс оттока на сегодня: active, due, at_risk, lapsed, lost; у купивших один раз — single_*';
