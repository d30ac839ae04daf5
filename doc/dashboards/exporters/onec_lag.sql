-- Zabbix agent 2, pgsql.custom.query[…,onec_lag,base]: the age of the oldest table of a base in seconds, -1: nothing was read yet
SELECT coalesce(max(extract(epoch FROM t.age)), -1)::bigint AS lag FROM onec.sync_status t WHERE t.server::text = $1;
