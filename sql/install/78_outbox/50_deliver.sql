-- Delivery: one row, one request that changes; the lease before it, what was seen of the object, and the
-- outcome after it are transactions of their own.  Requests go out with the login of whoever calls, or of
-- option write_user; what makes them runs with the owner's rights and takes no orders but the row's, for
-- nobody else may send anything.

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
	  AND o.worker = pg_backend_pid()
	  AND o.worker_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid());
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
		result := onec_internal.look_at(work);
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

-- What a delivery may call: of a row that it has taken, and of nothing else; the outcome is written down
-- here, and told for whoever goes on with it.  First the look at the object, and what was seen is in the row,
-- committed, before anything is sent; all NULL: to be sent.
CREATE FUNCTION onec_internal.look_first(work onec.outbox, stamp text)
	RETURNS onec_internal.write_result
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
		result := onec_internal.look_at(own);
	EXCEPTION WHEN others THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			place = PG_EXCEPTION_CONTEXT;
		result := onec_internal.told_verdict(result, 'unknown',
			onec_internal.message_without_values(SQLSTATE, said, detail, place));
	END;
	IF result.verdict IS NULL THEN
		UPDATE onec.outbox o SET seen = onec_internal.seen_of(own, result.stored)
		WHERE o.server = own.server AND o.id = own.id;
		RETURN NULL;
	END IF;
	RETURN onec_internal.settle_write(own, result, stamp);
END $$;
COMMENT ON FUNCTION onec_internal.look_first(onec.outbox, text) IS
	'Посмотреть на объект перед отправкой строки, взятой этим процессом (служебная)';

CREATE FUNCTION onec_internal.carry_leased(work onec.outbox, stamp text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	own onec.outbox := onec_internal.own_lease(work);
BEGIN
	RETURN onec_internal.settle_write(own, onec_internal.carry_write(own), stamp);
END $$;
COMMENT ON FUNCTION onec_internal.carry_leased(onec.outbox, text) IS
	'Отправить строку очереди, взятую этим процессом, и записать исход (служебная)';

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
	goes_on boolean := true;
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('deliver');
	END IF;
	COMMIT;
	server := onec_internal.delivering_server(server);
	began := pg_catalog.clock_timestamp();
	WHILE goes_on AND server IS NOT NULL AND NOT onec_internal.is_delivery_over(done, max_rows, began,
		max_seconds) LOOP
		stamp := onec_internal.mapping_stamp(server, onec_internal.writing_role(server));
		work := onec_internal.lease_write(server, stamp);
		COMMIT;
		EXIT WHEN work.id IS NULL;
		result := onec_internal.look_first(work, stamp);
		IF result.verdict IS NULL THEN
			COMMIT;
			result := onec_internal.carry_leased(work, stamp);
		END IF;
		goes_on := result.goes_on;
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
