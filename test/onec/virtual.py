"""Virtual tables: Balance, Turnovers, BalanceAndTurnovers, SliceLast, SliceFirst.

They are computed from the register's rows as they are now.  Rows that are switched off
(Active false) do not count.  Borders are those of 1C's query language: a balance at a
moment leaves out the movements of that moment, turnovers take both ends in, a slice takes
its moment in.  Over OData nobody has verified them.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Callable

import filters
from model import Base, EntitySet, Function, Property, Row
from views import Store, View

PERIODS = ("Period", "SecondPeriod", "MinutePeriod", "HourPeriod", "DayPeriod", "WeekPeriod", "TenDaysPeriod",
           "MonthPeriod", "QuarterPeriod", "HalfYearPeriod", "YearPeriod")


def find(base: Base, name: str, function: str) -> Function | None:
    return next((f for f in base.functions if f.bound_to == name and f.name == function), None)


# --- arguments ----------------------------------------------------------------------------

def arguments(function: Function, inside: str | None, options: dict[str, str]) -> dict[str, Any]:
    """Values of the parameters, from the parentheses and from the query string."""
    kinds = dict(function.parameters)
    texts = {name: options[name] for name in kinds if name in options}
    if inside:
        names = "|".join(map(re.escape, kinds))
        for part in re.split(rf",\s*(?=(?:{names})\s*=)", inside):
            name, _, text = part.partition("=")
            if name.strip() not in kinds:
                raise filters.FilterError(name)
            texts[name.strip()] = text.strip()
    return {name: _argument(name, kinds[name], text) for name, text in texts.items()}


def _argument(name: str, kind: str, text: str) -> Any:
    if kind == "Edm.DateTime":
        tree = filters.parse(text)
        if tree[:2] != ("lit", "date"):
            raise filters.FilterError(name)
        return tree[2]
    if len(text) < 2 or text[0] != "'" or text[-1] != "'":
        raise filters.FilterError(name)
    # Quotes inside come doubled; servers are said to take undoubled ones as well.
    return text[1:-1].replace("''", "'")


# --- columns ------------------------------------------------------------------------------

def _dimensions(register: EntitySet, function: Function, chosen: str | None) -> list[str]:
    """Fields of the dimensions asked for; by field name or by the attribute's own name."""
    fields = {p.name for p in register.properties}
    every = [name if name in fields else name + "_Key" for name in function.dimensions]
    if not chosen:
        return every
    found = []
    for name in filter(None, (part.strip() for part in chosen.split(","))):
        field = name if name in every else name + "_Key"
        if field not in every:
            raise filters.FilterError(name)
        found.append(field)
    return found


def _columns(register: EntitySet, dimensions: list[str]) -> list[Property]:
    fields = {p.name: p for p in register.properties}
    types = [fields[name + "_Type"] for name in dimensions if name + "_Type" in fields]
    return [Property(p.name, p.type, True, p.target) for p in [fields[name] for name in dimensions] + types]


def _resource_names(register: EntitySet, function: Function) -> list[str]:
    has_balance = any(p.name == "RecordType" for p in register.properties)
    if function.name == "Balance":
        endings = ("Balance",)
    elif function.name == "Turnovers":
        endings = ("Turnover", "Receipt", "Expense") if has_balance else ("Turnover",)
    else:
        endings = ("OpeningBalance", "Turnover", "Receipt", "Expense", "ClosingBalance")
    return [resource + ending for resource in function.resources for ending in endings]


def properties(sets: dict[str, EntitySet], function: Function, dimensions: str | None = None,
               declared: bool = False) -> list[Property]:
    """Columns of the answer; "declared" adds those that the metadata names and no answer fills."""
    register = sets[sets[function.bound_to].records_of or function.bound_to]
    columns = _columns(register, _dimensions(register, function, dimensions))
    if declared and function.name != "Balance":
        columns += [Property(name, "Edm.DateTime") for name in PERIODS]
        columns += [p for p in register.properties if p.name.startswith("Recorder")]
        columns.append(Property("LineNumber", "Edm.Int64"))
    return columns + [Property(name, "Edm.Double") for name in _resource_names(register, function)]


# --- rows ---------------------------------------------------------------------------------

def rows(store: Store, function: Function, given: dict[str, Any]) -> tuple[list[Row], list[Property]]:
    sets = store.base.sets
    name = sets[function.bound_to].records_of or function.bound_to
    view = store.view(name)
    found = [row for row in view.rows if row.get("Active", True)]
    if given.get("Condition"):
        found = _conditioned(view, function, given["Condition"])(found)
    if function.name.startswith("Slice"):
        return _slice(view, function, given.get("Period"), found), list(view.properties)
    dimensions = _dimensions(view.source, function, given.get("Dimensions"))
    columns = properties(sets, function, given.get("Dimensions"))
    groups = [p.name for p in _columns(view.source, dimensions)]
    if function.name == "Balance":
        return _balance(function, found, groups, given.get("Period")), columns
    start, end = given.get("StartPeriod", datetime.min), given.get("EndPeriod", datetime.max)
    turnovers = _turnovers(function, [r for r in found if start <= r["Period"] <= end], groups)
    if function.name == "Turnovers":
        keep = {p.name for p in columns}
        return [{k: v for k, v in row.items() if k in keep} for row in turnovers], columns
    opening = _balance(function, found, groups, start)
    return _joined(function, groups, opening, turnovers), columns


def _conditioned(view: View, function: Function, text: str) -> Callable[[list[Row]], list[Row]]:
    """The condition of a virtual table sees the dimensions only."""
    fields = view.scope
    allowed = {name for dimension in function.dimensions for name in (dimension, dimension + "_Key", dimension + "_Type")}
    plain = {name.removesuffix("_Key") for name in allowed}
    scope = filters.Scope({n: s for n, s in fields.sorts.items() if n in allowed},
                          {n: t for n, t in fields.targets.items() if n in plain}, fields.opened)
    if function.name.startswith("Slice"):
        scope = fields
    return filters.compile_filter(filters.parse(text), scope)


def _sign(row: Row) -> int:
    return -1 if row.get("RecordType") == "Expense" else 1


def _balance(function: Function, found: list[Row], groups: list[str], before: datetime | None) -> list[Row]:
    sums: dict[tuple, list] = {}
    for row in found:
        if before is not None and row["Period"] >= before:
            continue
        total = sums.setdefault(tuple(row[name] for name in groups), [Decimal(0)] * len(function.resources))
        for at, resource in enumerate(function.resources):
            total[at] += _sign(row) * (row.get(resource) or 0)
    return [dict(zip(groups, key)) | {f"{r}Balance": v for r, v in zip(function.resources, total)}
            for key, total in sums.items() if any(total)]


def _turnovers(function: Function, found: list[Row], groups: list[str]) -> list[Row]:
    sums: dict[tuple, list] = {}
    for row in found:
        total = sums.setdefault(tuple(row[name] for name in groups), [[Decimal(0)] * 2 for _ in function.resources])
        for at, resource in enumerate(function.resources):
            total[at][_sign(row) < 0] += row.get(resource) or 0
    out = []
    for key, total in sums.items():
        row = dict(zip(groups, key))
        for resource, (receipt, expense) in zip(function.resources, total):
            row |= {f"{resource}Turnover": receipt - expense, f"{resource}Receipt": receipt, f"{resource}Expense": expense}
        out.append(row)
    return out


def _joined(function: Function, groups: list[str], opening: list[Row], turnovers: list[Row]) -> list[Row]:
    found: dict[tuple, Row] = {}
    for row in opening + turnovers:
        found.setdefault(tuple(row[name] for name in groups), dict.fromkeys(groups)).update(row)
    out = []
    for row in found.values():
        for resource in function.resources:
            opened = row.pop(f"{resource}Balance", Decimal(0))
            row[f"{resource}OpeningBalance"] = opened
            for ending in ("Turnover", "Receipt", "Expense"):
                row.setdefault(resource + ending, Decimal(0))
            row[f"{resource}ClosingBalance"] = opened + row[f"{resource}Turnover"]
        out.append(row)
    return out


def _slice(view: View, function: Function, at: datetime | None, found: list[Row]) -> list[Row]:
    last = function.name == "SliceLast"
    fields = [n for d in function.dimensions for n in (d, d + "_Key", d + "_Type") if n in view.fields]
    best: dict[tuple, Row] = {}
    for row in found:
        if at is not None and (row["Period"] > at if last else row["Period"] < at):
            continue
        key = tuple(row[name] for name in fields)
        other = best.get(key)
        if other is None or (row["Period"] >= other["Period"] if last else row["Period"] < other["Period"]):
            best[key] = row
    return list(best.values())
