-- Proof before deletion: rows that a reading lacks are believed gone only if 1C says so in other ways, too.
--
-- A reading that lacks nothing needs no proof.  Otherwise 1C's own count must equal what was read, and again
-- after whatever else was asked; what is missing is asked for by key, or by its days where 1C takes no key;
-- and where that cannot be, or is not enough, a second reading with other pages must give the same keys.
-- Each function says NULL, or what is wrong.

-- The number that 1C itself gives for windows of a target: by one request, or where it does not count them
-- together, by one each.
CREATE FUNCTION onec_internal.count_window_in_1c(server name, target text,
												 windows tsmultirange) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	relation regclass := onec_internal.foreign_table(server, target);
	date_column name := coalesce(onec_internal.date_column(target), '');
	from_list timestamp[] := ARRAY(
		SELECT CASE WHEN lower(w) <= onec_internal.first_moment() THEN '-infinity' ELSE lower(w) END
		FROM unnest(windows) w);
	till_list timestamp[] := ARRAY(
		SELECT CASE WHEN upper(w) >= onec_internal.last_moment() THEN 'infinity' ELSE upper(w) END
		FROM unnest(windows) w);
	counted bigint := 0;
BEGIN
	IF from_list <> '{}' THEN
		counted := onec_internal.count_in_1c(relation, date_column, from_list, till_list);
	END IF;
	IF counted IS NULL AND cardinality(from_list) > 1 THEN
		counted := 0;
		FOR i IN 1 .. cardinality(from_list) LOOP
			counted := counted + onec_internal.count_in_1c(relation, date_column, from_list[i:i],
														   till_list[i:i]);
			EXIT WHEN counted IS NULL;
		END LOOP;
	END IF;
	RETURN counted;
END $$;
COMMENT ON FUNCTION onec_internal.count_window_in_1c(name, text, tsmultirange) IS
	'Сколько строк окон насчитала сама 1С (служебная)';

CREATE FUNCTION onec_internal.count_window_in_1c(server name, target text, from_ts timestamp,
												 till_ts timestamp) RETURNS bigint
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN from_ts < till_ts
				THEN onec_internal.count_window_in_1c(server, target, tsmultirange(tsrange(from_ts, till_ts)))
				WHEN from_ts >= till_ts THEN 0 END;
COMMENT ON FUNCTION onec_internal.count_window_in_1c(name, text, timestamp, timestamp) IS
	'Сколько строк окна насчитала сама 1С (служебная)';

-- Whether rows that are missing in pg_temp.onec_change are in another temporary table, where they satisfy
-- "scope".
CREATE FUNCTION onec_internal.holds_missing_rows(target text, other text, scope text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	held boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (
			SELECT FROM (SELECT %1$s, count(*) AS copies
						 FROM (SELECT DISTINCT * FROM pg_temp.%2$I WHERE %3$s) s GROUP BY %1$s) s
			JOIN pg_temp.onec_change c ON (%1$s) = (%4$s) WHERE c.place IS NULL %5$s)',
		onec_internal.stage_key_columns(target, 's'), other, scope,
		onec_internal.stage_key_columns(target, 'c'),
		CASE WHEN onec_internal.has_copies(target) THEN 'AND c.copy < s.copies' END) INTO held;
	RETURN held;
END $$;
COMMENT ON FUNCTION onec_internal.holds_missing_rows(text, text, text) IS
	'Есть ли недостающие строки в другом чтении (служебная)';

-- Whether a temporary table has a key that is here.
CREATE FUNCTION onec_internal.holds_known_rows(server name, target text, other text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known boolean;
BEGIN
	EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.%I s JOIN %s t ON t.server = %s AND (%s) = (%s))',
				   other, onec_internal.table_of_target(target),
				   onec_internal.server_in(onec_internal.table_of_target(target), server),
				   onec_internal.stage_key_columns(target, 't'),
				   onec_internal.stage_key_columns(target, 's')) INTO known;
	RETURN known;
END $$;
COMMENT ON FUNCTION onec_internal.holds_known_rows(name, text, text) IS
	'Есть ли в прочитанном строки, которые уже здесь (служебная)';

-- Whether the last reading turned pages by $skip, where rows can slip between two of them.
CREATE FUNCTION onec_internal.went_by_skip(server name, target text) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(r.by_skip, true) FROM onec_internal.last_reading($1, $2) r
$$;
COMMENT ON FUNCTION onec_internal.went_by_skip(name, text) IS
	'Листало ли последнее чтение через $skip (служебная)';

-- The conditions that ask for what is missing: 25 keys of the first thousand each where 1C compares the key;
-- else the days, where pages went by $skip; no rows where neither can be asked, or need not be.
CREATE FUNCTION onec_internal.questions_about_missing(server name, target text) RETURNS TABLE (condition text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	key name := (onec_internal.unit_columns(target))[1];
	date_column name := onec_internal.date_column(target);
BEGIN
	IF EXISTS (SELECT FROM pg_attribute a
			   WHERE a.attrelid = onec_internal.foreign_table(server, target) AND a.attname = key
			   AND a.atttypid = 'uuid'::regtype) AND NOT onec_internal.is_nested(server, target)
		-- 1C is not asked for an empty part of a key, nor for one dimension of many
		AND NOT EXISTS (SELECT FROM onec.field_source f
						WHERE f.target = questions_about_missing.target AND f.field = key
						  AND f.empty IS NOT NULL) THEN
		RETURN QUERY EXECUTE format('
			SELECT format(''f.%%I IN (%%s)'', %1$L, string_agg(quote_literal(u.key), '', '' ORDER BY u.key))
			FROM (SELECT k.key, row_number() OVER (ORDER BY k.key) - 1 AS n
				  FROM (SELECT DISTINCT c.%2$I AS key FROM pg_temp.onec_change c WHERE c.place IS NULL) k
				  ORDER BY k.key LIMIT 1000) u
			GROUP BY u.n / 25', key, key);
	ELSIF date_column IS NOT NULL AND NOT onec_internal.is_nested(server, target)
		AND onec_internal.went_by_skip(server, target) THEN
		RETURN QUERY EXECUTE format('
			WITH day AS MATERIALIZED (
				SELECT DISTINCT t.%1$I::date AS day FROM %2$s t JOIN pg_temp.onec_change c ON (%3$s) = (%4$s)
				WHERE t.server = %5$s AND c.place IS NULL AND t.%1$I IS NOT NULL)
			SELECT format(''f.%%1$I >= %%2$L::timestamp AND f.%%1$I < %%3$L::timestamp'', %1$L,
						  d.day, d.day + 1)
			FROM day d WHERE (SELECT count(*) FROM day) <= 31',
			date_column, tab, onec_internal.stage_key_columns(target, 't'),
			onec_internal.stage_key_columns(target, 'c'), onec_internal.server_in(tab, server));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.questions_about_missing(name, text) IS
	'Условия, которыми спрашивается о недостающих строках (служебная)';

-- Ask for what is missing.  "asked" is false where that cannot be done; "there" where 1C still has some of
-- it.
CREATE FUNCTION onec_internal.ask_for_missing_rows(server name, target text, scope text, OUT asked boolean,
												   OUT there boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	question text;
BEGIN
	asked := false;
	there := false;
	FOR question IN SELECT q.condition FROM onec_internal.questions_about_missing(server, target) q LOOP
		PERFORM onec_internal.stage_rows(server, target, question, '', 'onec_found');
		asked := coalesce((SELECT r.filtered FROM onec_internal.last_reading(server, target) r), true);
		there := onec_internal.holds_missing_rows(target, 'onec_found', scope);
		EXIT WHEN there OR NOT asked;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.ask_for_missing_rows(name, text, text) IS
	'Спросить 1С о недостающих строках (служебная)';

-- Read the rows of a condition once more, cut into other pages, into pg_temp.onec_again; no page is the last
-- because it is short, or a base that cuts them all would tell the same twice.  Returns how many differ.
CREATE FUNCTION onec_internal.stage_rows_again(server name, target text, condition text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET onec_fdw.page_size = 0 SET onec_fdw.short_page_ends = off
AS $$
BEGIN
	PERFORM set_config('onec_fdw.page_size',
					   greatest(61 * coalesce((SELECT r.page_rows
											   FROM onec_internal.last_reading(server, target) r), 1000)
		/ 100, 1)::text, true);
	PERFORM onec_internal.stage_rows(server, target, condition, '', 'onec_again');
	RETURN (SELECT count(*) FROM (SELECT DISTINCT * FROM pg_temp.onec_again) d);
END $$;
COMMENT ON FUNCTION onec_internal.stage_rows_again(name, text, text) IS
	'Прочитать строки ещё раз другими страницами (служебная)';

-- Does another reading of the window give the same keys?
CREATE FUNCTION onec_internal.second_reading_agrees(server name, target text, scope text,
													keys bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	same boolean := onec_internal.stage_rows_again(server, target, scope) = keys;
BEGIN
	IF same THEN
		EXECUTE format('SELECT NOT EXISTS (
			SELECT %1$s FROM pg_temp.onec_stage s EXCEPT SELECT %1$s
			FROM pg_temp.onec_again s)', onec_internal.stage_key_columns(target, 's')) INTO same;
	END IF;
	RETURN same AND NOT onec_internal.holds_missing_rows(target, 'onec_again', 'true');
END $$;
COMMENT ON FUNCTION onec_internal.second_reading_agrees(name, text, text, bigint) IS
	'Прочитать окно ещё раз и сравнить ключи (служебная)';

-- Whether so many rows that 1C counts beyond the different ones are the like of others: a page of the first
-- reading had them, or one of the second, which was the last.  A row that came with two pages may stand in
-- the place of another.
CREATE FUNCTION onec_internal.are_surplus_rows_alike(server name, target text, more bigint,
													 alike bigint) RETURNS boolean
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN more = greatest(alike, (SELECT r.twice FROM onec_internal.last_reading(server, target) r));
COMMENT ON FUNCTION onec_internal.are_surplus_rows_alike(name, text, bigint, bigint) IS
	'Одинаковы ли лишние по счёту 1С строки с другими (служебная)';

-- Rows nested in their recorders: the recorders alone are read, and must be as many as 1C counts and hold all
-- that were read with their rows.  Rows of a recorder that is there, but came without any, are in doubt.
CREATE FUNCTION onec_internal.recorders_agree(server name, target text, counted bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	agree boolean;
BEGIN
	EXECUTE format('CREATE TEMPORARY TABLE onec_recorder ON COMMIT DROP AS
		SELECT onec_internal.reference_uuid(f.recorder::text) AS recorder
		FROM %s f', onec_internal.foreign_table(server, target));
	agree := (SELECT count(*) FROM pg_temp.onec_recorder) = coalesce(counted,
		(SELECT count(*) FROM pg_temp.onec_recorder))
		AND NOT EXISTS (SELECT s.recorder FROM pg_temp.onec_stage s EXCEPT SELECT r.recorder
						FROM pg_temp.onec_recorder r)
		AND NOT EXISTS (
			SELECT FROM pg_temp.onec_change c JOIN pg_temp.onec_recorder r ON r.recorder = c.recorder
			WHERE c.place IS NULL AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s
												  WHERE s.recorder = c.recorder));
	DROP TABLE pg_temp.onec_recorder;
	RETURN agree;
END $$;
COMMENT ON FUNCTION onec_internal.recorders_agree(name, text, bigint) IS
	'Сверить регистраторы вложенных наборов записей (служебная)';

-- Rows here that the window holds, whether one of them was read, and how many are missing.
CREATE FUNCTION onec_internal.held_and_missing_rows(server name, target text, scope text, OUT held bigint,
													OUT shared boolean, OUT missing bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
BEGIN
	missing := (SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL);
	EXECUTE format('SELECT count(*) FROM %s WHERE server = %s AND (%s) %s', tab,
				   onec_internal.server_in(tab, server), scope,
				   CASE WHEN onec_internal.has_deletion_mark(target) THEN 'AND NOT is_deleted' END) INTO held;
	shared := onec_internal.holds_known_rows(server, target, 'onec_stage');
END $$;
COMMENT ON FUNCTION onec_internal.held_and_missing_rows(name, text, text) IS
	'Сколько строк окна здесь и скольких из них не прочитано (служебная)';

-- Whether 1C knows none of the rows that are here nearest to a window: those before it, then those behind,
-- for the former may be few that have moved.  Nor its own ones, which may have got another date: they wait,
-- read in another window of the step, or 1C finds them by key.
CREATE FUNCTION onec_internal.is_strange_beside(server name, target text, from_ts timestamp,
												till_ts timestamp) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	date_column name := onec_internal.date_column(target);
	beside record;
	known boolean := false;
BEGIN
	-- what an exchange plan has told of comes with others that are here
	IF date_column IS NULL THEN
		RETURN true;
	END IF;
	FOR beside IN EXECUTE format('
		SELECT min(x.at) AS first, max(x.at) AS last
		FROM (SELECT %1$I AS at FROM %2$s WHERE server = %3$s AND %1$I < $1
			  ORDER BY %1$I DESC LIMIT 20) x
		UNION ALL
		SELECT min(x.at), max(x.at)
		FROM (SELECT %1$I AS at FROM %2$s WHERE server = %3$s AND %1$I >= $2
			  ORDER BY %1$I LIMIT 20) x', date_column, tab, onec_internal.server_in(tab, server))
		USING from_ts, till_ts
	LOOP
		CONTINUE WHEN beside.first IS NULL;
		PERFORM onec_internal.stage_rows(server, target,
										 format('f.%1$I >= %2$L::timestamp AND f.%1$I <= %3$L::timestamp',
												date_column, beside.first, beside.last), '', 'onec_found');
		known := onec_internal.holds_known_rows(server, target, 'onec_found');
		EXIT WHEN known;
	END LOOP;
	IF NOT known AND to_regclass('pg_temp.onec_waiting_row') IS NOT NULL THEN
		known := onec_internal.holds_missing_rows(target, 'onec_waiting_row', 'true');
	END IF;
	IF NOT known THEN
		known := (SELECT m.there FROM onec_internal.ask_for_missing_rows(server, target, 'true') m);
	END IF;
	RETURN NOT known;
END $$;
COMMENT ON FUNCTION onec_internal.is_strange_beside(name, text, timestamp, timestamp) IS
	'Не знает ли 1С и строк рядом с окном (служебная)';

-- An answer of nothing, or of nothing that is known here, is another base's or nobody's: of a whole set, read
-- at once or in windows, it takes "force" to believe that, and to write anything of it.  NULL: it is this
-- base's; else why not.
CREATE FUNCTION onec_internal.why_strange(server name, target text, scope text, from_ts timestamp,
										  till_ts timestamp, force boolean)
	RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	here record;
BEGIN
	IF force THEN
		RETURN NULL;
	END IF;
	SELECT * INTO here FROM onec_internal.held_and_missing_rows(server, target, scope);
	IF NOT here.shared
		AND (scope = 'true' OR here.held >= 50
			 OR onec_internal.is_strange_beside(server, target, from_ts, till_ts)) THEN
		RETURN format('%s of %s rows would go, and no row read is one of them', here.missing, here.held);
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.why_strange(name, text, text, timestamp, timestamp, boolean) IS
	'Почему ответ похож на ответ другой базы; NULL — не похож (служебная)';

-- Is what pg_temp.onec_change lacks gone in 1C?  "read" rows came, "keys" of them are not alike, "alike" came
-- beside their like in one page.  NULL: proven; else why not.  Where others wait already, rows are counted
-- for all of them together, see onec_internal.settle_waiting.
CREATE FUNCTION onec_internal.why_unproven(server name, target text, from_ts timestamp, till_ts timestamp,
										   scope text, read bigint,
										   keys bigint, alike bigint, counted_later boolean) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	nested boolean := onec_internal.is_nested(server, target);
	missing bigint := (SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL);
	counted bigint;
	ask record;
	suspicious boolean := false;
	twice boolean;
BEGIN
	counted := CASE WHEN counted_later THEN keys
					ELSE onec_internal.count_window_in_1c(server, target, from_ts, till_ts) END;
	IF nested THEN
		IF NOT onec_internal.recorders_agree(server, target, counted) THEN
			RETURN 'the recorders read are not those that 1C has';
		END IF;
	ELSIF counted <> keys AND counted <> read THEN
		RETURN format('1C counts %s rows, %s were read', counted, keys);
	END IF;
	SELECT * INTO ask FROM onec_internal.ask_for_missing_rows(server, target, scope);
	IF ask.there THEN
		RETURN 'rows that were missing are there when asked for';
	END IF;
	IF missing >= 50 THEN
		suspicious := missing >= onec.get('sync.suspicious_share', server)::numeric
			* (SELECT h.held FROM onec_internal.held_and_missing_rows(server, target, scope) h);
	END IF;
	-- a row that came with two values may stand in the place of another
	twice := counted IS NULL OR counted <> keys AND NOT nested OR suspicious OR missing > 1000
		OR onec_internal.any_differing_doubles()
		OR NOT ask.asked AND NOT nested AND onec_internal.went_by_skip(server, target);
	IF twice AND NOT onec_internal.second_reading_agrees(server, target, scope, keys) THEN
		RETURN 'a second reading gave other rows';
	ELSIF counted <> keys AND NOT nested
		AND NOT onec_internal.are_surplus_rows_alike(server, target, counted - keys, alike) THEN
		RETURN format('1C counts %s rows, %s were read that differ', counted, keys);
	END IF;
	-- a second number is news only where something was asked after the first
	IF (ask.asked OR twice OR nested) AND NOT counted_later
		AND counted <> onec_internal.count_window_in_1c(server, target, from_ts, till_ts) THEN
		RETURN 'the number of rows changed meanwhile';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.why_unproven(name, text, timestamp, timestamp, text, bigint, bigint,
											   bigint, boolean) IS
	'Доказать, что недостающих строк в 1С нет: NULL или почему не доказано (служебная)';
