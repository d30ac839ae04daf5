# Pages and requests: what reading a large register costs 1C, whatever its dates are like, with pages asked for ahead or
# not; and that nothing is asked for that nobody wants.
use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('ahead');
my @sizes = $ENV{TEST_FULL} ? (100_000) : (20_000);
my $page = 1000;
my $sale = 's.AccumulationRegister_Продажи_RecordType';

sub run { return OnecTest->rows($node, @_); }

# What the register holds, counted in the base's own answer to one request without conditions: rows, sum, recorders, first and last
# date that is not empty.
sub truth
{
	my ($onec) = @_;
	my $address = $onec->url =~ s{//}{//demo:demo@}r . '/odata/standard.odata/AccumulationRegister_%D0%9F%D1%80%D0%BE%D0%B4%D0%B0%D0%B6%D0%B8_RecordType?$format=json';
	my $answer = HTTP::Tiny->new(timeout => 120)->get($address);
	my $body = $answer->{content};
	my ($rows, $sum, %recorders, @dates) = (0, 0);

	die $body unless $answer->{success};
	utf8::decode($body);
	$rows++, $sum += $1 while $body =~ /"Сумма":\s*([\d.-]+)/g;
	$recorders{$1}++ while $body =~ /"Recorder":\s*"([^"]+)"/g;
	push @dates, $1 =~ s/T/ /r while $body =~ /"Period":\s*"([^"]+)"/g;
	@dates = sort grep { !/^0001/ } @dates;
	return sprintf '%d|%.2f|%d|%s|%s', $rows, $sum, scalar keys %recorders, @dates[ 0, -1 ];
}

# Requests that 1C saw, rows it had to build, rows it sent, most requests at once, 1C sessions.
sub cost
{
	my ($onec, $sql) = @_;

	$onec->control('POST', '/counters/clear', {});
	my $answer = run($sql);
	my $counters = $onec->control('GET', '/counters');
	return ($answer, map { $counters->{$_} } qw(requests rows_touched rows_returned busiest sessions_started));
}

for my $size (@sizes)
{
	for my $shape (qw(even burst sparse hours))
	{
		my $onec = OnecTest->onec('--tiny', '--lines', $size, '--shape', $shape);

		run("DROP SERVER IF EXISTS big CASCADE; DROP SCHEMA IF EXISTS s CASCADE");
		OnecTest->server($node, $onec, name => 'big', options => "page_size '$page', paging 'skip', prefetch '0', push_count 'off'");
		run('CREATE SCHEMA s; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER big INTO s OPTIONS (functions \'off\')');
		my $query = "SELECT count(*), sum(Сумма)::numeric(20,2), count(DISTINCT Recorder), min(Period), max(Period) FROM $sale";
		my $truth = truth($onec);
		my $rows;

		for my $way ([ 'auto', 0 ], [ 'auto', 1 ], [ 'auto', 4 ], [ 'windows', 1 ])
		{
			my ($paging, $prefetch) = @$way;
			my $name = "$size rows, $shape, paging $paging, prefetch $prefetch";
			run("ALTER SERVER big OPTIONS (SET paging '$paging', SET prefetch '$prefetch')");
			# long enough at work to meet there
			$onec->control('POST', '/modes', { page_delay => $prefetch > 1 ? 50 : 0 });
			my ($answer, $requests, $touched, $returned, $busiest) = cost($onec, $query);

			is($answer, $truth, "$name: the answer is what the base holds");
			($rows) = $answer =~ /^(\d+)/;
			# metadata is not asked for again, the rest are pages
			# a window across a weekend may hold more than a page
			my $spare = $shape eq 'hours' && ($prefetch > 1 || $paging eq 'windows') ? 1.5 : 1.3;
			cmp_ok($requests, '<=', $spare * $rows / $page + 20, "… in $requests requests");
			cmp_ok($touched, '<=', 1.2 * $rows, "… for which 1C built $touched of $rows rows");
			# what was given up may still be at work in 1C when others are asked for
			cmp_ok($busiest, '<=', $prefetch || 1, "… $busiest at once");
			cmp_ok($busiest, '>', 1, '… more than one, indeed') if $prefetch > 1;
		}
		$onec->stop;
	}
}

# ---- nothing is asked for that nobody wants ----
my $onec = OnecTest->onec('--tiny', '--lines', 5000);
run("DROP SERVER IF EXISTS big CASCADE; DROP SCHEMA IF EXISTS s CASCADE");
OnecTest->server($node, $onec, name => 'big', options => "page_size '$page', prefetch '4'");
run('CREATE SCHEMA s; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER big INTO s OPTIONS (functions \'off\')');
for my $case (
	[ "SELECT count(*) FROM (SELECT Period FROM $sale LIMIT 10) x", 10, 1, 10 ],
	[ "SELECT count(*) FROM (SELECT Period FROM $sale ORDER BY Period LIMIT 10) x", 10, 1, 10 ],
	[ "SELECT count(*) FROM (SELECT Code FROM s.Catalog_Товары) x", 7, 1, 7 ],
	[ "SELECT EXISTS (SELECT FROM $sale)", 't', 1, $page ],
	[ "SELECT count(*) FROM (SELECT Period FROM $sale LIMIT 2500) x", 2500, 5, 4500 ],
	[ "SELECT count(*) FROM (SELECT * FROM $sale WHERE Period >= '2099-01-01') x", 0, 1, 0 ],
)
{
	my ($sql, $wanted, $most, $built) = @$case;
	my ($answer, $requests, $touched) = cost($onec, $sql);

	is($answer, $wanted, $sql);
	cmp_ok($requests, '<=', $most, "… asks $requests times");
	cmp_ok($touched, '<=', $built, "… and has $touched rows built");
}

# ---- as many 1C sessions as requests, each used again, all ended ----
my ($answer, $requests, undef, undef, $busiest, $started) = cost($onec, "SELECT count(*) FROM (SELECT * FROM $sale OFFSET 0) x; SELECT count(*) FROM (SELECT * FROM $sale OFFSET 0) x");
cmp_ok($started, '<=', 4, "$requests requests, $started 1C sessions");
my $counters = $onec->control('GET', '/counters');
ok(OnecTest->wait_for(sub { $onec->control('GET', '/counters')->{sessions_open} == 0 }, 'the end of all 1C sessions'), 'all are ended with the backend');

# ---- a page asked for ahead that fails is asked for again when its turn comes ----
for my $fault ({ match => 'Продажи_RecordType', status => 500, after => 2, times => 2 }, { match => 'Продажи_RecordType', cut_at => 20000, after => 3, times => 1 })
{
	run("ALTER SERVER big OPTIONS (SET page_size '500')") if $fault->{cut_at};
	$onec->control('POST', '/faults', $fault);
	is(run("SELECT count(*), count(DISTINCT (Recorder, LineNumber)) FROM (SELECT * FROM $sale OFFSET 0) x"), '5120|5120', 'a fault on the way: ' . join(' ', map { "$_ $fault->{$_}" } sort keys %$fault));
	$onec->control('POST', '/faults/clear', {});
}

# ---- a base that takes no notice of conditions on dates: reached by $skip ----
SKIP:
{
	my $modes = eval { $onec->control('POST', '/modes', { ignore_filter => \1 }); 1 };
	skip 'the demo 1C has no such mode', 1 unless $modes;
	run("ALTER SERVER big OPTIONS (SET prefetch '1')");
	is(run("SELECT count(*), count(DISTINCT (Recorder, LineNumber)) FROM (SELECT * FROM $sale OFFSET 0) x"), '5120|5120', 'conditions are ignored, no row comes twice');
}

$onec->stop;
$node->stop;
done_testing();
