"""What a backend has used, ten times a second: sampler.py PID > FILE, until the backend ends or TERM.

Each line: seconds since the epoch, CPU seconds of the process, anonymous memory in kB.
"""
import sys
import time

pid = sys.argv[1]
ran, status = f"/proc/{pid}/schedstat", f"/proc/{pid}/status"
while True:
    try:
        cpu = int(open(ran).read().split()[0]) / 1e9
        memory = next(line.split()[1] for line in open(status) if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        break
    print(f"{time.time():.3f} {cpu:.3f} {memory}", flush=True)
    time.sleep(0.1)
