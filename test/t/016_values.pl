# Values that 1C might send, and columns that users might declare: what is kept, what is NULL, what is refused.
use strict;
use warnings;
use utf8;

use JSON::PP;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('values');
my $onec = OnecTest->onec('--tiny', '--lines', 3000);

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

OnecTest->server($node, $onec, name => 'shop', options => "page_size '200', prefetch '1', retries '0'");
rows('CREATE SCHEMA s; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO s;
	CREATE DOMAIN d_bytea AS bytea; CREATE DOMAIN d_jsonb AS jsonb; CREATE DOMAIN d_bool AS boolean; CREATE DOMAIN d_uuid AS uuid;
	CREATE DOMAIN d_stamp AS timestamp; CREATE DOMAIN d_text AS text; CREATE DOMAIN d_money AS numeric(10,2); CREATE DOMAIN d_positive AS numeric CHECK (VALUE > 0);
	CREATE DOMAIN d_again AS d_positive; CREATE DOMAIN d_short AS varchar(3);
	CREATE DOMAIN d_must AS uuid NOT NULL; CREATE DOMAIN d_there AS text CHECK (VALUE IS NOT NULL); CREATE TYPE mood AS ENUM (\'ok\')');

# The value that a column of a type has when 1C sends $json; or the SQLSTATE.
sub value
{
	my ($type, $json) = @_;

	$onec->control('POST', '/faults', { match => '\?.*Цена', times => 1, body => qq({"value":[{"Code":"1","Цена":$json}]}) });
	# and nothing follows it
	$onec->control('POST', '/faults', { match => '\?.*Цена', body => '{"value":[]}' });
	my $r = run("DROP FOREIGN TABLE IF EXISTS t; CREATE FOREIGN TABLE t (v $type OPTIONS (property 'Цена'))
		SERVER shop OPTIONS (entity_set 'Catalog_Товары'); SELECT coalesce(v::text, 'NULL') FROM t");
	$onec->control('POST', '/faults/clear', {});
	return $r->{sqlstate} eq '00000' ? $r->{stdout} : $r->{sqlstate};
}

my $zero = '"00000000-0000-0000-0000-000000000000"';
my $empty = '"0001-01-01T00:00:00"';

for my $case (
	# domains are what they are over
	[ 'd_bytea', '"QUJD"', '\x414243' ], [ 'd_jsonb', '"123"', '"123"' ], [ 'd_jsonb', '{"a": [1]}', '{"a": [1]}' ], [ 'd_bool', 'true', 'true' ],
	[ 'd_bool', '1', '22P02' ], [ 'd_bool', '"yes"', '22P02' ], [ 'd_uuid', $zero, 'NULL' ], [ 'd_uuid', '""', 'NULL' ], [ 'd_stamp', $empty, 'NULL' ],
	[ 'd_stamp', '"2026-01-02T03:04:05"', '2026-01-02 03:04:05' ], [ 'd_text', '[1]', '[1]' ], [ 'd_positive', '"NaN"', '22P02' ],
	[ 'd_positive', '1.5', '1.5' ], [ 'd_positive', '-1', '23514' ], [ 'd_again', '0', '23514' ], [ 'd_short', '"абв"', 'абв' ], [ 'd_short', '"абвг"', '22001' ],
	# … and are asked about NULL, whatever it comes from
	[ 'd_must', $zero, '23502' ], [ 'd_must', 'null', '23502' ], [ 'd_there', 'null', '23514' ], [ 'd_there', '""', '' ],
	# no digit is lost in silence
	[ 'numeric(10,2)', '1.5', '1.50' ], [ 'numeric(10,2)', '1.005', '22003' ], [ 'd_money', '1.005', '22003' ], [ 'd_money', '7', '7.00' ],
	[ 'numeric(3,1)', '1000', '22003' ], [ 'numeric', '123456789012345678901234567890.123', '123456789012345678901234567890.123' ],
	[ 'numeric', '9999999999999999999', '9999999999999999999' ], [ 'numeric', '0.9999999999999999999', '0.9999999999999999999' ],
	[ 'numeric', '-999999999999999999', '-999999999999999999' ], [ 'int8', '9223372036854775807', '9223372036854775807' ], [ 'int8', '9223372036854775808', '22003' ],
	[ 'int2', '32768', '22003' ], [ 'int2', '-32768', '-32768' ], [ 'int4', '2147483648', '22003' ],
	[ 'numeric', '1e5', '100000' ], [ 'numeric', '"Infinity"', '22P02' ], [ 'float8', '"NaN"', '22P02' ], [ 'float8', '-1.5e3', '-1500' ], [ 'numeric', '"0x10"', '22P02' ], [ 'int4', '"1_000"', '22P02' ],
	# dates that are none, guids in other spellings
	[ 'timestamp', '"2026-01-02T10:60:00"', '22008' ], [ 'timestamp', '"2023-02-29T00:00:00"', '22008' ], [ 'timestamp', '"2024-02-29T00:00:00"', '2024-02-29 00:00:00' ],
	[ 'uuid', '"{00000000-0000-0000-0000-000000000000}"', 'NULL' ], [ 'uuid', '"ABCDEF00-0000-4000-8000-00000000000f"', 'abcdef00-0000-4000-8000-00000000000f' ],
	# the empty date, whatever the column
	[ 'date', $empty, 'NULL' ], [ 'timestamptz', $empty, 'NULL' ], [ 'timestamp(0)', $empty, 'NULL' ], [ 'timestamp', '"0001-01-01T00:00:00Z"', 'NULL' ],
	[ 'timestamp', '"0001-01-01T00:00:00.000"', 'NULL' ], [ 'date', '"2026-01-02T03:04:05"', '2026-01-02' ], [ 'timestamp', '"now"', '22P02' ],
	[ 'timestamp', '"03:00 today"', '22P02' ], [ 'date', '"00:00 tomorrow"', '22P02' ], [ 'time', '"now"', '22P02' ], [ 'time', '"10:30:00"', '10:30:00' ],
	[ 'timestamptz', '"2026-01-02T03:04:05.5"', '2026-01-02 03:04:05.5+00' ], [ 'timestamptz', '"2026-01-02T03:04:05.5+03:00"', '22007' ], [ 'timestamp', '"infinity"', '22P02' ], [ 'date', '"today"', '22P02' ], [ 'timestamp', '"2024-02-30T00:00:00"', '22008' ],
	# base64 in lines
	[ 'bytea', '"QUJD\r\nREVG"', '\x414243444546' ], [ 'bytea', '""', '\x' ], [ 'bytea', '"QQ=="', '\x41' ], [ 'bytea', '"Q!"', '22P02' ])
{
	my ($type, $json, $want) = @$case;

	is(value($type, $json), $want, "$type from $json");
}

# ---- what 1C sent is shown briefly, in whole characters ----

$onec->control('POST', '/faults', { match => '\?.*Цена', body => '{"value":[{"Цена":"a' . 'я' x 300 . '\u0007"}]}' });
rows("DROP FOREIGN TABLE t; CREATE FOREIGN TABLE t (v numeric OPTIONS (property 'Цена'), u uuid OPTIONS (property 'Цена'), d date OPTIONS (property 'Цена'),
	f float8 OPTIONS (property 'Цена'), i inet OPTIONS (property 'Цена'), e mood OPTIONS (property 'Цена'), w interval OPTIONS (property 'Цена')) SERVER shop OPTIONS (entity_set 'Catalog_Товары')");
like(run('SELECT v FROM t')->{stderr}, qr/DETAIL:  1C sent aя{29}\.\n/, 'a detail ends with a whole character');
$onec->control('POST', '/faults/clear', {});
$onec->control('POST', '/faults', { match => '\?.*Цена', body => '{"value":[{"Цена":"' . '1' x 100000 . '"}]}' });
for my $column (qw(v u d f i e w))
{
	my $r = run("SELECT $column FROM t");
	is($r->{sqlstate}, '22P02', "$column: a value of 100 kB is refused");
	cmp_ok(length($r->{stderr}), '<', 2000, '… in few words');
}
$onec->control('POST', '/faults/clear', {});

# ---- another object with a status of 200 is not a row ----

for my $body ('{"value": null}', '{"message": "Unauthorized"}', '{"error": {"code": "x", "message": "y"}}', '{"Value": [{"Code": "1"}]}')
{
	$onec->control('POST', '/faults', { match => 'Товары', body => $body, status => 200 });
	is(run('SELECT Code FROM s.Catalog_Товары')->{sqlstate}, 'HV000', "$body is an error where rows were asked for");
	is(run("SELECT Code FROM s.Catalog_Товары WHERE Ref_Key = '00000002-0000-4000-8000-000000000001'")->{sqlstate}, 'HV000', '… and where one entity was');
	$onec->control('POST', '/faults/clear', {});
}
is(rows("SELECT Code FROM s.Catalog_Товары WHERE Ref_Key = '00000002-0000-4000-8000-000000000001'"), 'G-1', 'an entity is a row');

# ---- a domain whose check reads 1C itself, in the middle of a row ----

rows("CREATE FUNCTION known(uuid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM (SELECT * FROM s.AccumulationRegister_Продажи_RecordType OFFSET 0) x) > 0; END';
	CREATE DOMAIN d_known AS uuid CHECK (known(VALUE));
	CREATE FOREIGN TABLE checked (period timestamp OPTIONS (property 'Period'), line bigint OPTIONS (property 'LineNumber'), good d_known OPTIONS (property 'Товар_Key'),
		recorder text OPTIONS (property 'Recorder'), amount numeric OPTIONS (property 'Сумма')) SERVER shop OPTIONS (entity_set 'AccumulationRegister_Продажи_RecordType', prefetch '4')");
my $fields = "md5(string_agg(concat_ws('|', period, line, good, recorder, amount), ',' ORDER BY recorder, line))";
is(rows("SELECT $fields FROM (SELECT * FROM checked LIMIT 30) x"), rows("SELECT $fields FROM (SELECT Period, LineNumber AS line, Товар_Key AS good, Recorder, Сумма AS amount
	FROM s.AccumulationRegister_Продажи_RecordType LIMIT 30) x"), 'the values after it are those of the row');

$onec->stop;
$node->stop;
done_testing();
