# Two bases in different time zones side by side, and sessions in any: what is stored does not depend on the session's zone.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my %base = (
	west => { zone => 'Europe/Moscow', onec => OnecTest->onec('--customers', 50, '--seed', 5, '--timezone', 'Europe/Moscow') },
	east => { zone => 'Asia/Yekaterinburg', onec => OnecTest->onec('--customers', 50, '--seed', 6, '--timezone', 'Asia/Yekaterinburg') });
my $node = OnecTest->node('zones');

sub sql
{
	my ($query) = @_;
	my $r = OnecTest->try($node, $query);

	diag("$query\n$r->{stderr}") if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

# ---- both at once ----
for my $name (sort keys %base)
{
	OnecTest->server($node, $base{$name}{onec}, name => $name, options => "timezone '$base{$name}{zone}'");
	sql("SELECT FROM onec.setup('$name')");
	$base{$name}{run} = OnecTest->background($node, "CALL onec.sync('$name', full_reload => true)");
}
for my $name (sort keys %base)
{
	is($base{$name}{run}->wait->{sqlstate}, '00000', "$name is loaded while the other is");
	is(sql("SELECT status FROM onec.sync_run WHERE server = '$name'"), 'ok', 'well');
	my $truth = $base{$name}{onec}->control('GET', '/truth');

	is($truth->{timezone}, $base{$name}{zone}, 'the base lives in its zone');
	is(sql("SELECT count(*), (sum(amount) FILTER (WHERE active))::numeric(20,2) FROM onec.sale_line WHERE server = '$name'"),
		"$truth->{sales}{all_rows}|$truth->{sales}{sum}", 'its sums are its own');
	is(sql("SELECT count(*) FROM onec.customer_profile WHERE server = '$name' AND total_revenue <> 0
		AND customer_id NOT IN (SELECT card_id FROM onec.discount_card WHERE owner_id IS NULL)"),
		scalar(grep { $_ ne '' && $truth->{sales}{counted}{by_customer}{$_}{sum} != 0 } keys %{ $truth->{sales}{counted}{by_customer} }), 'and its customers');
}
is(sql("SELECT onec.local_now('east') - onec.local_now('west')"), '02:00:00', 'it is two hours later in the east');

# ---- the same base, loaded by sessions of two zones ----
my %session = (utc => 'UTC', far => 'Asia/Vladivostok');
for my $name (sort keys %session)
{
	OnecTest->server($node, $base{west}{onec}, name => $name, options => "timezone 'Europe/Moscow'");
	sql("SET TimeZone = '$session{$name}';\nSELECT FROM onec.setup('$name')");
	sql("SET TimeZone = '$session{$name}';\nCALL onec.run_job('weekly', '$name')");
	sql("SET TimeZone = '$session{$name}';\nCALL onec.run_job('nightly', '$name')");
	is(sql("SELECT count(*) FROM onec.drift WHERE server = '$name'"), '0', "$session{$name}: the night finds no month that differs");
}
for my $table (split /\n/, sql("SELECT DISTINCT table_schema || '.' || table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
	WHERE table_schema ~ '^onec' AND table_type = 'BASE TABLE' AND column_name = 'server' AND table_name !~ '^(config|setting|base|largest_page|sync_|drift|refusal|server_number)' ORDER BY 1"))
{
	my $columns = sql("SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
		WHERE table_schema || '.' || table_name = '$table' AND column_name <> 'server' AND data_type !~ 'with time zone'");
	# the large tables have numbers for servers
	my ($utc, $far) = map { "SELECT $columns FROM $table WHERE server::text IN ('$_', (SELECT n.number::text FROM onec_internal.server_number n WHERE n.server = '$_'))" } 'utc', 'far';

	is(sql("SELECT count(*) FROM (($utc EXCEPT ALL $far) UNION ALL ($far EXCEPT ALL $utc)) x"), '0', "$table is the same");
}
for my $query ("SELECT md5(onec.profile_json(phone, server => 'utc')::text) FROM onec.site_user WHERE server = 'utc' AND login IS NOT NULL ORDER BY phone LIMIT 5",
	"SELECT md5(string_agg((to_jsonb(c) - '{first_purchase_tz,last_purchase_tz}'::text[])::text || extract(epoch FROM c.first_purchase_tz) || extract(epoch FROM c.last_purchase_tz),
		',' ORDER BY customer_id)) FROM onec.customer_360 c WHERE server = 'utc'")
{
	is(sql("SET TimeZone = 'UTC';\n$query"), sql("SET TimeZone = 'Asia/Vladivostok';\n$query"), 'and is told alike in every zone');
}

$node->stop;
done_testing();
