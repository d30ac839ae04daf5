-- Who reads, who syncs, who serves the site.  Roles are the owner's to make.

-- What some routines and views of schema onec need of onec_internal, where they run with the rights of
-- whoever calls: their own texts tell, and those of what they call.  What people are told is no call.
CREATE FUNCTION onec_internal.needed_helpers(callers text[], OUT routines text, OUT relations text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE source AS MATERIALIZED (
		SELECT format('%s.%s', n.nspname, p.proname) AS name, CASE
			WHEN p.prosecdef THEN ''
			WHEN p.prosqlbody IS NULL
				THEN regexp_replace(p.prosrc, '\m(MESSAGE|DETAIL|HINT)\s*=\s*(format\()?(E?''[^'']*''\s*)+',
									'', 'g')
			ELSE regexp_replace(pg_get_functiondef(p.oid), '''[^'']*''', '', 'g') END AS code
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('onec', 'onec_internal') AND p.prokind IN ('f', 'p', 'a')
		UNION ALL
		SELECT format('%s.%s', n.nspname, c.relname),
			   regexp_replace(pg_get_viewdef(c.oid), '''[^'']*''', '', 'g')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('onec', 'onec_internal') AND c.relkind = 'v'),
	call AS MATERIALIZED (
		SELECT DISTINCT s.name AS caller, m[1] AS called
		FROM source s CROSS JOIN LATERAL regexp_matches(s.code, '\m(onec(?:_internal)?\.\w+)', 'g') m
		-- what is not given is not called, but told of
		WHERE m[1] !~ '^onec\.' OR m[1] = ANY ($1) OR to_regclass(m[1]) IS NOT NULL),
	reached AS (
		SELECT unnest($1) AS name
		UNION SELECT c.called FROM reached r JOIN call c ON c.caller = r.name)
	SELECT (SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid) FROM pg_proc p
			WHERE p.pronamespace = 'onec_internal'::regnamespace
			  AND format('onec_internal.%s', p.proname) IN (SELECT r.name FROM reached r)),
		   (SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid) FROM pg_class c
			WHERE c.relnamespace = 'onec_internal'::regnamespace AND c.relkind IN ('r', 'v')
			  AND format('onec_internal.%s', c.relname) IN (SELECT r.name FROM reached r))
$$;
COMMENT ON FUNCTION onec_internal.needed_helpers(text[]) IS
	'Что из onec_internal нужно тому, кто вызывает это сам (служебная)';

-- What an analyst reads, and the functions that everybody may call.  The list names what is allowed, so a
-- table that is added later is closed until somebody has looked whether it tells of people.
CREATE FUNCTION onec.grant_reader(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	open text[] := '{setting,config,settings,field_source,env_name,target,server_capability,
		stat_server,stat_server_error,mirrors,
		receipt,customer_order_line,loyalty_balance,loyalty_rule,category_map,brand_map,frequency_class,
		rfm_segment,customer_affinity,customer_outlook,outlook_baseline,outlook,customer_rfm,rfm_summary,
		clv_model,customer_clv,customer_value,cohort_retention,abc_xyz_masked,month_season,weekday_hour,
		store_summary,revenue_month,product_pair,bestseller,recommendation_feed,site_user_masked,
		customer_360_masked,purchase_masked,sync_run,sync_step,sync_state,sync_status,sync_progress,drift,
		data_quality,change_feed,image_summary,outbox_status}';
	behind text[] := '{base,live_servers,base_clock,refusal,largest_page,known_servers,
		shop_rules,product_with_category,counted_line,counted_part,counted_points,taste_word}';
	helpers text;
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec, onec_internal TO %s', role);
	-- whatever an earlier version or a hasty hand gave
	EXECUTE format('REVOKE SELECT ON ALL TABLES IN SCHEMA onec, onec_internal FROM %s', role);
	EXECUTE format('GRANT SELECT ON %s TO %s',
		(SELECT string_agg(format('onec.%I', c.relname), ', ') FROM pg_class c
		 WHERE c.relnamespace = 'onec'::regnamespace AND (c.relname = ANY (open)
			OR EXISTS (SELECT FROM onec.target t
					   WHERE t.table_schema = 'onec' AND t.table_name = c.relname AND t.is_open))), role);
	-- a view reads with its owner's rights, but calls with those of whoever asks
	EXECUTE format('GRANT SELECT ON %s TO %s',
				   (SELECT string_agg(format('onec_internal.%I', b), ', ') FROM unnest(behind) b), role);
	SELECT h.routines INTO helpers FROM onec_internal.needed_helpers(
		ARRAY(SELECT format('onec.%s', c.relname) FROM pg_class c
			  WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind = 'v'
				AND has_table_privilege(role, c.oid, 'SELECT')
			  UNION ALL
			  SELECT format('onec.%s', p.proname) FROM pg_proc p
			  WHERE p.pronamespace = 'onec'::regnamespace
				AND has_function_privilege('public', p.oid, 'EXECUTE'))) h;
	EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', helpers, role);
END $$;
COMMENT ON FUNCTION onec.grant_reader(regrole) IS
	'Дать роли право читать витрины магазина, в которых нет телефонов, имён и почты; '
	'прочие права на чтение отнять';
REVOKE EXECUTE ON FUNCTION onec.grant_reader(regrole) FROM PUBLIC;

-- What CALL onec.sync(), its parts and the jobs need, and no more: they run with the rights of whoever calls.
-- Tables that a sync fills are those with a server in each row; what is set by hand, and who is forgotten, it
-- only reads.  Functions give nothing by themselves.
CREATE FUNCTION onec.grant_sync(role regrole, server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	filled text;
	read text;
	called text;
	helpers record;
	entries text := '^(sync|run_job$|run_now$|deliver$|refresh_|fit_clv$|(forget|remember)_refusals$|'
					'(check|choose)_loyalty|check_amounts$|entity_sets$|properties$)';
BEGIN
	SELECT string_agg(c.oid::regclass::text, ', ') FILTER (WHERE c.relkind = 'r' AND a.attname IS NOT NULL
														   AND c.relname NOT IN ('config', 'target',
															   'forgotten', 'server_number', 'mirror',
															   'mirror_section')),
		   string_agg(c.oid::regclass::text, ', ')
	INTO filled, read
	FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'server'
	WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
	  AND c.relname !~ '^(outbox|write_default$|site_(person|points|spending|call)$)'
	  AND (c.relkind = 'r' OR c.relkind = 'v' AND c.relnamespace = 'onec'::regnamespace
		   AND EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname));
	SELECT string_agg(p.oid::regprocedure::text, ', ') INTO called FROM pg_proc p
	WHERE p.pronamespace = 'onec'::regnamespace AND p.proname ~ entries;
	SELECT h.routines, h.relations INTO helpers FROM onec_internal.needed_helpers(
		ARRAY(SELECT format('onec.%s', p.proname) FROM pg_proc p
			  WHERE p.pronamespace = 'onec'::regnamespace
				AND (p.proname ~ entries OR has_function_privilege('public', p.oid, 'EXECUTE')))) h;
	EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %s', current_database(), role);
	EXECUTE format('GRANT USAGE ON SCHEMA onec, onec_internal, %I TO %s', srv, role);
	EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO %s', srv, role);
	EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %s', srv, role);
	EXECUTE format('GRANT SELECT ON %s, %s TO %s', read, helpers.relations, role);
	EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO %s', filled, role);
	EXECUTE format('GRANT INSERT ON onec.forgotten TO %s', role);
	EXECUTE format('GRANT EXECUTE ON ROUTINE %s, %s TO %s', called, helpers.routines, role);
	IF NOT EXISTS (SELECT FROM pg_user_mappings m WHERE m.srvname = srv AND m.umuser IN (0, role)) THEN
		RAISE WARNING USING
			MESSAGE = format('role "%s" has no login at server "%s" yet', role, srv),
			HINT = format('CREATE USER MAPPING FOR %s SERVER %I OPTIONS (user …, password …);', role, srv);
	END IF;
END $$;
COMMENT ON FUNCTION onec.grant_sync(regrole, name) IS
	'Дать роли то, что нужно синхронизации с базой (onec.sync, её части, задания), и не больше; логин 1С '
	'задаёт сопоставление пользователя';
REVOKE EXECUTE ON FUNCTION onec.grant_sync(regrole, name) FROM PUBLIC;

-- The site asks for one customer at a time, by key, and reads no table.
ALTER FUNCTION onec.customer_json(text, name) SECURITY DEFINER;
ALTER FUNCTION onec.purchases_json(text, int, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.profile_json(text, int, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.recommend(text, int, name, date) SECURITY DEFINER;
ALTER FUNCTION onec.product_json(uuid, name) SECURITY DEFINER;
ALTER FUNCTION onec.stock_free(uuid, uuid, uuid, name) SECURITY DEFINER;
ALTER FUNCTION onec.orders_json(text, int, name) SECURITY DEFINER;
ALTER FUNCTION onec.order_json(uuid, name) SECURITY DEFINER;
ALTER FUNCTION onec.image(uuid, uuid, name) SECURITY DEFINER;
REVOKE EXECUTE ON FUNCTION onec.customer_json(text, name), onec.purchases_json(text, int, int, name),
	onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date),
	onec.product_json(uuid, name), onec.stock_free(uuid, uuid, uuid, name),
	onec.orders_json(text, int, name), onec.order_json(uuid, name), onec.image(uuid, uuid, name) FROM PUBLIC;

CREATE FUNCTION onec.grant_site(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.customer_json(text, name), '
				   'onec.purchases_json(text, int, int, name), '
		'onec.profile_json(text, int, int, name), onec.recommend(text, int, name, date), '
		'onec.product_json(uuid, name), onec.stock_free(uuid, uuid, uuid, name), '
		'onec.feed_position(name), onec.changes_since(bigint, name, int), '
		'onec.orders_json(text, int, name), onec.order_json(uuid, name), '
		'onec.image(uuid, uuid, name) TO %s', role);
END $$;
COMMENT ON FUNCTION onec.grant_site(regrole) IS
	'Дать роли сайта профиль, покупки, заказы и рекомендации одного покупателя по ключу: customer_json, '
	'purchases_json, profile_json, recommend, orders_json, order_json; товар: product_json, stock_free, '
	'image; и ленту изменений: changes_since; таблиц она не читает';
REVOKE EXECUTE ON FUNCTION onec.grant_site(regrole) FROM PUBLIC;
