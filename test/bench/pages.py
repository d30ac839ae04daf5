"""A register that costs its server next to nothing to read: page server of test/bench/run.

    pages.py PORT ROWS        serves http://127.0.0.1:PORT/bench
    pages.py --csv ROWS       prints the same rows for COPY

Rows are rendered once per $select and kept as one string, so a page is a slice of memory.  Of the dialect it
knows what a full read needs: $top, $skip, $select, a window of Period in $filter, $metadata and /$count.
"""
import bisect
import datetime
import http.server
import re
import sys
import urllib.parse

SET = "AccumulationRegister_Продажи_RecordType"
COLUMNS = [("Period", "DateTime"), ("Recorder", "String"), ("Recorder_Type", "String"), ("LineNumber", "Int64"),
           ("Active", "Boolean"), ("Номенклатура_Key", "Guid"), ("Контрагент_Key", "Guid"), ("Склад_Key", "Guid"),
           ("Организация_Key", "Guid"), ("Количество", "Double"), ("Сумма", "Double")]
KEY = ("Recorder", "Recorder_Type", "LineNumber")
START = datetime.datetime(2023, 1, 1)


def guid(kind, number):
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def row(i, total):
    """Row i of the register, ordered by period: three years, three lines a receipt."""
    receipt = i // 3
    period = START + datetime.timedelta(seconds=int(receipt * 3 * 94608000 / total))
    return (period.isoformat(), guid(1, receipt), "StandardODATA.Document_ЧекККМ", str(i % 3 + 1), True,
            guid(2, i * 7919 % 5000), guid(3, receipt * 104729 % 20000), guid(4, receipt % 5), guid(5, 1),
            i % 3 + 1, (i * 37 % 100000) / 100 + 50)


def render(value):
    if value is True:
        return "true"
    return f'"{value}"' if isinstance(value, str) else str(value)


class Register:
    def __init__(self, total):
        self.rows = [row(i, total) for i in range(total)]
        self.periods = [r[0] for r in self.rows]
        self.rendered = {}

    def slice(self, select, first, last):
        """Bytes of the rows [first, last) with the columns of $select."""
        if select not in self.rendered:
            names = [c for c, _ in COLUMNS]
            wanted = [names.index(c) for c in select.split(",")] if select else range(len(names))
            parts, offsets, at = [], [0], 0
            for r in self.rows:
                text = "{\n" + ",\n".join(f'"{names[i]}": {render(r[i])}' for i in wanted) + "\n},"
                parts.append(text.encode())
                at += len(parts[-1])
                offsets.append(at)
            self.rendered[select] = (memoryview(b"".join(parts)), offsets)
        data, offsets = self.rendered[select]
        # The comma after the last row stays behind.
        return data[offsets[first]:max(offsets[first], offsets[last] - 1)]

    def window(self, condition):
        first, last = 0, len(self.rows)
        for operator, text in re.findall(r"Period (ge|gt|lt|le) datetime'([^']+)'", condition):
            find = bisect.bisect_left if operator in ("ge", "lt") else bisect.bisect_right
            if operator in ("ge", "gt"):
                first = max(first, find(self.periods, text))
            else:
                last = min(last, find(self.periods, text))
        return first, max(first, last)


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


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    register = None

    def log_message(self, *_):
        pass

    def answer(self, kind, *parts):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(sum(len(p) for p in parts)))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(address.path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(address.query).items()}
        first, last = self.register.window(query.get("$filter", ""))
        if path.endswith("$metadata"):
            self.answer("application/xml;charset=utf-8", metadata())
        elif path.endswith("/$count"):
            self.answer("text/plain", str(last - first).encode())
        elif path.endswith(SET):
            first = min(last, first + int(query.get("$skip", 0)))
            last = min(last, first + int(query.get("$top", last - first)))
            self.answer("application/json;odata=minimalmetadata;charset=utf-8",
                        b'{"odata.metadata": "x", "value": [', self.register.slice(query.get("$select", ""), first, last),
                        b"]}")
        else:
            self.answer("application/json;charset=utf-8",
                        f'{{"odata.metadata": "x", "value": [{{"name": "{SET}", "url": "{SET}"}}]}}'.encode())


def main():
    if sys.argv[1] == "--csv":
        for i in range(int(sys.argv[2])):
            print(",".join("t" if v is True else str(v) for v in row(i, int(sys.argv[2]))))
        return
    Handler.register = Register(int(sys.argv[2]))
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
