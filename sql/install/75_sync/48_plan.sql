-- Exchange plans: 1C itself tells which objects have changed since it was last asked (change_source 'plan').
--
-- A run begins with one message of the node.  What it tells is committed here, as keys that wait for their
-- tables to be read, and only then confirmed, after which 1C forgets it; so whatever is lost between the two
-- is asked for again by the same number, and a key told twice waits once.  (Confirming
-- alone is no way then: 1C may have put that number on more since.)  The step of a table then asks for these
-- keys alone, and its rows are compared, proven and written as those of a window are: that an object is gone
-- is believed if the plan says so and 1C, asked for the key again and again, has not got it.
--
-- Which sets a plan has, and whether it is told of every change, no base says.  So a table is read by it only
-- after the plan has told of one of its objects, and the table has been read without it since; it is read
-- without it again every sync.plan_hours and by runs that compare or read everything, and what has changed
-- then must be told by this message or by the next: else the plan is not believed about the table for a week.
-- A table that a message was not sorted into, for it was not there or is switched off, begins anew.
--
-- A node is asked by one reader: whoever confirms takes the changes from all others.  Numbers that are not
-- ours stop it, until the owner says that the node is.

-- The number to ask by: that of the last message, as long as 1C has not confirmed it.  "afresh": the base is
-- older than what is known here, so that the plan has to be tried anew.
CREATE FUNCTION onec_internal.next_message(p onec_internal.plan_state, sent bigint, received bigint,
										   OUT number bigint, OUT afresh boolean)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- what 1C may say of the last message: at least what it has agreed to, at most what was told to it
	agreed bigint := p.message_no - CASE WHEN p.confirmed_at IS NULL THEN 1 ELSE 0 END;
	told bigint := p.message_no - CASE WHEN p.kept_at IS NULL THEN 1 ELSE 0 END;
BEGIN
	IF p.message_no IS NULL AND (sent > 0 OR received > 0) AND p.taken IS NOT TRUE THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('the node has had messages before (%s sent, %s received): somebody else may use '
							 'it', sent, received);
	ELSIF received > told THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('somebody else has confirmed message %s of the node', received);
	END IF;
	afresh := coalesce(received < agreed, false);
	number := received + 1;
END $$;
COMMENT ON FUNCTION onec_internal.next_message(onec_internal.plan_state, bigint, bigint) IS
	'Номер следующего сообщения узла; ошибка, если узлом пользуется кто-то ещё (служебная)';

-- ---- a message ----

-- What goes wrong with the plan is no failure of the run: all is read as ever.
CREATE FUNCTION onec_internal.note_plan_failure(server name, run bigint, told text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO onec_internal.plan_state AS p (server, plan, named, failed, failed_run)
	SELECT note_plan_failure.server, w.plan, w.named, told, run
	FROM onec_internal.plan_wanted(note_plan_failure.server) w
	ON CONFLICT ON CONSTRAINT plan_state_pkey DO UPDATE SET failed = told, failed_run = run;
	RAISE WARNING USING MESSAGE = format('exchange plan of "%s": %s', server, told);
END $$;
COMMENT ON FUNCTION onec_internal.note_plan_failure(name, bigint, text) IS
	'Записать, почему план обмена не спрошен (служебная)';

-- What a run has to say of the plan; NULL: nothing.
CREATE FUNCTION onec_internal.plan_failure(server name, run bigint) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT 'exchange plan: ' || p.failed FROM onec_internal.plan_state p
			WHERE p.server = $1 AND p.failed_run = $2);
COMMENT ON FUNCTION onec_internal.plan_failure(name, bigint) IS
	'Что запуск говорит о плане обмена (служебная)';

-- Changes may have been told to nobody: all tables are read once without the plan; of another plan than the
-- one known so far nothing is known.  The keys that wait go on waiting.
CREATE FUNCTION onec_internal.distrust_plan(server name, plan text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	DELETE FROM onec_internal.plan_use u
	WHERE u.server = $1 AND NOT EXISTS (SELECT FROM onec_internal.plan_state p
										WHERE p.server = u.server AND p.plan = $2);
	UPDATE onec_internal.plan_use u SET checked_at = NULL WHERE u.server = $1 AND u.checked_at IS NOT NULL;
	DELETE FROM onec_internal.plan_untold u WHERE u.server = $1;
$$;
COMMENT ON FUNCTION onec_internal.distrust_plan(name, text) IS
	'Прочитать все таблицы ещё раз без плана обмена (служебная)';

-- Look at the node, and write down the number that is asked by.  Raises where the node is not to be touched.
CREATE FUNCTION onec_internal.look_at_node(server name, run bigint, plan text, named text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p onec_internal.plan_state;
	n record;
	m record;
	other name;
BEGIN
	SELECT s.* INTO p FROM onec_internal.plan_state s
	WHERE s.server = look_at_node.server AND s.plan = look_at_node.plan AND s.named = look_at_node.named;
	SELECT * INTO n FROM onec_internal.plan_node(server, named, p.node);
	other := onec_internal.who_else_asks(server, n.node);
	IF other IS NOT NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('server "%s" asks the same node', other);
	END IF;
	SELECT * INTO m FROM onec_internal.next_message(p, n.sent, n.received);
	IF p.server IS NULL OR m.afresh THEN
		PERFORM onec_internal.distrust_plan(server, plan);
	END IF;
	INSERT INTO onec_internal.plan_state AS s (server, plan, named, node, message_no, asked_at)
	VALUES (server, plan, named, n.node, m.number, clock_timestamp())
	ON CONFLICT ON CONSTRAINT plan_state_pkey DO UPDATE SET plan = excluded.plan, named = excluded.named,
		node = excluded.node, message_no = excluded.message_no, asked_at = excluded.asked_at, taken = false,
		kept_at = NULL, confirmed_at = NULL, run_id = NULL, failed = NULL, failed_run = NULL;
	IF m.afresh THEN
		PERFORM onec_internal.note_plan_failure(server, run, format(
			'the base is older than its last message: the node is at %s', n.received));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.look_at_node(name, bigint, text, text) IS
	'Посмотреть на узел и выбрать номер сообщения (служебная)';

-- The tables whose rows are objects, or tabular parts of objects, and the set that tells of their changes.
CREATE FUNCTION onec_internal.targets_of_plan(server name) RETURNS TABLE (target text, entity_set text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.target, onec_internal.source_set($1, o.owner)
	FROM onec_internal.sync_steps($1, NULL) t
	CROSS JOIN LATERAL (SELECT CASE WHEN t.source = 'set' AND t.function IS NULL
										 AND onec_internal.is_switched_on($1, t)
									THEN onec_internal.version_owner($1, t.target) END) o (owner)
	WHERE o.owner IS NOT NULL
$$;
COMMENT ON FUNCTION onec_internal.targets_of_plan(name) IS
	'Таблицы, об изменениях которых может сообщить план обмена, и чьи это изменения (служебная)';

-- A message tells something, and these tables are not there to be told of it: each is read once as ever.
CREATE FUNCTION onec_internal.distrust_absent(server name) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.plan_use u SET checked_at = NULL
	WHERE u.server = $1 AND u.checked_at IS NOT NULL
	  AND NOT EXISTS (SELECT FROM onec_internal.targets_of_plan($1) t WHERE t.target = u.target);
$$;
COMMENT ON FUNCTION onec_internal.distrust_absent(name) IS
	'Прочитать без плана обмена таблицы, которых при его сообщении не было (служебная)';

-- What a table shows is not what the plan tells: the next run reads it as ever, and judges the plan by it.
CREATE FUNCTION onec_internal.check_plan_soon(server name, target text) RETURNS void
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE onec_internal.plan_use u SET checked_at = '-infinity'
	WHERE u.server = $1 AND u.target = $2 AND u.checked_at > '-infinity'
$$;
COMMENT ON FUNCTION onec_internal.check_plan_soon(name, text) IS
	'Проверить план обмена следующим чтением таблицы (служебная)';

-- What changed unknown to a message must be known to this one; else the plan is not believed about the table.
CREATE FUNCTION onec_internal.judge_untold(server name) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE onec_internal.plan_use u
	SET broken = format('%s objects have changed, and the plan has not told so', x.n), broken_at = now()
	FROM (SELECT n.target, count(*) AS n FROM onec_internal.plan_untold n
		  WHERE n.server = judge_untold.server
			AND NOT EXISTS (SELECT FROM onec_internal.plan_change c
							WHERE c.server = n.server AND c.target = n.target AND c.key_id = n.key_id)
		  GROUP BY 1) x
	WHERE u.server = judge_untold.server AND u.target = x.target;
	DELETE FROM onec_internal.plan_untold n WHERE n.server = judge_untold.server;
END $$;
COMMENT ON FUNCTION onec_internal.judge_untold(name) IS
	'Сообщил ли план обмена о том, что изменилось без него (служебная)';

-- Ask for the message, and keep what it tells.  An empty one is not confirmed.
CREATE FUNCTION onec_internal.keep_message(server name, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p onec_internal.plan_state;
	told bigint;
BEGIN
	SELECT s.* INTO p FROM onec_internal.plan_state s WHERE s.server = keep_message.server;
	told := onec_internal.fill_table('onec_told', 'told', format(
		'SELECT c.entity_set, c.key_id, bool_or(c.gone) AS gone '
		'FROM onec_internal.plan_changes(%L, %L, %L) c GROUP BY 1, 2', server, p.node, p.message_no));
	IF told > 0 THEN
		PERFORM onec_internal.distrust_absent(server);
	END IF;
	INSERT INTO onec_internal.plan_change AS c (server, target, key_id, gone)
	SELECT keep_message.server, t.target, x.key_id, x.gone
	FROM onec_internal.targets_of_plan(keep_message.server) t
	JOIN pg_temp.onec_told x ON x.entity_set = t.entity_set AND x.key_id IS NOT NULL
	ON CONFLICT ON CONSTRAINT plan_change_pkey DO UPDATE SET gone = excluded.gone
		WHERE c.gone <> excluded.gone;
	PERFORM onec_internal.judge_untold(server);
	INSERT INTO onec_internal.plan_use (server, target, signature, told_at)
	SELECT c.server, c.target, onec_internal.version_signature(c.server, c.target), p.asked_at
	FROM (SELECT DISTINCT k.server, k.target FROM onec_internal.plan_change k
		  WHERE k.server = keep_message.server) c
	ON CONFLICT ON CONSTRAINT plan_use_pkey DO NOTHING;
	UPDATE onec_internal.plan_state s
	SET run_id = run, kept_at = CASE WHEN told > 0 THEN clock_timestamp() END
	WHERE s.server = keep_message.server;
	DROP TABLE pg_temp.onec_told;
END $$;
COMMENT ON FUNCTION onec_internal.keep_message(name, bigint) IS
	'Спросить сообщение плана обмена и записать, о чём оно (служебная)';

-- The parts of a message, each of which the run commits: look, keep, confirm.  Returns which is to follow;
-- NULL: none.
CREATE FUNCTION onec_internal.take_message(plan onec_internal.sync_plan, run bigint, part text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w record;
	p onec_internal.plan_state;
	code text;
	said text;
	detail text;
	context text;
BEGIN
	SELECT * INTO w FROM onec_internal.plan_wanted(plan.server);
	IF w.plan IS NULL OR plan.size = 0 THEN
		RETURN NULL;
	END IF;
	-- what is confirmed must be on disk
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'local', true);
	END IF;
	BEGIN
		IF part = 'look' THEN
			PERFORM onec_internal.look_at_node(plan.server, run, w.plan, w.named);
		ELSIF part = 'keep' THEN
			PERFORM onec_internal.keep_message(plan.server, run);
		ELSE
			SELECT s.* INTO p FROM onec_internal.plan_state s WHERE s.server = plan.server;
			IF p.kept_at IS NOT NULL THEN
				PERFORM onec_internal.plan_received(plan.server, p.node, p.message_no);
				UPDATE onec_internal.plan_state s SET confirmed_at = clock_timestamp()
				WHERE s.server = plan.server;
			END IF;
		END IF;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			context = PG_EXCEPTION_CONTEXT;
		PERFORM onec_internal.note_plan_failure(plan.server, run,
			onec_internal.message_without_values(code, said, detail, context));
	END;
	RETURN CASE WHEN code IS NULL THEN CASE part WHEN 'look' THEN 'keep' WHEN 'keep' THEN 'confirm' END END;
END $$;
COMMENT ON FUNCTION onec_internal.take_message(onec_internal.sync_plan, bigint, text) IS
	'Одна из частей сообщения плана обмена: look, keep, confirm; какая следующая (служебная)';

-- The owner says that nobody else uses the node: it goes on from whatever number it has.
CREATE FUNCTION onec.take_exchange_node(server name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	w record;
BEGIN
	SELECT * INTO w FROM onec_internal.plan_wanted(srv);
	IF w.plan IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('server "%s" asks no exchange plan', srv),
			HINT = format('ALTER SERVER %I OPTIONS (ADD change_source ''plan'', ADD exchange_plan …, ADD '
						  'exchange_node …);', srv);
	END IF;
	PERFORM onec_internal.distrust_plan(srv, w.plan);
	DELETE FROM onec_internal.plan_state p WHERE p.server = srv;
	INSERT INTO onec_internal.plan_state (server, plan, named, taken) VALUES (srv, w.plan, w.named, true);
END $$;
COMMENT ON FUNCTION onec.take_exchange_node(name) IS
	'Считать узел плана обмена (exchange_node) своим: продолжить с номера сообщения, который у него сейчас. '
	'Нужно, если узлом пользовались раньше или базу восстановили из копии; другой читатель этого узла '
	'изменений больше не увидит';
REVOKE EXECUTE ON FUNCTION onec.take_exchange_node(name) FROM PUBLIC;

-- ---- a table ----

-- How many objects of a table the plan has told of, where it is read by them; NULL: it is read as ever.  More
-- than a tenth of it, and than a thousand, are no fewer bytes by key, nor more than ten thousand fewer
-- requests: it is read as ever, and what is read by days, from the beginning.
CREATE FUNCTION onec_internal.objects_told(plan onec_internal.sync_plan, run bigint, target text,
										   INOUT days int, OUT told bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	held bigint;
BEGIN
	IF days IS NULL OR plan.deep OR plan.from_ts IS NOT NULL OR plan.user_id IS NOT NULL OR NOT EXISTS (
		SELECT FROM onec_internal.plan_state p
		JOIN onec_internal.plan_use u ON u.server = p.server AND u.target = objects_told.target
		WHERE p.server = plan.server AND p.run_id = run
		  AND u.checked_at > now() - make_interval(hours => onec.get('sync.plan_hours', plan.server)::int)
		  AND coalesce(u.broken_at < now() - interval '7 days', true)
		  AND u.signature = onec_internal.version_signature(plan.server, objects_told.target))
		OR EXISTS (SELECT FROM onec_internal.plan_untold n
				   WHERE n.server = plan.server AND n.target = objects_told.target)
		OR EXISTS (SELECT FROM onec_internal.sync_doubt d
				   WHERE d.server = plan.server AND d.target = objects_told.target)
		OR EXISTS (SELECT FROM onec.sync_state s WHERE s.server = plan.server
				   AND s.target = objects_told.target AND s.place > 0) THEN
		RETURN;
	END IF;
	PERFORM onec_internal.hold_own_tables(target);
	told := (SELECT count(*) FROM onec_internal.plan_change c
			 WHERE c.server = plan.server AND c.target = objects_told.target);
	IF told > 1000 THEN
		EXECUTE format('SELECT count(*) FROM %s WHERE server = %s', onec_internal.table_of_target(target),
					   onec_internal.server_in(onec_internal.table_of_target(target), plan.server)) INTO held;
	END IF;
	IF told > least(held / 10, 10000) THEN
		told := NULL;
		days := CASE WHEN onec_internal.date_column(target) IS NULL THEN days END;
	ELSIF told > 0 AND onec_internal.witnesses(plan.server, target) = '{}' THEN
		told := NULL;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.objects_told(onec_internal.sync_plan, bigint, text, int) IS
	'О скольких объектах таблицы сообщил план обмена; NULL — читать без него (служебная)';

-- Objects that are here and of which nothing is told: asked for beside those that are, lest an answer of
-- another base, or of nobody's, be taken for the news that all of them are gone.  Others each time, so that
-- one that is gone untold comes to light: those behind some key, in the order of the index.
CREATE FUNCTION onec_internal.witnesses(server name, target text) RETURNS uuid[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := onec_internal.table_of_target(target);
	part text := '(SELECT DISTINCT t.%1$I AS id FROM %2$s t WHERE t.server = %3$s %4$s AND t.%1$I %5$s $3
			  AND NOT EXISTS (SELECT FROM onec_internal.plan_change c
							  WHERE c.server = $1 AND c.target = $2 AND c.key_id = t.%1$I)
			ORDER BY 1 LIMIT 3)';
	found uuid[];
BEGIN
	EXECUTE format('SELECT array_agg(w.id) FROM (' || part || ' UNION ALL ' || replace(part, '%5$s', '<')
				   || ' LIMIT 3) w',
		(onec_internal.unit_columns(target))[1], tab, onec_internal.server_in(tab, server),
		CASE WHEN onec_internal.has_deletion_mark(target) THEN 'AND NOT t.is_deleted' END, '>=')
		INTO found USING server, target, gen_random_uuid();
	RETURN coalesce(found, '{}');
END $$;
COMMENT ON FUNCTION onec_internal.witnesses(name, text) IS
	'Объекты, о которых план обмена не сообщал: по ним видно, что отвечает та же база (служебная)';

-- Of what is missing in pg_temp.onec_change the plan has to have told: an object, that it is gone; a tabular
-- part, that its object has changed.  NULL: it has.
CREATE FUNCTION onec_internal.why_not_told(server name, target text) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	is_own boolean := onec_internal.version_owner(server, target) = target;
	untold bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM pg_temp.onec_change c WHERE c.place IS NULL AND NOT EXISTS (
						SELECT FROM onec_internal.plan_change p
						WHERE p.server = $1 AND p.target = $2 AND p.key_id = c.%I AND (p.gone OR NOT $3))',
				   (onec_internal.unit_columns(target))[1]) INTO untold USING server, target, is_own;
	RETURN CASE WHEN untold > 0
				THEN format('%s rows are missing that the exchange plan has not told to be gone', untold) END;
END $$;
COMMENT ON FUNCTION onec_internal.why_not_told(name, text) IS
	'Почему недостающее не считается удалённым: план обмена о нём не сообщал; NULL — сообщал (служебная)';

-- A table was read without the plan, not for the first time, and pg_temp.onec_change says what has changed:
-- what of it the message of this run has not told, the next one must.
CREATE FUNCTION onec_internal.note_untold(server name, target text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM onec_internal.plan_use u
				   JOIN onec_internal.plan_state p ON p.server = u.server
				   JOIN onec.sync_run r ON r.server = p.server AND r.run_id = p.run_id
				   WHERE u.server = note_untold.server AND u.target = note_untold.target
					 AND u.checked_at IS NOT NULL AND r.status = 'running')
		OR NOT EXISTS (SELECT FROM pg_temp.onec_change) THEN
		RETURN;
	END IF;
	IF (SELECT u.signature FROM onec_internal.plan_use u
		WHERE u.server = note_untold.server AND u.target = note_untold.target)
	   = onec_internal.version_signature(server, target) THEN
		EXECUTE format('INSERT INTO onec_internal.plan_untold (server, target, key_id)
			SELECT DISTINCT $1, $2, x.id
			FROM (SELECT coalesce(c.%1$I, s.%1$I) AS id FROM pg_temp.onec_change c
				  LEFT JOIN pg_temp.onec_stage s ON s.ctid = c.place) x
			WHERE NOT EXISTS (SELECT FROM onec_internal.plan_change p
							  WHERE p.server = $1 AND p.target = $2 AND p.key_id = x.id) LIMIT 1000
			ON CONFLICT ON CONSTRAINT plan_untold_pkey DO NOTHING', (onec_internal.unit_columns(target))[1])
			USING server, target;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.note_untold(name, text) IS
	'Записать, о чём план обмена должен сообщить следующим сообщением (служебная)';

-- A step is over without doubt: what the plan has told of its table is read.  One that has read some days has
-- read only what lies in them; and of what an earlier run has read, this message has told news.
CREATE FUNCTION onec_internal.end_step_of_plan(s onec.sync_step) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	date_column name := onec_internal.date_column(s.target);
	tab text;
BEGIN
	IF s.resumed OR NOT EXISTS (SELECT FROM onec_internal.plan_use u
								WHERE u.server = s.server AND u.target = s.target) THEN
		RETURN;
	END IF;
	IF s.objects_told IS NOT NULL OR s.days IS NULL OR date_column IS NULL THEN
		DELETE FROM onec_internal.plan_change c WHERE c.server = s.server AND c.target = s.target;
	ELSE
		tab := onec_internal.table_of_target(s.target);
		EXECUTE format('DELETE FROM onec_internal.plan_change c USING %1$s t
						WHERE c.server = $1 AND c.target = $2 AND t.server = %2$s AND t.%3$I = c.key_id
						  AND t.%4$I >= $3', tab, onec_internal.server_in(tab, s.server),
					   (onec_internal.unit_columns(s.target))[1], date_column)
			USING s.server, s.target, onec.local_now(s.server)::date - s.days;
	END IF;
	UPDATE onec_internal.plan_use u
	SET checked_at = s.started_at, signature = onec_internal.version_signature(s.server, s.target)
	WHERE u.server = s.server AND u.target = s.target AND s.objects_told IS NULL
	  AND u.told_at <= s.started_at;
END $$;
COMMENT ON FUNCTION onec_internal.end_step_of_plan(onec.sync_step) IS
	'Записать, что сообщённое планом обмена прочитано (служебная)';
