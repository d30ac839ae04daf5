-- The end of a step: what has waited (45_waiting.sql) is written if 1C counts as many rows in all windows, or
-- stays as it was.

-- Whether 1C, which does not count, has the same rows in other pages: as many in the windows of the step, of
-- the documents that wait all that came, and none that is neither among these nor here, in another window.
CREATE FUNCTION onec_internal.same_rows_came_again(server name, s onec.sync_step) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	read bigint := 0;
	w tsrange;
	same boolean := true;
	unit text := onec_internal.stage_unit_columns(s.target, 'x');
	date_column name := onec_internal.date_column(s.target);
	place text := format('%s, x.%I', onec_internal.stage_key_columns(s.target, 'x'), date_column);
	day text := format('coalesce(x.%I, %L)', date_column, onec_internal.first_moment());
BEGIN
	FOREACH w IN ARRAY ARRAY(SELECT unnest(s.covered)) LOOP
		read := read + onec_internal.stage_rows_again(server, s.target,
													  onec_internal.window_condition(s.target,
														  lower(w), upper(w)));
		EXECUTE format('SELECT NOT EXISTS (
				SELECT %1$s FROM pg_temp.onec_waiting_row x WHERE x.onec_window <@ %2$L::tsrange
				EXCEPT SELECT %1$s FROM pg_temp.onec_again x)
			AND NOT EXISTS (
				SELECT %1$s FROM pg_temp.onec_again x
				WHERE (%3$s) IN (SELECT %3$s FROM pg_temp.onec_waiting x)
				EXCEPT SELECT %1$s FROM pg_temp.onec_waiting_row x
				EXCEPT SELECT %1$s FROM %4$s x WHERE x.server = %5$s
					AND NOT EXISTS (SELECT FROM pg_temp.onec_waiting k
									WHERE (%3$s) = (%6$s) AND %7$s <@ k.onec_window))', place, w, unit,
			onec_internal.table_of_target(s.target),
			onec_internal.server_in(onec_internal.table_of_target(s.target), server),
			onec_internal.stage_unit_columns(s.target, 'k'), day) INTO same;
		EXIT WHEN NOT same;
	END LOOP;
	RETURN same AND read = s.covered_keys;
END $$;
COMMENT ON FUNCTION onec_internal.same_rows_came_again(name, onec.sync_step) IS
	'Прочитать окна шага ещё раз, если 1С не считает (служебная)';

-- Why what waits cannot be written; NULL: it can, for 1C has as many rows in all windows together as came, so
-- that none hid what another lacks.
CREATE FUNCTION onec_internal.why_unsettled(server name, s onec.sync_step) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counted bigint := onec_internal.count_window_in_1c(server, s.target, s.covered);
BEGIN
	IF counted <> s.covered_keys THEN
		RETURN format('1C counts %s rows in all windows, %s were read', counted, s.covered_keys);
	ELSIF counted IS NULL AND NOT onec_internal.same_rows_came_again(server, s) THEN
		RETURN 'a second reading of all windows gave other rows';
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.why_unsettled(name, onec.sync_step) IS
	'Почему отложенное нельзя записать; NULL — можно (служебная)';

-- Documents that wait in one window and are in doubt in another wait in vain.  Returns the windows that lack
-- them.
CREATE FUNCTION onec_internal.drop_doubtful_waits(target text) RETURNS tsrange[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := onec_internal.stage_unit_columns(target);
	lacking tsrange[];
BEGIN
	EXECUTE format('
		WITH gone AS (DELETE FROM pg_temp.onec_waiting
			WHERE onec_window IS NOT NULL AND (%1$s) IN (SELECT %1$s FROM pg_temp.onec_waiting
														 WHERE onec_window IS NULL)
			RETURNING onec_window),
		gone_row AS (DELETE FROM pg_temp.onec_waiting_row
			WHERE (%1$s) IN (SELECT %1$s FROM pg_temp.onec_waiting WHERE onec_window IS NULL))
		SELECT array_agg(DISTINCT onec_window) FROM gone', unit) INTO lacking;
	RETURN lacking;
END $$;
COMMENT ON FUNCTION onec_internal.drop_doubtful_waits(text) IS
	'Не записывать отложенное, если другое окно документа не доказано (служебная)';

-- All windows are read: what has waited is written, or "doubt" says why it stays as it was.
CREATE FUNCTION onec_internal.settle_waiting(server name, s onec.sync_step,
											 OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
											 OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	windows tsrange[] := ARRAY(SELECT DISTINCT k.onec_window FROM pg_temp.onec_waiting k
							   WHERE k.onec_window IS NOT NULL ORDER BY 1);
	lacking tsrange[];
	w tsrange;
	x record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	IF windows <> '{}' THEN
		doubt := onec_internal.why_unsettled(server, s);
		lacking := CASE WHEN doubt IS NULL THEN onec_internal.drop_doubtful_waits(s.target) ELSE windows END;
	END IF;
	IF windows <> '{}' AND doubt IS NULL THEN
		SELECT l.inserted, l.updated, l.deleted INTO inserted, updated, deleted
		FROM onec_internal.write_documents_of_one_window(server, s.target) l;
	END IF;
	FOREACH w IN ARRAY windows LOOP
		IF doubt IS NULL AND EXISTS (SELECT FROM pg_temp.onec_waiting k WHERE k.onec_window = w) THEN
			SELECT * INTO x FROM onec_internal.write_waiting_documents(server, s.target, w);
			inserted := inserted + x.inserted;
			updated := updated + x.updated;
			deleted := deleted + x.deleted;
			IF x.numbered > 0 THEN
				PERFORM onec_internal.note_doubt(server, s.target, 'twice', lower(w), upper(w), x.numbered,
												 onec_internal.reason_two_rows());
			END IF;
		END IF;
		IF w = ANY (lacking) THEN
			UPDATE onec_internal.sync_doubt d
			SET reason = coalesce(doubt, 'documents have rows in other days that are in doubt')
			WHERE d.server = settle_waiting.server AND d.target = s.target AND d.kind = 'unproven'
			  AND d.from_ts = lower(w);
		ELSE
			PERFORM onec_internal.note_doubt(server, s.target, 'unproven', lower(w), upper(w), 0, NULL);
		END IF;
	END LOOP;
	PERFORM onec_internal.drop_waiting_documents();
END $$;
COMMENT ON FUNCTION onec_internal.settle_waiting(name, onec.sync_step) IS
	'Записать отложенное, если 1С насчитала столько же (служебная)';

-- The documents that have waited in one window, made equal to what was read of them.  "numbered": keys that
-- another window has, too.
CREATE FUNCTION onec_internal.write_waiting_documents(server name, target text, w tsrange,
													  OUT inserted bigint, OUT updated bigint,
													  OUT deleted bigint, OUT numbered bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := onec_internal.stage_unit_columns(target);
	scope text := onec_internal.window_condition(target, lower(w), upper(w));
	sure text;
BEGIN
	PERFORM onec_internal.drop_window_tables();
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT r.* FROM pg_temp.onec_waiting_row r
		WHERE r.onec_window = w;
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	sure := onec_internal.sure_row_condition(server, target, w);
	numbered := onec_internal.number_across_windows(server, target, scope, sure, false);
	PERFORM onec_internal.compare_with_staged(server, target, format('(%s) AND (%s) IN (
		SELECT %2$s FROM pg_temp.onec_waiting WHERE onec_window = %3$L)', scope, unit, w));
	SELECT a.inserted, a.updated, a.deleted, numbered + a.left_out INTO inserted, updated, deleted, numbered
	FROM onec_internal.write_window(server, target, sure) a;
	DELETE FROM pg_temp.onec_waiting WHERE onec_window = w;
END $$;
COMMENT ON FUNCTION onec_internal.write_waiting_documents(name, text, tsrange) IS
	'Записать отложенные документы окна (служебная)';

-- The documents that wait in one window and have rows here in no other, of all windows at once: none of their
-- keys is another's.
CREATE FUNCTION onec_internal.write_documents_of_one_window(server name, target text, OUT inserted bigint,
															OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	unit text := onec_internal.stage_unit_columns(target, 'x');
	day text := format('coalesce(t.%I, %L)', onec_internal.date_column(target), onec_internal.first_moment());
BEGIN
	PERFORM onec_internal.drop_window_tables();
	EXECUTE format('CREATE TEMPORARY TABLE onec_local ON COMMIT DROP AS
		SELECT * FROM pg_temp.onec_waiting x WHERE x.onec_window IS NOT NULL
			AND NOT EXISTS (SELECT FROM pg_temp.onec_waiting t
							WHERE (%1$s) = (%2$s) AND t.onec_window IS DISTINCT FROM x.onec_window)
			AND NOT EXISTS (SELECT FROM %3$s t
							WHERE t.server = %4$s AND (%1$s) = (%2$s) AND NOT %5$s <@ x.onec_window)',
		unit, onec_internal.stage_unit_columns(target, 't'), tab, onec_internal.server_in(tab, server), day);
	EXECUTE format('CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT t.*
						FROM pg_temp.onec_waiting_row t
		JOIN pg_temp.onec_local x ON (%s) = (%s)
			AND t.onec_window = x.onec_window', unit, onec_internal.stage_unit_columns(target, 't'));
	PERFORM onec_internal.drop_forgotten_from_staged(server, target);
	PERFORM onec_internal.compare_with_staged(server, target,
											  format('EXISTS (SELECT FROM pg_temp.onec_local x WHERE (%s) = '
													 '(%s) AND %s <@ x.onec_window)',
		unit, onec_internal.stage_unit_columns(target, tab),
		replace(day, 't.', tab || '.')));
	SELECT a.inserted, a.updated, a.deleted INTO inserted, updated, deleted
	FROM onec_internal.write_window(server, target) a;
	EXECUTE format('
		WITH gone AS (DELETE FROM pg_temp.onec_waiting t USING pg_temp.onec_local x WHERE (%1$s) = (%2$s))
		DELETE FROM pg_temp.onec_waiting_row t USING pg_temp.onec_local x
		WHERE (%1$s) = (%2$s)', unit, onec_internal.stage_unit_columns(target, 't'));
	DROP TABLE pg_temp.onec_local;
END $$;
COMMENT ON FUNCTION onec_internal.write_documents_of_one_window(name, text) IS
	'Записать отложенные документы, целиком лежащие в одном окне (служебная)';
