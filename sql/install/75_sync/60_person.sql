-- What of the purchases concerns one person.

-- What of a table concerns a person: rows with their cards, or with them as the buyer.  References are
-- written without a type, to be compared as the column is: one of several types is text.
CREATE FUNCTION onec_internal.purchases_of_person(server name, target text, person uuid) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws(' OR ',
		(SELECT 'customer_id = ' || quote_literal(u.customer_id) FROM onec.site_user u
		 WHERE u.server = $1 AND u.user_id = $3 AND 'customer_id' = ANY (t.asked_by)
		   AND onec_internal.publishes_field($1, $2, 'customer_id')),
		(SELECT 'card_id IN (' || string_agg(quote_literal(c.card_id), ', ' ORDER BY c.card_id) || ')'
		 FROM onec.customer_card c
		 WHERE c.server = $1 AND c.user_id = $3 AND 'card_id' = ANY (t.asked_by)
		   AND onec_internal.publishes_field($1, $2, 'card_id'))), '')
	FROM onec.target t WHERE t.target = $2
$$;
COMMENT ON FUNCTION onec_internal.purchases_of_person(name, text, uuid) IS
	'Условие: покупки одного человека; NULL — такого условия нет (служебная)';

-- Purchases of a person that only the register of card sales tells of: their documents are read by the moment
-- they stand at. What is here already was attributed when the card sales came.
CREATE FUNCTION onec_internal.sync_documents_by_card(server name, person uuid, from_ts timestamp,
													 till_ts timestamp,
													 OUT read bigint, OUT inserted bigint, OUT updated bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	moments text := (
		SELECT string_agg(DISTINCT quote_literal(l.period) || '::timestamp', ', ') FROM onec.card_sale_line l
		JOIN onec.customer_card k ON k.server = l.server AND k.card_id = l.card_id AND k.user_id = person
		WHERE l.server = sync_documents_by_card.server AND l.period >= from_ts AND l.period < till_ts
		  AND NOT EXISTS (SELECT FROM onec.sale_line s
						  WHERE s.server = l.server AND s.register = 'sales' AND s.recorder = l.recorder
						  AND s.recorder_type = l.recorder_type));
BEGIN
	read := 0;
	inserted := 0;
	updated := 0;
	IF moments IS NOT NULL THEN
		SELECT w.read, w.inserted, w.updated INTO read, inserted, updated
		FROM onec_internal.sync_part_of_table(server, 'sale_line', format('period IN (%s)', moments), NULL,
											  NULL, NULL, false, NULL) w;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.sync_documents_by_card(name, uuid, timestamp, timestamp) IS
	'Прочитать покупки человека, известные только по регистру продаж по картам (служебная)';
