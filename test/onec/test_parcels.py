#!/usr/bin/env python3
"""Tests of what the demo shop publishes for a site only: payments, shipments, pictures.  Prints TAP.

What is planted is found again by plain loops over the rows, and the rest of the shop is what it is without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections import Counter, defaultdict
from decimal import Decimal

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import edmx
import parcels
import pictures
import shop
from model import EMPTY_GUID, Base, Row
from modes import Modes
from odata import Service
from test_shop import digest, ok, same
import test_shop

HEADS = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png", b"GIF89a": "gif", b"RIFF": "webp"}


def rows(base: Base, name: str) -> list[Row]:
    return base.sets[name].rows


def kind(data: bytes | None) -> str:
    return next((name for head, name in HEADS.items() if (data or b"").startswith(head)), "")


def undisturbed(base: Base) -> None:
    """What is planted here leaves the rest of the shop as it is."""
    before = {name: json.dumps(found.rows, default=str, sort_keys=True) for name, found in base.sets.items()}
    parcels.plant(base, 3, base.edits.orders)
    pictures.plant(base, 3)
    same(set(base.sets) - set(before), set(parcels.SETS) | set(pictures.SETS) | {name.removesuffix("_RecordType") for name in parcels.SETS},
         "what is published for a site, and no more")
    for row in rows(base, pictures.PRODUCTS):
        row.pop("ФайлКартинки_Key")
    same([name for name, text in before.items() if text != json.dumps(rows(base, name), default=str, sort_keys=True)], [],
         "every other set is as it is without a site")


def what_became_of_orders(base: Base) -> None:
    orders = {row["Ref_Key"]: row for row in rows(base, "Document_ЗаказПокупателя")}
    paid: dict[str, list[Row]] = defaultdict(list)
    for row in rows(base, parcels.PAYMENTS):
        if row["Recorder_Type"] == parcels.PAID_BY:
            paid[row["СчетНаОплату"]].append(row)
    sums = {key: sum((row["СуммаАванса"] + row["СуммаОплаты"] for row in found), Decimal(0)) for key, found in paid.items()}
    planted = {"in two parts": sum(len(found) == 2 for found in paid.values()),
               "too much": sum(value > orders[key]["СуммаДокумента"] for key, value in sums.items()),
               "in part": sum(value < orders[key]["СуммаДокумента"] for key, value in sums.items()),
               "switched off": sum(not row["Active"] for found in paid.values() for row in found),
               "ahead": sum(row["СуммаАванса"] > 0 for found in paid.values() for row in found),
               "behind": sum(row["СуммаОплаты"] > 0 for found in paid.values() for row in found)}
    ok(all(planted.values()), "planted: orders paid " + ", ".join(planted), planted)
    same(planted["switched off"], 1, "one payment is switched off")
    left: Counter = Counter()
    for row in rows(base, parcels.SHIPMENTS):
        if row["RecordType"] == "Expense":
            left[row["ЗаказПокупателя_Key"]] += row["Количество"]
    asked: Counter = Counter()
    for line in rows(base, "Document_ЗаказПокупателя_Запасы"):
        asked[line["Ref_Key"]] += line["Количество"]
    ok(any(left[key] == asked[key] for key in left) and any(left[key] < asked[key] for key in left), "planted: orders shipped, and shipped in part")
    told = base.truth.as_dict()["parcels"]
    same(told["shipped"], {key: {"quantity": f"{value:.0f}", "at": told["shipped"][key]["at"]} for key, value in sorted(left.items())},
         "truth: what has left")
    off = {row["СчетНаОплату"]: row["СуммаАванса"] + row["СуммаОплаты"] for found in paid.values() for row in found if not row["Active"]}
    same(told["paid"], {key: f"{value - off.get(key, 0):.2f}" for key, value in sorted(sums.items()) if value - off.get(key, 0)}, "truth: what is paid")
    same(sum(row["Recorder_Type"] not in (parcels.PAID_BY,) for row in rows(base, parcels.PAYMENTS)), sum(row["Posted"] for row in orders.values()),
         "each posted order says what is to be paid")


def pictures_of(base: Base) -> None:
    found: Counter = Counter()
    for row in rows(base, pictures.FILES):
        data, said = pictures.bytes_of(base, row), row["Размер"]
        way, large = pictures.way_of(base, row), len(data or b"") >= pictures.LARGE
        what = ("elsewhere" if way == "elsewhere" else "without bytes" if data is None else "marked" if row["DeletionMark"]
                else "large" if large and said == len(data) else "larger than said" if large else "svg" if b"<svg" in data
                else "html" if b"<html" in data else "pdf" if data.startswith(b"%PDF") else
                "cut" if kind(data) == "jpg" and not data.endswith(b"\xff\xd9") else way)
        found[what] += 1
        if what in ("storage", "own", "link") and kind(data) != row["Расширение"]:
            ok(False, f"{row['Description']} is a {row['Расширение']}")
    same(dict(found), pictures.PLANTED, "planted: " + ", ".join(f"{what} {count}" for what, count in sorted(found.items())))
    main = [row for row in rows(base, pictures.PRODUCTS) if row["ФайлКартинки_Key"] not in (None, EMPTY_GUID)]
    ok(len(main) > 10 and len(main) < len(rows(base, pictures.FILES)), "some products name a main picture, others have files only")
    ok(any(count > 1 for count in Counter(row["ВладелецФайла_Key"] for row in rows(base, pictures.FILES)).values()), "a product has several")


def served(base: Base) -> None:
    """The bytes as the interface gives them."""
    service = Service(base, Modes())

    def get(path: str, query: str = "") -> tuple[int, bytes]:
        reply = service.answer("GET", path, query, {}, "http://host/base/odata/standard.odata")
        return reply.status, reply.body

    by_way = {pictures.way_of(base, row): row for row in rows(base, pictures.FILES)
              if pictures.bytes_of(base, row) or pictures.way_of(base, row) == "elsewhere"}
    ok(edmx.document(base.sets, base.functions, base.sets).count(b'Name="\xd0\xa4\xd0\xb0\xd0\xb9\xd0\xbb\xd0\xa5\xd1\x80'), "metadata tell of the attribute")
    for way, row in sorted(by_way.items()):
        address = f"{pictures.FILES}(guid'{row['Ref_Key']}')"
        status, entry = get(address)
        link = re.search(r'mediaresource/ФайлХранилище" href="([^"]*)"', entry.decode())
        same((status, link and link[1]), (200, pictures.ELSEWHERE if way == "elsewhere" else f"{address}/ФайлХранилище"), f"{way}: Atom shows a link")
        shown = json.loads(get(address, "$format=json")[1])["ФайлХранилище_Base64Data"]
        same(bool(shown), way == "own", f"{way}: JSON has the bytes of those that lie in the file only")
        if way in ("own", "link"):
            same(hashlib.sha256(get(address + "/ФайлХранилище")[1]).hexdigest(), hashlib.sha256(pictures.bytes_of(base, row)).hexdigest(), f"{way}: the link gives them")


def edits(base: Base) -> None:
    def edit(**given: object) -> dict:
        return base.edits.apply(given)

    order = next(row for row in rows(base, "Document_ЗаказПокупателя") if row["СуммаДокумента"])
    before = Decimal(base.truth.as_dict()["parcels"]["paid"].get(order["Ref_Key"], 0))
    edit(op="order_pay", order=order["Ref_Key"], amount="12.50")
    same(Decimal(base.truth.as_dict()["parcels"]["paid"][order["Ref_Key"]]) - before, Decimal("12.50"), "order_pay")
    edit(op="order_refund", order=order["Ref_Key"])
    same(Decimal(base.truth.as_dict()["parcels"]["paid"].get(order["Ref_Key"], 0)), before, "order_refund")
    made = edit(op="picture_new", way="storage", kind="png", size=700)
    first = base.truth.as_dict()["pictures"]["files"][made["file"]]
    edit(op="picture_replace", file=made["file"], way="own")
    second = base.truth.as_dict()["pictures"]["files"][made["file"]]
    ok(first["sha256"] != second["sha256"] and second["way"] == "own", "picture_replace")
    same(base.truth.as_dict()["pictures"]["main"][made["product"]], made["file"], "picture_new is the main one")
    edit(op="picture_remove", file=made["file"])
    told = base.truth.as_dict()["pictures"]
    ok(made["file"] not in told["files"] and made["product"] not in told["main"], "picture_remove")
    done = edit(op="random_site", n=30, seed=3)["done"]
    ok(len({one["op"] for one in done}) == 6 and len(done) == 60, "random edits of all kinds", Counter(one["op"] for one in done))
    json.dumps(done)


def main() -> None:
    base = shop.build(seed=3, customers=300, site=True)
    what_became_of_orders(base)
    pictures_of(base)
    served(base)
    edits(base)
    again = shop.build(seed=3, customers=300, site=True)
    again.edits.apply({"op": "random_site", "n": 20, "seed": 5})
    third = shop.build(seed=3, customers=300, site=True)
    third.edits.apply({"op": "random_site", "n": 20, "seed": 5})
    same(digest(again), digest(third), "random edits are the same by their seed")
    undisturbed(shop.build(seed=3, customers=300))
    print(f"1..{test_shop.number}")
    sys.exit(1 if test_shop.failures else 0)


if __name__ == "__main__":
    main()
