-- Pictures of goods: files as 1C lists them, and the bytes of those that are pictures.
--
-- A file is attached to a product, and the product names one as its main picture.  Its bytes lie in a store
-- of their own, to which a register leads, or in the file itself.  Files and register are synced as all
-- else is; bytes are asked for by 75_sync/58_images.sql, once for each state of a file.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('image.enabled', 'bool', 'false', NULL, NULL, NULL, 'Читать картинки товаров'),
	('image.max_bytes', 'int', '5000000', NULL, 1, 100000000,
	 'Наибольшая картинка, байтов; бо́льшие не хранятся'),
	('image.max_total', 'numeric', '2000000000', NULL, 0, NULL,
	 'Сколько байтов картинок одной базы хранить; на остальные места не будет'),
	('image.storage', 'text', 'Catalog_ХранилищеДвоичныхДанных', NULL, NULL, NULL,
	 'Набор 1С с содержимым файлов, на который ссылается регистр файлов');

CREATE TABLE onec.product_file (
	server name NOT NULL,
	file_id uuid NOT NULL,
	version text,
	product_id uuid,
	name text,
	extension text,
	size bigint,
	deletion_mark boolean,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, file_id)
);
COMMENT ON TABLE onec.product_file IS 'Файлы, присоединённые к товарам';
COMMENT ON COLUMN onec.product_file.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.product_file.file_id IS 'Ссылка на файл в 1С';
COMMENT ON COLUMN onec.product_file.version IS 'Версия данных: меняется, когда файл записан заново';
COMMENT ON COLUMN onec.product_file.product_id IS 'Товар';
COMMENT ON COLUMN onec.product_file.name IS 'Наименование';
COMMENT ON COLUMN onec.product_file.extension IS 'Расширение';
COMMENT ON COLUMN onec.product_file.size IS 'Размер, байтов, как его знает 1С';
COMMENT ON COLUMN onec.product_file.deletion_mark IS 'Пометка удаления в 1С';
COMMENT ON COLUMN onec.product_file.is_deleted IS 'В 1С файла больше нет';

CREATE TABLE onec.stored_file (
	server name NOT NULL,
	file_id uuid NOT NULL,
	storage_id uuid,
	is_deleted boolean NOT NULL DEFAULT false,
	PRIMARY KEY (server, file_id)
);
COMMENT ON TABLE onec.stored_file IS 'В каком хранилище лежит содержимое файла';
COMMENT ON COLUMN onec.stored_file.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.stored_file.file_id IS 'Файл';
COMMENT ON COLUMN onec.stored_file.storage_id IS 'Хранилище двоичных данных';
COMMENT ON COLUMN onec.stored_file.is_deleted IS 'В 1С записи больше нет';

CREATE TABLE onec.product_image (
	server name NOT NULL,
	file_id uuid NOT NULL,
	product_id uuid NOT NULL,
	name text,
	version text NOT NULL,
	type text,
	size bigint,
	sha256 bytea,
	refused text,
	content bytea,
	PRIMARY KEY (server, file_id),
	CHECK ((refused IS NULL) = (content IS NOT NULL AND type IS NOT NULL AND sha256 IS NOT NULL))
);
-- Pictures are packed already.
ALTER TABLE onec.product_image ALTER COLUMN content SET STORAGE EXTERNAL;
-- The pictures of a product.
CREATE INDEX product_image_product ON onec.product_image (server, product_id, name);
COMMENT ON TABLE onec.product_image IS
	'Картинки товаров с содержимым; отвергнутые файлы — с причиной и без содержимого';
COMMENT ON COLUMN onec.product_image.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.product_image.file_id IS 'Файл';
COMMENT ON COLUMN onec.product_image.product_id IS 'Товар';
COMMENT ON COLUMN onec.product_image.name IS 'Наименование файла';
COMMENT ON COLUMN onec.product_image.version IS 'При каком состоянии файла содержимое прочитано';
COMMENT ON COLUMN onec.product_image.type IS
	'Тип по первым байтам: image/jpeg, image/png, image/webp, image/gif';
COMMENT ON COLUMN onec.product_image.size IS 'Размер, байтов';
COMMENT ON COLUMN onec.product_image.sha256 IS 'SHA-256 содержимого';
COMMENT ON COLUMN onec.product_image.refused IS
	'Почему файл не хранится: too large — больше image.max_bytes, no room — не хватило image.max_total, '
	'not a picture — это не JPEG, PNG, WebP или GIF, truncated — оборван, no data — 1С не дала '
	'содержимого, another host — ссылка ведёт не на этот сервер';
COMMENT ON COLUMN onec.product_image.content IS 'Содержимое';

SELECT pg_catalog.pg_extension_config_dump('onec.product_file', '');
SELECT pg_catalog.pg_extension_config_dump('onec.stored_file', '');
SELECT pg_catalog.pg_extension_config_dump('onec.product_image', '');
