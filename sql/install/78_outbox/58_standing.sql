-- What stands still, what waits for it, and what a person is told to do about either.

-- Whether a row of this status keeps those that wait for it waiting until a person does something.
CREATE FUNCTION onec_internal.holds_up(status text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN $1 IN ('failed', 'conflict', 'blocked', 'preview');
COMMENT ON FUNCTION onec_internal.holds_up(text) IS
	'Стоит ли строка, пока с ней чего-нибудь не сделают (служебная)';

-- The rows that wait for such ones, however far, and the first of these: all servers at once.
CREATE VIEW onec_internal.outbox_held AS
	WITH RECURSIVE edge AS MATERIALIZED (
		SELECT o.server, o.id, n.id AS awaited
		FROM onec.outbox o CROSS JOIN LATERAL unnest(o.depends_on) n (id)
		UNION ALL
		SELECT o.server, o.id, lag(o.id) OVER (PARTITION BY o.server, o.key ORDER BY o.id)
		FROM onec.outbox o WHERE o.status <> 'preview'),
	held AS (
		SELECT o.server, o.id, o.id AS held_by FROM onec.outbox o WHERE onec_internal.holds_up(o.status)
		UNION
		SELECT e.server, e.id, h.held_by
		FROM held h JOIN edge e ON e.server = h.server AND e.awaited = h.id)
	SELECT h.server, h.id, min(h.held_by) AS held_by FROM held h WHERE h.id <> h.held_by GROUP BY 1, 2;
COMMENT ON VIEW onec_internal.outbox_held IS 'Строки очереди, которые ждут стоящих (служебное)';
COMMENT ON COLUMN onec_internal.outbox_held.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.outbox_held.id IS 'Номер';
COMMENT ON COLUMN onec_internal.outbox_held.held_by IS 'Первая из стоящих, которых она ждёт';

CREATE FUNCTION onec_internal.held_happened(held_by bigint, status text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $1 IS NOT NULL THEN format(CASE $2 WHEN 'preview'
		THEN 'Ждёт строку %s, а та не отправляется: она только показывается'
		ELSE 'Ждёт строку %s, а та стоит: %s' END, $1, $2) END;
COMMENT ON FUNCTION onec_internal.held_happened(bigint, text) IS 'Почему ждёт строка (служебная)';

CREATE FUNCTION onec_internal.held_advice(id bigint, held_by bigint, status text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE WHEN $2 IS NOT NULL THEN format(CASE $3 WHEN 'preview'
		THEN 'отправить ту, которую она ждёт: SELECT onec.outbox_retry(%2$s); отказаться от той: SELECT '
			'onec.outbox_skip(%2$s, …)'
		ELSE 'решите, что делать с той, которую она ждёт: SELECT advice FROM onec.outbox_failed WHERE id = '
			'%2$s; эта пойдёт за ней' END || '; отказаться от этой: SELECT onec.outbox_skip(%1$s, …)',
		$1, $2) END;
COMMENT ON FUNCTION onec_internal.held_advice(bigint, bigint, text) IS
	'Что делать со строкой, которая ждёт стоящую (служебная)';

CREATE FUNCTION onec_internal.outbox_happened(o onec.outbox) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	RETURN CASE ($1).status
		WHEN 'failed' THEN '1С отказала и ничего не записала'
		WHEN 'conflict' THEN CASE WHEN ($1).operation = 'create'
			THEN 'В 1С есть объект с этой ссылкой или похожий; второй не создан'
			ELSE 'Объект изменён другим; ничего не перезаписано' END
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
		WHEN 'conflict' THEN CASE WHEN o.operation = 'create' AND o.maybe_sent
			THEN 'посмотрите в 1С, он ли это; если он: SELECT onec.outbox_skip(%1$s, …); проверить ещё раз: '
				 'SELECT onec.outbox_retry(%1$s)'
			WHEN o.body IS NULL OR o.operation = 'mark'
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
		WHEN 'preview' THEN 'только показывается; отправить: SELECT onec.outbox_retry(%1$s)'
		WHEN 'sending' THEN NULL
		ELSE 'делать ничего не нужно: %3$s будет проверено, записано ли; проверить сейчас: SELECT '
			'onec.outbox_retry(%1$s)' END, o.id, o.entity_set, to_char(o.not_before, 'DD.MM HH24:MI'),
			o.server)
	FROM (SELECT ($1).*) o
$$;
COMMENT ON FUNCTION onec_internal.outbox_advice(onec.outbox) IS 'Что делать со строкой (служебная)';

-- What is to be done about a row, or the one that it waits for; NULL: nothing.
CREATE FUNCTION onec_internal.write_hint(o onec.outbox) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	first record;
BEGIN
	IF o.status NOT IN ('pending', 'waiting') THEN
		RETURN onec_internal.outbox_advice(o);
	END IF;
	SELECT b.id, b.status INTO first FROM onec_internal.rows_before(o.server, o.id) b
	WHERE onec_internal.holds_up(b.status) ORDER BY b.id LIMIT 1;
	RETURN onec_internal.held_advice(o.id, first.id, first.status);
END $$;
COMMENT ON FUNCTION onec_internal.write_hint(onec.outbox) IS
	'Что делать со строкой или с той, которую она ждёт (служебная)';
