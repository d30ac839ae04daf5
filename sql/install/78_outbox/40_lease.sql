-- A row of the outbox from hand to hand: taken for delivery, its outcome written down.  Each is a
-- transaction of its own, and between them the one request is made (50_deliver.sql).

CREATE TYPE onec_internal.write_result AS (
	verdict text,
	http_status int,
	code int,
	message text,
	retry_after int,
	stored jsonb,
	diff jsonb,
	remote_key uuid,
	marked boolean,
	goes_on boolean
);
COMMENT ON TYPE onec_internal.write_result IS
	'Чем кончилась отправка строки и, когда исход записан, есть ли смысл продолжать (служебный)';

-- What a login is told apart by: whoever changes the mapping, or the address, wants it tried anew.
CREATE FUNCTION onec_internal.mapping_stamp(server name, role name) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat_ws(':', s.oid, s.xmin, m.oid, m.xmin)
	FROM pg_foreign_server s
	LEFT JOIN LATERAL (SELECT u.oid, u.xmin FROM pg_user_mapping u
					   WHERE u.umserver = s.oid AND u.umuser IN (0, (SELECT r.oid FROM pg_roles r
						WHERE r.rolname = $2))
					   ORDER BY u.umuser DESC LIMIT 1) m ON true
	WHERE s.srvname = $1
$$;
COMMENT ON FUNCTION onec_internal.mapping_stamp(name, name) IS
	'Отпечаток сервера и сопоставления пользователя (служебная)';

-- Whether a login that 1C has refused is still the one that would be used by whoever used it.
CREATE FUNCTION onec_internal.is_stopped(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.outbox_base b
				   JOIN pg_foreign_server s ON s.srvname = b.server
				   LEFT JOIN pg_user_mapping u ON u.umserver = s.oid
				   WHERE b.server = is_stopped.server
					 AND b.stopped_for = concat_ws(':', s.oid, s.xmin, u.oid, u.xmin));
END $$;
COMMENT ON FUNCTION onec_internal.is_stopped(name) IS
	'Остановлена ли отправка логином, который 1С не приняла (служебная)';

-- Rows whose worker is gone, or does nothing any more since it was cancelled: what became of them nobody
-- knows, nor when their request went out.  1C may still be at work on them.
CREATE FUNCTION onec_internal.take_back_leases(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.outbox o SET status = 'unknown', maybe_sent = true,
		not_before = clock_timestamp() + make_interval(secs => onec.get('outbox.settle_seconds', $1)::int),
		message = 'the delivery was interrupted'
	WHERE o.server = $1 AND o.id IN (
		SELECT l.id FROM onec.outbox l
		WHERE l.server = $1 AND l.status = 'sending'
		  AND (l.lease_until < clock_timestamp() OR NOT EXISTS (
			  SELECT FROM pg_stat_activity a
			  WHERE a.pid = l.worker AND a.backend_start = l.worker_start
				AND a.pid <> pg_backend_pid() AND a.state IN ('active', 'disabled')))
		FOR UPDATE SKIP LOCKED)
$$;
COMMENT ON FUNCTION onec_internal.take_back_leases(name) IS
	'Вернуть строки, отправка которых прервалась: их исход неясен (служебная)';

-- By these words the watch knows such a row (70_watch.sql).
CREATE FUNCTION onec_internal.reason_another_base() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'the server was dropped and made again for another address since this was put there';
COMMENT ON FUNCTION onec_internal.reason_another_base() IS
	'Почему стоит строка очереди: под именем базы другой сервер (служебная)';

-- What waits for a server that is gone does not go to another of its name, unless a person says so.
CREATE FUNCTION onec_internal.block_for_another_base(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.outbox o SET status = 'blocked', http_status = NULL, code = NULL,
		message = onec_internal.reason_another_base()
	WHERE o.server = block_for_another_base.server
	  AND o.status IN ('pending', 'waiting', 'unknown', 'sending');
END $$;
COMMENT ON FUNCTION onec_internal.block_for_another_base(name) IS
	'Остановить строки очереди: под именем базы другой сервер (служебная)';

-- Nor when the other is set up, of which nothing is known then.
CREATE FUNCTION onec_internal.on_another_base() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.block_for_another_base(OLD.server);
	NEW.client_keys := NULL;
	NEW.stopped_for := NULL;
	RETURN NEW;
END $$;
COMMENT ON FUNCTION onec_internal.on_another_base() IS
	'Под именем базы настроен другой сервер (служебная)';
CREATE TRIGGER another_base BEFORE UPDATE OF server_oid, address ON onec_internal.outbox_base
	FOR EACH ROW WHEN (OLD.server_oid <> NEW.server_oid AND OLD.address <> NEW.address)
	EXECUTE FUNCTION onec_internal.on_another_base();

-- How long a row may be with who took it: longer than its requests can take, three at most, and 1C after
-- them.
CREATE FUNCTION onec_internal.lease_time(server name) RETURNS interval
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN make_interval(secs => greatest(onec.get('outbox.lease_seconds', $1)::int,
		-- 300: what src/table/options.c takes where the owner says nothing
		onec.get('outbox.settle_seconds', $1)::int
			+ 3 * coalesce(onec_internal.server_option($1, 'request_timeout')::int, 300)));
COMMENT ON FUNCTION onec_internal.lease_time(name) IS 'На сколько строка берётся в работу (служебная)';

-- The first row that is due, taken; all NULL: none is.  Rows of one key go in their order, and none before
-- what it depends on.
CREATE FUNCTION onec_internal.lease_write(server name, stamp text) RETURNS onec.outbox
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken onec.outbox;
	at timestamptz;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.outbox_base b
			   WHERE b.server = lease_write.server AND b.stopped_for = stamp) THEN
		RETURN NULL;
	ELSIF onec_internal.is_another_base(server) THEN
		PERFORM onec_internal.block_for_another_base(server);
		RETURN NULL;
	END IF;
	PERFORM onec_internal.take_back_leases(server);
	at := clock_timestamp();
	SELECT o.* INTO taken FROM onec.outbox o
	WHERE o.server = lease_write.server AND o.status IN ('pending', 'waiting', 'unknown')
		AND o.not_before <= at
	  -- OFFSET 0: looked up for the few rows before the first that is due, and not joined for all that wait
	  AND NOT EXISTS (SELECT FROM onec.outbox e
					  WHERE e.server = o.server AND e.key = o.key AND e.id < o.id AND e.status <> 'preview'
					  OFFSET 0)
	  AND NOT EXISTS (SELECT FROM unnest(o.depends_on) n (id)
					  CROSS JOIN LATERAL (SELECT FROM onec.outbox d
										  WHERE d.server = o.server AND d.id = n.id OFFSET 0) d OFFSET 0)
	ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF taken.id IS NULL THEN
		RETURN NULL;
	END IF;
	UPDATE onec.outbox o SET status = 'sending', attempts = o.attempts + 1, leased_at = at,
		lease_until = at + onec_internal.lease_time(o.server),
		worker = pg_backend_pid(), message = NULL, http_status = NULL, code = NULL,
		-- what may be in 1C already is looked for by the mark that it was sent with
		marker = onec_internal.marker_of(o),
		seen = CASE WHEN o.maybe_sent THEN o.seen END,
		worker_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid())
	WHERE o.server = taken.server AND o.id = taken.id
	RETURNING * INTO taken;
	RETURN taken;
END $$;
COMMENT ON FUNCTION onec_internal.lease_write(name, text) IS
	'Взять следующую строку очереди для отправки (служебная)';

-- How long to wait after so many attempts, or as long as 1C asked for.
CREATE FUNCTION onec_internal.write_delay(server name, attempts int, asked int) RETURNS interval
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT make_interval(secs => greatest(coalesce($3, 0), least(onec.get('outbox.retry_max_seconds',
		$1)::int,
		onec.get('outbox.retry_min_seconds', $1)::int * 2.0 ^ least(greatest($2 - 1, 0), 20))))
$$;
COMMENT ON FUNCTION onec_internal.write_delay(name, int, int) IS
	'Через сколько повторить отправку (служебная)';

CREATE FUNCTION onec_internal.write_done(work onec.outbox, result onec_internal.write_result) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at timestamptz := clock_timestamp();
BEGIN
	PERFORM onec_internal.make_history_part(at);
	INSERT INTO onec.outbox_history (server, id, done_at, entity_set, operation, key, remote_key, body,
		depends_on,
									 idempotency, requested_by, requested_at, status, attempts,
										http_status, message,
									 stored_diff, number, data_version, maybe_sent)
	VALUES (work.server, work.id, at, work.entity_set, work.operation, work.key, result.remote_key, work.body,
			work.depends_on, work.idempotency, work.requested_by, work.requested_at, result.verdict,
				work.attempts,
			result.http_status, result.message, result.diff,
			coalesce(result.stored ->> 'Number', result.stored ->> 'Code'), result.stored ->> 'DataVersion',
			result.verdict = 'done' OR work.maybe_sent);
	DELETE FROM onec.outbox o WHERE o.server = work.server AND o.id = work.id;
	PERFORM onec_internal.tell_outbox(work.server, work.id, result.verdict);
	UPDATE onec_internal.outbox_key k SET kept_since = at
	WHERE k.server = work.server AND k.idempotency = work.idempotency;
END $$;
COMMENT ON FUNCTION onec_internal.write_done(onec.outbox, onec_internal.write_result) IS
	'Перенести строку в историю (служебная)';

-- Changes of one object that were made of one reading of it, ours all of them, follow each other: what
-- comes after the first is a change of what that has made.  Not where others may have come between.
CREATE FUNCTION onec_internal.follow_version(work onec.outbox, version text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.outbox o SET data_version = $2
	WHERE o.server = ($1).server AND o.key = ($1).key AND o.id > ($1).id
	  AND o.data_version = ($1).data_version AND NOT ($1).maybe_sent AND $2 IS NOT NULL
$$;
COMMENT ON FUNCTION onec_internal.follow_version(onec.outbox, text) IS
	'Следующие изменения, сделанные с той же версии объекта, идут за этим (служебная)';

-- What creations tell of the base: whose keys it takes, and whether marks are kept there.
CREATE FUNCTION onec_internal.note_client_keys(work onec.outbox, result onec_internal.write_result)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	honoured boolean := result.remote_key IS NULL;
BEGIN
	UPDATE onec_internal.outbox_base b SET client_keys = honoured
	WHERE b.server = work.server AND b.client_keys IS DISTINCT FROM honoured;
	IF NOT honoured THEN
		INSERT INTO onec_internal.outbox_remote AS r (server, key, remote_key)
		VALUES (work.server, work.key, result.remote_key) ON CONFLICT DO NOTHING;
	END IF;
	IF result.marked IS NOT NULL THEN
		INSERT INTO onec_internal.outbox_marker AS m (server, entity_set, property, is_kept)
		VALUES (work.server, work.entity_set, work.marker, result.marked)
		ON CONFLICT ON CONSTRAINT outbox_marker_pkey DO UPDATE SET is_kept = excluded.is_kept
		WHERE m.is_kept <> excluded.is_kept;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_client_keys(onec.outbox, onec_internal.write_result) IS
	'Запомнить, взяла ли база присланный ключ и осталась ли пометка (служебная)';

CREATE FUNCTION onec_internal.stop_deliveries(server name, stamp text, why text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.outbox_base b SET stopped_for = $2, stopped_at = clock_timestamp(), message = $3
	WHERE b.server = $1
$$;
COMMENT ON FUNCTION onec_internal.stop_deliveries(name, text, text) IS
	'Не отправлять ничего, пока не изменится логин (служебная)';

-- Write the outcome down, if the row is still this worker's.  Returned with "goes_on", whether it makes sense
-- to go on: where 1C does not answer at all, or is busy, the next row would fare no better.
--
-- With the rights of whoever calls: an outcome goes from what has made the request to here, and through the
-- hands of nobody who could tell another (50_deliver.sql).
CREATE FUNCTION onec_internal.settle_write(work onec.outbox, result onec_internal.write_result,
										   stamp text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	wait interval := onec_internal.write_delay(work.server, work.attempts, result.retry_after);
BEGIN
	result.goes_on := result.verdict <> 'login' AND (result.verdict <> 'passing' OR result.code IS NOT NULL);
	PERFORM FROM onec.outbox o
	WHERE o.server = work.server AND o.id = work.id AND o.status = 'sending' AND o.attempts = work.attempts
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN result;
	ELSIF result.verdict = 'done' THEN
		IF work.operation = 'create' THEN
			PERFORM onec_internal.note_client_keys(work, result);
		END IF;
		PERFORM onec_internal.write_done(work, result);
		PERFORM onec_internal.follow_version(work, result.stored ->> 'DataVersion');
		RETURN result;
	ELSIF result.verdict = 'unknown' THEN
		wait := greatest(wait, make_interval(secs => onec.get('outbox.settle_seconds', work.server)::int));
	ELSIF result.verdict = 'login' THEN
		PERFORM onec_internal.stop_deliveries(work.server, stamp, result.message);
		wait := interval '0';
	END IF;
	UPDATE onec.outbox o SET
		status = CASE WHEN result.verdict IN ('passing', 'login') THEN
					CASE WHEN o.maybe_sent THEN 'unknown' ELSE 'pending' END ELSE result.verdict END,
		maybe_sent = o.maybe_sent OR result.verdict = 'unknown',
		not_before = clock_timestamp() + wait, http_status = result.http_status, code = result.code,
		message = result.message
	WHERE o.server = work.server AND o.id = work.id;
	IF result.verdict IN ('failed', 'conflict', 'blocked') THEN
		PERFORM onec_internal.tell_outbox(work.server, work.id, result.verdict);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.settle_write(onec.outbox, onec_internal.write_result, text) IS
	'Записать исход отправки и сказать, есть ли смысл продолжать (служебная)';
