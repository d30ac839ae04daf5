# What has changed as an exchange plan of 1C tells it: one message a run, kept here before it is confirmed, and then read by key.
# What the store has is compared with the rows of the base as this test reads them over HTTP.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use JSON::PP;
use OnecTest;
use StoreTruth;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--plan', '--customers', 60, '--seed', 4);
my $node = OnecTest->node('plan', conf => "restart_after_crash = on\n");
my ($cards, $goods, $customers, $contacts) = map { "Catalog_$_" } qw(ДисконтныеКарты Номенклатура Контрагенты Контрагенты_КонтактнаяИнформация);
my ($orders, $plan) = ('Document_ЗаказПокупателя', 'ExchangePlan_ОбменССайтом');
my @told = qw(discount_card counterparty counterparty_contact product customer_order);
my $some = "days => 3, steps => '{cards,counterparties,products,orders}'";

sub sql { return OnecTest->rows($node, @_); }
sub edit { return $onec->control('POST', '/edit', {@_}); }
sub shows { my ($query, $answer, $what) = @_; return is(sql($query), $answer, $what); }
sub mode { $onec->control('POST', '/modes', {@_}); return; }
sub fault { $onec->control('POST', '/faults', { times => 1, @_ }); return; }
sub clear { $onec->control('POST', '/faults/clear', {}); $onec->control('POST', '/modes/clear', {}); return; }
sub options { sql("ALTER SERVER $_[1] OPTIONS ($_[0])") for 1; return; }
sub refused { my ($statement, $error, $what) = @_; return like(OnecTest->try_text($node, $statement)->{stderr}, $error, $what); }

# ---- the base itself ----
my $web = HTTP::Tiny->new(timeout => 60, default_headers => { Authorization => 'Basic ZGVtbzpkZW1v' });
my $root = $onec->url('demo') . '/odata/standard.odata';

sub base_does
{
	my ($method, $path, $body) = @_;

	utf8::encode($path);
	$path =~ s/([^\w.\/()'\$=&?,:-])/sprintf '%%%02X', ord $1/ge;
	my $answer = $web->request($method, "$root/$path", { content => $body ? encode_json($body) : '', headers => { Accept => 'application/json', 'Content-Type' => 'application/json' } });

	die "$method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return $answer->{content};
}

# The rows of the base for StoreTruth, which asks a liar for them: empty references and dates are nulls there.
package Rows
{
	sub new { return bless {}, shift; }

	sub control_text
	{
		my ($self, $method, $path) = @_;
		my ($sets) = $path =~ /sets=(.*)/;

		$sets =~ s/%(..)/chr hex $1/ge;
		utf8::decode($sets);
		my $text = '{' . join(',', map { my $name = $_; utf8::encode($name); "\"$name\": " . (main::base_does('GET', "$_?\$format=json;odata=nometadata") =~ /"value": (\[.*\])/s)[0] } split /,/, $sets) . '}';

		$text =~ s/"(?:00000000-0000-0000-0000-000000000000|0001-01-01T00:00:00)"(?!:)/null/g;
		return $text;
	}
}

my $rows = Rows->new;

sub is_equal
{
	StoreTruth->load($node, $rows, @told);
	my @bad = StoreTruth->differences($node, 'shop', @told);
	diag(join "\n", map { substr $_, 0, 300 } @bad) if @bad;
	return is(scalar @bad, 0, "$_[0]: the store is the base");
}

# ---- runs ----

# What a run asks: of the plan as one line, of the told tables as paths with what of the address matters.
sub run
{
	my ($arguments, $name) = @_;

	$onec->control('POST', '/log/clear', {});
	my $said = OnecTest->try_text($node, "CALL onec.sync('" . ($name || 'shop') . "', " . ($arguments || $some) . ')');
	my @log = @{ $onec->control('GET', '/log') };
	return {
		plan => join(' ', map { !/\// && /^(\w+)\?.*MessageNo=(\d+)$/ ? "$1 $2" : /^(ExchangePlan)/ ? 'node' : () } map { my $all = "$_->{path}?$_->{query}"; $all =~ s/DataExchangePoint='[^&]*'&//; $all } @log),
		read => { map { my $set = $_; $set => [ grep { $_->{path} =~ /^\Q$set\E(?:\/|$)/ } @log ] } ($cards, $goods, $customers, $contacts, $orders) },
		said => $said->{stderr}, sqlstate => $said->{sqlstate},
	};
}
# Requests of a run to the sets that the plan tells of, but for those by key.
sub whole { my $run = shift; return scalar grep { $_->{query} !~ /Ref_Key eq guid/ } map { @$_ } values %{ $run->{read} }; }
sub by_key { my $run = shift; return scalar grep { $_->{query} =~ /Ref_Key eq guid/ } map { @$_ } values %{ $run->{read} }; }
sub registered { my ($code) = @_; return join ' ', sort map { defined $_->[2] ? $_->[2] : 'none' } @{ $onec->control('GET', '/plan')->{ $code || '000002' }{registered} }; }
sub received { return $onec->control('GET', '/plan')->{'000002'}{received}; }
sub status { return sql("SELECT string_agg(DISTINCT status, ' ') FROM onec.sync_step s WHERE run_id = (SELECT max(run_id) FROM onec.sync_run WHERE server = 'shop')"); }
sub message { return sql("SELECT coalesce(message, '') FROM onec.sync_run WHERE server = 'shop' ORDER BY run_id DESC LIMIT 1"); }
sub waiting { return sql("SELECT count(*) FROM onec_internal.plan_change WHERE server = 'shop'"); }
my $written = "SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT xmin::text || card_id FROM onec.discount_card UNION ALL SELECT xmin::text || product_id FROM onec.product
	UNION ALL SELECT xmin::text || customer_id FROM onec.counterparty UNION ALL SELECT xmin::text || customer_id || line_no FROM onec.counterparty_contact UNION ALL SELECT xmin::text || order_id FROM onec.customer_order) r (x)";

my ($product) = ();
sub change { $product = edit(op => 'rename_product', name => "Новое $_[0]")->{product}; return; }

# Something of each set of the plan, of an old order, too.
sub change_all
{
	my $order = sql("SELECT order_id FROM onec.customer_order WHERE date < now() - interval '100 days' AND NOT deletion_mark ORDER BY date LIMIT 1");

	change('всё');
	edit(op => 'change_phone', card => sql("SELECT card_id FROM onec.discount_card WHERE owner_id IS NOT NULL AND NOT deletion_mark ORDER BY code LIMIT 1"));
	edit(op => 'new_customer', name => 'Пример Примеров');
	edit(op => 'order_state', order => $order, state => 1);
	return $order;
}

# Each part begins with tables that are read by the plan, and nothing that waits.
sub believed
{
	return if sql("SELECT count(*) FROM onec_internal.plan_use WHERE server = 'shop' AND checked_at IS NOT NULL AND broken IS NULL") == @told && waiting() eq '0' && registered() eq '';
	change_all();
	run() for 1 .. 2;
	return;
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
sql("SELECT count(*) FROM onec.setup('shop')");
StoreTruth->create($node);
run('full_reload => true');
is_equal('first load');

# ---- what the owner says ----
OnecTest->part('options', sub {
	refused("ALTER SERVER shop OPTIONS (ADD change_source 'planned')", qr/invalid value for option "change_source".*\n.*Use read or plan/, 'a source that is none');
	refused("ALTER SERVER shop OPTIONS (ADD change_source 'plan')", qr/needs "exchange_plan" and "exchange_node"/, 'a plan without name');
	refused("ALTER SERVER shop OPTIONS (ADD change_source 'plan', ADD exchange_plan '$plan')", qr/needs "exchange_plan" and "exchange_node"/, 'a plan without node');
	refused("SELECT onec_internal.plan_received('shop', '$1', 1)", qr/asks no exchange plan/, 'no node is changed without the word of the owner') if sql('SELECT gen_random_uuid()') =~ /(.*)/;
	refused("SELECT onec.take_exchange_node('shop')", qr/asks no exchange plan/, '… nor taken');
	is(run()->{plan}, '', 'off by default: no request');
	shows("SELECT status, detail FROM onec.diagnose('shop') WHERE \"check\" = 'exchange plan'", "ok|not asked; published: $plan", 'diagnose says which plan is published');
});

# ---- from message to message ----
my $begun = sql("SELECT now()");
options("ADD change_source 'plan', ADD exchange_plan '$plan', ADD exchange_node '000002'", 'shop');
OnecTest->part('messages', sub {
	my $empty = run();
	is($empty->{plan}, 'node SelectChanges 1', 'what tells nothing is not confirmed');
	cmp_ok(whole($empty), '>', 0, '… and all is read as ever');
	my $order = change_all();
	my $first = run();
	is($first->{plan}, 'node SelectChanges 1 NotifyChangesReceived 1', 'the same number again, confirmed when it told something');
	is(registered(), '', '… and 1C has forgotten what it told');
	cmp_ok(whole($first), '>', 0, 'told of for the first time, all is read as ever');
	is(status(), 'ok', '… in order');
	shows("SELECT string_agg(target, ' ' ORDER BY target) FROM onec_internal.plan_use WHERE checked_at IS NOT NULL", 'counterparty counterparty_contact customer_order discount_card product',
		'tables whose objects were told of, and their tabular parts, may be read by the plan then');
	is(waiting(), 1, 'what lies outside of the days that were read waits: the order');

	change(2);
	my $second = run();
	is($second->{plan}, 'node SelectChanges 2 NotifyChangesReceived 2', 'the next message');
	is(whole($second), 0, 'and no table is read but by key');
	is(scalar @{ $second->{read}{$_} }, $_ =~ /Номенклатура|Заказ/ ? 1 : 0, "… $_") for $cards, $goods, $customers, $contacts, $orders;
	is_equal('two objects told of');
	is(waiting(), 0, 'nothing waits');
	shows("SELECT string_agg(target || ' ' || objects_told, ', ' ORDER BY target) FROM onec.sync_step WHERE run_id = (SELECT max(run_id) FROM onec.sync_run) AND objects_told > 0", 'customer_order 1, product 1',
		'the account says how many');
	shows("SELECT bool_and(k.as_of = p.asked_at) FROM onec.sync_state k, onec_internal.plan_state p WHERE k.target IN ('product', 'discount_card')", 't', 'as of when the plan was asked');
	my $before = sql($written);
	my $none = run();
	is($none->{plan}, 'node SelectChanges 3', 'a message of nothing');
	is(whole($none) + by_key($none), 0, '… no request to any of the tables');
	shows($written, $before, '… and no row is written');

	# whatever people do
	base_does('DELETE', "$goods(guid'$product')");
	my ($owner) = sql("SELECT customer_id FROM onec.counterparty_contact GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1") =~ /(\S+)/;
	base_does('PATCH', "$customers(guid'$owner')", { КонтактнаяИнформация => [] });
	edit(op => 'order_new', lines => 2);
	edit(op => 'order_delete', order => $order, physically => \1);
	my $third = run();
	is(whole($third) - grep({ $_->{query} !~ /Ref_Key eq guid/ } @{ $third->{read}{$orders} }), 0, 'objects that are gone, and a part that is emptied, are asked for by key');
	is(status(), 'ok', '… proven');
	shows("SELECT is_deleted FROM onec.product WHERE product_id = '$product'", 't', '… gone is gone');
	shows("SELECT count(*) FROM onec.counterparty_contact WHERE customer_id = '$owner'", 0, '… and the part empty');
	is_equal('deletions');
	my $asked = '';
	for my $form ([ 'json', 'type' ], [ 'json', 'address' ], [ 'atom', 'type' ])
	{
		mode(plan_form => $form->[0], plan_says => $form->[1]);
		edit(op => 'random', n => 12, seed => $asked .= '1');
		change($asked);
		base_does('DELETE', "$goods(guid'$product')") if $asked eq '1';
		is(run()->{plan} =~ s/\d+/N/gr, 'node SelectChanges N NotifyChangesReceived N', "@$form");
		is_equal("random edits, told in @$form");
	}
	clear();
	sql("SELECT count(*) FROM onec.setup('shop')");
	my $full = run("days => 3, steps => '{products}', full_reload => true");
	cmp_ok(whole($full), '>', 0, 'who reads everything does');
	sql("UPDATE onec_internal.plan_use SET checked_at = now() - interval '25 hours'");
	cmp_ok(whole(run()), '>=', 4, 'and once a day everybody does');
	is(whole(run()), 0, '… once');

	# what a whole reading has left to the next one, of which the first part was read before the message
	sql("UPDATE onec.sync_step SET windows = ARRAY[tsrange('2026-10-01', '9999-12-31')] WHERE target = 'customer_order' AND days IS NULL");
	edit(op => 'order_state', order => sql("SELECT order_id FROM onec.customer_order WHERE date < '2026-09-01' ORDER BY date DESC LIMIT 1"), state => 3);
	sql("CALL onec.run_job('weekly', 'shop')");
	shows("SELECT objects_told, resumed FROM onec.sync_step WHERE target = 'customer_order' ORDER BY run_id DESC LIMIT 1", '|t', 'the weekly job reads without the plan, from where another has ended');
	is(waiting(), 1, '… so what is told of the rest waits');
	is(whole(run()), 0, '… for its key');
	is_equal('a reading in two parts');
	shows("SELECT status, detail ~ '^message \\d+ received, \\d+ sent\$' FROM onec.diagnose('shop') WHERE \"check\" = 'exchange plan'", 'ok|t', 'diagnose looks at the node');
});

# ---- what may go wrong on the way ----
OnecTest->part('faults', sub {
	believed();
	my $at = received();
	for my $fault ([ 'cut', match => 'SelectChanges', cut_at => 900 ], [ 'lost', match => 'SelectChanges', close => \1, commit => \1 ], [ 'refused', match => 'SelectChanges', status => 403 ],
		[ 'a page', match => 'SelectChanges', html => '<html><body>Вход</body></html>', status => 200 ], [ 'half a feed', match => 'SelectChanges', replace => [ [ '</feed>', '' ] ] ])
	{
		my ($name, %rule) = @$fault;
		change($name);
		fault(%rule);
		my $run = run();
		is($run->{plan}, 'node SelectChanges ' . ($at + 1), "$name: nothing is confirmed");
		cmp_ok(whole($run), '>', 0, "$name: all is read as ever");
		like(message(), qr/^exchange plan: /, "$name: and the run says so");
		is(status(), 'ok', "$name: in order");
	}
	is_equal('plans that fail');
	mode(plan_form => 'json', plan_says => 'nothing');
	is(run()->{plan}, 'node SelectChanges ' . ($at + 1), 'what is not understood is not confirmed');
	like(message(), qr/are not understood/, '… and told');
	clear();
	mode(plan_quotes => 'doubled');
	like(run()->{said}, qr/WARNING:.*exchange plan of "shop": .*/, 'an address that the base does not take');
	clear();
	is(run()->{plan}, 'node SelectChanges ' . ($at + 1) . ' NotifyChangesReceived ' . ($at + 1), 'then all of it comes by the same number');
	is(registered(), '', '… once');
	$at++;

	# the confirmation, lost before and behind 1C
	change('unconfirmed');
	fault(match => 'NotifyChangesReceived', close => \1);
	is(run()->{plan}, 'node SelectChanges ' . ($at + 1) . ' NotifyChangesReceived ' . ($at + 1), 'a confirmation that 1C does not get');
	is_equal('not confirmed');
	my $before = sql($written);
	is(run()->{plan}, 'node SelectChanges ' . ($at + 1) . ' NotifyChangesReceived ' . ($at + 1), 'what it told is asked for again, by the same number');
	shows($written, $before, '… and no row is written twice');
	$at++;
	# a request of that number may come late, and 1C puts the number on what has changed since
	fault(match => 'NotifyChangesReceived', close => \1);
	change('not confirmed again');
	run();
	change('late');
	base_does('POST', "SelectChanges?DataExchangePoint='$root/$plan(guid'" . $onec->control('GET', '/plan')->{'000002'}{key} . "')'&MessageNo=" . ($at + 1));
	run();
	is_equal('what 1C has told to nobody');
	$at++;
	change('confirmed');
	fault(match => 'NotifyChangesReceived', close => \1, commit => \1);
	run();
	$at++;
	is(received(), $at, 'a confirmation of which the answer is lost');
	is(run()->{plan}, 'node SelectChanges ' . ($at + 1), 'is not sent again');
	is_equal('confirmed without an answer');

	# a process that dies between commit and confirmation
	for my $stored (0, 1)
	{
		change("killed $stored");
		fault(match => 'NotifyChangesReceived', hang => \1, $stored ? (commit => \1) : ());
		$onec->control('POST', '/log/clear', {});
		my $run = OnecTest->background($node, "CALL onec.sync('shop', $some)", name => 'dies');
		OnecTest->wait_for(sub { grep { $_->{path} eq 'NotifyChangesReceived' } @{ $onec->control('GET', '/log') } }, 'the confirmation');
		my $pid = sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'dies'");
		kill 'KILL', $pid;
		$run->wait;
		OnecTest->wait_for(sub { OnecTest->try_text($node, 'SELECT 1')->{sqlstate} eq '00000' }, 'the server');
		cmp_ok(waiting(), '>', 0, 'killed: what was told is kept');
		isnt(sql("SELECT name FROM onec.product WHERE product_id = '$product'"), "Новое killed $stored", '… and was not read');
		change("meanwhile $stored");
		clear();
		my $next = $at + 1 + $stored;
		is(run()->{plan}, "node SelectChanges $next NotifyChangesReceived $next", 'then it goes on where it was');
		is_equal('no change is lost');
		$at = $next;
		$before = sql($written);
		run();
		shows($written, $before, '… nor written twice');
	}
});

# ---- what is not read while the plan tells of it, or that it does not tell ----
OnecTest->part('beliefs', sub {
	believed();
	sql("DROP FOREIGN TABLE shop.product CASCADE");
	change('absent');
	run();
	sql("SELECT count(*) FROM onec.setup('shop')");
	cmp_ok(whole(run()), '>', 0, 'what was told while a table was not there was told to nobody: it is read as ever');
	is_equal('a table that was absent');
	is(whole(run()), 0, '… once');

	# versions of owners that were read by the plan are not those of all
	sql("SELECT onec.set('sync.versions', 'on', 'shop')");
	for (1 .. 2) { sql("UPDATE onec_internal.plan_use SET checked_at = '-infinity'"); run(); }
	my ($owner, $other) = split /\n/, sql("SELECT customer_id FROM onec.counterparty_contact GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 2");
	sql("UPDATE onec_internal.plan_use SET broken = 'x', broken_at = now() WHERE target = 'counterparty_contact'");
	mode(plan_misses => "Контрагенты $owner");
	base_does('PATCH', "$customers(guid'$owner')", { КонтактнаяИнформация => [] });
	base_does('PATCH', "$customers(guid'$other')", { Description => 'Пример Сказанный' });
	my $run = run();
	is(scalar(grep { $_->{query} !~ /Ref_Key eq guid/ } @{ $run->{read}{$customers} }), 0, 'owners read by the plan …');
	is_equal('… do not answer for their tabular part');
	clear();
	sql("SELECT onec.set('sync.versions', NULL, 'shop'); UPDATE onec_internal.plan_use SET checked_at = '-infinity', broken = NULL, broken_at = NULL");
	run();

	# the only object of which nothing is told is gone
	my $lost = sql("SELECT min(product_id::text) FROM onec.product WHERE NOT is_deleted AND NOT is_folder");
	mode(plan_misses => "Номенклатура $lost");
	base_does('DELETE', "$goods(guid'$lost')");
	sql("INSERT INTO onec_internal.plan_change SELECT 'shop', 'product', product_id, false FROM onec.product WHERE NOT is_deleted AND product_id <> '$lost'");
	run();
	is(status(), 'incomplete ok', 'one that is asked for beside what is told, and is gone untold');
	run();
	is(status(), 'ok', '… is a reason to read the table as ever');
	is_equal('a deletion that was not told');
	run();
	shows("SELECT broken FROM onec_internal.plan_use WHERE target = 'product'", '1 objects have changed, and the plan has not told so', '… and not to believe the plan');
	clear();
	sql("UPDATE onec_internal.plan_use SET broken = NULL, broken_at = NULL");
});

# ---- what is told and is not so ----
OnecTest->part('lies', sub {
	believed();
	change('lives');
	mode(plan_lies => $product);
	my $run = run();
	is(status(), 'ok', 'an object that lives, told to be gone');
	shows("SELECT is_deleted, name FROM onec.product WHERE product_id = '$product'", 'f|Новое lives', '… lives, and is what it is');
	clear();

	change('not there');
	my $empty = '{"odata.metadata": "x", "value": []}';
	fault(match => "$goods\\?.*Ref_Key eq guid", body => $empty, times => 100);
	run();
	is(status(), 'incomplete ok', 'an answer without any object that is here');
	shows("SELECT count(*) FROM onec.product WHERE is_deleted AND product_id = '$product'", 0, '… deletes nothing');
	cmp_ok(waiting(), '>', 0, '… and what was told goes on waiting');
	clear();
	is(whole(run()), 0, 'the next run asks again');
	is_equal('after answers of nothing');

	change('one is missing');
	fault(match => "$goods\\?.*Ref_Key eq guid", replace => [ [ "\"Ref_Key\":\"$product\"", '"Ref_Key":"11111111-1111-1111-1111-111111111111"' ], [ "\"Ref_Key\": \"$product\"", '"Ref_Key": "11111111-1111-1111-1111-111111111111"' ] ], times => 100);
	run();
	like(message(), qr/product: 1 rows are missing that the exchange plan has not told to be gone/, 'one that is missing, and not told to be gone');
	shows("SELECT is_deleted FROM onec.product WHERE product_id = '$product'", 'f', '… stays');
	clear();
	sql("DELETE FROM onec.product WHERE product_id = '11111111-1111-1111-1111-111111111111'");
	run();
	is_equal('foreign rows');

	# a plan that is not told of everything
	mode(plan_misses => 'Номенклатура');
	change('untold');
	is(whole(run()), 0, 'what nobody registers …');
	isnt(sql("SELECT name FROM onec.product WHERE product_id = '$product'"), 'Новое untold', '… is not seen …');
	sql("UPDATE onec_internal.plan_use SET checked_at = now() - interval '25 hours'");
	run();
	is_equal('… until the table is read without the plan');
	$run = run();
	cmp_ok(scalar(@{ $run->{read}{$goods} }), '>', 0, 'then the plan is not believed about the table');
	is(scalar(@{ $run->{read}{$cards} }), 0, '… but about others');
	shows("SELECT status, detail FROM onec.diagnose('shop') WHERE \"check\" = 'product: exchange plan'", 'warning|1 objects have changed, and the plan has not told so', '… and diagnose tells it');
	clear();
	sql("UPDATE onec_internal.plan_use SET broken_at = now() - interval '8 days' WHERE broken IS NOT NULL");
	change('late');
	fault(match => $goods, times => 1, delay_ms => 1);
	is(whole(run()), 0, 'for a week');

	# a set that the plan has no more, nor ever had
	shows("SELECT count(*) FROM onec_internal.plan_use WHERE target ~ 'category|brand|store|sale|receipt'", 0, 'sets of which nothing was told are read as ever');
	sql("SELECT onec.set('sync.versions', 'off', 'shop')");
	cmp_ok(scalar(grep { $_->{path} =~ /КатегорииНоменклатуры/ } map { run(); @{ $onec->control('GET', '/log') } } 1), '>', 0, '… indeed');
	sql("SELECT onec.set('sync.versions', NULL, 'shop')");
	is(run("$some, dry_run => true")->{plan}, '', 'a dry run changes no node');
});

# ---- whose node it is ----
OnecTest->part('nodes', sub {
	believed();
	my $key = $onec->control('GET', '/plan')->{'000002'}{key};
	my $at = received();
	change('taken');
	base_does('POST', "SelectChanges?DataExchangePoint='$root/$plan(guid'$key')'&MessageNo=" . ($at + 1));
	base_does('POST', "NotifyChangesReceived?DataExchangePoint='$root/$plan(guid'$key')'&MessageNo=" . ($at + 1));
	my $run = run();
	is($run->{plan}, 'node', 'a node that somebody else has confirmed is not touched');
	cmp_ok(whole($run), '>', 0, '… all is read as ever');
	like(message(), qr/exchange plan: somebody else has confirmed message/, '… and the run says so');
	is_equal('changes that another reader took');
	shows("SELECT status, advice ~ 'take_exchange_node' FROM onec.diagnose('shop') WHERE \"check\" = 'exchange plan'", 'warning|t', 'diagnose says what to do');
	is(run()->{plan}, 'node', 'so it stays');
	sql("SELECT onec.take_exchange_node('shop')");
	change('ours');
	is(run()->{plan}, 'node SelectChanges ' . ($at + 2) . ' NotifyChangesReceived ' . ($at + 2), 'until the owner says that it is ours');
	is(whole(run()), 0, '… and the tables were read once without it');
	mode(plan_counts => \0);
	for my $n (1 .. 2)
	{
		change("uncounted $n");
		cmp_ok(whole(run()), $n == 1 ? '==' : '>', 0, $n == 1 ? 'a base whose node does not count what is confirmed' : '… is not read by the plan');
	}
	is_equal('numbers that stand still');
	clear();
	run();
	$at = received();

	OnecTest->server($node, $onec, name => 'other', options => "timezone 'Europe/Moscow', retries '0'");
	sql("SELECT count(*) FROM onec.setup('other')");
	my $small = "days => 3, steps => '{products}'";
	run($small, 'other');
	options("ADD change_source 'plan', ADD exchange_plan '$plan', ADD exchange_node '$key'", 'other');
	$run = run($small, 'other');
	is($run->{plan}, 'node', 'a node that another server asks is not touched');
	like($run->{said}, qr/server "shop" asks the same node/, '… which is said');
	options("SET exchange_node '000003'", 'other');
	change('both');
	like(run($small, 'other')->{plan}, qr/^node SelectChanges 1 NotifyChangesReceived 1$/, 'a node of its own');
	is(run()->{plan}, 'node SelectChanges ' . ($at + 1) . ' NotifyChangesReceived ' . ($at + 1), 'each is told by its own');
	is_equal('two servers');
	shows("SELECT count(*) FROM (SELECT product_id, name FROM onec.product WHERE server = 'other' EXCEPT SELECT product_id, name FROM onec.product WHERE server = 'shop') x", 0, '… of the same');
	options("SET exchange_node '000001'", 'other');
	like(run($small, 'other')->{said}, qr/is that of the base itself/, 'the node of the base itself is none');
	options("SET exchange_node '000009'", 'other');
	like(run($small, 'other')->{said}, qr/has no node of that key or code/, 'nor one that is not there');
	options("SET exchange_plan 'ExchangePlan_Иной'", 'other');
	like(run($small, 'other')->{said}, qr/exchange plan of "other": /, 'nor a plan that is not published');
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM onec.sync_step WHERE server = 'other'"), 'ok', '… and all is read as ever');
	options("DROP change_source", 'shop');
	is(run()->{plan}, '', 'the word of the owner is taken back');
});

$node->stop;
done_testing();
