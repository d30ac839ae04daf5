"""Writes: an object created, changed, deleted, posted; the answer 1C gives, and the line in the list of what was stored.

One object with its tabular parts is the atom: whatever refuses, refuses all of it, before anything has changed.
"""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import plan
from bodies import Given, Reader, defaults, parse
from configuration import LOCKED, NO_LICENCE, Configuration, refused
from model import EMPTY_DATE, EMPTY_GUID, EntitySet, Row
from modes import hits
from posting import Posting
from request import Refusal, Reply, Request, exception_reply, parse_key, split_call
from stored import Stored
from views import Chosen, View

if TYPE_CHECKING:
    from odata import Service

LOAD_MODE = "1c_odata-dataloadmode"


class Writes:
    """Asked under the service's lock, so one at a time."""

    def __init__(self, service: Service):
        self.service = service
        self.base, self.modes = service.base, service.modes
        self.reader = Reader(self.base, self.modes)
        self.configuration = Configuration(self.modes, self.base.timezone)
        self.posting = Posting(self.base)
        self.stored = Stored()
        self.plan = plan.Plan(self) if plan.NAME in self.base.sets else None

    def answer(self, method: str, request: Request, headers: dict[str, str], body: bytes) -> Reply:
        name, arguments = split_call(request.segments[0] if request.segments else "")
        if name == "$batch" or method in ("PUT", "MERGE"):
            raise Refusal(501, 0, "Не поддерживается")
        if method not in ("POST", "PATCH", "DELETE"):
            raise Refusal(405, 6, f"Метод {method} не поддерживается")
        if self.plan and method == "POST" and name in plan.ACTIONS:
            return self.plan.answer(request)
        found = self.base.sets.get(name)
        if found is None:
            raise Refusal(404, 8, f'"{name}" entity is not found')
        self._allowed(method, found, request)
        if hits(self.modes.no_licence, name):
            return exception_reply(NO_LICENCE)
        if len(request.segments) == 2 and method == "POST" and name.startswith("Document_"):
            return self._post(request, found, self._find(found, arguments or ""), body)
        if len(request.segments) != 1 or (arguments is None) != (method == "POST"):
            raise Refusal(400, 6, "Обнаружены лишние сегменты!" if len(request.segments) > 1 else "Метод не найден")
        if method == "POST":
            return self._create(request, found, self._given(found, headers, body), self._loads(headers))
        row = self._find(found, arguments)
        self._unchanged(row, headers)
        if method == "DELETE":
            return self._delete(found, row)
        return self._patch(request, found, row, self._given(found, headers, body), self._loads(headers))

    # may it be written at all

    def _allowed(self, method: str, found: EntitySet, request: Request) -> None:
        if found.section_of and method == "POST" and len(request.segments) == 1:
            raise Refusal(400, 13, "Строки табличной части не могут быть созданы непосредственно")
        depends = found.records_of or any(part.startswith("Recorder") for part in found.key)
        if found.section_of or depends or found.name.startswith("DocumentJournal_"):
            raise Refusal(405, 19, f"Метод {method} для {found.name} запрещен")
        if found.name.startswith("Constant_") and method != "PATCH":
            raise Refusal(405, 19, f"Метод {method} для {found.name} запрещен")
        if hits(self.modes.read_only, found.name):
            raise Refusal(401, 20, "Недостаточно прав на изменение данных")
        if hits(self.modes.locked, found.name):
            raise refused(LOCKED)

    def _loads(self, headers: dict[str, str]) -> bool:
        """Is the object to be written as an exchange does, past the configuration's checks?"""
        wanted = headers.get(LOAD_MODE, "").lower() == "true"
        if wanted and not self.modes.data_load:
            raise Refusal(400, 17, "Режим загрузки данных не поддерживается")
        return wanted

    def _unchanged(self, row: Row, headers: dict[str, str]) -> None:
        wanted = headers.get("if-match", "*")
        if self.modes.if_match and wanted != "*" and "DataVersion" in row:
            if wanted.removeprefix("W/").strip('"') != version_text(row["DataVersion"]):
                raise Refusal(412, 0, "Объект изменен другим пользователем")

    def _given(self, found: EntitySet, headers: dict[str, str], body: bytes) -> Given:
        return self.reader.given(found, parse(body, headers.get("content-type", "application/json"), self.modes))

    # finding

    def _empty_view(self, found: EntitySet) -> View:
        return View(self.service.store, replace(found, rows=[]))

    def _find(self, found: EntitySet, arguments: str) -> Row:
        wanted = parse_key(self._empty_view(found), arguments)
        for row in found.rows:
            if all(row[name] == value for name, value in wanted.items()):
                return row
        raise Refusal(404, 9, "Entity instance not found")

    def _sections(self, found: EntitySet) -> dict[str, EntitySet]:
        names = [p.name for p in found.properties if p.type.startswith("Collection(")]
        sets = {name: self.base.sets.get(f"{found.name}_{name}") for name in names}
        return {name: one for name, one in sets.items() if one}

    # the operations

    def _create(self, request: Request, found: EntitySet, given: Given, loads: bool) -> Reply:
        row = defaults(found) | given.fields
        if found.key == ("Ref_Key",):
            row["Ref_Key"] = self._new_key(row["Ref_Key"])
            if "Date" in row and row["Date"] == EMPTY_DATE:
                row["Date"] = self.configuration.now()
        if any(all(other[part] == row[part] for part in found.key) for other in found.rows):
            raise Refusal(400, 15, "Сущность с таким ключом уже существует")
        if "DataVersion" in row:
            row["DataVersion"] = first_version(found)
        if not loads:
            self.configuration.before_write(found, None, row, given)
        self.configuration.number(found, row)
        embeds = self._embeds(found)
        found.rows.append(row)
        self._write_sections(found, row, {name: given.sections.get(name, []) for name in self._sections(found)}, embeds)
        self.posting.journal(found.name, row, row.get("Ref_Key", ""))
        register = found.name.startswith("InformationRegister_")
        reply = self._done("create", request, found, row, 200 if register else 201)
        reply.headers["Location"] = f"{request.root}/{self._empty_view(found).key_text(row)}"
        return reply

    def _new_key(self, given: str) -> str:
        """The client's, unless it sends none (or zeros) or this base does not honour it."""
        if given != EMPTY_GUID and self.modes.client_keys:
            return given
        return str(uuid.UUID(int=self.service.random.getrandbits(128), version=4))

    def _patch(self, request: Request, found: EntitySet, row: Row, given: Given, loads: bool) -> Reply:
        fields = {name: value for name, value in given.fields.items() if name not in found.key and name != "DataVersion"}
        new = row | fields
        if not loads:
            self.configuration.before_write(found, row, new, given)
        row.update(new)
        self._newer(row)
        self._write_sections(found, row, given.sections, self._embeds(found))
        self.posting.journal(found.name, row, row.get("Ref_Key", ""))
        return self._done("patch", request, found, row, self.modes.patch_status)

    def _delete(self, found: EntitySet, row: Row) -> Reply:
        """For good; who refers to it is not asked."""
        body = self._body(found, row)
        if row.get("Posted"):
            self.configuration.open(row)
        if found.name.startswith("Document_"):
            self.posting.remove(found.name, row)
            self.posting.journal(found.name, None, row["Ref_Key"])
        embeds = self._embeds(found)
        found.rows[:] = [other for other in found.rows if other is not row]
        self._write_sections(found, row, dict.fromkeys(self._sections(found), []), embeds)
        self.service.rows_changed()
        return self._told("delete", found, row, body, Reply(204, b""))

    def _post(self, request: Request, found: EntitySet, row: Row, body: bytes) -> Reply:
        action = split_call(request.segments[1])[0]
        if action not in ("Post", "Unpost"):
            raise Refusal(400, 6, "Метод не найден")
        operational = self._operational(request, body)
        if action == "Post":
            self.configuration.before_post(found, row, operational)
        elif row["Posted"]:
            self.configuration.open(row)
        self.posting.remove(found.name, row)
        if action == "Post" and not hits(self.modes.post_without_movements, found.name):
            self.posting.write(found.name, row)
        row["Posted"] = action == "Post"
        self._newer(row)
        self.posting.journal(found.name, row, row["Ref_Key"])
        reply = self._done(action.lower(), request, found, row, 200)
        if self.modes.post_answer == "empty":
            reply.body, reply.rows = b"", 0
        return reply

    def _operational(self, request: Request, body: bytes) -> bool:
        """Told by the query, or by a body {"PostingModeOperational": true}; neither: not."""
        text: Any = request.options.get("PostingModeOperational")
        if text is None and body.strip():
            text = parse(body, "application/json", self.modes).get("PostingModeOperational", False)
        if text not in (None, True, False, "true", "false"):
            raise Refusal(400, 1, f"Ошибка разбора строки: {text}")
        return text in (True, "true")

    # writing down

    def _newer(self, row: Row) -> None:
        if "DataVersion" in row:
            row["DataVersion"] = next_version(row["DataVersion"])

    @staticmethod
    def _embeds(found: EntitySet) -> bool:
        """Does this base keep the rows of tabular parts in their owner as well?"""
        return any(isinstance(value, list) for value in found.rows[0].values()) if found.rows else False

    def _write_sections(self, found: EntitySet, owner: Row, sections: dict[str, list[Row]], embeds: bool) -> None:
        for name, rows in sections.items():
            section = self.base.sets.get(f"{found.name}_{name}")
            if section is None:
                continue
            for line in rows:
                line["Ref_Key"] = owner["Ref_Key"]
            section.rows[:] = [line for line in section.rows if line["Ref_Key"] != owner["Ref_Key"]] + rows
            if embeds:
                owner[name] = rows

    def shown(self, found: EntitySet, row: Row) -> View:
        """The object alone, with its tabular parts."""
        parts = {name: [line for line in one.rows if line["Ref_Key"] == row["Ref_Key"]]
                 for name, one in self._sections(found).items()}
        return View(self.service.store, replace(found, rows=[row | parts]))

    def _body(self, found: EntitySet, row: Row) -> dict[str, Any]:
        view = self.shown(found, row)
        kept = tuple(p for p in view.properties if p.type != "Edm.Stream")
        return json.loads(view.texts([0], Chosen(kept))[0])

    def _done(self, operation: str, request: Request, found: EntitySet, row: Row, status: int) -> Reply:
        body = self._body(found, row)
        self.service.rows_changed()
        if status == 204:
            return self._told(operation, found, row, body, Reply(204, b""))
        reply = self.service.entity_reply(replace(request, options={}), self.shown(found, row), 0)
        reply.status = status
        return self._told(operation, found, row, body, reply)

    def _told(self, operation: str, found: EntitySet, row: Row, body: dict[str, Any], reply: Reply) -> Reply:
        key = row["Ref_Key"] if found.key == ("Ref_Key",) else self._empty_view(found).key_text(row)
        reply.stored.append(self.stored.add(operation, found.name, key, body))
        return reply

    def object(self, name: str, key: str) -> dict[str, Any] | None:
        """An object as it stands, by its GUID or the inside of its address."""
        found = self.base.sets[name]
        try:
            return self._body(found, self._find(found, f"guid'{key}'" if found.key == ("Ref_Key",) else key))
        except Refusal as refusal:
            if refusal.code == 9:
                return None
            raise ValueError(refusal.message) from None


# --- DataVersion: a counter in base64, one up with every write ------------------------------

def version_text(value: str | bytes) -> str:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def first_version(found: EntitySet) -> str | bytes:
    kind = next(p.type for p in found.properties if p.name == "DataVersion")
    return bytes(8) if kind == "Edm.Binary" else version_text(bytes(8))


def next_version(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return ((int.from_bytes(value, "big") + 1) % (1 << 64)).to_bytes(8, "big")
    number = int.from_bytes(base64.b64decode(value), "little")
    return version_text(((number + 1) % (1 << 64)).to_bytes(8, "little"))
