-- What is wrong with the data, worst first
SELECT q.server, q.code, q.found, q.title
FROM onec.data_quality q
WHERE q.found > 0
ORDER BY q.found DESC;
