# Every SQL example of the two READMEs runs, in order, against the demo 1C, and answers something.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

# The blocks marked sql, without comments.
sub blocks
{
	my ($file) = @_;

	open(my $in, '<:encoding(UTF-8)', "$OnecTest::ROOT/$file") or die "$file: $!";
	my $text = do { local $/; <$in> };
	return map { s/^\s*--.*\n//mgr } $text =~ /^```sql\n(.*?)^```$/msg;
}

my @blocks = blocks('README.md');
cmp_ok(scalar @blocks, '>=', 6, 'the README has examples');
is_deeply([ blocks('README.ru.md') ], \@blocks, 'the Russian README has the same');

my $onec = OnecTest->onec('--customers', 200, '--seed', 1);
my $node = OnecTest->node('readme', cron => OnecTest->have_cron);
my $url = $onec->url;
$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_cron') if OnecTest->have_cron;

# What each SELECT of the examples answers: words of it, number of lines (at least so many: a text like "5+"), what each line is like.
my $truth = $onec->control('GET', '/truth');
my ($first, $example) = @{ $truth->{examples} }{qw(first example)};
my ($id, $date, $amount) = (qr/[0-9a-f-]{36}/, qr/\d{4}-\d\d-\d\d/, qr/-?\d+(?:\.\d+)?/);
my @answers = (
	[ 'SELECT Ref_Key, КодКартыШтрихкод FROM', 1, qr/^$first->{card}\|$first->{phone}$/ ],
	[ 'FROM onec.last_requests()', 2, qr/^Catalog_ДисконтныеКарты\?[\$]select=Ref_Key,КодКартыШтрихкод&[\$]filter=КодКартыШтрихкод eq '70000000001'&.*(?:\|200\|1|skip=1\|200\|0)$/ ],
	[ 'Catalog_ДисконтныеКарты ORDER BY Code', $truth->{cards}, qr/^\d{9}\|.*\|/ ],
	[ 'SELECT Period, Сумма, Количество', $first->{lines}, qr/^$date .*\|$amount\|1\|$id$/ ],
	[ 'ПродажиПоДисконтнымКартам', $first->{lines}, qr/^$date .*\|$amount$/ ],
	[ 'DocumentJournal_РозничныеПродажи', $first->{receipts}, qr/^$date .*\|НФФР-\d+\|$amount$/ ],
	[ 'SELECT Description FROM', 1, qr/^\w.* \d{3}$/ ],
	# the shop's last day is fixed, so the last days may be empty
	[ 'SELECT Period::date AS day', '0+', qr/^$date\|$amount$/ ],
	[ 'БонусныеБаллы_Balance', 5, qr/^$id\|$amount\|$amount$/ ],
	[ 'EXPLAIN (VERBOSE, COSTS OFF)', '6+', qr/^(?:Foreign Scan on|  (?:Output|Filter|1C Request|1C Qual|1C \w.*):) / ],
	[ 'onec.setup(', 12, qr/\|created\|\d+\|/ ],
	[ 'FROM onec.sync_status', '13+', qr/^\w+\|ok\|\d+\|\d+\|0\|0$/ ],
	[ 'jsonb_pretty(onec.profile_json(', '50+', qr/^[ {}]/ ],
	[ 'SELECT phone, receipts, total_revenue', 10, qr/^7000\d{7}\|\d+\|$amount\|$amount$/ ],
	[ 'SELECT name, balance', 5, qr/^.*\|$amount\|(?:$date 00:00:00)?\|(?:$amount)?$/ ],
	[ 'FROM onec.data_quality', '3+', qr/^Q\d+\|.+\|\d+\|.+/ ],
	[ 'FROM site.account', 5, qr/^7000\d{7}\|.*\|$amount\|.+/ ],
	[ 'onec.refresh_models(', 4, qr/^\w+\|ok\|/ ],
	[ 'SELECT name, rfm_title', 10, qr/^.*\|.+\|\w+\|(?:$date)?\|\{.*\}\|$amount$/ ],
	[ 'FROM onec.rfm_summary', '5+', qr/^shop\|\w+\|.+\|\d+\|/ ],
	[ 'FROM onec.abc_xyz', 10, qr/^.+\|$amount\|[ABC]\|[XYZ]?$/ ],
	[ 'FROM onec.cohort_retention', 12, qr/^$date\|\d+\|[01]\.\d+$/ ],
	[ 'FROM onec.month_season', 12, qr/^\d+\|$amount$/ ],
	[ 'FROM onec.call_list', '1+', qr/^.*\|7000\d{7}\|.+/ ],
	[ 'FROM onec.customer_clv', 20, qr/^$id\|[01]\.\d+\|$amount\|$amount$/ ],
	[ 'FROM onec.recommend(', 10, qr/^\d+\|.+\|\w+/ ],
	[ 'onec.eval_recommend(', 1, qr/^\d+\|\d+\|[01]\.\d+\|\d+\|[01]\.\d+\|/ ],
	[ 'FROM onec.schedule(', '4+', qr/^onec:shop:\w+\|[\d*\/ ]+\|CALL onec\.run_job\(/ ],
	[ 'FROM onec.schedule_status', '2+', qr/^\w+\|/ ],
	[ 'onec.unschedule(', 1, qr/^\d+$/ ],
	[ 'SELECT onec.grant_', 0, qr/^/ ],
	[ 'onec.forget(', '2+', qr/^\w+\|/ ],
	[ 'onec.purge(', '2+', qr/^\w+\|/ ],
);
my %answered;

# The statements of an example in one session, each with what it answers.
sub run_block
{
	my ($sql) = @_;

	$sql =~ s{https://1c\.example/\S+?'}{$url'};
	my @statements = split /;\n(?=[A-Z])/, $sql;
	s/;?\s*$// for @statements;
	my $answer = OnecTest->try_text($node, join '', map { "$_;\n\\echo ====\n" } @statements);
	$answer->{outputs} = [ split /^====\n?/m, $answer->{stdout} ];
	return ($answer, @statements);
}

for my $number (0 .. $#blocks)
{
	my $sql = $blocks[$number];
	my ($title) = $sql =~ /^(.{1,60})/;

	if ($sql =~ /onec\.schedule/ && !OnecTest->have_cron)
	{
	  SKIP: { skip 'pg_cron is not installed', 1; }
		next;
	}
	my ($answer, @statements) = run_block($sql);
	is($answer->{sqlstate}, '00000', "block $number runs: $title") or diag($answer->{stderr});
	for my $i (grep { $statements[$_] =~ /^\s*(?:EXPLAIN|SELECT|WITH|TABLE)\b/ } 0 .. $#statements)
	{
		my ($statement, $output) = ($statements[$i] =~ s/\s+/ /gr, $answer->{outputs}[$i] // '');
		my ($known) = grep { index($statement, $_->[0]) >= 0 } @answers;
		my @lines = split /\n/, $output;

		ok($known, "it is said here what this answers: $statement") or next;
		my ($lines, $more) = $known->[1] =~ /^(\d+)(\+?)$/;
		$answered{ $known->[0] } = $output;
		cmp_ok(scalar @lines, $more ? '>=' : '==', $lines, "$known->[0] … answers so many lines") or diag($output);
		is(join("\n", grep { !/$known->[2]/ } @lines), '', '… each as it ought to be');
	}
}

# Sums of what was answered, which are those of the demo 1C.
sub column
{
	my ($words, $n) = @_;

	return map { (split /\|/)[$n] } split /\n/, $answered{$words};
}

for my $case ([ 'SELECT Period, Сумма, Количество', 1 ], [ 'ПродажиПоДисконтнымКартам', 1 ], [ 'DocumentJournal_РозничныеПродажи', 2 ])
{
	my $sum = 0;

	$sum += $_ for column(@$case);
	is(sprintf('%.2f', $sum), $first->{sum}, "$case->[0] …: the sum");
}
is(join('|', column('Catalog_ДисконтныеКарты ORDER BY Code', 0)), join('|', sort { $a cmp $b } column('Catalog_ДисконтныеКарты ORDER BY Code', 0)), 'cards by their codes');
is(join('|', column($_, 0)), join('|', reverse sort { $a cmp $b } column($_, 0)), "$_ …: the newest first")
  for 'SELECT Period, Сумма, Количество', 'DocumentJournal_РозничныеПродажи';
is(join('|', column('SELECT phone, receipts, total_revenue', 2)), join('|', sort { $b <=> $a } column('SELECT phone, receipts, total_revenue', 2)), 'customers by their sums');
like($answered{'FROM onec.sync_status'}, qr/^sale_line\|ok\|$truth->{sales}{all_rows}\|$truth->{sales}{all_rows}\|/m, 'all sales are read');
like($answered{'FROM onec.sync_status'}, qr/^discount_card\|ok\|$truth->{cards}\|/m, '… and all cards');
like($answered{'jsonb_pretty(onec.profile_json('}, qr/"total_revenue": \Q$example->{sum}\E/, 'the profile has the sum');
like($answered{'EXPLAIN (VERBOSE, COSTS OFF)'}, qr/local, /, 'a condition stays here') if $answered{'EXPLAIN (VERBOSE, COSTS OFF)'};

$onec->control('POST', '/log/clear', {});
run_block(q{SELECT sum(Сумма) FROM c.AccumulationRegister_Продажи_RecordType WHERE Period >= now() - interval '30 days'});
my @asked = map { $_->{query} // $_->{url} // '' } @{ $onec->control('GET', '/log') };
ok((grep { /Period ge datetime'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'/ } @asked), 'now() - interval reaches 1C as a literal')
  or diag(explain(\@asked));

my ($profile) = run_block(q{SELECT j->'statistics'->>'average_check', j->'statistics'->>'total_purchases',
	j->'statistics'->>'total_revenue' FROM onec.profile_json('+7 (000) 000-00-02') AS p, LATERAL (SELECT p::jsonb) x(j)});
is($profile->{outputs}[0], "4253.40|5|21267.00\n", "the document's example");

$node->stop;
done_testing();
