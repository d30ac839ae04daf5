-- Bonus points: what a card has, and what it is about to lose.

CREATE FUNCTION onec_internal.card_points(server name, at timestamp)
	RETURNS TABLE (card_id uuid, balance numeric, expires_next_at timestamp, expires_next_amount numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.card_id, coalesce(sum(p.points) FILTER (WHERE p.period IS NULL), 0),
			   min(p.period) FILTER (WHERE p.points < 0),
			   (array_agg(-p.points ORDER BY p.period)
				FILTER (WHERE p.period IS NOT NULL AND p.points < 0))[1]
		FROM onec_internal.points_ahead($1, $2, NULL) p GROUP BY 1;
	END;
COMMENT ON FUNCTION onec_internal.card_points(name, timestamp) IS
	'Остатки баллов по картам на момент и ближайшее сгорание (служебная)';

CREATE FUNCTION onec.loyalty_balance_at(server name DEFAULT NULL, at timestamp DEFAULT NULL)
	RETURNS TABLE (card_id uuid, balance numeric, source text, expires_next_at timestamp,
				   expires_next_amount numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT b.card_id, b.balance, s.points_rule, b.expires_next_at, b.expires_next_amount
	FROM onec_internal.shop_rules s
	CROSS JOIN LATERAL onec_internal.card_points(s.server, coalesce($2, s.now)) b
	WHERE s.server = onec_internal.server_meant($1) AND s.has_loyalty
$$;
COMMENT ON FUNCTION onec.loyalty_balance_at(name, timestamp) IS
	'Остатки баллов по картам на момент местного времени (сейчас), когда и сколько сгорит в ближайший раз; '
	'source — правило сложения';

CREATE VIEW onec.loyalty_balance AS
	SELECT w.server, b.card_id, c.customer_id, b.balance, b.expires_next_at, b.expires_next_amount,
		   w.points_rule AS source, onec.moment(w.server, b.expires_next_at) AS expires_next_at_tz
	FROM onec_internal.shop_rules w CROSS JOIN LATERAL onec_internal.card_points(w.server, w.now) b
	LEFT JOIN onec.customer_card c ON c.server = w.server AND c.card_id = b.card_id
	WHERE w.has_loyalty;
COMMENT ON VIEW onec.loyalty_balance IS 'Остатки бонусных баллов по картам на сейчас';
COMMENT ON COLUMN onec.loyalty_balance.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.loyalty_balance.card_id IS 'Карта';
COMMENT ON COLUMN onec.loyalty_balance.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.loyalty_balance.balance IS 'Баллов сейчас';
COMMENT ON COLUMN onec.loyalty_balance.expires_next_at IS 'Когда сгорят ближайшие';
COMMENT ON COLUMN onec.loyalty_balance.expires_next_amount IS 'Сколько их сгорит';
COMMENT ON COLUMN onec.loyalty_balance.source IS 'Правило сложения: signed или unsigned';
