-- A creation, and how what an earlier attempt may have created is found: by its key, by its mark
-- (25_marker.sql), or by what was sent.

-- The object that an earlier attempt may have created: by its key, unless the base is known to take none,
-- and by its mark.  What cannot be read now is to be read later.
CREATE FUNCTION onec_internal.find_created(work onec.outbox, honoured boolean)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	found_keys uuid[];
	said text;
	detail text;
	place text;
BEGIN
	result.verdict := 'missing';
	IF honoured IS NOT FALSE OR onec_internal.key_in_1c(work.server, work.key) <> work.key THEN
		result := onec_internal.ask_1c(work, 'GET');
	END IF;
	IF result.verdict <> 'missing' OR work.marker IS NULL OR honoured THEN
		RETURN result;
	END IF;
	found_keys := ARRAY(SELECT m.key FROM onec_internal.marked_objects(work.server, work.entity_set,
		work.marker, work.key::text) m);
	RETURN CASE cardinality(found_keys) WHEN 0 THEN result
		WHEN 1 THEN onec_internal.ask_1c(work, 'GET', key => found_keys[1])
		ELSE onec_internal.told_verdict(result, 'conflict', 'several objects carry its mark') END;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'passing',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;
COMMENT ON FUNCTION onec_internal.find_created(onec.outbox, boolean) IS
	'Объект, который могла создать прежняя попытка (служебная)';

-- An object that an earlier attempt may have created under another key than was sent, though the base has
-- taken keys until now, and which carries no mark: nobody here has created it, and it has all that was sent.
-- Where that is little, another's may have it, too: then a person has to see.
CREATE FUNCTION onec_internal.find_twin(work onec.outbox, sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	twin onec_internal.write_result;
	sought record;
	keys uuid[];
	said text;
	detail text;
	place text;
BEGIN
	result.verdict := 'missing';
	SELECT * INTO sought FROM onec_internal.telling_values(work.server, work.entity_set,
		onec_internal.with_remote_keys_of(work, sent));
	IF sought.properties IS NULL THEN
		RETURN result;
	END IF;
	-- the moment that a document was not given is when it was made
	keys := onec_internal.nobodys_objects(work.server, ARRAY(SELECT onec_internal.equal_objects(work.server,
		work.entity_set, sought.properties, sought.types, sought.given,
		CASE WHEN work.entity_set LIKE 'Document\_%' AND sent ->> 'Date' IS NULL THEN to_char(
			work.requested_at AT TIME ZONE 'UTC' - interval '2 days', 'YYYY-MM-DD"T"HH24:MI:SS') END)));
	IF cardinality(keys) > 20 THEN
		RETURN onec_internal.told_verdict(result, 'conflict', 'several objects may be what was created');
	END IF;
	FOR n IN 1 .. cardinality(keys) LOOP
		twin := onec_internal.ask_1c(work, 'GET', key => keys[n]);
		CONTINUE WHEN twin.verdict = 'missing' OR twin.verdict = 'stored'
			AND onec_internal.stored_diff(work.server, work.entity_set, sent, twin.stored) IS NOT NULL;
		IF twin.verdict <> 'stored' THEN
			RETURN twin;
		ELSIF result.verdict = 'stored' OR onec_internal.values_sent(sent) < 3 THEN
			RETURN onec_internal.told_verdict(twin, 'conflict',
				'an object like it is there under another key: whether it is this one a person has to see');
		END IF;
		result := twin;
	END LOOP;
	RETURN result;
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
	RETURN onec_internal.told_verdict(result, 'passing',
									  onec_internal.message_without_values(SQLSTATE, said, detail, place));
END $$;
COMMENT ON FUNCTION onec_internal.find_twin(onec.outbox, jsonb) IS
	'Объект, который прежняя попытка могла создать под другой ссылкой (служебная)';

-- Why nobody can tell whether a creation that may have reached 1C was stored, though nothing was found; NULL:
-- it was not.  What nothing will ever tell is "blocked", the rest "unknown": better late than twice.
CREATE FUNCTION onec_internal.doubt_of_absence(work onec.outbox, honoured boolean, OUT verdict text,
											   OUT why text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN d.why IS NOT NULL THEN CASE WHEN d.is_final THEN 'blocked' ELSE 'unknown' END END, d.why
	FROM (SELECT coalesce(NOT $2 AND (($1).marker IS NULL OR NOT k.kept), false) AS is_final, CASE
			WHEN $2 THEN NULL
			WHEN NOT $2 AND (($1).marker IS NULL OR NOT k.kept)
				THEN 'the base gives new objects keys of its own, and this one carried no mark: whether it '
					 'was stored a person has to see'
			WHEN ($1).marker IS NULL OR k.kept IS FALSE
				THEN 'nothing of this key is there, but whether the base takes keys that it is sent is not '
					 'known yet'
			WHEN k.kept IS NULL
				THEN 'nothing of this key or mark is there, but whether the base keeps either is not known '
					 'yet' END AS why
		  FROM (SELECT onec_internal.is_marker_kept(($1).server, ($1).entity_set, ($1).marker)) k (kept)) d
$$;
COMMENT ON FUNCTION onec_internal.doubt_of_absence(onec.outbox, boolean) IS
	'Почему ненайденное всё же может быть записано (служебная)';

-- With the key that 1C gave in place of the one sent, and whether the mark was kept.
CREATE FUNCTION onec_internal.with_own_key(work onec.outbox, result onec_internal.write_result)
	RETURNS onec_internal.write_result
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF result.verdict = 'stored' THEN
		result.remote_key := nullif((result.stored ->> 'Ref_Key')::uuid, work.key);
		result.marked := CASE WHEN work.marker IS NOT NULL
			THEN position(work.key::text IN coalesce(result.stored ->> work.marker, '')) > 0 END;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec_internal.with_own_key(onec.outbox, onec_internal.write_result) IS
	'Исход с ключом, который дала 1С (служебная)';

-- The one request that creates.
CREATE FUNCTION onec_internal.ask_for_new(work onec.outbox, sent jsonb) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result := onec_internal.ask_1c(work, 'POST', NULL,
		onec_internal.wire_body(work.server, work.entity_set, sent, work.key));
BEGIN
	RETURN onec_internal.with_own_key(work, onec_internal.with_stored(work, result));
END $$;
COMMENT ON FUNCTION onec_internal.ask_for_new(onec.outbox, jsonb) IS
	'Запрос, который создаёт объект (служебная)';

-- A creation that may have reached 1C is looked for first, and sent again only if it is known not to be
-- there.
CREATE FUNCTION onec_internal.carry_create(work onec.outbox) RETURNS onec_internal.write_result
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	result onec_internal.write_result;
	doubt record;
	honoured boolean := onec_internal.client_keys(work.server);
	sent jsonb := onec_internal.marked_body(work.body, work.marker, work.key);
BEGIN
	IF work.attempts > 1 OR onec_internal.key_in_1c(work.server, work.key) <> work.key THEN
		result := onec_internal.with_own_key(work, onec_internal.find_created(work, honoured));
		SELECT * INTO doubt FROM onec_internal.doubt_of_absence(work, honoured);
		IF result.verdict = 'stored' AND NOT work.maybe_sent AND onec_internal.stored_diff(work.server,
			work.entity_set, sent, result.stored) IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, 'conflict', 'another object has this key');
		ELSIF result.verdict <> 'missing' THEN
			RETURN onec_internal.write_verdict(work, result, sent);
		ELSIF work.maybe_sent AND doubt.verdict IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, doubt.verdict, doubt.why);
		ELSIF work.maybe_sent AND honoured THEN
			result := onec_internal.with_own_key(work, onec_internal.find_twin(work, sent));
			IF result.verdict <> 'missing' THEN
				RETURN onec_internal.write_verdict(work, result, sent);
			END IF;
		END IF;
	END IF;
	IF honoured IS FALSE AND work.marker IS NULL THEN
		RETURN onec_internal.told_verdict(result, 'blocked', 'the base gives new objects keys of its own, '
			'and no property of this one can carry a mark (setting outbox.marker)');
	END IF;
	result := onec_internal.ask_for_new(work, sent);
	IF result.verdict = 'exists' THEN
		result := onec_internal.ask_1c(work, 'GET');
		IF result.verdict = 'stored' AND work.attempts = 1
			AND onec_internal.stored_diff(work.server, work.entity_set, sent, result.stored) IS NOT NULL THEN
			RETURN onec_internal.told_verdict(result, 'conflict', 'another object has this key');
		ELSIF result.verdict = 'missing' THEN
			RETURN onec_internal.told_verdict(result, 'unknown',
				'the key is taken, but nothing can be read by it');
		END IF;
	END IF;
	RETURN onec_internal.write_verdict(work, result, sent);
END $$;
COMMENT ON FUNCTION onec_internal.carry_create(onec.outbox) IS 'Создать объект в 1С (служебная)';
