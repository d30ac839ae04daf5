-- Bonus points, given and taken by a site: a document each, and the step that posts it.
--
-- A spend is written as a negative accrual, since that is what shows in the balance of every configuration
-- seen.  What was asked for and is not in the store yet counts at once: onec_internal.site_points.

CREATE TABLE onec_internal.site_points (
	server name NOT NULL,
	card_id uuid NOT NULL,
	document_id uuid NOT NULL,
	line int NOT NULL,
	points numeric NOT NULL,
	expires_at timestamp,
	PRIMARY KEY (server, card_id, document_id, line)
);
COMMENT ON TABLE onec_internal.site_points IS
	'Баллы, которые сайт начислил и списал, пока их нет в местных данных (служебное)';
COMMENT ON COLUMN onec_internal.site_points.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.site_points.card_id IS 'Карта';
COMMENT ON COLUMN onec_internal.site_points.document_id IS 'Документ';
COMMENT ON COLUMN onec_internal.site_points.line IS 'Строка';
COMMENT ON COLUMN onec_internal.site_points.points IS 'Баллов; меньше нуля — списание';
COMMENT ON COLUMN onec_internal.site_points.expires_at IS 'Когда сгорают';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_points', '');

-- Whoever spends from one card at a time meets here.
CREATE TABLE onec_internal.site_spending (
	server name NOT NULL,
	card_id uuid NOT NULL,
	times bigint NOT NULL DEFAULT 1,
	PRIMARY KEY (server, card_id)
);
COMMENT ON TABLE onec_internal.site_spending IS
	'Карты, с которых списывал сайт: одновременные списания идут по очереди (служебное)';
COMMENT ON COLUMN onec_internal.site_spending.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.site_spending.card_id IS 'Карта';
COMMENT ON COLUMN onec_internal.site_spending.times IS 'Сколько раз';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_spending', '');

-- Whether a document of points takes and gives nothing: it was skipped and cannot be in 1C, which was never
-- asked for it or has refused it; or nothing is to post it any more, and what may have, skipped or not, a
-- complete reading of points a day later has not found.  What else is done to it (a mark, taking it back)
-- tells nothing, nor does what 1C has refused and nobody has skipped, which may be delivered yet.
CREATE FUNCTION onec_internal.points_came_to_nothing(server name, document uuid) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(bool_or(h.operation = 'create' AND h.never_sent), false)
		OR coalesce(bool_and(h.never_sent OR h.done_at < r.at) FILTER (WHERE h.operation = 'post'), false)
			AND NOT EXISTS (SELECT FROM onec.outbox o
							WHERE o.server = $1 AND o.key = $2 AND o.operation = 'post')
	FROM (SELECT w.operation, w.done_at, w.status = 'skipped' AND NOT w.maybe_sent AS never_sent
		  FROM onec.outbox_history w WHERE w.server = $1 AND w.key = $2) h
	CROSS JOIN (SELECT coalesce(min(t.last_ok) - interval '1 day', '-infinity') AS at
				FROM onec.sync_state t JOIN onec.target g USING (target)
				WHERE t.server = $1 AND g.sums = 'balance') r
$$;
COMMENT ON FUNCTION onec_internal.points_came_to_nothing(name, uuid) IS
	'Не изменит ли документ баллов остатка: пропущен до отправки или его нет в 1С (служебная)';

-- What a site has given and taken of a card, by 1C's key, and the store does not have yet.
CREATE FUNCTION onec_internal.points_underway(server name, card uuid)
	RETURNS TABLE (points numeric, expires_at timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.points, s.expires_at
	FROM onec_internal.site_points s
	WHERE s.server = $1 AND s.card_id IN (SELECT $2 UNION ALL SELECT r.key FROM onec_internal.outbox_remote r
										  WHERE r.server = $1 AND r.remote_key = $2)
	  AND NOT EXISTS (SELECT FROM onec_internal.counted_points p
					  WHERE p.server = $1 AND p.card_id = $2
						AND p.recorder = onec_internal.key_in_1c($1, s.document_id))
	  AND NOT onec_internal.points_came_to_nothing($1, s.document_id)
$$;
COMMENT ON FUNCTION onec_internal.points_underway(name, uuid) IS
	'Баллы карты, которых ещё нет в местных данных (служебная)';

-- What a card will lose and when, oldest first: what expires, less what was spent of it.
CREATE FUNCTION onec_internal.points_to_expire(server name, card uuid)
	RETURNS TABLE (expires_at timestamp, points numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT m.at, sum(m.points)
	FROM (SELECT p.period AS at, -p.points AS points FROM onec_internal.counted_points p
		  WHERE p.server = $1 AND p.card_id = $2 AND p.period > onec.local_now($1)
		  UNION ALL
		  SELECT u.expires_at, u.points FROM onec_internal.points_underway($1, $2) u
		  WHERE u.expires_at > onec.local_now($1)) m
	GROUP BY 1 HAVING sum(m.points) > 0 ORDER BY 1
$$;
COMMENT ON FUNCTION onec_internal.points_to_expire(name, uuid) IS
	'Сколько баллов карты когда сгорит (служебная)';

-- What may be spent: what the card has, less what is on its way out.  What is on its way in may be refused
-- yet.
CREATE FUNCTION onec_internal.points_to_spend(server name, card uuid) RETURNS numeric
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT sum(p.points) FROM onec_internal.counted_points p
					 WHERE p.server = $1 AND p.card_id = $2 AND p.period <= onec.local_now($1)), 0)
		+ coalesce((SELECT sum(least(u.points, 0)) FROM onec_internal.points_underway($1, $2) u), 0);
COMMENT ON FUNCTION onec_internal.points_to_spend(name, uuid) IS 'Сколько баллов можно списать (служебная)';

-- A spend by the moments at which what it takes would have expired, so that it is taken from what expires
-- first, and its own expiry takes back as much on that day; the rest has no moment.
CREATE FUNCTION onec_internal.spend_lines(server name, card uuid, points numeric)
	RETURNS TABLE (points numeric, expires_at timestamp)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH lot AS (
		SELECT e.expires_at, e.points, sum(e.points) OVER (ORDER BY e.expires_at) - e.points AS before
		FROM onec_internal.points_to_expire($1, $2) e),
	taken AS (SELECT least(l.points, $3 - l.before) AS points, l.expires_at FROM lot l WHERE l.before < $3)
	SELECT -t.points, t.expires_at FROM taken t
	UNION ALL
	SELECT -r.rest, NULL FROM (SELECT $3 - coalesce(sum(t.points), 0) AS rest FROM taken t) r WHERE r.rest > 0
$$;
COMMENT ON FUNCTION onec_internal.spend_lines(name, uuid, numeric) IS
	'Строки списания: сначала то, что сгорит раньше (служебная)';

-- The document, its lines, and its posting.
CREATE FUNCTION onec_internal.put_points(server name, card uuid, points numeric[], expires timestamp[],
										 comment text) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at timestamp := date_trunc('second', onec.local_now(server));
	entity_set text := onec_internal.write_set(server, 'points');
	lines jsonb;
	made record;
BEGIN
	lines := (SELECT jsonb_agg(jsonb_build_object('card', card, 'points', u.points, 'granted_at', at,
												  'expires_at', u.expires) ORDER BY u.n)
			  FROM unnest(points, expires) WITH ORDINALITY u (points, expires, n));
	SELECT * INTO made FROM onec.enqueue(server, entity_set, 'create', body => onec_internal.with_part(server,
		'points.accruals', onec_internal.write_body(server, 'points', jsonb_build_object('date', at,
			'comment', nullif(comment, ''), 'accruals', lines)) - onec_internal.part_of_object(server,
			'points.accruals'), lines));
	PERFORM onec.enqueue(server, entity_set, 'post', made.object_key, depends_on => ARRAY[made.id]);
	INSERT INTO onec_internal.site_points (server, card_id, document_id, line, points, expires_at)
	SELECT server, card, made.object_key, u.n, u.points, u.expires
	FROM unnest(points, expires) WITH ORDINALITY u (points, expires, n);
	RETURN made.object_key;
END $$;
COMMENT ON FUNCTION onec_internal.put_points(name, uuid, numeric[], timestamp[], text) IS
	'Поставить в очередь документ баллов и его проведение (служебная)';

-- What 1C can hold: fifteen digits, two of them after the point.
CREATE FUNCTION onec_internal.check_points(points numeric) RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (round(points, 2) > 0 AND points < 1e13) IS NOT TRUE THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'points must be a number greater than zero: 0.01 at least, less than 10000000000000';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_points(numeric) IS 'Отказать, если это не число баллов (служебная)';

CREATE FUNCTION onec.award_points(server name, card uuid, points numeric, expires timestamp DEFAULT NULL,
								  comment text DEFAULT NULL, idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	done uuid;
BEGIN
	PERFORM onec_internal.must_write('award_points');
	srv := onec_internal.site_writes(server, 'points');
	done := onec_internal.called_before(srv, 'award_points', idempotency,
										jsonb_build_array(card, trim_scale(points), expires, comment));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_points(points);
	PERFORM onec_internal.must_be_known(srv, 'card', card);
	card := onec_internal.key_in_1c(srv, card);
	RETURN onec_internal.answered(srv, 'award_points', idempotency, onec_internal.put_points(srv, card,
		ARRAY[points], ARRAY[date_trunc('second', expires)], comment));
END $$;
COMMENT ON FUNCTION onec.award_points(name, uuid, numeric, timestamp, text, text) IS
	'Начислить карте баллы: документ и его проведение ставятся в очередь. expires — когда сгорят, по часам '
	'базы; пусто — как решит 1С. Возвращает ссылку на документ';

CREATE FUNCTION onec.spend_points(server name, card uuid, points numeric, comment text DEFAULT NULL,
								  idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	done uuid;
	can numeric;
	lines record;
BEGIN
	PERFORM onec_internal.must_write('spend_points');
	srv := onec_internal.site_writes(server, 'points');
	done := onec_internal.called_before(srv, 'spend_points', idempotency,
										jsonb_build_array(card, trim_scale(points), comment));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_points(points);
	PERFORM onec_internal.must_be_known(srv, 'card', card);
	card := onec_internal.key_in_1c(srv, card);
	INSERT INTO onec_internal.site_spending AS s (server, card_id) VALUES (srv, card)
	ON CONFLICT ON CONSTRAINT site_spending_pkey DO UPDATE SET times = s.times + 1;
	-- what has come into the store counts there
	DELETE FROM onec_internal.site_points s
	WHERE s.server = srv AND s.card_id = card AND EXISTS (
		SELECT FROM onec_internal.counted_points p
		WHERE p.server = srv AND p.card_id = card
		  AND p.recorder = onec_internal.key_in_1c(srv, s.document_id));
	can := onec_internal.points_to_spend(srv, card);
	IF points > can THEN
		RAISE check_violation USING
			MESSAGE = format('the card has %s points to spend, not %s', trim_scale(greatest(can, 0)), points),
			DETAIL = 'What is on its way to 1C counts: spends do at once, awards when they are in the store.';
	END IF;
	SELECT array_agg(l.points ORDER BY l.expires_at) AS points,
		   array_agg(l.expires_at ORDER BY l.expires_at) AS expires INTO lines
	FROM onec_internal.spend_lines(srv, card, spend_points.points) l;
	RETURN onec_internal.answered(srv, 'spend_points', idempotency,
								  onec_internal.put_points(srv, card, lines.points, lines.expires, comment));
END $$;
COMMENT ON FUNCTION onec.spend_points(name, uuid, numeric, text, text) IS
	'Списать баллы с карты: документ с начислением меньше нуля и его проведение ставятся в очередь. '
	'Считается и то, что ещё не доставлено; больше, чем есть, не списывается. Возвращает ссылку на документ';
