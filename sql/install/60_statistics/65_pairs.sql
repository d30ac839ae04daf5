-- What is bought together: pairs of goods; and bestsellers.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('pairs.shrink', 'numeric', '5', NULL, 0, 1000000,
	 'Насколько не доверять редким парам: оценка пары умножается на n/(n+это число)'),
	('pairs.min_together', 'int', '3', NULL, 1, 1000000000, 'Пары, купленные вместе реже, не учитывать'),
	('pairs.top', 'int', '50', NULL, 1, 10000, 'Сколько соседей хранить для каждого товара'),
	('pairs.exclude_receipt_types', 'text[]', '{Document_ОтчетОРозничныхПродажах}', NULL, NULL, NULL,
	 'Документы, в которых много чеков: что в одном таком документе, куплено не вместе'),
	('pairs.max_basket', 'int', '100', NULL, 2, 1000000,
	 'Чеки и покупатели с большим числом разных товаров (опт) в парах не участвуют'),
	('recommend.active_days', 'int', '365', NULL, 1, 36500,
	 'Товары, не продававшиеся столько дней, не рекомендовать; за столько же дней считаются хиты продаж');

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
