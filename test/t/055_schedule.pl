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
		my ($hour, $minute) = (4 + int rand 20, int rand 60);
		# at any time, and around changes of the clocks: spring and autumn 2026 here and there
		my $at = (1_735_689_600 + 350 * 86_400, 1_774_746_000, 1_792_890_000, 1_772_953_200, 1_793_512_800, 1_775_314_800)[ rand 6 ]
		  + int((rand() - 0.5) * 86_400 * 3);
		push @rows, "('$zone', $hour, $minute, $at)";
		push @expected, gmt_of($zone, $hour, $minute, $at);
	}
	for my $zone ('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe')
	{
		(my $name = lc $zone) =~ s/\W/_/g;
		sql("CREATE SERVER $name FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x', timezone '$zone')");
	}
	sql("CREATE SERVER europe_moscow FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x', timezone 'Europe/Moscow')");
	my $got = sql('SET TimeZone = \'America/New_York\'; SELECT onec_internal.cron_time(translate(lower(zone), \'/\', \'_\'), hour, minute, to_timestamp(at)) FROM (VALUES '
		  . join(', ', @rows) . ') v (zone, hour, minute, at)');
	is_deeply([ split /\n/, $got ], \@expected, "local times on the clock of pg_cron (seed $seed)");
	is(sql("SELECT string_agg(onec_internal.cron_time('berlin', 3, 0, at::timestamptz), ', ' ORDER BY at)
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
	is_deeply([ split /\n/, sql("SET TimeZone = 'America/New_York'; SELECT extract(epoch FROM onec_internal.next_cron_run(cron, 'GMT', to_timestamp(at)))::bigint FROM (VALUES "
				  . join(', ', @rows) . ') v (cron, at)') ],
		\@expected, 'the next run of a schedule');
	is(sql("SET TimeZone = 'Asia/Kolkata'; SELECT onec_internal.next_cron_run('0 3 * * *', 'Asia/Tokyo', '2026-11-23 00:00Z') = '2026-11-23 18:00Z'"), 't', 'on another clock');
	is(sql("SELECT onec_internal.next_cron_run('0 0 1 * *', 'GMT', now()) IS NULL"), 't', 'a form that is not known has none');
}

# ---- no pg_cron at all ----
{
	my $r = OnecTest->try($node, "SELECT onec.schedule('shop')");
	is($r->{sqlstate}, '0A000', 'without pg_cron the schedule says so');
	my $moscow = gmt_of('Europe/Moscow', 3, 0, time);
	like($r->{stderr}, qr/^\Q$moscow\E \* \* \* psql -X -q -d "postgres" -c "CALL onec\.run_job\('nightly', 'shop'\)"$/m,
		'and gives lines for a crontab');
	is(() = $r->{stderr} =~ /^[\d*].* psql /mg, 4, 'one for each job');
	is(sql("SELECT onec_internal.cron_zone()"), 'GMT', 'a line of postgresql.conf alone moves no clock');
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
			(SELECT min(f) FROM (SELECT max(finished_at) FROM onec.sync_step t WHERE t.step = step.step AND t.status = 'ok' GROUP BY t.target) x (f)))) < 0.7"),
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
		 SELECT onec.grant_reader('nobody'), onec.grant_reader('guard')");
	my $r = OnecTest->try($node, "SET ROLE nobody; SELECT onec.cancel(server => 'shop')");
	is($r->{sqlstate}, '42501', 'who may not cancel a process may not cancel its run');
	is(sql("SELECT count(*) FROM onec.sync_run WHERE status = 'running'"), '1', 'which goes on');
	my $second = OnecTest->try($node, "CALL onec.run_now('nightly', 'shop')");
	like($second->{stderr}, qr/skipped \(busy\)/, 'a run beside it is skipped');
	OnecTest->soon($second->{seconds}, 3, 'at once');
	is(sql("SELECT status, days FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'skipped (busy)|30', 'and its account says so');
	$r = OnecTest->try($node, "SELECT onec.cancel(server => 'shop')");
	is($r->{stdout}, 't', 'a run is cancelled');
	OnecTest->soon($r->{seconds}, 3, 'soon');
	is($run->wait->{sqlstate}, '57014', 'its statement ends as cancelled');
	is(sql("SELECT status, finished_at IS NOT NULL FROM onec.sync_run WHERE status <> 'skipped (busy)' ORDER BY run_id DESC LIMIT 1"), 'interrupted|t',
		'the account tells');
	is(sql("SELECT count(*) FROM onec.sync_step WHERE status IN ('running', 'waiting')"), '0', 'no step is left open');

	sql("CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA onec, onec_internal, shop TO worker; GRANT USAGE ON FOREIGN SERVER shop TO worker;
		 GRANT ALL ON ALL TABLES IN SCHEMA onec, onec_internal, shop TO worker; GRANT ALL ON ALL ROUTINES IN SCHEMA onec, onec_internal TO worker;
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

	# a session that goes on with something else, for as long as another one holds the lock
	my $holder = OnecTest->background($node, 'SELECT pg_advisory_lock(5), pg_sleep(600)');
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5 AND granted") eq '1' }, 'the lock');
	$run = begin_slow("\\set ON_ERROR_STOP 0\nCALL onec.sync('shop', full_reload => true);\nSELECT 'slept' FROM pg_advisory_lock(5)");
	$run->cancel;
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT ''slept''%' AND state = 'active'") eq '1' }, 'the next statement');
	is(sql("SELECT onec.cancel(server => 'shop')"), 't', 'a run whose session does something else is closed');
	$holder->cancel;
	$holder->wait;
	my $rest = $run->wait;
	is("$rest->{stdout}, $rest->{sqlstate}", 'slept, 57014', 'and that goes on');
	set_delay(0);

	# the number of the process went to another one
	my $innocent = OnecTest->background($node, 'SELECT pg_sleep(600)');
	my $pid = $innocent->pid;
	sql("INSERT INTO onec.sync_run (server, started_at, status, pid, backend_start)
		 SELECT 'shop', now(), 'running', $pid, backend_start - interval '1 hour' FROM pg_stat_activity WHERE pid = $pid");
	is(sql("SELECT onec.cancel(server => 'shop')"), 't', 'a run whose process is gone is closed');
	is(sql("SELECT state FROM pg_stat_activity WHERE pid = $pid"), 'active', 'and the process that has its number is left alone');
	$innocent->cancel;
	$innocent->wait;
}

# ---- pg_cron ----
# Let pg_cron run jobs once or more, until a condition holds: as it starts, or every minute where there is time for that.
sub let_run
{
	my ($condition, @jobs) = @_;
	my $list = join ', ', map { "'$_'" } @jobs;

	sql("SELECT cron.alter_job(jobid, schedule => '" . ($ENV{TEST_FULL} ? '* * * * *' : '@reboot') . "') FROM cron.job WHERE jobname IN ($list)");
	$node->restart unless $ENV{TEST_FULL};
	my $good = OnecTest->wait_for($condition, "jobs of pg_cron", 100);
	sql("SELECT cron.alter_job(jobid, schedule => '0 0 1 1 *') FROM cron.job WHERE jobname IN ($list)");
	diag(sql('SELECT command, database, status, return_message FROM cron.job_run_details WHERE start_time > now() - interval \'5 minutes\''))
	  unless $good;
	return $good;
}

# Runs of a day count that went well, after a moment.
sub good_runs
{
	my ($days, $since, %options) = @_;

	return sql("SELECT count(*) FROM onec.sync_run WHERE status = 'ok' AND days = $days AND started_at > '$since'", %options);
}

sub restart
{
	my ($conf) = @_;

	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	return;
}

sub status
{
	my ($columns, $server, $job) = @_;

	return sql("SELECT $columns FROM onec.schedule_status WHERE server = '$server' AND job = '$job'");
}

sub check_status
{
	is(sql("SELECT count(*), count(DISTINCT job) FROM onec.schedule('shop')"), '4|4', 'four jobs');
	sql("SELECT FROM onec.schedule('shop'); SELECT FROM onec.schedule('berlin')");
	is(sql("SELECT count(*), count(DISTINCT jobname) FROM cron.job"), '8|8', 'scheduled twice they are still four of a server');
	for (['shop', 'Europe/Moscow'], ['berlin', 'Europe/Berlin'])
	{
		my ($server, $zone) = @$_;
		my ($minute, $hour) = split / /, gmt_of($zone, 3, 0, time);
		is(status("cron, active, to_char(next_run_gmt, 'HH24:MI'), to_char(next_run_local, 'HH24:MI'), next_run_gmt > now() AT TIME ZONE 'GMT',
				next_run_gmt <= now() AT TIME ZONE 'GMT' + interval '1 day', stale, hint IS NULL", $server, 'nightly'),
			"$minute $hour * * *|t|" . sprintf('%02d:%02d', $hour, $minute) . '|03:00|t|t|f|t', "$server: the night of the shop");
	}
	is(status('extract(dow FROM next_run_gmt)', 'shop', 'weekly'), '0', 'a week ends on Sunday');

	sql("SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'onec:shop:weekly'");
	like(status("next_run_gmt IS NULL, hint", 'shop', 'weekly'), qr/^t\|switched off/, 'a job that is off has no next run');
	sql("SELECT cron.alter_job(jobid, active => true) FROM cron.job WHERE jobname = 'onec:shop:weekly'");

	# seven hours do not divide a day: each hour the job looks; the last run was just now
	sql("SELECT onec.set('sync.interval_hours', '7', 'shop')");
	is(status('cron, stale', 'shop', 'interval'), '0 */4 * * *|t', 'after a change of the setting the job is stale');
	like(status('hint', 'shop', 'interval'), qr/SELECT onec\.schedule\('shop'\)/, 'and the hint says what to do');
	sql("SELECT FROM onec.schedule('shop')");
	is(status('cron, stale', 'shop', 'interval'), '0 * * * *|f', 'scheduled again it is not');
	my $last = sql("SELECT extract(epoch FROM max(started_at))::bigint FROM onec.sync_run WHERE server = 'shop' AND status IN ('ok', 'partial')");
	my $due = $last + 7 * 3600 - 600;
	$due += 3600 - $due % 3600;
	is(status('extract(epoch FROM next_run_gmt AT TIME ZONE \'GMT\')::bigint', 'shop', 'interval'), $due, 'its next run is the first hour at which it is due');
	sql("SELECT onec.set('sync.interval_hours', NULL, 'shop')");
	sql("SELECT FROM onec.schedule('shop')");
	return;
}

# pg_cron from 1.5 on may have another clock than GMT.
sub check_zone
{
	my $definition = sql("SELECT pg_get_functiondef('onec_internal.cron_zone()'::regprocedure)");

	sql("CREATE OR REPLACE FUNCTION onec_internal.cron_zone() RETURNS text LANGUAGE sql STABLE RETURN 'Asia/Tokyo'");
	# Tokyo knows no summer time
	my ($minute, $hour) = split / /, gmt_of('Europe/Berlin', 3, 0, time);
	$hour = ($hour + 9) % 24;
	sql("SELECT FROM onec.schedule('berlin')");
	is(status("cron, to_char(next_run_local, 'HH24:MI')", 'berlin', 'nightly'), "$minute $hour * * *|03:00", 'a clock of pg_cron other than GMT');
	sql($definition);
	is(status('stale', 'berlin', 'nightly'), 't', 'another clock makes the job stale');
	sql("SELECT FROM onec.schedule('berlin')");
	return;
}

sub check_clocks
{
	my $now = gmt_of('Europe/Berlin', 3, 0, time);
	# the middle of January and of July
	my ($other) = grep { $_ ne $now } map { gmt_of('Europe/Berlin', 3, 0, $_) } 1_768_435_200, 1_784_073_600;

	sql("SELECT cron.alter_job(jobid, schedule => '$other * * ' || CASE WHEN jobname LIKE '%weekly' THEN '0' ELSE '*' END)
		 FROM cron.job WHERE jobname IN ('onec:berlin:nightly', 'onec:berlin:weekly')");
	sql("SELECT cron.alter_job(jobid, schedule => '7 7 * * *') FROM cron.job WHERE jobname = 'onec:berlin:housekeeping'");
	is(status('stale', 'berlin', 'nightly') . status('stale', 'berlin', 'weekly'), 'tt', 'after a change of the clocks the jobs are stale');
	sql("INSERT INTO onec.sync_run (server, started_at, status, pid) VALUES ('berlin', now() - interval '300 days', 'skipped (busy)', 1),
		 ('berlin', now() - interval '299 days', 'ok', 1), ('berlin', now() - interval '298 days', 'skipped (busy)', 1)");
	sql("CALL onec.run_now('housekeeping', 'berlin')");
	is(status('cron', 'berlin', 'nightly') . ', ' . status('cron', 'berlin', 'weekly'), "$now * * *, $now * * 0", 'housekeeping moves them');
	is(status('cron, stale', 'berlin', 'housekeeping'), '7 7 * * *|t', 'a time that somebody chose stays');
	is(sql("SELECT string_agg(status, ', ' ORDER BY run_id) FROM onec.sync_run WHERE server = 'berlin'"), 'ok, skipped (busy)',
		'the newest run that did something is kept, however old');
	return;
}

# Old entries, each with what should become of it.
sub plant_old
{
	sql("INSERT INTO cron.job_run_details (jobid, database, username, command, status, return_message, start_time, end_time)
		 SELECT 1, d, current_user, c, 'planted', m, now() - make_interval(days => days), now() - make_interval(days => days)
		 FROM (VALUES ('stays: not ours', 'postgres', 'SELECT 1', 400), ('goes: has no time', 'postgres', 'CALL onec.run_job(''nightly'', ''shop'')', NULL),
					  ('goes', 'postgres', 'CALL onec.run_job(''nightly'', ''shop'')', 31), ('stays: young', 'postgres', 'CALL onec.run_job(''shop'', ''nightly'')', 29),
					  ('stays: another server', 'postgres', 'CALL onec.run_job(''nightly'', ''berlin'')', 400),
					  ('stays here: another database', 'branch', 'CALL onec.run_job(''nightly'', ''shop'')', 400),
					  ('stays: other branch', 'branch', 'CALL onec.run_job(''nightly'', ''shop 2'')', 400),
					  ('stays: newer without time', 'postgres', 'CALL onec.run_job(''nightly'', ''shop'')', NULL)) v (m, d, c, days)");
	sql("INSERT INTO onec.drift (server, month, found_at, repaired_at)
		 SELECT 'shop', m, now() - interval '400 days', now() - make_interval(days => days)
		 FROM (VALUES ('2001-01-01'::date, 181), ('2001-02-01', 179), ('2001-03-01', NULL)) v (m, days)");
	# runs that there were are made old, every other one too young to go
	sql("UPDATE onec.sync_run SET started_at = now() - make_interval(days => CASE WHEN run_id % 2 = 0 THEN 181 ELSE 179 END) WHERE server = 'shop'");
	return;
}

sub check_old
{
	is(sql("SELECT string_agg(return_message, ', ' ORDER BY return_message) FROM cron.job_run_details WHERE status = 'planted'"),
		'stays here: another database, stays: another server, stays: newer without time, stays: not ours, stays: other branch, stays: young', 'old entries of our jobs go, and no others');
	# the line for the history of another database, run here as pg_cron would
	sql(sql("SELECT command FROM cron.job WHERE jobname = 'onec:branch.shop:history'"));
	is(sql("SELECT string_agg(return_message, ', ' ORDER BY return_message) FROM cron.job_run_details WHERE status = 'planted'"),
		'stays: another server, stays: newer without time, stays: not ours, stays: other branch, stays: young', 'and those of another database by the line of the hint');
	is(sql("SELECT string_agg(month::text, ' ' ORDER BY month) FROM onec.drift WHERE month < '2002-01-01'"), '2001-02-01 2001-03-01',
		'months repaired long ago go');
	# the newest that had done something when the housekeeping ran stays however old it is
	is(sql("SELECT count(*) FILTER (WHERE started_at < now() - interval '180 days') <= 1, count(*) > 1 FROM onec.sync_run WHERE server = 'shop'"), 't|t', 'old runs go');
	is(sql("SELECT count(*) FROM onec.sync_step s WHERE NOT EXISTS (SELECT FROM onec.sync_run r WHERE r.run_id = s.run_id)"), '0', 'with their steps');
	return;
}

# A database without pg_cron in a cluster that has it elsewhere.
sub schedule_branch
{
	sql('CREATE DATABASE branch');
	sql('CREATE EXTENSION onec_fdw', database => 'branch');
	OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1'", database => 'branch');
	sql("SELECT FROM onec.setup('shop')", database => 'branch');
	my $r = OnecTest->try($node, "SELECT onec.schedule('shop')", database => 'branch');
	is($r->{sqlstate}, '0A000', 'in another database than that of pg_cron');
	like($r->{stderr}, qr/Run in database "postgres"/, 'the hint says where to go');
	my @lines = $r->{stderr} =~ /^(SELECT cron\.schedule_in_database\(.*\);)$/mg;
	is(scalar @lines, 4, 'and what to run there');
	my ($clean) = $r->{stderr} =~ /^(SELECT cron\.schedule\('onec:branch\.shop:history'.*\);)$/m;
	my $before = sql('SELECT count(*) FROM cron.job');
	sql(join "\n", @lines, $clean);
	is(sql("SELECT count(*) FILTER (WHERE database = 'branch'), count(*) - $before FROM cron.job"), '4|5', 'jobs of another database beside those of this one');
	is(sql("SELECT count(*), count(cron) FROM onec.schedule_status WHERE hint LIKE '%another database%'", database => 'branch'), '4|0', 'the status there says so, too');
	return;
}

sub check_both
{
	my ($name) = @_;

	# two jobs of one server in one minute, and then the one that works is cancelled
	my $since = sql('SELECT clock_timestamp()');
	set_delay(500);
	ok(let_run(sub { sql("SELECT count(*) FROM onec.sync_run WHERE started_at > '$since' AND status IN ('skipped (busy)', 'running')") eq '2' },
			'onec:shop:interval', 'onec:shop:nightly'), "$name: two jobs begin");
	is(sql("SELECT string_agg(status, ', ' ORDER BY status), max(finished_at - started_at) < interval '3 s' FROM onec.sync_run WHERE started_at > '$since'"),
		'running, skipped (busy)|t', 'one is skipped at once');
	is(sql("SELECT onec.cancel(server => 'shop')"), 't', 'the other can be cancelled');
	ok(OnecTest->wait_for(sub { sql("SELECT string_agg(status, ', ' ORDER BY status) FROM cron.job_run_details WHERE start_time > '$since'") eq 'failed, succeeded' },
			'the end of both'), 'pg_cron knows how they ended');
	is(sql("SELECT count(*) FROM onec.sync_run WHERE status = 'interrupted' AND started_at > '$since'"), '1', 'and so does the account');
	set_delay(0);
	sql("CALL onec.run_now('interval', 'shop')");
	equal('the next run converges');
	return;
}

SKIP:
{
	skip 'pg_cron is not installed', 1 unless OnecTest->have_cron;
	restart("shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\ncron.timezone = 'GMT'\ncron.host = '" . $node->host . "'\n");
	like(OnecTest->try($node, "SELECT onec.schedule('shop')")->{stderr}, qr/HINT:  Run CREATE EXTENSION pg_cron/, 'loaded, but not created');
	sql('CREATE EXTENSION pg_cron');
	like(status('hint', 'shop', 'nightly'), qr/not scheduled/, 'created, but not scheduled');
	check_status();
	check_zone();
	check_clocks();
	is(sql("SELECT onec.unschedule('berlin')"), '4', 'the jobs of one server can be taken away');
	schedule_branch();
	plant_old();

	# no job is to give way to the night of the shop that comes by just now
	for my $database ('postgres', 'branch')
	{
		sql("SELECT onec.set('nightly.hour', (extract(hour FROM onec.local_now('shop') + interval '12 hours'))::text)", database => $database);
	}
	# a mirror goes with the jobs, too
	OnecTest->rows($node, q{CREATE SCHEMA mirrored; SELECT onec.mirror('shop', 'Catalog_Номенклатура', 'none', 'mirrored', 'goods')});
	my $mirrored = sub {
		my ($what, $since) = @_;
		my $name = $onec->control('POST', '/edit', { op => 'rename_product', product => sql('SELECT product_id FROM onec.product WHERE NOT is_folder ORDER BY 1 LIMIT 1'), name => "Имя $what" });
		return sub { is(OnecTest->rows($node, "SELECT description, (SELECT status || (last_ok > '$since') FROM onec.mirrors) FROM mirrored.goods WHERE ref_key = '$name->{product}'"), "Имя $what|oktrue", "… and what is mirrored: $what"); };
	};
	my $since = sql('SELECT clock_timestamp()');
	my $comes = $mirrored->('by connections', $since);
	ok(let_run(sub { good_runs(3, $since) > 0 && good_runs(3, $since, database => 'branch') > 0
				&& sql("SELECT count(*) FROM cron.job_run_details WHERE command LIKE '%housekeeping%' AND status = 'succeeded'") > 0 },
			'onec:shop:interval', 'onec:shop:housekeeping', 'onec:branch.shop:interval'),
		'by connections: pg_cron runs the sync here and in another database, and the housekeeping');
	$comes->();
	check_old();
	is(status("last_status, last_start > '$since'", 'shop', 'interval'), 'succeeded|t', 'the status tells of the last run');
	equal('what pg_cron has read', database => 'branch');
	check_both('by connections') if $ENV{TEST_FULL};

	restart("cron.use_background_workers = on\n");
	$since = sql('SELECT clock_timestamp()');
	$comes = $mirrored->('by workers', $since);
	ok(let_run(sub { good_runs(30, $since) > 0 && good_runs(30, $since, database => 'branch') > 0
				&& sql("SELECT count(*) FROM cron.job_run_details WHERE command LIKE '%housekeeping%' AND status = 'succeeded' AND start_time > '$since'") > 0 },
			'onec:shop:nightly', 'onec:shop:housekeeping', 'onec:branch.shop:nightly'),
		'by background workers: pg_cron runs the nightly sync here and in another database, and the housekeeping');
	$comes->();
	is(sql("SELECT string_agg(DISTINCT status, ', ') FROM cron.job_run_details WHERE start_time > '$since'"), 'succeeded', 'and is content');
	check_both('by background workers') if $ENV{TEST_FULL};

	is(sql("SELECT onec.unschedule('shop')"), '4', 'the jobs can be taken away');
	my $r = OnecTest->try($node, "SELECT onec.unschedule('shop')", database => 'branch');
	sql(join "\n", $r->{stderr} =~ /^(SELECT cron\.unschedule\(.*;)$/mg);
	is(sql('SELECT count(*) FROM cron.job'), '0', 'those of another database by the lines of the hint');
}

# what is off, or not due, runs when a person says so
sql("SELECT onec.set('sync.enabled', 'false', 'shop'); SELECT onec.set('sync.interval_hours', '100', 'shop')");
{
	my $before = sql("SELECT max(run_id) FROM onec.sync_run");
	sql("CALL onec.run_job('interval', 'shop')");
	is(sql("SELECT max(run_id) FROM onec.sync_run"), $before, 'a job that is off does nothing');
	sql("CALL onec.run_now('interval', 'shop')");
	is(sql("SELECT status, days FROM onec.sync_run WHERE run_id > $before"), 'ok|3', 'unless it is told to run now');
	is(OnecTest->try($node, "CALL onec.run_now('hourly', 'shop')")->{sqlstate}, '22023', 'an unknown job is an error');
}

$node->stop;
done_testing();
