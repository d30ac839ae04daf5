"""Faults by rule: which requests they meet, and what then goes out on the wire.

A rule is a JSON object.  When it acts:
  match      regular expression, searched in "path?query" (both decoded, below the service root; "" matches all)
  method     regular expression, of the whole method ("POST|PATCH"; "" matches all)
  after      the first so many matching requests pass unharmed (0)
  nth        acts on the nth matching request only, counted from 1
  every      acts on every nth matching request
  times      acts so many times, then never again
  chance     acts on this share of them, at random; seed: of that (0)
What happens (any of them together):
  delay_ms   wait before the first byte             hang       answer nothing until the client goes away
  status     another status                         body, body_base64   another body
  html       true: a web server's page; or its text content_type, headers
  error      {"code": 9, "message": "…"}: an odata.error of that code in the format asked for
  exception  text: the application server's {"exception": …}
  retry_after  seconds, as the header of that name
  replace    [[old, new], …] in the text of the body that would have gone out
  cut_at     close after so many bytes of the body  reset      close with RST, not FIN
  close_after     close behind the answer without having said so
  close      close before the first byte            drip_ms    one byte of the body each so many ms
  chunked    true: send in chunks; "broken": with a bad frame
  content_length  another number in that header     raw_base64 these bytes instead of an HTTP answer
  drop_session    the request's 1C session is gone
A rule that changes nothing of status and body lets the request be answered as usual.  One that gives the whole
answer (status, body, html, error, exception, raw_base64, close, hang) keeps the request from the base, but:
  commit     true: the base does what was asked, and only then the rule's answer goes out in place of its own
  commit_after_ms  it does so that many ms after the rule's answer went out, when nobody listens any more
"""

from __future__ import annotations

import base64
import random
import re
import threading
from itertools import count
from typing import Any

from request import Refusal, Reply, error_reply, exception_reply

HTML = ("<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1>"
        "<p>1C:Enterprise 8 application error: the service is not available.</p></body></html>")
REASONS = {200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect",
           308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 411: "Length Required",
           412: "Precondition Failed", 414: "URI Too Long", 415: "Unsupported Media Type",
           429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
           503: "Service Unavailable", 504: "Gateway Timeout"}
KNOWN = {"match", "after", "nth", "every", "times", "delay_ms", "hang", "status", "body", "body_base64", "html",
         "content_type", "headers", "error", "exception", "retry_after", "replace", "cut_at", "reset", "close", "drip_ms",
         "chunked", "close_after", "content_length", "raw_base64", "drop_session", "method", "chance", "seed", "commit",
         "commit_after_ms"}


class Rule:
    def __init__(self, number: int, given: dict[str, Any]):
        unknown = set(given) - KNOWN
        if unknown:
            raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown))}")
        self.number = number
        self.given = given
        self.pattern = re.compile(given.get("match", ""))
        self.method = re.compile(given.get("method") or ".*")
        self.random = random.Random(given.get("seed", 0))
        self.met = 0
        self.acted = 0

    def acts(self, text: str, method: str) -> bool:
        if not self.pattern.search(text) or not self.method.fullmatch(method):
            return False
        self.met += 1
        given = self.given
        if self.met <= given.get("after", 0) or self.acted >= given.get("times", self.acted + 1):
            return False
        turn = self.met - given.get("after", 0)
        if turn != given.get("nth", turn) or turn % given.get("every", 1):
            return False
        if self.random.random() >= given.get("chance", 1):
            return False
        self.acted += 1
        return True

    def __getitem__(self, name: str) -> Any:
        return self.given.get(name)

    @property
    def replaces(self) -> bool:
        """Does the rule give the whole answer, so that the base need not be asked?"""
        return any(name in self.given for name in ("status", "body", "body_base64", "html", "error", "exception",
                                                   "raw_base64", "close", "hang"))

    def shown(self) -> dict[str, Any]:
        return self.given | {"id": self.number, "met": self.met, "acted": self.acted}


class Faults:
    def __init__(self):
        self.rules: list[Rule] = []
        self.numbers = count(1)
        self.lock = threading.Lock()

    def add(self, given: list[dict[str, Any]]) -> None:
        rules = [Rule(next(self.numbers), one) for one in given]
        with self.lock:
            self.rules += rules

    def clear(self) -> None:
        with self.lock:
            self.rules = []

    def find(self, text: str, method: str) -> Rule | None:
        """The first rule that acts on this request; a rule that does not act still counts it."""
        with self.lock:
            for rule in self.rules:
                if rule.acts(text, method):
                    return rule
        return None


def own_reply(rule: Rule, form: str) -> Reply:
    """The answer of a rule that replaces it."""
    status = rule["status"] or (500 if rule["error"] or rule["exception"] else 200)
    if rule["error"]:
        given = rule["error"]
        return error_reply(Refusal(status, given.get("code", -1), given.get("message", "Ошибка")), form)
    if rule["exception"]:
        reply = exception_reply(rule["exception"])
        reply.status = status
        return reply
    if rule["html"] or (rule["body"] is None and rule["body_base64"] is None and status >= 300):
        title = f"{status} {REASONS.get(status, 'Error')}"
        page = rule["html"] if isinstance(rule["html"], str) else HTML.format(title=title)
        return Reply(status, page.encode(), "text/html;charset=utf-8")
    body = base64.b64decode(rule["body_base64"]) if rule["body_base64"] else (rule["body"] or "").encode()
    return Reply(status, body)


def changed(rule: Rule, reply: Reply) -> Reply:
    """What the rule makes of an answer, its own or the base's."""
    for old, new in rule["replace"] or ():
        reply.body = reply.body.replace(old.encode(), new.encode())
    if rule["content_type"]:
        reply.content_type = rule["content_type"]
    reply.headers.update(rule["headers"] or {})
    if rule["retry_after"] is not None:
        reply.headers["Retry-After"] = str(rule["retry_after"])
    return reply
