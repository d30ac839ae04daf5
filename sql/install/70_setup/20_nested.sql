-- Registers whose rows are published only inside of their recorders, as the member RecordSet: a view makes
-- rows of them.
--
-- 1C takes no condition on what is nested, so such a table is read whole each time it is read at all.

-- The value of the first member that there is, else of what stands beside the rows, as the type of the local
-- column.
CREATE FUNCTION onec_internal.nested_value_expression(candidates text[], kind text,
													  otherwise text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE $2 WHEN 'ref' THEN 'onec_internal.reference_uuid(%s)'
						  WHEN 'type' THEN $q$replace(%s, 'StandardODATA.', '')$q$
						  WHEN 'timestamp' THEN $q$nullif(%s, '0001-01-01T00:00:00')::timestamp$q$
						  WHEN 'text' THEN '%s'
						  ELSE $q$nullif(%s, '')::$q$ || $2 END,
				  'coalesce(' || string_agg(format('r.value ->> %L', c), ', ' ORDER BY n)
					  || coalesce(', ' || $3, '') || ')')
	FROM unnest($1) WITH ORDINALITY u (c, n)
$$;
COMMENT ON FUNCTION onec_internal.nested_value_expression(text[], text, text) IS
	'Выражение: значение поля вложенной записи (служебная)';

-- The rows of a set of recorders, taken apart.  Returns what changed; "status" otherwise says why it cannot
-- be done.
CREATE FUNCTION onec_internal.create_nested_table(server name, target text, entity_set text, OUT status text,
												  OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	beside onec_internal.made_column[];
BEGIN
	IF NOT EXISTS (SELECT FROM onec.properties(server, entity_set) p WHERE p.property = 'RecordSet') THEN
		status := 'no property RecordSet';
		RETURN;
	END IF;
	-- who has made the rows is said once for all of them
	SELECT array_agg(ROW(r.field, 'text', ARRAY['property=' || r.property],
						 r.property)::onec_internal.made_column ORDER BY r.ordinal) INTO beside
	FROM onec_internal.resolved_fields(server, target, entity_set) r
	WHERE r.field IN ('recorder', 'recorder_type') AND r.property IS NOT NULL;
	IF beside IS NULL THEN
		status := 'no property for recorder';
		RETURN;
	END IF;
	IF NOT onec_internal.is_nested(server, target) THEN
		PERFORM onec_internal.drop_made_by_setup(server, target,
												 (onec_internal.target_named(target)).title, false);
	END IF;
	changes := onec_internal.make_table(server, target || '_set', onec_internal.title_of_sets(), entity_set,
										ARRAY['entity_set=' || entity_set, 'key=Recorder'],
		beside || ('rows', 'jsonb', '{property=RecordSet}', 'RecordSet')::onec_internal.made_column);
	changes := onec_internal.make_nested_view(server, target, entity_set) || changes;
END $$;
COMMENT ON FUNCTION onec_internal.create_nested_table(name, text, text) IS
	'Создать таблицу по вложенным наборам записей или изменить её (служебная)';

-- The view over them; what that changes.
CREATE FUNCTION onec_internal.make_nested_view(server name, target text, entity_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	title text := (onec_internal.target_named(target)).title;
	was regclass := onec_internal.made_relation(server, target, title);
	before text := pg_get_viewdef(was);
	statement text;
BEGIN
	statement := format('CREATE OR REPLACE VIEW %I.%I AS SELECT %s FROM %I.%I s CROSS JOIN LATERAL '
						'jsonb_array_elements(s.rows) r (value)',
		server, target,
		(SELECT string_agg(onec_internal.nested_value_expression(onec_internal.field_candidates(server, f),
			f.kind, 's.' || quote_ident(a.attname)) || format(' AS %I', f.field),
										   ', ' ORDER BY f.ordinal)
						 FROM onec.field_source f LEFT JOIN pg_attribute a ON a.attname = f.field
							AND a.attrelid = to_regclass(format('%I.%I', server, f.target || '_set'))
							AND a.attnum > 0 AND NOT a.attisdropped
						 WHERE f.target = make_nested_view.target),
		server, target || '_set');
	BEGIN
		EXECUTE statement;
	EXCEPTION WHEN invalid_table_definition THEN
		-- fields have been added or taken away in between
		PERFORM onec_internal.drop_made_by_setup(server, target, title, false);
		EXECUTE statement;
	END;
	EXECUTE format('COMMENT ON VIEW %I.%I IS %L', server, target,
				   title || ': ' || entity_set || ', RecordSet');
	RETURN CASE WHEN was IS NULL THEN ARRAY[target || ': created']
				WHEN pg_get_viewdef(to_regclass(format('%I.%I', server, target))) <> before
					THEN ARRAY[target || ': altered'] ELSE '{}' END;
END $$;
COMMENT ON FUNCTION onec_internal.make_nested_view(name, text, text) IS
	'Создать представление вложенных записей или изменить его (служебная)';
