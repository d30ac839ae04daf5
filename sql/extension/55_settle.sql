-- What waits for the end of a step.  A document that 1C has moved between two windows may be missing in one only because the other
-- was read badly: what it would lose is kept, with what was read of it, until 1C has counted all windows together.

-- Whether documents of this step wait for its end.
CREATE FUNCTION onec._any_waits() RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN to_regclass('pg_temp.onec_waiting') IS NOT NULL;
COMMENT ON FUNCTION onec._any_waits() IS 'Отложены ли документы этого шага (служебная)';

CREATE FUNCTION onec._drop_waits() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec._any_waits() THEN
		DROP TABLE pg_temp.onec_waiting, pg_temp.onec_waiting_row;
	END IF;
END $$;
COMMENT ON FUNCTION onec._drop_waits() IS 'Забыть отложенное (служебная)';
REVOKE EXECUTE ON FUNCTION onec._drop_waits() FROM PUBLIC;

-- The documents in pg_temp.onec_frozen and the rows that were read of them, kept beyond the end of the transaction.
CREATE FUNCTION onec._keep_for_later(target text, later tsrange) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := (SELECT string_agg(format('x.%I', u), ', ') FROM unnest(onec._unit(target)) u);
BEGIN
	IF NOT onec._any_waits() THEN
		CREATE TEMPORARY TABLE onec_waiting AS SELECT later AS onec_window, x.* FROM pg_temp.onec_frozen x LIMIT 0;
		CREATE TEMPORARY TABLE onec_waiting_row AS SELECT later AS onec_window, s.* FROM pg_temp.onec_stage s LIMIT 0;
	END IF;
	INSERT INTO pg_temp.onec_waiting SELECT later, x.* FROM pg_temp.onec_frozen x;
	EXECUTE format('INSERT INTO pg_temp.onec_waiting_row SELECT %L::tsrange, s.* FROM pg_temp.onec_stage s
		WHERE EXISTS (SELECT FROM pg_temp.onec_frozen x WHERE (%s) = (%s))', later, unit, replace(unit, 'x.', 's.'));
END $$;
COMMENT ON FUNCTION onec._keep_for_later(text, tsrange) IS 'Отложить документы до конца шага (служебная)';
REVOKE EXECUTE ON FUNCTION onec._keep_for_later(text, tsrange) FROM PUBLIC;

-- Leave out of pg_temp.onec_change what is not proven.  Of what has a date, the days that would lose rows stay wholly as
-- they are, with all rows of their documents, wherever these lie: half of a re-posted document would be worse than the old one.
-- So does what pg_temp.onec_twice holds, and documents that come from days outside of the scope.  With "later", the rows read
-- of these documents are kept for onec._settle.  Returns how many rows stay that would have gone.
CREATE FUNCTION onec._withhold(server name, target text, scope text, later tsrange) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := 'onec.' || quote_ident(onec._local_table(target));
	unit text := (SELECT string_agg(format('x.%I', u), ', ') FROM unnest(onec._unit(target)) u);
	day text := CASE WHEN onec._date_column(target) IS NULL THEN 'NULL::date'
					 ELSE format('coalesce(x.%I::date, ''-infinity'')', onec._date_column(target)) END;
	kept bigint := (SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL);
BEGIN
	IF onec._has_mark(target) THEN
		DELETE FROM pg_temp.onec_change c WHERE c.place IS NULL;
		RETURN kept;
	END IF;
	EXECUTE format('CREATE TEMPORARY TABLE onec_frozen ON COMMIT DROP AS
		WITH missing AS MATERIALIZED (
			SELECT x.* FROM %1$s x JOIN pg_temp.onec_change c ON (%2$s) = (%3$s) WHERE x.server = %4$L AND c.place IS NULL),
		day AS MATERIALIZED (SELECT DISTINCT %5$s AS day FROM missing x)
		SELECT %6$s FROM missing x
		%8$s
		UNION SELECT %6$s FROM %1$s x JOIN day ON day.day = %5$s WHERE x.server = %4$L AND (%7$s)
		UNION SELECT %6$s FROM pg_temp.onec_stage x JOIN day ON day.day = %5$s
		UNION SELECT %6$s FROM %1$s x JOIN pg_temp.onec_stage s ON (%2$s) = (%9$s) WHERE x.server = %4$L AND (x.%10$I <> s.%10$I)',
		tab, onec._stage_key(target, 'x'), onec._stage_key(target, 'c'), server, day, unit, scope,
		CASE WHEN onec._any_doubles() THEN format('UNION SELECT %s FROM pg_temp.onec_twice x', unit) END,
		onec._stage_key(target, 's'), coalesce(onec._date_column(target), 'server'));
	IF later IS NOT NULL THEN
		PERFORM onec._keep_for_later(target, later);
	END IF;
	EXECUTE format('DELETE FROM pg_temp.onec_change c WHERE c.place IS NULL
		OR EXISTS (SELECT FROM pg_temp.onec_stage s JOIN pg_temp.onec_frozen x ON (%s) = (%s) WHERE s.ctid = c.place)',
		replace(unit, 'x.', 's.'), unit);
	DROP TABLE pg_temp.onec_frozen;
	RETURN kept;
END $$;
COMMENT ON FUNCTION onec._withhold(name, text, text, tsrange) IS 'Оставить как было то, чего удаление не доказано (служебная)';
REVOKE EXECUTE ON FUNCTION onec._withhold(name, text, text, tsrange) FROM PUBLIC;

-- All windows are read: where 1C counts as many rows in all of them as came, none hid what another lacks, and what has waited is
-- written.  "doubt" says why it stays as it was; NULL too where 1C does not count, for then each window was read twice.
CREATE FUNCTION onec._settle(server name, s onec.sync_step, OUT inserted bigint, OUT updated bigint, OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	counted bigint := 0;
	w tsrange;
	x record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	FOREACH w IN ARRAY ARRAY(SELECT unnest(s.covered)) LOOP
		counted := counted + onec._count_of_1c(server, s.target, lower(w), upper(w));
	END LOOP;
	IF counted <> s.covered_keys THEN
		doubt := format('1C counts %s rows in all windows, %s were read', counted, s.covered_keys);
	END IF;
	FOR w IN SELECT DISTINCT k.onec_window FROM pg_temp.onec_waiting k ORDER BY 1 LOOP
		IF doubt IS NULL THEN
			SELECT * INTO x FROM onec._write_waiting(server, s.target, w);
			inserted := inserted + x.inserted;
			updated := updated + x.updated;
			deleted := deleted + x.deleted;
			PERFORM onec._note_doubt(server, s.target, 'unproven', lower(w), upper(w), 0, NULL);
		ELSE
			UPDATE onec.sync_doubt d SET reason = _settle.doubt
			WHERE d.server = _settle.server AND d.target = s.target AND d.kind = 'unproven' AND d.from_ts = lower(w);
		END IF;
	END LOOP;
	PERFORM onec._drop_waits();
END $$;
COMMENT ON FUNCTION onec._settle(name, onec.sync_step) IS 'Записать отложенное, если 1С насчитала столько же (служебная)';
REVOKE EXECUTE ON FUNCTION onec._settle(name, onec.sync_step) FROM PUBLIC;

-- The documents that have waited in one window, made equal to what was read of them.
CREATE FUNCTION onec._write_waiting(server name, target text, w tsrange, OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit text := (SELECT string_agg(quote_ident(u), ', ') FROM unnest(onec._unit(target)) u);
BEGIN
	PERFORM onec._drop_window();
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT r.* FROM pg_temp.onec_waiting_row r WHERE r.onec_window = w;
	ALTER TABLE pg_temp.onec_stage DROP COLUMN onec_window;
	PERFORM onec._drop_forgotten(server, target);
	PERFORM onec._compare(server, target, format('(%s) AND (%s) IN (SELECT %2$s FROM pg_temp.onec_waiting WHERE onec_window = %3$L)',
		onec._window_condition(target, lower(w), upper(w)), unit, w));
	SELECT a.inserted, a.updated, a.deleted INTO inserted, updated, deleted FROM onec._write_window(server, target) a;
END $$;
COMMENT ON FUNCTION onec._write_waiting(name, text, tsrange) IS 'Записать отложенные документы окна (служебная)';
REVOKE EXECUTE ON FUNCTION onec._write_waiting(name, text, tsrange) FROM PUBLIC;
