# What a newcomer meets first: packages in few lines, the demo and its hints whatever today is, a suite that says what it does, and
# functions that take long saying how far they are (D10).  Nothing in the tests hangs on seconds (D12).
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $tmp = $PostgreSQL::Test::Utils::tmp_check;

# What a shell prints, as text.
sub shell
{
	my ($command) = @_;
	my $printed = qx(( $command ) 2>&1 </dev/null);

	utf8::decode($printed);
	return $printed;
}

# ---- packages: an apt-get that has much to say, and nothing installed yet ----
{
	my %program = (
		'apt-get' => 'for n in $(seq 100); do echo "Setting up package$n (1.0) ..."; done; echo "$*" >>' . "$tmp/asked",
		'apt-cache' => 'echo "Depends: postgresql-15"',
		'dpkg-query' => 'echo not-installed',
		'id' => 'echo 0');

	mkdir "$tmp/bin";
	for my $name (keys %program)
	{
		open(my $file, '>', "$tmp/bin/$name") or die $!;
		print $file "#!/bin/sh\n$program{$name}\n";
		close($file);
		chmod 0755, "$tmp/bin/$name";
	}
	my @lines = split /\n/, shell("cd '$OnecTest::ROOT' && PG_CONFIG=none PATH='$tmp/bin':\$PATH test/packages.sh");
	is(scalar(grep { /^(?:installing: gcc |installed: \d+ packages$|without )/ } @lines), scalar @lines, 'D10: packages are told of in a line each for what, how many, and what is done without') or diag("@lines");
	cmp_ok(scalar @lines, '<=', 3, '… whatever apt-get prints') or diag(join("\n", @lines));
	like(OnecTest->contents("$tmp/asked"), qr/install .*\bmake\b/, '… and are asked for');
}

# ---- the suite says what it does: the function that waits for tests, over one that waits to be told of ----
{
	my $run = OnecTest->contents("$OnecTest::ROOT/test/run");
	my ($function) = $run =~ /^(tell_until_below\(\) \{.*?^\})/ms;
	open(my $file, '>', "$tmp/suite.sh") or die $!;
	print $file <<"SHELL";
$function
names=(010_fast.pl 020_slow.pl) told=0 patience=1
say() { printf '%s\\n' "\$*" | tee -a $tmp/said; }
tap_count() { say "counted \$1"; }
printed() { echo "$tmp/\$1"; }
echo "0 1" >$tmp/010_fast.pl.end
{ for try in \$(seq 600); do grep -q running $tmp/said 2>/dev/null && break; sleep 0.1; done; echo "0 1" >$tmp/020_slow.pl.end; } &
tell_until_below 1
tell_until_below 1
SHELL
	close($file);
	my $said = shell("bash $tmp/suite.sh");
	is($said =~ s/( *… [^\n]*\n)+/$1/gr, "counted 010_fast.pl\n        … 1 have ended, running: 020_slow.pl\ncounted 020_slow.pl\n",
		'D10: make test says which tests run while none ends');
	my ($teller) = $run =~ /^(say\(\) .*?^tell_of_silence\(\) \{.*?^\})/ms;
	open($file, '>', "$tmp/teller.sh") or die $!;
	print $file <<"SHELL";
$teller
work=$tmp patience=-4
title "regression tests"
tell_of_silence >$tmp/told &
for try in \$(seq 600); do grep -q 'go on' $tmp/told && break; sleep 0.1; done
kill \$!; head -1 $tmp/told
SHELL
	close($file);
	is(shell("bash $tmp/teller.sh"), "\n== regression tests\n        … regression tests go on\n", 'D10: … and whatever else is silent');
}

# ---- the demo: what it shows, and what it hints at, in a session of its own ----

my $onec = OnecTest->onec('--customers', 200, '--seed', 1, '--site');
my $node = OnecTest->node('steps', create => 0);
my $demo = OnecTest->contents("$OnecTest::ROOT/test/demo.sql");
my ($onec_port) = $onec->url =~ /:(\d+)/;
$ENV{ONEC_PORT} = $onec_port;
my $shown = OnecTest->try_text($node, "\\pset tuples_only off\n\\pset format aligned\n\\i $OnecTest::ROOT/test/demo.sql");
is($shown->{sqlstate}, '00000', 'D10: the demo runs') or diag($shown->{stderr});
unlike($demo, qr/\bnow\(\)|current_|local_now|as_of/, 'D10: nothing in it hangs on today');
my ($stores) = $shown->{stdout} =~ /^== sales of its last 30 days.*?\n-.*?\n(.*?)^\s*$/ms;
my @stores = split /\n/, $stores // '';
cmp_ok(scalar @stores, '>=', 3, 'D10: its last 30 days are those before its last receipt, and have sales') or diag($shown->{stdout});
is(scalar(() = $shown->{stdout} =~ /^[-+]+\n\s*$/mg), 0, 'D10: no answer in it is without a row');

my ($hints) = OnecTest->contents("$OnecTest::ROOT/test/demo") =~ /^== the demo runs on;(.*?)^TEXT/ms;
my @hints = map { s/\\\\/\\/r } $hints =~ /(\\\\d\S* \w+\.\*)/g;
cmp_ok(scalar @hints, '>=', 4, 'D10: hints for psql');
for my $hint (@hints)
{
	my $answer = OnecTest->try_text($node, "$hint\n");
	like($answer->{stdout}, qr/\S+\n\S+/, "D10: $hint shows something in a new session");
}
my ($asked) = $hints =~ /what is asked of 1C: (.*)/;
like(OnecTest->try_text($node, $asked)->{stdout}, qr/\nCatalog_\S+\|200\|[\d.]+\|[1-9]\d*$/, 'D10: the last hint shows its request in a new session');

# ---- how far what takes long is ----

sub told
{
	my ($call) = @_;
	my $answer = OnecTest->try_text($node, "\\set VERBOSITY terse\n$call");

	is($answer->{sqlstate}, '00000', "D10: $call") or diag($answer->{stderr});
	return [ map { s/\S*, [\d.]+ s$/…/r } $answer->{stderr} =~ /NOTICE:  (.*)$/mg ];
}

is_deeply(told("SELECT * FROM onec.refresh_models('shop')"),
	[ map { "$_: …" } qw(fit_clv refresh_value refresh_pairs refresh_recommendations) ], '… tells of each part as it ends');
cmp_ok(scalar @{ told("SELECT * FROM onec.eval_recommend('shop', '2026-06-01')") }, '>=', 2, '… tells of each stage');
my $forgotten = told("SELECT * FROM onec.forget('70000000002', 'shop')");
cmp_ok(scalar @$forgotten, '>=', 3, '… tells of each table');
is(scalar(grep { !/^[\w.]+: \d+ rows$/ } @$forgotten), 0, '… by its name and rows') or diag(explain($forgotten));

$onec->stop;
$node->stop;
done_testing();
