-- What a customer prefers and when: months and holidays, categories, brands and stores, the next purchase.  The functions
-- answer for any day, as if later sales did not exist yet; two tables keep the answer of the last refresh.

INSERT INTO onec.setting (key, type, initial, choices, description) VALUES
	('season.prior_receipts', 'numeric', '6', NULL, 'Сколькими чеками весит сезонность магазина в сезонности покупателя'),
	('season.peak_index', 'numeric', '1.25', NULL, 'С какого индекса месяц считается пиком покупателя'),
	('outlook.baseline_days', 'int', '7', NULL, 'Сколько дней сравнивать затронутых покупателей с прежними показателями магазина');

CREATE TABLE onec.brand_map (
	server name NOT NULL DEFAULT '',
	priority int NOT NULL,
	brand_id uuid,
	pattern text,
	slug text NOT NULL,
	title_ru text NOT NULL,
	PRIMARY KEY (server, priority),
	CHECK (brand_id IS NOT NULL OR pattern IS NOT NULL)
);
COMMENT ON TABLE onec.brand_map IS 'Марки: первая подошедшая строка выигрывает; товар без подходящей строки остаётся при своей ссылке на марку';
COMMENT ON COLUMN onec.brand_map.server IS 'Внешний сервер; пустое имя — для всех';
COMMENT ON COLUMN onec.brand_map.priority IS 'Порядок; строки сервера раньше общих';
COMMENT ON COLUMN onec.brand_map.brand_id IS 'Марка товара в 1С; пусто — любая';
COMMENT ON COLUMN onec.brand_map.pattern IS 'Регулярное выражение по названию товара, без учёта регистра; пусто — любое';
COMMENT ON COLUMN onec.brand_map.slug IS 'Обозначение';
COMMENT ON COLUMN onec.brand_map.title_ru IS 'По-русски';
SELECT pg_catalog.pg_extension_config_dump('onec.brand_map', '');

-- Lines that count up to a day, each with the time of its receipt and whether that is a purchase (3.1 of the definitions).
-- Two plans: a few customers are found by the index, which a condition of the form "all or these" would forbid.
CREATE FUNCTION onec._known_lines(server name, as_of date, customers uuid[])
	RETURNS TABLE (customer_id uuid, receipt uuid, at timestamp, is_sale boolean, period timestamp, product_id uuid, store_id uuid, amount numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF customers IS NULL THEN
		RETURN QUERY SELECT l.customer_id, l.receipt, l.at, l.is_sale, l.period, l.product_id, l.store_id, l.amount
			FROM onec._shop_lines(server, as_of) l WHERE l.customer_id IS NOT NULL;
		RETURN;
	END IF;
	RETURN QUERY
		SELECT l.customer_id, coalesce(l.document_id, l.recorder), min(l.period) OVER w,
			   coalesce(sum(l.amount) FILTER (WHERE l.amount > 0) OVER w > 0 AND sum(l.amount) OVER w > 0
						OR bool_and(coalesce(l.amount, 0) = 0) OVER w AND sum(coalesce(l.quantity, 0)) OVER w > 0, false),
			   l.period, l.product_id, l.store_id, coalesce(l.amount, 0)
		FROM onec.sale_line l
		WHERE l.server = _known_lines.server AND l.customer_id = ANY (customers) AND l.period < as_of + 1
		  AND l.active IS NOT FALSE AND l.attribution <> 'anonymous'
		  AND l.recorder_type <> ALL ((SELECT onec.get('exclude_recorder_types', _known_lines.server)::text[])::text[])
		  AND ((SELECT onec.get('organization_ids', _known_lines.server) = '{}')
			   OR l.organization_id = ANY ((SELECT onec.get('organization_ids', _known_lines.server)::uuid[])::uuid[]))
		WINDOW w AS (PARTITION BY l.customer_id, coalesce(l.document_id, l.recorder));
END $$;
COMMENT ON FUNCTION onec._known_lines(name, date, uuid[]) IS 'Учитываемые строки известных покупателей на дату (служебная)';

CREATE FUNCTION onec._visit_gaps(server name, as_of date, customers uuid[])
	RETURNS TABLE (customer_id uuid, visits int, first_day date, last_day date, median_gap numeric, low_gap numeric, high_gap numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH visit AS (SELECT DISTINCT l.customer_id, l.at::date AS day FROM onec._known_lines($1, $2, $3) l WHERE l.is_sale),
	gap AS (SELECT v.customer_id, v.day, v.day - lag(v.day) OVER (PARTITION BY v.customer_id ORDER BY v.day) AS days FROM visit v)
	SELECT g.customer_id, count(*)::int, min(g.day), max(g.day), percentile_cont(0.5) WITHIN GROUP (ORDER BY g.days)::numeric,
		   percentile_cont(0.25) WITHIN GROUP (ORDER BY g.days)::numeric, percentile_cont(0.75) WITHIN GROUP (ORDER BY g.days)::numeric
	FROM gap g GROUP BY 1
$$;
COMMENT ON FUNCTION onec._visit_gaps(name, date, uuid[]) IS 'Визиты и промежутки между ними (служебная)';

-- The gap of a shop without a customer who came twice is not known.
CREATE FUNCTION onec._usual_gap(server name, as_of date) RETURNS numeric
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY g.median_gap)::numeric FROM onec._visit_gaps($1, $2, NULL) g
$$;
COMMENT ON FUNCTION onec._usual_gap(name, date) IS 'Обычный промежуток между визитами в магазине (служебная)';

-- A gap known from one interval is drawn to the shop's usual one, as if two intervals of that length were known as well (3.6).
CREATE FUNCTION onec._next_purchase(server name, as_of date, customers uuid[], usual numeric)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date, window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH g AS (
		SELECT v.*, $2 - v.last_day AS days,
			   CASE WHEN v.visits >= 3 THEN v.median_gap ELSE ((v.visits - 1) * coalesce(v.median_gap, 0) + 2 * $4) / (v.visits + 1) END AS gap
		FROM onec._visit_gaps($1, $2, $3) v)
	SELECT g.customer_id, g.visits, g.last_day, round(g.gap, 1), g.last_day + round(g.gap)::int,
		   CASE WHEN g.visits >= 5 THEN g.last_day + round(g.low_gap)::int END, CASE WHEN g.visits >= 5 THEN g.last_day + round(g.high_gap)::int END,
		   g.days, round(g.days / nullif(g.gap, 0), 2),
		   CASE WHEN g.gap IS NOT NULL THEN CASE WHEN g.visits = 1 THEN 'single_' ELSE '' END ||
				CASE WHEN g.days <= g.gap THEN 'active' WHEN g.days <= g.gap * 1.5 THEN 'due' WHEN g.days <= g.gap * 2.5 THEN 'at_risk'
					 WHEN g.days <= g.gap * 4 THEN 'lapsed' ELSE 'lost' END END
	FROM g
$$;
COMMENT ON FUNCTION onec._next_purchase(name, date, uuid[], numeric) IS 'Когда ждать покупателей при известном обычном промежутке (служебная)';

CREATE FUNCTION onec.next_purchase(server name DEFAULT NULL, as_of date DEFAULT NULL, customers uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, visits int, last_visit date, gap numeric, expected_next date, window_from date, window_to date,
				   days_since int, overdue_ratio numeric, churn_class text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.* FROM onec._day($1, $2) d CROSS JOIN LATERAL onec._next_purchase(d.server_name, d.day, $3, onec._usual_gap(d.server_name, d.day)) n
$$;
COMMENT ON FUNCTION onec.next_purchase(name, date, uuid[]) IS
	'Когда ждать покупателей (всех или названных) снова, насколько опаздывают и класс оттока; single_* — купившие один раз';
