"""What the demo shop publishes: the sets, their properties in the order of $metadata, the virtual tables.

A line is "name type target": types without "Edm.", "Key" for a reference (Edm.Guid), "Any" for a
composite value (its X_Type column is added at the end, where 1C has it), "Rows" for a tabular section;
"String(100)" for a text of so many characters at most, "String(0)" for one without a limit.
"""

from __future__ import annotations

from model import EntitySet, Function, Property, Base

PREFIX = "StandardODATA."
UNDEFINED = PREFIX + "Undefined"

CATALOG = """
    Ref_Key Guid
    DataVersion String
    DeletionMark Boolean"""
NAMED = """
    Code String(9)
    Description String(100)"""
PREDEFINED = """
    Predefined Boolean
    PredefinedDataName String"""
DOCUMENT = CATALOG + """
    Number String(11)
    Date DateTime
    Posted Boolean"""
MOVEMENT = """
    Recorder Any
    Period DateTime
    LineNumber Int64
    Active Boolean"""
GOODS_LINE = """
    Ref_Key Guid
    LineNumber Int64
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    Количество Double
    Цена Double
    Сумма Double
    ПроцентСкидкиНаценки Double
    СуммаНДС Double
    Всего Double"""
PAYMENT_LINE = """
    Ref_Key Guid
    LineNumber Int64
    ВидОплаты String
    ВидПлатежнойКарты String
    Сумма Double
    ЭквайринговыйТерминал_Key Key Catalog_ЭквайринговыеТерминалы"""
EXTRA_ATTRIBUTE = """
    Ref_Key Guid
    LineNumber Int64
    Свойство_Key Key ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения
    Значение Any
    ТекстоваяСтрока String(0)"""
POINTS_LINE = """
    Ref_Key Guid
    LineNumber Int64
    БонуснаяКарта_Key Key Catalog_ДисконтныеКарты
    Количество Double
    ДатаНачисления DateTime
    ДатаСгорания DateTime"""
CHECK = DOCUMENT + """
    Организация_Key Key Catalog_Организации
    КассаККМ_Key Key Catalog_КассыККМ
    СтруктурнаяЕдиница_Key Key Catalog_СтруктурныеЕдиницы
    ДисконтнаяКарта_Key Key Catalog_ДисконтныеКарты
    Контрагент_Key Key Catalog_Контрагенты
    НомерЧека Int64
    СуммаДокумента Double
    Комментарий String(0)"""

# Name, text. A set named after another and "_" is a section of it where SECTIONS says so.
SETS: dict[str, str] = {
    "Catalog_ВидыДисконтныхКарт": CATALOG + NAMED + PREDEFINED,
    "Catalog_ДисконтныеКарты": CATALOG + """
    Owner_Key Key Catalog_ВидыДисконтныхКарт""" + NAMED + """
    ВладелецКарты_Key Key Catalog_Контрагенты
    КартаНедействительна Boolean
    БонуснаяПрограмма_Key Key Catalog_БонусныеПрограммы
    КодКартыМагнитный String(100)
    КодКартыШтрихкод String(100)
    Комментарий String(0)""" + PREDEFINED,
    "Catalog_Контрагенты": CATALOG + """
    Parent_Key Key Catalog_Контрагенты
    IsFolder Boolean""" + NAMED + """
    НаименованиеПолное String
    ВидКонтрагента String
    ЮридическоеФизическоеЛицо String
    ИНН String(12)
    КПП String(9)
    Покупатель Boolean
    Поставщик Boolean
    ПрочиеОтношения Boolean
    Недействителен Boolean
    ДатаРождения DateTime
    ДатаСоздания DateTime
    Пол String
    ФИО String
    НомерТелефонаДляПоиска String(20)
    АдресЭПДляПоиска String(100)
    Комментарий String(0)
    ОсновныеСведения String(0)
    СтранаРегистрации_Key Key Catalog_СтраныМира
    СчетУчетаРасчетовСПокупателем_Key Key ChartOfAccounts_Управленческий
    Удалить_Категория_Key Key Catalog_УдалитьКатегории
    КонтактнаяИнформация Rows
    ДополнительныеРеквизиты Rows""" + PREDEFINED,
    "Catalog_Контрагенты_КонтактнаяИнформация": """
    Ref_Key Guid
    LineNumber Int64
    Тип String
    Вид_Key Key Catalog_ВидыКонтактнойИнформации
    Представление String(500)
    ЗначенияПолей String(0)
    Значение String(0)
    НомерТелефона String(20)
    НомерТелефонаБезКодов String(20)
    ОбратныйНомерТелефона String(20)
    АдресЭП String(100)
    ДоменноеИмяСервера String(100)
    Город String(50)
    ДействуетС DateTime""",
    "Catalog_Контрагенты_ДополнительныеРеквизиты": EXTRA_ATTRIBUTE,
    "Catalog_ВидыКонтактнойИнформации": CATALOG + NAMED + """
    Тип String""" + PREDEFINED,
    "Catalog_Номенклатура": CATALOG + """
    Parent_Key Key Catalog_Номенклатура
    IsFolder Boolean""" + NAMED + """
    Артикул String
    НаименованиеПолное String
    КатегорияНоменклатуры_Key Key Catalog_КатегорииНоменклатуры
    ЕдиницаИзмерения_Key Key Catalog_КлассификаторЕдиницИзмерения
    Производитель_Key Key Catalog_Производители
    Изготовитель_Key Key Catalog_Контрагенты
    ТипНоменклатуры String
    ВидСтавкиНДС String
    Вес Double
    СрокГодности Int64
    СрокИсполненияЗаказа Int64
    ДатаИзменения DateTime
    ДатаОкончанияДействия DateTime
    ИспользоватьХарактеристики Boolean
    Недействителен Boolean
    ЭтоНабор Boolean
    ЭтоНовинка Boolean
    Штрихкод String
    Комментарий String(0)
    ПодарочныйСертификатПринимаетКОплатеТолькоОрганизациеяЭмитент Boolean
    ДополнительныеРеквизиты Rows""" + PREDEFINED,
    "Catalog_Номенклатура_ДополнительныеРеквизиты": EXTRA_ATTRIBUTE,
    "Catalog_КатегорииНоменклатуры": CATALOG + """
    Parent_Key Key Catalog_КатегорииНоменклатуры
    IsFolder Boolean""" + NAMED + """
    ТипНоменклатурыПоУмолчанию String
    ЕдиницаИзмерения_Key Key Catalog_КлассификаторЕдиницИзмерения""" + PREDEFINED,
    "Catalog_КлассификаторЕдиницИзмерения": CATALOG + NAMED + """
    НаименованиеПолное String
    Кратность Int64""" + PREDEFINED,
    "Catalog_Производители": CATALOG + NAMED + PREDEFINED,
    "Catalog_ЗначенияСвойствОбъектов": CATALOG + """
    Owner_Key Key ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения""" + NAMED + PREDEFINED,
    "Catalog_ХарактеристикиНоменклатуры": CATALOG + """
    Owner Any""" + NAMED + """
    НаименованиеДляПечати String""" + PREDEFINED,
    "Catalog_СтруктурныеЕдиницы": CATALOG + """
    Parent_Key Key Catalog_СтруктурныеЕдиницы""" + NAMED + """
    ТипСтруктурнойЕдиницы String
    Организация_Key Key Catalog_Организации
    Недействителен Boolean""" + PREDEFINED,
    "Catalog_Организации": CATALOG + NAMED + """
    НаименованиеПолное String
    ИНН String
    КПП String
    ЮридическоеФизическоеЛицо String""" + PREDEFINED,
    "Catalog_КассыККМ": CATALOG + """
    Owner_Key Key Catalog_Организации""" + NAMED + """
    СтруктурнаяЕдиница_Key Key Catalog_СтруктурныеЕдиницы
    ТипКассы String""" + PREDEFINED,
    "Catalog_ВидыЦен": CATALOG + NAMED + PREDEFINED,
    "Catalog_Валюты": CATALOG + NAMED + """
    НаименованиеПолное String(50)""" + PREDEFINED,
    "Catalog_ХозяйственныеОперации": CATALOG + NAMED + PREDEFINED,
    "Catalog_СтавкиНДС": CATALOG + """
    Description String(100)
    Ставка Double
    Расчетная Boolean""" + PREDEFINED,
    "Catalog_БонусныеПрограммы": CATALOG + NAMED + """
    ПроцентНачисления Double
    ПериодДействияМесяцев Int32""" + PREDEFINED,
    "ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения": CATALOG + NAMED + """
    Заголовок String""" + PREDEFINED,
    "Document_ЧекККМ": CHECK + """
    Запасы Rows
    БезналичнаяОплата Rows""",
    "Document_ЧекККМ_Запасы": GOODS_LINE,
    "Document_ЧекККМ_БезналичнаяОплата": PAYMENT_LINE,
    "Document_ЧекККМВозврат": CHECK + """
    ЧекККМ_Key Key Document_ЧекККМ
    Заказ_Key Key Document_ЗаказПокупателя
    Запасы Rows
    БезналичнаяОплата Rows""",
    "Document_ЧекККМВозврат_Запасы": GOODS_LINE,
    "Document_ЧекККМВозврат_БезналичнаяОплата": PAYMENT_LINE,
    "Document_ОтчетОРозничныхПродажах": CHECK.replace("    НомерЧека Int64\n", "") + """
    Запасы Rows""",
    "Document_ОтчетОРозничныхПродажах_Запасы": GOODS_LINE,
    "Document_ВводНачальныхОстатков": DOCUMENT + """
    Организация_Key Key Catalog_Организации
    РазделУчета String
    СуммаДокумента Double
    Комментарий String(0)""",
    "Document_ПриходнаяНакладная": DOCUMENT + """
    Организация_Key Key Catalog_Организации
    СтруктурнаяЕдиница_Key Key Catalog_СтруктурныеЕдиницы
    СуммаДокумента Double
    Комментарий String(0)""",
    "Catalog_СостоянияЗаказовПокупателей": CATALOG + NAMED + PREDEFINED,
    "Document_ЗаказПокупателя": DOCUMENT + """
    Организация_Key Key Catalog_Организации
    Контрагент_Key Key Catalog_Контрагенты
    СтруктурнаяЕдиницаПродажи_Key Key Catalog_СтруктурныеЕдиницы
    СтруктурнаяЕдиницаРезерв_Key Key Catalog_СтруктурныеЕдиницы
    ВидЦен_Key Key Catalog_ВидыЦен
    ВалютаДокумента_Key Key Catalog_Валюты
    Курс Double
    Кратность Double
    ХозяйственнаяОперация_Key Key Catalog_ХозяйственныеОперации
    Договор_Key Key Catalog_ДоговорыКонтрагентов
    НалогообложениеНДС String
    СуммаВключаетНДС Boolean
    ВидОперации String
    ДатаОтгрузки DateTime
    СостояниеЗаказа Any
    ВариантЗавершения String
    СуммаДокумента Double
    Комментарий String(0)
    Запасы Rows""",
    "Document_ЗаказПокупателя_Запасы": """
    Ref_Key Guid
    LineNumber Int64
    КлючСвязи Int64
    ТипНоменклатурыЗапас Boolean
    Номенклатура Any
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    ЕдиницаИзмерения Any
    Количество Double
    Цена Double
    Сумма Double
    ПроцентСкидкиНаценки Double
    СуммаСкидкиНаценки Double
    Всего Double
    СтавкаНДС_Key Key Catalog_СтавкиНДС
    СуммаНДС Double
    СтруктурнаяЕдиницаРезерв_Key Key Catalog_СтруктурныеЕдиницы""",
    "Document_НачислениеСписаниеБонусныхБаллов": DOCUMENT + """
    Организация_Key Key Catalog_Организации
    БонуснаяПрограмма_Key Key Catalog_БонусныеПрограммы
    Комментарий String(0)
    НачисленияБонусов Rows
    СписанияБонусов Rows""",
    "Document_НачислениеСписаниеБонусныхБаллов_НачисленияБонусов": POINTS_LINE + """
    АналитикаНачисленияБонусов_Key Key Catalog_АналитикаНачисленияБонусов""",
    "Document_НачислениеСписаниеБонусныхБаллов_СписанияБонусов": POINTS_LINE + """
    КорректировкаКСписанию Double""",
    "DocumentJournal_РозничныеПродажи": """
    Ref Any
    Type String
    Date DateTime
    DeletionMark Boolean
    Number String
    Posted Boolean
    Сумма Double
    НомерЧека Int64
    Покупатель_Key Key Catalog_Контрагенты
    КассаККМ_Key Key Catalog_КассыККМ
    Организация_Key Key Catalog_Организации""",
    "AccumulationRegister_Продажи_RecordType": MOVEMENT + """
    Организация_Key Key Catalog_Организации
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    Контрагент_Key Key Catalog_Контрагенты
    Документ Any
    Склад_Key Key Catalog_СтруктурныеЕдиницы
    Ответственный_Key Key Catalog_Сотрудники
    Количество Double
    Сумма Double
    СуммаНДС Double
    Себестоимость Double""",
    "AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType": MOVEMENT + """
    ДисконтнаяКарта_Key Key Catalog_ДисконтныеКарты
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    ВладелецКарты_Key Key Catalog_Контрагенты
    Количество Double
    Сумма Double
    Скидка Double""",
    "AccumulationRegister_БонусныеБаллы_RecordType": MOVEMENT + """
    RecordType String
    БонуснаяКарта_Key Key Catalog_ДисконтныеКарты
    Начислено Double
    КСписанию Double
    ДатаПервоначальногоНачисления DateTime""",
    "AccumulationRegister_НачисленияБонусныхБаллов_RecordType": MOVEMENT + """
    БонуснаяКарта_Key Key Catalog_ДисконтныеКарты
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    БонуснаяПрограмма_Key Key Catalog_БонусныеПрограммы
    ВладелецКарты_Key Key Catalog_Контрагенты
    АналитикаНачисленияБонусов Any
    Сумма Double""",
    # One kind of recorder: a reference, not a composite value.
    "AccumulationRegister_ЗапасыНаСкладах_RecordType": """
    Recorder_Key Key Document_ПриходнаяНакладная
    Period DateTime
    LineNumber Int64
    Active Boolean
    RecordType String
    Организация_Key Key Catalog_Организации
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    СтруктурнаяЕдиница_Key Key Catalog_СтруктурныеЕдиницы
    Количество Double""",
    "InformationRegister_ЦеныНоменклатуры": """
    Period DateTime
    ВидЦен_Key Key Catalog_ВидыЦен
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    Цена Double
    Актуальность Boolean""",
    "InformationRegister_ДополнительныеСведения": """
    Объект Any
    Свойство_Key Key ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения
    Значение Any""",
    "Constant_ЗаголовокСистемы": """
    SurrogateKey Int16
    Value String""",
    "Constant_ОсновнаяОрганизация": """
    SurrogateKey Int16
    Value_Key Key Catalog_Организации""",
}

SECTIONS = {
    "Catalog_Контрагенты_КонтактнаяИнформация": "Catalog_Контрагенты",
    "Catalog_Контрагенты_ДополнительныеРеквизиты": "Catalog_Контрагенты",
    "Catalog_Номенклатура_ДополнительныеРеквизиты": "Catalog_Номенклатура",
    "Document_ЧекККМ_Запасы": "Document_ЧекККМ",
    "Document_ЧекККМ_БезналичнаяОплата": "Document_ЧекККМ",
    "Document_ЧекККМВозврат_Запасы": "Document_ЧекККМВозврат",
    "Document_ЧекККМВозврат_БезналичнаяОплата": "Document_ЧекККМВозврат",
    "Document_ОтчетОРозничныхПродажах_Запасы": "Document_ОтчетОРозничныхПродажах",
    "Document_ЗаказПокупателя_Запасы": "Document_ЗаказПокупателя",
    "Document_НачислениеСписаниеБонусныхБаллов_НачисленияБонусов": "Document_НачислениеСписаниеБонусныхБаллов",
    "Document_НачислениеСписаниеБонусныхБаллов_СписанияБонусов": "Document_НачислениеСписаниеБонусныхБаллов",
}

KEYS = {
    "DocumentJournal_РозничныеПродажи": ("Ref", "Ref_Type"),
    "AccumulationRegister_ЗапасыНаСкладах_RecordType": ("Recorder_Key", "LineNumber"),
    "InformationRegister_ЦеныНоменклатуры": ("Period", "ВидЦен_Key", "Номенклатура_Key", "Характеристика_Key"),
    "InformationRegister_ДополнительныеСведения": ("Объект", "Свойство_Key", "Объект_Type"),
}

TURNOVERS = (("Condition", "Edm.String"), ("Dimensions", "Edm.String"), ("StartPeriod", "Edm.DateTime"),
             ("EndPeriod", "Edm.DateTime"))
AT_MOMENT = (("Condition", "Edm.String"), ("Dimensions", "Edm.String"), ("Period", "Edm.DateTime"))
SLICE = (("Condition", "Edm.String"), ("Period", "Edm.DateTime"))


def _properties(name: str, text: str, key: tuple[str, ...]) -> list[Property]:
    found, types = [], []
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        field, kind = words[0], words[1]
        if kind == "Any":
            found.append(Property(field, "Edm.String", field not in key))
            types.append(Property(field + "_Type", "Edm.String", field not in key))
        elif kind == "Rows":
            found.append(Property(field, f"Collection({PREFIX}{name}_{field}_RowType)"))
        else:
            plain, _, length = ("Guid" if kind == "Key" else kind).partition("(")
            found.append(Property(field, "Edm." + plain, field not in key, words[2] if len(words) > 2 else None,
                                  int(length[:-1]) if length else None))
    return found + types


def _key(name: str) -> tuple[str, ...]:
    if name in KEYS:
        return KEYS[name]
    if name in SECTIONS:
        return ("Ref_Key", "LineNumber")
    if name.endswith("_RecordType"):
        return ("Recorder", "LineNumber", "Recorder_Type")
    return ("SurrogateKey",) if name.startswith("Constant_") else ("Ref_Key",)


def _main_set(name: str, rows: EntitySet) -> EntitySet:
    """The set of recorders beside the set of a register's rows."""
    key = tuple(part for part in rows.key if part != "LineNumber")
    record_set = Property("RecordSet", f"Collection({PREFIX}{name}_RowType)", False)
    kept = {p.name: p for p in rows.properties}
    return EntitySet(name, [kept[key[0]], record_set, *(kept[part] for part in key[1:])], key, records_of=rows.name)


def _functions() -> list[Function]:
    sales, cards = "AccumulationRegister_Продажи", "AccumulationRegister_ПродажиПоДисконтнымКартам"
    points, lots = "AccumulationRegister_БонусныеБаллы", "AccumulationRegister_НачисленияБонусныхБаллов"
    stock, prices = "AccumulationRegister_ЗапасыНаСкладах", "InformationRegister_ЦеныНоменклатуры"
    goods = ("Номенклатура", "Характеристика")
    found = [
        Function("Turnovers", sales, TURNOVERS, ("Организация", *goods, "Контрагент", "Документ", "Склад", "Ответственный"),
                 ("Количество", "Сумма", "СуммаНДС", "Себестоимость")),
        Function("Turnovers", cards, TURNOVERS, ("ДисконтнаяКарта", *goods, "ВладелецКарты"),
                 ("Количество", "Сумма", "Скидка")),
        Function("Turnovers", lots, TURNOVERS, ("БонуснаяКарта", *goods, "БонуснаяПрограмма", "ВладелецКарты",
                                                "АналитикаНачисленияБонусов"), ("Сумма",)),
    ]
    for register, dimensions, resources in (
            (points, ("БонуснаяКарта",), ("Начислено", "КСписанию")),
            (stock, ("Организация", *goods, "СтруктурнаяЕдиница"), ("Количество",))):
        found += [Function("Balance", register, AT_MOMENT, dimensions, resources),
                  Function("Turnovers", register, TURNOVERS, dimensions, resources),
                  Function("BalanceAndTurnovers", register, TURNOVERS, dimensions, resources)]
    for name in ("SliceLast", "SliceFirst"):
        found.append(Function(name, prices, SLICE, ("ВидЦен", *goods), ("Цена",)))
    return found


def publish(base: Base, texts: dict[str, str], keys: dict[str, tuple[str, ...]] | None = None) -> None:
    """Sets without rows, by their texts, and their keys where those are other than usual."""
    for name, text in texts.items():
        key = (keys or {}).get(name) or _key(name)
        found = EntitySet(name, _properties(name, text, key), key, section_of=SECTIONS.get(name))
        if name.endswith("_RecordType"):
            plain = name.removesuffix("_RecordType")
            base.sets[plain] = _main_set(plain, found)
        base.sets[name] = found


def empty_base(timezone: str) -> Base:
    """A base with every published set, and no rows."""
    base = Base({}, _functions(), timezone)
    publish(base, SETS)
    return base
