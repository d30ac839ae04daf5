-- What was written is in the store at once: 1C answers the whole object, and it is staged, compared and
-- written as one that was read.
--
-- Not while a run of the sync is at work on the base: its reading may have begun before the object was
-- there, and would take it for gone.  Then the object is read once more, by the delivery after the run.

CREATE TABLE onec_internal.written_unread (
	server name NOT NULL,
	entity_set text NOT NULL,
	key uuid NOT NULL,
	PRIMARY KEY (server, entity_set, key)
);
COMMENT ON TABLE onec_internal.written_unread IS
	'Записанные в 1С объекты, которых ещё нет в местных данных: шла синхронизация (служебное)';
COMMENT ON COLUMN onec_internal.written_unread.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.written_unread.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec_internal.written_unread.key IS 'Ссылка в 1С';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.written_unread', '');

-- The targets that objects of a set are in, themselves or by a tabular part, if they have been read whole.
CREATE FUNCTION onec_internal.targets_of_set(server name, entity_set text)
	RETURNS TABLE (target text, part text, unit name)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.target, p.part, t.unit[1]
	FROM onec_internal.sync_steps($1, NULL) t
	JOIN onec.sync_state s ON s.server = $1 AND s.target = t.target AND s.last_ok IS NOT NULL
	JOIN (SELECT DISTINCT o.part FROM onec_internal.outbox_property o
		  WHERE o.server = $1 AND o.entity_set = $2) p
		ON onec_internal.entity_set_of($1, t.target) = concat_ws('_', $2, nullif(p.part, ''))
	-- what somebody mirrors may have types that an answer is not taken apart into
	WHERE t.source = 'set' AND cardinality(t.unit) = 1 AND NOT onec_internal.is_mirror(t.target)
	  AND (t.switch IS NULL OR onec.get(t.switch, $1)::boolean)
	ORDER BY t.ordinal
$$;
COMMENT ON FUNCTION onec_internal.targets_of_set(name, text) IS
	'Местные таблицы, в которых есть объекты набора (служебная)';

-- Objects of 1C as JSON, staged as rows that were read.  They lie in a table of their own, not in the text
-- of the statement, which may be logged.
CREATE FUNCTION onec_internal.stage_objects(server name, target text, objects jsonb) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made record;
	fields text;
	parts text;
BEGIN
	PERFORM onec_internal.new_server_number(server);
	IF to_regclass('pg_temp.onec_object') IS NULL THEN
		CREATE TEMPORARY TABLE onec_object (value jsonb) ON COMMIT DELETE ROWS;
	END IF;
	DELETE FROM pg_temp.onec_object;
	INSERT INTO pg_temp.onec_object SELECT o.value FROM jsonb_array_elements(objects) o (value);
	SELECT * INTO made FROM onec_internal.stage_columns(server, target);
	SELECT string_agg(CASE
			WHEN f.kind = 'rows' THEN onec_internal.tabular_part(server, f.target, f.field)
			WHEN f.kind = 'ref' AND NOT f.is_key AND onec_internal.is_part_of_key(f.target, f.field)
				THEN format('coalesce(%s, onec_internal.no_reference())', v.value)
			WHEN f.empty IS NOT NULL THEN format('coalesce(%s, %L)', v.value, f.empty)
			ELSE v.value END || format(' AS %I', f.field), ', ' ORDER BY f.ordinal),
		   string_agg(format('coalesce(%s) AS %I', (SELECT string_agg(format('r.value -> %L', n), ', ')
													FROM unnest(c.names) n), f.field), ', ')
			   FILTER (WHERE f.kind = 'rows')
	INTO fields, parts
	FROM onec_internal.staged_fields(server, target) f
	CROSS JOIN LATERAL onec_internal.field_candidates(server, f) c (names)
	CROSS JOIN LATERAL onec_internal.nested_value_expression(c.names, f.kind, NULL) v (value);
	RETURN onec_internal.fill_table('onec_stage', target, format(
		'SELECT %s AS server, %s FROM (SELECT %s FROM pg_temp.onec_object r%s OFFSET 0) r%s',
		onec_internal.server_in(onec_internal.table_of_target(target), server), made.list, fields,
		' CROSS JOIN LATERAL (SELECT ' || parts || ') f', made.joins));
END $$;
COMMENT ON FUNCTION onec_internal.stage_objects(name, text, jsonb) IS
	'Объекты 1С, пришедшие в ответе, во временную таблицу (служебная)';

-- Whole objects of one set into the store; whether a run of the sync let it.
CREATE FUNCTION onec_internal.store_objects(server name, entity_set text, objects jsonb) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	keys text := (SELECT string_agg(quote_literal(o ->> 'Ref_Key'), ', ')
				  FROM jsonb_array_elements(objects) o);
	t record;
BEGIN
	IF NOT pg_try_advisory_xact_lock(onec_internal.run_lock_key(server)) THEN
		RETURN false;
	END IF;
	FOR t IN SELECT * FROM onec_internal.targets_of_set(server, entity_set) LOOP
		CONTINUE WHEN t.part <> ''
			AND NOT EXISTS (SELECT FROM jsonb_array_elements(objects) o WHERE o ? t.part);
		PERFORM onec_internal.drop_window_tables();
		PERFORM onec_internal.stage_objects(server, t.target, CASE t.part WHEN '' THEN objects ELSE (
			SELECT coalesce(jsonb_agg(r || jsonb_build_object('Ref_Key', o -> 'Ref_Key')), '[]')
			FROM jsonb_array_elements(objects) o, jsonb_array_elements(o -> t.part) r) END);
		PERFORM onec_internal.compare_unforgotten(server, t.target, format('%I IN (%s)', t.unit, keys));
		PERFORM onec_internal.write_window(server, t.target);
	END LOOP;
	PERFORM onec_internal.drop_window_tables();
	DELETE FROM onec_internal.written_unread w
	WHERE w.server = store_objects.server AND w.entity_set = store_objects.entity_set
	  AND w.key IN (SELECT (o ->> 'Ref_Key')::uuid FROM jsonb_array_elements(objects) o);
	RETURN true;
END $$;
COMMENT ON FUNCTION onec_internal.store_objects(name, text, jsonb) IS
	'Записать объекты 1С в местные данные, если не идёт синхронизация (служебная)';

-- With the outcome of a delivery: a note that the store lacks the object, and the object beside those that
-- the same delivery has stored before.
CREATE FUNCTION onec_internal.note_written(written jsonb, work onec.outbox,
										   result onec_internal.write_result) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
	IF result.verdict <> 'done' OR result.stored IS NULL
		OR NOT EXISTS (SELECT FROM onec_internal.targets_of_set(work.server, work.entity_set)) THEN
		RETURN written;
	END IF;
	INSERT INTO onec_internal.written_unread (server, entity_set, key)
	VALUES (work.server, work.entity_set, (result.stored ->> 'Ref_Key')::uuid) ON CONFLICT DO NOTHING;
	RETURN coalesce(written, '[]') || jsonb_build_object('set', work.entity_set, 'at',
		extract(epoch FROM clock_timestamp()), 'object', result.stored);
END $$;
COMMENT ON FUNCTION onec_internal.note_written(jsonb, onec.outbox, onec_internal.write_result) IS
	'Отметить доставленный объект, которого ещё нет в местных данных (служебная)';

-- What went wrong is no matter of the delivery, but of whoever looks at it.
CREATE FUNCTION onec_internal.warn_of_storing(server name, code text, message text, detail text,
											  context text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE WARNING USING
		MESSAGE = format('what was delivered to server "%s" is not in the store yet', server),
		DETAIL = onec_internal.message_without_values(code, message, detail, context);
END $$;
COMMENT ON FUNCTION onec_internal.warn_of_storing(name, text, text, text, text) IS
	'Предупредить: доставленное не записано в местные данные (служебная)';

-- What a delivery has noted, into the store: when it has come to twenty objects or three seconds, and at
-- its end, so that a row of a long delivery costs little.  Returns what is left to store; where that cannot
-- be now the note stays.
CREATE FUNCTION onec_internal.store_written(server name, written jsonb, at_end boolean) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	s record;
	said text;
	detail text;
	place text;
BEGIN
	IF written IS NULL OR NOT at_end AND jsonb_array_length(written) < 20
		AND (written -> 0 ->> 'at')::numeric > extract(epoch FROM clock_timestamp()) - 3 THEN
		RETURN written;
	END IF;
	FOR s IN SELECT l.entity_set, jsonb_agg(l.object) AS objects FROM (
			SELECT DISTINCT ON (w ->> 'set', w #> '{object,Ref_Key}') w ->> 'set' AS entity_set,
				   w -> 'object' AS object
			FROM jsonb_array_elements(written) WITH ORDINALITY e (w, n)
			ORDER BY w ->> 'set', w #> '{object,Ref_Key}', n DESC) l
		GROUP BY 1 ORDER BY 1 LOOP
		EXIT WHEN NOT onec_internal.store_objects(server, s.entity_set, s.objects);
	END LOOP;
	RETURN NULL;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	PERFORM onec_internal.warn_of_storing(server, SQLSTATE, said, detail, place);
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.store_written(name, jsonb, boolean) IS
	'Записать доставленное в местные данные (служебная)';
