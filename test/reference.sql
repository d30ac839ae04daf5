-- What test/reference writes of: one line of JSON with all that is public in the catalog.  A type has the name that a
-- user would write.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = pg_catalog;
LOAD 'onec_fdw';
SELECT json_build_object(
	'functions', (
		SELECT json_agg(json_build_object(
			'name', p.proname, 'kind', p.prokind, 'arguments', pg_get_function_arguments(p.oid),
			'result', pg_get_function_result(p.oid), 'comment', obj_description(p.oid, 'pg_proc'),
			'unnamed', p.pronargs > 0 AND (p.proargnames IS NULL OR '' = ANY (p.proargnames)),
			'everyone', has_function_privilege('public', p.oid, 'EXECUTE'))
			ORDER BY p.proname COLLATE "C", p.pronargs)
		FROM pg_proc p WHERE p.pronamespace = 'onec'::regnamespace),
	'relations', (
		SELECT json_agg(json_build_object(
			'name', c.relname, 'kind', c.relkind, 'comment', obj_description(c.oid, 'pg_class'),
			'columns', (
				SELECT json_agg(json_build_object(
					'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
					'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum)
				FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
			ORDER BY c.relname COLLATE "C")
		FROM pg_class c WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')),
	'settings', (
		SELECT json_agg(json_build_object(
			'name', s.key, 'type', s.type, 'initial', s.initial, 'choices', s.choices, 'lowest', s.lowest,
			'highest', s.highest, 'comment', s.description) ORDER BY s.key COLLATE "C")
		FROM onec.setting s),
	'session', (
		SELECT json_agg(json_build_object(
			'name', s.name, 'type', s.vartype, 'initial', s.boot_val, 'context', s.context,
			'comment', concat_ws(' ', s.short_desc, s.extra_desc)) ORDER BY s.name)
		FROM pg_settings s WHERE s.name LIKE 'onec\_fdw.%'));
