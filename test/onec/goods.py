"""What the shop sells and where: products, categories, brands, stores, tills, prices.

Products of a category are sold by Zipf's law (rank in the category, exponent 0.9).  Six
pairs, the earrings and the necklace of one collection, are planted to be bought together.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from ledger import guid, money, number, version
from model import EMPTY_DATE, EMPTY_GUID, Base, Row
from schema import PREFIX, UNDEFINED

PRODUCTS = 600
ZIPF = 0.9
PRICE_MEDIAN, PRICE_SIGMA = 3900, 0.6
PAIRS = 6
# Slug, Russian name, name of one, share of products and of lines.
CATEGORIES = (("earrings", "Серьги", "Серьги", .30), ("rings", "Кольца", "Кольцо", .22),
              ("necklace", "Колье", "Колье", .16), ("bracelets", "Браслеты", "Браслет", .14),
              ("pendants", "Подвески", "Подвеска", .08), ("brooches", "Броши", "Брошь", .04),
              ("sets", "Комплекты", "Комплект", .03), ("packaging", "Упаковка", "Коробочка", .03))
BRANDS = ("Лунница", "Северный узор", "Янтарин", "Малахитовая нить", "Зорька")
STYLES = ("Иней", "Роса", "Вьюн", "Капель", "Ковыль", "Прибой", "Рябина", "Метель", "Полынь", "Жемчужина", "Заря", "Ветка",
          "Кружево", "Листопад", "Снегирь", "Лазурь", "Осока", "Туман", "Клевер", "Медуница")
STORES = (("Магазин на Речной", .45), ("Магазин «Пассаж»", .25), ("Магазин у вокзала", .20), ("Островок в галерее", .10))
WEB, WEB_SHARE = "Интернет-магазин", .06


@dataclass
class Product:
    key: str
    name: str
    category: str
    price: int  # kopecks
    variants: list[str]


@dataclass
class Goods:
    """What the generator of receipts draws from."""

    products: dict[str, list[Product]] = field(default_factory=dict)  # by category, most popular first
    weights: dict[str, list[float]] = field(default_factory=dict)  # cumulative, by category
    pairs: list[tuple[Product, Product]] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    store_weights: list[float] = field(default_factory=list)
    web: str = ""
    organization: str = ""
    program: str = ""
    tills: dict[str, str] = field(default_factory=dict)
    card_kinds: list[str] = field(default_factory=list)
    size_property: str = ""

    def draw(self, category: str, rng: random.Random) -> Product:
        sums = self.weights[category]
        return self.products[category][bisect(sums, rng.random() * sums[-1])]


def named(seed: object, kind: str, at: int, description: str, code: str | None = None) -> Row:
    """The fields that every catalog has."""
    return {"Ref_Key": guid(seed, kind, at), "DataVersion": version(at), "DeletionMark": False,
            "Code": code or f"{at:09d}", "Description": description, "Predefined": False, "PredefinedDataName": ""}


def stores(base: Base, seed: object, found: Goods) -> None:
    sets = base.sets
    owner = named(seed, "organization", 1, "ООО «Лунница»", "НФ-000001") | {
        "НаименованиеПолное": "Общество с ограниченной ответственностью «Лунница»", "ИНН": "0000000000", "КПП": "000000000",
        "ЮридическоеФизическоеЛицо": "ЮридическоеЛицо"}
    sets["Catalog_Организации"].rows.append(owner)
    found.organization = owner["Ref_Key"]
    for at, name in enumerate([name for name, _ in STORES] + [WEB, "Основной склад"], 1):
        row = named(seed, "store", at, name, f"НФ-{at:06d}") | {
            "Parent_Key": EMPTY_GUID, "ТипСтруктурнойЕдиницы": "Склад" if name == "Основной склад" else "Розница",
            "Организация_Key": owner["Ref_Key"], "Недействителен": False}
        sets["Catalog_СтруктурныеЕдиницы"].rows.append(row)
        if name == "Основной склад":
            continue
        till = named(seed, "till", at, f"Касса: {name}") | {
            "Owner_Key": owner["Ref_Key"], "СтруктурнаяЕдиница_Key": row["Ref_Key"], "ТипКассы": "ФискальныйРегистратор"}
        sets["Catalog_КассыККМ"].rows.append(till)
        found.tills[row["Ref_Key"]] = till["Ref_Key"]
        if name == WEB:
            found.web = row["Ref_Key"]
        else:
            found.stores.append(row["Ref_Key"])
    found.store_weights = list(accumulate(share for _, share in STORES))


def contact_kinds(base: Base, seed: object) -> None:
    kinds = (("Телефон", "Телефон", "ТелефонКонтрагента"), ("E-mail", "АдресЭлектроннойПочты", "EmailКонтрагента"),
             ("Адрес", "Адрес", "ФактАдресКонтрагента"))
    base.sets["Catalog_ВидыКонтактнойИнформации"].rows += [
        named(seed, "contact kind", at, name) | {"Тип": sort, "Predefined": True, "PredefinedDataName": own}
        for at, (name, sort, own) in enumerate(kinds, 1)]


def terms(base: Base, seed: object) -> None:
    """What documents name beside goods and people: currency, operation, rate of the VAT."""
    sets = base.sets
    currencies = (("RUB", "643", "Российский рубль"), ("USD", "840", "Доллар США"))
    sets["Catalog_Валюты"].rows += [named(seed, "currency", at, name, code) | {"НаименованиеПолное": full}
                                    for at, (name, code, full) in enumerate(currencies, 1)]
    operations = (("Заказ на продажу", "ЗаказНаПродажу"), ("Заказ на переработку", "ЗаказНаПереработку"))
    sets["Catalog_ХозяйственныеОперации"].rows += [
        named(seed, "operation", at, name) | {"Predefined": True, "PredefinedDataName": own}
        for at, (name, own) in enumerate(operations, 1)]
    for at, (name, rate) in enumerate((("20%", 20), ("10%", 10), ("Без НДС", 0)), 1):
        row = named(seed, "vat", at, name) | {"Ставка": Decimal(rate), "Расчетная": False}
        del row["Code"]
        sets["Catalog_СтавкиНДС"].rows.append(row)


def small_catalogs(base: Base, seed: object, found: Goods) -> None:
    sets = base.sets
    for at, name in enumerate(("Дисконтная карта", "Бонусная карта"), 1):
        row = named(seed, "card kind", at, name)
        sets["Catalog_ВидыДисконтныхКарт"].rows.append(row)
        found.card_kinds.append(row["Ref_Key"])
    program = named(seed, "program", 1, "Бонусы за покупки") | {"ПроцентНачисления": Decimal(5), "ПериодДействияМесяцев": 12}
    sets["Catalog_БонусныеПрограммы"].rows.append(program)
    found.program = program["Ref_Key"]
    sets["Catalog_ВидыЦен"].rows.append(named(seed, "price kind", 1, "Розничная цена"))
    contact_kinds(base, seed)
    terms(base, seed)
    sets["Catalog_КлассификаторЕдиницИзмерения"].rows.append(
        named(seed, "unit", 1, "шт") | {"НаименованиеПолное": "Штука", "Кратность": 1})
    sets["Catalog_Производители"].rows += [named(seed, "maker", at, name) for at, name in enumerate(BRANDS, 1)]
    properties = [named(seed, "property", at, f"{name} (Номенклатура)") | {"Заголовок": name}
                  for at, name in enumerate(("Бренд", "Проба", "Коллекция", "Дата поступления", "Подарочный"), 1)]
    properties.append(named(seed, "property", 6, "Откуда узнал о нас (Контрагенты)") | {"Заголовок": "Откуда узнал о нас"})
    sets["ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения"].rows += properties
    sets["Catalog_ЗначенияСвойствОбъектов"].rows += [
        named(seed, "value", at, name) | {"Owner_Key": properties[0]["Ref_Key"]} for at, name in enumerate(BRANDS, 1)]
    sets["Constant_ЗаголовокСистемы"].rows.append({"SurrogateKey": 1, "Value": "Лунница: управление нашей фирмой"})
    sets["Constant_ОсновнаяОрганизация"].rows.append({"SurrogateKey": 1, "Value_Key": found.organization})


FOLDER_NULLS = ("Артикул", "НаименованиеПолное", "КатегорияНоменклатуры_Key", "ЕдиницаИзмерения_Key", "Производитель_Key",
                "Изготовитель_Key", "ТипНоменклатуры", "ВидСтавкиНДС", "Вес", "СрокГодности", "СрокИсполненияЗаказа",
                "ДатаИзменения", "ДатаОкончанияДействия", "ИспользоватьХарактеристики", "Недействителен", "ЭтоНабор",
                "ЭтоНовинка", "Штрихкод", "Комментарий", "ПодарочныйСертификатПринимаетКОплатеТолькоОрганизациеяЭмитент")


def add_category(base: Base, seed: object, at: int, title: str) -> tuple[str, str]:
    """A category and the folder of its products; their ids."""
    category = named(seed, "category", at, title, f"НФ-{at:06d}") | {
        "Parent_Key": EMPTY_GUID, "IsFolder": False, "ТипНоменклатурыПоУмолчанию": "Запас",
        "ЕдиницаИзмерения_Key": guid(seed, "unit", 1)}
    folder = named(seed, "product folder", at, title, f"НФ-{at:08d}") | dict.fromkeys(FOLDER_NULLS) | {
        "Parent_Key": EMPTY_GUID, "IsFolder": True}
    base.sets["Catalog_КатегорииНоменклатуры"].rows.append(category)
    base.sets["Catalog_Номенклатура"].rows.append(folder)
    return category["Ref_Key"], folder["Ref_Key"]


def product_row(seed: object, at: int, name: str, category: tuple[str, str], maker: str = EMPTY_GUID) -> Row:
    return named(seed, "product", at, name, f"НФ-{at + 100:08d}") | {
        "Parent_Key": category[1], "IsFolder": False, "Артикул": f"{70000 + at}", "НаименованиеПолное": name,
        "КатегорияНоменклатуры_Key": category[0], "ЕдиницаИзмерения_Key": guid(seed, "unit", 1), "Производитель_Key": maker,
        "Изготовитель_Key": EMPTY_GUID, "ТипНоменклатуры": "Запас", "ВидСтавкиНДС": "Общая", "Вес": Decimal(0),
        "СрокГодности": 0, "СрокИсполненияЗаказа": 1, "ДатаИзменения": datetime(2025, 12, 28, 21, 33, 5),
        "ДатаОкончанияДействия": EMPTY_DATE, "ИспользоватьХарактеристики": False, "Недействителен": False, "ЭтоНабор": False,
        "ЭтоНовинка": False, "Штрихкод": f"200{at:010d}", "Комментарий": "",
        "ПодарочныйСертификатПринимаетКОплатеТолькоОрганизациеяЭмитент": False}


def products(base: Base, seed: object, found: Goods, start: datetime) -> None:
    rng = random.Random(f"{seed}/goods")
    at = 0
    for slug, title, one, share in CATEGORIES:
        keys = add_category(base, seed, len(found.products) + 1, title)
        ranks = []
        for rank in range(round(PRODUCTS * share)):
            at += 1
            brand = (at * 7 + rank) % len(BRANDS)
            if 2 <= rank < 2 + PAIRS and slug in ("earrings", "necklace"):
                brand = rank % len(BRANDS)  # both of a pair are of one collection
            style = STYLES[(rank * 3) % len(STYLES)]
            name = f"{one} «{style}» {BRANDS[brand] + ' ' if at % 2 else ''}{rank + 1:03d}"
            price = rng.randint(1, 4) * 100 if slug == "packaging" else _price(rng)
            row = product_row(seed, at, name, keys, guid(seed, "maker", brand + 1) if at % 5 else EMPTY_GUID)
            base.sets["Catalog_Номенклатура"].rows.append(row)
            one_product = Product(row["Ref_Key"], name, slug, price, [])
            _details(base, seed, at, row, (brand, style, start))
            if slug == "rings" and rank % 2 == 0:
                _sizes(base, seed, row, one_product)
            _prices(base, seed, one_product, start, rng)
            ranks.append(one_product)
        found.products[slug] = ranks
        found.weights[slug] = list(accumulate(1 / (k + 1) ** ZIPF for k in range(len(ranks))))
    found.pairs = [(found.products["earrings"][rank], found.products["necklace"][rank]) for rank in range(2, 2 + PAIRS)]


def _price(rng: random.Random) -> int:
    """Lognormal, rounded to …90 roubles; kopecks."""
    return ending_90(PRICE_MEDIAN * 100 * math.exp(PRICE_SIGMA * rng.gauss(0, 1)))


def ending_90(kopecks: float) -> int:
    return max(round(kopecks / 10000), 1) * 10000 - 1000


def _details(base: Base, seed: object, at: int, row: Row, about: tuple[int, str, datetime]) -> None:
    """Brand, collection, proof, date of arrival as properties: composite values of every kind."""
    brand, style, start = about
    lines = base.sets["Catalog_Номенклатура_ДополнительныеРеквизиты"].rows
    for line, (kind, value, value_type) in enumerate((
            (1, guid(seed, "value", brand + 1), PREFIX + "Catalog_ЗначенияСвойствОбъектов"), (3, style, "Edm.String")), 1):
        lines.append({"Ref_Key": row["Ref_Key"], "LineNumber": line, "Свойство_Key": guid(seed, "property", kind),
                      "Значение": value, "Значение_Type": value_type, "ТекстоваяСтрока": ""})
    values = ((2, "925", "Edm.Double"), (4, (start + timedelta(days=at)).isoformat(), "Edm.DateTime"),
              (5, "true" if at % 3 else "false", "Edm.Boolean"), (1, "", UNDEFINED))
    kind, value, value_type = values[at % len(values)]
    base.sets["InformationRegister_ДополнительныеСведения"].rows.append({
        "Объект": row["Ref_Key"], "Объект_Type": PREFIX + "Catalog_Номенклатура", "Свойство_Key": guid(seed, "property", kind),
        "Значение": value, "Значение_Type": value_type})


def _sizes(base: Base, seed: object, row: Row, product: Product) -> None:
    row["ИспользоватьХарактеристики"] = True
    for size in ("16", "16.5", "17", "17.5", "18"):
        variant = named(seed, "variant " + row["Ref_Key"], int(float(size) * 10), f"размер {size}", size) | {
            "Owner": row["Ref_Key"], "Owner_Type": PREFIX + "Catalog_Номенклатура", "НаименованиеДляПечати": f"р. {size}"}
        variant.pop("Code")
        base.sets["Catalog_ХарактеристикиНоменклатуры"].rows.append(variant | {"Code": size})
        product.variants.append(variant["Ref_Key"])


def _prices(base: Base, seed: object, product: Product, start: datetime, rng: random.Random) -> None:
    """The price was lower before: each change is a row, the last one is the price of today."""
    for part, days in ((.85, 0), (.93, rng.randrange(200, 400)), (1, rng.randrange(500, 700))):
        cost = product.price if part == 1 or product.category == "packaging" else ending_90(product.price * part)
        base.sets["InformationRegister_ЦеныНоменклатуры"].rows.append({
            "Period": start.replace(hour=0, minute=0, second=0) + timedelta(days=days),
            "ВидЦен_Key": guid(seed, "price kind", 1), "Номенклатура_Key": product.key, "Характеристика_Key": EMPTY_GUID,
            "Цена": money(cost), "Актуальность": True})


def stock(base: Base, seed: object, found: Goods, start: datetime) -> None:
    """Goods received each quarter, and some moved out: a balance register with one kind of recorder."""
    rng = random.Random(f"{seed}/stock")
    every = [product for ranks in found.products.values() for product in ranks]
    for at in range(1, 11):
        ref, day = guid(seed, "arrival", at), start + timedelta(days=90 * (at - 1), hours=8)
        chosen = rng.sample(every, 40)
        base.sets["Document_ПриходнаяНакладная"].rows.append({
            "Ref_Key": ref, "DataVersion": version(at), "DeletionMark": False, "Number": f"НФ00-{at:06d}", "Date": day,
            "Posted": True, "Организация_Key": found.organization, "СтруктурнаяЕдиница_Key": found.stores[at % 4],
            "СуммаДокумента": money(sum(product.price * 4 for product in chosen)), "Комментарий": ""})
        for line, product in enumerate(chosen, 1):
            base.sets["AccumulationRegister_ЗапасыНаСкладах_RecordType"].rows.append({
                "Recorder_Key": ref, "Period": day, "LineNumber": line, "Active": True,
                "RecordType": "Expense" if line % 5 == 0 else "Receipt", "Организация_Key": found.organization,
                "Номенклатура_Key": product.key, "Характеристика_Key": EMPTY_GUID,
                "СтруктурнаяЕдиница_Key": found.stores[at % 4], "Количество": number(2 if line % 5 == 0 else 10)})


def build(base: Base, seed: object, start: datetime) -> Goods:
    found = Goods()
    stores(base, seed, found)
    small_catalogs(base, seed, found)
    products(base, seed, found, start)
    stock(base, seed, found, start)
    return found
