# What the site writes reaches 1C, once: what is put into the outbox is checked there, delivered after the commit, one request a row,
# and never sent blindly again.  The demo 1C says what it has stored; faults meet half of all requests, and workers are killed.
use strict;
use warnings;
use utf8;

use JSON::PP ();
use OnecTest;
use Test::More;
use Time::HiRes qw(sleep);

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 4);
my $node = OnecTest->node('outbox', conf => "log_min_duration_statement = -1\nlog_statement = 'none'\nrestart_after_crash = on\n");
my ($CUSTOMERS, $CARDS, $ORDERS) = qw(Catalog_Контрагенты Catalog_ДисконтныеКарты Document_ЗаказПокупателя);
my $BONUS = 'Document_НачислениеСписаниеБонусныхБаллов';

sub sql { return OnecTest->rows($node, @_); }
sub literal { my ($text) = @_; return defined $text ? "'" . ($text =~ s/'/''/gr) . "'" : 'NULL'; }
sub json { return JSON::PP->new->canonical->encode($_[0]); }

# Put a change into the outbox: set, operation, {key, body, …}; what try_text answers.
sub enqueue
{
	my ($set, $operation, %more) = @_;
	my $more = join('', map { ", $_ => " . literal(ref $more{$_} eq 'HASH' ? json($more{$_}) : $more{$_}) } sort keys %more);
	return OnecTest->try_text($node, "SELECT object_key FROM onec.enqueue('shop', '$set', '$operation'$more)");
}
sub put { my $answer = enqueue(@_); is($answer->{sqlstate}, '00000', "put: $_[0] $_[1]") or diag($answer->{stderr}); return $answer->{stdout}; }
sub deliver { return OnecTest->try_text($node, "CALL onec.deliver('shop'" . (@_ ? ", $_[0]" : '') . ")"); }
# How a row of a key stands: status, and of the first that is open its message.
sub standing { return sql("SELECT string_agg(status || coalesce(': ' || left(message, 60), ''), '; ' ORDER BY id) FROM onec.write_status('$_[0]', 'shop')"); }
sub object { my ($set, $key) = @_; my $row = $onec->control('GET', '/object?set=' . escape($set) . "&key=$key"); return ref $row ? $row : undef; }
sub escape { my ($text) = @_; utf8::encode($text); return $text =~ s/([^\w])/sprintf('%%%02X', ord $1)/ger; }
# Requests since the last call: "METHOD path".
my $asked = 0;
sub asked
{
	my $log = $onec->control('GET', "/log?since=$asked");
	$asked = $log->[-1]{n} if @$log;
	return map { "$_->{method} " . ($_->{path} =~ s/\(guid'[^']*'\)/()/r) } grep { $_->{path} ne '' } @$log;
}
sub fault { $onec->control('POST', '/faults', {@_}); return; }
sub calm { $onec->control('POST', '/faults/clear', {}); $onec->control('POST', '/modes/clear', {}); return; }

OnecTest->server($node, $onec, name => 'shop', options => "session 'off', request_timeout '20', retries '0'");
sql("SELECT onec.set('outbox.settle_seconds', '0'), onec.set('outbox.retry_min_seconds', '0'), onec.set('outbox.retry_max_seconds', '1')");

# ---- a server is read only until its owner says otherwise ----
sql("SELECT onec.setup('shop')");
is(sql('SELECT count(*) FROM onec_internal.outbox_property'), '0', 'setup of a server that is read only keeps nothing');
like(enqueue($CUSTOMERS, 'create', body => { Description => 'А' })->{stderr}, qr/55000: server "shop" is read only/, 'and nothing can be put there');
sql("ALTER SERVER shop OPTIONS (ADD updatable 'on')");
like(enqueue($CUSTOMERS, 'create', body => { Description => 'А' })->{stderr}, qr/not known yet.*onec\.setup\('shop'\)/s, 'updatable, but not set up');
sql("SELECT onec.setup('shop')");
cmp_ok(sql("SELECT count(*) FROM onec_internal.outbox_property WHERE entity_set = '$CUSTOMERS' AND part <> ''"), '>', 10, 'setup keeps what can be written, tabular parts too');
my $written = sql("SELECT max(xmin::text::bigint) FROM onec_internal.outbox_property");
sql("SELECT onec.setup('shop')");
is(sql("SELECT max(xmin::text::bigint) FROM onec_internal.outbox_property"), $written, 'a second setup writes nothing');

# ---- what does not fit is refused in the site's transaction, by the name of the field ----
my ($phone, $name) = ('70001234567', 'Тайнова Ирина');
my $uuid = '11111111-2222-4333-8444-555555555555';
my %line = (Номенклатура => $uuid, Номенклатура_Type => 'StandardODATA.Catalog_Номенклатура', Количество => 1);
asked();
for my $case (
	[ $CUSTOMERS, 'create', { body => { Descripton => $name } }, qr/"Descripton" of "$CUSTOMERS" is no property of it.*Perhaps you meant: Description/s ],
	[ $CUSTOMERS, 'create', { body => { Parent_Key => $phone } }, qr/"Parent_Key" .* is a reference/ ],
	[ $CUSTOMERS, 'create', { body => { Покупатель => 'true' } }, qr/"Покупатель" .* is true or false/ ],
	[ $CUSTOMERS, 'create', { body => { ДатаРождения => '2026-02-30' } }, qr/"ДатаРождения" .* is no day of that month/ ],
	[ $CUSTOMERS, 'create', { body => { ДатаРождения => '2026-02-20T00:00:00Z' } }, qr/"ДатаРождения" .*without a zone/ ],
	[ $CUSTOMERS, 'create', { body => { НомерТелефонаДляПоиска => $phone x 2 } }, qr/"НомерТелефонаДляПоиска" .* 20 characters at most/ ],
	[ $CUSTOMERS, 'create', { body => { Description => 5 } }, qr/"Description" .* is a text/ ],
	[ $CUSTOMERS, 'create', { body => { Description => [$name] } }, qr/"Description" .* takes one value/ ],
	[ $CUSTOMERS, 'create', { body => { КонтактнаяИнформация => { НомерТелефона => $phone } } }, qr/"КонтактнаяИнформация" .* list of rows/ ],
	[ $CUSTOMERS, 'create', { body => { КонтактнаяИнформация => [ {}, { Телефон => $phone } ] } }, qr/"КонтактнаяИнформация\[2\]\.Телефон" .* no property/ ],
	[ $CUSTOMERS, 'create', { body => { КонтактнаяИнформация => [ { LineNumber => 2 } ] } }, qr/"КонтактнаяИнформация\[1\]\.LineNumber" .* not the place/ ],
	[ $CUSTOMERS, 'create', { body => { Телефоны => [ { НомерТелефона => $phone } ] } }, qr/"Телефоны" .* no property/ ],
	[ $CUSTOMERS, 'create', { body => { DataVersion => 'AAAAAAAAAAA=' } }, qr/"DataVersion" .* 1C's own/ ],
	[ $ORDERS, 'create', { body => { Posted => JSON::PP::true } }, qr/"Posted" .* post and unpost/ ],
	[ $ORDERS, 'create', { body => { Запасы => [ { Номенклатура => $uuid } ] } }, qr/"Запасы\[1\]\.Номенклатура" .* several types/ ],
	[ $ORDERS, 'create', { body => { Запасы => [ { %line, Номенклатура => $name } ] } }, qr/"Запасы\[1\]\.Номенклатура" .* is a reference/ ],
	[ $ORDERS, 'create', { body => { Запасы => [ { %line, Номенклатура_Type => 'Номенклатура' } ] } }, qr/none of 1C's/ ],
	[ $ORDERS, 'create', { body => { Запасы => [ { %line, КлючСвязи => 1.5 } ] } }, qr/"Запасы\[1\]\.КлючСвязи" .* whole number/ ],
	[ $ORDERS, 'create', { body => { СуммаДокумента => "$phone" } }, qr/"СуммаДокумента" .* is a number/ ],
	[ $ORDERS, 'create', {}, qr/operation "create" needs a body/ ],
	[ $ORDERS, 'post', {}, qr/needs the key/ ],
	[ $ORDERS, 'post', { key => $uuid, body => {} }, qr/takes no body/ ],
	[ $CUSTOMERS, 'post', { key => $uuid }, qr/is no document/ ],
	[ $CUSTOMERS, 'insert', { body => {} }, qr/unrecognized operation "insert"/ ],
	[ 'Catalog_Контрагент', 'create', { body => {} }, qr/unrecognized entity set .*Perhaps you meant: $CUSTOMERS/s ],
	[ $CUSTOMERS, 'merge_rows', { key => $uuid, body => { КонтактнаяИнформация => [] } }, qr/merge_by names/ ],
	[ $CUSTOMERS, 'merge_rows', { key => $uuid, body => { Description => 'а' }, merge_by => '{Вид_Key}' }, qr/knows no Вид_Key of "Description"/ ])
{
	my $answer = enqueue($case->[0], $case->[1], %{ $case->[2] });
	like($answer->{stderr}, $case->[3], "refused: $case->[1] " . json($case->[2]));
	(my $told = $answer->{stderr}) =~ s/^LINE.*//ms;
	unlike($told, qr/$phone|$name/, '… and no value is told');
}
# each value as each type, beside what expressions of SQL say of it
sql(OnecTest->contents('test/data/value_fault.sql'));
is(sql("SELECT t.edm_type, v.value, k.kind, n.told, n.said FROM types_told t CROSS JOIN values_told v CROSS JOIN kinds_told k CROSS JOIN LATERAL (SELECT
	public.value_fault_told(t.edm_type, 0, v.value, k.kind), onec_internal.value_fault(t.edm_type, v.value, k.kind)) n (told, said) WHERE n.told IS DISTINCT FROM n.said"),
	'', 'what is wrong with a value');
cmp_ok(sql("SELECT count(DISTINCT onec_internal.value_fault(t.edm_type, v.value, k.kind)) FROM types_told t CROSS JOIN values_told v CROSS JOIN kinds_told k"), '>=', 16, '… each fault among them');
is_deeply([ asked() ], [], 'no request was made for any of it');
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'nothing was put there');

# ---- who may ----
sql("CREATE ROLE site LOGIN; CREATE ROLE shop_sites; GRANT shop_sites TO site");
is(OnecTest->try_text($node, "SELECT onec.enqueue('shop', '$CARDS', 'create', body => '{}')", user => 'site')->{sqlstate}, '42501', 'nobody may by itself');
sql("SELECT onec.allow_write('shop_sites', '{$CUSTOMERS}', 'shop')");
like(OnecTest->try_text($node, "SELECT onec.enqueue('shop', '$CARDS', 'create', body => '{}')", user => 'site')->{stderr}, qr/42501: role "site" may not write "$CARDS"/, 'a set that is not in the list');
my $key = OnecTest->rows($node, "SELECT object_key FROM onec.enqueue('shop', '$CUSTOMERS', 'create', body => '{\"Description\": \"Сайт\"}', idempotency => 'order 1')", user => 'site');
is(sql('SELECT requested_by FROM onec.outbox'), 'site', 'one that is, through a group; who asked is written down');
is(OnecTest->rows($node, "SELECT object_key FROM onec.enqueue('shop', '$CUSTOMERS', 'create', body => '{\"Description\": \"Сайт\"}', idempotency => 'order 1')", user => 'site'), $key, 'the same idempotency key: the same object');
is(sql('SELECT count(*) FROM onec.outbox'), '1', 'and one row');
is(enqueue($CARDS, 'create', body => {}, idempotency => 'order 1')->{sqlstate}, '23505', 'the same key for something else is an error');
is(OnecTest->try($node, "SELECT * FROM onec.$_", user => 'site')->{sqlstate}, '42501', "a site reads no $_") for qw(outbox outbox_history outbox_allowed);
like(OnecTest->rows($node, "SELECT onec.write_status('$key', 'shop')", user => 'site'), qr/,create,pending,/, 'it asks how its own changes stand');
sql('CREATE ROLE other LOGIN; GRANT USAGE ON SCHEMA onec TO other; GRANT EXECUTE ON FUNCTION onec.write_status TO other');
is(OnecTest->rows($node, "SELECT onec.write_status('$key', 'shop')", user => 'other'), '', 'and nobody of those of others');

# ---- delivered after the commit, or not at all ----
sql("BEGIN; SELECT onec.enqueue('shop', '$CUSTOMERS', 'create', body => '{\"Description\": \"Отменён\"}', idempotency => 'gone'); ROLLBACK");
is(sql("SELECT count(*) FROM onec.outbox"), '1', 'rolled back: nothing is left');
$node->restart;
is(deliver()->{sqlstate}, '00000', 'after a restart of the server');
is(standing($key), 'done', 'what was committed is delivered');
is(object($CUSTOMERS, $key)->{Description}, 'Сайт', 'with its content, under the key that the site has got');
is(sql("SELECT client_keys FROM onec_internal.outbox_base"), 't', 'the base takes keys that it is sent: remembered');
is_deeply([ grep { !/^GET/ } asked() ], ["POST $CUSTOMERS"], 'by one request that changes');
isnt(sql("SELECT number FROM onec.write_status('$key', 'shop')"), '', 'the code that 1C gave is told');
is(scalar(@{ $onec->control('GET', '/stored') }), 1, 'what was rolled back never went');
deliver();
is_deeply([ asked() ], [], 'an empty outbox costs no request');
like(OnecTest->try_text($node, "BEGIN; CALL onec.deliver('shop')")->{stderr}, qr/transaction block/, 'deliver commits, so it refuses a transaction block');

# ---- the body on the wire ----
$key = put($CUSTOMERS, 'create', body => { Description => $name, Parent_Key => undef, ДатаРождения => '1990-05-06', Покупатель => JSON::PP::true,
		НомерТелефонаДляПоиска => $phone, КонтактнаяИнформация => [ { Тип => 'Телефон', НомерТелефона => $phone }, { Тип => 'АдресЭлектроннойПочты', АдресЭП => 'a@shop.example' } ] });
$onec->control('POST', '/modes', { rows_need_type => JSON::PP::true });
deliver();
my ($post) = grep { $_->{method} eq 'POST' } reverse @{ $onec->control('GET', '/log?since=0') };
like($post->{body}, qr/"Ref_Key" ?: ?"$key".*"КонтактнаяИнформация\@odata\.type" ?: ?"Collection\(StandardODATA\.${CUSTOMERS}_КонтактнаяИнформация_RowType\)", ?"КонтактнаяИнформация"/s,
	'the key first, a tabular part behind its type');
is_deeply([ map { $_->{LineNumber} } @{ JSON::PP->new->decode($post->{body})->{КонтактнаяИнформация} } ], [ 1, 2 ], 'its lines are numbered');
is_deeply([ map { $_->{НомерТелефона} } @{ object($CUSTOMERS, $key)->{КонтактнаяИнформация} } ], [ $phone, '' ], 'and stored');
calm();
is(object($CUSTOMERS, $key)->{ДатаРождения}, '1990-05-06T00:00:00', 'a day is a moment');
is(sql("SELECT stored_diff FROM onec.outbox_history WHERE key = '$key'"), '', 'stored as sent: no difference');

# ---- changes ----
put($CUSTOMERS, 'merge_rows', key => $key, merge_by => '{Тип}', body => { КонтактнаяИнформация => [ { Тип => 'Телефон', НомерТелефона => '70007654321' }, { Тип => 'Адрес', Город => 'Тверь' } ] });
deliver();
is_deeply([ map { "$_->{LineNumber} $_->{Тип} $_->{НомерТелефона}$_->{АдресЭП}$_->{Город}" } @{ object($CUSTOMERS, $key)->{КонтактнаяИнформация} } ],
	[ '1 Телефон 70007654321', '2 АдресЭлектроннойПочты a@shop.example', '3 Адрес Тверь' ], 'merge_rows: changed, kept, added');
asked();
put($CUSTOMERS, 'patch', key => $key, body => { Description => $name });
deliver();
is_deeply([ asked() ], ["GET $CUSTOMERS()"], 'a patch that changes nothing is not sent');
my $version = object($CUSTOMERS, $key)->{DataVersion};
put($CUSTOMERS, 'patch', key => $key, body => { Description => 'Второе имя' }, data_version => $version);
deliver();
is(object($CUSTOMERS, $key)->{Description}, 'Второе имя', 'patched');
my ($patch) = grep { $_->{method} eq 'PATCH' } reverse @{ $onec->control('GET', '/log?since=0') };
is($patch->{headers}{'if-match'}, $version, 'with If-Match');
put($CUSTOMERS, 'patch', key => $key, body => { Description => 'Третье имя' }, data_version => $version);
deliver();
is(standing($key), 'done; done; done; done; conflict: the object has been changed since it was read', 'a version that was read too early: conflict, with no help of If-Match');
is(object($CUSTOMERS, $key)->{Description}, 'Второе имя', 'nothing is overwritten');
put($CUSTOMERS, 'mark', key => $key);
deliver();
is(object($CUSTOMERS, $key)->{DeletionMark}, JSON::PP::false, 'what comes behind it waits');
sql("SELECT onec.outbox_skip(id, 'проверено') FROM onec.outbox WHERE status = 'conflict'");
deliver();
is(object($CUSTOMERS, $key)->{DeletionMark}, JSON::PP::true, 'until a person skips it');
$onec->control('POST', '/modes', { reset_fields => 'Контрагенты.ИНН' });
$key = put($CUSTOMERS, 'create', body => { Description => 'Сброшен', ИНН => '770000000000' });
deliver();
is(sql("SELECT stored_diff FROM onec.outbox_history WHERE key = '$key'"), '{"ИНН": ""}', 'what a handler of 1C resets is told');
calm();

my $card;
# ---- each outcome ----
my %order = do {
	my $stored = JSON::PP->new->utf8->decode(HTTP::Tiny->new->get($onec->url =~ s{//}{//demo:demo@}r . '/odata/standard.odata/' . escape($ORDERS) . '?$format=json&$top=1')->{content})->{value}[0];
	map { $_ => $stored->{$_} } qw(Организация_Key ВидЦен_Key ВалютаДокумента_Key СтруктурнаяЕдиницаПродажи_Key СтруктурнаяЕдиницаРезерв_Key
	  ХозяйственнаяОперация_Key ВидОперации НалогообложениеНДС СуммаВключаетНДС Контрагент_Key);
};
my @lines = ({ %line, КлючСвязи => 1, Цена => 750.25, Сумма => 750.25 }, { %line, КлючСвязи => 2, Количество => 2, Цена => 10, Сумма => 20 });
for my $case (
	[ 'cut before it is stored', { method => 'POST', close => JSON::PP::true }, 'unknown', 1 ],
	[ 'stored, the reply lost', { method => 'POST', close => JSON::PP::true, commit => JSON::PP::true }, 'unknown', 0 ],
	[ 'stored, then 500 without odata.error', { method => 'POST', status => 500, commit => JSON::PP::true }, 'unknown', 0 ],
	[ 'a gateway that gives up, stored', { method => 'POST', status => 504, commit => JSON::PP::true }, 'unknown', 0 ],
	[ 'stored, half of the answer', { method => 'POST', cut_at => 100 }, 'unknown', 0 ],
	[ 'a page of somebody else, stored', { method => 'POST', status => 200, html => 'Вход', commit => JSON::PP::true }, 'unknown', 0 ],
	[ 'too many requests', { method => 'POST', status => 429, retry_after => 1 }, 'pending', 1 ],
	[ 'a lock', { method => 'POST', error => { code => -1, message => 'Конфликт блокировок при выполнении транзакции' } }, 'pending', 1 ],
	[ 'no licence', { method => 'POST', exception => 'Не обнаружено свободной лицензии!' }, 'pending', 1 ])
{
	my ($what, $rule, $status, $again) = @$case;
	my $order = put($ORDERS, 'create', body => { %order, Запасы => \@lines });
	fault(%$rule, times => 1);
	asked();
	deliver(1);
	like(standing($order), qr/^$status/, "$what: $status");
	is(scalar(grep { /^POST/ } asked()), 1, '… after one request that changes');
	sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
	deliver(1);
	is(standing($order), 'done', '… and then done');
	is_deeply([ asked() ], [ "GET $ORDERS()", ("GET $ORDERS") x ($again && $status eq 'unknown'), ("POST $ORDERS") x $again ], $again ? '… sent again when neither it nor one like it was found' : '… found by its key, not sent again');
	is(scalar(grep { $_->{key} eq $order && $_->{operation} eq 'create' } @{ $onec->control('GET', '/stored') }), 1, '… stored once');
	put($ORDERS, 'post', key => $order);
	fault(%$rule, times => 1, match => '/Post');
	deliver(1);
	asked();
	sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
	deliver(1);
	is(scalar(grep { $_->{key} eq $order && $_->{operation} eq 'post' } @{ $onec->control('GET', '/stored') }), 1, '… and posted once')
	  unless $rule->{cut_at};
	is(standing($order), 'done; done', '… its posting done') unless $rule->{cut_at};
	sql("SELECT onec.outbox_skip(id) FROM onec.outbox");
	calm();
}
my $order = put($ORDERS, 'create', body => { ВидОперации => 'ЗаказНаПродажу' });
put($ORDERS, 'post', key => $order);
asked();
deliver();
like(standing($order), qr/^failed: Поле .* не заполнено; pending/, 'a refusal of 1C is final, with its text; what follows it waits');
is(scalar(grep { /^POST/ } asked()), 1, '… after one request');
sql("SELECT onec.outbox_skip(id) FROM onec.outbox WHERE operation = 'create'");
deliver();
like(standing($order), qr/^skipped; failed/, 'without it there is nothing to be posted');
sql("SELECT onec.outbox_skip(id) FROM onec.outbox");
$onec->control('POST', '/modes', { read_only => $CARDS });
$key = put($CARDS, 'create', body => { Description => 'К' });
deliver();
like(standing($key), qr/^blocked/, 'no right in 1C: blocked');
calm();
sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
deliver();
is(standing($key), 'done', 'delivered when it has been given');
$key = put($CARDS, 'create', key => $key, body => { Description => 'Другая' });
deliver();
like(standing($key), qr/^done; conflict: another object has this key/, 'a key that is taken');
sql("SELECT onec.outbox_skip(id) FROM onec.outbox");

# ---- a login that is refused stops the deliveries of the server ----
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'wrong')");
put($CARDS, 'create', body => { Description => 'Первая' });
put($CARDS, 'create', body => { Description => 'Вторая' });
asked();
deliver() for 1 .. 3;
is(scalar(asked()), 1, 'a refused login is tried once');
is(sql("SELECT string_agg(status || attempts, ' ' ORDER BY id) FROM onec.outbox WHERE status <> 'done'"), 'pending1 pending0', 'the rows wait');
my $waits = "SELECT string_agg(job, ' ') FROM onec.schedule_status WHERE server = 'shop' AND hint ~ 'refused the login'";
is(sql($waits) . sql("SELECT is_stopped, hint ~ 'USER MAPPING' FROM onec.outbox_status"), 'delivert|t', '… and of the jobs that which delivers says so, alone');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'demo')");
deliver();
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'a new login is tried at once');
is(sql($waits) . sql("SELECT is_stopped, hint ~ 'USER MAPPING' FROM onec.outbox_status"), 'f|', '… and nothing is said any more');
sql("ALTER SERVER shop OPTIONS (SET updatable 'off')");
put($CARDS, 'create', body => { Description => 'Третья' });
asked();
like(deliver()->{stderr}, qr/not updatable now/, 'switched off, only delivery stops');
is_deeply([ asked() ], [], '… without a request');
sql("ALTER SERVER shop OPTIONS (SET updatable 'on')");
$onec->stop;
put($CARDS, 'create', body => { Description => 'Четвёртая' });
deliver();
is(sql("SELECT string_agg(status || attempts, ' ' ORDER BY id) FROM onec.outbox"), 'pending1 pending0', 'nobody answers: one row is tried, the others are not');
$onec->start;
$asked = 0;
sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
deliver();
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… and delivered when somebody does');

# ---- a delivery that is cancelled, and goes on in the same session ----
$card = put($CARDS, 'create', body => { Description => 'Отменена' });
fault(method => 'POST', hang => JSON::PP::true, commit => JSON::PP::true, times => 1);
asked();
OnecTest->try_text($node, "\\set ON_ERROR_STOP 0\nSET statement_timeout = '2s';\nCALL onec.deliver('shop');\nSET statement_timeout = 0;\nCALL onec.deliver('shop');");
is(standing($card), 'done', 'cancelled: the row is looked up');
is(scalar(grep { $_->{body}{Description} eq 'Отменена' } @{ $onec->control('GET', '/stored') }), 1, '… by the same session, and not sent again');
calm();

# ---- references to what is not there yet; a role of its own delivers ----
my $customer = put($CUSTOMERS, 'create', body => { Description => 'Покупатель' });
$card = put($CARDS, 'create', body => { Description => 'Карта', ВладелецКарты_Key => $customer });
is(sql("SELECT status || cardinality(depends_on) FROM onec.outbox WHERE key = '$card'"), 'waiting1', 'a row waits for the object that it names');
sql("CREATE ROLE worker LOGIN; SELECT onec.grant_sync('worker', 'shop'); CREATE USER MAPPING FOR worker SERVER shop OPTIONS (user 'demo', password 'demo')");
fault(method => 'POST', match => $CUSTOMERS, error => { code => -1, message => 'Отказ' }, times => 1);
my $by_worker = OnecTest->try_text($node, "CALL onec.deliver('shop')", user => 'worker');
is($by_worker->{sqlstate}, '00000', 'a role with grant_sync delivers') or diag($by_worker->{stderr});
is(standing($customer), 'failed: Отказ', 'one refused …');
is(object($CARDS, $card), undef, '… the other waits');
is(OnecTest->try($node, "UPDATE onec.outbox SET requested_by = 'x'", user => 'worker')->{sqlstate}, '42501', 'that role does not write the outbox');
sql("SELECT onec.outbox_retry(id) FROM onec.outbox WHERE key = '$customer'");
OnecTest->try_text($node, "CALL onec.deliver('shop')", user => 'worker');
is(object($CARDS, $card)->{ВладелецКарты_Key}, $customer, 'then both are there');
calm();

# ---- a base that gives keys of its own: creations carry a mark, by which they are found again ----
sub unlearned { sql("SELECT onec.outbox_skip(id) FROM onec.outbox; DELETE FROM onec_internal.outbox_remote; DELETE FROM onec_internal.outbox_marker; UPDATE onec_internal.outbox_base SET client_keys = NULL"); return; }
sub remote_key { return sql("SELECT remote_key FROM onec_internal.outbox_remote WHERE key = '$_[0]'"); }
sub stored_as { my ($name) = @_; return scalar grep { $_->{operation} eq 'create' && $_->{body}{Description} eq $name } @{ $onec->control('GET', '/stored') }; }
$onec->control('POST', '/modes', { client_keys => JSON::PP::false });
unlearned();
my $first = put($CUSTOMERS, 'create', body => { Description => 'Чужой ключ', Комментарий => 'с сайта' });
put($CUSTOMERS, 'patch', key => $first, body => { НаименованиеПолное => 'найден' });
$card = put($CARDS, 'create', body => { Description => 'Карта с пометкой', ВладелецКарты_Key => $first });
deliver();
my $remote = remote_key($first);
isnt($remote, '', 'is found out at the first delivery');
is(join('|', @{ object($CUSTOMERS, $remote) }{qw(НаименованиеПолное Комментарий)}), "найден|с сайта [$first]", 'later changes under the site\'s key find the object; the mark stands behind the comment');
is(object($CARDS, remote_key($card))->{ВладелецКарты_Key}, $remote, 'what names it is sent with 1C\'s key');
is(sql("SELECT b.client_keys, count(*), bool_and(m.is_kept), min(m.property) FROM onec_internal.outbox_base b, onec_internal.outbox_marker m GROUP BY 1"), 'f|2|t|Комментарий', 'the base gives keys of its own, and keeps marks: remembered');
is(sql("SELECT stored_diff FROM onec.outbox_history WHERE key = '$first' AND operation = 'create'"), '', 'the mark is no difference');
is(standing($remote), 'done; done', 'asked for by 1C\'s key it is the same object');
put($CUSTOMERS, 'patch', key => $remote, body => { НаименованиеПолное => 'под ключом 1С' });
is(sql("SELECT key FROM onec.outbox"), $first, '… and its changes stand in one line');
deliver();
for my $case ([ 'stored, the reply lost', { close => JSON::PP::true, commit => JSON::PP::true }, 0 ], [ 'cut before it is stored', { close => JSON::PP::true }, 1 ])
{
	my ($what, $rule, $again) = @$case;
	$card = put($CARDS, 'create', body => { Description => $what });
	fault(method => 'POST', %$rule, times => 1);
	deliver(1);
	like(standing($card), qr/^unknown/, "$what: unknown");
	asked();
	deliver(1);
	is(standing($card), 'done', '… and then done');
	is_deeply([ asked() ], [ "GET $CARDS", $again ? "POST $CARDS" : ("GET $CARDS", "GET $CARDS()") ], $again ? '… sent again when its mark was not found' : '… found by its mark, not sent again');
	is(stored_as($what), 1, '… stored once');
	is(object($CARDS, remote_key($card))->{Description}, $what, '… and known by the site\'s key');
}
$card = put($CARDS, 'create', body => { Description => 'Без отборов' });
fault(method => 'POST', close => JSON::PP::true, commit => JSON::PP::true, times => 1);
$onec->control('POST', '/modes', { refuse_filter => JSON::PP::true });
deliver() for 1 .. 3;
is(standing($card) . stored_as('Без отборов'), 'done1', 'a base that refuses conditions is read whole for the mark');
$card = put($CARDS, 'create', body => { Description => 'Нет ответа' });
fault(method => 'POST', close => JSON::PP::true, commit => JSON::PP::true, times => 1);
deliver(1);
fault(method => 'GET', status => 503, times => 20);
deliver(1);
like(standing($card), qr/^unknown: /, 'what cannot be looked for stays unknown');
calm();
$onec->control('POST', '/modes', { client_keys => JSON::PP::false });
sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
deliver();
is(standing($card) . stored_as('Нет ответа'), 'done1', '… until it can be');
put($CARDS, 'create', key => $card, body => { Description => 'Второй раз' });
deliver();
is(standing($card) . stored_as('Второй раз'), 'done; conflict: another object has this key0', 'a key of the site that is taken');
# before anything is known, too, an unknown outcome can be cleared up
unlearned();
$card = put($CARDS, 'create', body => { Description => 'Первая вообще' });
fault(method => 'POST', close => JSON::PP::true, commit => JSON::PP::true, times => 1);
deliver() for 1 .. 2;
is(standing($card) . stored_as('Первая вообще'), 'done1', 'the first creation of all, the reply lost: found by its mark');
unlearned();
$card = put($CARDS, 'create', body => { Description => 'Первая обрезана' });
fault(method => 'POST', close => JSON::PP::true, times => 1);
deliver(1) for 1 .. 3;
like(standing($card) . stored_as('Первая обрезана'), qr/^unknown: nothing of this key or mark is there.*0$/, '… or cut: not there, but whether marks are kept nobody knows: not sent again');
sql("UPDATE onec.outbox SET not_before = now() + interval '1 hour'");
put($CARDS, 'create', body => { Description => 'Вторая показала' });
deliver();
sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
deliver();
is(standing($card) . stored_as('Первая обрезана'), 'done1', '… until another creation has shown it');
# a handler that empties what would carry it
unlearned();
$onec->control('POST', '/modes', { reset_fields => 'Контрагенты.Комментарий' });
put($CUSTOMERS, 'create', body => { Description => 'Без пометки' });
my $late = put($CUSTOMERS, 'create', body => { Description => 'Поздний' });
deliver();
like(standing($late), qr/^blocked: the base gives new objects keys of its own/, 'a set that keeps no mark: what waits is not sent');
like(enqueue($CUSTOMERS, 'create', body => {})->{stderr}, qr/0A000: server "shop" gives .*no property of "$CUSTOMERS" can carry.*outbox\.marker/s, '… nor is more put there');
sql("SELECT onec.set('outbox.marker', '{Комментарий,НаименованиеПолное}', 'shop')");
sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
deliver();
is(object($CUSTOMERS, remote_key($late))->{НаименованиеПолное}, "[$late]", '… until a property is named that can');
calm();
unlearned();
sql("SELECT onec.set('outbox.marker', NULL, 'shop')");

# ---- exactly once, under faults in half of all requests, two workers at once that are killed ----
# Writes of one chain: a customer, a card of theirs, a change of them, an order and its posting, points and their posting.
my $CHAIN = 7;

# What meets requests, by chance: half of all that change.
sub faults
{
	my ($seed) = @_;
	my $at = 0;
	my @rules = map { { %$_, chance => $_->{chance} || .07, seed => $seed + $at++, method => $_->{method} || 'POST|PATCH' } } (
		{ close => JSON::PP::true }, { close => JSON::PP::true, commit => JSON::PP::true }, { reset => JSON::PP::true, cut_at => 40 },
		{ status => 502 }, { status => 502, commit => JSON::PP::true }, { status => 500, commit => JSON::PP::true },
		{ error => { code => -1, message => 'Конфликт блокировок при выполнении транзакции' } }, { exception => 'Не обнаружено свободной лицензии!' },
		{ status => 429 }, { hang => JSON::PP::true, commit => JSON::PP::true, chance => .01 },
		# 1C stores it when nobody listens any more
		{ close => JSON::PP::true, commit_after_ms => 200 },
		{ status => 503, method => 'GET', chance => .1 }, { close => JSON::PP::true, method => 'GET', chance => .05 });
	$onec->control('POST', '/faults', \@rules);
	return;
}

# A chain put into the outbox by one transaction: the keys that a site has got.
sub chain
{
	my ($n) = @_;
	my %one = (name => "Цепочка $n", phone => sprintf('7000555%04d', $n));
	my $put = sub { my ($as, $from, $set, $operation, @more) = @_;
		return "$as AS MATERIALIZED (SELECT e.* FROM " . join(', ', @$from, "onec.enqueue('shop', '$set', '$operation', " . join(', ', @more) . ') e') . ')'; };
	my $body = sub { my ($body, $more) = @_; return 'body => ' . literal(json($body)) . '::jsonb' . ($more ? " || jsonb_build_object($more)" : ''); };
	my $answer = OnecTest->rows($node, 'WITH ' . join(",\n", $put->('c', [], $CUSTOMERS, 'create', $body->({ Description => $one{name}, НомерТелефонаДляПоиска => $one{phone} })),
		$put->('d', ['c'], $CARDS, 'create', $body->({ Description => $one{name} }, "'ВладелецКарты_Key', c.object_key"), 'depends_on => ARRAY[c.id]'),
		$put->('p', ['c'], $CUSTOMERS, 'patch', 'key => c.object_key', $body->({ Комментарий => "заказ $n", КонтактнаяИнформация => [ { Тип => 'Телефон', НомерТелефона => $one{phone} } ] })),
		$put->('o', ['c'], $ORDERS, 'create', $body->({ %order, Запасы => \@lines, Комментарий => "заказ $n" }, "'Контрагент_Key', c.object_key"), 'depends_on => ARRAY[c.id]'),
		$put->('z', ['o'], $ORDERS, 'post', 'key => o.object_key', 'depends_on => ARRAY[o.id]'),
		$put->('b', ['d'], $BONUS, 'create', "body => jsonb_build_object('Date', '2026-11-28T10:00:00', 'БонуснаяПрограмма_Key', '$uuid', 'Комментарий', 'баллы $n', 'НачисленияБонусов', jsonb_build_array("
			. "jsonb_build_object('БонуснаяКарта_Key', d.object_key, 'Количество', $n)))", 'depends_on => ARRAY[d.id]'),
		$put->('y', ['b'], $BONUS, 'post', 'key => b.object_key', 'depends_on => ARRAY[b.id]'))
	  . ' SELECT c.object_key, d.object_key, o.object_key, b.object_key, p.id, z.id, y.id FROM c, d, o, b, p, z, y');
	@one{qw(customer card order points)} = split(/\|/, $answer);
	return \%one;
}

# The server dies, and those who work with it; then it is started again.
sub crash
{
	my ($workers) = @_;
	my ($server) = OnecTest->contents($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	$node->kill9;
	$_->wait for splice @$workers;
	OnecTest->wait_for(sub { return !kill 0, $server; }, 'its end');
	$node->start;
	return;
}

# Two workers at once until nothing waits; some of their backends are terminated, and with TEST_FULL some and the server are killed (-9) at
# random moments.  What happened, by its name.
sub work_off
{
	my ($kills) = @_;
	my %count = (rounds => 0, terminated => 0, 'backends killed' => 0, 'servers killed' => 0);
	while (sql('SELECT count(*) FROM onec.outbox') > 0 && $count{rounds}++ < ($ENV{TEST_FULL} ? 1500 : 200))
	{
		# what passes ends a call: a job's next minute, here the next call of the same session
		my $calls = join(";\n", ("CALL onec.deliver('shop', max_rows => 30, max_seconds => 20)") x ($kills ? 6 : 4));
		my @workers = map { OnecTest->background($node, $calls, name => "worker_$count{rounds}_$_") } 1, 2;
		if ($kills || $count{rounds} % 3 == 1)
		{
			sleep(rand($kills ? 1.5 : .5));
			my $pid = sql("SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE application_name LIKE 'worker_$count{rounds}_%' AND state = 'active'");
			if ($pid && $kills > $count{'backends killed'} + $count{'servers killed'})
			{
				if ($count{'backends killed'} <= $count{'servers killed'}) { kill 'KILL', $pid; $count{'backends killed'}++; }
				else { crash(\@workers); $count{'servers killed'}++; }
			}
			# whoever it meets, at whatever it is
			elsif ($pid) { sql("SELECT pg_terminate_backend($pid)"); $count{terminated}++; }
		}
		$_->wait for @workers;
		OnecTest->wait_for(sub { return eval { $node->safe_psql('postgres', 'SELECT 1') } }, 'the server') if $kills;
		sleep(.05);
	}
	return %count;
}

# What of a chain is not in 1C as it was sent, once.
sub wrong_of
{
	my ($one, $created, $posted) = @_;
	my %key = map { ($_ => remote_key($one->{$_}) || $one->{$_}) } qw(customer card order points);
	my ($customer, $card, $order, $points) = (object($CUSTOMERS, $key{customer}), object($CARDS, $key{card}), object($ORDERS, $key{order}), object($BONUS, $key{points}));
	my @wrong;
	push @wrong, "$one->{name}: customer" unless $customer && $customer->{Description} eq $one->{name} && $customer->{Комментарий} =~ /^заказ \d+$/
	  && $customer->{КонтактнаяИнформация}[0]{НомерТелефона} eq $one->{phone} && @{ $customer->{КонтактнаяИнформация} } == 1;
	push @wrong, "$one->{name}: card" unless $card && $card->{ВладелецКарты_Key} eq $key{customer} && $card->{Description} eq $one->{name};
	push @wrong, "$one->{name}: order" unless $order && $order->{Контрагент_Key} eq $key{customer} && $order->{Posted} && @{ $order->{Запасы} } == 2;
	push @wrong, "$one->{name}: points" unless $points && $points->{НачисленияБонусов}[0]{БонуснаяКарта_Key} eq $key{card} && $points->{Posted};
	push @wrong, "$one->{name}: $_ created " . ($created->{ $key{$_} } || 0) for grep { ($created->{ $key{$_} } || 0) != 1 } keys %key;
	push @wrong, "$one->{name}: $_ posted " . ($posted->{ $key{$_} } || 0) for grep { ($posted->{ $key{$_} } || 0) != 1 } qw(order points);
	return @wrong;
}

sub once
{
	my ($way, $client_keys) = @_;
	my $chains = $ENV{TEST_FULL} ? 290 : 6;
	my $seed = $ENV{TEST_SEED} || ($ENV{TEST_FULL} ? int(rand(1e6)) : 19);

	note("$way: seed $seed, $chains chains of $CHAIN writes");
	srand($seed);
	calm();
	unlearned();
	$onec->control('POST', '/modes', { client_keys => $client_keys });
	$onec->control('POST', '/stored/clear', {});
	$onec->control('POST', '/counters/clear', {});
	faults($seed);
	my @people = map { chain($_) } 1 .. $chains;
	my $began = time;
	my %count = work_off($ENV{TEST_FULL} ? 20 : 0);
	my $took = time - $began;
	my $requests = $onec->control('GET', '/counters')->{requests};
	note("$way: " . join(', ', map { "$count{$_} $_" } sort keys %count) . ", $requests requests, $took s");
	is(sql("SELECT string_agg(format('%s %s %s: %s', id, operation, status, message), E'\\n') FROM (SELECT * FROM onec.outbox LIMIT 5) o"), '', "$way, seed $seed: all is delivered");
	# late ones have had their time
	OnecTest->wait_for(sub { sleep(.3); return 1; }, 'late ones');
	$onec->control('POST', '/faults/clear', {});
	my (%created, %posted);
	for my $stored (@{ $onec->control('GET', '/stored') })
	{
		$created{ $stored->{key} }++ if $stored->{operation} eq 'create';
		$posted{ $stored->{key} }++ if $stored->{operation} eq 'post';
	}
	my @wrong = map { wrong_of($_, \%created, \%posted) } @people;
	is(join("\n", @wrong), '', "$way, seed $seed: each object is there once, with what was sent, each document posted once");
	is(scalar(keys %created), 4 * $chains, "$way, seed $seed: and nothing else was created");
	is(sql('SELECT client_keys FROM onec_internal.outbox_base'), $client_keys ? 't' : 'f', "$way: was what was tried");
	cmp_ok($count{'backends killed'} + $count{'servers killed'}, '>=', 20, "$way: killed as often as was meant") if $ENV{TEST_FULL};
	OnecTest->figure("$way: writes delivered under faults", $CHAIN * $chains);
	OnecTest->figure("$way: writes lost or doubled", scalar(@wrong));
	return;
}
sql("ALTER SERVER shop OPTIONS (SET request_timeout '3', DROP session); SELECT onec.set('outbox.settle_seconds', '1')");
OnecTest->part('once', sub { once('client keys', JSON::PP::true); });
OnecTest->part('once_marked', sub { once('marks', JSON::PP::false); });
calm();
sql("SELECT onec.set('outbox.settle_seconds', '0')");

# ---- nothing of a body is told ----
my $log = OnecTest->contents($node->logfile);
# a statement of the site's own that fails is logged by PostgreSQL, with what the site has written into it
my @told = grep { /$phone|$name|7000555|Цепочка/ } split(/\n/, $log =~ s/STATEMENT: .*?(?=^\d{4}-)//gmsr);
is(join("\n", @told), '', 'no body, telephone or name in the server log');

# ---- the history, its parts, what is thrown away ----
is(sql("SELECT count(*) > 0 FROM pg_inherits WHERE inhparent = 'onec.outbox_history'::regclass"), 't', 'the history has parts');
sql("SELECT onec_internal.make_history_part('2020-01-05'); INSERT INTO onec.outbox_history (server, id, done_at, entity_set, operation, key, depends_on, requested_by, requested_at, status, attempts, body)
	VALUES ('shop', 0, '2020-01-05', 'x', 'create', gen_random_uuid(), '{}', 'x', now(), 'done', 1, '{}')");
sql("UPDATE onec_internal.outbox_key SET kept_since = now() - interval '91 days'");
sql("SELECT onec_internal.housekeep_outbox('shop')");
is(sql("SELECT count(*) FROM onec.outbox_history WHERE done_at < '2021-01-01'"), '0', 'an old part is dropped');
is(sql('SELECT count(*) FROM onec_internal.outbox_key'), '0', 'old keys are forgotten');

done_testing();
