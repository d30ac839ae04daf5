"""The document that gives and takes bonus points by hand, and what posting it leaves in the registers.

A spend is a negative accrual (as sites write it) or a line of the other part; both are a guess of ours about movements:
an accrual counts from the document's date and is written off on the day it expires, under its own sign, so that
the balance follows whichever way somebody sums the register.  The shop has a few that come to nothing: a promotion
called off, so that its points are what they are without them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from goods import Goods
from ledger import LOTS, Ledger, a_year_later, guid, version
from model import EMPTY_DATE, EMPTY_GUID, Base, Row
from schema import PREFIX, UNDEFINED

BONUS = "Document_НачислениеСписаниеБонусныхБаллов"
ACCRUALS, SPENDS = BONUS + "_НачисленияБонусов", BONUS + "_СписанияБонусов"


def plant(base: Base, seed: object, goods: Goods, end: datetime) -> None:
    cards = base.sets["Catalog_ДисконтныеКарты"].rows
    for at in range(1, 4):
        ref, moment = guid(seed, "bonus", at), end - timedelta(days=10 * (4 - at))
        base.sets[BONUS].rows.append({
            "Ref_Key": ref, "DataVersion": version(at), "DeletionMark": False, "Number": f"НФНБ-{at:06d}", "Date": moment,
            "Posted": True, "Организация_Key": goods.organization, "БонуснаяПрограмма_Key": goods.program,
            "Комментарий": "акция отменена"})
        line = {"Ref_Key": ref, "LineNumber": 1, "БонуснаяКарта_Key": cards[at % len(cards)]["Ref_Key"], "Количество": Decimal(0),
                "ДатаНачисления": moment, "ДатаСгорания": a_year_later(moment)}
        base.sets[ACCRUALS].rows.append(line | {"АналитикаНачисленияБонусов_Key": EMPTY_GUID})
        base.sets[SPENDS].rows.append(line | {"КорректировкаКСписанию": Decimal(0)})


def movements(ledger: Ledger, row: Row) -> None:
    """What the document leaves behind when it is posted."""
    ref, at = row["Ref_Key"], row["Date"]
    for line in _lines(ledger, ACCRUALS, ref):
        count, given = line["Количество"], line["ДатаНачисления"]
        if not count:
            continue
        given = at if given == EMPTY_DATE else given
        expires = a_year_later(given) if line["ДатаСгорания"] == EMPTY_DATE else line["ДатаСгорания"]
        card = _card(ledger, line)
        ledger.points(PREFIX + BONUS, ref, (at, given), card, ("Receipt", "Начислено", count))
        ledger.points(PREFIX + BONUS, ref, (expires, given), card, ("Receipt", "КСписанию", count))
        _lot(ledger, row, card, count)
    for line in _lines(ledger, SPENDS, ref):
        for moment, resource, count in ((at, "Начислено", line["Количество"]),
                                        (line["ДатаСгорания"], "КСписанию", line["КорректировкаКСписанию"])):
            if count:
                moment = a_year_later(at) if moment == EMPTY_DATE else moment
                ledger.points(PREFIX + BONUS, ref, (moment, at), _card(ledger, line), ("Expense", resource, count))


def _lines(ledger: Ledger, section: str, ref: str) -> list[Row]:
    return sorted((line for line in ledger.rows(section) if line["Ref_Key"] == ref), key=lambda line: line["LineNumber"])


def _card(ledger: Ledger, line: Row) -> Row:
    """The card, or one that is known by its key only: references may dangle."""
    key = line["БонуснаяКарта_Key"]
    found = (row for row in ledger.rows("Catalog_ДисконтныеКарты") if row["Ref_Key"] == key)
    return next(found, {"Ref_Key": key, "ВладелецКарты_Key": EMPTY_GUID})


def _lot(ledger: Ledger, row: Row, card: Row, count: Decimal) -> None:
    lots, ref = ledger.rows(LOTS), row["Ref_Key"]
    place = lots[-1]["LineNumber"] + 1 if lots and lots[-1]["Recorder"] == ref else 1
    lots.append({"Recorder": ref, "Recorder_Type": PREFIX + BONUS, "Period": row["Date"], "LineNumber": place, "Active": True,
                 "БонуснаяКарта_Key": card["Ref_Key"], "Номенклатура_Key": EMPTY_GUID, "Характеристика_Key": EMPTY_GUID,
                 "БонуснаяПрограмма_Key": row["БонуснаяПрограмма_Key"], "ВладелецКарты_Key": card["ВладелецКарты_Key"],
                 "АналитикаНачисленияБонусов": "", "АналитикаНачисленияБонусов_Type": UNDEFINED, "Сумма": count})
