-- TEST_UPDATABLE=1 (test/run): every server of the extension is one that may be written to, so that what reads is seen to be
-- the same there.  A server that says otherwise in its CREATE keeps that; one of a test that adds the option later does not.
CREATE SCHEMA made_updatable;
CREATE FUNCTION made_updatable.make() RETURNS event_trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT f.srvname FROM pg_event_trigger_ddl_commands() c JOIN pg_foreign_server f ON f.oid = c.objid
		JOIN pg_foreign_data_wrapper w ON w.oid = f.srvfdw
		WHERE w.fdwname = 'onec_fdw' AND NOT EXISTS (SELECT FROM pg_options_to_table(f.srvoptions) o
													WHERE o.option_name = 'updatable') LOOP
		EXECUTE format('ALTER SERVER %I OPTIONS (ADD updatable ''on'')', s.srvname);
	END LOOP;
END $$;
CREATE EVENT TRIGGER made_updatable ON ddl_command_end WHEN TAG IN ('CREATE SERVER')
	EXECUTE FUNCTION made_updatable.make();
