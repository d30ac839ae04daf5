"""The HTTP side of the base: connections, Basic auth, 1C sessions, gzip, faults, the log.

A thread a connection; an answer is written with one send, without Nagle's delay.  The
log line of a request is there before its answer is, so a test that has the answer finds it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import socket
import struct
import threading
import time
import traceback
import zlib
from collections import deque
from typing import Any
from urllib.parse import unquote

import faults
from modes import Modes
from odata import Service
from request import Refusal, Reply, parse_options, wanted_form

ROOT = "/odata/standard.odata"
LIMIT = 1 << 20  # bytes of a request's head
GZIP_FROM = 1000
TOLD = ("content-type", "if-match", "1c_odata-dataloadmode")  # headers of a write that its line in the log has


class Log:
    """What was asked, newest last, and the counters."""

    NAMES = ("requests", "rows_returned", "rows_touched", "sessions_started", "sessions_finished", "bytes_sent",
             "connections", "errors", "busiest", "crashes")

    def __init__(self):
        self.lock = threading.Lock()
        self.lines: deque[dict[str, Any]] = deque(maxlen=50_000)
        self.number = 0
        self.at_work = 0
        self.counters = dict.fromkeys(self.NAMES, 0)

    def add(self, line: dict[str, Any]) -> int:
        """The number of the line."""
        with self.lock:
            self.number += 1
            self.lines.append({"n": self.number} | line)
            self.counters["requests"] += 1
            self.counters["rows_returned"] += line["rows"]
            self.counters["rows_touched"] += line["touched"]
            self.counters["bytes_sent"] += line["bytes"]
            self.counters["errors"] += line["status"] >= 400
            return self.number

    def note_sent(self, number: int, size: int) -> None:
        """So many bytes, with the head, are about to go out for a line: "sent"."""
        with self.lock:
            next(line for line in reversed(self.lines) if line["n"] == number)["sent"] = size

    def count(self, name: str, by: int = 1) -> None:
        with self.lock:
            self.counters[name] += by

    def works(self, by: int) -> None:
        with self.lock:
            self.at_work += by
            self.counters["busiest"] = max(self.counters["busiest"], self.at_work)

    def since(self, number: int) -> list[dict[str, Any]]:
        with self.lock:
            return [line for line in self.lines if line["n"] > number]

    def clear(self) -> None:
        with self.lock:
            self.lines.clear()

    def clear_counters(self) -> None:
        with self.lock:
            self.counters = dict.fromkeys(self.NAMES, 0)


class Sessions:
    """1C sessions kept by header: IBSession: start, the cookie, IBSession: finish."""

    def __init__(self, log: Log):
        self.log = log
        self.lock = threading.Lock()
        self.open: dict[str, threading.Lock] = {}

    def start(self, limit: int) -> str | None:
        with self.lock:
            if limit and len(self.open) >= limit:
                return None
            name = secrets.token_hex(16)
            self.open[name] = threading.Lock()
        self.log.count("sessions_started")
        return name

    def finish(self, name: str) -> None:
        with self.lock:
            if self.open.pop(name, None) is None:
                return
        self.log.count("sessions_finished")

    def drop(self, name: str | None = None) -> int:
        """Sessions time out: one, or all."""
        with self.lock:
            gone = [name] if name in self.open else ([] if name else list(self.open))
            for one in gone:
                del self.open[one]
        return len(gone)


class Server:
    def __init__(self, service: Service, user: str, password: str):
        self.service = service
        self.modes: Modes = service.modes
        self.log = Log()
        self.sessions = Sessions(self.log)
        self.faults = faults.Faults()
        self.login = f"{user}:{password}".encode()
        self.socket: socket.socket | None = None

    def listen(self, host: str, port: int) -> int:
        self.socket = socket.create_server((host, port), backlog=128, reuse_port=False)
        return self.socket.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.log.count("connections")
            threading.Thread(target=self.connection(self, connection).run, daemon=True).start()

    def authorized(self, headers: dict[str, str]) -> bool:
        kind, _, text = headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            return hmac.compare_digest(base64.b64decode(text.strip(), validate=True), self.login)
        except (binascii.Error, ValueError):
            return False


class Connection:
    """One connection; Server.connection is what a server serves by."""

    def __init__(self, server: Server, connection: socket.socket):
        self.server = server
        self.socket = connection
        self.number = server.log.counters["connections"]
        self.body = b""  # of the request at hand
        self.line: int | None = None  # its number in the log, once it has one

    def run(self) -> None:
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.socket, self.socket.makefile("rb", 65536) as stream:
                while self._request(stream):
                    pass
        except (OSError, ValueError):
            pass  # the client went away

    def _request(self, stream) -> bool:
        """One request; False when the connection is to be closed."""
        self.line = None
        line = stream.readline(LIMIT)
        while line in (b"\r\n", b"\n"):
            line = stream.readline(LIMIT)
        if not line:
            return False
        parts = line.decode("latin-1").rstrip("\r\n").split(" ")
        headers: dict[str, str] = {}
        size = 0
        while True:
            header = stream.readline(LIMIT)
            size += len(header)
            if header in (b"\r\n", b"\n", b""):
                break
            if size > LIMIT:
                return False
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].isascii():
            self._send(page(400, "Bad Request - Invalid URL"), headers, None, False)
            return False
        if "transfer-encoding" in headers:
            self._send(page(411, "Length Required"), headers, None, False)
            return False
        if headers.get("expect", "").lower() == "100-continue":
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = headers.get("content-length", "0")
        self.body = stream.read(int(length)) if length.isdigit() else b""
        if length.isdigit() and len(self.body) < int(length):
            return False  # cut off while it was being sent
        keep = headers.get("connection", "").lower() != "close" and parts[2] != "HTTP/1.0"
        return self._answer(parts[0], parts[1], headers, keep) and keep

    def _answer(self, method: str, target: str, headers: dict[str, str], keep: bool) -> bool:
        server, started = self.server, time.monotonic()
        raw_path, _, query = target.partition("?")
        line = {"method": method, "url": target, "session": None, "auth": True, "fault": None,
                "connection": self.number}
        plain = unquote(raw_path)
        below = plain.partition(ROOT)[2].removeprefix("/")
        line["path"], line["query"] = below, unquote(query)
        if method not in ("GET", "HEAD"):
            line["body"] = self.body.decode("utf-8", "replace")
            line["headers"] = {name: headers[name] for name in TOLD if name in headers}
        rule = server.faults.find(f"{below}?{unquote(query)}", method)
        line["fault"] = rule.number if rule else None
        # until the answer is ready: whoever has read it may ask again before this thread knows that it is sent
        server.log.works(1)
        try:
            reply = self._reply(method, raw_path, query, headers, line, rule)
            if rule:
                if rule["delay_ms"]:
                    time.sleep(rule["delay_ms"] / 1000)
                reply = faults.changed(rule, reply)
        finally:
            server.log.works(-1)
        line |= {"status": reply.status, "rows": reply.rows, "touched": reply.touched, "bytes": len(reply.body),
                 "ms": round((time.monotonic() - started) * 1000, 1)}
        number = self.line = server.log.add(line)
        for one in reply.stored:
            one["request"] = number
        if rule and rule["commit_after_ms"]:
            self._commit_later(rule, number, (method, (raw_path, query, plain.partition(ROOT)[2]), headers, self.body))
        return self._send(reply, headers, rule, keep, method == "HEAD")

    def _commit_later(self, rule: faults.Rule, number: int, asked: tuple) -> None:
        """1C is still at work when the client has been told something else, or nothing."""
        def work() -> None:
            for one in self._from_base(*asked).stored:
                one["request"] = number
        if self.server.authorized(asked[2]):
            timer = threading.Timer(rule["commit_after_ms"] / 1000, work)
            timer.daemon = True
            timer.start()

    def _reply(self, method: str, raw_path: str, query: str, headers: dict[str, str], line: dict[str, Any],
               rule: faults.Rule | None) -> Reply:
        if rule and rule.replaces:
            line["auth"] = self.server.authorized(headers)
            own = faults.own_reply(rule, safe_form(query, headers))
            if rule["commit"]:
                own.stored = self._asked(method, raw_path, query, headers, line, rule).stored
            return own
        return self._asked(method, raw_path, query, headers, line, rule)

    def _asked(self, method: str, raw_path: str, query: str, headers: dict[str, str], line: dict[str, Any],
               rule: faults.Rule | None) -> Reply:
        """What the web server and the base behind it answer."""
        modes = self.server.modes
        before, root, below = unquote(raw_path).partition(ROOT)
        if modes.max_url and len(raw_path) + len(query) > modes.max_url:
            return page(414, "Request-URI Too Long")
        if modes.max_segment and any(len(unquote(part)) > modes.max_segment for part in raw_path.split("/")):
            return page(400, "Bad Request - Invalid URL")
        if not root or (below and not below.startswith("/")):
            return page(404, "404 Not Found")
        if not self.server.authorized(headers):
            line["auth"] = False
            return Reply(401, b"", "text/plain", headers={"WWW-Authenticate": 'Basic realm="1C:Enterprise 8"'})
        return self._in_session(method, (raw_path, query, below), headers, line, rule)

    def _in_session(self, method: str, address: tuple[str, str, str], headers: dict[str, str], line: dict[str, Any],
                    rule: faults.Rule | None) -> Reply:
        server, modes = self.server, self.server.modes
        wish = "" if modes.no_session else headers.get("ibsession", "").lower()
        name = None if modes.no_session else cookie(headers, "ibsession")
        if rule and rule["drop_session"] and name:
            server.sessions.drop(name)
        started = None
        if name is not None:
            own = server.sessions.open.get(name)
            line["session"] = name
            if own is None:
                return page(modes.session_stale, "Сеанс не найден")
        elif wish == "start":
            name = started = server.sessions.start(modes.session_limit)
            if name is None:
                return page(406, "Not Acceptable")
            own = server.sessions.open[name]
            line["session"] = name
        else:
            own = threading.Lock()
        with own:  # a session serves one request at a time
            if modes.session_cost and (name is None or started):
                time.sleep(modes.session_cost / 1000)
            reply = self._from_base(method, address, headers)
        if started:
            reply.headers["Set-Cookie"] = f"ibsession={name}; path=/; HttpOnly"
        if wish == "finish" and name:
            server.sessions.finish(name)
        return reply

    def _from_base(self, method: str, address: tuple[str, str, str], headers: dict[str, str],
                   body: bytes | None = None) -> Reply:
        """body: not that of the request at hand."""
        raw_path, query, below = address
        # The raw path below the root: as many segments as the decoded one has.
        raw_below = raw_path
        for _ in range(len(unquote(raw_path).removesuffix(below).strip("/").split("/")) + 1):
            raw_below = raw_below.partition("/")[2]
        root = f"http://{headers.get('host', 'localhost')}{unquote(raw_path).removesuffix(below)}"
        try:
            reply = self.server.service.answer(method, "/" + raw_below if below else "", query, headers, root,
                                                self.body if body is None else body)
        except Exception:  # a fault of this program, which a test must be able to see
            traceback.print_exc()
            self.server.log.count("crashes")
            return page(500, "500 Internal Server Error")
        if reply.rows and self.server.modes.page_delay:
            time.sleep(self.server.modes.page_delay / 1000)
        return reply

    # sending

    def _send(self, reply: Reply, headers: dict[str, str], rule: faults.Rule | None, keep: bool,
              head_only: bool = False) -> bool:
        if rule and (rule["close"] or rule["hang"] or rule["raw_base64"]):
            return self._send_nothing(rule)
        body, out = reply.body, dict(reply.headers)
        gzip = "gzip" in headers.get("accept-encoding", "") and not self.server.modes.no_gzip
        if gzip and len(body) >= GZIP_FROM and "Content-Encoding" not in out:
            body = squeezed(body)
            out["Content-Encoding"] = "gzip"
        chunked = rule["chunked"] if rule else None
        if chunked:
            body = in_chunks(body, chunked == "broken")
            out["Transfer-Encoding"] = "chunked"
        else:
            length = rule["content_length"] if rule and rule["content_length"] is not None else len(body)
            out["Content-Length"] = str(length)
        keep = keep and not (rule and (rule["cut_at"] is not None or rule["reset"] or rule["content_length"] is not None))
        out["Connection"] = "keep-alive" if keep else "close"
        head = (f"HTTP/1.1 {reply.status} {faults.REASONS.get(reply.status, 'Unknown')}\r\n"
                f"Content-Type: {reply.content_type}\r\nDataServiceVersion: 3.0\r\n"
                + "".join(f"{name}: {value}\r\n" for name, value in out.items()) + "\r\n").encode()
        if rule and rule["cut_at"] is not None:
            body = body[:rule["cut_at"]]
        if head_only:
            body = b""
        if self.line is not None:
            self.server.log.note_sent(self.line, len(head) + len(body))
        if rule and rule["drip_ms"]:
            self.socket.sendall(head)
            for at in range(len(body)):
                self.socket.sendall(body[at:at + 1])
                time.sleep(rule["drip_ms"] / 1000)
        else:
            self.socket.sendall(head + body)
        if rule and rule["reset"]:
            self._reset()
        return keep and not (rule and rule["close_after"])

    def _send_nothing(self, rule: faults.Rule) -> bool:
        if rule["raw_base64"]:
            self.socket.sendall(base64.b64decode(rule["raw_base64"]))
        if rule["hang"]:
            while self.socket.recv(65536):
                pass
        if rule["reset"]:
            self._reset()
        return False

    def _reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Server.connection = Connection


def page(status: int, title: str) -> Reply:
    """An answer of the web server, not of 1C."""
    return Reply(status, faults.HTML.format(title=title).encode(), "text/html;charset=utf-8")


def cookie(headers: dict[str, str], name: str) -> str | None:
    for part in headers.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None


def safe_form(query: str, headers: dict[str, str]) -> str:
    try:
        return wanted_form(parse_options(query), headers)
    except Refusal:
        return "nometadata"


def squeezed(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def in_chunks(body: bytes, broken: bool) -> bytes:
    step = max(1, len(body) // 5)
    out = [f"{len(part):x}\r\n".encode() + part + b"\r\n"
           for part in (body[at:at + step] for at in range(0, len(body), step))]
    if broken:
        out[len(out) // 2] = b"zz\r\nnot a chunk\r\n"
    return b"".join(out) + b"0\r\n\r\n"
