"""Changes of what a base is, not of what it holds: properties that come, go and are called something else; and
edits of any rows of any sets, for bases that have no documents to edit.

apply(base, {…}) takes
  set, add: {name, type, value?}    a property more; each row has the value
  set, rename: [old, new]           a property that the configuration calls something else
  set, remove: name                 one that is gone
  set, row: {…}                     a row more, like the first one but for these values
  set, gone: {…}                    the rows that have these values go
  shake: n, seed?                   n random changes of rows: values, rows that go, rows that come
"""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from model import Base, EntitySet, Property, Row


def apply(base: Base, given: dict[str, Any]) -> dict[str, Any]:
    base.version += 1
    if "shake" in given:
        rng = random.Random(f"shake/{given.get('seed', 1)}")
        return {"changed": [_shake(base, rng) for _ in range(given["shake"])]}
    found = base.sets[given["set"]]
    if "add" in given:
        _add(found, given["add"])
    elif "rename" in given:
        old, new = given["rename"]
        _rename(found, old, new)
    elif "row" in given:
        found.rows.append(found.rows[0] | given["row"])
    elif "gone" in given:
        _drop(base, found, given["gone"])
    else:
        _remove(found, given["remove"])
    return {"set": found.name, "properties": [one.name for one in found.properties]}


def _drop(base: Base, found: EntitySet, values: dict[str, str]) -> None:
    """The rows that have these values; lines of a section also from their owner, which may hold them itself."""
    gone = [row for row in found.rows if all(str(row.get(name)) == value for name, value in values.items())]
    held = [row[found.name.removeprefix(f"{found.section_of}_")] for row in base.sets[found.section_of].rows] if found.section_of else []
    for rows in [found.rows, *(lines for lines in held if isinstance(lines, list))]:
        rows[:] = [row for row in rows if not any(row is one for one in gone)]


def _add(found: EntitySet, given: dict[str, Any]) -> None:
    found.properties.append(Property(given["name"], given["type"]))
    for row in found.rows:
        row[given["name"]] = given.get("value")


def _rename(found: EntitySet, old: str, new: str) -> None:
    at = next(i for i, one in enumerate(found.properties) if one.name == old)
    before = found.properties[at]
    found.properties[at] = Property(new, before.type, before.nullable, before.target, before.length)
    for row in found.rows:
        row[new] = row.pop(old, None)


def _remove(found: EntitySet, name: str) -> None:
    found.properties[:] = [one for one in found.properties if one.name != name]
    for row in found.rows:
        row.pop(name, None)


def _other_value(kind: str, before: Any, rng: random.Random) -> Any:
    if kind == "Edm.Double":
        return Decimal(rng.randrange(-10000, 1000000)) / 100
    if kind == "Edm.Boolean":
        return not before
    if kind == "Edm.String":
        return f"правка {rng.randrange(10**6)}"
    return before


def _shake(base: Base, rng: random.Random) -> str:
    """One change; main sets of registers follow their rows, and lines neither come nor go."""
    sets = [one for one in base.sets.values() if one.rows and not one.records_of]
    found = rng.choice(sets)
    row = rng.choice(found.rows)
    way = "value" if found.section_of else rng.choice(("value", "value", "value", "new", "gone", "move"))
    keyed = next((name for name in found.key if name in ("Ref_Key", "Recorder", "Recorder_Key")), None)
    if way == "gone" and len(found.rows) > 3 and not any(isinstance(value, list) for value in row.values()):
        found.rows.remove(row)
    elif way == "new" and keyed and not any(isinstance(value, list) for value in row.values()):
        found.rows.append({**row, keyed: str(uuid.UUID(int=rng.getrandbits(128), version=4))})
    elif way == "move" and "Date" in row and isinstance(row["Date"], datetime) and row["Date"].year > 1:
        row["Date"] += timedelta(days=rng.randrange(-60, 60))
    else:
        _change_value(found, row, rng)
    return f"{found.name}: {way}"


def _change_value(found: EntitySet, row: Row, rng: random.Random) -> None:
    composite = {one.name for one in found.properties} & {one.name[:-5] for one in found.properties if one.name.endswith("_Type")}
    plain = [one for one in found.properties if one.name not in found.key and one.name not in composite
             and not one.name.endswith("_Type") and one.name not in ("LineNumber", "RecordType", "DataVersion")
             and one.type in ("Edm.Double", "Edm.Boolean", "Edm.String")]
    if plain:
        one = rng.choice(plain)
        row[one.name] = _other_value(one.type, row.get(one.name), rng)
