# Random queries over foreign tables answer as over local copies of them: whatever is sent to 1C, no row is lost or won.
#
# The seed is printed; TEST_SEED repeats a run, TEST_FULL=1 makes it long.  A query that differs is cut down before it is
# printed.  The local copies are made with nothing sent to 1C.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $seed = $ENV{TEST_SEED} // ($ENV{TEST_FULL} ? int(rand(1e6)) : 20261123);
my $rounds = $ENV{TEST_FULL} ? 5000 : 600;
srand($seed);
diag("seed $seed, $rounds queries");

my @bases = ([ tiny => '--tiny' ], [ shop => '--customers', 40, '--seed', 5 ]);
my $node = OnecTest->node('differential', conf => "timezone = 'Europe/Moscow'\n");
my (@tables, %coverage, %forms);

sub run
{
	my ($sql) = @_;

	utf8::encode($sql) if utf8::is_utf8($sql);
	my $r = OnecTest->try($node, $sql);
	utf8::decode($r->{stdout});
	return $r;
}

sub pick { return $_[ int(rand(@_)) ]; }

# ---- the tables, their columns, and values to ask for ----
for my $base (@bases)
{
	my ($name, @options) = @$base;
	my $onec = OnecTest->onec(@options);

	push @$base, $onec;    # lives as long as the test
	OnecTest->server($node, $onec, name => $name, options => "retries '0', push_filter 'off', push_order 'off', push_count 'off'");
	run(qq{CREATE SCHEMA $name; CREATE SCHEMA ${name}_here;
		IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER $name INTO $name OPTIONS (functions 'off')});
	for my $table (split /\n/, run("SELECT c.relname FROM pg_class c WHERE relnamespace = '$name'::regnamespace ORDER BY 1")->{stdout})
	{
		next if $name eq 'shop' && $table !~ /^(catalog_(ДисконтныеКарты|Номенклатура|Контрагенты)|document_ЧекККМ|documentjournal_|accumulationregister_(Продажи|БонусныеБаллы)_recordtype)/;
		my $r = run(qq{CREATE TABLE ${name}_here."$table" AS SELECT * FROM $name."$table";
			SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
			WHERE a.attrelid = '${name}_here."$table"'::regclass AND a.attnum > 0});
		my @columns = grep { $_->[1] =~ /^(text|uuid|timestamp without|numeric|bigint|integer|smallint|boolean)/ }
		  map { [ split /\|/ ] } split /\n/, $r->{stdout};
		for my $column (@columns)
		{
			my $v = run(qq{SELECT DISTINCT quote_literal("$column->[0]") FROM (SELECT "$column->[0]" FROM ${name}_here."$table"
				WHERE strpos("$column->[0]"::text, chr(10)) = 0 ORDER BY md5("$column->[0]"::text) LIMIT 40) x LIMIT 12});
			$column->[2] = [ split /\n/, $v->{stdout} ];
		}
		push @tables, { base => $name, name => $table, columns => \@columns } if @columns;
	}
	run("ALTER SERVER $name OPTIONS (DROP push_filter, DROP push_order, DROP push_count)");
}
cmp_ok(scalar @tables, '>=', 12, 'tables of many kinds');

# ---- random conditions ----
my %odd = (
	text => [ "''", "' '", "'%'", "'o''brien'", "'кольцо '", "'КОЛЬЦО'" ],
	uuid => [ "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-4fff-8fff-ffffffffffff'" ],
	timestamp => [ "'0001-01-01'", "'infinity'", "'-infinity'", "'2025-01-10 12:00:00.25'", "'9999-12-31 23:59:59.5'", "'0044-03-15 BC'", "'12026-01-01'",
		"date '2025-01-15'", "timestamptz '2025-01-15 09:00+00'", "timestamptz '2010-03-28 02:30+03'", "now()" ],
	number => [ '0', '-1', '1.5', '1e30', '12345678901234567890.125', '2' ],
	boolean => [ 'true', 'false' ],
);

# What PostgreSQL's conversion to numeric, of 15 digits, would take for whole numbers.
my @doubles = map { "$_\::float8" } '2025.9999999999998', '2025.0000000000002', '2.9999999999999996', '3.0000000000000004', '2.5', '-0.5', '1e300', "'infinity'", "'NaN'";

sub kind_of
{
	my ($type) = @_;

	return $type =~ /^timestamp/ ? 'timestamp' : $type =~ /numeric|int/ ? 'number' : $type;
}

sub value
{
	my ($column, $kind) = @_;
	my @own = @{ $column->[2] };
	my $value = !@own || rand() < 0.25 ? pick(@{ $odd{$kind} }) : pick(@own);

	$value =~ s/^'(.*)'$/$1/ if $kind eq 'number';
	$value = lc $value if $kind eq 'text' && rand() < 0.1;
	return 'NULL' if rand() < 0.02;
	return $value =~ /^'/ && $kind ne 'text' ? "$value\::" . ($kind eq 'timestamp' ? 'timestamp' : $kind) : $value;
}

sub pattern
{
	my ($column) = @_;
	my ($text) = value($column, 'text') =~ /^'(.*)'$/;

	$text = 'К' unless defined $text;
	$text =~ s/''/\x01/g;
	my $part = substr($text, int(rand(3)), 1 + int(rand(5)));
	$part =~ s/([%_\\])/\\$1/g if rand() < 0.5;
	my $made = pick("$part%", "%$part", "%$part%", $text, "$part\_%", "$part %", substr($text, 0, 2) . '%');
	$made =~ s/\\$//;
	$made =~ s/\x01/''/g;
	return "'$made'";
}

# The cells of the verdict table: each kind of column with each operator, the usual ones more than once.
my @any = ('=', '=', '<>', 'IN', 'NOT IN', 'ANY', 'ARRAY', 'ARRAY', 'IS NULL', 'IS NOT NULL', 'DISTINCT');
my @ordered = qw(< <= > >= BETWEEN <= >=);
my %operators = (
	text => [ @any, @ordered, qw(LIKE LIKE LIKE ILIKE PREFIX) ],
	uuid => [ @any, @ordered ],
	number => [ @any, @ordered, qw(PLUS TIMES COLUMN) ],
	timestamp => [ @any, @ordered, qw(NOTFALSE PART PART TRUNC DATE COLUMN ROW) ],
	boolean => [ @any, qw(BARE BARE NOT ISTRUE NOTFALSE) ],
);

sub leaf
{
	my ($table) = @_;
	# dates are few among the columns, and many among what people ask for
	my @dates = grep { $_->[1] =~ /^timestamp/ } @{ $table->{columns} };
	my $column = pick(@dates && rand() < 0.3 ? @dates : @{ $table->{columns} });
	my $name = qq{"$column->[0]"};
	my $kind = kind_of($column->[1]);
	my $cast = $kind eq 'number' ? 'numeric' : $kind eq 'timestamp' ? 'timestamp' : $kind;
	my @ops = @{ $operators{$kind} };
	my $op = pick(@ops);
	my @some = map { value($column, $kind) } 1 .. 1 + int(rand(4));

	$coverage{$kind}{$op}++;
	return "$name $op" if $op =~ /NULL/;
	return "$name $op " . pattern($column) if $op =~ /LIKE/;
	return "$name IS " . pick('', 'NOT ') . "DISTINCT FROM $some[0]" if $op eq 'DISTINCT';
	return "$name $op (" . join(', ', @some) . ')' if $op =~ /IN$/;
	return "$name = ANY (ARRAY[" . join(', ', map { "($_)::$cast" } @some) . ', NULL])' if $op eq 'ANY';
	return array($name, $cast, @some) if $op eq 'ARRAY';
	return "$name BETWEEN $some[0] AND " . value($column, $kind) if $op eq 'BETWEEN';
	return derived($table, $column, $op, $some[0]) if $op =~ /^(PLUS|TIMES|COLUMN|PART|TRUNC|DATE|ROW|PREFIX)$/;
	return $name if $op eq 'BARE';
	return "NOT $name" if $op eq 'NOT';
	return "$name IS " . pick('TRUE', 'FALSE', 'NOT TRUE') if $op eq 'ISTRUE';
	return $kind eq 'boolean' ? "$name IS NOT FALSE" : "($name " . pick('<', '<=', '>') . " $some[0]) IS NOT FALSE" if $op eq 'NOTFALSE';
	return rand() < 0.15 && $some[0] !~ /^NULL/ ? "$some[0] $op $name" : "$name $op $some[0]";
}

# A list that may be empty, or hold NULL, known before the query runs or not.
sub array
{
	my ($name, $cast, @some) = @_;
	my $list = pick('', '', join(', ', map { "($_)::$cast" } @some), join(', ', 'NULL', map { "($_)::$cast" } @some));
	my $array = "ARRAY[$list]::$cast\[]";

	return "$name " . pick('= ANY', '<> ALL', '<> ALL') . ' (' . pick($array, "ARRAY(SELECT v FROM unnest($array) v)") . ')';
}

# A row beside a row; what decides is mostly the second column.
sub row
{
	my ($table, $name, $value) = @_;
	my $second = pick(@{ $table->{columns} });

	return "($name, " . qq{"$second->[0]") } . pick('<', '<=', '>', '>=') . " ($value, " .
	  (rand() < 0.2 ? 'NULL' : value($second, kind_of($second->[1]))) . ')';
}

# Conditions on what is computed from a column.
sub derived
{
	my ($table, $column, $op, $value) = @_;
	my $name = qq{"$column->[0]"};
	my $cmp = pick('=', '<>', '<', '<=', '>', '>=');
	my $part = pick(qw(year year quarter month day hour minute doy dow second epoch));
	my @alike = grep { $_->[1] eq $column->[1] } @{ $table->{columns} };

	return "$name " . pick('+', '-') . ' ' . pick('1', '0.5', '-3', '(SELECT 2)') . " $cmp $value" if $op eq 'PLUS';
	return pick('2', '-4', '0.3', '0') . " * $name $cmp $value" if $op eq 'TIMES';
	return "$name $cmp " . qq{"} . pick(@alike)->[0] . qq{"} if $op eq 'COLUMN';
	return pick("extract($part FROM $name)", "date_part('$part', $name)") . ' ' .
	  pick("$cmp " . pick(2024, 2025, 2026, 1, 3, 12, 2.5, 0, 10001), "$cmp " . pick(@doubles), 'IN (2025, 2026, 3)') if $op eq 'PART';
	return "date_trunc('" . pick(qw(year quarter month week day hour minute second)) . "', $name) $cmp " .
	  pick($value, "date_trunc('month', $value)", "date '2025-01-01'") if $op eq 'TRUNC';
	return "$name\::date $cmp ($value)::date" if $op eq 'DATE';
	return row($table, $name, $value) if $op eq 'ROW';
	return "starts_with($name, " . pick($value, 'left(' . $value . ', 2)') . ')';
}

# A tree: [op, arms…] or a text.
sub tree
{
	my ($table, $depth) = @_;

	return leaf($table) if $depth == 0 || rand() < 0.3;
	my $op = pick('AND', 'AND', 'OR', 'NOT');
	return [ 'NOT', tree($table, $depth - 1) ] if $op eq 'NOT';
	return [ $op, map { tree($table, $depth - 1) } 1 .. 2 + int(rand(2)) ];
}

sub text_of
{
	my ($tree) = @_;

	return $tree unless ref $tree;
	my ($op, @arms) = @$tree;
	return 'NOT (' . text_of($arms[0]) . ')' if $op eq 'NOT';
	return '(' . join(" $op ", map { text_of($_) } @arms) . ')';
}

# ---- queries: what is compared, with %s for the table ----
sub query
{
	my ($table) = @_;
	my $column = pick(@{ $table->{columns} });
	my $name = qq{"$column->[0]"};
	my $form = pick(qw(rows rows rows order order count count exists join left semi anti lateral correlated prepared));
	$forms{$form}++;
	my %q = (table => $table, form => $form, tree => tree($table, 3), name => $name, before => '', after => '');

	if ($form eq 'order')
	{
		my $limit = rand() < 0.6 ? 'LIMIT ' . (1 + int(rand(30))) : '';

		$q{sort} = join(' ', pick('', 'DESC'), pick('', 'NULLS FIRST', 'NULLS LAST'));
		$q{limit} = $limit;
	}
	$q{settings} = join '; ', map { "SET enable_$_ = " . pick('on', 'off') } qw(hashjoin mergejoin nestloop material memoize);
	$q{settings} .= '; SET onec_fdw.enable_lookup = ' . pick('on', 'on', 'off');
	return \%q;
}

sub sql_of
{
	my ($q, $schema, $where) = @_;
	my $t = qq{$schema."$q->{table}{name}"};
	my $n = $q->{name};
	my $rows = sub { "SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) || ' ' || count(*) FROM ($_[0]) x" };

	return $rows->("SELECT $n, * FROM $t WHERE $where") if $q->{form} =~ /rows|prepared/;
	return "SELECT count(*) FROM $t WHERE $where" if $q->{form} eq 'count';
	return "SELECT EXISTS (SELECT FROM $t WHERE $where)" if $q->{form} eq 'exists';
	# rows of equal rank may come in any order: the ranked values are compared
	return "SELECT md5(coalesce(string_agg(coalesce(v::text, '~'), '|'), '')) FROM (SELECT $n AS v FROM $t WHERE $where ORDER BY $n $q->{sort} $q->{limit}) x"
	  if $q->{form} eq 'order';
	my $keys = qq{(SELECT DISTINCT $n AS k FROM $q->{table}{base}_here."$q->{table}{name}" ORDER BY 1 LIMIT 5)};
	return $rows->("SELECT j.* FROM $keys keys JOIN $t j ON j.$n = keys.k WHERE " . $where) if $q->{form} eq 'join';
	return $rows->("SELECT keys.k, j.* FROM $keys keys LEFT JOIN $t j ON j.$n = keys.k AND " . $where) if $q->{form} eq 'left';
	return $rows->('SELECT k FROM ' . $keys . ' keys WHERE ' . ($q->{form} eq 'anti' ? 'NOT ' : '') . "EXISTS (SELECT FROM $t WHERE $n = keys.k AND $where)")
	  if $q->{form} =~ /semi|anti/;
	return $rows->("SELECT k, (SELECT max($n\::text) FROM $t WHERE $n = keys.k AND $where) FROM $keys keys") if $q->{form} eq 'correlated';
	return $rows->("SELECT keys.k, l.c FROM $keys keys, LATERAL (SELECT count(*) AS c FROM $t WHERE $n = keys.k AND $where) l");
}

# The same question to both; with the values of one session for both.
sub pair
{
	my ($q, $tree, $number) = @_;
	my $where = text_of($tree);
	my ($far, $here) = map { sql_of($q, $_, $where) } $q->{table}{base}, "$q->{table}{base}_here";

	return "PREPARE far$number AS $far;\nSET plan_cache_mode = force_generic_plan;\nEXECUTE far$number;\n$here" if $q->{form} eq 'prepared';
	return "$q->{settings};\n$far;\n$here";
}

# What both sides say where they say different things, or an error; undef where they agree.
sub differs
{
	my ($q, $tree) = @_;
	my $r = run('BEGIN; ' . pair($q, $tree, 0) . '; COMMIT');
	my @answer = split /\n/, $r->{stdout};

	return $r->{sqlstate} ne '00000' || @answer != 2 || $answer[0] ne $answer[1] ? { %$r, answer => \@answer } : undef;
}

# Leave arms out while the difference stays.
sub shrink
{
	my ($q, $tree) = @_;

	return $tree unless ref $tree;
	my ($op, @arms) = @$tree;
	for my $arm (@arms)
	{
		return shrink($q, $arm) if differs($q, $arm);
	}
	for my $left (0 .. $#arms)
	{
		my @rest = @arms[ grep { $_ != $left } 0 .. $#arms ];

		return shrink($q, [ $op, @rest ]) if @rest > 1 && differs($q, [ $op, @rest ]);
	}
	return $tree;
}

# ---- in batches of one session each ----
my ($done, $wrong, $failing) = (0, 0, 0);
my @sizes = ('0', '3', '7', '50');
while ($done < $rounds && $wrong < 5)
{
	my @batch = map { query(pick(@tables)) } 1 .. 50;
	my $size = pick(@sizes);
	my $n = 0;

	# now and then the base refuses order, or conditions
	for my $base (@bases)
	{
		$base->[-1]->control('POST', '/modes/clear', {});
		$base->[-1]->control('POST', '/modes', { pick('autoorder', 'refuse_filter') => \1 }) if rand() < 0.3;
	}
	my ($ahead, $paging) = (pick(0, 1, 1, 2, 4), pick(qw(auto auto windows skip)));
	my $sql = join ";\n", (map { "ALTER SERVER $_->[0] OPTIONS (SET page_size '$size', SET prefetch '$ahead', SET paging '$paging')" } @bases),
	  map { 'BEGIN; ' . pair($_, $_->{tree}, ++$n) . '; COMMIT; RESET ALL' } @batch;

	$sql =~ s/SET (page_size|prefetch|paging)/ADD $1/g if $done == 0;
	my $r = run($sql);
	my @answers = split /\n/, $r->{stdout};
	# an error ends the batch: what comes after it is asked alone
	my $ended = $r->{sqlstate} eq '00000' && @answers == 2 * @batch ? @batch : int(@answers / 2);

	for my $i (0 .. $#batch)
	{
		next if $i < $ended && $answers[ 2 * $i ] eq $answers[ 2 * $i + 1 ];
		my $q = $batch[$i];
		unless (differs($q, $q->{tree}))
		{
			next if $i > $ended;
			# what shows only after others is no less wrong
			$wrong++;
			fail("query $i of a batch, alone it is right: $q->{table}{base}, page size $size, $ahead ahead, paging $paging");
			diag($sql, "\n", join(' / ', grep { defined } @answers[ 2 * $i, 2 * $i + 1 ]), "\n", $r->{stderr});
			next;
		}
		my $tree = shrink($q, $q->{tree});
		my $why = differs($q, $tree);

		# an error of both sides is no difference: e.g. a constant out of range
		$failing += $why->{sqlstate} ne '00000';
		next if $why->{sqlstate} ne '00000' && run('BEGIN; ' . sql_of($q, "$q->{table}{base}_here", text_of($tree)) . '; COMMIT')->{sqlstate} eq $why->{sqlstate};
		$wrong++;
		fail("query of $q->{table}{base}, page size $size, $ahead ahead, paging $paging");
		diag(pair($q, $tree, 0), "\n", join(' / ', @{ $why->{answer} }), "\n", $why->{stderr});
	}
	$done += @batch;
}
is($wrong, 0, "$done random queries answer alike");
cmp_ok($failing, '<', $done / 20, "$failing of them fail alike on both sides");

# ---- what was covered: conditions by kind of column and operator ----
my @columns = sort keys %operators;
my %rows = map { $_ => 1 } map { @$_ } values %operators;
my $empty = 0;
diag(sprintf '| %-12s' . ' %9s' x @columns, 'conditions', @columns);
for my $op (sort keys %rows)
{
	my @cells = map { my $kind = $_; (grep { $_ eq $op } @{ $operators{$kind} }) ? $coverage{$kind}{$op} // 0 : '' } @columns;

	$empty += grep { $_ eq '0' } @cells;
	diag(sprintf '| %-12s' . ' %9s' x @cells, $op, @cells);
}
diag("| forms of queries: " . join ', ', map { "$_ $forms{$_}" } sort keys %forms);
is($empty, 0, 'every cell of the verdict table is covered') if $ENV{TEST_FULL};

$node->stop;
done_testing();
