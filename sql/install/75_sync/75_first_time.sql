-- What only the first syncs of a base do: tell whoever watches how far they are, and make the models, pairs
-- and recommendations that later are the weekly job's, so that no function is empty after them.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('sync.first_models', 'bool', 'true', NULL, NULL, NULL,
	 'После первой полной синхронизации построить модель покупок, пары товаров и рекомендации, не дожидаясь '
	 'воскресенья'),
	('sync.progress_seconds', 'numeric', '5', NULL, 0, 86400,
	 'Первая загрузка таблицы, начатая вручную, раз в столько секунд сообщает, сколько прочитано и сколько '
	 'осталось; 0 — не сообщать');

-- ---- how far it is ----

-- A line about a step that reads its table for the first time, when it is due: the window that is done began
-- before, and ended after, a multiple of the seconds.  Jobs, and sessions that no client reads, say nothing.
CREATE FUNCTION onec_internal.tell_progress(plan onec_internal.sync_plan, run bigint, place int,
											since timestamptz) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	every numeric := onec.get('sync.progress_seconds', plan.server)::numeric;
	p record;
BEGIN
	IF plan.job IS NOT NULL OR every = 0 THEN
		RETURN;
	END IF;
	SELECT s.target, s.rows_read, 100 * s.windows_done / s.windows_total AS percent,
		   n.elapsed / s.windows_done * (s.windows_total - s.windows_done) AS remaining INTO p
	FROM onec.sync_step s CROSS JOIN LATERAL (SELECT clock_timestamp() - s.started_at) n (elapsed)
	WHERE s.server = plan.server AND s.run_id = run AND s.ordinal = place
	  AND s.windows_done BETWEEN 1 AND s.windows_total - 1
	  AND div(extract(epoch FROM since - s.started_at), every) < div(extract(epoch FROM n.elapsed), every)
	  AND NOT EXISTS (SELECT FROM onec.sync_state t
					  WHERE t.server = s.server AND t.target = s.target AND t.last_ok IS NOT NULL)
	  AND (SELECT a.backend_type FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()) = 'client backend';
	IF p.target IS NOT NULL THEN
		RAISE NOTICE USING MESSAGE = format('%s: %s rows, %s %%, about %s left', p.target, p.rows_read,
			p.percent, date_trunc('second', p.remaining + interval '0.5 seconds'));
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.tell_progress(onec_internal.sync_plan, bigint, int, timestamptz) IS
	'Сообщить о ходе первой загрузки таблицы (служебная)';

-- ---- what is made of it ----

-- Whether a run has left purchases and profiles of which no model was ever made.  A model that was tried and
-- found too few customers was made; the weekly job makes its own.
CREATE FUNCTION onec_internal.models_are_due(plan onec_internal.sync_plan, run bigint) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ($1).size >= 2 AND ($1).job IS DISTINCT FROM 'weekly'
		AND onec.get('sync.first_models', ($1).server)::boolean
		AND NOT EXISTS (SELECT FROM onec.clv_model m WHERE m.server = ($1).server)
		AND EXISTS (SELECT FROM onec_internal.profile_state p WHERE p.server = ($1).server)
		AND NOT EXISTS (SELECT FROM onec.sync_step s JOIN onec.target t ON t.target = s.target
						WHERE s.server = ($1).server AND s.run_id = $2
						  AND (s.step = onec_internal.compared_step() OR t.source <> 'set')
						  AND s.status NOT IN ('ok', 'incomplete', 'not published'))
$$;
COMMENT ON FUNCTION onec_internal.models_are_due(onec_internal.sync_plan, bigint) IS
	'Пора ли впервые построить модели (служебная)';

-- The last step of the first whole run, when the run itself is over: whatever becomes of it, the run was what
-- it was.
CREATE FUNCTION onec_internal.refresh_first_models(plan onec_internal.sync_plan, run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF onec_internal.models_are_due(plan, run) THEN
		PERFORM onec.refresh_models(plan.server);
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.refresh_first_models(onec_internal.sync_plan, bigint) IS
	'Построить модели, пары и рекомендации после первой полной синхронизации (служебная)';
