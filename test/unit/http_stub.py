#!/usr/bin/env python3
"""A hostile HTTP server for test_http: the path of the request chooses the fault.

    http_stub.py [--cert FILE --key FILE --expired-cert FILE --expired-key FILE]

Listens on free ports of 127.0.0.1 and prints one line:

    ports PLAIN OTHER CLOSED HOLE SILENT [TLS EXPIRED]

PLAIN speaks HTTP (and its faults); OTHER does too, but is only there to see
whether anybody comes; CLOSED refuses; HOLE never completes a TCP handshake;
SILENT accepts and says nothing.  The program ends when its standard input does.
"""

import argparse
import gzip
import os
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

LOCK = threading.Lock()
COUNTS = {}                     # (port, what) -> number


def count(port, what):
    with LOCK:
        COUNTS[port, what] = COUNTS.get((port, what), 0) + 1


def pattern(n):
    """n bytes whose value depends on their position."""
    block = bytes(97 + i % 26 for i in range(26 * 1024))
    return (block * (n // len(block) + 1))[:n]


def head(status=200, *lines, length=None):
    text = "HTTP/1.1 %d Stub\r\nContent-Type: text/plain\r\n" % status
    if length is not None:
        text += "Content-Length: %d\r\n" % length
    return (text + "".join(line + "\r\n" for line in lines) + "\r\n").encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Hangup(Exception):
    """Close the connection now."""


class Connection:
    def __init__(self, sock, port, ports):
        self.sock = sock
        self.port = port
        self.ports = ports
        self.close_on_next = False

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        """Close so that the peer sees RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup

    def read_request(self):
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.sock.recv(65536)
            if not part:
                raise Hangup
            data += part
            if data[:1] == b"\x16":     # a TLS client
                self.send(head(400, length=0))
                raise Hangup
            if b"/fault-early" in data:
                self.reset()
        head, self.body = data.split(b"\r\n\r\n", 1)
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(self.body) < int(lengths[0]):
            self.body += self.sock.recv(65536) or self.hang_up()
        return head.decode("latin-1")

    def hang_up(self):
        raise Hangup

    def serve(self):
        while True:
            request = self.read_request()
            method, target = request.split(" ")[:2]
            parts = target.split("?")[0].strip("/").split("/")
            count(self.port, "requests")
            count(self.port, method)
            if self.close_on_next:
                raise Hangup
            handler = getattr(self, "do_" + parts[0].replace("-", "_"), None)
            if handler is None:
                self.send(head(404, length=0))
            else:
                handler(request, *parts[1:])

    # ---- good answers ----

    def do_ok(self, request, n="5"):
        self.send(head(length=int(n)) + pattern(int(n)))

    def do_echo(self, request):
        body = request.encode("latin-1")
        self.send(head(length=len(body)) + body)

    def do_taken(self, request):
        """What came: the number of bytes of the body, and whether they are the pattern."""
        body = b"%d %d" % (len(self.body), self.body == pattern(len(self.body)))
        self.send(head(length=len(body)) + body)

    def do_stats(self, request, port):
        body = ("connections=%d requests=%d posts=%d" % tuple(
            COUNTS.get((int(port), what), 0) for what in ("connections", "requests", "POST"))).encode()
        self.send(head(length=len(body)) + body)

    def do_chunked(self, request, n):
        body = pattern(int(n))
        self.send(head(200, "Transfer-Encoding: chunked"))
        for i in range(0, len(body), 10000):
            self.send(chunk(body[i:i + 10000]))
        self.send(b"0\r\n\r\n")

    def do_trailer(self, request):
        self.send(head(200, "Transfer-Encoding: chunked", "Trailer: Content-Encoding"))
        self.send(chunk(b"hello") + b"0\r\nContent-Encoding: br\r\nSet-Cookie: ibsession=late\r\n\r\n")

    def do_interim(self, request):
        self.send(b"HTTP/1.1 103 Early\r\nSet-Cookie: ibsession=early\r\nRetry-After: 9\r\n\r\n")
        self.send(head(length=5) + b"hello")

    def do_gzip(self, request, n):
        body = gzip.compress(pattern(int(n)), 1)
        self.send(head(200, "Content-Encoding: gzip", length=len(body)) + body)

    def do_deflate(self, request, n):
        body = zlib.compress(pattern(int(n)))
        self.send(head(200, "Content-Encoding: deflate", length=len(body)) + body)

    def do_until_close(self, request):
        self.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
        raise Hangup

    def do_status(self, request, status):
        self.send(head(int(status)) if status == "204" else head(int(status), length=4) + b"text")

    def do_retry(self, request, value):
        self.send(head(503, "Retry-After: " + value.replace("%20", " "), length=0))

    def do_retry_date(self, request, seconds):
        when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + int(seconds)))
        self.send(head(503, "Retry-After: " + when, length=0))

    def do_cookie(self, request):
        self.send(head(200, "Set-Cookie: theme=dark; path=/", "Set-Cookie: IBSession=ab-12; Path=/; HttpOnly",
                       "Set-Cookie: ibsession2=no", length=0))

    def do_redirect(self, request, kind):
        where = {"same": "/ok/5", "other": "http://127.0.0.1:%d/ok/5" % self.ports["other"],
                 "file": "file:///etc/passwd", "ftp": "ftp://127.0.0.1/x", "loop": "/redirect/loop"}[kind]
        self.send(head(302, "Location: " + where, length=0))

    # ---- kept connections that go away ----

    def do_close_quiet(self, request):
        self.send(head(length=5) + b"hello")
        raise Hangup

    def do_close_on_next(self, request):
        self.close_on_next = True
        self.send(head(length=5) + b"hello")

    # ---- faults ----

    def do_bomb(self, request, megabytes="200"):
        """One compressed megabyte of zeros again and again: made in no time."""
        megabytes, zeros, checksum = int(megabytes), bytes(1 << 20), 0
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        block = deflater.compress(zeros) + deflater.flush(zlib.Z_FULL_FLUSH)
        for _ in range(megabytes):
            checksum = zlib.crc32(zeros, checksum)
        body = gzip.compress(b"")[:10] + block * megabytes + deflater.flush() + struct.pack("<II", checksum, megabytes << 20)
        self.send(head(200, "Content-Encoding: gzip", length=len(body)) + body)

    def do_gzip_chain(self, request):
        body = gzip.compress(gzip.compress(b"hello"))
        self.send(head(200, "Content-Encoding: gzip, gzip", length=len(body)) + body)

    def do_gzip_twice(self, request):
        body = gzip.compress(gzip.compress(b"hello"))
        self.send(head(200, "Content-Encoding: gzip", "Content-Encoding: gzip", length=len(body)) + body)

    def do_gzip_six(self, request):
        self.send(head(200, "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip", length=5) + b"hello")

    def do_gzip_damaged(self, request):
        body = bytearray(gzip.compress(os.urandom(5000)))
        body[10] = 0xff
        self.send(head(200, "Content-Encoding: gzip", length=len(body)) + bytes(body))

    def do_gzip_cut(self, request, n):
        body = gzip.compress(pattern(100000))
        body = body[:max(len(body) - int(n), 0)]
        self.send(head(200, "Content-Encoding: gzip", length=len(body)) + body)

    def do_gzip_checksum(self, request):
        body = bytearray(gzip.compress(pattern(100000)))
        body[-8] ^= 1
        self.send(head(200, "Content-Encoding: gzip", length=len(body)) + bytes(body))

    def do_deflate_bare(self, request, n):
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflater.compress(pattern(int(n))) + deflater.flush()
        self.send(head(200, "Content-Encoding: deflate", length=len(body)) + body)

    def do_gzip_tail(self, request):
        body = gzip.compress(b"hello") + b"something else"
        self.send(head(200, "Content-Encoding: gzip", length=len(body)) + body)

    def do_brotli(self, request):
        self.send(head(200, "Content-Encoding: br", length=5) + b"hello")

    def do_te_gzip(self, request):
        self.send(head(200, "Transfer-Encoding: gzip, chunked") + chunk(gzip.compress(b"hello")) + b"0\r\n\r\n")

    def do_huge(self, request):
        self.send(head(length=50 * 10**9) + b"only the beginning")
        time.sleep(20)

    def do_length(self, request, value):
        self.send(head(200, "Content-Length: " + value) + b"hello")
        raise Hangup

    def do_short(self, request):
        self.send(head(length=1000) + b"hello")
        raise Hangup

    def do_short_chunk(self, request):
        self.send(head(200, "Transfer-Encoding: chunked") + chunk(b"hello"))
        raise Hangup

    def do_bad_chunk(self, request):
        self.send(head(200, "Transfer-Encoding: chunked") + chunk(b"hello") + b"zz\r\nhello\r\n0\r\n\r\n")
        time.sleep(0.5)

    def do_reset(self, request):
        self.send(head(length=100000) + pattern(50000))
        time.sleep(0.1)
        self.reset()

    def do_nothing(self, request):
        raise Hangup

    def do_silent(self, request):
        time.sleep(20)

    def do_stall(self, request, n="5"):
        self.send(head(length=10**6) + pattern(int(n)))
        time.sleep(20)

    def do_late(self, request, ms):
        time.sleep(int(ms) / 1000)
        self.send(head(length=5) + b"hello")

    def do_burst(self, request, n, ms):
        """All but the last five bytes at once."""
        body = pattern(int(n))
        self.send(head(length=int(n)) + body[:-5])
        time.sleep(int(ms) / 1000)
        self.send(body[-5:])

    def do_drip(self, request, n, ms):
        self.send(head(length=int(n)))
        for byte in pattern(int(n)):
            time.sleep(int(ms) / 1000)
            self.send(bytes([byte]))

    def do_many_headers(self, request):
        self.send(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200):
            self.send(b"".join(b"X-Flood-%06d: filler filler\r\n" % i for i in range(1000)))
        self.send(b"Content-Length: 0\r\n\r\n")

    def do_many_interims(self, request):
        for _ in range(200):
            self.send(b"HTTP/1.1 103 Early\r\nLink: </style.css>\r\n\r\n" * 1000)
        self.send(head(length=0))

    def do_long_header(self, request):
        self.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
        for _ in range(100):
            self.send(b"a" * 100000)
        self.send(b"\r\nContent-Length: 0\r\n\r\n")

    def do_garbage(self, request):
        self.send(bytes(range(256)) * 20)
        raise Hangup

    def do_http09(self, request):
        self.send(b"<html>hello</html>\n")
        raise Hangup

    def do_second_status(self, request):
        body = gzip.compress(gzip.compress(b"hello"))
        self.send(head(200, "Content-Encoding: gzip", "HTTP/x: 200", "Content-Encoding: gzip", length=len(body)) + body)

    def do_two_blanks(self, request):
        self.send(b"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello")

    def do_switch(self, request):
        self.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello")
        time.sleep(5)

    def do_version(self, request):
        self.send(b"HTTP/7.3 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        raise Hangup


def serve(sock, port, ports, context):
    try:
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        Connection(sock, port, ports).serve()
    except (Hangup, OSError):
        pass
    finally:
        sock.close()


def accept(listener, ports, context=None):
    port = listener.getsockname()[1]
    while True:
        sock, _ = listener.accept()
        count(port, "connections")
        threading.Thread(target=serve, args=(sock, port, ports, context), daemon=True).start()


def listen(backlog=50):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def main():
    parser = argparse.ArgumentParser()
    for name in ("--cert", "--key", "--expired-cert", "--expired-key"):
        parser.add_argument(name)
    args = parser.parse_args()
    keep = []

    plain, other, hole, silent, closed = listen(), listen(), listen(0), listen(), listen()
    ports = {"other": other.getsockname()[1]}
    for listener in (plain, other):
        threading.Thread(target=accept, args=(listener, ports), daemon=True).start()
    # a full queue drops every further SYN
    for _ in range(3):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(hole.getsockname())
        keep.append(sock)
    listeners = [plain, other, closed, hole, silent]
    for cert, key in ((args.cert, args.key), (args.expired_cert, args.expired_key)):
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            listener = listen()
            threading.Thread(target=accept, args=(listener, ports, context), daemon=True).start()
            listeners.append(listener)
    numbers = [listener.getsockname()[1] for listener in listeners]
    closed.close()
    print("ports", *numbers, flush=True)
    sys.stdin.read()
    os._exit(0)


main()
