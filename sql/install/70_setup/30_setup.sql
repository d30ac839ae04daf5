-- onec.setup: foreign tables in English, one schema per server.

UPDATE onec.field_source SET setting = 'filter_fields.card_sales'
WHERE (target, field) = ('card_sale_line', 'card_id');
-- a card is looked for where a card is, an owner where an owner is
UPDATE onec.field_source
SET setting = 'filter_fields.loyalty',
	setting_pattern = CASE field WHEN 'card_id' THEN 'Карта' ELSE '^(?!.*Карта)' END
WHERE (target, field) IN (('loyalty_movement', 'card_id'), ('loyalty_lot', 'card_id'),
						  ('loyalty_lot', 'owner_id'));

-- The foreign table of a set whose rows are published as such.  Returns what changed; "status" otherwise says
-- why there is none.
CREATE FUNCTION onec_internal.create_target_table(server name, target text, entity_set text, key text,
												  OUT status text, OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	status := (SELECT 'no property for ' || string_agg(r.field, ', ' ORDER BY r.ordinal)
			   FROM onec_internal.resolved_fields(server, target, entity_set) r
			   WHERE r.property IS NULL AND r.is_key);
	IF status IS NULL THEN
		changes := onec_internal.make_table(server, target,
											(onec_internal.target_named(target)).title, entity_set,
			ARRAY['entity_set=' || entity_set, 'key=' || key],
			onec_internal.columns_to_make(server, target, entity_set));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.create_target_table(name, text, text, text) IS
	'Создать внешнюю таблицу для набора 1С или изменить её (служебная)';

-- The sums of 1C itself, if the register of sales has them.
CREATE FUNCTION onec_internal.create_turnover_table(server name, target text, rows_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	title constant text := 'Обороты продаж за период';
	register text := regexp_replace(rows_set, '_RecordType$', '');
	amount text := (SELECT p.property || 'Turnover'
					FROM onec_internal.resolved_fields(server, target, rows_set) p WHERE p.field = 'amount');
BEGIN
	IF register = rows_set OR amount IS NULL THEN
		RETURN onec_internal.drop_made_by_setup(server, 'sale_turnover', title);
	END IF;
	RETURN onec_internal.make_table(server, 'sale_turnover', title, register || '/Turnovers',
									ARRAY['entity_set=' || register, 'function=Turnovers'],
		ARRAY[('amount', 'numeric', ARRAY['property=' || amount, 'edm_type=Double'], amount),
			  ('startperiod_arg', 'timestamp', '{argument=StartPeriod}', 'Начало периода'),
			  ('endperiod_arg', 'timestamp', '{argument=EndPeriod}',
			   'Конец периода, включительно')]::onec_internal.made_column[]);
END $$;
COMMENT ON FUNCTION onec_internal.create_turnover_table(name, text, text) IS
	'Создать таблицу оборотов продаж (служебная)';

-- The balances of 1C itself, if the register of bonus points has them; a register of turnovers refuses when
-- it is asked.
CREATE FUNCTION onec_internal.create_balance_table(server name, target text, rows_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	title constant text := 'Остатки баллов';
	register text := regexp_replace(rows_set, '_RecordType$', '');
	columns onec_internal.made_column[];
BEGIN
	SELECT array_agg(ROW(p.field, v.type, ARRAY['property=' || p.property || v.suffix],
						 v.title)::onec_internal.made_column ORDER BY p.field) INTO columns
	FROM onec_internal.resolved_fields(server, target, rows_set) p
	JOIN (VALUES ('accrued', 'numeric', 'Balance', 'Начислено, остаток'), ('card_id', 'uuid', '', 'Карта'),
				 ('spent', 'numeric', 'Balance', 'К списанию, остаток')) v (field, type, suffix, title)
					 ON v.field = p.field
	WHERE p.property IS NOT NULL;
	IF register = rows_set OR cardinality(columns) IS DISTINCT FROM 3 THEN
		RETURN onec_internal.drop_made_by_setup(server, 'loyalty_now', title);
	END IF;
	RETURN onec_internal.make_table(server, 'loyalty_now', title, register || '/Balance',
									ARRAY['entity_set=' || register, 'function=Balance'],
		columns || ('period_arg', 'timestamp', '{argument=Period}',
					'На какой момент')::onec_internal.made_column);
END $$;
COMMENT ON FUNCTION onec_internal.create_balance_table(name, text, text) IS
	'Создать таблицу остатков баллов (служебная)';

-- A foreign table of bytes, which are asked for by key: made where the base publishes the set and what the
-- list of fields calls a key, else taken away.  Returns what changed.
CREATE FUNCTION onec_internal.create_bytes_table(server name, relation text, title text, fields text,
												 entity_set text) RETURNS text[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	key text := (SELECT s.key FROM onec.entity_sets(server) s
				 WHERE s.entity_set = create_bytes_table.entity_set);
BEGIN
	IF key IS NULL OR EXISTS (SELECT FROM onec_internal.resolved_fields(server, fields, entity_set) r
							  WHERE r.is_key AND r.property IS NULL) THEN
		RETURN onec_internal.drop_made_by_setup(server, relation, title);
	END IF;
	RETURN onec_internal.make_table(server, relation, title, entity_set,
									ARRAY['entity_set=' || entity_set, 'key=' || key],
									onec_internal.columns_to_make(server, fields, entity_set));
END $$;
COMMENT ON FUNCTION onec_internal.create_bytes_table(name, text, text, text, text) IS
	'Создать таблицу содержимого файлов (служебная)';

-- The tables from which the bytes of pictures come: the store of binary data, and the files themselves.
CREATE FUNCTION onec_internal.create_tables_of_bytes(server name) RETURNS text[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.create_bytes_table($1, 'file_storage', 'Содержимое файлов в хранилище',
											'product_image.storage', onec.get('image.storage', $1))
		|| onec_internal.create_bytes_table($1, 'file_content', 'Содержимое файлов',
											'product_image.file',
											onec_internal.entity_set_of($1, 'product_file'))
$$;
COMMENT ON FUNCTION onec_internal.create_tables_of_bytes(name) IS
	'Создать таблицы содержимого файлов (служебная)';

CREATE FUNCTION onec_internal.has_tables_of_bytes(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN to_regclass(format('%I.file_storage', $1)) IS NOT NULL
		OR to_regclass(format('%I.file_content', $1)) IS NOT NULL;
COMMENT ON FUNCTION onec_internal.has_tables_of_bytes(name) IS
	'Есть ли откуда читать содержимое файлов (служебная)';

-- Take away the table of a target, whichever of its two shapes it has.
CREATE FUNCTION onec_internal.drop_target_table(server name, target text) RETURNS text[]
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.drop_made_by_setup($1, $2, (onec_internal.target_named($2)).title)
		|| onec_internal.drop_made_by_setup($1, $2 || '_set', onec_internal.title_of_sets())
$$;
COMMENT ON FUNCTION onec_internal.drop_target_table(name, text) IS
	'Убрать внешнюю таблицу магазина (служебная)';

-- The table of one target, as the base has it now: its set is "published", or "nested" within another, or
-- neither.
CREATE FUNCTION onec_internal.set_up_target(server name, target text, published text, key text, nested text,
											OUT status text, OUT changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	sums text := (onec_internal.target_named(target)).sums;
	w record;
BEGIN
	IF nested IS NOT NULL THEN
		SELECT * INTO w FROM onec_internal.create_nested_table(server, target, nested);
	ELSIF published IS NOT NULL AND (onec_internal.target_named(target)).function IS NOT NULL THEN
		SELECT * INTO w FROM onec_internal.create_function_table(server, target, published);
	ELSIF published IS NOT NULL THEN
		SELECT * INTO w FROM onec_internal.create_target_table(server, target, published, key);
	ELSE
		SELECT 'not published' AS status, onec_internal.drop_target_table(server, target) AS changes INTO w;
	END IF;
	changes := w.changes;
	IF w.status IS NULL AND nested IS NULL AND sums = 'turnovers' THEN
		changes := changes || onec_internal.create_turnover_table(server, target, published);
	ELSIF w.status IS NULL AND nested IS NULL AND sums = 'balance' THEN
		changes := changes || onec_internal.create_balance_table(server, target, published);
	END IF;
	status := coalesce(w.status, CASE WHEN w.changes[1] LIKE '%: created' THEN 'created'
									  WHEN ': kept, ' = ALL (SELECT substring(c FROM ': kept, ')
															 FROM unnest(changes) c) THEN 'kept'
																 ELSE 'changed' END);
	changes := nullif(array_remove(changes, target || ': created'), '{}');
END $$;
COMMENT ON FUNCTION onec_internal.set_up_target(name, text, text, text, text) IS
	'Привести внешнюю таблицу магазина к тому, что публикует база (служебная)';

-- The schema that the foreign tables of a server stand in.
CREATE FUNCTION onec_internal.make_schema_of_server(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.remember_base(server);
	IF to_regnamespace(quote_ident(server)) IS NULL THEN
		EXECUTE format('CREATE SCHEMA %I', server);
		EXECUTE format('COMMENT ON SCHEMA %I IS %L', server, 'Магазин в базе 1С ' || server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.make_schema_of_server(name) IS
	'Создать схему внешних таблиц сервера, если её нет (служебная)';

CREATE FUNCTION onec.setup(server name DEFAULT NULL)
	RETURNS TABLE (target text, entity_set text, status text, columns int, missing text[], changes text[])
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	t record;
BEGIN
	PERFORM onec_internal.must_write('setup');
	PERFORM onec_internal.make_schema_of_server(srv);
	FOR t IN
		SELECT DISTINCT ON (d.target) d.target, d.wanted[1] AS wanted, s.entity_set, s.key,
			   n.entity_set AS nested
		FROM (SELECT k.target, onec_internal.sets_to_try(srv, k.target) AS wanted,
					 k.server IS NULL AS is_shops, onec_internal.is_switched_on(srv, k) AS is_on
			  FROM onec_internal.sync_steps(srv, NULL) k WHERE k.source = 'set') d
		LEFT JOIN onec.entity_sets(srv) s ON s.entity_set = ANY (d.wanted)
		LEFT JOIN onec.entity_sets(srv) n ON s.entity_set IS NULL AND d.wanted[1] ~ '_RecordType$'
			AND n.entity_set = left(d.wanted[1], -11) AND d.is_shops
		-- of what has no name, or is neither wanted nor there, nothing is told; but what was made once goes
		WHERE d.wanted[1] <> '' AND (d.is_on OR s.entity_set IS NOT NULL OR n.entity_set IS NOT NULL)
			OR to_regclass(format('%I.%I', srv, d.target)) IS NOT NULL
		ORDER BY d.target, array_position(d.wanted, s.entity_set)
	LOOP
		target := t.target;
		entity_set := coalesce(t.nested, t.entity_set, t.wanted);
		SELECT * INTO status, changes
		FROM onec_internal.set_up_target(srv, t.target, t.entity_set, t.key, t.nested);
		SELECT count(*) FILTER (WHERE p.published),
			   array_agg(p.field ORDER BY p.ordinal) FILTER (WHERE NOT p.published)
		INTO columns, missing
		FROM (SELECT f.field, f.ordinal, onec_internal.publishes_field(srv, f.target, f.field) AS published
			  FROM onec.field_source f
			  WHERE f.target = t.target AND status <> 'not published') p;
		RETURN NEXT;
	END LOOP;
	PERFORM onec_internal.keep_properties(srv);
	FOR target, entity_set IN SELECT k.target, onec.get('image.storage', srv)
		FROM onec_internal.sync_steps(srv, NULL) k
		WHERE k.source = 'files' AND (onec_internal.is_switched_on(srv, k)
			OR onec_internal.has_tables_of_bytes(srv)) LOOP
		changes := onec_internal.create_tables_of_bytes(srv);
		status := CASE WHEN NOT onec_internal.has_tables_of_bytes(srv) THEN 'not published'
					   WHEN changes = '{}' THEN 'kept'
					   WHEN changes[1] LIKE '%: created' THEN 'created' ELSE 'changed' END;
		columns := NULL;
		missing := NULL;
		changes := nullif(changes, '{}');
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.setup(name) IS
	'Создать схему с именем сервера и в ней внешние таблицы магазина с английскими именами; показывает, что '
	'изменилось. Повторять можно: '
	'параметры, права, свои столбцы и зависящие представления остаются';
REVOKE EXECUTE ON FUNCTION onec.setup(name) FROM PUBLIC;
