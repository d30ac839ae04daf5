-- Syncs of a part: one kind of data, some months of purchases, one customer.

CREATE PROCEDURE onec.sync_cards(server name DEFAULT NULL, cards_limit int DEFAULT NULL,
								 force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, cards_limit => cards_limit, steps => '{cards,profiles}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_cards(name, int, boolean) IS 'Прочитать карты и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_cards(name, int, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_counterparties(server name DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{counterparties,profiles}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_counterparties(name, boolean) IS
	'Прочитать контрагентов с контактами и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_counterparties(name, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_products(server name DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{products,stores}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_products(name, boolean) IS 'Прочитать товары, категории и магазины';
REVOKE EXECUTE ON PROCEDURE onec.sync_products(name, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_loyalty(server name DEFAULT NULL, days int DEFAULT NULL,
								   force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, days => days, steps => '{loyalty}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_loyalty(name, int, boolean) IS 'Прочитать бонусные баллы за days дней';
REVOKE EXECUTE ON PROCEDURE onec.sync_loyalty(name, int, boolean) FROM PUBLIC;

-- What onec.sync_purchases has been asked, as a plan.
CREATE FUNCTION onec_internal.plan_of_purchases(server name, days int, "from" date, "to" date, customer text,
												force boolean) RETURNS onec_internal.sync_plan
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	today date := onec.local_now(srv)::date;
	plan onec_internal.sync_plan;
	person onec.site_user;
BEGIN
	PERFORM onec_internal.check_days_and_limit(days, NULL);
	PERFORM onec_internal.check_day_order("from", "to");
	PERFORM onec_internal.check_setup_was_run(srv);
	IF "from" IS NULL AND customer IS NULL THEN
		IF "to" IS NOT NULL THEN
			RAISE invalid_parameter_value USING MESSAGE = '"to" needs "from"',
				HINT = 'Days are read from "from" on, up to "to", which is left out.';
		END IF;
		RETURN onec_internal.plan_of_sync(srv, days, NULL, '{purchases,profiles}', false, false, force);
	END IF;
	IF customer IS NOT NULL THEN
		person := onec_internal.person_by_key(customer, srv);
		IF person.user_id IS NULL THEN
			RAISE no_data_found USING MESSAGE = 'no customer is known by this key',
				HINT = 'Read the cards first: CALL onec.sync_cards().';
		END IF;
	END IF;
	plan := onec_internal.plan_of_steps(srv, NULL, NULL, '{purchases,profiles}', false, force, true, NULL);
	plan.size := 0;
	plan.user_id := person.user_id;
	plan.from_ts := coalesce("from", today - coalesce(days, onec.get('sync.purchase_days', srv)::int));
	plan.till_ts := coalesce("to", today + 1);
	RETURN plan;
END $$;
COMMENT ON FUNCTION onec_internal.plan_of_purchases(name, int, date, date, text, boolean) IS
	'Что делать запуску по параметрам onec.sync_purchases (служебная)';

CREATE PROCEDURE onec.sync_purchases(server name DEFAULT NULL, days int DEFAULT NULL,
									 "from" date DEFAULT NULL, "to" date DEFAULT NULL,
									 customer text DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('sync_purchases');
	END IF;
	COMMIT;
	CALL onec_internal.carry_out(onec_internal.plan_of_purchases(server, days, "from", "to",
		customer, force));
END $$;
COMMENT ON PROCEDURE onec.sync_purchases(name, int, date, date, text, boolean) IS
	'Прочитать покупки: за days дней, за дни с from по to (to не входит) или одного покупателя по телефону, '
	'карте, контрагенту — так дёшево обновить его по запросу';
REVOKE EXECUTE ON PROCEDURE onec.sync_purchases(name, int, date, date, text, boolean) FROM PUBLIC;
