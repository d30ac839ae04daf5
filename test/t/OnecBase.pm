# Rows of a base for stubs to send: cards, sales and card sales as 1C writes them, of which a test says what differs from a plain one.
# Numbers make identifiers: card 2 is of customer 2, and everything is of product 1 in store 1.
#
#	hold($dir, $sales => [ sale(1, 1, '2026-04-01T10:00:00', Сумма => 700) ], $cards => [ card(1), card(2) ]);
package OnecBase;

use strict;
use warnings;
use utf8;

use Exporter 'import';
use JSON::PP;

our @EXPORT = qw($nobody $sales $card_sales $cards guid card sale card_sale hold);
our $nobody = '00000000-0000-0000-0000-000000000000';
our ($sales, $card_sales, $cards) =
  ('AccumulationRegister_Продажи_RecordType', 'AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType', 'Catalog_ДисконтныеКарты');

# The identifier of the object with this number, of this kind.
sub guid { return sprintf '%08x-0000-4000-8000-%012x', @_; }

sub card
{
	my ($number, %other) = @_;

	return { Ref_Key => guid(5, $number), Code => "$number", Description => "Карта $number", КодКартыШтрихкод => sprintf('7000%07d', $number),
		КодКартыМагнитный => '', ВладелецКарты_Key => guid(2, $number), Owner_Key => $nobody, КартаНедействительна => \0, DeletionMark => \0,
		DataVersion => 'A', IsFolder => \0, Predefined => \0, Parent_Key => $nobody, %other };
}

# What rows of both registers have.
sub _line
{
	my ($document, $line, $period) = @_;

	return (Recorder => guid(1, $document), Recorder_Type => 'StandardODATA.Document_ЧекККМ', LineNumber => "$line", Period => $period, Active => \1,
		Номенклатура_Key => guid(3, 1), Характеристика_Key => $nobody, Количество => 1, Сумма => 100);
}

# A row of the register of sales: document, line, period.
sub sale
{
	my ($document, $line, $period, %other) = @_;

	return { _line($document, $line, $period), Контрагент_Key => $nobody, Склад_Key => guid(4, 1), Организация_Key => $nobody,
		Документ => guid(1, $document), Документ_Type => 'StandardODATA.Document_ЧекККМ', СуммаНДС => 0, Себестоимость => 0, %other };
}

# A row of the register of sales by cards.
sub card_sale
{
	my ($document, $line, $period, $card, %other) = @_;

	return { _line($document, $line, $period), ДисконтнаяКарта_Key => guid(5, $card), ВладелецКарты_Key => guid(2, $card), Скидка => 0, %other };
}

# What the base has from now on, for a stub that reads "rows" of the directory: set => rows.
sub hold
{
	my ($dir, %sets) = @_;

	open(my $out, '>', "$dir/rows.new") or die "$dir/rows.new: $!";
	print $out encode_json(\%sets);
	close $out or die "$dir/rows.new: $!";
	rename "$dir/rows.new", "$dir/rows" or die "$dir/rows: $!";
	return;
}

1;
