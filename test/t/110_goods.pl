# What a page of the shop shows of goods (stock with reservations, prices of several kinds, variants, properties, units, VAT) is as
# in 1C, after any edits and faults.  Stock and prices come from functions of registers, which cannot be counted: what is missing is
# believed gone when a second reading says so, too, and 1C does not find it when asked by key.
# Random edits have the seeds that follow TEST_SEED (1); TEST_COUNT says how many, TEST_FULL=1 makes them more.
use strict;
use warnings;
use utf8;

use OnecTest;
use HTTP::Tiny;
use JSON::PP ();
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $zero = '00000000-0000-0000-0000-000000000000';
my ($balance, $reserves, $slice) = map { "$_\\?" } 'ЗапасыНаСкладах/Balance', 'РезервыТоваров/Balance', 'ЦеныНоменклатуры/SliceLast';
my $onec = OnecTest->onec('--customers', 20, '--seed', 5, '--site');
my $node = OnecTest->node('goods');
my @steps = qw(stock prices product_cards);

sub sql { return OnecTest->rows($node, @_); }
sub edit { return $onec->control('POST', '/edit', {@_}); }
sub fault { $onec->control('POST', '/faults', { times => 1000, @_ }); return; }
sub calm { $onec->control('POST', '/faults/clear', {}); return; }
sub run { my %o = (steps => [@steps], more => '', @_); sql("CALL onec.sync('shop', steps => '{" . join(',', @{ $o{steps} }) . "}'$o{more})"); return; }
sub of { return sql("SELECT $_[1] FROM onec.sync_status WHERE server = 'shop' AND target = '$_[0]'"); }
sub asked { my ($what) = @_; return grep { "$_->{path}?$_->{query}" =~ /$what/ } @{ $onec->control('GET', '/log') }; }

# Where rows "key|value" differ from what 1C says itself.
sub differences
{
	my ($what, $query, $truth) = @_;
	my %here = map { split /\|/, $_, 2 } split /\n/, sql($query);

	return map { "$what $_: 1C " . ($truth->{$_} // 'nothing') . ', here ' . ($here{$_} // 'nothing') }
	  grep { ($here{$_} // '') ne ($truth->{$_} // '') } sort keys %{ { %here, %$truth } };
}

# What of onec.* differs from 1C, but for older prices where only recent days were read: sums from the demo 1C's own account, catalogs from the sets themselves.
sub wrong
{
	my $goods = $onec->control('GET', '/truth')->{goods};
	my $key = "product_id || ' ' || coalesce(variant_id, '$zero') || ' ' || coalesce(%s, '$zero')";
	my ($stock, $price) = map { sprintf $key, $_ } qw(store_id kind_id);
	my @catalogs = (
		[ 'variant', 'SELECT variant_id, product_id, code, name, print_name FROM onec.product_variant WHERE NOT is_deleted',
			'SELECT Ref_Key, Owner::uuid, Code, Description, НаименованиеДляПечати FROM raw.catalog_ХарактеристикиНоменклатуры' ],
		[ 'property', 'SELECT product_id, line_no, property_id, value, value_type FROM onec.product_property',
			q{SELECT Ref_Key, LineNumber, Свойство_Key, Значение::text, replace(Значение_Type, 'StandardODATA.', '') FROM raw.catalog_Номенклатура_ДополнительныеРеквизиты} ],
		[ 'product', 'SELECT product_id, full_name, barcode, description, unit_id, vat FROM onec.product WHERE NOT is_deleted',
			'SELECT Ref_Key, НаименованиеПолное, Штрихкод, Описание, ЕдиницаИзмерения_Key, СтавкаНДС_Key::text FROM raw.catalog_Номенклатура' ],
		$_[0] ? () : [ 'history', 'SELECT product_id, variant_id, kind_id, since, price, is_actual FROM onec.price_history',
			'SELECT Номенклатура_Key, Характеристика_Key, ВидЦен_Key, Period, Цена::numeric, Актуальность FROM raw.informationregister_ЦеныНоменклатуры' ]);

	my @bad = (
		differences('stock', "SELECT $stock, on_hand::numeric(20,3) FROM onec.stock WHERE server = 'shop' AND on_hand <> 0", $goods->{stock}),
		differences('reserved', "SELECT $stock, reserved::numeric(20,3) FROM onec.stock WHERE server = 'shop' AND reserved <> 0", $goods->{reserved}),
		differences('price', "SELECT $price, price::numeric(20,2) || ' ' || since FROM onec.price WHERE server = 'shop'", $goods->{prices}),
		grep { $_ ne '' } split /\n/, sql(join ' UNION ALL ', map {
				my ($what, $here, $there) = @$_;
				map { "(SELECT '$what', x::text FROM ($_->[0] EXCEPT ALL $_->[1]) x LIMIT 3)" } [ $here, $there ], [ $there, $here ]
			} @catalogs));
	return @bad > 9 ? (@bad[0 .. 8], '…') : @bad;
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
sql(q{CREATE SCHEMA raw; IMPORT FOREIGN SCHEMA "StandardODATA" LIMIT TO (catalog_Номенклатура, catalog_ХарактеристикиНоменклатуры,
	catalog_Номенклатура_ДополнительныеРеквизиты, informationregister_ЦеныНоменклатуры) FROM SERVER shop INTO raw});

# ---- nothing of it is read unless somebody says so ----
is(sql("SELECT target, status, missing FROM onec.setup('shop') WHERE target ~ '^(stock|price|product_[vp]|unit|vat|currency|property)' ORDER BY 1"),
	join("\n", map { "$_->[0]|" . ($_->[1] // 'created') . '|' . ($_->[2] // '') } [ 'currency' ], [ 'price', undef, '{currency_id}' ],
		[ 'price_history', undef, '{currency_id}' ], [ 'price_kind' ], [ 'product_property' ], [ 'product_variant' ], [ 'property_name' ],
		[ 'property_value' ], [ 'stock' ], [ 'unit' ], [ 'vat_rate' ]), 'setup finds what there is');
run();
is(scalar(asked('ЗапасыНаСкладах|ЦеныНоменклатуры|Характеристик')), 0, 'what is switched off asks nothing');
is(sql("SELECT onec.stock_free('$zero') IS NULL, (SELECT count(*) FROM onec.stock)"), 't|0', '… and nobody knows what there is');
sql("SELECT onec.set('$_', 'true', 'shop')") for qw(stock.enabled prices.enabled prices.history product_cards.enabled);
run(steps => [ @steps, 'products', 'stores' ]);
is(sql("SELECT count(*) FROM onec.stock WHERE reserved IS NOT NULL OR free <> on_hand"), 0, 'without a register of reservations they are NULL, and all is free');
sql("SELECT onec.set('endpoint.stock_reserved', 'AccumulationRegister_РезервыТоваров', 'shop')");
is(sql("SELECT status FROM onec.setup('shop') WHERE target = 'stock_reserved'"), 'created', 'a setting names the register');

# ---- as in 1C ----
$onec->control('POST', '/log/clear', {});
run();
is(join("\n", wrong()), '', 'all is as in 1C');
is(sql("SELECT string_agg(DISTINCT status, ',') FROM onec.sync_status WHERE step IN ('" . join("','", @steps) . "')"), 'ok', 'every step is in order');
is_deeply([ map { $_->{query} =~ /&(.*)/ } asked($balance) ], ["Dimensions='Номенклатура,Характеристика,СтруктурнаяЕдиница'"], 'stock: one request, by which 1C adds up organizations');
my @prices = asked($slice);
is(scalar(@prices), 1, 'the price list: one pass');
like($prices[0]{query}, qr/nometadata&Period=datetime'[^']+'$/, '… of the moment');
my $planted = $onec->control('GET', '/truth')->{dirt};
is(sql(q{SELECT count(*) FROM onec.price_history h WHERE since > '2089-01-01' AND NOT EXISTS (SELECT FROM onec.price p WHERE p.since = h.since)}), $planted->{prices_to_come},
	'prices to come are history before they are prices');
is(sql('SELECT count(*) FROM onec_internal.price WHERE NOT is_actual'), $planted->{prices_taken_back}, 'prices taken back are none');
is(sql('SELECT count(*) FROM onec.price WHERE variant_id IS NOT NULL'), $planted->{prices_of_variants}, 'variants have prices of their own');
is(sql("SELECT string_agg(DISTINCT kind || ' ' || currency, ', ' ORDER BY kind || ' ' || currency) FROM onec.price"), 'Оптовая цена USD, Розничная цена RUB, Цена для сайта RUB', 'kinds and currencies have names');
is(sql('SELECT count(*) FROM onec.stock WHERE on_hand = 0 AND free < 0'), $planted->{reserved_and_not_in_stock}, 'what is reserved and not there shows');
is(sql("SELECT count(*) > 0, bool_and(property IN ('Бренд', 'Коллекция')), bool_and(text !~ '^[0-9a-f]{8}-') FROM onec.product_property"), 't|t|t', 'properties and values have names');

# ---- nothing new: nothing is written ----
my @stored = map { "onec.$_" } qw(unit vat_rate product_variant property_name property_value currency price_kind);
push @stored, map { "onec_internal.$_" } qw(stock stock_reserved price price_history product_property);
sub versions { return sql('SELECT md5(string_agg(x, \',\' ORDER BY x)) FROM (' . join(' UNION ALL ', map { "SELECT '$_' || xmin::text || ctid::text FROM $_" } @stored) . ') t (x)'); }
my $versions = versions();
run();
is(versions(), $versions, 'a second run writes no row');
is(sql("SELECT bool_and(k.as_of BETWEEN s.started_at AND s.finished_at) FROM onec.sync_state k JOIN onec.sync_status s USING (server, target) WHERE s.step IN ('stock', 'prices')"), 't', '… but says as of when the store is as 1C');

# ---- edits and faults ----
my $first = $ENV{TEST_SEED} // 1;
my @faults = (
	sub { (status => 503, times => 1) }, sub { (cut_at => 2000, times => 1) }, sub { (reset => 1, times => 1) },
	sub { (body => '{"odata.metadata": "x", "value": []}', times => 1) }, sub { (replace => [ [ '"Характеристика_Key"', '"Х"' ] ], times => 1) },
	sub { (replace => [ [ 'Количество', 'Число' ] ], times => 1) }, sub { (html => 1, status => 200, times => 2) });
my @bad;
for my $seed ($first .. $first + ($ENV{TEST_COUNT} // ($ENV{TEST_FULL} ? 60 : 6)) - 1)
{
	srand(20261128 + $seed);
	edit(op => 'random_goods', n => 1 + int(rand(12)), seed => $seed);
	fault(match => ($balance, $reserves, $slice, 'ЦеныНоменклатуры', 'Характеристики', 'ДополнительныеРеквизиты')[rand 6], $faults[rand @faults]->()) for 1 .. $seed % 3;
	run();
	calm();
	edit(op => 'random_goods', n => 2, seed => "$seed/b");
	run();
	run(more => ', full_reload => true') if $seed % 3 == 0 || sql("SELECT bool_and(status = 'ok') FROM onec.sync_status WHERE step IN ('" . join("','", @steps) . "')") ne 't';
	push @bad, map { "$seed: $_" } wrong($seed % 3);
}
is(join("\n", @bad[0 .. ($#bad > 9 ? 9 : $#bad)]), '', "random edits and faults from seed $first on: as in 1C after the next run");

# ---- proof ----
sub rows_here { return sql('SELECT count(*), sum(on_hand) FROM onec_internal.stock'); }
my $here = rows_here();
fault(match => $balance, body => '{"odata.metadata": "x", "value": []}');
run(steps => ['stock']);
is(of('stock', 'status') . rows_here(), "incomplete$here", 'an answer of nothing empties no store');
run(steps => ['stock'], more => ', force => true');
is(rows_here(), '0|', '… unless by force');
calm();
run(steps => ['stock']);
is(of('stock', 'status') . rows_here(), "ok$here", 'and what is there comes back');

# an answer that lacks some products
my $url = $onec->url =~ s{//}{//demo:demo@}r . "/odata/standard.odata/AccumulationRegister_%D0%97%D0%B0%D0%BF%D0%B0%D1%81%D1%8B%D0%9D%D0%B0%D0%A1%D0%BA%D0%BB%D0%B0%D0%B4%D0%B0%D1%85/Balance?\$format=json";
my $whole = JSON::PP->new->utf8->decode(HTTP::Tiny->new->get($url)->{content});
my $short = JSON::PP->new->encode({ 'odata.metadata' => 'x', value => [ @{ $whole->{value} }[ 20 .. $#{ $whole->{value} } ] ] });
fault(match => $balance, body => $short, times => 1);
run(steps => ['stock']);
is(of('stock', 'status') . rows_here(), "ok$here", 'one short answer is followed by a whole one');
fault(match => "$balance.*Dimensions='[^']*'\$", body => $short);
$onec->control('POST', '/log/clear', {});
run(steps => ['stock']);
is(of('stock', 'status') . rows_here(), "incomplete$here", 'a base that always cuts its answers takes nothing away: what is missing is found by key');
cmp_ok(scalar(asked('Balance.*Condition')), '>', 0, '… which is asked for by a condition of the function');
calm();
fault(match => $balance, replace => [ [ '"КоличествоBalance"', '"Остаток"' ] ]);
run(steps => ['stock']);
is(rows_here(), $here, 'rows that come without their quantity keep it');
calm();
my $gone = edit(op => 'stock_gone');
run(steps => ['stock']);
$onec->control('POST', '/log/clear', {});
$gone = edit(op => 'stock_gone');
run(steps => ['stock']);
is(of('stock', 'status, rows_deleted'), 'ok|1', 'what is sold out is proven gone');
is(scalar(asked("$balance.*Dimensions='[^']*'\$")) . scalar(asked('Balance.*Condition')), '21', '… by a second reading and one question');
is(join("\n", wrong(1)), '', 'and all is as in 1C');

# ---- switched off, or not published any more ----
$onec->control('POST', '/log/clear', {});
sql("SELECT onec.set('$_', 'false', 'shop')") for qw(stock.enabled prices.history product_cards.enabled);
run();
is(scalar(asked('Balance|Характеристик|Реквизит')) . '/' . scalar(asked('ЦеныНоменклатуры')), '0/1', 'each is switched off by itself');
sql("SELECT onec.set('$_', NULL, 'shop')") for qw(prices.history product_cards.enabled);
sql("SELECT onec.set('stock.enabled', 'true', 'shop'); SELECT onec.set('endpoint.stock', 'AccumulationRegister_Нет', 'shop')");
is(sql("SELECT entity_set, status FROM onec.setup('shop') WHERE target = 'stock'"), 'AccumulationRegister_Нет|not published', 'a base may have no such register');
sql("SELECT onec.set('endpoint.stock', 'AccumulationRegister_Продажи', 'shop')");
is(sql("SELECT status FROM onec.setup('shop') WHERE target = 'stock'"), 'no function Balance', 'a register of turnovers has no balances');
my $before = rows_here();
run();
is(of('stock', 'status') . rows_here(), "not published$before", 'nothing is taken away');
sql("SELECT onec.set('endpoint.stock', NULL, 'shop'); SELECT count(*) FROM onec.setup('shop')");
sql("UPDATE onec.target SET entity_set = 'AccumulationRegister_ТоварыНаСкладах', other_sets = '{AccumulationRegister_Запасы,AccumulationRegister_ЗапасыНаСкладах}' WHERE target = 'stock'");
is(sql("SELECT entity_set, status FROM onec.setup('shop') WHERE target = 'stock'"), 'AccumulationRegister_ЗапасыНаСкладах|kept', 'of the names that configurations give it the one that is published is taken');
sql("SELECT onec.set('endpoint.stock_reserved', NULL, 'shop')");
is(sql("SELECT count(*) FROM onec.stock WHERE reserved IS NOT NULL"), 0, 'reservations of a register that is named no more count no more');
sql("SELECT onec.set('endpoint.stock_reserved', 'AccumulationRegister_РезервыТоваров', 'shop')");

# ---- a long price list ----
my $list = $ENV{TEST_FULL} ? 100_000 : 5000;
sub listed
{
	edit(op => 'price_list', rows => $list) if $_[0];
	$onec->control('POST', '/log/clear', {});
	my $began = time;
	my $cpu = sql("CALL onec.sync('shop', steps => '{prices}'); SELECT round(substring(pg_read_file('/proc/self/schedstat'), '^[0-9]+')::numeric / 1e9, 1)");
	my ($bytes, $rows) = (0, of('price', 'rows_read'));
	$bytes += $_->{bytes} for asked($slice);
	diag("| price list of $rows rows: " . scalar(asked($slice)) . " request, $bytes bytes, " . (time - $began) . " s, $cpu s of the backend") if $ENV{TEST_FULL};
	OnecTest->figure("worst CPU of the backend for a price list of $list rows, s", $cpu) if $ENV{TEST_FULL};
	return scalar(asked($slice));
}
is(listed(1) . of('price', 'status, rows_inserted'), "1ok|$list", "a price list of $list rows: one request, one pass");
$versions = versions();
is(listed(0) . of('price', 'status, rows_updated') . (versions() eq $versions), '1ok|01', '… which writes no row the second time');
is(listed(1) . of('price', "status, rows_updated > $list * 0.9"), '1ok|t', 'all other prices are one request again');
is(join("\n", wrong(1)), '', '… as in 1C');

# ---- a page of the site ----
sql("CREATE ROLE site; SELECT onec.grant_site('site'); CREATE ROLE analyst; SELECT onec.grant_reader('analyst'); CREATE ROLE nobody");
my ($product, $variant) = split /\|/, sql("SELECT product_id, variant_id FROM onec.stock WHERE variant_id IS NOT NULL AND reserved = 0 AND free > 0 ORDER BY 1, 2 LIMIT 1");
my $json = JSON::PP->new->decode(sql("SET ROLE site; SELECT onec.product_json('$product')"));
is_deeply([ map { $json->{$_} } qw(product_id category unit vat_rate withdrawn) ], [ $product, 'rings', sql("SELECT u.name FROM onec.unit u JOIN onec.product p USING (unit_id) WHERE product_id = '$product'"), sql("SELECT rate FROM onec.vat_rate v JOIN onec.product p ON p.vat = v.vat_rate_id::text WHERE product_id = '$product'"), JSON::PP::false ],
	'product_json: the card');
is(join(',', map { "$_->{kind} $_->{price}" } @{ $json->{prices} }),
	sql("SELECT string_agg(kind || ' ' || price, ',' ORDER BY kind) FROM onec.price WHERE product_id = '$product' AND variant_id IS NULL"), '… its prices');
is("$json->{stock}{on_hand} $json->{stock}{free}", sql("SELECT concat_ws(' ', sum(on_hand), sum(free)) FROM onec.stock WHERE product_id = '$product'"), '… its stock');
is(scalar(@{ $json->{variants} }), sql("SELECT count(*) FROM onec.product_variant WHERE product_id = '$product'"), '… its variants');
my ($one) = grep { $_->{variant_id} eq $variant } @{ $json->{variants} };
is($one->{free}, sql("SELECT sum(free) FROM onec.stock WHERE product_id = '$product' AND variant_id = '$variant'"), '… each with what is free of it');
my ($sized, $size) = split /\|/, sql("SELECT product_id, variant_id FROM onec.price p WHERE variant_id IS NOT NULL ORDER BY 1 LIMIT 1");
is(sql("SELECT v -> 'prices' @> jsonb_build_array(jsonb_build_object('kind', p.kind, 'price', p.price)), (SELECT count(DISTINCT kind_id) FROM onec.price WHERE product_id = '$sized') = jsonb_array_length(v -> 'prices')
	FROM jsonb_array_elements(onec.product_json('$sized')::jsonb -> 'variants') v JOIN onec.price p ON p.product_id = '$sized' AND p.variant_id = '$size' WHERE v ->> 'variant_id' = '$size'"), 't|t',
	'… and its own price, or the product\'s');
is(join(',', map { $_->{property} } @{ $json->{properties} }), 'Бренд,Коллекция', '… its properties');
is(sql("SELECT onec.stock_free('$product') = (SELECT sum(free) FROM onec.stock WHERE product_id = '$product'),
	onec.stock_free('$product', '$variant') = (SELECT sum(free) FROM onec.stock WHERE product_id = '$product' AND variant_id = '$variant'),
	onec.stock_free('$product', store => '$zero'), onec.stock_free('$zero'), onec.product_json('$zero') IS NULL,
	(SELECT min(onec.stock_free(product_id)) FROM onec.stock WHERE free < 0)"), 't|t|0|0|t|0', 'stock_free: of a product, a variant, a store; nothing is 0, and never less');
is(sql("BEGIN; UPDATE onec.sync_state SET as_of = NULL WHERE target = 'stock'; SELECT (onec.product_json('$product') -> 'stock')::text, onec.stock_free('$product') IS NULL; ROLLBACK"), 'null|t',
	'while the stock was never read nobody says that there is none');
is(OnecTest->try($node, "SET ROLE site; SELECT count(*) FROM onec.stock")->{sqlstate} . OnecTest->try($node, "SET ROLE nobody; SELECT onec.product_json('$product')")->{sqlstate}, '4250142501',
	'the site reads no table, and nobody else is given a page');
is(sql("SET ROLE analyst; SELECT count(*) > 0 FROM onec.stock JOIN onec.price USING (server, product_id) JOIN onec.product_property USING (server, product_id) JOIN onec.price_history h USING (server, product_id)"), 't',
	'who may read the shop reads stock and prices');
is(OnecTest->try($node, 'SET ROLE analyst; TABLE onec_internal.stock')->{sqlstate}, '42501', '… by their views');

$node->stop;
done_testing();
