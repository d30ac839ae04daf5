"""What is armed, which requests are lied to, and what was told.

Nothing here goes by the clock: a decision follows from the seed, the question, and how often that question was asked since
arming.  So a run repeats, even where questions overtake each other.
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import replace
from typing import Any, Callable

from lies import LIES, Asked, Lie, Told
from model import Base
from request import Reply, split_call


class Arm:
    """One set of lies, from arming until the next."""

    def __init__(self, base: Base, given: dict[str, Any]):
        unknown = set(given) - {"kinds", "rate", "steady", "seed", "sets", "times", "cap"}
        unknown |= set(given.get("kinds", ())) - set(LIES)
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        self.base = base
        self.kinds: list[Lie] = [LIES[name] for name in given.get("kinds", ())]
        self.rate = float(given.get("rate", .3))  # of the requests that a lie is open to
        self.steady = float(given.get("steady", 1))  # of the sets that a steady lie is told about
        self.seed = given.get("seed", 0)
        self.pattern = re.compile(given.get("sets", ""))
        self.left = int(given.get("times", 1_000_000))  # so many lies, then the truth
        self.cap = int(given.get("cap") or self.draw("cap").choice((3, 4, 5, 7, 10, 12)))  # rows of a page that is cut
        self.hides = any(one.hides for one in self.kinds)
        self.asked: dict[str, int] = {}
        self.hidden: set[str] = set()
        self.down_for = 0

    def draw(self, *what: Any) -> random.Random:
        """Random numbers that are the same each time, for what is to stay as it was."""
        return random.Random("/".join(map(str, (self.seed, *what))))

    def rng_of(self, kind: str, asked: Asked) -> random.Random:
        return self.draw(kind, asked.set, asked.kind, sorted(asked.options.items()), asked.times)

    def hide(self, asked: Asked, rows: list[dict]) -> bool:
        """May these rows be kept back?  Of each question's rows only once: what is hidden always is hidden from everybody."""
        keys = {str(asked.key_of(row)) for row in rows}
        if keys & self.hidden:
            return False
        self.hidden |= keys
        return True

    def down(self, requests: int) -> None:
        self.down_for = max(self.down_for, requests)

    def sets(self) -> list[str]:
        """Sets that have rows."""
        return sorted(name for name in self.base.sets if self.base.record_set(name).rows)

    def properties(self, name: str) -> set[str]:
        return {field.name for field in self.base.sets[name].properties}

    def choose(self, asked: Asked) -> list[Lie]:
        """The occasional lies for this request, the one to try first first."""
        if self.left <= 0 or not self.pattern.search(asked.set):
            return []
        if self.down_for > 0 and "gateway_a_while" in {one.name for one in self.kinds} and asked.kind != "metadata":
            self.down_for -= 1
            asked.during = True
            return [LIES["gateway_a_while"]]
        rng = self.rng_of("choose", asked)
        found = [one for one in self.kinds if not one.steady and asked.kind in one.to and rng.random() < self.rate]
        rng.shuffle(found)
        return found

    def nature(self, asked: Asked) -> list[Lie]:
        """The steady lies about this set: what the base is like, cut pages last."""
        if self.left <= 0 or not self.pattern.search(asked.set):
            return []
        found = [one for one in self.kinds if one.steady and asked.kind in one.to
                 and self.draw("steady", one.name, asked.set).random() < self.steady]
        return sorted(found, key=lambda one: (one.name == "cap", one.name))


class Layer:
    """A base with one steady lie more: asked as the base below it is."""

    def __init__(self, one: Lie, asked: Asked):
        self.one, self.asked, self.below = one, asked, asked.ask

    def __call__(self, options: dict[str, str], name: str | None = None) -> Reply:
        reply = self.below(options, name)
        told = self.told(options, name, reply)
        return told.reply if told else reply

    def told(self, options: dict[str, str], name: str | None, reply: Reply) -> Told | None:
        asked = replace(self.asked, options=options, ask=self.below, set=name or self.asked.set)
        return self.one.tell(asked, reply, asked.arm.rng_of(self.one.name, asked))


class Liar:
    def __init__(self, base: Base):
        self.base = base
        self.lock = threading.Lock()
        self.arm: Arm | None = None
        self.lies: list[dict[str, Any]] = []
        self.told = 0

    def prepare(self, given: dict[str, Any]) -> None:
        with self.lock:
            self.arm = Arm(self.base, given)

    def honest(self) -> None:
        with self.lock:
            self.arm = None

    def instead(self, request: tuple[str, dict[str, str], str], honest: Reply, ask: Callable[..., Reply]) -> Told | None:
        """What goes out in place of the honest answer to (path, options, address); None: that itself."""
        path, options, address = request
        with self.lock:
            if self.arm is None:
                return None
            asked = self._asked(path, options, address, ask)
            underneath = self._underneath(asked, honest)
            for one in self.arm.choose(asked):
                told = one.tell(asked, underneath.reply if underneath else honest, self.arm.rng_of(one.name, asked))
                if told:
                    return self._record(one.name, told, path, options)
            return underneath and self._record(underneath.name, underneath, path, options)

    def _underneath(self, asked: Asked, honest: Reply) -> Told | None:
        """What a base of this nature answers; from now on asked.ask() asks such a base."""
        found = None
        for one in self.arm.nature(asked):
            asked.ask = layer = Layer(one, asked)
            told = layer.told(asked.options, None, found.reply if found else honest)
            if told:
                told.name, told.rule = one.name, told.rule or (found and found.rule)
                found = told
        return found

    def _record(self, name: str, told: Told, path: str, options: dict[str, str]) -> Told:
        self.arm.left -= 1
        self.told += 1
        told.name = name
        self.lies.append({"n": self.told, "lie": name, "path": path, "options": options, "note": told.note})
        return told

    def _asked(self, path: str, options: dict[str, str], address: str, ask: Callable[..., Reply]) -> Asked:
        segments = [part for part in path.split("/") if part]
        name, arguments = split_call(segments[0]) if segments else ("", None)
        found = self.base.sets.get(name)
        kind = "list"
        if found is None:
            kind = "metadata"
        elif arguments is not None:
            kind = "entity"
        elif len(segments) > 1:
            kind = "count" if segments[1] == "$count" else "call"
        text = f"{path}?{sorted(options.items())}"
        times = self.arm.asked.get(text, 0)
        self.arm.asked[text] = times + 1
        return Asked(kind, name, found.key if found and kind == "list" else (), options, address, ask, self.arm, times)
