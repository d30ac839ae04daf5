-- What is wrong with a value that is to be written, by expressions of SQL: what src/sql/body.c is compared with
-- (test/t/103_outbox.pl), value by value.
CREATE FUNCTION public.value_fault_told(edm_type text, length int, value jsonb, kind text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE
		WHEN $1 = 'Collection' THEN CASE
			WHEN jsonb_typeof($3) <> 'array'
				OR jsonb_path_exists($3, 'strict $[*] ? (@.type() != "object")')
			THEN 'is a tabular part: a list of rows is expected' END
		WHEN jsonb_typeof($3) = 'null' THEN NULL
		WHEN $1 = 'Stream' THEN 'holds a file: write it as _Base64Data'
		WHEN $1 = 'Complex' OR jsonb_typeof($3) IN ('array', 'object') THEN 'takes one value'
		WHEN $1 = 'Boolean' THEN CASE WHEN jsonb_typeof($3) <> 'boolean' THEN 'is true or false' END
		WHEN $1 = 'Double' THEN CASE WHEN jsonb_typeof($3) <> 'number' THEN 'is a number' END
		WHEN $1 IN ('Int16', 'Int32', 'Int64') THEN CASE
			WHEN jsonb_typeof($3) <> 'number' THEN 'is a whole number'
			WHEN ($3 #>> '{}')::numeric <> trunc(($3 #>> '{}')::numeric)
				OR abs(($3 #>> '{}')::numeric + 0.5) > 2.0 ^ (substr($1, 4)::int - 1)
			THEN format('is a whole number of %s bits', substr($1, 4)) END
		WHEN $1 = 'DateTime' THEN CASE
			WHEN jsonb_typeof($3) <> 'string' OR ($3 #>> '{}') !~ '^[0-9]{4}(-[0-9]{2}){2}(T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]+)?)?$'
			THEN 'is a date of the base''s own clock: 2026-11-28T10:00:00, without a zone'
			WHEN ($3 #>> '{}') !~ ('^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?)?$')
			THEN 'is no day of that month, or no time of a day'
			WHEN substr($3 #>> '{}', 9, 2)::int > extract(day FROM make_date(substr($3 #>> '{}', 1, 4)::int,
				substr($3 #>> '{}', 6, 2)::int, 1) + interval '1 month -1 day')
			THEN 'is no day of that month, or no time of a day' END
		WHEN $1 = 'Binary' THEN CASE
			WHEN jsonb_typeof($3) <> 'string' OR ($3 #>> '{}') !~ '^[A-Za-z0-9+/\s]*={0,2}$'
			THEN 'is binary: base64 is expected' END
		WHEN $1 = 'Composite' AND (($3 #>> '{}') = '' OR $4 = 'StandardODATA.Undefined') THEN NULL
		WHEN $1 = 'Composite' AND $4 IS NULL
			THEN 'may be of several types: name the one in the property of its name and _Type'
		WHEN $1 = 'Guid' OR $1 = 'Composite'
			AND $4 ~ '^StandardODATA\.(Catalog|Document|ChartOf\w*|ExchangePlan|BusinessProcess|Task)_'
		THEN CASE
			WHEN jsonb_typeof($3) <> 'string' OR ($3 #>> '{}') !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
			THEN 'is a reference: a UUID is expected' END
		WHEN $1 = 'Composite' THEN CASE
			WHEN $4 !~ '^(StandardODATA|Edm)\.' THEN 'has a type that is none of 1C''s' END
		WHEN jsonb_typeof($3) <> 'string' THEN 'is a text'
		WHEN $2 > 0 AND length($3 #>> '{}') > $2 THEN format('is a text of %s characters at most', $2) END;

CREATE TABLE public.values_told (value jsonb);
INSERT INTO public.values_told
SELECT v::jsonb FROM unnest(ARRAY['null', 'true', '0', '-0.0', '1.0', '1.5', '32767', '32768', '-32768', '-32769', '2147483647',
	'2147483648', '-2147483648', '-2147483649', '9223372036854775807', '9223372036854775808', '-9223372036854775808',
	'-9223372036854775809', '1e300', '1e-300', '[]', '{}', '[1]', '[{}]', '[{}, []]', '[{"a": 1}, {}]', '[null]', '{"a": []}']) v
UNION ALL
SELECT to_jsonb(v) FROM unnest(ARRAY['', ' ', '1', 'true', 'null', 'текст', '00000000-0000-0000-0000-000000000000',
	'677ed106-d185-5ac0-b0fa-605acc8abdc9', '677ED106-D185-5AC0-B0FA-605ACC8ABDC9', '677ed106d1855ac0b0fa605acc8abdc9',
	'{677ed106-d185-5ac0-b0fa-605acc8abdc9}', '677ed106-d185-5ac0-b0fa-605acc8abdcg', '677ed106-d185-5ac0-b0fa-605acc8abdc',
	'677ed106-d185-5ac0-b0fa-605acc8abdc90', '677ed106-d185-5ac0-b0fa_605acc8abdc9', 'QUJD', 'QUI=', 'QQ==', 'Q===', '=', '==', 'QU JD',
	E'QU\nJD', 'QU-D', 'QУJD', '=QUJ', '2026-11-28', '2026-11-28T10:00:00', '2026-11-28T10:00', '2026-11-28 10:00:00',
	'2026-11-28T10:00:00Z', '2026-11-28T10:00:00+03:00', '2026-11-28T10:00:00.5', '2026-11-28T10:00:00.123456', '2026-11-28T10:00:00.',
	'2026-11-28T', '2026-02-29', '2024-02-29', '1900-02-29', '2000-02-29', '2026-04-31', '2026-12-31T23:59:59', '2026-00-10',
	'2026-1-1', '0000-01-01', '0001-01-01', '0001-01-01T00:00:00', '9999-12-31T23:59:59', '10000-01-01', '-001-01-01', '28.11.2026',
	'2026-11-28T10:0a:00', '2026-11-28T24:00:00', '2026-11-28T23:60:00', '2026-13-01', '２０２６-11-28', 'infinity', 'today']) v;
CREATE TABLE public.kinds_told (kind text);
INSERT INTO public.kinds_told VALUES (NULL), (''), ('StandardODATA.Undefined'), ('StandardODATA.Catalog_Товары'), ('StandardODATA.Catalog'),
	('StandardODATA.Document_Заказ'), ('StandardODATA.ChartOfAccounts_План'), ('StandardODATA.ChartOfAccounts'), ('StandardODATA.Task_Т'),
	('StandardODATA.ExchangePlan_П'), ('StandardODATA.BusinessProcess_Б'), ('StandardODATA.Enum_Виды'), ('StandardODATA.'), ('StandardODATA'),
	('Edm.String'), ('Edm'), ('Номенклатура'), ('Catalog_Товары');
CREATE TABLE public.types_told (edm_type text);
INSERT INTO public.types_told VALUES ('String'), ('Guid'), ('Double'), ('Boolean'), ('DateTime'), ('Composite'), ('Collection'), ('Int16'),
	('Int32'), ('Int64'), ('Binary'), ('Stream'), ('Complex'), ('Unknown');
