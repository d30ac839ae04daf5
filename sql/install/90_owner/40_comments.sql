-- Columns of views that have no comment of their own take that of the column of the same name in what the
-- view is made of. Views of views take it when theirs has got one, hence the rounds.

DO $$
DECLARE
	c record;
BEGIN
	FOR i IN 1 .. 3 LOOP
		FOR c IN
			SELECT v.oid::regclass AS view, a.attname,
				   min(pg_catalog.col_description(f.oid, b.attnum)) AS comment
			FROM pg_catalog.pg_class v
			JOIN pg_catalog.pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
			JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid
			JOIN (SELECT DISTINCT d.objid, d.refobjid FROM pg_catalog.pg_depend d
				  WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
					AND d.refclassid = 'pg_catalog.pg_class'::regclass) d ON d.objid = r.oid
					AND d.refobjid <> v.oid
			JOIN pg_catalog.pg_class f ON f.oid = d.refobjid
			JOIN pg_catalog.pg_attribute b ON b.attrelid = f.oid AND b.attname = a.attname
			WHERE v.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace)
			  AND v.relkind = 'v' AND pg_catalog.col_description(v.oid, a.attnum) IS NULL
			GROUP BY 1, 2
			HAVING count(pg_catalog.col_description(f.oid, b.attnum)) > 0
		LOOP
			EXECUTE pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname, c.comment);
		END LOOP;
	END LOOP;
END $$;

-- A moment says what the local time beside it does.
DO $$
DECLARE
	c record;
BEGIN
	FOR c IN
		SELECT v.oid::regclass AS view, a.attname, pg_catalog.col_description(v.oid, b.attnum) AS comment
		FROM pg_catalog.pg_class v
		JOIN pg_catalog.pg_attribute a ON a.attrelid = v.oid
			AND a.atttypid = 'pg_catalog.timestamptz'::regtype
		JOIN pg_catalog.pg_attribute b ON b.attrelid = v.oid
			AND a.attname = pg_catalog.concat(b.attname, '_tz')
		WHERE v.relnamespace = 'onec'::regnamespace AND v.relkind = 'v'
		  AND pg_catalog.col_description(v.oid, a.attnum) IS NULL
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname,
			pg_catalog.regexp_replace(c.comment, ', местн.*', '') || ', с часовым поясом базы');
	END LOOP;
END $$;
