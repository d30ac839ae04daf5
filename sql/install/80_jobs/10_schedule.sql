-- Jobs of pg_cron, which is optional.  Their text is only CALL onec.run_job(…): no address, no login, no
-- numbers.

-- The clock of pg_cron: GMT, and from 1.5 on what cron.timezone says.  pg_settings shows a setting only where
-- the library has defined it: a line of postgresql.conf that 1.4 does not understand does not count.
CREATE FUNCTION onec_internal.cron_zone() RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT nullif(s.setting, '') FROM pg_settings s WHERE s.name = 'cron.timezone'), 'GMT')
$$;
COMMENT ON FUNCTION onec_internal.cron_zone() IS 'Часовой пояс, по которому работает pg_cron (служебная)';

-- The next occurrence of a local time of the base, on its clock and on that of pg_cron: on the eve of a
-- change of the clocks that is already the new one.  Whoever asks often says what clock that is: to look it
-- up takes a millisecond.
CREATE FUNCTION onec_internal.cron_moment(server name, hour int, minute int, at timestamptz, clock text,
										  OUT local timestamp, OUT cron timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.local, (x.local AT TIME ZONE z.zone) AT TIME ZONE coalesce($5, onec_internal.cron_zone())
	FROM (SELECT onec_internal.server_zone($1) AS zone, make_time($2, $3, 0) AS time OFFSET 0) z,
		 LATERAL (SELECT date_trunc('minute', $4 AT TIME ZONE z.zone) AS now) l,
		 LATERAL (SELECT l.now::date + z.time + CASE WHEN l.now::time > z.time THEN interval '1 day'
													 ELSE interval '0' END AS local) x
$$;
COMMENT ON FUNCTION onec_internal.cron_moment(name, int, int, timestamptz, text) IS
	'Когда местное время базы 1С наступит по часам её и pg_cron (служебная)';

-- That time as minute and hour of pg_cron.
CREATE FUNCTION onec_internal.cron_time(server name, hour int, minute int, at timestamptz DEFAULT now(),
										clock text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s %s', extract(minute FROM m.cron)::int, extract(hour FROM m.cron)::int)
	FROM onec_internal.cron_moment($1, $2, $3, $4, $5) m
$$;
COMMENT ON FUNCTION onec_internal.cron_time(name, int, int, timestamptz, text) IS
	'Местное время базы 1С как минута и час по часам pg_cron (служебная)';

-- The day of the week on which pg_cron's clock has that time of a local Sunday: half past one in Moscow is
-- Saturday evening there.
CREATE FUNCTION onec_internal.cron_day_of_sunday(server name, hour int, minute int,
												 at timestamptz DEFAULT now(),
												 clock text DEFAULT NULL) RETURNS int
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (7 + m.cron::date - m.local::date) % 7 FROM onec_internal.cron_moment($1, $2, $3, $4, $5) m
$$;
COMMENT ON FUNCTION onec_internal.cron_day_of_sunday(name, int, int, timestamptz, text) IS
	'На какой день недели pg_cron приходится это время воскресенья (служебная)';

-- Jobs that begin in one minute would end as "skipped (busy)", all but one, and not the right one: the
-- smaller job leaves its turn to the larger.
CREATE FUNCTION onec_internal.leaves_turn_to_larger(server name, job text,
													at timestamptz DEFAULT now()) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(to_char(x.clock, 'FMMI FMHH24') = onec_internal.cron_time($1,
		onec.get('nightly.hour', $1)::int, onec.get('nightly.minute', $1)::int, $3)
		   AND ($2 = 'interval'
				AND (onec.get('nightly.enabled', $1)::boolean OR extract(dow FROM x.clock) = x.sunday)
				OR $2 = 'nightly' AND extract(dow FROM x.clock) = x.sunday), false)
	FROM (SELECT $3 AT TIME ZONE onec_internal.cron_zone(),
				 onec_internal.cron_day_of_sunday($1, onec.get('nightly.hour', $1)::int,
												  onec.get('nightly.minute', $1)::int, $3)) x (clock, sunday)
$$;
COMMENT ON FUNCTION onec_internal.leaves_turn_to_larger(name, text, timestamptz) IS
	'Уступает ли задание большему, назначенному на ту же минуту (служебная)';

-- Whether the interval has passed since the last whole run; ten minutes early is in time.
CREATE FUNCTION onec_internal.is_interval_due(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 24 % h = 0 AND h < 24 OR NOT EXISTS (
		SELECT FROM onec.sync_run r
		WHERE r.server = $1 AND r.size >= 2 AND r.status IN ('ok', 'incomplete', 'partial', 'running')
		  AND r.started_at > now() - make_interval(hours => h) + interval '10 minutes')
	FROM (SELECT onec.get('sync.interval_hours', $1)::int) x (h)
$$;
COMMENT ON FUNCTION onec_internal.is_interval_due(name) IS 'Пора ли частой синхронизации (служебная)';

-- How often the outbox is delivered: each minute, or so many seconds apart where pg_cron counts them.
CREATE FUNCTION onec_internal.deliver_cron(server name, version text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT CASE WHEN s.seconds < 60 AND regexp_match($2, '^(\d+)\.(\d+)')::int[] >= '{1,5}'
						THEN format('%s seconds', s.seconds) ELSE '* * * * *' END
			FROM (SELECT onec.get('outbox.deliver_seconds', $1)::int) s (seconds));
COMMENT ON FUNCTION onec_internal.deliver_cron(name, text) IS
	'Расписание доставки для этой версии pg_cron (служебная)';

-- The jobs, and what each is called in pg_cron, whose names end at 63 bytes.  A job of another database than
-- pg_cron's has that in its name: there may be a server of the same name in each.
CREATE FUNCTION onec_internal.job_names(server name, database name DEFAULT NULL)
	RETURNS TABLE (job text, job_name text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT v.job, format('onec:%s:%s',
						 CASE WHEN octet_length(w.owner) > 45 THEN md5(w.owner) ELSE w.owner END, v.job)
	FROM (SELECT concat_ws('.', $2, $1) AS owner) w,
		(VALUES ('interval'), ('nightly'), ('weekly'), ('housekeeping'), ('deliver'), ('history')) v (job)
	-- history is cleaned by a job of its own only where that of the housekeeping is out of reach
	WHERE $2 IS NOT NULL OR v.job <> 'history'
$$;
COMMENT ON FUNCTION onec_internal.job_names(name, name) IS 'Задания сервера и их имена в pg_cron (служебная)';

CREATE FUNCTION onec_internal.jobs_of_server(server name, at timestamptz DEFAULT now(),
											 clock text DEFAULT onec_internal.cron_zone())
	RETURNS TABLE (job text, job_name text, cron text, command text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	hours int := onec.get('sync.interval_hours', server)::int;
	hour int := onec.get('nightly.hour', server)::int;
	minute int := onec.get('nightly.minute', server)::int;
	nightly text := onec_internal.cron_time(server, hour, minute, at, clock);
BEGIN
	RETURN QUERY
		SELECT n.job, n.job_name, v.cron, format('CALL onec.run_job(%L, %L)', n.job, server)
		FROM onec_internal.job_names(server) n
		JOIN (VALUES (1, 'interval',
					  CASE WHEN 24 % hours = 0 AND hours < 24 THEN format('0 */%s * * *', hours)
										  -- other intervals: every hour the job looks whether it is due
										  ELSE '0 * * * *' END),
					 (2, 'nightly', nightly || ' * * *'),
					 (3, 'weekly', nightly || ' * * '
					  || onec_internal.cron_day_of_sunday(server, hour, minute, at, clock)),
					 -- after the night: it sets the clock for the next one
					 (4, 'housekeeping', onec_internal.cron_time(server, (hour + 1) % 24, minute, at, clock)
					  || ' * * *'),
					 (5, 'deliver', onec_internal.deliver_cron(jobs_of_server.server, (
						 SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pg_cron'))))
					 v (place, job, cron)
			ON v.job = n.job
		-- only where something is written
		WHERE v.job <> 'deliver' OR onec_internal.is_updatable(jobs_of_server.server)
		ORDER BY v.place;
END $$;
COMMENT ON FUNCTION onec_internal.jobs_of_server(name, timestamptz, text) IS
	'Задания расписания сервера (служебная)';

-- The database pg_cron works in; NULL where it is not loaded or this role may not see.
CREATE FUNCTION onec_internal.cron_database() RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.setting FROM pg_settings s WHERE s.name = 'cron.database_name'
$$;
COMMENT ON FUNCTION onec_internal.cron_database() IS 'База данных, в которой работает pg_cron (служебная)';

-- Where pg_cron is: here, not created (it could be here), elsewhere (in another database), none.
CREATE FUNCTION onec_internal.cron_place() RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN c.home <> current_database() THEN 'elsewhere'
				WHEN EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN 'here'
				WHEN c.home IS NOT NULL THEN 'not created'
				ELSE 'none' END
	FROM (SELECT onec_internal.cron_database()) c (home)
$$;
COMMENT ON FUNCTION onec_internal.cron_place() IS
	'Где pg_cron: here, not created, elsewhere, none (служебная)';

-- A text inside double quotes of a line of crontab, where a percent sign would end the line.
CREATE FUNCTION onec_internal.shell_quoted(value text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '"' || replace(regexp_replace($1, '([\\"$`])', '\\\1', 'g'), '%', '\%') || '"'
$$;
COMMENT ON FUNCTION onec_internal.shell_quoted(text) IS 'Текст в кавычках для строки crontab (служебная)';

-- What keeps pg_cron's own log short where the housekeeping cannot reach it.
CREATE FUNCTION onec_internal.cron_history_command(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('DELETE FROM cron.job_run_details WHERE database = %L AND command IN (%s) AND end_time < '
				  'now() - interval ''%s days''',
				  current_database(), string_agg(quote_literal(j.command), ', ' ORDER BY j.job),
				  onec.get('keep.job_days', $1)::int)
	FROM onec_internal.jobs_of_server($1) j
$$;
COMMENT ON FUNCTION onec_internal.cron_history_command(name) IS
	'Команда, удаляющая записи pg_cron, который в другой базе данных (служебная)';

-- What to run in the database that has pg_cron.
CREATE FUNCTION onec_internal.cron_statements_elsewhere(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(CASE WHEN n.job <> 'history' THEN
						  format('SELECT cron.schedule_in_database(%L, %L, %L, %L, %L);', n.job_name, j.cron,
								 j.command, current_database(), current_user)
						   WHEN onec.get('keep.job_days', $1)::int > 0 THEN
						  format('SELECT cron.schedule(%L, %L, %L);', n.job_name, j.cron,
								 onec_internal.cron_history_command($1)) END, E'\n' ORDER BY n.place)
	FROM onec_internal.job_names($1, current_database()) WITH ORDINALITY n (job, job_name, place)
	JOIN onec_internal.jobs_of_server($1) j
		ON j.job = CASE n.job WHEN 'history' THEN 'housekeeping' ELSE n.job END
$$;
COMMENT ON FUNCTION onec_internal.cron_statements_elsewhere(name) IS
	'Что выполнить в базе данных, где pg_cron (служебная)';

-- What to do where this database has no pg_cron: lines for its own database, or for the system's cron.
CREATE FUNCTION onec_internal.schedule_hint(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE onec_internal.cron_place()
		WHEN 'elsewhere' THEN
			format(E'Run in database "%s", and again after a change of the clocks or of the settings:\n%s',
			onec_internal.cron_database(), onec_internal.cron_statements_elsewhere($1))
		ELSE format(E'%sor put these lines into a crontab (its clock must be %s):\n%s',
			CASE onec_internal.cron_place() WHEN 'not created' THEN 'Run CREATE EXTENSION pg_cron, '
									ELSE 'Install pg_cron and add it to shared_preload_libraries, ' END,
										onec_internal.cron_zone(),
			(SELECT string_agg(format('%s psql -X -q -d %s -c %s', j.cron,
									  onec_internal.shell_quoted(current_database()),
									  onec_internal.shell_quoted(j.command)), E'\n' ORDER BY j.place)
			 FROM onec_internal.jobs_of_server($1) WITH ORDINALITY j (job, job_name, cron, command,
				 place))) END
$$;
COMMENT ON FUNCTION onec_internal.schedule_hint(name) IS
	'Что сделать, если pg_cron не в этой базе данных (служебная)';

CREATE FUNCTION onec.schedule(server name DEFAULT NULL)
	RETURNS TABLE (job text, cron text, command text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	j record;
BEGIN
	IF onec_internal.cron_place() <> 'here' THEN
		RAISE feature_not_supported USING
			MESSAGE = CASE onec_internal.cron_place()
						   WHEN 'elsewhere' THEN 'pg_cron works in another database'
											  ELSE 'pg_cron is not installed in this database' END,
			HINT = onec_internal.schedule_hint(srv);
	END IF;
	FOR j IN SELECT * FROM onec_internal.jobs_of_server(srv) LOOP
		EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING j.job_name, j.cron, j.command;
		job := j.job_name;
		cron := j.cron;
		command := j.command;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.schedule(name) IS
	'Создать задания pg_cron; можно повторять. Если pg_cron в другой базе данных или его нет, подсказка '
	'ошибки содержит готовые строки';
REVOKE EXECUTE ON FUNCTION onec.schedule(name) FROM PUBLIC;

CREATE FUNCTION onec.unschedule(server name DEFAULT NULL) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	removed int := 0;
BEGIN
	IF onec_internal.cron_place() = 'elsewhere' THEN
		RAISE NOTICE USING
			MESSAGE = 'pg_cron works in another database',
			HINT = format(E'Run in database "%s":\n%s', onec_internal.cron_database(),
				(SELECT string_agg(format('SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = %L;',
										  n.job_name), E'\n' ORDER BY n.place)
				 FROM onec_internal.job_names(srv, current_database()) WITH ORDINALITY n (job,
					 job_name, place)));
	ELSIF onec_internal.cron_place() = 'here' THEN
		EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j
				 WHERE j.database = current_database()
				   AND j.jobname IN (SELECT n.job_name FROM onec_internal.job_names($1) n)'
			INTO removed USING srv;
	END IF;
	RETURN removed;
END $$;
COMMENT ON FUNCTION onec.unschedule(name) IS 'Убрать задания pg_cron; возвращает их число';
REVOKE EXECUTE ON FUNCTION onec.unschedule(name) FROM PUBLIC;

-- Old entries of pg_cron's own log, which it never cleans: those of our commands only.  A job that could not
-- even start has no times; it goes with its neighbours.
CREATE FUNCTION onec_internal.forget_job_runs(server name, days int) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	deleted bigint;
BEGIN
	IF days <= 0 OR onec_internal.cron_place() <> 'here' THEN
		RETURN 0;
	END IF;
	EXECUTE '
		WITH ours AS (SELECT d.runid, coalesce(d.start_time, d.end_time) AS at FROM cron.job_run_details d
					  WHERE d.database = current_database()
						AND d.command IN (SELECT j.command FROM onec_internal.jobs_of_server($1) j)),
			 old AS (SELECT max(o.runid) AS runid FROM ours o WHERE o.at < now() - make_interval(days => $2))
		DELETE FROM cron.job_run_details d USING ours o, old
		WHERE d.runid = o.runid
		  AND (o.at < now() - make_interval(days => $2) OR o.at IS NULL AND o.runid < old.runid)'
		USING server, days;
	GET DIAGNOSTICS deleted = ROW_COUNT;
	RETURN deleted;
END $$;
COMMENT ON FUNCTION onec_internal.forget_job_runs(name, int) IS
	'Удалить старые записи журнала pg_cron о наших заданиях (служебная)';

-- Jobs whose time is that of the other half of the year.  A time that somebody chose is left alone.
CREATE FUNCTION onec_internal.reschedule_jobs(server name) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moved bigint := 0;
BEGIN
	IF onec_internal.cron_place() = 'here' THEN
		EXECUTE '
			SELECT count(cron.schedule(w.job_name, w.cron, w.command))
			FROM onec_internal.jobs_of_server($1) w
			JOIN cron.job j ON j.jobname = w.job_name AND j.username = current_user
				AND j.database = current_database()
			WHERE j.schedule <> w.cron AND EXISTS (
				SELECT FROM generate_series(now() - interval ''360 days'', now(), interval ''30 days'') t,
					   onec_internal.jobs_of_server($1, t) o
				WHERE o.job = w.job AND o.cron = j.schedule)'
			INTO moved USING server;
	END IF;
	RETURN moved;
END $$;
COMMENT ON FUNCTION onec_internal.reschedule_jobs(name) IS
	'Перенести задания после перевода часов (служебная)';

CREATE FUNCTION onec_internal.housekeep(server name, OUT job_runs bigint, OUT runs bigint, OUT drifts bigint,
										OUT moved bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	run_days int := onec.get('keep.run_days', server)::int;
	drift_days int := onec.get('keep.drift_days', server)::int;
BEGIN
	job_runs := onec_internal.forget_job_runs(server, onec.get('keep.job_days', server)::int);
	-- the newest run, and the newest that did something, tell how things stand
	DELETE FROM onec.sync_run r
	WHERE r.server = housekeep.server AND run_days > 0
	  AND r.started_at < now() - make_interval(days => run_days) AND r.status <> 'running'
	  AND r.run_id < (SELECT max(n.run_id) FILTER (WHERE n.status NOT LIKE 'skipped%') FROM onec.sync_run n
					  WHERE n.server = housekeep.server);
	GET DIAGNOSTICS runs = ROW_COUNT;
	DELETE FROM onec.sync_step s
	WHERE s.server = housekeep.server
	  AND NOT EXISTS (SELECT FROM onec.sync_run r WHERE r.server = s.server AND r.run_id = s.run_id);
	DELETE FROM onec.drift d
	WHERE d.server = housekeep.server AND drift_days > 0
	  AND d.repaired_at < now() - make_interval(days => drift_days);
	GET DIAGNOSTICS drifts = ROW_COUNT;
	PERFORM onec_internal.drop_lost_versions(u.server, u.target) FROM onec_internal.version_use u
		WHERE u.server = housekeep.server AND onec_internal.table_of_target(u.target) IS NOT NULL;
	PERFORM onec_internal.trim_feed(server);
	IF onec_internal.purchases_kept_since(server, 'sale_line') > onec_internal.first_moment() THEN
		PERFORM onec_internal.purge_before(server, onec_internal.purchases_kept_since(server,
			'sale_line')::date);
	END IF;
	PERFORM onec_internal.housekeep_outbox(server);
	PERFORM onec_internal.housekeep_calls(server);
	moved := onec_internal.reschedule_jobs(server);
END $$;
COMMENT ON FUNCTION onec_internal.housekeep(name) IS
	'Удалить старые журналы, поправить время заданий (служебная)';

-- The server of a job that can be done.  The job comes first; who turns them round is told so.
CREATE FUNCTION onec_internal.server_of_job(job text, server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	jobs text[] := ARRAY(SELECT n.job FROM onec_internal.job_names('') n);
BEGIN
	IF server = ANY (jobs) AND job <> ALL (jobs) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unrecognized job "%s"', job),
			HINT = format('The job comes before the server: (%L, %L).', server, job);
	END IF;
	PERFORM onec_internal.checked_word('job', coalesce(job, ''), jobs);
	-- lines that were given to another cron still have the name of before
	server := coalesce((SELECT b.server FROM onec_internal.base b WHERE server_of_job.server = ANY (b.former)
						AND NOT EXISTS (SELECT FROM onec_internal.live_servers s
										WHERE s.server = server_of_job.server) LIMIT 1), server);
	server := onec_internal.live_server_meant(server);
	IF job <> 'housekeeping' THEN
		PERFORM onec_internal.check_setup_was_run(server);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.server_of_job(text, name) IS
	'Проверить задание и найти его сервер (служебная)';

-- What a job of the schedule reads.
CREATE FUNCTION onec_internal.plan_of_job(server name, job text) RETURNS onec_internal.sync_plan
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.plan_of_steps($1, CASE $2 WHEN 'interval'
												THEN onec.get('sync.purchase_days', $1)::int
												   WHEN 'nightly' THEN onec.get('nightly.purchase_days',
													   $1)::int END,
									   CASE $2 WHEN 'interval' THEN onec.get('sync.cards_limit', $1)::int
											   WHEN 'nightly' THEN onec.get('nightly.cards_limit', $1)::int
											   ELSE 0 END,
									   NULL, $2 = 'nightly', false, false, $2)
$$;
COMMENT ON FUNCTION onec_internal.plan_of_job(name, text) IS 'Что делать запуску по заданию (служебная)';

-- What is to be done when a job comes: a larger one that found another run at work, was interrupted or ran
-- out of time stays due until a run as large has ended.
CREATE FUNCTION onec_internal.due_job(server name, job text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH last AS (
		SELECT DISTINCT ON (r.job) r.job, r.size, r.run_id, r.status = 'skipped (busy)'
			OR r.ended_at IS NOT NULL
			OR r.status = 'interrupted' AND r.message NOT LIKE 'cancelled by %' AS owed
		FROM onec.sync_run r WHERE r.server = $1 AND r.job IN ('nightly', 'weekly') AND r.status <> 'running'
		ORDER BY r.job, r.run_id DESC)
	SELECT coalesce((
		SELECT l.job FROM last l
		WHERE l.owed AND $2 IN ('interval', 'nightly') AND l.job <> $2
		  AND (l.job = 'weekly' OR onec.get('nightly.enabled', $1)::boolean)
		  AND NOT EXISTS (SELECT FROM onec.sync_run n
						  WHERE n.server = $1 AND n.run_id > l.run_id AND n.size >= l.size
						  AND n.status IN ('running', 'ok', 'incomplete'))
		ORDER BY l.size DESC LIMIT 1), $2)
$$;
COMMENT ON FUNCTION onec_internal.due_job(name, text) IS
	'Какое задание выполнить: большее, которое не состоялось, остаётся за базой (служебная)';

-- Whether the job does nothing now: switched off, not due, or giving way.
CREATE FUNCTION onec_internal.has_nothing_to_do(server name, job text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 = 'deliver' AND NOT onec_internal.is_updatable($1)
		OR $2 = 'interval'
		AND NOT (onec.get('sync.enabled', $1)::boolean AND onec_internal.is_interval_due($1))
		OR $2 = 'nightly' AND NOT onec.get('nightly.enabled', $1)::boolean
		OR onec_internal.leaves_turn_to_larger($1, $2)
$$;
COMMENT ON FUNCTION onec_internal.has_nothing_to_do(name, text) IS
	'Нечего ли делать заданию сейчас (служебная)';

CREATE FUNCTION onec_internal.housekeep_and_tell(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept record;
BEGIN
	SELECT * INTO kept FROM onec_internal.housekeep(server);
	RAISE NOTICE USING MESSAGE = format('deleted: %s entries of pg_cron, %s runs, %s months; jobs moved: %s',
		kept.job_runs, kept.runs, kept.drifts, kept.moved);
END $$;
COMMENT ON FUNCTION onec_internal.housekeep_and_tell(name) IS 'Уборка журналов с отчётом (служебная)';

CREATE PROCEDURE onec_internal.do_job(server name, job text)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF job OPERATOR(pg_catalog.=) 'housekeeping' THEN
		PERFORM onec_internal.housekeep_and_tell(server);
		RETURN;
	ELSIF job OPERATOR(pg_catalog.=) 'deliver' THEN
		-- the next minute's goes on
		CALL onec.deliver(server, max_seconds => 50);
		RETURN;
	END IF;
	CALL onec_internal.carry_out(onec_internal.plan_of_job(server, job));
	IF job OPERATOR(pg_catalog.=) 'weekly' THEN
		PERFORM onec.refresh_models(server);
		COMMIT;
	END IF;
END $$;
COMMENT ON PROCEDURE onec_internal.do_job(name, text) IS 'Выполнить задание без проверок (служебная)';

CREATE PROCEDURE onec.run_job(job text, server name DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('run_job');
	END IF;
	COMMIT;
	server := onec_internal.server_of_job(job, server);
	IF onec_internal.has_nothing_to_do(server, job) THEN
		RETURN;
	END IF;
	CALL onec_internal.do_job(server, onec_internal.due_job(server, job));
END $$;
COMMENT ON PROCEDURE onec.run_job(text, name) IS
	'Выполнить задание: interval — частая синхронизация, nightly — ночная, weekly — полная сверка, '
	'housekeeping — уборка журналов, deliver — доставка очереди записи. '
	'Большее, которому помешали, выполняет следующее';
REVOKE EXECUTE ON PROCEDURE onec.run_job(text, name) FROM PUBLIC;

CREATE PROCEDURE onec.run_now(job text, server name DEFAULT NULL)
	LANGUAGE plpgsql
AS $$
BEGIN
	IF onec_internal.in_transaction_block() THEN
		PERFORM onec_internal.refuse_transaction_block('run_now');
	END IF;
	COMMIT;
	CALL onec_internal.do_job(onec_internal.server_of_job(job, server), job);
END $$;
COMMENT ON PROCEDURE onec.run_now(text, name) IS
	'Выполнить задание сейчас, даже если оно выключено или его время не пришло: interval, '
	'nightly, weekly, housekeeping, deliver';
REVOKE EXECUTE ON PROCEDURE onec.run_now(text, name) FROM PUBLIC;
