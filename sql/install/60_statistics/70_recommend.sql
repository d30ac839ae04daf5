-- What is bought together, and what to offer whom: pairs of goods, bestsellers to fall back on, offers with
-- the reason for each.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('pairs.shrink', 'numeric', '5', NULL, 0, 1000000,
	 'Насколько не доверять редким парам: оценка пары умножается на n/(n+это число)'),
	('pairs.min_together', 'int', '3', NULL, 1, 1000000000, 'Пары, купленные вместе реже, не учитывать'),
	('pairs.top', 'int', '50', NULL, 1, 10000, 'Сколько соседей хранить для каждого товара'),
	('pairs.exclude_receipt_types', 'text[]', '{Document_ОтчетОРозничныхПродажах}', NULL, NULL, NULL,
	 'Документы, в которых много чеков: что в одном таком документе, куплено не вместе'),
	('pairs.max_basket', 'int', '100', NULL, 2, 1000000,
	 'Чеки и покупатели с большим числом разных товаров (опт) в парах не участвуют'),
	('recommend.half_life_days', 'numeric', '180', NULL, 0.01, NULL,
	 'За сколько дней вес купленного товара в рекомендациях падает вдвое'),
	('recommend.last_products', 'int', '20', NULL, 1, 1000,
	 'По скольким последним товарам покупателя рекомендовать'),
	('recommend.active_days', 'int', '365', NULL, 1, 36500,
	 'Товары, не продававшиеся столько дней, не рекомендовать; за столько же дней считаются хиты продаж'),
	('recommend.category_prior', 'numeric', '30', NULL, 0, 1000000,
	 'Скольким чекам равна уверенность в том, что покупатель любит те же категории, что и все'),
	('recommend.popularity', 'numeric', '10', NULL, 0, 1000000,
	 'Сколько весит доля товара в продажах рядом с оценками пар; 0 — только пары'),
	('recommend.favorite_receipts', 'int', '2', NULL, 1, 1000000,
	 'С какого числа чеков категория считается любимой'),
	('recommend.consumable_categories', 'text[]', '{}', NULL, NULL, NULL,
	 'Категории расходного: предлагать и то, что уже куплено'),
	('recommend.feed_size', 'int', '10', NULL, 1, 1000,
	 'Сколько товаров каждому покупателю в recommendation_feed');

CREATE TABLE onec.product_pair (
	server name NOT NULL,
	basis text NOT NULL CHECK (basis IN ('receipt', 'customer')),
	product_id uuid NOT NULL,
	other_id uuid NOT NULL,
	n_a int NOT NULL,
	n_b int NOT NULL,
	n_ab int NOT NULL,
	support numeric NOT NULL,
	confidence numeric NOT NULL,
	lift numeric NOT NULL,
	cosine numeric NOT NULL,
	jaccard numeric NOT NULL,
	score numeric NOT NULL,
	PRIMARY KEY (server, product_id, basis, other_id)
);
COMMENT ON TABLE onec.product_pair IS
	'Товары, которые покупают вместе: ближайшие соседи каждого товара, в обе стороны; '
	'обновляет onec.refresh_pairs';
COMMENT ON COLUMN onec.product_pair.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.product_pair.basis IS
	'Что значит вместе: receipt — в одном чеке, customer — одним покупателем';
COMMENT ON COLUMN onec.product_pair.product_id IS 'Товар';
COMMENT ON COLUMN onec.product_pair.other_id IS 'Сосед';
COMMENT ON COLUMN onec.product_pair.n_a IS 'Чеков (покупателей) с товаром';
COMMENT ON COLUMN onec.product_pair.n_b IS 'Чеков (покупателей) с соседом';
COMMENT ON COLUMN onec.product_pair.n_ab IS 'Чеков (покупателей) с обоими';
COMMENT ON COLUMN onec.product_pair.support IS 'Поддержка: доля чеков (покупателей) с обоими';
COMMENT ON COLUMN onec.product_pair.confidence IS 'Достоверность: доля чеков с соседом среди чеков с товаром';
COMMENT ON COLUMN onec.product_pair.lift IS 'Подъём: во сколько раз чаще, чем случайно';
COMMENT ON COLUMN onec.product_pair.cosine IS 'Косинусная близость';
COMMENT ON COLUMN onec.product_pair.jaccard IS 'Мера Жаккара';
COMMENT ON COLUMN onec.product_pair.score IS 'Оценка: косинус, уменьшенный у редких пар';
SELECT pg_catalog.pg_extension_config_dump('onec.product_pair', '');

CREATE TABLE onec.bestseller (
	server name NOT NULL,
	scope text NOT NULL CHECK (scope IN ('all', 'category', 'store', 'month')),
	scope_key text NOT NULL,
	product_id uuid NOT NULL,
	receipts int NOT NULL,
	amount numeric NOT NULL,
	share numeric NOT NULL,
	place int NOT NULL,
	PRIMARY KEY (server, product_id, scope, scope_key)
);
CREATE INDEX bestseller_place ON onec.bestseller (server, scope, scope_key, place);
COMMENT ON TABLE onec.bestseller IS
	'Хиты продаж: по всему магазину (все товары), по категориям, точкам и календарным месяцам (первые сто); '
	'обновляет onec.refresh_pairs';
COMMENT ON COLUMN onec.bestseller.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.bestseller.scope IS 'Среди чего: all, category, store, month';
COMMENT ON COLUMN onec.bestseller.scope_key IS 'Категория, магазин или месяц (1–12); у all пусто';
COMMENT ON COLUMN onec.bestseller.product_id IS 'Товар';
COMMENT ON COLUMN onec.bestseller.receipts IS 'Чеков с товаром';
COMMENT ON COLUMN onec.bestseller.amount IS 'Выручка';
COMMENT ON COLUMN onec.bestseller.share IS 'Доля среди товаров, считая чеки';
COMMENT ON COLUMN onec.bestseller.place IS 'Место';
SELECT pg_catalog.pg_extension_config_dump('onec.bestseller', '');

-- What was bought before a moment and has not come back by then, by whomever: one row for each receipt and
-- product.  The temporary table serves pairs and bestsellers alike, so that both see the same goods;
-- "together": the document is one receipt.
CREATE FUNCTION onec_internal.collect_bought_goods(server name, before timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	reports text[] := onec.get('pairs.exclude_receipt_types', server);
BEGIN
	CREATE TEMPORARY TABLE onec_goods ON COMMIT DROP AS SELECT * FROM onec_internal.goods_by_use(server);
	ANALYZE pg_temp.onec_goods;
	CREATE TEMPORARY TABLE onec_bought ON COMMIT DROP AS
		SELECT l.receipt_id AS receipt, l.customer_id, l.product_id,
			   min(l.store_id::text) FILTER (WHERE l.amount > 0) AS store,
			   min(l.period) AS at, sum(l.amount) AS amount,
			   bool_and(l.receipt_type <> ALL (reports)) AS together
		FROM onec_internal.counted_lines(server, before, NULL) l
		WHERE l.product_id IS NOT NULL
		  AND NOT EXISTS (SELECT FROM pg_temp.onec_goods g WHERE g.product_id = l.product_id AND g.excluded)
		GROUP BY 1, 2, 3 HAVING sum(l.amount) > 0;
	ANALYZE pg_temp.onec_bought;
END $$;
COMMENT ON FUNCTION onec_internal.collect_bought_goods(name, timestamp) IS
	'Собрать купленное до указанного времени (служебная)';

CREATE TYPE onec_internal.pair_counts AS (a int[], b int[], baskets int[]);
COMMENT ON TYPE onec_internal.pair_counts IS 'Пары и сколько раз они вместе (служебный)';

CREATE FUNCTION onec_internal.count_pairs_basket(state internal, goods int[], enough int) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_count_pairs_basket';
COMMENT ON FUNCTION onec_internal.count_pairs_basket(internal, int[], int) IS
	'Часть count_pairs (служебная)';

CREATE FUNCTION onec_internal.count_pairs_end(state internal) RETURNS onec_internal.pair_counts
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_count_pairs_end';
COMMENT ON FUNCTION onec_internal.count_pairs_end(internal) IS 'Часть count_pairs (служебная)';

-- Of each two goods that lie together in enough baskets, in how many: the smaller number is "a".
CREATE AGGREGATE onec_internal.count_pairs(goods int[], enough int) (
	SFUNC = onec_internal.count_pairs_basket, STYPE = internal, SSPACE = 67108864,
	FINALFUNC = onec_internal.count_pairs_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE onec_internal.count_pairs(int[], int) IS
	'В скольких корзинах товары лежат вместе (служебная)';

-- Pairs of one basis into pg_temp.product_pair, of the baskets that are not too large.
CREATE FUNCTION onec_internal.collect_pairs(server name, basis text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	baskets bigint;
	shrink float8 := onec.get('pairs.shrink', server);
	-- variables: a call in a condition is made for each row
	min_together int := onec.get('pairs.min_together', server);
	max_basket int := onec.get('pairs.max_basket', server);
	top int := onec.get('pairs.top', server);
	found onec_internal.pair_counts;
BEGIN
	CREATE TEMPORARY TABLE onec_number ON COMMIT DROP AS
		SELECT x.product_id, row_number() OVER (ORDER BY x.product_id)::int AS no
		FROM (SELECT DISTINCT b.product_id FROM pg_temp.onec_bought b) x;
	ANALYZE pg_temp.onec_number;
	-- a receipt is that of one customer
	CREATE TEMPORARY TABLE onec_basket ON COMMIT DROP AS
		SELECT array_agg(DISTINCT n.no) AS goods
		FROM pg_temp.onec_bought b JOIN pg_temp.onec_number n ON n.product_id = b.product_id
		WHERE CASE basis WHEN 'receipt' THEN b.together ELSE b.customer_id IS NOT NULL END
		GROUP BY CASE basis WHEN 'receipt' THEN b.receipt END, b.customer_id
		HAVING count(DISTINCT n.no) <= max_basket;
	ANALYZE pg_temp.onec_basket;
	baskets := (SELECT count(*) FROM pg_temp.onec_basket);
	found := (SELECT onec_internal.count_pairs(b.goods, min_together) FROM pg_temp.onec_basket b
			  WHERE cardinality(b.goods) > 1);
	INSERT INTO pg_temp.product_pair
	WITH single AS MATERIALIZED (
		SELECT n.product_id, n.no, x.n FROM (
			SELECT g.no, count(*)::int AS n
			FROM pg_temp.onec_basket b CROSS JOIN LATERAL unnest(b.goods) g (no) GROUP BY 1) x
		JOIN pg_temp.onec_number n ON n.no = x.no),
	pair AS MATERIALIZED (
		SELECT p.a, p.b, p.n FROM unnest((found).a, (found).b, (found).baskets) p (a, b, n)),
	both_ways AS (SELECT p.a, p.b, p.n FROM pair p UNION ALL SELECT p.b, p.a, p.n FROM pair p),
	measured AS (
		SELECT a.product_id, b.product_id AS other_id, a.n AS n_a, b.n AS n_b, p.n AS n_ab,
			   (p.n / sqrt(a.n::float8 * b.n)) AS cosine
		FROM both_ways p JOIN single a ON a.no = p.a JOIN single b ON b.no = p.b),
	scored AS (SELECT m.*, round((m.cosine * m.n_ab / (m.n_ab + shrink))::numeric, 6) AS score
			   FROM measured m),
	ranked AS (
		SELECT s.*, row_number() OVER (PARTITION BY s.product_id ORDER BY s.score DESC, s.n_ab DESC,
									   s.other_id) AS place FROM scored s)
	SELECT server, basis, r.product_id, r.other_id, r.n_a, r.n_b, r.n_ab, round(r.n_ab::numeric / baskets, 8),
		   round(r.n_ab::numeric / r.n_a, 6),
		   round(r.n_ab::numeric * baskets / (r.n_a::numeric * r.n_b), 4), round(r.cosine::numeric, 6),
		   round(r.n_ab::numeric / (r.n_a + r.n_b - r.n_ab), 6), r.score
	FROM ranked r WHERE r.place <= top;
	DROP TABLE pg_temp.onec_number, pg_temp.onec_basket;
END $$;
COMMENT ON FUNCTION onec_internal.collect_pairs(name, text) IS
	'Пары товаров по чекам или по покупателям (служебная)';

-- Bestsellers into pg_temp.bestseller.  What has not been sold for long is not one of them, not even of its
-- month.
CREATE FUNCTION onec_internal.collect_bestsellers(server name, before timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	since timestamp := before - make_interval(days => onec.get('recommend.active_days', server)::int);
BEGIN
	INSERT INTO pg_temp.bestseller
	WITH recent AS MATERIALIZED (SELECT b.*, g.slug FROM pg_temp.onec_bought b
								 LEFT JOIN pg_temp.onec_goods g ON g.product_id = b.product_id
								 WHERE b.at >= since),
	counted AS (
		SELECT 'all' AS scope, '' AS scope_key, r.product_id, count(*)::int AS receipts,
			   sum(r.amount) AS amount FROM recent r GROUP BY r.product_id
		UNION ALL
		SELECT 'category', r.slug, r.product_id, count(*)::int, sum(r.amount) FROM recent r
		WHERE r.slug IS NOT NULL GROUP BY r.slug, r.product_id
		UNION ALL
		SELECT 'store', r.store, r.product_id, count(*)::int, sum(r.amount) FROM recent r
		WHERE r.store IS NOT NULL GROUP BY r.store, r.product_id
		UNION ALL
		SELECT 'month', extract(month FROM b.at)::int::text, b.product_id, count(*)::int, sum(b.amount)
		FROM pg_temp.onec_bought b WHERE b.product_id IN (SELECT r.product_id FROM recent r)
		GROUP BY 2, b.product_id),
	ranked AS (
		SELECT c.*, c.receipts::numeric / sum(c.receipts) OVER (PARTITION BY c.scope, c.scope_key) AS share,
			   row_number() OVER (PARTITION BY c.scope, c.scope_key ORDER BY c.receipts DESC,
								  c.product_id)::int AS place
		FROM counted c)
	SELECT server, r.scope, r.scope_key, r.product_id, r.receipts, r.amount, round(r.share, 8), r.place
	FROM ranked r WHERE r.scope = 'all' OR r.place <= 100;
END $$;
COMMENT ON FUNCTION onec_internal.collect_bestsellers(name, timestamp) IS
	'Хиты продаж на указанное время (служебная)';

-- Pairs and bestsellers as they were known at a moment, into temporary tables that are named as the lasting
-- ones.
CREATE FUNCTION onec_internal.collect_pairs_and_bestsellers(server name, before timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TEMPORARY TABLE product_pair (LIKE onec.product_pair) ON COMMIT DROP;
	CREATE TEMPORARY TABLE bestseller (LIKE onec.bestseller) ON COMMIT DROP;
	PERFORM onec_internal.collect_bought_goods(server, before);
	PERFORM onec_internal.collect_pairs(server, 'receipt');
	PERFORM onec_internal.collect_pairs(server, 'customer');
	PERFORM onec_internal.collect_bestsellers(server, before);
	DROP TABLE pg_temp.onec_bought, pg_temp.onec_goods;
	ANALYZE pg_temp.product_pair, pg_temp.bestseller;
END $$;
COMMENT ON FUNCTION onec_internal.collect_pairs_and_bestsellers(name, timestamp) IS
	'Пары и хиты продаж на указанное время (служебная)';

CREATE FUNCTION onec.refresh_pairs(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	n bigint;
BEGIN
	PERFORM onec_internal.must_write('refresh_pairs');
	PERFORM onec_internal.collect_pairs_and_bestsellers(srv, coalesce(as_of,
		onec.local_now(srv)::date)::timestamp);
	DELETE FROM onec.product_pair p
	USING pg_temp.product_pair n
	WHERE p.server = srv AND n.product_id = p.product_id AND n.basis = p.basis AND n.other_id = p.other_id
	  AND ROW(p.*) IS DISTINCT FROM ROW(n.*);
	GET DIAGNOSTICS rows_updated = ROW_COUNT;
	DELETE FROM onec.product_pair p
	WHERE p.server = srv AND NOT EXISTS (SELECT FROM pg_temp.product_pair n
		WHERE n.product_id = p.product_id AND n.basis = p.basis AND n.other_id = p.other_id);
	GET DIAGNOSTICS rows_deleted = ROW_COUNT;
	INSERT INTO onec.product_pair
	SELECT n.* FROM pg_temp.product_pair n
	WHERE NOT EXISTS (SELECT FROM onec.product_pair p
		WHERE p.server = srv AND p.product_id = n.product_id AND p.basis = n.basis
		  AND p.other_id = n.other_id);
	GET DIAGNOSTICS rows_inserted = ROW_COUNT;
	rows_inserted := rows_inserted - rows_updated;
	-- the counts of bestsellers change with nearly every receipt, and are few
	DELETE FROM onec.bestseller b
	WHERE b.server = srv AND NOT EXISTS (SELECT FROM pg_temp.bestseller n
		WHERE n.product_id = b.product_id AND n.scope = b.scope AND n.scope_key = b.scope_key
		  AND (n.receipts, n.amount, n.share, n.place) = (b.receipts, b.amount, b.share, b.place));
	INSERT INTO onec.bestseller
	SELECT n.* FROM pg_temp.bestseller n
	WHERE NOT EXISTS (SELECT FROM onec.bestseller b
		WHERE b.server = srv AND b.product_id = n.product_id AND b.scope = n.scope
		  AND b.scope_key = n.scope_key);
	DROP TABLE pg_temp.product_pair, pg_temp.bestseller;
END $$;
COMMENT ON FUNCTION onec.refresh_pairs(name, date) IS
	'Пересчитать пары товаров и хиты продаж по покупкам до даты; неизменившиеся не '
	'записываются; считает строки пар';
REVOKE EXECUTE ON FUNCTION onec.refresh_pairs(name, date) FROM PUBLIC;

-- A product may be a neighbour by receipts and by customers: it is listed once, by the better score.
CREATE FUNCTION onec.similar_items(product uuid, n int DEFAULT 10, server name DEFAULT NULL)
	RETURNS TABLE (product_id uuid, score numeric, name text, basis text, n_ab int, confidence numeric,
				   lift numeric)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH best AS (
		SELECT DISTINCT ON (p.other_id) p.other_id, p.score, p.basis, p.n_ab, p.confidence, p.lift
		FROM onec.product_pair p WHERE p.server = onec_internal.server_meant($3) AND p.product_id = $1
		ORDER BY p.other_id, p.score DESC, p.basis DESC)
	SELECT b.other_id, b.score, g.name, b.basis, b.n_ab, b.confidence, b.lift
	FROM best b LEFT JOIN onec.product g ON g.server = onec_internal.server_meant($3)
		AND g.product_id = b.other_id
	WHERE EXISTS (SELECT FROM onec.bestseller a
				  WHERE a.server = onec_internal.server_meant($3) AND a.scope = 'all'
					AND a.product_id = b.other_id)
	  AND NOT (coalesce(g.is_deleted, false) OR coalesce(g.deletion_mark, false)
			   OR coalesce(g.is_folder, false))
	ORDER BY b.score DESC, b.n_ab DESC, b.other_id LIMIT $2
$$;
COMMENT ON FUNCTION onec.similar_items(uuid, int, name) IS
	'Что покупают вместе с товаром: ближайшие соседи из onec.product_pair, кроме снятых с продажи';

-- What customers bought before a moment, returned or not, each product once; the last of them speak for their
-- taste.
CREATE FUNCTION onec_internal.goods_bought_by(server name, customers uuid[], before timestamp)
	RETURNS TABLE (customer_id uuid, product_id uuid, at timestamp, slug text, consumable boolean,
				   place bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH last AS (
		SELECT l.customer_id, l.product_id, max(l.period) AS at FROM onec_internal.counted_lines($1, $3, $2) l
		WHERE l.amount > 0 AND l.customer_id IS NOT NULL AND l.product_id IS NOT NULL GROUP BY 1, 2)
	SELECT l.customer_id, l.product_id, l.at, coalesce(g.slug, ''), coalesce(g.consumable, false),
		   row_number() OVER (PARTITION BY l.customer_id ORDER BY l.at DESC, l.product_id)
	FROM last l LEFT JOIN onec_internal.goods_by_use($1) g ON g.product_id = l.product_id
	WHERE NOT coalesce(g.excluded, false)
$$;
COMMENT ON FUNCTION onec_internal.goods_bought_by(name, uuid[], timestamp) IS
	'Купленное каждым покупателем, новое впереди (служебная)';

-- Shares of the categories in what a customer buys (doc/definitions.md 9), pulled towards the shop's own
-- shares where there are few receipts: who bought one brooch is no lover of brooches yet.
CREATE FUNCTION onec_internal.category_tastes(server name, customers uuid[], before timestamp, shop jsonb)
	RETURNS TABLE (customer_id uuid, slug text, receipts bigint, share numeric, factor numeric, place bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH limits AS MATERIALIZED (SELECT onec.get('affinity.min_line', $1)::numeric AS min_line,
		onec.get('affinity.half_life_days', $1)::float8 AS half_life,
		onec.get('recommend.category_prior', $1)::numeric AS prior),
	line AS MATERIALIZED (
		SELECT l.customer_id, coalesce(g.slug, '') AS slug, l.receipt_id AS receipt, l.amount > 0 AS sold,
			   round((l.amount::float8 * onec_internal.faded_weight(l.period, $3, m.half_life))::numeric,
					 4) AS weight
		FROM onec_internal.counted_lines($1, $3, $2) l
		LEFT JOIN onec_internal.goods_by_use($1) g ON g.product_id = l.product_id CROSS JOIN limits m
		WHERE l.customer_id IS NOT NULL AND l.product_id IS NOT NULL AND NOT coalesce(g.excluded, false)
		  AND abs(l.amount) >= m.min_line),
	weight AS (
		SELECT l.customer_id, l.slug, greatest(sum(l.weight), 0) AS weight,
			   count(DISTINCT l.receipt) FILTER (WHERE l.sold) AS receipts
		FROM line l GROUP BY 1, 2),
	total AS (
		SELECT w.customer_id, sum(w.weight) AS weight, r.receipts FROM weight w
		JOIN (SELECT l.customer_id, count(DISTINCT l.receipt) FILTER (WHERE l.sold) AS receipts FROM line l
			  GROUP BY 1) r ON r.customer_id = w.customer_id
		GROUP BY 1, 3 HAVING sum(w.weight) > 0),
	mixed AS (
		SELECT t.customer_id, s.key AS slug, w.weight, coalesce(w.receipts, 0) AS receipts,
			   s.value::numeric AS usual,
			   (t.receipts * coalesce(w.weight, 0) / t.weight + m.prior * s.value::numeric)
				   / (t.receipts + m.prior) AS share
		FROM total t CROSS JOIN jsonb_each_text($4) s CROSS JOIN limits m
		LEFT JOIN weight w ON w.customer_id = t.customer_id AND w.slug = s.key)
	SELECT x.customer_id, x.slug, x.receipts, x.share, x.share / x.usual,
		   row_number() OVER (PARTITION BY x.customer_id ORDER BY x.weight DESC NULLS LAST,
							  x.receipts DESC, x.slug)
	FROM mixed x WHERE x.usual > 0
$$;
COMMENT ON FUNCTION onec_internal.category_tastes(name, uuid[], timestamp, jsonb) IS
	'Склонность покупателей к категориям (служебная)';

-- What may be offered: sold of late and not withdrawn.  The schema is onec, or pg_temp for what was known at
-- an earlier moment; marks of today say nothing of that.
CREATE FUNCTION onec_internal.goods_to_offer(server name, source name) RETURNS TABLE (product_id uuid,
	slug text, share numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		SELECT b.product_id, coalesce(g.slug, ''), b.share FROM %I.bestseller b
		LEFT JOIN onec_internal.goods_by_use($1) g ON g.product_id = b.product_id
		WHERE b.server = $1 AND b.scope = 'all' AND NOT coalesce(g.excluded, false)
		  AND ($2 OR NOT coalesce(g.withdrawn, false))$q$, source)
	USING server, source = 'pg_temp';
END $$;
COMMENT ON FUNCTION onec_internal.goods_to_offer(name, name) IS
	'Товары, которые можно предлагать (служебная)';

-- What goes with the last goods bought, the best n for each customer: cut here, because there are hundreds
-- for each.  Scores and weights have six decimals: their products are added up as whole numbers.
CREATE FUNCTION onec_internal.goods_bought_together(server name, customers uuid[], before timestamp,
													shop jsonb, source name, n int)
	RETURNS TABLE (customer_id uuid, product_id uuid, score numeric)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH mine AS MATERIALIZED (SELECT * FROM onec_internal.goods_bought_by($1, $2, $3)),
		recent AS MATERIALIZED (
			SELECT m.customer_id, m.product_id,
				   (round(onec_internal.faded_weight(m.at, $3, $5)::numeric, 6) * 1000000)::bigint AS weight
			FROM mine m WHERE m.place <= $6),
		pair AS MATERIALIZED (
			SELECT p.product_id, p.other_id, (max(p.score) * 1000000)::bigint AS score
			FROM %1$I.product_pair p
			WHERE p.server = $1 AND p.product_id IN (SELECT r.product_id FROM recent r) GROUP BY 1, 2),
		found AS MATERIALIZED (
			SELECT r.customer_id, p.other_id, sum(p.score * r.weight) * 0.000000000001 AS score
			FROM recent r JOIN pair p ON p.product_id = r.product_id GROUP BY 1, 2),
		offered AS MATERIALIZED (SELECT * FROM onec_internal.goods_to_offer($1, %1$L)),
		taste AS MATERIALIZED (SELECT t.customer_id, t.slug, t.factor
							   FROM onec_internal.category_tastes($1, $2, $3, $4) t),
		scored AS (
			SELECT f.customer_id, f.other_id,
				   round((f.score + $7 * o.share) * coalesce(t.factor, 1), 6) AS score
			FROM found f JOIN offered o ON o.product_id = f.other_id
			LEFT JOIN taste t ON t.customer_id = f.customer_id AND t.slug = o.slug
			WHERE NOT EXISTS (SELECT FROM mine m
							  WHERE m.customer_id = f.customer_id AND m.product_id = f.other_id
								AND NOT m.consumable)),
		ranked AS (
			SELECT s.*, row_number() OVER (PARTITION BY s.customer_id ORDER BY s.score DESC,
										   s.other_id) AS place FROM scored s)
		SELECT r.customer_id, r.other_id, r.score FROM ranked r WHERE r.place <= $8$q$, source)
	USING server, customers, before, shop, onec.get('recommend.half_life_days', server)::float8,
		onec.get('recommend.last_products', server)::int,
		onec.get('recommend.popularity', server)::numeric, n;
END $$;
COMMENT ON FUNCTION onec_internal.goods_bought_together(name, uuid[], timestamp, jsonb, name, int) IS
	'Что покупают вместе с купленным (служебная)';

-- For the customers in "short"; "customers" is NULL when they are too many to be looked up one by one.
CREATE FUNCTION onec_internal.bestsellers_instead(server name, customers uuid[], short uuid[],
												  before timestamp, shop jsonb, source name, n int)
	RETURNS TABLE (customer_id uuid, product_id uuid, score numeric, kind int)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
BEGIN
	-- so many places cannot all be taken by what a customer has bought or is offered already
	RETURN QUERY EXECUTE format($q$
		WITH who AS MATERIALIZED (
			SELECT c.id, 3 * $6 + count(b.product_id) AS enough
			FROM unnest($7) c (id)
			LEFT JOIN onec_internal.goods_bought_by($1, $2, $3) b ON b.customer_id = c.id GROUP BY 1),
		visit AS (
			SELECT l.customer_id, l.store_id::text AS store,
				   count(DISTINCT onec_internal.visit_day(l.at)) AS days,
				   max(l.at) AS last
			FROM onec_internal.receipt_lines_till($1, $3, $2) l
			WHERE l.is_purchase AND l.amount >= 0 AND l.customer_id IS NOT NULL AND l.store_id IS NOT NULL
			GROUP BY 1, 2),
		home AS (
			SELECT DISTINCT ON (v.customer_id) v.customer_id, v.store FROM visit v
			ORDER BY v.customer_id, v.days DESC, v.last DESC, v.store),
		favorite AS (
			SELECT t.customer_id, t.slug, t.share FROM onec_internal.category_tastes($1, $2, $3, $4) t
			WHERE t.place <= 5 AND t.receipts >= $5 AND t.slug <> '')
		SELECT w.id, b.product_id, round(f.share * b.share, 6), 2
		FROM who w JOIN favorite f ON f.customer_id = w.id
		JOIN %1$I.bestseller b ON b.server = $1 AND b.scope = 'category' AND b.scope_key = f.slug
			AND b.place <= w.enough
		UNION ALL
		SELECT w.id, b.product_id, round(b.share, 6), 3
		FROM who w JOIN home h ON h.customer_id = w.id
		JOIN %1$I.bestseller b ON b.server = $1 AND b.scope = 'store' AND b.scope_key = h.store
			AND b.place <= w.enough
		UNION ALL
		SELECT w.id, b.product_id, round(b.share, 6), CASE b.scope WHEN 'month' THEN 4 ELSE 5 END
		FROM who w JOIN %1$I.bestseller b ON b.server = $1 AND b.place <= w.enough
		WHERE b.scope = 'all' OR b.scope = 'month'
		  AND b.scope_key = extract(month FROM $3)::int::text$q$, source)
	USING server, customers, before, shop, onec.get('recommend.favorite_receipts', server)::int, n, short;
END $$;
COMMENT ON FUNCTION onec_internal.bestsellers_instead(name, uuid[], uuid[], timestamp, jsonb, name, int) IS
	'Хиты продаж на случай, когда покупок мало (служебная)';

-- The shop's own shares of the categories, by money.
CREATE FUNCTION onec_internal.shop_category_shares(server name, source name) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	shares jsonb;
BEGIN
	EXECUTE format($q$
		SELECT coalesce(jsonb_object_agg(x.slug, x.share), '{}')
		FROM (SELECT coalesce(g.slug, '') AS slug,
					 round(sum(b.amount) / sum(sum(b.amount)) OVER (), 8) AS share
			  FROM %I.bestseller b LEFT JOIN onec_internal.goods_by_use($1) g ON g.product_id = b.product_id
			  WHERE b.server = $1 AND b.scope = 'all' GROUP BY 1) x$q$, source)
	INTO shares USING server;
	RETURN shares;
END $$;
COMMENT ON FUNCTION onec_internal.shop_category_shares(name, name) IS
	'Доли категорий в выручке магазина (служебная)';

-- The best n for each customer: first what goes with their purchases, then one kind of bestseller after the
-- other.
CREATE FUNCTION onec_internal.recommendations(server name, customers uuid[], n int, before timestamp,
											  source name)
	RETURNS TABLE (customer_id uuid, rank int, product_id uuid, score numeric, reason text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	shop jsonb := onec_internal.shop_category_shares(server, source);
BEGIN
	RETURN QUERY EXECUTE format($q$
		WITH bought_all AS MATERIALIZED (SELECT b.customer_id, b.product_id, b.consumable
										 FROM onec_internal.goods_bought_by($1, $2, $3) b),
		bought AS (SELECT a.customer_id, a.product_id FROM bought_all a WHERE NOT a.consumable),
		offered AS MATERIALIZED (SELECT o.product_id FROM onec_internal.goods_to_offer($1, %1$L) o),
		together AS MATERIALIZED (SELECT t.*, 1 AS kind
								  FROM onec_internal.goods_bought_together($1, $2, $3, $4, %1$L, $5) t),
		short AS (
			SELECT array_agg(c.id) AS ids
			FROM (SELECT unnest($2) UNION SELECT a.customer_id FROM bought_all a WHERE $2 IS NULL) c (id)
			WHERE c.id NOT IN (SELECT t.customer_id FROM together t GROUP BY 1 HAVING count(*) >= $5)),
		other AS (
			SELECT f.customer_id, f.product_id, f.score, f.kind
			FROM short s CROSS JOIN LATERAL onec_internal.bestsellers_instead($1, $2, s.ids, $3, $4, %1$L,
				$5) f JOIN offered o ON o.product_id = f.product_id
			WHERE NOT EXISTS (SELECT FROM bought b
							  WHERE b.customer_id = f.customer_id AND b.product_id = f.product_id)),
		once AS (
			SELECT DISTINCT ON (x.customer_id, x.product_id) x.*
			FROM (SELECT * FROM together UNION ALL SELECT * FROM other) x
			ORDER BY x.customer_id, x.product_id, x.kind, x.score DESC),
		ranked AS (
			SELECT c.*, row_number() OVER (PARTITION BY c.customer_id ORDER BY c.kind, c.score DESC,
										   c.product_id)::int AS rank FROM once c)
		SELECT r.customer_id, r.rank, r.product_id, r.score,
			   ('{bought_together,favourite_category,store,season,bestseller}'::text[])[r.kind]
		FROM ranked r WHERE r.rank <= $5$q$, source)
	USING server, customers, before, shop, n;
END $$;
COMMENT ON FUNCTION onec_internal.recommendations(name, uuid[], int, timestamp, name) IS
	'Рекомендации на указанное время (служебная)';

-- Whom a key means: whoever has a profile, and customers who have no card.
CREATE FUNCTION onec_internal.buyer_by_key(key text, INOUT server name, OUT customer uuid)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	u onec.site_user := onec_internal.person_by_key(key, server);
BEGIN
	IF u.user_id IS NOT NULL THEN
		server := u.server;
		customer := coalesce(u.customer_id, u.user_id);
		RETURN;
	END IF;
	server := onec_internal.server_meant(server);
	SELECT l.customer_id INTO customer
	FROM onec_internal.counted_lines(buyer_by_key.server, NULL, ARRAY[onec_internal.reference_uuid(key)]) l
	LIMIT 1;
END $$;
COMMENT ON FUNCTION onec_internal.buyer_by_key(text, name) IS
	'Покупатель по телефону, карте или контрагенту (служебная)';

CREATE FUNCTION onec.recommend(customer text, n int DEFAULT 10, server name DEFAULT NULL,
							   as_of date DEFAULT NULL)
	RETURNS TABLE (rank int, product_id uuid, name text, score numeric, reason text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	-- a visitor without a name has no history; a name that is not known has nothing at all
	SELECT r.rank, r.product_id, p.name, r.score, r.reason
	FROM onec_internal.buyer_by_key($1, CASE WHEN $1 IS NULL THEN onec_internal.server_meant($3)
											 ELSE $3 END) b
	CROSS JOIN LATERAL onec_internal.recommendations(b.server, ARRAY[coalesce(b.customer,
		'00000000-0000-0000-0000-000000000000'::uuid)], $2,
		coalesce($4::timestamp, onec.local_now(b.server)), 'onec') r
	LEFT JOIN onec.product p ON p.server = b.server AND p.product_id = r.product_id
	WHERE $1 IS NULL OR b.customer IS NOT NULL
	ORDER BY r.rank
$$;
COMMENT ON FUNCTION onec.recommend(text, int, name, date) IS
	'Что предложить покупателю (телефон, карта или контрагент; NULL — незнакомому): товары по порядку и '
	'причина: bought_together — '
	'берут вместе с купленным, favourite_category — хит любимой категории, store — хит его магазина, '
	'season — хит этого месяца, '
	'bestseller — хит продаж; оценки сравнимы только внутри одной причины';

CREATE TABLE onec.recommendation_feed (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	product_id uuid NOT NULL,
	rank int NOT NULL,
	score numeric NOT NULL,
	reason text NOT NULL,
	PRIMARY KEY (server, customer_id, product_id)
);
COMMENT ON TABLE onec.recommendation_feed IS
	'Рекомендации всем, кто что-нибудь купил, для сайта и рассылок; обновляет onec.refresh_recommendations';
COMMENT ON COLUMN onec.recommendation_feed.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.recommendation_feed.customer_id IS 'Покупатель';
COMMENT ON COLUMN onec.recommendation_feed.product_id IS 'Товар';
COMMENT ON COLUMN onec.recommendation_feed.rank IS 'Место';
COMMENT ON COLUMN onec.recommendation_feed.score IS 'Оценка; сравнима только внутри одной причины';
COMMENT ON COLUMN onec.recommendation_feed.reason IS
	'Причина: bought_together, favourite_category, store, season, bestseller';
SELECT pg_catalog.pg_extension_config_dump('onec.recommendation_feed', '');

CREATE FUNCTION onec.refresh_recommendations(server name DEFAULT NULL, as_of date DEFAULT NULL,
											 OUT rows_inserted bigint, OUT rows_updated bigint,
											 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
BEGIN
	PERFORM onec_internal.must_write('refresh_recommendations');
	PERFORM onec_internal.lock_people(srv, false);
	CREATE TEMPORARY TABLE onec_feed ON COMMIT DROP AS
		SELECT srv AS server, r.customer_id, r.product_id, r.rank, r.score, r.reason
		FROM onec_internal.recommendations(srv, NULL, onec.get('recommend.feed_size', srv)::int,
										   coalesce(as_of, onec.local_now(srv)::date)::timestamp, 'onec') r;
	ANALYZE pg_temp.onec_feed;
	DELETE FROM onec.recommendation_feed f
	USING pg_temp.onec_feed n
	WHERE f.server = srv AND n.customer_id = f.customer_id AND n.product_id = f.product_id
	  AND ROW(f.*) IS DISTINCT FROM ROW(n.*);
	GET DIAGNOSTICS rows_updated = ROW_COUNT;
	DELETE FROM onec.recommendation_feed f
	WHERE f.server = srv AND NOT EXISTS (SELECT FROM pg_temp.onec_feed n
										 WHERE n.customer_id = f.customer_id AND n.product_id = f.product_id);
	GET DIAGNOSTICS rows_deleted = ROW_COUNT;
	INSERT INTO onec.recommendation_feed
	SELECT n.* FROM pg_temp.onec_feed n
	WHERE NOT EXISTS (SELECT FROM onec.recommendation_feed f
		WHERE f.server = srv AND f.customer_id = n.customer_id AND f.product_id = n.product_id);
	GET DIAGNOSTICS rows_inserted = ROW_COUNT;
	rows_inserted := rows_inserted - rows_updated;
	DROP TABLE pg_temp.onec_feed;
END $$;
COMMENT ON FUNCTION onec.refresh_recommendations(name, date) IS
	'Обновить recommendation_feed по покупкам до даты; неизменившиеся строки не записываются; '
	'сначала нужен onec.refresh_pairs';
REVOKE EXECUTE ON FUNCTION onec.refresh_recommendations(name, date) FROM PUBLIC;
