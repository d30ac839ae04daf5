# Any set of a base as an ordinary local table (onec.mirror): equal to 1C after whatever happens there, by an oracle that asks 1C
# itself (MirrorTruth); one machinery with the shop's tables: windows, proof, forget, rights, schedule; tables that are somebody's own.
# Cases of faults are named Z1, Z2 …
use strict;
use warnings;
use utf8;

use OnecTest;
use MirrorTruth;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('mirror');
my $tiny = OnecTest->onec('--tiny');
my $seed = $ENV{TEST_SEED} || ($ENV{TEST_FULL} ? int(rand(1e6)) : 11);
diag("seed $seed");

sub sql { return OnecTest->rows($node, @_); }
sub fails
{
	my ($query, $sqlstate, $what, %options) = @_;
	my $answer = OnecTest->try_text($node, $query, %options);

	is($answer->{sqlstate}, $sqlstate, $what) or diag($answer->{stderr});
	return $answer->{stderr};
}
sub mirrors { my ($server, %o) = @_; return sql("CALL onec.sync('$server', steps => '{mirrors}'" . ($o{days} ? ", days => $o{days}" : ', full_reload => true') . ($o{force} ? ', force => true' : '') . ')'); }
sub statuses { return sql("SELECT string_agg(mirror || ' ' || status || coalesce(': ' || message, ''), '; ' ORDER BY mirror) FROM onec.mirrors WHERE server = '$_[0]' AND status <> 'ok'"); }

OnecTest->server($node, $tiny, name => 'tiny', options => "timezone 'Europe/Moscow', retries '0'");
sql('CREATE SCHEMA m; CREATE SCHEMA s');

# ---- all sets at once ----
my $truth = MirrorTruth->new($node, $tiny)->load;

# Each set of a base equals its table; returns how many there are.
sub all_equal
{
	my ($truth, $server, $what, %names) = @_;
	my %table = map { split /\|/ } split /\n/, sql("SELECT entity_set, table_name FROM onec.mirrors WHERE server = '$server'");
	my @wrong = grep { $_ ne '' } map { $truth->differences($table{$_}, $_, binary => $names{binary}, names => $names{$_}) } grep { $table{$_} } $truth->sets;

	is(join("\n", @wrong), '', "$what: each table equals 1C");
	return;
}

# Which rows are written by a run: the xmin of all rows of a table.
sub xmins { return sql(join ' UNION ALL ', map { "SELECT md5(string_agg(xmin::text, ',' ORDER BY xmin::text)) FROM $_" } split /\n/, sql("SELECT table_name FROM onec.mirrors UNION ALL SELECT unnest(sections) FROM onec.mirrors ORDER BY 1")); }

# Parts that stand for themselves begin with all sets of the small base mirrored and read.
sub mirrored
{
	return if sql("SELECT count(*) FROM onec.mirrors WHERE server = 'tiny'");
	sql("SELECT count(*) FROM onec.entity_sets('tiny') e, onec.mirror('tiny', e.entity_set, 'none', 'm')");
	mirrors('tiny');
	return;
}

OnecTest->part('tiny', sub {
	my @sets = $truth->sets;
	my $before = $tiny->control('GET', '/counters')->{requests};

	is(sql("SELECT count(*) FROM onec.entity_sets('tiny') e, onec.mirror('tiny', e.entity_set, 'none', 'm')"), scalar @sets, 'every set of the small base is mirrored');
	cmp_ok($tiny->control('GET', '/counters')->{requests} - $before, '<=', 4, '… at the price of a reading of its metadata');
	is(sql("SELECT status FROM onec.mirrors GROUP BY 1"), 'never read', 'onec.mirrors: not read yet');
	mirrors('tiny');
	is(statuses('tiny'), '', 'they are read');
	all_equal($truth, 'tiny', 'first run');
	is(sql("SELECT string_agg(rows_about::text, ',') FROM onec.mirrors WHERE entity_set IN ('Document_Чек', 'Catalog_Склады') AND rows_about = rows_read AND last_ok > now() - interval '1 hour'"), '3,60',
		'onec.mirrors: how many and how fresh');
	my $rows = xmins();
	mirrors('tiny');
	mirrors('tiny', days => 20);
	is(sql("SELECT DISTINCT rows_written FROM onec.mirrors") . xmins(), "0$rows", 'a second run and one of some days write no row');
	is(sql(q{SELECT obj_description('m."catalog_Товары"'::regclass) || col_description('m."catalog_Товары"'::regclass, 6)}), 'Зеркало: Catalog_ТоварыЦена', 'comments say what 1C calls it');
	is(sql(q{SELECT string_agg(c.relname || ': ' || pg_get_constraintdef(k.oid), E'\n' ORDER BY c.relname COLLATE "C") FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
			WHERE k.contype = 'p' AND c.relnamespace = 'm'::regnamespace AND c.relname ~ 'register|_Склады'}), <<'KEYS' =~ s/\n$//r, 'keys are those of 1C, with the copies of what may come twice');
accumulationregister_Баллы: PRIMARY KEY (recorder_key, copy)
accumulationregister_Баллы_recordtype: PRIMARY KEY (recorder_key, linenumber, copy)
accumulationregister_Продажи: PRIMARY KEY (recorder, recorder_type, copy)
accumulationregister_Продажи_recordtype: PRIMARY KEY (recorder, linenumber, recorder_type, copy)
catalog_Склады: PRIMARY KEY (ref_key)
informationregister_Цены: PRIMARY KEY (period, "Товар_key", copy)
KEYS
	is(sql("SELECT string_agg(mirror || ' ' || by_date, ', ' ORDER BY mirror) FROM (SELECT mirror, date_column AS by_date FROM onec.mirrors WHERE date_column IS NOT NULL) x"),
		'accumulationregister_Баллы_recordtype period, accumulationregister_Продажи_recordtype period, document_Чек date, informationregister_Цены period', 'what has a date is read by it');
	is(sql("SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'm'::regnamespace AND c.relacl IS NOT NULL"), 0, 'nobody is granted anything');
	is(sql("SELECT count(*) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE d.deptype = 'e' AND c.relnamespace IN ('m'::regnamespace, 's'::regnamespace)"), 0, 'the tables are no members of the extension');
});

# ---- random edits, faults, other properties ----
sub structure { my ($onec, %given) = @_; return $onec->control('POST', '/structure', {%given}); }

OnecTest->part('edits', sub {
	mirrored();
	sql(q{CREATE INDEX mine ON m."catalog_Товары" (lower(description)); CREATE STATISTICS m.mine ON code, description FROM m."catalog_Товары"});
	for my $turn (1 .. ($ENV{TEST_FULL} ? 40 : 3))
	{
		structure($tiny, shake => 12, seed => $seed * 100 + $turn);
		mirrors('tiny');
		is(statuses('tiny'), '', "turn $turn is proven") or diag(sql('SELECT * FROM onec_internal.sync_doubt'));
		all_equal($truth->load, 'tiny', "random edits, turn $turn");
	}
	# faults: half of the answers are refused, cut or empty; nothing is lost, and the next run without them is equal
	my $count = sql('SELECT count(*) FROM m."catalog_Товары"');
	$tiny->control('POST', '/faults', [ { match => 'Catalog_Товары\?', body => '{"odata.metadata": "x", "value": []}', times => 100 },
		{ match => 'Document_Чек\?', cut_at => 300, times => 100 }, { match => 'Продажи_RecordType\?', status => 500, every => 2 } ]);
	structure($tiny, shake => 10, seed => $seed);
	mirrors('tiny');
	is(sql('SELECT count(*) FROM m."catalog_Товары"'), $count, 'Z1: an answer of nothing deletes nothing');
	like(statuses('tiny'), qr/catalog_Товары incomplete.*document_Чек failed/, 'Z2: what was not proven, and what failed, is told; the others are read');
	$tiny->control('POST', '/faults/clear', {});
	mirrors('tiny');
	all_equal($truth->load, 'tiny', 'Z3: after faults');
	is(statuses('tiny'), '', 'Z3: in order again');

	# properties that come, go, are called something else
	structure($tiny, set => 'Catalog_Товары', add => { name => 'НовоеПолеСОченьДлиннымИменемКотороеНеВлезаетВСтолбец', type => 'Edm.String', value => 'новое' });
	structure($tiny, set => 'Catalog_Товары', add => { name => 'НовоеПолеСОченьДлиннымИменемКотороеНеВлезаетВСтолбецТоже', type => 'Edm.Double', value => 5 });
	structure($tiny, set => 'AccumulationRegister_Продажи_RecordType', add => { name => 'Скидка', type => 'Edm.Double', value => 3 });
	structure($tiny, set => 'Catalog_Склады', rename => [ 'Description', 'Name' ]);
	structure($tiny, set => 'Document_Чек', remove => 'Сумма');
	structure($tiny, set => 'Document_Чек', add => { name => 'server', type => 'Edm.String', value => 'kassa' });
	structure($tiny, set => 'Document_Чек', add => { name => 'place', type => 'Edm.Int64', value => 7 });
	my $sums = sql('SELECT sum("Сумма") FROM m."document_Чек"');
	mirrors('tiny', days => 5);
	is(statuses('tiny'), '', 'Z4: a run of some days after the configuration has changed');
	$truth->load;
	my %names = ('Document_Чек' => { server => 'server_', place => 'place_' });
	my @long = split /\n/, sql(q{SELECT attname FROM pg_attribute WHERE attrelid = 'm."catalog_Товары"'::regclass AND attname ~ '^Новое' ORDER BY attnum});
	is(scalar(@long), 2, 'names that are alike within 63 bytes are two columns') or diag("@long");
	$names{'Catalog_Товары'} = { 'НовоеПолеСОченьДлиннымИменемКотороеНеВлезаетВСтолбец' => $long[0], 'НовоеПолеСОченьДлиннымИменемКотороеНеВлезаетВСтолбецТоже' => $long[1] };
	all_equal($truth, 'tiny', 'Z4: edits: properties that were added and renamed', %names);
	is(sql(q{SELECT sum("Сумма") FROM m."document_Чек"}), $sums, 'Z5: edits: a property that is gone keeps its column and its values');
	is(sql("SELECT entity_set, gone FROM onec.mirrors WHERE gone <> '{}' ORDER BY entity_set"), "Catalog_Склады|{description}\nDocument_Чек|{Сумма}", 'Z5: … and is reported');
	is(sql(q{SELECT count(*) FROM pg_indexes WHERE schemaname = 'm' AND indexname = 'mine'}), 1, "the user's index is there");
	my $rows = xmins();
	mirrors('tiny');
	is(xmins(), $rows, 'and the next run writes no row');
	structure($tiny, set => 'Document_Чек', add => { name => 'Сумма', type => 'Edm.Double', value => 11 });
	mirrors('tiny', days => 5);
	all_equal($truth->load, 'tiny', 'Z6: a property that is there again', %names);
	is(sql("SELECT count(*) FROM onec.mirrors WHERE entity_set = 'Document_Чек' AND gone <> '{}'"), 0, 'Z6: is gone no more');
	structure($tiny, set => 'Document_Чек', remove => 'Posted');
	structure($tiny, set => 'Document_Чек', add => { name => 'Posted', type => 'Edm.String', value => 'да' });
	mirrors('tiny');
	like(statuses('tiny'), qr/^document_Чек failed: .*"Posted".*"posted".*boolean/, 'Z7: a property of another type fails its own step, by name');
	structure($tiny, set => 'Document_Чек', remove => 'Posted');
	structure($tiny, set => 'Document_Чек', add => { name => 'Posted', type => 'Edm.Boolean', value => \1 });
	structure($tiny, set => 'Catalog_Товары', remove => $_) for grep { /Новое/ } map { $_->[0] } $truth->columns('Catalog_Товары');
	mirrors('tiny');
	is(statuses('tiny'), '', 'Z7: and goes on when that is as it was');
});

# ---- tabular parts ----
OnecTest->part('sections', sub {
	is(sql("SELECT table_name, source, columns FROM onec.mirror('tiny', 'Catalog_Товары', 'none', 's', 'goods', sections => true, with_binary => true)"),
		"s.goods|Catalog_Товары|13\ns.\"goods_Состав\"|Catalog_Товары_Состав|3", 'a mirror with its tabular part and with what is binary');
	my ($goods, $lines) = ('s.goods', 's."goods_Состав"');
	my $same = sub {
		my ($what) = @_;
		$truth->load;
		is($truth->differences($goods, 'Catalog_Товары', binary => 1) . $truth->differences($lines, 'Catalog_Товары_Состав'), '', "sections, $what: objects and lines equal 1C");
	};
	my $run = sub { sql("CALL onec.sync('tiny', full_reload => true, steps => '{mirrors}')"); return sql("SELECT xmin, * FROM $lines ORDER BY ref_key, linenumber"); };

	$run->();
	$same->('first run');
	my $rows = sql("SELECT xmin, ref_key, linenumber FROM $lines ORDER BY 2, 3");
	for my $turn (1 .. ($ENV{TEST_FULL} ? 20 : 2))
	{
		structure($tiny, shake => 15, seed => $seed * 200 + $turn);
		$run->();
		$same->("turn $turn");
	}
	structure($tiny, set => 'Catalog_Товары_Состав', add => { name => 'Примечание', type => 'Edm.String', value => 'так' });
	$run->();
	$same->('a new property of the lines');
	my ($owner, $last) = split /\|/, sql("SELECT ref_key, max(linenumber) FROM $lines GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 LIMIT 1");
	structure($tiny, set => 'Catalog_Товары_Состав', gone => { Ref_Key => $owner, LineNumber => $last });
	$run->();
	$same->('a line that is gone');
	is(sql("SELECT count(*) FROM $lines WHERE (ref_key, linenumber) = ('$owner', $last)"), 0, '… here, too');
	my $again = sql("SELECT xmin, * FROM $lines ORDER BY ref_key, linenumber");
	is($run->(), $again, 'a second run writes no line');
	is(sql("SELECT sections FROM onec.mirrors WHERE table_name = 's.goods'"), "{\"s.\\\"goods_Состав\\\"\"}", 'onec.mirrors tells of the table of lines');
	sql("DELETE FROM $goods WHERE ref_key IN (SELECT ref_key FROM $lines LIMIT 1)");
	is(sql("SELECT count(*) FROM $lines l WHERE NOT EXISTS (SELECT FROM $goods g WHERE g.ref_key = l.ref_key)"), 0, 'lines go with their object, whoever deletes it');
	$run->();
	$same->('and come with it');
	is(sql("SELECT onec.unmirror('s.goods'); SELECT count(*) > 0, (SELECT count(*) FROM pg_trigger WHERE tgrelid = 's.goods'::regclass) FROM $goods"), "\nt|0", 'unmirror keeps the tables, without its triggers');
	is(sql("SELECT count(*) FROM onec.mirrors WHERE table_name ~ 'goods'") . sql("SELECT count(*) FROM onec.field_source WHERE target ~ '^goods'") .
		sql("SELECT to_regclass('tiny.goods')"), '00', 'nothing else is left of it');
	fails("SELECT onec.mirror('tiny', 'Catalog_Товары', 'none', 's', 'goods')", '42P07', 'a table that is there is not taken');
	sql("DROP TABLE $goods, $lines; SELECT onec.mirror('tiny', 'Catalog_Товары', 'none', 's', 'goods', sections => true); SELECT onec.unmirror('goods', true)");
	is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 's'::regnamespace"), 0, 'unmirror with drop_table drops them');
});

# ---- what is said wrong ----
OnecTest->part('words', sub {
	like(fails("SELECT onec.mirror('tiny', 'Catalog_Товар', 'none', 's')", '42P01', 'a set that is not there'), qr/Catalog_Товары/, '… and what was meant');
	like(fails("SELECT onec.mirror('tiny', 'Document_Чек', 'Покупатель', 's')", '22023', 'whose rows they are has to be a reference'), qr/Склад_Key/, '… of these');
	fails("SELECT onec.mirror('tiny', 'Document_Чек', '', 's')", '22023', 'the erasure rule cannot be left empty');
	fails("SELECT onec.mirror('tiny', 'Document_Чек', NULL, 's')", '22023', '… nor NULL');
	fails("SELECT onec.mirror('tiny', 'Document_Чек')", '42883', '… nor out');
	fails("SELECT onec.mirror('tiny', 'Document_Чек', 'none', '$_')", '3F000', "schema $_ is no place for a mirror") for 'onec', 'tiny', 'pg_temp', 'nowhere';
	fails("SELECT onec.mirror('tiny', 'Document_Чек', 'Ref_Key', 's', erasure => 'mask')", '22023', 'a key is not masked');
	fails("SELECT onec.mirror('tiny', 'Document_Чек', 'Ref_Key', 's', erasure => 'burn')", '22023', 'nor burnt');
	fails("SELECT onec.unmirror('nothing')", '42704', 'what is no mirror');
	is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 's'::regnamespace"), 0, 'nothing is left of what failed');
	# the same set twice, of two servers, under names that are no words of SQL
	OnecTest->server($node, $tiny, name => 'other', options => "timezone 'Europe/Moscow', retries '0'");
	sql("SELECT onec.mirror('other', 'Catalog_Склады', 'none', 's'), onec.mirror('tiny', 'Catalog_Склады', 'none', 's', 'a.b \"c'); CALL onec.sync('other', steps => '{mirrors}'); CALL onec.sync('tiny', steps => '{mirrors}')");
	is(sql(q{SELECT server, mirror, status, rows_read > 2 FROM onec.mirrors WHERE table_name ~ '^s[.]' ORDER BY server}), qq{other|catalog_Склады_2|ok|t\ntiny|a_b "c|ok|t},
		'a set is mirrored twice, for two servers, under any names');
	sql("SELECT onec.unmirror(mirror, true) FROM onec.mirrors WHERE table_name ~ '^s[.]'; DROP SERVER other CASCADE; SELECT count(*) FROM onec.forget_server('other')");
});

# ---- tables that are somebody's ----
OnecTest->part('hostile', sub {
	my $table = 'm."catalog_Склады"';

	mirrored();
	# a few others are enough to see that it fails alone
	sql("SELECT onec.unmirror(mirror, true) FROM onec.mirrors WHERE server = 'tiny' AND entity_set NOT IN ('Catalog_Склады', 'Catalog_Товары', 'Document_Чек')");
	my $status = sub { mirrors('tiny'); return sql("SELECT status || ': ' || coalesce(message, '') FROM onec.mirrors WHERE mirror = 'catalog_Склады'"); };

	sql(qq{CREATE ROLE weak; CREATE SCHEMA weak AUTHORIZATION weak; GRANT CREATE ON DATABASE postgres TO weak; GRANT USAGE ON SCHEMA m TO weak;
		ALTER TABLE $table OWNER TO weak; CREATE TABLE public.ran (who name); GRANT INSERT ON public.ran TO PUBLIC;
		SET ROLE weak; CREATE FUNCTION weak.evil() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
		CREATE FUNCTION weak.check() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.ran VALUES (current_user); RETURN true; END';
		CREATE FUNCTION weak.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.ran VALUES (current_user); RETURN NEW; END';
		CREATE DOMAIN weak.word AS text CHECK (weak.check())});
	is($status->(), 'ok: ', 'a plain table of a weaker role is written');
	for my $case (
		[ 'triggers', "CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON $table FOR EACH ROW EXECUTE FUNCTION weak.fire()", "DROP TRIGGER t ON $table" ],
		[ 'defaults or generated columns', "ALTER TABLE $table ADD extra text DEFAULT query_to_xml('SELECT weak.check()', true, true, '')::text", "ALTER TABLE $table DROP extra" ],
		[ 'check constraints', "ALTER TABLE $table ADD CONSTRAINT c CHECK (weak.check()) NOT VALID", "ALTER TABLE $table DROP CONSTRAINT c" ],
		[ 'rules', "CREATE RULE r AS ON INSERT TO $table DO ALSO SELECT weak.check()", "DROP RULE r ON $table" ],
		[ 'row-level security', "ALTER TABLE $table ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON $table USING (weak.check())", "DROP POLICY p ON $table; ALTER TABLE $table DISABLE ROW LEVEL SECURITY" ],
		[ 'types, functions or operators of others', "CREATE INDEX i ON $table ((weak.evil()))", 'DROP INDEX m.i' ],
		[ 'types, functions or operators of others', "ALTER TABLE $table ADD extra weak.word", "ALTER TABLE $table DROP extra" ],
		[ 'inheritance', "CREATE TABLE weak.child () INHERITS ($table)", 'DROP TABLE weak.child' ])
	{
		my ($what, $do, $undo) = @$case;

		sql("GRANT CREATE ON SCHEMA m TO weak; SET ROLE weak; $do; RESET ROLE; TRUNCATE public.ran");
		$tiny->control('POST', '/edit', { code => '001', name => 'Склад ' . rand });
		like($status->(), qr/^failed: .*catalog_Склады.* has \Q$what\E, which would run with the rights of role/, "Z9: hostile: $what of a weaker owner: the step fails by name");
		is(sql("SELECT count(*) FROM public.ran") . sql("SELECT count(*) FROM onec.mirrors WHERE server = 'tiny' AND status <> 'ok'"), '01', '… none of it ran, and it fails alone');
		fails("SELECT onec_internal.hold_own_tables('catalog_Склады')", '42501', '… nor is anything else done in it');
		sql("SET ROLE weak; $undo");
	}
	is($status->(), 'ok: ', 'Z9: without it all is in order') or diag(sql("SELECT $table.* FROM $table"));
	# a view, another table in its place, a schema that is called something else
	sql("SET ROLE weak; ALTER TABLE $table RENAME TO stores; CREATE VIEW $table AS SELECT *, weak.check() FROM m.stores");
	like($status->(), qr/^no table: .*not there or is no ordinary table/, 'Z10: hostile: a view in its place');
	sql("DROP VIEW $table");
	like($status->(), qr/^no table: .*catalog_Склады.*is not there/, 'Z10: a table that is gone');
	is(sql("SELECT status FROM onec.mirrors WHERE mirror = 'catalog_Склады'"), 'no table', 'Z10: … which onec.mirrors shows');
	sql("ALTER TABLE m.stores RENAME TO \"catalog_Склады\"; ALTER TABLE $table ALTER code TYPE varchar(2) USING left(code, 2)");
	like($status->(), qr/^failed: .*"code".*of type character varying/, 'Z11: a column of another type');
	sql("ALTER TABLE $table DROP code");
	like($status->(), qr/^failed: .*"code".*not there any more/, 'Z11: a column that is gone');
	sql("ALTER TABLE $table ADD code text");
	is($status->(), 'ok: ', 'Z11: brought back, it is filled');
	is($truth->load->differences($table, 'Catalog_Склады', names => { Name => sql("SELECT attname FROM pg_attribute WHERE attrelid = '$table'::regclass AND attname ~ '^name'") }), '', 'Z11: … as in 1C');
	my $held = OnecTest->background($node, "BEGIN; SELECT onec_internal.hold_own_tables('catalog_Склады'); SELECT pg_sleep(600)", name => 'held');
	OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_locks WHERE relation = '$table'::regclass AND mode = 'ShareUpdateExclusiveLock'") }, 'the lock');
	fails("SET lock_timeout = '300ms'; ALTER SCHEMA m RENAME TO n", '55P03', 'Z12: a schema keeps its name while its table is written');
	fails("SET lock_timeout = '300ms'; CREATE TABLE weak.child () INHERITS ($table)", '55P03', 'Z12: … and the table its shape');
	$held->cancel;
	$held->wait;

	# a role that syncs and has no other rights
	sql("CREATE ROLE syncer LOGIN; SELECT onec.grant_sync('syncer', 'tiny'); CREATE USER MAPPING FOR syncer SERVER tiny OPTIONS (user 'demo', password 'demo')");
	OnecTest->try_text($node, "CALL onec.sync('tiny', full_reload => true, steps => '{mirrors}')", user => 'syncer');
	like(sql("SELECT string_agg(DISTINCT status || ': ' || regexp_replace(message, ' [^ ]+\$', ''), ',') FROM onec.mirrors WHERE server = 'tiny'"), qr/^failed: permission denied/, 'whoever syncs has to be granted the tables');
	fails("SELECT onec_internal.alter_mirror('catalog_Склады', ARRAY[('x', 'text; DROP TABLE public.ran', '{property=Code}', 'x')]::onec_internal.made_column[])", '42501', 'what it may alter is checked', user => 'syncer');
	fails(q{SELECT onec_internal.widen_mirror('catalog_Склады', '[{"property": "x", "wanted": "x", "kind": "text; DROP TABLE public.ran", "is_part": false}]')}, '23514', '… and so is what it may add', user => 'syncer');
	fails("UPDATE onec_internal.$_ SET server = server", '42501', "… and it does not say what is a $_", user => 'syncer') for qw(mirror mirror_section);
	sql("GRANT USAGE ON SCHEMA m TO syncer; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA m TO syncer; SET ROLE weak; GRANT ALL ON $table TO syncer");
	$tiny->control('POST', '/edit', { code => '002', name => 'Ещё склад' });
	structure($tiny, set => 'Catalog_Склады', add => { name => 'Площадь', type => 'Edm.Double', value => 40 });
	OnecTest->try_text($node, "CALL onec.sync('tiny', full_reload => true, steps => '{mirrors}')", user => 'syncer');
	is(sql("SELECT string_agg(DISTINCT status || coalesce(message, ''), ',') FROM onec.mirrors WHERE server = 'tiny'"), 'ok', 'then it reads them all') or diag(statuses('tiny'));
	is(sql("SELECT count(\"Площадь\") > 2, (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '$table'::regclass) FROM $table"), 't|weak', 'a new column comes into a table that is another\'s, and stays another\'s');
});

# ---- the shop: all its sets, people, windows, lines ----
OnecTest->part('shop', sub {
	my $onec = OnecTest->onec('--customers', 12, '--seed', 3);
	my $shop = MirrorTruth->new($node, $onec)->load;
	my %whose = ('Catalog_Контрагенты' => 'Ref_Key', 'Catalog_ДисконтныеКарты' => 'Ref_Key, ВладелецКарты_Key', 'Document_ЗаказПокупателя' => 'Контрагент_Key',
		'AccumulationRegister_Продажи_RecordType' => 'Контрагент_Key', 'InformationRegister_ДополнительныеСведения' => 'Объект',
		'Catalog_Контрагенты_КонтактнаяИнформация' => 'Ref_Key');
	my %named = ('Document_ЗаказПокупателя_Запасы' => "'lines_by_themselves'", 'InformationRegister_ДополнительныеСведения' => "'more'", 'Catalog_Контрагенты_КонтактнаяИнформация' => "'contacts'");
	my $equal = sub { my ($what) = @_; $shop->load; all_equal($shop, 'shop', $what); };
	my $orders = 'sh."document_ЗаказПокупателя"';
	my $lines = 'sh."document_ЗаказПокупателя_Запасы"';

	OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
	sql('CREATE SCHEMA sh; ' . join '', map { "SELECT onec.mirror('shop', '$_', '" . ($whose{$_} || 'none') . "', 'sh', erasure => " . ($_ =~ /Продажи/ ? "'mask'" : 'NULL') .
		', sections => ' . ($_ =~ /^Document_ЗаказПокупателя$/ ? 'true' : 'false') . ', local_table => ' . ($named{$_} || 'NULL') . ");\n" } $shop->sets);
	is(sql("SELECT count(*) FROM onec.mirrors WHERE server = 'shop'"), scalar(my @all = $shop->sets), 'all sets of the shop are mirrored');
	mirrors('shop');
	is(statuses('shop'), '', 'and read');
	all_equal($shop, 'shop', 'first run of the shop');
	is($shop->differences($lines, 'Document_ЗаказПокупателя_Запасы'), '', 'and the lines of orders');
	is(sql('SELECT count(*) > 0 FROM sh."informationregister_ЦеныНоменклатуры" WHERE "Характеристика_key" = \'00000000-0000-0000-0000-000000000000\''), 't', 'an empty part of a key is an empty reference');
	my $rows = xmins();
	my $log = $onec->control('GET', '/log');
	ok(grep({ $_->{path} eq 'Document_ЗаказПокупателя' && $_->{query} =~ /Date ge datetime.*Date lt datetime/ } @$log), 'documents are read by windows of their date');
	mirrors('shop');
	is(xmins(), $rows, 'a second run of the shop writes no row');
	is(scalar(grep { $_->{path} eq '$metadata' } @{ $onec->control('GET', "/log?since=$log->[-1]{n}") }), 1, '… and reads the metadata once');
	for my $turn (1 .. ($ENV{TEST_FULL} ? 20 : 1))
	{
		$onec->control('POST', '/edit', { op => 'random', n => 12, seed => $seed + $turn });
		$onec->control('POST', '/structure', { shake => 12, seed => $seed + $turn });
		mirrors('shop');
		is(statuses('shop'), '', "shop, turn $turn is proven") or diag(sql('SELECT * FROM onec_internal.sync_doubt'));
		$equal->("shop, turn $turn");
		is($shop->differences($lines, 'Document_ЗаказПокупателя_Запасы'), '', "shop, turn $turn: and the lines of orders") if $turn == 1;
	}
	# what follows needs a few of them
	sql("SELECT onec.unmirror(mirror, true) FROM onec.mirrors WHERE server = 'shop' AND people = '{}'");

	# a window is written with its lines, or not at all
	my ($order, $day) = split /\|/, sql("SELECT ref_key, date::date FROM $orders WHERE \"Запасы\" <> '[]' ORDER BY date DESC LIMIT 1");
	$onec->control('POST', '/structure', { set => 'Document_ЗаказПокупателя', add => { name => 'Примета', type => 'Edm.String', value => 'x' } });
	$onec->control('POST', '/edit', { op => 'order_line', order => $order });
	sql("ALTER TABLE $lines ADD CONSTRAINT small CHECK (\"Цена\" IS NULL OR ref_key <> '$order') NOT VALID");
	my $before = sql("SELECT md5(string_agg(l::text, ',' ORDER BY linenumber)) FROM $lines l WHERE ref_key = '$order'");
	mirrors('shop');
	like(statuses('shop'), qr/^document_ЗаказПокупателя failed: .*small/, 'Z8: lines that cannot be written fail their step');
	is(sql("SELECT count(*) FROM $orders WHERE date::date = '$day' AND \"Примета\" IS NOT NULL"), 0, 'Z8: no object of that window was written');
	is(sql("SELECT md5(string_agg(l::text, ',' ORDER BY linenumber)) FROM $lines l WHERE ref_key = '$order'"), $before, 'Z8: nor a line of it');
	sql("ALTER TABLE $lines DROP CONSTRAINT small");
	mirrors('shop');
	$equal->('Z8: after that');
	is($shop->differences($lines, 'Document_ЗаказПокупателя_Запасы'), '', 'Z8: and the lines');

	# forgotten
	my ($who) = split /\|/, sql("SELECT \"Контрагент_key\", count(*) FROM $orders WHERE \"Запасы\" <> '[]' AND \"Контрагент_key\" IN (SELECT ref_key FROM sh.contacts) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1");
	$onec->control('POST', '/structure', { set => 'InformationRegister_ДополнительныеСведения', row => { 'Объект' => $who, 'Объект_Type' => 'StandardODATA.Catalog_Контрагенты' } });
	mirrors('shop');
	my $count = sub { return join ' ', map { sql("SELECT count(*) FROM sh.\"$_->[0]\" WHERE \"$_->[1]\"::text = '$who'") } [ 'catalog_Контрагенты', 'ref_key' ], [ 'document_ЗаказПокупателя', 'Контрагент_key' ],
		[ 'accumulationregister_Продажи_recordtype', 'Контрагент_key' ], [ 'more', 'Объект' ], [ 'contacts', 'ref_key' ]; };
	my $sales = sql('SELECT count(*) FROM sh."accumulationregister_Продажи_recordtype"');
	like($count->(), qr/^1 [1-9]\d* \d+ 1 [1-9]/, 'somebody has rows in mirrors');
	like(sql("SELECT string_agg(table_name, ', ' ORDER BY table_name) FROM onec.forget('$who', 'shop') WHERE table_name ~ '^sh'"), qr/sh\.catalog_Контрагенты.*sh\.document_ЗаказПокупателя/, 'forget erases them');
	is($count->(), '0 0 0 0 0', 'shop: none is left, nor one of a reference of several types');
	is(sql("SELECT count(*) FROM $lines l WHERE NOT EXISTS (SELECT FROM $orders o WHERE o.ref_key = l.ref_key)"), 0, 'nor lines of them');
	is(sql('SELECT count(*) FROM sh."accumulationregister_Продажи_recordtype"'), $sales, 'sales are masked, and stay');
	mirrors('shop');
	is($count->() . statuses('shop'), '0 0 0 0 0', 'the next run brings nobody back');

	# a server that is called something else, setup, schedule, rights
	is(sql("SELECT count(*) FROM onec.setup('shop') WHERE changes IS NOT NULL AND target IN (SELECT mirror FROM onec.mirrors)"), 0, 'setup has nothing to change in mirrors');
	$rows = xmins();
	sql('ALTER SERVER shop RENAME TO store');
	mirrors('store');
	is(statuses('store') . xmins(), $rows, 'a server that is renamed: no row of a mirror is written, and they go on');
	sql("CREATE ROLE reader; SELECT onec.grant_reader('reader')");
	is(sql("SELECT bool_or(has_table_privilege('reader', m.table_name, 'SELECT')) FROM onec.mirrors m; SET ROLE reader; SELECT count(m) > 0 FROM onec.mirrors m WHERE gone IS NOT NULL"), "f\nt", 'readers see which mirrors there are, and nothing of them');
	is(sql("SELECT count(*) FROM onec_internal.sync_steps('store', NULL) WHERE step = 'mirrors'") > 0, 1, 'the jobs take them along');

	# they are the user's: dumped with what fills them, kept by DROP EXTENSION
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/mirror.sql";
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'a dump');
	sql('CREATE DATABASE copy');
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', $dump ], 'comes back');
	is(OnecTest->rows($node, "SELECT count(*), (SELECT count(*) FROM $lines) FROM $orders", database => 'copy'), sql("SELECT count(*), (SELECT count(*) FROM $lines) FROM $orders"), 'with the rows');
	$rows = OnecTest->rows($node, "SELECT md5(string_agg(xmin::text, ',' ORDER BY xmin::text)) FROM $orders", database => 'copy');
	OnecTest->rows($node, "CALL onec.sync('store', full_reload => true, steps => '{mirrors}')", database => 'copy');
	is(OnecTest->rows($node, "SELECT string_agg(DISTINCT status, ',') FROM onec.mirrors WHERE server = 'store'", database => 'copy'), 'ok', 'a sync goes on there');
	is(OnecTest->rows($node, "SELECT md5(string_agg(xmin::text, ',' ORDER BY xmin::text)) FROM $orders", database => 'copy'), $rows, 'and writes no row of it');
	OnecTest->rows($node, 'DROP EXTENSION onec_fdw CASCADE', database => 'copy');
	is(OnecTest->rows($node, "SELECT count(*) > 0, (SELECT count(*) FROM pg_trigger WHERE tgrelid = '$orders'::regclass) FROM $orders", database => 'copy'), 't|0', 'DROP EXTENSION leaves the tables, as ordinary ones');
	sql('DROP SERVER store CASCADE');
	is(sql("SELECT count(*) > 0 FROM $orders"), 't', 'DROP SERVER leaves the rows');
	cmp_ok(sql("SELECT count(*) FROM onec.forget_server('store') WHERE table_name ~ '^sh\\.'"), '>', 3, 'forget_server deletes them');
	is(sql("SELECT count(*), (SELECT count(*) FROM $lines), (SELECT count(*) FROM onec.field_source WHERE target ~ 'ЗаказПокупателя'), (SELECT count(*) FROM onec.mirrors WHERE server = 'store') FROM $orders"), '0|0|0|0', 'with lines and lists of fields');
});

$node->stop;
done_testing();
