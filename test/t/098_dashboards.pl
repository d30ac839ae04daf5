# The dashboards of doc/dashboards: each query runs as a role that grant_reader has made, over a shop that was synced, and has an
# answer; the model of Grafana says nothing that its schema does not know.
use strict;
use warnings;
use utf8;

use JSON::PP;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('boards');
my $onec = OnecTest->onec('--customers', 60);
my $place = "$OnecTest::ROOT/doc/dashboards";

OnecTest->server($node, $onec, name => 'demo', options => "timezone 'Europe/Moscow'");
OnecTest->rows($node, "ALTER SERVER demo OPTIONS (ADD updatable 'on'); SELECT FROM onec.setup('demo'); CALL onec.sync('demo', full_reload => true);
	CREATE ROLE bi LOGIN; SELECT onec.grant_reader('bi')");

# As the role reads it, without time and with none of its rows an error.
sub answers
{
	my ($sql, $name, %may) = @_;
	my $started = time;
	my $answer = OnecTest->try_text($node, $sql =~ s/;\s*\z//r, user => 'bi');

	is($answer->{sqlstate}, '00000', "$name: runs") or diag("$sql\n$answer->{stderr}");
	isnt($answer->{stdout}, '', "$name: … and has an answer") unless $may{be_empty};
	OnecTest->soon(time - $started, 1, "$name: … within a second");
	return $answer->{stdout};
}

# ---- questions ----

my @questions = sort glob("$place/questions/*.sql");
cmp_ok(scalar @questions, '>=', 10, 'questions');
for my $file (@questions)
{
	my $sql = OnecTest->contents($file);
	my ($name) = $file =~ m{([^/]+)\.sql\z};
	like($sql, qr/\A-- \S[^\n]+\n\S/, "$name: its first line says what it answers");
	answers($sql, $name);
}

# ---- Grafana ----

my $model = JSON::PP->new->decode(OnecTest->contents("$place/grafana.json"));
my %kinds = map { $_ => 1 } qw(row stat table timeseries barchart);
is_deeply([ sort grep { !$kinds{$_} } map { $_->{type} } @{ $model->{panels} } ], [], 'panels are of known kinds');
my @ids = map { $_->{id} } @{ $model->{panels} };
is(scalar(keys %{ { map { $_ => 1 } @ids } }), scalar @ids, 'each has a number of its own');
my ($variable) = @{ $model->{templating}{list} };
answers($variable->{query}, 'the variable');
my @at;
for my $panel (grep { $_->{type} ne 'row' } @{ $model->{panels} })
{
	my $sql = $panel->{targets}[0]{rawSql};
	my %grid = %{ $panel->{gridPos} };

	is($panel->{datasource}{uid}, '${DS_ONEC}', "$panel->{title}: from the data source that is asked for");
	ok($grid{x} + $grid{w} <= 24, "$panel->{title}: within the board");
	ok(!(grep { $grid{x} < $_->{x} + $_->{w} && $_->{x} < $grid{x} + $grid{w} && $grid{y} < $_->{y} + $_->{h} && $_->{y} < $grid{y} + $grid{h} } @at),
		"$panel->{title}: over no other panel");
	push @at, \%grid;
	# as Grafana writes its macros out
	$sql =~ s/\$__timeFilter\(([^()]+)\)/$1 BETWEEN '2000-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'/g;
	$sql =~ s/\$\{server:sqlstring\}/'demo'/g;
	unlike($sql, qr/\$/, "$panel->{title}: no other macro");
	answers($sql, $panel->{title}, be_empty => $panel->{title} eq 'Ошибки по видам');
	next unless $panel->{targets}[0]{format} eq 'time_series';
	is(OnecTest->rows($node, "CREATE OR REPLACE TEMPORARY VIEW v AS $sql; SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'v'::regclass AND attname = 'time'"),
		'timestamp with time zone', "$panel->{title}: its time is a moment");
}

# ---- moments: each mart has one beside what its clock says (D11) ----

# What has a time in a view, and who reads it; tables of the store have times as 1C has them.
my $marts = q{SELECT c.relname, a.attname, EXISTS (SELECT FROM pg_attribute m WHERE m.attrelid = c.oid AND m.attname = a.attname || '_tz' AND m.atttypid = 'timestamptz'::regtype)
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE c.relnamespace = 'onec'::regnamespace AND c.relkind = 'v' AND NOT EXISTS (SELECT FROM onec.target t WHERE t.table_schema = 'onec' AND t.table_name = c.relname)
	  AND (a.atttypid = 'timestamp'::regtype OR a.atttypid = 'date'::regtype AND a.attname IN ('month', 'cohort'))
	  AND NOT EXISTS (SELECT FROM pg_attribute m WHERE m.attrelid = c.oid AND m.atttypid = 'timestamptz'::regtype AND m.attname !~ '_tz$')};
cmp_ok(OnecTest->rows($node, "SELECT count(DISTINCT relname) FROM ($marts) x"), '>=', 10, 'D11: marts with times');
is(OnecTest->rows($node, "SELECT relname, attname FROM ($marts) x WHERE NOT exists ORDER BY 1, 2"), '', 'D11: each has the same as a moment beside it');
for my $mart (split /\n/, OnecTest->rows($node, "SELECT DISTINCT relname, attname FROM ($marts) x ORDER BY 1, 2"))
{
	my ($view, $column) = split /\|/, $mart;

	is(OnecTest->rows($node, qq{SET TimeZone = 'America/New_York'; SELECT count(*), count(*) FILTER (WHERE "${column}_tz" IS DISTINCT FROM "$column"::timestamp AT TIME ZONE 'Europe/Moscow') FROM onec.$view})
			=~ s/^[1-9]\d*\|/some|/r, 'some|0', "D11: $view.${column}_tz is $column by the clock of the base, whatever the session's is");
}
is(OnecTest->rows($node, "SELECT col_description('onec.receipt'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'onec.receipt'::regclass AND attname = 'period_tz'"),
	'Дата и время первой строки, с часовым поясом базы', 'D11: … and says so');
# several bases in one query, one of another zone, one that is gone, infinity and nothing
OnecTest->rows($node, "CREATE SERVER far FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/x', timezone 'Asia/Vladivostok')");
is(OnecTest->rows($node, "SET TimeZone = 'UTC'; SELECT s, onec.moment(s, t::timestamp) FROM unnest('{demo,far,demo,gone}'::name[]) WITH ORDINALITY x (s, n), unnest('{2026-01-01,infinity,NULL}'::text[]) WITH ORDINALITY y (t, m) ORDER BY n, m", user => 'bi'),
	join("\n", map { ("$_->[0]|$_->[1]", "$_->[0]|infinity", "$_->[0]|") } [ demo => '2025-12-31 21:00:00+00' ], [ far => '2025-12-31 14:00:00+00' ], [ demo => '2025-12-31 21:00:00+00' ], [ gone => '2026-01-01 00:00:00+00' ]),
	'D11: onec.moment, asked by an analyst: of several bases, without a base, of no time');

# ---- metrics, in the exporters' own formats ----

# postgres_exporter: a query, and a metric for each column of it, in YAML; read here as far as the file goes
my $yaml = OnecTest->contents("$place/exporters/postgres_exporter.yaml");
my ($name, $query, $metrics) = $yaml =~ /\A(?:#.*\n)*(\w+):\n  query: \|\n((?:    .*\n)+)  metrics:\n((?:    .*\n)+)\z/;
is($name, 'onec', 'postgres_exporter: one query and its metrics');
my @metrics = $metrics =~ /\G    - (\w+):\n        usage: "(LABEL|COUNTER|GAUGE)"\n        description: "[^"\n]+"\n/g;
is(join('', map { "    - $metrics[ 2 * $_ ]:\n" } 0 .. $#metrics / 2), join('', $metrics =~ /^(    - .*\n)/mg), '… each with its usage and description');
my $columns = OnecTest->rows($node, "CREATE TEMPORARY VIEW v AS $query; SELECT attname, CASE format_type(atttypid, NULL) WHEN 'name' THEN 'text' WHEN 'bigint' THEN 'number' WHEN 'numeric' THEN 'number' WHEN 'double precision' THEN 'number' ELSE format_type(atttypid, NULL) END FROM pg_attribute WHERE attrelid = 'v'::regclass ORDER BY attnum");
is($columns, join("\n", map { "$metrics[ 2 * $_ ]|" . ($metrics[ 2 * $_ + 1 ] eq 'LABEL' ? 'text' : 'number') } 0 .. $#metrics / 2),
	'… one for each column, numbers but for the label');
isnt({@metrics}->{server}, 'LABEL', '… which is not "server": the exporter has a label of that name itself');
like(answers($query, 'postgres_exporter'), qr/^demo(\|\d+(\.\d+)?){9}$/m, '… a row a base, without gaps');
like(OnecTest->rows($node, "BEGIN; DELETE FROM onec.sync_state; $query; ROLLBACK"), qr/^demo\|.*\|NaN\|\d+$/m, '… of which nothing was read yet, too');
# Zabbix agent: a parameter of the user's, one number
my ($zabbix) = OnecTest->contents("$place/exporters/zabbix_agent.conf") =~ /^UserParameter=onec\.lag\[\*\],echo "([^"\$]+)" \| psql -X -A -t -q -v base="\$1" /m;
my $item = sub { return answers("\\set base '$_[0]'\n$zabbix", "Zabbix: $_[0]"); };
like($item->('demo'), qr/\A\d+\z/, '… one number');
is($item->('nobody'), '-1', '… of a base that was never read: -1');
answers($1, 'a chart over days') if OnecTest->contents("$place/README.md") =~ /(SELECT p\.period_tz .*?);/s;

done_testing();
