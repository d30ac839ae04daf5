-- What a page of the shop shows of a product: stock, prices, variants, properties; and all of it as JSON.

-- Conditions on server and product go down to the keys of both tables.  Reservations count where a register
-- of them is named, and was read.
CREATE VIEW onec.stock AS
	SELECT s.server, s.product_id, nullif(s.variant_id, onec_internal.no_reference()) AS variant_id,
		   nullif(s.store_id, onec_internal.no_reference()) AS store_id, coalesce(s.on_hand, 0) AS on_hand,
		   CASE WHEN r.server IS NOT NULL THEN coalesce(s.reserved, 0) END AS reserved,
		   coalesce(s.on_hand, 0) - CASE WHEN r.server IS NOT NULL THEN coalesce(s.reserved, 0)
										 ELSE 0 END AS free
	FROM (SELECT u.server, u.product_id, u.variant_id, u.store_id, sum(u.on_hand) AS on_hand,
				 sum(u.reserved) AS reserved
		  FROM (SELECT h.server, h.product_id, h.variant_id, h.store_id, h.on_hand, NULL::numeric AS reserved
				FROM onec_internal.stock h
				UNION ALL
				SELECT v.server, v.product_id, v.variant_id, v.store_id, NULL, v.reserved
				FROM onec_internal.stock_reserved v) u
		  GROUP BY u.server, u.product_id, u.variant_id, u.store_id) s
	LEFT JOIN onec.sync_state r ON r.server = s.server AND r.target = 'stock_reserved'
		AND r.last_ok IS NOT NULL AND onec.get('endpoint.stock_reserved', r.server) <> ''
	WHERE s.on_hand IS NOT NULL OR r.server IS NOT NULL;
COMMENT ON VIEW onec.stock IS
	'Остатки товаров: чего здесь нет, того нет и в 1С; на какой момент — onec.sync_state.as_of';
COMMENT ON COLUMN onec.stock.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.stock.product_id IS 'Товар';
COMMENT ON COLUMN onec.stock.variant_id IS 'Характеристика товара; NULL — без неё';
COMMENT ON COLUMN onec.stock.store_id IS 'Склад; NULL — без него';
COMMENT ON COLUMN onec.stock.on_hand IS 'В наличии';
COMMENT ON COLUMN onec.stock.reserved IS 'В резерве; NULL — регистр резервов не назван';
COMMENT ON COLUMN onec.stock.free IS 'Свободно: в наличии без резерва';

CREATE VIEW onec.price AS
	SELECT p.server, p.product_id, nullif(p.variant_id, onec_internal.no_reference()) AS variant_id,
		   nullif(p.kind_id, onec_internal.no_reference()) AS kind_id, k.name AS kind, p.price,
		   c.name AS currency, p.since, p.currency_id, p.is_actual,
		   onec.moment(p.server, p.since) AS since_tz
	FROM onec_internal.price p
	LEFT JOIN onec.price_kind k ON k.server = p.server AND k.kind_id = p.kind_id
	LEFT JOIN onec.currency c
		ON c.server = p.server AND c.currency_id = coalesce(p.currency_id, k.currency_id)
	WHERE p.is_actual IS NOT FALSE;
COMMENT ON VIEW onec.price IS 'Цены товаров, которые действуют';
COMMENT ON COLUMN onec.price.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.price.product_id IS 'Товар';
COMMENT ON COLUMN onec.price.variant_id IS 'Характеристика товара; NULL — цена товара без характеристики';
COMMENT ON COLUMN onec.price.kind_id IS 'Вид цен';
COMMENT ON COLUMN onec.price.kind IS 'Название вида цен';
COMMENT ON COLUMN onec.price.price IS 'Цена';
COMMENT ON COLUMN onec.price.currency IS 'Валюта: цены, а без неё — вида цен';
COMMENT ON COLUMN onec.price.since IS 'С какого времени действует, местное для базы 1С';
COMMENT ON COLUMN onec.price.currency_id IS 'Валюта цены, если она записана в регистре';
COMMENT ON COLUMN onec.price.is_actual IS 'Актуальность в 1С; цен, снятых ею, здесь нет';

CREATE VIEW onec.price_history AS
	SELECT s.server, h.product_id, nullif(h.variant_id, onec_internal.no_reference()) AS variant_id,
		   nullif(h.kind_id, onec_internal.no_reference()) AS kind_id, h.since, h.price, h.currency_id,
		   h.is_actual, onec.moment(s.server, h.since) AS since_tz
	FROM onec_internal.price_history h JOIN onec_internal.server_number s ON s.number = h.server;
COMMENT ON VIEW onec.price_history IS 'Прежние, нынешние и будущие цены товаров, если они читаются';
COMMENT ON COLUMN onec.price_history.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.price_history.product_id IS 'Товар';
COMMENT ON COLUMN onec.price_history.variant_id IS
	'Характеристика товара; NULL — цена товара без характеристики';
COMMENT ON COLUMN onec.price_history.kind_id IS 'Вид цен';
COMMENT ON COLUMN onec.price_history.since IS 'С какого времени действует, местное для базы 1С';
COMMENT ON COLUMN onec.price_history.price IS 'Цена';
COMMENT ON COLUMN onec.price_history.currency_id IS 'Валюта цены, если она записана в регистре';
COMMENT ON COLUMN onec.price_history.is_actual IS 'Актуальность в 1С: снятая цена — ложь';

CREATE VIEW onec.product_property AS
	SELECT p.server, p.product_id, p.line_no, p.property_id,
		   coalesce(nullif(n.title, ''), n.name) AS property,
		   coalesce(v.name, nullif(p.long_text, ''), p.value) AS text, p.value, p.value_type, p.long_text,
		   p.copy
	FROM onec_internal.product_property p
	LEFT JOIN onec.property_name n ON n.server = p.server AND n.property_id = p.property_id
	LEFT JOIN onec.property_value v
		ON v.server = p.server AND v.value_id = onec_internal.reference_uuid(p.value);
COMMENT ON VIEW onec.product_property IS
	'Дополнительные реквизиты товаров с названиями реквизитов и значений';
COMMENT ON COLUMN onec.product_property.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.product_property.product_id IS 'Товар';
COMMENT ON COLUMN onec.product_property.line_no IS 'Номер строки';
COMMENT ON COLUMN onec.product_property.property_id IS 'Реквизит';
COMMENT ON COLUMN onec.product_property.property IS 'Заголовок реквизита, а без него — наименование';
COMMENT ON COLUMN onec.product_property.text IS
	'Значение, как его видят люди: название того, на что оно ссылается, длинный текст или само значение';
COMMENT ON COLUMN onec.product_property.value IS 'Значение, как его хранит 1С';
COMMENT ON COLUMN onec.product_property.value_type IS 'Вид значения';
COMMENT ON COLUMN onec.product_property.long_text IS 'Длинный текст';
COMMENT ON COLUMN onec.product_property.copy IS
	'Которая из строк с одним ключом, если в 1С он не единственный';

-- ---- for the site ----

-- A page is asked for often: each of these is in PL/pgSQL, so that a session makes their plans once, and
-- reads what it needs of a product by one statement, of all its variants together.

-- When the stock of a base was read; NULL: it never was, and nobody knows what there is.
CREATE FUNCTION onec_internal.stock_as_of(server name) RETURNS timestamptz
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT k.as_of FROM onec.sync_state k
			WHERE k.server = stock_as_of.server AND k.target = 'stock');
END $$;
COMMENT ON FUNCTION onec_internal.stock_as_of(name) IS 'На какой момент прочитаны остатки (служебная)';

CREATE FUNCTION onec.stock_free(product uuid, variant uuid DEFAULT NULL, store uuid DEFAULT NULL,
								server name DEFAULT NULL) RETURNS numeric
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	RETURN CASE WHEN onec_internal.stock_as_of(srv) IS NOT NULL
				THEN greatest(coalesce((SELECT sum(s.free) FROM onec.stock s
										WHERE s.server = srv AND s.product_id = product
										  AND (s.variant_id = variant OR variant IS NULL)
										  AND (s.store_id = store OR store IS NULL)), 0), 0) END;
END $$;
COMMENT ON FUNCTION onec.stock_free(uuid, uuid, uuid, name) IS
	'Сколько товара свободно: всего, одной характеристики, на одном складе; 0 — нет, NULL — '
	'остатки ещё не прочитаны';

CREATE FUNCTION onec_internal.price_json(p onec.price) RETURNS json
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN json_build_object('kind_id', ($1).kind_id, 'kind', ($1).kind, 'price', ($1).price,
							 'currency', ($1).currency,
							 'since', to_char(($1).since, 'YYYY-MM-DD"T"HH24:MI:SS'));
COMMENT ON FUNCTION onec_internal.price_json(onec.price) IS 'Одна цена как JSON (служебная)';

-- Those of the product itself.
CREATE FUNCTION onec_internal.prices_json(server name, product uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
	RETURN (
		SELECT coalesce(json_agg(onec_internal.price_json(p) ORDER BY p.kind, p.kind_id), '[]'::json)
		FROM onec.price p
		WHERE p.server = prices_json.server AND p.product_id = product AND p.variant_id IS NULL);
END $$;
COMMENT ON FUNCTION onec_internal.prices_json(name, uuid) IS 'Цены товара как JSON (служебная)';

-- As the view of the stock has it.
CREATE FUNCTION onec_internal.are_reserves_read(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN EXISTS (SELECT FROM onec.sync_state r WHERE r.server = $1 AND r.target = 'stock_reserved'
						AND r.last_ok IS NOT NULL) AND onec.get('endpoint.stock_reserved', $1) <> '';
COMMENT ON FUNCTION onec_internal.are_reserves_read(name) IS
	'Назван ли и прочитан ли регистр резервов (служебная)';

CREATE FUNCTION onec_internal.stock_json(server name, product uuid, as_of timestamptz) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT json_build_object('as_of', $3, 'on_hand', coalesce(sum(s.on_hand), 0),
			'reserved', CASE WHEN onec_internal.are_reserves_read($1) THEN coalesce(sum(s.reserved), 0) END,
			'free', greatest(coalesce(sum(s.free), 0), 0),
			'stores', coalesce(json_agg(json_build_object('store_id', s.store_id, 'store', n.name,
														  'on_hand', s.on_hand, 'reserved', s.reserved,
														  'free', s.free) ORDER BY n.name, s.store_id), '[]'))
		FROM (SELECT t.store_id, sum(t.on_hand) AS on_hand, sum(t.reserved) AS reserved,
					 sum(t.free) AS free
			  FROM onec.stock t WHERE t.server = $1 AND t.product_id = $2 GROUP BY t.store_id) s
		LEFT JOIN onec.store n ON n.server = $1 AND n.store_id = s.store_id);
END $$;
COMMENT ON FUNCTION onec_internal.stock_json(name, uuid, timestamptz) IS
	'Остатки товара как JSON (служебная)';

-- Variants of a product, and those that all products of its category have.  The prices of one are its own,
-- and where it has none of a kind, the product's.
CREATE FUNCTION onec_internal.variants_json(server name, product uuid, category uuid,
											as_of timestamptz) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH price AS MATERIALIZED (SELECT q.* FROM onec.price q
									WHERE q.server = $1 AND q.product_id = $2),
		free AS MATERIALIZED (SELECT t.variant_id, sum(t.free) AS free FROM onec.stock t
							  WHERE t.server = $1 AND t.product_id = $2 GROUP BY t.variant_id)
		SELECT coalesce(json_agg(json_build_object('variant_id', v.variant_id,
				'name', coalesce(nullif(v.print_name, ''), v.name), 'code', v.code,
				'free', CASE WHEN $4 IS NOT NULL THEN greatest(coalesce(f.free, 0), 0) END,
				'prices', (SELECT coalesce(json_agg(onec_internal.price_json(p)
													ORDER BY p.kind, p.kind_id), '[]'::json)
						   FROM (SELECT DISTINCT ON (q.kind_id) q.* FROM price q
								 WHERE q.variant_id = v.variant_id OR q.variant_id IS NULL
								 ORDER BY q.kind_id, q.variant_id NULLS LAST) p))
			ORDER BY v.code, v.name, v.variant_id), '[]'::json)
		FROM onec.product_variant v LEFT JOIN free f ON f.variant_id = v.variant_id
		WHERE v.server = $1 AND v.product_id IN ($2, $3) AND NOT v.is_deleted
		  AND v.deletion_mark IS NOT TRUE);
END $$;
COMMENT ON FUNCTION onec_internal.variants_json(name, uuid, uuid, timestamptz) IS
	'Характеристики товара как JSON (служебная)';

CREATE FUNCTION onec_internal.properties_json(server name, product uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		SELECT coalesce(json_agg(json_build_object('property', p.property, 'value', p.text)
								 ORDER BY p.line_no, p.copy), '[]')
		FROM onec.product_property p WHERE p.server = $1 AND p.product_id = $2);
END $$;
COMMENT ON FUNCTION onec_internal.properties_json(name, uuid) IS
	'Дополнительные реквизиты товара как JSON (служебная)';

-- Which pictures there are, the main one first; onec.image gives their bytes.
CREATE FUNCTION onec_internal.images_json(server name, product uuid, main uuid) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('file_id', i.file_id, 'type', i.type, 'size', i.size,
						'sha256', encode(i.sha256, 'hex'))
				ORDER BY i.file_id IS NOT DISTINCT FROM main DESC, i.name, i.file_id), '[]'::json)
			FROM onec.product_image i
			WHERE i.server = images_json.server AND i.refused IS NULL
			  AND (i.product_id = product OR i.file_id = main));
END $$;
COMMENT ON FUNCTION onec_internal.images_json(name, uuid, uuid) IS 'Картинки товара как JSON (служебная)';

CREATE FUNCTION onec.product_json(product uuid, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	srv name := onec_internal.server_meant($2);
	as_of timestamptz := onec_internal.stock_as_of(srv);
BEGIN
	RETURN (
		SELECT json_build_object('product_id', p.product_id, 'code', p.code, 'article', p.article,
			'barcode', p.barcode, 'name', p.name, 'full_name', p.full_name, 'description', p.description,
			'category', g.slug, 'category_title', onec_internal.category_title(g.slug), 'brand', b.name,
			'unit', u.name, 'vat', coalesce(v.name, p.vat), 'vat_rate', v.rate, 'withdrawn', g.withdrawn,
			'prices', onec_internal.prices_json(srv, p.product_id),
			'stock', CASE WHEN as_of IS NOT NULL THEN onec_internal.stock_json(srv, p.product_id, as_of) END,
			'variants', onec_internal.variants_json(srv, p.product_id, p.category_id, as_of),
			'properties', onec_internal.properties_json(srv, p.product_id),
			'images', onec_internal.images_json(srv, p.product_id, p.picture_id))
		FROM onec.product p
		CROSS JOIN LATERAL (SELECT onec_internal.category_slug(c.category) AS slug, c.withdrawn
							FROM onec_internal.product_with_category c
							WHERE c.server = srv AND c.product_id = p.product_id OFFSET 0) g
		LEFT JOIN onec.brand b ON b.server = srv AND b.brand_id = p.brand_id
		LEFT JOIN onec.unit u ON u.server = srv AND u.unit_id = p.unit_id
		LEFT JOIN onec.vat_rate v
			ON v.server = srv AND v.vat_rate_id = onec_internal.reference_uuid(p.vat)
		WHERE p.server = srv AND p.product_id = $1);
END $$;
COMMENT ON FUNCTION onec.product_json(uuid, name) IS
	'Товар как JSON для сайта: карточка, цены, остатки по складам, характеристики, дополнительные '
	'реквизиты; NULL — такого товара нет';
