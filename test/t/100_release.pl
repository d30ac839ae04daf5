# A version leaves the tree: the archive for PGXN builds, installs and creates; a version that is out, updated, is what a fresh
# install of the newest is, and keeps its rows; what an update script forgets is seen.
use strict;
use warnings;
use utf8;

use File::Copy ();
use OnecRows;
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $control = PostgreSQL::Test::Utils::slurp_file("$OnecTest::ROOT/onec_fdw.control");
my ($newest) = $control =~ /^default_version = '([\d.]+)'/m;
# The next version of a test, as nobody will call one.
my $next = '9.9';

# Run a program of the shell; returns what it printed, dies of a failure.
sub shell
{
	my ($command) = @_;
	my $printed = `( $command ) 2>&1`;

	$? == 0 or diag($printed);
	return $? == 0 ? $printed : undef;
}

# ---- the archive ----
SKIP: {
	skip 'zip and unzip are not installed', 6 if system('command -v zip unzip >/dev/null') != 0;
	my $archive = "onec_fdw-$newest.0";

	like(shell("cd '$OnecTest::ROOT' && sql/release dist && mkdir -p '$tmp/dist' && unzip -q $archive.zip -d '$tmp/dist'"), qr/^\Q$archive\E.zip: \d+ bytes/m,
		'D6: make dist writes an archive');
	my $meta = JSON::PP->new->utf8->decode(PostgreSQL::Test::Utils::slurp_file("$tmp/dist/$archive/META.json"));
	is("$meta->{name}-$meta->{version}", $archive, 'D6: named as META.json says');
	my @absent = grep { !-s "$tmp/dist/$archive/$_" } map { ($_->{file}, $_->{docfile}) } values %{ $meta->{provides} };
	is("@absent", '', 'D6: what META.json names is in it');
	is(shell("cd '$tmp/dist' && ls -d * && cd * && ls -d .ci .git .github .gitignore .gitattributes .build 2>/dev/null; true"), "$archive\n",
		'D6: one directory, nothing of the repository');
	# a server of its own, as test/demo makes one
	my $short = PostgreSQL::Test::Utils::tempdir_short();
	my $server = shell(qq{cd '$tmp/dist/$archive' && exec bash -c '. test/clusters.sh && build_and_install "$short/pg" >build.log || { cat build.log; exit 1; }
		start_cluster "$short/db" shop || exit 1
		psql -X -A -t -c "CREATE EXTENSION onec_fdw" -c "SELECT extversion FROM pg_extension WHERE extconfig IS NOT NULL" -c "SELECT count(*) FROM onec.settings"
		stop_cluster "$short/db"; find "$short/pg" -newer META.json -name "*.h" | grep -c onec; grep -c warning: build.log; true'});
	like($server // '', qr/^CREATE EXTENSION\n\Q$newest\E\n\d+\n0\n0\n\z/, 'D6: it builds without warnings, installs no headers, and is created');
	unlink "$OnecTest::ROOT/$archive.zip";
}

# ---- from another directory: each source is compiled, the install script made and installed ----
{
	# without what is built in this one, which VPATH would find
	my $said = shell("mkdir -p '$tmp/elsewhere' '$tmp/source' && cd '$OnecTest::ROOT' && tar --exclude='*.o' --exclude='*.so' --exclude=./.build -cf - Makefile onec_fdw.control sql src \\
			| tar -xf - -C '$tmp/source' && cd '$tmp/elsewhere' && make -n -f '$tmp/source/Makefile' all install DESTDIR='$tmp/dest' 2>/dev/null") // '';
	my @sources = map { glob("$OnecTest::ROOT/src/$_") } qw(*.c */*.c */*/*.c);
	is(join(' ', grep { $said !~ m{ -c [^\n]*/source\Q@{[ substr($_, length $OnecTest::ROOT) ]}\E\b} } @sources), '', 'D2: a build in another directory compiles every source');
	like($said, qr{^cat .*/sql/install/10_wrapper/10_schemas\.sql .*> \.build/onec_fdw--\Q$newest\E\.sql$|/sql/onec_fdw--\Q$newest\E\.sql}m, 'D2: … and has the install script');
}

# ---- updates ----
my $share = `pg_config --sharedir`;
chomp $share;
# what an install of the newest version runs
my $text = OnecTest->contents("$share/extension/onec_fdw--$newest.sql");
$node = OnecTest->node('release', create => 0);

# The facts of a database's catalog, and the rows that the extension brings itself.
my $catalog = OnecTest->contents("$OnecTest::ROOT/test/t/catalog.sql");

sub in_database
{
	my ($database, $statement) = @_;
	return OnecTest->rows($node, $statement, database => $database);
}

sub facts
{
	my ($database) = @_;
	my @facts = split /\n/, in_database($database, $catalog);

	die 'no catalog can be read' unless @facts;
	return @facts;
}

# The rows of an extension without users: those that it brings.
sub brought
{
	my ($database) = @_;
	my $each = in_database($database, q{
		SELECT string_agg(format('SELECT %L || '' | '' || (SELECT string_agg(format(''%%s=%%s'', e.key, e.value), '' '' ORDER BY e.key)
				FROM jsonb_each_text(to_jsonb(x)) e) FROM %s x', c.oid::regclass, c.oid::regclass), ' UNION ALL ')
		FROM pg_class c WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND c.relkind = 'r'});
	return split /\n/, in_database($database, "SELECT * FROM ($each) x (line) ORDER BY 1");
}

# What two lists do not have in common: "-" only the first, "+" only the second.
sub differences
{
	my ($first, $second) = @_;
	my %one = map { ($_ => 1) } @$first;
	my %two = map { ($_ => 1) } @$second;

	return join("\n", (map { "- $_" } grep { !$two{$_} } @$first), (map { "+ $_" } grep { !$one{$_} } @$second));
}

# A database with a version, and rows of people if they are wanted.
sub database
{
	my ($name, $version, $rows) = @_;

	OnecTest->rows($node, "CREATE DATABASE $name");
	in_database($name, "CREATE EXTENSION onec_fdw VERSION '$version'");
	in_database($name, qq{
		CREATE SERVER shop FOREIGN DATA WRAPPER onec_fdw OPTIONS (url 'http://127.0.0.1:1/base', timezone 'Europe/Moscow');
		INSERT INTO onec.discount_card (server, card_id, code, barcode) VALUES ('shop', gen_random_uuid(), '1', '70000000001');
		INSERT INTO onec_internal.sale_line (server, register, recorder, recorder_type, line_no, period, quantity, amount, attribution, person_id)
			SELECT onec_internal.new_server_number('shop'), onec_internal.own_term('sales'), r, onec_internal.new_term('Document_ЧекККМ'), 1, '2026-04-01', 1, 500,
				onec_internal.own_term('anonymous'), r FROM gen_random_uuid() r;
		SELECT onec.set('nightly.hour', '4', 'shop'); UPDATE onec.category_map SET slug = 'ring' WHERE slug = 'rings'}) if $rows;
	return $name;
}
my $KEPT = q{SELECT (SELECT string_agg(barcode, ',') FROM onec.discount_card), (SELECT sum(amount) FROM onec.sale_line),
	onec.get('nightly.hour', 'shop'), (SELECT count(*) FROM onec.category_map WHERE slug = 'ring')};

# Update a database, and say what differs from a fresh one of that version; rows of people are to be as they were.
sub updated
{
	my ($from, $to, $fresh, $name) = @_;
	my $rows = database("${name}_rows", $from, 1);
	my $bare = database("${name}_bare", $from, 0);
	my $before = in_database($rows, $KEPT);

	in_database($_, "ALTER EXTENSION onec_fdw UPDATE TO '$to'") for $rows, $bare;
	is(in_database($rows, $KEPT), $before, "$name: rows and settings are kept");
	return (differences([ facts($rows) ], [ facts($fresh) ]), differences([ brought($bare) ], [ brought($fresh) ]));
}

database('fresh', $newest);
cmp_ok(scalar(facts('fresh')), '>', 3000, 'the catalog of a fresh install is compared fact by fact');
for my $script (glob("$OnecTest::ROOT/sql/onec_fdw--*.sql"))
{
	my ($version) = $script =~ /onec_fdw--([\d.]+)\.sql$/ or next;
	next if $version eq $newest || PostgreSQL::Test::Utils::slurp_file($script) !~ /\A-- onec_fdw \S+, as released/;
	my @left = updated($version, $newest, 'fresh', 'from_' . $version =~ tr/./_/r);
	is(join("\n", grep { $_ ne '' } @left), '', "$version and its updates are what a fresh $newest is");
}

# ---- the comparison itself: a version that is made up, whose update does all, or forgets one thing ----
SKIP: {
	skip 'the scripts of extensions cannot be written here', 3 unless -w "$share/extension";
	my %change = (
		'a function' => 'CREATE FUNCTION onec.made_up(a int) RETURNS int LANGUAGE sql RETURN a + 1;',
		'its comment' => q{COMMENT ON FUNCTION onec.made_up(int) IS 'Плюс один';},
		'its rights' => 'REVOKE EXECUTE ON FUNCTION onec.made_up(int) FROM PUBLIC;',
		'the text of one' => q{CREATE OR REPLACE FUNCTION onec_internal.base_label() RETURNS text LANGUAGE sql RETURN 'made up'::text;},
		'a column, its default' => "ALTER TABLE onec.store ADD COLUMN made_up int NOT NULL DEFAULT 7;",
		'a constraint' => 'ALTER TABLE onec.store ADD CONSTRAINT made_up CHECK (name <> code);',
		'an index' => 'CREATE INDEX made_up ON onec_internal.sale_line (amount);',
		'a comment of a column' => q{COMMENT ON COLUMN onec.store.name IS 'Как зовут магазин';},
		'a default' => "ALTER TABLE onec.store ALTER COLUMN name SET DEFAULT 'store';",
		'a table and what a dump takes' => q{CREATE TABLE onec.made (a int PRIMARY KEY); SELECT pg_extension_config_dump('onec.made', '');},
		'a view' => 'CREATE VIEW onec.made_view AS SELECT server, name FROM onec.store;',
		'a right on a table' => 'GRANT SELECT ON onec.store TO PUBLIC;',
		'a row of settings' => q{INSERT INTO onec.setting (key, type, initial, description) VALUES ('made.up', 'text', 'x', 'Придумано');},
	);
	my @order = ('a function', 'its comment', 'its rights', sort grep { !/^(a function|its .*)$/ } keys %change);
	my %without = ('a function' => { map { ($_ => 1) } 'a function', 'its comment', 'its rights' });
	my $write = sub {
		my ($name, $content) = @_;

		open(my $file, '>:utf8', "$share/extension/onec_fdw--$name.sql") or die "$name: $!";
		print $file $content;
		close($file);
	};
	delete $change{'the text of one'}, @order = grep { $_ ne 'the text of one' } @order if $text !~ /onec_internal\.base_label\(/;
	$write->($next, $text . join("\n", @change{@order}) . "\n");
	database('fresh_next', $next);
	$write->("$newest--$next", join("\n", @change{@order}) . "\n");
	is(join("\n", updated($newest, $next, 'fresh_next', 'whole')), "\n", 'an update that does all leaves no difference');
	my @unseen;
	for my $forgotten (@order)
	{
		# within a transaction that is rolled back: one database serves all
		my $skip = $without{$forgotten} || { $forgotten => 1 };
		$write->("$newest--$next", join("\n", map { $skip->{$_} ? () : $change{$_} } @order) . "\n");
		my $found = in_database('fresh', "BEGIN; ALTER EXTENSION onec_fdw UPDATE TO '$next'; $catalog SELECT key FROM onec.setting ORDER BY 1; ROLLBACK");
		my $wanted = in_database('fresh_next', "$catalog SELECT key FROM onec.setting ORDER BY 1");
		push @unseen, $forgotten if $found eq $wanted;
	}
	is(join(', ', @unseen), '', 'and what it forgets is seen: ' . join(', ', @order));
	unlink "$share/extension/onec_fdw--$_.sql" for $next, "$newest--$next";
}

# ---- the update script is drafted out of what changed in sql/install, and does all but what is told to be done by hand ----
SKIP: {
	skip 'the scripts of extensions cannot be written here', 6 unless -w "$share/extension";
	my $copy = "$tmp/draft";
	my %edit = (
		'20_base/10_message.sql' => sub { s/\z/\nCREATE FUNCTION onec.made_up(a int) RETURNS int LANGUAGE sql RETURN onec_internal.made_up(a) + 1;\nCOMMENT ON FUNCTION onec.made_up(int) IS 'Плюс один';\nREVOKE EXECUTE ON FUNCTION onec.made_up(int) FROM PUBLIC;\nCREATE TABLE onec.made (a int PRIMARY KEY, b text);\nCREATE INDEX made_b ON onec.made (b);\nCOMMENT ON TABLE onec.made IS 'Придумано';\nSELECT pg_catalog.pg_extension_config_dump('onec.made', '');\n/;
			s/\A(.*?\n\n)/$1CREATE FUNCTION onec_internal.made_up(a int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN a END; END;\nCOMMENT ON FUNCTION onec_internal.made_up(int) IS 'То же самое (служебная)';\n\n/s },
		# the text of a function, another's arguments, a row that is new and one that is another, a comment, a column of a view
		'80_jobs/10_schedule.sql' => sub { s/'deleted: %s entries/'now deleted: %s entries/ or die },
		'50_people/10_forgotten.sql' => sub { s/(CREATE FUNCTION onec_internal\.\w+\()/$1made_up int, /, s/(COMMENT ON FUNCTION onec_internal\.\w+\()/$1int, / or die },
		'60_statistics/60_analysis.sql' => sub { s/('analysis\.window', 'int', ')365'/${1}364'/ or die; s/(INSERT INTO onec\.setting[^;]*VALUES)/$1\n\t('made.up', 'text[]', '{x}', NULL, NULL, NULL, 'Придумано; и не зря'),/ or die;
			s/r\.known_net, onec\.moment\(s\.server, r\.month::timestamp\) AS month_tz/$&, r.net AS made_net/ or die; s/(onec\.revenue_month IS ')/$1Придуманная в/ or die },
		# a table that is there
		'30_store/10_tables.sql' => sub { s/(CREATE TABLE onec\.store \(.*?)(,?\n\tPRIMARY KEY)/$1,\n\tmade_up int DEFAULT 7$2/s or die },
	);

	shell("mkdir -p '$copy/test' && cd '$OnecTest::ROOT' && cp -r sql debian onec_fdw.control CHANGELOG.md META.json '$copy/' && cp test/lint_install.py '$copy/test/' && cd '$copy' && touch .gitignore && rm -f sql/onec_fdw--* sql/updates/onec_fdw--* && sql/release freeze");
	like(`cd '$copy' && sql/release draft 2>&1`, qr/^\Q$newest\E is out; a new version begins in onec_fdw.control$/, 'no draft for a version that is out');
	for my $part (keys %edit)
	{
		local $_ = OnecTest->contents("$copy/sql/install/$part");
		$edit{$part}->();
		open(my $file, '>:utf8', "$copy/sql/install/$part") or die $!;
		print $file $_;
		close($file);
	}
	my $update = "sql/updates/onec_fdw--$newest--9.8.sql";
	my $draft = shell("cd '$copy' && sql/release begin 9.8 && sql/release draft >>$update && cat $update");
	utf8::decode($draft);
	is(join(' ', $draft =~ /^-- by hand: (.*)$/mg), 'table onec.store', 'a draft of the update: only a table that was there is left to people') or diag($draft);
	my @brought = $draft =~ /^(?:INSERT INTO|UPDATE) onec\.setting/mg;
	is(scalar @brought, 2, '… and rows are those that changed') or diag($draft);
	is(shell("cd '$copy' && sql/release draft"), '', '… and once it is there nothing is left');
	shell("cd '$copy' && sed -i 's/^-- by hand: .*/&\\nALTER TABLE onec.store ADD COLUMN made_up int DEFAULT 7;/' $update && cp $update '$share/extension/' && sql/release script >'$share/extension/onec_fdw--9.8.sql'");
	database('fresh_draft', '9.8');
	is(join("\n", updated($newest, '9.8', 'fresh_draft', 'drafted')), "\n", 'what is drafted, and done by hand, leaves no difference');
	unlink "$share/extension/onec_fdw--$_.sql" for '9.8', "$newest--9.8";
}

# ---- the freeze: one command, in a copy of this tree ----
{
	my $copy = "$tmp/freeze";
	my $printed = shell("mkdir -p '$copy' && cd '$OnecTest::ROOT' && tar --exclude=./.build --exclude='*.o' --exclude='*.so' --exclude=./src --exclude='./sql/onec_fdw--*' \\
			-cf - . | tar -xf - -C '$copy' && cd '$copy' && echo '/sql/onec_fdw--[0-9]*.[0-9].sql' >>.gitignore && sql/release freeze
		grep -c onec_fdw-- .gitignore; sed '1{/as released/d}' $share/extension/onec_fdw--$newest.sql >installed.sql; tail -n +2 sql/onec_fdw--$newest.sql | cmp - installed.sql && echo same
		make -n install 2>/dev/null | grep -oE '[^ /]*/onec_fdw--[0-9.]+sql' | sort -u; python3 test/lint | grep -c released_kept
		sql/release freeze; echo -- '-- x' >>sql/install/90_owner/50_rights.sql; python3 test/lint | grep -o 'begin a new version'");
	is($printed, "sql/onec_fdw--$newest.sql is written: " . ($text =~ s/\A-- onec_fdw .*, as released.*\n//r =~ tr/\n// + 1) . " lines; commit it\n0\nsame\nsql/onec_fdw--$newest.sql\n0\n"
			. "$newest is frozen already; a new version begins in onec_fdw.control\nbegin a new version\n",
		'the freeze: the script comes into the tree as it was installed, is what the build installs, and is never changed again');
}

$node->stop;
done_testing();
