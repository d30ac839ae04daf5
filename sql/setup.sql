-- onec.setup and onec.diagnose on a base that has everything, on one that lacks sets, and on none.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\getenv port ONEC_PORT
\getenv control ONEC_CONTROL_PORT
\set url 'http://127.0.0.1:' :port '/base'
CREATE SERVER dia FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', retries '0');
SELECT * FROM onec.diagnose('nowhere');
SELECT status, detail ~ 'user mapping' AS told FROM onec.diagnose('dia');
CREATE USER MAPPING FOR CURRENT_USER SERVER dia OPTIONS (user 'demo', password 'wrong-secret77');
SELECT status, detail ~ 'login' AS told, detail ~ 'secret77' AS leaked, advice FROM onec.diagnose('dia');
ALTER USER MAPPING FOR CURRENT_USER SERVER dia OPTIONS (SET password 'demo');

SELECT target, status, columns, missing FROM onec.setup('dia');
SELECT "check", status, detail, advice FROM onec.diagnose('dia')
WHERE detail !~ '\d{4}-' AND "check" !~ '30 days|future' ORDER BY 1;
-- W19: where nothing may be written the same is found, but what only an option would show
SELECT count(*) AS found, bool_or("check" = 'values of several types') AS several
FROM onec.diagnose('dia') \gset
BEGIN READ ONLY;
SELECT count(*) = :found AS same, :'several' AS several FROM onec.diagnose('dia');
SELECT "check", status, detail FROM onec.diagnose('dia') WHERE detail ~ 'may write';
COMMIT;
-- every table and column of the shop is described
SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'dia'::regnamespace AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL;

-- again: nothing is made anew, so options, rights and views stay
ALTER FOREIGN TABLE dia.product OPTIONS (ADD page_size '77');
CREATE ROLE regress_reads_products;
GRANT USAGE ON SCHEMA dia TO regress_reads_products;
GRANT SELECT ON dia.product TO regress_reads_products;
CREATE VIEW public.dear_products AS SELECT name FROM dia.product;
SELECT status, count(*) FROM onec.setup('dia') GROUP BY 1;
SELECT ftoptions, has_table_privilege('regress_reads_products', ftrelid, 'SELECT') AS readable
FROM pg_foreign_table WHERE ftrelid = 'dia.product'::regclass;
-- L1: another set, with fewer properties: what nobody uses is dropped, what a view uses is kept and reads
-- NULL
ALTER FOREIGN TABLE dia.product ADD COLUMN mine text OPTIONS (property 'Description');
CREATE OR REPLACE VIEW public.dear_products AS SELECT name, brand_id FROM dia.product;
SELECT onec.set('endpoint.product', 'Catalog_Организации', 'dia');
SELECT entity_set, status, missing, changes FROM onec.setup('dia') WHERE target = 'product';
SELECT status, changes FROM onec.setup('dia') WHERE target = 'product';
SELECT count(*) > 0 AS rows, count(brand_id) AS brands FROM public.dear_products;
SELECT count(*) FROM dia.product WHERE brand_id IS NOT NULL OR name <> mine;
SELECT ftoptions, has_table_privilege('regress_reads_products', ftrelid, 'SELECT') AS readable
FROM pg_foreign_table WHERE ftrelid = 'dia.product'::regclass;
SELECT onec.set('endpoint.product', NULL, 'dia');
SELECT entity_set, status, missing, changes FROM onec.setup('dia') WHERE target = 'product';
SELECT count(brand_id) > 0 AS brands FROM public.dear_products;
-- a set that is not published any more, while a view needs its table
SELECT onec.set('endpoint.product', 'Catalog_Нет', 'dia');
SELECT status, columns, changes FROM onec.setup('dia') WHERE target = 'product';
SELECT onec.set('endpoint.product', NULL, 'dia');
-- a view holds the type of its column: the base is left as it was
UPDATE onec.field_source SET candidates = '{IsFolder}' WHERE (target, field) = ('product', 'name');
UPDATE onec.field_source SET candidates = '{Code}' WHERE (target, field) = ('category', 'name');
SELECT count(*) FROM onec.setup('dia');
SELECT count(*) FROM pg_attribute
WHERE attrelid = 'dia.category'::regclass AND attname = 'name' AND attfdwoptions @> '{property=Code}';
UPDATE onec.field_source SET candidates = '{Description}'
WHERE (target, field) IN (('product', 'name'), ('category', 'name'));
DROP VIEW public.dear_products;
REVOKE ALL ON SCHEMA dia FROM regress_reads_products;
REVOKE ALL ON dia.product FROM regress_reads_products;
DROP ROLE regress_reads_products;
-- what setup has not made it does not drop: a view, a table, a foreign table of the same server
DROP FOREIGN TABLE dia.store;
CREATE VIEW dia.store AS SELECT 1 AS mine;
SELECT count(*) FROM onec.setup('dia');
DROP VIEW dia.store;
CREATE FOREIGN TABLE dia.store (mine text OPTIONS (property 'Description')) SERVER dia OPTIONS
	(entity_set 'Catalog_Организации');
SELECT count(*) FROM onec.setup('dia');
DROP FOREIGN TABLE dia.store;
DROP FOREIGN TABLE dia.sale_turnover;
CREATE TABLE dia.sale_turnover (mine int);
DROP FOREIGN TABLE dia.sale_line;
SELECT count(*) FROM onec.setup('dia');
DROP TABLE dia.sale_turnover;
-- nor under the names that are there already
CREATE SERVER public FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', retries '0');
CREATE USER MAPPING FOR CURRENT_USER SERVER public OPTIONS (user 'demo', password 'demo');
CREATE TABLE public.product (mine int);
SELECT count(*) FROM onec.setup('public');
SELECT count(*) AS still_here FROM public.product;
DROP TABLE public.product;
DROP SERVER public CASCADE;
CREATE SERVER onec FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', retries '0');
CREATE USER MAPPING FOR CURRENT_USER SERVER onec OPTIONS (user 'demo', password 'demo');
SELECT count(*) FROM onec.setup('onec');
DROP SERVER onec CASCADE;
SELECT status, count(*) FROM onec.setup('dia') GROUP BY 1 ORDER BY 1;

-- sets under other names, and not at all
SELECT onec.set('endpoint.store', '/Catalog_Организации', 'dia'),
	   onec.set('endpoint.receipt', 'DocumentJournal_Нет', 'dia');
SELECT target, entity_set, status, columns, missing FROM onec.setup('dia')
WHERE target IN ('store', 'receipt');
SELECT "check", status FROM onec.diagnose('dia') WHERE "check" LIKE 'receipt%' ORDER BY 1;
DELETE FROM onec.config WHERE server = 'dia';

-- English names over 1C's
SELECT count(*) > 0 AS rows, bool_and(recorder_type LIKE 'StandardODATA.Document%') AS documents
FROM dia.sale_line WHERE period >= '2026-11-01';
SELECT sum(amount) = (SELECT sum(amount) FROM dia.sale_line
					  WHERE active AND period >= '2026-05-01' AND period < '2026-06-01') AS same
FROM dia.sale_turnover WHERE startperiod_arg = '2026-05-01' AND endperiod_arg = '2026-05-31 23:59:59';
\set VERBOSITY terse
DROP SERVER dia CASCADE;
DROP SCHEMA dia;
