-- RFM: how recently, how often and for how much each customer buys, scored from 1 to 5 against the others or
-- against fixed limits, and the segments that the scores make.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('rfm.window', 'int', '365', NULL, 0, 36500, 'За сколько последних дней считать RFM; 0 — за всё время'),
	('rfm.frequency', 'text', 'visits', '{visits,receipts}', NULL, NULL,
	 'Что считать частотой в RFM: визиты (дни) или чеки'),
	('rfm.mode', 'text', 'quantile', '{quantile,thresholds,r_compat}', NULL, NULL,
	 'Границы RFM: квинтили, заданные пороги или квинтили, как в пакете rfm языка R'),
	('rfm.recency_cuts', 'numeric[]', '{30,60,120,240}', NULL, 0, 1000000000000,
	 'Пороги давности, дней: до первого включительно — 5 баллов'),
	('rfm.frequency_cuts', 'numeric[]', '{1,2,3,5}', NULL, 0, 1000000000000,
	 'Пороги частоты: до первого включительно — 1 балл'),
	('rfm.monetary_cuts', 'numeric[]', '{3000,10000,30000,60000}', NULL, 0, 1000000000000,
	 'Пороги суммы: до первого включительно — 1 балл'),
	('rfm.segments', 'text', 'default', NULL, NULL, NULL,
	 'Какой набор сегментов из onec.rfm_segment действует; менять через onec.load_rfm_segments');

CREATE TABLE onec.rfm_segment (
	set_name text NOT NULL,
	priority int NOT NULL,
	code text NOT NULL,
	title_ru text NOT NULL,
	r_lo int,
	r_hi int,
	f_lo int,
	f_hi int,
	m_lo int,
	m_hi int,
	fm_lo numeric,
	fm_hi numeric,
	sum_lo int,
	days_lo int,
	PRIMARY KEY (set_name, priority)
);
COMMENT ON TABLE onec.rfm_segment IS
	'Сегменты RFM: первая подошедшая строка действующего набора выигрывает; пустая граница не проверяется. '
	'Свой набор — строки со своим set_name';
COMMENT ON COLUMN onec.rfm_segment.set_name IS 'Набор: default (пакет rfm языка R), shopify, simple или свой';
COMMENT ON COLUMN onec.rfm_segment.priority IS 'Порядок';
COMMENT ON COLUMN onec.rfm_segment.code IS 'Код';
COMMENT ON COLUMN onec.rfm_segment.title_ru IS 'По-русски';
COMMENT ON COLUMN onec.rfm_segment.r_lo IS 'Балл давности не меньше';
COMMENT ON COLUMN onec.rfm_segment.r_hi IS 'Балл давности не больше';
COMMENT ON COLUMN onec.rfm_segment.f_lo IS 'Балл частоты не меньше';
COMMENT ON COLUMN onec.rfm_segment.f_hi IS 'Балл частоты не больше';
COMMENT ON COLUMN onec.rfm_segment.m_lo IS 'Балл суммы не меньше';
COMMENT ON COLUMN onec.rfm_segment.m_hi IS 'Балл суммы не больше';
COMMENT ON COLUMN onec.rfm_segment.fm_lo IS 'Среднее баллов частоты и суммы не меньше';
COMMENT ON COLUMN onec.rfm_segment.fm_hi IS 'Среднее баллов частоты и суммы не больше';
COMMENT ON COLUMN onec.rfm_segment.sum_lo IS 'Сумма трёх баллов не меньше';
COMMENT ON COLUMN onec.rfm_segment.days_lo IS 'Последняя покупка не позже стольких дней назад';
-- The ten segments that the documentation of R's package rfm (0.3) defines.
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, r_lo, r_hi, f_lo, f_hi, m_lo, m_hi) VALUES
	('default', 1, 'champions', 'Чемпионы', 5, 5, 5, 5, 5, 5),
	('default', 2, 'potential_loyalist', 'Будущие постоянные', 3, 5, 3, 5, 2, 5),
	('default', 3, 'loyal', 'Постоянные', 2, 4, 2, 4, 2, 4),
	('default', 4, 'promising', 'Многообещающие', 3, 4, 1, 3, 3, 5),
	('default', 5, 'new', 'Новые', 4, 5, 1, 3, 1, 5),
	('default', 6, 'cant_lose', 'Нельзя потерять', 1, 2, 3, 4, 4, 5),
	('default', 7, 'at_risk', 'Под угрозой ухода', 1, 2, 2, 5, 4, 5),
	('default', 8, 'need_attention', 'Требуют внимания', 1, 3, 3, 5, 3, 5),
	('default', 9, 'about_to_sleep', 'Засыпающие', 2, 3, 1, 3, 1, 4),
	('default', 10, 'lost', 'Потерянные', 1, 1, 1, 5, 1, 5);
-- Names and meanings are Shopify's (CustomerRfmGroup: recency against the mean of frequency and money); it
-- describes the groups in words, the bounds here are a division of the whole plane that agrees with the
-- words.
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, r_lo, r_hi, fm_lo, fm_hi) VALUES
	('shopify', 1, 'champions', 'Чемпионы', 5, 5, 4, 5), ('shopify', 2, 'loyal', 'Постоянные', 3, 4, 4, 5),
	('shopify', 3, 'active', 'Активные', 4, 5, 2.5, 3.5), ('shopify', 4, 'new', 'Новые', 5, 5, 1, 2),
	('shopify', 5, 'promising', 'Многообещающие', 4, 4, 1, 2),
	('shopify', 6, 'needs_attention', 'Требуют внимания', 3, 3, 2.5, 3.5),
	('shopify', 7, 'previously_loyal', 'Бывшие постоянные', 1, 2, 4.5, 5),
	('shopify', 8, 'at_risk', 'Под угрозой ухода', 1, 2, 3, 4),
	('shopify', 9, 'almost_lost', 'Почти потерянные', 2, 3, 1, 2.5),
	('shopify', 10, 'dormant', 'Спящие', 1, 1, 1, 2.5);
INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru, sum_lo, days_lo) VALUES
	('simple', 1, 'vip', 'VIP', 12, NULL), ('simple', 2, 'active', 'Активные', 8, NULL),
	('simple', 3, 'regular', 'Обычные', 5, NULL),
	('simple', 4, 'sleeping', 'Спящие', NULL, 91), ('simple', 5, 'new', 'Новые', NULL, NULL);

CREATE FUNCTION onec.load_rfm_segments(name text, server name DEFAULT '') RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	segments int := (SELECT count(*) FROM onec.rfm_segment s WHERE s.set_name = name);
BEGIN
	PERFORM onec_internal.checked_word('set of RFM segments', coalesce(name, ''),
									   ARRAY(SELECT DISTINCT s.set_name FROM onec.rfm_segment s ORDER BY 1));
	PERFORM onec.set('rfm.segments', name, server);
	RETURN segments;
END $$;
COMMENT ON FUNCTION onec.load_rfm_segments(text, name) IS
	'Ввести в действие набор сегментов RFM (default, shopify, simple или свой) для сервера или для всех; '
	'возвращает число сегментов';
REVOKE EXECUTE ON FUNCTION onec.load_rfm_segments(text, name) FROM PUBLIC;

-- Equal values always get equal scores, whatever the order of rows; that is why this is not ntile().  R's
-- package rfm moves the cut points up by one and compares with >=, which differs where values are not whole.
CREATE FUNCTION onec.rfm_score(value numeric, cuts numeric[], mode text DEFAULT 'quantile',
							   smaller_is_better boolean DEFAULT false) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN value IS NULL THEN NULL
					WHEN mode NOT IN ('quantile', 'thresholds', 'r_compat') THEN
						onec_internal.checked_word('mode', mode, '{quantile,thresholds,r_compat}')::int
					WHEN smaller_is_better THEN cardinality(cuts) + 1 - n.passed ELSE 1 + n.passed END
		FROM (SELECT count(*)
			  FILTER (WHERE CASE WHEN mode = 'r_compat' THEN c.cut + 1 <= value
								 ELSE c.cut < value END)::int AS passed
			  FROM unnest(cuts) c (cut)) n;
	END;
COMMENT ON FUNCTION onec.rfm_score(numeric, numeric[], text, boolean) IS
	'Балл RFM значения при данных границах; mode => ''r_compat'' — как в пакете rfm языка R; для давности '
	'smaller_is_better => true';

-- percentile_cont(array[.2,.4,.6,.8]) in exact arithmetic: a cut point never falls beside a value that it
-- equals.
CREATE FUNCTION onec_internal.quintile_bounds(sorted numeric[]) RETURNS numeric[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT array_agg(trim_scale(sorted[p.at] + (coalesce(sorted[p.at + 1], sorted[p.at]) - sorted[p.at])
									* p.fifths / 5.0) ORDER BY p.at, p.fifths)
		FROM (SELECT k.k * (cardinality(sorted) - 1) / 5 + 1 AS at,
					 k.k * (cardinality(sorted) - 1) % 5 AS fifths
			  FROM generate_series(1, 4) k (k)) p
		WHERE cardinality(sorted) > 0;
	END;
COMMENT ON FUNCTION onec_internal.quintile_bounds(numeric[]) IS
	'Границы квинтилей упорядоченных значений (служебная)';

-- The fixed limits of a measure: four numbers that do not fall.
CREATE FUNCTION onec_internal.configured_rfm_cuts(key text, server name) RETURNS numeric[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cuts numeric[] := onec.get(key, server)::numeric[];
BEGIN
	IF cardinality(cuts) <> 4 OR cuts <> ARRAY(SELECT c FROM unnest(cuts) c ORDER BY c)
		OR array_position(cuts, NULL) IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid value for setting "%s": "%s"', key, onec.get(key, server)),
			HINT = 'Four numbers in ascending order are expected.';
	END IF;
	RETURN cuts;
END $$;
COMMENT ON FUNCTION onec_internal.configured_rfm_cuts(text, name) IS 'Заданные пороги RFM (служебная)';

-- What is scored, of histories (kept: those in pg_temp.onec_history).  Only what was known on the day: later
-- lines do not exist.
CREATE FUNCTION onec_internal.rfm_measures(server name, as_of date, customers uuid[] DEFAULT NULL,
										   kept boolean DEFAULT false)
	RETURNS TABLE (customer_id uuid, last_purchase date, frequency int, monetary numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH found AS MATERIALIZED (
			SELECT x.customer_id, (x.h).last_day AS last,
				   CASE $4 WHEN 'receipts' THEN (x.h).recent_receipts ELSE (x.h).recent_visits
				   END AS frequency, x.recent_net AS net FROM %s x)
		SELECT f.customer_id, f.last, f.frequency, f.net FROM found f
		UNION ALL
		SELECT k.user_id, NULL, 0, 0::numeric
		FROM (SELECT DISTINCT c.user_id FROM onec.customer_card c
			  WHERE c.server = $1 AND ($3 IS NULL OR c.user_id = ANY ($3))) k
		WHERE NOT EXISTS (SELECT FROM found f WHERE f.customer_id = k.user_id)$q$,
		CASE WHEN kept THEN 'pg_temp.onec_history'
			 ELSE 'onec_internal.visit_histories($1, $2, $3, NULL)' END)
	USING server, as_of, customers, onec.get('rfm.frequency', server);
END $$;
COMMENT ON FUNCTION onec_internal.rfm_measures(name, date, uuid[], boolean) IS
	'Давность, частота и сумма покупателей до расстановки баллов (служебная)';

CREATE FUNCTION onec_internal.rfm_score_cuts(server name, r numeric[], f numeric[], m numeric[],
											 OUT r_cuts numeric[], OUT f_cuts numeric[], OUT m_cuts numeric[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN t.fixed THEN onec_internal.configured_rfm_cuts('rfm.recency_cuts', $1)
				ELSE onec_internal.quintile_bounds($2) END,
		   CASE WHEN t.fixed THEN onec_internal.configured_rfm_cuts('rfm.frequency_cuts', $1)
				ELSE onec_internal.quintile_bounds($3) END,
		   CASE WHEN t.fixed THEN onec_internal.configured_rfm_cuts('rfm.monetary_cuts', $1)
				ELSE onec_internal.quintile_bounds($4) END
	FROM (SELECT onec.get('rfm.mode', $1) = 'thresholds' AS fixed) t
$$;
COMMENT ON FUNCTION onec_internal.rfm_score_cuts(name, numeric[], numeric[], numeric[]) IS
	'Границы баллов RFM по настройкам сервера (служебная)';

-- onec.rfm_score() for the four bounds of a shop, which the planner can look into: it is asked of everybody.
CREATE FUNCTION onec_internal.fifth_of(value numeric, cuts numeric[], mode text,
									   smaller_is_better boolean) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN smaller_is_better THEN -1 ELSE 1 END
		* CASE mode WHEN 'r_compat'
			   THEN (cuts[1] + 1 <= value)::int + (cuts[2] + 1 <= value)::int + (cuts[3] + 1 <= value)::int
				   + (cuts[4] + 1 <= value)::int
			   ELSE (cuts[1] < value)::int + (cuts[2] < value)::int + (cuts[3] < value)::int
				   + (cuts[4] < value)::int END
		+ CASE WHEN smaller_is_better THEN 5 ELSE 1 END;
COMMENT ON FUNCTION onec_internal.fifth_of(numeric, numeric[], text, boolean) IS
	'Балл RFM при четырёх границах (служебная)';

-- Customers who never bought are prospects; those who bought, but not in the window, are inactive.  Neither
-- is scored.  Segments are looked up once for all who have the same scores.
CREATE FUNCTION onec_internal.scored_customers(server name, day date, measures text)
	RETURNS TABLE (customer_id uuid, last_purchase date, frequency int, monetary numeric, r_score int,
				   f_score int, m_score int, segment text, segment_title text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH fact AS MATERIALIZED (SELECT f.*, $2 - f.last_purchase AS days FROM %s f),
		cut AS MATERIALIZED (
			SELECT c.* FROM (SELECT array_agg(f.days::numeric ORDER BY f.days) AS r,
									array_agg(f.frequency::numeric ORDER BY f.frequency) AS f,
									array_agg(f.monetary ORDER BY f.monetary) AS m
							 FROM fact f WHERE f.frequency > 0) v,
				 onec_internal.rfm_score_cuts($1, v.r, v.f, v.m) c),
		score AS MATERIALIZED (
			SELECT f.*, onec_internal.fifth_of(f.days, (SELECT c.r_cuts FROM cut c), $3, true) AS r,
				   onec_internal.fifth_of(f.frequency, (SELECT c.f_cuts FROM cut c), $3, false) AS f,
				   onec_internal.fifth_of(f.monetary, (SELECT c.m_cuts FROM cut c), $3, false) AS m,
				   -- only where a segment of the set asks for days
				   CASE WHEN EXISTS (SELECT FROM onec.rfm_segment t
									 WHERE t.set_name = $4 AND t.days_lo IS NOT NULL)
						THEN f.days ELSE 0 END AS of_days
			FROM fact f WHERE f.frequency > 0),
		class AS MATERIALIZED (
			SELECT s.*, g.code, g.title_ru
			FROM (SELECT DISTINCT s.r, s.f, s.m, s.of_days FROM score s) s
			LEFT JOIN LATERAL (
				SELECT t.code, t.title_ru FROM onec.rfm_segment t
				WHERE t.set_name = $4 AND (s.r >= t.r_lo) IS NOT FALSE AND (s.r <= t.r_hi) IS NOT FALSE
				  AND (s.f >= t.f_lo) IS NOT FALSE AND (s.f <= t.f_hi) IS NOT FALSE
				  AND (s.m >= t.m_lo) IS NOT FALSE AND (s.m <= t.m_hi) IS NOT FALSE
				  AND ((s.f + s.m) / 2.0 >= t.fm_lo) IS NOT FALSE
				  AND ((s.f + s.m) / 2.0 <= t.fm_hi) IS NOT FALSE
				  AND (s.r + s.f + s.m >= t.sum_lo) IS NOT FALSE AND (s.of_days >= t.days_lo) IS NOT FALSE
				ORDER BY t.priority LIMIT 1) g ON true)
		SELECT s.customer_id, s.last_purchase, s.frequency, s.monetary, s.r, s.f, s.m,
			   coalesce(c.code, 'others'), coalesce(c.title_ru, 'Прочие')
		FROM score s JOIN class c ON c.r = s.r AND c.f = s.f AND c.m = s.m AND c.of_days = s.of_days
		UNION ALL
		SELECT f.customer_id, f.last_purchase, f.frequency, f.monetary, NULL, NULL, NULL,
			   CASE WHEN f.days IS NULL THEN 'prospect' ELSE 'inactive' END,
			   CASE WHEN f.days IS NULL THEN 'Ещё не покупали' ELSE 'Давно не покупали' END
		FROM fact f WHERE f.frequency = 0$q$, measures)
	USING server, day, onec.get('rfm.mode', server), onec.get('rfm.segments', server);
END $$;
COMMENT ON FUNCTION onec_internal.scored_customers(name, date, text) IS
	'Баллы и сегменты RFM по измеренному (служебная)';

CREATE FUNCTION onec.rfm(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, recency_days int, frequency int, monetary numeric, r_score int,
				   f_score int, m_score int,
				   rfm text, segment text, segment_title text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.customer_id, d.day - s.last_purchase, s.frequency, s.monetary, s.r_score, s.f_score, s.m_score,
		   s.r_score::text || s.f_score || s.m_score, s.segment, s.segment_title
	FROM onec_internal.server_and_day($1, $2) d
	CROSS JOIN LATERAL onec_internal.scored_customers(d.server_name, d.day,
													  'onec_internal.rfm_measures($1, $2)') s
$$;
COMMENT ON FUNCTION onec.rfm(name, date) IS
	'RFM покупателей на дату: давность, частота, сумма, баллы от 1 до 5, сегмент; равные '
	'значения получают равные баллы';

CREATE FUNCTION onec.rfm_cutpoints(server name DEFAULT NULL, as_of date DEFAULT NULL)
	RETURNS TABLE (measure text, score int, above numeric, up_to numeric, customers bigint, smallest numeric,
				   largest numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH scored AS MATERIALIZED (SELECT * FROM onec.rfm($1, $2) s WHERE s.r_score IS NOT NULL),
	value AS (
		SELECT 'recency' AS measure, s.recency_days::numeric AS value, s.r_score AS score FROM scored s
		UNION ALL SELECT 'frequency', s.frequency, s.f_score FROM scored s
		UNION ALL SELECT 'monetary', s.monetary, s.m_score FROM scored s),
	cut AS (
		SELECT m.* FROM (SELECT array_agg(s.recency_days::numeric ORDER BY s.recency_days) AS r,
								array_agg(s.frequency::numeric ORDER BY s.frequency) AS f,
								array_agg(s.monetary ORDER BY s.monetary) AS m FROM scored s) v,
			 onec_internal.rfm_score_cuts(onec_internal.server_meant($1), v.r, v.f, v.m) c,
			 LATERAL (VALUES (1, 'recency', c.r_cuts), (2, 'frequency', c.f_cuts),
					  (3, 'monetary', c.m_cuts)) m (place, measure, cuts))
	SELECT c.measure, k.score, c.cuts[b.class - 1], c.cuts[b.class], n.customers, n.smallest, n.largest
	FROM cut c CROSS JOIN generate_series(1, 5) k (score)
	CROSS JOIN LATERAL (SELECT CASE c.measure WHEN 'recency' THEN 6 - k.score ELSE k.score END AS class) b
	CROSS JOIN LATERAL (SELECT count(*) AS customers, min(v.value) AS smallest, max(v.value) AS largest
						FROM value v WHERE v.measure = c.measure AND v.score = k.score) n
	ORDER BY c.place, k.score
$$;
COMMENT ON FUNCTION onec.rfm_cutpoints(name, date) IS
	'Границы баллов RFM (больше above, до up_to включительно) и сколько покупателей в каждом: при равных '
	'значениях классы неравны или пусты';

-- The day of the last purchase rather than the days since: so a row changes when the customer or a score
-- does, not every night.
CREATE TABLE onec.customer_rfm (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	last_purchase date,
	frequency int NOT NULL,
	monetary numeric NOT NULL,
	r_score int,
	f_score int,
	m_score int,
	rfm text,
	segment text NOT NULL,
	segment_title text NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_rfm IS 'RFM покупателей на день последнего пересчёта (onec.refresh_rfm)';
COMMENT ON COLUMN onec.customer_rfm.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_rfm.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_rfm.last_purchase IS 'День последней покупки';
COMMENT ON COLUMN onec.customer_rfm.frequency IS 'Визитов (или чеков) за период';
COMMENT ON COLUMN onec.customer_rfm.monetary IS 'Выручка за период за вычетом возвратов';
COMMENT ON COLUMN onec.customer_rfm.r_score IS 'Балл давности, 5 — недавно; NULL — в периоде не покупал';
COMMENT ON COLUMN onec.customer_rfm.f_score IS 'Балл частоты, 5 — часто';
COMMENT ON COLUMN onec.customer_rfm.m_score IS 'Балл суммы, 5 — много';
COMMENT ON COLUMN onec.customer_rfm.rfm IS 'Три балла подряд';
COMMENT ON COLUMN onec.customer_rfm.segment IS
	'Код сегмента; prospect — ещё не покупал, inactive — не покупал в периоде, others — не подошёл ни один';
COMMENT ON COLUMN onec.customer_rfm.segment_title IS 'Сегмент по-русски';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_rfm', '');

CREATE FUNCTION onec_internal.write_rfm(server name, day date, measures text,
										OUT rows_inserted bigint, OUT rows_updated bigint,
										OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	CREATE TEMPORARY TABLE onec_rfm ON COMMIT DROP AS
		SELECT write_rfm.server, s.customer_id, s.last_purchase, s.frequency, s.monetary,
			   s.r_score, s.f_score, s.m_score, s.r_score::text || s.f_score || s.m_score AS rfm,
			   s.segment, s.segment_title
		FROM onec_internal.scored_customers(server, day, measures) s;
	ANALYZE pg_temp.onec_rfm;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_rfm', 'onec_rfm', server, NULL) k;
	DROP TABLE pg_temp.onec_rfm;
END $$;
COMMENT ON FUNCTION onec_internal.write_rfm(name, date, text) IS
	'Расставить и записать баллы RFM по измеренному (служебная)';

CREATE FUNCTION onec.refresh_rfm(server name DEFAULT NULL, as_of date DEFAULT NULL,
								 OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	PERFORM onec_internal.must_write('refresh_rfm');
	PERFORM onec_internal.lock_people(srv, false);
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_rfm(srv, coalesce(as_of, onec.local_now(srv)::date),
								 'onec_internal.rfm_measures($1, $2)') w;
END $$;
COMMENT ON FUNCTION onec.refresh_rfm(name, date) IS
	'Пересчитать RFM всех покупателей на дату; неизменившиеся строки не записываются';
REVOKE EXECUTE ON FUNCTION onec.refresh_rfm(name, date) FROM PUBLIC;

-- The measures of a day after another, into pg_temp.onec_measure.  What changes them are the customers' own
-- lines ("changed" names whose have changed since), and lines that the window of RFM has left behind; all
-- others have in customer_rfm what they had.
CREATE FUNCTION onec_internal.collect_measures(server name, before date, day date,
											   changed uuid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	days int := onec.get('rfm.window', server)::int;
	others uuid[];
BEGIN
	others := ARRAY(
		SELECT unnest(changed)
		UNION
		SELECT l.customer_id FROM onec_internal.counted_lines_between(
			server, onec_internal.start_of_last_days(before, days),
			onec_internal.start_of_last_days(day, days)) l
		WHERE days > 0 AND l.customer_id IS NOT NULL);
	CREATE TEMPORARY TABLE onec_measure ON COMMIT DROP AS
		SELECT r.customer_id, r.last_purchase, r.frequency, r.monetary FROM onec.customer_rfm r
		WHERE r.server = collect_measures.server
		  AND NOT EXISTS (SELECT FROM unnest(others) o (id) WHERE o.id = r.customer_id)
		UNION ALL
		SELECT m.customer_id, m.last_purchase, m.frequency, m.monetary
		FROM onec_internal.rfm_measures(server, day, others) m;
END $$;
COMMENT ON FUNCTION onec_internal.collect_measures(name, date, date, uuid[]) IS
	'Собрать измеренное для RFM по прежнему и изменившемуся (служебная)';

CREATE VIEW onec.rfm_summary AS
	SELECT c.server, c.segment, c.segment_title, count(*) AS customers,
		   round(count(*) / sum(count(*)) OVER (PARTITION BY c.server), 4) AS share,
		   sum(c.monetary) AS monetary,
		   round(sum(c.monetary) / nullif(sum(sum(c.monetary)) OVER (PARTITION BY c.server), 0),
				 4) AS monetary_share,
		   round(avg(c.monetary), 2) AS average_monetary, round(avg(c.frequency), 2) AS average_frequency,
		   max(c.last_purchase) AS last_purchase
	FROM onec.customer_rfm c
	GROUP BY c.server, c.segment, c.segment_title;
COMMENT ON VIEW onec.rfm_summary IS 'Сегменты RFM: сколько покупателей, какая доля выручки';
COMMENT ON COLUMN onec.rfm_summary.customers IS 'Покупателей';
COMMENT ON COLUMN onec.rfm_summary.average_monetary IS 'Выручка в среднем на покупателя';
COMMENT ON COLUMN onec.rfm_summary.average_frequency IS 'Визитов (или чеков) в среднем';
COMMENT ON COLUMN onec.rfm_summary.share IS 'Доля среди покупателей сервера';
COMMENT ON COLUMN onec.rfm_summary.monetary IS 'Выручка сегмента за период RFM';
COMMENT ON COLUMN onec.rfm_summary.monetary_share IS 'Доля в выручке';
