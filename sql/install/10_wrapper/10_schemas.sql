\echo Use "CREATE EXTENSION onec_fdw" to load this file. \quit

-- What users call is in schema onec, which CREATE EXTENSION makes.  What that calls is in onec_internal:
-- given to nobody but by onec.grant_reader and onec.grant_sync, and not the same in each version.

CREATE SCHEMA onec_internal;
COMMENT ON SCHEMA onec_internal IS 'Внутреннее устройство onec_fdw: пользоваться этим напрямую не нужно';
