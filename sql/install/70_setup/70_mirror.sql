-- onec.mirror: a set of a base becomes a table of whoever calls, a row of onec.target and fields.

-- The columns that fields of a mirror or of a section have, as they are to be made.
CREATE FUNCTION onec_internal.columns_of_fields(fields_of text) RETURNS onec_internal.made_column[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_agg(ROW(f.field, onec_internal.type_of_kind(f.kind), '{}'::text[],
						 f.candidates[1])::onec_internal.made_column ORDER BY f.ordinal)
	FROM onec.field_source f WHERE f.target = $1
$$;
COMMENT ON FUNCTION onec_internal.columns_of_fields(text) IS 'Столбцы местной таблицы зеркала (служебная)';

-- Fields for properties of a set that have none yet.  "here": columns that somebody's table has already.
-- Returns the names of the new ones.
CREATE FUNCTION onec_internal.add_fields(fields_of text, properties jsonb, here text[]) RETURNS name[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p record;
	taken text[] := here || ARRAY(SELECT f.field FROM onec.field_source f WHERE f.target = fields_of);
	place int := coalesce((SELECT max(f.ordinal) FROM onec.field_source f WHERE f.target = fields_of), 0);
	added name[] := '{}';
	field name;
BEGIN
	FOR p IN SELECT x.property, x.kind, x.wanted, x.is_part
		FROM jsonb_to_recordset(properties) x (ordinal int, property text, kind text, wanted text,
											   is_part boolean)
		WHERE NOT EXISTS (SELECT FROM onec.field_source f
						  WHERE f.target = fields_of AND f.candidates = ARRAY[x.property])
		ORDER BY x.ordinal
	LOOP
		field := onec_internal.free_name(p.wanted, taken);
		taken := taken || field::text;
		place := place + 1;
		INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key, empty)
		VALUES (fields_of, place, field, p.kind, ARRAY[p.property], p.is_part,
				CASE WHEN p.is_part AND p.property !~ '^(Ref|Recorder)(_Key|_Type)?$|^LineNumber$'
					 THEN onec_internal.empty_of_kind(p.kind) END);
		added := added || field;
	END LOOP;
	RETURN added;
END $$;
COMMENT ON FUNCTION onec_internal.add_fields(text, jsonb, text[]) IS
	'Завести поля для свойств, у которых их ещё нет (служебная)';

-- The properties of a set as onec_internal.add_fields takes them.
CREATE FUNCTION onec_internal.properties_as_json(server name, entity_set text,
												 with_binary boolean) RETURNS jsonb
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_agg(p) FROM onec_internal.properties_to_mirror($1, $2, $3) p
$$;
COMMENT ON FUNCTION onec_internal.properties_as_json(name, text, boolean) IS
	'Свойства набора для зеркала (служебная)';

-- An ordinary table with the columns of some fields; the key is theirs, with "copy" where a key may come with
-- several rows.  Its comments say what 1C calls them.
CREATE FUNCTION onec_internal.make_mirror_table(table_schema name, table_name name, fields_of text,
												title text, with_server boolean,
												with_copy boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made onec_internal.made_column[] := onec_internal.columns_of_fields(fields_of);
	c onec_internal.made_column;
BEGIN
	EXECUTE format('CREATE TABLE %I.%I (%s%s%s, PRIMARY KEY (%s%s))', table_schema, table_name,
		(SELECT string_agg(format('%I %s', u.name, u.type), ', ') FROM unnest(made) u),
		CASE WHEN with_copy THEN ', copy smallint NOT NULL' END,
		CASE WHEN with_server THEN ', server smallint NOT NULL' END,
		(SELECT string_agg(quote_ident(f.field), ', ' ORDER BY f.ordinal) FROM onec.field_source f
		 WHERE f.target = fields_of AND f.is_key),
		CASE WHEN with_copy THEN ', copy' END);
	EXECUTE format('COMMENT ON TABLE %I.%I IS %L', table_schema, table_name, title);
	FOREACH c IN ARRAY made || ARRAY[
		('copy', '', '{}', 'Номер строки среди строк с тем же ключом, от 0'),
		('server', '', '{}', 'Номер внешнего сервера, один у всех строк')]::onec_internal.made_column[]
	LOOP
		CONTINUE WHEN c.name = 'copy' AND NOT with_copy OR c.name = 'server' AND NOT with_server;
		EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', table_schema, table_name, c.name, c.title);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.make_mirror_table(name, name, text, text, boolean, boolean) IS
	'Создать местную таблицу зеркала (служебная)';

-- What 1C writes as one, in the columns of a mirror: an object, the records of a recorder; or else a record
-- by itself, the key of which begins with what rows are not asked for by.
CREATE FUNCTION onec_internal.unit_of_mirror(target text) RETURNS name[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH part AS MATERIALIZED (SELECT f.field::name AS field, f.kind, f.ordinal, f.candidates[1] AS property
							   FROM onec.field_source f WHERE f.target = $1 AND f.is_key)
	SELECT coalesce(
		(SELECT array_agg(p.field ORDER BY p.ordinal) FROM part p WHERE p.property = 'Ref_Key'),
		(SELECT array_agg(p.field ORDER BY p.ordinal) FROM part p WHERE p.property IN ('Ref', 'Ref_Type')),
		(SELECT array_agg(p.field ORDER BY p.ordinal) FROM part p WHERE p.property ~ '^Recorder'),
		(SELECT array_agg(p.field ORDER BY p.kind = 'ref', p.ordinal) FROM part p))
$$;
COMMENT ON FUNCTION onec_internal.unit_of_mirror(text) IS
	'Столбцы того, что 1С записывает целиком, в зеркале (служебная)';

-- The column that windows are cut by: documents and journals have Date, registers Period.
CREATE FUNCTION onec_internal.date_of_mirror(target text, entity_set text) RETURNS name
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.field::name FROM onec.field_source f
	WHERE f.target = $1 AND f.kind = 'timestamp'
	  AND f.candidates = CASE WHEN $2 ~ 'Register_' THEN '{Period}'::text[]
							  WHEN $2 ~ '^(Document|DocumentJournal|BusinessProcess|Task)_' THEN '{Date}' END
$$;
COMMENT ON FUNCTION onec_internal.date_of_mirror(text, text) IS
	'Столбец даты зеркала; NULL — читается целиком (служебная)';

-- The columns that say whose a row is: properties, or columns, with commas between; "none" for nobody's.
CREATE FUNCTION onec_internal.people_of_mirror(target text, people text) RETURNS name[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted text;
	field name;
	found name[] := '{}';
BEGIN
	IF people = 'none' THEN
		RETURN '{}';
	END IF;
	FOREACH wanted IN ARRAY regexp_split_to_array(btrim(coalesce(people, '')), '\s*,\s*') LOOP
		field := (SELECT f.field FROM onec.field_source f
				  WHERE f.target = people_of_mirror.target AND f.kind IN ('ref', 'text')
					AND wanted IN (f.candidates[1], f.field)
				  ORDER BY f.candidates[1] = wanted DESC LIMIT 1);
		IF field IS NULL THEN
			RAISE invalid_parameter_value USING
				MESSAGE = format('the set has no reference "%s"', wanted),
				DETAIL = 'Whose a row is, is said by the properties that hold a person or a card: '
						 'onec.forget goes by them.',
				HINT = format('Its references: %s. Or say ''none'': the rows are about nobody.', (
					SELECT string_agg(f.candidates[1], ', ' ORDER BY f.ordinal) FROM onec.field_source f
					WHERE f.target = people_of_mirror.target AND f.kind = 'ref'));
		END IF;
		found := found || field;
	END LOOP;
	RETURN found;
END $$;
COMMENT ON FUNCTION onec_internal.people_of_mirror(text, text) IS
	'Столбцы, которые говорят, чья строка зеркала (служебная)';

-- What the base publishes, asked once in a transaction.
CREATE FUNCTION onec_internal.published_set(server name, entity_set text, OUT name text, OUT local_name text,
											OUT key text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	nearest text;
BEGIN
	IF to_regclass('pg_temp.onec_published') IS NULL THEN
		CREATE TEMPORARY TABLE onec_published (server name, entity_set text, local_name text, key text)
			ON COMMIT DROP;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_temp.onec_published p WHERE p.server = published_set.server) THEN
		INSERT INTO pg_temp.onec_published
		SELECT published_set.server, s.entity_set, s.local_name, s.key
		FROM onec.entity_sets(published_set.server) s;
	END IF;
	SELECT p.entity_set, p.local_name, p.key INTO name, local_name, key FROM pg_temp.onec_published p
	WHERE p.server = published_set.server
	  AND published_set.entity_set IN (p.entity_set, p.local_name)
	ORDER BY p.entity_set <> published_set.entity_set LIMIT 1;
	IF name IS NULL THEN
		nearest := onec_internal.nearest_words(entity_set,
			ARRAY(SELECT p.entity_set FROM pg_temp.onec_published p WHERE p.server = published_set.server));
		RAISE undefined_table USING
			MESSAGE = format('1C server "%s" does not publish "%s"', server, entity_set),
			HINT = coalesce('Perhaps you meant: ' || nearest || '.',
							format('SELECT * FROM onec.entity_sets(%L) lists what it publishes.', server));
	ELSIF key IS NULL THEN
		RAISE feature_not_supported USING
			MESSAGE = format('"%s" of server "%s" has no key', name, server),
			DETAIL = 'Rows that cannot be told apart cannot be kept equal to those of 1C.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.published_set(name, text) IS
	'Опубликованный набор: имя, имя таблицы, ключ (служебная)';

-- The tables of the tabular parts that are published as sets, too, and the triggers that fill them.
CREATE FUNCTION onec_internal.make_mirror_sections(t onec.target) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	fields_of text;
	called name;
	made int := 0;
	owner_key name := t.unit[1];
BEGIN
	FOR s IN
		SELECT f.field, f.ordinal, p.entity_set FROM onec.field_source f
		JOIN pg_temp.onec_published p ON p.server = t.server
			AND p.entity_set = t.entity_set || '_' || f.candidates[1] AND p.key = 'Ref_Key,LineNumber'
		WHERE f.target = t.target AND f.kind = 'jsonb' AND t.unit = ARRAY[owner_key] ORDER BY f.ordinal
	LOOP
		fields_of := concat_ws('.', t.target, s.field);
		PERFORM onec_internal.add_fields(fields_of,
			(SELECT jsonb_agg(to_jsonb(p) || CASE WHEN p.property = 'Ref_Key'
												  THEN jsonb_build_object('wanted', owner_key) ELSE '{}' END)
			 FROM onec_internal.properties_to_mirror(t.server, s.entity_set, (
				SELECT m.with_binary FROM onec_internal.mirror m WHERE m.target = t.target)) p),
			onec_internal.names_of_sync() || '{onec_value}'::text[]);
		called := onec_internal.free_name(t.table_name || '_' || s.field,
			ARRAY(SELECT c.relname FROM pg_class c
				  WHERE c.relnamespace = to_regnamespace(quote_ident(t.table_schema))));
		PERFORM onec_internal.make_mirror_table(t.table_schema, called, fields_of,
												format('%s: %s', t.title, s.entity_set), false, true);
		INSERT INTO onec_internal.mirror_section
		VALUES (t.server, t.target, s.field, s.entity_set, owner_key, t.table_schema, called);
		made := made + 1;
	END LOOP;
	IF made > 0 THEN
		EXECUTE format('
			CREATE TRIGGER onec_rows_insert AFTER INSERT ON %1$I.%2$I REFERENCING NEW TABLE AS onec_new
				FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.spread_rows();
			CREATE TRIGGER onec_rows_update AFTER UPDATE ON %1$I.%2$I
				REFERENCING OLD TABLE AS onec_old NEW TABLE AS onec_new
				FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.spread_rows();
			CREATE TRIGGER onec_rows_delete AFTER DELETE ON %1$I.%2$I REFERENCING OLD TABLE AS onec_old
				FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.spread_rows()',
			t.table_schema, t.table_name);
	END IF;
	RETURN made;
END $$;
COMMENT ON FUNCTION onec_internal.make_mirror_sections(onec.target) IS
	'Создать таблицы строк табличных частей (служебная)';

-- The row of onec.target for a mirror that is being made, whose fields are there.
CREATE FUNCTION onec_internal.add_mirror_target(server name, target text, entity_set text, table_schema name,
												table_name name, people text,
												erasure text) RETURNS onec.target
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	whose name[] := onec_internal.people_of_mirror(target, people);
	made onec.target;
BEGIN
	IF erasure = 'mask' AND EXISTS (SELECT FROM onec.field_source f
									WHERE f.target = add_mirror_target.target AND f.is_key
									  AND f.field = ANY (whose)) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'rows whose key is the person cannot be masked',
			HINT = 'Leave erasure out: onec.forget deletes them.';
	END IF;
	INSERT INTO onec.target AS t (target, server, ordinal, step, title, source, entity_set, table_schema,
		table_name, unit, date_column, marks_deleted, people, erasure, purge, touches, is_open)
	SELECT x.target, x.server, (SELECT greatest(max(k.ordinal), 999) + 1 FROM onec.target k), 'mirrors',
		   onec_internal.title_of_mirrors(), 'set', x.entity_set, x.table_schema, x.table_name,
		   onec_internal.unit_of_mirror(x.target), onec_internal.date_of_mirror(x.target, x.entity_set),
		   false, whose, CASE WHEN whose = '{}' THEN 'none' ELSE coalesce(x.erasure, 'delete') END, 'none',
		   '{}', false
	FROM (SELECT target, server, entity_set, table_schema, table_name, erasure) x
	RETURNING * INTO made;
	RETURN made;
END $$;
COMMENT ON FUNCTION onec_internal.add_mirror_target(name, text, text, name, name, text, text) IS
	'Записать зеркало в onec.target (служебная)';

CREATE FUNCTION onec_internal.title_of_mirrors() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'Зеркало';
COMMENT ON FUNCTION onec_internal.title_of_mirrors() IS 'Название таблиц зеркал (служебная)';

CREATE FUNCTION onec.mirror(server name, entity_set text, people text,
							local_schema name DEFAULT current_schema(), local_table name DEFAULT NULL,
							erasure text DEFAULT NULL, sections boolean DEFAULT false,
							with_binary boolean DEFAULT false)
	RETURNS TABLE (mirror text, table_name text, source text, columns int, by_date name)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	binary_too boolean := with_binary;
	called text;
	found record;
	properties jsonb;
	t onec.target;
BEGIN
	PERFORM onec_internal.must_write('mirror');
	PERFORM onec_internal.checked_word('erasure', coalesce(erasure, 'delete'), '{delete,mask}');
	IF local_schema IS NULL OR local_schema IN ('onec', 'onec_internal', 'information_schema')
		OR starts_with(local_schema, 'pg_')
		OR local_schema IN (SELECT k.server FROM onec_internal.known_servers k) THEN
		RAISE invalid_schema_name USING
			MESSAGE = format('a mirror cannot stand in schema "%s"', coalesce(local_schema, 'NULL')),
			HINT = 'Name a schema of your own: local_schema => ''…''.';
	END IF;
	SELECT * INTO found FROM onec_internal.published_set(srv, entity_set);
	PERFORM onec_internal.make_schema_of_server(srv);
	PERFORM pg_advisory_xact_lock(hashtextextended('onec mirror', 0));
	source := found.name;
	local_table := coalesce(local_table, found.local_name);
	-- a dot stands between a target and the field of a section
	called := onec_internal.free_name(translate(local_table, '.', '_'), ARRAY(
		SELECT k.target FROM onec.target k UNION ALL SELECT 'sale_turnover' UNION ALL SELECT 'loyalty_now'
		UNION ALL SELECT c.relname FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(srv))));
	INSERT INTO onec_internal.mirror (server, target, with_binary, with_sections)
	VALUES (srv, called, binary_too, sections);
	properties := onec_internal.properties_as_json(srv, source, binary_too);
	PERFORM onec_internal.add_fields(called, properties, onec_internal.names_of_sync());
	t := onec_internal.add_mirror_target(srv, called, source, local_schema, local_table, people, erasure);
	PERFORM onec_internal.make_mirror_table(local_schema, local_table, called,
											format('%s: %s', t.title, source), true,
											found.key NOT IN ('Ref_Key', 'SurrogateKey'));
	PERFORM onec_internal.make_table(srv, called, t.title, source,
									 ARRAY['entity_set=' || source, 'key=' || found.key],
									 onec_internal.columns_to_make(srv, called, source));
	mirror := called;
	by_date := t.date_column;
	columns := jsonb_array_length(properties);
	table_name := format('%I.%I', local_schema, local_table);
	RETURN NEXT;
	IF sections AND onec_internal.make_mirror_sections(t) > 0 THEN
		RETURN QUERY SELECT called, format('%I.%I', s.table_schema, s.table_name), s.entity_set,
							(SELECT count(*)::int FROM onec.field_source f
							 WHERE f.target = concat_ws('.', s.target, s.field)), NULL::name
					 FROM onec_internal.mirror_section s WHERE s.target = called ORDER BY s.field;
	END IF;
END $$;
COMMENT ON FUNCTION onec.mirror(name, text, text, name, name, text, boolean, boolean) IS
	'Завести зеркало: обычную таблицу, которую синхронизация ведёт по любому набору базы. people — свойства, '
	'которые говорят, чья строка (контрагент, карта; через запятую), или none: строки не о людях; erasure — '
	'delete (по умолчанию) или mask: что с ними делает onec.forget; sections — таблицы и для табличных '
	'частей; with_binary — и двоичные свойства. Таблица принадлежит вызвавшему';
REVOKE EXECUTE ON FUNCTION onec.mirror(name, text, text, name, name, text, boolean, boolean) FROM PUBLIC;
