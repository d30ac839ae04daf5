-- Customers, their contacts and cards, as a site makes them: nobody twice.
--
-- Whoever a site has asked for is looked for in the store, by indexes, and among those that were asked for
-- and are not there yet: onec_internal.site_person, where a telephone, an address or a card is somebody's
-- once.  Two sessions that ask for one telephone at a time meet at its key: the second waits for the first,
-- and gets the same person.

CREATE TABLE onec_internal.site_person (
	server name NOT NULL,
	kind text NOT NULL CHECK (kind IN ('phone', 'email', 'card')),
	value text NOT NULL,
	customer_id uuid NOT NULL,
	card_id uuid,
	since timestamptz NOT NULL DEFAULT now(),
	is_written boolean NOT NULL DEFAULT true,
	PRIMARY KEY (server, kind, value)
);
CREATE INDEX site_person_customer ON onec_internal.site_person (customer_id);
COMMENT ON TABLE onec_internal.site_person IS
	'Кого просил создать сайт: телефон, почта или карта — одного человека (служебное)';
COMMENT ON COLUMN onec_internal.site_person.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.site_person.kind IS 'Что это: phone, email, card';
COMMENT ON COLUMN onec_internal.site_person.value IS 'Телефон в едином виде, почта строчными, штрихкод карты';
COMMENT ON COLUMN onec_internal.site_person.customer_id IS 'Контрагент';
COMMENT ON COLUMN onec_internal.site_person.card_id IS 'Карта этого штрихкода';
COMMENT ON COLUMN onec_internal.site_person.since IS 'С какого времени';
COMMENT ON COLUMN onec_internal.site_person.is_written IS
	'Записано ли это за ним в 1С; иначе только назвал сайт, найдя его по другому';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_person', '');

-- What a site looks people up by: a telephone by its last nine digits, however it is written; then it is
-- looked at whole.  Whoever writes these tables calls what stands here, so it is what normalize_phone calls.
CREATE INDEX counterparty_phone ON onec.counterparty (right(onec_internal.written_number(phone), 9))
	WHERE right(onec_internal.written_number(phone), 9) IS NOT NULL;
CREATE INDEX counterparty_email ON onec.counterparty (lower(btrim(email)))
	WHERE lower(btrim(email)) IS NOT NULL;
CREATE INDEX counterparty_contact_phone
	ON onec.counterparty_contact (right(onec_internal.written_number(phone), 9))
	WHERE right(onec_internal.written_number(phone), 9) IS NOT NULL;
CREATE INDEX counterparty_contact_shown
	ON onec.counterparty_contact (right(onec_internal.written_number(presentation), 9))
	WHERE right(onec_internal.written_number(presentation), 9) IS NOT NULL;
CREATE INDEX counterparty_contact_email ON onec.counterparty_contact (lower(btrim(email)))
	WHERE lower(btrim(email)) IS NOT NULL;
CREATE INDEX discount_card_barcode ON onec.discount_card (barcode) WHERE barcode IS NOT NULL;

-- A live card by its bar code: its number and owner; no row: there is none.
CREATE FUNCTION onec_internal.card_known(server name, barcode text, OUT card_id uuid, OUT owner_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT d.card_id, d.owner_id FROM onec.discount_card d
	WHERE d.server = $1 AND d.barcode = $2 COLLATE "default" AND NOT d.is_deleted
		AND d.deletion_mark IS NOT TRUE
	  AND d.is_invalid IS NOT TRUE
	ORDER BY d.owner_id IS NULL, d.card_id LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.card_known(name, text) IS 'Действующая карта по штрихкоду (служебная)';

-- The person of a telephone, a card, an address, in this order of trust; of several the user of the site.
-- The store only.
CREATE FUNCTION onec_internal.person_known(server name, phone text, email text, card text) RETURNS uuid
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	-- the collation of the server's name would be that of the texts, which the indexes are not by
	WITH country AS MATERIALIZED (SELECT onec.get('phone.country', $1) AS code)
	SELECT c.customer_id
	FROM (SELECT 1 AS trust, u.customer_id, u.phone FROM onec.site_user u
		  WHERE u.server = $1 AND u.phone = $2 COLLATE "default"
		  UNION ALL
		  SELECT 2, p.customer_id, p.phone FROM onec.counterparty p
		  WHERE p.server = $1 AND right(onec_internal.written_number(p.phone),
			9) = right($2 COLLATE "default", 9)
		  UNION ALL
		  SELECT 3, k.customer_id, k.phone FROM onec.counterparty_contact k
		  WHERE k.server = $1 AND right(onec_internal.written_number(k.phone),
			9) = right($2 COLLATE "default", 9)
		  UNION ALL
		  SELECT 3, k.customer_id, k.presentation FROM onec.counterparty_contact k
		  WHERE k.server = $1 AND right(onec_internal.written_number(k.presentation),
			9) = right($2 COLLATE "default", 9)
		  UNION ALL
		  SELECT 4, d.owner_id, NULL FROM onec_internal.card_known($1, $4) d
		  UNION ALL
		  SELECT 5, p.customer_id, NULL FROM onec.counterparty p
		  WHERE p.server = $1 AND lower(btrim(p.email)) = $3 COLLATE "default"
		  UNION ALL
		  SELECT 6, k.customer_id, NULL FROM onec.counterparty_contact k
		  WHERE k.server = $1 AND lower(btrim(k.email)) = $3 COLLATE "default") f
	CROSS JOIN country
	JOIN onec.counterparty c ON c.server = $1 AND c.customer_id = f.customer_id AND NOT c.is_deleted
		AND c.deletion_mark IS NOT TRUE AND c.is_folder IS NOT TRUE
	WHERE f.trust > 3 OR onec.normalize_phone(f.phone, country.code) = $2
	ORDER BY f.trust, f.customer_id LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.person_known(name, text, text, text) IS
	'Контрагент по телефону, карте или почте из местных данных (служебная)';

-- The telephones and addresses that the store has of a person, as they are compared.
CREATE FUNCTION onec_internal.contacts_stored(server name, person uuid) RETURNS TABLE (kind text, value text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN c.said ~ '@' THEN 'email' ELSE 'phone' END, c.value
	FROM (SELECT x.said, CASE WHEN x.said ~ '@' THEN lower(btrim(x.said))
							  ELSE onec.normalize_phone(x.said, onec.get('phone.country', $1)) END AS value
		  FROM (SELECT unnest(ARRAY[p.phone, p.email]) FROM onec.counterparty p
				WHERE p.server = $1 AND p.customer_id = $2
				UNION ALL
				SELECT unnest(ARRAY[k.phone, k.presentation, k.email]) FROM onec.counterparty_contact k
				WHERE k.server = $1 AND k.customer_id = $2) x (said)) c
	WHERE c.value IS NOT NULL
$$;
COMMENT ON FUNCTION onec_internal.contacts_stored(name, uuid) IS
	'Телефоны и почта человека в местных данных (служебная)';

-- Whether something of an object is on its way to 1C, or into the store.
CREATE FUNCTION onec_internal.is_underway(server name, id uuid) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM onec.outbox o
				   WHERE o.server = $1 AND o.key = onec_internal.site_key($1, $2))
		OR EXISTS (SELECT FROM onec_internal.written_unread w
				   WHERE w.server = $1 AND w.key = onec_internal.key_in_1c($1, $2))
$$;
COMMENT ON FUNCTION onec_internal.is_underway(name, uuid) IS
	'Есть ли недоставленные изменения объекта (служебная)';

-- Whether what was somebody's is nobody's any more: what was asked for will not be; or nothing is on its
-- way, and the store has the person with another telephone or address, the card without this owner.
CREATE FUNCTION onec_internal.is_given_up(was onec_internal.site_person) RETURNS boolean
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	thing uuid := coalesce(was.card_id, was.customer_id);
	person uuid := onec_internal.key_in_1c(was.server, was.customer_id);
BEGIN
	IF onec_internal.came_to_nothing(was.server, thing) THEN
		RETURN true;
	ELSIF NOT was.is_written OR onec_internal.is_underway(was.server, thing) THEN
		RETURN false;
	ELSIF was.kind = 'card' THEN
		RETURN EXISTS (SELECT FROM onec_internal.card_known(was.server, was.value) c
					   WHERE c.card_id IS NOT NULL AND c.owner_id IS DISTINCT FROM person);
	END IF;
	RETURN coalesce((SELECT bool_and(c.value <> was.value)
					 FROM onec_internal.contacts_stored(was.server, person) c
					 WHERE c.kind = was.kind), false);
END $$;
COMMENT ON FUNCTION onec_internal.is_given_up(onec_internal.site_person) IS
	'Свободны ли снова телефон, почта или карта (служебная)';

-- Whose a telephone, an address, a card is from now on: this person's, unless somebody was first, who is then
-- returned.  "written": 1C is told so.
CREATE FUNCTION onec_internal.hold_person(server name, kind text, value text, person uuid,
										  card uuid DEFAULT NULL, written boolean DEFAULT true,
										  OUT customer_id uuid, OUT card_id uuid)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	was onec_internal.site_person;
BEGIN
	INSERT INTO onec_internal.site_person (server, kind, value, customer_id, card_id, is_written)
	VALUES (hold_person.server, hold_person.kind, hold_person.value, person, card, written)
	ON CONFLICT ON CONSTRAINT site_person_pkey DO NOTHING;
	SELECT p.* INTO was FROM onec_internal.site_person p
	WHERE p.server = hold_person.server AND p.kind = hold_person.kind
		AND p.value = hold_person.value FOR UPDATE;
	IF was.customer_id = person AND written > was.is_written OR onec_internal.is_given_up(was) THEN
		UPDATE onec_internal.site_person p SET customer_id = person, card_id = card, since = now(),
			is_written = written
		WHERE p.server = hold_person.server AND p.kind = hold_person.kind AND p.value = hold_person.value
		RETURNING * INTO was;
	END IF;
	customer_id := was.customer_id;
	card_id := was.card_id;
END $$;
COMMENT ON FUNCTION onec_internal.hold_person(name, text, text, uuid, uuid, boolean) IS
	'Закрепить телефон, почту или карту за человеком; возвращает того, за кем они (служебная)';

-- A telephone and an address as they are compared; what cannot be one is refused, unsaid.
CREATE FUNCTION onec_internal.contact_said(server name, phone text, email text, OUT number text,
										   OUT address text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	number := onec.normalize_phone(phone, onec.get('phone.country', server));
	address := nullif(btrim(email), '');
	IF number IS NULL AND btrim(phone) <> '' THEN
		RAISE invalid_parameter_value USING MESSAGE = '"phone" is no telephone number',
			HINT = 'With the code of a country, or as the country of setting phone.country writes it.';
	ELSIF address !~ '^[^@\s]+@[^@\s]+\.[^@\s]+$' THEN
		RAISE invalid_parameter_value USING MESSAGE = '"email" is no address';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.contact_said(name, text, text) IS
	'Телефон и почта в едином виде, иначе ошибка (служебная)';

-- The rows of contacts; a value that is kept in another form besides is emptied there, for it would be the
-- old one.
CREATE FUNCTION onec_internal.contact_rows(server name, number text, address text) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_agg(r.of), '[]') FROM (
		SELECT jsonb_build_object('type', 'Телефон',
			'kind', onec_internal.shop_must_say($1, 'customer', 'phone_kind'), 'presentation', '+' || $2,
			'phone', $2, 'phone_without_code', right($2, 7), 'phone_reversed', reverse($2),
			'values', '', 'value', '') WHERE $2 IS NOT NULL
		UNION ALL
		SELECT jsonb_build_object('type', 'АдресЭлектроннойПочты',
			'kind', onec_internal.shop_must_say($1, 'customer', 'email_kind'), 'presentation', $3,
			'email', $3, 'domain', split_part($3, '@', 2), 'values', '', 'value', '')
		WHERE $3 IS NOT NULL) r (of)
$$;
COMMENT ON FUNCTION onec_internal.contact_rows(name, text, text) IS 'Строки контактов (служебная)';

-- ---- cards ----

CREATE FUNCTION onec_internal.refuse_card() RETURNS void
	LANGUAGE plpgsql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE unique_violation USING MESSAGE = 'the card of this bar code is somebody else''s';
END $$;
COMMENT ON FUNCTION onec_internal.refuse_card() IS 'Отказать: карта чужая (служебная)';

-- A card of this bar code for a customer: one there is, one without owner, which becomes theirs, or a new
-- one.  Whoever asks first for one that is nobody's in the store has it, delivered or not.
CREATE FUNCTION onec_internal.put_card(server name, customer uuid, said jsonb) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	entity_set text := onec_internal.write_set(server, 'card');
	-- all by the keys that a site has been given
	customer uuid := onec_internal.site_key(server, customer);
	code text := btrim(said ->> 'barcode');
	stored record;
	held record;
	key uuid := onec_internal.key_said(said);
	is_asked_for boolean;
BEGIN
	SELECT onec_internal.site_key(server, c.card_id) AS card_id, onec_internal.site_key(server, c.owner_id)
		AS owner_id INTO stored
	FROM onec_internal.card_known(server, code) c;
	IF stored.owner_id = customer THEN
		RETURN stored.card_id;
	ELSIF stored.owner_id IS NOT NULL THEN
		PERFORM onec_internal.refuse_card();
	END IF;
	SELECT h.* INTO held
	FROM onec_internal.hold_person(server, 'card', code, customer, coalesce(stored.card_id, key)) h;
	IF held.customer_id <> customer THEN
		PERFORM onec_internal.refuse_card();
	END IF;
	-- whoever was first has been waited for, and is seen
	is_asked_for := onec_internal.is_underway(server, held.card_id);
	IF stored.card_id IS NULL AND held.card_id = key THEN
		PERFORM onec.enqueue(server, entity_set, 'create', key, onec_internal.write_body(server, 'card',
			said - 'key' || jsonb_build_object('owner', customer, 'barcode', code, 'description',
											   coalesce(said ->> 'description', code))));
	ELSIF stored.card_id IS NOT NULL AND NOT is_asked_for THEN
		PERFORM onec.enqueue(server, entity_set, 'patch', held.card_id, onec_internal.write_body(
			server, 'card', jsonb_build_object('owner', customer), true));
	END IF;
	RETURN held.card_id;
END $$;
COMMENT ON FUNCTION onec_internal.put_card(name, uuid, jsonb) IS
	'Карта покупателя: найденная или новая (служебная)';

CREATE FUNCTION onec.issue_card(server name, customer uuid, card jsonb,
								idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	done uuid;
BEGIN
	PERFORM onec_internal.must_write('issue_card');
	srv := onec_internal.site_writes(server, 'card');
	done := onec_internal.called_before(srv, 'issue_card', idempotency, jsonb_build_array(customer, card),
										true);
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_said('card', jsonb_build_array(card), '{key}');
	IF btrim(card ->> 'barcode') = '' IS NOT FALSE THEN
		PERFORM onec_internal.refuse_missing(srv, 'card', 'barcode', NULL);
	END IF;
	PERFORM onec_internal.must_be_known(srv, 'customer', customer);
	RETURN onec_internal.answered(srv, 'issue_card', idempotency,
								  onec_internal.put_card(srv, customer, card));
END $$;
COMMENT ON FUNCTION onec.issue_card(name, uuid, jsonb, text) IS
	'Выдать покупателю карту: {"barcode": …}; карта без владельца становится его, новая ставится в очередь. '
	'Возвращает ссылку на карту';

-- ---- customers ----

-- Whether the store or the outbox knows an object, so that nothing is written to somebody who is not there.
CREATE FUNCTION onec_internal.must_be_known(server name, object text, key uuid) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_1c uuid := onec_internal.key_in_1c(server, key);
	at_site uuid := onec_internal.site_key(server, key);
BEGIN
	IF key IS NULL OR onec_internal.came_to_nothing(server, key) OR NOT (
		EXISTS (SELECT FROM onec.counterparty c
				WHERE object = 'customer' AND c.server = must_be_known.server AND c.customer_id = in_1c)
		OR EXISTS (SELECT FROM onec.discount_card d
				   WHERE object = 'card' AND d.server = must_be_known.server AND d.card_id = in_1c)
		OR EXISTS (SELECT FROM onec.outbox o
				   WHERE o.server = must_be_known.server AND o.key = at_site
					 AND o.entity_set = onec_internal.write_set(must_be_known.server, object))
		OR EXISTS (SELECT FROM onec.outbox_history h
				   WHERE h.server = must_be_known.server AND h.key = at_site
					 AND h.entity_set = onec_internal.write_set(must_be_known.server, object))) THEN
		RAISE no_data_found USING
			MESSAGE = format('no %s of server "%s" is known by this key', object, server),
			HINT = format('What 1C has is known after CALL onec.sync(%L).', server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.must_be_known(name, text, uuid) IS
	'Отказать, если ни в местных данных, ни в очереди объекта нет (служебная)';

-- The person who has one of these already; else "person" has them now.
CREATE FUNCTION onec_internal.hold_or_find(server name, person uuid, number text, address text,
										   code text) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	plain text := lower(btrim(address) COLLATE "default");
	other uuid := onec_internal.site_key(server, onec_internal.person_known(server, number, plain, code));
	w record;
BEGIN
	FOR w IN SELECT k.kind, k.value FROM (VALUES (1, 'phone', number), (2, 'email', plain)) k (n, kind, value)
		WHERE other IS NULL AND k.value IS NOT NULL ORDER BY k.n LOOP
		SELECT h.customer_id INTO other FROM onec_internal.hold_person(server, w.kind, w.value, person) h
		WHERE h.customer_id <> person;
		EXIT WHEN other IS NOT NULL;
	END LOOP;
	IF other IS NULL AND code IS NOT NULL THEN
		SELECT p.customer_id INTO other FROM onec_internal.site_person p
		WHERE p.server = hold_or_find.server AND p.kind = 'card' AND p.value = code
		  AND NOT onec_internal.is_given_up(p);
	END IF;
	IF other IS NOT NULL THEN
		UPDATE onec_internal.site_person p SET customer_id = other, is_written = false
		WHERE p.customer_id = person AND p.server = hold_or_find.server;
		-- what they were not known by is theirs from now on
		PERFORM onec_internal.hold_person(server, k.kind, coalesce(k.phone, k.email), other,
										  written => false)
		FROM (VALUES ('phone', number, NULL), ('email', NULL, plain)) k (kind, phone, email)
		WHERE num_nonnulls(k.phone, k.email) > 0
		  AND onec_internal.person_known(server, k.phone, k.email, NULL) IS NULL;
	END IF;
	RETURN other;
END $$;
COMMENT ON FUNCTION onec_internal.hold_or_find(name, uuid, text, text, text) IS
	'Кто уже есть с таким телефоном, картой или почтой; NULL — никто, и они закреплены (служебная)';

CREATE FUNCTION onec.create_customer(server name, customer jsonb, idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	code text := nullif(btrim(customer ->> 'card'), '');
	contact record;
	other uuid;
	key uuid;
	person jsonb;
	rows jsonb;
BEGIN
	PERFORM onec_internal.must_write('create_customer');
	srv := onec_internal.site_writes(server, 'customer');
	other := onec_internal.called_before(srv, 'create_customer', idempotency, customer, true);
	IF other IS NOT NULL THEN
		RETURN other;
	END IF;
	PERFORM onec_internal.check_said('customer', jsonb_build_array(customer), '{key,card}');
	SELECT * INTO contact FROM onec_internal.contact_said(srv, customer ->> 'phone', customer ->> 'email');
	IF num_nonnulls(contact.number, contact.address, code) = 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'a customer is known by "phone", "email" or "card"',
			HINT = 'Without any of them the next visit would make another one.';
	END IF;
	key := onec_internal.key_said(customer);
	other := onec_internal.hold_or_find(srv, key, contact.number, contact.address, code);
	IF other IS NULL THEN
		person := customer - '{key,card}'::text[]
			|| jsonb_build_object('phone', contact.number, 'email', contact.address,
								  'full_name', coalesce(customer ->> 'full_name', customer ->> 'name'));
		IF onec_internal.part_of_object(srv, 'customer.contacts') IS NOT NULL THEN
			rows := onec_internal.contact_rows(srv, contact.number, contact.address);
		END IF;
		key := (onec.enqueue(srv, onec_internal.write_set(srv, 'customer'), 'create', key,
							 onec_internal.with_part(srv, 'customer.contacts',
													 onec_internal.write_body(srv, 'customer', person),
													 rows))).object_key;
	END IF;
	IF code IS NOT NULL THEN
		PERFORM onec_internal.site_writes(srv, 'card');
		PERFORM onec_internal.put_card(srv, coalesce(other, key), jsonb_build_object('barcode', code));
	END IF;
	RETURN onec_internal.answered(srv, 'create_customer', idempotency, coalesce(other, key));
END $$;
COMMENT ON FUNCTION onec.create_customer(name, jsonb, text) IS
	'Найти покупателя по телефону, карте или почте в местных данных и в очереди, а если его нет — '
	'поставить в очередь создание: {"name": …, "phone": …, "email": …, "card": штрихкод}. Возвращает '
	'ссылку; двое сразу с одним телефоном получают одну';

-- Raise if a telephone or an address is another living person's, in the store or asked for; else it is this
-- one's from now on.  What the store has of theirs they may have, whoever else does.
CREATE FUNCTION onec_internal.take_contact(server name, person uuid, number text, address text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_1c uuid := onec_internal.key_in_1c(server, person);
	w record;
	other uuid;
BEGIN
	FOR w IN SELECT k.* FROM (VALUES (1, 'phone', 'telephone', number),
			(2, 'email', 'address', lower(btrim(address) COLLATE "default"))) k (n, kind, title, value)
		WHERE k.value IS NOT NULL ORDER BY k.n LOOP
		CONTINUE WHEN (w.kind, w.value) IN (SELECT c.kind, c.value
											FROM onec_internal.contacts_stored(server, in_1c) c);
		other := onec_internal.person_known(server, CASE w.kind WHEN 'phone' THEN w.value END,
											CASE w.kind WHEN 'email' THEN w.value END, NULL);
		IF other IS NULL OR other = in_1c THEN
			other := onec_internal.key_in_1c(server, (onec_internal.hold_person(server, w.kind, w.value,
																				person)).customer_id);
		END IF;
		IF other <> in_1c THEN
			RAISE unique_violation USING MESSAGE = format('the %s is another customer''s', w.title);
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.take_contact(name, uuid, text, text) IS
	'Закрепить телефон и почту за человеком, если они ничьи (служебная)';

-- What the rows of contacts had that new ones replace (outbox.merge_old), as merged_rows() takes it; NULL:
-- nothing was said of that.
CREATE FUNCTION onec_internal.contacts_had(server name, rows jsonb, old_number text, old_address text)
	RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_agg(CASE r.of ->> 'type' WHEN 'Телефон' THEN h.phone ELSE h.email END ORDER BY r.n)
	FROM jsonb_array_elements($2) WITH ORDINALITY r (of, n)
	CROSS JOIN (
		SELECT jsonb_object_agg(f.property, $3) FILTER (WHERE f.field IN ('phone', 'presentation')
														AND $3 IS NOT NULL) AS phone,
			   jsonb_object_agg(f.property, $4) FILTER (WHERE f.field IN ('email', 'presentation')
														AND $4 IS NOT NULL) AS email
		FROM onec_internal.write_fields($1, 'customer.contacts') f WHERE f.property IS NOT NULL) h
	WHERE num_nonnulls($3, $4) > 0
$$;
COMMENT ON FUNCTION onec_internal.contacts_had(name, jsonb, text, text) IS
	'Что было в строках контактов, которые меняются (служебная)';

-- The change of a person's contacts; the number of its row.
CREATE FUNCTION onec_internal.put_contacts(server name, person uuid, part text, rows jsonb, had jsonb)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	made bigint := (onec.enqueue(server, onec_internal.write_set(server, 'customer'), 'merge_rows', person,
		jsonb_build_object(part, onec_internal.write_bodies(server, 'customer.contacts', rows)),
		merge_by => ARRAY(
			SELECT f.property FROM onec_internal.write_fields(server, 'customer.contacts') f
			WHERE f.field IN ('type', 'kind') AND f.property IS NOT NULL ORDER BY f.ordinal))).id;
BEGIN
	UPDATE onec.outbox o SET merge_old = jsonb_build_object(part, had)
	WHERE o.server = put_contacts.server AND o.id = made AND had IS NOT NULL;
	RETURN made;
END $$;
COMMENT ON FUNCTION onec_internal.put_contacts(name, uuid, text, jsonb, jsonb) IS
	'Поставить в очередь изменение контактов (служебная)';

-- Whether what 1C looks people up by is another telephone (address) than the one that is replaced.
CREATE FUNCTION onec_internal.is_second(server name, person uuid, kind text, old text) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN coalesce((SELECT NOT onec_internal.same_said(CASE $3 WHEN 'phone' THEN c.phone ELSE c.email END,
														$4)
					 FROM onec.counterparty c
					 WHERE c.server = $1 AND c.customer_id = onec_internal.key_in_1c($1, $2)), false);
COMMENT ON FUNCTION onec_internal.is_second(name, uuid, text, text) IS
	'Не основной ли это телефон или почта (служебная)';

CREATE FUNCTION onec.change_contact(server name, customer uuid, phone text DEFAULT NULL,
									email text DEFAULT NULL, idempotency text DEFAULT NULL,
									old_phone text DEFAULT NULL, old_email text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	entity_set text;
	part text;
	contact record;
	was record;
	rows jsonb;
	before bigint[] := '{}';
	header jsonb;
	done uuid;
BEGIN
	PERFORM onec_internal.must_write('change_contact');
	srv := onec_internal.site_writes(server, 'customer');
	entity_set := onec_internal.write_set(srv, 'customer');
	part := onec_internal.part_of_object(srv, 'customer.contacts');
	done := onec_internal.called_before(srv, 'change_contact', idempotency,
										jsonb_build_array(customer, phone, email, old_phone, old_email));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	SELECT * INTO contact FROM onec_internal.contact_said(srv, phone, email);
	IF num_nonnulls(contact.number, contact.address) = 0 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'change_contact needs a "phone" or an "email"';
	END IF;
	SELECT * INTO was FROM onec_internal.contact_said(srv, old_phone, old_email);
	IF was.number IS NOT NULL AND contact.number IS NULL
		OR was.address IS NOT NULL AND contact.address IS NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'the old telephone or address needs a new one: nothing is deleted';
	END IF;
	PERFORM onec_internal.must_be_known(srv, 'customer', customer);
	customer := onec_internal.site_key(srv, customer);
	PERFORM onec_internal.take_contact(srv, customer, contact.number, contact.address);
	IF part IS NOT NULL THEN
		rows := onec_internal.contact_rows(srv, contact.number, contact.address);
		before := ARRAY[onec_internal.put_contacts(srv, customer, part, rows,
			onec_internal.contacts_had(srv, rows, was.number, was.address))];
	END IF;
	-- what 1C itself looks people up by, unless it is a second one that is replaced
	header := onec_internal.write_body(srv, 'customer', jsonb_strip_nulls(jsonb_build_object(
		'phone', CASE WHEN was.number IS NULL OR NOT onec_internal.is_second(srv, customer, 'phone',
			was.number) THEN contact.number END,
		'email', CASE WHEN was.address IS NULL OR NOT onec_internal.is_second(srv, customer, 'email',
			was.address) THEN contact.address END)), true);
	IF header <> '{}' THEN
		PERFORM onec.enqueue(srv, entity_set, 'patch', customer, header, before);
	END IF;
	RETURN onec_internal.answered(srv, 'change_contact', idempotency, customer);
END $$;
COMMENT ON FUNCTION onec.change_contact(name, uuid, text, text, text, text, text) IS
	'Поставить в очередь новый телефон или почту покупателя: при доставке читается вся таблица контактов, и '
	'меняется строка своего вида; чужие остаются. Если таких несколько, меняется первая или та, в которой '
	'old_phone (old_email). Возвращает ссылку на покупателя';
