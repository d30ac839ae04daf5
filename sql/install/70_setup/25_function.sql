-- Targets that are read from a virtual table of a register: its balances, or the values in force.

-- The columns of a foreign table of "target" as they are to be, from the properties of a set; behind the
-- fields the version of an object, by which a sync sees what has changed (75_sync/47_versions.sql).
CREATE FUNCTION onec_internal.columns_to_make(server name, target text,
											  entity_set text) RETURNS onec_internal.made_column[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(ROW(r.field, r.pg_type, ARRAY['property=' || r.property, 'edm_type=' || r.edm_type],
						 r.property)::onec_internal.made_column ORDER BY r.ordinal)
	FROM (SELECT f.ordinal, f.field, f.property, f.edm_type, f.pg_type
		  FROM onec_internal.resolved_fields($1, $2, $3) f WHERE f.property IS NOT NULL
		  UNION ALL
		  SELECT 1000000, 'data_version', p.property, p.edm_type, p.pg_type FROM onec.properties($1, $3) p
		  WHERE p.property = 'DataVersion'
			AND NOT EXISTS (SELECT FROM onec.field_source f
							WHERE f.target = $2 AND ('DataVersion' = ANY (f.candidates)
													 OR f.field = 'data_version'))) r
$$;
COMMENT ON FUNCTION onec_internal.columns_to_make(name, text, text) IS
	'Столбцы внешней таблицы по свойствам набора (служебная)';

CREATE FUNCTION onec_internal.is_part_of_key(target text, field name) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_index i
				   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
				   WHERE i.indrelid = onec_internal.table_of_target(target)::regclass AND i.indisprimary
					 AND a.attname = field);
END $$;
COMMENT ON FUNCTION onec_internal.is_part_of_key(text, name) IS
	'Входит ли поле в ключ местной таблицы (служебная)';

-- The foreign table of a function of 1C: properties of its answer, and the arguments that the sync gives.
-- Returns what changed; "status" otherwise says why there is none.
CREATE FUNCTION onec_internal.create_function_table(server name, target text, register text, OUT status text,
													OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	answer text := register || '_' || t.function;
	arguments onec_internal.made_column[];
BEGIN
	BEGIN
		arguments := ARRAY(
			SELECT ROW(p.local_name, p.pg_type, ARRAY['argument=' || p.property, 'edm_type=' || p.edm_type],
					   p.property)::onec_internal.made_column
			FROM onec.properties(server, answer) p
			WHERE p.local_name IN ('period_arg', 'dimensions_arg') ORDER BY p.ordinal);
	EXCEPTION WHEN fdw_table_not_found THEN
		status := 'no function ' || t.function;
		changes := onec_internal.drop_made_by_setup(server, target, t.title);
		RETURN;
	END;
	status := (SELECT 'no property for ' || string_agg(r.field, ', ' ORDER BY r.ordinal)
			   FROM onec_internal.resolved_fields(server, target, answer) r
			   WHERE r.property IS NULL AND r.is_key);
	IF status IS NULL THEN
		changes := onec_internal.make_table(server, target, t.title, register || '/' || t.function,
			ARRAY['entity_set=' || register, 'function=' || t.function, 'dimensions=' || (
				SELECT string_agg(r.property, ',' ORDER BY r.ordinal)
				FROM onec_internal.resolved_fields(server, target, answer) r
				WHERE onec_internal.is_part_of_key(target, r.field))],
			onec_internal.columns_to_make(server, target, answer) || arguments);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.create_function_table(name, text, text) IS
	'Создать внешнюю таблицу для виртуальной таблицы регистра или изменить её (служебная)';
