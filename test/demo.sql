-- What "make demo" shows.  Needs ONEC_PORT of a running demo 1C in the environment; psql -f test/demo.sql.
\set ON_ERROR_STOP on
\pset pager off
\pset footer off
\getenv onec_port ONEC_PORT
\set url 'http://127.0.0.1:' :onec_port '/demo'
SET client_min_messages = warning;

\echo
\echo == CREATE EXTENSION, one foreign server, one user mapping
CREATE EXTENSION onec_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', timezone 'Europe/Moscow');
CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (user 'demo', password 'demo');

\echo == IMPORT FOREIGN SCHEMA "StandardODATA": every set that the base publishes
CREATE SCHEMA c;
IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO c;
SELECT count(*) AS "foreign tables",
       count(*) FILTER (WHERE foreign_table_name ~ '^catalog_') AS catalogs,
       count(*) FILTER (WHERE foreign_table_name ~ '^accumulationregister_') AS "accumulation registers"
FROM information_schema.foreign_tables WHERE foreign_table_schema = 'c';

-- The request of the statement before: the newest line of the request log of this session.
PREPARE last_request AS
    SELECT url AS "request to 1C", status, round(ms::numeric, 1) AS ms, rows
    FROM onec.last_requests() ORDER BY at DESC LIMIT 1;

\echo
\echo == a card by its barcode, which is the telephone of the customer: names need no quotes
SELECT Ref_Key, Code, КодКартыШтрихкод
FROM c.Catalog_ДисконтныеКарты
WHERE КодКартыШтрихкод = '70000000001';
EXECUTE last_request;

\echo == the first cards by code: order and limit go to 1C
SELECT Code, Description, КодКартыШтрихкод
FROM c.Catalog_ДисконтныеКарты
ORDER BY Code LIMIT 5;
EXECUTE last_request;

-- the invented shop ends on a day of its own, whatever today is
SELECT Period::date AS until FROM c.AccumulationRegister_Продажи_RecordType ORDER BY Period DESC LIMIT 1 \gset
\echo == sales of its last 30 days by store: only the rows and columns wanted travel
SELECT Склад_Key AS store, count(*) AS lines, sum(Сумма) AS amount
FROM c.AccumulationRegister_Продажи_RecordType
WHERE Period > date :'until' - 30
GROUP BY 1 ORDER BY 3 DESC;
EXECUTE last_request;

\echo == what the pages of the shop show is read, too: stock with reservations, prices, product cards
SELECT s.key AS setting, onec.set(s.key, s.value, 'shop')
FROM (VALUES ('stock.enabled', 'true'), ('prices.enabled', 'true'), ('product_cards.enabled', 'true'),
             ('endpoint.stock_reserved', 'AccumulationRegister_РезервыТоваров')) s (key, value);

\echo == onec.setup: curated tables with English names, chosen from the metadata
SELECT target, status, columns FROM onec.setup('shop');

\echo == CALL onec.sync: 1C into local tables, window by window
SET client_min_messages = notice;
CALL onec.sync('shop');
SET client_min_messages = warning;
SELECT target, status, rows_read, rows_inserted, rows_updated, rows_deleted, windows_done AS windows, seconds
FROM onec.sync_status WHERE server = 'shop';

\echo == one customer, as the site reads it
SELECT jsonb_pretty(onec.profile_json('70000000002')::jsonb);

\echo == a product, as its page shows it
SELECT jsonb_pretty(onec.product_json(s.product_id)::jsonb) FROM onec.stock s
WHERE s.server = 'shop' AND s.reserved > 0 AND s.variant_id IS NOT NULL ORDER BY s.product_id LIMIT 1;

\echo == the ten best customers
SELECT name, phone, receipts, total_revenue, average_check, purchase_frequency, last_purchase::date
FROM onec.customer_360
WHERE server = 'shop'
ORDER BY total_revenue DESC LIMIT 10;
