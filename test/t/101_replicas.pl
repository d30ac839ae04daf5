# A second machine: a hot standby reads all and says of what writes where it goes; a logical replica of the store answers as the first
# does; dumps (plain, custom, without some schemas) come back with every edit, and a sync goes on after them.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $onec = OnecTest->onec('--customers', 8, '--seed', 5);
my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'\n");
$node->start;

sub rows
{
	my ($statement, %where) = @_;
	return OnecTest->rows($where{on} || $node, $statement, database => $where{in} || 'shop');
}

rows('CREATE DATABASE shop', in => 'postgres');
rows('CREATE EXTENSION onec_fdw');
OnecTest->server($node, $onec, name => 'shop', database => 'shop', options => "timezone 'Europe/Moscow'");
rows("SELECT FROM onec.setup('shop'); CALL onec.sync('shop', days => 900)");
cmp_ok(rows('SELECT count(*) FROM onec.sale_line'), '>', 10, 'a shop is synced');
# every table that people edit, as they may
rows(q{
	SELECT onec.set('nightly.hour', '4', 'shop'), onec.set('rfm.window', '400');
	UPDATE onec.category_map SET slug = 'ring' WHERE slug = 'rings'; DELETE FROM onec.category_map WHERE slug = 'sets';
	INSERT INTO onec.category_map VALUES (35, 'пирсинг', 'piercing', 'Пирсинг');
	UPDATE onec.frequency_class SET upper_days = 8 WHERE code = 'weekly';
	UPDATE onec.field_source SET candidates = candidates || '{Ещё_Key}' WHERE target = 'sale_line' AND field = 'store_id';
	UPDATE onec.target SET is_open = false WHERE target = 'loyalty_lot';
	UPDATE onec.phone_plan SET bare = '' WHERE country = 'KZ';
	UPDATE onec.rfm_segment SET title_ru = 'Лучшие' WHERE code = 'vip'});

# Every row of the extension's tables, but for what tells of runs; and what clients read of them.
my $tables = q{SELECT string_agg(format('SELECT %L || x::text FROM %s x', c.oid::regclass || ' ', c.oid::regclass), ' UNION ALL ')
	FROM pg_class c WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND c.relkind = 'r'
	  AND c.relname !~ '^(sync_|refusal|largest_page|base$|drift|server_capability|profile_state|people_state)'};

sub store
{
	my (%where) = @_;
	my $each = rows($tables, %where);
	return rows("SELECT count(*), md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")) FROM ($each) x (line)", %where);
}

my $reads = q{SELECT string_agg(format('SELECT %L || count(*) || md5(string_agg(x::text, '','' ORDER BY x::text COLLATE "C")) FROM onec.%I x', c.relname || ' ',
	c.relname), ' UNION ALL ' ORDER BY c.relname)
	FROM pg_class c WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind = 'v' AND c.relname !~ '^(sync_|schedule_|base_|server_|stat_|data_quality)'};

# What differs of two answers, by their lines.
sub same
{
	my ($got, $expected, $name) = @_;
	my %expected = map { ($_ => 1) } split /\n/, $expected;
	return is(join("\n", grep { !$expected{$_} } split /\n/, $got), '', $name);
}

# ---- hot standby ----
my $standby;
OnecTest->part(standby => sub {
	$node->backup('copy');
	$standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'copy', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is(rows('SELECT pg_is_in_recovery()', on => $standby), 't', 'a hot standby');
	my $views = rows($reads);
	cmp_ok(($views =~ tr/\n//) + split(/ UNION ALL /, $views), '>', 15, 'views to compare');
	same(rows($views, on => $standby), rows($views), 'standby: every view answers as the primary does');
	my ($login) = split /\n/, rows("SELECT login FROM onec.site_user WHERE login IS NOT NULL ORDER BY 1 LIMIT 1");
	for my $read ("SELECT onec.profile_json('$login')", "SELECT * FROM onec.report('shop')", "SELECT count(*) FROM shop.sale_line", "SELECT * FROM onec.recommend('$login')",
		'SELECT * FROM onec.rfm()', "SELECT onec.customer_json('$login')", "SELECT count(*), max(entity_set) FROM onec.entity_sets('shop')",
		"EXPLAIN (COSTS OFF) SELECT * FROM shop.discount_card WHERE code = '1'")
	{
		is(rows($read, on => $standby), rows($read), "standby: $read");
	}
	my $diagnosed = rows("SELECT string_agg(status || ' ' || coalesce(advice, ''), '; ') FROM onec.diagnose('shop')", on => $standby);
	unlike($diagnosed, qr/^$/, 'standby: diagnose looks at what it can');
	like($diagnosed, qr/основном сервере/, '… and says where the rest is tried');
	for my $write ("CALL onec.sync('shop')", "CALL onec.sync_cards('shop')", "SELECT onec.setup('shop')", "SELECT onec.fit_clv('shop')", "SELECT onec.refresh_models('shop')",
		"SELECT onec.refresh_profiles('shop')", "SELECT onec.refresh_rfm('shop')", "SELECT onec.refresh_pairs('shop')", "SELECT onec.refresh_recommendations('shop')",
		"SELECT onec.refresh_value('shop')", "SELECT onec.refresh_outlook('shop')", "SELECT onec.forget('$login', 'shop')", "SELECT onec.purge('2025-01-01', 'shop')",
		"SELECT onec.set('nightly.hour', '5')", "CALL onec.run_job('nightly', 'shop')", "SELECT onec.remember_refusals('shop')",
		"SELECT * FROM onec.eval_recommend('shop', '2026-06-01')")
	{
		my $r = OnecTest->try_text($standby, $write, database => 'shop');
		ok($r->{sqlstate} eq '25006', "standby: $write") or diag($r->{stderr});
		diag($r->{stderr} =~ s/LOCATION.*//sr) if $ENV{TEST_SAID};
	}
	$standby->stop('fast');
});

# ---- logical replica ----
OnecTest->part(logical => sub {
	rows('CREATE DATABASE reader', in => 'postgres');
	rows('CREATE EXTENSION onec_fdw', in => 'reader');
	OnecTest->server($node, $onec, name => 'shop', database => 'reader', options => "timezone 'Europe/Moscow'");
	rows("CREATE PUBLICATION store FOR TABLES IN SCHEMA onec, onec_internal; SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
	rows("CREATE SUBSCRIPTION reader CONNECTION \$\$" . $node->connstr('shop') . "\$\$ PUBLICATION store WITH (create_slot = false, slot_name = 'reader')", in => 'reader');
	$node->wait_for_subscription_sync($node, 'reader', 'reader');
	same(store(in => 'reader'), store(), 'replica: the first copy goes over the rows that the extension brings itself');
	$onec->control('POST', '/edit', { op => 'random', n => 20, seed => 5 });
	rows("CALL onec.sync('shop', days => 900)");
	rows('ANALYZE', in => 'reader');
	rows("UPDATE onec.category_map SET title_ru = 'Кольца и перстни' WHERE slug = 'ring'; SELECT onec.set('nightly.hour', '6', 'shop')");
	$node->wait_for_catchup('reader');
	same(store(in => 'reader'), store(), 'replica: a sync and edits come after it');
	my $views = rows($reads);
	same(rows($views, in => 'reader'), rows($views), 'replica: every view answers as the first database does');
	# promoted: the next sync writes with keys of its own
	rows('ALTER SUBSCRIPTION reader DISABLE; ALTER SUBSCRIPTION reader SET (slot_name = NONE); DROP SUBSCRIPTION reader', in => 'reader');
	rows("SELECT pg_drop_replication_slot('reader')");
	rows("SELECT FROM onec.setup('shop'); CALL onec.sync('shop', days => 900)", in => 'reader');
	is(rows("SELECT string_agg(DISTINCT status, ',') FROM onec.sync_status WHERE server = 'shop'", in => 'reader'), rows("SELECT string_agg(DISTINCT status, ',') FROM onec.sync_status WHERE server = 'shop'"),
		'replica: promoted, it syncs by itself');
});

# ---- dumps ----
OnecTest->part(dumps => sub {
	# the edits are heeded before
	rows("CALL onec.sync('shop', days => 900)");
	my $dumped = store();
	for my $form ('plain', 'custom')
	{
		my ($file, $to) = ("$tmp/$form.dump", "restored_$form");
		rows("CREATE DATABASE $to", in => 'postgres');
		is(system('pg_dump', '-F', $form, '-d', $node->connstr('shop'), '-f', $file), 0, "$form: pg_dump");
		is(system($form eq 'plain' ? ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $file) : ('pg_restore', '--exit-on-error', $file),
				'-d', $node->connstr($to)), 0, "$form: it is restored");
		same(store(in => $to), $dumped, "$form: every row and every edit is there");
		rows("CALL onec.sync('shop', days => 900)", in => $to);
		is(rows("SELECT string_agg(format('%s %s', target, rows_inserted + rows_updated + rows_deleted), ', ') FROM onec.sync_step
				WHERE run_id = (SELECT max(run_id) FROM onec.sync_run) AND rows_inserted + rows_updated + rows_deleted > 0", in => $to), '',
			"$form: a sync goes on, and finds what it knows");
	}
	# what is left out: the foreign tables, which setup makes again; all rows; the extension's own schema, which is to be there before
	for my $case ([ 'tables', '--exclude-schema=shop', '', 'rows' ], [ 'data', "--exclude-table-data='onec*.*'", '', 'none' ],
		[ 'schema', '--exclude-schema=onec --exclude-schema=onec_internal --exclude-schema=shop', 'CREATE SCHEMA onec', 'none' ])
	{
		my ($name, $options, $before, $there) = @$case;
		my $to = "without_$name";

		rows("CREATE DATABASE $to", in => 'postgres');
		rows($before, in => $to) if $before;
		is(system("pg_dump $options --no-publications -d \"@{[ $node->connstr('shop') ]}\" | psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -d \"@{[ $node->connstr($to) ]}\""), 0,
			"pg_dump $options: what is left is restored");
		is(rows('SELECT count(*) > 0 FROM onec.sale_line', in => $to), $there eq 'rows' ? 't' : 'f', "… with $there in the store");
		next if $name eq 'data';
		rows("SELECT FROM onec.setup('shop'); CALL onec.sync('shop', days => 900)", in => $to);
		is(rows('SELECT count(*), sum(amount) FROM onec.sale_line', in => $to), rows('SELECT count(*), sum(amount) FROM onec.sale_line'), '… and after setup and a sync all is there again');
	}
});

$node->stop;
done_testing();
