-- What is done to an object that is there: changed, posted, deleted.  It is looked at before, and nothing is
-- written over what somebody else has made of it.

-- What is to be stored: the body, and with merge_rows the whole parts as they shall be.
CREATE FUNCTION onec_internal.body_to_store(work onec.outbox, stored jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN ($1).operation <> 'merge_rows' THEN ($1).body
		ELSE (SELECT jsonb_object_agg(e.key, onec_internal.merged_rows(coalesce($2 -> e.key, '[]'), e.value,
				($1).merge_by, ($1).merge_old -> e.key))
			  FROM jsonb_each(onec_internal.with_remote_keys(($1).server, ($1).entity_set, ($1).body)) e) END
$$;
COMMENT ON FUNCTION onec_internal.body_to_store(onec.outbox, jsonb) IS
	'Что должно оказаться в 1С (служебная)';

-- A change of an object, first half: the object is read.  Its version is compared, since 1C may ignore
-- If-Match, and what it has already is not written, so that a change whose outcome was unknown is not made
-- twice; nor over what somebody else has made of the object since.  With a verdict all is said; without one
-- it is to be sent, and "stored" is what it is a change of.
CREATE FUNCTION onec_internal.look_at_changed(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'GET');
	sent jsonb := onec_internal.body_to_store(work, result.stored);
	version text := result.stored ->> 'DataVersion';
BEGIN
	IF result.verdict <> 'stored' THEN
		RETURN onec_internal.write_verdict(work, result, sent);
	ELSIF onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored) IS NULL
		AND (work.maybe_sent OR version IS NOT DISTINCT FROM coalesce(work.data_version, version)) THEN
		RETURN onec_internal.write_verdict(work, result, sent);
	ELSIF version <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since it was read');
	ELSIF work.maybe_sent AND version <> work.seen ->> 'DataVersion' THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since this was sent, with an unknown outcome');
	END IF;
	result.verdict := NULL;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.look_at_changed(onec.outbox) IS
	'Прочитать объект перед изменением; без исхода — изменение надо отправить (служебная)';

-- The other half: it is sent, by what the row says was seen.
CREATE FUNCTION onec_internal.carry_patch(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sent jsonb := onec_internal.body_to_store(work, work.seen);
	result onec_internal.write_result := onec_internal.ask_1c(work, 'PATCH', NULL, onec_internal.wire_body(
		work.server, work.entity_set, sent, NULL), work.seen ->> 'DataVersion');
BEGIN
	IF result.verdict = 'changed' AND work.data_version IS NULL THEN
		RETURN onec_internal.told_verdict(result, 'passing', 'the object was changed meanwhile');
	END IF;
	RETURN onec_internal.write_verdict(work, onec_internal.with_stored(work, result), sent);
END $$;
COMMENT ON FUNCTION onec_internal.carry_patch(onec.outbox) IS 'Изменить объект в 1С (служебная)';

-- The version that the change before this one has left, if it was delivered while this one stood in line;
-- NULL: nobody knows it.
CREATE FUNCTION onec_internal.version_left(work onec.outbox) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.data_version FROM onec.outbox_history h
	WHERE h.server = ($1).server AND h.key = ($1).key AND h.status = 'done' AND h.done_at >= ($1).requested_at
	ORDER BY h.done_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.version_left(onec.outbox) IS
	'Версия, которую оставило предыдущее изменение объекта (служебная)';

-- What "Posted" is to be, as JSON tells it.
CREATE FUNCTION onec_internal.posted_wanted(operation text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN ($1 = 'post')::text;
COMMENT ON FUNCTION onec_internal.posted_wanted(text) IS 'Каким должен стать Posted (служебная)';

-- A posting, first half.  What is known before it is sent is the version: the change before it has left that,
-- or the document is read.  After an unknown outcome it is read, too: the version that was is there if 1C has
-- done nothing; with another either this posting has come to be, as "Posted" says, or somebody has corrected
-- the document since, and nothing is sent over that.  Verdict and "stored" as of look_at_changed().
CREATE FUNCTION onec_internal.look_at_posted(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	known text := CASE WHEN work.attempts = 1 AND work.data_version IS NULL
					   THEN onec_internal.version_left(work) END;
	version text;
BEGIN
	IF known IS NOT NULL THEN
		result.stored := jsonb_build_object('DataVersion', known);
		RETURN result;
	END IF;
	result := onec_internal.ask_1c(work, 'GET');
	version := result.stored ->> 'DataVersion';
	IF result.verdict <> 'stored' THEN
		RETURN onec_internal.write_verdict(work, result, NULL);
	ELSIF work.maybe_sent AND (version = work.seen ->> 'DataVersion') IS NOT TRUE THEN
		RETURN CASE WHEN result.stored ->> 'Posted' = onec_internal.posted_wanted(work.operation)
			THEN onec_internal.write_verdict(work, result, NULL)
			ELSE onec_internal.told_verdict(result, 'conflict',
				'the document has been changed since this was sent, with an unknown outcome') END;
	ELSIF version <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the document has been changed since it was read');
	END IF;
	result.verdict := NULL;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.look_at_posted(onec.outbox) IS
	'Прочитать документ перед проведением; без исхода — проведение надо отправить (служебная)';

-- The other half: it is sent, and whether it is posted then is read.
CREATE FUNCTION onec_internal.carry_post(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'POST', initcap(work.operation));
BEGIN
	IF result.verdict = 'stored' THEN
		result.stored := NULL;
		result := onec_internal.with_stored(work, result);
		IF result.verdict = 'stored'
			AND result.stored ->> 'Posted' IS DISTINCT FROM onec_internal.posted_wanted(work.operation) THEN
			RETURN onec_internal.told_verdict(result, 'failed', 'answered well, but the document is not '
				|| CASE work.operation WHEN 'post' THEN 'posted' ELSE 'unposted' END);
		END IF;
	END IF;
	RETURN onec_internal.write_verdict(work, result, NULL);
END $$;
COMMENT ON FUNCTION onec_internal.carry_post(onec.outbox) IS
	'Провести документ в 1С или отменить проведение (служебная)';

-- Gone for good.  What is not there was deleted by an earlier attempt, or there was no such object.
CREATE FUNCTION onec_internal.carry_delete(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'GET');
BEGIN
	IF result.verdict = 'stored' AND result.stored ->> 'DataVersion' <> work.data_version THEN
		RETURN onec_internal.told_verdict(result, 'conflict',
			'the object has been changed since it was read');
	ELSIF result.verdict = 'stored' THEN
		result := onec_internal.ask_1c(work, 'DELETE', NULL, NULL, result.stored ->> 'DataVersion');
	ELSIF result.verdict = 'missing' AND work.maybe_sent THEN
		result.verdict := 'stored';
	END IF;
	RETURN onec_internal.write_verdict(work, result, NULL);
END $$;
COMMENT ON FUNCTION onec_internal.carry_delete(onec.outbox) IS 'Удалить объект из 1С (служебная)';

-- What of an object a row keeps: its version, and the parts that rows are laid over.
CREATE FUNCTION onec_internal.seen_of(work onec.outbox, stored jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each($2) e
	WHERE e.key = 'DataVersion' OR ($1).operation = 'merge_rows' AND ($1).body ? e.key
$$;
COMMENT ON FUNCTION onec_internal.seen_of(onec.outbox, jsonb) IS
	'Что строка очереди помнит о прочитанном объекте (служебная)';

CREATE FUNCTION onec_internal.is_looked_at_first(work onec.outbox) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN ($1).operation IN ('patch', 'merge_rows', 'mark', 'post', 'unpost');
COMMENT ON FUNCTION onec_internal.is_looked_at_first(onec.outbox) IS
	'Смотрят ли на объект перед отправкой (служебная)';

CREATE FUNCTION onec_internal.look_at(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN ($1).operation IN ('post', 'unpost') THEN onec_internal.look_at_posted($1)
				ELSE onec_internal.look_at_changed($1) END
$$;
COMMENT ON FUNCTION onec_internal.look_at(onec.outbox) IS
	'Посмотреть на объект перед отправкой (служебная)';
