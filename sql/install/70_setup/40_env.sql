-- A .env file of the site as settings of the shop.

-- Which variable means what: a setting, an option of the server, or the token of the user mapping.
CREATE TABLE onec.env_name (
	name text PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('setting', 'list', 'server', 'mapping', 'ignored')),
	target text NOT NULL
);
COMMENT ON TABLE onec.env_name IS 'Переменные окружения прежних решений и что им соответствует';
COMMENT ON COLUMN onec.env_name.name IS 'Переменная';
COMMENT ON COLUMN onec.env_name.kind IS
	'Вид: настройка, настройка-перечень, параметр сервера, сопоставление пользователя, не нужна';
COMMENT ON COLUMN onec.env_name.target IS 'Настройка или параметр';
INSERT INTO onec.env_name (name, kind, target) VALUES
	('ONEC_API_URL', 'server', 'url'),
	('ONEC_API_TOKEN', 'mapping', 'token'),
	('ONEC_DISCOUNT_CARDS_ENDPOINT', 'setting', 'endpoint.discount_card'),
	('ONEC_SALES_ENDPOINT', 'setting', 'endpoint.sale_line'),
	('ONEC_SALES_BY_CARD_ENDPOINT', 'setting', 'endpoint.card_sale_line'),
	('ONEC_CUSTOMERS_ENDPOINT', 'setting', 'endpoint.counterparty'),
	('ONEC_PRODUCTS_ENDPOINT', 'setting', 'endpoint.product'),
	('ONEC_SALES_BY_CARD_FILTER_FIELDS', 'list', 'filter_fields.card_sales'),
	('ONEC_LOYALTY_ENABLED', 'setting', 'loyalty.enabled'),
	('ONEC_LOYALTY_ENDPOINT', 'setting', 'endpoint.loyalty_movement'),
	('ONEC_LOYALTY_ACCRUAL_ENDPOINT', 'setting', 'endpoint.loyalty_lot'),
	('ONEC_LOYALTY_FILTER_FIELDS', 'list', 'filter_fields.loyalty'),
	('CUSTOMER_SYNC_ENABLED', 'setting', 'sync.enabled'),
	('CUSTOMER_SYNC_INTERVAL_HOURS', 'setting', 'sync.interval_hours'),
	('CUSTOMER_SYNC_NIGHTLY_ENABLED', 'setting', 'nightly.enabled'),
	('CUSTOMER_SYNC_NIGHTLY_HOUR', 'setting', 'nightly.hour'),
	('CUSTOMER_SYNC_NIGHTLY_MINUTE', 'setting', 'nightly.minute'),
	('CUSTOMER_SYNC_NIGHTLY_PURCHASE_DAYS', 'setting', 'nightly.purchase_days'),
	('CUSTOMER_SYNC_NIGHTLY_CARDS_LIMIT', 'setting', 'nightly.cards_limit'),
	('CUSTOMER_SYNC_CARDS_LIMIT', 'setting', 'sync.cards_limit'),
	('CUSTOMER_SYNC_PURCHASE_DAYS', 'setting', 'sync.purchase_days'),
	('CUSTOMER_SYNC_RUN_ON_START', 'ignored', 'a job of pg_cron has no start'),
	('ONEC_CONNECT_TIMEOUT', 'server', 'connect_timeout'),
	('ONEC_READ_TIMEOUT', 'server', 'request_timeout');

-- Lines "NAME=value": export before it, quotes around it, comments behind it.
CREATE FUNCTION onec_internal.env_lines(env text) RETURNS TABLE (line int, name text, value text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT l.n::int, m[1],
		   CASE WHEN m[2] ~ '^"'
				THEN replace(replace(substring(m[2] FROM '^"((?:[^"\\]|\\.)*)"'), '\"', '"'), '\\', '\')
				WHEN m[2] ~ '^''' THEN substring(m[2] FROM '^''([^'']*)''')
				ELSE btrim(regexp_replace(m[2], '\s+#.*$', '')) END
	FROM regexp_split_to_table($1, '\r?\n') WITH ORDINALITY l (text, n),
		 regexp_matches(l.text, '^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$') m
$$;
COMMENT ON FUNCTION onec_internal.env_lines(text) IS 'Строки файла .env (служебная)';

CREATE FUNCTION onec_internal.set_server_option(server name, option text, value text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = server) THEN
		EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER onec_fdw OPTIONS (%I %L)', server,
					   option, value);
	ELSE
		EXECUTE format('ALTER SERVER %I OPTIONS (%s %I %L)', server,
			CASE WHEN onec_internal.server_option(server, option) IS NULL THEN 'ADD' ELSE 'SET' END, option,
			value);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.set_server_option(name, text, text) IS
	'Задать параметр сервера (служебная)';

CREATE FUNCTION onec_internal.set_login_token(server name, token text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER %I', server);
	EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (token %L)', server, token);
END $$;
COMMENT ON FUNCTION onec_internal.set_login_token(name, text) IS
	'Записать токен в сопоставление пользователя (служебная)';

CREATE FUNCTION onec_internal.apply_env_variable(server name, name text, value text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e onec.env_name;
BEGIN
	SELECT * INTO e FROM onec.env_name t WHERE t.name = apply_env_variable.name;
	CASE coalesce(e.kind, '')
		WHEN '' THEN RETURN 'unknown';
		WHEN 'ignored' THEN RETURN 'not needed: ' || e.target;
		WHEN 'server' THEN PERFORM onec_internal.set_server_option(server, e.target, value);
		WHEN 'mapping' THEN PERFORM onec_internal.set_login_token(server, value);
		WHEN 'list' THEN PERFORM onec.set(e.target, '{' || regexp_replace(value, '\s', '', 'g')
										  || '}', server);
		ELSE PERFORM onec.set(e.target, ltrim(value, '/'), server);
	END CASE;
	RETURN CASE e.kind WHEN 'server' THEN 'server option ' || e.target WHEN 'mapping' THEN 'user mapping'
				ELSE 'setting ' || e.target END;
EXCEPTION WHEN invalid_parameter_value OR fdw_invalid_attribute_value OR fdw_invalid_option_name THEN
	RETURN 'refused: ' || SQLERRM;
END $$;
COMMENT ON FUNCTION onec_internal.apply_env_variable(name, text, text) IS
	'Применить одну переменную окружения (служебная)';

CREATE FUNCTION onec.import_env(env text, server name DEFAULT NULL)
	RETURNS TABLE (line int, name text, result text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := coalesce(import_env.server, onec_internal.server_meant(NULL));
	v record;
BEGIN
	-- the address first: without a server there is nothing to put the rest into
	FOR v IN SELECT l.* FROM onec_internal.env_lines(env) l ORDER BY l.name <> 'ONEC_API_URL', l.line LOOP
		line := v.line;
		name := v.name;
		result := CASE WHEN coalesce(v.value, '') = '' THEN 'empty, left as it is'
					   ELSE onec_internal.apply_env_variable(srv, v.name, v.value) END;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.import_env(text, name) IS
	'Взять настройки из файла .env сайта; токен уходит в сопоставление пользователя, '
	'неизвестные имена перечисляются';
REVOKE EXECUTE ON FUNCTION onec.import_env(text, name) FROM PUBLIC;
