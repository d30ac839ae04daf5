# Foreign tables under one Append are read side by side: the same rows as one after the other, within what the option
# prefetch allows each base, and with errors, deadlines and cancelling as ever.
use strict;
use warnings;
use utf8;

use Encode;
use JSON::PP;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('async');
my @bases = map { OnecTest->onec('--tiny', '--lines', 3000 + 1000 * $_) } 0 .. 2;
my $sale = 'AccumulationRegister_Продажи_RecordType';

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

for my $i (0 .. $#bases)
{
	OnecTest->server($node, $bases[$i], name => "b$i", options => "page_size '200', prefetch '1', retries '0', request_timeout '60'");
	rows(qq{CREATE SCHEMA b$i; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER b$i INTO b$i OPTIONS (functions 'off')});
}
rows("CREATE TABLE here AS SELECT * FROM b0.$sale WHERE false");

# ---- the plan ----

my $all = join(' UNION ALL ', map { "SELECT $_ AS base, s.* FROM b$_.$sale s" } 0 .. $#bases);
my $plan = rows("EXPLAIN (COSTS off) SELECT sum(Сумма) FROM ($all) x");
is(() = $plan =~ /Async Foreign Scan/g, 3, 'three tables of one Append are read asynchronously');
unlike(rows("EXPLAIN (COSTS off) SELECT * FROM b0.$sale"), qr/Async/, 'a table alone is not');
rows("ALTER SERVER b1 OPTIONS (ADD async_capable 'off')");
is(() = rows("EXPLAIN (COSTS off) SELECT sum(Сумма) FROM ($all) x") =~ /Async Foreign Scan/g, 2, 'the option async_capable forbids it');
rows("ALTER SERVER b1 OPTIONS (DROP async_capable); ALTER SERVER b2 OPTIONS (ADD min_interval '1')");
is(() = rows("EXPLAIN (COSTS off) SELECT sum(Сумма) FROM ($all) x") =~ /Async Foreign Scan/g, 2, 'so does an interval between requests');
rows('ALTER SERVER b2 OPTIONS (DROP min_interval)');

# ---- the rows ----

my $twice = "SELECT s.* FROM b0.$sale s UNION ALL SELECT s.* FROM b0.$sale s UNION ALL SELECT s.* FROM b1.$sale s";
my %query = (
	'three bases' => "SELECT base, count(*), sum(Сумма), count(DISTINCT Recorder) FROM ($all) x GROUP BY 1 ORDER BY 1",
	'one base twice' => "SELECT count(*), sum(Сумма), min(Period), max(Period) FROM ($twice) x",
	'a condition, which leaves one base nothing' => "SELECT base, count(*), sum(Сумма) FROM ($all) x WHERE base <> 1 AND Количество > 1 GROUP BY 1 ORDER BY 1",
	'a condition of each row' => "SELECT base, count(*), sum(Сумма) FROM ($all) x WHERE (Сумма * 2)::text LIKE '%4%' GROUP BY 1 ORDER BY 1",
	'a local table beside' => "SELECT count(*), sum(Сумма) FROM (SELECT s.* FROM b0.$sale s UNION ALL SELECT * FROM here UNION ALL SELECT s.* FROM b2.$sale s) x",
	'ordered' => "SELECT base, Period, Сумма FROM ($all) x ORDER BY Period, base, Сумма LIMIT 50",
	'once for each row of another' => "SELECT t, count(*), sum(Сумма) FROM generate_series(1, 3) t, LATERAL ($all) x WHERE LineNumber = t GROUP BY 1 ORDER BY 1",
	'two Appends in one plan' => "SELECT count(*) FROM ($all) x JOIN ($all) y USING (base, Recorder, LineNumber)",
	'catalogs, which have no date' => "SELECT count(*), min(Description) FROM (SELECT Description FROM b0.Catalog_Товары UNION ALL SELECT Description FROM b1.Catalog_Товары"
		. " UNION ALL SELECT Description FROM b0.Catalog_Склады) x");

for my $prefetch (0, 1, 2, 4)
{
	rows(join(';', map { "ALTER SERVER b$_ OPTIONS (SET prefetch '$prefetch')" } 0 .. $#bases));
	for my $name (sort keys %query)
	{
		my $want = rows("SET enable_async_append = off; $query{$name}");
		my $got = rows($query{$name});
		is($got, $want, "prefetch $prefetch, $name: the same rows");
		isnt($got, '', '… which are some');
	}
}

# ---- requests at once ----

# How many requests the base had at work at once.  They meet there if they last long enough, and how long that is the
# machine decides: pages slow down until as many as wanted have met; nothing brings more of them together.
sub busiest
{
	my ($sql, $wanted) = @_;
	my $seen = 0;

	for my $delay (100, 400, 1600, 6400)
	{
		$bases[0]->control('POST', '/modes', { page_delay => $delay });
		$bases[0]->control('POST', '/counters/clear', {});
		rows($sql);
		$seen = $bases[0]->control('GET', '/counters')->{busiest};
		last if $seen >= $wanted;
	}
	return $seen;
}

my $catalogs = 'SELECT count(*) FROM (SELECT Ref_Key FROM b0.Catalog_Товары UNION ALL SELECT Ref_Key FROM b0.Catalog_Склады UNION ALL SELECT Ref_Key FROM b0.Catalog_Товары OFFSET 0) x';
for my $prefetch (1, 2, 4)
{
	my $wanted = $prefetch > 3 ? 3 : $prefetch;

	rows("ALTER SERVER b0 OPTIONS (SET prefetch '$prefetch')");
	is(busiest($catalogs, $wanted), $wanted, "prefetch $prefetch: as many requests to one base at once, of three tables");
}
is(busiest("SET enable_async_append = off; $catalogs", 1), 1, 'one after the other without it');
$bases[0]->control('POST', '/modes/clear', {});

# ---- the base that is not ready does not hold up the others ----

rows(join(';', map { "ALTER SERVER b$_ OPTIONS (SET prefetch '1')" } 0 .. $#bases));
$bases[0]->control('POST', '/faults', { match => 'Продажи', hang => JSON::PP::true(), times => 1 });
is(rows("SELECT count(*), bool_or(base = 0) FROM (SELECT base FROM ($all) x LIMIT 500) y"), '500|f', 'rows of the others come while the first one hangs');
$bases[0]->control('POST', '/faults/clear', {});

# ---- what goes wrong ----

$bases[1]->control('POST', '/faults', { match => 'Продажи', after => 3, status => 403 });
my $r = run("SELECT count(*) FROM ($all) x");
is($r->{sqlstate}, '42501', 'an error of one base is the error of the query');
$bases[1]->control('POST', '/faults/clear', {});

rows("ALTER SERVER b1 OPTIONS (SET request_timeout '1')");
$bases[1]->control('POST', '/faults', { match => 'Продажи', hang => JSON::PP::true() });
$r = run("SELECT count(*) FROM ($all) x");
is($r->{sqlstate}, '08006', 'a base that does not answer in time is an error too') or diag($r->{stderr});
like($r->{stderr}, qr/tim(e|ed)[ -]?out|in time/i, '… which says so');
$bases[1]->control('POST', '/faults/clear', {});
rows("ALTER SERVER b1 OPTIONS (SET request_timeout '60', SET retries '2')");

$bases[1]->control('POST', '/faults', { match => 'Продажи', nth => 2, cut_at => 5000 });
is(rows($query{'three bases'}), rows("SET enable_async_append = off; $query{'three bases'}"), 'a page that broke goes on where it broke');
$bases[1]->control('POST', '/faults/clear', {});

$_->control('POST', '/faults', { match => 'Продажи', hang => JSON::PP::true() }) for @bases;
my $stuck = OnecTest->background($node, Encode::encode('UTF-8', "SELECT count(*) FROM ($all) x"));
OnecTest->wait_for(sub { return $bases[2]->control('GET', '/log')->[-1]{fault}; }, 'the last base to be asked', 60);
$stuck->cancel;
is($stuck->wait->{sqlstate}, '57014', 'waiting for all of them can be cancelled');
$_->control('POST', '/faults/clear', {}) for @bases;

# ---- a session after all that, and its descriptors ----

is(rows("CREATE FUNCTION fds() RETURNS bigint LANGUAGE sql AS \$\$ SELECT count(*) FROM pg_ls_dir('/proc/self/fd') \$\$;
	SELECT count(*) FROM ($all) x \\g /dev/null
	SELECT fds() AS before \\gset
	SELECT count(*) FROM ($all) x \\g /dev/null
	DO \$\$ BEGIN FOR i IN 1..20 LOOP BEGIN PERFORM 1 / (count(*) - count(*)) FROM ($all) x; EXCEPTION WHEN division_by_zero THEN END; END LOOP; END \$\$;
	SELECT fds() - :before"), '0', 'no descriptor is left open, also after errors');

done_testing();
