-- A change that is sent at once, for foreign tables of write_mode 'direct' (src/fdw/direct.c): checked as
-- onec.enqueue checks it, carried as a delivery carries its first attempt, with no row of the outbox.

-- What is on its way already must come first: changes of the object, creations of what the body names.
CREATE FUNCTION onec_internal.check_nothing_waits(server name, key uuid, named uuid[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	waiting bigint := (SELECT min(o.id) FROM onec.outbox o
					   WHERE o.server = check_nothing_waits.server AND o.key = check_nothing_waits.key
						 AND o.status <> 'preview');
BEGIN
	waiting := coalesce(waiting, (SELECT min(n)
								  FROM unnest(onec_internal.creations_of(server, named)) n));
	IF waiting IS NOT NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the object, or one that it names, waits in the outbox: row %s', waiting),
			HINT = format('CALL onec.deliver(%L) first, or write with write_mode ''outbox'', too.', server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_nothing_waits(name, uuid, uuid[]) IS
	'Отказать, если объект или то, на что он ссылается, ещё в очереди (служебная)';

CREATE FUNCTION onec_internal.write_now(server name, entity_set text, operation text, key uuid, body jsonb,
										data_version text, OUT verdict text, OUT message text,
										OUT stored jsonb, OUT differs text)
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan -- see 35_rows.sql
AS $$
DECLARE
	work onec.outbox;
	result onec_internal.write_result;
	named uuid[];
BEGIN
	PERFORM onec_internal.must_write('write_now');
	work.server := onec_internal.written_server(server);
	work.requested_by := onec_internal.calling_role();
	PERFORM onec_internal.check_allowed(work.server, work.requested_by, entity_set);
	named := onec_internal.check_change(work.server, entity_set, operation, key, body, NULL);
	key := onec_internal.site_key(work.server, key);
	PERFORM onec_internal.check_nothing_waits(work.server, key, named);
	IF NOT onec_internal.is_updatable(work.server) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('server "%s" is not updatable now', work.server),
			HINT = format('ALTER SERVER %I OPTIONS (SET updatable ''on'');', work.server);
	END IF;
	work.entity_set := entity_set;
	work.operation := operation;
	work.key := key;
	work.body := CASE operation WHEN 'mark' THEN '{"DeletionMark": true}' ELSE body END;
	work.data_version := data_version;
	work.attempts := 1;
	work.maybe_sent := false;
	work.load_mode := false;
	result := onec_internal.carry_write(work);
	IF result.verdict = 'done' THEN
		IF operation = 'create' THEN
			PERFORM onec_internal.note_client_keys(work, result);
		END IF;
		PERFORM onec_internal.note_written(NULL, work, result);
	END IF;
	verdict := result.verdict;
	message := result.message;
	stored := result.stored;
	differs := (SELECT string_agg(format('"%s"', d), ', ' ORDER BY d) FROM jsonb_object_keys(result.diff) d);
END $$;
COMMENT ON FUNCTION onec_internal.write_now(name, text, text, uuid, jsonb, text) IS
	'Записать изменение в 1С сразу, без очереди: исход, ответ 1С, что записано и какие свойства не так, как '
	'отправлено (служебная)';
