# What waits for the end of a step: documents with rows in two windows of which one was read badly.  The base is a stub that hides one
# row from its lists, always or so many times, sends rows twice with two values, and counts honestly or not at all.
use strict;
use warnings;
use utf8;

use OnecBase;
use OnecTest;
use POSIX qw(strftime);
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = OnecTest->node('settle', conf => "statement_timeout = '60s'\n");
my $stub = OnecTest->stub("DIR = '$dir'\n" . <<'PY');
def name(row):
    return f"{int(row.get('Recorder', row.get('Ref'))[-12:], 16)}/{row.get('LineNumber', 1)}"

def twinned(rows):
    """The rows, one of them twice with two sums: that which the mode names first, and from then on the next one."""
    first, _, others = mode.get("twin", "").partition(",")
    told = [both for row in rows for both in ([row, dict(row, **{"Сумма": 7})] if "Сумма" in row and name(row) == first else [row])]
    if len(told) > len(rows):
        mode["twin"] = others
    return told

def hiding(r, rows):
    """The answer without the row that the mode hides, as often as it says; of what is skipped over, it is one."""
    left = int(mode.get("times", -1))
    whole, rest = serve(r, rows), serve(r, [row for row in rows if name(row) != mode.get("hide")])
    if left == 0 or whole == rest:
        return whole
    if "LineNumber" in r.query.get("$select", "LineNumber"):
        rest = [row for row in whole if name(row) != mode.get("hide")]
    if rest != whole:
        mode["times"] = str(left - 1)
    return rest

def answer(r):
    if r.path in ("", "$metadata"):
        kind = "application/xml" if r.path else "application/json;charset=utf-8"
        return 200, open(f"{DIR}/{r.path or 'root'}", "rb").read(), {"Content-Type": kind}
    with open(f"{DIR}/rows", encoding="utf-8") as file:
        sets = json.load(file)
    rows = sets.get(r.path.split("/")[0].split("(")[0], [])
    if mode.get("other"):
        rows = [dict(row, Recorder=guid(int(row["Recorder"][-12:], 16), 77)) for row in rows]
    if re.search(r"/(Balance|Turnovers|SliceLast)", r.path):
        return []
    if r.path.endswith("/$count"):
        return serve(r, rows) if mode.get("count", "") != "refused" else odata_error(400, 0, "$count не поддерживается")
    found = hiding(r, rows)
    return twinned(found) if isinstance(found, list) else found
PY
OnecTest->describe($dir);
OnecTest->server($node, $stub, name => 'shop', options => "timezone 'UTC', retries '0', page_size '50', prefetch '0'");

my @now = gmtime;
my ($last, $this) = map { strftime('%Y-%m-%dT10:00:00', 0, 0, 0, 1, $now[4] + $_, $now[5]) } -1, 0;
my $never = '0001-01-01T00:00:00';
my $all = "full_reload => true";
my %base;

sub rows { return OnecTest->rows($node, @_); }

# What the base has from now on: rows that are always there, and these.
sub base
{
	return hold($dir, $sales => [ (map { my $month = $_; map { sale($_ + ($month eq $this ? 100 : 0), 1, $month) } 50 .. 55 } $last, $this), @_ ]);
}

# A run, under a mode: its status, and what is here of document 1.
sub after
{
	my ($how, %mode) = @_;

	$stub->mode(hide => '', times => -1, count => '', other => '', twin => '', %mode);
	my $r = OnecTest->try_text($node, "CALL onec.sync('shop', steps => '{purchases}', $how)");
	$stub->mode(hide => '', count => '', other => '', twin => '');
	diag($r->{stderr}) if $r->{sqlstate} ne '00000';
	return join ' ', rows('SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1'),
		rows("SELECT string_agg(line_no || CASE WHEN copy > 0 THEN '''' ELSE '' END || ':' || CASE period WHEN '$last' THEN 'last' WHEN '$this' THEN 'this' ELSE coalesce(period::text, 'never') END
			|| ' ' || amount::int, ', ' ORDER BY line_no, copy) FROM onec.sale_line WHERE recorder = '" . guid(1, 1) . "'");
}

base(sale(1, 1, $last), sale(1, 2, $this));
rows("SELECT FROM onec.setup('shop')");

# ---- a document with rows in two months is posted anew ----
is(after($all), 'ok 1:last 100, 2:this 100', 'a document with rows in two months');
base(sale(1, 1, $last, Сумма => 200), sale(1, 2, $this, Сумма => 200));
is(after($all, hide => '1/2'), 'incomplete 1:last 100, 2:this 100', 'P20: posted anew, the later row hidden: the earlier one stays, too');
is(after($all, hide => '1/1'), 'incomplete 1:last 100, 2:this 100', 'P20: the earlier row hidden: the later one stays, too');
is(after($all), 'ok 1:last 200, 2:this 200', 'P20: … and the next run has both');

# ---- it moves ----
base(sale(1, 1, $this, Сумма => 300), sale(1, 2, $this, Сумма => 300));
is(after($all, hide => '1/1'), 'incomplete 1:last 200, 2:this 200', 'P20: a row has moved to the next month, which hides it: it stays');
is(after($all), 'ok 1:this 300, 2:this 300', 'P20: … and the next run moves it');
base(sale(1, 1, $last, Сумма => 400), sale(1, 2, $last, Сумма => 400));
is(after($all, hide => '1/2'), 'incomplete 1:this 300, 2:this 300', 'P20: moved to the month before, one row hidden');
is(after($all), 'ok 1:last 400, 2:last 400', 'P20: … and the next run moves both');
base(sale(1, 1, $never, Сумма => 500), sale(1, 2, $never, Сумма => 500));
is(after($all), 'ok 1:never 500, 2:never 500', 'a document that has lost its date');
base(sale(1, 1, $this, Сумма => 600), sale(1, 2, $this, Сумма => 600));
is(after($all, hide => '1/2'), 'incomplete 1:never 500, 2:never 500', 'P20: it gets one, one row hidden: both stay');
is(after($all), 'ok 1:this 600, 2:this 600', 'P20: … and the next run dates both');

# ---- 1C does not count ----
base(sale(1, 1, $last, Сумма => 700), sale(1, 2, $last, Сумма => 700));
is(after($all, count => 'refused', hide => '1/2', times => 2), 'incomplete 1:this 600, 2:this 600', 'P20: no counting, one row of a moved document hidden in the first reading');
is(after($all, count => 'refused'), 'ok 1:last 700, 2:last 700', 'P20: … a reading that comes twice alike moves it');
base(sale(1, 1, $this, Сумма => 800));
is(after($all, count => 'refused', hide => '1/1', times => 2), 'incomplete 1:last 700, 2:last 700', 'P20: no counting, moved to the next month, which hides it in the first reading');
is(after($all, count => 'refused'), 'ok 1:this 800', 'P20: … and the next run moves it');
my $refused = q{SELECT string_agg(DISTINCT capability, ' ') FROM onec.server_capability WHERE server = 'shop' AND remembered};
is(rows($refused), 'count', 'counting is refused, and that is remembered');
base(sale(1, 1, $this, Сумма => 800), sale(2, 1, $this));
after('days => 3');
base(sale(1, 1, $this, Сумма => 800));
$stub->requests;
is(after('days => 3'), 'ok 1:this 800', '… a run of some days does without');
is(scalar(grep { $_->{path} =~ /count$/ } $stub->requests), 0, '… and does not ask');
base(sale(1, 1, $this, Сумма => 800), sale(2, 1, $this));
after($all);
is(rows($refused), '', 'L: a full reading of one step finds out anew');
base(sale(1, 1, $this, Сумма => 800));
is(after($all), 'ok 1:this 800', '… and counts what is gone');
cmp_ok(scalar(grep { $_->{path} =~ /count$/ } $stub->requests), '>', 0, '… which it asks for');

# ---- what comes twice, with two values, hides nothing that is missing elsewhere ----
for my $case (
	[ '50/1,51/1', 'one row, then another' ],
	[ '50/1,50/1', 'one row both times' ],
	[ '150/1,150/1', 'one row of the same month' ],
	[ '50/1,51/1', 'one row, then another, no counting', count => 'refused', times => 2 ],
	[ '50/1,50/1', 'one row both times, no counting', count => 'refused', times => 2 ])
{
	my ($twin, $what, %mode) = @$case;

	rows("SELECT onec.forget_refusals('shop')");
	# something that waits, where 1C counts: from then on windows are not counted one by one; what it knows beside that is asked first
	base(sale(1, 1, $this, Сумма => 800), %mode ? () : sale(2, 1, $never));
	$twin = $twin =~ s/,.*//r . ",$twin" unless %mode;
	after($all);
	base(sale(1, 1, $this, Сумма => 800));
	# where 1C does not count, asking what follows the last page may find what the list hid
	like(after($all, twin => $twin, hide => '1/1', %mode), %mode ? qr/^(ok|incomplete) 1:this 800$/ : qr/^incomplete 1:this 800$/,
		"P21: $what: comes twice with two values, and a row that is hidden stays");
	is(after($all), 'ok 1:this 800', 'P21: … and the next run is complete');
	is(rows("SELECT count(*) || ' ' || count(*) FILTER (WHERE copy > 0 OR amount = 7) FROM onec.sale_line"), '13 0', 'P21: … with each row once');
}

# ---- a key of two months ----
base(sale(1, 1, $last, Сумма => 300), sale(1, 1, $this, Сумма => 400));
is(after($all), q{ok 1:last 300, 1':this 400}, 'P11: one line number in two months: both are kept');
is(rows("SELECT found FROM onec.data_quality WHERE code = 'Q12'"), '1', 'P11: … and reported');
for my $how ($all, 'days => 0', $all)
{
	is(after($how), q{ok 1:last 300, 1':this 400}, "P11: … and so again, $how");
	is(rows("SELECT sum(rows_inserted + rows_updated + rows_deleted) FROM onec.sync_status WHERE step = 'purchases'"), '0', 'P11: … nothing is written');
}
base(sale(1, 1, $last, Сумма => 500), sale(1, 1, $this, Сумма => 600));
is(after($all), q{ok 1:last 500, 1':this 600}, 'P11: both change');
base(sale(1, 1, $this, Сумма => 800));
is(after($all), q{ok 1':this 800}, 'P11: the earlier one goes');
is(after($all), 'ok 1:this 800', 'P11: … and the key is one again');
is(rows("SELECT count(*) FROM onec.data_quality WHERE code = 'Q12'"), '0', 'P11: … with nothing to report');

# ---- another base answers, for good ----
my $strangers = "SELECT count(*) FROM onec.sale_line WHERE recorder::text LIKE '0000004d%'";

for my $how ($all, $all, 'days => 10')
{
	is(after($how, other => 1), 'incomplete 1:this 800', "P20: another base of few rows, $how: what is here stays");
	is(rows($strangers), '0', 'P20: … and nothing of the other is taken for this one next time');
}
is(after($all), 'ok 1:this 800', 'P20: … the next run is complete');
base();
is(after($all), 'ok ', 'the last rows of a document go as before');

$node->stop;
done_testing();
