# The extension goes into a new database, shows what it promises there, and leaves it again.
use strict;
use warnings;

use OnecTest;
use Test::More;

my $node = OnecTest->node('install');

is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'onec_fdw'"),
	(PostgreSQL::Test::Utils::slurp_file("$OnecTest::ROOT/onec_fdw.control") =~ /^default_version = '([\d.]+)'/m)[0], 'the version of the control file is installed');
is($node->safe_psql('postgres', "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
		WHERE extname = 'onec_fdw'"), 'onec', 'its schema is onec');

# Users find their way by \d+ and psql's completion: whatever they may call or read is described.
my $silent = $node->safe_psql('postgres', q{
	SELECT string_agg(pg_describe_object(classid, objid, 0), E'\n' ORDER BY 1)
	FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'onec_fdw')
	  AND classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_foreign_data_wrapper'::regclass)
	  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = objid AND classid = 'pg_class'::regclass
	                  AND c.relkind NOT IN ('r', 'v', 'm', 'p', 'f'))
	  AND obj_description(objid, (SELECT relname FROM pg_class c WHERE c.oid = classid)) IS NULL});
is($silent, '', 'every function, table and view has a comment');
$silent = $node->safe_psql('postgres', q{
	SELECT string_agg(a.attrelid::regclass || '.' || a.attname, E'\n' ORDER BY 1)
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
	  AND col_description(a.attrelid, a.attnum) IS NULL});
is($silent, '', 'and every column of them');

my $exposed = $node->safe_psql('postgres', q{
	SELECT string_agg(p.oid::regprocedure::text, E'\n' ORDER BY 1)
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'onec_fdw')
	  AND p.prosecdef
	  AND NOT (p.proconfig IS NOT NULL AND array_to_string(p.proconfig, ',') LIKE '%search_path%pg_temp%')});
is($exposed, '', 'no SECURITY DEFINER function without a search_path of its own');

my $try = OnecTest->try($node, 'CREATE SERVER s FOREIGN DATA WRAPPER onec_fdw');
is($try->{sqlstate}, 'HV00J', 'a server without a url is refused: an option is missing')
	or diag($try->{stderr});

$node->safe_psql('postgres', q{
	CREATE SERVER s FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base')});
$try = OnecTest->try($node, 'DROP EXTENSION onec_fdw');
is($try->{sqlstate}, '2BP01', 'a server in use keeps the extension');
$node->safe_psql('postgres', 'DROP EXTENSION onec_fdw CASCADE');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_proc WHERE prosrc ~ '^onec_'"), '0',
	'nothing is left behind');
$node->safe_psql('postgres', 'DROP SCHEMA IF EXISTS onec');
$node->safe_psql('postgres', 'CREATE EXTENSION onec_fdw');
pass('it can be created again');

$node->stop;
done_testing();
