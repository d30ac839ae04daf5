-- Revenue by month: gross, returned, net, receipts, customers and those of them who bought for the first time
SELECT m.month, sum(m.gross) AS gross, sum(m.returned) AS returned, sum(m.net) AS net, sum(m.receipts) AS receipts,
	   sum(m.customers) AS customers, sum(m.new_customers) AS new_customers
FROM onec.revenue_month m
GROUP BY m.month
ORDER BY m.month;
