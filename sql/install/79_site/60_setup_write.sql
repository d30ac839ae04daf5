-- What the shop would say, proposed: from the newest documents, cards and customers of the base.

-- The newest objects of a set, posted ones of documents, each with some of its properties.
CREATE FUNCTION onec_internal.newest_objects(server name, entity_set text, wanted text[],
											 "limit" int) RETURNS SETOF jsonb
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	columns text;
	document boolean := entity_set LIKE 'Document\_%';
	has_folders boolean;
BEGIN
	SELECT string_agg(format('%I %s OPTIONS (property %L, edm_type %L)', p.property, p.pg_type, p.property,
							 p.edm_type), ', ' ORDER BY p.property), bool_or(p.property = 'IsFolder')
	INTO columns, has_folders
	FROM onec.properties(server, entity_set) p
	WHERE p.property = ANY (wanted || '{Ref_Key,Date,Code,Posted,DeletionMark,IsFolder}'::text[]);
	EXECUTE format('CREATE FOREIGN TABLE pg_temp.onec_newest (%s) SERVER %I '
				   'OPTIONS (entity_set %L, key ''Ref_Key'')',
				   columns, server, entity_set);
	RETURN QUERY EXECUTE format(
		'SELECT to_jsonb(n) FROM pg_temp.onec_newest n WHERE %s ORDER BY %I DESC LIMIT %s',
		CASE WHEN document THEN '"Posted"' ELSE 'NOT "DeletionMark"'
			|| CASE WHEN has_folders THEN ' AND NOT "IsFolder"' ELSE '' END END,
		CASE WHEN document THEN 'Date' ELSE 'Code' END, "limit");
	DROP FOREIGN TABLE pg_temp.onec_newest;
END $$;
COMMENT ON FUNCTION onec_internal.newest_objects(name, text, text[], int) IS
	'Последние объекты набора, документы — проведённые (служебная)';

-- The commonest value of each field that the shop says, in rows of one kind; "seen" in how many, of "total".
-- Empty ones do not count.
CREATE FUNCTION onec_internal.commonest_values(server name, object text, rows jsonb)
	RETURNS TABLE (field text, value jsonb, type_name text, seen bigint, total bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT DISTINCT ON (f.field) f.field, v.value, v.type_name, count(*),
		   (SELECT count(*) FROM jsonb_array_elements($3))
	FROM onec_internal.write_fields($1, $2) f
	JOIN LATERAL (SELECT r -> f.property AS value, CASE WHEN f.is_mixed THEN r ->> (f.property || '_Type') END
						 AS type_name
				  FROM jsonb_array_elements($3) r) v
		ON onec_internal.plain_value(CASE WHEN f.is_mixed THEN 'Guid' ELSE f.edm_type END, v.value)
			IS NOT NULL
	WHERE f.said_by = 'shop' OR f.field = 'kind' AND $2 = 'customer.contacts'
	GROUP BY f.field, v.value, v.type_name
	ORDER BY f.field, count(*) DESC, v.value
$$;
COMMENT ON FUNCTION onec_internal.commonest_values(name, text, jsonb) IS
	'Самые частые значения полей магазина (служебная)';

-- What the newest objects of one kind say, rows of tabular parts included; kinds of contacts by their type.
CREATE FUNCTION onec_internal.values_found(server name, object text)
	RETURNS TABLE (field text, value jsonb, type_name text, seen bigint, total bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	of_set text := onec_internal.write_set(server, object);
	newest jsonb;
	sub record;
	rows jsonb;
	told_by text;
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.outbox_property p
				   WHERE p.server = values_found.server AND p.entity_set = of_set) THEN
		RETURN;
	END IF;
	newest := (SELECT jsonb_agg(n) FROM onec_internal.newest_objects(server, of_set, ARRAY(
		SELECT p.property FROM onec_internal.outbox_property p
		JOIN onec_internal.write_fields(values_found.server, object) f
			ON p.property IN (f.property, f.property || '_Type')
		WHERE p.server = values_found.server AND p.entity_set = of_set AND p.part = ''
		  AND (f.said_by = 'shop' OR p.edm_type = 'Collection' OR p.property LIKE '%\_Type')), 20) n);
	RETURN QUERY SELECT c.* FROM onec_internal.commonest_values(server, object, newest) c;
	FOR sub IN SELECT DISTINCT f.object, onec_internal.part_of_object(server, f.object) AS part
		FROM onec.write_field f WHERE f.object LIKE values_found.object || '.%' LOOP
		rows := (SELECT jsonb_agg(r) FROM jsonb_array_elements(newest) o,
					 jsonb_array_elements(nullif(o -> sub.part, 'null')) r);
		IF sub.object <> 'customer.contacts' THEN
			RETURN QUERY SELECT c.* FROM onec_internal.commonest_values(server, sub.object, rows) c;
			CONTINUE;
		END IF;
		told_by := (SELECT f.property FROM onec_internal.write_fields(server, sub.object) f
					WHERE f.field = 'type');
		RETURN QUERY SELECT k.field, c.value, c.type_name, c.seen, c.total
			FROM (VALUES ('phone_kind', 'Телефон'), ('email_kind', 'АдресЭлектроннойПочты')) k (field, type),
				onec_internal.commonest_values(server, sub.object, (
					SELECT jsonb_agg(r) FROM jsonb_array_elements(rows) r WHERE r ->> told_by = k.type)) c
			WHERE c.field = 'kind';
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.values_found(name, text) IS
	'Что говорят последние объекты базы (служебная)';

-- An object by its reference; NULL: it cannot be read.
CREATE FUNCTION onec_internal.object_in_1c(server name, entity_set text, key text) RETURNS jsonb
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT w.answer::jsonb
	FROM onec_internal.write_once($1, 'GET', $2, onec_internal.reference_uuid($3), NULL, NULL, NULL) w
	WHERE w.outcome = 'stored'
$$;
COMMENT ON FUNCTION onec_internal.object_in_1c(name, text, text) IS 'Объект 1С по ссылке (служебная)';

-- Everything that 1C knows of an object which a reference means is its name, shown to who decides.
CREATE FUNCTION onec.setup_write(server name DEFAULT NULL)
	RETURNS TABLE (entity_set text, field text, property text, value jsonb, title text, seen text,
				   is_set boolean, statement text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(onec_internal.live_server_meant(server));
	o onec.write_object;
	f record;
	proposed jsonb;
	rate jsonb;
BEGIN
	PERFORM onec_internal.must_write('setup_write');
	FOR o IN SELECT w.* FROM onec.write_object w ORDER BY w.object LOOP
		proposed := (SELECT coalesce(jsonb_object_agg(v.field, to_jsonb(v)), '{}')
					 FROM onec_internal.values_found(srv, o.object) v);
		rate := onec_internal.object_in_1c(srv, 'Catalog_СтавкиНДС', proposed #>> '{vat_rate,value}')
			-> 'Ставка';
		IF rate IS NOT NULL THEN
			proposed := proposed || jsonb_build_object('vat_percent', jsonb_build_object('value', rate));
		END IF;
		entity_set := onec_internal.write_set(srv, o.object);
		FOR f IN SELECT k.field, k.property, w.type_name AS refers, w.initial, p.value, p.type_name, p.seen,
						p.total, d.value AS set_value
			FROM onec.write_field w
			JOIN LATERAL onec_internal.write_fields(srv, w.object) k ON k.field = w.field
			LEFT JOIN LATERAL jsonb_to_record(proposed -> w.field)
				p (value jsonb, type_name text, seen bigint, total bigint) ON true
			LEFT JOIN onec.write_default d
				ON d.server = srv AND d.entity_set = setup_write.entity_set AND d.field = w.field
			WHERE split_part(w.object, '.', 1) = o.object AND w.said_by = 'shop'
			  AND (k.property IS NOT NULL OR w.candidates = '{}') AND p.value IS DISTINCT FROM w.initial
			  AND (p.value IS NOT NULL OR k.is_required AND w.initial IS NULL)
			ORDER BY w.object, w.ordinal LOOP
			field := f.field;
			property := f.property;
			value := f.value;
			is_set := coalesce(f.value = f.set_value, f.set_value IS NOT NULL);
			seen := f.seen || ' of ' || f.total;
			f.type_name := replace(f.type_name, 'StandardODATA.', '');
			title := CASE WHEN f.refers IS NULL THEN f.value #>> '{}'
				ELSE onec_internal.object_in_1c(srv, coalesce(f.type_name, f.refers), f.value #>> '{}')
					->> 'Description' END;
			statement := CASE WHEN NOT is_set AND f.value IS NOT NULL THEN
				format('SELECT onec.set_write_default(%L, %L, %L, %L%s);', srv, entity_set, field, f.value,
					   ', ' || quote_literal(nullif(f.type_name, f.refers))) END;
			RETURN NEXT;
		END LOOP;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec.setup_write(name) IS
	'Предложить, что магазин пишет в документы: организация, вид цен, валюта, склад, операция, НДС, '
	'единица, вид карты, бонусная программа, виды контактов — по последним проведённым документам базы. '
	'Ничего не меняет: statement — запрос, который это задаст, если вы согласны; value пусто — поле нужно, '
	'а значения не нашлось';
REVOKE EXECUTE ON FUNCTION onec.setup_write(name) FROM PUBLIC;
