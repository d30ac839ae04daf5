"""Documents of the shop and the rows they leave in registers and journal.

One receipt is a document with its sections, a line of the journal, rows of Продажи and, for
a card, the same rows of ПродажиПоДисконтнымКартам under the same recorder and line number.
The generator, the purchase log and the edits all write through here, so that they agree.
Amounts come as kopecks and are stored as Decimal with two digits.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from model import EMPTY_GUID, Base, Row
from schema import PREFIX

SALE, REFUND = PREFIX + "Document_ЧекККМ", PREFIX + "Document_ЧекККМВозврат"
REPORT, OPENING = PREFIX + "Document_ОтчетОРозничныхПродажах", PREFIX + "Document_ВводНачальныхОстатков"
PRODUCT_TYPE = PREFIX + "Catalog_Номенклатура"
SALES = "AccumulationRegister_Продажи_RecordType"
CARD_SALES = "AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType"
POINTS = "AccumulationRegister_БонусныеБаллы_RecordType"
LOTS = "AccumulationRegister_НачисленияБонусныхБаллов_RecordType"
REGISTERS = (SALES, CARD_SALES, POINTS, LOTS)
JOURNAL = "DocumentJournal_РозничныеПродажи"
ACCRUAL_PERCENT = 5

_SPACE = uuid.UUID("6f0d2c1e-8a53-5b0e-9c47-2f1de0a4b7c9")
_money: dict[int, Decimal] = {}
_count: dict[int, Decimal] = {}


def guid(seed: object, *parts: object) -> str:
    """The id of a thing by its name: the same in every run of the same seed."""
    return str(uuid.uuid5(_SPACE, "/".join(map(str, (seed, *parts)))))


def money(kopecks: int) -> Decimal:
    found = _money.get(kopecks)
    if found is None:
        found = _money[kopecks] = Decimal(kopecks).scaleb(-2)
    return found


def kopecks(value: Decimal | None) -> int:
    return int((value or Decimal(0)).scaleb(2).to_integral_value())


def number(value: int) -> Decimal:
    found = _count.get(value)
    if found is None:
        found = _count[value] = Decimal(value)
    return found


def version(value: int) -> str:
    """DataVersion: eight bytes that nobody can order."""
    return base64.b64encode((value * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "little")).decode("ascii")


def a_year_later(at: datetime) -> datetime:
    """The day, a year on, on which points expire."""
    day = 28 if (at.month, at.day) == (2, 29) else at.day
    return datetime(at.year + 1, at.month, day)


@dataclass(slots=True)
class Line:
    """A line of a receipt; quantity and amount are negative in returns."""

    product: str
    variant: str
    quantity: int
    amount: int
    price: int


@dataclass(slots=True)
class Entry:
    """A line with what the registers need beside it."""

    line: Line
    card: Row | None
    document: tuple[str, str]
    store: str


class Ledger:
    def __init__(self, base: Base, seed: object, organization: str, program: str, tills: dict[str, str]):
        self.base = base
        self.seed = seed
        self.organization = organization
        self.program = program
        self.tills = tills  # store → its till
        self.versions = 0
        self.numbers = {SALE: 0, REFUND: 0, REPORT: 0, OPENING: 0}

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def next_version(self) -> str:
        self.versions += 1
        return version(self.versions)

    def next_number(self, kind: str) -> int:
        self.numbers[kind] += 1
        return self.numbers[kind]

    # documents

    def receipt(self, kind: str, ref: str, at: datetime, numbered: int, entries: list[Entry], of: str = EMPTY_GUID) -> Row:
        """A receipt or (with negative lines) a return: document, sections, journal; movements come apart."""
        name = kind.removeprefix(PREFIX)
        sign = -1 if kind == REFUND else 1
        card, store = entries[0].card, entries[0].store
        total = sign * sum(entry.line.amount for entry in entries)
        row = self._document(ref, at, f"НФФР-{numbered:06d}", store, total)
        row["ДисконтнаяКарта_Key"] = card["Ref_Key"] if card else EMPTY_GUID
        row["Контрагент_Key"] = card["ВладелецКарты_Key"] if card else EMPTY_GUID
        row["НомерЧека"] = numbered % 9999 + 1
        if kind == REFUND:
            row["ЧекККМ_Key"] = of
            row["Заказ_Key"] = EMPTY_GUID
        self.rows(name).append(row)
        self._goods(name, ref, entries, sign)
        if numbered % 10 < 7:
            self.rows(name + "_БезналичнаяОплата").append({
                "Ref_Key": ref, "LineNumber": 1, "ВидОплаты": "ПлатежнаяКарта", "ВидПлатежнойКарты": "Мир",
                "Сумма": money(total), "ЭквайринговыйТерминал_Key": EMPTY_GUID})
        self.journal(kind, row)
        return row

    def report(self, ref: str, at: datetime, entries: list[Entry]) -> None:
        """A shift report that registers the receipts of its store and day once more, in their place.

        Its rows have no store, and their document is the report itself."""
        numbered = self.next_number(REPORT)
        total = sum(entry.line.amount for entry in entries)
        row = self._document(ref, at, f"НФОР-{numbered:06d}", entries[0].store, total)
        row["ДисконтнаяКарта_Key"] = row["Контрагент_Key"] = EMPTY_GUID
        self.rows("Document_ОтчетОРозничныхПродажах").append(row)
        self._goods("Document_ОтчетОРозничныхПродажах", ref, entries, 1)
        self.journal(REPORT, row)
        self.movements(REPORT, ref, at, [Entry(entry.line, entry.card, (ref, REPORT), EMPTY_GUID) for entry in entries])

    def opening(self, ref: str, at: datetime, entries: list[Entry]) -> None:
        """An opening balance: rows of sales that are no purchases."""
        numbered = self.next_number(OPENING)
        self.rows("Document_ВводНачальныхОстатков").append({
            "Ref_Key": ref, "DataVersion": self.next_version(), "DeletionMark": False, "Number": f"НФНО-{numbered:06d}",
            "Date": at, "Posted": True, "Организация_Key": self.organization, "РазделУчета": "РасчетыСПокупателями",
            "СуммаДокумента": money(sum(entry.line.amount for entry in entries)), "Комментарий": "перенос из прежней базы"})
        self.movements(OPENING, ref, at, entries)

    def _document(self, ref: str, at: datetime, numbered: str, store: str, total: int) -> Row:
        return {"Ref_Key": ref, "DataVersion": self.next_version(), "DeletionMark": False, "Number": numbered, "Date": at,
                "Posted": True, "Организация_Key": self.organization, "КассаККМ_Key": self.tills.get(store, EMPTY_GUID),
                "СтруктурнаяЕдиница_Key": store, "СуммаДокумента": money(total), "Комментарий": ""}

    def _goods(self, name: str, ref: str, entries: list[Entry], sign: int) -> None:
        add = self.rows(name + "_Запасы").append
        for at, entry in enumerate(entries, 1):
            line = entry.line
            amount = sign * line.amount
            full = line.price * abs(line.quantity)
            add({"Ref_Key": ref, "LineNumber": at, "Номенклатура_Key": line.product, "Характеристика_Key": line.variant,
                 "Количество": number(sign * line.quantity), "Цена": money(line.price), "Сумма": money(amount),
                 "ПроцентСкидкиНаценки": number(round(100 * (full - amount) / full) if 0 < amount < full else 0),
                 "СуммаНДС": money(amount * 20 // 120), "Всего": money(amount)})

    def journal(self, kind: str, row: Row) -> None:
        self.rows(JOURNAL).append({
            "Ref": row["Ref_Key"], "Ref_Type": kind, "Type": kind.removeprefix(PREFIX + "Document_"), "Date": row["Date"],
            "DeletionMark": row["DeletionMark"], "Number": row["Number"], "Posted": row["Posted"],
            "Сумма": row["СуммаДокумента"], "НомерЧека": row.get("НомерЧека", 0),
            "Покупатель_Key": row["Контрагент_Key"], "КассаККМ_Key": row["КассаККМ_Key"],
            "Организация_Key": row["Организация_Key"]})

    # movements

    def movements(self, kind: str, ref: str, at: datetime, entries: list[Entry]) -> None:
        sale, by_card = self.rows(SALES).append, self.rows(CARD_SALES).append
        for position, entry in enumerate(entries, 1):
            line, card = entry.line, entry.card
            amount, quantity = money(line.amount), number(line.quantity)
            tax = line.amount // 6 if line.amount >= 0 else -(-line.amount // 6)
            sale({"Recorder": ref, "Recorder_Type": kind, "Period": at, "LineNumber": position, "Active": True,
                  "Организация_Key": self.organization, "Номенклатура_Key": line.product,
                  "Характеристика_Key": line.variant,
                  "Контрагент_Key": card["ВладелецКарты_Key"] if card else EMPTY_GUID, "Документ": entry.document[0],
                  "Документ_Type": entry.document[1], "Склад_Key": entry.store, "Ответственный_Key": EMPTY_GUID,
                  "Количество": quantity, "Сумма": amount, "СуммаНДС": money(tax),
                  "Себестоимость": money(line.amount * 45 // 100)})
            if card and kind != OPENING:
                by_card({"Recorder": ref, "Recorder_Type": kind, "Period": at, "LineNumber": position, "Active": True,
                         "ДисконтнаяКарта_Key": card["Ref_Key"], "Номенклатура_Key": line.product,
                         "Характеристика_Key": line.variant, "ВладелецКарты_Key": card["ВладелецКарты_Key"],
                         "Количество": quantity, "Сумма": amount, "Скидка": money(discount(line))})

    # bonus points

    def points(self, kind: str, ref: str, moments: tuple[datetime, datetime], card: Row,
               parts: tuple[str, str, int | Decimal]) -> None:
        """One movement: RecordType, the resource, how many; moments: when it counts, first accrual."""
        rows = self.rows(POINTS)
        record_type, resource, value = parts
        at = 1
        for row in reversed(rows):  # movements of a recorder are written one after another
            if row["Recorder"] != ref:
                break
            at = max(at, row["LineNumber"] + 1)
        rows.append({"Recorder": ref, "Recorder_Type": kind, "Period": moments[0], "LineNumber": at, "Active": True,
                     "RecordType": record_type, "БонуснаяКарта_Key": card["Ref_Key"],
                     "Начислено": number(value if resource == "Начислено" else 0),
                     "КСписанию": number(value if resource == "КСписанию" else 0),
                     "ДатаПервоначальногоНачисления": moments[1]})

    def accrue(self, kind: str, ref: str, at: datetime, entries: list[Entry], first: datetime | None = None) -> int:
        """Points for the lines of one card, with their expiry a year after; the negative of a return
        takes back those given at "first".  Returns how many."""
        day = datetime(*(first or at).timetuple()[:3])
        card, total, lots = entries[0].card, 0, self.rows(LOTS)
        for entry in entries:
            value = accrued(entry.line.amount)
            if value == 0:
                continue
            total += value
            lots.append({"Recorder": ref, "Recorder_Type": kind, "Period": at, "LineNumber": self._next_lot(ref), "Active": True,
                         "БонуснаяКарта_Key": card["Ref_Key"], "Номенклатура_Key": entry.line.product,
                         "Характеристика_Key": entry.line.variant, "БонуснаяПрограмма_Key": self.program,
                         "ВладелецКарты_Key": card["ВладелецКарты_Key"], "АналитикаНачисленияБонусов": entry.line.product,
                         "АналитикаНачисленияБонусов_Type": PRODUCT_TYPE, "Сумма": number(value)})
        if total:
            self.points(kind, ref, (at, day), card, ("Receipt", "Начислено", total))
            self.points(kind, ref, (a_year_later(day), day), card, ("Receipt", "КСписанию", total))
        return total

    def _next_lot(self, ref: str) -> int:
        rows = self.rows(LOTS)
        return rows[-1]["LineNumber"] + 1 if rows and rows[-1]["Recorder"] == ref else 1

    def spend(self, kind: str, ref: str, at: datetime, card: Row, taken: list[tuple[datetime, int]]) -> None:
        """Points spent, of lots given at those days: gone now, and no longer to be written off later."""
        for first, value in taken:
            self.points(kind, ref, (at, first), card, ("Expense", "Начислено", value))
            self.points(kind, ref, (a_year_later(first), first), card, ("Expense", "КСписанию", value))


def discount(line: Line) -> int:
    full = line.price * abs(line.quantity)
    missing = max(full - abs(line.amount), 0)
    return missing if line.amount >= 0 else -missing


def accrued(amount: int) -> int:
    """Whole points for an amount in kopecks; a return takes as many back."""
    points = abs(amount) * ACCRUAL_PERCENT // 10000
    return points if amount >= 0 else -points
