"""Pages of a large register, as 1C would send them, for test/bench/run.

    pages.py make DIRECTORY ROWS      writes the pages that nginx serves, and what else a base is asked for
    pages.py serve PORT OF_ROWS ROWS DELAY_MS    answers any window of dates of the first rows, each answer delayed

Every row has a date of its own, so that a page which begins at a date can be a file named by it: page k begins with the last
row of page k - 1, as the wrapper asks for it.  Three forms of the same rows: "nav" with navigation links (what 1C
sends unless told otherwise), "lean" without, "sel" with four columns only.
"""
import asyncio
import bisect
import datetime
import gzip
import multiprocessing
import os
import random
import re
import sys
import urllib.parse

SET = "AccumulationRegister_Продажи_RecordType"
ROOT = "odata/standard.odata"
TOP = 1000
COLUMNS = [("Recorder", "String"), ("Recorder_Type", "String"), ("Period", "DateTime"), ("LineNumber", "Int64"),
           ("Active", "Boolean"), ("Организация_Key", "Guid"), ("Склад_Key", "Guid"), ("Номенклатура_Key", "Guid"),
           ("Характеристика_Key", "Guid"), ("Контрагент_Key", "Guid"), ("Документ", "String"), ("Документ_Type", "String"),
           ("Количество", "Double"), ("Сумма", "Double"), ("СуммаНДС", "Double"), ("Себестоимость", "Double")]
KEY = ("Recorder", "Recorder_Type", "LineNumber")
LINKS = ("Организация", "Склад", "Номенклатура", "Контрагент")
FORMS = ("nav", "lean", "sel")
START = datetime.datetime(2023, 1, 1)
EMPTY = "00000000-0000-0000-0000-000000000000"


def guid(random_bits):
    text = f"{random_bits:032x}"
    return f"{text[:8]}-{text[8:12]}-11f0-{text[16:20]}-{text[20:]}"


def pool(kind, size):
    source = random.Random(kind)
    return [guid(source.getrandbits(128)) for _ in range(size)]


PRODUCTS, PEOPLE, STORES, TRAITS = pool("product", 20000), pool("person", 200000), pool("store", 24), pool("trait", 5000)


def money(kopecks):
    """As 1C prints a number: no zeros at its end."""
    return f"{kopecks / 100:.2f}".rstrip("0").rstrip(".")


def period(i, total):
    """Three years, evenly; no date twice."""
    return (START + datetime.timedelta(seconds=i * (3 * 365 * 86400 // total))).isoformat()


def receipts(first, last, total):
    """Rows [first, last) as (period, columns as JSON text of each form); 1000 rows from a multiple of 999 on are a page."""
    for i in range(first, last):
        source = random.Random(i // 3)
        recorder = guid(source.getrandbits(128))
        anonymous, back, store = source.random() < 0.55, source.random() < 0.03, STORES[int(24 * source.random() ** 2)]
        person = EMPTY if anonymous else PEOPLE[int(200000 * source.random() ** 3)]
        source = random.Random(-i)
        at = int(20000 * source.random() ** 4)
        count = 1 if source.random() < 0.85 else 1 + int(source.random() * 5)
        price = 9000 + at * 2654435761 % 1500000
        total_price = (price if at % 4 == 0 else price - price % 1000) * count * (-1 if back else 1)
        kind = "StandardODATA.Document_ЧекККМВозврат" if back else "StandardODATA.Document_ЧекККМ"
        yield (period(i, total), recorder, kind, i % 3 + 1, STORES[0], store, PRODUCTS[at],
               TRAITS[at % 5000] if at % 3 == 0 else EMPTY, person, -count if back else count, money(total_price),
               money(total_price // 6), "0" if source.random() < 0.7 else money(total_price * 11 // 20))


def render(row, form):
    date, recorder, kind, line, organization, store, product, trait, person, count, price, tax, cost = row
    if form == "sel":
        return (f'{{\n"Period": "{date}",\n"Номенклатура_Key": "{product}",\n"Количество": {count},\n'
                f'"Сумма": {price}\n}}')
    text = (f'{{\n"Recorder": "{recorder}",\n"Recorder_Type": "{kind}",\n"Period": "{date}",\n"LineNumber": "{line}",\n'
            f'"Active": true,\n"Организация_Key": "{organization}",\n"Склад_Key": "{store}",\n"Номенклатура_Key": "{product}",\n'
            f'"Характеристика_Key": "{trait}",\n"Контрагент_Key": "{person}",\n"Документ": "{recorder}",\n'
            f'"Документ_Type": "{kind}",\n"Количество": {count},\n"Сумма": {price},\n"СуммаНДС": {tax},\n'
            f'"Себестоимость": {cost}')
    if form == "nav":
        address = f"{SET}(Recorder='{recorder}', Recorder_Type='{kind}', LineNumber={line})"
        for link in LINKS[:3] if person == EMPTY else LINKS:
            text += f',\n"{link}@navigationLinkUrl": "{address}/{link}"'
    return text + "\n}"


def page(rows, form):
    head = "{\n"
    if form != "lean":
        head += f'"odata.metadata": "http://1c.example/base/{ROOT}/$metadata#{SET}",\n'
    return (head + '"value": [' + ",".join(rows) + "]\n}").encode()


def metadata():
    properties = "".join(f'<Property Name="{n}" Type="Edm.{t}" Nullable="{"false" if n in KEY else "true"}"/>'
                         for n, t in COLUMNS)
    keys = "".join(f'<PropertyRef Name="{n}"/>' for n in KEY)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices
 m:DataServiceVersion="3.0" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
<Schema Namespace="StandardODATA" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">
<EntityType Name="{SET}"><Key>{keys}</Key>{properties}</EntityType>
<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">
<EntitySet Name="{SET}" EntityType="StandardODATA.{SET}"/></EntityContainer></Schema>
</edmx:DataServices></edmx:Edmx>""".encode()


def service():
    return f'{{"odata.metadata": "x", "value": [{{"name": "{SET}", "url": "{SET}"}}]}}'.encode()


# ---- files for nginx ----

def make_page(task):
    directory, number, total = task
    first = number * (TOP - 1)
    rows = list(receipts(first, min(first + TOP, total), total))
    write_page(directory, rows[0][0] if number else "first", rows)
    return sum(round(float(row[10]) * 100) for row in rows[1 if number else 0:])


def write_page(directory, name, rows):
    for form in FORMS:
        body = page([render(row, form) for row in rows], form)
        with open(f"{directory}/{form}/{name}.json", "wb") as file:
            file.write(body)
        if form != "sel":
            with open(f"{directory}/{form}/{name}.json.gz", "wb") as file:
                file.write(gzip.compress(body, 6))


def make(directory, total):
    for form in FORMS:
        os.makedirs(f"{directory}/{form}", exist_ok=True)
    for name, body in ("metadata.xml", metadata()), ("service.json", service()):
        with open(f"{directory}/{name}", "wb") as file:
            file.write(body)
    # A last page that is full makes the wrapper ask for one more.
    pages = range((total - 1) // (TOP - 1) + 1)
    with multiprocessing.Pool() as workers:
        kopecks = sum(workers.imap_unordered(make_page, ((directory, n, total) for n in pages), 8))
    # Who begins with the last page, and has seen no other, asks whether anything follows its last row.
    write_page(directory, period(total - 1, total), list(receipts(total - 1, total, total)))
    print(period((len(pages) - 1) * (TOP - 1), total), kopecks)


# ---- a slow base ----

class Slow:
    """Windows of the first rows, cut as asked for."""

    def __init__(self, total, rows, delay):
        self.dates, self.rows = [], []
        self.delay = delay
        for row in receipts(0, rows, total):
            self.dates.append(row[0])
            self.rows.append(render(row, "nav"))

    def answer(self, target):
        address = urllib.parse.urlsplit(target)
        path = urllib.parse.unquote(address.path)
        if path.endswith("$metadata"):
            return "application/xml", metadata()
        if not path.endswith(SET):
            return "application/json", service()
        query = {k: v[0] for k, v in urllib.parse.parse_qs(address.query).items()}
        first, last = 0, len(self.rows)
        for operator, date in re.findall(r"Period (ge|lt) datetime'([^']+)'", query.get("$filter", "")):
            at = bisect.bisect_left(self.dates, date)
            first, last = (max(first, at), last) if operator == "ge" else (first, min(last, at))
        first += int(query.get("$skip", 0))
        last = min(last, first + int(query.get("$top", last)))
        return "application/json", page(self.rows[first:max(first, last)], "nav")

    async def talk(self, reader, writer):
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                kind, body = self.answer(line.split()[1].decode())
                await asyncio.sleep(self.delay)
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind};charset=utf-8\r\n"
                             f"Content-Length: {len(body)}\r\n\r\n".encode())
                writer.write(body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def serve(port, total, rows, delay):
    slow = Slow(total, rows, delay)
    server = await asyncio.start_server(slow.talk, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main():
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    else:
        asyncio.run(serve(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]) / 1000))


if __name__ == "__main__":
    main()
