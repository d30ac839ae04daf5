-- What is mirrored, how fresh it is, and what the base has no more.

CREATE VIEW onec.mirrors AS
	SELECT t.server, t.target AS mirror, t.entity_set,
		   format('%I.%I', t.table_schema, t.table_name) AS table_name,
		   ARRAY(SELECT format('%I.%I', s.table_schema, s.table_name) FROM onec_internal.mirror_section s
				 WHERE s.target = t.target ORDER BY s.field) AS sections,
		   CASE WHEN c.oid IS NULL THEN 'no table' ELSE coalesce(l.status, 'never read') END AS status,
		   k.last_ok, now() - k.last_ok AS age, l.rows_read, l.rows_written, l.message,
		   greatest(c.reltuples, 0)::bigint AS rows_about, pg_catalog.pg_total_relation_size(c.oid) AS bytes,
		   t.date_column, t.people, t.erasure,
		   ARRAY(SELECT f.field FROM onec.field_source f
				 WHERE f.target = t.target AND NOT EXISTS (
					SELECT FROM pg_catalog.pg_attribute a
					JOIN pg_catalog.pg_class r ON r.oid = a.attrelid AND r.relname = t.target
					JOIN pg_catalog.pg_namespace w ON w.oid = r.relnamespace AND w.nspname = t.server
					WHERE a.attname = f.field AND NOT a.attisdropped
					  AND ('missing_property=null' = ANY (a.attfdwoptions)) IS NOT TRUE)
				 ORDER BY f.ordinal) AS gone,
		   m.looked_at
	FROM onec_internal.mirror m
	JOIN onec.target t ON t.target = m.target
	LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.table_schema
	LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.table_name AND c.relkind = 'r'
	LEFT JOIN onec.sync_state k ON k.server = t.server AND k.target = t.target
	LEFT JOIN LATERAL (
		SELECT s.status, s.rows_read, s.rows_inserted + s.rows_updated + s.rows_deleted AS rows_written,
			   s.message
		FROM onec.sync_step s
		WHERE s.server = t.server AND s.target = t.target AND s.status <> 'waiting'
		ORDER BY s.run_id DESC LIMIT 1) l ON true
	ORDER BY t.server, t.ordinal;
COMMENT ON VIEW onec.mirrors IS 'Зеркала: что куда читается, насколько свежо и что в 1С пропало';
COMMENT ON COLUMN onec.mirrors.mirror IS 'Имя зеркала: для onec.unmirror и в журнале запусков';
COMMENT ON COLUMN onec.mirrors.entity_set IS 'Набор 1С';
COMMENT ON COLUMN onec.mirrors.table_name IS 'Местная таблица';
COMMENT ON COLUMN onec.mirrors.sections IS 'Таблицы её табличных частей';
COMMENT ON COLUMN onec.mirrors.status IS
	'Итог последнего чтения; never read — ещё не читалось, no table — таблицы нет на месте';
COMMENT ON COLUMN onec.mirrors.last_ok IS 'Когда в последний раз прочитано целиком';
COMMENT ON COLUMN onec.mirrors.age IS 'Сколько с тех пор прошло';
COMMENT ON COLUMN onec.mirrors.rows_read IS 'Прочитано строк последним чтением';
COMMENT ON COLUMN onec.mirrors.rows_written IS 'Из них записано: добавлено, изменено, удалено';
COMMENT ON COLUMN onec.mirrors.message IS 'Пояснение последнего чтения';
COMMENT ON COLUMN onec.mirrors.rows_about IS 'Сколько строк в таблице, примерно';
COMMENT ON COLUMN onec.mirrors.bytes IS 'Сколько она занимает, с индексами';
COMMENT ON COLUMN onec.mirrors.people IS 'Столбцы, которые говорят, чья строка';
COMMENT ON COLUMN onec.mirrors.erasure IS 'Что делает с такими строками onec.forget';
COMMENT ON COLUMN onec.mirrors.gone IS
	'Столбцы, свойств которых в 1С больше нет: остаются с прежними значениями';
COMMENT ON COLUMN onec.mirrors.looked_at IS 'Когда свойства сверялись с $metadata';
