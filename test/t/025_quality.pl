# The dirt that the demo shop plants, each sort counted: data_quality and the tables know of every piece, and of none that is not there.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', $ENV{TEST_FULL} ? 5000 : 600, '--seed', 11);
my $node = OnecTest->writable(OnecTest->node('quality'));

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow'");

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

sub found { return sql("SELECT coalesce((SELECT found FROM onec.data_quality WHERE code = '$_[0]'), 0)"); }

sql("SELECT FROM onec.setup('shop')");
sql("CALL onec.sync('shop', full_reload => true)");
my $truth = $onec->control('GET', '/truth');
my %dirt = %{ $truth->{dirt} };
my $digits = "regexp_replace(barcode, '[^0-9]', '', 'g')";
my $reads = "SELECT rows_read FROM onec.sync_status WHERE target =";

for my $case (
	[ 'cards_without_owner', found('Q2') ],
	[ 'shared_phone', found('Q3') ],
	[ 'anonymous_lines', "SELECT count(*) FROM onec.sale_line WHERE attribution = 'anonymous'
		AND recorder_type IN ('Document_ЧекККМ', 'Document_ОтчетОРозничныхПродажах')" ],
	[ 'opening_rows', "SELECT count(*) FROM onec.sale_line WHERE recorder_type = 'Document_ВводНачальныхОстатков'" ],
	[ 'inactive_rows', 'SELECT count(*) FROM onec.sale_line WHERE NOT active' ],
	[ 'reregistered_rows', "SELECT count(*) FROM onec.sale_line WHERE recorder_type = 'Document_ОтчетОРозничныхПродажах'" ],
	[ 'shift_reports', "SELECT count(DISTINCT recorder) FROM onec.sale_line WHERE recorder_type = 'Document_ОтчетОРозничныхПродажах'" ],
	[ 'returned_lines', "SELECT count(*) FROM onec.sale_line WHERE recorder_type = 'Document_ЧекККМВозврат'" ],
	[ 'returns', "SELECT count(DISTINCT recorder) FROM onec.sale_line WHERE recorder_type = 'Document_ЧекККМВозврат'" ],
	[ 'deleted_documents', 'SELECT count(*) FROM onec.receipt_journal WHERE deletion_mark' ],
	[ 'cards_deleted', 'SELECT count(*) FROM onec.discount_card WHERE deletion_mark' ],
	[ 'two_cards', 'SELECT count(*) FROM (SELECT user_id FROM onec.customer_card WHERE customer_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1) x' ],
	[ 'not_a_phone', 'SELECT count(*) FROM onec.discount_card WHERE onec.normalize_phone(barcode) IS NULL' ],
	[ 'phone_with_8', "SELECT count(*) FROM onec.discount_card WHERE onec.normalize_phone(barcode) = '7' || substr(barcode, 2) AND barcode ~ '^8'" ],
	[ 'phone_of_10', "SELECT count(*) FROM onec.discount_card WHERE onec.normalize_phone(barcode) = '7' || barcode AND length(barcode) = 10" ],
	[ 'phone_with_plus', "SELECT count(*) FROM onec.discount_card WHERE onec.normalize_phone(barcode) = $digits AND barcode ~ '^[+]'" ],
	[ 'folders', "SELECT ($reads 'counterparty') - $truth->{customers}" ],
  )
{
	my ($what, $query) = @$case;

	is($query =~ /^\d+$/ ? $query : sql($query), $dirt{$what}, $what);
}
is(found('Q6'), $dirt{sum_changed} + $dirt{inactive_documents}, 'receipts whose rows are others than the journal says: sums changed, rows switched off');
is(found($_), 0, "$_ finds nothing where nothing was planted") for qw(Q5 Q8 Q9);
is(sql("SELECT count(*) FROM onec.loyalty_movement WHERE period > onec.local_now('shop')") > 0 ? 1 : 0, 1, 'points expire in the future');
is(sql("SELECT count(*) FROM onec.sale_line l WHERE (recorder, product_id) IN (SELECT recorder, product_id FROM onec.sale_line
		WHERE recorder_type = 'Document_ЧекККМ' GROUP BY 1, 2, amount HAVING count(*) > 1)") >= $dirt{same_product_twice} ? 1 : 0, 1, 'the same product twice in a receipt stays twice');

# ---- balances: as 1C has them, by the rule that agrees with 1C ----
my %balance = %{ $truth->{loyalty}{balance}{cards} };
is(sql("SELECT rule, cards = agree, cards > 0 FROM onec.loyalty_rule"), 'signed|t|t', 'the rule for points is found by comparing with 1C');
my %here = map { split /\|/ } split /\n/, sql("SELECT card_id, balance::numeric(20,2) FROM onec.loyalty_balance_at('shop', '$truth->{loyalty}{balance}{at}') WHERE balance <> 0");
is_deeply(\%here, \%balance, 'balances of all cards');
is(sql("SELECT count(*) FROM onec.check_loyalty('shop') WHERE balance_1c <> signed"), '0', 'also as 1C itself reckons them now');
is(sql("SELECT count(*) FROM onec.loyalty_balance b WHERE expires_next_amount IS DISTINCT FROM (SELECT sum(CASE kind WHEN 'Receipt' THEN spent ELSE -spent END)
		FROM onec.loyalty_movement m WHERE m.card_id = b.card_id AND m.active AND m.period = b.expires_next_at)"), '0', 'what will expire next is what 1C has written ahead');
# the same sums written as a register without signs writes them
is(sql("UPDATE onec.loyalty_movement SET accrued = spent, spent = accrued WHERE kind = 'Expense';
		SELECT (onec.choose_loyalty_rule('shop')).rule"), 'unsigned', 'a register without signs is read without them');
is(sql("SELECT count(*) FROM onec.check_loyalty('shop') c JOIN onec.loyalty_balance b USING (card_id) WHERE c.balance_1c <> b.balance"), '0', 'and comes to the same');
sql("SELECT onec.set('loyalty.enabled', 'off', 'shop')");
is(sql('SELECT count(*) FROM onec.loyalty_balance'), '0', 'switched off, there are no balances, not even zeros');
sql("SELECT onec.set('loyalty.enabled', 'on', 'shop')");

# ---- dirt that the shop does not have ----
sql("UPDATE onec.loyalty_lot SET amount = amount + 5 WHERE card_id IN (SELECT card_id FROM onec.loyalty_lot WHERE active ORDER BY 1 LIMIT 1)");
cmp_ok(found('Q9'), '>=', 1, 'Q9: lots and movements that differ');
sql("INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, active, amount, quantity, attribution)
	SELECT 'shop', 'sales', gen_random_uuid(), 'Document_ЧекККМ', 1, onec.local_now('shop') - interval '3 days', true, 100, 1, 'anonymous' FROM generate_series(1, 2000)");
is(found('Q10'), sql("SELECT count(*) FROM onec.sale_line WHERE attribution = 'anonymous' AND active AND recorder_type <> 'Document_ВводНачальныхОстатков'
	AND period BETWEEN onec.local_now('shop') - interval '30 days' AND onec.local_now('shop')"), 'Q10: a month with many more purchases of nobody');
sql("UPDATE onec.sale_line SET period = period + interval '40 years' WHERE recorder IN (SELECT recorder FROM onec.sale_line WHERE amount = 100 LIMIT 3)");
is(found('Q7'), '3', 'Q7: sales dated ahead');

$node->stop;
done_testing();
