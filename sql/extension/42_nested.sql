-- Registers whose rows are published only inside of their recorders, as the member RecordSet: a view makes rows of them.
--
-- 1C takes no condition on what is nested, so such a table is read whole each time it is read at all.

CREATE FUNCTION onec._is_nested(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass(format('%I.%I', server, target)) AND c.relkind = 'v');
END $$;
COMMENT ON FUNCTION onec._is_nested(name, text) IS 'Читается ли таблица из вложенных наборов записей (служебная)';

-- The value of the first member that there is, else of what stands beside the rows, as the type of the local column.
CREATE FUNCTION onec._nested_value(candidates text[], kind text, otherwise text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE $2 WHEN 'ref' THEN 'onec._ref(%s)'
						  WHEN 'type' THEN $q$replace(%s, 'StandardODATA.', '')$q$
						  WHEN 'timestamp' THEN $q$nullif(%s, '0001-01-01T00:00:00')::timestamp$q$
						  WHEN 'text' THEN '%s'
						  ELSE $q$nullif(%s, '')::$q$ || $2 END,
				  'coalesce(' || string_agg(format('r.value ->> %L', c), ', ' ORDER BY n) || coalesce(', ' || $3, '') || ')')
	FROM unnest($1) WITH ORDINALITY u (c, n)
$$;
COMMENT ON FUNCTION onec._nested_value(text[], text, text) IS 'Выражение: значение поля вложенной записи (служебная)';

CREATE FUNCTION onec._create_nested(server name, target text, entity_set text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	beside text;
	columns text;
BEGIN
	IF NOT EXISTS (SELECT FROM onec.properties(server, entity_set) p WHERE p.property = 'RecordSet') THEN
		RETURN 'no property RecordSet';
	END IF;
	-- who has made the rows is said once for all of them
	SELECT string_agg(format('%I text OPTIONS (property %L)', r.field, r.property), ', ' ORDER BY r.ordinal) INTO beside
	FROM onec._resolve(server, target, entity_set) r WHERE r.field IN ('recorder', 'recorder_type') AND r.property IS NOT NULL;
	IF beside IS NULL THEN
		RETURN 'no property for recorder';
	END IF;
	EXECUTE format('CREATE FOREIGN TABLE %I.%I (%s, rows jsonb OPTIONS (property %L)) SERVER %I OPTIONS (entity_set %L, key %L)',
				   server, target || '_set', beside, 'RecordSet', server, entity_set, 'Recorder');
	EXECUTE format('COMMENT ON FOREIGN TABLE %I.%I IS %L', server, target || '_set', 'Регистраторы с наборами записей: ' || entity_set);
	SELECT string_agg(onec._nested_value(onec._candidates(server, f), f.kind, (SELECT 's.' || a.attname FROM pg_attribute a
				WHERE a.attrelid = format('%I.%I', server, f.target || '_set')::regclass AND a.attname = f.field)) || format(' AS %I', f.field), ', ' ORDER BY f.ordinal)
	INTO columns FROM onec.field_source f WHERE f.target = _create_nested.target;
	EXECUTE format('CREATE VIEW %I.%I AS SELECT %s FROM %I.%I s CROSS JOIN LATERAL jsonb_array_elements(s.rows) r (value)',
				   server, target, columns, server, target || '_set');
	EXECUTE format('COMMENT ON VIEW %I.%I IS %L', server, target, onec._target_title(target) || ': ' || entity_set || ', RecordSet');
	RETURN 'created';
END $$;
COMMENT ON FUNCTION onec._create_nested(name, text, text) IS 'Создать таблицу по вложенным наборам записей (служебная)';
REVOKE EXECUTE ON FUNCTION onec._create_nested(name, text, text) FROM PUBLIC;
