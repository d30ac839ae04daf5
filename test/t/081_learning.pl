# What a base is held to refuse: only what 1C itself says, tried both ways.  Gateways, locks and lost sessions teach nothing.
use strict;
use warnings;
use utf8;

use JSON::PP ();
use Test::More;
use lib 'test/t';
use OnecTest;

binmode($_, ':encoding(UTF-8)') for (Test::More->builder->output, Test::More->builder->failure_output);

# Catalog_C has no date, Document_D has one.  Without $orderby rows come in another order each time.  "rules" is a list of faults:
# like (in the decoded address), times, status, body, html, error ([code, text]).
my $stub = OnecTest->stub(<<'PY');
import random
from urllib.parse import unquote

rules, known = [], ""


def rows_of(name):
    if name == "Document_D":
        return [{"Ref_Key": guid(i, 1), "Date": f"2024-{1 + i // 4 // 28 % 12:02}-{1 + i // 4 % 28:02}T10:00:00", "Sum": i,
                 "RecordType": ("Receipt", "Expense")[i % 2], "Note": f"n{i % 7}"} for i in range(1300)]
    return [{"Ref_Key": guid(i), "Code": f"{i:05}", "RecordType": ("Receipt", "Expense")[i % 2]} for i in range(2500)]


def fault(rule):
    headers = {"Retry-After": "0"}
    if "error" in rule:
        status, body = odata_error(rule["status"], *rule["error"])
        return status, body, headers
    if "html" in rule:
        return rule["status"], f"<html><body>{rule['html']}</body></html>", headers | {"Content-Type": "text/html"}
    return rule["status"], rule.get("body", ""), headers


def strip(text):
    """Without the calls that serve() does not know: the rows are a superset then."""
    return re.sub(r"(and )?(\w+\([^()]*\))( and)?", "", text).strip()


def answer(r):
    global rules, known
    if mode.get("rules", "[]") != known:
        known = mode.get("rules", "[]")
        rules = json.loads(known)
    address = unquote(r.url)
    for rule in rules:
        if re.search(rule["like"], address) and rule.get("times", 1000) > 0:
            rule["times"] = rule.get("times", 1000) - 1
            return fault(rule)
    if "$filter" in r.query:
        r.query["$filter"] = strip(r.query["$filter"])
        if not r.query["$filter"]:
            del r.query["$filter"]
    rows = rows_of(r.path.split("/")[0].split("(")[0])
    if "$orderby" not in r.query:
        random.shuffle(rows)
    return serve(r, rows)
PY
my $node = OnecTest->node('main');
my $turn = 0;

OnecTest->server($node, $stub, name => 'shop', options => "retries '1', prefetch '0'");
$node->safe_psql('postgres', q{
	CREATE FOREIGN TABLE c (ref_key uuid OPTIONS (property 'Ref_Key'), code text OPTIONS (property 'Code'),
		recordtype text OPTIONS (property 'RecordType', edm_type 'String')) SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key');
	CREATE FOREIGN TABLE b (code text OPTIONS (property 'Code', edm_type 'String'),
		recordtype text OPTIONS (property 'RecordType', edm_type 'String'))
		SERVER shop OPTIONS (entity_set 'AccumulationRegister_R', function 'Balance', dimensions 'Code,RecordType');
	CREATE FOREIGN TABLE d (ref_key uuid OPTIONS (property 'Ref_Key'), "date" timestamp OPTIONS (property 'Date'),
		"sum" int OPTIONS (property 'Sum'), recordtype text OPTIONS (property 'RecordType', edm_type 'String'), note text OPTIONS (property 'Note', edm_type 'String'))
		SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key')});

# The stub's faults from now on; "turn" makes each list a new one.
sub rules
{
	my $text = JSON::PP->new->utf8->encode([ @_, { like => 'never' . ++$turn } ]);

	$text =~ s/([^A-Za-z0-9])/sprintf('%%%02X', ord $1)/ge;
	$stub->mode(rules => $text);
	$stub->requests;
	return;
}

# What statements in one new backend print, and in @asked what they asked.
my @asked;

sub play
{
	my ($sql, @rules) = @_;

	rules(@rules);
	my $answer = OnecTest->try_text($node, $sql);
	@asked = $stub->requests;
	return $answer->{sqlstate} eq '00000' ? $answer->{stdout} : "$answer->{sqlstate} $answer->{stderr}";
}

# How many of the requests had the option.
sub with
{
	my ($option) = @_;

	return scalar grep { exists $_->{query}{$option} } @asked;
}

my $learned = "SELECT string_agg(capability || ' ' || condition, ',' ORDER BY 1) FROM onec.session_refusals()";
my $count = 'SELECT count(DISTINCT ref_key) FROM (SELECT ref_key FROM c OFFSET 0) c';

# ---- passing failures ----

my $page = 'The request could not be served';
my @passing = (
	(map { { status => $_, html => "$page: AUTOORDER, \$orderby" } } 402, 405, 407, 409 .. 412, 421, 423, 425, 451, 501, 500, 502, 503),
	(map { { status => $_ } } 400, 402, 423, 500, 501),
	{ status => 400, html => '<center><h1>400 Bad Request</h1></center><hr><center>nginx</center>' },
	(map { { status => 400, error => $_ } } [ -1, 'Сбой' ], [ 0, 'Сбой' ], [ -1, 'Сеанс отсутствует или удален' ]),
	{ status => 500, error => [ 0, 'Конфликт блокировок при выполнении транзакции' ] },
	{ status => 423, body => '{"error":{"code":"14","message":"$orderby"}}' });

for my $case (@passing)
{
	my $name = join ' ', map { ref $case->{$_} ? "@{ $case->{$_} }" : $case->{$_} } sort keys %$case;

	is(play("$count; $learned", { like => 'Catalog_C', times => 1, %$case }), "2500\n", "P1, P2: $name, once: every row, nothing learned");
	is(with('$orderby'), scalar @asked, "P2: $name: the order is asked for each time") unless $case->{status} >= 500;
}
like(play("$count; $learned", { like => 'Catalog_C', status => 423, html => $page }), qr/^HV00M .*request failed.*$page/s,
	'P1: one that does not pass is an error');
is(scalar @asked, 2, '… after as many tries as the option says');

# page 2, and a scan that has to keep its filter afterwards
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (ADD page_size '500')");
is(play("SELECT count(note) FROM d; SELECT count(note) FROM d WHERE \"sum\" > 1200; $learned",
	{ like => 'Document_D.*filter', times => 1, status => 423, html => $page }), "1300\n99\n",
	'P3: 423 on page 2 of a scan without WHERE: every row, no refusal');
ok((grep { ($_->{query}{'$filter'} // '') =~ /Sum gt 1200/ } @asked), 'P3: … and the next query has its condition sent');
$node->safe_psql('postgres', 'ALTER SERVER shop OPTIONS (DROP page_size)');
is(play("SELECT count(*) FROM c; SELECT count(*) FROM c; $learned", { like => '/\$count', times => 1, status => 423, html => $page }),
	"2500\n2500\n", 'P3: 423 on /$count: the number');
is(scalar @asked, 3, '… asked for once more, and in the next query');
is(play("SELECT count(*) FROM c; SELECT count(*) FROM c; $learned", { like => '/\$count', times => 2, status => 404, html => $page }),
	"2500\n2500\n", 'P3: a page in place of the number: the rows are counted, nothing is learned');

is(play("$count; $count; SELECT onec.remember_refusals('shop'); $learned",
	{ like => 'Catalog_C', times => 1, status => 502, html => $page }), "2500\n2500\n0\n", 'P4: a 502 page leaves no trace');
is($asked[1]{query}{'$top'}, 500, 'P4: pages of that reading are halved');
is((grep { !exists $_->{query}{'$skip'} } @asked[ 2 .. $#asked ])[0]{query}{'$top'}, 1000, '… and of no other');
my $total = 0;
for (1 .. 5)
{
	play($count, { like => 'Catalog_C', times => 1, status => 502, html => $page });
	$total = @asked;
}
cmp_ok($total, '<=', 8, 'P4: nor of sessions to come');

my $key = "SELECT count(*) FROM c WHERE ref_key = '00000000-0000-4000-8000-00000000ffff'";
is(play($key), 0, 'a key that 1C does not know is no row');
like(play($key, { like => 'Catalog_C', status => 404, body => '{"error":{"code":"9","message":"x"}}' }), qr/^HV00R /,
	'P14: 404 with another error than odata.error is an error');
like(play($key, { like => 'Catalog_C', status => 404, html => 'odata.error 9' }), qr/^HV00R /, 'P14: so is a page');

# ---- refusals ----

my $autoorder = [ -1, 'Ошибка при выполнении запроса: AUTOORDER' ];
my $order = { like => 'Catalog_C.*orderby', status => 500, error => $autoorder };

play("$count; $learned", $order);
is(join(' ', map { exists $_->{query}{'$orderby'} ? 'ordered' : 'not' } @asked[ 0 .. 2 ]), 'ordered not ordered',
	'a refused order is tried both ways');
like(play("$count; $learned; $learned", $order), qr/\norder \norder $/, '… and remembered');
for my $how ({ status => 500, body => '{"exception":{"descr":"x","inner":{"descr":"AUTOORDER"}}}' },
	{ status => 400, body => '<m:error xmlns:m="m"><m:code>14</m:code><m:message>$orderby</m:message></m:error>' },
	{ status => 500, html => '1C:Enterprise 8 application error: Операция не разрешена' })
{
	my $said = $how->{body} // $how->{html};
	like(play("$count; $learned", { like => $order->{like}, %$how }), qr/\norder $/, "so it is said as $said");
}
is(play("$count; $learned", { %$order, times => 1 }), "2500\n", 'a refusal that is not repeated: every row, nothing learned');
is(scalar(grep { !exists $_->{query}{'$orderby'} } @asked), 1, '… and the reading goes on in order');
is(play("$count; $learned", { like => 'Catalog_C', times => 2, status => 500, error => $autoorder }) =~ s/^HV00M .*/error/sr, "2500\n",
	'refused with the order and without it, then answered: nothing learned') or diag(explain(\@asked));

like(play("SELECT count(*) FROM c; SELECT count(*) FROM c; $learned", { like => '/\$count', status => 404, error => [ 6, 'Метод не найден' ] }),
	qr/^2500\n2500\ncount $/, 'a count that 1C has not is learned');
is(scalar(grep { $_->{path} =~ /count/ } @asked), 2, '… after two tries');

# ---- a condition never fails a query ----

my $types = [ -1, 'Неверные параметры "endswith": несоответствие типов' ];
my $enum = { like => "endswith", status => 500, error => $types };
my $want = play("SELECT count(note) FROM d WHERE recordtype LIKE '%pt' AND \"sum\" >= 700");
my $query = "SELECT count(note) FROM d WHERE recordtype LIKE '%pt' AND \"sum\" >= 700";

is($want, 300, 'rows by a text function');
is(play("$query; $learned", $enum), "300\ncondition endswith(RecordType, ?)", 'W11: a function that is refused is left out, and remembered');
ok(!(grep { ($_->{query}{'$filter'} // '') !~ /Sum ge 700/ } @asked), 'W11: … and the other condition is sent always');
is(scalar @asked, 3, 'W11: with, without, with again');
my $first = play("$query \\g /dev/null\nSELECT onec.remember_refusals('shop')", $enum);
is($first, 1, 'it is remembered for others');
is(play("$query; SELECT count(note) FROM d WHERE recordtype LIKE '%se' AND note = 'n1'", $enum) =~ tr/\n/ /r, '300 93',
	'W11: another session, another value');
is(scalar(grep { ($_->{query}{'$filter'} // '') =~ /endswith/ } @asked), 0, '… does not ask for it');
my $plan = play("EXPLAIN (VERBOSE) $query");
unlike($plan, qr/endswith\(/, 'W11: EXPLAIN shows the request without it');
like($plan, qr/recordtype ~~ .*local, 1C refuses it/, '… and says why');
like($plan, qr/Request: .*Sum ge 700/, '… with the rest');
$node->safe_psql('postgres', "UPDATE onec_internal.refusal SET found_at = now() - interval '25 hours'");
is(play("$query; $learned"), "300\n", 'what was learned a day ago is tried again');
is(scalar(grep { ($_->{query}{'$filter'} // '') =~ /endswith/ } @asked), scalar @asked, '… at the first chance');
is($node->safe_psql('postgres', "SELECT onec.forget_refusals('shop')"), 1, 'a full reading forgets it');

# how large pages are is remembered, too
my $few = "SELECT count(note) FROM d WHERE \"sum\" >= 900";
my $pages = 'SELECT count(*) FROM onec_internal.largest_page';

play($few);
is(scalar @asked, 2, 'P1: in a session that has seen no larger page one more request asks what follows');
play("SELECT count(note) FROM d; SELECT onec.remember_refusals('shop')");
is($node->safe_psql('postgres', "SELECT rows FROM onec_internal.largest_page"), 1000, 'P1: the largest page is remembered');
play($few);
is(scalar @asked, 1, 'P1: … so that new sessions need not ask');
$node->safe_psql('postgres', "UPDATE onec_internal.largest_page SET seen_at = now() - interval '25 hours'");
play($few);
is(scalar @asked, 2, 'P1: … for a day');
play("SELECT count(note) FROM d; SELECT onec.remember_refusals('shop')");
$node->safe_psql('postgres', "UPDATE onec_internal.largest_page SET base = base + 1");
play($few);
is(scalar @asked, 2, 'P1: … of the address where it was seen');
play("SELECT count(note) FROM d; SELECT onec.remember_refusals('shop')");
is($node->safe_psql('postgres', "$pages; SELECT onec.forget_refusals('shop'); $pages"), "1\n0\n0", 'P1: … unless refusals are forgotten');
play("SELECT count(note) FROM d; SELECT onec_internal.forget_session_refusals('shop'); $few");
is(scalar(grep { ($_->{query}{'$filter'} // '') =~ /Sum ge 900/ } @asked), 2, 'P1: … by this session, too');

for my $case ([ "recordtype LIKE '%pt'", 650 ], [ "recordtype LIKE '%pt' AND note LIKE '%1'", 93, 'note' ],
	[ "recordtype LIKE '%pt' AND note LIKE '%1' AND \"sum\" >= 700", 43, 'note' ],
	[ "(recordtype LIKE '%pt' OR note = 'n1') AND \"sum\" >= 700", 343 ])
{
	my ($where, $rows, $note) = @$case;
	my $result = play("SELECT count(note) FROM d WHERE $where; $learned; SELECT count(note) FROM d WHERE $where", $enum);

	like($result, qr/^$rows\ncondition .*endswith\(RecordType, \?\).*\n$rows$/, "W11: $where");
	like($result, qr/endswith\(Note, \?\)/, '… both of them') if $note;
	is((grep { ($asked[$_]{query}{'$filter'} // '') =~ /endswith/ } 0 .. $#asked)[-1] < $#asked, 1, '… and no more in the second query');
	ok(($asked[-1]{query}{'$filter'} // '') =~ /Sum ge 700/, '… where the rest is sent') if $where =~ /sum/;
}
like(play("SELECT count(code) FROM c WHERE recordtype LIKE '%pt'; $learned", $enum), qr/^1250\ncondition endswith\(RecordType, \?\)$/,
	'W11: a set without dates');
is(play("SELECT count(*) FROM c WHERE recordtype LIKE 'R%'; $learned",
	{ like => 'startswith', status => 500, error => [ -1, 'Неверные параметры "startswith"' ] }) =~ s/\n.*//sr, 1250, 'W11: a count');
is(play("SELECT count(note) FROM d WHERE \"sum\" > 1200; SELECT count(note) FROM d WHERE note = 'n1'; $learned",
	{ like => 'filter', status => 500, error => $autoorder }), "99\n186\nfilter ", 'a base that refuses every condition is known by that');
my $balance = "SELECT count(code) FROM b WHERE recordtype LIKE '%pt' AND code >= '01'";
like(play("$balance; $balance; $learned", $enum), qr/^750\n750\ncondition endswith\(RecordType, \?\)$/, 'W11: the condition of a virtual table');
is(scalar @asked, 4, '… tried both ways once');
unlike(play("EXPLAIN (VERBOSE) $balance", $enum) =~ s/.*?(1C Request.*)/$1/sr, qr/1C refuses/, '… and by this session not yet');
like(play("$query; $learned", { like => 'endswith', status => 500, error => [ -1, 'Ошибка в модуле' ] }), qr/^HV00M .*Ошибка в модуле/s,
	'an error that names nothing is an error');
is(play("$query; $learned", { like => 'endswith', times => 1, status => 500, error => $types }), "300\n",
	'W11: refused once and not again: nothing learned');

$node->stop;
done_testing();
