-- The marker way: a base that gives new objects keys of its own is told another sign by which an object is
-- found again after an unknown outcome: the key that the site was given, in a text of the object.
--
-- "Not there" leads to a second creation, so it counts only where a mark is known to be kept: a creation
-- that was answered has shown it.  Until it is known whose keys a base takes its creations carry the mark,
-- too, for their outcome may be the unknown one.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('outbox.marker', 'text[]', '{Комментарий,Примечание}', NULL, NULL, NULL,
	 'Свойства 1С, в которых можно пометить новый объект, если база не берёт присланных ссылок');

CREATE TABLE onec_internal.outbox_marker (
	server name NOT NULL,
	entity_set text NOT NULL,
	property text NOT NULL,
	is_kept boolean NOT NULL,
	PRIMARY KEY (server, entity_set, property)
);
COMMENT ON TABLE onec_internal.outbox_marker IS
	'Остаются ли пометки новых объектов в свойствах 1С, как показали ответы (служебное)';
COMMENT ON COLUMN onec_internal.outbox_marker.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.outbox_marker.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec_internal.outbox_marker.property IS 'Свойство';
COMMENT ON COLUMN onec_internal.outbox_marker.is_kept IS 'Осталась ли пометка';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_marker', '');

CREATE FUNCTION onec_internal.client_keys(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT b.client_keys FROM onec_internal.outbox_base b WHERE b.server = client_keys.server);
END $$;
COMMENT ON FUNCTION onec_internal.client_keys(name) IS 'Берёт ли база ключ, который ей прислали (служебная)';

-- The property that can carry the mark of a new object of this body; NULL: none has room for it, or keeps
-- it.
CREATE FUNCTION onec_internal.marker_property(server name, entity_set text, body jsonb) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.property
	FROM unnest(onec.get('outbox.marker', $1)::text[]) WITH ORDINALITY w (name, n)
	JOIN onec_internal.outbox_property p ON p.server = $1 AND p.entity_set = $2 AND p.part = ''
		AND p.property = w.name AND p.edm_type = 'String'
	LEFT JOIN onec_internal.outbox_marker m ON m.server = $1 AND m.entity_set = $2
		AND m.property = p.property
	WHERE m.is_kept IS NOT FALSE
	  AND (p.length = 0 OR length(concat_ws(' ', nullif($3 ->> p.property, ''), '[]')) + 36 <= p.length)
	ORDER BY w.n LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.marker_property(name, text, jsonb) IS
	'Свойство, в котором новый объект можно пометить (служебная)';

-- The property that a row is sent with its mark in.
CREATE FUNCTION onec_internal.marker_of(o onec.outbox) RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN ($1).maybe_sent THEN ($1).marker
				WHEN ($1).operation = 'create' AND onec_internal.client_keys(($1).server) IS NOT TRUE
					THEN onec_internal.marker_property(($1).server, ($1).entity_set, ($1).body) END;
COMMENT ON FUNCTION onec_internal.marker_of(onec.outbox) IS
	'Свойство, в котором строку помечают при отправке (служебная)';

CREATE FUNCTION onec_internal.marked_body(body jsonb, property text, key uuid) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $2 IS NULL THEN $1 ELSE $1 || jsonb_build_object($2,
		concat_ws(' ', nullif($1 ->> $2, ''), '[' || $3 || ']')) END;
COMMENT ON FUNCTION onec_internal.marked_body(jsonb, text, uuid) IS 'Тело с пометкой (служебная)';

CREATE FUNCTION onec_internal.is_marker_kept(server name, entity_set text, property text) RETURNS boolean
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT m.is_kept FROM onec_internal.outbox_marker m
			WHERE m.server = $1 AND m.entity_set = $2 AND m.property = $3);
COMMENT ON FUNCTION onec_internal.is_marker_kept(name, text, text) IS
	'Остаётся ли пометка; NULL — ещё неизвестно (служебная)';

CREATE FUNCTION onec_internal.marked_objects(server name, entity_set text, property text, mark text)
	RETURNS TABLE (key uuid, told text)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_marked_objects';
COMMENT ON FUNCTION onec_internal.marked_objects(name, text, text, text) IS
	'Объекты базы, в свойстве которых есть пометка (служебная)';

-- Keys of a base's objects that are equal to what is given in each of some properties, and, with "since",
-- whose Date is not before it.
CREATE FUNCTION onec_internal.equal_objects(server name, entity_set text, properties text[], types text[],
											given text[], since text)
	RETURNS SETOF uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_equal_objects';
COMMENT ON FUNCTION onec_internal.equal_objects(name, text, text[], text[], text[], text) IS
	'Объекты базы, у которых эти свойства равны этим значениям (служебная)';

-- By what an object that carries no mark is looked for: moments, references and texts that were sent, those
-- of limited length first, for of others 1C may refuse the condition.
CREATE FUNCTION onec_internal.telling_values(server name, entity_set text, sent jsonb, OUT properties text[],
											 OUT types text[], OUT given text[])
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(t.property ORDER BY t.n), array_agg(t.edm_type ORDER BY t.n),
		   array_agg(t.value ORDER BY t.n)
	FROM (SELECT p.property, p.edm_type, CASE p.edm_type WHEN 'DateTime' THEN rpad(left(e.value, 19), 19,
					'T00:00:00') ELSE e.value END AS value,
				 row_number() OVER (ORDER BY p.edm_type = 'String', p.length > 0 DESC, length(e.value) DESC,
									p.property) AS n
		  FROM jsonb_each_text($3) e
		  JOIN onec_internal.outbox_property p ON p.server = $1 AND p.entity_set = $2 AND p.part = ''
			  AND p.property = e.key
		  WHERE p.edm_type IN ('Guid', 'DateTime', 'String') AND e.value <> ''
			AND p.property NOT LIKE '%\_Type') t
	WHERE t.n <= 6
$$;
COMMENT ON FUNCTION onec_internal.telling_values(name, text, jsonb) IS
	'По каким значениям искать объект без пометки (служебная)';

-- Which of some objects of 1C nobody here has created.
CREATE FUNCTION onec_internal.nobodys_objects(server name, keys uuid[]) RETURNS uuid[]
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ARRAY(SELECT k FROM unnest($2) k
				 WHERE NOT EXISTS (SELECT FROM onec_internal.outbox_remote r
								   WHERE r.server = $1 AND r.remote_key = k)
				   AND NOT EXISTS (SELECT FROM onec.outbox_history h
								   WHERE h.server = $1 AND h.key = k AND h.operation = 'create'
									 AND h.status = 'done')
				   AND NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = $1 AND o.key = k) ORDER BY k)
$$;
COMMENT ON FUNCTION onec_internal.nobodys_objects(name, uuid[]) IS
	'Какие из объектов 1С созданы не отсюда (служебная)';

-- How much an object that was sent tells of itself: its values that are not empty.
CREATE FUNCTION onec_internal.values_sent(sent jsonb) RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT count(*) FROM jsonb_each_text($1) e WHERE e.value NOT IN ('', 'false', '0', '[]')
			AND e.value NOT LIKE '0000%');
COMMENT ON FUNCTION onec_internal.values_sent(jsonb) IS 'Сколько непустых значений отправлено (служебная)';
