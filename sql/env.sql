-- A .env of the site: all its variables, quotes, comments, unknown names; jobs made of them.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT line, name, result FROM onec.import_env($env$
# the site's settings
export ONEC_API_URL="https://1c.example/a/sbm/100/odata/standard.odata"
ONEC_API_TOKEN='ZGVtbzpkZW1v'
ONEC_DISCOUNT_CARDS_ENDPOINT=/Catalog_ДисконтныеКарты
ONEC_SALES_ENDPOINT=/AccumulationRegister_Продажи_RecordType   # rows
ONEC_SALES_BY_CARD_ENDPOINT=AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType
ONEC_CUSTOMERS_ENDPOINT=/Catalog_Контрагенты
ONEC_PRODUCTS_ENDPOINT=/Catalog_Номенклатура
ONEC_SALES_BY_CARD_FILTER_FIELDS=ДисконтнаяКарта_Key, ДисконтнаяКарта, Карта_Key,Карта
ONEC_LOYALTY_ENABLED=true
ONEC_LOYALTY_ENDPOINT=/AccumulationRegister_БонусныеБаллы_RecordType
ONEC_LOYALTY_ACCRUAL_ENDPOINT=/AccumulationRegister_НачисленияБонусныхБаллов_RecordType
ONEC_LOYALTY_FILTER_FIELDS=БонуснаяКарта_Key,ДисконтнаяКарта_Key,ВладелецКарты_Key,Контрагент_Key,Покупатель_Key
CUSTOMER_SYNC_ENABLED=true
CUSTOMER_SYNC_INTERVAL_HOURS=5
CUSTOMER_SYNC_NIGHTLY_ENABLED=1
CUSTOMER_SYNC_NIGHTLY_HOUR=2
CUSTOMER_SYNC_NIGHTLY_MINUTE=30
CUSTOMER_SYNC_NIGHTLY_PURCHASE_DAYS=thirty
CUSTOMER_SYNC_NIGHTLY_CARDS_LIMIT=10000
ONEC_READ_TIMEOUT=300
CUSTOMER_SYNC_RUN_ON_START=false
SECRET_KEY=not-ours
EMPTY=
not a line
$env$, 'env');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'env';
SELECT umoptions = '{token=ZGVtbzpkZW1v}' AS token_in_mapping FROM pg_user_mappings WHERE srvname = 'env';
SELECT key, value FROM onec.config WHERE server = 'env' ORDER BY key;
-- the secret is in no table and no view
SELECT count(*) FROM onec.settings s WHERE s::text ~ 'ZGVtbzpkZW1v';
-- once more, changed
SELECT name, result FROM onec.import_env('ONEC_API_URL=https://1c.example/b
ONEC_API_TOKEN="broken token"', 'env');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'env';

-- the jobs: local time of the base as GMT, five hours by a tick each hour
ALTER SERVER env OPTIONS (ADD timezone 'Asia/Yekaterinburg');
SELECT job, cron, command FROM onec_internal.jobs_of_server('env');
SELECT onec.set('sync.interval_hours', '4', 'env');
SELECT cron FROM onec_internal.jobs_of_server('env') WHERE job = 'interval';
SELECT onec.set('sync.interval_hours', '0', 'env');
SELECT cron FROM onec_internal.jobs_of_server('env') WHERE job = 'interval';
-- of jobs in one minute the larger one runs: here at 02:30 local time, 21:30 GMT the day before, of a Sunday
-- and a Monday
SELECT j.job, at, onec_internal.leaves_turn_to_larger('env', j.job, at)
FROM (VALUES ('interval'), ('nightly'), ('weekly')) j (job),
	(VALUES (timestamptz '2026-05-16 21:30:20+00'), ('2026-05-17 21:30:20+00'),
	 ('2026-05-17 20:00+00')) t (at) ORDER BY 2, 1;
CALL onec.run_job('hourly', 'env');
DELETE FROM onec.config WHERE server = 'env';
DROP SERVER env CASCADE;
