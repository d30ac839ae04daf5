# Roles that sync, read or serve the site; what is asked on a standby; the schedules of many servers.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 5);
my $node = OnecTest->node('rights', cron => OnecTest->have_cron, conf => "wal_level = replica\nmax_wal_senders = 4\n");

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1'");

sub run { return OnecTest->try_text($node, @_); }
sub sql { return OnecTest->rows($node, @_); }

sql('SELECT onec.setup(\'shop\'); CALL onec.sync(\'shop\', full_reload => true)');
cmp_ok(sql('SELECT count(*) FROM onec.site_user'), '>', 20, 'the shop is here');

# ---- S6: roles that sync, read, serve the site ----
# As a role, under its own login at 1C where it has one.
sub as
{
	my ($role, $sql) = @_;

	return run($sql, user => $role);
}

sub allowed
{
	my ($role, $name, $sql) = @_;
	my $r = as($role, $sql);

	is($r->{sqlstate}, '00000', $name) or diag("$sql\n$r->{stderr}");
	return $r->{stdout};
}

sql('CREATE ROLE nightly LOGIN; CREATE ROLE analyst LOGIN; CREATE ROLE site LOGIN');
{
	my $told = run("SELECT onec.grant_sync('nightly')");

	like($told->{stderr}, qr/WARNING:.*no login.*\n?.*CREATE USER MAPPING FOR nightly SERVER shop/s, 'S6: grant_sync tells what is still needed');
	sql("CREATE USER MAPPING FOR nightly SERVER shop OPTIONS (user 'demo', password 'demo')");
	unlike(run("SELECT onec.grant_sync('nightly')")->{stderr}, qr/WARNING/, '… and not when it is there');
	for my $call ("CALL onec.sync('shop', full_reload => true)", "CALL onec.sync('shop')", "CALL onec.sync('shop', days => 40, deep => true)", "CALL onec.sync(cards_limit => 7)",
		'CALL onec.sync_cards()', 'CALL onec.sync_counterparties()', 'CALL onec.sync_products()', 'CALL onec.sync_loyalty(days => 10)', 'CALL onec.sync_purchases(days => 10)',
		"CALL onec.sync_purchases(\"from\" => '2026-01-10', \"to\" => '2026-02-20')", "CALL onec.sync_purchases('shop', days => 30, customer => '70000000002')",
		map("CALL onec.run_job('$_', 'shop')", qw(interval nightly weekly housekeeping)), "CALL onec.run_now('interval', 'shop')", 'SELECT * FROM onec.check_amounts()')
	{
		allowed('nightly', "S6: $call as a role with grant_sync", $call);
		is(sql("SELECT status || ' ' || coalesce(message, '') FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok ', '… with no step that failed');
	}
	like(sql("SELECT max(version) FROM (SELECT count(*)::text AS version FROM onec.sale_line) x"), qr/^[1-9]/, '… and what was there is there');
	for my $call ("onec.lag_seconds('purchases', 'shop')", "onec.get('check_unit', 'shop')", "onec.local_now('shop')", "onec.next_purchase('shop')", "onec.rfm('shop')",
		"onec.refresh_profiles('shop')", "onec.refresh_models('shop')", "onec.choose_loyalty_rule('shop')", "onec.remember_refusals('shop')", "onec.forget_refusals('shop')",
		"onec.cancel(server => 'shop')")
	{
		allowed('nightly', "S6: $call as a role with grant_sync", "SELECT count(*) FROM $call");
	}
	is(sql("SELECT string_agg(proname, ' ' ORDER BY 1) FROM pg_proc WHERE pronamespace = 'onec_internal'::regnamespace AND has_function_privilege('nightly', oid, 'EXECUTE')
			AND proname ~ '^(set_|apply_env|create_|drop_(made|target)|make_|diagnose|forget_(person|messages)|people_meant|ids_of|rename_|needed_|report_|schedule_hint|on_server)'"),
		'', 'S6: grant_sync gives no helper of what it does not give');
	for my $call ("SELECT onec.set('check_unit', 'row')", "SELECT onec.setup('shop')", "SELECT * FROM onec.forget('70000000002')", "SELECT * FROM onec.purge('2020-01-01')",
		"SELECT onec.grant_sync('nightly')", "SELECT onec.import_env('X=1', 'shop')", "DELETE FROM onec.forgotten", "UPDATE onec.config SET value = '1'", 'TRUNCATE onec_internal.sale_line',
		"SELECT onec.schedule('shop')", 'UPDATE onec.field_source SET is_key = false')
	{
		is(as('nightly', $call)->{sqlstate}, '42501', "S6: not given: $call");
	}
	sql("SELECT onec.setup('shop')");
	allowed('nightly', 'S6: another setup takes nothing away', "CALL onec.sync_cards('shop')");
}
{
	sql("SELECT onec.grant_reader('analyst'), onec.grant_site('site'); SELECT count(*) FROM onec.refresh_models('shop')");
	my @open = split /\n/, sql("SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('analyst', c.oid, 'SELECT') ORDER BY 1");
	my @refused = grep { as('analyst', "SELECT count(*) FROM (SELECT * FROM onec.$_ OFFSET 0) x")->{sqlstate} ne '00000' } @open;

	my @called = map("onec.$_('shop')", qw(abc_xyz_at affinity cohort_matrix cohort_retention_at customer_clv_at local_now loyalty_balance_at month_season_at next_purchase
		revenue_month_at season store_summary_at weekday_hour_at)), "onec.lag_seconds('purchases', 'shop')", "onec.get('check_unit', 'shop')", "onec.similar_items(gen_random_uuid(), 5)",
		'onec.rfm_score(3, ARRAY[1, 2, 3, 4]::numeric[])', "onec.normalize_phone('+7 000 000-00-02')", 'onec.last_requests()', 'onec.session_refusals()';

	allowed('analyst', "S6: $_ as a role with grant_reader", "SELECT count(*) FROM $_") for @called;
	# a pooler's backend goes from one role to the next
	my $next = "SELECT count(*) FROM shop.discount_card WHERE barcode = '70000000002'; SET ROLE %s; SELECT string_agg(DISTINCT url, ' ') FROM onec.last_requests() WHERE url <> '\$metadata'";
	is((split /\n/, sql(sprintf($next, 'analyst')))[-1], '<insufficient privilege>', "S6: last_requests: another role's addresses are not shown");
	like(sql(sprintf($next, 'NONE')), qr/'70000000002'/, '… as they are to the role itself');
	is(as('analyst', "SELECT count(*) FROM $_")->{sqlstate}, '42501', "S6: grant_reader does not give: $_")
	  for "onec.call_list_at('shop')", "onec.rfm('shop')", "onec.entity_sets('shop')", "onec.diagnose('shop')", "onec.refresh_rfm('shop')", "onec.report('shop')",
	  'onec_internal.quality_people', "onec_internal.people_of_cards('shop')", "onec_internal.person_by_key('70000000002', 'shop')", "onec_internal.purge_before('shop', '2020-01-01')";
	is(sql("SELECT string_agg(proname, ' ' ORDER BY 1) FROM pg_proc WHERE pronamespace = 'onec_internal'::regnamespace AND has_function_privilege('analyst', oid, 'EXECUTE') AND provolatile = 'v'"),
		'is_run_at_work note_cancelled_run', 'S6: and no helper that changes anything, but the account of a run that one may cancel');
	cmp_ok(scalar(@open), '>', 40, 'S6: what grant_reader opens');
	is("@refused", '', '… can be read, every table and view of it');
	is(as('analyst', $_)->{sqlstate}, '42501', "S6: grant_reader does not give: $_")
	  for 'SELECT * FROM onec.site_user', 'SELECT * FROM onec.discount_card', 'SELECT * FROM onec.customer_360', "CALL onec.sync('shop')", "SELECT onec.customer_json('70000000002')";
	allowed('site', "S6: $_ as a role with grant_site", "SELECT * FROM $_") for "onec.profile_json('70000000002')", "onec.customer_json('70000000002', 'shop')",
	  "onec.purchases_json('70000000002')", "onec.recommend('70000000002', 10)", 'onec.recommend(NULL, 5)';
	like(as('site', "SELECT onec.profile_json('70000000002')")->{stdout}, qr/70000000002/, '… and it tells of the customer');
	is(as('site', $_)->{sqlstate}, '42501', "S6: grant_site does not give: $_") for 'SELECT * FROM onec.sale_line', "SELECT * FROM onec.forget('70000000002')", "CALL onec.sync('shop')";
}

# ---- D9: what users call, and what that calls ----
{
	is(sql("SELECT string_agg(relname, ' ' ORDER BY 1) FROM pg_class WHERE relnamespace = 'onec'::regnamespace AND relname ~ '^_'"), '', 'D9: no helper among the tables and views');
	is(sql("SELECT string_agg(proname, ' ' ORDER BY 1) FROM pg_proc WHERE pronamespace = 'onec'::regnamespace AND (proname ~ '^_' OR obj_description(oid, 'pg_proc') ~ 'служебн')"),
		'', 'D9: \df onec.* shows what users call');
	is(sql("SELECT string_agg(proname, ' ' ORDER BY 1) FROM pg_proc WHERE pronamespace = 'onec_internal'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')"),
		'', 'D9: helpers are given to nobody');
	is(sql("SELECT has_schema_privilege('public', 'onec_internal', 'USAGE') OR has_schema_privilege('site', 'onec_internal', 'USAGE')"), 'f', '… nor is their schema, the site included');
	is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'onec_internal'::regnamespace AND relkind IN ('r', 'v') AND (has_table_privilege('public', oid, 'SELECT')
			OR has_table_privilege('site', oid, 'SELECT'))"), '0', '… nor their tables and views');
}

# ---- W19: a standby ----
{
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$node->backup('copy');
	$standby->init_from_backup($node, 'copy', has_streaming => 1);
	$standby->start;
	my $r = OnecTest->try($standby, q{SELECT count(*), bool_or("check" = 'connection and metadata' AND status = 'ok'), pg_is_in_recovery() FROM onec.diagnose('shop')});
	is($r->{sqlstate}, '00000', 'W19: diagnose() on a hot standby') or diag($r->{stderr});
	like($r->{stdout}, qr/^[1-9]\d+\|t\|t$/, '… tells as much as elsewhere');
	$standby->stop;
}

# ---- who reads may call what folds lines in C, with whatever he makes up: an error, never a crash ----
{
	my ($one, $two) = map { "0000000$_-0000-0000-0000-000000000000" } 1, 2;
	my $line = "'$one'::uuid, now()::timestamp, current_date, true, now()::timestamp, 1, 1, '$one'::uuid, NULL, NULL, NULL, now()::timestamp";
	my $book = sub { return "SELECT onec_internal.history($line, ROW('{$_[0]}', '$_[1]', '{1}', '{}', '{}', '{1}', '{a}', '{a}')::onec_internal.taste_book)"; };
	my $offers = sub { return "SELECT onec_internal.best_offers(ROW('{$one}', '$_[0]', '{0}', '{1}', '$_[1]', '$_[2]')::onec_internal.offer_book, '{$one}', '$_[3]', NULL, NULL, 1, 5)"; };
	my @wrong = (
		'22023 fewer shares than goods' => $offers->('{}', '{1}', '{1}', '{1}'),
		'22023 a share that is none' => $offers->('{NULL}', '{1}', '{1}', '{1}'),
		'22023 a neighbour that is not in the book' => $offers->('{1}', '{2}', '{1}', '{1}'),
		'22023 goods without weights' => $offers->('{1}', '{1}', '{1}', '{}'),
		'22003 scores beyond all numbers' => $offers->('{1}', '{1}', '{9223372036854775807}', '{2}'),
		'22004 nothing of a line' => 'SELECT onec_internal.history(' . join(', ', ('NULL') x 13) . ')',
		'22004 no book' => "SELECT onec_internal.history($line, NULL)",
		'22023 fewer names than goods' => $book->("$one,$two", '{1}'),
		'22023 a book with a hole' => $book->($one, '{NULL}'),
		'22023 a book without a column' => "SELECT onec_internal.history($line, ROW('{}', '{}', '{}', '{}', NULL, '{}', '{}', '{}')::onec_internal.taste_book)",
		'XX000 a word that is not in the book' => $book->($one, '{7}'),
		'22004 a basket with a hole' => "SELECT onec_internal.count_pairs('{1,NULL,2}', 1)",
		'22004 a month with nothing to compare it with' => "SELECT onec_internal.season_index(1, '{1}', '{}', '{}', 1)");

	while (my ($expected, $statement) = splice(@wrong, 0, 2))
	{
		is(run($statement)->{sqlstate}, substr($expected, 0, 5), "in C: " . substr($expected, 6));
	}
	is(run($book->($one, '{1}'))->{sqlstate}, '00000', '… and what is right is folded');
	is(sql($offers->('{100000000}', '{1}', '{2000000}', '{500000}')), "({$one},{2.000000})", '… and offered: 2 * 0.5 and the share');
}

# ---- T8: the schedules of many servers ----
{
	my $servers = 273;

	sql("DO \$\$ BEGIN FOR i IN 1 .. $servers LOOP EXECUTE format('CREATE SERVER many_%s FOREIGN DATA WRAPPER onec_fdw OPTIONS (url %L)', i, 'http://127.0.0.1:1/x'); END LOOP; END \$\$");
	sql('CREATE EXTENSION pg_cron; SELECT count(*) FROM onec_internal.known_servers w, LATERAL onec.schedule(w.server)') if OnecTest->have_cron;
	my $r = run("SET track_functions = 'all'; SELECT count(*) FROM (SELECT * FROM onec.schedule_status OFFSET 0) x; SELECT pg_stat_force_next_flush()");
	is($r->{sqlstate}, '00000', 'schedule_status of many servers');
	my $jobs = $ENV{TEST_UPDATABLE} ? 5 : 4; # deliver, too
	like($r->{stdout}, qr/^${\($jobs * ($servers + 1))}$/m, '… has the jobs of each');
	is(sql("SELECT string_agg(funcname || ' ' || calls, ', ' ORDER BY 1) FROM pg_stat_user_functions
			WHERE schemaname ~ '^onec' AND (funcname IN ('cron_zone', 'cron_place', 'cron_database') AND calls > 3 OR calls > 5 * ($servers + 1))"),
		'', 'T8: what is the same for all is looked up once, the rest in proportion to the servers');
	cmp_ok($r->{seconds}, '<', 1, 'T8: within a second') if $ENV{TEST_FULL};
	sql("DO \$\$ BEGIN FOR i IN 1 .. $servers LOOP EXECUTE format('DROP SERVER many_%s', i); END LOOP; END \$\$");
	sql("SELECT count(cron.unschedule(jobid)) FROM cron.job WHERE jobname ~ 'many_'") if OnecTest->have_cron;
}

$node->stop;
done_testing();
