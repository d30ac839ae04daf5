-- The feed of changes: who and what a run has changed, for a site that keeps caches of its own.
--
-- Entries are written in the transaction that writes the change, and numbered by server.  Runs of a server
-- exclude one another, and whoever numbers holds the row of the last number until the commit: so what a
-- reader does not see yet has larger numbers than all that he sees, and none is lost by who goes on behind
-- the last one that he has seen.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('feed.enabled', 'bool', 'false', NULL, NULL, NULL,
	 'Записывать в onec.change_feed, что изменила синхронизация'),
	('keep.feed_days', 'int', '30', NULL, 0, 36500, 'Сколько дней хранить onec.change_feed; 0 — всегда');

CREATE TABLE onec.change_feed (
	server name NOT NULL,
	position bigint NOT NULL,
	kind text NOT NULL,
	key_id uuid NOT NULL,
	change text NOT NULL CHECK (change IN ('new', 'changed', 'gone')),
	target text NOT NULL,
	run_id bigint NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, position)
);
COMMENT ON TABLE onec.change_feed IS
	'Что изменила синхронизация, если включена настройка feed.enabled; читать через onec.changes_since';
COMMENT ON COLUMN onec.change_feed.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.change_feed.position IS 'Номер: у сервера по порядку фиксации';
COMMENT ON COLUMN onec.change_feed.kind IS 'Что изменилось: onec.target.feeds';
COMMENT ON COLUMN onec.change_feed.key_id IS 'Ссылка на то, что изменилось';
COMMENT ON COLUMN onec.change_feed.change IS
	'new — появилось, changed — изменилось само или строки о нём, gone — в 1С его больше нет';
COMMENT ON COLUMN onec.change_feed.target IS 'В какой таблице';
COMMENT ON COLUMN onec.change_feed.run_id IS 'Номер запуска';
COMMENT ON COLUMN onec.change_feed.changed_at IS 'Когда';
SELECT pg_catalog.pg_extension_config_dump('onec.change_feed', '');

CREATE TABLE onec_internal.feed_place (
	server name PRIMARY KEY,
	last bigint NOT NULL,
	trimmed bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE onec_internal.feed_place IS 'До какого номера дошла лента изменений';
COMMENT ON COLUMN onec_internal.feed_place.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.feed_place.last IS 'Последний номер';
COMMENT ON COLUMN onec_internal.feed_place.trimmed IS 'До какого номера записи уже удалены';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.feed_place', '');

-- Number and write what a query of key_id and change gives.
CREATE FUNCTION onec_internal.write_feed(server name, target text, query text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kind text := (onec_internal.target_named(target)).feeds;
	behind bigint;
	added bigint;
BEGIN
	INSERT INTO onec_internal.feed_place AS p (server, last) VALUES (server, 0)
	ON CONFLICT ON CONSTRAINT feed_place_pkey DO NOTHING;
	behind := (SELECT p.last FROM onec_internal.feed_place p WHERE p.server = write_feed.server FOR UPDATE);
	EXECUTE format('INSERT INTO onec.change_feed (server, position, kind, key_id, change, target, run_id)
		SELECT $1, $2 + row_number() OVER (ORDER BY k.key_id), $3, k.key_id, k.change, $4,
			   coalesce((SELECT max(r.run_id) FROM onec.sync_run r
						 WHERE r.server = $1 AND r.status = ''running''), 0)
		FROM (%s) k WHERE k.key_id IS NOT NULL', query) USING server, behind, kind, target;
	GET DIAGNOSTICS added = ROW_COUNT;
	UPDATE onec_internal.feed_place p SET last = behind + added
	WHERE p.server = write_feed.server AND added > 0;
END $$;
COMMENT ON FUNCTION onec_internal.write_feed(name, text, text) IS 'Дописать ленту изменений (служебная)';

-- Whether changes of a target are told of.
CREATE FUNCTION onec_internal.is_fed(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (onec_internal.target_named(target)).feeds IS NOT NULL
		AND onec.get('feed.enabled', server)::boolean;
END $$;
COMMENT ON FUNCTION onec_internal.is_fed(name, text) IS
	'Записываются ли изменения таблицы в ленту (служебная)';

-- Tell that something about those whose references a query gives has changed.
CREATE FUNCTION onec_internal.feed_changed(server name, target text, query text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.is_fed(server, target) THEN
		PERFORM onec_internal.write_feed(server, target, format(
			'SELECT DISTINCT k.key_id, ''changed'' AS change FROM (%s) k (key_id)', query));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.feed_changed(name, text, text) IS
	'Записать в ленту, о ком изменились строки (служебная)';

-- Have it noted in pg_temp.onec_written whose rows are written anew until the end of the transaction, where
-- changes of a target are told of: see write_changed_rows.
CREATE FUNCTION onec_internal.note_who_is_written(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.is_fed(server, target) THEN
		CREATE TEMPORARY TABLE onec_written (customer_id uuid NOT NULL) ON COMMIT DROP;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_who_is_written(name, text) IS
	'Запоминать, о ком пишутся пересчитанные строки (служебная)';

-- Tell of what pg_temp.onec_change says, before it is written; or of all that is staged, if it is all new.
-- Where the key is that of the object itself, it is new or gone; else whoever the row is about, or was, has
-- changed: "same_key" finds the row t that is here by the entry s.
CREATE FUNCTION onec_internal.feed_window(server name, target text, fresh boolean, same_key text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t onec.target := onec_internal.target_named(target);
	tab text := onec_internal.table_of_target(target);
	is_object boolean := onec_internal.stage_key_columns(target, 's') = 's.' || quote_ident(t.feed_key);
BEGIN
	IF NOT onec_internal.is_fed(server, target) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.write_feed(server, target, CASE
		WHEN fresh THEN
			format('SELECT DISTINCT s.%I AS key_id, %L AS change FROM pg_temp.onec_stage s', t.feed_key,
				   CASE WHEN is_object THEN 'new' ELSE 'changed' END)
		WHEN is_object THEN
			format('SELECT coalesce(c.%1$I, s.%1$I) AS key_id,
						   CASE WHEN c.place IS NULL THEN ''gone'' WHEN c.here THEN ''changed''
								ELSE ''new'' END AS change
					FROM pg_temp.onec_change c LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place',
				   t.feed_key)
		ELSE
			format('SELECT s.%1$I AS key_id, ''changed'' AS change FROM pg_temp.onec_change c
						JOIN pg_temp.onec_stage s ON s.ctid = c.place
					UNION
					SELECT t.%1$I, ''changed'' FROM pg_temp.onec_change s JOIN %2$s t ON %3$s WHERE s.here',
				   t.feed_key, tab, same_key) END);
END $$;
COMMENT ON FUNCTION onec_internal.feed_window(name, text, boolean, text) IS
	'Записать в ленту, что изменит окно (служебная)';

-- ---- reading it ----

CREATE FUNCTION onec.feed_position(server name DEFAULT NULL) RETURNS bigint
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT p.last FROM onec_internal.feed_place p
					 WHERE p.server = onec_internal.server_meant($1)), 0);
COMMENT ON FUNCTION onec.feed_position(name) IS
	'Номер последней записи ленты изменений: кто сейчас прочтёт таблицы целиком, продолжит с него';
REVOKE EXECUTE ON FUNCTION onec.feed_position(name) FROM PUBLIC;

CREATE FUNCTION onec.changes_since("position" bigint, server name DEFAULT NULL, max_rows int DEFAULT 1000)
	RETURNS SETOF onec.change_feed
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	place onec_internal.feed_place;
BEGIN
	IF "position" IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'the position is NULL',
			HINT = format('Begin with onec.feed_position(%L).', srv);
	END IF;
	SELECT * INTO place FROM onec_internal.feed_place p WHERE p.server = srv;
	IF "position" < coalesce(place.trimmed, 0) OR "position" > coalesce(place.last, 0) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the feed of server "%s" has the changes behind %s to %s, not those behind %s',
							 srv, coalesce(place.trimmed, 0), coalesce(place.last, 0), "position"),
			HINT = format('SELECT onec.feed_position(%L), then read the tables whole, then go on from '
						  'that position.', srv);
	END IF;
	RETURN QUERY SELECT f.* FROM onec.change_feed f
		WHERE f.server = srv AND f.position > changes_since.position
		ORDER BY f.position LIMIT changes_since.max_rows;
END $$;
COMMENT ON FUNCTION onec.changes_since(bigint, name, int) IS
	'Изменения после номера, по порядку, не больше max_rows; ошибка, если их уже не хранят';
REVOKE EXECUTE ON FUNCTION onec.changes_since(bigint, name, int) FROM PUBLIC;

-- Delete what is older than is to be kept.
CREATE FUNCTION onec_internal.trim_feed(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days int := onec.get('keep.feed_days', server)::int;
	upto bigint := (SELECT max(f.position) FROM onec.change_feed f
					WHERE f.server = trim_feed.server AND days > 0
					  AND f.changed_at < now() - make_interval(days => days));
BEGIN
	IF upto IS NOT NULL THEN
		UPDATE onec_internal.feed_place p SET trimmed = greatest(p.trimmed, upto)
		WHERE p.server = trim_feed.server;
		DELETE FROM onec.change_feed f WHERE f.server = trim_feed.server AND f.position <= upto;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.trim_feed(name) IS 'Удалить старые записи ленты изменений (служебная)';
