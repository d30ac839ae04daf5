"""Amounts changed in documents of the demo 1C: edit.py CONTROL_PORT < recorders, one a line (not a sale: nothing happens)."""
import http.client
import json
import sys

control = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
changed = 0
for line in sys.stdin:
    control.request("POST", "/edit", json.dumps({"op": "change_amount", "seed": line, "recorder": line.strip()}))
    answer = control.getresponse()
    answer.read()
    changed += answer.status == 200
print(f"{changed} lines changed")
