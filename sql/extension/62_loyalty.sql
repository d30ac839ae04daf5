-- Bonus points: what a card has now, what it is about to lose.

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
COMMENT ON COLUMN onec.loyalty_balance.balance IS 'Баллов сейчас';
COMMENT ON COLUMN onec.loyalty_balance.expires_next_at IS 'Когда сгорят ближайшие';
