# Runs that meet, whatever the settings of their sessions are; what clients are shown of times without an end; what a base renames.
# Cases are named as in the list of faults.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 12, '--seed', 3);
my $node = OnecTest->writable(OnecTest->node('meet'));

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");

sub rows { return OnecTest->rows($node, $_[0]); }

# Statements and the one value that the last of them prints.
sub shows
{
	my ($statements, $expected, $id) = @_;

	is(rows($statements), $expected, $id);
	return;
}

# 1C thinks so many milliseconds about each answer from now on.
sub slow { return $onec->control('POST', '/modes', { page_delay => $_[0] }); }

# A run that is at work, behind settings of its session.
sub begin
{
	my ($settings, $call) = @_;
	my $before = rows('SELECT coalesce(max(run_id), 0) FROM onec.sync_run');
	my $run = OnecTest->background($node, "$settings;\n$call");

	ok(OnecTest->wait_for(sub { rows("SELECT count(*) FROM onec.sync_run WHERE status = 'running' AND run_id > $before") eq '1' }, 'the run'), "a run: $settings");
	return $run;
}

rows("SELECT FROM onec.setup('shop'); CALL onec.sync('shop', full_reload => true)");

# ---- times without an end ----
OnecTest->part(infinity => sub {
	rows("SELECT onec.set('sync.purchase_days', '3', 'shop'); SELECT onec.refresh_models('shop')");
	my $columns = "SELECT c.oid::regclass AS tab, a.attname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace IN ('onec'::regnamespace, 'shop'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		  AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attname ~ '_arg\$')
		  AND format_type(a.atttypid, NULL) ~ '^(timestamp|date|ts|daterange|datemulti)'";

	cmp_ok(rows("SELECT count(*) FROM ($columns) x"), '>', 60, 'L16: columns of times that clients may select');
	rows("INSERT INTO onec_internal.sync_doubt (server, target, kind, from_ts, till_ts, found, reason) SELECT 'shop', 'product', 'unproven', onec_internal.first_moment(), onec_internal.last_moment(), 1, 'test'");
	shows("WITH x AS MATERIALIZED ($columns) SELECT string_agg(format('%s.%s', x.tab, x.name), ', ') FROM x
		WHERE (xpath('//n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s t WHERE t.%I::text ~ ''infinity|BC|(^|\\W)[0-9]{5,}-''', x.tab, x.name), true, true, '')))[1]::text <> '0'",
		'', "L16: none of them is infinite, or beyond what a client's calendar has");
	shows("SELECT complete_from FROM onec.sync_state WHERE target = 'sale_line'", '0001-01-01 00:00:00', 'L16: what is complete from the beginning is so from a day');
	rows('DELETE FROM onec_internal.sync_doubt');
});

# ---- runs that meet ----
OnecTest->part(meeting => sub {
	rows("ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'; ALTER DATABASE postgres SET track_activities = off");
	for my $isolation ('repeatable read', 'serializable')
	{
		slow(150);
		my $run = begin("SET default_transaction_isolation = '$isolation'", "CALL onec.sync('shop')");
		my $second = OnecTest->try($node, "SET default_transaction_isolation = '$isolation'; CALL onec.sync('shop')");
		like($second->{stderr}, qr/skipped \(busy\)/, "L12, L8: the second of two runs under $isolation");
		slow(0);
		is($run->wait->{sqlstate}, '00000', 'L12: the first goes on');
		shows("SELECT string_agg(status, ', ' ORDER BY run_id) FROM (SELECT * FROM onec.sync_run ORDER BY run_id DESC LIMIT 2) r", 'ok, skipped (busy)', 'L8: and each has its own account');
	}
	# a session that changed a row meanwhile: no window of the run may fail for having begun before
	rows("UPDATE onec.product SET name = 'old'");
	slow(100);
	my $run = begin('SELECT 1', "CALL onec.sync('shop', steps => '{cards,products}')");
	rows("UPDATE onec.product SET name = name || '!'");
	slow(0);
	$run->wait;
	shows("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1", 'ok', 'L12: what others commit in the midst of a run does not stop it');
	shows("SELECT count(*) FROM onec.product WHERE name ~ '^old|!\$'", 0, 'L12: and 1C has the last word');

	slow(100);
	$run = begin('SELECT 1', "CALL onec.sync('shop', full_reload => true)");
	shows("SELECT onec.cancel(server => 'shop')", 't', 'L8: a run is cancelled though nothing is shown of activities');
	is($run->wait->{sqlstate}, '57014', 'L8: and ends so');
	slow(0);
	# a pooled connection: the session is at its next statement, or idle in somebody's transaction
	$run = begin('SELECT 1', "\\set ON_ERROR_STOP 0\nCALL onec.sync('shop', days => 'x');\nBEGIN;\nINSERT INTO onec.sync_run (server, started_at, status, pid) SELECT 'shop', now(), 'running', pg_backend_pid();\nCOMMIT;\nSELECT 'slept', pg_sleep(3)");
	shows("SELECT onec.cancel(server => 'shop')", 't', 'L8: a run whose session works for somebody else is closed');
	like($run->wait->{stdout}, qr/slept/, 'L8: and that goes on');
	shows("CALL onec.sync('shop'); SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1", 'ok', 'L8: the next run is whole');
	rows("ALTER DATABASE postgres RESET ALL");
});

# ---- a larger job that was hindered ----
OnecTest->part(due => sub {
	my $last = "SELECT job || ' ' || status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1";

	# an account of a run that ended so
	my $ran = sub {
		my ($job, $size, $status, $more) = @_;
		my ($columns, $values) = $more ? (", $more->[0]", ", $more->[1]") : ('', '');

		rows("INSERT INTO onec.sync_run (server, started_at, finished_at, status, pid, job, size$columns) SELECT 'shop', now(), now(), '$status', 1, '$job', $size$values");
		return;
	};
	my $due = "SELECT onec_internal.due_job('shop', 'interval')";

	for my $how ([ 'skipped (busy)' ], [ 'interrupted', [ 'message', "'the process ended before the run'" ] ], [ 'partial', [ 'ended_at', 8 ] ])
	{
		$ran->('weekly', 4, @$how);
		shows($due, 'weekly', "a weekly run that is owed ($how->[0]) is done by the next job");
		$ran->('interval', 2, 'ok');
		shows($due, 'weekly', 'a smaller run is not it');
		$ran->('weekly', 4, 'ok');
		shows($due, 'interval', 'once');
	}
	$ran->('nightly', 3, 'skipped (busy)');
	shows("CALL onec.run_job('interval', 'shop'); $last", 'nightly ok', 'the next job does what is owed');
	shows($due, 'interval', 'and no more');
	$ran->('nightly', 3, 'skipped (busy)');
	shows("SELECT onec.set('nightly.enabled', 'false', 'shop'); $due", "\ninterval", 'one that is switched off is not owed');
	shows("SELECT onec.set('nightly.enabled', NULL, 'shop'); $due", "\nnightly", 'one that is on is');
	$ran->('weekly', 4, 'incomplete');
	shows($due, 'interval', 'a larger run has done its work');
	$ran->('weekly', 4, 'interrupted', [ 'message', "'cancelled by me'" ]);
	shows($due, 'interval', 'what somebody has cancelled is not begun again');
});

# ---- what a base renames (L11) ----
OnecTest->part(renamed => sub {
	my $tastes = "SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT p.customer_id || p.favorite_categories::text || p.favorite_stores::text FROM onec.customer_profile p
		UNION ALL SELECT a.customer_id || a.kind || a.value_id || a.title FROM onec.customer_affinity a) t (x)";

	rows("CALL onec.sync('shop')");
	my $true = rows($tastes);
	for my $case ([ category => "name = 'Прочее ' || code" ], [ store => "name = 'Лавка ' || code" ])
	{
		rows("UPDATE onec.$case->[0] SET $case->[1]; SELECT onec.refresh_profiles('shop')");
		isnt(rows($tastes), $true, "L11: each $case->[0] had another name");
		shows("CALL onec.sync('shop', days => 3); $tastes", $true, "L11: a $case->[0] that is renamed in 1C is so in what customers like, by the next run");
	}
	shows("DELETE FROM onec_internal.touched_customer; BEGIN; CREATE TEMP TABLE onec_change AS SELECT NULL::tid AS place, true AS here, f.server, f.product_id FROM onec.product f WHERE f.is_folder;
		SELECT onec_internal.touch_buyers_of_products('shop', '{buyers}'); SELECT count(*) > 3 FROM onec_internal.touched_customer; ROLLBACK", "\nt", 'L11: so is a folder');

	rows("ALTER FOREIGN TABLE shop.product ALTER COLUMN article OPTIONS (SET property 'АртикулПрежний'); CALL onec.sync('shop')");
	shows("SELECT status || ' ' || error_code || ' ' || (message ~ 'onec.setup\\(''shop''\\)') FROM onec.sync_status WHERE target = 'product'", 'failed HV005 true',
		'L11: a property that has another name in 1C is an error that tells what helps');
	shows("SELECT changes FROM onec.setup('shop') WHERE target = 'product'", '{"article: Артикул in place of АртикулПрежний"}', 'L11: onec.setup finds it');
	shows("CALL onec.sync('shop'); SELECT status FROM onec.sync_status WHERE target = 'product'", 'ok', 'L11: and all is well');
});

# ---- a dry run ----
OnecTest->part(dry => sub {
	my $store = "SELECT md5(string_agg(l::text, ',' ORDER BY l::text)) || (SELECT md5(string_agg(p::text, ',' ORDER BY p::text)) FROM onec.product p)
		|| (SELECT md5(string_agg(p::text, ',' ORDER BY p::text)) FROM onec.customer_profile p) || (SELECT max(run_id) FROM onec.sync_run)
		|| (SELECT string_agg(s::text, ',' ORDER BY s::text) FROM onec.sync_state s) || (SELECT count(*) FROM onec_internal.sync_doubt) FROM onec.sale_line l";
	my $lines = sub { return join "\n", map { s/ in [0-9.]+ s.*//r } grep { /read, / } split /\n/, $_[0]->{stderr}; };

	rows("DELETE FROM onec.sale_line WHERE line_no = 1 AND recorder IN (SELECT recorder FROM onec.sale_line WHERE line_no = 1 ORDER BY recorder LIMIT 5);
		INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, quantity, amount, attribution)
		SELECT server, register, recorder, recorder_type, 99, period, active, quantity, amount, attribution FROM onec.sale_line WHERE line_no = 2 ORDER BY recorder LIMIT 3;
		UPDATE onec.product SET name = 'x' WHERE code LIKE '%3'");
	my $before = rows($store);
	my $dry = OnecTest->try_text($node, "CALL onec.sync('shop', days => 2000, deep => true, dry_run => true)");
	like($dry->{stderr}, qr/sale_line: \d+ read, 5 inserted, 0 updated, 3 deleted.*NOTICE:[^\n]*dry run: nothing of this is kept/s, 'a dry run of a deep sync tells what would be deleted');
	shows($store, $before, 'and keeps nothing');
	my $run = OnecTest->try_text($node, "CALL onec.sync('shop', days => 2000, deep => true)");
	is($lines->($dry), $lines->($run), 'the run does what it has told');
	rows("CALL onec.sync('shop')");
});

# ---- who listens on onec_changed hears of each step ----

rows('CREATE ROLE passer_by LOGIN');
my $holder = OnecTest->background($node, 'SELECT pg_advisory_lock(1); SELECT pg_sleep(600)', name => 'holder');
OnecTest->wait_for(sub { rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = 1") eq '1' }, 'the lock');
my $listener = OnecTest->background($node, "LISTEN onec_changed;\nSELECT pg_advisory_lock(1);\nSELECT 'woken'", user => 'passer_by');
my $own = rows("LISTEN onec_changed; CALL onec.sync('shop', days => 3); SELECT 1");
my %steps = map { $_ => 1 } split /\n/, rows("SELECT target FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run)");
my @told = $own =~ /"onec_changed" with payload "(\{.*?\})"/g;
is(join(' ', sort map { /"target" : "(\w+)"/ } @told), join(' ', sort keys %steps), 'a notice for each step of the run');
is(scalar(grep { /"server" : "shop", .*"run_id" : \d+, "changed" : \d+/ } @told), scalar @told, '… with server, run and how many rows have changed');
$holder->cancel;
$holder->wait;
is(() = $listener->wait->{stdout} =~ /"onec_changed" with payload/g, scalar @told, '… whichever role listens');

$node->stop;
done_testing();
