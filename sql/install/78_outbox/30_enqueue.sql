-- A change is put into the outbox in the transaction of whoever wants it; nothing is asked of 1C.

-- The role of the session, SET ROLE heeded: within a function that runs with its owner's rights no other
-- tells.
CREATE FUNCTION onec_internal.calling_role() RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(nullif(current_setting('role'), 'none')::name, session_user);
END $$;
COMMENT ON FUNCTION onec_internal.calling_role() IS 'Роль того, кто вызывает (служебная)';

-- The server, if it may be written to, now or once, and is the one that was set up.
CREATE FUNCTION onec_internal.written_server(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- as nearly ever: the very server that was set up
	IF EXISTS (SELECT FROM onec_internal.outbox_base b
			   JOIN pg_foreign_server s ON s.srvname = b.server AND s.oid = b.server_oid
			   WHERE b.server = written_server.server) THEN
		RETURN server;
	END IF;
	server := onec_internal.live_server_meant(server);
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_base b WHERE b.server = written_server.server)
		OR onec_internal.is_another_base(server) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = CASE WHEN onec_internal.is_updatable(server)
						   THEN format('what server "%s" takes is not known yet', server)
						   ELSE format('server "%s" is read only', server) END,
			HINT = concat(CASE WHEN NOT onec_internal.is_updatable(server) THEN
				format('If the shop is to write to 1C: ALTER SERVER %I OPTIONS (ADD updatable ''on''); then ',
					   server) END, format('SELECT * FROM onec.setup(%L);', server));
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.written_server(name) IS
	'Сервер, в который можно или можно было писать, иначе ошибка (служебная)';

CREATE FUNCTION onec_internal.check_allowed(server name, role name, entity_set text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = check_allowed.role) AND NOT EXISTS (
		SELECT FROM onec.outbox_allowed a JOIN pg_roles r ON r.oid = a.role_id
		WHERE a.server = check_allowed.server AND a.entity_set = check_allowed.entity_set
		  AND pg_has_role(check_allowed.role, r.oid, 'USAGE')) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('role "%s" may not write "%s" of server "%s"', role, entity_set, server),
			HINT = format('SELECT onec.allow_write(%L, %L, %L);', role, ARRAY[entity_set], server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_allowed(name, name, text) IS 'Может ли роль писать набор (служебная)';

-- Raise what is wrong with the body, by the name of the field.  Returns the references in it.
CREATE FUNCTION onec_internal.check_body(server name, entity_set text, body jsonb) RETURNS uuid[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off -- plans are kept, and the table may have been small when they were made
AS $$
DECLARE
	f record;
	near text;
BEGIN
	IF jsonb_typeof(body) <> 'object' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'the body must be an object: properties and values';
	END IF;
	f := onec_internal.body_fault(server, entity_set, body);
	IF f.fault IS NULL THEN
		RETURN f.named;
	END IF;
	IF f.fault = 'is no property of it' THEN
		near := onec_internal.nearest_words(f.name, ARRAY(
			SELECT p.property FROM onec_internal.outbox_property p
			WHERE p.server = check_body.server AND p.entity_set = check_body.entity_set AND p.part = f.part));
	END IF;
	RAISE invalid_parameter_value USING
		MESSAGE = format('"%s" of "%s" %s', CASE f.part WHEN '' THEN f.name
			ELSE format('%s[%s].%s', f.part, f.line, f.name) END, entity_set, f.fault),
		HINT = coalesce('Perhaps you meant: ' || near || '.', format('SELECT * FROM onec.properties(%L, %L) '
			'lists what the object has; after a change in 1C run onec.setup again.', server, entity_set));
END $$;
COMMENT ON FUNCTION onec_internal.check_body(name, text, jsonb) IS
	'Отказать, если тело записи не подходит объекту; ссылки, которые в нём есть (служебная)';

CREATE FUNCTION onec_internal.check_load_mode(role name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = role) THEN
		RAISE insufficient_privilege USING
			MESSAGE = 'only a superuser may write past the checks of the configuration (load_mode)';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_load_mode(name) IS
	'Отказать, если роль не вправе писать без проверок конфигурации (служебная)';

CREATE FUNCTION onec_internal.refuse_change(why text, hint text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE invalid_parameter_value USING MESSAGE = why, HINT = coalesce(hint, '');
END $$;
COMMENT ON FUNCTION onec_internal.refuse_change(text, text) IS 'Отказать с объяснением (служебная)';

-- Whether objects of a set may be deleted for good: the owner of the server has said so, of it or of a table;
-- anybody else's table says nothing.
CREATE FUNCTION onec_internal.is_deletable(server name, entity_set text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_foreign_server s
				   WHERE s.srvname = $1 AND ('delete_mode=physical' = ANY (s.srvoptions) OR EXISTS (
					   SELECT FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid
					   WHERE t.ftserver = s.oid AND pg_has_role(c.relowner, s.srvowner, 'USAGE')
						 AND t.ftoptions @> ARRAY['delete_mode=physical', 'entity_set=' || $2])));
COMMENT ON FUNCTION onec_internal.is_deletable(name, text) IS
	'Разрешено ли удалять объекты набора из базы (служебная)';

-- merge_rows: tabular parts only, and fields of them.
CREATE FUNCTION onec_internal.check_merge(server name, entity_set text, body jsonb, merge_by text[])
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text := (
		SELECT format('%s of "%s"', b.name, e.key)
		FROM jsonb_each(body) e CROSS JOIN unnest(merge_by) b (name)
		WHERE NOT EXISTS (SELECT FROM onec_internal.outbox_property p
						  WHERE (p.server, p.entity_set, p.part, p.property)
							  = (check_merge.server, check_merge.entity_set, e.key, b.name)) LIMIT 1);
BEGIN
	IF missing IS NOT NULL THEN
		PERFORM onec_internal.refuse_change(format('merge_rows knows no %s: its body has tabular parts '
			'only, and merge_by fields of them', missing));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_merge(name, text, jsonb, text[]) IS
	'Отказать, если строки нельзя так дополнить (служебная)';

-- What an operation needs, and what it must not have.  Returns the references that the body names.
CREATE FUNCTION onec_internal.check_change(server name, entity_set text, operation text, key uuid, body jsonb,
										   merge_by text[]) RETURNS uuid[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	named uuid[];
BEGIN
	PERFORM onec_internal.checked_word('operation', coalesce(operation, ''),
									   '{create,patch,merge_rows,post,unpost,mark,delete}');
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_property p
				   WHERE p.server = check_change.server AND p.entity_set = check_change.entity_set) THEN
		PERFORM onec_internal.checked_word('entity set that can be written', coalesce(entity_set, ''), ARRAY(
			SELECT DISTINCT p.entity_set FROM onec_internal.outbox_property p
			WHERE p.server = check_change.server ORDER BY 1));
	ELSIF key = '00000000-0000-0000-0000-000000000000' OR key IS NULL AND operation <> 'create' THEN
		PERFORM onec_internal.refuse_change(format('operation "%s" needs the key of the object', operation));
	ELSIF operation IN ('post', 'unpost') AND entity_set NOT LIKE 'Document\_%' THEN
		PERFORM onec_internal.refuse_change(format('"%s" is no document: it cannot be posted', entity_set));
	ELSIF operation = 'delete' AND NOT onec_internal.is_deletable(server, entity_set) THEN
		PERFORM onec_internal.refuse_change(format('objects of "%s" are marked, not deleted', entity_set),
			format('operation "mark"; or, where nothing else refers to them: ALTER SERVER %I OPTIONS (ADD '
				   'delete_mode ''physical'');', server));
	ELSIF (body IS NULL) <> (operation IN ('post', 'unpost', 'mark', 'delete')) THEN
		PERFORM onec_internal.refuse_change(format(CASE WHEN body IS NULL THEN 'operation "%s" needs a body'
			ELSE 'operation "%s" takes no body' END, operation));
	ELSIF (cardinality(merge_by) > 0) IS NOT TRUE AND operation = 'merge_rows' OR merge_by IS NOT NULL
		AND operation <> 'merge_rows' THEN
		PERFORM onec_internal.refuse_change('merge_by names the fields by which merge_rows knows a row');
	END IF;
	IF body IS NOT NULL THEN
		named := onec_internal.check_body(server, entity_set, body);
	END IF;
	IF operation = 'merge_rows' THEN
		PERFORM onec_internal.check_merge(server, entity_set, body, merge_by);
	END IF;
	RETURN named;
END $$;
COMMENT ON FUNCTION onec_internal.check_change(name, text, text, uuid, jsonb, text[]) IS
	'Отказать, если изменение не может быть сделано; ссылки, которые есть в теле (служебная)';

-- The open rows that create one of these objects: whoever names them has to wait for those.
CREATE FUNCTION onec_internal.creations_of(server name, keys uuid[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off -- the plan is kept, and the outbox may have been empty when it was made
AS $$
BEGIN
	RETURN ARRAY(SELECT o.id FROM onec.outbox o
				 WHERE o.server = creations_of.server AND o.key = ANY (keys) AND o.operation = 'create');
END $$;
COMMENT ON FUNCTION onec_internal.creations_of(name, uuid[]) IS
	'Строки очереди, создающие эти объекты (служебная)';

-- Raise unless each row that a change is to wait for is there, or was: one of this server, put there before.
CREATE FUNCTION onec_internal.check_awaited(server name, ids bigint[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
AS $$
DECLARE
	wrong record;
BEGIN
	SELECT n.id INTO wrong FROM unnest(ids) n (id)
	WHERE NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = check_awaited.server AND o.id = n.id)
	  AND NOT EXISTS (SELECT FROM onec.outbox_history h
					  WHERE h.server = check_awaited.server AND h.id = n.id) LIMIT 1;
	IF FOUND THEN
		PERFORM onec_internal.refuse_change(
			format('depends_on names row %s, which is none of the outbox of server "%s"',
				   coalesce(wrong.id::text, 'NULL'), server),
			'A row waits for rows of its server that were put there before it: the ids that onec.enqueue '
			'has returned.');
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_awaited(name, bigint[]) IS
	'Отказать, если строк, которых надо ждать, в очереди базы нет и не было (служебная)';

-- What those wait at who change one object at a time, until the transaction before them ends: then the order
-- of their rows is the order of their commits.  A lock of its own for each object would be more than the lock
-- table holds, where one transaction changes many: objects share 1024.
CREATE FUNCTION onec_internal.line_lock_key(server name, key uuid) RETURNS bigint
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN hashtextextended(format('onec outbox %s %s', server, uuid_hash(key) & 1023), 0);
END $$;
COMMENT ON FUNCTION onec_internal.line_lock_key(name, uuid) IS
	'Ключ блокировки, по которой изменения объекта идут в порядке фиксации (служебная)';

-- What a change writes, as one short text.
CREATE FUNCTION onec_internal.change_print(body jsonb, merge_by text[]) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN encode(sha256(convert_to(concat_ws(' ', body, merge_by), 'UTF8')), 'hex');
END $$;
COMMENT ON FUNCTION onec_internal.change_print(jsonb, text[]) IS 'Отпечаток изменения (служебная)';

-- The row of this key, if it is known: what it asks for must be the same, as far as the arguments tell it.
CREATE FUNCTION onec_internal.known_change(server name, entity_set text, operation text, idempotency text,
										   asked text, asked_key uuid)
	RETURNS onec_internal.outbox_key
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
AS $$
DECLARE
	k onec_internal.outbox_key;
BEGIN
	SELECT * INTO k FROM onec_internal.outbox_key o
	WHERE o.server = known_change.server AND o.idempotency = known_change.idempotency;
	IF k.id IS NOT NULL AND ((k.entity_set, k.operation) <> (entity_set, operation)
							 OR k.asked <> asked OR k.key <> onec_internal.site_key(server, asked_key)) THEN
		RAISE unique_violation USING
			MESSAGE = 'the idempotency key has been used for another change',
			DETAIL = format('It was to %s "%s", outbox row %s.', k.operation, k.entity_set, k.id);
	END IF;
	RETURN k;
END $$;
COMMENT ON FUNCTION onec_internal.known_change(name, text, text, text, text, uuid) IS
	'Строка с этим ключом идемпотентности (служебная)';

-- In a base that gives new objects keys of its own a creation needs a mark.
CREATE FUNCTION onec_internal.check_markable(server name, entity_set text, body jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.marker_property(server, entity_set, body) IS NULL THEN
		RAISE feature_not_supported USING
			MESSAGE = format('server "%s" gives new objects keys of its own, and no property of "%s" can '
							 'carry a mark', server, entity_set),
			DETAIL = 'Whether a creation with an unknown outcome was stored could not be found out there.',
			HINT = format('SELECT onec.set(''outbox.marker'', …, %L) names properties that can, texts with '
						  'room for 39 characters more.', server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_markable(name, text, jsonb) IS
	'Отказать, если новый объект нечем пометить (служебная)';

-- The status that a row begins with.
CREATE FUNCTION onec_internal.first_status(server name, depends_on bigint[]) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN onec.get('outbox.preview', server)::boolean THEN 'preview'
				WHEN coalesce(depends_on, '{}') = '{}' THEN 'pending' ELSE 'waiting' END;
END $$;
COMMENT ON FUNCTION onec_internal.first_status(name, bigint[]) IS
	'Состояние новой строки очереди (служебная)';

-- Whoever waits for work, or for an outcome, need not poll: channel onec_outbox, the number of the row and
-- its status.
CREATE FUNCTION onec_internal.tell_outbox(server name, id bigint, status text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec.get('outbox.notify', server)::boolean THEN
		PERFORM pg_notify('onec_outbox', format('%s %s', id, status));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.tell_outbox(name, bigint, text) IS
	'Сообщить о строке очереди: NOTIFY onec_outbox, номер и состояние (служебная)';

CREATE FUNCTION onec_internal.put_into_outbox(o onec.outbox, asked text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	number bigint := nextval('onec.outbox_id_seq');
	status text := onec_internal.first_status(o.server, o.depends_on);
BEGIN
	IF o.idempotency IS NOT NULL THEN
		INSERT INTO onec_internal.outbox_key (server, idempotency, id, entity_set, operation, key, asked)
		VALUES (o.server, o.idempotency, number, o.entity_set, o.operation, o.key, asked)
		ON CONFLICT ON CONSTRAINT outbox_key_pkey DO NOTHING;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
	END IF;
	INSERT INTO onec.outbox (server, id, entity_set, operation, key, body, data_version, merge_by, depends_on,
							 idempotency, requested_by, status, load_mode) OVERRIDING SYSTEM VALUE
	VALUES (o.server, number, o.entity_set, o.operation, o.key, o.body, o.data_version, o.merge_by,
			o.depends_on, o.idempotency, o.requested_by, status, o.load_mode);
	PERFORM onec_internal.tell_outbox(o.server, number, status);
	RETURN number;
END $$;
COMMENT ON FUNCTION onec_internal.put_into_outbox(onec.outbox, text) IS
	'Поставить строку в очередь; NULL — ключ идемпотентности уже есть (служебная)';

CREATE FUNCTION onec.enqueue(server name, entity_set text, operation text, key uuid DEFAULT NULL,
							 body jsonb DEFAULT NULL, depends_on bigint[] DEFAULT NULL,
							 idempotency text DEFAULT NULL, data_version text DEFAULT NULL,
							 merge_by text[] DEFAULT NULL, load_mode boolean DEFAULT false, OUT id bigint,
							 OUT object_key uuid)
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan -- no plan of its own for each body: see 35_rows.sql
AS $$
DECLARE
	row onec.outbox;
	asked text := CASE WHEN idempotency IS NOT NULL THEN onec_internal.change_print(body, merge_by) END;
	named uuid[];
	known onec_internal.outbox_key;
BEGIN
	PERFORM onec_internal.must_write('enqueue');
	row.server := onec_internal.written_server(server);
	row.requested_by := onec_internal.calling_role();
	PERFORM onec_internal.check_allowed(row.server, row.requested_by, entity_set);
	IF load_mode THEN
		PERFORM onec_internal.check_load_mode(row.requested_by);
	END IF;
	IF idempotency = '' THEN
		PERFORM onec_internal.refuse_change('an empty text is no idempotency key');
	ELSIF idempotency IS NOT NULL THEN
		known := onec_internal.known_change(row.server, entity_set, operation, idempotency, asked, key);
	END IF;
	IF known.id IS NOT NULL THEN
		id := known.id;
		object_key := known.key;
		RETURN;
	END IF;
	named := onec_internal.check_change(row.server, entity_set, operation, key, body, merge_by);
	IF depends_on <> '{}' THEN
		PERFORM onec_internal.check_awaited(row.server, depends_on);
	END IF;
	IF operation = 'create' AND NOT onec_internal.client_keys(row.server) THEN
		PERFORM onec_internal.check_markable(row.server, entity_set, body);
	END IF;
	row.entity_set := entity_set;
	row.operation := operation;
	-- one name for one object, so that its changes keep their order
	row.key := CASE WHEN key IS NULL THEN gen_random_uuid() ELSE onec_internal.site_key(row.server, key) END;
	-- nobody else knows of what is new
	IF operation <> 'create' THEN
		PERFORM pg_advisory_xact_lock(onec_internal.line_lock_key(row.server, row.key));
	END IF;
	row.body := CASE operation WHEN 'mark' THEN '{"DeletionMark": true}' ELSE body END;
	row.data_version := data_version;
	row.merge_by := merge_by;
	row.load_mode := coalesce(load_mode, false);
	row.depends_on := coalesce(depends_on, '{}') || onec_internal.creations_of(row.server, named);
	IF row.depends_on <> '{}' THEN
		row.depends_on := ARRAY(SELECT DISTINCT d FROM unnest(row.depends_on) d ORDER BY 1);
	END IF;
	row.idempotency := idempotency;
	id := onec_internal.put_into_outbox(row, asked);
	object_key := row.key;
	IF id IS NULL THEN
		-- somebody else's, committed just now
		known := onec_internal.known_change(row.server, entity_set, operation, idempotency, asked, key);
		id := known.id;
		object_key := known.key;
	END IF;
END $$;
COMMENT ON FUNCTION onec.enqueue(name, text, text, uuid, jsonb, bigint[], text, text, text[], boolean)
IS
	'Поставить изменение объекта 1С в очередь в своей транзакции: отправится после её фиксации. Проверяет '
	'тело по метаданным базы; возвращает номер строки и ссылку на объект. С тем же ключом идемпотентности '
	'второй раз ничего не ставит. load_mode — писать без проверок конфигурации, только суперпользователю';
REVOKE EXECUTE ON FUNCTION onec.enqueue(name, text, text, uuid, jsonb, bigint[], text, text, text[], boolean)
	FROM PUBLIC;
