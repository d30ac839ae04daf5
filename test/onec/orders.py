"""Orders of customers: documents with lines and a state, and what users do to them.

They come from a random stream of their own and write into no register, so that the rest of the shop is what it
would be without them.  Planted: orders of nobody, orders without lines, marked ones; an order's product and state
are values of several types, as newer configurations have them.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from goods import Goods, named
from ledger import PRODUCT_TYPE, guid, kopecks, money, number, version
from model import EMPTY_DATE, EMPTY_GUID, Base, Row
from schema import PREFIX

ORDERS, ORDER_LINES = "Document_ЗаказПокупателя", "Document_ЗаказПокупателя_Запасы"
STATES, UNITS = "Catalog_СостоянияЗаказовПокупателей", "Catalog_КлассификаторЕдиницИзмерения"
STATE_NAMES = ("Открыт", "В работе", "Готов к отгрузке", "Завершён")
SHARE = .3  # of the customers, so many orders


class Orders:
    """Writes orders, one way for the generator and for edits."""

    def __init__(self, base: Base, seed: object, goods: Goods):
        self.base = base
        self.seed = seed
        self.goods = goods
        self.rng = random.Random(f"{seed}/orders")
        self.made = 0
        self.unit = self.rows(UNITS)[0]["Ref_Key"]
        self.products = [row["Ref_Key"] for row in self.rows("Catalog_Номенклатура") if not row["IsFolder"]]
        self.variants = {row["Owner"]: row["Ref_Key"] for row in self.rows("Catalog_ХарактеристикиНоменклатуры")}

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def state(self, at: int) -> dict[str, Any]:
        """One of STATE_NAMES; only what is finished has an outcome."""
        done = at == len(STATE_NAMES) - 1
        return {"СостояниеЗаказа": self.rows(STATES)[at]["Ref_Key"], "СостояниеЗаказа_Type": PREFIX + STATES,
                "ВариантЗавершения": self.rng.choice(("Успешно", "Успешно", "Отменен")) if done else ""}

    def write(self, at: datetime, customer: str, lines: int) -> Row:
        self.made += 1
        ref = guid(self.seed, "order", self.made)
        store = self.rng.choice(self.goods.stores + [self.goods.web])
        row = {"Ref_Key": ref, "DataVersion": version(self.made), "DeletionMark": False, "Number": f"НФЗК-{self.made:06d}",
               "Date": at, "Posted": self.rng.random() < .9, "Организация_Key": self.goods.organization,
               "Контрагент_Key": customer, "СтруктурнаяЕдиницаПродажи_Key": store, "СтруктурнаяЕдиницаРезерв_Key": store,
               "ВидЦен_Key": self.rows("Catalog_ВидыЦен")[0]["Ref_Key"], "ВидОперации": "ЗаказНаПродажу",
               "ВалютаДокумента_Key": self.rows("Catalog_Валюты")[0]["Ref_Key"], "Курс": number(1), "Кратность": number(1),
               "ХозяйственнаяОперация_Key": self.rows("Catalog_ХозяйственныеОперации")[0]["Ref_Key"],
               "Договор_Key": EMPTY_GUID, "НалогообложениеНДС": "ОблагаетсяНДС", "СуммаВключаетНДС": True,
               "ДатаОтгрузки": EMPTY_DATE if self.rng.random() < .2 else at + timedelta(days=self.rng.randrange(1, 15)),
               "СуммаДокумента": Decimal(0), "Комментарий": ""} | self.state(self.rng.randrange(len(STATE_NAMES)))
        found = [self.line(ref, place, store) for place in range(1, lines + 1)]
        row["СуммаДокумента"] = sum((line["Всего"] for line in found), Decimal(0))
        self.rows(ORDERS).append(row)
        self.rows(ORDER_LINES).extend(found)
        return row

    def lines_of(self, row: Row) -> list[Row]:
        return [line for line in self.rows(ORDER_LINES) if line["Ref_Key"] == row["Ref_Key"]]

    def line(self, ref: str, place: int, store: str) -> Row:
        product, price = self.rng.choice(self.products), self.rng.randrange(5, 90) * 10000 - 1000
        count = self.rng.choice((1, 1, 1, 2, 3))
        full = price * count
        off = full // 10 if self.rng.random() < .3 else 0
        return {"Ref_Key": ref, "LineNumber": place, "КлючСвязи": place, "ТипНоменклатурыЗапас": True,
                "Номенклатура": product, "Номенклатура_Type": PRODUCT_TYPE,
                "Характеристика_Key": self.variants.get(product, EMPTY_GUID), "ЕдиницаИзмерения": self.unit,
                "ЕдиницаИзмерения_Type": PREFIX + UNITS, "Количество": number(count), "Цена": money(price), "Сумма": money(full),
                "ПроцентСкидкиНаценки": number(10 if off else 0), "СуммаСкидкиНаценки": money(off),
                "СтавкаНДС_Key": self.rows("Catalog_СтавкиНДС")[0]["Ref_Key"], "СуммаНДС": money((full - off) // 6),
                "Всего": money(full - off), "СтруктурнаяЕдиницаРезерв_Key": store}

    def total(self, row: Row) -> None:
        row["СуммаДокумента"] = money(sum(kopecks(line["Всего"]) for line in self.lines_of(row)))

    def drop(self, name: str, gone: list[Row]) -> None:
        stays = set(map(id, gone))
        self.rows(name)[:] = [row for row in self.rows(name) if id(row) not in stays]


def plant(base: Base, seed: object, goods: Goods, customers: list[str], start: datetime, end: datetime) -> Orders:
    """Orders between the beginning and the end of the shop, oldest first."""
    orders = Orders(base, seed, goods)
    rng = orders.rng
    base.sets[STATES].rows += [named(seed, "order state", at, name) for at, name in enumerate(STATE_NAMES, 1)]
    count = max(4, round(SHARE * len(customers)))
    length = int((end - start).total_seconds())
    # the last of them are of the last days: what is read every few hours has something to read
    moments = sorted([start + timedelta(seconds=rng.randrange(length)) for _ in range(count - count // 4)]
                     + [end - timedelta(seconds=rng.randrange(3 * 86400)) for _ in range(count // 4)])
    for at in moments:
        row = orders.write(at, rng.choice(customers) if rng.random() < .8 else EMPTY_GUID, rng.choice((0, 1, 1, 2, 3, 5)))
        row["DeletionMark"] = rng.random() < .05
        row["Posted"] = row["Posted"] and not row["DeletionMark"]
    return orders


class OrderEdits:
    """Edits of orders: order_new, order_state, order_line, order_move, order_delete.  Chosen by a stream of their own."""

    orders: Orders

    def _order(self, given: dict) -> Row:
        found = [row for row in self.orders.rows(ORDERS) if given.get("order") in (None, row["Ref_Key"])]
        if not found:
            raise ValueError("there is no such order")
        return self.orders.rng.choice(found)

    def _about_order(self, row: Row, **more: Any) -> dict[str, Any]:
        return {"order": row["Ref_Key"], "date": row["Date"].isoformat(), "customer": row["Контрагент_Key"]} | more

    def _changed(self, row: Row) -> None:
        self.orders.made += 1
        row["DataVersion"] = version(self.orders.made)

    def op_order_new(self, given: dict) -> dict:
        """customer?, date?, lines?"""
        at = datetime.fromisoformat(given["date"]) if given.get("date") else max(
            row["Date"] for row in self.orders.rows(ORDERS)) + timedelta(minutes=self.orders.rng.randrange(30))
        customer = given.get("customer") or self.orders.rng.choice(self.orders.rows("Catalog_Контрагенты"))["Ref_Key"]
        return self._about_order(self.orders.write(at, customer, int(given.get("lines", 2))))

    def op_order_state(self, given: dict) -> dict:
        """order?, state? (0 to 3)"""
        row = self._order(given)
        at = int(given["state"]) if "state" in given else self.orders.rng.randrange(len(STATE_NAMES))
        row |= self.orders.state(at)
        self._changed(row)
        return self._about_order(row, state=row["СостояниеЗаказа"])

    def op_order_line(self, given: dict) -> dict:
        """order?, remove?: a line more, or the last one less"""
        row = self._order(given)
        if given.get("remove"):
            self.orders.drop(ORDER_LINES, self.orders.lines_of(row)[-1:])
        else:
            self.orders.rows(ORDER_LINES).append(self.orders.line(row["Ref_Key"], len(self.orders.lines_of(row)) + 1,
                                                                  row["СтруктурнаяЕдиницаРезерв_Key"]))
        self.orders.total(row)
        self._changed(row)
        return self._about_order(row, lines=len(self.orders.lines_of(row)))

    def op_order_move(self, given: dict) -> dict:
        """order?, date? or days?: another date"""
        row = self._order(given)
        old = row["Date"]
        row["Date"] = (datetime.fromisoformat(given["date"]) if given.get("date")
                       else old - timedelta(days=given.get("days") or self.orders.rng.randrange(3, 91)))
        self._changed(row)
        return self._about_order(row, old=old.isoformat())

    def op_order_delete(self, given: dict) -> dict:
        """order?, physically?"""
        row = self._order(given)
        if given.get("physically"):
            self.orders.drop(ORDER_LINES, self.orders.lines_of(row))
            self.orders.drop(ORDERS, [row])
        else:
            row["DeletionMark"], row["Posted"] = True, False
            self._changed(row)
        return self._about_order(row)

    def random_order_edits(self, count: int) -> list[dict]:
        """As many as edits of the shop, which they leave as they would be without them."""
        done = []
        rng = self.orders.rng
        for _ in range(count if self.orders.rows(ORDERS) else 0):
            name = rng.choice(("order_new", "order_state", "order_state", "order_line", "order_move", "order_delete"))
            given = {"remove": rng.random() < .3, "physically": rng.random() < .5}
            try:
                done.append({"op": name} | getattr(self, "op_" + name)(given))
            except (LookupError, ValueError) as error:  # of a base whose rows were shaken nothing fitting may be left
                done.append({"op": "none", "why": str(error)})
        return done


def truth(base: Base) -> dict[str, Any]:
    """What the orders come to."""
    rows, lines = base.sets[ORDERS].rows, base.sets[ORDER_LINES].rows
    names = {row["Ref_Key"]: row["Description"] for row in base.sets[STATES].rows}
    by_state: dict[str, int] = {}
    for row in rows:
        name = names.get(row["СостояниеЗаказа"], "")
        by_state[name] = by_state.get(name, 0) + 1
    return {"rows": len(rows), "lines": len(lines), "by_state": by_state,
            "sum": f"{sum((row['СуммаДокумента'] for row in rows), Decimal(0)):.2f}",
            "line_sum": f"{sum((line['Всего'] for line in lines), Decimal(0)):.2f}"}
