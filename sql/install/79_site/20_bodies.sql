-- From what a site says to the body of an object: fields in English to properties of this base, with what the
-- shop says, types beside composite values, and a refusal by name of what is missing or not known.

-- Raise unless every row of what a site says is an object of fields that a site may say.
CREATE FUNCTION onec_internal.check_said(object text, said jsonb, besides text[] DEFAULT '{}') RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known text[] := besides || ARRAY(SELECT f.field FROM onec.write_field f
									 WHERE f.object = check_said.object AND f.said_by <> 'nobody'
									 ORDER BY f.ordinal);
	wrong text;
BEGIN
	IF jsonb_typeof(said) IS DISTINCT FROM 'array'
		OR EXISTS (SELECT FROM jsonb_array_elements(said) r WHERE jsonb_typeof(r) <> 'object') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('%s must be an object of JSON: fields and their values', object),
			HINT = format('Fields: %s.', array_to_string(known, ', '));
	END IF;
	SELECT k INTO wrong FROM jsonb_array_elements(said) r, jsonb_object_keys(r) k
		WHERE k <> ALL (known) LIMIT 1;
	IF wrong IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('%s has no field "%s" that a site says', object, wrong),
			HINT = concat_ws(' ', 'Perhaps you meant: ' || onec_internal.nearest_words(wrong, known) || '.',
							 format('Fields: %s.', array_to_string(known, ', ')));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_said(text, jsonb, text[]) IS
	'Отказать, если сайт назвал поля, которых у объекта нет (служебная)';

-- Raise for the first field that is required and has no value, or that has one and is not published.
CREATE FUNCTION onec_internal.check_complete(server name, object text, rows jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	many boolean := object LIKE '%.%';
	entity_set text := onec_internal.write_set(server, object);
	f record;
BEGIN
	SELECT w.field, w.property, w.said_by, r.n, w.is_required AS missing,
		   (SELECT array_to_string(k.candidates, ', ') FROM onec.write_field k
			WHERE k.object = check_complete.object AND k.field = w.field) AS candidates
	INTO f
	FROM jsonb_array_elements(rows) WITH ORDINALITY r (of, n)
	CROSS JOIN onec_internal.write_fields(server, object) w
	CROSS JOIN LATERAL (SELECT coalesce(nullif(r.of -> w.field, 'null'), w.value) AS value) v
	WHERE w.is_required AND (v.value IS NULL OR v.value = '""')
	   OR w.property IS NULL AND w.said_by = 'site' AND nullif(r.of -> w.field, 'null') IS NOT NULL
	ORDER BY r.n, w.ordinal LIMIT 1;
	IF f.missing THEN
		PERFORM onec_internal.refuse_missing(server, object, f.field, CASE WHEN many THEN f.n END);
	ELSIF f.field IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('"%s" of server "%s" has no property for "%s"', entity_set, server, f.field),
			DETAIL = format('Looked for: %s.', f.candidates),
			HINT = 'A property of another name is a row of onec.write_field.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_complete(name, text, jsonb) IS
	'Отказать, если обязательному полю нет значения или сказанное некуда писать (служебная)';

-- A text as a number, or as the base's own moment, of ISO alone: what each session reads otherwise ("05.06")
-- is neither.  NULL: it cannot be read, which is not told here, for PostgreSQL's message would tell the
-- value.
CREATE FUNCTION onec_internal.read_value(server name, edm_type text, said text) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF edm_type = 'DateTime' THEN
		RETURN to_jsonb(date_trunc('second', said::timestamptz
								   AT TIME ZONE onec_internal.server_zone(server)));
	END IF;
	RETURN to_jsonb(said::numeric);
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.read_value(name, text, text) IS
	'Текст числом или временем базы; NULL — это не они (служебная)';

-- A value as the outbox takes it.  A moment with a zone becomes the base's own; a date, its midnight.  What
-- cannot be read stays as it is, and is refused there by the name of its property.
CREATE FUNCTION onec_internal.said_value(server name, edm_type text, value jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF jsonb_typeof(value) = 'string' AND (edm_type IN ('Double', 'Int16', 'Int32', 'Int64')
		OR edm_type = 'DateTime' AND value #>> '{}'
			~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d(:?\d\d)?)$') THEN
		RETURN coalesce(onec_internal.read_value(server, edm_type, value #>> '{}'), value);
	END IF;
	RETURN value;
END $$;
COMMENT ON FUNCTION onec_internal.said_value(name, text, jsonb) IS
	'Значение, как его берёт очередь: время с поясом становится временем базы (служебная)';

-- The bodies of rows, a list of objects in the order given, complete; fields that the base has no property
-- for are left out where nobody said them.  In part: what the rows say, and nothing else.
CREATE FUNCTION onec_internal.write_bodies(server name, object text, rows jsonb,
										   in_part boolean DEFAULT false) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT in_part THEN
		PERFORM onec_internal.check_complete(server, object, rows);
	END IF;
	RETURN (
		WITH field AS MATERIALIZED (
			SELECT w.* FROM onec_internal.write_fields(write_bodies.server, write_bodies.object) w
			WHERE w.property IS NOT NULL),
		member AS (
			SELECT r.n, f.property, f.is_mixed, f.type_name,
				   onec_internal.said_value(write_bodies.server, f.edm_type,
											coalesce(nullif(r.of -> f.field, 'null'),
													 CASE WHEN NOT in_part THEN f.value END)) AS value
			FROM jsonb_array_elements(rows) WITH ORDINALITY r (of, n) CROSS JOIN field f)
		SELECT coalesce(jsonb_agg(b.body ORDER BY b.n), '[]')
		FROM (SELECT r.n, coalesce(jsonb_object_agg(x.name, x.value) FILTER (WHERE x.value IS NOT NULL), '{}')
						 AS body
			  FROM generate_series(1, jsonb_array_length(rows)) r (n)
			  LEFT JOIN LATERAL (
				  SELECT m.property AS name, m.value FROM member m WHERE m.n = r.n
				  UNION ALL
				  SELECT m.property || '_Type', to_jsonb(m.type_name) FROM member m
				  WHERE m.n = r.n AND m.is_mixed AND m.value IS NOT NULL) x ON x.value IS NOT NULL
			  GROUP BY r.n) b);
END $$;
COMMENT ON FUNCTION onec_internal.write_bodies(name, text, jsonb, boolean) IS
	'Тела объектов по полям, которые сказали сайт и магазин (служебная)';

CREATE FUNCTION onec_internal.write_body(server name, object text, said jsonb,
										 in_part boolean DEFAULT false) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN onec_internal.write_bodies($1, $2, jsonb_build_array($3), $4) -> 0;
COMMENT ON FUNCTION onec_internal.write_body(name, text, jsonb, boolean) IS 'Тело одного объекта (служебная)';

-- The body with the rows of a tabular part, if the base has it.
CREATE FUNCTION onec_internal.with_part(server name, object text, body jsonb, rows jsonb) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN $3 || coalesce((
		SELECT jsonb_build_object(p.part, onec_internal.write_bodies($1, $2, $4))
		FROM (SELECT onec_internal.part_of_object($1, $2)) p (part) WHERE p.part IS NOT NULL), '{}');
COMMENT ON FUNCTION onec_internal.with_part(name, text, jsonb, jsonb) IS
	'Тело с табличной частью, если она есть в базе (служебная)';

-- Where every function of a site begins: the server, if it may be written to, and whoever asks may write the
-- set.  Whoever forgets somebody waits for what a site is at, and sees it.
CREATE FUNCTION onec_internal.site_writes(server name, object text) RETURNS name
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
BEGIN
	PERFORM onec_internal.check_allowed(srv, onec_internal.calling_role(),
										onec_internal.write_set(srv, object));
	PERFORM pg_advisory_xact_lock_shared(onec_internal.people_lock_key(srv));
	RETURN srv;
END $$;
COMMENT ON FUNCTION onec_internal.site_writes(name, text) IS
	'Сервер, если вызывающему можно писать этот объект, иначе ошибка (служебная)';

-- The key that a site brings, or a new one.
CREATE FUNCTION onec_internal.key_said(said jsonb) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((said ->> 'key')::uuid, gen_random_uuid());
EXCEPTION WHEN invalid_text_representation THEN
	RAISE invalid_parameter_value USING MESSAGE = '"key" is a UUID that the site has made for the object';
END $$;
COMMENT ON FUNCTION onec_internal.key_said(jsonb) IS
	'Ссылка, которую придумал сайт, или новая (служебная)';
