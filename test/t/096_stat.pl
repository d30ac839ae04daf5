# onec.stat_server counts what all sessions ask of a base: what the demo 1C has in its own log, whichever way the requests ended.
use strict;
use warnings;
use utf8;

use Encode ();
use List::Util qw(sum0);

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('stat');
my $onec = OnecTest->onec('--customers', 60);
my $sale = 'raw.AccumulationRegister_Продажи_RecordType';

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }
sub sessions_end { return OnecTest->wait_for(sub { $onec->control('GET', '/counters')->{sessions_open} == 0 }, 'the end of the 1C sessions'); }

OnecTest->server($node, $onec, name => 'b', options => "page_size '300', retries '4'");
is(rows("SELECT requests, stats_reset IS NULL FROM onec.stat_server WHERE server = 'b'"), '0|t', 'nothing is asked yet');
rows('CREATE SCHEMA raw; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER b INTO raw OPTIONS (functions \'off\')');
is(rows("SELECT requests > 0, errors FROM onec.stat_server WHERE server = 'b'"), 't|0', 'the first session is counted');
rows("SELECT FROM onec.setup('b'); ALTER FOREIGN TABLE raw.Catalog_Валюты OPTIONS (ADD retries '1')");

# ---- eight sessions side by side: to the end, cut off, refused, repeated, given up ----

rows("CREATE ROLE stranger LOGIN; GRANT USAGE ON FOREIGN SERVER b TO stranger; GRANT USAGE ON SCHEMA raw TO stranger;
	GRANT SELECT ON ALL TABLES IN SCHEMA raw TO stranger; CREATE USER MAPPING FOR stranger SERVER b OPTIONS (user 'demo', password 'wrong');
	SELECT onec.stat_reset('b')");
sessions_end();
is(rows("SELECT requests, errors, stats_reset > now() - interval '1 hour' FROM onec.stat_server WHERE server = 'b'"), '0|0|t', 'a reset begins anew');
$onec->control('POST', '/log/clear');
# kinds as onec.stat_server_error calls them; the first three pass, and are asked again
my @faults = (
	[ '1C is busy or has no licence', { match => 'Catalog_Номенклатура\?', every => 3, times => 6, status => 503 } ],
	[ 'connection broken', { match => 'Catalog_ВидыЦен\?', times => 3, cut_at => 30 } ],
	[ '1C failed', { match => 'Catalog_Валюты\?', status => 500 } ],
	[ 'malformed answer', { match => 'Catalog_СтавкиНДС\?', times => 2, body => '{"value": [{"Ref_Key": "' } ],
	[ 'no right in 1C', { match => 'Catalog_БонусныеПрограммы\?', status => 403 } ],
	[ '', { match => 'Catalog_КассыККМ\?', times => 2, delay_ms => 3000 } ]);
my $first = $onec->control('POST', '/faults', [ map { $_->[1] } @faults ])->[0]{id};
my %kind_of = map { $first + $_ => $faults[$_][0] } 0 .. $#faults;
my $given_up = $first + $#faults;
my @load = (
	"SELECT count(*) FROM (SELECT * FROM $sale OFFSET 0) x",
	"SELECT count(*) FROM $sale",
	"SELECT sum(Сумма) FROM $sale WHERE Количество > 1",
	"SELECT * FROM $sale LIMIT 3",
	(map { "SELECT count(*) FROM (SELECT * FROM raw.Catalog_$_ OFFSET 0) x" } qw(Номенклатура ВидыЦен Валюты СтавкиНДС БонусныеПрограммы)),
	'SELECT Description FROM raw.Catalog_Номенклатура ORDER BY Ref_Key LIMIT 2',
	"SELECT min(Period), max(Period) FROM $sale");
my @sql = map { my $n = $_; join("\n", '\set ON_ERROR_STOP off', '\o /dev/null', map { $load[ ($n + $_) % @load ] . ';' } 0 .. $#load) } 0 .. 3;
push @sql, "CALL onec.sync('b', full_reload => true)", ('SELECT * FROM raw.Catalog_КассыККМ') x 2;
my @work = map { OnecTest->background($node, $_) } @sql;
push @work, OnecTest->background($node, 'SELECT * FROM raw.Catalog_СтруктурныеЕдиницы', user => 'stranger');
OnecTest->wait_for(sub { return (grep { $_->{id} == $given_up } @{ $onec->control('GET', '/faults') })[0]{acted} == 2; }, 'the slow requests');
my @stopped = map { $_->cancel; $_->wait } splice @work, 5, 2;
my @told = ((map { $_->wait } @work), @stopped);
is(join(' ', map { $_->{sqlstate} } @told[ 4, 6, 7, 5 ]), '00000 57014 57014 28000', 'a sync goes through beside them, two are cancelled, one is not let in');
OnecTest->wait_for(sub { return rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'background%'") eq '0'; }, 'the end of the sessions');
sessions_end();

# what 1C has written down, without the requests that end a session and ask for nothing; what nobody waited for has no answer
my @log = @{ $onec->control('GET', '/log') };
my @asked = grep { $_->{path} ne '' } @log;
my @answers = grep { !$_->{fault} || $_->{fault} != $given_up } @asked;
my %failed;
$failed{ $_->{auth} ? $kind_of{ $_->{fault} } : 'login refused' }++ for grep { $_->{fault} || !$_->{auth} } @answers;
my $passed = $failed{'1C is busy or has no licence'} + $failed{'connection broken'} + $failed{'1C failed'};
my $lost = grep { /ERROR:.*Валюты/ } map { split /\n/, Encode::decode_utf8($_->{stderr}) } @told[ 0 .. 3 ];
is($lost, 4, 'what fails again and again fails each who asks');
is(rows("SELECT requests, rows, bytes, retries, errors, cancelled FROM onec.stat_server WHERE server = 'b'"),
	join('|', scalar @log, sum0(map { $_->{rows} } grep { !$_->{fault} } @answers), sum0(map { $_->{sent} } @answers), $passed - $lost,
		sum0(values %failed), @asked - @answers), 'requests, rows, bytes, retries, errors and what was given up: as in the log of 1C');
is(rows("SELECT kind, errors FROM onec.stat_server_error WHERE server = 'b' ORDER BY kind COLLATE \"C\""),
	join("\n", map { "$_|$failed{$_}" } sort keys %failed), '… the errors kind by kind');
is(scalar keys %failed, 6, '… of six kinds');
my ($requests, $cancelled, $waited) = split /\|/, rows("SELECT requests, cancelled, wait_ms FROM onec.stat_server WHERE server = 'b'");
cmp_ok($requests, '>', 100, '… of many requests');
cmp_ok($waited, '>=', sum0(map { $_->{ms} } @answers), '… which took at least as long as they took 1C');
is(rows('SHOW shared_preload_libraries'), '', '… and nothing had to be preloaded');

# ---- what is given up, what is dropped, who looks ----

$onec->control('POST', '/faults', { match => 'Единицы', delay_ms => 20000 });
my $slow = OnecTest->background($node, 'SELECT * FROM raw.Catalog_СтруктурныеЕдиницы');
OnecTest->wait_for(sub { return rows("SELECT requests FROM onec.stat_server WHERE server = 'b'") > $requests; }, 'the slow request');
is(rows("SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = " . $slow->pid),
	'Extension|' . ($node->pg_version >= 17 ? 'OnecAnswer' : 'Extension'), 'a wait for 1C has its name, where the server has such names');
$slow->cancel;
$slow->wait;
OnecTest->wait_for(sub { return rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'background%'") eq '0'; }, 'the end of the session');
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
is(rows('SELECT count(*) > 0 FROM raw.Catalog_СтруктурныеЕдиницы'), 't', '… while queries go on');

done_testing();
