-- When people come: receipts a day by day of the week and hour
SELECT w.weekday, w.hour, w.receipts_per_day, w.net, w.share
FROM onec.weekday_hour w
ORDER BY w.weekday, w.hour;
