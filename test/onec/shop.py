"""The demo shop: a jeweller's with stores, customers, receipts and the disorder of real bases.

build() is deterministic by its seed.  Customers come by the process of process.py; goods are
those of goods.py; what is wrong with cards and people is planted by people.py and what is
wrong with documents here, each a counted number of times.  Two customers are fixed and clean:
card 70000000001 with a short history, and 70000000002 with the five purchases of 21267.00.
"""

from __future__ import annotations

import gc
import random
from bisect import bisect
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import bonus
import goods as shelf
import orders
import parcels
import pictures
import process as clock
import wares
from edits import Edits
from goods import Goods, Product, ending_90
from ledger import (JOURNAL, OPENING, REFUND, REGISTERS, REPORT, SALE, Entry, Ledger, Line, accrued, guid,
                    money)
from model import EMPTY_GUID, Base, Row
from people import FIXED, People, Person
from schema import empty_base
from truth import Truth

ANONYMOUS = .35  # of the lines of sales
LINE_COUNTS = (.72, .91, .97, 1.0)
PAIR_SHARE = .18  # of the receipts with several lines
RETURNED, WHOLE, ACROSS_MONTH, UNMATCHED = .04, .30, .10, 20
SAME_PRODUCT, BACKDATED, DELETED, CHANGED = .01, .01, .005, .005  # of the receipts
INACTIVE, REREGISTERED, OPENING_ROWS = .003, .05, 150  # of the lines; of the days; rows
# Date, (category, rank in it, roubles) of each line.
FIRST = (("2026-03-05T12:40:10", (("earrings", 20, 4590), ("rings", 11, 2190))),
         ("2026-08-14T18:05:33", (("necklace", 12, 7290),)),
         ("2026-11-10T11:15:02", (("pendants", 4, 1990),)))
EXAMPLE = (("2025-08-08T13:10:05", (("necklace", 15, 3490),)), ("2025-09-09T17:32:48", (("earrings", 25, 2890),)),
           ("2025-10-11T15:47:19", (("earrings", 31, 4290),)), ("2025-11-10T10:24:27", (("necklace", 18, 8090),)),
           ("2025-12-12T19:02:56", (("earrings", 40, 2507),)))


@dataclass(slots=True, eq=False)
class Receipt:
    at: datetime
    card: Row | None
    store: str
    lines: list[Line]
    ref: str = ""
    numbered: int = 0
    fixed: bool = False
    state: str = ""  # deleted, inactive, changed, archived (registered again by a report)
    document: tuple[str, str] = ("", "")


@dataclass(slots=True, eq=False)
class Refund:
    at: datetime
    of: Receipt
    lines: list[Line]
    matched: bool
    ref: str = ""
    numbered: int = 0


@dataclass(slots=True, eq=False)
class Shift:
    """A day of a store whose receipts a report has registered again."""

    at: datetime
    ref: str
    receipts: list[Receipt] = field(default_factory=list)


class Baskets:
    """Lines of receipts."""

    def __init__(self, found: Goods, rng: random.Random):
        self.goods = found
        self.rng = rng
        self.slugs = [slug for slug, *_ in shelf.CATEGORIES]
        shares = [share for *_, share in shelf.CATEGORIES]
        self.first = [sum(shares[:at + 1]) for at in range(len(shares) - 1)]  # never packaging alone
        # Packaging is a line among others only, more often there to make up its share of all lines.
        self.further = [part / self.first[-1] * .895 for part in self.first] + [1.0]

    def lines(self, roubles: float) -> list[Line]:
        rng = self.rng
        count = 1 + bisect(LINE_COUNTS, rng.random() * .9999)
        if count == 4 and rng.random() < .3:
            count = 5
        if count == 1:
            return [self._line(self._nearest(roubles * 100), roubles * 100)]
        pair = rng.random() < PAIR_SHARE
        chosen = list(rng.choice(self.goods.pairs)) if pair else [self._any(self.first)]
        while len(chosen) < count:
            product = self._any(self.further)
            if product not in chosen:
                chosen.append(product)
        priced = sum(product.price for product in chosen if product.category != "packaging")
        return [self._line(product, roubles * 100 * product.price / priced) for product in chosen]

    def _any(self, shares: list[float]) -> Product:
        slug = self.slugs[bisect(shares, self.rng.random() * shares[-1])]
        return self.goods.draw(slug, self.rng)

    def _nearest(self, amount: float) -> Product:
        """Of three popular things of one category the one that costs about as much."""
        slug = self.slugs[bisect(self.first, self.rng.random() * self.first[-1])]
        drawn = [self.goods.draw(slug, self.rng) for _ in range(3)]
        return min(drawn, key=lambda product: abs(product.price - amount))

    def _line(self, product: Product, amount: float) -> Line:
        variant = self.rng.choice(product.variants) if product.variants else EMPTY_GUID
        if product.category == "packaging":
            return Line(product.key, variant, 1, product.price, product.price)
        paid = ending_90(amount)
        quantity = 2 if paid > 1.6 * product.price else 1
        return Line(product.key, variant, quantity, paid, product.price)


class Shop:
    def __init__(self, seed: object, customers: int, timezone: str, dirt: bool, unthinned: bool):
        self.seed = seed
        self.base = empty_base(timezone)
        self.dirty = dirt
        self.unthinned = unthinned
        self.rng = random.Random(f"{seed}/shop")
        self.process = clock.Process(seed, not unthinned)
        self.goods = shelf.build(self.base, seed, clock.START)
        self.ledger = Ledger(self.base, seed, self.goods.organization, self.goods.program, self.goods.tills)
        self.baskets = Baskets(self.goods, self.rng)
        self.dirt: dict[str, int] = {}
        self.points: dict[str, list[list]] = {}  # card → [day of the accrual, points left]
        self.people: list[Person] = []
        self.receipts: list[Receipt] = []
        self.refunds: list[Refund] = []
        self.shifts: list[Shift] = []
        self._customers(customers)

    def _customers(self, count: int) -> None:
        fixed = [[datetime.fromisoformat(at) for at, _ in story] for story in (FIRST, EXAMPLE)]
        visits = fixed + [self.process.visits() for _ in range(count - FIXED)]
        people = People(self.base, self.seed, self.goods)
        self.people = people.build(count, [days[0] - timedelta(minutes=5) for days in visits], self.dirty)
        self.dirt.update(people.dirt if self.dirty else {})
        for person, story in zip(self.people, (FIRST, EXAMPLE)):
            for at, lines in story:
                self.receipts.append(Receipt(datetime.fromisoformat(at), person.cards[0], self.goods.stores[0],
                                             [self._fixed_line(*line) for line in lines], fixed=True))
        for person, days in zip(self.people[FIXED:], visits[FIXED:]):
            scale = self.process.spender()
            for number, at in enumerate(days):
                card = person.cards[number * len(person.cards) // len(days)]
                self.receipts.append(self._receipt(at, card, person.home, scale))

    def _fixed_line(self, slug: str, rank: int, roubles: int) -> Line:
        product = self.goods.products[slug][rank]
        return Line(product.key, EMPTY_GUID, 1, roubles * 100, max(product.price, roubles * 100))

    def _receipt(self, at: datetime, card: Row | None, home: int, scale: float) -> Receipt:
        draw = self.rng.random()
        if draw < shelf.WEB_SHARE:
            store = self.goods.web
        elif draw < .8:
            store = self.goods.stores[home]
        else:
            store = self.goods.stores[bisect(self.goods.store_weights[:-1], self.rng.random())]
        return Receipt(at, card, store, self.baskets.lines(self.process.spends(scale)))

    # dirt and returns: which receipts

    def spoil(self) -> None:
        self._anonymous()
        self.receipts.sort(key=lambda receipt: receipt.at)
        self._number()
        self._archive()
        clean = [receipt for receipt in self.receipts if not receipt.fixed and not receipt.state]
        self.rng.shuffle(clean)
        count = len(self.receipts)
        for state, kind, wanted in (("deleted", "deleted_documents", round(DELETED * count)),
                                    ("changed", "sum_changed", round(CHANGED * count))):
            self.dirt[kind] = len(clean[:wanted])
            for receipt in clean[:wanted]:
                receipt.state = state
            del clean[:wanted]
        self._inactive(clean)
        self._same_product([receipt for receipt in clean if not receipt.state])
        # Only what stands in the register: deleted documents have no rows there.
        self.dirt["anonymous_lines"] = sum(len(receipt.lines) for receipt in self.receipts
                                           if receipt.card is None and receipt.state != "deleted")

    def _same_product(self, clean: list[Receipt]) -> None:
        chosen = clean[:round(SAME_PRODUCT * len(self.receipts))]
        for receipt in chosen:
            first = receipt.lines[0]
            receipt.lines.append(Line(first.product, first.variant, first.quantity, first.amount, first.price))
        self.dirt["same_product_twice"] = len(chosen)

    def _anonymous(self) -> None:
        known = sum(len(receipt.lines) for receipt in self.receipts)
        wanted = round(known * ANONYMOUS / (1 - ANONYMOUS))
        while wanted > 0:
            home = bisect(self.goods.store_weights[:-1], self.rng.random())
            receipt = self._receipt(self.process.passer_by(), None, home, self.process.spender())
            del receipt.lines[wanted:]
            wanted -= len(receipt.lines)
            self.receipts.append(receipt)

    def _number(self) -> None:
        """Numbers follow the order in which receipts were entered; a back-dated one was entered days after its date."""
        open_to = [at for at, receipt in enumerate(self.receipts)
                   if not receipt.fixed and receipt.at + timedelta(days=90) <= clock.END]
        late = set(self.rng.sample(open_to, min(round(BACKDATED * len(self.receipts)), len(open_to)))) if self.dirty else ()
        if self.dirty:
            self.dirt["backdated_documents"] = len(late)
        entered = [(receipt.at + timedelta(days=self.rng.randrange(3, 91)) if at in late else receipt.at, at)
                   for at, receipt in enumerate(self.receipts)]
        for _, at in sorted(entered):
            receipt = self.receipts[at]
            receipt.numbered = self.ledger.next_number(SALE)
            receipt.ref = guid(self.seed, "receipt", receipt.numbered)
            receipt.document = receipt.ref, SALE

    def _archive(self) -> None:
        days: dict[tuple[datetime, str], list[Receipt]] = {}
        for receipt in self.receipts:
            if not receipt.fixed:
                day = receipt.at.replace(hour=0, minute=0, second=0)
                days.setdefault((day, receipt.store), []).append(receipt)
        dates = sorted({day for day, _ in days})
        chosen = set(self.rng.sample(dates, round(REREGISTERED * len(dates))))
        rows = 0
        for (day, store), receipts in sorted(days.items(), key=lambda item: item[0]):
            if day not in chosen:
                continue
            closed = day + timedelta(hours=22, minutes=3 * len(self.shifts) % 60, seconds=self.rng.randrange(60))
            shift = Shift(closed, guid(self.seed, "shift", day.date(), store), receipts)
            self.shifts.append(shift)
            for receipt in receipts:
                receipt.state, receipt.document = "archived", (shift.ref, REPORT)
                rows += len(receipt.lines)
        self.dirt |= {"reregistered_days": len(chosen), "shift_reports": len(self.shifts), "reregistered_rows": rows}

    def _inactive(self, clean: list[Receipt]) -> None:
        wanted = round(INACTIVE * sum(len(receipt.lines) for receipt in self.receipts))
        self.dirt |= {"inactive_rows": wanted, "inactive_documents": 0}
        for receipt in clean:
            if wanted == 0:
                break
            if len(receipt.lines) <= wanted:
                receipt.state = "inactive"
                wanted -= len(receipt.lines)
                self.dirt["inactive_documents"] += 1
        self.dirt["inactive_rows"] -= wanted

    def take_back(self) -> None:
        """Returns: 4 % of the lines, three of ten of them with all of their receipt."""
        open_to = [receipt for receipt in self.receipts if not receipt.fixed and receipt.state in ("", "archived")]
        self.rng.shuffle(open_to)
        lines = sum(len(receipt.lines) for receipt in self.receipts)
        whole = round(RETURNED * WHOLE * lines)
        part = round(RETURNED * lines) - whole
        planted = dict.fromkeys(("returned_lines", "returns", "returns_of_whole_receipts", "returns_across_month",
                                 "returns_unmatched"), 0)
        for receipt in open_to:
            one = len(receipt.lines) > 1 and part > 0 and self.rng.random() < .75
            count = 1 if one else len(receipt.lines) if len(receipt.lines) <= whole else 0
            across = planted["returns_across_month"] < ACROSS_MONTH * (planted["returns"] + 1)
            delay = self._delay(receipt.at, across) if count else 0
            if not delay:
                continue
            whole, part = (whole, part - 1) if one else (whole - count, part)
            unmatched = planted["returns"] % UNMATCHED == UNMATCHED - 1
            at = receipt.at + timedelta(days=delay, seconds=self.rng.randrange(-600, 600))
            self.refunds.append(Refund(at, receipt, [Line(line.product, line.variant, -line.quantity, -line.amount, line.price)
                                                     for line in receipt.lines[:count]], not unmatched))
            for kind, value in (("returned_lines", count), ("returns", 1),
                                ("returns_of_whole_receipts", count == len(receipt.lines)),
                                ("returns_across_month", at.month != receipt.at.month), ("returns_unmatched", unmatched)):
                planted[kind] += value
        self.refunds.sort(key=lambda refund: refund.at)
        for refund in self.refunds:
            refund.numbered = self.ledger.next_number(REFUND)
            refund.ref = guid(self.seed, "return", refund.numbered)
        self.dirt |= planted

    def _delay(self, at: datetime, across: bool) -> int:
        """Days until a return, over the end of the month or not; 0: not possible."""
        left = monthrange(at.year, at.month)[1] - at.day
        low, high = (left + 1, 14) if across else (1, min(left, 14))
        if low > high or at + timedelta(days=high + 1) > clock.END:
            return 0
        return self.rng.randint(low, high)

    # writing

    def write(self) -> None:
        if self.dirty:
            self._openings()
        todo: list = [*self.receipts, *self.refunds, *self.shifts]
        todo.sort(key=lambda thing: (thing.at, thing.ref))
        for thing in todo:
            if isinstance(thing, Refund):
                self._write_refund(thing)
            elif isinstance(thing, Shift):
                self._write_shift(thing)
            elif thing.state != "archived":
                self._write_receipt(thing)

    def _openings(self) -> None:
        owned = [person for person in self.people[FIXED:] if person.customer != EMPTY_GUID]
        for document in range(3):
            ref = guid(self.seed, "opening", document)
            entries = []
            for _ in range(OPENING_ROWS // 3):
                product = self.goods.draw("rings", self.rng)
                entries.append(Entry(Line(product.key, EMPTY_GUID, 1, product.price, product.price),
                                     self.rng.choice(owned).cards[0] if owned else None, (ref, OPENING), self.goods.stores[0]))
            self.ledger.opening(ref, clock.START + timedelta(minutes=document), entries)
        self.dirt["opening_rows"] = OPENING_ROWS

    def _write_receipt(self, receipt: Receipt) -> None:
        ledger = self.ledger
        entries = [Entry(line, receipt.card, receipt.document, receipt.store) for line in receipt.lines]
        row = ledger.receipt(SALE, receipt.ref, receipt.at, receipt.numbered, entries)
        journal = ledger.rows(JOURNAL)[-1]
        if receipt.state == "deleted":
            for found in (row, journal):
                found["DeletionMark"], found["Posted"] = True, False
            return
        if receipt.state == "changed":
            row["СуммаДокумента"] = journal["Сумма"] = row["СуммаДокумента"] + money(self.rng.randrange(1, 6) * 10000)
        before = [len(ledger.rows(name)) for name in REGISTERS]
        ledger.movements(SALE, receipt.ref, receipt.at, entries)
        if receipt.card:
            self._points(SALE, receipt.ref, receipt.at, entries, receipt.state != "inactive")
        if receipt.state == "inactive":
            for name, length in zip(REGISTERS, before):
                for found in ledger.rows(name)[length:]:
                    found["Active"] = False

    def _points(self, kind: str, ref: str, at: datetime, entries: list[Entry], counts: bool = True) -> None:
        """Some are spent, the oldest first; then new ones are given."""
        card = entries[0].card
        day = datetime(at.year, at.month, at.day)
        lots = self.points.setdefault(card["Ref_Key"], [])
        lots[:] = [lot for lot in lots if lot[1] > 0 and lot[0] > day - timedelta(days=364)]
        paid = sum(entry.line.amount for entry in entries) // 100
        if counts and sum(lot[1] for lot in lots) >= 100 and self.rng.random() < .15:
            taken, left = [], paid * 3 // 10
            for lot in lots:
                part = min(lot[1], left)
                if part > 0:
                    taken.append((lot[0], part))
                    lot[1] -= part
                    left -= part
            self.ledger.spend(kind, ref, at, card, taken)
        given = self.ledger.accrue(kind, ref, at, entries)
        if counts and given > 0:
            lots.append([day, given])

    def _write_shift(self, shift: Shift) -> None:
        entries = [Entry(line, receipt.card, receipt.document, receipt.store)
                   for receipt in shift.receipts for line in receipt.lines]
        self.ledger.report(shift.ref, shift.at, entries)
        by_card: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.card:
                by_card.setdefault(entry.card["Ref_Key"], []).append(entry)
        for of_card in by_card.values():
            self._points(REPORT, shift.ref, shift.at, of_card)

    def _write_refund(self, refund: Refund) -> None:
        ledger, sale = self.ledger, refund.of
        document = sale.document if refund.matched else (refund.ref, REFUND)
        entries = [Entry(line, sale.card, document, sale.store) for line in refund.lines]
        ledger.receipt(REFUND, refund.ref, refund.at, refund.numbered, entries,
                       sale.ref if refund.matched and sale.state != "archived" else EMPTY_GUID)
        ledger.movements(REFUND, refund.ref, refund.at, entries)
        if not sale.card:
            return
        ledger.accrue(REFUND, refund.ref, refund.at, entries, sale.at)
        back = -sum(accrued(line.amount) for line in refund.lines)
        for lot in self.points.get(sale.card["Ref_Key"], ()):
            if lot[0].date() == sale.at.date():
                part = min(lot[1], back)
                lot[1] -= part
                back -= part

    def owners(self) -> list[str]:
        return [person.customer for person in self.people if person.customer != EMPTY_GUID]

    def examples(self) -> dict:
        """The two fixed customers."""
        found = {}
        for name, person, story in zip(("first", "example"), self.people, (FIRST, EXAMPLE)):
            total = sum(roubles for _, lines in story for _, _, roubles in lines)
            found[name] = {"phone": person.phone, "customer": person.customer, "card": person.cards[0]["Ref_Key"],
                           "receipts": len(story), "lines": sum(len(lines) for _, lines in story), "sum": f"{total}.00"}
        return found


def build(seed: int = 1, customers: int = 5000, timezone: str = "Europe/Moscow", dirt: bool = True,
          unthinned: bool = False, site: bool = False) -> Base:
    """dirt off: everybody is known and nothing is wrong; unthinned: no seasons and no returns, the bare process;
    site: what only a site asks for is published, too."""
    if customers < FIXED:
        raise ValueError("the shop needs two customers at least")
    collects = gc.isenabled()
    gc.disable()  # nothing here is garbage, and looking for it takes half of the time
    try:
        shop = Shop(seed, customers, timezone, dirt, unthinned)
        if dirt:
            shop.spoil()
        else:
            shop.receipts.sort(key=lambda receipt: receipt.at)
            shop._number()
        if not unthinned:
            shop.take_back()
        shop.write()
        bonus.plant(shop.base, seed, shop.goods, clock.END)
        placed = orders.plant(shop.base, seed, shop.goods, shop.owners(), clock.START, clock.END)
    finally:
        if collects:
            gc.enable()
    parameters = clock.PARAMETERS | {"seed": seed, "customers": customers, "thinned": not unthinned, "pairs": [
        [one.key, other.key] for one, other in shop.goods.pairs]}
    base = shop.base
    base.truth = Truth(base, shop.dirt, shop.examples(), parameters)
    base.edits = Edits(base, shop.ledger, placed)
    if site:
        base.edits.wares = wares.plant(base, seed, shop.goods)
        shop.dirt |= base.edits.wares.planted
        base.edits.parcels = parcels.plant(base, seed, placed)
        base.edits.pictures = pictures.plant(base, seed)
    return base
