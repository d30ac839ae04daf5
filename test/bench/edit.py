"""Edits of the demo 1C, an object of JSON a line: edit.py CONTROL_PORT < edits.  Says how many could be made."""
import http.client
import sys

control = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
made = 0
for line in sys.stdin:
    control.request("POST", "/edit", line.encode())
    answer = control.getresponse()
    answer.read()
    made += answer.status == 200
print(f"{made} edits")
