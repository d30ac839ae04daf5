# Odd but honest bases and owners: what no lie is needed for, and yet rows could be lost, doubled or left behind.
use strict;
use warnings;
use utf8;

use OnecBase;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = OnecTest->node('odd', conf => "statement_timeout = '60s'\n");
my $stub = OnecTest->stub("DIR = '$dir'\n" . <<'PY');
import time

def answer(r):
    if r.path in ("", "$metadata"):
        kind = "application/xml" if r.path else "application/json;charset=utf-8"
        return 200, open(f"{DIR}/{r.path or 'root'}", "rb").read(), {"Content-Type": kind}
    if re.search(r"/(Balance|Turnovers|SliceLast)", r.path):
        return []
    with open(f"{DIR}/rows", encoding="utf-8") as file:
        rows = json.load(file).get(r.path.split("/")[0].split("(")[0], [])
    asked = r.query.get("$filter", "")
    if mode.get("hides", "") and mode["hides"] in asked and not r.path.endswith("/$count"):
        rows = rows[1:]
    if mode.get("hangs", "") and mode["hangs"] in asked and r.path == "AccumulationRegister_Продажи_RecordType":
        time.sleep(20)
    return serve(r, rows)
PY
OnecTest->describe($dir);
OnecTest->server($node, $stub, name => 'shop', options => "timezone 'UTC', retries '0', page_size '50', prefetch '0'");

sub rows { return OnecTest->rows($node, @_); }

sub base { return hold($dir, @_); }

# A sync of cards or purchases: the status of the run.
sub sync
{
	my ($how) = @_;
	my $r = OnecTest->try_text($node, "CALL onec.sync('shop', $how)");

	diag($r->{stderr}) if $r->{sqlstate} ne '00000';
	return rows('SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1');
}

rows("SELECT FROM onec.setup('shop')");

# ---- rounds of cards_limit ----
my $round = "steps => '{cards}', cards_limit => 10";
my $live = "SELECT count(*) FILTER (WHERE NOT is_deleted) || ' of ' || count(*) FROM onec.discount_card";
base($cards => [ map { card($_) } 1 .. 20 ]);
sync("steps => '{cards}'");
base($cards => []);
is(sync($round), 'incomplete', 'X1: a limited reading of a set that is empty is not believed either');
is(rows($live), '20 of 20', 'X1: … no card is marked');
base($cards => [ map { card($_) } 101 .. 115 ]);
sync($round) for 1 .. 2;
is(rows('SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1'), 'incomplete', 'X1: nor a round through another base');
is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted"), '0', 'X1: … no card is marked');
base($cards => []);
is(sync("$round, force => true"), 'ok', 'X1: … but with force');
is(rows($live), '0 of 35', 'X1: … all are');

# ---- documents that get another date ----
my $day = sub { return rows("SELECT current_date - $_[0]") };
my ($now, $old, $older) = map { $day->($_) . 'T10:00:00' } 1, 40, 80;
my $lines = "SELECT string_agg(right(recorder::text, 1) || '/' || line_no || ' ' || coalesce(current_date - period::date, -1), ', ' ORDER BY recorder, line_no) FROM onec.sale_line";
my $all = "steps => '{purchases}', full_reload => true";
my @still = (sale(9, 1, $now), sale(8, 1, $old));
base($sales => [ @still, map { sale(1, $_, $old) } 1 .. 3 ]);
is(sync($all), 'ok', 'lines are read');
base($sales => [ @still, sale(1, 1, $now) ]);
is(sync("steps => '{purchases}', days => 3"), 'ok', 'X2: a document came into the days that are read, and with fewer lines');
is(rows($lines), '1/1 1, 8/1 40, 9/1 1', 'X2: … no half of it stays where it was');
is(rows("SELECT count(*) FROM onec_internal.sync_doubt WHERE target = 'sale_line'"), '0', 'X2: … and nothing is in doubt');
base($sales => [ @still, map { sale(1, $_, '0001-01-01T00:00:00') } 1 .. 3 ]);
sync($all);
is(rows($lines), '1/1 -1, 1/2 -1, 1/3 -1, 8/1 40, 9/1 1', 'a document without a date');
base($sales => [ @still, sale(1, 1, $now) ]);
is(sync("steps => '{purchases}', days => 3"), 'ok', 'X2: … that has got one');
is(rows($lines), '1/1 1, 8/1 40, 9/1 1', 'X2: … is whole');

# ---- a run that goes on behind a window in doubt ----
base($sales => [ sale(7, 1, $older), @still, sale(1, 1, $now) ]);
sync($all);
rows("UPDATE onec.sync_state SET last_ok = NULL");
my $month = sub { return substr($_[0], 0, 7) . '-01' };
$stub->mode(hides => $month->($older), hangs => $month->($now));
my $run = OnecTest->background($node, "CALL onec.sync('shop', steps => '{purchases}')", name => 'odd_run');
ok(OnecTest->wait_for(sub { rows("SELECT count(*) FROM onec_internal.sync_doubt WHERE kind = 'unproven'") ne '0' }, 'a window in doubt'), 'X3: a window in doubt');
$run->terminate;
$run->wait;
$stub->mode(hides => '', hangs => '');
base($sales => [ @still, sale(1, 1, $now) ]);
is(sync("steps => '{purchases}'"), 'ok', 'X3: a run goes on where another was ended');
is(rows($lines), '1/1 1, 8/1 40, 9/1 1', 'X3: … and reads what that one had left in doubt');

# ---- the only document there is ----
base($sales => [ sale(6, 1, $old) ]);
sync("$all, force => true");
base($sales => [ sale(6, 1, $older) ]);
is(sync($all), 'ok', 'X5: the only document is moved back: 1C knows it still');
is(rows($lines), '6/1 80', 'X5: … and it is where 1C has it');
base($sales => [ sale(5, 1, $old) ]);
is(sync($all), 'incomplete', 'X5: another one in its place may be that of another base');
like(rows($lines), qr{6/1 80}, 'X5: … it stays');
base($sales => [ @still, sale(1, 1, $now) ]);
sync("$all, force => true");

# ---- a register that is not there any more ----
rows('DROP FOREIGN TABLE shop.sale_line');
is(sync($all), 'incomplete', 'X4: the foreign table of sales is gone, that of card sales is there');
is(rows($lines), '1/1 1, 8/1 40, 9/1 1', 'X4: … the sales stay');
is(sync("$all, force => true"), 'ok', 'X4: … but with force');
is(rows('SELECT count(*) FROM onec.sale_line'), '0', 'X4: … the card sales are all the sales there are');

$node->stop;
done_testing();
