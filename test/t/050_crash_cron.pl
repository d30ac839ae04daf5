# What one session cannot show: a backend killed in the middle of a sync.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;
use Time::HiRes qw(sleep);

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 80, '--seed', 4);
my $node = OnecTest->node('crash', conf => "restart_after_crash = on\nlog_statement = 'all'\nautovacuum_naptime = 1s\n");

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1'");

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

sub up
{
	# a psql that cannot connect yet may be gone before it is given its statement
	return OnecTest->wait_for(sub { (eval { OnecTest->try($node, 'SELECT 1')->{stdout} } // '') eq '1' }, 'the server', 30);
}

sub equal
{
	my ($name) = @_;
	my $truth = $onec->control('GET', '/truth')->{sales};

	is(sql("SELECT count(*), count(*) FILTER (WHERE active), (sum(amount) FILTER (WHERE active))::numeric(20,2) FROM onec.sale_line"),
		"$truth->{all_rows}|$truth->{active_rows}|$truth->{sum}", $name);
	return;
}

sql("SELECT FROM onec.setup('shop')");

# ---- kill -9 at different moments ----
for my $moment (1 .. ($ENV{TEST_FULL} ? 20 : 3))
{
	sql('TRUNCATE onec_internal.sale_line, onec_internal.card_sale_line, onec.discount_card, onec.sync_state') if $moment % 2;
	$onec->control('POST', '/modes', { page_delay => 30 });
	my $run = OnecTest->background($node, "CALL onec.sync('shop', full_reload => true)");
	my $pid = $run->pid;
	sleep rand(1.5);
	kill 'KILL', $pid;
	$run->wait;
	up() or last;
	$onec->control('POST', '/modes', { page_delay => 0 });
	sql("CALL onec.sync('shop', full_reload => true)");
	equal("killed at moment $moment: the next run converges");
	is(sql("SELECT count(*) FROM onec.sync_run WHERE status = 'running'"), '0', 'no run is left running');
	OnecTest->figure('backends killed in the middle of a sync', 1);
}
# a step's work tables are temporary and outlive its windows; those of a backend that was killed are PostgreSQL's to remove, by autovacuum
my $stages = "SELECT count(*) FROM pg_class WHERE relname ~ '^onec_(stage|change)' AND relkind = 'r'";
is(sql("$stages AND relpersistence <> 't'"), '0', 'no staging table is but temporary');
ok(OnecTest->wait_for(sub { sql($stages) eq '0' }, 'autovacuum', 180), 'no staging table is left behind');

# ---- the password is nowhere ----
my $log = do { local $/; open(my $in, '<', $node->logfile) or die; <$in> };
# the statement that made the user mapping was logged, as documented; nothing else may tell
my @lines = grep { /demo/ && !/USER MAPPING/ && /password/i } split /\n/, $log;
is(scalar @lines, 0, 'no password in the log of the server') or diag(@lines[0 .. 1]);

$node->stop;
done_testing();
