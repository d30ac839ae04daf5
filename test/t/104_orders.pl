# What a shop shows of orders and pictures: everything equals the demo 1C's truth after random edits and faults, a second run writes
# no row and fetches no byte of a picture, what is no picture is refused by name, and a page asks no 1C.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use JSON::PP;
use OnecTest;
use StoreTruth;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $seed = $ENV{TEST_SEED} || 104;
my $bound = 20_000;
my $onec = OnecTest->onec('--customers', 60, '--seed', 4, '--site');
my $node = OnecTest->node('site');

sub sql { return OnecTest->rows($node, @_); }
sub edit { return $onec->control('POST', '/edit', {@_}); }
sub truth { return $onec->control('GET', '/truth'); }
# All of it, or what pictures need alone: orders are read by months.
sub sync { my ($steps) = @_; sql("CALL onec.sync('shop', full_reload => true, steps => '{" . ($steps // 'products,orders,images') . "}')"); return; }
sub sync_pictures { return sync('products,images'); }
sub status { return sql("SELECT string_agg(DISTINCT status, ',') FROM onec.sync_status WHERE target IN ('order_state', 'order_payment', 'order_shipment',
	'product_file', 'stored_file', 'product_image')"); }
sub written { return sql("SELECT sum(rows_inserted + rows_updated + rows_deleted) FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run)"); }
sub json { return JSON::PP->new->decode(sql($_[0])); }

sub fault { $onec->control('POST', '/faults', { times => 1000, @_ }); return; }

# Requests for bytes since the log was cleared.
sub asked_for_bytes
{
	return grep { $_->{path} =~ /ХранилищеДвоичныхДанных|ФайлХранилище$|ПрисоединенныеФайлы\(/ || $_->{query} =~ /Base64Data/ } @{ $onec->control('GET', '/log') };
}

diag("seed $seed");
OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
is(sql("SELECT onec.get('image.enabled', 'shop'), onec.get('order_details.enabled', 'shop')"), 'false|false', 'nobody is given what he has not asked for');
sql("SELECT onec.set('image.max_bytes', '$bound'), onec.set('image.enabled', 'true'), onec.set('order_details.enabled', 'true')");
is(sql("SELECT string_agg(target || ' ' || status || coalesce(' ' || columns, ''), ', ' ORDER BY target) FROM onec.setup('shop')
	WHERE target IN ('order_state', 'order_payment', 'order_shipment', 'product_file', 'stored_file', 'product_image')"),
	'order_payment created 8, order_shipment created 10, order_state created 4, product_file created 7, product_image created, stored_file created 2', 'setup finds all of it');
sql('CREATE SCHEMA raw; IMPORT FOREIGN SCHEMA "StandardODATA" LIMIT TO (catalog_СостоянияЗаказовПокупателей, accumulationregister_ОплатаСчетовИЗаказов_recordtype,
	accumulationregister_ЗаказыПокупателей_recordtype) FROM SERVER shop INTO raw');

# ---- what is true ----

# What the store differs in from the sets, and from what 1C sums up by itself.
sub is_equal
{
	my ($what) = @_;
	my $true = truth();
	my @pairs = ([ 'state', 'SELECT Ref_Key, Code, Description, DeletionMark FROM raw.catalog_СостоянияЗаказовПокупателей',
			'SELECT state_id, code, name, deletion_mark FROM onec.order_state WHERE NOT is_deleted' ],
		[ 'payment', "SELECT Recorder::uuid, LineNumber, Period, Active, СчетНаОплату::uuid, СуммаОплаты::numeric, СуммаАванса::numeric FROM raw.accumulationregister_ОплатаСчетовИЗаказов_recordtype",
			'SELECT recorder, line_no, period, active, order_id, paid, advance FROM onec.order_payment' ],
		[ 'shipment', "SELECT Recorder::uuid, LineNumber, Period, Active, RecordType, ЗаказПокупателя_Key, Номенклатура_Key, Характеристика_Key, Количество::numeric FROM raw.accumulationregister_ЗаказыПокупателей_recordtype",
			'SELECT recorder, line_no, period, active, kind, order_id, product_id, variant_id, quantity FROM onec.order_shipment' ]);

	is(sql(join ' UNION ALL ', map { my ($name, $there, $here) = @$_; ("(SELECT '$name missing', x::text FROM ($there EXCEPT ALL $here) x LIMIT 3)",
		"(SELECT '$name too many', x::text FROM ($here EXCEPT ALL $there) x LIMIT 3)") } @pairs), '', "$what: states, payments, shipments are as in 1C");
	my (%paid, %shipped, %states);
	my $all = json("SELECT coalesce(json_agg(onec.order_json(order_id)), '[]') FROM onec.customer_order WHERE deletion_mark IS NOT TRUE");
	for my $order (@$all)
	{
		$states{ $order->{state} // '' }++;
		$paid{ $order->{order_id} } = sprintf '%.2f', $order->{paid} if $order->{paid} != 0;
		$shipped{ $order->{order_id} } = { quantity => sprintf('%.0f', $order->{shipped}), at => $order->{shipped_at} } if $order->{shipped} != 0;
	}
	my %here = map { $_->{order_id} => 1 } @$all;
	my ($wanted_paid, $wanted_shipped) = map { my $of = $_; +{ map { $_ => $of->{$_} } grep { $here{$_} } keys %$of } } @{ $true->{parcels} }{qw(paid shipped)};
	delete $wanted_paid->{$_} for grep { $wanted_paid->{$_} == 0 } keys %$wanted_paid;
	is_deeply(\%paid, $wanted_paid, "$what: what is paid of each order");
	is_deeply(\%shipped, $wanted_shipped, "$what: what has left of each order, and when");
	is_right_pictures($what, $true->{pictures});
	return;
}

sub is_right_pictures
{
	my ($what, $true) = @_;
	my %wanted = StoreTruth->pictures_wanted($true, $bound);

	is(join("\n", StoreTruth->wrong_pictures($node, 'shop', $true, $bound)), '', "$what: each file is kept, with its own bytes, or refused by name");
	my %main = map { $_ => $true->{main}{$_} } grep { ($wanted{ $true->{main}{$_} } // '') =~ /stored/ } keys %{ $true->{main} };
	my %given = map { split /\|/ } split /\n/, sql("SELECT p.product_id, i.file_id FROM onec.product p CROSS JOIN LATERAL onec.image(p.product_id) i
		WHERE p.product_id IN (SELECT product_id FROM onec.product WHERE picture_id = i.file_id)");
	is_deeply(\%given, \%main, "$what: onec.image gives the main picture");
	is(sql("SELECT count(*) FROM onec.product p CROSS JOIN LATERAL onec.image(p.product_id) i WHERE onec.product_json(p.product_id) -> 'images' -> 0 ->> 'sha256' IS DISTINCT FROM i.sha256"), 0,
		"$what: product_json names it first");
	return;
}

OnecTest->part('truth', sub {
	sync();
	is(status(), 'ok', 'the first sync is in order');
	is_equal('truth, first sync');
	is(sql("SELECT string_agg(outcome || ' ' || files, ', ' ORDER BY outcome) FROM onec.image_summary"),
		'another host 1, no data 1, not a picture 3, stored 24, too large 2, truncated 1', 'what is refused is counted, by its reason');
	is(sql("SELECT string_agg(DISTINCT type, ',' ORDER BY type) FROM onec.product_image WHERE refused IS NULL"), 'image/gif,image/jpeg,image/png,image/webp', 'the types that first bytes tell');
	is(scalar(grep { $_->{url} =~ /pictures\.invalid/ || $_->{status} >= 400 } @{ $onec->control('GET', '/log') }), 0, 'no request has failed');
	$onec->control('POST', '/log/clear');
	my $rows = sql("SELECT md5(string_agg(xmin::text, ',' ORDER BY file_id)) FROM onec.product_image");
	sync();
	is(written() . status(), '0ok', 'truth: a second run writes no row');
	is(scalar(asked_for_bytes()), 0, 'truth: a second run asks for no byte of a picture');
	is(sql("SELECT md5(string_agg(xmin::text, ',' ORDER BY file_id)) FROM onec.product_image"), $rows, '… of any table');

	# one by one
	my ($order) = map { $_->{order_id} } grep { ($_->{paid} // 0) == 0 && @{ $_->{lines} } > 0 && $_->{posted} } @{ json("SELECT json_agg(onec.order_json(order_id)) FROM onec.customer_order WHERE deletion_mark IS NOT TRUE") };
	edit(op => 'order_pay', order => $order, amount => 100.5);
	edit(op => 'order_ship', order => $order, lines => 1);
	edit(op => 'order_state', order => $order, state => 2);
	sync();
	my $one = json("SELECT onec.order_json('$order')");
	is("$one->{paid} $one->{state}", '100.5 Готов к отгрузке', 'an order is paid, and gets another state');
	cmp_ok($one->{lines}[0]{shipped}, '==', $one->{lines}[0]{quantity}, 'its first line has left');
	my ($file, $way) = split /\|/, sql("SELECT file_id, encode(sha256, 'hex') FROM onec.product_image WHERE refused IS NULL ORDER BY file_id LIMIT 1");
	$onec->control('POST', '/log/clear');
	edit(op => 'picture_replace', file => $file);
	sync_pictures();
	is(written(), 2, 'a picture that is replaced is two rows, of the file and its bytes');
	cmp_ok(scalar(asked_for_bytes()), '<=', 3, '… and only its bytes are asked for');
	edit(op => 'picture_remove', file => $file);
	sync_pictures();
	is(sql("SELECT count(*) FROM onec.product_image WHERE file_id = '$file'"), 0, 'a picture that is removed goes');
	is_equal('edits one by one');
	for my $n (1 .. $ENV{TEST_FULL} ? 12 : 2)
	{
		edit(op => 'random_site', n => 12, seed => $seed + $n);
		edit(op => 'random', n => 6, seed => $seed + $n) if $n % 2;
		sync();
		is(status(), 'ok', "random edits $n: the run is in order");
		is_equal("random edits $n");
	}
});

# ---- lies and failures ----
OnecTest->part('faults', sub {
	sync();
	my ($file) = sql("SELECT f.file_id FROM onec.product_image i JOIN onec.stored_file f USING (server, file_id) WHERE i.refused IS NULL ORDER BY 1 LIMIT 1");
	my $old = sql("SELECT encode(sha256, 'hex') FROM onec.product_image WHERE file_id = '$file'");
	my $count = sql('SELECT count(*) FROM onec.product_image');
	fault(match => 'Catalog_ХранилищеДвоичныхДанных', status => 404, error => { code => 9, message => 'Entity instance not found' });
	edit(op => 'picture_replace', file => $file, way => 'storage');
	sync_pictures();
	is(sql("SELECT encode(sha256, 'hex') FROM onec.product_image WHERE file_id = '$file'"), $old, 'faults: a picture stays where the bytes of the new one are withheld');
	like(status(), qr/incomplete/, '… and the step says so');
	$onec->control('POST', '/faults/clear', {});
	sync_pictures();
	isnt(sql("SELECT encode(sha256, 'hex') FROM onec.product_image WHERE file_id = '$file'"), $old, 'the next run brings them');
	is_equal('after a store that was empty');
	fault(match => "$_\\?", body => '{"value": []}') for 'ПрисоединенныеФайлы', 'InformationRegister_ХранилищеФайлов', 'ОплатаСчетовИЗаказов_RecordType',
		'ЗаказыПокупателей_RecordType', 'СостоянияЗаказовПокупателей';
	sync();
	is(status() . sql('SELECT count(*) FROM onec.product_image'), "incomplete,ok$count", 'answers of nothing take nothing away');
	$onec->control('POST', '/faults/clear', {});
	fault(match => 'Catalog_Номенклатура\?', replace => [ [ '"ФайлКартинки_Key"', '"Файл_Key"' ] ]);
	my $main = sql('SELECT count(picture_id) FROM onec.product');
	sync_pictures();
	is(sql('SELECT count(picture_id) FROM onec.product'), $main, 'products that come without the property keep their picture');
	$onec->control('POST', '/faults/clear', {});
	for my $n (1 .. $ENV{TEST_FULL} ? 10 : 1)
	{
		edit(op => 'random_site', n => 8, seed => $seed + 50 + $n);
		$onec->control('POST', '/faults', [ { match => 'Файл|Хранилищ|Заказ', chance => .2, seed => $seed + $n, times => 1000, status => 503 },
			{ match => 'Файл|Хранилищ', chance => .1, seed => $seed + $n, times => 1000, cut_at => 300 } ]);
		sync();
		is(sql("SELECT count(*) FROM onec.product_image WHERE refused IS NULL AND (sha256(content) <> sha256 OR onec_internal.picture_type(content) <> type)"), 0,
			"faults $n: what is kept is whole");
		$onec->control('POST', '/faults/clear', {});
		sync();
		is_equal("after faults $n");
	}
});

# ---- links, and bounds ----
OnecTest->part('links', sub {
	my $root = $onec->url . '/odata/standard.odata';
	my ($path) = $root =~ m{^http://[^/]+(.*)};
	my $good = "Catalog_Файлы(guid'00000000-0000-0000-0000-000000000001')/ФайлХранилище";

	sync();
	is(sql("SELECT onec_internal.own_address('shop', \$a\$$_\$a\$)"), $good, "a link below the base: $_") for $good, "$root/$good", "$path/$good";
	is(sql("SELECT onec_internal.own_address('shop', \$a\$$_\$a\$) IS NULL"), 't', "a link that leads away: $_")
	  for 'http://pictures.invalid/a.jpg', '//pictures.invalid/a.jpg', "$root.invalid/$good", 'http://127.0.0.1:1/a', '/etc/passwd', 'file:///etc/passwd',
		"../../hs/$good", "$root/../../hs/a", "$root/%2e%2e/a", "$root/a%2fb", "a\\b", "$root/a?\$filter=1", "$root/a#b", "$root/a b", '', "$root/", 'javascript:alert(1)';
	is(OnecTest->try_text($node, "SELECT onec_internal.resource('shop', 'http://pictures.invalid/a.jpg', 1000)")->{sqlstate}, '42501', '… is followed by nobody');
	fault(match => 'ФайлХранилище\?*$', status => 302, headers => { Location => 'http://pictures.invalid/a.jpg' });
	my $one = edit(op => 'picture_new', way => 'link', kind => 'jpg');
	sync_pictures();
	is(sql("SELECT refused FROM onec.product_image WHERE file_id = '$one->{file}'"), 'another host', 'a redirect is not followed, and refused');
	$onec->control('POST', '/faults/clear', {});
	edit(op => 'picture_replace', file => $one->{file}, way => 'link', kind => 'png');
	my $two = edit(op => 'picture_new', way => 'link', kind => 'jpg', size => 2 * $bound, said => 100);
	sync_pictures();
	is(sql("SELECT coalesce(refused, type) FROM onec.product_image WHERE file_id = '$one->{file}'"), 'image/png', 'when it has changed it is looked at again');
	is(sql("SELECT refused FROM onec.product_image WHERE file_id = '$two->{file}'"), 'too large', 'of a link that leads to more than the bound no more is read');
	is_equal('links');

	my $large = sql("SELECT count(*) FROM onec.product_image WHERE refused = 'too large'");
	sql("SELECT onec.set('image.max_bytes', '100000')");
	sync_pictures();
	is(sql("SELECT count(*) FROM onec.product_image WHERE refused = 'too large'"), 0, 'a wider bound lets in what was too large');
	sql("SELECT onec.set('image.max_total', (SELECT sum(size) + 10 FROM onec.product_image WHERE refused IS NULL)::text)");
	my $three = edit(op => 'picture_new', way => 'own', kind => 'gif', size => 2000);
	sync_pictures();
	is(sql("SELECT refused FROM onec.product_image WHERE file_id = '$three->{file}'"), 'no room', 'pictures have room up to image.max_total');
	$onec->control('POST', '/log/clear');
	sync_pictures();
	is(scalar(asked_for_bytes()), 0, '… and are not asked for again');
	sql("SELECT onec.set('image.max_total', NULL), onec.set('image.max_bytes', '$bound')");
	sync_pictures();
	is(sql("SELECT coalesce(refused, type) FROM onec.product_image WHERE file_id = '$three->{file}'"), 'image/gif', '… when there is room they come');
	sql("SELECT onec.set('image.enabled', 'false')");
	$onec->control('POST', '/log/clear');
	sync_pictures();
	is(scalar(grep { $_->{path} =~ /Файл|Хранилищ/ } @{ $onec->control('GET', '/log') }), 0, 'image.enabled: nothing is asked for where pictures are not wanted');
	sql("SELECT onec.set('image.enabled', 'true')");
});

# ---- a register of balances says the same in other words ----
OnecTest->part('balances', sub {
	sync();
	my $order = sql('SELECT order_id FROM onec.customer_order WHERE deletion_mark IS NOT TRUE AND jsonb_array_length(lines) > 0 ORDER BY date DESC LIMIT 1');
	my $of = sub { return sql("SELECT o ->> 'paid', o ->> 'shipped' FROM onec.order_json('$order') o") };

	sql("BEGIN; DELETE FROM onec.order_payment; INSERT INTO onec.order_payment (server, recorder, recorder_type, line_no, period, active, kind, order_id, paid)
		SELECT 'shop', gen_random_uuid(), 'Document_X', 1, now(), active, kind, '$order', amount
		FROM (VALUES (true, 'Receipt', 900), (true, 'Expense', 300), (NULL, 'Expense', 200), (false, 'Expense', 50)) v (active, kind, amount); COMMIT");
	like($of->(), qr/^500\.00\|/, 'balances: where the register has them, only what takes away is a payment, and what is switched off is none');
	sql("DELETE FROM onec.order_payment; DELETE FROM onec.order_shipment");
	is($of->(), '0.00|0', 'of nothing the sum is a nought');
	sql("DELETE FROM onec.sync_state WHERE target IN ('order_payment', 'order_shipment')");
	is($of->(), '|', '… and unknown where nothing was ever read');
	sync();
	is_equal('read again');
});

# ---- people and rights ----
OnecTest->part('people', sub {
	sql("CALL onec.sync('shop', full_reload => true)");
	my ($who, $key, $orders) = split /\|/, sql("SELECT u.customer_id, u.phone, count(*) FROM onec.customer_order o JOIN onec.site_user u USING (server, customer_id)
		WHERE o.deletion_mark IS NOT TRUE AND u.phone IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1 LIMIT 1");
	my $list = json("SELECT onec.orders_json('$key')");

	is(scalar @$list, $orders, 'orders by phone');
	is(sql("SELECT onec.orders_json('$_')::text = onec.orders_json('$key')::text"), 't', 'orders by another key')
	  for $who, sql("SELECT card_id FROM onec.customer_card WHERE user_id = '$who' LIMIT 1"), $key =~ s/^7(\d{3})(\d{3})(\d\d)(\d\d)$/+7 ($1) $2-$3-$4/r;
	is_deeply([ map { $_->{date} } @$list ], [ reverse sort map { $_->{date} } @$list ], 'newest first');
	is(sql("SELECT json_array_length(onec.orders_json('$key', 1)), onec.orders_json('$key', 1) -> 0 ->> 'date'"), "1|$list->[0]{date}", 'so many as are asked for');
	is(sql("SELECT count(*) FROM onec.customer_order o CROSS JOIN LATERAL json_array_elements(onec.order_json(o.order_id) -> 'lines') l
		JOIN onec.product p ON p.product_id = (l ->> 'product_id')::uuid WHERE l ->> 'product' IS DISTINCT FROM p.name"), 0, 'lines tell the names of products');
	is(sql("SELECT onec.orders_json('70009999999') IS NULL, onec.order_json(gen_random_uuid()) IS NULL, count(*) FROM onec.image(gen_random_uuid())"), 't|t|0', 'nobody and nothing');

	sql('CREATE ROLE site LOGIN; CREATE ROLE analyst LOGIN; CREATE ROLE stranger LOGIN; SELECT onec.grant_site(\'site\'); SELECT onec.grant_reader(\'analyst\')');
	my $as = sub { return OnecTest->try_text($node, $_[1], user => $_[0])->{sqlstate} };
	my ($product, $order) = (sql('SELECT product_id FROM onec.product_image WHERE refused IS NULL LIMIT 1'), $list->[0]{order_id});
	my @calls = ("SELECT onec.orders_json('$key')", "SELECT onec.order_json('$order')", "SELECT * FROM onec.image('$product')");
	my @tables = map { "SELECT * FROM onec.$_ LIMIT 1" } qw(order_state order_payment order_shipment product_file stored_file product_image image_summary);
	is(join(',', map { $as->('site', $_) } @calls), '00000,00000,00000', 'grant_site: the site calls them');
	is(join(',', map { $as->('site', $_) } @tables), join(',', ('42501') x @tables), '… and reads no table');
	is(join(',', map { $as->('analyst', $_) } @tables), join(',', ('00000') x @tables), 'grant_reader: an analyst reads the tables');
	is(join(',', map { $as->($_, $calls[0]) } 'analyst', 'stranger'), '42501,42501', '… and asks for nobody');
	is(join(',', map { $as->('stranger', $_) } @tables), join(',', ('42501') x @tables), 'a stranger nothing');
	my $asked = $onec->control('GET', '/counters')->{requests};
	$as->('site', $_) for @calls;
	is($onec->control('GET', '/counters')->{requests}, $asked, 'a page asks no 1C');

	my $sums = sql('SELECT count(*), sum(paid) FROM onec.order_payment');
	sql("SELECT count(*) FROM onec.forget('$who')");
	is(sql("SELECT onec.orders_json('$key') IS NULL, count(*) FROM onec.customer_order WHERE customer_id = '$who'"), 't|0', 'whoever is forgotten has no orders');
	unlike(sql("SELECT onec.order_json('$order')"), qr/$who|$key/, '… and is named by none');
	is(sql('SELECT count(*), sum(paid) FROM onec.order_payment'), $sums, '… but sums stay');
	sync();
	is(sql("SELECT count(*) FROM onec.customer_order WHERE customer_id = '$who'"), 0, '… and nobody comes back');
	sql('DELETE FROM onec.forgotten; CREATE ROLE syncer LOGIN; SELECT onec.grant_sync(\'syncer\', \'shop\'); CREATE USER MAPPING FOR syncer SERVER shop OPTIONS (user \'demo\', password \'demo\')');
	edit(op => 'picture_new', way => $_) for qw(link storage own);
	is($as->('syncer', "CALL onec.sync('shop', steps => '{products,orders,images}', full_reload => true)"), '00000', 'grant_sync: a role syncs pictures, too');
	is(status(), 'ok', '… in order');
	is_equal('by another role');
});

$node->stop;
done_testing();
