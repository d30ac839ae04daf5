-- What to offer whom: what goes with a customer's purchases, bestsellers to fall back on, reasons.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('recommend.half_life_days', 'numeric', '180', NULL, 0.01, NULL,
	 'За сколько дней вес купленного товара в рекомендациях падает вдвое'),
	('recommend.last_products', 'int', '20', NULL, 1, 1000,
	 'По скольким последним товарам покупателя рекомендовать'),
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

-- ---- what customers like ----

-- What customers bought before a moment, returned or not, each product once; the last of them speak for their
-- taste.  "products": all that these customers bought, or NULL.
CREATE FUNCTION onec_internal.goods_bought_by(server name, customers uuid[], before timestamp,
											  products uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, product_id uuid, at timestamp, slug text, consumable boolean,
				   place bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH last AS (
			SELECT l.customer_id, l.product_id, max(l.period) AS at
			FROM onec_internal.counted_lines($1, $3, $2) l
			WHERE l.amount > 0 AND l.customer_id IS NOT NULL AND l.product_id IS NOT NULL GROUP BY 1, 2)
		SELECT l.customer_id, l.product_id, l.at, coalesce(g.slug, ''), coalesce(g.consumable, false),
			   row_number() OVER (PARTITION BY l.customer_id ORDER BY l.at DESC, l.product_id)
		FROM last l LEFT JOIN onec_internal.goods_by_use($1, $4) g ON g.product_id = l.product_id
		WHERE NOT coalesce(g.excluded, false);
	END;
COMMENT ON FUNCTION onec_internal.goods_bought_by(name, uuid[], timestamp, uuid[]) IS
	'Купленное каждым покупателем, новое впереди (служебная)';

-- The shop's shares of the categories that it has any of, numbered.
CREATE FUNCTION onec_internal.numbered_shares(shop jsonb) RETURNS TABLE (slug text, no int, share numeric)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT s.key, (row_number() OVER (ORDER BY s.key COLLATE "C"))::int, s.value::numeric
		FROM jsonb_each_text($1) s WHERE s.value::numeric > 0;
	END;
COMMENT ON FUNCTION onec_internal.numbered_shares(jsonb) IS 'Доли категорий с номерами (служебная)';

-- Shares of the categories in what a customer buys (doc/definitions.md 9), pulled towards the shop's own
-- shares where there are few receipts: who bought one brooch is no lover of brooches yet.
CREATE FUNCTION onec_internal.category_tastes(server name, customers uuid[], before timestamp, shop jsonb,
											  products uuid[] DEFAULT NULL)
	RETURNS TABLE (customer_id uuid, slug text, receipts bigint, share numeric, factor numeric, place bigint)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH limits AS MATERIALIZED (SELECT onec.get('affinity.min_line', $1)::numeric AS min_line,
			onec.get('affinity.half_life_days', $1)::float8 AS half_life,
			onec.get('recommend.category_prior', $1)::numeric AS prior),
		-- a line each would be sorted for each count
		part AS MATERIALIZED (
			SELECT l.customer_id, l.receipt_id, coalesce(g.slug, '') AS slug, bool_or(l.amount > 0) AS sold,
				   sum(round((l.amount::float8
							  * onec_internal.faded_weight(l.period, $3, m.half_life))::numeric, 4)) AS weight
			FROM onec_internal.counted_lines($1, $3, $2) l
			LEFT JOIN onec_internal.goods_by_use($1, $5) g ON g.product_id = l.product_id
			CROSS JOIN limits m
			WHERE l.customer_id IS NOT NULL AND l.product_id IS NOT NULL AND NOT coalesce(g.excluded, false)
			  AND abs(l.amount) >= m.min_line
			GROUP BY 1, 2, 3),
		weight AS (
			SELECT p.customer_id, p.slug, greatest(sum(p.weight), 0) AS weight,
				   count(*) FILTER (WHERE p.sold) AS receipts
			FROM part p GROUP BY 1, 2),
		total AS (
			SELECT w.customer_id, sum(w.weight) AS weight, r.receipts FROM weight w
			JOIN (SELECT x.customer_id, count(*) FILTER (WHERE x.sold) AS receipts
				  FROM (SELECT p.customer_id, p.receipt_id, bool_or(p.sold) AS sold FROM part p
						GROUP BY 1, 2) x GROUP BY 1) r ON r.customer_id = w.customer_id
			GROUP BY 1, 3 HAVING sum(w.weight) > 0),
		mixed AS (
			SELECT t.customer_id, s.slug, w.weight, coalesce(w.receipts, 0) AS receipts, s.share AS usual,
				   (t.receipts * coalesce(w.weight, 0) / t.weight + m.prior * s.share)
					   / (t.receipts + m.prior) AS share
			FROM total t CROSS JOIN onec_internal.numbered_shares($4) s CROSS JOIN limits m
			LEFT JOIN weight w ON w.customer_id = t.customer_id AND w.slug = s.slug)
		SELECT x.customer_id, x.slug, x.receipts, x.share, x.share / x.usual,
			   row_number() OVER (PARTITION BY x.customer_id ORDER BY x.weight DESC NULLS LAST,
								  x.receipts DESC, x.slug)
		FROM mixed x;
	END;
COMMENT ON FUNCTION onec_internal.category_tastes(name, uuid[], timestamp, jsonb, uuid[]) IS
	'Склонность покупателей к категориям (служебная)';

-- Customers who bought something, as the fold wants them: how many goods; the last ones, with what each
-- weighs in millionths; those not offered again; what tastes multiply by, by number of category.
CREATE FUNCTION onec_internal.buyers(server name, customers uuid[], before timestamp, shop jsonb)
	RETURNS TABLE (customer_id uuid, goods int, last uuid[], weights bigint[], barred uuid[],
				   factors numeric[])
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	half_life float8 := onec.get('recommend.half_life_days', server);
	places int := onec.get('recommend.last_products', server);
	products uuid[];
BEGIN
	IF customers IS NOT NULL THEN
		products := ARRAY(SELECT DISTINCT l.product_id
						  FROM onec_internal.counted_lines(server, before, customers) l
						  WHERE l.product_id IS NOT NULL);
	END IF;
	RETURN QUERY
		WITH bought AS (
			SELECT m.customer_id, count(*)::int AS goods,
				   array_agg(m.product_id ORDER BY m.place) FILTER (WHERE m.place <= places) AS last,
				   array_agg((round(onec_internal.faded_weight(m.at, before, half_life)::numeric, 6)
							  * 1000000)::bigint ORDER BY m.place)
					   FILTER (WHERE m.place <= places) AS weights,
				   array_agg(m.product_id) FILTER (WHERE NOT m.consumable) AS barred
			FROM onec_internal.goods_bought_by(server, customers, before, products) m GROUP BY 1),
		taste AS (
			SELECT t.customer_id, array_agg(t.factor ORDER BY t.slug COLLATE "C") AS factors
			FROM onec_internal.category_tastes(server, customers, before, shop, products) t GROUP BY 1)
		SELECT b.customer_id, b.goods, b.last, b.weights, b.barred, t.factors
		FROM bought b LEFT JOIN taste t ON t.customer_id = b.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.buyers(name, uuid[], timestamp, jsonb) IS
	'Покупатели с купленным и склонностями, по строке на каждого (служебная)';

-- ---- what to offer ----

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

-- What goes with which goods, for the fold: goods in order of their identifiers, each with its share in sales
-- (in hundred-millionths; below 0: not offered) and the number of its category; pairs as places of goods from
-- 1, with scores in millionths.
CREATE TYPE onec_internal.offer_book AS (
	goods uuid[],
	shares bigint[],
	categories int[],
	pair_of int[],
	pair_with int[],
	scores bigint[]
);
COMMENT ON TYPE onec_internal.offer_book IS 'Что покупают вместе с чем, для best_offers (служебный)';

CREATE TYPE onec_internal.offers AS (goods uuid[], scores numeric[]);
COMMENT ON TYPE onec_internal.offers IS 'Предложения покупателю, лучшие впереди (служебный)';

-- The best n that go with some goods: round((sum of score * weight + popularity * share) * factor, 6), by
-- identifier where equal.
CREATE FUNCTION onec_internal.best_offers(book onec_internal.offer_book, last uuid[], weights bigint[],
										  barred uuid[], factors numeric[], popularity numeric, n int)
	RETURNS onec_internal.offers
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_best_offers';
COMMENT ON FUNCTION onec_internal.best_offers(onec_internal.offer_book, uuid[], bigint[], uuid[], numeric[],
											  numeric, int) IS
	'Что лучше всего идёт к купленному (служебная)';

-- Pairs of these goods, or of all.
CREATE FUNCTION onec_internal.offer_book_of(server name, bought uuid[], shop jsonb,
											source name) RETURNS onec_internal.offer_book
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	book onec_internal.offer_book;
BEGIN
	EXECUTE format($q$
		WITH pair AS MATERIALIZED (
			SELECT p.product_id, p.other_id, (max(p.score) * 1000000)::bigint AS score
			FROM %1$I.product_pair p
			WHERE p.server = $1 AND ($2 IS NULL OR p.product_id = ANY ($2)) GROUP BY 1, 2),
		good AS MATERIALIZED (
			SELECT x.id, row_number() OVER (ORDER BY x.id)::int AS no,
				   coalesce((o.share * 100000000)::bigint, -1) AS share, coalesce(s.no, 0) AS category
			FROM (SELECT p.product_id AS id FROM pair p UNION SELECT p.other_id FROM pair p) x
			LEFT JOIN onec_internal.goods_to_offer($1, %1$L) o ON o.product_id = x.id
			LEFT JOIN onec_internal.numbered_shares($3) s ON s.slug = o.slug),
		numbered AS MATERIALIZED (
			SELECT a.no AS one, b.no AS other, p.score
			FROM pair p JOIN good a ON a.id = p.product_id JOIN good b ON b.id = p.other_id
			WHERE b.share >= 0)
		SELECT ARRAY(SELECT g.id FROM good g ORDER BY g.no), ARRAY(SELECT g.share FROM good g ORDER BY g.no),
			   ARRAY(SELECT g.category FROM good g ORDER BY g.no),
			   ARRAY(SELECT n.one FROM numbered n ORDER BY n.one, n.other),
			   ARRAY(SELECT n.other FROM numbered n ORDER BY n.one, n.other),
			   ARRAY(SELECT n.score FROM numbered n ORDER BY n.one, n.other)$q$, source)
	INTO book USING server, bought, shop;
	RETURN book;
END $$;
COMMENT ON FUNCTION onec_internal.offer_book_of(name, uuid[], jsonb, name) IS
	'Что покупают вместе с этими товарами, или со всеми (служебная)';

-- For the customers in "short", who have bought so many goods; "customers" is NULL when they are too many to
-- be looked up one by one.
CREATE FUNCTION onec_internal.bestsellers_instead(server name, customers uuid[], short uuid[], bought int[],
												  before timestamp, shop jsonb, source name, n int)
	RETURNS TABLE (customer_id uuid, product_id uuid, score numeric, kind int)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB'
AS $$
BEGIN
	IF short IS NULL THEN
		RETURN;
	END IF;
	-- so many places cannot all be taken by what a customer has bought or is offered already
	RETURN QUERY EXECUTE format($q$
		WITH who AS MATERIALIZED (
			SELECT c.id, 3 * $6 + c.bought AS enough FROM unnest($7, $8) c (id, bought)),
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
			WHERE t.place <= 5 AND t.receipts >= $5 AND t.slug <> ''),
		best AS (
			SELECT w.id, b.product_id, round(f.share * b.share, 6) AS score, 2 AS kind
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
			  AND b.scope_key = extract(month FROM $3)::int::text)
		SELECT b.* FROM best b
		JOIN onec_internal.goods_to_offer($1, %1$L) o ON o.product_id = b.product_id$q$, source)
	USING server, customers, before, shop, onec.get('recommend.favorite_receipts', server)::int, n, short,
		bought;
END $$;
COMMENT ON FUNCTION onec_internal.bestsellers_instead(name, uuid[], uuid[], int[], timestamp, jsonb, name,
													  int) IS
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
	SET jit = off SET work_mem = '64MB' SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	popularity numeric := onec.get('recommend.popularity', server);
	shop jsonb := onec_internal.shop_category_shares(server, source);
BEGIN
	RETURN QUERY
		WITH buyer AS MATERIALIZED (SELECT b.* FROM onec_internal.buyers(server, customers, before, shop) b),
		book AS MATERIALIZED (
			SELECT onec_internal.offer_book_of(
				server, CASE WHEN customers IS NOT NULL THEN ARRAY(SELECT unnest(b.last) FROM buyer b) END,
				shop, source) AS it),
		together AS MATERIALIZED (
			SELECT b.customer_id, u.product_id, u.score, 1 AS kind
			FROM buyer b CROSS JOIN LATERAL onec_internal.best_offers(
				(SELECT k.it FROM book k), b.last, b.weights, b.barred, b.factors, popularity, n) o
			CROSS JOIN LATERAL unnest(o.goods, o.scores) u (product_id, score)),
		short AS MATERIALIZED (
			SELECT c.id, coalesce(b.goods, 0) AS goods, coalesce(b.barred, '{}') AS barred
			FROM (SELECT unnest(customers) AS id UNION SELECT b.customer_id FROM buyer b) c
			LEFT JOIN buyer b ON b.customer_id = c.id
			WHERE c.id NOT IN (SELECT t.customer_id FROM together t GROUP BY 1 HAVING count(*) >= n)),
		other AS (
			SELECT f.customer_id, f.product_id, f.score, f.kind
			FROM (SELECT array_agg(s.id) AS ids, array_agg(s.goods) AS goods FROM short s) a
			CROSS JOIN LATERAL onec_internal.bestsellers_instead(
				server, onec_internal.some_or_all(a.ids, (SELECT count(*) FROM buyer)), a.ids, a.goods,
				before, shop, source, n) f
			JOIN short s ON s.id = f.customer_id WHERE f.product_id <> ALL (s.barred)),
		once AS (
			SELECT DISTINCT ON (x.customer_id, x.product_id) x.*
			FROM (SELECT * FROM together UNION ALL SELECT * FROM other) x
			ORDER BY x.customer_id, x.product_id, x.kind, x.score DESC),
		ranked AS (
			SELECT c.*, row_number() OVER (PARTITION BY c.customer_id ORDER BY c.kind, c.score DESC,
										   c.product_id)::int AS rank FROM once c)
		SELECT r.customer_id, r.rank, r.product_id, r.score,
			   ('{bought_together,favourite_category,store,season,bestseller}'::text[])[r.kind]
		FROM ranked r WHERE r.rank <= n;
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
