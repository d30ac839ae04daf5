# Every SQL block of the papers runs, in order, against the demo 1C that "make demo" starts, and answers what the paper
# shows (a block ```text behind it, in which … stands for anything) or what is said here.  A block that cannot run has a
# marker with the reason before it: <!-- not run: … -->.  A Russian page has the same blocks as its English twin, so they
# run once.  The reference is what the catalog says.
#
#	TEST_ANSWERS=directory   what each block with an answer printed goes there
use strict;
use warnings;
use utf8;

use Encode ();
use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

# In this order, in one database: the README makes what the others use, the last ones take things away.
my @pages = ('README.md', map { "doc/$_.md" } qw(monitoring tables options publish limits architecture growing scale upgrading shop mirror schedule errors security site writing));
my $fence = '`' x 3;

sub text_of
{
	my ($file) = @_;

	open(my $in, '<:encoding(UTF-8)', "$OnecTest::ROOT/$file") or die "$file: $!";
	return do { local $/; <$in> };
}

# The blocks of a page: sql without comments, answer (undef: none is shown), reason why it does not run.
sub blocks
{
	my ($file) = @_;
	my @found;
	my $text = text_of($file);

	while ($text =~ /^(?:<!-- not run: (.+?) -->\n)?${fence}sql\n(.*?)^$fence\n(?:${fence}text\n(.*?)^$fence$)?/msg)
	{
		push @found, { reason => $1, sql => $2 =~ s/^\s*--.*\n//mgr, answer => $3 };
	}
	return @found;
}

my @papers = map { s{^\Q$OnecTest::ROOT\E/}{}r } glob("$OnecTest::ROOT/*.md $OnecTest::ROOT/doc/*.md");
for my $paper (grep { !/\.ru\.md$/ } @papers)
{
	my @blocks = blocks($paper);
	my $twin = $paper =~ s/\.md$/.ru.md/r;

	ok(!@blocks || (grep { $_ eq $paper } @pages), "$paper: its blocks run");
	is(scalar @blocks, () = text_of($paper) =~ /^[ \t]*${fence}sql/mg, '… all of them');
	next unless grep { $_ eq $twin } @papers;
	is_deeply([ map { "$_->{sql}$_->{answer}" } map { { %$_, answer => $_->{answer} // '' } } blocks($twin) ],
		[ map { $_->{sql} . ($_->{answer} // '') } @blocks ], "$twin has the same");
}

my $onec = OnecTest->onec('--customers', 5000, '--seed', 1);
my $node = OnecTest->node('papers', cron => OnecTest->have_cron, create => 0, conf => "fsync = off\n");
my $url = $onec->url;

# ---- the reference is what the catalog says ----
{
	$node->safe_psql('postgres', 'CREATE DATABASE reference');
	$node->safe_psql('reference', 'CREATE EXTENSION onec_fdw');
	local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, 'reference');
	my ($said, $status) = (scalar(qx(python3 "$OnecTest::ROOT/test/reference" --check 2>&1)), $?);

	utf8::decode($said);
	is($status, 0, 'the reference is what the catalog says, in both languages') or diag($said);
	diag('| ' . (split /\n/, $said)[-1]);
}

# What each SELECT of the examples answers: words of it, number of lines (at least so many: a text like "5+"), what each line is like.
my $truth = $onec->control('GET', '/truth');
my ($first, $example) = @{ $truth->{examples} }{qw(first example)};
my ($id, $date, $amount) = (qr/[0-9a-f-]{36}/, qr/\d{4}-\d\d-\d\d/, qr/-?\d+(?:\.\d+)?/);
my @answers = (
	[ 'SELECT Ref_Key, КодКартыШтрихкод FROM', 1, qr/^$first->{card}\|$first->{phone}$/ ],
	[ 'FROM onec.last_requests()', 1, qr/^Catalog_ДисконтныеКарты\?[\$]select=Ref_Key,КодКартыШтрихкод&[\$]filter=КодКартыШтрихкод eq '70000000001'&.*\|200\|1$/ ],
	[ 'Catalog_ДисконтныеКарты ORDER BY Code', 1000, qr/^\d{9}\|.*\|/ ],
	[ 'SELECT Period, Сумма, Количество', $first->{lines}, qr/^$date .*\|$amount\|1\|$id$/ ],
	[ 'ПродажиПоДисконтнымКартам', $first->{lines}, qr/^$date .*\|$amount$/ ],
	[ 'DocumentJournal_РозничныеПродажи', $first->{receipts}, qr/^$date .*\|НФФР-\d+\|$amount$/ ],
	[ 'SELECT Description FROM', 1, qr/^\w.* \d{3}$/ ],
	# the shop's last day is fixed, so the last days may be empty
	[ 'SELECT Period::date AS day', '0+', qr/^$date\|$amount$/ ],
	[ 'БонусныеБаллы_Balance', 5, qr/^$id\|$amount\|$amount$/ ],
	[ 'EXPLAIN (VERBOSE, COSTS OFF)', '6+', qr/^(?:Foreign Scan on|  (?:Output|Filter|1C Request|1C Qual|1C \w.*):) / ],
	[ 'SELECT "check", status, detail', '2+', qr/^.+\|(?:ok|warning)\|.*\|/ ],
	[ 'onec.feed_position(', 1, qr/^\d+$/ ],
	[ 'onec.changes_since(', '0+', qr/^\d+\|\w+\|$id\|(?:new|changed|gone)$/ ],
	[ 'SELECT target, status, columns FROM onec.setup(', 25, qr/^\w+\|created\|\d+$/ ],
	[ 'onec.setup(', 25, qr/\|kept\|\d+\|/ ],
	[ 'FROM onec.entity_sets(', 3, qr/^AccumulationRegister_\w+\|AccumulationRegister\|accumulationregister_\w+$/ ],
	[ 'onec.import_schema(', 1, qr/^\d+$/ ],
	[ 'Склад_Key IS NOT NULL AND Сумма > 1000', '0+', qr/^$date .*\|$amount$/ ],
	[ 'pg_total_relation_size(', 5, qr/^\w+\|t$/ ],
	[ 'SELECT count(*) >', 1, qr/^t$/ ],
	[ 'SELECT sum(rows) > 0', 1, qr/^t$/ ],
	[ 'SELECT onec.set(', 0, qr/^/ ],
	[ 'FROM onec.settings', 2, qr/^[\w.]+\|\d+\|\w+$/ ],
	[ 'FROM onec.sync_run', 1, qr/^\d+\|interval\|ok$/ ],
	[ 'FROM onec.purchase_masked', 2, qr/^2026-11-2[12] .*\+00\|$amount$/ ],
	[ 'SELECT onec.cancel(', 1, qr/^f$/ ],
	[ 'FROM onec.sync_status', '13+', qr/^\w+\|ok\|\d+\|\d+\|0\|0$/ ],
	[ 'jsonb_pretty(onec.profile_json(', '50+', qr/^[ {}]/ ],
	[ 'SELECT phone, receipts, total_revenue', 10, qr/^7000\d{7}\|\d+\|$amount\|$amount$/ ],
	[ 'SELECT name, balance', 5, qr/^.*\|$amount\|(?:$date 00:00:00)?\|(?:$amount)?$/ ],
	[ 'FROM onec.data_quality', '3+', qr/^Q\d+\|.+\|\d+\|.+/ ],
	[ 'FROM site.account', 5, qr/^7000\d{7}\|.*\|$amount\|.+/ ],
	[ 'onec.refresh_models(', 4, qr/^\w+\|ok\|/ ],
	[ 'SELECT name, rfm_title', 10, qr/^.*\|.+\|\w+\|(?:$date)?\|\{.*\}\|$amount$/ ],
	[ 'FROM onec.rfm_summary', '5+', qr/^shop\|\w+\|.+\|\d+\|/ ],
	[ 'FROM onec.abc_xyz', 10, qr/^.+\|$amount\|[ABC]\|[XYZ]?$/ ],
	[ 'FROM onec.cohort_retention', 12, qr/^$date\|\d+\|[01]\.\d+$/ ],
	[ 'FROM onec.month_season', 12, qr/^\d+\|$amount$/ ],
	[ 'FROM onec.call_list', '1+', qr/^.*\|7000\d{7}\|.+/ ],
	[ 'FROM onec.customer_clv', 20, qr/^$id\|[01]\.\d+\|$amount\|$amount$/ ],
	[ 'FROM onec.recommend(', 10, qr/^\d+\|.+\|\w+/ ],
	[ 'onec.eval_recommend(', 1, qr/^\d+\|\d+\|[01]\.\d+\|\d+\|[01]\.\d+\|/ ],
	[ 'FROM onec.schedule(', '4+', qr/^onec:shop:\w+\|[\d*\/ ]+\|CALL onec\.run_job\(/ ],
	[ 'FROM onec.schedule_status', '2+', qr/^\w+\|/ ],
	[ 'onec.unschedule(', 1, qr/^\d+$/ ],
	[ 'SELECT onec.grant_', 0, qr/^/ ],
	[ 'onec.forget(', '2+', qr/^\w+\|/ ],
	[ 'onec.purge(', '2+', qr/^\w+\|/ ],
	[ "onec.mirror('shop', 'Catalog_Валюты'", 1, qr/^catalog_Валюты\|mine\."catalog_Валюты"\|Catalog_Валюты\|\d+\|$/ ],
	[ "onec.mirror('shop', 'Document_ЗаказПокупателя'", 2, qr/^document_ЗаказПокупателя\|mine\."document_ЗаказПокупателя(_Запасы)?"\|Document_ЗаказПокупателя(_Запасы)?\|\d+\|(date)?$/ ],
	[ 'SELECT mirror, table_name, sections', 2, qr/^(catalog_Валюты\|.*\|\{\}|document_ЗаказПокупателя\|.*_Запасы.*)\|ok\|\d+\|t$/ ],
	[ 'SELECT mirror, people, erasure', 2, qr/^(catalog_Валюты\|\{\}\|none|document_ЗаказПокупателя\|\{Контрагент_key\}\|delete)$/ ],
	[ 'SELECT mirror, gone, looked_at', 0, qr/^$/ ],
	[ 'SELECT onec.unmirror(', 0, qr/^$/ ],
);
my %answered;

# The statements of an example in one session, each with what it answers.
sub run_block
{
	my ($sql) = @_;

	$sql =~ s{https://1c\.example/\S+?'}{$url'};
	my @statements = split /;\n(?=[A-Z])/, $sql;
	s/;?\s*$// for @statements;
	my $answer = OnecTest->try_text($node, join '', map { "$_;\n\\echo ====\n" } @statements);
	$answer->{outputs} = [ split /^====\n?/m, $answer->{stdout} ];
	return ($answer, @statements);
}

# What psql prints of a block, as a reader sees it.
sub shown
{
	my ($sql) = @_;
	my $out = OnecTest->try_text($node, "\\pset format aligned\n\\pset tuples_only off\n$sql");

	return ($out->{stdout} =~ s/[ \t]+$//mgr, $out);
}

# Is it what the page shows?  A line "…" stands for any lines, … within a line for anything.
sub is_shown
{
	my ($got, $wanted) = @_;
	my $pattern = join '', map { $_ eq '…' ? '(?:.*\n)*?' : join('.*', map { quotemeta } split /…/, $_, -1) . '\n' } split /\n/, $wanted =~ s/[ \t]+$//mgr;

	return "$got\n" =~ /^$pattern\n*\z/;
}

# A block without an answer shown: each of its SELECTs is one of @answers.
sub check_answers
{
	my ($answer, @statements) = @_;

	for my $i (grep { $statements[$_] =~ /^\s*(?:EXPLAIN|SELECT|WITH|TABLE)\b/ } 0 .. $#statements)
	{
		my ($statement, $output) = ($statements[$i] =~ s/\s+/ /gr, $answer->{outputs}[$i] // '');
		my ($known) = grep { index($statement, $_->[0]) >= 0 } @answers;
		my @lines = split /\n/, $output;

		ok($known, "it is said here what this answers: $statement") or next;
		my ($lines, $more) = $known->[1] =~ /^(\d+)(\+?)$/;
		$answered{ $known->[0] } //= $output;
		cmp_ok(scalar @lines, $more ? '>=' : '==', $lines, "$known->[0] … answers so many lines") or diag($output);
		is(join("\n", grep { !/$known->[2]/ } @lines), '', '… each as it ought to be');
	}
	return;
}

my ($ran, $not_run, $compared) = (0, 0, 0);
for my $page (@pages)
{
	my $number = 0;
	for my $block (blocks($page))
	{
		my ($title) = $block->{sql} =~ /^(.{1,60})/;
		# pg_cron from the package on, as printed
		my $id = $page eq 'doc/schedule.md' ? 'D7: ' : '';

		$number++;
		if ($block->{reason})
		{
			$not_run++;
			next;
		}
		if ($block->{sql} =~ /onec\.(un)?schedule|pg_cron/ && !OnecTest->have_cron)
		{
		  SKIP: { skip 'pg_cron is not installed', 1; }
			next;
		}
		$ran++;
		if (defined $block->{answer})
		{
			my ($got, $answer) = shown($block->{sql});

			$compared++;
			PostgreSQL::Test::Utils::append_to_file("$ENV{TEST_ANSWERS}/" . ($page =~ s{\W}{_}gr) . ".$number", Encode::encode_utf8("$got\n")) if $ENV{TEST_ANSWERS};
			is($answer->{sqlstate}, '00000', "$id$page, block $number runs: $title") or diag($answer->{stderr});
			ok(is_shown($got, $block->{answer}), '… and answers what is shown') or diag($got);
			next;
		}
		my ($answer, @statements) = run_block($block->{sql});
		is($answer->{sqlstate}, '00000', "$id$page, block $number runs: $title") or diag($answer->{stderr});
		check_answers($answer, @statements);
	}
}
diag("| SQL blocks that run: $ran, of which $compared are compared with what is shown; not run, with a reason: $not_run");

# ---- what psql shows ----
is(OnecTest->rows($node, q{SELECT count(*) FILTER (WHERE obj_description(t.ftrelid, 'pg_class') IS NULL) + count(*) FILTER (WHERE col_description(a.attrelid, a.attnum) !~ '^.+ \\(.+\\)$|^[А-Я]')
	FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace IN ('shop'::regnamespace, 'goods'::regnamespace, 'long'::regnamespace)}), 0,
	'foreign tables of onec.setup and onec.import_schema say what they are in 1C, and their columns name and type');
is(OnecTest->rows($node, q{SELECT col_description('shop.discount_card'::regclass, 1), col_description('goods.catalog_Номенклатура'::regclass, 1)}), 'Ref_Key (Guid)|Ref_Key (ссылка или идентификатор)', '… such as a key');
is(OnecTest->rows($node, q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'onec'::regnamespace AND obj_description(oid, 'pg_proc') ~ 'служебн'}), 0, '\\df onec.* shows what users call only');

# Sums of what was answered, which are those of the demo 1C.
sub column
{
	my ($words, $n) = @_;

	return map { (split /\|/)[$n] } split /\n/, $answered{$words};
}

for my $case ([ 'SELECT Period, Сумма, Количество', 1 ], [ 'ПродажиПоДисконтнымКартам', 1 ], [ 'DocumentJournal_РозничныеПродажи', 2 ])
{
	my $sum = 0;

	$sum += $_ for column(@$case);
	is(sprintf('%.2f', $sum), $first->{sum}, "$case->[0] …: the sum");
}
is(join('|', column('Catalog_ДисконтныеКарты ORDER BY Code', 0)), join('|', sort { $a cmp $b } column('Catalog_ДисконтныеКарты ORDER BY Code', 0)), 'cards by their codes');
is(join('|', column($_, 0)), join('|', reverse sort { $a cmp $b } column($_, 0)), "$_ …: the newest first")
  for 'SELECT Period, Сумма, Количество', 'DocumentJournal_РозничныеПродажи';
is(join('|', column('SELECT phone, receipts, total_revenue', 2)), join('|', sort { $b <=> $a } column('SELECT phone, receipts, total_revenue', 2)), 'customers by their sums');
like($answered{'FROM onec.sync_status'}, qr/^sale_line\|ok\|$truth->{sales}{all_rows}\|$truth->{sales}{all_rows}\|/m, 'all sales are read');
like($answered{'FROM onec.sync_status'}, qr/^discount_card\|ok\|$truth->{cards}\|/m, '… and all cards');
like($answered{'jsonb_pretty(onec.profile_json('}, qr/"total_revenue": \Q$example->{sum}\E/, 'the profile has the sum');
like($answered{'EXPLAIN (VERBOSE, COSTS OFF)'}, qr/local, /, 'a condition stays here') if $answered{'EXPLAIN (VERBOSE, COSTS OFF)'};

$onec->control('POST', '/log/clear', {});
run_block(q{SELECT sum(Сумма) FROM c.AccumulationRegister_Продажи_RecordType WHERE Period >= now() - interval '30 days'});
my @asked = map { $_->{query} // $_->{url} // '' } @{ $onec->control('GET', '/log') };
ok((grep { /Period ge datetime'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'/ } @asked), 'now() - interval reaches 1C as a literal')
  or diag(explain(\@asked));

my ($profile) = run_block(q{SELECT j->'statistics'->>'average_check', j->'statistics'->>'total_purchases',
	j->'statistics'->>'total_revenue' FROM onec.profile_json('+7 (000) 000-00-02') AS p, LATERAL (SELECT p::jsonb) x(j)});
is($profile->{outputs}[0], "4253.40|5|21267.00\n", "the document's example");

$node->stop;
done_testing();
