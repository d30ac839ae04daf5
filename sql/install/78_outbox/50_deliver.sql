-- Delivery: one row, one request that changes; the lease before it, what was seen of the object, and the
-- outcome after it are transactions of their own.  Requests go out with the login of whoever calls, or of
-- option write_user; what makes them runs with the owner's rights and takes no orders but the row's, for
-- nobody else may send anything.

CREATE FUNCTION onec_internal.write_once(
	server name, method text, entity_set text, key uuid, action text, body json, if_match text,
	load_mode boolean DEFAULT false,
	OUT outcome text, OUT http_status int, OUT code int, OUT message text, OUT answer text,
		OUT retry_after int,
	OUT ms double precision)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_write_once';
COMMENT ON FUNCTION onec_internal.write_once(name, text, text, uuid, text, json, text, boolean) IS
	'Один запрос к 1С, который меняет или читает один объект, и его исход: stored, missing, exists, '
	'changed, refused, rights, login, passing, unknown (служебная)';

CREATE FUNCTION onec_internal.ask_1c(work onec.outbox, method text, action text DEFAULT NULL,
									 body json DEFAULT NULL, if_match text DEFAULT NULL,
									 key uuid DEFAULT NULL)
	RETURNS onec_internal.write_result
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ROW(w.outcome, w.http_status, w.code, w.message, w.retry_after, w.answer::jsonb, NULL, NULL,
			   NULL)::onec_internal.write_result
	FROM onec_internal.write_once(($1).server, $2, ($1).entity_set,
								  CASE WHEN $2 <> 'POST' OR $3 IS NOT NULL
									   THEN coalesce($6, onec_internal.key_in_1c(($1).server, ($1).key)) END,
								  $3, $4, $5, ($1).load_mode) w
$$;
COMMENT ON FUNCTION onec_internal.ask_1c(onec.outbox, text, text, json, text, uuid) IS
	'Запрос к 1С о строке очереди (служебная)';

-- The verdict on the row, of the outcome of its last request; "sent" is what 1C was to store.
CREATE FUNCTION onec_internal.write_verdict(work onec.outbox, result onec_internal.write_result,
											sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' THEN
		result.diff := onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored);
	END IF;
	result.message := coalesce(result.message, CASE result.verdict WHEN 'missing' THEN 'no such object' END);
	result.verdict := CASE result.verdict WHEN 'stored' THEN 'done' WHEN 'missing' THEN 'failed'
		WHEN 'refused' THEN 'failed' WHEN 'exists' THEN 'failed' WHEN 'changed' THEN 'conflict'
		WHEN 'rights' THEN 'blocked' ELSE result.verdict END;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.write_verdict(onec.outbox, onec_internal.write_result, jsonb) IS
	'Чем кончилась отправка строки по исходу последнего запроса (служебная)';

CREATE FUNCTION onec_internal.told_verdict(result onec_internal.write_result, verdict text,
										   message text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	result.verdict := verdict;
	result.message := message;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.told_verdict(onec_internal.write_result, text, text) IS
	'Исход с пояснением (служебная)';

-- Something was stored and told by no body: the object is read.  That it was stored is known, but not what.
CREATE FUNCTION onec_internal.with_stored(work onec.outbox,
										  result onec_internal.write_result)
											RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' AND result.stored IS NULL THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict <> 'stored' THEN
			RETURN onec_internal.told_verdict(result, 'unknown',
				'answered well, but the object cannot be read');
		END IF;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.with_stored(onec.outbox, onec_internal.write_result) IS
	'Исход вместе с тем, что записано (служебная)';

-- The object that an earlier attempt may have created: by its key, unless the base is known to take none,
-- and by its mark.  What cannot be read now is to be read later.
CREATE FUNCTION onec_internal.find_created(work onec.outbox, honoured boolean)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	found_keys uuid[];
	said text;
	detail text;
	place text;
BEGIN
	result.verdict := 'missing';
	IF honoured IS NOT FALSE OR onec_internal.key_in_1c(work.server, work.key) <> work.key THEN
		result := onec_internal.ask_1c(work, 'GET');
	END IF;
	IF result.verdict <> 'missing' OR work.marker IS NULL OR honoured THEN
		RETURN result;
	END IF;
	found_keys := ARRAY(SELECT m.key FROM onec_internal.marked_objects(work.server, work.entity_set,
		work.marker, work.key::text) m);
	RETURN CASE cardinality(found_keys) WHEN 0 THEN result
		WHEN 1 THEN onec_internal.ask_1c(work, 'GET', key => found_keys[1])
		ELSE onec_internal.told_verdict(result, 'conflict', 'several objects carry its mark') END;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'passing',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;
COMMENT ON FUNCTION onec_internal.find_created(onec.outbox, boolean) IS
	'Объект, который могла создать прежняя попытка (служебная)';

-- Why nobody can tell whether a creation that may have reached 1C was stored, though nothing was found; NULL:
-- it was not.  What nothing will ever tell is "blocked", the rest "unknown": better late than twice.
CREATE FUNCTION onec_internal.doubt_of_absence(work onec.outbox, honoured boolean, OUT verdict text,
											   OUT why text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN d.why IS NOT NULL THEN CASE WHEN d.is_final THEN 'blocked' ELSE 'unknown' END END, d.why
	FROM (SELECT coalesce(NOT $2 AND (($1).marker IS NULL OR NOT k.kept), false) AS is_final, CASE
			WHEN $2 THEN NULL
			WHEN NOT $2 AND (($1).marker IS NULL OR NOT k.kept)
				THEN 'the base gives new objects keys of its own, and this one carried no mark: whether it '
					 'was stored a person has to see'
			WHEN ($1).marker IS NULL OR k.kept IS FALSE
				THEN 'nothing of this key is there, but whether the base takes keys that it is sent is not '
					 'known yet'
			WHEN k.kept IS NULL
				THEN 'nothing of this key or mark is there, but whether the base keeps either is not known '
					 'yet' END AS why
		  FROM (SELECT onec_internal.is_marker_kept(($1).server, ($1).entity_set, ($1).marker)) k (kept)) d
$$;
COMMENT ON FUNCTION onec_internal.doubt_of_absence(onec.outbox, boolean) IS
	'Почему ненайденное всё же может быть записано (служебная)';

-- With the key that 1C gave in place of the one sent, and whether the mark was kept.
CREATE FUNCTION onec_internal.with_own_key(work onec.outbox, result onec_internal.write_result)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' THEN
		result.remote_key := nullif((result.stored ->> 'Ref_Key')::uuid, work.key);
		result.marked := CASE WHEN work.marker IS NOT NULL
			THEN position(work.key::text IN coalesce(result.stored ->> work.marker, '')) > 0 END;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.with_own_key(onec.outbox, onec_internal.write_result) IS
	'Исход с ключом, который дала 1С (служебная)';

-- The one request that creates.
CREATE FUNCTION onec_internal.ask_for_new(work onec.outbox, sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'POST', NULL,
		onec_internal.wire_body(work.server, work.entity_set, sent, work.key));
BEGIN
	RETURN onec_internal.with_own_key(work, onec_internal.with_stored(work, result));
END $$;
COMMENT ON FUNCTION onec_internal.ask_for_new(onec.outbox, jsonb) IS
	'Запрос, который создаёт объект (служебная)';

-- A creation that may have reached 1C is looked for first, and sent again only if it is known not to be
-- there.
CREATE FUNCTION onec_internal.carry_create(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	doubt record;
	honoured boolean := onec_internal.client_keys(work.server);
	sent jsonb := onec_internal.marked_body(work.body, work.marker, work.key);
BEGIN
	IF work.attempts > 1 OR onec_internal.key_in_1c(work.server, work.key) <> work.key THEN
		result := onec_internal.with_own_key(work, onec_internal.find_created(work, honoured));
		SELECT * INTO doubt FROM onec_internal.doubt_of_absence(work, honoured);
		IF result.verdict = 'stored' AND NOT work.maybe_sent AND onec_internal.stored_diff(work.server,
			work.entity_set, sent, result.stored) IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, 'conflict', 'another object has this key');
		ELSIF result.verdict <> 'missing' THEN
			RETURN onec_internal.write_verdict(work, result, sent);
		ELSIF work.maybe_sent AND doubt.verdict IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, doubt.verdict, doubt.why);
		END IF;
	END IF;
	IF honoured IS FALSE AND work.marker IS NULL THEN
		RETURN onec_internal.told_verdict(result, 'blocked', 'the base gives new objects keys of its own, '
			'and no property of this one can carry a mark (setting outbox.marker)');
	END IF;
	result := onec_internal.ask_for_new(work, sent);
	IF result.verdict = 'exists' THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict = 'stored' AND work.attempts = 1
			AND onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored) IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, 'conflict', 'another object has this key');
		ELSIF result.verdict = 'missing' THEN
			RETURN onec_internal.told_verdict(result, 'unknown',
				'the key is taken, but nothing can be read by it');
		END IF;
	END IF;
	RETURN onec_internal.write_verdict(work, result, sent);
END $$;
COMMENT ON FUNCTION onec_internal.carry_create(onec.outbox) IS 'Создать объект в 1С (служебная)';

-- What is to be stored: the body, and with merge_rows the whole parts as they shall be.
CREATE FUNCTION onec_internal.body_to_store(work onec.outbox, stored jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN ($1).operation <> 'merge_rows' THEN ($1).body
		ELSE (SELECT jsonb_object_agg(e.key, onec_internal.merged_rows(coalesce($2 -> e.key, '[]'), e.value,
																	   ($1).merge_by))
			  FROM jsonb_each(onec_internal.with_remote_keys(($1).server, ($1).body)) e) END
$$;
COMMENT ON FUNCTION onec_internal.body_to_store(onec.outbox, jsonb) IS
	'Что должно оказаться в 1С (служебная)';

-- A change of an object, first half: the object is read.  Its version is compared, since 1C may ignore
-- If-Match, and what it has already is not written, so that a change whose outcome was unknown is not made
-- twice; nor over what somebody else has made of the object since.  With a verdict all is said; without one
-- it is to be sent, and "stored" is what it is a change of.
CREATE FUNCTION onec_internal.look_at_changed(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'GET');
	sent jsonb := onec_internal.body_to_store(work, result.stored);
	version text := result.stored ->> 'DataVersion';
BEGIN
	IF result.verdict <> 'stored' THEN
		RETURN onec_internal.write_verdict(work, result, sent);
	ELSIF onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored) IS NULL
		AND (work.maybe_sent OR version IS NOT DISTINCT FROM coalesce(work.data_version, version)) THEN
		RETURN onec_internal.write_verdict(work, result, sent);
	ELSIF version <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since it was read');
	ELSIF work.maybe_sent AND version <> work.seen ->> 'DataVersion' THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since this was sent, with an unknown outcome');
	END IF;
	result.verdict := NULL;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.look_at_changed(onec.outbox) IS
	'Прочитать объект перед изменением; без исхода — изменение надо отправить (служебная)';

-- The other half: it is sent, by what the row says was seen.
CREATE FUNCTION onec_internal.carry_patch(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sent jsonb := onec_internal.body_to_store(work, work.seen);
	result onec_internal.write_result := onec_internal.ask_1c(work, 'PATCH', NULL, onec_internal.wire_body(
		work.server, work.entity_set, sent, NULL), work.seen ->> 'DataVersion');
BEGIN
	IF result.verdict = 'changed' AND work.data_version IS NULL THEN
		RETURN onec_internal.told_verdict(result, 'passing', 'the object was changed meanwhile');
	END IF;
	RETURN onec_internal.write_verdict(work, onec_internal.with_stored(work, result), sent);
END $$;
COMMENT ON FUNCTION onec_internal.carry_patch(onec.outbox) IS 'Изменить объект в 1С (служебная)';

-- Whether a document is posted is read before a second attempt, and after each.
CREATE FUNCTION onec_internal.carry_post(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	wanted text := CASE work.operation WHEN 'post' THEN 'true' ELSE 'false' END;
BEGIN
	IF work.attempts > 1 OR work.data_version IS NOT NULL THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict <> 'stored' OR work.maybe_sent AND result.stored ->> 'Posted' = wanted THEN
			RETURN onec_internal.write_verdict(work, result, NULL);
		ELSIF result.stored ->> 'DataVersion' <> work.data_version THEN
			RETURN onec_internal.told_verdict(result, 'conflict',
				'the document has been changed since it was read');
		END IF;
	END IF;
	result := onec_internal.ask_1c(work, 'POST', initcap(work.operation));
	IF result.verdict = 'stored' THEN
		result.stored := NULL;
		result := onec_internal.with_stored(work, result);
		IF result.verdict = 'stored' AND result.stored ->> 'Posted' IS DISTINCT FROM wanted THEN
			RETURN onec_internal.told_verdict(result, 'failed', 'answered well, but the document is not '
				|| CASE work.operation WHEN 'post' THEN 'posted' ELSE 'unposted' END);
		END IF;
	END IF;
	RETURN onec_internal.write_verdict(work, result, NULL);
END $$;
COMMENT ON FUNCTION onec_internal.carry_post(onec.outbox) IS
	'Провести документ в 1С или отменить проведение (служебная)';

-- Gone for good.  What is not there was deleted by an earlier attempt, or there was no such object.
CREATE FUNCTION onec_internal.carry_delete(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'GET');
BEGIN
	IF result.verdict = 'stored' AND result.stored ->> 'DataVersion' <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since it was read');
	ELSIF result.verdict = 'stored' THEN
		result := onec_internal.ask_1c(work, 'DELETE', NULL, NULL, result.stored ->> 'DataVersion');
	ELSIF result.verdict = 'missing' AND work.maybe_sent THEN
		result.verdict := 'stored';
	END IF;
	RETURN onec_internal.write_verdict(work, result, NULL);
END $$;
COMMENT ON FUNCTION onec_internal.carry_delete(onec.outbox) IS 'Удалить объект из 1С (служебная)';

-- What of an object a row keeps: its version, and the parts that rows are laid over.
CREATE FUNCTION onec_internal.seen_of(work onec.outbox, stored jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each($2) e
	WHERE e.key = 'DataVersion' OR ($1).operation = 'merge_rows' AND ($1).body ? e.key
$$;
COMMENT ON FUNCTION onec_internal.seen_of(onec.outbox, jsonb) IS
	'Что строка очереди помнит о прочитанном объекте (служебная)';

CREATE FUNCTION onec_internal.is_looked_at_first(work onec.outbox) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN ($1).operation IN ('patch', 'merge_rows', 'mark');
COMMENT ON FUNCTION onec_internal.is_looked_at_first(onec.outbox) IS
	'Читается ли объект перед отправкой (служебная)';

-- The row of the outbox, whole: who carries it may say which, and only one that this very backend has taken.
CREATE FUNCTION onec_internal.own_lease(work onec.outbox) RETURNS onec.outbox
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own onec.outbox;
BEGIN
	SELECT o.* INTO own FROM onec.outbox o
	WHERE o.server = work.server AND o.id = work.id AND o.status = 'sending' AND o.attempts = work.attempts
	  AND o.worker = pg_backend_pid();
	IF own.id IS NULL OR NOT has_server_privilege(onec_internal.calling_role(), own.server, 'USAGE') THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('row %s of the outbox is not this session''s to deliver', work.id);
	END IF;
	RETURN own;
END $$;
COMMENT ON FUNCTION onec_internal.own_lease(onec.outbox) IS
	'Строка очереди, которую взял этот процесс (служебная)';

-- What an error leaves is an unknown outcome.
CREATE FUNCTION onec_internal.carry_write(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan -- auto_explain may log plans: none holds a body
AS $$
DECLARE
	result onec_internal.write_result;
	said text;
	detail text;
	place text;
BEGIN
	IF onec_internal.is_looked_at_first(work) AND work.seen IS NULL THEN
		result := onec_internal.look_at_changed(work);
		IF result.verdict IS NOT NULL THEN
			RETURN result;
		END IF;
		work.seen := onec_internal.seen_of(work, result.stored);
	END IF;
	-- what has no row is tried once, so nothing has to be looked up later
	RETURN CASE WHEN work.operation = 'create' AND work.id IS NULL THEN onec_internal.write_verdict(work,
					onec_internal.ask_for_new(work, work.body), work.body)
				WHEN work.operation = 'create' THEN onec_internal.carry_create(work)
				WHEN work.operation = 'delete' THEN onec_internal.carry_delete(work)
				WHEN work.operation IN ('post', 'unpost') THEN onec_internal.carry_post(work)
				ELSE onec_internal.carry_patch(work) END;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'unknown',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;
COMMENT ON FUNCTION onec_internal.carry_write(onec.outbox) IS
	'Отправить строку очереди; ошибка — неясный исход (служебная)';

-- What a delivery may call: of a row that it has taken, and of nothing else.  First the look at the object,
-- and what was seen is in the row, committed, before anything is sent; all NULL: to be sent.
CREATE FUNCTION onec_internal.look_first(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	own onec.outbox := onec_internal.own_lease(work);
	result onec_internal.write_result;
	said text;
	detail text;
	place text;
BEGIN
	IF NOT onec_internal.is_looked_at_first(own) THEN
		RETURN NULL;
	END IF;
	-- nothing was sent before what was seen was kept
	own.maybe_sent := own.maybe_sent AND own.seen IS NOT NULL;
	BEGIN
		result := onec_internal.look_at_changed(own);
	EXCEPTION WHEN others THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			place = PG_EXCEPTION_CONTEXT;
		RETURN onec_internal.told_verdict(result, 'unknown',
			onec_internal.message_without_values(SQLSTATE, said, detail, place));
	END;
	IF result.verdict IS NULL THEN
		UPDATE onec.outbox o SET seen = onec_internal.seen_of(own, result.stored)
		WHERE o.server = own.server AND o.id = own.id;
		RETURN NULL;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.look_first(onec.outbox) IS
	'Посмотреть на объект перед отправкой строки, взятой этим процессом (служебная)';

CREATE FUNCTION onec_internal.carry_leased(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.carry_write(onec_internal.own_lease($1))
$$;
COMMENT ON FUNCTION onec_internal.carry_leased(onec.outbox) IS
	'Отправить строку очереди, взятую этим процессом (служебная)';

-- The role whose login delivers: option "write_user" of the server, or the caller.
CREATE FUNCTION onec_internal.writing_role(server name) RETURNS name
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce(onec_internal.server_option($1, 'write_user')::name, current_user);
COMMENT ON FUNCTION onec_internal.writing_role(name) IS 'Роль, логином которой отправляется (служебная)';

-- The server, if it may be delivered to now and there is a login for that.
CREATE FUNCTION onec_internal.delivering_server(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	writer name;
BEGIN
	PERFORM onec_internal.must_write('deliver');
	server := onec_internal.live_server_meant(server);
	writer := onec_internal.writing_role(server);
	IF NOT onec_internal.is_updatable(server) THEN
		RAISE NOTICE 'server "%" is not updatable now: nothing is delivered', server;
		RETURN NULL;
	ELSIF NOT EXISTS (SELECT FROM pg_user_mappings m JOIN pg_roles r ON m.umuser IN (0, r.oid)
					  WHERE m.srvname = delivering_server.server AND r.rolname = writer) THEN
		RAISE undefined_object USING
			MESSAGE = format('role "%s" has no login at server "%s"', writer, server),
			HINT = format('CREATE USER MAPPING FOR %I SERVER %I OPTIONS (user …, password …);',
				writer, server);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.delivering_server(name) IS
	'Сервер, в который сейчас можно отправлять; NULL — выключено (служебная)';

CREATE FUNCTION onec_internal.is_delivery_over(done int, max_rows int, began timestamptz,
											   max_seconds int) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce($1 >= $2, false) OR coalesce(clock_timestamp() >= $3 + make_interval(secs => $4), false);
COMMENT ON FUNCTION onec_internal.is_delivery_over(int, int, timestamptz, int) IS
	'Довольно ли отправлено (служебная)';

-- What was written and is not in the store, read for it: nothing else, whoever asks.
CREATE FUNCTION onec_internal.read_written(server name, entity_set text, key uuid, OUT outcome text,
										   OUT answer text)
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.outcome, r.answer
	FROM onec_internal.written_unread w,
		 onec_internal.write_once(w.server, 'GET', w.entity_set, w.key, NULL, NULL, NULL) r
	WHERE (w.server, w.entity_set, w.key) = ($1, $2, $3)
	  AND has_server_privilege(onec_internal.calling_role(), w.server, 'USAGE')
	  AND EXISTS (SELECT FROM onec_internal.targets_of_set($1, $2))
$$;
COMMENT ON FUNCTION onec_internal.read_written(name, text, uuid) IS
	'Прочитать записанное, чего ещё нет в местных данных (служебная)';

-- At the end of a delivery: what could not be stored then, read once more; and the users of the site who are
-- concerned.
CREATE FUNCTION onec_internal.catch_up_with_written(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	u record;
	answer record;
	said text;
	detail text;
	place text;
BEGIN
	FOR u IN SELECT w.* FROM onec_internal.written_unread w WHERE w.server = catch_up_with_written.server
		ORDER BY w.entity_set, w.key LIMIT 100 FOR UPDATE SKIP LOCKED LOOP
		EXIT WHEN NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(server));
		SELECT * INTO answer FROM onec_internal.read_written(server, u.entity_set, u.key);
		IF answer.outcome = 'stored' THEN
			PERFORM onec_internal.store_objects(server, u.entity_set,
												jsonb_build_array(answer.answer::jsonb));
		ELSIF answer.outcome = 'missing' THEN
			DELETE FROM onec_internal.written_unread w
			WHERE (w.server, w.entity_set, w.key) = (u.server, u.entity_set, u.key);
		END IF;
	END LOOP;
	-- after somebody was forgotten everybody is folded anew, and nobody noted
	IF (EXISTS (SELECT FROM onec_internal.touched_user t WHERE t.server = catch_up_with_written.server)
		OR NOT EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = catch_up_with_written.server)
		AND EXISTS (SELECT FROM onec.site_user s WHERE s.server = catch_up_with_written.server))
		AND pg_try_advisory_xact_lock(onec_internal.run_lock_key(server)) THEN
		PERFORM onec_internal.refresh_people(server, false);
	END IF;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	PERFORM onec_internal.warn_of_storing(server, SQLSTATE, said, detail, place);
END $$;
COMMENT ON FUNCTION onec_internal.catch_up_with_written(name) IS
	'Дочитать записанное, чего ещё нет в местных данных, и собрать тех, кого оно касается (служебная)';

CREATE PROCEDURE onec.deliver(server name DEFAULT NULL, max_rows int DEFAULT NULL,
	max_seconds int DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
DECLARE
	work onec.outbox;
	result onec_internal.write_result;
	written pg_catalog.jsonb;
	began pg_catalog.timestamptz;
	stamp pg_catalog.text;
	done int := 0;
	going boolean := true;
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('deliver');
	END IF;
	COMMIT;
	server := onec_internal.delivering_server(server);
	began := pg_catalog.clock_timestamp();
	WHILE going AND server IS NOT NULL AND NOT onec_internal.is_delivery_over(done, max_rows, began,
		max_seconds) LOOP
		stamp := onec_internal.mapping_stamp(server, onec_internal.writing_role(server));
		work := onec_internal.lease_write(server, stamp);
		COMMIT;
		EXIT WHEN work.id IS NULL;
		result := onec_internal.look_first(work);
		COMMIT;
		IF result.verdict IS NULL THEN
			result := onec_internal.carry_leased(work);
		END IF;
		going := onec_internal.settle_write(work, result, stamp);
		written := onec_internal.note_written(written, work, result);
		COMMIT;
		written := onec_internal.store_written(server, written, false);
		COMMIT;
		done := done OPERATOR(pg_catalog.+) 1;
	END LOOP;
	IF server IS NOT NULL THEN
		written := onec_internal.store_written(server, written, true);
		COMMIT;
		PERFORM onec_internal.catch_up_with_written(server);
	END IF;
END $$;
COMMENT ON PROCEDURE onec.deliver(name, int, int) IS
	'Отправить в 1С то, что ждёт в очереди: каждая строка — один изменяющий запрос с фиксациями до и '
	'после него. Не больше max_rows строк и max_seconds секунд; можно вызывать одновременно';
REVOKE EXECUTE ON PROCEDURE onec.deliver(name, int, int) FROM PUBLIC;
