-- The last runs of the sync, and how they ended
SELECT r.server, r.run_id, coalesce(r.job, 'by hand') AS job, r.started_at, r.finished_at, r.status, r.message
FROM onec.sync_run r
ORDER BY r.started_at DESC
LIMIT 50;
