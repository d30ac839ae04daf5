"""An exchange plan: what has changed since a node was last told, by messages that are asked for and confirmed.

Registered is a set of objects, each with the number of the message that told of it, or none yet.  SelectChanges
stamps what has none and answers what bears its number; NotifyChangesReceived forgets what bears no later one; a
change meanwhile takes the stamp away.  What has changed is found by comparing the rows with those of the last look,
so that edits of any kind are registered, as 1C registers whatever is written.
"""

from __future__ import annotations

import re
import uuid
from json.encoder import encode_basestring as quoted
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import atom
from model import EntitySet, Property, Row
from modes import hits
from request import ATOM, Refusal, Reply, Request
from views import PREFIX

if TYPE_CHECKING:
    from writes import Writes

NAME = "ExchangePlan_ОбменССайтом"
NODES = (("000001", "Наша база", True), ("000002", "Сайт", False), ("000003", "Другой сайт", False))
TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"
ACTIONS = ("SelectChanges", "NotifyChangesReceived")
FIELDS = (("Ref_Key", "Edm.Guid"), ("DataVersion", "Edm.String"), ("DeletionMark", "Edm.Boolean"), ("Code", "Edm.String"),
          ("Description", "Edm.String"), ("SentNo", "Edm.Int64"), ("ReceivedNo", "Edm.Int64"), ("ThisNode", "Edm.Boolean"))

Key = tuple[str, str]  # set, Ref_Key


def node_set() -> EntitySet:
    """The plan as it is published, with its nodes."""
    rows = [{"Ref_Key": str(uuid.uuid5(uuid.NAMESPACE_OID, code)), "DataVersion": "AAAAAAAAAAA=", "DeletionMark": False, "Code": code,
             "Description": title, "SentNo": 0, "ReceivedNo": 0, "ThisNode": own} for code, title, own in NODES]
    return EntitySet(NAME, [Property(name, kind) for name, kind in FIELDS], ("Ref_Key",), rows)


class Plan:
    """Asked under the service's lock."""

    def __init__(self, writes: Writes):
        self.writes = writes
        self.seen: dict[str, dict[str, str]] = {}
        self.registered: dict[str, dict[Key, int | None]] = {}
        self.look()

    @property
    def nodes(self) -> list[Row]:
        return self.writes.base.sets[NAME].rows

    # registering

    def _state(self, found: EntitySet) -> dict[str, str]:
        """Each object with its tabular parts, as a text."""
        lines: dict[str, list[Row]] = {}
        for section in self.writes._sections(found).values():
            for line in section.rows:
                lines.setdefault(line["Ref_Key"], []).append(line)
        return {row["Ref_Key"]: repr(row) + repr(lines.get(row["Ref_Key"])) for row in found.rows}

    def look(self) -> None:
        """Register for every node what is not as it was."""
        modes = self.writes.modes
        for name, found in self.writes.base.sets.items():
            if name == NAME or found.key != ("Ref_Key",) or not hits(modes.plan_sets, name):
                self.seen.pop(name, None)
                continue
            now = self._state(found)
            before = self.seen.get(name, now)
            for key in before.keys() | now.keys():
                if before.get(key) != now.get(key) and not hits(modes.plan_misses, f"{name} {key}"):
                    self.register(name, key)
            self.seen[name] = now

    def register(self, name: str, key: str) -> None:
        for node in self.nodes:
            if not node["ThisNode"]:
                self.registered.setdefault(node["Ref_Key"], {})[name, key] = None

    # the two requests

    def answer(self, request: Request) -> Reply:
        action = request.segments[0]
        self.look()
        node = self._node(request)
        text = request.options.get("MessageNo", "")
        if not re.fullmatch(r"\d{1,18}", text):
            raise Refusal(400, 1, f"Ошибка разбора строки: {text}")
        if action == "SelectChanges":
            return self._select(request, node, int(text))
        kept = self.registered.get(node["Ref_Key"], {})
        self.registered[node["Ref_Key"]] = {key: number for key, number in kept.items() if number is None or number > int(text)}
        if self.writes.modes.plan_counts:
            node["ReceivedNo"] = max(node["ReceivedNo"], int(text))
        self.writes.service.rows_changed()
        return Reply(200, b"")

    def _node(self, request: Request) -> Row:
        """The node whose address stands in the parameter, in the quotes that this base takes."""
        inner = "''" if self.writes.modes.plan_quotes == "doubled" else "'"
        match = re.fullmatch(rf"'(.*)/{NAME}\(guid{inner}([-0-9a-f]{{36}}){inner}\)'", request.options.get("DataExchangePoint", ""))
        if not match or match[1] != request.root:
            raise Refusal(400, 1, "Неверное значение параметра DataExchangePoint")
        for node in self.nodes:
            if node["Ref_Key"] == match[2] and not node["ThisNode"]:
                return node
        raise Refusal(404, 9, "Entity instance not found")

    def _select(self, request: Request, node: Row, number: int) -> Reply:
        kept = self.registered.setdefault(node["Ref_Key"], {})
        told = [key for key, stamp in kept.items() if stamp in (None, number)]
        kept.update(dict.fromkeys(told, number))
        node["SentNo"] = max(node["SentNo"], number)
        self.writes.service.rows_changed()
        form = self.writes.modes.plan_form
        entries = [self._entry(request, form, name, key) for name, key in told]
        if form == "json":
            return Reply(200, f'{{\n"odata.metadata": {quoted(request.root)},\n"value": [{",".join(entries)}]\n}}'.encode(), rows=len(told))
        head = (f'{atom.HEAD}<feed xmlns="http://www.w3.org/2005/Atom" xmlns:at="{TOMBSTONES}" {atom.NAMES} xml:base={quoteattr(request.root + "/")}>\n'
                f"<id>{request.root}/SelectChanges</id>\n<title type=\"text\"/>\n<updated>{atom.UPDATED}</updated>\n")
        return Reply(200, (head + "\n".join(entries) + "\n</feed>").encode(), ATOM, len(told))

    def _entry(self, request: Request, form: str, name: str, key: str) -> str:
        found = self.writes.base.sets[name]
        row = next((row for row in found.rows if row["Ref_Key"] == key), None)
        address = f"{request.root}/{name}(guid'{key}')"
        if row is None or hits(self.writes.modes.plan_lies, f"{name} {key}"):
            return f'{{"id": {quoted(address)}, "reason": "deleted"}}' if form == "json" else \
                f'<at:deleted-entry ref={quoteattr(address)} when="{atom.UPDATED}"/>'
        view = self.writes.shown(found, row)
        chosen = self.writes.service._chosen(Request([], {}, "minimal", request.root), view)
        if form != "json":
            return atom._entry(request.root, view, row, chosen, "<entry>\n")
        said: dict[str, Any] = {"type": f'"odata.type": {quoted(PREFIX + name)},', "address": f'"odata.id": {quoted(address)},', "nothing": ""}
        return "{" + said[self.writes.modes.plan_says] + view.texts([0], chosen)[0][1:]
