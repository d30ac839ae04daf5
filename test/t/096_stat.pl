# onec.stat_server counts what all sessions ask of a base: what the demo 1C has in its own log, whichever way the requests ended.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('stat');
my $onec = OnecTest->onec('--tiny', '--lines', 4000);
my $sale = 'b.AccumulationRegister_Продажи_RecordType';

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

OnecTest->server($node, $onec, name => 'b', options => "page_size '300', retries '2'");
is(rows("SELECT requests, stats_reset IS NULL FROM onec.stat_server WHERE server = 'b'"), '0|t', 'nothing is asked yet');
rows('CREATE SCHEMA b; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER b INTO b OPTIONS (functions \'off\')');
is(rows("SELECT requests > 0, errors FROM onec.stat_server WHERE server = 'b'"), 't|0', 'the first session is counted');

# ---- eight sessions side by side: reading to the end, in part, with errors that pass and errors that do not ----

rows("SELECT onec.stat_reset('b')");
is(rows("SELECT requests, errors, stats_reset > now() - interval '1 hour' FROM onec.stat_server WHERE server = 'b'"), '0|0|t', 'a reset begins anew');
$onec->control('POST', '/counters/clear');
$onec->control('POST', '/log/clear');
$onec->control('POST', '/faults', [ { match => 'Товары', every => 5, status => 503 }, { match => 'Склады', status => 500 } ]);
my @load = (
	"SELECT count(*) FROM (SELECT * FROM $sale OFFSET 0) x",
	"SELECT count(*) FROM $sale",
	"SELECT sum(Сумма) FROM $sale WHERE Количество > 1",
	"SELECT * FROM $sale LIMIT 3",
	'SELECT count(*) FROM (SELECT * FROM b.Catalog_Товары OFFSET 0) x',
	'SELECT Description FROM b.Catalog_Товары ORDER BY Ref_Key LIMIT 2',
	'SELECT * FROM b.Catalog_Склады',
	"SELECT min(Period), max(Period) FROM $sale");
my @work = map { my $n = $_; OnecTest->background($node, join("\n", '\set ON_ERROR_STOP off', '\o /dev/null', map { $load[ ($n + $_) % @load ] . ';' } 0 .. $#load)) } 0 .. 7;
$_->wait for @work;
OnecTest->wait_for(sub { return rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'background%'") eq '0'; }, 'the end of the sessions');
OnecTest->wait_for(sub { my $c = $onec->control('GET', '/counters'); return $c->{sessions_started} == $c->{sessions_finished}; }, 'the end of the 1C sessions');

my $counted = $onec->control('GET', '/counters');
my ($requests, $rows, $bytes, $retries, $errors, $cancelled, $waited) =
  split /\|/, rows("SELECT requests, rows, bytes, retries, errors, cancelled, wait_ms FROM onec.stat_server WHERE server = 'b'");
is($requests, $counted->{requests}, 'requests: as many as in the log of 1C');
cmp_ok($requests, '>', 100, '… and there were some');
is($errors, $counted->{errors}, 'errors: as many as in the log of 1C');
is($errors, rows("SELECT sum(errors) FROM onec.stat_server_error WHERE server = 'b'"), '… and their kinds add up');
like(rows("SELECT string_agg(kind, ', ' ORDER BY kind) FROM onec.stat_server_error WHERE server = 'b'"), qr/\w/, '… which have names');
cmp_ok($retries, '>', 0, 'some were repeated');
cmp_ok($rows, '<=', $counted->{rows_returned}, 'rows: no more than 1C has sent');
cmp_ok($rows, '>=', 6 * 4000, '… and all of the scans that went to the end');
cmp_ok($waited, '>', 0, 'time was spent');
cmp_ok($bytes, '>', 0, 'bytes came');

# ---- what is given up, what is dropped, who looks ----

$onec->control('POST', '/faults', { match => 'Товары', delay_ms => 20000 });
my $slow = OnecTest->background($node, 'SELECT * FROM b.Catalog_Товары');
OnecTest->wait_for(sub { return rows("SELECT requests FROM onec.stat_server WHERE server = 'b'") > $requests; }, 'the slow request');
$slow->cancel;
$slow->wait;
is(rows("SELECT cancelled - $cancelled FROM onec.stat_server WHERE server = 'b'"), 1, 'a request of a cancelled query is counted as given up');

rows("CREATE SERVER c FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/c', retries '0');
	CREATE USER MAPPING FOR CURRENT_USER SERVER c OPTIONS (user 'u', password 'p');
	CREATE FOREIGN TABLE c_t (a text) SERVER c OPTIONS (entity_set 'Catalog_C')");
run('SELECT * FROM c_t');
is(rows("SELECT server, errors, (SELECT string_agg(kind, ',') FROM onec.stat_server_error e WHERE e.server = s.server) FROM onec.stat_server s WHERE server = 'c'"),
	'c|1|could not connect', 'each server has counts of its own');
rows('DROP SERVER c CASCADE; CREATE SERVER c FOREIGN DATA WRAPPER onec_fdw OPTIONS (url \'http://127.0.0.1:1/c\')');
is(rows("SELECT requests FROM onec.stat_server WHERE server = 'c'"), 0, 'one of the same name that came later begins anew');

rows('CREATE ROLE analyst LOGIN; SELECT onec.grant_reader(\'analyst\')');
cmp_ok(rows("SELECT requests FROM onec.stat_server WHERE server = 'b'", user => 'analyst'), '>', 0, 'readers may look');
is(run("SELECT onec.stat_reset('b')", user => 'analyst')->{sqlstate}, '42501', '… and not reset');

my $before = rows("SELECT requests FROM onec.stat_server WHERE server = 'b'");
$node->restart;
is(rows("SELECT requests FROM onec.stat_server WHERE server = 'b'"), $before, 'a restart keeps them');
$node->stop('immediate');
$node->start;
is(rows("SELECT requests FROM onec.stat_server WHERE server = 'b'"), $before, '… and so does a crash');

# no file, no counts: queries go on
$node->stop;
unlink(glob($node->data_dir . '/pg_stat_tmp/onec_fdw.totals*'));
mkdir($node->data_dir . '/pg_stat_tmp/onec_fdw.totals.1');
$node->start;
my $blind = run("SELECT requests FROM onec.stat_server WHERE server = 'b'");
is($blind->{stdout}, '0', 'without the file there are no counts');
like($blind->{stderr}, qr/WARNING.*requests are not counted/, '… and that is said');
$onec->control('POST', '/faults/clear');
is(rows('SELECT count(*) > 0 FROM b.Catalog_Товары'), 't', '… while queries go on');

done_testing();
