# Watching the outbox: what waits and why, what a row would send, what a person changes in it, the job that delivers, whose login does; and
# that a delivery keeps one connection and one session of 1C.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use JSON::PP ();
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 20, '--seed', 4);
# with TEST_FULL costs are measured, commits on disk among them
my $node = OnecTest->node('outbox_watch', conf => $ENV{TEST_FULL} ? "fsync = on\n" : '');
my ($CUSTOMERS, $CARDS, $ORDERS) = qw(Catalog_Контрагенты Catalog_ДисконтныеКарты Document_ЗаказПокупателя);
my ($phone, $name) = ('70001234567', 'Тайнова Ирина');
my $json = JSON::PP->new->canonical;

sub sql { return OnecTest->rows($node, @_); }
sub try_sql { return OnecTest->try_text($node, @_); }
sub literal { my ($text) = @_; return "'" . ($text =~ s/'/''/gr) . "'"; }
# What onec.enqueue is asked for: set, operation, named arguments.
sub enqueue_sql
{
	my ($set, $operation, %more) = @_;
	my $more = join('', map { ", $_ => " . literal(ref $more{$_} ? $json->encode($more{$_}) : $more{$_}) } sort keys %more);
	return "SELECT id FROM onec.enqueue('shop', '$set', '$operation'$more)";
}
# … there: the number of the row.
sub put { return sql(enqueue_sql(@_)); }
sub key { return sql("SELECT key FROM onec.outbox WHERE id = $_[0]"); }
sub deliver { return try_sql("CALL onec.deliver('shop')", @_); }
sub written { return [ grep { $_->{method} ne 'GET' } @{ $onec->control('GET', '/log') } ]; }
sub calm { $onec->control('POST', '/faults/clear', {}); $onec->control('POST', '/modes/clear', {}); $onec->control('POST', '/log/clear', {}); return; }
# Somebody at 1C changes a customer.
sub corrected
{
	my ($of, $property, $value) = @_;
	my $path = join('', map { sprintf '%%%02X', ord } split //, do { my $name = $CUSTOMERS; utf8::encode($name); $name });
	my $answer = HTTP::Tiny->new->request('PATCH', ($onec->url =~ s{//}{//demo:demo@}r) . "/odata/standard.odata/$path(guid'$of')?\$format=json",
		{ headers => { 'Content-Type' => 'application/json' }, content => JSON::PP->new->utf8->encode({ $property => $value }) });
	ok($answer->{success}, "somebody changes $property") or diag($answer->{content});
	return;
}
sub plain { my ($url) = @_; $url =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge; utf8::decode($url); return $url; }

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow'");
is(sql("SELECT count(*) FROM onec.outbox_status"), '0', 'a server that is read only has no outbox');
is(sql("SELECT onec.lag_seconds('outbox', 'shop')"), '', '… nor an age of one');
is(sql("SELECT count(*) FROM onec_internal.jobs_of_server('shop') WHERE job = 'deliver'"), '0', '… nor a job for it');
unlike(sql("SELECT onec.report('shop')"), qr/Запись в 1С/, '… nor a part of the report');
sql("ALTER SERVER shop OPTIONS (ADD updatable 'on'); SELECT onec.setup('shop')");
sql("SELECT onec.set('outbox.settle_seconds', '0'), onec.set('outbox.retry_min_seconds', '0')");
is(sql("SELECT pending, failed, lag IS NULL, hint IS NULL FROM onec.outbox_status"), '0|0|t|t', 'an outbox with nothing in it');
is(sql("SELECT onec.lag_seconds('outbox')"), '0', '… is of no age');

# ---- a preview: nothing goes, and what would go is shown ----
sql("SELECT onec.set('outbox.preview', 'true', 'shop')");
my $id = put($CUSTOMERS, 'create', body => { Description => $name, НомерТелефонаДляПоиска => $phone, КонтактнаяИнформация => [ { Тип => 'Телефон', НомерТелефона => $phone } ] });
my $key = key($id);
calm();
deliver();
is_deeply(written(), [], 'in preview nothing is sent');
is(sql("SELECT status FROM onec.outbox") . sql("SELECT preview, pending, lag IS NULL FROM onec.outbox_status"), 'preview1|0|t', 'the row says so, and has no age');
my ($method, $url, $headers, $body, $note) = split(/\|/, sql("SELECT method, url, headers, body, note FROM onec.rehearse($id)"));
is_deeply($onec->control('GET', '/log'), [], 'to rehearse asks nothing of 1C');
is($json->decode($body)->{Комментарий}, "[$key]", 'a base that is not known yet: with a mark');
sql("SELECT onec.set('outbox.preview', 'false', 'shop'); SELECT onec.outbox_retry($id)");
my $outcome = deliver();
my ($post) = @{ written() };
is($post->{body}, $body, 'what was rehearsed is sent, byte by byte');
is(plain($url), plain($post->{url} =~ m{^http} ? $post->{url} : ($onec->url =~ s{(//[^/]+).*}{$1}r) . $post->{url}), '… to that address');
is("$method $headers", "POST Content-Type: application/json;charset=utf-8", '… by that method');
my $order = put($ORDERS, 'create', body => { ВидОперации => 'ЗаказНаПродажу' });
my $post_it = put($ORDERS, 'post', key => key($order));
is(sql("SELECT step, method, url LIKE '%/Post?%PostingModeOperational=false%', body IS NULL FROM onec.rehearse($post_it)"), "1|POST|t|t\n2|GET|f|t", 'a posting is rehearsed');
my $change = put($CUSTOMERS, 'merge_rows', key => $key, merge_by => '{Тип}', data_version => 'AAAAAAAAAAA=', body => { КонтактнаяИнформация => [ { Тип => 'Адрес', Город => 'Тверь' } ] });
like(sql("SELECT string_agg(concat_ws(' ', method, headers, body), ' / ' ORDER BY step) FROM onec.rehearse($change)"), qr{^GET / PATCH Content-Type: application/json;charset=utf-8\nIf-Match: AAAAAAAAAAA= \{.*RowType.*"LineNumber" ?: ?1.*Тверь}s,
	'… and a change, with its version');
unlike(sql("SELECT string_agg(r::text, '') FROM onec.outbox o, onec.rehearse(o.id) r"), qr/demo:demo|password|Authorization|ZGVtbzpkZW1v/, 'no login is shown');
is(try_sql("SELECT * FROM onec.rehearse(0)")->{sqlstate}, 'P0002', 'what is not there is not rehearsed');
sql('SELECT onec.outbox_skip(id) FROM onec.outbox WHERE id <> ' . $order);

# ---- what stands still says what happened and what to do ----
deliver();
like(sql("SELECT happened || ' / ' || message || ' / ' || advice FROM onec.outbox_failed"), qr{^1С отказала.* / Поле .* не заполнено.* / прочтите ответ 1С.*outbox_retry\($order\).*outbox_edit\($order, …\)}s, 'refused');
$post_it = put($ORDERS, 'post', key => key($order));
is(sql("SELECT held_up FROM onec.outbox_failed WHERE status = 'failed'"), '1', '… and how many rows wait for it');
like(sql("SELECT id || happened || advice FROM onec.outbox_failed WHERE status <> 'failed'"), qr/^${post_it}Ждёт строку $order, а та стоит: failed.*outbox_failed WHERE id = $order;/s, '… which are shown, too');
is(sql("SELECT failed, pending, hint ~ 'стоит строк: 1' FROM onec.outbox_status"), '1|1|t', 'the status counts it');
cmp_ok(sql("SELECT onec.lag_seconds('outbox', 'shop')"), '>', 0, 'and it has an age');
like(try_sql("SELECT onec.outbox_edit($order, '{\"ВидОпераци\": 1}')")->{stderr}, qr/22023: "ВидОпераци" of .* is no property/, 'what is edited is checked');
my $whole = (JSON::PP->new->utf8->decode(HTTP::Tiny->new->get($onec->url =~ s{//}{//demo:demo@}r . '/odata/standard.odata/' . join('', map { sprintf '%%%02X', ord } split //, do { my $u = $ORDERS; utf8::encode($u); $u })
	. '?$format=json&$top=1')->{content})->{value} // [])->[0];
my %order = map { $_ => $whole->{$_} } qw(Организация_Key ВидЦен_Key ВалютаДокумента_Key СтруктурнаяЕдиницаПродажи_Key СтруктурнаяЕдиницаРезерв_Key ХозяйственнаяОперация_Key ВидОперации НалогообложениеНДС СуммаВключаетНДС Контрагент_Key);
my $told = try_sql("LISTEN onec_outbox; SELECT onec.outbox_edit($order, " . literal($json->encode(\%order)) . ')')->{stdout};
like($told, qr/"onec_outbox" with payload "$order pending"/, 'edited: a worker is told');
deliver();
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… and it is delivered, with what waited for it');
is(sql("SELECT onec.lag_seconds('outbox')"), '0', 'then nothing has an age');
$id = put($CUSTOMERS, 'patch', key => $key, data_version => '//////////8=', body => { Description => 'Другое' });
deliver();
like(sql("SELECT happened || advice FROM onec.outbox_failed"), qr/изменён другим.*без data_version/s, 'overtaken');
sql("SELECT onec.outbox_edit($id, '{\"Description\": \"Другое имя\"}')");
deliver();
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… and written in spite of that');
$onec->control('POST', '/modes', { read_only => $CARDS });
$id = put($CARDS, 'create', body => { Description => 'К' });
deliver();
like(sql("SELECT happened || advice FROM onec.outbox_failed"), qr/нет права на это.*$CARDS.*outbox_retry\($id\)/s, 'no right');
calm();
sql("SELECT onec.outbox_retry($id)");
$onec->control('POST', '/faults', { method => 'POST', close => JSON::PP::true, times => 1 });
sql("SELECT onec.set('outbox.settle_seconds', '300')");
deliver();
like(sql("SELECT happened || advice FROM onec.outbox_failed"), qr/неизвестно.*делать ничего не нужно.*outbox_retry\($id\)/s, 'unknown');
like(try_sql("SELECT onec.outbox_edit($id, '{}')")->{stderr}, qr/55000: row $id may be in 1C already/, '… what may be there is not edited');
sql("SELECT onec.set('outbox.settle_seconds', '0'); SELECT onec.outbox_retry($id)");

# ---- who waits is told ----
$told = try_sql("LISTEN onec_outbox; SELECT id FROM onec.enqueue('shop', '$CARDS', 'create', body => '{\"Description\": \"Н\"}');")->{stdout};
my ($put) = $told =~ /^(\d+)$/m;
like($told, qr/"onec_outbox" with payload "$put pending"/, 'NOTIFY: put there');
like(try_sql("LISTEN onec_outbox; CALL onec.deliver('shop')")->{stdout}, qr/payload "$id done".*payload "$put done"/s, '… and done');
$onec->control('POST', '/faults', { method => 'POST', error => { code => -1, message => 'Отказ' }, times => 1 });
$id = put($CARDS, 'create', body => { Description => 'О' });
like(try_sql("LISTEN onec_outbox; CALL onec.deliver('shop')")->{stdout}, qr/payload "$id failed"/, '… or failed');
like(try_sql("LISTEN onec_outbox; SELECT onec.outbox_skip($id)")->{stdout}, qr/payload "$id skipped"/, '… or skipped');

# ---- the job ----
is(sql("SELECT cron, command FROM onec_internal.jobs_of_server('shop') WHERE job = 'deliver'"), "* * * * *|CALL onec.run_job('deliver', 'shop')", 'a job each minute');
sql("SELECT onec.set('outbox.deliver_seconds', '20')");
is(sql("SELECT string_agg(onec_internal.deliver_cron('shop', v), ', ') FROM unnest('{1.4,1.4-1,1.5,1.10,NULL}'::text[]) v"), '* * * * *, * * * * *, 20 seconds, 20 seconds, * * * * *', '… or so many seconds apart, where pg_cron can');
is(sql("SELECT onec_internal.next_cron_run('20 seconds', 'GMT', '2026-11-28 10:00:00+00') = '2026-11-28 10:00:20+00'"), 't', '… and when that is');
put($CARDS, 'create', body => { Description => 'Заданием' });
is(try_sql("CALL onec.run_job('deliver', 'shop')")->{sqlstate}, '00000', 'it delivers');
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… what waits');
like(sql("SELECT onec.report('shop')"), qr/Запись в 1С.*ничего/s, 'the report tells of it');
put($CARDS, 'create', body => { Description => 'Выключено' });
sql("ALTER SERVER shop OPTIONS (SET updatable 'off')");
is_deeply([ @{ try_sql("CALL onec.run_job('deliver', 'shop')") }{qw(sqlstate stderr)} ], [ '00000', '' ], 'switched off, it does nothing');
like(sql('SELECT hint FROM onec.outbox_status'), qr/отправка выключена/, '… and the status says why');
sql("ALTER SERVER shop OPTIONS (SET updatable 'on')");
deliver();

# ---- whose login delivers ----
sql("CREATE ROLE worker LOGIN; CREATE ROLE clerk; SELECT onec.grant_sync('worker', 'shop'); CREATE USER MAPPING FOR clerk SERVER shop OPTIONS (user 'demo', password 'demo')");
$id = put($CARDS, 'create', body => { Description => 'Чужим логином' });
like(deliver(user => 'worker')->{stderr}, qr/role "worker" has no login at server "shop"/, 'a role without a login delivers nothing');
sql("ALTER SERVER shop OPTIONS (ADD write_user 'clerk')");
my $forged = "jsonb_populate_record(NULL::onec.outbox, '" . $json->encode({ server => 'shop', id => $id, entity_set => $CUSTOMERS, operation => 'delete', key => $key, attempts => 1, load_mode => JSON::PP::true }) . "')";
calm();
isnt(try_sql("SELECT $_", user => 'worker')->{sqlstate}, '00000', '… with that of write_user it does what waits, and nothing else: ' . ($_ =~ s/\(.*//sr)) for
  "onec_internal.write_once('shop', 'GET', '$CUSTOMERS', '$key', NULL, NULL, NULL)", "onec_internal.marked_objects('shop', '$CUSTOMERS', 'Description', 'а')", "onec_internal.carry_write($forged)", "onec_internal.carry_leased($forged, '')", "onec_internal.look_first($forged, '')";
is_deeply($onec->control('GET', '/log'), [], '… 1C is asked nothing');
is(deliver(user => 'worker')->{sqlstate}, '00000', '… but with that of write_user');
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… it does');
sql("CREATE ROLE owner; GRANT USAGE ON FOREIGN DATA WRAPPER onec_fdw TO owner; ALTER SERVER shop OWNER TO owner");
$id = put($CARDS, 'create', body => { Description => 'Не одолжит' });
deliver(user => 'worker');
like(sql("SELECT message FROM onec.outbox WHERE id = $id"), qr/may not act as role "clerk"/, 'an owner without that role\'s privileges lends no login');
sql("ALTER SERVER shop OWNER TO postgres; SELECT onec.outbox_skip($id); ALTER SERVER shop OPTIONS (DROP write_user)");

# ---- past the checks of the configuration: a superuser only ----
sql("CREATE ROLE site LOGIN; SELECT onec.allow_write('site', '{$ORDERS}', 'shop')");
like(try_sql("SELECT onec.enqueue('shop', '$ORDERS', 'create', body => '{}', load_mode => true)", user => 'site')->{stderr}, qr/42501: only a superuser/, 'not for a site');
calm();
put($ORDERS, 'create', body => { ВидОперации => 'ЗаказНаПродажу' }, load_mode => 'true');
deliver();
is(sql('SELECT count(*) FROM onec.outbox') . written()->[0]{headers}{'1c_odata-dataloadmode'}, '0true', 'a superuser writes what the configuration would refuse');

# ---- who reads what ----
sql("CREATE ROLE bi LOGIN; SELECT onec.grant_reader('bi'); SELECT onec.set('outbox.settle_seconds', '300')");
$onec->control('POST', '/faults', { method => 'POST', error => { code => -1, message => "Контрагент $name $phone не найден" }, times => 1 });
put($CARDS, 'create', body => { Description => "$name $phone" });
deliver();
is(sql("SELECT failed, hint ~ 'outbox_failed' FROM onec.outbox_status", user => 'bi'), '1|t', 'a reader sees how many');
cmp_ok(sql("SELECT onec.lag_seconds('outbox', 'shop')", user => 'bi'), '>', 0, '… and how long they wait');
is(try_sql("SELECT $_", user => 'bi')->{sqlstate}, '42501', "… and not: $_") for '* FROM onec.outbox', '* FROM onec.outbox_failed', '* FROM onec.outbox_history', 'onec.rehearse(1)', "onec.outbox_edit(1, '{}')";
unlike(sql("SELECT string_agg(s::text, '') FROM onec.outbox_status s", user => 'bi') . sql("SELECT string_agg(s::text, '') FROM onec.stat_server_error s", user => 'bi'), qr/$phone|$name/, 'no telephone and no name among it');

# ---- one connection, one session of 1C ----
calm();
sql('SELECT onec.outbox_skip(id) FROM onec.outbox');
my $first = put($ORDERS, 'create', body => \%order);
put($ORDERS, 'post', key => key($first));
put($CUSTOMERS, 'patch', key => $key, body => { Description => 'Одной связью' });
put($CARDS, 'create', body => { Description => "Связь $_" }) for 1 .. 3;
put($ORDERS, 'unpost', key => key($first));
put($ORDERS, 'mark', key => key($first));
$onec->control('POST', '/counters/clear', {});
deliver();
my $log = $onec->control('GET', '/log');
cmp_ok(scalar(@$log), '>=', 10, 'a delivery of eight rows');
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… all of them');
is(scalar(keys %{ { map { $_->{connection} => 1 } @$log } }), 1, 'it keeps one connection');
is($onec->control('GET', '/counters')->{sessions_started}, 1, '… and one session of 1C');

# ---- nobody looks over a shoulder ----
$onec->control('POST', '/faults', { method => 'POST', delay_ms => 1500, times => 1 });
put($CUSTOMERS, 'create', body => { Description => $name, НомерТелефонаДляПоиска => $phone });
my $worker = OnecTest->background($node, "CALL onec.deliver('shop')", name => 'worker');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM onec.outbox WHERE status = 'sending'") eq '1' }, 'the delivery');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'worker' AND query ~ '$phone|$name'"), '0', 'nothing of a body in pg_stat_activity');
$worker->wait;
unlike(sql("EXPLAIN (VERBOSE, ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT * FROM onec.outbox_failed") . sql("EXPLAIN (VERBOSE, ANALYZE) SELECT onec.enqueue('shop', '$CUSTOMERS', 'patch', key => '$key', body => o.body) FROM onec.outbox_history o WHERE o.body ->> 'НомерТелефонаДляПоиска' IS NOT NULL LIMIT 1"),
	qr/$phone|$name/, '… nor in EXPLAIN');

# ---- the same idempotency key is the same change, or an error ----
calm();
sql("SELECT onec.outbox_skip(id) FROM onec.outbox; SELECT onec.set('outbox.settle_seconds', '0')");
my %renamed = (key => $key, body => { Description => 'А' }, idempotency => 'once');
my %made = (body => { Description => 'М' }, idempotency => 'made');
my $made = put($CARDS, 'create', %made);
my $other_card = key(put($CARDS, 'create', body => { Description => 'Д' }));
$id = put($CUSTOMERS, 'patch', %renamed);
is(put($CUSTOMERS, 'patch', %renamed) . ' ' . put($CARDS, 'create', %made) . ' ' . put($CARDS, 'create', %made, key => key($made)), "$id $made $made", 'the same call again is known, with the key that it got, too');
is(try_sql(enqueue_sql(@$_))->{sqlstate}, '23505', "another one is not: $_->[1] " . join(' ', sort keys %{ { splice @{ [@$_] }, 2 } })) for
  [ $CUSTOMERS, 'patch', %renamed, body => { Description => 'Б' } ], [ $CUSTOMERS, 'patch', %renamed, key => $other_card ], [ $CARDS, 'create', %made, body => { Description => 'Н' } ], [ $CARDS, 'create', %made, key => $other_card ];
is(try_sql(enqueue_sql($CARDS, 'create', body => {}, idempotency => ''))->{sqlstate}, '22023', 'an empty key is none');
deliver();

# ---- what has no body is not edited ----
$id = put($CUSTOMERS, 'mark', key => $key, data_version => '//////////8=');
deliver();
like(try_sql("SELECT onec.outbox_edit($id, NULL)")->{stderr}, qr/22023: operation "mark" takes no body/, 'a mark is not edited');
unlike(sql("SELECT advice FROM onec.outbox_failed"), qr/outbox_edit/, '… nor is that advised');
sql("SELECT onec.outbox_skip($id)");

# ---- an unknown outcome does not run over what somebody has corrected since ----
for my $case ([ 'patch', { Description => 'Наше' }, 'Description', 'Менеджера' ], [ 'mark', undef, 'DeletionMark', JSON::PP::false ],
	[ 'merge_rows', { КонтактнаяИнформация => [ { Тип => 'Телефон', НомерТелефона => '70005550001' } ] }, 'КонтактнаяИнформация', [ { LineNumber => 1, Тип => 'Телефон', НомерТелефона => '70005550002' } ] ])
{
	my ($operation, $ours, $property, $theirs) = @$case;
	my @change = ($CUSTOMERS, $operation, key => $key, $ours ? (body => $ours) : (), $operation eq 'merge_rows' ? (merge_by => '{Тип}') : ());
	$onec->control('POST', '/faults', { method => 'PATCH', close => JSON::PP::true, commit => JSON::PP::true, times => 1 });
	$id = put(@change);
	sql("CALL onec.deliver('shop', 1)");
	corrected($key, $property, $theirs);
	calm();
	sql("SELECT onec.outbox_retry($id) FROM onec.outbox");
	deliver();
	is(sql("SELECT status FROM onec.outbox WHERE id = $id") . @{ written() }, 'conflict0', "$operation: stored, the reply lost, then corrected by somebody: a conflict, and nothing sent");
	deliver() if $ours && sql("SELECT onec.outbox_edit($id, body) FROM onec.outbox WHERE id = $id") eq '';
	is(sql("SELECT count(*) FROM onec.outbox WHERE id = $id"), $ours ? '0' : '1', '… what a person edits then is sent');
	sql("SELECT onec.outbox_skip(id) FROM onec.outbox");
	corrected($key, $property, $theirs);
	$onec->control('POST', '/faults', { method => 'PATCH', close => JSON::PP::true, times => 1 });
	put(@change);
	sql("CALL onec.deliver('shop', 1)");
	sql("SELECT onec.outbox_retry(id) FROM onec.outbox");
	deliver();
	is(sql('SELECT count(*) FROM onec.outbox'), '0', '… cut before it is stored: sent again');
}

# ---- a lease lasts longer than the requests ----
sql("ALTER SERVER shop OPTIONS (ADD request_timeout '7200')");
put($CARDS, 'create', body => { Description => 'Долго' });
is(sql("SELECT extract(epoch FROM l.lease_until - l.leased_at) >= 7200 FROM onec_internal.lease_write('shop', '-') l"), 't', 'a lease lasts longer than requests may take');
sql("ALTER SERVER shop OPTIONS (DROP request_timeout); DELETE FROM onec.outbox");

# ---- rights are a role's, not a name's ----
my $by_gone = "SELECT id > 0 FROM onec.enqueue('shop', '$CARDS', 'create', body => '{}')";
sql("CREATE ROLE gone LOGIN; SELECT onec.allow_write('gone', '{$CARDS}', 'shop')");
is(sql($by_gone, user => 'gone'), 't', 'a role that may write');
sql("DROP OWNED BY gone; DROP ROLE gone; CREATE ROLE gone LOGIN; GRANT USAGE ON SCHEMA onec TO gone; GRANT EXECUTE ON FUNCTION onec.enqueue TO gone");
like(try_sql($by_gone, user => 'gone')->{stderr}, qr/role "gone" may not write/, '… another of its name may not');
sql("SELECT onec.allow_write('gone', '{$CARDS}', 'shop')");
is(sql($by_gone, user => 'gone'), 't', '… until it is allowed to');
sql('DELETE FROM onec.outbox');

# ---- what it costs ----
# Statements in one session, each a transaction of its own: seconds and CPU seconds of the backend.
sub costs
{
	my (@statements) = @_;
	my $clock = "SELECT 'at ' || extract(epoch FROM clock_timestamp()) || ' ' || t[14]::int + t[15]::int FROM string_to_array(pg_read_file('/proc/self/stat'), ' ') t;";
	my $answer = try_sql(join("\n", "SELECT set_config('application_name', 'costs', false);", $clock, (map { "$_;" } @statements), $clock));
	my @at = $answer->{stdout} =~ /^at (\S+) (\d+)$/mg;
	is($answer->{sqlstate}, '00000', 'measured') or diag($answer->{stderr});
	return ($at[2] - $at[0], ($at[3] - $at[1]) / 100);
}
my $line = { Номенклатура => $key, Номенклатура_Type => 'StandardODATA.Catalog_Номенклатура', Количество => 1, Цена => 750.25, Сумма => 750.25 };
my $heavy = literal($json->encode({ %order, Комментарий => 'заказ с сайта', Запасы => [ $line, $line, $line ] }));
my ($touched) = sql("SELECT onec.enqueue('shop', '$ORDERS', 'create', body => $heavy); EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off) SELECT onec.enqueue('shop', '$ORDERS', 'create', body => $heavy)") =~ /hit=(\d+)/;
cmp_ok($touched, '<', 1500, 'an order is put there by few pages') or diag($touched);
sql('SELECT onec.outbox_skip(id) FROM onec.outbox');
my $long = put($CARDS, 'create', body => { Description => 'Первая' });
sql("INSERT INTO onec.outbox (server, entity_set, operation, key, body, requested_by, status, depends_on)
	SELECT 'shop', '$CARDS', 'create', gen_random_uuid(), '{\"Description\": \"Ждёт\"}', 'site', 'waiting', ARRAY[$long] FROM generate_series(1, 2000); ANALYZE onec.outbox");
my $lease = "SELECT (onec_internal.lease_write('shop', '-')).id;";
($touched) = (sql("BEGIN; $lease ROLLBACK; BEGIN; EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off) $lease ROLLBACK") =~ /hit=(\d+)/);
cmp_ok($touched, '<', 100, 'the next of many rows is found without looking at those that wait');
sql('DELETE FROM onec.outbox');
if ($ENV{TEST_FULL})
{
	sql("CREATE TABLE plain (LIKE onec.outbox INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES)");
	my (@plain, @queued);
	for my $round (1 .. 3)
	{
		push @plain, [ costs(map { "INSERT INTO plain (server, entity_set, operation, key, body, idempotency, requested_by, status) VALUES ('shop', '$ORDERS', 'create', gen_random_uuid(), $heavy, 'k $round $_', 'site', 'pending')" } 1 .. 1000) ];
		push @queued, [ costs(map { "SELECT id FROM onec.enqueue('shop', '$ORDERS', 'create', body => $heavy, idempotency => 'k $round $_')" } 1 .. 1000) ];
	}
	@$_ = sort { $a->[0] <=> $b->[0] } @$_ for \@plain, \@queued;
	OnecTest->figure('1,000 inserts into a plain table, s and CPU s', sprintf('%.2f %.2f', @{ $plain[1] }));
	OnecTest->figure('1,000 enqueues, s and CPU s', sprintf('%.2f %.2f', @{ $queued[1] }));
	cmp_ok($queued[1][0], '<=', 2 * $plain[1][0], 'a thousand enqueues take at most twice as long as such inserts');
	sql('DELETE FROM onec.outbox WHERE id > (SELECT min(id) + 29 FROM onec.outbox)');
	$onec->control('POST', '/faults', { method => 'POST', delay_ms => 1000 });
	my ($took, $own) = costs("CALL onec.deliver('shop')");
	is(sql('SELECT count(*) FROM onec.outbox'), '0', 'thirty orders at a second each');
	OnecTest->figure('delivery of 30 orders at 1 s each, s and own CPU s', sprintf('%.2f %.2f', $took, $own));
	cmp_ok($own, '<', $took / 100, 'delivery itself takes less than a hundredth of its time');
}

# ---- a server that is gone, and another of its name ----
sub old_server { OnecTest->server($node, $onec, name => 'old', options => "updatable 'on'"); return; }
old_server();
sql("SELECT onec_internal.remember_base('old'), onec_internal.keep_properties('old'), onec.set('outbox.notify', 'false', 'old')");
my $put_old = "SELECT id > 0 FROM onec.enqueue('old', '$CARDS', 'create', body => '{\"Description\": \"Старый\"}')";
is(sql($put_old), 't', 'a second server');
sql('DROP SERVER old CASCADE');
like(try_sql($put_old)->{stderr}, qr/42704: server "old" of onec_fdw does not exist any more/, '… that is dropped takes nothing more');
old_server();
my $url = sql("SELECT o.option_value FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o WHERE s.srvname = 'old' AND o.option_name = 'url'");
sql("ALTER SERVER old OPTIONS (SET url '$url/other')");
calm();
try_sql("CALL onec.deliver('old')");
is(sql("SELECT status || ' ' || message FROM onec.outbox WHERE server = 'old'") =~ s/ .*another address.*/ said/r, 'blocked said', '… what waited for it does not go to another address under its name');
is_deeply(written(), [], '… nothing is sent');
like(try_sql($put_old)->{stderr}, qr/55000: what server "old" takes is not known yet/, '… nor put there before it is set up');
sql("ALTER SERVER old OPTIONS (SET url '$url'); SELECT onec.outbox_retry(id) FROM onec.outbox WHERE server = 'old'");
try_sql("CALL onec.deliver('old')");
is(sql("SELECT count(*) FROM onec.outbox WHERE server = 'old'"), '0', 'a server made again for the same address goes on');

$node->stop;
done_testing();
