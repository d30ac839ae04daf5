"""What the demo 1C counted since it was told to clear: counters.py CONTROL_PORT < number of rows that were wanted."""
import json
import sys
import urllib.request

rows = int(sys.stdin.read())
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/counters") as answer:
    counters = json.load(answer)
print(f"{counters['requests']:>9} {counters['rows_touched']:>9} {counters['rows_touched'] / rows:>8.2f}"
      f"   {counters['busiest']} at once")
