-- Syncs of a part: one kind of data, some months of purchases, one customer.

CREATE PROCEDURE onec.sync_cards(server name DEFAULT NULL, cards_limit int DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, cards_limit => cards_limit, steps => '{cards,profiles}');
END $$;
COMMENT ON PROCEDURE onec.sync_cards(name, int) IS 'Прочитать карты и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_cards(name, int) FROM PUBLIC;

CREATE PROCEDURE onec.sync_counterparties(server name DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{counterparties,profiles}');
END $$;
COMMENT ON PROCEDURE onec.sync_counterparties(name) IS 'Прочитать контрагентов с контактами и обновить пользователей';
REVOKE EXECUTE ON PROCEDURE onec.sync_counterparties(name) FROM PUBLIC;

CREATE PROCEDURE onec.sync_products(server name DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, steps => '{products,stores}');
END $$;
COMMENT ON PROCEDURE onec.sync_products(name) IS 'Прочитать товары, категории и магазины';
REVOKE EXECUTE ON PROCEDURE onec.sync_products(name) FROM PUBLIC;

CREATE PROCEDURE onec.sync_loyalty(server name DEFAULT NULL, days int DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	CALL onec.sync(server, days => days, steps => '{loyalty}');
END $$;
COMMENT ON PROCEDURE onec.sync_loyalty(name, int) IS 'Прочитать бонусные баллы за days дней';
REVOKE EXECUTE ON PROCEDURE onec.sync_loyalty(name, int) FROM PUBLIC;

-- What of a table of purchases concerns a customer.
CREATE FUNCTION onec._purchases_of(target text, customer onec.site_user) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE $1
		WHEN 'card_sale_line' THEN
			(SELECT 'card_id IN (' || string_agg(quote_literal(c.card_id) || '::uuid', ', ' ORDER BY c.card_id) || ')' FROM onec.customer_card c
			 WHERE c.server = ($2).server AND c.user_id = ($2).user_id)
		WHEN 'sale_line' THEN 'customer_id = ' || quote_literal(($2).customer_id) || '::uuid' END
$$;
COMMENT ON FUNCTION onec._purchases_of(text, onec.site_user) IS 'Условие: покупки одного человека; NULL — такого условия нет (служебная)';

-- The months of a range, or one range of one customer, in a run of its own.
CREATE PROCEDURE onec._sync_part(server name, from_ts timestamp, till_ts timestamp, customer onec.site_user)
	LANGUAGE plpgsql
AS $$
DECLARE
	run bigint := onec._begin_run(server, NULL, '{purchases,profiles}');
	s record;
	w record;
	part_of text;
	good boolean;
	asked bigint[];
BEGIN
	COMMIT;
	IF run IS NULL THEN
		RAISE NOTICE USING MESSAGE = pg_catalog.format('sync of "%s" skipped (busy): another run is at work', server);
		RETURN;
	END IF;
	FOR s IN SELECT t.ordinal, t.target FROM onec._steps('{purchases,profiles}') t
			 WHERE t.target = 'customer_profile' OR pg_catalog.to_regclass(pg_catalog.format('%I.%I', server, t.target)) IS NOT NULL
				AND (customer.user_id IS NULL OR onec._purchases_of(t.target, customer) IS NOT NULL) LOOP
		asked := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec._totals() t);
		part_of := onec._purchases_of(s.target, customer);
		good := true;
		UPDATE onec.sync_step t SET status = 'running', started_at = pg_catalog.clock_timestamp()
		WHERE t.server = _sync_part.server AND t.run_id = run AND t.ordinal = s.ordinal;
		FOR w IN SELECT greatest(m, from_ts) AS from_ts, least(m + interval '1 month', till_ts) AS till_ts
				 FROM pg_catalog.generate_series(pg_catalog.date_trunc('month', from_ts), till_ts - interval '1 second', interval '1 month') m
				 WHERE s.target <> 'customer_profile' AND customer.user_id IS NULL
				 UNION ALL SELECT from_ts, till_ts WHERE s.target <> 'customer_profile' AND customer.user_id IS NOT NULL
				 UNION ALL SELECT NULL, NULL WHERE s.target = 'customer_profile' ORDER BY 1 LOOP
			good := onec._run_window(server, run, s.ordinal, s.target, w.from_ts, w.till_ts, 0, part_of);
			asked := onec._account_requests(server, run, s.ordinal, asked);
			COMMIT;
			EXIT WHEN NOT good;
		END LOOP;
		UPDATE onec.sync_step t SET status = 'ok', finished_at = pg_catalog.clock_timestamp()
		WHERE good AND t.server = _sync_part.server AND t.run_id = run AND t.ordinal = s.ordinal;
		COMMIT;
	END LOOP;
	DELETE FROM onec.sync_step t WHERE t.server = _sync_part.server AND t.run_id = run AND t.status = 'waiting';
	PERFORM onec._end_run(server, run);
	COMMIT;
END $$;
COMMENT ON PROCEDURE onec._sync_part(name, timestamp, timestamp, onec.site_user) IS 'Прочитать часть покупок (служебная)';
REVOKE EXECUTE ON PROCEDURE onec._sync_part(name, timestamp, timestamp, onec.site_user) FROM PUBLIC;

CREATE PROCEDURE onec.sync_purchases(server name DEFAULT NULL, days int DEFAULT NULL, "from" date DEFAULT NULL, "to" date DEFAULT NULL,
									 customer text DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
DECLARE
	srv name;
	person onec.site_user;
	till timestamp;
BEGIN
	IF onec._in_transaction_block() THEN
		RAISE invalid_transaction_termination USING
			MESSAGE = 'onec.sync_purchases cannot run inside a transaction block',
			HINT = 'It commits window by window: call it outside of BEGIN … COMMIT, as a statement of its own.';
	END IF;
	COMMIT;
	srv := onec._server(server);
	IF "from" IS NULL AND customer IS NULL THEN
		CALL onec.sync(srv, days => days, steps => '{purchases,profiles}');
		RETURN;
	END IF;
	IF customer IS NOT NULL THEN
		person := onec._person(customer, srv);
		IF person.user_id IS NULL THEN
			RAISE no_data_found USING MESSAGE = 'no customer is known by this key', HINT = 'Read the cards first: CALL onec.sync_cards().';
		END IF;
	END IF;
	till := coalesce("to", onec.local_now(srv)::date + 1);
	CALL onec._sync_part(srv, coalesce("from", onec.local_now(srv)::date - coalesce(days, onec.get('sync.purchase_days', srv)::int))::timestamp, till, person);
END $$;
COMMENT ON PROCEDURE onec.sync_purchases(name, int, date, date, text) IS
	'Прочитать покупки: за days дней, за дни с from по to (to не входит) или одного покупателя по телефону, карте, контрагенту — так дёшево обновить его по запросу';
REVOKE EXECUTE ON PROCEDURE onec.sync_purchases(name, int, date, date, text) FROM PUBLIC;
