-- ABC and XYZ: the products that bring the most
SELECT a.title, a.net, a.share, a.abc, a.xyz
FROM onec.abc_xyz_masked a
WHERE a.kind = 'product'
ORDER BY a.net DESC
LIMIT 50;
