-- Watching the jobs and acting on a run: what is scheduled and when it comes, how old the data are,
-- cancelling.

-- What a field of a schedule allows, from 0 to "top".
CREATE FUNCTION onec_internal.cron_field_values(field text, top int) RETURNS SETOF int
	LANGUAGE sql IMMUTABLE
	BEGIN ATOMIC
		SELECT n FROM generate_series(CASE WHEN field ~ '^\d+$' THEN field::int ELSE 0 END,
									  CASE WHEN field ~ '^\d+$' THEN least(field::int, top) ELSE top END,
									  CASE WHEN field LIKE '*/%' THEN substr(field, 3)::int ELSE 1 END) n;
	END;
COMMENT ON FUNCTION onec_internal.cron_field_values(text, int) IS
	'Значения, которые допускает поле расписания (служебная)';

-- The next minute a schedule of pg_cron means, on the clock of "zone", after a moment.  Known are the forms
-- that are used here: minute and hour as a number, * or */N, every day or one day of the week; or so many
-- seconds apart; NULL for others.
CREATE FUNCTION onec_internal.next_cron_run(cron text, zone text, after timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	form text[] := regexp_match(cron, '^(\d+|\*|\*/[1-9]\d*) (\d+|\*|\*/[1-9]\d*) \* \* ([0-7]|\*)$');
	day date := (after AT TIME ZONE zone)::date - 1;
	coming timestamptz;
BEGIN
	IF cron ~ '^\d+ seconds$' THEN
		RETURN after + make_interval(secs => split_part(cron, ' ', 1)::int);
	END IF;
	FOR i IN 1 .. 10 LOOP
		-- seven is Sunday, too
		IF form[3] = '*' OR extract(dow FROM day) = form[3]::int % 7 THEN
			SELECT min(x.at) INTO coming
			FROM onec_internal.cron_field_values(form[2], 23) h,
				onec_internal.cron_field_values(form[1], 59) m,
				 LATERAL (SELECT (day + make_time(h, m, 0)) AT TIME ZONE zone AS at) x
			WHERE x.at > after;
			EXIT WHEN coming IS NOT NULL;
		END IF;
		day := day + 1;
	END LOOP;
	RETURN coming;
END $$;
COMMENT ON FUNCTION onec_internal.next_cron_run(text, text, timestamptz) IS
	'Когда сработает расписание pg_cron после указанного момента (служебная)';

-- What pg_cron knows of our jobs; no rows where it is not in this database, or may not be looked at.
CREATE FUNCTION onec_internal.cron_jobs_known()
	RETURNS TABLE (server name, job text, jobid bigint, cron text, active boolean,
				   last_start timestamptz, last_status text, last_message text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.cron_place() <> 'here' OR NOT has_schema_privilege('cron', 'USAGE') THEN
		RETURN;
	END IF;
	RETURN QUERY EXECUTE '
		-- the first line only: what follows may be the row at fault
		SELECT s.server, n.job, j.jobid, j.schedule, j.active, d.start_time, d.status,
			   split_part(d.return_message, chr(10), 1)
		FROM onec_internal.live_servers s CROSS JOIN LATERAL onec_internal.job_names(s.server) n
		JOIN cron.job j ON j.jobname = n.job_name AND j.database = current_database()
		LEFT JOIN (SELECT r.jobid, max(r.runid) AS runid FROM cron.job_run_details r GROUP BY 1) l
			ON l.jobid = j.jobid
		LEFT JOIN cron.job_run_details d ON d.runid = l.runid';
END $$;
COMMENT ON FUNCTION onec_internal.cron_jobs_known() IS
	'Что знает pg_cron о наших заданиях; без pg_cron — ничего (служебная)';

-- The moment before which the job only looks and goes away: an interval that does not divide the day.
CREATE FUNCTION onec_internal.interval_due_from(server name, job text) RETURNS timestamptz
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT max(r.started_at) + make_interval(hours => h.hours) - interval '10 minutes 1 microsecond'
	FROM (SELECT onec.get('sync.interval_hours', $1)::int) h (hours)
	JOIN onec.sync_run r ON r.server = $1 AND r.size >= 2
		AND r.status IN ('ok', 'incomplete', 'partial', 'running')
	WHERE $2 = 'interval' AND (24 % h.hours <> 0 OR h.hours >= 24)
	GROUP BY h.hours
$$;
COMMENT ON FUNCTION onec_internal.interval_due_from(name, text) IS
	'Раньше какого времени частая синхронизация не начнётся (служебная)';

-- What is to be done about the schedule, and, whoever runs the jobs, about what they found.
CREATE FUNCTION onec_internal.job_hint(server name, job text, jobid bigint, active boolean, stale boolean,
									   last_message text, place text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws('; ', CASE
		WHEN $7 = 'elsewhere'
			THEN format('pg_cron works in another database: SELECT onec.schedule(%L) tells what to run there',
						$1)
		WHEN $7 = 'not created' THEN format('run CREATE EXTENSION pg_cron, then SELECT onec.schedule(%L)', $1)
		WHEN $7 = 'none' THEN format('no pg_cron: SELECT onec.schedule(%L) gives lines for a crontab', $1)
		WHEN NOT has_schema_privilege('cron', 'USAGE')
			THEN 'the jobs are seen by those who have the right USAGE on schema cron'
		WHEN $3 IS NULL THEN format('not scheduled: SELECT onec.schedule(%L)', $1)
		WHEN NOT $4 THEN format('switched off: SELECT cron.alter_job(%s, active => true)', $3)
		WHEN $5 THEN format('the time differs from the settings (changed since, or the clocks '
							'were): SELECT onec.schedule(%L)', $1)
		WHEN $6 ~* 'connection failed|could not connect' THEN
			'pg_cron could not connect: set cron.use_background_workers = on, or let it in '
			'by pg_hba.conf or .pgpass'
		WHEN $2 = 'interval' AND NOT onec.get('sync.enabled', $1)::boolean
			THEN 'does nothing: sync.enabled is false'
		WHEN $2 = 'nightly' AND NOT onec.get('nightly.enabled', $1)::boolean
			THEN 'does nothing: nightly.enabled is false' END,
		-- the housekeeping asks nothing, deliveries have a login of their own
		CASE WHEN CASE $2 WHEN 'housekeeping' THEN false
				  WHEN 'deliver' THEN onec_internal.is_stopped($1)
				  ELSE EXISTS (SELECT FROM onec_internal.login_refusal l WHERE l.server = $1) END THEN
			'waits: 1C refused the login; alter the user mapping (ALTER USER MAPPING … '
			'OPTIONS (SET password …))'
		WHEN $2 NOT IN ('housekeeping', 'deliver')
			AND EXISTS (SELECT FROM onec_internal.sync_doubt d
						WHERE d.server = $1 AND d.kind IN ('unproven', 'hole')) THEN
			'incomplete: rows are missing in 1C, but that is not proven; see onec.data_quality' END), '')
$$;
COMMENT ON FUNCTION onec_internal.job_hint(name, text, bigint, boolean, boolean, text, text) IS
	'Что сделать с заданием (служебная)';

CREATE VIEW onec.schedule_status AS
	WITH cron AS MATERIALIZED (SELECT onec_internal.cron_zone() AS zone, onec_internal.cron_place() AS place)
	SELECT s.server, w.job, j.cron, j.active,
		   n.next_run AT TIME ZONE 'GMT' AS next_run_gmt,
		   n.next_run AT TIME ZONE onec_internal.server_zone(s.server) AS next_run_local,
		   j.last_start, j.last_status, j.last_message, j.cron <> w.cron AS stale,
		   onec_internal.job_hint(s.server, w.job, j.jobid, j.active, j.cron <> w.cron, j.last_message,
								  c.place) AS hint
	FROM cron c CROSS JOIN onec_internal.live_servers s
	CROSS JOIN LATERAL onec_internal.jobs_of_server(s.server, now(), c.zone) w
	LEFT JOIN onec_internal.cron_jobs_known() j ON j.server = s.server AND j.job = w.job
	LEFT JOIN LATERAL (
		SELECT onec_internal.next_cron_run(j.cron, c.zone,
										   greatest(now(), onec_internal.interval_due_from(s.server,
											   w.job))) AS next_run
		WHERE j.active) n ON true;
COMMENT ON VIEW onec.schedule_status IS
	'Задания pg_cron: когда следующий запуск, чем кончился последний, что сделать';
COMMENT ON COLUMN onec.schedule_status.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.schedule_status.job IS 'Задание: interval, nightly, weekly, housekeeping, deliver';
COMMENT ON COLUMN onec.schedule_status.cron IS 'Расписание в pg_cron; NULL — задания нет или его не видно';
COMMENT ON COLUMN onec.schedule_status.active IS 'Включено ли задание';
COMMENT ON COLUMN onec.schedule_status.next_run_gmt IS 'Следующий запуск по Гринвичу';
COMMENT ON COLUMN onec.schedule_status.next_run_local IS 'Следующий запуск по местному времени базы 1С';
COMMENT ON COLUMN onec.schedule_status.last_start IS 'Начало последнего запуска';
COMMENT ON COLUMN onec.schedule_status.last_status IS
	'Итог последнего запуска для pg_cron; итог синхронизации — в onec.sync_status';
COMMENT ON COLUMN onec.schedule_status.last_message IS 'Последнее сообщение pg_cron';
COMMENT ON COLUMN onec.schedule_status.stale IS
	'Расписание уже не соответствует настройке: её изменили или перевели часы';
COMMENT ON COLUMN onec.schedule_status.hint IS 'Что сделать; NULL — всё в порядке';

-- The oldest of the tables of the step tells: a step is as fresh as its stalest part.  What 1C does not
-- publish has no age.
CREATE FUNCTION onec.lag_seconds(step text DEFAULT 'purchases', server name DEFAULT NULL) RETURNS numeric
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	lag numeric;
BEGIN
	PERFORM onec_internal.checked_word('step', step,
									   ARRAY(SELECT 'outbox' UNION
											 SELECT s.step FROM onec_internal.sync_steps(srv, NULL) s
											 UNION SELECT s.target FROM onec_internal.sync_steps(srv, NULL) s
											 ORDER BY 1));
	-- no step of a sync: what goes the other way
	IF 'outbox' = step THEN
		RETURN onec_internal.outbox_lag(srv);
	END IF;
	SELECT CASE WHEN count(*) = count(t.last_ok)
				THEN extract(epoch FROM clock_timestamp() - min(t.last_ok)) END INTO lag
	FROM onec_internal.sync_steps(srv, NULL) s
	LEFT JOIN onec.sync_state t ON t.server = srv AND t.target = s.target
	WHERE lag_seconds.step IN (s.step, s.target)
	  AND (SELECT l.status FROM onec.sync_step l
		   WHERE l.server = srv AND l.target = s.target AND l.status <> 'waiting'
		   ORDER BY l.run_id DESC LIMIT 1) IS DISTINCT FROM 'not published';
	RETURN lag;
END $$;
COMMENT ON FUNCTION onec.lag_seconds(text, name) IS
	'Сколько секунд прошло с последнего успешного конца шага (cards, counterparties, products, stores, '
	'purchases, loyalty, orders, profiles) или чтения таблицы; NULL — его ещё не было. outbox — сколько ждёт '
	'самая старая недоставленная строка очереди записи, 0 — никакая, NULL — в базу не пишут';

-- Is the process still at a run of this base?  The lock tells that a run holds while it works, whoever asks
-- and whatever is shown of activities.  A session that goes on after its run was cancelled is at a later
-- statement: that is not to be hit.
CREATE FUNCTION onec_internal.is_run_at_work(server name, run_pid int) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (
		SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.locktype = 'advisory' AND l.granted AND l.pid = run_pid AND l.pid <> pg_backend_pid()
		  AND l.objsubid = 1
		  AND l.classid::bigint << 32 | l.objid::bigint = onec_internal.run_lock_key(server));
COMMENT ON FUNCTION onec_internal.is_run_at_work(name, int) IS
	'Занят ли ещё процесс запуском этой базы (служебная)';

CREATE FUNCTION onec.cancel(run bigint DEFAULT NULL, server name DEFAULT NULL) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := CASE WHEN run IS NULL OR server IS NOT NULL THEN onec_internal.server_meant(server) END;
	r record;
	busy boolean;
BEGIN
	SELECT t.* INTO r FROM onec.sync_run t
	WHERE (srv IS NULL OR t.server = srv)
	  AND CASE WHEN run IS NULL THEN t.status = 'running' ELSE t.run_id = run END
	ORDER BY t.run_id DESC LIMIT 1;
	IF run IS NOT NULL AND r.run_id IS NULL THEN
		RAISE invalid_parameter_value USING MESSAGE = format('run %s does not exist', run),
			HINT = 'See onec.sync_run.';
	END IF;
	IF r.status IS DISTINCT FROM 'running' THEN
		RETURN false;
	END IF;
	busy := onec_internal.is_run_at_work(r.server, r.pid);
	IF busy THEN
		PERFORM pg_cancel_backend(r.pid);
	END IF;
	FOR i IN 1 .. 100 LOOP
		EXIT WHEN NOT busy;
		PERFORM pg_sleep(0.05);
		busy := onec_internal.is_run_at_work(r.server, r.pid);
	END LOOP;
	RETURN onec_internal.note_cancelled_run(r.server, r.run_id, NOT busy);
END $$;
COMMENT ON FUNCTION onec.cancel(bigint, name) IS
	'Прервать идущую синхронизацию (по номеру запуска или по серверу); true — прервана, false — прерывать '
	'было нечего; права как у pg_cancel_backend';

-- The account of a run that was told to stop.  It may have come to its end by itself in the meantime; who may
-- only send signals, or does not see what the run wrote last, leaves the account to the next run.
CREATE FUNCTION onec_internal.note_cancelled_run(server name, run bigint, gone boolean) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	state text;
BEGIN
	SELECT r.status INTO state FROM onec.sync_run r
	WHERE r.server = note_cancelled_run.server AND r.run_id = run;
	IF state IS DISTINCT FROM 'running' THEN
		RETURN state = 'interrupted';
	END IF;
	IF NOT gone THEN
		RAISE WARNING USING
			MESSAGE = format('run %s has been told to stop, but is still at work', run),
			HINT = 'If it does not end soon, see pg_terminate_backend.';
		RETURN false;
	END IF;
	IF has_table_privilege('onec.sync_run', 'UPDATE') AND has_table_privilege('onec.sync_step', 'UPDATE') THEN
		UPDATE onec.sync_run r SET status = 'interrupted', finished_at = clock_timestamp(),
			message = 'cancelled by ' || session_user
		WHERE r.server = note_cancelled_run.server AND r.run_id = run AND r.status = 'running';
		UPDATE onec.sync_step s SET status = 'failed', finished_at = clock_timestamp(),
			message = 'interrupted'
		WHERE s.server = note_cancelled_run.server AND s.run_id = run AND s.status IN ('running', 'waiting');
	END IF;
	RETURN true;
EXCEPTION WHEN serialization_failure THEN
	RETURN true;
END $$;
COMMENT ON FUNCTION onec_internal.note_cancelled_run(name, bigint, boolean) IS
	'Записать итог прерванного запуска (служебная)';
