-- CALL onec.sync: 1C into the local tables, window by window.
--
-- A window is read into a temporary table, compared with what is here, and only the differences are written, in one
-- transaction; then it is committed.  Whatever stops a run, every window is either old or new.  Procedures that commit have
-- no SET clause, so every name in them is qualified.

-- A reference as uuid; values of other types have none.
CREATE FUNCTION onec._ref(value text) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN value ~ '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'
		THEN nullif(value::uuid, '00000000-0000-0000-0000-000000000000'::uuid) END;
COMMENT ON FUNCTION onec._ref(text) IS 'Ссылка составного поля как uuid (служебная)';

-- The local table of a foreign one, and its key without the server.
CREATE FUNCTION onec._local_table(target text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE target WHEN 'receipt' THEN 'receipt_journal' ELSE target END;
COMMENT ON FUNCTION onec._local_table(text) IS 'Местная таблица внешней (служебная)';

-- SELECT list that turns rows of the foreign table into rows of the local one, in the order of field_source.
CREATE FUNCTION onec._stage_list(server name, target text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(
		CASE
			WHEN a.attname IS NULL AND f.kind = 'type' THEN '''''::text'
			WHEN a.attname IS NULL THEN format('NULL::%s', CASE f.kind WHEN 'ref' THEN 'uuid' ELSE f.kind END)
			WHEN f.kind = 'ref' AND a.atttypid = 'text'::regtype THEN format('onec._ref(f.%I)', f.field)
			WHEN f.kind = 'type' THEN format('CASE WHEN starts_with(f.%1$I, ''StandardODATA.'') THEN substr(f.%1$I, 15) ELSE coalesce(f.%1$I, '''') END', f.field)
			ELSE format('f.%I::%s', f.field, CASE f.kind WHEN 'ref' THEN 'uuid' ELSE f.kind END)
		END || format(' AS %I', f.field), ', ' ORDER BY f.ordinal)
	FROM onec.field_source f
	LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', $1, $2))
		AND a.attname = f.field AND a.attnum > 0 AND NOT a.attisdropped
	WHERE f.target = $2
$$;
COMMENT ON FUNCTION onec._stage_list(name, text) IS 'Выражения, которыми строки 1С становятся местными (служебная)';

-- Read the rows of a condition into the temporary table pg_temp.onec_stage; max_rows of them from a place on, if that is not 0.
CREATE FUNCTION onec._stage(server name, target text, condition text, max_rows int, place bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	staged bigint;
BEGIN
	IF pg_catalog.to_regclass('pg_temp.onec_stage') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_stage;
	END IF;
	EXECUTE pg_catalog.format(
		'CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
			SELECT %L::name AS server, r.*%s FROM (SELECT %s FROM %I.%I f WHERE %s %s) r',
		server,
		CASE target WHEN 'sale_line' THEN
			', ''sales''::text AS register, CASE WHEN r.customer_id IS NULL THEN ''anonymous'' ELSE ''counterparty'' END AS attribution' END,
		onec._stage_list(server, target), server, target, condition,
		CASE WHEN max_rows > 0 THEN pg_catalog.format('LIMIT %s OFFSET %s', max_rows, place) ELSE '' END);
	GET DIAGNOSTICS staged = ROW_COUNT;
	RETURN staged;
END $$;
COMMENT ON FUNCTION onec._stage(name, text, text, int, bigint) IS 'Прочитать строки 1С во временную таблицу (служебная)';
REVOKE EXECUTE ON FUNCTION onec._stage(name, text, text, int, bigint) FROM PUBLIC;

-- The card rows of the documents staged.
CREATE FUNCTION onec._carded(server name)
	RETURNS TABLE (recorder uuid, recorder_type text, line_no bigint, product_id uuid, amount numeric, card_id uuid, owner_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = on
AS $$
	SELECT l.recorder, l.recorder_type, l.line_no, l.product_id, l.amount, l.card_id, coalesce(l.owner_id, d.owner_id)
	FROM (SELECT DISTINCT t.recorder, t.recorder_type FROM pg_temp.onec_stage t) t
	JOIN onec.card_sale_line l ON l.server = $1 AND l.recorder = t.recorder AND l.recorder_type = t.recorder_type
	LEFT JOIN onec.discount_card d ON d.server = l.server AND d.card_id = l.card_id
$$;
COMMENT ON FUNCTION onec._carded(name) IS 'Продажи по картам прочитанных документов (служебная)';
REVOKE EXECUTE ON FUNCTION onec._carded(name) FROM PUBLIC;

-- What the register of card sales tells of the staged rows.  A shift report has rows of many people, so rows that are alike
-- (product and amount) are first given the card rows of their own customer; what is left goes to rows of nobody, the n-th to the
-- n-th.  If there are more of them than card rows, they have the one card of these, provided that the document is of one buyer:
-- each of its rows is like a row of that card.
CREATE FUNCTION onec._attribute_by_register(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	-- of rows made in the query the planner knows nothing, and takes them for few
	SET enable_nestloop = off SET jit = off
AS $$
	WITH sold AS MATERIALIZED (
		SELECT t.ctid AS place, t.customer_id, t.card_id, t.attribution, t.line_no, ROW(t.recorder, t.recorder_type, t.product_id, trim_scale(t.amount))::text AS alike,
			   row_number() OVER (PARTITION BY t.recorder, t.recorder_type, t.product_id, t.amount, t.customer_id ORDER BY t.line_no) AS n,
			   ROW(t.recorder, t.recorder_type)::text AS document
		FROM pg_temp.onec_stage t),
	carded AS MATERIALIZED (
		SELECT l.line_no, ROW(l.recorder, l.recorder_type, l.product_id, trim_scale(l.amount))::text AS alike, l.card_id, l.owner_id,
			   row_number() OVER (PARTITION BY l.recorder, l.recorder_type, l.product_id, l.amount, l.owner_id ORDER BY l.line_no) AS n,
			   ROW(l.recorder, l.recorder_type)::text AS document
		FROM onec._carded($1) l),
	one_buyer AS (
		SELECT c.document FROM carded c GROUP BY 1 HAVING min(c.card_id::text) = max(c.card_id::text) AND count(c.card_id) = count(*)
		EXCEPT SELECT o.document FROM sold o WHERE NOT EXISTS (SELECT FROM carded c WHERE c.alike = o.alike)),
	own AS (SELECT o.place, c.alike, c.line_no, c.card_id, c.owner_id FROM sold o JOIN carded c ON c.alike = o.alike AND c.owner_id = o.customer_id AND c.n = o.n),
	spare AS (
		SELECT c.*, row_number() OVER (PARTITION BY c.alike ORDER BY c.line_no) AS turn FROM carded c
		WHERE NOT EXISTS (SELECT FROM own w WHERE w.alike = c.alike AND w.line_no = c.line_no)),
	nobodys AS (SELECT o.*, row_number() OVER (PARTITION BY o.alike ORDER BY o.line_no) AS turn FROM sold o WHERE o.customer_id IS NULL AND o.attribution = 'anonymous')
	UPDATE pg_temp.onec_stage s
	SET customer_id = coalesce(s.customer_id, r.owner_id), card_id = coalesce(s.card_id, r.card_id),
		attribution = CASE WHEN s.attribution = 'anonymous' THEN 'card_register' ELSE s.attribution END
	FROM (SELECT w.place, w.card_id, w.owner_id FROM own w
		  UNION ALL
		  SELECT o.place, p.card_id, p.owner_id FROM nobodys o JOIN spare p ON p.alike = o.alike AND p.turn = o.turn
		  UNION ALL
		  SELECT o.place, c.card_id, c.owner_id FROM nobodys o JOIN one_buyer b ON b.document = o.document JOIN carded c ON c.alike = o.alike AND c.n = 1
		  WHERE NOT EXISTS (SELECT FROM spare p WHERE p.alike = o.alike AND p.turn = o.turn)) r
	WHERE s.ctid = r.place AND r.card_id IS NOT NULL AND (s.card_id IS NULL OR s.attribution = 'anonymous')
$$;
COMMENT ON FUNCTION onec._attribute_by_register(name) IS 'Определить покупателя по регистру продаж по картам (служебная)';
REVOKE EXECUTE ON FUNCTION onec._attribute_by_register(name) FROM PUBLIC;

-- Who bought: the counterparty of the row, else the owner of its card, else what the register of card sales tells.
-- A row without them is staged as anonymous.
CREATE FUNCTION onec._attribute(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
	UPDATE pg_temp.onec_stage s SET customer_id = coalesce(s.customer_id, c.owner_id), attribution = 'card'
	FROM onec.discount_card c
	WHERE c.server = _attribute.server AND c.card_id = s.card_id AND s.attribution = 'anonymous';
	UPDATE pg_temp.onec_stage s SET attribution = 'card' WHERE s.card_id IS NOT NULL AND s.attribution = 'anonymous';
	IF NOT EXISTS (SELECT FROM onec.card_sale_line l WHERE l.server = _attribute.server) THEN
		RETURN;
	END IF;
	PERFORM onec._attribute_by_register(server);
END $$;
COMMENT ON FUNCTION onec._attribute(name) IS 'Определить покупателя прочитанных строк продаж (служебная)';
REVOKE EXECUTE ON FUNCTION onec._attribute(name) FROM PUBLIC;

-- How the local table of a target is compared with pg_temp.onec_stage: its columns as SQL, t being here and s what was read.
CREATE FUNCTION onec._merge_parts(tab regclass, OUT key text, OUT same_key text, OUT columns text, OUT set_list text, OUT differs text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NOT NULL),
		   string_agg(format('s.%1$I = t.%1$I', a.attname), ' AND ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NOT NULL),
		   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
		   string_agg(format('%1$I = s.%1$I', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NULL),
		   format('ROW(%s) IS DISTINCT FROM ROW(%s)',
				  string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NULL),
				  string_agg(format('s.%I', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NULL))
	FROM pg_attribute a
	JOIN pg_attribute b ON b.attrelid = to_regclass('pg_temp.onec_stage') AND b.attname = a.attname AND b.attnum > 0
	LEFT JOIN pg_index i ON i.indrelid = tab AND i.indisprimary AND a.attnum = ANY (i.indkey)
	WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION onec._merge_parts(regclass) IS 'Столбцы местной таблицы для сравнения с прочитанным (служебная)';

-- Make the rows of the local table that satisfy "scope" equal to the staged ones (all rows, and none is deleted, if it is NULL).
-- One comparison finds what differs, and mostly that is nothing; only that is written.  A staged row may be here outside of the
-- scope: its document has got another date.
CREATE FUNCTION onec._merge(server name, target text, scope text, mark_deleted boolean,
							OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	tab regclass := ('onec.' || pg_catalog.quote_ident(onec._local_table(target)))::regclass;
	part record;
	moved bigint;
BEGIN
	SELECT * INTO part FROM onec._merge_parts(tab);
	IF mark_deleted THEN
		part.set_list := part.set_list || ', is_deleted = false';
		part.differs := part.differs || ' OR t.is_deleted';
	END IF;
	EXECUTE pg_catalog.format(
		'CREATE TEMPORARY TABLE onec_change ON COMMIT DROP AS
			SELECT s.place, t.server IS NOT NULL AS here, %1$s
			FROM (SELECT ctid AS place, * FROM pg_temp.onec_stage) s
			%2$s JOIN (SELECT * FROM %3$s WHERE server = %4$L AND (%5$s)) t ON %6$s
			WHERE t.server IS NULL OR s.server IS NULL OR %7$s',
		(SELECT pg_catalog.string_agg(pg_catalog.format('t.%s', k), ', ') FROM pg_catalog.regexp_split_to_table(part.key, ', ') k),
		CASE WHEN scope IS NULL THEN 'LEFT' ELSE 'FULL' END, tab, server, coalesce(scope, 'true'), part.same_key, part.differs);
	IF target = 'sale_line' THEN
		PERFORM onec._touch_customers(server);
	ELSIF target = 'product' THEN
		PERFORM onec._touch_buyers(server);
	END IF;
	EXECUTE pg_catalog.format('UPDATE %s t SET %s FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place WHERE c.here AND %s',
		tab, part.set_list, part.same_key);
	GET DIAGNOSTICS updated = ROW_COUNT;
	EXECUTE pg_catalog.format(CASE WHEN mark_deleted THEN 'UPDATE %s t SET is_deleted = true FROM' ELSE 'DELETE FROM %s t USING' END
		|| ' pg_temp.onec_change s WHERE s.place IS NULL AND %s%s',
		tab, part.same_key, CASE WHEN mark_deleted THEN ' AND NOT t.is_deleted' ELSE '' END);
	GET DIAGNOSTICS deleted = ROW_COUNT;
	EXECUTE pg_catalog.format(
		'WITH written AS (INSERT INTO %1$s AS t (%2$s)
			SELECT %3$s FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place WHERE NOT c.here
			ON CONFLICT (%4$s) DO UPDATE SET %5$s RETURNING t.xmax = 0 AS fresh)
		 SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written',
		tab, part.columns, 's.' || pg_catalog.replace(part.columns, ', ', ', s.'), part.key,
		pg_catalog.regexp_replace(part.set_list, '= s\.', '= excluded.', 'g')) INTO inserted, moved;
	updated := updated + moved;
	DROP TABLE pg_temp.onec_change;
END $$;
COMMENT ON FUNCTION onec._merge(name, text, text, boolean) IS 'Привести местную таблицу к прочитанному, записав только отличия (служебная)';
REVOKE EXECUTE ON FUNCTION onec._merge(name, text, text, boolean) FROM PUBLIC;

-- Where the next run with a limit goes on: behind the rows read, or at the beginning when the end was reached.
CREATE FUNCTION onec._move_place(server name, target text, place bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_state t SET place = _move_place.place
	WHERE t.server = _move_place.server AND t.target = _move_place.target AND t.place <> _move_place.place;
	IF place > 0 THEN
		INSERT INTO onec.sync_state (server, target, place) VALUES (server, target, place) ON CONFLICT DO NOTHING;
		RAISE WARNING USING
			MESSAGE = format('%s: read up to row %s only, because of cards_limit', target, place),
			DETAIL = 'The next run goes on from there; until the end is reached nothing is taken for deleted.';
	END IF;
END $$;
COMMENT ON FUNCTION onec._move_place(name, text, bigint) IS 'Запомнить, докуда прочитан справочник (служебная)';
REVOKE EXECUTE ON FUNCTION onec._move_place(name, text, bigint) FROM PUBLIC;

-- Replace one window.  "from" and "till" are NULL for what has no date, infinite where the window is open.  With "part_of", a
-- condition that leaves out rows, nothing is taken for deleted.
CREATE FUNCTION onec._sync_window(server name, target text, from_ts timestamp, till_ts timestamp, max_rows int, part_of text,
								  OUT read bigint, OUT inserted bigint, OUT updated bigint, OUT deleted bigint, OUT truncated boolean)
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	date_column text := CASE target WHEN 'receipt' THEN 'date' ELSE 'period' END;
	has_mark boolean := target IN ('discount_card', 'counterparty', 'product', 'category', 'store');
	condition text := 'true';
	scope text;
	start bigint := 0;
BEGIN
	IF from_ts IS NOT NULL THEN
		-- rows with an empty date belong to the window that is open to the past
		condition := pg_catalog.concat_ws(' AND ',
			CASE WHEN from_ts <> '-infinity' THEN pg_catalog.format('%I >= %L::timestamp', date_column, from_ts) END,
			CASE WHEN till_ts <> 'infinity' THEN
				pg_catalog.format(CASE WHEN from_ts = '-infinity' THEN '(%I < %L::timestamp) IS NOT FALSE' ELSE '%I < %L::timestamp' END,
								  date_column, till_ts) END);
		IF condition = '' THEN
			condition := 'true';
		END IF;
	END IF;
	IF max_rows > 0 THEN
		start := coalesce((SELECT t.place FROM onec.sync_state t WHERE t.server = _sync_window.server AND t.target = _sync_window.target), 0);
	END IF;
	read := onec._stage(server, target, pg_catalog.concat_ws(' AND ', condition, part_of), max_rows, start);
	truncated := max_rows > 0 AND (read >= max_rows OR start > 0);
	PERFORM onec._move_place(server, target, CASE WHEN max_rows > 0 AND read >= max_rows THEN start + read ELSE 0 END);
	ANALYZE pg_temp.onec_stage;
	IF target = 'sale_line' THEN
		PERFORM onec._attribute(server);
	END IF;
	PERFORM onec._drop_forgotten(server, target);
	scope := CASE WHEN NOT truncated AND part_of IS NULL THEN condition END;
	SELECT m.inserted, m.updated, m.deleted INTO inserted, updated, deleted
	FROM onec._merge(server, target, scope, has_mark) m;
	DROP TABLE pg_temp.onec_stage;
END $$;
COMMENT ON FUNCTION onec._sync_window(name, text, timestamp, timestamp, int, text) IS 'Заменить одно окно местной таблицы (служебная)';
REVOKE EXECUTE ON FUNCTION onec._sync_window(name, text, timestamp, timestamp, int, text) FROM PUBLIC;

-- A base that publishes only the register of card sales: its rows are the sales.
CREATE FUNCTION onec._sales_from_cards(server name, OUT read bigint, OUT inserted bigint, OUT updated bigint, OUT deleted bigint, OUT truncated boolean)
	LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
		SELECT l.server, 'card_sales'::text AS register, l.recorder, l.recorder_type, l.line_no, l.period, l.active,
			   coalesce(l.owner_id, d.owner_id) AS customer_id, l.card_id, l.product_id, l.variant_id, l.quantity, l.amount, 'card'::text AS attribution
		FROM onec.card_sale_line l
		LEFT JOIN onec.discount_card d ON d.server = l.server AND d.card_id = l.card_id
		WHERE l.server = _sales_from_cards.server;
	GET DIAGNOSTICS read = ROW_COUNT;
	truncated := false;
	PERFORM onec._drop_forgotten(server, 'sale_line');
	ANALYZE pg_temp.onec_stage;
	SELECT m.inserted, m.updated, m.deleted INTO inserted, updated, deleted FROM onec._merge(server, 'sale_line', 'true', false) m;
	DROP TABLE pg_temp.onec_stage;
END $$;
COMMENT ON FUNCTION onec._sales_from_cards(name) IS 'Продажи из регистра продаж по картам, если другого нет (служебная)';
REVOKE EXECUTE ON FUNCTION onec._sales_from_cards(name) FROM PUBLIC;

-- The windows to read, oldest first: months, open at both ends where everything is wanted.
CREATE FUNCTION onec._windows(server name, target text, days int, deep boolean)
	RETURNS TABLE (from_ts timestamp, till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	date_column text := CASE target WHEN 'receipt' THEN 'date' ELSE 'period' END;
	today date := onec.local_now(server)::date;
	first timestamp;
BEGIN
	IF target NOT IN ('sale_line', 'card_sale_line', 'receipt', 'loyalty_movement', 'loyalty_lot') THEN
		RETURN QUERY SELECT NULL::timestamp, NULL::timestamp;
		RETURN;
	END IF;
	IF onec._is_nested(server, target) THEN
		-- any condition would read all of it
		RETURN QUERY SELECT '-infinity'::timestamp, 'infinity'::timestamp;
		RETURN;
	END IF;
	IF days IS NULL THEN
		EXECUTE pg_catalog.format('SELECT %1$I FROM %2$I.%3$I WHERE %1$I IS NOT NULL ORDER BY %1$I LIMIT 1', date_column, server, target)
			INTO first;
		first := least(pg_catalog.date_trunc('month', first), pg_catalog.date_trunc('month', today::timestamp));
		first := coalesce(first, pg_catalog.date_trunc('month', today::timestamp));
		RETURN QUERY SELECT '-infinity'::timestamp, first;
	ELSE
		first := today - days;
		-- a deep run compares the months before with 1C, once for the three tables of purchases
		IF deep AND target = 'card_sale_line' AND pg_catalog.to_regclass(pg_catalog.format('%I.sale_line', server)) IS NOT NULL
			AND NOT onec._is_nested(server, 'sale_line') THEN
			PERFORM onec._find_drift(server, first::date);
		END IF;
		IF target IN ('card_sale_line', 'sale_line', 'receipt') THEN
			RETURN QUERY
				SELECT d.month::timestamp, least(d.month + interval '1 month', first)
				FROM onec.drift d WHERE d.server = _windows.server AND d.repaired_at IS NULL AND d.month < first ORDER BY 1;
		END IF;
	END IF;
	RETURN QUERY
		SELECT greatest(m, first),
			   CASE WHEN m + interval '1 month' > today THEN 'infinity'::timestamp ELSE m + interval '1 month' END
		FROM pg_catalog.generate_series(pg_catalog.date_trunc('month', first), today::timestamp, interval '1 month') m;
END $$;
COMMENT ON FUNCTION onec._windows(name, text, int, boolean) IS 'Окна, которыми читается таблица (служебная)';
REVOKE EXECUTE ON FUNCTION onec._windows(name, text, int, boolean) FROM PUBLIC;

-- The steps, their tables, and what else they do.
CREATE FUNCTION onec._steps(wanted text[])
	RETURNS TABLE (ordinal int, step text, target text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT v.ordinal, v.step, v.target
		FROM (VALUES (1, 'cards', 'discount_card'), (2, 'counterparties', 'counterparty'),
					 (3, 'counterparties', 'counterparty_contact'), (4, 'products', 'category'), (5, 'products', 'product'),
					 (6, 'stores', 'store'), (7, 'purchases', 'card_sale_line'), (8, 'purchases', 'sale_line'),
					 (9, 'purchases', 'receipt'), (10, 'loyalty', 'loyalty_movement'), (11, 'loyalty', 'loyalty_lot'),
					 (12, 'profiles', 'site_user'), (13, 'profiles', 'customer_profile')) v (ordinal, step, target)
		WHERE wanted IS NULL OR v.step = ANY (wanted)
		ORDER BY 1;
	END;
COMMENT ON FUNCTION onec._steps(text[]) IS 'Шаги синхронизации по порядку (служебная)';

-- Runs whose process is gone, or does something else now.
CREATE FUNCTION onec._close_lost_runs(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.sync_run r SET status = 'interrupted', finished_at = now(), message = 'the process ended before the run'
	WHERE r.server = $1 AND r.status = 'running'
	  -- of another role's process only its number may be seen: then it counts as being at work
	  AND NOT EXISTS (SELECT FROM pg_stat_activity a
					  WHERE a.pid = r.pid AND coalesce(a.backend_start, r.backend_start) = r.backend_start
						AND coalesce(a.state, 'active') = 'active' AND a.pid <> pg_backend_pid());
	UPDATE onec.sync_step s SET status = 'failed', finished_at = now(), message = 'interrupted'
	FROM onec.sync_run r
	WHERE r.server = $1 AND r.status = 'interrupted' AND s.server = r.server AND s.run_id = r.run_id AND s.status IN ('running', 'waiting');
$$;
COMMENT ON FUNCTION onec._close_lost_runs(name) IS 'Закрыть запуски, чей процесс исчез (служебная)';
REVOKE EXECUTE ON FUNCTION onec._close_lost_runs(name) FROM PUBLIC;

-- Begin a run; NULL when another one works on the server.
CREATE FUNCTION onec._begin_run(server name, days int, steps text[]) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id bigint;
	busy boolean;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('onec sync ' || server, 0));
	PERFORM onec._close_lost_runs(server);
	busy := EXISTS (SELECT FROM onec.sync_run r WHERE r.server = _begin_run.server AND r.status = 'running');
	INSERT INTO onec.sync_run AS r (server, started_at, finished_at, status, pid, backend_start, days, message)
	SELECT _begin_run.server, clock_timestamp(), CASE WHEN busy THEN clock_timestamp() END,
		   CASE WHEN busy THEN 'skipped (busy)' ELSE 'running' END, pg_backend_pid(),
		   (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()), _begin_run.days,
		   CASE WHEN busy THEN 'another run is at work' END
	RETURNING r.run_id INTO id;
	IF busy THEN
		RETURN NULL;
	END IF;
	INSERT INTO onec.sync_step (server, run_id, ordinal, step, target, status)
	SELECT _begin_run.server, id, s.ordinal, s.step, s.target, 'waiting' FROM onec._steps(_begin_run.steps) s;
	RETURN id;
END $$;
COMMENT ON FUNCTION onec._begin_run(name, int, text[]) IS 'Начать запуск синхронизации (служебная)';
REVOKE EXECUTE ON FUNCTION onec._begin_run(name, int, text[]) FROM PUBLIC;

-- Add to a step what has been asked of 1C since the sums "before"; returns the new ones.
CREATE FUNCTION onec._account_requests(server name, run bigint, ordinal int, before bigint[]) RETURNS bigint[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sums bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec._totals() t);
BEGIN
	UPDATE onec.sync_step s
	SET requests = s.requests + sums[1] - before[1], retries = s.retries + sums[2] - before[2], bytes = s.bytes + sums[3] - before[3]
	WHERE s.server = _account_requests.server AND s.run_id = run AND s.ordinal = _account_requests.ordinal AND sums <> before;
	RETURN sums;
END $$;
COMMENT ON FUNCTION onec._account_requests(name, bigint, int, bigint[]) IS 'Записать за шагом его запросы к 1С (служебная)';
REVOKE EXECUTE ON FUNCTION onec._account_requests(name, bigint, int, bigint[]) FROM PUBLIC;

-- One window of one step, with its account; an error is kept with the step.
CREATE FUNCTION onec._run_window(server name, run bigint, ordinal int, target text, from_ts timestamp, till_ts timestamp, max_rows int,
								 part_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	w record;
	code text;
	text_of text;
	detail text;
	context text;
BEGIN
	IF target IN ('site_user', 'customer_profile') THEN
		PERFORM onec._drop_forgotten(server, target);
	END IF;
	IF target = 'site_user' THEN
		SELECT 0::bigint AS read, f.rows_inserted AS inserted, f.rows_updated AS updated, f.rows_deleted AS deleted, false AS truncated
		INTO w FROM onec._fold_people(server) f;
	ELSIF target = 'customer_profile' THEN
		SELECT 0::bigint AS read, f.rows_inserted AS inserted, f.rows_updated AS updated, f.rows_deleted AS deleted, false AS truncated
		INTO w FROM onec._refresh_customers(server, from_ts IS NOT NULL) f;
	ELSIF target = 'sale_line' AND pg_catalog.to_regclass(pg_catalog.format('%I.sale_line', server)) IS NULL THEN
		SELECT * INTO w FROM onec._sales_from_cards(server);
	ELSE
		SELECT * INTO w FROM onec._sync_window(server, target, from_ts, till_ts, max_rows, part_of);
	END IF;
	UPDATE onec.sync_step s
	SET windows_done = s.windows_done + 1, rows_read = s.rows_read + w.read, rows_inserted = s.rows_inserted + w.inserted,
		rows_updated = s.rows_updated + w.updated, rows_deleted = s.rows_deleted + w.deleted, truncated = s.truncated OR w.truncated
	WHERE s.server = _run_window.server AND s.run_id = run AND s.ordinal = _run_window.ordinal;
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, text_of = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT;
	text_of := onec._kept_message(code, text_of, detail, context);
	UPDATE onec.sync_step s
	SET status = 'failed', finished_at = pg_catalog.clock_timestamp(), error_code = code, message = text_of
	WHERE s.server = _run_window.server AND s.run_id = run AND s.ordinal = _run_window.ordinal;
	RAISE WARNING USING MESSAGE = pg_catalog.format('step "%s" failed: %s', target, text_of), ERRCODE = code;
	RETURN false;
END $$;
COMMENT ON FUNCTION onec._run_window(name, bigint, int, text, timestamp, timestamp, int, text) IS 'Выполнить одно окно шага и записать итог (служебная)';
REVOKE EXECUTE ON FUNCTION onec._run_window(name, bigint, int, text, timestamp, timestamp, int, text) FROM PUBLIC;

-- Prepare a step: its windows, or the reason why it has none.
CREATE FUNCTION onec._begin_step(server name, run bigint, ordinal int, target text, days int, deep boolean,
								 OUT from_list timestamp[], OUT till_list timestamp[])
	LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
	code text;
	text_of text;
	detail text;
	context text;
BEGIN
	UPDATE onec.sync_step s SET status = 'running', started_at = pg_catalog.clock_timestamp()
	WHERE s.server = _begin_step.server AND s.run_id = run AND s.ordinal = _begin_step.ordinal;
	IF target IN ('site_user', 'customer_profile')
		OR target = 'sale_line' AND pg_catalog.to_regclass(pg_catalog.format('%I.sale_line', server)) IS NULL
			AND pg_catalog.to_regclass(pg_catalog.format('%I.card_sale_line', server)) IS NOT NULL THEN
		-- a start without days: everything
		from_list := ARRAY[CASE WHEN days IS NULL THEN '-infinity'::timestamp END];
		till_list := from_list;
	ELSIF pg_catalog.to_regclass(pg_catalog.format('%I.%I', server, target)) IS NULL THEN
		UPDATE onec.sync_step s SET status = 'not published', finished_at = pg_catalog.clock_timestamp()
		WHERE s.server = _begin_step.server AND s.run_id = run AND s.ordinal = _begin_step.ordinal;
		RETURN;
	ELSE
		SELECT pg_catalog.array_agg(w.from_ts), pg_catalog.array_agg(w.till_ts) INTO from_list, till_list
		FROM onec._windows(server, target, days, deep) w;
	END IF;
	UPDATE onec.sync_step s SET windows_total = pg_catalog.cardinality(from_list)
	WHERE s.server = _begin_step.server AND s.run_id = run AND s.ordinal = _begin_step.ordinal;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, text_of = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT;
	text_of := onec._kept_message(code, text_of, detail, context);
	from_list := NULL;
	UPDATE onec.sync_step s SET status = 'failed', started_at = pg_catalog.clock_timestamp(), finished_at = pg_catalog.clock_timestamp(),
		error_code = code, message = text_of
	WHERE s.server = _begin_step.server AND s.run_id = run AND s.ordinal = _begin_step.ordinal;
	RAISE WARNING USING MESSAGE = pg_catalog.format('step "%s" failed: %s', target, text_of), ERRCODE = code;
END $$;
COMMENT ON FUNCTION onec._begin_step(name, bigint, int, text, int, boolean) IS 'Начать шаг: какие окна читать (служебная)';
REVOKE EXECUTE ON FUNCTION onec._begin_step(name, bigint, int, text, int, boolean) FROM PUBLIC;

CREATE FUNCTION onec._end_step(server name, run bigint, ordinal int, target text, days int) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_step s SET status = 'ok', finished_at = clock_timestamp()
	WHERE s.server = _end_step.server AND s.run_id = run AND s.ordinal = _end_step.ordinal;
	INSERT INTO onec.sync_state AS t (server, target, complete_from, last_ok)
	VALUES (_end_step.server, _end_step.target,
			CASE WHEN days IS NULL THEN '-infinity'::timestamp ELSE onec.local_now(_end_step.server)::date - days END, clock_timestamp())
	ON CONFLICT ON CONSTRAINT sync_state_pkey DO UPDATE
	SET complete_from = least(t.complete_from, excluded.complete_from), last_ok = excluded.last_ok;
	-- the receipts are the last of the purchases
	UPDATE onec.drift d SET repaired_at = clock_timestamp()
	WHERE d.server = _end_step.server AND d.repaired_at IS NULL AND _end_step.target = 'receipt'
	  AND NOT EXISTS (SELECT FROM onec.sync_step s WHERE s.server = d.server AND s.run_id = run AND s.step = 'purchases' AND s.status = 'failed');
END $$;
COMMENT ON FUNCTION onec._end_step(name, bigint, int, text, int) IS 'Закончить шаг (служебная)';
REVOKE EXECUTE ON FUNCTION onec._end_step(name, bigint, int, text, int) FROM PUBLIC;

CREATE FUNCTION onec._end_run(server name, run bigint) RETURNS text
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.sync_run r
	SET finished_at = clock_timestamp(),
		status = (SELECT CASE WHEN bool_and(s.status <> 'failed') THEN 'ok'
							  WHEN bool_and(s.status IN ('failed', 'not published')) THEN 'failed'
							  ELSE 'partial' END
				  FROM onec.sync_step s WHERE s.server = r.server AND s.run_id = r.run_id),
		message = (SELECT string_agg(s.target || ': ' || s.message, '; ' ORDER BY s.ordinal)
				   FROM onec.sync_step s WHERE s.server = r.server AND s.run_id = r.run_id AND s.status = 'failed')
	WHERE r.server = $1 AND r.run_id = $2
	RETURNING r.status
$$;
COMMENT ON FUNCTION onec._end_run(name, bigint) IS 'Закончить запуск (служебная)';
REVOKE EXECUTE ON FUNCTION onec._end_run(name, bigint) FROM PUBLIC;

CREATE FUNCTION onec._step_line(server name, run bigint, ordinal int) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s: %s read, %s inserted, %s updated, %s deleted in %s s', s.target, s.rows_read, s.rows_inserted,
				  s.rows_updated, s.rows_deleted, round(extract(epoch FROM s.finished_at - s.started_at)::numeric, 1))
	FROM onec.sync_step s WHERE s.server = $1 AND s.run_id = $2 AND s.ordinal = $3
$$;
COMMENT ON FUNCTION onec._step_line(name, bigint, int) IS 'Итог шага одной строкой (служебная)';

CREATE FUNCTION onec._check_steps(steps text[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unknown text;
BEGIN
	SELECT string_agg(u, ', ') INTO unknown FROM unnest(steps) u
	WHERE u NOT IN (SELECT s.step FROM onec._steps(NULL) s);
	IF unknown IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unrecognized step: %s', unknown),
			HINT = 'Steps are cards, counterparties, products, stores, purchases, loyalty, profiles.';
	END IF;
	IF current_setting('transaction_read_only')::boolean THEN
		RAISE read_only_sql_transaction USING MESSAGE = 'cannot execute onec.sync in a read-only transaction';
	END IF;
END $$;
COMMENT ON FUNCTION onec._check_steps(text[]) IS 'Проверить параметры синхронизации (служебная)';

CREATE PROCEDURE onec._sync(server name, days int, cards_limit int, steps text[], deep boolean)
	LANGUAGE plpgsql
AS $$
DECLARE
	run bigint;
	s record;
	w record;
	step_days int;
	good boolean;
	asked bigint[];
BEGIN
	run := onec._begin_run(server, days, steps);
	COMMIT;
	IF run IS NULL THEN
		RAISE NOTICE USING MESSAGE = pg_catalog.format('sync of "%s" skipped (busy): another run is at work', server);
		RETURN;
	END IF;
	-- who reads everything also finds out anew what the base refuses: it may have been a passing trouble
	IF days IS NULL THEN
		PERFORM onec.forget_refusals(server);
	END IF;
	FOR s IN SELECT t.ordinal, t.target, t.step FROM onec._steps(steps) t ORDER BY t.ordinal LOOP
		CONTINUE WHEN s.step = 'loyalty' AND NOT onec.get('loyalty.enabled', server)::boolean;
		-- a table never read completely is read from the beginning; after a pause longer than "days" its days are read, too
		step_days := (SELECT CASE WHEN days IS NOT NULL THEN
						  greatest(days, pg_catalog.ceil(extract(epoch FROM pg_catalog.clock_timestamp() - t.last_ok) / 86400)::int) END
					  FROM onec.sync_state t WHERE t.server = _sync.server AND t.target = s.target);
		asked := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec._totals() t);
		SELECT b.from_list, b.till_list INTO w FROM onec._begin_step(server, run, s.ordinal, s.target, step_days, deep) b;
		COMMIT;
		CONTINUE WHEN w.from_list IS NULL;
		good := true;
		FOR i IN 1 .. pg_catalog.cardinality(w.from_list) LOOP
			good := onec._run_window(server, run, s.ordinal, s.target, w.from_list[i], w.till_list[i],
									 CASE WHEN s.target = 'discount_card' THEN cards_limit ELSE 0 END);
			asked := onec._account_requests(server, run, s.ordinal, asked);
			COMMIT;
			EXIT WHEN NOT good;
		END LOOP;
		IF good THEN
			PERFORM onec._end_step(server, run, s.ordinal, s.target, step_days);
			IF s.target = 'loyalty_movement' AND (days IS NULL OR NOT EXISTS (SELECT FROM onec.loyalty_rule r WHERE r.server = _sync.server)) THEN
				PERFORM onec.choose_loyalty_rule(server);
			END IF;
			COMMIT;
			RAISE NOTICE USING MESSAGE = onec._step_line(server, run, s.ordinal);
		END IF;
	END LOOP;
	DELETE FROM onec.sync_step t WHERE t.server = _sync.server AND t.run_id = run AND t.status = 'waiting';
	PERFORM onec.remember_refusals(server);
	PERFORM onec._end_run(server, run);
	COMMIT;
END $$;
COMMENT ON PROCEDURE onec._sync(name, int, int, text[], boolean) IS 'Синхронизация без проверок (служебная)';
REVOKE EXECUTE ON PROCEDURE onec._sync(name, int, int, text[], boolean) FROM PUBLIC;

CREATE FUNCTION onec._in_transaction_block() RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_in_transaction_block';
COMMENT ON FUNCTION onec._in_transaction_block() IS 'Внутри BEGIN … COMMIT или другого блока, который нельзя завершить (служебная)';

CREATE PROCEDURE onec.sync(server name DEFAULT NULL, days int DEFAULT NULL, cards_limit int DEFAULT NULL,
						   steps text[] DEFAULT NULL, full_reload boolean DEFAULT false, deep boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
DECLARE
	srv name;
BEGIN
	IF onec._in_transaction_block() THEN
		RAISE invalid_transaction_termination USING
			MESSAGE = 'onec.sync cannot run inside a transaction block',
			HINT = 'It commits window by window: call it outside of BEGIN … COMMIT, as a statement of its own.';
	END IF;
	-- fails here, before the first request, wherever committing is impossible
	COMMIT;
	PERFORM onec._check_steps(steps);
	srv := onec._server(server);
	IF pg_catalog.to_regclass(pg_catalog.format('%I.sale_line', srv)) IS NULL
		AND pg_catalog.to_regclass(pg_catalog.format('%I.discount_card', srv)) IS NULL THEN
		RAISE undefined_table USING
			MESSAGE = pg_catalog.format('server "%s" has no foreign tables of the shop', srv),
			HINT = pg_catalog.format('Run SELECT * FROM onec.setup(%L) first.', srv);
	END IF;
	CALL onec._sync(srv,
		CASE WHEN full_reload THEN NULL ELSE coalesce(days, onec.get('sync.purchase_days', srv)::int) END,
		coalesce(cards_limit, onec.get('sync.cards_limit', srv)::int), steps, deep);
END $$;
COMMENT ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean) IS
	'Синхронизация с 1С: карты, контрагенты, товары, магазины, покупки за days дней, баллы, профили; фиксирует каждое окно, можно прервать и повторить; deep — ещё и сверить старые месяцы и перечитать разошедшиеся';
REVOKE EXECUTE ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean) FROM PUBLIC;
