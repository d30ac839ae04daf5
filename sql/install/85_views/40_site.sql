-- What a page of the shop shows of orders and pictures: from local tables, by index, without asking 1C.

-- What of the two registers counts, by order: in one of balances what takes away, in one of turnovers all.
CREATE FUNCTION onec_internal.counts_for_order(active boolean, kind text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN $1 IS NOT FALSE AND coalesce($2, '') <> 'Receipt';
COMMENT ON FUNCTION onec_internal.counts_for_order(boolean, text) IS
	'Оплата или отгрузка ли это, а не долг или заказанное (служебная)';

-- Whether a set was ever read, so that a sum of no rows is a nought and not unknown.
CREATE FUNCTION onec_internal.was_read(server name, target text) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN EXISTS (SELECT FROM onec.sync_state s
				   WHERE s.server = was_read.server AND s.target = was_read.target AND s.last_ok IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec_internal.was_read(name, text) IS
	'Читалась ли таблица хоть раз целиком (служебная)';

-- Orders as a page shows them: those named, by one statement, for a page has twenty of them.  What has left
-- of a product is dealt to the lines that have it, first to the first one.
CREATE FUNCTION onec_internal.these_orders_json(server name, orders uuid[]) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	payments_known boolean := onec_internal.was_read(server, 'order_payment');
	shipments_known boolean := onec_internal.was_read(server, 'order_shipment');
BEGIN
	RETURN (
		SELECT coalesce(json_agg(json_build_object('order_id', o.order_id, 'number', o.number,
				'date', to_char(o.date, 'YYYY-MM-DD"T"HH24:MI:SS'), 'posted', o.posted,
				'state', (SELECT t.name FROM onec.order_state t
						  WHERE t.server = these_orders_json.server AND t.state_id = o.state_id),
				'outcome', nullif(o.outcome, ''), 'ship_at', to_char(o.ship_at, 'YYYY-MM-DD"T"HH24:MI:SS'),
				'store_id', o.store_id, 'amount', round(o.amount, 2),
				'paid', CASE WHEN payments_known THEN round(coalesce(p.amount, 0), 2) END,
				'paid_at', to_char(p.at, 'YYYY-MM-DD"T"HH24:MI:SS'),
				'shipped', CASE WHEN shipments_known THEN coalesce(s.quantity, 0) END,
				'shipped_at', to_char(s.at, 'YYYY-MM-DD"T"HH24:MI:SS'), 'lines', l.list)
			ORDER BY o.date DESC, o.order_id), '[]'::json)
		FROM onec.customer_order o
		CROSS JOIN LATERAL (
			SELECT sum(coalesce(m.paid, 0) + coalesce(m.advance, 0)) AS amount,
				   max(m.period) FILTER (WHERE coalesce(m.paid, 0) + coalesce(m.advance, 0) <> 0) AS at
			FROM onec.order_payment m
			WHERE m.server = these_orders_json.server AND m.order_id = o.order_id
			  AND onec_internal.counts_for_order(m.active, m.kind)) p
		CROSS JOIN LATERAL (
			SELECT sum(g.quantity) AS quantity, max(g.at) AS at,
				   jsonb_object_agg(concat(g.product_id, g.variant_id), g.quantity) AS goods
			FROM (SELECT m.product_id, m.variant_id, sum(m.quantity) AS quantity, max(m.period) AS at
				  FROM onec.order_shipment m
				  WHERE m.server = these_orders_json.server AND m.order_id = o.order_id
					AND onec_internal.counts_for_order(m.active, m.kind)
				  GROUP BY 1, 2) g) s
		CROSS JOIN LATERAL (
			SELECT coalesce(json_agg(json_build_object('line_no', x.line_no, 'product_id', x.product_id,
						'product', (SELECT g.name FROM onec.product g
									WHERE g.server = these_orders_json.server
									  AND g.product_id = x.product_id),
						'variant_id', x.variant_id, 'quantity', x.quantity, 'price', x.price,
						'amount', round(x.amount, 2), 'shipped', CASE WHEN shipments_known
							THEN least(x.quantity, greatest(x.gone - x.before, 0)) END)
					ORDER BY x.line_no), '[]'::json) AS list
			FROM (SELECT n.*, coalesce((s.goods ->> concat(n.product_id, n.variant_id))::numeric, 0) AS gone,
						 coalesce(sum(n.quantity) OVER (
							PARTITION BY n.product_id, n.variant_id ORDER BY n.line_no
							ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
				  FROM jsonb_to_recordset(o.lines)
					n (line_no bigint, product_id uuid, variant_id uuid, quantity numeric, price numeric,
					   amount numeric)) x) l
		WHERE o.server = these_orders_json.server AND o.order_id = ANY (orders));
END $$;
COMMENT ON FUNCTION onec_internal.these_orders_json(name, uuid[]) IS 'Названные заказы как JSON (служебная)';

CREATE FUNCTION onec.orders_json(key text, max_rows int DEFAULT 20, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	u onec.site_user := onec_internal.person_by_key(key, server);
BEGIN
	RETURN CASE WHEN u.user_id IS NOT NULL THEN onec_internal.these_orders_json(u.server, ARRAY(
		SELECT c.order_id FROM onec.customer_order c
		WHERE c.server = u.server AND c.customer_id = u.customer_id AND c.deletion_mark IS NOT TRUE
		ORDER BY c.date DESC LIMIT max_rows)) END;
END $$;
COMMENT ON FUNCTION onec.orders_json(text, int, name) IS
	'Заказы покупателя как JSON для сайта, сначала новые: состояние, строки, оплата, отгрузка; ключ — как у '
	'profile_json. paid и shipped — NULL, если база не публикует оплату или отгрузку';

CREATE FUNCTION onec.order_json(order_id uuid, server name DEFAULT NULL) RETURNS json
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	RETURN onec_internal.these_orders_json(srv, ARRAY(
		SELECT o.order_id FROM onec.customer_order o
		WHERE o.server = srv AND o.order_id = onec_internal.key_in_1c(srv, order_json.order_id)
		  AND o.deletion_mark IS NOT TRUE)) -> 0;
END $$;
COMMENT ON FUNCTION onec.order_json(uuid, name) IS
	'Один заказ как JSON, по ссылке 1С; чей он, проверяет сайт';

-- The main picture of a product, or its first other one; a certain one if a file is named.
CREATE FUNCTION onec.image(product uuid, file uuid DEFAULT NULL, server name DEFAULT NULL)
	RETURNS TABLE (file_id uuid, type text, size bigint, sha256 text, content bytea)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	file := coalesce(file,
		(SELECT i.file_id FROM onec.product p
		 JOIN onec.product_image i ON i.server = p.server AND i.file_id = p.picture_id
		 WHERE p.server = srv AND p.product_id = image.product AND i.refused IS NULL),
		(SELECT i.file_id FROM onec.product_image i
		 WHERE i.server = srv AND i.product_id = image.product AND i.refused IS NULL
		 ORDER BY i.name, i.file_id LIMIT 1));
	RETURN QUERY
		SELECT i.file_id, i.type, i.size, encode(i.sha256, 'hex'), i.content FROM onec.product_image i
		WHERE i.server = srv AND i.file_id = file AND i.refused IS NULL
		  AND (i.product_id = image.product
			   OR EXISTS (SELECT FROM onec.product p WHERE p.server = srv AND p.product_id = image.product
							AND p.picture_id = i.file_id));
END $$;
COMMENT ON FUNCTION onec.image(uuid, uuid, name) IS
	'Картинка товара из местной таблицы, 1С не спрашивается: главная, а если её нет — первая по имени; или '
	'названный файл. Строки нет — нет и картинки';

CREATE VIEW onec.image_summary AS
	SELECT i.server, coalesce(i.refused, 'stored') AS outcome, count(*) AS files, sum(i.size) AS bytes
	FROM onec.product_image i GROUP BY 1, 2;
COMMENT ON VIEW onec.image_summary IS
	'Сколько картинок хранится и сколько файлов отвергнуто, по причинам';
COMMENT ON COLUMN onec.image_summary.outcome IS
	'stored — хранится; иначе причина, как в onec.product_image.refused';
COMMENT ON COLUMN onec.image_summary.files IS 'Файлов';
COMMENT ON COLUMN onec.image_summary.bytes IS 'Байтов; у отвергнутых — сколько известно';
