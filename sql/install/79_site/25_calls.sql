-- Idempotency keys of what a site calls: each function's are its own, and the same key asks for the same.
--
-- The outbox has keys of its own (78_outbox), of single changes; one call makes several of them, and bodies
-- that the clock is in.  So a call is compared by what was asked, of which a hash is kept.

CREATE TABLE onec_internal.site_call (
	server name NOT NULL,
	function text COLLATE "C" NOT NULL,
	idempotency text COLLATE "C" NOT NULL,
	asked text,
	key uuid,
	since timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, function, idempotency)
);
CREATE INDEX site_call_key ON onec_internal.site_call (key);
COMMENT ON TABLE onec_internal.site_call IS
	'Ключи идемпотентности вызовов сайта: у каждой функции свои (служебное)';
COMMENT ON COLUMN onec_internal.site_call.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.site_call.function IS 'Функция';
COMMENT ON COLUMN onec_internal.site_call.idempotency IS 'Ключ идемпотентности';
COMMENT ON COLUMN onec_internal.site_call.asked IS
	'Отпечаток того, о чём просили; NULL — стёрт вместе с человеком';
COMMENT ON COLUMN onec_internal.site_call.key IS 'Ссылка, которую вернула функция';
COMMENT ON COLUMN onec_internal.site_call.since IS 'С какого времени';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.site_call', '');

-- Whether what a site asked for will not be: it was skipped, or it is deleted in 1C.  What 1C has refused
-- may be delivered yet, when somebody has seen to it.
CREATE FUNCTION onec_internal.came_to_nothing(server name, id uuid) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM onec.counterparty c
				   WHERE c.server = $1 AND c.customer_id = k.in_1c AND (c.is_deleted OR c.deletion_mark))
		OR EXISTS (SELECT FROM onec.discount_card d
				   WHERE d.server = $1 AND d.card_id = k.in_1c AND (d.is_deleted OR d.deletion_mark))
		OR EXISTS (SELECT FROM onec.outbox_history h
				   WHERE h.server = $1 AND h.key = onec_internal.site_key($1, $2) AND h.operation = 'create'
					 AND h.status = 'skipped')
	FROM (SELECT onec_internal.key_in_1c($1, $2) OFFSET 0) k (in_1c)
$$;
COMMENT ON FUNCTION onec_internal.came_to_nothing(name, uuid) IS
	'Не появится ли объект, который просил сайт: пропущен или удалён (служебная)';

-- The answer that a call has had before; NULL: this is the first, or what was asked for came to nothing and
-- "again" wants it anew; whoever is second waits for the first.  "asked": all arguments.
CREATE FUNCTION onec_internal.called_before(server name, function text, idempotency text, asked jsonb,
											again boolean DEFAULT false) RETURNS uuid
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	told text := encode(sha256(convert_to(asked::text, 'UTF8')), 'hex');
	was onec_internal.site_call;
BEGIN
	IF idempotency IS NULL THEN
		RETURN NULL;
	END IF;
	INSERT INTO onec_internal.site_call (server, function, idempotency, asked)
	VALUES (called_before.server, called_before.function, called_before.idempotency, told)
	ON CONFLICT ON CONSTRAINT site_call_pkey DO NOTHING;
	IF FOUND THEN
		RETURN NULL;
	END IF;
	SELECT c.* INTO was FROM onec_internal.site_call c
	WHERE c.server = called_before.server AND c.function = called_before.function
		AND c.idempotency = called_before.idempotency FOR UPDATE;
	IF was.asked <> told THEN
		RAISE unique_violation USING
			MESSAGE = 'the idempotency key has been used for another call of this function',
			HINT = 'The same key asks for the same; something else needs a key of its own.';
	ELSIF again AND onec_internal.came_to_nothing(server, was.key) THEN
		RETURN NULL;
	END IF;
	RETURN was.key;
END $$;
COMMENT ON FUNCTION onec_internal.called_before(name, text, text, jsonb, boolean) IS
	'Ответ такого же вызова с этим ключом идемпотентности; NULL — первый (служебная)';

-- Remember the answer, and give it.
CREATE FUNCTION onec_internal.answered(server name, function text, idempotency text, key uuid) RETURNS uuid
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.site_call c SET key = $4, since = now()
	WHERE c.server = $1 AND c.function = $2 COLLATE "C" AND c.idempotency = $3 COLLATE "C";
	SELECT $4
$$;
COMMENT ON FUNCTION onec_internal.answered(name, text, text, uuid) IS
	'Запомнить ответ вызова и вернуть его (служебная)';

-- Keys as old as those of the outbox are thrown away (outbox.key_days), once nothing of theirs waits.
CREATE FUNCTION onec_internal.housekeep_calls(server name) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.site_call c
	WHERE c.server = $1 AND c.since < now() - make_interval(days => onec.get('outbox.key_days', $1)::int)
	  AND NOT EXISTS (SELECT FROM onec.outbox o WHERE o.server = $1 AND o.key = c.key)
$$;
COMMENT ON FUNCTION onec_internal.housekeep_calls(name) IS
	'Уборка ключей идемпотентности вызовов сайта (служебная)';
