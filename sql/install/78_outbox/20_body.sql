-- Bodies: is what a site wants to write what the base has; what goes to 1C; what 1C made of it.
--
-- 1C ignores a property that it does not know, cuts a text that is too long and drops a composite value
-- without its type, and answers 200.  So all of that is refused before.  No message tells a value.

-- What is wrong with one value; NULL: nothing.  "kind" is the type beside a composite.  An expression, and no
-- function with settings of its own, so that it becomes part of the query that asks for many values.
CREATE FUNCTION onec_internal.value_fault(edm_type text, length int, value jsonb, kind text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE
		WHEN $1 = 'Collection' THEN CASE
			WHEN jsonb_typeof($3) <> 'array'
				OR jsonb_path_exists($3, 'strict $[*] ? (@.type() != "object")')
			THEN 'is a tabular part: a list of rows is expected' END
		WHEN jsonb_typeof($3) = 'null' THEN NULL
		WHEN $1 = 'Stream' THEN 'holds a file: write it as _Base64Data'
		WHEN $1 = 'Complex' OR jsonb_typeof($3) IN ('array', 'object') THEN 'takes one value'
		WHEN $1 = 'Boolean' THEN CASE WHEN jsonb_typeof($3) <> 'boolean' THEN 'is true or false' END
		WHEN $1 = 'Double' THEN CASE WHEN jsonb_typeof($3) <> 'number' THEN 'is a number' END
		WHEN $1 IN ('Int16', 'Int32', 'Int64') THEN CASE
			WHEN jsonb_typeof($3) <> 'number' THEN 'is a whole number'
			WHEN ($3 #>> '{}')::numeric <> trunc(($3 #>> '{}')::numeric)
				OR abs(($3 #>> '{}')::numeric + 0.5) > 2.0 ^ (substr($1, 4)::int - 1)
			THEN format('is a whole number of %s bits', substr($1, 4)) END
		WHEN $1 = 'DateTime' THEN CASE
			WHEN jsonb_typeof($3) <> 'string' OR ($3 #>> '{}') !~ ('^(?!0000)\d{4}-(0[1-9]|1[0-2])-'
				'(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?)?$')
			THEN 'is a date of the base''s own clock: 2026-11-28T10:00:00, without a zone'
			WHEN substr($3 #>> '{}', 9, 2)::int > extract(day FROM make_date(substr($3 #>> '{}', 1, 4)::int,
				substr($3 #>> '{}', 6, 2)::int, 1) + interval '1 month -1 day')
			THEN 'is no day of that month' END
		WHEN $1 = 'Binary' THEN CASE
			WHEN jsonb_typeof($3) <> 'string' OR ($3 #>> '{}') !~ '^[A-Za-z0-9+/\s]*={0,2}$'
			THEN 'is binary: base64 is expected' END
		WHEN $1 = 'Composite' AND (($3 #>> '{}') = '' OR $4 = 'StandardODATA.Undefined') THEN NULL
		WHEN $1 = 'Composite' AND $4 IS NULL
			THEN 'may be of several types: name the one in the property of its name and _Type'
		WHEN $1 = 'Guid' OR $1 = 'Composite'
			AND $4 ~ '^StandardODATA\.(Catalog|Document|ChartOf\w*|ExchangePlan|BusinessProcess|Task)_'
		THEN CASE
			WHEN jsonb_typeof($3) <> 'string'
				OR ($3 #>> '{}') !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
			THEN 'is a reference: a UUID is expected' END
		WHEN $1 = 'Composite' THEN CASE
			WHEN $4 !~ '^(StandardODATA|Edm)\.' THEN 'has a type that is none of 1C''s' END
		WHEN jsonb_typeof($3) <> 'string' THEN 'is a text'
		WHEN $2 > 0 AND length($3 #>> '{}') > $2 THEN format('is a text of %s characters at most', $2) END;
COMMENT ON FUNCTION onec_internal.value_fault(text, int, jsonb, text) IS
	'Что не так со значением; NULL — всё так (служебная)';

-- What is wrong with one member of a body; NULL: nothing.  "property" is NULL where the object has none of
-- this name; "line" is its row in the tabular part.  Part of a query, as above.
CREATE FUNCTION onec_internal.member_fault(property text, edm_type text, length int, part text, line bigint,
										   name text, value jsonb, kind text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE
		WHEN $1 IS NULL THEN 'is no property of it'
		WHEN $6 = 'DataVersion' THEN 'is 1C''s own; the version read is an argument: data_version'
		WHEN $6 = 'Posted' THEN 'is not written: the operations post and unpost do that'
		WHEN $6 = 'Ref_Key' THEN 'is the key, which is an argument'
		WHEN $6 = 'LineNumber' AND $4 <> '' THEN
			CASE WHEN $7 #>> '{}' <> $5::text THEN 'is not the place of its row in the list' END
		ELSE onec_internal.value_fault($2, $3, $7, $8) END;
COMMENT ON FUNCTION onec_internal.member_fault(text, text, int, text, bigint, text, jsonb, text) IS
	'Что не так с полем тела записи; NULL — всё так (служебная)';

-- The members of a body, one a row: of the object itself (line 0), and of each row of its tabular parts.
CREATE FUNCTION onec_internal.body_members(body jsonb)
	RETURNS TABLE (part text, line bigint, name text, value jsonb, kind text)
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 30
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	SELECT '', 0::bigint, e.key, e.value, body ->> (e.key || '_Type') FROM jsonb_each(body) e
	UNION ALL
	SELECT e.key, r.line, f.key, f.value, r.of ->> (f.key || '_Type')
	FROM jsonb_each(body) e
	CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value
		ELSE '[]' END)
		WITH ORDINALITY r (of, line)
	CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(r.of) WHEN 'object' THEN r.of ELSE '{}' END) f;
END $$;
COMMENT ON FUNCTION onec_internal.body_members(jsonb) IS
	'Поля объекта и строк его табличных частей (служебная)';

-- The first fault of a body; NULL: there is none.
CREATE FUNCTION onec_internal.body_fault(server name, entity_set text, body jsonb, OUT field text,
										 OUT fault text, OUT near text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	-- plans are kept, and the tables may have been small when they were made
	SET enable_seqscan = off
AS $$
BEGIN
	SELECT CASE m.part WHEN '' THEN m.name ELSE format('%s[%s].%s', m.part, m.line, m.name) END, f.fault,
		   CASE WHEN p.property IS NULL THEN onec_internal.nearest_words(m.name, ARRAY(
			   SELECT k.property FROM onec_internal.outbox_property k
			   WHERE k.server = body_fault.server AND k.entity_set = body_fault.entity_set
				 AND k.part = m.part)) END
	INTO field, fault, near
	FROM onec_internal.body_members(body) m
	LEFT JOIN onec_internal.outbox_property p
		ON p.server = body_fault.server AND p.entity_set = body_fault.entity_set AND p.part = m.part
			AND p.property = m.name
	CROSS JOIN LATERAL (SELECT onec_internal.member_fault(p.property, p.edm_type, p.length, m.part, m.line,
														  m.name, m.value, m.kind)) f (fault)
	WHERE f.fault IS NOT NULL
	ORDER BY m.part, m.line, m.name LIMIT 1;
END $$;
COMMENT ON FUNCTION onec_internal.body_fault(name, text, jsonb) IS
	'Что в теле записи не так: поле, ошибка, похожие имена (служебная)';

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
