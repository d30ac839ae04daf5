-- Views for people: names beside identifiers, one flat row for each customer.

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

CREATE VIEW onec.customer_360 AS
	SELECT p.*, u.phone, u.name, u.email, u.discount_card_id, u.is_active,
		   w.now::date - p.last_purchase::date AS days_since,
		   p.last_purchase::date - p.first_purchase::date AS tenure_days,
		   (SELECT count(*) FROM onec.customer_card c WHERE c.server = p.server AND c.user_id = p.customer_id) AS cards
	FROM onec._shop w JOIN onec.customer_profile p ON p.server = w.server
	LEFT JOIN onec.site_user u ON u.server = p.server AND u.user_id = p.customer_id;
COMMENT ON VIEW onec.customer_360 IS 'Всё о покупателе одной строкой';
