"""A web server whose answers a test writes itself: for what no honest base sends.

    python3 test/t/stub.py PORT CODE-FILE LOG-FILE

CODE-FILE defines answer(r): r.n (number of the request, from 1), r.path (decoded, below standard.odata/), r.query (decoded
options, as a dict), r.headers, r.url (raw).  It returns a body (200) or (status, body) or (status, body, headers); a dict or a list
goes as JSON, a list as the "value" of an envelope, a generator piece by piece until it or the connection ends.  None breaks the
connection without an answer.

The code finds here: guid(n), serve(r, rows, key="Ref_Key", total=None) for an honest answer ($filter with ge, gt, le, lt, eq, ne, and,
or, not, startswith, endswith, substringof; $orderby, $skip, $top, $select, /$count, a single key), odata_error(status, code, text), html(status, text), and "mode", a dict that the
test changes by requests to /mode?name=value, which are not counted.
"""

from __future__ import annotations

import json
import re
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from urllib.parse import parse_qsl, unquote, urlsplit

ROOT = "/odata/standard.odata"
TOKEN = re.compile(r"cast\(guid'([^']*)',\s*'[^']*'\)|(?:guid|datetime)?'((?:[^']|'')*)'|([\w/.А-Яа-яЁё-]+)|([()])")
mode: dict[str, str] = {}
lock = threading.Lock()
count = 0


def guid(number: int, kind: int = 0) -> str:
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def odata_error(status: int, code: int, text: str) -> tuple:
    return status, {"odata.error": {"code": str(code), "message": {"lang": "ru", "value": text}}}


def html(status: int, text: str) -> tuple:
    return status, f"<html><head><title>{text}</title></head><body>{text}</body></html>", {"Content-Type": "text/html"}


# 1C's functions of texts, which know no case.
FUNCTIONS = {
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
    "substringof": lambda part, text: part in text,
}


class Filter:
    """a eq b and (c lt d or …), by recursive descent; values are compared as text without case, numbers as numbers, columns as they are."""

    def __init__(self, text: str):
        self.tokens = [(m.lastindex, m.group(m.lastindex)) for m in TOKEN.finditer(text)]
        self.at = 0

    def word(self) -> str | None:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else None

    def take(self) -> tuple:
        self.at += 1
        return self.tokens[self.at - 1]

    def either(self, row: dict) -> bool:
        found = self.both(row)
        while self.word() == "or":
            self.take()
            found = self.both(row) or found
        return found

    def both(self, row: dict) -> bool:
        found = self.one(row)
        while self.word() == "and":
            self.take()
            found = self.one(row) and found
        return found

    def one(self, row: dict) -> bool:
        if self.word() == "not":
            self.take()
            return not self.one(row)
        if self.word() == "(":
            self.take()
            found = self.either(row)
            self.take()
            return found
        if self.word() in FUNCTIONS:
            return self.called(row)
        left = row.get(self.take()[1])
        op = self.take()[1]
        kind, right = self.take()
        if kind == 3 and right in ("true", "false"):
            right = right == "true"
        elif kind == 3 and right in row:
            right = row[right]
        elif kind == 3:
            left, right = float(left or 0), float(right)
        else:
            left, right = (left or "").lower(), right.lower()
        return {"eq": left == right, "ne": left != right, "gt": left > right, "ge": left >= right, "lt": left < right,
                "le": left <= right}[op]

    def called(self, row: dict) -> bool:
        """f(column,'text') or f('text',column)"""
        function = FUNCTIONS[self.take()[1]]
        _, *arguments, _ = [self.take() for _ in range(4)]
        return function(*[str(row.get(text) if kind == 3 else text).lower() for kind, text in arguments])


def matching(rows: list, text: str | None) -> list:
    return [row for row in rows if Filter(text).either(row)] if text else list(rows)


def ordered(rows: list, text: str | None) -> list:
    for part in reversed(text.split(",") if text else []):
        name, *down = part.split()
        rows = sorted(rows, key=lambda row: (row.get(name) is not None, row.get(name)), reverse=down == ["desc"])
    return rows


def serve(r: SimpleNamespace, rows: list, key: str = "Ref_Key", total: int | None = None):
    """The honest answer to r over these rows; "total" stands in for the number that /$count gives."""
    single = re.search(r"\(guid'([^']*)'\)$", r.path)
    if single:
        found = [row for row in rows if row.get(key) == single.group(1)]
        return found[0] if found else odata_error(404, 9, "Экземпляр сущности не найден")
    found = matching(rows, r.query.get("$filter"))
    if r.path.endswith("/$count"):
        return 200, str(len(found) if total is None else total), {"Content-Type": "text/plain"}
    found = ordered(found, r.query.get("$orderby"))
    skip = int(r.query.get("$skip", 0))
    found = found[skip:skip + int(r.query["$top"])] if "$top" in r.query else found[skip:]
    names = r.query.get("$select", "*")
    if names != "*":
        found = [{name: row[name] for name in names.split(",") if name in row} for row in found]
    return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        global count
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path == "/mode":
            mode.update(query)
            return self.send(200, "", {})
        if self.headers.get("IBSession") == "finish":
            return self.send(200, "", {})
        path = unquote(parts.path.split(ROOT, 1)[-1]).lstrip("/")
        with lock:
            count += 1
            r = SimpleNamespace(n=count, path=path, query=query, url=self.path, headers=self.headers)
            with open(sys.argv[3], "a", encoding="utf-8") as log:
                log.write(json.dumps({"n": r.n, "path": path, "query": query}, ensure_ascii=False) + "\n")
        found = code["answer"](r)
        if found is None:
            self.close_connection = True
            return None
        status, body, headers = (*found, {})[:3] if isinstance(found, tuple) else (200, found, {})
        self.send(status, body, headers)

    def send(self, status: int, body, headers: dict) -> None:
        headers = dict(headers)
        if isinstance(body, list):
            body = {"odata.metadata": "", "value": body}
        if isinstance(body, dict):
            body = json.dumps(body, ensure_ascii=False)
            headers.setdefault("Content-Type", "application/json;charset=utf-8")
        if isinstance(body, str):
            body = body.encode()
        if not isinstance(body, bytes):
            return self.stream(status, body, headers)
        headers.setdefault("Content-Length", str(len(body)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def stream(self, status: int, pieces, headers: dict) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for piece in pieces:
                self.wfile.write(piece)
        except OSError:
            pass

    def log_message(self, *args) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


code = {"guid": guid, "serve": serve, "odata_error": odata_error, "html": html, "mode": mode, "matching": matching, "json": json,
        "re": re}
if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as source:
        exec(compile(source.read(), sys.argv[2], "exec"), code)
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
