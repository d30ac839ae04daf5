-- What was asked of each base by all sessions
SELECT s.server, s.requests, s.retries, s.errors, s.cancelled, s.rows, s.bytes,
	   round((s.wait_ms / nullif(s.requests, 0))::numeric, 1) AS ms_a_request, s.stats_reset
FROM onec.stat_server s
ORDER BY s.server;
