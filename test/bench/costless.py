"""A 1C base whose answers cost next to nothing: each is a slice of a buffer that was written before the first question.

costless.py PORT CONTROL_PORT LINES     so many lines of sales; a card for each 20 of them, a product for each 200, and points

It publishes no more than what the main job reads, knows conditions on the date ("ge", "lt", also "gt" and "le"), lists of equal keys,
$top, $skip and /$count, and has its rows in the order that is asked for: by date, catalogs by Ref_Key.  Every row has the columns that
the job selects.  On the control port: GET /counters (requests, bytes), /clear (counters), /change?percent=P&days=D (the amounts of
so many documents of the last days, to the same length, so that nothing moves), /rows.
"""
import array
import bisect
import json
import random
import re
import socket
import sys
import threading
import urllib.parse
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EMPTY = "00000000-0000-0000-0000-000000000000"
YEARS = 3
CHECK = "StandardODATA.Document_ЧекККМ"
RETURN = "StandardODATA.Document_ЧекККМВозврат"
SALES = "AccumulationRegister_Продажи"
POINTS = "AccumulationRegister_БонусныеБаллы"
DATED = {SALES + "_RecordType": "Period", POINTS + "_RecordType": "Period"}
# What is asked for by key: of these properties it is known which rows have which value.
SOUGHT = {SALES + "_RecordType": ("Контрагент_Key", "Recorder"), POINTS + "_RecordType": ("БонуснаяКарта_Key", "Recorder"),
          "Catalog_ДисконтныеКарты": ("Ref_Key", "ВладелецКарты_Key", "КодКартыШтрихкод"), "Catalog_Контрагенты": ("Ref_Key",),
          "Catalog_Номенклатура": ("Ref_Key",), "Catalog_КатегорииНоменклатуры": ("Ref_Key",), "Catalog_СтруктурныеЕдиницы": ("Ref_Key",)}
PROPERTIES = {
    "Catalog_ДисконтныеКарты": "Ref_Key:Guid DeletionMark:Boolean Owner_Key:Guid Code Description ВладелецКарты_Key:Guid"
    " КартаНедействительна:Boolean КодКартыМагнитный КодКартыШтрихкод",
    "Catalog_Контрагенты": "Ref_Key:Guid DeletionMark:Boolean Parent_Key:Guid IsFolder:Boolean Code Description НаименованиеПолное"
    " ДатаРождения:DateTime ДатаСоздания:DateTime Пол НомерТелефонаДляПоиска АдресЭПДляПоиска",
    "Catalog_КатегорииНоменклатуры": "Ref_Key:Guid DeletionMark:Boolean Parent_Key:Guid IsFolder:Boolean Code Description",
    "Catalog_Номенклатура": "Ref_Key:Guid DeletionMark:Boolean Parent_Key:Guid IsFolder:Boolean Code Description Артикул"
    " КатегорияНоменклатуры_Key:Guid Производитель_Key:Guid",
    "Catalog_СтруктурныеЕдиницы": "Ref_Key:Guid DeletionMark:Boolean Parent_Key:Guid Code Description",
    SALES + "_RecordType": "Recorder Recorder_Type LineNumber:Int64 Period:DateTime Active:Boolean Контрагент_Key:Guid"
    " Номенклатура_Key:Guid Характеристика_Key:Guid Склад_Key:Guid Организация_Key:Guid Документ Документ_Type Количество:Double"
    " Сумма:Double Себестоимость:Double",
    POINTS + "_RecordType": "Recorder Recorder_Type LineNumber:Int64 Period:DateTime Active:Boolean RecordType БонуснаяКарта_Key:Guid"
    " ДатаПервоначальногоНачисления:DateTime Начислено:Double КСписанию:Double",
}


def metadata() -> bytes:
    types, sets = [], []
    for name, properties in PROPERTIES.items():
        keys = ("Recorder", "Recorder_Type", "LineNumber") if name in DATED else ("Ref_Key",)
        rows = "".join(f'<Property Name="{n}" Type="Edm.{t or "String"}" Nullable="{str(n not in keys).lower()}"/>'
                       for n, _, t in (p.partition(":") for p in properties.split()))
        types.append(f'<EntityType Name="{name}"><Key>{"".join(f"<PropertyRef Name={chr(34)}{k}{chr(34)}/>" for k in keys)}</Key>'
                     f"{rows}</EntityType>")
        sets.append(f'<EntitySet Name="{name}" EntityType="StandardODATA.{name}"/>')
    return ('<?xml version="1.0" encoding="UTF-8"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">'
            '<edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:DataServiceVersion="3.0">'
            '<Schema Namespace="StandardODATA" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">'
            + "".join(types) + '<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">' + "".join(sets)
            + "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>").encode()


class Rows:
    """The rows of a set in one buffer, where each begins, their dates, and which have a value that is asked for."""

    def __init__(self, name: str):
        self.date, self.sought = DATED.get(name), SOUGHT[name]
        self.text, self.begins, self.dates = bytearray(), array.array("Q"), []
        self.places: dict[str, dict[str, list[int]]] = {p: {} for p in self.sought}
        self.spelled = [f'"{p.partition(":")[0]}": ' for p in PROPERTIES[name].split()]

    def add(self, *values: object) -> None:
        row = ",".join(f"{name}{'true' if v is True else 'false' if v is False else v if isinstance(v, Number) else chr(34) + v + chr(34)}"
                       for name, v in zip(self.spelled, values))
        for name in self.sought:
            value = re.search(f'"{name}": "([^"]*)"', row)[1]
            self.places[name].setdefault(value, []).append(len(self.begins))
        if self.date:
            self.dates.append(re.search(f'"{self.date}": "([^"]*)"', row)[1])
        self.begins.append(len(self.text))
        self.text += f"{{{row}}},".encode()

    def close(self) -> None:
        self.begins.append(len(self.text))

    def between(self, first: int, end: int) -> bytes:
        return bytes(memoryview(self.text)[self.begins[first]:max(self.begins[end] - 1, self.begins[first])])

    def chosen(self, condition: str) -> range | list[int]:
        """Places of the rows that satisfy $filter."""
        low, high, places = 0, len(self.begins) - 1, None
        for operator, value in re.findall(rf"{self.date or '-'} (ge|gt|lt|le|eq) datetime'([^']*)'", condition):
            if operator in ("ge", "gt", "eq"):
                low = max(low, (bisect.bisect_right if operator == "gt" else bisect.bisect_left)(self.dates, value))
            if operator in ("lt", "le", "eq"):
                high = min(high, (bisect.bisect_left if operator == "lt" else bisect.bisect_right)(self.dates, value))
        for name in self.sought:
            if values := re.findall(rf"\b{name} eq (?:guid)?'([^']*)'", condition):
                found = {p for v in values for p in self.places[name].get(v, ())}
                places = found if places is None else places & found
        known = re.sub(r"ne datetime'0001-01-01T00:00:00'|datetime'[^']*'|guid'[^']*'|'[^']*'|\b(and|or|ge|gt|lt|le|eq)\b|[() ]", "",
                       condition)  # no date is empty here
        for name in (self.date or "", *self.sought):
            known = known.replace(name, "") if name else known
        if known:
            raise ValueError(f"condition not known: {condition}")
        return range(low, max(low, high)) if places is None else sorted(p for p in places if low <= p < high)


class Number(str):
    pass


def money(value: float) -> Number:
    return Number(f"{value:10.2f}")  # as long as any other, so that it can be changed in place


class Shop:
    def __init__(self, lines: int):
        self.dice = random.Random(1)
        self.now = datetime.now().replace(microsecond=0)
        self.sets = {name: Rows(name) for name in PROPERTIES}
        self.ids = [self.guid() for _ in range(60)]
        self.categories, self.brands, self.stores = self.ids[:40], self.ids[40:50], self.ids[50:]
        self.goods(max(lines // 200, 50))
        self.people(max(lines // 20, 50))
        self.documents(lines)
        for rows in self.sets.values():
            rows.close()

    def guid(self) -> str:
        text = f"{self.dice.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def goods(self, count: int) -> None:
        names = ("Кольца", "Серьги", "Колье", "Браслеты", "Подвески", "Броши", "Упаковка", "Часы")
        for i, key in enumerate(sorted(self.categories)):
            self.sets["Catalog_КатегорииНоменклатуры"].add(key, False, EMPTY, False, f"{i:09}", f"{names[i % 8]} {i // 8 or ''}".strip())
        for i, key in enumerate(sorted(self.stores)):
            self.sets["Catalog_СтруктурныеЕдиницы"].add(key, False, EMPTY, f"{i:09}", f"Магазин {i + 1}")
        self.products = sorted(self.guid() for _ in range(count))
        self.prices = [self.dice.lognormvariate(8, .6) for _ in self.products]
        for i, key in enumerate(self.products):
            self.sets["Catalog_Номенклатура"].add(key, False, EMPTY, False, f"{i:011}", f"Изделие {i}", f"A-{i}",
                                                  self.dice.choice(self.categories), self.dice.choice(self.brands))
        # some goods sell much more than others
        self.popular = self.dice.choices(range(count), [1 / (i + 10) for i in range(count)], k=100_000)

    def people(self, count: int) -> None:
        self.owners = sorted(self.guid() for _ in range(count))
        self.cards = sorted(self.guid() for _ in range(count))
        self.kind = self.guid()
        for i, key in enumerate(self.owners):
            self.sets["Catalog_Контрагенты"].add(key, False, EMPTY, False, f"{i:09}", f"Покупатель {i}", f"Покупатель {i}",
                                                 "0001-01-01T00:00:00", self.moment(.001), "", f"7000{i:07}", "")
        for i, key in enumerate(self.cards):
            self.sets["Catalog_ДисконтныеКарты"].add(key, False, self.kind, f"{i:09}", f"Карта {i}", self.owners[i], False, "",
                                                     f"7000{i:07}")
        weights = [self.dice.gammavariate(.8, 1) for _ in self.owners]
        self.buyers = self.dice.choices(range(count), weights, k=max(count * 20, 100_000))

    def moment(self, share: float) -> str:
        """So far through the years the shop has been open, within its hours."""
        day, part = divmod(share * 365 * YEARS, 1)
        at = (self.now - timedelta(days=365 * YEARS - int(day))).replace(hour=0, minute=0, second=0) + timedelta(hours=10 + 11 * part)
        return min(at, self.now).strftime("%Y-%m-%dT%H:%M:%S")

    def documents(self, lines: int) -> None:
        sales, points = self.sets[SALES + "_RecordType"], self.sets[POINTS + "_RecordType"]
        dice, done, organization, ahead = self.dice, 0, self.guid(), []
        while done < lines:
            share, document = done / lines, self.guid()
            at, store = self.moment(share), self.stores[int(dice.random() * len(self.stores))]
            buyer = self.buyers[int(dice.random() * len(self.buyers))] if dice.random() < .8 else None
            kind, sign, total = (RETURN, -1, 0.) if dice.random() < .02 else (CHECK, 1, 0.)
            for line in range(1, min(int(dice.expovariate(.5)) + 1, lines - done) + 1):
                product = self.popular[int(dice.random() * 100_000)]
                amount = sign * round(self.prices[product] * (1 - .1 * (dice.random() < .3)), 2)
                sales.add(document, kind, str(line), at, True, EMPTY if buyer is None else self.owners[buyer], self.products[product],
                          EMPTY, store, organization, document, kind, Number(sign), money(amount), money(amount * .55))
                total += amount
                done += 1
            if buyer is not None:
                card, until = self.cards[buyer], self.moment(min(share + .3, 1.2))
                points.add(document, kind, "1", at, True, "Receipt", card, at, money(total * .05), money(0))
                ahead.append((until, document, kind, card, at, total * .05))
        for until, document, kind, card, at, amount in ahead:  # what expires is written ahead; those rows come last, and late enough
            if until > points.dates[-1]:
                points.add(document, kind, "2", until, True, "Expense", card, at, money(amount), money(0))

    def change(self, percent: float, days: float) -> int:
        rows, changed = self.sets[SALES + "_RecordType"], 0
        since = (self.now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S")
        for place in range(bisect.bisect_left(rows.dates, since), len(rows.dates)):
            if self.dice.random() * 100 < percent:
                at = rows.text.index(b'"\xd0\xa1\xd1\x83\xd0\xbc\xd0\xbc\xd0\xb0": ', rows.begins[place]) + 14 + 9
                rows.text[at] = ord("1") + (rows.text[at] - ord("0")) % 9
                changed += 1
        return changed


class Server:
    def __init__(self, shop: Shop):
        self.shop, self.metadata, self.lock = shop, metadata(), threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.counters = {"requests": 0, "bytes": 0}

    def answer(self, target: str) -> tuple[str, bytes]:
        path, _, query = target.partition("?")
        name = urllib.parse.unquote(path).rstrip("/").split("/odata/standard.odata")[-1].strip("/")
        asked = {k: v[0] for k, v in urllib.parse.parse_qs(query).items()}
        if name == "$metadata":
            return "application/xml", self.metadata
        counted = name.endswith("/$count")
        rows = self.shop.sets[name.removesuffix("/$count")]
        places = rows.chosen(asked.get("$filter", ""))
        if counted:
            return "text/plain", str(len(places)).encode()
        skip = int(asked.get("$skip", 0))
        if asked.get("$orderby", "").endswith(" desc"):
            places = places[::-1]
        places = places[skip:skip + int(asked.get("$top", len(places)))]
        if isinstance(places, range) and places.step == 1:
            body = rows.between(places.start, max(places.stop, places.start))
        else:
            body = b",".join(rows.between(p, p + 1) for p in places)
        return "application/json", b'{"odata.metadata": "", "value": [' + body + b"]}"

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection, connection.makefile("rb", 65536) as stream:
                while line := stream.readline():
                    while stream.readline().strip():
                        pass
                    try:
                        status, (kind, body) = "200 OK", self.answer(line.split()[1].decode())
                    except (KeyError, ValueError) as error:
                        status, kind, body = "404 Not Found", "text/plain", f"{error}".encode()
                        print(urllib.parse.unquote(line.decode()), error, file=sys.stderr, flush=True)
                    with self.lock:
                        self.counters["requests"] += 1
                        self.counters["bytes"] += len(body)
                    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind};charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
                                       .encode())
                    connection.sendall(body)
        except OSError:
            pass


def control(server: Server, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            asked = {k: float(v[0]) for k, v in urllib.parse.parse_qs(query).items()}
            told = (server.shop.change(**asked) if path == "/change" else {n: len(r.begins) - 1 for n, r in server.shop.sets.items()}
                    if path == "/rows" else dict(server.counters))
            if path == "/clear":
                server.clear()
            text = json.dumps(told, ensure_ascii=False).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever, daemon=True).start()


def main() -> None:
    port, control_port, lines = map(int, sys.argv[1:])
    server = Server(Shop(lines))
    listening = socket.create_server(("127.0.0.1", port), backlog=64)
    control(server, control_port)
    while True:
        threading.Thread(target=server.serve, args=listening.accept()[:1], daemon=True).start()


if __name__ == "__main__":
    main()
