-- IMPORT FOREIGN SCHEMA: names, types, families, LIMIT TO and EXCEPT.
\set SHOW_CONTEXT never
\getenv port ONEC_PORT
\set url 'http://127.0.0.1:' :port '/base/odata/standard.odata'
CREATE SERVER imp FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', timezone 'Europe/Moscow');
CREATE USER MAPPING FOR CURRENT_USER SERVER imp OPTIONS (user 'demo', password 'demo');
CREATE SCHEMA i;

IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER imp INTO i;

-- every set has a table, none of them twice
SELECT count(*) > 20 AS many, count(*) = count(DISTINCT local_name) AS distinct_names
FROM onec.entity_sets('imp');
SELECT s.entity_set FROM onec.entity_sets('imp') s
WHERE NOT EXISTS (SELECT FROM pg_class c
				  WHERE c.relnamespace = 'i'::regnamespace AND c.relname = s.local_name);

-- the six sets of the document and the two bonus registers, written as in 1C
SELECT t.oid::regclass AS "table", o.option_value AS entity_set
FROM pg_class t JOIN pg_foreign_table f ON f.ftrelid = t.oid,
	pg_options_to_table(f.ftoptions) o
WHERE o.option_name = 'entity_set' AND t.oid IN (
	'i.Catalog_ДисконтныеКарты'::regclass, 'i.Catalog_Контрагенты'::regclass,
	'i.Catalog_Номенклатура'::regclass,
	'i.AccumulationRegister_Продажи_RecordType'::regclass,
	'i.AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType'::regclass,
	'i.DocumentJournal_РозничныеПродажи'::regclass,
	'i.AccumulationRegister_БонусныеБаллы_RecordType'::regclass,
	'i.AccumulationRegister_НачисленияБонусныхБаллов_RecordType'::regclass)
ORDER BY 1;

-- columns: types, real names, the key
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attfdwoptions
FROM pg_attribute a WHERE a.attrelid = 'i.AccumulationRegister_Продажи_RecordType'::regclass AND a.attnum > 0
ORDER BY a.attnum;
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'i.AccumulationRegister_Продажи_RecordType'::regclass;

-- a family; lists by local and by real name
CREATE SCHEMA i2;
IMPORT FOREIGN SCHEMA "DocumentJournal" FROM SERVER imp INTO i2;
SELECT relname FROM pg_class WHERE relnamespace = 'i2'::regnamespace ORDER BY 1;
IMPORT FOREIGN SCHEMA "StandardODATA" LIMIT TO (Catalog_Контрагенты, "Catalog_Номенклатура")
	FROM SERVER imp INTO i2;
SELECT relname FROM pg_class WHERE relnamespace = 'i2'::regnamespace ORDER BY 1;
DROP SCHEMA i2 CASCADE;
CREATE SCHEMA i2;
IMPORT FOREIGN SCHEMA "DocumentJournal" EXCEPT (DocumentJournal_РозничныеПродажи) FROM SERVER imp INTO i2;
SELECT relname FROM pg_class WHERE relnamespace = 'i2'::regnamespace ORDER BY 1;
IMPORT FOREIGN SCHEMA "Document" LIMIT TO ("Document_ЧекККМ") FROM SERVER imp INTO i2
	OPTIONS (names 'exact', tabular 'off', functions 'off');
SELECT relname FROM pg_class WHERE relnamespace = 'i2'::regnamespace ORDER BY 1;

IMPORT FOREIGN SCHEMA "Katalog" FROM SERVER imp INTO i2;
IMPORT FOREIGN SCHEMA "Catalog" FROM SERVER imp INTO i2 OPTIONS (names 'upper');
IMPORT FOREIGN SCHEMA "Catalog" FROM SERVER imp INTO i2 OPTIONS (nmes 'exact');

-- with Russian comments
CREATE SCHEMA i3;
SELECT onec.import_schema('imp', 'i3', 'DocumentJournal');
SELECT relname, obj_description(oid) IS NOT NULL AS described FROM pg_class
WHERE relnamespace = 'i3'::regnamespace;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA i, i2, i3 CASCADE;
DROP SERVER imp CASCADE;
