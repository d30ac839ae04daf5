# What a site calls: customers whom nobody makes twice, cards, contacts, points, orders, as a role that has grant_site_writer and nothing
# else; the demo 1C says what came of it, field by field.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use JSON::PP ();
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 4);
my $node = OnecTest->node('site', conf => 'max_prepared_transactions = 2');
my ($CUSTOMERS, $CARDS, $ORDERS) = qw(Catalog_Контрагенты Catalog_ДисконтныеКарты Document_ЗаказПокупателя);
my $BONUS = 'Document_НачислениеСписаниеБонусныхБаллов';
my $NOBODY = '11111111-2222-4333-8444-555555555555';
my $json = JSON::PP->new->canonical;

sub sql { return OnecTest->rows($node, @_); }
sub site { my ($call) = @_; return OnecTest->rows($node, "SELECT onec.$call", user => 'site'); }
sub try_site { my ($call) = @_; return OnecTest->try_text($node, "SELECT onec.$call", user => 'site'); }
sub said { my ($what) = @_; return "'" . ($json->encode($what) =~ s/'/''/gr) . "'"; }
sub customer { my (%said) = @_; return "create_customer('shop', " . said(\%said) . ')'; }
sub deliver { return OnecTest->rows($node, "CALL onec.deliver('shop')", user => 'worker'); }
sub escape { my ($text) = @_; utf8::encode($text); return $text =~ s/([^\w])/sprintf('%%%02X', ord $1)/ger; }
sub object { my ($set, $key) = @_; return $onec->control('GET', '/object?set=' . escape($set) . "&key=$key"); }
sub requests { return scalar @{ $onec->control('GET', '/log?since=' . ($_[0] // 0)) }; }

# 1C itself, past the extension: method, path below the service, body; an array of what it has, or an object.
sub http
{
	my ($method, $path, $body) = @_;
	my $answer = HTTP::Tiny->new->request($method, $onec->url =~ s{//}{//demo:demo@}r . '/odata/standard.odata/' . escape($path =~ s/\?.*//r) =~ s/%(28|29|27)/chr hex $1/ger . '?$format=json',
		{ headers => { 'Content-Type' => 'application/json' }, defined $body ? (content => JSON::PP->new->utf8->encode($body)) : () });
	die "$method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	my $told = JSON::PP->new->utf8->decode($answer->{content});
	return ref $told->{value} eq 'ARRAY' ? @{ $told->{value} } : $told;
}

# What a card has, as the register of 1C says: accrued less written off, of what counts today.
sub balance
{
	my ($card) = @_;
	my $sum = 0;
	my @now = gmtime(time + 3 * 3600);
	my $now = sprintf('%04d-%02d-%02dT%02d:%02d:%02d', $now[5] + 1900, $now[4] + 1, @now[3, 2, 1, 0]);
	for my $row (http('GET', 'AccumulationRegister_БонусныеБаллы_RecordType'))
	{
		$sum += $row->{Начислено} - $row->{КСписанию} if $row->{БонуснаяКарта_Key} eq $card && $row->{Active} && $row->{Period} le $now;
	}
	return $sum;
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow'");
sql('CREATE ROLE site LOGIN');
like(OnecTest->try_text($node, "SELECT onec.grant_site_writer('site')")->{stderr}, qr/55000: server "shop" is read only/, 'a server is read only until its owner says otherwise');
sql("ALTER SERVER shop OPTIONS (ADD updatable 'on'); SELECT onec.setup('shop'); CALL onec.sync('shop')");
# the tests below leave transactions prepared
sql("SELECT onec.set('outbox.notify', 'false')");
my @orders = sort { $b->{Date} cmp $a->{Date} } grep { $_->{Posted} } http('GET', $ORDERS);
my @products = map { $_->{Ref_Key} } grep { !$_->{IsFolder} } http('GET', 'Catalog_Номенклатура');
my @customers = http('GET', $CUSTOMERS);
my @cards = http('GET', $CARDS);

sql("CREATE ROLE worker LOGIN; CREATE USER MAPPING FOR worker SERVER shop OPTIONS (user 'demo', password 'demo'); SELECT onec.grant_sync('worker')");
is(OnecTest->try($node, "SELECT * FROM onec_internal.site_person", user => 'worker')->{sqlstate} . OnecTest->try($node, "DELETE FROM onec.write_default", user => 'worker')->{sqlstate}, '4250142501',
	'who delivers sees nobody that a site has asked for, and sets no default');

# ---- what the shop says is proposed, and refused by name where it is missing ----
sql("SELECT onec.grant_site_writer('site')");
my $someone = (grep { !$_->{IsFolder} && !$_->{DeletionMark} && $_->{НомерТелефонаДляПоиска} } @customers)[0];
my %first = (customer => $someone->{Ref_Key}, lines => [ { product => $products[0], quantity => 1, price => 100 } ]);
like(try_site("place_order('shop', " . said(\%first) . ')')->{stderr}, qr/23502: order needs a value for "vat_percent" \(line 1\).*onec\.setup_write\('shop'\)/s, 'an order without defaults is refused, by name');
is(sql("SELECT count(*) FROM onec.setup_write('shop') WHERE statement IS NULL"), '0', 'each default is proposed as a statement');
is(sql('SELECT count(*) FROM onec.write_default'), '0', '… and none is set by that');
my %proposed = map { my ($field, $value) = split /\|/, $_, 2; ($field => $value) } split /\n/, sql("SELECT field, value #>> '{}' FROM onec.setup_write('shop') WHERE entity_set = '$ORDERS'");
my %property = (organization => 'Организация_Key', price_kind => 'ВидЦен_Key', currency => 'ВалютаДокумента_Key', operation => 'ХозяйственнаяОперация_Key',
	operation_kind => 'ВидОперации', taxation => 'НалогообложениеНДС', store => 'СтруктурнаяЕдиницаПродажи_Key', reserve_store => 'СтруктурнаяЕдиницаРезерв_Key');
for my $field (sort keys %property)
{
	my %times;
	$times{ $_->{ $property{$field} } }++ for @orders[0 .. (@orders > 20 ? 19 : $#orders)];
	my ($most) = sort { $times{$b} <=> $times{$a} } keys %times;
	is($times{ $proposed{$field} }, $times{$most}, "$field: as most of the newest orders have it");
}
is("$proposed{includes_vat} $proposed{vat_percent}", 'true 20', 'VAT is in the sums, and how much it is');
is(sql("SELECT title FROM onec.setup_write('shop') WHERE field = 'organization' AND entity_set = '$ORDERS'"), (http('GET', 'Catalog_Организации'))[0]{Description}, 'who decides is shown the names');
sql($_) for split /\n/, sql("SELECT statement FROM onec.setup_write('shop')");
is(sql("SELECT count(*) > 15, bool_and(is_set), count(statement) FROM onec.setup_write('shop')"), 't|t|0', 'approved: nothing is left to propose');
for my $field (sort keys %property)
{
	my $answer = OnecTest->try_text($node, "BEGIN; SELECT onec.set_write_default('shop', '$ORDERS', '$field', NULL); SELECT onec.place_order('shop', " . said(\%first) . ')');
	like($answer->{stderr}, qr/23502: order needs a value for "$field".*property "$property{$field}"/s, "an order without $field is refused, by name");
}
is(OnecTest->try_text($node, "SELECT onec.set_write_default('shop', '$ORDERS', 'store', '\"here\"')")->{sqlstate}, '22023', 'a default that is none is refused');
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'nothing was put there');

# ---- who may what ----
is(OnecTest->try($node, "SELECT $_", user => 'site')->{sqlstate}, '42501', "a site may not: $_") for "onec.enqueue('shop', '$ORDERS', 'create', body => '{}')",
	"onec.setup_write('shop')", "onec.set_write_default('shop', '$ORDERS', 'store', NULL)", "* FROM onec.outbox", "* FROM onec.write_default", "* FROM onec.counterparty",
	"* FROM onec_internal.site_person", "onec_internal.put_points('shop', '$NOBODY', '{1}', '{NULL}', NULL, NULL)", "onec.outbox_skip(1)", "onec.forget('70000000001')";
is(OnecTest->try($node, "CALL onec.deliver('shop')", user => 'site')->{sqlstate}, '42501', 'nor deliver');
sql("CREATE ROLE orders_only LOGIN; SELECT onec.grant_site_writer('orders_only', '{$ORDERS}')");
is(OnecTest->try_text($node, 'SELECT onec.' . customer(name => 'А', phone => '70000000999'), user => 'orders_only')->{sqlstate}, '42501', 'a set that is not in the list of the role');
is(OnecTest->try_text($node, "SELECT onec.post_document('shop', '$BONUS', '$NOBODY')", user => 'orders_only')->{sqlstate}, '42501', '… nor a step of it');
is(OnecTest->try_text($node, "SELECT onec.grant_site_writer('orders_only', '{Catalog_Контрагент}')")->{sqlstate}, '22023', 'a list of sets that are there');

# ---- a customer once ----
my $asked = $onec->control('GET', '/log')->[-1]{n};
my $anna = site(customer(name => 'Анна Новая', phone => '8 (000) 000-91-01', email => ' Anna@Shop.example', birth_date => '1990-05-06', gender => 'Женский'));
is(site(customer(name => 'Анна', phone => '+7 000 000 91 01')), $anna, 'one customer for a telephone, however it is written');
is(site(customer(name => 'Анна', email => 'anna@shop.EXAMPLE')), $anna, '… for an address');
is(sql("SELECT count(*), string_agg(operation, ',') FROM onec.outbox"), '1|create', '… one row');
(my $shown = $someone->{НомерТелефонаДляПоиска}) =~ s/^7(\d{3})(\d{3})/8 ($1) $2-/;
is(site(customer(name => 'Кто-то', phone => $shown)), $someone->{Ref_Key}, 'a customer of the store, by telephone');
my $mail = (grep { !$_->{IsFolder} && !$_->{DeletionMark} && $_->{АдресЭПДляПоиска} } @customers)[0];
is(site(customer(name => 'Кто-то', email => uc $mail->{АдресЭПДляПоиска})), $mail->{Ref_Key}, '… by address');
is(site(customer(name => 'Кто-то', email => $mail->{АдресЭПДляПоиска}, phone => '70000009108')), $mail->{Ref_Key}, '… known by the address, with another telephone');
is(site(customer(name => 'Кто-то', phone => '70000009108')), $mail->{Ref_Key}, '… which is theirs from then on');
my %alive = map { ($_->{Ref_Key} => $_) } grep { !$_->{DeletionMark} } @customers;
my $owned = (grep { !$_->{DeletionMark} && !$_->{КартаНедействительна} && $alive{ $_->{ВладелецКарты_Key} } && $_->{КодКартыШтрихкод} } @cards)[0];
is(site(customer(name => 'Кто-то', card => $owned->{КодКартыШтрихкод})), $owned->{ВладелецКарты_Key}, '… by card');
for my $case ([ { name => 'А' }, qr/known by "phone", "email" or "card"/ ], [ { phone => '70000009102' }, qr/23502: customer needs a value for "name"/ ],
	[ { nam => 'А', phone => '70000009102' }, qr/customer has no field "nam".*Perhaps you meant: name/s ], [ { name => 'А', phone => '12-34' }, qr/"phone" is no telephone number/ ],
	[ { name => 'А', email => 'shop' }, qr/"email" is no address/ ], [ { name => 'А', phone => '70000009102', birth_date => '1990-02-30' }, qr/no day of that month/ ],
	[ { name => 'А' x 101, phone => '70000009102' }, qr/100 characters at most/ ])
{
	like(try_site(customer(%{ $case->[0] }))->{stderr}, $case->[1], 'refused: ' . $json->encode($case->[0]));
}
is(sql('SELECT count(*) FROM onec.outbox'), '1', 'and nothing was put there');
is(requests($asked), 0, 'and no request made for any of it');

# Two sessions at once: what the first one does stays open until the second one waits for it; then it ends.  What the second answers.
sub at_once
{
	my ($first, $second, $end) = @_;
	OnecTest->rows($node, "BEGIN; SELECT onec.$first; PREPARE TRANSACTION 'first'", user => 'site');
	my $other = OnecTest->background($node, "SELECT onec.$second", user => 'site', name => 'second');
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock'") eq '1' }, 'the second session');
	OnecTest->rows($node, "$end PREPARED 'first'", user => 'site');
	return $other->wait;
}
for my $end (qw(COMMIT ROLLBACK))
{
	my $phone = $end eq 'COMMIT' ? '70000009201' : '70000009202';
	my $key = $end eq 'COMMIT' ? '22222222-0000-4000-8000-000000000001' : '22222222-0000-4000-8000-000000000002';
	my $answer = at_once(customer(name => 'Вдвоём', phone => $phone, key => $key), customer(name => 'Вдвоём', phone => "+$phone", email => "$phone\@shop.example"), $end);
	chomp(my $got = $answer->{stdout});
	is($got eq $key ? 'the same' : 'its own', $end eq 'COMMIT' ? 'the same' : 'its own', "two at once for one telephone, the first ends by $end");
	is(sql("SELECT count(*) FROM onec.outbox WHERE operation = 'create' AND body ->> 'НомерТелефонаДляПоиска' = '$phone' AND key = '$got'"), '1', '… and one is created');
}
deliver();
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'all of it is delivered');
@customers = http('GET', $CUSTOMERS);
for my $phone (qw(70000009101 70000009201 70000009202))
{
	is(scalar(grep { $_->{НомерТелефонаДляПоиска} eq $phone } @customers), 1, "1C has one customer of $phone");
}
my $stored = object($CUSTOMERS, $anna);
is_deeply({ map { ($_ => $stored->{$_}) } qw(Description НаименованиеПолное ВидКонтрагента ЮридическоеФизическоеЛицо Покупатель НомерТелефонаДляПоиска АдресЭПДляПоиска ДатаРождения Пол Parent_Key) },
	{ Description => 'Анна Новая', НаименованиеПолное => 'Анна Новая', ВидКонтрагента => 'ФизическоеЛицо', ЮридическоеФизическоеЛицо => 'ФизическоеЛицо', Покупатель => JSON::PP::true,
		НомерТелефонаДляПоиска => '70000009101', АдресЭПДляПоиска => 'Anna@Shop.example', ДатаРождения => '1990-05-06T00:00:00', Пол => 'Женский', Parent_Key => $someone->{Parent_Key} },
	'a customer, field by field');
is_deeply([ map { join ' ', @$_{qw(Тип Представление НомерТелефона НомерТелефонаБезКодов ОбратныйНомерТелефона АдресЭП ДоменноеИмяСервера)} } @{ $stored->{КонтактнаяИнформация} } ],
	[ 'Телефон +70000009101 70000009101 0009101 10190000007  ', 'АдресЭлектроннойПочты Anna@Shop.example    Anna@Shop.example Shop.example' ], '… and their contacts');
is(site(customer(name => 'Анна', phone => '70000009101')), $anna, 'delivered, it is the same customer');

# ---- it is in the store at once, and stays there ----
is(sql("SELECT phone, email, birth_date, is_deleted FROM onec.counterparty WHERE customer_id = '$anna'"), '70000009101|Anna@Shop.example|1990-05-06 00:00:00|f', 'it is in the store at once');
is(sql("SELECT count(*) FROM onec.counterparty_contact WHERE customer_id = '$anna'"), '2', '… with contacts');
my $card = site("issue_card('shop', '$anna', " . said({ barcode => '70000009101' }) . ')');
is(site("issue_card('shop', '$anna', " . said({ barcode => '70000009101' }) . ')'), $card, 'a card once');
deliver();
is(sql("SELECT phone, login, name, is_active FROM onec.site_user WHERE discount_card_id = '$card'"), '70000009101|70000009101|Анна Новая|t', 'with a card they are a user of the site at once');
my $before = sql("SELECT string_agg(xmin::text, ',' ORDER BY card_id) FROM onec.discount_card") . sql("SELECT string_agg(xmin::text, ',' ORDER BY customer_id) FROM onec.counterparty")
	. sql("SELECT string_agg(xmin::text, ',' ORDER BY customer_id, line_no) FROM onec.counterparty_contact") . sql("SELECT string_agg(xmin::text, ',' ORDER BY user_id) FROM onec.site_user");
sql("CALL onec.sync('shop')");
is(sql("SELECT string_agg(xmin::text, ',' ORDER BY card_id) FROM onec.discount_card") . sql("SELECT string_agg(xmin::text, ',' ORDER BY customer_id) FROM onec.counterparty")
	. sql("SELECT string_agg(xmin::text, ',' ORDER BY customer_id, line_no) FROM onec.counterparty_contact") . sql("SELECT string_agg(xmin::text, ',' ORDER BY user_id) FROM onec.site_user"),
	$before, 'as a sync reads it: that writes no row');
# a run is at work: its reading may have begun before
$onec->control('POST', '/faults', { match => 'Catalog_ДисконтныеКарты\?', method => 'GET', delay_ms => 1500, times => 1 });
my $run = OnecTest->background($node, "CALL onec.sync('shop', steps => '{cards,counterparties}')");
OnecTest->wait_for(sub { sql("SELECT count(*) FROM onec.sync_run WHERE status = 'running'") eq '1' }, 'the run');
my $boris = site(customer(name => 'Борис', phone => '70000009103', card => '70000009103'));
deliver();
is($run->wait->{sqlstate}, '00000', 'a run meanwhile');
deliver();
is(sql("SELECT count(*), bool_or(c.is_deleted OR d.is_deleted) FROM onec.counterparty c JOIN onec.discount_card d ON d.owner_id = c.customer_id WHERE c.customer_id = '$boris'"), '1|f',
	'what was delivered while a run was at work is there after it, and not taken for gone');
is(sql('SELECT count(*) FROM onec_internal.written_unread'), '0', '… and nothing is left to read');
sql("BEGIN; SELECT pg_advisory_xact_lock(onec_internal.run_lock_key('shop')); PREPARE TRANSACTION 'run'");
my $vera = site(customer(name => 'Вера', phone => '70000009104'));
deliver();
is(sql("SELECT count(*) FROM onec.counterparty WHERE customer_id = '$vera'") . sql('SELECT count(*) FROM onec_internal.written_unread'), '01', 'while a run holds the base nothing is written beside it');
sql("COMMIT PREPARED 'run'");
deliver();
is(sql("SELECT count(*) FROM onec.counterparty WHERE customer_id = '$vera'"), '1', '… the next delivery reads it');

# ---- cards ----
my $nobodys = (grep { !$_->{DeletionMark} && !$_->{КартаНедействительна} && $_->{ВладелецКарты_Key} =~ /^0{8}/ && $_->{КодКартыШтрихкод} } @cards)[0];
is(site("issue_card('shop', '$anna', " . said({ barcode => $nobodys->{КодКартыШтрихкод} }) . ')'), $nobodys->{Ref_Key}, 'a card without owner');
like(try_site("issue_card('shop', '$anna', " . said({ barcode => $owned->{КодКартыШтрихкод} }) . ')')->{stderr}, qr/23505: the card of this bar code is somebody else's/, 'a card of somebody else is refused');
is(try_site("issue_card('shop', '$NOBODY', " . said({ barcode => '70000009999' }) . ')')->{sqlstate}, 'P0002', '… and one for nobody');
deliver();
is(object($CARDS, $nobodys->{Ref_Key})->{ВладелецКарты_Key}, $anna, '… is theirs in 1C');
is(join(' ', @{ object($CARDS, $card) }{qw(Description КодКартыШтрихкод ВладелецКарты_Key Owner_Key)}), "70000009101 70000009101 $anna $owned->{Owner_Key}", 'a new card, field by field');

# ---- contacts of others survive ----
my $rows = object($CUSTOMERS, $someone->{Ref_Key})->{КонтактнаяИнформация};
is(site("change_contact('shop', '$someone->{Ref_Key}', phone => '8 000 000-91-05')"), $someone->{Ref_Key}, 'a telephone is changed');
my %another = (Тип => 'Другое', Вид_Key => $NOBODY, Представление => 'написал менеджер');
http('PATCH', "$CUSTOMERS(guid'$someone->{Ref_Key}')", { КонтактнаяИнформация => [ map { my $n = $_ + 1; +{ %{ [ @$rows, \%another ]->[$_] }, LineNumber => $n } } 0 .. @$rows ] });
deliver();
my $now = object($CUSTOMERS, $someone->{Ref_Key});
is_deeply([ map { "$_->{Тип} $_->{Представление}" } @{ $now->{КонтактнаяИнформация} } ],
	[ (map { $_->{Тип} eq 'Телефон' ? 'Телефон +70000009105' : "$_->{Тип} $_->{Представление}" } @$rows), 'Другое написал менеджер' ], 'the row of its kind, and those that others wrote meanwhile');
is($now->{НомерТелефонаДляПоиска}, '70000009105', '… and what 1C looks people up by');
is(site(customer(name => 'Он же', phone => '70000009105')), $someone->{Ref_Key}, '… and so does a site');
is(try_site("change_contact('shop', '$anna')")->{sqlstate}, '22023', 'nothing to change is an error');

# ---- an order, seen posted in 1C, field by field ----
my $state = (http('GET', 'Catalog_СостоянияЗаказовПокупателей'))[0]{Ref_Key};
my @lines = ({ product => $products[0], quantity => 3, price => 33.33 }, { product => $products[1], quantity => 1, price => 1000, discount_percent => 15 },
	{ product => $products[2], quantity => 2.5, price => 10, discount => 5, vat_percent => 0, vat_rate => $NOBODY });
my $order = "place_order('shop', " . said({ customer => $anna, comment => 'заказ с сайта', state => $state, ship_at => '2026-12-01T10:00:00+00:00', lines => \@lines }) . ", idempotency => 'order 1')";
my $key = site($order);
is(site($order), $key, 'the same idempotency key: the same order');
is(sql("SELECT string_agg(operation, ',' ORDER BY id) FROM onec.outbox"), 'create,post', '… one row, and the step that posts it');
is(OnecTest->rows($node, "SELECT string_agg(operation || ' ' || status, ', ' ORDER BY id) FROM onec.write_status('$key', 'shop')", user => 'site'), 'create pending, post waiting', 'a site asks how it stands');
deliver();
is(OnecTest->rows($node, "SELECT string_agg(operation || ' ' || status, ', ' ORDER BY id) FROM onec.write_status('$key', 'shop')", user => 'site'), 'create done, post done', '… and where it has come to');
$stored = object($ORDERS, $key);
is($stored->{Posted}, JSON::PP::true, 'the order is posted');
my $unit = 'StandardODATA.Catalog_КлассификаторЕдиницИзмерения';
my %same = (ЕдиницаИзмерения => sql("SELECT value #>> '{}' FROM onec.write_default WHERE field = 'unit'"), ЕдиницаИзмерения_Type => $unit, Номенклатура_Type => 'StandardODATA.Catalog_Номенклатура', ТипНоменклатурыЗапас => JSON::PP::true,
	СтруктурнаяЕдиницаРезерв_Key => $proposed{reserve_store}, Ref_Key => $key, Характеристика_Key => '00000000-0000-0000-0000-000000000000');
my @sums = ([ 3, 33.33, 99.99, 0, 0, 99.99, $proposed{vat_rate}, 16.67 ], [ 1, 1000, 1000, 15, 150, 850, $proposed{vat_rate}, 141.67 ], [ 2.5, 10, 25, 20, 5, 20, $NOBODY, 0 ]);
my $place = 0;
my @expected = map { my @s = @$_; my $n = ++$place; +{ %same, LineNumber => $n, КлючСвязи => $n, Номенклатура => $products[$n - 1], Количество => $s[0], Цена => $s[1], Сумма => $s[2],
	ПроцентСкидкиНаценки => $s[3], СуммаСкидкиНаценки => $s[4], Всего => $s[5], СтавкаНДС_Key => $s[6], СуммаНДС => $s[7] } } @sums;
is_deeply($stored->{Запасы}, \@expected, 'its lines, field by field, with sums');
my %head = (Контрагент_Key => $anna, Комментарий => 'заказ с сайта', СостояниеЗаказа => $state, СостояниеЗаказа_Type => 'StandardODATA.Catalog_СостоянияЗаказовПокупателей', ДатаОтгрузки => '2026-12-01T13:00:00',
	СуммаДокумента => 969.99, СуммаВключаетНДС => JSON::PP::true, Курс => 1, Кратность => 1, map { ($property{$_} => $proposed{$_}) } keys %property);
is_deeply({ map { ($_ => $stored->{$_}) } keys %head }, \%head, 'its header, field by field; a moment with a zone is the base\'s own');
my ($steps) = map { join ' ', map { "$_->{method} $_->{path}" =~ s/guid'[^']*'//r } @$_ } [ grep { $_->{path} =~ /^$ORDERS/ && $_->{method} ne 'GET' } @{ $onec->control('GET', '/log') } ];
is($steps, "POST $ORDERS POST $ORDERS()/Post", 'written once, posted once');
is(sql("SELECT amount, posted, jsonb_array_length(lines) FROM onec.customer_order WHERE order_id = '$key'"), '969.99|t|3', 'and it is in the store at once');
for my $case ([ { lines => [] }, qr/at least one line/ ], [ { lines => [ { product => $products[0], quantity => 0, price => 1 } ] }, qr/"quantity" of line 1/ ],
	[ { lines => [ @lines, { product => $products[0], quantity => 1, price => 1, discount => 2 } ] }, qr/"discount" of line 4/ ], [ { lines => [ { product => $products[0], quantity => 1 } ] }, qr/23502: order needs a value for "price" \(line 1\)/ ],
	[ { lines => [ { product => $products[0], quantity => 1, price => 'x' } ] }, qr/are numbers/ ], [ { lines => [ { product => $products[0], quantity => 1, price => 1, vat_rate => $NOBODY } ] }, qr/23502: .*"vat_percent" \(line 1\)/ ],
	[ { lines => [ { product => $products[0], quantity => 1, price => 1, total => 5 } ] }, qr/has no field "total"/ ], [ { lines => \@lines, Posted => 1 }, qr/has no field "Posted"/ ],
	[ { lines => \@lines, customer => $NOBODY }, qr/P0002: no customer/ ], [ { lines => \@lines, customer => undef }, qr/23502: order needs a value for "customer"/ ])
{
	like(try_site("place_order('shop', " . said({ customer => $anna, %{ $case->[0] } }) . ')')->{stderr}, $case->[1], 'refused: ' . $json->encode($case->[0]) =~ s/[0-9a-f-]{36}/…/gr);
}
# an order of a customer who is on the way, in a base of an older release, where a product is of one type
my $older = sql(q{BEGIN; UPDATE onec_internal.outbox_property SET property = property || '_Key', edm_type = 'Guid' WHERE part = 'Запасы' AND property IN ('Номенклатура', 'ЕдиницаИзмерения');
	DELETE FROM onec_internal.outbox_property WHERE part = 'Запасы' AND property IN ('Номенклатура_Type', 'ЕдиницаИзмерения_Type');
	SELECT onec.} . customer(name => 'Новый', phone => '70000009106', key => '33333333-0000-4000-8000-000000000001') . q{;
	SELECT onec.place_order('shop', } . said({ customer => '33333333-0000-4000-8000-000000000001', lines => [ $lines[0] ] }) . q{, post => false);
	SELECT o.body -> 'Запасы' -> 0 ->> 'Номенклатура_Key', o.body -> 'Запасы' -> 0 ? 'Номенклатура_Type', o.depends_on = ARRAY[(SELECT c.id FROM onec.outbox c WHERE c.operation = 'create' AND c.key = '33333333-0000-4000-8000-000000000001')]
	FROM onec.outbox o WHERE entity_set = '} . $ORDERS . q{'; ROLLBACK});
is((split /\n/, $older)[-1], "$products[0]|f|t", 'an older release has other names; an order waits for its customer');

# ---- steps of documents ----
site("unpost_document('shop', '$ORDERS', '$key')");
site("mark_deleted('shop', '$ORDERS', '$key')");
deliver();
is(join(' ', map { $_ ? 1 : 0 } @{ object($ORDERS, $key) }{qw(Posted DeletionMark)}), '0 1', 'an order is taken back and marked');
is(sql("SELECT posted, deletion_mark FROM onec.customer_order WHERE order_id = '$key'"), 'f|t', '… in the store, too');

# ---- points ----
is(try_site("spend_points('shop', '$card', 1)")->{sqlstate}, '23514', 'a card without points has none to spend');
site("award_points('shop', '$card', 50, expires => '2027-03-01')");
site("award_points('shop', '$card', 100.5, expires => '2027-06-01', comment => 'за отзыв')");
is(try_site("spend_points('shop', '$card', 1)")->{sqlstate}, '23514', 'what is on its way in does not count yet');
deliver();
is(balance($card), 150.5, 'points that are awarded are in the balance of 1C');
sql("CALL onec.sync('shop', steps => '{loyalty}')");
my $spent = site("spend_points('shop', '$card', 70, idempotency => 'spend 1')");
is(site("spend_points('shop', '$card', 70, idempotency => 'spend 1')"), $spent, 'the same idempotency key: the same spend');
like(try_site("spend_points('shop', '$card', 80.51)")->{stderr}, qr/23514: the card has 80\.5 points to spend/, 'what is on its way out counts');
my $answer = at_once("spend_points('shop', '$card', 50)", "spend_points('shop', '$card', 50)", 'COMMIT');
is($answer->{sqlstate}, '23514', 'two at once: the second sees what the first has spent');
deliver();
is(balance($card), 30.5, 'the balance of 1C after delivery');
is(try_site("spend_points('shop', '$card', 31)")->{sqlstate}, '23514', 'delivered, but not in the store yet: it counts');
is_deeply([ map { "$_->{Количество} $_->{ДатаСгорания}" } @{ object($BONUS, $spent)->{НачисленияБонусов} } ], [ '-50 2027-03-01T00:00:00', '-20 2027-06-01T00:00:00' ], 'a spend takes what expires first');
sql("CALL onec.sync('shop', steps => '{loyalty}')");
is(sql("SELECT balance FROM onec.loyalty_balance_at('shop') WHERE card_id = '$card'"), '30.5', 'and the store agrees');
is(sql("SELECT balance FROM onec.loyalty_balance_at('shop', '2027-04-01') WHERE card_id = '$card'"), '30.5', '… also when the first have expired');
is(sql("SELECT trim_scale(balance) FROM onec.loyalty_balance_at('shop', '2027-07-01') WHERE card_id = '$card'"), '0', '… and when all have');
site("spend_points('shop', '$card', 30.5)");
is(sql("SELECT count(*) FROM onec_internal.site_points WHERE card_id = '$card'"), '1', 'what has come into the store is kept there alone');
is(try_site("$_")->{sqlstate}, '22023', "refused: $_") for "award_points('shop', '$card', 0)", "spend_points('shop', '$card', 'NaN')";
is(try_site("award_points('shop', '$NOBODY', 5)")->{sqlstate}, 'P0002', 'points for nobody');

# ---- what 1C refuses ends with its words ----
$onec->control('POST', '/modes', { closed_until => '2099-01-01' });
my $late = site("award_points('shop', '$card', 5)");
deliver();
like(OnecTest->rows($node, "SELECT string_agg(status || coalesce(': ' || message, ''), ', ' ORDER BY id) FROM onec.write_status('$late', 'shop')", user => 'site'), qr/^done, failed: .*закрытом периоде/, 'a step that 1C refuses tells why');
$onec->control('POST', '/modes/clear', {});

# ---- forgotten ----
like(OnecTest->try_text($node, "SELECT * FROM onec.forget('$anna')")->{stderr}, qr/55000: \d+ changes of this person are not delivered.*skip_undelivered/s, 'nobody is forgotten whose change is on the way');
is(sql("SELECT count(*) FROM onec.forgotten"), '0', '… at all');
my $marina = site(customer(name => 'Марина Тайная', phone => '70000009107'));
is(OnecTest->try_text($node, "SELECT * FROM onec.forget('8 000 000 91 07')")->{sqlstate}, '55000', '… nor one who is on the way only');
sql("SELECT * FROM onec.forget('8 000 000 91 07', skip_undelivered => true); SELECT * FROM onec.forget('$anna', skip_undelivered => true)");
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'skipped, their changes are never delivered');
is(sql("SELECT count(*) FROM onec.outbox_history WHERE body::text ~ '70000009101|$anna|$card|Anna\@Shop|70000009107|Тайная'"), '0', '… and what was delivered is kept without content');
is(sql("SELECT count(*) FROM onec_internal.site_person WHERE customer_id IN ('$anna', '$marina')"), '0', '… nor is it known whose telephone it was');
is(sql("SELECT count(*) > 0 FROM onec.outbox_history WHERE body::text ~ '70000009103'"), 't', 'others stay');
deliver();
sql("CALL onec.sync('shop')");
is(sql("SELECT count(*) FROM onec.counterparty WHERE customer_id IN ('$anna', '$marina')"), '0', 'and nobody brings them back');
isnt(site(customer(name => 'Анна Новая', phone => '70000009101')), $anna, 'who comes again is somebody new');

# ---- a base that gives keys of its own: a site goes on with those that it was given, or with 1C's ----
$onec->control('POST', '/modes', { client_keys => JSON::PP::false });
my $masha = site(customer(name => 'Маша', phone => '70000009301', card => '70000009301'));
deliver();
my ($hers) = grep { $_->{НомерТелефонаДляПоиска} eq '70000009301' } http('GET', $CUSTOMERS);
my ($her_card) = grep { $_->{КодКартыШтрихкод} eq '70000009301' } http('GET', $CARDS);
isnt($hers->{Ref_Key}, $masha, '1C has given a key of its own');
is($her_card->{ВладелецКарты_Key}, $hers->{Ref_Key}, '… and the card names it');
is(site(customer(name => 'Мария', phone => '70000009301')), $masha, 'the customer is found, under the key that the site has');
$card = site("issue_card('shop', '$masha', " . said({ barcode => '70000009301' }) . ')');
is(site("issue_card('shop', '$hers->{Ref_Key}', " . said({ barcode => '70000009301' }) . ')'), $card, '… and the card, by either key of its owner');
my %by = map { ($_ => site("place_order('shop', " . said({ customer => $_, lines => [ $lines[0] ] }) . ')')) } $masha, $hers->{Ref_Key};
site("change_contact('shop', '$_->[0]', email => '$_->[1]')") for [ $masha, 'm1@shop.example' ], [ $hers->{Ref_Key}, 'm2@shop.example' ];
site("award_points('shop', '$card', 10)");
is(sql("SELECT string_agg(body ->> 'АдресЭПДляПоиска', ' ' ORDER BY id) || count(DISTINCT key) FROM onec.outbox WHERE operation = 'patch'"), 'm1@shop.example m2@shop.example1', 'changes under either stand in one line');
deliver();
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'all of it is delivered');
is(scalar(grep { $_->{Контрагент_Key} eq $hers->{Ref_Key} && $_->{Posted} } http('GET', $ORDERS)), 2, 'orders under either are theirs, and posted');
is(object($CUSTOMERS, $hers->{Ref_Key})->{АдресЭПДляПоиска}, 'm2@shop.example', 'the last change is the last');
is(sql("SELECT (onec.order_json('$by{$masha}') ->> 'order_id')::uuid = onec_internal.key_in_1c('shop', '$by{$masha}') AND onec.customer_json('$masha') ->> 'phone' = '70000009301'"), 't', 'a site reads its order and its customer by the keys that it has');
sql("CALL onec.sync('shop', steps => '{loyalty}')");
is(balance($her_card->{Ref_Key}), 10, 'points are on the card');
site("spend_points('shop', '$her_card->{Ref_Key}', 4)");
is(try_site("spend_points('shop', '$card', 6.5)")->{sqlstate}, '23514', 'what was spent under one key counts under the other');
deliver();
is(OnecTest->rows($node, "SELECT count(*) FROM onec.write_status('$hers->{Ref_Key}', 'shop')", user => 'site'), OnecTest->rows($node, "SELECT count(*) FROM onec.write_status('$masha', 'shop')", user => 'site'), 'how it stands is told by either');
sql("SELECT * FROM onec.forget('8 000 000 93 01')");
is(sql("SELECT count(*) FROM onec.outbox_history WHERE body::text ~ '70000009301|Маша|m1\@shop|$masha|$hers->{Ref_Key}'"), '0', 'forgotten under both');
is(sql("SELECT count(*) FROM onec_internal.site_person WHERE customer_id = '$masha'"), '0', '… wherever a site has asked for them');

$node->stop;
done_testing();
