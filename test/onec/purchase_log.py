"""A purchase log as a 1C base: each purchase a receipt of one line, each customer a card.

Two forms are read: that of the CDNOW sample (id in the master set, id in the sample, date as
yyyymmdd, number of things, amount; no header), and CSV with a header that names customer,
date and amount (and quantity, if there is one; other columns are passed over).  Nothing is
left out: purchases of nothing, and two of a customer on one day, are receipts like all others.
A customer's card has barcode 7000 and seven digits: his number if it is one, else his place in the log.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

import goods as shelf
from edits import Edits
from goods import Goods
from ledger import SALE, Entry, Ledger, Line, guid
from model import EMPTY_GUID, Base, Row
from orders import Orders
from people import Person, People
from schema import empty_base
from truth import Truth

SEED = "log"


@dataclass
class Purchase:
    customer: str
    at: datetime
    quantity: int
    amount: int  # kopecks, cents: hundredths of whatever the log counts in


def read(path: str) -> list[Purchase]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = [line for line in file.read().splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path} holds no purchases")
    found, number = [], 0
    try:
        if lines[0].split()[0].isdigit() and "," not in lines[0]:
            for number, line in enumerate(lines, 1):
                _, customer, day, quantity, amount = line.split()
                found.append(Purchase(customer, moment(day), int(quantity), hundredths(amount)))
        else:
            for number, row in enumerate(csv.DictReader(lines, skipinitialspace=True), 2):
                named = {str(name).strip().lower(): (value or "").strip() for name, value in row.items()}
                found.append(Purchase(named["customer"], moment(named["date"]), int(named.get("quantity") or 1),
                                      hundredths(named["amount"])))
    except KeyError as error:
        raise ValueError(f"{path}: the header names no column {error}") from error
    except (ValueError, InvalidOperation) as error:
        raise ValueError(f"{path}, line {number}: {error}") from error
    return found


def moment(text: str) -> datetime:
    """A day, at noon, or a day with its time."""
    at = datetime.strptime(text, "%Y%m%d") if len(text) == 8 and text.isdigit() else datetime.fromisoformat(text)
    at = at.replace(tzinfo=None, microsecond=0)
    return at if len(text) > 10 else at + timedelta(hours=12)


def hundredths(text: str) -> int:
    value = Decimal(text).scaleb(2)
    if value != value.to_integral_value():
        raise ValueError(f"{text} has more than two digits after the point")
    return int(value)


def barcodes(names: list[str]) -> dict[str, str]:
    """Barcodes by customer; all by number only if no two would share one."""
    numbers = {name: int(name) for name in names if name.isdecimal() and int(name) < 10_000_000}
    if len(numbers) < len(names) or len(set(numbers.values())) < len(names):
        numbers = {name: at for at, name in enumerate(names, 1)}
    return {name: "7000" + f"{number:07d}" for name, number in numbers.items()}


def _product(base: Base, found: Goods) -> str:
    keys = shelf.add_category(base, SEED, 1, "Покупки")
    row = shelf.product_row(SEED, 1, "Покупка", keys)
    base.sets["Catalog_Номенклатура"].rows.append(row)
    return row["Ref_Key"]


def _customers(base: Base, found: Goods, first: dict[str, datetime]) -> dict[str, Row]:
    """Card of each customer."""
    people = People(base, SEED, found)
    people.folder("Покупатели")
    codes, cards = barcodes(list(first)), {}
    for at, (name, since) in enumerate(first.items(), 1):
        person = Person(codes[name], guid(SEED, "customer", at), 0)
        row = people.counterparty(person.customer, at, f"Покупатель {name}", since)
        row["НомерТелефонаДляПоиска"] = person.phone
        base.sets["Catalog_Контрагенты"].rows.append(row)
        people.contacts(person.customer, person.phone, "", "")
        people.add_card(person, at, person.phone, row["Description"])
        cards[name] = person.cards[0]
    return cards


def build(path: str, timezone: str = "Europe/Moscow") -> Base:
    purchases = sorted(read(path), key=lambda purchase: purchase.at)
    base, found = empty_base(timezone), Goods()
    shelf.stores(base, SEED, found)
    shelf.small_catalogs(base, SEED, found)
    product = _product(base, found)
    first: dict[str, datetime] = {}
    for purchase in purchases:
        first.setdefault(purchase.customer, purchase.at)
    cards = _customers(base, found, first)
    ledger = Ledger(base, SEED, found.organization, found.program, found.tills)
    for at, purchase in enumerate(purchases, 1):
        ref = guid(SEED, "receipt", at)
        price = purchase.amount // purchase.quantity if purchase.quantity > 0 else purchase.amount
        line = Line(product, EMPTY_GUID, purchase.quantity, purchase.amount, price)
        entries = [Entry(line, cards[purchase.customer], (ref, SALE), found.stores[0])]
        ledger.receipt(SALE, ref, purchase.at, ledger.next_number(SALE), entries)
        ledger.movements(SALE, ref, purchase.at, entries)
    base.truth = Truth(base, {}, {}, {"log": {"purchases": len(purchases), "customers": len(first)}})
    base.edits = Edits(base, ledger, Orders(base, SEED, found))
    return base
