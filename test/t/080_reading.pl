# Where a set ends, and what may not be taken for its rows: pages that are short, long, empty, doubled; objects that are no
# rows; properties that are gone; an order that is refused.  A server whose answers are written here sends what 1C never would.
use strict;
use warnings;
use utf8;

use Test::More;
use lib 'test/t';
use OnecTest;

binmode($_, ':encoding(UTF-8)') for (Test::More->builder->output, Test::More->builder->failure_output);

# Catalog_C has no dates; Document_D has four rows a day; Register_L has lines of one recorder, all of one second.  How many rows each
# has, and the lie of the moment, are modes; a lie is told on the page number "on", counted from the last change of modes.
my $stub = OnecTest->stub(<<'PY');
import random
from types import SimpleNamespace

FAR = ["0206-03-04T00:00:00"] * 3 + ["2020-01-01T10:00:%02d" % (i % 60) for i in range(1500)] + ["3999-12-31T00:00:00"] * 2
BUSY = ["2020-01-01T%02d:%02d:00" % (i // 60, i % 60) for i in range(1200)] + ["2023-01-02T%02d:%02d:00" % (i // 60, i % 60) for i in range(1200)]
SOME = ["0001-01-01T00:00:00"] * 3 + ["2020-01-01T10:%02d:00" % (i // 10) for i in range(300)]


def day(i):
    return f"{2010 + i // 336}-{1 + i // 28 % 12:02}-{1 + i % 28:02}T10:00:00"


def dated(dates):
    return [{"Ref_Key": guid(i, 1), "Date": date, "Sum": i} for i, date in enumerate(dates)]


def rows_of(path):
    count = int(mode.get("rows", 2500))
    if path.startswith("Document_D"):
        return dated({"far": FAR, "busy": BUSY, "some": SOME}.get(mode.get("dates")) or [day(i // 4) for i in range(count)])
    if path.startswith("Register_L"):
        return [{"Recorder": guid(7), "LineNumber": str(i), "Period": day(3), "Sum": i} for i in range(count)]
    return [{"Ref_Key": guid(i), "Code": f"{i:05}", "Deleted": False} for i in range(count)]


pages = {}


def page_of(r, lie):
    """The number of this page, counted from the last change of modes; where it matters which page is the second one, those that are read
    ahead may come in any order, and it is the first with its $skip that counts."""
    stamp = tuple(sorted(mode.items()))
    if lie == "again" and "$skip" in r.query:
        stamp += (r.query["$skip"],)
        pages.setdefault(stamp, int(r.query["$skip"]) // int(r.query["$top"]))
    pages[stamp] = pages.get(stamp, 0) + 1
    return pages[stamp]


def lie_about(lie, r, rows, found, top):
    """What is sent in place of the honest page "found"."""
    if lie == "drop":
        return found[:-int(mode["by"])]
    if lie == "longer":
        return serve(SimpleNamespace(path=r.path, query=dict(r.query, **{"$top": str(top + int(mode["by"]))})), rows)
    if lie == "empty":
        return []
    if lie == "errorrow":
        return found[:-1] + [{"odata.error": {"code": "1", "message": {"value": "Мир рухнул"}}}]
    if len(found) < 6 and lie in ("emptyrow", "nullkey", "nokey"):
        return found
    if lie == "doubled" or lie == "twicenoskip" and "$skip" not in r.query:
        return [row for row in found for _ in range(2)]
    if lie == "twice":
        return found[:4] + found[:4] + found[4:-4]
    if lie == "again" and int(r.query.get("$skip", 0)) > 0:
        return serve(SimpleNamespace(path=r.path, query=dict(r.query, **{"$skip": str(int(r.query["$skip"]) - top)})), rows)
    if lie in ("longagain", "longnoskip", "cutnoskip"):
        skip = int(r.query.get("$skip", 0))
        other = {"$top": str(top + int(mode["by"]))} if skip == 0 else {"$skip": str(skip - top if lie == "longagain" else 0)}
        return serve(SimpleNamespace(path=r.path, query=dict(r.query, **other)), rows)
    if lie == "againnull" and 0 < int(r.query.get("$skip", 0)) <= top:
        rows = rows if "Ref_Key" not in r.query["$select"] else [dict(rows[0], Ref_Key=None)] + rows[1:]
        return serve(SimpleNamespace(path=r.path, query={k: v for k, v in r.query.items() if k != "$skip"}), rows)
    if lie == "refused":
        return odata_error(400, 0, "Поле AUTOORDER не найдено")
    if lie == "emptyrow":
        return found[:5] + [{}] + found[6:]
    if lie == "nullkey":
        return found[:5] + [dict(found[5], Ref_Key=None)] + found[6:]
    if lie == "nokey":
        return found[:5] + [{k: v for k, v in found[5].items() if k != "Ref_Key"}] + found[6:]
    if lie == "gone":
        return [{k: v for k, v in row.items() if k != mode["property"]} for row in found]
    if lie == "late":
        return [{k: v for k, v in row.items() if k != mode["property"]} for row in found[:-1]] + found[-1:]
    if lie == "link":
        return 200, {mode["by"]: "Catalog_C?$skiptoken=1", "value": found}
    return found


def answer(r):
    if not r.path:
        return []
    lie, on = mode.get("lie", ""), int(mode.get("on", 0))
    rows, query = rows_of(r.path), dict(r.query)
    if r.path.endswith("/$count") or "(" in r.path:
        found = serve(r, rows)
        if lie == "gone" and isinstance(found, dict):
            found = {k: v for k, v in found.items() if k != mode["property"]}
        return found
    if lie in ("order", "noskiporder") and "$orderby" in query:
        return odata_error(400, 0, "Поле AUTOORDER не найдено")
    if lie == "order":
        random.Random(r.n).shuffle(rows)
    for name in {"noskip": ["$skip"], "notop": ["$top"], "nothing": ["$skip", "$top"], "nofilter": ["$filter"], "capnofilter": ["$filter"]}.get(lie, []):
        query.pop(name, None)
    if lie in ("cap", "capnofilter"):
        query["$top"] = str(min(int(query["$top"]), int(mode["by"])))
    if lie == "capagain":
        skip, asked = int(query.get("$skip", 0)), int(query["$top"])
        query.update({"$top": mode["by"]}, **({"$skip": str(skip - asked)} if skip > asked else {}))
    if lie == "twicenoskip" and 0 < int(query.get("$skip", 0)) <= int(query["$top"]):
        del query["$skip"]
        query["$top"] = str(int(query["$top"]) + int(mode["by"]))
    if lie == "loop" and int(query.get("$skip", 0)) > 0:
        query["$skip"] = str(int(query["$skip"]) % 2000)
    top = int(query.get("$top", 0))
    found = serve(SimpleNamespace(path=r.path, query=query, n=r.n), rows)
    page = page_of(r, lie)
    if lie == "cutnoskip" and page == 1:
        text = json.dumps({"value": found}).encode()
        return 200, iter([text[:len(text) // 2]]), {"Content-Length": str(len(text))}
    return lie_about(lie, r, rows, found, top) if on in (0, page) else found
PY
my $node = OnecTest->node('main');
OnecTest->server($node, $stub, name => 'shop', options => "retries '0', prefetch '0'");
my $one = "ref_key uuid OPTIONS (property 'Ref_Key'), code text OPTIONS (property 'Code'), deleted boolean OPTIONS (property 'Deleted')";
my $two = "ref_key uuid OPTIONS (property 'Ref_Key'), \"date\" timestamp OPTIONS (property 'Date'), \"sum\" int OPTIONS (property 'Sum')";
$node->safe_psql('postgres', qq{
	CREATE FOREIGN TABLE c ($one) SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key');
	CREATE FOREIGN TABLE c1 ($one) SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key', page_size '1000');
	CREATE FOREIGN TABLE c1ahead ($one) SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key', page_size '1000', prefetch '4');
	CREATE FOREIGN TABLE nokey ($one) SERVER shop OPTIONS (entity_set 'Catalog_C', page_size '1000');
	CREATE FOREIGN TABLE lenient ($one) SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key', missing_property 'null');
	CREATE FOREIGN TABLE d ($two) SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key');
	CREATE FOREIGN TABLE d1 ($two) SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key', page_size '1000');
	CREATE FOREIGN TABLE d20 ($two) SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key', page_size '20');
	CREATE FOREIGN TABLE d20skip ($two) SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key', page_size '20', paging 'skip');
	CREATE FOREIGN TABLE d1ahead ($two) SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key', page_size '1000', prefetch '4');
	CREATE FOREIGN TABLE l (recorder uuid OPTIONS (property 'Recorder'), line text OPTIONS (property 'LineNumber'),
		period timestamp OPTIONS (property 'Period'), "sum" int OPTIONS (property 'Sum'))
		SERVER shop OPTIONS (entity_set 'Register_L', key 'Recorder,LineNumber')});

my @last;                    # requests of the last query

# A query after setting modes of the stub: (its text, or SQLSTATE and message; the number of requests).
sub ask
{
	my ($sql, %mode) = @_;

	$stub->mode(lie => '', on => 0, by => 0, rows => 2500, dates => '', property => '', %mode, at => rand);
	$stub->requests;
	my $answer = OnecTest->try_text($node, $sql);
	@last = $stub->requests;
	return ($answer->{sqlstate} eq '00000' ? $answer->{stdout} : "$answer->{sqlstate} $answer->{stderr}", scalar @last);
}

sub answer_is
{
	my ($sql, $mode, $expected, $name) = @_;

	return is((ask($sql, %$mode))[0], $expected, $name);
}

sub answer_like
{
	my ($sql, $mode, $pattern, $name) = @_;

	return like((ask($sql, %$mode))[0], $pattern, $name);
}

sub requests_at_most
{
	my ($sql, $mode, $most, $name) = @_;
	my ($text, $requests) = ask($sql, %$mode);

	return cmp_ok($requests, '<=', $most, $name) || diag(join("\n", $text, map { JSON::PP->new->canonical->encode($_) } @last));
}

sub requests_are
{
	my ($sql, $mode, $expected, $name) = @_;
	my ($text, $requests) = ask($sql, %$mode);

	return is($requests, $expected, $name) || diag("$text\n" . join("\n", map { JSON::PP->new->canonical->encode($_) } @last));
}

# every row, once; what is counted is read, not asked of 1C
my $codes = sub { "SELECT count(code), count(DISTINCT code), max(code) FROM $_[0]" };
my $sums = sub { "SELECT count(\"sum\"), count(DISTINCT \"sum\"), max(\"sum\") FROM $_[0]" };
my @all = ('2500|2500|02499', '2500|2500|2499');
my $readings = 'SELECT relation, pages, rows, page_rows, by_skip, ordered, filtered, whole FROM onec_internal.recent_readings() ORDER BY number';

# ---- rows that come twice, pages that come again ----
my @of_once = ([ 1, '' ], [ 2, ', page 2' ]);

for my $case (map { my $on = $_; map { [ $_, @$on ] } qw(doubled twice) } @of_once)
{
	my ($lie, $on, $where) = @$case;

	for my $table (qw(c1 c1ahead d1 d1ahead))
	{
		my $of_c = $table =~ /^c/;
		my $whole = $of_c ? "SELECT count(ref_key), count(DISTINCT code), max(code) FROM $table" : "SELECT count(ref_key), count(DISTINCT \"sum\"), max(\"sum\") FROM $table";

		answer_is($whole, { lie => $lie, on => $on }, $all[ $of_c ? 0 : 1 ], "L-3, L-6: $lie, its key selected$where: $table");
	}
}
answer_is('SELECT count(*) FROM (SELECT * FROM c1 LIMIT 6) c', { lie => 'doubled', rows => 4 }, '4', 'L-3: the only page');
answer_is("SELECT count(*) FROM (SELECT * FROM c1 OFFSET 0) c; SELECT twice FROM onec_internal.recent_readings() ORDER BY number DESC LIMIT 1",
	{ lie => 'twice', on => 1 }, "2500\n4", 'L-6: it is told how many came twice');
for my $table (qw(c1 c1ahead))
{
	answer_like($codes->($table), { lie => 'doubled', on => 1 }, qr/^HV00K .*differently/, "L-2, L-4: doubled, no key selected: $table");
	answer_is("SELECT count(*), bool_or(deleted) FROM $table", { lie => 'again', on => 2 }, '2500|f', "L-5: the page before again, and its values are those of this one: $table");
	answer_like($codes->($table), { lie => 'again', on => 2 }, qr/^HV00K .*differently/, "L-5: … and they are not: $table");
	answer_like($codes->($table), { lie => 'again' }, qr/^HV00K .*again and again/, "L-5: … always: $table");
}
answer_like('SELECT code FROM c1 LIMIT 5', { lie => 'doubled', on => 1 }, qr/^HV00K /, 'L-2: the reader has enough when the page grows too long');
answer_is('SELECT count(*), bool_or(deleted) FROM (SELECT deleted FROM c1 OFFSET 0) c', {}, '2500|f', 'pages of one value are honest');
requests_are('SELECT count(*), bool_or(deleted) FROM (SELECT deleted FROM c1 OFFSET 0) c', { rows => 9500 }, 10 + 2, '… which costs two requests, however many the pages');
answer_is("CREATE TEMP TABLE k AS SELECT ref_key FROM c1 WHERE code < '00060'; SELECT count(*), count(DISTINCT c.code) FROM k JOIN c1 c USING (ref_key)",
	{ lie => 'nofilter', rows => 100 }, '60|60', 'L-1: a list in parts, and no condition is heeded');

for my $on (2 .. 5)
{
	answer_is($sums->($_), { lie => 'refused', on => $on }, $all[1], "L-8: page $on is refused by chance, windows that begin between dates: $_") for qw(d1 d1ahead);
}
for my $table (qw(d d20 d20skip))
{
	my $whole = 'count("sum"), count(DISTINCT "sum"), min(n) FILTER (WHERE "date" IS NULL)';
	my $rows = sub { "(SELECT *, row_number() OVER () AS n FROM (SELECT * FROM $table ORDER BY \"date\"$_[0] OFFSET 0) o) d" };

	answer_like("SELECT count(*) FROM (SELECT code FROM c1 LIMIT 400) c; SELECT $whole FROM @{[ $rows->($$_[0]) ]}",
		{ lie => 'nofilter', dates => 'some' }, $table eq 'd20' ? qr/^(400\n303\|303\|$$_[1]$|HV000 )/ : qr/^400\n303\|303\|$$_[1]$/,
		"L-9: rows without a date come apart$$_[0], no condition is heeded: $table") for [ '', 301 ], [ ' DESC', 1 ];
	answer_is("SELECT $whole FROM @{[ $rows->('') ]}", { dates => 'some' }, '303|303|301', "L-9: … all are: $table");
}
answer_like($codes->('c1'), { lie => 'againnull', rows => 1500 }, qr/^HV00K .*no row/, 'L-10: a page again, and an empty key when it is asked for with its key');

# ---- readings are told of ----

answer_is("SELECT count(*) FROM (SELECT code FROM c1 OFFSET 0) c; SELECT count(\"sum\") FROM d1; $readings", {},
	"2500\n2500\nc1|3|2500|1000|t|t|t|t\nd1|3|2500|1000|f|t|t|t", 'readings are told of');
answer_is("SELECT count(*) FROM (SELECT code FROM c LIMIT 10) c; $readings", {}, "10\nc|0|10|10|f|t|t|f",
	'a reading that was not finished is told of');
answer_is("SET onec_fdw.page_size = 900; SELECT count(*) FROM (SELECT code FROM c OFFSET 0) c; $readings", {},
	"2500\nc|3|2500|900|t|t|t|t", 'onec_fdw.page_size cuts the pages elsewhere');

# ---- ends of sets ----

for my $by (1, 100, 999)
{
	answer_is($codes->('c1'), { lie => 'drop', on => 1, by => $by }, $all[0], "P5: page 1 lacks $by rows at its end, more follow");
	answer_is($sums->('d1'), { lie => 'drop', on => 1, by => $by }, $all[1], "P5: with dates: page 1 lacks $by rows");
}
answer_is($codes->('c1'), { lie => 'drop', on => 2, by => 1 }, $all[0], 'P5: page 2 lacks one');
answer_is($sums->('d1ahead'), { lie => 'drop', on => 1, by => 1 }, $all[1], 'P5: with dates, read ahead');

for my $table (qw(c1 c1ahead))
{
	answer_is($codes->($table), { lie => 'longer', on => 1, by => 1 }, $all[0], "P6: page 1 of $table has a row too many");
	answer_is($codes->($table), { lie => 'longer', on => 2, by => 37 }, $all[0], "P6: page 2 of $table has 37 too many");
}
for my $table (qw(d1 d1ahead))
{
	answer_is($sums->($table), { lie => 'longer', on => 1, by => 1 }, $all[1], "P6: page 1 of $table has a row too many");
	answer_is($sums->($table), { lie => 'longer', on => 3, by => 37 }, $all[1], "P6: page 3 of $table has 37 too many");
}

for my $cap (1000, 300, 37)
{
	answer_is($codes->('c'), { lie => 'cap', by => $cap }, $all[0], "P7: \$top is capped at $cap");
	answer_is($sums->($_), { lie => 'cap', by => $cap }, $all[1], "P7: with dates ($_): \$top is capped at $cap") for qw(d d1ahead);
	answer_is('SELECT count(line), count(DISTINCT line) FROM l', { lie => 'cap', by => $cap, rows => 1200 }, '1200|1200',
		"P7: rows of one second: \$top is capped at $cap");
	answer_is("SELECT count(*) FROM (SELECT code FROM c LIMIT 2000) c", { lie => 'cap', by => $cap }, 2000, "P7: LIMIT: \$top is capped at $cap");
}
requests_at_most($codes->('c1ahead'), { lie => 'cap', by => 37 }, 2500 / 37 + 12, 'P7: the cap is learned: what is read ahead is used');

answer_is($sums->('d1'), { lie => 'empty', on => 2 }, $all[1], 'P8: an empty page where rows have to come again is asked for again');
answer_is($sums->('d1'), { lie => 'empty', on => 3 }, $all[1], 'P8: likewise the last');
answer_is($codes->('c1'), { rows => 0 }, '0|0|', 'P8: an empty set is empty');

# ---- what that costs honest bases ----

requests_are($codes->('c'), { rows => 6 }, 2, 'a small set at the beginning of a session costs one request more');
requests_are("SELECT count(*) FROM (SELECT code FROM c1 LIMIT 7) c; " . $codes->('c'), { rows => 7 }, 3, '… and as much again if none larger has come');
requests_are("SELECT count(*) FROM (SELECT code FROM c1 LIMIT 8) c; SELECT count(code) FROM c WHERE ref_key IN ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000ffff')",
	{}, 2, '… and nothing once a larger page has come');
requests_are('SELECT count("sum") FROM d', { rows => 4 }, 2, 'rows of one date at the beginning of a session: one request more');
requests_are("SELECT count(code) FROM c WHERE ref_key = ANY ('{00000000-0000-4000-8000-000000000001,00000000-0000-4000-8000-000000000002}')",
	{}, 1, 'keys that all came need no question whether more follow');
requests_are("SELECT code FROM c WHERE ref_key = '00000000-0000-4000-8000-000000000001'", {}, 1, 'a single object neither');
requests_are('SELECT code FROM c LIMIT 5', {}, 1, 'nor does LIMIT');
requests_are($codes->('c1'), {}, 3, 'a set of several pages');
requests_are($sums->('d1'), {}, 3, 'one with dates');

# ---- pages that come again ----

my $again = qr/^HV00K.*sends the same rows of "Catalog_C" again and again/s;
answer_like($codes->('c1'), { lie => 'noskip' }, $again, 'T1: $skip is ignored: an error');
answer_like("SELECT count(deleted) FROM $_", { lie => 'noskip' }, $again, "T1: $_: \$skip is ignored, and no column tells") for qw(c1 nokey);
answer_is("SELECT count(deleted) FROM $_", {}, 2500, "T1: $_: but rows may be alike") for qw(c1 nokey);
answer_like($codes->('c1'), { lie => 'loop', rows => 5000 }, $again, 'T1: pages in a circle: an error');
answer_like('SELECT count(line) FROM l', { lie => 'noskip' }, qr/^HV00K.*again and again/s, 'T1: rows of one second');
requests_at_most('SELECT count(ref_key), count(code) FROM c1', { lie => 'noskip' }, 2, 'T1: at once');
requests_at_most('SELECT count(deleted) FROM c1', { lie => 'noskip' }, 4, 'T1: … after a look at one row of each');
for my $table (qw(c1 c1ahead))
{
	answer_like("SELECT count(ref_key), count(code) FROM $table", { lie => $_, by => 7 }, $again, "T1: $_, behind a page that was too long: $table") for qw(longnoskip longagain);
	answer_like($codes->($table), { lie => 'longnoskip', by => 7 }, qr/^HV00K /, "T1: … no key selected: $table");
	answer_like("SELECT count(ref_key), count(code) FROM $table", { lie => 'longagain', by => $_ }, $again, "T1: … too long by $_: $table") for 999 .. 1001, 1400;
	$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET retries '1')");
	answer_like("SELECT count(ref_key), count(code) FROM $table", { lie => 'cutnoskip' }, $again, "T1: \$skip is ignored behind a page that broke off: $table");
	$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET retries '0')");
}
answer_like("SELECT count(ref_key), count(code) FROM c1", { lie => 'capagain', by => 700 }, $again,
	'T1: $top is capped, and a page begins amid the one before the last');
answer_like("SELECT count(ref_key), count(code) FROM c1", { lie => 'twicenoskip', by => 2 }, $again,
	'T1: $skip is ignored behind a page with all rows twice');
answer_like("SELECT count(*) FROM (SELECT $_ FROM c1 LIMIT 1005) c", { lie => 'noskip' }, $again,
	"T1: LIMIT ends amid a page that came before: $_") for 'code', 'ref_key, code';
answer_like($codes->('c1'), { lie => 'nothing' }, $again, 'T1: neither $top nor $skip is heeded: an error');
answer_is($codes->('c1'), { lie => 'notop' }, $all[0], '$top is ignored: all rows, once');
answer_is($sums->($_), { lie => 'notop' }, $all[1], "\$top is ignored, with dates: all rows of $_, once") for qw(d1 d1ahead);
answer_is('SELECT "sum" FROM d1 ORDER BY "date" DESC, "sum" DESC LIMIT 2', { lie => 'nofilter' }, "2499\n2498", 'M8: descending, $filter is ignored');
answer_is('SELECT count(DISTINCT "sum") FROM (SELECT "sum" FROM d1 ORDER BY "date" DESC NULLS LAST OFFSET 0) d', { lie => 'nofilter' }, 2500, 'M8: … over several pages');
for my $cap (1, 2, 7)
{
	my ($near, $far) = map { "'00000000-0000-4000-8000-" . sprintf('%012x', $_) . "'" } 50, 60;

	answer_is("SELECT string_agg(code, ' ' ORDER BY code) FROM $_ WHERE ref_key IN ($near, $far)", { lie => 'capnofilter', by => $cap, rows => 100 },
		'00050 00060', "M8c: two keys of $_, \$filter is ignored and \$top is capped at $cap: rows of other keys are not these") for qw(c c1);
	requests_are("SELECT code FROM c WHERE ref_key IN ($near, $far)", { lie => 'cap', by => 7, rows => 100 }, 1, 'M8c: … and of an honest base one page does');
}
for my $name ('odata.nextLink', '@odata.nextLink')
{
	answer_is($codes->('c'), { lie => 'link', by => $name, on => 1, rows => 1700 }, '1700|1700|01699', "W13: $name of a page is gone after");
	answer_like($codes->('c'), { lie => 'link', by => $name, rows => 600 }, qr/^HV00K.*only a part/s, "W13: $name where no row follows");
	$stub->mode(lie => 'noskip');
}

# ---- objects that are no rows ----

for my $lie (qw(errorrow emptyrow nullkey nokey))
{
	answer_like('SELECT count(ref_key), count(code) FROM c', { lie => $lie }, qr/^HV00\w/, "P12: $lie is an error");
	answer_like('SELECT count(ref_key), count(code) FROM c', { lie => $lie, rows => 1000 }, qr/^HV00\w/, "P12: $lie on a full page");
}
answer_like('SELECT count(code) FROM c', { lie => $_ }, qr/^HV00\w/, "P12: $_, the key is not wanted") for qw(errorrow emptyrow);
answer_like('SELECT count(code) FROM c', { lie => 'errorrow' }, qr/Мир рухнул/, 'P12: what it says is told');
answer_is('SELECT count(code) FROM c', { lie => 'nokey' }, 2500, 'P12: the key is not wanted, and not missed');

# ---- properties that are gone ----

my $gone = qr/^HV005.*no row of the answer for "\w+" has the property "Code".*missing_property/s;
answer_like('SELECT count(ref_key), count(code) FROM c', { lie => 'gone', property => 'Code' }, $gone, 'P13: a property that no row has');
answer_like('SELECT count(ref_key), count(code) FROM c', { lie => 'gone', property => 'Code', on => 2 }, $gone, 'P13: from page 2 on');
answer_like('SELECT ref_key, code FROM c LIMIT 5', { lie => 'gone', property => 'Code' }, $gone, 'P13: LIMIT stops before the page ends');
answer_like('BEGIN; DECLARE x CURSOR FOR SELECT ref_key, code FROM c; FETCH x; CLOSE x; COMMIT', { lie => 'gone', property => 'Code' }, $gone, 'P13: a cursor is closed before');
answer_like('SELECT sum("sum") FROM d', { lie => 'gone', property => 'Sum', on => 2 }, qr/^HV005.*"Sum"/s, 'P13: with dates');
answer_like('SELECT sum("sum") FROM d', { lie => 'gone', property => 'Date', on => 2 }, qr/^HV005.*"Date"/s, 'P13: the date itself');
answer_is('SELECT count(ref_key), count(code) FROM c', { lie => 'late', property => 'Code', rows => 900 }, '900|1', 'a property that some row has may be absent in others');
answer_is('BEGIN; DECLARE x CURSOR FOR SELECT ref_key IS NULL, code IS NULL FROM c; FETCH x; CLOSE x; COMMIT', { lie => 'late', property => 'Code', rows => 900 }, 'f|t', '… also where LIMIT stops before');
answer_is('SELECT count(ref_key), count(code) FROM lenient', { lie => 'gone', property => 'Code' }, '2500|0', "missing_property 'null'");
answer_is('SELECT count(code) FROM lenient', { lie => 'gone', property => 'Code' }, '0', '… of the only column');
answer_is("SELECT code IS NULL FROM c WHERE ref_key = '00000000-0000-4000-8000-000000000001'", { lie => 'gone', property => 'Code' }, 't', 'a single object reads NULL');
answer_like("ALTER FOREIGN TABLE lenient OPTIONS (SET missing_property 'no')", {}, qr/Use error or null/, 'missing_property has two values');

# ---- years without rows ----

$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET prefetch '4')");
answer_is($sums->('d'), { dates => 'far' }, '1505|1505|1504', 'T5: rows of the years 206 and 3999');
requests_at_most($sums->('d'), { dates => 'far' }, 8, 'T5: the years between cost nothing');
answer_is($sums->('d'), { dates => 'busy' }, '2400|2400|2399', 'M9: a busy day, three empty years, a busy day');
requests_at_most($sums->('d'), { dates => 'busy' }, 14, 'M9: fewer than 15 requests');
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET prefetch '0')");

# ---- an order that is refused ----

answer_is($codes->('c') . "; $readings", { lie => 'order' }, "$all[0]\nc|3|2500|1000000|f|t|t|t", 'P9: no order, another one each time: all at once');
answer_is($sums->('d1') . "; SELECT by_skip, ordered, whole FROM onec_internal.recent_readings()", { lie => 'order' }, "$all[1]\nf|t|t", 'P9: … by dates, where there are some');
answer_is('SELECT count(line), count(DISTINCT line) FROM l', { lie => 'order' }, '2500|2500', 'P9: rows of one second');
answer_is('SELECT count(deleted) FROM nokey', { lie => 'order' }, '2500', 'P9: rows that are alike');
answer_is('SELECT code FROM c ORDER BY code COLLATE "C" LIMIT 2', { lie => 'order' }, "00000\n00001", 'P9: sorted here');
answer_is($codes->('c'), { lie => 'order', rows => 7 }, '7|7|00006', 'P9: a small set');

done_testing();
