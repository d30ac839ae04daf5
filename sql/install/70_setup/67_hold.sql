-- What every transaction does first that touches a table which is not the extension's.  Whoever syncs may
-- have more rights than the table's owner, and a trigger, a rule, a default, a check of the owner's would run
-- with them: so the table is kept as it is until the transaction ends, and refused where there is such code.

-- The row of the schema, kept from being renamed until the transaction ends: then the names that statements
-- say go on meaning the tables that were looked at.
CREATE FUNCTION onec_internal.hold_schema(schema name) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM pg_namespace n WHERE n.nspname = hold_schema.schema FOR SHARE;
END $$;
COMMENT ON FUNCTION onec_internal.hold_schema(name) IS
	'Не дать переименовать схему до конца транзакции (служебная)';

-- Why it is not safe for the current role to write a table of somebody who has fewer rights: code that he has
-- put there would run with the rights of whoever syncs.  NULL: there is none.  Built-in functions are no
-- proof of anything where volatile ones may stand (query_to_xml runs what it is told); an index takes only
-- immutable ones.  Who is a member of the current role, or a superuser, needs no such trick.
CREATE FUNCTION onec_internal.code_of_others(tab regclass) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN pg_has_role(c.relowner, current_user, 'USAGE') THEN NULL
		WHEN c.relrowsecurity THEN 'row-level security'
		WHEN EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid) THEN 'rules'
		WHEN EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'inheritance'
		WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid
					 AND t.tgfoid <> 'onec_internal.spread_rows()'::regprocedure) THEN 'triggers'
		WHEN EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = c.oid) THEN 'defaults or generated columns'
		WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
			THEN 'check constraints'
		WHEN EXISTS (SELECT FROM pg_depend d
					 LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
					 WHERE (d.classid = 'pg_class'::regclass AND d.objid = c.oid OR i.indrelid = c.oid
							OR d.classid = 'pg_statistic_ext'::regclass AND d.objid IN (
								SELECT x.oid FROM pg_statistic_ext x WHERE x.stxrelid = c.oid))
					   AND d.refclassid IN ('pg_proc'::regclass, 'pg_type'::regclass,
											'pg_operator'::regclass))
			THEN 'types, functions or operators of others'
		END
	FROM pg_class c WHERE c.oid = $1
$$;
COMMENT ON FUNCTION onec_internal.code_of_others(regclass) IS
	'Какой чужой код сработал бы при записи в таблицу; NULL — никакой (служебная)';

-- A table of somebody's own, found and kept as it is until the transaction ends; an error tells of it by name
-- where it is not there, or is not what it was.
CREATE FUNCTION onec_internal.hold_table(target text, table_schema name, table_name name) RETURNS regclass
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	called text := format('%I.%I', table_schema, table_name);
	tab regclass;
	code text;
BEGIN
	PERFORM onec_internal.hold_schema(table_schema);
	tab := to_regclass(called);
	IF tab IS NULL OR (SELECT c.relkind FROM pg_class c WHERE c.oid = tab) <> 'r' THEN
		RAISE undefined_table USING
			MESSAGE = format('%s, the local table of "%s", is not there or is no ordinary table', called,
							 target),
			HINT = format('Bring it back, or SELECT onec.unmirror(%L).', target);
	END IF;
	EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', tab);
	IF tab IS DISTINCT FROM to_regclass(called) THEN
		RAISE object_in_use USING MESSAGE = format('%s was replaced meanwhile', called);
	END IF;
	-- what policies hide would be taken for missing
	code := CASE WHEN row_security_active(tab) THEN 'row-level security'
				 ELSE onec_internal.code_of_others(tab) END;
	IF code IS NOT NULL THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('%s has %s, which would run with the rights of role "%s"', called, code,
							 current_user),
			DETAIL = format('Its owner, "%s", does not have the rights of that role.',
							(SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = tab)),
			HINT = 'Take them away, or let its owner call onec.sync.';
	END IF;
	RETURN tab;
END $$;
COMMENT ON FUNCTION onec_internal.hold_table(text, name, name) IS
	'Найти чужую таблицу и не дать её менять до конца транзакции (служебная)';

-- The columns that fields are written to have to be there, of the type that they were made with.
CREATE FUNCTION onec_internal.check_columns(tab regclass, fields_of text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wrong record;
BEGIN
	SELECT f.field, onec_internal.type_of_kind(f.kind) AS wanted, format_type(a.atttypid, NULL) AS type
	INTO wrong
	FROM onec.field_source f
	LEFT JOIN pg_attribute a ON a.attrelid = tab AND a.attname = f.field AND a.attnum > 0
		AND NOT a.attisdropped
	WHERE f.target = fields_of
	  AND (a.attname IS NULL OR a.attgenerated <> ''
		   OR a.atttypid <> onec_internal.type_of_kind(f.kind)::regtype)
	ORDER BY f.ordinal LIMIT 1;
	IF wrong.field IS NOT NULL THEN
		RAISE datatype_mismatch USING
			MESSAGE = format('column "%s" of %s is %s', wrong.field, tab,
							 coalesce('of type ' || wrong.type || ', which it was not made with',
									  'not there any more')),
			DETAIL = format('1C''s property is of type %s.', wrong.wanted),
			HINT = 'Bring it back, or make the mirror anew: onec.unmirror, onec.mirror.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_columns(regclass, text) IS
	'Проверить, что столбцы чужой таблицы на месте (служебная)';

-- What every transaction does first that touches a table which is not the extension's.
CREATE FUNCTION onec_internal.hold_own_tables(target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	s record;
	mirrored boolean;
	tab regclass;
BEGIN
	IF t.table_schema = 'onec' THEN
		RETURN;
	END IF;
	mirrored := onec_internal.is_mirror(target);
	tab := onec_internal.hold_table(target, t.table_schema, t.table_name);
	IF mirrored THEN
		PERFORM onec_internal.check_columns(tab, target);
	END IF;
	FOR s IN SELECT * FROM onec_internal.mirror_section m WHERE m.target = hold_own_tables.target LOOP
		tab := onec_internal.hold_table(target, s.table_schema, s.table_name);
		PERFORM onec_internal.check_columns(tab, concat_ws('.', target, s.field));
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.hold_own_tables(text) IS
	'Не дать менять таблицы зеркала до конца транзакции; чужой код в них — ошибка (служебная)';
