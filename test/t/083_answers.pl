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

def answer(r):
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

$node->stop;
done_testing();
