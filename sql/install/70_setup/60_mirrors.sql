-- What a mirror is: any set of a base as a table of somebody's own, a row of onec.target like the shop's
-- tables, with fields that come from $metadata.  onec.mirror makes one.
--
-- The local table has the names, types and values of the foreign one, but for empty parts of the key, which
-- cannot be NULL there; a number of the server, so that the statements that treat all tables alike go for it,
-- and nothing of somebody's table has to be written when a server is renamed; and, where a key may come with
-- several rows, the number of the copy.

CREATE TABLE onec_internal.mirror (
	server name NOT NULL,
	target text PRIMARY KEY,
	with_binary boolean NOT NULL,
	with_sections boolean NOT NULL,
	looked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE onec_internal.mirror IS 'Зеркала наборов 1С (onec.mirror)';
COMMENT ON COLUMN onec_internal.mirror.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.mirror.target IS 'Строка onec.target';
COMMENT ON COLUMN onec_internal.mirror.with_binary IS 'Читаются ли и двоичные свойства';
COMMENT ON COLUMN onec_internal.mirror.with_sections IS 'Есть ли у табличных частей свои таблицы';
COMMENT ON COLUMN onec_internal.mirror.looked_at IS 'Когда свойства сверялись с $metadata';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.mirror', '');

-- A tabular part with a table of its own, which follows the column of jsonb in the object's table.
CREATE TABLE onec_internal.mirror_section (
	server name NOT NULL,
	target text NOT NULL,
	field name NOT NULL,
	entity_set text NOT NULL,
	owner_key name NOT NULL,
	table_schema name NOT NULL,
	table_name name NOT NULL,
	PRIMARY KEY (target, field),
	UNIQUE (table_schema, table_name)
);
COMMENT ON TABLE onec_internal.mirror_section IS 'Таблицы табличных частей зеркал';
COMMENT ON COLUMN onec_internal.mirror_section.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.mirror_section.target IS 'Зеркало';
COMMENT ON COLUMN onec_internal.mirror_section.field IS 'Столбец с табличной частью';
COMMENT ON COLUMN onec_internal.mirror_section.entity_set IS 'Набор 1С, который описывает её строки';
COMMENT ON COLUMN onec_internal.mirror_section.owner_key IS 'Столбец ссылки на объект, в обеих таблицах';
COMMENT ON COLUMN onec_internal.mirror_section.table_schema IS 'Схема таблицы строк';
COMMENT ON COLUMN onec_internal.mirror_section.table_name IS 'Таблица строк';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.mirror_section', '');

CREATE FUNCTION onec_internal.is_mirror(target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.mirror m WHERE m.target = is_mirror.target);
END $$;
COMMENT ON FUNCTION onec_internal.is_mirror(text) IS 'Зеркало ли это, сделанное onec.mirror (служебная)';

-- Fields and sections of one base's own target go with it, whoever deletes it.
CREATE FUNCTION onec_internal.drop_own_fields() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM onec.field_source f WHERE split_part(f.target, '.', 1) = OLD.target;
	DELETE FROM onec_internal.mirror_section s WHERE s.target = OLD.target;
	DELETE FROM onec_internal.mirror m WHERE m.target = OLD.target;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.drop_own_fields() IS
	'Убирает поля таблицы, которую больше не синхронизируют (служебная)';
CREATE TRIGGER drop_own_fields AFTER DELETE ON onec.target
	FOR EACH ROW WHEN (OLD.server IS NOT NULL) EXECUTE FUNCTION onec_internal.drop_own_fields();

-- The local tables of all mirrors.
CREATE FUNCTION onec_internal.tables_of_mirrors() RETURNS TABLE (target text, tab regclass)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.target, to_regclass(format('%I.%I', x.table_schema, x.table_name))
	FROM (SELECT t.target, t.table_schema, t.table_name FROM onec.target t WHERE t.table_schema <> 'onec'
		  UNION ALL SELECT s.target, s.table_schema, s.table_name FROM onec_internal.mirror_section s) x
$$;
COMMENT ON FUNCTION onec_internal.tables_of_mirrors() IS 'Местные таблицы зеркал (служебная)';

-- ---- names and types ----

-- A name that none of "taken" has, within the 63 bytes of a name, however long its letters are.
CREATE FUNCTION onec_internal.free_name(wanted text, taken text[]) RETURNS name
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.name
	FROM (SELECT n, '' AS suffix FROM generate_series(1, 1) n
		  UNION ALL SELECT n, '_' || n FROM generate_series(2, cardinality($2) + 2) n) s
	CROSS JOIN LATERAL (SELECT left($1, l) || s.suffix AS name FROM generate_series(length($1), 1, -1) l
						WHERE octet_length(left($1, l) || s.suffix) <= 63 LIMIT 1) c
	WHERE c.name <> ALL ($2)
	ORDER BY s.n LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.free_name(text, text[]) IS
	'Имя не длиннее 63 байтов, которого ещё нет (служебная)';

-- Names that columns of a mirror cannot have: those that statements of the sync use beside them.
CREATE FUNCTION onec_internal.names_of_sync() RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '{server,copy,is_deleted,attribution,register,person_id,place,here,redated,known,next,day,copies,n,
		onec_window,ctid,tableoid,xmin,xmax,cmin,cmax}'::text[];
COMMENT ON FUNCTION onec_internal.names_of_sync() IS 'Имена столбцов, занятые синхронизацией (служебная)';

-- The kind of a field of a type that onec.properties tells.
CREATE FUNCTION onec_internal.kind_of_type(pg_type text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE pg_type WHEN 'uuid' THEN 'ref' WHEN 'int8' THEN 'bigint' WHEN 'bool' THEN 'boolean'
						WHEN 'int2' THEN 'smallint' WHEN 'int4' THEN 'integer' ELSE pg_type END;
COMMENT ON FUNCTION onec_internal.kind_of_type(text) IS 'Вид поля по типу PostgreSQL (служебная)';

-- What stands for nothing in a column of the key.
CREATE FUNCTION onec_internal.empty_of_kind(kind text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE kind WHEN 'ref' THEN '00000000-0000-0000-0000-000000000000' WHEN 'text' THEN ''
					 WHEN 'timestamp' THEN '0001-01-01' WHEN 'boolean' THEN 'false' ELSE '0' END;
COMMENT ON FUNCTION onec_internal.empty_of_kind(text) IS
	'Что стоит в столбце ключа вместо пустого значения (служебная)';

-- The properties of a set that are mirrored, and the columns that they may become; "is_part" is of the key.
-- A reference to the recorder belongs to it even where 1C leaves it out.
CREATE FUNCTION onec_internal.properties_to_mirror(server name, entity_set text, with_binary boolean)
	RETURNS TABLE (ordinal int, property text, edm_type text, pg_type text, kind text, wanted text,
				   is_part boolean)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.ordinal, p.property, p.edm_type, p.pg_type, onec_internal.kind_of_type(p.pg_type),
		   p.local_name || CASE WHEN p.local_name = ANY (onec_internal.names_of_sync()) THEN '_' ELSE '' END,
		   p.is_key OR p.property IN ('Recorder', 'Recorder_Key', 'Recorder_Type')
	FROM onec.properties($1, $2) p
	WHERE $3 OR p.edm_type NOT IN ('Binary', 'Stream') OR p.property = 'DataVersion'
	ORDER BY p.ordinal
$$;
COMMENT ON FUNCTION onec_internal.properties_to_mirror(name, text, boolean) IS
	'Свойства набора, которые попадают в зеркало (служебная)';
