# What a site must not get by the functions that it calls: points twice, another call's answer, somebody else's card or telephone, a
# value in a message, an order that no sum belongs to.  Each was a fault once.
use strict;
use warnings;
use utf8;

use JSON::PP ();
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 4);
my $node = OnecTest->node('faults');
my ($CUSTOMERS, $CARDS, $ORDERS) = qw(Catalog_Контрагенты Catalog_ДисконтныеКарты Document_ЗаказПокупателя);
my $BONUS = 'Document_НачислениеСписаниеБонусныхБаллов';
my $json = JSON::PP->new->canonical;

sub sql { return OnecTest->rows($node, @_); }
sub site { my ($call) = @_; return sql("SELECT onec.$call"); }
sub refused { my ($call) = @_; return OnecTest->try_text($node, "SELECT onec.$call")->{stderr}; }
sub said { my ($what) = @_; return "'" . ($json->encode($what) =~ s/'/''/gr) . "'"; }
sub deliver { return sql("CALL onec.deliver('shop')"); }
sub skip { my ($where) = @_; return sql("SELECT onec.outbox_skip(id) FROM onec.outbox WHERE $where"); }
sub escape { my ($text) = @_; utf8::encode($text); return $text =~ s/([^\w])/sprintf('%%%02X', ord $1)/ger; }
sub object { my ($set, $key) = @_; return $onec->control('GET', '/object?set=' . escape($set) . "&key=$key"); }

# A customer asked for; what is besides comes last: an idempotency key.
sub customer { my ($said, $key) = @_; return "create_customer('shop', " . said($said) . (defined $key ? ", '$key'" : '') . ')'; }
sub card { my ($person, $code, $key) = @_; return "issue_card('shop', '$person', " . said({ barcode => $code }) . (defined $key ? ", '$key'" : '') . ')'; }

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', updatable 'on'");
sql("SELECT onec.setup('shop'); CALL onec.sync('shop')");
sql("SELECT onec.set('outbox.settle_seconds', '0'); SELECT onec.set_write_default('shop', entity_set, field, value) FROM onec.setup_write('shop')");

# ---- points are spent once ----
my $p = site(customer({ name => 'Павел', phone => '70000007001' }));
my $card = site(card($p, 'P-1'));
site("award_points('shop', '$card', 801)");
deliver();
sql("CALL onec.sync('shop', steps => '{loyalty}')");
my $spent = site("spend_points('shop', '$card', 801)");
site("mark_deleted('shop', '$BONUS', '$spent')");
skip("operation = 'mark'");
like(refused("spend_points('shop', '$card', 801)"), qr/23514: the card has 0 points/, 'a skipped mark of a spend gives no points back');
skip("operation = 'post'");
my $again = site("spend_points('shop', '$card', 801)");
isnt($again, $spent, 'a posting that was skipped unsent does');
skip("operation = 'create' AND key = '$again'");
is(OnecTest->try_text($node, "BEGIN; SELECT onec.spend_points('shop', '$card', 801); ROLLBACK")->{sqlstate}, '00000', '… and so does a document that was skipped unsent');
skip('true');
site("spend_points('shop', '$card', 801)");
sql("CALL onec.deliver('shop', max_rows => 1)");
$onec->control('POST', '/faults', { match => 'Post', method => 'POST', close => JSON::PP::true, commit => JSON::PP::true, times => 1 });
sql("CALL onec.deliver('shop', max_rows => 1)");
skip("operation = 'post'");
like(refused("spend_points('shop', '$card', 1)"), qr/23514: the card has 0 points/, 'a posting that may have reached 1C does not, skipped or not');
is(sql('SELECT count(*) FROM onec.outbox'), '0', 'nothing is on its way');

# ---- an idempotency key is of one function, and of what it was asked ----
site("award_points('shop', '$card', 10, idempotency => 'order 7')");
my $award = site("award_points('shop', '$card', 10, idempotency => 'order 7')");
like(refused("spend_points('shop', '$card', 50, idempotency => 'order 7')"), qr/23514: the card has/, 'a spend has nothing of the key of an award');
like(refused("award_points('shop', '$card', 11, idempotency => 'order 7')"), qr/23505: the idempotency key has been used for another call/, 'the same function asked for something else is refused');
is(sql("SELECT count(*) FROM onec.outbox WHERE operation = 'create'"), '1', '… and one award is on its way');
my $owner = site(customer({ name => 'Ольга', phone => '70000007002', card => 'C-1' }, 'user 9'));
my $second = site(card($owner, 'C-2', 'user 9'));
is(sql("SELECT body ->> 'КодКартыШтрихкод' FROM onec.outbox WHERE key = '$second' AND operation = 'create'"), 'C-2', 'nor a card of the key of a customer');
is(site(card($owner, 'C-2', 'user 9')), $second, '… its own call has');
like(refused(customer({ name => 'Ольга', phone => '70000007003', card => 'C-1' }, 'user 9')), qr/23505: the idempotency key/, 'another customer by the same key is refused');
unlike(refused(customer({ name => 'Ольга', phone => '70000007003', card => 'C-1' }, 'user 9')), qr/Ольга|7003/, '… and not told');
my $dead = site(customer({ name => 'Никто', phone => '70000007004' }, 'user 10'));
skip("key = '$dead'");
my $alive = site(customer({ name => 'Никто', phone => '70000007004' }, 'user 10'));
is(sql("SELECT count(*) FROM onec.outbox WHERE key = '$alive' AND operation = 'create'"), '1', 'a customer who was skipped is queued anew by the same key');
is(site(customer({ name => 'Никто', phone => '70000007004' }, 'user 10')), $alive, '… once');
deliver();

# ---- a card without owner goes to one ----
my ($nobodys, $freed) = map { $_->{КодКартыШтрихкод} } map { object($CARDS, $_) } split /\n/,
	sql("SELECT card_id FROM onec.discount_card WHERE owner_id IS NULL AND NOT is_deleted AND deletion_mark IS NOT TRUE AND is_invalid IS NOT TRUE AND barcode <> '' ORDER BY card_id LIMIT 2");
my $first = site(card($p, $nobodys));
like(refused(card($owner, $nobodys)), qr/23505: the card of this bar code is somebody else's/, 'the second who asks for a card without owner is refused');
is(site(card($p, $nobodys)), $first, '… the first has it');
is(site(customer({ name => 'Кто-то', card => $nobodys })), $p, '… and is known by it');
skip("entity_set = '$CARDS'");
is(site(card($owner, $nobodys)), $first, 'skipped, it is anybody\'s again');
deliver();
is(object($CARDS, $first)->{ВладелецКарты_Key}, $owner, '… and theirs in 1C');

# ---- a telephone that nobody has any more ----
site("change_contact('shop', '$p', phone => '70000007011')");
is(site(customer({ name => 'Павел', phone => '70000007001' })), $p, 'while a change is on its way the old number is still theirs');
deliver();
my $new = site(customer({ name => 'Роман', phone => '70000007001' }));
isnt($new, $p, 'a number that 1C has nowhere any more is free');
is(site(customer({ name => 'Роман', phone => '70000007001' })), $new, '… for one');
is(site(customer({ name => 'Павел', phone => '70000007011' })), $p, '… and the new number is known');
like(refused("change_contact('shop', '$owner', phone => '70000007011')"), qr/23505: the telephone is another customer's/, 'nobody gets the number of somebody who is in the store');
like(refused("change_contact('shop', '$owner', phone => '8 000 000 70 01')"), qr/23505: the telephone is another customer's/, '… nor of somebody on the way');
is(site("change_contact('shop', '$p', phone => '70000007011')"), $p, 'their own they may have');
deliver();

# ---- no value in a message ----
for my $moment ('33.01.1990 10:00:00Z', '05.06.1990 12:00:00+03', '1990-13-01T10:00:00Z', '1990-01-01T25:00:00+03:00')
{
	my $told = refused(customer({ name => 'Д', phone => '70000007012', birth_date => $moment }));
	like($told, qr/22023: "ДатаРождения" of .* is a date/, "refused by name: $moment");
	unlike($told, qr/1990/, '… unsaid');
}
my $logged = join '', grep { !/LOG:|STATEMENT:/ } split /^/, OnecTest->contents($node->logfile);
unlike($logged, qr/33\.01\.1990|25:00:00/, '… in the log, too');

# ---- one row of a kind is changed, and the others stay ----
is(sql("SELECT string_agg(r ->> 'p', ',') FROM jsonb_array_elements(onec_internal.merged_rows('[{\"t\": \"a\", \"p\": 1}, {\"t\": \"a\", \"p\": 2}, {\"t\": \"b\", \"p\": 3}]', '[{\"t\": \"a\", \"p\": 9}]', '{t}')) r"), '9,2,3',
	'of two telephones the first is changed');

# ---- forgotten with the keys that name them ----
my $anna = site(customer({ name => 'Забытая Анна', phone => '70000007021' }, 'tel 70000007021'));
site("change_contact('shop', '$anna', email => 'anna\@shop.example', idempotency => 'Забытая')");
sql("SELECT onec.enqueue('shop', '$CUSTOMERS', 'patch', '$anna', '{\"Комментарий\": \"x\"}', idempotency => 'by hand 7000000-70-21')");
sql("SELECT onec.enqueue('shop', '$CUSTOMERS', 'patch', '$anna', '{\"Комментарий\": \"y\"}', idempotency => 'job 5')");
deliver();
sql("SELECT * FROM onec.forget('70000007021')");
is(sql("SELECT count(*) FROM $_ t WHERE t::text ~ '70000007021|7000000-70-21|Забыт'"), '0', "forgotten: $_") for qw(onec.outbox_history onec_internal.outbox_key onec_internal.site_call onec_internal.site_person);
is(sql("SELECT count(*) FROM onec_internal.outbox_key WHERE idempotency = 'job 5'"), '1', 'a key that names nobody still does what it is for');

# ---- orders that no sum belongs to; NULL is no answer ----
my ($product) = split /\n/, sql("SELECT product_id FROM onec.product WHERE is_folder IS NOT TRUE LIMIT 1");
sub order { my ($line, $besides) = @_; return "place_order('shop', " . said({ customer => $owner, lines => [ { product => $product, quantity => 1, price => 5, %$line } ] }) . ($besides // '') . ')'; }
like(refused(order({ quantity => 1e-9 })), qr/22023: "quantity" of line 1 of the order is out of range/, 'a quantity whose sum rounds to nothing');
like(refused(order({ price => 1e300 })), qr/22023: "price" of line 1 of the order is out of range/, 'a price that no number of 1C holds');
is(OnecTest->try_text($node, 'BEGIN; SELECT onec.' . order({ price => 0 }) . '; ROLLBACK')->{sqlstate}, '00000', 'what is free is free');
like(refused("award_points('shop', '$card', $_)"), qr/22023: points must be a number/, "points: $_") for '1e-9', '1e300';
my $order = site(order({}, ', post => NULL'));
is(sql("SELECT string_agg(operation, ',' ORDER BY id) FROM onec.outbox WHERE key = '$order'"), 'create,post', 'to post is what is not said');

$node->stop;
done_testing();
