-- What the short tables hold is what their views say.
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT t.relname, obj_description(v.oid, 'pg_class') AS table_comment, a.attname,
				 col_description(v.oid, b.attnum) AS comment
			 FROM pg_catalog.pg_class t
			 JOIN pg_catalog.pg_class v ON v.relname = t.relname AND v.relnamespace = 'onec'::regnamespace
				 AND v.relkind = 'v'
			 JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
			 LEFT JOIN pg_catalog.pg_attribute b ON b.attrelid = v.oid AND b.attname = a.attname
			 WHERE t.relnamespace = 'onec_internal'::regnamespace AND t.relkind = 'r' LOOP
		EXECUTE format('COMMENT ON TABLE onec_internal.%I IS %L', c.relname,
					   c.table_comment || ': хранение; читайте представление onec.' || c.relname);
		EXECUTE format('COMMENT ON COLUMN onec_internal.%I.%I IS %L', c.relname, c.attname, c.comment);
	END LOOP;
END $$;
COMMENT ON COLUMN onec_internal.sale_line.person_id IS
	'Чья строка: покупателя, без него карты, а если он неизвестен — документа; часть ключа';
