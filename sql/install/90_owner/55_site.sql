-- Who writes to 1C through the functions of 79_site, and what.

CREATE FUNCTION onec.grant_site_writer(role regrole, entity_sets text[] DEFAULT NULL,
									   server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.written_server(server);
	known text[] := ARRAY(SELECT DISTINCT p.entity_set FROM onec_internal.outbox_property p
						  WHERE p.server = srv ORDER BY 1);
	own text[] := ARRAY(SELECT onec_internal.write_set(srv, w.object) FROM onec.write_object w);
BEGIN
	PERFORM onec_internal.must_write('grant_site_writer');
	PERFORM onec_internal.checked_word('entity set that can be written', e, known) FROM unnest(entity_sets) e;
	PERFORM onec_internal.keep_allowed(srv, role, ARRAY(
		SELECT e FROM unnest(coalesce(entity_sets, own)) e WHERE e = ANY (known)));
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT EXECUTE ON FUNCTION onec.create_customer(name, jsonb, text), '
		'onec.change_contact(name, uuid, text, text, text, text, text), '
		'onec.issue_card(name, uuid, jsonb, text), '
		'onec.award_points(name, uuid, numeric, timestamp, text, text), '
		'onec.spend_points(name, uuid, numeric, text, text), onec.place_order(name, jsonb, boolean, text), '
		'onec.post_document(name, text, uuid, text), onec.unpost_document(name, text, uuid, text), '
		'onec.mark_deleted(name, text, uuid, text), onec.write_status(uuid, name) TO %s', role);
END $$;
COMMENT ON FUNCTION onec.grant_site_writer(regrole, text[], name) IS
	'Дать роли сайта запись в 1С через create_customer, change_contact, issue_card, award_points, '
	'spend_points, place_order, post_document, unpost_document, mark_deleted и write_status — только в эти '
	'наборы (пусто — все, которые этим функциям нужны); onec.enqueue и таблиц она не получает';
REVOKE EXECUTE ON FUNCTION onec.grant_site_writer(regrole, text[], name) FROM PUBLIC;
