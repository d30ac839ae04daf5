# The compact store: lines under numbers, keys that hold whose a line is, indexes that conditions reach, statistics that the sync keeps,
# and who waits for whom while somebody is forgotten.
use strict;
use warnings;
use utf8;

use OnecRows;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

$node = OnecTest->writable(OnecTest->node('store', conf => "max_prepared_transactions = 3\nautovacuum = off\n"));

# Whose lines are here: document, person, buyer, as the table has them.
sub lines { return sql("SELECT right(recorder::text, 2), right(person_id::text, 2), right(onec_internal.buyer_id(attribution, person_id)::text, 2)
	FROM onec_internal.sale_line WHERE server = onec_internal.number_of_server(SRV) ORDER BY 1, line_no") =~ tr/\n/ /r; }

# ---- numbers, and whose a line is ----
shop('one');
sold(21, "'2026-04-01'", 11, 1, 500);
sold(22, "'2026-04-02'", 'card 12', 1, 300);
sold(23, "'2026-04-03'", undef, 1, 200);
is(lines(), '21|11|11 22|12|12 23|23|', 'Q10: a line is its buyer\'s, its card\'s, else its document\'s');
is(sql("SELECT string_agg(DISTINCT register || ' ' || recorder_type || ' ' || attribution, ', ' ORDER BY register || ' ' || recorder_type || ' ' || attribution)
	FROM onec.sale_line WHERE server = SRV"), join(', ', map { "sales Document_ЧекККМ $_" } qw(anonymous card counterparty)), 'Q10: the view has the words');
sold(24, "'2026-04-04'", undef, 1, 100, store_id => id(51), document_id => id(24), document_type => "'Document_ЧекККМ'");
sold(25, "'2026-04-05'", undef, 1, -100, store_id => id(51), document_id => id(24), document_type => "'Document_ЧекККМ'");
is(sql("SELECT right(v.document_id::text, 2), v.document_type, v.store_id = @{[ id(51) ]}, coalesce(right(l.document_id::text, 2), 'its own'),
	pg_typeof(v.store_id), pg_typeof(l.store_id)
	FROM onec.sale_line v JOIN onec_internal.sale_line l USING (recorder) WHERE v.server = SRV AND v.document_id IS NOT NULL ORDER BY v.recorder"),
	"24|Document_ЧекККМ|t|its own|uuid|onec_internal.reference_number\n24|Document_ЧекККМ|t|24|uuid|onec_internal.reference_number",
	'Q10: a shop is a number, a document that is the recorder is not kept twice; the view has both');
is(sql("DELETE FROM onec.sale_line WHERE server = SRV AND recorder IN (@{[ id(24) ]}, @{[ id(25) ]}); SELECT count(*) FROM onec_internal.receipt_part WHERE store_id IS NOT NULL"),
	'0', '… and nothing is left of their receipts');
is(sql("SELECT onec_internal.new_term('Document_ЧекККМ') >= 100, onec_internal.new_term('Document_ЧекККМ') = onec_internal.new_term('Document_ЧекККМ'),
	onec_internal.new_term('sales') = onec_internal.own_term('sales')"), 't|t|t', 'Q10: a word keeps its number');

is(sql("SELECT onec_internal.type_word('StandardODATA.Document_ЧекККМ'), onec_internal.type_word('Document_Чек'), onec_internal.type_word('StandardODATA'), onec_internal.type_word(NULL) = ''"),
	'Document_ЧекККМ|Document_Чек|StandardODATA|t', 'Q10: a type is called without the service before it');

# rows that lack properties: a document that is the recorder is a value like others, whichever of the two is lacking
shop('holes');
sold($_, "'2026-04-01'", undef, 1, 100, document_id => id($_ < 63 ? 90 : $_), document_type => "'Document_ЧекККМ'") for 61 .. 66;
for (
	[ 'document_id', 'its document: what 1C tells counts, be it the recorder', '61 61, 62 90, 63 63, 64 64, 65 65, 66 91' ],
	[ 'document_type', 'the type of its document', '61 61, 62 90, 63 63, 64 64, 65 65, 66 91' ],
	[ 'document_id,document_type', 'both', '61 61, 62 90, 63 63, 64 64, 65 65, 66 91' ])
{
	my ($holes, $what, $told) = @$_;
	my $lack = sub { $holes =~ /$_[0]/ ? "CASE WHEN document IN ($_[1]) THEN $_[2] ELSE $_[3] END" : $_[3] };

	is(sql("BEGIN; CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT server, register, recorder, recorder_type, line_no, period, active, quantity, amount, attribution, copy,
			@{[ $lack->('id', '62, 63, 64', 'NULL', q{CASE document WHEN 61 THEN recorder WHEN 66 THEN } . id(91) . q{ ELSE document_id END}) ]} AS document_id,
			@{[ $lack->('type', '62, 63, 65, 66', q{''}, 'document_type') ]} AS document_type
		FROM (SELECT t.*, right(recorder::text, 2)::int AS document FROM onec.sale_line t WHERE server = SRV) t;
		SELECT FROM public.short_stage('sale_line'); SELECT FROM onec_internal.keep_lacking_values(SRV, 'sale_line', '{$holes}');
		SELECT string_agg(right(recorder::text, 2) || ' ' || right(onec_internal.line_document(document_id, document_type, recorder)::text, 2), ', ' ORDER BY recorder),
			count(*) FILTER (WHERE document_type = onec_internal.own_term('recorder')), count(*) FILTER (WHERE document_id = recorder OR document_type = onec_internal.own_term('')) FROM pg_temp.onec_stage;
		ROLLBACK") =~ s/^\s+//r, "$told|4|0", "Q10: rows that lack $what");
}
$server = 'one';

# a window that tells another buyer: the key changes, the line stays one
window('sale_line', join ', ', map { $_ eq 'customer_id' ? 'CASE right(recorder::text, 2) WHEN \'21\' THEN ' . id(13) . ' ELSE customer_id END AS customer_id' : $_ }
	qw(server register recorder recorder_type line_no period active customer_id card_id product_id variant_id store_id organization_id document_id document_type
	quantity amount cost attribution copy));
is(lines(), '21|13|13 22|12|12 23|23|', 'Q10: another buyer is another key of the same line');

# and one that is dated anew, read in a window where it was not: it moves, under another buyer
sql("BEGIN; CREATE TEMPORARY TABLE onec_stage ON COMMIT DROP AS SELECT t.* FROM onec.sale_line t WHERE server = SRV AND recorder = " . id(22) . ";
	UPDATE onec_stage SET period = '2026-05-05', customer_id = " . id(14) . ";
	SELECT FROM public.short_stage('sale_line'); SELECT FROM onec_internal.attribute_window(SRV, 'sale_line'); SELECT FROM onec_internal.compare_unforgotten(SRV, 'sale_line', 'period >= ''2026-05-01''');
	SELECT FROM onec_internal.write_window(SRV, 'sale_line'); COMMIT");
is(lines(), '21|13|13 22|14|14 23|23|', 'Q10: what 1C knows a line by stays unique though the key has more');
is(OnecTest->try_text($node, "UPDATE onec_internal.sale_line SET person_id = recorder")->{sqlstate}, '23514', 'Q10: nobody\'s hand makes a line another\'s');

# a renamed base keeps its number; one that is forgotten gives it up
sql('SELECT FROM onec_internal.remember_base(SRV)');
is(sql("SELECT onec_internal.number_of_server(SRV) AS n \\gset\nALTER SERVER one RENAME TO uno; SELECT onec_internal.number_of_server('uno') = :n"), 't',
	'Q10: a base that is called something else keeps its number');
$server = 'uno';
is(lines(), '21|13|13 22|14|14 23|23|', 'Q10: and its lines');

# ---- conditions reach an index; the planner knows what there is ----
sql("INSERT INTO onec_internal.sale_line (period, line_no, server, register, recorder_type, attribution, active, recorder, person_id, customer_id, quantity, amount)
	SELECT timestamp '2025-01-01' + n * interval '10 minutes', 1, onec_internal.number_of_server(SRV), onec_internal.own_term('sales'),
		onec_internal.new_term('Document_ЧекККМ'), onec_internal.own_term('counterparty'), true, gen_random_uuid(), c.id, c.id, 1, 100
	FROM generate_series(1, 20000) n, LATERAL (SELECT ('00000000-0000-4000-8001-' || lpad((n % 1000)::text, 12, '0'))::uuid AS id) c");
is(sql("SELECT reltuples FROM pg_class WHERE oid = 'onec_internal.sale_line'::regclass"), '-1', 'nobody has analysed the lines');
sql("SELECT FROM onec_internal.analyze_what_changed()");
cmp_ok(sql("SELECT reltuples FROM pg_class WHERE oid = 'onec_internal.sale_line'::regclass"), '>', 15000, 'Q4: the sync analyses what it has filled');
is(sql("SELECT FROM onec_internal.analyze_what_changed(); SELECT pg_stat_force_next_flush(); SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'sale_line'"),
	"\n1", 'Q4: but once');
my $who = "'00000000-0000-4000-8001-000000000007'";
for (
	[ 'the view, by customer', "onec.sale_line WHERE server = SRV AND customer_id = $who", 'sale_line_customer' ],
	[ 'the view, by card', "onec.sale_line WHERE server = SRV AND card_id = $who", 'sale_line_card' ],
	[ 'facts, by customer', "onec_internal.counted_line WHERE server = SRV AND customer_id = $who", 'sale_line_buyer' ],
	[ 'facts of some', "onec_internal.counted_lines(SRV, NULL, ARRAY[$who]::uuid[])", 'sale_line_buyer' ],
	[ 'purchases, by customer', "onec.purchase WHERE server = SRV AND customer_id = $who", 'sale_line_buyer' ],
	[ 'facts of a day', "onec_internal.counted_line WHERE server = SRV AND period >= '2025-05-02' AND period < '2025-05-03'", 'sale_line_period' ],
	[ 'receipts of some', "onec_internal.receipts_till(SRV, NULL, ARRAY[$who]::uuid[])", 'sale_line_buyer' ])
{
	my ($what, $from, $index) = @$_;
	my $plan = sql("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM $from");

	like($plan, qr/(on|using) ${index}(_alone)?\b/, "Q1: $what reaches $index");
	unlike($plan, qr/Seq Scan on sale_line/, '… and reads no more');
}
my $erase = sql("SELECT onec_internal.erasure_statement('onec_internal.sale_line', SRV, '{customer_id,card_id}', 'mask', true)") =~ s/\$1/ARRAY[$who]::uuid[]/gr;
like(sql("EXPLAIN (COSTS OFF) $erase"), qr/BitmapOr.*sale_line_customer.*sale_line_card/s, 'Q8: whoever is forgotten is found by indexes');

# ---- nothing new: no history is read ----
sql("SELECT FROM onec_internal.refresh_people(SRV); SELECT FROM onec_internal.refresh_after_sync(SRV)");
my $read = q{SELECT pg_stat_force_next_flush(); SELECT sum(heap_blks_read + heap_blks_hit) FROM pg_statio_user_tables WHERE relname = 'sale_line'};
my ($before) = sql($read) =~ /(\d+)$/;
sql("SELECT FROM onec_internal.refresh_people(SRV, false); SELECT FROM onec_internal.refresh_after_sync(SRV, false)");
my ($after) = sql($read) =~ /(\d+)$/;
cmp_ok($after - $before, '<', 20, 'Q3: where nothing is new no history is read');

# ---- who waits while somebody is forgotten ----
shop('two');
sold(31, "'2026-04-01'", 15, 1, 500);
sql("BEGIN; SELECT count(*) FROM onec.forget($who, 'uno'); PREPARE TRANSACTION 'forget'");
is(sql("SET lock_timeout = '1s'; SELECT count(*) FROM onec.sale_line WHERE server = 'uno' AND customer_id = $who"), '20', 'Q8: a reader does not wait, and sees what was');
is(sql("SET lock_timeout = '1s'; BEGIN; SELECT onec_internal.lock_people('two', false); UPDATE onec.sale_line SET amount = 600 WHERE server = 'two'; COMMIT;
	SELECT amount FROM onec.sale_line WHERE server = 'two'"), "\n600", 'Q8: nor does a window of another base');
is(OnecTest->try_text($node, "SET lock_timeout = '200ms'; SELECT onec_internal.lock_people('uno', false)")->{sqlstate}, '55P03', 'Q8: one of the same base does');
sql("COMMIT PREPARED 'forget'");
is(sql("SELECT count(*), count(customer_id) FROM onec.sale_line l WHERE server = 'uno' AND product_id IS NULL AND amount = 100 AND attribution = 'anonymous'"), '20|0',
	'Q8: then their lines are nobody\'s');
is(sql("SELECT count(*) FROM onec_internal.sale_line WHERE person_id = $who"), '0', 'Q8: by their keys, too');

# ---- two sessions, lines of one receipt ----
shop('both');
sold(71, "'2026-04-01'", 16, 1, 100, line_no => $_) for 1 .. 3;
my $line = sub { "UPDATE onec_internal.sale_line SET amount = $_[1] WHERE recorder = @{[ id(71) ]} AND line_no = $_[0]" };
sql("BEGIN; @{[ $line->(1, 200) ]}; PREPARE TRANSACTION 'line'");
my $waits = OnecTest->background($node, $line->(2, 400));
OnecTest->wait_for(sub { sql('SELECT count(*) FROM pg_locks WHERE NOT granted') eq '1' }, 'who changes another line of the receipt');
sql("COMMIT PREPARED 'line'");
is($waits->wait->{sqlstate} . ' ' . sql("SELECT count(*), sum(lines), sum(net) FROM onec_internal.receipt_part WHERE receipt_id = @{[ id(71) ]}"), '00000 1|3|700',
	'Q8: who waits for another line of a receipt sees it, and the receipt has both');

# ---- nor while a base is refreshed ----
# One session has a whole refresh of one base behind it and goes on; another does as much for another base, and forgets there.
# Whoever has to wait does so for ever, so the time says nothing.
my $lines_of = sub {
	my ($base, $document) = @_;

	$server = $base;
	return join '; ', map { s/\bSRV\b/'$base'/gr } "INSERT INTO onec.discount_card (server, card_id, code, owner_id) VALUES (SRV, @{[ id($document + 100) ]}, 'c', @{[ id($document) ]})",
	  "INSERT INTO onec.sale_line (server, register, recorder, recorder_type, line_no, period, customer_id, quantity, amount, attribution)
		VALUES (SRV, 'sales', @{[ id($document) ]}, 'Document_ЧекККМ', 1, '2026-05-01', @{[ id($document) ]}, 1, 700, 'counterparty')",
	  # enough for the table to be analysed anew
	  "INSERT INTO onec.discount_card (server, card_id) SELECT SRV, gen_random_uuid() FROM generate_series(1, 500)", 'SELECT FROM onec_internal.analyze_what_changed()', 'SELECT FROM onec_internal.refresh_people(SRV)', 'SELECT FROM onec_internal.refresh_after_sync(SRV)',
	  'SELECT FROM onec.refresh_recommendations(SRV)';
};
my $holder = OnecTest->background($node, 'BEGIN; ' . $lines_of->('two', 41) . '; SELECT pg_advisory_lock(5); SELECT pg_sleep(600)');
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5 AND granted") eq '1' }, 'the refresh');
is(OnecTest->try_text($node, "SET lock_timeout = '20s'; BEGIN; " . $lines_of->('uno', 42) . '; COMMIT')->{sqlstate}, '00000',
	'Q8: a refresh of one base does not wait for that of another');
is(OnecTest->try_text($node, "SET lock_timeout = '20s'; SELECT count(*) FROM onec.forget(@{[ id(42) ]}::text, 'uno')")->{sqlstate}, '00000', 'Q8: nor does who forgets');
is(sql("SET lock_timeout = '20s'; SELECT (SELECT count(*) FROM onec.sale_line WHERE server = 'two'), (SELECT count(*) FROM onec.receipt WHERE server = 'two'),
	(SELECT count(*) FROM onec.customer_360 WHERE server = 'two')"), '1|1|0', 'Q8: nor a reader, who sees what was');
# what stops nobody who reads or writes rows; ANALYZE has the last of them, and the sync's own passes by a table that is being analysed
my $strong = "SELECT string_agg(DISTINCT c.relname || ' ' || l.mode, ', ') FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
	WHERE l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock') AND c.relpersistence <> 't'";
is(sql($strong), '', 'Q8: a refresh has no lock on a table that others need');
$holder->cancel;
$holder->wait;
my $forgetting = OnecTest->background($node, "BEGIN; SELECT count(*) FROM onec.forget($who, 'uno'); SELECT count(*) FROM onec.purge('2025-02-01', 'uno');
	SELECT pg_advisory_lock(6); SELECT pg_sleep(600)");
OnecTest->wait_for(sub { sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 6 AND granted") eq '1' }, 'who forgets');
is(sql($strong), '', 'Q8: nor has who forgets, and who purges');
is(OnecTest->try_text($node, "SET lock_timeout = '20s'; BEGIN; " . $lines_of->('two', 43) . '; COMMIT')->{sqlstate}, '00000', 'Q8: nor is a refresh of another base stopped by them');
$forgetting->cancel;
$forgetting->wait;
done_testing();
