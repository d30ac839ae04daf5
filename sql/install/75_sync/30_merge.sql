-- The local tables made equal to what was read, writing only what differs.

-- How the local table of a target is compared with pg_temp.onec_stage: its columns as SQL, t being here and
-- s what was read.  Whose a row is (person_id) follows from the others: it is part of the key, but not of
-- what a row is known by.
CREATE FUNCTION onec_internal.merge_column_lists(tab regclass, OUT key text, OUT same_key text,
												 OUT columns text, OUT read text, OUT set_list text,
												 OUT differs text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	person constant text :=
		'onec_internal.person_of_line(s.attribution, s.customer_id, s.card_id, s.recorder)';
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE i.indexrelid IS NOT NULL),
		   string_agg(format('s.%1$I = t.%1$I', a.attname), ' AND ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL),
		   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
		   string_agg(format('%1$I = s.%1$I', a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NULL),
		   format('ROW(%s) IS DISTINCT FROM ROW(%s)',
				  string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum)
					  FILTER (WHERE i.indexrelid IS NULL),
				  string_agg(format('s.%I', a.attname), ', ' ORDER BY a.attnum)
					  FILTER (WHERE i.indexrelid IS NULL))
	INTO key, same_key, columns, set_list, differs
	FROM pg_attribute a
	JOIN pg_attribute b ON b.attrelid = to_regclass('pg_temp.onec_stage') AND b.attname = a.attname
		AND b.attnum > 0
	LEFT JOIN pg_index i ON i.indrelid = tab AND i.indisprimary AND a.attnum = ANY (i.indkey)
	WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'person_id';
	read := 's.' || replace(columns, ', ', ', s.');
	IF onec_internal.has_column(tab::text, 'person_id') THEN
		columns := columns || ', person_id';
		read := read || ', ' || person;
		set_list := set_list || ', person_id = ' || person;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.merge_column_lists(regclass) IS
	'Столбцы местной таблицы для сравнения с прочитанным (служебная)';

-- What differs between the rows of the local table that satisfy "scope" and the staged ones (all rows, and
-- none is missing, if it is NULL), into pg_temp.onec_change: mostly nothing.  A staged row may be here
-- outside of the scope: its document has got another date.  Returns how many rows differ.  "fresh": it is
-- known that they are all new; nothing is compared.
CREATE FUNCTION onec_internal.compare_with_staged(server name, target text, scope text,
												  fresh boolean DEFAULT false) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	marked boolean := onec_internal.has_deletion_mark(target);
	part record;
BEGIN
	SELECT * INTO part FROM onec_internal.merge_column_lists(tab);
	RETURN onec_internal.fill_table('onec_change', target, format(
		'SELECT s.place, t.server IS NOT NULL AS here, %9$s AS redated, %1$s
			FROM (SELECT ctid AS place, * FROM pg_temp.onec_stage) s
			%2$s JOIN (SELECT * FROM %3$s WHERE server = %4$s AND (%5$s)) t ON %6$s
			WHERE CASE WHEN t.server IS NULL THEN true WHEN s.server IS NULL THEN %7$s ELSE %8$s END
			%10$s',
		(SELECT string_agg(format('t.%s', k), ', ') FROM regexp_split_to_table(part.key, ', ') k),
		CASE WHEN scope IS NULL THEN 'LEFT' ELSE 'FULL' END, tab, onec_internal.server_in(tab::text, server),
		coalesce(scope, 'true'),
		part.same_key,
		CASE WHEN marked THEN 'NOT t.is_deleted' ELSE 'true' END,
		part.differs || CASE WHEN marked THEN ' OR t.is_deleted' ELSE '' END,
		coalesce((SELECT format('t.server IS NOT NULL AND s.place IS NOT NULL AND '
								't.%1$I IS DISTINCT FROM s.%1$I', d)
				  FROM onec_internal.date_column(target) d WHERE d IS NOT NULL), 'false'),
		CASE WHEN fresh THEN 'LIMIT 0' END));
END $$;
COMMENT ON FUNCTION onec_internal.compare_with_staged(name, text, text, boolean) IS
	'Найти отличия местной таблицы от прочитанного (служебная)';

-- Documents that were written here have got another date: where rows of theirs that were not read still
-- stand, days have to be read again, lest half of the old document stay beside the new one.
CREATE FUNCTION onec_internal.note_days_left_behind(server name, target text, same_key text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('
		WITH document AS MATERIALIZED (SELECT DISTINCT %1$s FROM pg_temp.onec_change c
									   JOIN pg_temp.onec_stage x ON x.ctid = c.place),
		behind AS MATERIALIZED (
			SELECT t.%2$I::date AS day FROM %3$s t JOIN document x ON (%1$s) = (%4$s)
			WHERE t.server = %8$s AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s WHERE %6$s))
		INSERT INTO onec_internal.sync_doubt AS d (server, target, kind, from_ts, till_ts, found, reason)
		SELECT %5$L, %7$L, ''unproven'', lower(b.days), upper(b.days), b.n, onec_internal.reason_left_behind()
		FROM (SELECT unnest(range_agg(tsrange(coalesce(day, onec_internal.first_moment()),
											  coalesce(day + 1, ''0001-01-02'')))) AS days, count(*) AS n
												  FROM behind) b
		ON CONFLICT ON CONSTRAINT sync_doubt_pkey DO UPDATE SET till_ts = greatest(d.till_ts,
			excluded.till_ts), found_at = excluded.found_at',
		onec_internal.stage_unit_columns(target, 'x'),
		onec_internal.date_column(target),
		onec_internal.table_of_target(target),
		onec_internal.stage_unit_columns(target, 't'),
		server, same_key, target,
		onec_internal.server_in(onec_internal.table_of_target(target), server));
END $$;
COMMENT ON FUNCTION onec_internal.note_days_left_behind(name, text, text) IS
	'Отметить дни, где остались строки перенесённых документов (служебная)';

CREATE FUNCTION onec_internal.reason_left_behind() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'documents have left these days for others';
COMMENT ON FUNCTION onec_internal.reason_left_behind() IS
	'Чем объясняется сомнение в днях, откуда документы перенесены (служебная)';

-- Write all that is staged, where nothing of it is here; see onec_internal.is_all_new.  By date, in whatever
-- order it came: a day's rows lie together.  Keys that another window of the step has brought are left out,
-- and counted.
CREATE FUNCTION onec_internal.write_new_rows(target text, OUT inserted bigint, OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	-- by the key, whose pages are written next: what is here grows with each window, and is not read again;
	-- memory for the rows that the triggers of the table look at
	SET enable_hashjoin = off SET enable_mergejoin = off SET work_mem = '64MB'
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	part record;
	any_here boolean;
BEGIN
	SELECT * INTO part FROM onec_internal.merge_column_lists(tab);
	-- documents are fewer than their rows, and mostly none is here: counted, for who asks whether there is
	-- any is given a plan that is quick where there are many; in the order of the key, whose pages they share
	EXECUTE format('SELECT count(*) > 0 FROM (SELECT DISTINCT s.server, %1$s FROM pg_temp.onec_stage s
											  ORDER BY s.server, %1$s) s
						JOIN %2$s t ON t.server = s.server AND (%3$s) = (%1$s)',
				   onec_internal.stage_unit_columns(target, 's'), tab,
				   onec_internal.stage_unit_columns(target, 't')) INTO any_here;
	EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %3$s FROM pg_temp.onec_stage s
						WHERE NOT %5$L OR NOT EXISTS (SELECT FROM %1$s t WHERE %4$s) %6$s',
				   tab, part.columns, part.read, part.same_key, any_here,
				   'ORDER BY s.' || quote_ident(onec_internal.date_column(target)));
	GET DIAGNOSTICS inserted = ROW_COUNT;
	left_out := (SELECT count(*) FROM pg_temp.onec_stage) - inserted;
END $$;
COMMENT ON FUNCTION onec_internal.write_new_rows(text) IS
	'Записать прочитанное, которого здесь ещё нет (служебная)';

-- Write pg_temp.onec_change, but for the new rows whose key a row t that is here has for sure, as the
-- condition "sure" says: these are left out, and counted.
CREATE FUNCTION onec_internal.write_differences(server name, target text, sure text DEFAULT 'false',
												OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
												OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target)::regclass;
	touches text[];
	part record;
	moved bigint := 0;
	todo record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	left_out := 0;
	SELECT count(*) FILTER (WHERE c.place IS NULL) AS gone,
		   count(*) FILTER (WHERE c.here AND c.place IS NOT NULL) AS changed,
		   count(*) FILTER (WHERE NOT c.here) AS new, bool_or(c.redated) AS redated INTO todo
			   FROM pg_temp.onec_change c;
	-- mostly nothing, and to plan what writes costs more than to look
	IF todo.gone + todo.changed + todo.new = 0 THEN
		RETURN;
	END IF;
	touches := onec_internal.what_target_touches(target);
	SELECT * INTO part FROM onec_internal.merge_column_lists(tab);
	PERFORM onec_internal.feed_window(server, target, false, part.same_key);
	IF onec_internal.has_deletion_mark(target) THEN
		part.set_list := part.set_list || ', is_deleted = false';
	END IF;
	IF 'customers' = ANY (touches) THEN
		PERFORM onec_internal.touch_customers_of_window(server);
	END IF;
	IF touches && '{buyers,buyers of categories,buyers of brands,buyers in stores}' THEN
		PERFORM onec_internal.touch_buyers_of_products(server, touches);
	END IF;
	IF touches && '{users,users of cards}' THEN
		PERFORM onec_internal.touch_people(server, 'users of cards' = ANY (touches));
	END IF;
	IF todo.changed > 0 THEN
		EXECUTE format('UPDATE %s t SET %s FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = '
					   'c.place WHERE c.here AND %s',
			tab, part.set_list, part.same_key);
		GET DIAGNOSTICS updated = ROW_COUNT;
	END IF;
	IF todo.gone > 0 THEN
		EXECUTE format(CASE WHEN onec_internal.has_deletion_mark(target)
							THEN 'UPDATE %s t SET is_deleted = true FROM' ELSE 'DELETE FROM %s t USING' END
			|| ' pg_temp.onec_change s WHERE s.place IS NULL AND %s', tab, part.same_key);
		GET DIAGNOSTICS deleted = ROW_COUNT;
	END IF;
	IF todo.new > 0 THEN
		EXECUTE format('UPDATE %s t SET %s FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = '
					   'c.place WHERE NOT c.here AND %s AND NOT (%s)',
			tab, part.set_list, part.same_key, sure);
		GET DIAGNOSTICS moved = ROW_COUNT;
		EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %3$s
							FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
							WHERE NOT c.here AND NOT EXISTS (SELECT FROM %1$s t WHERE %4$s)',
			tab, part.columns, part.read, part.same_key);
		GET DIAGNOSTICS inserted = ROW_COUNT;
		left_out := todo.new - inserted - moved;
	END IF;
	updated := updated + moved;
	IF todo.redated OR moved > 0 AND onec_internal.date_column(target) IS NOT NULL THEN
		PERFORM onec_internal.note_days_left_behind(server, target, part.same_key);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.write_differences(name, text, text) IS
	'Записать найденные отличия (служебная)';
