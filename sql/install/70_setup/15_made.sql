-- Foreign tables that setup makes and makes again: what is there already is altered where it differs, so that
-- options, rights, columns and views that somebody has added stay.

-- A column as it is to be; "options" as pg_attribute has them, "title" is its comment.
CREATE TYPE onec_internal.made_column AS (name text, type text, options text[], title text);
COMMENT ON TYPE onec_internal.made_column IS 'Столбец внешней таблицы, каким он должен быть (служебное)';

-- The comment of a column: what it is in 1C, with its type there.
CREATE FUNCTION onec_internal.column_remark(made onec_internal.made_column) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ($1).title
		|| coalesce(' (' || substring(array_to_string(($1).options, ' ') FROM 'edm_type=(\w+)') || ')', '');
COMMENT ON FUNCTION onec_internal.column_remark(onec_internal.made_column) IS
	'Комментарий столбца: свойство 1С и его тип (служебная)';

-- Is the relation read through a view, of rows that are published within others?
CREATE FUNCTION onec_internal.is_nested(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM pg_class c
				   WHERE c.oid = to_regclass(format('%I.%I', server, target)) AND c.relkind = 'v');
END $$;
COMMENT ON FUNCTION onec_internal.is_nested(name, text) IS
	'Читается ли таблица из вложенных наборов записей (служебная)';

-- The relation of this name, if there is one: made by setup, which its comment says, as a foreign table of
-- this server, or a view over one.  Whatever else stands there is somebody's.
CREATE FUNCTION onec_internal.made_relation(server name, relation text, title text) RETURNS regclass
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found regclass := to_regclass(format('%I.%I', server, relation));
BEGIN
	IF found IS NOT NULL
		AND (NOT starts_with(coalesce(obj_description(found, 'pg_class'), ''), title || ': ') OR NOT EXISTS (
		SELECT FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
		WHERE s.srvname = server
		  AND t.ftrelid = CASE WHEN onec_internal.is_nested(server, relation)
							   THEN to_regclass(format('%I.%I', server, relation || '_set'))
								   ELSE found END)) THEN
		RAISE duplicate_table USING
			MESSAGE = format('%I.%I was not made by onec.setup, and is left alone', server, relation),
			DETAIL = format('The tables of the shop are made in schema %I.', server),
			HINT = 'Give it another name or schema, or the server another name, and run onec.setup again.';
	END IF;
	RETURN found;
END $$;
COMMENT ON FUNCTION onec_internal.made_relation(name, text, text) IS
	'Созданное onec.setup под этим именем; чужое — ошибка (служебная)';

-- Whether the foreign table has a column: setup makes those that 1C publishes, and may have to keep others,
-- which read NULL.
CREATE FUNCTION onec_internal.publishes_field(server name, target text, field text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM pg_attribute a
				   WHERE a.attrelid = to_regclass(format('%I.%I', server, target)) AND a.attname = field
				   AND a.attnum > 0 AND NOT a.attisdropped
				   AND 'missing_property=null' = ANY (a.attfdwoptions) IS NOT TRUE);
COMMENT ON FUNCTION onec_internal.publishes_field(name, text, text) IS
	'Есть ли столбец у внешней таблицы (служебная)';

-- Something has to be made anew, and cannot be.
CREATE FUNCTION onec_internal.refuse_making_anew(server name, relation text, dependent text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE dependent_objects_still_exist USING
		MESSAGE = format('%I.%I has to be made anew, and other objects depend on it', server, relation),
			DETAIL = dependent,
		HINT = 'Drop them, run onec.setup, and make them again.';
END $$;
COMMENT ON FUNCTION onec_internal.refuse_making_anew(name, text, text) IS
	'Ошибка: зависящее мешает создать заново (служебная)';

-- Take away what setup has made under a name, if it is there.  What others depend on stays where it
-- "may_stay"; the answer says so.
CREATE FUNCTION onec_internal.drop_made_by_setup(server name, relation text, title text,
												 may_stay boolean DEFAULT true) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found regclass := onec_internal.made_relation(server, relation, title);
	dependent text;
BEGIN
	IF found IS NULL THEN
		RETURN '{}';
	END IF;
	EXECUTE format('DROP %s %s',
				   CASE WHEN onec_internal.is_nested(server, relation) THEN 'VIEW' ELSE 'FOREIGN TABLE' END,
				   found);
	RETURN ARRAY[relation || ': dropped'];
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS dependent = PG_EXCEPTION_DETAIL;
	IF NOT may_stay THEN
		PERFORM onec_internal.refuse_making_anew(server, relation, dependent);
	END IF;
	RETURN ARRAY[format('%s: kept, though published no more: %s', relation, dependent)];
END $$;
COMMENT ON FUNCTION onec_internal.drop_made_by_setup(name, text, text, boolean) IS
	'Убрать созданное onec.setup, если от него ничто не зависит (служебная)';

-- Options, as the catalog has them, in the words of CREATE; or in those of ALTER, as against what there is.
CREATE FUNCTION onec_internal.option_list(wanted text[], present text[] DEFAULT NULL) RETURNS text
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(concat_ws(' ', CASE WHEN $2 IS NULL THEN NULL WHEN x.was IS NULL THEN 'ADD'
										  ELSE 'SET' END,
								quote_ident(x.name),
								quote_literal(substr(x.option, length(x.name) + 2))), ', ')
	FROM (SELECT o.option, split_part(o.option, '=', 1) AS name,
				 (SELECT p FROM unnest($2) p
				  WHERE split_part(p, '=', 1) = split_part(o.option, '=', 1)) AS was
		  FROM unnest($1) o (option)) x
	WHERE x.option IS DISTINCT FROM x.was
$$;
COMMENT ON FUNCTION onec_internal.option_list(text[], text[]) IS
	'Параметры для CREATE или отличия для ALTER (служебная)';

-- One column as it is to be; what that changes, or NULL.  Columns that others have given options of their own
-- keep them.
CREATE FUNCTION onec_internal.make_column(tab regclass, c onec_internal.made_column) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was record;
	options text;
	change text;
BEGIN
	SELECT a.atttypid, coalesce(a.attfdwoptions, '{}') AS options,
		   (SELECT o.option_value FROM pg_options_to_table(a.attfdwoptions) o
			WHERE o.option_name = 'property') AS property,
		   'missing_property=null' = ANY (a.attfdwoptions) AS lost
	INTO was FROM pg_attribute a
		WHERE a.attrelid = tab AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped;
	IF was.atttypid IS NULL THEN
		EXECUTE format('ALTER FOREIGN TABLE %s ADD COLUMN %I %s OPTIONS (%s)', tab, c.name, c.type,
					   onec_internal.option_list(c.options));
		change := format('%s: added', c.name);
	ELSE
		IF was.lost THEN
			EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (DROP missing_property)',
						   tab, c.name);
			change := format('%s: published again', c.name);
		END IF;
		options := onec_internal.option_list(c.options, was.options);
		IF options IS NOT NULL THEN
			EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (%s)', tab, c.name, options);
			change := coalesce(change, format('%s: %s in place of %s', c.name, c.title, was.property));
		END IF;
		IF was.atttypid <> c.type::regtype THEN
			EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I TYPE %s', tab, c.name, c.type);
			change := format('%s: of type %s', c.name, c.type);
		END IF;
	END IF;
	IF change IS NOT NULL THEN
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tab, c.name, onec_internal.column_remark(c));
	END IF;
	RETURN change;
END $$;
COMMENT ON FUNCTION onec_internal.make_column(regclass, onec_internal.made_column) IS
	'Создать или изменить столбец внешней таблицы (служебная)';

-- A column whose property the base has no more: dropped, or, where others depend on it, kept to read NULL.
CREATE FUNCTION onec_internal.lose_column(tab regclass, name text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	dependent text;
BEGIN
	EXECUTE format('ALTER FOREIGN TABLE %s DROP COLUMN %I', tab, name);
	RETURN format('%s: dropped', name);
EXCEPTION WHEN dependent_objects_still_exist THEN
	GET STACKED DIAGNOSTICS dependent = PG_EXCEPTION_DETAIL;
	IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = tab AND a.attname = lose_column.name
				 AND 'missing_property=null' = ANY (a.attfdwoptions)) THEN
		RETURN format('%s: kept, reads NULL: %s', name, dependent);
	END IF;
	EXECUTE format('ALTER FOREIGN TABLE %s ALTER COLUMN %I OPTIONS (ADD missing_property ''null'')', tab,
				   name);
	RETURN format('%s: reads NULL from now on: %s', name, dependent);
END $$;
COMMENT ON FUNCTION onec_internal.lose_column(regclass, text) IS
	'Убрать столбец, свойства которого в базе больше нет (служебная)';

-- A foreign table with these options and columns; of others it loses those that setup has made, whose comment
-- is their property.  Returns what has been changed, "{}" for nothing.
CREATE FUNCTION onec_internal.make_table(server name, relation text, title text, source text, options text[],
										 columns onec_internal.made_column[]) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.made_relation(server, relation, title);
	changes text[] := '{}';
	altered text;
	dependent text;
	c onec_internal.made_column;
BEGIN
	IF onec_internal.is_nested(server, relation) THEN
		PERFORM onec_internal.drop_made_by_setup(server, relation, title, false),
			onec_internal.drop_made_by_setup(server, relation || '_set', onec_internal.title_of_sets());
		tab := NULL;
	END IF;
	IF tab IS NULL THEN
		EXECUTE format('CREATE FOREIGN TABLE %I.%I (%s) SERVER %I OPTIONS (%s)', server, relation,
			(SELECT string_agg(format('%I %s OPTIONS (%s)', u.name, u.type,
									  onec_internal.option_list(u.options)), ', ') FROM unnest(columns) u),
			server, onec_internal.option_list(options));
		tab := format('%I.%I', server, relation)::regclass;
		FOREACH c IN ARRAY columns LOOP
			EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tab, c.name, onec_internal.column_remark(c));
		END LOOP;
		changes := ARRAY[relation || ': created'];
	ELSE
		altered := (SELECT onec_internal.option_list(options, t.ftoptions) FROM pg_foreign_table t
					WHERE t.ftrelid = tab);
		IF altered IS NOT NULL THEN
			EXECUTE format('ALTER FOREIGN TABLE %s OPTIONS (%s)', tab, altered);
			changes := ARRAY[relation || ': ' || source];
		END IF;
		changes := changes || ARRAY(SELECT x FROM unnest(columns) u, onec_internal.make_column(tab, u) x
									WHERE x IS NOT NULL)
			|| ARRAY(SELECT onec_internal.lose_column(tab, a.attname) FROM pg_attribute a
					 WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped
					   AND 'property=' || split_part(col_description(tab, a.attnum), ' (', 1)
						   = ANY (a.attfdwoptions)
					   AND a.attname <> ALL (ARRAY(SELECT u.name FROM unnest(columns) u)) ORDER BY a.attnum);
	END IF;
	IF changes <> '{}' THEN
		EXECUTE format('COMMENT ON FOREIGN TABLE %s IS %L', tab, title || ': ' || source);
	END IF;
	RETURN changes;
EXCEPTION WHEN feature_not_supported THEN
	-- the type of a column that a view uses
	GET STACKED DIAGNOSTICS dependent = PG_EXCEPTION_DETAIL;
	PERFORM onec_internal.refuse_making_anew(server, relation, dependent);
END $$;
COMMENT ON FUNCTION onec_internal.make_table(name, text, text, text, text[], onec_internal.made_column[]) IS
	'Создать внешнюю таблицу или привести её к нужному виду; возвращает, что изменилось (служебная)';

-- The title of the tables whose rows a view takes apart.
CREATE FUNCTION onec_internal.title_of_sets() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'Регистраторы с наборами записей';
COMMENT ON FUNCTION onec_internal.title_of_sets() IS
	'Название таблиц с вложенными наборами записей (служебная)';
