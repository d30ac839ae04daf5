-- Oddities of the data, each counted, with examples and advice.

-- What deserves a look, counted, with some keys and what to do.
CREATE VIEW onec.data_quality AS
	SELECT q.server, q.code, q.title, q.found, q.sample, q.advice
	FROM (
		SELECT u.server, 'Q1' AS code, 'Карты без телефона' AS title, count(*) AS found, (array_agg(u.card_id::text ORDER BY u.card_id))[1:5] AS sample,
			   'Исправьте штрихкод карты в 1С' AS advice
		FROM onec.customer_card u WHERE u.phone IS NULL GROUP BY 1
		UNION ALL
		SELECT d.server, 'Q2', 'Карты без владельца', count(*), (array_agg(d.card_id::text ORDER BY d.card_id))[1:5], 'Укажите владельца карты в 1С'
		FROM onec.discount_card d WHERE d.owner_id IS NULL AND NOT d.is_deleted GROUP BY 1
		UNION ALL
		SELECT u.server, 'Q3', 'Телефон у двух владельцев', count(*), (array_agg(u.user_id::text ORDER BY u.user_id))[1:5], 'Уточните, чей телефон'
		FROM onec.site_user u WHERE u.conflict_phone GROUP BY 1
		UNION ALL
		SELECT x.server, 'Q4', 'Одна покупка у двух регистраторов', count(*), (array_agg(x.recorder ORDER BY x.recorder))[1:5],
			   'Похоже на повторную регистрацию при закрытии смены'
		FROM (SELECT l.server, min(l.recorder::text) AS recorder FROM onec.sale_line l
			  WHERE l.active IS NOT FALSE AND l.customer_id IS NOT NULL AND l.amount > 0
			  GROUP BY l.server, l.customer_id, l.product_id, l.amount, l.period::date HAVING count(DISTINCT l.recorder) > 1) x GROUP BY 1
		UNION ALL
		SELECT l.server, 'Q5', 'Продажи неизвестных товаров', count(*), (array_agg(DISTINCT l.product_id::text))[1:5], 'Опубликуйте товары или проверьте права'
		FROM onec.sale_line l
		WHERE l.product_id IS NOT NULL AND NOT EXISTS (SELECT FROM onec.product p WHERE p.server = l.server AND p.product_id = l.product_id) GROUP BY 1
		UNION ALL
		SELECT l.server, 'Q7', 'Продажи будущей датой', count(*), (array_agg(l.recorder::text ORDER BY l.period DESC))[1:5], 'Проверьте timezone и часы 1С'
		FROM onec._shop w JOIN onec.sale_line l ON l.server = w.server AND l.period > w.now + interval '1 day' GROUP BY 1
		UNION ALL
		SELECT b.server, 'Q8', 'Остаток баллов меньше нуля', count(*), (array_agg(b.card_id::text ORDER BY b.balance))[1:5], 'Проверьте списания'
		FROM onec.loyalty_balance b WHERE b.balance < 0 GROUP BY 1) q;
COMMENT ON VIEW onec.data_quality IS 'Что в данных 1С заслуживает внимания: сколько, примеры, что делать';
COMMENT ON COLUMN onec.data_quality.title IS 'Что найдено';
COMMENT ON COLUMN onec.data_quality.found IS 'Сколько';
COMMENT ON COLUMN onec.data_quality.sample IS 'Примеры: до пяти ключей';
COMMENT ON COLUMN onec.data_quality.advice IS 'Что делать';
