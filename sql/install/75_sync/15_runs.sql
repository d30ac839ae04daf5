-- The account of syncs: runs, their steps, what has been read completely, what is in doubt; and how people
-- look at it.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('sync.max_minutes', 'int', '240', NULL, 0, 10080,
	 'Сколько минут может длиться запуск по расписанию; следующий продолжит с того же '
	 'места. 0 — сколько угодно'),
	('sync.suspicious_share', 'numeric', '0.2', NULL, 0, 1,
	 'Если исчезла такая доля строк окна (и не меньше 50), удаление доказывается и '
	 'счётом 1С, и вторым чтением');

CREATE TABLE onec.sync_run (
	server name NOT NULL,
	run_id bigint GENERATED ALWAYS AS IDENTITY,
	started_at timestamptz NOT NULL,
	finished_at timestamptz,
	status text NOT NULL CHECK (status IN
		('running', 'ok', 'incomplete', 'partial', 'failed', 'skipped (busy)', 'skipped (login)',
		 'interrupted')),
	pid int NOT NULL,
	backend_start timestamptz,
	days int,
	message text,
	size int NOT NULL DEFAULT 2,
	job text,
	ended_at int,
	PRIMARY KEY (server, run_id)
);
COMMENT ON TABLE onec.sync_run IS 'Запуски синхронизации';
COMMENT ON COLUMN onec.sync_run.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sync_run.run_id IS 'Номер запуска';
COMMENT ON COLUMN onec.sync_run.started_at IS 'Начало';
COMMENT ON COLUMN onec.sync_run.finished_at IS 'Конец';
COMMENT ON COLUMN onec.sync_run.status IS
	'Состояние: running, ok, incomplete — удаление не доказано, partial — не все шаги, failed, skipped '
	'(busy), skipped (login), interrupted';
COMMENT ON COLUMN onec.sync_run.pid IS 'Процесс сервера';
COMMENT ON COLUMN onec.sync_run.backend_start IS 'Когда начался процесс сервера';
COMMENT ON COLUMN onec.sync_run.days IS 'За сколько дней читались покупки';
COMMENT ON COLUMN onec.sync_run.message IS 'Пояснение';
COMMENT ON COLUMN onec.sync_run.size IS
	'Объём: 0 — часть покупок, 1 — отдельные шаги, 2 — все шаги, 3 — со сверкой старых '
	'месяцев, 4 — полное чтение';
COMMENT ON COLUMN onec.sync_run.job IS 'Задание расписания; NULL — вызвано вручную';
COMMENT ON COLUMN onec.sync_run.ended_at IS
	'Шаг, на котором вышло время; следующий такой запуск начнёт с него';

CREATE TABLE onec.sync_step (
	server name NOT NULL,
	run_id bigint NOT NULL,
	ordinal int NOT NULL,
	step text NOT NULL,
	target text NOT NULL,
	status text NOT NULL CHECK (status IN
		('waiting', 'running', 'ok', 'incomplete', 'failed', 'not published', 'skipped')),
	started_at timestamptz,
	finished_at timestamptz,
	windows_total int NOT NULL DEFAULT 1,
	windows_done int NOT NULL DEFAULT 0,
	rows_read bigint NOT NULL DEFAULT 0,
	rows_inserted bigint NOT NULL DEFAULT 0,
	rows_updated bigint NOT NULL DEFAULT 0,
	rows_deleted bigint NOT NULL DEFAULT 0,
	requests bigint NOT NULL DEFAULT 0,
	retries bigint NOT NULL DEFAULT 0,
	bytes bigint NOT NULL DEFAULT 0,
	truncated boolean NOT NULL DEFAULT false,
	error_code text,
	message text,
	turn int NOT NULL DEFAULT 0,
	days int,
	windows tsrange[],
	empty_windows int NOT NULL DEFAULT 0,
	went_back boolean NOT NULL DEFAULT false,
	covered tsmultirange NOT NULL DEFAULT '{}',
	covered_keys bigint NOT NULL DEFAULT 0,
	objects_told bigint,
	resumed boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, run_id, ordinal)
);
COMMENT ON TABLE onec.sync_step IS 'Шаги запусков синхронизации';
COMMENT ON COLUMN onec.sync_step.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sync_step.run_id IS 'Номер запуска';
COMMENT ON COLUMN onec.sync_step.ordinal IS 'Порядок шага';
COMMENT ON COLUMN onec.sync_step.step IS 'Шаг';
COMMENT ON COLUMN onec.sync_step.target IS 'Таблица';
COMMENT ON COLUMN onec.sync_step.status IS
	'Состояние: waiting, running, ok, incomplete — удаление не доказано, failed, not published, skipped';
COMMENT ON COLUMN onec.sync_step.started_at IS 'Начало';
COMMENT ON COLUMN onec.sync_step.finished_at IS 'Конец';
COMMENT ON COLUMN onec.sync_step.windows_total IS 'Всего окон';
COMMENT ON COLUMN onec.sync_step.windows_done IS 'Готово окон';
COMMENT ON COLUMN onec.sync_step.rows_read IS 'Прочитано строк';
COMMENT ON COLUMN onec.sync_step.rows_inserted IS 'Добавлено строк';
COMMENT ON COLUMN onec.sync_step.rows_updated IS 'Изменено строк';
COMMENT ON COLUMN onec.sync_step.rows_deleted IS 'Удалено строк';
COMMENT ON COLUMN onec.sync_step.requests IS 'Запросов к 1С, с повторами';
COMMENT ON COLUMN onec.sync_step.retries IS 'Из них повторов после неудачи';
COMMENT ON COLUMN onec.sync_step.bytes IS 'Получено байтов';
COMMENT ON COLUMN onec.sync_step.truncated IS 'Прочитано не всё: сработало ограничение';
COMMENT ON COLUMN onec.sync_step.error_code IS 'SQLSTATE ошибки';
COMMENT ON COLUMN onec.sync_step.message IS 'Текст ошибки';
COMMENT ON COLUMN onec.sync_step.turn IS 'Очередь шага в этом запуске';
COMMENT ON COLUMN onec.sync_step.days IS 'За сколько дней читался шаг; NULL — всё';
COMMENT ON COLUMN onec.sync_step.windows IS
	'Окна, которые осталось прочитать; после остановки по времени продолжит следующий запуск';
COMMENT ON COLUMN onec.sync_step.empty_windows IS 'Сколько последних окон подряд были пусты';
COMMENT ON COLUMN onec.sync_step.covered IS
	'Время прочитанных окон, которые ещё не сверены с количеством в 1С';
COMMENT ON COLUMN onec.sync_step.covered_keys IS 'Сколько разных строк в них прочитано';
COMMENT ON COLUMN onec.sync_step.objects_told IS
	'О скольких объектах сообщил план обмена, если шаг прочитал только их; NULL — читал без него';
COMMENT ON COLUMN onec.sync_step.resumed IS
	'Шаг продолжил полное чтение, начатое прежним запуском: часть таблицы прочитана тогда';
COMMENT ON COLUMN onec.sync_step.went_back IS
	'Взяты ли уже дни, откуда документы перенесли в прочитанные окна';

CREATE TABLE onec.sync_state (
	server name NOT NULL,
	target text NOT NULL,
	complete_from timestamp,
	last_ok timestamptz,
	place bigint NOT NULL DEFAULT 0,
	as_of timestamptz,
	PRIMARY KEY (server, target)
);
COMMENT ON TABLE onec.sync_state IS 'Что уже загружено';
COMMENT ON COLUMN onec.sync_state.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.sync_state.target IS 'Таблица';
COMMENT ON COLUMN onec.sync_state.complete_from IS
	'С какого времени загружено всё; 0001-01-01 — с самого начала';
COMMENT ON COLUMN onec.sync_state.last_ok IS 'Последнее полное прочтение';
COMMENT ON COLUMN onec.sync_state.place IS
	'Сколько строк прошли запуски, ограниченные cards_limit; 0 — дошли до конца';
COMMENT ON COLUMN onec.sync_state.as_of IS
	'На какой момент таблица равна 1С: когда началось последнее полное прочтение';
SELECT pg_catalog.pg_extension_config_dump('onec.sync_state', '');

-- What a reading left in doubt: kinds are unproven (rows were missing, and that was not proven), twice (one
-- key, two rows) and hole (rows without a property that others had).
CREATE TABLE onec_internal.sync_doubt (
	server name NOT NULL,
	target text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('unproven', 'twice', 'hole')),
	from_ts timestamp NOT NULL,
	till_ts timestamp NOT NULL,
	found bigint NOT NULL,
	reason text NOT NULL,
	found_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (server, target, kind, from_ts)
);
COMMENT ON TABLE onec_internal.sync_doubt IS
	'В чём ответы 1С ненадёжны: недоказанные удаления (следующий запуск попробует '
	'снова) и неединственные ключи';
COMMENT ON COLUMN onec_internal.sync_doubt.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.sync_doubt.target IS 'Таблица';
COMMENT ON COLUMN onec_internal.sync_doubt.kind IS
	'unproven — удаление не доказано, twice — в 1С несколько строк с одним ключом, hole — у строк не было '
	'свойства, которое было у других';
COMMENT ON COLUMN onec_internal.sync_doubt.from_ts IS 'Начало окна; 0001-01-01 — всё прежнее';
COMMENT ON COLUMN onec_internal.sync_doubt.till_ts IS 'Конец окна, не включая; 9999-12-31 — всё позднейшее';
COMMENT ON COLUMN onec_internal.sync_doubt.found IS 'Скольких строк это касается';
COMMENT ON COLUMN onec_internal.sync_doubt.reason IS 'Почему';
COMMENT ON COLUMN onec_internal.sync_doubt.found_at IS 'Когда замечено';
SELECT pg_catalog.pg_extension_config_dump('onec_internal.sync_doubt', '');

CREATE TABLE onec_internal.card_seen (
	server name NOT NULL,
	card_id uuid NOT NULL,
	known boolean NOT NULL,
	PRIMARY KEY (server, card_id)
);
COMMENT ON TABLE onec_internal.card_seen IS
	'Карты, увиденные запусками с cards_limit с начала круга; в конце круга остальные проверяются по ключу';
COMMENT ON COLUMN onec_internal.card_seen.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.card_seen.card_id IS 'Карта';
COMMENT ON COLUMN onec_internal.card_seen.known IS 'Была ли она здесь до этого круга';

CREATE TABLE onec_internal.login_refusal (
	server name PRIMARY KEY,
	login_version text NOT NULL,
	refused_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE onec_internal.login_refusal IS
	'Серверы, где 1С не приняла вход: задания ждут, пока сопоставление пользователя или сервер не изменят';
COMMENT ON COLUMN onec_internal.login_refusal.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.login_refusal.login_version IS
	'С каким сопоставлением пользователя (без его содержания)';
COMMENT ON COLUMN onec_internal.login_refusal.refused_at IS 'Когда';

CREATE VIEW onec.sync_status AS
	SELECT s.server, s.step, s.target, s.status, s.started_at, s.finished_at, k.last_ok,
		   now() - k.last_ok AS age,
		   s.rows_read, s.rows_inserted, s.rows_updated, s.rows_deleted,
		   greatest(s.rows_read - s.rows_inserted - s.rows_updated, 0) AS rows_same, s.windows_done,
		   s.requests, s.retries, s.bytes,
		   (SELECT string_agg(f.capability, ', ' ORDER BY f.capability) FROM onec_internal.refusal f
			WHERE f.server = s.server
			  AND f.entity_set = onec_internal.entity_set_of(s.server, s.target)) AS refused,
		   s.truncated, round(extract(epoch FROM s.finished_at - s.started_at)::numeric, 1) AS seconds,
		   s.error_code, s.message
	FROM onec.sync_step s
	JOIN (SELECT n.server, n.ordinal, max(n.run_id) AS run_id
		  FROM onec.sync_step n JOIN onec.sync_run r ON r.server = n.server AND r.run_id = n.run_id
		  WHERE r.size > 0 AND r.status NOT LIKE 'skipped%' AND n.status <> 'waiting' GROUP BY 1, 2) last
		ON last.server = s.server AND last.ordinal = s.ordinal AND last.run_id = s.run_id
	LEFT JOIN onec.sync_state k ON k.server = s.server AND k.target = s.target
	ORDER BY s.server, s.ordinal;
COMMENT ON VIEW onec.sync_status IS
	'Итог последнего целого чтения каждой таблицы: части (один покупатель, отдельные дни) его не заслоняют';
COMMENT ON COLUMN onec.sync_status.last_ok IS 'Когда таблица в последний раз прочитана целиком';
COMMENT ON COLUMN onec.sync_status.age IS 'Сколько с тех пор прошло';
COMMENT ON COLUMN onec.sync_status.rows_same IS 'Прочитано строк, которые не изменились';
COMMENT ON COLUMN onec.sync_status.requests IS 'Запросов к 1С, с повторами';
COMMENT ON COLUMN onec.sync_status.refused IS
	'В чём база отказывает для этого набора: приходится обходиться без этого';
COMMENT ON COLUMN onec.sync_status.truncated IS
	'Прочитано не всё: сработало ограничение cards_limit; следующий запуск продолжит';
COMMENT ON COLUMN onec.sync_status.seconds IS 'Сколько длился шаг, секунд';

CREATE VIEW onec.sync_progress AS
	SELECT s.server, s.run_id, s.step, s.target, s.windows_done, s.windows_total, s.rows_read, s.requests,
		   clock_timestamp() - s.started_at AS elapsed,
		   round(s.rows_read / nullif(extract(epoch FROM clock_timestamp() - s.started_at), 0),
				 0) AS rows_per_second,
		   CASE WHEN s.windows_done > 0 THEN
				(clock_timestamp() - s.started_at) / s.windows_done
					* (s.windows_total - s.windows_done) END AS remaining,
		   floor(100.0 * s.windows_done / nullif(s.windows_total, 0))::int AS percent
	FROM onec.sync_step s JOIN onec.sync_run r ON r.server = s.server AND r.run_id = s.run_id
	WHERE r.status = 'running' AND s.status = 'running';
COMMENT ON VIEW onec.sync_progress IS 'Что синхронизируется сейчас и сколько осталось';
COMMENT ON COLUMN onec.sync_progress.rows_per_second IS 'Строк в секунду';
COMMENT ON COLUMN onec.sync_progress.windows_done IS 'Окон прочитано';
COMMENT ON COLUMN onec.sync_progress.windows_total IS 'Окон всего';
COMMENT ON COLUMN onec.sync_progress.elapsed IS 'Сколько длится шаг';
COMMENT ON COLUMN onec.sync_progress.remaining IS 'Сколько ещё, если окна одинаковы';
COMMENT ON COLUMN onec.sync_progress.percent IS 'Какая часть окон прочитана, в процентах';

-- What a run is to do.  "size" ranks runs: a larger one waits for a smaller one to end; see onec.sync_run.
CREATE TYPE onec_internal.sync_plan AS (
	server name,
	days int,				-- NULL: everything
	cards_limit int,
	steps text[],			-- NULL: all
	deep boolean,			-- compare old months with 1C, too
	force boolean,			-- believe an answer of nothing
	afresh boolean,			-- do not go on where another run ran out of time
	job text,
	size int,
	minutes int,			-- 0: no deadline
	from_ts timestamp,		-- a part of the purchases: of these days …
	till_ts timestamp,
	user_id uuid			-- … of this person only
);
COMMENT ON TYPE onec_internal.sync_plan IS 'Что делать запуску синхронизации (служебный)';
