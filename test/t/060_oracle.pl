# Any edits, any faults: after one nightly and one weekly run the sums here are those of the demo 1C, which are added up by a
# program that knows nothing of the extension.  A run that finds nothing new writes no row and asks little.
# Sequences have the numbers that follow TEST_SEED (1); TEST_COUNT says how many, TEST_FULL=1 makes them many.
use strict;
use warnings;
use utf8;

use OnecTest;
use StoreTruth;
use Test::More;
use Time::HiRes qw(sleep);

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $sequences = $ENV{TEST_COUNT} // ($ENV{TEST_FULL} ? 200 : 4);
my $first = $ENV{TEST_SEED} // 1;
my $onec = OnecTest->onec('--customers', 60, '--seed', 3, '--site');
my $node = OnecTest->node('oracle');

# The lines that are purchases.
sub counted { return "server = '$_[0]' AND active AND recorder_type <> 'Document_ВводНачальныхОстатков'"; }

# What may go wrong on the way to 1C; each acts once or a few times.  ORDER and FILTER are what 1C says of what it refuses.
my @faults = (
	sub { { match => $_[0], nth => $_[1], status => 503, times => 1 } },
	sub { { match => $_[0], nth => $_[1], status => 500, times => 3, every => 2 } },
	sub { { match => $_[0], nth => $_[1], cut_at => 300 + 97 * $_[1], times => 1 } },
	sub { { match => $_[0], nth => $_[1], reset => 1, times => 1 } },
	sub { { match => $_[0], nth => $_[1], close => 1, times => 2 } },
	sub { { match => $_[0], nth => $_[1], html => 1, status => 200, times => 1 } },
	sub { { match => $_[0], nth => $_[1], body => '', times => 1 } },
	sub { { match => $_[0], nth => $_[1], drop_session => 1, status => 400, times => 1 } },
	sub { { match => $_[0], after => $_[1], status => 502, times => 40 } },
	sub { { match => "$_[0].*orderby", after => $_[1], status => 500, times => 2, error => { code => -1, message => 'AUTOORDER' } } },
	sub { { match => "$_[0].*filter", after => $_[1], status => 500, times => 2, error => { code => 20, message => 'Операция не разрешена' } } },
);
my @places = ('Продажи_RecordType', 'ПродажиПоДисконтнымКартам', 'РозничныеПродажи', 'ДисконтныеКарты', 'Контрагенты', 'Номенклатура',
	'БонусныеБаллы', 'Turnovers', 'Balance', 'SliceLast', 'ЦеныНоменклатуры', 'ДополнительныеРеквизиты', 'Характеристики', 'ЗаказПокупателя', 'Заказ.*RecordType',
	'Файл|Хранилищ', '\$count', '.');
# The largest picture that is kept.
my $bound = 20_000;

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

# Lines that differ between what 1C has and what is here, "key|rows|sum" each.
sub differences
{
	my ($what, $query, $want) = @_;
	my %got = map { (split /\|/, $_, 2)[0] => $_ } split /\n/, sql($query);
	my %all = map { $_ => 1 } keys %got, keys %$want;

	return map { "$what $_: 1C " . ($want->{$_} ? "$want->{$_}{rows}|$want->{$_}{sum}" : 'nothing') . ', here ' . ($got{$_} // 'nothing') }
	  grep { ($got{$_} // '') ne ($want->{$_} ? "$_|$want->{$_}{rows}|$want->{$_}{sum}" : '') } sort keys %all;
}

# What a site shows: each row of the sets, and each picture, by the base's own account of them.
sub wrong_of_site
{
	my ($server, $truth) = @_;

	StoreTruth->load($node, $onec);
	return (StoreTruth->differences($node, $server, StoreTruth->site_tables), StoreTruth->wrong_pictures($node, $server, $truth->{pictures}, $bound));
}

# What is wrong with the sums of a server, and with the figures of its profiles: by 1C's own account of each customer, where all his
# lines name him, and by the lines here for the others.
sub wrong
{
	my ($server) = @_;
	my $truth = $onec->control('GET', '/truth');
	my $counted_truth = $truth->{sales}{counted};
	my %customers = %{ $counted_truth->{by_customer} };
	my %receipts = map { $_ => { rows => $customers{$_}{receipts} // 0, sum => $customers{$_}{sum} } } keys %customers;
	my %balances = map { $_ => { rows => 1, sum => $truth->{loyalty}{balance}{cards}{$_} } } keys %{ $truth->{loyalty}{balance}{cards} };
	my $at = $truth->{loyalty}{balance}{at};
	my $counted = counted($server);
	my $named = "SELECT customer_id FROM onec.sale_line l WHERE $counted AND customer_id IS NOT NULL GROUP BY 1 HAVING bool_and(attribution = 'counterparty')";

	# stock and prices: what 1C says of each product, variant and store, or kind of price
	my $goods = $truth->{goods};
	my $none = '00000000-0000-0000-0000-000000000000';
	my $of = "product_id || ' ' || coalesce(variant_id, '$none') || ' ' || coalesce";

	delete $customers{''};
	my %named = map { $_ => 1 } split /\n/, sql($named);
	delete @receipts{ grep { !$named{$_} } keys %receipts };
	return (
		wrong_of_site($server, $truth),
		differences('stock', "SELECT $of(store_id, '$none'), 1, on_hand::numeric(20,3) FROM onec.stock WHERE server = '$server' AND on_hand <> 0",
			{ map { $_ => { rows => 1, sum => $goods->{stock}{$_} } } keys %{ $goods->{stock} } }),
		differences('reserved', "SELECT $of(store_id, '$none'), 1, reserved::numeric(20,3) FROM onec.stock WHERE server = '$server' AND reserved <> 0",
			{ map { $_ => { rows => 1, sum => $goods->{reserved}{$_} } } keys %{ $goods->{reserved} } }),
		differences('price', "SELECT $of(kind_id, '$none'), 1, price::numeric(20,2) || ' ' || since FROM onec.price WHERE server = '$server'",
			{ map { $_ => { rows => 1, sum => $goods->{prices}{$_} } } keys %{ $goods->{prices} } }),
		differences('month', "SELECT to_char(period, 'YYYY-MM'), count(*), sum(amount)::numeric(20,2) FROM onec.sale_line WHERE $counted GROUP BY 1",
			$counted_truth->{by_month}),
		differences('customer', "SELECT customer_id, count(*), sum(amount)::numeric(20,2) FROM onec.sale_line
			WHERE $counted AND attribution = 'counterparty' GROUP BY 1", \%customers),
		differences('receipts of', "SELECT customer_id, receipts, total_revenue::numeric(20,2) FROM onec.customer_profile
			WHERE server = '$server' AND customer_id IN ($named)", \%receipts),
		differences('store', "SELECT store_id, count(*), sum(amount)::numeric(20,2) FROM onec.sale_line WHERE $counted GROUP BY 1",
			$counted_truth->{by_store}),
		differences('card', "SELECT card_id, count(*), sum(amount)::numeric(20,2) FROM onec.card_sale_line WHERE server = '$server' AND active GROUP BY 1",
			$truth->{card_sales}{by_card}),
		differences('points', "SELECT card_id, 1, sum(CASE kind WHEN 'Receipt' THEN 1 ELSE -1 END * (coalesce(accrued, 0) - coalesce(spent, 0)))::numeric(20,2) AS b
			FROM onec.loyalty_movement WHERE server = '$server' AND active AND period <= '$at' GROUP BY 1
			HAVING sum(CASE kind WHEN 'Receipt' THEN 1 ELSE -1 END * (coalesce(accrued, 0) - coalesce(spent, 0))) <> 0", \%balances),
		(grep { $_ ne '' } split /\n/, sql("SELECT 'rows here ' || count(*) || ', in 1C $truth->{sales}{all_rows}' FROM onec.sale_line WHERE server = '$server'
			HAVING count(*) <> $truth->{sales}{all_rows}")),
		(grep { $_ ne '' } split /\n/, sql("SELECT 'profile of ' || customer_id || ': ' || p || ' instead of ' || l FROM
			(SELECT customer_id, ROW(lines, total_revenue, gross_revenue, returns_amount, total_items) AS p FROM onec.customer_profile
			 WHERE server = '$server' AND lines > 0) a
			FULL JOIN (SELECT coalesce(customer_id, card_id) AS customer_id, ROW(count(*)::int, sum(amount), coalesce(sum(amount) FILTER (WHERE amount > 0), 0),
				coalesce(sum(amount) FILTER (WHERE amount < 0), 0), sum(quantity)) AS l
				FROM onec.sale_line l WHERE $counted AND coalesce(customer_id, card_id) IS NOT NULL GROUP BY 1) b USING (customer_id)
			WHERE p IS DISTINCT FROM l")));
}

sub last_run { return sql("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"); }

sub edit
{
	my ($n, $seed) = @_;
	return map { $_->{op} } map { @{ $onec->control('POST', '/edit', { op => $_, n => $n, seed => $seed })->{done} } } qw(random random_goods random_site);
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
sql("SELECT onec.set('$_', 'true', '')") for qw(stock.enabled prices.enabled prices.history product_cards.enabled order_details.enabled image.enabled);
sql("SELECT onec.set('image.max_bytes', '$bound', '')");
sql("SELECT onec.set('endpoint.stock_reserved', 'AccumulationRegister_РезервыТоваров', '')");
sql("SELECT FROM onec.setup('shop')");
StoreTruth->of_site;
StoreTruth->create($node);
sql("CALL onec.sync('shop', full_reload => true)");
is(join("\n", wrong('shop')), '', 'first load');

# ---- sequences ----
my (%statuses, %edits, $failures);
for my $seed ($first .. $first + $sequences - 1)
{
	srand(20261122 + $seed);
	my @wrong;
	$edits{$_}++ for edit(1 + int(rand(8)), "$seed/a");
	for my $job ((qw(interval nightly weekly))[rand 3], 'nightly')
	{
		if ($seed % 2)
		{
			$onec->control('POST', '/faults', $faults[rand @faults]->($places[rand @places], 1 + int(rand(12)))) for 1 .. 1 + int(rand(3));
		}
		sql("CALL onec.run_job('$job', 'shop')");
		$statuses{ last_run() }++;
		$onec->control('POST', '/faults/clear', {});
		# whom a run has folded, of those it took for touched, is as if everybody had been
		push @wrong, map { "$_ users after $job" } grep { $_ > 0 } sql('BEGIN;
			SELECT f.rows_inserted + f.rows_updated + f.rows_deleted FROM onec_internal.refresh_people(\'shop\') f; ROLLBACK') if last_run() eq 'ok';
		$edits{$_}++ for edit(1 + int(rand(3)), "$seed/$job");
	}
	sql("CALL onec.run_job('nightly', 'shop')");
	# what a night has refreshed is what a refresh of everybody would give
	push @wrong, map { "$_ profiles" } grep { $_ > 0 } sql("SELECT count(*) FROM (
		(TABLE onec.customer_profile EXCEPT ALL SELECT * FROM onec_internal.computed_profiles('shop', NULL, onec.local_now('shop')::date)) UNION ALL
		(SELECT * FROM onec_internal.computed_profiles('shop', NULL, onec.local_now('shop')::date) EXCEPT ALL TABLE onec.customer_profile)) x");
	sql("CALL onec.run_job('weekly', 'shop')");
	push @wrong, wrong('shop');
	push @wrong, 'the last run: ' . last_run() if last_run() ne 'ok';
	next unless @wrong;
	$failures++;
	diag("after sequence $seed:\n" . join("\n", @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]));
}
is($failures // 0, 0, "$sequences sequences of edits: months, customers, stores, cards, points, stock, prices, goods, orders and pictures are equal to 1C's own");
OnecTest->figure('sequences of edits and faults', $sequences);
OnecTest->figure('sequences of edits and faults after which a sum differed', $failures // 0);
note('edits: ' . join(', ', map { "$_ $edits{$_}" } sort keys %edits));
note('runs with faults: ' . join(', ', map { "$_ $statuses{$_}" } sort keys %statuses));
cmp_ok(($statuses{partial} // 0) + ($statuses{failed} // 0), '>', 0, 'some runs were really disturbed');

# ---- what many small steps have led to is what one load leads to ----
OnecTest->server($node, $onec, name => 'fresh', options => "timezone 'Europe/Moscow'");
sql("SELECT FROM onec.setup('fresh')");
sql("CALL onec.run_job('weekly', 'fresh')");
is(last_run(), 'ok', 'the same base loaded at once');
is(join("\n", wrong('fresh')), '', '… is as 1C says');
for my $table (split /\n/, sql("SELECT DISTINCT table_schema || '.' || table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
	WHERE table_schema ~ '^onec' AND table_type = 'BASE TABLE' AND column_name = 'server'
	AND table_name !~ '^(config|setting|base|outbox_base|largest_page|sync_|drift|refusal|clv_model|loyalty_rule|forgotten|server_number)' ORDER BY 1"))
{
	# of what is gone in 1C only marks are left here, and when a value was worked out is no part of it
	my ($columns, $mark) = split /\|/, sql("SELECT string_agg(quote_ident(column_name), ', '), bool_or(column_name = 'is_deleted')
		FROM information_schema.columns WHERE table_schema || '.' || table_name = '$table' AND column_name <> 'server' AND data_type !~ 'with time zone'");
	# a user whose last card went to another stays here, switched off
	my $rows = "SELECT $columns FROM $table t WHERE " . ($mark eq 't' ? 'NOT is_deleted AND ' : '') .
	  ($table eq 'onec.site_user' ? 'EXISTS (SELECT FROM onec.customer_card k WHERE k.server = t.server AND k.user_id = t.user_id) AND ' : '') . 'server =';

	my ($shop, $fresh) = map { sql("SELECT onec_internal.server_in('$table', '$_')") } qw(shop fresh);

	is(sql("SELECT count(*) >= 0 FROM ($rows $shop) x"), 't', "$table can be looked into");
	is(sql("(SELECT 'many steps', x FROM ($rows $shop EXCEPT ALL $rows $fresh) x LIMIT 5) UNION ALL
		(SELECT 'one load', x FROM ($rows $fresh EXCEPT ALL $rows $shop) x LIMIT 5)"), '', "$table is the same");
}

# ---- nothing new: nothing is written, little is asked ----
my $written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables
	WHERE schemaname ~ '^onec' AND relname NOT IN ('sync_run', 'sync_step', 'sync_state', 'clv_model', 'largest_page')";    # accounts of runs, fits and answers

# what a run has done is in the counters when its backend is gone
sub written
{
	my $last = -1;

	OnecTest->wait_for(sub {
			my $now = sql($written);
			my $calm = $now eq $last;
			sleep(0.3);
			$last = $now;
			return $calm;
		}, 'calm counters', 20);
	return $last;
}

for my $job (qw(weekly nightly))
{
	my $before = written();
	$onec->control('POST', '/log/clear', {});
	sql("CALL onec.run_job('$job', 'shop')");
	is(written(), $before, "$job with nothing new writes no row");
	my @asked = @{ $onec->control('GET', '/log') };
	my $windows = sql("SELECT sum(windows_done) FROM onec.sync_step s WHERE run_id = (SELECT max(run_id) FROM onec.sync_run)");
	my $months = sql("SELECT count(DISTINCT date_trunc('month', period)) FROM onec.sale_line");
	my $small = 45;    # metadata, second pages of catalogs, what two dates of one page ask again, rows before and behind all windows of a set

	cmp_ok(scalar @asked, '<=', $windows + ($job eq 'nightly' ? 2 * $months : 0) + $small,
		"and asks little ($windows windows, $months months)") or diag(join ', ', map { my $path = $_; "$path " . grep { $_->{path} eq $path } @asked } sort keys %{ { map { $_->{path} => 1 } @asked } });
}

$node->stop;
done_testing();
