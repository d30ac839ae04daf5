# Foreign tables of write_mode 'direct': rows are sent to 1C at once, RETURNING tells what 1C made of them, and ROLLBACK does not undo
# it; what DELETE does (delete_mode), in both modes.  A table of cases, each of which works or refuses by name.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 10, '--seed', 3);
my $node = OnecTest->node('direct', conf => "log_statement = 'none'\n");
my ($SET, $CARDS) = ('Catalog_ДисконтныеКарты', 'c."Catalog_ДисконтныеКарты"');
my ($PHONE, $OWN) = ('70001234567', '11111111-0000-4000-8000-000000000000');
my $UUID = qr/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

sub sql { return OnecTest->rows($node, @_); }
sub try { return OnecTest->try_text($node, @_); }
sub escape { my ($text) = @_; utf8::encode($text); return $text =~ s/([^\w])/sprintf('%%%02X', ord $1)/ger; }
sub object { my ($key, $set) = @_; my $row = $onec->control('GET', '/object?set=' . escape($set || $SET) . "&key=$key"); return ref $row ? $row : undef; }
sub modes { $onec->control('POST', '/modes', {@_}); return; }
sub fault { $onec->control('POST', '/faults', {@_}); return; }
sub calm { $onec->control('POST', "/$_/clear", {}) for qw(faults modes); return; }

# What was asked since the last call: methods of what changes.
my $asked = 0;
sub sent
{
	my $log = $onec->control('GET', "/log?since=$asked");
	$asked = $log->[-1]{n} if @$log;
	return join(' ', grep { $_ ne 'GET' } map { $_->{method} } @$log);
}

# A statement that is refused before anything is sent, and with which words.
sub refused
{
	my ($statement, $state, $words, $what, %as) = @_;
	sent();
	my $answer = try($statement, %as);

	is($answer->{sqlstate}, $state, $what);
	like($answer->{stderr}, $words, "… $what: and says why");
	is(sent(), '', '… and sends nothing');
	return;
}

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', updatable 'on', write_mode 'direct'");
sql(q{CREATE SCHEMA c; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO c OPTIONS (names 'exact', tabular 'on', functions 'on')});
sql("SELECT onec_internal.keep_properties('shop')");
sent();

# ---- what is written, and what RETURNING tells ----
my ($key, $code, $version) = split(/\|/, sql(qq{INSERT INTO $CARDS ("Description", "КодКартыШтрихкод") VALUES ('Прямая', '$PHONE') RETURNING "Ref_Key", "Code", "DataVersion"}));
my $stored = object($key);
is(sent(), 'POST', 'INSERT: one request');
is("$code $version", "$stored->{Code} AAAAAAAAAAA=", '… RETURNING: the Code and the DataVersion that 1C has given');
is($stored->{Description}, 'Прямая', '… the object is there at once');
is(sql('SELECT count(*) FROM onec.outbox'), '0', '… and nothing in the outbox');
is(sql(qq{INSERT INTO $CARDS ("Ref_Key", "Description") VALUES ('$OWN', 'a'), (gen_random_uuid(), 'b') RETURNING "Ref_Key" = '$OWN', "Description"}), "t|a\nf|b", 'several rows, one under a key of its own');
is(sent(), 'POST POST', '… a request each');
like(sql(qq{UPDATE $CARDS SET "Description" = "Description" || '!' WHERE "Ref_Key" = '$key' RETURNING "Description", "Code", "DataVersion"}), qr/^Прямая!\|$code\|(?!AAAAAAAAAAA=)\S+$/, 'UPDATE … RETURNING: with the next version');
my ($patch) = grep { $_->{method} eq 'PATCH' } reverse @{ $onec->control('GET', '/log?since=0') };
is($patch->{headers}{'if-match'} . $patch->{body} =~ s/\s//gr, 'AAAAAAAAAAA={"Description":"Прямая!"}', '… sent is what is set, with If-Match');
sent();
is(sql(qq{UPDATE $CARDS SET "Description" = "Description" WHERE "Ref_Key" = '$key' RETURNING "Description"}), 'Прямая!', 'an UPDATE that changes nothing');
is(sent(), '', '… is not sent');
sql(qq{CREATE TABLE mine (card uuid, name text); INSERT INTO mine VALUES ('$key', 'из таблицы'), ('$OWN', 'тоже')});
sql(qq{UPDATE $CARDS k SET "Description" = m.name FROM mine m WHERE k."Ref_Key" = m.card});
is(object($key)->{Description} . object($OWN)->{Description}, 'из таблицытоже', 'UPDATE … FROM');
is(sql(qq{DELETE FROM $CARDS k USING mine m WHERE k."Ref_Key" = m.card AND m.name = 'тоже' RETURNING k."Ref_Key", "Code" <> ''}), "$OWN|t", 'DELETE … USING … RETURNING');
ok(object($OWN)->{DeletionMark}, '… marks');
sql(qq{COPY $CARDS ("Ref_Key", "Description") FROM stdin;\n22222222-0000-4000-8000-000000000000\tиз файла\n23222222-0000-4000-8000-000000000000\tтоже\n\\.\n});
is(object('22222222-0000-4000-8000-000000000000')->{Description} . object('23222222-0000-4000-8000-000000000000')->{Description}, 'из файлатоже', 'COPY');
like(sql(qq{PREPARE put (text) AS INSERT INTO $CARDS ("Description") VALUES (\$1) RETURNING "Code"; SET plan_cache_mode = force_generic_plan; EXECUTE put('1'); EXECUTE put('2')}), qr/^\S+\n\S+$/, 'prepared, and planned once');
like(sql(qq{WITH new AS (INSERT INTO $CARDS ("Description") VALUES ('из WITH') RETURNING "Code") SELECT count("Code") FROM new}), qr/^1$/, 'WITH … RETURNING feeds a query');
is(sql(qq{EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO $CARDS ("Description") VALUES ('x')}) =~ /1C Write: sent at once, not undone by ROLLBACK/ ? 1 : 0, 1, 'EXPLAIN (VERBOSE) tells');
sent();
my $order = sql(q{INSERT INTO c."Document_ЗаказПокупателя" ("Date", "СуммаДокумента", "Запасы", "Комментарий") SELECT '2026-11-28 12:00:00', 10.5, '[{"Количество": 2}]', '«"»'
	WHERE false RETURNING "Number"});
is($order . sent(), '', 'no row, no request');

# ---- what 1C makes of it ----
modes(reset_fields => 'ДисконтныеКарты.КодКартыШтрихкод');
my $answer = try(qq{INSERT INTO $CARDS ("Description", "КодКартыШтрихкод") VALUES ('x', '$PHONE') RETURNING coalesce("КодКартыШтрихкод", '')});
is($answer->{stdout}, '', 'what a handler resets is returned as it is');
like($answer->{stderr}, qr/WARNING:.*otherwise than it was sent: "КодКартыШтрихкод"/, '… with a warning that names the field');
unlike($answer->{stderr}, qr/$PHONE/, '… and no value');
calm();
modes(client_keys => JSON::PP::false);
my $theirs = sql(qq{INSERT INTO $CARDS ("Ref_Key", "Description") VALUES ('33333333-0000-4000-8000-000000000000', 'чужой ключ') RETURNING "Ref_Key"});
isnt($theirs, '33333333-0000-4000-8000-000000000000', 'a base that gives keys of its own: RETURNING has that');
is(object($theirs)->{Description}, 'чужой ключ', '… and the object is there by it');
is(sql(qq{INSERT INTO $CARDS ("Description") VALUES ('второй') RETURNING "Ref_Key" IS NOT NULL}), 't', '… again, when that is known');
sql('UPDATE onec_internal.outbox_base SET client_keys = NULL; DELETE FROM onec_internal.outbox_remote');
calm();

# ---- triggers, views, partitions, generated columns ----
sql(qq{CREATE TABLE seen (what text);
	CREATE FUNCTION named() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN NEW."Комментарий" := 'с сайта'; RETURN NEW; END \$\$;
	CREATE FUNCTION saw() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO seen VALUES (TG_OP || ' ' || (NEW."Code" <> '')); RETURN NULL; END \$\$;
	CREATE TRIGGER named BEFORE INSERT OR UPDATE ON $CARDS FOR EACH ROW EXECUTE FUNCTION named();
	CREATE TRIGGER saw AFTER INSERT OR UPDATE ON $CARDS FOR EACH ROW EXECUTE FUNCTION saw()});
is(sql(qq{INSERT INTO $CARDS ("Description") VALUES ('x') RETURNING "Комментарий"}), 'с сайта', 'a BEFORE trigger has its say');
sql(qq{UPDATE $CARDS SET "Description" = 'y' WHERE "Ref_Key" = '$key'});
is(object($key)->{Комментарий} . ' ' . sql('SELECT string_agg(what, $$ $$) FROM seen'), 'с сайта INSERT true UPDATE true', '… of an UPDATE; AFTER triggers see the row as 1C has it');
sql(qq{DROP TRIGGER named ON $CARDS; DROP TRIGGER saw ON $CARDS; CREATE VIEW card AS SELECT "Ref_Key" AS id, "Description" AS name, "Code" AS code FROM $CARDS});
is(sql(qq{INSERT INTO card (name) VALUES ('через вид') RETURNING code <> ''}), 't', 'a simple view');
sql(qq{CREATE VIEW picky AS SELECT "Ref_Key" AS id, "Description" AS name FROM $CARDS WHERE "Description" LIKE 'a%' WITH CHECK OPTION});
refused(q{INSERT INTO picky (name) VALUES ('b')}, '0A000', qr/WITH CHECK OPTION cannot be written/, 'a view WITH CHECK OPTION, which would be checked too late');
sql(qq{CREATE VIEW old AS SELECT "Ref_Key" AS id, "Description" AS name FROM $CARDS;
	CREATE FUNCTION renamed() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN UPDATE $CARDS SET "Description" = NEW.name WHERE "Ref_Key" = OLD.id; RETURN NEW; END \$\$;
	CREATE TRIGGER renamed INSTEAD OF UPDATE ON old FOR EACH ROW EXECUTE FUNCTION renamed()});
sql(qq{UPDATE old SET name = 'вместо' WHERE id = '$key'});
is(object($key)->{Description}, 'вместо', 'a view with INSTEAD OF');
sql(q{CREATE TABLE wanted ("Ref_Key" uuid, "Description" text, kind text) PARTITION BY LIST (kind);
	CREATE FOREIGN TABLE wanted_card PARTITION OF wanted FOR VALUES IN ('card') SERVER shop OPTIONS (entity_set 'Catalog_ДисконтныеКарты', key 'Ref_Key');
	ALTER FOREIGN TABLE wanted_card ALTER kind OPTIONS (missing_property 'null'); CREATE TABLE wanted_else PARTITION OF wanted DEFAULT;
	CREATE FOREIGN TABLE labelled ("Ref_Key" uuid, "Description" text, "Code" text, label text GENERATED ALWAYS AS ('№ ' || "Code") STORED) SERVER shop OPTIONS (entity_set 'Catalog_ДисконтныеКарты', key 'Ref_Key')});
like(sql(q{INSERT INTO wanted VALUES (NULL, 'в часть', 'card'), (NULL, 'здесь', 'else') RETURNING "Ref_Key" IS NULL, kind}), qr/^f\|card\nt\|else$/, 'rows are routed to a partition, and told with what it has not');
is(sql(q{INSERT INTO labelled ("Description") VALUES ('x') RETURNING label = '№ ' || "Code" AND "Code" <> ''}), 't', 'a generated column is computed of what 1C has given');
sql(qq{DO \$\$ DECLARE r record; BEGIN FOR r IN SELECT * FROM mine WHERE card = '$key' LOOP UPDATE $CARDS SET "Description" = r.name || ' по циклу' WHERE "Ref_Key" = r.card; END LOOP; END \$\$});
is(object($key)->{Description}, 'из таблицы по циклу', 'a loop of PL/pgSQL');

# ---- transactions ----
my $insert = qq{INSERT INTO $CARDS ("Description") VALUES ('в блоке')};
my $BLOCK = qr/cannot be written inside a transaction block.*ROLLBACK does not undo.*SET onec_fdw\.direct_modify = on/s;
sql("CREATE FUNCTION put() RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $insert; END \$\$;
	CREATE FUNCTION put_carefully() RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $insert; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$");
refused("BEGIN; $insert", '25001', $BLOCK, 'a transaction block');
refused('BEGIN; SELECT put()', '25001', $BLOCK, 'a function within one');
refused("BEGIN; DO \$\$ BEGIN $insert; END \$\$", '25001', $BLOCK, 'DO within one');
refused('SELECT put_carefully()', '25001', $BLOCK, 'an exception handler, which may roll back');
refused(qq{BEGIN; COPY $CARDS ("Description") FROM stdin;\nx\n\\.\n}, '25001', $BLOCK, 'COPY within one');
refused(qq{BEGIN; INSERT INTO wanted VALUES (NULL, 'x', 'card')}, '25001', $BLOCK, 'a routed row within one');
refused(qq{SELECT 1\\; INSERT INTO wanted VALUES (NULL, 'x', 'card')}, '25001', $BLOCK, 'several statements sent as one');
sql("BEGIN; EXPLAIN $insert; COMMIT");
is(sent(), '', 'EXPLAIN is no writing');
sql('SELECT put()');
is(sent(), 'POST', 'a function outside of a block');
$answer = try("SET onec_fdw.direct_modify = on; BEGIN; $insert; SAVEPOINT s; $insert; $insert; ROLLBACK TO s; $insert; SAVEPOINT s2; $insert; RELEASE s2; ROLLBACK");
is(sent(), join(' ', ('POST') x 5), 'asked for, a block sends');
is(join(' ', $answer->{stderr} =~ /WARNING:[^\n]*rolled back, but (\d) objects? stays? written in 1C\nDETAIL:[^\n]*ROLLBACK does not undo/g), '2 2 1', '… and each rollback tells what it leaves in 1C');
$answer = try("SET onec_fdw.direct_modify = on; BEGIN; $insert; COMMIT; BEGIN; SELECT 1; ROLLBACK");
is($answer->{stderr}, '', '… nothing after COMMIT');

# ---- what goes wrong ----
modes(if_match => JSON::PP::true);
sql(qq{INSERT INTO mine VALUES ('$key', 'ещё раз')});
sent();
$answer = try(qq{UPDATE $CARDS k SET "Description" = m.name FROM mine m WHERE k."Ref_Key" = m.card AND k."Ref_Key" = '$key'});
is($answer->{sqlstate} . ' ' . sent(), '40001 PATCH', 'UPDATE … FROM that meets an object twice: the second time it is another version');
like($answer->{stderr}, qr/CONTEXT:.*row 2 of the statement, "$SET" with Ref_Key $key, sent to 1C at once; 1 before it written/s, '… the error says how far it came');
like($answer->{stderr}, qr/WARNING:[^\n]*rolled back, but 1 object stays written/, '… and a warning');
calm();
for my $case (
	[ 'cut before it is stored', { close => JSON::PP::true }, '08007', 0 ],
	[ 'stored, the reply lost', { close => JSON::PP::true, commit => JSON::PP::true }, '08007', 1 ],
	[ 'stored, then 500 without odata.error', { status => 500, commit => JSON::PP::true }, '08007', 1 ],
	[ 'a time-out', { hang => JSON::PP::true, commit => JSON::PP::true }, '08007', 1 ],
	[ 'a lock', { error => { code => -1, message => "Конфликт блокировок при выполнении транзакции: $PHONE" } }, 'HV000', 0 ],
	[ 'refused', { error => { code => -1, message => "Код $PHONE не уникален" } }, 'HV000', 0 ])
{
	my ($what, $rule, $state, $there) = @$case;
	sql("ALTER SERVER shop OPTIONS (ADD request_timeout '1')") if $rule->{hang};
	fault(method => 'POST', %$rule, nth => 2);
	$answer = try(qq{INSERT INTO $CARDS ("Description") VALUES ('$what 1'), ('$what 2'), ('$what 3')});
	is($answer->{sqlstate} . ' ' . sent(), "$state POST POST", "$what: an error, after which nothing is sent");
	my ($named) = $answer->{stderr} =~ /ERROR:.*Ref_Key ($UUID)/;
	ok(defined $named, '… that names the key');
	is((defined $named && object($named) ? 1 : 0), $there, '… by which the object is found, if it is there');
	like($answer->{stderr}, $state eq '08007' ? qr/is not known.*not sent again by itself.*1 before it written/s : qr/was not written.*1 before it written/s, '… and says what is known');
	sql('ALTER SERVER shop OPTIONS (DROP request_timeout)') if $rule->{hang};
	calm();
}
like($answer->{stderr}, qr/DETAIL:.*Код $PHONE не уникален/, '1C\'s text is told to the client');
unlike(OnecTest->contents($node->logfile) =~ s/^.*STATEMENT:.*$//gmr, qr/$PHONE/, '… and not to the log of the server');
fault(method => 'POST', hang => JSON::PP::true, times => 1);
$answer = try(qq{SET statement_timeout = '1s'; INSERT INTO $CARDS ("Description") VALUES ('x')});
like($answer->{stderr}, qr/57014.*CONTEXT:.*the object may be stored in 1C.*Ref_Key $UUID/s, 'cancelled: the error says what may be, and names the key');
calm();
sql('CREATE FOREIGN TABLE narrow ("Description" text, "Code" smallint) SERVER shop OPTIONS (entity_set \'Catalog_ДисконтныеКарты\', key \'Ref_Key\')');
$answer = try(q{INSERT INTO narrow ("Description") VALUES ('x') RETURNING "Code"});
like($answer->{stderr}, qr/ERROR:.*CONTEXT:.*the object is stored in 1C/s, 'an answer that does not fit the table: the error says that it is stored') unless $answer->{sqlstate} eq '00000';
modes(read_only => $SET);
is(try(qq{INSERT INTO $CARDS ("Description") VALUES ('x')})->{sqlstate}, '42501', 'no right in 1C');
calm();

# ---- who may ----
sql("CREATE ROLE site LOGIN; GRANT USAGE ON SCHEMA c TO site; GRANT SELECT, INSERT, UPDATE, DELETE ON $CARDS TO site");
sql("CREATE USER MAPPING FOR site SERVER shop OPTIONS (user 'demo', password 'demo')");
refused($insert, '42501', qr/permission denied for function onec\.enqueue/, 'a role that may not write', user => 'site');
sql("SELECT onec.allow_write('site', '{Catalog_Контрагенты}', 'shop')");
refused($insert, '42501', qr/role "site" may not write "$SET"/, 'a set that is not in the list', user => 'site');
sql("SELECT onec.allow_write('site', '{$SET}', 'shop')");
is(sql(qq{$insert RETURNING "Code" <> ''}, user => 'site'), 't', 'one that is');
is(try('SELECT * FROM onec.outbox', user => 'site')->{sqlstate}, '42501', '… by a role that reads nothing of the outbox');
like(try(q{SELECT onec_internal.write_now('shop', 'x', 'create', NULL, NULL, NULL)}, user => 'site')->{stderr}, qr/permission denied/, '… nor calls what sends');
sql("ALTER USER MAPPING FOR site SERVER shop OPTIONS (SET password 'wrong')");
$answer = try($insert, user => 'site');
is($answer->{sqlstate}, '28000', 'a login that 1C refuses: it is the writer\'s own that is used');
sql('DROP USER MAPPING FOR site SERVER shop');
refused($insert, '42704', qr/user mapping not found/, 'a role without a login', user => 'site');
sql(qq{CREATE VIEW cards_of_site AS SELECT "Description" AS name, "Code" AS code FROM $CARDS; GRANT SELECT, INSERT ON cards_of_site TO site});
is(sql(q{INSERT INTO cards_of_site (name) VALUES ('x') RETURNING code <> ''}, user => 'site'), 't', 'through a view: the login of its owner');
refused(qq{INSERT INTO $CARDS ("Description", "КодКартыШтрихкод") VALUES ('x', repeat('7', 500))}, '22023', qr/"КодКартыШтрихкод" .* is a text of/, 'what onec.enqueue refuses is refused here');
sql(qq{CREATE FOREIGN TABLE queued ("Ref_Key" uuid, "Description" text) SERVER shop OPTIONS (entity_set 'Catalog_ДисконтныеКарты', key 'Ref_Key', write_mode 'outbox');
	UPDATE queued SET "Description" = 'в очереди' WHERE "Ref_Key" = '$key'});
is(sql(q{SELECT operation FROM onec.outbox}), 'patch', 'one table of such a server may queue');
refused(qq{UPDATE $CARDS SET "Description" = 'мимо' WHERE "Ref_Key" = '$key'}, '55000', qr/waits in the outbox.*onec\.deliver/s, 'what waits in the outbox comes first');
sql(qq{CREATE FOREIGN TABLE versioned ("Ref_Key" uuid, "Description" text, "DataVersion" text) SERVER shop OPTIONS (entity_set '$SET', key 'Ref_Key', write_mode 'outbox');
	DELETE FROM onec.outbox; UPDATE versioned SET "Description" = 'раз' WHERE "Ref_Key" = '22222222-0000-4000-8000-000000000000'; UPDATE versioned SET "Description" = 'и ещё раз' WHERE "Ref_Key" = '22222222-0000-4000-8000-000000000000'; CALL onec.deliver('shop')});
is(sql(q{SELECT count(*) FROM onec.outbox}) . object('22222222-0000-4000-8000-000000000000')->{Description}, '0и ещё раз', '… and a change behind it is no conflict with ourselves');
sql('DELETE FROM onec.outbox');
sql(q{ALTER FOREIGN TABLE c."Catalog_ДисконтныеКарты" OPTIONS (ADD updatable 'on'); ALTER SERVER shop OPTIONS (SET updatable 'off')});
refused($insert, '55000', qr/server "shop" is not updatable now/, 'a server that is switched off takes nothing');
sql(q{ALTER SERVER shop OPTIONS (SET updatable 'on')});
refused(@$_) for (
	[ qq{INSERT INTO $CARDS ("Ref_Key", "Description") VALUES ('$OWN', 'x') ON CONFLICT DO NOTHING}, '0A000', qr/ON CONFLICT is not supported.*Ref_Key/s, 'ON CONFLICT' ],
	[ qq{MERGE INTO $CARDS k USING mine m ON k."Ref_Key" = m.card WHEN MATCHED THEN UPDATE SET "Description" = m.name}, '0A000', qr/cannot execute MERGE/, 'MERGE' ],
	[ q{INSERT INTO c."AccumulationRegister_Продажи_Turnovers" DEFAULT VALUES}, '0A000', qr/virtual table/, 'a virtual table' ],
	[ q{DELETE FROM c."AccumulationRegister_Продажи_RecordType"}, '0A000', qr/written by the document/, 'records of a register' ],
	[ qq{INSERT INTO $CARDS ("DataVersion") VALUES ('x')}, '0A000', qr/"DataVersion" cannot be written/, 'the version' ]);

# ---- what DELETE does ----
sql(q{ALTER FOREIGN TABLE c."Catalog_ДисконтныеКарты" OPTIONS (ADD delete_mode 'error')});
refused(qq{DELETE FROM $CARDS}, '55000', qr/are not deleted.*delete_mode is 'error'/s, "delete_mode 'error'");
is(sql(q{SELECT pg_relation_is_updatable('c."Catalog_ДисконтныеКарты"'::regclass, false)}), '12', '… and the table says so');
sql(qq{CREATE ROLE stranger; GRANT USAGE ON FOREIGN SERVER shop TO stranger; CREATE SCHEMA s AUTHORIZATION stranger; SET ROLE stranger;
	CREATE FOREIGN TABLE s.said ("Ref_Key" uuid) SERVER shop OPTIONS (entity_set '$SET', key 'Ref_Key', delete_mode 'physical')});
refused(qq{SELECT onec.enqueue('shop', '$SET', 'delete', '$OWN')}, '22023', qr/are marked, not deleted/, 'nobody deletes for good whose owner has not said so');
sql(q{ALTER FOREIGN TABLE c."Catalog_ДисконтныеКарты" OPTIONS (SET delete_mode 'physical')});
sent();
is(sql(qq{DELETE FROM $CARDS WHERE "Ref_Key" = '$OWN' RETURNING "Code" <> ''}), 't', "delete_mode 'physical'");
is(sent() . (object($OWN) ? 'there' : ''), 'DELETE', '… is gone, by one request');
sql(qq{CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN UPDATE $CARDS SET "Комментарий" = 'ещё нужна' WHERE "Ref_Key" = OLD."Ref_Key"; RETURN OLD; END \$\$;
	CREATE TRIGGER touch BEFORE DELETE ON $CARDS FOR EACH ROW EXECUTE FUNCTION touch()});
is(try(qq{DELETE FROM $CARDS WHERE "Ref_Key" = '$theirs'})->{sqlstate} . (object($theirs) ? ' there' : ''), '40001 there', 'physical: somebody has changed it since it was read');
sent();
sql(q{ALTER FOREIGN TABLE queued OPTIONS (ADD delete_mode 'physical')});
sql(qq{DELETE FROM queued WHERE "Ref_Key" = '$key'});
is(sql('SELECT operation FROM onec.outbox'), 'delete', '… of a table that queues');
like(sql(q{EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM queued}), qr/1C Delete: for good/, '… as EXPLAIN (VERBOSE) tells');
fault(method => 'DELETE', close => JSON::PP::true, commit => JSON::PP::true, times => 1);
sql(q{SELECT onec.set('outbox.settle_seconds', '0'), onec.set('outbox.retry_min_seconds', '0')});
sql(q{CALL onec.deliver('shop', 1)});
is(sql("SELECT status FROM onec.write_status('$key', 'shop')"), 'unknown', '… whose reply is lost');
sql(q{CALL onec.deliver('shop', 1)});
is(sql("SELECT status FROM onec.write_status('$key', 'shop')") . (object($key) ? 'there' : ''), 'done', '… is found gone, and done');
is(sent(), 'DELETE', '… by one request');

# ---- nothing of what is written is told: neither by EXPLAIN, nor in the log, nor to other sessions ----
my $name = 'Тайнова Ирина';
sql(qq{CREATE TABLE people (id int, name text, phone text); INSERT INTO people SELECT i, '$name', '$PHONE' FROM generate_series(1, 3) i;
	ALTER FOREIGN TABLE queued ADD phone text OPTIONS (property 'КодКартыШтрихкод')});
# (of parameters of nested statements, which auto_explain knows from 16 on, a superuser has to say that he does not want them)
$node->append_conf('postgresql.conf', "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\nauto_explain.log_verbose = on\n"
	  . "log_error_verbosity = verbose\nonec_fdw.log_requests = on\n" . ($node->pg_version >= 16 ? "auto_explain.log_parameter_max_length = 0\n" : ''));
$node->reload;
my $from = -s $node->logfile;
my $told = '';
for my $table ('queued ("Description", phone)', qq{$CARDS ("Description", "КодКартыШтрихкод")})
{
	my ($of, $phone) = ($table =~ /^(\S+) .* "?(\w+)"?\)$/);
	for my $case (
		"INSERT INTO $table SELECT name, phone FROM people",
		"EXPLAIN (ANALYZE, VERBOSE) INSERT INTO $table SELECT name, phone FROM people WHERE id = 1",
		"INSERT INTO $table SELECT name, phone FROM people WHERE id = 1 RETURNING \"Ref_Key\"",
		"WITH p AS (SELECT * FROM people WHERE id = 1) UPDATE $of SET \"Description\" = p.name, \"$phone\" = p.phone FROM p WHERE \"Ref_Key\" = '$theirs'",
		"EXPLAIN (ANALYZE, VERBOSE) UPDATE $of SET \"Description\" = p.name, \"$phone\" = p.phone FROM people p WHERE p.id = 2 AND \"Ref_Key\" = '$theirs'",
		"INSERT INTO $table SELECT name, repeat(phone, 100) FROM people",
		"INSERT INTO $table SELECT name, repeat(phone, 100) FROM people WHERE id = 1 RETURNING \"Ref_Key\"")
	{
		my $answer = try($case);
		$told .= "$case\n$answer->{stdout}\n$answer->{stderr}\n";
		sql("DELETE FROM onec.outbox") if $of eq 'queued';
	}
}
# … nor does a delivery, which puts what 1C answers into the store besides
sql("INSERT INTO onec.sync_state (server, target, last_ok, as_of) VALUES ('shop', 'discount_card', now(), now()) ON CONFLICT DO NOTHING");
sql(qq{INSERT INTO queued ("Description", phone) SELECT name, phone FROM people});
$told .= try("CALL onec.deliver('shop')")->{stderr};
is(sql("SELECT count(*) FROM onec.outbox") . ' ' . sql("SELECT count(*) FROM onec.discount_card WHERE barcode IN (SELECT phone FROM people)"), '0 3', 'what was delivered is in the store');
# what 1C says of it, may quote it: to the client
for my $rule ({ status => 500, html => "$name $PHONE" }, { status => 200, html => "{$name $PHONE" }, { error => { code => -1, message => "$name $PHONE" } }, { cut_at => 300 })
{
	fault(method => 'POST', %$rule, times => 1);
	isnt(try(qq{INSERT INTO $CARDS ("Description", "КодКартыШтрихкод") SELECT name, phone FROM people WHERE id = 1})->{sqlstate}, '00000', 'an answer that quotes what was sent: ' . join(' ', sort keys %$rule));
}
calm();
my $slow = OnecTest->background($node, qq{INSERT INTO $CARDS ("Description", "КодКартыШтрихкод") SELECT name, phone FROM people WHERE id = 1}, name => 'writer');
fault(method => 'POST', delay_ms => 300);
$told .= sql(q{SELECT query FROM pg_stat_activity WHERE application_name = 'writer'});
$slow->wait;
calm();
like($told, qr/1C Write/, 'EXPLAIN (ANALYZE, VERBOSE), errors, pg_stat_activity …');
unlike($told, qr/$PHONE|$name/, '… tell nothing of what was written');
my $logged = substr(do { open(my $log, '<:raw', $node->logfile); local $/; <$log> }, $from);
utf8::decode($logged);
like($logged, qr/Query Text: .*onec\.outbox.*ERROR:.*POST $SET/s, 'the log, with all plans of nested statements, errors and requests …');
unlike($logged, qr/$PHONE|$name/, '… tells nothing of it');

$node->stop;
done_testing();
