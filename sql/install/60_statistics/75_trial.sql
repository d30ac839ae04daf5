-- Recommendations tried on the past: would they have offered what was bought then?

-- What can be said honestly of customers for whom only one of two ways hit (McNemar's test): below 1.96
-- standard errors the difference may be chance.
CREATE FUNCTION onec_internal.comparison_verdict(customers int, better int, worse int) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN customers < 30 THEN 'too few customers to compare with'
		WHEN better + worse < 10 OR abs(better - worse) < 1.96 * sqrt(better + worse) THEN 'no different from'
		WHEN better > worse THEN 'better than'
		ELSE 'worse than'
	END;
COMMENT ON FUNCTION onec_internal.comparison_verdict(int, int, int) IS
	'Вывод из сравнения двух способов (служебная)';

-- What is compared, as it would have been offered on the day: recommendations, the same ten bestsellers for
-- everyone, and bestsellers without what the customer has.  The last is the harder one: much of a hit rate
-- comes from leaving goods out.
CREATE FUNCTION onec_internal.collect_trial_offers(server name, cut timestamp) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.collect_pairs_and_bestsellers(server, cut);
	RAISE NOTICE 'pairs and bestsellers of the time before are counted';
	CREATE TEMPORARY TABLE onec_known
		ON COMMIT DROP AS SELECT * FROM onec_internal.goods_bought_by(server, NULL, cut);
	CREATE TEMPORARY TABLE onec_later ON COMMIT DROP AS
		SELECT l.customer_id, l.product_id
		FROM onec_internal.counted_lines(collect_trial_offers.server, NULL, NULL) l
		WHERE l.period >= cut AND l.amount > 0 AND l.product_id IS NOT NULL
		  AND l.customer_id IN (SELECT k.customer_id FROM pg_temp.onec_known k)
		  AND NOT EXISTS (SELECT FROM onec_internal.goods_by_use(collect_trial_offers.server) g
						  WHERE g.product_id = l.product_id AND g.excluded)
		EXCEPT SELECT k.customer_id, k.product_id FROM pg_temp.onec_known k WHERE NOT k.consumable;
	CREATE TEMPORARY TABLE onec_offer ON COMMIT DROP AS
		SELECT 'recommended' AS way, r.customer_id, r.product_id
		FROM onec_internal.recommendations(server, NULL, 10, cut, 'pg_temp') r;
	ANALYZE pg_temp.onec_known, pg_temp.onec_later;
	RAISE NOTICE 'recommendations of that day are made';
	INSERT INTO pg_temp.onec_offer
	WITH who AS (SELECT k.customer_id, count(*) AS n FROM pg_temp.onec_known k
				 WHERE k.customer_id IN (SELECT l.customer_id FROM pg_temp.onec_later l) GROUP BY 1)
	SELECT 'bestsellers', w.customer_id, b.product_id FROM who w
	JOIN pg_temp.bestseller b ON b.scope = 'all' AND b.place <= 10
	UNION ALL
	SELECT 'new bestsellers', x.customer_id, x.product_id
	FROM (SELECT w.customer_id, b.product_id,
				 row_number() OVER (PARTITION BY w.customer_id ORDER BY b.place) AS place
		  FROM who w JOIN pg_temp.bestseller b ON b.scope = 'all' AND b.place <= w.n + 10
		  WHERE NOT EXISTS (SELECT FROM pg_temp.onec_known o
			  WHERE o.customer_id = w.customer_id AND o.product_id = b.product_id AND NOT o.consumable)) x
	WHERE x.place <= 10;
	DROP TABLE pg_temp.product_pair, pg_temp.bestseller, pg_temp.onec_known;
	ANALYZE pg_temp.onec_offer;
END $$;
COMMENT ON FUNCTION onec_internal.collect_trial_offers(name, timestamp) IS
	'Что предложили бы в указанный день разные способы (служебная)';

CREATE FUNCTION onec.eval_recommend(server name, cut_date date, OUT customers int, OUT hits int,
									OUT hit_rate numeric,
									OUT bestseller_hits int, OUT bestseller_rate numeric,
									OUT new_bestseller_hits int, OUT new_bestseller_rate numeric,
									OUT verdict text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('eval_recommend');
	PERFORM onec_internal.collect_trial_offers(onec_internal.server_meant(server), cut_date::timestamp);
	WITH hit AS MATERIALIZED (
		SELECT DISTINCT o.way, o.customer_id FROM pg_temp.onec_offer o
		JOIN pg_temp.onec_later l ON l.customer_id = o.customer_id AND l.product_id = o.product_id),
	outcome AS (
		SELECT w.customer_id,
			   w.customer_id IN (SELECT h.customer_id FROM hit h WHERE h.way = 'recommended') AS ours,
			   w.customer_id IN (SELECT h.customer_id FROM hit h WHERE h.way = 'bestsellers') AS plain,
			   w.customer_id IN (SELECT h.customer_id FROM hit h WHERE h.way = 'new bestsellers') AS new
		FROM (SELECT DISTINCT l.customer_id FROM pg_temp.onec_later l) w)
	SELECT count(*), count(*) FILTER (WHERE o.ours), count(*) FILTER (WHERE o.plain),
		   count(*) FILTER (WHERE o.new),
		   format('%s the same ten bestsellers for everyone; %s bestsellers that the '
				  'customer has not bought yet',
			   onec_internal.comparison_verdict(count(*)::int,
												(count(*) FILTER (WHERE o.ours AND NOT o.plain))::int,
												(count(*) FILTER (WHERE o.plain AND NOT o.ours))::int),
			   onec_internal.comparison_verdict(count(*)::int,
												(count(*) FILTER (WHERE o.ours AND NOT o.new))::int,
												(count(*) FILTER (WHERE o.new AND NOT o.ours))::int))
	INTO customers, hits, bestseller_hits, new_bestseller_hits, verdict FROM outcome o;
	hit_rate := round(hits::numeric / nullif(customers, 0), 4);
	bestseller_rate := round(bestseller_hits::numeric / nullif(customers, 0), 4);
	new_bestseller_rate := round(new_bestseller_hits::numeric / nullif(customers, 0), 4);
	DROP TABLE pg_temp.onec_later, pg_temp.onec_offer;
END $$;
COMMENT ON FUNCTION onec.eval_recommend(name, date) IS
	'Проверка рекомендаций на прошлом: скольким из покупателей, купивших после даты новое для себя, оно '
	'было бы предложено в первой '
	'десятке; то же для десяти хитов продаж, одних на всех, и для хитов, которых у покупателя ещё нет; '
	'покупки после даты при составлении предложений не видны';
REVOKE EXECUTE ON FUNCTION onec.eval_recommend(name, date) FROM PUBLIC;
