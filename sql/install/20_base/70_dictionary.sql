-- Short numbers for what stands in every line of the large tables: the base, words of 1C such as types of
-- documents, and references of which there are few, such as shops.  The name of a server alone would be 64
-- bytes of each row and of each entry of an index.
--
-- Rows with numbers are in onec_internal, under the names that people know as views of onec, where the words
-- and references stand again.  A number is never given to another while rows may have it.

CREATE TABLE onec_internal.server_number (
	number smallint PRIMARY KEY,
	server name NOT NULL UNIQUE
);
COMMENT ON TABLE onec_internal.server_number IS 'Номера внешних серверов в строках больших таблиц';
COMMENT ON COLUMN onec_internal.server_number.number IS 'Номер';
COMMENT ON COLUMN onec_internal.server_number.server IS 'Внешний сервер';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.server_number', '');

CREATE TABLE onec_internal.term (
	number smallint PRIMARY KEY,
	word text NOT NULL UNIQUE
);
COMMENT ON TABLE onec_internal.term IS
	'Номера слов в строках больших таблиц: виды документов, регистры, виды движений';
COMMENT ON COLUMN onec_internal.term.number IS 'Номер; от 100 — слова из 1С';
COMMENT ON COLUMN onec_internal.term.word IS 'Слово';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.term', 'WHERE number >= 100');

-- A column of this type holds the number of a word.
CREATE DOMAIN onec_internal.term_number AS smallint;
COMMENT ON DOMAIN onec_internal.term_number IS 'Номер слова из onec_internal.term (служебный)';

-- References: 1C may have any number of what is a shop to it.
CREATE TABLE onec_internal.reference (
	number int PRIMARY KEY,
	id uuid NOT NULL UNIQUE
);
COMMENT ON TABLE onec_internal.reference IS
	'Номера ссылок в строках больших таблиц: магазины, организации';
COMMENT ON COLUMN onec_internal.reference.number IS 'Номер';
COMMENT ON COLUMN onec_internal.reference.id IS 'Ссылка';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.reference', '');

-- A column of this type holds the number of a reference.
CREATE DOMAIN onec_internal.reference_number AS int;
COMMENT ON DOMAIN onec_internal.reference_number IS 'Номер ссылки из onec_internal.reference (служебный)';

-- The words that this extension itself writes, numbered from 0: constants, so that plans and checks may use
-- them.  "recorder" is the type of a document that is the recorder of its row.
CREATE FUNCTION onec_internal.own_words() RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN '{anonymous,counterparty,card,card_register,sales,card_sales,Receipt,Expense,"",recorder}'::text[];
COMMENT ON FUNCTION onec_internal.own_words() IS 'Слова, которые пишет само расширение (служебная)';

CREATE FUNCTION onec_internal.own_term(word text) RETURNS smallint
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN (array_position(onec_internal.own_words(), word) - 1)::smallint;
COMMENT ON FUNCTION onec_internal.own_term(text) IS 'Номер слова, известного заранее (служебная)';
INSERT INTO onec_internal.term (number, word)
	SELECT onec_internal.own_term(w), w FROM unnest(onec_internal.own_words()) w;

-- The first copy of a logical replica brings words that are here already.
CREATE FUNCTION onec_internal.skip_known_term() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN NOT EXISTS (SELECT FROM onec_internal.term t
								 WHERE t.number = NEW.number AND t.word = NEW.word) THEN NEW END;
END $$;
COMMENT ON FUNCTION onec_internal.skip_known_term() IS 'Слово, которое уже есть, не добавляется (служебная)';
CREATE TRIGGER skip_known_term BEFORE INSERT
	ON onec_internal.term FOR EACH ROW EXECUTE FUNCTION onec_internal.skip_known_term();
ALTER TABLE onec_internal.term ENABLE ALWAYS TRIGGER skip_known_term;

-- The number of a word, which gets one if it is new.  Whoever meets a new word at the same moment waits for
-- the other's commit.
CREATE FUNCTION onec_internal.new_term(word text) RETURNS smallint
	LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found smallint;
BEGIN
	LOOP
		found := (SELECT t.number FROM onec_internal.term t WHERE t.word = new_term.word);
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
		INSERT INTO onec_internal.term (number, word)
		SELECT greatest(max(t.number), 99) + 1, new_term.word FROM onec_internal.term t
		ON CONFLICT DO NOTHING;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.new_term(text) IS 'Номер слова; новому даётся следующий (служебная)';

-- The same for a reference.
CREATE FUNCTION onec_internal.new_reference(id uuid) RETURNS int
	LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found int;
BEGIN
	LOOP
		found := (SELECT r.number FROM onec_internal.reference r WHERE r.id = new_reference.id);
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
		INSERT INTO onec_internal.reference (number, id)
		SELECT coalesce(max(r.number), 0) + 1, new_reference.id FROM onec_internal.reference r
		ON CONFLICT DO NOTHING;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.new_reference(uuid) IS 'Номер ссылки; новой даётся следующий (служебная)';

-- And for a server.
CREATE FUNCTION onec_internal.new_server_number(server name) RETURNS smallint
	LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found smallint;
BEGIN
	LOOP
		found := (SELECT n.number FROM onec_internal.server_number n
				  WHERE n.server = new_server_number.server);
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
		INSERT INTO onec_internal.server_number (number, server)
		SELECT coalesce(max(n.number), 0) + 1, new_server_number.server FROM onec_internal.server_number n
		ON CONFLICT DO NOTHING;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.new_server_number(name) IS
	'Номер внешнего сервера; новому даётся следующий (служебная)';

-- The number that it has; NULL: no row is of it.
CREATE FUNCTION onec_internal.number_of_server(server name) RETURNS smallint
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN (SELECT n.number FROM onec_internal.server_number n WHERE n.server = $1);
COMMENT ON FUNCTION onec_internal.number_of_server(name) IS 'Номер внешнего сервера (служебная)';

-- How statements on a table call a server: by its number where the column is one, else by its name.
CREATE FUNCTION onec_internal.server_in(tab text, server name) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(tab) AND a.attname = 'server'
			   AND a.atttypid = 'smallint'::regtype) THEN
		RETURN format('%L::smallint', onec_internal.number_of_server(server));
	END IF;
	RETURN format('%L::name', server);
END $$;
COMMENT ON FUNCTION onec_internal.server_in(text, name) IS
	'Как назвать сервер в запросе к таблице: номером или именем (служебная)';
