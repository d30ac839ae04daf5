"""The demo 1C behind a liar: python3 test/liar --port N --control-port M; see README.md beside this file."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
import time
from typing import Any
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "onec")]

import control
import corner
from faults import Rule
from lies import LIES, UNTOLD
from liar import Liar
from modes import Modes
from odata import Service
from request import Refusal, Reply, parse_options
from server import Connection, Server


class LyingConnection(Connection):
    """The base is asked first, so that sessions and rights are as they are; then the liar may put something else in."""

    rule: Rule | None = None

    def _in_session(self, method: str, address: tuple[str, str, str], headers: dict[str, str], line: dict[str, Any],
                    rule: Rule | None) -> Reply:
        reply = super()._in_session(method, address, headers, line, rule)
        if method != "GET":
            return reply  # to ask again would be to write again
        raw_path, query, below = address
        try:
            options = parse_options(query)
        except Refusal:
            return reply

        def ask(changed: dict[str, str], name: str | None = None) -> Reply:
            path, plain = (raw_path, below) if name is None else (self._path_of(raw_path, name), "/" + name)
            text = "&".join(f"{option}={quote(value)}" for option, value in changed.items())
            return self._from_base(method, (path, text, plain), headers)

        where = f"http://{headers.get('host', 'localhost')}{raw_path}?{query}"
        told = self.server.liar.instead((below.removeprefix("/"), options, where), reply, ask)
        if told is None:
            return reply
        told.reply.headers |= {name: value for name, value in reply.headers.items() if name == "Set-Cookie"}
        line["lie"] = told.name
        self.rule = told.rule
        if told.delay:
            time.sleep(told.delay)
        return told.reply

    @staticmethod
    def _path_of(raw_path: str, name: str) -> str:
        """The address of a set of the same base."""
        root = "/odata/standard.odata"
        return raw_path[:raw_path.index(root) + len(root)] + "/" + quote(name)

    def _send(self, reply: Reply, headers: dict[str, str], rule: Rule | None, keep: bool, head_only: bool = False) -> bool:
        rule, self.rule = self.rule or rule, None
        return super()._send(reply, headers, rule, keep, head_only)


class LyingServer(Server):
    connection = LyingConnection

    def __init__(self, service: Service, user: str, password: str):
        super().__init__(service, user, password)
        self.liar = Liar(service.base)


def kinds() -> dict[str, dict[str, Any]]:
    return {one.name: {"about": one.about, "to": sorted(one.to), "seen": one.seen, "hides": one.hides, "steady": one.steady,
                       "guard": one.guard} for one in LIES.values()}


class LyingControl(control.Control):
    server: LyingServer

    def get_kinds(self, query: dict, body: Any) -> Any:
        return kinds()

    def post_arm(self, query: dict, body: Any) -> Any:
        self.server.liar.prepare(body)
        return {"ok": True}

    def post_honest(self, query: dict, body: Any) -> Any:
        self.server.liar.honest()
        return {"told": self.server.liar.told}

    def get_lies(self, query: dict, body: Any) -> Any:
        since = int(query.get("since", 0))
        return [one for one in self.server.liar.lies if one["n"] > since]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 test/liar", description="A demo 1C base that lies when told to.")
    parser.add_argument("--port", type=int, default=8080, help="0: choose one")
    parser.add_argument("--control-port", type=int, default=0, help="0: choose one")
    parser.add_argument("--customers", type=int, default=24)
    parser.add_argument("--days", type=int, default=45, help="how far back its receipts go")
    parser.add_argument("--receipts", type=int, default=60)
    parser.add_argument("--user", default="demo")
    parser.add_argument("--password", default="demo")
    parser.add_argument("--seed", type=int, default=1, help="of the honest base: the order of what is equal")
    parser.add_argument("--kinds", action="store_true", help="print the lies as JSON, and end")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.kinds:
        print(json.dumps({"lies": kinds(), "untold": UNTOLD}, ensure_ascii=False))
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    base = corner.build(options.customers, options.days, options.receipts)
    gc.collect()
    gc.freeze()
    server = LyingServer(Service(base, Modes(), options.seed), options.user, options.password)
    port = server.listen("127.0.0.1", options.port)
    controls = control.ControlServer(("127.0.0.1", options.control_port), control.handler(LyingControl(server)))
    threading.Thread(target=controls.serve_forever, daemon=True).start()
    print(f"ready http://127.0.0.1:{port}/base/odata/standard.odata control http://127.0.0.1:{controls.server_address[1]}", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
