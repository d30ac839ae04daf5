-- What of a base may be written, as its $metadata say: kept, so that what a site puts into the outbox is
-- checked in its own transaction without asking 1C.  Only for servers that are, or once were, updatable.

CREATE TABLE onec_internal.outbox_base (
	server name PRIMARY KEY,
	since timestamptz NOT NULL DEFAULT now(),
	client_keys boolean,
	stopped_for text,
	stopped_at timestamptz,
	message text,
	server_oid oid,
	address text
);
COMMENT ON TABLE onec_internal.outbox_base IS 'Базы, в которые пишут: что о них известно (служебное)';
COMMENT ON COLUMN onec_internal.outbox_base.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.outbox_base.since IS 'С какого времени в базу можно писать';
COMMENT ON COLUMN onec_internal.outbox_base.client_keys IS
	'Берёт ли база ключ, который ей прислали; NULL — ещё неизвестно';
COMMENT ON COLUMN onec_internal.outbox_base.stopped_for IS
	'Отпечаток сопоставления пользователя, логин которого 1С отвергла: до его изменения ничего не '
	'отправляется';
COMMENT ON COLUMN onec_internal.outbox_base.stopped_at IS 'Когда отправка остановлена';
COMMENT ON COLUMN onec_internal.outbox_base.message IS 'Почему';
COMMENT ON COLUMN onec_internal.outbox_base.server_oid IS
	'OID внешнего сервера: под тем же именем может быть другой';
COMMENT ON COLUMN onec_internal.outbox_base.address IS 'Адрес базы';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_base', '');

CREATE TABLE onec_internal.outbox_property (
	server name NOT NULL,
	entity_set text COLLATE "C" NOT NULL,
	part text COLLATE "C" NOT NULL,
	property text COLLATE "C" NOT NULL,
	edm_type text NOT NULL,
	type_name text NOT NULL,
	length int NOT NULL,
	ordinal int NOT NULL,
	PRIMARY KEY (server, entity_set, part, property)
);
COMMENT ON TABLE onec_internal.outbox_property IS
	'Свойства объектов баз, в которые пишут, по $metadata; обновляет onec.setup (служебное)';
COMMENT ON COLUMN onec_internal.outbox_property.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.outbox_property.entity_set IS 'Набор';
COMMENT ON COLUMN onec_internal.outbox_property.part IS 'Табличная часть; пусто — сам объект';
COMMENT ON COLUMN onec_internal.outbox_property.property IS 'Свойство';
COMMENT ON COLUMN onec_internal.outbox_property.edm_type IS 'Вид типа';
COMMENT ON COLUMN onec_internal.outbox_property.type_name IS 'Тип, как он объявлен';
COMMENT ON COLUMN onec_internal.outbox_property.length IS 'Наибольшая длина текста; 0 — не сообщается';
COMMENT ON COLUMN onec_internal.outbox_property.ordinal IS 'Порядок';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_property', '');

CREATE FUNCTION onec_internal.published_properties(server name)
	RETURNS TABLE (entity_set text, part text, property text, edm_type text, type_name text, length int,
				   ordinal int)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_published_properties';
COMMENT ON FUNCTION onec_internal.published_properties(name) IS
	'Свойства всех объектов базы, у которых есть ссылка, и их табличных частей (служебная)';

CREATE FUNCTION onec_internal.is_updatable(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce(onec_internal.server_option($1, 'updatable')::boolean, false);
COMMENT ON FUNCTION onec_internal.is_updatable(name) IS 'Разрешено ли писать в базу сейчас (служебная)';

-- The server of a name, and where it leads to.
CREATE FUNCTION onec_internal.server_now(server name, OUT server_oid oid, OUT address text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.oid, onec_internal.server_option($1, 'url') FROM pg_foreign_server s WHERE s.srvname = $1
$$;
COMMENT ON FUNCTION onec_internal.server_now(name) IS 'Сервер с этим именем сейчас (служебная)';

-- Whether the server is another than the one that was set up: made again under its name for another address.
-- (A dump brings one of another oid and the same address.)
CREATE FUNCTION onec_internal.is_another_base(server name) RETURNS boolean
	LANGUAGE plpgsql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec_internal.outbox_base b
				   JOIN pg_foreign_server s ON s.srvname = b.server AND s.oid <> b.server_oid
				   WHERE b.server = is_another_base.server
					 AND b.address <> onec_internal.server_option(b.server, 'url'));
END $$;
COMMENT ON FUNCTION onec_internal.is_another_base(name) IS
	'Под именем базы сервер с другим адресом (служебная)';

-- Only what differs is written.  No request: setup has read the metadata just before.
CREATE FUNCTION onec_internal.keep_properties(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT onec_internal.is_updatable(server) THEN
		RETURN;
	END IF;
	INSERT INTO onec_internal.outbox_base AS b (server, server_oid, address)
	SELECT keep_properties.server, s.* FROM onec_internal.server_now(server) s
	ON CONFLICT ON CONSTRAINT outbox_base_pkey DO UPDATE
		SET server_oid = excluded.server_oid, address = excluded.address
		WHERE (b.server_oid, b.address) IS DISTINCT FROM (excluded.server_oid, excluded.address);
	WITH published AS MATERIALIZED (
		SELECT DISTINCT ON (p.entity_set, p.part, p.property) p.*
		FROM onec_internal.published_properties(keep_properties.server) p
		ORDER BY p.entity_set, p.part, p.property, p.ordinal),
	gone AS (
		DELETE FROM onec_internal.outbox_property o
		WHERE o.server = keep_properties.server AND NOT EXISTS (
			SELECT FROM published p
			WHERE (p.entity_set, p.part, p.property) = (o.entity_set, o.part, o.property)))
	INSERT INTO onec_internal.outbox_property AS o (server, entity_set, part, property, edm_type, type_name,
													length, ordinal)
	SELECT keep_properties.server, p.entity_set, p.part, p.property, p.edm_type, p.type_name, p.length,
		   p.ordinal
	FROM published p
	ON CONFLICT ON CONSTRAINT outbox_property_pkey DO UPDATE
		SET edm_type = excluded.edm_type, type_name = excluded.type_name, length = excluded.length,
			ordinal = excluded.ordinal
		WHERE (o.edm_type, o.type_name, o.length, o.ordinal)
			IS DISTINCT FROM (excluded.edm_type, excluded.type_name, excluded.length, excluded.ordinal);
END $$;
COMMENT ON FUNCTION onec_internal.keep_properties(name) IS
	'Запомнить, что в базу можно писать и какие у её объектов свойства (служебная)';
