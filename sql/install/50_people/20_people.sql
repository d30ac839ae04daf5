-- Discount cards become users of the site: the telephone is the login, one user for all cards of an owner.

-- How numbers are written in the countries of phone.country.  Source: the national numbering plans that ITU
-- publishes under Recommendation E.129 (Russian Federation and Kazakhstan +7, Belarus +375); at most 15
-- digits in all: E.164.  A number that goes without code and trunk prefix is taken only where it cannot be
-- something else: in Russia and Kazakhstan mobile numbers begin with 9 or 7, but a seven may be the country
-- as well; those nobody owns begin with 000.
CREATE TABLE onec.phone_plan (
	country text PRIMARY KEY,
	code text NOT NULL,
	trunk text NOT NULL,
	digits int NOT NULL,
	bare text NOT NULL
);
COMMENT ON TABLE onec.phone_plan IS 'Планы нумерации стран настройки phone.country (МСЭ-Т, E.129)';
COMMENT ON COLUMN onec.phone_plan.country IS 'Страна';
COMMENT ON COLUMN onec.phone_plan.code IS 'Код страны';
COMMENT ON COLUMN onec.phone_plan.trunk IS 'Что набирают внутри страны вместо её кода';
COMMENT ON COLUMN onec.phone_plan.digits IS 'Сколько цифр после кода';
COMMENT ON COLUMN onec.phone_plan.bare IS 'Какие номера понятны и без кода: регулярное выражение';
INSERT INTO onec.phone_plan (country, code, trunk, digits, bare) VALUES
	('RU', '7', '8', 10, '^(9|0)'), ('KZ', '7', '8', 10, '^(9|0)'), ('BY', '375', '80', 9, '');
GRANT SELECT ON onec.phone_plan TO PUBLIC;

CREATE FUNCTION onec_internal.written_number(text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_written_number';
COMMENT ON FUNCTION onec_internal.written_number(text) IS
	'Цифры номера подряд, с плюсом, если он впереди; NULL — это не номер из 9–17 цифр (служебная)';

-- Spaces and dashes of every kind, brackets and dots are dropped; any other letter makes it something else
-- than a number. With a plus the number begins with the code of some country, and no trunk prefix is looked
-- for: of zone 8 the codes +83 and +89 are nobody's.  Without one it is of the shop's own country, or it
-- begins with the code of a known plan and has its length. 00 stands for a plus, unless it may be a bar code:
-- digits without a space are a number only if a plan knows them.
CREATE FUNCTION onec.normalize_phone(phone text, country text DEFAULT 'RU') RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	written text := onec_internal.written_number(phone);
	number text := ltrim(written, '+');
	abroad boolean := starts_with(written, '+');
BEGIN
	-- what most texts are: not a number at all
	IF written IS NULL THEN
		RETURN NULL;
	END IF;
	IF starts_with(written, '00') AND length(written) > 12 THEN
		number := substr(written, 3);
		abroad := true;
		IF btrim(phone) = written
			AND NOT EXISTS (SELECT FROM onec.phone_plan p
							WHERE starts_with(number, p.code)
							  AND length(number) = length(p.code) + p.digits) THEN
			RETURN NULL;
		END IF;
	END IF;
	IF abroad THEN
		RETURN CASE WHEN length(number) BETWEEN 11 AND 15 AND number !~ '^(0|8[39])'
			AND NOT EXISTS (SELECT FROM onec.phone_plan p
							WHERE starts_with(number, p.code) AND length(number) <> length(p.code) + p.digits)
			THEN number END;
	END IF;
	RETURN (SELECT p.code || right(number, p.digits) FROM onec.phone_plan p
			WHERE length(number) = length(p.code) + p.digits AND starts_with(number, p.code)
			   OR p.country = normalize_phone.country
				  AND (length(number) = length(p.trunk) + p.digits AND starts_with(number, p.trunk)
					   OR length(number) = p.digits AND number ~ p.bare)
			LIMIT 1);
END $$;
COMMENT ON FUNCTION onec.normalize_phone(text, text) IS
	'Телефон в едином виде (только цифры, с кодом страны) или NULL, если это не телефон';

CREATE TABLE onec.site_user (
	server name NOT NULL,
	user_id uuid NOT NULL,
	customer_id uuid,
	phone text,
	login text,
	discount_card_id uuid,
	name text,
	email text,
	is_active boolean NOT NULL,
	conflict_phone boolean NOT NULL DEFAULT false,
	name_locked boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, user_id)
);
CREATE INDEX site_user_phone ON onec.site_user (phone);
CREATE INDEX site_user_card ON onec.site_user (server, discount_card_id);
COMMENT ON TABLE onec.site_user IS
	'Пользователи сайта: по одному на владельца карт; карта без владельца — сама по себе';
COMMENT ON COLUMN onec.site_user.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.site_user.user_id IS 'Владелец, а если его нет — карта';
COMMENT ON COLUMN onec.site_user.customer_id IS 'Контрагент; NULL — у карты нет владельца';
COMMENT ON COLUMN onec.site_user.phone IS 'Телефон в едином виде';
COMMENT ON COLUMN onec.site_user.login IS
	'Имя для входа: телефон; NULL — телефона нет или он достался другому';
COMMENT ON COLUMN onec.site_user.discount_card_id IS 'Основная карта';
COMMENT ON COLUMN onec.site_user.name IS 'Имя';
COMMENT ON COLUMN onec.site_user.email IS 'Электронная почта';
COMMENT ON COLUMN onec.site_user.is_active IS 'Есть действующая карта';
COMMENT ON COLUMN onec.site_user.conflict_phone IS 'Тот же телефон у другого владельца, вход отдан ему';
COMMENT ON COLUMN onec.site_user.name_locked IS 'Имя исправлено на сайте, из 1С не менять';
SELECT pg_catalog.pg_extension_config_dump('onec.site_user', '');

CREATE TABLE onec.customer_card (
	server name NOT NULL,
	card_id uuid NOT NULL,
	user_id uuid NOT NULL,
	customer_id uuid,
	phone text,
	is_primary boolean NOT NULL,
	PRIMARY KEY (server, card_id)
);
CREATE INDEX customer_card_user ON onec.customer_card (server, user_id);
COMMENT ON TABLE onec.customer_card IS 'Чьи карты: все карты каждого пользователя';
COMMENT ON COLUMN onec.customer_card.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_card.card_id IS 'Карта';
COMMENT ON COLUMN onec.customer_card.user_id IS 'Пользователь';
COMMENT ON COLUMN onec.customer_card.customer_id IS 'Контрагент';
COMMENT ON COLUMN onec.customer_card.phone IS 'Телефон карты в едином виде';
COMMENT ON COLUMN onec.customer_card.is_primary IS 'Основная карта пользователя';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_card', '');

-- A name out of a description: not a number, not a word like "retail customer".
CREATE FUNCTION onec_internal.person_name(name text, ignored text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN name !~ '[[:alpha:]]' OR lower(btrim(name)) = ANY (ignored) THEN NULL
				ELSE btrim(name) END;
COMMENT ON FUNCTION onec_internal.person_name(text, text[]) IS 'Имя из наименования или NULL (служебная)';

-- The last sales by cards and to buyers: to all, whom the kept receipts tell without their lines, or to some
-- users.
CREATE FUNCTION onec_internal.last_sales(server name, users uuid[]) RETURNS TABLE (customer_id uuid,
	card_id uuid, last_sale timestamp)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.customer_id, NULL::uuid, max(p.period) FROM onec_internal.counted_part p
		WHERE p.server = $1 AND $2 IS NULL AND p.customer_id IS NOT NULL
		  AND onec_internal.is_dated_before(p.period, p.today + 1)
		GROUP BY 1
		UNION ALL
		SELECT NULL, l.card_id, max(l.period) FROM onec_internal.counted_line l
		WHERE l.server = $1 AND $2 IS NULL AND l.card_id IS NOT NULL
		  AND onec_internal.is_dated_before(l.period, l.today + 1)
		GROUP BY 2
		UNION ALL
		SELECT l.customer_id, l.card_id, max(l.period)
		FROM (SELECT x.customer_id, x.card_id, x.period FROM onec_internal.counted_lines($1, NULL, $2) x
			  UNION ALL
			  -- sold by their cards to whoever had them then
			  SELECT x.customer_id, x.card_id, x.period FROM onec.discount_card d
			  JOIN onec_internal.counted_line x ON x.server = d.server AND x.card_id = d.card_id
			  WHERE d.server = $1 AND coalesce(d.owner_id, d.card_id) = ANY ($2)
				AND onec_internal.is_dated_before(x.period, x.today + 1)) l
		WHERE $2 IS NOT NULL GROUP BY 1, 2;
	END;
COMMENT ON FUNCTION onec_internal.last_sales(name, uuid[]) IS
	'Последние продажи по картам и покупателям: всем или названных пользователей (служебная)';

-- Every card, or those of some users, with its user, its telephone, and how lively it is.
CREATE FUNCTION onec_internal.cards_with_people(server name, users uuid[])
	RETURNS TABLE (card_id uuid, user_id uuid, customer_id uuid, phone text, live boolean,
				   last_sale timestamp, place bigint)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	-- of rows made in the query the planner knows nothing, and takes them for few
	SET enable_nestloop = off SET jit = off SET work_mem = '64MB'
AS $$
	WITH country AS MATERIALIZED (SELECT onec.get('phone.country', $1) AS code),
	line AS MATERIALIZED (SELECT * FROM onec_internal.last_sales($1, $2)),
	sale AS (SELECT l.card_id, max(l.last_sale) AS last_sale FROM line l WHERE l.card_id IS NOT NULL
			 GROUP BY 1),
	owner_sale AS (
		SELECT l.customer_id, max(l.last_sale) AS last_sale FROM line l WHERE l.customer_id IS NOT NULL
		GROUP BY 1),
	contact AS (
		SELECT DISTINCT ON (c.customer_id) c.customer_id, c.phone
		FROM (SELECT k.customer_id, k.line_no, k.copy,
					 coalesce(onec.normalize_phone(k.phone, country.code),
							  onec.normalize_phone(k.presentation, country.code)) AS phone
			  FROM onec.counterparty_contact k CROSS JOIN country
			  WHERE k.server = $1 AND ($2 IS NULL OR k.customer_id = ANY ($2))) c
		WHERE c.phone IS NOT NULL
		ORDER BY c.customer_id, c.line_no, c.copy),
	card AS (
		SELECT d.card_id, coalesce(d.owner_id, d.card_id) AS user_id, d.owner_id AS customer_id, d.code,
			   coalesce(onec.normalize_phone(d.barcode, country.code),
						onec.normalize_phone(d.description, country.code),
						onec.normalize_phone(p.phone, country.code), t.phone) AS phone,
			   NOT (d.is_deleted OR coalesce(d.deletion_mark, false)
					OR coalesce(d.is_invalid, false)) AS live,
			   coalesce(s.last_sale, o.last_sale) AS last_sale
		FROM onec.discount_card d CROSS JOIN country
		LEFT JOIN onec.counterparty p ON p.server = d.server AND p.customer_id = d.owner_id
		LEFT JOIN contact t ON t.customer_id = d.owner_id
		LEFT JOIN sale s ON s.card_id = d.card_id
		LEFT JOIN owner_sale o ON o.customer_id = d.owner_id
		WHERE d.server = $1 AND ($2 IS NULL OR coalesce(d.owner_id, d.card_id) = ANY ($2)))
	SELECT c.card_id, c.user_id, c.customer_id, c.phone, c.live, c.last_sale,
		   row_number() OVER (PARTITION BY c.user_id ORDER BY c.live DESC, c.last_sale DESC NULLS LAST,
							  c.code, c.card_id)
	FROM card c
$$;
COMMENT ON FUNCTION onec_internal.cards_with_people(name, uuid[]) IS
	'Карты (все или названных пользователей) с пользователем, телефоном и местом среди его карт (служебная)';

-- The users as they ought to be, made of the cards in pg_temp.onec_cards.
CREATE FUNCTION onec_internal.people_of_cards(server name)
	RETURNS TABLE (user_id uuid, customer_id uuid, phone text, login text, discount_card_id uuid,
				   name text, email text,
				   is_active boolean, conflict_phone boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY
	WITH person AS (
		SELECT c.user_id, c.customer_id, c.card_id, l.live, l.last_sale,
			   coalesce(c.phone, l.phone) AS phone
		FROM pg_temp.onec_cards c
		JOIN (SELECT k.user_id, bool_or(k.live) AS live, max(k.last_sale) AS last_sale,
					 (array_agg(k.phone ORDER BY k.place) FILTER (WHERE k.phone IS NOT NULL))[1] AS phone
			  FROM pg_temp.onec_cards k GROUP BY 1) l ON l.user_id = c.user_id
		WHERE c.place = 1),
	ranked AS (
		SELECT p.*, p.phone IS NOT NULL AND row_number() OVER (PARTITION BY p.phone ORDER BY p.live DESC,
			CASE WHEN (SELECT onec.get('phone.conflict', $1) = 'newest') THEN p.last_sale END DESC NULLS LAST,
			p.last_sale NULLS LAST, p.user_id) > 1 AS conflict
		FROM person p)
	SELECT r.user_id, r.customer_id, r.phone, CASE WHEN NOT r.conflict THEN r.phone END, r.card_id,
		   coalesce(onec_internal.person_name(k.name, i.list),
					onec_internal.person_name(k.full_name, i.list)),
		   nullif(btrim(k.email), ''), r.live, r.conflict
	FROM ranked r
	-- the collation of the server's name would make lower() one of ASCII
	CROSS JOIN (SELECT lower(onec.get('name.ignore', $1) COLLATE "default")::text[] AS list OFFSET 0) i
	LEFT JOIN onec.counterparty k ON k.server = $1 AND k.customer_id = r.customer_id;
END $$;
COMMENT ON FUNCTION onec_internal.people_of_cards(name) IS 'Пользователи, какими они должны быть (служебная)';

-- ---- whose cards, names and sales have changed since people were folded ----

CREATE TABLE onec_internal.people_state (
	server name PRIMARY KEY,
	definitions text NOT NULL,
	day date NOT NULL
);
COMMENT ON TABLE onec_internal.people_state IS
	'При каких настройках и в какой день собраны пользователи сайта; нет строки — собираются все';
COMMENT ON COLUMN onec_internal.people_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.people_state.definitions IS
	'Свёртка настроек: когда она другая, собираются все';
COMMENT ON COLUMN onec_internal.people_state.day IS
	'День последнего сбора: строки с датой позже станут покупками, когда она настанет';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.people_state', '');

CREATE TABLE onec_internal.touched_user (
	server name NOT NULL,
	user_id uuid NOT NULL,
	PRIMARY KEY (server, user_id)
);
COMMENT ON TABLE onec_internal.touched_user IS
	'Пользователи, чьи карты, контакты или покупки изменились после сбора';
COMMENT ON COLUMN onec_internal.touched_user.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.touched_user.user_id IS 'Пользователь';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.touched_user', '');

-- All that users of the site are made by, besides the cards, the counterparties and the sales.
CREATE FUNCTION onec_internal.people_digest(server name) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT md5(string_agg(d.line, E'\n' ORDER BY d.line COLLATE "C")) FROM (
		SELECT s.key || '=' || coalesce(onec.get(s.key, $1), '') FROM onec.setting s
		WHERE s.key IN ('phone.country', 'phone.conflict', 'name.ignore')
		UNION ALL SELECT ROW(w.excluded, w.organizations)::text FROM onec_internal.shop_rules w
		WHERE w.server = $1
		UNION ALL SELECT p::text FROM onec.phone_plan p) d (line)
$$;
COMMENT ON FUNCTION onec_internal.people_digest(name) IS
	'Свёртка настроек, от которых зависят пользователи сайта (служебная)';

-- Note whom the changes of cards, counterparties or contacts concern, as pg_temp.onec_change and
-- pg_temp.onec_stage have them: before they are written.  Before the first fold everybody is new.
CREATE FUNCTION onec_internal.touch_people(server name, by_card boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.people_state p WHERE p.server = touch_people.server) THEN
		RETURN;
	END IF;
	IF by_card THEN
		INSERT INTO onec_internal.touched_user
		SELECT touch_people.server, x.user_id FROM (
			SELECT coalesce(s.owner_id, s.card_id) FROM pg_temp.onec_change c
			JOIN pg_temp.onec_stage s ON s.ctid = c.place
			UNION
			SELECT k.user_id FROM pg_temp.onec_change c
			JOIN onec.customer_card k ON k.server = touch_people.server AND k.card_id = c.card_id
			WHERE c.here) x (user_id)
		ON CONFLICT DO NOTHING;
	ELSE
		INSERT INTO onec_internal.touched_user
		SELECT touch_people.server, x.customer_id FROM (
			SELECT s.customer_id FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
			UNION
			SELECT c.customer_id FROM pg_temp.onec_change c WHERE c.here) x
		WHERE x.customer_id IS NOT NULL
		ON CONFLICT DO NOTHING;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.touch_people(name, boolean) IS
	'Запомнить пользователей, которых касаются изменения карт и контрагентов (служебная)';

-- What is known is not what the cards and lines are: the next time everybody is folded.
CREATE FUNCTION onec_internal.refresh_all_people_next(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.touched_user t WHERE t.server = $1;
	DELETE FROM onec_internal.people_state s WHERE s.server = $1;
$$;
COMMENT ON FUNCTION onec_internal.refresh_all_people_next(name) IS
	'В следующий раз собрать всех пользователей сайта (служебная)';

-- Above a tenth of all it costs less to take everybody than to pick them: then NULL.
CREATE FUNCTION onec_internal.some_or_all(ids uuid[], everybody bigint) RETURNS uuid[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN cardinality(ids) <= greatest(100, everybody / 10) THEN ids END;
COMMENT ON FUNCTION onec_internal.some_or_all(uuid[], bigint) IS
	'Названные, если их немного, иначе NULL: все (служебная)';

-- Whom to fold again; NULL: everybody.
CREATE FUNCTION onec_internal.stale_people(server name) RETURNS uuid[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	-- as in onec_internal.stale_customers
	SET jit = off
AS $$
	WITH come AS MATERIALIZED (
		SELECT l.customer_id, l.card_id FROM onec_internal.people_state s
		CROSS JOIN LATERAL onec_internal.lines_come_since(s.server, s.day) l WHERE s.server = $1),
	stale AS (
		SELECT t.user_id FROM onec_internal.touched_user t WHERE t.server = $1
		UNION SELECT c.customer_id FROM come c WHERE c.customer_id IS NOT NULL
		UNION SELECT k.user_id FROM come c
		JOIN onec.customer_card k ON k.server = $1 AND k.card_id = c.card_id)
	SELECT onec_internal.some_or_all(ARRAY(SELECT s.user_id FROM stale s),
									 (SELECT count(*) FROM onec.site_user u WHERE u.server = $1))
$$;
COMMENT ON FUNCTION onec_internal.stale_people(name) IS 'Кого пора собрать заново; NULL — всех (служебная)';

-- The cards of these users (NULL: of all) in pg_temp.onec_cards, and of those who have a telephone in common
-- with them: a login that one gives up is another's.  Returns all whose they are.
CREATE FUNCTION onec_internal.collect_cards(server name, users uuid[]) RETURNS uuid[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	others uuid[];
BEGIN
	CREATE TEMPORARY TABLE onec_cards
		ON COMMIT DROP AS SELECT * FROM onec_internal.cards_with_people(server, users);
	IF users IS NOT NULL THEN
		others := ARRAY(
			SELECT u.user_id FROM onec.site_user u
			WHERE u.server = collect_cards.server AND u.user_id <> ALL (users)
			  AND u.phone IN (SELECT c.phone FROM pg_temp.onec_cards c
							  UNION SELECT o.phone FROM onec.site_user o
							  WHERE o.server = collect_cards.server AND o.user_id = ANY (users)));
		IF others <> '{}' THEN
			INSERT INTO pg_temp.onec_cards SELECT * FROM onec_internal.cards_with_people(server, others);
		END IF;
	END IF;
	ANALYZE pg_temp.onec_cards;
	RETURN users || others;
END $$;
COMMENT ON FUNCTION onec_internal.collect_cards(name, uuid[]) IS
	'Собрать карты пользователей и всех, у кого с ними общий телефон (служебная)';

-- Make onec.site_user and onec.customer_card as pg_temp.onec_people and pg_temp.onec_cards are, for these
-- users, and write only what differs.
CREATE FUNCTION onec_internal.write_changed_people(server name, users uuid[], OUT rows_inserted bigint,
												   OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n bigint;
BEGIN
	UPDATE onec.site_user u
	SET customer_id = p.customer_id, phone = p.phone, login = p.login, discount_card_id = p.discount_card_id,
		name = CASE WHEN u.name_locked THEN u.name ELSE p.name END, email = p.email, is_active = p.is_active,
		conflict_phone = p.conflict_phone
	FROM pg_temp.onec_people p
	WHERE u.server = write_changed_people.server AND u.user_id = p.user_id
	  AND (u.customer_id, u.phone, u.login, u.discount_card_id,
		   CASE WHEN u.name_locked THEN '' ELSE u.name END,
		   u.email, u.is_active, u.conflict_phone)
		  IS DISTINCT FROM (p.customer_id, p.phone, p.login, p.discount_card_id,
							CASE WHEN u.name_locked THEN '' ELSE p.name END,
							p.email, p.is_active, p.conflict_phone);
	GET DIAGNOSTICS rows_updated = ROW_COUNT;
	-- a user whose cards are gone stays, switched off
	UPDATE onec.site_user u SET is_active = false, login = NULL
	WHERE u.server = write_changed_people.server AND (users IS NULL OR u.user_id = ANY (users))
	  AND (u.is_active OR u.login IS NOT NULL)
	  AND NOT EXISTS (SELECT FROM pg_temp.onec_people p WHERE p.user_id = u.user_id);
	GET DIAGNOSTICS n = ROW_COUNT;
	rows_updated := rows_updated + n;
	INSERT INTO onec.site_user (server, user_id, customer_id, phone, login, discount_card_id, name, email,
								is_active, conflict_phone)
	SELECT write_changed_people.server, p.* FROM pg_temp.onec_people p
	WHERE NOT EXISTS (SELECT FROM onec.site_user u
					  WHERE u.server = write_changed_people.server AND u.user_id = p.user_id);
	GET DIAGNOSTICS rows_inserted = ROW_COUNT;
	UPDATE onec.customer_card k
	SET user_id = c.user_id, customer_id = c.customer_id, phone = c.phone, is_primary = c.place = 1
	FROM pg_temp.onec_cards c
	WHERE k.server = write_changed_people.server AND k.card_id = c.card_id
	  AND (k.user_id, k.customer_id, k.phone, k.is_primary) IS DISTINCT FROM (c.user_id, c.customer_id,
		  c.phone, c.place = 1);
	GET DIAGNOSTICS n = ROW_COUNT;
	rows_updated := rows_updated + n;
	INSERT INTO onec.customer_card (server, card_id, user_id, customer_id, phone, is_primary)
	SELECT write_changed_people.server, c.card_id, c.user_id, c.customer_id, c.phone, c.place = 1
	FROM pg_temp.onec_cards c
	WHERE NOT EXISTS (SELECT FROM onec.customer_card k
					  WHERE k.server = write_changed_people.server AND k.card_id = c.card_id);
	GET DIAGNOSTICS n = ROW_COUNT;
	rows_inserted := rows_inserted + n;
	DELETE FROM onec.customer_card k
	WHERE k.server = write_changed_people.server AND (users IS NULL OR k.user_id = ANY (users))
	  AND NOT EXISTS (SELECT FROM pg_temp.onec_cards c WHERE c.card_id = k.card_id);
	GET DIAGNOSTICS rows_deleted = ROW_COUNT;
END $$;
COMMENT ON FUNCTION onec_internal.write_changed_people(name, uuid[]) IS
	'Записать отличия пользователей сайта и их карт от собранных (служебная)';

-- Everybody, or whom changes have touched since the last time.
CREATE FUNCTION onec_internal.refresh_people(server name, everybody boolean DEFAULT true,
											 OUT rows_inserted bigint, OUT rows_updated bigint,
											 OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	defined text := onec_internal.people_digest(server);
	today date := onec.local_now(server)::date;
	users uuid[];
BEGIN
	PERFORM onec_internal.lock_people(server, false);
	IF NOT everybody AND EXISTS (SELECT FROM onec_internal.people_state s
								 WHERE s.server = refresh_people.server AND s.definitions = defined) THEN
		users := onec_internal.stale_people(server);
	END IF;
	IF users = '{}' THEN
		rows_inserted := 0;
		rows_updated := 0;
		rows_deleted := 0;
	ELSE
		users := onec_internal.collect_cards(server, users);
		CREATE TEMPORARY TABLE onec_people
			ON COMMIT DROP AS SELECT * FROM onec_internal.people_of_cards(server);
		SELECT * INTO rows_inserted, rows_updated, rows_deleted
		FROM onec_internal.write_changed_people(server, users);
		DROP TABLE pg_temp.onec_people, pg_temp.onec_cards;
		DELETE FROM onec_internal.touched_user t WHERE t.server = refresh_people.server;
	END IF;
	INSERT INTO onec_internal.people_state AS s VALUES (server, defined, today)
	ON CONFLICT ON CONSTRAINT people_state_pkey DO UPDATE SET definitions = excluded.definitions,
	day = excluded.day
	WHERE (s.definitions, s.day) <> (excluded.definitions, excluded.day);
END $$;
COMMENT ON FUNCTION onec_internal.refresh_people(name, boolean) IS
	'Собрать пользователей сайта из карт и контрагентов, записав только отличия: всех или тех, кого '
	'касаются изменения (служебная)';

-- What is left to see of a telephone, a name, an address: enough to tell two of them apart, not to reach
-- anybody.
CREATE FUNCTION onec_internal.masked(value text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN value ~ '^[0-9]{10,}$' THEN left(value, 4) || repeat('*', length(value) - 6)
				|| right(value, 2)
				ELSE left(value, 1) || '***' END;
COMMENT ON FUNCTION onec_internal.masked(text) IS 'Телефон, имя или почта под маской (служебная)';

-- Whom a key means: a telephone in any spelling, a card, a customer.
CREATE FUNCTION onec_internal.person_by_key(key text, server name) RETURNS onec.site_user
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	id uuid := onec_internal.key_in_1c(srv, onec_internal.reference_uuid(key));
	wanted text;
	u onec.site_user;
BEGIN
	IF id IS NOT NULL THEN
		SELECT t.* INTO u FROM onec.site_user t
		WHERE t.server = srv AND t.user_id IN (SELECT id UNION ALL SELECT c.user_id FROM onec.customer_card c
											   WHERE c.server = srv AND c.card_id = id)
		LIMIT 1;
		RETURN u;
	END IF;
	-- what a number without its country means depends on the shop
	wanted := onec.normalize_phone(key, onec.get('phone.country', srv));
	SELECT t.* INTO u FROM onec.site_user t WHERE t.server = srv AND t.phone = wanted
	ORDER BY t.conflict_phone, t.is_active DESC, t.user_id LIMIT 1;
	RETURN u;
END $$;
COMMENT ON FUNCTION onec_internal.person_by_key(text, name) IS
	'Пользователь по телефону, карте или контрагенту (служебная)';
