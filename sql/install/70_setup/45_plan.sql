-- An exchange plan of 1C and the node in it that is ours: what the owner of the server has named, as 1C has
-- it.  How it is asked what has changed: 75_sync/48_plan.sql.

CREATE FUNCTION onec_internal.plan_nodes(server name, node uuid) RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_plan_nodes';
COMMENT ON FUNCTION onec_internal.plan_nodes(name, uuid) IS
	'Узлы плана обмена, или один, как их пишет 1С в JSON (служебная)';

CREATE FUNCTION onec_internal.plan_changes(server name, node uuid, number bigint)
	RETURNS TABLE (entity_set text, key_id uuid, gone boolean)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_plan_changes';
COMMENT ON FUNCTION onec_internal.plan_changes(name, uuid, bigint) IS
	'SelectChanges: о каких объектах сообщает план обмена; узел запоминает номер (служебная)';

CREATE FUNCTION onec_internal.plan_received(server name, node uuid, number bigint) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'onec_plan_received';
COMMENT ON FUNCTION onec_internal.plan_received(name, uuid, bigint) IS
	'NotifyChangesReceived: 1С может забыть сообщённое до этого номера (служебная)';

-- What the owner of the server has said; no row where no plan is to be asked.
CREATE FUNCTION onec_internal.plan_wanted(server name, OUT plan text, OUT named text) RETURNS SETOF record
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT onec_internal.server_option($1, 'exchange_plan'),
		   onec_internal.server_option($1, 'exchange_node')
	WHERE onec_internal.server_option($1, 'change_source') = 'plan'
$$;
COMMENT ON FUNCTION onec_internal.plan_wanted(name) IS
	'План обмена и узел из параметров сервера, если изменения сообщает план (служебная)';

-- The node that is named by its key or code, as 1C has it.
CREATE FUNCTION onec_internal.plan_node(server name, named text, known uuid, OUT node uuid, OUT sent bigint,
										OUT received bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	answer jsonb := ltrim(onec_internal.plan_nodes(server, known), chr(65279))::jsonb;
	own boolean;
BEGIN
	SELECT (r ->> 'Ref_Key')::uuid, coalesce(r ->> 'SentNo', '0')::bigint,
		   coalesce(r ->> 'ReceivedNo', '0')::bigint, coalesce(r ->> 'ThisNode', 'false')::boolean
	INTO node, sent, received, own
	FROM jsonb_array_elements(coalesce(answer -> 'value', jsonb_build_array(answer))) r
	WHERE known IS NOT NULL OR r ->> 'Ref_Key' = lower(named) OR btrim(r ->> 'Code') = btrim(named)
	ORDER BY r ->> 'Ref_Key' = lower(named) DESC LIMIT 1;
	IF node IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'the exchange plan has no node of that key or code';
	ELSIF own THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'the node is that of the base itself, for which nothing is registered';
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.plan_node(name, text, uuid) IS
	'Узел плана обмена, какой он в 1С (служебная)';

-- Whether another server of this database asks the same node of the same base.
CREATE FUNCTION onec_internal.who_else_asks(server name, node uuid) RETURNS name
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.server FROM onec_internal.plan_state p
	CROSS JOIN LATERAL onec_internal.plan_wanted(p.server) w
	WHERE p.server <> $1 AND p.node = $2 AND p.message_no IS NOT NULL
	  AND onec_internal.server_option(p.server, 'url') = onec_internal.server_option($1, 'url')
	LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.who_else_asks(name, uuid) IS
	'Какой ещё сервер спрашивает этот узел (служебная)';
