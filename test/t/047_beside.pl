# Several readings of one base in one backend, one begun before another has ended: none disturbs the other's rows, all of
# them together keep to the option prefetch, and no 1C session serves two at once or is left open.
use strict;
use warnings;
use utf8;

use Encode;
use JSON::PP;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('beside');
my $onec = OnecTest->onec('--tiny', '--lines', 1000);
my $control = '127.0.0.1:' . $onec->control_port;

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

sub counters { return $onec->control('GET', '/counters'); }

OnecTest->server($node, $onec, name => 'shop', options => "page_size '200', prefetch '1', retries '0', push_count 'off'");
rows('CREATE SCHEMA s; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO s;
	CREATE VIEW sales AS SELECT * FROM s.AccumulationRegister_Продажи_RecordType;
	CREATE VIEW goods AS SELECT * FROM s.Catalog_Товары;
	CREATE VIEW both_catalogs AS SELECT Ref_Key FROM s.Catalog_Товары UNION ALL SELECT Ref_Key FROM s.Catalog_Склады');
my $lines = rows('SELECT count(*) FROM (SELECT * FROM sales OFFSET 0) x');
my $both = rows('SET enable_async_append = off; SELECT count(*) FROM (SELECT * FROM both_catalogs OFFSET 0) x');

# ---- scans side by side wait for what others have asked for, and let it come on ----

my $soon = "SET statement_timeout = '180s';";
is(rows("$soon SELECT max(c) FROM (SELECT (SELECT count(*) FROM both_catalogs x WHERE Ref_Key::text <> s.Recorder) c FROM sales s LIMIT 300) y"), $both,
	'an Append inside a scan that has asked for a page ahead');
$onec->control('POST', '/modes', { page_delay => 300 });
is(rows("$soon SELECT count(*) FROM (SELECT s.Recorder FROM sales s, generate_series(1, 2) OFFSET 150 LIMIT 3) x; SELECT count(*) FROM (SELECT * FROM both_catalogs OFFSET 0) x"),
	"3\n$both", 'an Append after a query that has left a request behind');
is(rows("$soon BEGIN; DECLARE c CURSOR FOR SELECT Recorder FROM sales; MOVE 150 FROM c; SELECT count(*) FROM (SELECT * FROM both_catalogs OFFSET 0) x; COMMIT"),
	$both, 'an Append beside a cursor');

# ---- requests that nobody wants any more are requests under way ----

$onec->control('POST', '/counters/clear', {});
rows("SELECT count(*) FROM generate_series(1, 5) n, LATERAL (SELECT s.Recorder FROM sales s, generate_series(1, 2) WHERE n > 0 OFFSET 150 + n LIMIT 1) x");
is(counters()->{busiest}, 1, 'a scan begun again does not ask beside the page that it had asked for ahead');
$onec->control('POST', '/modes/clear', {});

# ---- what one reading finds out is not put upon another in the middle ----

rows("ALTER SERVER shop OPTIONS (ADD paging 'skip')");
my $got = rows("BEGIN; DECLARE c CURSOR FOR SELECT Recorder, LineNumber FROM sales; FETCH 250 FROM c;\n"
	. "\\! curl -s -o /dev/null -d '{\"refuse_filter\": true}' $control/modes\n"
	. "SELECT 'beside', count(*) FROM sales WHERE Сумма > 1 AND Active;\n"
	. "\\! curl -s -o /dev/null -d '{}' $control/modes/clear\n"
	. "FETCH ALL FROM c; COMMIT");
my %seen;
$seen{$_}++ for grep { !/^beside/ } split(/\n/, $got);
is(keys %seen, $lines, 'a cursor gives every row though another query was refused something meanwhile');
is((grep { $_ > 1 } values %seen), 0, '… and none twice');
rows('ALTER SERVER shop OPTIONS (DROP paging)');
$onec->control('POST', '/modes', { refuse_filter => JSON::PP::true() });
is(rows("SELECT count(*) FROM sales WHERE LineNumber = 1 \\g /dev/null\nSELECT string_agg(capability, ' ') FROM onec.session_refusals() WHERE entity_set LIKE '%Продажи%'"),
	'filter', 'what is refused is the condition, and not the order that was left out first');
$onec->control('POST', '/modes/clear', {});

# ---- 1C sessions ----

sub sessions
{
	my $counters = counters();

	return "$counters->{sessions_open} open";
}

my $read = "SELECT count(*) FROM (SELECT * FROM goods OFFSET 0) x;\n";
$onec->control('POST', '/counters/clear', {});
$onec->control('POST', '/faults', { match => 'Товары', after => 2, exception => 'Недостаточно памяти для получения результата запроса', status => 500 });
is(run($read x 3)->{sqlstate}, 'HV00M', 'an exception of the base is an error');
$onec->control('POST', '/faults/clear', {});
ok(OnecTest->wait_for(sub { sessions() eq '0 open' }, 'the end of all 1C sessions'), '… and no 1C session is left open by it');

$onec->control('POST', '/faults', { match => 'Товары', nth => 2, delay_ms => 600 });
# whoever sleeps in the end is there to be terminated, however late that comes
my $stuck = OnecTest->background($node, $read x 2 . 'SELECT pg_sleep(60)');
OnecTest->wait_for(sub { counters()->{sessions_open} + 0 > 0 || $onec->control('GET', '/log')->[-1]{fault} }, 'the second request');
$stuck->terminate;
$stuck->wait;
$onec->control('POST', '/faults/clear', {});
ok(OnecTest->wait_for(sub { sessions() eq '0 open' }, 'the end of all 1C sessions'), 'D12: nor by a backend that is terminated while it asks for one');

# ---- rows that triggers change on their way into a table ----

rows("CREATE TABLE keys AS SELECT row_number() OVER () n, Ref_Key k FROM goods, generate_series(1, 3) WHERE Code = 'G-2';
	CREATE TABLE joined (n bigint, k uuid, d text, r uuid) PARTITION BY LIST (n); CREATE TABLE joined_all PARTITION OF joined DEFAULT;
	CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.d := coalesce(NEW.d, ''none'') || ''+''; RETURN NEW; END';
	CREATE TRIGGER mark BEFORE INSERT ON joined_all FOR EACH ROW EXECUTE FUNCTION mark();
	CREATE TABLE priced (d text, good uuid) PARTITION BY LIST (d); CREATE TABLE priced_all PARTITION OF priced DEFAULT;
	CREATE TRIGGER mark BEFORE INSERT ON priced_all FOR EACH ROW EXECUTE FUNCTION mark();
	CREATE FOREIGN TABLE prices (d text OPTIONS (argument 'Period'), good uuid OPTIONS (property 'Товар_Key'))
		SERVER shop OPTIONS (entity_set 'InformationRegister_Цены', function 'SliceLast')");
is(rows("INSERT INTO joined SELECT ks.n, ks.k, t.Description, t.Ref_Key FROM keys ks JOIN s.Catalog_Товары t ON t.Ref_Key = ks.k; SELECT string_agg(DISTINCT d, ' ') FROM joined"),
	'КОЛЬЦО+', 'rows of a look-up join');
is(rows("INSERT INTO priced SELECT * FROM prices; SELECT count(*), string_agg(DISTINCT d, ' ') FROM priced"),
	'2|none+', 'rows of a scan: a column that nothing fills stays NULL');

$onec->stop;
$node->stop;
done_testing();
