-- What is asked of every server again and again: its clock, its settings that views need.

-- The clock of the base.
CREATE FUNCTION onec.local_now(server name DEFAULT NULL) RETURNS timestamp
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT now() AT TIME ZONE coalesce(
		(SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o
		 WHERE s.srvname = onec._server($1) AND o.option_name = 'timezone'),
		current_setting('TimeZone'))
$$;
COMMENT ON FUNCTION onec.local_now(name) IS 'Который час в базе 1С';

-- What the views need to know of each server, worked out once for a query.
CREATE VIEW onec._shop AS
	SELECT s.srvname AS server, onec.local_now(s.srvname) AS now,
		   onec.get('exclude_recorder_types', s.srvname)::text[] AS excluded,
		   onec.get('loyalty.enabled', s.srvname)::boolean AS has_loyalty
	FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'onec_fdw'
	OFFSET 0;
COMMENT ON VIEW onec._shop IS 'Часы и настройки серверов (служебное)';
COMMENT ON COLUMN onec._shop.server IS 'Внешний сервер';
COMMENT ON COLUMN onec._shop.now IS 'Который час в базе 1С';
COMMENT ON COLUMN onec._shop.excluded IS 'Документы, которые не покупки';
COMMENT ON COLUMN onec._shop.has_loyalty IS 'Читаются ли баллы';
