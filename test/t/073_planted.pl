# What the demo shop was made with is found again: the parameters of its purchase process, its seasons, its returns.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('planted');

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

# Load a demo shop of 5000 customers, and return what it was made with.
sub load
{
	my ($name, @options) = @_;
	my $onec = OnecTest->onec('--customers', 5000, '--seed', 1, @options);

	OnecTest->server($node, $onec, name => $name, options => "timezone 'Europe/Moscow'");
	sql("SELECT FROM onec.setup('$name')");
	sql("CALL onec.sync('$name', full_reload => true)");
	my $truth = $onec->control('GET', '/truth');
	$onec->stop;
	return $truth;
}

sub near
{
	my ($found, $wanted, $part, $name) = @_;
	return cmp_ok(abs($found / $wanted - 1), '<=', $part, sprintf('%s: %.3f of %.3f', $name, $found, $wanted));
}

# ---- the bare process: parameters within 15 % ----
my $truth = load('bare', '--unthinned', '--no-dirt');
my ($end) = $truth->{parameters}{end} =~ /^(\d{4}-\d\d-\d\d)/;
sql("CREATE TABLE fit AS SELECT * FROM onec.fit_clv('bare', '$end', 'mbgnbd')");
is(sql('SELECT status, spend_status FROM fit'), 'ok|ok', 'the model is fitted');
near(sql("SELECT $_ FROM fit"), $truth->{parameters}{mbgnbd}{$_}, 0.15, "MBG/NBD $_") for qw(r alpha a b);
my %spend = %{ $truth->{parameters}{gamma_gamma} };
near(sql('SELECT p * v / (q - 1) FROM fit'), $spend{p} * $spend{v} / ($spend{q} - 1), 0.15, 'Gamma-Gamma: mean spend');

# ---- seasons: each month's index within a tenth, March and December the peaks ----
$truth = load('shop');
my @weights = @{ $truth->{parameters}{month_weights} };
my @index = split /\n/, sql("SELECT season_index FROM onec.month_season WHERE server = 'shop' ORDER BY month");
is(scalar @index, 12, 'twelve months');
near($index[$_], $weights[$_], 0.1, 'season of month ' . ($_ + 1)) for 0 .. 11;
is(sql("SELECT string_agg(month::text, ' ' ORDER BY season_index DESC) FROM (SELECT * FROM onec.month_season WHERE server = 'shop' ORDER BY season_index DESC LIMIT 2) x"),
	'12 3', 'December and March are the peaks');

# ---- returns: receipts of which everything came back are no purchases ----
my %receipts = map { split /\|/ } split /\n/, sql("SELECT customer_id, receipts FROM onec.customer_profile WHERE server = 'shop' AND lines > 0");
my $people = $truth->{sales}{counted}{by_customer};
my @wrong = grep { $_ ne '' && ($receipts{$_} // -1) != ($people->{$_}{receipts} // 0) } keys %$people;
cmp_ok($truth->{dirt}{returns_of_whole_receipts}, '>', 50, 'whole receipts came back');
is(scalar @wrong, 0, 'receipts of every customer are counted as the demo 1C counts them') or diag(join ', ', map { "$_: $receipts{$_}, $people->{$_}{receipts}" } @wrong[0 .. 4]);

$node->stop;
done_testing();
