-- Seasons: how much better than the average a calendar month is
SELECT s.month, s.observed, s.net_per_month, s.season_index, s.whole_year
FROM onec.month_season s
ORDER BY s.month;
