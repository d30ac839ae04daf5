# Answers that only one small mistake in the wrapper would make wrong: of each a part of its own, which test/mutants/list names
# beside the mistake.  The base is a stub whose rows are few and chosen.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

# Documents with two dates, a sum, a name, a reference and a line; "mode" says what the base ignores or refuses.
my $stub = OnecTest->stub(<<'PY');
import datetime

EMPTY = "0001-01-01T00:00:00"
NONE = "00000000-0000-0000-0000-000000000000"


def row(n, date=EMPTY, other=EMPTY, amount=0, name="", store=NONE, line=1, document=0):
    return {"Ref_Key": guid(n), "Date": date, "Other": other, "Сумма": amount, "Description": name, "Склад_Key": store,
            "LineNumber": line, "Doc_Key": guid(document or n, 9)}


def days(begin, count, step=1, size=1):
    """Rows of "count" days, "size" a day."""
    at = datetime.date.fromisoformat(begin)
    return [row(n, f"{at + datetime.timedelta(days=n // size * step)}T12:00:00", amount=n) for n in range(count * size)]


SETS = {
    "numbers": [row(1, amount=-5), row(2, amount=0), row(3, amount=7)],
    "clocks": [row(1, "2025-10-26T02:30:00")],
    "dates": [row(1, "2026-03-07T23:59:59", "2026-03-07T00:00:00", -9), row(2, "2026-03-08T00:00:00", EMPTY, 5),
              row(3, "2026-03-08T23:59:59", "2026-03-09T00:00:00", 5), row(4, "2026-03-09T00:00:00", "2026-03-08T00:00:00", 7), row(5)],
    "stores": [row(1, store=guid(1, 5), name="Ключ"), row(2, store=guid(2, 5), name="ключ"), row(3, name="Замок"),
               row(4, store=guid(1, 5), name="КЛЮЧ"), row(5, name="Дверь")],
    "nulls": [row(1, store=guid(1, 5)), row(2, store=None), row(3)],
    "many": days("2026-01-01", 13, size=2)[:25],
    "one_day": days("2026-01-01", 1, size=37),
    "lines": [row(n, "2026-01-01T12:00:00", line=n, document=7) for n in range(1, 8)]
             + [row(n, "2026-01-02T12:00:00", line=n, document=8) for n in range(1, 8)],
    "sparse": [row(n, f"2023-01-10T12:{n // 60:02d}:{n % 60:02d}") for n in range(300)]
              + [row(300 + n, f"2026-02-10T12:{n // 60:02d}:{n % 60:02d}") for n in range(300)],
}
for n, one in enumerate(SETS["many"]):
    one["Other"] = EMPTY if n % 5 == 0 else f"2026-02-{n + 1:02d}T00:00:00"


def answer(r):
    name = r.path.split("_", 1)[1].split("/")[0].split("(")[0]
    rows = SETS[name]
    if "$orderby" in r.query and r.n % 2:  # rows that are equal in it come in another order each time
        rows = rows[::-1]
    status = mode.get("status", "")
    if status and int(mode.get("times", 0)) > 0:
        mode["times"] = str(int(mode["times"]) - 1)
        if mode.get("code"):
            return odata_error(int(status), int(mode["code"]), "Деление на 0")
        return int(status), "", {"Retry-After": mode["wait"]} if mode.get("wait") else {}
    if mode.get("refuse") in r.query:
        return odata_error(500, -1, "AUTOORDER") if mode["refuse"] == "$orderby" else odata_error(500, 20, "Операция не разрешена")
    for ignored in mode.get("ignore", "").split(","):
        r.query.pop(ignored, None)
    found = serve(r, rows)
    return (200, "\ufeff" + found[1], found[2]) if r.path.endswith("/$count") else found
PY
my $node = OnecTest->node('noticed', conf => "timezone = 'Europe/Berlin'\nstatement_timeout = '60s'\n");
OnecTest->server($node, $stub, name => 'c', options => "page_size '10', prefetch '1', retries '1', request_timeout '4'");

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

for my $set (qw(numbers clocks dates stores nulls many one_day lines sparse))
{
	rows(qq{CREATE FOREIGN TABLE $set (id uuid OPTIONS (property 'Ref_Key'), at timestamp OPTIONS (property 'Date'), other timestamp OPTIONS (property 'Other'),
		amount numeric OPTIONS (property 'Сумма'), name text OPTIONS (property 'Description', edm_type 'Edm.String'), store uuid OPTIONS (property 'Склад_Key'),
		line bigint OPTIONS (property 'LineNumber'), doc uuid OPTIONS (property 'Doc_Key')) SERVER c OPTIONS (entity_set 'Document_$set', key 'Ref_Key')});
}

# Run a query without regard to what came before, and count its requests.
sub cost
{
	my ($sql) = @_;

	$stub->requests;
	my $answer = run($sql);
	return ($answer, grep { $_->{path} ne '' && $_->{path} !~ /metadata/ } $stub->requests);
}

# Rows by the ends of their keys, for conditions of which each is also counted.
sub ids
{
	my ($set, $condition, $wanted, $name) = @_;
	my @wanted = split / /, $wanted;

	is(rows("SELECT coalesce(string_agg(right(id::text, 2), ' ' ORDER BY id), '') FROM $set WHERE $condition"), $wanted, "$name: $condition");
	is(rows("SELECT count(*) FROM $set WHERE $condition"), scalar @wanted, "$name: … counted");
	return;
}

# ---- values, comparisons ----
OnecTest->part('M1', sub {
	ids('numbers', "amount $_->[0]::numeric", $_->[1], 'M1')
	  for [ "< 'Infinity'", '01 02 03' ], [ "< 'NaN'", '01 02 03' ], [ "> '-Infinity'", '01 02 03' ], [ "> 'Infinity'", '' ],
	  [ "< '-Infinity'", '' ], [ ">= 'NaN'", '' ], [ "<> 'NaN'", '01 02 03' ];
});
OnecTest->part('M2', sub {
	ids('clocks', "at > timestamptz '2025-10-26 00:30+00'", '01', 'M2');
	ids('clocks', "at > timestamptz '2025-10-26 01:30+00'", '', 'M2');
});
OnecTest->part('M3', sub {
	ids('dates', "at <= '0001-01-01'", '', 'M3');
	ids('dates', "at < '0001-01-01'", '', 'M3');
	ids('dates', "at = '0001-01-01'", '', 'M3');
	ids('dates', "at > '0001-01-01'", '01 02 03 04', 'M3');
});
OnecTest->part('M4', sub {
	my $condition = "store NOT IN ('00000005-0000-4000-8000-000000000001', '00000005-0000-4000-8000-00000000dead')";

	ids('stores', $condition, '02', 'M4');
	like(rows("EXPLAIN (VERBOSE) SELECT * FROM stores WHERE $condition"), qr/sent, superset/, 'M4: NOT IN keeps rows without a value');
});
OnecTest->part('M5', sub {
	ids('dates', "(at, amount) < ('2026-03-08', 6)", '01 02', 'M5');
	ids('dates', "(at, amount) > ('2026-03-08 23:59:59', 4)", '03 04', 'M5');
	ids('dates', "(amount, at) <= (5, '2026-03-08 12:00')", '01 02 05', 'M5');
});
OnecTest->part('M6', sub {
	ids('stores', "NOT starts_with(name, 'К')", '02 03 05', 'M6');
	ids('stores', "NOT (starts_with(name, 'К') AND amount = 0)", '02 03 05', 'M6');
});
OnecTest->part('M7', sub {
	ids('dates', 'at > other', '01 04', 'M7');
	ids('dates', 'at <> other', '01 03 04', 'M7');
});
OnecTest->part('text', sub {
	ids('stores', "name <> 'Ключ'", '02 03 04 05', 'text');
	ids('stores', "name = 'ключ'", '02', 'text');
});
OnecTest->part('fraction', sub {
	ids('dates', "at > '2026-03-08 23:59:58.5'", '03 04', 'fraction');
	ids('dates', "at < '2026-03-08 00:00:00.5'", '01 02', 'fraction');
	ids('dates', "at >= '2026-03-08 23:59:59.5'", '04', 'fraction');
});
OnecTest->part('null', sub {
	# a JSON null is no empty value: 1C cannot exclude it
	ids('nulls', 'store IS NOT NULL', '01', 'null');
});

# ---- what is computed from a column ----
OnecTest->part('midnight', sub {
	ids('dates', "at::date $_->[0]", $_->[1], 'midnight')
	  for [ "= '2026-03-08'", '02 03' ], [ "<= '2026-03-08'", '01 02 03' ], [ "< '2026-03-08'", '01' ], [ "> '2026-03-08'", '04' ],
	  [ ">= '2026-03-09'", '04' ], [ "<> '2026-03-08'", '01 04' ];
	ids('dates', "date_trunc('hour', at) = '2026-03-08'", '02', 'midnight');
	ids('dates', "date_trunc('day', at) > '2026-03-08'", '04', 'midnight');
	ids('dates', "date_trunc('day', at) >= '2026-03-07 12:00'", '02 03 04', 'midnight');
});
OnecTest->part('sign', sub {
	ids('dates', '-2 * amount > 10', '01', 'sign');
	ids('dates', '6 - amount > 1', '01 05', 'sign');
	ids('dates', 'amount - 6 > -2', '02 03 04', 'sign');
	ids('dates', '0.5 * (1 - amount) <= -2', '02 03 04', 'sign');
});

# ---- pages ----
my $each_once = "SELECT count(*), count(DISTINCT id) FROM (SELECT * FROM many OFFSET 0) x";

OnecTest->part('M8', sub {
	$stub->mode(ignore => '$filter');
	is(rows("SELECT count(*), count(DISTINCT id), bool_and(good) FROM (SELECT id, at <= lag(at, 1, at) OVER () AS good FROM (SELECT * FROM many ORDER BY at DESC NULLS LAST) y) x"),
		'25|25|t', 'M8: backwards, each row comes once though conditions are ignored');
	rows("SELECT FROM onec.forget_refusals('c')");
	is(rows($each_once), '25|25', 'M8: and forwards');
	$stub->mode(ignore => '');
});
OnecTest->part('M8b', sub {
	$stub->mode(ignore => '$top');
	my ($answer, @asked) = cost('SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many OFFSET 0) x');
	is($answer->{stdout}, '25|25', 'M8b: $top is ignored');
	is(scalar @asked, 2, 'M8b: … one answer is all, and one more request asks what follows');
	$stub->mode(ignore => '');
});
OnecTest->part('windows', sub {
	$stub->mode(refuse => '$filter');
	rows("ALTER SERVER c OPTIONS (SET prefetch '4')");
	is(rows($each_once), '25|25', 'windows: conditions are refused when the first window is asked for');
	rows("ALTER SERVER c OPTIONS (SET prefetch '1'); SELECT FROM onec.forget_refusals('c')");
	$stub->mode(refuse => 'none');
});
OnecTest->part('border', sub {
	# pages of ten end between two rows of one date
	is(rows($each_once), '25|25', 'border: rows of the date at a border come once');
	is(rows('SELECT count(*), count(DISTINCT id) FROM (SELECT * FROM many ORDER BY at DESC NULLS LAST) x'), '25|25', 'border: and backwards');
});
OnecTest->part('document', sub {
	rows("ALTER FOREIGN TABLE lines OPTIONS (SET key 'Doc_Key,LineNumber')");
	is(rows('SELECT count(*), count(DISTINCT (doc, line)) FROM (SELECT * FROM lines OFFSET 0) x'), '14|14',
		'document: lines of one document at a border are told apart');
});
OnecTest->part('one date', sub {
	is(rows('SELECT count(*), count(DISTINCT id) FROM (SELECT * FROM one_day OFFSET 0) x'), '37|37', 'one date: pages of one date');
	is(rows('SELECT count(*), count(DISTINCT id) FROM (SELECT * FROM one_day ORDER BY at DESC NULLS LAST) x'), '37|37', 'one date: backwards');
});
OnecTest->part('M9', sub {
	rows("ALTER SERVER c OPTIONS (SET prefetch '4', SET page_size '100')");
	# who does not look further ahead asks for every minute of three years
	my ($answer, @asked) = cost("SET statement_timeout = '20s'; SELECT count(*), count(DISTINCT id) FROM (SELECT id, at FROM sparse OFFSET 0) x");
	is($answer->{stdout}, '600|600', 'M9: two busy days with three empty years between them');
	cmp_ok(scalar @asked, '<', 60, 'M9: … cost ' . @asked . ' requests');
	rows("ALTER SERVER c OPTIONS (SET prefetch '1', SET page_size '10')");
});
OnecTest->part('list', sub {
	# keys that do not fit into one address, one of them first and last; texts that 1C holds for equal
	my $keys = join ',', map { sprintf "'%08x-0000-4000-8000-%012x'", $_->[0], $_->[1] } [ 0, 3 ], (map { [ 7, $_ ] } 1 .. 60), [ 0, 3 ];
	my $names = join ',', "'Ключ'", (map { "'не имя $_'" } 1 .. 60), "'ключ'";

	rows("ALTER SERVER c OPTIONS (ADD max_url '2000')");
	is(rows("SELECT count(*) FROM stores WHERE id = ANY ('{" . $keys =~ s/'//gr . "}')"), '1', 'list: a key given twice brings its row once');
	is(rows("SELECT count(*) FROM stores WHERE name IN ($names)"), '2', 'list: so do texts that differ in case');
	rows('ALTER SERVER c OPTIONS (DROP max_url)');
});
OnecTest->part('count', sub {
	my ($answer, @asked) = cost("SELECT count(*) FROM dates WHERE at >= '2026-03-08' AND at < '2026-03-09'");
	is($answer->{stdout}, '2', 'count: by 1C');
	is(scalar @asked, 1, 'count: … whose number begins with a byte order mark');
	like($asked[0]->{path}, qr/\$count$/, 'count: … is all that is asked');
});

# ---- the session ----
OnecTest->part('M10', sub {
	$stub->mode(status => 503, times => 1, wait => 3600);
	my ($answer, @asked) = cost('SELECT count(*) FROM (SELECT amount FROM numbers) x');
	is("$answer->{sqlstate} $answer->{stdout}", '00000 3', 'M10: a wait of an hour is not waited for');
	is(scalar @asked, 2, 'M10: … and the request is sent again');
	$stub->mode(status => '', wait => '');
});
OnecTest->part('M10b', sub {
	$stub->mode(status => 406, times => 9);
	my ($answer, @asked) = cost('SELECT amount FROM numbers');
	is($answer->{sqlstate}, 'HV00N', 'M10b: 406 is no session to be had');
	is(scalar @asked, 2, 'M10b: … asked for as often as retries say');
	is(scalar(grep { $_->{query}{'$orderby'} } @asked), 2, 'M10b: … and no refusal of the order');
	$stub->mode(status => '', times => 0);
});
OnecTest->part('exception', sub {
	# one object by its key, for which a smaller page is no way out
	$stub->mode(status => 500, times => 9, code => -1);
	my ($answer, @asked) = cost("SELECT amount FROM numbers WHERE id = '00000000-0000-4000-8000-000000000001'");
	like($answer->{stderr}, qr/Деление на 0/, "exception: in 1C's own code");
	is(scalar @asked, 1, 'exception: … is not asked for again');
	$stub->mode(status => '', times => 0, code => '');
});
OnecTest->part('M12', sub {
	$stub->mode(refuse => '$orderby');
	is(rows("SELECT coalesce(other::text, 'NULL') FROM many ORDER BY other NULLS FIRST LIMIT 1"), 'NULL', 'M12: empty dates first, sorted here');
	is(rows("SELECT string_agg(coalesce(other::text, 'NULL'), ',') FROM (SELECT other FROM many ORDER BY other DESC NULLS LAST LIMIT 2) x"),
		'2026-02-25 00:00:00,2026-02-24 00:00:00', 'M12: or last');
	$stub->mode(refuse => 'none');
	rows("SELECT FROM onec.forget_refusals('c')");
});

# ---- look-up joins ----
OnecTest->part('semi', sub {
	my $only = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;';

	rows("CREATE TABLE key AS SELECT (lpad(n::text, 8, '0') || '-0000-4000-8000-000000000001')::uuid AS k FROM unnest('{5,6}'::int[]) n; ANALYZE key");
	for my $case ([ '', '00000005' ], [ 'NOT ', '00000006' ])
	{
		my $query = "SELECT left(k::text, 8) FROM key WHERE $case->[0]EXISTS (SELECT FROM stores WHERE store = k)";
		is(rows("$only $query"), $case->[1], "semi: $case->[0]EXISTS with two rows of the key");
		like(rows("$only EXPLAIN $query"), qr/Onec Lookup Join/, 'semi: … by a look-up join');
	}
	rows('DROP TABLE key');
});

$stub->stop;
$node->stop;
done_testing();
