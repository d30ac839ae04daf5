# What the TAP tests share: a cluster with the extension, the demo 1C with its control port, statements whose
# SQLSTATE is wanted, and statements that run in the background.
#
#	use OnecTest;
#	my $onec = OnecTest->onec('--customers', 50, '--seed', 7);      # stopped when the program ends
#	my $node = OnecTest->node('main');                             # PostgreSQL::Test::Cluster, extension created
#	OnecTest->server($node, $onec, name => 'shop', options => "retries '0'");
#	my $r = OnecTest->try($node, 'SELECT 1');                      # {stdout, stderr, sqlstate, seconds}
#	my $b = OnecTest->background($node, 'SELECT pg_sleep(10)');    # $b->wait gives what try() gives
#	my $log = $onec->control('GET', '/requests');                  # decoded JSON
#	my $liar = OnecTest->liar;                                     # a small base that lies when told to, see test/liar
#	my $stub = OnecTest->stub('def answer(r): return []');         # a server whose answers the test writes (stub.py)
#	OnecTest->figure('rows lost', 0);                              # for doc/reliability.md, printed when the test ends
#	my $text = OnecTest->contents('README.md');                    # UTF-8
#	my @asked = $stub->requests;                                   # {n, path, query} of each since the last call
package OnecTest;

use strict;
use warnings;

use Cwd ();
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes qw(sleep time);

# The tee that copies TAP to the log knows no layers, and tests whose names are Russian set one.
sub PostgreSQL::Test::SimpleTee::BINMODE
{
	my ($handles, $layer) = @_;

	binmode($_, $layer || ':raw') for @$handles;
	return 1;
}

our $ROOT = $ENV{ONEC_ROOT} || Cwd::getcwd();

# A new cluster, started, with the extension in database postgres.  Options: conf => extra lines of
# postgresql.conf, cron => 1 to load pg_cron, create => 0 for no CREATE EXTENSION.
sub node
{
	my ($class, $name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf('postgresql.conf', "timezone = 'UTC'\nlog_min_messages = 'warning'\n");
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\ncron.host = '" . $node->host . "'\n")
	  if $options{cron};
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	return $node if defined $options{create} && !$options{create};
	$node->safe_psql('postgres', 'CREATE EXTENSION onec_fdw');
	$node->safe_psql('postgres', PostgreSQL::Test::Utils::slurp_file("$ROOT/test/data/updatable.sql")) if $ENV{TEST_UPDATABLE};
	return $node;
}

# Rows can be put by hand into the views of the large tables, too.
sub writable
{
	my ($class, $node, $database) = @_;
	$node->safe_psql($database || 'postgres', PostgreSQL::Test::Utils::slurp_file("$ROOT/test/data/store_writes.sql"));
	return $node;
}

# Can pg_cron be loaded here?
sub have_cron
{
	chomp(my $libdir = `pg_config --pkglibdir`);
	return -e "$libdir/pg_cron.so";
}

# Foreign server and user mapping for a demo 1C.  Options: name (demo), options (more server options, as SQL),
# user, password (demo), database (postgres).
sub server
{
	my ($class, $node, $onec, %options) = @_;
	my $name = $options{name} || 'demo';
	my $more = $options{options} ? ", $options{options}" : '';
	my ($user, $password) = ($options{user} || 'demo', $options{password} || 'demo');

	$node->safe_psql($options{database} || 'postgres', qq{
		CREATE SERVER $name FOREIGN DATA WRAPPER onec_fdw OPTIONS (url '} . $onec->url . qq{'$more);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (user '$user', password '$password')});
	return $name;
}

sub _psql_command
{
	my ($node, $options) = @_;
	my $connection = $node->connstr($options->{database} || 'postgres');

	$connection .= " user=$options->{user}" if $options->{user};
	$connection .= " application_name=$options->{name}" if $options->{name};
	return [ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d', $connection,
		'-f', '-' ];
}

sub _answer
{
	my ($stdout, $stderr, $status, $started) = @_;
	my ($state) = $stderr =~ /(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}):/;

	chomp $stdout;
	return {
		stdout => $stdout,
		stderr => $stderr,
		status => $status,
		sqlstate => defined $state ? $state : ($status == 0 ? '00000' : ''),
		seconds => time - $started
	};
}

# Run statements; never dies for what the server says.  sqlstate is 00000 where there was no error, and empty
# where the connection was lost without one.  Options: database, user, name (application_name).
sub try
{
	my ($class, $node, $sql, %options) = @_;
	my ($stdout, $stderr, $started) = ('', '', time);

	$sql .= "\n;\n";
	IPC::Run::run(_psql_command($node, \%options), \$sql, \$stdout, \$stderr);
	return _answer($stdout, $stderr, $? >> 8, $started);
}

# The same with text in place of bytes, both ways.
sub try_text
{
	my ($class, $node, $sql, %options) = @_;

	utf8::encode($sql) if utf8::is_utf8($sql);
	my $answer = $class->try($node, $sql, %options);
	utf8::decode($answer->{$_}) for qw(stdout stderr);
	return $answer;
}

# What a query that has to work prints, as text; one that does not is a failure of its own.
sub rows
{
	my ($class, $node, $sql, %options) = @_;
	my $answer = $class->try_text($node, $sql, %options);

	Test::More::fail("$sql\n$answer->{stderr}") if $answer->{sqlstate} ne '00000';
	return $answer->{stdout};
}

# Run statements without waiting for them.  Methods of the answer: pid (of the backend, once it runs), cancel, terminate, kill
# (psql itself), wait.
sub background
{
	my ($class, $node, $sql, %options) = @_;
	my $self = bless { node => $node, started => time, in => "$sql\n;\n", out => '', err => '' }, 'OnecTest::Background';

	$options{name} ||= 'background_' . int(rand(1e9));
	$self->{name} = $options{name};
	$self->{run} = IPC::Run::start(_psql_command($node, \%options), \$self->{in}, \$self->{out}, \$self->{err});
	$self->{run}->pump_nb;
	return $self;
}

# Wait until a condition holds: code, what is awaited, seconds.  Returns whether it came to hold.
sub wait_for
{
	my ($class, $condition, $what, $seconds) = @_;
	my $end = time + ($seconds || 30);

	until ($condition->())
	{
		if (time > $end)
		{
			Test::More::diag("waited in vain for $what");
			return 0;
		}
		sleep 0.05;
	}
	return 1;
}

# A check that something did not take long.  The given seconds count under TEST_FULL only, where the machine is ours; else a minute
# does, which is less than what was waited for in vain would have taken.
sub soon
{
	my ($class, $seconds, $limit, $name) = @_;

	return Test::More::cmp_ok($seconds, '<', $ENV{TEST_FULL} ? $limit : 60, $name);
}

# A part of a test that stands for itself: skipped where TEST_ONLY names another one, as test/mutants/run does.
sub part
{
	my ($class, $name, $code) = @_;

	$code->() if !defined $ENV{TEST_ONLY} || $ENV{TEST_ONLY} eq $name;
	return;
}

# Start a demo 1C with the given options of its command line; user and password are demo unless they say else.
sub onec
{
	my ($class, @options) = @_;
	my $self = bless { options => [@options] }, 'OnecTest::Onec';

	unshift @options, '--user', 'demo', '--password', 'demo' unless grep { $_ eq '--user' } @options;
	unshift @options, '--customers', 50 unless grep { $_ eq '--customers' || $_ eq '--purchase-log' } @options;
	unshift @options, '--seed', 1 unless grep { $_ eq '--seed' } @options;
	$self->{options} = \@options;
	$self->{port} = PostgreSQL::Test::Cluster::get_free_port();
	$self->{control_port} = PostgreSQL::Test::Cluster::get_free_port();
	$self->{log} = "$PostgreSQL::Test::Utils::tmp_check/onec_$self->{port}.log";
	$self->start;
	return $self;
}

# Figures of this test by name: added up, but of those whose name begins with "worst" the largest counts.  They are printed when
# the test ends, in the form that test/reliability reads.
my %figures;

# What a file holds, as text.
sub contents
{
	my ($class, $file) = @_;
	my $text = PostgreSQL::Test::Utils::slurp_file($file);

	utf8::decode($text);
	return $text;
}

sub figure
{
	my ($class, $name, $value) = @_;
	my $before = $figures{$name};

	$figures{$name} = !defined $before ? $value : $name !~ /^worst/ ? $before + $value : $value > $before ? $value : $before;
	return;
}

END
{
	Test::More::diag("| figure: $_: $figures{$_}") for sort keys %figures;
}

# What a demo 1C says of itself, for stubs that stand in its place: files "root" and "$metadata" in a directory.
sub describe
{
	my ($class, $dir, $onec) = @_;

	$onec ||= $class->onec('--customers', 5);

	for my $what ([ 'root', '?$format=json' ], [ '$metadata', '$metadata' ])
	{
		my $address = $onec->url =~ s{//}{//demo:demo@}r . "/odata/standard.odata/$what->[1]";
		my $answer = HTTP::Tiny->new->get($address);
		die "demo 1C: $answer->{status} $answer->{content}" unless $answer->{success};
		PostgreSQL::Test::Utils::append_to_file("$dir/$what->[0]", $answer->{content});
	}
	return;
}

# Start the small base of test/liar with options of its command line.
sub liar
{
	my ($class, @options) = @_;
	my $self = bless { options => [@options], program => 'liar' }, 'OnecTest::Onec';

	$self->{port} = PostgreSQL::Test::Cluster::get_free_port();
	$self->{control_port} = PostgreSQL::Test::Cluster::get_free_port();
	$self->{log} = "$PostgreSQL::Test::Utils::tmp_check/liar_$self->{port}.log";
	$self->start;
	return $self;
}

# A server that answers by the given Python, see stub.py; for OnecTest->server() as a demo 1C is.
sub stub
{
	my ($class, $code) = @_;
	my $self = bless {}, 'OnecTest::Stub';

	utf8::encode($code) if utf8::is_utf8($code);
	$self->{port} = PostgreSQL::Test::Cluster::get_free_port();
	$self->{code} = "$PostgreSQL::Test::Utils::tmp_check/stub_$self->{port}.py";
	$self->{log} = "$PostgreSQL::Test::Utils::tmp_check/stub_$self->{port}.log";
	PostgreSQL::Test::Utils::append_to_file($self->{code}, $code);
	$self->start;
	return $self;
}

package OnecTest::Background;

use strict;
use warnings;

sub pid
{
	my ($self) = @_;
	my $pid = '';

	OnecTest->wait_for(
		sub {
			$self->{run}->pump_nb;
			$pid = $self->{node}->safe_psql('postgres',
				"SELECT pid FROM pg_stat_activity WHERE application_name = '$self->{name}' AND state = 'active'");
			return $pid ne '';
		},
		"backend of $self->{name}");
	return $pid;
}

sub _signal
{
	my ($self, $function) = @_;
	my $pid = $self->pid;

	$self->{signalled} = Time::HiRes::time();
	return $self->{node}->safe_psql('postgres', "SELECT $function($pid)");
}

sub cancel { return $_[0]->_signal('pg_cancel_backend'); }
sub terminate { return $_[0]->_signal('pg_terminate_backend'); }
sub kill { return $_[0]->{run}->signal('KILL'); }

sub wait
{
	my ($self) = @_;

	$self->{run}->finish;
	if (my $signalled = delete $self->{signalled})
	{
		OnecTest->figure('cancels and terminations', 1);
		OnecTest->figure('worst time from a cancel or termination to the end, s', sprintf('%.2f', Time::HiRes::time() - $signalled));
	}
	return OnecTest::_answer($self->{out}, $self->{err}, $? >> 8, $self->{started});
}

package OnecTest::Onec;

use strict;
use warnings;

sub port { return $_[0]->{port}; }
sub control_port { return $_[0]->{control_port}; }

# Address for the server option url; a name given on the command line of the demo 1C stays the caller's.
sub url
{
	my ($self, $base) = @_;

	return "http://127.0.0.1:$self->{port}/" . ($base || 'demo');
}

# Start, or start again on the same ports.
sub start
{
	my ($self) = @_;

	$self->{pid} = fork();
	die "fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $self->{log}) or POSIX::_exit(1);
		open(STDERR, '>&', \*STDOUT);
		exec('python3', "$OnecTest::ROOT/test/" . ($self->{program} || 'onec'), '--port', $self->{port}, '--control-port',
			$self->{control_port}, @{ $self->{options} })
		  or POSIX::_exit(1);
	}
	for my $port ($self->{port}, $self->{control_port})
	{
		my $up = OnecTest->wait_for(
			sub {
				delete $self->{pid} if $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) > 0;
				return !$self->{pid} || IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
			},
			"the demo 1C on port $port", 120);
		die "the demo 1C did not start:\n" . PostgreSQL::Test::Utils::slurp_file($self->{log})
		  unless $up && $self->{pid};
	}
	return $self;
}

# Stop as an operator would (TERM), or as a power cut (stop('KILL')).
sub stop
{
	my ($self, $signal) = @_;

	return unless $self->{pid};
	kill $signal || 'TERM', $self->{pid};
	waitpid($self->{pid}, 0);
	delete $self->{pid};
	return;
}

# One request to the control port: method, path, data (sent as JSON).  Returns the decoded answer, or its text
# where it is no JSON; dies where the control port refuses.
sub control
{
	my ($self, $method, $path, $data) = @_;
	my $content = $self->control_text($method, $path, $data);
	my $decoded = eval { JSON::PP->new->utf8->allow_nonref->decode($content) };

	return defined $decoded ? $decoded : $content;
}

# The same without decoding: bytes.
sub control_text
{
	my ($self, $method, $path, $data) = @_;
	my %request;

	%request = (content => JSON::PP->new->utf8->canonical->encode($data),
		headers => { 'Content-Type' => 'application/json' }) if defined $data;
	my $answer = HTTP::Tiny->new(timeout => 120)->request($method, "http://127.0.0.1:$self->{control_port}$path",
		\%request);
	die "control port: $method $path: $answer->{status} $answer->{content}" unless $answer->{success};
	return $answer->{content};
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $@, $!);
	$self->stop('KILL');
	return;
}

package OnecTest::Stub;

use strict;
use warnings;

our @ISA = ('OnecTest::Onec');

sub start
{
	my ($self) = @_;

	$self->{read} = 0;
	$self->{pid} = fork();
	die "fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$self->{log}.err") or POSIX::_exit(1);
		open(STDERR, '>&', \*STDOUT);
		exec('python3', "$OnecTest::ROOT/test/t/stub.py", $self->{port}, $self->{code}, $self->{log}) or POSIX::_exit(1);
	}
	OnecTest->wait_for(
		sub { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}); },
		"the stub on port $self->{port}", 60)
	  or die "the stub did not start:\n" . PostgreSQL::Test::Utils::slurp_file("$self->{log}.err");
	return $self;
}

# Set names of the stub's "mode": $stub->mode(lie => 'short').
sub mode
{
	my ($self, %values) = @_;

	my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$self->{port}/mode?" . join('&', map { "$_=$values{$_}" } keys %values));
	die "stub: $answer->{status} $answer->{content}" unless $answer->{success};
	return;
}

# What was asked since the last call: {n, path, query} of each request, as text.
sub requests
{
	my ($self) = @_;
	my @found;

	open(my $log, '<', $self->{log}) or return ();
	seek($log, $self->{read}, 0);
	while (my $line = <$log>) { push @found, JSON::PP->new->utf8->decode($line); }
	$self->{read} = tell($log);
	close($log);
	return @found;
}

1;
