# What has changed in 1C, without reading everything: DataVersion first, and the feed of changes that a site reads.  What the store
# has is compared with the rows of the base as this test itself reads them over HTTP.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use JSON::PP;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 100, '--seed', 4);
my $node = OnecTest->node('changes');
my ($cards, $goods, $customers, $contacts, $orders) = map { "Catalog_$_" } qw(ДисконтныеКарты Номенклатура Контрагенты
	Контрагенты_КонтактнаяИнформация);
$orders = 'Document_ЗаказПокупателя';

sub sql { return OnecTest->rows($node, @_); }
sub edit { return $onec->control('POST', '/edit', {@_}); }
sub shows { my ($query, $answer, $what) = @_; return is(sql($query), $answer, $what); }

# A run as a job makes it; what it asked of a set: requests, bytes, and the requests themselves.
sub asked
{
	my ($arguments, @sets) = @_;
	$onec->control('POST', '/log/clear', {});
	sql("CALL onec.sync('shop', $arguments)");
	my @log = grep { my $path = $_->{path}; grep { $path eq $_ } @sets } @{ $onec->control('GET', '/log') };
	my $bytes = 0;
	$bytes += $_->{bytes} for @log;
	return { requests => scalar @log, bytes => $bytes, log => \@log };
}

# A run that is not a full one, of what has versions.
my $some = "days => 3, steps => '{cards,counterparties,products}'";
sub run { sql("CALL onec.sync('shop', " . ($_[0] || $some) . ")"); return; }
sub setting { sql("SELECT onec.set('$_[0]', " . (defined $_[1] ? "'$_[1]'" : 'NULL') . ", 'shop')"); return; }
sub state { return sql("SELECT status FROM onec.sync_status WHERE server = 'shop' AND target = '$_[0]'"); }
sub by_key { return grep { $_->{query} =~ /Ref_Key eq guid/ } @{ $_[0]->{log} }; }

# ---- the base itself ----
my $web = HTTP::Tiny->new(timeout => 120, default_headers => { Authorization => 'Basic ZGVtbzpkZW1v', Accept => 'application/json' });

sub address { my $path = shift; utf8::encode($path); $path =~ s/([^\w.\/()'\$=&?,-])/sprintf '%%%02X', ord $1/ge; return $onec->url('demo') . "/odata/standard.odata/$path"; }

sub base_does
{
	my ($method, $path, $body, $raw) = @_;
	my $answer = $web->request($method, address($path), $body ? { content => encode_json($body), headers => { 'Content-Type' => 'application/json' } } : {});

	die "$method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return $answer->{content} if $raw;
	return $answer->{content} ? decode_json($answer->{content}) : undef;
}

# Table: set, then column=property.
my %tables = (
	discount_card => [ $cards, qw(card_id=Ref_Key code=Code description=Description barcode=КодКартыШтрихкод magnetic_code=КодКартыМагнитный
		owner_id=ВладелецКарты_Key kind_id=Owner_Key is_invalid=КартаНедействительна deletion_mark=DeletionMark) ],
	product => [ $goods, qw(product_id=Ref_Key code=Code article=Артикул name=Description parent_id=Parent_Key is_folder=IsFolder
		category_id=КатегорияНоменклатуры_Key brand_id=Производитель_Key deletion_mark=DeletionMark) ],
	counterparty => [ $customers, qw(customer_id=Ref_Key code=Code name=Description full_name=НаименованиеПолное phone=НомерТелефонаДляПоиска deletion_mark=DeletionMark) ],
	counterparty_contact => [ $contacts, qw(customer_id=Ref_Key line_no=LineNumber kind=Тип presentation=Представление phone=НомерТелефона email=АдресЭП) ],
	customer_order => [ $orders, qw(order_id=Ref_Key number=Number posted=Posted deletion_mark=DeletionMark customer_id=Контрагент_Key) ],
);

# Rows that the store has and the base has not, and the reverse: as 1C sends them, taken apart by PostgreSQL itself.
my $file = "$PostgreSQL::Test::Utils::tmp_check/rows.json";

sub differences
{
	my @asked;

	for my $name (@_ ? @_ : sort keys %tables)
	{
		my ($set, @pairs) = @{ $tables{$name} };
		my ($columns, $properties) = map { my $n = $_; join ', ', map { my $x = (split /=/)[$n]; $n ? "coalesce(nullif(r ->> '$x', '00000000-0000-0000-0000-000000000000'), '')" : "coalesce($x\::text, '')" } @pairs } 0, 1;
		my $live = $name =~ /contact|order/ ? '' : 'AND NOT is_deleted';
		my $select = join ',', map { (split /=/)[1] } @pairs;

		open my $out, '>:raw', "$file.$name" or die;
		print $out base_does('GET', "$set?\$format=json&\$select=$select", undef, 1);
		close $out;
		chmod 0644, "$file.$name";
		my $base = "SELECT $properties FROM jsonb_array_elements(pg_read_file('$file.$name')::jsonb -> 'value') r";
		my $store = "SELECT $columns FROM onec.$name WHERE server = 'shop' $live";
		push @asked, "(SELECT '$name', 'missing', x::text FROM ($base EXCEPT ALL $store) x LIMIT 3)", "(SELECT '$name', 'too many', x::text FROM ($store EXCEPT ALL $base) x LIMIT 3)";
	}
	return sql(join ' UNION ALL ', @asked);
}

sub is_equal { my ($what, @names) = @_; return is(differences(@names), '', "$what: the store is the base"); }

my $versions = "SELECT count(*), count(DISTINCT target) FROM onec_internal.row_version";
my $written = "SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT xmin::text || t.card_id FROM onec.discount_card t
	UNION ALL SELECT xmin::text || t.product_id FROM onec.product t UNION ALL SELECT xmin::text || t.customer_id FROM onec.counterparty t
	UNION ALL SELECT xmin::text || t.customer_id || line_no FROM onec.counterparty_contact t UNION ALL SELECT xmin::text || t.order_id FROM onec.customer_order t
	UNION ALL SELECT xmin::text || t.key_id || t.target FROM onec_internal.row_version t UNION ALL SELECT xmin::text || t.target FROM onec_internal.version_use t) r (x)";

# So many cards and products have something new.
sub change
{
	my ($n_cards, $n_goods) = @_;

	edit(op => 'change_phone', card => $_) for split /\n/, sql("SELECT card_id FROM onec.discount_card WHERE NOT is_deleted ORDER BY random() LIMIT $n_cards");
	edit(op => 'rename_product', product => $_, name => "Новое $_")
		for split /\n/, sql("SELECT product_id FROM onec.product WHERE NOT is_folder AND NOT is_deleted ORDER BY random() LIMIT $n_goods");
	return;
}

sub versioned { return scalar grep { $_->{query} =~ /\$select=Ref_Key,DataVersion(?:&|$)/ } @{ $_[0]->{log} }; }

edit(op => 'grow', products => 600, cards => 1000, customers => 1000);
OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
sql("SELECT count(*) FROM onec.setup('shop')");
shows("SELECT columns - (SELECT count(*) FROM pg_attribute WHERE attrelid = 'shop.product'::regclass AND attnum > 0) FROM onec.setup('shop') WHERE target = 'product'", -1,
	'the version is no field of the shop');
my $first = asked('full_reload => true', $cards, $goods, $customers, $contacts);
is_equal('first load');
is(scalar(grep { $_->{query} =~ /DataVersion/ } @{ $first->{log} }), 0, 'of what is not here yet no version is asked for');

# ---- DataVersion first ----
OnecTest->part('versions', sub {
	my $whole = asked($some, $cards, $goods);
	is(versioned($whole), 0, 'the second reading is whole');
	is(scalar(grep { $_->{query} =~ /,DataVersion/ } @{ $whole->{log} }), $whole->{requests} - grep({ $_->{path} =~ /count/ } @{ $whole->{log} }), '… with versions');
	shows("SELECT string_agg(w.word || ' ' || (v.n = t.n), ', ' ORDER BY w.word)
		FROM (SELECT target, count(*) AS n FROM onec_internal.row_version GROUP BY 1) v JOIN onec_internal.term w ON w.number = v.target
		JOIN (SELECT 'discount_card' AS target, count(*) AS n FROM onec.discount_card UNION ALL SELECT 'product', count(*) FROM onec.product
			UNION ALL SELECT 'counterparty', count(*) FROM onec.counterparty UNION ALL SELECT 'counterparty_contact', count(*) FROM onec.counterparty) t ON t.target = w.word",
		'counterparty true, counterparty_contact true, discount_card true, product true', 'they are kept, of each object, and of those that own contacts');
	run();
	my $before = sql($written);
	my $none = asked($some, $cards, $goods, $customers, $contacts);
	is(versioned($none), $none->{requests}, 'then keys and versions are all that is asked for');
	is(scalar(grep { $_->{path} eq $contacts } @{ $none->{log} }), 0, '… and of contacts nothing: they are their owners\'');
	shows($written, $before, 'where nothing has changed nothing is written, beside the rows neither');
	cmp_ok($none->{bytes} - 0, '<', $first->{bytes} / 4, '… of a fourth of the bytes');

	change(22, 24);
	my $some_changed = asked($some, $cards, $goods);
	diag(sprintf 'whole %d bytes, 2 %% changed %d, %.1f %%', $whole->{bytes}, $some_changed->{bytes}, 100 * $some_changed->{bytes} / $whole->{bytes});
	is_equal('2 % changed');
	cmp_ok($some_changed->{bytes}, '<=', 0.35 * $whole->{bytes}, 'of 2 % changed at most 35 % of the bytes are read');
	my @asked = by_key($some_changed);
	ok(@asked >= 2 && @asked <= 4, 'what has changed is read by lists of keys: ' . @asked);
	shows("SELECT sum(rows_updated) FROM onec.sync_status WHERE target IN ('discount_card', 'product')", 46, '… and only that is written');
	shows("SELECT status, detail ~ '^bytes: \\d+ a row, \\d+ a key with version, \\d+ a row by key; changed: ' FROM onec.diagnose('shop') WHERE \"check\" = 'product: versions'",
		'ok|t', 'diagnose tells what it costs');
	my $limited = asked("days => 3, cards_limit => 100, steps => '{cards}'", $cards);
	is(versioned($limited), $limited->{requests}, 'a limit of cards is none for keys');
	shows("SELECT truncated FROM onec.sync_status WHERE target = 'discount_card'", 'f', '… all of them were seen');

	change(0, 300);
	my $many = asked($some, $goods);
	is(scalar(by_key($many)), 0, 'more than a tenth is read whole');
	is_equal('many changed', 'product');
	is(versioned(asked($some, $goods)), 0, 'and so is the next run, which may meet as many again');
	cmp_ok(versioned(asked($some, $goods)), '>', 0, 'but not the one after');
});

OnecTest->part('proof', sub {
	run() for 1 .. 3;
	my ($card, $product) = split /\n/, sql("SELECT card_id FROM onec.discount_card WHERE code ~ '7\$' ORDER BY 1 LIMIT 1; SELECT product_id FROM onec.product WHERE code ~ '^П' ORDER BY 1 LIMIT 1");
	my $kept = base_does('GET', "$goods(guid'$product')?\$format=json");
	base_does('DELETE', "$cards(guid'$card')");
	base_does('DELETE', "$goods(guid'$product')");
	my $gone = asked($some, $cards, $goods);
	cmp_ok(versioned($gone), '>=', 2, 'keys of both sets');
	shows("SELECT (SELECT is_deleted FROM onec.discount_card WHERE card_id = '$card'), (SELECT is_deleted FROM onec.product WHERE product_id = '$product')", 't|t', 'what has no key any more is gone');
	shows("SELECT count(*) FROM onec_internal.row_version WHERE key_id IN ('$card', '$product')", 0, '… with its versions');
	delete @{$kept}{ grep { /odata|_Type$|@/ } keys %$kept };
	base_does('POST', $goods, { map { $_ => $kept->{$_} } qw(Ref_Key Code Артикул Description Parent_Key КатегорияНоменклатуры_Key Производитель_Key) });
	run();
	is_equal('one that comes back', 'product');

	# lies
	my $products = sql('SELECT count(*) FROM onec.product');
	for my $lie ([ 'DataVersion', 'ok' ], [ '', 'incomplete' ])
	{
		$onec->control('POST', '/faults', { match => "$goods\\?.*$lie->[0]", body => '{"odata.metadata": "x", "value": []}', times => 1000 });
		run();
		is(state('product'), $lie->[1], "no key at all deletes nothing, and everything is read: $lie->[1]");
	}
	$onec->control('POST', '/faults/clear', {});
	shows("SELECT count(*) FROM onec.product WHERE is_deleted", 0, '… no product');
	run();
	is(state('product'), 'ok', '… and the next run is in order');
	run();
	change(0, 5);
	$onec->control('POST', '/faults', { match => "$goods\\?.*Ref_Key eq guid", body => '{"odata.metadata": "x", "value": []}', times => 1 });
	run();
	is(state('product'), 'ok', 'keys that bring no row are asked for again, whole');
	is_equal('after a list of keys without an answer', 'product');
});

OnecTest->part('truth', sub {
	run() for 1 .. 3;
	# what somebody does here
	sql("UPDATE onec.product SET name = 'x' WHERE product_id IN (SELECT product_id FROM onec.product ORDER BY product_id LIMIT 3);
		DELETE FROM onec.discount_card WHERE card_id = (SELECT min(card_id::text)::uuid FROM onec.discount_card);
		DELETE FROM onec.counterparty_contact WHERE customer_id = (SELECT min(customer_id::text)::uuid FROM onec.counterparty_contact)");
	run();
	is_equal('rows that were altered here are read again');

	# a write that changes nothing that is here
	my ($who) = sql("SELECT product_id FROM onec.product WHERE NOT is_folder ORDER BY 1 LIMIT 1");
	my $row = sql("SELECT xmin FROM onec.product WHERE product_id = '$who'");
	base_does('PATCH', "$goods(guid'$who')", { Комментарий => 'иной' });
	run();
	shows("SELECT xmin FROM onec.product WHERE product_id = '$who'", $row, 'a version alone is no change of the row');
	shows("SELECT rows_updated FROM onec.sync_status WHERE target = 'product'", 0, '… nor told as one');
	is(scalar(by_key(asked($some, $goods))), 0, '… but it is known then');

	# contacts are written with their owner
	edit(op => 'new_customer', name => 'Пример Примеров');
	my ($owner) = sql("SELECT customer_id FROM onec.counterparty_contact GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1");
	my $parts = base_does('GET', "$customers(guid'$owner')?\$format=json")->{КонтактнаяИнформация};
	if ($parts)
	{
		pop @$parts;
		base_does('PATCH', "$customers(guid'$owner')", { КонтактнаяИнформация => $parts });
	}
	my $asked = asked($some, $contacts);
	is(scalar(grep { $_->{path} eq $contacts && $_->{query} !~ /Ref_Key eq guid/ } @{ $asked->{log} }), 0, 'contacts are asked for by their owners');
	is_equal('contacts', 'counterparty', 'counterparty_contact', 'discount_card');

	# other fields of the same objects
	sql("UPDATE onec.field_source SET candidates = '{НаименованиеПолное}' WHERE (target, field) = ('product', 'name'); SELECT count(*) FROM onec.setup('shop')");
	run();
	my $full = base_does('GET', "$goods(guid'$who')?\$format=json")->{НаименованиеПолное};
	shows("SELECT name FROM onec.product WHERE product_id = '$who'", $full, 'a field that is another property now is read of all objects') if defined $full;
	sql("UPDATE onec.field_source SET candidates = '{Description}' WHERE (target, field) = ('product', 'name'); SELECT count(*) FROM onec.setup('shop')");
	run() for 1 .. 2;
	is_equal('and back', 'product');

	# people who are forgotten
	my ($person) = sql("SELECT d.owner_id FROM onec.discount_card d WHERE d.owner_id IS NOT NULL ORDER BY 1 LIMIT 1");
	sql("SELECT count(*) FROM onec.forget('$person', 'shop')");
	run();
	shows("SELECT count(*) FROM onec_internal.row_version WHERE key_id IN (SELECT id FROM onec.forgotten)", 0, 'of who is forgotten no version stays, nor comes back');
	shows("SELECT count(*) FROM onec.discount_card WHERE owner_id = '$person'", 0, '… nor a card');
	sql("DELETE FROM onec.forgotten");
	run();
	is_equal('who agrees again is read again', 'discount_card', 'counterparty');
	run();

	# a base that says nothing
	$onec->control('POST', '/faults', { match => $goods, replace => [ [ '"DataVersion":"', '"DataVersion":"","was":"' ], [ '"DataVersion": "', '"DataVersion": "", "was": "' ] ], times => 1000 });
	change(0, 3);
	run();
	is_equal('versions that are empty', 'product');
	$onec->control('POST', '/faults/clear', {});
	run() for 1 .. 2;

	# a base that lies
	edit(op => 'rename_product', product => $who, name => 'Молча', silently => \1);
	run();
	isnt(sql("SELECT name FROM onec.product WHERE product_id = '$who'"), 'Молча', 'what 1C does not tell by the version is not seen …');
	run("full_reload => true, steps => '{products}'");
	is_equal('… until everything is read', 'product');
	shows("SELECT status, detail, advice FROM onec.diagnose('shop') WHERE \"check\" = 'product: versions'",
		"warning|1 objects have changed, and their DataVersion has not|Набор читается целиком. Если 1С снова меняет DataVersion при каждой записи: SELECT onec.set('sync.versions', 'on', 'shop');",
		'which notices, and diagnose tells it');
	is(scalar(grep { $_->{query} =~ /DataVersion/ } @{ asked($some, $goods)->{log} }), 0, 'such a set is read as if there were no versions');
	setting('sync.versions', 'on');
	run();
	cmp_ok(versioned(asked($some, $goods)), '>', 0, '… unless the setting says on');
	setting('sync.versions', 'off');
	is(scalar(grep { $_->{query} =~ /DataVersion/ } @{ asked($some, $cards, $goods, $customers)->{log} }), 0, 'off is off');
	setting('sync.versions', undef);
	sql('DELETE FROM onec_internal.version_use');
});

# ---- always by versions: all that has any, small or dated ----
OnecTest->part('on', sub {
	setting('sync.versions', 'on');
	my $all = "days => 2000, steps => '{cards,counterparties,products,orders}'";
	run($all =~ s/days => 2000/full_reload => true/r);
	run($all);
	my $before = sql($written);
	my $none = asked($all, $orders);
	shows($written, $before, 'on: a second run writes nothing');
	is(scalar(grep { $_->{query} =~ /Запасы/ && $_->{rows} } @{ $none->{log} }), 0, 'documents that have not changed are not read');
	my ($old, $new) = split /\n/, sql("SELECT order_id FROM onec.customer_order WHERE lines <> '[]' AND date > now() - interval '300 days' ORDER BY date LIMIT 1;
		SELECT order_id FROM onec.customer_order ORDER BY date DESC LIMIT 1");
	edit(op => 'order_state', order => $new, state => 2);
	edit(op => 'order_line', order => $new);
	edit(op => 'order_delete', order => $old, physically => \1);
	my $asked = asked($all, $orders);
	is(scalar(grep { $_->{query} =~ /Запасы/ && $_->{rows} && $_->{query} !~ /Ref_Key eq guid|Date le/ } @{ $asked->{log} }), 0, 'one that has is read by its key');
	is_equal('orders', 'customer_order');
	shows("SELECT amount = (SELECT sum((l ->> 'amount')::numeric) FROM jsonb_array_elements(lines) l) FROM onec.customer_order WHERE order_id = '$new'", 't', 'with its lines');
	edit(op => 'order_move', order => $new, days => 40);
	run($all);
	is_equal('an order that has moved', 'customer_order');
	for my $seed (1 .. ($ENV{TEST_FULL} ? 40 : 3))
	{
		edit(op => 'random', n => 15, seed => $seed);
		run($all);
		is_equal("random edits $seed");
	}
	my $dry = OnecTest->try_text($node, "CALL onec.sync('shop', days => 3, dry_run => true)");
	is($dry->{sqlstate}, '00000', 'a dry run goes through');
	setting('sync.versions', undef);
});

# ---- the feed ----
OnecTest->part('feed', sub {
	shows('SELECT count(*) FROM onec.change_feed', 0, 'nothing is told of unless somebody wants it');
	run('days => 2000');
	setting('feed.enabled', 'true');
	shows("SELECT onec.feed_position('shop')", 0, 'the feed begins');
	my $product = edit(op => 'rename_product')->{product};
	my $card = sql("SELECT card_id FROM onec.discount_card WHERE owner_id IS NOT NULL AND NOT deletion_mark ORDER BY code LIMIT 1");
	edit(op => 'change_phone', card => $card);
	my $made = edit(op => 'new_customer', name => 'Лента Лентова');
	edit(op => 'new_sale', card => $card);
	my $order = edit(op => 'order_new', lines => 2)->{order};
	run('days => 60');
	shows("SELECT kind, change FROM onec.changes_since(0, 'shop') WHERE key_id = '$product'", 'product|changed', 'a product that has changed');
	shows("SELECT string_agg(DISTINCT kind || ' ' || change, ', ' ORDER BY kind || ' ' || change) FROM onec.changes_since(0, 'shop') WHERE key_id = '$made->{customer}'", 'customer changed, customer new, profile changed', 'a customer who is new, with contacts and a profile');
	my $owner = sql("SELECT owner_id FROM onec.discount_card WHERE card_id = '$card'");
	shows("SELECT string_agg(DISTINCT kind || ' ' || change, ', ' ORDER BY kind || ' ' || change) FROM onec.changes_since(0, 'shop') WHERE key_id IN ('$card', '$owner')",
		'balance changed, card changed, customer changed, profile changed', 'who has bought: card, points, purchases, profile');
	shows("SELECT kind, change FROM onec.changes_since(0, 'shop') WHERE kind = 'order'", 'order|new', 'an order') if $order;
	shows("SELECT count(DISTINCT run_id), min(run_id) = (SELECT max(run_id) FROM onec.sync_run), min(position), count(*) = max(position), max(position) = onec.feed_position('shop')
		FROM onec.changes_since(0, 'shop')", 't' eq 'f' ? '' : '1|t|1|t|t', 'of one run, numbered without a gap');
	my $last = sql("SELECT onec.feed_position('shop')");
	run('days => 60');
	shows("SELECT count(*), onec.feed_position('shop') FROM onec.changes_since($last, 'shop')", "0|$last", 'a run that changes nothing tells nothing');

	base_does('DELETE', "$goods(guid'$product')");
	my $rest = $last;
	run('days => 60');
	shows("SELECT kind, change FROM onec.changes_since($last, 'shop') WHERE kind <> 'profile'", 'product|gone', 'what is gone');
	shows("SELECT count(*) FROM onec.changes_since(0, 'shop', 2)", 2, 'as many as are wanted');

	# who reads while somebody writes: an open transaction that has numbers holds back whoever would have larger ones
	my $writer = OnecTest->background($node, "BEGIN; SELECT onec_internal.write_feed('shop', 'product', \$\$SELECT '$product'::uuid AS key_id, 'changed' AS change\$\$); SELECT pg_sleep(600)", name => 'writer');
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writer' AND query ~ 'pg_sleep' AND wait_event = 'PgSleep'") eq '1' }, 'the writer');
	my $at = sql("SELECT onec.feed_position('shop')");
	my $second = OnecTest->try_text($node, "SET lock_timeout = '1s'; SELECT onec_internal.write_feed('shop', 'product', \$\$SELECT '$product'::uuid AS key_id, 'changed' AS change\$\$)");
	is($second->{sqlstate}, '55P03', 'two that write wait for one another');
	shows("SELECT count(*), onec.feed_position('shop') FROM onec.changes_since($at, 'shop')", "0|$at", 'a reader sees neither, nor waits');
	$writer->cancel;
	$writer->wait;
	# … and then has others
	my $holder = OnecTest->background($node, 'SELECT pg_advisory_lock(113); SELECT pg_sleep(600)', name => 'holder');
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND wait_event = 'PgSleep'") eq '1' }, 'the holder');
	my $write = "SELECT onec_internal.write_feed('shop', 'product', \$\$SELECT '$product'::uuid AS key_id, 'changed' AS change\$\$)";
	my @writers;
	for my $who ("BEGIN; $write; SELECT pg_advisory_lock(113); COMMIT", $write)
	{
		push @writers, OnecTest->background($node, $who, name => 'writer');
		my $count = @writers;
		OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writer' AND wait_event_type = 'Lock'") eq $count }, "$count that write and wait");
	}
	$holder->cancel;
	$_->wait for $holder, @writers;
	shows("SELECT count(DISTINCT position) FROM onec.changes_since($at, 'shop')", 2, 'whoever waited has numbers of its own');

	# other definitions make other profiles of everybody
	my $shown = "SELECT customer_id, jsonb_build_array(p, o, r) AS r FROM onec.customer_profile p LEFT JOIN onec.customer_outlook o USING (server, customer_id) LEFT JOIN onec.customer_rfm r USING (server, customer_id) WHERE server = 'shop'";
	sql("CREATE TABLE profile_was AS $shown; SELECT onec.set('check_unit', 'row', 'shop')");
	$last = sql("SELECT onec.feed_position('shop')");
	run('days => 60');
	my ($others, $fed) = ("SELECT customer_id FROM ((TABLE profile_was EXCEPT ($shown)) UNION ALL (($shown) EXCEPT TABLE profile_was)) x", "SELECT key_id FROM onec.changes_since($last, 'shop') WHERE kind = 'profile'");
	shows("SELECT (SELECT count(DISTINCT customer_id) > 10 FROM ($others) x), (SELECT count(*) FROM ($others EXCEPT $fed) x), (SELECT count(*) FROM ($fed EXCEPT $others) x)", 't|0|0', 'whose profile another setting has changed is told, and nobody else');
	setting('check_unit', undef);

	# rights
	sql("CREATE ROLE analyst; CREATE ROLE site; CREATE ROLE nobody_else; SELECT onec.grant_reader('analyst'), onec.grant_site('site')");
	shows("SELECT r, has_function_privilege(r, 'onec.changes_since(bigint, name, int)', 'EXECUTE'), has_table_privilege(r, 'onec.change_feed', 'SELECT'), has_table_privilege(r, 'onec.change_feed', 'DELETE')
		FROM unnest('{analyst,nobody_else,site}'::name[]) r", "analyst|f|t|f\nnobody_else|f|f|f\nsite|t|f|f", 'the site asks for it, analysts read the table, nobody else does');
	like(sql("SET ROLE site; SELECT count(*) FROM onec.changes_since(0, 'shop')"), qr/^[1-9]/, '… indeed');

	# forgotten and trimmed
	sql("SELECT count(*) FROM onec.forget('$made->{customer}', 'shop')");
	shows("SELECT count(*) FROM onec.changes_since(0, 'shop') WHERE key_id IN (SELECT id FROM onec.forgotten)", 0, 'who is forgotten is in it no more');
	my $upto = sql("SELECT min(position) + 2 FROM onec.change_feed");
	sql("UPDATE onec.change_feed SET changed_at = now() - interval '31 days' WHERE position <= $upto; SELECT onec_internal.trim_feed('shop')");
	shows("SELECT min(position) > $upto, (SELECT trimmed FROM onec_internal.feed_place) <= $upto FROM onec.change_feed", 't|t', 'what is older than it is to be kept goes');
	my $late = OnecTest->try_text($node, "SELECT * FROM onec.changes_since(0, 'shop')");
	is($late->{sqlstate}, '55000', 'a reader who comes too late is told so');
	like($late->{stderr}, qr/read the tables whole/, '… and what to do');
	is(OnecTest->try_text($node, "SELECT * FROM onec.changes_since(1000000, 'shop')")->{sqlstate}, '55000', 'and one who is ahead, of a store that was restored');
	is(OnecTest->try_text($node, "SELECT * FROM onec.changes_since(NULL, 'shop')")->{sqlstate}, '22004', 'who names no position is no reader of nothing');
	shows("SELECT count(*) > 0 FROM onec.changes_since((SELECT trimmed FROM onec_internal.feed_place), 'shop')", 't', 'one in time is not');
	setting('feed.enabled', undef);
	$at = sql("SELECT onec.feed_position('shop')");
	edit(op => 'rename_product');
	run();
	shows("SELECT onec.feed_position('shop')", $at, 'off is off');
});

# ---- of whatever is fed: the keys in the feed are those of rows that are others than before, and no more ----
OnecTest->part('kinds', sub {
	my $base = OnecTest->onec('--customers', 12, '--seed', 5, '--site');
	my $sync = sub { sql("CALL onec.sync('kinds', full_reload => true)"); return sql("SELECT status FROM onec.sync_run WHERE server = 'kinds' ORDER BY run_id DESC LIMIT 1"); };
	my $does = sub { return $base->control('POST', '/edit', {@_}); };

	OnecTest->server($node, $base, name => 'kinds', options => "timezone 'Europe/Moscow', retries '0'");
	sql("SELECT onec.set(k, 'true', 'kinds') FROM unnest('{feed.enabled,stock.enabled,prices.enabled,product_cards.enabled,order_details.enabled,image.enabled}'::text[]) k;
		SELECT onec.set('endpoint.stock_reserved', 'AccumulationRegister_РезервыТоваров', 'kinds'); SELECT count(*) FROM onec.setup('kinds')");
	is($sync->(), 'ok', 'a base with all that a site shows');
	my %fed = map { my ($target, @rest) = split /\|/; $target => \@rest } split /\n/, sql("SELECT target, onec_internal.table_of_target(target), feed_key, feeds FROM onec.target WHERE server IS NULL AND feeds IS NOT NULL AND source IN ('set', 'files') ORDER BY ordinal");
	my $rows = sub { my ($table, $key) = @{ $fed{ $_[0] } }; return "SELECT t.$key AS k, to_jsonb(t) - 'content' AS r FROM $table t WHERE server = " . sql("SELECT onec_internal.server_in('$table', 'kinds')"); };

	shows("SELECT string_agg(DISTINCT change, ',') FROM onec.change_feed WHERE server = 'kinds' AND target IN ('customer_order', 'product', 'order_state')", 'new', 'kinds: what was not here yet is new');
	shows("SELECT string_agg(target, ',') FROM unnest('{" . join(',', keys %fed) . "}'::text[]) target WHERE target NOT IN (SELECT target FROM onec.change_feed WHERE server = 'kinds')", '', 'kinds: every target that is fed is told of');
	shows("SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM onec.change_feed WHERE server = 'kinds' AND kind = target", 'brand category currency order_state price price_kind product property_name property_value stock store unit vat_rate', 'kinds: the words of a page are kinds of their own');
	shows("SELECT onec.product_json(p.product_id, 'kinds') -> 'stock' ->> 'reserved' FROM onec.product p WHERE server = 'kinds' AND NOT is_folder AND NOT EXISTS (SELECT FROM onec.stock s WHERE s.server = 'kinds' AND s.product_id = p.product_id) LIMIT 1",
		0, 'kinds: of what there is nothing in stock nothing is reserved');
	sql('CREATE SCHEMA was');
	for my $turn (1 .. ($ENV{TEST_FULL} ? 30 : 2))
	{
		my $at = sql("SELECT onec.feed_position('kinds')");
		sql(join ';', map { "DROP TABLE IF EXISTS was.$_; CREATE TABLE was.$_ AS " . $rows->($_) } sort keys %fed);
		$does->(op => $_, n => 8, seed => "kinds $turn") for qw(random random_goods random_site);
		$does->(op => 'order_state', state => 1 + $turn % 3);
		is($sync->(), 'ok', "kinds, turn $turn: a run");
		my $differ = sql(join ' UNION ALL ', map {
			my $now = $rows->($_);
			my $others = "SELECT k FROM (($now EXCEPT ALL TABLE was.$_) UNION ALL (TABLE was.$_ EXCEPT ALL $now)) x WHERE k IS NOT NULL";
			my $told = "SELECT key_id FROM onec.change_feed WHERE server = 'kinds' AND position > $at AND target = '$_' AND kind = '$fed{$_}[2]'";
			"(SELECT '$_ not told', k::text FROM ($others EXCEPT $told) y (k) LIMIT 2)", "(SELECT '$_ told for nothing', k::text FROM ($told EXCEPT $others) y (k) LIMIT 2)"
		} sort keys %fed);
		is($differ, '', "kinds, turn $turn: it has the keys of what is another, and no more");
		note(sql("SELECT string_agg(target || ' ' || n, ', ') FROM (SELECT target, count(*) n FROM onec.change_feed WHERE server = 'kinds' AND position > $at GROUP BY 1) x"));
	}
	# one by one
	my $told = sub {
		my $at = sql("SELECT onec.feed_position('kinds')");
		$does->(@_);
		sql("CALL onec.sync('kinds', days => 60, steps => '{products,orders,images}')");
		return sql("SELECT string_agg(DISTINCT kind || ' ' || change || ' ' || target, ', ' ORDER BY kind || ' ' || change || ' ' || target) FROM onec.change_feed WHERE server = 'kinds' AND position > $at AND kind <> 'profile'");
	};
	my $order = sql("SELECT order_id FROM onec.customer_order WHERE server = 'kinds' AND deletion_mark IS NOT TRUE AND posted AND jsonb_array_length(lines) > 0 ORDER BY date DESC LIMIT 1");
	is($told->(op => 'order_pay', order => $order, amount => 77), 'order changed order_payment', 'kinds: a payment is a change of its order');
	is($told->(op => 'order_ship', order => $order, lines => 1), 'order changed order_shipment', 'kinds: and so is a shipment');
	my $new;
	for my $case ([ 'a picture' => op => 'picture_new', way => 'own', kind => 'png' ], [ 'one that is replaced' => op => 'picture_replace' ], [ 'one that is gone' => op => 'picture_remove' ])
	{
		my ($what, @does) = @$case;
		push @does, file => $new if $new;
		# a product may have it as its main one
		like($told->(@does), qr/^image changed product_image(, product changed product)?$/, "kinds: $what is a change of its product's pictures");
		$new ||= sql("SELECT file_id FROM onec.product_image WHERE server = 'kinds' AND (product_id, 'image') IN (SELECT key_id, kind FROM onec.change_feed WHERE server = 'kinds' ORDER BY position DESC LIMIT 1) ORDER BY xmin::text::bigint DESC LIMIT 1");
	}
	# a picture that two products show
	my ($owner, $file) = split /\|/, sql("SELECT product_id, file_id FROM onec.product_image WHERE server = 'kinds' AND refused IS NULL ORDER BY 2 LIMIT 1");
	my $with = sql("SELECT product_id FROM onec.product WHERE server = 'kinds' AND NOT is_folder AND NOT is_deleted AND product_id <> '$owner' AND picture_id IS NULL ORDER BY 1 LIMIT 1");
	my $url = address("$goods(guid'$with')") =~ s/^\Q${\ $onec->url('demo')}/${\ $base->url('demo')}/r;
	ok($web->request('PATCH', $url, { content => encode_json({ ФайлКартинки_Key => $file }), headers => { 'Content-Type' => 'application/json' } })->{success}, 'kinds: a picture of another product');
	$sync->();
	my $at = sql("SELECT onec.feed_position('kinds')");
	$does->(op => 'picture_replace', file => $file);
	$sync->();
	shows("SELECT string_agg(DISTINCT key_id::text, ' ' ORDER BY key_id::text) FROM onec.change_feed WHERE server = 'kinds' AND position > $at AND kind = 'image'", join(' ', sort $owner, $with), 'kinds: … is one of both');
	$at = sql("SELECT onec.feed_position('kinds')");
	$sync->();
	shows("SELECT onec.feed_position('kinds')", $at, 'kinds: nothing new tells nothing');
});

# ---- as large as in a shop that grows ----
OnecTest->part('large', sub {
	edit(op => 'grow', cards => 50_000, products => 20_000);
	run() for 1 .. 2;
	my $whole = asked("full_reload => true, steps => '{cards,products}'", $cards, $goods);
	my $wire = sql("SELECT sum(bytes) FROM onec.sync_status WHERE target IN ('discount_card', 'product')");
	change(1000, 400);
	my $begun = time;
	my $night = asked("days => 30, cards_limit => 10000, steps => '{cards,products}'", $cards, $goods);
	diag(sprintf '%d cards and products: whole %d bytes (%d on the wire), 2 %% changed %d (%d), %.1f %%, %d requests, %d s', sql("SELECT (SELECT count(*) FROM onec.discount_card) + (SELECT count(*) FROM onec.product)"),
		$whole->{bytes}, $wire, $night->{bytes}, sql("SELECT sum(bytes) FROM onec.sync_status WHERE target IN ('discount_card', 'product')"), 100 * $night->{bytes} / $whole->{bytes}, $night->{requests}, time - $begun);
	cmp_ok($night->{bytes}, '<=', 0.35 * $whole->{bytes}, '50,000 cards and 20,000 products, 2 % changed: at most 35 % of the bytes');
	is_equal('large', 'discount_card', 'product');
}) if $ENV{TEST_FULL};

$node->stop;
done_testing();
