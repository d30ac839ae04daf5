-- DataVersion first: of the objects of a set the key and the version are read, and whole only those whose
-- version is another.
--
-- pg_temp.onec_stage is then filled with what has changed, as 1C has it, and with what has not, as it is
-- here; so doubles, comparison, proof and writing work as ever, and what proves that a row is gone is the
-- reading of all keys.  An object has not changed if its version is the one that was kept when its rows were
-- written, and these are still what they were (row_hash): what somebody has altered or restored here is read
-- again.  What makes other rows of the same objects (fields, properties, columns) is in the signature.
--
-- A tabular section that is read as a set of its own has no version: that of its owner counts, as the owner's
-- own reading in the same run found it.  What is read whole is read with versions, so that the next run knows
-- them, and tells whether 1C changes them with every write.  A version is kept beside the row and not in it:
-- 1C writes objects of which nothing is here that changes, and that shall touch neither row nor buyer.

-- ---- what has versions ----

-- The set that a foreign table reads.
CREATE FUNCTION onec_internal.source_set(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT o.option_value FROM pg_foreign_table f, pg_options_to_table(f.ftoptions) o
			WHERE f.ftrelid = to_regclass(format('%I.%I', server, target)) AND o.option_name = 'entity_set');
END $$;
COMMENT ON FUNCTION onec_internal.source_set(name, text) IS
	'Набор 1С, который читает внешняя таблица (служебная)';

-- Whose versions tell of changes of a target's rows: its own, where a row is an object; those of the table
-- whose tabular section it is.  NULL: nobody's.
CREATE FUNCTION onec_internal.version_owner(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unit name[] := onec_internal.unit_columns(target);
	read_set text := onec_internal.source_set(server, target);
BEGIN
	IF cardinality(unit) <> 1 OR read_set IS NULL OR NOT EXISTS (
		SELECT FROM pg_attribute a
		WHERE a.attrelid = to_regclass(format('%I.%I', server, target)) AND a.attname = unit[1]
		  AND a.atttypid = 'uuid'::regtype AND 'property=Ref_Key' = ANY (a.attfdwoptions)) THEN
		RETURN NULL;
	ELSIF onec_internal.stage_key_columns(target, 's') = 's.' || quote_ident(unit[1]) THEN
		RETURN CASE WHEN onec_internal.version_column(server, target) IS NOT NULL THEN target END;
	END IF;
	RETURN (SELECT o.target FROM onec_internal.sync_steps(server, NULL) o
			CROSS JOIN LATERAL (SELECT onec_internal.source_set(version_owner.server, o.target) AS read) s
			WHERE o.target <> version_owner.target AND starts_with(read_set, s.read || '_')
			  AND cardinality(o.unit) = 1
			  AND onec_internal.version_column(version_owner.server, o.target) IS NOT NULL
			ORDER BY length(s.read) DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION onec_internal.version_owner(name, text) IS
	'Таблица, по версиям которой видно изменения этой: она сама или владелец табличной части (служебная)';

-- What rows of a target are made of: other fields or properties make other rows of the same version.
CREATE FUNCTION onec_internal.version_signature(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN md5(concat_ws(';', onec_internal.source_set(server, target),
		(SELECT l.list FROM onec_internal.stage_select_list(server, target) l),
		(SELECT string_agg(format('%s %s', a.attname, a.attfdwoptions), ',' ORDER BY a.attnum)
		 FROM pg_attribute a WHERE a.attrelid = to_regclass(format('%I.%I', server, target))
		   AND a.attnum > 0 AND NOT a.attisdropped),
		(SELECT string_agg(format('%s %s', a.attname, a.atttypid), ',' ORDER BY a.attnum)
		 FROM pg_attribute a WHERE a.attrelid = onec_internal.table_of_target(target)::regclass
		   AND a.attnum > 0 AND NOT a.attisdropped)));
END $$;
COMMENT ON FUNCTION onec_internal.version_signature(name, text) IS
	'Из чего сделаны строки таблицы (служебная)';

-- The objects that are here, with the hash of their rows, as a query; "also": a condition on row h.
CREATE FUNCTION onec_internal.unit_hash_query(server name, target text, also text DEFAULT 'true') RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
BEGIN
	RETURN (SELECT format('SELECT h.%1$I AS key_id, bit_xor(hash_record_extended(ROW(%2$s), 0)) AS row_hash
				FROM %3$s h WHERE h.server = %4$s AND %5$s AND %6$s GROUP BY h.%1$I',
				(onec_internal.unit_columns(target))[1],
				string_agg(format('h.%I', a.attname), ', ' ORDER BY a.attnum), tab,
				onec_internal.server_in(tab, server),
				CASE WHEN onec_internal.has_deletion_mark(target) THEN 'NOT h.is_deleted' ELSE 'true' END,
				also)
			FROM pg_attribute a
			WHERE a.attrelid = tab::regclass AND a.attnum > 0 AND NOT a.attisdropped
			  AND a.attname NOT IN ('server', 'is_deleted'));
END $$;
COMMENT ON FUNCTION onec_internal.unit_hash_query(name, text, text) IS
	'Запрос: объекты, которые здесь, с хешем их строк (служебная)';

-- ---- whether it is worth it ----

-- Whether this run has read and kept the versions of all objects of a target.  The session remembers: nothing
-- is written for it.
CREATE FUNCTION onec_internal.versions_of_run(server name) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	run text := format('%s %s:', (SELECT max(r.run_id) FROM onec.sync_run r
								  WHERE r.server = versions_of_run.server AND r.status = 'running'), server);
	kept text := current_setting('onec_sync.versions_read', true);
BEGIN
	RETURN CASE WHEN starts_with(kept, run) THEN kept ELSE run END;
END $$;
COMMENT ON FUNCTION onec_internal.versions_of_run(name) IS
	'Версии каких таблиц прочитаны этим запуском (служебная)';

-- The number of a target's name in the table of versions; NULL: it has none there.
CREATE FUNCTION onec_internal.version_word(target text) RETURNS smallint
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT t.number FROM onec_internal.term t WHERE t.word = $1);
COMMENT ON FUNCTION onec_internal.version_word(text) IS 'Номер имени таблицы у версий (служебная)';

-- Of the rows that are here in "scope", up to a thousand, how many there are and of how many objects the
-- version is known.
CREATE FUNCTION onec_internal.known_versions(server name, target text, scope text, OUT held bigint,
											 OUT known bigint)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
BEGIN
	EXECUTE format('SELECT count(*), count(v.key_id)
		FROM (SELECT %1$I AS id FROM %2$s WHERE server = %3$s AND (%4$s) %5$s LIMIT 1000) x
		LEFT JOIN onec_internal.row_version v
			ON v.server = onec_internal.number_of_server($1) AND v.target = $2 AND v.key_id = x.id',
		(onec_internal.unit_columns(target))[1], tab, onec_internal.server_in(tab, server), scope,
		CASE WHEN onec_internal.has_deletion_mark(target) THEN 'AND NOT is_deleted' END)
		INTO held, known USING server, onec_internal.version_word(target);
END $$;
COMMENT ON FUNCTION onec_internal.known_versions(name, text, text) IS
	'Сколько строк здесь и у скольких известна версия, из первой тысячи (служебная)';

-- How the rows of a window are read: "none" (as if there were no versions), "whole" (with them), "header"
-- (versions first).  What fits into one page of a thousand rows is one request, whatever is asked of it.
CREATE FUNCTION onec_internal.version_way(server name, target text, scope text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wish text := onec.get('sync.versions', server);
	owner text;
	here record;
	step onec.sync_step;
	u onec_internal.version_use;
BEGIN
	IF wish = 'off' OR scope IS NULL THEN
		RETURN 'none';
	END IF;
	owner := onec_internal.version_owner(server, target);
	IF owner IS NULL
		OR owner <> target AND owner <> ALL (string_to_array(onec_internal.versions_of_run(server), ':')) THEN
		RETURN 'none';
	END IF;
	SELECT * INTO here FROM onec_internal.known_versions(server, target, scope);
	SELECT * INTO u FROM onec_internal.version_use k
	WHERE k.server = version_way.server AND k.target = version_way.target;
	IF wish = 'auto' AND (here.held < 1000 OR u.broken IS NOT NULL) THEN
		RETURN 'none';
	END IF;
	SELECT * INTO step FROM onec.sync_step s
	WHERE s.server = version_way.server AND s.target = version_way.target AND s.status = 'running'
	ORDER BY s.run_id DESC LIMIT 1;
	RETURN CASE
		-- a run that reads everything does, and looks whether versions are true
		WHEN step.days IS NULL OR here.held = 0 OR here.known * 2 < here.held
			OR u.signature IS DISTINCT FROM onec_internal.version_signature(server, target)
			OR EXISTS (SELECT FROM onec_internal.sync_doubt d
					   WHERE d.server = version_way.server AND d.target = version_way.target
						 AND d.found_at < step.started_at)
			OR wish = 'auto' AND (u.changed_share > 0.1
				OR u.header_bytes + coalesce(u.changed_share * u.key_bytes, 0) > 0.8 * u.whole_bytes)
			THEN 'whole'
		ELSE 'header' END;
END $$;
COMMENT ON FUNCTION onec_internal.version_way(name, text, text) IS
	'Как читать строки окна: none, whole — целиком с версиями, header — сначала версии (служебная)';

-- A measure that has changed by more than a tenth; else the old one, lest a row be written for it.
CREATE FUNCTION onec_internal.new_measure(old numeric, new numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN $2 IS NULL OR abs($2 - $1) <= $1 / 10 THEN $1 ELSE round($2, 4) END;
COMMENT ON FUNCTION onec_internal.new_measure(numeric, numeric) IS
	'Новое значение, если отличается больше чем на десятую (служебная)';

-- What a reading of so many objects has cost: bytes a row whole, a key with its version, a row asked for by
-- key; the share of objects that had changed, which counts where some had, or where there are few again.
-- NULL: not measured.  Of few objects nothing is to be learned.
CREATE FUNCTION onec_internal.note_version_costs(server name, target text, whole numeric, header numeric,
												 by_key numeric, share numeric, objects bigint) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.version_use u
	SET whole_bytes = n.whole_bytes, header_bytes = n.header_bytes, key_bytes = n.key_bytes,
		changed_share = n.changed_share
	FROM (SELECT k.server, k.target, onec_internal.new_measure(k.whole_bytes, $3) AS whole_bytes,
				 onec_internal.new_measure(k.header_bytes, $4) AS header_bytes,
				 onec_internal.new_measure(k.key_bytes, $5) AS key_bytes,
				 CASE WHEN $6 > 0 OR k.changed_share > 0.1
					  THEN onec_internal.new_measure(k.changed_share, $6) ELSE k.changed_share END
					AS changed_share
		  FROM onec_internal.version_use k) n
	WHERE u.server = $1 AND u.target = $2 AND n.server = $1 AND n.target = $2 AND $7 >= 1000
	  AND (u.whole_bytes, u.header_bytes, u.key_bytes, u.changed_share)
		  IS DISTINCT FROM (n.whole_bytes, n.header_bytes, n.key_bytes, n.changed_share)
$$;
COMMENT ON FUNCTION onec_internal.note_version_costs(name, text, numeric, numeric, numeric, numeric,
														  bigint) IS
	'Записать, во что обошлось чтение (служебная)';

CREATE FUNCTION onec_internal.forget_versions(server name, target text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.row_version v
	WHERE v.server = onec_internal.number_of_server($1) AND v.target = onec_internal.version_word($2)
$$;
COMMENT ON FUNCTION onec_internal.forget_versions(name, text) IS
	'Забыть версии объектов таблицы (служебная)';

-- A base whose versions tell nothing: its set is read as if there were none, until sync.versions is "on" or
-- its rows are made of something else.
CREATE FUNCTION onec_internal.note_broken_versions(server name, target text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO onec_internal.version_use AS u (server, target, signature, broken, broken_at)
	VALUES (server, target, onec_internal.version_signature(server, target), reason, now())
	ON CONFLICT ON CONSTRAINT version_use_pkey
		DO UPDATE SET broken = excluded.broken, broken_at = excluded.broken_at WHERE u.broken IS NULL;
	PERFORM onec_internal.forget_versions(server, target);
END $$;
COMMENT ON FUNCTION onec_internal.note_broken_versions(name, text, text) IS
	'Записать, почему версиям набора нельзя верить (служебная)';

-- ---- reading ----

-- pg_temp.onec_version: the objects that a query of key_id and version gives; "same" are those that stand
-- here as they were written with that version.
CREATE FUNCTION onec_internal.compare_versions(server name, target text, query text,
											   OUT objects bigint, OUT changed bigint, OUT alike bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
BEGIN
	objects := onec_internal.fill_table('onec_version', target, format(
		'SELECT f.key_id, f.version, v.row_hash IS NOT DISTINCT FROM coalesce(h.row_hash, 0) AS same
			FROM (%s) f
			LEFT JOIN onec_internal.row_version v ON v.server = %L AND v.target = %L AND v.key_id = f.key_id
				AND v.version = f.version
			LEFT JOIN (%s) h ON h.key_id = f.key_id',
		query, onec_internal.new_server_number(server), onec_internal.new_term(target),
		onec_internal.unit_hash_query(server, target)));
	SELECT count(*) FILTER (WHERE NOT x.same), count(*) - count(DISTINCT x.key_id) INTO changed, alike
	FROM pg_temp.onec_version x;
END $$;
COMMENT ON FUNCTION onec_internal.compare_versions(name, text, text) IS
	'Сравнить версии объектов с теми, что записаны (служебная)';

-- The query of an owner's versions, as its own reading in this run has kept them.
CREATE FUNCTION onec_internal.owners_versions_query(server name, owner text) RETURNS text
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	RETURN format('SELECT v.key_id, v.version FROM onec_internal.row_version v
				   WHERE v.server = %L AND v.target = %L', onec_internal.new_server_number($1),
				  onec_internal.new_term($2));
COMMENT ON FUNCTION onec_internal.owners_versions_query(name, text) IS
	'Запрос версий владельца табличной части (служебная)';

-- Put the objects that have not changed into pg_temp.onec_stage, as they are here; and of those that were
-- read by key keep the version that came with the row.
CREATE FUNCTION onec_internal.stage_what_is_same(server name, target text, owner text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	key name := (onec_internal.unit_columns(target))[1];
	columns text := onec_internal.columns_in_common(target, 'h');
BEGIN
	IF owner = target THEN
		EXECUTE format('UPDATE pg_temp.onec_version x SET version = s.onec_version FROM pg_temp.onec_stage s
						WHERE s.%I = x.key_id AND s.onec_version <> x.version', key);
	END IF;
	EXECUTE format('INSERT INTO pg_temp.onec_stage (%s)
					SELECT %s FROM %s h JOIN pg_temp.onec_version x ON x.key_id = h.%I AND x.same
					WHERE h.server = %s AND %s', replace(columns, 'h.', ''), columns, tab, key,
				   onec_internal.server_in(tab, server),
				   CASE WHEN onec_internal.has_deletion_mark(target) THEN 'NOT h.is_deleted' ELSE 'true' END);
END $$;
COMMENT ON FUNCTION onec_internal.stage_what_is_same(name, text, text) IS
	'Добавить к прочитанному то, что не изменилось, каким оно здесь (служебная)';

-- Read a window by versions into pg_temp.onec_stage: all keys, then whole what has changed, which the pager
-- cuts into as many keys a request as max_url takes.  "staged" is NULL where that is not to be: more than a
-- tenth has changed, and more than one request asks for; or a key came twice.
CREATE FUNCTION onec_internal.stage_by_version(server name, target text, condition text,
											   OUT staged bigint, OUT pages bigint, OUT twice bigint,
											   OUT lacked text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := onec_internal.version_owner(server, target);
	key name := (onec_internal.unit_columns(target))[1];
	bytes bigint[] := ARRAY[(SELECT t.bytes FROM onec_internal.session_totals() t)];
	found record;
	asked text;
BEGIN
	SELECT * INTO found FROM onec_internal.compare_versions(server, target, CASE WHEN owner = target
		THEN format('SELECT f.%I AS key_id, f.%I::text AS version FROM %I.%I f WHERE %s OFFSET 0', key,
					onec_internal.version_column(server, target), server, target, condition)
		ELSE onec_internal.owners_versions_query(server, owner) END);
	bytes := bytes || (SELECT t.bytes FROM onec_internal.session_totals() t);
	pages := 1;
	twice := 0;
	IF owner = target THEN
		SELECT r.pages, r.twice INTO pages, twice FROM onec_internal.last_reading(server, target) r;
	END IF;
	IF twice = 0 AND found.alike = 0 AND found.changed <= greatest(found.objects / 10, 25) THEN
		asked := (SELECT format('(%s) AND f.%I IN (%s)', condition, key,
								string_agg(quote_literal(x.key_id), ', ' ORDER BY x.key_id))
				  FROM pg_temp.onec_version x WHERE NOT x.same HAVING count(*) > 0);
		staged := onec_internal.stage_rows(server, target, coalesce(asked, 'false'),
										   versions => owner = target);
		IF asked IS NOT NULL THEN
			lacked := (SELECT r.lacked FROM onec_internal.last_reading(server, target) r);
		END IF;
		bytes := bytes || (SELECT t.bytes FROM onec_internal.session_totals() t);
		PERFORM onec_internal.stage_what_is_same(server, target, owner);
		staged := (SELECT count(*) FROM pg_temp.onec_stage);
	END IF;
	PERFORM onec_internal.note_version_costs(server, target, NULL,
		(bytes[2] - bytes[1])::numeric / nullif(found.objects, 0),
		(bytes[3] - bytes[2])::numeric / nullif(found.changed, 0),
		found.changed::numeric / nullif(found.objects, 0), found.objects);
END $$;
COMMENT ON FUNCTION onec_internal.stage_by_version(name, text, text) IS
	'Прочитать окно по версиям: все ключи, целиком — только изменившееся (служебная)';

-- Read a window whole, with the versions of its objects, which are compared with those that are kept.
CREATE FUNCTION onec_internal.stage_with_versions(server name, target text, condition text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := onec_internal.version_owner(server, target);
	made text := onec_internal.version_signature(server, target);
	bytes bigint := (SELECT t.bytes FROM onec_internal.session_totals() t);
	staged bigint := onec_internal.stage_rows(server, target, condition, versions => owner = target);
	found record;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.version_use u
				   WHERE u.server = stage_with_versions.server AND u.target = stage_with_versions.target
					 AND u.signature = made) THEN
		PERFORM onec_internal.forget_versions(server, target);
		INSERT INTO onec_internal.version_use AS u (server, target, signature) VALUES (server, target, made)
		ON CONFLICT ON CONSTRAINT version_use_pkey DO UPDATE SET signature = made, whole_bytes = NULL,
			header_bytes = NULL, key_bytes = NULL, changed_share = NULL, broken = NULL, broken_at = NULL;
	END IF;
	bytes := (SELECT t.bytes FROM onec_internal.session_totals() t) - bytes;
	SELECT * INTO found FROM onec_internal.compare_versions(server, target, CASE WHEN owner = target
		THEN format('SELECT s.%1$I AS key_id, min(s.onec_version) AS version FROM pg_temp.onec_stage s '
					'GROUP BY s.%1$I HAVING count(*) = 1', (onec_internal.unit_columns(target))[1])
		ELSE onec_internal.owners_versions_query(server, owner) END);
	PERFORM onec_internal.note_version_costs(server, target, bytes::numeric / nullif(staged, 0), NULL, NULL,
		CASE WHEN EXISTS (SELECT FROM pg_temp.onec_version x WHERE x.same)
			 THEN found.changed::numeric / nullif(found.objects, 0) END, found.objects);
	RETURN staged;
END $$;
COMMENT ON FUNCTION onec_internal.stage_with_versions(name, text, text) IS
	'Прочитать окно целиком, с версиями объектов (служебная)';

-- Read the rows of a window into pg_temp.onec_stage, in whichever way is the cheapest, or as ever unless
-- "versions" may be believed.  Says how it went, see onec_internal.last_reading.
CREATE FUNCTION onec_internal.stage_window(server name, target text, condition text, scope text,
										   versions boolean, OUT staged bigint, OUT pages bigint,
										   OUT twice bigint, OUT lacked text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	way text := CASE WHEN versions THEN onec_internal.version_way(server, target, scope) ELSE 'none' END;
BEGIN
	PERFORM onec_internal.forget_versions_of_window();
	BEGIN
		IF way = 'header' THEN
			SELECT h.staged, h.pages, h.twice, h.lacked INTO staged, pages, twice, lacked
			FROM onec_internal.stage_by_version(server, target, condition) h;
			IF staged IS NOT NULL THEN
				RETURN;
			END IF;
		END IF;
		IF way <> 'none' THEN
			staged := onec_internal.stage_with_versions(server, target, condition);
		END IF;
	EXCEPTION WHEN fdw_column_name_not_found THEN
		-- $metadata tells of a property that no row has; if it is another one, that is said below
		PERFORM onec_internal.note_broken_versions(server, target, 'no row has DataVersion');
		staged := NULL;
	END;
	staged := coalesce(staged, onec_internal.stage_rows(server, target, condition));
	SELECT r.pages, r.twice, r.lacked INTO pages, twice, lacked
	FROM onec_internal.last_reading(server, target) r;
END $$;
COMMENT ON FUNCTION onec_internal.stage_window(name, text, text, text, boolean) IS
	'Прочитать строки окна целиком или по версиям (служебная)';

-- ---- keeping ----

CREATE FUNCTION onec_internal.forget_versions_of_window() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_version') IS NOT NULL THEN
		DELETE FROM pg_temp.onec_version;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.forget_versions_of_window() IS
	'Не записывать версии прочитанного окна (служебная)';

CREATE FUNCTION onec_internal.any_versions_of_window() RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('pg_temp.onec_version') IS NULL THEN
		RETURN false;
	END IF;
	RETURN EXISTS (SELECT FROM pg_temp.onec_version);
END $$;
COMMENT ON FUNCTION onec_internal.any_versions_of_window() IS
	'Прочитаны ли версии этого окна (служебная)';

-- What came is compared, and not written yet: objects of a version that is kept must be what they were then.
-- "complete": nothing of the window is in doubt; else its versions are not kept.
CREATE FUNCTION onec_internal.check_versions(server name, target text, complete boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	untrue bigint;
BEGIN
	IF NOT onec_internal.any_versions_of_window() THEN
		RETURN;
	ELSIF NOT complete THEN
		PERFORM onec_internal.forget_versions_of_window();
	ELSIF onec_internal.version_owner(server, target) = target THEN
		EXECUTE format('SELECT count(*) FROM pg_temp.onec_change c
						JOIN pg_temp.onec_version x ON x.key_id = c.%I AND x.same',
					   (onec_internal.unit_columns(target))[1]) INTO untrue;
		IF untrue > 0 THEN
			PERFORM onec_internal.note_broken_versions(server, target,
				format('%s objects have changed, and their DataVersion has not', untrue));
			PERFORM onec_internal.forget_versions_of_window();
		END IF;
	END IF;
	-- who waits is not written yet
	IF onec_internal.any_documents_wait() THEN
		EXECUTE format('DELETE FROM pg_temp.onec_version x USING pg_temp.onec_waiting k
						WHERE k.%I = x.key_id', (onec_internal.unit_columns(target))[1]);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.check_versions(name, text, boolean) IS
	'Проверить версии прочитанного по тому, что изменилось (служебная)';

-- The window is written: keep the versions that its objects have now.  Those of which there is nothing here,
-- and of people who are forgotten, have none; but an object without rows in its section has.  "whole": they
-- are those of all objects, so that tabular sections may be judged by them.
CREATE FUNCTION onec_internal.keep_versions(server name, target text, gone bigint, whole boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET work_mem = '64MB'
AS $$
DECLARE
	place smallint := onec_internal.new_server_number(server);
	word smallint := onec_internal.new_term(target);
	is_own boolean;
BEGIN
	IF NOT onec_internal.any_versions_of_window() THEN
		RETURN;
	END IF;
	is_own := onec_internal.version_owner(server, target) = target;
	EXECUTE format('
		INSERT INTO onec_internal.row_version AS v (server, target, key_id, version, row_hash)
		SELECT $1, $2, x.key_id, x.version, coalesce(h.row_hash, 0) FROM pg_temp.onec_version x
		%s JOIN (%s) h ON h.key_id = x.key_id
		LEFT JOIN onec_internal.row_version k ON k.server = $1 AND k.target = $2 AND k.key_id = x.key_id
		WHERE NOT x.same AND x.version <> ''''
		  AND (k.version, k.row_hash) IS DISTINCT FROM (x.version, coalesce(h.row_hash, 0))
		  AND NOT EXISTS (SELECT FROM onec.forgotten f WHERE f.server = $3 AND f.id = x.key_id)
		ON CONFLICT ON CONSTRAINT row_version_pkey
			DO UPDATE SET version = excluded.version, row_hash = excluded.row_hash',
		CASE WHEN NOT is_own THEN 'LEFT' END,
		onec_internal.unit_hash_query(server, target,
			format('h.%I IN (SELECT x.key_id FROM pg_temp.onec_version x WHERE NOT x.same)',
				   (onec_internal.unit_columns(target))[1])))
		USING place, word, server;
	IF gone > 0 THEN
		PERFORM onec_internal.drop_lost_versions(server, target);
	END IF;
	IF onec_internal.date_column(target) IS NULL AND is_own AND whole THEN
		PERFORM set_config('onec_sync.versions_read',
						   onec_internal.versions_of_run(server) || target || ':', false);
	END IF;
	PERFORM onec_internal.forget_versions_of_window();
END $$;
COMMENT ON FUNCTION onec_internal.keep_versions(name, text, bigint, boolean) IS
	'Запомнить версии записанных объектов (служебная)';

-- Versions of objects that are here no more.  Returns how many.
CREATE FUNCTION onec_internal.drop_lost_versions(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner text := coalesce(onec_internal.version_owner(server, target), target);
	lost bigint;
BEGIN
	EXECUTE format('DELETE FROM onec_internal.row_version v WHERE v.server = $1 AND v.target = $2
					AND NOT EXISTS (SELECT FROM (%s) h WHERE h.key_id = v.key_id)',
				   onec_internal.unit_hash_query(server, owner))
		USING onec_internal.number_of_server(server), onec_internal.version_word(target);
	GET DIAGNOSTICS lost = ROW_COUNT;
	RETURN lost;
END $$;
COMMENT ON FUNCTION onec_internal.drop_lost_versions(name, text) IS
	'Удалить версии объектов, которых здесь больше нет (служебная)';
