-- Many new objects into the outbox at once: what INSERT … SELECT and COPY on foreign tables queue.  The same
-- checks as onec.enqueue, of all of them together.

-- The first of some bodies that has a fault; NULL: none has.
CREATE FUNCTION onec_internal.first_faulty(server name, entity_set text, bodies jsonb[]) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT b.body
	FROM unnest($3) WITH ORDINALITY b (body, n)
	CROSS JOIN LATERAL onec_internal.body_fault($1, $2, b.body) f
	WHERE f.fault IS NOT NULL
	ORDER BY b.n LIMIT 1
$$;
COMMENT ON FUNCTION onec_internal.first_faulty(name, text, jsonb[]) IS
	'Первое тело записи, в котором что-то не так (служебная)';

-- The rows of the outbox that new ones have to wait for: those before them, of these or of others, that
-- create an object which their bodies name.
CREATE FUNCTION onec_internal.named_in_bodies(server name, entity_set text, ids bigint[], keys uuid[],
											  bodies jsonb[])
	RETURNS TABLE (id bigint, depends_on bigint[])
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH named AS MATERIALIZED (
		SELECT DISTINCT b.id, r.key
		FROM unnest($3, $5) b (id, body)
		CROSS JOIN LATERAL onec_internal.body_fault($1, $2, b.body) f
		CROSS JOIN LATERAL unnest(f.named) r (key)),
	made AS (
		SELECT n.id, o.id AS of FROM named n
		JOIN onec.outbox o ON o.server = $1 AND o.operation = 'create' AND o.key = n.key
		UNION
		SELECT n.id, g.id FROM named n JOIN unnest($3, $4) g (id, key) ON g.key = n.key AND g.id < n.id)
	SELECT m.id, array_agg(m.of ORDER BY m.of) FROM made m GROUP BY m.id
$$;
COMMENT ON FUNCTION onec_internal.named_in_bodies(name, text, bigint[], uuid[], jsonb[]) IS
	'Строки очереди, создающие объекты, на которые ссылаются тела (служебная)';

CREATE FUNCTION onec_internal.enqueue_new(server name, entity_set text, keys uuid[], bodies jsonb[])
	RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	-- a plan of its own for each call would hold the bodies, and auto_explain may log plans
	SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
	srv name;
	who name := onec_internal.calling_role();
	ids bigint[];
BEGIN
	PERFORM onec_internal.must_write('enqueue');
	srv := onec_internal.written_server(server);
	PERFORM onec_internal.check_allowed(srv, who, entity_set);
	-- the first tells what is wrong with all of them; a body that is faulty, what is wrong with it
	PERFORM onec_internal.check_change(srv, entity_set, 'create', k, b, NULL) FROM unnest(ARRAY[
		coalesce(onec_internal.first_faulty(srv, entity_set, bodies), '{}')], ARRAY[
		CASE WHEN '00000000-0000-0000-0000-000000000000' = ANY (keys)
			 THEN '00000000-0000-0000-0000-000000000000'::uuid END]) c (b, k);
	IF NOT onec_internal.client_keys(srv) THEN
		PERFORM onec_internal.check_markable(srv, enqueue_new.entity_set, b) FROM unnest(bodies) b;
	END IF;
	SELECT array_agg(nextval('onec.outbox_id_seq') ORDER BY n) INTO ids
	FROM unnest(keys) WITH ORDINALITY g (key, n);
	INSERT INTO onec.outbox (server, id, entity_set, operation, key, body, depends_on, requested_by, status)
		OVERRIDING SYSTEM VALUE
	SELECT srv, g.id, enqueue_new.entity_set, 'create', g.key, g.body, coalesce(d.depends_on, '{}'), who,
		   onec_internal.first_status(srv, d.depends_on)
	FROM unnest(ids, keys, bodies) g (id, key, body)
	LEFT JOIN onec_internal.named_in_bodies(srv, enqueue_new.entity_set, ids, keys, bodies) d ON d.id = g.id
	ORDER BY g.id;
	PERFORM onec_internal.tell_outbox(srv, o.id, o.status) FROM onec.outbox o
	WHERE o.server = srv AND o.id = ANY (ids);
END $$;
COMMENT ON FUNCTION onec_internal.enqueue_new(name, text, uuid[], jsonb[]) IS
	'Поставить в очередь создание многих объектов сразу (служебная)';
