#!/usr/bin/env python3
"""Tests of what the demo 1C does when it is written to, over its own sockets, on a small shop.  Prints TAP."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import sys
import time
import uuid
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

sys.dont_write_bytecode = True

import shop
from model import EMPTY_GUID
from selftest import NUMBER, Client, Stand, attempt, same

CUSTOMERS, CARDS = "Catalog_Контрагенты", "Catalog_ДисконтныеКарты"
ORDERS, BONUS = "Document_ЗаказПокупателя", "Document_НачислениеСписаниеБонусныхБаллов"
CONTACTS, GOODS = CUSTOMERS + "_КонтактнаяИнформация", "Catalog_Номенклатура"
PRICES = "InformationRegister_ЦеныНоменклатуры"
FIRST = "AAAAAAAAAAA="
JSON = {"Content-Type": "application/json;charset=utf-8"}


def key() -> str:
    return str(uuid.uuid4())


class Site(Client):
    """A site that writes: (status, answer, headers)."""

    def write(self, method: str, path: str, body=None, form: str = "nometadata", **headers: str):
        address = quote(f"/base/odata/standard.odata/{path}", safe="/?&=$%+'(),;:")
        accept = {"Accept": f"application/json;odata={form}"} if form else {}
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body, default=str).encode()
        self.connection.request(method, address, data, {"Authorization": "Basic " + self.token} | JSON | accept | headers)
        answer = self.connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text), answer.headers
        except ValueError:
            return answer.status, text, answer.headers

    def post(self, name: str, body=None, **headers: str):
        return self.write("POST", name, body, **headers)

    def patch(self, name: str, ref: str, body, **headers: str):
        return self.write("PATCH", f"{name}(guid'{ref}')", body, **headers)

    def code(self, method: str, path: str, body=None, **headers: str) -> tuple[int, str | None]:
        status, answer, _ = self.write(method, path, body, **headers)
        return status, answer["odata.error"]["code"] if isinstance(answer, dict) and "odata.error" in answer else None

    def text(self, method: str, path: str, body=None) -> str:
        return self.write(method, path, body)[1]["odata.error"]["message"]["value"]


class Shop(Stand):
    def __init__(self):
        super().__init__(shop.build(customers=60))
        self.site = Site(self.port)

    def modes(self, **given) -> None:
        self.control("POST", "/modes/clear")
        self.control("POST", "/modes", given)

    def stored(self, since: int = 0) -> list[dict]:
        return self.control("GET", f"/stored?since={since}")

    def effects(self, do) -> list[tuple[str, str]]:
        """What was stored meanwhile."""
        before = max((line["n"] for line in self.stored()), default=0)
        do()
        return [(line["operation"], line["key"]) for line in self.stored(before)]

    def row(self, name: str, at: int = 0) -> dict:
        return [row for row in self.base.sets[name].rows if not row.get("IsFolder")][at]

    def order(self, **more) -> dict:
        """What a site sends, every required field filled."""
        like = self.row(ORDERS)
        names = ("Организация_Key", "ВидЦен_Key", "ВалютаДокумента_Key", "СтруктурнаяЕдиницаПродажи_Key",
                 "СтруктурнаяЕдиницаРезерв_Key", "ХозяйственнаяОперация_Key", "ВидОперации", "НалогообложениеНДС",
                 "СуммаВключаетНДС")
        return {name: like[name] for name in names} | {
            "Ref_Key": key(), "Date": "2026-11-20T10:00:00", "Контрагент_Key": self.row(CUSTOMERS)["Ref_Key"],
            "СуммаДокумента": "1500.50", "Запасы@odata.type": f"Collection(StandardODATA.{ORDERS}_Запасы_RowType)",
            "Запасы": [self.line(1), self.line("2")]} | more

    def line(self, at) -> dict:
        return {"LineNumber": at, "Номенклатура": self.row(GOODS)["Ref_Key"], "Номенклатура_Type": f"StandardODATA.{GOODS}",
                "Количество": 1, "Цена": 750.25, "Сумма": "750.25", "Всего": 750.25}


# --- objects ------------------------------------------------------------------------------

def test_create(stand: Shop) -> None:
    site, ref = stand.site, key()
    sent = {"Ref_Key": ref.upper(), "Description": "Новый", "НетТакого": 1, "Покупатель": True}
    status, row, headers = site.post(CUSTOMERS, sent)
    location = headers["Location"].encode("latin-1").decode()
    same((status, row["Ref_Key"], row["DataVersion"], row["Покупатель"], row["Parent_Key"], row["ДатаРождения"],
          row["КонтактнаяИнформация"]),
         (201, ref, FIRST, True, EMPTY_GUID, "0001-01-01T00:00:00", []), "created with the client's key, the rest filled")
    same(location.endswith(f"/base/odata/standard.odata/{CUSTOMERS}(guid'{ref}')"), True, "Location in raw UTF-8")
    same((row["Code"][:3], int(row["Code"][3:]) > 60, "НетТакого" in row), ("НФ-", True, False),
         "a code is assigned, the unknown ignored")
    same("odata.metadata" in row, False, "nometadata")
    shown = site.post(CUSTOMERS, {"Description": "б"}, form="minimalmetadata")[1]
    same(shown["odata.metadata"].endswith(f"$metadata#{CUSTOMERS}/@Element"), True, "odata.metadata where asked for")
    same(site.post(CUSTOMERS, {"Description": "б"}, form="")[1][:5], b"<?xml", "an Atom entry where JSON is not asked for")
    same(site.code("POST", CUSTOMERS, {"Ref_Key": ref}), (400, "15"), "the key is there already")
    same(site.code("POST", CUSTOMERS, {"Description": "в", "Code": row["Code"]}), (500, "-1"),
         "so is the code: a refusal of the configuration")
    zero = [site.post(CUSTOMERS, {"Ref_Key": EMPTY_GUID})[1]["Ref_Key"] for _ in range(2)]
    same(EMPTY_GUID in zero or zero[0] == zero[1], False, "zeros: 1C chooses")
    same([one["Description"] for one in site.rows(CUSTOMERS, filter=f"Ref_Key eq guid'{ref}'")], ["Новый"],
         "found by a filter at once")
    same(site.get(f"{CUSTOMERS}(guid'{ref}')")[1]["Code"], row["Code"], "and by its address")
    same(stand.control("GET", f"/object?set={quote(CUSTOMERS)}&key={ref}")["Description"], "Новый", "the control port shows it")
    same(stand.control("GET", f"/object?set={quote(CUSTOMERS)}&key={key()}"), None, "and what there is not")
    number = site.post(ORDERS, stand.order())[1]["Number"]
    following = site.post(ORDERS, stand.order())[1]
    same((int(following["Number"][5:]), following["Posted"]), (int(number[5:]) + 1, False), "numbers go on")
    given = site.post(ORDERS, stand.order(Number="САЙТ-000001-ДЛИННЫЙ"))[1]
    same(given["Number"], "САЙТ-000001", "a number may be sent; it is cut")
    undated = site.post(BONUS, {})[1]
    same(abs((datetime.fromisoformat(undated["Date"]) - datetime.now()).days) <= 1, True, "without a date: now")


def test_values(stand: Shop) -> None:
    site = stand.site
    for name, value in (("Parent_Key", "нет"), ("Parent_Key", ""), ("ДатаРождения", "2020-01-01"), ("ДатаРождения", "31.12.2020"),
                        ("ДатаРождения", "2020-13-01T00:00:00"), ("Покупатель", "да"), ("Покупатель", 1), ("ДатаРождения", 5)):
        same(site.code("POST", CUSTOMERS, {name: value}), (400, "1"), f"{name}: {value!r}")
    same(site.code("POST", ORDERS, stand.order(СуммаДокумента="много")), (400, "1"), "no number")
    same(site.code("POST", ORDERS, stand.order(СуммаДокумента="NaN")), (400, "1"), "nor this")
    same(site.code("POST", CUSTOMERS, {"Description": ["а"]}), (500, "-1"), "a list in a text")
    same(site.code("POST", CUSTOMERS, b'{"Description": '), (500, "-1"), "half a body")
    same(site.code("POST", CUSTOMERS, b"[]"), (500, "-1"), "a list")
    same(site.code("POST", CUSTOMERS, b'{"Code": "1", "Code": "2"}'), (400, "18"), "a name twice")
    same(site.code("POST", CUSTOMERS, b"Code=1", **{"Content-Type": "application/x-www-form-urlencoded"}), (415, "3"), "a form")
    row = site.post(CUSTOMERS, {"Description": "я" * 238, "ДатаРождения": "1990-05-06T00:00:00+03:00", "ИНН": None,
                                "Parent_Key": key(), "СчетУчетаРасчетовСПокупателем_Key": None})[1]
    same((len(row["Description"]), row["ДатаРождения"], row["ИНН"], row["Parent_Key"] == EMPTY_GUID),
         (100, "1990-05-06T00:00:00", "", False),
         "a long text is cut, a zone dropped, null is empty, a reference may dangle")
    stand.modes(refuse_long=True, refuse_zone=True, refuse_unknown=True)
    odd = ({"Description": "я" * 101}, {"ДатаРождения": "1990-05-06T00:00:00Z"}, {"Нет": 1})
    same([site.code("POST", CUSTOMERS, one) for one in odd],
         [(400, "4"), (400, "1"), (400, "10")], "refuse_long, refuse_zone, refuse_unknown")
    stand.modes()
    wanted = stand.order(СостояниеЗаказа=stand.row(GOODS)["Ref_Key"])
    row = site.post(ORDERS, wanted)[1]
    same((row["СостояниеЗаказа"], row["СостояниеЗаказа_Type"]), ("", "StandardODATA.Undefined"),
         "a composite value without _Type is dropped")
    state = stand.row("Catalog_СостоянияЗаказовПокупателей")["Ref_Key"]
    pair = {"СостояниеЗаказа": state, "СостояниеЗаказа_Type": "StandardODATA.Catalog_СостоянияЗаказовПокупателей"}
    same(site.patch(ORDERS, row["Ref_Key"], pair)[1]["СостояниеЗаказа"], state, "with it, it is taken")
    same(site.patch(ORDERS, row["Ref_Key"], {"СостояниеЗаказа": key()})[1]["СостояниеЗаказа"], state,
         "and stays where it is dropped")
    same(site.code("PATCH", f"{ORDERS}(guid'{row['Ref_Key']}')", pair | {"СостояниеЗаказа": "x"}), (400, "1"),
         "of that type it must be")
    same(site.code("PATCH", f"{ORDERS}(guid'{row['Ref_Key']}')", pair | {"СостояниеЗаказа_Type": "Catalog"}), (400, "4"),
         "no type")
    stand.modes(refuse_untyped=True)
    same(site.code("POST", ORDERS, wanted | {"Ref_Key": key()}), (400, "5"), "refuse_untyped")
    data = "http://schemas.microsoft.com/ado/2007/08/dataservices"
    entry = (f'<entry xmlns="http://www.w3.org/2005/Atom" xmlns:d="{data}" xmlns:m="{data}/metadata">'
             '<content type="application/xml"><m:properties>'
             '<d:Description>Атом</d:Description><d:ИНН m:null="true"/><d:Покупатель>true</d:Покупатель><d:КонтактнаяИнформация '
             f'm:type="Collection(StandardODATA.{CONTACTS}_RowType)"><d:element><d:LineNumber>1</d:LineNumber>'
             '<d:Тип>Телефон</d:Тип></d:element></d:КонтактнаяИнформация></m:properties></content></entry>').encode()
    row = site.post(CUSTOMERS, entry, **{"Content-Type": "application/atom+xml"})[1]
    same((row["Description"], row["Покупатель"], row["КонтактнаяИнформация"][0]["Тип"]), ("Атом", True, "Телефон"),
         "an Atom entry")
    stand.modes(no_atom=True)
    same(site.code("POST", CUSTOMERS, entry, **{"Content-Type": "application/atom+xml"}), (415, "3"), "no_atom")


def test_patch(stand: Shop) -> None:
    site = stand.site
    ref = site.post(CUSTOMERS, {"Ref_Key": key(), "Description": "Был", "ИНН": "123"})[1]["Ref_Key"]
    status, row, _ = site.patch(CUSTOMERS, ref, {"Description": "Стал", "Ref_Key": key(), "DataVersion": "x"})
    same((status, row["Ref_Key"], row["Description"], row["ИНН"]), (200, ref, "Стал", "123"),
         "only what is given changes, never the key")
    same(int.from_bytes(base64.b64decode(row["DataVersion"]), "little"), 1, "DataVersion is one up")
    same(int.from_bytes(base64.b64decode(site.patch(CUSTOMERS, ref, {})[1]["DataVersion"]), "little"), 2,
         "also when nothing changes")
    same(site.code("PATCH", f"{CUSTOMERS}(guid'{key()}')", {}), (404, "9"), "no such object")
    same(site.code("PATCH", f"{CUSTOMERS}('1')", {}), (400, "4"), "no key")
    same(site.patch(CUSTOMERS, ref, {"Description": "а"}, **{"If-Match": '"x"'})[0], 200, "If-Match is ignored")
    stand.modes(if_match=True)
    same(site.patch(CUSTOMERS, ref, {"Description": "б"}, **{"If-Match": f'W/"{FIRST}"'})[0], 412, "if_match: an older version")
    now = stand.control("GET", f"/object?set={quote(CUSTOMERS)}&key={ref}")["DataVersion"]
    same(site.patch(CUSTOMERS, ref, {"Description": "в"}, **{"If-Match": f'"{now}"'})[0], 200, "if_match: the version as it is")
    same(stand.last()["headers"]["if-match"], f'"{now}"', "the log has the header, and the body")
    same(json.loads(stand.last()["body"]), {"Description": "в"}, "as it was sent")
    stand.modes(patch_status=204)
    same(site.patch(CUSTOMERS, ref, {"Description": "г"})[:2], (204, b""), "patch_status")
    same(site.get(f"{CUSTOMERS}(guid'{ref}')")[1]["Description"], "г", "and it is stored")
    stand.modes(client_keys=False)
    status, row, _ = site.post(CUSTOMERS, {"Ref_Key": ref, "Description": "д"})
    same((status, row["Ref_Key"] == ref, row["Description"]), (201, False, "д"),
         "client_keys: another key is chosen and answered")


def test_rows(stand: Shop) -> None:
    site = stand.site
    row = site.post(ORDERS, stand.order())[1]
    same([(line["LineNumber"], line["Всего"]) for line in row["Запасы"]], [("1", 750.25), ("2", 750.25)],
         "rows, numbered by numbers or texts")
    same(len(site.rows(ORDERS + "_Запасы", filter=f"Ref_Key eq guid'{row['Ref_Key']}'")), 2, "the section's own set has them")
    same(len(site.patch(ORDERS, row["Ref_Key"], {"Комментарий": "я"})[1]["Запасы"]), 2, "a part that is not named stays")
    same(len(site.patch(ORDERS, row["Ref_Key"], {"Запасы": [stand.line(1)]})[1]["Запасы"]), 1, "one that is, is replaced whole")
    for lines, wanted, name in (([{"Цена": 1}], (500, "-1"), "no LineNumber"), ([stand.line(2)], (400, "4"), "not from 1"),
                                ([stand.line(1), stand.line(3)], (400, "4"), "a hole"), ("x", (500, "-1"), "no list")):
        same(site.code("PATCH", f"{ORDERS}(guid'{row['Ref_Key']}')", {"Запасы": lines, "Комментарий": "нет"}), wanted, name)
    same("LineNumber" in site.text("PATCH", f"{ORDERS}(guid'{row['Ref_Key']}')", {"Запасы": [{}]}), False,
         "and the text names no field")
    kept = site.get(f"{ORDERS}(guid'{row['Ref_Key']}')")[1]
    same((kept["Комментарий"], len(kept["Запасы"])), ("я", 1), "what was refused has left nothing")
    same(site.code("POST", ORDERS + "_Запасы", stand.line(1)), (400, "13"), "a row alone")
    for method, path in (("DELETE", f"{ORDERS}_Запасы(Ref_Key=guid'{row['Ref_Key']}',LineNumber=1)"),
                         ("POST", "AccumulationRegister_БонусныеБаллы_RecordType"),
                         ("POST", "AccumulationRegister_БонусныеБаллы"),
                         ("POST", "DocumentJournal_РозничныеПродажи"), ("POST", "Constant_ЗаголовокСистемы")):
        same(site.code(method, path, {}), (405, "19"), f"{method} {path.partition('(')[0]}")
    stand.modes(rows_need_type=True)
    bare = stand.order()
    del bare["Запасы@odata.type"]
    same([len(site.post(ORDERS, one)[1]["Запасы"]) for one in (bare, stand.order())], [0, 2], "rows_need_type")
    stand.modes()
    both = {"КонтактнаяИнформация": [{"LineNumber": 1, "Тип": "Телефон", "НомерТелефона": "70000009999"}],
            "ДополнительныеРеквизиты": [{"LineNumber": 1, "Значение": "сайт", "Значение_Type": "Edm.String"}]}
    same(site.patch(CUSTOMERS, stand.row(CUSTOMERS)["Ref_Key"], both)[1]["ДополнительныеРеквизиты"][0]["Значение"], "сайт",
         "two parts at once")


def test_delete(stand: Shop) -> None:
    site = stand.site
    ref = site.post(ORDERS, stand.order())[1]["Ref_Key"]
    same(site.write("DELETE", f"{ORDERS}(guid'{ref}')")[:2], (204, b""), "DELETE is physical")
    lines = site.rows(ORDERS + "_Запасы", filter=f"Ref_Key eq guid'{ref}'")
    same((site.error(f"{ORDERS}(guid'{ref}')"), lines), ((404, "9"), []),
         "and takes the rows with it")
    same(site.code("DELETE", f"{ORDERS}(guid'{ref}')"), (404, "9"), "once")
    ref = site.post(CUSTOMERS, {})[1]["Ref_Key"]
    same([site.patch(CUSTOMERS, ref, {"DeletionMark": mark})[1]["DeletionMark"] for mark in (True, False)], [True, False],
         "the mark, both ways")


def test_registers(stand: Shop) -> None:
    site, entry = stand.site, {"Period": "2026-11-20T00:00:00", "ВидЦен_Key": stand.row("Catalog_ВидыЦен")["Ref_Key"],
                               "Номенклатура_Key": stand.row(GOODS)["Ref_Key"], "Характеристика_Key": EMPTY_GUID, "Цена": 100}
    parts = [f"{name}={'datetime' if name == 'Period' else 'guid'}'{value}'" for name, value in entry.items() if name != "Цена"]
    address = f"{PRICES}({','.join(parts)})"
    same(site.post(PRICES, entry)[0], 200, "an independent register is inserted into")
    same(site.code("POST", PRICES, entry | {"Цена": 5}), (400, "15"), "once")
    same(site.write("PATCH", address, {"Цена": 120})[1]["Цена"], 120, "changed by its whole key")
    found = site.rows(PRICES + "/SliceLast", filter=f"Номенклатура_Key eq guid'{entry['Номенклатура_Key']}'")
    same([row["Цена"] for row in found if row["ВидЦен_Key"] == entry["ВидЦен_Key"] and row["Характеристика_Key"] == EMPTY_GUID],
         [120], "the slice follows")
    same((site.write("DELETE", address)[0], site.error(address)), (204, (404, "9")), "and deleted")
    same([line["operation"] for line in stand.stored()][-3:], ["create", "patch", "delete"], "all stored")


# --- posting ------------------------------------------------------------------------------

def test_posting(stand: Shop) -> None:
    site, order = stand.site, stand.order()
    path = f"{ORDERS}(guid'{order['Ref_Key']}')"
    site.post(ORDERS, order)
    same(site.post(path + "/Post?PostingModeOperational=false")[:2], (200, b""), "Post, spelt in the query")
    same(site.get(path)[1]["Posted"], True, "is posted")
    for field, wanted in (({"DeletionMark": True}, (500, "-1")), ({"Запасы": []}, (500, "-1")),
                          ({"Комментарий": "заголовок"}, (200, None))):
        same(site.code("PATCH", path, field), wanted, f"of a posted order: {list(field)[0]}")
    same(site.post(path + "/Post", {"PostingModeOperational": True})[0], 500, "operational posting wants today's date")
    same(site.code("POST", path + "/Post?PostingModeOperational=ja"), (400, "1"), "no truth value")
    same((site.post(path + "/Unpost", {"PostingModeOperational": False})[0], site.get(path)[1]["Posted"]), (200, False),
         "Unpost, spelt in a body")
    same(site.patch(ORDERS, order["Ref_Key"], {"DeletionMark": True})[0], 200, "now it is marked")
    same(site.code("POST", path + "/Post"), (500, "-1"), "and not posted")
    same([site.code("POST", f"{path}/Execute"), site.code("POST", f"{CUSTOMERS}(guid'{key()}')/Post")],
         [(400, "6"), (400, "6")], "no such method")
    stand.modes(post_answer="object")
    site.patch(ORDERS, order["Ref_Key"], {"DeletionMark": False})
    same(site.post(path + "/Post")[1]["Posted"], True, "post_answer")
    today = stand.order(Date=stand.server.service.writes.configuration.now().isoformat())
    site.post(ORDERS, today)
    same(site.post(f"{ORDERS}(guid'{today['Ref_Key']}')/Post", {"PostingModeOperational": True})[0], 200, "operational, today")


def balance(stand: Shop, card: str) -> Decimal:
    """By the definition, and as Balance answers; a card without movements has none."""
    register, until = "AccumulationRegister_БонусныеБаллы", datetime(2026, 12, 31)
    rows = [row for row in stand.base.sets[register + "_RecordType"].rows if row["БонуснаяКарта_Key"] == card]
    total = sum((row["Начислено"] - row["КСписанию"]) * (1 if row["RecordType"] == "Receipt" else -1) for row in rows
                if row["Active"] and row["Period"] < until)
    found = stand.site.rows(f"{register}/Balance(Period=datetime'{until.isoformat()}')", filter=f"БонуснаяКарта_Key eq guid'{card}'")
    shown = sum(Decimal(str(row["НачисленоBalance"])) - Decimal(str(row["КСписаниюBalance"])) for row in found)
    same(shown, total, "Balance answers what the rows come to")
    return total


def test_points(stand: Shop) -> None:
    site, card, program = stand.site, stand.row(CARDS, 5)["Ref_Key"], stand.row("Catalog_БонусныеПрограммы")["Ref_Key"]
    before = balance(stand, card)

    def give(count, part="НачисленияБонусов", **more) -> str:
        ref = key()
        site.post(BONUS, {"Ref_Key": ref, "Date": "2026-11-20T10:00:00", "БонуснаяПрограмма_Key": program,
                          part: [{"LineNumber": 1, "БонуснаяКарта_Key": card, "Количество": count} | more]})
        return f"{BONUS}(guid'{ref}')"
    path = give(200, ДатаСгорания="2027-11-20T00:00:00")
    same(balance(stand, card) - before, 0, "a bonus document that is not posted gives nothing")
    site.post(path + "/Post?PostingModeOperational=false")
    site.post(path + "/Post?PostingModeOperational=false")
    same(balance(stand, card) - before, 200, "posted, twice: points once")
    spend = give(-50)
    site.post(spend + "/Post")
    same(balance(stand, card) - before, 150, "a negative accrual spends")
    site.post(give(30, "СписанияБонусов") + "/Post")
    same(balance(stand, card) - before, 120, "and so does the other part")
    site.post(spend + "/Unpost")
    same(balance(stand, card) - before, 170, "unposted, they are back")
    site.write("DELETE", path)
    same(balance(stand, card) - before, -30, "deleted, its movements are gone")
    same("loyalty" in stand.control("GET", "/truth"), True, "the truth can still be told")
    stand.modes(post_without_movements=BONUS)
    dry = give(1000)
    site.post(dry + "/Post")
    same((site.get(dry)[1]["Posted"], balance(stand, card) - before), (True, -30), "post_without_movements")


def test_receipts(stand: Shop) -> None:
    """The journal and the registers of sales follow a receipt that is written."""
    site, card, product = stand.site, stand.row(CARDS, 5), stand.row(GOODS)["Ref_Key"]
    sold, ref = Decimal(stand.control("GET", "/truth")["sales"]["sum"]), key()
    body = {"Ref_Key": ref, "Date": "2026-11-20T10:00:00", "ДисконтнаяКарта_Key": card["Ref_Key"], "СуммаДокумента": 1000,
            "Контрагент_Key": card["ВладелецКарты_Key"],
            "Запасы": [{"LineNumber": 1, "Номенклатура_Key": product, "Количество": 1, "Цена": 1000, "Сумма": 1000}]}
    site.post("Document_ЧекККМ", body)
    path, journal = f"Document_ЧекККМ(guid'{ref}')", f"Ref eq cast(guid'{ref}', 'Document_ЧекККМ')"
    same([row["Posted"] for row in site.rows("DocumentJournal_РозничныеПродажи", filter=journal)], [False],
         "a line of the journal")
    site.post(path + "/Post")
    same([row["Posted"] for row in site.rows("DocumentJournal_РозничныеПродажи", filter=journal)], [True], "which follows")
    same(Decimal(stand.control("GET", "/truth")["sales"]["sum"]) - sold, 1000, "posted, it is a sale")
    same(stand.control("POST", "/edit", {"op": "change_amount", "recorder": ref, "line": 1, "amount": 900})["new"], "900.00",
         "users may change it")
    site.post(path + "/Unpost")
    same(Decimal(stand.control("GET", "/truth")["sales"]["sum"]) - sold, 0, "unposted, it is none")
    site.write("DELETE", path)
    same(site.rows("DocumentJournal_РозничныеПродажи", filter=journal), [], "deleted, it has left the journal")


# --- what the base does not allow ----------------------------------------------------------

def test_checks(stand: Shop) -> None:
    site = stand.site
    for name in ("ВалютаДокумента_Key", "СуммаВключаетНДС", "ВидОперации"):
        lacking = stand.order()
        del lacking[name]
        same((site.code("POST", ORDERS, lacking), name.removesuffix("_Key") in site.text("POST", ORDERS, lacking)),
             ((500, "-1"), True),
             f"an order without {name}")
        same(site.error(f"{ORDERS}(guid'{lacking['Ref_Key']}')"), (404, "9"), "is not stored")
    same(site.code("POST", ORDERS, lacking, **{"1C_OData-DataLoadMode": "true"})[0], 201, "in load mode nobody checks")
    bare = {"Ref_Key": key()}
    path = f"{ORDERS}(guid'{bare['Ref_Key']}')"
    stand.modes(fill_check="post")
    same((site.post(ORDERS, bare)[0], site.code("POST", path + "/Post")), (201, (500, "-1")), "fill_check: post")
    stand.modes(fill_check="never")
    same(site.post(path + "/Post")[0], 200, "fill_check: never")
    stand.modes(data_load=False)
    same(site.code("POST", ORDERS, stand.order(), **{"1C_OData-DataLoadMode": "true"}), (400, "17"), "data_load")
    stand.modes(reset_fields=f"^{CUSTOMERS}.Комментарий$")
    row = site.post(CUSTOMERS, {"Комментарий": "сайт", "Description": "я"})[1]
    same((row["Комментарий"], row["Description"]), ("", "я"), "reset_fields")
    for mode, wanted, text in (("read_only", (401, "20"), "прав"),
                               ("locked", (500, "-1"), "Конфликт блокировок при выполнении транзакции"),
                               ("refuse_handler", (500, "-1"), "ПередЗаписью")):
        stand.modes(**{mode: CUSTOMERS})
        same((site.code("POST", CUSTOMERS, {}), text in site.text("POST", CUSTOMERS, {}), site.post(CARDS, {})[0]),
             (wanted, True, 201), mode)
    stand.modes(no_licence=CUSTOMERS)
    status, answer, _ = site.post(CUSTOMERS, {})
    same((status, "лицензии" in answer["exception"]["descr"]), (500, True), "no_licence")
    stand.modes(closed_until="2026-10-31")
    old = stand.order(Date="2026-10-31T23:00:00")
    same(site.post(ORDERS, old)[0], 201, "closed_until: unposted, a document may be of that time")
    path = f"{ORDERS}(guid'{old['Ref_Key']}')"
    same((site.code("POST", path + "/Post"), "2026-10-31" in site.text("POST", path + "/Post")), ((500, "-1"), True),
         "but not be posted")
    stand.modes()
    site.post(path + "/Post")
    stand.modes(closed_until="2026-10-31")
    same([site.code("PATCH", path, {"Комментарий": ""}), site.code("POST", path + "/Unpost"), site.code("DELETE", path)],
         [(500, "-1")] * 3,
         "nor changed when it is posted")
    stand.modes(unlimited_refused=True)
    same((site.error(ORDERS, filter="Комментарий eq 'а'"), len(site.rows(ORDERS, filter="substringof('нет такого', Комментарий)"))),
         ((500, "-1"), 0), "unlimited_refused")
    stand.modes(no_facets=True)
    facets = [b'MaxLength="100"' in site.raw("/$metadata")[2]]
    stand.modes()
    same(facets + [b'MaxLength="100"' in site.raw("/$metadata")[2]], [False, True], "no_facets")
    same(site.raw("/$metadata")[2].count(b'<FunctionImport Name="Unpost"') > 5, True, "documents can be posted, says $metadata")
    odd = (("POST", "Catalog_Нет", {}), ("PUT", CUSTOMERS, {}), ("POST", "$batch", {}), ("PATCH", CUSTOMERS, {}))
    same([site.code(*one) for one in odd],
         [(404, "8"), (501, "0"), (501, "0"), (400, "6")], "addresses")


# --- the wire -----------------------------------------------------------------------------

def lost(stand: Shop, fault: dict, ref: str) -> str:
    """What the client sees of a create when that happens."""
    stand.control("POST", "/faults", {"method": "POST", "match": CUSTOMERS} | fault)
    try:
        status, answer, _ = stand.site.post(CUSTOMERS, {"Ref_Key": ref, "Description": "я"})
        return f"{status} {isinstance(answer, dict) and 'odata.error' in answer}"
    except (ConnectionError, http.client.HTTPException):
        stand.site.connection.close()
        return "cut"
    finally:
        stand.control("POST", "/faults/clear")


def test_wire(stand: Shop) -> None:
    for name, fault, seen, effect in (
            ("cut before it is stored", {"close": True}, "cut", False),
            ("stored, the reply lost", {"close": True, "commit": True}, "cut", True),
            ("stored, a reset", {"close": True, "reset": True, "commit": True}, "cut", True),
            ("stored, the answer cut in its body", {"cut_at": 5}, "cut", True),
            ("stored, then a 500 without odata.error", {"status": 500, "commit": True}, "500 False", True),
            ("stored, then a gateway's 502", {"status": 502, "html": True, "commit": True}, "502 False", True),
            ("not stored, a 502", {"status": 502, "html": True}, "502 False", False),
            ("the lock's text", {"error": {"code": -1, "message": "Конфликт блокировок"}}, "500 True", False)):
        ref = key()
        same((lost(stand, fault, ref), [line["key"] for line in stand.stored()].count(ref)), (seen, int(effect)), name)
        same((stand.stored()[-1:] or [{}])[0].get("key") == ref, effect, "the list of what was stored")
    line = stand.stored()[-1]
    same((line["operation"], line["set"], line["body"]["Description"]), ("create", CUSTOMERS, "я"), "a line of the list")
    same([one["method"] for one in stand.control("GET", "/log") if one["n"] == line["request"]], ["POST"], "and its request")
    late = key()
    same((lost(stand, {"close": True, "commit_after_ms": 300}, late), late in [one["key"] for one in stand.stored()]),
         ("cut", False),
         "cut, and not yet stored")
    end = time.monotonic() + 20
    while late not in [one["key"] for one in stand.stored()] and time.monotonic() < end:
        time.sleep(.05)
    same(stand.stored()[-1]["key"], late, "but later")
    stand.control("POST", "/faults", [{"method": "PATCH", "error": {"code": -1}},
                                      {"match": CUSTOMERS, "chance": .5, "status": 502, "seed": 7}])
    site = stand.site
    same((site.patch(CUSTOMERS, late, {})[0], site.get(CUSTOMERS, top=1)[0] in (200, 502)), (500, True), "rules by method")
    met = [site.get(CUSTOMERS, top=1)[0] for _ in range(40)]
    same(8 < met.count(502) < 32, True, "rules by chance")
    stand.control("POST", "/faults/clear")
    same(stand.effects(lambda: site.code("POST", CUSTOMERS, {"Parent_Key": "x"})), [], "a refusal stores nothing")
    stand.control("POST", "/stored/clear")
    same(stand.stored(), [], "the list is cleared")
    head = (f"POST /b/odata/standard.odata/{quote(CUSTOMERS)} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {site.token}\r\n"
            "Content-Type: application/json\r\n")
    for more, wanted in (("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 100"),
                         ("Transfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 411")):
        with socket.create_connection(("127.0.0.1", stand.port), timeout=10) as wire:
            wire.sendall((head + more).encode())
            same(wire.recv(12), wanted, more.partition("\r")[0])
    with socket.create_connection(("127.0.0.1", stand.port), timeout=10) as wire:
        wire.sendall((head + "Content-Length: 100\r\n\r\n{}").encode())
        wire.shutdown(socket.SHUT_WR)
        same(wire.recv(100), b"", "half a request is none")
    same(len(stand.stored()) <= 1, True, "and stores nothing")


def test_tiny(stand: Shop) -> None:
    """The small base keeps rows in their owners, and DataVersion as bytes."""
    small = Stand()
    site = Site(small.port)
    row = site.post("Catalog_Склады", {"Description": "Склад Г"})[1]
    same((row["Code"], row["DataVersion"]), ("004", FIRST), "created")
    same(site.patch("Catalog_Склады", row["Ref_Key"], {})[1]["DataVersion"], "AAAAAAAAAAE=", "changed")
    ref = site.post("Catalog_Товары", {"Состав": [{"LineNumber": 1, "Доля": 0.5}]})[1]["Ref_Key"]
    lines = [{"LineNumber": 2, "Доля": 2}, {"LineNumber": 1, "Доля": 1}]
    same([line["Доля"] for line in site.patch("Catalog_Товары", ref, {"Состав": lines})[1]["Состав"]], [1, 2], "rows in their order")
    shown = site.get(f"Catalog_Товары(guid'{ref}')")[1]
    same((len(shown["Состав"]), len(site.rows("Catalog_Товары_Состав", filter=f"Ref_Key eq guid'{ref}'"))), (2, 2), "in both places")
    receipt = site.rows("Document_Чек", filter="Posted eq true", top=1)[0]["Ref_Key"]
    sales = f"Recorder eq cast(guid'{receipt}', 'Document_Чек')"
    before = len(site.rows("AccumulationRegister_Продажи_RecordType", filter=sales))
    site.post(f"Document_Чек(guid'{receipt}')/Unpost")
    same((before, site.rows("AccumulationRegister_Продажи_RecordType", filter=sales)), (2, []), "unposted: no movements")
    same(small.server.log.counters["crashes"], 0, "the program did not fail")


def main() -> int:
    stand = Shop()
    for test in (test_create, test_values, test_patch, test_rows, test_delete, test_registers, test_posting, test_points,
                 test_receipts, test_checks, test_wire, test_tiny):
        stand.modes()
        attempt(test, stand)
    print(f"1..{NUMBER[0]}")
    return 1 if NUMBER[1] else 0


if __name__ == "__main__":
    sys.exit(main())
