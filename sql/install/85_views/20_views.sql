-- Views for people: names beside identifiers, one flat row for each customer.

CREATE VIEW onec.purchase AS
	SELECT l.server, l.period, l.customer_id, u.name AS customer, u.phone, l.card_id, l.product_id,
		   p.name AS product, p.category,
		   l.store_id, s.name AS store, l.document_id, l.document_type, l.recorder,
		   l.recorder_type, l.line_no,
		   l.quantity, l.amount, l.cost, l.attribution, onec.moment(l.server, l.period) AS period_tz
	FROM onec_internal.counted_line l
	LEFT JOIN onec_internal.product_with_category p ON p.server = l.server AND p.product_id = l.product_id
	LEFT JOIN onec.store s ON s.server = l.server AND s.store_id = l.store_id
	LEFT JOIN onec.site_user u ON u.server = l.server AND u.user_id = l.customer_id
	WHERE onec_internal.is_dated_before(l.period, l.today + 1);
COMMENT ON VIEW onec.purchase IS
	'Учитываемые строки продаж (все прочие — в onec.sale_line) с названиями товара, магазина и покупателя';
COMMENT ON COLUMN onec.purchase.customer IS 'Покупатель';
COMMENT ON COLUMN onec.purchase.product IS 'Товар';
COMMENT ON COLUMN onec.purchase.category IS 'Категория';
COMMENT ON COLUMN onec.purchase.store IS 'Магазин';

CREATE VIEW onec.receipt AS
	SELECT s.server, r.receipt_id, r.customer_id, r.at AS period, r.net, r.gross, r.returned, r.lines,
		   r.items, r.is_purchase, onec.moment(s.server, r.at) AS period_tz
	FROM onec_internal.known_servers s CROSS JOIN LATERAL onec_internal.kept_receipts(s.server, NULL) r;
COMMENT ON VIEW onec.receipt IS 'Чеки: документ и покупатель';
COMMENT ON COLUMN onec.receipt.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта; пусто — неизвестен';
COMMENT ON COLUMN onec.receipt.period IS 'Дата и время первой строки, местные для базы 1С';
COMMENT ON COLUMN onec.receipt.receipt_id IS 'Документ покупки';
COMMENT ON COLUMN onec.receipt.is_purchase IS
	'Это покупка: продано, и вернули не всё; или отдано даром, и это считается';
COMMENT ON COLUMN onec.receipt.net IS 'Сумма за вычетом возвратов';
COMMENT ON COLUMN onec.receipt.gross IS 'Продано';
COMMENT ON COLUMN onec.receipt.returned IS 'Возвращено, меньше нуля';
COMMENT ON COLUMN onec.receipt.lines IS 'Строк';
COMMENT ON COLUMN onec.receipt.items IS 'Штук';

CREATE VIEW onec.customer_360 AS
	SELECT p.*, u.phone, u.name, u.email, u.discount_card_id, u.is_active,
		   w.today - p.last_purchase::date AS days_since,
		   p.last_purchase::date - p.first_purchase::date AS tenure_days,
		   (SELECT count(*) FROM onec.customer_card c
			WHERE c.server = p.server AND c.user_id = p.customer_id) AS cards,
		   r.r_score, r.f_score, r.m_score, r.rfm, r.segment AS rfm_segment, r.segment_title AS rfm_title,
		   o.gap AS usual_gap, o.expected_next, o.window_from, o.window_to,
		   round((w.today - o.last_visit) / nullif(o.gap, 0), 2) AS overdue_ratio,
		   onec_internal.churn_class_of(w.today - o.last_visit, o.gap, o.visits) AS churn_class,
		   o.month_index, o.peak_months,
		   o.favorite_brands, o.category_diversity, v.p_alive, v.churn_risk, v.expected_12m,
		   v.expected_spend, v.clv_12m, onec.moment(p.server, p.first_purchase) AS first_purchase_tz,
		   onec.moment(p.server, p.last_purchase) AS last_purchase_tz
	FROM onec_internal.shop_rules w JOIN onec.customer_profile p ON p.server = w.server
	LEFT JOIN onec.site_user u ON u.server = p.server AND u.user_id = p.customer_id
	LEFT JOIN onec.customer_rfm r ON r.server = p.server AND r.customer_id = p.customer_id
	LEFT JOIN onec.customer_outlook o ON o.server = p.server AND o.customer_id = p.customer_id
	LEFT JOIN onec.customer_value v ON v.server = p.server AND v.customer_id = p.customer_id;
COMMENT ON VIEW onec.customer_360 IS 'Всё о покупателе одной строкой';
COMMENT ON COLUMN onec.customer_360.days_since IS 'Дней с последней покупки на сегодня';
COMMENT ON COLUMN onec.customer_360.tenure_days IS 'Дней от первой покупки до последней';
COMMENT ON COLUMN onec.customer_360.cards IS 'Карт у покупателя';
COMMENT ON COLUMN onec.customer_360.rfm_segment IS 'Код сегмента RFM';
COMMENT ON COLUMN onec.customer_360.rfm_title IS 'Сегмент RFM по-русски';
COMMENT ON COLUMN onec.customer_360.usual_gap IS 'Обычный промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_360.overdue_ratio IS 'Сколько обычных промежутков прошло на сегодня';
COMMENT ON COLUMN onec.customer_360.churn_class IS
	'Класс оттока на сегодня: active, due, at_risk, lapsed, lost; у купивших один раз — single_*';
