-- Rows that the extension brings along, apart from what people make of them.  A dump holds the edits only and
-- brings them back over the rows of the new extension; the first copy of a logical replica meets rows of its
-- own and goes on.

-- Which rows that were brought along are deleted, or have another key: a dump cannot hold what is not there.
CREATE TABLE onec_internal.seed_removed (
	table_name text NOT NULL,
	key jsonb NOT NULL,
	PRIMARY KEY (table_name, key)
);
COMMENT ON TABLE onec_internal.seed_removed IS
	'Какие из поставляемых строк удалены: после восстановления из копии их снова не будет';
COMMENT ON COLUMN onec_internal.seed_removed.table_name IS 'Таблица';
COMMENT ON COLUMN onec_internal.seed_removed.key IS 'Ключ строки';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.seed_removed', '');

-- Values of columns, by name.
CREATE FUNCTION onec_internal.key_of_row(fields jsonb, columns text) RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT jsonb_object_agg(c, $1 -> c) FROM unnest(string_to_array($2, ',')) c);
COMMENT ON FUNCTION onec_internal.key_of_row(jsonb, text) IS 'Ключ строки (служебная)';

-- Arguments: the columns of each unique key, the primary one first.  Triggers of a replica fire, too, but
-- only what it inserts matters: its other changes are those of the publisher.
CREATE FUNCTION onec_internal.keep_edit() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	keys jsonb[];
	same text := format('FROM onec.%I t WHERE t.is_seed AND EXISTS (SELECT FROM unnest($1) '
						'k WHERE to_jsonb(t) @> k)', tg_table_name);
	there boolean;
BEGIN
	IF tg_op = 'INSERT' THEN
		keys := ARRAY(SELECT onec_internal.key_of_row(to_jsonb(NEW), a) FROM unnest(tg_argv) a);
		IF NEW.is_seed THEN
			EXECUTE 'SELECT EXISTS (SELECT ' || same || ')' INTO there USING keys[1:1];
			RETURN CASE WHEN NOT there THEN NEW END;
		END IF;
		-- in place of what was brought along
		EXECUTE 'DELETE ' || same USING keys;
		RETURN NEW;
	END IF;
	IF OLD.is_seed AND pg_trigger_depth() = 1 AND current_setting('session_replication_role') <> 'replica'
		AND (tg_op = 'DELETE'
			 OR onec_internal.key_of_row(to_jsonb(NEW), tg_argv[0]) <> onec_internal.key_of_row(to_jsonb(OLD),
				 tg_argv[0])) THEN
		INSERT INTO onec_internal.seed_removed
		VALUES (tg_table_name, onec_internal.key_of_row(to_jsonb(OLD), tg_argv[0])) ON CONFLICT DO NOTHING;
	END IF;
	IF tg_op = 'DELETE' THEN
		RETURN OLD;
	END IF;
	NEW.is_seed := NEW.is_seed AND NEW IS NOT DISTINCT FROM OLD;
	RETURN NEW;
END $$;
COMMENT ON FUNCTION onec_internal.keep_edit() IS 'Отличает правки от поставляемых строк (служебная)';

CREATE FUNCTION onec_internal.remove_seed() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- told by a dump or by a publisher, and not by keep_edit
	IF pg_trigger_depth() = 1 THEN
		EXECUTE format('DELETE FROM onec.%I t WHERE t.is_seed AND to_jsonb(t) @> $1', NEW.table_name)
			USING NEW.key;
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.remove_seed() IS
	'Удаляет поставляемую строку, которую удалили и раньше (служебная)';
CREATE TRIGGER remove_seed AFTER INSERT
	ON onec_internal.seed_removed FOR EACH ROW EXECUTE FUNCTION onec_internal.remove_seed();
ALTER TABLE onec_internal.seed_removed ENABLE ALWAYS TRIGGER remove_seed;

-- The tables: all that stands in them now was brought along.
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM (VALUES ('setting', '{key}'::text[]), ('target', '{target}'),
							('env_name', '{name}'), ('field_source', '{"target,field"}'),
							('write_object', '{object}'), ('write_field', '{"object,field"}'),
							('category_map', '{priority}'), ('phone_plan', '{country}'),
							('frequency_class', '{upper_days,code}'),
							('rfm_segment', '{"set_name,priority"}')) v (name, keys) LOOP
		EXECUTE format('ALTER TABLE onec.%I ADD is_seed boolean NOT NULL DEFAULT false', t.name);
		EXECUTE format('COMMENT ON COLUMN onec.%I.is_seed IS ''Поставлена с расширением и не изменена''',
					   t.name);
		EXECUTE format('UPDATE onec.%I SET is_seed = true', t.name);
		EXECUTE format('CREATE TRIGGER keep_edit BEFORE INSERT OR UPDATE OR DELETE ON onec.%I FOR EACH ROW '
					   'EXECUTE FUNCTION onec_internal.keep_edit(%s)',
					   t.name, (SELECT string_agg(quote_literal(k), ', ') FROM unnest(t.keys) k));
		EXECUTE format('ALTER TABLE onec.%I ENABLE ALWAYS TRIGGER keep_edit', t.name);
		PERFORM pg_catalog.pg_extension_config_dump(format('onec.%I', t.name)::regclass, 'WHERE NOT is_seed');
	END LOOP;
END $$;
