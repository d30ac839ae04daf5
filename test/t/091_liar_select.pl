# Random queries through a liar: what comes is what a local copy of the same rows answers, or an error.  Only lies that a
# careful reader can see are told; of the others nobody can know.
#
# Queries have the numbers that follow the printed one; TEST_SEED=N repeats one, with TEST_COUNT as many; TEST_FULL=1 makes them many;
# TEST_LIES names the lies.  One server of two has pages cut to one length from its first request on: for it other lies that give
# longer pages would take back the only sign there is.
use strict;
use warnings;
use utf8;

# A psql that stays: one answer a question, text both ways.
package Session;

use IPC::Open2 ();

sub new
{
	my ($class, $node) = @_;
	my $self = bless {}, $class;

	$self->{pid} = IPC::Open2::open2($self->{out}, $self->{in}, 'psql', '-XAtq', '-d', $node->connstr('postgres'));
	binmode($self->{$_}, ':encoding(UTF-8)') for qw(in out);
	$self->{in}->autoflush(1);
	return $self;
}

sub ask
{
	my ($self, $sql) = @_;
	my $answer = '';

	print { $self->{in} } "$sql;\n\\echo that was all\n";
	while (defined(my $line = readline $self->{out}))
	{
		return $answer =~ s/\n\z//r if $line eq "that was all\n";
		$answer .= $line;
	}
	return 'error 00000 the session is lost';
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $@, $!);
	close $self->{in};
	waitpid($self->{pid}, 0);
	return;
}

package main;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $count = $ENV{TEST_COUNT} // ($ENV{TEST_FULL} ? 5000 : 150);
my $first = $ENV{TEST_SEED} // ($ENV{TEST_FULL} ? 1 + int(rand(1_000_000)) : 20261127);
$count = 1 if defined $ENV{TEST_SEED} && !defined $ENV{TEST_COUNT};
my $liar = OnecTest->liar('--customers', 40, '--receipts', 90);
my $node = OnecTest->node('liar_select');
my $kinds = $liar->control('GET', '/kinds');
my @seen = $ENV{TEST_LIES} ? split(' ', $ENV{TEST_LIES}) : grep { $kinds->{$_}{seen} && $_ ne 'cap' } sort keys %$kinds;
my @longer = qw(long doubled rows_twice ignore_top);
my $most = 7;    # rows of a page of the server whose pages are cut
my @sets = qw(Catalog_ДисконтныеКарты Catalog_Контрагенты Catalog_Контрагенты_КонтактнаяИнформация Catalog_Номенклатура
	Catalog_СтруктурныеЕдиницы Document_ЧекККМ DocumentJournal_РозничныеПродажи AccumulationRegister_Продажи_RecordType
	AccumulationRegister_БонусныеБаллы_RecordType);
my (@tables, %options, %told, %disturbed, %states, $session);
my ($kept, $failures) = (0, 0);

sub pick { return $_[ int(rand(@_)) ]; }

sub run
{
	my ($sql) = @_;
	my $answer = OnecTest->try_text($node, $sql);

	die "$sql\n$answer->{stderr}" if $answer->{sqlstate} ne '00000';
	return split /\n/, $answer->{stdout};
}

# ---- two servers of one base, and its rows here ----
for my $server (qw(free cut))
{
	OnecTest->server($node, $liar, name => $server, options => "retries '0', page_size '0', prefetch '1', paging 'auto'");
	run("CREATE SCHEMA $server; IMPORT FOREIGN SCHEMA \"StandardODATA\" LIMIT TO (" . join(', ', @sets) . ") FROM SERVER $server INTO $server");
}
run('CREATE SCHEMA here');
run("CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE found text; BEGIN EXECUTE query INTO found; RETURN found;
	EXCEPTION WHEN OTHERS THEN RETURN 'error ' || SQLSTATE || ' ' || left(SQLERRM, 150); END \$\$");
for my $table (run("SELECT relname FROM pg_class WHERE relnamespace = 'free'::regnamespace ORDER BY 1"))
{
	run(qq{CREATE TABLE here."$table" AS TABLE free."$table"; ANALYZE here."$table"});
	my @columns = map { [ split /\|/ ] } grep { !/jsonb|bytea/ } run(qq{SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
		WHERE attrelid = 'here."$table"'::regclass AND attnum > 0 ORDER BY attnum});

	$_->[2] = [ run(qq{SELECT quote_literal("$_->[0]") FROM here."$table" WHERE "$_->[0]" IS NOT NULL GROUP BY "$_->[0]" ORDER BY md5("$_->[0]"::text) LIMIT 12}) ] for @columns;
	push @tables, { name => $table, columns => [ grep { @{ $_->[2] } } @columns ] };
}
is(scalar @tables, scalar @sets, 'the tables are here');

# ---- queries ----
sub condition
{
	my ($table) = @_;
	my $column = pick(@{ $table->{columns} });
	my ($name, $type, $values) = (qq{"$column->[0]"}, @$column[ 1, 2 ]);
	my ($one, $two) = (pick(@$values), pick(@$values));

	return "$name IN ($one, $two)" if rand() < 0.15;
	return "$name IS " . pick('NULL', 'NOT NULL') if rand() < 0.1;
	return pick('', 'NOT ') . $name if $type eq 'boolean';
	return "$name LIKE left($one, 2) || '%'" if $type eq 'text' && rand() < 0.3;
	return "extract(year FROM $name) = extract(year FROM $one\::timestamp)" if $type =~ /^timestamp/ && rand() < 0.2;
	return "$name " . ($type eq 'uuid' ? pick('=', '<>') : pick('=', '<>', '<', '<=', '>', '>=', '>', '<=')) . " $one";
}

sub where
{
	my ($table) = @_;
	my @arms = map { condition($table) } 1 .. pick(0, 0, 1, 1, 1, 2, 2, 3);

	return @arms ? join(pick(' AND ', ' AND ', ' OR '), map { "($_)" } @arms) : 'true';
}

# The text of a query with FAR in place of the schema; its answer is one text.
sub query
{
	my ($table) = (pick(@tables));
	my ($where, $far) = (where($table), qq{FAR."$table->{name}"});
	my @some = map { qq{"$_->[0]"} } map { pick(@{ $table->{columns} }) } 1 .. 1 + int(rand(4));
	my $sum = "md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) || ' ' || count(*)";
	my $form = pick(qw(rows rows rows all all ordered ordered few count group exists join semi));

	return "SELECT $sum FROM (SELECT " . join(', ', @some) . " FROM $far WHERE $where) x" if $form eq 'rows';
	return "SELECT $sum FROM (SELECT * FROM $far WHERE $where) x" if $form eq 'all';
	return "SELECT string_agg(coalesce(v::text, '~'), '|') FROM (SELECT $some[0] AS v FROM $far WHERE $where ORDER BY 1 " . pick('', 'DESC') .
		' LIMIT ' . pick(1, 5, 20, 1000) . ') x' if $form eq 'ordered';
	return "SELECT count(*) FROM (SELECT $some[0] FROM $far WHERE $where LIMIT " . pick(1, 3, 15, 40) . ') x' if $form eq 'few';
	return "SELECT count(*) FROM $far WHERE $where" if $form eq 'count';
	return "SELECT EXISTS (SELECT FROM $far WHERE $where)" if $form eq 'exists';
	return "SELECT $sum FROM (SELECT $some[0], count(*), count(DISTINCT $some[-1]) FROM $far WHERE $where GROUP BY 1) x" if $form eq 'group';
	my $keys = qq{(SELECT DISTINCT $some[0] AS k FROM here."$table->{name}" ORDER BY 1 LIMIT 30)};
	return "SELECT $sum FROM (SELECT keys.k, j.* FROM $keys keys " . pick('', 'LEFT ') . "JOIN $far j ON j.$some[0] = keys.k AND ($where)) x" if $form eq 'join';
	return "SELECT $sum FROM (SELECT k FROM $keys keys WHERE " . pick('', 'NOT ') . "EXISTS (SELECT FROM $far j WHERE j.$some[0] = keys.k AND ($where))) x";
}

# ---- each query in a session that has asked some before it ----
sub fresh_session
{
	$session = undef;
	for my $server (qw(free cut))
	{
		$options{$server} = join(', ', "SET page_size '" . pick(0, 3, 7, 10, 20) . "'", "SET prefetch '" . pick(0, 1, 1, 2, 4) . "'",
			"SET paging '" . pick(qw(auto auto windows skip)) . "'");
		run("ALTER SERVER $server OPTIONS ($options{$server})");
	}
	return $session = Session->new($node);
}

sub ask
{
	my ($sql) = @_;

	return $session->ask("SELECT answer(\$q\$$sql\$q\$)");
}

# Lies told since the last call.
sub lies_told
{
	my @found = @{ $liar->control('GET', "/lies?since=$kept") };

	$kept = $found[-1]{n} if @found;
	$told{ $_->{lie} }++ for @found;
	return @found;
}

# Query number "seed": nothing, or what is wrong with its answer.
sub asked
{
	my ($seed) = @_;

	if ($seed == $first || $seed % 25 == 0)
	{
		srand(-1 - int($seed / 25));
		fresh_session();
	}
	srand($seed);
	my ($server, $query) = (pick(qw(free free cut)), query());
	my %chosen = map { pick(@seen) => 1 } 1 .. pick(1, 1, 2, 3);
	delete @chosen{@longer} if $server eq 'cut';
	my @lies = (sort(keys %chosen), $server eq 'cut' ? 'cap' : ());
	my $rate = pick(0.1, 0.3, 1);
	my $truth = ask($query =~ s/FAR\./here./gr);

	$liar->control('POST', '/arm', { kinds => \@lies, cap => $most, seed => $seed, rate => $rate });
	my $found = ask($query =~ s/FAR\./$server./gr);
	my $state = $found =~ /^error (\w{5})/ ? $1 : 'truth';
	my @told = lies_told();

	$states{$state}++;
	$disturbed{ $state eq 'truth' ? 'truth' : 'an error' }++ if @told;
	return if $state eq 'truth' ? $found eq $truth : $state !~ /^(00|XX|21|42(?!501)|57|53|P0)/;
	return "$query\n   server $server ($options{$server}) through @lies, rate $rate\n   here:  $truth\n   there: $found\n" . join "\n", map { my $lie = $_;
		"   $lie->{lie} $lie->{note}: $lie->{path}?" . join('&', map { "$_=$lie->{options}{$_}" } sort keys %{ $lie->{options} }) } @told[ 0 .. ($#told > 7 ? 7 : $#told) ];
}

diag("| TEST_SEED=$first TEST_COUNT=$count");
for my $seed ($first .. $first + $count - 1)
{
	my $wrong = asked($seed) or next;

	$failures++;
	diag("TEST_SEED=$seed: $wrong");
}
$session = undef;
is($failures, 0, "liar: $count random queries, truth or an error");
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process has crashed');
is(join(' ', grep { !$told{$_} } @seen, 'cap'), '', 'every lie was told') if $count >= 1000 && !$ENV{TEST_LIES};

my $lies = 0;
$lies += $_ for values %told;
OnecTest->figure('random queries through the liar', $count);
OnecTest->figure('lies told to queries', $lies);
OnecTest->figure('answers that were neither the truth nor an error', $failures);
diag('| by kind: ' . join(', ', map { "$_ " . ($told{$_} // 0) } @seen, 'cap'));
diag('| answers: ' . join(', ', map { "$_ $states{$_}" } sort keys %states));
diag('| of those lied to: ' . join(', ', map { "$_ $disturbed{$_}" } sort keys %disturbed));

$node->stop;
done_testing();
