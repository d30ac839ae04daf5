# A hostile search_path: the owner of the database, no superuser, plants in a schema that goes before pg_catalog an operator for
# each name and pair of types that the store uses, a function for each name of pg_catalog that the extension's code holds, domains with
# the names of types and views with those of catalogs.  Each of them counts whoever comes to run it.
#
#	my $traps = OnecTraps->plant($node, 'role');    # {operators, functions}: how many
#	my $r = $traps->run('SELECT 1');                # as superuser with that path: {sprung, stderr, sqlstate …}
#	for ($traps->calls) { … }                       # {name, sql, state}: every public routine and view there is, by the catalog
#	print $traps->sprung;                           # what the server's log tells of traps since the last call
package OnecTraps;

use strict;
use warnings;
use utf8;

use OnecTest;
use PostgreSQL::Test::Utils;

# Values for arguments without a default, by routine and argument, by argument; and errors that are in order.
my %value = (
	server => "'shop'", key => "'70000000002'", customer => "'70000000002'", product => "pg_catalog.gen_random_uuid()", role => "'visitor'",
	env => "'CUSTOMER_SYNC_INTERVAL_HOURS=4'", entity_set => "'Catalog_Номенклатура'", local_schema => "'imported'", before => "'2020-01-01'",
	cut_date => "'2026-05-23'", phone => "'+7 000 000-00-02'", value => '5', cuts => "'{1,2,3}'", job => "'housekeeping'",
	'set.key' => "'check_unit'", 'set.value' => "'receipt'", 'get.key' => "'check_unit'", 'moment.local' => "'2026-05-01 10:00'", 'load_rfm_segments.name' => "'shopify'",
	# what is written to 1C
	order_id => 'pg_catalog.gen_random_uuid()', 'allow_write.entity_sets' => "'{Catalog_Контрагенты}'", 'changes_since.position' => '0', id => '1',
	'enqueue.operation' => "'mark'", 'mirror.people' => "'none'", mirror => "'mirrored'", 'outbox_edit.body' => q('{"Description": "x"}'), 'set_write_default.field' => "'unit'", 'set_write_default.value' => "'5'",
	'write_status.key' => 'pg_catalog.gen_random_uuid()', 'place_order.order' => q('{"customer": "00000000-0000-4000-8000-000000000001", "lines": []}'),
	'setup.partition' => "'year'", card => 'pg_catalog.gen_random_uuid()', 'issue_card.card' => q('{"barcode": "70000000009"}'), points => '1',
	map({ $_ . '.key' => 'pg_catalog.gen_random_uuid()' } qw(mark_deleted post_document unpost_document)),
	map({ $_ . '.customer' => 'pg_catalog.gen_random_uuid()' } qw(issue_card change_contact)),
	map({ $_ => '2' } qw(x t_x r a b p q m v spend horizon)), t => '9', alpha => '3');
my %state = (check_loyalty => '42P01', schedule => '0A000', forget_server => '55006', take_exchange_node => '55000',
	map({ $_ => '22023|22004|P0002|55000|42704|02000' } qw(award_points spend_points issue_card change_contact create_customer place_order enqueue mark_deleted post_document
		unpost_document set_write_default setup_write unmirror outbox_edit outbox_retry outbox_skip rehearse mirror)));
# Arguments that have a default, but lead another way.
my @more = (
	"CALL onec.sync('shop', full_reload => true)", "CALL onec.sync('shop', days => 40, deep => true)", "CALL onec.sync('shop', cards_limit => 7)",
	"CALL onec.sync_purchases('shop', \"from\" => '2026-01-10', \"to\" => '2026-02-20')", "CALL onec.sync_purchases('shop', customer => '70000000002')",
	map("CALL onec.run_job('$_', 'shop')", qw(interval nightly weekly housekeeping)), "CALL onec.run_now('nightly', 'shop')",
	"SELECT f.* FROM (SELECT pg_catalog.max(phone) AS phone FROM onec.site_user) u, LATERAL onec.forget(u.phone, 'shop') f", "SELECT * FROM onec.recommend('70000000002', 5, 'shop', '2026-05-01')",
	'ANALYZE shop.product', "IMPORT FOREIGN SCHEMA \"Catalog\" FROM SERVER shop INTO imported_too",
	"SELECT count FROM onec.server_capability, (SELECT pg_catalog.count(*) FROM shop.sale_line) x");

sub _as_owner
{
	my ($self, $sql) = @_;
	my $r = OnecTest->try($self->{node}, $sql, user => $self->{role});

	die $r->{stderr} if $r->{sqlstate} ne '00000';
	return $r->{stdout};
}

sub plant
{
	my ($class, $node, $role) = @_;
	my $self = bless { node => $node, role => $role }, $class;

	$node->safe_psql('postgres', "CREATE ROLE $role LOGIN; ALTER DATABASE postgres OWNER TO $role; CREATE ROLE visitor;
		CREATE SCHEMA imported; CREATE SCHEMA imported_too;
		GRANT USAGE ON SCHEMA onec TO $role");
	my $sql = do { local $/; <DATA> };
	utf8::encode($sql);
	($self->{operators}, $self->{functions}) = $self->_as_owner($sql) =~ /(\d+)\|(\d+)\s*$/;
	$self->sprung;
	return $self;
}

# How many times any trap was sprung.
sub _fired
{
	my ($self) = @_;

	return $self->{node}->safe_psql('postgres', 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM evil.fired');
}

sub run
{
	my ($self, $sql) = @_;

	utf8::encode($sql) if utf8::is_utf8($sql);
	my $before = $self->{fired} // $self->_fired;
	my $r = OnecTest->try($self->{node}, "SET search_path = evil, pg_catalog;\n$sql");
	$self->{fired} = $self->_fired;
	$r->{sprung} = $self->{fired} - $before;
	return $r;
}

sub calls
{
	my ($self) = @_;
	my @calls;
	my $routines = $self->{node}->safe_psql('postgres', q{
		SELECT p.proname, p.prokind, array_to_string(p.proargnames[1:p.pronargs - p.pronargdefaults], ',')
		FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
		WHERE p.pronamespace = 'onec'::regnamespace AND p.proname !~ '^_|^onec_fdw_' AND t.typname NOT IN ('trigger', 'event_trigger')
		ORDER BY p.proname});

	for (split /\n/, $routines)
	{
		my ($name, $kind, $names) = split /\|/;
		my @arguments = map { defined $value{"$name.$_"} ? $value{"$name.$_"} : defined $value{$_} ? $value{$_} : "/* no value for $name.$_ */" } split /,/, $names || '';
		my $call = "onec.$name(" . join(', ', @arguments) . ')';

		push @calls, { name => $name, state => $state{$name}, sql => $kind eq 'p' ? "CALL $call" : "SELECT * FROM $call" };
	}
	push @calls, map({ { name => $_, sql => $_ } } @more);
	push @calls, map({ { name => "view $_", sql => "SELECT * FROM onec.$_" } } split /\n/, $self->{node}->safe_psql('postgres',
			"SELECT relname FROM pg_class WHERE relnamespace = 'onec'::regnamespace AND relkind = 'v' ORDER BY 1"));
	# what takes away comes last
	my $takes = qr/onec\.(?:forget|purge|unschedule)/;
	return ((grep { $_->{sql} !~ $takes } @calls), grep { $_->{sql} =~ $takes } @calls);
}

sub sprung
{
	my ($self) = @_;
	my $log = slurp_file($self->{node}->logfile, $self->{at} || 0);

	$self->{at} = -s $self->{node}->logfile;
	return $log =~ /(trap sprung [^\n]*\n(?:[^\n]*CONTEXT:[^\n]*\n(?:\t[^\n]*\n)*)?)/g;
}

1;

__DATA__
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE SEQUENCE evil.fired;
GRANT ALL ON SEQUENCE evil.fired TO PUBLIC;
CREATE FUNCTION evil.spring(what pg_catalog.text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	PERFORM nextval('evil.fired');
	RAISE LOG 'trap sprung by %: %', current_user, what;
	RETURN true;
END $$;

-- a function that springs and returns nothing; whatever cannot be made is none
CREATE FUNCTION evil.trap(name pg_catalog.text, arguments pg_catalog.text, returns pg_catalog.text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
	EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql SET search_path = pg_catalog AS %L', name, arguments, returns,
		format('BEGIN PERFORM evil.spring(%L); RETURN%s; END', name || '(' || arguments || ')', CASE WHEN returns LIKE 'SETOF%' THEN '' ELSE ' NULL' END));
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RETURN false;
END $$;

-- the types of the store, of its routines and what they make of them
CREATE TABLE evil.used AS
	SELECT DISTINCT t.oid, format_type(t.oid, NULL) AS name FROM pg_type t
	WHERE t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace
	  AND (t.oid IN (SELECT a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND a.attnum > 0)
		   OR t.oid IN (SELECT unnest(p.proargtypes || coalesce(p.proallargtypes, '{}')) FROM pg_proc p WHERE p.pronamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace))
		   OR t.oid = ANY ('{interval,time,oid,"\"char\"",name[],date[],xid,tid,float8,regclass,json,jsonb}'::regtype[]));

CREATE TABLE evil.planted (kind text, what text);
DO $$
DECLARE
	t record;
	o record;
	answer text;
BEGIN
	FOR t IN SELECT l.name AS l, r.name AS r FROM evil.used l, evil.used r LOOP
		PERFORM evil.trap('op_boolean', format('%s, %s', t.l, t.r), 'boolean'), evil.trap('op_same', format('%s, %s', t.l, t.r), t.l);
		FOR o IN SELECT * FROM unnest('{=,<>,<,>,<=,>=,~,!~,~*,!~*,~~,!~~,~~*,!~~*,@>,<@,&&,+,-,*,/,%,||,->,->>,#>>,^}'::text[]) WITH ORDINALITY o (name, n) LOOP
			EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%s)', o.name, t.l, t.r,
				CASE WHEN o.n <= 17 THEN 'op_boolean' ELSE 'op_same' END);
			INSERT INTO evil.planted VALUES ('operator', o.name);
		END LOOP;
	END LOOP;
	-- functions whose name stands before a parenthesis somewhere in the extension's code
	FOR t IN
		SELECT p.oid, p.proname, p.prokind, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
		FROM pg_proc p
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.proname <> 'nextval'
		  AND EXISTS (SELECT FROM pg_proc x WHERE x.pronamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND coalesce(x.prosrc, '') ~ ('\m' || p.proname || '\('))
	LOOP
		IF t.prokind = 'f' THEN
			-- formats and the like: as many arguments as they have there, of text
			FOREACH answer IN ARRAY CASE WHEN t.arguments ~ 'VARIADIC "any"' THEN
				ARRAY[replace(t.arguments, 'VARIADIC "any"', 'text'), replace(t.arguments, 'VARIADIC "any"', 'name'), replace(t.arguments, 'VARIADIC "any"', 'text, text'),
					  replace(t.arguments, 'VARIADIC "any"', 'name, text'), replace(t.arguments, 'VARIADIC "any"', 'name, name'), replace(t.arguments, 'VARIADIC "any"', 'text, text, text')]
				ELSE ARRAY[regexp_replace(t.arguments, 'DEFAULT [^,]+', 'DEFAULT NULL', 'g')] END LOOP
				IF evil.trap(t.proname, answer, t.result) THEN
					INSERT INTO evil.planted VALUES ('function', t.proname);
				END IF;
			END LOOP;
		ELSIF t.arguments !~ 'ORDER BY|internal' THEN
			answer := CASE WHEN t.result ~ '^any|record|internal' THEN 'text' ELSE t.result END;
			t.arguments := replace(t.arguments, '"any"', 'anyelement');
			IF evil.trap('step_' || t.proname, concat_ws(', ', answer, nullif(t.arguments, '')), answer) THEN
				EXECUTE format('CREATE AGGREGATE evil.%I(%s) (SFUNC = evil.%I, STYPE = %s)', t.proname, coalesce(nullif(t.arguments, ''), '*'), 'step_' || t.proname, answer);
				INSERT INTO evil.planted VALUES ('function', t.proname);
			END IF;
		END IF;
	END LOOP;
	FOR t IN SELECT c.relname FROM pg_class c
			 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
			   AND EXISTS (SELECT FROM pg_proc x WHERE x.pronamespace IN ('onec'::regnamespace, 'onec_internal'::regnamespace) AND coalesce(x.prosrc, '') ~ ('\m' || c.relname || '\M')) LOOP
		BEGIN
			EXECUTE format('CREATE VIEW evil.%I AS SELECT * FROM pg_catalog.%1$I WHERE evil.spring(%L)', t.relname, 'catalog ' || t.relname);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	-- the names of types last: from here on none of them can be used without its schema
	FOR t IN SELECT y.typname FROM evil.used u JOIN pg_type y ON y.oid = u.oid WHERE y.typname !~ '^_' AND y.typname <> 'char' LOOP
		EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%1$I CHECK (evil.spring(%L))', t.typname, 'type ' || t.typname);
	END LOOP;
	CREATE TYPE evil.record AS (nothing boolean);
	GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;
END $$;
SELECT pg_catalog.count(*) FILTER (WHERE kind = 'operator'), pg_catalog.count(*) FILTER (WHERE kind = 'function') FROM evil.planted;
