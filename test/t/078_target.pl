# What is synced is a table, onec.target: each row agrees with its table and its list of fields, what must be decided has no default,
# and what came by the recipe of CONTRIBUTING.md, the orders of customers, is treated as everything else is.  So is what somebody
# adds for one base only.
use strict;
use warnings;
use utf8;

use OnecTest;
use Test::More;

binmode(Test::More->builder->$_, ':encoding(UTF-8)') for qw(output failure_output todo_output);

my $onec = OnecTest->onec('--customers', 60, '--seed', 4);
my $node = OnecTest->node('target');

sub sql { return OnecTest->rows($node, @_); }
sub edit { return $onec->control('POST', '/edit', {@_}); }
sub fails
{
	my ($query, $sqlstate, $what) = @_;

	is(OnecTest->try_text($node, $query)->{sqlstate}, $sqlstate, $what);
	return;
}

# Changes that the last run has written to the orders.
sub written { return sql("SELECT rows_inserted + rows_updated + rows_deleted FROM onec.sync_status WHERE server = 'shop' AND target = 'customer_order'"); }
sub state { return sql("SELECT status FROM onec.sync_status WHERE server = 'shop' AND target = 'customer_order'"); }
sub days { sql("CALL onec.sync('shop', days => $_[0], steps => '{orders}')"); return; }
sub whole { sql("CALL onec.sync('shop', full_reload => true, steps => '{orders}')"); return; }

# ---- the table itself ----
OnecTest->part('rules', sub {
	my $row = "INSERT INTO onec.target (target, server, ordinal, step, title, source, entity_set, table_name, unit, marks_deleted, people, erasure, purge, touches, is_open)
		VALUES ('x', 'shop', 1000, 'x', 'X', 'set', 'Catalog_X', 'x', '{x_id}', false, '{}', 'none', 'none', '{}', false)";
	(my $silent = $row) =~ s/ erasure,| 'none',(?= 'none')//g;

	fails($silent, '23502', 'the erasure rule has no default');
	is(sql("SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'onec.target'::regclass AND attnum > 0 AND NOT attnotnull
			AND attname IN ('marks_deleted', 'people', 'erasure', 'purge', 'touches', 'is_open')"), '', 'nor has anything else that somebody has to decide');
	is(sql("SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'onec.target'::regclass AND atthasdef"),
		'table_schema, asked_by, is_limited, is_seed', '… and no default');
	for my $bad ([ "'none', 'none', '{}'", "'mask', 'none', '{}'" ], [ "'{}', 'none'", "'{x_id}', 'none'" ], [ "'none', '{}'", "'date', '{}'" ],
		[ "'none', 'none'", "'keep', 'none'" ], [ "'none', '{}', false", "'none', '{moon}', false" ], [ '1000', '9' ])
	{
		(my $wrong = $row) =~ s/\Q$bad->[0]/$bad->[1]/;
		fails($wrong, '23514', "$bad->[1] is refused");
	}
	# what the rows say, the tables have
	is(sql(q{SELECT t.target, 'no table' FROM onec.target t WHERE to_regclass(onec_internal.table_of_target(t.target)) IS NULL}), '', 'each has its table');
	is(sql(q{SELECT t.target FROM onec.target t WHERE t.marks_deleted <> onec_internal.has_column(onec_internal.table_of_target(t.target), 'is_deleted')}), '', 'which has the mark where rows are marked');
	is(sql(q{SELECT t.target, c FROM onec.target t, unnest(t.unit || t.people || t.date_column || t.asked_by) c
			 WHERE c IS NOT NULL AND NOT onec_internal.has_column(onec_internal.table_of_target(t.target), c)}), '', 'and the columns that are named');
	is(sql(q{SELECT t.target, a.attname FROM onec.target t JOIN pg_attribute a ON a.attrelid = onec_internal.table_of_target(t.target)::regclass
			 WHERE (a.attname IN ('customer_id', 'user_id', 'owner_id', 'card_id', 'discount_card_id') AND a.atttypid = 'uuid'::regtype
				AND NOT (t.table_name = 'product')) <> (a.attname = ANY (t.people))}), '', 'rules: whoever a row is about is among its people');
	is(sql(q{SELECT t.target, x.field FROM onec.target t CROSS JOIN LATERAL (
				(SELECT f.field FROM onec.field_source f WHERE f.target = t.target EXCEPT
				 SELECT a.attname FROM pg_attribute a WHERE a.attrelid = onec_internal.table_of_target(t.target)::regclass)
				UNION ALL
				(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = onec_internal.table_of_target(t.target)::regclass AND a.attnum > 0 AND NOT a.attisdropped
				 AND a.attname NOT IN ('server', 'copy', 'is_deleted', 'register', 'attribution', 'person_id') EXCEPT
				 SELECT f.field FROM onec.field_source f WHERE f.target = t.target)) x (field)
			 WHERE t.source = 'set'}), '', 'and its fields are the columns');
	is(sql(q{SELECT f.target, f.field FROM onec.field_source f WHERE NOT EXISTS (SELECT FROM onec.target t WHERE split_part(f.target, '.', 1) = t.target)}), '',
		'no field is of something else');
	is(sql(q{SELECT t.target FROM onec.target t WHERE t.switch IS NOT NULL AND NOT EXISTS (SELECT FROM onec.setting s WHERE s.key = t.switch)}), '', 'switches are settings');
});

# ---- the orders, as 1C has them ----
OnecTest->server($node, $onec, name => 'shop', options => "timezone 'Europe/Moscow', retries '0'");
is(sql("SELECT status, columns, missing FROM onec.setup('shop') WHERE target = 'customer_order'"), 'created|13|', 'setup finds the orders');
sql("CREATE SCHEMA raw; IMPORT FOREIGN SCHEMA \"StandardODATA\" LIMIT TO (document_ЗаказПокупателя, document_ЗаказПокупателя_Запасы, catalog_СостоянияЗаказовПокупателей)
	FROM SERVER shop INTO raw");

# Where the store differs from the sets themselves; lines are read from a set of their own.
sub differences
{
	my $order = q{SELECT Ref_Key, Number, Date, Posted, DeletionMark, Контрагент_Key, СостояниеЗаказа::uuid, ВариантЗавершения, ДатаОтгрузки,
		СтруктурнаяЕдиницаПродажи_Key, Организация_Key, СуммаДокумента::numeric FROM raw.document_ЗаказПокупателя};
	my $line = q{SELECT Ref_Key, LineNumber, Номенклатура::uuid, Характеристика_Key, Количество::numeric, Цена::numeric, Всего::numeric FROM raw.document_ЗаказПокупателя_Запасы};
	my ($orders, $lines) = (q{SELECT order_id, number, date, posted, deletion_mark, customer_id, state_id, outcome, ship_at, store_id, organization_id, amount
		FROM onec.customer_order WHERE server = 'shop'}, q{SELECT order_id, line_no, product_id, variant_id, quantity, price, amount FROM onec.customer_order_line WHERE server = 'shop'});

	return sql(join ' UNION ALL ', map { my ($a, $b, $what) = @$_; "(SELECT '$what', x::text FROM ($a EXCEPT ALL $b) x LIMIT 3)" }
		[ $order, $orders, 'order missing' ], [ $orders, $order, 'order too many' ], [ $line, $lines, 'line missing' ], [ $lines, $line, 'line too many' ]);
}

sub is_equal
{
	my ($what) = @_;
	my $truth = $onec->control('GET', '/truth')->{orders};

	is(differences(), '', "$what: every order and line is as in 1C");
	is(sql("SELECT count(*), (SELECT count(*) FROM onec.customer_order_line WHERE server = 'shop'), sum(amount)::numeric(20,2),
			(SELECT sum(amount)::numeric(20,2) FROM onec.customer_order_line WHERE server = 'shop') FROM onec.customer_order WHERE server = 'shop'"),
		"$truth->{rows}|$truth->{lines}|$truth->{sum}|$truth->{line_sum}", "$what: as many, of the same sums, as 1C says itself");
	return;
}

OnecTest->part('orders', sub {
	whole();
	is_equal('first sync');
	ok(grep({ $_->{path} eq 'Document_ЗаказПокупателя' && $_->{query} =~ /Date ge datetime.*Date lt datetime/ } @{ $onec->control('GET', '/log') }), 'read by date');
	is(sql("SELECT count(*) > 0, bool_and(lines = '[]') FROM onec.customer_order o WHERE NOT EXISTS (SELECT FROM onec.customer_order_line l WHERE l.order_id = o.order_id)"), 't|t',
		'an order without lines is one');
	is(sql("SELECT count(*) > 0, bool_and(lines = (SELECT jsonb_agg(e ORDER BY (e ->> 'line_no')::int) FROM jsonb_array_elements(lines) e)) FROM onec.customer_order
		WHERE jsonb_array_length(lines) > 1"), 't|t', 'orders: their lines stand as in 1C');
	my $rows = sql("SELECT string_agg(xmin::text, ',' ORDER BY order_id) FROM onec.customer_order");
	days(30);
	is(written(), 0, 'a second run changes nothing');
	whole();
	is(sql("SELECT string_agg(xmin::text, ',' ORDER BY order_id) FROM onec.customer_order"), $rows, '… and writes no row');

	my ($old, $new) = split /\n/, sql("SELECT order_id FROM onec.customer_order WHERE lines <> '[]' ORDER BY date LIMIT 1; SELECT order_id FROM onec.customer_order ORDER BY date DESC LIMIT 1");
	edit(op => 'order_state', order => $new, state => 3);
	edit(op => 'order_line', order => $new);
	edit(op => 'order_new', lines => 4);
	edit(op => 'order_delete', order => $old, physically => \1);
	days(10);
	is(written(), 2, 'days that are read bring their edits only');
	whole();
	is_equal('edits of a state, of lines, a new order and one that is gone');
	edit(op => 'order_move', order => $new, days => 400);
	edit(op => 'order_line', order => $new, remove => \1);
	whole();
	is_equal('an order of another year');
	edit(op => 'random', n => 15, seed => $_), whole() for 1 .. 2;
	is_equal('random edits');
});

# ---- the same guarantees ----
OnecTest->part('proof', sub {
	whole();
	my $before = sql('SELECT count(*) FROM onec.customer_order');
	$onec->control('POST', '/faults', { match => 'Document_ЗаказПокупателя\?', body => '{"odata.metadata": "x", "value": []}', times => 1000 });
	whole();
	is(state() . sql('SELECT count(*) FROM onec.customer_order'), "incomplete$before", 'an answer of nothing deletes no order');
	$onec->control('POST', '/faults/clear', {});
	$onec->control('POST', '/faults', { match => 'Document_ЗаказПокупателя\?', replace => [ [ '"Запасы"', '"Запас"' ] ], times => 1000 });
	my $lines = sql('SELECT count(*) FROM onec.customer_order_line');
	whole();
	is(sql('SELECT count(*) FROM onec.customer_order_line'), $lines, 'orders that come without their section keep their lines');
	$onec->control('POST', '/faults/clear', {});
	whole();
	is(state(), 'ok', 'the next run is in order');
	is_equal('after faults');
});

# ---- forgotten and purged ----
OnecTest->part('people', sub {
	whole();
	my ($who, $count) = split /\|/, sql("SELECT customer_id, count(*) FROM onec.customer_order WHERE customer_id IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1");
	my $all = sql("SELECT count(*), sum(amount) FROM onec.customer_order");

	is(sql("SELECT rows FROM onec.forget('$who', dry_run => true) WHERE table_name = 'customer_order'"), $count, 'a dry run of forget tells of the orders');
	is(sql("SELECT rows FROM onec.forget('$who') WHERE table_name = 'customer_order'"), $count, 'forget finds them');
	is(sql("SELECT count(*), sum(amount) FROM onec.customer_order"), $all, 'they stay');
	whole();
	is(sql("SELECT count(*) FROM onec.customer_order WHERE customer_id = '$who'"), 0, '… of nobody, and the next run brings nobody back');
	is(written(), 0, 'nor writes it anything');
	my $older = sql("SELECT count(*) FROM onec.customer_order WHERE date < '2025-06-01'");
	cmp_ok($older, '>', 0, 'there are old orders');
	is(sql("SELECT rows FROM onec.purge('2025-06-01') WHERE table_name = 'customer_order'"), $older, 'people: purge deletes them');
	whole();
	is(sql("SELECT count(*) FROM onec.customer_order WHERE date < '2025-06-01'"), 0, 'they stay deleted');
	sql("UPDATE onec_internal.base SET purged_before = NULL; DELETE FROM onec.forgotten");
	whole();
	is_equal('whatever was forgotten and purged may be read again');
	sql("CREATE ROLE analyst; SELECT onec.grant_reader('analyst')");
	is(sql("SELECT has_table_privilege('analyst', 'onec.customer_order', 'SELECT'), has_table_privilege('analyst', 'onec.discount_card', 'SELECT')"), 't|f',
		'who reads what is said by the row');
});

# ---- a base without them ----
OnecTest->part('optional', sub {
	whole();
	my $count = sql('SELECT count(*) FROM onec.customer_order');
	sql("SELECT onec.set('endpoint.customer_order', 'Document_Нет', 'shop')");
	is(sql("SELECT entity_set, status FROM onec.setup('shop') WHERE target = 'customer_order'"), 'Document_Нет|not published', 'a base may not publish them');
	whole();
	is(sql("SELECT status FROM onec.sync_run ORDER BY run_id DESC LIMIT 1") . state(), 'oknot published', 'a run is in order without');
	is(sql('SELECT count(*) FROM onec.customer_order'), $count, 'and takes nothing away');
	is(sql("SELECT onec.lag_seconds('orders', 'shop') IS NULL"), 't', 'what is not published has no age');
	sql("SELECT onec.set('endpoint.customer_order', NULL, 'shop'); SELECT count(*) FROM onec.setup('shop')");
	whole();
	is(state(), 'ok', 'when it is published again it is read');
});

# ---- a row of somebody's own, for one base ----
OnecTest->part('own', sub {
	sql(q{CREATE SCHEMA mine; CREATE TABLE mine.own_state (server name NOT NULL, state_id uuid NOT NULL, name text, is_deleted boolean NOT NULL DEFAULT false,
			PRIMARY KEY (server, state_id));
		INSERT INTO onec.target (target, server, ordinal, step, title, source, entity_set, table_schema, table_name, unit, marks_deleted, people, erasure, purge, touches, is_open)
			VALUES ('own_state', 'shop', 1000, 'states', 'Состояния заказов', 'set', 'Catalog_СостоянияЗаказовПокупателей', 'mine', 'own_state', '{state_id}', true,
				'{}', 'none', 'none', '{}', false);
		INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key)
			VALUES ('own_state', 1, 'state_id', 'ref', '{Ref_Key}', true), ('own_state', 2, 'name', 'text', '{Description}', false)});
	is(sql("SELECT status, columns FROM onec.setup('shop') WHERE target = 'own_state'"), 'created|2', 'a row, a table and a list of fields are enough');
	sql("CALL onec.sync('shop', steps => '{states}')");
	is(sql('SELECT string_agg(name, \',\' ORDER BY name) FROM mine.own_state'), 'В работе,Готов к отгрузке,Завершён,Открыт', 'it is read');
	sql("CALL onec.sync('shop', steps => '{states}')");
	is(sql("SELECT status, rows_read, rows_inserted + rows_updated + rows_deleted FROM onec.sync_status WHERE target = 'own_state'"), 'ok|4|0', 'and again, writing nothing');
	OnecTest->server($node, $onec, name => 'branch', options => "timezone 'Europe/Moscow'");
	is(sql("SELECT count(*) FROM onec.setup('branch') WHERE target = 'own_state'"), 0, 'own: another base knows nothing of it');
	is(sql("SELECT (onec.diagnose('shop')).\"check\" INTERSECT SELECT 'own_state: rows'"), 'own_state: rows', 'diagnose looks at it');
	sql('DROP SERVER branch CASCADE; ALTER SERVER shop RENAME TO store');
	is(sql("SELECT server, (SELECT count(*) FROM mine.own_state WHERE server = 'store') FROM onec.target WHERE target = 'own_state'"), 'store|4',
		'it goes on where the server is called something else');
	sql('DROP SERVER store CASCADE');
	is(sql("SELECT rows FROM onec.forget_server('store') WHERE table_name IN ('mine.own_state', 'target') ORDER BY 1"), "1\n4", 'and goes with the server');
});

$node->stop;
done_testing();
