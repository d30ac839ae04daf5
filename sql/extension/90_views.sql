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
