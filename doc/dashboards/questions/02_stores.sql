-- Stores side by side: revenue, average check, the share that is known by name
SELECT s.store, s.receipts, s.customers, s.net, s.average_check, s.share, s.known_share, s.change
FROM onec.store_summary s
ORDER BY s.net DESC;
