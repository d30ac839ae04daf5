-- Watching the outbox: how it stands, what stands still and what to do about it, what a row would send, and
-- what a person changes in it.

-- How long the oldest row that is to be delivered has waited; 0: none waits; NULL: nothing is written there.
CREATE FUNCTION onec_internal.outbox_lag(server name) RETURNS numeric
	LANGUAGE sql STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	RETURN (SELECT coalesce((SELECT extract(epoch FROM clock_timestamp() - min(o.requested_at))
							 FROM onec.outbox o WHERE o.server = $1 AND o.status <> 'preview'), 0)
			FROM onec_internal.outbox_base b WHERE b.server = $1);
COMMENT ON FUNCTION onec_internal.outbox_lag(name) IS
	'Сколько секунд ждёт самая старая недоставленная строка очереди (служебная)';

-- What to do about a base that nothing is delivered to; NULL: nothing.
CREATE FUNCTION onec_internal.outbox_hint(server name, is_updatable boolean, is_stopped boolean,
										  undelivered bigint, stuck bigint, lag interval) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT nullif(concat_ws('; ', CASE
		WHEN $4 > 0 AND NOT $2
			THEN format('отправка выключена: ALTER SERVER %I OPTIONS (SET updatable ''on'')', $1)
		WHEN $3 THEN 'отправка остановлена: 1С не приняла логин; исправьте сопоставление пользователя '
					 '(ALTER USER MAPPING … OPTIONS (SET password …))'
		WHEN $6 > interval '10 minutes' AND $4 > $5
			THEN format('долго не доставляется: работает ли CALL onec.deliver(%L)? Задание deliver создаёт '
						'функция schedule', $1) END,
		CASE WHEN $5 > 0 THEN format('стоит строк: %s — что делать, говорит onec.outbox_failed', $5) END), '')
$$;
COMMENT ON FUNCTION onec_internal.outbox_hint(name, boolean, boolean, bigint, bigint, interval) IS
	'Что сделать с очередью записи базы (служебная)';

-- No body, no name, no word of 1C: whoever may read the shop's figures may read this.
CREATE VIEW onec.outbox_status AS
	SELECT b.server, u.updatable AS is_updatable, b.stopped_for IS NOT NULL AS is_stopped, b.client_keys,
		   w.pending, w.waiting, w.sending, w.unknown, w.blocked, w.conflict, w.failed, w.preview,
		   w.oldest_at, now() - w.oldest_at AS lag, d.done_at AS last_done_at,
		   onec_internal.outbox_hint(b.server, u.updatable, b.stopped_for IS NOT NULL, w.undelivered,
									 w.blocked + w.conflict + w.failed, now() - w.oldest_at) AS hint
	FROM onec_internal.outbox_base b
	CROSS JOIN LATERAL (SELECT onec_internal.is_updatable(b.server) AS updatable) u
	CROSS JOIN LATERAL (
		SELECT count(*) FILTER (WHERE o.status = 'pending') AS pending,
			   count(*) FILTER (WHERE o.status = 'waiting') AS waiting,
			   count(*) FILTER (WHERE o.status = 'sending') AS sending,
			   count(*) FILTER (WHERE o.status = 'unknown') AS unknown,
			   count(*) FILTER (WHERE o.status = 'blocked') AS blocked,
			   count(*) FILTER (WHERE o.status = 'conflict') AS conflict,
			   count(*) FILTER (WHERE o.status = 'failed') AS failed,
			   count(*) FILTER (WHERE o.status = 'preview') AS preview,
			   count(*) FILTER (WHERE o.status <> 'preview') AS undelivered,
			   min(o.requested_at) FILTER (WHERE o.status <> 'preview') AS oldest_at
		FROM onec.outbox o WHERE o.server = b.server) w
	LEFT JOIN LATERAL (SELECT h.done_at FROM onec.outbox_history h
					   WHERE h.server = b.server ORDER BY h.done_at DESC LIMIT 1) d ON true;
COMMENT ON VIEW onec.outbox_status IS
	'Очередь записи в 1С по базам: сколько строк в каком состоянии, сколько ждёт самая старая, что сделать';
COMMENT ON COLUMN onec.outbox_status.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outbox_status.is_updatable IS 'Включена ли отправка (параметр updatable)';
COMMENT ON COLUMN onec.outbox_status.is_stopped IS
	'Отправка остановлена: 1С не приняла логин; пойдёт снова, когда изменится сопоставление пользователя';
COMMENT ON COLUMN onec.outbox_status.client_keys IS
	'Берёт ли база ссылки, которые ей присылают; иначе новые объекты помечаются (настройка outbox.marker); '
	'NULL — ещё неизвестно';
COMMENT ON COLUMN onec.outbox_status.pending IS 'Ждут отправки';
COMMENT ON COLUMN onec.outbox_status.waiting IS 'Ждут других строк';
COMMENT ON COLUMN onec.outbox_status.sending IS 'Отправляются';
COMMENT ON COLUMN onec.outbox_status.unknown IS 'Исход неясен: будет проверено, записано ли';
COMMENT ON COLUMN onec.outbox_status.blocked IS 'Стоят: нет права или база не готова';
COMMENT ON COLUMN onec.outbox_status.conflict IS 'Стоят: объект изменён другим';
COMMENT ON COLUMN onec.outbox_status.failed IS 'Стоят: 1С отказала';
COMMENT ON COLUMN onec.outbox_status.preview IS 'Только показываются (настройка outbox.preview)';
COMMENT ON COLUMN onec.outbox_status.oldest_at IS 'Когда поставлена самая старая недоставленная строка';
COMMENT ON COLUMN onec.outbox_status.lag IS 'Сколько она ждёт; в секундах — lag_seconds(''outbox'')';
COMMENT ON COLUMN onec.outbox_status.last_done_at IS 'Когда последний раз доставлено или пропущено';
COMMENT ON COLUMN onec.outbox_status.hint IS 'Что сделать; NULL — ничего';

CREATE FUNCTION onec_internal.outbox_happened(o onec.outbox) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE ($1).status
		WHEN 'failed' THEN '1С отказала и ничего не записала'
		WHEN 'conflict' THEN 'Объект изменён другим; ничего не перезаписано'
		WHEN 'blocked' THEN CASE WHEN ($1).message = onec_internal.reason_another_base()
			THEN 'Сервер, для которого это поставлено, удалён; под его именем — другой, с другим адресом'
			WHEN ($1).operation = 'create' AND ($1).http_status IS NULL
			THEN 'База даёт новым объектам свои ссылки, и узнать этот объект потом нельзя'
			ELSE 'У пользователя 1С нет права на это' END
		ELSE 'Записано ли, неизвестно: связь оборвалась или 1С не ответила' END;
COMMENT ON FUNCTION onec_internal.outbox_happened(onec.outbox) IS 'Что случилось со строкой (служебная)';

CREATE FUNCTION onec_internal.outbox_advice(o onec.outbox) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format(CASE o.status
		WHEN 'failed' THEN concat('прочтите ответ 1С; исправьте причину там и повторите: '
			'SELECT onec.outbox_retry(%1$s); ', CASE WHEN o.body IS NOT NULL AND o.operation <> 'mark'
				THEN 'или исправьте то, что отправляется: SELECT onec.outbox_edit(%1$s, …); ' END,
			'или откажитесь: SELECT onec.outbox_skip(%1$s, …)')
		WHEN 'conflict' THEN CASE WHEN o.body IS NULL OR o.operation = 'mark'
			THEN 'посмотрите, что в объекте сейчас; оставить как есть: SELECT onec.outbox_skip(%1$s, …); '
				 'если всё равно нужно, после этого поставьте в очередь заново, без data_version'
			ELSE 'посмотрите, что в объекте сейчас; записать всё равно: SELECT '
			'onec.outbox_edit(%1$s, …), без data_version; оставить как есть: SELECT '
			'onec.outbox_skip(%1$s, …)' END
		WHEN 'blocked' THEN CASE WHEN o.message = onec_internal.reason_another_base()
			THEN 'если это та же база и она по новому адресу: SELECT onec.setup(%4$L), потом SELECT '
				 'onec.outbox_retry(%1$s); если другая: SELECT onec.outbox_skip(%1$s, …)'
			WHEN o.operation = 'create' AND o.http_status IS NULL
			THEN 'назовите в настройке outbox.marker свойство, в котором его можно пометить, и повторите: '
				 'SELECT onec.outbox_retry(%1$s); если объект в 1С уже есть: SELECT onec.outbox_skip(%1$s, …)'
			ELSE 'дайте пользователю 1С право на %2$s и повторите: SELECT onec.outbox_retry(%1$s)' END
		ELSE 'делать ничего не нужно: %3$s будет проверено, записано ли; проверить сейчас: SELECT '
			'onec.outbox_retry(%1$s)' END, o.id, o.entity_set, to_char(o.not_before, 'DD.MM HH24:MI'),
			o.server)
	FROM (SELECT ($1).*) o
$$;
COMMENT ON FUNCTION onec_internal.outbox_advice(onec.outbox) IS 'Что делать со строкой (служебная)';

CREATE VIEW onec.outbox_failed AS
	SELECT o.server, o.id, o.entity_set, o.operation, o.key, o.status, o.attempts, o.requested_by,
		   o.requested_at, onec_internal.outbox_happened(o) AS happened, o.message,
		   onec_internal.outbox_advice(o) AS advice,
		   (SELECT count(*) FROM onec.outbox w
			WHERE w.server = o.server AND w.id <> o.id
			  AND (o.id = ANY (w.depends_on) OR w.key = o.key AND w.id > o.id)) AS held_up
	FROM onec.outbox o WHERE o.status IN ('failed', 'conflict', 'blocked', 'unknown');
COMMENT ON VIEW onec.outbox_failed IS
	'Что не доставлено в 1С: что случилось и что делать. Ответы 1С могут называть людей';
COMMENT ON COLUMN onec.outbox_failed.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outbox_failed.id IS 'Номер строки очереди';
COMMENT ON COLUMN onec.outbox_failed.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec.outbox_failed.operation IS 'Что сделать';
COMMENT ON COLUMN onec.outbox_failed.key IS 'Ссылка на объект, которую получил сайт';
COMMENT ON COLUMN onec.outbox_failed.status IS 'Состояние: failed, conflict, blocked, unknown';
COMMENT ON COLUMN onec.outbox_failed.attempts IS 'Сколько раз бралась в работу';
COMMENT ON COLUMN onec.outbox_failed.requested_by IS 'Роль, поставившая в очередь';
COMMENT ON COLUMN onec.outbox_failed.requested_at IS 'Когда поставлено';
COMMENT ON COLUMN onec.outbox_failed.happened IS 'Что случилось';
COMMENT ON COLUMN onec.outbox_failed.message IS 'Что ответила 1С';
COMMENT ON COLUMN onec.outbox_failed.advice IS 'Что делать';
COMMENT ON COLUMN onec.outbox_failed.held_up IS 'Сколько строк её ждёт';

-- ---- what would be sent ----

CREATE FUNCTION onec_internal.write_address(server name, entity_set text, key uuid, action text) RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'onec_write_address_of';
COMMENT ON FUNCTION onec_internal.write_address(name, text, uuid, text) IS
	'Адрес запроса, который меняет или читает объект (служебная)';

-- The requests of a row in their order: as delivery makes them (50_deliver.sql), and nothing is sent.
CREATE FUNCTION onec.rehearse(id bigint)
	RETURNS TABLE (step int, method text, url text, headers text, body json, note text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	marker text;
	key uuid;
	action text;
	sent json;
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = rehearse.id;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	END IF;
	marker := onec_internal.marker_of(work);
	key := onec_internal.key_in_1c(work.server, work.key);
	action := CASE WHEN work.operation IN ('post', 'unpost') THEN initcap(work.operation) END;
	sent := onec_internal.wire_body(work.server, work.entity_set, onec_internal.marked_body(work.body, marker,
		work.key), CASE work.operation WHEN 'create' THEN work.key END);
	RETURN QUERY
		SELECT row_number() OVER (ORDER BY s.place)::int, s.method,
			   onec_internal.write_address(work.server, work.entity_set, CASE WHEN s.names THEN key END,
										   s.action),
			   nullif(concat_ws(E'\n',
				   CASE WHEN s.body IS NOT NULL THEN 'Content-Type: application/json;charset=utf-8' END,
				   CASE WHEN s.method IN ('PATCH', 'DELETE')
						THEN 'If-Match: ' || coalesce(work.data_version, '…') END,
				   CASE WHEN s.method <> 'GET' AND work.load_mode
						THEN '1C_OData-DataLoadMode: true' END), ''),
			   s.body, s.note
		FROM (VALUES
			(1, work.operation = 'create' AND work.attempts > 0, 'GET', true, NULL, NULL::json,
			 'нет ли его уже; если есть, больше ничего не отправляется'),
			(2, work.operation = 'create', 'POST', false, NULL, sent,
			 CASE WHEN marker IS NOT NULL THEN format('пометка — в свойстве %s: база может дать свою ссылку',
													  marker) END),
			(3, work.operation IN ('patch', 'mark', 'merge_rows', 'delete'), 'GET', true, NULL, NULL,
			 'что в объекте сейчас; If-Match — его DataVersion'),
			(4, work.operation IN ('patch', 'mark', 'merge_rows'), 'PATCH', true, NULL, sent,
			 CASE work.operation WHEN 'merge_rows'
				  THEN 'строки, которых здесь нет, дополняются прочитанными: часть пишется целиком'
				  ELSE 'если что-нибудь отличается' END),
			(5, work.operation = 'delete', 'DELETE', true, NULL, NULL, NULL),
			(6, action IS NOT NULL, 'POST', true, action, NULL, NULL),
			(7, action IS NOT NULL, 'GET', true, NULL, NULL, 'стало ли так: Posted')
			) s (place, is_made, method, names, action, body, note)
		WHERE s.is_made;
END $$;
COMMENT ON FUNCTION onec.rehearse(bigint) IS
	'Запросы, которыми строка очереди будет отправлена: ничего не отправляет, логина не показывает';
REVOKE EXECUTE ON FUNCTION onec.rehearse(bigint) FROM PUBLIC;

-- ---- what a person changes ----

CREATE FUNCTION onec.outbox_edit(id bigint, body jsonb, data_version text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	work onec.outbox;
	named uuid[];
BEGIN
	SELECT o.* INTO work FROM onec.outbox o WHERE o.id = outbox_edit.id AND o.status <> 'sending' FOR UPDATE;
	IF work.id IS NULL THEN
		RAISE no_data_found USING MESSAGE = format('no row %s of the outbox waits', id);
	ELSIF work.operation IN ('post', 'unpost', 'mark', 'delete') THEN
		PERFORM onec_internal.refuse_change(format('operation "%s" takes no body: there is nothing to edit',
			work.operation), format('SELECT onec.outbox_retry(%1$s); or SELECT onec.outbox_skip(%1$s, …) and '
									'onec.enqueue anew.', id));
	ELSIF work.operation = 'create' AND work.maybe_sent THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('row %s may be in 1C already as it was', id),
			HINT = format('SELECT onec.outbox_retry(%s) and deliver, so that it is looked for; then put a '
						  'patch behind it.', id);
	END IF;
	named := onec_internal.check_change(work.server, work.entity_set, work.operation, work.key, body,
										work.merge_by);
	UPDATE onec.outbox o SET body = outbox_edit.body, data_version = outbox_edit.data_version,
		status = CASE o.status WHEN 'preview' THEN o.status ELSE 'pending' END, not_before = now(),
		http_status = NULL, code = NULL, message = NULL,
		-- what this one finds is what it changes
		maybe_sent = false, seen = NULL,
		depends_on = ARRAY(SELECT DISTINCT d FROM unnest(o.depends_on
			|| onec_internal.creations_of(o.server, named)) d WHERE d <> o.id ORDER BY 1)
	WHERE o.server = work.server AND o.id = work.id;
	PERFORM onec_internal.tell_outbox(work.server, work.id, 'pending') WHERE work.status <> 'preview';
END $$;
COMMENT ON FUNCTION onec.outbox_edit(bigint, jsonb, text) IS
	'Изменить то, что строка очереди запишет, и отправить её: тело целиком; data_version — версия, которую '
	'видел тот, кто меняет, пусто — любая. Что уже могло дойти до 1С, не меняется';
REVOKE EXECUTE ON FUNCTION onec.outbox_edit(bigint, jsonb, text) FROM PUBLIC;
