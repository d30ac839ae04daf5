"""What became of the orders, where a site asks for it: payments and shipments, in registers of their own.

Published with --site only.  Payments stand in a register of turnovers, as newer configurations have them: what came
before the goods left is СуммаАванса, what came after is СуммаОплаты, and the row that the order itself makes
(Сумма, what is to be paid) has neither.  The register of orders has balances: the order adds what is wanted, a
shipment takes away what has gone.  Planted: orders paid in two parts, paid too much, shipped in part, a payment
that is switched off.  From a random stream of their own.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ledger import guid, kopecks, money, number
from model import Base, Row
from orders import ORDERS, Orders
from schema import PREFIX, publish

PAYMENTS = "AccumulationRegister_ОплатаСчетовИЗаказов_RecordType"
SHIPMENTS = "AccumulationRegister_ЗаказыПокупателей_RecordType"
PAID_BY, SHIPPED_BY = PREFIX + "Document_ПоступлениеВКассу", PREFIX + "Document_РасходнаяНакладная"
MOVEMENT = """
    Recorder Any
    Period DateTime
    LineNumber Int64
    Active Boolean"""
SETS = {
    PAYMENTS: MOVEMENT + """
    Организация_Key Key Catalog_Организации
    СчетНаОплату Any
    Сумма Double
    СуммаАванса Double
    СуммаОплаты Double""",
    SHIPMENTS: MOVEMENT + """
    RecordType String
    Организация_Key Key Catalog_Организации
    ЗаказПокупателя_Key Key Document_ЗаказПокупателя
    Номенклатура_Key Key Catalog_Номенклатура
    Характеристика_Key Key Catalog_ХарактеристикиНоменклатуры
    Количество Double""",
}


class Parcels:
    """Writes payments and shipments, one way for the generator and for edits."""

    def __init__(self, base: Base, seed: object, orders: Orders):
        self.base = base
        self.seed = seed
        self.orders = orders
        self.rng = random.Random(f"{seed}/parcels")
        self.made = 0

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def _movement(self, kind: str, recorder: str, at: datetime, line: int) -> Row:
        return {"Recorder": recorder, "Recorder_Type": kind, "Period": at, "LineNumber": line, "Active": True,
                "Организация_Key": self.orders.goods.organization}

    def wanted(self, row: Row) -> None:
        """What the order itself writes when it is posted."""
        order = row["Ref_Key"]
        self.rows(PAYMENTS).append(self._movement(PREFIX + ORDERS, order, row["Date"], 1) | self._of(order) | {
            "Сумма": row["СуммаДокумента"], "СуммаАванса": Decimal(0), "СуммаОплаты": Decimal(0)})
        for line in self.orders.lines_of(row):
            self._goods(PREFIX + ORDERS, order, row["Date"], line, "Receipt", line["Количество"])

    def _of(self, order: str) -> Row:
        return {"СчетНаОплату": order, "СчетНаОплату_Type": PREFIX + ORDERS}

    def _goods(self, kind: str, recorder: str, at: datetime, line: Row, sign: str, count: Decimal) -> None:
        self.rows(SHIPMENTS).append(self._movement(kind, recorder, at, line["LineNumber"]) | {
            "RecordType": sign, "ЗаказПокупателя_Key": line["Ref_Key"], "Номенклатура_Key": line["Номенклатура"],
            "Характеристика_Key": line["Характеристика_Key"], "Количество": count})

    def pay(self, row: Row, amount: Decimal, at: datetime) -> str:
        self.made += 1
        recorder = guid(self.seed, "payment", self.made)
        before = not any(found["ЗаказПокупателя_Key"] == row["Ref_Key"] and found["RecordType"] == "Expense"
                         for found in self.rows(SHIPMENTS))
        self.rows(PAYMENTS).append(self._movement(PAID_BY, recorder, at, 1) | self._of(row["Ref_Key"]) | {
            "Сумма": Decimal(0), "СуммаАванса": amount if before else Decimal(0),
            "СуммаОплаты": Decimal(0) if before else amount})
        return recorder

    def ship(self, row: Row, lines: list[Row], at: datetime) -> str:
        self.made += 1
        recorder = guid(self.seed, "shipment", self.made)
        for line in lines:
            self._goods(SHIPPED_BY, recorder, at, line, "Expense", line["Количество"])
        return recorder


def plant(base: Base, seed: object, orders: Orders) -> Parcels:
    publish(base, SETS)
    parcels = Parcels(base, seed, orders)
    rng = parcels.rng
    for at, row in enumerate(row for row in parcels.rows(ORDERS) if row["Posted"]):
        parcels.wanted(row)
        full, day, lines = row["СуммаДокумента"], row["Date"] + timedelta(hours=1), orders.lines_of(row)
        if at % 3 == 0 and full:  # paid at once, each fifth of them too much
            parcels.pay(row, full + (100 if at % 15 == 0 else 0), day)
        elif at % 3 == 1 and full:  # in two parts, the second after the goods have left, and may be still to come
            half = money(kopecks(full) // 2)
            parcels.pay(row, half, day)
        if at % 4 < 2 and lines:  # shipped, half of those in part
            parcels.ship(row, lines if at % 4 == 0 else lines[:1], day + timedelta(days=rng.randrange(1, 5)))
        if at % 6 == 1 and full:
            parcels.pay(row, full - half, day + timedelta(days=9))
    paid = [row for row in parcels.rows(PAYMENTS) if row["Recorder_Type"] == PAID_BY]
    if paid:
        paid[-1]["Active"] = False
    return parcels


class ParcelEdits:
    """Edits of what becomes of orders: order_pay, order_refund, order_ship.  Chosen by a stream of their own."""

    parcels: Parcels | None = None

    def _paid_order(self, given: dict) -> Row:
        found = [row for row in self.parcels.rows(ORDERS) if given.get("order") in (None, row["Ref_Key"])]
        if not found:
            raise ValueError("there is no such order")
        return self.parcels.rng.choice(found)

    def _then(self, row: Row) -> datetime:
        return row["Date"] + timedelta(days=self.parcels.rng.randrange(1, 9))

    def op_order_pay(self, given: dict) -> dict:
        """order?, amount?: so much more is paid"""
        row = self._paid_order(given)
        amount = Decimal(str(given["amount"])) if "amount" in given else row["СуммаДокумента"]
        recorder = self.parcels.pay(row, amount, self._then(row))
        return {"order": row["Ref_Key"], "recorder": recorder, "amount": f"{amount:.2f}"}

    def op_order_refund(self, given: dict) -> dict:
        """order?: the last payment of it is taken back"""
        row = self._paid_order(given)
        paid = [found for found in self.parcels.rows(PAYMENTS)
                if found["СчетНаОплату"] == row["Ref_Key"] and found["Recorder_Type"] == PAID_BY]
        self.parcels.orders.drop(PAYMENTS, paid[-1:])
        return {"order": row["Ref_Key"], "payments": max(len(paid) - 1, 0)}

    def op_order_ship(self, given: dict) -> dict:
        """order?, lines?: so many of its lines leave, or all"""
        row = self._paid_order(given)
        lines = self.parcels.orders.lines_of(row)
        recorder = self.parcels.ship(row, lines[:int(given["lines"])] if "lines" in given else lines, self._then(row))
        return {"order": row["Ref_Key"], "recorder": recorder, "lines": len(lines)}


def truth(base: Base) -> dict[str, Any]:
    """Of each order that has some: what is paid, what has left, and when the last of it did."""
    paid: dict[str, Decimal] = {}
    shipped: dict[str, dict] = {}
    for row in base.sets[PAYMENTS].rows:
        came = row["СуммаАванса"] + row["СуммаОплаты"]
        if row["Active"] and came:
            paid[row["СчетНаОплату"]] = paid.get(row["СчетНаОплату"], Decimal(0)) + came
    for row in base.sets[SHIPMENTS].rows:
        if row["Active"] and row["RecordType"] == "Expense":
            one = shipped.setdefault(row["ЗаказПокупателя_Key"], {"quantity": Decimal(0), "at": ""})
            one["quantity"] += row["Количество"]
            one["at"] = max(one["at"], row["Period"].isoformat())
    return {"payments": len(base.sets[PAYMENTS].rows), "shipments": len(base.sets[SHIPMENTS].rows),
            "paid": {order: f"{value:.2f}" for order, value in sorted(paid.items())},
            "shipped": {order: {"quantity": f"{one['quantity']:.0f}", "at": one["at"]} for order, one in sorted(shipped.items())}}
