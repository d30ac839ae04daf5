-- onec.report: a page for people who would rather look than read.  One HTML file that is well-formed XML, in
-- Russian, with its styles and pictures inside: nothing is asked of the network, no script runs.  Names and
-- telephones are under a mask.

CREATE FUNCTION onec_internal.html_text(value text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN replace(replace(replace(replace(regexp_replace(coalesce(value, ''),
														  '[\x01-\x08\x0B\x0C\x0E-\x1F]', '', 'g'),
								   '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');
COMMENT ON FUNCTION onec_internal.html_text(text) IS 'Текст для страницы (служебная)';

-- 1 234 567, with spaces that do not break; the same in every locale.
CREATE FUNCTION onec_internal.spaced_number(value numeric) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(regexp_replace(round(value)::text, '(\d)(?=(\d{3})+$)', E'\\1\u00A0', 'g'), '–');
COMMENT ON FUNCTION onec_internal.spaced_number(numeric) IS
	'Целое число с пробелами между тысячами (служебная)';

CREATE FUNCTION onec_internal.percent(value numeric) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(round(value * 100)::text || E'\u00A0%', '–');
COMMENT ON FUNCTION onec_internal.percent(numeric) IS 'Доля в процентах (служебная)';

CREATE FUNCTION onec_internal.report_section(id text, title text, hint text, body text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN format(E'<section id="%s">\n<h2>%s</h2>\n<p class="hint">%s</p>\n%s\n</section>\n', id,
				  title, hint,
				  coalesce(nullif(body, ''), '<p class="none">Данных пока нет.</p>'));
COMMENT ON FUNCTION onec_internal.report_section(text, text, text, text) IS
	'Раздел страницы; без данных так и говорит (служебная)';

CREATE FUNCTION onec_internal.report_table(head text[], rows text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '<div class="wide"><table><thead><tr><th>' || array_to_string(head, '</th><th>')
		|| '</th></tr></thead><tbody>' || rows || '</tbody></table></div>';
COMMENT ON FUNCTION onec_internal.report_table(text[], text) IS
	'Таблица страницы; без строк — NULL (служебная)';

-- A row of cells: the first is a name, the others are numbers.
CREATE FUNCTION onec_internal.report_row(cells text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '<tr><th>' || onec_internal.html_text(cells[1]) || '</th><td>'
		|| array_to_string((SELECT array_agg(onec_internal.html_text(c) ORDER BY n)
		FROM unnest(cells) WITH ORDINALITY u (c, n) WHERE n > 1), '</td><td>') || '</td></tr>';
COMMENT ON FUNCTION onec_internal.report_row(text[]) IS 'Строка таблицы (служебная)';

-- A cell as dark as its share of the greatest value.
CREATE FUNCTION onec_internal.report_heat_cell(value text, share numeric, tip text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN format('<td class="heat" style="background:rgba(31,111,178,%s)%s" title="%s">%s</td>',
				  round(least(greatest(coalesce(share, 0), 0), 1) * 0.9, 2),
				  CASE WHEN share > 0.55 THEN ';color:#fff' ELSE '' END, onec_internal.html_text(tip),
				  onec_internal.html_text(value));
COMMENT ON FUNCTION onec_internal.report_heat_cell(text, numeric, text) IS
	'Клетка тем темнее, чем больше доля (служебная)';

-- Horizontal bars: names, values, what is written beside.
CREATE FUNCTION onec_internal.report_bars(names text[], parts numeric[], labels text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '<div class="bars">'
		|| string_agg(format('<div class="name">%s</div><div class="bar"><span '
							 'style="width:%s%%"></span></div><div class="value">%s</div>',
		onec_internal.html_text(b.name), coalesce(round(100 * greatest(b.part, 0) / nullif(b.top, 0), 1), 0),
		onec_internal.html_text(b.label)), '' ORDER BY b.n) || '</div>'
	FROM (SELECT u.*, max(greatest(u.part, 0)) OVER () AS top
		  FROM unnest($1, $2, $3) WITH ORDINALITY u (name, part, label, n)) b
$$;
COMMENT ON FUNCTION onec_internal.report_bars(text[], numeric[], text[]) IS 'Полосы с подписями (служебная)';

CREATE FUNCTION onec_internal.report_change(value numeric, before numeric) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN before > 0 THEN CASE WHEN coalesce(value, 0) >= before THEN '+' ELSE '−' END
				|| abs(round((coalesce(value, 0) / before - 1) * 100)) || E'\u00A0% к прошлым' ELSE '' END;
COMMENT ON FUNCTION onec_internal.report_change(numeric, numeric) IS 'На сколько изменилось (служебная)';

-- Months from left to right, stores one upon another.
CREATE FUNCTION onec_internal.report_revenue(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH month AS (
		SELECT m::date AS month, (row_number() OVER (ORDER BY m))::int - 1 AS x
		FROM generate_series(date_trunc('month', $2::timestamp) - interval '23 months', $2::timestamp,
							 interval '1 month') m),
	revenue AS MATERIALIZED (
		SELECT r.month, r.store_id, r.net FROM onec.revenue_month_at($1, $2) r
		WHERE r.month >= (SELECT min(m.month) FROM month m)),
	store AS (
		SELECT r.store_id, coalesce(min(n.name), 'Без магазина') AS title, sum(r.net) AS net,
			   (row_number() OVER (ORDER BY sum(r.net) DESC, r.store_id))::int AS place
		FROM revenue r LEFT JOIN onec.store n ON n.server = $1 AND n.store_id = r.store_id
		GROUP BY r.store_id),
	part AS (
		SELECT m.x, m.month, least(s.place, 6) AS place, sum(greatest(r.net, 0)) AS net
		FROM month m JOIN revenue r ON r.month = m.month
		JOIN store s ON s.store_id IS NOT DISTINCT FROM r.store_id
		GROUP BY 1, 2, 3),
	high AS (SELECT nullif(max(t.net), 0) AS net FROM (SELECT sum(p.net) AS net FROM part p GROUP BY p.x) t),
	piece AS (
		SELECT p.*, h.net AS top, sum(p.net) OVER (PARTITION BY p.x ORDER BY p.place) AS upto FROM part p
		CROSS JOIN high h),
	picture AS (
		SELECT string_agg(format('<rect class="s%s" x="%s" y="%s" width="22" '
								 'height="%s"><title>%s: %s</title></rect>', p.place, 64 + p.x * 27,
				round(220 - 200 * p.upto / p.top, 1), round(200 * p.net / p.top, 1),
				to_char(p.month, 'MM.YYYY'), onec_internal.spaced_number(p.net)), ''
					ORDER BY p.x, p.place) AS bars
		FROM piece p WHERE p.top > 0)
	SELECT format('<div class="wide"><svg viewBox="0 0 720 250" role="img" aria-label="Выручка по '
				  'месяцам"><line x1="60" y1="220" x2="716" y2="220"/>'
				  '<text x="0" y="24" class="axis">%s</text><text x="0" y="224" '
				  'class="axis">0</text>%s%s</svg></div><p class="legend">%s</p>',
				  onec_internal.html_text(onec_internal.spaced_number((SELECT h.net FROM high h))), x.bars,
				  (SELECT string_agg(format('<text x="%s" y="238" class="axis mid">%s</text>', 75 + m.x * 27,
											to_char(m.month, 'MM.YY')), '' ORDER BY m.x) FROM month m
												WHERE m.x % 2 = 1),
				  (SELECT string_agg(format('<span><i class="s%s"></i>%s: %s</span> ', s.place,
											onec_internal.html_text(s.title),
											onec_internal.spaced_number(s.net)), '' ORDER BY s.place)
				   FROM (SELECT least(t.place, 6) AS place,
								CASE WHEN t.place < 6 THEN t.title ELSE 'Прочие' END AS title,
								sum(t.net) AS net
						 FROM store t GROUP BY 1, 2) s))
	FROM picture x WHERE x.bars IS NOT NULL
$$;
COMMENT ON FUNCTION onec_internal.report_revenue(name, date) IS
	'Раздел отчёта: выручка по месяцам и магазинам (служебная)';

-- The scores that are kept are of the last refresh; those of another day are worked out.
CREATE FUNCTION onec_internal.report_rfm(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH scored AS MATERIALIZED (
		SELECT c.r_score, c.f_score, c.monetary, c.segment, c.segment_title FROM onec.customer_rfm c
		WHERE c.server = $1 AND $2 = onec.local_now($1)::date
		UNION ALL
		SELECT r.r_score, r.f_score, r.monetary, r.segment, r.segment_title FROM onec.rfm($1, $2) r
		WHERE $2 <> onec.local_now($1)::date),
	cell AS (
		SELECT c.r_score, c.f_score, count(*) AS customers, sum(c.monetary) AS net FROM scored c
		WHERE c.r_score IS NOT NULL GROUP BY 1, 2),
	line AS (
		SELECT f.f, string_agg(onec_internal.report_heat_cell(coalesce(c.customers, 0)::text,
															  c.customers::numeric / (SELECT max(x.customers)
																  FROM cell x),
				'выручка ' || onec_internal.spaced_number(coalesce(c.net, 0))), '' ORDER BY r.r) AS cells
		FROM generate_series(1, 5) f (f) CROSS JOIN generate_series(1, 5) r (r)
		LEFT JOIN cell c ON c.r_score = r.r AND c.f_score = f.f GROUP BY 1)
	SELECT onec_internal.report_table('{частота \\ давность,1 — давно,2,3,4,5 — недавно}',
									  string_agg(format('<tr><th>%s</th>%s</tr>',
														CASE l.f WHEN 5 THEN '5 — часто'
															 WHEN 1 THEN '1 — редко'
															 ELSE l.f::text END, l.cells), ''
																 ORDER BY l.f DESC))
		   || (SELECT onec_internal.report_table('{Сегмент,Покупателей,Выручка,Доля выручки}',
												 string_agg(onec_internal.report_row(ARRAY[s.segment_title,
													 s.customers::text,
													 onec_internal.spaced_number(s.monetary),
					onec_internal.percent(s.monetary_share)]), '' ORDER BY s.monetary DESC, s.segment))
			   FROM (SELECT c.segment, c.segment_title, count(*) AS customers, sum(c.monetary) AS monetary,
							round(sum(c.monetary) / nullif(sum(sum(c.monetary)) OVER (), 0),
								  4) AS monetary_share
					 FROM scored c GROUP BY 1, 2) s)
	FROM line l WHERE EXISTS (SELECT FROM cell)
$$;
COMMENT ON FUNCTION onec_internal.report_rfm(name, date) IS 'Раздел отчёта: RFM (служебная)';

CREATE FUNCTION onec_internal.report_cohorts(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH cell AS (
		SELECT c.cohort, c."offset" AS n, c.customers, c.retained, c.retention
		FROM onec.cohort_retention_at($1, $2) c
		WHERE c.cohort > date_trunc('month', $2::timestamp) - interval '15 months' AND c."offset" <= 12
		  AND c.retention IS NOT NULL),
	line AS (
		SELECT k.cohort, k.customers, string_agg(CASE WHEN c.n IS NULL THEN '<td></td>'
				ELSE onec_internal.report_heat_cell(round(c.retention * 100)::text,
													CASE WHEN c.n = 0 THEN 0.15 ELSE c.retention * 2 END,
													c.retained || ' из ' || c.customers) END, ''
														ORDER BY o.n) AS cells
		FROM (SELECT DISTINCT cohort, customers FROM cell) k CROSS JOIN generate_series(0, 12) o (n)
		LEFT JOIN cell c ON c.cohort = k.cohort AND c.n = o.n GROUP BY 1, 2)
	SELECT onec_internal.report_table(ARRAY['Первая покупка', 'Пришло'] || ARRAY(SELECT n::text
		FROM generate_series(0, 12) n),
									  string_agg(format('<tr><th>%s</th><td>%s</td>%s</tr>',
														to_char(l.cohort, 'MM.YYYY'), l.customers, l.cells),
														'' ORDER BY l.cohort))
	FROM line l
$$;
COMMENT ON FUNCTION onec_internal.report_cohorts(name, date) IS 'Раздел отчёта: когорты (служебная)';

CREATE FUNCTION onec_internal.report_categories(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_bars(array_agg(c.title ORDER BY c.net DESC, c.title),
									 array_agg(c.net ORDER BY c.net DESC, c.title),
									 array_agg(onec_internal.spaced_number(c.net) || ' · '
											   || onec_internal.percent(c.net / nullif(c.total, 0))
												   ORDER BY c.net DESC, c.title))
	FROM (SELECT coalesce(p.category, 'Без категории') AS title, sum(p.amount) AS net,
				 sum(sum(p.amount)) OVER () AS total
		  FROM onec.purchase p
		  WHERE p.server = $1 AND p.period >= $2 - 365 AND p.period < $2 + 1
		  GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) c
$$;
COMMENT ON FUNCTION onec_internal.report_categories(name, date) IS
	'Раздел отчёта: категории за год (служебная)';

CREATE FUNCTION onec_internal.report_calls(server name, as_of date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Покупатель,Телефон,Почему,Покупок,Выручка}',
									  string_agg(onec_internal.report_row(
										  ARRAY[coalesce(onec_internal.masked(c.name), '–'),
												onec_internal.masked(c.phone), c.why,
						c.visits::text, onec_internal.spaced_number(c.total_revenue)]), '' ORDER BY c.place))
	FROM onec_internal.call_list_with_names($1, $2) c WHERE c.place <= 20
$$;
COMMENT ON FUNCTION onec_internal.report_calls(name, date) IS 'Раздел отчёта: кому позвонить (служебная)';

CREATE FUNCTION onec_internal.report_points(server name, at timestamp) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Когда сгорят,Карт,Баллов}',
									  string_agg(onec_internal.report_row(ARRAY[to_char(x.day, 'DD.MM.YYYY'),
										  x.cards::text, onec_internal.spaced_number(x.points)]), ''
											  ORDER BY x.day))
	FROM (SELECT b.expires_next_at::date AS day, count(*) AS cards, sum(b.expires_next_amount) AS points
		  FROM onec.loyalty_balance_at($1, $2) b WHERE b.expires_next_at < $2::date + 31 GROUP BY 1
		  ORDER BY 1 LIMIT 31) x
$$;
COMMENT ON FUNCTION onec_internal.report_points(name, timestamp) IS
	'Раздел отчёта: сгорающие баллы (служебная)';

-- Goods that at the pace of the last thirty days will not last two weeks, those that bring most first.  What
-- is sold and has no row of stock is sold out.  Stock is of now: of another day nothing is known.
CREATE FUNCTION onec_internal.report_stock(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH sold AS MATERIALIZED (
		SELECT p.product_id, p.store_id, sum(p.quantity) AS quantity, sum(p.amount) AS amount
		FROM onec.purchase p
		WHERE p.server = $1 AND p.period >= $2 - 29 AND p.period < $2 + 1 AND p.product_id IS NOT NULL
		GROUP BY 1, 2 HAVING sum(p.quantity) > 0),
	free AS MATERIALIZED (
		SELECT s.product_id, s.store_id, sum(s.free) AS free FROM onec.stock s
		WHERE s.server = $1 GROUP BY 1, 2),
	short AS (
		SELECT s.*, greatest(coalesce(f.free, 0), 0) AS free,
			   row_number() OVER (ORDER BY s.amount DESC, s.product_id, s.store_id) AS n
		FROM sold s LEFT JOIN free f
			ON f.product_id = s.product_id AND f.store_id IS NOT DISTINCT FROM s.store_id
		WHERE coalesce(f.free, 0) * 30 < s.quantity * 14 AND EXISTS (SELECT FROM free)
		  AND $2 = onec.local_now($1)::date)
	SELECT onec_internal.report_table('{Товар,Хватит на дней,Свободно,Продано за 30 дней,Магазин}',
									  string_agg(onec_internal.report_row(ARRAY[coalesce(p.name, '–'),
										  floor(s.free * 30 / s.quantity)::text,
										  onec_internal.spaced_number(s.free),
										  onec_internal.spaced_number(s.quantity),
										  coalesce(t.name, '–')]), '' ORDER BY s.n))
	FROM short s
	LEFT JOIN onec.product p ON p.server = $1 AND p.product_id = s.product_id
	LEFT JOIN onec.store t ON t.server = $1 AND t.store_id = s.store_id
	WHERE s.n <= 20
$$;
COMMENT ON FUNCTION onec_internal.report_stock(name, date) IS
	'Раздел отчёта: чего не хватит на две недели (служебная)';

-- Orders that are neither finished nor dropped: when they are to be shipped, and the twenty whose day is
-- nearest, since some were forgotten years ago.  Whose they are is not told.
CREATE FUNCTION onec_internal.report_orders(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH work AS MATERIALIZED (
		SELECT o.number, o.date, o.ship_at, o.amount, coalesce(s.name, '–') AS store,
			   CASE WHEN o.ship_at < $2 THEN 1 WHEN o.ship_at < $2 + 1 THEN 2 WHEN o.ship_at < $2 + 7 THEN 3
					WHEN o.ship_at IS NOT NULL THEN 4 ELSE 5 END AS place
		FROM onec.customer_order o LEFT JOIN onec.store s ON s.server = $1 AND s.store_id = o.store_id
		WHERE o.server = $1 AND o.date < $2 + 1 AND o.posted IS NOT FALSE AND o.deletion_mark IS NOT TRUE
		  AND coalesce(o.outcome, '') = ''),
	soon AS (
		SELECT w.*, row_number() OVER (ORDER BY abs(w.ship_at::date - $2), w.ship_at, w.date, w.number) AS n
		FROM work w)
	SELECT onec_internal.report_table('{Отгрузить,Заказов,Сумма}', (
			SELECT string_agg(onec_internal.report_row(ARRAY[t.title, t.orders::text,
															 onec_internal.spaced_number(t.amount)]), ''
							  ORDER BY t.place)
			FROM (SELECT w.place, (ARRAY['просрочено', 'сегодня', 'за неделю', 'позже', 'без срока'])[w.place]
								  AS title,
						 count(*) AS orders, sum(w.amount) AS amount
				  FROM work w GROUP BY w.place) t))
		|| onec_internal.report_table('{Заказ,Отгрузить,Сумма,Магазин,Принят}',
									  string_agg(onec_internal.report_row(ARRAY[coalesce(s.number, '–'),
										  coalesce(to_char(s.ship_at, 'DD.MM.YYYY'), '–'),
										  onec_internal.spaced_number(s.amount), s.store,
										  to_char(s.date, 'DD.MM.YYYY')]), ''
											  ORDER BY s.ship_at, s.n))
	FROM soon s WHERE s.n <= 20
$$;
COMMENT ON FUNCTION onec_internal.report_orders(name, date) IS 'Раздел отчёта: заказы в работе (служебная)';

CREATE FUNCTION onec_internal.report_freshness(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Таблица,Состояние,Прочитана,Строк,Изменений}',
									  string_agg(onec_internal.report_row(ARRAY[
			coalesce((SELECT CASE t.table_schema WHEN 'onec'
							 THEN obj_description(to_regclass(onec_internal.table_of_target(t.target)),
												  'pg_class')
							 ELSE concat_ws(': ', t.title, t.entity_set) END
					  FROM onec.target t WHERE t.target = s.target), s.target),
			CASE s.status WHEN 'ok' THEN 'в порядке' WHEN 'failed' THEN 'ошибка: ' || coalesce(s.message, '')
				 WHEN 'not published' THEN 'не опубликована' ELSE s.status END,
			coalesce(to_char(s.last_ok AT TIME ZONE z.zone, 'DD.MM.YYYY HH24:MI'), '–'),
			onec_internal.spaced_number(s.rows_read),
			onec_internal.spaced_number(s.rows_inserted + s.rows_updated + s.rows_deleted)]), ''
				ORDER BY s.started_at, s.target))
	FROM onec.sync_status s
	CROSS JOIN (SELECT onec_internal.server_zone($1) AS zone) z
	WHERE s.server = $1
$$;
COMMENT ON FUNCTION onec_internal.report_freshness(name) IS 'Раздел отчёта: свежесть данных (служебная)';

-- Nothing where nothing is written.
CREATE FUNCTION onec_internal.report_outbox(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_section('outbox', 'Запись в 1С',
		'Что сайт поставил в очередь и что ещё не в 1С; стоит — ждёт решения человека.',
		onec_internal.report_table('{Ждут,Неясно,Стоят,Самая старая с,Последняя доставка,Что делать}',
			'<tr><td>' || concat_ws('</td><td>', o.pending + o.waiting + o.sending, o.unknown,
				o.blocked + o.conflict + o.failed,
				coalesce(to_char(o.oldest_at AT TIME ZONE z.zone, 'DD.MM.YYYY HH24:MI'), '–'),
				coalesce(to_char(o.last_done_at AT TIME ZONE z.zone, 'DD.MM.YYYY HH24:MI'), '–'),
				onec_internal.html_text(coalesce(o.hint, 'ничего'))) || '</td></tr>'))
	FROM onec.outbox_status o
	CROSS JOIN (SELECT onec_internal.server_zone($1) AS zone) z
	WHERE o.server = $1
$$;
COMMENT ON FUNCTION onec_internal.report_outbox(name) IS 'Раздел отчёта: запись в 1С (служебная)';

CREATE FUNCTION onec_internal.report_quality(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.report_table('{Что,Сколько,Что делать}',
									  string_agg(onec_internal.report_row(ARRAY[q.title, q.found::text,
										  q.advice]), '' ORDER BY q.code))
	FROM onec.data_quality q WHERE q.server = $1
$$;
COMMENT ON FUNCTION onec_internal.report_quality(name) IS 'Раздел отчёта: замечания к данным (служебная)';

-- What comes first: the last thirty days against the thirty before.
CREATE FUNCTION onec_internal.report_head(server name, day date) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '<div class="cards">'
		|| string_agg(format('<div><b>%s</b><span>%s</span><em>%s</em></div>', k.value, k.title, k.change),
					  '' ORDER BY k.n) || '</div>'
	FROM (SELECT sum(r.net) FILTER (WHERE r.last) AS net, sum(r.net) FILTER (WHERE NOT r.last) AS net_before,
				 count(*) FILTER (WHERE r.last AND r.is_purchase) AS receipts,
				 count(*) FILTER (WHERE NOT r.last AND r.is_purchase) AS receipts_before,
				 count(DISTINCT r.customer_id) FILTER (WHERE r.last AND r.is_purchase) AS buyers,
				 count(DISTINCT r.customer_id) FILTER (WHERE NOT r.last AND r.is_purchase) AS buyers_before,
				 sum(r.net) FILTER (WHERE r.last AND r.is_purchase) AS sold,
				 sum(r.net) FILTER (WHERE NOT r.last AND r.is_purchase) AS sold_before
		  FROM (SELECT x.*, x.at >= $2 - 29 AS last FROM onec_internal.receipts_till($1, $2 + 1, NULL) x
				WHERE x.at >= $2 - 59) r) t
	CROSS JOIN LATERAL (VALUES
		(1, 'выручка за 30 дней', onec_internal.spaced_number(coalesce(t.net, 0)),
		 onec_internal.report_change(t.net, t.net_before)),
		(2, 'чеков', onec_internal.spaced_number(t.receipts),
		 onec_internal.report_change(t.receipts, t.receipts_before)),
		(3, 'известных покупателей', onec_internal.spaced_number(t.buyers),
		 onec_internal.report_change(t.buyers, t.buyers_before)),
		(4, 'средний чек', onec_internal.spaced_number(t.sold / nullif(t.receipts, 0)),
			onec_internal.report_change(t.sold / nullif(t.receipts, 0),
										t.sold_before / nullif(t.receipts_before, 0)))) k (n, title,
											value, change)
$$;
COMMENT ON FUNCTION onec_internal.report_head(name, date) IS
	'Начало отчёта: последние тридцать дней (служебная)';

-- The looks: one column on a telephone, black on white on paper, dark where the reader's system is.
CREATE FUNCTION onec_internal.report_style() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ':root{color-scheme:light '
		   'dark;--ink:#1d2530;--dim:#66707d;--line:#d9dee5;--back:#fff;--card:#f4f6f9}'
		'@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa5b1;--line:#3a434e;--back:#171c22;'
		'--card:#222932}}'
		'body{margin:0 '
		'auto;padding:16px;max-width:960px;background:var(--back);color:var(--ink);font:15px/1.45 '
		'system-ui,sans-serif}'
		'h1{font-size:24px;margin:8px 0 2px}h2{font-size:18px;margin:32px 0 '
		'2px}.hint,.none,footer{color:var(--dim);font-size:13px;margin:0 0 10px}'
		'.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:14px 0}'
		'.cards div{background:var(--card);border-radius:8px;padding:12px}.cards '
		'b{display:block;font-size:22px}.cards span{color:var(--dim);font-size:13px}'
		'.cards '
		'em{display:block;font-style:normal;font-size:13px}.wide{overflow-x:auto;margin-bottom:10px}'
		'table{border-collapse:collapse;font-size:13px}'
		'th,td{padding:4px 8px;border-bottom:1px solid '
		'var(--line);text-align:right;white-space:nowrap}th:first-child{text-align:left;font-weight:600;'
		'position:sticky;left:0;background:var(--back)}'
		'thead th{color:var(--dim);font-weight:400}#calls :is(th,td):nth-child(3),#quality '
		':is(th,td):nth-child(3),#freshness :is(th,td):nth-child(2),'
		'#orders .wide+.wide :is(th,td):nth-child(4),#stock :is(th,td):nth-child(5)'
		'{text-align:left;white-space:normal;min-width:180px}.heat{text-align:center;min-width:26px}'
		-- the newest months are at the right: there a narrow screen begins
		'#revenue .wide{direction:rtl}svg{direction:ltr;min-width:640px;width:100%;height:auto}'
		'svg line{stroke:var(--line)}.axis{fill:var(--dim);font-size:11px}.mid{text-anchor:middle}.legend '
		'span{display:inline-block;margin-right:14px;font-size:13px}'
		'.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}'
		'.s1{fill:#1f6fb2;background:#1f6fb2}.s2{fill:#e08a2e;background:#e08a2e}.s3{fill:#3a9a6b;'
		'background:#3a9a6b}.s4{fill:#b4478f;background:#b4478f}'
		'.s5{fill:#8a6fd1;background:#8a6fd1}.s6{fill:#8b95a1;background:#8b95a1}'
		'.bars{display:grid;grid-template-columns:minmax(90px,max-content) 1fr max-content;gap:6px '
		'10px;align-items:center;font-size:13px}'
		'.bar{background:var(--card);border-radius:4px;height:14px}.bar '
		'span{display:block;height:14px;border-radius:4px;background:#1f6fb2}.value{text-align:right}'
		'@media(max-width:480px){body{padding:12px}th,td{padding:4px 5px}thead th{white-space:normal}'
		-- names give way, so that the figures beside them are seen
		'#stock th:first-child{white-space:normal;min-width:112px}#stock :is(th,td):nth-child(5),'
		'#orders .wide+.wide :is(th,td):nth-child(4){min-width:84px}.heat{min-width:22px}}'
		'@media print{body{max-width:none;font-size:12px}section{break-inside:avoid}.heat,.bar span,.legend '
		'i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}';
COMMENT ON FUNCTION onec_internal.report_style() IS 'Оформление отчёта (служебная)';

CREATE FUNCTION onec.report(server name DEFAULT NULL, as_of date DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	RETURN format(E'<!DOCTYPE html>\n<html lang="ru">\n<head><meta charset="utf-8"/><meta name="viewport" '
				  'content="width=device-width, initial-scale=1"/>'
				  '<title>Магазин %1$s, %2$s</title><link rel="icon" '
				  'href="data:,"/><style>%3$s</style></head>\n<body>\n<h1>Магазин %1$s</h1>\n<p '
				  'class="hint">На %2$s, по данным 1С</p>\n',
				  onec_internal.html_text(srv), to_char(day, 'DD.MM.YYYY'), onec_internal.report_style())
		|| coalesce(onec_internal.report_head(srv, day), '')
		|| onec_internal.report_section('revenue', 'Выручка по месяцам',
										'За вычетом возвратов, по магазинам.',
										onec_internal.report_revenue(srv, day))
		|| onec_internal.report_section('categories', 'Категории за год', 'Выручка за 365 дней.',
										onec_internal.report_categories(srv, day))
		|| onec_internal.report_section('rfm', 'Давность и частота',
										'Сколько покупателей с каждой парой баллов; чем темнее, тем больше.',
										onec_internal.report_rfm(srv, day))
		|| onec_internal.report_section('cohorts', 'Возвращаются ли покупатели',
										'Процент пришедших снова через столько месяцев после первой покупки.',
										onec_internal.report_cohorts(srv, day))
		|| onec_internal.report_section('calls', 'Кому позвонить',
										'Первые двадцать; полностью — onec.call_list.',
										onec_internal.report_calls(srv, as_of))
		|| onec_internal.report_section('stock', 'Скоро кончится',
										'Чего при продажах последних 30 дней не хватит на две недели; '
										'сначала то, что приносит больше.',
										onec_internal.report_stock(srv, day))
		|| onec_internal.report_section('orders', 'Заказы в работе',
										'Проведены и не завершены; внизу двадцать, чей срок ближе всего.',
										onec_internal.report_orders(srv, day))
		|| onec_internal.report_section('points', 'Сгорают баллы', 'В ближайшие 30 дней.',
										onec_internal.report_points(srv,
											onec_internal.moment_meant(srv, as_of)))
		|| coalesce(onec_internal.report_outbox(srv), '')
		|| onec_internal.report_section('quality', 'Замечания к данным', 'Что стоит исправить в 1С.',
										onec_internal.report_quality(srv))
		|| onec_internal.report_section('freshness', 'Свежесть', 'Последняя синхронизация.',
										onec_internal.report_freshness(srv))
		|| E'<footer>onec_fdw: SELECT onec.report()</footer>\n</body>\n</html>\n';
END $$;
COMMENT ON FUNCTION onec.report(name, date) IS
	'Отчёт о магазине одной страницей HTML: выручка, RFM, когорты, категории, кому позвонить, что скоро '
	'кончится, заказы в работе, сгорающие баллы, свежесть; без сети и сценариев, телефоны скрыты';
REVOKE EXECUTE ON FUNCTION onec.report(name, date) FROM PUBLIC;
