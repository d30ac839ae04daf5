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

# What an example needs of the session: the statements of one block run in one.
sub run_block
{
	my ($sql) = @_;

	$sql =~ s{https://1c\.example/\S+?'}{$url'};
	utf8::encode($sql);
	return OnecTest->try($node, $sql);
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
	my $answer = run_block($sql);
	is($answer->{sqlstate}, '00000', "block $number runs: $title") or diag($answer->{stderr});
	# the shop's last day is fixed, so what asks for the last days may find none
	next unless $sql =~ /SELECT/ && $sql !~ /CREATE|now\(\)/;
	isnt($answer->{stdout}, '', "block $number answers");
}

# The documented queries find something each, and ask as documented.
my ($five) = grep { /ORDER BY Code LIMIT 1000/ } @blocks;
for my $query (grep { /SELECT/ } split /;\n/, $five)
{
	my ($title) = $query =~ /FROM c\.(\w+)/;

	isnt(run_block($query)->{stdout}, '', "rows of $title");
}

my $card = run_block($blocks[1]);
like($card->{stdout}, qr/^[0-9a-f-]{36}\|70000000001$/m, 'the card is found');
utf8::decode(my $asked = $card->{stdout});
like($asked, qr/^\QCatalog_ДисконтныеКарты?\E\$select=Ref_Key,КодКартыШтрихкод&\$filter=КодКартыШтрихкод eq '70000000001'&/m,
	'by one request for two properties with the condition');

$onec->control('POST', '/log/clear', {});
run_block(q{SELECT sum(Сумма) FROM c.AccumulationRegister_Продажи_RecordType WHERE Period >= now() - interval '30 days'});
my @asked = map { $_->{query} // $_->{url} // '' } @{ $onec->control('GET', '/log') };
ok((grep { /Period ge datetime'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'/ } @asked), 'now() - interval reaches 1C as a literal')
  or diag(explain(\@asked));

my $profile = run_block(q{SELECT j->'statistics'->>'average_check', j->'statistics'->>'total_purchases',
	j->'statistics'->>'total_revenue' FROM onec.profile_json('+7 (000) 000-00-02') AS p, LATERAL (SELECT p::jsonb) x(j)});
is($profile->{stdout}, '4253.40|5|21267.00', "the document's example");

$node->stop;
done_testing();
