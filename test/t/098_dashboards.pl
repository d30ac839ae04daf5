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
OnecTest->rows($node, "SELECT FROM onec.setup('demo'); CALL onec.sync('demo', full_reload => true);
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

sub contents { my ($file) = @_; open(my $in, '<:encoding(UTF-8)', $file) or die "$file: $!"; local $/ = undef; return scalar <$in>; }

# ---- questions ----

my @questions = sort glob("$place/questions/*.sql");
cmp_ok(scalar @questions, '>=', 10, 'questions');
for my $file (@questions)
{
	my $sql = contents($file);
	my ($name) = $file =~ m{([^/]+)\.sql\z};
	like($sql, qr/\A-- \S[^\n]+\n\S/, "$name: its first line says what it answers");
	answers($sql, $name);
}

# ---- Grafana ----

my $model = JSON::PP->new->decode(contents("$place/grafana.json"));
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

# ---- metrics ----

my ($paper) = contents("$place/README.md") =~ /(-- postgres_exporter.*?)```/s;
my @metrics = map { "$_;" } grep { /\S/ } split /;/, $paper;
is(scalar @metrics, 2, 'two queries for exporters');
like(answers($metrics[0], 'postgres_exporter'), qr/^demo\|\d+\|\d+\|\d+\|\d+\|\d+\|[\d.]+\|[\d.]+$/m, 'postgres_exporter: a line a server');
like(answers($metrics[1], 'Zabbix'), qr/\A\d+\z/, 'Zabbix: one number');

done_testing();
