"""The body of a write: JSON or an Atom entry in, values of the declared types out, with 1C's own refusals.

A bad GUID, date, number or truth value is 400 code 1; a list or object where a plain value belongs, rows without
LineNumber and a body that cannot be read are 500 code -1, and name no field.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from model import EMPTY_DATE, EMPTY_GUID, Base, EntitySet, Property, Row
from modes import Modes
from request import Refusal
from schema import PREFIX, UNDEFINED
from views import composites

INTERNAL = "Внутренняя ошибка OData сервиса"
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
BITS = {"Edm.Int16": 15, "Edm.Int32": 31, "Edm.Int64": 63}
EMPTY: dict[str, Any] = {"Edm.Guid": EMPTY_GUID, "Edm.DateTime": EMPTY_DATE, "Edm.Double": Decimal(0), "Edm.Boolean": False,
                         "Edm.Binary": b"", "Edm.Stream": b"", "Edm.Int16": 0, "Edm.Int32": 0, "Edm.Int64": 0}
META = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"


@dataclass
class Given:
    """What a body says of an object: its own fields, and the rows of the tabular parts it has."""

    fields: Row
    sections: dict[str, list[Row]] = field(default_factory=dict)


def defaults(found: EntitySet) -> Row:
    """What 1C fills in where nothing is given."""
    mixed = composites(found.properties)
    return {p.name: UNDEFINED if p.name.endswith("_Type") and p.name[:-5] in mixed else EMPTY.get(p.type, "")
            for p in found.properties if not p.type.startswith("Collection(")}


def parse(body: bytes, content_type: str, modes: Modes) -> dict[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("application/atom+xml", "application/xml") and not modes.no_atom:
        return _parse_atom(body)
    if kind not in ("application/json", "text/json"):
        raise Refusal(415, 3, f"Представление {kind} не поддерживается")
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_float=Decimal, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Refusal(500, -1, INTERNAL) from None
    if not isinstance(found, dict):
        raise Refusal(500, -1, INTERNAL)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refusal(400, 18, "Имена свойств повторяются")
    return found


def _parse_atom(body: bytes) -> dict[str, Any]:
    """The m:properties of an entry; rows are d:element of a member."""
    try:
        members = ElementTree.fromstring(body).find(f".//{META}properties")
    except ElementTree.ParseError:
        members = None
    if members is None:
        raise Refusal(500, -1, INTERNAL)
    return _members(members)


def _members(node: ElementTree.Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in node:
        name = member.tag.rpartition("}")[2]
        kind = member.get(META + "type", "")
        if member.get(META + "null") == "true":
            found[name] = None
        elif kind.startswith("Collection("):
            found[name], found[name + "@odata.type"] = [_members(row) for row in member], kind
        else:
            found[name] = member.text or ""
    return found


class Reader:
    """Values of a parsed body for a set."""

    def __init__(self, base: Base, modes: Modes):
        self.base = base
        self.modes = modes

    def given(self, found: EntitySet, raw: dict[str, Any]) -> Given:
        properties = {p.name: p for p in found.properties}
        mixed = composites(found.properties)
        out = Given({})
        for name, value in raw.items():
            if "@" in name or name.startswith("odata.") or (name.endswith("_Type") and name[:-5] in mixed):
                continue
            known = properties.get(name)
            if known is None:
                if self.modes.refuse_unknown:
                    raise Refusal(400, 10, f"Свойство {name} не найдено")
            elif known.type.startswith("Collection("):
                if not self.modes.rows_need_type or f"{name}@odata.type" in raw:
                    out.sections[name] = self._rows(found, name, value)
            elif name in mixed:
                out.fields |= self._composite(known, value, raw.get(name + "_Type"))
            else:
                out.fields[name] = self._value(known, value)
        return out

    def _rows(self, found: EntitySet, name: str, value: Any) -> list[Row]:
        section = self.base.sets.get(f"{found.name}_{name}")
        if section is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) and one.get("LineNumber") is not None for one in value):
            raise Refusal(500, -1, INTERNAL)
        empty = defaults(section)
        rows = sorted((empty | self.given(section, one).fields for one in value), key=lambda row: row["LineNumber"])
        if [row["LineNumber"] for row in rows] != list(range(1, len(rows) + 1)):
            raise Refusal(400, 4, "Недопустимое значение для свойства LineNumber")
        return rows

    def _composite(self, known: Property, value: Any, kind: Any) -> Row:
        """A value and its type; without a type there is no value."""
        name = known.name
        if value is None or kind == UNDEFINED:
            return {name: "", name + "_Type": UNDEFINED}
        if kind is None:
            if self.modes.refuse_untyped:
                raise Refusal(400, 5, f"Не указано значение свойства {name}_Type")
            return {}
        if not isinstance(kind, str) or not kind.startswith((PREFIX, "Edm.")):
            raise Refusal(400, 4, f"Недопустимое значение {kind} для свойства составного типа")
        plain = "Edm.Guid" if kind.startswith(PREFIX) else kind
        self._value(Property(name, plain), value)  # only to refuse what is no such value
        return {name: str(value).lower() if plain == "Edm.Guid" else str(value), name + "_Type": kind}

    def _value(self, known: Property, value: Any) -> Any:
        if isinstance(value, (list, dict)):
            raise Refusal(500, -1, INTERNAL)
        if value is None:
            return EMPTY.get(known.type, "")
        try:
            return self._read(known, value)
        except (ValueError, InvalidOperation, binascii.Error):
            raise Refusal(400, 1, f"Ошибка разбора строки: {value}, свойство {known.name}") from None

    def _read(self, known: Property, value: Any) -> Any:
        kind = known.type
        if kind == "Edm.Boolean":
            return {"true": True, "false": False}[value] if value in ("true", "false") else _truth(value)
        if isinstance(value, bool):
            raise ValueError
        if kind in BITS:
            number = Decimal(value)
            if number != int(number) or abs(int(number)) >> BITS[kind]:
                raise ValueError
            return int(number)
        if kind == "Edm.Double":
            number = Decimal(value)
            if not number.is_finite():
                raise ValueError
            return number
        if kind == "Edm.String":
            return self._text(known, value)
        if not isinstance(value, str):
            raise ValueError
        if kind in ("Edm.Binary", "Edm.Stream"):
            return base64.b64decode(value, validate=True)
        return _guid(value) if kind == "Edm.Guid" else self._date(value)

    def _text(self, known: Property, value: Any) -> str:
        text = str(value)
        if known.length and len(text) > known.length:
            if self.modes.refuse_long:
                raise Refusal(400, 4, f"Недопустимое значение для свойства {known.name}: длина больше {known.length}")
            return text[:known.length]
        return text

    def _date(self, value: str) -> datetime:
        """What follows the seconds is not looked at."""
        parts = DATE.fullmatch(value)
        if parts is None or (parts[3] and self.modes.refuse_zone):
            raise ValueError
        return datetime.fromisoformat(parts[1])


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _guid(value: str) -> str:
    if not GUID.fullmatch(value):
        raise ValueError
    return value.lower()
