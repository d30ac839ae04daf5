-- What an exchange plan has told of, read by key: compared, proven and written as a window is; see
-- 48_plan.sql.

CREATE FUNCTION onec_internal.sync_told(server name, target text, force boolean, OUT read bigint,
										OUT keys bigint, OUT inserted bigint, OUT updated bigint,
										OUT deleted bigint, OUT doubt text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	asked text := (SELECT string_agg(quote_literal(k.id), ', ' ORDER BY k.id)
				   FROM (SELECT c.key_id AS id FROM onec_internal.plan_change c
						 WHERE c.server = sync_told.server AND c.target = sync_told.target
						 UNION SELECT unnest(onec_internal.witnesses(sync_told.server, sync_told.target))) k
				   WHERE EXISTS (SELECT FROM onec_internal.plan_change c
								 WHERE c.server = sync_told.server AND c.target = sync_told.target));
	condition text := format('%I IN (%s)', (onec_internal.unit_columns(target))[1], asked);
	w record;
BEGIN
	IF asked IS NULL THEN
		SELECT 0, 0, 0, 0, 0 INTO read, keys, inserted, updated, deleted;
		RETURN;
	END IF;
	SELECT * INTO w FROM onec_internal.sync_part_of_table(server, target, condition, condition, NULL, NULL,
														  force, NULL, true);
	read := w.read;
	keys := w.keys;
	inserted := w.inserted;
	updated := w.updated;
	deleted := w.deleted;
	IF w.doubt IS NOT NULL AND w.read > 0 THEN
		PERFORM onec_internal.check_plan_soon(server, target);
	END IF;
	doubt := coalesce(w.doubt, CASE WHEN w.holes > 0 THEN 'rows came without a property that others have'
									WHEN w.numbered > 0 THEN onec_internal.reason_two_rows() END);
END $$;
COMMENT ON FUNCTION onec_internal.sync_told(name, text, boolean) IS
	'Прочитать то, о чём сообщил план обмена (служебная)';
