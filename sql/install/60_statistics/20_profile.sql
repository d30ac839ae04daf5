-- Customer profiles: one row for each customer with a purchase or a card, and the JSON that the site reads.

CREATE TABLE onec.frequency_class (
	upper_days numeric PRIMARY KEY,
	code text NOT NULL UNIQUE,
	title_ru text NOT NULL
);
COMMENT ON TABLE onec.frequency_class IS 'Классы частоты покупок по медианному промежутку между визитами';
COMMENT ON COLUMN onec.frequency_class.upper_days IS 'Промежуток до стольких дней включительно';
COMMENT ON COLUMN onec.frequency_class.code IS 'Код';
COMMENT ON COLUMN onec.frequency_class.title_ru IS 'По-русски';
-- Bounds are geometric midpoints between 1, 7, 14, 30.4, 60.9, 91.3, 182.6, 365.25 and 730.5 days.
INSERT INTO onec.frequency_class (upper_days, code, title_ru) VALUES
	(2, 'daily', 'ежедневно'), (10, 'weekly', 'еженедельно'), (21, 'biweekly', 'раз в две недели'),
	(43, 'monthly', 'ежемесячно'), (75, 'bimonthly', 'раз в два месяца'), (129, 'quarterly', 'раз в квартал'),
	(258, 'semiannual', 'раз в полгода'), (517, 'annual', 'раз в год'), (1000000, 'rare', 'реже');

CREATE TABLE onec.customer_profile (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	total_revenue numeric NOT NULL,
	gross_revenue numeric NOT NULL,
	returns_amount numeric NOT NULL,
	return_rate numeric,
	receipts int NOT NULL,
	lines int NOT NULL,
	visits int NOT NULL,
	total_items numeric NOT NULL,
	average_check numeric,
	median_check numeric,
	average_line numeric,
	items_per_receipt numeric,
	purchase_frequency text NOT NULL,
	frequency_confidence text,
	median_gap numeric,
	mean_gap numeric,
	first_purchase timestamp,
	last_purchase timestamp,
	favorite_categories text[] NOT NULL,
	favorite_stores text[] NOT NULL,
	month_share numeric[] NOT NULL,
	buys_8_march boolean NOT NULL,
	buys_new_year boolean NOT NULL,
	buys_valentine boolean NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_profile IS 'Профили покупателей';
COMMENT ON COLUMN onec.customer_profile.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_profile.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта';
COMMENT ON COLUMN onec.customer_profile.total_revenue IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.customer_profile.gross_revenue IS 'Выручка без возвратов';
COMMENT ON COLUMN onec.customer_profile.returns_amount IS 'Сумма возвратов, меньше нуля';
COMMENT ON COLUMN onec.customer_profile.return_rate IS 'Доля возвратов в выручке';
COMMENT ON COLUMN onec.customer_profile.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.customer_profile.lines IS 'Строк продаж и возвратов';
COMMENT ON COLUMN onec.customer_profile.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.customer_profile.total_items IS 'Штук';
COMMENT ON COLUMN onec.customer_profile.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.customer_profile.median_check IS 'Медианный чек';
COMMENT ON COLUMN onec.customer_profile.average_line IS 'Средняя сумма строки';
COMMENT ON COLUMN onec.customer_profile.items_per_receipt IS 'Штук в чеке';
COMMENT ON COLUMN onec.customer_profile.purchase_frequency IS 'Класс частоты покупок';
COMMENT ON COLUMN onec.customer_profile.frequency_confidence IS 'Надёжность класса: low, medium, high';
COMMENT ON COLUMN onec.customer_profile.median_gap IS 'Медианный промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_profile.mean_gap IS 'Средний промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_profile.first_purchase IS 'Первая покупка, местное время';
COMMENT ON COLUMN onec.customer_profile.last_purchase IS 'Последняя покупка, местное время';
COMMENT ON COLUMN onec.customer_profile.favorite_categories IS
	'Любимые категории, до пяти, как их называет сайт';
COMMENT ON COLUMN onec.customer_profile.favorite_stores IS 'Магазины по числу визитов, до пяти';
COMMENT ON COLUMN onec.customer_profile.month_share IS 'Доли месяцев (январь … декабрь) в покупках';
COMMENT ON COLUMN onec.customer_profile.buys_8_march IS 'Покупал с 1 по 8 марта';
COMMENT ON COLUMN onec.customer_profile.buys_new_year IS 'Покупал с 10 по 31 декабря';
COMMENT ON COLUMN onec.customer_profile.buys_valentine IS 'Покупал с 7 по 14 февраля';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_profile', '');

CREATE TABLE onec.customer_affinity (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	kind text NOT NULL,
	value_id text NOT NULL,
	title text NOT NULL,
	place int NOT NULL,
	weight numeric NOT NULL,
	weighed_on date NOT NULL,
	share numeric NOT NULL,
	receipts int NOT NULL,
	penetration numeric,
	lift numeric,
	last_at timestamp,
	PRIMARY KEY (server, customer_id, kind, value_id)
);
COMMENT ON TABLE onec.customer_affinity IS 'Предпочтения покупателей: категории, марки и магазины';
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
SELECT pg_catalog.pg_extension_config_dump('onec.customer_affinity', '');

-- Money that halves with age for categories and brands, days with a purchase for stores; the place is of
-- those with weight. Ages are whole days and each line's weight is rounded, so that a sum does not depend on
-- the order of its terms.
CREATE FUNCTION onec_internal.taste_weights(server name, as_of date, customers uuid[], kinds text[])
	RETURNS TABLE (customer_id uuid, kind text, value_id text, title text, weight numeric, receipts int,
				   all_receipts int,
				   last_at timestamp, place bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
	WITH line AS MATERIALIZED (SELECT l.* FROM onec_internal.receipt_lines_till($1, $2 + 1, $3) l
							   WHERE l.customer_id IS NOT NULL),
	limits AS MATERIALIZED (SELECT onec.get('affinity.min_line', $1)::numeric AS min_line,
		onec.get('affinity.half_life_days', $1)::float8 AS half_life),
	person AS MATERIALIZED (
		SELECT l.customer_id, count(DISTINCT l.receipt_id)::int AS receipts FROM line l WHERE l.is_purchase
		GROUP BY 1),
	tag AS MATERIALIZED (SELECT t.* FROM onec_internal.product_tags($1) t
						 WHERE (t.kind = ANY ($4)) IS NOT FALSE),
	heavy AS MATERIALIZED (
		SELECT l.customer_id, l.receipt_id, l.is_purchase AND l.amount > 0 AS sold, l.period,
			   l.product_id, l.amount,
			   round((l.amount::float8 * onec_internal.faded_weight(l.period::date, $2,
				   (SELECT m.half_life FROM limits m)))::numeric, 6) AS weight
		FROM line l WHERE abs(l.amount) >= (SELECT m.min_line FROM limits m)
			AND $4 IS DISTINCT FROM '{store}'),
	found AS (
		SELECT h.customer_id, t.kind, t.value_id, min(t.title) AS title, sum(h.weight) AS weight,
			   count(DISTINCT h.receipt_id) FILTER (WHERE h.sold)::int AS receipts,
			   max(h.period) FILTER (WHERE h.amount > 0) AS last_at
		FROM heavy h JOIN tag t ON t.product_id = h.product_id GROUP BY 1, 2, 3
		UNION ALL
		SELECT l.customer_id, 'store', l.store_id::text, coalesce(min(s.name), l.store_id::text),
			   count(DISTINCT onec_internal.visit_day(l.at)),
			   count(DISTINCT l.receipt_id)::int, max(l.at)
		FROM line l LEFT JOIN onec.store s ON s.server = $1 AND s.store_id = l.store_id
		WHERE l.is_purchase AND l.amount >= 0 AND l.store_id IS NOT NULL AND ('store' = ANY ($4)) IS NOT FALSE
		GROUP BY 1, l.store_id)
	SELECT f.customer_id, f.kind, f.value_id, f.title, f.weight, f.receipts,
		   coalesce(p.receipts, 0), f.last_at,
		   row_number() OVER (PARTITION BY f.customer_id, f.kind ORDER BY f.weight DESC, f.receipts DESC,
							  f.last_at DESC,
							  CASE f.kind WHEN 'store' THEN f.title ELSE f.value_id END COLLATE "C",
							  f.value_id COLLATE "C")
	FROM found f LEFT JOIN person p ON p.customer_id = f.customer_id
$$;
COMMENT ON FUNCTION onec_internal.taste_weights(name, date, uuid[], text[]) IS
	'Вес категорий, марок и магазинов у покупателей (служебная)';

-- The five that weigh most: categories as the site names them, stores by their names.  "kept":
-- customer_affinity is of the same lines, and since all weights fade alike, the places in it are those of
-- today.
CREATE FUNCTION onec_internal.favorites(server name, as_of date, customers uuid[], kept boolean)
	RETURNS TABLE (customer_id uuid, categories text[], stores text[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.customer_id,
		   coalesce(array_agg(w.value_id ORDER BY w.place) FILTER (WHERE w.kind = 'category'), '{}'),
		   coalesce(array_agg(w.title ORDER BY w.place) FILTER (WHERE w.kind = 'store'), '{}')
	FROM (SELECT x.customer_id, x.kind, x.value_id, x.title, x.place
		  FROM onec_internal.taste_weights($1, $2, $3, '{category,store}') x
		  WHERE NOT $4 AND x.weight > 0
		  UNION ALL
		  SELECT a.customer_id, a.kind, a.value_id, a.title, a.place FROM onec.customer_affinity a
		  WHERE $4 AND a.server = $1 AND ($3 IS NULL OR a.customer_id = ANY ($3))) w
	WHERE w.place <= 5 GROUP BY 1
$$;
COMMENT ON FUNCTION onec_internal.favorites(name, date, uuid[], boolean) IS
	'Любимые категории и магазины (служебная)';

-- Sums, receipts and visits of each customer.
CREATE FUNCTION onec_internal.purchase_measures(server name, as_of date, customers uuid[])
	RETURNS TABLE (customer_id uuid, net numeric, gross numeric, returned numeric, receipts int, lines int,
				   visits int, items numeric,
				   sale_net numeric, median_check numeric, median_gap numeric, mean_gap numeric,
				   first_at timestamp, last_at timestamp,
				   month_share numeric[], march bool, new_year bool, valentine bool)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
	WITH line AS MATERIALIZED (SELECT l.* FROM onec_internal.receipt_lines_till($1, $2 + 1, $3) l
							   WHERE l.customer_id IS NOT NULL),
	sale AS MATERIALIZED (
		SELECT l.customer_id, l.receipt_id, l.at, sum(l.amount) AS net FROM line l WHERE l.is_purchase
		GROUP BY 1, 2, 3),
	visit AS MATERIALIZED (
		SELECT v.customer_id, v.day,
			   v.day - lag(v.day) OVER (PARTITION BY v.customer_id ORDER BY v.day) AS gap
		FROM (SELECT DISTINCT s.customer_id, onec_internal.visit_day(s.at) AS day FROM sale s) v),
	totals AS (
		SELECT l.customer_id, sum(l.amount) AS net,
			   coalesce(sum(l.amount) FILTER (WHERE l.amount > 0), 0) AS gross,
			   coalesce(sum(l.amount) FILTER (WHERE l.amount < 0), 0) AS returned, count(*)::int AS lines,
			   sum(l.quantity) AS items
		FROM line l GROUP BY 1),
	sales AS (
		SELECT s.customer_id, count(*)::int AS receipts, sum(s.net) AS sale_net, min(s.at) AS first_at,
			   max(s.at) AS last_at,
			   percentile_cont(0.5) WITHIN GROUP (ORDER BY s.net)::numeric AS median_check
		FROM sale s GROUP BY 1),
	visits AS (
		SELECT v.customer_id, count(*)::int AS visits,
			   percentile_cont(0.5) WITHIN GROUP (ORDER BY v.gap)::numeric AS median_gap,
			   avg(v.gap) AS mean_gap,
			   bool_or(extract(month FROM v.day) = 3 AND extract(day FROM v.day) <= 8) AS march,
			   bool_or(extract(month FROM v.day) = 12 AND extract(day FROM v.day) >= 10) AS new_year,
			   bool_or(extract(month FROM v.day) = 2
					   AND extract(day FROM v.day) BETWEEN 7 AND 14) AS valentine
		FROM visit v GROUP BY 1),
	months AS (
		SELECT m.customer_id, array_agg(round(coalesce(g.gross, 0) / m.total, 4) ORDER BY n.month) AS share
		FROM (SELECT l.customer_id, sum(l.amount) AS total FROM line l WHERE l.amount > 0 GROUP BY 1) m
		CROSS JOIN generate_series(1, 12) n (month)
		LEFT JOIN (SELECT l.customer_id, extract(month FROM l.period)::int AS month, sum(l.amount) AS gross
				   FROM line l WHERE l.amount > 0
				   GROUP BY 1, 2) g ON g.customer_id = m.customer_id AND g.month = n.month
		GROUP BY 1)
	SELECT t.customer_id, t.net, t.gross, t.returned, coalesce(s.receipts, 0), t.lines, coalesce(v.visits, 0),
		   t.items, s.sale_net,
		   s.median_check, v.median_gap, v.mean_gap, s.first_at, s.last_at, coalesce(m.share, '{}'),
		   coalesce(v.march, false), coalesce(v.new_year, false), coalesce(v.valentine, false)
	FROM totals t
	LEFT JOIN sales s ON s.customer_id = t.customer_id
	LEFT JOIN visits v ON v.customer_id = t.customer_id
	LEFT JOIN months m ON m.customer_id = t.customer_id
$$;
COMMENT ON FUNCTION onec_internal.purchase_measures(name, date, uuid[]) IS
	'Суммы, чеки и визиты покупателей (служебная)';

-- The profiles as they ought to be; also of those who have a card and no purchase.
CREATE FUNCTION onec_internal.computed_profiles(server name, customers uuid[], as_of date,
												kept boolean DEFAULT false) RETURNS SETOF
													onec.customer_profile
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH measure AS MATERIALIZED (SELECT * FROM onec_internal.purchase_measures($1, $3, $2)),
	everybody AS (
		SELECT c.user_id AS customer_id FROM onec.customer_card c
		WHERE c.server = $1 AND ($2 IS NULL OR c.user_id = ANY ($2))
		UNION SELECT m.customer_id FROM measure m)
	SELECT $1, e.customer_id, coalesce(m.net, 0), coalesce(m.gross, 0), coalesce(m.returned, 0),
		   CASE WHEN m.gross > 0 THEN round(-m.returned / m.gross, 4) END,
		   coalesce(m.receipts, 0), coalesce(m.lines, 0), coalesce(m.visits, 0), coalesce(m.items, 0),
		   CASE WHEN (SELECT onec.get('check_unit', $1) = 'row') THEN round(m.net / nullif(m.lines, 0), 2)
				ELSE round(m.sale_net / nullif(m.receipts, 0), 2) END,
		   round(m.median_check, 2), round(m.net / nullif(m.lines, 0), 2),
		   round(m.items / nullif(m.receipts, 0), 2),
		   CASE WHEN coalesce(m.visits, 0) = 0 THEN 'none' WHEN m.visits = 1 THEN 'single'
				ELSE (SELECT f.code FROM onec.frequency_class f WHERE m.median_gap <= f.upper_days
					  ORDER BY f.upper_days LIMIT 1) END,
		   CASE WHEN m.visits > 1 THEN CASE WHEN m.visits < 4 THEN 'low' WHEN m.visits < 7 THEN 'medium'
											ELSE 'high' END END,
		   m.median_gap, round(m.mean_gap, 2), m.first_at, m.last_at,
		   coalesce(f.categories, '{}'), coalesce(f.stores, '{}'), coalesce(m.month_share, '{}'),
		   coalesce(m.march, false), coalesce(m.new_year, false), coalesce(m.valentine, false)
	FROM everybody e
	LEFT JOIN measure m ON m.customer_id = e.customer_id
	LEFT JOIN onec_internal.favorites($1, $3, $2, $4) f ON f.customer_id = e.customer_id
$$;
COMMENT ON FUNCTION onec_internal.computed_profiles(name, uuid[], date, boolean) IS
	'Профили, какими они должны быть (служебная)';

-- Make the rows of a table about customers (all, or those named) equal to those of a temporary one that has
-- its columns, and write only what differs; "same" may say when rows that are not equal say the same (t is
-- here, excluded is new).
CREATE FUNCTION onec_internal.write_changed_rows(tab regclass, stage text, server name, customers uuid[],
												 same text DEFAULT 'false',
												 OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part record;
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
		   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL) AS key,
		   string_agg(format('s.%1$I = t.%1$I', a.attname), ' AND ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL) AS same_key,
		   string_agg(format('%1$I = excluded.%1$I', a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NULL) AS set_list
	INTO part
	FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		AND a.attnum = ANY (i.indkey)
	WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped;
	EXECUTE format('DELETE FROM %s t WHERE t.server = $1 %s AND NOT EXISTS (SELECT '
				   'FROM pg_temp.%I s WHERE %s)',
				   tab, CASE WHEN customers IS NOT NULL THEN 'AND t.customer_id = ANY ($2)' END, stage,
				   part.same_key) USING server, customers;
	GET DIAGNOSTICS deleted = ROW_COUNT;
	-- without a join to the table itself, of whose size the planner may know nothing yet
	EXECUTE format(
		'WITH written AS (INSERT INTO %1$s AS t (%2$s) SELECT %2$s FROM pg_temp.%3$I
			ON CONFLICT (%4$s) DO UPDATE SET %5$s
		WHERE ROW(t.*) IS DISTINCT FROM ROW(excluded.*) AND NOT (%6$s) RETURNING t.xmax = 0 AS fresh)
		 SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written',
		tab, part.columns, stage, part.key, part.set_list, same) INTO inserted, updated;
END $$;
COMMENT ON FUNCTION onec_internal.write_changed_rows(regclass, text, name, uuid[], text) IS
	'Записать в таблицу о покупателях только отличия от временной (служебная)';

CREATE FUNCTION onec_internal.refresh_some_profiles(server name, customers uuid[], as_of date, kept boolean,
													OUT rows_inserted bigint, OUT rows_updated bigint,
													OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	PERFORM onec_internal.lock_people('ROW SHARE');
	CREATE TEMPORARY TABLE onec_profiles
		ON COMMIT DROP AS SELECT * FROM onec_internal.computed_profiles(server, customers, as_of, kept);
	ANALYZE pg_temp.onec_profiles;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_profile', 'onec_profiles', server, customers) k;
	DROP TABLE pg_temp.onec_profiles;
END $$;
COMMENT ON FUNCTION onec_internal.refresh_some_profiles(name, uuid[], date, boolean) IS
	'Пересчитать профили; kept — предпочтения только что пересчитаны (служебная)';

CREATE FUNCTION onec.refresh_profiles(server name DEFAULT NULL, customers uuid[] DEFAULT NULL,
									  as_of date DEFAULT NULL,
									  OUT rows_inserted bigint, OUT rows_updated bigint,
									  OUT rows_deleted bigint)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.rows_inserted, r.rows_updated, r.rows_deleted
	FROM onec_internal.server_and_day($1, $3) d
	CROSS JOIN LATERAL onec_internal.refresh_some_profiles(d.server_name, $2, d.day, false) r
$$;
COMMENT ON FUNCTION onec.refresh_profiles(name, uuid[], date) IS
	'Пересчитать профили (всех или названных покупателей) на дату; неизменившиеся не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_profiles(name, uuid[], date) FROM PUBLIC;
