# The sync: sums equal to the demo 1C's own, a second run that writes nothing, interruptions, two runs at once, and a
# published purchase log all the way to profiles.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;
use Time::HiRes ();

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $customers = $ENV{TEST_FULL} ? 5000 : 300;
my $onec = OnecTest->onec('--customers', $customers, '--seed', 1);
my $node = OnecTest->writable(OnecTest->node('sync'));

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1'");

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

# Two tables of "key|rows|sum" compared line by line, differences shown.
sub same_sums
{
	my ($got, $want, $name) = @_;
	my %got = map { (split /\|/, $_, 2)[0] => $_ } split /\n/, $got;
	my @wrong = grep { ($got{$_} // '') ne "$_|$want->{$_}{rows}|$want->{$_}{sum}" } sort keys %$want;

	ok(!@wrong && keys %got == keys %$want, $name);
	diag("1C: $_|$want->{$_}{rows}|$want->{$_}{sum}   here: " . ($got{$_} // 'nothing')) for @wrong[0 .. ($#wrong > 4 ? 4 : $#wrong)];
	diag(scalar(keys %got) . ' keys here, ' . scalar(keys %$want) . ' in 1C') if keys %got != keys %$want;
	return;
}

my $counted = "server = 'shop' AND active AND recorder_type <> 'Document_ВводНачальныхОстатков'";

sub sums_equal
{
	my ($when) = @_;
	my $truth = $onec->control('GET', '/truth')->{sales};

	is(sql("SELECT count(*), count(*) FILTER (WHERE active), (sum(amount) FILTER (WHERE active))::numeric(20,2)
			FROM onec.sale_line WHERE server = 'shop'"),
		"$truth->{all_rows}|$truth->{active_rows}|$truth->{sum}", "$when: all rows and the sum");
	my $counted_truth = $truth->{counted};
	same_sums(sql("SELECT to_char(period, 'YYYY-MM'), count(*), sum(amount)::numeric(20,2) FROM onec.sale_line WHERE $counted GROUP BY 1"),
		$counted_truth->{by_month}, "$when: sums per month");
	same_sums(sql("SELECT customer_id, count(*), sum(amount)::numeric(20,2) FROM onec.sale_line
			WHERE $counted AND attribution = 'counterparty' GROUP BY 1"),
		{ map { $_ => $counted_truth->{by_customer}{$_} } grep { $_ ne '' } keys %{ $counted_truth->{by_customer} } }, "$when: sums per customer");
	same_sums(sql("SELECT store_id, count(*), sum(amount)::numeric(20,2) FROM onec.sale_line WHERE $counted GROUP BY 1"),
		$counted_truth->{by_store}, "$when: sums per store");
	return;
}

# ---- setup ----
my $r = OnecTest->try($node, "CALL onec.sync('shop')");
is($r->{sqlstate}, '42P01', 'without setup the sync says so');
like($r->{stderr}, qr/onec\.setup/, 'and what to do');
is(sql("SELECT count(*) FROM onec.setup('shop') WHERE status = 'created'"), '25', 'setup makes all tables');
is(sql("SELECT count(*) FROM onec.setup('shop') WHERE status = 'kept'"), '25', 'and keeps them when repeated');

# ---- the first sync ----
$r = OnecTest->try($node, "CALL onec.sync('shop', days => 900)");
is($r->{sqlstate}, '00000', 'the first sync works') or diag($r->{stderr});
is(sql("SELECT status, message FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok|', 'and its account is clean');
is(sql("SELECT string_agg(target || ' ' || status, ', ' ORDER BY target) FROM onec.sync_status WHERE status <> 'ok'"), '',
	'every step is ok');
sums_equal('first sync');

my $truth = $onec->control('GET', '/truth');
is(sql("SELECT count(*) FROM onec.discount_card"), $truth->{cards}, 'cards');

# ---- nothing changed: nothing is written ----
my $marks = "SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (SELECT xmin || ':' || ctid::text || 's' AS t FROM onec.sale_line
	UNION ALL SELECT xmin || ':' || ctid::text || 'c' FROM onec.discount_card
	UNION ALL SELECT xmin || ':' || ctid::text || 'u' FROM onec.site_user
	UNION ALL SELECT xmin || ':' || ctid::text || 'p' FROM onec.customer_profile) x";
my $before = sql($marks);
for my $how ('days => 30', 'full_reload => true')
{
	sql("CALL onec.sync('shop', $how)");
	is(sql("SELECT sum(rows_inserted + rows_updated + rows_deleted) FROM onec.sync_status WHERE server = 'shop'"), '0',
		"a second sync ($how) reports no change");
	is(sql($marks), $before, 'and has written no row');
}

# ---- profiles ----
is(sql("SELECT total_revenue::numeric(15,2), receipts, average_check::numeric(15,2), purchase_frequency FROM onec.customer_360
		WHERE phone = '70000000002'"), '21267.00|5|4253.40|monthly', "the document's example");
is(sql("SELECT onec.profile_json('70000000002')->'statistics'->>'average_check'"), '4253.40', 'and its JSON');
is(sql("SELECT count(*) FROM onec.customer_profile p WHERE total_revenue <> (SELECT sum(amount) FROM onec.sale_line l
		WHERE l.server = p.server AND l.customer_id = p.customer_id AND $counted)"), '0', 'revenue of profiles is the sum of their lines');

# ---- a sync stopped in its middle loses nothing, and the next one completes ----
sql('TRUNCATE onec_internal.sale_line, onec_internal.card_sale_line, onec.sync_state');
$onec->control('POST', '/modes', { page_delay => 100 });
my $run = OnecTest->background($node, "CALL onec.sync('shop', days => 900, steps => '{purchases}')");
ok(OnecTest->wait_for(sub { sql('SELECT count(*) FROM onec.card_sale_line') > 0 }, 'the first window', 60), 'windows are committed one by one');
$onec->stop('KILL');
my $done = $run->wait;
is($done->{sqlstate}, '00000', '1C stops: the run ends with an account instead of an error');
is(sql("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1") =~ /^(failed|partial)$/ ? 1 : 0, 1, 'which tells of the failure');
like(sql("SELECT string_agg(DISTINCT error_code, ',') FROM onec.sync_status WHERE status = 'failed'"), qr/^(08|HV)/, 'with its SQLSTATE');
my $kept = sql('SELECT count(*) FROM onec.card_sale_line');
cmp_ok($kept, '>', 0, 'what was committed stays');
$onec->start;
sql("CALL onec.sync('shop', days => 900)");
sums_equal('after the interruption');

# ---- Ctrl-C, and two runs at once ----
$onec->control('POST', '/modes', { page_delay => 300 });
$run = OnecTest->background($node, "CALL onec.sync('shop', full_reload => true)");
ok(OnecTest->wait_for(sub { sql("SELECT count(*) FROM onec.sync_progress") > 0 }, 'progress', 30), 'progress is seen from outside');
sql("CALL onec.sync('shop')");
is(sql("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'skipped (busy)', 'the second run ends at once');
my $cancelled = Time::HiRes::time();
$run->cancel;
$done = $run->wait;
is($done->{sqlstate}, '57014', 'a run can be cancelled');
OnecTest->soon(Time::HiRes::time() - $cancelled, 2, 'within two seconds');
$onec->control('POST', '/modes', { page_delay => 0 });
sql("CALL onec.sync('shop', days => 900)");
is(sql("SELECT string_agg(status, ',' ORDER BY run_id DESC) FROM (SELECT * FROM onec.sync_run ORDER BY run_id DESC LIMIT 3) x"),
	'ok,skipped (busy),interrupted', 'the lost run is closed, the next one completes');
sums_equal('after the cancel');

# ---- where it cannot commit it says so before any request ----
$onec->control('POST', '/log/clear', {});
$r = OnecTest->try($node, "BEGIN; SELECT 1; CALL onec.sync('shop'); COMMIT");
is($r->{sqlstate}, '2D000', 'inside a transaction block it refuses');
$r = OnecTest->try($node, "DO \$\$ BEGIN CALL onec.sync('shop'); EXCEPTION WHEN division_by_zero THEN NULL; END \$\$");
is($r->{sqlstate}, '2D000', 'inside a block with an exception handler, too');
$r = OnecTest->try($node, "CALL onec.sync('shop', steps => '{purchase}')");
is($r->{sqlstate}, '22023', 'an unknown step is refused');
is(scalar @{ $onec->control('GET', '/log') }, 0, 'nothing was asked of 1C');

# ---- the extended protocol, in which most drivers speak: there a transaction begins before the statement does ----
{
	my $script = PostgreSQL::Test::Utils::tempdir() . '/sync.sql';

	open(my $out, '>', $script) or die $!;
	print $out "CALL onec.sync('shop', days => 1, steps => '{stores}');\n";
	close $out;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'pgbench', '-n', '-M', 'extended', '-t', 1, '-f', $script, $node->connstr('postgres') ],
		\undef, \$stdout, \$stderr) or diag($stderr);
	like($stdout, qr{transactions actually processed: 1/1}, 'the extended protocol can sync');
}

# ---- edits in 1C ----
$onec->control('POST', '/edit', { op => 'random', n => 40, seed => 5 });
sql("CALL onec.sync('shop', full_reload => true)");
sums_equal('after edits');

# ---- edits of old months: the nightly job compares and reads again what differs, and nothing else ----
for my $seed (6, 7, 8)
{
	$onec->control('POST', '/edit', { op => 'random', n => 15, seed => $seed });
	my $differs = sql("SELECT count(*) FROM onec.check_amounts(server => 'shop') WHERE verdict = 'differs'");

	cmp_ok($differs, '>', 0, 'the comparison sees the edits');
	$onec->control('POST', '/log/clear', {});
	sql("CALL onec.run_job('nightly', 'shop')");
	is(sql("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok', 'the nightly job');
	is(sql("SELECT count(*) FROM onec.check_amounts(server => 'shop') WHERE verdict = 'differs'"), '0', 'every month is equal again');
	# what moves between stores or customers within a month keeps its sum: the weekly job reads everything
	sql("CALL onec.run_job('weekly', 'shop')");
	sums_equal("edits $seed, a night and a week");
}
cmp_ok(sql("SELECT count(*) FROM onec.drift WHERE repaired_at IS NOT NULL"), '>', 0, 'months that had drifted are on record');
is(sql("SELECT count(*) FROM onec.drift WHERE repaired_at IS NULL"), '0', 'and repaired');

# ---- a part: one customer when a page of the site asks for it, some months ----
my $card = $onec->control('POST', '/edit', { op => 'new_customer', name => 'Небылицын Пров', phone => '70009990001' });
sql("CALL onec.sync_cards('shop')");
$onec->control('POST', '/edit', { op => 'new_sale', phone => '70009990001', amount => 777, lines => 2 });
my $others = $onec->control('POST', '/edit', { op => 'new_sale' });
$onec->control('POST', '/log/clear', {});
sql("CALL onec.sync_purchases('shop', days => 30, customer => '+7 (000) 999-00-01')");
is(sql("SELECT count(*) FROM onec.sale_line WHERE customer_id = '$card->{customer}'"), '2', 'the purchases of one customer are read');
is(sql("SELECT (onec.profile_json('70009990001')->'statistics'->>'total_revenue')::numeric
		= (SELECT sum(amount) FROM onec.sale_line WHERE customer_id = '$card->{customer}')"), 't', 'and in the profile');
is(sql("SELECT count(*) FROM onec.sale_line WHERE recorder = '$others->{recorder}'"), '0', 'nobody else is read');
my @asked = grep { $_->{path} =~ /Register/ } @{ $onec->control('GET', '/log') };
is(scalar @asked, 2, 'by two requests');
is(scalar(grep { $_->{query} =~ /(?:Контрагент_Key eq guid'$card->{customer}'|ДисконтнаяКарта_Key eq guid'$card->{card}')/ } @asked), 2, 'of his rows only');
is(sql("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok', 'on the record');
is(OnecTest->try($node, "CALL onec.sync_purchases('shop', customer => '70009990002')")->{sqlstate}, 'P0002', 'somebody unknown is an error');
$onec->control('POST', '/log/clear', {});
my $month = sql("SELECT date_trunc('month', max(period))::date FROM onec.sale_line WHERE register = 'sales' AND period < now() - interval '60 days'");
sql("UPDATE onec.sale_line SET amount = amount + 1 WHERE period >= '$month' AND period < date '$month' + 31");
sql("CALL onec.sync_purchases('shop', \"from\" => '$month', \"to\" => (date '$month' + interval '1 month')::date)");
is(sql("SELECT sum(windows_done) FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run) AND step = 'purchases'"), '3', 'a month is read again');
is(sql("SELECT count(*) FROM onec.check_amounts('$month', (date '$month' + interval '1 month')::date, 'shop') WHERE verdict = 'differs'"), '0', 'and is as in 1C');
sql("CALL onec.sync_$_('shop')") for qw(counterparties products loyalty);
is(sql("SELECT string_agg(DISTINCT status, ',') FROM (SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 3) x"), 'ok', 'kinds of data one by one');
sql("CALL onec.run_job('nightly', 'shop')");

# ---- a limit of cards: runs go on where the last one stopped, and what they have not reached is not taken for deleted ----
my $cards = sql("SELECT count(*) FROM onec.discount_card WHERE NOT is_deleted");
sql("DELETE FROM onec.discount_card WHERE server = 'shop'");
for my $round (1 .. 4)
{
	my $known = sql("SELECT count(*) FROM onec.discount_card");

	$r = OnecTest->try($node, "CALL onec.sync('shop', steps => '{cards}', cards_limit => " . int($cards / 3) . ")");
	like($r->{stderr}, qr/WARNING:  01000: discount_card: read up to row/, "limited run $round says that it is limited") if $round < 4;
	is(sql("SELECT rows_read, rows_inserted, rows_deleted, truncated FROM onec.sync_status WHERE server = 'shop' AND target = 'discount_card'"),
		join('|', (map { $round < 4 ? int($cards / 3) : $cards % 3 } 1, 2), 0, 't'), "limited run $round reads its share");
}
is(sql("SELECT count(*), count(*) FILTER (WHERE is_deleted) FROM onec.discount_card"), "$cards|0", 'after which all cards are here');
is(sql("SELECT place FROM onec.sync_state WHERE server = 'shop' AND target = 'discount_card'"), '0', 'and the next run begins anew');
$onec->control('POST', '/log/clear', {});
sql("CALL onec.sync('shop', steps => '{purchases}', days => 40)");
is(sql("SELECT sum(requests) FROM onec.sync_step WHERE server = 'shop' AND run_id = (SELECT max(run_id) FROM onec.sync_run)"),
	scalar(grep { $_->{path} =~ /Register|Journal/ } @{ $onec->control('GET', '/log') }), 'requests of steps are those that 1C has seen');

# ---- a base that publishes only the register of card sales: its rows are the sales ----
OnecTest->server($node, $onec, name => 'cards', options => "timezone 'Europe/Moscow'");
sql("SELECT onec.set('endpoint.sale_line', 'AccumulationRegister_Нет_RecordType', 'cards')");
sql("SELECT FROM onec.setup('cards')");
sql("CALL onec.run_job('nightly', 'cards')");
my $by_card = $onec->control('GET', '/truth')->{card_sales};
is(sql("SELECT count(*), count(*) FILTER (WHERE active), (sum(amount) FILTER (WHERE active))::numeric(20,2), min(register), min(attribution)
		FROM onec.sale_line WHERE server = 'cards'"),
	"$by_card->{all_rows}|$by_card->{active_rows}|$by_card->{sum}|card_sales|card", 'card sales alone become the sales');
sql("CALL onec.run_job('nightly', 'cards')");
is(sql("SELECT sum(rows_inserted + rows_updated + rows_deleted) FROM onec.sync_status WHERE server = 'cards'"), '0', 'and stay as they are');

# ---- a published purchase log ----
my $log = ($ENV{ONEC_SHARED} || "$OnecTest::ROOT/../shared") . '/data/CDNOW_sample.txt';
SKIP:
{
	skip 'the purchase log is not here', 2 unless -e $log;
	my $cdnow = OnecTest->onec('--purchase-log', $log);

	OnecTest->server($node, $cdnow, name => 'cdnow', options => "timezone 'UTC'");
	sql("SELECT FROM onec.setup('cdnow'); SELECT onec.set('count_free_receipts', 'true', 'cdnow')");
	sql("CALL onec.sync('cdnow', full_reload => true)");
	is(sql("SELECT count(*), sum(receipts), sum(total_revenue)::numeric(15,2) FROM onec.customer_profile WHERE server = 'cdnow'"),
		'2357|6919|244091.94', 'CDNOW: customers, purchases and dollars come out of the profiles');
	is(sql("SELECT count(*) FROM onec.discount_card WHERE server = 'cdnow'"), '2357', 'of as many cards');
}

$node->stop;
done_testing();
