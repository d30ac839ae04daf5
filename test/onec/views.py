"""A published set as requests see it: its fields, rows, indexes, order and JSON text.

A view belongs to one state of the base; after an edit all views are thrown away, so no
index or cached text has to be kept up to date.
"""

from __future__ import annotations

import base64
import random
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring as quoted
from typing import Any, Callable, Iterable

import filters
from model import EMPTY_DATE, EMPTY_GUID, Base, EntitySet, Property, Row

PREFIX = "StandardODATA."
CACHED_RESULTS = 32
CACHED_TEXTS = 400_000  # rows whose JSON text a view keeps


def ordered(properties: Iterable[Property]) -> list[Property]:
    """Types of composite fields stand at the end, as in 1C's metadata."""
    found = list(properties)
    late = {name + "_Type" for name in composites(found)}
    return [p for p in found if p.name not in late] + [p for p in found if p.name in late]


def composites(properties: Iterable[Property]) -> set[str]:
    kinds = {p.name: p.type for p in properties}
    return {name for name, kind in kinds.items()
            if kind == "Edm.String" and kinds.get(name + "_Type") == "Edm.String" and name + "_Base64Data" not in kinds}


def number_text(value: Any) -> str:
    """All digits, no exponent, no zeros that say nothing."""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def date_text(value: datetime) -> str:
    return value.isoformat(timespec="seconds")


class _Dates(dict):
    """Each date is written out once."""

    def __missing__(self, value: datetime) -> str:
        text = self[value] = f'"{date_text(value)}"'
        return text


DATES = _Dates({None: "null"})
BOOLS = {None: "null", True: "true", False: "false"}


def scalar_text(value: Any, kind: str) -> str:
    """The plain text of a value: Atom, keys, presentations."""
    if value is None:
        return ""
    if kind == "Edm.DateTime":
        return date_text(value)
    if kind == "Edm.Boolean":
        return BOOLS[value]
    if kind in ("Edm.Binary", "Edm.Stream"):
        return base64.b64encode(value).decode("ascii")
    return number_text(value) if isinstance(value, (int, Decimal)) else str(value)


def _json_source(kind: str, value: str) -> str:
    """Source text of an expression that writes one value as JSON."""
    if kind == "Edm.DateTime":
        return f"DATES[{value}]"
    if kind == "Edm.Boolean":
        return f"BOOLS[{value}]"
    null = f"'null' if (v:={value}) is None else "
    if kind == "Edm.Guid":
        return f"({null}'\"'+v+'\"')"
    if kind == "Edm.Int64":
        return f"({null}'\"'+str(v)+'\"')"
    if kind in ("Edm.Int16", "Edm.Int32"):
        return f"({null}str(v))"
    if kind == "Edm.Double":
        return f"({null}number_text(v))"
    if kind in ("Edm.Binary", "Edm.Stream"):
        return f"({null}'\"'+scalar_text(v, 'Edm.Binary')+'\"')"
    return f"({null}quoted(v))"


class Store:
    """The views of a base, made when first asked for."""

    def __init__(self, base: Base):
        self.base = base
        self.views: dict[str, View] = {}

    def view(self, name: str) -> "View | None":
        if name not in self.views:
            found = self.base.sets.get(name)
            if found is None:
                return None
            self.views[name] = View(self, found)
        return self.views[name]

    def opened(self, name: str):
        view = self.view(name)
        return (view.scope, view.by_reference) if view else None

    def row_type(self, name: str) -> list[Property] | None:
        """Fields of StandardODATA.<name>, where it is the row of a section or of a register."""
        plain = name.removeprefix(PREFIX).removesuffix("_RowType")
        found = self.base.sets.get(plain)
        if found is None:
            return None
        if found.records_of:
            found = self.base.sets[found.records_of]
        return ordered(found.properties)

    def presentation(self, name: str, guid: str) -> str:
        """What 1C shows of an object, and sorts references by."""
        view = self.view(name)
        row = view.by_reference(guid) if view else None
        return view.presentation_of(row) if row else ""


class View:
    def __init__(self, store: Store, source: EntitySet):
        self.store = store
        self.source = source
        self.name = source.name
        self.recorders = source.records_of is not None
        self.properties = ordered(source.properties)
        self.fields = {p.name: p for p in self.properties}
        self.composites = composites(self.properties)
        self.rows = self._entries() if self.recorders else self._own_rows()
        self.date_field = next((n for n in ("Period", "Date") if n in self.fields and self.fields[n].type == "Edm.DateTime"),
                               None)
        self.scope = self._scope()
        self._dates: tuple[list, list] | None = None
        self._equal: dict[str, dict] = {}
        self._results: OrderedDict[Any, list[int]] = OrderedDict()
        self._orders: OrderedDict[Any, tuple[list[int], list[int]]] = OrderedDict()
        self._texts: dict[Any, dict[int, str]] = {}
        self._writers: dict[Any, Callable[[Row], str]] = {}

    # rows

    def _own_rows(self) -> list[Row]:
        """Collections that the data keep only in the section's own set are put into their owner."""
        rows = self.source.rows
        for field in self.properties:
            if not field.type.startswith("Collection(") or not rows or field.name in rows[0]:
                continue
            section = self.store.base.sets.get(f"{self.name}_{field.name}")
            lines: dict[str, list[Row]] = {}
            for line in section.rows if section else ():
                lines.setdefault(line["Ref_Key"], []).append(line)
            rows = [row | {field.name: lines.get(row["Ref_Key"], [])} for row in rows]
        return rows

    def _entries(self) -> list[Row]:
        """The main set of a register: an entry for each recorder."""
        found: dict[tuple, Row] = {}
        key = self.source.key
        for row in self.store.base.sets[self.source.records_of].rows:
            own = tuple(row[name] for name in key)
            if own not in found:
                found[own] = dict(zip(key, own)) | {"RecordSet": []}
            found[own]["RecordSet"].append(row)
        return list(found.values())

    def _scope(self) -> filters.Scope:
        sorts: dict[str, Any] = {}
        targets: dict[str, tuple[str, str]] = {}
        for field in self.properties:
            if field.name in self.composites:
                sorts[field.name] = "composite"
            elif field.name.endswith("_Type") and field.name[:-5] in self.composites:
                sorts[field.name] = "type"
            elif field.type.startswith("Collection("):
                sorts[field.name] = ("rows", self._row_scope(field))
            else:
                sorts[field.name] = filters.SORTS.get(field.type, "text")
            if field.target:
                targets[field.name.removesuffix("_Key")] = (field.name, field.target)
        return filters.Scope(sorts, targets, self.store.opened, self.recorders)

    def _row_scope(self, field: Property) -> filters.Scope:
        inner = self.store.row_type(field.type[11:-1]) or []
        return View(self.store, EntitySet("", list(inner), ())).scope

    # looking rows up

    def equal(self, field: str) -> dict[Any, list[int]]:
        """Positions of the rows by the value of a field, texts as 1C compares them."""
        if field not in self._equal:
            found: dict[Any, list[int]] = {}
            for at, row in enumerate(self.rows):
                if row.get(field) is not None:
                    found.setdefault(self.indexed(field, row[field]), []).append(at)
            self._equal[field] = found
        return self._equal[field]

    def indexed(self, field: str, value: Any) -> Any:
        """A value as the index of its field has it."""
        return filters.norm(value) if self.scope.sorts[field] in ("text", "composite") else value

    def by_reference(self, guid: str | None) -> Row | None:
        at = self.equal("Ref_Key").get(guid)
        return self.rows[at[0]] if at else None

    def dates(self) -> tuple[list[datetime], list[int]]:
        if self._dates is None:
            values = [row.get(self.date_field) or EMPTY_DATE for row in self.rows]
            positions = sorted(range(len(values)), key=values.__getitem__)
            self._dates = [values[at] for at in positions], positions
        return self._dates

    def candidates(self, tree) -> list[int] | range:
        """Positions that an index leaves of the set, in storage order."""
        best: list[int] | range = range(len(self.rows))
        parts = filters.conjuncts(tree)
        interval = filters.bounds(parts, self.date_field) if self.date_field else None
        if interval:
            values, positions = self.dates()
            low, high = bisect_left(values, interval[0]), bisect_right(values, interval[1])
            if high - low < len(best) // 2:
                best = sorted(positions[low:high])
        for part in parts:
            found = filters.equalities(part)
            if not found or self.scope.sorts.get(found[0]) not in ("guid", "text", "composite"):
                continue
            index = self.equal(found[0])
            wanted = {self.indexed(found[0], value) for value in found[1]}
            positions = [at for value in wanted for at in index.get(value, ())]
            if len(positions) < len(best):
                best = sorted(positions)
        return best

    def matching(self, filter_text: str | None) -> list[int] | range:
        """Positions of the rows that a filter leaves, in storage order."""
        if filter_text is None:
            return range(len(self.rows))
        if filter_text in self._results:
            self._results.move_to_end(filter_text)
            return self._results[filter_text]
        tree = filters.parse(filter_text)
        run = filters.compile_filter(tree, self.scope)
        positions = self.candidates(tree)
        rows = self.rows if isinstance(positions, range) else [self.rows[at] for at in positions]
        kept = run(rows)
        if len(kept) == len(rows):
            found = positions
        else:
            stays = set(map(id, kept))
            found = [at for at, row in zip(positions, rows) if id(row) in stays]
        return self._remember(self._results, filter_text, found)

    def _remember(self, cache: OrderedDict, key: Any, value: Any) -> Any:
        cache[key] = value
        if len(cache) > CACHED_RESULTS:
            cache.popitem(last=False)
        return value

    # order

    def sorted(self, filter_text: str | None, order: str, shuffle: random.Random) -> list[int]:
        """Positions in the order asked for; rows that the order leaves equal come in any order."""
        key = (filter_text, order)
        if key not in self._orders:
            positions = self.matching(filter_text)
            by_date = order.strip() == self.date_field and all(self.rows[at].get(order.strip()) for at in positions)
            self._remember(self._orders, key, self._sort_by_date(positions) if by_date else self._sort(list(positions), order))
        positions, starts = self._orders[key]
        if len(starts) == len(positions):
            return positions
        mixed = list(positions)
        for low, high in zip(starts, starts[1:] + [len(positions)]):
            if high - low > 1:
                tie = mixed[low:high]
                shuffle.shuffle(tie)
                mixed[low:high] = tie
        return mixed

    def _sort_by_date(self, positions: list[int] | range) -> tuple[list[int], list[int]]:
        """As _sort, from the index: a large set is asked for by date again and again."""
        dates, index = self.dates()
        kept = bytearray(len(index))
        for at in positions:
            kept[at] = 1
        places = [place for place, at in enumerate(index) if kept[at]]
        starts = [at for at, (place, before) in enumerate(zip(places, [-1] + places))
                  if before < 0 or dates[place] != dates[before]]
        return [index[place] for place in places], starts

    def _sort(self, positions: list[int], order: str) -> tuple[list[int], list[int]]:
        """Sorted positions, and where in them each run of equal rows starts."""
        keys = [self._sort_key(item) for item in split_commas(order)]
        values = {at: [key(self.rows[at]) for key, _ in keys] for at in positions}
        for number in range(len(keys) - 1, -1, -1):
            positions.sort(key=lambda at: values[at][number], reverse=keys[number][1])
        starts = [at for at in range(len(positions))
                  if at == 0 or values[positions[at]] != values[positions[at - 1]]]
        return positions, starts

    def _sort_key(self, item: str) -> tuple[Callable[[Row], Any], bool]:
        words = item.strip().rsplit(" ", 1)
        descending = len(words) == 2 and words[1] == "desc"
        text = words[0].strip() if len(words) == 2 and words[1] in ("asc", "desc") else item.strip()
        tree = filters.parse(text)
        value, sort = filters.compile_value(tree, self.scope)
        if sort == "guid" and tree[0] == "path" and tree[1] is None and len(tree[2]) == 1:
            target = self._target(tree[2][0])
            if target is not None:
                return (lambda row: (filters.norm(self.store.presentation(target, value(row))), value(row) or "")), descending
        if isinstance(sort, tuple) and sort[0] == "composite":
            name = tree[2][-1]
            return (lambda row: self._composite_key(row, name)), descending
        if sort == "text":
            return (lambda row: ((v := value(row)) is not None, "" if v is None else filters.norm(v))), descending
        if isinstance(sort, tuple) or sort == "binary":
            raise filters.FilterFailure(filters.ODD_TYPES)
        return (lambda row: ((v := value(row)) is not None, 0 if v is None else v)), descending

    def _target(self, field: str) -> str | None:
        """The set whose presentation a reference sorts by."""
        if field == "Ref_Key":
            return self.source.section_of or self.name
        found = self.fields.get(field) or self.fields.get(field + "_Key")
        return found.target if found else None

    def _composite_key(self, row: Row, name: str) -> tuple[str, str, str]:
        kind = row.get(name + "_Type") or ""
        target = kind.removeprefix(PREFIX)
        shown = self.store.presentation(target, row[name]) if target in self.store.base.sets else ""
        return kind, filters.norm(shown), row.get(name) or ""

    def presentation_of(self, row: Row) -> str:
        if self.name.startswith("Document_") and "Number" in row:
            return f"{self.name[9:]} {row['Number']} от {row['Date']:%d.%m.%Y %H:%M:%S}"
        return str(row.get(self.source.presentation) or "")

    # text

    def key_text(self, row: Row) -> str:
        """The entity's own address: Set(guid'…') or Set(A='…', B=1)."""
        def literal(name: str) -> str:
            value, kind = row[name], self.fields[name].type
            text = scalar_text(value, kind)
            if kind == "Edm.Guid":
                return f"guid'{text}'"
            if kind == "Edm.DateTime":
                return f"datetime'{text}'"
            if kind == "Edm.String":
                return "'" + text.replace("'", "''") + "'"
            return text
        if len(self.source.key) == 1:
            return f"{self.name}({literal(self.source.key[0])})"
        return f"{self.name}({', '.join(f'{name}={literal(name)}' for name in self.source.key)})"

    def texts(self, positions: Iterable[int], chosen: "Chosen") -> list[str]:
        """JSON of the rows; kept for the next request of the same columns."""
        cache = self._texts.get(chosen.key)
        if cache is None:
            if len(self._texts) > 7:
                self._texts.clear()
            cache = self._texts[chosen.key] = {}
        writer = self.writer(chosen)
        rows, found = self.rows, []
        for at in positions:
            text = cache.get(at)
            if text is None:
                text = writer(rows[at])
                if len(cache) < CACHED_TEXTS:
                    cache[at] = text
            found.append(text)
        return found

    def writer(self, chosen: "Chosen") -> Callable[[Row], str]:
        if chosen.key not in self._writers:
            self._writers[chosen.key] = self._make_writer(chosen)
        return self._writers[chosen.key]

    def _make_writer(self, chosen: "Chosen") -> Callable[[Row], str]:
        space: dict[str, Any] = {"DATES": DATES, "BOOLS": BOOLS, "number_text": number_text, "quoted": quoted,
                                 "scalar_text": scalar_text}
        parts = []
        for number, field in enumerate(chosen.fields):
            value = f"r.get({field.name!r})"
            if field.type.startswith("Collection("):
                space[f"rows{number}"] = self._rows_writer(field, chosen.inner.get(field.name))
                source = f"rows{number}({value})"
            else:
                source = _json_source(field.type, value)
            parts.append(repr(f'"{field.name}": ') + "+" + source)
        for number, (name, function) in enumerate(chosen.extras):
            space[f"extra{number}"] = function
            parts.append(repr(f'"{name}": ') + f"+extra{number}(r)")
        links = [(f.name, f.name.removesuffix("_Key")) for f in chosen.fields if f.target and chosen.links
                 and f.target in self.store.base.sets]
        space["links"] = lambda row: "".join(
            f',\n"{name}@navigationLinkUrl": {quoted(f"{self.key_text(row)}/{name}")}'
            for key, name in links if row.get(key) not in (None, EMPTY_GUID))
        body = "+',\\n'+".join(parts) or "''"
        tail = "+links(r)" if links else ""
        exec(f"def write(r):\n return '{{\\n'+{body}{tail}+'\\n}}'\n", space)
        return space["write"]

    def _rows_writer(self, field: Property, only: set[str] | None) -> Callable[[list[Row] | None], str]:
        inner = self.store.row_type(field.type[11:-1])
        if inner is None:
            return lambda rows: "null" if rows is None else "[]"
        if self.recorders:  # a line does not repeat its recorder
            inner = [p for p in inner if not p.name.startswith("Recorder")]
        if only is not None:
            inner = [p for p in inner if p.name in only]
        view = View(self.store, EntitySet("", list(inner), ()))
        writer = view.writer(Chosen(tuple(p for p in view.properties if p.type != "Edm.Stream")))
        return lambda rows: "null" if rows is None else "[" + ",".join(map(writer, rows)) + "]"


class Chosen:
    """The columns of an answer: fields, fields of collections, computed extras, links or not."""

    def __init__(self, fields: tuple[Property, ...], inner: dict[str, set[str]] | None = None,
                 extras: tuple[tuple[str, Callable[[Row], str]], ...] = (), links: bool = False):
        self.fields = fields
        self.inner = inner or {}
        self.extras = extras
        self.links = links
        self.key = (tuple(f.name for f in fields), tuple((n, tuple(sorted(v))) for n, v in self.inner.items()),
                    tuple(name for name, _ in extras), links)


def split_commas(text: str) -> list[str]:
    """Parts between commas that stand outside parentheses and quotes."""
    parts, depth, quote, start = [], 0, False, 0
    for at, char in enumerate(text):
        if char == "'":
            quote = not quote
        elif not quote and char in "()":
            depth += 1 if char == "(" else -1
        elif not quote and char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return parts + [text[start:]]
