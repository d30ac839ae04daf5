"""One OData request to a base: address and options in, status and body out; writes are asked of writes.py.

No sockets and no sessions here.  Refusals raise Refusal; "touched" of an answer counts the
rows that 1C would have had to build for it: $skip and $top together, because a later page
costs the earlier ones again, and the whole set where 1C builds it whole.
"""

from __future__ import annotations

import random
import re
import threading
from json.encoder import encode_basestring as quoted
from typing import Any

import atom
import edmx
import filters
import virtual
from model import Base, EntitySet, Property, Row
from modes import Modes, hits
from request import (ATOM, BOM, JSON, XML, Refusal, Reply, Request, allowed_only, error_reply, parse_key, parse_options,
                     parse_path, split_call, wanted_form)
from views import Chosen, Store, View, scalar_text, split_commas
from writes import Writes

OPTIONS = {"$filter", "$select", "$orderby", "$top", "$skip", "$expand", "$inlinecount", "$format", "allowedOnly",
           "$allowedOnly"}


class Service:
    def __init__(self, base: Base, modes: Modes, seed: int = 1):
        self.base = base
        self.modes = modes
        self.lock = threading.RLock()
        self.store = Store(base)
        self.random = random.Random(seed)
        self.writes = Writes(self)
        self._metadata: bytes | None = None
        self._without_recordtype: bool = False

    def forget(self) -> None:
        """After an edit: indexes and texts no longer hold."""
        with self.lock:
            self.store = Store(self.base)
            self._metadata = None

    def rows_changed(self) -> None:
        """After a write: what was derived from rows no longer holds, here and in the edits."""
        self.store = Store(self.base)
        self.base.version += 1
        if hasattr(self.base.edits, "forget"):
            self.base.edits.forget()

    # the way of a request

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], root: str, body: bytes = b"") -> Reply:
        """path and query as they stand in the address, below the service root."""
        form = "atom"
        try:
            options = parse_options(query)
            form = wanted_form(options, headers)
            if method == "HEAD":
                raise Refusal(405, 6, "Метод HEAD не поддерживается")
            request = Request(parse_path(path), options, form, root)
            with self.lock:
                reply = self._get(request) if method == "GET" else self.writes.answer(method, request, headers, body)
        except Refusal as refusal:
            return error_reply(refusal, form)
        except filters.FilterError as error:
            return error_reply(Refusal(400, 14, f"Ошибка при разборе опции запроса $filter: {error}"), form)
        except filters.FilterFailure as failure:
            return error_reply(Refusal(500, -1, str(failure)), form)
        except RecursionError:
            return error_reply(Refusal(400, 14, "Ошибка при разборе опции запроса $filter"), form)
        if self.modes.bom and reply.content_type == JSON:
            reply.body = BOM + reply.body
        return reply

    def _get(self, request: Request) -> Reply:
        segments = request.segments
        if not segments:
            return self._service_document(request)
        if segments == ["$metadata"]:
            if self._metadata is None or self._without_recordtype != self.modes.no_recordtype:
                self._without_recordtype = self.modes.no_recordtype
                self._metadata = edmx.document(self._published(), self.base.functions, self.base.sets)
            return Reply(200, edmx.without_facets(self._metadata) if self.modes.no_facets else self._metadata, XML)
        if segments[0] == "$batch":
            raise Refusal(501, 0, "Не поддерживается")
        name, arguments = split_call(segments[0])
        if name not in self.base.sets or (self.modes.no_recordtype and name.endswith("_RecordType")):
            raise Refusal(404, 8, f'"{name}" entity is not found')
        self._options_known(request, name)
        view = self.store.view(name)
        if arguments is not None:
            return self._entity(request, view, arguments)
        if len(segments) == 1:
            return self._list(request, view)
        if segments[1] == "$count" and len(segments) == 2 and not self.modes.no_count:
            positions = self._filtered(request, view)
            return Reply(200, BOM + str(len(positions)).encode(), "text/plain;charset=utf-8")
        function = virtual.find(self.base, name, split_call(segments[1])[0])
        if function and len(segments) == 2:
            return self._function(request, view, function)
        raise self._extra_segments(segments[1:])

    def _published(self) -> dict[str, EntitySet]:
        return {name: found for name, found in self.base.sets.items()
                if not (self.modes.no_recordtype and name.endswith("_RecordType"))}

    def _extra_segments(self, segments: list[str]) -> Refusal:
        name = split_call(segments[0])[0]
        if name == "" or len(segments) > 1:
            return Refusal(400, 6, "Обнаружены лишние сегменты!")
        if "(" in segments[0] or any(name == function.name for function in self.base.functions):
            return Refusal(400, 6, "Метод не найден")
        return Refusal(400, 6, f"Сегмент пути {name} не найден!")

    def _options_known(self, request: Request, name: str) -> None:
        calls = len(request.segments) > 1 and virtual.find(self.base, name, split_call(request.segments[1])[0])
        for option in request.options:
            if option not in OPTIONS and not (calls and option in dict(calls.parameters)):
                raise Refusal(400, 0, f"The {option} parameter is not supported")
        for option in ("$top", "$skip"):
            text = request.options.get(option)
            if text is not None and not re.fullmatch(r"\d{1,18}", text):
                raise Refusal(400, 14, f"Ошибка при разборе опции запроса {option}")

    # sets

    def _service_document(self, request: Request) -> Reply:
        names = list(self._published())
        if request.form == "atom":
            return Reply(200, atom.service(request.root, names), "application/atomsvc+xml;charset=utf-8")
        items = ",".join(f'{{\n"name": {quoted(name)},\n"url": {quoted(name)}\n}}' for name in names)
        head = "" if request.form == "nometadata" else f'"odata.metadata": {quoted(request.root)},\n'
        return Reply(200, f'{{\n{head}"value": [{items}]\n}}'.encode())

    def _filtered(self, request: Request, view: View) -> list[int] | range:
        text = request.options.get("$filter")
        if text is None:
            positions = view.matching(None)
        else:
            if self.modes.ignore_filter:
                return range(len(view.rows))
            self._comparable(view, text)
            if hits(self.modes.refuse_filter, view.name):
                raise Refusal(500, -1, "Ошибка AUTOORDER: отбор по этой таблице не может быть выполнен")
            positions = view.matching(text)
        if hits(self.modes.row_rights, view.name):
            kept = [at for at in positions if at % 7 != 3]
            if len(kept) < len(positions) and not allowed_only(request.options):
                raise Refusal(401, 20, "Недостаточно прав на чтение данных")
            return kept
        return positions

    def _comparable(self, view: View, text: str) -> None:
        if self.modes.unlimited_refused and any(re.search(rf"\b{p.name}\s+(eq|ne|gt|ge|lt|le)\b", text)
                                                for p in view.properties if p.length == 0):
            raise Refusal(500, -1, "Неверные параметры в операции сравнения. Нельзя сравнивать поля неограниченной длины "
                                   "и поля несовместимых типов.")

    def _list(self, request: Request, view: View) -> Reply:
        options = request.options
        positions = self._filtered(request, view)
        order = options.get("$orderby")
        if order and not view.recorders and not self.modes.ignore_order:
            if hits(self.modes.autoorder, view.name) and (self.modes.autoorder is not True or "Register_" in view.name):
                raise Refusal(500, -1, "Ошибка при выполнении запроса: AUTOORDER не может быть применено")
            positions = self._ordered(request, view, order, positions)
        top, skip = options.get("$top"), int(options.get("$skip", 0))
        if top and self.modes.max_top and int(top) > self.modes.max_top:
            raise Refusal(500, -1, "Недостаточно памяти для получения результата запроса к базе данных (AUTOORDER)")
        count = None
        touched = len(positions)
        if options.get("$inlinecount") == "allpages":
            count = len(positions)  # and $top and $skip are not looked at
        else:
            end = len(positions) if top is None else skip + int(top)
            touched = len(positions) if view.recorders else min(end, len(positions))
            positions = positions[skip:end]
        chosen = self._chosen(request, view)
        if request.form == "atom":
            rows = [view.rows[at] for at in positions]
            return Reply(200, atom.feed(request.root, view, rows, chosen, count), ATOM, len(rows), touched)
        texts = view.texts(positions, chosen)
        return Reply(200, self._envelope(request, view.name, texts, count), JSON, len(texts), touched)

    def _ordered(self, request: Request, view: View, order: str, positions: Any) -> Any:
        try:
            mixed = view.sorted(request.options.get("$filter"), order, self.random)
        except filters.FilterError as error:
            raise Refusal(400, 6, f"Сегмент пути {error} не найден!") from None
        if len(mixed) == len(positions):
            return mixed
        kept = set(positions)
        return [at for at in mixed if at in kept]

    def _envelope(self, request: Request, name: str, texts: list[str], count: int | None) -> bytes:
        head = "" if request.form == "nometadata" else f'"odata.metadata": {quoted(f"{request.root}/$metadata#{name}")},\n'
        if count is not None:
            head += f'"odata.count": "{count}",\n'
        return f'{{\n{head}"value": [{",".join(texts)}]\n}}'.encode()

    # one entity

    def _entity(self, request: Request, view: View, arguments: str) -> Reply:
        row, at = self._find(view, arguments)
        if hits(self.modes.row_rights, view.name) and at % 7 == 3:
            raise Refusal(401, 20, "Недостаточно прав на чтение данных")
        segments = request.segments[1:]
        while segments:
            name = segments.pop(0)
            if name == "$value" or name == "":
                raise self._extra_segments([name] + segments)
            if name in view.scope.targets:
                key, target = view.scope.targets[name]
                view = self.store.view(target)
                row = view.by_reference(row.get(key)) if view else None
                if row is None:
                    raise Refusal(404, 9, "Entity instance not found")
                continue
            if name not in view.fields:
                raise self._extra_segments([name] + segments)
            return self._property(request, view, row, name, segments)
        first = view.source.key[0]
        at = next(i for i in view.equal(first)[view.indexed(first, row[first])] if view.rows[i] is row)
        return self.entity_reply(request, view, at)

    def entity_reply(self, request: Request, view: View, at: int) -> Reply:
        """One object as an answer, in the form asked for."""
        row, chosen = view.rows[at], self._chosen(request, view)
        if request.form == "atom":
            return Reply(200, atom.entry_document(request.root, view, row, chosen),
                         "application/atom+xml;type=entry;charset=utf-8", 1, 1)
        text = view.texts([at], chosen)[0]
        if request.form != "nometadata":
            address = f"{request.root}/$metadata#{view.name}/@Element"
            text = f'{{\n"odata.metadata": {quoted(address)},' + text[1:]
        return Reply(200, text.encode(), JSON, 1, 1)

    def _property(self, request: Request, view: View, row: Row, name: str, rest: list[str]) -> Reply:
        kind, value = view.fields[name].type, row.get(name)
        data = value
        if kind == "Edm.Stream":
            data = row.get(name + "_Base64Data") or value
        if kind in ("Edm.Stream", "Edm.Binary") and rest in ([], ["$value"]):
            return Reply(200, data or b"", row.get(name + "_Type") or "application/octet-stream", 1, 1)
        if rest == ["$value"]:
            return Reply(200, scalar_text(value, kind).encode(), "text/plain;charset=utf-8", 1, 1)
        if rest:
            raise self._extra_segments(rest)
        text = view.writer(Chosen((view.fields[name],)))(row)
        text = '"value"' + text.strip("{}\n").removeprefix(f'"{name}"')
        return Reply(200, f'{{\n{text}\n}}'.encode(), JSON, 1, 1)

    def _find(self, view: View, arguments: str) -> tuple[Row, int]:
        wanted = parse_key(view, arguments)
        first = view.source.key[0]
        for at in view.equal(first).get(view.indexed(first, wanted[first]), ()):
            if all(view.rows[at][name] == value for name, value in wanted.items()):
                return view.rows[at], at
        raise Refusal(404, 9, "Entity instance not found")

    # columns

    def _chosen(self, request: Request, view: View) -> Chosen:
        links = request.form == "minimal"
        text = request.options.get("$select")
        navigations = {name: name for name in split_commas(request.options.get("$expand", "")) if name}
        for name in navigations:
            if name != "*" and name.split("/")[0] not in view.scope.targets:
                raise Refusal(400, 6, f"Сегмент пути {name} не найден!")
        if "*" in navigations:
            navigations = dict.fromkeys(view.scope.targets)
        names = [part.strip() for part in split_commas(text)] if text else ["*"]
        fields: dict[str, Property] = {}
        inner: dict[str, set[str]] = {}
        extras: dict[str, Any] = {}
        for name in names:
            self._choose(view, name, fields, inner, extras)
        for name in navigations:
            only = [part.split("/", 1)[1] for part in names if part.startswith(name + "/")]
            if text is None or only:
                extras[name] = self._expanded(view, name, only)
            extras.pop(name + "/", None)
        extras = {name: function for name, function in extras.items() if not name.endswith("/")}
        kept = tuple(p for p in view.properties if p.name in fields and p.type != "Edm.Stream")
        if self.modes.shuffle_members:
            kept = tuple(self.random.sample(kept, len(kept)))
        return Chosen(kept, inner, tuple(extras.items()), links)

    def _choose(self, view: View, name: str, fields: dict, inner: dict, extras: dict) -> None:
        head, _, tail = name.partition("/")
        if name in ("*", "**"):
            fields.update((p.name, p) for p in view.properties if name == "*" or not p.type.startswith("Collection("))
        elif name in view.fields:
            fields[name] = view.fields[name]
        elif name.endswith("____Presentation") and name[:-16] in view.fields | view.scope.targets:
            extras[name] = self._presentation(view, name[:-16])
        elif name == "Presentation":
            extras[name] = lambda row: quoted(view.presentation_of(row))
        elif head in view.fields and view.fields[head].type.startswith("Collection(") and tail:
            allowed = self.store.row_type(view.fields[head].type[11:-1]) or []
            if tail not in {p.name for p in allowed} | {"*", "**"}:
                raise Refusal(400, 6, f"Сегмент пути {tail} не найден!")
            fields[head] = view.fields[head]
            inner.setdefault(head, set()).update({p.name for p in allowed} if tail in ("*", "**") else {tail})
        elif head in view.scope.targets:
            extras.setdefault(head + "/", None)  # named for $expand
        else:
            raise Refusal(400, 6, f"Сегмент пути {name} не найден!")

    def _presentation(self, view: View, name: str):
        key, target = view.scope.targets.get(name.removesuffix("_Key"), (name, None))
        if target is None and name == "Ref_Key":
            return lambda row: quoted(view.presentation_of(row))
        if target is None:
            kind = view.fields[key].type
            return lambda row: quoted(scalar_text(row.get(key), kind))
        return lambda row: quoted(self.store.presentation(target, row.get(key)))

    def _expanded(self, view: View, name: str, only: list[str]):
        key, target = view.scope.targets[name.split("/")[0]]
        other = self.store.view(target)
        if other is None:
            return lambda row: "null"
        request = Request([], {"$select": ",".join(only)} if only and "*" not in only else {}, "nometadata", "")
        writer = other.writer(self._chosen(request, other))

        def write(row: Row) -> str:
            found = other.by_reference(row.get(key))
            return writer(found) if found else "null"
        return write

    # virtual tables

    def _function(self, request: Request, view: View, function) -> Reply:
        given = virtual.arguments(function, split_call(request.segments[1])[1], request.options)
        rows, properties = virtual.rows(self.store, function, given)
        touched = len(rows)
        result = View(self.store, EntitySet(f"{view.name}/{function.name}", properties, (), rows))
        inner = Request([], {k: v for k, v in request.options.items() if k in OPTIONS}, request.form, request.root)
        positions = self._filtered(inner, result)
        if "$orderby" in inner.options:
            positions = self._ordered(inner, result, inner.options["$orderby"], positions)
        skip, top = int(inner.options.get("$skip", 0)), inner.options.get("$top")
        positions = positions[skip:None if top is None else skip + int(top)]
        chosen = self._chosen(inner, result)
        if request.form == "atom":
            found = [rows[at] for at in positions]
            return Reply(200, atom.elements(function.name, result, found, chosen), XML, len(found), touched)
        texts = result.texts(positions, chosen)
        return Reply(200, self._envelope(request, f"{view.name}_{function.name}", texts, None), JSON, len(texts), touched)
