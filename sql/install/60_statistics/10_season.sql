-- The year of the shop: what the seasons of its customers are measured by.

-- Whole months only: the first counts if the history begins on its first day, the last if it is over.  Each
-- calendar month is divided by how often it was observed, so that a month seen three times does not look
-- stronger than one seen twice.
CREATE FUNCTION onec.month_season_at(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (month int, observed bigint, gross numeric, net numeric, receipts bigint,
				   gross_per_month numeric, net_per_month numeric,
				   season_index numeric, whole_year boolean)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
	WITH me AS MATERIALIZED (SELECT * FROM onec_internal.server_and_day($1, $2)),
	-- the span of time is of all lines: money by month once, then of what lies within
	month AS MATERIALIZED (
		SELECT date_trunc('month', p.period) AS month, min(p.period) AS first,
			   coalesce(sum(p.gross), 0) AS gross, sum(p.net) AS net
		FROM me, onec_internal.kept_parts(me.server_name, me.day + 1) p GROUP BY 1),
	span AS MATERIALIZED (
		SELECT date_trunc('month', min(m.first)::date + interval '1 month -1 day') AS from_month,
			   date_trunc('month', (me.day + 1)::timestamp) AS till
		FROM month m CROSS JOIN me GROUP BY me.day),
	seen AS (
		SELECT extract(month FROM g.month)::int AS month, count(*) AS observed
		FROM span s CROSS JOIN LATERAL generate_series(s.from_month, s.till - interval '1 month',
													   interval '1 month') g (month) GROUP BY 1),
	money AS (
		SELECT extract(month FROM m.month)::int AS month, sum(m.gross) AS gross, sum(m.net) AS net
		FROM month m CROSS JOIN span s WHERE m.month >= s.from_month AND m.month < s.till GROUP BY 1),
	sale AS (
		SELECT extract(month FROM r.month)::int AS month, sum(r.receipts)::bigint AS receipts
		FROM (SELECT date_trunc('month', r.at) AS month, count(*) AS receipts
			  FROM me, onec_internal.kept_receipts(me.server_name, me.day + 1) r
			  WHERE r.is_purchase GROUP BY 1) r CROSS JOIN span s
		WHERE r.month >= s.from_month AND r.month < s.till GROUP BY 1),
	rate AS (
		SELECT n.month, coalesce(o.observed, 0) AS observed,
			   CASE WHEN o.observed > 0 THEN coalesce(m.gross, 0) END AS gross,
			   CASE WHEN o.observed > 0 THEN coalesce(m.net, 0) END AS net,
			   CASE WHEN o.observed > 0 THEN coalesce(s.receipts, 0) END AS receipts
		FROM generate_series(1, 12) n (month)
		LEFT JOIN seen o ON o.month = n.month LEFT JOIN money m ON m.month = n.month
		LEFT JOIN sale s ON s.month = n.month)
	SELECT r.month, r.observed, r.gross, r.net, r.receipts, round(r.gross / nullif(r.observed, 0), 2),
		   round(r.net / nullif(r.observed, 0), 2),
		   round(r.gross / nullif(r.observed, 0) / nullif(avg(r.gross / nullif(r.observed, 0)) OVER (), 0),
				 4), min(r.observed) OVER () > 0
	FROM rate r
	ORDER BY r.month
$$;
COMMENT ON FUNCTION onec.month_season_at(name, date) IS 'Сезонность магазина по календарным месяцам на дату';

CREATE VIEW onec.month_season AS
	SELECT s.server, m.month, m.observed, m.gross, m.net, m.receipts, m.gross_per_month, m.net_per_month,
		   m.season_index, m.whole_year
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.month_season_at(s.server) m;
COMMENT ON VIEW onec.month_season IS
	'Сезонность магазина: выручка календарного месяца, делённая на то, сколько раз он наблюдался';
COMMENT ON COLUMN onec.month_season.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.month_season.receipts IS 'Чеков в этом месяце года';
COMMENT ON COLUMN onec.month_season.net_per_month IS 'Выручка в среднем за такой месяц';
COMMENT ON COLUMN onec.month_season.month IS 'Календарный месяц, 1 — январь';
COMMENT ON COLUMN onec.month_season.observed IS 'Сколько раз месяц наблюдался целиком';
COMMENT ON COLUMN onec.month_season.gross IS 'Выручка без возвратов за все наблюдения';
COMMENT ON COLUMN onec.month_season.net IS 'Выручка за вычетом возвратов за все наблюдения';
COMMENT ON COLUMN onec.month_season.gross_per_month IS 'Выручка без возвратов за один такой месяц';
COMMENT ON COLUMN onec.month_season.season_index IS 'Во сколько раз больше среднего месяца';
COMMENT ON COLUMN onec.month_season.whole_year IS 'Наблюдался весь год: месяцы можно сравнивать';
