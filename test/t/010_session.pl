# What one session with 1C must survive: answers that are none, a base that is busy, refuses, redirects, forgets its
# sessions or never answers.  The other side is a small hostile 1C made here, which does what a queue of rules says.
use strict;
use warnings;

use OnecTest;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use utf8;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $LOGIN = 'Админ';
my $SECRET = 'Тайна-7q!W';

# ---- the hostile 1C ----

package Hostile;

use Fcntl qw(:flock SEEK_SET);
use IO::Socket::INET;

my $json = JSON::PP->new->utf8->canonical;

sub start
{
	my ($class, $basic) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $listen = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!";
	my $self = bless { dir => $dir, port => $listen->sockport, basic => $basic }, $class;

	$self->_write($_, '') for qw(rules log sessions);
	$self->{pid} = fork() // die "fork: $!";
	$self->_serve($listen) if $self->{pid} == 0;
	close($listen);
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]->{port}/base"; }

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'TERM', -$self->{pid};
	waitpid($self->{pid}, 0);
	delete $self->{pid};
	return;
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $@, $!);
	$self->stop;
	return;
}

# Read a file, and write it anew if the code gives a text; nobody comes between.
sub _change
{
	my ($self, $name, $code) = @_;

	open(my $file, '+<', "$self->{dir}/$name") or die "$name: $!";
	flock($file, LOCK_EX);
	my $text = do { local $/; <$file> } // '';
	my ($new, $result) = $code->($text);
	if (defined $new)
	{
		seek($file, 0, SEEK_SET);
		truncate($file, 0);
		print {$file} $new;
	}
	close($file);
	return $result;
}

sub _write
{
	my ($self, $name, $text) = @_;

	open(my $file, '>', "$self->{dir}/$name") or die "$name: $!";
	print {$file} $text;
	close($file);
	return;
}

# Rules for the next requests, one each: status, type, body, headers, sleep (before the answer), cut (bytes of the
# body after which the connection closes), like (only for requests whose address holds this), raw (bytes as they are), hang (seconds after raw).
sub rules
{
	my ($self, @rules) = @_;

	$self->_write('rules', join('', map { $json->encode($_) . "\n" } @rules));
	$self->log;
	return;
}

# Requests since the last call: path, ib, cookie, auth.
sub log
{
	my ($self) = @_;

	return @{ $self->_change('log', sub { return ('', [ map { $json->decode($_) } split /\n/, $_[0] ]) }) };
}

sub forget_sessions { my ($self) = @_; $self->_write('sessions', ''); return; }

sub _serve
{
	my ($self, $listen) = @_;

	setpgrp(0, 0);
	$SIG{TERM} = sub { POSIX::_exit(0) };
	$SIG{CHLD} = 'IGNORE';
	$SIG{PIPE} = 'IGNORE';
	while (1)
	{
		my $client = $listen->accept or next;
		if (!fork())
		{
			close($listen);
			1 while $self->_one($client);
			POSIX::_exit(0);
		}
		close($client);
	}
}

sub _one
{
	my ($self, $client) = @_;
	my $line = <$client> // return 0;
	my ($path) = $line =~ /^\S+ (\S+)/ or return 0;
	my %header;

	while (defined(my $more = <$client>))
	{
		$more =~ s/\r?\n$//;
		last if $more eq '';
		$header{ lc $1 } = $2 if $more =~ /^([^:]+):\s*(.*)$/;
	}
	$path =~ s/%([0-9A-Fa-f]{2})/chr(hex($1))/ge;
	utf8::decode($path);
	my %entry = (path => $path, ib => $header{ibsession}, cookie => $header{cookie},
		auth => ($header{authorization} // '') eq $self->{basic} ? 1 : 0, at => Time::HiRes::time());
	$self->_change('log', sub { return $_[0] . $json->encode(\%entry) . "\n" });
	# a backend that ends may still be at it when the next test has set its rules
	my $rule = ($entry{ib} // '') eq 'finish' ? undef : $self->_change('rules', sub {
		my @rules = map { $json->decode($_) } split /\n/, $_[0];
		for my $i (0 .. $#rules)
		{
			next if defined $rules[$i]{like} && index($path, $rules[$i]{like}) < 0;
			my ($found) = splice(@rules, $i, 1);
			return (join('', map { $json->encode($_) . "\n" } @rules), $found);
		}
		return (undef, undef);
	});
	return $self->_answer($client, $rule || $self->_normal($path, \%entry));
}

sub _answer
{
	my ($self, $client, $rule) = @_;

	Time::HiRes::sleep($rule->{sleep}) if $rule->{sleep};
	if (defined $rule->{raw})
	{
		print {$client} $rule->{raw};
		$client->flush;
		Time::HiRes::sleep($rule->{hang}) if $rule->{hang};
		return 0;
	}
	my $body = $rule->{body} // '';
	$body = $json->encode($body) if ref $body;
	utf8::encode($body) if utf8::is_utf8($body);
	my $status = $rule->{status} // 200;
	my $head = "HTTP/1.1 $status Status\r\nContent-Type: " . ($rule->{type} // 'application/json;charset=utf-8') . "\r\n";
	my %headers = %{ $rule->{headers} || {} };
	$head .= "$_: $headers{$_}\r\n" for sort keys %headers;
	$head .= 'Content-Length: ' . length($body) . "\r\n\r\n";
	print {$client} $head, defined $rule->{cut} ? substr($body, 0, $rule->{cut}) : $body;
	$client->flush;
	return !defined $rule->{cut};
}

# What a good 1C would say.
sub _normal
{
	my ($self, $path, $entry) = @_;
	my %headers;

	return { status => 401 } unless $entry->{auth};
	if (defined $entry->{cookie})
	{
		my $known = $self->_change('sessions', sub {
			my $known = index($_[0], "$entry->{cookie}\n") >= 0;
			(my $rest = $_[0]) =~ s/^\Q$entry->{cookie}\E\n//m;
			return (($entry->{ib} // '') eq 'finish' ? $rest : undef, $known);
		});
		return { status => 404, type => 'text/html', body => '<html>no such session</html>' } unless $known;
	}
	if (($entry->{ib} // '') eq 'start')
	{
		my $cookie = 'ibsession=' . int(rand(1e12));
		$self->_change('sessions', sub { return "$_[0]$cookie\n" });
		$headers{'Set-Cookie'} = "$cookie; path=/";
	}
	return { type => 'application/xml', body => $main::EDMX, headers => \%headers } if $path =~ /\$metadata$/;
	my $skip = $path =~ /skip=(\d+)/ ? $1 : 0;
	my $top = $path =~ /top=(\d+)/ ? $1 : 1000;
	my @rows = map { { Code => "0$_", Ref_Key => sprintf('11111111-0000-0000-0000-%012d', $_) } }
		($skip + 1 .. ($skip + $top < 6 ? $skip + $top : 6));
	return { body => { value => \@rows }, headers => \%headers };
}

package main;

our $EDMX = do { local $/; <DATA> };

my $basic = "$LOGIN:$SECRET";
utf8::encode($basic);
$basic = encode_base64($basic, '');
my $onec = Hostile->start("Basic $basic");
my $node = OnecTest->node('session');

utf8::encode(my $login = $LOGIN);
utf8::encode(my $secret = $SECRET);
OnecTest->server($node, $onec, name => 'shop', user => $login, password => $secret, options => "page_size '50', retries '2'");
$node->safe_psql('postgres', 'CREATE SCHEMA shop');

# as many rows as the set has, so that nobody asks whether more follow: one request
my $READ = "SELECT count(Code), min(Code) FROM (SELECT Code FROM shop.catalog_x LIMIT 6) x;\n";
my $READ_ALL = "SELECT count(Code), min(Code) FROM shop.catalog_x;\n";
my $LAST = "SELECT string_agg(coalesce(status::text, '-'), ' ' ORDER BY at) FROM onec.last_requests()"
	. " WHERE url LIKE 'Catalog_X%'";

# Run statements against rules; the answer, with the requests that were made.
sub play
{
	my ($sql, @rules) = @_;

	utf8::encode($sql) if utf8::is_utf8($sql);
	$onec->rules(@rules);
	my $r = OnecTest->try($node, $sql);
	$r->{requests} = [ grep { ($_->{ib} // '') ne 'finish' } $onec->log ];
	utf8::decode($r->{stderr});
	return $r;
}

# One rule, one statement, one outcome.
sub outcome
{
	my ($name, $rule, $sqlstate, $requests, $like) = @_;
	my $r = play($READ, ($rule) x 3);

	is($r->{sqlstate}, $sqlstate, "$name: SQLSTATE");
	is(scalar @{ $r->{requests} }, $requests, "$name: number of requests");
	like($r->{stderr}, $like, "$name: message");
	is($r->{stdout}, '', "$name: no rows");
	return;
}

sub odata_error
{
	my ($code, $text) = @_;

	return { 'odata.error' => { code => "$code", message => { lang => 'ru', value => $text } } };
}

# ---- import ----

my $r = play('IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER shop INTO shop');
is($r->{sqlstate}, '00000', 'everything can be imported') or diag($r->{stderr});
like($r->{stderr}, qr/Catalog_Empty.*no properties/, 'a set without properties is left out with a notice');
my $names = $node->safe_psql('postgres',
	"SELECT foreign_table_name FROM information_schema.foreign_tables WHERE foreign_table_schema = 'shop'");
$names =~ s/_[0-9a-f]{8}\b/_HASH/g;
$names =~ s/[^\x00-\x7f]+/~/g;
is(join(' ', sort split /\n/, $names),
	'accumulationregister_~ accumulationregister_~_HASH accumulationregister_~_turnovers catalog_x catalog_x_tags',
	'names are folded, cut and made different');
is(play("SELECT a.attname || '=' || format_type(a.atttypid, a.atttypmod) || ' ' || array_to_string(attfdwoptions, ',')
		FROM pg_attribute a WHERE attrelid = 'shop.catalog_x'::regclass AND attnum > 0 ORDER BY attnum")->{stdout}
		=~ s/^ctid_[0-9a-f]{8}=/ctid_HASH=/mr,
	join("\n", 'ref_key=uuid property=Ref_Key,edm_type=Guid', 'code=text property=Code,edm_type=String',
		'ctid_HASH=text property=ctid,edm_type=String',
		q{a'); drop table x; --"=text property=a'); DROP TABLE x; --",edm_type=String},
		'tags=jsonb property=Tags,edm_type=Collection'),
	'columns keep their real names and types in options');
is($node->safe_psql('postgres', "SELECT array_to_string(ftoptions, ';') FROM pg_foreign_table WHERE ftrelid = 'shop.catalog_x_tags'::regclass"),
	'entity_set=Catalog_X_Tags;key=Ref_Key,LineNumber', 'tables keep the real name and the key');

# A statement into a schema of its own, and the tables that came.
sub import_of
{
	my ($what, $more) = @_;
	my $r = play('CREATE SCHEMA trial; IMPORT FOREIGN SCHEMA ' . $what . ' FROM SERVER shop INTO trial ' . ($more // '') . ";\n"
		. "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE relnamespace = 'trial'::regnamespace AND relkind = 'f';\n"
		. 'DROP SCHEMA trial CASCADE');

	utf8::decode($r->{stdout});
	play('DROP SCHEMA IF EXISTS trial CASCADE');
	return $r;
}

is(import_of('"Catalog"')->{stdout}, 'catalog_x catalog_x_tags', 'one family');
is(import_of('"StandardODATA" LIMIT TO (Catalog_X)')->{stdout}, 'catalog_x', 'LIMIT TO an unquoted name');
is(import_of('"StandardODATA" LIMIT TO ("Catalog_X")')->{stdout}, 'Catalog_X', 'LIMIT TO a quoted name keeps its spelling');
is(import_of('"Catalog" EXCEPT ("Catalog_X")')->{stdout}, 'catalog_x_tags', 'EXCEPT a real name');
is(import_of('"Catalog" EXCEPT (catalog_x)')->{stdout}, 'catalog_x_tags', 'EXCEPT a local name');
is(import_of('"Catalog"', "OPTIONS (names 'exact')")->{stdout}, 'Catalog_X Catalog_X_Tags', 'exact names');
is(import_of('"Catalog"', "OPTIONS (tabular 'off')")->{stdout}, 'catalog_x', 'without tabular sections');
unlike(import_of('"AccumulationRegister"', "OPTIONS (functions 'off')")->{stdout}, qr/ .* /, 'without virtual tables');
is(import_of('"StandardODATA" LIMIT TO ("AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType")')->{stdout},
	'AccumulationRegister_ПродажиПоДисконтнымКа', 'the set of 82 bytes by its real name');
$r = import_of('"Nothing"');
is($r->{sqlstate}, 'HV00Q', 'an unknown family is an error');
like($r->{stderr}, qr/HINT:.*"StandardODATA".*"Catalog"/, 'that lists the families');
like(import_of('"StandardODATA" LIMIT TO (catalog_typo)')->{stderr}, qr/WARNING:.*catalog_typo/, 'a name that is not published is told');

$r = play("CREATE SCHEMA commented; SELECT onec.import_schema('shop', 'commented', limit_to => '{Catalog_X}');
	SELECT obj_description('commented.catalog_x'::regclass), col_description('commented.catalog_x'::regclass, 1)");
utf8::decode($r->{stdout});
is($r->{stdout}, "1\nСправочник: Catalog_X|Ref_Key (ссылка или идентификатор)", 'onec.import_schema comments in Russian');
is(scalar @{ $r->{requests} }, 1, 'and reads the metadata once');
is(play("SELECT entity_set, family, local_name, key, columns FROM onec.entity_sets('shop') WHERE family = 'Catalog'")->{stdout},
	"Catalog_X|Catalog|catalog_x|Ref_Key|5\nCatalog_X_Tags|Catalog|catalog_x_tags|Ref_Key,LineNumber|3", 'onec.entity_sets');
is(play("SELECT property, edm_type, pg_type, is_key, nullable, local_name, ordinal FROM onec.properties('shop', 'Catalog_X') LIMIT 2")->{stdout},
	"Ref_Key|Guid|uuid|t|f|ref_key|1\nCode|String|text|f|t|code|2", 'onec.properties');

for my $bad (
	[ 'not found', { status => 404, type => 'text/html', body => '<html>404</html>' } ],
	[ 'an HTML page', { type => 'text/html', body => '<html><body>Вход</body></html>' } ],
	[ 'empty', { body => '' } ],
	[ 'cut', { type => 'application/xml', body => substr($EDMX, 0, 900) } ],
	[ 'with entities', { type => 'application/xml', body => '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><a>&c;</a>' } ])
{
	my ($name, $rule) = @$bad;
	$r = play('CREATE SCHEMA trial2; IMPORT FOREIGN SCHEMA "Catalog" FROM SERVER shop INTO trial2', $rule);
	like($r->{sqlstate}, qr/^(HV000|HV00L|HV00M|08P01)$/, "metadata $name: refused as a bad reply");
	play('DROP SCHEMA trial2');
}

# ---- good answers, and 1C sessions ----

is(play($READ)->{stdout}, '6|01', 'rows come');
$r = play($READ x 3);
is(join(' ', map { ($_->{ib} // '-') . ($_->{cookie} ? 'c' : '') } @{ $r->{requests} }), '- start -c',
	'the second request starts a 1C session, the third uses it');
OnecTest->wait_for(sub { return !-s "$onec->{dir}/sessions"; }, 'the end of the 1C session');
is(-s "$onec->{dir}/sessions", 0, 'the 1C session is finished when the backend ends');


# psql waits in its shell, the backend for psql
my $ended = "\\! for i in \$(seq 300); do [ -s $onec->{dir}/sessions ] || break; sleep 0.1; done; [ -s $onec->{dir}/sessions ] && echo open || echo ended\n";
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (ADD session_idle '1')");
$r = play($READ x 2 . $ended . $READ . $ended . $READ . "\\set ON_ERROR_STOP off\nSELECT 1 / 0;\n$ended");
is($r->{stdout}, join("\n", '6|01', '6|01', 'ended', '6|01', 'ended', '6|01', 'ended'), 'an idle backend ends its 1C session, also after an error');
is(join(' ', map { $_->{ib} // '-' } @{ $r->{requests} }), '- start start start', '… and asks for another when it needs one');
$r = play("BEGIN;\n" . $READ x 2 . "\\! sleep 2\n\\! [ -s $onec->{dir}/sessions ] && echo open\nCOMMIT;\n$ended");
is($r->{stdout}, "6|01\n6|01\nopen\nended", 'inside a transaction it is kept until the end of that');
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET session_idle '0')");
$r = play($READ x 2 . "\\! sleep 2\n\\! [ -s $onec->{dir}/sessions ] && echo open\n");
is($r->{stdout}, "6|01\n6|01\nopen", 'session_idle 0: until the backend ends');
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (DROP session_idle)");
OnecTest->wait_for(sub { return !-s "$onec->{dir}/sessions"; }, 'the end of the 1C session');

my $again = $READ x 2 . "\\! : > $onec->{dir}/sessions\n" . $READ x 2;
$r = play($again);
is($r->{stdout}, join("\n", ('6|01') x 4), 'a dead 1C session is not noticed by the user');
is(join(' ', map { ($_->{ib} // '-') . ($_->{cookie} ? 'c' : '') } @{ $r->{requests} }), '- start -c start -c',
	'it is dropped and a new one started');
$r = play($READ x 2 . "\\! : > $onec->{dir}/sessions\n$READ" x 3);
is(join(' ', map { ($_->{ib} // '-') . ($_->{cookie} ? 'c' : '') } @{ $r->{requests} }), '- start -c start -c start -c -',
	'three that died unused are enough for a while');
$r = play($READ x 4, { like => 'none' }, map { { body => { value => [ map { { Code => "$_" } } 1 .. 6 ] } } } 1 .. 4);
is(join(' ', map { $_->{ib} // '-' } @{ $r->{requests} }), '- start - -', 'a base that ignores IBSession is left alone');
$r = play($READ x 2, { body => { value => [] } }, { status => 406, body => '' });
is(join(' ', map { $_->{ib} // '-' } @{ $r->{requests} }), '- start -', 'no licence for a 1C session: without one then');
is($r->{stdout}, "0|\n6|01", 'and the rows come');

$r = play($READ x 2 . "BEGIN; DECLARE c CURSOR FOR SELECT Code FROM shop.catalog_x; FETCH 1 FROM c;\n$READ\nCOMMIT");
is(join(' ', map { ($_->{ib} // '-') . ($_->{cookie} ? 'c' : '') } @{ $r->{requests} }), '- start -c -c',
	'an answer that has come is no obstacle to the next request of the 1C session');
$r = play($READ x 2 . "BEGIN; DECLARE c CURSOR FOR SELECT Code FROM shop.catalog_x; FETCH 1 FROM c;\n$READ\nROLLBACK",
	{ like => '$select=Code&', body => { value => [] } }, { like => '$select=Code&', body => { value => [] }, headers => { 'Set-Cookie' => 'ibsession=1' } },
	{ raw => qq(HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"value":[{"Code":"07"},), hang => 100 });
is($r->{stdout}, "0|\n0|\n07\n6|01", 'rows come while their answer still does');
is(join(' ', map { ($_->{ib} // '-') . ($_->{cookie} ? 'c' : '') } @{ $r->{requests} }), '- start -c -',
	'a request beside one under way does without the 1C session');

# ---- an answer that says there is more ----

$r = play($READ_ALL, { body => { 'odata.nextLink' => 'Catalog_X?\$skip=1', value => [ { Code => '08' } ] } }, { body => { value => [ { Code => '07' } ] } },
	{ body => { value => [] } });
is($r->{stdout}, '2|07', 'a page with odata.nextLink is not the last, however few rows it has');
like($r->{requests}[1]{path}, qr/skip=1\b/, '… and the next one begins behind its rows');

# ---- busy, and back ----

my $busy = { status => 503, type => 'text/html', body => '<html>Технические работы</html>' };
$r = play($READ . $LAST, $busy, $busy);
is($r->{stdout}, "6|01\n503 503 200", 'two 503 are survived, and logged');
cmp_ok($r->{seconds}, '>', 1, 'with a back-off');
outcome('503 for ever', $busy, 'HV00N', 3, qr/busy.*Технические работы.*Given up after 3 attempts/s);

$r = play($READ, { status => 429, headers => { 'Retry-After' => 2 } });
is($r->{stdout}, '6|01', 'Retry-After: the rows come');
cmp_ok($r->{seconds}, '>=', 2, 'after the time asked for');
OnecTest->soon($r->{seconds}, 4, 'and not much later');

$r = play($READ, { status => 500, body => { exception => { descr => 'x', inner => { descr => 'На сервере не найдена лицензия.' } } } });
is($r->{stdout}, '6|01', 'no licence is waited for');
$r = play($READ, ({ status => 500, type => 'text/plain', raw => "HTTP/1.1 500 E\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n\xed\xe5\xf2 \xeb\xe8\xf6\xe5\xed\xe7\xe8\xe8" }) x 3);
is($r->{sqlstate}, 'HV00N', 'no licence in cp1251 is busy, too');
$r = play($READ, { body => { value => [ map { { Code => "0$_" } } 1 .. 6 ] }, cut => 30 });
is($r->{stdout}, '6|01', 'a cut answer is asked for again');
$r = play($READ, ({ body => { value => [ map { { Code => "0$_" } } 1 .. 6 ] }, cut => 30 }) x 3);
like($r->{sqlstate}, qr/^(08|HV000|HV00L)/, 'an answer that is always cut is an error');
is($r->{stdout}, '', 'and no shorter set');

$r = play($READ x 2 . "ALTER SERVER shop OPTIONS (ADD max_url '2000');\n$READ",
	({ like => '$orderby', status => 500, body => odata_error(0, 'Поле AUTOORDER') }) x 2);
is($r->{stdout}, join("\n", ('6|01') x 3), 'a refused $orderby is done without');
is(join(' ', map { $_->{path} =~ /orderby/ ? 'ordered' : 'not' } @{ $r->{requests} }), 'ordered not ordered not ordered',
	'that is tried twice, and remembered until the server is altered');

# ---- refusals ----

outcome('401', { status => 401 }, '28000', 1, qr/login refused.*user mapping of role/s);
outcome('401 for want of a right', { status => 401, body => odata_error(20, 'Недостаточно прав') }, '42501', 1, qr/Недостаточно прав/);
outcome('403', { status => 403, body => '' }, '42501', 1, qr/no right in 1C/);
outcome('404 of a set', { status => 404, body => odata_error(8, 'Тип сущности не найден') }, 'HV00R', 1, qr/Тип сущности не найден.*HINT:.*Publish/s);
outcome('404 of a web server', { status => 404, type => 'text/html', body => '<html>Not Found</html>' }, 'HV00R', 1, qr/HINT:.*"url"/);
outcome('400 for a property', { status => 400, body => odata_error(6, 'Сегмент пути Code не найден!') }, 'HV005', 1, qr/no such property/);
outcome('500 of a handler', { status => 500, body => odata_error(-1, 'Ошибка в модуле') }, 'HV00M', 1, qr/OData error -1: Ошибка в модуле/);
outcome('500', { status => 500, body => odata_error(0, 'Сбой') }, 'HV00M', 3, qr/Сбой.*3 attempts/s);
outcome('an HTML page', { type => 'text/html', body => '<html><body>Вход в <b>систему</b></body></html>' }, 'HV000', 1, qr/HTML page.*Вход в/);
outcome('an empty 200', { body => '' }, 'HV000', 1, qr/empty/);
outcome('a 204', { status => 204, raw => "HTTP/1.1 204 No\r\n\r\n" }, 'HV000', 1, qr/HTTP 204/);
outcome('UTF-16', { raw => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe{\x00" }, 'HV000', 1, qr/UTF-16/);

my $other = Hostile->start('none');
outcome('a redirect', { status => 302, headers => { Location => "http://bob:sesame\@127.0.0.1:$other->{port}/x" } }, 'HV000', 1,
	qr/redirect not followed.*http:\/\/127.0.0.1:$other->{port}\/x/s);
unlike(play($READ, { status => 302, headers => { Location => "http://bob:sesame\@127.0.0.1:$other->{port}/x" } })->{stderr}, qr/sesame/,
	'the target is shown without its password');
is(scalar(my @none = $other->log), 0, 'nobody goes there');
$other->stop;

# ---- waiting ends when the user says so ----

for my $case ([ 'an answer', { sleep => 200 } ], [ 'a back-off', { status => 503, headers => { 'Retry-After' => 200 } } ],
	[ 'the rest of an answer', { raw => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"value\":[", hang => 200 } ])
{
	my ($name, $rule) = @$case;
	for my $way (qw(cancel terminate))
	{
		$onec->rules($rule);
		my $background = OnecTest->background($node, $READ);
		OnecTest->wait_for(sub { return -s "$onec->{dir}/log"; }, 'the request');
		sleep 0.3;
		my $started = time;
		$background->$way;
		my $r = $background->wait;
		is($r->{sqlstate}, $way eq 'cancel' ? '57014' : '57P01', "$way during $name");
		OnecTest->soon(time - $started, 2, 'within two seconds');
	}
	my $r = play("SET statement_timeout = '500ms';\n$READ", $rule);
	is($r->{sqlstate}, '57014', "statement_timeout during $name");
	OnecTest->soon($r->{seconds}, 2.5, 'in time');
}
$onec->rules({ sleep => 200 });
my $caught = OnecTest->background($node,
	"DO \$\$ BEGIN PERFORM count(Code) FROM shop.catalog_x; EXCEPTION WHEN query_canceled THEN NULL; END \$\$;\n"
	. "SELECT error FROM onec.last_requests();\n$READ");
OnecTest->wait_for(sub { return -s "$onec->{dir}/log"; }, 'the request');
$caught->cancel;
$r = $caught->wait;
is($r->{stdout}, "cancelled\n6|01", 'a cancelled request is logged, and the session goes on');
$r = play("ALTER SERVER shop OPTIONS (ADD request_timeout '1s');\n$READ", ({ sleep => 200 }) x 3);
is($r->{sqlstate}, '08006', 'no answer in time: SQLSTATE');
is(scalar @{ $r->{requests} }, 1, 'whoever lets the time pass is not asked again');
OnecTest->soon($r->{seconds}, 2.5, 'in time');
play('ALTER SERVER shop OPTIONS (DROP request_timeout)');
$r = play("DO \$\$ BEGIN PERFORM count(Code) FROM shop.catalog_x; EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught'; END \$\$;\n$READ",
	({ body => { value => [ { Code => 1 } ] }, cut => 5 }) x 3);
is($r->{stdout}, '6|01', 'after an error caught in a block the next request works');

# ---- options and mappings ----

# Between requests of one backend, as it knows them itself: the other side sees them come when the machine lets it.
sub paced
{
	my ($interval, $reads) = @_;

	return play("ALTER SERVER shop OPTIONS (ADD min_interval '$interval');\n$reads"
		. "ALTER SERVER shop OPTIONS (DROP min_interval);\n"
		. "SELECT count(*), bool_and(gap >= '$interval') FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM onec.last_requests()) x");
}

is(paced('300ms', $READ x 3)->{stdout}, join("\n", ('6|01') x 3, '3|t'), 'D12: min_interval: no faster than asked');
is(paced('200ms', $again)->{stdout}, join("\n", ('6|01') x 4, '5|t'), 'D12: min_interval: a second try after a dead 1C session waits, too');
{
	my $waiting = "SELECT string_agg(granted::text, ' ' ORDER BY granted) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 28";

	$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (ADD min_interval '600s')");
	$onec->rules();
	my @both = map { OnecTest->background($node, $READ) } 1, 2;
	ok(OnecTest->wait_for(sub { $node->safe_psql('postgres', $waiting) eq 'false true' }, 'two that wait'),
		'D12: min_interval with two backends: one waits for its interval, the other for that one');
	is(scalar(() = $onec->log), 0, '… before any request');
	$_->cancel for @both;
	is($_->wait->{sqlstate}, '57014', '… and both can be cancelled') for @both;
	$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET min_interval '100ms')");
	@both = map { OnecTest->background($node, $READ x 3) } 1, 2;
	is($_->wait->{stdout}, join("\n", ('6|01') x 3), '… or come to their rows') for @both;
	$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (DROP min_interval)");
}

$r = play("$READ ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'wrong');\n$READ");
is($r->{sqlstate}, '28000', 'a changed user mapping is taken at once');
$r = play("ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password '$secret');\n$READ");
is($r->{stdout}, '6|01', 'and when it is right again, too');
is(play("$READ BEGIN; DROP USER MAPPING FOR CURRENT_USER SERVER shop;\n$READ")->{sqlstate}, '42704', 'without a user mapping nothing is asked');

$node->safe_psql('postgres', "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA shop, onec TO reader; GRANT SELECT ON shop.catalog_x TO reader");
$onec->rules();
is(OnecTest->try($node, $READ, user => 'reader')->{sqlstate}, '42704', 'nobody borrows the mapping of another');
$node->safe_psql('postgres', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA onec TO reader');
is(OnecTest->try($node, "SELECT * FROM onec.entity_sets('shop')", user => 'reader')->{sqlstate}, '42501', 'functions need USAGE on the server');
is(scalar(@none = $onec->log), 0, 'no request was made for him');

# ---- the base is gone ----

$onec->stop;
$r = OnecTest->try($node, $READ);
is($r->{sqlstate}, 'HV00N', 'connection refused: SQLSTATE');
like($r->{stderr}, qr/server "shop".*3 attempts/s, 'names the server and counts the attempts');

# ---- the demo 1C, as a whole ----

my $demo = OnecTest->onec('--customers', 20);
OnecTest->server($node, $demo, name => 'demo');
$node->safe_psql('postgres', 'CREATE SCHEMA demo; IMPORT FOREIGN SCHEMA "StandardODATA" FROM SERVER demo INTO demo');
is($node->safe_psql('postgres', "SELECT count(*) FROM onec.entity_sets('demo') s
		FULL JOIN (SELECT (SELECT option_value FROM pg_options_to_table(ftoptions) WHERE option_name = 'entity_set') AS entity_set,
				c.relname FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid
			WHERE c.relnamespace = 'demo'::regnamespace AND NOT ftoptions::text LIKE '%function=%') t
		ON t.entity_set = s.entity_set AND t.relname = s.local_name WHERE t.entity_set IS NULL OR s.entity_set IS NULL"), 0,
	'every published set is a table under the name that onec.entity_sets gives');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM onec.entity_sets('demo')"), '>', 10, 'and there are many');
my $unreadable = $node->safe_psql('postgres', q{
	CREATE FUNCTION pg_temp.failure_of(name) RETURNS text LANGUAGE plpgsql AS
		$$BEGIN EXECUTE format('SELECT * FROM demo.%I LIMIT 1', $1); RETURN NULL;
		EXCEPTION WHEN OTHERS THEN RETURN $1 || ': ' || SQLERRM; END$$;
	SELECT string_agg(pg_temp.failure_of(local_name), E'\n') FROM onec.entity_sets('demo')});
is($unreadable, '', 'a row of each of them can be read');
$demo->stop;

# ---- secrets ----

my $quiet = Hostile->start("Basic $basic");
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET url '" . $quiet->url . "')");
my $mark = -s $node->logfile;
$r = OnecTest->try($node, "SET log_min_messages = debug5; SET client_min_messages = debug5; SET onec_fdw.log_requests = on;\n"
	. "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM shop.catalog_x;\n$READ\nSELECT * FROM onec.last_requests();\n"
	. "SELECT * FROM onec.entity_sets('nothing')");
my $everything = $r->{stdout} . $r->{stderr} . substr(slurp_file($node->logfile), $mark);
like($everything, qr/request to 1C server "shop": Catalog_X/, 'log_requests writes the requests');
my $percent = join '', map { sprintf('%%%02X', ord) } split //, $secret;
for my $form ([ plain => $secret ], [ base64 => $basic ], [ 'percent-encoded' => $percent ],
	[ 'base64 of itself' => encode_base64($secret, '') ])
{
	is(index($everything, $form->[1]), -1, "the password is nowhere in messages and log: $form->[0]");
}
$quiet->stop;

done_testing();

__DATA__
<?xml version="1.0" encoding="UTF-8"?>
<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0"><Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">
<EntityType Name="Catalog_X"><Key><PropertyRef Name="Ref_Key"/></Key><Property Name="Ref_Key" Type="Edm.Guid" Nullable="false"/><Property Name="Code" Type="Edm.String"/><Property Name="ctid" Type="Edm.String"/><Property Name="a'); DROP TABLE x; --&quot;" Type="Edm.String"/><Property Name="Tags" Type="Collection(StandardODATA.Catalog_X_Tags_RowType)"/></EntityType>
<EntityType Name="Catalog_X_Tags"><Key><PropertyRef Name="Ref_Key"/><PropertyRef Name="LineNumber"/></Key><Property Name="Ref_Key" Type="Edm.Guid" Nullable="false"/><Property Name="LineNumber" Type="Edm.Int64" Nullable="false"/><Property Name="Tag" Type="Edm.String"/></EntityType>
<EntityType Name="Catalog_Empty"/>
<EntityType Name="AccumulationRegister_ПродажиПоДисконтнымКартам"><Key><PropertyRef Name="Recorder"/><PropertyRef Name="Recorder_Type"/></Key><Property Name="Recorder" Type="Edm.String" Nullable="false"/><Property Name="Recorder_Type" Type="Edm.String" Nullable="false"/><Property Name="RecordSet" Type="Collection(StandardODATA.AccumulationRegister_ПродажиПоДисконтнымКартам_RowType)" Nullable="false"/></EntityType>
<EntityType Name="AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType"><Key><PropertyRef Name="Recorder"/><PropertyRef Name="LineNumber"/><PropertyRef Name="Recorder_Type"/></Key><Property Name="Recorder" Type="Edm.String" Nullable="false"/><Property Name="Period" Type="Edm.DateTime"/><Property Name="LineNumber" Type="Edm.Int64" Nullable="false"/><Property Name="Active" Type="Edm.Boolean"/><Property Name="Сумма" Type="Edm.Double"/><Property Name="Recorder_Type" Type="Edm.String" Nullable="false"/></EntityType>
<ComplexType Name="Catalog_X_Tags_RowType"><Property Name="Tag" Type="Edm.String"/></ComplexType>
<ComplexType Name="AccumulationRegister_ПродажиПоДисконтнымКартам_RowType"><Property Name="Сумма" Type="Edm.Double"/></ComplexType>
<ComplexType Name="AccumulationRegister_ПродажиПоДисконтнымКартам_Turnover"><Property Name="СуммаTurnover" Type="Edm.Double"/></ComplexType>
<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true"><EntitySet Name="Catalog_X" EntityType="StandardODATA.Catalog_X"/><EntitySet Name="Catalog_X_Tags" EntityType="StandardODATA.Catalog_X_Tags"/><EntitySet Name="Catalog_Empty" EntityType="StandardODATA.Catalog_Empty"/><EntitySet Name="AccumulationRegister_ПродажиПоДисконтнымКартам" EntityType="StandardODATA.AccumulationRegister_ПродажиПоДисконтнымКартам"/><EntitySet Name="AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType" EntityType="StandardODATA.AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType"/><FunctionImport Name="Turnovers" IsBindable="true" IsSideEffecting="false" ReturnType="Collection(StandardODATA.AccumulationRegister_ПродажиПоДисконтнымКартам_Turnover)"><Parameter Name="bindingParameter" Type="StandardODATA.AccumulationRegister_ПродажиПоДисконтнымКартам"/><Parameter Name="Condition" Type="Edm.String"/><Parameter Name="Dimensions" Type="Edm.String"/><Parameter Name="StartPeriod" Type="Edm.DateTime"/><Parameter Name="EndPeriod" Type="Edm.DateTime"/></FunctionImport></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>
