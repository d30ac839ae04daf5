-- What waits to be written to 1C, since when, and what to do
SELECT o.server, o.pending + o.waiting + o.sending AS on_the_way, o.unknown, o.blocked + o.conflict + o.failed AS stuck,
       o.lag, o.last_done_at, o.hint
FROM onec.outbox_status o
ORDER BY stuck DESC, o.lag DESC NULLS LAST;
