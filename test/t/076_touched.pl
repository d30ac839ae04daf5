# Whom a run folds, computes and scores again: those whom a change concerns, as if all had been.
use strict;
use warnings;
use utf8;

use OnecRows;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

$node = OnecTest->writable(OnecTest->node('touched'));

sub people  { return sql("SELECT rows_inserted, rows_updated, rows_deleted FROM onec_internal.refresh_people(SRV, $_[0])"); }
sub refresh { return sql("SELECT FROM onec_internal.refresh_after_sync(SRV, $_[0], $_[1])"); }
sub touched { return sql("SELECT string_agg(right($_[1]::text, 2), ' ' ORDER BY $_[1]) FROM onec_internal.$_[0] WHERE server = SRV"); }
sub logins  { return sql("SELECT right(user_id::text, 2), login FROM onec.site_user WHERE server = SRV AND is_active ORDER BY 1") =~ tr/\n/ /r; }

# One more sale, as a window brings it.
sub sale
{
	my ($document, $at, $customer, $amount) = @_;
	my $id = id($document);

	return window('sale_line', 't.*', "UNION ALL SELECT SRV, 'sales', $id, 'Document_ЧекККМ', 1, '$at', NULL, " . id($customer)
		. ", NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, $amount, NULL, 'counterparty', 0");
}

# Folding everybody after whom it has folded changes nothing.
sub as_if_all { return is(people('true'), '0|0|0', "touched: $_[0]: … as if all had been"); }

shop('touched');
card(1, 10, '70000000001');
card(2, 11, '70000000001');
card(3, 12, '70000000003');
sold($_, "'2026-04-0$_ 10:00'", 9 + $_, 1, 100 * $_) for 1 .. 3;
sold(4, "'2026-04-05 10:00'", 10, 1, 50);
people('true');
refresh('true', 'true');
is(logins(), '10|70000000001 11| 12|70000000003', 'of two with one telephone the newest buyer has the login');

# ---- nothing ----
sql("UPDATE onec.site_user SET email = 'here\@shop.example' WHERE server = SRV; UPDATE onec.customer_rfm SET segment = 'planted' WHERE server = SRV");
is(people('false'), '0|0|0', 'touched: nobody: nobody is folded');
refresh('false', 'true');
is(sql("SELECT count(*) FROM onec.site_user u JOIN onec.customer_rfm r USING (server) WHERE server = SRV AND r.segment = 'planted' AND u.email IS NOT NULL"), '9',
	'touched: nobody: what is here is not even looked at');
sql('UPDATE onec_internal.profile_state SET scored = scored - 1 WHERE server = SRV');
refresh('false', 'true');
is(sql("SELECT count(*) FROM onec.customer_rfm WHERE server = SRV AND segment = 'planted'"), '0', 'touched: by a new day: all are scored');
is(people('true'), '0|3|0', 'touched: a full run looks at everybody');

# ---- a sale ----
sale(5, '2026-04-06 10:00', 11, 500);
is(touched('touched_customer', 'customer_id') . ', ' . touched('touched_user', 'user_id'), '11, 11', 'touched: by a sale: its buyer');
people('false');
is(logins(), '10| 11|70000000001 12|70000000003', 'touched: by a sale: the login goes from one to the other');
as_if_all('by a sale');

# ---- a part, and the next whole run ----
my $rfm = "SELECT sum(monetary) FROM onec.customer_rfm WHERE server = SRV";
my $before = sql($rfm);
refresh('false', 'false');
is(sql("SELECT total_revenue FROM onec.customer_profile WHERE server = SRV AND customer_id = " . id(11)), '700', 'touched: a part computes profiles');
is(sql($rfm), $before, 'touched: a part leaves the scores');
refresh('false', 'true');
is(sql($rfm), $before + 500, 'touched: the next whole run makes them');

# ---- a card, a contact ----
window('discount_card', "server, card_id, code, barcode, CASE code WHEN '3' THEN " . id(13) . ' ELSE owner_id END AS owner_id');
is(touched('touched_user', 'user_id'), '12 13', 'touched: by a card: whose it was and whose it is');
people('false');
is(logins(), '10| 11|70000000001 13|70000000003', 'touched: by a card: it has gone to the other');
as_if_all('by a card');
sql("INSERT INTO onec.counterparty (server, customer_id, name) VALUES (SRV, " . id(13) . ", 'Один')");
people('true');
window('counterparty', "server, customer_id, 'Другой'::text AS name");
is(touched('touched_user', 'user_id'), '13', 'touched: by a name: the counterparty');
people('false');
is(sql("SELECT name FROM onec.site_user WHERE server = SRV AND user_id = " . id(13)), 'Другой', 'touched: by a name: it is changed');
as_if_all('by a name');

# ---- a brand ----
my $brands = q{SELECT string_agg(right(customer_id::text, 2) || ' ' || favorite_brands::text, ', ' ORDER BY customer_id) FROM onec.customer_outlook WHERE server = SRV AND favorite_brands <> '{}'};
sql("INSERT INTO onec.product (server, product_id, name, brand_id) VALUES (SRV, @{[ id(70) ]}, 'Брошь', @{[ id(80) ]}), (SRV, @{[ id(71) ]}, 'Бусы', @{[ id(81) ]})");
sold(30 + $_, "'2026-04-06 11:00'", 10 + $_, 1, 100, product_id => id(70 + $_)) for 0, 1;
refresh('true', 'true');
is(sql($brands), '10 {' . (id(80) =~ s/'|::uuid//gr) . '}, 11 {' . (id(81) =~ s/'|::uuid//gr) . '}', 'touched: by a brand: whose set is not here has its key');
window('brand', 'server, brand_id, name', "UNION ALL SELECT SRV, " . id(80) . ", 'Звон'");
is(touched('touched_customer', 'customer_id'), '10', 'touched: by a brand: who bought of it');
refresh('false', 'true');
is(sql($brands), '10 {Звон}, 11 {' . (id(81) =~ s/'|::uuid//gr) . '}', 'touched: by a brand: has its name');
sql("INSERT INTO onec.brand_map (priority, brand_id, slug, title_ru) VALUES (1, @{[ id(80) ]}, 'zvon', 'Звоночек')");
refresh('false', 'true');
is(sql($brands) =~ s/,.*//r, '10 {Звоночек}', '… or that which the site calls it by');
sql("DELETE FROM onec.brand_map; DELETE FROM onec.sale_line WHERE server = SRV AND product_id IS NOT NULL");
refresh('true', 'true');

# ---- while everybody is to be folded ----
sql('SELECT FROM onec_internal.refresh_all_people_next(SRV)');
sale(6, '2026-04-07 10:00', 10, 1000);
is(touched('touched_customer', 'customer_id'), '10', 'touched: before everybody is folded: a sale still makes a profile stale');
people('false');
refresh('false', 'true');
is(sql("SELECT total_revenue FROM onec.customer_profile WHERE server = SRV AND customer_id = " . id(10)), '1150', 'touched: before everybody is folded: it is computed');
is(logins(), '10|70000000001 11| 13|70000000003', 'touched: before everybody is folded: and everybody is');
as_if_all('before everybody is folded');

# ---- many ----
is(sql("SELECT cardinality(onec_internal.some_or_all(array_fill(" . id(1) . ", ARRAY[$_->[0]]), $_->[1]))"), $_->[2], "touched: $_->[0] of $_->[1]: " . ($_->[2] ? 'these' : 'all'))
  for [ 100, 1, 100 ], [ 101, 1, '' ], [ 101, 1010, 101 ], [ 101, 1009, '' ];

done_testing();
