# A base that refuses $orderby over registers (AUTOORDER), or any $filter, or /$count, gives the same answers: all of the
# regression suite that reads 1C is run again against such bases.  Only what was asked of 1C may differ.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('modes', create => 0);
my @files = grep { !/onec_fdw--/ && content($_) =~ /ONEC_PORT/ } glob("$OnecTest::ROOT/sql/*.sql");

# Output without what was asked, which is the log of requests and plans, and without the diagnosis, which tells of the refusals.
sub answers
{
	my ($text) = @_;
	my ($skip, @kept);

	for my $line (split /\n/, $text)
	{
		$skip = 1 if $line =~ /asked\(\)|last_requests|EXPLAIN|diagnose\(/ && $line !~ /^CREATE/;
		push @kept, $line unless $skip;
		$skip = 0 if $line =~ /^\(\d+ rows?\)$|^ERROR:/;
	}
	return \@kept;
}

sub content
{
	my ($file) = @_;

	open(my $in, '<:encoding(UTF-8)', $file) or die "$file: $!";
	return do { local $/; <$in> };
}

for my $mode ([ 'AUTOORDER', '--autoorder' ], [ 'no conditions', '--refuse-filter' ])
{
	my ($name, @options) = @$mode;
	my $onec = OnecTest->onec('--customers', 200, '--seed', 1, @options);

	$node->safe_psql('postgres', q{DROP DATABASE IF EXISTS contrib_regression});
	$node->safe_psql('postgres', q{CREATE DATABASE contrib_regression});
	$node->safe_psql('contrib_regression', 'CREATE EXTENSION onec_fdw');
	local $ENV{ONEC_PORT} = $onec->{port};
	local $ENV{PGTZ} = 'UTC';
	local $ENV{PGDATESTYLE} = 'ISO,MDY';
	for my $file (@files)
	{
		my ($test) = $file =~ m{([^/]+)\.sql$};
		my $output = '';

		IPC::Run::run([ 'psql', '-X', '-a', '-q', '-v', 'HIDE_TABLEAM=on', '-v', 'HIDE_TOAST_COMPRESSION=on',
			'-d', $node->connstr('contrib_regression') ], '<', $file, '>&', \$output);
		utf8::decode($output);
		# names of a foreign connection's address differ by its port only
		is_deeply(answers($output), answers(content("$OnecTest::ROOT/expected/$test.out")), "$name: $test answers alike");
	}
	$onec->stop;
}

$node->stop;
done_testing();
