# What only one small mistake in the store would make wrong: of each a part of its own, which test/mutants/list names beside the
# mistake.  The base is a stub that publishes what the demo 1C does, and whose rows are few and chosen; what follows from
# definitions alone has rows put here by hand.
use strict;
use warnings;
use utf8;

use OnecBase;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = OnecTest->writable(OnecTest->node('noticed_store', conf => "statement_timeout = '60s'\n"));

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

# ---- a base of few rows ----
my $stub = OnecTest->stub("DIR = '$dir'\n" . <<'PY');
def answer(r):
    if r.path in ("", "$metadata"):
        kind = "application/xml" if r.path else "application/json;charset=utf-8"
        return 200, open(f"{DIR}/{r.path or 'root'}", "rb").read(), {"Content-Type": kind}
    with open(f"{DIR}/rows", encoding="utf-8") as file:
        sets = json.load(file)
    if r.path in sets.get("broken", []):
        return 500, b"", {}
    return serve(r, [] if re.search(r"/(Balance|Turnovers|SliceLast)", r.path) else sets.get(r.path.split("/")[0].split("(")[0], []))
PY
OnecTest->describe($dir);
OnecTest->server($node, $stub, name => 'shop', options => "timezone 'UTC', retries '0'");


sub base { return hold($dir, @_); }

my $made;

# An empty store of the base, and a sync of these rows.
sub load
{
	my (%sets) = @_;

	base(%sets);
	rows("SELECT FROM onec.setup('shop')") unless $made++;
	rows(join '; ', map { "DELETE FROM onec.$_ WHERE server = 'shop'" } qw(sale_line card_sale_line discount_card sync_state customer_profile site_user customer_card));
	return sync('full_reload => true');
}

sub sync
{
	my ($how, $ends) = @_;
	my $r = run("CALL onec.sync('shop', $how)");

	$ends //= 'ok';
	is($r->{sqlstate} . ' ' . rows('SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1'), "00000 $ends", "sync: $how ends $ends");
	return;
}

# A date so many days from today, as 1C writes it.
sub days
{
	my ($days) = @_;
	my @t = gmtime(time + $days * 86400);

	return sprintf '%04d-%02d-%02dT12:00:00', $t[5] + 1900, $t[4] + 1, $t[3];
}

sub lines { return rows("SELECT string_agg(right(recorder::text, 1) || '.' || line_no || ' ' || $_[0], ', ' ORDER BY recorder, line_no, $_[0]) FROM onec.sale_line WHERE server = 'shop'"); }

OnecTest->part('M14', sub {
	load($cards => [ map { card($_) } 1 .. 9 ]);
	rows("UPDATE onec.discount_card SET is_deleted = true WHERE server = 'shop' AND code IN ('2', '3')");
	sync(q{steps => '{cards}'});
	is(rows("SELECT count(*) FROM onec.discount_card WHERE server = 'shop' AND is_deleted"), '0', 'M14: a card that is back in 1C as it was is no longer deleted');
});
OnecTest->part('M15', sub {
	load($sales => [ sale(1, 1, '0001-01-01T00:00:00'), sale(2, 1, days(-200)), sale(3, 1, days(-1)) ]);
	is(lines("(period IS NULL)"), '1.1 true, 2.1 false, 3.1 false', 'M15: a row without a date is read');
	sync('days => 3');
	sync('full_reload => true');
	is(lines("(period IS NULL)"), '1.1 true, 2.1 false, 3.1 false', 'M15: … and stays');
});
OnecTest->part('future', sub {
	load($sales => [ sale(1, 1, days(-200)) ]);
	base($sales => [ sale(1, 1, days(-200)), sale(2, 1, days(100)) ]);
	sync('days => 3');
	is(lines("''") =~ s/ (?=,|$)//gr, '1.1, 2.1', 'future: the last window has no end');
});
OnecTest->part('moved', sub {
	load($sales => [ sale(1, 1, days(-60)), sale(2, 1, days(-60)), sale(3, 1, days(-1)) ]);
	base($sales => [ sale(1, 1, days(-2), Сумма => 150), sale(2, 1, days(-60)), sale(3, 1, days(-1), Сумма => 130) ]);
	sync('days => 10');
	is(lines("period::date || ' ' || amount"), '1.1 ' . substr(days(-2), 0, 10) . ' 150, 2.1 ' . substr(days(-60), 0, 10) . ' 100, 3.1 ' . substr(days(-1), 0, 10) . ' 130',
		'moved: a document that has got a date within the window is there once, with it');
});
OnecTest->part('M20', sub {
	load($sales => [ sale(1, 1, days(-60)) ]);
	sync('days => 3');
	is(rows("SELECT complete_from FROM onec.sync_state WHERE server = 'shop' AND target = 'sale_line'"), '0001-01-01 00:00:00', 'M20: all history is here after a short sync, too');
	rows("UPDATE onec.sync_state SET last_ok = now() - interval '40 days' WHERE server = 'shop'");
	base($sales => [ sale(1, 1, days(-60)), sale(2, 1, days(-20)) ]);
	sync('days => 3');
	is(lines("''") =~ s/ (?=,|$)//gr, '1.1, 2.1', 'M20: after a pause its days are read, too');
});
OnecTest->part('part of', sub {
	my @before = (sale(1, 1, days(-2), Контрагент_Key => guid(2, 1)), sale(2, 1, days(-2), Контрагент_Key => guid(2, 2)));

	load($cards => [ card(1), card(2) ], $sales => \@before);
	is(run("CALL onec.sync_purchases('shop', days => 10, customer => '70000000001')")->{sqlstate}, '00000', 'part of: one customer');
	is(lines("''") =~ s/ (?=,|$)//gr, '1.1, 2.1', 'part of: … and nobody else is taken for gone');
	is(rows("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok', 'part of: … nor in doubt');
});

# ---- who bought ----
OnecTest->part('M16', sub {
	load($cards => [ card(1) ],
		$card_sales => [ card_sale(1, 1, days(-1), 1), card_sale(2, 1, days(-1), 1) ],
		$sales => [ sale(1, 1, days(-1)), sale(1, 2, days(-1)), sale(1, 3, days(-1), Номенклатура_Key => guid(3, 2)), sale(2, 1, days(-1)), sale(2, 2, days(-1)) ]);
	is(lines('attribution'), '1.1 card_register, 1.2 anonymous, 1.3 anonymous, 2.1 card_register, 2.2 card_register',
		"M16: what is left over goes to the one card only where each row is like one of the card's");
});
OnecTest->part('own', sub {
	load($cards => [ card(1), card(2) ],
		$card_sales => [ card_sale(1, 1, days(-1), 2), card_sale(1, 2, days(-1), 1) ],
		$sales => [ sale(1, 1, days(-1), Контрагент_Key => guid(2, 1)), sale(1, 2, days(-1)) ]);
	is(lines("right(card_id::text, 1) || right(customer_id::text, 1)"), '1.1 11, 1.2 22', 'own: rows that are alike get first the card of their own customer');
});
OnecTest->part('twins', sub {
	my @cards = (card(1), card(2), card(3));
	my @of_cards = map { card_sale(1, $_, days(-1), $_) } 1 .. 3;
	my @sold = map { sale(1, $_, days(-1)) } 1 .. 3;
	my $two = sub { my ($rows, $at, $more) = @_; return (@$rows, { %{ $$rows[$at] }, Количество => $more }) };
	my $whose = "coalesce(right(customer_id::text, 1), '-')";

	load($cards => \@cards, $card_sales => \@of_cards, $sales => \@sold);
	is(lines($whose), '1.1 1, 1.2 2, 1.3 3', 'twins: three lines that are alike, each of its own card');
	# the copy that is made up has the smaller number of the two, or the larger
	for my $more (0, 2)
	{
		base($cards => \@cards, $card_sales => [ $two->(\@of_cards, 0, $more) ], $sales => \@sold);
		sync('full_reload => true');
		is(lines($whose), '1.1 1, 1.2 2, 1.3 3', "twins: a row of the card register comes twice, once with $more pieces: the lines behind it keep their buyers");
		base($cards => \@cards, $card_sales => \@of_cards, $sales => [ $two->(\@sold, 1, $more) ]);
		sync('full_reload => true');
		is(lines($whose), '1.1 1, 1.2 2, 1.2 2, 1.3 3', "twins: a line comes twice, once with $more pieces: the lines behind it keep their buyers");
	}
	base($cards => \@cards, $card_sales => \@of_cards, $sales => [ @sold, { %{ $sold[1] }, Сумма => 7 } ]);
	sync('full_reload => true');
	is(lines("amount::int || ' ' || $whose"), '1.1 100 1, 1.2 100 2, 1.2 7 -, 1.3 100 3', 'twins: … with another sum: it is like nothing that was bought by card, and the others keep their buyers');
	base($cards => \@cards, $card_sales => [ $two->(\@of_cards, 0, 2) ], $sales => [ { %{ $sold[0] }, Контрагент_Key => guid(2, 1) }, @sold[ 1, 2 ] ]);
	sync('full_reload => true');
	is(lines($whose), '1.1 1, 1.2 2, 1.3 3', 'twins: … nor does anybody get what is left over of a line that has its buyer');
	base($cards => \@cards, $card_sales => [ @of_cards[ 0, 2 ], { %{ $of_cards[1] }, LineNumber => '1', Количество => 2 } ],
		$sales => [ @sold[ 0, 2 ], { %{ $sold[1] }, LineNumber => '1', Количество => 2 } ]);
	sync('full_reload => true');
	is(lines($whose), '1.1 1, 1.1 2, 1.3 3', 'twins: two lines of one number in both registers: the first is of the first card, the second of the second');
	base($cards => \@cards, $card_sales => [ $of_cards[0], { %{ $of_cards[1] }, LineNumber => '1' }, $of_cards[2] ], $sales => [ { %{ $sold[0] }, Контрагент_Key => guid(2, 1) }, $sold[2] ]);
	sync('full_reload => true');
	is(lines($whose), '1.1 1, 1.3 3', 'twins: … be it of another card');
	base($cards => \@cards, $card_sales => [ $of_cards[0], { %{ $of_cards[1] }, LineNumber => '1' }, $of_cards[2] ],
		$sales => [ { %{ $sold[0] }, Контрагент_Key => guid(2, 1) }, { %{ $sold[0] }, Количество => 2 }, $sold[2] ]);
	sync('full_reload => true');
	is(lines($whose), '1.1 1, 1.1 2, 1.3 3', 'twins: … unless the line came twice, too');
	my @copies = map { { %{ $sold[0] }, Количество => $_ } } 1 .. 3;
	my @card_copies = map { { %{ $of_cards[ $_ - 1 ] }, LineNumber => '1', Количество => $_ } } 1 .. 3;
	for my $order ([ 0, 1, 2 ], [ 2, 1, 0 ], [ 1, 0, 2 ])
	{
		base($cards => \@cards, $card_sales => [ @card_copies[@$order] ], $sales => [ @copies[@$order] ]);
		sync('full_reload => true');
		is(lines("quantity::int || ' ' || $whose"), '1.1 1 1, 1.1 2 2, 1.1 3 3', "twins: three lines of one number, in the order @$order: each keeps its buyer");
	}
});
OnecTest->part('old card rows', sub {
	my @cards = (card(1), card(2));
	my $whose = "amount::int || ' ' || coalesce(right(customer_id::text, 1), '-')";
	my $step = "SELECT string_agg(target || ' ' || status, ', ' ORDER BY ordinal) FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run) AND target LIKE '%sale_line'";
	my @of_cards = (card_sale(1, 1, days(-40), 1), card_sale(1, 2, days(-40), 2, Сумма => 200));
	my @sold = (sale(1, 1, days(-40)), sale(1, 2, days(-40), Сумма => 200));
	my @dearer = ($sold[0], { %{ $sold[1] }, Сумма => 300 });

	load($cards => \@cards, $card_sales => \@of_cards, $sales => \@sold);
	is(lines($whose), '1.1 100 1, 1.2 200 2', 'old card rows: two lines of two buyers');
	base($cards => \@cards, $card_sales => \@of_cards, $sales => \@dearer, broken => [$card_sales]);
	sync('full_reload => true', 'partial');
	is(lines($whose), '1.1 100 1, 1.2 300 2', 'old card rows: a line has got another sum and the register of cards cannot be read: the line keeps its buyer');
	is(rows($step), 'card_sale_line failed, sale_line incomplete', 'old card rows: … and the step says that it is not done');
	base($cards => \@cards, $card_sales => [ $of_cards[0] ], $sales => \@dearer);
	sync('days => 3');
	is(lines($whose), '1.1 100 1, 1.2 300 -', 'old card rows: … the next run, be it of few days, reads that time again, and nobody bought it by card');
	is(rows("SELECT count(*) FROM onec_internal.sync_doubt WHERE server = 'shop'"), '0', 'old card rows: … and nothing is in doubt');
	load($cards => \@cards, $card_sales => \@of_cards, $sales => \@sold);
	base($cards => \@cards, $card_sales => \@of_cards, broken => [$card_sales],
		$sales => [ $sold[0], { %{ $sold[1] }, Номенклатура_Key => guid(3, 2) }, sale(2, 1, days(-1)) ]);
	sync('full_reload => true', 'partial');
	is(lines($whose), '1.1 100 1, 1.2 200 -, 2.1 100 -', 'old card rows: a line of another product is another line, and a new one is nobody\'s until the cards are read');
});

$stub->stop;

# ---- definitions: rows put here by hand ----
rows("CREATE SERVER hand FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'UTC')");
rows(q{CREATE FUNCTION id(n int) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
	CREATE SEQUENCE doc;
	CREATE FUNCTION bought(who int, at timestamp, amount numeric DEFAULT 100, product int DEFAULT 1, kind text DEFAULT 'Document_ЧекККМ', organization int DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
		INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, customer_id, product_id, quantity, amount, attribution, organization_id)
		SELECT 'hand', 'sales', id(nextval('doc')::int), kind, 1, at, true, id(who), id(product), sign(amount), amount, 'counterparty', id(organization) $$});

# Purchases of new customers, by name; then their profiles of a day.
my $customer = 100;
my %number;
my $bought = '';

sub bought
{
	my ($name, @purchases) = @_;

	$number{$name} //= ++$customer;
	$bought .= join '', map { "SELECT bought($number{$name}, $_); " } @purchases;
	return;
}

sub profile
{
	my ($name, $columns, $wanted, $about) = @_;

	is(rows("SELECT $columns FROM onec.customer_profile WHERE server = 'hand' AND customer_id = id($number{$name})"), $wanted, $about);
	return;
}

# The profiles of a day, with what was bought since.
sub refresh
{
	rows("${bought}SELECT FROM onec.refresh_profiles('hand', as_of => '2026-12-31')");
	$bought = '';
	return;
}

OnecTest->part('M18', sub {
	for my $case ([ 2, 'daily' ], [ 3, 'weekly' ], [ 10, 'weekly' ], [ 11, 'biweekly' ], [ 21, 'biweekly' ], [ 22, 'monthly' ], [ 517, 'annual' ], [ 518, 'rare' ])
	{
		bought("gap $case->[0]", "'2024-01-01'", "timestamp '2024-01-01' + interval '$case->[0] days'");
	}
	refresh();
	profile("gap $_->[0]", 'purchase_frequency', $_->[1], "M18: a gap of $_->[0] days")
	  for [ 2, 'daily' ], [ 3, 'weekly' ], [ 10, 'weekly' ], [ 11, 'biweekly' ], [ 21, 'biweekly' ], [ 22, 'monthly' ], [ 517, 'annual' ], [ 518, 'rare' ];
});
OnecTest->part('confidence', sub {
	for my $visits (2, 3, 4, 6, 7)
	{
		bought("visits $visits", map { "timestamp '2026-01-01' + interval '" . 20 * $_ . " days'" } 1 .. $visits);
	}
	refresh();
	profile("visits $_->[0]", 'frequency_confidence', $_->[1], "confidence: $_->[0] visits")
	  for [ 2, 'low' ], [ 3, 'low' ], [ 4, 'medium' ], [ 6, 'medium' ], [ 7, 'high' ];
});
OnecTest->part('holidays', sub {
	my %days = ('03-01' => 'tff', '03-08' => 'tff', '03-09' => 'fff', '12-09' => 'fff', '12-10' => 'ftf', '12-31' => 'ftf', '02-06' => 'fff', '02-07' => 'fft', '02-14' => 'fft', '02-15' => 'fff');

	bought("day $_", "'2026-$_ 10:00'") for sort keys %days;
	refresh();
	profile("day $_", "concat(buys_8_march, buys_new_year, buys_valentine)", $days{$_}, "holidays: bought on $_") for sort keys %days;
});
OnecTest->part('returns', sub {
	bought('returns', "'2026-01-10', 400", "'2026-02-10', 600", "'2026-03-10', -250, 1, 'Document_ЧекККМВозврат'");
	bought('openings', "'2026-01-10', 400", "'2026-02-10', 9999, 1, 'Document_ВводНачальныхОстатков'");
	refresh();
	profile('returns', 'total_revenue, gross_revenue, returns_amount, return_rate, visits, receipts', '750|1000|-250|0.2500|2|2', 'returns: sums and their share');
	profile('openings', 'total_revenue, visits', '400|1', 'returns: openings are no purchases');
});
OnecTest->part('organisation', sub {
	bought('organisation', "'2026-01-10', 400, organization => 901", "'2026-02-10', 600, organization => 902", "'2026-03-10', 50");
	rows("SELECT onec.set('organization_ids', '{' || id(901) || '}', 'hand')");
	refresh();
	profile('organisation', 'total_revenue', '400', 'organisation: only those named count');
	rows("SELECT onec.set('organization_ids', NULL, 'hand')");
	refresh();
	profile('organisation', 'total_revenue', '1050', 'organisation: if none is named, all do');
});
OnecTest->part('favourites', sub {
	rows(q{INSERT INTO onec.category (server, category_id, name) VALUES ('hand', id(1), 'Кольца'), ('hand', id(2), 'Серьги'), ('hand', id(3), 'Броши');
		INSERT INTO onec.product (server, product_id, name, category_id) SELECT 'hand', id(n), 'Товар', id(n) FROM generate_series(1, 3) n});
	# a year halves: 1000 of two years ago weigh less than 300 of today
	bought('favourites', "'2024-12-31', 1000, 1", "'2026-12-30', 300, 2", "'2026-12-30', 5, 3");
	bought('too small', "'2026-12-30', 4.99, 3");
	refresh();
	profile('favourites', 'favorite_categories', '{earrings,rings,brooches}', 'favourites: the newer weighs more, and 5 is enough');
	profile('too small', 'favorite_categories', '{}', 'favourites: less is not');
});
OnecTest->part('M17', sub {
	my @cases = ([ '+9001234567', '' ], [ '9001234567', '7' . '9001234567' ], [ '0001234567', '70001234567' ], [ '+70001234567', '70001234567' ], [ '80001234567', '70001234567' ], [ '8 (000) 123-45-67 доб. 1', '' ],
		[ '1234567890', '' ]);
	is(rows("SELECT coalesce(onec.normalize_phone('$_->[0]'), '')"), $_->[1], "M17: $_->[0]") for @cases;
});

# ---- settings ----
OnecTest->part('M19', sub {
	rows("SELECT onec.set('nightly.hour', '5'); SELECT onec.set('nightly.hour', '4', 'hand')");
	is(rows("SELECT onec.get('nightly.hour', 'hand'), onec.get('nightly.hour', 'shop'), onec.get('nightly.hour')"), '4|5|5',
		"M19: the server's own value, else that for all");
	is(rows("SELECT string_agg(value || ' ' || source, ', ' ORDER BY value) FROM onec.settings WHERE key = 'nightly.hour'"), '4 server, 5 all servers', 'M19: … and whence it is');
	rows("SELECT onec.set('nightly.hour', NULL); SELECT onec.set('nightly.hour', NULL, 'hand')");
	is(rows("SELECT onec.get('nightly.hour', 'hand')"), '3', 'M19: else the default');
});
OnecTest->part('refused', sub {
	is(run("SELECT onec.set('$_->[0]', '$_->[1]')")->{sqlstate}, '22023', "refused: $_->[0] = $_->[1]")
	  for [ 'check_unit', 'both' ], [ 'nightly.hour', 'four' ], [ 'nightly.hour', '3.5' ], [ 'loyalty.rule', 'none' ], [ 'organization_ids', '{x}' ], [ 'nightly.houre', '4' ];
	like(run("SELECT onec.set('nightly.houre', '4')")->{stderr}, qr/nightly\.hour/, 'refused: with the nearest name');
});

# ---- points ----
OnecTest->part('points', sub {
	rows(q{INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id, accrued, spent)
		SELECT 'hand', id(800 + n), 'Document_ЧекККМ', 1, at, active, kind, id(card), accrued, 0
		FROM (VALUES (1, timestamp '2026-05-01 12:00', 'Receipt', 1, 100, true), (2, '2026-06-01 12:00', 'Expense', 1, 30, true),
			(3, '2026-07-01', 'Expense', 1, 50, true), (4, '2026-08-01', 'Expense', 1, 20, true), (5, '2026-05-02', 'Receipt', 1, 7, false),
			(6, '2026-05-01', 'Receipt', 2, 40, true)) v (n, at, kind, card, accrued, active)});
	my $balance = sub { return rows("SELECT card_id = id(1), balance, expires_next_at::date, expires_next_amount FROM onec.loyalty_balance_at('hand', '$_[0]') ORDER BY card_id"); };

	is($balance->('2026-06-01 12:00'), "t|70|2026-07-01|50\nf|40||", 'points: a movement counts from its moment on, the next to burn is the nearest');
	is($balance->('2026-06-01 11:59:59'), "t|100|2026-06-01|30\nf|40||", 'points: … and not before it');
	is($balance->('2026-07-01'), "t|20|2026-08-01|20\nf|40||", 'points: what burns at this moment is burnt');
	rows("SELECT onec.set('loyalty.rule', 'unsigned', 'hand')");
	is($balance->('2026-06-01 12:00'), "t|130||\nf|40||", 'points: by the rule without a sign, an expense adds');
	rows("SELECT onec.set('loyalty.rule', NULL, 'hand')");
});

$node->stop;
done_testing();
