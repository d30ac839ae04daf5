# Proof before deletion: what a reading lacks leaves the store only if 1C says so in other ways as well.  The base is a stub that
# publishes what the demo 1C does, over few rows, and lies as the mode says.
use strict;
use warnings;
use utf8;

use OnecBase;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = OnecTest->node('proof', conf => "statement_timeout = '60s'\n");
my $stub = OnecTest->stub("DIR = '$dir'\n" . <<'PY');
import random
from types import SimpleNamespace

def lying():
    """Whether this list is to be a lie: always, or so often as "left" says."""
    left = int(mode.get("left", -1))
    if left > 0:
        mode["left"] = str(left - 1)
    return left != 0 and mode.get("lie", "") != ""

def answer(r):
    if r.path in ("", "$metadata"):
        kind = "application/xml" if r.path else "application/json;charset=utf-8"
        return 200, open(f"{DIR}/{r.path or 'root'}", "rb").read(), {"Content-Type": kind}
    with open(f"{DIR}/rows", encoding="utf-8") as file:
        sets = json.load(file)
    rows = sets.get(r.path.split("/")[0].split("(")[0], [])
    if re.search(r"/(Balance|Turnovers|SliceLast)", r.path):
        return []
    if mode.get("lie") == "nothing":
        return serve(r, [])
    asked = "Ref_Key eq" in r.query.get("$filter", "") or "(guid" in r.path
    counting = r.path.endswith("/$count")
    lie = mode.get("lie", "")
    some = [row for row in rows if int(row.get("Ref_Key", row.get("Recorder"))[-12:], 16) % 5 > 1]
    if counting:
        if lie.startswith("nocount"):
            return odata_error(400, 0, "$count не поддерживается")
        if lie == "either" and " or " in r.query.get("$filter", ""):
            return odata_error(400, 14, "Ошибка при разборе опции запроса $filter")
        return serve(r, some if lie in ("dropcount", "hide") else rows)
    if lie == "nocountcap":
        return serve(SimpleNamespace(path=r.path, query=dict(r.query, **{"$top": str(min(4, int(r.query.get("$top", 4))))})), rows)
    if "$orderby" in r.query and lie == "shuffle":
        return odata_error(500, -1, "AUTOORDER: $orderby не поддерживается")
    if asked:
        return serve(r, some if lie == "hide" else rows)
    if not lying():
        return serve(r, rows)
    if lie == "empty":
        return []
    if lie == "hole" and int(r.query.get("$skip", 0)) > 0:
        return []
    if lie in ("drop", "dropcount", "hide", "nocountdrop"):
        return serve(r, some)
    if lie == "other":
        return serve(r, [dict(row, Ref_Key=guid(int(row["Ref_Key"][-12:], 16), 77)) for row in rows])
    if lie == "shuffle":
        rows = random.sample(rows, len(rows))
    found = serve(r, rows)
    if lie == "lacking" and found:
        return [{k: v for k, v in row.items() if i % 2 or k not in ("Description", "Номенклатура_Key")} for i, row in enumerate(found)]
    if lie == "double" and found:
        return found + found[-1:]
    if lie == "differ" and found:
        return found + [dict(found[0], **{"Description": "иная"} if "Ref_Key" in found[0] else {"Сумма": 7})]
    return found
PY
OnecTest->describe($dir);
OnecTest->server($node, $stub, name => 'shop', options => "timezone 'UTC', retries '0', page_size '50', prefetch '0'");

sub rows { return OnecTest->rows($node, @_); }

my %base;

sub base
{
	%base = (%base, @_);
	return hold($dir, %base);
}

# A sync under a lie ("left": only so many lists of it): the status of the run.
sub sync
{
	my ($how, %mode) = @_;

	$stub->mode(lie => '', left => -1, %mode);
	$stub->requests;
	my $r = OnecTest->try_text($node, "CALL onec.sync('shop', $how)");
	$stub->mode(lie => '', left => -1);
	diag($r->{stderr}) if $r->{sqlstate} ne '00000';
	return rows("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1");
}

my $live = "SELECT count(*) FILTER (WHERE NOT is_deleted) || ' of ' || count(*) FROM onec.discount_card";
my $only_cards = "steps => '{cards}'";

base($cards => [ map { card($_) } 1 .. 150 ]);
rows("SELECT FROM onec.setup('shop')");

# ---- catalogs ----
is(sync($only_cards), 'ok', 'cards are read');
my $quiet = $stub->requests;
is(rows($live), '150 of 150', 'all of them');
sync($only_cards);
is(scalar($stub->requests), $quiet, 'a reading that lacks nothing asks for nothing more');

for my $case (
	[ 'P8', 'empty', 'an empty list in place of a full set' ],
	[ 'P8', 'hole', 'an empty page in the middle' ],
	[ 'P20', 'drop', 'two fifths of the rows missing from the answer' ],
	[ 'P20', 'dropcount', 'and from the count, but not when asked for by key' ],
	[ 'P20', 'nocountdrop', 'where 1C does not count' ],
	[ 'another base', 'other', 'a set of which no key is here' ])
{
	my ($id, $lie, $what) = @$case;
	my $known = rows('SELECT count(*) FROM onec.discount_card');

	is(sync($only_cards, lie => $lie), 'incomplete', "$id: $what: the run says it is incomplete");
	is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted AND card_id::text LIKE '00000005%'"), '0', "$id: … and no card is taken for deleted");
	is(rows("SELECT code, found FROM onec.data_quality WHERE code = 'Q11'") =~ /^Q11\|[1-9]/ ? 1 : 0, 1, "$id: … data_quality tells of it");
	is(sync($only_cards), 'ok', "$id: … the next run is complete");
	is(rows("SELECT count(*) FROM onec.data_quality WHERE code = 'Q11'"), '0', "$id: … and nothing is left in doubt");
}
is(sync($only_cards, lie => 'other'), 'incomplete', "another base for good, run $_") for 1, 2;
is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted OR card_id::text LIKE '0000004d%'"), '0',
	'another base: nothing of it was written, lest the next answer have a key that is here');
for my $case ([ 'P8', 'empty', 1 ], [ 'P20', 'drop', 2 ])
{
	is(sync($only_cards, lie => $case->[1], left => $case->[2]), 'ok', "$case->[0]: $case->[1], once: read again, and well");
	is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted AND card_id::text LIKE '00000005%'"), '0', '… nothing is deleted');
}
for my $time (1 .. 3)
{
	sync($only_cards, lie => 'shuffle');
	is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted AND card_id::text LIKE '00000005%'"), '0', "P9: no order, shuffled pages, $time: nothing is deleted");
	rows("SELECT onec.forget_refusals('shop')");
}

# what is gone is gone, at three requests more
base($cards => [ map { card($_) } 2 .. 150 ]);
is(sync($only_cards), 'ok', 'a card that 1C has no more');
my $proving = $stub->requests;
is(rows("SELECT string_agg(code, ' ') FROM onec.discount_card WHERE is_deleted AND card_id::text LIKE '00000005%'"), '1', '… and marked');
sync($only_cards);
is($proving - $stub->requests, 3, '… by two counts and a question more');
base($cards => [ map { card($_) } 61 .. 150 ]);
is(sync($only_cards, lie => 'nocount'), 'ok', 'where 1C does not count and sixty are gone');
is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted AND card_id::text LIKE '00000005%'"), '60', '… a second reading proves it');
base($cards => []);
is(sync($only_cards), 'incomplete', 'a set that is empty is not believed');
is(sync("$only_cards, force => true"), 'ok', '… but with force');
is(rows("SELECT count(*) FROM onec.discount_card WHERE NOT is_deleted"), '0', '… its cards are marked');

# ---- keys that come twice ----
base($cards => [ map { card($_) } 1 .. 20, 151 ]);
is(sync($only_cards, lie => 'double'), 'ok', 'P10: a new row that comes twice');
is(rows($live) =~ /^21 of/ ? 1 : 0, 1, 'P10: … is one');
base($cards => [ map { card($_) } 1 .. 20 ]);
is(sync($only_cards), 'ok', 'P10: … and goes as any other');
is(sync($only_cards, lie => 'differ', left => 1), 'ok', 'P21: a key that is here comes with two contents, once');
is(rows("SELECT count(*) FROM onec.discount_card WHERE description = 'иная'"), '0', 'P21: … the second reading holds');
is(sync($only_cards, lie => 'differ'), 'ok', 'P21: always');
is(rows("SELECT count(*) FROM onec.discount_card WHERE description = 'иная'"), '0', 'P21: … what is here stays');
is(rows("SELECT found FROM onec.data_quality WHERE code = 'Q12'"), '1', 'P21: … and is reported');
is(sync($only_cards), 'ok', 'P21: later there is one');
is(rows("SELECT count(*) FROM onec.data_quality WHERE code = 'Q12'"), '0', 'P21: … and nothing to report');

# ---- rows without a property that others have ----
my $names = "SELECT count(*) || ' ' || count(description) || ' ' || min(code) FROM onec.discount_card WHERE NOT is_deleted";
my $named = rows($names);
my $kinds = "SELECT coalesce(string_agg(DISTINCT kind, ' '), '') FROM onec_internal.sync_doubt";

base($cards => [ map { card($_, Code => "Н$_") } 1 .. 20 ]);
is(sync($only_cards, lie => 'lacking'), 'incomplete', 'P13: every other card comes without its name: the run is incomplete');
is(rows($names) =~ s/Н//r, $named, 'P13: … no name is emptied, what else came is written');
is(rows($kinds), 'hole', 'P13: … and the reason is known');
is(rows("SELECT found FROM onec.data_quality WHERE code = 'Q13'"), '10', 'P13: … and reported');
base($cards => [ map { card($_, Code => "Н$_", $_ == 7 ? (Description => undef) : ()) } 1 .. 20 ]);
is(sync($only_cards), 'ok', 'P13: later all have it');
is(rows($kinds), '', 'P13: … nothing is left in doubt');
is(rows("SELECT string_agg(code, ' ') FROM onec.discount_card WHERE description IS NULL AND NOT is_deleted"), 'Н7', 'P13: … and a null that 1C says empties');
base($cards => [ map { card($_) } 1 .. 20 ]);
is(sync($only_cards), 'ok', 'cards as before');

# ---- lines ----
my $purchases = "steps => '{purchases}', full_reload => true";
my @lines = map { my $day = $_; map { sale($day * 10 + $_, 1, sprintf('2025-03-%02dT10:00:00', $day)), sale($day * 10 + $_, 2, sprintf('2025-03-%02dT10:00:00', $day)) } 0 .. 4 } 1 .. 20;
my $sum = "SELECT count(*) || ' ' || sum(amount)::int FROM onec.sale_line";

base($sales => \@lines);
is(sync($purchases), 'ok', 'lines are read');
{
	my $lines = 'SELECT count(*) FROM onec.sale_line';
	my ($before, $cards) = (rows($lines), rows($live));

	for my $what ([ "steps => '{purchases}', days => 9000", 'windows' ], [ $only_cards, 'a catalog' ], [ $purchases, 'windows, all anew' ])
	{
		isnt(sync($what->[0], lie => 'nocountcap'), 'failed', "P7: pages are cut to four rows, where a larger one has come, and 1C does not count: $what->[1]");
		is(rows($lines) . ', ' . rows($live), "$before, $cards", 'P7: … nothing is deleted, however alike two readings are');
		sync($what->[0]);
	}
}
is(rows($sum), '200 20000', 'all of them');
is(sync($purchases, lie => 'lacking'), 'incomplete', 'P13: every other line comes without its product');
is(rows("SELECT count(*) FROM onec.sale_line WHERE product_id IS NULL"), '0', 'P13: … and keeps it');
base($sales => [ map { $_->{Recorder} eq guid(1, 50) ? () : { %$_, Сумма => 200 } } @lines ]);
is(sync($purchases, lie => 'drop'), 'incomplete', 'P20: documents missing from every list: the run is incomplete');
is(rows($sum), '200 20000', 'P20: … each day that would lose rows is as it was');
my $later = [ @{ $base{$sales} }, sale(300, 1, '2025-04-02T10:00:00'), sale(302, 1, '2025-04-03T10:00:00') ];
base($sales => $later);
is(sync($purchases, lie => 'drop'), 'incomplete', 'rows of another day');
is(rows("SELECT count(*) FROM onec.sale_line WHERE period >= '2025-04-01'"), '1', '… go in');
is(rows("SELECT complete_from FROM onec.sync_state WHERE target = 'sale_line'"), '0001-01-01 00:00:00', 'what is complete is known as before');
is(sync("steps => '{purchases}', days => 3"), 'ok', 'the next run, of three days, reads the months in doubt again');
is(rows("$sum WHERE period < '2025-04-01'"), '198 39600', '… and they are as in 1C');
is(sync($purchases), 'ok', 'a full run');
is(rows($sum), '200 39800', '… has what no list had');
is(sync($purchases, lie => 'nothing'), 'incomplete', 'P8: every list is empty and every number 0');
is(rows($sum), '200 39800', 'P8: … a month of two rows stays as one of two hundred does');
base($sales => [ map { $_->{Recorder} eq guid(1, 51) ? ($_->{LineNumber} == 1 ? { %$_, Period => '2025-03-06T12:00:00' } : ()) : $_ } @$later ]);
is(sync($purchases), 'ok', 'a document posted anew with another date and one line less');
is(rows("SELECT string_agg(line_no || ' ' || period, ', ') FROM onec.sale_line WHERE recorder = '" . guid(1, 51) . "'"), '1 2025-03-06 12:00:00', '… is whole');

base($sales => [ @lines, sale(10, 2, '2025-03-01T10:00:00', Сумма => 5), sale(11, 2, '2025-03-01T10:00:00') ]);
is(sync($purchases), 'ok', 'P11: a line number twice within a document');
is(rows("SELECT string_agg(copy || ' ' || amount::int, ', ' ORDER BY copy) FROM onec.sale_line WHERE line_no = 2 AND recorder = '" . guid(1, 10) . "'"), '0 100, 1 5', 'P11: … both are kept under a number');
is(rows($sum), '201 20005', 'P11: … and one that is alike is one');
is(rows("SELECT found FROM onec.data_quality WHERE code = 'Q12'"), '1', 'P11: … reported');
my $once = $stub->requests;
is(sync($purchases), 'ok', 'P11: again');
is(rows("SELECT sum(rows_inserted + rows_updated + rows_deleted) FROM onec.sync_status WHERE step = 'purchases'"), '0', 'P11: … nothing is written');
base($sales => [ grep { $_->{Recorder} ne guid(1, 20) } @{ $base{$sales} } ]);
is(sync($purchases), 'ok', 'P11: a document is deleted beside');
is(rows($sum), '199 19805', 'P11: … and proven by the rows, not the keys');

my $windows = "{[2025-03-01,2025-03-03),[2025-03-05,2025-03-06),[2025-04-01,infinity)}";
my $counted = "SELECT onec_internal.count_window_in_1c('shop', 'sale_line', '$windows')";
my $there = grep { $_->{Period} =~ /-03-0[125]T/ } @{ $base{$sales} };
$stub->requests;
is(rows($counted), $there, 'windows that do not touch are counted');
is(scalar(grep { $_->{path} =~ /count$/ } $stub->requests), 1, '… by one request');
$stub->mode(lie => 'either');
is(rows($counted), $there, '… and where 1C does not take them together, one by one');
$stub->mode(lie => '');
is(rows("SELECT onec_internal.count_window_in_1c('shop', 'sale_line', '{}')"), '0', '… none at all without a request');

# ---- a limit of cards (L10) ----
base($cards => [ map { card($_) } 1 .. 20 ]);
sync($only_cards);
base($cards => [ map { card($_) } 1 .. 6, 8 .. 20 ]);
my $ok_at = rows("SELECT last_ok FROM onec.sync_state WHERE target = 'discount_card'");
sync("$only_cards, cards_limit => 8");
is(rows("SELECT last_ok = '$ok_at' FROM onec.sync_state WHERE target = 'discount_card'"), 't', 'L10: a part is no complete reading');
sync("$only_cards, cards_limit => 8");
is(rows("SELECT count(*) FROM onec.discount_card WHERE is_deleted AND code = '7' AND card_id::text LIKE '00000005%'"), '0', 'L10: within the round nothing is deleted');
is(sync("$only_cards, cards_limit => 8"), 'ok', 'L10: the round ends');
is(rows("SELECT string_agg(code, ' ') FROM onec.discount_card WHERE is_deleted AND code::int <= 20 AND card_id::text LIKE '00000005%'"), '7', 'L10: … and the deleted card is found');
is(rows("SELECT last_ok > '$ok_at' FROM onec.sync_state WHERE target = 'discount_card'"), 't', 'L10: … now it was read completely');
is(rows('SELECT count(*) FROM onec_internal.card_seen'), '0', 'L10: … and nothing is kept of the round');

# ---- a catalog's key twice: nobody knows which is true ----
my $seven = "SELECT string_agg(description, ', ') FROM onec.discount_card WHERE code = '9' AND card_id::text LIKE '00000005%'";
base($cards => [ map { $_ == 9 ? (card(9, Description => 'Новое'), card(9, Description => 'Другое')) : card($_) } 1 .. 6, 8 .. 20 ]);
sync($only_cards);
is(rows($seven), 'Карта 9', 'P11: a key of a catalog twice, neither as it is here: it stays as it was');
is(rows("SELECT found FROM onec.data_quality WHERE code = 'Q12'"), '2', 'P11: … reported, beside that of the sales');
base($cards => [ map { $_ == 9 ? (card(9), card(9, Description => 'Другое')) : card($_) } 1 .. 6, 8 .. 20 ]);
sync($only_cards);
is(rows($seven), 'Карта 9', 'P11: … one of them as it is here: that one stays');
base($cards => [ map { $_ == 21 ? (card(21), card(21, Description => 'Другое')) : card($_) } 1 .. 6, 8 .. 21 ]);
sync($only_cards);
is(rows("SELECT count(*) FROM onec.discount_card WHERE code = '21'"), '1', 'P11: … not here yet: one of them comes');
base($cards => [ map { $_ == 9 ? card(9, Description => 'Новое') : card($_) } 1 .. 6, 8 .. 21 ]);
is(sync($only_cards), 'ok', 'P11: … each once again');
is(rows($seven), 'Новое', 'P11: … and what has changed is here');

# ---- what lies before a window has gone, too ----
my $orders = "SELECT string_agg(right(order_id::text, 1) || ' ' || to_char(date, 'MM'), ', ' ORDER BY date) FROM onec.customer_order";

sub order
{
	my ($number, $month) = @_;

	return { Ref_Key => guid(9, $number), Number => "$number", Date => sprintf('2025-%02d-05T10:00:00', $month), Posted => \1, DeletionMark => \0,
		Контрагент_Key => guid(2, 1), СостояниеЗаказа => $nobody, ВариантЗавершения => '', ДатаОтгрузки => '0001-01-01T00:00:00', СтруктурнаяЕдиницаПродажи_Key => $nobody,
		Организация_Key => $nobody, СуммаДокумента => 100, Запасы => [] };
}

for my $case (
	[ 'the first has gone', [ 2 => 5 ], [ 3 => 7 ] ],
	[ 'the first two have', [ 3 => 7 ], [ 4 => 8 ] ],
	[ 'the second has', [ 1 => 3 ], [ 3 => 7 ], [ 4 => 8 ] ],
	[ 'the first has moved behind all others, and the second has gone', [ 3 => 7 ], [ 4 => 8 ], [ 1 => 10 ] ],
	[ 'the first has moved to a month before, and the second has gone', [ 1 => 1 ], [ 3 => 7 ], [ 4 => 8 ] ],
	[ 'the last but one has moved before all others, and the last has gone', [ 3 => 1 ], [ 1 => 3 ], [ 2 => 5 ] ])
{
	my ($what, @left) = @$case;
	my $all = "steps => '{orders}', full_reload => true";

	base('Document_ЗаказПокупателя' => [ map { order(@$_) } [ 1 => 3 ], [ 2 => 5 ], [ 3 => 7 ], [ 4 => 8 ] ]);
	sync("$all, force => true");
	is(rows($orders), '1 03, 2 05, 3 07, 4 08', 'P20: one order a month');
	base('Document_ЗаказПокупателя' => [ map { order(@$_) } @left ]);
	is(sync($all) . ': ' . rows($orders), 'ok: ' . join(', ', map { sprintf '%d %02d', @$_ } @left), "P20: … $what");
}

$node->stop;
done_testing();
