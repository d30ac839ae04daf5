#!/usr/bin/env python3
"""Tests of the demo 1C over its own sockets, on the small base of tiny.py.  Prints TAP.

What is expected is written out or counted here by plain loops, never by the code under test.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import control
from model import EMPTY_DATE, Base, Property
from modes import Modes
from odata import Service
from server import Server
from tiny import LINES, guid, moment, register, small_base

USER, PASSWORD = "Оператор", "пароль:1"


# --- asking -------------------------------------------------------------------------------

class Client:
    def __init__(self, port: int, user: str = USER, password: str = PASSWORD):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.token = base64.b64encode(f"{user}:{password}".encode()).decode()

    def raw(self, path: str, headers: dict | None = None, method: str = "GET"):
        address = quote("/base/odata/standard.odata" + path, safe="/?&=$%+'(),;:")
        self.connection.request(method, address, headers={"Authorization": "Basic " + self.token} | (headers or {}))
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def get(self, path: str, headers: dict | None = None, **options):
        """Options without their "$"; a JSON answer comes decoded."""
        given = {"$format": "application/json;odata=nometadata"} | {f"${k}": str(v) for k, v in options.items()}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value)
        status, _, body = self.raw(f"/{quote(path)}?{query}", headers)
        try:
            return status, json.loads(body.decode("utf-8-sig"))
        except ValueError:
            return status, body

    def rows(self, path: str, **options) -> list:
        status, answer = self.get(path, **options)
        if status != 200:
            raise AssertionError(f"{path} {options}: {status} {answer}")
        return answer["value"]

    def error(self, path: str, **options) -> tuple[int, str | None]:
        status, answer = self.get(path, **options)
        return status, answer["odata.error"]["code"] if isinstance(answer, dict) and "odata.error" in answer else None


class Stand:
    """A running base with its client and control port."""

    def __init__(self, base: Base | None = None):
        self.base = base or small_base()
        self.server = Server(Service(self.base, Modes()), USER, PASSWORD)
        self.port = self.server.listen("127.0.0.1", 0)
        threading.Thread(target=self.server.serve, daemon=True).start()
        self.controls = control.listen(self.server, "127.0.0.1", 0)
        threading.Thread(target=self.controls.serve_forever, args=(0.01,), daemon=True).start()
        self.client = Client(self.port)

    def control(self, method: str, path: str, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.controls.server_address[1], timeout=20)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    def last(self) -> dict:
        return self.control("GET", "/log")[-1]


NUMBER = [0, 0]


def same(found, wanted, name: str) -> None:
    NUMBER[0] += 1
    good = found == wanted
    print(f"{'ok' if good else 'not ok'} {NUMBER[0]} - {name}")
    if not good:
        NUMBER[1] += 1
        print(f"#   found: {found!r}"[:1500])
        print(f"#  wanted: {wanted!r}"[:1500])


def codes(rows: list) -> list:
    return [row["Code"] for row in rows]


def numbers(rows: list) -> list[int]:
    return [int(row["Number"]) for row in rows]


# --- tests --------------------------------------------------------------------------------

def test_auth(stand: Stand) -> None:
    status, headers, body = Client(stand.port, USER, "wrong").raw("/Catalog_Склады?$format=json")
    same((status, body, "Basic" in headers["WWW-Authenticate"]), (401, b"", True), "a bad password: 401 with an empty body")
    same(stand.last()["auth"], False, "the log says so")
    cp1251 = Client(stand.port)
    cp1251.token = base64.b64encode(f"{USER}:{PASSWORD}".encode("cp1251")).decode()
    same(cp1251.raw("/Catalog_Склады")[0], 401, "a login in cp1251 is not one")


def test_forms(stand: Stand) -> None:
    client = stand.client
    same(client.raw("/Catalog_Склады")[1]["Content-Type"].split(";")[0], "application/atom+xml", "Atom unless asked")
    status, answer = client.get("Catalog_Склады")
    same((status, list(answer)), (200, ["value"]), "nometadata: the rows alone")
    same(answer["value"][0], {"Ref_Key": guid(1, 1), "DataVersion": "AAAAAAAAAAE=", "DeletionMark": False, "Code": "001",
                              "Description": "Склад Б"}, "a row")
    status, answer = client.get("Document_Чек", format="json", top=1)
    same((answer["odata.metadata"].endswith("/$metadata#Document_Чек"), answer["value"][0]["Склад@navigationLinkUrl"],
          [name for name in answer["value"][0] if name.startswith("Скрытое@")]),
         (True, f"Document_Чек(guid'{guid(3, 0)}')/Склад", []), "minimal: links of published references only")
    goods_row = client.rows("Catalog_Товары", filter="Code eq 'G-5'")[0]
    same((goods_row["Срок"], goods_row["Цена"], goods_row["Description"], goods_row["Файл_Base64Data"], "Файл" in goods_row),
         ("5", 5.5, "Ёлка \"x\"\n\t", "AP8=", False), "Int64 is a string, a Stream is absent, control characters are escaped")
    raw = client.raw("/" + quote("Catalog_Товары") + "?$format=json&$select=" + quote("Цена"))[2].decode()
    same(('"Цена": null' in raw, '"Цена": 1.5\n' in raw), (True, True), "null in a folder; no digits too many")
    same(client.rows("Catalog_Товары", filter="Code eq 'G-5'", select="**")[0].get("Состав"), None, "** leaves out sections")
    same(len(client.rows("Catalog_Товары", filter="Code eq 'G-5'")[0]["Состав"]), 2, "sections come unasked")
    body = client.raw("/?$format=json")[2]
    names = [one["name"] for one in json.loads(body)["value"]]
    same(names, list(stand.base.sets), "service document")
    document = ElementTree.fromstring(client.raw("")[2])
    same(len(document.findall(".//{http://www.w3.org/2007/app}collection")), len(names), "service document in Atom")
    squeezed = client.raw("/" + quote("Document_Чек") + "?$format=json", {"Accept-Encoding": "gzip"})
    same((squeezed[1]["Content-Encoding"], len(json.loads(gzip.decompress(squeezed[2]))["value"])), ("gzip", LINES), "gzip")
    same(client.raw("/Catalog_Склады", method="HEAD")[0], 405, "HEAD: 405")


def test_metadata(stand: Stand) -> None:
    space = "{http://schemas.microsoft.com/ado/2009/11/edm}"
    tree = ElementTree.fromstring(stand.client.raw("/$metadata?$format=json")[2])
    types = {one.get("Name"): one for one in tree.iter(space + "EntityType")}
    same(list(types), list(stand.base.sets), "entity types")
    good = [one.get("Name") for one in types["Catalog_Товары"].findall(space + "Property")]
    same((good[-1], types["Catalog_Товары"].get("OpenType")), ("Владелец_Type", "true"), "composite types stand last")
    links = [one.get("Name") for one in types["Document_Чек"].findall(space + "NavigationProperty")]
    same(links, ["Склад"], "no link to what is not published")
    key = [one.get("Name") for one in types["AccumulationRegister_Продажи"].iter(space + "PropertyRef")]
    same(key, ["Recorder", "Recorder_Type"], "key of a main register set")
    imports = [(one.get("Name"), one.find(space + "Parameter").get("Type")) for one in tree.iter(space + "FunctionImport")]
    same(imports[0], ("Turnovers", "StandardODATA.AccumulationRegister_Продажи"), "a function and its register")
    complexes = [one.get("Name") for one in tree.iter(space + "ComplexType")]
    same([name in complexes for name in ("Catalog_Товары_Состав_RowType", "AccumulationRegister_Баллы_Balance",
                                         "AccumulationRegister_Продажи_Turnover")], [True] * 3, "complex types")


def test_filters(stand: Stand) -> None:
    rows = stand.client.rows
    every = [f"G-{i}" for i in range(7)]
    for text, wanted in {
        "Description eq 'кольцо'": ["G-1", "G-2"],
        "Description eq 'Кольцо   '": ["G-1", "G-2"],
        "Description ne 'кольцо'": ["G-0", "G-3", "G-4", "G-5", "G-6"],
        "Description eq 'it''s'": ["G-4"],
        "startswith(Description,'кол')": ["G-0", "G-1", "G-2"],
        "startswith(Description,'кол') eq true": ["G-0", "G-1", "G-2"],
        "startswith(Description,'кол') eq false": ["G-3", "G-4", "G-5", "G-6"],
        "endswith(Description,'ЦО')": ["G-1", "G-2"],
        "substringof('слет',Description)": ["G-3"],
        "like(Description,'[^к]%')": ["G-3", "G-4", "G-5"],
        "like(Description,'к_льц_')": ["G-0", "G-1", "G-2"],
        "not like(Description,'к%')": ["G-3", "G-4", "G-5", "G-6"],
        "Цена gt 3.5": ["G-4", "G-5", "G-6"],
        "not (Цена gt 3.5)": ["G-1", "G-2", "G-3"],
        "Цена ne 1.5": ["G-2", "G-3", "G-4", "G-5", "G-6"],
        "IsFolder": ["G-0"],
        "not IsFolder eq false": ["G-0"],
        "IsFolder eq false and (Срок eq 1 or Срок ge 6)": ["G-1", "G-6"],
        "Срок eq 1 or Срок eq 2 and IsFolder": ["G-1"],
        "Срок eq 7 sub 2 add 1": ["G-4"],
        "Срок add 1 mul 2 eq 5": ["G-3"],
        "Срок sub -1 eq 3": ["G-2"],
        "8 div 2 mul 2 eq Срок": ["G-2"],
        "Ref_Key eq guid'00000002-0000-4000-8000-000000000003'": ["G-3"],
        "Ref_Key eq guid'00000002-0000-4000-8000-000000000003' or Ref_Key eq guid'00000002-0000-4000-8000-000000000001'":
            ["G-1", "G-3"],
        "Владелец eq guid'00000001-0000-4000-8000-000000000001'": [],
        "Владелец eq '00000001-0000-4000-8000-000000000001'": [],
        "Владелец eq cast(guid'00000001-0000-4000-8000-000000000001','Catalog_Склады')": ["G-1"],
        "Владелец eq cast(guid'00000001-0000-4000-8000-000000000001','Catalog_Товары')": [],
        "Владелец eq 'ТЕКСТ '": ["G-2"],
        "Владелец eq 12.5": ["G-3"],
        "isof(Владелец,'Catalog_Склады')": ["G-1", "G-6"],
        "cast(Владелец,'Number') le 13": ["G-3"],
        "cast(Владелец,'Catalog_Склады')/Description eq 'СКЛАД а'": ["G-6"],
        "Владелец_Type eq 'StandardODATA.Catalog_Склады'": [],
        "Parent/Description eq 'кольца' and Срок lt 3": ["G-1", "G-2"],
        "Состав/any(s: s/Доля eq 2)": ["G-2", "G-5"],
        "Ref_Key gt 'x'": every,
        "Срок eq '1'": [],
        "Description eq datetime'2025-01-01T00:00:00'": [],
        "concat(Code,'!') eq 'g-4!'": ["G-4"],
        "substring(Code,3,1) eq '4'": ["G-4"],
    }.items():
        same(codes(rows("Catalog_Товары", filter=text)), wanted, f"$filter={text}")


    many = " or ".join(f"Ref_Key eq guid'{guid(2, i)}'" for i in range(3, 900))
    same(codes(rows("Catalog_Товары", filter=many)), every[3:], "a list of 900 references")
    same(stand.client.error("Catalog_Товары", filter="(" * 500 + "IsFolder" + ")" * 500), (400, "14"), "500 parentheses")
    same(stand.client.error("Document_Чек", filter=f"Склад eq guid'{guid(1, 1)}'"), (400, "14"), "a reference is named X_Key")


def test_dates(stand: Stand) -> None:
    rows = stand.client.rows
    for text, test in {
        "Date ge datetime'2025-01-05T00:00:00' and Date lt datetime'2025-01-09T12:00:00'":
            lambda d: datetime(2025, 1, 5) <= d < datetime(2025, 1, 9, 12),
        "Date lt datetime'2025-01-02T00:00:00'": lambda d: d < datetime(2025, 1, 2),
        "Date eq datetime'0001-01-01T00:00:00'": lambda d: d == EMPTY_DATE,
        "day(Date) eq 3 and hour(Date) eq 12": lambda d: d == datetime(2025, 1, 3, 12),
        "month(Date) eq 1 and year(Date) eq 2025 and not (day(Date) gt 2)": lambda d: d.year == 2025 and d.day < 3 and d.month == 1,
        "dateadd(Date,'day',1) eq datetime'2025-01-05T00:00:00'": lambda d: d == datetime(2025, 1, 4),
        "datedifference(datetime'2025-01-05T00:00:00',Date,'day') eq 2": lambda d: d.day == 7 and d.month == 1 and d.year > 1,
    }.items():
        same(numbers(rows("Document_Чек", filter=text)), [i for i in range(LINES) if test(moment(i))], f"$filter={text}")
    rows("Document_Чек", filter="Date ge datetime'2025-01-05T00:00:00' and Date lt datetime'2025-01-06T00:00:00'", top=1)
    same(stand.last()["touched"], 1, "a page of one row in a window touches one row")
    rows("Document_Чек", top=5, skip=20)
    same((stand.last()["rows"], stand.last()["touched"]), (5, 25), "$skip costs what it skips")
    rows("Document_Чек")
    same(stand.last()["touched"], LINES, "the whole set touches all")


def test_refusals(stand: Stand) -> None:
    error = stand.client.error
    for text in ("Нет eq 1", "Code eq 'a", "Date gt 2025-01-01T00:00:00", "Code eq", "Сумма gt 1E+20", "length(Code) eq 1",
                 "Code in ('a')", "Ref_Key eq guid'123'", "Number eq null", "contains(Number,'1')", "(Сумма gt 1",
                 "Date gt datetime'25-01-01T00:00:00'", "Number"):
        same(error("Document_Чек", filter=text), (400, "14"), f"400, code 14: {text}")
    for text in ("Ref_Key gt guid'00000002-0000-4000-8000-000000000003'", "year(Number) eq 1", "Number add 1 eq 2"):
        same(error("Document_Чек", filter=text), (500, "-1"), f"500: {text}")
    same(stand.client.raw("/" + quote("Document_Чек") + "?$format=json&$filter=Posted+eq+true")[0], 400, "+ is not a blank")
    main = "AccumulationRegister_Продажи"
    same(error(main, filter=f"Recorder eq guid'{guid(3, 1)}'"), (500, "-1"), "main set: Recorder against a guid")
    same(stand.client.rows(main, filter=f"Recorder eq '{guid(3, 1)}'"), [], "main set: Recorder against a string is a lie")
    same(error("Document_Чек", select="Нет"), (400, "6"), "unknown in $select")
    same(error("Document_Чек", orderby="Нет"), (400, "6"), "unknown in $orderby")
    same(error("Document_Нет"), (404, "8"), "unknown set")
    same(error(f"Document_Чек(guid'{guid(3, 999)}')"), (404, "9"), "no such object")
    same(error("Document_Чек/"), (400, "6"), "trailing slash")
    same(error(main + "/Balance()"), (400, "6"), "a turnover register has no Balance")
    same(error("Document_Чек", expan="x"), (400, "0"), "unknown option")
    same(error("Document_Чек", top="x"), (400, "14"), "$top is a number")
    status, headers, body = stand.client.raw("/" + quote("Document_Нет"))
    same((status, ElementTree.fromstring(body)[0].text), (404, "8"), "an error in Atom")


def test_entities(stand: Stand) -> None:
    get = stand.client.get
    same(get(f"Catalog_Склады(guid'{guid(1, 2)}')", select="Code")[1], {"Code": "002"}, "an entity by key")
    same(get(f"Catalog_Склады(Ref_Key=guid'{guid(1, 2)}')", select="Code")[1], {"Code": "002"}, "the key named")
    answer = get(f"Catalog_Склады(guid'{guid(1, 2)}')", format="json")[1]
    same(answer["odata.metadata"].endswith("#Catalog_Склады/@Element"), True, "an entity's own metadata")
    key = f"Recorder='{guid(3, 4)}',Recorder_Type='StandardODATA.Document_Чек',LineNumber=2"
    same(get(f"AccumulationRegister_Продажи_RecordType({key})")[1]["Сумма"], 3, "a key of three parts")
    wrong = key.replace("StandardODATA.", "")
    same(stand.client.error(f"AccumulationRegister_Продажи_RecordType({wrong})"), (400, "4"), "a type without its prefix")
    same(stand.client.error("AccumulationRegister_Продажи_RecordType(LineNumber=2)"), (400, "7"), "a key part is missing")
    same(get(f"Document_Чек(guid'{guid(3, 4)}')/Склад/Description")[1], {"value": "склад а"}, "along a reference")
    same(get("Document_Чек/$count", filter="Posted")[1], LINES - LINES // 5, "count, behind a byte order mark")
    same(stand.client.raw("/" + quote("Document_Чек") + "/$count")[2][:3], b"\xef\xbb\xbf", "the mark")


def test_order(stand: Stand) -> None:
    rows = stand.client.rows
    same(codes(rows("Catalog_Склады", orderby="Ref_Key")), ["002", "001", "003"], "references sort by presentation")
    same(codes(rows("Catalog_Склады", orderby="Code desc")), ["003", "002", "001"], "descending")
    same(numbers(rows("Document_Чек", orderby="Date", top=2)), [7, 0], "the empty date is the first")
    by_store = [row["Склад_Key"] for row in rows("Document_Чек", orderby="Склад_Key desc,Date", top=21)]
    same(by_store, [guid(1, 3)] * 20 + [guid(1, 1)], "a reference, then a date")
    paged = [numbers(rows("Document_Чек", orderby="Posted", top=10, skip=at)) for at in range(0, LINES, 10)]
    found = [number for page in paged for number in page]
    same((len(found), len(set(found)) < LINES), (LINES, True), "paging by an order that is not total loses rows")
    same([numbers(rows("Document_Чек", top=10, skip=at))[0] for at in range(0, LINES, 10)], list(range(0, LINES, 10)),
         "no order: storage order")
    status, answer = stand.client.get("Document_Чек", top=1, skip=3, inlinecount="allpages")
    same((answer["odata.count"], len(answer["value"])), (str(LINES), LINES), "$inlinecount: $top and $skip do nothing")
    same(codes(rows("Catalog_Товары", orderby="Цена", top=2)), ["G-0", "G-1"], "null sorts first")


def test_registers(stand: Stand) -> None:
    rows = stand.client.rows
    main = rows("AccumulationRegister_Продажи", top=2, skip=1, orderby="Нет")
    same([(one["Recorder"], len(one["RecordSet"]), "Recorder" in one["RecordSet"][0]) for one in main],
         [(guid(3, 1), 2, False), (guid(3, 2), 2, False)], "main set: $top counts recorders, $orderby is nothing")
    same(stand.last()["touched"], LINES, "main set: built whole")
    period = "r/Period ge datetime'2025-01-05T00:00:00' and r/Period lt datetime'2025-01-06T00:00:00'"
    same([one["Recorder"] for one in rows("AccumulationRegister_Продажи", filter=f"RecordSet/any(r: {period})")],
         [guid(3, 8), guid(3, 9)], "records by any()")
    one = f"Recorder eq cast(guid'{guid(3, 1)}','Document_Чек')"
    same(len(rows("AccumulationRegister_Продажи_RecordType", filter=one)), 2, "rows of a recorder by cast()")
    same(rows("AccumulationRegister_Продажи", top=1, select="RecordSet/Сумма"), [{"RecordSet": [{"Сумма": 1}, {"Сумма": 2}]}],
         "a field of the records")
    same(rows("Document_Чек", top=1, select="Number,Склад____Presentation"),
         [{"Number": "00000000000", "Склад____Presentation": "Склад Б"}], "a presentation")
    same(rows("Document_Чек", top=1, select="Number,Склад/Code", expand="Склад"),
         [{"Number": "00000000000", "Склад": {"Code": "001"}}], "$expand")


def test_virtual(stand: Stand) -> None:
    rows = stand.client.rows
    wanted: dict[str, list] = {}
    for i in range(LINES):
        if i % 5 and datetime(2025, 1, 5) <= moment(i) <= datetime(2025, 1, 9):
            total = wanted.setdefault(guid(1, i % 3 + 1), [0, 0.0])
            total[0] += 3
            total[1] += i / 2 + 3
    period = {"StartPeriod": "datetime'2025-01-05T00:00:00'", "EndPeriod": "datetime'2025-01-09T00:00:00'"}
    inside = ",".join(f"{name}={value}" for name, value in period.items())
    found = rows(f"AccumulationRegister_Продажи/Turnovers(Dimensions='Склад_Key',{inside})")
    same({row["Склад_Key"]: [row["КоличествоTurnover"], row["СуммаTurnover"]] for row in found}, wanted, "Turnovers")
    query = "&".join(f"{name}={quote(value)}" for name, value in period.items())
    condition = quote(f"'Склад_Key eq guid''{guid(1, 2)}'''")
    address = f"/{quote('AccumulationRegister_Продажи')}/Turnovers?{query}&Dimensions={quote(chr(39) + 'Склад' + chr(39))}"
    answer = json.loads(stand.client.raw(f"{address}&Condition={condition}&$format=json")[2])
    same([row["СуммаTurnover"] for row in answer["value"]], [wanted[guid(1, 2)][1]], "Condition, in the query string")
    points_at = {0: Decimal(0), 1: Decimal(0)}
    for i in range(5):
        points_at[i % 2] += (10 + i) if i % 3 else -(10 + i)
    found = rows("AccumulationRegister_Баллы/Balance(Period=datetime'2025-01-06T00:00:00')")
    same({row["Карта_Key"]: row["БаллыBalance"] for row in found}, {guid(4, k): float(v) for k, v in points_at.items()}, "Balance")
    row = rows(f"AccumulationRegister_Баллы/BalanceAndTurnovers(Condition='Карта_Key eq guid''{guid(4, 0)}''',"
               "StartPeriod=datetime'2025-01-06T00:00:00',EndPeriod=datetime'2025-01-07T00:00:00')")[0]
    same([row["Баллы" + n] for n in ("OpeningBalance", "Turnover", "Receipt", "Expense", "ClosingBalance")],
         [float(points_at[0]), -16, 0, 16, float(points_at[0]) - 16], "BalanceAndTurnovers")
    found = rows("InformationRegister_Цены/SliceLast(Period=datetime'2025-01-10T00:00:00')")
    same([row["Цена"] for row in found], [10, 20], "SliceLast takes its moment in")
    found = rows("InformationRegister_Цены/SliceFirst()", filter=f"Товар_Key eq guid'{guid(2, 2)}'")
    same([row["Цена"] for row in found], [2], "SliceFirst, filtered after")
    same(stand.client.error("AccumulationRegister_Баллы/Balance(Condition='Баллы gt 1')"), (400, "14"),
         "a condition sees dimensions only")


def test_sessions(stand: Stand) -> None:
    client = stand.client
    address = "/" + quote("Catalog_Склады") + "?$format=json"
    stand.control("POST", "/counters/clear")
    cookie = client.raw(address, {"IBSession": "start"})[1]["Set-Cookie"].split(";")[0]
    same((cookie.split("=")[0], client.raw(address, {"Cookie": cookie})[0]), ("ibsession", 200), "a session starts and serves")
    same(stand.last()["session"], cookie.split("=")[1], "the log names it")
    same(client.raw(address, {"Cookie": cookie, "IBSession": "finish"})[0], 200, "it finishes")
    same(client.raw(address, {"Cookie": cookie})[0], 400, "a session that is no more: 400")
    counters = stand.control("GET", "/counters")
    same([counters[name] for name in ("requests", "sessions_started", "sessions_finished", "sessions_open", "rows_returned")],
         [4, 1, 1, 0, 9], "counters")
    stand.control("POST", "/modes", {"session_limit": 1})
    client.raw(address, {"IBSession": "start"})
    same(client.raw(address, {"IBSession": "start"})[0], 406, "no licence for another: 406")
    stand.control("POST", "/modes", {"no_session": True})
    same(client.raw(address, {"IBSession": "start"})[1]["Set-Cookie"], None, "a publication without sessions")
    same(stand.control("POST", "/sessions/drop"), {"dropped": 1}, "sessions time out at once")


def test_modes(stand: Stand) -> None:
    client = stand.client
    stand.control("POST", "/modes", {"autoorder": True, "refuse_filter": "Document_", "no_recordtype": True})
    same(client.error("InformationRegister_Цены", orderby="Period"), (500, "-1"), "autoorder: registers refuse $orderby")
    same(client.get("Catalog_Склады", orderby="Code")[0], 200, "autoorder: catalogs do not")
    same(client.error("Document_Чек", filter="Posted"), (500, "-1"), "refuse_filter, by pattern")
    same(client.error("AccumulationRegister_Продажи_RecordType"), (404, "8"), "no_recordtype")
    same(b"_RecordType\"" in client.raw("/$metadata")[2], False, "no_recordtype: nor in the metadata")
    stand.control("POST", "/modes/clear")
    same(client.get("AccumulationRegister_Продажи_RecordType", top=1)[0], 200, "modes are cleared")
    sales = "AccumulationRegister_Продажи_RecordType"
    newest = client.rows(sales, orderby="Period desc")
    stand.control("POST", "/modes", {"ignore_order": True})
    same([newest == client.rows(sales), client.rows(sales, orderby="Period desc") == client.rows(sales)], [False, True], "ignore_order")
    stand.control("POST", "/modes/clear")
    stand.control("POST", "/modes", {"row_rights": "Document_", "max_url": 300, "no_count": True, "bom": True})
    same(client.error("Document_Чек"), (401, "20"), "rows without rights: 401, code 20")
    status, _, body = client.raw("/" + quote("Document_Чек") + "?$format=json&allowedOnly=true")
    same((status, body[:3], len(json.loads(body.decode("utf-8-sig"))["value"]) < LINES), (200, b"\xef\xbb\xbf", True),
         "allowedOnly: they vanish")
    same(client.get("Catalog_Склады", filter="Code eq '" + "x" * 300 + "'")[0], 414, "a long address: 414")
    same(client.error("Catalog_Склады/$count"), (400, "6"), "no_count")
    stand.control("POST", "/modes/clear")


def test_faults(stand: Stand) -> None:
    client, address = stand.client, "/" + quote("Catalog_Склады") + "?$format=json"
    stand.control("POST", "/faults", [{"match": "^Catalog_Склады.*json", "nth": 2, "status": 503, "retry_after": 3}])
    answers = [client.raw(address) for _ in range(3)]
    same([(one[0], one[1]["Retry-After"]) for one in answers], [(200, None), (503, "3"), (200, None)], "the second fails")
    stand.control("POST", "/faults/clear")
    for given, wanted in [({"error": {"code": 20, "message": "нет"}, "status": 401}, (401, "20")),
                          ({"error": {"code": 14}, "status": 400, "times": 1}, (400, "14"))]:
        stand.control("POST", "/faults", given)
        same(client.error("Catalog_Склады"), wanted, f"fault {given}")
        stand.control("POST", "/faults/clear")
    stand.control("POST", "/faults", {"html": True, "delay_ms": 50})
    started = time.monotonic()
    status, headers, body = client.raw(address)
    same((status, headers["Content-Type"], body[:9], time.monotonic() - started >= 0.05),
         (200, "text/html;charset=utf-8", b"<!DOCTYPE", True), "a page with 200, late")
    stand.control("POST", "/faults/clear")
    stand.control("POST", "/faults", {"cut_at": 10})
    try:
        client.raw(address)
        same("complete", "cut", "a cut body")
    except http.client.IncompleteRead as error:
        same(len(error.partial), 10, "a cut body")
    client.connection.close()
    stand.control("POST", "/faults/clear")
    stand.control("POST", "/faults", {"replace": [["Склад Б", "Склад Г"]], "chunked": True})
    answer = client.raw(address)
    same((answer[1]["Transfer-Encoding"], "Склад Г" in answer[2].decode()), ("chunked", True), "replaced, in chunks")
    stand.control("POST", "/faults/clear")
    stand.control("POST", "/faults", {"close_after": True})
    same(client.raw(address)[1]["Connection"], "keep-alive", "an answer that promises to go on")
    try:
        client.raw(address)
        same("answered", "closed", "and does not")
    except (ConnectionError, http.client.RemoteDisconnected):
        same("closed", "closed", "and does not")
    client.connection.close()
    stand.control("POST", "/faults/clear")
    stand.control("POST", "/faults", {"close": True, "reset": True})
    try:
        client.raw(address)
        same("answered", "reset", "a reset")
    except (ConnectionError, http.client.RemoteDisconnected):
        same("reset", "reset", "a reset")
    client.connection.close()
    stand.control("POST", "/faults/clear")


def test_control(stand: Stand) -> None:
    stand.control("POST", "/log/clear")
    stand.client.rows("Catalog_Склады", filter="Code eq '001'")
    line = stand.control("GET", "/log")[0]
    same((line["method"], line["path"], line["query"], line["status"], line["rows"], line["auth"]),
         ("GET", "Catalog_Склады", "$format=application/json;odata=nometadata&$filter=Code eq '001'", 200, 1, True), "the log")
    same(stand.control("GET", f"/log?since={line['n']}"), [], "the log since")
    new = "Description eq 'новый'"
    same(stand.client.rows("Catalog_Склады", filter=new), [], "nothing yet")
    same(stand.control("POST", "/edit", {"code": "001", "name": "Новый"}), {"done": "001"}, "an edit")
    same(stand.client.rows("Catalog_Склады", filter=new, select="Code"), [{"Code": "001"}],
         "is seen at once, by filters too")
    same(stand.control("GET", "/truth"), {"sum": "1.00"}, "the truth")
    ctl = [sys.executable, os.path.join(HERE, "ctl.py"), str(stand.controls.server_address[1])]
    shown = subprocess.run(ctl + ["post", "/modes", '{"bom": false}'], capture_output=True, text=True)
    same((shown.returncode, shown.stdout.count("\n"), json.loads(shown.stdout)["bom"]), (0, 1, False), "ctl.py")
    wrong = subprocess.run(ctl + ["post", "/modes", '{"nothing": 1}'], capture_output=True, text=True)
    same((wrong.returncode, "no such mode" in wrong.stdout), (1, True), "ctl.py on an error")


def test_wire(stand: Stand) -> None:
    """Two requests in one packet, and a request line that is none."""
    head = f"Host: x\r\nAuthorization: Basic {stand.client.token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stand.port), timeout=10) as wire:
        line = f"GET /b/odata/standard.odata/{quote('Catalog_Склады')}/$count HTTP/1.1\r\n"
        wire.sendall((line + head + line + "Connection: close\r\n" + head).encode())
        found = b""
        while part := wire.recv(65536):
            found += part
    same((found.count(b"HTTP/1.1 200"), found.count(b"\xef\xbb\xbf3")), (2, 2), "requests in a row on one connection")
    with socket.create_connection(("127.0.0.1", stand.port), timeout=10) as wire:
        wire.sendall(b"GET /b/odata/standard.odata/X?$filter=a eq 1 HTTP/1.1\r\n" + head.encode())
        same(wire.recv(100).split(b"\r\n")[0], b"HTTP/1.1 400 Bad Request", "a blank in the address")


def test_atom(stand: Stand) -> None:
    atom = "{http://www.w3.org/2005/Atom}"
    data = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"
    feed = ElementTree.fromstring(stand.client.raw("/" + quote("Catalog_Товары"))[2])
    same(len(feed.findall(atom + "entry")), 7, "entries")
    last = feed.findall(atom + "entry")[5]
    same((last.find(f".//{data}Description").text, len(last.findall(f".//{data}element"))), ('Ёлка "x"\n\t', 2), "an entry")
    entry = ElementTree.fromstring(stand.client.raw("/" + quote(f"Catalog_Склады(guid'{guid(1, 2)}')"))[2])
    same((entry.tag, entry.find(f".//{data}Code").text), (atom + "entry", "002"), "an entry alone")
    result = ElementTree.fromstring(stand.client.raw("/" + quote("AccumulationRegister_Баллы") + "/Balance()")[2])
    same((result.tag, len(result.findall(data + "element"))), (data + "Result", 2), "a virtual table")


def attempt(test, stand) -> None:
    """One test on a demo 1C, whatever happens in it: the plan must still be printed."""
    print(f"# {test.__name__}", flush=True)
    try:
        test(stand)
    except Exception as error:
        import traceback
        traceback.print_exc(file=sys.stdout)
        same(f"{type(error).__name__}: {error}", None, f"{test.__name__} runs to its end")
    same(stand.server.log.counters["crashes"], 0, f"{test.__name__}: the program did not fail")


def main() -> int:
    for test in (test_auth, test_forms, test_metadata, test_filters, test_dates, test_refusals, test_entities, test_order,
                 test_registers, test_virtual, test_atom, test_sessions, test_modes, test_faults, test_control, test_wire):
        stand = Stand()
        attempt(test, stand)
        stand.server.socket.close()
        stand.controls.shutdown()
    print(f"1..{NUMBER[0]}")
    return 1 if NUMBER[1] else 0


if __name__ == "__main__":
    sys.exit(main())
