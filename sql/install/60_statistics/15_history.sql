-- One pass over the lines of each customer: what profiles, tastes, seasons, the next purchase, RFM and models
-- are made of.  C folds the lines (src/sql/history.c); which they are, what a purchase and a visit is and how
-- weight fades comes from the facts.

-- How products and stores are called, for the fold: numbers of words, and the words.  Products, stores and
-- numbers ascend.
CREATE TYPE onec_internal.taste_book AS (
	products uuid[],
	category_of int[],
	brand_of int[],
	stores uuid[],
	store_of int[],
	words int[],
	"values" text[],
	titles text[]
);
COMMENT ON TYPE onec_internal.taste_book IS
	'Как называются товары и магазины: номера слов по товарам, сами слова (служебный)';

CREATE TYPE onec_internal.history AS (
	receipts int,
	sale_net numeric,
	repeat_net numeric,
	median_check numeric,
	first_at timestamp,
	last_at timestamp,
	visits int,
	first_day date,
	last_day date,
	low_gap numeric,
	median_gap numeric,
	high_gap numeric,
	march boolean,
	new_year boolean,
	valentine boolean,
	span_receipts int,
	recent_receipts int,
	recent_visits int,
	months numeric[],
	span_months numeric[],
	words int[],
	weights numeric[],
	word_receipts int[],
	lasts timestamp[],
	found int[],
	totals numeric[],
	diversity numeric[],
	favorite_categories text[],
	favorite_brands text[],
	favorite_stores text[]
);
COMMENT ON TYPE onec_internal.history IS
	'История покупателя: чеки, визиты, промежутки, месяцы, предпочтения (служебный). Предпочтения — сначала '
	'категории, потом марки, потом магазины, лучшие вперёд; found — сколько каких, totals — вес любимых';

CREATE FUNCTION onec_internal.history_line(state internal, receipt uuid, at timestamp, day date,
										   is_purchase boolean, period timestamp, amount numeric,
										   weight numeric, product uuid, store uuid, since timestamp,
										   till timestamp, recent timestamp,
										   book onec_internal.taste_book) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_history_line';
COMMENT ON FUNCTION onec_internal.history_line(internal, uuid, timestamp, date, boolean, timestamp, numeric,
											   numeric, uuid, uuid, timestamp, timestamp, timestamp,
											   onec_internal.taste_book) IS 'Часть history (служебная)';

CREATE FUNCTION onec_internal.history_end(state internal) RETURNS onec_internal.history
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_history_end';
COMMENT ON FUNCTION onec_internal.history_end(internal) IS 'Часть history (служебная)';

-- A line, with the time, the day and the kind of its receipt; its weight for tastes, or none; the months seen
-- whole (since, till), the window of RFM.
CREATE AGGREGATE onec_internal.history(receipt uuid, at timestamp, day date, is_purchase boolean,
									   period timestamp, amount numeric, weight numeric, product uuid,
									   store uuid, since timestamp, till timestamp, recent timestamp,
									   book onec_internal.taste_book) (
	SFUNC = onec_internal.history_line, STYPE = internal, SSPACE = 16384,
	FINALFUNC = onec_internal.history_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE onec_internal.history(uuid, timestamp, date, boolean, timestamp, numeric, numeric, uuid,
										   uuid, timestamp, timestamp, timestamp, onec_internal.taste_book) IS
	'Строки одного покупателя — в его историю (служебная)';

-- The words that are kept of tastes, with their shares in all of the shop's customers.
CREATE TABLE onec_internal.taste_word (
	server name NOT NULL,
	kind text NOT NULL,
	value_id text NOT NULL,
	no int NOT NULL,
	title text NOT NULL,
	share numeric,
	PRIMARY KEY (server, kind, value_id),
	UNIQUE (server, no)
);
COMMENT ON TABLE onec_internal.taste_word IS 'Чем бывают предпочтения: категории, марки, магазины';
COMMENT ON COLUMN onec_internal.taste_word.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.taste_word.kind IS 'category — категория, brand — марка, store — магазин';
COMMENT ON COLUMN onec_internal.taste_word.value_id IS 'Обозначение категории или марки, ссылка на магазин';
COMMENT ON COLUMN onec_internal.taste_word.no IS 'Номер: под ним слово стоит в customer_taste';
COMMENT ON COLUMN onec_internal.taste_word.title IS 'По-русски';
COMMENT ON COLUMN onec_internal.taste_word.share IS 'Доля у всех известных покупателей';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.taste_word', '');

-- What some customers bought, and where; of all customers only the stores, since all products are wanted.
CREATE FUNCTION onec_internal.goods_and_stores(server name, as_of date, customers uuid[],
											   OUT products uuid[], OUT stores uuid[])
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
	IF customers IS NOT NULL THEN
		products := ARRAY(SELECT DISTINCT l.product_id
						  FROM onec_internal.counted_lines(server, as_of + 1, customers) l
						  WHERE l.product_id IS NOT NULL);
	END IF;
	stores := ARRAY(SELECT DISTINCT l.store_id
					FROM onec_internal.counted_lines(server, as_of + 1, customers) l
					WHERE l.store_id IS NOT NULL);
END $$;
COMMENT ON FUNCTION onec_internal.goods_and_stores(name, date, uuid[]) IS
	'Что и где покупали: товары названных покупателей, магазины (служебная)';

-- The words of tastes, with numbers: those that are kept, or numbers for this query alone.
CREATE FUNCTION onec_internal.taste_words(server name, products uuid[], stores uuid[], kept boolean)
	RETURNS TABLE (kind text, value_id text, no int, title text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT w.kind, w.value_id, w.no, w.title FROM onec_internal.taste_word w WHERE $4 AND w.server = $1
		UNION ALL
		SELECT x.kind, x.value_id, (row_number() OVER (ORDER BY x.kind, x.value_id COLLATE "C"))::int, x.title
		FROM (SELECT t.kind, t.value_id, min(t.title) AS title FROM onec_internal.product_tags($1, $2) t
			  WHERE NOT $4 GROUP BY 1, 2
			  UNION ALL
			  SELECT 'store', i.id::text, coalesce(s.name, i.id::text)
			  FROM unnest($3) i (id) LEFT JOIN onec.store s ON s.server = $1 AND s.store_id = i.id
			  WHERE NOT $4) x;
END $$;
COMMENT ON FUNCTION onec_internal.taste_words(name, uuid[], uuid[], boolean) IS
	'Чем бывают предпочтения: категории, марки, магазины (служебная)';

-- Keep the words that are new, and the titles that are other.
CREATE FUNCTION onec_internal.keep_taste_words(server name, products uuid[], stores uuid[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	WITH said AS MATERIALIZED (SELECT * FROM onec_internal.taste_words(server, products, stores, false)),
	renamed AS (
		UPDATE onec_internal.taste_word w SET title = s.title FROM said s
		WHERE w.server = keep_taste_words.server AND w.kind = s.kind AND w.value_id = s.value_id
		  AND w.title <> s.title)
	INSERT INTO onec_internal.taste_word (server, kind, value_id, no, title)
	SELECT keep_taste_words.server, s.kind, s.value_id,
		   (SELECT coalesce(max(w.no), 0) FROM onec_internal.taste_word w
			WHERE w.server = keep_taste_words.server)
			   + row_number() OVER (ORDER BY s.kind, s.value_id COLLATE "C"), s.title FROM said s
	WHERE NOT EXISTS (SELECT FROM onec_internal.taste_word w
					  WHERE w.server = keep_taste_words.server AND w.kind = s.kind
						AND w.value_id = s.value_id)
	ON CONFLICT DO NOTHING;
END $$;
COMMENT ON FUNCTION onec_internal.keep_taste_words(name, uuid[], uuid[]) IS
	'Запомнить слова предпочтений (служебная)';

CREATE FUNCTION onec_internal.taste_book_of(server name, products uuid[], stores uuid[], kinds text[],
											kept boolean) RETURNS onec_internal.taste_book
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH word AS MATERIALIZED (
			SELECT w.* FROM onec_internal.taste_words($1, $2, $3, $5) w
			WHERE (w.kind = ANY ($4)) IS NOT FALSE),
		product AS MATERIALIZED (
			SELECT t.product_id, coalesce(min(w.no) FILTER (WHERE t.kind = 'category'), 0) AS category,
				   coalesce(min(w.no) FILTER (WHERE t.kind = 'brand'), 0) AS brand
			FROM onec_internal.product_tags($1, $2) t
			JOIN word w ON w.kind = t.kind AND w.value_id = t.value_id GROUP BY 1)
		SELECT ROW(ARRAY(SELECT p.product_id FROM product p ORDER BY p.product_id),
				   ARRAY(SELECT p.category FROM product p ORDER BY p.product_id),
				   ARRAY(SELECT p.brand FROM product p ORDER BY p.product_id),
				   ARRAY(SELECT w.value_id::uuid FROM word w WHERE w.kind = 'store'
						 ORDER BY w.value_id::uuid),
				   ARRAY(SELECT w.no FROM word w WHERE w.kind = 'store' ORDER BY w.value_id::uuid),
				   ARRAY(SELECT w.no FROM word w ORDER BY w.no),
				   ARRAY(SELECT w.value_id FROM word w ORDER BY w.no),
				   ARRAY(SELECT w.title FROM word w ORDER BY w.no))::onec_internal.taste_book);
END $$;
COMMENT ON FUNCTION onec_internal.taste_book_of(name, uuid[], uuid[], text[], boolean) IS
	'Слова предпочтений для history: всех видов или названных (служебная)';

-- Customers with lines (all, or those named), as of the end of a day, with tastes in the words of a book.
-- "season" says which months were seen whole.  Weights are of whole days and rounded line by line, so that a
-- sum does not depend on the order of its terms.
--
-- The memory is for the one sort; loops are off because the planner takes what functions return for a few
-- rows, and they are all customers; where it then reckons with so much, each query would be compiled: no jit.
CREATE FUNCTION onec_internal.customer_histories(server name, as_of date, customers uuid[],
												 book onec_internal.taste_book, season jsonb)
	RETURNS TABLE (customer_id uuid, lines int, net numeric, gross numeric, returned numeric, items numeric,
				   recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_nestloop = off SET enable_hashagg = off SET jit = off SET work_mem = '64MB'
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH given AS MATERIALIZED (
			SELECT onec.get('affinity.min_line', $1)::numeric AS min_line,
				   onec.get('affinity.half_life_days', $1)::float8 AS half_life,
				   onec_internal.start_of_last_days($2, onec.get('rfm.window', $1)::int) AS recent)
		SELECT l.customer_id, count(*)::int, sum(l.amount),
			   coalesce(sum(l.amount) FILTER (WHERE l.amount > 0), 0),
			   coalesce(sum(l.amount) FILTER (WHERE l.amount < 0), 0), sum(l.quantity),
			   coalesce(sum(l.amount) FILTER (WHERE l.period >= (SELECT g.recent FROM given g)), 0),
			   onec_internal.history(
				   l.receipt_id, l.at, onec_internal.visit_day(l.at), l.is_purchase, l.period, l.amount,
				   CASE WHEN abs(l.amount) >= (SELECT g.min_line FROM given g)
						THEN round((l.amount::float8 * onec_internal.faded_weight(
							l.period::date, $2, (SELECT g.half_life FROM given g)))::numeric, 6) END,
				   l.product_id, l.store_id, ($5 ->> 'from')::timestamp, ($5 ->> 'till')::timestamp,
				   (SELECT g.recent FROM given g), $4)
		FROM onec_internal.receipt_lines_till($1, $2 + 1, $3) l WHERE l.customer_id IS NOT NULL
		GROUP BY l.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.customer_histories(name, date, uuid[], onec_internal.taste_book, jsonb) IS
	'Истории покупателей (всех или названных) на конец дня (служебная)';

-- The same by itself: words are numbered for this query.
CREATE FUNCTION onec_internal.histories(server name, as_of date, customers uuid[], kinds text[], season jsonb)
	RETURNS TABLE (customer_id uuid, lines int, net numeric, gross numeric, returned numeric, items numeric,
				   recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH word AS MATERIALIZED (
			SELECT onec_internal.taste_book_of($1, g.products, g.stores, $4, false) AS book
			FROM onec_internal.goods_and_stores($1, $2, $3) g)
		SELECT x.* FROM word w CROSS JOIN LATERAL onec_internal.customer_histories($1, $2, $3, w.book, $5) x;
END $$;
COMMENT ON FUNCTION onec_internal.histories(name, date, uuid[], text[], jsonb) IS
	'Истории покупателей на конец дня, с предпочтениями всех видов или названных (служебная)';

-- Histories without tastes, which follow from receipts alone: for all customers of the kept ones.  What was
-- sold and what came back in a part of a receipt stand for its lines.
CREATE FUNCTION onec_internal.visit_histories(server name, as_of date, customers uuid[], season jsonb)
	RETURNS TABLE (customer_id uuid, recent_net numeric, h onec_internal.history)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_generic_plan
	SET enable_nestloop = off SET enable_hashagg = off SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
	recent timestamp := onec_internal.start_of_last_days(as_of, onec.get('rfm.window', server)::int);
	since timestamp := season ->> 'from';
	till timestamp := season ->> 'till';
	no_words onec_internal.taste_book := ROW('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
BEGIN
	IF customers IS NOT NULL THEN
		RETURN QUERY SELECT x.customer_id, x.recent_net, x.h
			FROM onec_internal.histories(server, as_of, customers, '{}', season) x;
		RETURN;
	END IF;
	RETURN QUERY
		SELECT l.customer_id, coalesce(sum(l.amount) FILTER (WHERE l.period >= recent), 0),
			   onec_internal.history(l.receipt_id, l.at, onec_internal.visit_day(l.at), l.is_purchase,
									 l.period, l.amount, NULL, NULL, NULL, since, till, recent, no_words)
		FROM (SELECT p.customer_id, p.receipt_id, p.at, p.is_purchase, p.period,
					 coalesce(p.gross, p.returned, 0) AS amount
			  FROM onec_internal.kept_parts(server, (as_of + 1)::timestamp) p
			  UNION ALL
			  SELECT p.customer_id, p.receipt_id, p.at, p.is_purchase, p.period, p.returned
			  FROM onec_internal.kept_parts(server, (as_of + 1)::timestamp) p
			  WHERE p.gross IS NOT NULL AND p.returned IS NOT NULL) l
		WHERE l.customer_id IS NOT NULL GROUP BY l.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.visit_histories(name, date, uuid[], jsonb) IS
	'Истории покупателей (всех или названных) без предпочтений (служебная)';
