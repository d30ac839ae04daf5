"""A corner shop: the demo shop's sets with so few rows that a whole sync takes a moment, all within some weeks of today.

What random edits of documents do not do, "remove" does: an object of a catalog is gone, as after 1C's own deletion of what
was marked.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import goods as shelf
import orders
from edits import Edits
from goods import Goods
from ledger import SALE, SALES, Entry, Ledger, Line, guid
from model import EMPTY_GUID, Base, Row
from people import Person, People
from schema import empty_base
from truth import Truth

SEED = "corner"
CATALOGS = ("Catalog_ДисконтныеКарты", "Catalog_Контрагенты", "Catalog_Номенклатура", "Catalog_КатегорииНоменклатуры",
            "Catalog_СтруктурныеЕдиницы")
PROTECTED = ("70000000001", "70000000002")


def products(base: Base, found: Goods, count: int) -> list[str]:
    keys = [shelf.add_category(base, SEED, at, title) for at, title in enumerate(("Серьги", "Кольца", "Колье", "Броши"), 1)]
    makers = [row["Ref_Key"] for row in base.sets["Catalog_Производители"].rows]
    rows = [shelf.product_row(SEED, at, f"Изделие {at:03d}", keys[at % 4], makers[at % 5]) for at in range(1, count + 1)]
    base.sets["Catalog_Номенклатура"].rows += rows
    return [row["Ref_Key"] for row in rows]


def customers(base: Base, found: Goods, count: int, since: datetime) -> list[Row]:
    """Cards of so many customers; each ninth has no owner, some have two."""
    people, cards = People(base, SEED, found), []
    for name in ("Покупатели", "Розничные", "Архив"):
        people.folder(name)
    for at in range(1, count + 1):
        owner = guid(SEED, "customer", at) if at % 9 else EMPTY_GUID
        person = Person(f"7000{at:07d}", owner, 0)
        if at % 9:
            row = people.counterparty(owner, at, f"Покупатель {at}", since)
            row["НомерТелефонаДляПоиска"] = person.phone
            base.sets["Catalog_Контрагенты"].rows.append(row)
            people.contacts(owner, person.phone, f"client{at}@example.org" if at % 3 else "", "Заозёрск" if at % 2 else "")
        people.add_card(person, at, person.phone, f"Карта {at}")
        cards.append(person.cards[0])
    return cards


def build(customers_wanted: int = 24, days: int = 45, receipts: int = 60) -> Base:
    base, found = empty_base("UTC"), Goods()
    rng = random.Random(SEED)
    start = datetime.now().replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=days)
    shelf.stores(base, SEED, found)
    shelf.small_catalogs(base, SEED, found)
    sold = products(base, found, 30)
    cards = customers(base, found, customers_wanted, start)
    ledger = Ledger(base, SEED, found.organization, found.program, found.tills)
    for at in range(1, receipts + 1):
        moment = start + timedelta(seconds=rng.randrange(36_000)) + timedelta(days=days * at // (receipts + 1))
        receipt(ledger, rng, (found, sold, cards), at, moment)
    base.truth = Truth(base, {}, {}, {})
    owners = [card["ВладелецКарты_Key"] for card in cards if card["ВладелецКарты_Key"] != EMPTY_GUID]
    base.edits = CornerEdits(base, ledger, orders.plant(base, SEED, found, owners, start, start + timedelta(days=days)))
    return base


def receipt(ledger: Ledger, rng: random.Random, shop: tuple[Goods, list[str], list[Row]], at: int, moment: datetime) -> None:
    """One of one to three lines; some of nobody, and some whose buyer only the register of card sales knows."""
    found, sold, cards = shop
    ref = guid(SEED, "receipt", at)
    card = rng.choice(cards) if at % 5 else None
    store = rng.choice(list(found.tills))
    entries = [Entry(Line(product, EMPTY_GUID, 1, amount, amount + 5000), card, (ref, SALE), store)
               for product in rng.sample(sold, rng.randint(1, 3)) for amount in [rng.randrange(5, 90) * 10000 - 1000]]
    ledger.receipt(SALE, ref, moment, ledger.next_number(SALE), entries)
    before = len(ledger.rows(SALES))
    ledger.movements(SALE, ref, moment, entries)
    if card:
        ledger.accrue(SALE, ref, moment, entries)
    if at % 7 == 0:
        for row in ledger.rows(SALES)[before:]:
            row["Контрагент_Key"] = EMPTY_GUID


class CornerEdits(Edits):
    def op_remove(self, given: dict) -> dict:
        """An object of a catalog is gone, with its tabular section."""
        name = given.get("set") or self.rng.choice(CATALOGS)
        rows = self.rows(name)
        open_to = [row for row in rows if row.get("КодКартыШтрихкод") not in PROTECTED]
        if len(open_to) < 4:
            raise ValueError("there is nothing left to remove")
        gone = self.rng.choice(open_to)
        self._drop(name, [gone])
        section = name + "_КонтактнаяИнформация"
        if section in self.base.sets:
            self._drop(section, [line for line in self.rows(section) if line["Ref_Key"] == gone["Ref_Key"]])
        return {"set": name, "key": gone["Ref_Key"]}
