-- Which servers there are, and which is meant.

CREATE VIEW onec._servers AS
	SELECT s.srvname AS server FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'onec_fdw';
COMMENT ON VIEW onec._servers IS 'Серверы onec_fdw (служебное)';
COMMENT ON COLUMN onec._servers.server IS 'Внешний сервер';

-- The server that is named, else the only one there is: every function that takes a server asks here.
CREATE FUNCTION onec._server(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known text[] := ARRAY(SELECT s.server FROM onec._servers s ORDER BY 1);
BEGIN
	IF server IS NULL AND cardinality(known) = 1 THEN
		RETURN known[1];
	ELSIF server IS NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a server must be named',
			DETAIL = format('Servers of onec_fdw: %s.', coalesce(nullif(array_to_string(known, ', '), ''), 'none'));
	ELSIF server <> ALL (known) THEN
		RAISE undefined_object USING
			MESSAGE = format('server "%s" of onec_fdw does not exist', server),
			HINT = coalesce('Perhaps you meant: ' || onec._nearest(server, known) || '.',
							format('Servers of onec_fdw: %s.', coalesce(nullif(array_to_string(known, ', '), ''), 'none')));
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec._server(name) IS 'Проверить имя сервера или найти единственный (служебная)';
