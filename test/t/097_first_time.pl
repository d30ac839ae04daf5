# The first syncs of a base: they tell how far they are, to whoever has begun them by hand, and leave models, pairs and recommendations.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $node = OnecTest->node('first');
my $onec = OnecTest->onec('--customers', 300);

sub run { return OnecTest->try_text($node, @_); }
sub rows { return OnecTest->rows($node, @_); }

# How many rows there are of each thing that the weekly job makes.
sub made { return rows("SELECT (SELECT count(*) FROM onec.clv_model), (SELECT count(*) > 0 FROM onec.customer_value), (SELECT count(*) > 0 FROM onec.product_pair), (SELECT count(*) > 0 FROM onec.recommendation_feed)"); }
# The notices of a statement, a line each.
sub notices { return join("\n", $_[0] =~ /NOTICE:  00000: (.*)$/mg); }

OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow'");
rows("SELECT FROM onec.setup('shop')");

# ---- what does not make models ----

rows("CALL onec.sync_products('shop'); CALL onec.sync('shop', steps => '{cards,counterparties}'); CALL onec.sync('shop', days => 3, steps => '{purchases,profiles}')");
is(made(), '0|f|f|f', 'syncs of a part make no models');
rows("SELECT onec.set('sync.first_models', 'false', 'shop')");
my $quiet = run("CALL onec.sync('shop', dry_run => true)");
rows("CALL onec.sync('shop')");
is(made(), '0|f|f|f', '… nor does a dry run, nor one that the setting forbids');
rows("SELECT onec.set('sync.first_models', NULL, 'shop')");
$onec->control('POST', '/faults', { match => 'AccumulationRegister_Продажи_RecordType', status => 403 });
is(run("CALL onec.sync('shop')")->{sqlstate}, '00000', 'a sync without purchases goes on');
is(rows("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'partial', '… but they are missing');
is(made(), '0|f|f|f', '… and so are models');
$onec->control('POST', '/faults/clear');
rows("DELETE FROM onec.sync_state");

# ---- progress ----

is(run("SELECT onec.set('sync.progress_seconds', '-1')")->{sqlstate}, '22023', 'seconds are not negative');
rows("SELECT onec.set('sync.progress_seconds', '0.000001')");
my $job = run("CALL onec.run_now('interval', 'shop')");
unlike(notices($job->{stderr}), qr/ left/, 'a job does not tell how far it is');
is(made(), '1|t|t|t', 'the first whole sync, a job or not, leaves models, pairs and recommendations');
like(notices($job->{stderr}), qr/^customer_profile: .*\nfit_clv: ok, .*\nrefresh_value: ok, .*\nrefresh_pairs: ok, .*\nrefresh_recommendations: ok, /m,
	'… as its last step');
rows("DELETE FROM onec.sync_state");
my $told = run("CALL onec.sync('shop', full_reload => true)");
my @lines = grep { / left$/ } split /\n/, notices($told->{stderr});
cmp_ok(scalar @lines, '>', 20, 'a first sync tells how far it is');
is(scalar(grep { !/^\w+: \d+ rows, \d+ %, about \d\d:\d\d:\d\d left$/ } @lines), 0, '… rows, percent and time left, a line each');
is(scalar(grep { /^(sale_line|receipt|card_sale_line): [1-9]/ } @lines) > 5, 1, '… of each table that takes several windows');
my @percent = map { /^sale_line: .* (\d+) %/ } @lines;
is_deeply(\@percent, [ sort { $a <=> $b } @percent ], '… and it grows');
is(made(), '1|t|t|t', '… and no model is made again');
is(rows("SELECT count(*) FROM onec.clv_model m JOIN onec.sync_run r ON r.run_id = (SELECT max(run_id) FROM onec.sync_run) WHERE m.fitted_at > r.started_at"), 0, '… really');
unlike(notices(run("CALL onec.sync('shop', full_reload => true)")->{stderr}), qr/ left$/m, 'a table that has been read says nothing');
rows("DELETE FROM onec.sync_state; SELECT onec.set('sync.progress_seconds', '0')");
unlike(notices(run("CALL onec.sync('shop', full_reload => true)")->{stderr}), qr/ left$/m, '… nor does a first one, where it is not to');

# ---- models that fail, and that are interrupted ----

rows("DELETE FROM onec.clv_model; ALTER TABLE onec.clv_model ADD CONSTRAINT broken CHECK (model IS NULL)");
my $failed = run("CALL onec.sync('shop')");
is($failed->{sqlstate}, '00000', 'a model that fails does not fail the sync');
like($failed->{stderr}, qr/WARNING:  23514: fit_clv failed/, '… and is told');
is(rows("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok', '… the run is what it was');
like(notices($failed->{stderr}), qr/refresh_recommendations: ok/, '… and what can be made is');
rows("ALTER TABLE onec.clv_model DROP CONSTRAINT broken;
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
	CREATE TRIGGER slow BEFORE INSERT ON onec.clv_model FOR EACH ROW EXECUTE FUNCTION slow()");
my $slow = OnecTest->background($node, "CALL onec.sync('shop')");
OnecTest->wait_for(sub { return rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") eq '1'; }, 'the slow model');
is(run("CALL onec.sync('shop', steps => '{stores}')")->{sqlstate}, '00000', 'models keep no other run waiting');
is(rows("SELECT string_agg(status, ' ' ORDER BY run_id) FROM (SELECT * FROM onec.sync_run ORDER BY run_id DESC LIMIT 2) r"), 'ok ok', '… both have ended');
$slow->cancel;
is($slow->wait->{sqlstate}, '57014', 'they can be cancelled');
is(rows("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1"), 'ok', '… and the run has ended well all the same');
rows("DROP FUNCTION slow CASCADE; CALL onec.sync('shop')");
is(made(), '1|t|t|t', '… and the next one makes them');

done_testing();
