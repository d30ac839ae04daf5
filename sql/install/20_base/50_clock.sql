-- What the clock on the wall of each base says, and which day is meant.

-- The zone of each base: the server's option, or what is kept of it where there is no server; else the
-- database's.
CREATE VIEW onec_internal.base_clock AS
	SELECT z.server, z.zone, now() AT TIME ZONE z.zone AS now
	FROM (SELECT server, coalesce(CASE WHEN s.server_oid IS NOT NULL THEN s.timezone ELSE b.timezone END,
								  current_setting('TimeZone')) AS zone
		  FROM onec_internal.live_servers s FULL JOIN onec_internal.base b USING (server)) z;
COMMENT ON VIEW onec_internal.base_clock IS 'Часы баз (служебное)';
COMMENT ON COLUMN onec_internal.base_clock.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.base_clock.zone IS 'Часовой пояс базы 1С';
COMMENT ON COLUMN onec_internal.base_clock.now IS 'Который час в базе 1С';

CREATE FUNCTION onec_internal.server_zone(server name) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT c.zone FROM onec_internal.base_clock c WHERE c.server = server_zone.server),
					current_setting('TimeZone'));
END $$;
COMMENT ON FUNCTION onec_internal.server_zone(name) IS 'Часовой пояс базы 1С (служебная)';

CREATE FUNCTION onec.local_now(server name DEFAULT NULL) RETURNS timestamp
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN now() AT TIME ZONE onec_internal.server_zone(onec_internal.server_meant($1));
COMMENT ON FUNCTION onec.local_now(name) IS 'Который час в базе 1С';

-- In C for the number of calls: marts show it of each row.
CREATE FUNCTION onec.moment(server name, local timestamp) RETURNS timestamptz
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_moment';
COMMENT ON FUNCTION onec.moment(name, timestamp) IS
	'Местное время базы 1С как момент, с её часовым поясом';

CREATE FUNCTION onec_internal.months_between(a timestamp, b timestamp) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT ((extract(year FROM b) - extract(year FROM a)) * 12 + extract(month FROM b)
				- extract(month FROM a))::int;
	END;
COMMENT ON FUNCTION onec_internal.months_between(timestamp, timestamp) IS
	'На сколько календарных месяцев второе позже первого (служебная)';

CREATE FUNCTION onec_internal.server_and_day(server name, as_of date, OUT server_name name, OUT day date)
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	server_name := onec_internal.server_meant(server);
	day := coalesce(as_of, onec.local_now(server_name)::date);
END $$;
COMMENT ON FUNCTION onec_internal.server_and_day(name, date) IS
	'Какой сервер и какой день имеются в виду (служебная)';

-- A day that is named is over; today is not.
CREATE FUNCTION onec_internal.moment_meant(server name, as_of date) RETURNS timestamp
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce($2 + interval '1 day -1 microsecond', onec.local_now($1));
COMMENT ON FUNCTION onec_internal.moment_meant(name, date) IS
	'Какой момент имеется в виду: конец названного дня или сейчас (служебная)';

-- First moment of the last "days" days, the day itself included; all of them if there is no limit.
CREATE FUNCTION onec_internal.start_of_last_days(day date, days int) RETURNS timestamp
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT CASE WHEN days > 0 THEN (day + 1 - days)::timestamp ELSE '-infinity'::timestamp END;
	END;
COMMENT ON FUNCTION onec_internal.start_of_last_days(date, int) IS 'Начало последних дней (служебная)';

-- The ends of time, for windows that are open: days that every client can read, which infinity is not.  1C
-- has no date before the first, which is its empty one, and none behind the last.
CREATE FUNCTION onec_internal.first_moment() RETURNS timestamp
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '0001-01-01'::timestamp;
COMMENT ON FUNCTION onec_internal.first_moment() IS 'Начало времён: окно открыто в прошлое (служебная)';

CREATE FUNCTION onec_internal.last_moment() RETURNS timestamp
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '9999-12-31'::timestamp;
COMMENT ON FUNCTION onec_internal.last_moment() IS 'Конец времён: окно открыто в будущее (служебная)';

-- Days from one on, up to another, which is left out.
CREATE FUNCTION onec_internal.check_day_order("from" date, "to" date) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF "from" >= "to" THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('there is no day from %s up to %s', "from", "to"),
				HINT = '"to" is left out, and comes after "from".';
	ELSIF NOT isfinite("from") OR NOT isfinite("to") THEN
		RAISE invalid_parameter_value USING MESSAGE = 'days without an end cannot be asked for',
			HINT = 'Leave the day out.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_day_order(date, date) IS 'Проверить порядок дней (служебная)';
