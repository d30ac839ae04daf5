"""The demo 1C: python3 test/onec --port N --control-port M; see README.md beside this file."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
import time

import control
from model import Base
from modes import Modes
from odata import Service
from server import Server


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 test/onec", description="A demo 1C base over OData.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: choose one")
    parser.add_argument("--control-port", type=int, default=0, help="0: choose one")
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timezone", default="Europe/Moscow")
    parser.add_argument("--no-dirt", action="store_true", help="a shop without planted dirt")
    parser.add_argument("--unthinned", action="store_true", help="no seasons and no returns: the bare purchase process")
    parser.add_argument("--site", action="store_true", help="publish what only a site asks for, too: pictures, payments …")
    parser.add_argument("--plan", action="store_true", help="publish an exchange plan with nodes, and tell its changes")
    parser.add_argument("--tiny", action="store_true", help="serve the small base of tiny.py instead of the shop")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="with --tiny: so many goods more")
    parser.add_argument("--lines", type=int, default=0, metavar="N", help="with --tiny: so many sales more")
    parser.add_argument("--shape", choices=("even", "burst", "sparse", "hours"), default="even", help="how those are spread over time")
    parser.add_argument("--purchase-log", metavar="FILE", help="serve a purchase log instead of the shop")
    parser.add_argument("--user", default="demo")
    parser.add_argument("--password", default="demo")
    parser.add_argument("--autoorder", action="store_true", help="$orderby over registers answers 500")
    parser.add_argument("--refuse-filter", action="store_true", help="$filter answers 500")
    parser.add_argument("--page-delay", type=int, default=0, metavar="MS")
    parser.add_argument("--pid-file", metavar="FILE")
    return parser.parse_args()


def build(options: argparse.Namespace) -> Base:
    if options.purchase_log:
        import purchase_log
        return purchase_log.build(options.purchase_log)
    if options.tiny:
        import tiny
        return tiny.small_base(options.rows, options.lines, options.shape)
    import shop
    base = shop.build(seed=options.seed, customers=options.customers, timezone=options.timezone,
                      dirt=not options.no_dirt, unthinned=options.unthinned, site=options.site)
    if options.plan:
        import plan
        base.sets[plan.NAME] = plan.node_set()
    return base


def stop(*_: object) -> None:
    # Threads may hold any lock; there is nothing to save.
    os._exit(0)


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)  # ignored in a shell's background job unless set
    if options.pid_file:
        with open(options.pid_file, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    started = time.monotonic()
    print("building the base", file=sys.stderr, flush=True)
    base = build(options)
    rows = sum(len(found.rows) for found in base.sets.values())
    print(f"{len(base.sets)} sets, {rows} rows in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    gc.collect()
    gc.freeze()  # the rows never become garbage
    modes = Modes(autoorder=options.autoorder, refuse_filter=options.refuse_filter, page_delay=options.page_delay)
    server = Server(Service(base, modes, options.seed), options.user, options.password)
    port = server.listen(options.host, options.port)
    controls = control.listen(server, options.host, options.control_port)
    threading.Thread(target=controls.serve_forever, daemon=True).start()
    print(f"ready http://{options.host}:{port}/base/odata/standard.odata control "
          f"http://{options.host}:{controls.server_address[1]}", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
