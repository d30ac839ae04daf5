# Jobs: their times against the C library's time zones, their lines for other crons, what pg_cron really runs (here and for
# another database, by connections and by background workers), housekeeping, overlap, cancelling.
use strict;
use warnings;
use utf8;

use OnecTest;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 5);
my $node = OnecTest->node('schedule', conf => "cron.timezone = 'Asia/Tokyo'\n");
my $seed = $ENV{TEST_SEED} || 7;

srand($seed);
OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1'");
OnecTest->server($node, $onec, name => 'berlin', options => "timezone 'Europe/Berlin'");

sub sql
{
	my ($query, %options) = @_;
	my $r = OnecTest->try($node, $query, %options);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

sub set_delay
{
	$onec->control('POST', '/modes', { page_delay => $_[0] });
	return;
}

sub equal
{
	my ($name, %options) = @_;
	my $truth = $onec->control('GET', '/truth')->{sales};

	is(sql("SELECT count(*), (sum(amount) FILTER (WHERE active))::numeric(20,2) FROM onec.sale_line WHERE server = 'shop'", %options),
		"$truth->{all_rows}|$truth->{sum}", $name);
	return;
}

# The minute and hour in GMT of the next $hour:$minute in $zone from the epoch second $at on, as the C library sees it.
sub gmt_of
{
	my ($zone, $hour, $minute, $at) = @_;
	local $ENV{TZ} = $zone;
	POSIX::tzset();
	my @now = localtime($at);
	my $later = $now[2] * 60 + $now[1] > $hour * 60 + $minute ? 1 : 0;
	my @then = gmtime(POSIX::mktime(0, $minute, $hour, $now[3] + $later, $now[4], $now[5], 0, 0, -1));

	return "$then[1] $then[2]";
}

END { delete $ENV{TZ}; POSIX::tzset(); }

# ---- local times ----
{
	my (@rows, @expected);

	for (1 .. 80)
	{
		my $zone = ('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Europe/Moscow')[ rand 5 ];
		# 4..23: no change of the clocks leaves these out or repeats them
		my ($hour, $minute, $at) = (4 + int rand 20, int rand 60, 1_735_689_600 + int rand 86_400 * 700);
		push @rows, "('$zone', $hour, $minute, $at)";
		push @expected, gmt_of($zone, $hour, $minute, $at);
	}
	for my $zone ('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe')
	{
		(my $name = lc $zone) =~ s/\W/_/g;
		sql("CREATE SERVER $name FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x', timezone '$zone')");
	}
	sql("CREATE SERVER europe_moscow FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x', timezone 'Europe/Moscow')");
	my $got = sql('SELECT onec._cron_time(translate(lower(zone), \'/\', \'_\'), hour, minute, to_timestamp(at)) FROM (VALUES '
		  . join(', ', @rows) . ') v (zone, hour, minute, at)');
	is_deeply([ split /\n/, $got ], \@expected, "local times on the clock of pg_cron (seed $seed)");
	is(sql("SELECT string_agg(onec._cron_time('berlin', 3, 0, at::timestamptz), ', ' ORDER BY at)
			FROM unnest('{2026-03-28 01:00Z,2026-03-28 02:30Z,2026-10-24 00:30Z,2026-10-24 01:30Z}'::text[]) at"),
		'0 2, 0 1, 0 1, 0 2', 'after the night before a change of the clocks the time is the new one');
	sql("DROP SERVER $_") for qw(europe_berlin america_new_york asia_kolkata australia_lord_howe europe_moscow);
}

# The next minute of a schedule by looking at each.
sub next_minute
{
	my ($cron, $after) = @_;
	my @field = split / /, $cron;
	for (my $t = $after - $after % 60 + 60;; $t += 60)
	{
		my @at = gmtime $t;
		my $minute_fits = $field[0] eq '*' || ($field[0] =~ m{/(\d+)} ? $at[1] % $1 == 0 : $at[1] == $field[0]);
		my $hour_fits = $field[1] eq '*' || ($field[1] =~ m{/(\d+)} ? $at[2] % $1 == 0 : $at[2] == $field[1]);
		my $day_fits = $field[4] eq '*' || $field[4] % 7 == $at[6];
		return $t if $minute_fits && $hour_fits && $day_fits;
	}
}

{
	my (@rows, @expected);

	for my $cron ('0 */4 * * *', '0 */1 * * *', '0 * * * *', '30 21 * * *', '0 0 * * 0', '59 23 * * 0', '*/5 * * * *', '* * * * *', '15 3 * * 7')
	{
		for my $at (map { 1_764_000_000 + int rand 86_400 * 30 } 1 .. 3)
		{
			push @rows, "('$cron', $at)";
			push @expected, next_minute($cron, $at);
		}
	}
	is_deeply([ split /\n/, sql("SELECT extract(epoch FROM onec._next_run(cron, 'GMT', to_timestamp(at)))::bigint FROM (VALUES "
				  . join(', ', @rows) . ') v (cron, at)') ],
		\@expected, 'the next run of a schedule');
	is(sql("SELECT onec._next_run('0 0 1 * *', 'GMT', now()) IS NULL"), 't', 'a form that is not known has none');
}

# ---- no pg_cron at all ----
{
	my $r = OnecTest->try($node, "SELECT onec.schedule('shop')");
	is($r->{sqlstate}, '0A000', 'without pg_cron the schedule says so');
	my $moscow = gmt_of('Europe/Moscow', 3, 0, time);
	like($r->{stderr}, qr/^\Q$moscow\E \* \* \* psql -X -q -d "postgres" -c "CALL onec\.run_job\('shop', 'nightly'\)"$/m,
		'and gives lines for a crontab');
	is(() = $r->{stderr} =~ /^[\d*].* psql /mg, 4, 'one for each job');
	is(sql("SELECT onec._cron_zone()"), 'GMT', 'a line of postgresql.conf alone moves no clock');
	is(sql("SELECT count(*), count(cron), count(next_run_gmt) FROM onec.schedule_status WHERE server = 'shop' AND hint LIKE '%crontab'"), '4|0|0',
		'the status says what to do');
	is(sql("SELECT onec.unschedule('shop')"), '0', 'nothing to take away');

	# a name that shell and crontab could stumble over
	my $name = q{it's "100%" $HOME `x` \\y};
	(my $quoted = $name) =~ s/"/""/g;
	sql(qq{CREATE DATABASE "$quoted"});
	my $other = 'host=' . $node->host . ' port=' . $node->port . q{ dbname='} . $name =~ s/(['\\])/\\$1/gr . q{'};
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $other, '-c', 'CREATE EXTENSION onec_fdw',
			'-c', "CREATE SERVER \"o'b\" FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x')",
			'-c', "INSERT INTO onec.drift (server, month, found_at, repaired_at) VALUES ('o''b', '2020-01-01', '2020-01-01', '2020-01-01')" ])
	  or BAIL_OUT('another database');
	IPC::Run::run([ 'psql', '-X', '-A', '-t', '-d', $other, '-c', 'SELECT onec.schedule()' ], '>', \my $out, '2>', \my $err);
	my ($line) = $err =~ /^\S+ \S+ \S+ \S+ \S+ (psql .*housekeeping.*)$/m;
	# what cron does to a percent sign
	$line =~ s/\\%/%/g;
	local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
	is(system('sh', '-c', $line), 0, 'the line runs from a shell');
	IPC::Run::run([ 'psql', '-X', '-A', '-t', '-d', $other, '-c', 'SELECT count(*) FROM onec.drift' ], '>', \$out);
	is($out, "0\n", 'and does its job in the database it was printed by');
}

# ---- age ----
is(sql("SELECT onec.lag_seconds(server => 'shop') IS NULL"), 't', 'what was never read has no age');
is(OnecTest->try($node, "SELECT onec.lag_seconds('sales', 'shop')")->{sqlstate}, '22023', 'an unknown step is an error');
sql("SELECT FROM onec.setup('shop')");
sql("CALL onec.sync('shop', full_reload => true)");
sleep 1.5;
sql("CALL onec.sync('shop', steps => '{cards}')");
is(sql("SELECT step FROM unnest('{cards,purchases}'::text[]) step WHERE abs(onec.lag_seconds(step, 'shop') - extract(epoch FROM clock_timestamp() -
			(SELECT min(f) FROM (SELECT max(finished_at) FROM onec.sync_step t WHERE t.step = step.step AND t.status = 'ok' GROUP BY t.target) x (f)))) < 0.3"),
	"cards\npurchases", 'the age of a step is that of its stalest table');
is(sql("SELECT onec.lag_seconds('purchases', 'shop') > onec.lag_seconds('cards', 'shop') + 1"), 't', 'each step has its own');

# ---- cancelling ----
sub begin_slow
{
	my ($statement, %options) = @_;
	my $before = sql('SELECT coalesce(max(run_id), 0) FROM onec.sync_run');

	set_delay(400);
	my $run = OnecTest->background($node, $statement, %options);
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM onec.sync_run WHERE status = 'running' AND run_id > $before") eq '1' }, 'a run');
	return $run;
}

{
	is(sql("SELECT onec.cancel(server => 'shop')"), 'f', 'nothing runs: nothing is cancelled');
	is(OnecTest->try($node, 'SELECT onec.cancel(999999)')->{sqlstate}, '22023', 'an unknown run is an error');
	my $run = begin_slow("CALL onec.sync('shop', full_reload => true)");

	sql("CREATE ROLE nobody; CREATE ROLE guard IN ROLE pg_signal_backend, pg_read_all_stats;
		 GRANT USAGE ON SCHEMA onec TO nobody, guard; GRANT SELECT ON onec.sync_run TO nobody, guard");
	my $r = OnecTest->try($node, "SET ROLE nobody; SELECT onec.cancel(server => 'shop')");
	is($r->{sqlstate}, '42501', 'who may not cancel a process may not cancel its run');
	is(sql("SELECT count(*) FROM onec.sync_run WHERE status = 'running'"), '1', 'which goes on');
	my $second = OnecTest->try($node, "CALL onec.run_now('nightly', 'shop')");
	like($second->{stderr}, qr/skipped \(busy\)/, 'a run beside it is skipped');
	cmp_ok($second->{seconds}, '<', 3, 'at once');
	is(sql("SELECT status, days FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'skipped (busy)|30', 'and its account says so');
	$r = OnecTest->try($node, "SELECT onec.cancel(server => 'shop')");
	is($r->{stdout}, 't', 'a run is cancelled');
	cmp_ok($r->{seconds}, '<', 3, 'soon');
	is($run->wait->{sqlstate}, '57014', 'its statement ends as cancelled');
	is(sql("SELECT status, finished_at IS NOT NULL FROM onec.sync_run WHERE status <> 'skipped (busy)' ORDER BY run_id DESC LIMIT 1"), 'interrupted|t',
		'the account tells');
	is(sql("SELECT count(*) FROM onec.sync_step WHERE status IN ('running', 'waiting')"), '0', 'no step is left open');

	sql("CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA onec, shop TO worker; GRANT USAGE ON FOREIGN SERVER shop TO worker;
		 GRANT ALL ON ALL TABLES IN SCHEMA onec, shop TO worker; GRANT ALL ON ALL ROUTINES IN SCHEMA onec TO worker;
		 CREATE USER MAPPING FOR worker SERVER shop OPTIONS (user 'demo', password 'demo')");
	$run = begin_slow("CALL onec.sync('shop', full_reload => true)", user => 'worker');
	my $id = sql("SELECT run_id FROM onec.sync_run WHERE status = 'running'");
	is(sql("SET ROLE guard; SELECT onec.cancel($id)"), 't', 'who may send signals may cancel by number');
	is($run->wait->{sqlstate}, '57014', 'it has ended');
	is(sql("SELECT onec.cancel($id)"), 't', 'the account it left open is closed by who may write it');
	is(sql("SELECT onec.cancel($id)"), 'f', 'once');
	set_delay(0);
	sql("CALL onec.sync('shop', full_reload => true)");
	equal('the next run converges');

	# the number of the process went to another one
	my $innocent = OnecTest->background($node, 'SELECT pg_sleep(3)');
	my $pid = $innocent->pid;
	sql("INSERT INTO onec.sync_run (server, started_at, status, pid, backend_start)
		 SELECT 'shop', now(), 'running', $pid, backend_start - interval '1 hour' FROM pg_stat_activity WHERE pid = $pid");
	is(sql("SELECT onec.cancel(server => 'shop')"), 't', 'a run whose process is gone is closed');
	is($innocent->wait->{sqlstate}, '00000', 'and the process that has its number is left alone');
}

$node->stop;
done_testing();
