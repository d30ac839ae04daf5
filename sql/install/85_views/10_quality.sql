-- Oddities of the data, each counted, with examples and advice.

CREATE VIEW onec_internal.quality_people AS
	SELECT u.server, 'Q1' AS code, 'Карты без телефона' AS title, count(*) AS found,
		   (array_agg(u.card_id::text ORDER BY u.card_id))[1:5] AS sample,
		   'Исправьте штрихкод карты в 1С' AS advice
	FROM onec.customer_card u WHERE u.phone IS NULL GROUP BY 1
	UNION ALL
	SELECT d.server, 'Q2', 'Карты без владельца', count(*),
		   (array_agg(d.card_id::text ORDER BY d.card_id))[1:5], 'Укажите владельца карты в 1С'
	FROM onec.discount_card d WHERE d.owner_id IS NULL AND NOT d.is_deleted GROUP BY 1
	UNION ALL
	SELECT x.server, 'Q3', 'Телефон у двух владельцев', count(*),
		   (array_agg(x.user_id ORDER BY x.user_id))[1:5], 'Уточните, чей телефон'
	FROM (SELECT k.server, min(k.user_id::text) AS user_id FROM onec.customer_card k
		  WHERE k.phone IS NOT NULL GROUP BY k.server, k.phone
		  HAVING count(DISTINCT k.user_id) > 1) x GROUP BY 1;
COMMENT ON VIEW onec_internal.quality_people IS 'Замечания о картах и пользователях (служебное)';

-- A receipt in the journal and the rows that it has made: returns are positive there and negative here.
CREATE VIEW onec_internal.quality_sales AS
	SELECT x.server, 'Q4' AS code, 'Одна покупка у двух регистраторов' AS title, count(*) AS found,
		   (array_agg(x.recorder ORDER BY x.recorder))[1:5] AS sample,
		   'Похоже на повторную регистрацию при закрытии смены' AS advice
	-- only who has two documents of a day can have one purchase in both
	FROM (SELECT n.server, min(l.recorder::text) AS recorder
		  FROM (SELECT p.server, p.customer_id, p.period::date AS day FROM onec_internal.receipt_part p
				WHERE p.customer_id IS NOT NULL AND p.gross IS NOT NULL
				GROUP BY 1, 2, 3 HAVING count(*) > 1) d
		  JOIN onec_internal.sale_line l ON l.server = d.server AND l.customer_id = d.customer_id
			  AND l.period::date = d.day
		  JOIN onec_internal.server_number n ON n.number = d.server
		  WHERE l.active IS NOT FALSE AND l.amount > 0
		  GROUP BY n.server, l.customer_id, l.product_id, l.amount, d.day
		  HAVING count(DISTINCT l.recorder) > 1) x GROUP BY 1
	UNION ALL
	SELECT n.server, 'Q5', 'Продажи неизвестных товаров', sum(l.lines)::bigint,
		   (array_agg(DISTINCT l.product_id::text))[1:5], 'Опубликуйте товары или проверьте права'
	FROM (SELECT s.server, s.product_id, count(*) AS lines FROM onec_internal.sale_line s
		  WHERE s.product_id IS NOT NULL GROUP BY 1, 2) l
	JOIN onec_internal.server_number n ON n.number = l.server
	WHERE NOT EXISTS (SELECT FROM onec.product p WHERE p.server = n.server AND p.product_id = l.product_id)
	GROUP BY 1
	UNION ALL
	SELECT l.server, 'Q7', 'Продажи будущей датой', count(*),
		   (array_agg(l.recorder::text ORDER BY l.period DESC, l.recorder))[1:5],
		   'Проверьте timezone и часы 1С'
	FROM onec_internal.shop_rules w
	JOIN onec.sale_line l ON l.server = w.server AND l.period > w.now + interval '1 day' GROUP BY 1
	UNION ALL
	SELECT j.server, 'Q6', 'Сумма чека в журнале не равна сумме в регистре', count(*),
		   (array_agg(j.document_id::text ORDER BY j.document_id))[1:5],
		   'Перепроведите чек в 1С или проверьте, кто менял движения'
	FROM onec.receipt_journal j
	LEFT JOIN (SELECT l.server, l.recorder, l.recorder_type, sum(l.amount) AS amount
			   FROM onec.sale_line l WHERE l.register = 'sales' AND l.active IS NOT FALSE GROUP BY 1, 2, 3) l
		ON l.server = j.server AND l.recorder = j.document_id AND l.recorder_type = j.document_type
	WHERE j.posted IS NOT FALSE AND j.deletion_mark IS NOT TRUE AND j.amount IS NOT NULL
	  AND abs(j.amount) <> abs(coalesce(l.amount, 0))
	  AND EXISTS (SELECT FROM onec.sync_state s
				  WHERE s.server = j.server AND s.target = 'sale_line' AND s.complete_from <= j.date)
	GROUP BY 1
	UNION ALL
	-- a month against the three before it
	SELECT a.server, 'Q10', 'Покупок без карты стало заметно больше', a.recent_anonymous,
		   ARRAY[round(100.0 * a.recent_anonymous / a.recent) || ' %',
				 'раньше ' || round(100.0 * a.before_anonymous / a.before) || ' %'],
		   'Спрашивают ли карту на кассе; не пропал ли в 1С покупатель в чеках'
	FROM (SELECT w.server, count(*) FILTER (WHERE l.period >= w.now - interval '30 days') AS recent,
				 count(*) FILTER (WHERE l.period >= w.now - interval '30 days'
								  AND onec_internal.buyer_id(l.attribution, l.person_id) IS NULL)
					 AS recent_anonymous,
				 count(*) FILTER (WHERE l.period < w.now - interval '30 days') AS before,
				 count(*) FILTER (WHERE l.period < w.now - interval '30 days'
								  AND onec_internal.buyer_id(l.attribution, l.person_id) IS NULL)
					 AS before_anonymous
		  FROM onec_internal.shop_rules w
		  JOIN onec_internal.sale_line l ON l.server = w.number
			  AND l.period BETWEEN w.now - interval '120 days' AND w.now
		  WHERE l.active IS NOT FALSE AND l.recorder_type <> ALL (w.excluded_terms) GROUP BY 1) a
	WHERE a.recent >= 100 AND a.before >= 100
	  AND a.recent_anonymous::numeric / a.recent > a.before_anonymous::numeric / a.before + 0.1;
COMMENT ON VIEW onec_internal.quality_sales IS 'Замечания о продажах (служебное)';

CREATE VIEW onec_internal.quality_points AS
	SELECT b.server, 'Q8' AS code, 'Остаток баллов меньше нуля' AS title, count(*) AS found,
		   (array_agg(b.card_id::text ORDER BY b.balance, b.card_id))[1:5] AS sample,
		   'Проверьте списания' AS advice
	FROM onec.loyalty_balance b WHERE b.balance < 0 GROUP BY 1
	UNION ALL
	SELECT x.server, 'Q9', 'Начисления баллов не равны движениям', count(*),
		   (array_agg(x.card_id::text ORDER BY x.card_id))[1:5],
		   'Начисления и движения баллов в 1С разошлись: сверьте документы начисления'
	FROM (SELECT coalesce(o.server, m.server) AS server, coalesce(o.card_id, m.card_id) AS card_id
		  FROM (SELECT l.server, l.card_id, sum(l.amount) AS points FROM onec.loyalty_lot l
				WHERE l.active IS NOT FALSE GROUP BY 1, 2) o
		  FULL JOIN (SELECT l.server, l.card_id, sum(l.accrued) AS points FROM onec.loyalty_movement l
					 WHERE l.active IS NOT FALSE AND l.kind = 'Receipt'
					 GROUP BY 1, 2) m ON m.server = o.server AND m.card_id = o.card_id
		  WHERE coalesce(o.points, 0) <> coalesce(m.points, 0)) x
	-- a base that keeps no lots has nothing to compare
	WHERE EXISTS (SELECT FROM onec.loyalty_lot l WHERE l.server = x.server) GROUP BY 1;
COMMENT ON VIEW onec_internal.quality_points IS 'Замечания о баллах (служебное)';

-- What readings left in doubt.
CREATE VIEW onec_internal.quality_reading AS
	SELECT d.server, CASE d.kind WHEN 'unproven' THEN 'Q11' WHEN 'twice' THEN 'Q12' ELSE 'Q13' END AS code,
		   CASE d.kind WHEN 'unproven' THEN 'Удаление в 1С не доказано: строки оставлены'
					   WHEN 'twice' THEN 'Разные строки с одним ключом'
					   ELSE 'У части строк не было свойства: прежние значения оставлены' END AS title,
		   sum(d.found)::bigint AS found, (array_agg(DISTINCT d.target || ': ' || d.reason))[1:5] AS sample,
		   CASE d.kind WHEN 'unproven'
				THEN 'Следующий запуск попробует снова; если набор и вправду пуст, '
					 'вызовите onec.sync(force => true)'
					   WHEN 'twice' THEN
						   'Ключ в 1С не единственный: проверьте набор; строки сохранены под номерами copy'
					   ELSE 'Следующий запуск прочитает снова; если свойства и '
							'вправду нет, помогает onec.setup' END AS advice
	FROM onec_internal.sync_doubt d GROUP BY d.server, d.kind;
COMMENT ON VIEW onec_internal.quality_reading IS 'Замечания о чтении (служебное)';
COMMENT ON COLUMN onec_internal.quality_reading.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_reading.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_reading.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_reading.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_reading.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_reading.advice IS 'Что делать';

CREATE VIEW onec.data_quality AS
	SELECT q.server, q.code, q.title, q.found, q.sample, q.advice FROM onec_internal.quality_people q
	UNION ALL SELECT q.server, q.code, q.title, q.found, q.sample, q.advice FROM onec_internal.quality_sales q
	UNION ALL SELECT q.server, q.code, q.title, q.found, q.sample, q.advice
	FROM onec_internal.quality_points q
	UNION ALL SELECT q.server, q.code, q.title, q.found, q.sample, q.advice
	FROM onec_internal.quality_reading q;
COMMENT ON VIEW onec.data_quality IS 'Что в данных 1С заслуживает внимания: сколько, примеры, что делать';
COMMENT ON COLUMN onec.data_quality.title IS 'Что найдено';
COMMENT ON COLUMN onec.data_quality.found IS 'Сколько';
COMMENT ON COLUMN onec.data_quality.sample IS 'Примеры: до пяти ключей';
COMMENT ON COLUMN onec.data_quality.advice IS 'Что делать';
COMMENT ON COLUMN onec.data_quality.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.data_quality.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_people.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_people.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_people.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_people.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_people.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_people.advice IS 'Что делать';
COMMENT ON COLUMN onec_internal.quality_sales.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_sales.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_sales.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_sales.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_sales.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_sales.advice IS 'Что делать';
COMMENT ON COLUMN onec_internal.quality_points.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.quality_points.code IS 'Правило';
COMMENT ON COLUMN onec_internal.quality_points.title IS 'Что найдено';
COMMENT ON COLUMN onec_internal.quality_points.found IS 'Сколько';
COMMENT ON COLUMN onec_internal.quality_points.sample IS 'Примеры';
COMMENT ON COLUMN onec_internal.quality_points.advice IS 'Что делать';
