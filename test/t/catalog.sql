-- What an extension put into the database, one line for each fact: object, what of it, how it is.  Two databases are alike where
-- these lines are.  The place of a column in its table is none of them: one that is added by an update comes last.
WITH member AS (
	SELECT d.classid, d.objid, i.type || ' ' || i.identity AS name
	FROM pg_depend d
	CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'onec_fdw')
	  -- composite and array types come with their tables
	  AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
					  AND (t.typrelid <> 0 AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
						   OR t.typcategory = 'A'))),
relation AS (
	SELECT m.name, c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid),
routine AS (
	SELECT m.name, p.* FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid),
given AS (
	SELECT name, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner)) AS acl FROM relation
	UNION ALL SELECT name, coalesce(proacl, acldefault('f', proowner)) FROM routine
	UNION ALL SELECT m.name, coalesce(n.nspacl, acldefault('n', n.nspowner))
	FROM member m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
	UNION ALL SELECT m.name, coalesce(f.fdwacl, acldefault('F', f.fdwowner))
	FROM member m JOIN pg_foreign_data_wrapper f ON m.classid = 'pg_foreign_data_wrapper'::regclass AND f.oid = m.objid
	UNION ALL SELECT r.name || '.' || a.attname, a.attacl
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE a.attacl IS NOT NULL),
fact (name, what, value) AS (
	SELECT name, 'is there', '' FROM member
	UNION ALL SELECT m.name, 'comment', d.description
	FROM member m JOIN pg_description d ON d.classoid = m.classid AND d.objoid = m.objid AND d.objsubid = 0
	UNION ALL SELECT g.name, 'right', i::text FROM given g CROSS JOIN LATERAL unnest(g.acl) i
	UNION ALL SELECT name, 'definition', pg_get_functiondef(oid) FROM routine WHERE prokind IN ('f', 'p')
	UNION ALL SELECT name, 'definition', pg_get_viewdef(oid) FROM relation WHERE relkind = 'v'
	UNION ALL SELECT r.name, 'definition', (to_jsonb(a) - '{aggfnoid}'::text[] || jsonb_build_object('aggtransfn', a.aggtransfn::text))::text
	FROM routine r JOIN pg_aggregate a ON a.aggfnoid = r.oid
	UNION ALL SELECT m.name, 'definition', format('%s %s %s', format_type(t.typbasetype, t.typtypmod), t.typnotnull, (
			SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype <> 'n'))
	FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid AND t.typtype = 'd'
	UNION ALL SELECT name, 'options', reloptions::text FROM relation WHERE reloptions IS NOT NULL
	UNION ALL SELECT name, 'row security', relrowsecurity::text FROM relation WHERE relkind = 'r'
	UNION ALL SELECT r.name || '.' || a.attname, 'column', format('%s %s %s %s', format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attnotnull THEN 'not null' END, pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity::text || a.attgenerated::text, ''))
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
	WHERE r.relkind IN ('r', 'p', 'v', 'c')
	UNION ALL SELECT r.name || '.' || a.attname, 'comment', col_description(r.oid, a.attnum)
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE r.relkind IN ('r', 'p', 'v') AND col_description(r.oid, a.attnum) IS NOT NULL
	-- from 18 on NOT NULL is a constraint, too
	UNION ALL SELECT r.name, 'constraint ' || k.conname, pg_get_constraintdef(k.oid)
	FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype <> 'n'
	UNION ALL SELECT r.name, 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
	FROM relation r JOIN pg_index i ON i.indrelid = r.oid
	UNION ALL SELECT r.name, 'trigger ' || t.tgname, t.tgenabled::text || pg_get_triggerdef(t.oid)
	FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
	UNION ALL SELECT r.name, 'rule ' || w.rulename, pg_get_ruledef(w.oid)
	FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid AND r.relkind = 'r'
	UNION ALL SELECT r.name, 'statistics ' || s.stxname, pg_get_statisticsobjdef(s.oid)
	FROM relation r JOIN pg_statistic_ext s ON s.stxrelid = r.oid
	UNION ALL SELECT r.name, 'dumped where', coalesce(e.extcondition[array_position(e.extconfig, r.oid)], '')
	FROM relation r JOIN pg_extension e ON e.extname = 'onec_fdw' AND r.oid = ANY (e.extconfig))
SELECT replace(concat_ws(' | ', name, what, regexp_replace(coalesce(value, ''), '\s+', ' ', 'g')), '"', '') FROM fact ORDER BY 1;
