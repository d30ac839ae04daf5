-- A base that publishes no register of sales but that of card sales.

-- Its rows are the sales.  Sales that were read when there was a register of their own stay, unless "force"
-- says that there will be none.
CREATE FUNCTION onec_internal.sales_from_card_register(server name, force boolean, OUT read bigint,
													   OUT inserted bigint, OUT updated bigint,
													   OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT force AND EXISTS (SELECT FROM onec.sale_line l
							 WHERE l.server = sales_from_card_register.server AND l.register = 'sales') THEN
		SELECT 0, 0, 0, 0, 'the register of sales has no foreign table any more' INTO read, inserted, updated,
			   deleted, doubt;
		RETURN;
	END IF;
	CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS
		SELECT l.server, onec_internal.own_term('card_sales')::onec_internal.term_number AS register,
			   l.recorder, l.recorder_type, l.line_no, l.copy,
			   l.period, l.active,
			   coalesce(l.owner_id, d.owner_id) AS customer_id, l.card_id, l.product_id, l.variant_id,
			   l.quantity, l.amount, onec_internal.own_term('card')::onec_internal.term_number AS attribution
		FROM onec_internal.card_sale_line l
		LEFT JOIN onec.discount_card d ON d.server = sales_from_card_register.server AND d.card_id = l.card_id
		WHERE l.server = onec_internal.number_of_server(sales_from_card_register.server);
	GET DIAGNOSTICS read = ROW_COUNT;
	PERFORM onec_internal.drop_forgotten_from_staged(server, 'sale_line');
	ANALYZE pg_temp.onec_stage;
	PERFORM onec_internal.compare_with_staged(server, 'sale_line', 'true');
	SELECT a.inserted, a.updated, a.deleted INTO inserted, updated, deleted
	FROM onec_internal.write_differences(server, 'sale_line') a;
	PERFORM onec_internal.drop_window_tables();
END $$;
COMMENT ON FUNCTION onec_internal.sales_from_card_register(name, boolean) IS
	'Продажи из регистра продаж по картам, если другого нет (служебная)';
