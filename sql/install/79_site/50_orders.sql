-- Orders of customers and what is done to documents.

-- The lines of an order with their sums: 1C works none of them out.  A discount is said in money or per cent;
-- VAT is in the sums, or comes on top.  Numbers that make no sense are refused by line and field.
CREATE FUNCTION onec_internal.order_lines(server name, said jsonb, includes_vat boolean,
										  store jsonb) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- what the shop says of VAT is of its own rate; a base without rates has none
	rate numeric := CASE WHEN EXISTS (SELECT FROM onec_internal.write_fields(server, 'order.lines') f
									  WHERE f.field = 'vat_rate' AND f.property IS NOT NULL)
						 THEN onec_internal.shop_says(server, 'order.lines', 'vat_percent') #>> '{}'
						 ELSE '0' END;
	fault record;
BEGIN
	WITH line AS (
		SELECT r.n, r.of, (r.of ->> 'quantity')::numeric AS quantity, (r.of ->> 'price')::numeric AS price,
			   (r.of ->> 'discount')::numeric AS discount, (r.of ->> 'discount_percent')::numeric AS percent,
			   coalesce((r.of ->> 'vat_percent')::numeric,
						CASE WHEN r.of ->> 'vat_rate' IS NULL THEN rate END) AS vat_percent
		FROM jsonb_array_elements(said) WITH ORDINALITY r (of, n)),
	priced AS (
		SELECT l.*, round(l.quantity * l.price, 2) AS amount,
			   round(coalesce(l.discount, l.quantity * l.price * l.percent / 100, 0), 2) AS off,
			   CASE WHEN l.vat_percent IS NULL THEN 'vat_percent'
					-- a sum of nothing for what has a price; more than the fifteen digits that 1C holds
					WHEN l.quantity <= 0 OR l.quantity >= 1e13
						OR l.price > 0 AND round(l.quantity * l.price, 2) = 0 THEN 'quantity'
					WHEN l.price < 0 OR l.price >= 1e13 OR l.quantity * l.price >= 1e13 THEN 'price'
					WHEN l.percent NOT BETWEEN 0 AND 100 THEN 'discount_percent'
					WHEN l.discount NOT BETWEEN 0 AND l.quantity * l.price THEN 'discount' END AS wrong
		FROM line l),
	taxed AS (
		SELECT p.*, round((p.amount - p.off) * p.vat_percent
						  / CASE WHEN includes_vat THEN 100 + p.vat_percent ELSE 100 END, 2) AS vat
		FROM priced p)
	SELECT (array_agg(t.n ORDER BY t.n) FILTER (WHERE t.wrong IS NOT NULL))[1] AS n,
		   (array_agg(t.wrong ORDER BY t.n) FILTER (WHERE t.wrong IS NOT NULL))[1] AS wrong,
		   jsonb_agg(t.of || jsonb_build_object('link', t.n, 'amount', t.amount, 'discount', t.off,
			   'discount_percent', coalesce(t.percent, round(100 * t.off / nullif(t.amount, 0), 2), 0),
			   'vat_amount', t.vat, 'total', t.amount - t.off + CASE WHEN includes_vat THEN 0 ELSE t.vat END,
			   'line_store', store) ORDER BY t.n) AS lines
	INTO fault FROM taxed t;
	IF fault.wrong = 'vat_percent' THEN
		PERFORM onec_internal.refuse_missing(server, 'order.lines', fault.wrong, fault.n);
	ELSIF fault.wrong IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('"%s" of line %s of the order is out of range', fault.wrong, fault.n);
	END IF;
	RETURN fault.lines;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range OR division_by_zero THEN
	RAISE invalid_parameter_value USING
		MESSAGE = 'quantity, price, discount and per cents of an order''s lines are numbers';
END $$;
COMMENT ON FUNCTION onec_internal.order_lines(name, jsonb, boolean, jsonb) IS
	'Строки заказа с суммами (служебная)';

CREATE FUNCTION onec.place_order(server name, "order" jsonb, post boolean DEFAULT true,
								 idempotency text DEFAULT NULL) RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name;
	head jsonb := "order" - '{key,lines}'::text[];
	lines jsonb := "order" -> 'lines';
	entity_set text;
	done uuid;
	made record;
BEGIN
	PERFORM onec_internal.must_write('place_order');
	srv := onec_internal.site_writes(server, 'order');
	entity_set := onec_internal.write_set(srv, 'order');
	done := onec_internal.called_before(srv, 'place_order', idempotency,
										jsonb_build_array("order", post IS NOT FALSE));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec_internal.check_said('order', jsonb_build_array("order"), '{key,lines}');
	PERFORM onec_internal.check_said('order.lines', lines);
	IF lines = '[]' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'an order needs at least one line';
	END IF;
	head := jsonb_build_object('date', date_trunc('second', onec.local_now(srv))) || jsonb_strip_nulls(head);
	lines := onec_internal.order_lines(srv, lines, coalesce(head -> 'includes_vat',
		onec_internal.shop_says(srv, 'order', 'includes_vat'), 'true')::boolean,
		coalesce(head -> 'reserve_store', onec_internal.shop_says(srv, 'order', 'reserve_store'),
			head -> 'store'));
	head := head || jsonb_build_object('amount', (SELECT sum((l ->> 'total')::numeric)
												  FROM jsonb_array_elements(lines) l), 'lines', lines);
	PERFORM onec_internal.check_complete(srv, 'order', jsonb_build_array(head));
	PERFORM onec_internal.must_be_known(srv, 'customer', onec_internal.reference_uuid(head ->> 'customer'));
	SELECT * INTO made FROM onec.enqueue(srv, entity_set, 'create', onec_internal.key_said("order"),
		onec_internal.with_part(srv, 'order.lines', onec_internal.write_body(srv, 'order', head)
			- onec_internal.part_of_object(srv, 'order.lines'), lines));
	IF post IS NOT FALSE THEN
		PERFORM onec.enqueue(srv, entity_set, 'post', made.object_key, depends_on => ARRAY[made.id]);
	END IF;
	RETURN onec_internal.answered(srv, 'place_order', idempotency, made.object_key);
END $$;
COMMENT ON FUNCTION onec.place_order(name, jsonb, boolean, text) IS
	'Поставить в очередь заказ покупателя и его проведение: {"customer": ссылка, "lines": [{"product": '
	'ссылка, "quantity": 1, "price": 100}]}; суммы, скидки и НДС считаются здесь, остальное говорит '
	'onec.write_default. Обязательное поле без значения — ошибка с его именем. Возвращает ссылку на заказ';

-- A step for a document or an object that is there, or is on its way.
CREATE FUNCTION onec_internal.put_step(server name, entity_set text, operation text, key uuid,
									   idempotency text) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
	done uuid;
BEGIN
	-- who may not write this is told nothing of what others have
	PERFORM onec_internal.check_allowed(srv, onec_internal.calling_role(), entity_set);
	done := onec_internal.called_before(srv, operation, idempotency, jsonb_build_array(entity_set, key));
	IF done IS NOT NULL THEN
		RETURN done;
	END IF;
	PERFORM onec.enqueue(srv, entity_set, operation, key, depends_on => ARRAY(
		SELECT o.id FROM onec.outbox o
		WHERE o.server = srv AND o.key = onec_internal.site_key(srv, put_step.key)
		  AND o.operation = 'create'));
	RETURN onec_internal.answered(srv, operation, idempotency, key);
END $$;
COMMENT ON FUNCTION onec_internal.put_step(name, text, text, uuid, text) IS
	'Поставить в очередь шаг с объектом (служебная)';

CREATE FUNCTION onec.post_document(server name, entity_set text, key uuid, idempotency text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('post_document');
	RETURN onec_internal.put_step(server, entity_set, 'post', key, idempotency);
END $$;
COMMENT ON FUNCTION onec.post_document(name, text, uuid, text) IS
	'Поставить в очередь проведение документа: набор 1С и ссылка. Возвращает ссылку';

CREATE FUNCTION onec.unpost_document(server name, entity_set text, key uuid, idempotency text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('unpost_document');
	RETURN onec_internal.put_step(server, entity_set, 'unpost', key, idempotency);
END $$;
COMMENT ON FUNCTION onec.unpost_document(name, text, uuid, text) IS
	'Поставить в очередь отмену проведения документа. Возвращает ссылку';

CREATE FUNCTION onec.mark_deleted(server name, entity_set text, key uuid, idempotency text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM onec_internal.must_write('mark_deleted');
	RETURN onec_internal.put_step(server, entity_set, 'mark', key, idempotency);
END $$;
COMMENT ON FUNCTION onec.mark_deleted(name, text, uuid, text) IS
	'Поставить в очередь пометку объекта на удаление; проведённый документ 1С не пометит, пока проведение не '
	'отменено. Возвращает ссылку';

-- Only roles that onec.grant_site_writer has named call these; what they write is checked by the set.
REVOKE EXECUTE ON FUNCTION onec.create_customer(name, jsonb, text),
	onec.change_contact(name, uuid, text, text, text, text, text), onec.issue_card(name, uuid, jsonb, text),
	onec.award_points(name, uuid, numeric, timestamp, text, text),
	onec.spend_points(name, uuid, numeric, text, text), onec.place_order(name, jsonb, boolean, text),
	onec.post_document(name, text, uuid, text), onec.unpost_document(name, text, uuid, text),
	onec.mark_deleted(name, text, uuid, text) FROM PUBLIC;
