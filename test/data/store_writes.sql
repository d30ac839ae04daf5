-- Rows put into the store by hand, for tests: INSTEAD OF triggers for the views of the large tables, which only a
-- sync fills (sql/install/30_store/10_tables.sql).  Words become numbers, and whose a row is follows from it.
-- Read by test/run for the regression tests, and by OnecTest->writable for those in Perl.
DO $$
DECLARE
	tab record;
BEGIN
	FOR tab IN
		SELECT c.oid, c.relname, c.oid::regclass AS name,
			   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
			   string_agg(CASE
					WHEN a.attname = 'server' THEN 'onec_internal.new_server_number($1.server)'
					WHEN a.attname = 'copy' THEN 'coalesce($1.copy, 0)'
					WHEN a.attname = 'person_id' THEN 'onec_internal.person_of_line(onec_internal.new_term('
						'$1.attribution), $1.customer_id, $1.card_id, $1.recorder)'
					WHEN a.attname = 'document_id' AND c.relname = 'sale_line'
						THEN format('CASE WHEN NOT %s THEN $1.document_id END', own.document)
					WHEN a.attname = 'document_type' AND c.relname = 'sale_line'
						THEN format('onec_internal.new_term(CASE WHEN %s THEN ''recorder'' ELSE $1.document_type END)', own.document)
					WHEN a.atttypid = 'onec_internal.term_number'::regtype
						THEN format('onec_internal.new_term($1.%I)', a.attname)
					WHEN a.atttypid = 'onec_internal.reference_number'::regtype
						THEN format('onec_internal.new_reference($1.%I)', a.attname)
					ELSE format('$1.%I', a.attname) END, ', ' ORDER BY a.attnum) AS fields,
			   string_agg(format('t.%1$I = f.%1$I', a.attname), ' AND ')
				   FILTER (WHERE a.attnum = ANY (i.indkey) AND a.attname <> 'person_id') AS known_by
		FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		CROSS JOIN (VALUES ('onec_internal.is_own_document($1.document_id, $1.document_type, $1.recorder, $1.recorder_type)')) own (document)
		JOIN pg_class v ON v.relname = c.relname AND v.relnamespace = 'onec'::regnamespace AND v.relkind = 'v'
		WHERE c.relnamespace = 'onec_internal'::regnamespace GROUP BY c.oid, c.relname
	LOOP
		EXECUTE format('CREATE FUNCTION public.write_%2$s() RETURNS trigger LANGUAGE plpgsql AS $f$
			DECLARE
				f %1$s;
			BEGIN
				IF tg_op <> ''INSERT'' THEN
					SELECT %3$s INTO f;
					DELETE FROM %1$s t WHERE %4$s;
				END IF;
				IF tg_op <> ''DELETE'' THEN
					INSERT INTO %1$s (%5$s) SELECT %6$s;
					RETURN NEW;
				END IF;
				RETURN OLD;
			END $f$', tab.name, tab.relname, replace(tab.fields, '$1.', 'OLD.'), tab.known_by, tab.columns,
			replace(tab.fields, '$1.', 'NEW.'));
		EXECUTE format('CREATE TRIGGER write_store INSTEAD OF INSERT OR UPDATE OR DELETE ON onec.%1$I '
					   'FOR EACH ROW EXECUTE FUNCTION public.write_%1$s()', tab.relname);
	END LOOP;
END $$;

-- pg_temp.onec_stage, made by hand of a view's columns, as a reading makes it: with numbers.
CREATE FUNCTION public.short_stage(target text) RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab regclass := onec_internal.table_of_target(target);
	own_document constant text := 'onec_internal.is_own_document(s.document_id, s.document_type, s.recorder, s.recorder_type)';
	fields text := (
		SELECT string_agg(CASE
				WHEN a.attname = 'server' AND a.atttypid = 'smallint'::regtype
					THEN 'onec_internal.new_server_number(s.server) AS server'
				WHEN a.attname = 'document_id' AND target = 'sale_line' THEN 'CASE WHEN NOT ' || own_document || ' THEN s.document_id END AS document_id'
				WHEN a.attname = 'document_type' AND target = 'sale_line'
					THEN format('onec_internal.new_term(CASE WHEN %s THEN ''recorder'' ELSE s.%2$I END)::onec_internal.term_number AS %2$I',
						own_document, a.attname)
				WHEN a.atttypid = 'onec_internal.term_number'::regtype
					THEN format('onec_internal.new_term(s.%1$I)::onec_internal.term_number AS %1$I', a.attname)
				WHEN a.atttypid = 'onec_internal.reference_number'::regtype
					THEN format('onec_internal.new_reference(s.%1$I)::onec_internal.reference_number AS %1$I', a.attname)
				ELSE format('s.%1$I::%2$s AS %1$I', b.attname, format_type(coalesce(a.atttypid, b.atttypid), NULL)) END,
			', ' ORDER BY b.attnum)
		FROM pg_attribute b LEFT JOIN pg_attribute a ON a.attrelid = tab AND a.attname = b.attname AND a.attnum > 0
		WHERE b.attrelid = 'pg_temp.onec_stage'::regclass AND b.attnum > 0 AND NOT b.attisdropped);
BEGIN
	EXECUTE 'CREATE TEMPORARY TABLE onec_short AS SELECT ' || fields || ' FROM pg_temp.onec_stage s';
	DROP TABLE pg_temp.onec_stage;
	ALTER TABLE pg_temp.onec_short RENAME TO onec_stage;
END $$;
