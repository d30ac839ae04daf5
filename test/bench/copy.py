"""What a careful user writes without the wrapper: pages over one connection, json, COPY; the next page is fetched in a thread.

    copy.py PORT < addresses      fills the table "loaded"; the addresses are those that the wrapper asked for
"""
import concurrent.futures
import http.client
import importlib
import io
import json
import operator
import sys

from pages import COLUMNS

psycopg2 = importlib.import_module("psycopg2")   # the one thing here beyond the standard library, and optional

VALUES = operator.itemgetter(*[name for name, _ in COLUMNS])


def text(value):
    return "\\N" if value is None else str(value)


def main():
    addresses = sys.stdin.read().split()
    base = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))

    def fetch(address):
        base.request("GET", address)
        return base.getresponse().read()

    with psycopg2.connect("") as db, db.cursor() as cursor, concurrent.futures.ThreadPoolExecutor(1) as ahead:
        answer = ahead.submit(fetch, addresses[0])
        for number in range(len(addresses)):
            rows = json.loads(answer.result())["value"]
            if number + 1 < len(addresses):
                answer = ahead.submit(fetch, addresses[number + 1])
            # The first row of each later page came with the page before.
            rows = rows[1:] if number else rows
            cursor.copy_expert("COPY loaded FROM STDIN",
                               io.StringIO("".join("\t".join(map(text, VALUES(row))) + "\n" for row in rows)))


if __name__ == "__main__":
    main()
