# CDNOW through the whole way: a purchase log served by the demo 1C, synced, its models fitted on the first 39 weeks.
# What is expected was published with the models (BG/NBD: Fader, Hardie, Lee 2005) and in vignettes of R packages that fit
# them to these very purchases.
use strict;
use warnings;

use OnecTest;
use Test::More;

my $log = ($ENV{ONEC_SHARED} || "$OnecTest::ROOT/../shared") . '/data/CDNOW_sample.txt';
plan skip_all => 'the purchase log is not here' unless -e $log;

my $onec = OnecTest->onec('--purchase-log', $log);
my $node = OnecTest->node('cdnow');
OnecTest->server($node, $onec, name => 'cdnow', options => "timezone 'UTC'");

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

# One number with so many digits behind the point.
sub number_is
{
	my ($query, $wanted, $name) = @_;
	my ($digits) = $wanted =~ /\.(\d+)$/;
	my $value = sql($query);

	$value = sprintf('%.*f', length($digits // ''), $value) if $value =~ /^-?[\d.]+(?:e[-+]?\d+)?$/;
	return is($value, $wanted, $name);
}

sql("SELECT FROM onec.setup('cdnow')");
# eight of the purchases published are of goods that cost nothing
sql("SELECT onec.set('count_free_receipts', 'true', 'cdnow')");
sql("CALL onec.sync('cdnow', full_reload => true)");

# ---- BG/NBD and Gamma-Gamma on the calibration period ----
my $model = q{FROM onec.fit_clv('cdnow', '1997-09-30', 'bgnbd')};
sql("CREATE TABLE bg AS SELECT * $model");
is(sql('SELECT status, customers FROM bg'), 'ok|2357', 'BG/NBD is fitted to all customers');
number_is('SELECT r FROM bg', '0.2426', 'r');
number_is('SELECT alpha FROM bg', '4.414', 'alpha');
number_is('SELECT a FROM bg', '0.793', 'a');
number_is('SELECT b FROM bg', '2.426', 'b');
number_is('SELECT log_likelihood FROM bg', '-9582.43', 'log-likelihood');
number_is('SELECT p FROM bg', '6.25', 'Gamma-Gamma: p');
number_is('SELECT q FROM bg', '3.74', 'q');
number_is('SELECT v FROM bg', '15.44', 'v');
number_is('SELECT onec.bgnbd_expected(2, 30.43, 38.86, r, alpha, a, b, 39) FROM bg', '1.226', 'the purchases expected of a customer');

# ---- MBG/NBD ----
sql(q{CREATE TABLE mbg AS SELECT * FROM onec.fit_clv('cdnow', '1997-09-30', 'mbgnbd')});
number_is('SELECT r FROM mbg', '0.525', 'MBG/NBD: r');
number_is('SELECT alpha FROM mbg', '6.183', 'alpha');
number_is('SELECT a FROM mbg', '0.891', 'a');
number_is('SELECT b FROM mbg', '1.614', 'b');

# ---- customer 1516, and the holdout by frequency ----
my $history = q{onec_internal.visit_history('cdnow', '1997-09-30') h, bg};
number_is("SELECT onec.bgnbd_expected(h.x, h.t_x, h.t, r, alpha, a, b, 52) FROM $history WHERE h.x = 26 AND round(h.t_x::numeric, 2) = 30.86", '25.757', 'the best customer');
number_is("SELECT onec.bgnbd_palive(h.x, h.t_x, h.t, r, alpha, a, b) FROM $history WHERE h.x = 26 AND round(h.t_x::numeric, 2) = 30.86", '0.9689', '… is alive');
my @expected = qw(0.2251 0.5231 1.0441 1.5203 2.1638 2.6538 3.5040 6.1570);
my @found = split /\n/, sql("SELECT round(avg(onec.bgnbd_expected(h.x, h.t_x, h.t, r, alpha, a, b, 39))::numeric, 4) FROM $history GROUP BY least(h.x, 7) ORDER BY least(h.x, 7)");
is(scalar @found, 8, 'eight groups of frequency');
cmp_ok(abs($found[$_] - $expected[$_]), '<=', 0.0006, "expected of those who came $_ times again: $found[$_]") for 0 .. $#found;

$onec->stop;
$node->stop;
done_testing();
