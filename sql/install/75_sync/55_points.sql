-- Which of the readings of the register of points 1C itself agrees with, and the cards that it does not.

-- The balances that 1C itself has, card by card, beside those here.
CREATE FUNCTION onec.check_loyalty(server name DEFAULT NULL)
	RETURNS TABLE (card_id uuid, balance_1c numeric, signed numeric, unsigned numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	-- to the second, as 1C counts
	moment timestamp := date_trunc('second', onec.local_now(srv));
BEGIN
	IF to_regclass(format('%I.loyalty_now', srv)) IS NULL THEN
		RAISE undefined_table USING
			MESSAGE = format('server "%s" has no foreign table of balances', srv),
			HINT = format('Run SELECT * FROM onec.setup(%L); without a register of '
						  'bonus points there is none.', srv);
	END IF;
	RETURN QUERY EXECUTE format('
		SELECT coalesce(b.card_id, s.card_id), coalesce(b.balance, 0), coalesce(s.points, 0),
			   coalesce(s.unsigned, 0)
		FROM (SELECT f.card_id, sum(coalesce(f.accrued, 0) - coalesce(f.spent, 0)) AS balance
			  FROM %I.loyalty_now f WHERE f.period_arg = %L::timestamp GROUP BY 1) b
		FULL JOIN (SELECT m.card_id, sum(onec_internal.movement_points(m.kind, m.accrued, m.spent,
			''signed'')) AS points,
						  sum(onec_internal.movement_points(m.kind, m.accrued, m.spent,
															''unsigned'')) AS unsigned
				   FROM onec.loyalty_movement m
				   WHERE m.server = %3$L AND m.active IS NOT FALSE AND m.period < %2$L::timestamp
				   GROUP BY 1) s ON s.card_id = b.card_id
		ORDER BY 1', srv, moment, srv);
END $$;
COMMENT ON FUNCTION onec.check_loyalty(name) IS
	'Сверка остатков баллов по картам с остатками самой 1С; одним запросом к ней';
REVOKE EXECUTE ON FUNCTION onec.check_loyalty(name) FROM PUBLIC;

CREATE FUNCTION onec.choose_loyalty_rule(server name DEFAULT NULL) RETURNS onec.loyalty_rule
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	chosen onec.loyalty_rule;
	by_sign int := 0;
	by_column int := 0;
	code text;
	detail text;
	context text;
BEGIN
	chosen := ROW(srv, 'signed', 0, 0, NULL, clock_timestamp());
	BEGIN
		SELECT count(*), count(*) FILTER (WHERE c.balance_1c = c.signed),
			   count(*) FILTER (WHERE c.balance_1c = c.unsigned)
		INTO chosen.cards, by_sign, by_column FROM onec.check_loyalty(srv) c;
	EXCEPTION WHEN fdw_error OR fdw_unable_to_create_reply OR fdw_column_name_not_found OR fdw_table_not_found
		OR insufficient_privilege OR undefined_table THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL,
		context = PG_EXCEPTION_CONTEXT;
		chosen.message := onec_internal.message_without_values(code, SQLERRM, detail, context);
	END;
	-- where 1C says nothing, rows that are neither receipt nor expense belong to a register that has no sign
	IF by_column > by_sign OR chosen.cards = 0
		AND EXISTS (SELECT FROM onec.loyalty_movement m WHERE m.server = srv)
		AND NOT EXISTS (SELECT FROM onec.loyalty_movement m
						WHERE m.server = srv AND m.kind IN ('Receipt', 'Expense')) THEN
		chosen.rule := 'unsigned';
	END IF;
	chosen.agree := greatest(by_sign, by_column);
	INSERT INTO onec.loyalty_rule AS r VALUES (chosen.*)
	ON CONFLICT ON CONSTRAINT loyalty_rule_pkey DO UPDATE
		SET rule = excluded.rule, cards = excluded.cards, agree = excluded.agree, message = excluded.message,
			checked_at = excluded.checked_at
		WHERE ROW(r.rule, r.cards, r.agree, r.message) IS DISTINCT FROM ROW(excluded.rule, excluded.cards,
			excluded.agree, excluded.message);
	RETURN chosen;
END $$;
COMMENT ON FUNCTION onec.choose_loyalty_rule(name) IS
	'Выбрать правило сложения баллов, сходящееся с остатками 1С, и записать в '
	'onec.loyalty_rule; так делает полное чтение';
REVOKE EXECUTE ON FUNCTION onec.choose_loyalty_rule(name) FROM PUBLIC;

-- After the movements are read: the rule, where it is not known or everything was read; and at night the
-- balances.  Movements of days that no run reads again (a document deleted or dated back) show in 1C's own
-- balances: of the cards that differ all movements are read.  Cards by the thousand do not differ for that
-- reason, and are left to the full reading.
CREATE FUNCTION onec_internal.check_points_with_1c(plan onec_internal.sync_plan,
												   s onec.sync_step) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cards text;
	did record;
BEGIN
	IF s.days IS NULL OR NOT EXISTS (SELECT FROM onec.loyalty_rule r WHERE r.server = plan.server) THEN
		PERFORM onec.choose_loyalty_rule(plan.server);
	END IF;
	IF NOT plan.deep OR to_regclass(format('%I.loyalty_now', plan.server)) IS NULL THEN
		RETURN;
	END IF;
	BEGIN
		SELECT string_agg(quote_literal(c.card_id), ', ') FILTER (WHERE c.card_id IS NOT NULL) INTO cards
		FROM onec.check_loyalty(plan.server) c
		WHERE c.balance_1c <> CASE onec_internal.loyalty_rule_in_force(plan.server)
								   WHEN 'unsigned' THEN c.unsigned ELSE c.signed END
		HAVING count(*) <= 1000;
	EXCEPTION WHEN fdw_error OR fdw_unable_to_create_reply OR fdw_column_name_not_found OR fdw_table_not_found
		OR insufficient_privilege THEN
		-- 1C gives no balances
		RETURN;
	END;
	IF cards IS NOT NULL THEN
		SELECT * INTO did FROM onec_internal.sync_part_of_table(plan.server, 'loyalty_movement',
																format('card_id IN (%s)', cards),
																format('card_id IN (%s)', cards), NULL, NULL,
																false, NULL);
		UPDATE onec.sync_step t
		SET rows_read = t.rows_read + did.read, rows_inserted = t.rows_inserted + did.inserted,
			rows_updated = t.rows_updated + did.updated,
			rows_deleted = t.rows_deleted + did.deleted
		WHERE t.server = s.server AND t.run_id = s.run_id AND t.ordinal = s.ordinal;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_points_with_1c(onec_internal.sync_plan, onec.sync_step) IS
	'Сверить баллы с остатками 1С и перечитать разошедшиеся карты (служебная)';
