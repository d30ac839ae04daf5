# Syncs through a liar: after each run no true row that was here is gone or changed for the worse, a deletion that could not be
# proven is not called ok, and the next run that is told the truth is exact.
#
# A sequence: some edits in 1C, a run or two that are lied to, an honest full run.  Each goes on where the one before it ended.  What the
# store ought to hold is asked of the base itself (StoreTruth.pm).
#
# Sequences have the numbers that follow the printed one; TEST_SEED=N repeats one, with TEST_COUNT as many; TEST_FULL=1 makes them many;
# TEST_LIES names the lies.
use strict;
use warnings;
use utf8;

use OnecTest;
use StoreTruth;
use List::Util qw(min);
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $count = $ENV{TEST_COUNT} // ($ENV{TEST_FULL} ? 1000 : 30);
my $first = $ENV{TEST_SEED} // ($ENV{TEST_FULL} ? 1 + int(rand(1_000_000)) : 20261127);
$count = 1 if defined $ENV{TEST_SEED} && !defined $ENV{TEST_COUNT};
my $liar = OnecTest->liar;
my $node = OnecTest->node('liar_sync');
my $kinds = $liar->control('GET', '/kinds');
my @names = $ENV{TEST_LIES} ? split(' ', $ENV{TEST_LIES}) : sort keys %$kinds;
my (%told, %runs, %edits, %forced, $harmed, $inexact);
my ($kept, $lost) = (0, 0);

sub pick { return $_[ int(rand(@_)) ]; }

sub edit
{
	my ($seed) = @_;

	for my $op (map { rand() < 0.3 ? 'remove' : 'random' } 1 .. 1 + int(rand(6)))
	{
		my $done = eval { $liar->control('POST', '/edit', { op => $op, seed => "$seed/" . rand(), n => 1 }) } or next;
		$edits{ $_->{op} }++ for $op eq 'random' ? @{ $done->{done} } : $done;
	}
	return;
}

# Lies that may go together: of the base's counting nothing is believed where pages come in any order.  Half of the time only those that
# nobody can see: others mostly end a step with an error.
sub some_lies
{
	my @unseen = grep { !$kinds->{$_}{seen} } @names;
	my @open = rand() < 0.5 && @unseen ? @unseen : @names;
	my %chosen = map { pick(@open) => 1 } 1 .. 1 + int(rand(4));

	delete @chosen{qw(count_refused count_wrong)} if $chosen{shuffle} || $chosen{ignore_order};
	return sort keys %chosen;
}

# A run through lies, after others of the same sequence, of which the shortest had "fewest" days, if any had a number.
sub run
{
	my ($seed, $fewest) = @_;
	my @lies = some_lies();
	my $how = pick('full_reload => true', 'full_reload => true', 'days => 3', 'days => 60', 'days => 10, deep => true');
	my $arm = { kinds => \@lies, rate => pick(0.05, 0.2, 0.5, 1), steady => pick(0.2, 1), seed => $seed, times => pick(1, 3, 1000),
		sets => pick('', '', '', 'Карт', 'Контрагенты', 'Номенклатура|Категории|Единицы', 'Register', 'Journal', 'Продажи', 'Баллы') };
	my $what = "$how through " . join(' ', map { $_ eq 'kinds' ? "@lies" : "$_=$arm->{$_}" } sort keys %$arm);

	$liar->control('POST', '/arm', $arm);
	my $answer = OnecTest->try_text($node, "CALL onec.sync('shop', $how)");
	my $last = $liar->control('POST', '/honest', {})->{told};
	my @told = @{ $liar->control('GET', "/lies?since=$kept") };

	$kept = $last;
	$told{ $_->{lie} }++ for @told;
	$runs{ OnecTest->rows($node, "SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1") }++;
	my ($days) = $how =~ /days => (\d+)/;
	my @bad = StoreTruth->harmed($node, 'shop', $days, min(grep { defined } $days, $fewest));
	push @bad, "the run ended with $answer->{sqlstate}: $answer->{stderr}" if $answer->{sqlstate} ne '00000';
	return ($what, \@told, @bad);
}

# The first lies told, one a line.
sub shown
{
	my ($told) = @_;

	return join "\n", map { my $lie = $_; "   $lie->{lie} $lie->{note}: $lie->{path}?" .
		join('&', map { "$_=$lie->{options}{$_}" } sort keys %{ $lie->{options} }) } @$told[ 0 .. ($#$told > 11 ? 11 : $#$told) ];
}

OnecTest->server($node, $liar, name => 'shop', options => "timezone 'UTC', retries '0', page_size '10', prefetch '1'");
OnecTest->try($node, "SELECT FROM onec.setup('shop')");
StoreTruth->create($node);
OnecTest->try($node, "CALL onec.sync('shop', full_reload => true)");
StoreTruth->load($node, $liar);
is(join("\n", StoreTruth->inexact($node, 'shop')), '', 'the first load is exact');

diag("| TEST_SEED=$first TEST_COUNT=$count");
for my $seed ($first .. $first + $count - 1)
{
	srand($seed);
	my ($size, $ahead, $retries) = (pick(0, 4, 10, 10), pick(0, 1, 1, 2), pick(0, 0, 0, 1));

	edit($seed);
	StoreTruth->load($node, $liar);
	StoreTruth->remember($node, 'shop');
	$retries = 0 unless $ENV{TEST_FULL};    # what is tried again waits
	OnecTest->try($node, "ALTER SERVER shop OPTIONS (SET page_size '$size', SET prefetch '$ahead', SET retries '$retries')");
	# every other one reads versions first, which a base as small as this is otherwise not worth
	OnecTest->try($node, "SELECT onec.set('sync.versions', '" . ($seed % 2 ? 'on' : 'auto') . "', 'shop')");
	my $fewest;
	for my $turn (1 .. 1 + int(rand(2)))
	{
		my ($what, $told, @bad) = run("$seed/$turn", $fewest);

		$fewest = min(grep { defined } $fewest, $what =~ /^days => (\d+)/);
		next unless @bad;
		$harmed++;
		$lost += $_ for map { /are gone\|(\d+)/ ? $1 : 0 } @bad;
		diag("TEST_SEED=$seed, page_size $size, prefetch $ahead, $what\n" . join("\n", @bad) . "\n" . shown($told));
		last;
	}
	# the last order of all may have gone: that a set is empty, or wholly another, is believed only if somebody says so
	my @strangers = StoreTruth->strangers($node, 'shop');
	my $answer = OnecTest->try_text($node, "CALL onec.sync('shop', full_reload => true" . (@strangers ? ', force => true' : '') . ')');
	$forced{$_}++ for @strangers;
	my @wrong = StoreTruth->inexact($node, 'shop');

	push @wrong, "$answer->{sqlstate}: $answer->{stderr}" if $answer->{sqlstate} ne '00000';
	next unless @wrong;
	$inexact++;
	diag("TEST_SEED=$seed: after the next honest run\n" . join("\n", @wrong[ 0 .. ($#wrong > 9 ? 9 : $#wrong) ]));
}
is($harmed // 0, 0, "liar: $count sequences, no true row is gone or worse, nothing unproven is ok");
is($inexact // 0, 0, "liar: $count sequences, the next honest run is exact");
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process has crashed');

my $lies = 0;
$lies += $_ for values %told;
OnecTest->figure('sequences through the liar', $count);
OnecTest->figure('lies told to syncs', $lies);
OnecTest->figure('rows lost to lies', $lost);
OnecTest->figure('sequences after which the honest run was not exact', $inexact // 0);
diag('| by kind: ' . join(', ', map { "$_ " . ($told{$_} // 0) } sort keys %$kinds));
diag('| runs: ' . join(', ', map { "$_ $runs{$_}" } sort keys %runs));
diag('| sets of which no row was left, forced: ' . join(', ', map { "$_ $forced{$_}" } sort keys %forced)) if %forced;
diag('| edits: ' . join(', ', map { "$_ $edits{$_}" } sort keys %edits));
is(join(' ', grep { !$told{$_} } sort keys %$kinds), '', 'every lie was told') if $count >= 300 && !$ENV{TEST_LIES};

$node->stop;
done_testing();
