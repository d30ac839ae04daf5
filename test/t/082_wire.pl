# What comes over the wire and is no data: answers without end, errors in every dress, echoes of the login, lost sessions, damaged
# gzip, names that are none; and what a refused login, or hundreds of cancelled queries, cost.
use strict;
use warnings;
use utf8;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use lib 'test/t';
use OnecTest;

binmode($_, ':encoding(UTF-8)') for (Test::More->builder->output, Test::More->builder->failure_output);

# "lie" is the lie of the moment, told to every request; that of an echo has a number, which form.
my $stub = OnecTest->stub(<<'PY');
import base64
import gzip
import time
from urllib.parse import quote

XML = {"Content-Type": "application/xml"}
HEAD = ('<?xml version="1.0"?><edmx:Edmx xmlns:edmx="e" Version="1.0"><edmx:DataServices><Schema xmlns="s" Namespace="StandardODATA">')
TAIL = '<EntityContainer Name="C">%s</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
uses = {}
first = -1, 0


def rows():
    return [{"Ref_Key": guid(i), "Code": f"{i:05}"} for i in range(100)]


def odd():
    types = "".join(f'<EntityType Name="{name}"><Key><PropertyRef Name="Ref_Key"/></Key><Property Name="Ref_Key" Type="Edm.Guid"/>'
                    f'<Property Name="a&#10;b" Type="Edm.String"/><Property Name="c&#9;d" Type="Edm.String"/>'
                    f'<Property Name="Имя" Type="Edm.String"/></EntityType>' for name in ("Catalog_A", "Catalog_B&#127;"))
    sets = "".join(f'<EntitySet Name="{name}" EntityType="StandardODATA.{name}"/>' for name in ("Catalog_A", "Catalog_B&#127;"))
    return 200, HEAD + types + TAIL % sets, XML


def flood(first, piece):
    yield first
    while True:
        yield piece


def forms(secret):
    """As text, for a URL, for HTML, as JSON; base64 of itself, for a URL, too."""
    code = base64.b64encode(secret.encode()).decode()
    percent = "".join(f"%{byte:02x}" for byte in secret.encode())
    escaped = secret.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return [secret, quote(secret), quote(secret, safe="").lower(), percent, escaped, json.dumps(secret)[1:-1], code, code.rstrip("="),
            quote(code, safe=""), code.replace("+", "-").replace("/", "_")]


def echo(r, turn):
    """Another form with each request of a turn."""
    global first
    if first[0] != turn:
        first = turn, r.n
    form = (r.n - first[1]) % 20
    if mode["dress"] == "redirect" and form // 2 in (4, 5):
        form %= 2  # an address holds no HTML and no JSON
    login = base64.b64decode(r.headers["Authorization"].split()[1]).decode()
    secret = login if form % 2 else login.split(":", 1)[1]
    return "Говорят: " + "x" * int(mode.get("pad", 0)) + forms(secret)[form // 2] + " ."


def session(r):
    """A 1C session serves twice, and is gone."""
    cookie = r.headers.get("Cookie")
    if cookie is None:
        name = f"ibsession={r.n}"
        uses[name] = 0
        return 200, serve(r, rows()), {"Set-Cookie": name} if r.headers.get("IBSession") == "start" else {}
    uses[cookie] += 1
    if uses[cookie] > 2:
        return odata_error(int(mode["status"]), -1, "Сеанс отсутствует или удален")
    return serve(r, rows())


def answer(r):
    lie, _, number = mode.get("lie", "").partition(":")
    if lie == "flood":
        if r.path == "$metadata":
            return 200, flood(HEAD.encode(), b'<EntityType Name="T"><Property Name="P" Type="Edm.String"/></EntityType>' * 500), XML
        if r.path.endswith("$count"):
            return 200, flood(b"1", b"0" * 50000), {"Content-Type": "text/plain"}
        return 200, flood(b'{"value":[{"Code":"', b"x" * 50000), {"Content-Type": "application/json"}
    if lie == "empty":
        return 200, HEAD + TAIL % "", XML
    if lie == "odd":
        return odd()
    if lie == "error":
        return 200, odata_error(200, 17, "Режим загрузки, 1С говорит")[1]
    if lie == "error4":
        body = [{"error": {"code": "9", "message": "Сбой, 1С говорит"}}, {"error": {"code": "", "message": {"lang": "ru", "value": "Сбой, 1С говорит"}}},
                {"@odata.context": "x", "error": {"message": "Сбой, 1С говорит"}}, {"value": [], "error": {"message": "Сбой, 1С говорит"}}][int(number)]
        return 200, json.dumps(body, ensure_ascii=False), {"Content-Type": "application/json"}
    if lie == "xml":
        return 200, '<?xml version="1.0"?><m:error xmlns:m="m"><m:code>-1</m:code><m:message>Сбой, 1С говорит</m:message></m:error>', XML
    if lie == "cut":
        body = gzip.compress(json.dumps({"value": serve(r, rows())}).encode())
        return 200, body[:len(body) - int(mode["by"])], {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    if lie == "echo":
        text, status = echo(r, int(number)), int(mode["status"])
        if mode["dress"] == "json":
            return odata_error(status, -1, text)
        if mode["dress"] == "redirect":
            return 302, "", {"Location": "http://" + quote(text, safe="%/") + "/"}
        return html(status, text) if mode["dress"] == "html" else (status, text)
    if lie == "login":
        return 401, ""
    if lie == "hang":
        time.sleep(30)
    if lie == "session":
        return session(r)
    return serve(r, rows())
PY
my $node = OnecTest->node('wire');

OnecTest->server($node, $stub, name => 'shop', options => "retries '1', prefetch '0'");
$node->safe_psql('postgres', q{
	CREATE FOREIGN TABLE c (ref_key uuid OPTIONS (property 'Ref_Key'), code text OPTIONS (property 'Code'))
		SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key')});

# What statements in one new backend print while the stub tells a lie.
sub play
{
	my ($sql, %mode) = @_;

	$stub->mode(lie => '', %mode);
	$stub->requests;
	return OnecTest->try_text($node, $sql);
}

my $read = 'SELECT count(code) FROM (SELECT code FROM c OFFSET 0) c';

# ---- answers without end ----

for my $case ([ '$metadata', "SELECT count(*) FROM onec.entity_sets('shop')" ], [ 'rows', $read ])
{
	my ($name, $sql) = @$case;
	my $r = play("SET statement_timeout = '100ms'; $sql", lie => 'flood');

	is($r->{sqlstate}, '57014', "T2: $name that come at full speed: an interrupt is served before the limit is reached");
	cmp_ok($r->{seconds}, '<', 1.5, '… in time') if $ENV{TEST_FULL};
}
my $r = play('SELECT count(*) FROM c', lie => 'flood');
is($r->{sqlstate}, '54000', 'T2: a number without end is over the limit');
$r = play("DO \$\$ BEGIN PERFORM count(*) FROM c; EXCEPTION WHEN OTHERS THEN NULL; END \$\$; SELECT max(bytes) < 1000000 FROM onec.last_requests()",
	lie => 'flood');
is($r->{stdout}, 't', 'T2: … and little of it is read');

# ---- errors answered with 200 ----

$r = play('CREATE SCHEMA a; IMPORT FOREIGN SCHEMA "Catalog" FROM SERVER shop INTO a', lie => 'empty');
is($r->{sqlstate}, 'HV00R', 'W14: metadata without sets');
like($r->{stderr}, qr/name no entity set.*HINT:.*Publish/s, 'W14: … are told of');
$r = play($read, lie => 'error');
is($r->{sqlstate}, 'HV00M', 'W14: odata.error with status 200');
like($r->{stderr}, qr/HTTP 200, OData error 17: Режим загрузки, 1С говорит/, 'W14: … in the words of 1C');
for my $form (0 .. 3)
{
	$r = play($read, lie => "error4:$form");
	is($r->{sqlstate}, 'HV000', "W14: the error of OData 4 with status 200, form $form");
	like($r->{stderr}, qr/: Сбой, 1С говорит/, 'W14: … in its words');
	$r = play("SELECT code FROM c WHERE ref_key = '00000001-0000-4000-8000-000000000001'", lie => "error4:$form");
	like($r->{stderr}, qr/Сбой, 1С говорит/, 'W14: in place of one object');
	$r = play('SELECT count(*) FROM c', lie => "error4:$form");
	like($r->{stderr}, qr/Сбой, 1С говорит/, 'W14: in place of a count and of the rows');
	$r = play("SELECT count(*) FROM onec.entity_sets('shop')", lie => "error4:$form");
	like($r->{stderr}, qr/Сбой, 1С говорит/, 'W14: in place of metadata');
}
$r = play($read, lie => 'xml');
like($r->{stderr}, qr/HTTP 200, OData error -1: Сбой, 1С говорит/, 'W14: an error in XML with status 200');
$r = play('SELECT count(*) FROM c', lie => 'xml');
like($r->{stderr}, qr/Сбой, 1С говорит/, 'W14: in place of a count and of the rows');
$r = play("SELECT count(*) FROM onec.entity_sets('shop')", lie => 'xml');
like($r->{stderr}, qr/Сбой, 1С говорит/, 'W14: in place of metadata');

# ---- gzip ----

for my $by (1, 4, 8, 9)
{
	$r = play($read, lie => 'cut', by => $by);
	is($r->{sqlstate}, '08006', "T7: gzip without its last $by bytes is an error");
	is(scalar $stub->requests, 2, '… after it was asked for again');
}
is(play($read, lie => 'cut', by => 0)->{stdout}, 100, 'T7: whole it is read');

# ---- 1C sessions ----

for my $status (400, 404, 500)
{
	$r = play("$read;\n" x 9, lie => 'session', status => $status);
	is($r->{stdout} =~ tr/\n/ /r, join(' ', (100) x 9), "T4: a session that is gone is replaced, and the query goes on ($status)") or diag($r->{stderr});
}

# ---- names ----

$r = play('CREATE SCHEMA odd; IMPORT FOREIGN SCHEMA "Catalog" FROM SERVER shop INTO odd;
	SELECT string_agg(relname || \'.\' || attname, \' \' ORDER BY attnum) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace = \'odd\'::regnamespace', lie => 'odd');
is($r->{stdout}, 'catalog_a.ref_key catalog_a.Имя', 'S4: names with control characters make no identifiers');
like($r->{stderr}, qr/WARNING:.*5 names.*control.*"Catalog_A\.a\\x0Ab".*"Catalog_A\.c\\x09d".*"Catalog_B\\x7F"/s, 'S4: … but a warning that names them');
is(() = $r->{stderr} =~ /WARNING:/g, 1, 'S4: … once');
$r = play("SELECT entity_set FROM onec.entity_sets('shop'); SELECT property FROM onec.properties('shop', 'Catalog_A')", lie => 'odd');
is($r->{stdout}, "Catalog_A\nRef_Key\nИмя", 'S4: the lists leave them out');
is(() = $r->{stderr} =~ /WARNING:/g, 2, 'S4: … and each says so');

for my $url ('http://127.0.0.1%20:1/b', 'http://127.0.0.1/b%00', 'http://127.0.0.1/%0d%0ax', 'http://127.0.0.1 :1/b', "http://h/a\tb", 'http://h%2fx/b',
	'http://h/%7F')
{
	for my $sql ("CREATE SERVER bad FOREIGN DATA WRAPPER onec_fdw OPTIONS (url '$url')", "ALTER SERVER shop OPTIONS (SET url '$url')")
	{
		is(OnecTest->try($node, $sql)->{sqlstate}, 'HV024', "S5: $sql is refused");
	}
}
is(OnecTest->try($node, "CREATE SERVER good FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://h/my%20base')")->{sqlstate}, '00000',
	'a blank of the path may be encoded');

# ---- the login ----

my $again = "DO \$\$ BEGIN FOR i IN 1 .. 5 LOOP BEGIN PERFORM count(code) FROM c; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END \$\$;\n";
$r = play("$again $read", lie => 'login');
is($r->{sqlstate}, '28000', 'S7: a refused login');
is(scalar $stub->requests, 1, 'S7: … is tried once in a session');
like($r->{stderr}, qr/login refused.*not asked again.*HINT:.*60 s.*mapping/s, 'S7: … which is said');
play("$again ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'other'); $again", lie => 'login');
is(scalar $stub->requests, 2, 'S7: … until the mapping changes');

# ---- what a server echoes ----

sub seen
{
	my ($sql, %mode) = @_;
	my $mark = -s $node->logfile;
	my $r = play("SET log_min_messages = debug1; SET onec_fdw.log_requests = on;\n\\set ON_ERROR_STOP off\n$sql;\nSELECT * FROM onec.last_requests()",
		%mode);
	my $log = substr(slurp_file($node->logfile), $mark);

	utf8::decode($log);
	return $r->{stdout} . $r->{stderr} . $log;
}

sub login
{
	my ($user, $password) = @_;

	$password =~ s/'/''/g;
	utf8::encode(my $sql = "ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET user '$user', SET password '$password')");
	return $node->safe_psql('postgres', $sql);
}

$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET retries '0')");
my $trace = qr/Тайна|7 q|abcdef|0LDQvdCwL|YWJjZGVm|%d0%a2%d0%b0|%61%62%63|q&W|q&amp;W/i;
my $turn = 0;

for my $secret ('Тайна-7 q&W"x', 'abcdef+/%41')
{
	login('Админ', $secret);
	for my $dress (qw(json html text redirect))
	{
		# one form a request; a refused login would end the session's tries
		my $text = seen("$read;\n" x 20, lie => 'echo:' . ++$turn, status => 400, dress => $dress, pad => 0);

		unlike($text, $trace, "S1: $dress: no form of the login reaches a message, the log or the requests ($secret)");
		cmp_ok(scalar(() = $text =~ /^DETAIL:.*\*\*\*/mg), '>=', 18, '… but a mask');
	}
	for my $status (401, 500)
	{
		unlike(seen($read, lie => 'echo:' . ++$turn, status => $status, dress => 'json', pad => 0), $trace, "S1: status $status");
	}
	my $text = seen("$read;\n" x 20, lie => 'echo:' . ++$turn, status => 500, dress => 'json', pad => 990);
	unlike($text, qr/Тайн|abcde|YWJjZ|0LDQ/, 'S1: nor does a part of it, where a long text is cut');
}
login('Админ', 'abc');
like(seen($read, lie => 'echo:1000', status => 500, dress => 'json', pad => 0), qr/Говорят: abc \./, 'S1: a short password may be a word');
unlike(seen("$read;\n$read", lie => 'echo:1001', status => 500, dress => 'json'), qr/Админ:abc/, 'S1: … but is masked beside its login');
login('demo', 'demo');

# ---- cancelled queries ----

my $many = "\\set ON_ERROR_STOP off\nSET statement_timeout = '30ms';\n" . "$read;\n" x 60
	. "SET statement_timeout = 0;\nSELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/fd') f;\n";
my $before = play($many, lie => '')->{stdout} =~ s/.*\n//sr;
my $after = play($many, lie => 'hang')->{stdout} =~ s/.*\n//sr;
cmp_ok($after, '<', $before + 24, "W12: 60 cancelled queries hold a few connections ($before before, $after)");

$node->stop;
done_testing();
