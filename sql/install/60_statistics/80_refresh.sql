-- What is computed anew after a sync: for customers whose purchases have changed each time, of the whole shop
-- once a week.

CREATE TABLE onec_internal.touched_customer (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec_internal.touched_customer IS
	'Покупатели, чьи покупки изменились после пересчёта их профилей';
COMMENT ON COLUMN onec_internal.touched_customer.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.touched_customer.customer_id IS 'Покупатель (контрагент)';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.touched_customer', '');

CREATE TABLE onec_internal.profile_state (
	server name PRIMARY KEY,
	definitions text NOT NULL,
	day date NOT NULL,
	scored date
);
COMMENT ON TABLE onec_internal.profile_state IS
	'При каких настройках и справочниках и в какой день пересчитаны профили';
COMMENT ON COLUMN onec_internal.profile_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.profile_state.definitions IS
	'Свёртка настроек, категорий и магазинов: когда она другая, пересчитываются все';
COMMENT ON COLUMN onec_internal.profile_state.day IS
	'День последнего пересчёта: строки с датой позже станут покупками, когда она настанет';
COMMENT ON COLUMN onec_internal.profile_state.scored IS
	'На какой день расставлены баллы RFM; NULL — с тех пор пересчитаны все';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.profile_state', '');

CREATE TABLE onec_internal.unscored_customer (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec_internal.unscored_customer IS
	'Покупатели, чьи профили пересчитаны после расстановки баллов RFM';
COMMENT ON COLUMN onec_internal.unscored_customer.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.unscored_customer.customer_id IS 'Покупатель (контрагент)';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.unscored_customer', '');

-- All that profiles depend on besides the sales and the products bought.
CREATE FUNCTION onec_internal.definitions_digest(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT md5(string_agg(d.line, E'\n' ORDER BY d.line COLLATE "C")) FROM (
		SELECT 'setting ' || s.key || '=' || coalesce(onec.get(s.key, $1), '') FROM onec.setting s
		WHERE s.key ~ '^(affinity|season|outlook|rfm)\.' OR s.key = 'check_unit'
		UNION ALL SELECT ROW(w.excluded, w.organizations, w.counts_free)::text
		FROM onec_internal.shop_rules w WHERE w.server = $1
		UNION ALL SELECT 'category_map ' || m::text FROM onec.category_map m
		UNION ALL SELECT 'brand_map ' || m::text FROM onec.brand_map m
		UNION ALL SELECT 'rfm_segment ' || g::text FROM onec.rfm_segment g
		UNION ALL SELECT 'frequency_class ' || f::text FROM onec.frequency_class f
		UNION ALL SELECT 'category ' || c.category_id || ' ' || coalesce(c.name, '') FROM onec.category c
		WHERE c.server = $1
		UNION ALL SELECT 'folder ' || p.product_id || ' ' || coalesce(p.name, '') FROM onec.product p
		WHERE p.server = $1 AND p.is_folder
		UNION ALL SELECT 'store ' || t.store_id || ' ' || coalesce(t.name, '') FROM onec.store t
		WHERE t.server = $1) d (line)
$$;
COMMENT ON FUNCTION onec_internal.definitions_digest(name) IS
	'Свёртка всего, от чего зависят профили, кроме продаж и товаров (служебная)';

-- Whom the changes of a window of sales concern, as pg_temp.onec_change and pg_temp.onec_stage have them,
-- before they are written: whose a line will be, and whose it was.
CREATE FUNCTION onec_internal.changed_lines() RETURNS TABLE (buyer_id uuid, card_id uuid)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT onec_internal.buyer_id(s.attribution, onec_internal.person_of_line(
			   s.attribution, s.customer_id, s.card_id, s.recorder)), s.card_id
	FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
	UNION
	SELECT onec_internal.buyer_id(l.attribution, l.person_id), l.card_id
	FROM (SELECT c.server, c.register, c.recorder, c.recorder_type, c.line_no FROM pg_temp.onec_change c
		  WHERE c.here
		  UNION ALL
		  SELECT s.server, s.register, s.recorder, s.recorder_type, s.line_no
		  FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place WHERE NOT c.here) k
	JOIN onec_internal.sale_line l ON l.server = k.server AND l.register = k.register
		AND l.recorder = k.recorder
		AND l.recorder_type = k.recorder_type AND l.line_no = k.line_no;
END $$;
COMMENT ON FUNCTION onec_internal.changed_lines() IS 'Чьи строки продаж меняются окном (служебная)';

-- Note them, for their profiles and as users: each from when these are made for the first time, since before
-- everybody is new.
CREATE FUNCTION onec_internal.touch_customers_of_window(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = touch_customers_of_window.server
				   UNION ALL
				   SELECT FROM onec_internal.profile_state p
				   WHERE p.server = touch_customers_of_window.server) THEN
		RETURN;
	END IF;
	WITH line AS MATERIALIZED (SELECT * FROM onec_internal.changed_lines()),
	buyer AS MATERIALIZED (SELECT DISTINCT l.buyer_id AS id FROM line l),
	profile AS (
		INSERT INTO onec_internal.touched_customer SELECT p.server, b.id FROM onec_internal.profile_state p
		CROSS JOIN buyer b
		WHERE p.server = touch_customers_of_window.server AND b.id IS NOT NULL
		ON CONFLICT DO NOTHING)
	INSERT INTO onec_internal.touched_user
	SELECT p.server, u.id FROM onec_internal.people_state p CROSS JOIN (
		SELECT b.id FROM buyer b WHERE b.id IS NOT NULL
		UNION
		SELECT k.user_id FROM line l
		JOIN onec.customer_card k ON k.server = touch_customers_of_window.server AND k.card_id = l.card_id) u
	WHERE p.server = touch_customers_of_window.server
	ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION onec_internal.touch_customers_of_window(name) IS
	'Запомнить покупателей, которых касаются изменения окна (служебная)';

-- The same for products, and for the folders, categories, brands and shops by whose names tastes are called.
CREATE FUNCTION onec_internal.touch_buyers_of_products(server name, touches text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	of_line text := CASE
		WHEN 'buyers in stores' = ANY (touches)
			THEN 'l.store_id IN (SELECT r.number FROM onec_internal.reference r
								JOIN pg_temp.onec_change c ON c.store_id = r.id)'
		WHEN 'buyers of categories' = ANY (touches) THEN 'l.product_id IN (SELECT p.product_id
															  FROM onec.product p JOIN pg_temp.onec_change c
																  ON c.category_id = p.category_id
			WHERE p.server = $1)'
		WHEN 'buyers of brands' = ANY (touches) THEN 'l.product_id IN (SELECT p.product_id
			FROM onec.product p WHERE p.server = $1 AND p.brand_id IN (
				-- products may have been here before their brand
				SELECT coalesce(c.brand_id, s.brand_id) FROM pg_temp.onec_change c
				LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place))'
		ELSE 'l.product_id IN (SELECT c.product_id FROM pg_temp.onec_change c
			UNION SELECT p.product_id FROM onec.product p
			JOIN pg_temp.onec_change c ON c.product_id = p.parent_id WHERE p.server = $1)' END;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.profile_state p
			   WHERE p.server = touch_buyers_of_products.server) THEN
		EXECUTE 'INSERT INTO onec_internal.touched_customer
			SELECT DISTINCT $1, onec_internal.buyer_id(l.attribution, l.person_id)
			FROM onec_internal.sale_line l
			WHERE l.server = onec_internal.number_of_server($1)
			  AND onec_internal.buyer_id(l.attribution, l.person_id) IS NOT NULL AND ' || of_line || '
			ON CONFLICT DO NOTHING' USING server;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.touch_buyers_of_products(name, text[]) IS
	'Запомнить покупателей того, что изменилось: товаров, групп, категорий, магазинов (служебная)';

-- Whose profiles have to be computed again; NULL: everybody's.
CREATE FUNCTION onec_internal.stale_customers(server name) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	-- what would be compiled costs what all lines cost, and reads those of a day
	SET jit = off
AS $$
	WITH stale AS (
		SELECT t.customer_id FROM onec_internal.touched_customer t WHERE t.server = $1
		UNION
		-- dated ahead then: moments that are known before the lines are looked for, through their index
		SELECT l.customer_id FROM onec_internal.counted_lines_between(
			$1, (SELECT s.day + 1 FROM onec_internal.profile_state s WHERE s.server = $1),
			(SELECT w.today + 1 FROM onec_internal.shop_rules w WHERE w.server = $1)) l
		WHERE l.customer_id IS NOT NULL
		UNION
		SELECT c.user_id FROM onec.customer_card c
		WHERE c.server = $1 AND NOT EXISTS (SELECT FROM onec.customer_profile p
											WHERE p.server = $1 AND p.customer_id = c.user_id)
		UNION
		SELECT p.customer_id FROM onec.customer_profile p
		WHERE p.server = $1 AND p.lines = 0
		  AND NOT EXISTS (SELECT FROM onec.customer_card c WHERE c.server = $1 AND c.user_id = p.customer_id))
	SELECT onec_internal.some_or_all(ARRAY(SELECT s.customer_id FROM stale s),
									 (SELECT count(*) FROM onec.customer_profile p WHERE p.server = $1))
$$;
COMMENT ON FUNCTION onec_internal.stale_customers(name) IS
	'Чьи профили пора пересчитать; NULL — все (служебная)';

-- Scores of today, of what has changed since the last ones: nothing where nothing has, not even the day.
CREATE FUNCTION onec_internal.score_after_sync(server name, scored_on date, today date, collected boolean,
											   OUT rows_inserted bigint, OUT rows_updated bigint,
											   OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	changed uuid[] := ARRAY(SELECT u.customer_id FROM onec_internal.unscored_customer u
							WHERE u.server = score_after_sync.server);
	measures text := format('onec_internal.rfm_measures($1, $2, NULL, %L)', collected);
BEGIN
	IF scored_on = today AND changed = '{}' THEN
		rows_inserted := 0;
		rows_updated := 0;
		rows_deleted := 0;
		RETURN;
	ELSIF scored_on <= today THEN
		PERFORM onec_internal.collect_measures(server, scored_on, today, changed);
		measures := 'pg_temp.onec_measure';
	END IF;
	SELECT w.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_rfm(server, today, measures) w;
	IF measures = 'pg_temp.onec_measure' THEN
		DROP TABLE pg_temp.onec_measure;
	END IF;
	DELETE FROM onec_internal.unscored_customer u WHERE u.server = score_after_sync.server;
END $$;
COMMENT ON FUNCTION onec_internal.score_after_sync(name, date, date, boolean) IS
	'Расставить баллы RFM после синхронизации; collected — собраны истории всех (служебная)';

-- A run of a part leaves the scores alone: they compare everybody with everybody, on a day, and the next
-- whole run makes them.
CREATE FUNCTION onec_internal.refresh_after_sync(server name, everybody boolean DEFAULT true,
												 scores boolean DEFAULT true,
												 OUT rows_inserted bigint, OUT rows_updated bigint,
												 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defined text := onec_internal.definitions_digest(server);
	today date := onec.local_now(server)::date;
	scored_on date;
	customers uuid[];
	b onec.outlook_baseline;
	w record;
BEGIN
	IF NOT everybody THEN
		SELECT s.scored, CASE WHEN s.definitions = defined
							  THEN onec_internal.stale_customers(s.server) END INTO scored_on, customers
		FROM onec_internal.profile_state s WHERE s.server = refresh_after_sync.server;
	END IF;
	rows_inserted := 0;
	rows_updated := 0;
	rows_deleted := 0;
	IF customers IS DISTINCT FROM '{}' THEN
		PERFORM onec_internal.lock_people(server, false);
		b := onec_internal.collect_histories(server, customers, today);
		FOR w IN SELECT * FROM onec_internal.write_outlook(b, customers, today)
				 UNION ALL SELECT * FROM onec_internal.write_profiles(server, customers, today) LOOP
			rows_inserted := rows_inserted + w.rows_inserted;
			rows_updated := rows_updated + w.rows_updated;
			rows_deleted := rows_deleted + w.rows_deleted;
		END LOOP;
		INSERT INTO onec_internal.unscored_customer SELECT refresh_after_sync.server, c
		FROM unnest(customers) c ON CONFLICT DO NOTHING;
		IF customers IS NULL THEN
			scored_on := NULL;
		END IF;
	END IF;
	IF scores THEN
		PERFORM onec_internal.lock_people(server, false);
		SELECT * INTO w FROM onec_internal.score_after_sync(server, scored_on, today, customers IS NULL);
		rows_inserted := rows_inserted + w.rows_inserted;
		rows_updated := rows_updated + w.rows_updated;
		rows_deleted := rows_deleted + w.rows_deleted;
		scored_on := today;
	END IF;
	IF customers IS DISTINCT FROM '{}' THEN
		DROP TABLE pg_temp.onec_history;
	END IF;
	DELETE FROM onec_internal.touched_customer t WHERE t.server = refresh_after_sync.server;
	IF customers IS NULL THEN
		INSERT INTO onec_internal.profile_state AS s VALUES (server, defined, today, scored_on)
		ON CONFLICT ON CONSTRAINT profile_state_pkey DO UPDATE SET definitions = excluded.definitions
		WHERE s.definitions <> excluded.definitions;
	END IF;
	UPDATE onec_internal.profile_state s SET day = today, scored = scored_on
	WHERE s.server = refresh_after_sync.server AND (s.day, s.scored) IS DISTINCT FROM (today, scored_on);
END $$;
COMMENT ON FUNCTION onec_internal.refresh_after_sync(name, boolean, boolean) IS
	'Обновить после синхронизации профили, ожидания (everybody — всех, иначе тех, чьи покупки изменились) и, '
	'если scores, RFM (служебная)';

-- Each part stands alone: what fails is told, the rest is done.
CREATE FUNCTION onec.refresh_models(server name DEFAULT NULL)
	RETURNS TABLE (part text, status text, seconds numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	started timestamptz;
	call text;
	code text;
	detail text;
	context text;
BEGIN
	PERFORM onec_internal.must_write('refresh_models');
	FOREACH part IN ARRAY ARRAY['fit_clv', 'refresh_value', 'refresh_pairs', 'refresh_recommendations'] LOOP
		started := clock_timestamp();
		call := format('SELECT * FROM onec.%I(%L)', part, srv);
		BEGIN
			EXECUTE call;
			status := CASE part WHEN 'fit_clv' THEN
						  (SELECT m.status FROM onec.clv_model m WHERE m.server = srv
						   ORDER BY m.as_of DESC, m.model LIMIT 1) ELSE 'ok' END;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
			status := 'failed: ' || onec_internal.message_without_values(code, SQLERRM, detail, context);
			RAISE WARNING USING MESSAGE = format('%s %s', part, status), ERRCODE = code;
		END;
		seconds := round(extract(epoch FROM clock_timestamp() - started)::numeric, 1);
		IF status NOT LIKE 'failed:%' THEN
			RAISE NOTICE USING MESSAGE = format('%s: %s, %s s', part, status, seconds);
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.refresh_models(name) IS
	'Обновить модель покупок (CLV) и оценки по ней, пары товаров и рекомендации; '
	'так делает недельное задание';
REVOKE EXECUTE ON FUNCTION onec.refresh_models(name) FROM PUBLIC;
