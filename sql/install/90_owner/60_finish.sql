-- What comes last in every script, this one and those of updates.

-- Comments: columns of views without any take that of the column of the same name in what the view is made
-- of (views of views take it when theirs has got one, hence the rounds), and a moment that of the local time
-- beside it.  Rights: helpers are nobody's, whatever PostgreSQL gives to everybody.
CREATE FUNCTION onec_internal.finish_script() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c record;
BEGIN
	FOR i IN 1 .. 3 LOOP
		FOR c IN
			SELECT v.oid::regclass AS view, a.attname, min(col_description(f.oid, b.attnum)) AS comment
			FROM pg_class v
			JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
			JOIN pg_rewrite r ON r.ev_class = v.oid
			JOIN (SELECT DISTINCT d.objid, d.refobjid FROM pg_depend d
				  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass) d
				ON d.objid = r.oid AND d.refobjid <> v.oid
			JOIN pg_class f ON f.oid = d.refobjid
			JOIN pg_attribute b ON b.attrelid = f.oid AND b.attname = a.attname
			WHERE v.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
			  AND v.relkind = 'v' AND col_description(v.oid, a.attnum) IS NULL
			GROUP BY 1, 2
			HAVING count(col_description(f.oid, b.attnum)) > 0
		LOOP
			EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname, c.comment);
		END LOOP;
	END LOOP;
	FOR c IN
		SELECT v.oid::regclass AS view, a.attname, col_description(v.oid, b.attnum) AS comment
		FROM pg_class v
		JOIN pg_attribute a ON a.attrelid = v.oid AND a.atttypid = 'timestamptz'::regtype
		JOIN pg_attribute b ON b.attrelid = v.oid AND a.attname = b.attname || '_tz'
		WHERE v.relnamespace = 'onec'::regnamespace AND v.relkind = 'v'
		  AND col_description(v.oid, a.attnum) IS NULL
	LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname,
			regexp_replace(c.comment, ', местн.*', '') || ', с часовым поясом базы');
	END LOOP;
	REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA onec_internal FROM PUBLIC;
END $$;
COMMENT ON FUNCTION onec_internal.finish_script() IS
	'Конец каждого скрипта расширения: комментарии и права (служебная)';

SELECT onec_internal.finish_script();
