-- Months compared with 1C's own sums: back-dated edits outside the window that a run reads again.

CREATE TABLE onec.drift (
	server name NOT NULL,
	month date NOT NULL,
	rows_1c bigint,
	rows_local bigint,
	sum_1c numeric,
	sum_local numeric,
	found_at timestamptz NOT NULL,
	repaired_at timestamptz,
	PRIMARY KEY (server, month)
);
COMMENT ON TABLE onec.drift IS 'Месяцы, в которых суммы разошлись с 1С; ночной запуск перечитывает их';
COMMENT ON COLUMN onec.drift.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.drift.month IS 'Месяц';
COMMENT ON COLUMN onec.drift.rows_1c IS 'Строк в 1С';
COMMENT ON COLUMN onec.drift.rows_local IS 'Строк здесь';
COMMENT ON COLUMN onec.drift.sum_1c IS 'Сумма в 1С';
COMMENT ON COLUMN onec.drift.sum_local IS 'Сумма здесь';
COMMENT ON COLUMN onec.drift.found_at IS 'Когда найдено';
COMMENT ON COLUMN onec.drift.repaired_at IS 'Когда перечитано; NULL — ещё нет';

-- What 1C says of one month: rows by /$count, the sum by Turnovers where they are published, else by reading.
CREATE FUNCTION onec_internal.month_in_1c(server name, month date, OUT rows bigint, OUT sum numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('SELECT count(*) FROM %I.sale_line WHERE period >= %L::timestamp '
				   'AND period < %L::timestamp',
				   server, month, month + interval '1 month') INTO rows;
	IF to_regclass(format('%I.sale_turnover', server)) IS NOT NULL THEN
		BEGIN
			EXECUTE format('SELECT coalesce(sum(amount), 0) FROM %I.sale_turnover WHERE startperiod_arg = '
						   '%L::timestamp AND endperiod_arg = %L::timestamp',
						   server, month, month + interval '1 month' - interval '1 second') INTO sum;
			RETURN;
		EXCEPTION WHEN fdw_error OR fdw_unable_to_create_reply OR fdw_column_name_not_found
			OR fdw_table_not_found OR insufficient_privilege THEN
			-- refused: the rows themselves tell, too
			NULL;
		END;
	END IF;
	EXECUTE format('SELECT coalesce(sum(amount), 0) FROM %I.sale_line WHERE period >= %L::timestamp AND '
				   'period < %L::timestamp AND active',
				   server, month, month + interval '1 month') INTO sum;
END $$;
COMMENT ON FUNCTION onec_internal.month_in_1c(name, date) IS
	'Число строк и сумма месяца по данным 1С (служебная)';

-- The months to compare: those with rows here, and of stretches without, those where 1C has some.  A stretch
-- costs one count, so that a date of the year 0206 does not cost a request for each month since.
CREATE FUNCTION onec_internal.months_to_compare(server name, first date, last date) RETURNS TABLE (month date)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	here date[];
	at timestamp;
BEGIN
	SELECT array_agg(DISTINCT date_trunc('month', l.period)::date) INTO here FROM onec.sale_line l
	WHERE l.server = months_to_compare.server AND l.register = 'sales' AND l.period >= first
	  AND l.period < last + 1;
	FOREACH month IN ARRAY here || ARRAY[(last + interval '1 month')::date] LOOP
		WHILE first < month LOOP
			EXIT WHEN onec_internal.count_window_in_1c(server, 'sale_line', first,
													   least(month, last + 1)) = 0;
			at := onec_internal.first_date_in_1c(server, 'sale_line', first);
			EXIT WHEN (at < month AND at < last + 1) IS NOT TRUE;
			first := (date_trunc('month', at) + interval '1 month')::date;
			here := here || date_trunc('month', at)::date;
		END LOOP;
		first := (month + interval '1 month')::date;
	END LOOP;
	RETURN QUERY SELECT DISTINCT m FROM unnest(here) m ORDER BY 1;
END $$;
COMMENT ON FUNCTION onec_internal.months_to_compare(name, date, date) IS
	'Месяцы, в которых есть строки здесь или в 1С (служебная)';

CREATE FUNCTION onec.check_amounts("from" date DEFAULT NULL, "to" date DEFAULT NULL, server name DEFAULT NULL)
	RETURNS TABLE (month date, rows_1c bigint, rows_local bigint, sum_1c numeric, sum_local numeric,
				   verdict text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	first date;
	last date;
BEGIN
	PERFORM onec_internal.check_day_order("from", "to");
	IF to_regclass(format('%I.sale_line', srv)) IS NULL THEN
		RAISE undefined_table USING
			MESSAGE = format('server "%s" has no foreign table of sales', srv),
			HINT = format('Run SELECT * FROM onec.setup(%L) first.', srv);
	END IF;
	-- of the month that was cut by a purge the sums cannot be equal
	SELECT coalesce(check_amounts."from", greatest(min(l.period)::date, date_trunc('month',
			nullif(onec_internal.purchases_kept_since(srv, 'sale_line'), onec_internal.first_moment())
				+ interval '1 month -1 day')::date)), coalesce(check_amounts."to" - 1, max(l.period)::date)
	INTO first, last FROM onec.sale_line l WHERE l.server = srv AND l.register = 'sales';
	FOR month IN
		SELECT m.month
		FROM onec_internal.months_to_compare(srv, date_trunc('month', first::timestamp)::date, last) m
	LOOP
		SELECT c.rows, c.sum INTO rows_1c, sum_1c FROM onec_internal.month_in_1c(srv, month) c;
		SELECT count(*), coalesce(sum(l.amount) FILTER (WHERE l.active), 0) INTO rows_local, sum_local
		FROM onec.sale_line l
		WHERE l.server = srv AND l.register = 'sales' AND l.period >= month
		  AND l.period < month + interval '1 month';
		verdict := CASE WHEN rows_1c = rows_local AND sum_1c = sum_local THEN 'equal' ELSE 'differs' END;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.check_amounts(date, date, name) IS
	'Сверка по месяцам: строки и суммы в 1С и здесь; по два небольших запроса на месяц';
REVOKE EXECUTE ON FUNCTION onec.check_amounts(date, date, name) FROM PUBLIC;

-- Compare the months before "before" and remember those that differ.
CREATE FUNCTION onec_internal.find_drift(server name, before date) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO onec.drift AS d (server, month, rows_1c, rows_local, sum_1c, sum_local, found_at)
	SELECT $1, c.month, c.rows_1c, c.rows_local, c.sum_1c, c.sum_local, now()
	FROM onec.check_amounts(NULL, $2, $1) c WHERE c.verdict = 'differs'
	ON CONFLICT ON CONSTRAINT drift_pkey DO UPDATE
	SET rows_1c = excluded.rows_1c, rows_local = excluded.rows_local, sum_1c = excluded.sum_1c,
		sum_local = excluded.sum_local,
		found_at = excluded.found_at, repaired_at = NULL
$$;
COMMENT ON FUNCTION onec_internal.find_drift(name, date) IS 'Найти месяцы, разошедшиеся с 1С (служебная)';
