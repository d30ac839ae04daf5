# What statistics cost, told by what they read and write and never by seconds: a shop of generated rows, whose tables nobody
# has analysed.
use strict;
use warnings;
use utf8;

use OnecRows;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

$node = OnecTest->writable(OnecTest->node('speed', conf => "autovacuum = off\n"));
shop('fast');

my $customers = 2000;
my $day = "'2026-11-20'::date";
my $somebody = id(100 + 7);

# Customers 101 and on, thirty products of five categories, four stores; 24,000 lines and a card for each.
sql("
	CREATE FUNCTION no(int) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN ('00000000-0000-4000-8000-' || lpad(\$1::text, 12, '0'))::uuid;
	CREATE FUNCTION dice(text, int) RETURNS int LANGUAGE sql IMMUTABLE RETURN abs(hashtext(\$1)) % \$2;
	INSERT INTO onec.category (server, category_id, name) SELECT SRV, no(20 + g), 'Вид ' || g FROM generate_series(1, 5) g;
	INSERT INTO onec.product (server, product_id, name, category_id, brand_id)
		SELECT SRV, no(40 + g), 'Товар ' || g, no(20 + g % 5 + 1), no(30 + g % 7) FROM generate_series(1, 30) g;
	INSERT INTO onec.store (server, store_id, name) SELECT SRV, no(10 + g), 'Лавка ' || g FROM generate_series(1, 4) g;
	INSERT INTO onec.discount_card (server, card_id, barcode, owner_id)
		SELECT SRV, no(100000 + g), (70000000000 + g)::text, no(100 + g) FROM generate_series(1, $customers) g;
	INSERT INTO onec_internal.sale_line (server, register, recorder, recorder_type, line_no, period, customer_id, person_id, product_id, store_id,
			quantity, amount, attribution)
		SELECT n.srv, onec_internal.own_term('sales'), no(1000000 + g / 2), n.type, g, $day - dice('d' || g / 2, 900) + interval '12 hours',
			no(101 + g / 2 % $customers), no(101 + g / 2 % $customers), no(41 + dice('p' || g, 30)),
			onec_internal.new_reference(no(11 + dice('s' || g / 2, 4))), 1,
			100 + dice('a' || g, 9000), onec_internal.own_term('counterparty')
		FROM (SELECT onec_internal.new_server_number(SRV) AS srv, onec_internal.new_term('Document_ЧекККМ') AS type) n, generate_series(0, 23999) g;
	INSERT INTO onec.loyalty_movement (server, recorder, recorder_type, line_no, period, active, kind, card_id, accrued, spent)
		SELECT SRV, no(1000000 + g), 'Document_ЧекККМ', 1, $day - g % 300, true, 'Receipt', no(100001 + g % $customers), 10, 0
		FROM generate_series(0, 9999) g;
	SELECT onec_internal.refresh_people(SRV)");

# What a statement reads of the lines, and writes into a table.
my $lines = "(SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables WHERE relname = 'sale_line')";
my $sequential = "(SELECT sum(seq_scan)::int FROM pg_stat_xact_user_tables WHERE relname IN ('sale_line', 'loyalty_movement'))";

sub counted
{
	my ($statement, $count) = @_;
	my $told = sql("BEGIN; SET LOCAL enable_seqscan = on; $statement; SELECT 'counted ' || ($count); ROLLBACK");

	return $told =~ /counted (-?\d+)/ ? $1 : "nothing: $told";
}

# ---- everybody ----
cmp_ok(counted("SELECT onec_internal.refresh_after_sync(SRV)", $lines), '<=', 24000 * 6, 'Q5, Q12: profiles, tastes, expectations and scores read the lines a few times');
sql("SELECT onec_internal.refresh_after_sync(SRV)");
is(sql("SELECT count(*) FROM onec.customer_profile WHERE server = SRV AND receipts > 0"), $customers, 'everybody has a profile');
is(counted("SELECT onec_internal.refresh_after_sync(SRV)", "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int FROM pg_stat_xact_user_tables
		WHERE relname IN ('customer_taste', 'customer_profile', 'customer_outlook', 'customer_rfm', 'outlook_baseline')"),
	'0', 'Q9: the same once more writes nothing');
is(counted("SELECT onec.refresh_outlook(SRV, NULL, onec.local_now(SRV)::date + 1)", "SELECT (n_tup_ins + n_tup_upd + n_tup_del)::int
		FROM pg_stat_xact_user_tables WHERE relname = 'customer_taste'"), '0', 'Q9: no row of tastes is written for a day that fades it');
is(counted("SELECT onec.refresh_rfm(SRV, onec.local_now(SRV)::date)", "SELECT (n_tup_ins + n_tup_upd + n_tup_del)::int
		FROM pg_stat_xact_user_tables WHERE relname = 'customer_rfm'"), '0', 'Q3: nor of scores that are as they were');

# ---- work in proportion ----
my $touch = "INSERT INTO onec_internal.touched_customer SELECT SRV, no(100 + g) FROM generate_series(1, 5) g";
cmp_ok(counted("$touch; SELECT onec_internal.refresh_after_sync(SRV, false, false)", $lines), '<=', 5 * 12 * 10, 'Q3: of five touched customers the lines of five are read');
is(counted("SELECT onec_internal.refresh_after_sync(SRV, false)", $lines), '0', 'Q3: with nothing new none');
cmp_ok(counted("$touch; SELECT onec_internal.refresh_after_sync(SRV, false)", $lines), '<=', 5 * 12 * 14, 'Q3: nor does scoring everybody read those of others');
sql("UPDATE onec_internal.profile_state SET scored = scored - 3 WHERE server = SRV; $touch");
sql("SELECT onec_internal.refresh_after_sync(SRV, false)");
is(sql("SELECT count(*) FROM (SELECT r.customer_id, r.frequency, r.monetary, r.rfm, r.segment FROM onec.rfm(SRV) r
		EXCEPT SELECT c.customer_id, c.frequency, c.monetary, c.rfm, c.segment FROM onec.customer_rfm c WHERE c.server = SRV) x"), '0',
	'Q3: what follows from the scores of three days ago is what all lines say');

# ---- one customer ----
my $key = "'" . sql("SELECT barcode FROM onec.discount_card WHERE owner_id = $somebody") . "'";
for my $case ([ Q1 => "onec.profile_json($key) x" ], [ Q1 => "onec.purchases_json($key) x" ], [ Q6 => "onec.next_purchase(SRV, NULL, ARRAY[$somebody]) x" ],
	[ Q6 => "onec.season(SRV, NULL, ARRAY[$somebody]) x" ], [ Q6 => "onec.affinity(SRV, NULL, ARRAY[$somebody]) x" ],
	[ Q2 => "onec.loyalty_balance x WHERE card_id = no(100107)" ])
{
	my ($fault, $source) = @$case;
	my ($name) = $source =~ /^(onec\.\w+)/;

	is(counted("SELECT count(x::text) FROM $source", $sequential), '0', "$fault: $name of one reads no table from end to end");
}
is(sql("SELECT string_agg(oid::regproc::text, ' ') FROM pg_proc WHERE oid::regproc::text ~ '^onec(_internal)?\\.(profile_json|purchases_json|statistics_json|next_purchase|affinity|season|histories|customer_histories|visit_histories)\$'
		AND (prolang <> (SELECT oid FROM pg_language WHERE lanname = 'plpgsql') OR 'plan_cache_mode=force_generic_plan' <> ALL (proconfig))"), '',
	'Q1, Q6: plans for one customer are made once a session');
is(counted("SELECT count(*) FROM onec.customer_affinity WHERE server = SRV AND customer_id = $somebody",
		"SELECT sum(seq_tup_read)::int FROM pg_stat_xact_user_tables WHERE relname = 'customer_taste'"), '0', 'Q1: preferences of one are found by their key');

# ---- what C does is what SQL says ----
is(sql("SELECT count(*) FROM generate_series(1, 400) v, (VALUES ('quantile'), ('r_compat'), ('thresholds')) m (mode), (VALUES (true), (false)) s (small)
		WHERE onec.rfm_score(v / 4.0, '{10,20,20,75.5}', mode, small) IS DISTINCT FROM onec_internal.fifth_of(v / 4.0, '{10,20,20,75.5}', mode, small)"),
	'0', 'Q5: the score that is asked of everybody is the score');
sql("CREATE TABLE basket AS SELECT g AS id, array_agg(DISTINCT dice(g || 'i' || i, 60)) AS goods FROM generate_series(1, 3000) g, generate_series(1, 12) i GROUP BY g");
is(sql("WITH c AS MATERIALIZED (SELECT onec_internal.count_pairs(goods, 30) AS found FROM basket),
		fast AS (SELECT p.* FROM c, unnest((c.found).a, (c.found).b, (c.found).baskets) p (a, b, n)),
		slow AS (SELECT x.no, y.no, count(*)::int FROM (SELECT id, unnest(goods) AS no FROM basket) x
			JOIN (SELECT id, unnest(goods) AS no FROM basket) y ON y.id = x.id AND y.no > x.no GROUP BY 1, 2 HAVING count(*) >= 30)
		SELECT (SELECT count(*) > 1000 FROM fast), (SELECT count(*) FROM ((TABLE fast EXCEPT TABLE slow) UNION ALL (TABLE slow EXCEPT TABLE fast)) x)"),
	't|0', 'Q7: pairs counted at once are those of a join');
is(sql("SELECT (onec_internal.count_pairs(g, 1)).a IS NOT NULL FROM unnest('{}'::int[]) g (x), LATERAL (SELECT ARRAY[x]) y (g)"), 't', 'Q7: of no basket there are none');

# Neighbours with few different scores, so that equals decide; of each customer ten goods, of which two are not offered again.
sql("CREATE TABLE neighbour AS SELECT a, b, (1 + dice(a || 'n' || b, 4)) * 250000::bigint AS score FROM generate_series(1, 60) a, generate_series(1, 60) b
		WHERE a <> b AND dice(a || 'p' || b, 3) = 0;
	CREATE TABLE bought AS SELECT g AS who, i AS good, (1 + dice(g || 'w' || i, 3)) * 300000::bigint AS weight, i % 5 = 0 AS barred
		FROM generate_series(1, 200) g, generate_series(1, 60) i WHERE dice(g || 'b' || i, 6) = 0;
	CREATE TABLE good AS SELECT g AS no, CASE WHEN g % 9 = 0 THEN -1 ELSE dice('s' || g, 3) * 1000000::bigint END AS share, g % 4 AS category FROM generate_series(1, 60) g");
is(sql("WITH book AS (SELECT ROW(ARRAY(SELECT no(no) FROM good ORDER BY no), ARRAY(SELECT share FROM good ORDER BY no), ARRAY(SELECT category FROM good ORDER BY no),
			ARRAY(SELECT a FROM neighbour ORDER BY a, b), ARRAY(SELECT b FROM neighbour ORDER BY a, b), ARRAY(SELECT score FROM neighbour ORDER BY a, b))::onec_internal.offer_book AS it),
		fast AS (SELECT m.who, u.good, u.score, u.place FROM (SELECT who, array_agg(no(good)) AS last, array_agg(weight) AS weights,
				array_agg(no(good)) FILTER (WHERE barred) AS barred FROM bought GROUP BY who) m,
			onec_internal.best_offers((SELECT it FROM book), m.last, m.weights, m.barred, CASE WHEN m.who % 7 > 0 THEN ARRAY[0.7, NULL, 1.3333333333] END, 10.5, 8) o,
			unnest(o.goods, o.scores) WITH ORDINALITY u (good, score, place)),
		scored AS (SELECT b.who, g.no, round((sum(n.score * b.weight) * 0.000000000001 + 10.5 * g.share * 0.00000001)
				* CASE WHEN b.who % 7 = 0 THEN 1 WHEN g.category = 1 THEN 0.7 WHEN g.category = 3 THEN 1.3333333333 ELSE 1 END, 6) AS score
			FROM bought b JOIN neighbour n ON n.a = b.good JOIN good g ON g.no = n.b AND g.share >= 0
			WHERE NOT EXISTS (SELECT FROM bought x WHERE x.who = b.who AND x.good = n.b AND x.barred) GROUP BY b.who, g.no, g.share, g.category),
		slow AS (SELECT * FROM (SELECT who, no(no), score, row_number() OVER (PARTITION BY who ORDER BY score DESC, no) AS place FROM scored) x WHERE place <= 8)
		SELECT (SELECT count(*) > 1500 FROM fast), (SELECT count(*) FROM ((TABLE fast EXCEPT TABLE slow) UNION ALL (TABLE slow EXCEPT TABLE fast)) x)"),
	't|0', 'Q7: the best offers are those of a join, equals too');

# ---- receipts that are kept ----
# What is kept of receipts is what all lines say, in whatever way they were changed; some of two documents, stores, moments, buyers.
my $differ = "SET jit = off; SELECT count(*) FROM (
		(SELECT * FROM onec_internal.kept_receipts(SRV, %1\$s) EXCEPT ALL SELECT * FROM onec_internal.receipts_till(SRV, %1\$s, NULL))
		UNION ALL (SELECT * FROM onec_internal.receipts_till(SRV, %1\$s, NULL) EXCEPT ALL SELECT * FROM onec_internal.kept_receipts(SRV, %1\$s))) x";
my $parts = "SET jit = off; SELECT count(*) FROM (
		(SELECT p.customer_id, p.receipt_id, p.at, p.is_purchase, p.period, p.store_id, sum(p.items), sum(p.net) FROM onec_internal.kept_parts(SRV, NULL) p GROUP BY 1, 2, 3, 4, 5, 6
		 EXCEPT ALL SELECT l.customer_id, l.receipt_id, l.at, l.is_purchase, l.period, l.store_id, sum(l.quantity), sum(l.amount)
		 FROM onec_internal.receipt_lines_till(SRV, NULL, NULL) l GROUP BY 1, 2, 3, 4, 5, 6)
		UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM onec_internal.kept_parts(SRV, NULL) p
		GROUP BY p.customer_id, p.receipt_id HAVING count(*) FILTER (WHERE p.is_first) <> 1 OR count(*) FILTER (WHERE p.once) <> count(DISTINCT coalesce(p.store_id, no(0)))) x";

sub kept_as_lines
{
	my ($what) = @_;

	sql("ANALYZE onec_internal.sale_line, onec_internal.receipt_part");
	is(join(' ', map { sql(sprintf($differ, $_)) } 'NULL', "$day - 300") . ' ' . sql($parts), '0 0 0', "Q5: $what: kept receipts are those of the lines");
}

for my $mart (qw(cohort_retention store_summary revenue_month weekday_hour month_season))
{
	is(counted("SELECT count(x) FROM onec.$mart x WHERE server = SRV", $lines), '0', "Q5: $mart reads no line");
}
for my $figures ('onec.rfm(SRV)', 'onec.next_purchase(SRV)', 'onec.season(SRV)', "onec_internal.visit_history(SRV, $day)")
{
	is(counted("SELECT count(x) FROM $figures x", $lines), '0', "Q5: $figures of everybody follows from receipts");
}
cmp_ok(counted("SELECT count(x) FROM onec.abc_xyz_at(SRV, $day) x", $lines), '<=', 24000, 'Q5: abc_xyz reads the lines once, for goods');
cmp_ok(counted('SELECT count(x) FROM onec.data_quality x', $lines), '<=', 24000 * 4, 'Q4: data_quality reads the lines four times at most');
cmp_ok(counted('SELECT onec.refresh_pairs(SRV), onec.refresh_recommendations(SRV)', $lines), '<=', 24000 * 6, 'Q7: so do recommendations a few times');
sql("ANALYZE onec_internal.receipt_part");
cmp_ok(counted("SELECT count(*) FROM onec.receipt WHERE period >= $day - 40 AND period < $day - 39",
		"SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables WHERE relname IN ('sale_line', 'receipt_part')"), '<=', 100,
	'Q6: receipts of one day are found by it');
kept_as_lines('as they came');
is(sql("SELECT bool_and(alone) AND count(*) = 12000 FROM onec_internal.receipt_part"), 't', 'Q5: a receipt is one row');
for my $edit (
	[ 'other documents, stores and moments' => "UPDATE onec_internal.sale_line SET document_id = no(1000000 + dice('x' || line_no, 12000)) WHERE dice('e' || line_no, 9) = 0;
		UPDATE onec_internal.sale_line SET store_id = NULL WHERE dice('f' || line_no, 31) = 0;
		UPDATE onec_internal.sale_line SET period = period - interval '36 hours' WHERE dice('g' || line_no, 17) = 0" ],
	[ 'returns and gifts' => "UPDATE onec_internal.sale_line SET amount = -amount, quantity = -quantity WHERE dice('h' || line_no, 11) = 0;
		UPDATE onec_internal.sale_line SET amount = 0 WHERE dice('i' || line_no, 23) = 0; UPDATE onec_internal.sale_line SET amount = NULL WHERE dice('i' || line_no, 97) = 0;
		UPDATE onec_internal.sale_line SET active = false WHERE dice('j' || line_no, 41) = 0" ],
	[ 'other buyers' => "UPDATE onec_internal.sale_line SET customer_id = no(101), person_id = no(101) WHERE dice('k' || line_no, 13) = 0;
		UPDATE onec_internal.sale_line SET attribution = 0, person_id = recorder, customer_id = NULL WHERE dice('l' || line_no, 13) = 0" ],
	[ 'lines gone and new ones' => "DELETE FROM onec_internal.sale_line WHERE dice('m' || line_no, 7) = 0;
		INSERT INTO onec_internal.sale_line (period, line_no, server, register, recorder_type, attribution, recorder, person_id, customer_id, quantity, amount)
		SELECT period, line_no + 100000, server, register, recorder_type, attribution, recorder, person_id, customer_id, 1, 77.5 FROM onec_internal.sale_line WHERE dice('n' || line_no, 5) = 0" ],
	[ 'gifts that count' => "SELECT onec.set('count_free_receipts', 'true', SRV)" ],
	[ 'an organization of all' => "UPDATE onec_internal.sale_line SET organization_id = onec_internal.new_reference(no(7)) WHERE dice('o' || line_no, 2) = 0; SELECT onec.set('organization_ids', '{' || no(7) || '}', SRV)" ],
	[ 'somebody forgotten' => "SELECT onec.forget($key, SRV)" ],
	[ 'old ones purged' => "SELECT onec.purge($day - 500, SRV)" ],
	[ 'all of a type left out' => "SELECT onec.set('exclude_recorder_types', '{Document_ЧекККМ}', SRV)" ],
	[ 'an emptied table' => "TRUNCATE onec_internal.sale_line" ])
{
	sql($edit->[1]);
	kept_as_lines($edit->[0]);
}
is(sql("SELECT count(*) FROM onec_internal.receipt_part"), '0', 'Q5: of no line nothing is kept');

# ---- rows of a query into a table ----
sql("CREATE FUNCTION records(statement text) RETURNS bigint LANGUAGE plpgsql AS \$\$ DECLARE plan json; BEGIN
		EXECUTE 'EXPLAIN (ANALYZE, WAL, FORMAT json) ' || statement INTO plan; RETURN (plan -> 0 -> 'Plan' ->> 'WAL Records')::bigint; END \$\$;
	CREATE VIEW given AS SELECT g AS n, CASE WHEN g % 3 > 0 THEN 'слово ' || g END AS word, (g / 7.0)::numeric(12, 3) AS amount,
		CASE WHEN g % 1500 = 0 THEN (SELECT string_agg(md5((g * i)::text), '') FROM generate_series(1, 400) i) END AS long FROM generate_series(1, 5000) g");

# What becomes of a table of that shape, made as $made and filled with what the view gives.
sub filled
{
	my ($made, $query) = @_;
	my $r = OnecTest->try_text($node, "BEGIN; CREATE TABLE landed (n int, word text, amount numeric(12, 3), long text); $made;
		SELECT 'inserted ' || onec_internal.insert_many('landed', '" . ($query // 'SELECT * FROM given') . "');
		SELECT 'differ ' || count(*) FROM ((TABLE landed EXCEPT ALL TABLE given) UNION ALL (TABLE given EXCEPT ALL TABLE landed)) d; ROLLBACK");

	return $r->{sqlstate} eq '00000' ? join(' ', $r->{stdout} =~ /^(?:inserted|differ) (\d+)/mg) : $r->{sqlstate};
}
is(filled('SELECT'), '5000 0', 'a plain table gets the rows, long ones, NULLs and all');
# made before, for what is made by its own transaction need not be logged
sql('CREATE TABLE logged (LIKE given)');
my $many = counted('SELECT', "SELECT records('SELECT onec_internal.insert_many(''logged'', ''SELECT * FROM given'')')");
my $one = counted('SELECT', "SELECT records('INSERT INTO logged SELECT * FROM given')");
cmp_ok($many * 10, '<', $one, "… many at a time: $many records of the log, where one by one it is $one");
is(counted('SELECT', "SELECT records('SELECT onec_internal.insert_many(''logged'', ''SELECT * FROM given LIMIT 0'')')"), '0', '… none for no rows');

# What is not plain is filled as INSERT would.
sql('CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.word := upper(NEW.word); RETURN NEW; END $$');
is(filled('ALTER TABLE landed ADD PRIMARY KEY (n); SET LOCAL enable_seqscan = off'), '5000 0', 'a key has its index');
is(filled('ALTER TABLE landed ADD PRIMARY KEY (n)', 'SELECT n % 10, word, amount, long FROM given'), '23505', '… and refuses what comes twice');
is(filled('ALTER TABLE landed ALTER word SET NOT NULL'), '23502', 'NOT NULL is heeded');
is(filled('ALTER TABLE landed ADD CHECK (n < 5000)'), '23514', 'a constraint is');
is(filled('CREATE TABLE whole (LIKE landed) PARTITION BY RANGE (n); ALTER TABLE whole ATTACH PARTITION landed FOR VALUES FROM (1) TO (5000)'), '23514', 'the bounds of a partition are');
is(filled('CREATE TRIGGER t BEFORE INSERT ON landed FOR EACH ROW EXECUTE FUNCTION louder()'), '5000 6668', 'a trigger is: every word is another, here and there');
is(filled('CREATE RULE r AS ON INSERT TO landed DO INSTEAD SELECT 1'), 'XX000', 'a rule that inserts nothing is an error');
is(sql("BEGIN; CREATE TABLE landed (LIKE given); ALTER TABLE landed ADD more int DEFAULT 7; SELECT FROM onec_internal.insert_many('landed', 'TABLE given');
	SELECT count(*) FROM landed WHERE more = 7; ROLLBACK") =~ s/\D//gr, '5000', 'a column that the query lacks has its default');
is(filled('ALTER TABLE landed DROP long; ALTER TABLE landed ADD long text'), '5000 0', 'a column dropped before is passed over');
is(filled('SELECT', 'SELECT n::bigint, word, amount, long FROM given'), '5000 0', 'values are turned into what the columns are');
is(filled('SELECT', 'SELECT n, word, n / 7.0, long FROM given'), '5000 0', '… of so many digits');
is(filled('SELECT', 'DELETE FROM landed'), '42809', 'what gives no rows is refused');
is(filled('SELECT', 'SELECT n / (n - 4000), word, amount, long FROM given'), '22012', 'an error in the middle is one');
sql('CREATE ROLE teller; GRANT USAGE ON SCHEMA onec_internal TO teller; GRANT EXECUTE ON FUNCTION onec_internal.insert_many TO teller');
like(OnecTest->try_text($node, "BEGIN; CREATE TABLE landed (n int); SET LOCAL ROLE teller; SELECT onec_internal.insert_many('landed', 'SELECT 1')")->{stderr},
	qr/permission denied for table landed/, 'who may not insert does not');
is(filled('SET LOCAL transaction_read_only = on'), '25006', 'nor does who may only read');
is(filled("SET LOCAL statement_timeout = '100ms'", 'SELECT n, word, amount, long FROM given, generate_series(1, 1000000)'), '57014', 'it can be cancelled');
done_testing();
