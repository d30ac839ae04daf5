-- Personal data: who reads what, and how a person is forgotten.

CREATE VIEW onec.site_user_masked AS
	SELECT u.server, u.user_id, u.customer_id, left(u.phone, 4) || repeat('*', greatest(length(u.phone) - 6, 0)) || right(u.phone, 2) AS phone,
		   left(u.name, 1) || '***' AS name, u.is_active
	FROM onec.site_user u;
COMMENT ON VIEW onec.site_user_masked IS 'Пользователи без телефонов и имён: для аналитиков';

-- Roles are the owner's to make; this gives one of them what an analyst reads.
CREATE FUNCTION onec.grant_reader(role regrole) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('GRANT USAGE ON SCHEMA onec TO %s', role);
	EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA onec TO %s', role);
END $$;
COMMENT ON FUNCTION onec.grant_reader(regrole) IS 'Дать роли право читать таблицы и представления магазина';
REVOKE EXECUTE ON FUNCTION onec.grant_reader(regrole) FROM PUBLIC;
