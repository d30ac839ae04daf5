-- Watching the outbox: how it stands, what stands still (58_standing.sql), what a row would send.

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
	SELECT b.server, u.updatable AS is_updatable, u.stopped AS is_stopped, b.client_keys,
		   w.pending, w.waiting, w.sending, w.unknown, w.blocked, w.conflict, w.failed, w.preview,
		   w.oldest_at, now() - w.oldest_at AS lag, d.done_at AS last_done_at,
		   onec_internal.outbox_hint(b.server, u.updatable, u.stopped, w.undelivered,
									 w.blocked + w.conflict + w.failed, now() - w.oldest_at) AS hint
	FROM onec_internal.outbox_base b
	CROSS JOIN LATERAL (SELECT onec_internal.is_updatable(b.server) AS updatable,
							   onec_internal.is_stopped(b.server) AS stopped) u
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

CREATE VIEW onec.outbox_failed AS
	SELECT o.server, o.id, o.entity_set, o.operation, o.key, o.status, o.attempts, o.requested_by,
		   o.requested_at, coalesce(onec_internal.held_happened(b.id, b.status),
									onec_internal.outbox_happened(o)) AS happened, o.message,
		   coalesce(onec_internal.held_advice(o.id, b.id, b.status),
					onec_internal.outbox_advice(o)) AS advice,
		   (SELECT count(*) FROM onec.outbox w
			WHERE w.server = o.server AND w.id <> o.id
			  AND (o.id = ANY (w.depends_on) OR w.key = o.key AND w.id > o.id)) AS held_up
	FROM onec.outbox o
	LEFT JOIN (onec_internal.outbox_held h JOIN onec.outbox b ON b.server = h.server AND b.id = h.held_by)
		ON h.server = o.server AND h.id = o.id AND o.status IN ('pending', 'waiting')
	WHERE o.status IN ('failed', 'conflict', 'blocked', 'unknown') OR b.id IS NOT NULL;
COMMENT ON VIEW onec.outbox_failed IS
	'Что не доставлено в 1С и само не будет: что случилось и что делать; и что ждёт этого. Ответы 1С могут '
	'называть людей';
COMMENT ON COLUMN onec.outbox_failed.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outbox_failed.id IS 'Номер строки очереди';
COMMENT ON COLUMN onec.outbox_failed.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec.outbox_failed.operation IS 'Что сделать';
COMMENT ON COLUMN onec.outbox_failed.key IS 'Ссылка на объект, которую получил сайт';
COMMENT ON COLUMN onec.outbox_failed.status IS
	'Состояние: failed, conflict, blocked, unknown; pending и waiting — ждёт стоящую';
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
			(6, action IS NOT NULL AND (work.attempts > 0 OR work.data_version IS NOT NULL OR NOT EXISTS (
				SELECT FROM onec_internal.rows_before(work.server, work.id))
				AND onec_internal.version_left(work) IS NULL), 'GET', true, NULL, NULL,
			 'какой документ сейчас: если исход останется неясным, по этому видно, не исправил ли его кто'),
			(7, action IS NOT NULL, 'POST', true, action, NULL, NULL),
			(8, action IS NOT NULL, 'GET', true, NULL, NULL, 'стало ли так: Posted')
			) s (place, is_made, method, names, action, body, note)
		WHERE s.is_made;
END $$;
COMMENT ON FUNCTION onec.rehearse(bigint) IS
	'Запросы, которыми строка очереди будет отправлена: ничего не отправляет, логина не показывает';
REVOKE EXECUTE ON FUNCTION onec.rehearse(bigint) FROM PUBLIC;
