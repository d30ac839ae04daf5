# A page of the shop (product_json, orders_json, profile_json) comes from local tables by look-ups, however large they are: no table is
# read through, few pages of memory are touched, few statements run, and their number does not grow with what the page shows.
# TEST_FULL=1 makes the shop one of 100,000 products and 1,050,000 lines, and looks at milliseconds of the
# processor: 3 a page.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $full = $ENV{TEST_FULL};
my ($products, $customers, $lines, $orders) = $full ? (100_000, 50_000, 1_050_000, 200_000) : (1500, 500, 10_500, 2000);
my $node = OnecTest->node('pages', conf => "shared_buffers = '256MB'\n");

sub sql { return OnecTest->rows($node, @_); }

# Ids by kind and number; a card and a telephone for each customer; one customer in ten has orders, forty of them, of five lines; the
# last two are of one product, and what has left of it is enough for the first of them.
sql(qq{
	CREATE SERVER shop FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'Europe/Moscow');
	CREATE FUNCTION public.id(kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5(kind || n)::uuid;
	CREATE FUNCTION public.dice(kind text, sides int) RETURNS int LANGUAGE sql IMMUTABLE RETURN abs(hashtext(kind)) % sides;
	INSERT INTO onec.category (server, category_id, name) SELECT 'shop', id('c', n), (ARRAY['Кольца', 'Серьги', 'Колье', 'Броши', 'Часы'])[1 + n % 5] || ' ' || n FROM generate_series(1, 200) n;
	INSERT INTO onec.brand (server, brand_id, name) SELECT 'shop', id('b', n), 'Марка ' || n FROM generate_series(1, 500) n;
	INSERT INTO onec.store (server, store_id, name) SELECT 'shop', id('s', n), 'Лавка ' || n FROM generate_series(1, 20) n;
	INSERT INTO onec.unit (server, unit_id, name) VALUES ('shop', id('u', 1), 'шт');
	INSERT INTO onec.vat_rate (server, vat_rate_id, name, rate) VALUES ('shop', id('vat', 1), '20%', 20);
	INSERT INTO onec.currency (server, currency_id, name) VALUES ('shop', id('cur', 1), 'RUB');
	INSERT INTO onec.price_kind (server, kind_id, name, currency_id) SELECT 'shop', id('k', n), 'Вид ' || n, id('cur', 1) FROM generate_series(1, 3) n;
	INSERT INTO onec.property_name (server, property_id, name) SELECT 'shop', id('pn', n), 'Свойство ' || n FROM generate_series(1, 40) n;
	INSERT INTO onec.property_value (server, value_id, name) SELECT 'shop', id('pv', n), 'Значение ' || n FROM generate_series(1, 5000) n;
	INSERT INTO onec.product (server, product_id, code, name, category_id, brand_id, unit_id, vat, picture_id)
		SELECT 'shop', id('p', n), n, 'Товар ' || n, id('c', 1 + n % 200), id('b', 1 + n % 500), id('u', 1), id('vat', 1), id('f', n * 2) FROM generate_series(1, $products) n;
	INSERT INTO onec.product_variant (server, variant_id, product_id, name) SELECT 'shop', id('v', n * 10 + v), id('p', n), 'р. ' || v FROM generate_series(1, $products) n, generate_series(1, 3) v;
	INSERT INTO onec_internal.stock SELECT 'shop', id('p', n), id('v', n * 10 + v), id('s', 1 + (n + s) % 20), v FROM generate_series(1, $products) n, generate_series(1, 3) v, generate_series(1, 2) s;
	INSERT INTO onec_internal.stock_reserved SELECT 'shop', product_id, variant_id, store_id, 1 FROM onec_internal.stock WHERE on_hand = 3;
	INSERT INTO onec_internal.price SELECT 'shop', id('p', n), CASE WHEN k = 3 THEN id('v', n * 10 + 1) ELSE onec_internal.no_reference() END, id('k', k), now(), n FROM generate_series(1, $products) n, generate_series(1, 3) k;
	INSERT INTO onec_internal.product_property SELECT 'shop', id('p', n), l, id('pn', 1 + (n + l) % 40), CASE WHEN l < 3 THEN id('pv', 1 + (n * l) % 5000)::text ELSE 'Слово' END FROM generate_series(1, $products) n, generate_series(1, 4) l;
	INSERT INTO onec.product_image (server, file_id, product_id, name, version, type, size, sha256, content) SELECT 'shop', id('f', n * 2 + f), id('p', n), 'Снимок', 'x', 'image/png', 1, sha256('x'), 'x' FROM generate_series(1, $products) n, generate_series(0, 1) f;
	INSERT INTO onec.sync_state (server, target, last_ok, as_of) SELECT 'shop', t, now(), now() FROM unnest('{stock,stock_reserved,price,order_payment,order_shipment}'::text[]) t;
	SELECT onec.set('endpoint.stock_reserved', 'AccumulationRegister_Резервы', 'shop');
	INSERT INTO onec.discount_card (server, card_id, barcode, owner_id) SELECT 'shop', id('card', n), (70000000000 + n)::text, id('who', n) FROM generate_series(1, $customers) n;
	INSERT INTO onec_internal.sale_line (server, register, recorder, recorder_type, line_no, period, customer_id, person_id, product_id, store_id, quantity, amount, attribution)
		SELECT n.srv, onec_internal.own_term('sales'), id('r', g / 3), n.type, g, date_trunc('day', now()) - dice('d' || g / 3, 1100) * interval '1 day' - interval '12 hours',
			id('who', 1 + g / 3 % $customers), id('who', 1 + g / 3 % $customers), id('p', 1 + dice('p' || g, $products)), st.ids[1 + dice('s' || g / 3, 20)], 1, 100 + dice('a' || g, 9000), onec_internal.own_term('counterparty')
		FROM (SELECT onec_internal.new_server_number('shop') AS srv, onec_internal.new_term('Document_ЧекККМ') AS type) n,
			(SELECT array_agg(onec_internal.new_reference(store_id)) AS ids FROM onec.store) st, generate_series(0, $lines - 1) g;
	INSERT INTO onec.customer_order (server, order_id, number, date, posted, customer_id, amount, lines)
		SELECT 'shop', id('o', n), n, '2024-01-01'::timestamp + n * interval '7 minutes', true, id('who', 1 + n % ($customers / 10)), 1000,
			(SELECT jsonb_agg(jsonb_build_object('line_no', l, 'product_id', id('p', 1 + (n * 7 + least(l, 4)) % $products), 'quantity', 1, 'price', 250, 'amount', 250)) FROM generate_series(1, 5) l)
		FROM generate_series(1, $orders) n;
	INSERT INTO onec.order_payment (server, recorder, recorder_type, line_no, period, active, order_id, paid) SELECT 'shop', id('pay', n), 'Document_X', 1, now(), true, id('o', n), 1000 FROM generate_series(1, $orders) n;
	INSERT INTO onec.order_shipment (server, recorder, recorder_type, line_no, period, active, kind, order_id, product_id, quantity)
		SELECT 'shop', id('ship', n), 'Document_X', l, now(), true, 'Expense', id('o', n), id('p', 1 + (n * 7 + l) % $products), 1 FROM generate_series(1, $orders) n, generate_series(1, 4) l;
	ANALYZE; SELECT onec_internal.refresh_people('shop'); SELECT onec_internal.refresh_after_sync('shop')});
sql('VACUUM ANALYZE');

# Page, what is asked for the n-th of them, the most pages of memory and statements it may take, and what it has to show, how often.
my @pages = (
	[ 'product_json', "onec.product_json(id('p', %s))", 220, 18, '"store" : "Лавка' => 2, '"variant_id"' => 3, '"kind" : ' => 9, '"value" : "Значение' => 2, '"sha256"' => 2 ],
	[ 'orders_json', "onec.orders_json((70000000001 + (%s) % ($customers / 10))::text)", 1400, 10, '"paid" : 1000\.00' => 20, '"shipped" : 4,' => 20, '"product" : "Товар' => 100 ],
	[ 'profile_json', "onec.profile_json((70000000000 + %s)::text)", 250, 25, '"amount" : [1-9]' => 21, '"total_revenue" : [1-9]' => 1 ],
	[ 'order_json', "onec.order_json(id('o', %s))", 130, 10, '"paid" : 1000\.00' => 1, '"product" : "Товар' => 5 ]);

for my $page (@pages)
{
	my ($name, $call, $most_buffers, $most_statements, %holds) = @$page;
	my ($first, $second, $third) = map { sprintf $call, $_ } 70, 71, 72;
	# notices of statements within the call come as text, each with its own
	my $told = OnecTest->try_text($node, qq{SELECT $first; BEGIN; SELECT $second; SELECT 'read through: ' || coalesce(string_agg(s.relname, ', '), 'none') FROM pg_stat_xact_user_tables s
			JOIN pg_class c ON c.oid = s.relid WHERE s.seq_scan > 0 AND c.reltuples > 400; COMMIT;
		EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, SUMMARY OFF) SELECT $third;
		LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice; SELECT $third});

	is($told->{sqlstate}, '00000', "$name: a page") or diag($told->{stderr});
	my $json = (split /\n/, $told->{stdout})[-1];
	is_deeply({ map { my $part = $_; $part => scalar(() = $json =~ /$part/g) } keys %holds }, \%holds, '… shows what it has to');
	is($told->{stdout} =~ /^read through: (.*)/m ? $1 : '?', 'none', '… reads no large table through');
	my ($hit, $read) = map { $told->{stdout} =~ /^ *Buffers: shared[^\n]*$_=(\d+)/m ? $1 : 0 } qw(hit read);
	cmp_ok($hit + $read, '<=', $most_buffers, '… touches ' . ($hit + $read) . ' pages of memory');
	my $statements = () = $told->{stderr} =~ /Query Text:/g;
	cmp_ok($statements, '<=', $most_statements, "… and runs $statements statements");
}

is(sql(q{SELECT string_agg(l ->> 'shipped', ' ' ORDER BY (l ->> 'line_no')::int) FROM json_array_elements(onec.order_json(id('o', 1)) -> 'lines') l}), '1 1 1 1 0',
	'what has left of a product is dealt to the lines that have it, one after the other');

# Milliseconds of one call, of many in a session that has its plans: the mean of the processor's time, which others on the machine do
# not change, and the median by the clock.
if ($full)
{
	sql("CREATE FUNCTION public.cpu() RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT substring(pg_read_file(''/proc/self/schedstat''), ''^[0-9]+'')::float8 / 1e6'");
	for my $page (@pages)
	{
		my ($name, $call) = @$page;
		my ($cpu, $median) = split /\|/, sql('DO $$ DECLARE t timestamptz; c float8; ms float8[] := \'{}\'; BEGIN PERFORM ' . sprintf($call, 1) . '; c := public.cpu(); FOR n IN 1 .. 1500 LOOP
			t := clock_timestamp(); PERFORM ' . sprintf($call, 'n * 3') . q{; ms := ms || 1000 * extract(epoch FROM clock_timestamp() - t)::float8; END LOOP;
			PERFORM set_config('x.ms', concat_ws('|', round(((public.cpu() - c) / 1500)::numeric, 2), (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY m)::numeric, 2) FROM unnest(ms) m)), false);
			END $$; SELECT current_setting('x.ms')});

		cmp_ok($cpu, '<=', 3, "$name at $products products and $lines lines takes $cpu ms of the processor, $median by the clock");
		OnecTest->figure("worst time of $name at $products products and $lines lines, ms of the processor", $cpu);
		OnecTest->figure("worst median of $name at $products products and $lines lines, ms", $median);
	}
}

$node->stop;
done_testing();
