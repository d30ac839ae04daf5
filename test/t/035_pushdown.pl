# What is asked of 1C for each documented condition: the request, the verdict of EXPLAIN, and the rows, which are those of a
# local copy.  The cases are test/data/pushdown_cases, from which doc/tables.md is written.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 200, '--seed', 1);
my $node = OnecTest->node('pushdown', conf => "timezone = 'Europe/Moscow'\n");
OnecTest->server($node, $onec, name => 'c');

sub run
{
	return OnecTest->rows($node, @_);
}

my @sets = ('AccumulationRegister_Продажи_RecordType', 'Catalog_ДисконтныеКарты', 'Catalog_Номенклатура');
run('CREATE SCHEMA c; CREATE SCHEMA here; IMPORT FOREIGN SCHEMA "StandardODATA" LIMIT TO (' . join(', ', @sets) . ') FROM SERVER c INTO c');
run("CREATE TABLE here.$_ AS SELECT * FROM c.$_") for @sets;
my $store = run("SELECT min(Склад_Key::text) FROM here.$sets[0]");

# ---- the documented cases ----
# The request, verdict and rows of a condition: (sent, verdict, agreement, number of rows).
sub look
{
	my ($set, $condition, $custom) = @_;
	my $plan = run("EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM c.$set WHERE $condition");
	my @verdicts = $plan =~ /1C Qual: .*: (sent, exact|sent, superset|local, .*)$/mg;
	my @here = grep { /^local/ } @verdicts;
	my $verdict = @here == @verdicts && @here ? $here[0] : (grep { !/exact/ } @verdicts) ? 'superset' : 'exact';
	my $rows = "SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')), count(*) FROM (SELECT * FROM %s.$set WHERE $condition) x";
	my @answers = split /\n/, run(sprintf("$rows;$rows", 'c', 'here') .
		"; SELECT substring(url FROM '[&?].filter=(.*?)(?:&[\$]|\$)') FROM onec.last_requests() WHERE url !~ 'metadata' ORDER BY at LIMIT 1; SELECT count(*) FROM onec.last_requests()");

	$verdict =~ s/^local, //;
	return {
		verdict => $verdict,
		alike => $answers[0] eq $answers[1],
		rows => (split /\|/, $answers[1])[1],
		# a filter of an empty answer is no line at all
		sent => $answers[-1] eq '0' ? 'none' : @answers == 4 ? $answers[2] : '',
	};
}

my ($set, %seen, $found);
open(my $in, '<:encoding(UTF-8)', "$OnecTest::ROOT/test/data/pushdown_cases") or die $!;
while (my $line = <$in>)
{
	chomp $line;
	next if $line eq '' || $line =~ /^#/;
	my @parts = map { s/^\s+|\s+$//gr } split /\|/, $line, -1;
	if ($line =~ /^=/)
	{
		$set = $parts[2];
		next;
	}
	s/<1>/$store/g for @parts;
	my ($condition, $sent, $verdict) = @parts;
	my $r = look($set, $condition);

	is($r->{sent}, $sent, "$condition: the request");
	is($r->{verdict}, $verdict, "$condition: the verdict");
	ok($r->{alike}, "$condition: the rows");
	$seen{$verdict =~ /^(exact|superset)$/ ? $1 : 'here'}++;
	$found++ if $r->{rows} > 0;
}
cmp_ok($seen{$_}, '>=', 10, "cases that are $_: $seen{$_}") for qw(exact superset here);
cmp_ok($found, '>=', 30, "$found conditions find rows");
is(system("$OnecTest::ROOT/test/pushdown_table", '--check'), 0, 'the manual says what was proved');

# ---- what has to be allowed: values of several types, and patterns without case ----
run('ALTER SERVER c OPTIONS (ADD push_composite \'on\', ADD ignores_case \'on\')');
my ($recorder, $type) = split /\|/, run("SELECT min(Recorder), min(Recorder_Type) FROM here.$sets[0] WHERE Recorder = (SELECT min(Recorder) FROM here.$sets[0])");
for my $case ([ $sets[0], "Recorder = '$recorder' AND Recorder_Type = '$type'", "Recorder eq cast(guid'$recorder','" . $type =~ s/StandardODATA.//r . "')" ],
	[ $sets[0], "Recorder = '$recorder' AND Recorder_Type = 'Edm.String'", '' ],
	[ $sets[0], "Recorder = 'x' AND Recorder_Type = '$type'", '' ],
	[ $sets[0], "Recorder = '$recorder' OR Recorder_Type = '$type'", '' ],
	[ $sets[1], "Description ILIKE '%АРТ%'", "substringof('АРТ',Description)" ])
{
	my ($set, $condition, $sent) = @$case;
	my $r = look($set, $condition);

	is($r->{sent}, $sent, "$condition, allowed: the request");
	ok($r->{alike}, '… and the rows');
}
run('ALTER SERVER c OPTIONS (DROP push_composite, DROP ignores_case)');

# ---- parameters: a generic plan asks as a custom one does ----
my @parameters = (
	[ 'timestamp', 'Period >= $1', "'2026-09-01'" ],
	[ 'date', 'Period::date = $1', "'2026-03-08'" ],
	[ 'numeric', 'extract(year FROM Period) = $1', '2026' ],
	[ 'numeric', 'Сумма * $1 > 6000', '-2' ],
	[ 'uuid[]', 'Склад_Key = ANY ($1)', "'{$store,NULL}'" ],
	[ 'uuid', 'Склад_Key IS NOT DISTINCT FROM $1', "'$store'" ],
	[ 'uuid', 'Склад_Key IS NOT DISTINCT FROM $1', 'NULL' ],
	[ 'timestamp', 'Period > $1', 'NULL' ],
);
for my $case (@parameters)
{
	my ($type, $condition, $value) = @$case;
	my @asked = map {
		run("SET plan_cache_mode = $_; PREPARE q($type) AS SELECT count(*) FROM (SELECT * FROM c.$sets[0] WHERE $condition OFFSET 0) x;
			EXECUTE q($value); SELECT url FROM onec.last_requests() ORDER BY at")
	} qw(force_custom_plan force_generic_plan);
	my $here = run("PREPARE q($type) AS SELECT count(*) FROM here.$sets[0] WHERE $condition; EXECUTE q($value)");

	is($asked[1], $asked[0], "$condition, $value: generic and custom plans ask alike");
	is((split /\n/, $asked[0])[0], $here, '… and right');
}

# ---- order and limit ----
my $register = $sets[0];
my @orders = (
	[ "Period DESC LIMIT 3", 'Period desc', 2, 3 ],
	[ "Period LIMIT 3", 'Period', 1, 3 ],
	[ "Period DESC NULLS LAST LIMIT 3", 'Period desc', 1, 3 ],
	[ "Period, LineNumber LIMIT 5", 'Period,LineNumber', 1, 5 ],
);
for my $case (@orders)
{
	my ($order, $orderby, $requests, $top) = @$case;
	my ($rows, $here, $last, $count) = split /\n/, run("SELECT array_agg(Period) FROM (SELECT Period FROM c.$register ORDER BY $order) x;
		SELECT array_agg(Period) FROM (SELECT Period FROM here.$register ORDER BY $order) x;
		SELECT url FROM onec.last_requests() ORDER BY at DESC LIMIT 1; SELECT count(*) FROM onec.last_requests()");

	is($rows, $here, "ORDER BY $order");
	like($last, qr/orderby=\Q$orderby\E&\$top=$top$/, '… is asked for in one small page');
	is($count, $requests, '… by so many requests');
}
for my $aggregate ('max(Period)', 'min(Period)')
{
	my ($far, $here, $rows) = split /\n/, run("SELECT $aggregate FROM c.$register; SELECT $aggregate FROM here.$register;
		SELECT sum(rows) FROM onec.last_requests()");

	is($far, $here, $aggregate);
	is($rows, 1, '… reads one row');
}

# ---- counts ----
for my $case ([ "Период" => "Period >= '2026-03-01' AND Active", 1 ], [ 'год' => 'extract(year FROM Period) = 2026', 1 ],
	[ 'пусто' => 'Склад_Key IS NOT NULL AND Сумма <> 0', 0 ])
{
	my ($name, $condition, $counted) = @$case;
	my ($far, $here, $url) = split /\n/, run("SELECT count(*) FROM c.$register WHERE $condition; SELECT count(*) FROM here.$register WHERE $condition;
		SELECT min(url) FROM onec.last_requests()");

	is($far, $here, "count(*) WHERE $condition");
	is($url =~ /\$count/ ? 1 : 0, $counted, '… by 1C, if it is exact');
}

# ---- sums that Turnovers answers ----
run("ALTER SERVER c OPTIONS (ADD push_sum 'on')");
for my $case (
	[ 'Склад_Key, sum(Сумма), sum(Количество)', 'Active', 'GROUP BY 1', '' ],
	[ 'Номенклатура_Key, sum(Сумма)', "Active AND Period >= '2026-01-01' AND Period < '2026-04-01'", 'GROUP BY 1',
		"StartPeriod=datetime'2026-01-01T00:00:00'&EndPeriod=datetime'2026-03-31T23:59:59'" ],
	[ 'sum(Сумма)', "Active AND Period > '2026-01-01 10:00:00.5' AND Period <= date '2026-04-01'", '', "StartPeriod=datetime'2026-01-01T10:00:01'&EndPeriod=datetime'2026-04-01T00:00:00'" ],
	[ 'Контрагент_Key, sum(Сумма)', "Active = true AND Склад_Key = '$store' AND Контрагент_Key IS NOT NULL", 'GROUP BY 1 HAVING sum(Сумма) > 1000',
		"Condition='Контрагент_Key ne guid''00000000-0000-0000-0000-000000000000'' and Склад_Key eq guid''$store'''" ],
	[ 'sum(Сумма)', "Active AND Period >= NULL::timestamp", '', undef ],
	# what Turnovers does not know: records as they are
	[ 'Склад_Key, sum(Сумма)', 'true', 'GROUP BY 1', 0 ],
	[ 'Склад_Key, sum(Сумма)', "Active AND Period < '2026-01-01'", 'GROUP BY 1', 0 ],
	[ 'Склад_Key, sum(Сумма), count(*)', 'Active', 'GROUP BY 1', 0 ],
	[ 'Склад_Key, sum(Сумма) FILTER (WHERE Сумма > 0)', 'Active', 'GROUP BY 1', 0 ],
	[ 'Склад_Key, sum(DISTINCT Сумма)', 'Active', 'GROUP BY 1', 0 ],
	[ "date_trunc('month', Period), sum(Сумма)", 'Active', 'GROUP BY 1', 0 ],
	[ 'Склад_Key, sum(Сумма)', 'Active AND LineNumber > 1', 'GROUP BY 1', 0 ],
)
{
	my ($columns, $condition, $rest, $arguments) = @$case;
	my $query = "SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')), count(*) FROM (SELECT $columns FROM %s.$register WHERE $condition $rest) x";
	my ($far, $here, $url) = split /\n/, run(sprintf("$query;$query;", 'c', 'here') . 'SELECT min(url) FROM onec.last_requests()');
	my $wanted = !defined $arguments ? qr/^\z/ : $arguments eq '0' ? qr/_RecordType\?/ : qr/\/Turnovers\Q@{[ $arguments ? "?$arguments" : '' ]}\E$/;

	is($far, $here, "$columns WHERE $condition $rest");
	like($url // '', $wanted, '… is asked of ' . (!defined $arguments ? 'nobody' : $arguments eq '0' ? 'the records' : 'Turnovers'));
}
run("ALTER SERVER c OPTIONS (DROP push_sum)");

# ---- look-up joins ----
run('CREATE TABLE here.key AS SELECT DISTINCT Номенклатура_Key AS k FROM here.' . $register . '; INSERT INTO here.key VALUES (NULL), (gen_random_uuid()); ANALYZE here.key;');
my $only = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off';
for my $case (
	[ inner => 'SELECT k, Description FROM here.key JOIN %s.Catalog_Номенклатура p ON p.Ref_Key = k' ],
	[ left => 'SELECT k, Description FROM here.key LEFT JOIN %s.Catalog_Номенклатура p ON p.Ref_Key = k AND p.Description LIKE \'К%%\'' ],
	[ 'left, then a condition' => 'SELECT k, Description FROM here.key LEFT JOIN %s.Catalog_Номенклатура p ON p.Ref_Key = k WHERE p.Description LIKE \'К%%\' OR p.Ref_Key IS NULL' ],
	[ semi => 'SELECT k FROM here.key WHERE EXISTS (SELECT FROM %s.Catalog_Номенклатура p WHERE p.Ref_Key = k AND p.Code <> \'\')' ],
	[ anti => 'SELECT k FROM here.key WHERE NOT EXISTS (SELECT FROM %s.Catalog_Номенклатура p WHERE p.Ref_Key = k)' ],
	[ 'many rows a key' => 'SELECT k, Сумма FROM (SELECT * FROM here.key ORDER BY k LIMIT 40) key JOIN %s.AccumulationRegister_Продажи_RecordType s ON s.Номенклатура_Key = k AND Сумма > 100' ],
	[ 'in' => 'SELECT Description FROM %s.Catalog_Номенклатура WHERE Ref_Key IN (SELECT k FROM here.key)' ],
	[ 'text' => 'SELECT c.КодКартыШтрихкод, p.Ref_Key FROM here.Catalog_ДисконтныеКарты c JOIN %s.Catalog_ДисконтныеКарты p ON p.КодКартыШтрихкод = c.КодКартыШтрихкод' ],
	[ 'numbers of another type' => 'SELECT n, sum(Сумма) FROM generate_series(1::int, 3) n JOIN %s.AccumulationRegister_Продажи_RecordType s ON s.LineNumber = n GROUP BY n' ],
	[ 'aggregated above' => 'SELECT count(*), count(Description), min(k::text) FROM here.key LEFT JOIN %s.Catalog_Номенклатура p ON p.Ref_Key = k' ],
	[ 'inside a nested loop' => 'SELECT n, l.c FROM generate_series(1, 3) n, LATERAL (SELECT count(*) AS c FROM (SELECT * FROM here.key ORDER BY k OFFSET n * 10 LIMIT 20) key JOIN %s.Catalog_Номенклатура p ON p.Ref_Key = k) l' ],
)
{
	my ($name, $query) = @$case;
	my $rows = "SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')), count(*) FROM ($query) x";
	my ($far, $here) = split /\n/, run("$only;" . sprintf("$rows;$rows", 'c', 'here'));
	my $plan = run("$only; EXPLAIN (VERBOSE, COSTS OFF) " . sprintf($query, 'c'));

	ok($far && $far eq $here, "look-up join, $name") or diag("$far / $here");
	like($plan, qr/Onec Lookup Join/, '… is one');
}

# ---- many keys cost few requests ----
my $large = OnecTest->onec('--tiny', '--rows', 200000);
OnecTest->server($node, $large, name => 'large');
run(q{CREATE SCHEMA large; IMPORT FOREIGN SCHEMA "Catalog" FROM SERVER large INTO large;
	CREATE TABLE here.k AS SELECT Ref_Key AS k FROM large.Catalog_Товары WHERE Code LIKE '%7' LIMIT 1000; ANALYZE here.k; ANALYZE large.Catalog_Товары});
my ($joined, $requests, $read) = split /\n/, run('SELECT count(*) FROM here.k JOIN large.Catalog_Товары p ON p.Ref_Key = k;
	SELECT count(*) FROM onec.last_requests(); SELECT sum(rows) FROM onec.last_requests()');
is($joined, 1000, 'a join of 1,000 keys with a catalog of 200,000 rows');
cmp_ok($requests, '<=', 60, "… costs $requests requests");
is($read, 1000, '… and reads the rows that match');

# ---- EXPLAIN asks nothing ----
$onec->stop;
like(run("EXPLAIN (VERBOSE, FORMAT JSON) SELECT count(*) FROM c.$register WHERE Period::date = now()::date AND Сумма > 1"), qr/"1C Request"/, 'EXPLAIN works with 1C down');

$large->stop;
$node->stop;
done_testing();
