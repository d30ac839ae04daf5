-- What is asked of 1C, and that the answer is what a local filter over the whole set gives.
\set SHOW_CONTEXT never
\getenv port ONEC_PORT
\set url 'http://127.0.0.1:' :port '/base/odata/standard.odata'
SET client_min_messages = warning;
SET TIME ZONE 'Europe/Moscow';
CREATE SERVER push FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', timezone 'Europe/Moscow');
CREATE USER MAPPING FOR CURRENT_USER SERVER push OPTIONS (user 'demo', password 'demo');
CREATE SCHEMA p;
IMPORT FOREIGN SCHEMA "StandardODATA"
	LIMIT TO (Catalog_ДисконтныеКарты, Catalog_Номенклатура, Catalog_Контрагенты,
	AccumulationRegister_Продажи_RecordType, DocumentJournal_РозничныеПродажи) FROM SERVER push INTO p;
ALTER FOREIGN TABLE p.Catalog_ДисконтныеКарты RENAME TO card;
ALTER FOREIGN TABLE p.Catalog_Номенклатура RENAME TO product;
ALTER FOREIGN TABLE p.AccumulationRegister_Продажи_RecordType RENAME TO sale;
-- the same rows without any help of 1C
CREATE TABLE local_sale AS SELECT * FROM p.sale;
CREATE TABLE local_card AS SELECT * FROM p.card;

-- the requests since the last look
CREATE FUNCTION asked(OUT request text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT url FROM onec.last_requests() r
		WHERE r.at > coalesce(nullif(current_setting('test.mark', true), ''), '-infinity')::timestamptz
		ORDER BY r.at;
	PERFORM set_config('test.mark', clock_timestamp()::text, false);
END $$;
SELECT count(*) > 0 AS some FROM asked();

-- columns: only the used ones; none at all
SELECT count(Code) = (SELECT count(Code) FROM local_card) AS same FROM p.card;
SELECT * FROM asked();
SELECT EXISTS (SELECT FROM p.card);
SELECT * FROM asked();

-- text: superset, checked here
SELECT Ref_Key = (SELECT Ref_Key FROM local_card WHERE КодКартыШтрихкод = '70000000001') AS same,
	   КодКартыШтрихкод
FROM p.card WHERE КодКартыШтрихкод = '70000000001';
SELECT * FROM asked();
SELECT count(*) FROM p.card WHERE КодКартыШтрихкод = 'O''Brien & #+%27 ёж 😀';
SELECT * FROM asked();
SELECT count(*) = (SELECT count(*) FROM local_card WHERE КодКартыШтрихкод LIKE '7000000000%') AS same
FROM p.card WHERE КодКартыШтрихкод LIKE '7000000000%';
SELECT * FROM asked();
SELECT count(*) = (SELECT count(*) FROM local_card WHERE Code <> '000000001') AS same FROM p.card
WHERE Code <> '000000001';
SELECT * FROM asked();

-- dates
SELECT count(*) = (SELECT count(*) FROM local_sale
				   WHERE Period >= '2026-06-01' AND Period < '2026-07-01') AS same
FROM p.sale WHERE Period >= '2026-06-01' AND Period < '2026-07-01';
SELECT * FROM asked();
SELECT sum(Сумма) = (SELECT sum(Сумма) FROM local_sale
					 WHERE Period BETWEEN '2026-06-01' AND '2026-06-30 23:59:59.999') AS same
FROM p.sale WHERE Period BETWEEN '2026-06-01' AND '2026-06-30 23:59:59.999';
SELECT * FROM asked();
SELECT count(*) FROM p.sale WHERE Period = '2026-06-01 12:00:00.5' AND Сумма > 0;
SELECT * FROM asked();
SELECT min(Period) > '2026-01-01' AS positive FROM p.sale
WHERE Period > '-infinity' AND Period >= date '2026-01-02';
SELECT * FROM asked();
SELECT count(*) FROM p.sale WHERE Period > 'infinity';
SELECT count(*) FROM p.sale WHERE Period < '0044-03-15 BC';
SELECT * FROM asked();
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Period >= timestamptz '2026-06-01 00:00+03') AS same
FROM p.sale WHERE Period >= timestamptz '2026-06-01 00:00+03';
SELECT * FROM asked();

-- numbers, booleans, references
SELECT count(*) = (SELECT count(*) FROM local_sale
				   WHERE Сумма > 3000.5 AND Количество <> 1 AND Active) AS same
FROM p.sale WHERE Сумма > 3000.5 AND Количество <> 1 AND Active;
SELECT * FROM asked();
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE NOT Active OR Сумма < 0) AS same,
	   count(*) > 0 AS some
FROM p.sale WHERE NOT Active OR Сумма < 0;
SELECT * FROM asked();
SELECT Склад_Key AS store FROM local_sale WHERE Склад_Key IS NOT NULL ORDER BY 1 LIMIT 1 \gset
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Склад_Key = :'store') AS same, count(*) > 0 AS some
FROM p.sale WHERE Склад_Key = :'store';
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Склад_Key <> :'store') AS same FROM p.sale
WHERE Склад_Key <> :'store';
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Склад_Key > :'store') AS same FROM p.sale
WHERE Склад_Key > :'store';
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Склад_Key IS NULL) AS same FROM p.sale
WHERE Склад_Key IS NULL;
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Склад_Key IS NOT NULL) AS same FROM p.sale
WHERE Склад_Key IS NOT NULL;
SELECT count(*) FROM p.sale WHERE Склад_Key = '00000000-0000-0000-0000-000000000000';
SELECT regexp_replace(request, '[0-9a-f]{8}-[0-9a-f-]{27}', '<guid>') AS request FROM asked();
-- composite columns stay here: 1C would answer with nothing
SELECT count(*) = (SELECT count(*) FROM local_sale
				   WHERE Recorder = (SELECT min(Recorder) FROM local_sale)) AS same, count(*) > 0 AS some
FROM p.sale WHERE Recorder = (SELECT min(Recorder) FROM local_sale);
SELECT * FROM asked();

-- AND drops what cannot go, OR needs all its arms
SELECT count(*) = (SELECT count(*) FROM local_sale
				   WHERE Period >= '2026-09-01' AND Recorder_Type LIKE '%Возврат' AND Сумма < 0) AS same
FROM p.sale WHERE Period >= '2026-09-01' AND Recorder_Type LIKE '%Возврат' AND Сумма < 0;
SELECT count(*) = (SELECT count(*) FROM local_sale
				   WHERE Period >= '2026-09-01' OR Recorder_Type LIKE '%Возврат') AS same
FROM p.sale WHERE Period >= '2026-09-01' OR Recorder_Type LIKE '%Возврат';
SELECT * FROM asked();

-- lists; a long one goes in several requests, and no row comes twice
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE LineNumber IN (2, 3)) AS same FROM p.sale
WHERE LineNumber IN (2, 3);
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE LineNumber NOT IN (1, 2)) AS same FROM p.sale
WHERE LineNumber NOT IN (1, 2);
SELECT * FROM asked();
SELECT count(*) AS "all", count(DISTINCT Ref_Key) = count(*) AS once
FROM p.product WHERE Ref_Key = ANY (ARRAY(SELECT Ref_Key FROM p.product LIMIT 200));
SELECT count(*) BETWEEN 5 AND 12 AS several, bool_and(length(request) < 2500) AS short FROM asked()
WHERE request LIKE '%Ref_Key eq%';
SELECT count(*) FROM p.product WHERE Ref_Key = ANY (ARRAY(SELECT Ref_Key FROM p.product WHERE false));
SELECT count(*) FROM asked() WHERE request LIKE '%eq guid%';

-- one object by its key; an absent one is no row
SELECT Ref_Key AS key FROM local_card WHERE КодКартыШтрихкод = '70000000001' \gset
SELECT КодКартыШтрихкод FROM p.card WHERE Ref_Key = :'key';
SELECT count(*) FROM p.card WHERE Ref_Key = '00000000-0000-4000-8000-00000000dead' AND Code > '';
SELECT regexp_replace(request, '[0-9a-f]{8}-[0-9a-f-]{27}', '<guid>') AS request FROM asked();

-- parameters: generic and custom plans ask alike
PREPARE q(timestamp, numeric) AS SELECT count(*) = (SELECT count(*) FROM local_sale
													WHERE Period >= $1 AND Сумма > $2) AS same
	FROM p.sale WHERE Period >= $1 AND Сумма > $2;
SET plan_cache_mode = force_custom_plan;
EXECUTE q('2026-10-01', 5000);
SET plan_cache_mode = force_generic_plan;
EXECUTE q('2026-10-01', 5000);
EXECUTE q(NULL, 5000);
SELECT * FROM asked();
RESET plan_cache_mode;

-- order and limit
SELECT count(*) = 10 AS ten, bool_and(period IS NOT NULL)
FROM (SELECT Period FROM p.sale ORDER BY Period DESC NULLS LAST LIMIT 10) x;
SELECT (SELECT array_agg(Сумма)
		FROM (SELECT Сумма FROM p.sale WHERE Сумма > 0 ORDER BY Сумма DESC LIMIT 20) x)
	= (SELECT array_agg(Сумма)
	   FROM (SELECT Сумма FROM local_sale WHERE Сумма > 0 ORDER BY Сумма DESC LIMIT 20) x) AS same;
SELECT * FROM asked();
-- text is ordered here
SELECT (SELECT array_agg(Code) FROM (SELECT Code FROM p.card ORDER BY Code LIMIT 5) x)
	= (SELECT array_agg(Code) FROM (SELECT Code FROM local_card ORDER BY Code LIMIT 5) x) AS same;
SELECT request !~ 'orderby=Code' AS here FROM asked();
SELECT Code IS NOT NULL AS some FROM p.card LIMIT 1;
SELECT * FROM asked();

-- counts: by 1C where it is exact, else here
SELECT count(*) AS n FROM p.sale \gset
SELECT :n = count(*) AS same FROM local_sale;
SELECT count(*) AS n FROM p.sale WHERE Period < '2026-01-01' AND Active \gset
SELECT :n = count(*) AS same FROM local_sale WHERE Period < '2026-01-01' AND Active;
SELECT count(*) AS n FROM p.card WHERE Code = '000000001' \gset
SELECT :n = count(*) AS same FROM local_card WHERE Code = '000000001';
SELECT * FROM asked();

-- values of another table
SELECT count(*) = (SELECT count(*) FROM local_sale s
				   JOIN local_card c ON c.ВладелецКарты_Key = s.Контрагент_Key
	WHERE c.КодКартыШтрихкод = '70000000001') AS same, count(*) > 0 AS some
FROM local_card c JOIN p.sale s ON c.ВладелецКарты_Key = s.Контрагент_Key
WHERE c.КодКартыШтрихкод = '70000000001';
SELECT regexp_replace(request, '[0-9a-f]{8}-[0-9a-f-]{27}', '<guid>') AS request FROM asked();

-- pushdown off: the same rows
ALTER SERVER push OPTIONS (ADD push_filter 'off', ADD push_order 'off', ADD push_count 'off');
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Period >= '2026-06-01' AND Active) AS same
FROM p.sale WHERE Period >= '2026-06-01' AND Active;
SELECT request ~ 'filter' AS filtered FROM asked();
ALTER SERVER push OPTIONS (DROP push_filter, DROP push_order, DROP push_count);

-- empty values as they are
ALTER FOREIGN TABLE p.sale OPTIONS (ADD empty_as_null 'off');
SELECT count(*) = (SELECT count(*) FROM local_sale WHERE Склад_Key IS NULL) AS same FROM p.sale
WHERE Склад_Key = '00000000-0000-0000-0000-000000000000';
-- a second one asks what follows: ALTER SERVER makes forget how large pages of the base can be
SELECT * FROM asked() LIMIT 1;
ALTER FOREIGN TABLE p.sale OPTIONS (DROP empty_as_null);

-- EXPLAIN asks nothing, and says where each condition goes
EXPLAIN (VERBOSE, COSTS OFF) SELECT Period, Сумма FROM p.sale
WHERE Period >= now() - interval '30 days' AND Сумма > 1000 AND Документ_Type LIKE '%ЧекККМ'
  AND Склад_Key IS NOT NULL
	AND Recorder = 'x' AND random() < 2 AND Active ORDER BY Period LIMIT 10;
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM p.sale WHERE Period < '2026-01-01';
EXPLAIN (COSTS OFF) SELECT * FROM p.card WHERE Code = NULL;
-- PostgreSQL 18 says of each node whether it is disabled
CREATE FUNCTION p.explained(form text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE format('EXPLAIN (VERBOSE, COSTS OFF, FORMAT %s) %s', form, query) INTO plan;
	RETURN regexp_replace(plan, '\n *["<]Disabled[^\n]*', '');
END $$;
SELECT p.explained('JSON', $$SELECT Code FROM p.card WHERE Code = '1'$$);
-- XML has no names that begin with a digit
SELECT p.explained('XML', $$SELECT Code FROM p.card WHERE Code = '1'$$);
-- nothing is compared with an empty list, not even NULL; doubles keep their place between two whole numbers
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM p.sale
	WHERE Склад_Key <> ALL ('{}') AND date_part('year', Period) > 2025.9999999999998;
EXPLAIN (VERBOSE, COSTS OFF) SELECT Сумма FROM p.sale
	WHERE Склад_Key = ANY ('{}') OR date_part('month', Period) < 2.0000000000000004::float8;
-- an address has no room for names and filter: all columns, and of the filter what fits
ALTER FOREIGN TABLE p.sale OPTIONS (ADD max_url '500');
EXPLAIN (VERBOSE, COSTS OFF) SELECT Period, Номенклатура_Key, Склад_Key, Количество, Сумма FROM p.sale
	WHERE Склад_Key = '00000000-0000-0000-0000-000000000001';
EXPLAIN (VERBOSE, COSTS OFF) SELECT Сумма FROM p.sale
	WHERE Period > '2026-01-01' AND (Сумма > 123456789012345678901234567890123456789012345678901234567890
	OR Сумма < -123456789012345678901234567890123456789012345678901234567890
	OR Склад_Key = '00000000-0000-0000-0000-000000000001'
	OR Склад_Key = '00000000-0000-0000-0000-000000000002');
ALTER FOREIGN TABLE p.sale OPTIONS (DROP max_url);
SELECT count(*) FROM asked();

\set VERBOSITY terse
DROP SCHEMA p CASCADE;
DROP TABLE local_sale, local_card;
DROP FUNCTION asked;
DROP SERVER push CASCADE;
