-- Who reads, who syncs, who serves the site.  Roles are the owner's to make.

-- What an analyst reads.  The list names what is allowed, so a table
-- that is added later is closed until somebody has looked whether it tells of people.
CREATE FUNCTION onec.grant_reader(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	open text[] := '{base,_live_servers,_clock,setting,config,settings,field_source,env_name,target,refusal,largest_page,server_capability,_servers,_shop,_product,_line,_points,
		receipt,customer_order_line,loyalty_balance,loyalty_rule,
		category_map,brand_map,frequency_class,rfm_segment,customer_affinity,customer_outlook,outlook_baseline,outlook,
		customer_rfm,rfm_summary,clv_model,customer_clv,customer_value,cohort_retention,abc_xyz_masked,month_season,weekday_hour,store_summary,revenue_month,
		product_pair,bestseller,recommendation_feed,site_user_masked,customer_360_masked,purchase_masked,
		sync_run,sync_step,sync_state,sync_status,sync_progress,drift,data_quality}';
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	-- whatever an earlier version or a hasty hand gave
	EXECUTE format('REVOKE SELECT ON ALL TABLES IN SCHEMA onec FROM %s', role);
	EXECUTE format('GRANT SELECT ON %s TO %s',
		(SELECT string_agg(format('onec.%I', c.relname), ', ') FROM pg_class c WHERE c.relnamespace = 'onec'::regnamespace AND (c.relname = ANY (open)
			OR EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname AND t.is_open))), role);
END $$;
COMMENT ON FUNCTION onec.grant_reader(regrole) IS 'Дать роли право читать витрины магазина, в которых нет телефонов, имён и почты; прочие права на чтение отнять';
REVOKE EXECUTE ON FUNCTION onec.grant_reader(regrole) FROM PUBLIC;

-- What CALL onec.sync(), its parts and the jobs need, and no more: they run with the rights of whoever calls.  Tables that a sync fills are
-- those with a server in each row; what is set by hand, and who is forgotten, it only reads.  Functions give nothing by themselves.
CREATE FUNCTION onec.grant_sync(role regrole, server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec._live_server(server);
	filled text;
	read text;
	called text;
BEGIN
	SELECT string_agg(format('onec.%I', c.relname), ', ') FILTER (WHERE c.relkind = 'r' AND a.attname IS NOT NULL AND c.relname NOT IN ('config', 'target', 'forgotten')),
		   string_agg(format('onec.%I', c.relname), ', ') FILTER (WHERE c.relkind = 'r' OR c.relname ~ '^_' AND c.relname !~ '^_quality')
	INTO filled, read
	FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
	WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'v');
	SELECT string_agg(p.oid::regprocedure::text, ', ') INTO called FROM pg_proc p
	WHERE p.pronamespace = 'onec'::regnamespace AND CASE WHEN p.proname ~ '^_'
		THEN p.proname !~ '^_(set_|apply_env|create_|make_|lose_|drop_made|drop_target|columns_of|resolve|diagnose|try|forget_messages|forget_person|rename_|words_of)'
		ELSE p.proname ~ '^(sync|run_job$|run_now$|refresh_|fit_clv$|(forget|remember)_refusals$|(check|choose)_loyalty|check_amounts$)' END;
	EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %s', current_database(), role);
	EXECUTE format('GRANT USAGE ON SCHEMA onec, %I TO %s', srv, role);
	EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO %s', srv, role);
	EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %s', srv, role);
	EXECUTE format('GRANT SELECT ON %s TO %s', read, role);
	EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO %s', filled, role);
	EXECUTE format('GRANT INSERT ON onec.forgotten TO %s', role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', called, role);
	IF NOT EXISTS (SELECT FROM pg_user_mappings m WHERE m.srvname = srv AND m.umuser IN (0, role)) THEN
		RAISE WARNING USING
			MESSAGE = format('role "%s" has no login at server "%s" yet', role, srv),
			HINT = format('CREATE USER MAPPING FOR %s SERVER %I OPTIONS (user …, password …);', role, srv);
	END IF;
END $$;
COMMENT ON FUNCTION onec.grant_sync(regrole, name) IS
	'Дать роли то, что нужно синхронизации с базой (onec.sync, её части, задания), и не больше; логин 1С задаёт сопоставление пользователя';
REVOKE EXECUTE ON FUNCTION onec.grant_sync(regrole, name) FROM PUBLIC;

-- The site asks for one customer at a time, by key, and reads no table.
ALTER FUNCTION onec.customer_json(text, name) SECURITY DEFINER;
ALTER FUNCTION onec.purchases_json(text, int, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.profile_json(text, int, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.recommend(text, int, name, date) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION onec.customer_json(text, name), onec.purchases_json(text, int, int, name),
	onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date) FROM PUBLIC;

CREATE FUNCTION onec.grant_site(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.customer_json(text, name), onec.purchases_json(text, int, int, name), '
		'onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date) TO %s', role);
END $$;
COMMENT ON FUNCTION onec.grant_site(regrole) IS
	'Дать роли сайта профиль, покупки и рекомендации одного покупателя по ключу: customer_json, purchases_json, profile_json, recommend; таблиц она не читает';
REVOKE EXECUTE ON FUNCTION onec.grant_site(regrole) FROM PUBLIC;
