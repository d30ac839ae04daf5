# INSERT, UPDATE, DELETE and COPY on foreign tables: a table of cases, each of which works or refuses by name.
#
# Nothing is sent here: what the statements queue is looked at, in the transaction and after it.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 10, '--seed', 3);
my $node = OnecTest->node('modify');
my $CARDS = 'c."Catalog_ДисконтныеКарты"';

sub sql { return OnecTest->rows($node, @_); }

# What is queued since the last call: operation, key (beginning), body, each in a line of its own.
sub queued
{
	return sql(q{WITH gone AS (DELETE FROM onec.outbox RETURNING id, entity_set, operation, key, body)
		SELECT operation || ' ' || left(key::text, 8) || coalesce(' ' || body::text, '') FROM gone ORDER BY id});
}

# A statement that is refused, and with which words.
sub refused
{
	my ($statement, $state, $words, $what) = @_;
	my $answer = OnecTest->try_text($node, $statement);

	is($answer->{sqlstate}, $state, $what);
	like($answer->{stderr}, $words, "… $what: and says why");
	is(queued(), '', '… and queues nothing');
	return;
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow'");
sql(q{CREATE SCHEMA c; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO c OPTIONS (names 'exact', tabular 'on', functions 'on')});
my $card = sql(qq{SELECT "Ref_Key" FROM $CARDS WHERE NOT "DeletionMark" ORDER BY 1 LIMIT 1});
my $short = substr($card, 0, 8);
my $cards = sql(qq{SELECT count(*) FROM $CARDS});

# ---- read only is the default ----
refused(qq{INSERT INTO $CARDS ("Description") VALUES ('x')}, '55000', qr/foreign table "Catalog_ДисконтныеКарты" is read only.*updatable 'on'/s, 'a server is read only until its owner says otherwise');
is(sql(q{SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'Catalog_ДисконтныеКарты'}), 'NO', '… and looks so');
sql(q{ALTER SERVER shop OPTIONS (ADD updatable 'on')});
sql(q{SELECT * FROM onec.setup('shop')});
is(sql(q{SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'Catalog_ДисконтныеКарты'}), 'YES', 'updatable: the table says so');
is(sql(q{SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'AccumulationRegister_Продажи_Turnovers'}), 'NO', '… but not what 1C computes');

# ---- what can be written ----
my $MARKED = '{"DeletionMark": true}';
my $OWN = '11111111-0000-4000-8000-000000000000';
is(sql(qq{INSERT INTO $CARDS ("Ref_Key", "Description", "КодКартыШтрихкод", "КартаНедействительна") VALUES ('$OWN', 'Карта', '70000000001', NULL)
	RETURNING "Ref_Key", "Description", "Code" IS NULL}), "$OWN|Карта|t", 'INSERT … RETURNING: the key that was given');
is(queued(), 'create 11111111 {"Description": "Карта", "КодКартыШтрихкод": "70000000001"}', '… is queued under it, without what is NULL');
like(sql(qq{INSERT INTO $CARDS ("Description") VALUES ('a'), ('b') RETURNING "Ref_Key"}), qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}\n[0-9a-f]{8}-\S{27}$/, 'rows without a key are given one');
like(queued(), qr/^create \w+ \{"Description": "a"\}\ncreate \w+ \{"Description": "b"\}$/, '… and are queued in their order');
is(sql(qq{UPDATE $CARDS SET "Description" = "Description" || '!' WHERE "Ref_Key" = '$card' RETURNING right("Description", 1), "Ref_Key"}), "!|$card", 'UPDATE … RETURNING');
like(queued(), qr/^patch $short \{"Description": "[^"]+!"\}$/, '… only what is set, whatever else was read');
sql(qq{UPDATE $CARDS SET "ВладелецКарты_Key" = NULL, "КодКартыШтрихкод" = NULL WHERE "Ref_Key" = '$card'});
is(queued(), qq(patch $short {"ВладелецКарты_Key": "00000000-0000-0000-0000-000000000000", "КодКартыШтрихкод": ""}), 'NULL is written as what 1C has for it');
is(sql(qq{DELETE FROM $CARDS WHERE "Ref_Key" = '$card' RETURNING "Ref_Key", "Code" IS NOT NULL}), "$card|t", 'DELETE … RETURNING: what the row was');
is(queued(), "mark $short $MARKED", '… is marked');
sql(qq{CREATE TABLE mine (card uuid, name text); INSERT INTO mine VALUES ('$card', 'из таблицы')});
sql(qq{UPDATE $CARDS k SET "Description" = m.name FROM mine m WHERE k."Ref_Key" = m.card});
is(queued(), qq(patch $short {"Description": "из таблицы"}), 'UPDATE … FROM');
sql(qq{DELETE FROM $CARDS k USING mine m WHERE k."Ref_Key" = m.card});
is(queued(), "mark $short $MARKED", 'DELETE … USING');
sql(qq{COPY $CARDS ("Ref_Key", "Description") FROM stdin;\n$OWN\tиз файла\n\\.\n});
is(queued(), 'create 11111111 {"Description": "из файла"}', 'COPY');
sql(qq{PREPARE put (uuid, text) AS INSERT INTO $CARDS ("Ref_Key", "Description") VALUES (\$1, \$2); SET plan_cache_mode = force_generic_plan;
	EXECUTE put('$OWN', '1'); EXECUTE put(gen_random_uuid(), '2')});
like(queued(), qr/^create 11111111 \{"Description": "1"\}\ncreate \w+ \{"Description": "2"\}$/, 'prepared, and planned once');
sql(qq{INSERT INTO $CARDS ("Ref_Key", "Description") SELECT card, name FROM mine});
is(queued(), qq(create $short {"Description": "из таблицы"}), 'INSERT … SELECT');
sql(qq{WITH gone AS (DELETE FROM $CARDS WHERE "Ref_Key" = '$card' RETURNING "Ref_Key") UPDATE mine SET name = 'ушла' FROM gone WHERE card = "Ref_Key"});
is(queued() . sql('SELECT name FROM mine'), "mark $short ${MARKED}ушла", 'WITH … RETURNING feeds another statement');
my $order = q(INSERT INTO c."Document_ЗаказПокупателя" ("Ref_Key", "Date", "СуммаДокумента", "Комментарий", "СуммаВключаетНДС", "СостояниеЗаказа", "СостояниеЗаказа_Type", "Запасы")
	VALUES ('11111111-0000-4000-8000-000000000000', '2026-11-28 12:00:00.75', 10.50, E'кавычка " и \\\\', true, '22222222-0000-4000-8000-000000000000', 'StandardODATA.Catalog_СостоянияЗаказовПокупателей', '[{"Количество": 2}]'));
sql($order);
is(queued(), 'create 11111111 {"Date": "2026-11-28T12:00:00", "Запасы": [{"Количество": 2}], "Комментарий": "кавычка \" и \\\\", "СуммаДокумента": 10.50, '
	. '"СостояниеЗаказа": "22222222-0000-4000-8000-000000000000", "СуммаВключаетНДС": true, "СостояниеЗаказа_Type": "StandardODATA.Catalog_СостоянияЗаказовПокупателей"}',
	'dates without their fraction, numbers as numbers, texts whole, composite values, tabular sections');

# ---- many rows at once ----
sql(q{ALTER SERVER shop OPTIONS (ADD batch_size '3')});
my $GROUP = '44444444-0000-4000-8000-000000000000';
my $people = q{c."Catalog_Контрагенты" ("Ref_Key", "Description", "Parent_Key")};
my $many = qq{INSERT INTO $people SELECT CASE i WHEN 2 THEN '$GROUP'::uuid END, 'П' || i, CASE WHEN i IN (1, 4, 7) THEN '$GROUP'::uuid END FROM generate_series(1, 7) i};
like(sql("EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) $many"), qr/Batch Size: 3/, 'INSERT … SELECT: rows are queued several at once');
is(sql(q{WITH gone AS (DELETE FROM onec.outbox RETURNING *) SELECT body ->> 'Description' || ' ' || status || ' ' || cardinality(depends_on) || CASE WHEN depends_on <> '{}' THEN (SELECT ' ' || (p.body ->> 'Description')
	FROM gone p WHERE p.id = g.depends_on[1]) ELSE '' END FROM gone g ORDER BY id}),
	join("\n", 'П1 pending 0', 'П2 pending 0', 'П3 pending 0', 'П4 waiting 1 П2', 'П5 pending 0', 'П6 pending 0', 'П7 waiting 1 П2'),
	'… in their order; what names an object made before waits for it, of the same batch or another');
sql(qq{INSERT INTO $people VALUES ('$GROUP', 'первый', NULL), (NULL, 'второй', '$GROUP')});
is(sql('SELECT string_agg(status, $$ $$ ORDER BY id) FROM onec.outbox'), 'pending waiting', '… of the same batch');
queued();
sql(q{ALTER SERVER shop OPTIONS (DROP batch_size)});
is(sql(qq{SET track_functions = 'all'; INSERT INTO $CARDS ("Description") SELECT 'К' || i FROM generate_series(1, 1000) i; SELECT pg_stat_force_next_flush()}), '', '1000 rows');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_user_functions WHERE funcname = 'enqueue_new'") ne '0' }, 'statistics');
is(sql("SELECT calls FROM pg_stat_user_functions WHERE funcname = 'enqueue_new'") . ' ' . sql('SELECT count(*) FROM onec.outbox'), '10 1000', '… are ten calls');
sql('DELETE FROM onec.outbox');
refused(qq{INSERT INTO $CARDS ("Description", "КодКартыШтрихкод") SELECT 'К', repeat('7', CASE i WHEN 5 THEN 500 ELSE 1 END) FROM generate_series(1, 7) i}, '22023', qr/"КодКартыШтрихкод" of .* is a text of/, 'one of many rows that does not fit');
refused(qq{INSERT INTO $CARDS ("Ref_Key", "Description") SELECT CASE i WHEN 5 THEN '00000000-0000-0000-0000-000000000000'::uuid END, 'К' FROM generate_series(1, 7) i}, '22023', qr/needs the key/, 'one of many rows under the empty key');

# ---- in the transaction of the statement ----
sql(qq{BEGIN; INSERT INTO $CARDS ("Description") VALUES ('x'); ROLLBACK});
is(queued(), '', 'rolled back: nothing is queued');
sql(qq{BEGIN; INSERT INTO $CARDS ("Ref_Key", "Description") VALUES ('$OWN', '1'); SAVEPOINT s; INSERT INTO $CARDS ("Description") VALUES ('2'); ROLLBACK TO s; COMMIT});
is(queued(), 'create 11111111 {"Description": "1"}', 'a savepoint too');
is(sql(qq{EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO $CARDS ("Description") VALUES ('тайна')}) =~ /1C Write: queued in onec\.outbox/ ? 'told' : '', 'told', 'EXPLAIN (VERBOSE) tells where rows go');
is(queued(), '', '… and queues nothing');

# ---- triggers, views, partitions ----
sql(qq{CREATE TABLE seen (what text);
	CREATE FUNCTION named() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN NEW."Комментарий" := 'с сайта'; RETURN NEW; END \$\$;
	CREATE FUNCTION saw() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO seen VALUES (TG_OP || ' ' || coalesce(NEW."Ref_Key", OLD."Ref_Key") IS NOT NULL); RETURN NULL; END \$\$;
	CREATE TRIGGER named BEFORE INSERT OR UPDATE ON $CARDS FOR EACH ROW EXECUTE FUNCTION named();
	CREATE TRIGGER saw AFTER INSERT OR UPDATE OR DELETE ON $CARDS FOR EACH ROW EXECUTE FUNCTION saw()});
sql(qq{INSERT INTO $CARDS ("Description") VALUES ('x')});
like(queued(), qr/^create \w+ \{"Description": "x", "Комментарий": "с сайта"\}$/, 'a BEFORE trigger has its say');
sql(qq{UPDATE $CARDS SET "Description" = 'y' WHERE "Ref_Key" = '$card'});
is(queued(), qq(patch $short {"Description": "y", "Комментарий": "с сайта"}), '… of an UPDATE, too: what it changed is sent');
sql(qq{DELETE FROM $CARDS WHERE "Ref_Key" = '$card'});
is(queued() . sql('SELECT count(*) FROM seen'), "mark $short ${MARKED}3", 'AFTER triggers see the rows, those without a key of their own as well');
sql(qq{DROP TRIGGER named ON $CARDS; DROP TRIGGER saw ON $CARDS; CREATE VIEW card AS SELECT "Ref_Key" AS id, "Description" AS name FROM $CARDS;
	INSERT INTO card VALUES ('$OWN', 'через вид'); UPDATE card SET name = 'и так' WHERE id = '$card'});
is(queued(), qq(create 11111111 {"Description": "через вид"}\npatch $short {"Description": "и так"}), 'a simple view is written through');
sql(qq{CREATE VIEW owner AS SELECT k."Ref_Key" AS id, k."Description" AS name, o."Description" AS owner FROM $CARDS k JOIN c."Catalog_Контрагенты" o ON o."Ref_Key" = k."ВладелецКарты_Key";
	CREATE FUNCTION renamed() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN UPDATE $CARDS SET "Description" = NEW.name WHERE "Ref_Key" = OLD.id; RETURN NEW; END \$\$;
	CREATE TRIGGER renamed INSTEAD OF UPDATE ON owner FOR EACH ROW EXECUTE FUNCTION renamed()});
my $owned = sql('SELECT id FROM owner ORDER BY 1 LIMIT 1');
sql(qq{UPDATE owner SET name = 'вместо' WHERE id = '$owned'});
is(queued(), 'patch ' . substr($owned, 0, 8) . ' {"Description": "вместо"}', 'a view with INSTEAD OF');
sql(q{CREATE TABLE wanted ("Ref_Key" uuid, "Description" text, kind text) PARTITION BY LIST (kind);
	CREATE FOREIGN TABLE wanted_card PARTITION OF wanted FOR VALUES IN ('card') SERVER shop OPTIONS (entity_set 'Catalog_ДисконтныеКарты', key 'Ref_Key');
	ALTER FOREIGN TABLE wanted_card ALTER kind OPTIONS (missing_property 'null'); CREATE TABLE wanted_else PARTITION OF wanted DEFAULT});
sql(qq{INSERT INTO wanted VALUES ('$OWN', 'в часть', 'card'), (NULL, 'здесь', 'else')});
is(queued() . sql('SELECT count(*) FROM wanted_else'), 'create 11111111 {"Description": "в часть"}1', 'rows are routed to a partition');

sql(q{UPDATE wanted SET kind = 'card' WHERE kind = 'else' AND "Description" = 'здесь'});
like(queued() . sql('SELECT count(*) FROM wanted_else'), qr/^create \w+ \{"Description": "здесь"\}0$/, '… and moved to one');
sql(q{CREATE FOREIGN TABLE labelled ("Ref_Key" uuid, "Description" text, label text GENERATED ALWAYS AS ('№ ' || "Description") STORED) SERVER shop OPTIONS (entity_set 'Catalog_ДисконтныеКарты', key 'Ref_Key')});
is(sql(qq{INSERT INTO labelled ("Ref_Key", "Description") VALUES ('$OWN', '1') RETURNING label; UPDATE labelled SET "Description" = '2' WHERE "Ref_Key" = '$card' RETURNING label}), "№ 1\n№ 2", 'generated columns are computed');
is(queued(), qq(create 11111111 {"Description": "1"}\npatch $short {"Description": "2"}), '… and not sent');

# ---- programs, other sessions ----
sql(qq{DO \$\$ DECLARE r record; BEGIN
	FOR r IN SELECT "Ref_Key" AS id FROM $CARDS WHERE "Ref_Key" = '$card' LOOP
		UPDATE $CARDS SET "Description" = 'цикл' WHERE "Ref_Key" = r.id;
		BEGIN INSERT INTO $CARDS ("Description") VALUES ('отменено'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END;
	END LOOP; END \$\$});
is(queued(), qq(patch $short {"Description": "цикл"}), 'a loop of PL/pgSQL; what a handler undoes is not queued');
sql(qq{CREATE TABLE lots AS SELECT i FROM generate_series(1, 2000) i; ANALYZE lots; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
	INSERT INTO $CARDS ("Description") SELECT 'К' || count(*) FROM lots; UPDATE $CARDS SET "Description" = 'К' || (SELECT max(i) FROM lots) WHERE "Ref_Key" = '$card'});
like(queued(), qr/^create \w+ \{"Description": "К2000"\}\npatch $short \{"Description": "К2000"\}$/, 'where other plans would be parallel');
sql(qq{DELETE FROM mine; INSERT INTO mine VALUES ('$card', 'до')});
my $first = OnecTest->background($node, q{BEGIN; UPDATE mine SET name = 'после'; SELECT pg_sleep(60)});
my $first_pid = $first->pid;
my $second = OnecTest->background($node, qq{UPDATE mine m SET name = m.name || ' ' || (k."Ref_Key" = m.card) FROM $CARDS k WHERE k."Ref_Key" = m.card AND m.name <> 'x'; UPDATE $CARDS k SET "Description" = m.name FROM mine m WHERE k."Ref_Key" = m.card}, name => 'second');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock'") eq '1' }, 'the lock');
sql("SELECT pg_cancel_backend($first_pid)");
$_->wait for $first, $second;
is(queued(), qq(patch $short {"Description": "до true"}), 'a row that another session held, and gave back: looked at again beside the row of 1C');

# ---- what is refused, by name ----
my @REFUSED = (
	[ qq{INSERT INTO $CARDS ("Ref_Key", "Description") VALUES ('$OWN', 'x') ON CONFLICT DO NOTHING}, '0A000', qr/ON CONFLICT is not supported.*Ref_Key/s, 'ON CONFLICT' ],
	[ q{INSERT INTO c."AccumulationRegister_Продажи_Turnovers" DEFAULT VALUES}, '0A000', qr/"AccumulationRegister_Продажи_Turnovers" cannot be written.*virtual table/s, 'a virtual table' ],
	[ q{DELETE FROM c."AccumulationRegister_Продажи_RecordType"}, '0A000', qr/written by the document/, 'records of a register' ],
	[ q{UPDATE c."Catalog_Контрагенты_КонтактнаяИнформация" SET "Тип" = 'x'}, '0A000', qr/written with their owner/, 'rows of a tabular section' ],
	[ q{INSERT INTO c."InformationRegister_ЦеныНоменклатуры" ("Цена") VALUES (1)}, '0A000', qr/objects with a reference/, 'records of an information register' ],
	[ q{UPDATE wanted SET kind = 'else' WHERE kind = 'card'}, '0A000', qr/column "kind" cannot be written.*no such property/s, 'a row moved out of a partition' ],
	[ qq{BEGIN; DECLARE k CURSOR FOR SELECT * FROM $CARDS; FETCH k; UPDATE $CARDS SET "Description" = 'x' WHERE CURRENT OF k}, '0A000', qr/WHERE CURRENT OF is not supported/, 'WHERE CURRENT OF' ],
	[ q{UPDATE labelled SET label = 'x'}, '428C9', qr/column "label" can only be updated to DEFAULT/, 'a generated column' ],
	[ qq{UPDATE $CARDS SET "Ref_Key" = '$OWN'}, '0A000', qr/"Ref_Key" cannot be changed/, 'another key' ],
	[ qq{UPDATE $CARDS SET "DataVersion" = 'x'}, '0A000', qr/"DataVersion" cannot be written/, 'the version' ],
	[ qq{INSERT INTO $CARDS ("DataVersion") VALUES ('x')}, '0A000', qr/"DataVersion" cannot be written/, '… of an INSERT' ],
	[ q{UPDATE c."Document_ЗаказПокупателя" SET "Posted" = true}, '0A000', qr/"Posted" cannot be written.*post_document/s, 'posting by a column' ],
	[ q{INSERT INTO c."Document_ЗаказПокупателя" ("СуммаДокумента") VALUES ('NaN')}, '22003', qr/no such number/, 'NaN' ],
	[ q{INSERT INTO c."Document_ЗаказПокупателя" ("Date") VALUES ('infinity')}, '22008', qr/no such date/, 'a date that 1C has not' ],
	[ qq{TRUNCATE $CARDS}, '0A000', qr/cannot truncate/, 'TRUNCATE' ],
	[ q{MERGE INTO c."Catalog_ДисконтныеКарты" k USING mine m ON k."Ref_Key" = m.card WHEN MATCHED THEN UPDATE SET "Description" = m.name}, '0A000', qr/cannot execute MERGE/, 'MERGE' ],
);
refused(@$_) for @REFUSED;
sql(q{ALTER FOREIGN TABLE c."Catalog_ДисконтныеКарты" OPTIONS (ADD updatable 'off')});
refused(qq{DELETE FROM $CARDS}, '55000', qr/read only/, 'one table of an open server may be closed');
sql(q{ALTER FOREIGN TABLE c."Catalog_ДисконтныеКарты" OPTIONS (SET updatable 'on'); ALTER SERVER shop OPTIONS (SET updatable 'off')});
sql(qq{INSERT INTO $CARDS ("Ref_Key", "Description") VALUES ('$OWN', 'x')});
is(queued(), 'create 11111111 {"Description": "x"}', '… or be opened alone');

is(sql(qq{SELECT count(*) FROM $CARDS}), $cards, 'and 1C was asked for nothing but rows');
is_deeply($onec->control('GET', '/stored?since=0'), [], '… nothing is written there');
$node->stop;
done_testing();
