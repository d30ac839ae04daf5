#!/usr/bin/env python3
"""Tests of the demo 1C's exchange plan, over its own sockets, on a small shop.  Prints TAP."""

from __future__ import annotations

import json
import re
import sys

sys.dont_write_bytecode = True

import plan
import shop
from selftest import NUMBER, Stand, attempt, same
from test_writes import Shop, Site

GOODS, CUSTOMERS = "Catalog_Номенклатура", "Catalog_Контрагенты"


class Planned(Shop):
    def __init__(self):
        base = shop.build(customers=60)
        base.sets[plan.NAME] = plan.node_set()
        Stand.__init__(self, base)
        self.site = Site(self.port)
        self.root = f"http://127.0.0.1:{self.port}/base/odata/standard.odata"

    def node(self, code: str = "000002") -> dict:
        return self.control("GET", "/plan")[code]

    def ask(self, action: str, number: object, node: str | None = None, quote: str = "'") -> tuple[int, str]:
        key = node or self.node()["key"]
        point = f"DataExchangePoint='{self.root}/{plan.NAME}(guid{quote}{key}{quote})'&MessageNo={number}"
        status, answer = self.site.write("POST", f"{action}?{point}", form="")[:2]
        return status, answer.decode() if isinstance(answer, bytes) else json.dumps(answer)

    def told(self, number: int) -> list[str]:
        """Of each object the last four letters of its key; gone ones in capitals."""
        text = self.ask("SelectChanges", number)[1]
        return sorted(found[-4:] for found in re.findall(r"<d:Ref_Key>([-0-9a-f]{36})(?=</d:Ref_Key>\n<d:DataVersion>)", text)) \
            + sorted(found[-4:].upper() for found in re.findall(r"deleted-entry ref=\"[^\"]*guid'([-0-9a-f]{36})", text))

    def rename(self, at: int) -> str:
        key = self.row(GOODS, at)["Ref_Key"]
        self.made = getattr(self, "made", 0) + 1
        self.control("POST", "/edit", {"op": "rename_product", "product": key, "name": f"Имя {self.made}"})
        return key[-4:]


def test_messages(stand: Planned) -> None:
    same(stand.told(1), [], "nothing has changed")
    first = stand.rename(0)
    same(stand.told(1), [first], "what has changed is told")
    second = stand.rename(1)
    same(stand.told(1), sorted([first, second]), "and told again by the same number, with what has come since")
    same(stand.told(2), [], "… not by another")
    stand.rename(0)
    same(stand.ask("NotifyChangesReceived", 1)[0], 200, "a confirmation")
    same((stand.node()["received"], stand.told(2)), (1, [first]), "it forgets what has the number, but not what has changed since")
    stand.ask("NotifyChangesReceived", 2)
    key = stand.row(GOODS, 2)["Ref_Key"]
    stand.site.write("DELETE", f"{GOODS}(guid'{key}')")
    same(stand.told(3), [key[-4:].upper()], "one that is gone")
    stand.ask("NotifyChangesReceived", 3)
    owner = stand.row(CUSTOMERS)["Ref_Key"]
    stand.site.patch(CUSTOMERS, owner, {"КонтактнаяИнформация": []})
    same(stand.told(4), [owner[-4:]], "a tabular part is told of with its owner")
    same(len(stand.node("000003")["registered"]), 4, "each node has its own")
    stand.modes(plan_misses=".")
    stand.rename(3)
    same(stand.told(5), [], "what nobody registers is not told")


def test_refusals(stand: Planned) -> None:
    same(stand.ask("SelectChanges", "x")[0], 400, "no number")
    same(stand.ask("SelectChanges", 9, stand.node("000001")["key"])[0], 404, "the base itself is no node")
    same(stand.ask("SelectChanges", 9, quote="''")[0], 400, "quotes that are doubled")
    stand.modes(plan_quotes="doubled")
    same((stand.ask("SelectChanges", 9)[0], stand.ask("SelectChanges", 9, quote="''")[0]), (400, 200), "… or the reverse")
    same(stand.server.log.counters["crashes"], 0, "the program did not fail")


def test_json(stand: Planned) -> None:
    stand.modes(plan_form="json")
    key = stand.rename(4)
    found = json.loads(stand.ask("SelectChanges", 20)[1])["value"]
    same([(one.get("odata.type"), one["Ref_Key"][-4:]) for one in found if "Ref_Key" in one and one["Ref_Key"][-4:] == key],
         [(f"StandardODATA.{GOODS}", key)], "JSON, by type")


def main() -> int:
    stand = Planned()
    for test in (test_messages, test_refusals, test_json):
        stand.modes()
        attempt(test, stand)
    print(f"1..{NUMBER[0]}")
    return 1 if NUMBER[1] else 0


if __name__ == "__main__":
    sys.exit(main())
