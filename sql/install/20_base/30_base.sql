-- Which bases the store knows, and which of them is meant.
--
-- A base is known by the name of its foreign server.  What is known of it is kept beside the data, so that
-- these go on where the server is called something else, was dropped, or never was, as on a replica.

CREATE TABLE onec_internal.base (
	server name PRIMARY KEY,
	server_oid oid,
	timezone text,
	former name[] NOT NULL DEFAULT '{}',
	purged_before date,
	known_since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE onec_internal.base IS
	'Базы, данные или настройки которых здесь есть; остаются, когда внешний сервер удалён '
	'(onec.forget_server убирает)';
COMMENT ON COLUMN onec_internal.base.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.base.server_oid IS 'Его номер в каталоге: по нему узнаётся переименованный';
COMMENT ON COLUMN onec_internal.base.timezone IS 'Часовой пояс базы: параметр timezone сервера';
COMMENT ON COLUMN onec_internal.base.former IS 'Как сервер назывался раньше';
COMMENT ON COLUMN onec_internal.base.purged_before IS
	'Покупки раньше этого дня удалены (onec.purge, keep.purchase_days) и больше не читаются';
COMMENT ON COLUMN onec_internal.base.known_since IS 'С какого времени известна';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.base', '');

CREATE VIEW onec_internal.live_servers AS
	SELECT s.srvname AS server, s.oid AS server_oid,
		   (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o
			WHERE o.option_name = 'timezone') AS timezone
	FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'onec_fdw';
COMMENT ON VIEW onec_internal.live_servers IS 'Внешние серверы onec_fdw (служебное)';
COMMENT ON COLUMN onec_internal.live_servers.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.live_servers.server_oid IS 'Его номер в каталоге';
COMMENT ON COLUMN onec_internal.live_servers.timezone IS 'Параметр timezone';

-- An option of a server as its owner has written it; NULL: it is not said.
CREATE FUNCTION onec_internal.server_option(server name, option text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o
			WHERE s.srvname = server AND o.option_name = option);
END $$;
COMMENT ON FUNCTION onec_internal.server_option(name, text) IS
	'Параметр сервера; NULL — не задан (служебная)';

CREATE VIEW onec_internal.known_servers AS
	SELECT s.server FROM onec_internal.live_servers s
	UNION SELECT b.server FROM onec_internal.base b;
COMMENT ON VIEW onec_internal.known_servers IS
	'Базы: внешние серверы onec_fdw и те, чьи данные остались (служебное)';
COMMENT ON COLUMN onec_internal.known_servers.server IS 'Внешний сервер';

CREATE FUNCTION onec_internal.is_live_server(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.live_servers s WHERE s.server = is_live_server.server);
END $$;
COMMENT ON FUNCTION onec_internal.is_live_server(name) IS 'Есть ли такой внешний сервер (служебная)';

-- The server that is named, else the only one there is: every function that takes a server asks here.  Those
-- that are gone count only where none is left.
CREATE FUNCTION onec_internal.server_meant(server name) RETURNS name
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	live text[];
	known text[];
	told text;
BEGIN
	IF server IS NOT NULL AND onec_internal.is_live_server(server) THEN
		RETURN server;
	END IF;
	live := ARRAY(SELECT s.server FROM onec_internal.live_servers s ORDER BY 1);
	known := live;
	IF server IS NOT NULL OR live = '{}' THEN
		known := ARRAY(SELECT s.server FROM onec_internal.known_servers s ORDER BY 1);
	END IF;
	told := format('Servers of onec_fdw: %s.', coalesce(nullif(array_to_string(live, ', '), ''), 'none'));
	IF server IS NULL AND cardinality(known) = 1 THEN
		RETURN known[1];
	ELSIF server IS NULL THEN
		RAISE invalid_parameter_value USING MESSAGE = 'a server must be named', DETAIL = told;
	ELSIF server <> ALL (known) THEN
		RAISE undefined_object USING
			MESSAGE = format('server "%s" of onec_fdw does not exist', server),
			HINT = coalesce('Perhaps you meant: ' || onec_internal.nearest_words(server, known) || '.', told);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.server_meant(name) IS
	'Проверить имя сервера или найти единственный (служебная)';

-- The same, of one that can be asked.
CREATE FUNCTION onec_internal.live_server_meant(server name) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	server := onec_internal.server_meant(server);
	IF NOT onec_internal.is_live_server(server) THEN
		RAISE undefined_object USING
			MESSAGE = format('server "%s" of onec_fdw does not exist any more', server),
			HINT = format('What the store has of it can be read; SELECT * FROM '
						  'onec.forget_server(%L) deletes it.', server);
	END IF;
	RETURN server;
END $$;
COMMENT ON FUNCTION onec_internal.live_server_meant(name) IS
	'То же для сервера, к которому можно обратиться (служебная)';

-- Write down what the store has to know of a server that is there.
CREATE FUNCTION onec_internal.remember_base(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO onec_internal.base AS b (server, server_oid, timezone)
	SELECT s.server, s.server_oid, s.timezone FROM onec_internal.live_servers s WHERE s.server = $1
	ON CONFLICT ON CONSTRAINT base_pkey DO UPDATE SET server_oid = excluded.server_oid,
	timezone = excluded.timezone
	WHERE (b.server_oid, b.timezone) IS DISTINCT FROM (excluded.server_oid, excluded.timezone)
$$;
COMMENT ON FUNCTION onec_internal.remember_base(name) IS 'Запомнить сервер (служебная)';
