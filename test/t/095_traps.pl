# Code of the extension under a hostile search_path: no trap that is planted before pg_catalog is sprung by what a superuser calls.
use strict;
use warnings;
use utf8;

use OnecTest;
use OnecTraps;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 5);
my $node = OnecTest->node('traps', cron => OnecTest->have_cron);

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '1', updatable 'on'");

sub run { return OnecTest->try_text($node, @_); }
sub sql { return OnecTest->rows($node, @_); }

sql('SELECT onec.setup(\'shop\'); CALL onec.sync(\'shop\', full_reload => true)');
cmp_ok(sql('SELECT count(*) FROM onec.site_user'), '>', 20, 'the shop is here');

# ---- S3: the caller's path ----
{
	my $traps = OnecTraps->plant($node, 'shop_owner');

	cmp_ok($traps->{operators}, '>', 3000, "operators planted: $traps->{operators}");
	cmp_ok($traps->{functions}, '>', 200, "functions planted: $traps->{functions}");
	isnt($traps->run("SELECT 1 = '1'::pg_catalog.text COLLATE \"C\" OR 'a'::pg_catalog.text = 'b'::pg_catalog.text")->{sprung}, 0, 'a trap is sprung by what is not qualified');
	for my $call ($traps->calls)
	{
		my $r = $traps->run($call->{sql});
		my $good = $r->{sprung} == 0 && ($call->{state} ? $r->{sqlstate} =~ /^(?:00000|$call->{state})$/ : $r->{sqlstate} eq '00000');

		ok($good, "S3: $call->{name} under a hostile search_path");
		diag("$call->{sql}\n$r->{stderr}\n" . join("\n", $traps->sprung)) unless $good;
	}
	is(sql("SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE y.typnamespace <> 'pg_catalog'::regnamespace)
			FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
			WHERE c.relnamespace IN ('imported'::regnamespace, 'imported_too'::regnamespace) AND a.attnum > 0") =~ /^[1-9]\d+\|0$/ ? 1 : 0, 1,
		"S3: imported columns are of PostgreSQL's own types");
}

$node->stop;
done_testing();
