-- Objects that have two references: the one that a site was given before they were there, and 1C's own,
-- where a base takes none but its own (78_outbox).  What is read has 1C's; a site may go on with either.

CREATE TABLE onec_internal.outbox_remote (
	server name NOT NULL,
	key uuid NOT NULL,
	remote_key uuid NOT NULL,
	PRIMARY KEY (server, key)
);
CREATE INDEX outbox_remote_key ON onec_internal.outbox_remote (server, remote_key);
COMMENT ON TABLE onec_internal.outbox_remote IS
	'Ссылки, которые 1С дала вместо присланных: то, что названо прежней, отправляется с новой (служебное)';
COMMENT ON COLUMN onec_internal.outbox_remote.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.outbox_remote.key IS 'Ссылка, которую получил сайт';
COMMENT ON COLUMN onec_internal.outbox_remote.remote_key IS 'Ссылка в 1С';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_remote', '');

CREATE FUNCTION onec_internal.key_in_1c(server name, key uuid) RETURNS uuid
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT r.remote_key FROM onec_internal.outbox_remote r WHERE r.server = $1
		AND r.key = $2), $2);
COMMENT ON FUNCTION onec_internal.key_in_1c(name, uuid) IS 'Ссылка, под которой объект знает 1С (служебная)';

CREATE FUNCTION onec_internal.site_key(server name, key uuid) RETURNS uuid
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT r.key FROM onec_internal.outbox_remote r
					 WHERE r.server = site_key.server AND r.remote_key = site_key.key), key);
END $$;
COMMENT ON FUNCTION onec_internal.site_key(name, uuid) IS
	'Ссылка, под которой объект знает сайт: очередь называет его ею (служебная)';
