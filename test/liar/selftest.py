"""Tests of the liar over its own sockets: each lie is what it says, and a seed repeats a run.  Prints TAP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
SET, LOGIN = "Catalog_Номенклатура", base64.b64encode(b"demo:demo").decode()
QUESTION = {"$top": "10", "$skip": "10", "$orderby": "Ref_Key", "$select": "Ref_Key,Code,IsFolder", "$filter": "IsFolder eq false"}
done = failed = 0


def check(good: bool, name: str) -> None:
    global done, failed
    done += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {done} - {name}", flush=True)


def control(method: str, path: str, body=None):
    link = http.client.HTTPConnection("127.0.0.1", ports[1])
    link.request(method, path, None if body is None else json.dumps(body))
    return json.loads(link.getresponse().read())


def ask(path: str = SET, **changed: str | None):
    """Status and body; None where the connection broke."""
    options = {name: value for name, value in (QUESTION | {"$" + key: value for key, value in changed.items()}).items() if value}
    query = "&".join(f"{name}={quote(value)}" for name, value in options.items()) if "/" not in path and "(" not in path else ""
    link = http.client.HTTPConnection("127.0.0.1", ports[0])
    link.request("GET", f"/x/odata/standard.odata/{quote(path, safe='/$')}?{query}", None,
                 {"Authorization": "Basic " + LOGIN, "Accept": "application/json;odata=nometadata"})
    try:
        answer = link.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError):
        return None, b""


def rows(**changed: str | None) -> list:
    return json.loads(ask(**changed)[1])["value"]


def arm(kind: str, **more) -> None:
    control("POST", "/arm", {"kinds": [kind], "rate": 1, "seed": 3} | more)


def keys(found: list) -> list:
    return [row.get("Ref_Key") for row in found]


def about_rows() -> None:
    truth, first, everything = keys(rows()), keys(rows(skip=None)), keys(rows(top=None, skip=None))
    expect = {
        "cap": lambda k: len(k) < 10 and k == truth[:len(k)],
        "short": lambda k: len(k) < 10 and k == truth[:len(k)],
        "empty": lambda k: k == [],
        "long": lambda k: len(k) > 10 and k[:10] == truth,
        "doubled": lambda k: sorted(k) == sorted(truth * 2),
        "rows_twice": lambda k: len(k) > 10 and set(k) == set(truth),
        "twin": lambda k: len(k) == 11 and set(k) == set(truth),
        "rows_dropped": lambda k: len(k) < 10 and set(k) < set(truth),
        "rows_swapped": lambda k: len(k) == 10 and len(set(k)) == 9 and set(k) < set(truth),
        "again": lambda k: k == first,
        "ignore_skip": lambda k: k == first,
        "ignore_top": lambda k: k == everything[10:],
        "ignore_filter": lambda k: len(k) == 10 and k != truth,
        "ignore_order": lambda k: k == truth,  # the base stores them in this order
        "shuffle": lambda k: len(k) == 10 and k != truth and set(k) <= set(everything),
    }
    for kind, right in expect.items():
        arm(kind)
        check(right(keys(rows(orderby="Ref_Key desc" if kind == "ignore_order" else "Ref_Key"))), kind)
    for kind in ("doubled", "rows_twice"):
        arm(kind)
        check(len(rows(select="Code", top="1000")) == len(everything) - 10 and len(rows(select="Code")) > 10,
              f"{kind} is told only where it shows")
    arm("short")
    hidden = len(set(truth) - set(keys(rows())))
    check(hidden > 0 and keys(rows()) == truth, "what was kept back once is there the next time")


def about_answers() -> None:
    for kind in ("gateway", "gateway_a_while"):
        arm(kind)
        check((ask()[0] or 0) >= 400, kind)
    arm("gateway_a_while", rate=.5)
    check(len({ask(top=str(n))[0] for n in range(1, 20)}) > 1, "a while ends")
    for kind in ("cut", "hung_up"):
        arm(kind)
        check(ask()[0] is None, kind)
    arm("cut_whole")
    status, body = ask()
    try:
        check(status == 200 and json.loads(body) is None, "cut_whole")
    except ValueError:
        check(True, "cut_whole")
    arm("not_1c")
    check(not ask()[1].startswith(b'{\n"value": [{'), "not_1c")
    arm("refuses_once")
    check([ask()[0], ask()[0]] == [500, 200], "refuses_once")
    arm("keyless")
    check(None in keys(rows()), "keyless")
    arm("error_inside", seed=1)
    check(b"odata.error" in ask()[1], "error_inside")
    arm("property_gone")
    check({"Code", "IsFolder"} - set(rows()[0]) != set(), "property_gone")
    arm("property_gone_later")
    check(len(rows(skip=None)[0]) == 3 and len(rows()[0]) == 2, "property_gone_later")
    arm("other_set")
    check(not {"Ref_Key", "Code", "IsFolder"} <= set(rows()[0]), "other_set")
    arm("next_loop")
    check("odata.nextLink" in json.loads(ask()[1]), "next_loop")


def about_counts() -> None:
    control("POST", "/honest", {})
    path = SET + "/$count"
    truth = ask(path)
    arm("count_refused")
    check(ask(path)[0] == 400, "count_refused")
    arm("count_wrong")
    check(ask(path) != truth, "count_wrong")
    arm("count_late")
    check(ask(path) == truth, "count_late")
    arm("entity_denied")
    check(ask(f"{SET}(guid'{keys(rows(filter=None))[0]}')")[0] == 404, "entity_denied")


def about_seeds() -> None:
    told = []
    for seed in (5, 5, 6):
        control("POST", "/arm", {"kinds": sorted(control("GET", "/kinds")), "rate": .4, "seed": seed, "steady": .5})
        since = len(control("GET", "/lies"))
        for skip in range(0, 30, 3):
            ask(skip=str(skip))
        told.append([(one["lie"], one["note"]) for one in control("GET", f"/lies?since={since}")])
    check(told[0] == told[1] and len(told[0]) > 3, "a seed repeats its lies")
    check(told[0] != told[2], "another seed tells others")
    arm("empty", times=2)
    check([len(rows(skip=None)) == 0, len(rows()) == 0, len(rows(skip="20")) == 0] == [True, True, False], "so many lies, then the truth")
    arm("empty", sets="Контрагенты")
    check(len(rows()) == 10, "only about the sets that were named")


liar = subprocess.Popen([sys.executable, HERE, "--port", "0", "--control-port", "0"], stdout=subprocess.PIPE, text=True)
try:
    words = liar.stdout.readline().split()
    ports = [int(words[at].split(":")[2].split("/")[0]) for at in (1, 3)]
    about_rows()
    about_answers()
    about_counts()
    about_seeds()
finally:
    liar.kill()
print(f"1..{done}")
sys.exit(failed > 0)
