-- Reading 1C into a temporary table.

-- A tabular section as 1C sends it with its object, in the English of its fields and the order of its lines.
CREATE FUNCTION onec_internal.tabular_part(server name, target text, field text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('CASE WHEN f.%1$I IS NOT NULL THEN (
			SELECT coalesce(jsonb_agg(jsonb_build_object(%2$s) ORDER BY (r.value ->> ''LineNumber'')::bigint,
									  r.value), ''[]'')
			FROM jsonb_array_elements(f.%1$I) r (value)) END', $3,
		string_agg(format('%L, %s', s.field,
						  onec_internal.nested_value_expression(onec_internal.field_candidates($1, s), s.kind,
																NULL)), ', ' ORDER BY s.ordinal))
	FROM onec.field_source s WHERE s.target = concat_ws('.', $2, $3)
$$;
COMMENT ON FUNCTION onec_internal.tabular_part(name, text, text) IS
	'Выражение: строки табличной части (служебная)';

-- The fields of a target that are staged.  What somebody mirrors keeps the values of a property that 1C has
-- no more; a table of the shop's own has a NULL for what a base does not publish.
CREATE FUNCTION onec_internal.staged_fields(server name, target text) RETURNS SETOF onec.field_source
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.* FROM onec.field_source f
	WHERE f.target = $2
	  AND ((SELECT NOT onec_internal.is_mirror($2)) OR onec_internal.publishes_field($1, $2, f.field))
$$;
COMMENT ON FUNCTION onec_internal.staged_fields(name, text) IS
	'Поля, которые читаются во временную таблицу (служебная)';

-- What 1C's function of a target is asked for, as a condition on the foreign table f: the dimensions of the
-- local table, so that 1C adds up what it has by others, or what is in force now.  NULL where there is none.
CREATE FUNCTION onec_internal.function_arguments(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation regclass := to_regclass(format('%I.%I', server, target));
BEGIN
	RETURN (SELECT string_agg(format('f.%I = %L::%s', a.attname, v.value, a.atttypid::regtype), ' AND ')
			FROM onec.target t
			CROSS JOIN LATERAL (VALUES
				('Balance', 'dimensions_arg', (
					SELECT regexp_replace(o.option_value, '_Key(?=,|$)', '', 'g') FROM pg_foreign_table r
					CROSS JOIN LATERAL pg_options_to_table(r.ftoptions) o
					WHERE r.ftrelid = relation AND o.option_name = 'dimensions')),
				('SliceLast', 'period_arg', date_trunc('second',
														onec.local_now(function_arguments.server))::text))
				v (function, name, value)
			JOIN pg_attribute a ON a.attrelid = relation AND a.attname = v.name AND a.attnum > 0
			WHERE t.target = function_arguments.target AND v.function = t.function);
END $$;
COMMENT ON FUNCTION onec_internal.function_arguments(name, text) IS
	'С какими аргументами спрашивается виртуальная таблица регистра (служебная)';

-- What has no value in 1C, but is part of the key here: zeros, which is how 1C writes it.
CREATE FUNCTION onec_internal.no_reference() RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '00000000-0000-0000-0000-000000000000'::uuid;
COMMENT ON FUNCTION onec_internal.no_reference() IS 'Пустая ссылка 1С (служебная)';

-- SELECT list that turns rows of the foreign table into rows of the local one, in the order of field_source;
-- words that the local table has numbers of are still words.  "grouped": by which of them balances are added
-- up.
CREATE FUNCTION onec_internal.stage_select_list(server name, target text, OUT list text, OUT grouped text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	adds boolean := (onec_internal.target_named(target)).function IS NOT DISTINCT FROM 'Balance';
BEGIN
	SELECT string_agg(format(CASE WHEN k.is_filled THEN 'coalesce(%s, onec_internal.no_reference())'
								  ELSE '%s' END,
		CASE
			WHEN a.attname IS NULL AND f.kind = 'type' THEN '''''::text'
			WHEN a.attname IS NULL THEN 'NULL::' || onec_internal.type_of_kind(f.kind)
			WHEN f.kind = 'rows' THEN onec_internal.tabular_part($1, $2, f.field)
			WHEN f.kind = 'ref' AND a.atttypid = 'text'::regtype
				THEN format('onec_internal.reference_uuid(f.%I)', f.field)
			WHEN f.kind = 'type' THEN format('onec_internal.type_word(f.%I)', f.field)
			WHEN f.empty IS NOT NULL THEN format('coalesce(f.%I, %L)', f.field, f.empty)
			ELSE format(CASE WHEN adds AND f.kind = 'numeric' THEN 'sum(f.%I::%s)' ELSE 'f.%I::%s' END,
						f.field, onec_internal.type_of_kind(f.kind))
		END) || format(' AS %I', f.field), ', ' ORDER BY f.ordinal),
		   'GROUP BY ' || string_agg(f.place::text, ', ' ORDER BY f.ordinal)
			   FILTER (WHERE adds AND f.kind <> 'numeric')
	INTO list, grouped
	FROM (SELECT s.*, row_number() OVER (ORDER BY s.ordinal) AS place
		  FROM onec_internal.staged_fields(server, target) s) f
	CROSS JOIN LATERAL (SELECT f.kind = 'ref' AND NOT f.is_key
							AND onec_internal.is_part_of_key(f.target, f.field) AS is_filled) k
	LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', server, stage_select_list.target))
		AND a.attname = f.field AND a.attnum > 0 AND NOT a.attisdropped;
END $$;
COMMENT ON FUNCTION onec_internal.stage_select_list(name, text) IS
	'Выражения, которыми строки 1С становятся местными (служебная)';

-- The columns of pg_temp.onec_stage, made of what onec_internal.stage_select_list gives as r: with numbers in
-- place of words and references where the local table has them, through "joins".  One that has no number yet
-- gets one.  The document of a sale is not there twice where it is the recorder.
CREATE FUNCTION onec_internal.stage_columns(server name, target text, OUT list text, OUT joins text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT string_agg(format(CASE
			WHEN f.type = 'onec_internal.term_number'::regtype
				THEN 'coalesce(%1$I.number, onec_internal.new_term(%2$s))::%3$s AS %1$I'
			WHEN f.type = 'onec_internal.reference_number'::regtype
				THEN 'coalesce(%1$I.number, onec_internal.new_reference(%2$s))::%3$s AS %1$I'
			WHEN f.kind = 'bigint' THEN '%2$s::%3$s AS %1$I'
			ELSE '%2$s AS %1$I' END, f.field, f.value, format_type(f.type, NULL)), ', ' ORDER BY f.ordinal),
		string_agg(format(CASE f.type
			WHEN 'onec_internal.term_number'::regtype
				THEN ' LEFT JOIN onec_internal.term %1$I ON %1$I.word = %2$s'
			WHEN 'onec_internal.reference_number'::regtype
				THEN ' LEFT JOIN onec_internal.reference %1$I ON %1$I.id = %2$s' END, f.field, f.value), '')
	INTO list, joins
	FROM (SELECT s.field, s.kind, s.ordinal, a.atttypid AS type,
				 CASE WHEN s.field = 'document_id' AND onec_internal.has_buyer(s.target)
					  THEN format('CASE WHEN NOT %s THEN r.document_id END', o.is_own)
					  WHEN s.field = 'document_type' AND onec_internal.has_buyer(s.target)
					  THEN format('CASE WHEN %s THEN ''recorder'' ELSE r.document_type END', o.is_own)
					  ELSE format('r.%I', s.field) END AS value
		  FROM onec_internal.staged_fields(server, target) s
		  CROSS JOIN (VALUES ('onec_internal.is_own_document(r.document_id, r.document_type, r.recorder, '
							  'r.recorder_type)')) o (is_own)
		  LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(onec_internal.table_of_target(s.target))
			  AND a.attname = s.field AND a.attnum > 0) f;
	IF onec_internal.has_buyer(target) THEN
		list := list || format(', %s::onec_internal.term_number AS register, '
			'CASE WHEN r.customer_id IS NULL THEN %s ELSE %s END::onec_internal.term_number AS attribution',
			onec_internal.own_term('sales'), onec_internal.own_term('anonymous'),
			onec_internal.own_term('counterparty'));
	END IF;
	IF onec_internal.has_copies(target) THEN
		list := list || ', 0::smallint AS copy';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.stage_columns(name, text) IS
	'Столбцы прочитанных строк: слова заменены номерами (служебная)';

-- Temporary tables that every window needs are made once for the windows of a step, and emptied by each
-- COMMIT: made for each of them, they would leave a catalog full of dead rows.  Whether the session has such
-- a table, made by the same "shape"; it is emptied.  Another of that name is dropped.
CREATE FUNCTION onec_internal.take_table_again(tab name, shape text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	filled boolean;
BEGIN
	IF to_regclass('pg_temp.' || tab) IS NULL THEN
		RETURN false;
	ELSIF current_setting('onec_internal.' || tab, true) IS DISTINCT FROM shape THEN
		EXECUTE format('DROP TABLE pg_temp.%I', tab);
		RETURN false;
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.%I)', tab) INTO filled;
	IF filled THEN
		EXECUTE format('TRUNCATE pg_temp.%I', tab);
	END IF;
	RETURN true;
END $$;
COMMENT ON FUNCTION onec_internal.take_table_again(name, text) IS
	'Есть ли уже такая временная таблица; она пуста (служебная)';

-- Fill a temporary table by a query.
CREATE FUNCTION onec_internal.fill_table(tab name, shape text, query text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT onec_internal.take_table_again(tab, shape) THEN
		EXECUTE format('CREATE TEMPORARY TABLE %I ON COMMIT DELETE ROWS AS %s WITH NO DATA', tab, query);
		PERFORM set_config('onec_internal.' || tab, shape, false);
	END IF;
	RETURN onec_internal.insert_many(format('pg_temp.%I', tab)::regclass, query);
END $$;
COMMENT ON FUNCTION onec_internal.fill_table(name, text, text) IS
	'Заполнить временную таблицу запросом (служебная)';

-- The column of a foreign table that is DataVersion.
CREATE FUNCTION onec_internal.version_column(server name, target text) RETURNS name
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT a.attname FROM pg_foreign_table f JOIN pg_attribute a ON a.attrelid = f.ftrelid
			WHERE f.ftrelid = to_regclass(format('%I.%I', server, target)) AND NOT a.attisdropped
			  AND 'property=DataVersion' = ANY (a.attfdwoptions)
			  AND 'missing_property=null' <> ALL (a.attfdwoptions)
			ORDER BY a.attnum LIMIT 1);
END $$;
COMMENT ON FUNCTION onec_internal.version_column(name, text) IS
	'Столбец внешней таблицы с DataVersion (служебная)';

-- Read the rows of a condition into a temporary table: all, or those that "part" (LIMIT and OFFSET) says;
-- with "versions", with the version of each, see 47_versions.sql.
-- Values are worked out once, before numbers are looked up; which of the two sides of that is kept in memory
-- the planner, who does not know how many rows will come, may get wrong.
CREATE FUNCTION onec_internal.stage_rows(server name, target text, condition text, part text DEFAULT '',
										 into_table text DEFAULT 'onec_stage',
										 versions boolean DEFAULT false)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
DECLARE
	made record;
	value record;
	shape text := target || CASE WHEN versions THEN ' with versions' ELSE '' END;
BEGIN
	PERFORM onec_internal.new_server_number(server);
	SELECT * INTO made FROM onec_internal.stage_columns(server, target);
	SELECT * INTO value FROM onec_internal.stage_select_list(server, target);
	RETURN onec_internal.fill_table(into_table, shape, format(
		'SELECT %s AS server, %s FROM (SELECT %s FROM %I.%I f WHERE %s %s %s) r%s',
		onec_internal.server_in(onec_internal.table_of_target(target), server),
		made.list || CASE WHEN versions THEN ', r.onec_version' ELSE '' END,
		value.list || CASE WHEN versions THEN format(', f.%I::text AS onec_version',
													 onec_internal.version_column(server, target))
						   ELSE '' END,
		server, target, concat_ws(' AND ', condition, onec_internal.function_arguments(server, target)),
		value.grouped, coalesce(nullif(part, ''), 'OFFSET 0'), made.joins));
END $$;
COMMENT ON FUNCTION onec_internal.stage_rows(name, text, text, text, text, boolean) IS
	'Прочитать строки 1С во временную таблицу (служебная)';

-- How the last reading of a target went; see onec_internal.recent_readings.  Rows of one page that are nested
-- in their recorders do not come twice by themselves.
CREATE FUNCTION onec_internal.last_reading(server name, target text, OUT pages bigint, OUT page_rows bigint,
										   OUT by_skip boolean,
										   OUT filtered boolean, OUT lacked text[], OUT twice bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	foreign_table regclass := onec_internal.foreign_table(server, target);
BEGIN
	SELECT r.pages, r.page_rows, r.by_skip, r.filtered, r.lacked, r.twice INTO pages, page_rows, by_skip,
		   filtered, lacked, twice
	FROM onec_internal.recent_readings() r WHERE r.relation = foreign_table ORDER BY r.number DESC LIMIT 1;
	IF twice IS NULL OR twice > 0 AND onec_internal.is_nested(server, target) THEN
		twice := 0;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.last_reading(name, text) IS
	'Как прошло последнее чтение таблицы (служебная)';

-- The documents of staged sales that are the recorders: each written out, as 1C has it, or not there twice.
CREATE FUNCTION onec_internal.write_out_own_documents(twice boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF twice THEN
		UPDATE pg_temp.onec_stage s SET document_id = s.recorder, document_type = s.recorder_type
		WHERE s.document_type = onec_internal.own_term('recorder');
	ELSE
		UPDATE pg_temp.onec_stage s SET document_id = NULL, document_type = onec_internal.own_term('recorder')
		WHERE s.document_id = s.recorder AND s.document_type = s.recorder_type;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.write_out_own_documents(boolean) IS
	'Документы, которые сами регистраторы, у прочитанных строк: полностью или кратко (служебная)';

-- A value is emptied only by a row that has the property: where rows of the last reading lacked some
-- ("holes") that others had, what is here stays.  Returns how many rows of pg_temp.onec_stage it concerns.
CREATE FUNCTION onec_internal.keep_lacking_values(server name, target text, holes text[]) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	documents boolean := onec_internal.has_buyer(target) AND holes && '{document_id,document_type}';
	part record;
	filled bigint := 0;
BEGIN
	IF holes IS NULL OR holes = '{}' THEN
		RETURN 0;
	END IF;
	SELECT string_agg(format('%1$I = CASE WHEN nullif(s.%2$I::text, %3$L) IS NULL THEN %4$s ELSE s.%1$I END',
							 c.name, c.hole, c.nothing, c.here), ', ') AS set_list,
		   string_agg(format('nullif(s.%1$I::text, %2$L) IS NULL '
							 'AND nullif((%3$s)::text, %2$L) IS NOT NULL',
							 c.hole, c.nothing, c.here), ' OR ') AS emptied
	INTO part
	FROM (SELECT DISTINCT a.attname AS hole, x.name,
				 CASE WHEN a.atttypid = 'onec_internal.term_number'::regtype
					  THEN onec_internal.own_term('')::text ELSE '' END AS nothing,
				 CASE WHEN documents AND x.name = 'document_id'
					  THEN 'onec_internal.line_document(t.document_id, t.document_type, t.recorder)'
					  WHEN documents AND x.name = 'document_type'
					  THEN 'onec_internal.line_document_type(t.document_type, t.recorder_type)'
					  ELSE format('t.%I', x.name) END AS here
		  FROM pg_attribute a
		  -- whose line it is was said by the column that is lacking
		  CROSS JOIN LATERAL (SELECT a.attname AS name UNION SELECT 'attribution'
							  WHERE onec_internal.has_buyer(target) AND a.attname = 'customer_id') x
		  JOIN pg_attribute s ON s.attrelid = to_regclass('pg_temp.onec_stage') AND s.attname = x.name
			  AND s.attnum > 0
		  WHERE a.attrelid = tab AND a.attname = ANY (holes) AND a.attnum > 0 AND NOT a.attisdropped) c;
	IF part.set_list IS NULL THEN
		RETURN 0;
	END IF;
	IF documents THEN
		PERFORM onec_internal.write_out_own_documents(true);
	END IF;
	EXECUTE format('UPDATE pg_temp.onec_stage s SET %s FROM %s t WHERE t.server = '
				   '%s AND (%s) = (%s) AND (%s)', part.set_list, tab,
		onec_internal.server_in(tab::text, server),
		onec_internal.stage_key_columns(target, 's'), onec_internal.stage_key_columns(target, 't'),
		part.emptied);
	GET DIAGNOSTICS filled = ROW_COUNT;
	IF documents THEN
		PERFORM onec_internal.write_out_own_documents(false);
	END IF;
	RETURN filled;
END $$;
COMMENT ON FUNCTION onec_internal.keep_lacking_values(name, text, text[]) IS
	'Оставить значения, свойств которых у прочитанных строк не было (служебная)';

CREATE FUNCTION onec_internal.foreign_table(server name, target text) RETURNS regclass
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN to_regclass(format('%I.%I', server,
							  target || CASE WHEN onec_internal.is_nested(server, target) THEN '_set'
											 ELSE '' END));
END $$;
COMMENT ON FUNCTION onec_internal.foreign_table(name, text) IS
	'Внешняя таблица, из которой читается эта (служебная)';

-- The key of a target as pg_temp.onec_stage has it before rows are numbered.
CREATE FUNCTION onec_internal.stage_key_columns(target text, alias text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
BEGIN
	RETURN (SELECT string_agg(format('%s.%I', alias, a.attname), ', ' ORDER BY a.attnum)
			FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
			WHERE i.indrelid = tab AND i.indisprimary AND a.attname NOT IN ('server', 'copy', 'person_id'));
END $$;
COMMENT ON FUNCTION onec_internal.stage_key_columns(text, text) IS 'Ключ прочитанных строк (служебная)';

-- Those of what 1C writes as a whole, a document, of "alias" if that is given.
CREATE FUNCTION onec_internal.stage_unit_columns(target text, alias text DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT string_agg(concat_ws('.', alias, quote_ident(u)), ', ')
			FROM unnest(onec_internal.unit_columns(target)) u);
END $$;
COMMENT ON FUNCTION onec_internal.stage_unit_columns(text, text) IS
	'Столбцы документа у прочитанных строк (служебная)';

-- SQL for "row a of the local table says what row b of pg_temp.onec_stage says", keys aside.
CREATE FUNCTION onec_internal.same_row_condition(target text, a text, b text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(format('%s.%I IS NOT DISTINCT FROM %s.%I', $2, t.attname, $3, t.attname),
					  ' AND ' ORDER BY t.attnum)
	FROM pg_attribute t JOIN pg_attribute s ON s.attrelid = to_regclass('pg_temp.onec_stage')
		AND s.attname = t.attname AND s.attnum > 0
	WHERE t.attrelid = onec_internal.table_of_target($1)::regclass AND t.attnum > 0 AND NOT t.attisdropped
$$;
COMMENT ON FUNCTION onec_internal.same_row_condition(text, text, text) IS
	'Условие: местная строка равна прочитанной (служебная)';

-- The columns that the local table and the staged rows have in common.
CREATE FUNCTION onec_internal.columns_in_common(target text, a text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(format('%s.%I', $2, t.attname), ', ' ORDER BY t.attnum)
	FROM pg_attribute t JOIN pg_attribute s ON s.attrelid = to_regclass('pg_temp.onec_stage')
		AND s.attname = t.attname AND s.attnum > 0
	WHERE t.attrelid = onec_internal.table_of_target($1)::regclass AND t.attnum > 0 AND NOT t.attisdropped
$$;
COMMENT ON FUNCTION onec_internal.columns_in_common(text, text) IS
	'Общие столбцы местной таблицы и прочитанного (служебная)';

-- The rows of a window.  Rows with an empty date belong to the window that is open to the past.
CREATE FUNCTION onec_internal.window_condition(target text, from_ts timestamp, till_ts timestamp) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	field name := onec_internal.date_column(target);
BEGIN
	RETURN coalesce(nullif(concat_ws(' AND ',
			CASE WHEN from_ts > onec_internal.first_moment()
				 THEN format('%I >= %L::timestamp', field, from_ts) END,
			CASE WHEN till_ts < onec_internal.last_moment() THEN
				format(CASE WHEN from_ts <= onec_internal.first_moment()
							THEN '(%I < %L::timestamp) IS NOT FALSE' ELSE '%I < %L::timestamp' END,
					   field, till_ts) END),
		''), 'true');
END $$;
COMMENT ON FUNCTION onec_internal.window_condition(text, timestamp, timestamp) IS
	'Условие на строки окна (служебная)';
