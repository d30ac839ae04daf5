-- What waits to be written to 1C, and what was.
--
-- A row is put here in the site's own transaction and delivered after its commit (50_deliver.sql).  Sites
-- have no right on these tables: functions that run with the owner's rights write them, and nobody else.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('outbox.settle_seconds', 'int', '300', NULL, 0, 86400,
	 'Через сколько секунд после неясного исхода смотреть, записан ли объект: 1С может ещё работать'),
	('outbox.retry_min_seconds', 'int', '30', NULL, 0, 86400,
	 'Через сколько секунд повторить отправку в первый раз; дальше вдвое дольше'),
	('outbox.retry_max_seconds', 'int', '3600', NULL, 1, 86400,
	 'Не реже чем через столько секунд повторять отправку'),
	('outbox.lease_seconds', 'int', '3600', NULL, 60, 86400,
	 'Через сколько секунд строка, которую отправляют, считается брошенной, даже если процесс жив'),
	('outbox.deliver_seconds', 'int', '60', NULL, 1, 60,
	 'Как часто задание deliver отправляет очередь, секунд; чаще раза в минуту — с pg_cron 1.5 и новее'),
	('outbox.notify', 'bool', 'true', NULL, NULL, NULL,
	 'Сообщать о строках очереди: NOTIFY onec_outbox; выключите, если сайт фиксирует транзакции в две фазы '
	 '(PREPARE TRANSACTION)'),
	('outbox.preview', 'bool', 'false', NULL, NULL, NULL,
	 'Ничего не отправлять: новые строки очереди только показываются (состояние preview, onec.rehearse)'),
	('outbox.key_days', 'int', '90', NULL, 1, 36500,
	 'Сколько дней после доставки помнить ключи идемпотентности'),
	('outbox.keep_days', 'int', '30', NULL, 0, 36500,
	 'Через сколько дней после доставки стереть содержание записанного; 0 — не стирать'),
	('outbox.history_days', 'int', '365', NULL, 1, 36500, 'Сколько дней хранить историю доставки');

CREATE TABLE onec.outbox (
	server name NOT NULL,
	id bigint GENERATED ALWAYS AS IDENTITY,
	entity_set text NOT NULL,
	operation text NOT NULL CHECK (operation IN ('create', 'patch', 'merge_rows', 'post', 'unpost', 'mark',
												 'delete')),
	key uuid NOT NULL,
	body jsonb,
	data_version text,
	merge_by text[],
	depends_on bigint[] NOT NULL DEFAULT '{}',
	idempotency text,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT now(),
	status text NOT NULL CHECK (status IN ('pending', 'sending', 'waiting', 'blocked', 'conflict', 'unknown',
										   'failed', 'preview')),
	attempts int NOT NULL DEFAULT 0,
	maybe_sent boolean NOT NULL DEFAULT false,
	not_before timestamptz NOT NULL DEFAULT now(),
	leased_at timestamptz,
	lease_until timestamptz,
	worker int,
	worker_start timestamptz,
	http_status int,
	code int,
	message text,
	marker text,
	load_mode boolean NOT NULL DEFAULT false,
	seen jsonb,
	merge_old jsonb,
	PRIMARY KEY (server, id)
);
-- what may be due, in its order; what stands before a row of the same key
CREATE INDEX outbox_due ON onec.outbox (server, id) WHERE status IN ('pending', 'waiting', 'unknown',
	'sending');
CREATE INDEX outbox_sending ON onec.outbox (server, id) WHERE status = 'sending';
CREATE INDEX outbox_of_key ON onec.outbox (server, key, id);
COMMENT ON TABLE onec.outbox IS
	'Что ждёт записи в 1С: изменения, поставленные в очередь onec.enqueue и ещё не доставленные';
COMMENT ON COLUMN onec.outbox.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outbox.id IS 'Номер';
COMMENT ON COLUMN onec.outbox.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec.outbox.operation IS
	'Что сделать: create — создать, patch — изменить, merge_rows — дополнить табличные части, post — '
	'провести, unpost — отменить проведение, mark — пометить на удаление, delete — удалить из базы';
COMMENT ON COLUMN onec.outbox.key IS 'Ссылка на объект; для нового придумана здесь';
COMMENT ON COLUMN onec.outbox.body IS 'Что записать: свойства и табличные части';
COMMENT ON COLUMN onec.outbox.data_version IS 'Какую версию объекта видел тот, кто меняет; NULL — любую';
COMMENT ON COLUMN onec.outbox.merge_by IS 'По каким полям узнаётся строка табличной части (merge_rows)';
COMMENT ON COLUMN onec.outbox.depends_on IS 'Каких строк очереди ждёт';
COMMENT ON COLUMN onec.outbox.idempotency IS 'Ключ идемпотентности: второй раз то же не ставится';
COMMENT ON COLUMN onec.outbox.requested_by IS 'Роль, поставившая в очередь';
COMMENT ON COLUMN onec.outbox.requested_at IS 'Когда поставлено';
COMMENT ON COLUMN onec.outbox.status IS
	'Состояние: pending — ждёт отправки, waiting — ждёт других строк, sending — отправляется, unknown — '
	'исход неясен, blocked — нет права или база не готова, conflict — объект изменён другим, failed — 1С '
	'отказала, preview — не отправляется (настройка outbox.preview)';
COMMENT ON COLUMN onec.outbox.attempts IS 'Сколько раз бралась в работу';
COMMENT ON COLUMN onec.outbox.maybe_sent IS 'Могла ли уже дойти до 1С';
COMMENT ON COLUMN onec.outbox.not_before IS 'Раньше этого не отправлять';
COMMENT ON COLUMN onec.outbox.leased_at IS 'Когда взята в работу';
COMMENT ON COLUMN onec.outbox.lease_until IS 'До какого времени она за тем, кто её взял';
COMMENT ON COLUMN onec.outbox.worker IS 'Процесс сервера, который её взял';
COMMENT ON COLUMN onec.outbox.worker_start IS 'Когда начался этот процесс';
COMMENT ON COLUMN onec.outbox.http_status IS 'Код HTTP последнего ответа';
COMMENT ON COLUMN onec.outbox.code IS 'Номер ошибки OData последнего ответа';
COMMENT ON COLUMN onec.outbox.message IS 'Что ответила 1С или почему строка стоит';
COMMENT ON COLUMN onec.outbox.load_mode IS
	'Писать с заголовком 1C_OData-DataLoadMode: без проверок и заполнений конфигурации';
COMMENT ON COLUMN onec.outbox.seen IS
	'Что было в объекте перед отправкой: версия, для merge_rows и табличные части';
COMMENT ON COLUMN onec.outbox.merge_old IS
	'Что было в строках табличных частей, которые меняет merge_rows: по ним узнаётся, какая из похожих';
COMMENT ON COLUMN onec.outbox.marker IS
	'Свойство, в котором новый объект помечен ссылкой сайта: база может дать ему свою';
SELECT pg_catalog.pg_extension_config_dump('onec.outbox', '');

CREATE TABLE onec.outbox_history (
	server name NOT NULL,
	id bigint NOT NULL,
	done_at timestamptz NOT NULL,
	entity_set text NOT NULL,
	operation text NOT NULL,
	key uuid NOT NULL,
	remote_key uuid,
	body jsonb,
	depends_on bigint[] NOT NULL,
	idempotency text,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL,
	status text NOT NULL CHECK (status IN ('done', 'skipped')),
	attempts int NOT NULL,
	http_status int,
	message text,
	stored_diff jsonb,
	number text,
	data_version text,
	maybe_sent boolean NOT NULL DEFAULT true,
	PRIMARY KEY (server, id, done_at)
) PARTITION BY RANGE (done_at);
CREATE INDEX outbox_history_of_key ON onec.outbox_history (server, key);
CREATE INDEX outbox_history_done ON onec.outbox_history (server, done_at);
COMMENT ON TABLE onec.outbox_history IS 'Что записано в 1С или пропущено; разделена по месяцам';
COMMENT ON COLUMN onec.outbox_history.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outbox_history.id IS 'Номер в очереди';
COMMENT ON COLUMN onec.outbox_history.done_at IS 'Когда доставлено или пропущено';
COMMENT ON COLUMN onec.outbox_history.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec.outbox_history.operation IS 'Что сделано';
COMMENT ON COLUMN onec.outbox_history.key IS 'Ссылка, которую получил сайт';
COMMENT ON COLUMN onec.outbox_history.remote_key IS 'Ссылка, которую дала 1С, если она другая';
COMMENT ON COLUMN onec.outbox_history.body IS 'Что просили записать; через outbox.keep_days стирается';
COMMENT ON COLUMN onec.outbox_history.depends_on IS 'Каких строк ждала';
COMMENT ON COLUMN onec.outbox_history.idempotency IS 'Ключ идемпотентности';
COMMENT ON COLUMN onec.outbox_history.requested_by IS 'Роль, поставившая в очередь';
COMMENT ON COLUMN onec.outbox_history.requested_at IS 'Когда поставлено';
COMMENT ON COLUMN onec.outbox_history.status IS 'done — доставлено, skipped — пропущено';
COMMENT ON COLUMN onec.outbox_history.attempts IS 'Сколько раз бралась в работу';
COMMENT ON COLUMN onec.outbox_history.http_status IS 'Код HTTP последнего ответа';
COMMENT ON COLUMN onec.outbox_history.message IS 'Пояснение';
COMMENT ON COLUMN onec.outbox_history.stored_diff IS
	'Что 1С записала не так, как просили: свойство и записанное; через outbox.keep_days стирается';
COMMENT ON COLUMN onec.outbox_history.number IS 'Номер или код, который дала 1С';
COMMENT ON COLUMN onec.outbox_history.data_version IS 'Версия объекта после записи';
COMMENT ON COLUMN onec.outbox_history.maybe_sent IS
	'Могла ли дойти до 1С; нет — пропущена, и в 1С её наверняка нет';

-- What functions of a server look up by a text is COLLATE "C": beside an argument of type name, which has
-- that collation, an index of another would not serve.
CREATE TABLE onec_internal.outbox_key (
	server name NOT NULL,
	idempotency text COLLATE "C" NOT NULL,
	id bigint NOT NULL,
	entity_set text NOT NULL,
	operation text NOT NULL,
	key uuid NOT NULL,
	kept_since timestamptz NOT NULL DEFAULT now(),
	asked text,
	PRIMARY KEY (server, idempotency)
);
COMMENT ON TABLE onec_internal.outbox_key IS 'Ключи идемпотентности (служебное)';
COMMENT ON COLUMN onec_internal.outbox_key.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.outbox_key.idempotency IS 'Ключ идемпотентности';
COMMENT ON COLUMN onec_internal.outbox_key.id IS 'Номер в очереди';
COMMENT ON COLUMN onec_internal.outbox_key.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec_internal.outbox_key.operation IS 'Что сделать';
COMMENT ON COLUMN onec_internal.outbox_key.key IS 'Ссылка на объект';
COMMENT ON COLUMN onec_internal.outbox_key.asked IS
	'Отпечаток того, что просили записать: с тем же ключом другое — ошибка';
COMMENT ON COLUMN onec_internal.outbox_key.kept_since IS
	'Когда поставлено, а после доставки — когда доставлено';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.outbox_key', '');

CREATE TABLE onec.outbox_allowed (
	server name NOT NULL,
	role name NOT NULL,
	entity_set text COLLATE "C" NOT NULL,
	-- a role made again under the name of one that is gone is another; a dump tells it by its name
	role_id regrole,
	PRIMARY KEY (server, role, entity_set)
);
COMMENT ON TABLE onec.outbox_allowed IS 'Кому что можно ставить в очередь записи; меняет onec.allow_write';
COMMENT ON COLUMN onec.outbox_allowed.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.outbox_allowed.role IS 'Как роль звалась';
COMMENT ON COLUMN onec.outbox_allowed.role_id IS 'Роль';
COMMENT ON COLUMN onec.outbox_allowed.entity_set IS 'Набор 1С';
SELECT pg_catalog.pg_extension_config_dump('onec.outbox_allowed', '');

-- The month's part of the history; whoever comes second finds it made.
CREATE FUNCTION onec_internal.make_history_part(at timestamptz) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET timezone = 'UTC'
AS $$
DECLARE
	month date := date_trunc('month', at)::date;
	part text := to_char(month, '"outbox_history_"YYYY"_"MM');
BEGIN
	IF to_regclass(format('onec_internal.%I', part)) IS NOT NULL THEN
		RETURN;
	END IF;
	EXECUTE format('CREATE TABLE onec_internal.%I PARTITION OF onec.outbox_history FOR VALUES FROM (%L) TO '
		'(%L)',
				   part, month::timestamptz, (month + interval '1 month')::timestamptz);
	EXECUTE format('COMMENT ON TABLE onec_internal.%I IS %L', part, 'Часть onec.outbox_history (служебное)');
EXCEPTION WHEN duplicate_table THEN
	NULL;
END $$;
COMMENT ON FUNCTION onec_internal.make_history_part(timestamptz) IS
	'Создать часть истории за месяц, если её нет (служебная)';
