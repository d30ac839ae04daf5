# Dates of 1C: which spellings are taken, what zones do, and instants that are compared with the clock of the base.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $stub = OnecTest->stub(<<'PY');
# Each day of October, and each half hour of the night when the clock of Berlin is set back from 3 to 2; and a row without a date.
night = [{"Ref_Key": guid(i + 1), "Period": f"2025-10-{i + 1:02}T00:00:00"} for i in range(31)]
night += [{"Ref_Key": guid(i + 100), "Period": f"2025-10-26T{i // 2:02}:{i % 2 * 30:02}:00"} for i in range(1, 10)]
night.append({"Ref_Key": guid(999), "Period": "0001-01-01T00:00:00"})

def answer(r):
    if r.path.startswith("Catalog_V_"):
        return serve(r, [{"Ref_Key": guid(1), "V": bytes.fromhex(r.path[len("Catalog_V_"):]).decode()}])
    if r.path.startswith("Catalog_Зоны"):
        return serve(r, [{"Ref_Key": guid(i), "Period": f"2024-01-{i % 28 + 1:02}T10:00:00+03:00"} for i in range(1, 40)])
    return serve(r, night)
PY
my $node = OnecTest->node('dates', conf => "timezone = 'Europe/Berlin'\n");
my %server = (here => '', moscow => "timezone 'Europe/Moscow'", berlin => "timezone 'Europe/Berlin'",
	convert => "timezone 'Europe/Moscow', zone_suffix 'convert'", kept => "empty_as_null 'off'");
OnecTest->server($node, $stub, name => $_, options => join(', ', "retries '0'", $server{$_} || ())) for sort keys %server;

sub run
{
	my ($sql) = @_;

	utf8::encode($sql) if utf8::is_utf8($sql);
	my $r = OnecTest->try($node, $sql);
	utf8::decode($r->{$_}) for qw(stdout stderr);
	return $r;
}

sub answer
{
	my $r = run($_[0]);

	return $r->{sqlstate} eq '00000' ? $r->{stdout} : "$r->{sqlstate} $r->{stderr}";
}

run(q{CREATE FUNCTION sent(server text, type text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE t (v %s OPTIONS (property %L)) SERVER %I OPTIONS (entity_set %L)', type, 'V', server, 'Catalog_V_' || encode(value::bytea, 'hex'));
	EXECUTE 'SELECT coalesce(v::text, $1) FROM t' INTO answer USING 'NULL';
	DROP FOREIGN TABLE t;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$});

# What a column of a type reads when 1C sends the values: each as text, or the SQLSTATE.
sub values_of
{
	my ($server, $type, @values) = @_;
	my $list = join(', ', map { "('$_')" } @values);

	return split /\n/, answer("SELECT sent('$server', '$type', v) FROM (VALUES $list) x(v)"), -1;
}

sub value { return (values_of(@_))[0]; }

# ---- spellings ----

my @empty = ('0001-01-01', '0001-01-01T00:00', '0001-01-01T00:00:00', '0001-01-01T00:00:00.0', '0001-01-01T00:00:00.000', '0001-01-01T00:00:00.0000000',
	'0001-01-01T00:00:00Z', '0001-01-01T00:00:00+03:00', '0001-01-01T00:00+0230');
my %good = (
	'2024-02-01' => '2024-02-01 00:00:00', '2024-02-29T10:30' => '2024-02-29 10:30:00', '2024-02-01T10:30:15' => '2024-02-01 10:30:15',
	'2024-02-01T10:30:15.5' => '2024-02-01 10:30:15.5', '2024-02-01T10:30:15.123456' => '2024-02-01 10:30:15.123456',
	'2024-02-01T10:30:15.12345600' => '2024-02-01 10:30:15.123456', '9999-12-31T23:59:59' => '9999-12-31 23:59:59', '0001-01-01T10:00:00' => '0001-01-01 10:00:00');
my @strange = ('01.02.2024', '1/2/24', '2024-060', '20240201', '2024-2-1', '2024-02-01 10:30:15', '2024-02-01T', '2024-02-01T10', '2024-02-01T103015', '2024-02-01T10:30:15.',
	'2024-02-01T10:30:15,5', '2024-02-01T10:30:15 ', ' 2024-02-01', '2024-02-01T10:30:15BC', '12024-02-01T00:00:00', '2024-02-01Z', '2024-02-01T10:30:15+3', '2024-02-01T10:30:15+03:00:00',
	'2024-02-01T10:30:15+99:00', '2024-W05-1', 'now', 'epoch', '-infinity', '', '2024', '2024-02-01T10:30:15 Europe/Moscow');
my @impossible = ('2023-02-29', '2024-13-01T00:00:00', '2024-00-01', '2024-01-32', '0000-01-01', '2024-01-01T24:00:00', '2024-01-01T23:60:00', '2024-01-01T23:59:60',
	'2024-02-01T10:30:15.1234567', '2024-02-01T10:30:15.000000000001');
my @zoned = ('2024-01-01T10:00:00+03:00', '2024-01-01T10:00:00+0300', '2024-01-01T10:00:00+03', '2024-01-01T07:00:00Z', '2024-01-01T07:00Z', '2024-01-01T04:30:00.000-02:30');

for my $type (qw(timestamp timestamptz date))
{
	is_deeply([ values_of('moscow', $type, @empty) ], [ ('NULL') x @empty ], "W8: the empty date as $type in each spelling");
	is_deeply([ values_of('moscow', $type, @strange) ], [ ('22P02') x @strange ], "W7: what is no date of 1C is refused as $type");
	is_deeply([ values_of('moscow', $type, @impossible) ], [ ('22008') x @impossible ], "W8: days and times that are none, and fractions beyond microseconds, as $type");
	is_deeply([ values_of('moscow', $type, @zoned) ], [ ('22007') x @zoned ], "W8: a zone is refused as $type");
}
my @good = sort keys %good;
is_deeply([ values_of('moscow', 'timestamp', @good) ], [ @good{@good} ], 'W7: timestamps');
is_deeply([ values_of('moscow', 'date', @good) ], [ map { substr($_, 0, 10) } @good{@good} ], 'W7: dates');
is_deeply([ values_of('kept', 'timestamp', @empty[0 .. 5]) ], [ ('0001-01-01 00:00:00') x 6 ], 'W8: the empty date with empty_as_null off');
is(value('kept', 'timestamp', '0001-01-01T00:00:00Z'), '22007', '… where a zone is an error as well');
is(value('moscow', 'timestamp(0)', '2024-02-01T10:30:15.6'), '2024-02-01 10:30:16', 'a typmod rounds as it always did');
is(value('moscow', 'time', '0001-01-01T10:30:00'), '10:30:00', 'the time of day of a date');
is(value('moscow', 'time', $_), '22007', "W8: … which has no zone: $_") for $zoned[0];
is(value('moscow', 'time', '10:30:00+03'), '22P02', 'W8: … nor has a time alone');
is_deeply([ values_of('convert', 'timestamp', @zoned) ], [ ('2024-01-01 10:00:00') x @zoned ], 'W8: converted to where the base is');
is(value('convert', 'date', '2023-12-31T23:30:00Z'), '2024-01-01', 'W8: the day where the base is');
is_deeply([ values_of('convert', 'timestamptz', @zoned) ], [ ('2024-01-01 08:00:00+01') x @zoned ], 'W8: the instant, in Berlin');
is(value('convert', 'timestamptz', '2024-01-01T10:00:00'), '2024-01-01 08:00:00+01', 'W8: a date without a zone is of the base all the same');
is_deeply([ values_of('convert', 'timestamp', @empty[6 .. 8]) ], [ ('NULL') x 3 ], 'W8: the empty date has no zone to convert');
run("CREATE FOREIGN TABLE zone (v timestamp OPTIONS (property 'V')) SERVER moscow OPTIONS (entity_set 'Catalog_V_" . unpack('H*', $zoned[0]) . "')");
like(run('SELECT v FROM zone')->{stderr}, qr/zone_suffix 'convert'/, 'W8: the error names the option');

# ---- options ----

like(answer("ALTER SERVER here OPTIONS (ADD zone_suffix 'on')"), qr/^HV024.*error or convert/s, 'zone_suffix knows two words');
like(answer("ALTER SERVER here OPTIONS (ADD timezone 'Mars/Olympus')"), qr/^HV024.*pg_timezone_names/s, 'a zone has to be one');
is(answer("ALTER FOREIGN TABLE zone OPTIONS (ADD zone_suffix 'convert'); SELECT v FROM zone"), '2024-01-01 10:00:00', 'a table has its own zone_suffix');

# ---- dates with zones are no conditions, and cut no pages ----

run("CREATE FOREIGN TABLE zoned (ref_key uuid OPTIONS (property 'Ref_Key'), period timestamp OPTIONS (property 'Period')) SERVER convert
	OPTIONS (entity_set 'Catalog_Зоны', key 'Ref_Key', page_size '7')");
is(answer('SELECT count(*), count(DISTINCT ref_key) FROM zoned'), '39|39', 'W8: pages of dates with a zone are complete');
is(answer("SELECT count(*) FROM zoned WHERE period >= '2024-01-15 10:00'"), '14', 'W8: conditions on them are checked here');
is(answer("SELECT count(*) FROM zoned WHERE period = '2024-01-05 10:00'"), '2', 'W8: … all of them');
is(answer('SELECT min(period) FROM (SELECT * FROM zoned ORDER BY period LIMIT 1) x'), '2024-01-01 10:00:00', 'W8: so is the order');

# ---- instants: the clock of the base ----

for my $server (qw(here moscow berlin))
{
	run("CREATE SCHEMA IF NOT EXISTS $server; CREATE FOREIGN TABLE $server.night (ref_key uuid OPTIONS (property 'Ref_Key'), period timestamptz OPTIONS (property 'Period')) SERVER $server
		OPTIONS (entity_set 'InformationRegister_Ночь', key 'Ref_Key'); CREATE FOREIGN TABLE $server.plain (ref_key uuid OPTIONS (property 'Ref_Key'), period timestamp OPTIONS (property 'Period'))
		SERVER $server OPTIONS (entity_set 'InformationRegister_Ночь', key 'Ref_Key'); CREATE TABLE $server.copy AS SELECT * FROM $server.night; CREATE TABLE $server.plain_copy AS SELECT * FROM $server.plain");
}
is(answer("SET TimeZone = 'UTC'; SELECT min(period), count(*) - count(period) FROM moscow.night"), '2025-09-30 21:00:00+00|1', 'W9: read where the base is');
is(answer("SET TimeZone = 'Asia/Tokyo'; SELECT min(period) FROM moscow.night"), '2025-10-01 06:00:00+09', 'W9: whatever the session\'s zone');
is(answer("SET TimeZone = 'Asia/Tokyo'; SELECT min(period) FROM here.night"), '2025-10-01 00:00:00+09', 'W9: without the option, in that');
my @warned = run('SELECT * FROM here.night n WHERE period IS NOT NULL LIMIT 3')->{stderr} =~ /WARNING/g;
is(scalar @warned, 1, 'W9: with a warning, once');
is(run('SELECT * FROM moscow.night LIMIT 3; SELECT ref_key FROM here.night; EXPLAIN SELECT * FROM here.night')->{stderr}, '', 'W9: none where the zone is known, or not needed');

my @instants = map { "timestamptz '2025-10-$_+00'" } '24 21:00', '25 12:00', '25 23:45', '26 00:00', '26 00:15', '26 00:30', '26 00:30:00.5', '26 00:59:59', '26 01:00', '26 01:30',
	'26 03:00', '27 09:00', '28 00:00';
push @instants, "timestamp '2025-10-26 02:30'", "date '2025-10-26'", "timestamptz 'infinity'", "timestamptz '-infinity'", "timestamptz '0001-01-01 00:00+00'", "timestamptz '12000-01-01'";
for my $case ([ 'berlin.night', 'berlin.copy', @instants ], [ 'berlin.plain', 'berlin.plain_copy', @instants ], [ 'moscow.night', 'moscow.copy', @instants[ 0, 4, 10 ] ])
{
	my ($table, $copy, @values) = @$case;
	my @conditions = map { my $value = $_; map { "period $_ $value" } qw(= <> < <= > >=) } @values;
	my $local = answer('SELECT ' . join(', ', map { "count(*) FILTER (WHERE $_)" } @conditions) . " FROM $copy");

	is(answer('SELECT ' . join(', ', map { "(SELECT count(*) FROM $table WHERE $_)" } @conditions)), $local, "M2, W9: each comparison of $table near a change of the clock");
}
is(answer("SELECT count(*) FROM berlin.plain WHERE period = '2025-10-26 02:30' AND period > timestamptz '2025-10-26 00:30+00'"), '1', 'M2: the row of 2:30 comes');
is(answer("SELECT count(*) FROM berlin.night WHERE period = ANY (ARRAY[timestamptz '2025-10-26 01:30+00', '2025-10-24 22:00+00', NULL])"), '2', 'W9: a list');
like(answer("EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM moscow.night WHERE period > timestamptz '2025-10-26 00:30+00'"),
	qr/filter=Period gt datetime'2025-10-26T03:30:00'.*sent, superset/s, 'W9: a bound by the clock of the base, as a superset');
like(answer("EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM berlin.night WHERE period > timestamptz '2025-10-26 00:30+00'"),
	qr/filter=Period ge datetime'2025-10-23T02:30:00'.*sent, superset/s, 'W9: near a change of the clock, days before it');
like(answer("EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM moscow.night WHERE period > timestamptz '2025-10-26 00:30+00'"), qr/^Aggregate/, 'W9: nothing of it is counted by 1C');
is(answer("SET plan_cache_mode = force_generic_plan; PREPARE q(timestamptz) AS SELECT count(*) FROM berlin.night WHERE period > \$1; EXECUTE q('2025-10-26 00:30+00')"),
	answer("SELECT count(*) FROM berlin.copy WHERE period > timestamptz '2025-10-26 00:30+00'"), 'W9: the same of a value that is not known before');
is(answer('SELECT md5(string_agg(period::text, \',\')) FROM (SELECT period FROM berlin.night ORDER BY period) x'),
	answer('SELECT md5(string_agg(period::text, \',\')) FROM (SELECT period FROM berlin.copy ORDER BY period) x'), 'W9: in order, which is not that of 1C');

$node->stop;
done_testing();
