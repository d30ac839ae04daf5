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
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT x.customer_id, (x.h).visits, (x.h).first_day, (x.h).last_day, (x.h).median_gap, (x.h).low_gap,
			   (x.h).high_gap
		FROM onec_internal.visit_histories($1, $2, $3, NULL) x WHERE (x.h).visits > 0;
END $$;
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

-- When a customer is to be expected, of the visits up to a day and the usual gap of the shop.
CREATE FUNCTION onec_internal.next_purchase_from(visits int, last_day date, median_gap numeric,
												 low_gap numeric, high_gap numeric, as_of date, usual numeric,
												 OUT gap numeric, OUT expected_next date,
												 OUT window_from date, OUT window_to date,
												 OUT days_since int, OUT overdue_ratio numeric,
												 OUT churn_class text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT round(g.gap, 4), last_day + round(g.gap)::int,
			   CASE WHEN visits >= 5 THEN last_day + round(low_gap)::int END,
			   CASE WHEN visits >= 5 THEN last_day + round(high_gap)::int END,
			   as_of - last_day, round((as_of - last_day) / nullif(g.gap, 0), 2),
			   onec_internal.churn_class_of(as_of - last_day, round(g.gap, 4), visits)
		FROM (SELECT onec_internal.gap_drawn_to_usual(visits, median_gap, usual) AS gap) g;
	END;
COMMENT ON FUNCTION onec_internal.next_purchase_from(int, date, numeric, numeric, numeric, date, numeric) IS
	'Когда ждать покупателя при известном обычном промежутке (служебная)';

-- Customers are compared with the shop: its seasons, its usual gap, its shares.  To find these out takes all
-- lines of the shop, which for a few customers would cost more than they do; so a refresh of everybody writes
-- them down, and later ones, and whoever asks of a few customers, take them from there.  Example: on the 1st
-- refresh_outlook('shop') reads the shop and writes its baseline.  On the 4th refresh_outlook('shop', '{A}')
-- reads the lines of A alone.  On the 9th the baseline is older than outlook.baseline_days (7): the shop is
-- read once more.
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

-- That of about a day, for some customers.
CREATE FUNCTION onec_internal.kept_baseline(server name, day date, customers uuid[])
	RETURNS SETOF onec.outlook_baseline
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT t.* FROM onec.outlook_baseline t
		WHERE t.server = $1 AND $3 IS NOT NULL
		  AND abs($2 - t.as_of) <= onec.get('outlook.baseline_days', $1)::int;
END $$;
COMMENT ON FUNCTION onec_internal.kept_baseline(name, date, uuid[]) IS
	'С чем сравнивать названных покупателей, если это известно (служебная)';

CREATE FUNCTION onec.next_purchase(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date,
				   window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
		kept AS MATERIALIZED (
			SELECT b.usual_gap FROM me
			CROSS JOIN LATERAL onec_internal.kept_baseline(me.server_name, me.day, $3) b),
		found AS MATERIALIZED (
			SELECT g.*, me.day FROM me
			CROSS JOIN LATERAL onec_internal.visit_gaps(me.server_name, me.day, $3) g),
		usual AS MATERIALIZED (
			SELECT k.usual_gap AS gap FROM kept k
			UNION ALL
			SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f.median_gap)::numeric FROM found f
			WHERE $3 IS NULL HAVING $3 IS NULL
			UNION ALL
			SELECT onec_internal.usual_gap(me.server_name, me.day) FROM me
			WHERE $3 IS NOT NULL AND NOT EXISTS (SELECT FROM kept))
		SELECT f.customer_id, f.visits, f.last_day, n.gap, n.expected_next, n.window_from, n.window_to,
			   n.days_since, n.overdue_ratio, n.churn_class
		FROM found f CROSS JOIN usual u
		CROSS JOIN LATERAL onec_internal.next_purchase_from(f.visits, f.last_day, f.median_gap, f.low_gap,
															f.high_gap, f.day, u.gap) n;
END $$;
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
-- divided by how often they were.
CREATE FUNCTION onec_internal.season_index(receipts int, sold numeric[], observed numeric[], curve numeric[],
										   prior numeric) RETURNS numeric[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_season_index';
COMMENT ON FUNCTION onec_internal.season_index(int, numeric[], numeric[], numeric[], numeric) IS
	'Индексы месяцев покупателя (служебная)';

-- Up to three months from an index on, the strongest first.
CREATE FUNCTION onec_internal.peak_months(month_index numeric[], peak numeric) RETURNS int[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ARRAY(SELECT m.month::int FROM unnest(month_index) WITH ORDINALITY m (value, month)
				 WHERE m.value >= peak ORDER BY m.value DESC, m.month LIMIT 3);
COMMENT ON FUNCTION onec_internal.peak_months(numeric[], numeric) IS 'Месяцы-пики покупателя (служебная)';

-- The observed months and the curve of onec_internal.shop_season as arrays, with the settings.
CREATE FUNCTION onec_internal.season_given(server name, base jsonb, OUT observed numeric[],
										   OUT curve numeric[], OUT prior numeric, OUT peak numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	observed := ARRAY(SELECT o::numeric FROM jsonb_array_elements_text(base -> 'observed') o);
	curve := ARRAY(SELECT c::numeric FROM jsonb_array_elements_text(base -> 'curve') c);
	prior := onec.get('season.prior_receipts', server);
	peak := onec.get('season.peak_index', server);
END $$;
COMMENT ON FUNCTION onec_internal.season_given(name, jsonb) IS
	'Сезонность магазина и настройки для season_index (служебная)';

CREATE FUNCTION onec.season(server name DEFAULT NULL, as_of date DEFAULT NULL, customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, receipts int, month_index numeric[], peak_months int[],
				   buys_8_march boolean, buys_new_year boolean, buys_valentine boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH me AS MATERIALIZED (
			SELECT d.*, coalesce((SELECT b.season
								  FROM onec_internal.kept_baseline(d.server_name, d.day, $3) b),
								 onec_internal.shop_season(d.server_name, d.day)) AS base
			FROM onec_internal.server_and_day($1, $2) d)
		SELECT x.customer_id, (x.h).span_receipts, i.list, onec_internal.peak_months(i.list, g.peak),
			   (x.h).march, (x.h).new_year, (x.h).valentine
		FROM me CROSS JOIN LATERAL onec_internal.season_given(me.server_name, me.base) g
		CROSS JOIN LATERAL onec_internal.visit_histories(me.server_name, me.day, $3, me.base) x
		CROSS JOIN LATERAL (SELECT onec_internal.season_index((x.h).span_receipts, (x.h).span_months,
															  g.observed, g.curve, g.prior) AS list
							OFFSET 0) i;
END $$;
COMMENT ON FUNCTION onec.season(name, date, uuid[]) IS
	'Сезонность покупателей (всех или названных): индексы месяцев (1 — средний), до трёх пиков от '
	'сильного к слабому, праздники';

-- The tastes of a history one by one: "place" is of its kind, and none where there is no weight.
CREATE FUNCTION onec_internal.tastes_of(words int[], weights numeric[], word_receipts int[],
										lasts timestamp[], found int[], totals numeric[])
	RETURNS TABLE (no int, place int, weight numeric, receipts int, last_at timestamp, total numeric,
				   kind int)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT u.no, CASE WHEN u.weight > 0
						  THEN u.n::int - CASE k.kind WHEN 1 THEN 0 WHEN 2 THEN found[1]
										  ELSE found[1] + found[2] END END,
			   u.weight, u.receipts, u.last_at, totals[k.kind], k.kind
		FROM unnest(words, weights, word_receipts, lasts)
			WITH ORDINALITY u (no, weight, receipts, last_at, n)
		CROSS JOIN LATERAL (
			SELECT CASE WHEN u.n <= found[1] THEN 1 WHEN u.n <= found[1] + found[2] THEN 2
						ELSE 3 END AS kind) k;
	END;
COMMENT ON FUNCTION onec_internal.tastes_of(int[], numeric[], int[], timestamp[], int[], numeric[]) IS
	'Предпочтения из истории по одному (служебная)';

-- The shop's shares come as {"kind": {"value": share}}, or from the rows themselves if those are of all
-- customers.
CREATE FUNCTION onec_internal.affinity_of(server name, as_of date, customers uuid[],
										  only_kind text, shop jsonb)
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, place int, weight numeric,
				   share numeric, receipts int,
				   penetration numeric, lift numeric, last_at timestamp, diversity numeric,
				   shop_share numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_nestloop = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH here AS MATERIALIZED (SELECT * FROM onec_internal.goods_and_stores($1, $2, $3)),
		book AS MATERIALIZED (
			SELECT onec_internal.taste_book_of($1, here.products, here.stores,
											   CASE WHEN $4 IS NOT NULL THEN ARRAY[$4] END, false) AS book
			FROM here),
		found AS MATERIALIZED (
			SELECT x.customer_id, (x.h).receipts AS all_receipts, (x.h).diversity[t.kind] AS diversity,
				   ('{category,brand,store}'::text[])[t.kind] AS kind, t.no, t.place, t.weight, t.receipts,
				   t.last_at, t.total
			FROM book b CROSS JOIN LATERAL onec_internal.customer_histories($1, $2, $3, b.book, NULL) x
			CROSS JOIN LATERAL onec_internal.tastes_of(
				(x.h).words, (x.h).weights, (x.h).word_receipts, (x.h).lasts, (x.h).found, (x.h).totals) t),
		word AS MATERIALIZED (
			SELECT u.no, u.value_id, u.title FROM book b CROSS JOIN LATERAL unnest(
				(b.book).words, (b.book)."values", (b.book).titles) u (no, value_id, title)),
		shop AS MATERIALIZED (
			SELECT k.key AS kind, v.key AS value_id, v.value::numeric AS share
			FROM jsonb_each($5) k CROSS JOIN LATERAL jsonb_each_text(k.value) v
			UNION ALL
			SELECT s.kind, w.value_id,
				   round(s.weight / nullif(sum(s.weight) OVER (PARTITION BY s.kind), 0), 6)
			FROM (SELECT f.kind, f.no, greatest(sum(f.weight), 0) AS weight FROM found f WHERE $5 IS NULL
				  GROUP BY 1, 2) s JOIN word w ON w.no = s.no)
		SELECT f.customer_id, f.kind, w.value_id, w.title, f.place, round(f.weight, 2),
			   round(f.weight / f.total, 4), f.receipts,
			   round(f.receipts::numeric / nullif(f.all_receipts, 0), 4),
			   round(f.weight / f.total / nullif(s.share, 0), 2), f.last_at, round(f.diversity, 4), s.share
		FROM found f JOIN word w ON w.no = f.no
		LEFT JOIN shop s ON s.kind = f.kind AND s.value_id = w.value_id WHERE f.weight > 0;
END $$;
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
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH me AS MATERIALIZED (
			SELECT d.*, k.kind, CASE WHEN $3 IS NOT NULL THEN coalesce(
					   (SELECT b.shares FROM onec_internal.kept_baseline(d.server_name, d.day, $3) b),
					   onec_internal.shop_taste_shares(d.server_name, d.day, k.kind)) END AS shares
			FROM onec_internal.server_and_day($1, $2) d
			CROSS JOIN LATERAL onec_internal.checked_word('kind', $4, '{category,brand,store}') k (kind))
		SELECT a.customer_id, a.kind, a.value_id, a.title, a.place, a.weight, a.share, a.receipts,
			   a.penetration, a.lift, a.last_at, a.diversity
		FROM me
		CROSS JOIN LATERAL onec_internal.affinity_of(me.server_name, me.day, $3, me.kind, me.shares) a;
END $$;
COMMENT ON FUNCTION onec.affinity(name, date, uuid[], text) IS
	'Предпочтения покупателей (всех или названных): only_kind — category, brand, store или пусто для всех; '
	'первые пять мест — любимые';

-- One row for each customer, best tastes first: a row for each taste would take more room than the lines
-- themselves.
CREATE TABLE onec_internal.customer_taste (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	weighed_on date NOT NULL,
	receipts int NOT NULL,
	words int[] NOT NULL,
	weights numeric[] NOT NULL,
	word_receipts int[] NOT NULL,
	lasts timestamp[] NOT NULL,
	found int[] NOT NULL,
	totals numeric[] NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec_internal.customer_taste IS
	'Предпочтения покупателей, по строке на покупателя; по одному их показывает onec.customer_affinity';
COMMENT ON COLUMN onec_internal.customer_taste.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.customer_taste.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec_internal.customer_taste.weighed_on IS
	'На какой день веса; строка не переписывается, пока они лишь убывают со временем';
COMMENT ON COLUMN onec_internal.customer_taste.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec_internal.customer_taste.words IS
	'Номера слов: категории, потом марки, потом магазины, лучшие вперёд';
COMMENT ON COLUMN onec_internal.customer_taste.weights IS 'Веса';
COMMENT ON COLUMN onec_internal.customer_taste.word_receipts IS 'Чеков продажи с каждым';
COMMENT ON COLUMN onec_internal.customer_taste.lasts IS 'Последние покупки';
COMMENT ON COLUMN onec_internal.customer_taste.found IS 'Сколько категорий, марок и магазинов';
COMMENT ON COLUMN onec_internal.customer_taste.totals IS 'Сумма весов любимых категорий, марок и магазинов';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.customer_taste', '');

CREATE VIEW onec.customer_affinity AS
	SELECT t.server, t.customer_id, w.kind, w.value_id, w.title, u.place, round(u.weight, 2) AS weight,
		   t.weighed_on, round(u.weight / u.total, 4) AS share, u.receipts,
		   round(u.receipts::numeric / nullif(t.receipts, 0), 4) AS penetration,
		   round(u.weight / u.total / nullif(w.share, 0), 2) AS lift, u.last_at,
		   onec.moment(t.server, u.last_at) AS last_at_tz
	FROM onec_internal.customer_taste t
	CROSS JOIN LATERAL onec_internal.tastes_of(t.words, t.weights, t.word_receipts, t.lasts, t.found,
											   t.totals) u
	JOIN onec_internal.taste_word w ON w.no = u.no AND w.server = t.server
	WHERE u.weight > 0;
COMMENT ON VIEW onec.customer_affinity IS 'Предпочтения покупателей: категории, марки и магазины';
COMMENT ON COLUMN onec.customer_affinity.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_affinity.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_affinity.kind IS 'category — категория, brand — марка, store — магазин';
COMMENT ON COLUMN onec.customer_affinity.value_id IS 'Обозначение категории или марки, ссылка на магазин';
COMMENT ON COLUMN onec.customer_affinity.title IS 'По-русски';
COMMENT ON COLUMN onec.customer_affinity.place IS 'Место у покупателя; первые пять — любимые';
COMMENT ON COLUMN onec.customer_affinity.weight IS
	'Вес на день weighed_on: сумма покупок, вдвое меньше за каждые affinity.half_life_days; у '
	'магазина — дней с покупкой';
COMMENT ON COLUMN onec.customer_affinity.weighed_on IS
	'На какой день вес; строка не переписывается, пока он лишь убывает со временем';
COMMENT ON COLUMN onec.customer_affinity.share IS 'Доля в весе всех значений этого вида';
COMMENT ON COLUMN onec.customer_affinity.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.customer_affinity.penetration IS 'Доля чеков покупателя';
COMMENT ON COLUMN onec.customer_affinity.lift IS
	'Во сколько раз доля больше, чем у всех известных покупателей';
COMMENT ON COLUMN onec.customer_affinity.last_at IS 'Последняя покупка, местное время';

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

-- The rows of customer_outlook as they ought to be, of the histories in pg_temp.onec_history.
CREATE FUNCTION onec_internal.computed_outlook(server name, as_of date, season jsonb,
											   usual numeric) RETURNS SETOF onec.customer_outlook
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN QUERY
		SELECT computed_outlook.server, x.customer_id, i.list, onec_internal.peak_months(i.list, g.peak),
			   (x.h).march, (x.h).new_year, (x.h).valentine, (x.h).visits, (x.h).last_day,
			   n.gap, n.expected_next, n.window_from, n.window_to, n.days_since, n.overdue_ratio,
			   n.churn_class, (x.h).favorite_categories, (x.h).favorite_brands, (x.h).favorite_stores,
			   round((x.h).diversity[1], 4), round((x.h).diversity[2], 4), round((x.h).diversity[3], 4)
		FROM onec_internal.season_given(computed_outlook.server, season) g
		CROSS JOIN pg_temp.onec_history x
		CROSS JOIN LATERAL (SELECT onec_internal.season_index((x.h).span_receipts, (x.h).span_months,
															  g.observed, g.curve, g.prior) AS list
							OFFSET 0) i
		LEFT JOIN LATERAL onec_internal.next_purchase_from((x.h).visits, (x.h).last_day, (x.h).median_gap,
														   (x.h).low_gap, (x.h).high_gap, as_of, usual) n
			ON (x.h).visits > 0;
END $$;
COMMENT ON FUNCTION onec_internal.computed_outlook(name, date, jsonb, numeric) IS
	'Ожидания, какими они должны быть (служебная)';

-- The shares of words in all customers' weights, of those in pg_temp.onec_history.
CREATE FUNCTION onec_internal.collected_shares(server name) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN (
		WITH sums AS (
			SELECT u.no, greatest(sum(u.weight), 0) AS weight
			FROM pg_temp.onec_history x CROSS JOIN LATERAL unnest((x.h).words, (x.h).weights) u (no, weight)
			GROUP BY 1),
		shared AS (
			SELECT w.kind, w.value_id,
				   round(s.weight / nullif(sum(s.weight) OVER (PARTITION BY w.kind), 0), 6) AS share
			FROM sums s JOIN onec_internal.taste_word w ON w.server = collected_shares.server AND w.no = s.no)
		SELECT coalesce(jsonb_object_agg(k.kind, k.shares), '{}')
		FROM (SELECT s.kind, jsonb_object_agg(s.value_id, s.share) AS shares FROM shared s GROUP BY 1) k);
END $$;
COMMENT ON FUNCTION onec_internal.collected_shares(name) IS
	'Доли предпочтений у всех собранных покупателей (служебная)';

CREATE FUNCTION onec_internal.keep_baseline(b onec.outlook_baseline) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO onec.outlook_baseline AS t VALUES (b.*)
	ON CONFLICT ON CONSTRAINT outlook_baseline_pkey DO UPDATE
		SET as_of = excluded.as_of, season = excluded.season, usual_gap = excluded.usual_gap,
			shares = excluded.shares
		WHERE ROW(t.*) IS DISTINCT FROM ROW(excluded.*);
	UPDATE onec_internal.taste_word w SET share = s.share
	FROM (SELECT o.kind, o.value_id, (b.shares -> o.kind ->> o.value_id)::numeric AS share
		  FROM onec_internal.taste_word o WHERE o.server = b.server) s
	WHERE w.server = b.server AND w.kind = s.kind AND w.value_id = s.value_id
	  AND w.share IS DISTINCT FROM s.share;
END $$;
COMMENT ON FUNCTION onec_internal.keep_baseline(onec.outlook_baseline) IS
	'Запомнить, с чем сравниваются покупатели (служебная)';

-- Whether the first weights are what is left of those before, but for what rounding may do, and the others
-- (of stores) are the same.
CREATE FUNCTION onec_internal.have_faded(before numeric[], now numeric[], fading int,
										 left_over float8) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN NOT EXISTS (SELECT FROM unnest(before, now) WITH ORDINALITY u (before, now, n)
					   WHERE abs(u.now - u.before::float8 * CASE WHEN u.n <= fading THEN left_over
															ELSE 1 END) > 0.02);
COMMENT ON FUNCTION onec_internal.have_faded(numeric[], numeric[], int, float8) IS
	'Убыли ли веса лишь со временем (служебная)';

-- Read the lines of customers once, into pg_temp.onec_history; what they are compared with is that which is
-- kept, or made anew and kept.
CREATE FUNCTION onec_internal.collect_histories(server name, customers uuid[],
												day date) RETURNS onec.outlook_baseline
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	b onec.outlook_baseline := onec_internal.kept_baseline(server, day, customers);
	here record;
BEGIN
	SELECT * INTO here FROM onec_internal.goods_and_stores(server, day, customers) g;
	PERFORM onec_internal.keep_taste_words(server, here.products, here.stores);
	IF b.server IS NULL THEN
		b := ROW(server, day, onec_internal.shop_season(server, day), NULL, NULL);
	END IF;
	CREATE TEMPORARY TABLE onec_history ON COMMIT DROP AS
		SELECT x.* FROM onec_internal.customer_histories(
			server, day, customers,
			onec_internal.taste_book_of(server, here.products, here.stores, NULL, true), b.season) x;
	ANALYZE pg_temp.onec_history (customer_id);
	IF b.shares IS NULL AND customers IS NULL THEN
		b.usual_gap := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (x.h).median_gap)::numeric
						FROM pg_temp.onec_history x);
		b.shares := onec_internal.collected_shares(server);
	ELSIF b.shares IS NULL THEN
		b.usual_gap := onec_internal.usual_gap(server, day);
		b.shares := onec_internal.shop_taste_shares(server, day, NULL);
	END IF;
	PERFORM onec_internal.keep_baseline(b);
	RETURN b;
END $$;
COMMENT ON FUNCTION onec_internal.collect_histories(name, uuid[], date) IS
	'Собрать истории покупателей (всех или названных) на дату; с чем их сравнивать (служебная)';

CREATE FUNCTION onec_internal.write_outlook(b onec.outlook_baseline, customers uuid[], day date,
											OUT rows_inserted bigint, OUT rows_updated bigint,
											OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	a record;
	o record;
BEGIN
	CREATE TEMPORARY TABLE onec_taste ON COMMIT DROP AS
		SELECT b.server AS server, x.customer_id, day AS weighed_on, (x.h).receipts, (x.h).words,
			   (x.h).weights, (x.h).word_receipts, (x.h).lasts, (x.h).found, (x.h).totals
		FROM pg_temp.onec_history x WHERE (x.h).words <> '{}';
	CREATE TEMPORARY TABLE onec_outlook ON COMMIT DROP AS
		SELECT x.* FROM onec_internal.computed_outlook(b.server, day, b.season, b.usual_gap) x;
	ANALYZE pg_temp.onec_taste (customer_id), pg_temp.onec_outlook (customer_id);
	-- weights that have only faded since they were written say the same as the new ones
	SELECT * INTO a FROM onec_internal.write_changed_rows(
		'onec_internal.customer_taste', 'onec_taste', b.server, customers,
		format('ROW(t.receipts, t.words, t.word_receipts, t.lasts, t.found)
				IS NOT DISTINCT FROM ROW(excluded.receipts, excluded.words, excluded.word_receipts,
										 excluded.lasts, excluded.found)
			AND onec_internal.have_faded(t.weights, excluded.weights, excluded.found[1] + excluded.found[2],
										 onec_internal.faded_weight(t.weighed_on, excluded.weighed_on, %s))',
			   onec.get('affinity.half_life_days', b.server)));
	SELECT * INTO o FROM onec_internal.write_changed_rows('onec.customer_outlook', 'onec_outlook',
														  b.server, customers);
	rows_inserted := a.inserted + o.inserted;
	rows_updated := a.updated + o.updated;
	rows_deleted := a.deleted + o.deleted;
	DROP TABLE pg_temp.onec_taste, pg_temp.onec_outlook;
END $$;
COMMENT ON FUNCTION onec_internal.write_outlook(onec.outlook_baseline, uuid[], date) IS
	'Записать ожидания и предпочтения по собранным историям (служебная)';

CREATE FUNCTION onec.refresh_outlook(server name DEFAULT NULL, customers uuid[] DEFAULT NULL,
									 as_of date DEFAULT NULL,
									 OUT rows_inserted bigint, OUT rows_updated bigint,
									 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	PERFORM onec_internal.must_write('refresh_outlook');
	PERFORM onec_internal.lock_people(srv, false);
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.collect_histories(srv, customers, day) b
	CROSS JOIN LATERAL onec_internal.write_outlook(b, customers, day) w;
	DROP TABLE pg_temp.onec_history;
END $$;
COMMENT ON FUNCTION onec.refresh_outlook(name, uuid[], date) IS
	'Пересчитать ожидания и предпочтения (всех или названных покупателей) на дату; '
	'неизменившиеся не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_outlook(name, uuid[], date) FROM PUBLIC;

CREATE FUNCTION onec.refresh_profiles(server name DEFAULT NULL, customers uuid[] DEFAULT NULL,
									  as_of date DEFAULT NULL,
									  OUT rows_inserted bigint, OUT rows_updated bigint,
									  OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	PERFORM onec_internal.must_write('refresh_profiles');
	PERFORM onec_internal.lock_people(srv, false);
	CREATE TEMPORARY TABLE onec_history ON COMMIT DROP AS
		SELECT x.* FROM onec_internal.histories(srv, day, customers, '{category,store}', NULL) x;
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_profiles(srv, customers, day) w;
	DROP TABLE pg_temp.onec_history;
END $$;
COMMENT ON FUNCTION onec.refresh_profiles(name, uuid[], date) IS
	'Пересчитать профили (всех или названных покупателей) на дату; неизменившиеся не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_profiles(name, uuid[], date) FROM PUBLIC;

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
