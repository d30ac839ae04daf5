"""The words that the server and the data share: properties, entity sets, functions, a base.

Values in rows are Python values by declared type: Edm.String and composite values str,
Edm.Guid str (lower case, with dashes), Edm.DateTime datetime (naive, seconds),
Edm.Double Decimal, Edm.Int16/32/64 int, Edm.Boolean bool, Edm.Binary and Edm.Stream
bytes, Collection(...) a list of rows; None is a JSON null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = datetime(1, 1, 1)

Row = dict[str, Any]


@dataclass(frozen=True)
class Property:
    name: str
    type: str  # "Edm.Guid", "Collection(StandardODATA.X_RowType)", …
    nullable: bool = True
    target: str | None = None  # X_Key: the set it refers to (a NavigationProperty)
    length: int | None = None  # of a text, in characters; 0: not limited; None: nothing is known


@dataclass
class EntitySet:
    """A published set.

    "records_of": for a register's main set (entries Recorder, Recorder_Type, RecordSet) the
    name of the _RecordType set that holds the rows; its own "rows" stay empty.
    "section_of": for a tabular section the owning set.
    """

    name: str
    properties: list[Property]
    key: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    records_of: str | None = None
    section_of: str | None = None
    presentation: str = "Description"  # what $orderby on a reference sorts by
    links: dict[tuple[str, str], str] = field(default_factory=dict)  # key, Edm.Stream: where Atom says the bytes are, if not here


@dataclass(frozen=True)
class Function:
    """A virtual table: Balance, Turnovers, BalanceAndTurnovers, SliceLast, SliceFirst."""

    name: str
    bound_to: str  # the register's main set, e.g. AccumulationRegister_БонусныеБаллы
    parameters: tuple[tuple[str, str], ...]  # (("Condition", "Edm.String"), …)
    dimensions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass
class Base:
    """A 1C base: what is published, and its rows."""

    sets: dict[str, EntitySet]
    functions: list[Function]
    timezone: str = "Europe/Moscow"
    truth: Any = None  # object with as_dict(): computed from the rows as they are now
    edits: Any = None  # object with apply(dict) -> dict: changes of documents as users make them
    version: int = 0  # grows with every edit: whatever was derived from the rows before is stale

    def record_set(self, name: str) -> EntitySet:
        """The set that holds the rows of "name" (itself, or its _RecordType set)."""
        found = self.sets[name]
        return self.sets[found.records_of] if found.records_of else found
