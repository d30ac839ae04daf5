-- What a site asks about its changes, who may make them, what is thrown away.

-- The rows that a role has put there, newest last.
CREATE FUNCTION onec.write_status(key uuid, server name DEFAULT NULL)
	RETURNS TABLE (id bigint, entity_set text, operation text, status text, number text, data_version text,
				   message text, hint text)
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.* FROM (SELECT m.server, onec_internal.site_key(m.server, $1) AS key
		FROM onec_internal.server_meant($2) m (server)) s CROSS JOIN LATERAL (
		SELECT o.id, o.entity_set, o.operation, o.status, NULL::text AS number, NULL::text AS data_version,
			o.message, onec_internal.write_hint(o) AS hint
		FROM onec.outbox o
		WHERE o.server = s.server AND o.key = s.key
		  AND pg_has_role(onec_internal.calling_role(), (SELECT r.oid FROM pg_roles r
			WHERE r.rolname = o.requested_by),
						  'USAGE')
		UNION ALL
		SELECT h.id, h.entity_set, h.operation, h.status, h.number, h.data_version, h.message, NULL
		FROM onec.outbox_history h
		WHERE h.server = s.server AND h.key = s.key
		  AND pg_has_role(onec_internal.calling_role(), (SELECT r.oid FROM pg_roles r
			WHERE r.rolname = h.requested_by),
						  'USAGE')) w
	ORDER BY w.id
$$;
COMMENT ON FUNCTION onec.write_status(uuid, name) IS
	'Где изменения объекта, которые поставила эта роль: состояние, номер или код, который дала 1С, её ответ; '
	'что делать с теми, что стоят или ждут стоящих';
REVOKE EXECUTE ON FUNCTION onec.write_status(uuid, name) FROM PUBLIC;

-- Who may write what.
CREATE FUNCTION onec_internal.keep_allowed(server name, role regrole, entity_sets text[]) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO onec.outbox_allowed AS a (server, role, entity_set, role_id)
	SELECT $1, r.rolname, e, $2 FROM unnest($3) e, pg_roles r WHERE r.oid = $2
	ON CONFLICT ON CONSTRAINT outbox_allowed_pkey DO UPDATE SET role_id = excluded.role_id
	WHERE a.role_id IS DISTINCT FROM excluded.role_id
$$;
COMMENT ON FUNCTION onec_internal.keep_allowed(name, regrole, text[]) IS
	'Запомнить, что роли можно ставить в очередь (служебная)';

CREATE FUNCTION onec.allow_write(role regrole, entity_sets text[], server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
BEGIN
	PERFORM onec_internal.checked_word('entity set that can be written', e, ARRAY(
		SELECT DISTINCT p.entity_set FROM onec_internal.outbox_property p WHERE p.server = srv))
	FROM unnest(entity_sets) e;
	PERFORM onec_internal.keep_allowed(srv, role, entity_sets);
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.enqueue(name, text, text, uuid, jsonb, bigint[], text, '
				   'text, text[], boolean), onec.write_status(uuid, name) TO %s', role);
END $$;
COMMENT ON FUNCTION onec.allow_write(regrole, text[], name) IS
	'Разрешить роли ставить в очередь изменения этих наборов; таблиц очереди она не читает';
REVOKE EXECUTE ON FUNCTION onec.allow_write(regrole, text[], name) FROM PUBLIC;

-- ---- what is thrown away ----

-- Parts of the history all of which is too old.
CREATE FUNCTION onec_internal.drop_old_history(days int) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part regclass;
BEGIN
	FOR part IN SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'onec.outbox_history'::regclass AND c.relname ~ '^outbox_history_\d{4}_\d\d$'
		  AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 '
			'month' < now() - make_interval(days => days) LOOP
		EXECUTE format('DROP TABLE %s', part);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.drop_old_history(int) IS 'Удалить старые части истории (служебная)';

CREATE FUNCTION onec_internal.housekeep_outbox(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keep_days int := onec.get('outbox.keep_days', server)::int;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_base b WHERE b.server = housekeep_outbox.server) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.make_history_part(now() + interval '7 days');
	-- parts hold all servers: the longest time that one of them wants
	PERFORM onec_internal.drop_old_history(
		(SELECT max(onec.get('outbox.history_days', b.server)::int) FROM onec_internal.outbox_base b));
	UPDATE onec.outbox_history h SET body = NULL, stored_diff = NULL
	WHERE h.server = housekeep_outbox.server AND keep_days > 0
		AND h.done_at < now() - make_interval(days => keep_days)
	  AND (h.body IS NOT NULL OR h.stored_diff IS NOT NULL);
	DELETE FROM onec_internal.outbox_key k
	WHERE k.server = housekeep_outbox.server
	  AND k.kept_since < now() - make_interval(days => onec.get('outbox.key_days',
		housekeep_outbox.server)::int)
	  AND NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = k.server AND o.id = k.id);
END $$;
COMMENT ON FUNCTION onec_internal.housekeep_outbox(name) IS
	'Уборка очереди записи: тела, ключи, старые части истории (служебная)';
