-- The bytes of pictures, asked for when the file has changed, and judged before they are kept.
--
-- What pictures there are to be is said by tables that are synced as all else is, with its proofs: a file
-- that is gone is gone there.  A file whose version is the one that its bytes were read at is not asked
-- for.  What is refused is written down with the reason, and not asked for again while the file stays as it
-- is.
--
-- Bytes come from the store of binary data, or from the file itself, by lists of keys; or where 1C shows
-- them by a link only, through that, if it leads nowhere but to the base.

CREATE FUNCTION onec_internal.own_address(server name, address text) RETURNS text
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'onec_own_address';
COMMENT ON FUNCTION onec_internal.own_address(name, text) IS
	'Что в адресе следует за адресом базы; NULL — он ведёт не туда (служебная)';

CREATE FUNCTION onec_internal.resource(server name, address text, max_bytes int) RETURNS bytea
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'onec_resource';
COMMENT ON FUNCTION onec_internal.resource(name, text, int) IS
	'Что 1С отдаёт по ссылке внутри базы; NULL — ничего (служебная)';

-- ---- what is a picture ----

-- The type by the first bytes; NULL: none that is kept.  An SVG can hold a program, so it is none.
CREATE FUNCTION onec_internal.picture_type(content bytea) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN substring($1, 1, 3) = '\xffd8ff' THEN 'image/jpeg'
				WHEN substring($1, 1, 8) = '\x89504e470d0a1a0a' THEN 'image/png'
				WHEN substring($1, 1, 6) IN ('GIF87a', 'GIF89a') THEN 'image/gif'
				WHEN substring($1, 1, 4) = 'RIFF' AND substring($1, 9, 4) = 'WEBP' THEN 'image/webp' END;
COMMENT ON FUNCTION onec_internal.picture_type(bytea) IS 'Тип картинки по первым байтам (служебная)';

-- Whether a picture has no end: each format says how it ends, and cameras add a few bytes behind it.
CREATE FUNCTION onec_internal.is_cut_picture(content bytea, type text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE $2
		WHEN 'image/webp' THEN octet_length($1) < 12 OR octet_length($1) < 8 + get_byte($1, 4)
			+ 256 * get_byte($1, 5) + 65536 * get_byte($1, 6) + 16777216::bigint * get_byte($1, 7)
		ELSE position(CASE $2 WHEN 'image/jpeg' THEN '\xffd9'::bytea
							  WHEN 'image/png' THEN '\x49454e44ae426082' ELSE '\x3b' END
					  IN substring($1, greatest(octet_length($1) - 63, 1))) = 0 END;
COMMENT ON FUNCTION onec_internal.is_cut_picture(bytea, text) IS 'Оборвана ли картинка (служебная)';

-- ---- which there are to be ----

-- Pictures that 1C has: files of products, and what products name as their picture where files are not
-- published.
CREATE FUNCTION onec_internal.wanted_images(server name)
	RETURNS TABLE (file_id uuid, product_id uuid, name text, version text, extension text, size bigint,
				   storage_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.file_id, f.product_id, f.name, concat_ws(':', f.version, s.storage_id),
		   lower(ltrim(f.extension, '.')), f.size, s.storage_id
	FROM onec.product_file f
	JOIN onec.product p ON p.server = f.server AND p.product_id = f.product_id AND NOT p.is_deleted
	LEFT JOIN onec.stored_file s ON s.server = f.server AND s.file_id = f.file_id AND NOT s.is_deleted
	WHERE f.server = $1 AND NOT f.is_deleted AND f.deletion_mark IS NOT TRUE
	UNION ALL
	SELECT p.picture_id, p.product_id, NULL, concat(s.storage_id), NULL, NULL, s.storage_id
	FROM (SELECT DISTINCT ON (p.picture_id) p.picture_id, p.product_id FROM onec.product p
		  WHERE p.server = $1 AND NOT p.is_deleted AND p.picture_id IS NOT NULL
			AND NOT EXISTS (SELECT FROM onec.product_file f
							WHERE f.server = p.server AND f.file_id = p.picture_id)
		  ORDER BY p.picture_id, p.product_id) p
	LEFT JOIN onec.stored_file s ON s.server = $1 AND s.file_id = p.picture_id AND NOT s.is_deleted
$$;
COMMENT ON FUNCTION onec_internal.wanted_images(name) IS 'Какие картинки есть в 1С (служебная)';

-- Those of them whose bytes are not here as they are now.  "refused": what 1C says of the file is enough to
-- leave it; NULL: it has to be looked at.  What was too large, or had no room, may have got it meanwhile.
CREATE FUNCTION onec_internal.images_to_look_at(server name)
	RETURNS TABLE (file_id uuid, product_id uuid, name text, version text, size bigint, storage_id uuid,
				   refused text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH bound AS MATERIALIZED (
		SELECT onec.get('image.max_bytes', $1)::int AS bytes, onec.get('image.max_total', $1)::numeric
			   - coalesce(sum(i.size) FILTER (WHERE i.refused IS NULL), 0) AS room
		FROM onec.product_image i WHERE i.server = $1)
	SELECT w.file_id, w.product_id, w.name, w.version, w.size, w.storage_id,
		   CASE WHEN w.extension NOT IN ('', 'jpg', 'jpeg', 'jpe', 'jfif', 'png', 'webp', 'gif')
				THEN 'not a picture' WHEN w.size > b.bytes THEN 'too large' END
	FROM onec_internal.wanted_images($1) w CROSS JOIN bound b
	LEFT JOIN onec.product_image i ON i.server = $1 AND i.file_id = w.file_id
	WHERE i.version IS DISTINCT FROM w.version
	   OR i.refused = 'too large' AND i.size <= b.bytes
	   OR i.refused = 'no room' AND i.size <= least(b.room, b.bytes)
$$;
COMMENT ON FUNCTION onec_internal.images_to_look_at(name) IS
	'Картинки, содержимого которых в нынешнем виде здесь нет (служебная)';

-- A batch has so many files at most, and so many bytes but for one file.
CREATE FUNCTION onec_internal.batches_of_images(server name) RETURNS int
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM set_config('onec_place.images', '', false);
	RETURN (SELECT 1 + ceil(count(*) / 100.0)
				   + 2 * ceil(coalesce(sum(coalesce(w.size, 400000)), 0) / 8000000.0)
			FROM onec_internal.images_to_look_at(server) w WHERE w.refused IS NULL);
END $$;
COMMENT ON FUNCTION onec_internal.batches_of_images(name) IS
	'За сколько раз читать содержимое картинок (служебная)';

-- ---- what follows without a look at bytes ----

-- On whose pages pictures are beside those of the products that they belong to.
CREATE FUNCTION onec_internal.products_with_picture(server name, files uuid[]) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $2 <> '{}' THEN
		ARRAY(SELECT p.product_id FROM onec.product p
			  WHERE p.server = $1 AND NOT p.is_deleted AND p.picture_id = ANY ($2)) END;
COMMENT ON FUNCTION onec_internal.products_with_picture(name, uuid[]) IS
	'У каких товаров эти картинки — главные (служебная)';

-- Pictures that are no more go; what 1C says of a file is written down, and so are files that are refused by
-- that.  "touched" are the products whose pictures are others then.
CREATE FUNCTION onec_internal.settle_images(server name, OUT inserted bigint, OUT updated bigint,
											OUT deleted bigint, OUT touched uuid[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	done record;
	files uuid[];
BEGIN
	WITH gone AS (
		DELETE FROM onec.product_image i
		WHERE i.server = settle_images.server
		  AND NOT EXISTS (SELECT FROM onec_internal.wanted_images(settle_images.server) w
						  WHERE w.file_id = i.file_id)
		RETURNING i.product_id, i.file_id)
	SELECT count(*), array_agg(DISTINCT g.product_id), array_agg(g.file_id) INTO deleted, touched, files
	FROM gone g;
	WITH other AS (
		UPDATE onec.product_image i SET product_id = w.product_id, name = w.name
		FROM onec_internal.wanted_images(settle_images.server) w
		JOIN onec.product_image b ON b.server = settle_images.server AND b.file_id = w.file_id
		WHERE i.server = settle_images.server AND i.file_id = w.file_id
		  AND (i.product_id, i.name) IS DISTINCT FROM (w.product_id, w.name)
		RETURNING i.file_id, ARRAY[b.product_id, i.product_id] AS products)
	SELECT count(DISTINCT o.file_id) AS rows, array_agg(DISTINCT p) AS products,
		   array_agg(DISTINCT o.file_id) AS files INTO done
	FROM other o CROSS JOIN LATERAL unnest(o.products) p;
	updated := done.rows;
	touched := touched || done.products;
	files := files || done.files;
	-- the bound may have been lowered
	WITH narrowed AS (
		UPDATE onec.product_image i
		SET refused = 'too large', type = NULL, sha256 = NULL, content = NULL
		WHERE i.server = settle_images.server AND i.refused IS NULL
		  AND i.size > onec.get('image.max_bytes', settle_images.server)::int
		RETURNING i.product_id, i.file_id)
	SELECT count(*) AS rows, array_agg(DISTINCT n.product_id) AS products, array_agg(n.file_id) AS files
	INTO done FROM narrowed n;
	updated := updated + done.rows;
	touched := touched || done.products;
	files := files || done.files;
	WITH written AS (
		INSERT INTO onec.product_image AS i (server, file_id, product_id, name, version, size, refused)
		SELECT settle_images.server, w.file_id, w.product_id, w.name, w.version, w.size, w.refused
		FROM onec_internal.images_to_look_at(settle_images.server) w WHERE w.refused IS NOT NULL
		ON CONFLICT ON CONSTRAINT product_image_pkey DO UPDATE
		SET version = excluded.version, size = excluded.size, refused = excluded.refused, type = NULL,
			sha256 = NULL, content = NULL
		RETURNING xmax = 0 AS is_new, i.product_id, i.file_id)
	SELECT count(*) FILTER (WHERE x.is_new), updated + count(*) FILTER (WHERE NOT x.is_new),
		   touched || array_agg(DISTINCT x.product_id), files || array_agg(x.file_id)
	INTO inserted, updated, touched, files FROM written x;
	touched := touched || onec_internal.products_with_picture(server, files);
END $$;
COMMENT ON FUNCTION onec_internal.settle_images(name) IS
	'Убрать исчезнувшие картинки и отметить отвергнутые без чтения (служебная)';

-- ---- bytes ----

-- Bytes by lists of keys, into pg_temp.onec_picture: of those that lie in the store, and of the others,
-- which have them in themselves.
CREATE FUNCTION onec_internal.fetch_listed_bytes(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way record;
	keys text;
BEGIN
	FOR way IN
		SELECT * FROM (VALUES ('file_storage', 'storage_id'), ('file_content', 'file_id')) v (tab, key)
	LOOP
		CONTINUE WHEN NOT onec_internal.has_column(format('%I.%I', server, way.tab), 'content');
		EXECUTE format('SELECT string_agg(DISTINCT quote_literal(p.%I), '', '') FROM pg_temp.onec_picture p
						WHERE p.content IS NULL', way.key) INTO keys;
		CONTINUE WHEN keys IS NULL;
		EXECUTE format('
			WITH f AS MATERIALIZED (SELECT f.%1$I, f.content FROM %2$I.%3$I f WHERE f.%1$I IN (%4$s))
			UPDATE pg_temp.onec_picture p SET content = nullif(f.content, ''''::bytea) FROM f
			WHERE f.%1$I = p.%1$I AND p.content IS NULL', way.key, server, way.tab, keys);
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.fetch_listed_bytes(name) IS
	'Прочитать содержимое файлов по спискам ключей (служебная)';

-- Bytes of one file by the link that its entry shows.  "refused" says why there are none.
CREATE FUNCTION onec_internal.fetch_linked_bytes(server name, file uuid, OUT content bytea, OUT refused text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most int := onec.get('image.max_bytes', server);
	entity text := (SELECT substring(o FROM '^entity_set=(.*)$')
					FROM pg_foreign_table t, unnest(t.ftoptions) o
					WHERE t.ftrelid = to_regclass(format('%I.file_content', server)) AND o ~ '^entity_set=');
	stream text := (SELECT substring(o FROM '^property=(.*)$') FROM pg_attribute a, unnest(a.attfdwoptions) o
					WHERE a.attrelid = to_regclass(format('%I.file_content', server))
					  AND a.attname = 'stream' AND o ~ '^property=');
	link text;
BEGIN
	IF stream IS NULL THEN
		RETURN;
	END IF;
	link := convert_from(onec_internal.resource(server, format('%s(guid''%s'')', entity, file), 1000000),
						 'UTF8');
	link := substring(substring(link FROM '<link [^>]*rel="[^"]*/mediaresource/' || stream || '"[^>]*>')
					  FROM 'href="([^"]*)"');
	link := replace(replace(replace(link, '&apos;', ''''), '&#39;', ''''), '&amp;', '&');
	IF link IS NULL THEN
		RETURN;
	ELSIF onec_internal.own_address(server, link) IS NULL THEN
		refused := 'another host';
		RETURN;
	END IF;
	content := nullif(onec_internal.resource(server, link, most), ''::bytea);
EXCEPTION WHEN program_limit_exceeded THEN
	refused := 'too large';
WHEN fdw_error THEN
	-- a redirect is no answer of the base
	IF SQLERRM !~ 'redirect' THEN
		RAISE;
	END IF;
	refused := 'another host';
END $$;
COMMENT ON FUNCTION onec_internal.fetch_linked_bytes(name, uuid) IS
	'Прочитать содержимое файла по его ссылке (служебная)';

-- The next files that have to be looked at, with their bytes, as pg_temp.onec_picture.  Returns how many.
CREATE FUNCTION onec_internal.stage_images(server name) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	staged bigint;
	one record;
	found record;
BEGIN
	staged := onec_internal.fill_table('onec_picture', 'pictures', format('
		SELECT b.file_id, b.product_id, b.name, b.version, b.storage_id, b.size, NULL::bytea AS content,
			   NULL::text AS refused
		FROM (SELECT w.*, sum(coalesce(w.size, 400000)) OVER up AS bytes, row_number() OVER up AS n
			  FROM onec_internal.images_to_look_at(%L) w
			  WHERE w.refused IS NULL AND w.file_id::text > %L
			  WINDOW up AS (ORDER BY w.file_id::text COLLATE "C")) b
		WHERE b.n = 1 OR b.n <= 100 AND b.bytes <= 8000000',
		server, coalesce(current_setting('onec_place.images', true), '')));
	IF staged = 0 THEN
		RETURN 0;
	END IF;
	PERFORM set_config('onec_place.images',
					   (SELECT max(p.file_id::text COLLATE "C") FROM pg_temp.onec_picture p), false);
	PERFORM onec_internal.fetch_listed_bytes(server);
	FOR one IN SELECT p.file_id FROM pg_temp.onec_picture p WHERE p.content IS NULL ORDER BY 1 LOOP
		SELECT * INTO found FROM onec_internal.fetch_linked_bytes(server, one.file_id);
		UPDATE pg_temp.onec_picture p SET content = found.content, refused = found.refused
		WHERE p.file_id = one.file_id AND (found.content IS NOT NULL OR found.refused IS NOT NULL);
	END LOOP;
	RETURN staged;
END $$;
COMMENT ON FUNCTION onec_internal.stage_images(name) IS
	'Прочитать содержимое следующих картинок (служебная)';

-- Judge what is staged; see onec.product_image.refused.
CREATE FUNCTION onec_internal.judge_staged_images(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most int := onec.get('image.max_bytes', server);
	room numeric := onec.get('image.max_total', server)::numeric - coalesce(
		(SELECT sum(i.size) FROM onec.product_image i
		 WHERE i.server = judge_staged_images.server AND i.refused IS NULL
		   AND i.file_id NOT IN (SELECT p.file_id FROM pg_temp.onec_picture p)), 0);
BEGIN
	UPDATE pg_temp.onec_picture p
	SET size = coalesce(octet_length(p.content), p.size), refused = coalesce(p.refused, CASE
		WHEN p.content IS NULL THEN 'no data'
		WHEN octet_length(p.content) > most THEN 'too large'
		WHEN onec_internal.picture_type(p.content) IS NULL THEN 'not a picture'
		WHEN onec_internal.is_cut_picture(p.content, onec_internal.picture_type(p.content))
			THEN 'truncated' END);
	UPDATE pg_temp.onec_picture p SET refused = 'no room'
	FROM (SELECT x.file_id, sum(x.size) OVER (ORDER BY x.file_id) AS bytes FROM pg_temp.onec_picture x
		  WHERE x.refused IS NULL) t
	WHERE t.file_id = p.file_id AND t.bytes > room;
END $$;
COMMENT ON FUNCTION onec_internal.judge_staged_images(name) IS 'Проверить прочитанные картинки (служебная)';

-- One batch.  A picture that is here stays where the bytes of its file's new state could not be had: the
-- next run asks again, and "doubt" tells of it.  "touched" are the products whose pictures are others then.
CREATE FUNCTION onec_internal.sync_some_images(server name, OUT read bigint, OUT inserted bigint,
											   OUT updated bigint, OUT deleted bigint, OUT doubt text,
											   OUT touched uuid[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept bigint;
	written record;
BEGIN
	inserted := 0;
	updated := 0;
	deleted := 0;
	IF coalesce(current_setting('onec_place.images', true), '') = '' THEN
		SELECT * INTO inserted, updated, deleted, touched FROM onec_internal.settle_images(server);
	END IF;
	read := onec_internal.stage_images(server);
	IF read > 0 THEN
		PERFORM onec_internal.judge_staged_images(server);
		DELETE FROM pg_temp.onec_picture p USING onec.product_image i
		WHERE i.server = sync_some_images.server AND i.file_id = p.file_id AND i.refused IS NULL
		  AND p.refused IN ('no data', 'truncated', 'another host');
		GET DIAGNOSTICS kept = ROW_COUNT;
		doubt := CASE WHEN kept > 0
					  THEN format('%s pictures have changed, but their bytes could not be had: '
								  'the old ones stay', kept) END;
		WITH w AS (
			INSERT INTO onec.product_image AS i
				(server, file_id, product_id, name, version, type, size, sha256, refused, content)
			SELECT sync_some_images.server, p.file_id, p.product_id, p.name, p.version,
				   CASE WHEN p.refused IS NULL THEN onec_internal.picture_type(p.content) END, p.size,
				   CASE WHEN p.refused IS NULL THEN sha256(p.content) END, p.refused,
				   CASE WHEN p.refused IS NULL THEN p.content END
			FROM pg_temp.onec_picture p
			ON CONFLICT ON CONSTRAINT product_image_pkey DO UPDATE
			SET version = excluded.version, type = excluded.type, size = excluded.size,
				sha256 = excluded.sha256, refused = excluded.refused, content = excluded.content
			WHERE (i.version, i.size, i.sha256, i.refused) IS DISTINCT FROM
				(excluded.version, excluded.size, excluded.sha256, excluded.refused)
			RETURNING xmax = 0 AS is_new, i.product_id, i.file_id)
		SELECT count(*) FILTER (WHERE w.is_new) AS new, count(*) FILTER (WHERE NOT w.is_new) AS old,
			   array_agg(DISTINCT w.product_id) AS products, array_agg(w.file_id) AS files
		INTO written FROM w;
		inserted := inserted + written.new;
		updated := updated + written.old;
		touched := touched || written.products
			|| onec_internal.products_with_picture(server, written.files);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.sync_some_images(name) IS
	'Прочитать часть изменившихся картинок (служебная)';
