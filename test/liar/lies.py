"""The lies, each with a name: what goes out in place of the honest answer.

A lie takes the request as asked (Asked), the honest answer, and what it draws from (rng); it gives what goes out, or None
where it has nothing to lie about.  What a lie is:
  to      the requests it is told to: list, count, entity (one by key), call (a virtual table), metadata
  seen    whoever reads with care can see it: an answer is the truth or an error
  guard   of those nobody can see: what keeps the store from harm
  hides   rows that are there are kept back (see Arm.hide)
  steady  told to all requests of a set or to none; the others at the rate that is armed
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any, Callable

from faults import HTML, Rule
from request import JSON, Refusal, Reply, error_reply


@dataclass
class Asked:
    kind: str
    set: str
    key: tuple[str, ...]  # the set's key properties
    options: dict[str, str]
    address: str  # as it was asked, with scheme and host
    ask: Callable[..., Reply]  # ask(options, set=…): the honest answer to another question
    arm: Any
    times: int  # how often this very question was asked before
    during: bool = False  # of a while that has begun

    def number(self, option: str) -> int | None:
        text = self.options.get(option)
        return int(text) if text and text.isdigit() else None

    def key_of(self, row: dict[str, Any]) -> tuple:
        return (self.set, *(str(row.get(name)) for name in self.key)) if self.key else (self.set, json.dumps(row))

    def wanted(self) -> list[str]:
        """The properties asked for by name."""
        return [name for name in self.options.get("$select", "").split(",") if name and name != "*"]

    def shows(self, rows: list[dict[str, Any]]) -> bool:
        """Can a reader see that of these rows some are the same?  By their key, or because they are more than were asked for."""
        top = self.number("$top")
        return bool(self.key) and set(self.key) <= set(rows[0]) or top is not None and len(rows) > top


@dataclass
class Told:
    reply: Reply
    rule: Rule | None = None  # what happens to the connection
    note: str = ""
    delay: float = 0  # seconds before the answer
    name: str = ""  # of the lie, set by whoever tells it


@dataclass(frozen=True)
class Lie:
    name: str
    tell: Callable[[Asked, Reply, random.Random], Told | None]
    to: frozenset[str]
    about: str
    seen: bool = False
    hides: bool = False
    steady: bool = False
    guard: str = ""


LIES: dict[str, Lie] = {}


def lie(*to: str, **traits: Any) -> Callable:
    def register(function: Callable) -> Callable:
        name = function.__name__
        LIES[name] = Lie(name, function, frozenset(to), (function.__doc__ or "").strip(), **traits)
        return function
    return register


@dataclass
class Page:
    """The rows of an answer, and what stands around them."""

    envelope: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, reply: Reply) -> Page | None:
        if reply.status != 200 or not reply.content_type.startswith("application/json"):
            return None
        found = json.loads(reply.body.decode("utf-8-sig"))
        return cls(found, found["value"]) if isinstance(found.get("value"), list) else None

    def told(self, rows: list[Any], note: str = "", **more: Any) -> Told:
        text = json.dumps(self.envelope | more | {"value": rows}, ensure_ascii=False)
        return Told(Reply(200, text.encode(), JSON, len(rows), len(rows)), None, note)


def of_page(tell: Callable) -> Callable:
    """A lie about rows: told only where there are some."""
    def inner(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
        page = Page.of(honest)
        return tell(asked, page, rng) if page and page.rows else None
    inner.__name__, inner.__doc__ = tell.__name__, tell.__doc__
    return inner


TEXTS = ("Code", "Description", "Number", "Представление", "Артикул", "НаименованиеПолное")  # what a twin may differ in

# --- how many rows a page has ---------------------------------------------------------------

@lie("list", seen=True, steady=True)
@of_page
def cap(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """No page of any set ever has more than so many rows."""
    most = asked.arm.cap
    # what was cut before is told as it is, so that it is on record
    return page.told(page.rows[:most], f"{most}") if len(page.rows) >= most else None


@lie("list", hides=True,
     guard="nothing is deleted before the count agrees and the missing keys are not found by key")
@of_page
def short(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """The last rows of a page are missing."""
    count = rng.randint(1, max(1, len(page.rows) // 2))
    return page.told(page.rows[:-count], f"-{count}") if asked.arm.hide(asked, page.rows[-count:]) else None


@lie("list", "call", hides=True,
     guard="an empty set is believed by force only, an empty window when the count says nought, too")
@of_page
def empty(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """An empty list in place of rows."""
    return page.told([]) if asked.arm.hide(asked, page.rows) else None


@lie("list", seen=True)
@of_page
def long(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """A page has more rows than were asked for: those that follow."""
    top = asked.number("$top")
    if not top:
        return None
    more = Page.of(asked.ask(asked.options | {"$top": str(top + rng.choice((1, 2, top)))}))
    return more.told(more.rows, f"{len(more.rows)} for {top}") if more and len(more.rows) > top else None


@lie("list", seen=True)
@of_page
def doubled(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """The page holds all its rows twice, where that shows."""
    rows = page.rows + page.rows if rng.random() < .5 else [row for row in page.rows for _ in range(2)]
    return page.told(rows) if asked.shows(rows) else None


@lie("list", seen=True)
@of_page
def rows_twice(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """Some rows come twice, and alike, where that shows."""
    rows = list(page.rows)
    for row in rng.sample(page.rows, min(len(rows), rng.randint(1, 3))):
        rows.insert(rng.randrange(len(rows) + 1), row)
    return page.told(rows, f"+{len(rows) - len(page.rows)}") if asked.shows(rows) else None


@lie("list", guard="read again: if the key has several rows once more, all are kept and reported")
@of_page
def twin(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """A row comes twice, and the two differ."""
    row = dict(rng.choice(page.rows))
    open_to = [name for name, value in row.items() if name not in asked.key and not name.endswith(("_Key", "_Type"))
               and not isinstance(value, bool) and (isinstance(value, (int, float)) or name in TEXTS and isinstance(value, str))]
    if not open_to:
        return None
    name = rng.choice(open_to)
    row[name] = row[name] + " (другой)" if isinstance(row[name], str) else row[name] + 1
    rows = list(page.rows)
    rows.insert(rng.randrange(len(rows) + 1), row)
    return page.told(rows, name)


@lie("list", "call", hides=True,
     guard="nothing is deleted before the count agrees; a query shows what was sent")
@of_page
def rows_dropped(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """Some rows are missing inside the page."""
    gone = rng.sample(range(len(page.rows)), min(len(page.rows), rng.randint(1, 3)))
    if not asked.arm.hide(asked, [page.rows[at] for at in gone]):
        return None
    return page.told([row for at, row in enumerate(page.rows) if at not in gone], f"-{len(gone)}")


@lie("list", hides=True,
     guard="a key that comes twice counts once, so the count does not agree and nothing is deleted")
@of_page
def rows_swapped(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """A row is missing, and another is there twice in its place: the page is as long as it ought to be."""
    if len(page.rows) < 2:
        return None
    gone, other = rng.sample(range(len(page.rows)), 2)
    if not asked.arm.hide(asked, [page.rows[gone]]):
        return None
    return page.told([page.rows[other] if at == gone else row for at, row in enumerate(page.rows)])


# --- which rows a page has ------------------------------------------------------------------

@lie("list", seen=True)
@of_page
def again(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """The page before this one comes again."""
    top, skip = asked.number("$top"), asked.number("$skip")
    if not top or not skip:
        return None
    before = Page.of(asked.ask(asked.options | {"$skip": str(max(skip - top, 0))}))
    return before.told(before.rows) if before and before.rows else None


@lie("list", seen=True, steady=True)
@of_page
def ignore_skip(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """$skip has no effect: every page is the first."""
    if not asked.number("$skip"):
        return None
    return Told(asked.ask({name: value for name, value in asked.options.items() if name != "$skip"}))


@lie("list", seen=True, steady=True)
def ignore_top(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """$top has no effect."""
    if not asked.number("$top"):
        return None
    return Told(asked.ask({name: value for name, value in asked.options.items() if name != "$top"}))


@lie("list", seen=True, steady=True)
def ignore_filter(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """$filter has no effect."""
    if "$filter" not in asked.options:
        return None
    return Told(asked.ask({name: value for name, value in asked.options.items() if name != "$filter"}))


@lie("list", steady=True,
     guard="keys missing under $skip are asked for one by one before anything is deleted; diagnose() tells of an ignored order")
def ignore_order(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """$orderby has no effect: rows come as they are stored."""
    if "$orderby" not in asked.options:
        return None
    return Told(asked.ask({name: value for name, value in asked.options.items() if name != "$orderby"}))


@lie("list", steady=True,
     guard="keys missing under $skip are asked for one by one before anything is deleted")
def shuffle(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """Every answer has the rows in another order, whatever was asked for."""
    whole = Page.of(asked.ask({name: value for name, value in asked.options.items() if name not in ("$top", "$skip", "$orderby")}))
    if not whole or len(whole.rows) < 2:
        return None
    rng.shuffle(whole.rows)
    skip, top = asked.number("$skip") or 0, asked.number("$top")
    return whole.told(whole.rows[skip:None if top is None else skip + top])


@lie("list", seen=True)
def other_set(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """The answer of another set, which lacks a property that was asked for."""
    wanted = set(asked.wanted()) or asked.arm.properties(asked.set)
    others = [name for name in asked.arm.sets() if wanted - asked.arm.properties(name)]
    if not others:
        return None
    name = rng.choice(others)
    kept = {option: value for option, value in asked.options.items() if option in ("$top", "$format")}
    return Told(asked.ask(kept, name), None, name)


@lie("list", seen=True)
@of_page
def next_loop(asked: Asked, page: Page, rng: random.Random) -> Told:
    """A next link that leads back: to this very page, or to the first."""
    target = asked.address
    if rng.random() < .5 and asked.number("$skip"):
        target = target.replace(f"$skip={asked.number('$skip')}", "$skip=0")
    return page.told(page.rows, "", **{"odata.nextLink": target})


# --- what a row has -------------------------------------------------------------------------

@lie("list", seen=True, steady=True)
@of_page
def property_gone(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """A property is in none of the rows of the set."""
    open_to = sorted(set(page.rows[0]) - set(asked.key))
    if not open_to:
        return None
    name = asked.arm.draw("property", asked.set).choice(open_to)
    return page.told([{field: value for field, value in row.items() if field != name} for row in page.rows], name)


@lie("list", seen=True)
@of_page
def property_gone_later(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """From the second page of a set on a property is in none of the rows."""
    return property_gone(asked, page_reply(page), rng) if asked.number("$skip") else None


def page_reply(page: Page) -> Reply:
    return page.told(page.rows).reply


@lie("list", seen=True)
@of_page
def keyless(asked: Asked, page: Page, rng: random.Random) -> Told | None:
    """A row without its key, with a null in it, or with nothing at all."""
    keys = [name for name in asked.key if name in page.rows[0]]
    if not keys:
        return None
    at, name = rng.randrange(len(page.rows)), rng.choice(keys)
    row = dict(page.rows[at])
    how = rng.choice(("absent", "null", "nothing"))
    if how == "null":
        row[name] = None
    else:
        row = {} if how == "nothing" else {field: value for field, value in row.items() if field != name}
    return page.told(page.rows[:at] + [row] + page.rows[at + 1:], f"{name} {how}")


@lie("list", seen=True)
@of_page
def error_inside(asked: Asked, page: Page, rng: random.Random) -> Told:
    """An odata.error stands among the rows, or is all that a 200 holds."""
    error = {"odata.error": {"code": "-1", "message": {"lang": "ru", "value": "Ошибка при выполнении запроса"}}}
    if rng.random() < .3:
        return Told(Reply(200, json.dumps(error, ensure_ascii=False).encode(), JSON), None, "alone")
    at = rng.randrange(len(page.rows) + 1)
    return page.told(page.rows[:at] + [error] + page.rows[at:], f"at {at}")


# --- answers that are no answers ------------------------------------------------------------

STATUSES = [400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424,
            425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511]


def gateway_page(rng: random.Random) -> Told:
    status = rng.choice(STATUSES)
    body, kind = rng.choice((
        (HTML.format(title=f"{status}").encode(), "text/html;charset=utf-8"), (b"", "text/plain"),
        (b'{"error":{"code":"9","message":"gateway"}}', JSON), ("Сеанс отсутствует или удален".encode(), "text/plain;charset=utf-8"),
        (b"upstream connect error", "text/plain")))
    return Told(Reply(status, body, kind), None, f"{status} {kind.partition(';')[0]}, {len(body)} bytes")


@lie("list", "count", "entity", "call", "metadata", seen=True)
def gateway(asked: Asked, honest: Reply, rng: random.Random) -> Told:
    """A page of something in between, of any 4xx or 5xx, once."""
    return gateway_page(rng)


@lie("list", "count", "entity", "call", seen=True)
def gateway_a_while(asked: Asked, honest: Reply, rng: random.Random) -> Told:
    """The same for this request and some that follow."""
    if not asked.during:
        asked.arm.down(asked.arm.rng_of("a while", asked).randint(1, 5))
    return gateway_page(asked.arm.draw("down", ""))


@lie("list", "entity", "call", "count", "metadata", seen=True)
def cut(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """The body ends before its announced length."""
    if len(honest.body) < 2:
        return None
    return Told(honest, Rule(0, {"cut_at": rng.randrange(min(len(honest.body) - 1, 400)), "reset": rng.random() < .3}))


@lie("list", "entity", "call", "metadata", seen=True)
def cut_whole(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """The body ends in its middle, and its announced length agrees."""
    if len(honest.body) < 4:
        return None
    return Told(Reply(honest.status, honest.body[:rng.randrange(1, len(honest.body) - 2)], honest.content_type))


@lie("list", "count", "entity", "call", "metadata", seen=True)
def hung_up(asked: Asked, honest: Reply, rng: random.Random) -> Told:
    """The connection is closed before any answer."""
    return Told(honest, Rule(0, {"close": True, "reset": rng.random() < .5}))


@lie("list", "count", "entity", "call", "metadata", seen=True)
def not_1c(asked: Asked, honest: Reply, rng: random.Random) -> Told:
    """200 with something else: a login page, nothing, JSON of somebody else."""
    body, kind = rng.choice(((HTML.format(title="Вход").encode(), "text/html;charset=utf-8"), (b"", JSON), (b"", "text/html"),
                             (b"{}", JSON), (b"[]", JSON), (b'{"status":"ok"}', JSON), (b"null", JSON),
                             (b'{"value":{"Ref_Key":null}}', JSON), (b'{"value":[null]}', JSON), (b'{"value":null}', JSON)))
    return Told(Reply(200, body, kind), None, body[:20].decode("utf-8", "replace"))


@lie("list", "count", seen=True)
def refuses_once(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """1C's own words for what it refuses, said once and not meant."""
    option = next((name for name in ("$orderby", "$filter") if name in asked.options), None)
    if asked.times or asked.kind == "list" and not option:
        return None
    text = ("Сегмент пути $count не найден!" if asked.kind == "count" else
            "Ошибка при выполнении запроса: AUTOORDER не может быть применено" if option == "$orderby" else "Операция не разрешена")
    code = 6 if asked.kind == "count" else -1 if option == "$orderby" else 20
    return Told(error_reply(Refusal(400 if asked.kind == "count" else 500, code, text), "nometadata"), None, option or "$count")


# --- what a base says about rows that are not here ------------------------------------------

@lie("count", steady=True,
     guard="a second reading with pages of another size has to give the same keys, else nothing is deleted")
def count_refused(asked: Asked, honest: Reply, rng: random.Random) -> Told:
    """The base does not count."""
    return Told(error_reply(Refusal(400, 6, "Сегмент пути $count не найден!"), "nometadata"))


@lie("count",
     guard="a number that is not that of the keys read deletes nothing; a count(*) that 1C computes shows 1C's number")
def count_wrong(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """Another number; a smaller one only where no lie about lists hides rows, for both together nobody can see."""
    number = int(honest.body.decode("utf-8-sig")) if honest.status == 200 else None
    if number is None:
        return None
    wrong = number + rng.choice((1, 2, 7, number + 1))
    if not asked.arm.hides and rng.random() < .5 and number:
        wrong = rng.choice((0, number - 1, number // 2))
    return Told(Reply(200, str(wrong).encode(), honest.content_type), None, f"{wrong} for {number}")


@lie("count",
     guard="the wrapper waits for it")
def count_late(asked: Asked, honest: Reply, rng: random.Random) -> Told:
    """The right number, after a while."""
    return Told(honest, None, "", .06)


@lie("entity", seen=False, hides=True,
     guard="only 1C's own words count as there being no such object")
def entity_denied(asked: Asked, honest: Reply, rng: random.Random) -> Told | None:
    """An object that is there is said not to be there, in words that are not 1C's."""
    if honest.status != 200:
        return None
    return Told(Reply(404, b'{"error":{"code":"9","message":"Entity instance not found"}}', JSON))


# --- what is not told here: nobody can tell it from the truth, but for what is said beside it ----

UNTOLD = (
    ("rows come twice in a page that is no longer than was asked for, and nobody asked for their key",
     "syncs ask for the key of everything they store; a query that has to be sure selects the key, too"),
    ("another base, or an old copy of this one, answers all requests",
     "a set that shares no key with the store, or comes back empty, is believed by force only; a loss of a fifth needs two proofs"),
    ("a row is hidden from list, count and key alike", "none but the sums of 1C's own virtual tables, which the nightly run compares"),
)
