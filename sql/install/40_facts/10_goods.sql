-- Goods: the category and the brand of each product, decided here for every mart.

CREATE TABLE onec.category_map (
	priority int PRIMARY KEY,
	pattern text NOT NULL,
	slug text NOT NULL,
	title_ru text NOT NULL
);
COMMENT ON TABLE onec.category_map IS 'Категории товаров для сайта: первое совпавшее выражение выигрывает';
COMMENT ON COLUMN onec.category_map.priority IS 'Порядок';
COMMENT ON COLUMN onec.category_map.pattern IS
	'Регулярное выражение по названию категории, без учёта регистра';
COMMENT ON COLUMN onec.category_map.slug IS 'Обозначение на сайте';
COMMENT ON COLUMN onec.category_map.title_ru IS 'По-русски';
INSERT INTO onec.category_map (priority, pattern, slug, title_ru) VALUES
	(10, 'упаков|пакет|коробк', 'packaging', 'Упаковка'),
	(20, 'комплект|гарнитур|набор', 'sets', 'Комплекты'),
	(30, 'серьг|серёж|сереж|пусет', 'earrings', 'Серьги'), (40, 'кольц', 'rings', 'Кольца'),
	(50, 'колье|ожерель|бусы|чокер', 'necklace', 'Колье'), (60, 'браслет', 'bracelets', 'Браслеты'),
	(70, 'подвес|кулон', 'pendants', 'Подвески'), (80, 'брош', 'brooches', 'Броши');

CREATE TABLE onec.brand_map (
	server name NOT NULL DEFAULT '',
	priority int NOT NULL,
	brand_id uuid,
	pattern text,
	slug text NOT NULL,
	title_ru text NOT NULL,
	PRIMARY KEY (server, priority),
	CHECK (brand_id IS NOT NULL OR pattern IS NOT NULL)
);
COMMENT ON TABLE onec.brand_map IS
	'Марки, как их зовёт сайт: первая подошедшая строка выигрывает; товар без подходящей строки остаётся '
	'при марке, как её зовёт 1С';
COMMENT ON COLUMN onec.brand_map.server IS 'Внешний сервер; пустое имя — для всех';
COMMENT ON COLUMN onec.brand_map.priority IS 'Порядок; строки сервера раньше общих';
COMMENT ON COLUMN onec.brand_map.brand_id IS 'Марка товара в 1С; пусто — любая';
COMMENT ON COLUMN onec.brand_map.pattern IS
	'Регулярное выражение по названию товара, без учёта регистра; пусто — любое';
COMMENT ON COLUMN onec.brand_map.slug IS 'Обозначение';
COMMENT ON COLUMN onec.brand_map.title_ru IS 'По-русски';
SELECT pg_catalog.pg_extension_config_dump('onec.brand_map', '');

-- A category of 1C as the site names it.  In PL/pgSQL, as the next one, so that a page of the site has their
-- plans: none of them can be taken into another statement.
CREATE FUNCTION onec_internal.category_slug(name text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT m.slug FROM onec.category_map m WHERE category_slug.name ~* m.pattern
					 ORDER BY m.priority LIMIT 1), name);
END $$;
COMMENT ON FUNCTION onec_internal.category_slug(text) IS 'Обозначение категории по её названию (служебная)';

CREATE FUNCTION onec_internal.category_title(slug text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce((SELECT m.title_ru FROM onec.category_map m WHERE m.slug = category_title.slug
					 ORDER BY m.priority LIMIT 1), slug);
END $$;
COMMENT ON FUNCTION onec_internal.category_title(text) IS 'Название категории по её обозначению (служебная)';

-- The category of a product is what 1C calls so, else the folder it lies in.
CREATE VIEW onec_internal.product_with_category AS
	SELECT p.server, p.product_id, p.name, p.brand_id, coalesce(c.name, f.name) AS category,
		   p.is_deleted OR coalesce(p.deletion_mark, false) OR coalesce(p.is_folder, false) AS withdrawn
	FROM onec.product p
	LEFT JOIN onec.category c ON c.server = p.server AND c.category_id = p.category_id
	LEFT JOIN onec.product f ON f.server = p.server AND f.product_id = p.parent_id;
COMMENT ON VIEW onec_internal.product_with_category IS 'Товары с категорией (служебное)';
COMMENT ON COLUMN onec_internal.product_with_category.category IS 'Категория, а если её нет — группа товара';
COMMENT ON COLUMN onec_internal.product_with_category.withdrawn IS
	'Снят с продажи: удалён, помечен на удаление или группа';

-- The category of each product (all, or those named) as the site names it, and what the product may be used
-- for.
CREATE FUNCTION onec_internal.goods_by_use(server name, products uuid[] DEFAULT NULL)
	RETURNS TABLE (product_id uuid, name text, brand_id uuid, slug text, title text, excluded boolean,
				   consumable boolean, withdrawn boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH list AS MATERIALIZED (
			SELECT onec.get('affinity.exclude_categories', $1)::text[] AS excluded,
				   onec.get('recommend.consumable_categories', $1)::text[] AS consumable),
		-- of the two arms one is empty before it begins
		product AS MATERIALIZED (
			SELECT p.* FROM onec_internal.product_with_category p WHERE p.server = $1 AND $2 IS NULL
			UNION ALL
			SELECT p.* FROM onec_internal.product_with_category p
			WHERE p.server = $1 AND p.product_id = ANY ($2)),
		-- many products have few categories: each name is looked up once
		slug AS MATERIALIZED (
			SELECT n.category, onec_internal.category_slug(n.category) AS value
			FROM (SELECT DISTINCT p.category FROM product p WHERE p.category IS NOT NULL) n),
		titled AS MATERIALIZED (
			SELECT s.category, s.value, onec_internal.category_title(s.value) AS title FROM slug s)
		SELECT p.product_id, p.name, p.brand_id, s.value, s.title,
			   coalesce(s.value = ANY (l.excluded), false),
			   coalesce(s.value = ANY (l.consumable), false), p.withdrawn
		FROM product p LEFT JOIN titled s ON s.category = p.category CROSS JOIN list l;
	END;
COMMENT ON FUNCTION onec_internal.goods_by_use(name, uuid[]) IS
	'Категории товаров (всех или названных), и для чего товары годятся (служебная)';

-- What a product is worth to a taste: its category, its brand; none for packaging and its like.
CREATE FUNCTION onec_internal.product_tags(server name, products uuid[] DEFAULT NULL)
	RETURNS TABLE (product_id uuid, kind text, value_id text, title text)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		WITH kept AS MATERIALIZED (SELECT g.* FROM onec_internal.goods_by_use($1, $2) g
							  WHERE NOT g.excluded)
		SELECT k.product_id, 'category'::text, k.slug, k.title FROM kept k WHERE k.slug IS NOT NULL
		UNION ALL
		SELECT b.product_id, 'brand', b.value_id, b.title
		FROM (SELECT k.product_id, coalesce(m.slug, k.brand_id::text) AS value_id,
					 coalesce(m.title_ru, n.name, k.brand_id::text) AS title
			  FROM kept k LEFT JOIN onec.brand n ON n.server = $1 AND n.brand_id = k.brand_id
			  LEFT JOIN LATERAL (
				SELECT m.slug, m.title_ru FROM onec.brand_map m
				WHERE m.server IN ($1, '') AND (m.brand_id IS NULL OR m.brand_id = k.brand_id)
				  AND (m.pattern IS NULL OR k.name ~* m.pattern)
				ORDER BY m.server = '', m.priority LIMIT 1) m ON true) b
		WHERE b.value_id IS NOT NULL;
	END;
COMMENT ON FUNCTION onec_internal.product_tags(name, uuid[]) IS
	'Категория и марка каждого товара, всех или названных (служебная)';
