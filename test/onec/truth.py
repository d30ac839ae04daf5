"""What the base holds, summed by plain loops over its rows as they are now.

Written from the definitions, without a look at any SQL.  "rows" counts rows that are switched
on (Active), "all_rows" every row; sums are of rows that are on.  "counted" leaves out the
opening balances, which are no purchases.  A receipt is a document and a customer with
something sold that was not brought back whole.  Keys: months as 2026-01, ids; "" for none.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, Callable, Iterable

import parcels
import pictures
import wares
from ledger import CARD_SALES, JOURNAL, LOTS, OPENING, POINTS, SALES
from model import EMPTY_GUID, Base, Row
from orders import truth as orders_truth


def text(value: Decimal) -> str:
    return f"{value:.2f}"


def known(key: str) -> str:
    return "" if key == EMPTY_GUID else key


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, dict]:
    found: dict[str, list] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for row in rows:
        total = found[key(row)]
        total[0] += 1
        total[1] += row["Сумма"]
        total[2] += row["Количество"]
    return {name: {"rows": count, "sum": text(amount), "quantity": text(quantity)}
            for name, (count, amount, quantity) in sorted(found.items())}


def month(row: Row) -> str:
    return f"{row['Period']:%Y-%m}"


def receipts(rows: Iterable[Row]) -> dict[str, int]:
    """Receipts of each customer: sold something, and not all of it came back."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in rows:
        total = sums[known(row["Контрагент_Key"]), row["Документ"]]
        total[row["Сумма"] < 0] += row["Сумма"]
    found: dict[str, int] = defaultdict(int)
    for (customer, _), (sold, back) in sums.items():
        found[customer] += sold > 0 and sold + back > 0
    return found


def sums(rows: list[Row]) -> dict[str, Any]:
    return {"rows": len(rows), "sum": text(sum((row["Сумма"] for row in rows), Decimal(0))),
            "quantity": text(sum((row["Количество"] for row in rows), Decimal(0)))}


def sales(rows: list[Row]) -> dict[str, Any]:
    by_customer = grouped(rows, lambda row: known(row["Контрагент_Key"]))
    for customer, count in receipts(rows).items():
        by_customer[customer]["receipts"] = count
    return sums(rows) | {"by_month": grouped(rows, month), "by_customer": by_customer,
                         "by_store": grouped(rows, lambda row: known(row["Склад_Key"])),
                         "by_recorder_type": grouped(rows, lambda row: row["Recorder_Type"])}


class Truth:
    def __init__(self, base: Base, dirt: dict[str, int], examples: dict, parameters: dict):
        self.base = base
        self.dirt = dirt  # as planted; edits do not change it
        self.examples = examples
        self.parameters = parameters

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def active(self, name: str) -> list[Row]:
        return [row for row in self.rows(name) if row["Active"]]

    def as_dict(self) -> dict[str, Any]:
        lines, by_card = self.active(SALES), self.active(CARD_SALES)
        counted = [row for row in lines if row["Recorder_Type"] != OPENING]
        return {
            "timezone": self.base.timezone,
            "sales": sales(lines) | {"all_rows": len(self.rows(SALES)), "active_rows": len(lines), "counted": sales(counted)},
            "card_sales": sums(by_card) | {
                "all_rows": len(self.rows(CARD_SALES)), "active_rows": len(by_card), "by_month": grouped(by_card, month),
                "by_card": grouped(by_card, lambda row: row["ДисконтнаяКарта_Key"]),
                "by_customer": grouped(by_card, lambda row: known(row["ВладелецКарты_Key"]))},
            "loyalty": {"rows": len(self.rows(POINTS)), "lots": len(self.rows(LOTS)), "balance": self.balances(),
                        "lot_sum": text(sum((row["Сумма"] for row in self.active(LOTS)), Decimal(0)))},
            "journal": {"rows": len(self.rows(JOURNAL))}, "orders": orders_truth(self.base),
            "customers": sum(1 for row in self.rows("Catalog_Контрагенты") if not row["IsFolder"]),
            "cards": len(self.rows("Catalog_ДисконтныеКарты")),
            "products": sum(1 for row in self.rows("Catalog_Номенклатура") if not row["IsFolder"]),
            "stores": len(self.rows("Catalog_СтруктурныеЕдиницы")),
            **({"goods": wares.truth(self.base)} if wares.RESERVED in self.base.sets else {}),
            **({"parcels": parcels.truth(self.base)} if parcels.PAYMENTS in self.base.sets else {}),
            **({"pictures": pictures.truth(self.base)} if pictures.FILES in self.base.sets else {}),
            "dirt": self.dirt, "examples": self.examples, "parameters": self.parameters,
        }

    def balances(self) -> dict[str, str]:
        """Points of each card at the end of the last day with sales, by definition: given less written off."""
        sold = [row["Period"] for row in self.rows(SALES)]
        moment = max(sold).replace(hour=23, minute=59, second=59) if sold else None
        found: dict[str, Decimal] = defaultdict(Decimal)
        for row in self.active(POINTS):
            if row["Period"] <= moment:
                value = row["Начислено"] - row["КСписанию"]
                found[row["БонуснаяКарта_Key"]] += value if row["RecordType"] == "Receipt" else -value
        return {"at": moment.isoformat() if moment else "", "cards": {
            card: text(value) for card, value in sorted(found.items()) if value}}
