-- The steps of a run, which windows each reads, and what is written down of it.

-- How a step is done: read (from 1C), people and profiles (made of what is here), files (bytes of files
-- that are here), derived (sales that are the card sales), none.
CREATE FUNCTION onec_internal.way_of_step(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	SELECT k.target, k.source, k.made_of INTO t FROM onec.target k WHERE k.target = way_of_step.target;
	RETURN CASE WHEN t.source = 'files' AND NOT onec_internal.has_tables_of_bytes(server) THEN 'none'
				WHEN t.source <> 'set' THEN t.source
				WHEN to_regclass(format('%I.%I', server, t.target)) IS NOT NULL THEN 'read'
				WHEN to_regclass(quote_ident(server) || '.' || quote_ident(t.made_of)) IS NOT NULL
					THEN 'derived'
				ELSE 'none' END;
END $$;
COMMENT ON FUNCTION onec_internal.way_of_step(name, text) IS 'Как выполняется шаг (служебная)';

-- ---- windows ----

-- Months from a day on, cut at it; the last one is open where it is not ended by "till".
CREATE FUNCTION onec_internal.months_since(first timestamp, till timestamp,
										   today date) RETURNS TABLE (from_ts timestamp, till_ts timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(m, $1),
		   CASE WHEN m + interval '1 month' > coalesce($2, $3) THEN coalesce($2, onec_internal.last_moment())
				ELSE m + interval '1 month' END
	FROM generate_series(date_trunc('month', $1), coalesce($2 - interval '1 second', $3),
						 interval '1 month') m
$$;
COMMENT ON FUNCTION onec_internal.months_since(timestamp, timestamp, date) IS
	'Месяцы с указанного дня (служебная)';

-- Everything: months, open at both ends.  What stands before the first 1C is a slip of the pen, and goes into
-- the open one.
CREATE FUNCTION onec_internal.all_windows(server name, target text) RETURNS TABLE (from_ts timestamp,
	till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today date := onec.local_now(server)::date;
	first timestamp := onec_internal.first_date_in_1c(server, target, onec_internal.first_moment());
BEGIN
	IF first < '1990-01-01' THEN
		first := onec_internal.first_date_in_1c(server, target, '1990-01-01');
	END IF;
	first := date_trunc('month', least(first, today::timestamp));
	RETURN QUERY SELECT onec_internal.first_moment(), first UNION ALL
		SELECT * FROM onec_internal.months_since(first, NULL, today);
END $$;
COMMENT ON FUNCTION onec_internal.all_windows(name, text) IS
	'Окна, которыми таблица читается вся (служебная)';

-- Whether the target is the first of its step that the base publishes.  The body is a text, which does not
-- hold the columns that onec.target has today.
CREATE FUNCTION onec_internal.begins_step(server name, target text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 = (SELECT s.target
				 FROM onec_internal.sync_steps($1, ARRAY[(onec_internal.target_named($2)).step]) s
				 WHERE onec_internal.way_of_step($1, s.target) = 'read' ORDER BY s.ordinal LIMIT 1)
$$;
COMMENT ON FUNCTION onec_internal.begins_step(name, text) IS
	'Первая ли это из читаемых таблиц шага (служебная)';

-- Some days, the months that differ from 1C, and what an earlier run could not prove.
CREATE FUNCTION onec_internal.recent_windows(server name, target text, days int,
											 deep boolean) RETURNS TABLE (from_ts timestamp,
												 till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today date := onec.local_now(server)::date;
	first timestamp := today - days;
	compared boolean := (onec_internal.target_named(target)).step = onec_internal.compared_step();
BEGIN
	first := least(first, (SELECT min(d.from_ts) FROM onec_internal.sync_doubt d
						   WHERE d.server = recent_windows.server AND d.target = recent_windows.target
							 AND d.kind IN ('unproven', 'hole')
							 AND d.till_ts > today - days));
	IF first = onec_internal.first_moment() THEN
		RETURN QUERY SELECT * FROM onec_internal.all_windows(server, target);
		RETURN;
	END IF;
	-- compared once for all tables of the step
	IF deep AND compared AND onec_internal.begins_step(server, target)
		AND onec_internal.way_of_step(server, 'sale_line') = 'read'
		AND NOT onec_internal.is_nested(server, 'sale_line') THEN
		PERFORM onec_internal.find_drift(server, first::date);
	END IF;
	RETURN QUERY
		SELECT d.from_ts, least(d.till_ts, first) FROM onec_internal.sync_doubt d
		WHERE d.server = recent_windows.server AND d.target = recent_windows.target
		  AND d.kind IN ('unproven', 'hole') AND d.till_ts <= first
		UNION
		SELECT d.month::timestamp, least(d.month + interval '1 month', first) FROM onec.drift d
		WHERE d.server = recent_windows.server AND d.repaired_at IS NULL AND d.month < first
		  AND compared;
	RETURN QUERY SELECT * FROM onec_internal.months_since(first, NULL, today);
END $$;
COMMENT ON FUNCTION onec_internal.recent_windows(name, text, int, boolean) IS
	'Окна последних дней, разошедшихся месяцев и недоказанных удалений (служебная)';

-- The windows that a step has to read.
CREATE FUNCTION onec_internal.wanted_windows(plan onec_internal.sync_plan, target text,
											 days int) RETURNS TABLE (from_ts timestamp, till_ts timestamp)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.way_of_step(plan.server, target) = 'files' THEN
		RETURN QUERY SELECT onec_internal.first_moment(), onec_internal.last_moment()
			FROM generate_series(1, onec_internal.batches_of_images(plan.server));
	ELSIF onec_internal.date_column(target) IS NULL
		OR onec_internal.way_of_step(plan.server, target) <> 'read'
		OR onec_internal.is_nested(plan.server, target) THEN
		-- what is nested takes no condition: any would read all of it
		RETURN QUERY SELECT onec_internal.first_moment(), onec_internal.last_moment();
	ELSIF plan.user_id IS NOT NULL THEN
		RETURN QUERY SELECT plan.from_ts, plan.till_ts;
	ELSIF plan.from_ts IS NOT NULL THEN
		RETURN QUERY SELECT * FROM onec_internal.months_since(plan.from_ts, plan.till_ts, NULL);
	ELSIF days IS NULL THEN
		RETURN QUERY SELECT * FROM onec_internal.all_windows(plan.server, target);
	ELSE
		RETURN QUERY SELECT * FROM onec_internal.recent_windows(plan.server, target, days, plan.deep);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.wanted_windows(onec_internal.sync_plan, text, int) IS
	'Окна шага (служебная)';

-- The windows that a step which reads everything has left to the next one for want of time; NULL: none.
CREATE FUNCTION onec_internal.windows_left(plan onec_internal.sync_plan, run bigint, target text,
										   days int) RETURNS tsrange[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN days IS NULL AND NOT (plan).afresh THEN (
		SELECT nullif(s.windows, '{}') FROM onec.sync_step s
		JOIN onec.sync_run r ON r.server = s.server AND r.run_id = s.run_id
		WHERE s.server = (plan).server AND s.target = windows_left.target AND s.run_id < run
		  AND s.days IS NULL
		  AND s.windows IS NOT NULL AND r.size > 0 AND r.started_at > now() - interval '8 days'
		ORDER BY s.run_id DESC LIMIT 1) END;
COMMENT ON FUNCTION onec_internal.windows_left(onec_internal.sync_plan, bigint, text, int) IS
	'Окна, которые прежний запуск не успел прочитать (служебная)';

-- The windows of a step, oldest first.  One that reads everything goes on where such a one ended for want of
-- time.
CREATE FUNCTION onec_internal.windows_in_order(plan onec_internal.sync_plan, run bigint, target text,
											   days int) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	windows tsrange[] := onec_internal.windows_left(plan, run, target, days);
BEGIN
	-- what that one could not prove lies behind the place
	IF windows IS NOT NULL THEN
		windows := ARRAY(
			SELECT tsrange(d.from_ts, d.till_ts) AS w FROM onec_internal.sync_doubt d
			WHERE d.server = plan.server AND d.target = windows_in_order.target AND d.kind = 'unproven'
			  AND NOT EXISTS (SELECT FROM unnest(windows) w WHERE w @> tsrange(d.from_ts, d.till_ts))
			UNION SELECT unnest(windows) ORDER BY w);
	END IF;
	RETURN coalesce(windows, ARRAY(
		SELECT tsrange(greatest(w.from_ts, k.since), w.till_ts)
		FROM onec_internal.wanted_windows(plan, target, days) w,
			onec_internal.purchases_kept_since(plan.server, target) k (since)
		WHERE greatest(w.from_ts, k.since) < w.till_ts ORDER BY w.from_ts));
END $$;
COMMENT ON FUNCTION onec_internal.windows_in_order(onec_internal.sync_plan, bigint, text, int) IS
	'Окна шага по порядку (служебная)';

-- The days that documents have left since a moment; see onec_internal.note_days_left_behind.
CREATE FUNCTION onec_internal.days_left_behind(server name, target text, since timestamptz) RETURNS tsrange[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN ARRAY(SELECT tsrange(d.from_ts, d.till_ts) FROM onec_internal.sync_doubt d
				 WHERE d.server = $1 AND d.target = $2 AND d.kind = 'unproven'
				   AND d.reason = onec_internal.reason_left_behind() AND d.found_at >= $3
				 ORDER BY d.from_ts);
COMMENT ON FUNCTION onec_internal.days_left_behind(name, text, timestamptz) IS
	'Дни, откуда документы перенесены (служебная)';

-- After two windows without rows: of those that follow, all before the next row, here or in 1C, become one.
CREATE FUNCTION onec_internal.join_empty_windows(server name, target text,
												 windows tsrange[]) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	here timestamp;
	next timestamp;
	last int;
BEGIN
	IF onec_internal.date_column(target) IS NULL OR cardinality(windows) < 4 THEN
		RETURN windows;
	END IF;
	EXECUTE format('SELECT %1$I FROM %2$s WHERE server = %3$s AND %1$I >= $1 ORDER BY %1$I LIMIT 1',
				   onec_internal.date_column(target), tab, onec_internal.server_in(tab, server))
		INTO here USING lower(windows[1]);
	next := least(onec_internal.first_date_in_1c(server, target, lower(windows[1])), here);
	last := (SELECT count(*) FROM unnest(windows) w WHERE upper(w) <= next OR next IS NULL);
	RETURN CASE WHEN last > 1 THEN tsrange(lower(windows[1]), upper(windows[last])) || windows[last + 1:]
				ELSE windows END;
END $$;
COMMENT ON FUNCTION onec_internal.join_empty_windows(name, text, tsrange[]) IS
	'Объединить окна без строк в одно (служебная)';

-- ---- the account ----

-- Add to a step what has been asked of 1C since the sums "before".
CREATE FUNCTION onec_internal.account_requests(server name, run bigint, ordinal int,
											   before bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sums bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
BEGIN
	UPDATE onec.sync_step s
	SET requests = s.requests + sums[1] - before[1], retries = s.retries + sums[2] - before[2],
		bytes = s.bytes + sums[3] - before[3]
	WHERE s.server = account_requests.server AND s.run_id = run AND s.ordinal = account_requests.ordinal
	  AND sums <> before;
END $$;
COMMENT ON FUNCTION onec_internal.account_requests(name, bigint, int, bigint[]) IS
	'Записать за шагом его запросы к 1С (служебная)';

-- A step that failed; a base that does not let us in is noted, so that jobs do not try again.
CREATE FUNCTION onec_internal.note_step_failure(server name, run bigint, ordinal int, code text,
												told text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	failed text;
BEGIN
	-- 1C has another name for it now, or has it no more
	told := concat_ws('; ', told, CASE WHEN code IN ('HV005', 'HV00R')
									   THEN format('SELECT * FROM onec.setup(%L) looks what there is',
												   server) END);
	UPDATE onec.sync_step s SET status = 'failed', finished_at = clock_timestamp(), error_code = code,
		message = told
	WHERE s.server = note_step_failure.server AND s.run_id = run AND s.ordinal = note_step_failure.ordinal
	RETURNING s.target INTO failed;
	IF code = '28000' THEN
		INSERT INTO onec_internal.login_refusal AS l (server, login_version)
		VALUES (server, onec_internal.login_version(server))
		ON CONFLICT ON CONSTRAINT login_refusal_pkey DO UPDATE SET login_version = excluded.login_version,
		refused_at = now();
	END IF;
	RAISE WARNING USING MESSAGE = format('step "%s" failed: %s', failed, told), ERRCODE = code;
END $$;
COMMENT ON FUNCTION onec_internal.note_step_failure(name, bigint, int, text, text) IS
	'Записать неудачу шага (служебная)';

-- All windows are read.  Only a reading without doubt moves what is known to be complete; a limited one when
-- its round is done.
CREATE FUNCTION onec_internal.end_step(plan onec_internal.sync_plan, run bigint,
									   s onec.sync_step) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_step t SET status = CASE WHEN t.message IS NULL THEN 'ok' ELSE 'incomplete' END,
		finished_at = clock_timestamp()
	WHERE t.server = s.server AND t.run_id = run AND t.ordinal = s.ordinal;
	DELETE FROM onec_internal.login_refusal l WHERE l.server = s.server AND s.requests > 0;
	-- what is purged, but goes on being read, goes again
	IF s.target = (SELECT t.target FROM onec.target t WHERE t.purge NOT IN ('date', 'none')
				   ORDER BY t.ordinal DESC LIMIT 1) THEN
		PERFORM onec_internal.purge_before(s.server, b.purged_before) FROM onec_internal.base b
			WHERE b.server = s.server AND b.purged_before IS NOT NULL;
	END IF;
	IF plan.size > 0 AND s.message IS NULL
		AND NOT EXISTS (SELECT FROM onec.sync_state t
						WHERE t.server = s.server AND t.target = s.target AND t.place > 0) THEN
		INSERT INTO onec.sync_state AS t (server, target, complete_from, last_ok, as_of)
		SELECT s.server, s.target,
			   CASE WHEN s.days IS NULL THEN onec_internal.first_moment()
					ELSE onec.local_now(s.server)::date - s.days END,
			   clock_timestamp(),
			   CASE WHEN s.objects_told IS NULL THEN s.started_at
					ELSE (SELECT p.asked_at FROM onec_internal.plan_state p WHERE p.server = s.server) END
		ON CONFLICT ON CONSTRAINT sync_state_pkey DO UPDATE
		SET complete_from = least(t.complete_from, excluded.complete_from), last_ok = excluded.last_ok,
			as_of = excluded.as_of;
		DELETE FROM onec_internal.sync_doubt d
		WHERE d.server = s.server AND d.target = s.target AND d.kind IN ('unproven', 'hole')
		  AND d.found_at < s.started_at;
		PERFORM onec_internal.end_step_of_plan(s);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.end_step(onec_internal.sync_plan, bigint, onec.sync_step) IS
	'Закончить шаг (служебная)';

CREATE FUNCTION onec_internal.step_summary(server name, run bigint, ordinal int) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s: %s read, %s inserted, %s updated, %s deleted in %s s%s', s.target, s.rows_read,
				  s.rows_inserted,
				  s.rows_updated, s.rows_deleted,
				  round(extract(epoch FROM s.finished_at - s.started_at)::numeric, 1),
				  CASE WHEN s.status = 'incomplete' THEN '; incomplete: ' || s.message END)
	FROM onec.sync_step s WHERE s.server = $1 AND s.run_id = $2 AND s.ordinal = $3
$$;
COMMENT ON FUNCTION onec_internal.step_summary(name, bigint, int) IS 'Итог шага одной строкой (служебная)';
