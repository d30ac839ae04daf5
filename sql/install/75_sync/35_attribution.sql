-- Who bought: what the rows of sales, the cards and the register of card sales tell together.

-- The card rows of the documents staged.
CREATE FUNCTION onec_internal.card_rows_of_staged(server name)
	RETURNS TABLE (recorder uuid, recorder_type smallint, line_no int, copy smallint, product_id uuid,
				   amount numeric, card_id uuid, owner_id uuid)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = on
AS $$
	SELECT l.recorder, l.recorder_type, l.line_no, l.copy, l.product_id, l.amount, l.card_id,
		   coalesce(l.owner_id, d.owner_id)
	FROM (SELECT DISTINCT t.server, t.recorder, t.recorder_type FROM pg_temp.onec_stage t) t
	JOIN onec_internal.card_sale_line l ON l.server = t.server AND l.recorder = t.recorder
		AND l.recorder_type = t.recorder_type
	LEFT JOIN onec.discount_card d ON d.server = $1 AND d.card_id = l.card_id
$$;
COMMENT ON FUNCTION onec_internal.card_rows_of_staged(name) IS
	'Продажи по картам прочитанных документов (служебная)';

-- What rows of one document have in common that may be the same sale: product and sum, each of which may be
-- unknown.  No product has the number of nothing, and no sum is not a number.
CREATE FUNCTION onec_internal.known_product(product_id uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(product_id, '00000000-0000-0000-0000-000000000000'::uuid);
COMMENT ON FUNCTION onec_internal.known_product(uuid) IS 'Товар, чтобы сравнивать и пустой (служебная)';
CREATE FUNCTION onec_internal.known_amount(amount numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(amount, 'NaN'::numeric);
COMMENT ON FUNCTION onec_internal.known_amount(numeric) IS 'Сумма, чтобы сравнивать и пустую (служебная)';

-- Whether a copy of a line is answered by this copy of a card row: the first by the first, and so on; copies
-- that the card row has no like of by its last.
CREATE FUNCTION onec_internal.is_same_twin(sold bigint, carded bigint, is_last boolean) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN sold = carded OR (is_last AND sold > carded);
COMMENT ON FUNCTION onec_internal.is_same_twin(bigint, bigint, boolean) IS
	'Отвечает ли экземпляр строки по карте экземпляру строки продажи (служебная)';

-- What the register of card sales tells of the staged rows.  A shift report has rows of many people, and
-- rows may be alike (document, product, amount), so they are matched in three turns.  Example: a report has
-- three rings of 2000.
--
--	row 1  of Anna          card row 1  Anna's card
--	row 2  of nobody        card row 2  Boris' card
--	row 3  of nobody
--
-- First rows get the card rows of their own customer: row 1 is by Anna's card.  Then rows of nobody get
-- those that are left, the n-th the n-th: row 2 is Boris'.  Row 3 is left over.  It stays anonymous, for
-- the document is of two cards.  Had both card rows been Boris', and each row of the document been like one
-- of his (then it is of one buyer), row 3 would be his as well.
--
-- A row whose key came twice is one line in two copies, and counts once: else those behind it would get the
-- card rows of their neighbours.  What is left over of a line, one of whose copies has its buyer ("taken"),
-- is for copies of such lines alone.
CREATE FUNCTION onec_internal.attribute_by_card_register(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	-- of rows made in the query the planner knows nothing, and takes them for few
	SET enable_nestloop = off SET jit = off
AS $$
	WITH sold AS MATERIALIZED (
		SELECT t.ctid AS place, t.customer_id, t.card_id, t.attribution, t.line_no, t.recorder,
			   t.recorder_type, onec_internal.known_product(t.product_id) AS product,
			   onec_internal.known_amount(t.amount) AS amount,
			   dense_rank() OVER (PARTITION BY t.recorder, t.recorder_type, t.product_id, t.amount,
								  t.customer_id ORDER BY t.line_no) AS n,
			   row_number() OVER (PARTITION BY t.recorder, t.recorder_type, t.product_id, t.amount,
								  t.customer_id, t.line_no ORDER BY t.copy, t.ctid) AS twin
		FROM pg_temp.onec_stage t),
	carded AS MATERIALIZED (
		SELECT l.line_no, l.copy, l.recorder, l.recorder_type,
			   onec_internal.known_product(l.product_id) AS product,
			   onec_internal.known_amount(l.amount) AS amount, l.card_id, l.owner_id,
			   dense_rank() OVER (PARTITION BY l.recorder, l.recorder_type, l.product_id, l.amount,
								  l.owner_id ORDER BY l.line_no) AS n,
			   row_number() OVER line AS twin, lead(l.copy) OVER line IS NULL AS is_last
		FROM onec_internal.card_rows_of_staged($1) l
		WINDOW line AS (PARTITION BY l.recorder, l.recorder_type, l.product_id, l.amount, l.owner_id,
						l.line_no ORDER BY l.copy)),
	one_buyer AS (
		SELECT c.recorder, c.recorder_type FROM carded c GROUP BY 1, 2
		HAVING min(c.card_id::text) = max(c.card_id::text) AND count(c.card_id) = count(*)
		EXCEPT SELECT o.recorder, o.recorder_type FROM sold o
		WHERE NOT EXISTS (SELECT FROM carded c
						  WHERE (c.recorder, c.recorder_type, c.product, c.amount)
								= (o.recorder, o.recorder_type, o.product, o.amount))),
	own AS (SELECT o.place, c.recorder, c.recorder_type, c.product, c.amount, o.line_no AS sold_line,
				   c.line_no, c.card_id, c.owner_id
			FROM sold o JOIN carded c ON (c.recorder, c.recorder_type, c.product, c.amount)
										 = (o.recorder, o.recorder_type, o.product, o.amount)
				AND c.owner_id = o.customer_id AND c.n = o.n
				AND onec_internal.is_same_twin(o.twin, c.twin, c.is_last)),
	spare AS (
		SELECT c.recorder, c.recorder_type, c.product, c.amount, c.card_id, c.owner_id,
			   t.line_no IS NOT NULL AS is_taken,
			   dense_rank() OVER (PARTITION BY c.recorder, c.recorder_type, c.product, c.amount,
								  t.line_no IS NULL ORDER BY c.line_no) AS turn,
			   row_number() OVER line AS twin, lead(c.copy) OVER line IS NULL AS is_last
		FROM carded c
		LEFT JOIN (SELECT DISTINCT w.recorder, w.recorder_type, w.product, w.amount, w.line_no FROM own w) t
			ON (t.recorder, t.recorder_type, t.product, t.amount, t.line_no)
			   = (c.recorder, c.recorder_type, c.product, c.amount, c.line_no)
		WHERE NOT EXISTS (SELECT FROM own w
						  WHERE (w.recorder, w.recorder_type, w.product, w.amount, w.line_no, w.owner_id)
								= (c.recorder, c.recorder_type, c.product, c.amount, c.line_no, c.owner_id))
		WINDOW line AS (PARTITION BY c.recorder, c.recorder_type, c.product, c.amount, c.line_no
						ORDER BY c.copy)),
	nobodys AS (SELECT o.*, t.sold_line IS NOT NULL AS is_taken,
					   dense_rank() OVER (PARTITION BY o.recorder, o.recorder_type, o.product, o.amount,
										  t.sold_line IS NULL ORDER BY o.line_no) AS turn
				FROM sold o
				LEFT JOIN (SELECT DISTINCT w.recorder, w.recorder_type, w.product, w.amount, w.sold_line
						   FROM own w) t
					ON (t.recorder, t.recorder_type, t.product, t.amount, t.sold_line)
					   = (o.recorder, o.recorder_type, o.product, o.amount, o.line_no)
				WHERE o.customer_id IS NULL AND o.attribution = onec_internal.own_term('anonymous'))
	UPDATE pg_temp.onec_stage s
	SET customer_id = coalesce(s.customer_id, r.owner_id), card_id = coalesce(s.card_id, r.card_id),
		attribution = CASE WHEN s.attribution = onec_internal.own_term('anonymous')
						   THEN onec_internal.own_term('card_register') ELSE s.attribution END
	FROM (SELECT w.place, w.card_id, w.owner_id FROM own w
		  UNION ALL
		  SELECT o.place, p.card_id, p.owner_id FROM nobodys o
		  JOIN spare p ON (p.recorder, p.recorder_type, p.product, p.amount, p.is_taken, p.turn)
						  = (o.recorder, o.recorder_type, o.product, o.amount, o.is_taken, o.turn)
			  AND onec_internal.is_same_twin(o.twin, p.twin, p.is_last)
		  UNION ALL
		  SELECT o.place, c.card_id, c.owner_id FROM nobodys o
		  JOIN one_buyer b ON b.recorder = o.recorder AND b.recorder_type = o.recorder_type
		  JOIN carded c ON (c.recorder, c.recorder_type, c.product, c.amount)
						   = (o.recorder, o.recorder_type, o.product, o.amount) AND c.n = 1 AND c.twin = 1
		  WHERE NOT EXISTS (SELECT FROM spare p
							WHERE (p.recorder, p.recorder_type, p.product, p.amount, p.is_taken, p.turn)
								  = (o.recorder, o.recorder_type, o.product, o.amount, o.is_taken,
									 o.turn))) r
	WHERE s.ctid = r.place AND r.card_id IS NOT NULL
	  AND (s.card_id IS NULL OR s.attribution = onec_internal.own_term('anonymous'))
$$;
COMMENT ON FUNCTION onec_internal.attribute_by_card_register(name) IS
	'Определить покупателя по регистру продаж по картам (служебная)';

-- Who bought: the counterparty of the row, else the owner of its card, else what the register of card sales
-- tells. A row without them is staged as anonymous.
CREATE FUNCTION onec_internal.attribute_staged_sales(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE pg_temp.onec_stage s SET customer_id = coalesce(s.customer_id, c.owner_id),
		attribution = onec_internal.own_term('card')
	FROM onec.discount_card c
	WHERE c.server = attribute_staged_sales.server AND c.card_id = s.card_id
	  AND s.attribution = onec_internal.own_term('anonymous');
	UPDATE pg_temp.onec_stage s SET attribution = onec_internal.own_term('card')
	WHERE s.card_id IS NOT NULL AND s.attribution = onec_internal.own_term('anonymous');
	IF NOT EXISTS (SELECT FROM onec_internal.card_sale_line l
				   WHERE l.server = onec_internal.number_of_server(attribute_staged_sales.server)) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.attribute_by_card_register(server);
END $$;
COMMENT ON FUNCTION onec_internal.attribute_staged_sales(name) IS
	'Определить покупателя прочитанных строк продаж (служебная)';

-- Whether the rows of card sales may be older than the lines of the same run: their own step, which comes
-- first, was not read to its end or not believed.
CREATE FUNCTION onec_internal.are_card_rows_old(server name) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((SELECT s.status NOT IN ('ok', 'not published') FROM onec.sync_step s
					 JOIN onec.target t ON t.target = s.target AND 'documents' = ANY (t.touches)
					 WHERE s.server = $1 ORDER BY s.run_id DESC LIMIT 1), false)
$$;
COMMENT ON FUNCTION onec_internal.are_card_rows_old(name) IS
	'Могут ли продажи по картам быть старше строк продаж (служебная)';

-- Staged lines of nobody, whose like here has its buyer by the register of card sales, keep him.  Returns how
-- many.
CREATE FUNCTION onec_internal.keep_buyers_of_staged(server name) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	kept bigint;
BEGIN
	UPDATE pg_temp.onec_stage s
	SET customer_id = l.customer_id, card_id = l.card_id, attribution = l.attribution
	FROM onec_internal.sale_line l
	WHERE s.attribution = onec_internal.own_term('anonymous')
	  AND l.attribution = onec_internal.own_term('card_register')
	  AND l.server = onec_internal.number_of_server(keep_buyers_of_staged.server)
	  AND l.register = s.register AND l.recorder = s.recorder AND l.recorder_type = s.recorder_type
	  AND l.line_no = s.line_no AND l.copy = s.copy AND l.product_id IS NOT DISTINCT FROM s.product_id;
	GET DIAGNOSTICS kept = ROW_COUNT;
	RETURN kept;
END $$;
COMMENT ON FUNCTION onec_internal.keep_buyers_of_staged(name) IS
	'Оставить строкам покупателей, которых дал регистр продаж по картам (служебная)';

-- Who bought the lines of a window.  Where the card rows may be older, a line that has got another sum is
-- like none of them: it keeps its buyer.  Returns how many did, for the window is to be read again.
CREATE FUNCTION onec_internal.attribute_window(server name, target text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT onec_internal.has_buyer(target) THEN
		RETURN 0;
	END IF;
	-- one column will do: the planner looks how many rows there are, and makes its plans anew
	ANALYZE pg_temp.onec_stage (server);
	PERFORM onec_internal.attribute_staged_sales(server);
	RETURN CASE WHEN onec_internal.are_card_rows_old(server)
				THEN onec_internal.keep_buyers_of_staged(server) ELSE 0 END;
END $$;
COMMENT ON FUNCTION onec_internal.attribute_window(name, text) IS
	'Определить покупателей прочитанного окна (служебная)';

-- The documents whose lines are attributed by what a window changes, into pg_temp.onec_document, before it is
-- written: rows of card sales tell of their own documents, an owner that is new of all that his card has
-- bought.
CREATE FUNCTION onec_internal.note_documents_to_attribute(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	touches text[] := onec_internal.what_target_touches(target);
	number smallint := onec_internal.number_of_server(server);
BEGIN
	IF to_regclass('pg_temp.onec_document') IS NOT NULL THEN
		DROP TABLE pg_temp.onec_document;
	END IF;
	IF 'documents' = ANY (touches) THEN
		CREATE TEMPORARY TABLE onec_document ON COMMIT DROP AS
			SELECT coalesce(s.recorder, c.recorder) AS recorder,
				   coalesce(s.recorder_type, c.recorder_type) AS recorder_type
			FROM pg_temp.onec_change c LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place GROUP BY 1, 2;
	ELSIF 'documents of cards' = ANY (touches) THEN
		CREATE TEMPORARY TABLE onec_document ON COMMIT DROP AS
			WITH card AS MATERIALIZED (
				SELECT s.card_id FROM pg_temp.onec_change c JOIN pg_temp.onec_stage s ON s.ctid = c.place
				LEFT JOIN onec.discount_card d ON d.server = note_documents_to_attribute.server
					AND d.card_id = s.card_id
				WHERE d.owner_id IS DISTINCT FROM s.owner_id)
			SELECT l.recorder, l.recorder_type FROM card k JOIN onec_internal.sale_line l
				ON l.card_id = k.card_id AND l.server = number
					AND l.attribution = onec_internal.own_term('card')
			UNION
			SELECT l.recorder, l.recorder_type FROM card k JOIN onec_internal.card_sale_line l
				ON l.card_id = k.card_id AND l.server = number AND l.owner_id IS NULL;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_documents_to_attribute(name, text) IS
	'Отметить документы, у строк которых может смениться покупатель (служебная)';

-- Attribute the lines of pg_temp.onec_document anew, wherever they lie.  What the row itself had in 1C is
-- told by its attribution; the card of a row with a counterparty may be the row's own where 1C publishes one,
-- and is kept then.  Nobody loses a line here: it may be older than the card rows, which have another sum
-- already, until its own window is read.  That window takes it from him if it is right.
CREATE FUNCTION onec_internal.attribute_noted_documents(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own_card boolean := onec_internal.publishes_field(server, 'sale_line', 'card_id');
	lines bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_temp.onec_document) THEN
		RETURN;
	END IF;
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
		SELECT l.* FROM onec_internal.sale_line l
		JOIN pg_temp.onec_document d ON d.recorder = l.recorder AND d.recorder_type = l.recorder_type
		WHERE l.server = onec_internal.number_of_server(attribute_noted_documents.server)
		  AND l.register = onec_internal.own_term('sales');
	GET DIAGNOSTICS lines = ROW_COUNT;
	IF lines > 0 THEN
		UPDATE pg_temp.onec_stage s
		SET customer_id = CASE s.attribution WHEN onec_internal.own_term('counterparty')
							   THEN s.customer_id END,
			card_id = CASE WHEN s.attribution = onec_internal.own_term('card')
							OR s.attribution = onec_internal.own_term('counterparty')
						   AND own_card THEN s.card_id END,
			attribution = CASE s.attribution WHEN onec_internal.own_term('counterparty') THEN s.attribution
							   ELSE onec_internal.own_term('anonymous') END;
		ANALYZE pg_temp.onec_stage;
		PERFORM onec_internal.attribute_staged_sales(server);
		PERFORM onec_internal.keep_buyers_of_staged(server);
		PERFORM onec_internal.drop_forgotten_from_staged(server, 'sale_line');
		PERFORM onec_internal.compare_with_staged(server, 'sale_line', NULL);
		PERFORM onec_internal.write_differences(server, 'sale_line');
	END IF;
	DROP TABLE pg_temp.onec_stage, pg_temp.onec_document;
END $$;
COMMENT ON FUNCTION onec_internal.attribute_noted_documents(name) IS
	'Определить покупателя заново у строк отмеченных документов (служебная)';
