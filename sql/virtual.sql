-- Virtual tables of registers: arguments, conditions on dimensions, and answers that follow from the
-- register's rows.
\set SHOW_CONTEXT never
\getenv port ONEC_PORT
\set url 'http://127.0.0.1:' :port '/base/odata/standard.odata'
SET client_min_messages = warning;
SET TIME ZONE 'Europe/Moscow';
CREATE SERVER virt FOREIGN DATA WRAPPER onec_fdw OPTIONS (url :'url', timezone 'Europe/Moscow');
CREATE USER MAPPING FOR CURRENT_USER SERVER virt OPTIONS (user 'demo', password 'demo');
CREATE SCHEMA v;
IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER virt INTO v;
CREATE TABLE v.point AS SELECT * FROM v.AccumulationRegister_БонусныеБаллы_RecordType WHERE Active;
CREATE TABLE v.price AS SELECT * FROM v.InformationRegister_ЦеныНоменклатуры;
CREATE TABLE v.line AS SELECT * FROM v.AccumulationRegister_Продажи_RecordType WHERE Active;
SELECT count(*) > 100 AS points FROM v.point;
SELECT count(*) > 100 AS prices, count(DISTINCT Период) > 1 AS periods
FROM (SELECT Period AS Период FROM v.price) x;

-- the requests since the last look, without identifiers
CREATE FUNCTION v.asked(OUT request text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT regexp_replace(url, '[0-9a-f]{8}-[0-9a-f-]{27}', '<guid>', 'g')
		FROM onec.last_requests() r
		WHERE r.at > coalesce(nullif(current_setting('test.mark', true), ''), '-infinity')::timestamptz
		ORDER BY r.at;
	PERFORM set_config('test.mark', clock_timestamp()::text, false);
END $$;
SELECT count(*) > 0 AS some FROM v.asked();

-- what the imported tables say of themselves
SELECT a.attname, array_to_string(a.attfdwoptions, ', ') AS options FROM pg_attribute a
WHERE a.attrelid = 'v.AccumulationRegister_БонусныеБаллы_Turnovers'::regclass AND a.attnum > 0
  AND a.attname !~ 'period$' ORDER BY a.attnum;
SELECT array_to_string(ftoptions, ', ') FROM pg_foreign_table
WHERE ftrelid = 'v.InformationRegister_ЦеныНоменклатуры_SliceLast'::regclass;

-- Balance: now, and at a moment, whose own movements it leaves out
SELECT count(*) > 10 AS some, bool_and(b.balance IS NOT DISTINCT FROM l.balance) AS same FROM
	(SELECT БонуснаяКарта_Key AS card, НачисленоBalance AS balance
	 FROM v.AccumulationRegister_БонусныеБаллы_Balance) b
	FULL JOIN (SELECT БонуснаяКарта_Key AS card,
					  sum(CASE RecordType WHEN 'Receipt' THEN Начислено ELSE -Начислено END) AS balance,
		sum(CASE RecordType WHEN 'Receipt' THEN КСписанию ELSE -КСписанию END) AS due FROM v.point
			GROUP BY 1) l USING (card)
WHERE coalesce(l.balance, 0) <> 0 OR b.balance IS NOT NULL;
SELECT sum(НачисленоBalance) = (SELECT sum(CASE RecordType WHEN 'Receipt' THEN Начислено ELSE -Начислено END)
								FROM v.point WHERE Period < '2026-06-01') AS same
FROM v.AccumulationRegister_БонусныеБаллы_Balance WHERE period_arg = timestamp '2026-06-01';
SELECT * FROM v.asked();

-- a condition on a dimension travels inside; one on a computed value does not
SELECT БонуснаяКарта_Key AS card FROM v.point WHERE RecordType = 'Receipt' GROUP BY 1
ORDER BY count(*) DESC, 1 LIMIT 1 \gset
SELECT count(*) AS one,
	   bool_and(НачисленоTurnover =
				(SELECT sum(CASE RecordType WHEN 'Receipt' THEN Начислено ELSE -Начислено END) FROM v.point
				 WHERE БонуснаяКарта_Key = :'card')) AS same
FROM v.AccumulationRegister_БонусныеБаллы_Turnovers WHERE БонуснаяКарта_Key = :'card';
SELECT count(*) = (SELECT count(*)
				   FROM (SELECT FROM v.point GROUP BY БонуснаяКарта_Key
						 HAVING sum(CASE RecordType WHEN 'Receipt' THEN Начислено ELSE 0 END)
							 > 500) x) AS same, count(*) > 0 AS some
FROM v.AccumulationRegister_БонусныеБаллы_Turnovers WHERE НачисленоReceipt > 500;
SELECT * FROM v.asked();
EXPLAIN (VERBOSE, COSTS OFF) SELECT НачисленоReceipt FROM v.AccumulationRegister_БонусныеБаллы_Turnovers
WHERE БонуснаяКарта_Key IS NOT NULL AND НачисленоReceipt > 500 AND startperiod_arg = '2026-01-01'
  AND endperiod_arg = $$2026-06-30 23:59:59$$;

-- both ends of a period belong to it; arguments may come from another table
SELECT bool_and(t.turnover IS NOT DISTINCT FROM l.turnover) AS same, count(*) AS months
FROM generate_series(timestamp '2026-01-01', '2026-06-01', '1 month') month,
	LATERAL (SELECT sum(СуммаTurnover) AS turnover FROM v.AccumulationRegister_Продажи_Turnovers
		WHERE startperiod_arg = month AND endperiod_arg = month + interval '1 month' - interval '1 second') t,
	LATERAL (SELECT sum(Сумма) AS turnover FROM v.line
			 WHERE Period >= month AND Period < month + interval '1 month') l;
SELECT count(*) AS six, min(request) FROM v.asked();

-- fewer dimensions: 1C groups; the columns of the others are NULL
SELECT count(*) = (SELECT count(*) FROM (SELECT FROM v.line GROUP BY Склад_Key) x) AS stores,
	   sum(СуммаTurnover) = (SELECT sum(Сумма) FROM v.line) AS same, count(Номенклатура_Key) AS products
FROM v.AccumulationRegister_Продажи_Turnovers WHERE dimensions_arg = 'Склад';
SELECT * FROM v.asked();

-- BalanceAndTurnovers closes what it opened
SELECT bool_and(НачисленоOpeningBalance + НачисленоTurnover = НачисленоClosingBalance) AS closes,
	sum(НачисленоTurnover) = (SELECT sum(CASE RecordType WHEN 'Receipt' THEN Начислено ELSE -Начислено END)
							  FROM v.point
							  WHERE Period BETWEEN '2026-02-01' AND '2026-02-28 23:59:59') AS same
FROM v.AccumulationRegister_БонусныеБал_BalanceAndTurnovers
WHERE startperiod_arg = '2026-02-01' AND endperiod_arg = '2026-02-28 23:59:59';

-- slices: the last price of each product, and only then the condition on it
SELECT count(*) > 10 AS some, count(*) = count(l.*) AS same
FROM v.InformationRegister_ЦеныНоменклатуры_SliceLast s
	LEFT JOIN (SELECT DISTINCT ON (ВидЦен_Key, Номенклатура_Key, Характеристика_Key) * FROM v.price
			   ORDER BY ВидЦен_Key, Номенклатура_Key, Характеристика_Key, Period DESC) l
	ON (l.ВидЦен_Key, l.Номенклатура_Key, l.Характеристика_Key, l.Period,
		l.Цена) IS NOT DISTINCT FROM (s.ВидЦен_Key, s.Номенклатура_Key, s.Характеристика_Key,
									  s.Period, s.Цена);
SELECT count(*) = (SELECT count(*)
				   FROM (SELECT DISTINCT ON (ВидЦен_Key, Номенклатура_Key, Характеристика_Key) * FROM v.price
						 ORDER BY ВидЦен_Key, Номенклатура_Key, Характеристика_Key, Period DESC) x
						 WHERE Цена < 3000) AS same, count(*) > 0 AS some
FROM v.InformationRegister_ЦеныНоменклатуры_SliceLast WHERE Цена < 3000;
SELECT count(*) = (SELECT count(*)
				   FROM (SELECT DISTINCT ON (ВидЦен_Key, Номенклатура_Key, Характеристика_Key) * FROM v.price
						 ORDER BY ВидЦен_Key, Номенклатура_Key, Характеристика_Key, Period) x
						 WHERE Period < '2025-06-01') AS same
FROM v.InformationRegister_ЦеныНоменклатуры_SliceFirst WHERE Period < '2025-06-01';
SELECT Номенклатура_Key AS product FROM v.price ORDER BY 1 LIMIT 1 \gset
SELECT count(*) = 1 AS one
FROM (SELECT DISTINCT Номенклатура_Key FROM v.InformationRegister_ЦеныНоменклатуры_SliceLast
	  WHERE Номенклатура_Key = :'product' AND period_arg = '2030-01-01') x;
SELECT * FROM v.asked();

-- an argument that is NULL matches nothing, and asks nothing
SELECT count(*) FROM v.AccumulationRegister_БонусныеБаллы_Balance WHERE period_arg = NULL::timestamp;
SELECT * FROM v.asked();
-- a table made without the option "dimensions" sends no condition
ALTER FOREIGN TABLE v.AccumulationRegister_БонусныеБаллы_Turnovers OPTIONS (DROP dimensions);
SELECT count(*) AS one FROM v.AccumulationRegister_БонусныеБаллы_Turnovers WHERE БонуснаяКарта_Key = :'card';
SELECT * FROM v.asked();
DROP SCHEMA v CASCADE;
DROP SERVER virt CASCADE;
