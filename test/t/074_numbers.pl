# Numbers: what a wrong date, a cost row, a gift, a document dated ahead, a telephone of another country do to the figures.
# Cases are named as they were found (N1 … N17); rows are put here by hand, so no 1C is needed but for the last.
use strict;
use warnings;
use utf8;

use OnecRows;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

$node = OnecTest->writable(OnecTest->node('numbers'));

# What a profile says on a day.
sub profile
{
	my ($customer, $columns, $day) = @_;
	my $table = "onec_internal.computed_profiles(SRV, NULL, '@{[ $day // '2026-05-01' ]}') p WHERE p.customer_id = " . id($customer);
	return sql("SELECT $columns FROM $table");
}

# ---- N1, N2: dates that cannot be ----
shop('n1');
sold(1, "'0001-01-01'", 1, 1, 500);
sold(2, "'2026-04-30 10:00'", 2, 1, 700);
sold(3, 'NULL', 1, 1, 500);
is(sql("SELECT rows_inserted FROM onec.refresh_profiles(SRV)"), '1', 'N1: a line of 0001-01-01 stops nobody');
is(sql('SELECT total_revenue, visits FROM onec.customer_profile WHERE server = SRV'), '700|1', 'N1: and is no visit');
is(sql("SELECT sum(net) FROM onec.revenue_month WHERE server = SRV"), '700', 'N1: nor revenue of any month');
is(sql("SELECT count(*) FROM onec.rfm(SRV)") . sql("SELECT count(*) FROM onec.refresh_outlook(SRV)"), '11', 'N1: scores and outlook are made');
sold(4, "'2026-04-29 10:00'", 2, 1, '10000000000000.55');
is(sql("SELECT sum(total_revenue) FROM onec_internal.computed_profiles(SRV, NULL, '2026-05-01')"), '10000000000700.55', 'N1: an amount of 10^13 is one like others');

shop('n2');
sql("INSERT INTO onec.category (server, category_id, name) VALUES (SRV, " . id(90) . ", 'Кольца'), (SRV, " . id(91) . ", 'Серьги');
	INSERT INTO onec.product (server, product_id, name, category_id) VALUES (SRV, " . id(80) . ", 'Кольцо', " . id(90) . "), (SRV, " . id(81) . ", 'Серьги', " . id(91) . ')');
sold(1, "'0206-03-01 10:00'", 1, 1, 5000, product_id => id(80));
sold(2, "'2026-04-01 10:00'", 1, 1, 100, product_id => id(81));
is(profile(1, 'favorite_categories'), '{earrings}', 'N2: a purchase of the year 0206 weighs nothing');
is(sql("SELECT count(*) FROM onec.refresh_outlook(SRV, as_of => '2026-05-01')"), '1', 'N2: preferences too');
is(sql("SELECT count(*) FROM onec_internal.recommendations(SRV, NULL, 5, '2026-05-01', 'onec')"), '0', 'N2: and offers');
sql("SELECT onec.set('affinity.half_life_days', '1', SRV)");
sold(3, "'2020-01-01 10:00'", 2, 1, 5000, product_id => id(80));
is(profile(2, 'favorite_categories'), '{}', 'N2: with a half-life of a day a sale of 2020 weighs nothing');
is(sql("SELECT rows_updated >= 0 FROM onec.refresh_outlook(SRV, as_of => '2026-05-01')"), 't', 'N2: what is kept fades without an error');
sql("SELECT onec.set('affinity.half_life_days', 'Infinity', SRV)");
is(profile(1, 'favorite_categories'), '{rings,earrings}', 'N2: without decay all purchases weigh alike');

# ---- N3, N4: points by one formula ----
sub call_list { return sql("SELECT points_balance, points_burning, points_burn_on FROM onec.call_list_at(SRV, '$_[0]')"); }
sub balance   { return sql("SELECT balance, expires_next_amount, expires_next_at::date FROM onec.loyalty_balance_at(SRV, '$_[0]') WHERE card_id = " . id(1)); }

shop('n3');
card(1, 10, '70000000001');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
points(1, '2025-10-01', 'Receipt', 1, 1000, 0);
points(1, '2025-12-05', 'Receipt', 1, 0, 1000);
points(2, '2025-11-01', 'Expense', 1, 900, 0);
points(2, '2025-12-05', 'Expense', 1, 0, 900);
points(3, '2025-11-20', 'Receipt', 1, 500, 0);
points(3, '2026-11-20', 'Receipt', 1, 0, 500);
is(balance('2025-11-27 12:00'), '600|100|2025-12-05', 'N3: the balance and what expires next');
is(call_list('2025-11-27'), '600|100|2025-12-05', 'N3: the call list says the same');
is(balance('2025-12-05 00:00'), '500|500|2026-11-20', 'N3: when it has expired the next comes');
is(sql("SELECT balance FROM onec.loyalty_balance WHERE server = SRV AND card_id = " . id(1)), balance('now') =~ s/\|.*//r, 'N3: and the view knows the moment');

shop('n4');
card(1, 10, '70000000001');
sql("SELECT onec.set('loyalty.rule', 'unsigned', SRV), FROM onec_internal.refresh_people(SRV)" =~ s/, FROM/ FROM/r);
points(1, '2025-10-01', 'Receipt', 1, 1000, 0);
points(2, '2025-11-01', 'Expense', 1, 0, 300);
points(1, '2025-12-05', 'Expense', 1, 0, 700);
points(3, '2025-10-01', 'Receipt', 2, 500, 0);
points(4, '2025-11-01', 'Expense', 2, 500, 0);    # a thousand here, nothing under the other rule
is(balance('2025-11-27 12:00'), '700|700|2025-12-05', 'N4: unsigned: an expense is what the column says');
is(call_list('2025-11-27'), '700|700|2025-12-05', 'N4: the call list says the same');
is(sql("SELECT rows FROM onec.purge('2025-11-15', SRV) WHERE table_name = 'loyalty_movement'"), '0', 'N4: purge leaves rows that still count');
is(sql("SELECT rows FROM onec.purge('2025-12-06', SRV) WHERE table_name = 'loyalty_movement'"), '3', 'N4: and deletes those that come to nothing');

# ---- N5: cost rows ----
shop('n5');
sold(1, "'2026-04-01 10:00'", 1, 1, 500);
sold(1, "'2026-04-01 10:00'", 1, 0, 0, cost => 300);
sold(1, "'2026-04-01 10:00'", 1, 'NULL', 'NULL', cost => 300);
is(profile(1, 'lines, average_line, average_check'), '1|500.00|500.00', 'N5: rows of cost alone are no lines');
sql("SELECT onec.set('check_unit', 'row', SRV)");
is(profile(1, 'average_check'), '500.00', 'N5: nor under check_unit row');
is(sql('SELECT lines FROM onec.receipt WHERE server = SRV') . sql('SELECT count(*) FROM onec.purchase WHERE server = SRV'), '11', 'N5: nor in receipts and purchases');
card(5, 1, '70000000001');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
is(sql("SELECT json_array_length(onec.purchases_json('70000000001', server => SRV))"), '1', 'N5: nor in the history');

# ---- N6: a card without owner ----
shop('n6');
card(1, undef, '70000000001');
card(2, 10, '70000000002');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
sold(1, "'2026-04-01 10:00'", 'card 1', 1, 300);
sold(2, "'2026-04-03 10:00'", 'card 1', 2, 400);
sold(3, "'2026-04-03 10:00'", 10, 2, 50);
sql('SELECT FROM onec_internal.refresh_after_sync(SRV)');
is(sql("SELECT s ->> 'total_revenue', s ->> 'purchase_count', s ->> 'rfm_segment' IS NOT NULL, json_array_length(onec.profile_json('70000000001', server => SRV) -> 'purchases')
	FROM (SELECT onec.profile_json('70000000001', server => SRV) -> 'statistics' AS s) x"), '700.00|2|t|2', 'N6: a card without owner has statistics');
is(sql("SELECT sum(total_revenue), count(*) FROM onec.customer_360 WHERE server = SRV"), '750|2', 'N6: beside those of owners');
is(sql("SELECT sum(customers) FROM onec.rfm_summary WHERE server = SRV"), '2', 'N6: it is a customer of the marts');
# ... until it gets one
sql("UPDATE onec.discount_card SET owner_id = " . id(11) . " WHERE server = SRV AND code = '1'; UPDATE onec.sale_line SET customer_id = " . id(11) . "
	WHERE server = SRV AND card_id = " . id(1));
sql('SELECT FROM onec_internal.refresh_people(SRV); SELECT FROM onec_internal.refresh_after_sync(SRV)');
is(sql("SELECT right(customer_id::text, 2), total_revenue FROM onec.customer_profile WHERE server = SRV ORDER BY 1") =~ tr/\n/ /r, '10|50 11|700', 'N6: with an owner it is his');

# ---- N7: as_of, and documents dated ahead ----
shop('n7');
card(1, 10, '70000000001');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
sold(1, "'2026-04-01 10:00'", 10, 1, 100);
sold(2, "'2026-04-11 10:00'", 10, 1, 5200);
is(profile(10, 'total_revenue, visits, last_purchase::date', '2026-04-05'), '100|1|2026-04-01', 'N7: a profile as of a day leaves out what came later');
my $today = sql('SELECT onec.local_now(SRV)::date');
sql("DELETE FROM onec.sale_line WHERE server = SRV");
sold(3, "'$today'::date - 30", 10, 1, 100);
sold(4, "'$today'::date - 60", 10, 1, 100);
sold(5, "'$today'::date + 343", 10, 1, 5200);
sql('SELECT FROM onec_internal.refresh_after_sync(SRV)');
is(sql("SELECT total_revenue, days_since FROM onec.customer_360 WHERE server = SRV"), '200|30', 'N7: a document dated ahead is not yet');
is(sql("SELECT reasons FROM onec.call_list WHERE server = SRV"), '{due}', 'N7: its customer stays in the call list');
is(sql("SELECT $_ WHERE server = SRV"), '200', "N7: $_") for 'sum(net) FROM onec.revenue_month', 'sum(net) FROM onec.receipt', 'sum(amount) FROM onec.purchase';
is(sql("SELECT count(*) FROM json_array_elements(onec.purchases_json('70000000001', server => SRV))"), '2', 'N7: nor in the history');
is(sql("SELECT count(*) FROM onec.call_list_at(SRV, '$today'::date - 31) WHERE expected_next = '$today'::date - 30 OR reasons IS NOT NULL"), '0',
	'N7: a month ago there was one visit, and nobody to expect');
# the day comes: nothing was written since, yet the customer is computed anew
sold(6, "'$today'::date - 1", 10, 1, 40);
sql("UPDATE onec_internal.profile_state SET day = day - 2 WHERE server = SRV");
sql('SELECT FROM onec_internal.refresh_after_sync(SRV, false)');
is(sql("SELECT total_revenue FROM onec.customer_profile WHERE server = SRV"), '240', 'N7: what was dated ahead counts when its day has come');

# ---- N8, N9, N10: telephones ----
my @phones = (
	[ 'N8: a plus rules out the trunk prefix', 'RU', '+84 912 345 678' => '84912345678', '+852 9123 4567' => '85291234567', '+375 29 000-00-01' => '375290000001',
		'+86 139 0000 0000' => '8613900000000', '0084 912 345 678' => '84912345678', '00 7 000 000 00 01' => '70000000001', '+7 000 000 00 01' => '70000000001',
		'8 000 000 00 01' => '70000000001', '70000000001' => '70000000001' ],
	[ 'N8: what is no number of its plan is none', 'RU', '+7 000 000 00 012' => '', '+0001234567' => '', '+375 29 000-00-0' => '', '8 000 000 00 012' => '', '+8 900 000 00 01' => '',
		'+1 202 555 01' => '', '1234567890123456' => '', '+1234567890123456' => '', '7000+0000001' => '' ],
	[ 'N9: Belarus', 'BY', '8 (029) 123-45-67' => '375291234567', '+375 29 123-45-67' => '375291234567', '375291234567' => '375291234567', '291234567' => '375291234567',
		'80291234567' => '375291234567', '+7 000 000 00 01' => '70000000001', '70000000001' => '70000000001', '8 (700) 000-00-01' => '' ],
	[ 'N9: a bar code is no telephone', 'BY', '4600000000001' => '', '2000000000015' => '', '0012345678905' => '', '12345678' => '' ],
	[ 'N9: nor in Russia', 'RU', '4600000000001' => '', '0012345678905' => '', '2000000000015' => '' ],
	[ 'N9: Kazakhstan', 'KZ', '8 (700) 000-00-01' => '77000000001', '+7 700 000 00 01' => '77000000001', '4870000000001' => '' ],
	[ 'N10: spaces and dashes of every kind', 'RU', "+7\x{A0}000\x{2011}000\x{2013}00\x{2014}01" => '70000000001', "8\x{2009}000\x{202F}0000001" => '70000000001',
		"+7 (000) 000\x{2212}00\x{2010}01" => '70000000001', "\x{200B}7000\x{AD}0000001\x{FEFF}" => '70000000001', "7\t000.000.00.01 " => '70000000001', "+7\x{3000}0000000001" => '70000000001',
		'7000000000l' => '', '7000/0000001' => '' ],
);
sub letter { utf8::upgrade(my $letter = chr($_[0])); return $letter; }
push @phones, [ sprintf('N10: U+%04X', $_), 'RU', "7@{[ letter($_) ]}0000000001" => '70000000001' ]
  for 9, 10, 13, 0x20, 0x28, 0x29, 0x2D, 0x2E, 0xA0, 0xAD, 0x1680, 0x180E, 0x2000 .. 0x2015, 0x202F, 0x205F, 0x2060, 0x2212, 0x3000, 0xFE58, 0xFE63,
	0xFEFF, 0xFF0D;
push @phones, [ sprintf('N10: not U+%04X', $_), 'RU', "7@{[ letter($_) ]}0000000001" => '' ] for 0x21, 0x2B, 0x2F, 0x61, 0x430, 0x1FFF, 0x2016, 0x1F4DE;
for my $case (@phones)
{
	my ($name, $country, @pairs) = @$case;
	my @wrong;

	while (my ($written, $wanted) = splice(@pairs, 0, 2))
	{
		my $got = sql("SELECT onec.normalize_phone('$written', '$country')");
		push @wrong, "$written: '$got' instead of '$wanted'" if $got ne $wanted;
	}
	is(join(', ', @wrong), '', $name);
}
shop('n8');
card(1, 10, '+84 912 345 678');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
is(sql("SELECT login FROM onec.site_user WHERE server = SRV"), '84912345678', 'N8: the login is the number of its own country');
is(sql("SELECT onec.customer_json('+84-912-345-678', SRV) ->> 'phone'") . sql("SELECT onec.customer_json('74912345678', SRV) IS NULL"), '84912345678t',
	'N8: and nobody else finds him');

# ---- N11: gifts ----
shop('n11');
sold(1, "'2026-04-01 10:00'", 1, 1, 1000);
sold(2, "'2026-04-02 10:00'", 1, 1, 0);
is(profile(1, 'receipts, visits, average_check, purchase_frequency, total_items'), '1|1|1000.00|single|2', 'N11: a receipt of gifts alone is no purchase');
is(sql("SELECT x FROM onec_internal.visit_history(SRV, '2026-05-01')") . sql("SELECT frequency FROM onec.rfm(SRV, '2026-05-01')"), '01', 'N11: nor to models and scores');
points(2, '2026-04-02 10:00', 'Receipt', 7, 10, 0);
points(2, '2027-04-02 10:00', 'Receipt', 7, 0, 10);
is(profile(1, 'receipts'), '1', 'N11: points granted, and that they will expire, are no payment');
points(2, '2026-04-02 10:00', 'Expense', 7, 500, 0);
is(profile(1, 'receipts, visits'), '2|2', 'N11: paid with points it is one');
sql("DELETE FROM onec.loyalty_movement WHERE server = SRV; SELECT onec.set('count_free_receipts', 'true', SRV)");
is(profile(1, 'receipts, visits, average_check'), '2|2|500.00', 'N11: and under count_free_receipts');

# ---- N12: favourites have one meaning ----
shop('n12');
sql("INSERT INTO onec.store (server, store_id, name) VALUES (SRV, " . id(70) . ", 'Первый'), (SRV, " . id(71) . ", 'Второй')");
sql("INSERT INTO onec.category (server, category_id, name) VALUES (SRV, " . id(90) . ", 'Кольца');
	INSERT INTO onec.product (server, product_id, name, category_id) VALUES (SRV, " . id(80) . ", 'Кольцо', " . id(90) . ')');
sold(1, "'2026-04-01 10:00'", 1, 1, 100, store_id => id(70), product_id => id(80));
for my $n (2, 3)
{
	sold($n, "'2026-04-0$n 10:00'", 1, 1, 100, store_id => id(71), product_id => id(80));
	sold($n + 10, "'2026-04-1$n 10:00'", 1, -1, -100, store_id => id(71), product_id => id(80), document_id => id($n), document_type => "'Document_ЧекККМ'");
}
is(profile(1, 'favorite_stores'), '{Первый}', 'N12: a store of which everything came back was not visited');
sql("SELECT FROM onec.refresh_profiles(SRV, as_of => '2026-05-01'); SELECT FROM onec.refresh_outlook(SRV, as_of => '2026-05-01')");
is(sql("SELECT p.favorite_stores = o.favorite_stores, p.favorite_categories = o.favorite_categories, o.favorite_categories
	FROM onec.customer_profile p JOIN onec.customer_outlook o USING (server, customer_id) WHERE server = SRV"), 't|t|{rings}', 'N12: both tables say the same');

# ---- N13: organizations ----
shop('n13');
card(1, 10, '70000000001');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
sold(1, "'2026-04-01 10:00'", 10, 1, 12000, organization_id => id(60));
sold(2, "'2026-04-02 10:00'", 10, 1, 9000, organization_id => id(61));
sold(3, "'2026-04-03 10:00'", 10, 1, 500);
sql("SELECT onec.set('organization_ids', '{00000000-0000-4000-8000-000000000060}', SRV)");
is(profile(10, 'total_revenue'), '12000', 'N13: one organization in the profile');
is(sql("SELECT sum((p ->> 'amount')::numeric) FROM json_array_elements(onec.purchases_json('70000000001', server => SRV)) p"), '12000.00', 'N13: in the history');
is(sql("SELECT $_ WHERE server = SRV"), '12000', "N13: $_") for 'sum(net) FROM onec.receipt', 'sum(amount) FROM onec.purchase', 'sum(net) FROM onec.revenue_month';
like(sql("SELECT onec.report(SRV, '2026-04-30')"), qr/<b>12\x{A0}000<\/b>.*Без категории.*?12\x{A0}000/s, 'N13: and in each part of the report');

# ---- N14: large totals ----
shop('n14');
card(1, 10, '70000000001');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
sold(1, "'2026-04-01 10:00'", 10, 1, '12345678901234.50');
sql('SELECT FROM onec.refresh_profiles(SRV)');
is(sql("SELECT p -> 'statistics' ->> 'total_revenue', p -> 'statistics' ->> 'average_check', p -> 'purchases' -> 0 ->> 'amount' FROM (SELECT onec.profile_json('70000000001', server => SRV) AS p) x"),
	'12345678901234.50|12345678901234.50|12345678901234.50', 'N14: sums of fourteen digits are shown');

# ---- N15: pairs and bestsellers of the whole shop ----
shop('n15');
for my $n (1 .. 4)
{
	sold($n, "'2026-04-0$n 10:00'", undef, 1, 100, product_id => id(80));
	sold($n, "'2026-04-0$n 10:00'", undef, 1, 100, product_id => id(81));
	sold(20 + $n, "'2026-04-0$n 21:00'", undef, 1, 100, product_id => id(82), recorder_type => "'Document_ОтчетОРозничныхПродажах'");
	sold(20 + $n, "'2026-04-0$n 21:00'", undef, 1, 100, product_id => id(83), recorder_type => "'Document_ОтчетОРозничныхПродажах'");
}
sql("SELECT FROM onec.refresh_pairs(SRV, '2026-05-01')");
is(sql("SELECT right(product_id::text, 2), right(other_id::text, 2), basis, n_ab FROM onec.product_pair WHERE server = SRV ORDER BY 1") =~ tr/\n/ /r,
	'80|81|receipt|4 81|80|receipt|4', 'N15: receipts of unknown buyers make pairs, reports of shifts do not');
is(sql("SELECT count(*), sum(receipts) FROM onec.bestseller WHERE server = SRV AND scope = 'all'"), '4|16', 'N15: bestsellers are of the whole shop');
sql("SELECT onec.set('pairs.exclude_receipt_types', '{}', SRV); SELECT FROM onec.refresh_pairs(SRV, '2026-05-01')");
is(sql("SELECT count(*) FROM onec.product_pair WHERE server = SRV"), '4', 'N15: which documents are many receipts is a setting');

# ---- N16: the owner of a card has changed ----
shop('n16');
sql('CREATE SCHEMA n16; CREATE TABLE n16.sale_line (card_id uuid)');    # that sales are published
card(1, 10, '70000000001');
card(2, 12, '70000000002');
sql('SELECT FROM onec_internal.refresh_people(SRV)');
sold(1, "'2020-04-01 10:00'", 10, 1, 300, card_id => id(1), attribution => "'card'");
sold(2, "'2026-04-01 10:00'", 10, 1, 50);
sold(3, "'2026-04-01 10:00'", 11, 1, 7);
sold(4, "'2026-04-01 10:00'", 12, 1, 9, card_id => id(2), attribution => "'card'");
sql('SELECT FROM onec_internal.refresh_after_sync(SRV)');
window('discount_card', "server, card_id, code, barcode, CASE code WHEN '1' THEN " . id(11) . ' ELSE owner_id END AS owner_id');
is(sql("SELECT right(customer_id::text, 2) FROM onec_internal.touched_customer WHERE server = SRV ORDER BY 1") =~ tr/\n/ /r, '10 11', 'N16: old and new owner are touched at once, nobody else');
sql('SELECT FROM onec_internal.refresh_people(SRV); SELECT FROM onec_internal.refresh_after_sync(SRV, false)');
is(sql("SELECT right(customer_id::text, 2), total_revenue FROM onec.customer_profile WHERE server = SRV ORDER BY 1") =~ tr/\n/ /r, '10|50 11|307 12|9',
	'N16: old months are the new owner\'s at once');

# ---- N17: Sunday there ----
my $monday = "'2026-04-06 12:00+00'";
for my $case ([ 'Europe/Moscow', 1, 30, '30 22 * * 6' ], [ 'Europe/Moscow', 3, 0, '0 0 * * 0' ], [ 'Asia/Vladivostok', 3, 0, '0 17 * * 6' ],
	[ 'America/New_York', 22, 0, '0 2 * * 1' ], [ 'America/New_York', 3, 0, '0 7 * * 0' ], [ 'Pacific/Kiritimati', 0, 0, '0 10 * * 6' ])
{
	my ($zone, $hour, $minute, $wanted) = @$case;
	($server) = lc("z_$zone$hour") =~ tr/a-z0-9/_/cr;
	sql("CREATE SERVER $server FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone '$zone')");
	sql("SELECT onec.set('nightly.hour', '$hour', SRV), onec.set('nightly.minute', '$minute', SRV)");
	is(sql("SELECT cron FROM onec_internal.jobs_of_server(SRV, $monday) WHERE job = 'weekly'"), $wanted, "N17: $hour:$minute on Sunday, $zone");
}
$server = 'n17';
sql("CREATE SERVER n17 FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'Europe/Moscow');
	SELECT onec.set('nightly.hour', '1', SRV), onec.set('nightly.minute', '30', SRV)");
is(sql("SELECT onec_internal.leaves_turn_to_larger(SRV, 'nightly', '2026-04-04 22:30+00'), onec_internal.leaves_turn_to_larger(SRV, 'nightly', '2026-04-05 22:30+00')"), 't|f',
	'N17: the night gives way to the week on Sunday there');

$node->stop;
done_testing();
