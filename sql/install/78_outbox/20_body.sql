-- Bodies: is what a site wants to write what the base has; what goes to 1C; what 1C made of it.
--
-- 1C ignores a property that it does not know, cuts a text that is too long and drops a composite value
-- without its type, and answers 200.  So all of that is refused before.  No message tells a value.

-- Whether a value of this type, or of the one named beside it ("kind") where it may be of several, is a
-- reference.
CREATE FUNCTION onec_internal.is_reference(edm_type text, kind text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce($1 = 'Guid' OR $1 = 'Composite'
		AND $2 ~ '^StandardODATA\.(Catalog|Document|ChartOf\w*|ExchangePlan|BusinessProcess|Task)_', false);
COMMENT ON FUNCTION onec_internal.is_reference(text, text) IS 'Ссылка ли значение этого типа (служебная)';

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

-- An object, or a row of a part, with references that 1C has replaced by its own; a text that merely reads
-- like one stays.
CREATE FUNCTION onec_internal.references_in_1c(server name, entity_set text, part text, given jsonb)
	RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $4 || coalesce(jsonb_object_agg(m.key, r.remote_key), '{}')
	FROM jsonb_each_text($4) m
	JOIN onec_internal.outbox_property p
		ON p.server = $1 AND p.entity_set = $2 AND p.part = $3 AND p.property = m.key
		AND onec_internal.is_reference(p.edm_type, $4 ->> (m.key || '_Type'))
	JOIN onec_internal.outbox_remote r ON r.server = $1 AND r.key = onec_internal.reference_uuid(m.value)
$$;
COMMENT ON FUNCTION onec_internal.references_in_1c(name, text, text, jsonb) IS
	'Объект или строка со ссылками, которые дала 1С (служебная)';

CREATE FUNCTION onec_internal.with_remote_keys(server name, entity_set text, body jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_remote r WHERE r.server = with_remote_keys.server) THEN
		RETURN body;
	END IF;
	RETURN onec_internal.references_in_1c(server, entity_set, '', body) || coalesce((
		SELECT jsonb_object_agg(e.key, (
			SELECT coalesce(jsonb_agg(onec_internal.references_in_1c(server, entity_set, e.key, r.of)
									  ORDER BY r.line), '[]')
			FROM jsonb_array_elements(e.value) WITH ORDINALITY r (of, line)))
		FROM jsonb_each(body) e WHERE jsonb_typeof(e.value) = 'array'), '{}');
END $$;
COMMENT ON FUNCTION onec_internal.with_remote_keys(name, text, jsonb) IS
	'Тело записи со ссылками, которые дала 1С (служебная)';

CREATE FUNCTION onec_internal.with_remote_keys_of(work onec.outbox, sent jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN onec_internal.with_remote_keys(($1).server, ($1).entity_set, $2);
COMMENT ON FUNCTION onec_internal.with_remote_keys_of(onec.outbox, jsonb) IS
	'То, что отправляет строка, со ссылками, которые дала 1С (служебная)';

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
		  FROM jsonb_each(onec_internal.with_remote_keys($1, $2, $3)) e
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
	FROM jsonb_each(onec_internal.with_remote_keys($1, $2, $3)) e
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

-- Whether people mean the same by two texts: they are equal but for case and blanks around them, or telephone
-- numbers whose last ten digits agree.
CREATE FUNCTION onec_internal.same_said(one text, other text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce(lower(btrim($1)) = lower(btrim($2))
		OR $1 !~ '[[:alpha:]@]' AND length(regexp_replace($1, '\D', '', 'g')) >= 10
		   AND right(regexp_replace($1, '\D', '', 'g'), 10) = right(regexp_replace($2, '\D', '', 'g'), 10),
		   false);
COMMENT ON FUNCTION onec_internal.same_said(text, text) IS
	'Одно ли и то же два текста, как их пишут люди (служебная)';

-- Whether a row has one of some values, or what another row has in their place.
CREATE FUNCTION onec_internal.row_has(of jsonb, sought jsonb, instead jsonb DEFAULT NULL) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM jsonb_each_text($2) s
				   WHERE onec_internal.same_said($1 ->> s.key, CASE WHEN $3 IS NULL THEN s.value
																	ELSE $3 ->> s.key END));
COMMENT ON FUNCTION onec_internal.row_has(jsonb, jsonb, jsonb) IS
	'Есть ли в строке одно из значений (служебная)';

-- A tabular part with the rows of another laid over it: a row that agrees with a new one in the fields "by"
-- is that one, and keeps what the new one does not say; others are added; those that others wrote stay, and
-- so do further rows that agree, for they are of something else (a second telephone of one kind).  Of several
-- the first is meant; or, where the new one says what it had ("was", a list beside the new rows), the one
-- that has it, or has the new value already; where there is none the new row is added.
CREATE FUNCTION onec_internal.merged_rows(stored jsonb, given jsonb, by text[], was jsonb DEFAULT NULL)
	RETURNS jsonb
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
				ORDER BY n) AS key, nullif($4 -> (g.line - 1)::int, 'null') AS was
		FROM jsonb_array_elements($2) WITH ORDINALITY g (of, line)),
	-- which row each new one is
	meant AS (
		SELECT g.*, (
			SELECT o.line FROM one o CROSS JOIN LATERAL (
				SELECT onec_internal.row_has(o.of, g.was) AS old,
					   onec_internal.row_has(o.of, g.was, g.of) AS new) h
			WHERE o.key = g.key AND CASE WHEN g.was IS NULL THEN o.nth = 1 ELSE h.old OR h.new END
			ORDER BY h.new DESC, o.line LIMIT 1) AS place
		FROM other g)
	SELECT coalesce(jsonb_agg(m.of ORDER BY m.place, m.line), '[]')
	FROM (SELECT 1 AS place, o.line, o.of || coalesce((SELECT g.of FROM meant g WHERE g.place = o.line
													   ORDER BY g.line DESC LIMIT 1), '{}') AS of FROM one o
		  UNION ALL
		  SELECT 2, g.line, g.of FROM meant g
		  WHERE g.place IS NULL
			AND NOT EXISTS (SELECT FROM meant l
							WHERE l.key = g.key AND l.place IS NULL AND l.line > g.line)) m
$$;
COMMENT ON FUNCTION onec_internal.merged_rows(jsonb, jsonb, text[], jsonb) IS
	'Табличная часть, дополненная строками (служебная)';
