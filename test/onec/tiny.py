"""The small base: a set of each family, with all that is odd about 1C's values; more goods and sales on demand.

selftest.py asks it and knows what it holds; --tiny serves it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from model import EMPTY_DATE, EMPTY_GUID, Base, EntitySet, Function, Property

STORES = ["Склад Б", "склад а", "Склад В"]
LINES = 60


def guid(kind: int, number: int) -> str:
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def properties(text: str) -> list[Property]:
    """"Name type [target]", one a line; types without "Edm."."""
    found = []
    for line in text.strip().splitlines():
        words = line.split()
        kind = words[1] if words[1].startswith("Collection") else "Edm." + words[1]
        found.append(Property(words[0], kind, True, words[2] if len(words) > 2 else None))
    return found


def version(number: int) -> bytes:
    return number.to_bytes(8, "big")


def stores() -> EntitySet:
    rows = [{"Ref_Key": guid(1, i), "DataVersion": version(i), "DeletionMark": False, "Code": f"{i:03}",
             "Description": name} for i, name in enumerate(STORES, 1)]
    return EntitySet("Catalog_Склады", properties("""
        Ref_Key Guid
        DataVersion Binary
        DeletionMark Boolean
        Code String
        Description String"""), ("Ref_Key",), rows)


def goods() -> EntitySet:
    rows = [{"Ref_Key": guid(2, 0), "Parent_Key": EMPTY_GUID, "IsFolder": True, "Code": "G-0", "Description": "Кольца",
             "Цена": None, "Срок": None, "Владелец": "", "Владелец_Type": "StandardODATA.Undefined",
             "Файл_Base64Data": None, "Файл_Type": "", "Состав": []}]
    names = ["Кольцо ", "КОЛЬЦО", "Браслет 100%", "it's", "Ёлка \"x\"\n\t", ""]
    owners = [(guid(1, 1), "StandardODATA.Catalog_Склады"), ("текст", "Edm.String"), ("12.5", "Edm.Double"),
              ("", "StandardODATA.Undefined"), ("2025-01-02T03:04:05", "Edm.DateTime"), (guid(1, 2), "StandardODATA.Catalog_Склады")]
    for i, name in enumerate(names, 1):
        rows.append({"Ref_Key": guid(2, i), "Parent_Key": guid(2, 0), "IsFolder": False, "Code": f"G-{i}",
                     "Description": name, "Цена": Decimal(f"{i}.50"), "Срок": i, "Владелец": owners[i - 1][0],
                     "Владелец_Type": owners[i - 1][1], "Файл_Base64Data": b"\x00\xff", "Файл_Type": "image/png",
                     "Состав": [{"Ref_Key": guid(2, i), "LineNumber": n, "Доля": Decimal(n)} for n in range(1, i % 3 + 1)]})
    return EntitySet("Catalog_Товары", properties("""
        Ref_Key Guid
        Parent_Key Guid Catalog_Товары
        IsFolder Boolean
        Code String
        Description String
        Цена Double
        Срок Int64
        Владелец String
        Владелец_Type String
        Файл Stream
        Файл_Base64Data Binary
        Файл_Type String
        Состав Collection(StandardODATA.Catalog_Товары_Состав_RowType)"""), ("Ref_Key",), rows)


def composition(owner: EntitySet) -> EntitySet:
    return EntitySet("Catalog_Товары_Состав", properties("""
        Ref_Key Guid
        LineNumber Int64
        Доля Double"""), ("Ref_Key", "LineNumber"), [line for row in owner.rows for line in row["Состав"]],
                     section_of="Catalog_Товары")


def receipts() -> EntitySet:
    rows = [{"Ref_Key": guid(3, i), "Number": f"{i:011}", "Date": moment(i), "Posted": i % 5 > 0,
             "Склад_Key": guid(1, i % 3 + 1), "Скрытое_Key": guid(9, i), "Сумма": Decimal(i) / 4} for i in range(LINES)]
    return EntitySet("Document_Чек", properties("""
        Ref_Key Guid
        Number String
        Date DateTime
        Posted Boolean
        Склад_Key Guid Catalog_Склады
        Скрытое_Key Guid Catalog_Скрытое
        Сумма Double"""), ("Ref_Key",), rows)


def moment(number: int) -> datetime:
    return EMPTY_DATE if number == 7 else datetime(2025, 1, 1) + timedelta(hours=12 * number)


def sales() -> list[EntitySet]:
    """Two lines of each receipt; each fifth receipt is switched off."""
    rows = []
    for i in range(LINES):
        for n in (1, 2):
            rows.append({"Recorder": guid(3, i), "Recorder_Type": "StandardODATA.Document_Чек", "Period": moment(i),
                         "LineNumber": n, "Active": i % 5 > 0, "Товар_Key": guid(2, i % 6 + 1), "Склад_Key": guid(1, i % 3 + 1),
                         "Количество": Decimal(n), "Сумма": Decimal(i) / 4 + n})
    text = """
        Recorder String
        Recorder_Type String
        Period DateTime
        LineNumber Int64
        Active Boolean
        Товар_Key Guid Catalog_Товары
        Склад_Key Guid Catalog_Склады
        Количество Double
        Сумма Double"""
    return register("AccumulationRegister_Продажи", text, ("Recorder", "LineNumber", "Recorder_Type"), rows)


def points() -> list[EntitySet]:
    rows = []
    for i in range(12):
        rows.append({"Recorder_Key": guid(3, i), "Period": datetime(2025, 1, 1 + i), "LineNumber": 1, "Active": True,
                     "RecordType": "Receipt" if i % 3 else "Expense", "Карта_Key": guid(4, i % 2), "Баллы": Decimal(10 + i)})
    return register("AccumulationRegister_Баллы", """
        Recorder_Key Guid Document_Чек
        Period DateTime
        LineNumber Int64
        Active Boolean
        RecordType String
        Карта_Key Guid
        Баллы Double""", ("Recorder_Key", "LineNumber"), rows)


def register(name: str, text: str, key: tuple[str, ...], rows: list) -> list[EntitySet]:
    main = tuple(part for part in key if part != "LineNumber")
    kinds = [Property(part, "Edm.Guid" if part.endswith("_Key") else "Edm.String", False) for part in main]
    kinds.insert(1, Property("RecordSet", f"Collection(StandardODATA.{name}_RowType)", False))
    return [EntitySet(name, kinds, main, records_of=name + "_RecordType"),
            EntitySet(name + "_RecordType", properties(text), key, rows)]


def prices() -> EntitySet:
    rows = [{"Period": datetime(2025, 1, day), "Товар_Key": guid(2, number), "Цена": Decimal(day * number)}
            for day in (1, 10, 20) for number in (1, 2)]
    return EntitySet("InformationRegister_Цены", properties("""
        Period DateTime
        Товар_Key Guid Catalog_Товары
        Цена Double"""), ("Period", "Товар_Key"), rows)


def functions() -> list[Function]:
    turnovers = (("Condition", "Edm.String"), ("Dimensions", "Edm.String"), ("StartPeriod", "Edm.DateTime"),
                 ("EndPeriod", "Edm.DateTime"))
    at = (("Condition", "Edm.String"), ("Dimensions", "Edm.String"), ("Period", "Edm.DateTime"))
    piece = (("Condition", "Edm.String"), ("Period", "Edm.DateTime"))
    shop, card = "AccumulationRegister_Продажи", "AccumulationRegister_Баллы"
    return [Function("Turnovers", shop, turnovers, ("Товар", "Склад"), ("Количество", "Сумма")),
            Function("Balance", card, at, ("Карта",), ("Баллы",)),
            Function("Turnovers", card, turnovers, ("Карта",), ("Баллы",)),
            Function("BalanceAndTurnovers", card, turnovers, ("Карта",), ("Баллы",)),
            Function("SliceLast", "InformationRegister_Цены", piece, ("Товар",), ("Цена",)),
            Function("SliceFirst", "InformationRegister_Цены", piece, ("Товар",), ("Цена",))]


def spread(count: int, shape: str) -> list[datetime]:
    """Moments of so many sales: even over three years; 30 % of them on one day; few and far between, then many; or in
    opening hours only, three times as many at weekends, three lines a receipt."""
    start, day = datetime(2023, 1, 1), timedelta(days=1)
    if shape == "burst":
        many = count * 3 // 10
        calm = [start + 1000 * day * i / (count - many) for i in range(count - many)]
        return sorted(calm + [start + 500 * day + day * i / many for i in range(many)])
    if shape == "sparse":
        few = min(count // 20, 500)
        return [EMPTY_DATE] * 3 + [datetime(2001, 1, 1) + 15 * day * i for i in range(few)] + [
            start + 1000 * day * i / (count - few) for i in range(count - few - 5)] + [datetime(2031, 5, 1), datetime(2077, 1, 1)]
    if shape == "hours":
        weights = [3 if (start + n * day).weekday() >= 5 else 1 for n in range(1000)]
        found = []
        for n, weight in enumerate(weights):
            many = -(-count * weight // sum(weights))
            found += [start + n * day + timedelta(hours=10) + timedelta(hours=11) * (i // 3 * 3) / many for i in range(many)]
        return found[:count]
    return [start + 1000 * day * i / count for i in range(count)]


def more_sales(rows: list, count: int, shape: str) -> None:
    for i, at in enumerate(spread(count, shape)):
        rows.append({**rows[0], "Recorder": guid(5, i), "Period": at.replace(microsecond=0), "LineNumber": 1, "Сумма": Decimal(i % 1000)})


def small_base(extra: int = 0, lines: int = 0, shape: str = "even") -> Base:
    """The base of these tests; "extra" goods and "lines" of sales more, for what needs much."""
    owner = goods()
    for i in range(100, 100 + extra):
        owner.rows.append({**owner.rows[-1], "Ref_Key": guid(2, i), "Code": f"G-{i}", "Description": f"Товар {i}", "Состав": []})
    found = [stores(), owner, composition(owner), receipts(), *sales(), *points(), prices()]
    if lines:
        more_sales(next(one for one in found if one.name.endswith("Продажи_RecordType")).rows, lines, shape)
    base = Base({one.name: one for one in found}, functions())
    base.edits = Edits(base)
    base.truth = Truth()
    return base


class Edits:
    def __init__(self, base: Base):
        self.base = base

    def apply(self, given: dict) -> dict:
        for row in self.base.sets["Catalog_Склады"].rows:
            if row["Code"] == given["code"]:
                row["Description"] = given["name"]
        return {"done": given["code"]}


class Truth:
    def as_dict(self) -> dict:
        return {"sum": "1.00"}
