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

# Output without the statements that tell what was asked: the log of requests, plans, and the diagnosis, which tells of the refusals.
# Each of them is taken to its end, which is the number of its rows, or its error.
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

# How many statements are left out.
sub asked
{
	my ($text) = @_;

	return scalar grep { /asked\(\)|last_requests|EXPLAIN|diagnose\(/ && !/^CREATE/ } split /\n/, $text;
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
		my $expected = content("$OnecTest::ROOT/expected/$test.out");
		my ($kept, $all) = (answers($expected), scalar(my @lines = split /\n/, $expected));

		is_deeply(answers($output), $kept, "$name: $test answers alike, in " . @$kept . " lines of $all: the others tell what was asked");
		cmp_ok(scalar @$kept, '>', $all / 2, '… which are most');
		is(asked($output), asked($expected), '… and of no statement more is left out');
	}
	$onec->stop;
}

$node->stop;
done_testing();
