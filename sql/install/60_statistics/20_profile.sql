-- Customer profiles: one row for each customer with a purchase or a card, and the JSON that the site reads.

CREATE TABLE onec.frequency_class (
	upper_days numeric PRIMARY KEY,
	code text NOT NULL UNIQUE,
	title_ru text NOT NULL
);
COMMENT ON TABLE onec.frequency_class IS 'Классы частоты покупок по медианному промежутку между визитами';
COMMENT ON COLUMN onec.frequency_class.upper_days IS 'Промежуток до стольких дней включительно';
COMMENT ON COLUMN onec.frequency_class.code IS 'Код';
COMMENT ON COLUMN onec.frequency_class.title_ru IS 'По-русски';
-- Bounds are geometric midpoints between 1, 7, 14, 30.4, 60.9, 91.3, 182.6, 365.25 and 730.5 days.
INSERT INTO onec.frequency_class (upper_days, code, title_ru) VALUES
	(2, 'daily', 'ежедневно'), (10, 'weekly', 'еженедельно'), (21, 'biweekly', 'раз в две недели'),
	(43, 'monthly', 'ежемесячно'), (75, 'bimonthly', 'раз в два месяца'), (129, 'quarterly', 'раз в квартал'),
	(258, 'semiannual', 'раз в полгода'), (517, 'annual', 'раз в год'), (1000000, 'rare', 'реже');

CREATE TABLE onec.customer_profile (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	total_revenue numeric NOT NULL,
	gross_revenue numeric NOT NULL,
	returns_amount numeric NOT NULL,
	return_rate numeric,
	receipts int NOT NULL,
	lines int NOT NULL,
	visits int NOT NULL,
	total_items numeric NOT NULL,
	average_check numeric,
	median_check numeric,
	average_line numeric,
	items_per_receipt numeric,
	purchase_frequency text NOT NULL,
	frequency_confidence text,
	median_gap numeric,
	mean_gap numeric,
	first_purchase timestamp,
	last_purchase timestamp,
	favorite_categories text[] NOT NULL,
	favorite_stores text[] NOT NULL,
	month_share numeric[] NOT NULL,
	buys_8_march boolean NOT NULL,
	buys_new_year boolean NOT NULL,
	buys_valentine boolean NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_profile IS 'Профили покупателей';
COMMENT ON COLUMN onec.customer_profile.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_profile.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта';
COMMENT ON COLUMN onec.customer_profile.total_revenue IS 'Выручка за вычетом возвратов';
COMMENT ON COLUMN onec.customer_profile.gross_revenue IS 'Выручка без возвратов';
COMMENT ON COLUMN onec.customer_profile.returns_amount IS 'Сумма возвратов, меньше нуля';
COMMENT ON COLUMN onec.customer_profile.return_rate IS 'Доля возвратов в выручке';
COMMENT ON COLUMN onec.customer_profile.receipts IS 'Чеков продажи';
COMMENT ON COLUMN onec.customer_profile.lines IS 'Строк продаж и возвратов';
COMMENT ON COLUMN onec.customer_profile.visits IS 'Дней с покупкой';
COMMENT ON COLUMN onec.customer_profile.total_items IS 'Штук';
COMMENT ON COLUMN onec.customer_profile.average_check IS 'Средний чек';
COMMENT ON COLUMN onec.customer_profile.median_check IS 'Медианный чек';
COMMENT ON COLUMN onec.customer_profile.average_line IS 'Средняя сумма строки';
COMMENT ON COLUMN onec.customer_profile.items_per_receipt IS 'Штук в чеке';
COMMENT ON COLUMN onec.customer_profile.purchase_frequency IS 'Класс частоты покупок';
COMMENT ON COLUMN onec.customer_profile.frequency_confidence IS 'Надёжность класса: low, medium, high';
COMMENT ON COLUMN onec.customer_profile.median_gap IS 'Медианный промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_profile.mean_gap IS 'Средний промежуток между визитами, дней';
COMMENT ON COLUMN onec.customer_profile.first_purchase IS 'Первая покупка, местное время';
COMMENT ON COLUMN onec.customer_profile.last_purchase IS 'Последняя покупка, местное время';
COMMENT ON COLUMN onec.customer_profile.favorite_categories IS
	'Любимые категории, до пяти, как их называет сайт';
COMMENT ON COLUMN onec.customer_profile.favorite_stores IS 'Магазины по числу визитов, до пяти';
COMMENT ON COLUMN onec.customer_profile.month_share IS 'Доли месяцев (январь … декабрь) в покупках';
COMMENT ON COLUMN onec.customer_profile.buys_8_march IS 'Покупал с 1 по 8 марта';
COMMENT ON COLUMN onec.customer_profile.buys_new_year IS 'Покупал с 10 по 31 декабря';
COMMENT ON COLUMN onec.customer_profile.buys_valentine IS 'Покупал с 7 по 14 февраля';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_profile', '');

-- The profiles as they ought to be, of histories (kept: those in pg_temp.onec_history); also of those who
-- have a card and no purchase.
CREATE FUNCTION onec_internal.computed_profiles(server name, customers uuid[], as_of date,
												kept boolean DEFAULT false) RETURNS SETOF
													onec.customer_profile
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH found AS MATERIALIZED (
			SELECT x.customer_id, x.lines, x.net, x.gross, x.returned, x.items, x.h FROM %s x),
		everybody AS (
			SELECT f.customer_id, f.lines, f.net, f.gross, f.returned, f.items, (f.h).* FROM found f
			UNION ALL
			SELECT c.user_id, NULL, NULL, NULL, NULL, NULL, (NULL::onec_internal.history).*
			FROM (SELECT DISTINCT k.user_id FROM onec.customer_card k
				  WHERE k.server = $1 AND ($2 IS NULL OR k.user_id = ANY ($2))) c
			WHERE NOT EXISTS (SELECT FROM found f WHERE f.customer_id = c.user_id))
		SELECT $1, m.customer_id, coalesce(m.net, 0), coalesce(m.gross, 0), coalesce(m.returned, 0),
			   CASE WHEN m.gross > 0 THEN round(-m.returned / m.gross, 4) END,
			   coalesce(m.receipts, 0), coalesce(m.lines, 0), coalesce(m.visits, 0), coalesce(m.items, 0),
			   CASE WHEN $4 = 'row' THEN round(m.net / nullif(m.lines, 0), 2)
					ELSE round(m.sale_net / nullif(m.receipts, 0), 2) END,
			   round(m.median_check, 2), round(m.net / nullif(m.lines, 0), 2),
			   round(m.items / nullif(m.receipts, 0), 2),
			   CASE WHEN coalesce(m.visits, 0) = 0 THEN 'none' WHEN m.visits = 1 THEN 'single'
					ELSE (SELECT f.code FROM onec.frequency_class f WHERE m.median_gap <= f.upper_days
						  ORDER BY f.upper_days LIMIT 1) END,
			   CASE WHEN m.visits > 1 THEN CASE WHEN m.visits < 4 THEN 'low' WHEN m.visits < 7 THEN 'medium'
												ELSE 'high' END END,
			   m.median_gap, round((m.last_day - m.first_day)::numeric / nullif(m.visits - 1, 0), 2),
			   m.first_at, m.last_at,
			   coalesce(m.favorite_categories, '{}'), coalesce(m.favorite_stores, '{}'),
			   CASE WHEN m.gross > 0
					THEN ARRAY(SELECT round(coalesce(u.gross, 0) / m.gross, 4)
							   FROM unnest(m.months) WITH ORDINALITY u (gross, n) ORDER BY u.n)
					ELSE '{}' END,
			   coalesce(m.march, false), coalesce(m.new_year, false), coalesce(m.valentine, false)
		FROM everybody m$q$,
		CASE WHEN kept THEN 'pg_temp.onec_history'
			 ELSE 'onec_internal.histories($1, $3, $2, ''{category,store}'', NULL)' END)
	USING server, customers, as_of, onec.get('check_unit', server);
END $$;
COMMENT ON FUNCTION onec_internal.computed_profiles(name, uuid[], date, boolean) IS
	'Профили, какими они должны быть (служебная)';

-- Make the rows of a table about customers (all, or those named) equal to those of a temporary one that has
-- its columns, and write only what differs; "same" may say when rows that are not equal say the same (t is
-- here, excluded is new).  Rows that stay are not even locked.  Who is written goes into
-- pg_temp.onec_written, if there is one, where it is a table that people see.
CREATE FUNCTION onec_internal.write_changed_rows(tab regclass, stage text, server name, customers uuid[],
												 same text DEFAULT 'false',
												 OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	part record;
	here text := 't.server = $1' || CASE WHEN customers IS NOT NULL THEN ' AND t.customer_id = ANY ($2)'
									ELSE '' END;
	note text := CASE WHEN to_regclass('pg_temp.onec_written') IS NOT NULL AND starts_with(tab::text, 'onec.')
					  THEN ', noted AS (INSERT INTO pg_temp.onec_written SELECT customer_id FROM written)'
					  ELSE '' END;
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
		   string_agg('t.' || quote_ident(a.attname), ', ' ORDER BY a.attnum) AS before,
		   string_agg('excluded.' || quote_ident(a.attname), ', ' ORDER BY a.attnum) AS after,
		   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL) AS key,
		   string_agg(format('excluded.%1$I = t.%1$I', a.attname), ' AND ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NOT NULL) AS same_key,
		   string_agg(format('%1$I = excluded.%1$I', a.attname), ', ' ORDER BY a.attnum)
			   FILTER (WHERE i.indexrelid IS NULL) AS set_list
	INTO part
	FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
		AND a.attnum = ANY (i.indkey)
	WHERE a.attrelid = tab AND a.attnum > 0 AND NOT a.attisdropped;
	EXECUTE format(
		'WITH written AS (DELETE FROM %s t
			WHERE %s AND NOT EXISTS (SELECT FROM pg_temp.%I excluded WHERE %s) RETURNING t.customer_id) %s
		 SELECT count(*) FROM written',
		tab, here, stage, part.same_key, note) INTO deleted USING server, customers;
	EXECUTE format(
		'WITH written AS (INSERT INTO %1$s AS n (%2$s)
			SELECT %3$s FROM pg_temp.%4$I excluded LEFT JOIN %1$s t ON %5$s AND %6$s
			WHERE t.server IS NULL OR ROW(%7$s) IS DISTINCT FROM ROW(%3$s) AND NOT (%8$s)
			ON CONFLICT (%9$s) DO UPDATE SET %10$s RETURNING n.customer_id, n.xmax = 0 AS fresh) %11$s
		 SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM written',
		tab, part.columns, part.after, stage, part.same_key, here, part.before, same, part.key,
		part.set_list, note) INTO inserted, updated USING server, customers;
END $$;
COMMENT ON FUNCTION onec_internal.write_changed_rows(regclass, text, name, uuid[], text) IS
	'Записать в таблицу о покупателях только отличия от временной (служебная)';

-- Those in pg_temp.onec_history.
CREATE FUNCTION onec_internal.write_profiles(server name, customers uuid[], as_of date,
											 OUT rows_inserted bigint, OUT rows_updated bigint,
											 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
BEGIN
	CREATE TEMPORARY TABLE onec_profiles
		ON COMMIT DROP AS SELECT * FROM onec_internal.computed_profiles(server, customers, as_of, true);
	ANALYZE pg_temp.onec_profiles;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_profile', 'onec_profiles', server, customers) k;
	DROP TABLE pg_temp.onec_profiles;
END $$;
COMMENT ON FUNCTION onec_internal.write_profiles(name, uuid[], date) IS
	'Записать профили по собранным историям (служебная)';
