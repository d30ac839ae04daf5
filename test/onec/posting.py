"""Posting: what a document leaves in the registers and the journal, so that both agree with what was written.

The order leaves nothing; receipts and bonus documents leave what the generator's ledger writes for their like, except
that points spent in a receipt stand in no field of it and are not spent again when it is posted anew.  Of other
documents nothing is known: posting only marks them.
"""

from __future__ import annotations

from typing import Any, Callable

import bonus
from bonus import BONUS
from ledger import JOURNAL, LOTS, POINTS, REFUND, REGISTERS, REPORT, SALE, Entry, Ledger, Line, kopecks
from model import EMPTY_GUID, Base, Row
from schema import PREFIX

RECEIPTS = {kind.removeprefix(PREFIX): kind for kind in (SALE, REFUND, REPORT)}
# Where movements of a document may be; not named: in any register.
REGISTERS_OF = {"Document_ЗаказПокупателя": (), BONUS: (POINTS, LOTS)} | dict.fromkeys(RECEIPTS, REGISTERS)


class Posting:
    def __init__(self, base: Base):
        self.base = base
        self.ledger: Ledger | None = getattr(base.edits, "ledger", None)
        self.writers: dict[str, Callable[[str, Row], None]] = {BONUS: lambda _, row: bonus.movements(self.ledger, row)}
        self.writers |= dict.fromkeys(RECEIPTS, self._receipt)

    def write(self, name: str, row: Row) -> None:
        """The movements of a document that is posted now; those it had are gone already."""
        if self.ledger and name in self.writers:
            self.writers[name](name, row)

    def remove(self, name: str, row: Row) -> None:
        for register in REGISTERS_OF.get(name, [one for one in self.base.sets if one.endswith("_RecordType")]):
            rows = self.base.sets[register].rows
            recorder = "Recorder_Key" if "Recorder_Key" in self.base.sets[register].key else "Recorder"
            rows[:] = [one for one in rows if one.get(recorder) != row["Ref_Key"]]

    def journal(self, name: str, row: Row | None, key: str) -> None:
        """The journal's line follows its document; row: None when that is gone."""
        if self.ledger is None or name not in RECEIPTS:
            return
        lines = self.base.sets[JOURNAL].rows
        at = next((at for at, line in enumerate(lines) if line["Ref"] == key), None)
        if row is not None:
            self.ledger.journal(RECEIPTS[name], row)
        if at is not None:
            lines[at:at + 1] = [lines.pop()] if row is not None else []

    def _receipt(self, name: str, row: Row) -> None:
        ledger, kind, ref = self.ledger, RECEIPTS[name], row["Ref_Key"]
        sign = -1 if kind == REFUND else 1
        card = next((one for one in ledger.rows("Catalog_ДисконтныеКарты") if one["Ref_Key"] == row["ДисконтнаяКарта_Key"]), None)
        of: Any = row.get("ЧекККМ_Key", EMPTY_GUID)
        document = (ref, kind) if of == EMPTY_GUID else (of, SALE)
        store = EMPTY_GUID if kind == REPORT else row["СтруктурнаяЕдиница_Key"]
        entries = [Entry(Line(line["Номенклатура_Key"], line["Характеристика_Key"], sign * int(line["Количество"]),
                              sign * kopecks(line["Сумма"]), kopecks(line["Цена"])), card, document, store)
                   for line in ledger.rows(name + "_Запасы") if line["Ref_Key"] == ref]
        if entries:
            ledger.movements(kind, ref, row["Date"], entries)
        if entries and card:
            ledger.accrue(kind, ref, row["Date"], entries)
