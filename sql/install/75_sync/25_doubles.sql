-- Keys that come twice in one reading, as pg_temp.onec_stage has it, or in two windows of a step.

-- Rows that are alike in everything are one row that came twice.  Returns how many are taken out;
-- pg_temp.onec_twice then holds the keys that are left with rows that differ.  "all_differ": it is known that
-- no key comes twice.
CREATE FUNCTION onec_internal.drop_equal_doubles(target text, all_differ boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys text := onec_internal.stage_key_columns(target, 's');
	gone bigint := 0;
	any_twice boolean;
BEGIN
	IF to_regclass('pg_temp.onec_twice') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_twice;
	END IF;
	IF all_differ THEN
		RETURN 0;
	END IF;
	-- mostly there are none, and a temporary table costs more than looking
	EXECUTE format('SELECT EXISTS (SELECT FROM pg_temp.onec_stage s GROUP BY %s HAVING count(*) > 1)',
				   keys) INTO any_twice;
	IF NOT any_twice THEN
		RETURN 0;
	END IF;
	EXECUTE format('CREATE TEMPORARY TABLE onec_twice ON COMMIT DROP AS
		SELECT %1$s FROM pg_temp.onec_stage s GROUP BY %1$s HAVING count(*) > 1', keys);
	EXECUTE format('DELETE FROM pg_temp.onec_stage s USING (
			SELECT s.ctid AS place, row_number() OVER (PARTITION BY s::text ORDER BY s.ctid) AS n
			FROM pg_temp.onec_stage s JOIN pg_temp.onec_twice k ON (%s) = (%s)) d
		WHERE s.ctid = d.place AND d.n > 1', keys, onec_internal.stage_key_columns(target, 'k'));
	GET DIAGNOSTICS gone = ROW_COUNT;
	EXECUTE format('DELETE FROM pg_temp.onec_twice k
		WHERE (SELECT count(*) FROM pg_temp.onec_stage s
			   WHERE (%s) = (%s)) = 1', keys, onec_internal.stage_key_columns(target, 'k'));
	RETURN gone;
END $$;
COMMENT ON FUNCTION onec_internal.drop_equal_doubles(text, boolean) IS
	'Убрать строки, прочитанные дважды; onec_twice — ключи, у которых строки разные (служебная)';

-- Whether keys are left with rows that differ.
CREATE FUNCTION onec_internal.any_differing_doubles() RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_twice') IS NULL THEN
		RETURN false;
	END IF;
	RETURN EXISTS (SELECT FROM pg_temp.onec_twice);
END $$;
COMMENT ON FUNCTION onec_internal.any_differing_doubles() IS
	'Есть ли разные строки с одним ключом (служебная)';

-- Where rows of one key differ, and none of them is like the one that is here, nobody knows which is true:
-- the one that is here takes their place.
CREATE FUNCTION onec_internal.keep_what_is_here(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key_here text := onec_internal.stage_key_columns(target, 'h');
	key_read text := onec_internal.stage_key_columns(target, 's');
	key_twice text := onec_internal.stage_key_columns(target, 'k');
BEGIN
	EXECUTE format('
		WITH here AS MATERIALIZED (
			SELECT %1$s, h.tableoid AS tab, h.ctid AS place
			FROM %2$s h JOIN pg_temp.onec_twice k ON (%3$s) = (%4$s)
			WHERE h.server = %5$s AND NOT EXISTS (SELECT FROM pg_temp.onec_stage s
												  WHERE (%6$s) = (%3$s) AND %7$s)),
		gone AS (DELETE FROM pg_temp.onec_stage s USING here k WHERE (%6$s) = (%4$s))
		INSERT INTO pg_temp.onec_stage (%8$s)
		SELECT %9$s FROM here k JOIN %2$s h ON h.ctid = k.place AND h.tableoid = k.tab',
		key_twice, onec_internal.table_of_target(target), key_here, key_twice,
		onec_internal.server_in(onec_internal.table_of_target(target), server), key_read,
		onec_internal.same_row_condition(target, 'h', 's'),
		replace(onec_internal.columns_in_common(target, 'h'), 'h.', ''),
		onec_internal.columns_in_common(target, 'h'));
END $$;
COMMENT ON FUNCTION onec_internal.keep_what_is_here(name, text) IS
	'Оставить местные строки там, где из прочитанных с тем же ключом ни одна не такая же (служебная)';

-- Rows of one key that differ: they get running numbers, by their content; where the table has none, one of
-- them stays, that which is here already or else always the same one.  Returns how many keys it concerns.
CREATE FUNCTION onec_internal.number_differing_doubles(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys text := onec_internal.stage_key_columns(target, 's');
	doubles bigint;
BEGIN
	IF NOT onec_internal.any_differing_doubles() THEN
		RETURN 0;
	END IF;
	doubles := (SELECT count(*) FROM pg_temp.onec_twice);
	IF onec_internal.has_copies(target) THEN
		EXECUTE format('UPDATE pg_temp.onec_stage s SET copy = d.n - 1
			FROM (SELECT s.ctid AS place, row_number() OVER (PARTITION BY %1$s ORDER BY s::text) AS n
				  FROM pg_temp.onec_stage s JOIN pg_temp.onec_twice k ON (%1$s) = (%2$s)) d
			WHERE s.ctid = d.place AND d.n > 1', keys, onec_internal.stage_key_columns(target, 'k'));
	ELSE
		PERFORM onec_internal.keep_what_is_here(server, target);
		EXECUTE format('DELETE FROM pg_temp.onec_stage s
			USING (SELECT s.ctid AS place,
						  row_number() OVER (PARTITION BY %1$s ORDER BY h.server IS NULL, s::text) AS n
				   FROM pg_temp.onec_stage s JOIN pg_temp.onec_twice k ON (%1$s) = (%2$s)
				   LEFT JOIN %3$s h ON h.server = %4$s AND %5$s) d
			WHERE s.ctid = d.place AND d.n > 1', keys, onec_internal.stage_key_columns(target, 'k'),
			onec_internal.table_of_target(target),
			onec_internal.server_in(onec_internal.table_of_target(target), server),
			onec_internal.same_row_condition(target, 'h', 's'));
	END IF;
	RETURN doubles;
END $$;
COMMENT ON FUNCTION onec_internal.number_differing_doubles(name, text) IS
	'Пронумеровать разные строки с одним ключом (служебная)';

-- Keys of pg_temp.onec_stage, of one window, that another window has, too: those rows are here outside of
-- "scope", for sure as the condition on t says.  The staged ones get the running numbers that they have here,
-- or the next ones; with "ask" only if 1C still has the other row, which may have moved here meanwhile.
-- Returns how many keys it concerns.
CREATE FUNCTION onec_internal.number_across_windows(server name, target text, scope text, sure text,
													ask boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	date_column name := onec_internal.date_column(target);
	key_here text := onec_internal.stage_key_columns(target, 't');
	key_read text := onec_internal.stage_key_columns(target, 's');
	key_across text := onec_internal.stage_key_columns(target, 'k');
	day date;
	numbered bigint;
BEGIN
	IF date_column IS NULL OR NOT onec_internal.has_copies(target) THEN
		RETURN 0;
	END IF;
	EXECUTE format('CREATE TEMPORARY TABLE onec_across ON COMMIT DROP AS
		SELECT * FROM (
			SELECT %1$s, min(t.copy) FILTER (WHERE here) AS known,
				   max(t.copy) FILTER (WHERE sure) + 1 AS next,
				   min(t.%2$I::date) FILTER (WHERE sure) AS day
			FROM (SELECT t.*, (%3$s) AS here, (%4$s) AS sure FROM %5$s t WHERE t.server = %6$s) t
			JOIN (SELECT DISTINCT %7$s FROM pg_temp.onec_stage s) s ON (%1$s) = (%7$s)
			GROUP BY %1$s HAVING NOT bool_and(here)) k
		WHERE coalesce(k.known, k.next) > 0',
		key_here, date_column, scope, sure, onec_internal.table_of_target(target),
		onec_internal.server_in(onec_internal.table_of_target(target), server), key_read);
	FOR day IN SELECT DISTINCT k.day FROM pg_temp.onec_across k
		WHERE ask AND k.known IS NULL AND k.day IS NOT NULL LOOP
		PERFORM onec_internal.stage_rows(server, target,
			format('f.%1$I >= %2$L::timestamp AND f.%1$I < %3$L::timestamp', date_column, day, day + 1), '',
			'onec_found');
		EXECUTE format('DELETE FROM pg_temp.onec_across k WHERE k.known IS NULL AND k.day = %L
			AND NOT EXISTS (SELECT FROM pg_temp.onec_found s WHERE (%s) = (%s))', day, key_read, key_across);
	END LOOP;
	EXECUTE format('UPDATE pg_temp.onec_stage s SET copy = s.copy + coalesce(k.known, k.next)
		FROM pg_temp.onec_across k WHERE (%s) = (%s)', key_read, key_across);
	numbered := (SELECT count(*) FROM pg_temp.onec_across);
	DROP TABLE pg_temp.onec_across;
	RETURN numbered;
END $$;
COMMENT ON FUNCTION onec_internal.number_across_windows(name, text, text, text, boolean) IS
	'Пронумеровать строки, ключ которых есть и в другом окне (служебная)';
