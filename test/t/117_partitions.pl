# The store divided by years: what a sync, edits across the border of a year, forget and purge leave is what the store in one table has,
# row by row; whole years go by dropping their tables, and nothing of other years is written; a dump brings it all back.
use strict;
use warnings;
use utf8;

use OnecRows;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 12, '--seed', 3);

$node = OnecTest->node('years', conf => "autovacuum = off\n");

# The same base in two databases: "years" is divided from the beginning, "plain" never.
my @both = qw(plain years);
for my $database (@both)
{
	OnecTest->rows($node, "CREATE DATABASE $database");
	rows($database, 'CREATE EXTENSION onec_fdw');
	OnecTest->server($node, $onec, name => 'shop', database => $database, options => "timezone 'Europe/Moscow'");
	rows($database, $database eq 'years' ? "SELECT FROM onec.setup('shop', partition => 'year')" : "SELECT FROM onec.setup('shop')");
}

sub rows
{
	my ($database, $statement) = @_;
	return OnecTest->rows($node, $statement, database => $database);
}

# Every row of lines, receipts and what is made of them, by the words of the views: numbers of stores and words are each database's own.
my $tables = join ' UNION ALL ', map { "SELECT '$_ ' || (to_jsonb(x) $_[0])::text FROM $_ x" =~ s/ \$_\[0\]//r }
  qw(onec.sale_line onec.customer_profile onec.customer_outlook onec.customer_rfm onec.customer_affinity onec.receipt onec.site_user onec.revenue_month);
my $parts = "SELECT 'part ' || concat_ws(' ', p.period, p.lines, p.receipt_id, p.recorder, p.customer_id, p.net, p.gross, p.returned, t.id)
	FROM onec_internal.receipt_part p LEFT JOIN onec_internal.reference t ON t.number = p.store_id";

sub same_stores
{
	my ($when) = @_;
	my %lines = map { my $d = $_; $d => [ sort split /\n/, rows($d, "$tables UNION ALL $parts") ] } @both;
	my %seen = map { $_ => 1 } @{ $lines{plain} };
	my @odd = grep { !$seen{$_} } @{ $lines{years} };

	ok(@{ $lines{years} } > 100 && @{ $lines{years} } == @{ $lines{plain} } && !@odd, "$when: every row is that of the store in one table");
	diag("$when: " . scalar(@{ $lines{years} }) . ' and ' . scalar(@{ $lines{plain} }) . ' rows', map { "\n$_" } @odd[0 .. ($#odd > 4 ? 4 : $#odd)]) if @odd || @{ $lines{years} } != @{ $lines{plain} };
	return;
}

# Rows of each table: year or "rest", and whether any is where it does not belong.
my $places = "SELECT string_agg(format('%s %s', year, misplaced), ', ' ORDER BY year) FROM (
	SELECT coalesce(substring(tableoid::regclass::text FROM '_(\\d{4})\$'), 'rest') AS year, count(*) FILTER (WHERE CASE
		WHEN tableoid = 'onec_internal.%1\$s'::regclass THEN period < date_trunc('year', now()) ELSE to_char(period, 'YYYY') <> right(tableoid::regclass::text, 4) END) AS misplaced
	FROM onec_internal.%1\$s GROUP BY 1) x";

sub in_place
{
	my ($when) = @_;
	for my $table (qw(sale_line receipt_part))
	{
		my $found = rows('years', $places =~ s/%1\$s/$table/gr);

		like($found, qr/^(\d{4} 0, )*rest 0$/, "$when: each row of $table is where it belongs ($found)");
	}
	return;
}

sub synced
{
	my ($when, $call) = @_;
	rows($_, $call // "CALL onec.sync('shop', days => 1500)") for @both;
	same_stores($when);
	in_place($when);
	return;
}

# What tells whether a row was written or moved since.
sub marks
{
	my ($table, $condition) = @_;
	return rows('years', "SELECT count(*), md5(string_agg(concat_ws(' ', xmin, tableoid, ctid), ',' ORDER BY tableoid, ctid)) FROM onec_internal.$table WHERE "
		. ($condition // 'true'));
}

# Documents of the shop that were sold within a year, and their lines by year in the divided store.
sub documents { return split /\n/, rows('plain', "SELECT recorder FROM onec.sale_line WHERE recorder_type = 'Document_ЧекККМ' AND date_part('year', period) = $_[0] GROUP BY 1 ORDER BY 1"); }
sub lines { return rows('years', "SELECT string_agg(x, ', ' ORDER BY x) FROM (SELECT format('%s in %s: %s', to_char(period, 'YYYY-MM-DD'), tableoid::regclass, count(*)) FROM onec_internal.sale_line WHERE recorder = '$_[0]' GROUP BY period, tableoid) l (x)"); }
sub edit { return $onec->control('POST', '/edit', {@_}); }

# ---- a sync, and one with nothing new ----
synced('first sync');
my @years = split /,/, rows('years', "SELECT string_agg(year::text, ',') FROM onec_internal.years_of('onec_internal.sale_line')");
cmp_ok(scalar @years, '>=', 3, "there are several years: @years");
my ($before_last, $last, $this) = @years[-3 .. -1];
my @before = map { marks($_) } qw(sale_line receipt_part);
rows('years', "CALL onec.sync('shop', days => 1500)");
is_deeply([ map { marks($_) } qw(sale_line receipt_part) ], \@before, 'a second run writes no row, and moves none');

# ---- across the border of a year ----
my ($back, $deleted) = documents($last);
my ($forth) = documents($this);
my $many = rows('plain', "SELECT count(*) FROM onec.sale_line WHERE recorder = '$back'");
my $fore = rows('plain', "SELECT count(*) FROM onec.sale_line WHERE recorder = '$forth'");
edit(op => 'backdate', recorder => $back, date => "$before_last-12-31T23:30:00");
edit(op => 'backdate', recorder => $forth, date => "$last-01-01T00:00:00");
edit(op => 'delete_document', recorder => $deleted, physically => 1);
edit(op => 'random', n => 30, seed => 7);
synced('edits across the border of a year');
is(lines($back), "$before_last-12-31 in onec_internal.sale_line_$before_last: $many", 'a document dated into the year before is there once');
is(lines($forth), "$last-01-01 in onec_internal.sale_line_$last: $fore", 'and one of this year in the last');
is(lines($deleted), '', 'a deleted one is gone');
edit(op => 'backdate', recorder => $back, date => "$this-01-01T00:00:00");
synced('into this year');
is(lines($back), "$this-01-01 in onec_internal.sale_line: $many", 'from two years ago into this one');

# ---- people ----
my $phone = rows('plain', "SELECT u.login FROM onec.site_user u JOIN onec.customer_profile p USING (server, customer_id) WHERE u.login NOT LIKE '%0000%' ORDER BY p.receipts DESC, 1 LIMIT 1");
is(rows('years', "SELECT count(*) FROM onec.forget('$phone')"), rows('plain', "SELECT count(*) FROM onec.forget('$phone')"), 'somebody is forgotten in all years');
same_stores('who is forgotten');

# ---- dates of no shop, and another base ----
my $odd = "CREATE SERVER other FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/other', timezone 'Europe/Moscow');
	INSERT INTO onec_internal.sale_line (server, register, recorder, recorder_type, line_no, period, person_id, quantity, amount, attribution)
	SELECT onec_internal.new_server_number('other'), onec_internal.own_term('sales'), l.id, onec_internal.new_term('Document_ЧекККМ'), 1, l.period, l.id, 1, 100,
		onec_internal.own_term('anonymous')
	FROM (SELECT period, gen_random_uuid() AS id FROM unnest('{NULL,0001-01-01,1921-05-05,3000-01-01}'::timestamp[]) period
		UNION ALL VALUES (timestamp '$before_last-05-05', " . id(1) . "), ('$this-01-01', " . id(2) . ")) l;
	UPDATE onec_internal.sale_line SET document_id = " . id(1) . ' WHERE recorder = ' . id(2);
rows('years', $odd);
rows('years', "SELECT onec_internal.keep_years('shop')");
is(rows('years', "SELECT count(*) FROM ONLY onec_internal.sale_line WHERE server = onec_internal.number_of_server('other')"), '6', 'a run leaves the rows of another base alone');
rows('years', "SELECT onec_internal.keep_years('other')");
is(rows('years', "SELECT count(*) FILTER (WHERE tableoid = 'onec_internal.sale_line'::regclass), count(*) FILTER (WHERE tableoid = 'onec_internal.sale_line_$before_last'::regclass)
	FROM onec_internal.sale_line WHERE server = onec_internal.number_of_server('other')"), '5|1', 'no date, or a strange one, has no table of its own');
my $receipt = "SELECT string_agg(concat_ws(' ', tableoid::regclass, net, alone), ', ' ORDER BY period) FROM onec_internal.receipt_part WHERE receipt_id = " . id(1);
is(rows('years', $receipt), "onec_internal.receipt_part_$before_last 100 f, onec_internal.receipt_part 100 f", 'a receipt stands in two years');
rows('years', 'UPDATE onec_internal.sale_line SET amount = amount + 1 WHERE recorder IN (' . id(1) . ', ' . id(2) . ')');
rows('years', "SELECT onec_internal.keep_years('other')");
is(rows('years', $receipt), "onec_internal.receipt_part_$before_last 101 f, onec_internal.receipt_part 101 f", '… and follows its lines in both');

# ---- a dump ----
my $dump = "$PostgreSQL::Test::Utils::tmp_check/years.dump";
rows('plain', 'CREATE DATABASE restored');
is(system('pg_dump', '-d', $node->connstr('years'), '-f', $dump), 0, 'pg_dump of a divided store');
is(system('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, '-d', $node->connstr('restored')), 0, '… is restored');
my $all = "SELECT count(*), md5(string_agg(x, E'\\n' ORDER BY x COLLATE \"C\")) FROM (SELECT l::text FROM onec_internal.sale_line l
	UNION ALL SELECT concat_ws(' ', p.period, p.lines, p.receipt_id, p.recorder, p.alone, p.customer_id, p.net) FROM onec_internal.receipt_part p) y (x)";
is(rows('restored', $all), rows('years', $all), '… with each line and receipt');
is(rows('restored', "SELECT count(*) FROM onec_internal.sale_line WHERE tableoid <> 'onec_internal.sale_line'::regclass"),
	rows('years', "SELECT count(*) FROM onec_internal.sale_line WHERE tableoid <> 'onec_internal.sale_line'::regclass"), '… in its year');
rows('restored', "CALL onec.sync('shop', days => 1500)");
is(rows('restored', $all), rows('years', $all), '… and a sync there finds what it knows');

# ---- purge ----
my $purge = sub { my ($database, $day, $more) = @_; rows($database, "SELECT string_agg(p::text, ' ' ORDER BY p::text) FROM onec.purge('$day', 'shop' @{[ $more // '' ]}) p"); };
my $there = sub { rows('years', "SELECT string_agg(year::text, ' ') FROM onec_internal.years_of('onec_internal.sale_line')"); };
is($purge->('years', "$last-01-01"), $purge->('plain', "$last-01-01"), 'what a purge tells is what it tells of one table');
is($there->(), "@years", 'a year that another base has rows in stays');
is(rows('years', "SELECT count(*) FROM onec_internal.sale_line_$before_last"), '1', '… with these alone');
rows('years', "DELETE FROM onec_internal.sale_line WHERE server = onec_internal.number_of_server('other'); DROP SERVER other");
same_stores('the rows of a year are deleted');
my $day = "$this-01-20";
my $younger = "period >= '$day'";
@before = map { marks($_, $younger) } qw(sale_line receipt_part);
is($purge->('years', $day, ', true'), $purge->('plain', $day, ', true'), 'a dry run tells the same');
is($there->(), "@years", '… and drops nothing');
my $purging = OnecTest->background($node, "BEGIN; SELECT count(*) FROM onec.purge('$day', 'shop'); SELECT pg_advisory_lock(7); SELECT pg_sleep(600)", database => 'years');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND granted") eq '1' }, 'the purge');
is(rows('years', "SELECT string_agg(DISTINCT c.relname, ' ' ORDER BY c.relname) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
	WHERE l.mode = 'AccessExclusiveLock' AND c.relkind = 'r' AND c.relpersistence <> 't'"),
	join(' ', sort map { ("receipt_part_$_", "sale_line_$_") } @years[ 0 .. $#years - 1 ]), 'nobody has to wait but for the tables of the years that go');
$purging->cancel;
$purging->wait;
is($purge->('years', $day), $purge->('plain', $day), 'a purge of whole years and a piece of the next');
is($there->(), $this, '… drops their tables');
is_deeply([ map { marks($_, $younger) } qw(sale_line receipt_part) ], \@before, '… and writes no row of what stays');
synced('what was purged stays away');

# ---- there and back ----
is(OnecTest->try_text($node, "SELECT onec.setup('shop', partition => 'month')", database => 'years')->{sqlstate}, '22023', 'by years, or not at all');
my $running = OnecTest->background($node, "SELECT pg_advisory_lock(onec_internal.run_lock_key('shop')); SELECT pg_sleep(600)", database => 'years');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") ne '0' }, 'a run');
is(OnecTest->try_text($node, "SELECT onec.setup('shop', partition => 'none')", database => 'years')->{sqlstate}, '55006', 'not while a sync is at work');
$running->cancel;
$running->wait;
my $whole = rows('restored', $all);
for my $way (qw(none year))
{
	rows('restored', "SELECT FROM onec.setup('shop', partition => '$way')");
	is(rows('restored', "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE c.relname IN ('sale_line', 'receipt_part')"), $way eq 'none' ? 0 : 2 * @years,
		"partition => $way: so many tables");
	is(rows('restored', $all), $whole, '… and the same rows');
	rows('restored', "CALL onec.sync('shop', days => 1500)");
}
rows('restored', "SET client_min_messages = warning; DROP EXTENSION onec_fdw CASCADE");
is(rows('restored', "SELECT count(*) FROM pg_class WHERE relname ~ '^(sale_line|receipt_part)'"), '0', 'the extension takes its years with it');

# ---- large tables ----
# thirty million lines: compiling what reads some hundred of them took a second
is(rows('plain', "SELECT string_agg(p.oid::regproc::text, ' ') FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname IN ('onec', 'onec_internal') AND (p.proname IN ('stale_customers', 'stale_people', 'profile_json', 'purchases_json', 'statistics_json')
		OR p.prosrc ~ 'counted_line|histories|receipts_till' AND 'plan_cache_mode=force_generic_plan' = ANY (p.proconfig))
	  AND NOT 'jit=off' = ANY (coalesce(p.proconfig, '{}'))"), '', 'what reads the lines of one customer, or of a day, is not compiled');

done_testing();
