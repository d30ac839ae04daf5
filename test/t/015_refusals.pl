# Bases that refuse $orderby, or $filter, or both in turns: queries answer the same, and a sync comes to the same sums.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 120, '--seed', 3);
my $node = OnecTest->node('refusals');

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0', page_size '300'");

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

my $sale = 'c.AccumulationRegister_Продажи_RecordType';

sql(q{CREATE SCHEMA c; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO c});
sql("CREATE TABLE here AS SELECT * FROM $sale");
my $rows = sql('SELECT count(*) FROM here');
cmp_ok($rows, '>', 700, 'the register fills pages');

# Each query for the foreign table and the local copy.
my @queries = (
	'SELECT count(*) FROM %s',
	"SELECT count(*) FROM %s WHERE Period >= '2026-01-01'",
	"SELECT count(*) FROM %s WHERE Period < '2026-01-01' AND Active",
	'SELECT sum(Сумма), count(DISTINCT (Recorder, LineNumber)) FROM %s',
	"SELECT sum(Сумма) FROM %s WHERE Period BETWEEN '2025-06-01' AND '2026-06-01' AND Количество > 0",
	'SELECT md5(string_agg(Period::text, %%) ) FROM (SELECT Period FROM %s ORDER BY Period NULLS FIRST) x',
	'SELECT md5(string_agg(Period::text, %%) ) FROM (SELECT Period FROM %s ORDER BY Period DESC NULLS LAST) x',
	'SELECT string_agg(Сумма::text, %%) FROM (SELECT Сумма FROM %s WHERE Сумма > 0 ORDER BY Сумма DESC LIMIT 7) x',
	'SELECT count(*) FROM (VALUES (1), (2), (3)) v (n), LATERAL (SELECT FROM %s WHERE LineNumber = v.n) x',
	"SELECT count(*) FROM %s WHERE Контрагент_Key = ANY (ARRAY(SELECT DISTINCT Контрагент_Key FROM here ORDER BY Контрагент_Key LIMIT 90))",
);
s/%%/','/ for @queries;
my @want = map { sql(sprintf $_, 'here') } @queries;

for my $mode ({}, { autoorder => \1 }, { refuse_filter => \1 }, { autoorder => \1, refuse_filter => \1 })
{
	my $name = join(' and ', sort keys %$mode) || 'no refusal';

	$onec->control('POST', '/modes/clear', {});
	$onec->control('POST', '/modes', $mode) if %$mode;
	# each query in a session that knows nothing yet, then all in one that learns
	is(sql(sprintf $queries[$_], $sale), $want[$_], "$name: " . sprintf($queries[$_], 'sales')) for 0 .. $#queries;
	is(sql(join ";\n", map { sprintf $_, $sale } @queries), join("\n", @want), "$name: one after the other");
}

# What was learned is seen, kept for other sessions, and forgotten when asked.
$onec->control('POST', '/modes/clear', {});
$onec->control('POST', '/modes', { refuse_filter => \1 });
my $one = "SELECT count(*) FROM (SELECT * FROM $sale WHERE Сумма > 5000 LIMIT 1) x";
my $last = 'SELECT count(*), count(*) FILTER (WHERE status <> 200) FROM onec.last_requests()';
my $shown = "SELECT server, entity_set ~ 'Продажи', capability, remembered FROM onec.server_capability ORDER BY capability";
like(sql("$one; $shown"), qr/shop\|t\|filter\|f/, 'a refusal is seen by the session that met it');
is(sql($shown), '', '… and by no other');
like(sql("$one; SELECT onec.remember_refusals('shop') > 0; $shown"), qr/\bt\n.*shop\|t\|filter\|t/s, '… until it is remembered');
is((split /\n/, sql("$one; $last"))[1], '1|0', 'a new session does not ask for it');
is(sql("SELECT onec.remember_refusals('shop')"), '0', 'nothing new is remembered twice');
isnt(sql("SELECT onec.forget_refusals('shop')"), '0', 'it can be forgotten');
isnt((split /\n/, sql("$one; $last"))[1], '1|0', '… and is asked for again');

# A refusal that comes when a date is needed for the second page.
$onec->control('POST', '/modes/clear', {});
$onec->control('POST', '/modes', { refuse_filter => \1 });
$onec->control('POST', '/log/clear', {});
is(sql("SELECT count(Сумма) FROM $sale"), $rows, 'refused in the middle: no row is lost or doubled');
my @skips = grep { ($_->{query} // '') =~ /\$skip=/ } @{ $onec->control('GET', '/log') };
cmp_ok(scalar @skips, '>=', 2, 'the rest was reached by $skip');

$onec->control('POST', '/modes/clear', {});
$onec->control('POST', '/modes', { autoorder => \1, refuse_filter => \1 });
sql("SELECT FROM onec.setup('shop')");
sql("CALL onec.sync('shop', full_reload => true, steps => '{cards,purchases}')");
is(sql("SELECT count(*), (sum(amount) FILTER (WHERE active))::numeric(20,2) FROM onec.sale_line"),
	sql("SELECT count(*), (sum(Сумма) FILTER (WHERE Active))::numeric(20,2) FROM here"), 'a sync without order and filter');

# A base that takes the order without a word and does not follow it: rows could be lost between pages.
my $order = "SELECT status, advice FROM onec.diagnose('shop') WHERE \"check\" = 'sale_line: order'";
$onec->control('POST', '/modes/clear', {});
sql("SELECT onec.forget_refusals('shop')");
is(sql($order), '', 'nothing is said of a base that follows the order');
$onec->control('POST', '/modes', { ignore_order => \1 });
my ($status, $advice) = split /\|/, sql($order);
is($status, 'failed', 'diagnose sees that the order is ignored');
sql($advice);
$onec->control('POST', '/log/clear', {});
is(sql($order), '', 'its advice helps');
my @third = grep { $_->{path} =~ /Продажи_RecordType/ && $_->{query} =~ /skip=600/ } @{ $onec->control('GET', '/log') };
is(scalar @third, 1, 'and rows that are sorted here are not read again to find out about the order');
is(sql(sprintf $queries[$_], $sale), $want[$_], 'push_order off: ' . sprintf($queries[$_], 'sales')) for 0 .. $#queries;
$onec->control('POST', '/log/clear', {});
is(sql("SELECT count(Сумма) FROM $sale"), $rows, '… all rows');
unlike(join("\n", map { $_->{query} // '' } @{ $onec->control('GET', '/log') }), qr/Period g[te]/, '… and no page begins at a date');

$node->stop;
done_testing();
