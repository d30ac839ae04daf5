-- Personal data: how a person is forgotten, how old purchases are deleted, what an analyst sees of both.

-- Everybody whom a key may mean, users of the site or not.  An identifier that is no card is taken for a
-- customer's.
CREATE FUNCTION onec_internal.people_meant(server name, key text) RETURNS SETOF uuid
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id uuid := onec_internal.key_in_1c(server, onec_internal.reference_uuid(btrim(key)));
	country text := onec.get('phone.country', server);
	wanted text := onec.normalize_phone(key, country);
BEGIN
	IF id IS NOT NULL THEN
		RETURN NEXT coalesce(
			(SELECT coalesce(d.owner_id, d.card_id) FROM onec.discount_card d
			 WHERE d.server = people_meant.server AND d.card_id = id),
			(SELECT c.user_id FROM onec.customer_card c
			 WHERE c.server = people_meant.server AND c.card_id = id),
			(SELECT min(l.owner_id::text)::uuid FROM onec.card_sale_line l
			 WHERE l.server = people_meant.server AND l.card_id = id),
			id);
		RETURN;
	END IF;
	RETURN QUERY
		SELECT u.user_id FROM onec.site_user u
		WHERE u.server = people_meant.server AND (u.login = btrim(key) OR u.phone = wanted)
		UNION SELECT c.user_id FROM onec.customer_card c
		WHERE c.server = people_meant.server AND c.phone = wanted
		UNION SELECT onec_internal.key_in_1c(p.server, p.customer_id) FROM onec_internal.site_person p
		WHERE p.server = people_meant.server AND (p.kind, p.value) = ('phone', wanted)
		UNION SELECT coalesce(d.owner_id, d.card_id) FROM onec.discount_card d
			WHERE d.server = people_meant.server AND wanted IS NOT NULL
			  AND wanted IN (onec.normalize_phone(d.barcode, country),
							 onec.normalize_phone(d.description, country),
				onec.normalize_phone(d.magnetic_code, country))
		UNION SELECT p.customer_id FROM onec.counterparty p
			WHERE p.server = people_meant.server AND wanted IS NOT NULL
			  AND wanted IN (onec.normalize_phone(p.phone, country), onec.normalize_phone(p.name, country),
				onec.normalize_phone(p.full_name, country))
		UNION SELECT c.customer_id FROM onec.counterparty_contact c
			WHERE c.server = people_meant.server AND wanted IS NOT NULL
			  AND wanted IN (onec.normalize_phone(c.phone, country),
							 onec.normalize_phone(c.presentation, country));
END $$;
COMMENT ON FUNCTION onec_internal.people_meant(name, text) IS 'Все, кого может означать ключ (служебная)';

-- A person and their cards, by whatever names them: catalog, users, rows of sales and points.  A card that
-- has another owner by now is the other's.  Example: card K was Anna's, and a row of sales still says so;
-- in the catalog it is Boris' today.  To forget Anna means her and her other cards, and K stays; to forget
-- Boris means him and K.
CREATE FUNCTION onec_internal.ids_of_person(server name, person uuid) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(DISTINCT x.id)
	FROM (SELECT $2 AS id
		  UNION ALL SELECT d.card_id FROM onec.discount_card d
		  WHERE d.server = $1 AND coalesce(d.owner_id, d.card_id) = $2
		  UNION ALL SELECT c.card_id FROM onec.customer_card c
		  WHERE c.server = $1 AND $2 IN (c.user_id, c.customer_id)
		  UNION ALL SELECT u.discount_card_id FROM onec.site_user u
		  WHERE u.server = $1 AND $2 IN (u.user_id, u.customer_id)
		  UNION ALL SELECT l.card_id FROM onec.card_sale_line l WHERE l.server = $1 AND l.owner_id = $2
		  UNION ALL SELECT l.card_id FROM onec.loyalty_lot l WHERE l.server = $1 AND l.owner_id = $2
		  UNION ALL SELECT u.id FROM onec_internal.site_person p
		  CROSS JOIN LATERAL unnest(ARRAY[p.customer_id, p.card_id,
										  onec_internal.key_in_1c($1, p.card_id)]) u (id)
		  WHERE p.server = $1 AND p.customer_id IN ($2, onec_internal.site_key($1, $2))) x
	WHERE x.id IS NOT NULL
	  AND NOT EXISTS (SELECT FROM onec.discount_card o
					  WHERE o.server = $1 AND o.card_id = x.id AND coalesce(o.owner_id, o.card_id) <> $2)
$$;
COMMENT ON FUNCTION onec_internal.ids_of_person(name, uuid) IS 'Человек и его карты (служебная)';

-- What a message tells a person by, in small letters: identifiers, addresses, names and each long word of
-- them, and numbers of ten digits or more, a telephone by its last ten.  Example: "Анна Ли", +7 (700)
-- 000-00-01, a@shop.example, card "Золотая" give "анна ли", "анна", "7000000001", "+7 (700) 000-00-01",
-- "a@shop.example"; not "ли", which is too short, nor "золотая" where other cards are called so, too: that
-- tells nobody.
CREATE FUNCTION onec_internal.words_naming_person(server name, ids uuid[]) RETURNS text[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH named (line) AS (
		SELECT u.name FROM onec.site_user u WHERE u.server = $1 AND u.user_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[p.name, p.full_name]) FROM onec.counterparty p
		WHERE p.server = $1 AND p.customer_id = ANY ($2)
		UNION ALL SELECT d.description FROM onec.discount_card d
			WHERE d.server = $1 AND (d.card_id = ANY ($2) OR d.owner_id = ANY ($2)) AND NOT EXISTS (
				SELECT FROM onec.discount_card o
				WHERE o.server = $1 AND o.description = d.description AND o.card_id <> d.card_id)),
	said (line) AS (
		SELECT unnest(ARRAY[u.email, u.phone, u.login]) FROM onec.site_user u
		WHERE u.server = $1 AND u.user_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[p.email, p.phone]) FROM onec.counterparty p
		WHERE p.server = $1 AND p.customer_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[c.presentation, c.email, c.phone]) FROM onec.counterparty_contact c
		WHERE c.server = $1 AND c.customer_id = ANY ($2)
		UNION ALL SELECT unnest(ARRAY[d.barcode, d.magnetic_code]) FROM onec.discount_card d
		WHERE d.server = $1 AND (d.card_id = ANY ($2) OR d.owner_id = ANY ($2))
		UNION ALL SELECT p.value FROM onec_internal.site_person p
		WHERE p.server = $1 AND (p.customer_id = ANY ($2) OR p.card_id = ANY ($2))
		UNION ALL SELECT n.line FROM named n)
	SELECT array_agg(DISTINCT w.word) FROM (
		SELECT i::text FROM unnest($2) i
		UNION ALL SELECT lower(btrim(s.line) COLLATE "default") FROM said s WHERE length(btrim(s.line)) >= 6
		UNION ALL SELECT lower(m[1] COLLATE "default")
		FROM named n, regexp_matches(n.line COLLATE "default", '([[:alpha:]]{4,})', 'g') m
		UNION ALL SELECT right(d.digits, 10)
		FROM said s, LATERAL (SELECT regexp_replace(s.line, '\D', '', 'g') AS digits) d
			WHERE length(d.digits) BETWEEN 10 AND 15) w (word)
	WHERE w.word <> ALL (ARRAY(SELECT lower(unnest(onec.get('name.ignore', $1)::text[]) COLLATE "default")))
$$;
COMMENT ON FUNCTION onec_internal.words_naming_person(name, uuid[]) IS
	'По каким словам и числам в сообщении узнаётся человек (служебная)';

-- Take the words out of what is kept of errors: of every column "message" of the extension, and of pg_cron's
-- account of our jobs.
CREATE FUNCTION onec_internal.forget_messages_naming(server name,
													 words text[]) RETURNS TABLE (table_name text,
														 rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- letters in either case, digits whatever stands between them
	tells text := 'EXISTS (SELECT FROM unnest($2) w WHERE position(w IN lower(t.%1$I COLLATE "default")) > 0
		OR w ~ ''^\d{10}$'' AND position(w IN regexp_replace(t.%1$I, ''[^0-9[:alpha:]]'', '''', ''g'')) > 0)';
BEGIN
	FOR table_name IN
		SELECT c.relname FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'message' AND a.atttypid = 'text'::regtype
		WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1
	LOOP
		EXECUTE format('UPDATE onec.%I t SET message = ''erased by onec.forget'' WHERE t.server = $1 AND '
					   || format(tells, 'message'), table_name) USING server, words;
		GET DIAGNOSTICS rows = ROW_COUNT;
		IF rows > 0 THEN
			EXECUTE format('ANALYZE onec.%I', table_name);
			RETURN NEXT;
		END IF;
	END LOOP;
	IF onec_internal.cron_place() = 'here' AND has_schema_privilege('cron', 'USAGE')
		AND has_table_privilege('cron.job_run_details', 'SELECT')
		AND has_table_privilege('cron.job_run_details', 'UPDATE') THEN
		table_name := 'cron.job_run_details';
		EXECUTE 'UPDATE cron.job_run_details t SET return_message = ''erased by onec.forget''
			WHERE t.database = current_database()
			  AND t.command ~ ''onec[.]'' AND ' || format(tells, 'return_message') USING server, words;
		GET DIAGNOSTICS rows = ROW_COUNT;
		IF rows > 0 THEN
			RETURN NEXT;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.forget_messages_naming(name, text[]) IS
	'Убрать сообщения об ошибках, в которых назван человек (служебная)';

-- Whether the samples that the planner keeps of a table hold one of the words: then they are taken anew.
CREATE FUNCTION onec_internal.statistics_name(relation regclass, words text[]) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
		CROSS JOIN LATERAL (
			SELECT lower(concat(s.most_common_vals, s.histogram_bounds) COLLATE "default") AS said
			OFFSET 0) x,
			unnest($2) w
		WHERE c.oid = $1 AND (position(w IN x.said) > 0
			OR w ~ '^\d{10}$' AND position(w IN regexp_replace(x.said, '[^0-9,{}[:alpha:]]', '', 'g')) > 0))
$$;
COMMENT ON FUNCTION onec_internal.statistics_name(regclass, text[]) IS
	'Есть ли слова человека в выборках планировщика (служебная)';

-- Idempotency keys that name a person are gone; of a call for them no more is kept than its answer, so that
-- whoever repeats it gets that, and no second order.
CREATE FUNCTION onec_internal.forget_calls(server name, keys uuid[], words text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- letters in either case, digits whatever stands between them
	tells text := $condition$t.idempotency IS NOT NULL AND EXISTS (SELECT FROM unnest($2) w
		WHERE position(w IN lower(t.idempotency COLLATE "default")) > 0 OR w ~ '^\d{10}$'
		  AND position(w IN regexp_replace(t.idempotency, '[^0-9[:alpha:]]', '', 'g')) > 0)$condition$;
BEGIN
	EXECUTE 'UPDATE onec.outbox_history t SET idempotency = NULL WHERE t.server = $1 AND ' || tells
		USING server, words;
	EXECUTE 'DELETE FROM onec_internal.outbox_key t WHERE t.server = $1 AND ' || tells USING server, words;
	EXECUTE 'DELETE FROM onec_internal.site_call t WHERE t.server = $1 AND ' || tells USING server, words;
	UPDATE onec_internal.site_call c SET asked = NULL
	WHERE c.server = forget_calls.server AND c.key = ANY (keys) AND c.asked IS NOT NULL;
END $$;
COMMENT ON FUNCTION onec_internal.forget_calls(name, uuid[], text[]) IS
	'Убрать человека из ключей идемпотентности (служебная)';

-- What of a person is in the outbox and its history.  Undelivered rows are an error, for 1C is to have what
-- the site has promised, unless they are to be skipped; of what was delivered no content is kept.  A row is
-- the person's by its key, or by a reference, a number or an address in a body of its object.
CREATE FUNCTION onec_internal.forget_written(server name, ids uuid[], words text[],
											 skip boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- the keys that the site was given, where 1C has given others
	ids uuid[] := ids || ARRAY(SELECT r.key FROM onec_internal.outbox_remote r
							   WHERE r.server = forget_written.server AND r.remote_key = ANY (ids));
	tells text[] := ids::text[] || ARRAY(SELECT w FROM unnest(words) w WHERE w ~ '@|^\d{10}$');
	keys uuid[];
	waiting bigint[];
	masked bigint;
BEGIN
	-- the steps of a document have no body of their own
	keys := ids || ARRAY(
		SELECT w.key
		FROM (SELECT o.key, o.body FROM onec.outbox o WHERE o.server = forget_written.server
			  UNION ALL
			  SELECT h.key, h.body FROM onec.outbox_history h WHERE h.server = forget_written.server) w
		WHERE EXISTS (SELECT FROM unnest(tells) t
					  WHERE position(t IN lower(w.body::text COLLATE "default")) > 0));
	waiting := ARRAY(SELECT o.id FROM onec.outbox o
					 WHERE o.server = forget_written.server AND o.key = ANY (keys) ORDER BY 1);
	IF waiting <> '{}' AND skip IS NOT TRUE THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('%s changes of this person are not delivered to 1C yet', cardinality(waiting)),
			DETAIL = format('Rows of the outbox: %s.', array_to_string(waiting[:20], ', ')),
			HINT = format('CALL onec.deliver(%L); or, so that they never are, onec.forget(…, '
						  'skip_undelivered => true).', server);
	END IF;
	PERFORM onec.outbox_skip(w, 'erased by onec.forget') FROM unnest(waiting) w;
	UPDATE onec.outbox_history h SET body = NULL, stored_diff = NULL, message = NULL
	WHERE h.server = forget_written.server AND h.key = ANY (keys)
	  AND (h.body IS NOT NULL OR h.stored_diff IS NOT NULL OR h.message IS NOT NULL);
	GET DIAGNOSTICS masked = ROW_COUNT;
	-- a print of few words can be guessed
	UPDATE onec_internal.outbox_key k SET asked = NULL
	WHERE k.server = forget_written.server AND k.key = ANY (keys) AND k.asked IS NOT NULL;
	PERFORM onec_internal.forget_calls(server, keys, ids::text[] || words);
	RETURN masked;
END $$;
COMMENT ON FUNCTION onec_internal.forget_written(name, uuid[], text[], boolean) IS
	'Убрать человека из очереди записи и её истории (служебная)';

CREATE FUNCTION onec_internal.forget_person(server name, key text, skip boolean DEFAULT false)
	RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := server;
	people uuid[];
	ids uuid[];
	words text[];
	w record;
	total bigint := 0;
BEGIN
	-- looked for before anybody has to wait, and once more what came meanwhile
	people := ARRAY(SELECT m FROM onec_internal.people_meant(srv, key) m ORDER BY m);
	IF cardinality(people) > 1 THEN
		RAISE cardinality_violation USING
			MESSAGE = format('%s people have this telephone', cardinality(people)),
			DETAIL = format('Their identifiers: %s.', array_to_string(people, ', ')),
			HINT = 'Forget each of them by identifier.';
	END IF;
	ids := onec_internal.ids_of_person(srv, people[1]);
	words := onec_internal.words_naming_person(srv, ids);
	PERFORM onec_internal.lock_people(srv, true);
	ids := ids || onec_internal.ids_of_person(srv, people[1]);
	rows := onec_internal.forget_written(srv, ids, words, skip);
	IF rows > 0 THEN
		total := rows;
		table_name := 'outbox_history';
		RETURN NEXT;
	END IF;
	FOR w IN SELECT * FROM onec_internal.tables_about_people() ORDER BY 1 LOOP
		PERFORM onec_internal.hold_own_tables(t.target) FROM onec.target t
			WHERE onec_internal.table_of_target(t.target) = w.relation;
		EXECUTE onec_internal.erasure_statement(w.relation, srv, w.people, w.erasure,
												onec_internal.has_column(w.relation, 'attribution'))
			USING ids;
		GET DIAGNOSTICS rows = ROW_COUNT;
		total := total + rows;
		IF rows > 0 THEN
			RAISE NOTICE USING MESSAGE = format('%s: %s rows', w.table_name, rows);
			-- the planner's statistics hold samples of telephones and names
			IF onec_internal.statistics_name(w.relation::regclass, words) THEN
				EXECUTE format('ANALYZE %s', w.relation);
			END IF;
			table_name := w.table_name;
			RETURN NEXT;
		END IF;
	END LOOP;
	-- the key is not repeated: the server's log is no place for a telephone
	IF total = 0 AND NOT EXISTS (SELECT FROM onec.forgotten f WHERE f.server = srv AND f.id = people[1]) THEN
		RAISE no_data_found USING MESSAGE = format('nobody on server "%s" is known by this key', srv),
			HINT = 'A key is a telephone in any spelling, the login, or the identifier '
				   'of a card or of a customer.';
	END IF;
	INSERT INTO onec.forgotten (server, id) SELECT DISTINCT srv, i FROM unnest(ids) i
	ON CONFLICT DO NOTHING;
	PERFORM onec_internal.refresh_all_people_next(srv);
	FOR table_name, rows IN SELECT m.table_name, m.rows
		FROM onec_internal.forget_messages_naming(srv, words) m LOOP
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.forget_person(name, text, boolean) IS 'Забыть человека (служебная)';

-- A dry run is the run itself, taken back.
CREATE FUNCTION onec.forget(key text, server name DEFAULT NULL, dry_run boolean DEFAULT false,
							skip_undelivered boolean DEFAULT false)
	RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	told jsonb;
BEGIN
	PERFORM onec_internal.must_write('forget');
	BEGIN
		told := (SELECT jsonb_agg(p) FROM onec_internal.forget_person(srv, key, skip_undelivered) p);
		IF dry_run THEN
			RAISE SQLSTATE 'OC001';
		END IF;
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		NULL;
	END;
	RETURN QUERY SELECT r.table_name, r.rows FROM jsonb_to_recordset(told) r (table_name text, rows bigint);
END $$;
COMMENT ON FUNCTION onec.forget(text, name, boolean, boolean) IS
	'Забыть человека (152-ФЗ) по телефону, логину, карте или контрагенту: удалить всё личное, '
	'покупки оставить безымянными, '
	'из 1С больше не брать; показывает, в какой таблице сколько строк затронуто. dry_run — только показать. '
	'Пока изменение человека не доставлено в 1С — ошибка; skip_undelivered — не доставлять его. '
	'Необратимо; в самой 1С данные остаются';
REVOKE EXECUTE ON FUNCTION onec.forget(text, name, boolean, boolean) FROM PUBLIC;

-- A dry run is the run itself, taken back.
CREATE FUNCTION onec.purge(before date, server name DEFAULT NULL, dry_run boolean DEFAULT false)
	RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	told jsonb;
BEGIN
	PERFORM onec_internal.must_write('purge');
	IF (before <= onec.local_now(srv)::date) IS NOT TRUE OR NOT isfinite(before) THEN
		RAISE invalid_parameter_value USING MESSAGE = 'purge needs a day that is not in the future';
	END IF;
	PERFORM onec_internal.hold_own_tables(t.target) FROM onec_internal.sync_steps(srv, NULL) t
		WHERE t.purge <> 'none';
	BEGIN
		told := (SELECT jsonb_agg(p) FROM onec_internal.purge_before(srv, before) p);
		IF dry_run THEN
			RAISE SQLSTATE 'OC001';
		END IF;
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		NULL;
	END;
	RETURN QUERY SELECT r.table_name, r.rows FROM jsonb_to_recordset(told) r (table_name text, rows bigint);
END $$;
COMMENT ON FUNCTION onec.purge(date, name, boolean) IS
	'Удалить покупки, чеки, заказы и баллы раньше этого дня (остатки баллов не меняются) и больше их не '
	'читать; потом пересчитайте профили. '
	'dry_run — только показать, сколько строк было бы удалено';
REVOKE EXECUTE ON FUNCTION onec.purge(date, name, boolean) FROM PUBLIC;

CREATE VIEW onec.site_user_masked AS
	SELECT u.server, u.user_id, u.customer_id, onec_internal.masked(u.phone) AS phone,
		   onec_internal.masked(u.name) AS name, u.is_active
	FROM onec.site_user u;
COMMENT ON VIEW onec.site_user_masked IS 'Пользователи без телефонов и имён: для аналитиков';

CREATE VIEW onec.customer_360_masked AS
	SELECT c.server, c.customer_id, c.total_revenue, c.gross_revenue, c.returns_amount, c.return_rate,
		   c.receipts, c.lines, c.visits, c.total_items,
		   c.average_check, c.median_check, c.average_line, c.items_per_receipt, c.purchase_frequency,
		   c.frequency_confidence, c.median_gap, c.mean_gap,
		   c.first_purchase, c.last_purchase, c.favorite_categories, c.favorite_stores, c.month_share,
		   c.buys_8_march, c.buys_new_year, c.buys_valentine,
		   onec_internal.masked(c.phone) AS phone, onec_internal.masked(c.name) AS name,
		   onec_internal.masked(c.email) AS email, c.discount_card_id, c.is_active,
		   c.days_since, c.tenure_days, c.cards, c.r_score, c.f_score, c.m_score, c.rfm, c.rfm_segment,
		   c.rfm_title, c.usual_gap, c.expected_next,
		   c.window_from, c.window_to, c.overdue_ratio, c.churn_class, c.month_index, c.peak_months,
		   c.favorite_brands, c.category_diversity,
		   c.p_alive, c.churn_risk, c.expected_12m, c.expected_spend, c.clv_12m,
		   c.first_purchase_tz, c.last_purchase_tz
	FROM onec.customer_360 c;
COMMENT ON VIEW onec.customer_360_masked IS
	'Всё о покупателе одной строкой без телефона, имени и почты: для аналитиков';
COMMENT ON COLUMN onec.customer_360_masked.phone IS 'Телефон под маской';
COMMENT ON COLUMN onec.customer_360_masked.name IS 'Имя под маской';
COMMENT ON COLUMN onec.customer_360_masked.email IS 'Электронная почта под маской';

CREATE VIEW onec.purchase_masked AS
	SELECT p.server, p.period, p.customer_id, p.card_id, p.product_id, p.product, p.category, p.store_id,
		   p.store, p.document_id, p.document_type,
		   p.recorder, p.recorder_type, p.line_no, p.quantity, p.amount, p.cost, p.attribution,
		   p.period_tz
	FROM onec.purchase p;
COMMENT ON VIEW onec.purchase_masked IS
	'Учитываемые строки продаж с названиями товара и магазина, без имени и телефона: для аналитиков';
COMMENT ON COLUMN onec.purchase_masked.product IS 'Товар';
COMMENT ON COLUMN onec.purchase_masked.category IS 'Категория';
COMMENT ON COLUMN onec.purchase_masked.store IS 'Магазин';

CREATE VIEW onec.abc_xyz_masked AS
	SELECT a.server, a.kind, a.item_id,
		   CASE a.kind WHEN 'customer' THEN onec_internal.masked(a.title) ELSE a.title END AS title,
		   a.net, a.share,
		   a.cumulative_share, a.abc, a.active_months, a.monthly_net, a.variation, a.xyz, a.class
	FROM onec.abc_xyz a;
COMMENT ON VIEW onec.abc_xyz_masked IS 'ABC/XYZ покупателей и товаров без имён: для аналитиков';
COMMENT ON COLUMN onec.abc_xyz_masked.title IS 'Товар или имя покупателя под маской';
