#!/usr/bin/env python3
"""Ask the control port: ctl.py PORT get|post /path ['{"json": …}'].  Prints its JSON on one line."""

import sys
import urllib.error
import urllib.request


def main(arguments: list[str]) -> int:
    if len(arguments) not in (3, 4) or arguments[1].lower() not in ("get", "post"):
        print(__doc__, file=sys.stderr)
        return 2
    port, method, path = arguments[0], arguments[1].upper(), arguments[2]
    data = (arguments[3] if len(arguments) == 4 else "{}").encode() if method == "POST" else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"},
                                     method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            text, status = answer.read(), 0
    except urllib.error.HTTPError as error:
        text, status = error.read(), 1
    sys.stdout.buffer.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
