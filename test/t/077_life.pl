# Lifecycle: settings and arguments that are refused, servers that are renamed and dropped, what a dump and a replica keep.
# Cases are named as in the list of faults, L1 … L19.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 12, '--seed', 3);
my $has_cron = OnecTest->have_cron;
my $node = OnecTest->node('life', cron => $has_cron);
# what pg_cron has of us
my $JOBS = $has_cron ? "SELECT string_agg(DISTINCT jobname || ' ' || command, ', ') FROM cron.job WHERE jobname ~ 'nightly'" : undef;


OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");

# A statement is refused: SQLSTATE, and what the message and the hint say.
sub refused
{
	my ($id, $statement, $state, $says) = @_;
	my $r = OnecTest->try_text($node, $statement);

	ok($r->{sqlstate} eq $state && $r->{stderr} =~ $says, "$id: $statement")
	  or diag("$r->{sqlstate} $r->{stderr}");
	return;
}

# Statements and the one value that the last of them prints.
sub shows
{
	my ($statements, $expected, $id) = @_;

	is(OnecTest->rows($node, $statements), $expected, $id);
	return;
}

# ---- settings ----
OnecTest->part(settings => sub {
	for my $case (
		[ 'nightly.hour', '99', qr/int from 0 to 23 is expected/ ], [ 'nightly.hour', '-1', qr/from 0 to 23/ ],
		[ 'nightly.minute', '60', qr/from 0 to 59/ ], [ 'sync.interval_hours', '0', qr/from 1 to 744/ ],
		[ 'affinity.half_life_days', '0', qr/from 0.01 to Infinity/ ], [ 'affinity.half_life_days', '-5', qr/from 0.01/ ],
		[ 'affinity.half_life_days', 'NaN', qr/from 0.01/ ], [ 'exclude_recorder_types', '{NULL}', qr/A list is expected/ ],
		[ 'exclude_recorder_types', '{one,""}', qr/not empty/ ], [ 'organization_ids', '{shop}', qr/of type uuid/ ],
		[ 'endpoint.product', ' ', qr/type text/ ], [ 'nightly.hour', '3.5', qr/type int/ ], [ 'nightly.hour', '99999999999', qr/type int/ ],
		[ 'rfm.recency_cuts', '{1,2,x,4}', qr/numeric/ ], [ 'rfm.recency_cuts', '{1,2,-3,4}', qr/from 0 to/ ],
		[ 'abc.a', '1.5', qr/from 0 to 1 / ], [ 'check_unit', 'reciept', qr/Perhaps you meant: receipt\. Possible values: receipt, row/ ])
	{
		refused('L3', "SELECT onec.set('$case->[0]', '$case->[1]', 'shop')", '22023', $case->[2]);
	}
	refused('L3', "SELECT onec.set('nightly.huor', '4')", '22023', qr/unrecognized setting "nightly.huor".*\n.*Perhaps you meant: nightly.hour/);
	refused('L3', "SELECT onec.get('nightly.huor')", '22023', qr/Perhaps you meant: nightly.hour/);
	refused('L3', "SELECT onec.set(NULL, '4')", '22023', qr/unrecognized setting ""/);
	refused('L3', "SELECT onec.set('nightly.hour', '4', 'shpo')", '42704', qr/server "shpo".*\n.*Perhaps you meant: shop/);
	refused('L3', "SELECT onec.set('nightly.hour', '4', NULL)", '42704', qr/server "\?"/);
	shows('SELECT count(*) FROM onec.config', 0, 'L3: nothing of it is kept');
	shows("SELECT string_agg(s.key, ', ') FROM onec.setting s CROSS JOIN LATERAL onec_internal.check_setting(s, s.initial)
		   WHERE s.type ~ 'int|numeric' AND s.lowest IS NULL", '', 'L3: the defaults are in their ranges, and every number has one');
	shows("SELECT onec.set('nightly.hour', '23', 'shop'), onec.set('affinity.half_life_days', 'Infinity'), onec.set('organization_ids', '{}', 'shop');
		   SELECT count(*) FROM onec.config", "||\n3", 'L3: what is in the range is taken');
	shows("SELECT onec.set(key, NULL, server) FROM onec.config; SELECT count(*) FROM onec.config", "\n\n\n0", 'L3: and taken back');
	refused('L15', "SELECT * FROM onec.affinity('shop', only_kind => 'categori')", '22023', qr/unrecognized kind "categori"\n.*Perhaps you meant: category/);
	refused('L15', "SELECT onec.rfm_score(5, '{1,2,3,4}', 'nomode')", '22023', qr/unrecognized mode "nomode"\n.*quantile, thresholds/);
	refused('L15', "SELECT onec.load_rfm_segments('shopfy')", '22023', qr/Perhaps you meant: shopify/);
	refused('L15', "SELECT onec.lag_seconds('purchase', 'shop')", '22023', qr/Perhaps you meant: purchases/);
	refused('L15', "CALL onec.$_('shop', 'nightly')", '22023', qr/unrecognized job "shop"\n.*The job comes before the server: \('nightly', 'shop'\)/)
	  for qw(run_job run_now);
	refused('L15', "CALL onec.run_now('nightyl', 'shop')", '22023', qr/Perhaps you meant: nightly/);
});

# ---- arguments ----
OnecTest->part(arguments => sub {
	refused('L5', "CALL onec.$_('nightly', 'shop')", '42P01', qr/has no foreign tables of the shop\n.*onec\.setup\('shop'\)/) for qw(run_job run_now);
	OnecTest->rows($node, "SELECT count(*) FROM onec.setup('shop')");
	OnecTest->rows($node, "CREATE FUNCTION within() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL onec.sync(''shop''); END'");
	$onec->control('POST', '/log/clear', {});
	for my $days (2147483647, -1, 36501)
	{
		refused('L4', "CALL onec.sync('shop', days => $days)", '22023', qr/invalid number of days: $days\n.*From 0 to 36500/);
		refused('L4', "CALL onec.sync_purchases('shop', days => $days)", '22023', qr/invalid number of days/);
	}
	refused('L4', "CALL onec.sync('shop', cards_limit => -1)", '22023', qr/invalid limit of cards/);
	refused('L4', "CALL onec.sync('shop', steps => '{}')", '22023', qr/there is no step to do/);
	refused('L4', "CALL onec.sync('shop', steps => '{card}')", '22023', qr/unrecognized step "card"\n.*Perhaps you meant: cards/);
	refused('L4', "CALL onec.sync('shop', steps => '{NULL}')", '22023', qr/unrecognized step ""/);
	refused('L4', "CALL onec.sync('shpo')", '42704', qr/Perhaps you meant: shop/);
	refused('L4', "CALL onec.sync_purchases('shop', \"from\" => '2026-02-01', \"to\" => '$_')", '22023', qr/there is no day from 2026-02-01 up to/)
	  for '2026-01-01', '2026-02-01';
	refused('L4', "SELECT * FROM onec.check_amounts('2026-02-01', '2026-01-01', 'shop')", '22023', qr/there is no day from/);
	refused('L4', "CALL onec.sync_purchases('shop', \"to\" => '2026-01-01')", '22023', qr/"to" needs "from"/);
	refused('L4', "CALL onec.sync_purchases('shop', \"from\" => '-infinity')", '22023', qr/without an end/);
	refused('L4', "CALL onec.sync_purchases('shop', customer => '70000000000')", $_, qr/no customer is known/) for 'P0002';
	refused('L5', 'SELECT within()', '2D000', qr/onec\.sync cannot run inside a transaction block or a function\n.*call it outside/);
	refused('L5', "BEGIN; CALL onec.$_('nightly', 'shop')", '2D000', qr/onec\.$_ cannot run/) for qw(run_job run_now);
	refused('L5', "DO 'BEGIN BEGIN CALL onec.sync(''shop''); EXCEPTION WHEN division_by_zero THEN NULL; END; END'", '2D000', qr/exception handlers/);
	is(scalar @{ $onec->control('GET', '/log') }, 0, 'L4, L5: 1C was asked nothing');
	shows('SELECT count(*) FROM onec.sync_run', 0, 'L4, L5: no run is on record');
});

# ---- servers that are renamed and dropped ----
OnecTest->part(servers => sub {
	my $person;

	OnecTest->rows($node, "SELECT count(*) FROM onec.setup('shop'); CALL onec.sync('shop', full_reload => true)");
	$person = OnecTest->rows($node, "SELECT user_id FROM onec.site_user s JOIN onec.customer_profile p ON p.customer_id = s.user_id ORDER BY total_revenue DESC LIMIT 1");
	my $profile = OnecTest->rows($node, "SELECT onec.profile_json('$person')");
	my $lines = OnecTest->rows($node, 'SELECT count(*) FROM onec.sale_line');
	like($profile, qr/"total_revenue" : [1-9]/, 'L7: one base need not be named');

	# several bases
	OnecTest->rows($node, "CREATE SERVER other FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x')");
	refused('L7', $_, '22023', qr/a server must be named\n.*Servers of onec_fdw: other, shop/) for "SELECT onec.profile_json('$person')",
	  "SELECT onec.customer_json('$person')", "SELECT onec.purchases_json('$person')", "SELECT * FROM onec.recommend('$person')",
	  "SELECT * FROM onec.similar_items('$person')", "SELECT * FROM onec.forget('$person')", "SELECT * FROM onec.purge('2020-01-01')",
	  'SELECT onec.report()', 'SELECT onec.forget_refusals()', 'CALL onec.sync()', "CALL onec.run_job('nightly')", 'SELECT * FROM onec.setup()';

	# renamed
	OnecTest->rows($node, "CREATE EXTENSION pg_cron; SELECT count(*) FROM onec.schedule('shop')") if $has_cron;
	OnecTest->rows($node, "SELECT onec.set('nightly.hour', '5', 'shop')");
	OnecTest->rows($node, 'CREATE SCHEMA taken');
	refused('L2', 'ALTER SERVER shop RENAME TO taken', '42P06', qr/schema "taken" exists already/);
	OnecTest->rows($node, 'ALTER SERVER shop RENAME TO "The Shop"');
	shows("SELECT count(*) FROM onec.sale_line WHERE server = 'The Shop'", $lines, 'L2: the rows go with the name');
	shows("SELECT onec.get('nightly.hour', 'The Shop'), onec.local_now('The Shop') = now() AT TIME ZONE 'Europe/Moscow'", '5|t', 'L2: so do settings and clock');
	shows("SELECT onec.profile_json('$person', server => 'The Shop')", $profile, 'L2: and profiles');
	shows($JOBS, "onec:The Shop:nightly CALL onec.run_job('nightly', 'The Shop')", 'L2: and the jobs') if $has_cron;
	refused('L2', "SELECT onec.profile_json('$person', server => 'shop')", '42704', qr/Perhaps you meant: The Shop/);
	OnecTest->rows($node, "CALL onec.run_job('nightly', 'shop')");
	shows("SELECT server, status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1", 'The Shop|ok', 'L2: a job of the old name, from a crontab, goes on');
	OnecTest->rows($node, "ALTER SERVER \"The Shop\" RENAME TO shop; CALL onec.sync('shop')");
	shows("SELECT status, (SELECT former FROM onec_internal.base WHERE server = 'shop') FROM onec.sync_run ORDER BY run_id DESC LIMIT 1", 'ok|{"The Shop"}', 'L2: there and back');
	OnecTest->rows($node, "UPDATE onec_internal.base SET server_oid = 1; ALTER SERVER shop RENAME TO moved; ALTER SERVER moved RENAME TO shop");
	shows("SELECT count(*) FROM onec.sale_line WHERE server = 'shop'", $lines, 'L2: numbers of another database, from a dump, do not matter');
	OnecTest->rows($node, "ALTER SERVER shop OPTIONS (SET timezone 'Asia/Omsk')");
	shows("SELECT timezone FROM onec_internal.base WHERE server = 'shop'", 'Asia/Omsk', 'L17: the store keeps the clock');
	refused('L2', "SELECT * FROM onec.forget_server('shop')", '55006', qr/server "shop" still exists\n.*DROP SERVER shop/);
	{
		my $run = OnecTest->background($node, "SELECT onec_internal.hold_run(onec_internal.run_lock_key('shop')), pg_sleep(20)");
		OnecTest->wait_for(sub { OnecTest->rows($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") }, 'the run');
		refused('L2', 'ALTER SERVER shop RENAME TO moved', '55006', qr/a sync of "shop" is at work/);
		$run->cancel;
		$run->wait;
	}

	# dropped
	OnecTest->rows($node, "DROP SERVER other; DROP SERVER shop CASCADE");
	shows('SELECT count(*) FROM cron.job', 0, 'L2: no jobs are left') if $has_cron;
	shows("SELECT onec.profile_json('$person')", $profile, 'L17: what is here is told without the server');
	shows("SELECT onec.local_now() = now() AT TIME ZONE 'Asia/Omsk'", 't', 'L17: by the clock of the base');
	shows("SELECT count(*) > 0 FROM onec.$_", 't', "L17: $_") for qw(receipt purchase revenue_month store_summary abc_xyz);
	refused('L14', $_, '42704', qr/server "shop" of onec_fdw does not exist any more\n.*forget_server\('shop'\)/)
	  for 'CALL onec.sync()', "SELECT * FROM onec.setup('shop')", "CALL onec.run_job('nightly', 'shop')", 'SELECT * FROM onec.diagnose()', 'SELECT * FROM onec.schedule()';
	shows("SELECT count(*) > 0 FROM onec.forget('$person')", 't', 'L14: people are erased without the server');
	shows("SELECT onec.profile_json('$person') IS NULL", 't', 'L14: and gone');
	shows("SELECT sum(rows) > 0 FROM onec.purge('2020-01-01')", 'f', 'L14: purge works without the server');
	shows("SELECT count(*) > 5, bool_or(table_name = 'sale_line'), bool_or(table_name = 'forgotten') FROM onec.forget_server('shop')", 't|t|f', 'L2: forgotten');
	shows("SELECT string_agg(t, ', ') FROM onec_internal.tables_by_server() t WHERE (xpath('//c/text()', query_to_xml(format('SELECT count(*) AS c FROM %s WHERE server = %s', t, onec_internal.server_in(t, 'shop')), true, true, '')))[1]::text <> '0'",
		'onec.forgotten', 'L2: nothing is left but who was forgotten');
	shows("SELECT to_regnamespace('shop') IS NULL", 't', 'L2: the empty schema is gone');
	refused('L2', "SELECT * FROM onec.forget_server('shop')", '42704', qr/server "shop" of onec_fdw does not exist/);
	OnecTest->rows($node, q{CREATE SERVER x FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x'); SELECT onec.set('nightly.hour', '4', 'x')});
	OnecTest->rows($node, 'DROP EXTENSION onec_fdw CASCADE; CREATE EXTENSION onec_fdw');
	OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
	shows('SELECT count(*) FROM onec_internal.base', 0, 'L2: the extension is dropped and made again');
	OnecTest->rows($node, "SELECT count(*) FROM onec.setup('shop'); CALL onec.sync('shop')");
	OnecTest->rows($node, "ALTER TABLE onec.sync_run ALTER run_id RESTART WITH 1; CALL onec.sync('shop')");
	shows('SELECT max(run_id), max(status) FROM onec.sync_run', '2|ok', 'L18: a sequence that is behind, as on a promoted subscriber');
});

# ---- what a dump and a replica keep ----
OnecTest->part(copies => sub {
	# what people make of the tables, one of each kind
	my $told = "SELECT string_agg(x, E'\n' ORDER BY x) FROM (SELECT m::text FROM onec.category_map m UNION ALL SELECT f::text FROM onec.frequency_class f
		UNION ALL SELECT f::text FROM onec.field_source f UNION ALL SELECT t::text FROM onec.target t UNION ALL SELECT p::text FROM onec.phone_plan p UNION ALL SELECT s::text FROM onec.rfm_segment s
		UNION ALL SELECT r::text FROM onec_internal.seed_removed r UNION ALL SELECT c.server || c.key || c.value FROM onec.config c) t (x)";
	my $file = "$PostgreSQL::Test::Utils::tmp_check/copies.sql";

	$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(edited restored replica);
	my $sql = sub {
		my ($statement, $database) = @_;

		utf8::encode($statement);
		my $r = OnecTest->try($node, $statement, database => $database);
		diag("$database: $r->{stderr}") if $r->{sqlstate} ne '00000';
		return $r->{stdout};
	};
	$sql->('CREATE EXTENSION onec_fdw', $_) for qw(edited replica);
	my $seeds = $sql->($told, 'edited');
	$sql->("UPDATE onec.category_map SET slug = 'ring' WHERE slug = 'rings'; DELETE FROM onec.category_map WHERE slug = 'sets';
		INSERT INTO onec.category_map VALUES (35, 'пирсинг', 'piercing', 'Пирсинг');
		UPDATE onec.frequency_class SET upper_days = 8 WHERE code = 'weekly';
		UPDATE onec.field_source SET candidates = '{Магазин_Key}' WHERE target = 'sale_line' AND field = 'store_id';
		UPDATE onec.target SET is_open = false WHERE target = 'loyalty_lot'; INSERT INTO onec.target (target, server, ordinal, step, title, source, entity_set,
			table_schema, table_name, unit, marks_deleted, people, erasure, purge, touches, is_open) VALUES ('own', 'x', 1000, 'own', 'Своё', 'set', 'Catalog_Своё', 'own', 'own',
			'{own_id}', false, '{}', 'none', 'none', '{}', false);
		UPDATE onec.phone_plan SET bare = '' WHERE country = 'KZ'; UPDATE onec.rfm_segment SET title_ru = 'Лучшие' WHERE code = 'vip';
		INSERT INTO onec.rfm_segment (set_name, priority, code, title_ru) VALUES ('own', 1, 'all', 'Все');
		UPDATE onec.category_map SET slug = slug WHERE slug = 'packaging'; SELECT onec.set('nightly.hour', '4')", 'edited');
	my $edited = $sql->($told, 'edited');
	isnt($edited, $seeds, 'L6: edits');
	is($sql->('SELECT count(*) FROM onec.category_map WHERE NOT is_seed', 'edited'), 2, 'L6: who changes nothing edits nothing');
	is($sql->("INSERT INTO onec.category_map VALUES (10, 'коробк', 'boxes', 'Коробки') ON CONFLICT (priority) DO UPDATE SET slug = excluded.slug;
			   SELECT string_agg(slug, ',') FROM onec.category_map WHERE priority = 10; DELETE FROM onec.category_map WHERE priority = 10", 'replica'),
		'boxes', 'L6: an edit takes the place of what was there');
	$sql->('DROP EXTENSION onec_fdw; CREATE EXTENSION onec_fdw', 'replica');
	system('pg_dump', '-d', $node->connstr('edited'), '-f', $file) == 0 or fail('pg_dump');
	system("psql -X -q -v ON_ERROR_STOP=1 -d '" . $node->connstr('restored') . "' -f '$file' >/dev/null") == 0 or fail('the dump is restored');
	is($sql->($told, 'restored'), $edited, 'L6: a dump brings the edits back');
	unlike(PostgreSQL::Test::Utils::slurp_file($file), qr/bracelets/, 'L6: and holds nothing that the extension brings itself');
	# the first copy of a subscription: every table by COPY, under its role
	for my $table (split /\n/, $sql->("SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND relkind = 'r'", 'edited'))
	{
		$sql->("COPY $table TO '$file.copy'", 'edited');
		my $r = OnecTest->try($node, "SET session_replication_role = replica; COPY $table FROM '$file.copy'", database => 'replica');
		$r->{sqlstate} eq '00000' or fail("L19: $table $r->{stderr}");
	}
	is($sql->($told, 'replica'), $edited, 'L19: the first copy of a logical replica goes over what it has');
});

# ---- the account of runs ----
OnecTest->part(status => sub {
	OnecTest->rows($node, "CALL onec.sync('shop', days => 900)");
	my ($person) = split /\n/, OnecTest->rows($node, "SELECT c.user_id FROM onec.customer_card c LIMIT 1");
	OnecTest->rows($node, "UPDATE onec.sync_step SET status = 'failed', message = 'night' WHERE target = 'product' AND run_id = (SELECT max(run_id) FROM onec.sync_step)");
	OnecTest->rows($node, "CALL onec.sync_purchases('shop', customer => '$person'); CALL onec.sync_loyalty('shop')");
	shows("SELECT status, message FROM onec.sync_status WHERE target = 'product'", 'failed|night', 'L13: a small run does not hide what failed at night');
	shows("SELECT count(*), count(DISTINCT target) FROM onec.sync_status", '15|15', 'L13: each table once');
});

# ---- what is purged ----
OnecTest->part(purged => sub {
	my $day = OnecTest->rows($node, "SELECT (percentile_disc(0.5) WITHIN GROUP (ORDER BY period))::date + 1 FROM onec.sale_line");
	my $old = "SELECT (SELECT count(*) FROM onec.sale_line WHERE period < '$day'), (SELECT count(*) FROM onec.card_sale_line WHERE period < '$day'),
		(SELECT count(*) FROM onec.receipt_journal WHERE date < '$day')";
	my $points = 'SELECT sum(points) FROM onec_internal.counted_points';
	my $before = OnecTest->rows($node, $old);
	my $balance = OnecTest->rows($node, $points);
	my $would = OnecTest->rows($node, "SELECT string_agg(p::text, ' ') FROM onec.purge('$day', dry_run => true) p");

	shows($old, $before, 'a dry run of purge deletes nothing');
	shows("SELECT string_agg(p::text, ' ') FROM onec.purge('$day') p", $would, 'and tells what purge does');
	shows($old, '0|0|0', 'L9: purged');
	OnecTest->rows($node, "CALL onec.sync('shop', full_reload => true); CALL onec.run_job('nightly', 'shop'); CALL onec.run_job('weekly', 'shop')");
	shows($old, '0|0|0', 'L9: a full, a nightly and a weekly sync do not bring it back');
	shows('SELECT count(*) FROM onec.drift WHERE repaired_at IS NULL', 0, 'L9: nor do they take the month that is cut for one that drifted');
	shows("SELECT string_agg(DISTINCT status, ',') FROM onec.sync_run WHERE run_id > (SELECT max(run_id) - 3 FROM onec.sync_run)", 'ok', 'L9: the runs are whole');
	shows($points, $balance, 'L9: balances of points are what they were');
	shows("SELECT onec.set('keep.purchase_days', '1', 'shop'); CALL onec.run_job('housekeeping', 'shop'); CALL onec.sync('shop', full_reload => true);
		   SELECT count(*) FROM onec.sale_line WHERE period < onec.local_now()::date - 1", "\n0", 'L9: retention is a setting');
	my $person = OnecTest->rows($node, 'SELECT min(user_id::text) FROM onec.site_user');
	shows("SELECT count(*) > 1, bool_or(table_name = 'site_user') FROM onec.forget('$person', dry_run => true)", 't|t', 'a dry run of forget');
	shows("SELECT onec.customer_json('$person') IS NOT NULL, (SELECT count(*) FROM onec.forgotten WHERE id = '$person')", 't|0', 'forgets nobody');
});

done_testing();
