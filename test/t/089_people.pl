# People in what is kept: messages of failed steps tell what and where, never a value or a row; whoever is forgotten leaves them, and no
# refresh that is under way brings anybody back.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('people', conf => "max_prepared_transactions = 4\n");

sub run { return OnecTest->try_text($node, @_); }
sub sql { return OnecTest->rows($node, @_); }

# ---- S2: what is kept of an error ----
my $stub = OnecTest->stub(<<'PY');
PERSON = {"Ref_Key": guid(62), "Description": "Небылицына Устинья", "НаименованиеПолное": "Небылицына Устинья Ильинична", "Телефон": "+7 000 770-00-62",
          "Email": "ustinya@shop.example", "ДатаРождения": "1988-03-08T00:00:00", "Пол": "Женский", "Сумма": 1250.5}

def answer(r):
    fault = mode.get("fault", "")
    if not r.path.startswith("Catalog_Контрагенты"):
        return serve(r, [])
    row = dict(PERSON)
    if fault == "null":
        row["Ref_Key"] = None
    elif fault == "date":
        row["ДатаРождения"] = "8 марта Устинья"
    elif fault == "number":
        row["Сумма"] = "Устинья"
    elif fault == "digits":
        row["Сумма"] = 770006.2345
    elif fault == "uuid":
        row["Ref_Key"] = "Устинья"
    elif fault == "enum":
        row["Пол"] = "Устинья"
    elif fault == "nested":
        row["Description"] = {"Имя": "Устинья"}
        row["Сумма"] = {"Имя": "Устинья"}
    elif fault == "object":
        return 200, row
    elif fault == "array":
        return 200, json.dumps([row], ensure_ascii=False), {"Content-Type": "application/json"}
    elif fault == "plain":
        return 200, json.dumps(row["Description"], ensure_ascii=False), {"Content-Type": "application/json"}
    elif fault == "twice":
        return [row, dict(row, Description="Небылицына-Вторая Устинья")]
    return serve(r, [row])
PY

OnecTest->server($node, $stub, name => 'st', options => "timezone 'Europe/Moscow', retries '0'");
sql(q{
	CREATE TYPE public.gender AS ENUM ('Мужской', 'Женский');
	CREATE SCHEMA st;
	CREATE FOREIGN TABLE st.discount_card (card_id uuid OPTIONS (property 'Ref_Key', edm_type 'Guid')) SERVER st OPTIONS (entity_set 'Catalog_Карты', key 'Ref_Key');
	CREATE FOREIGN TABLE st.counterparty (customer_id uuid OPTIONS (property 'Ref_Key', edm_type 'Guid'), name text OPTIONS (property 'Description', edm_type 'String'),
		full_name text OPTIONS (property 'НаименованиеПолное', edm_type 'String'), phone text OPTIONS (property 'Телефон', edm_type 'String'),
		email text OPTIONS (property 'Email', edm_type 'String'), birth_date timestamp OPTIONS (property 'ДатаРождения', edm_type 'DateTime'),
		gender text OPTIONS (property 'Пол', edm_type 'String'))
		SERVER st OPTIONS (entity_set 'Catalog_Контрагенты', key 'Ref_Key');
	CREATE FOREIGN TABLE st.wallet (amount numeric(10,2) OPTIONS (property 'Сумма'), total int OPTIONS (property 'Сумма'), gender public.gender OPTIONS (property 'Пол'),
		born date OPTIONS (property 'ДатаРождения'), id uuid OPTIONS (property 'Ref_Key'), short varchar(5) OPTIONS (property 'Description'), seen interval OPTIONS (property 'Description'))
		SERVER st OPTIONS (entity_set 'Catalog_Контрагенты', key 'Ref_Key')});

my $person = qr/Устинь|Небылиц|ustinya|770-00-62|0007700062|1988|марта|770006/;

# Every word that readers may see of a run.
sub kept
{
	return sql(q{SELECT concat_ws(E'\n', (SELECT string_agg(t::text, E'\n') FROM onec.sync_run t), (SELECT string_agg(t::text, E'\n') FROM onec.sync_step t),
		(SELECT string_agg(t::text, E'\n') FROM onec.sync_status t), (SELECT string_agg(t::text, E'\n') FROM onec.data_quality t),
		(SELECT string_agg(t::text, E'\n') FROM onec.loyalty_rule t), (SELECT string_agg(t::text, E'\n') FROM onec.schedule_status t))});
}

my $seen = -s $node->logfile;
my %told = (null => qr/./, date => qr/birth_date/, nested => qr/column "name"|value of 1C|./, object => qr/list|properties|answer/, array => qr/answer/, plain => qr/answer/,
	uuid => qr/column "customer_id"/);
for my $fault (sort keys %told)
{
	$stub->mode(fault => $fault);
	my $r = run("CALL onec.sync('st', steps => '{counterparties}')");
	my $step = sql("SELECT status, error_code, message FROM onec.sync_status WHERE target = 'counterparty'");

	next if $fault eq 'nested' && $step =~ /^ok/;
	like($step, qr/^(?:failed|incomplete)\|(?:\w{5})?\|.*$told{$fault}/, "S2: $fault: the step failed and tells where");
	unlike("$r->{stderr}\n$step", $person, "S2: $fault: no value, no row in it, nor in what the client is told");
}
$stub->mode(fault => '');
my %objects = (
	check => ["ALTER TABLE onec.counterparty ADD CONSTRAINT only_short CHECK (length(name) < 5)", "ALTER TABLE onec.counterparty DROP CONSTRAINT only_short", qr/23514\|.*only_short/],
	unique => ["INSERT INTO onec.counterparty (server, customer_id, name, phone) VALUES ('other', gen_random_uuid(), 'x', '+7 000 770-00-62');
			CREATE UNIQUE INDEX one_phone ON onec.counterparty (phone)", "DROP INDEX onec.one_phone; DELETE FROM onec.counterparty WHERE server = 'other'", qr/23505\|.*one_phone/],
	trigger => ["CREATE OR REPLACE FUNCTION public.checks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE check_violation USING MESSAGE = ''bad row '' || NEW::text; END';
			CREATE TRIGGER checks BEFORE INSERT ON onec.counterparty FOR EACH ROW EXECUTE FUNCTION public.checks()", 'DROP TRIGGER checks ON onec.counterparty', qr/23514\|.*not kept/],
	raise => ["CREATE OR REPLACE FUNCTION public.checks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''%'', NEW.name USING DETAIL = NEW.phone, HINT = NEW.email; END';
			CREATE TRIGGER checks BEFORE INSERT ON onec.counterparty FOR EACH ROW EXECUTE FUNCTION public.checks()", 'DROP TRIGGER checks ON onec.counterparty', qr/P0001\|.*not kept/],
	cast => ["CREATE OR REPLACE FUNCTION public.checks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.birth_date := (NEW.name)::timestamp; RETURN NEW; END';
			CREATE TRIGGER checks BEFORE INSERT ON onec.counterparty FOR EACH ROW EXECUTE FUNCTION public.checks()", 'DROP TRIGGER checks ON onec.counterparty', qr/22007\|/],
	long => ["ALTER TABLE onec.counterparty ALTER COLUMN name TYPE varchar(5)", "ALTER TABLE onec.counterparty ALTER COLUMN name TYPE text", qr/22001\|.*too long/]);
for my $name (sort keys %objects)
{
	my ($make, $unmake, $told) = @{ $objects{$name} };

	next if $name eq 'long' && run("BEGIN; $make; ROLLBACK")->{sqlstate} ne '00000';
	sql("DELETE FROM onec.counterparty; $make");
	my $r = run("CALL onec.sync('st', steps => '{counterparties}')");
	my $step = sql("SELECT status, error_code, message FROM onec.sync_status WHERE target = 'counterparty'");
	sql($unmake);
	like($step, qr/^failed\|$told/, "S2: $name of the owner's: what and where is kept");
	unlike("$r->{stderr}\n$step", $person, "S2: $name: no value, no row");
}
unlike(kept(), $person, 'S2: nothing that readers see names a person after all of them');
{
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $seen);

	utf8::decode($log);
	unlike($log, qr/WARNING[^\n]*\n?[^\n]*(?:$person)/, 'S2: nor does a warning in the log of the server');
}
# the wrapper's own errors, for whoever asks: the value in DETAIL only
for my $case ([ number => 'amount' ], [ digits => 'amount' ], [ number => 'total' ], [ digits => 'total' ], [ enum => 'gender' ], [ date => 'born' ], [ uuid => 'id' ], [ '' => 'short' ], [ '' => 'seen' ], [ nested => 'amount' ])
{
	my ($fault, $column) = @$case;

	$stub->mode(fault => $fault);
	my $r = run("SELECT $column FROM st.wallet");
	my ($message) = $r->{stderr} =~ /ERROR:  (.*)/;
	like($r->{sqlstate}, qr/^22/, "a value of 1C that is no $column ($fault)");
	unlike($message || '', $person, '… is not in the message');
	like($r->{stderr}, qr/DETAIL:  1C sent .+\n(?s:.*)column "$column" \(property/, '… but in DETAIL, with the column');
}
$stub->mode(fault => '');

# ---- forget takes people out of messages that an earlier version, or 1C, has put there ----
sql("CALL onec.sync('st', steps => '{counterparties}')");
sql(q{
	INSERT INTO onec.sync_run (server, started_at, status, pid, message) VALUES
		('st', now(), 'failed', 1, 'counterparty: null value: Failing row contains (st, null, Небылицына Устинья, 1988)'),
		('st', now(), 'failed', 1, 'invalid input syntax for type bigint: "8 (000) 770-00-62"'), ('st', now(), 'failed', 1, 'НЕБЫЛИЦЫНА заблокирована'),
		('st', now(), 'failed', 1, 'card of USTINYA@shop.example'), ('st', now(), 'failed', 1, 'row 00000000-0000-4000-8000-00000000003e'),
		('st', now(), 'failed', 1, 'could not read "Catalog_Контрагенты" of server "st": no answer in time'), ('other', now(), 'failed', 1, 'Устинья');
	INSERT INTO onec.sync_step (server, run_id, ordinal, step, target, status, message) VALUES ('st', 1000, 1, 'counterparties', 'counterparty', 'failed', 'bad row Устинья');
	INSERT INTO onec.loyalty_rule VALUES ('st', 'signed', 0, 0, 'Баланс: Устинья', now())});
like(sql("SELECT string_agg(table_name || ' ' || rows, ', ' ORDER BY 1) FROM onec.forget('00000000-0000-4000-8000-00000000003e', 'st')"),
	qr/counterparty 1, loyalty_rule 1, sync_run 5, sync_step 1/, 'S2: forget says which messages it has emptied');
unlike(sql("SELECT string_agg(concat_ws(' ', r.message, s.message, l.message), E'\n') FROM onec.sync_run r FULL JOIN onec.sync_step s USING (server, run_id) FULL JOIN onec.loyalty_rule l USING (server) WHERE server = 'st'"),
	$person, '… and none of them tells of the person');
is(sql("SELECT count(*) FROM onec.sync_run WHERE message ~ 'no answer in time' OR server = 'other' AND message = 'Устинья'"), 2, '… what does not tell of them, and that of others, stays');
$stub->stop;

# ---- S8: refreshed while somebody is forgotten ----
my $onec = OnecTest->onec('--customers', 160, '--seed', 5);
OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1'");
sql("SELECT onec.setup('shop')");
sql("CALL onec.sync('shop', full_reload => true)");
sql("SELECT * FROM onec.refresh_models('shop')");
my %refresher = (
	refresh_recommendations => ['recommendation_feed'], refresh_rfm => ['customer_rfm'], refresh_profiles => ['customer_profile'],
	refresh_outlook => [ 'customer_affinity', 'customer_outlook' ], refresh_value => ['customer_value'], refresh_people => [ 'customer_card', 'site_user' ]);
is(sql("SELECT string_agg(proname, ',' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'onec'::regnamespace AND proname ~ '^refresh_'"),
	join(',', sort(grep({ $_ ne 'refresh_people' } keys %refresher), 'refresh_models', 'refresh_pairs')), 'the refreshers are those that are tried here (pairs tell of goods only)');

# Until the statement waits for a lock, or has come to its end and printed what it had to.
sub settled
{
	my ($b) = @_;

	return OnecTest->wait_for(
		sub {
			$b->{run}->pump_nb;
			return $b->{out} ne ''
			  || $b->{err} =~ /ERROR/
			  || $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = '$b->{name}' AND wait_event_type = 'Lock'");
		},
		"$b->{name} to wait or end", 120);
}

for my $name (sort keys %refresher)
{
	my @tables = @{ $refresher{$name} };
	my $id = sql("SELECT u.user_id FROM onec.site_user u WHERE u.server = 'shop' AND " . join(' AND ', map({ "EXISTS (SELECT FROM onec.$_ t WHERE t.server = 'shop' AND t."
				. ($_ =~ /^customer_card|site_user/ ? 'user_id' : 'customer_id') . ' = u.user_id)' } @tables)) . ' ORDER BY 1 LIMIT 1');

	isnt($id, '', "$name has made rows of somebody") or next;
	# preferences are shown by a view
	sql('DELETE FROM ' . ($_ eq 'customer_affinity' ? 'onec_internal.customer_taste' : "onec.$_") . " WHERE server = 'shop'") for @tables;
	# one forgets and has not committed, the other begins
	sql("BEGIN; SELECT count(*) FROM onec.forget('$id', 'shop'); PREPARE TRANSACTION 'forget'");
	my $b = OnecTest->background($node, 'SELECT * FROM ' . ($name eq 'refresh_people' ? 'onec_internal' : 'onec') . ".$name('shop')");
	settled($b);
	sql("COMMIT PREPARED 'forget'");
	is($b->wait->{sqlstate}, '00000', "S8: $name while somebody is forgotten");
	is(sql("SELECT " . join(' + ', map({ "(SELECT count(*) FROM onec.$_ t WHERE t::text ~ '$id')" } @tables))), 0, '… leaves nothing of them');
	cmp_ok(sql("SELECT count(*) FROM onec.$tables[0] WHERE server = 'shop'"), '>', 3, '… and the others are there');
}
# a refresh that has looked already, and waits to write
for my $table ('recommendation_feed', 'customer_rfm')
{
	my ($name) = grep { $refresher{$_}[0] eq $table } keys %refresher;
	my ($id, $other) = split /\n/, sql("SELECT DISTINCT customer_id FROM onec.$table WHERE server = 'shop' ORDER BY 1 LIMIT 2");
	my $wrong = $table eq 'customer_rfm' ? 'monetary = 1' : 'score = -1';

	sql("DELETE FROM onec.$table WHERE customer_id = '$id'; UPDATE onec.$table SET $wrong WHERE customer_id = '$other'");
	sql("BEGIN; SELECT count(*) FROM (SELECT FROM onec.$table WHERE customer_id = '$other' FOR UPDATE) x; PREPARE TRANSACTION 'hold'");
	my $refresh = OnecTest->background($node, "SELECT * FROM onec.$name('shop')");
	settled($refresh);
	my $forget = OnecTest->background($node, "SELECT * FROM onec.forget('$id', 'shop')");
	settled($forget);
	sql("ROLLBACK PREPARED 'hold'");
	is($refresh->wait->{sqlstate} . ' ' . $forget->wait->{sqlstate}, '00000 00000', "S8: forgotten while $name waits to write");
	is(sql("SELECT count(*) FROM onec.$table t WHERE t::text ~ '$id'"), 0, '… leaves nothing of them');
}
is(run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM onec.refresh_rfm('shop')")->{sqlstate}, '25000', 'S8: not from a state older than the lock');
sql("CALL onec.sync('shop')");
is(sql("SELECT count(*) FROM onec.forgotten f JOIN onec.customer_profile p ON p.server = f.server AND p.customer_id = f.id"), 0, 'S8: nor does the next sync bring anybody back');

$node->stop;
$onec->stop;
done_testing();
