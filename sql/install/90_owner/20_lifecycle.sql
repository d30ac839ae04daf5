-- A server is called something else, is dropped, is forgotten: what the store, the schema of its tables and
-- the jobs do then.

-- Every table with a server in each row, by name or by number: of the extension, and of what is synced
-- besides for one base.  Which number a server has is not among them: it is never given to another.
CREATE FUNCTION onec_internal.tables_by_server() RETURNS SETOF text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.oid::regclass::text FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
	JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
		AND e.extname = 'onec_fdw'
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  AND c.oid <> 'onec_internal.server_number'::regclass
	UNION
	SELECT onec_internal.table_of_target(t.target) FROM onec.target t
	WHERE onec_internal.has_column(onec_internal.table_of_target(t.target), 'server')
	ORDER BY 1
$$;
COMMENT ON FUNCTION onec_internal.tables_by_server() IS 'Таблицы, в строках которых есть сервер (служебная)';

-- Was the schema of this name made by setup?
CREATE FUNCTION onec_internal.is_schema_of_setup(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_namespace n
				   WHERE n.nspname = server
					 AND obj_description(n.oid, 'pg_namespace') = 'Магазин в базе 1С ' || server);
COMMENT ON FUNCTION onec_internal.is_schema_of_setup(name) IS 'Создана ли схема onec.setup (служебная)';

-- The jobs in pg_cron, if it is here, get the new name; a NULL removes them.
CREATE FUNCTION onec_internal.rename_jobs(old name, new name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.cron_place() <> 'here' THEN
		RETURN;
	ELSIF new IS NULL THEN
		EXECUTE 'DELETE FROM cron.job j WHERE j.database = current_database() AND j.jobname IN (SELECT '
				'n.job_name FROM onec_internal.job_names($1) n)' USING old;
	ELSE
		EXECUTE 'UPDATE cron.job j SET jobname = w.job_name, command = w.command
				 FROM onec_internal.job_names($1) n JOIN onec_internal.jobs_of_server($2) w ON w.job = n.job
				 WHERE j.database = current_database() AND j.jobname = n.job_name' USING old, new;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.rename_jobs(name, name) IS
	'Переименовать или убрать задания pg_cron (служебная)';

-- All that bears the old name bears the new one.
CREATE FUNCTION onec_internal.rename_base(old name, new name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.base b WHERE b.server = new) THEN
		RAISE object_in_use USING
			MESSAGE = format('the store already has data of a server "%s"', new),
			HINT = format('SELECT * FROM onec.forget_server(%L) deletes them, once '
						  'no server bears that name.', new);
	ELSIF onec_internal.is_schema_of_setup(old) AND to_regnamespace(quote_ident(new)) IS NOT NULL THEN
		RAISE duplicate_schema USING
			MESSAGE = format('schema "%s" exists already', new),
			DETAIL = format('The tables of the shop are in schema "%s", which is called as the server is.',
							old);
	ELSIF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(old)) THEN
		RAISE object_in_use USING
			MESSAGE = format('a sync of "%s" is at work', old),
				HINT = format('Wait for its end, or SELECT onec.cancel(server => %L).', old);
	END IF;
	-- a number goes on being that of the base; one of the new name has no rows
	DELETE FROM onec_internal.server_number n WHERE n.server = new;
	UPDATE onec_internal.server_number n SET server = new WHERE n.server = old;
	FOR tab IN SELECT t FROM onec_internal.tables_by_server() t
			   JOIN pg_attribute a ON a.attrelid = t::regclass AND a.attname = 'server'
			   WHERE a.atttypid = 'name'::regtype LOOP
		PERFORM onec_internal.hold_table(k.target, k.table_schema, k.table_name) FROM onec.target k
			WHERE k.table_schema <> 'onec' AND onec_internal.table_of_target(k.target) = tab;
		EXECUTE format('UPDATE %s SET server = $2 WHERE server = $1', tab) USING old, new;
	END LOOP;
	UPDATE onec_internal.base b SET former = array_remove(b.former, new) || old WHERE b.server = new;
	IF onec_internal.is_schema_of_setup(old) THEN
		EXECUTE format('ALTER SCHEMA %I RENAME TO %I', old, new);
		EXECUTE format('COMMENT ON SCHEMA %I IS %L', new, 'Магазин в базе 1С ' || new);
	END IF;
	PERFORM onec_internal.rename_jobs(old, new);
END $$;
COMMENT ON FUNCTION onec_internal.rename_base(name, name) IS 'Переименовать базу в хранилище (служебная)';

-- What is done to servers, by whoever may.  Before it, their numbers are those of here and now: a dump brings
-- others along.
CREATE FUNCTION onec_internal.on_server_change() RETURNS event_trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	b record;
BEGIN
	IF tg_event = 'sql_drop' THEN
		FOR b IN SELECT k.server FROM onec_internal.base k
			JOIN pg_event_trigger_dropped_objects() d ON d.object_type = 'server'
				AND d.object_name = k.server LOOP
			PERFORM onec_internal.rename_jobs(b.server, NULL);
		END LOOP;
		RETURN;
	END IF;
	FOR b IN SELECT k.server, s.server AS called FROM onec_internal.base k
		JOIN onec_internal.live_servers s ON s.server_oid = k.server_oid
			 WHERE tg_event = 'ddl_command_end' AND s.server <> k.server LOOP
		PERFORM onec_internal.rename_base(b.server, b.called);
	END LOOP;
	PERFORM onec_internal.remember_base(k.server) FROM onec_internal.base k;
END $$;
COMMENT ON FUNCTION onec_internal.on_server_change() IS
	'Следит за переименованием и удалением серверов (служебная)';

CREATE EVENT TRIGGER onec_server_before ON ddl_command_start
	WHEN TAG IN ('ALTER SERVER') EXECUTE FUNCTION onec_internal.on_server_change();
CREATE EVENT TRIGGER onec_server_after ON ddl_command_end
	WHEN TAG IN ('ALTER SERVER') EXECUTE FUNCTION onec_internal.on_server_change();
CREATE EVENT TRIGGER onec_server_dropped ON sql_drop
	WHEN TAG IN ('DROP SERVER', 'DROP FOREIGN DATA WRAPPER', 'DROP OWNED')
	EXECUTE FUNCTION onec_internal.on_server_change();

-- Who was forgotten stays on record, lest a server of the same name bring them back.
CREATE FUNCTION onec.forget_server(server name) RETURNS TABLE (table_name text, rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(coalesce(server, '?'));
BEGIN
	IF EXISTS (SELECT FROM onec_internal.live_servers s WHERE s.server = srv) THEN
		RAISE object_in_use USING
			MESSAGE = format('server "%s" still exists', srv),
			HINT = format('DROP SERVER %I CASCADE first; what the store has of it '
						  'stays until it is forgotten.', srv);
	END IF;
	PERFORM onec_internal.rename_jobs(srv, NULL);
	IF onec_internal.is_schema_of_setup(srv)
		AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(srv))) THEN
		EXECUTE format('DROP SCHEMA %I', srv);
	END IF;
	FOR table_name IN SELECT t FROM onec_internal.tables_by_server() t
					  WHERE t <> 'onec.forgotten'
					  -- what is somebody's first, while it is known what belongs to it
					  ORDER BY t ~ '^onec(_internal)?\.', t LOOP
		PERFORM onec_internal.hold_table(k.target, k.table_schema, k.table_name) FROM onec.target k
			WHERE k.table_schema <> 'onec'
			  AND onec_internal.table_of_target(k.target) = forget_server.table_name;
		EXECUTE format('DELETE FROM %s t WHERE t.server = %s', table_name,
					   onec_internal.server_in(table_name, srv));
		GET DIAGNOSTICS rows = ROW_COUNT;
		table_name := regexp_replace(table_name, '^onec(_internal)?\.', '');
		IF rows > 0 THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.forget_server(name) IS
	'Убрать всё, что осталось от удалённого сервера: данные, настройки, журналы, задания, пустую схему; '
	'показывает, сколько строк удалено. '
	'Остаются только ссылки тех, кого забыли';
REVOKE EXECUTE ON FUNCTION onec.forget_server(name) FROM PUBLIC;
