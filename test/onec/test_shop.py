#!/usr/bin/env python3
"""Tests of the demo shop's data: schema, counts, planted dirt, process, truth, edits, purchase logs.  Prints TAP.

What is planted is found again here by plain loops over the rows, not by the code that planted it.
Published purchase data are read from the folder named in ONEC_SHARED, or ../shared; skipped where absent.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import edmx
import purchase_log
import shop
from model import EMPTY_GUID, Base, Row

SHARED = os.environ.get("ONEC_SHARED") or os.path.join(HERE, "..", "..", "..", "shared")
SALES = "AccumulationRegister_Продажи_RecordType"
CARD_SALES = "AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType"
POINTS = "AccumulationRegister_БонусныеБаллы_RecordType"
LOTS = "AccumulationRegister_НачисленияБонусныхБаллов_RecordType"
JOURNAL = "DocumentJournal_РозничныеПродажи"
CHECK, BACK = "StandardODATA.Document_ЧекККМ", "StandardODATA.Document_ЧекККМВозврат"
REPORT = "StandardODATA.Document_ОтчетОРозничныхПродажах"
OPENING = "StandardODATA.Document_ВводНачальныхОстатков"
PYTHON = {"Edm.String": str, "Edm.Guid": str, "Edm.DateTime": datetime, "Edm.Double": Decimal, "Edm.Int16": int,
          "Edm.Int32": int, "Edm.Int64": int, "Edm.Boolean": bool, "Edm.Binary": bytes, "Edm.Stream": bytes}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

number = 0
failures = 0


def ok(passed: bool, name: str, more: object = "") -> None:
    global number, failures
    number += 1
    print(("ok" if passed else "not ok") + f" {number} - {name}", flush=True)
    if not passed:
        failures += 1
        print(f"#   {more}", flush=True)


def same(found: object, wanted: object, name: str) -> None:
    ok(found == wanted, name, f"{str(found)[:400]} is not {str(wanted)[:400]}")


def near(found: float, wanted: float, share: float, name: str) -> None:
    ok(abs(found - wanted) <= share * abs(wanted), name, f"{found} is not {wanted} within {share:.0%}")


def skip(name: str, why: str) -> None:
    global number
    number += 1
    print(f"ok {number} - {name} # SKIP {why}", flush=True)


def rows(base: Base, name: str) -> list[Row]:
    return base.sets[name].rows


def digest(base: Base) -> str:
    text = json.dumps({name: found.rows for name, found in base.sets.items()}, default=str, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


# --- schema -------------------------------------------------------------------------------

def schema(base: Base) -> None:
    register = "AccumulationRegister_ПродажиПоДисконтнымКартам_RecordType"
    same(len(register.encode()) > 63 and register in base.sets, True, "the long name is published")
    same(base.sets[SALES].key, ("Recorder", "LineNumber", "Recorder_Type"), "key of a register's rows")
    same(base.sets[JOURNAL].key, ("Ref", "Ref_Type"), "key of the journal")
    same(base.sets["AccumulationRegister_ЗапасыНаСкладах_RecordType"].key, ("Recorder_Key", "LineNumber"),
         "one kind of recorder: a reference")
    tree = ElementTree.fromstring(edmx.document(base.sets, base.functions, base.sets))
    kinds = {node.get("Name"): node for node in tree.iter() if node.tag.endswith("}EntityType")}
    same(set(kinds), set(base.sets), "$metadata names every set")
    late, keys = [], []
    for name, node in kinds.items():
        fields = [child.get("Name") for child in node if child.tag.endswith("}Property")]
        of_types = [field.endswith("_Type") and field[:-5] in fields for field in fields]
        if of_types != sorted(of_types):
            late.append(name)
        keys += [(name, child.get("Name")) for child in node if child.tag.endswith("}Property")
                 and child.get("Name") in base.sets[name].key and child.get("Nullable") != "false"]
    same(late, [], "X_Type columns come last")
    same(keys, [], "key parts are not nullable")
    functions = {(f.bound_to.split("_", 1)[1], f.name) for f in base.functions}
    for wanted in (("БонусныеБаллы", "Balance"), ("Продажи", "Turnovers"), ("ПродажиПоДисконтнымКартам", "Turnovers"),
                   ("ЦеныНоменклатуры", "SliceLast")):
        ok(wanted in functions, f"function {wanted[1]} of {wanted[0]}")


def values(base: Base) -> None:
    """Every row has just the declared properties, values of the declared types, and a key of its own."""
    wrong, twice, lost = [], [], []
    known = {name: {row["Ref_Key"] for row in found.rows} for name, found in base.sets.items() if "Ref_Key" in found.key}
    for name, found in base.sets.items():
        fields = {p.name: p for p in found.properties if not p.type.startswith("Collection(")}
        keys = {tuple(row[part] for part in found.key) for row in found.rows}
        if len(keys) < len(found.rows):
            twice.append(name)
        for row in found.rows:
            if row.keys() != fields.keys():
                wrong.append((name, row.keys() ^ fields.keys()))
                break
            for field, value in row.items():
                kind = fields[field].type
                if value is not None and type(value) is not PYTHON[kind]:
                    wrong.append((name, field, value))
                elif kind == "Edm.Guid" and value and not GUID.fullmatch(value):
                    wrong.append((name, field, value))
                target = fields[field].target
                if target in known and value not in (None, EMPTY_GUID) and value not in known[target]:
                    lost.append((name, field, value))
    same(wrong[:3], [], "values are of their declared types")
    same(twice, [], "keys are unique")
    same(lost[:3], [], "references point at rows")
    ok(all(found.rows for name, found in base.sets.items() if not found.records_of), "no set is empty",
       [name for name, found in base.sets.items() if not found.rows])


# --- counts and dirt ----------------------------------------------------------------------

def fixed(base: Base) -> None:
    for phone, dates, total in (("70000000001", 3, "16060.00"), ("70000000002", 5, "21267.00")):
        cards = [row for row in rows(base, "Catalog_ДисконтныеКарты") if phone[1:] in
                 re.sub(r"\D", "", row["КодКартыШтрихкод"])]
        same(len(cards), 1, f"{phone} has one card")
        card = cards[0]
        bought = [row for row in rows(base, SALES) if row["Контрагент_Key"] == card["ВладелецКарты_Key"]]
        same((len({row["Recorder"] for row in bought}), f"{sum(row['Сумма'] for row in bought)}"), (dates, total),
             f"{phone}: {dates} receipts of {total}")
        same({(row["Recorder"], row["LineNumber"], row["Сумма"]) for row in rows(base, CARD_SALES)
              if row["ДисконтнаяКарта_Key"] == card["Ref_Key"]},
             {(row["Recorder"], row["LineNumber"], row["Сумма"]) for row in bought}, f"{phone}: the same by card")
        same({(row["Active"], row["Recorder_Type"]) for row in bought}, {(True, CHECK)}, f"{phone}: clean receipts only")
        receipts = [row for row in rows(base, JOURNAL) if row["Покупатель_Key"] == card["ВладелецКарты_Key"]]
        same((len(receipts), f"{sum(row['Сумма'] for row in receipts)}"), (dates, total), f"{phone}: the journal agrees")
    days = sorted(row["Period"] for row in bought)
    ok(Decimal("8090.00") in [row["Сумма"] for row in bought if row["Period"] == datetime(2025, 11, 10, 10, 24, 27)],
       "the document's purchase of 2025-11-10")
    same(sum(row["Сумма"] for row in bought) / len(days), Decimal("4253.40"), "the average of the document")
    gaps = sorted((b.date() - a.date()).days for a, b in zip(days, days[1:]))
    ok(20 <= gaps[1] and gaps[2] <= 45, "bought about monthly", gaps)
    goods = {row["Ref_Key"]: row for row in rows(base, "Catalog_Номенклатура")}
    titles = {row["Ref_Key"]: row["Description"] for row in rows(base, "Catalog_КатегорииНоменклатуры")}
    spent: Counter = Counter()
    for row in bought:
        spent[titles[goods[row["Номенклатура_Key"]]["КатегорияНоменклатуры_Key"]]] += row["Сумма"]
    same([title for title, _ in spent.most_common()], ["Колье", "Серьги"], "necklaces before earrings, nothing else")


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def dirt_of_cards(base: Base) -> dict[str, int]:
    cards = rows(base, "Catalog_ДисконтныеКарты")
    people = rows(base, "Catalog_Контрагенты")
    owners = Counter(row["ВладелецКарты_Key"] for row in cards if row["ВладелецКарты_Key"] != EMPTY_GUID)
    spelt = [row["КодКартыШтрихкод"] for row in cards]
    eight = [t for t in spelt if re.fullmatch(r"8000\d{7}", t)]
    plus = [t for t in spelt if t.startswith("+7 (000) ")]
    ten = [t for t in spelt if re.fullmatch(r"000\d{7}", t)]
    plain = Counter(t for t in spelt if re.fullmatch(r"7000\d{7}", t))
    return {
        "cards_without_owner": sum(row["ВладелецКарты_Key"] == EMPTY_GUID for row in cards),
        "two_cards": sum(count == 2 for count in owners.values()),
        "cards_deleted": sum(row["DeletionMark"] for row in cards),
        "shared_phone": sum(count - 1 for count in plain.values()),
        "phone_with_8": len(eight), "phone_with_plus": len(plus), "phone_of_10": len(ten),
        "phone_spelling": len(eight) + len(plus) + len(ten),
        "not_a_phone": sum(len(digits(text)) < 10 for text in spelt),
        "folders": sum(row["IsFolder"] for row in people),
        "name_is_phone": sum(bool(re.fullmatch(r"7000\d{7}", row["Description"])) for row in people)}


def dirt_of_documents(base: Base) -> dict[str, int]:
    lines = rows(base, SALES)
    by_card = {(row["Recorder"], row["LineNumber"]) for row in rows(base, CARD_SALES)}
    journal = rows(base, JOURNAL)
    sums: Counter = Counter()
    products: Counter = Counter()
    for row in lines:
        sums[row["Recorder"]] += row["Сумма"]
        products[row["Recorder"], row["Recorder_Type"], row["Номенклатура_Key"]] += 1
    live = [row for row in journal if not row["DeletionMark"]]
    off = [row for row in lines if not row["Active"]]
    night = [row for row in lines if row["Recorder_Type"] == REPORT]
    return {
        "anonymous_lines": sum(row["Контрагент_Key"] == EMPTY_GUID and row["Recorder_Type"] in (CHECK, REPORT)
                               and (row["Recorder"], row["LineNumber"]) not in by_card for row in lines),
        "deleted_documents": len(journal) - len(live),
        "sum_changed": sum(abs(sums[row["Ref"]]) != row["Сумма"] for row in live),
        "inactive_rows": len(off), "inactive_documents": len({row["Recorder"] for row in off}),
        "same_product_twice": sum(count > 1 and kind == CHECK for (_, kind, _), count in products.items()),
        "backdated_documents": backdated([row for row in journal if row["Ref_Type"] == CHECK]),
        "reregistered_days": len({row["Period"].date() for row in night}),
        "reregistered_rows": len(night), "shift_reports": len({row["Recorder"] for row in night}),
        "opening_rows": sum(row["Recorder_Type"] == OPENING for row in lines)}


def backdated(checks: list[Row]) -> int:
    """Receipts that are out of the order of their numbers: all but a longest increasing run of dates."""
    from bisect import bisect_right
    ends: list[datetime] = []
    for row in sorted(checks, key=lambda row: row["Number"]):
        at = bisect_right(ends, row["Date"])
        ends[at:at + 1] = [row["Date"]]
    return len(checks) - len(ends)


def dirt(base: Base, cards: int) -> None:
    planted = base.truth.dirt
    found = dirt_of_cards(base) | dirt_of_documents(base)
    # Archived receipts are gone, those of them that were back-dated too.
    late = found.pop("backdated_documents")
    ok(planted["backdated_documents"] * .88 <= late <= planted["backdated_documents"], "back-dated documents",
       f"{late} of {planted['backdated_documents']}")
    for kind, count in found.items():
        same(count, planted[kind], f"planted: {kind} {count}")
    for kind, share in (("cards_without_owner", .08), ("phone_spelling", .06), ("not_a_phone", .02), ("shared_phone", .01),
                        ("cards_deleted", .02)):
        same(planted[kind], round(share * cards), f"{kind}: {share:.0%} of the cards")
    same((planted["two_cards"], planted["folders"], planted["opening_rows"], planted["reregistered_days"]), (150, 12, 150, 46),
         "two cards, folders, opening balances, re-registered days")
    for register in (SALES, CARD_SALES):
        empty = {row["Склад_Key"] for row in rows(base, register) if row["Recorder_Type"] == REPORT} if register == SALES else ()
        same(set(empty) - {EMPTY_GUID}, set(), f"{register}: shift reports have no store")


# --- the process --------------------------------------------------------------------------

def process(base: Base) -> None:
    lines = [row for row in rows(base, SALES) if row["Recorder_Type"] in (CHECK, REPORT)]
    checks = [row for row in lines if row["Recorder_Type"] == CHECK]
    near(base.truth.dirt["anonymous_lines"] / len(lines), .35, .02, "35 % of the lines are anonymous")
    stores = {row["Ref_Key"]: row["Description"] for row in rows(base, "Catalog_СтруктурныеЕдиницы")}
    shares = Counter(stores[row["Склад_Key"]] for row in checks)
    web = shares.pop("Интернет-магазин")
    near(web / len(checks), .06, .15, "the web's share")
    for (name, count), wanted in zip(shares.most_common(), (.45, .25, .20, .10)):
        near(count / shares.total(), wanted, .08, f"share of {name}")
    goods = {row["Ref_Key"]: row for row in rows(base, "Catalog_Номенклатура")}
    titles = {row["Ref_Key"]: row["Description"] for row in rows(base, "Catalog_КатегорииНоменклатуры")}
    sold = Counter(titles[goods[row["Номенклатура_Key"]]["КатегорияНоменклатуры_Key"]] for row in checks)
    for title, wanted in (("Серьги", .30), ("Кольца", .22), ("Колье", .16), ("Браслеты", .14), ("Подвески", .08),
                          ("Броши", .04), ("Комплекты", .03), ("Упаковка", .03)):
        near(sold[title] / len(checks), wanted, .20, f"share of {title}")
    paper = [row for row in checks if titles[goods[row["Номенклатура_Key"]]["КатегорияНоменклатуры_Key"]] == "Упаковка"]
    ok(all(1 <= row["Сумма"] <= 4 for row in paper), "packaging costs 1 to 4 roubles")
    same({row["Period"].hour for row in checks}, set(range(10, 22)), "open from 10 to 21")
    sizes = Counter(Counter(row["Recorder"] for row in checks).values())
    for size, wanted in ((1, .72), (2, .19), (3, .06)):
        near(sizes[size] / sizes.total(), wanted, .12, f"receipts of {size} lines")
    sums: defaultdict = defaultdict(Decimal)
    for row in checks:
        sums[row["Recorder"]] += row["Сумма"]
    near(float(sum(sums.values())) / len(sums), 4250, .05, "the mean receipt")
    seasons(lines)
    pairs(base, checks)


def seasons(lines: list[Row]) -> None:
    """Two whole years: the index of each month is its weight."""
    found: Counter = Counter()
    days: dict[int, Counter] = {}
    for row in lines:
        if datetime(2024, 6, 1) <= row["Period"] < datetime(2026, 6, 1):
            found[row["Period"].month] += 1
            days.setdefault(row["Period"].month, Counter())[row["Period"].day] += 1
    index = {month: count * 12 / found.total() for month, count in found.items()}
    for month, wanted in enumerate((.70, 1.10, 1.40, .78, .82, .82, .78, .82, .86, .92, 1.10, 1.90), 1):
        near(index[month], wanted, .10, f"index of month {month}")
    same(sorted(index, key=index.get)[-2:], [3, 12], "March and December are the peaks")
    early, rest = sum(days[3][day] for day in range(1, 9)) / 8, sum(days[3][day] for day in range(9, 32)) / 23
    near(early / rest, 3, .15, "the first week of March")


def pairs(base: Base, checks: list[Row]) -> None:
    baskets: dict[str, set[str]] = defaultdict(set)
    for row in checks:
        baskets[row["Recorder"]].add(row["Номенклатура_Key"])
    alone: Counter = Counter()
    both: Counter = Counter()
    for goods in baskets.values():
        alone.update(goods)
        both.update((one, other) for one in goods for other in goods if one != other)
    planted = base.truth.parameters["pairs"]
    same(len(planted), 6, "six pairs are planted")
    for one, other in planted:
        best = max((pair for pair in both if pair[0] == one),
                   key=lambda pair: both[pair] / math.sqrt(alone[one] * alone[pair[1]]))
        lift = both[one, other] * len(baskets) / (alone[one] * alone[other])
        ok(best == (one, other) and lift > 5, f"pair found, lift {lift:.0f}", (best, lift))


def returns(base: Base) -> None:
    planted = base.truth.dirt
    back = [row for row in rows(base, SALES) if row["Recorder_Type"] == BACK]
    sold = [row for row in rows(base, SALES) if row["Recorder_Type"] in (CHECK, REPORT)]
    ok(back and all(row["Сумма"] < 0 and row["Количество"] < 0 for row in back), "returns are negative")
    near(len(back) / len(sold), .04, .05, "4 % of the lines are returned")
    same((len(back), len({row["Recorder"] for row in back})), (planted["returned_lines"], planted["returns"]), "returns as planted")
    sales: dict[tuple, list[Row]] = defaultdict(list)
    for row in sold:
        sales[row["Документ"], row["Контрагент_Key"], row["Номенклатура_Key"]].append(row)
    matched = [(row, sales[row["Документ"], row["Контрагент_Key"], row["Номенклатура_Key"]]) for row in back
               if row["Документ_Type"] != BACK]
    same(len({row["Recorder"] for row in back}) - len({row["Recorder"] for row, _ in matched}), planted["returns_unmatched"],
         "some without a sale to be found")
    ok(all(of for _, of in matched), "the others find it by document, customer and product")
    ok(all(1 <= (row["Period"].date() - of[0]["Period"].date()).days <= 15 for row, of in matched if of),
       "one to fourteen days later")
    across = len({row["Recorder"] for row, of in matched if of and row["Period"].month != of[0]["Period"].month})
    ok(planted["returns_across_month"] - planted["returns_unmatched"] <= across <= planted["returns_across_month"],
       "across the end of a month", f"{across} of {planted['returns_across_month']}")
    near(planted["returns_across_month"] / planted["returns"], .10, .1, "that is one of ten")


def expected_repeats(weeks: float) -> float:
    """E[X(T)] of MBG/NBD, by the power series of the hypergeometric function."""
    r, alpha, a, b = .6, 9.0, .9, 3.2
    z, term, total = weeks / (alpha + weeks), 1.0, 0.0
    for n in range(4000):
        total += term
        term *= (r + n) * (b + 1 + n) / ((a + b + n) * (n + 1)) * z
    return b / (a - 1) * (1 - (alpha / (alpha + weeks)) ** r * total)


def unthinned() -> None:
    base = shop.build(seed=3, dirt=False, unthinned=True)
    lines = rows(base, SALES)
    same({row["Recorder_Type"] for row in lines}, {CHECK}, "the bare process has receipts only")
    ok(all(row["Active"] and row["Контрагент_Key"] != EMPTY_GUID for row in lines), "all of known customers")
    same(base.truth.dirt, {}, "and nothing is planted")
    days: dict[str, set] = defaultdict(set)
    for row in lines:
        days[row["Контрагент_Key"]].add(row["Period"].date())
    same(len(days), 5000, "everybody bought something")
    end = datetime(2026, 11, 22).date()
    wanted = sum(expected_repeats(((end - min(found)).days + .5) / 7) for found in list(days.values())[::10]) * 10
    near(sum(len(found) - 1 for found in days.values()), wanted, .06, "as many repeats as MBG/NBD expects")
    receipts: dict[tuple, Decimal] = defaultdict(Decimal)
    for row in lines:
        receipts[row["Контрагент_Key"], row["Recorder"]] += row["Сумма"]
    near(float(sum(receipts.values())) / len(receipts), 4250, .04, "and spends what gamma-gamma expects")


# --- registers that belong together -------------------------------------------------------

def agreement(base: Base, what: str) -> None:
    """What holds in a shop at any time."""
    lines = {(row["Recorder"], row["LineNumber"]): row for row in rows(base, SALES)}
    wrong = [row for row in rows(base, CARD_SALES)
             if any(row[name] != lines.get((row["Recorder"], row["LineNumber"]), {}).get(name)
                    for name in ("Period", "Active", "Сумма", "Количество", "Номенклатура_Key", "Recorder_Type"))]
    same(wrong[:1], [], f"{what}: sales by card are sales")
    with_card = {(row["Recorder"], row["LineNumber"]) for row in rows(base, CARD_SALES)}
    lost = [key for key, row in lines.items()
            if row["Контрагент_Key"] != EMPTY_GUID and row["Recorder_Type"] != OPENING and key not in with_card]
    same(lost[:1], [], f"{what}: a known customer came with a card")
    documents = {row["Ref_Key"]: row for name in ("ЧекККМ", "ЧекККМВозврат", "ОтчетОРозничныхПродажах")
                 for row in rows(base, "Document_" + name)}
    journal = {row["Ref"]: row for row in rows(base, JOURNAL)}
    same(documents.keys() ^ journal.keys(), set(), f"{what}: the journal lists the documents")
    wrong = [key for key, row in journal.items() if key in documents and any(row[one] != documents[key][other] for one, other in (
        ("Date", "Date"), ("Сумма", "СуммаДокумента"), ("Number", "Number"), ("Posted", "Posted"), ("DeletionMark", "DeletionMark"),
        ("Покупатель_Key", "Контрагент_Key")))]
    same(wrong[:1], [], f"{what}: and says the same of them")
    opening = {row["Ref_Key"] for row in rows(base, "Document_ВводНачальныхОстатков")}
    posted = {key for key, row in documents.items() if row["Posted"]} | opening
    same({key[0] for key in lines} - posted, set(), f"{what}: only posted documents have movements")
    points(base, what)


def points(base: Base, what: str) -> None:
    for register in (POINTS, LOTS):
        keys = Counter((row["Recorder"], row["LineNumber"]) for row in rows(base, register))
        same([key for key, count in keys.items() if count > 1][:1], [], f"{what}: lines of {register[21:40]}… are numbered")
    given: Counter = Counter()
    left: Counter = Counter()
    for row in rows(base, POINTS):
        if row["Active"]:
            left[row["БонуснаяКарта_Key"]] += (row["Начислено"] - row["КСписанию"]) * (1 if row["RecordType"] == "Receipt" else -1)
            if row["RecordType"] == "Receipt":
                given[row["БонуснаяКарта_Key"]] += row["Начислено"]
    same([card for card, value in left.items() if value][:1], [], f"{what}: all points are spent or written off in the end")
    lots: Counter = Counter()
    for row in rows(base, LOTS):
        if row["Active"]:
            lots[row["БонуснаяКарта_Key"]] += row["Сумма"]
    same({card: value for card, value in lots.items() if value}, {card: value for card, value in given.items() if value},
         f"{what}: lots are the accruals")


def loyalty(base: Base) -> None:
    found = rows(base, POINTS)
    expiries = [row for row in found if row["RecordType"] == "Receipt" and row["КСписанию"]]
    accruals = [row for row in found if row["RecordType"] == "Receipt" and row["Начислено"]]
    same(len(expiries), len(accruals), "each accrual has its expiry")
    ok(all(timedelta(days=365) <= row["Period"] - row["ДатаПервоначальногоНачисления"] <= timedelta(days=366) for row in expiries),
       "a year ahead")
    spent = sum(row["RecordType"] == "Expense" and row["Начислено"] > 0 for row in found)
    ok(spent > 300, "points are spent", spent)


def truth(base: Base) -> None:
    """A second way to the same sums."""
    told = json.loads(json.dumps(base.truth.as_dict()))
    lines = [row for row in rows(base, SALES) if row["Active"]]
    kopecks = sum(int(row["Сумма"] * 100) for row in lines)
    same(told["sales"]["sum"], f"{kopecks // 100}.{kopecks % 100:02d}", "the sum of sales")
    same((told["sales"]["all_rows"], told["sales"]["active_rows"]), (len(rows(base, SALES)), len(lines)), "rows and active rows")
    for part in ("by_month", "by_customer", "by_store"):
        groups = told["sales"][part].values()
        same((sum(g["rows"] for g in groups), f"{sum(Decimal(g['sum']) for g in groups):.2f}"),
             (len(lines), told["sales"]["sum"]), f"{part} adds up")
    same(told["sales"]["by_month"]["2026-01"]["rows"], sum(row["Period"].isoformat()[:7] == "2026-01" for row in lines),
         "a month")
    store = lines[-1]["Склад_Key"]
    same(Decimal(told["sales"]["by_store"][store]["sum"]), sum(row["Сумма"] for row in lines if row["Склад_Key"] == store),
         "a store")
    opening = [row["Сумма"] for row in lines if row["Recorder_Type"] == OPENING]
    same(Decimal(told["sales"]["sum"]) - Decimal(told["sales"]["counted"]["sum"]), sum(opening), "opening balances are not counted")
    example = told["examples"]["example"]
    same((told["sales"]["by_customer"][example["customer"]]["sum"], told["sales"]["by_customer"][example["customer"]]["receipts"]),
         ("21267.00", 5), "the document's example")
    same(told["card_sales"]["rows"], sum(row["Active"] for row in rows(base, CARD_SALES)), "sales by card")
    same((told["customers"], told["cards"], told["products"]), (5000 - 412, 5150, 600), "customers, cards, products")


# --- edits --------------------------------------------------------------------------------

def edits() -> None:
    base = shop.build(seed=2, customers=300)

    def total() -> Decimal:
        return Decimal(base.truth.as_dict()["sales"]["sum"])

    def edit(**given: object) -> dict:
        return base.edits.apply(given)

    before = total()
    done = edit(op="new_sale", phone="70000000001", amount=1234.56, date="2026-11-22T15:00:00")
    same(total() - before, Decimal("1234.56"), "new_sale adds its sum")
    owner = base.truth.examples["first"]["customer"]
    same((done["customer"], base.truth.as_dict()["sales"]["by_customer"][owner]["sum"]), (owner, "17294.56"), "to its customer")
    done = edit(op="change_amount", recorder=done["recorder"], line=1, amount=1000)
    same((done["old"], done["new"], total() - before), ("1234.56", "1000.00", Decimal("1000.00")), "change_amount")
    back = edit(op="return", recorder=done["recorder"], line=0, date="2026-11-22T18:00:00")
    same((back["sum"], total()), ("-1000.00", before), "return")
    moved = edit(op="backdate", recorder=done["recorder"], date="2026-01-02T03:04:05")
    same({row["Period"].isoformat() for row in rows(base, SALES) if row["Recorder"] == done["recorder"]}, {moved["new"]}, "backdate")
    edit(op="inactivate", recorder=done["recorder"])
    same(total(), before - 1000, "inactivate")
    edit(op="delete_document", recorder=back["recorder"], physically=True)
    same((total(), [row for row in rows(base, JOURNAL) if row["Ref"] == back["recorder"]]), (before, []), "delete_document")
    was = total()
    shift = edit(op="close_shift")
    ok(total() == was and shift["recorder_type"] == REPORT and
       not any(row["Ref"] in shift["receipts"] for row in rows(base, JOURNAL)), "close_shift keeps the sum", shift)
    came = edit(op="new_customer", name="Гостья Первая", phone="70009999999")
    same([(row["Ref_Key"], row["ВладелецКарты_Key"]) for row in rows(base, "Catalog_ДисконтныеКарты")
          if row["КодКартыШтрихкод"] == "70009999999"], [(came["card"], came["customer"])], "new_customer")
    second = edit(op="new_card", customer=came["customer"])
    edit(op="change_phone", card=second["card"], new_phone="70008888888")
    edit(op="change_owner", phone="70008888888", customer=owner)
    edit(op="delete_card", card=came["card"])
    by_key = {row["Ref_Key"]: row for row in rows(base, "Catalog_ДисконтныеКарты")}
    same((by_key[second["card"]]["ВладелецКарты_Key"], by_key[came["card"]]["DeletionMark"]), (owner, True), "edits of cards")
    product = rows(base, "Catalog_Номенклатура")[5]["Ref_Key"]
    edit(op="rename_product", product=product, name="Иное имя")
    same([row["Description"] for row in rows(base, "Catalog_Номенклатура") if row["Ref_Key"] == product], ["Иное имя"], "rename_product")
    same(base.version, 13, "each edit is a new version of the base")
    for bad in ({"op": "nothing"}, {"op": "change_amount", "recorder": "x"}, {"op": "new_sale", "phone": "no"}):
        try:
            edit(**bad)
            ok(False, f"{bad} is refused")
        except ValueError:
            ok(True, f"{bad} is refused")
    done = edit(op="random", n=150, seed=4)["done"]
    kinds = Counter(one["op"] for one in done)
    of_orders = {kind: count for kind, count in kinds.items() if kind.startswith("order_")}
    ok(len(kinds) - len(of_orders) > 9 and len(done) - sum(of_orders.values()) == 150, "random edits of many kinds", kinds)
    ok(len(of_orders) == 5 and sum(of_orders.values()) == 150, "and as many of orders", of_orders)
    json.dumps(done)
    agreement(base, "after edits")
    again = shop.build(seed=2, customers=300)
    again.edits.apply({"op": "random", "n": 150, "seed": 4})
    third = shop.build(seed=2, customers=300)
    third.edits.apply({"op": "random", "n": 150, "seed": 4})
    same(digest(again), digest(third), "random edits are the same by their seed")


# --- purchase logs ------------------------------------------------------------------------

def held(base: Base, name: str) -> dict[tuple, Decimal]:
    """What is left of each product, variant and store, what is nothing included."""
    found: dict[tuple, Decimal] = defaultdict(Decimal)
    for row in rows(base, name):
        sign = {"Receipt": 1, "Expense": -1}[row["RecordType"]]
        found[row["Номенклатура_Key"], row["Характеристика_Key"], row["СтруктурнаяЕдиница_Key"]] += sign * row["Количество"]
    return found


def goods() -> None:
    """With --site: prices, stock and reservations, and that the rest of the shop is what it is without."""
    stock, prices = "AccumulationRegister_ЗапасыНаСкладах_RecordType", "InformationRegister_ЦеныНоменклатуры"
    reserved = "AccumulationRegister_РезервыТоваров_RecordType"
    plain, base = shop.build(seed=5, customers=60), shop.build(seed=5, customers=60, site=True)
    same([name for name in (SALES, POINTS, JOURNAL, "Document_ЗаказПокупателя") if rows(base, name) != rows(plain, name)], [],
         "--site: sales, points and orders stay as they are")
    values(base)
    planted, there, kept = base.truth.as_dict()["dirt"], held(base, stock), held(base, reserved)
    owners = defaultdict(set)
    for row in rows(base, stock):
        owners[row["Номенклатура_Key"], row["СтруктурнаяЕдиница_Key"]].add(row["Организация_Key"])
    last = {row["Номенклатура_Key"]: row for row in sorted(rows(base, prices), key=lambda row: row["Period"])
            if row["Period"].year < 2090}
    found = {"prices_to_come": sum(row["Period"].year >= 2090 for row in rows(base, prices)),
             "prices_taken_back": sum(not row["Актуальность"] for row in last.values()),
             "prices_of_variants": sum(row["Характеристика_Key"] != EMPTY_GUID for row in rows(base, prices)),
             "price_kinds": len(rows(base, "Catalog_ВидыЦен")),
             "held_by_two_organizations": sum(len(who) > 1 for who in owners.values()),
             "sold_out": sum(value == 0 for value in there.values()), "reservations": len(rows(base, reserved)),
             "reserved_and_not_in_stock": sum(not there.get(key) for key in kept)}
    same({name: planted.get(name) for name in found}, found, "--site: what is planted is there")
    told = base.truth.as_dict()["goods"]
    same((len(told["stock"]), sum(map(Decimal, told["stock"].values()))),
         (sum(value != 0 for value in there.values()), sum(there.values())), "--site: the truth of stock")
    before = len(told["prices"])
    done = base.edits.apply({"op": "random_goods", "n": 60, "seed": 1})["done"]
    ok({one["op"] for one in done} >= {"price_set", "price_drop", "stock_gone", "reserve", "unreserve"}, "--site: edits", done)
    product = rows(base, "Catalog_Номенклатура")[-1]["Ref_Key"]
    gone = base.edits.apply({"op": "stock_gone"})
    same(held(base, stock)[gone["product"], gone["variant"], gone["store"]], 0, "--site: all of it goes")
    base.edits.apply({"op": "price_set", "product": product, "kind": rows(base, "Catalog_ВидыЦен")[1]["Ref_Key"], "price": 12.5})
    ok("12.50 " in base.truth.as_dict()["goods"]["prices"][f"{product} {EMPTY_GUID} {rows(base, 'Catalog_ВидыЦен')[1]['Ref_Key']}"],
       "--site: a price is set", before)


def logs() -> None:
    path = os.path.join(SHARED, "data", "CDNOW_sample.txt")
    if os.path.exists(path):
        base = purchase_log.build(path)
        told = base.truth.as_dict()
        same((told["cards"], told["customers"]), (2357, 2357), "CDNOW: 2,357 customers")
        same((told["sales"]["rows"], told["sales"]["sum"]), (6919, "244091.94"), "CDNOW: 6,919 purchases of 244,091.94")
        same(sum(group["receipts"] for group in told["sales"]["by_customer"].values()),
             sum(row["Сумма"] > 0 for row in rows(base, SALES)), "CDNOW: each purchase of something is a receipt")
        same(sum(1 for row in rows(base, JOURNAL)), 6919, "CDNOW: the journal lists them all")
        same(rows(base, "Catalog_ДисконтныеКарты")[0]["КодКартыШтрихкод"], "70000000001", "CDNOW: barcodes")
        agreement(base, "CDNOW")
    else:
        skip("CDNOW", "the published data are not here")
    text = "date,Customer,amount\n2025-01-31,b,10.50\n2025-01-31,b,1\n2025-02-01T09:30:00,a,0\n"
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        base = purchase_log.build(file.name)
        lines = [(row["Period"].isoformat(), str(row["Сумма"]), row["Контрагент_Key"]) for row in rows(base, SALES)]
        same([line[:2] for line in lines], [("2025-01-31T12:00:00", "10.50"), ("2025-01-31T12:00:00", "1.00"),
                                            ("2025-02-01T09:30:00", "0.00")], "a log as CSV")
        same((len({line[2] for line in lines}), len(rows(base, JOURNAL))), (2, 3), "two purchases on one day are two receipts")
    for wrong in ("customer,amount\na,1\n", "customer,date,amount\na,2025-01-32,1\n", "customer,date,amount\na,2025-01-31,1.005\n", ""):
        with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8") as file:
            file.write(wrong)
            file.flush()
            try:
                purchase_log.build(file.name)
                ok(False, f"refused: {wrong!r}")
            except ValueError:
                ok(True, f"refused: {wrong!r}")


def main() -> None:
    started = time.process_time()
    base = shop.build()
    took = time.process_time() - started
    ok(took < 20, "the shop of 5,000 customers is built in time", f"{took:.1f} s")
    print(f"# {took:.1f} s, {sum(len(found.rows) for found in base.sets.values())} rows", flush=True)
    for part in (schema, values, fixed, process, returns, loyalty, truth):
        part(base)
    dirt(base, 5150)
    agreement(base, "the shop")
    unthinned()
    same(digest(shop.build(seed=5, customers=120)), digest(shop.build(seed=5, customers=120)), "the same seed, the same base")
    ok(digest(shop.build(seed=5, customers=120)) != digest(shop.build(seed=6, customers=120)), "another seed, another base")
    same(shop.build(customers=20, timezone="Asia/Yekaterinburg").timezone, "Asia/Yekaterinburg", "the time zone is told")
    values(shop.build(customers=200))
    edits()
    goods()
    logs()
    print(f"1..{number}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
