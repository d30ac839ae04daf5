-- Cards read some at a time (cards_limit): where the next run goes on, and which cards a whole round has not
-- seen.

-- Where the next run with a limit goes on: behind the rows read, or at the beginning when the end was
-- reached.
CREATE FUNCTION onec_internal.remember_place(server name, target text, place bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec.sync_state t SET place = remember_place.place
	WHERE t.server = remember_place.server AND t.target = remember_place.target
	  AND t.place <> remember_place.place;
	IF place > 0 THEN
		INSERT INTO onec.sync_state (server, target, place)
		VALUES (server, target, place) ON CONFLICT DO NOTHING;
		RAISE WARNING USING
			MESSAGE = format('%s: read up to row %s only, because of cards_limit', target, place),
			DETAIL = 'The next run goes on from there; until the end is reached '
					 'nothing is taken for deleted.';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.remember_place(name, text, bigint) IS
	'Запомнить, докуда прочитан справочник (служебная)';

-- Whether the limit would leave out nothing: then cards are read as everything else is.
CREATE FUNCTION onec_internal.cards_fit_limit(server name, max_rows int) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 <= 0 OR EXISTS (SELECT FROM onec.sync_state t
							  WHERE t.server = $1 AND t.target = 'discount_card' AND t.place = 0
							  AND t.last_ok IS NOT NULL)
		AND (SELECT count(*) FROM onec.discount_card d
			 WHERE d.server = $1 AND NOT d.is_deleted) BETWEEN 1 AND $2 * 0.9
$$;
COMMENT ON FUNCTION onec_internal.cards_fit_limit(name, int) IS
	'Укладываются ли все карты в ограничение cards_limit (служебная)';

-- Some cards from where the last such run ended.  A limited reading tells of no deletion; when it has gone
-- round once, the cards that no part of the round had are asked for by key.
CREATE FUNCTION onec_internal.sync_some_cards(server name, max_rows int, force boolean, OUT read bigint,
											  OUT inserted bigint, OUT updated bigint,
											  OUT deleted bigint, OUT doubt text, OUT truncated boolean)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	start bigint := coalesce((SELECT t.place FROM onec.sync_state t
							  WHERE t.server = sync_some_cards.server AND t.target = 'discount_card'), 0);
	holes bigint;
	w record;
BEGIN
	IF start = 0 THEN
		DELETE FROM onec_internal.card_seen s WHERE s.server = sync_some_cards.server;
	END IF;
	PERFORM onec_internal.drop_window_tables();
	read := onec_internal.stage_rows(server, 'discount_card', 'true',
									 format('LIMIT %s OFFSET %s', max_rows, start));
	holes := onec_internal.keep_lacking_values(server, 'discount_card',
											   (SELECT r.lacked FROM onec_internal.last_reading(server,
												   'discount_card') r));
	truncated := read >= max_rows OR start > 0;
	INSERT INTO onec_internal.card_seen (server, card_id, known)
	SELECT s.server, s.card_id,
		   EXISTS (SELECT FROM onec.discount_card d WHERE d.server = s.server AND d.card_id = s.card_id)
	FROM pg_temp.onec_stage s WHERE s.card_id IS NOT NULL ON CONFLICT DO NOTHING;
	PERFORM onec_internal.remember_place(server, 'discount_card',
										 CASE WHEN read >= max_rows THEN start + read ELSE 0 END);
	PERFORM onec_internal.drop_equal_doubles('discount_card', false);
	PERFORM onec_internal.number_differing_doubles(server, 'discount_card');
	PERFORM onec_internal.compare_unforgotten(server, 'discount_card', NULL);
	SELECT * INTO w FROM onec_internal.write_window(server, 'discount_card');
	inserted := w.inserted;
	updated := w.updated;
	deleted := 0;
	IF read < max_rows THEN
		SELECT * INTO w FROM onec_internal.delete_unseen_cards(server, force);
		deleted := w.deleted;
		doubt := w.doubt;
	END IF;
	IF holes > 0 THEN
		doubt := coalesce(doubt, 'cards came without a property that others have');
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.sync_some_cards(name, int, boolean) IS
	'Прочитать часть карт с того места, где остановились (служебная)';

-- The end of a round: cards that are here and were not seen.  A round that saw none of those that were here
-- is another base's.
CREATE FUNCTION onec_internal.delete_unseen_cards(server name, force boolean, OUT deleted bigint,
												  OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ask record;
	missing bigint;
BEGIN
	PERFORM onec_internal.drop_window_tables();
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT d.* FROM onec.discount_card d LIMIT 0;
	ALTER TABLE pg_temp.onec_stage DROP COLUMN is_deleted;
	CREATE TEMPORARY TABLE onec_change ON COMMIT DROP AS
		SELECT NULL::tid AS place, true AS here, false AS redated, d.server, d.card_id
		FROM onec.discount_card d
		WHERE d.server = delete_unseen_cards.server AND NOT d.is_deleted
		  AND NOT EXISTS (SELECT FROM onec_internal.card_seen s
						  WHERE s.server = d.server AND s.card_id = d.card_id);
	missing := (SELECT count(*) FROM pg_temp.onec_change);
	IF missing > 0 THEN
		SELECT * INTO ask FROM onec_internal.ask_for_missing_rows(server, 'discount_card', 'true');
		doubt := CASE WHEN NOT force AND NOT EXISTS (
							SELECT FROM onec_internal.card_seen s
							WHERE s.server = delete_unseen_cards.server AND s.known)
						  THEN 'no card that was read is one that was here'
					  WHEN missing > 1000 THEN 'too many cards are missing to be asked for by key'
					  WHEN NOT ask.asked THEN 'cards cannot be asked for by key'
					  WHEN ask.there THEN 'cards that were missing are there when asked for'
					  WHEN missing >= 50 AND missing >= onec.get('sync.suspicious_share', server)::numeric
							* (SELECT count(*) FROM onec.discount_card d
							   WHERE d.server = delete_unseen_cards.server AND NOT d.is_deleted)
						AND onec_internal.count_window_in_1c(server, 'discount_card',
															 onec_internal.first_moment(),
															 onec_internal.last_moment()) <> (
							SELECT count(*) FROM onec_internal.card_seen s
							WHERE s.server = delete_unseen_cards.server)
						  THEN '1C does not count as many cards as the round has seen' END;
	END IF;
	IF doubt IS NOT NULL THEN
		DELETE FROM pg_temp.onec_change;
	END IF;
	PERFORM onec_internal.note_doubt(server, 'discount_card', 'unproven', onec_internal.first_moment(),
									 onec_internal.last_moment(),
									 CASE WHEN doubt IS NULL THEN 0 ELSE missing END, doubt);
	DELETE FROM onec_internal.card_seen s WHERE s.server = delete_unseen_cards.server;
	SELECT a.deleted INTO deleted FROM onec_internal.write_differences(server, 'discount_card') a;
	PERFORM onec_internal.drop_window_tables();
END $$;
COMMENT ON FUNCTION onec_internal.delete_unseen_cards(name, boolean) IS
	'Пометить удалёнными карты, которых 1С не нашла и по ключу (служебная)';
