-- Views for people: names beside identifiers, one flat row for each customer.

-- What the views need to know of each server, worked out once for a query.
CREATE VIEW onec._shop AS
	SELECT s.srvname AS server, onec.local_now(s.srvname) AS now,
		   onec.get('exclude_recorder_types', s.srvname)::text[] AS excluded,
		   onec.get('loyalty.enabled', s.srvname)::boolean AS has_loyalty
	FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'onec_fdw'
	OFFSET 0;
COMMENT ON VIEW onec._shop IS 'Часы и настройки серверов (служебное)';

CREATE VIEW onec.purchase AS
	SELECT l.server, l.period, l.customer_id, u.name AS customer, u.phone, l.card_id, l.product_id, p.name AS product,
		   c.name AS category, l.store_id, s.name AS store, l.document_id, l.document_type, l.recorder, l.recorder_type, l.line_no,
		   l.quantity, l.amount, l.cost, l.active, l.attribution
	FROM onec.sale_line l
	LEFT JOIN onec.product p ON p.server = l.server AND p.product_id = l.product_id
	LEFT JOIN onec.category c ON c.server = p.server AND c.category_id = p.category_id
	LEFT JOIN onec.store s ON s.server = l.server AND s.store_id = l.store_id
	LEFT JOIN onec.site_user u ON u.server = l.server AND u.user_id = l.customer_id;
COMMENT ON VIEW onec.purchase IS 'Строки продаж с названиями товара, магазина и покупателя';

CREATE VIEW onec.receipt AS
	SELECT l.server, coalesce(l.document_id, l.recorder) AS receipt_id, l.customer_id, min(l.period) AS period,
		   sum(l.amount) AS net, sum(l.amount) FILTER (WHERE l.amount > 0) AS gross,
		   sum(l.amount) FILTER (WHERE l.amount < 0) AS returned, count(*) AS lines, sum(l.quantity) AS items
	FROM onec._shop w JOIN onec.sale_line l ON l.server = w.server
	WHERE l.active IS NOT FALSE AND l.recorder_type <> ALL (w.excluded)
	GROUP BY 1, 2, 3;
COMMENT ON VIEW onec.receipt IS 'Чеки: документ и покупатель';

CREATE VIEW onec.loyalty_balance AS
	SELECT m.server, m.card_id, c.customer_id,
		   sum(CASE m.kind WHEN 'Expense' THEN -1 ELSE 1 END * (coalesce(m.accrued, 0) - coalesce(m.spent, 0)))
			   FILTER (WHERE m.period <= w.now) AS balance,
		   min(m.period) FILTER (WHERE m.period > w.now) AS expires_next_at
	FROM onec._shop w JOIN onec.loyalty_movement m ON m.server = w.server
	LEFT JOIN onec.customer_card c ON c.server = m.server AND c.card_id = m.card_id
	WHERE m.active IS NOT FALSE AND w.has_loyalty
	GROUP BY 1, 2, 3;
COMMENT ON VIEW onec.loyalty_balance IS 'Остатки бонусных баллов по картам на сейчас';

CREATE VIEW onec.customer_360 AS
	SELECT p.*, u.phone, u.name, u.email, u.discount_card_id, u.is_active,
		   w.now::date - p.last_purchase::date AS days_since,
		   p.last_purchase::date - p.first_purchase::date AS tenure_days,
		   (SELECT count(*) FROM onec.customer_card c WHERE c.server = p.server AND c.user_id = p.customer_id) AS cards
	FROM onec._shop w JOIN onec.customer_profile p ON p.server = w.server
	LEFT JOIN onec.site_user u ON u.server = p.server AND u.user_id = p.customer_id;
COMMENT ON VIEW onec.customer_360 IS 'Всё о покупателе одной строкой';

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

CREATE VIEW onec.site_user_masked AS
	SELECT u.server, u.user_id, u.customer_id, left(u.phone, 4) || repeat('*', greatest(length(u.phone) - 6, 0)) || right(u.phone, 2) AS phone,
		   left(u.name, 1) || '***' AS name, u.is_active
	FROM onec.site_user u;
COMMENT ON VIEW onec.site_user_masked IS 'Пользователи без телефонов и имён: для аналитиков';

-- Roles are the owner's to make; this gives one of them what an analyst reads.
CREATE FUNCTION onec.grant_reader(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA onec TO %s', role);
END $$;
COMMENT ON FUNCTION onec.grant_reader(regrole) IS 'Дать роли право читать таблицы и представления магазина';
REVOKE EXECUTE ON FUNCTION onec.grant_reader(regrole) FROM PUBLIC;
