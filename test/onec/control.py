"""The control port: what a test asks about, and does to, the base."""

from __future__ import annotations

import dataclasses
import json
import os
import socketserver
import threading
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structure
from model import EMPTY_DATE, EMPTY_GUID, Base
from server import Server


class Control:
    """One method for each path; each takes the query and the body and returns something for JSON."""

    def __init__(self, server: Server):
        self.server = server

    def get_ping(self, query: dict, body: Any) -> Any:
        return {"ok": True}

    def get_log(self, query: dict, body: Any) -> Any:
        return self.server.log.since(int(query.get("since", 0)))

    def post_log_clear(self, query: dict, body: Any) -> Any:
        self.server.log.clear()
        return {"ok": True}

    def get_counters(self, query: dict, body: Any) -> Any:
        return self.server.log.counters | {"sessions_open": len(self.server.sessions.open)}

    def post_counters_clear(self, query: dict, body: Any) -> Any:
        self.server.log.clear_counters()
        return {"ok": True}

    def get_truth(self, query: dict, body: Any) -> Any:
        truth = self.server.service.base.truth
        if truth is None:
            raise ValueError("this base keeps no truth")
        with self.server.service.lock:
            return truth.as_dict()

    def get_rows(self, query: dict, body: Any) -> Any:
        base = self.server.service.base
        with self.server.service.lock:
            return rows(base, query["sets"].split(",") if "sets" in query else list(base.sets))

    def post_edit(self, query: dict, body: Any) -> Any:
        edits = self.server.service.base.edits
        if edits is None:
            raise ValueError("this base cannot be edited")
        with self.server.service.lock:
            try:
                return edits.apply(body)
            finally:
                self.server.service.forget()

    def post_structure(self, query: dict, body: Any) -> Any:
        with self.server.service.lock:
            try:
                return structure.apply(self.server.service.base, body)
            finally:
                self.server.service.forget()

    def get_stored(self, query: dict, body: Any) -> Any:
        return self.server.service.writes.stored.since(int(query.get("since", 0)))

    def post_stored_clear(self, query: dict, body: Any) -> Any:
        self.server.service.writes.stored.clear()
        return {"ok": True}

    def get_object(self, query: dict, body: Any) -> Any:
        with self.server.service.lock:
            return self.server.service.writes.object(query["set"], query["key"])

    def get_plan(self, query: dict, body: Any) -> Any:
        found = self.server.service.writes.plan
        with self.server.service.lock:
            found.look()
            return {node["Code"]: {"key": node["Ref_Key"], "sent": node["SentNo"], "received": node["ReceivedNo"], "registered": [
                [name, key, number] for (name, key), number in found.registered.get(node["Ref_Key"], {}).items()]} for node in found.nodes}

    def get_faults(self, query: dict, body: Any) -> Any:
        return [rule.shown() for rule in self.server.faults.rules]

    def post_faults(self, query: dict, body: Any) -> Any:
        self.server.faults.add(body if isinstance(body, list) else [body])
        return self.get_faults(query, None)

    def post_faults_clear(self, query: dict, body: Any) -> Any:
        self.server.faults.clear()
        return {"ok": True}

    def get_modes(self, query: dict, body: Any) -> Any:
        return dataclasses.asdict(self.server.modes)

    def post_modes(self, query: dict, body: Any) -> Any:
        known = {field.name for field in dataclasses.fields(self.server.modes)}
        unknown = set(body) - known
        if unknown:
            raise ValueError(f"no such mode: {', '.join(sorted(unknown))}")
        for name, value in body.items():
            setattr(self.server.modes, name, value)
        return self.get_modes(query, None)

    def post_modes_clear(self, query: dict, body: Any) -> Any:
        fresh = type(self.server.modes)()
        return self.post_modes(query, dataclasses.asdict(fresh))

    def post_sessions_drop(self, query: dict, body: Any) -> Any:
        return {"dropped": self.server.sessions.drop()}

    def post_shutdown(self, query: dict, body: Any) -> Any:
        # The answer goes out first.
        threading.Timer(0.1, os._exit, (0,)).start()
        return {"ok": True}


def rows(base: Base, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of sets as plain values, for a test to compare its store with; what is empty in 1C is null."""
    return {name: [{field: plain(value) for field, value in row.items() if not isinstance(value, list)}
                   for row in base.record_set(name).rows] for name in names}


def plain(value: Any) -> Any:
    if value in (EMPTY_GUID, EMPTY_DATE):
        return None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value) if isinstance(value, Decimal) else value


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def handler(control: Control) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self, method: str) -> None:
            address = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(address.query).items()}
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            action = getattr(control, f"{method}_{address.path.strip('/').replace('/', '_')}", None)
            status, answer = 200, None
            if action is None:
                status, answer = 404, {"error": f"no {method.upper()} {address.path}"}
            else:
                try:
                    answer = action(query, json.loads(text) if text.strip() else {})
                except Exception as error:  # whatever it is, the one who asked must read it
                    status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
            data = dumps(answer).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self._serve("get")

        def do_POST(self) -> None:
            self._serve("post")

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class ControlServer(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # its parent would ask the DNS for a name


def listen(server: Server, host: str, port: int) -> ControlServer:
    return ControlServer((host, port), handler(Control(server)))
