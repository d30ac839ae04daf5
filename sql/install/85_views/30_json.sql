-- The JSON that a site asks for: a customer, the purchases, the profile.

CREATE FUNCTION onec.customer_json(key text, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('phone', u.phone, 'discount_card_id', u.discount_card_id, 'customer_id',
								 u.customer_id, 'name', u.name)
		FROM onec_internal.person_by_key($1, $2) u WHERE u.user_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec.customer_json(text, name) IS 'Покупатель как JSON: телефон, карта, контрагент, имя';

CREATE FUNCTION onec.purchases_json(key text, days int DEFAULT NULL, max_rows int DEFAULT NULL,
									server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT coalesce(
			(SELECT json_agg(json_build_object('date', to_char(l.period, 'YYYY-MM-DD"T"HH24:MI:SS'), 'amount',
											   round(l.amount, 2),
					'quantity', l.quantity, 'product_id', l.product_id, 'document_id', l.receipt_id,
					'store_id', l.store_id))
			 FROM (SELECT s.period, s.amount, s.quantity, s.product_id, s.receipt_id, s.store_id
				   FROM onec_internal.counted_lines(u.server, NULL, ARRAY[u.user_id]) s
				   WHERE (s.period >= s.today - $2) IS NOT FALSE
				   ORDER BY s.period DESC, s.recorder, s.line_no
				   LIMIT $3) l), '[]'::json)
		FROM onec_internal.person_by_key($1, $4) u WHERE u.user_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec.purchases_json(text, int, int, name) IS 'История покупок как JSON, сначала новые';

CREATE FUNCTION onec_internal.statistics_json(server name, customer uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object(
			'total_revenue', round(coalesce(p.total_revenue, 0), 2),
			'total_purchases', CASE WHEN onec.get('check_unit', $1) = 'row' THEN coalesce(p.lines, 0)
									ELSE coalesce(p.receipts, 0) END,
			'average_check', round(p.average_check, 2),
			'favorite_categories', to_json(coalesce(p.favorite_categories, '{}')),
			'purchase_frequency', coalesce(p.purchase_frequency, 'none'),
			'total_items', coalesce(p.total_items, 0), 'purchase_count', coalesce(p.receipts, 0), 'visits',
			coalesce(p.visits, 0),
			'returns_amount', round(coalesce(p.returns_amount, 0), 2),
			'median_check', round(p.median_check, 2),
			'favorite_stores', to_json(coalesce(p.favorite_stores, '{}')),
			'first_purchase', to_char(p.first_purchase, 'YYYY-MM-DD"T"HH24:MI:SS'),
			'last_purchase', to_char(p.last_purchase, 'YYYY-MM-DD"T"HH24:MI:SS'),
			'favorite_brands', to_json(coalesce(p.favorite_brands, '{}')), 'peak_months',
			to_json(coalesce(p.peak_months, '{}')),
			'expected_next', p.expected_next, 'churn_class', p.churn_class, 'rfm', p.rfm, 'rfm_segment',
			p.rfm_segment,
			'p_alive', p.p_alive, 'clv_12m', p.clv_12m)
		FROM (SELECT) x LEFT JOIN onec.customer_360 p ON p.server = $1 AND p.customer_id = $2);
END $$;
COMMENT ON FUNCTION onec_internal.statistics_json(name, uuid) IS 'Статистика покупателя как JSON (служебная)';

CREATE FUNCTION onec.profile_json(key text, days int DEFAULT NULL, max_rows int DEFAULT NULL,
								  server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('phone', u.phone, 'discount_card_id', u.discount_card_id, 'customer_id',
								 u.customer_id, 'name', u.name,
			'purchases', onec.purchases_json(u.user_id::text, $2, $3, u.server),
			'statistics', onec_internal.statistics_json(u.server, u.user_id))
		FROM onec_internal.person_by_key($1, $4) u WHERE u.user_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec.profile_json(text, int, int, name) IS
	'Профиль покупателя как JSON для сайта; ключ — телефон в любом написании, карта или контрагент';
