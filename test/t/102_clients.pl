# What stands beside and before the extension: auto_explain and pg_stat_statements loaded, a role that is no superuser, psycopg 3, JDBC,
# pgbouncer in transaction mode.  Whatever a client may select from has no value that a driver cannot read (D11).
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $onec = OnecTest->onec('--customers', 12, '--seed', 5);
my $node = OnecTest->node('clients', conf => "shared_preload_libraries = 'auto_explain,pg_stat_statements'
	auto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\nauto_explain.log_verbose = on\nauto_explain.log_nested_statements = on
	compute_query_id = on\nlog_min_messages = 'warning'\n");

sub rows { return OnecTest->rows($node, @_); }

# ---- D8: a role that is no superuser, from nothing to a report ----
rows('CREATE ROLE owner LOGIN; CREATE DATABASE shop OWNER owner', database => 'postgres');
rows('CREATE EXTENSION onec_fdw; CREATE EXTENSION pg_stat_statements', database => 'shop');
my $as_owner = sub { return OnecTest->try_text($node, $_[0], database => 'shop', user => 'owner'); };

OnecTest->part(owner => sub {
	is($as_owner->("CREATE SERVER s FOREIGN DATA WRAPPER onec_fdw OPTIONS (url '" . $onec->url . "')")->{sqlstate}, '42501', 'D8: who was given nothing makes no server');
	my @given = ('GRANT USAGE ON FOREIGN DATA WRAPPER onec_fdw TO owner');
	rows($_, database => 'shop') for @given;
	my $made = $as_owner->("CREATE SERVER own FOREIGN DATA WRAPPER onec_fdw OPTIONS (url '" . $onec->url . "', timezone 'Europe/Moscow');
		CREATE USER MAPPING FOR CURRENT_USER SERVER own OPTIONS (user 'demo', password 'demo'); CREATE SCHEMA c;
		IMPORT FOREIGN SCHEMA \"StandardODATA\" FROM SERVER own INTO c; SELECT count(*) > 0 FROM c.Catalog_ДисконтныеКарты");
	is($made->{sqlstate} . $made->{stdout}, '00000t', 'D8: with one right, on the wrapper, a role that owns its database has foreign tables') or diag($made->{stderr});
});

OnecTest->part(syncs => sub {
	OnecTest->server($node, $onec, name => 'shop', database => 'shop', options => "timezone 'Europe/Moscow'");
	rows("SELECT FROM onec.setup('shop'); CREATE ROLE syncer LOGIN; CREATE ROLE analyst LOGIN; CREATE ROLE site LOGIN; SELECT onec.grant_reader('analyst'), onec.grant_site('site')", database => 'shop');
	my $told = OnecTest->try_text($node, "SELECT onec.grant_sync('syncer', 'shop')", database => 'shop');
	like($told->{stderr}, qr/HINT:.*CREATE USER MAPPING FOR syncer SERVER shop/, 'D8: grant_sync says what is left to do');
	rows("CREATE USER MAPPING FOR syncer SERVER shop OPTIONS (user 'demo', password 'demo')", database => 'shop');
	my $r = OnecTest->try_text($node, "CALL onec.sync('shop', days => 900); SELECT count(*) > 100 FROM onec.sale_line", database => 'shop', user => 'syncer');
	is($r->{sqlstate} . $r->{stdout}, '00000t', 'D8: and nothing more has to be given: one function and one mapping, the role syncs') or diag($r->{stderr});
	$r = OnecTest->try_text($node, "SELECT count(*) FROM onec.refresh_models('shop'); CALL onec.run_job('nightly', 'shop')", database => 'shop', user => 'syncer');
	is($r->{sqlstate}, '00000', 'D8: … computes models, and does the jobs') or diag($r->{stderr});
});

# ---- loaded libraries ----
OnecTest->part(loaded => sub {
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
	like($log, qr/LOG:.*duration: .*plan:/, 'auto_explain: it wrote plans');
	like($log, qr/1C Requests?: /, '… with the requests to 1C');
	unlike($log, qr/PANIC|terminated by signal/, '… and nothing fell');
	cmp_ok(rows("SELECT count(*) FROM pg_stat_statements WHERE query ~ 'onec.sync'", database => 'shop'), '>', 0, 'pg_stat_statements: syncs are counted');
});

# Every relation that a client may select from.
my $RELATIONS = q{SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname IN ('onec', 'shop') AND c.relkind IN ('r', 'v', 'f', 'p', 'm') ORDER BY 1};
my $relations = rows("SELECT count(*) FROM ($RELATIONS) r", database => 'shop');

# ---- D11: no value that a driver cannot read ----
OnecTest->part(values => sub {
	my $columns = rows(q{SELECT string_agg(format('SELECT %L WHERE EXISTS (SELECT FROM %s WHERE %I IN (''infinity'', ''-infinity''))', c.oid::regclass || '.' || a.attname,
			c.oid::regclass, a.attname), ' UNION ALL ')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'v') AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)},
		database => 'shop');
	cmp_ok(($columns =~ s/UNION/UNION/g) + 1, '>', 60, 'D11: columns with dates');
	is(rows($columns, database => 'shop'), '', 'D11: none of them is infinite');
	is(rows(q{SELECT string_agg(format('%s.%s', a.attrelid::regclass, a.attname), ', ') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'v') AND (format_type(a.atttypid, NULL) = 'record' OR a.atttypid::regtype::text ~ '^onec')
		AND NOT a.attisdropped}, database => 'shop'), '', 'D11: nor has a type that drivers do not know');
});

# ---- psycopg 3 ----
SKIP: {
	my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
	skip 'python3-psycopg is not installed', 2 if system("$python -c 'import psycopg' 2>/dev/null") != 0;
	open(my $file, '>:utf8', "$tmp/client.py");
	print $file <<'PYTHON';
import sys
import psycopg
connection = psycopg.connect(sys.argv[1], autocommit=True)
relations = [row[0] for row in connection.execute(sys.stdin.read())]
rows = 0
for binary in (False, True):
    for relation in relations:
        with connection.cursor(binary=binary) as cursor:
            try:
                rows += len(cursor.execute(f"SELECT * FROM {relation}").fetchall())
            except Exception as error:
                print(relation, binary, type(error).__name__, error)
print(len(relations), rows > 1000)
# statements prepared on the server, notices, a procedure that commits
for n in range(8):
    connection.execute("SELECT card_id FROM shop.discount_card WHERE code = %s", (str(n),), prepare=True).fetchall()
notices = []
connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
connection.execute("CALL onec.sync('shop', days => 900)")
print(len(notices) > 3, connection.execute("SELECT onec.profile_json(login, server => 'shop') FROM onec.site_user WHERE login IS NOT NULL LIMIT 1").fetchone()[0] is not None)
PYTHON
	close($file);
	my ($in, $out, $err) = ("$RELATIONS\n", '', '');
	IPC::Run::run([ $python, "$tmp/client.py", $node->connstr('shop') ], \$in, \$out, \$err);
	is($out, "$relations True\nTrue True\n", 'D11: psycopg 3 reads every table and view, as text and in binary; prepared statements, notices, a sync') or diag($err);
}

# ---- JDBC ----
SKIP: {
	my ($driver) = grep { -e $_ } '/usr/share/java/postgresql.jar';
	skip 'libpostgresql-jdbc-java and a JDK are not installed', 1 if !$driver || system('command -v javac >/dev/null') != 0;
	open(my $file, '>:utf8', "$tmp/Client.java");
	print $file <<'JAVA';
import java.sql.*;
class Client {
	public static void main(String[] a) throws Exception {
		try (Connection c = DriverManager.getConnection(a[0], "postgres", "")) {
			DatabaseMetaData m = c.getMetaData();
			int tables = 0, columns = 0, remarks = 0, rows = 0, keys = 0;
			for (String schema : new String[] {"onec", "shop"})
				try (ResultSet t = m.getTables(null, schema, "%", new String[] {"TABLE", "PARTITIONED TABLE", "VIEW", "FOREIGN TABLE"})) {
					while (t.next()) {
						tables++;
						String name = t.getString("TABLE_NAME");
						if (t.getString("REMARKS") != null) remarks++;
						try (ResultSet k = m.getPrimaryKeys(null, schema, name)) { while (k.next()) keys++; }
						try (ResultSet k = m.getImportedKeys(null, schema, name)) { while (k.next()); }
						try (ResultSet k = m.getColumns(null, schema, name, "%")) { while (k.next()) columns++; }
						try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT * FROM " + schema + ".\"" + name + "\"")) {
							int width = r.getMetaData().getColumnCount();
							while (r.next()) {
								rows++;
								for (int i = 1; i <= width; i++) {
									Object o = r.getObject(i);
									if (o instanceof Timestamp && ((Timestamp) o).getTime() >= PGInfinity.LIMIT) System.out.println("infinite: " + name);
								}
							}
						} catch (SQLException e) { System.out.println(schema + "." + name + ": " + e.getMessage()); }
					}
				}
			try (ResultSet f = m.getFunctions(null, "onec", "%")) { while (f.next()) keys++; }
			System.out.println(tables + " " + (columns > 300) + " " + (rows > 1000) + " " + (keys > 100) + " " + (remarks > 60));
		}
	}
}
class PGInfinity { static final long LIMIT = 9223372036825200000L; }
JAVA
	close($file);
	# JDBC knows no sockets of files
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
	$node->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust\n");
	$node->restart;
	my $printed = `cd '$tmp' && java -Xmx256m -cp '$driver' Client.java 'jdbc:postgresql://127.0.0.1:@{[ $node->port ]}/shop' 2>&1`;
	is($printed, "$relations true true true true\n", 'D11: JDBC: metadata, and every row of every table and view');
}

# ---- pgbouncer ----
SKIP: {
	my $bouncer = (grep { -x $_ } '/usr/sbin/pgbouncer')[0];
	skip 'pgbouncer is not installed', 5 if !$bouncer;
	my ($dir, $port) = (PostgreSQL::Test::Utils::tempdir_short(), PostgreSQL::Test::Cluster::get_free_port());
	PostgreSQL::Test::Utils::append_to_file("$dir/b.ini", "[databases]\nshop = host=@{[ $node->host ]} port=@{[ $node->port ]} user=@{[ scalar getpwuid($<) ]}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = $dir\n"
			. "listen_port = $port\nauth_type = any\nauth_file =\npool_mode = transaction\ndefault_pool_size = 1\nignore_startup_parameters = extra_float_digits\n"
			. "logfile = $dir/log\npidfile = $dir/pid\n");
	system($bouncer, '-q', '-d', "$dir/b.ini");
	my $through = sub {
		my ($out, $err) = ('', '');
		my $sql = shift;

		utf8::encode($sql);
		IPC::Run::run([ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', "host=$dir port=$port dbname=shop", '-f', '-' ], \$sql, \$out, \$err);
		return $? == 0 ? $out : "failed: $err";
	};
	is($through->("SELECT count(*) > 0 FROM shop.discount_card"), "t\n", 'pgbouncer: foreign tables, in transaction mode');
	like($through->("BEGIN; SELECT count(*) FROM shop.discount_card WHERE code = '1'; SELECT url FROM onec.last_requests() ORDER BY at DESC LIMIT 1; COMMIT"),
		qr/Catalog_/, '… what was asked is told within the same transaction');
	unlike($through->("CALL onec.sync('shop', days => 900)"), qr/failed/, '… CALL onec.sync commits on its own way');
	is(rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", database => 'shop'), '0', '… and leaves no lock with the session that others get');
	is($through->("SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'"), "0\n", '… nor temporary tables');
	kill 'TERM', PostgreSQL::Test::Utils::slurp_file("$dir/pid");
}

$node->stop;
done_testing();
