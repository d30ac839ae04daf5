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
SELECT "check", status, detail, advice FROM onec.diagnose('dia') WHERE detail !~ '\d{4}-' AND "check" !~ '30 days|future' ORDER BY 1;
-- every table and column of the shop is described
SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'dia'::regnamespace AND a.attnum > 0 AND col_description(c.oid, a.attnum) IS NULL;

-- sets under other names, and not at all
SELECT onec.set('endpoint.store', '/Catalog_Организации', 'dia'), onec.set('endpoint.receipt', 'DocumentJournal_Нет', 'dia');
SELECT target, entity_set, status, columns, missing FROM onec.setup('dia') WHERE target IN ('store', 'receipt');
SELECT "check", status FROM onec.diagnose('dia') WHERE "check" LIKE 'receipt%' ORDER BY 1;
DELETE FROM onec.config WHERE server = 'dia';

-- English names over 1C's
SELECT count(*) > 0 AS rows, bool_and(recorder_type LIKE 'StandardODATA.Document%') AS documents FROM dia.sale_line WHERE period >= '2026-11-01';
SELECT sum(amount) = (SELECT sum(amount) FROM dia.sale_line WHERE active AND period >= '2026-05-01' AND period < '2026-06-01') AS same
FROM dia.sale_turnover WHERE startperiod_arg = '2026-05-01' AND endperiod_arg = '2026-05-31 23:59:59';
\set VERBOSITY terse
DROP SERVER dia CASCADE;
DROP SCHEMA dia;
