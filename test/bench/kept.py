"""A base that costs nothing: the demo 1C's answers, kept and given again.

kept.py PORT CONTROL_PORT URL     the base behind it is at URL (host:port)

What was asked before is answered from memory, headers and all; anything else is asked of the base and kept.  So whoever has done
a job once can measure the same job without the base.  Sessions are not kept: the client has to do without them.
On the control port: GET /counters (requests, missed, bytes), /clear (counters), /forget (answers: the base has changed).
"""
import http.client
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SENT = ("authorization", "accept", "accept-encoding")


class Kept:
    def __init__(self, base: str):
        self.base = base
        self.lock = threading.Lock()
        self.answers: dict[tuple, bytes] = {}
        self.clear()

    def clear(self) -> None:
        self.counters = {"requests": 0, "missed": 0, "bytes": 0}

    def answer(self, asked: tuple, ask) -> bytes:
        answer = self.answers.get(asked)
        missed = answer is None
        if missed:
            status, answer = ask()
            if status == 200:
                self.answers[asked] = answer
        with self.lock:
            self.counters["requests"] += 1
            self.counters["missed"] += missed
            self.counters["bytes"] += len(answer)
        return answer


class Connection:
    def __init__(self, kept: Kept, connection: socket.socket):
        self.kept, self.socket = kept, connection
        self.base = http.client.HTTPConnection(kept.base)

    def run(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.socket, self.socket.makefile("rb", 65536) as stream:
                while line := stream.readline():
                    head = [line]
                    while (line := stream.readline()).strip():
                        head.append(line)
                    asked = (head[0], *sorted(h for h in head[1:] if h.split(b":")[0].lower().decode() in SENT))
                    self.socket.sendall(self.kept.answer(asked, lambda: self.ask(head)))
        except OSError:
            pass

    def ask(self, head: list[bytes]) -> tuple[int, bytes]:
        method, target, _ = head[0].decode("latin-1").split(" ")
        headers = dict(h.decode("latin-1").strip().split(": ", 1) for h in head[1:])
        self.base.request(method, target, headers=headers)
        reply = self.base.getresponse()
        body = reply.read()
        names = "".join(f"{name}: {value}\r\n" for name, value in reply.getheaders())
        return reply.status, f"HTTP/1.1 {reply.status} {reply.reason}\r\n{names}\r\n".encode("latin-1") + body


def control(kept: Kept, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            text = json.dumps(kept.counters).encode()
            if self.path == "/clear":
                kept.clear()
            if self.path == "/forget":
                kept.answers.clear()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever, daemon=True).start()


def main() -> None:
    port, control_port, base = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    kept = Kept(base)
    listening = socket.create_server(("127.0.0.1", port), backlog=64)
    control(kept, control_port)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=Connection(kept, connection).run, daemon=True).start()


if __name__ == "__main__":
    main()
