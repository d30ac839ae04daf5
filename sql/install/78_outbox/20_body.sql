-- Bodies: is what a site wants to write what the base has; what goes to 1C; what 1C made of it.
--
-- 1C ignores a property that it does not know, cuts a text that is too long and drops a composite value
-- without its type, and answers 200.  So all of that is refused before.  No message tells a value.

-- What is wrong with a value; NULL: nothing.  "kind" is the type beside a composite.
CREATE FUNCTION onec_internal.value_fault(edm_type text, value jsonb, kind text) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_value_fault';
COMMENT ON FUNCTION onec_internal.value_fault(text, jsonb, text) IS
	'Что не так со значением; NULL — всё так (служебная)';

-- The first fault of a body, by part, line and name; NULL: there is none.  And the references in it.
CREATE FUNCTION onec_internal.body_fault(server name, entity_set text, body jsonb, OUT part text,
										 OUT line int, OUT name text, OUT fault text, OUT named uuid[])
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'onec_body_fault';
COMMENT ON FUNCTION onec_internal.body_fault(name, text, jsonb) IS
	'Что в теле записи не так: табличная часть, строка, поле, ошибка; и ссылки, которые в нём есть '
	'(служебная)';

-- A value as 1C takes it: nothing is the empty value of the type, a moment has whole seconds.
CREATE FUNCTION onec_internal.wire_value(edm_type text, value jsonb) RETURNS json
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN jsonb_typeof($2) = 'null' THEN CASE
			WHEN $1 = 'Guid' THEN '"00000000-0000-0000-0000-000000000000"'::json
			WHEN $1 = 'DateTime' THEN '"0001-01-01T00:00:00"' WHEN $1 = 'Boolean' THEN 'false'
			WHEN $1 IN ('Double', 'Int16', 'Int32', 'Int64') THEN '0' ELSE '""' END
		WHEN $1 = 'DateTime' THEN to_json(rpad(left($2 #>> '{}', 19), 19, 'T00:00:00'))
		ELSE $2::json END
$$;
COMMENT ON FUNCTION onec_internal.wire_value(text, jsonb) IS 'Значение, как его берёт 1С (служебная)';

-- The members of an object in the order of its properties, as one text of JSON.
CREATE FUNCTION onec_internal.wire_rows(server name, entity_set text, part text, given jsonb) RETURNS json
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_agg(r.wire ORDER BY r.line), '[]')
	FROM (SELECT g.line, json_object_agg(p.property, CASE p.property WHEN 'LineNumber' THEN to_json(g.line)
				ELSE onec_internal.wire_value(p.edm_type, g.of -> p.property) END ORDER BY p.ordinal) AS wire
		  FROM jsonb_array_elements($4) WITH ORDINALITY g (of, line)
		  JOIN onec_internal.outbox_property p ON p.server = $1 AND p.entity_set = $2 AND p.part = $3
			  AND (g.of ? p.property OR p.property = 'LineNumber') AND p.property <> 'Ref_Key'
		  GROUP BY g.line) r
$$;
COMMENT ON FUNCTION onec_internal.wire_rows(name, text, text, jsonb) IS
	'Строки табличной части с номерами, как их берёт 1С (служебная)';

-- References that 1C has replaced by its own.
CREATE FUNCTION onec_internal.with_remote_keys(server name, body jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	told text := body::text;
	k record;
BEGIN
	IF EXISTS (SELECT FROM onec_internal.outbox_remote r WHERE r.server = with_remote_keys.server) THEN
		FOR k IN SELECT r.key, r.remote_key FROM onec_internal.outbox_remote r
			WHERE r.server = with_remote_keys.server AND r.key IN (
				SELECT m[1]::uuid
				FROM regexp_matches(told, '"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"',
					'g') m) LOOP
			told := regexp_replace(told, format('"%s"', k.key), format('"%s"', k.remote_key), 'gi');
		END LOOP;
	END IF;
	RETURN told::jsonb;
END $$;
COMMENT ON FUNCTION onec_internal.with_remote_keys(name, jsonb) IS
	'Тело записи со ссылками, которые дала 1С (служебная)';

-- Each tabular part is told its type before: an old platform drops the rows of one without.
CREATE FUNCTION onec_internal.wire_body(server name, entity_set text, body jsonb, key uuid) RETURNS json
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(json_object_agg(w.name, w.value ORDER BY w.ordinal, w.place), '{}')
	FROM (SELECT 0 AS ordinal, 0 AS place, 'Ref_Key' AS name, to_json($4) AS value WHERE $4 IS NOT NULL
		  UNION ALL
		  SELECT p.ordinal, t.place, CASE t.place WHEN 0 THEN p.property || '@odata.type' ELSE p.property END,
				 CASE WHEN t.place = 0 THEN to_json(p.type_name)
					  WHEN p.edm_type = 'Collection'
						  THEN onec_internal.wire_rows($1, $2, p.property, e.value)
					  ELSE onec_internal.wire_value(p.edm_type, e.value) END
		  FROM jsonb_each(onec_internal.with_remote_keys($1, $3)) e
		  JOIN onec_internal.outbox_property p
			  ON p.server = $1 AND p.entity_set = $2 AND p.part = '' AND p.property = e.key
		  JOIN (VALUES (0), (1)) t (place) ON t.place = 1 OR p.edm_type = 'Collection') w
$$;
COMMENT ON FUNCTION onec_internal.wire_body(name, text, jsonb, uuid) IS 'Тело запроса к 1С (служебная)';

-- ---- what 1C made of it ----

-- A value so that what 1C answers compares with what was sent: one spelling, NULL for the empty one.
CREATE FUNCTION onec_internal.plain_value(edm_type text, value jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(CASE
		WHEN $1 = 'DateTime' THEN nullif(rpad(left(v.text, 19), 19, 'T00:00:00'), '0001-01-01T00:00:00')
		WHEN $1 IN ('Double', 'Int16', 'Int32', 'Int64') AND v.text ~ '^-?\d+(\.\d+)?([eE][-+]?\d+)?$'
			THEN nullif(trim_scale(v.text::numeric)::text, '0')
		WHEN $1 = 'Boolean' THEN nullif(lower(v.text), 'false')
		WHEN $1 IN ('Guid', 'Composite') THEN nullif(lower(v.text), '00000000-0000-0000-0000-000000000000')
		ELSE nullif(v.text, 'StandardODATA.Undefined') END, '')
	FROM (SELECT $2 #>> '{}') v (text)
$$;
COMMENT ON FUNCTION onec_internal.plain_value(text, jsonb) IS 'Значение в одном написании (служебная)';

-- Whether the rows that 1C has differ from those sent, in what was sent of them.
CREATE FUNCTION onec_internal.rows_differ(server name, entity_set text, part text, sent jsonb,
										  stored jsonb) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_array_length($4) <> jsonb_array_length($5) OR EXISTS (
		SELECT FROM jsonb_array_elements($4) WITH ORDINALITY s (of, line)
		JOIN (SELECT r.of, row_number() OVER (ORDER BY (r.of ->> 'LineNumber')::numeric, r.line) AS line
			  FROM jsonb_array_elements($5) WITH ORDINALITY r (of, line)) t ON t.line = s.line
		CROSS JOIN LATERAL jsonb_each(s.of) f
		JOIN onec_internal.outbox_property p
			ON p.server = $1 AND p.entity_set = $2 AND p.part = $3 AND p.property = f.key
		WHERE p.property <> 'Ref_Key' AND t.of ? f.key
		  AND onec_internal.plain_value(p.edm_type, f.value)
			  IS DISTINCT FROM onec_internal.plain_value(p.edm_type, t.of -> f.key))
$$;
COMMENT ON FUNCTION onec_internal.rows_differ(name, text, text, jsonb, jsonb) IS
	'Отличаются ли записанные строки табличной части от отправленных (служебная)';

-- What 1C has otherwise than it was sent: property and what 1C has; NULL: nothing.  What an answer leaves out
-- (files) is not compared.
CREATE FUNCTION onec_internal.stored_diff(server name, entity_set text, sent jsonb, stored jsonb)
	RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_object_agg(e.key, $4 -> e.key)
	FROM jsonb_each(onec_internal.with_remote_keys($1, $3)) e
	JOIN onec_internal.outbox_property p
		ON p.server = $1 AND p.entity_set = $2 AND p.part = '' AND p.property = e.key
	WHERE $4 ? e.key
	  AND CASE WHEN p.edm_type = 'Collection'
			   THEN jsonb_typeof($4 -> e.key) <> 'array'
				   OR onec_internal.rows_differ($1, $2, e.key, e.value, $4 -> e.key)
			   ELSE onec_internal.plain_value(p.edm_type, e.value)
				   IS DISTINCT FROM onec_internal.plain_value(p.edm_type, $4 -> e.key) END
$$;
COMMENT ON FUNCTION onec_internal.stored_diff(name, text, jsonb, jsonb) IS
	'Что 1С записала не так, как отправлено (служебная)';

-- A tabular part with the rows of another laid over it: the first row that agrees with a new one in the
-- fields "by" is that one, and keeps what the new one does not say; others are added; those that others wrote
-- stay, and so do further rows that agree, for they are of something else (a second telephone of one kind).
CREATE FUNCTION onec_internal.merged_rows(stored jsonb, given jsonb, by text[]) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH one AS (
		SELECT s.line, s.of - '{LineNumber,Ref_Key}'::text[] AS of, k.key,
			   row_number() OVER (PARTITION BY k.key ORDER BY s.line) AS nth
		FROM jsonb_array_elements($1) WITH ORDINALITY s (of, line)
		CROSS JOIN LATERAL (SELECT ARRAY(SELECT coalesce(lower(s.of ->> b), '')
										 FROM unnest($3) WITH ORDINALITY w (b, n) ORDER BY n)) k (key)),
	other AS (
		SELECT g.line, g.of - '{LineNumber,Ref_Key}'::text[] AS of,
			   ARRAY(SELECT coalesce(lower(g.of ->> b), '') FROM unnest($3) WITH ORDINALITY w (b, n)
				ORDER BY n) AS key
		FROM jsonb_array_elements($2) WITH ORDINALITY g (of, line))
	SELECT coalesce(jsonb_agg(m.of ORDER BY m.place, m.line), '[]')
	FROM (SELECT 1 AS place, o.line, o.of || coalesce((SELECT g.of FROM other g
													   WHERE o.nth = 1 AND g.key = o.key
													   ORDER BY g.line DESC LIMIT 1), '{}') AS of FROM one o
		  UNION ALL
		  SELECT 2, g.line, g.of FROM other g
		  WHERE NOT EXISTS (SELECT FROM one o WHERE o.key = g.key)
			AND NOT EXISTS (SELECT FROM other l WHERE l.key = g.key AND l.line > g.line)) m
$$;
COMMENT ON FUNCTION onec_internal.merged_rows(jsonb, jsonb, text[]) IS
	'Табличная часть, дополненная строками (служебная)';
