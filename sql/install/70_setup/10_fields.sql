-- From the properties that a base publishes to fields.
--
-- A field is the first property of its list that $metadata shows.  Field lists are data: a base with names of
-- its own needs a row here, not new code.

CREATE TABLE onec.field_source (
	target text NOT NULL,
	ordinal int NOT NULL,
	field text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('ref', 'type', 'text', 'numeric', 'timestamp', 'boolean',
									   'bigint', 'rows', 'smallint', 'integer', 'bytea', 'jsonb')),
	candidates text[] NOT NULL,
	is_key boolean NOT NULL DEFAULT false,
	setting text,
	setting_pattern text NOT NULL DEFAULT '',
	empty text,
	PRIMARY KEY (target, field)
);
COMMENT ON TABLE onec.field_source IS 'Из каких свойств 1С берутся поля: первое найденное из перечня';
COMMENT ON COLUMN onec.field_source.target IS
	'Таблица на английском: onec.target; у полей строк табличной части — с именем её '
	'поля: customer_order.lines';
COMMENT ON COLUMN onec.field_source.ordinal IS 'Порядок';
COMMENT ON COLUMN onec.field_source.field IS 'Поле';
COMMENT ON COLUMN onec.field_source.kind IS
	'Вид значения; rows — табличная часть, jsonb — она же, как её пишет 1С';
COMMENT ON COLUMN onec.field_source.candidates IS 'Свойства 1С, первое опубликованное выигрывает';
COMMENT ON COLUMN onec.field_source.is_key IS 'Без него таблицы быть не может';
COMMENT ON COLUMN onec.field_source.setting IS 'Настройка, чей перечень свойств идёт впереди';
COMMENT ON COLUMN onec.field_source.setting_pattern IS 'Какие свойства из её перечня: регулярное выражение';
COMMENT ON COLUMN onec.field_source.empty IS 'Что стоит вместо пустого значения в ключе; NULL — ничего';

INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key) VALUES
	('discount_card', 1, 'card_id', 'ref', '{Ref_Key}', true),
	('discount_card', 2, 'code', 'text', '{Code}', false),
	('discount_card', 3, 'description', 'text', '{Description}', false),
	('discount_card', 4, 'barcode', 'text', '{КодКартыШтрихкод,Штрихкод}', false),
	('discount_card', 5, 'magnetic_code', 'text', '{КодКартыМагнитный,МагнитныйКод}', false),
	('discount_card', 6, 'owner_id', 'ref', '{ВладелецКарты_Key,ВладелецКарты,Контрагент_Key}', false),
	('discount_card', 7, 'kind_id', 'ref', '{ВидДисконтнойКарты_Key,Owner_Key}', false),
	('discount_card', 8, 'is_invalid', 'boolean', '{КартаНедействительна}', false),
	('discount_card', 9, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('counterparty', 1, 'customer_id', 'ref', '{Ref_Key}', true),
	('counterparty', 2, 'code', 'text', '{Code}', false),
	('counterparty', 3, 'name', 'text', '{Description}', false),
	('counterparty', 4, 'full_name', 'text', '{НаименованиеПолное}', false),
	('counterparty', 5, 'parent_id', 'ref', '{Parent_Key}', false),
	('counterparty', 6, 'is_folder', 'boolean', '{IsFolder}', false),
	('counterparty', 7, 'phone', 'text', '{НомерТелефонаДляПоиска}', false),
	('counterparty', 8, 'email', 'text', '{АдресЭПДляПоиска}', false),
	('counterparty', 9, 'birth_date', 'timestamp', '{ДатаРождения}', false),
	('counterparty', 10, 'created_at', 'timestamp', '{ДатаСоздания}', false),
	('counterparty', 11, 'gender', 'text', '{Пол}', false),
	('counterparty', 12, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('counterparty_contact', 1, 'customer_id', 'ref', '{Ref_Key}', true),
	('counterparty_contact', 2, 'line_no', 'bigint', '{LineNumber}', true),
	('counterparty_contact', 3, 'kind', 'text', '{Тип}', false),
	('counterparty_contact', 4, 'presentation', 'text', '{Представление}', false),
	('counterparty_contact', 5, 'phone', 'text', '{НомерТелефона}', false),
	('counterparty_contact', 6, 'email', 'text', '{АдресЭП}', false),
	('product', 1, 'product_id', 'ref', '{Ref_Key}', true),
	('product', 2, 'code', 'text', '{Code}', false),
	('product', 3, 'article', 'text', '{Артикул}', false),
	('product', 4, 'name', 'text', '{Description}', false),
	('product', 5, 'parent_id', 'ref', '{Parent_Key}', false),
	('product', 6, 'is_folder', 'boolean', '{IsFolder}', false),
	('product', 7, 'category_id', 'ref', '{КатегорияНоменклатуры_Key,ВидНоменклатуры_Key}', false),
	('product', 8, 'brand_id', 'ref',
	 '{Бренд_Key,Производитель_Key,Изготовитель_Key,Марка_Key,ТорговаяМарка_Key}', false),
	('product', 9, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('product', 10, 'full_name', 'text', '{НаименованиеПолное}', false),
	('product', 11, 'barcode', 'text', '{Штрихкод}', false),
	('product', 12, 'description', 'text', '{Описание,ОписаниеДляСайта}', false),
	('product', 13, 'unit_id', 'ref', '{ЕдиницаИзмерения_Key,ЕдиницаИзмерения,БазоваяЕдиницаИзмерения_Key}',
	 false),
	('product', 14, 'vat', 'text', '{СтавкаНДС_Key,ВидСтавкиНДС,СтавкаНДС}', false),
	('product', 30, 'picture_id', 'ref', '{ФайлКартинки_Key,ФайлКартинки}', false),
	('brand', 1, 'brand_id', 'ref', '{Ref_Key}', true),
	('brand', 2, 'code', 'text', '{Code}', false),
	('brand', 3, 'name', 'text', '{Description}', false),
	('brand', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('category', 1, 'category_id', 'ref', '{Ref_Key}', true),
	('category', 2, 'code', 'text', '{Code}', false),
	('category', 3, 'name', 'text', '{Description}', false),
	('category', 4, 'parent_id', 'ref', '{Parent_Key}', false),
	('category', 5, 'is_folder', 'boolean', '{IsFolder}', false),
	('category', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('store', 1, 'store_id', 'ref', '{Ref_Key}', true),
	('store', 2, 'code', 'text', '{Code}', false),
	('store', 3, 'name', 'text', '{Description}', false),
	('store', 4, 'parent_id', 'ref', '{Parent_Key}', false),
	('store', 5, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('sale_line', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('sale_line', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('sale_line', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('sale_line', 4, 'period', 'timestamp', '{Period}', true),
	('sale_line', 5, 'active', 'boolean', '{Active}', false),
	('sale_line', 6, 'customer_id', 'ref', '{Контрагент_Key,Покупатель_Key,Контрагент}', false),
	('sale_line', 7, 'card_id', 'ref', '{ДисконтнаяКарта_Key}', false),
	('sale_line', 8, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', false),
	('sale_line', 9, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('sale_line', 10, 'store_id', 'ref', '{Склад_Key,СтруктурнаяЕдиница_Key,Магазин_Key}', false),
	('sale_line', 11, 'organization_id', 'ref', '{Организация_Key}', false),
	('sale_line', 12, 'document_id', 'ref', '{Документ,Документ_Key}', false),
	('sale_line', 13, 'document_type', 'type', '{Документ_Type}', false),
	('sale_line', 14, 'quantity', 'numeric', '{Количество}', false),
	('sale_line', 15, 'amount', 'numeric', '{Сумма}', true),
	('sale_line', 16, 'cost', 'numeric', '{Себестоимость}', false),
	('card_sale_line', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('card_sale_line', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('card_sale_line', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('card_sale_line', 4, 'period', 'timestamp', '{Period}', true),
	('card_sale_line', 5, 'active', 'boolean', '{Active}', false),
	('card_sale_line', 6, 'card_id', 'ref', '{ДисконтнаяКарта_Key,ДисконтнаяКарта,Карта_Key,Карта}', false),
	('card_sale_line', 7, 'owner_id', 'ref', '{ВладелецКарты_Key}', false),
	('card_sale_line', 8, 'product_id', 'ref', '{Номенклатура_Key}', false),
	('card_sale_line', 9, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('card_sale_line', 10, 'quantity', 'numeric', '{Количество}', false),
	('card_sale_line', 11, 'amount', 'numeric', '{Сумма}', true),
	('card_sale_line', 12, 'discount', 'numeric', '{Скидка}', false),
	('receipt', 1, 'document_id', 'ref', '{Ref,Ref_Key}', true),
	('receipt', 2, 'document_type', 'type', '{Ref_Type,Type}', false),
	('receipt', 3, 'date', 'timestamp', '{Date}', true),
	('receipt', 4, 'number', 'text', '{Number}', false),
	('receipt', 5, 'posted', 'boolean', '{Posted}', false),
	('receipt', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('receipt', 7, 'amount', 'numeric', '{Сумма,СуммаДокумента}', false),
	('receipt', 8, 'receipt_number', 'text', '{НомерЧека}', false),
	('receipt', 9, 'customer_id', 'ref', '{Покупатель_Key,Контрагент_Key}', false),
	('receipt', 10, 'till_id', 'ref', '{КассаККМ_Key}', false),
	('receipt', 11, 'organization_id', 'ref', '{Организация_Key}', false),
	('loyalty_movement', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('loyalty_movement', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('loyalty_movement', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('loyalty_movement', 4, 'period', 'timestamp', '{Period}', true),
	('loyalty_movement', 5, 'active', 'boolean', '{Active}', false),
	('loyalty_movement', 6, 'kind', 'text', '{RecordType}', false),
	('loyalty_movement', 7, 'card_id', 'ref', '{БонуснаяКарта_Key,ДисконтнаяКарта_Key}', false),
	('loyalty_movement', 8, 'granted_on', 'timestamp', '{ДатаПервоначальногоНачисления}', false),
	('loyalty_movement', 9, 'accrued', 'numeric', '{Начислено}', false),
	('loyalty_movement', 10, 'spent', 'numeric', '{КСписанию}', false),
	('loyalty_lot', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('loyalty_lot', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('loyalty_lot', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('loyalty_lot', 4, 'period', 'timestamp', '{Period}', true),
	('loyalty_lot', 5, 'active', 'boolean', '{Active}', false),
	('loyalty_lot', 6, 'card_id', 'ref', '{БонуснаяКарта_Key,ДисконтнаяКарта_Key}', false),
	('loyalty_lot', 7, 'owner_id', 'ref', '{ВладелецКарты_Key}', false),
	('loyalty_lot', 8, 'amount', 'numeric', '{Сумма}', false),
	('customer_order', 1, 'order_id', 'ref', '{Ref_Key}', true),
	('customer_order', 2, 'number', 'text', '{Number}', false),
	('customer_order', 3, 'date', 'timestamp', '{Date}', true),
	('customer_order', 4, 'posted', 'boolean', '{Posted}', false),
	('customer_order', 5, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('customer_order', 6, 'customer_id', 'ref', '{Контрагент_Key,Контрагент}', false),
	('customer_order', 7, 'state_id', 'ref', '{СостояниеЗаказа_Key,СостояниеЗаказа}', false),
	('customer_order', 8, 'outcome', 'text', '{ВариантЗавершения}', false),
	('customer_order', 9, 'ship_at', 'timestamp', '{ДатаОтгрузки}', false),
	('customer_order', 10, 'store_id', 'ref',
	 '{СтруктурнаяЕдиницаПродажи_Key,СтруктурнаяЕдиницаРезерв_Key,Склад_Key}', false),
	('customer_order', 11, 'organization_id', 'ref', '{Организация_Key}', false),
	('customer_order', 12, 'amount', 'numeric', '{СуммаДокумента}', false),
	('customer_order', 13, 'lines', 'rows', '{Запасы,Товары}', false),
	('customer_order.lines', 1, 'line_no', 'bigint', '{LineNumber}', true),
	('customer_order.lines', 2, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', false),
	('customer_order.lines', 3, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('customer_order.lines', 4, 'quantity', 'numeric', '{Количество}', false),
	('customer_order.lines', 5, 'price', 'numeric', '{Цена}', false),
	('customer_order.lines', 6, 'amount', 'numeric', '{Всего,Сумма}', false),
	('order_state', 1, 'state_id', 'ref', '{Ref_Key}', true),
	('order_state', 2, 'code', 'text', '{Code}', false),
	('order_state', 3, 'name', 'text', '{Description}', false),
	('order_state', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('order_payment', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('order_payment', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('order_payment', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('order_payment', 4, 'period', 'timestamp', '{Period}', true),
	('order_payment', 5, 'active', 'boolean', '{Active}', false),
	('order_payment', 6, 'kind', 'text', '{RecordType}', false),
	('order_payment', 7, 'order_id', 'ref',
	 '{СчетНаОплату,СчетНаОплату_Key,Заказ_Key,Заказ,ЗаказПокупателя_Key,ЗаказПокупателя}', true),
	('order_payment', 8, 'paid', 'numeric', '{СуммаОплаты,Сумма}', true),
	('order_payment', 9, 'advance', 'numeric', '{СуммаАванса}', false),
	('order_shipment', 1, 'recorder', 'ref', '{Recorder,Recorder_Key}', true),
	('order_shipment', 2, 'recorder_type', 'type', '{Recorder_Type}', false),
	('order_shipment', 3, 'line_no', 'bigint', '{LineNumber}', true),
	('order_shipment', 4, 'period', 'timestamp', '{Period}', true),
	('order_shipment', 5, 'active', 'boolean', '{Active}', false),
	('order_shipment', 6, 'kind', 'text', '{RecordType}', false),
	('order_shipment', 7, 'order_id', 'ref', '{ЗаказПокупателя_Key,ЗаказПокупателя,Заказ_Key,Заказ}', true),
	('order_shipment', 8, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', false),
	('order_shipment', 9, 'variant_id', 'ref', '{Характеристика_Key}', false),
	('order_shipment', 10, 'quantity', 'numeric', '{Количество}', true),
	('product_file', 1, 'file_id', 'ref', '{Ref_Key}', true),
	('product_file', 2, 'version', 'text', '{DataVersion}', true),
	('product_file', 3, 'product_id', 'ref', '{ВладелецФайла_Key,ВладелецФайла,Owner_Key}', true),
	('product_file', 4, 'name', 'text', '{Description}', false),
	('product_file', 5, 'extension', 'text', '{Расширение}', false),
	('product_file', 6, 'size', 'bigint', '{Размер}', false),
	('product_file', 7, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('stored_file', 1, 'file_id', 'ref', '{Файл,Файл_Key}', true),
	('stored_file', 2, 'storage_id', 'ref', '{ХранилищеДвоичныхДанных_Key,ХранилищеДвоичныхДанных}', true);

-- Bytes are asked for by key, and by nobody else: these lists are of foreign tables that have no local one.
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key) VALUES
	('product_image.storage', 1, 'storage_id', 'ref', '{Ref_Key}', true),
	('product_image.storage', 2, 'content', 'bytea', '{ДвоичныеДанные_Base64Data}', true),
	('product_image.file', 1, 'file_id', 'ref', '{Ref_Key}', true),
	('product_image.file', 2, 'content', 'bytea',
	 '{ФайлХранилище_Base64Data,ДвоичныеДанныеФайла_Base64Data}', false),
	('product_image.file', 3, 'stream', 'bytea', '{ФайлХранилище}', false);

-- What a page of the shop shows.  Those of a virtual table are found among the properties of its answer.
INSERT INTO onec.field_source (target, ordinal, field, kind, candidates, is_key) VALUES
	('stock', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true),
	('stock', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false),
	('stock', 3, 'store_id', 'ref', '{СтруктурнаяЕдиница_Key,Склад_Key,СтруктурнаяЕдиница,Склад}', false),
	('stock', 4, 'on_hand', 'numeric', '{КоличествоBalance,ВНаличииBalance}', true),
	('stock_reserved', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true),
	('stock_reserved', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false),
	('stock_reserved', 3, 'store_id', 'ref', '{СтруктурнаяЕдиница_Key,Склад_Key,СтруктурнаяЕдиница,Склад}',
	 false),
	('stock_reserved', 4, 'reserved', 'numeric',
	 '{ВРезервеBalance,ВРезервеСоСкладаBalance,РезервBalance,КоличествоBalance}', true),
	('unit', 1, 'unit_id', 'ref', '{Ref_Key}', true),
	('unit', 2, 'code', 'text', '{Code}', false),
	('unit', 3, 'name', 'text', '{Description}', false),
	('unit', 4, 'full_name', 'text', '{НаименованиеПолное}', false),
	('unit', 5, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('vat_rate', 1, 'vat_rate_id', 'ref', '{Ref_Key}', true),
	('vat_rate', 2, 'name', 'text', '{Description}', false),
	('vat_rate', 3, 'rate', 'numeric', '{Ставка}', false),
	('vat_rate', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('product_variant', 1, 'variant_id', 'ref', '{Ref_Key}', true),
	('product_variant', 2, 'product_id', 'ref', '{Owner_Key,Owner}', false),
	('product_variant', 3, 'code', 'text', '{Code}', false),
	('product_variant', 4, 'name', 'text', '{Description}', false),
	('product_variant', 5, 'print_name', 'text', '{НаименованиеДляПечати,НаименованиеПолное}', false),
	('product_variant', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('property_name', 1, 'property_id', 'ref', '{Ref_Key}', true),
	('property_name', 2, 'name', 'text', '{Description}', false),
	('property_name', 3, 'title', 'text', '{Заголовок}', false),
	('property_name', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('property_value', 1, 'value_id', 'ref', '{Ref_Key}', true),
	('property_value', 2, 'property_id', 'ref', '{Owner_Key}', false),
	('property_value', 3, 'name', 'text', '{Description}', false),
	('property_value', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('product_property', 1, 'product_id', 'ref', '{Ref_Key}', true),
	('product_property', 2, 'line_no', 'bigint', '{LineNumber}', true),
	('product_property', 3, 'property_id', 'ref', '{Свойство_Key,Свойство}', false),
	('product_property', 4, 'value', 'text', '{Значение}', false),
	('product_property', 5, 'value_type', 'type', '{Значение_Type}', false),
	('product_property', 6, 'long_text', 'text', '{ТекстоваяСтрока}', false),
	('currency', 1, 'currency_id', 'ref', '{Ref_Key}', true),
	('currency', 2, 'code', 'text', '{Code}', false),
	('currency', 3, 'name', 'text', '{Description}', false),
	('currency', 4, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('price_kind', 1, 'kind_id', 'ref', '{Ref_Key}', true),
	('price_kind', 2, 'code', 'text', '{Code}', false),
	('price_kind', 3, 'name', 'text', '{Description}', false),
	('price_kind', 4, 'currency_id', 'ref', '{ВалютаЦены_Key,Валюта_Key}', false),
	('price_kind', 5, 'with_vat', 'boolean', '{ЦенаВключаетНДС}', false),
	('price_kind', 6, 'deletion_mark', 'boolean', '{DeletionMark}', false),
	('price', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true),
	('price', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false),
	('price', 3, 'kind_id', 'ref', '{ВидЦен_Key,ВидЦены_Key,ТипЦен_Key}', false),
	('price', 4, 'since', 'timestamp', '{Period}', true),
	('price', 5, 'price', 'numeric', '{Цена}', true),
	('price', 6, 'currency_id', 'ref', '{Валюта_Key}', false),
	('price', 7, 'is_actual', 'boolean', '{Актуальность}', false),
	('price_history', 1, 'product_id', 'ref', '{Номенклатура_Key,Номенклатура}', true),
	('price_history', 2, 'variant_id', 'ref', '{Характеристика_Key,Характеристика}', false),
	('price_history', 3, 'kind_id', 'ref', '{ВидЦен_Key,ВидЦены_Key,ТипЦен_Key}', false),
	('price_history', 4, 'since', 'timestamp', '{Period}', true),
	('price_history', 5, 'price', 'numeric', '{Цена}', true),
	('price_history', 6, 'currency_id', 'ref', '{Валюта_Key}', false),
	('price_history', 7, 'is_actual', 'boolean', '{Актуальность}', false);

-- The type of a local column of a kind.
CREATE FUNCTION onec_internal.type_of_kind(kind text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE kind WHEN 'ref' THEN 'uuid' WHEN 'type' THEN 'text' WHEN 'rows' THEN 'jsonb' ELSE kind END;
COMMENT ON FUNCTION onec_internal.type_of_kind(text) IS 'Тип местного столбца по виду значения (служебная)';

-- Where to look for a field: the setting of the shop goes before the list of the table.
CREATE FUNCTION onec_internal.field_candidates(server name, f onec.field_source) RETURNS text[]
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN f.setting IS NOT NULL THEN
		ARRAY(SELECT c FROM unnest(onec.get(f.setting, $1)::text[]) c WHERE c ~ f.setting_pattern)
			ELSE '{}' END || f.candidates
$$;
COMMENT ON FUNCTION onec_internal.field_candidates(name, onec.field_source) IS
	'Свойства, в которых ищется поле, по порядку (служебная)';

-- The columns that a foreign table of "target" gets from the properties of a set.
CREATE FUNCTION onec_internal.resolved_fields(server name, target text, entity_set text)
	RETURNS TABLE (ordinal int, field text, property text, edm_type text, pg_type text, is_key boolean)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH published AS MATERIALIZED (SELECT * FROM onec.properties($1, $3))
	SELECT f.ordinal, f.field, p.property, p.edm_type, p.pg_type, f.is_key
	FROM onec.field_source f
	LEFT JOIN LATERAL (
		SELECT q.property, q.edm_type, q.pg_type
		FROM unnest(onec_internal.field_candidates($1, f)) WITH ORDINALITY c (name, n)
		JOIN published q ON q.property = c.name
		ORDER BY c.n LIMIT 1) p ON true
	WHERE f.target = $2
	ORDER BY f.ordinal
$$;
COMMENT ON FUNCTION onec_internal.resolved_fields(name, text, text) IS
	'Поля таблицы и найденные для них свойства набора (служебная)';
