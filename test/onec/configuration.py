"""What the configuration of the base says to a write: fields that must be filled, numbers, what a posted document allows.

A refusal of the configuration is 500 code -1 with an odata.error, and nothing of the object is stored.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bodies import Given, defaults
from bonus import BONUS
from model import EMPTY_DATE, EntitySet, Row
from modes import Modes, hits
from orders import ORDERS
from request import Refusal

LOCKED = "Конфликт блокировок при выполнении транзакции: превышено максимальное время ожидания предоставления блокировки"
NO_LICENCE = "Не обнаружено свободной лицензии!"
REQUIRED = {ORDERS: ("Организация_Key", "ВидЦен_Key", "ВалютаДокумента_Key", "СтруктурнаяЕдиницаПродажи_Key",
                     "СтруктурнаяЕдиницаРезерв_Key", "ХозяйственнаяОперация_Key", "ВидОперации", "НалогообложениеНДС",
                     "СуммаВключаетНДС"),
            BONUS: ("БонуснаяПрограмма_Key",)}
CHECKED_ON_WRITE = (ORDERS,)


def refused(text: str) -> Refusal:
    return Refusal(500, -1, text)


class Configuration:
    def __init__(self, modes: Modes, timezone: str):
        self.modes = modes
        self.zone = ZoneInfo(timezone)

    def now(self) -> datetime:
        return datetime.now(self.zone).replace(tzinfo=None, microsecond=0)

    # before anything is written

    def before_write(self, found: EntitySet, old: Row | None, new: Row, given: Given) -> None:
        """old: what stands in the base, None for a new object; new: what would; changed here, or refused."""
        if old and old.get("Posted") and not old["DeletionMark"] and new["DeletionMark"]:
            raise refused("Перед пометкой на удаление необходимо отменить проведение документа")
        if hits(self.modes.refuse_handler, found.name):
            raise refused("Ошибка при выполнении обработчика - 'ПередЗаписью': запись отменена")
        if old and old.get("Posted") and found.name == ORDERS and given.sections:
            raise refused("Ошибка при выполнении обработчика - 'ПередЗаписью': табличная часть проведенного заказа не изменяется")
        if old and old.get("Posted"):
            self.open(old)
        if self.modes.fill_check == "write" and found.name in CHECKED_ON_WRITE:
            self._filled(found, new, given if old is None else None)
        for name in new:
            if hits(self.modes.reset_fields, f"{found.name}.{name}"):
                new[name] = defaults(found)[name]

    def before_post(self, found: EntitySet, row: Row, operational: bool) -> None:
        if row["DeletionMark"]:
            raise refused("Документ помечен на удаление и не может быть проведен")
        if operational and row["Date"].date() != self.now().date():
            raise refused("Оперативное проведение возможно только текущей датой")
        self.open(row)
        if self.modes.fill_check == "post":
            self._filled(found, row, None)

    def _filled(self, found: EntitySet, row: Row, given: Given | None) -> None:
        """given: what a new object says; a truth value must be said, since it has no empty one."""
        empty = defaults(found)
        for name in REQUIRED.get(found.name, ()):
            said = given is None or name in given.fields
            if not said if isinstance(empty[name], bool) else row[name] == empty[name]:
                raise refused(f"Поле \"{name.removesuffix('_Key')}\" не заполнено")

    def open(self, row: Row) -> None:
        """The text is a guess: nobody has shown what a base answers."""
        until = self.modes.closed_until
        if until and row.get("Date", EMPTY_DATE) < datetime.fromisoformat(until).replace(hour=23, minute=59, second=59):
            raise refused(f"Дата запрета изменения данных: {until}. Изменения в закрытом периоде не могут быть записаны")

    # numbers and codes

    def number(self, found: EntitySet, row: Row) -> None:
        """A new object takes the next number; one that it brings must be its own."""
        for name in ("Number", "Code"):
            length = next((p.length for p in found.properties if p.name == name and p.type == "Edm.String"), 0)
            if length == 0:
                continue
            if row[name] == "":
                row[name] = _next(found, name, length or 9)
            elif any(other.get(name) == row[name] for other in found.rows):
                raise refused(f"Значение поля \"{'Номер' if name == 'Number' else 'Код'}\" не уникально")


def _next(found: EntitySet, name: str, length: int) -> str:
    best: Any = ("", 0, length)
    for row in found.rows:
        parts = re.fullmatch(r"(.*?)(\d+)", row.get(name) or "")
        if parts and len(parts[2]) <= 15 and int(parts[2]) >= best[1]:
            best = parts[1], int(parts[2]), len(parts[2])
    return f"{best[0]}{best[1] + 1:0{best[2]}d}"
