-- Who is forgotten, and what is too old to be kept: neither comes back with the next reading.
--
-- 1C goes on holding whom we forget, and every sync would bring them back.  So their references, which say
-- nothing by themselves, stay in onec.forgotten, and the rows that a sync stages are passed through
-- onec_internal.drop_forgotten_from_staged.

CREATE TABLE onec.forgotten (
	server name NOT NULL,
	id uuid NOT NULL,
	forgotten_at timestamptz NOT NULL DEFAULT now(),
	requested_by name NOT NULL DEFAULT session_user,
	PRIMARY KEY (server, id)
);
COMMENT ON TABLE onec.forgotten IS
	'Кого забыли (onec.forget): только ссылки 1С, чтобы синхронизация не вернула человека; строку можно '
	'удалить, когда он снова согласен';
COMMENT ON COLUMN onec.forgotten.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.forgotten.id IS 'Ссылка на контрагента или карту в 1С';
COMMENT ON COLUMN onec.forgotten.forgotten_at IS 'Когда';
COMMENT ON COLUMN onec.forgotten.requested_by IS 'Кто вызвал: роль PostgreSQL';
SELECT pg_catalog.pg_extension_config_dump('onec.forgotten', '');

-- The day before which purchases are neither kept nor read.  Points are: their balances are sums of all
-- movements.
CREATE FUNCTION onec_internal.purchases_kept_since(server name, target text) RETURNS timestamp
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days int;
	since date;
BEGIN
	IF (SELECT t.purge FROM onec.target t WHERE t.target = purchases_kept_since.target) = 'date' THEN
		since := (SELECT b.purged_before FROM onec_internal.base b
				  WHERE b.server = purchases_kept_since.server);
		days := onec.get('keep.purchase_days', server);
		IF days > 0 THEN
			since := greatest(since, (now() AT TIME ZONE onec_internal.server_zone(server))::date - days);
		END IF;
	END IF;
	RETURN coalesce(since::timestamp, onec_internal.first_moment());
END $$;
COMMENT ON FUNCTION onec_internal.purchases_kept_since(name, text) IS
	'С какого дня хранятся покупки (служебная)';

CREATE FUNCTION onec_internal.people_lock_key(server name) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN hashtextextended('onec people ' || server, 0);
COMMENT ON FUNCTION onec_internal.people_lock_key(name) IS 'Ключ блокировки строк о людях (служебная)';

-- Whoever makes rows about people of a base (shared) and whoever erases them (alone) wait for one another,
-- and what they read from then on is what the other has left.  A snapshot that is older than the lock would
-- show whom nobody may see any more.  Nobody waits who only reads, nor whoever is at work on another base.
CREATE FUNCTION onec_internal.lock_people(server name, alone boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key bigint := onec_internal.people_lock_key(server);
BEGIN
	IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		RAISE invalid_transaction_state USING
			MESSAGE = 'rows about people are written and erased in READ COMMITTED only',
			DETAIL = 'Whoever is forgotten meanwhile would be seen, or left, by a transaction '
					 'that looks at an older state.',
			HINT = 'SET default_transaction_isolation = ''read committed'' first.';
	ELSIF alone THEN
		PERFORM pg_advisory_xact_lock(key);
	ELSE
		PERFORM pg_advisory_xact_lock_shared(key);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.lock_people(name, boolean) IS
	'Не дать забывать людей базы или, если alone, записывать их до конца транзакции (служебная)';

-- Which rows are about people, by which columns, and what is to become of them: of what is synced its target
-- says so; what is made of it here goes, and what is added later is found as well.
CREATE FUNCTION onec_internal.tables_about_people() RETURNS TABLE (table_name text, relation text,
	people name[], erasure text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat(nullif(t.table_schema, 'onec') || '.', t.table_name),
		   onec_internal.table_of_target(t.target), t.people, t.erasure
	FROM onec.target t WHERE t.erasure <> 'none'
		AND to_regclass(onec_internal.table_of_target(t.target)) IS NOT NULL
	UNION ALL
	SELECT c.relname::text, c.oid::regclass::text, array_agg(a.attname ORDER BY a.attnum), 'delete'
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		AND a.atttypid = 'uuid'::regtype
	JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
		AND e.extname = 'onec_fdw'
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  -- key_id: of whatever object, people among them
	  AND a.attname IN ('customer_id', 'user_id', 'owner_id', 'card_id', 'discount_card_id', 'key_id')
	  AND NOT EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname)
	GROUP BY c.oid, c.relname
$$;
COMMENT ON FUNCTION onec_internal.tables_about_people() IS
	'Таблицы со строками о людях, по каким столбцам они чьи, и что с ними делать (служебная)';

-- References of several types, as a mirrored set may have them, are text.
CREATE FUNCTION onec_internal.is_text_column(relation text, field name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(relation) AND a.attname = field
				   AND a.atttypid = 'text'::regtype);
COMMENT ON FUNCTION onec_internal.is_text_column(text, name) IS 'Текст ли этот столбец (служебная)';

-- The statement that takes the people of the array $1 out of the rows of a server in a relation.  Sales and
-- receipts stay, for the shop's sums are made of them, but are nobody's; another's purchase with a card of
-- theirs stays his.  Rows of card sales stay as well: without them a line of somebody else that looks alike
-- would be taken for theirs.  "has_buyer": it is worked out here whose a row is; "also": a condition on rows
-- that are to go with them.
CREATE FUNCTION onec_internal.erasure_statement(relation text, server name, people name[], erasure text,
												has_buyer boolean, also text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE WHEN $4 = 'delete' THEN 'DELETE FROM %1$s t WHERE t.server = %4$s AND (%2$s)'
		WHEN $5 THEN
			'UPDATE %1$s t SET card_id = NULL, customer_id = CASE WHEN t.customer_id <> ALL '
			'($1) THEN t.customer_id END, '
			'attribution = CASE WHEN t.customer_id <> ALL ($1) THEN t.attribution ELSE %5$s END %6$s '
			'WHERE t.server = %4$s AND (%2$s)'
		ELSE 'UPDATE %1$s t SET %3$s WHERE t.server = %4$s AND (%2$s)' END,
		$1, concat_ws(' OR ', string_agg(format(CASE WHEN onec_internal.is_text_column($1, p)
											 THEN 'onec_internal.reference_uuid(t.%I) = ANY ($1)'
											 ELSE 't.%I = ANY ($1)' END, p), ' OR '), $6),
		string_agg(format('%I = NULL', p), ', '), onec_internal.server_in($1, $2),
		onec_internal.own_term('anonymous'),
		CASE WHEN onec_internal.has_column($1, 'person_id')
			 THEN ', person_id = CASE WHEN t.customer_id <> ALL ($1) THEN t.customer_id '
				  'ELSE t.recorder END' END)
	FROM unnest($3) p
$$;
COMMENT ON FUNCTION onec_internal.erasure_statement(text, name, name[], text, boolean, text) IS
	'Запрос, который убирает людей из таблицы (служебная)';

-- Between staging and merging: whoever is forgotten leaves pg_temp.onec_stage as they left the local tables.
CREATE FUNCTION onec_internal.drop_forgotten_from_staged(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	since timestamp := onec_internal.purchases_kept_since(server, target);
	ids uuid[];
	t onec.target;
	touched bigint;
BEGIN
	PERFORM onec_internal.lock_people(server, false);
	IF since > onec_internal.first_moment() AND to_regclass('pg_temp.onec_stage') IS NOT NULL THEN
		EXECUTE format('DELETE FROM pg_temp.onec_stage s WHERE s.%I < $1', onec_internal.date_column(target))
			USING since;
	END IF;
	ids := ARRAY(SELECT f.id FROM onec.forgotten f WHERE f.server = drop_forgotten_from_staged.server);
	IF ids = '{}' OR to_regclass('pg_temp.onec_stage') IS NULL THEN
		RETURN 0;
	END IF;
	t := onec_internal.target_named(target);
	IF t.erasure = 'none' THEN
		RETURN 0;
	END IF;
	IF t.unit = '{card_id}' AND 'owner_id' = ANY (t.people) THEN
		-- a new card of theirs is theirs
		INSERT INTO onec.forgotten (server, id)
		SELECT s.server, s.card_id FROM pg_temp.onec_stage s WHERE s.owner_id = ANY (ids)
		ON CONFLICT DO NOTHING;
	END IF;
	EXECUTE onec_internal.erasure_statement('pg_temp.onec_stage', server, t.people, t.erasure,
											onec_internal.has_buyer(target),
		-- made of card sales that are nobody's already
		CASE WHEN onec_internal.has_buyer(target)
			 THEN 't.customer_id IS NULL AND t.card_id IS NULL AND t.attribution <> '
				  || onec_internal.own_term('anonymous') END)
		USING ids;
	GET DIAGNOSTICS touched = ROW_COUNT;
	RETURN touched;
END $$;
COMMENT ON FUNCTION onec_internal.drop_forgotten_from_staged(name, text) IS
	'Убрать забытых из прочитанных строк; возвращает, сколько строк затронуто (служебная)';
