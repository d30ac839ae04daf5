-- Which version of each object the store has, and what reading by versions costs; see
-- 75_sync/47_versions.sql.  All of it follows from what is read, and grows again: a dump leaves it out.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('sync.versions', 'text', 'auto', '{auto,on,off}', NULL, NULL,
	 'Читать ли у справочников и документов сначала ключи и DataVersion, а целиком — только изменившиеся: '
	 'auto — где это дешевле, on — всегда, off — никогда');

CREATE TABLE onec_internal.row_version (
	key_id uuid NOT NULL,
	row_hash bigint NOT NULL,
	server smallint NOT NULL,
	target onec_internal.term_number NOT NULL,
	version text NOT NULL CHECK (version <> ''),
	PRIMARY KEY (server, target, key_id)
);
COMMENT ON TABLE onec_internal.row_version IS
	'Версии объектов 1С (DataVersion), с которыми записаны местные строки';
COMMENT ON COLUMN onec_internal.row_version.key_id IS 'Ссылка на объект';
COMMENT ON COLUMN onec_internal.row_version.row_hash IS 'Хеш его строк, какими они записаны';
COMMENT ON COLUMN onec_internal.row_version.server IS 'Номер внешнего сервера';
COMMENT ON COLUMN onec_internal.row_version.target IS 'Номер имени таблицы';
COMMENT ON COLUMN onec_internal.row_version.version IS 'DataVersion';

CREATE TABLE onec_internal.version_use (
	server name NOT NULL,
	target text NOT NULL,
	signature text NOT NULL,
	whole_bytes numeric,
	header_bytes numeric,
	key_bytes numeric,
	changed_share numeric,
	broken text,
	broken_at timestamptz,
	PRIMARY KEY (server, target)
);
COMMENT ON TABLE onec_internal.version_use IS
	'Во что обходится чтение наборов целиком и сначала по версиям: по этому выбирает sync.versions = auto';
COMMENT ON COLUMN onec_internal.version_use.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.version_use.target IS 'Таблица';
COMMENT ON COLUMN onec_internal.version_use.signature IS
	'Из чего сделаны строки: если другое, прежние версии не годятся';
COMMENT ON COLUMN onec_internal.version_use.whole_bytes IS 'Байтов на строку, когда набор читается целиком';
COMMENT ON COLUMN onec_internal.version_use.header_bytes IS 'Байтов на ключ с версией';
COMMENT ON COLUMN onec_internal.version_use.key_bytes IS 'Байтов на строку, прочитанную по ключу';
COMMENT ON COLUMN onec_internal.version_use.changed_share IS 'Какая доля объектов изменилась в последний раз';
COMMENT ON COLUMN onec_internal.version_use.broken IS 'Почему версиям этого набора нельзя верить';
COMMENT ON COLUMN onec_internal.version_use.broken_at IS 'Когда замечено';
