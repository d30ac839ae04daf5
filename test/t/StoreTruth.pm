# What the store ought to hold, from the rows of the base itself: tables truth.* beside onec.*, and the questions that a run
# through lies has to stand.  Shares nothing with the extension: which property is which column is written down here again.
#
#	StoreTruth->create($node);                   # schemas truth and before
#	StoreTruth->load($node, $liar);              # the rows of the base as they are now
#	StoreTruth->remember($node, 'shop');         # the store as it is now
#	my @bad = StoreTruth->harmed($node, 'shop', $days, $fewest);  # true rows that were here and are gone or worse, and the like,
#	                                             # after a run of so many days (undef: a full one)
#	my @sets = StoreTruth->strangers($node, 'shop');  # take "force"
#	my @bad = StoreTruth->inexact($node, 'shop');
#
# Of a demo 1C with --site also what only a site shows, but for stock and prices, which functions of registers give:
#
#	StoreTruth->of_site;                         # before create
#	my @bad = StoreTruth->differences($node, 'shop', StoreTruth->site_tables);
#	my @bad = StoreTruth->wrong_pictures($node, 'shop', $onec->control('GET', '/truth')->{pictures}, $max_bytes);
package StoreTruth;

use strict;
use warnings;
use utf8;

use OnecTest;

my $recorder = 'recorder=u:Recorder recorder_type=t:Recorder_Type line_no=n:LineNumber';

# Table: set, key columns, other columns; each column=kind:property, of kind text, u(uid), n(umber), b(oolean), d(ate), t(ype),
# l(ines).
my %tables = (
	discount_card => [ 'Catalog_ДисконтныеКарты', 'card_id=u:Ref_Key', 'code=:Code description=:Description
		barcode=:КодКартыШтрихкод magnetic_code=:КодКартыМагнитный owner_id=u:ВладелецКарты_Key kind_id=u:Owner_Key
		is_invalid=b:КартаНедействительна deletion_mark=b:DeletionMark' ],
	counterparty => [ 'Catalog_Контрагенты', 'customer_id=u:Ref_Key', 'code=:Code name=:Description full_name=:НаименованиеПолное
		parent_id=u:Parent_Key is_folder=b:IsFolder phone=:НомерТелефонаДляПоиска email=:АдресЭПДляПоиска
		birth_date=d:ДатаРождения created_at=d:ДатаСоздания gender=:Пол deletion_mark=b:DeletionMark' ],
	counterparty_contact => [ 'Catalog_Контрагенты_КонтактнаяИнформация', 'customer_id=u:Ref_Key line_no=n:LineNumber',
		'kind=:Тип presentation=:Представление phone=:НомерТелефона email=:АдресЭП' ],
	product => [ 'Catalog_Номенклатура', 'product_id=u:Ref_Key', 'code=:Code article=:Артикул name=:Description
		parent_id=u:Parent_Key is_folder=b:IsFolder category_id=u:КатегорияНоменклатуры_Key brand_id=u:Производитель_Key
		deletion_mark=b:DeletionMark' ],
	category => [ 'Catalog_КатегорииНоменклатуры', 'category_id=u:Ref_Key', 'code=:Code name=:Description parent_id=u:Parent_Key
		is_folder=b:IsFolder deletion_mark=b:DeletionMark' ],
	brand => [ 'Catalog_Производители', 'brand_id=u:Ref_Key', 'code=:Code name=:Description deletion_mark=b:DeletionMark' ],
	store => [ 'Catalog_СтруктурныеЕдиницы', 'store_id=u:Ref_Key', 'code=:Code name=:Description parent_id=u:Parent_Key
		deletion_mark=b:DeletionMark' ],
	sale_line => [ 'AccumulationRegister_Продажи_RecordType', $recorder, 'period=d:Period active=b:Active
		product_id=u:Номенклатура_Key variant_id=u:Характеристика_Key store_id=u:Склад_Key organization_id=u:Организация_Key
		document_id=u:Документ document_type=t:Документ_Type quantity=n:Количество amount=n:Сумма cost=n:Себестоимость' ],
	card_sale_line => [ 'AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType', $recorder, 'period=d:Period active=b:Active
		card_id=u:ДисконтнаяКарта_Key owner_id=u:ВладелецКарты_Key product_id=u:Номенклатура_Key
		variant_id=u:Характеристика_Key quantity=n:Количество amount=n:Сумма discount=n:Скидка' ],
	receipt_journal => [ 'DocumentJournal_РозничныеПродажи', 'document_id=u:Ref document_type=t:Ref_Type', 'date=d:Date
		number=:Number posted=b:Posted deletion_mark=b:DeletionMark amount=n:Сумма receipt_number=i:НомерЧека
		customer_id=u:Покупатель_Key till_id=u:КассаККМ_Key organization_id=u:Организация_Key' ],
	loyalty_movement => [ 'AccumulationRegister_БонусныеБаллы_RecordType', $recorder, 'period=d:Period active=b:Active
		kind=:RecordType card_id=u:БонуснаяКарта_Key granted_on=d:ДатаПервоначальногоНачисления accrued=n:Начислено
		spent=n:КСписанию' ],
	loyalty_lot => [ 'AccumulationRegister_НачисленияБонусныхБаллов_RecordType', $recorder, 'period=d:Period active=b:Active
		card_id=u:БонуснаяКарта_Key owner_id=u:ВладелецКарты_Key amount=n:Сумма' ],
	customer_order => [ 'Document_ЗаказПокупателя', 'order_id=u:Ref_Key', 'number=:Number date=d:Date posted=b:Posted
		deletion_mark=b:DeletionMark customer_id=u:Контрагент_Key state_id=u:СостояниеЗаказа outcome=:ВариантЗавершения
		ship_at=d:ДатаОтгрузки store_id=u:СтруктурнаяЕдиницаПродажи_Key organization_id=u:Организация_Key
		amount=n:СуммаДокумента lines=l:Запасы' ],
);
# What only a site shows.
my %site = (
	unit => [ 'Catalog_КлассификаторЕдиницИзмерения', 'unit_id=u:Ref_Key', 'code=:Code name=:Description full_name=:НаименованиеПолное deletion_mark=b:DeletionMark' ],
	vat_rate => [ 'Catalog_СтавкиНДС', 'vat_rate_id=u:Ref_Key', 'name=:Description rate=n:Ставка deletion_mark=b:DeletionMark' ],
	product_variant => [ 'Catalog_ХарактеристикиНоменклатуры', 'variant_id=u:Ref_Key', 'product_id=u:Owner code=:Code name=:Description
		print_name=:НаименованиеДляПечати deletion_mark=b:DeletionMark' ],
	property_name => [ 'ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения', 'property_id=u:Ref_Key', 'name=:Description title=:Заголовок deletion_mark=b:DeletionMark' ],
	property_value => [ 'Catalog_ЗначенияСвойствОбъектов', 'value_id=u:Ref_Key', 'property_id=u:Owner_Key name=:Description deletion_mark=b:DeletionMark' ],
	product_property => [ 'Catalog_Номенклатура_ДополнительныеРеквизиты', 'product_id=u:Ref_Key line_no=n:LineNumber', 'property_id=u:Свойство_Key value=:Значение
		value_type=t:Значение_Type long_text=:ТекстоваяСтрока' ],
	currency => [ 'Catalog_Валюты', 'currency_id=u:Ref_Key', 'code=:Code name=:Description deletion_mark=b:DeletionMark' ],
	price_kind => [ 'Catalog_ВидыЦен', 'kind_id=u:Ref_Key', 'code=:Code name=:Description currency_id=u:ВалютаЦены_Key with_vat=b:ЦенаВключаетНДС deletion_mark=b:DeletionMark' ],
	price_history => [ 'InformationRegister_ЦеныНоменклатуры', 'product_id=u:Номенклатура_Key variant_id=u:Характеристика_Key kind_id=u:ВидЦен_Key since=d:Period',
		'price=n:Цена is_actual=b:Актуальность' ],
	order_state => [ 'Catalog_СостоянияЗаказовПокупателей', 'state_id=u:Ref_Key', 'code=:Code name=:Description deletion_mark=b:DeletionMark' ],
	order_payment => [ 'AccumulationRegister_ОплатаСчетовИЗаказов_RecordType', $recorder, 'period=d:Period active=b:Active order_id=u:СчетНаОплату paid=n:СуммаОплаты
		advance=n:СуммаАванса' ],
	order_shipment => [ 'AccumulationRegister_ЗаказыПокупателей_RecordType', $recorder, 'period=d:Period active=b:Active kind=:RecordType order_id=u:ЗаказПокупателя_Key
		product_id=u:Номенклатура_Key variant_id=u:Характеристика_Key quantity=n:Количество' ],
	product_file => [ 'Catalog_НоменклатураПрисоединенныеФайлы', 'file_id=u:Ref_Key', 'version=:DataVersion product_id=u:ВладелецФайла_Key name=:Description
		extension=:Расширение size=n:Размер deletion_mark=b:DeletionMark' ],
	stored_file => [ 'InformationRegister_ХранилищеФайлов', 'file_id=u:Файл', 'storage_id=u:ХранилищеДвоичныхДанных_Key' ],
);
my $card_of_product = 'full_name=:НаименованиеПолное barcode=:Штрихкод description=:Описание unit_id=u:ЕдиницаИзмерения_Key vat=:СтавкаНДС_Key picture_id=u:ФайлКартинки_Key';

# Tabular sections, as the column of kind "l" has them.
my %sections = (
	'Document_ЗаказПокупателя_Запасы' => 'line_no=n:LineNumber product_id=u:Номенклатура variant_id=u:Характеристика_Key
		quantity=n:Количество price=n:Цена amount=n:Всего',
);
my %casts = (u => '::uuid', n => '::numeric', b => '::boolean', d => '::timestamp', '' => '', i => '');
my %is_catalog = map { $_ => 1 } qw(discount_card counterparty product category brand store unit vat_rate product_variant property_name property_value currency
	price_kind order_state product_file stored_file);

sub tables { return sort keys %tables; }

# What a site shows: its own tables, and those of the shop that it shows more of.
sub site_tables { return sort keys %site, 'product', 'customer_order'; }

sub of_site
{
	%tables = (%tables, %site);
	$tables{product}[2] .= " $card_of_product";
	return;
}

sub _columns
{
	my ($text) = @_;

	return map { [ /^(\w+)=(\w?):(\S+)$/ ] } split ' ', $text;
}

sub _names { return map { $_->[0] } map { _columns($_) } @_; }

sub _value
{
	my ($kind, $property, $set) = @_;

	return "(SELECT coalesce(jsonb_agg(jsonb_build_object(" . join(', ', map { "'$_->[0]', (s.r ->> '$_->[2]')$casts{$_->[1]}" } _columns($sections{"${set}_$property"})) .
	  ") ORDER BY (s.r ->> 'LineNumber')::int), '[]') FROM truth.row s WHERE s.set = '${set}_$property' AND s.r ->> 'Ref_Key' = o.r ->> 'Ref_Key')" if $kind eq 'l';
	return "regexp_replace(r ->> '$property', '^StandardODATA\\.', '')" if $kind eq 't';
	return "(r ->> '$property')$casts{$kind}";
}

sub _run
{
	my ($node, $sql) = @_;
	my $answer = OnecTest->try_text($node, $sql);

	die "$answer->{stderr}\n" . substr($sql, 0, 2000) if $answer->{sqlstate} ne '00000';
	return grep { $_ ne '' } split /\n/, $answer->{stdout};
}

sub create
{
	my ($class, $node) = @_;

	_run($node, 'CREATE SCHEMA truth; CREATE SCHEMA before; CREATE TABLE truth.row (set text, r jsonb);' .
		join('', map { "CREATE TABLE before.$_ AS TABLE onec.$_ WITH NO DATA;" } $class->tables) .
		join('', map { my $t = $_; my ($set, @columns) = @{ $tables{$t} };
			"CREATE VIEW truth.${t}_now AS SELECT " . join(', ', map { _value($_->[1], $_->[2], $set) . " AS $_->[0]" } map { _columns($_) } @columns) .
			" FROM truth.row o WHERE o.set = '$set'; CREATE TABLE truth.$t AS TABLE truth.${t}_now;" } $class->tables) .
		# who bought: the row says it, or the row of the card register beside it, or its card, if that is still there
		q{CREATE VIEW truth.buyer AS
			SELECT s.recorder, s.recorder_type, s.line_no, coalesce(r.customer_id, c.owner_id, d.owner_id) AS customer_id
			FROM truth.sale_line s
			JOIN (SELECT (r ->> 'Recorder')::uuid AS recorder, (r ->> 'LineNumber')::numeric AS line_no, (r ->> 'Контрагент_Key')::uuid AS customer_id
				FROM truth.row WHERE set = 'AccumulationRegister_Продажи_RecordType') r USING (recorder, line_no)
			LEFT JOIN truth.card_sale_line c USING (recorder, recorder_type, line_no)
			LEFT JOIN truth.discount_card d ON d.card_id = c.card_id
			WHERE coalesce(r.customer_id, c.owner_id, d.card_id) IS NOT NULL OR c.card_id IS NULL});
	return;
}

# Of some tables only, if they are named.
sub load
{
	my ($class, $node, $liar, @of) = @_;
	my @tables = @of ? @of : $class->tables;
	my $json = $liar->control_text('GET', '/rows?sets=' . join(',', map { _encoded($_) } (map { $tables{$_}[0] } @tables), sort keys %sections));

	utf8::decode($json);
	_run($node, "TRUNCATE truth.row; INSERT INTO truth.row SELECT e.key, jsonb_array_elements(e.value) FROM jsonb_each(\$rows\$$json\$rows\$::jsonb) e;" .
		join('', map { "TRUNCATE truth.$_; INSERT INTO truth.$_ TABLE truth.${_}_now; ANALYZE truth.$_;" } @tables));
	return;
}

sub _encoded
{
	my ($text) = @_;

	utf8::encode($text);
	$text =~ s/([^A-Za-z0-9_])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

sub remember
{
	my ($class, $node, $server) = @_;

	_run($node, join '', map { "TRUNCATE before.$_; INSERT INTO before.$_ SELECT * FROM onec.$_ WHERE server = '$server'; ANALYZE before.$_;" } $class->tables);
	return;
}

# What a run through lies must not do.  Each line says which table, what, how many, and one of them.  "days" are those of the run,
# "fewest" the fewest that it or a run before it had, since what is here was remembered: what has moved out of them may be gone, and
# a document, of which part lies in them, half new.
sub harmed
{
	my ($class, $node, $server, $days, $fewest) = @_;
	my $last = "(SELECT max(run_id) FROM onec.sync_run WHERE server = '$server')";
	my $sql = join "\nUNION ALL\n", map {
		my $t = $_;
		my @keys = _names($tables{$t}[1]);
		my ($using, $row) = (join(', ', @keys), join(', ', _names(@{ $tables{$t} }[ 1, 2 ])));
		my ($live, $target) = ($is_catalog{$t} ? 'AND NOT b.is_deleted' : '', $t eq 'receipt_journal' ? 'receipt' : $t);
		my $date = $using =~ /recorder/ ? 'period' : $t =~ /^(receipt_journal|customer_order)$/ ? 'date' : undef;
		# what has moved out of the days of the run is not looked for
		my ($still, $asked) = map { defined $date && defined $$_[1] ? "AND $$_[0].$date >= current_date - $$_[1]" : '' } [ 't', $fewest ], [ 'b', $days ];
		my $here = "(SELECT * FROM onec.$t a WHERE a.server = '$server'" . ($is_catalog{$t} ? ' AND NOT a.is_deleted)' : ')');
		my %of = map { my $side = $_; $side => 'ROW(' . join(', ', map { "$side.$_" } _names(@{ $tables{$t} }[ 1, 2 ])) . ')' } qw(a b t);

		(_found($t, 'true rows are gone', "SELECT $using FROM before.$t b JOIN truth.$t t USING ($using) LEFT JOIN $here a USING ($using) WHERE a.server IS NULL $live $still", $using),
			# of a key that came twice several rows may be here: one of them is what was here, or what is true
			_found($t, 'true rows are changed for the worse', "SELECT $using FROM before.$t b JOIN truth.$t t USING ($using) JOIN $here a USING ($using)
				WHERE true $live GROUP BY $using HAVING NOT bool_or($of{a} IS NOT DISTINCT FROM $of{b} OR $of{a} IS NOT DISTINCT FROM $of{t})", $using),
			_found($t, 'rows that 1C no longer has stay, and the step is ok', "SELECT $using FROM before.$t b JOIN $here a USING ($using)
				LEFT JOIN truth.$t t USING ($using) JOIN onec.sync_step s ON s.server = '$server' AND s.run_id = $last AND s.target = '$target' AND s.status = 'ok'
				AND NOT s.truncated WHERE t.* IS NULL $live $asked", $using),
			$using =~ /recorder/ && !defined $fewest ? _found($t, 'documents are half old, half new', "SELECT recorder, 1 FROM $here a LEFT JOIN before.$t b USING ($using) LEFT JOIN truth.$t t USING ($using)
				GROUP BY recorder HAVING bool_or($of{a} IS NOT DISTINCT FROM $of{b} AND $of{a} IS DISTINCT FROM $of{t})
				AND bool_or($of{a} IS NOT DISTINCT FROM $of{t} AND $of{a} IS DISTINCT FROM $of{b})", 'recorder') : ())
	} $class->tables;

	return _run($node, "$sql UNION ALL " . _found('sale_line', 'buyers are lost', "SELECT b.recorder, b.line_no, b.attribution AS was, a.attribution AS is_now, a.copy
		FROM before.sale_line b JOIN truth.sale_line s USING (recorder, recorder_type, line_no)
		JOIN truth.buyer t USING (recorder, recorder_type, line_no) JOIN onec.sale_line a USING (recorder, recorder_type, line_no)
		WHERE a.server = '$server' AND b.customer_id = t.customer_id AND a.customer_id IS DISTINCT FROM t.customer_id
		-- of a line that came twice with two sums, the one that is made up has no buyer
		AND (ROW(a.product_id, a.amount) IS NOT DISTINCT FROM ROW(b.product_id, b.amount) OR ROW(a.product_id, a.amount) IS NOT DISTINCT FROM ROW(s.product_id, s.amount))",
			'recorder, line_no, was, is_now, copy')
		. " UNION ALL " . _found('site_user', 'users are switched off', "SELECT u.user_id, 1 FROM before.discount_card b
		JOIN truth.discount_card t USING (card_id) JOIN onec.site_user u ON u.server = '$server' AND u.user_id = b.owner_id
		WHERE t.owner_id = b.owner_id AND NOT u.is_active AND NOT b.is_invalid AND NOT t.is_invalid AND NOT b.deletion_mark AND NOT t.deletion_mark AND NOT b.is_deleted", 'user_id')
		. " UNION ALL SELECT 'run', 'SQLSTATE ' || error_code, 1, left(message, 200) FROM onec.sync_step WHERE server = '$server' AND run_id = $last
			AND error_code ~ '^(21|XX|22P|42(?!501)|23)'");
}

sub _found
{
	my ($table, $what, $query, $key) = @_;

	return "(SELECT '$table', '$what', count(*), min(ROW($key)::text) FROM ($query) x HAVING count(*) > 0)";
}

# Tables of which 1C has no row that is here, though some are: what 1C says then takes "force" to be believed.
sub strangers
{
	my ($class, $node, $server) = @_;

	return _run($node, join "\nUNION ALL\n", map {
		my $t = $_;
		my $here = "onec.$t a WHERE a.server = '$server'" . ($is_catalog{$t} ? ' AND NOT a.is_deleted' : '');
		my $same = join ' AND ', map { "t.$_ = a.$_" } _names($tables{$t}[1]);

		"(SELECT '$t' WHERE EXISTS (SELECT FROM $here) AND NOT EXISTS (SELECT FROM $here AND EXISTS (SELECT FROM truth.$t t WHERE $same)))"
	} $class->tables);
}

# Rows that the store and the base differ in, of these tables.
sub differences
{
	my ($class, $node, $server, @of) = @_;

	return _run($node, join "\nUNION ALL\n", map {
		my $t = $_;
		my $columns = join ', ', _names(@{ $tables{$t} }[ 1, 2 ]);
		my $here = "SELECT $columns FROM onec.$t WHERE server = '$server'" . ($is_catalog{$t} ? ' AND NOT is_deleted' : '');

		(_found($t, 'not as in 1C', "$here EXCEPT ALL SELECT $columns FROM truth.$t", $columns),
			_found($t, 'missing', "SELECT $columns FROM truth.$t EXCEPT ALL $here", $columns))
	} @of);
}

# Where the store differs from the base, after a run that was told the truth.
sub inexact
{
	my ($class, $node, $server) = @_;
	return ($class->differences($node, $server, $class->tables), _run($node, _found('sale_line', 'buyer is wrong', "SELECT a.recorder, a.line_no, a.customer_id AS here, a.attribution, t.customer_id AS truth FROM truth.buyer t
		JOIN onec.sale_line a USING (recorder, recorder_type, line_no) WHERE a.server = '$server' AND a.customer_id IS DISTINCT FROM t.customer_id",
		'recorder, line_no, here, attribution, truth')
		. " UNION ALL " . _found('customer_profile', 'revenue is not that of the lines', "SELECT p.customer_id, p.total_revenue FROM onec.customer_profile p
			WHERE p.server = '$server' AND p.total_revenue <> (SELECT coalesce(sum(l.amount), 0) FROM onec.sale_line l
				WHERE l.server = p.server AND l.active AND l.recorder_type <> 'Document_ВводНачальныхОстатков' AND l.period < current_date + 1
				AND p.customer_id = CASE WHEN l.attribution <> 'anonymous' THEN coalesce(l.customer_id, l.card_id) END)", 'customer_id')
		. " UNION ALL SELECT 'run', s.target || ': ' || s.status, 1, left(s.message, 200) FROM onec.sync_step s WHERE s.server = '$server' AND s.status NOT IN ('ok', 'not published')
			AND s.run_id = (SELECT max(run_id) FROM onec.sync_run WHERE server = '$server')"));
}

# What is to become of a file, by the rules in words; $bound is image.max_bytes.
sub _verdict
{
	my ($file, $bound) = @_;

	return 'gone' if $file->{marked};
	return 'not a picture' if $file->{extension} !~ /^(jpg|png|webp|gif)$/;
	return 'too large' if $file->{said} > $bound;
	return 'another host' if $file->{way} eq 'elsewhere';
	return 'no data' if !defined $file->{size};
	return 'too large' if $file->{size} > $bound;
	return 'not a picture' if $file->{head} !~ /^(ffd8ff|89504e47|47494638|52494646.{8}57454250)/;
	# how each kind ends; a WebP says how long it is
	return 'truncated' if $file->{head} =~ /^52494646/ ? unpack('V', pack 'H8', substr $file->{head}, 8) + 8 > $file->{size}
	  : $file->{tail} !~ ($file->{head} =~ /^ff/ ? qr/ffd9$/ : $file->{head} =~ /^89/ ? qr/49454e44ae426082$/ : qr/3b$/);
	return "stored $file->{sha256}";
}

# What is to become of each file of the base's own account, by id, but for those that are to be gone.
sub pictures_wanted
{
	my ($class, $truth, $bound) = @_;
	my %wanted = map { $_ => _verdict($truth->{files}{$_}, $bound) } keys %{ $truth->{files} };

	return map { $_ => $wanted{$_} } grep { $wanted{$_} ne 'gone' } keys %wanted;
}

# Files that became something else here than they are to, and pictures whose bytes are not what is said of them.
sub wrong_pictures
{
	my ($class, $node, $server, $truth, $bound) = @_;
	my %wanted = $class->pictures_wanted($truth, $bound);
	my %found = map { split /\|/ } _run($node, "SELECT file_id, coalesce(refused, 'stored ' || encode(sha256, 'hex')) FROM onec.product_image WHERE server = '$server'");

	return ((map { "picture $_: " . ($found{$_} // 'none') . ' instead of ' . ($wanted{$_} // 'none') } grep { ($found{$_} // '') ne ($wanted{$_} // '') }
				sort keys %{ { %found, %wanted } }),
		_run($node, _found('product_image', 'bytes are not its own', "SELECT file_id, 1 AS one FROM onec.product_image WHERE server = '$server' AND refused IS NULL
			AND (sha256(content) <> sha256 OR octet_length(content) <> size)", 'file_id')));
}

1;
