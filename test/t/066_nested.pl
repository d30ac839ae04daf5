# A base that does not publish the rows of its registers by themselves, only nested in their recorders: the sums are the same.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 80, '--seed', 9);
my $node = OnecTest->node('nested');

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	utf8::decode($r->{stdout});
	return $r->{stdout};
}

my $set = "SELECT string_agg(entity_set || ' ' || status, ', ') FROM onec.setup('%s') WHERE target = 'sale_line'";
OnecTest->server($node, $onec, name => 'flat', options => "timezone 'Europe/Moscow'");
is(sql(sprintf $set, 'flat'), 'AccumulationRegister_Продажи_RecordType created', 'rows of their own are preferred');
sql("CALL onec.sync('flat', full_reload => true)");

$onec->control('POST', '/modes', { no_recordtype => \1 });
OnecTest->server($node, $onec, name => 'nested', options => "timezone 'Europe/Moscow'");
is(sql(sprintf $set, 'nested'), 'AccumulationRegister_Продажи created', 'else the rows nested in their recorders are taken');
for my $job (qw(weekly nightly))
{
	sql("CALL onec.run_job('$job', 'nested')");
	is(sql("SELECT status FROM onec.sync_run WHERE server = 'nested' ORDER BY run_id DESC LIMIT 1"), 'ok', "the $job job works");
}
is(sql("SELECT sum(rows_inserted + rows_updated + rows_deleted) FROM onec.sync_status WHERE server = 'nested' AND step <> 'profiles'"), '0', 'the second one changes nothing');
for my $table (qw(sale_line card_sale_line loyalty_movement loyalty_lot customer_profile))
{
	my $columns = sql("SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
		WHERE table_schema = 'onec' AND table_name = '$table' AND column_name <> 'server'");
	my $rows = "SELECT $columns FROM onec.$table WHERE server =";

	cmp_ok(sql("SELECT count(*) FROM onec.$table WHERE server = 'nested'"), '>', 50, "$table has rows");
	is(sql("(SELECT 'flat', x FROM ($rows 'flat' EXCEPT ALL $rows 'nested') x LIMIT 3) UNION ALL (SELECT 'nested', x FROM ($rows 'nested' EXCEPT ALL $rows 'flat') x LIMIT 3)"),
		'', 'the same as of a base that publishes them');
}
$onec->control('POST', '/edit', { op => 'random', n => 12, seed => 1 });
sql("CALL onec.run_job('nightly', 'nested')");
my $truth = $onec->control('GET', '/truth')->{sales};
is(sql("SELECT count(*), (sum(amount) FILTER (WHERE active))::numeric(20,2) FROM onec.sale_line WHERE server = 'nested'"), "$truth->{all_rows}|$truth->{sum}", 'edits of any age arrive');

# ---- and back ----
$onec->control('POST', '/modes/clear', {});
sql("ALTER SERVER nested OPTIONS (SET timezone 'Europe/Moscow')");
is(sql(sprintf $set, 'nested'), 'AccumulationRegister_Продажи_RecordType created', 'when the base publishes its rows again, they are taken');
is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'nested'::regnamespace AND (relkind = 'v' OR relname ~ '_set\$')"), '0', 'and nothing is left of the other shape');
sql("CALL onec.run_job('weekly', 'nested')");
is(sql("SELECT count(*) FROM onec.sale_line WHERE server = 'nested'"), $truth->{all_rows}, 'of the same rows');

$node->stop;
done_testing();
