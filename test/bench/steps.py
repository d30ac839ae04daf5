"""A job's figures as lines of a table: steps.py TITLE SAMPLES PSQL_LOG COUNTERS TEMP_BYTES < steps of the run, tab-separated.

SAMPLES are sampler.py's; a step is target, began, ended (seconds since the epoch), rows read, inserted, updated, deleted, requests.
"""
import bisect
import json
import re
import sys


def main() -> None:
    title, samples, log, counters, temp = sys.argv[1:]
    points = [tuple(map(float, line.split())) for line in open(samples) if line.count(" ") == 2 and line.endswith("\n")]
    times = [point[0] for point in points]

    def cpu(at: float) -> float:
        place = min(max(bisect.bisect(times, at), 1), len(points) - 1)
        (t0, c0, _), (t1, c1, _) = points[place - 1], points[place]
        return c0 + (c1 - c0) * min(max((at - t0) / (t1 - t0), 0), 1)

    seconds = sum(float(ms) for ms in re.findall(r"^Time: ([0-9.]+) ms", open(log).read(), re.M)) / 1000
    counted = json.loads(counters)
    used = points[-1][1] - points[0][1] if len(points) > 1 else 0
    grown = (max(point[2] for point in points) - points[0][2]) / 1024 if points else 0
    print(f"{title:<44}{seconds:9.2f}{used:9.2f}{counted['requests']:9d}{'':10}{counted['bytes'] / 1e6:9.1f}"
          f"{int(temp) / 1e6:9.1f}{grown:9.1f}")
    if len(points) < 2:
        return
    for line in sys.stdin.read().splitlines():
        target, began, ended, *rows, requests = line.split("\t")
        if began and ended:
            began, ended = float(began), float(ended)
            print(f"    {target:<40}{ended - began:9.2f}{cpu(ended) - cpu(began):9.2f}{int(requests):9d}{int(rows[0]):10d}"
                  f"   +{rows[1]} ~{rows[2]} -{rows[3]}")


if __name__ == "__main__":
    main()
