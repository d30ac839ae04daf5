-- One window of one table: read, compared, proven where rows would go, written.

-- Note what a window leaves in doubt, in place of what earlier readings of its time left; found 0: nothing.
CREATE FUNCTION onec_internal.note_doubt(server name, target text, kind text, from_ts timestamp,
										 till_ts timestamp, found bigint, reason text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	DELETE FROM onec_internal.sync_doubt d
	WHERE d.server = $1 AND d.target = $2 AND d.kind = $3 AND d.from_ts >= $4 AND d.till_ts <= $5;
	IF $6 > 0 THEN
		INSERT INTO onec_internal.sync_doubt AS d (server, target, kind, from_ts, till_ts, found, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT ON CONSTRAINT sync_doubt_pkey DO UPDATE
		SET till_ts = greatest(d.till_ts, excluded.till_ts), found = excluded.found, reason = excluded.reason,
			found_at = excluded.found_at;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_doubt(name, text, text, timestamp, timestamp, bigint, text) IS
	'Записать, в чём окно ненадёжно (служебная)';

CREATE FUNCTION onec_internal.reason_two_rows() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'rows that differ have one key in 1C';
COMMENT ON FUNCTION onec_internal.reason_two_rows() IS
	'Чем объясняется сомнение в ключах с несколькими строками (служебная)';

-- Without who is forgotten; then what differs: how many rows.
CREATE FUNCTION onec_internal.compare_unforgotten(server name, target text, scope text,
												  fresh boolean DEFAULT false) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	RETURN onec_internal.compare_with_staged(server, target, scope, fresh);
END $$;
COMMENT ON FUNCTION onec_internal.compare_unforgotten(name, text, text, boolean) IS
	'Сравнить прочитанное с тем, что здесь (служебная)';

-- Whether the keys of pg_temp.onec_twice are known to have several rows: they had them in the reading before,
-- or are here so.
CREATE FUNCTION onec_internal.are_doubles_known(server name, target text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known boolean := true;
	keys text := onec_internal.stage_key_columns(target, 'k');
BEGIN
	IF NOT onec_internal.any_differing_doubles() THEN
		RETURN true;
	END IF;
	IF to_regclass('pg_temp.onec_before') IS NULL THEN
		CREATE TEMPORARY TABLE onec_before ON COMMIT DROP AS SELECT * FROM pg_temp.onec_twice LIMIT 0;
	END IF;
	IF onec_internal.has_copies(target) THEN
		EXECUTE format('SELECT NOT EXISTS (SELECT FROM pg_temp.onec_twice k
				WHERE NOT EXISTS (SELECT FROM pg_temp.onec_before b WHERE (%1$s) = (%2$s))
				  AND NOT EXISTS (SELECT FROM %3$s t
								  WHERE t.server = %4$s AND (%1$s) = (%5$s) AND t.copy > 0))', keys,
			onec_internal.stage_key_columns(target, 'b'), onec_internal.table_of_target(target),
			onec_internal.server_in(onec_internal.table_of_target(target), server),
			onec_internal.stage_key_columns(target, 't'))
		INTO known;
	ELSE
		EXECUTE format('SELECT NOT EXISTS (SELECT FROM pg_temp.onec_twice k
				WHERE NOT EXISTS (SELECT FROM pg_temp.onec_before b
								  WHERE (%s) = (%s)))', keys, onec_internal.stage_key_columns(target, 'b'))
		INTO known;
	END IF;
	RETURN known;
END $$;
COMMENT ON FUNCTION onec_internal.are_doubles_known(name, text) IS
	'Известно ли, что у этих ключей несколько строк (служебная)';

-- Take the keys that came twice for the next reading's judgement.
CREATE FUNCTION onec_internal.remember_doubles() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_before') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_before;
	END IF;
	ALTER TABLE pg_temp.onec_twice RENAME TO onec_before;
END $$;
COMMENT ON FUNCTION onec_internal.remember_doubles() IS 'Запомнить ключи, прочитанные дважды (служебная)';

-- How many keys pg_temp.onec_stage has, of the rows that came in so many pages; NULL: not counted.  Only
-- between two pages can a row come twice unseen.
CREATE FUNCTION onec_internal.count_different_keys(server name, target text, pages bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys bigint;
BEGIN
	IF coalesce(pages, 2) > 1 AND onec_internal.deletion_waits_for_end(server, target) THEN
		EXECUTE format('SELECT count(*) FROM (SELECT DISTINCT %s FROM pg_temp.onec_stage s) k',
					   onec_internal.stage_key_columns(target, 's')) INTO keys;
	END IF;
	RETURN keys;
END $$;
COMMENT ON FUNCTION onec_internal.count_different_keys(name, text, bigint) IS
	'Сколько разных ключей прочитано (служебная)';

-- Whether the store can differ from the staged rows only by lacking them: no row of "scope" is here, nor one
-- of a document that waits or stands in time which the step has not read, and nobody has been folded whom new
-- rows would touch.  So it is in a first load, where comparing costs more than writing.
CREATE FUNCTION onec_internal.is_all_new(server name, target text, scope text, later tsrange) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	touches text[] := onec_internal.what_target_touches(target);
	tab text := onec_internal.table_of_target(target);
	any_here boolean;
BEGIN
	IF scope IS NULL
		OR touches && '{documents,documents of cards}'
			AND EXISTS (SELECT FROM onec.sale_line l WHERE l.server = is_all_new.server)
		OR touches <> '{}' AND (
			EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = is_all_new.server)
			OR EXISTS (SELECT FROM onec_internal.profile_state p WHERE p.server = is_all_new.server)) THEN
		RETURN false;
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE server = %s AND (%s))',
				   tab, onec_internal.server_in(tab, server), scope) INTO any_here;
	RETURN NOT any_here
		AND (later IS NULL OR onec_internal.half_documents_query(server, target, later) IS NULL);
END $$;
COMMENT ON FUNCTION onec_internal.is_all_new(name, text, text, tsrange) IS
	'Все ли прочитанные строки новые, как при первой загрузке (служебная)';

-- Read the rows of a condition and compare them with "scope": "differ" rows are not as here, "alike" ones
-- came beside their like in one page, "surplus" ones have a key that others have.  Whoever wants to know
-- which keys came twice looks when something differs, and always where that has happened before; rows that
-- differ are then read once more.  "versions": only what has changed may be read whole.  "fresh": all rows
-- are new, and nothing was compared.
CREATE FUNCTION onec_internal.read_window(server name, target text, condition text, scope text, later tsrange,
										  versions boolean, OUT read bigint, OUT keys bigint,
										  OUT alike bigint, OUT surplus bigint, OUT differ bigint,
										  OUT numbered bigint,
										  OUT holes bigint, OUT hole text, OUT doubt text, OUT fresh boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	careful boolean := EXISTS (SELECT FROM onec_internal.sync_doubt d
							   WHERE d.server = read_window.server AND d.target = read_window.target
								 AND d.kind = 'twice');
	went record;
	staged bigint;
	counted bigint;
	kept bigint;
BEGIN
	FOR attempt IN 1 .. 2 LOOP
		SELECT * INTO went FROM onec_internal.stage_window(server, target, condition, scope,
														   versions AND NOT careful AND attempt = 1);
		staged := went.staged;
		alike := went.twice;
		read := staged + alike;
		holes := onec_internal.keep_lacking_values(server, target, went.lacked);
		counted := onec_internal.count_different_keys(server, target, went.pages);
		keys := coalesce(counted, staged);
		numbered := 0;
		surplus := 0;
		IF careful THEN
			keys := read - alike - onec_internal.drop_equal_doubles(target, counted = staged);
			surplus := keys - coalesce(onec_internal.count_different_keys(server, target, NULL), keys);
			IF NOT onec_internal.are_doubles_known(server, target) AND attempt = 1 THEN
				PERFORM onec_internal.remember_doubles();
				CONTINUE;
			END IF;
			IF onec_internal.are_doubles_known(server, target) OR NOT onec_internal.has_copies(target) THEN
				numbered := onec_internal.number_differing_doubles(server, target);
			ELSE
				doubt := 'rows of one key differ from reading to reading';
			END IF;
			IF later IS NOT NULL THEN
				numbered := numbered
					+ onec_internal.number_across_windows(server, target, scope,
														  onec_internal.sure_row_condition(server, target,
															  later), true);
			END IF;
		END IF;
		kept := onec_internal.attribute_window(server, target);
		hole := CASE WHEN holes > 0 THEN 'rows came without a property that others have'
					 WHEN kept > 0 THEN 'the rows that tell who bought were not read' END;
		holes := holes + kept;
		fresh := NOT careful AND onec_internal.is_all_new(server, target, scope, later);
		differ := onec_internal.compare_unforgotten(server, target, scope, fresh)
			+ CASE WHEN fresh THEN staged ELSE 0 END;
		EXIT WHEN careful OR differ = 0;
		keys := read - alike - onec_internal.drop_equal_doubles(target, counted = staged);
		IF onec_internal.any_differing_doubles() THEN
			PERFORM onec_internal.remember_doubles();
			careful := true;
			CONTINUE;
		END IF;
		IF keys <> read - alike AND NOT fresh THEN
			differ := onec_internal.compare_with_staged(server, target, scope);
		END IF;
		EXIT;
	END LOOP;
	IF numbered = 0 AND doubt IS NULL AND to_regclass('pg_temp.onec_twice') IS NOT NULL THEN
		DELETE FROM pg_temp.onec_twice;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.read_window(name, text, text, text, tsrange, boolean) IS
	'Прочитать окно и разобраться с повторами ключей (служебная)';

-- The temporary tables of a window; but for those that the windows of a step have in common, if they are to
-- be kept.
CREATE FUNCTION onec_internal.drop_window_tables(all_of_step boolean DEFAULT true) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text;
BEGIN
	FOREACH tab IN ARRAY '{onec_twice,onec_before}'::text[]
		|| CASE WHEN all_of_step THEN '{onec_stage,onec_change,onec_found,onec_again}'::text[] END LOOP
		IF to_regclass('pg_temp.' || tab) IS NOT NULL THEN
			EXECUTE format('DROP TABLE pg_temp.%I', tab);
			PERFORM set_config('onec_internal.' || tab, '', false);
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.drop_window_tables(boolean) IS 'Убрать временные таблицы окна (служебная)';

-- Write what pg_temp.onec_change says, or where that is all new, what is staged; and what follows from it for
-- the buyers of other windows.
CREATE FUNCTION onec_internal.write_window(server name, target text, sure text DEFAULT 'false',
										   fresh boolean DEFAULT false,
										   OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
										   OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attributes boolean := EXISTS (SELECT FROM pg_temp.onec_change)
		AND onec_internal.what_target_touches(target) && '{documents,documents of cards}'
		AND EXISTS (SELECT FROM onec.sale_line l WHERE l.server = write_window.server)
		AND to_regclass(format('%I.sale_line', server)) IS NOT NULL;
BEGIN
	IF fresh THEN
		PERFORM onec_internal.feed_window(server, target, true, NULL);
		SELECT a.inserted, 0, 0, a.left_out INTO inserted, updated, deleted, left_out
		FROM onec_internal.write_new_rows(target) a;
		RETURN;
	END IF;
	IF attributes THEN
		PERFORM onec_internal.note_documents_to_attribute(server, target);
	END IF;
	SELECT a.inserted, a.updated, a.deleted, a.left_out INTO inserted, updated, deleted, left_out
	FROM onec_internal.write_differences(server, target, sure) a;
	IF attributes THEN
		PERFORM onec_internal.drop_window_tables();
		PERFORM onec_internal.attribute_noted_documents(server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.write_window(name, text, text, boolean) IS
	'Записать отличия окна и заново определить покупателей (служебная)';

-- Whether what a window of the target would take away waits for the other windows of the step: a document
-- that 1C has moved between two of them may be missing in one only because the other was read badly.
CREATE FUNCTION onec_internal.deletion_waits_for_end(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN onec_internal.date_column(target) IS NOT NULL AND NOT onec_internal.is_nested(server, target);
END $$;
COMMENT ON FUNCTION onec_internal.deletion_waits_for_end(name, text) IS
	'Ждут ли удаления окна конца шага (служебная)';

-- How many of the rows of a window, of which some have one key, count beside what 1C counts in all windows,
-- see onec_internal.why_unsettled: one too many would stand for one that is missing elsewhere.  Rows that are
-- alike count for two where 1C counts them so, and another reading has the same; those that differ where its
-- number does not gainsay it; in doubt, each key counts once.
CREATE FUNCTION onec_internal.rows_that_1c_counts(server name, target text, condition text, from_ts timestamp,
												  till_ts timestamp, read bigint, keys bigint, alike bigint,
												  surplus bigint, in_doubt boolean) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counted bigint := onec_internal.count_window_in_1c(server, target, from_ts, till_ts);
BEGIN
	IF keys <> read AND counted = read
		AND onec_internal.second_reading_agrees(server, target, condition, keys)
		AND onec_internal.are_surplus_rows_alike(server, target, read - keys, alike) THEN
		RETURN read;
	END IF;
	RETURN keys - CASE WHEN in_doubt OR counted <> keys THEN surplus ELSE 0 END;
END $$;
COMMENT ON FUNCTION onec_internal.rows_that_1c_counts(name, text, text, timestamp, timestamp, bigint, bigint,
													  bigint, bigint, boolean) IS
	'Сколько строк окна считаются в сумме всех окон (служебная)';

-- Make the rows of "scope" equal to those that 1C has for "condition"; without a scope nothing is taken for
-- deleted.  The times say what 1C is to count; NULL: it cannot.  "doubt" says why rows that were missing are
-- still here, "kept" how many; "numbered" tells of keys that have several rows.  With "later", documents that
-- lose rows, or of which other days have a part, wait for onec_internal.settle_waiting.  "by_plan": an
-- exchange plan has told of these rows.
CREATE FUNCTION onec_internal.sync_part_of_table(server name, target text, condition text, scope text,
												 from_ts timestamp, till_ts timestamp,
												 force boolean, later tsrange,
												 by_plan boolean DEFAULT false, OUT read bigint,
												 OUT keys bigint, OUT inserted bigint,
												 OUT updated bigint, OUT deleted bigint, OUT doubt text,
												 OUT kept bigint, OUT numbered bigint,
												 OUT holes bigint, OUT hole text, OUT left_out bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w record;
	missing boolean;
	strange text;
BEGIN
	kept := 0;
	FOR attempt IN 1 .. 2 LOOP
		PERFORM onec_internal.drop_window_tables(false);
		SELECT * INTO w FROM onec_internal.read_window(server, target, condition, scope, later, attempt = 1);
		read := w.read;
		keys := w.keys;
		numbered := w.numbered;
		doubt := w.doubt;
		holes := w.holes;
		hole := w.hole;
		missing := w.differ > 0 AND EXISTS (SELECT FROM pg_temp.onec_change c WHERE c.place IS NULL);
		strange := NULL;
		EXIT WHEN NOT missing;
		IF numbered > 0 AND NOT onec_internal.has_copies(target) THEN
			doubt := 'several objects have one key';
		END IF;
		doubt := coalesce(doubt, CASE WHEN by_plan THEN onec_internal.why_not_told(server, target) END,
						  onec_internal.why_unproven(server, target, from_ts, till_ts, scope, w.read,
															w.keys, w.alike,
			later IS NOT NULL AND onec_internal.any_documents_wait()));
		strange := onec_internal.why_strange(server, target, scope, from_ts, till_ts, force);
		doubt := coalesce(strange, doubt);
		EXIT WHEN doubt IS NULL;
	END LOOP;
	IF later IS NOT NULL AND (keys <> read OR w.surplus > 0) THEN
		keys := onec_internal.rows_that_1c_counts(server, target, condition, from_ts, till_ts, read, keys,
												  w.alike, w.surplus, doubt IS NOT NULL);
	END IF;
	IF doubt IS NOT NULL THEN
		kept := greatest(onec_internal.withhold_deletion(server, target, coalesce(scope, 'false'),
														 later, true), 1);
		IF strange IS NOT NULL THEN
			DELETE FROM pg_temp.onec_change;
		END IF;
	ELSIF w.differ > 0 AND later IS NOT NULL
		AND (missing OR onec_internal.any_half_documents(server, target, later)) THEN
		kept := greatest(onec_internal.withhold_deletion(server, target, scope, later, false), 1);
	END IF;
	PERFORM onec_internal.check_versions(server, target, doubt IS NULL AND holes = 0 AND numbered = 0);
	IF NOT by_plan AND from_ts IS NOT NULL AND scope IS NOT NULL AND NOT w.fresh THEN
		PERFORM onec_internal.note_untold(server, target);
	END IF;
	IF w.differ = 0 THEN
		PERFORM onec_internal.keep_versions(server, target, 0, NOT by_plan);
		PERFORM onec_internal.drop_window_tables(false);
		SELECT 0, 0, 0, 0 INTO inserted, updated, deleted, left_out;
		RETURN;
	END IF;
	SELECT x.inserted, x.updated, x.deleted, x.left_out INTO inserted, updated, deleted, left_out
	FROM onec_internal.write_window(server, target,
									CASE WHEN later IS NULL OR w.fresh THEN 'false'
										 ELSE onec_internal.sure_row_condition(server, target, later) END,
									w.fresh) x;
	IF left_out = 0 THEN
		PERFORM onec_internal.keep_versions(server, target, deleted, NOT by_plan);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.sync_part_of_table(name, text, text, text, timestamp, timestamp,
													 boolean, tsrange, boolean) IS
	'Сделать часть местной таблицы равной прочитанному (служебная)';

-- Replace one window, from "from_ts" to before "till_ts", the ends of time for what is read whole.  With
-- "part_of", a condition that leaves out rows, nothing is taken for deleted.
CREATE FUNCTION onec_internal.sync_window(server name, target text, from_ts timestamp, till_ts timestamp,
										  part_of text, force boolean,
										  OUT read bigint, OUT keys bigint, OUT inserted bigint,
										  OUT updated bigint, OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	condition text := onec_internal.window_condition(target, from_ts, till_ts);
	whole text := concat_ws(' AND ', condition, part_of);
	scope text := CASE WHEN part_of IS NULL THEN condition END;
	later tsrange := CASE WHEN part_of IS NULL AND onec_internal.deletion_waits_for_end(server, target)
						  THEN tsrange(from_ts, till_ts) END;
	first record;
	w record;
BEGIN
	SELECT * INTO w FROM onec_internal.sync_part_of_table(server, target, whole, scope, from_ts, till_ts,
														  force, later);
	IF w.left_out > 0 THEN
		-- keys that the other windows have, too: the window is read with an eye on them
		PERFORM onec_internal.note_doubt(server, target, 'twice', from_ts, till_ts, w.left_out,
										 onec_internal.reason_two_rows());
		first := w;
		SELECT * INTO w FROM onec_internal.sync_part_of_table(server, target, whole, scope, from_ts, till_ts,
															  force, later);
		w.inserted := w.inserted + first.inserted;
		w.updated := w.updated + first.updated;
		w.deleted := w.deleted + first.deleted;
		w.doubt := coalesce(w.doubt, first.doubt,
							CASE WHEN w.left_out > 0 AND onec_internal.has_copies(target) THEN
			'documents have moved while they were read' END);
		w.kept := greatest(w.kept, first.kept, CASE WHEN w.doubt IS NOT NULL THEN 1 END);
		w.numbered := w.numbered + w.left_out;
	END IF;
	IF part_of IS NULL AND (w.kept > 0 OR w.numbered > 0 OR w.holes > 0 OR EXISTS (
			SELECT FROM onec_internal.sync_doubt d
			WHERE d.server = sync_window.server AND d.target = sync_window.target)) THEN
		PERFORM onec_internal.note_doubt(server, target, 'unproven', from_ts, till_ts, w.kept,
										 coalesce(w.doubt, 'the run ended before the step did'));
		PERFORM onec_internal.note_doubt(server, target, 'twice', from_ts, till_ts, w.numbered,
										 onec_internal.reason_two_rows());
		PERFORM onec_internal.note_doubt(server, target, 'hole', from_ts, till_ts, w.holes, w.hole);
	END IF;
	read := w.read;
	keys := w.keys;
	inserted := w.inserted;
	updated := w.updated;
	deleted := w.deleted;
	doubt := coalesce(w.doubt, w.hole);
END $$;
COMMENT ON FUNCTION onec_internal.sync_window(name, text, timestamp, timestamp, text, boolean) IS
	'Заменить одно окно местной таблицы (служебная)';
