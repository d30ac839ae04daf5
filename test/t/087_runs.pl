# Runs: what a run that fails, waits or ends early leaves for the next one, and what it does not ask of a base in vain.
use strict;
use warnings;
use utf8;

use OnecBase;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = OnecTest->writable(OnecTest->node('runs', conf => "statement_timeout = '120s'\n"));
my $stub = OnecTest->stub("DIR = '$dir'\n" . <<'PY');
import time

def answer(r):
    how = mode.get("how", "")
    if how == "login" and "ZGVtbzpuZXc=" not in r.headers.get("Authorization", ""):
        return html(401, "")
    if how == "hang":
        time.sleep(300)
    if how == "broken":
        return None
    while mode.get("how") == "hold":
        time.sleep(0.05)
    if r.path in ("", "$metadata"):
        kind = "application/xml" if r.path else "application/json;charset=utf-8"
        return 200, open(f"{DIR}/{r.path or 'root'}", "rb").read(), {"Content-Type": kind}
    if how == "nocards" and "ПродажиПоДисконтнымКартам" in r.path:
        return odata_error(401, 20, "Нет прав")
    with open(f"{DIR}/rows", encoding="utf-8") as file:
        sets = json.load(file)
    return serve(r, [] if re.search(r"/(Balance|Turnovers|SliceLast)", r.path) else sets.get(r.path.split("/")[0].split("(")[0], []))
PY
my $demo = OnecTest->onec('--customers', 60, '--seed', 3);
OnecTest->describe($dir, $demo);
OnecTest->server($node, $stub, name => 'shop', options => "timezone 'UTC', retries '0', prefetch '0'");

sub rows { return OnecTest->rows($node, @_); }

sub base { return hold($dir, @_); }

# A statement under a mode of the stub: the status of the run.
sub under
{
	my ($how, $statement) = @_;

	$stub->mode(how => $how);
	$stub->requests;
	my $r = OnecTest->try_text($node, $statement);
	$stub->mode(how => '');
	diag($r->{stderr}) if $r->{sqlstate} ne '00000';
	return rows("SELECT status FROM onec.sync_run WHERE server = 'shop' ORDER BY run_id DESC LIMIT 1");
}

# What was asked, but for what only asks whether anything follows a page.
sub asked { return grep { !exists $_->{query}{'$skip'} } $stub->requests; }

my $old = '2025-03-05T10:00:00';
my $full = "CALL onec.sync('shop', full_reload => true)";
base($sales => [ sale(1, 1, $old), sale(2, 1, $old), sale(3, 1, $old) ], $card_sales => [ card_sale(1, 1, $old, 1) ], $cards => [ card(1), card(2) ]);
rows("SELECT FROM onec.setup('shop')");

# ---- attribution follows its sources (P15) ----
is(under('nocards', $full), 'partial', 'P15: the card register fails, sales are read');
my $whose = "SELECT string_agg(right(recorder::text, 1) || ' ' || attribution || ' ' || coalesce(right(customer_id::text, 1), '-'), ', ' ORDER BY recorder) FROM onec.sale_line";
is(rows($whose), '1 anonymous -, 2 anonymous -, 3 anonymous -', 'P15: … rows are anonymous');
is(under('', "CALL onec.sync('shop')"), 'ok', 'P15: an ordinary run reads the register');
is(rows($whose), '1 card_register 1, 2 anonymous -, 3 anonymous -', 'P15: … and rows older than its days have their buyer');
base($sales => [ sale(1, 1, $old), sale(2, 1, $old), sale(3, 1, $old) ],
	$card_sales => [ card_sale(1, 1, $old, 1), card_sale(2, 1, $old, 2), card_sale(3, 1, $old, 3, ВладелецКарты_Key => $nobody) ], $cards => [ card(1), card(2) ]);
is(under('', "CALL onec.sync_purchases('shop', \"from\" => '2025-03-01', \"to\" => '2025-04-01')"), 'ok', 'P15: card rows that arrive later');
is(rows($whose), '1 card_register 1, 2 card_register 2, 3 card_register -', 'P15: … attribute what lies behind');
base($sales => [ sale(1, 1, $old), sale(2, 1, $old), sale(3, 1, $old) ],
	$card_sales => [ card_sale(1, 1, $old, 1), card_sale(2, 1, $old, 2), card_sale(3, 1, $old, 3, ВладелецКарты_Key => $nobody) ],
	$cards => [ card(1), card(2), card(3) ]);
is(under('', "CALL onec.sync_cards('shop')"), 'ok', 'P15: a card whose owner is known later');
is(rows($whose), '1 card_register 1, 2 card_register 2, 3 card_register 3', 'P15: … tells whose its purchases were');

# ---- one customer (P16) ----
rows("DELETE FROM onec.sale_line WHERE server = 'shop'; DELETE FROM onec.card_sale_line WHERE server = 'shop'");
is(under('', "CALL onec.sync_purchases('shop', \"from\" => '2025-03-01', customer => '70000000002')"), 'ok', 'P16: the purchases of one customer');
is(rows($whose), '1 anonymous -, 2 card_register 2, 3 anonymous -', 'P16: … which only the card register knows of, are brought');
is(scalar(grep { $_->{path} =~ /Register/ } asked()), 3, 'P16: … by three requests');
rows("ALTER FOREIGN TABLE shop.card_sale_line ALTER COLUMN card_id TYPE text");
is(under('', "CALL onec.sync_purchases('shop', \"from\" => '2025-03-01', customer => '70000000002')"), 'ok', 'P16: a card column of several types');
rows("SELECT FROM onec.setup('shop')");
under('', $full);

# ---- drift without a journal of receipts (P17) ----
rows('DROP FOREIGN TABLE shop.receipt, shop.sale_turnover');
rows("UPDATE onec.sale_line SET amount = 1 WHERE right(recorder::text, 1) = '1'");
is(under('', "CALL onec.run_now('nightly', 'shop')"), 'ok', 'P17: a month drifted, no receipts');
is(rows("SELECT count(*), count(repaired_at) FROM onec.drift"), '1|1', 'P17: … it is repaired once');
is(rows("SELECT sum(amount)::int FROM onec.sale_line"), '300', 'P17: … and well');

# ---- stretches without rows (T5) ----
my @lines = (sale(1, 1, $old), sale(2, 1, $old), sale(3, 1, $old), sale(4, 1, '0206-05-05T10:00:00'), sale(5, 1, '3999-05-05T10:00:00'), sale(6, 1, '1995-01-05T10:00:00'));
base($sales => \@lines, $card_sales => [ card_sale(1, 1, $old, 1) ], $cards => [ card(1), card(2), card(3) ]);
is(under('', $full), 'ok', 'T5: documents of the years 0206, 1995 and 3999');
is(rows("SELECT count(*) FROM onec.sale_line"), '6', 'T5: … are here');
cmp_ok(rows("SELECT requests FROM onec.sync_status WHERE target = 'sale_line'"), '<', 45, 'T5: … for a few requests');
$stub->requests;
is(rows("SELECT string_agg(to_char(month, 'YYYYMM') || ' ' || verdict, ', ' ORDER BY month) FROM onec.check_amounts(server => 'shop')"),
	'020605 equal, 199501 equal, 202503 equal, 399905 equal', 'T5: check_amounts compares the months that have rows');
cmp_ok(scalar(() = asked()), '<', 15, 'T5: … for a few requests');

# ---- a base that does not answer, a login that is refused (T3, S7) ----
rows("ALTER SERVER shop OPTIONS (ADD request_timeout '1')");
is(under('hang', "CALL onec.sync('shop')"), 'failed', 'T3: a base that never answers');
rows('ALTER SERVER shop OPTIONS (DROP request_timeout)');
is(rows("SELECT status || ' ' || count(*) FROM onec.sync_status WHERE status <> 'not published' GROUP BY status ORDER BY 1"), "failed 1\nskipped 14", 'T3: … is given up after one step');
{
	my %set = map { $_->{path} => 1 } $stub->requests;

	is(scalar(keys %set), 1, 'T3: … and one set');
}
is(under('broken', "CALL onec.sync('shop')"), 'failed', 'T3: one that hangs up');
is(under('login', "CALL onec.run_now('interval', 'shop')"), 'failed', 'S7: a login that is refused');
is(scalar($stub->requests), 1, 'S7: … is tried once');
is(under('login', "CALL onec.run_now('interval', 'shop')"), 'skipped (login)', 'S7: the next job waits');
is(scalar($stub->requests), 0, 'S7: … and asks nothing');
like(rows("SELECT message FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), qr/user mapping/, 'S7: … and says why');
my $hints = "SELECT string_agg(job, ' ' ORDER BY job) FROM onec.schedule_status WHERE server = 'shop' AND hint ~ '%s'";
is(rows(sprintf($hints, 'refused the login')), 'interval nightly weekly', 'S7: … and schedule_status does, whoever runs the jobs');
rows("ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'new')");
is(under('login', "CALL onec.run_now('interval', 'shop')"), 'ok', 'S7: a new password ends the waiting');

# ---- a run that could not prove what it lacks ----
is(rows(sprintf($hints, 'incomplete')), '', 'nothing is in doubt');
base($sales => \@lines, $card_sales => [ card_sale(1, 1, $old, 1) ], $cards => []);
my $whole = rows("SELECT last_ok FROM onec.sync_state WHERE server = 'shop' AND target = 'discount_card'");
is(under('', "CALL onec.run_now('interval', 'shop')"), 'incomplete', 'P8: an empty set');
is(rows(sprintf($hints, 'incomplete')), 'interval nightly weekly', 'P8: … schedule_status says so, whoever runs the jobs');
is(rows("SELECT last_ok = '$whole' FROM onec.sync_state WHERE server = 'shop' AND target = 'discount_card'"), 't', 'P8: … the watermark stays');
base($sales => \@lines, $card_sales => [ card_sale(1, 1, $old, 1) ], $cards => [ card(1), card(2), card(3) ]);
is(under('', "CALL onec.run_now('interval', 'shop')"), 'ok', 'P8: … the next run is whole');
is(rows(sprintf($hints, 'incomplete')), '', '… and nothing is in doubt');

# ---- a deadline (T3) ----
rows(q{CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	UPDATE onec.sync_run SET started_at = started_at - interval '1 day' WHERE status = 'running'; RETURN NULL; END $$;
	CREATE TRIGGER late AFTER UPDATE ON onec.sync_step FOR EACH ROW
		WHEN (new.target = 'sale_line' AND new.windows_done > old.windows_done AND lower(old.windows[1]) >= '2025-03-01') EXECUTE FUNCTION late()});
is(under('', "CALL onec.run_now('weekly', 'shop')"), 'partial', 'a run whose time is over');
is(rows("SELECT message FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'out of time', '… says so');
is(rows("SELECT cardinality(windows) > 1 AND lower(windows[1]) >= '2025-04-01' FROM onec.sync_step
	WHERE target = 'sale_line' ORDER BY run_id DESC LIMIT 1"), 't', '… and leaves the windows it has not read');
rows('DROP TRIGGER late ON onec.sync_step');
is(under('', "CALL onec.run_now('weekly', 'shop')"), 'ok', 'the next one');
is(rows("SELECT target FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run) ORDER BY turn LIMIT 1"), 'sale_line', '… begins where it ended');
is(scalar(grep { $_->{path} =~ /Продажи_/ && ($_->{query}{'$filter'} // '') =~ /ge datetime'2025-03/ } $stub->requests), 0, '… with the windows that were left');
is(rows('SELECT count(*) FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run) AND cardinality(windows) > 0'), '0', '… and leaves none');

# ---- one run at a time (P18, T6) ----
{
	$stub->mode(how => 'hold');
	my $part = OnecTest->background($node, "CALL onec.sync_purchases('shop', \"from\" => '2025-03-01', customer => '70000000001')");
	ok(OnecTest->wait_for(sub { rows("SELECT count(*) FROM onec.sync_run WHERE status = 'running' AND size = 0") == 1 }, 'the part'), 'P18: one customer is read');
	my $job = OnecTest->background($node, "CALL onec.run_now('interval', 'shop')");
	ok(OnecTest->wait_for(sub { rows("SELECT count(*) FROM pg_stat_activity WHERE application_name = '$job->{name}' AND wait_event = 'PgSleep'") == 1 }, 'the job'),
		'P18: the job waits');
	$stub->mode(how => '');
	is($part->wait->{sqlstate}, '00000', 'P18: the part ends');
	$job->wait;
	is(rows("SELECT status || ' ' || size FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok 2', 'P18: the job that was due has waited');
}
rows("SELECT onec.set('sync.interval_hours', '5', 'shop')");
rows("UPDATE onec.sync_run SET started_at = started_at - interval '10 hours' WHERE size > 0");
is(rows("SELECT onec_internal.is_interval_due('shop')"), 't', 'P18: a part does not count for being due');
{
	my $busy = OnecTest->background($node, 'SELECT pg_sleep(60)');

	rows("INSERT INTO onec.sync_run (server, started_at, status, pid, backend_start) SELECT 'shop', now(), 'running', pid, backend_start
		FROM pg_stat_activity WHERE pid = " . $busy->pid);
	is(under('', "CALL onec.sync('shop', steps => '{cards}')"), 'ok', 'T6: a backend that a pooler has given to another client is no run');
	is(rows("SELECT count(*) FROM onec.sync_run WHERE status = 'running'"), '0', 'T6: … the lost run is closed');
	$busy->cancel;
	$busy->wait;
}

# ---- points (P19) ----
OnecTest->server($node, $demo, name => 'demo', options => "timezone 'Europe/Moscow'");
rows("SELECT FROM onec.setup('demo')");
rows("CALL onec.sync('demo', full_reload => true)");
my $differ = "SELECT count(*) FROM onec.check_loyalty('demo') WHERE balance_1c <> signed";
is(rows($differ), '0', 'P19: balances agree');
rows("DELETE FROM onec.loyalty_movement WHERE server = 'demo' AND period < now() - interval '200 days' AND card_id IN
	(SELECT card_id FROM onec.loyalty_movement WHERE server = 'demo' AND period < now() - interval '200 days' ORDER BY card_id LIMIT 3)");
rows("INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id, accrued, spent)
	SELECT server, gen_random_uuid(), recorder_type, 1, period, true, 'Receipt', card_id, 50, 0 FROM onec.loyalty_movement
	WHERE server = 'demo' AND period < now() - interval '100 days' ORDER BY card_id DESC LIMIT 1");
cmp_ok(rows($differ), '>', 0, 'P19: old movements are missing, another one is gone in 1C');
rows("CALL onec.run_now('nightly', 'demo')");
is(rows($differ), '0', 'P19: a night later they agree');

# ---- many servers (T8) ----
SKIP:
{
	skip 'seconds are for TEST_FULL', 1 unless $ENV{TEST_FULL};
	rows("DO \$\$ BEGIN FOR i IN 1 .. 270 LOOP EXECUTE format('CREATE SERVER s%s FOREIGN DATA WRAPPER onec_fdw OPTIONS (url ''http://127.0.0.1:1/x'')', i); END LOOP; END \$\$");
	my $r = OnecTest->try($node, 'SELECT count(*) FROM onec.schedule_status');
	cmp_ok($r->{seconds}, '<', 1, 'T8: schedule_status of 272 servers');
}
$node->stop;
done_testing();
