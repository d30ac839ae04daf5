-- What is computed anew after a sync: for customers each time, of the whole shop once a week.

CREATE FUNCTION onec._refresh_customers(server name, OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p record;
	r record;
	o record;
BEGIN
	SELECT * INTO p FROM onec.refresh_profiles(server);
	SELECT * INTO r FROM onec.refresh_rfm(server);
	SELECT * INTO o FROM onec.refresh_outlook(server);
	rows_inserted := p.rows_inserted + r.rows_inserted + o.rows_inserted;
	rows_updated := p.rows_updated + r.rows_updated + o.rows_updated;
	rows_deleted := p.rows_deleted + r.rows_deleted + o.rows_deleted;
END $$;
COMMENT ON FUNCTION onec._refresh_customers(name) IS 'Обновить профили и RFM после синхронизации (служебная)';
REVOKE EXECUTE ON FUNCTION onec._refresh_customers(name) FROM PUBLIC;

-- Each part stands alone: what fails is told, the rest is done.
CREATE FUNCTION onec.refresh_models(server name DEFAULT NULL)
	RETURNS TABLE (part text, status text, seconds numeric)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec._server(server);
	started timestamptz;
	call text;
BEGIN
	FOREACH part IN ARRAY ARRAY['fit_clv', 'refresh_pairs', 'refresh_recommendations'] LOOP
		started := clock_timestamp();
		call := format('SELECT * FROM onec.%I(%L)', part, srv);
		BEGIN
			EXECUTE call;
			status := CASE part WHEN 'fit_clv' THEN
						  (SELECT m.status FROM onec.clv_model m WHERE m.server = srv ORDER BY m.as_of DESC, m.model LIMIT 1) ELSE 'ok' END;
		EXCEPTION WHEN OTHERS THEN
			status := 'failed: ' || SQLERRM;
			RAISE WARNING USING MESSAGE = format('%s failed: %s', part, SQLERRM), ERRCODE = SQLSTATE;
		END;
		seconds := round(extract(epoch FROM clock_timestamp() - started)::numeric, 1);
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.refresh_models(name) IS
	'Обновить модель покупок (CLV), пары товаров и рекомендации; так делает недельное задание';
REVOKE EXECUTE ON FUNCTION onec.refresh_models(name) FROM PUBLIC;
