"""What was written into the base: the truth that a client's own belief is held against."""

from __future__ import annotations

import threading
from typing import Any


class Stored:
    """Every effect, in the order in which it came about; a refused write has none."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lines: list[dict[str, Any]] = []
        self.number = 0

    def add(self, operation: str, name: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """body: the object as it stands now (of a deleted one: stood); "request" comes when the request is logged."""
        with self.lock:
            self.number += 1
            line = {"n": self.number, "operation": operation, "set": name, "key": key, "body": body, "request": None}
            self.lines.append(line)
        return line

    def since(self, number: int) -> list[dict[str, Any]]:
        with self.lock:
            return [dict(line) for line in self.lines if line["n"] > number]

    def clear(self) -> None:
        """Numbers go on."""
        with self.lock:
            self.lines.clear()
