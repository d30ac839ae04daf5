-- What an exchange plan of 1C has told, and how far its messages have come; see 75_sync/48_plan.sql.  What is
-- confirmed 1C knows no more, so all of it is part of a dump.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('sync.plan_hours', 'int', '24', NULL, 1, 8760,
	 'Если изменения сообщает план обмена (change_source ''plan''): раз в сколько часов таблицы всё же '
	 'читаются без него');

CREATE TABLE onec_internal.plan_state (
	server name PRIMARY KEY,
	plan text NOT NULL,
	named text NOT NULL,
	node uuid,
	message_no bigint,
	taken boolean NOT NULL DEFAULT false,
	asked_at timestamptz,
	kept_at timestamptz,
	confirmed_at timestamptz,
	run_id bigint,
	failed text,
	failed_run bigint
);
COMMENT ON TABLE onec_internal.plan_state IS 'До какого сообщения узла плана обмена дошёл обмен (служебная)';
COMMENT ON COLUMN onec_internal.plan_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.plan_state.plan IS 'План обмена';
COMMENT ON COLUMN onec_internal.plan_state.named IS 'Как узел назван в параметре exchange_node';
COMMENT ON COLUMN onec_internal.plan_state.node IS 'Ссылка на узел; NULL — ещё не найден';
COMMENT ON COLUMN onec_internal.plan_state.message_no IS
	'Номер последнего сообщения, которое спрашивали; NULL — ни одного';
COMMENT ON COLUMN onec_internal.plan_state.taken IS
	'Владелец сказал, что узел наш, какой бы номер у него ни был: onec.take_exchange_node';
COMMENT ON COLUMN onec_internal.plan_state.asked_at IS 'Когда его спросили';
COMMENT ON COLUMN onec_internal.plan_state.kept_at IS 'Когда записано, что оно сообщило; NULL — ещё нет';
COMMENT ON COLUMN onec_internal.plan_state.confirmed_at IS
	'Когда 1С приняла подтверждение; NULL — это неизвестно, или подтверждать нечего';
COMMENT ON COLUMN onec_internal.plan_state.run_id IS 'Какой запуск спросил последним';
COMMENT ON COLUMN onec_internal.plan_state.failed IS 'Почему план обмена не спросили в последний раз';
COMMENT ON COLUMN onec_internal.plan_state.failed_run IS 'В каком запуске';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_state', '');

CREATE TABLE onec_internal.plan_change (
	server name NOT NULL,
	target text NOT NULL,
	key_id uuid NOT NULL,
	gone boolean NOT NULL,
	PRIMARY KEY (server, target, key_id)
);
COMMENT ON TABLE onec_internal.plan_change IS
	'Объекты, об изменении которых сообщил план обмена: строка есть, пока её таблица не прочитана '
	'(служебная)';
COMMENT ON COLUMN onec_internal.plan_change.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.plan_change.target IS 'Таблица';
COMMENT ON COLUMN onec_internal.plan_change.key_id IS 'Ссылка на объект';
COMMENT ON COLUMN onec_internal.plan_change.gone IS 'План сообщил, что объект удалён';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_change', '');

CREATE TABLE onec_internal.plan_use (
	server name NOT NULL,
	target text NOT NULL,
	signature text NOT NULL,
	told_at timestamptz NOT NULL,
	checked_at timestamptz,
	broken text,
	broken_at timestamptz,
	PRIMARY KEY (server, target)
);
COMMENT ON TABLE onec_internal.plan_use IS
	'О каких таблицах сообщает план обмена и можно ли ему верить (служебная)';
COMMENT ON COLUMN onec_internal.plan_use.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.plan_use.target IS 'Таблица';
COMMENT ON COLUMN onec_internal.plan_use.signature IS
	'Из чего сделаны строки: если другое, читаются без плана';
COMMENT ON COLUMN onec_internal.plan_use.told_at IS 'Когда план впервые сообщил о её объекте';
COMMENT ON COLUMN onec_internal.plan_use.checked_at IS
	'Когда она после этого в последний раз прочитана без плана';
COMMENT ON COLUMN onec_internal.plan_use.broken IS 'Почему плану об этой таблице нельзя верить';
COMMENT ON COLUMN onec_internal.plan_use.broken_at IS 'Когда это замечено в последний раз';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_use', '');

CREATE TABLE onec_internal.plan_untold (
	server name NOT NULL,
	target text NOT NULL,
	key_id uuid NOT NULL,
	PRIMARY KEY (server, target, key_id)
);
COMMENT ON TABLE onec_internal.plan_untold IS
	'Объекты, которые изменились, а план обмена о них не сообщил: должен в следующем сообщении (служебная)';
COMMENT ON COLUMN onec_internal.plan_untold.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.plan_untold.target IS 'Таблица';
COMMENT ON COLUMN onec_internal.plan_untold.key_id IS 'Ссылка на объект';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.plan_untold', '');
