-- Syncs of a part: one kind of data, some months of purchases, one customer.

CREATE PROCEDURE onec.sync_cards(server name DEFAULT NULL, cards_limit int DEFAULT NULL, force boolean DEFAULT false)
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
COMMENT ON PROCEDURE onec.sync_counterparties(name, boolean) IS 'Прочитать контрагентов с контактами и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_counterparties(name, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_products(server name DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{products,stores}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_products(name, boolean) IS 'Прочитать товары, категории и магазины';
REVOKE EXECUTE ON PROCEDURE onec.sync_products(name, boolean) FROM PUBLIC;

CREATE PROCEDURE onec.sync_loyalty(server name DEFAULT NULL, days int DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, days => days, steps => '{loyalty}', force => force);
END $$;
COMMENT ON PROCEDURE onec.sync_loyalty(name, int, boolean) IS 'Прочитать бонусные баллы за days дней';
REVOKE EXECUTE ON PROCEDURE onec.sync_loyalty(name, int, boolean) FROM PUBLIC;

-- What of a table concerns a person: rows with their cards, or with them as the buyer.  References are written
-- without a type, to be compared as the column is: one of several types is text.
CREATE FUNCTION onec._purchases_of(server name, target text, person uuid) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws(' OR ',
		(SELECT 'customer_id = ' || quote_literal(u.customer_id) FROM onec.site_user u
		 WHERE u.server = $1 AND u.user_id = $3 AND 'customer_id' = ANY (t.asked_by) AND onec._publishes($1, $2, 'customer_id')),
		(SELECT 'card_id IN (' || string_agg(quote_literal(c.card_id), ', ' ORDER BY c.card_id) || ')' FROM onec.customer_card c
		 WHERE c.server = $1 AND c.user_id = $3 AND 'card_id' = ANY (t.asked_by) AND onec._publishes($1, $2, 'card_id'))), '')
	FROM onec.target t WHERE t.target = $2
$$;
COMMENT ON FUNCTION onec._purchases_of(name, text, uuid) IS 'Условие: покупки одного человека; NULL — такого условия нет (служебная)';

-- Purchases of a person that only the register of card sales tells of: their documents are read by the moment they stand at.
-- What is here already was attributed when the card sales came.
CREATE FUNCTION onec._sync_carded(server name, person uuid, from_ts timestamp, till_ts timestamp,
								  OUT read bigint, OUT inserted bigint, OUT updated bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moments text := (
		SELECT string_agg(DISTINCT quote_literal(l.period) || '::timestamp', ', ') FROM onec.card_sale_line l
		JOIN onec.customer_card k ON k.server = l.server AND k.card_id = l.card_id AND k.user_id = person
		WHERE l.server = _sync_carded.server AND l.period >= from_ts AND l.period < till_ts
		  AND NOT EXISTS (SELECT FROM onec.sale_line s WHERE s.server = l.server AND s.register = 'sales' AND s.recorder = l.recorder
						  AND s.recorder_type = l.recorder_type));
BEGIN
	read := 0;
	inserted := 0;
	updated := 0;
	IF moments IS NOT NULL THEN
		SELECT w.read, w.inserted, w.updated INTO read, inserted, updated
		FROM onec._sync_scope(server, 'sale_line', format('period IN (%s)', moments), NULL, NULL, NULL, false, NULL) w;
	END IF;
END $$;
COMMENT ON FUNCTION onec._sync_carded(name, uuid, timestamp, timestamp) IS
	'Прочитать покупки человека, известные только по регистру продаж по картам (служебная)';
REVOKE EXECUTE ON FUNCTION onec._sync_carded(name, uuid, timestamp, timestamp) FROM PUBLIC;

-- What onec.sync_purchases has been asked, as a plan.
CREATE FUNCTION onec._plan_of_part(server name, days int, "from" date, "to" date, customer text, force boolean) RETURNS onec._plan
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec._live_server(server);
	today date := onec.local_now(srv)::date;
	plan onec._plan;
	person onec.site_user;
BEGIN
	PERFORM onec._check_numbers(days, NULL);
	PERFORM onec._check_dates("from", "to");
	PERFORM onec._check_published(srv);
	IF "from" IS NULL AND customer IS NULL THEN
		IF "to" IS NOT NULL THEN
			RAISE invalid_parameter_value USING MESSAGE = '"to" needs "from"', HINT = 'Days are read from "from" on, up to "to", which is left out.';
		END IF;
		RETURN onec._plan_of_sync(srv, days, NULL, '{purchases,profiles}', false, false, force);
	END IF;
	IF customer IS NOT NULL THEN
		person := onec._person(customer, srv);
		IF person.user_id IS NULL THEN
			RAISE no_data_found USING MESSAGE = 'no customer is known by this key', HINT = 'Read the cards first: CALL onec.sync_cards().';
		END IF;
	END IF;
	plan := onec._plan_of(srv, NULL, NULL, '{purchases,profiles}', false, force, true, NULL);
	plan.size := 0;
	plan.user_id := person.user_id;
	plan.from_ts := coalesce("from", today - coalesce(days, onec.get('sync.purchase_days', srv)::int));
	plan.till_ts := coalesce("to", today + 1);
	RETURN plan;
END $$;
COMMENT ON FUNCTION onec._plan_of_part(name, int, date, date, text, boolean) IS 'Что делать запуску по параметрам onec.sync_purchases (служебная)';

CREATE PROCEDURE onec.sync_purchases(server name DEFAULT NULL, days int DEFAULT NULL, "from" date DEFAULT NULL, "to" date DEFAULT NULL,
									 customer text DEFAULT NULL, force boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec._in_transaction_block() THEN
		PERFORM onec._refuse_block('sync_purchases');
	END IF;
	COMMIT;
	CALL onec._sync(onec._plan_of_part(server, days, "from", "to", customer, force));
END $$;
COMMENT ON PROCEDURE onec.sync_purchases(name, int, date, date, text, boolean) IS
	'Прочитать покупки: за days дней, за дни с from по to (to не входит) или одного покупателя по телефону, карте, контрагенту — так дёшево обновить его по запросу';
REVOKE EXECUTE ON PROCEDURE onec.sync_purchases(name, int, date, date, text, boolean) FROM PUBLIC;
