# A shop of rows put into the store by hand, without any 1C: servers, cards, sales and points, and what a window of a sync does with
# changes of them.  "SRV" in a statement is the shop at hand.
#
#	$node = OnecTest->node('numbers');
#	shop('a'); card(1, 10, '70000000001'); sold(1, "'2026-04-01'", 10, 1, 500);
#	window('discount_card', 'server, card_id, code, barcode, NULL::uuid AS owner_id');
package OnecRows;

use strict;
use warnings;
use utf8;

use Exporter 'import';
use OnecTest;
use Test::More;

our @EXPORT = qw($node $server sql shop id sold card points window);
our ($node, $server);

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try_text($node, $query =~ s/\bSRV\b/'$server'/gr);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

# A shop of its own for each case.
sub shop
{
	($server) = @_;
	return sql("CREATE SERVER $server FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'Europe/Moscow')");
}

sub id { return sprintf("'00000000-0000-4000-8000-%012d'::uuid", $_[0]); }

# Lines of sales: document, when, whose (a customer, or "card N"), quantity, amount; more by name.
my $line = 0;

sub sold
{
	my ($document, $at, $who, $quantity, $amount, %more) = @_;
	my ($card) = ($who // '') =~ /^card (\d+)/;
	my %row = (server => 'SRV', register => "'sales'", recorder => id($document), recorder_type => "'Document_ЧекККМ'", line_no => ++$line,
		period => $at, customer_id => defined $who && !$card ? id($who) : 'NULL', card_id => $card ? id($card) : 'NULL',
		quantity => $quantity, amount => $amount, attribution => !defined $who ? "'anonymous'" : $card ? "'card'" : "'counterparty'", %more);
	my @columns = sort keys %row;

	return sql('INSERT INTO onec.sale_line (' . join(', ', @columns) . ') VALUES (' . join(', ', @row{@columns}) . ')');
}

sub card
{
	my ($card, $owner, $phone) = @_;
	return sql("INSERT INTO onec.discount_card (server, card_id, code, barcode, owner_id) VALUES (SRV, " . id($card) . ", '$card', "
		. ($phone ? "'$phone'" : 'NULL') . ', ' . ($owner ? id($owner) : 'NULL') . ')');
}

sub points
{
	my ($document, $at, $kind, $card, $accrued, $spent) = @_;
	return sql("INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id, accrued, spent)
		VALUES (SRV, " . id($document) . ", 'Document_ЧекККМ', @{[ ++$line ]}, '$at', true, '$kind', " . id($card) . ", $accrued, $spent)");
}

# Have a window of the target read what the columns say of the rows here, in place of 1C, and write what differs.
sub window
{
	my ($target, $columns, $more) = @_;
	return sql("BEGIN; CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT $columns FROM onec.$target t WHERE server = SRV @{[ $more // '' ]};
		SELECT FROM public.short_stage('$target');
		SELECT FROM onec_internal.attribute_window(SRV, '$target'); SELECT FROM onec_internal.compare_unforgotten(SRV, '$target', 'true'); SELECT FROM onec_internal.write_window(SRV, '$target'); COMMIT");
}

1;
