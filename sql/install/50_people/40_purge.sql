-- What is too old to be kept, and how it is deleted.

-- Balances are sums of all movements, so those of a card go only where they come to nothing by that day.  The
-- day is remembered: what is older is read no more.
CREATE FUNCTION onec_internal.purge_before(server name, before date) RETURNS TABLE (table_name text,
	rows bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	statement text;
	tab regclass;
	left_over bigint;
BEGIN
	PERFORM onec_internal.refresh_all_people_next(purge_before.server);
	INSERT INTO onec_internal.base AS b (server, purged_before) VALUES (purge_before.server, before)
	ON CONFLICT ON CONSTRAINT base_pkey DO UPDATE SET purged_before = greatest(b.purged_before,
		excluded.purged_before);
	FOR table_name, tab, statement IN
		SELECT t.table_name, onec_internal.table_of_target(t.target),
			   format('DELETE FROM %s l WHERE l.server = %s AND l.%I < $2 %s',
					  onec_internal.table_of_target(t.target),
					  onec_internal.server_in(onec_internal.table_of_target(t.target), $1), t.date_column,
			CASE t.purge
			WHEN 'zero balance' THEN 'AND ROW(l.card_id)::text NOT IN (
				SELECT ROW(p.card_id)::text FROM onec_internal.counted_points p
				WHERE p.server = $1 AND p.period < $2
				GROUP BY p.card_id HAVING sum(p.points) <> 0)'
			WHEN 'no movements' THEN 'AND NOT EXISTS (
				SELECT FROM onec.loyalty_movement m
				WHERE m.server = $1 AND m.card_id = l.card_id AND m.period < $2)' END)
		FROM onec_internal.sync_steps(server, NULL) t WHERE t.purge <> 'none'
		-- who drops tables has readers wait until the end: that comes last
		ORDER BY EXISTS (SELECT FROM onec_internal.years_of(onec_internal.table_of_target(t.target))),
				 t.ordinal
	LOOP
		rows := onec_internal.drop_years(tab, server, before);
		EXECUTE statement USING purge_before.server, before::timestamp;
		GET DIAGNOSTICS left_over = ROW_COUNT;
		rows := rows + left_over;
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION onec_internal.purge_before(name, date) IS
	'Удалить покупки, чеки, заказы и баллы раньше этого дня (служебная)';
