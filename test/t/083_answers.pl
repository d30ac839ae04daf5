# What the wrapper answers where PostgreSQL and 1C mean different things by the same words, or an address has no room for all.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $stub = OnecTest->stub(<<'PY');
goods = [{"Ref_Key": guid(i), "Parent_Key": guid(i % 5) if i % 4 else guid(0), "Description": f"Товар {i}", "Сорт": i % 7} for i in range(1, 41)]
goods = [dict(row, Parent_Key="00000000-0000-0000-0000-000000000000") if row["Ref_Key"] > guid(28) else row for row in goods]
days = [{"Recorder": guid(i), "Period": f"{2023 + i % 4}-{i % 12 + 1:02}-15T{i % 24:02}:30:00", "Сумма": i / 4} for i in range(1, 61)]
days += [{"Recorder": guid(99), "Period": "0001-01-01T00:00:00", "Сумма": 1.5}]

def holds(row, text):
    """month(Period) gt 2.5 and the like, which 1C calculates of a date, joined by "or" or by "and"."""
    if " or " in text:
        return any(holds(row, arm) for arm in text.split(" or "))
    if text:
        for name, op, number in re.findall(r"(\w+)\(Period\) (\w+) ([-0-9.]+)", text):
            month, day, hour = int(row["Period"][5:7]), int(row["Period"][8:10]), int(row["Period"][11:13])
            value, number = {"month": month, "day": day, "hour": hour, "quarter": (month + 2) // 3}[name], float(number)
            if not {"gt": value > number, "ge": value >= number, "lt": value < number, "le": value <= number, "eq": value == number,
                    "ne": value != number}[op]:
                return False
    return "Period ne" not in text or row["Period"] > "0001-01-01T00:00:00"

# Sixty columns, whose names take 2,700 bytes of an address.
names = ["Ref_Key", "Code", "Period"] + [f"ОченьДлинноеИмя{i:02}" for i in range(57)]
wide = [dict({name: f"{name} {i}" for name in names}, Ref_Key=guid(i), Code=f"К{i}" if i < 200 else "Т" * (i * 2),
             Period=f"2025-{i // 30 + 1:02}-01T00:00:00") for i in range(1, 301)]
# points of a card on the morning of a day, one row for each day of the month so far
def balance(r):
    period = r.query.get("Period", "datetime'2025-01-03T00:00:00'")
    return [{"Card": guid(i), "Баллы": i * 10} for i in range(1, int(period[17:19]) + 1)]

long_register = "AccumulationRegister_" + "Очень" * 5 + "ДлинныйРегистр"
def metadata():
    def struct(kind, name, properties, key=None):
        return (f'<{kind} Name="{name}">' + (f'<Key><PropertyRef Name="{key}"/></Key>' if key else "") +
                "".join(f'<Property Name="{p}" Type="Edm.{t}"/>' for p, t in properties) + f"</{kind}>")
    types = (struct("EntityType", "AccumulationRegister_Баллы", [("Recorder", "String")], "Recorder") +
             struct("ComplexType", "AccumulationRegister_Баллы_Balance", [("Card", "Guid"), ("Баллы", "Double")]) +
             struct("EntityType", long_register, [("Recorder", "String")], "Recorder") +
             struct("EntityType", long_register + "_RecordType", [("Recorder", "String"), ("LineNumber", "Int64")], "Recorder"))
    sets = "".join(f'<EntitySet Name="{name}" EntityType="StandardODATA.{name}"/>'
                   for name in ["AccumulationRegister_Баллы", long_register, long_register + "_RecordType"])
    result = 'IsBindable="true" IsSideEffecting="false" ReturnType="Collection(StandardODATA.AccumulationRegister_Баллы_Balance)"'
    functions = (f'<FunctionImport Name="Balance" {result} EntitySetPath="AccumulationRegister_Баллы">'
                 '<Parameter Name="Period" Type="Edm.DateTime"/></FunctionImport>'
                 f'<FunctionImport Name="Nowhere" {result}><Parameter Name="Period" Type="Edm.DateTime"/></FunctionImport>')
    return 200, ('<?xml version="1.0"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">'
                 '<edmx:DataServices><Schema Namespace="StandardODATA" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">'
                 f'{types}<EntityContainer Name="E">{sets}{functions}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
                 ), {"Content-Type": "application/xml"}

def answer(r):
    if r.path == "$metadata":
        return metadata()
    if r.path.endswith("/Balance") or r.path.endswith("/Balance()"):
        return balance(r)
    if r.path.startswith("Catalog_Широкий"):
        begins = re.search(r"startswith\(Code, ?'([^']*)'\)", r.query.get("$filter", ""))
        if begins:
            del r.query["$filter"]
            return serve(r, [row for row in wide if row["Code"].startswith(begins[1])])
        return serve(r, wide)
    if r.path.startswith("Catalog_Товары"):
        return serve(r, goods)
    text = r.query.get("$filter", "")
    if "(Period)" in text:
        rows = [row for row in days if holds(row, text)]
        del r.query["$filter"]
        return serve(r, rows, "Recorder")
    return serve(r, days, "Recorder")
PY
my $node = OnecTest->node('answers', conf => "timezone = 'Europe/Moscow'\n");
OnecTest->server($node, $stub, name => 's', options => "timezone 'Europe/Moscow', retries '0', async_capable 'off'");

sub run { return OnecTest->try_text($node, $_[0]); }

sub answer
{
	my $r = run($_[0]);

	return $r->{sqlstate} eq '00000' ? $r->{stdout} : "$r->{sqlstate} $r->{stderr}";
}

run(q{CREATE SCHEMA s; CREATE SCHEMA here;
	CREATE FOREIGN TABLE s.goods (ref uuid OPTIONS (property 'Ref_Key'), parent uuid OPTIONS (property 'Parent_Key'), name text OPTIONS (property 'Description', edm_type 'String'),
		sort int OPTIONS (property 'Сорт')) SERVER s OPTIONS (entity_set 'Catalog_Товары', key 'Ref_Key');
	CREATE FOREIGN TABLE s.days (recorder uuid OPTIONS (property 'Recorder', edm_type 'Guid'), period timestamp OPTIONS (property 'Period'), amount numeric OPTIONS (property 'Сумма'))
		SERVER s OPTIONS (entity_set 'InformationRegister_Дни', key 'Recorder');
	CREATE TABLE here.goods AS SELECT * FROM s.goods; CREATE TABLE here.days AS SELECT * FROM s.days; ANALYZE here.goods; ANALYZE here.days});

# Each condition keeps as many rows as of a local copy, counted by 1C and here, known before and not.
sub alike
{
	my ($name, $table, @conditions) = @_;
	my $counts = join(', ', map { "(SELECT count(*) FROM %1\$s.$table WHERE $_), (SELECT count(*) FROM (SELECT * FROM %1\$s.$table WHERE $_ OFFSET 0) x)" } @conditions);

	return is(answer('SELECT ' . sprintf($counts, 's')), answer('SELECT ' . sprintf($counts, 'here')), $name);
}

# ---- W1: nothing is compared with an empty list ----

my $one = "'00000000-0000-4000-8000-000000000002'";
for my $list ("'{}'::uuid[]", "ARRAY(SELECT v FROM unnest('{}'::uuid[]) v)", "ARRAY[NULL]::uuid[]", "ARRAY[$one, NULL]::uuid[]", "ARRAY[$one]::uuid[]", "'{00000000-0000-0000-0000-000000000000}'::uuid[]", 'NULL::uuid[]')
{
	alike("W1: $list", 'goods', "parent = ANY ($list)", "parent <> ALL ($list)", "NOT parent = ANY ($list)", "NOT parent <> ALL ($list)", "parent <> ALL ($list) AND sort > 2",
		"(parent <> ALL ($list) OR sort > 2)", "NOT (parent <> ALL ($list) AND sort > 2)");
}
alike("W1: dates, $_", 'days', "period = ANY ($_)", "period <> ALL ($_)", "period::date = ANY ($_\::date[])", "period::date <> ALL ($_\::date[])")
  for "'{}'::timestamp[]", "'{infinity}'::timestamp[]", "'{0001-01-01}'::timestamp[]", "'{2025-01-15 00:30,NULL}'::timestamp[]", "'{2023-05-15 04:30:00.5}'::timestamp[]";
alike("W1: numbers, $_", 'goods', "sort = ANY ($_)", "sort <> ALL ($_)") for "'{}'::int[]", "'{3,NULL}'::int[]", "'{3,4}'::bigint[]";
alike("W1: texts, $_", 'goods', "name = ANY ($_)", "name <> ALL ($_)") for "'{}'::text[]", "'{Товар 3,NULL}'::text[]";
is(answer("SET plan_cache_mode = force_generic_plan; PREPARE q(uuid[]) AS SELECT count(*) FROM s.goods WHERE parent <> ALL (\$1); EXECUTE q('{}'); EXECUTE q('{NULL}'); EXECUTE q(ARRAY[$one]::uuid[]); EXECUTE q(NULL)"),
	answer("PREPARE q(uuid[]) AS SELECT count(*) FROM here.goods WHERE parent <> ALL (\$1); EXECUTE q('{}'); EXECUTE q('{NULL}'); EXECUTE q(ARRAY[$one]::uuid[]); EXECUTE q(NULL)"),
	'W1: lists that are not known before');

# ---- W2: doubles beside whole numbers ----

for my $number ('2025.9999999999998::float8', '2025.0000000000002::float8', '2025::float8', '2024.5::float4', '-0.5::float8', '1e300::float8', '0.1::float8', "'infinity'::float8", "'NaN'::float8",
	'2.9999999999999996::float8', '2.0000000000000004::float8', '3::float4')
{
	my $unit = $number =~ /^2\.|^3/ ? 'month' : 'year';
	my @parts = $unit eq 'month' ? qw(month quarter) : qw(year);

	alike("W2: $number", 'days', map { my $part = $_; (map { "date_part('$part', period) $_ $number" } qw(= <> < <= > >=)), "$number < date_part('$part', period)",
		"date_part('$part', period) = ANY (ARRAY[$number, 2023])" } @parts);
}
alike("W2: amount beside $_", 'days', map { my $number = $_; map { "amount $_ $number" } qw(= <> < <= > >=) } $_) for '3.25::float8', '3.2500000000000004::float8', '3.3::float4', '3.25::numeric';
is(answer("SET plan_cache_mode = force_generic_plan; PREPARE q(float8) AS SELECT count(*) FROM s.days WHERE date_part('year', period) > \$1; EXECUTE q(2024.9999999999998)"), '30', 'W2: one that is not known before');

# ---- W4: values computed at the join ----

run('CREATE TABLE l1 AS SELECT g AS id FROM generate_series(1, 12) g; CREATE TABLE l2 AS SELECT g AS id, (SELECT ref FROM here.goods WHERE name = \'Товар \' || g * 2) AS k FROM generate_series(1, 8) g; ANALYZE l1; ANALYZE l2');
my $dear = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;";
for my $query (
	'SELECT l1.id, q.s FROM l1 LEFT JOIN (SELECT l2.id, 1 s FROM l2 JOIN %s.goods f ON f.ref = l2.k) q ON q.id = l1.id ORDER BY 1',
	'SELECT l1.id, q.s FROM l1 LEFT JOIN (SELECT l2.id, coalesce(f.name, \'?\') s FROM l2 LEFT JOIN %s.goods f ON f.ref = l2.k AND f.sort > 2) q ON q.id = l1.id ORDER BY 1',
	'SELECT l1.id, q.* FROM l1 LEFT JOIN (SELECT l2.id, f.sort + l2.id s, f.name || l2.id t, f.name FROM l2 JOIN %s.goods f ON f.ref = l2.k) q ON q.id = l1.id ORDER BY 1',
	'SELECT l1.id, q.s FROM l1 LEFT JOIN (SELECT l2.id, coalesce(f.name, \'?\') s FROM l2 LEFT JOIN %s.goods f ON f.ref = l2.k) q ON q.id = l1.id WHERE q.s IS DISTINCT FROM \'Товар 4\' ORDER BY 1',
	'SELECT l1.id, q.s, q.n FROM l1 LEFT JOIN (SELECT l2.id, row(f.*) s, now() > \'2000-01-01\' n FROM l2 JOIN %s.goods f ON f.ref = l2.k) q ON q.id = l1.id ORDER BY 1',
	'SELECT l1.id, q.s FROM l1 LEFT JOIN (SELECT l2.id, 1 s FROM l2 WHERE EXISTS (SELECT FROM %s.goods f WHERE f.ref = l2.k AND f.sort > 3)) q ON q.id = l1.id ORDER BY 1',
	'SELECT q.s, count(*) FROM l1 LEFT JOIN (SELECT l2.id, f.sort %% 2 s FROM l2 JOIN %s.goods f ON f.ref = l2.k) q ON q.id = l1.id GROUP BY 1 ORDER BY 1')
{
	is(answer($dear . sprintf($query, 's')), answer($dear . sprintf($query, 'here')), "W4: $query");
	like(answer($dear . 'EXPLAIN ' . sprintf($query, 's')), qr/Onec Lookup Join/, '… by a look-up join');
}

# ---- W10: EXPLAIN for programs ----

my $explained = 'ANALYZE, VERBOSE, COSTS OFF, FORMAT %s) SELECT * FROM s.days WHERE amount > 1 AND recorder IS NOT NULL ORDER BY period DESC';
my $xml = answer('EXPLAIN (' . sprintf($explained, 'XML'));
is(answer("SELECT count(*) FROM (SELECT unnest(xpath('//e:*[starts-with(local-name(), ''OneC-'')]', \$x\$$xml\$x\$::xml, '{{e,http://www.postgresql.org/2009/explain}}'))) x"), '9',
	'W10: XML is well-formed, and has what the text has');
like(answer('EXPLAIN (' . sprintf($explained, 'JSON')), qr/"1C Request": "InformationRegister_Дни\?.*"1C Quals": \[.*"1C Wait": /s, 'W10: the keys of JSON are what they were');
like(answer('EXPLAIN (' . sprintf($explained, 'YAML')), qr/1C Request: ".*1C Rows Without a Date: /s, 'W10: so are those of YAML');

# ---- W3: an address has no room for all names of columns ----

my $columns = join(', ', "ref uuid OPTIONS (property 'Ref_Key')", "code text OPTIONS (property 'Code', edm_type 'String')", "period timestamp OPTIONS (property 'Period')",
	map { sprintf("c%02d text OPTIONS (property 'ОченьДлинноеИмя%02d')", $_, $_) } 0 .. 56);
run("CREATE FOREIGN TABLE s.wide ($columns) SERVER s OPTIONS (entity_set 'Catalog_Широкий', key 'Ref_Key', paging 'skip');
	CREATE FOREIGN TABLE s.dated ($columns) SERVER s OPTIONS (entity_set 'Catalog_Широкий', key 'Ref_Key'); CREATE TABLE here.wide AS SELECT * FROM s.wide");
run('CREATE TABLE keys AS SELECT ref, code, row_number() OVER (ORDER BY ref) AS n FROM here.wide; ANALYZE keys; ANALYZE here.wide');
$stub->requests;

# The answer of a query, and the requests that it took (but for those of sessions).  A small set is the first of its session, so
# the last of them asks what follows it.
sub asked
{
	my $answer = answer($_[0]);

	return ($answer, map { $_->{query} } grep { $_->{path} !~ /metadata/ } $stub->requests);
}

my ($got, @queries) = asked("SELECT * FROM s.wide WHERE code = 'К7'");
is($got, answer("SELECT * FROM here.wide WHERE code = 'К7'"), 'W3: a row of a wide table');
is_deeply([ map { [ $_->{'$select'}, $_->{'$filter'} ] } $queries[0] ], [ [ '*', "Code eq 'К7'" ] ], 'W3: the filter goes, the names do not');
($got, @queries) = asked("SELECT count(d) FROM s.dated d WHERE period >= '2025-09-01' AND period < '2025-10-01'");
is($got, '30', 'W3: rows of a period');
is_deeply([ map { [ $_->{'$select'}, scalar($_->{'$filter'} =~ /Period ge .* and Period lt/) ] } $queries[0] ], [ [ '*', 1 ] ], 'W3: its bounds go');
like(answer("EXPLAIN SELECT * FROM s.wide WHERE code = 'К7'"), qr/Request: Catalog_Широкий\?.select=\*&.filter=Code eq 'К7'/, 'W3: EXPLAIN shows what goes');
my $key = answer("SELECT string_agg(quote_literal(ref), ', ') FROM keys WHERE n <= 24");
($got, @queries) = asked("SELECT count(w), min(c00), max(c56) FROM s.wide w WHERE ref IN ($key)");
is($got, answer("SELECT count(w), min(c00), max(c56) FROM here.wide w WHERE ref IN ($key)"), 'W3: a list of keys');
is_deeply([ map { $_->{'$select'} } @queries ], [ '*' ], 'W3: in one request');
like(answer("EXPLAIN SELECT w FROM s.wide w WHERE ref IN (SELECT ref FROM keys) OR ref IN ($key)"), qr/Request: Catalog_Широкий\?.select=\*&/, '… also shown');
for my $case ([ ref => 25, 2 ], [ ref => 100, 5 ], [ code => 25, 2 ], [ code => 60, 3 ])
{
	my ($column, $many, $most) = @$case;
	my $query = "SELECT md5(string_agg(w::text, ',' ORDER BY n)) FROM keys k JOIN %s.wide w USING ($column) WHERE n <= $many";

	($got, @queries) = asked($dear . sprintf($query, 's'));
	is($got, answer(sprintf($query, 'here')), "W3: a look-up join of $many by $column");
	cmp_ok(scalar @queries, '<=', $most, "W3: in few requests: " . @queries);
}
my $long = 'Я' x 500;
($got, @queries) = asked("SELECT count(w) FROM s.dated w WHERE period >= '2025-09-01' AND code <> '' AND (code = '$long' OR code LIKE '%$long' OR c00 = 'x')");
is($got, '0', 'W3: a condition that has no room');
like($queries[0]{'$filter'}, qr/^Period ge datetime'2025-09-01T00:00:00'/, 'W3: the others go without it');
like(answer("EXPLAIN (COSTS OFF) SELECT * FROM s.dated WHERE period >= '2025-09-01' AND (code = '$long' OR code LIKE '%$long')"), qr/1C Filter: shortened/, 'W3: EXPLAIN says so');
my $text = answer('SELECT code FROM keys WHERE n = 290');
($got, @queries) = asked("SELECT ref FROM s.wide WHERE code = '$text'");
is($got, answer("SELECT ref FROM keys WHERE n = 290"), 'W18: a text longer than an address');
is_deeply([ map { $_->{'$filter'} } $queries[0] ], [ "startswith(Code,'" . 'Т' x 40 . "')" ], 'W18: is asked for by how it begins');
my $query = "SELECT n, w.ref FROM (SELECT * FROM keys WHERE n % 50 = 0 OR n < 10 ORDER BY md5(code) LIMIT 100) k JOIN %s.wide w USING (code) ORDER BY 1";
($got, @queries) = asked($dear . sprintf($query, 's'));
is($got, answer(sprintf($query, 'here')), 'W18: a look-up join by texts, some longer than an address');
is(scalar(grep { !$_->{'$filter'} } @queries), 0, 'W18: none reads the set');

# ---- W5, W17: arguments of functions ----

run("CREATE FOREIGN TABLE s.balance (card uuid OPTIONS (property 'Card', edm_type 'Guid'), points numeric OPTIONS (property 'Баллы'), period_arg timestamp OPTIONS (argument 'Period'))
	SERVER s OPTIONS (entity_set 'AccumulationRegister_Баллы', function 'Balance', dimensions 'Card');
	CREATE FOREIGN TABLE s.moved (card uuid OPTIONS (property 'Card', edm_type 'Guid'), points numeric OPTIONS (property 'Баллы'), from_arg timestamp OPTIONS (argument 'Period'), to_arg timestamp OPTIONS (argument 'EndPeriod'))
	SERVER s OPTIONS (entity_set 'AccumulationRegister_Баллы', function 'Balance', dimensions 'Card');
	CREATE TABLE days AS SELECT timestamp '2025-01-01' + g * interval '1 day' AS d, g AS n FROM generate_series(3, 9) g; ANALYZE days");
my $right = answer('SELECT count(*), sum(b.points) FROM days, LATERAL (SELECT * FROM s.balance WHERE period_arg = days.d OFFSET 0) b');
is($right, '49|2100', 'by LATERAL');
is(answer("SELECT count(*), sum(b.points) $_"), $right, "W5: $_")
  for 'FROM days, s.balance b WHERE b.period_arg = days.d', 'FROM s.balance b JOIN days ON days.d = b.period_arg', 'FROM days LEFT JOIN s.balance b ON b.period_arg = days.d',
  'FROM days JOIN s.balance b ON b.period_arg = days.d JOIN days e ON e.d = days.d', 'FROM s.balance b WHERE period_arg IN (SELECT d FROM days)',
  'FROM days JOIN s.balance b ON b.period_arg = days.d::date', 'FROM days JOIN s.moved b ON b.from_arg = days.d AND b.to_arg = days.d + interval \'1 day\'';
is(answer('SELECT count(*), sum(b.points) FROM days JOIN days e ON e.n = days.n + 1 JOIN s.moved b ON b.from_arg = days.d AND b.to_arg = e.d'), '39|1550', 'W5: two arguments, of two tables');
is(answer("SELECT count(*) FROM days JOIN s.balance b ON b.period_arg = days.d AND b.card = (SELECT card FROM s.balance LIMIT 1)"), '7', 'W5: beside a condition on a dimension');
is(answer("ALTER SERVER s OPTIONS (ADD push_filter 'off'); SELECT count(*) FROM days, s.balance b WHERE b.period_arg = days.d; ALTER SERVER s OPTIONS (DROP push_filter)"), '49', 'W5: with no filters sent');
is(answer("SELECT count(*) FROM s.balance WHERE $_"), '3', "W5: a value is given, $_ is checked here")
  for "period_arg = '2025-01-03' AND period_arg >= '2025-01-01'", "period_arg = '2025-01-03' AND period_arg IN ('2025-01-03', '2025-01-04')", 'period_arg IS NULL';
for my $condition ("period_arg IN ('2025-01-03', '2025-01-04')", "period_arg >= '2025-01-03'", "period_arg = '2025-01-03' OR period_arg = '2025-01-04'", 'period_arg IS NOT NULL', "period_arg = (ARRAY[timestamp '2025-01-03'])[(random() * 0)::int + 1]",
	"date_trunc('day', period_arg) = '2025-01-03'", 'period_arg > ALL (SELECT d FROM days)', "period_arg = ANY ('{}')")
{
	my $r = run("SELECT count(*) FROM s.balance WHERE $condition");

	is($r->{sqlstate}, '0A000', "W5: $condition is an error");
	like($r->{stderr}, qr/argument "Period".*Column "period_arg" of "balance" takes one value.*HINT:.*JOIN balance ON period_arg/s, '… that says how to ask');
}
is(run("SELECT count(*) FROM $_")->{sqlstate}, '0A000', "W5: $_ is an error")
  for 'days JOIN s.balance b ON b.period_arg >= days.d', 's.balance b LEFT JOIN days ON b.period_arg = days.d', 's.balance a JOIN s.balance b USING (period_arg)', 's.balance b FULL JOIN days ON b.period_arg = days.d';
for my $value ('2025-01-03 00:00:00.5', 'infinity', '-infinity', '0001-01-01 BC', '10000-01-01')
{
	like(run("SELECT count(*) FROM s.balance WHERE period_arg = '$value'")->{stderr}, qr/HV004.*whole seconds of the years 1 to 9999/s, "W17: $value is an error");
}
is(answer("SELECT count(*) FROM s.balance WHERE period_arg = date_trunc('second', now())"), answer("SELECT extract(day FROM now())"), 'W17: … but a whole second');

# ---- W6: generated columns ----

run("CREATE FOREIGN TABLE s.made (ref uuid OPTIONS (property 'Ref_Key'), name text OPTIONS (property 'Description', edm_type 'String'), sort int OPTIONS (property 'Сорт'),
		twice int GENERATED ALWAYS AS (sort * 2) STORED, label text GENERATED ALWAYS AS (upper(name) || sort) STORED) SERVER s OPTIONS (entity_set 'Catalog_Товары', key 'Ref_Key');
	CREATE TABLE here.made (ref uuid, name text, sort int, twice int GENERATED ALWAYS AS (sort * 2) STORED, label text GENERATED ALWAYS AS (upper(name) || sort) STORED);
	INSERT INTO here.made (ref, name, sort) SELECT ref, name, sort FROM s.goods; ANALYZE s.made");
is(answer(sprintf($_, 's')), answer(sprintf($_, 'here')), "W6: $_")
  for 'SELECT count(*), sum(twice), max(label) FROM %s.made', 'SELECT label FROM %s.made ORDER BY twice, ref LIMIT 5', 'SELECT count(*) FROM %s.made WHERE twice = 4',
  'SELECT count(*) FROM %s.made WHERE twice IN (2, 4) AND label IS NOT NULL AND label LIKE \'Т%%\'', 'SELECT m FROM %s.made m ORDER BY ref LIMIT 3', 'SELECT label FROM %s.made WHERE label = \'ТОВАР 33\'',
  'SELECT count(*) FROM %s.made a JOIN %s.made b ON a.twice = b.sort' =~ s/%s/\%1\$s/gr;
is(answer("SELECT null_frac || ' ' || n_distinct FROM pg_stats WHERE schemaname = 's' AND tablename = 'made' AND attname = 'twice'"), '0 -0.175', 'W6: ANALYZE computes them, too');

# ---- W20, W21: names of metadata ----

run('CREATE SCHEMA imported');
my $notices = run('IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER s INTO imported')->{stderr};
like($notices, qr/function "Nowhere" of 1C belongs to no entity set and is left out/, 'W20: a function of no set is said');
unlike($notices, qr/"Balance"/, '… one of a set is taken');
is(answer("SELECT count(*) FROM imported.accumulationregister_Баллы_balance WHERE period_arg = '2025-01-05'"), '5', 'W20: bound by EntitySetPath');
my @two = split /\n/, answer("SELECT local_name FROM onec.entity_sets('s') WHERE entity_set LIKE '%ДлинныйРегистр%' ORDER BY entity_set");
is(scalar(@two), 2, 'W21: a name that is cut: two tables');
is(answer("SELECT count(DISTINCT relname) FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relname IN ('$two[0]', '$two[1]')"), '2', 'W21: whose names entity_sets() tells beside those of 1C');

$node->stop;
done_testing();
