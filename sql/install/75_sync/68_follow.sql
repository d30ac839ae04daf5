-- How a mirror follows what the base publishes: before it is read, its columns are compared with $metadata.

-- Columns for properties that are new, in the local table that "fields_of" is read into.  With the owner's
-- rights, for who syncs need not own somebody's table: nothing is filled, so no code of his runs; and what is
-- told by who calls goes through the check of onec.field_source.kind.  Returns what was added.
CREATE FUNCTION onec_internal.widen_mirror(fields_of text, properties jsonb) RETURNS name[]
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	place record;
	tab regclass;
	added name[];
	c onec_internal.made_column;
BEGIN
	SELECT x.table_schema, x.table_name INTO place
	FROM (SELECT t.target AS fields_of, t.table_schema, t.table_name
		  FROM onec.target t JOIN onec_internal.mirror m ON m.target = t.target
		  UNION ALL SELECT concat_ws('.', s.target, s.field), s.table_schema, s.table_name
		  FROM onec_internal.mirror_section s) x
	WHERE x.fields_of = widen_mirror.fields_of;
	PERFORM onec_internal.hold_schema(place.table_schema);
	tab := to_regclass(format('%I.%I', place.table_schema, place.table_name));
	added := onec_internal.add_fields(fields_of, properties, onec_internal.names_of_sync() || ARRAY(
		SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = tab AND NOT a.attisdropped));
	FOREACH c IN ARRAY onec_internal.columns_of_fields(fields_of) LOOP
		CONTINUE WHEN c.name <> ALL (added);
		EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', tab, c.name, c.type);
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tab, c.name, c.title);
	END LOOP;
	RETURN added;
END $$;
COMMENT ON FUNCTION onec_internal.widen_mirror(text, jsonb) IS
	'Добавить в таблицу зеркала столбцы для новых свойств (служебная)';

-- The foreign table of a mirror as "made" says; what that changes.  With the owner's rights, too: of what is
-- told only types that properties have are taken, and options that say what a column is read from.
CREATE FUNCTION onec_internal.alter_mirror(target text, made onec_internal.made_column[]) RETURNS text[]
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
BEGIN
	IF NOT onec_internal.is_mirror(target)
		OR EXISTS (SELECT FROM unnest(made) u
				   WHERE (u.type IN ('uuid', 'timestamp', 'numeric', 'int2', 'int4', 'int8', 'bool', 'bytea',
									 'jsonb', 'text')) IS NOT TRUE
					  OR EXISTS (SELECT FROM unnest(u.options) o WHERE o !~ '^(property|edm_type)=')) THEN
		RAISE insufficient_privilege USING MESSAGE = format('"%s" cannot be altered so', target);
	END IF;
	UPDATE onec_internal.mirror m SET looked_at = now() WHERE m.target = alter_mirror.target;
	RETURN onec_internal.make_table(t.server, target, t.title, t.entity_set, '{}', made);
END $$;
COMMENT ON FUNCTION onec_internal.alter_mirror(text, onec_internal.made_column[]) IS
	'Привести внешнюю таблицу зеркала к свойствам набора (служебная)';

-- A property that is of another type now would have to be another column: the mirror is made anew.
CREATE FUNCTION onec_internal.check_types(fields_of text, properties jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	other record;
BEGIN
	SELECT x.property, x.edm_type, f.field, onec_internal.type_of_kind(f.kind) AS type INTO other
	FROM jsonb_to_recordset(properties) x (property text, edm_type text, kind text)
	JOIN onec.field_source f ON f.target = fields_of AND f.candidates = ARRAY[x.property] AND f.kind <> x.kind
	LIMIT 1;
	IF other.field IS NOT NULL THEN
		RAISE datatype_mismatch USING
			MESSAGE = format('property "%s" is of type %s now, and column "%s" is %s', other.property,
							 other.edm_type, other.field, other.type),
			HINT = 'Make the mirror anew: onec.unmirror, onec.mirror.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_types(text, jsonb) IS
	'Проверить, что свойства того же типа, что и столбцы (служебная)';

-- Whether $metadata, which is large, is to be read for a mirror: by hand and at night, once a day, and after
-- 1C has refused a property.
CREATE FUNCTION onec_internal.is_metadata_due(plan onec_internal.sync_plan, run bigint,
											  target text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ($1).job IS NULL OR ($1).size >= 3 OR m.looked_at < now() - interval '1 day'
		OR (SELECT s.error_code FROM onec.sync_step s
			WHERE s.server = ($1).server AND s.target = $3 AND s.run_id < $2
			ORDER BY s.run_id DESC LIMIT 1) IN ('HV005', 'HV00R')
	FROM onec_internal.mirror m WHERE m.target = $3
$$;
COMMENT ON FUNCTION onec_internal.is_metadata_due(onec_internal.sync_plan, bigint, text) IS
	'Пора ли сверить зеркало с $metadata (служебная)';

-- A mirror before it is read: a property that is new becomes a column, one that is gone is read no more.
-- Returns whether everything has to be read for that.
CREATE FUNCTION onec_internal.follow_metadata(plan onec_internal.sync_plan, run bigint, target text)
	RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	m onec_internal.mirror;
	s record;
	added name[] := '{}';
	changes text[];
	properties jsonb;
	mark text := format('%s %s', plan.server, run);
BEGIN
	SELECT x.* INTO m FROM onec_internal.mirror x WHERE x.target = follow_metadata.target;
	IF m.target IS NULL OR onec_internal.is_metadata_due(plan, run, target) IS NOT TRUE THEN
		RETURN false;
	ELSIF current_setting('onec_mirror.metadata_of', true) IS DISTINCT FROM mark THEN
		-- asked anew once in a run
		PERFORM count(*) FROM onec.entity_sets(plan.server);
		PERFORM set_config('onec_mirror.metadata_of', mark, false);
	END IF;
	PERFORM onec_internal.hold_own_tables(target);
	properties := onec_internal.properties_as_json(plan.server, t.entity_set, m.with_binary);
	FOR s IN SELECT target AS fields_of, properties AS told
			 UNION ALL SELECT concat_ws('.', x.target, x.field),
							  onec_internal.properties_as_json(plan.server, x.entity_set, m.with_binary)
			 FROM onec_internal.mirror_section x
			 JOIN onec.field_source f ON f.target = x.target AND f.field = x.field
			 WHERE x.target = follow_metadata.target
			   -- what describes the lines goes with them
			   AND properties @> jsonb_build_array(jsonb_build_object('property', f.candidates[1])) LOOP
		PERFORM onec_internal.check_types(s.fields_of, s.told);
		added := added || onec_internal.widen_mirror(s.fields_of, s.told);
	END LOOP;
	changes := onec_internal.alter_mirror(target,
										  onec_internal.columns_to_make(plan.server, target, t.entity_set));
	IF changes <> '{}' OR added <> '{}' THEN
		RAISE NOTICE USING MESSAGE = format('mirror "%s": %s', target, concat_ws(', ',
			'new columns ' || nullif(array_to_string(added, ', '), ''),
			nullif(array_to_string(changes, ', '), '')));
		-- what runs have read before, they have read without them
		DELETE FROM onec.sync_state x WHERE x.server = plan.server AND x.target = follow_metadata.target;
		UPDATE onec.sync_step x SET windows = NULL
		WHERE x.server = plan.server AND x.target = follow_metadata.target AND x.run_id < run
		  AND x.windows IS NOT NULL;
	END IF;
	RETURN changes <> '{}' OR added <> '{}';
END $$;
COMMENT ON FUNCTION onec_internal.follow_metadata(onec_internal.sync_plan, bigint, text) IS
	'Сверить столбцы зеркала со свойствами набора (служебная)';
