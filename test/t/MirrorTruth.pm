# What mirrors are compared with: all rows of the sets of a base, asked of it past the extension, and what $metadata says of their
# properties.  Shares no code with the extension: the document is read here by patterns, values are turned in SQL of this file.
#
#	my $truth = MirrorTruth->new($node, $onec);
#	$truth->load;                                        # all sets, as they are now
#	is($truth->differences('m.catalog_x', 'Catalog_X'), '', 'equal');
package MirrorTruth;

use strict;
use warnings;
use utf8;

use HTTP::Tiny;
use OnecTest;

my $ZERO = '00000000-0000-0000-0000-000000000000';

sub new
{
	my ($class, $node, $onec) = @_;
	my $self = bless { node => $node, root => $onec->url =~ s{//}{//demo:demo@}r . '/odata/standard.odata/' }, $class;

	OnecTest->rows($node, 'CREATE SCHEMA IF NOT EXISTS truth; CREATE TABLE IF NOT EXISTS truth.row (set text, r jsonb)');
	return $self;
}

sub _get
{
	my ($self, $what) = @_;
	(my $path = $what) =~ s/([^A-Za-z0-9_.\/?&=\$-])/join '', map { sprintf '%%%02X', ord } split m{}, _bytes($1)/ge;
	my $answer = HTTP::Tiny->new->get($self->{root} . $path);

	die "$what: $answer->{status} $answer->{content}" unless $answer->{success};
	utf8::decode($answer->{content});
	return $answer->{content};
}

sub _bytes { my ($text) = @_; utf8::encode($text); return $text; }

# Sets by name: { key => [names], properties => [[name, type], …] }.
sub load
{
	my ($self) = @_;
	my $document = $self->_get('$metadata');
	my $sql = 'TRUNCATE truth.row;';

	$self->{sets} = {};
	while ($document =~ m{<EntityType Name="([^"]+)".*?</EntityType>}gs)
	{
		my ($name, $text) = ($1, $&);

		$self->{sets}{$name} = { key => [ $text =~ /<PropertyRef Name="([^"]+)"/g ], properties => [] };
		push @{ $self->{sets}{$name}{properties} }, [ $1, $2 ] while $text =~ /<Property Name="([^"]+)" Type="([^"]+)"/g;
		$sql .= "INSERT INTO truth.row SELECT '$name', r FROM jsonb_array_elements((\$onec\$" . $self->_get("$name?\$format=json") . "\$onec\$::jsonb) -> 'value') r;\n";
	}
	OnecTest->rows($self->{node}, $sql);
	return $self;
}

sub sets { my ($self) = @_; my @sets = sort keys %{ $self->{sets} }; return @sets; }

# A property's value as a mirror has it; empty references and dates are NULL, but in keys.
sub _value
{
	my ($name, $type, $is_key) = @_;
	my $text = "(r ->> '$name')";

	return "r -> '$name'" if $type =~ /^Collection/;
	return "decode($text, 'base64')" if $type =~ /Binary|Stream/;
	my ($empty, $cast) = $type eq 'Edm.Guid' ? ($ZERO, 'uuid') : $type eq 'Edm.DateTime' ? ('0001-01-01T00:00:00', 'timestamp')
	  : $type eq 'Edm.String' ? (undef, 'text') : $type eq 'Edm.Boolean' ? (undef, 'boolean') : (undef, 'numeric');
	my $value = defined $empty ? "nullif($text, '$empty')" : $text;

	return $is_key && defined $empty ? "coalesce($value, '$empty')::$cast" : "($value)::$cast";
}

sub columns
{
	my ($self, $set, %options) = @_;

	return grep { $options{binary} || $_->[1] !~ /Binary|Stream/ || $_->[0] eq 'DataVersion' } @{ $self->{sets}{$set}{properties} };
}

# Where a table differs from a set: up to three rows of each kind, '' where there are none.  Options: binary => 1, names => { property => column },
# where => a condition on both.
sub differences
{
	my ($self, $table, $set, %options) = @_;
	my %key = map { $_ => 1 } @{ $self->{sets}{$set}{key} };
	my @columns = $self->columns($set, %options);
	my $names = join ', ', map { my $c = $options{names}{ $_->[0] } || ($_->[0] =~ tr/A-Z/a-z/r); '"' . $c . '"' . ($_->[1] =~ /Int/ ? '::numeric' : '') } @columns;
	my $here = "SELECT $names FROM $table";
	my $there = 'SELECT ' . join(', ', map { _value(@$_, $key{ $_->[0] }) } @columns) . " FROM truth.row WHERE set = '$set'";

	return OnecTest->rows($self->{node}, join ' UNION ALL ', map { my ($a, $b, $what) = @$_; "(SELECT '$set: $what', x::text FROM ($a EXCEPT ALL $b) x LIMIT 3)" }
		[ $there, $here, 'missing' ], [ $here, $there, 'too many' ]);
}

1;
