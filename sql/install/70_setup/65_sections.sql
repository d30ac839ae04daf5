-- Tabular parts of mirrored objects as tables of their own.  The object's row has the part as 1C sends it, in
-- a column of jsonb; triggers make the table of its lines equal to that, in the transaction that writes the
-- row: so a window is atomic with its lines, and forget and purge need not know of them.

-- The select list that makes a row of a section of the element "r" of the array; n is the object's row.
CREATE FUNCTION onec_internal.section_values(target text, field name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(CASE
		WHEN f.field = s.owner_key THEN format('n.%I', s.owner_key)
		WHEN f.kind = 'jsonb' THEN format('r.value -> %L', f.candidates[1])
		WHEN f.kind = 'bytea' THEN format('decode(r.value ->> %L, ''base64'')', f.candidates[1])
		WHEN f.candidates = '{LineNumber}'
			THEN format('coalesce((r.value ->> ''LineNumber'')::%s, r.place)', f.kind)
		ELSE onec_internal.nested_value_expression(f.candidates, f.kind, NULL) END
		|| format(' AS %I', f.field), ', ' ORDER BY f.ordinal)
	FROM onec_internal.mirror_section s
	JOIN onec.field_source f ON f.target = concat_ws('.', s.target, s.field)
	WHERE s.target = $1 AND s.field = $2
$$;
COMMENT ON FUNCTION onec_internal.section_values(text, name) IS
	'Выражения: строка табличной части (служебная)';

-- Write the rows of a section of the objects in onec_new; with "changed", only those whose section differs
-- from that in onec_old.  Lines that stay as they were are not written.
CREATE FUNCTION onec_internal.section_statement(s onec_internal.mirror_section, tab regclass,
												changed boolean) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH list AS MATERIALIZED (
		SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
			   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE k.is_key) AS key,
			   string_agg(format('l.%1$I = w.%1$I', a.attname), ' AND ') FILTER (WHERE k.is_key) AS same,
			   string_agg(format('%1$I = excluded.%1$I', a.attname), ', ')
				   FILTER (WHERE NOT k.is_key) AS set,
			   string_agg(format('l.%I', a.attname), ', ' ORDER BY a.attnum) AS here,
			   string_agg(format('excluded.%I', a.attname), ', ' ORDER BY a.attnum) AS read,
			   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
				   FILTER (WHERE k.is_key AND a.attname <> 'copy') AS line
		FROM pg_attribute a
		CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $2 AND i.indisprimary
										   AND a.attnum = ANY (i.indkey)) AS is_key) k
		WHERE a.attrelid = $2 AND a.attnum > 0 AND NOT a.attisdropped
		  AND (a.attname = 'copy' OR a.attname IN (SELECT f.field FROM onec.field_source f
												   WHERE f.target = concat_ws('.', ($1).target, ($1).field))))
	SELECT format('
		WITH object AS MATERIALIZED (SELECT n.%1$I, n.%2$I FROM onec_new n %3$s),
		line AS (SELECT %4$s, r.value AS onec_value FROM object n
				 CROSS JOIN LATERAL jsonb_array_elements(n.%2$I) WITH ORDINALITY r (value, place)),
		wanted AS MATERIALIZED (
			SELECT x.*, (row_number() OVER (PARTITION BY %5$s ORDER BY x.onec_value) - 1)::smallint AS copy
			FROM line x),
		gone AS (DELETE FROM %6$s l USING object o
				 WHERE l.%1$I = o.%1$I AND NOT EXISTS (SELECT FROM wanted w WHERE %7$s))
		INSERT INTO %6$s AS l (%8$s) SELECT %8$s FROM wanted
		ON CONFLICT (%9$s) DO UPDATE SET %10$s WHERE ROW(%11$s) IS DISTINCT FROM ROW(%12$s)',
		($1).owner_key, ($1).field,
		CASE WHEN $3 THEN format('JOIN onec_old o ON o.%1$I = n.%1$I WHERE o.%2$I IS DISTINCT FROM n.%2$I',
								 ($1).owner_key, ($1).field) END,
		onec_internal.section_values(($1).target, ($1).field), i.line, $2, i.same, i.columns, i.key,
		coalesce(i.set, 'copy = excluded.copy'), i.here, i.read)
	FROM list i
$$;
COMMENT ON FUNCTION onec_internal.section_statement(onec_internal.mirror_section, regclass, boolean) IS
	'Запрос, который делает таблицу строк равной табличным частям объектов (служебная)';

-- Trigger of a mirror: the tables of its tabular parts follow, whoever writes the objects (a sync, forget,
-- their owner), in the same transaction.
CREATE FUNCTION onec_internal.spread_rows() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s onec_internal.mirror_section;
	tab regclass;
BEGIN
	FOR s IN SELECT m.* FROM onec_internal.mirror_section m JOIN onec.target t ON t.target = m.target
			 WHERE t.table_schema = tg_table_schema AND t.table_name = tg_table_name LOOP
		tab := to_regclass(format('%I.%I', s.table_schema, s.table_name));
		IF tab IS NULL THEN
			CONTINUE;
		ELSIF tg_op = 'DELETE' THEN
			EXECUTE format('DELETE FROM %1$s l USING onec_old o WHERE l.%2$I = o.%2$I', tab, s.owner_key);
		ELSE
			EXECUTE onec_internal.section_statement(s, tab, tg_op = 'UPDATE');
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.spread_rows() IS
	'Ведёт таблицы строк табличных частей зеркала (служебная)';
