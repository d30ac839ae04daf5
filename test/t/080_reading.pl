# Where a set ends, and what may not be taken for its rows: pages that are short, long, empty, doubled; objects that are no
# rows; properties that are gone.  A server whose answers are written here sends what 1C never would.
use strict;
use warnings;
use utf8;

use Test::More;
use lib 'test/t';
use OnecTest;

binmode($_, ':encoding(UTF-8)') for (Test::More->builder->output, Test::More->builder->failure_output);

# Catalog_C: a set without dates; Document_D: one with dates, four rows a day.  How many rows each has, and the lie of the
# moment, are modes.
my $stub = OnecTest->stub(<<'PY');
def catalog():
    return [{"Ref_Key": guid(i), "Code": f"{i:05}"} for i in range(int(mode.get("rows", 2500)))]


def document():
    return [{"Ref_Key": guid(i, 1), "Date": f"2024-{1 + i // 4 // 28 % 12:02}-{1 + i // 4 % 28:02}T10:00:00", "Sum": i}
            for i in range(int(mode.get("dated", 1300)))]


def answer(r):
    if not r.path:
        return []
    rows = document() if r.path.startswith("Document_D") else catalog()
    return serve(r, rows)
PY
my $node = OnecTest->node('main');
OnecTest->server($node, $stub, name => 'shop', options => "retries '0', prefetch '0'");
$node->safe_psql('postgres', q{
	CREATE FOREIGN TABLE catalog_c (ref_key uuid OPTIONS (property 'Ref_Key'), code text OPTIONS (property 'Code'))
		SERVER shop OPTIONS (entity_set 'Catalog_C', key 'Ref_Key');
	CREATE FOREIGN TABLE document_d (ref_key uuid OPTIONS (property 'Ref_Key'),
		"date" timestamp OPTIONS (property 'Date'), "sum" int OPTIONS (property 'Sum'))
		SERVER shop OPTIONS (entity_set 'Document_D', key 'Ref_Key')});

# What a query gives after setting modes of the stub: its text, and the requests it took.
sub ask
{
	my ($sql, %mode) = @_;

	$stub->mode(%mode) if %mode;
	$stub->requests;
	my $answer = OnecTest->try_text($node, $sql);
	return ($answer->{sqlstate} eq '00000' ? $answer->{stdout} : "$answer->{sqlstate} $answer->{stderr}",
		scalar $stub->requests);
}

my $readings = 'SELECT relation, pages, rows, page_rows, by_skip, ordered, filtered, whole FROM onec._readings() ORDER BY number';

is((ask("SELECT count(*) FROM (SELECT code FROM catalog_c OFFSET 0) c; SELECT count(\"sum\") FROM document_d; $readings"))[0],
	"2500\n1300\ncatalog_c|2|2500|4000|t|t|t|t\ndocument_d|2|1300|4000|f|t|t|t", 'readings are told of');
is((ask("SELECT count(*) FROM (SELECT code FROM catalog_c LIMIT 10) c; $readings"))[0],
	"10\ncatalog_c|0|10|10|f|t|t|f", 'a reading that was not finished is told of');
is((ask("SET onec_fdw.page_size = 900; SELECT count(*) FROM (SELECT code FROM catalog_c OFFSET 0) c; $readings"))[0],
	"2500\ncatalog_c|3|2500|900|t|t|t|t", 'onec_fdw.page_size cuts the pages elsewhere');

done_testing();
