-- Jobs of pg_cron, which is optional.  Their text is only CALL onec.run_job(…): no address, no login, no numbers.

-- The minute and hour in GMT of a local time of the base today: the clock of pg_cron 1.4.
CREATE FUNCTION onec._cron_time(server name, hour int, minute int) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s %s', extract(minute FROM t)::int, extract(hour FROM t)::int)
	FROM (SELECT ((onec.local_now($1)::date + make_time($2, $3, 0)) AT TIME ZONE coalesce(
			(SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o
			 WHERE s.srvname = $1 AND o.option_name = 'timezone'), current_setting('TimeZone'))) AT TIME ZONE 'GMT') x (t)
$$;
COMMENT ON FUNCTION onec._cron_time(name, int, int) IS 'Местное время базы 1С как минута и час по Гринвичу (служебная)';

-- Jobs that begin in one minute would end as "skipped (busy)", all but one, and not the right one: the smaller
-- job leaves its turn to the larger.
CREATE FUNCTION onec._gives_way(server name, job text, at timestamptz DEFAULT now()) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(to_char(x.gmt, 'FMMI FMHH24') = onec._cron_time($1, onec.get('nightly.hour', $1)::int, onec.get('nightly.minute', $1)::int)
		   AND ($2 = 'interval' AND (onec.get('nightly.enabled', $1)::boolean OR extract(dow FROM x.gmt) = 0)
				OR $2 = 'nightly' AND extract(dow FROM x.gmt) = 0), false)
	FROM (SELECT $3 AT TIME ZONE 'GMT') x (gmt)
$$;
COMMENT ON FUNCTION onec._gives_way(name, text, timestamptz) IS 'Уступает ли задание большему, назначенному на ту же минуту (служебная)';

-- Whether the interval has passed since the last run; ten minutes early is in time.
CREATE FUNCTION onec._is_due(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 24 % h = 0 AND h < 24 OR NOT EXISTS (
		SELECT FROM onec.sync_run r
		WHERE r.server = $1 AND r.status IN ('ok', 'partial', 'running') AND r.started_at > now() - make_interval(hours => h) + interval '10 minutes')
	FROM (SELECT onec.get('sync.interval_hours', $1)::int) x (h)
$$;
COMMENT ON FUNCTION onec._is_due(name) IS 'Пора ли частой синхронизации (служебная)';

CREATE PROCEDURE onec.run_job(server name, job text)
	LANGUAGE plpgsql
AS $$
DECLARE
	days int;
	limit_cards int;
BEGIN
	COMMIT;
	IF job NOT IN ('interval', 'nightly', 'weekly') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = pg_catalog.format('unrecognized job "%s"', job),
			HINT = 'Jobs are interval, nightly and weekly.';
	END IF;
	server := onec._server(server);
	IF job = 'interval' AND NOT onec.get('sync.enabled', server)::boolean
		OR job = 'nightly' AND NOT onec.get('nightly.enabled', server)::boolean THEN
		RETURN;
	END IF;
	IF job = 'interval' AND NOT onec._is_due(server) OR onec._gives_way(server, job) THEN
		RETURN;
	END IF;
	days := CASE job WHEN 'interval' THEN onec.get('sync.purchase_days', server)::int
					 WHEN 'nightly' THEN onec.get('nightly.purchase_days', server)::int END;
	limit_cards := onec.get(CASE job WHEN 'nightly' THEN 'nightly.cards_limit' ELSE 'sync.cards_limit' END, server)::int;
	CALL onec._sync(server, days, CASE job WHEN 'weekly' THEN 0 ELSE limit_cards END, NULL, job = 'nightly');
	IF job = 'weekly' THEN
		PERFORM onec.refresh_models(server);
		COMMIT;
	END IF;
END $$;
COMMENT ON PROCEDURE onec.run_job(name, text) IS
	'Выполнить задание: interval — частая синхронизация, nightly — ночная, weekly — полная сверка';
REVOKE EXECUTE ON PROCEDURE onec.run_job(name, text) FROM PUBLIC;

CREATE FUNCTION onec._jobs(server name)
	RETURNS TABLE (job text, job_name text, cron text, command text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	hours int := onec.get('sync.interval_hours', server)::int;
	nightly text := onec._cron_time(server, onec.get('nightly.hour', server)::int, onec.get('nightly.minute', server)::int);
BEGIN
	IF hours < 1 THEN
		RAISE invalid_parameter_value USING MESSAGE = format('sync.interval_hours must be at least 1, not %s', hours);
	END IF;
	RETURN QUERY
		SELECT j, format('onec:%s:%s', server, j), c, format('CALL onec.run_job(%L, %L)', server, j)
		FROM (VALUES ('interval', CASE WHEN 24 % hours = 0 AND hours < 24 THEN format('0 */%s * * *', hours)
										-- other intervals: every hour the job looks whether it is due
										ELSE '0 * * * *' END), ('nightly', nightly || ' * * *'),
					 ('weekly', nightly || ' * * 0')) v (j, c);
END $$;
COMMENT ON FUNCTION onec._jobs(name) IS 'Задания расписания сервера (служебная)';

-- pg_cron is called by name only when it is there.
CREATE FUNCTION onec.schedule(server name DEFAULT NULL)
	RETURNS TABLE (job text, cron_gmt text, command text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec._server(server);
	j record;
BEGIN
	IF to_regnamespace('cron') IS NULL THEN
		RAISE feature_not_supported USING
			MESSAGE = 'pg_cron is not installed in this database',
			DETAIL = (SELECT string_agg(format('%s: %s: %s', t.job_name, t.cron, t.command), E'\n') FROM onec._jobs(srv) t),
			HINT = 'Run CREATE EXTENSION pg_cron, or call these commands from the system''s cron (times are GMT).';
	END IF;
	FOR j IN SELECT * FROM onec._jobs(srv) LOOP
		EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING j.job_name, j.cron, j.command;
		job := j.job_name;
		cron_gmt := j.cron;
		command := j.command;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.schedule(name) IS 'Создать задания pg_cron; можно повторять';
REVOKE EXECUTE ON FUNCTION onec.schedule(name) FROM PUBLIC;

CREATE FUNCTION onec.unschedule(server name DEFAULT NULL) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec._server(server);
	removed int := 0;
BEGIN
	IF to_regnamespace('cron') IS NULL THEN
		RETURN 0;
	END IF;
	EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j WHERE j.jobname IN (SELECT t.job_name FROM onec._jobs($1) t)'
		INTO removed USING srv;
	RETURN removed;
END $$;
COMMENT ON FUNCTION onec.unschedule(name) IS 'Убрать задания pg_cron; возвращает их число';
REVOKE EXECUTE ON FUNCTION onec.unschedule(name) FROM PUBLIC;
