-- Cohorts: of those who bought first in a month, how many came again
SELECT c.cohort, c."offset", c.customers, c.retained, c.retention
FROM onec.cohort_retention c
WHERE NOT c.is_partial
ORDER BY c.cohort, c."offset";
