# What an outbox must not do when somebody else is at work, or lies to it: post over a correction, take an outcome from whoever tells one,
# wait unseen, wait for what never comes, mix up the order of two sessions, double what a base stores under a key of its own, or leave a
# transaction prepared about what is in 1C already.  Each was a fault once.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use JSON::PP ();
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 30, '--seed', 4);
my $node = OnecTest->node('outbox_faults', conf => 'max_prepared_transactions = 2');
my ($CUSTOMERS, $CARDS, $ORDERS) = qw(Catalog_Контрагенты Catalog_ДисконтныеКарты Document_ЗаказПокупателя);
my $NOBODY = '11111111-2222-4333-8444-555555555555';
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $json = JSON::PP->new->canonical;

sub sql { return OnecTest->rows($node, @_); }
sub try_sql { return OnecTest->try_text($node, @_); }
sub said { my ($what) = @_; return "'" . ($json->encode($what) =~ s/'/''/gr) . "'"; }
sub site { my ($call) = @_; return sql("SELECT onec.$call"); }
sub escape { my ($text) = @_; utf8::encode($text); return $text =~ s/([^\w])/sprintf('%%%02X', ord $1)/ger; }
sub object { my ($set, $key) = @_; return $onec->control('GET', '/object?set=' . escape($set) . "&key=$key"); }
sub stored { my ($operation, $of) = @_; return scalar grep { $_->{operation} eq $operation && $of->($_) } @{ $onec->control('GET', '/stored') }; }
sub standing { return sql("SELECT string_agg(operation || ' ' || status, ', ' ORDER BY id) FROM onec.write_status('$_[0]', 'shop')"); }
sub fault { return $onec->control('POST', '/faults', { times => 1, @_ }); }
sub mode { return $onec->control('POST', '/modes', {@_}); }
sub skip_all { sql('SELECT onec.outbox_skip(id) FROM onec.outbox'); return; }

# Put a change into the outbox: set, operation, {key, body, …}; what onec.enqueue answers, or an error.
sub enqueue_sql
{
	my ($set, $operation, %more) = @_;
	my $more = join('', map { ", $_ => " . (ref $more{$_} eq 'HASH' ? said($more{$_}) : "'$more{$_}'") } sort keys %more);
	return "onec.enqueue('shop', '$set', '$operation'$more)";
}
sub put { return sql('SELECT object_key FROM ' . enqueue_sql(@_)); }
sub put_row { return sql('SELECT id FROM ' . enqueue_sql(@_)); }

# Requests of a delivery of so many rows: "METHOD what", whatever the keys.
my $asked = 0;
sub asked
{
	my $log = $onec->control('GET', "/log?since=$asked");
	$asked = $log->[-1]{n} if @$log;
	return join ' ', map { "$_->{method}" . ($_->{path} =~ m{/(Post|Unpost)$} ? " $1" : '') } grep { $_->{path} ne '' } @$log;
}
sub deliver { my ($rows) = @_; asked(); sql("CALL onec.deliver('shop'" . ($rows ? ", $rows" : '') . ')'); return asked(); }

# Somebody at 1C: method, path below the service, body.
sub somebody
{
	my ($method, $path, $body) = @_;
	my $answer = HTTP::Tiny->new->request($method, $onec->url =~ s{//}{//demo:demo@}r . '/odata/standard.odata/' . escape($path) =~ s/%(28|29|27|2F)/chr hex $1/ger . '?$format=json',
		{ headers => { 'Content-Type' => 'application/json' }, $body ? (content => JSON::PP->new->utf8->encode($body)) : () });
	die "$method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return JSON::PP->new->utf8->decode($answer->{content} || '{}');
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', updatable 'on', session 'off', request_timeout '20', retries '0'");
sql("SELECT onec.setup('shop'); CALL onec.sync('shop')");
sql("SELECT onec.set('outbox.settle_seconds', '0'), onec.set('outbox.retry_min_seconds', '0'), onec.set('outbox.notify', 'false');
	SELECT onec.set_write_default('shop', entity_set, field, value) FROM onec.setup_write('shop')");
my ($product) = split /\n/, sql('SELECT product_id FROM onec.product WHERE is_folder IS NOT TRUE ORDER BY 1 LIMIT 1');
my $buyer = site("create_customer('shop', " . said({ name => 'Пётр Покупатель', phone => '70000008001', email => 'petr@shop.example' }) . ')');
deliver();

# An order on its way; its key.
sub order { my (%more) = @_; return site("place_order('shop', " . said({ customer => $buyer, lines => [ { product => $product, quantity => 1, price => 5 } ], %more }) . ')'); }
sub posted { my ($order) = @_; return object($ORDERS, $order)->{Posted} ? 1 : 0; }
sub posts { my ($order) = @_; return stored('post', sub { $_[0]{key} eq $order }); }
sub correct { my ($order, $what) = @_; return somebody('PATCH', "$ORDERS(guid'$order')", { Комментарий => $what }); }

# ---- a posting is not repeated over somebody's correction ----
my $order = order();
is(deliver(), 'POST POST Post GET', 'what the creation answered is known: an order and its posting cost no request more');
for my $case (
	[ 'taken back and corrected', { commit => $true }, sub { somebody('POST', "$ORDERS(guid'$_[0]')/Unpost"); correct($_[0], 'исправлен'); }, 'conflict', 0, 1 ],
	[ 'corrected, not posted', {}, sub { correct($_[0], 'исправлен'); }, 'conflict', 0, 0 ],
	[ 'corrected, posted', { commit => $true }, sub { correct($_[0], 'исправлен'); }, 'done', 1, 1 ],
	[ 'as it was', {}, sub { }, 'done', 1, 1 ])
{
	my ($what, $rule, $by_somebody, $status, $posted, $times) = @$case;
	$order = order();
	deliver(1);
	fault(match => '/Post', method => 'POST', close => $true, %$rule);
	deliver(1);
	is(standing($order), 'create done, post unknown', "$what: a posting with an unknown outcome");
	$by_somebody->($order);
	is(deliver(), $what eq 'as it was' ? 'GET POST Post GET' : 'GET', '… is looked at, and sent again only where nothing has happened');
	is(standing($order) . ' ' . posted($order) . ' ' . posts($order), "create done, post $status $posted $times", "… then it is $status");
	skip_all();
}
site("unpost_document('shop', '$ORDERS', '$order')");
fault(match => '/Unpost', method => 'POST', close => $true, commit => $true);
is(deliver(1), 'GET POST Unpost', 'where no version is known it is read before');
somebody('POST', "$ORDERS(guid'$order')/Post");
deliver();
is(standing($order) . posted($order), 'create done, post done, unpost conflict1', '… and what somebody has posted again is not taken back');
skip_all();

# ---- who tells an outcome: what has made the request, and nobody else ----
sql("CREATE ROLE worker LOGIN; CREATE USER MAPPING FOR worker SERVER shop OPTIONS (user 'demo', password 'demo'); SELECT onec.grant_sync('worker')");
my $card = put($CARDS, 'create', body => { Description => 'Мнимая' });
my $forged = try_sql(q(SELECT onec_internal.settle_write(w, jsonb_populate_record(NULL::onec_internal.write_result, '{"verdict": "done"}'), 'x')
	FROM onec_internal.lease_write('shop', 'x') w WHERE w.id IS NOT NULL), user => 'worker');
is($forged->{sqlstate}, '42501', 'who delivers cannot say that something was delivered');
is(sql("SELECT count(*) FROM onec.outbox_history WHERE key = '$card'"), '0', '… and it was not');
is(OnecTest->try_text($node, "CALL onec.deliver('shop')", user => 'worker')->{sqlstate} . standing($card), '00000create done', '… but delivers');

# ---- what waits for what is not sent is shown ----
sql("SELECT onec.set('outbox.preview', 'true', 'shop')");
my $shown = sql('SELECT id || $$ $$ || object_key FROM ' . enqueue_sql($CUSTOMERS, 'create', body => { Description => 'Показанный' }));
($shown, my $person) = split / /, $shown;
sql("SELECT onec.set('outbox.preview', NULL, 'shop')");
$card = put($CARDS, 'create', body => { Description => 'Ждущая', ВладелецКарты_Key => $person });
put($CARDS, 'patch', key => $card, body => { Комментарий => 'за ней' });
deliver();
is(sql("SELECT string_agg(operation || ' ' || status || ' ' || happened, ', ' ORDER BY id) FROM onec.outbox_failed"), join(', ', map { "$_ Ждёт строку $shown, а та не отправляется: она только показывается" } 'create waiting', 'patch pending'),
	'what waits for a row that is only shown, itself or behind another, is shown');
is(sql("SELECT count(*) FROM onec.outbox_failed WHERE advice LIKE 'отправить ту, которую она ждёт: SELECT onec.outbox_retry($shown); %'"), '2', '… with what to do');
like(sql("SELECT string_agg(hint, E'\\n') FROM onec.write_status('$card', 'shop')"), qr/outbox_retry\($shown\).*\n.*outbox_retry\($shown\)/, '… and so does the site learn');
sql("SELECT onec.outbox_retry($shown)");
deliver();
is(standing($card) . sql('SELECT count(*) FROM onec.outbox_failed'), 'create done, patch done0', '… and then it goes');

# ---- a row waits for what can come ----
my $first = put_row($CUSTOMERS, 'create', body => { Description => 'Первый' });
sql("INSERT INTO onec.outbox (server, entity_set, operation, key, requested_by, status) VALUES ('other', '$CARDS', 'mark', '$NOBODY', 'x', 'pending')");
my $foreign = sql("SELECT id FROM onec.outbox WHERE server = 'other'");
my ($own, $later) = ($foreign + 1, $foreign + 1000);
for my $case ([ $own, 'its own number' ], [ $later, 'a later one' ], [ $foreign, 'one of another server' ], [ -5, 'one that never was' ], [ 'NULL', 'none' ], [ "$first,$later", 'a later one among others' ])
{
	my ($ids, $what) = @$case;
	like(try_sql('SELECT ' . enqueue_sql($CARDS, 'create', body => { Description => 'Вечная' }, depends_on => "{$ids}"))->{stderr}, qr/22023: depends_on names row (-?\d+|NULL), which is none of the outbox of server "shop"/, "to wait for $what is refused");
}
sql("DELETE FROM onec.outbox WHERE server = 'other'");
my $key = sql("SELECT key FROM onec.outbox WHERE id = $first");
$card = put($CARDS, 'create', body => { Description => 'Его карта', ВладелецКарты_Key => $key });
like(try_sql("SELECT onec.outbox_edit($first, " . said({ Description => 'Первый', Parent_Key => $card }) . ')')->{stderr}, qr/22023: row $first would wait for what waits for it/, '… and so is an edit that would make two wait for each other');
deliver();
is(standing($card), 'create done', 'what is there before, or was, is waited for');
is(try_sql('SELECT ' . enqueue_sql($CARDS, 'patch', key => $card, body => { Комментарий => 'после' }, depends_on => "{$first}"))->{sqlstate}, '00000', '… delivered long since, too');
deliver();

# ---- two sessions change one object: in the order of their commits ----
my ($other) = split /\n/, sql("SELECT k FROM (SELECT gen_random_uuid() AS k FROM generate_series(1, 20)) g WHERE onec_internal.line_lock_key('shop', k) <> onec_internal.line_lock_key('shop', '$card')");
sql("BEGIN; SELECT " . enqueue_sql($CARDS, 'patch', key => $card, body => { Комментарий => 'первая сессия' }) . "; PREPARE TRANSACTION 'first'");
my $second = OnecTest->background($node, 'SELECT ' . enqueue_sql($CARDS, 'patch', key => $card, body => { Комментарий => 'вторая сессия' }), name => 'second');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second' AND (wait_event_type = 'Lock' OR state = 'idle')") eq '1' || sql('SELECT count(*) FROM onec.outbox') eq '1' }, 'the second session');
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'the second to change an object waits for the first');
is(try_sql("SET lock_timeout = '50ms'; BEGIN; SELECT " . enqueue_sql($CARDS, 'patch', key => $other, body => { Комментарий => 'x' }) . '; SELECT ' . enqueue_sql($CARDS, 'create', key => $NOBODY, body => { Description => 'x' }) . '; ROLLBACK')->{sqlstate},
	'00000', '… and nobody who changes another, or creates one');
sql("COMMIT PREPARED 'first'");
is($second->wait->{sqlstate}, '00000', '… and then comes');
is(sql("SELECT string_agg(body ->> 'Комментарий', ', ' ORDER BY id) FROM onec.outbox"), 'первая сессия, вторая сессия', '… behind it');
deliver();
is(object($CARDS, $card)->{Комментарий}, 'вторая сессия', '… in 1C, too');

# ---- a base that took keys, and takes them no more: found out by the write that meets it, which is there once ----
sub created_as { my ($name) = @_; return stored('create', sub { ($_[0]{body}{Description} // '') eq $name }); }
sub client_keys { return sql('SELECT client_keys FROM onec_internal.outbox_base'); }
is(client_keys(), 't', 'a base that has taken keys until now');
mode(client_keys => $false);
my %card = (ВладелецКарты_Key => $key, КодКартыШтрихкод => '70000008101');
$card = put($CARDS, 'create', body => { %card, Description => 'Под другой ссылкой' });
fault(method => 'POST', close => $true, commit => $true);
deliver(1);
is(deliver(1), 'GET GET GET', 'not found by its key, an object like it is looked for');
is(standing($card) . created_as('Под другой ссылкой') . client_keys(), 'create done1f', '… found, remembered, and not sent again');
is(object($CARDS, sql("SELECT onec_internal.key_in_1c('shop', '$card')"))->{КодКартыШтрихкод}, '70000008101', '… known by the key that the site has');
mode(client_keys => $true);
$card = put($CARDS, 'create', body => { %card, Description => 'Снова своя' });
fault(method => 'POST', close => $true, commit => $true);
deliver(1) for 1 .. 2;
is(standing($card) . created_as('Снова своя') . client_keys(), 'create done1t', 'the other way');
is(sql("SELECT onec_internal.key_in_1c('shop', '$card') = '$card'"), 't', '… with its own key');
fault(method => 'POST', close => $true);
$card = put($CARDS, 'create', body => { %card, Description => 'Не дошла' });
deliver(1);
is(deliver(1), 'GET GET POST', 'what is nowhere is sent again');
is(standing($card) . created_as('Не дошла'), 'create done1', '… and stored once');
mode(client_keys => $false);
$card = put($CARDS, 'create', body => { Description => 'Мало сказано' });
fault(method => 'POST', close => $true, commit => $true);
deliver(1) for 1 .. 2;
is(standing($card) . created_as('Мало сказано'), 'create conflict1', 'an object that little was sent of may be another\'s: a person sees');
skip_all();
# 1C answers nothing, so another key is not told
mode(client_keys => $false);
$card = put($CARDS, 'create', body => { %card, Description => 'Без ответа' });
fault(method => 'POST', status => 204, commit => $true);
deliver(1) for 1 .. 2;
is(standing($card) . created_as('Без ответа') . client_keys(), 'create done1f', 'a creation that is answered by nothing is there once, too');

# nothing is known of the base: what is not found is not sent again, for its mark may have been lost
sql('DELETE FROM onec_internal.outbox_marker; UPDATE onec_internal.outbox_base SET client_keys = NULL');
$card = put($CARDS, 'create', body => { %card, Description => 'Первая вообще' });
fault(method => 'POST', close => $true);
deliver(1) for 1 .. 2;
is(standing($card) . created_as('Первая вообще'), 'create unknown0', 'where nobody knows whether marks are kept, what is not found is not sent again');
sql("UPDATE onec.outbox SET not_before = now() + interval '1 hour'");
put($CARDS, 'create', body => { %card, Description => 'Вторая показала' });
deliver();
sql('SELECT onec.outbox_retry(id) FROM onec.outbox');
deliver();
is(standing($card) . created_as('Первая вообще'), 'create done1', '… until another creation has shown it');

# ---- a login that is refused is not tried again ----
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'wrong')");
put($CARDS, 'create', body => { Description => $_ }) for 'Без логина 1', 'Без логина 2';
is(deliver() . deliver(), 'POST', 'a login that is refused is tried once');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'demo')");
skip_all();

# ---- a text is no reference ----
$person = put($CUSTOMERS, 'create', body => { Description => 'Под ключом 1С', НомерТелефонаДляПоиска => '70000008102' });
deliver();
my $in_1c = sql("SELECT onec_internal.key_in_1c('shop', '$person')");
isnt($in_1c, $person, 'a customer under a key of 1C\'s own');
my %line = (Номенклатура => $person, Количество => 1);
$card = put($CARDS, 'create', body => { Description => $person, ВладелецКарты_Key => $person });
deliver();
my $stored = object($CARDS, sql("SELECT onec_internal.key_in_1c('shop', '$card')"));
is("$stored->{Description} $stored->{ВладелецКарты_Key}", "$person $in_1c", 'a reference is sent as 1C has it, a text as the site has written it');
is(sql("SELECT onec_internal.with_remote_keys('shop', '$ORDERS', " . said({ Комментарий => $person, Контрагент_Key => uc $person, Запасы => [ { %line, Номенклатура_Type => 'StandardODATA.Catalog_Номенклатура', Содержание => $person },
	{ %line, Номенклатура_Type => 'Edm.String' } ] }) . q() . ")::text"),
	sql('SELECT ' . said({ Комментарий => $person, Контрагент_Key => $in_1c, Запасы => [ { %line, Номенклатура => $in_1c, Номенклатура_Type => 'StandardODATA.Catalog_Номенклатура', Содержание => $person }, { %line, Номенклатура_Type => 'Edm.String' } ] }) . '::jsonb'),
	'… in rows of tabular parts, and of several types, too');
mode(client_keys => $true);

# ---- a spend that 1C has refused and a person has skipped gives the points back ----
$card = site("issue_card('shop', '$buyer', " . said({ barcode => '70000008001' }) . ')');
site("award_points('shop', '$card', 100)");
deliver();
sql("CALL onec.sync('shop', steps => '{loyalty}')");
mode(closed_until => '2099-01-01');
my $spend = site("spend_points('shop', '$card', 100)");
deliver();
is(standing($spend), 'create done, post failed', 'a spend that 1C refuses to post');
like(try_sql("SELECT onec.spend_points('shop', '$card', 1)")->{stderr}, qr/23514: the card has 0 points/, '… counts, for it may be posted yet');
skip_all();
is(try_sql("BEGIN; SELECT onec.spend_points('shop', '$card', 100); ROLLBACK")->{sqlstate}, '00000', '… until it is skipped');
$onec->control('POST', '/modes/clear', {});

# ---- of two numbers that one is changed which is said ----
sub numbers { return join ', ', map { $_->{Представление} } grep { $_->{Тип} eq 'Телефон' } @{ object($CUSTOMERS, $buyer)->{КонтактнаяИнформация} }; }
my $rows = object($CUSTOMERS, $buyer)->{КонтактнаяИнформация};
my ($mobile) = grep { $_->{Тип} eq 'Телефон' } @$rows;
my $at = 0;
somebody('PATCH', "$CUSTOMERS(guid'$buyer')", { КонтактнаяИнформация => [ map { +{ %$_, LineNumber => ++$at } } @$rows, { %$mobile, Представление => '8 (000) 000-80-02', НомерТелефона => '80000008002' } ] });
sql("CALL onec.sync('shop', steps => '{counterparties}')");
is(numbers(), '+70000008001, 8 (000) 000-80-02', 'a person with two numbers');
site("change_contact('shop', '$buyer', phone => '+7 000 000-80-03', old_phone => '7 000 000 80 02')");
fault(method => 'PATCH', close => $true, commit => $true);
deliver(1) for 1 .. 3;
is(sql('SELECT count(*) FROM onec.outbox') . numbers(), '0+70000008001, +70000008003', '… of which the one is changed that was said, once');
is(object($CUSTOMERS, $buyer)->{НомерТелефонаДляПоиска}, '70000008001', '… and 1C looks them up by the first still');
site("change_contact('shop', '$buyer', phone => '70000008004', old_phone => '70000008001')");
deliver();
is(numbers() . object($CUSTOMERS, $buyer)->{НомерТелефонаДляПоиска}, '+70000008004, +7000000800370000008004', '… or the first, by which it does');
site("change_contact('shop', '$buyer', phone => '70000008005', old_phone => '70000008099')");
deliver();
is(numbers(), '+70000008004, +70000008003, +70000008005', 'where nobody has the old one, none of the others is lost');
like(try_sql("SELECT onec.change_contact('shop', '$buyer', email => 'a\@b.example', old_phone => '70000008005')")->{stderr}, qr/22023: the old telephone or address needs a new one/, 'an old one alone is refused');

# ---- addresses, as telephones are ----
site("change_contact('shop', '$buyer', email => ' New\@Shop.example')");
is(site("create_customer('shop', " . said({ name => 'П.', email => 'PETR@shop.example' }) . ')'), $buyer, 'while a change is on its way the old address is still theirs');
deliver();
is(join(' ', object($CUSTOMERS, $buyer)->{АдресЭПДляПоиска}, map { "$_->{Представление} $_->{АдресЭП} $_->{ДоменноеИмяСервера}" } grep { $_->{Тип} eq 'АдресЭлектроннойПочты' } @{ object($CUSTOMERS, $buyer)->{КонтактнаяИнформация} }),
	'New@Shop.example New@Shop.example New@Shop.example Shop.example', 'an address is changed wherever it stands, without blanks');
my $ivan = site("create_customer('shop', " . said({ name => 'Иван', email => 'petr@SHOP.example' }) . ')');
isnt($ivan, $buyer, 'an address that 1C has nowhere any more is free');
like(try_sql("SELECT onec.change_contact('shop', '$ivan', email => '$_')")->{stderr}, qr/23505: the address is another customer's/, "nobody gets another's, however it is written: $_") for 'new@shop.example', ' NEW@SHOP.EXAMPLE ';
like(try_sql("SELECT onec.change_contact('shop', '$ivan', email => 'new at shop')")->{stderr}, qr/22023: "email" is no address/, 'what is none is refused');

# ---- when an order is to be shipped ----
for my $case ([ '2026-12-01T10:00:00+00:00', '2026-12-01T13:00:00' ], [ '2026-12-01 23:30:00Z', '2026-12-02T02:30:00' ], [ '2026-12-01T10:00:00', '2026-12-01T10:00:00' ], [ '2026-12-01', '2026-12-01T00:00:00' ], [ '2026-12-01T10:00:00.7+03', '2026-12-01T10:00:00' ])
{
	$order = order(ship_at => $case->[0]);
	deliver();
	is(object($ORDERS, $order)->{ДатаОтгрузки}, $case->[1], "ship_at $case->[0]");
}
for my $moment ('05.06.2026 10:00:00+03', '2026-02-30', '2026-12-01T25:00:00Z', 'завтра')
{
	my $told = try_sql("SET lc_messages = 'C'; SELECT onec.place_order('shop', " . said({ customer => $buyer, ship_at => $moment, lines => [ { product => $product, quantity => 1, price => 5 } ] }) . ')')->{stderr};
	like($told, qr/22023: "ДатаОтгрузки" of "$ORDERS" is/, "refused by name: ship_at $moment");
}

# ---- what is in 1C already is not prepared ----
sql(qq{CREATE FOREIGN TABLE direct_cards ("Ref_Key" uuid, "Description" text) SERVER shop OPTIONS (entity_set '$CARDS', key 'Ref_Key', write_mode 'direct')});
my $prepared = try_sql(q{SET onec_fdw.direct_modify = on; BEGIN; INSERT INTO direct_cards ("Description") VALUES ('Готова'); PREPARE TRANSACTION 'sent'});
like($prepared->{stderr}, qr/ERROR:  0A000: cannot PREPARE a transaction that has written to 1C.*ROLLBACK PREPARED/s, 'a transaction that has written to 1C is not prepared');
like($prepared->{stderr}, qr/WARNING:[^\n]*rolled back, but 1 object stays written in 1C/, '… it is rolled back, and says what it leaves');
is(sql('SELECT count(*) FROM pg_prepared_xacts') . created_as('Готова'), '01', '… nothing is prepared');
is(try_sql(q{BEGIN; SELECT "Ref_Key" FROM direct_cards LIMIT 1; PREPARE TRANSACTION 'read'; ROLLBACK PREPARED 'read'})->{sqlstate}, '00000', 'one that has only read is');

$node->stop;
done_testing();
