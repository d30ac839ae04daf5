-- RFM segments: how many customers, what they bring
SELECT r.segment, r.customers, r.share, r.monetary, r.monetary_share, r.average_frequency, r.average_monetary
FROM onec.rfm_summary r
ORDER BY r.monetary DESC;
