"""What a site shows of goods: price lists of several kinds, stock of variants, reservations; and what users do to them.

Only with --site, from a random stream of its own, so that the rest of the shop is what it would be without.  Planted, each
a counted number of times: prices that are still to come, prices that were taken back, goods that two organizations hold in
one store, goods that came and went to the last, reservations of variants and of what is not in stock.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from goods import Goods, named
from ledger import guid, kopecks, money, number, version
from model import EMPTY_GUID, Base, Function, Row
from schema import AT_MOMENT, MOVEMENT, PREFIX, SETS, publish

STOCK, PRICES = "AccumulationRegister_ЗапасыНаСкладах_RecordType", "InformationRegister_ЦеныНоменклатуры"
RESERVED, KINDS = "AccumulationRegister_РезервыТоваров_RecordType", "Catalog_ВидыЦен"
GOODS, VARIANTS = "Catalog_Номенклатура", "Catalog_ХарактеристикиНоменклатуры"
PROPERTIES, ARRIVALS = "Catalog_Номенклатура_ДополнительныеРеквизиты", "Document_ПриходнаяНакладная"
ORDER = PREFIX + "Document_ЗаказПокупателя"
VALUES = "Catalog_ЗначенияСвойствОбъектов"
TERMS = ("Catalog_КлассификаторЕдиницИзмерения", "Catalog_СтавкиНДС", VALUES, "Catalog_Валюты", KINDS, VARIANTS,
         "ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения", "Catalog_СостоянияЗаказовПокупателей")
COMING, TAKEN_BACK, SHARED, SOLD_OUT, RESERVATIONS, NOT_IN_STOCK = 12, 9, 7, 8, 25, 4
FUTURE = datetime(2090, 1, 1)

# Beside what the shop publishes anyway: more properties of some, and a register of reservations.
TEXTS = {
    KINDS: SETS[KINDS] + """
    ВалютаЦены_Key Key Catalog_Валюты
    ЦенаВключаетНДС Boolean""",
    GOODS: SETS[GOODS].replace("    ВидСтавкиНДС String\n", """    ВидСтавкиНДС String
    СтавкаНДС_Key Key Catalog_СтавкиНДС
    Описание String(0)
"""),
    RESERVED: MOVEMENT + """
    RecordType String
    Организация_Key Key Catalog_Организации
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    СтруктурнаяЕдиница_Key Key Catalog_СтруктурныеЕдиницы
    Количество Double""",
}
HELD = ("Номенклатура_Key", "Характеристика_Key", "СтруктурнаяЕдиница_Key")


class Wares:
    """Writes prices and movements, one way for the generator and for edits."""

    def __init__(self, base: Base, seed: object, goods: Goods):
        self.base = base
        self.seed = seed
        self.goods = goods
        self.rng = random.Random(f"{seed}/wares")
        self.made = 0
        self.planted: dict[str, int] = {}

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def products(self) -> list[Row]:
        return [row for row in self.rows(GOODS) if not row["IsFolder"]]

    def variants_of(self, product: str) -> list[str]:
        return [row["Ref_Key"] for row in self.rows(VARIANTS) if row["Owner"] == product]

    def any_of(self, product: str) -> str:
        return self.rng.choice(self.variants_of(product) or [EMPTY_GUID])

    def price(self, at: datetime, kind: str, product: str, variant: str, cost: int, actual: bool = True) -> Row:
        """Of one moment there is one price."""
        key = {"Period": at, "ВидЦен_Key": kind, "Номенклатура_Key": product, "Характеристика_Key": variant}
        for row in self.rows(PRICES):
            if row["Period"] == at and all(row[name] == value for name, value in key.items()):
                row["Цена"], row["Актуальность"] = money(cost), actual
                return row
        self.rows(PRICES).append(key | {"Цена": money(cost), "Актуальность": actual})
        return self.rows(PRICES)[-1]

    def last_price(self) -> datetime:
        return max(row["Period"] for row in self.rows(PRICES) if row["Period"] < FUTURE)

    def move(self, name: str, at: datetime, count: int, product: str, variant: str, store: str, owner: str = "") -> Row:
        """One movement with a document of its own; less than nothing goes."""
        self.made += 1
        ref = guid(self.seed, "movement of goods", self.made)
        row = {"Period": at, "LineNumber": 1, "Active": True, "RecordType": "Receipt" if count > 0 else "Expense",
               "Организация_Key": owner or self.goods.organization, "Номенклатура_Key": product,
               "Характеристика_Key": variant, "СтруктурнаяЕдиница_Key": store, "Количество": number(abs(count))}
        if name == STOCK:
            self.rows(ARRIVALS).append(self.rows(ARRIVALS)[0] | {
                "Ref_Key": ref, "DataVersion": version(1000 + self.made), "Number": f"НФ01-{self.made:06d}", "Date": at,
                "СтруктурнаяЕдиница_Key": store, "СуммаДокумента": money(0)})
            row["Recorder_Key"] = ref
        else:
            row |= {"Recorder": ref, "Recorder_Type": ORDER}
        self.rows(name).append(row)
        return row

    def held(self, name: str) -> dict[tuple[str, str, str], int]:
        """What is left of each product, variant and store; also what is nothing."""
        found: dict[tuple, int] = defaultdict(int)
        for row in self.rows(name):
            if row["Active"]:
                found[tuple(row[key] for key in HELD)] += int(row["Количество"]) * (-1 if row["RecordType"] == "Expense" else 1)
        return found

    def moment(self) -> datetime:
        return max(row["Period"] for row in self.rows(STOCK)) + timedelta(minutes=1 + self.rng.randrange(60))


def plant(base: Base, seed: object, goods: Goods) -> Wares:
    before = {name: base.sets[name].rows for name in (KINDS, GOODS)}
    publish(base, TEXTS)
    wares = Wares(base, seed, goods)
    rng, rates = wares.rng, base.sets["Catalog_СтавкиНДС"].rows
    rouble, dollar = (row["Ref_Key"] for row in base.sets["Catalog_Валюты"].rows[:2])
    for row in before[GOODS]:
        sold = not row["IsFolder"]
        wares.rows(GOODS).append(row | {"СтавкаНДС_Key": rates[rng.randrange(2)]["Ref_Key"] if sold else None,
                                        "Описание": f"{row['Description']}: ручная работа" if sold else None})
    wares.rows(KINDS).append(before[KINDS][0] | {"ВалютаЦены_Key": rouble, "ЦенаВключаетНДС": True})
    for at, (name, currency) in enumerate((("Цена для сайта", rouble), ("Оптовая цена", dollar)), 2):
        wares.rows(KINDS).append(named(seed, "price kind", at, name) | {"ВалютаЦены_Key": currency, "ЦенаВключаетНДС": at == 2})
    base.functions.append(Function("Balance", RESERVED.removesuffix("_RecordType"), AT_MOMENT,
                                   ("Организация", "Номенклатура", "Характеристика", "СтруктурнаяЕдиница"), ("Количество",)))
    _prices(wares)
    _stock(wares)
    return wares


def _prices(wares: Wares) -> None:
    """Each product has a price for the site, some of the variants one of their own, half of the goods a wholesale price."""
    rng = wares.rng
    at = wares.last_price() + timedelta(days=3)
    _, site, wholesale = (row["Ref_Key"] for row in wares.rows(KINDS))
    today = {row["Номенклатура_Key"]: kopecks(row["Цена"]) for row in wares.rows(PRICES)}
    for product in wares.products():
        key = product["Ref_Key"]
        wares.rows(PRICES).append({"Period": at, "ВидЦен_Key": site, "Номенклатура_Key": key, "Характеристика_Key": EMPTY_GUID,
                                   "Цена": money(today[key]), "Актуальность": True})
        if rng.random() < .5:
            wares.rows(PRICES).append({"Period": at, "ВидЦен_Key": wholesale, "Номенклатура_Key": key,
                                       "Характеристика_Key": EMPTY_GUID, "Цена": money(today[key] // 90), "Актуальность": True})
    sized = [product["Ref_Key"] for product in wares.products() if product["ИспользоватьХарактеристики"]]
    for key in sized[::2]:
        wares.price(at, site, key, wares.variants_of(key)[-1], today[key] + 50000)
    chosen = rng.sample(wares.products(), COMING + TAKEN_BACK)
    for at_place, product in enumerate(chosen):
        coming = at_place < COMING
        wares.price(FUTURE if coming else at + timedelta(days=1), site, product["Ref_Key"], EMPTY_GUID, 99900, coming)
    wares.planted |= {"prices_to_come": COMING, "prices_taken_back": TAKEN_BACK, "prices_of_variants": len(sized[::2]),
                      "price_kinds": len(wares.rows(KINDS))}


def _stock(wares: Wares) -> None:
    rng, stores = wares.rng, wares.goods.stores
    other = named(wares.seed, "organization", 2, "ИП Лунницын", "НФ-000002") | {
        "НаименованиеПолное": "ИП Лунницын", "ИНН": "000000000000", "КПП": "", "ЮридическоеФизическоеЛицо": "ФизическоеЛицо"}
    wares.rows("Catalog_Организации").append(other)
    sized = [product["Ref_Key"] for product in wares.products() if product["ИспользоватьХарактеристики"]]
    for product in sized:
        for variant in wares.variants_of(product)[1:4]:
            wares.move(STOCK, wares.moment(), rng.randrange(1, 6), product, variant, rng.choice(stores))
    plain = [product["Ref_Key"] for product in wares.products() if product["Ref_Key"] not in sized]
    chosen = rng.sample(plain, SHARED + SOLD_OUT + NOT_IN_STOCK)
    for at, product in enumerate(chosen[:SHARED + SOLD_OUT]):
        store = wares.goods.web
        wares.move(STOCK, wares.moment(), 3, product, EMPTY_GUID, store)
        wares.move(STOCK, wares.moment(), 2 if at < SHARED else -3, product, EMPTY_GUID, store,
                   other["Ref_Key"] if at < SHARED else "")
    for at in range(RESERVATIONS):
        key = (chosen[-1 - at], EMPTY_GUID, wares.goods.web) if at < NOT_IN_STOCK else rng.choice(
            [key for key, count in wares.held(STOCK).items() if count > 0])
        wares.move(RESERVED, wares.moment(), 1, *key)
    wares.planted |= {"held_by_two_organizations": SHARED, "sold_out": SOLD_OUT, "reservations": RESERVATIONS,
                      "reserved_and_not_in_stock": NOT_IN_STOCK}


class WareEdits:
    """Edits of goods: price_set, price_drop, stock_move, stock_gone, reserve, unreserve, variant_new, property_set."""

    wares: Wares | None = None

    def _ware(self, given: dict) -> Row:
        found = [row for row in self.wares.products() if given.get("product") in (None, row["Ref_Key"])]
        if not found:
            raise ValueError("there is no such product")
        return self.wares.rng.choice(found)

    def op_price_set(self, given: dict) -> dict:
        """product?, kind?, variant?, price?, date?"""
        wares = self.wares
        product = self._ware(given)["Ref_Key"]
        kind = given.get("kind") or wares.rng.choice(wares.rows(KINDS))["Ref_Key"]
        at = datetime.fromisoformat(given["date"]) if given.get("date") else wares.last_price() + timedelta(minutes=1)
        cost = round(float(given["price"]) * 100) if "price" in given else wares.rng.randrange(1, 90) * 10000 - 1000
        row = wares.price(at, kind, product, given.get("variant") or EMPTY_GUID, cost)
        return {"product": product, "kind": kind, "price": str(row["Цена"])}

    def op_price_drop(self, given: dict) -> dict:
        """product?, physically?: the price is taken back by a row that says so, or all its rows go"""
        wares = self.wares
        product, kind = self._ware(given)["Ref_Key"], wares.rng.choice(wares.rows(KINDS))["Ref_Key"]
        if given.get("physically"):
            rows = wares.rows(PRICES)
            rows[:] = [row for row in rows if (row["Номенклатура_Key"], row["ВидЦен_Key"]) != (product, kind)]
        else:
            wares.price(wares.last_price() + timedelta(minutes=1), kind, product, EMPTY_GUID, 0, False)
        return {"product": product, "kind": kind}

    def op_price_list(self, given: dict) -> dict:
        """rows: so many products of somebody else's list get a price, which is another each time"""
        wares, kind = self.wares, self.wares.rows(KINDS)[0]["Ref_Key"]
        at, of = wares.last_price() + timedelta(minutes=1), wares.rng.randrange(100)
        wares.rows(PRICES).extend({"Period": at, "ВидЦен_Key": kind, "Номенклатура_Key": guid(wares.seed, "listed", n),
                                   "Характеристика_Key": EMPTY_GUID, "Цена": money(100 * n + of), "Актуальность": True}
                                  for n in range(1, int(given["rows"]) + 1))
        return {"rows": given["rows"]}

    def _held(self, given: dict, name: str) -> tuple[str, str, str]:
        found = [key for key, count in self.wares.held(name).items() if count > 0 and given.get("product") in (None, key[0])]
        if not found:
            raise ValueError("there is nothing left")
        return self.wares.rng.choice(found)

    def op_stock_move(self, given: dict) -> dict:
        """product?, count?, store?: goods come, or go"""
        wares = self.wares
        product = self._ware(given)["Ref_Key"]
        store = given.get("store") or wares.rng.choice(wares.goods.stores)
        row = wares.move(STOCK, wares.moment(), int(given.get("count") or wares.rng.choice((5, 3, 1, -1))), product,
                         wares.any_of(product), store)
        return {"product": product, "variant": row["Характеристика_Key"], "store": store}

    def op_stock_gone(self, given: dict) -> dict:
        """product?: all of it in one store"""
        key = self._held(given, STOCK)
        self.wares.move(STOCK, self.wares.moment(), -self.wares.held(STOCK)[key], *key)
        return {"product": key[0], "variant": key[1], "store": key[2]}

    def op_reserve(self, given: dict) -> dict:
        """product?"""
        key = self._held(given, STOCK)
        self.wares.move(RESERVED, self.wares.moment(), 1, *key)
        return {"product": key[0], "variant": key[1], "store": key[2]}

    def op_unreserve(self, given: dict) -> dict:
        """product?: all of it in one store"""
        key = self._held(given, RESERVED)
        self.wares.move(RESERVED, self.wares.moment(), -self.wares.held(RESERVED)[key], *key)
        return {"product": key[0], "variant": key[1], "store": key[2]}

    def op_variant_new(self, given: dict) -> dict:
        """product?"""
        product, rows = self._ware(given), self.wares.rows(VARIANTS)
        self.wares.made += 1
        rows.append(rows[0] | {"Ref_Key": guid(self.wares.seed, "new variant", self.wares.made), "Owner": product["Ref_Key"],
                               "Description": f"размер {self.wares.made}", "НаименованиеДляПечати": f"р. {self.wares.made}"})
        return {"product": product["Ref_Key"], "variant": rows[-1]["Ref_Key"]}

    def op_property_set(self, given: dict) -> dict:
        """product?, value?: its collection"""
        product = self._ware(given)["Ref_Key"]
        rows = [row for row in self.wares.rows(PROPERTIES) if row["Ref_Key"] == product and row["Значение_Type"] == "Edm.String"]
        for row in rows:
            row["Значение"] = given.get("value") or f"Новая {self.wares.rng.randrange(1000)}"
        self._touch(next(row for row in self.wares.rows(GOODS) if row["Ref_Key"] == product))
        return {"product": product, "rows": len(rows)}

    def op_term_change(self, given: dict) -> dict:
        """set?: a word of those that goods and orders use is another one, or is marked, or unmarked"""
        rng = self.wares.rng
        name = given.get("set") or rng.choice(TERMS)
        row = rng.choice(self.wares.rows(name))
        if rng.random() < .3:
            row["DeletionMark"] = not row["DeletionMark"]
        else:
            row["Description"] = f"{row['Description'].split(' №')[0]} №{rng.randrange(1000)}"
        self._touch(row)
        return {"set": name, "key": row["Ref_Key"]}

    def op_term_gone(self, given: dict) -> dict:
        """a variant, or a value of a property, is no more"""
        rows = self.wares.rows(self.wares.rng.choice((VARIANTS, VALUES)))
        return {"key": rows.pop(self.wares.rng.randrange(len(rows)))["Ref_Key"]} if len(rows) > 5 else {}

    def op_random_goods(self, given: dict) -> dict:
        """n, seed: n of the above, by the stream of the goods"""
        names = ("price_set", "price_set", "price_drop", "stock_move", "stock_move", "stock_gone", "reserve", "unreserve",
                 "variant_new", "property_set", "term_change", "term_gone")
        if "seed" in given:
            self.wares.rng = random.Random(f"wares/{given['seed']}")
        done = []
        for _ in range(int(given.get("n", 1))):
            name = self.wares.rng.choice(names)
            try:
                done.append({"op": name} | getattr(self, "op_" + name)({"physically": self.wares.rng.random() < .5}))
            except (LookupError, ValueError) as error:
                done.append({"op": "none", "why": str(error)})
        return {"done": done}


def truth(base: Base) -> dict[str, Any]:
    """What there is of each product, and what it costs now: keys are product, variant and store, or kind of price."""
    held = {name: defaultdict(Decimal) for name in (STOCK, RESERVED)}
    for name, sums in held.items():
        for row in base.sets[name].rows:
            if row["Active"]:
                key = f"{row['Номенклатура_Key']} {row['Характеристика_Key']} {row['СтруктурнаяЕдиница_Key']}"
                sums[key] += row["Количество"] if row["RecordType"] == "Receipt" else -row["Количество"]
    now = datetime.now(ZoneInfo(base.timezone)).replace(tzinfo=None)
    prices: dict[str, Row] = {}
    for row in base.sets[PRICES].rows:
        key = f"{row['Номенклатура_Key']} {row['Характеристика_Key']} {row['ВидЦен_Key']}"
        if row["Period"] <= now and (key not in prices or prices[key]["Period"] < row["Period"]):
            prices[key] = row
    return {"stock": {key: f"{value:.3f}" for key, value in held[STOCK].items() if value},
            "reserved": {key: f"{value:.3f}" for key, value in held[RESERVED].items() if value},
            "prices": {key: f"{row['Цена']:.2f} {row['Period']:%Y-%m-%d %H:%M:%S}" for key, row in prices.items()
                       if row["Актуальность"]},
            "price_rows": len(base.sets[PRICES].rows), "variants": len(base.sets[VARIANTS].rows),
            "properties": len(base.sets[PROPERTIES].rows)}
