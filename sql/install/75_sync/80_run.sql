-- CALL onec.sync: 1C into the local tables, window by window.
--
-- A window is read into a temporary table, compared with what is here, and only the differences are written,
-- in one transaction; then it is committed.  Whatever stops a run, every window is either old or new.  The
-- procedures that commit can have no SET clause, so they hold control flow and qualified calls only; the work
-- is in functions that have one.

-- ---- a run begins and ends ----

CREATE FUNCTION onec_internal.run_lock_key(server name) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN hashtextextended('onec run ' || server, 0);
COMMENT ON FUNCTION onec_internal.run_lock_key(name) IS 'Ключ блокировки запуска (служебная)';

-- Runs whose mark is gone: cancelled, or their process has ended.
CREATE FUNCTION onec_internal.close_lost_runs(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec.sync_run r SET status = 'interrupted', finished_at = now(),
		message = 'the process ended before the run'
	WHERE r.server = $1 AND r.status = 'running';
	UPDATE onec.sync_step s SET status = 'failed', finished_at = now(), message = 'interrupted'
	FROM onec.sync_run r
	WHERE r.server = $1 AND r.status = 'interrupted' AND s.server = r.server AND s.run_id = r.run_id
	  AND s.status IN ('running', 'waiting');
$$;
COMMENT ON FUNCTION onec_internal.close_lost_runs(name) IS
	'Закрыть прерванные запуски, когда ни один не идёт (служебная)';

-- Steps in turn: those behind which the last run of this size ran out of time come first, what is made here
-- last.
CREATE FUNCTION onec_internal.write_down_steps(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	late_at int := (SELECT r.ended_at FROM onec.sync_run r
					WHERE r.server = plan.server AND r.size = plan.size AND r.run_id < run
					  AND r.status NOT LIKE 'skipped%'
					ORDER BY r.run_id DESC LIMIT 1);
BEGIN
	INSERT INTO onec.sync_step (server, run_id, ordinal, step, target, status, turn)
	SELECT plan.server, run, s.ordinal, s.step, s.target, 'waiting',
		   s.ordinal + CASE WHEN s.source <> 'set' THEN 2000000
							WHEN s.ordinal < late_at THEN 1000000 ELSE 0 END
	FROM onec_internal.sync_steps(plan.server, plan.steps) s
	WHERE onec_internal.is_switched_on(plan.server, s)
	  -- a part is of what is read, and of a person only where there is a condition for them
	  AND (plan.size > 0 OR s.source = 'profiles'
		   OR s.source = 'set' AND onec_internal.way_of_step(plan.server, s.target) = 'read'
			  AND (plan.user_id IS NULL
				   OR onec_internal.purchases_of_person(plan.server, s.target, plan.user_id) IS NOT NULL));
END $$;
COMMENT ON FUNCTION onec_internal.write_down_steps(onec_internal.sync_plan, bigint) IS
	'Записать шаги запуска (служебная)';

-- Begin a run.  When another one is at work a larger run is told to wait, until "since" is too long ago;
-- others are on record as skipped, and so are jobs whose login 1C has refused, until it is changed.
CREATE FUNCTION onec_internal.begin_run(plan onec_internal.sync_plan, since timestamptz, OUT run bigint,
										OUT wait boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state text := 'running';
	said text;
	other int;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('onec sync ' || plan.server, 0));
	PERFORM onec_internal.remember_base(plan.server);
	wait := false;
	IF plan.job IS NOT NULL AND EXISTS (SELECT FROM onec_internal.login_refusal l
										WHERE l.server = plan.server
										  AND l.login_version = onec_internal.login_version(plan.server)) THEN
		state := 'skipped (login)';
		said := '1C refused the login: the jobs wait until the user mapping or the server is altered';
	ELSIF onec_internal.hold_run(onec_internal.run_lock_key(plan.server)) THEN
		PERFORM onec_internal.close_lost_runs(plan.server);
	ELSE
		other := (SELECT r.size FROM onec.sync_run r WHERE r.server = plan.server AND r.status = 'running'
				  ORDER BY r.run_id DESC LIMIT 1);
		-- one that is just ending has no row any more
		wait := CASE WHEN other IS NULL THEN clock_timestamp() < since + interval '10 seconds'
					 ELSE plan.size > other
						 AND (plan.minutes = 0
							  OR clock_timestamp() < since + make_interval(mins => plan.minutes)) END;
		IF wait THEN
			RETURN;
		END IF;
		state := 'skipped (busy)';
		said := 'another run is at work';
	END IF;
	-- the sequence of a replica that was promoted is behind the rows that came to it
	WHILE run IS NULL LOOP
		INSERT INTO onec.sync_run AS r (server, started_at, finished_at, status, pid, backend_start, days,
										message, size, job)
		SELECT plan.server, clock_timestamp(), CASE WHEN state <> 'running' THEN clock_timestamp() END, state,
			   pg_backend_pid(),
			   (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()), plan.days,
			   said, plan.size, plan.job
		ON CONFLICT ON CONSTRAINT sync_run_pkey DO NOTHING
		RETURNING r.run_id INTO run;
	END LOOP;
	IF state <> 'running' THEN
		RAISE NOTICE USING MESSAGE = format('sync of "%s" %s: %s', plan.server, state, said);
		run := NULL;
		RETURN;
	END IF;
	PERFORM onec_internal.write_down_steps(plan, run);
	-- who reads everything, be it of one step, finds out anew what the base refuses: it may have been a
	-- passing trouble
	IF plan.size = 4 OR (plan.afresh AND plan.from_ts IS NULL AND plan.user_id IS NULL) THEN
		PERFORM onec.forget_refusals(plan.server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.begin_run(onec_internal.sync_plan, timestamptz) IS
	'Начать запуск синхронизации (служебная)';

CREATE FUNCTION onec_internal.end_run(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.keep_years(plan.server);
	PERFORM onec_internal.analyze_what_changed();
	PERFORM onec.remember_refusals(plan.server);
	UPDATE onec.sync_run r
	SET finished_at = clock_timestamp(),
		status = (SELECT CASE WHEN bool_and(s.status IN ('failed', 'not published', 'skipped'))
							  AND bool_or(s.status = 'failed') THEN 'failed'
							  WHEN bool_or(s.status IN ('failed', 'skipped')) THEN 'partial'
							  WHEN bool_or(s.status = 'incomplete') THEN 'incomplete'
							  ELSE 'ok' END
				  FROM onec.sync_step s WHERE s.server = r.server AND s.run_id = r.run_id),
		message = nullif(concat_ws('; ', onec_internal.plan_failure(r.server, r.run_id),
				  (SELECT string_agg(DISTINCT CASE s.status WHEN 'skipped' THEN s.message
											  ELSE s.target || ': ' || s.message END, '; ')
				   FROM onec.sync_step s
				   WHERE s.server = r.server AND s.run_id = r.run_id
					 AND s.status IN ('failed', 'incomplete', 'skipped'))), '')
	WHERE r.server = plan.server AND r.run_id = run;
	-- when all of what is compared is read, what had drifted is
	UPDATE onec.drift d SET repaired_at = clock_timestamp()
	WHERE d.server = plan.server AND d.repaired_at IS NULL AND plan.size > 0
	  AND (SELECT bool_and(s.status IN ('ok', 'not published')) FROM onec.sync_step s
		   WHERE s.server = d.server AND s.run_id = run AND s.step = onec_internal.compared_step());
END $$;
COMMENT ON FUNCTION onec_internal.end_run(onec_internal.sync_plan, bigint) IS 'Закончить запуск (служебная)';

-- ---- steps and windows ----

-- Why the run is to do no more: its time is over, or the base did not answer or refused the login.
CREATE FUNCTION onec_internal.reason_to_stop(plan onec_internal.sync_plan, run bigint) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	codes text[] := ARRAY(SELECT s.error_code FROM onec.sync_step s
						  WHERE s.server = plan.server AND s.run_id = run AND s.error_code IS NOT NULL);
BEGIN
	IF codes && '{08001,08006,HV00N}' THEN
		RETURN 'given up: the base does not answer';
	ELSIF codes && '{28000}' THEN
		RETURN 'given up: the login is refused';
	ELSIF plan.minutes > 0 AND clock_timestamp() > (SELECT r.started_at FROM onec.sync_run r
													WHERE r.server = plan.server AND r.run_id = run)
												   + make_interval(mins => plan.minutes) THEN
		RETURN 'out of time';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.reason_to_stop(onec_internal.sync_plan, bigint) IS
	'Почему запуску пора остановиться (служебная)';

-- Leave what is still to be done, and remember where.
CREATE FUNCTION onec_internal.stop_run_here(plan onec_internal.sync_plan, run bigint,
											reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_run r SET ended_at = s.ordinal
	FROM (SELECT t.ordinal FROM onec.sync_step t
		  WHERE t.server = plan.server AND t.run_id = run AND t.status IN ('running', 'waiting')
		  ORDER BY t.turn LIMIT 1) s
	WHERE r.server = plan.server AND r.run_id = run AND reason = 'out of time';
	UPDATE onec.sync_step s SET status = 'skipped', finished_at = clock_timestamp(), message = reason
	WHERE s.server = plan.server AND s.run_id = run AND s.status IN ('running', 'waiting');
END $$;
COMMENT ON FUNCTION onec_internal.stop_run_here(onec_internal.sync_plan, bigint, text) IS
	'Остановить запуск и запомнить место (служебная)';

-- How many days a step reads: a table never read completely is read from the beginning; after a pause longer
-- than what the run was told, its days are read, too.
CREATE FUNCTION onec_internal.days_of_step(plan onec_internal.sync_plan, target text) RETURNS int
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT greatest(($1).days, ceil(extract(epoch FROM clock_timestamp() - t.last_ok) / 86400)::int)
	FROM onec.sync_state t
	WHERE t.server = ($1).server AND t.target = $2 AND ($1).days IS NOT NULL
	  AND (t.last_ok IS NOT NULL OR onec_internal.date_column($2) IS NULL)
$$;
COMMENT ON FUNCTION onec_internal.days_of_step(onec_internal.sync_plan, text) IS
	'За сколько дней читать таблицу; NULL — всю (служебная)';

-- Begin the next step and list its windows.  Returns its number; NULL when there is none, or the run is to
-- stop.
CREATE FUNCTION onec_internal.begin_next_step(plan onec_internal.sync_plan, run bigint) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.sync_step;
	asked bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
	stop text := onec_internal.reason_to_stop(plan, run);
	code text;
	said text;
	detail text;
	context text;
BEGIN
	PERFORM onec_internal.drop_waiting_documents();
	PERFORM onec_internal.drop_window_tables();
	PERFORM onec_internal.analyze_what_changed();
	IF stop IS NOT NULL THEN
		PERFORM onec_internal.stop_run_here(plan, run, stop);
		RETURN NULL;
	END IF;
	UPDATE onec.sync_step t SET status = 'running', started_at = clock_timestamp(),
		days = onec_internal.days_of_step(plan, t.target)
	WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = (SELECT n.ordinal FROM onec.sync_step n
		WHERE n.server = plan.server AND n.run_id = run AND n.status = 'waiting' ORDER BY n.turn LIMIT 1)
	RETURNING t.* INTO s;
	IF s.ordinal IS NULL THEN
		RETURN NULL;
	END IF;
	BEGIN
		IF onec_internal.way_of_step(plan.server, s.target) = 'none' THEN
			UPDATE onec.sync_step t SET status = 'not published', finished_at = clock_timestamp()
			WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
		ELSE
			IF onec_internal.follow_metadata(plan, run, s.target) THEN
				s.days := NULL;
				UPDATE onec.sync_step t SET days = NULL
				WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
			END IF;
			SELECT o.days, o.told INTO s.days, s.objects_told
			FROM onec_internal.objects_told(plan, run, s.target, s.days) o;
			s.windows := CASE WHEN s.objects_told IS NULL
							  THEN onec_internal.windows_in_order(plan, run, s.target, s.days)
							  ELSE ARRAY[tsrange(onec_internal.first_moment(),
												 onec_internal.last_moment())] END;
			UPDATE onec.sync_step t SET windows = s.windows, windows_total = cardinality(s.windows),
				days = s.days, objects_told = s.objects_told,
				resumed = onec_internal.windows_left(plan, run, s.target, s.days) IS NOT NULL
					OR EXISTS (SELECT FROM onec.sync_state k
							   WHERE k.server = t.server AND k.target = t.target AND k.place > 0)
			WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.note_step_failure(plan.server, run, s.ordinal, code,
												onec_internal.message_without_values(code, said,
													detail, context));
	END;
	PERFORM onec_internal.account_requests(plan.server, run, s.ordinal, asked);
	RETURN s.ordinal;
END $$;
COMMENT ON FUNCTION onec_internal.begin_next_step(onec_internal.sync_plan, bigint) IS
	'Начать следующий шаг (служебная)';

-- Do what one window of a step takes.
CREATE FUNCTION onec_internal.do_window(plan onec_internal.sync_plan, target text, from_ts timestamp,
										till_ts timestamp, days int, told bigint,
										OUT read bigint, OUT keys bigint, OUT inserted bigint,
										OUT updated bigint, OUT deleted bigint,
										OUT doubt text, OUT truncated boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way text := onec_internal.way_of_step(plan.server, target);
	part_of text := CASE WHEN plan.user_id IS NOT NULL
						 THEN onec_internal.purchases_of_person(plan.server, target, plan.user_id) END;
	more record;
	touched uuid[];
BEGIN
	truncated := false;
	read := 0;
	keys := 0;
	IF way IN ('people', 'profiles') THEN
		PERFORM onec_internal.drop_forgotten_from_staged(plan.server, target);
	END IF;
	IF way = 'people' THEN
		SELECT f.rows_inserted, f.rows_updated, f.rows_deleted INTO inserted, updated, deleted
		FROM onec_internal.refresh_people(plan.server, days IS NULL OR plan.size >= 3) f;
	ELSIF way = 'profiles' THEN
		PERFORM onec_internal.note_who_is_written(plan.server, target);
		SELECT f.rows_inserted, f.rows_updated, f.rows_deleted INTO inserted, updated, deleted
		FROM onec_internal.refresh_after_sync(plan.server, days IS NULL AND plan.size > 0, plan.size > 0) f;
		PERFORM onec_internal.feed_changed(plan.server, target,
										   'SELECT w.customer_id FROM pg_temp.onec_written w');
	ELSIF way = 'files' THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt, touched
		FROM onec_internal.sync_some_images(plan.server) f;
		PERFORM onec_internal.feed_changed(plan.server, target, format('SELECT unnest(%L::uuid[])', touched));
	ELSIF way = 'derived' THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt
		FROM onec_internal.sales_from_card_register(plan.server, plan.force) f;
	ELSIF told IS NOT NULL THEN
		SELECT f.* INTO read, keys, inserted, updated, deleted, doubt
		FROM onec_internal.sync_told(plan.server, target, plan.force) f;
	ELSIF (SELECT t.is_limited FROM onec.target t WHERE t.target = do_window.target)
		AND NOT onec_internal.cards_fit_limit(plan.server, plan.cards_limit)
		-- keys and versions of all are less than some of them whole
		AND onec_internal.version_way(plan.server, target, 'true') <> 'header' THEN
		SELECT f.* INTO read, inserted, updated, deleted, doubt, truncated
		FROM onec_internal.sync_some_cards(plan.server, plan.cards_limit, plan.force) f;
	ELSE
		SELECT f.* INTO read, keys, inserted, updated, deleted, doubt
		FROM onec_internal.sync_window(plan.server, target, from_ts, till_ts, part_of, plan.force) f;
		IF onec_internal.has_buyer(target) AND plan.user_id IS NOT NULL THEN
			SELECT * INTO more FROM onec_internal.sync_documents_by_card(plan.server, plan.user_id,
				from_ts, till_ts);
			read := read + more.read;
			inserted := inserted + more.inserted;
			updated := updated + more.updated;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.do_window(onec_internal.sync_plan, text, timestamp, timestamp, int,
											bigint) IS
	'Выполнить одно окно шага (служебная)';

-- The end of a step's windows, or of those that it went back to: what has waited is settled.
CREATE FUNCTION onec_internal.settle_step(plan onec_internal.sync_plan, run bigint, s onec.sync_step,
										  asked bigint[]) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	did record;
	code text;
	said text;
	detail text;
	context text;
BEGIN
	BEGIN
		PERFORM onec_internal.hold_own_tables(s.target);
		SELECT * INTO did FROM onec_internal.settle_waiting(plan.server, s);
		UPDATE onec.sync_step t
		SET rows_inserted = t.rows_inserted + did.inserted, rows_updated = t.rows_updated + did.updated,
			rows_deleted = t.rows_deleted + did.deleted, message = coalesce(t.message, did.doubt),
			covered = '{}', covered_keys = 0
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = s.ordinal;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.drop_waiting_documents();
		PERFORM onec_internal.note_step_failure(plan.server, run, s.ordinal, code,
												onec_internal.message_without_values(code, said,
													detail, context));
	END;
	PERFORM onec_internal.account_requests(plan.server, run, s.ordinal, asked);
	RETURN code IS NULL;
END $$;
COMMENT ON FUNCTION onec_internal.settle_step(onec_internal.sync_plan, bigint, onec.sync_step, bigint[]) IS
	'Сверить прочитанное шагом и записать отложенное (служебная)';

-- Whoever listens on onec_changed hears of a step that is over, once it is committed: a site its caches of
-- which are to be refreshed.  No row is in it, so everybody may listen.
CREATE FUNCTION onec_internal.tell_of_step(server name, run bigint, place int) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_notify('onec_changed',
					 json_build_object('server', t.server, 'target', t.target, 'run_id', t.run_id,
									   'changed', t.rows_inserted + t.rows_updated + t.rows_deleted)::text)
	FROM onec.sync_step t WHERE t.server = $1 AND t.run_id = $2 AND t.ordinal = $3
$$;
COMMENT ON FUNCTION onec_internal.tell_of_step(name, bigint, int) IS
	'Сообщить слушающим onec_changed, что шаг завершён (служебная)';

-- One window of a step, with its account; an error is kept with the step.  Returns whether there may be more
-- of it.
CREATE FUNCTION onec_internal.do_next_window(plan onec_internal.sync_plan, run bigint,
											 place int) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec.sync_step;
	w tsrange;
	did record;
	asked bigint[] := (SELECT ARRAY[t.requests, t.retries, t.bytes] FROM onec_internal.session_totals() t);
	since timestamptz := clock_timestamp();
	-- what else stops a run has failed a step, and is looked for before the next one
	stop text := CASE WHEN plan.minutes > 0 THEN onec_internal.reason_to_stop(plan, run) END;
	code text;
	said text;
	detail text;
	context text;
BEGIN
	SELECT t.* INTO s FROM onec.sync_step t
	WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place AND t.status = 'running';
	w := s.windows[1];
	IF s.ordinal IS NULL THEN
		RETURN false;
	END IF;
	IF w IS NULL AND onec_internal.any_documents_wait() THEN
		RETURN onec_internal.settle_step(plan, run, s, asked);
	END IF;
	IF w IS NULL AND NOT s.went_back AND plan.user_id IS NULL THEN
		s.windows := onec_internal.days_left_behind(plan.server, s.target, s.started_at);
		w := s.windows[1];
		UPDATE onec.sync_step t
		SET went_back = true, windows = s.windows, windows_total = t.windows_total + cardinality(s.windows)
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place AND w IS NOT NULL;
	END IF;
	-- a step that was begun reads one window at least, lest a run that is always late stands still
	IF stop IS NOT NULL AND s.windows_done > 0 AND w IS NOT NULL THEN
		PERFORM onec_internal.stop_run_here(plan, run, stop);
		RETURN false;
	END IF;
	BEGIN
		PERFORM onec_internal.hold_own_tables(s.target);
		IF w IS NULL THEN
			IF plan.size > 0 AND (onec_internal.target_named(s.target)).sums = 'balance' THEN
				PERFORM onec_internal.check_points_with_1c(plan, s);
			END IF;
			PERFORM onec_internal.end_step(plan, run, s);
		ELSE
			SELECT * INTO did FROM onec_internal.do_window(plan, s.target, lower(w), upper(w), s.days,
														   s.objects_told);
			s.windows := s.windows[2:];
			IF did.read = 0 AND s.empty_windows > 0 THEN
				s.windows := onec_internal.join_empty_windows(plan.server, s.target, s.windows);
			END IF;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.note_step_failure(plan.server, run, place, code,
												onec_internal.message_without_values(code, said,
													detail, context));
	END;
	IF w IS NOT NULL AND code IS NULL THEN
		UPDATE onec.sync_step t
		SET windows = s.windows, windows_done = t.windows_done + 1, rows_read = t.rows_read + did.read,
			rows_inserted = t.rows_inserted + did.inserted,
			rows_updated = t.rows_updated + did.updated, rows_deleted = t.rows_deleted + did.deleted,
			truncated = t.truncated OR did.truncated, message = coalesce(t.message, did.doubt),
			covered = CASE WHEN t.objects_told IS NULL
								AND onec_internal.deletion_waits_for_end(t.server, t.target)
						   THEN t.covered + tsmultirange(w) ELSE '{}' END,
			covered_keys = t.covered_keys + did.keys,
			empty_windows = CASE WHEN did.read = 0 THEN t.empty_windows + 1 ELSE 0 END
		WHERE t.server = plan.server AND t.run_id = run AND t.ordinal = place;
	END IF;
	PERFORM onec_internal.account_requests(plan.server, run, place, asked);
	IF w IS NULL OR code IS NOT NULL THEN
		PERFORM onec_internal.tell_of_step(plan.server, run, place);
	ELSE
		PERFORM onec_internal.tell_progress(plan, run, place, since);
	END IF;
	IF w IS NULL AND code IS NULL THEN
		RAISE NOTICE USING MESSAGE = onec_internal.step_summary(plan.server, run, place);
	END IF;
	RETURN w IS NOT NULL AND code IS NULL;
END $$;
COMMENT ON FUNCTION onec_internal.do_next_window(onec_internal.sync_plan, bigint, int) IS
	'Прочитать следующее окно шага (служебная)';

CREATE PROCEDURE onec_internal.carry_out(plan onec_internal.sync_plan)
	LANGUAGE plpgsql
AS $$
DECLARE
	since pg_catalog.timestamptz := pg_catalog.clock_timestamp();
	begun pg_catalog.record;
	part pg_catalog.text := 'look';
	step int;
BEGIN
	-- whatever the session's default is: each window sees what others have committed before it
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	LOOP
		SELECT * INTO begun FROM onec_internal.begin_run(plan, since);
		COMMIT AND CHAIN;
		EXIT WHEN NOT begun.wait;
		PERFORM pg_catalog.pg_sleep(0.5);
	END LOOP;
	IF begun.run IS NULL THEN
		RETURN;
	END IF;
	WHILE part IS NOT NULL LOOP
		part := onec_internal.take_message(plan, begun.run, part);
		COMMIT AND CHAIN;
	END LOOP;
	LOOP
		step := onec_internal.begin_next_step(plan, begun.run);
		COMMIT AND CHAIN;
		EXIT WHEN step IS NULL;
		WHILE onec_internal.do_next_window(plan, begun.run, step) LOOP
			COMMIT AND CHAIN;
		END LOOP;
		COMMIT AND CHAIN;
	END LOOP;
	PERFORM onec_internal.end_run(plan, begun.run);
	COMMIT;
	PERFORM onec_internal.release_run();
	PERFORM onec_internal.refresh_first_models(plan, begun.run);
	COMMIT;
END $$;
COMMENT ON PROCEDURE onec_internal.carry_out(onec_internal.sync_plan) IS
	'Синхронизация без проверок (служебная)';

-- What a window leaves to the end of its transaction; what waits for the end of its step stays.
CREATE FUNCTION onec_internal.drop_passing_tables() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass;
BEGIN
	FOR tab IN SELECT c.oid FROM pg_class c
			   WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind = 'r' AND c.relname ~ '^onec_'
				 AND c.relname !~ '^onec_waiting' LOOP
		EXECUTE format('DROP TABLE %s', tab);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.drop_passing_tables() IS
	'Убрать временные таблицы окна, когда транзакция одна на все (служебная)';

-- A dry run is the run itself in one transaction, taken back: its steps are told as they end.
CREATE PROCEDURE onec_internal.try_plan(plan onec_internal.sync_plan)
	LANGUAGE plpgsql
AS $$
DECLARE
	begun pg_catalog.record;
	step int;
BEGIN
	COMMIT;
	SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
	SELECT * INTO begun FROM onec_internal.begin_run(plan, '-infinity');
	IF begun.run IS NULL THEN
		RAISE object_in_use USING MESSAGE = 'another run is at work',
			HINT = 'A dry run does not wait: try again when that one has ended.';
	END IF;
	LOOP
		step := onec_internal.begin_next_step(plan, begun.run);
		EXIT WHEN step IS NULL;
		WHILE onec_internal.do_next_window(plan, begun.run, step) LOOP
			PERFORM onec_internal.drop_passing_tables();
		END LOOP;
		PERFORM onec_internal.drop_passing_tables();
	END LOOP;
	ROLLBACK;
	RAISE NOTICE 'dry run: nothing of this is kept';
END $$;
COMMENT ON PROCEDURE onec_internal.try_plan(onec_internal.sync_plan) IS
	'Показать, что сделала бы синхронизация (служебная)';

-- ---- how it is asked for ----

-- The plan of a run of the shop's steps.
CREATE FUNCTION onec_internal.plan_of_steps(server name, days int, cards_limit int, steps text[],
											deep boolean, force boolean, afresh boolean, job text)
	RETURNS onec_internal.sync_plan
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ROW($1, $2, coalesce($3, onec.get('sync.cards_limit', $1)::int), $4, $5, $6, $7, $8,
			   CASE WHEN $4 IS NOT NULL THEN 1 WHEN $2 IS NULL THEN 4 WHEN $5 THEN 3 ELSE 2 END,
			   CASE WHEN $8 IS NULL THEN 0 ELSE onec.get('sync.max_minutes', $1)::int END, NULL, NULL,
			   NULL)::onec_internal.sync_plan
$$;
COMMENT ON FUNCTION onec_internal.plan_of_steps(name, int, int, text[], boolean, boolean, boolean, text) IS
	'Что делать запуску (служебная)';

CREATE FUNCTION onec_internal.check_steps(steps text[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.checked_word('step', coalesce(u, ''),
									   ARRAY(SELECT t.step FROM onec.target t GROUP BY 1
											 ORDER BY min(t.ordinal))) FROM unnest(steps) u;
	IF steps = '{}' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'there is no step to do',
			HINT = 'Leave steps out to do all of them.';
	END IF;
	PERFORM onec_internal.must_write('sync');
END $$;
COMMENT ON FUNCTION onec_internal.check_steps(text[]) IS 'Проверить параметры синхронизации (служебная)';

-- Asked by a procedure itself, in its own body: what it calls cannot tell for it.
CREATE FUNCTION onec_internal.in_transaction_block() RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_in_transaction_block';
COMMENT ON FUNCTION onec_internal.in_transaction_block() IS
	'Нельзя ли вызвавшей процедуре фиксировать: блок BEGIN … COMMIT, обработчик ошибок, функция (служебная)';

CREATE FUNCTION onec_internal.refuse_transaction_block(procedure text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE invalid_transaction_termination USING
		MESSAGE = format('onec.%s cannot run inside a transaction block or a function', procedure),
		HINT = 'It commits window by window: call it outside of BEGIN … COMMIT, functions and exception '
			   'handlers, as a statement of its own.';
END $$;
COMMENT ON FUNCTION onec_internal.refuse_transaction_block(text) IS
	'Ошибка: процедуре нельзя фиксировать (служебная)';

-- What only setup makes is there.
CREATE FUNCTION onec_internal.check_setup_was_run(server name) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.sync_steps(server, NULL) t
				   WHERE to_regclass(format('%I.%I', check_setup_was_run.server, t.target)) IS NOT NULL) THEN
		RAISE undefined_table USING
			MESSAGE = format('server "%s" has no foreign tables of the shop', server),
			HINT = format('Run SELECT * FROM onec.setup(%L) first.', server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_setup_was_run(name) IS
	'Проверить, что onec.setup выполнен (служебная)';

-- Days and limits that can be meant; a year has 366 days, and no base is older than a century.
CREATE FUNCTION onec_internal.check_days_and_limit(days int, cards_limit int) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF days NOT BETWEEN 0 AND 36500 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('invalid number of days: %s', days),
				HINT = 'From 0 to 36500; full_reload => true reads everything.';
	ELSIF cards_limit < 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = format('invalid limit of cards: %s', cards_limit),
			HINT = 'From 0, which means all.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_days_and_limit(int, int) IS
	'Проверить дни и ограничение карт (служебная)';

-- What onec.sync has been asked, as a plan; errors where it cannot be done.
CREATE FUNCTION onec_internal.plan_of_sync(server name, days int, cards_limit int, steps text[],
										   full_reload boolean, deep boolean, force boolean)
	RETURNS onec_internal.sync_plan
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
BEGIN
	PERFORM onec_internal.check_steps(steps);
	PERFORM onec_internal.check_days_and_limit(days, cards_limit);
	srv := onec_internal.live_server_meant(server);
	PERFORM onec_internal.check_setup_was_run(srv);
	RETURN onec_internal.plan_of_steps(srv, CASE WHEN full_reload IS NOT TRUE
												 THEN coalesce(days, onec.get('sync.purchase_days',
													 srv)::int) END,
									   cards_limit, steps, coalesce(deep, false), coalesce(force, false),
									   coalesce(full_reload, false), NULL);
END $$;
COMMENT ON FUNCTION onec_internal.plan_of_sync(name, int, int, text[], boolean, boolean, boolean) IS
	'Что делать запуску по параметрам onec.sync (служебная)';

CREATE PROCEDURE onec.sync(server name DEFAULT NULL, days int DEFAULT NULL, cards_limit int DEFAULT NULL,
						   steps text[] DEFAULT NULL,
						   full_reload boolean DEFAULT false, deep boolean DEFAULT false,
						   force boolean DEFAULT false,
						   dry_run boolean DEFAULT false)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('sync');
	END IF;
	COMMIT;
	IF dry_run THEN
		CALL onec_internal.try_plan(onec_internal.plan_of_sync(server, days, cards_limit, steps, full_reload,
															   deep, force));
		RETURN;
	END IF;
	CALL onec_internal.carry_out(onec_internal.plan_of_sync(server, days, cards_limit, steps, full_reload,
															deep, force));
END $$;
COMMENT ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean, boolean, boolean) IS
	'Синхронизация с 1С: карты, контрагенты, товары, магазины, покупки за days дней, баллы, заказы, '
	'картинки, профили; фиксирует каждое окно, можно прервать и повторить; deep — ещё и сверить старые '
	'месяцы и перечитать разошедшиеся; force — поверить пустому ответу или ответу, в котором нет ни одной '
	'здешней строки; dry_run — только показать, сколько строк изменилось бы';
REVOKE EXECUTE ON PROCEDURE onec.sync(name, int, int, text[], boolean, boolean, boolean, boolean) FROM PUBLIC;
