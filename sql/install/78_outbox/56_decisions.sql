-- What a person decides about a row of the outbox: once more, never, otherwise.

-- Again at once, whatever its state.
CREATE FUNCTION onec.outbox_retry(id bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.outbox o SET status = CASE WHEN o.maybe_sent THEN 'unknown' ELSE 'pending' END,
		not_before = now()
	WHERE o.id = outbox_retry.id AND o.status <> 'sending';
	IF NOT FOUND THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	END IF;
END $$;
COMMENT ON FUNCTION onec.outbox_retry(bigint) IS
	'Отправить строку очереди ещё раз, не дожидаясь срока; прежде смотрится, не записана ли она уже';
REVOKE EXECUTE ON FUNCTION onec.outbox_retry(bigint) FROM PUBLIC;

CREATE FUNCTION onec.outbox_skip(id bigint, why text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	result onec_internal.write_result;
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = outbox_skip.id AND o.status <> 'sending' FOR UPDATE;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	END IF;
	PERFORM onec_internal.write_done(work, onec_internal.told_verdict(result, 'skipped', why));
END $$;
COMMENT ON FUNCTION onec.outbox_skip(bigint, text) IS
	'Не отправлять строку очереди: она уходит в историю, и то, что её ждало, больше не ждёт';
REVOKE EXECUTE ON FUNCTION onec.outbox_skip(bigint, text) FROM PUBLIC;

-- The open rows that one waits for, and those that these wait for, as lease_write() has it (40_lease.sql).
CREATE FUNCTION onec_internal.rows_before(server name, id bigint) RETURNS TABLE (id bigint, status text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE before AS (
		SELECT o.id, o.key, o.depends_on, o.status FROM onec.outbox o WHERE o.server = $1 AND o.id = $2
		UNION
		SELECT w.id, w.key, w.depends_on, w.status
		FROM before b JOIN onec.outbox w ON w.server = $1 AND (w.id = ANY (b.depends_on)
			OR w.key = b.key AND w.id < b.id AND w.status <> 'preview'))
	SELECT b.id, b.status FROM before b WHERE b.id <> $2
$$;
COMMENT ON FUNCTION onec_internal.rows_before(name, bigint) IS
	'Строки очереди, которых ждёт эта, и те, которых ждут они (служебная)';

CREATE FUNCTION onec.outbox_edit(id bigint, body jsonb, data_version text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	awaited bigint[];
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = outbox_edit.id AND o.status <> 'sending' FOR UPDATE;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	ELSIF work.operation IN ('post', 'unpost', 'mark', 'delete') THEN
		PERFORM onec_internal.refuse_change(format('operation "%s" takes no body: there is nothing to edit',
			work.operation), format('SELECT onec.outbox_retry(%1$s); or SELECT onec.outbox_skip(%1$s, …) and '
									'onec.enqueue anew.', id));
	ELSIF work.operation = 'create' AND work.maybe_sent THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('row %s may be in 1C already as it was', id),
			HINT = format('SELECT onec.outbox_retry(%s) and deliver, so that it is looked for; then put a '
						  'patch behind it.', id);
	END IF;
	awaited := onec_internal.creations_of(work.server, onec_internal.check_change(work.server,
		work.entity_set, work.operation, work.key, body, work.merge_by));
	IF EXISTS (SELECT FROM unnest(awaited) a CROSS JOIN LATERAL onec_internal.rows_before(work.server, a) b
			   WHERE b.id = work.id AND a <> work.id) THEN
		PERFORM onec_internal.refuse_change(format('row %s would wait for what waits for it: an object that '
			'the body names', id));
	END IF;
	UPDATE onec.outbox o SET body = outbox_edit.body, data_version = outbox_edit.data_version,
		status = CASE o.status WHEN 'preview' THEN o.status ELSE 'pending' END, not_before = now(),
		http_status = NULL, code = NULL, message = NULL,
		-- what this one finds is what it changes
		maybe_sent = false, seen = NULL,
		depends_on = ARRAY(SELECT DISTINCT d FROM unnest(o.depends_on || awaited) d
						   WHERE d <> o.id ORDER BY 1)
	WHERE o.server = work.server AND o.id = work.id;
	PERFORM onec_internal.tell_outbox(work.server, work.id, 'pending') WHERE work.status <> 'preview';
END $$;
COMMENT ON FUNCTION onec.outbox_edit(bigint, jsonb, text) IS
	'Изменить то, что строка очереди запишет, и отправить её: тело целиком; data_version — версия, которую '
	'видел тот, кто меняет, пусто — любая. Что уже могло дойти до 1С, не меняется';
REVOKE EXECUTE ON FUNCTION onec.outbox_edit(bigint, jsonb, text) FROM PUBLIC;
