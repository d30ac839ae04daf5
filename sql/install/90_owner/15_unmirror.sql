-- The end of a mirror.

CREATE FUNCTION onec.unmirror(mirror text, drop_table boolean DEFAULT false) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target;
	s record;
	tab regclass;
	present boolean;
BEGIN
	PERFORM onec_internal.must_write('unmirror');
	SELECT k.* INTO t FROM onec.target k JOIN onec_internal.mirror m ON m.target = k.target
	WHERE unmirror.mirror IN (k.target, format('%I.%I', k.table_schema, k.table_name))
	ORDER BY k.target <> unmirror.mirror LIMIT 1;
	IF t.target IS NULL THEN
		RAISE undefined_object USING MESSAGE = format('there is no mirror "%s"', unmirror.mirror),
			HINT = 'SELECT mirror, table_name FROM onec.mirrors lists them.';
	END IF;
	-- no run is to find it half gone
	PERFORM pg_advisory_xact_lock(hashtextextended('onec mirror', 0));
	IF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(t.server)) THEN
		RAISE object_in_use USING MESSAGE = format('a sync of "%s" is at work', t.server),
			HINT = format('Wait for its end, or SELECT onec.cancel(server => %L).', t.server);
	END IF;
	FOR s IN SELECT t.table_schema, t.table_name, true AS is_object
			 UNION ALL SELECT m.table_schema, m.table_name, false FROM onec_internal.mirror_section m
			 WHERE m.target = t.target LOOP
		tab := to_regclass(format('%I.%I', s.table_schema, s.table_name));
		CONTINUE WHEN tab IS NULL;
		IF drop_table THEN
			EXECUTE format('DROP TABLE %s', tab);
		ELSIF s.is_object THEN
			EXECUTE format('DROP TRIGGER IF EXISTS onec_rows_insert ON %1$s; '
						   'DROP TRIGGER IF EXISTS onec_rows_update ON %1$s; '
						   'DROP TRIGGER IF EXISTS onec_rows_delete ON %1$s', tab);
		END IF;
	END LOOP;
	PERFORM onec_internal.drop_made_by_setup(t.server, t.target, t.title);
	DELETE FROM onec.sync_state x WHERE x.server = t.server AND x.target = t.target;
	DELETE FROM onec_internal.sync_doubt x WHERE x.server = t.server AND x.target = t.target;
	DELETE FROM onec.target k WHERE k.target = t.target;
END $$;
COMMENT ON FUNCTION onec.unmirror(text, boolean) IS
	'Больше не вести зеркало (по имени или таблице); его таблицы остаются, если не сказано drop_table';
REVOKE EXECUTE ON FUNCTION onec.unmirror(text, boolean) FROM PUBLIC;
