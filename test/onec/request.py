"""A request and its reply: the parts of an address, the form asked for, refusals in 1C's words.

Refusals raise Refusal with an HTTP status and the code of an odata.error; error_reply() writes it out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Any
from urllib.parse import unquote

import atom
import filters
from views import PREFIX, View, split_commas

JSON = "application/json;charset=utf-8"
XML = "application/xml;charset=utf-8"
ATOM = "application/atom+xml;type=feed;charset=utf-8"
BOM = b"\xef\xbb\xbf"


class Refusal(Exception):
    def __init__(self, status: int, code: int, message: str):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class Reply:
    status: int
    body: bytes
    content_type: str = JSON
    rows: int = 0
    touched: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    stored: list[dict[str, Any]] = field(default_factory=list)  # what a write has done, as stored.py lists it


@dataclass
class Request:
    """Path segments below the service root, options, and the format of the answer."""

    segments: list[str]
    options: dict[str, str]
    form: str  # nometadata, minimal, atom
    root: str


def decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refusal(400, 2, "Неверный формат запроса") from None


def parse_options(query: str) -> dict[str, str]:
    """A plus is a plus: 1C does not read it as a space."""
    found: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name = decoded(name)
        if name:
            found.setdefault(name, decoded(value))
    return found


def parse_path(path: str) -> list[str]:
    text = decoded(path).removeprefix("/")
    if not text:
        return []
    parts, quote, start = [], False, 0
    for at, char in enumerate(text):
        if char == "'":
            quote = not quote
        elif char == "/" and not quote:
            parts.append(text[start:at])
            start = at + 1
    return parts + [text[start:]]


def split_call(segment: str) -> tuple[str, str | None]:
    """Name(arguments) → name, arguments; without parentheses the arguments are None."""
    name, bracket, rest = segment.partition("(")
    if not bracket:
        return segment, None
    if not rest.endswith(")"):
        raise Refusal(400, 2, "Неверный формат запроса")
    return name, rest[:-1]


def parse_key(view: View, arguments: str) -> dict[str, Any]:
    parts: dict[str, str] = {}
    for part in split_commas(arguments):
        match = re.match(r"\s*([^\W\d]\w*)\s*=(.*)", part, re.S)
        if match:
            parts[match[1]] = match[2].strip()
        elif len(view.source.key) == 1:
            parts[view.source.key[0]] = part.strip()
    found = {}
    for name in view.source.key:
        if name not in parts:
            raise Refusal(400, 7, f"Не указано значение ключевого поля {name}")
        found[name] = key_value(view, name, parts[name])
    return found


def key_value(view: View, name: str, text: str) -> Any:
    refusal = Refusal(400, 4, f"Недопустимое значение {text} для свойства {name}")
    try:
        tree = filters.parse(text)
    except filters.FilterError:
        raise refusal from None
    sort = {"composite": "text", "type": "text"}.get(view.scope.sorts[name], view.scope.sorts[name])
    if tree[0] == "neg" and tree[1][:2] == ("lit", "number"):
        tree = ("lit", "number", -tree[1][2])
    if tree[0] != "lit" or tree[1] != sort:
        raise refusal
    if view.scope.sorts[name] == "type" and not tree[2].startswith((PREFIX, "Edm.")):
        raise Refusal(400, 4, f"Недопустимое значение {text} для свойства составного типа")
    return tree[2]


def wanted_form(options: dict[str, str], headers: dict[str, str]) -> str:
    wanted = options.get("$format") or headers.get("accept", "")
    wanted = wanted.replace(" ", "").lower()
    if "odata=nometadata" in wanted:
        return "nometadata"
    return "minimal" if "json" in wanted else "atom"


def allowed_only(options: dict[str, str]) -> bool:
    return "true" in (options.get("allowedOnly"), options.get("$allowedOnly"))


def error_reply(refusal: Refusal, form: str) -> Reply:
    if form == "atom":
        return Reply(refusal.status, atom.error(refusal.code, refusal.message), XML)
    body = (f'{{\n"odata.error": {{\n"code": "{refusal.code}",\n"message": {{\n"lang": "ru",\n'
            f'"value": {quoted(refusal.message)}\n}}\n}}\n}}')
    return Reply(refusal.status, body.encode())


def exception_reply(text: str) -> Reply:
    """An answer of the application server, where OData had no say."""
    told = {"exception": {"clsid": "580392e6-ba49-4280-ac67-fcd6f2180121", "descr": text, "inner": {"descr": text}}}
    return Reply(500, json.dumps(told, ensure_ascii=False).encode())
