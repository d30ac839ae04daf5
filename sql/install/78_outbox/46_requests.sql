-- One request of a delivery, and what its answer means for the row of the outbox.

CREATE FUNCTION onec_internal.write_once(
	server name, method text, entity_set text, key uuid, action text, body json, if_match text,
	load_mode boolean DEFAULT false,
	OUT outcome text, OUT http_status int, OUT code int, OUT message text, OUT answer text,
		OUT retry_after int,
	OUT ms double precision)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_write_once';
COMMENT ON FUNCTION onec_internal.write_once(name, text, text, uuid, text, json, text, boolean) IS
	'Один запрос к 1С, который меняет или читает один объект, и его исход: stored, missing, exists, '
	'changed, refused, rights, login, passing, unknown (служебная)';

CREATE FUNCTION onec_internal.ask_1c(work onec.outbox, method text, action text DEFAULT NULL,
									 body json DEFAULT NULL, if_match text DEFAULT NULL,
									 key uuid DEFAULT NULL)
	RETURNS onec_internal.write_result
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ROW(w.outcome, w.http_status, w.code, w.message, w.retry_after, w.answer::jsonb, NULL, NULL,
			   NULL, NULL)::onec_internal.write_result
	FROM onec_internal.write_once(($1).server, $2, ($1).entity_set,
								  CASE WHEN $2 <> 'POST' OR $3 IS NOT NULL
									   THEN coalesce($6, onec_internal.key_in_1c(($1).server, ($1).key)) END,
								  $3, $4, $5, ($1).load_mode) w
$$;
COMMENT ON FUNCTION onec_internal.ask_1c(onec.outbox, text, text, json, text, uuid) IS
	'Запрос к 1С о строке очереди (служебная)';

-- The verdict on the row, of the outcome of its last request; "sent" is what 1C was to store.
CREATE FUNCTION onec_internal.write_verdict(work onec.outbox, result onec_internal.write_result,
											sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' THEN
		result.diff := onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored);
	END IF;
	result.message := coalesce(result.message, CASE result.verdict WHEN 'missing' THEN 'no such object' END);
	result.verdict := CASE result.verdict WHEN 'stored' THEN 'done' WHEN 'missing' THEN 'failed'
		WHEN 'refused' THEN 'failed' WHEN 'exists' THEN 'failed' WHEN 'changed' THEN 'conflict'
		WHEN 'rights' THEN 'blocked' ELSE result.verdict END;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.write_verdict(onec.outbox, onec_internal.write_result, jsonb) IS
	'Чем кончилась отправка строки по исходу последнего запроса (служебная)';

CREATE FUNCTION onec_internal.told_verdict(result onec_internal.write_result, verdict text,
										   message text) RETURNS onec_internal.write_result
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	result.verdict := verdict;
	result.message := message;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.told_verdict(onec_internal.write_result, text, text) IS
	'Исход с пояснением (служебная)';

-- Something was stored and told by no body: the object is read.  That it was stored is known, but not what.
CREATE FUNCTION onec_internal.with_stored(work onec.outbox,
										  result onec_internal.write_result)
											RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' AND result.stored IS NULL THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict <> 'stored' THEN
			RETURN onec_internal.told_verdict(result, 'unknown',
				'answered well, but the object cannot be read');
		END IF;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.with_stored(onec.outbox, onec_internal.write_result) IS
	'Исход вместе с тем, что записано (служебная)';
