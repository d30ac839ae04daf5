-- Options: what is accepted where, and what the messages say.
\set VERBOSITY default
\set SHOW_CONTEXT never

CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw;
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'ftp://1c.example/base');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'file:///etc/passwd');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://me:secret77@1c.example/base');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base?x=1');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', password 'secret77');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', page_sise '5');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', entity_set 'x');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', retries 'many');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', prefetch '99');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', paging 'random');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', push_filter 'maybe');
CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', page_bytes '1 parrot');

CREATE SERVER o1 FOREIGN DATA WRAPPER onec_fdw
	OPTIONS (url 'https://1c.example/base/', timezone 'Europe/Moscow', connect_timeout '5',
			 request_timeout '10min', page_bytes '2MB', session 'auto', push_order 'off',
			 min_interval '250', max_url '1500');

-- logins: in user mappings, and never in a message
CREATE USER MAPPING FOR CURRENT_USER SERVER o1 OPTIONS (password 'secret77');
CREATE USER MAPPING FOR CURRENT_USER SERVER o1 OPTIONS (user 'u:secret77', password 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER o1 OPTIONS (token 'not base64, but secret77');
CREATE USER MAPPING FOR CURRENT_USER SERVER o1 OPTIONS (token 'c2VjcmV0', user 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER o1 OPTIONS (url 'https://1c.example');
CREATE USER MAPPING FOR CURRENT_USER SERVER o1 OPTIONS (token 'Basic c2VjcmV0OjE=');

-- tables and columns
CREATE FOREIGN TABLE o_t (a text OPTIONS (property 'Code', edm_type 'Sting')) SERVER o1 OPTIONS
	(entity_set 'Catalog_A');
CREATE FOREIGN TABLE o_t (a text OPTIONS (propety 'Code')) SERVER o1 OPTIONS (entity_set 'Catalog_A');
CREATE FOREIGN TABLE o_t (a text OPTIONS (property 'Code', edm_type 'Edm.String')) SERVER o1;
SELECT * FROM o_t;
ALTER FOREIGN TABLE o_t OPTIONS (ADD entity_set 'Catalog_A', ADD page_size '10');

ALTER SERVER o1 OPTIONS (ADD write_mode 'later');
ALTER SERVER o1 OPTIONS (ADD delete_mode 'Mark');
ALTER SERVER o1 OPTIONS (ADD batch_size '0');
ALTER SERVER o1 OPTIONS (ADD write_mode 'direct', ADD delete_mode 'physical', ADD batch_size '1');
ALTER FOREIGN TABLE o_t OPTIONS (ADD write_mode 'outbox', ADD delete_mode 'error', ADD batch_size '1000');

-- nothing is written to 1C unless its owner says so
INSERT INTO o_t VALUES ('x');
UPDATE o_t SET a = 'y';
DELETE FROM o_t;
TRUNCATE o_t;

-- what weakens safety is for superusers
CREATE ROLE regress_onec_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER onec_fdw TO regress_onec_owner;
SET ROLE regress_onec_owner;
CREATE SERVER o2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', tls_verify 'off');
CREATE SERVER o2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', ca_file '/etc/passwd');
CREATE SERVER o2 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'https://1c.example/base', tls_verify 'on');
ALTER SERVER o2 OPTIONS (SET tls_verify 'off');
SELECT * FROM onec.entity_sets('o2');
DROP SERVER o2;
RESET ROLE;
REVOKE USAGE ON FOREIGN DATA WRAPPER onec_fdw FROM regress_onec_owner;
DROP ROLE regress_onec_owner;

SET onec_fdw.log_reqests = on;

DROP USER MAPPING FOR CURRENT_USER SERVER o1;
DROP SERVER o1 CASCADE;
