"""$filter: text to tree, tree to a Python function over rows.

The grammar and the order of precedence are 1C's (mul before div, add before sub).  A
filter is compiled to one generator of source text, so that a scan of 100,000 rows costs
one Python expression a row.  Negation is pushed down to the comparisons: a comparison
with null is neither true nor false, so both it and its negation leave the row out.

What 1C answers wrongly instead of refusing is answered wrongly here too: see compare().
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal, ROUND_HALF_UP
from itertools import count
from typing import Any, Callable, Iterable

from model import EMPTY_DATE, Row

SORTS = {"Edm.Guid": "guid", "Edm.DateTime": "date", "Edm.Boolean": "bool", "Edm.Double": "number",
         "Edm.Int16": "number", "Edm.Int32": "number", "Edm.Int64": "number", "Edm.Binary": "binary",
         "Edm.Stream": "binary"}
ODD_TYPES = "Нельзя сравнивать поля неограниченной длины и поля несовместимых типов."


class FilterError(Exception):
    """The option cannot be parsed: 400, code 14."""


class FilterFailure(Exception):
    """The option is understood, but the query of it fails: 500, code -1."""


# --- text to tokens -----------------------------------------------------------------------

TOKEN = re.compile(r"""
    (?P<space>[ \t]+)
  | (?P<guid>guid'(?P<guid_text>[^']*)')
  | (?P<date>datetime'(?P<date_text>[^']*)')
  | (?P<text>'(?:[^']|'')*')
  | (?P<number>\d+(?:\.\d+)?)(?![\w.])
  | (?P<name>[^\W\d]\w*)
  | (?P<sign>[(),/:\-])
""", re.VERBOSE)
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.I)
DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?)?\Z")


def parse_date(text: str) -> datetime:
    found = DATE.match(text)
    if not found:
        raise FilterError(f"datetime'{text}'")
    try:
        return datetime(*(int(part or 0) for part in found.groups()))
    except ValueError:
        raise FilterError(f"datetime'{text}'") from None


def tokens(text: str) -> list[tuple[str, Any]]:
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise FilterError(text[at:at + 20])
        kind, at = match.lastgroup, match.end()
        if match["guid"] is not None:
            if not GUID.match(match["guid_text"]):
                raise FilterError(match["guid"])
            found.append(("guid", match["guid_text"].lower()))
        elif match["date"] is not None:
            found.append(("date", parse_date(match["date_text"])))
        elif match["text"] is not None:
            found.append(("text", match["text"][1:-1].replace("''", "'")))
        elif match["number"] is not None:
            number = match["number"]
            found.append(("number", Decimal(number) if "." in number else int(number)))
        elif kind != "space":
            found.append((kind, match[kind]))
    return found + [("end", "")]


# --- tokens to a tree ---------------------------------------------------------------------
# ("lit", sort, value) ("path", start or None, [names]) ("cmp", op, a, b) ("math", op, a, b)
# ("neg", a) ("not", a) ("and", a, b) ("or", a, b) ("call", name, [args]) ("lambda", kind, path, var, body)

LEVELS = (("or",), ("and",), ("eq", "ne"), ("gt", "ge", "lt", "le"), ("sub",), ("add",), ("div",), ("mul",))
WORDS = {word for level in LEVELS for word in level} | {"not"}


class Parser:
    def __init__(self, text: str):
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0

    def peek(self, ahead: int = 0) -> tuple[str, Any]:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self, wanted: str | None = None) -> tuple[str, Any]:
        token = self.tokens[self.at]
        if wanted is not None and token != ("sign", wanted):
            raise FilterError(str(token[1]))
        self.at += 1
        return token

    def whole(self):
        tree = self.level(0)
        if self.peek()[0] != "end":
            raise FilterError(str(self.peek()[1]))
        return tree

    def level(self, number: int):
        if number == len(LEVELS):
            return self.unary()
        left = self.level(number + 1)
        while self.peek()[0] == "name" and self.peek()[1] in LEVELS[number]:
            word = self.take()[1]
            right = self.level(number + 1)
            if word in ("and", "or"):
                left = (word, left, right)
            elif number < 4:
                left = ("cmp", word, left, right)
            else:
                left = ("math", word, left, right)
        return left

    def unary(self):
        self.depth += 1
        if self.depth > 300:
            raise FilterError("too deep")
        try:
            if self.peek() == ("name", "not"):
                self.take()
                return ("not", self.unary())
            if self.peek() == ("sign", "-"):
                self.take()
                return ("neg", self.unary())
            return self.steps(self.primary())
        finally:
            self.depth -= 1

    def primary(self):
        kind, value = self.take()
        if kind in ("guid", "date", "text", "number"):
            return ("lit", kind, value)
        if (kind, value) == ("sign", "("):
            inner = self.level(0)
            self.take(")")
            return inner
        if kind != "name" or value in WORDS:
            raise FilterError(str(value))
        if value in ("true", "false"):
            return ("lit", "bool", value == "true")
        if self.peek() == ("sign", "("):
            return ("call", value, self.arguments())
        return ("path", None, [value])

    def arguments(self) -> list:
        self.take("(")
        found = []
        while self.peek() != ("sign", ")"):
            found.append(self.level(0))
            if self.peek() != ("sign", ")"):
                self.take(",")
        self.take(")")
        return found

    def steps(self, start):
        while self.peek() == ("sign", "/"):
            self.take()
            kind, name = self.take()
            if kind != "name":
                raise FilterError(str(name))
            if name in ("any", "all") and self.peek() == ("sign", "("):
                return self.quantifier(name, start)
            start = ("path", start[1], start[2] + [name]) if start[0] == "path" else ("path", start, [name])
        return start

    def quantifier(self, kind: str, start):
        self.take("(")
        if kind == "any" and self.peek() == ("sign", ")"):
            self.take()
            return ("lambda", kind, start, None, None)
        variable = self.take()
        self.take(":")
        body = self.level(0)
        self.take(")")
        return ("lambda", kind, start, variable[1], body)


def parse(text: str):
    try:
        return Parser(text).whole()
    except IndexError:
        raise FilterError(text[-20:]) from None


def chain(tree, kind: str) -> list:
    """a and b and c …, as a list; a long chain must not nest as deep as it is long."""
    parts, rest = [], [tree]
    while rest:
        node = rest.pop()
        if node[0] == kind:
            rest += [node[2], node[1]]
        else:
            parts.append(node)
    return parts


# --- what generated code calls ------------------------------------------------------------

def norm(text: str) -> str:
    """What 1C compares of a text: case and trailing blanks are nothing to it."""
    return text.rstrip(" ").lower()


def like_pattern(pattern: str) -> re.Pattern:
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        close = pattern.find("]", at + 2) if char == "[" else -1
        if char == "%":
            out.append(".*")
        elif char == "_":
            out.append(".")
        elif close > 0:
            inner = pattern[at + 1:close]
            inside = inner[1:] if inner[0] == "^" else inner
            out.append(f"[{'^' if inner[0] == '^' else ''}{_class(inside)}]")
            at = close
        else:
            out.append(re.escape(char))
        at += 1
    return re.compile("".join(out), re.I | re.S)


def _class(text: str) -> str:
    return "".join(char if char == "-" else re.escape(char) for char in text)


def month_add(value: datetime, months: int) -> datetime:
    number = value.year * 12 + value.month - 1 + months
    year, month = number // 12, number % 12 + 1
    days = [31, 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return value.replace(year=year, month=month, day=min(value.day, days[month - 1]))


SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def date_add(value: datetime, unit: str, number: Any) -> datetime:
    try:
        if unit in MONTHS:
            return month_add(value, MONTHS[unit] * int(number))
        return value + timedelta(seconds=SECONDS[unit] * int(number))
    except (OverflowError, ValueError):
        return EMPTY_DATE


def date_difference(first: datetime, last: datetime, unit: str) -> int:
    if unit in MONTHS:
        months = (last.year - first.year) * 12 + last.month - first.month
        return {"month": months, "year": last.year - first.year,
                "quarter": (last.year - first.year) * 4 + (last.month - 1) // 3 - (first.month - 1) // 3}[unit]
    return int((last - first).total_seconds()) // SECONDS[unit]


def divide(left: Any, right: Any) -> Decimal:
    if right == 0:
        raise FilterFailure("Деление на ноль")
    return Decimal(left) / Decimal(right)


def rounded(value: Any, digits: Any = 0) -> Decimal:
    return Decimal(value).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP)


def substring(text: str, start: Any, length: Any = None) -> str:
    begin = max(int(start) - 1, 0)  # 1C counts letters from 1
    return text[begin:] if length is None else text[begin:begin + int(length)]


PARTS: dict[str, Callable[[datetime], int]] = {
    "year": lambda d: d.year, "month": lambda d: d.month, "day": lambda d: d.day, "hour": lambda d: d.hour,
    "minute": lambda d: d.minute, "second": lambda d: d.second, "quarter": lambda d: (d.month + 2) // 3,
    "dayofweek": lambda d: d.isoweekday(), "dayofyear": lambda d: d.timetuple().tm_yday}
# name: function, sorts of the arguments, sort of the answer, how many arguments may be left out
VALUES: dict[str, tuple[Callable, tuple[str, ...], str, int]] = {
    **{name: (function, ("date",), "number", 0) for name, function in PARTS.items()},
    "concat": (lambda a, b: a + b, ("text", "text"), "text", 0),
    "substring": (substring, ("text", "number", "number"), "text", 1),
    "dateadd": (date_add, ("date", "text", "number"), "date", 0),
    "datedifference": (date_difference, ("date", "date", "text"), "number", 0),
    "round": (rounded, ("number", "number"), "number", 1),
}
PREDICATES: dict[str, Callable[[str, str], bool]] = {
    "startswith": lambda text, part: norm(text).startswith(norm(part)),
    "endswith": lambda text, part: norm(text).endswith(norm(part)),
    "substringof": lambda part, text: norm(part) in norm(text),
}
MATH = {"add": "+", "sub": "-", "mul": "*"}
OPS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
NEGATED = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
CASTS = {"Number": "Edm.Double", "String": "Edm.String", "Date": "Edm.DateTime", "Boolean": "Edm.Boolean"}


def primitive(value: Any, kind: Any, wanted: str) -> Any:
    """The value of a composite field if it is of the primitive type, else null."""
    if kind != wanted and not (wanted == "Edm.Double" and kind in ("Edm.Int64", "Edm.Int32", "Edm.Int16")):
        return None
    if wanted == "Edm.Double":
        return Decimal(value)
    if wanted == "Edm.DateTime":
        return parse_date(value)
    return value == "true" if wanted == "Edm.Boolean" else value


class Scope:
    """What names mean in a filter: the fields of a row and where its references lead.

    "sorts": name → guid, date, bool, number, binary, text, composite, type (of a composite)
    or ("rows", Scope) for collections; "targets": navigation name → (key field, set name).
    "opened" gives (scope, finder) of a set by its name.  "recorders" marks a register's main set.
    """

    def __init__(self, sorts: dict[str, Any], targets: dict[str, tuple[str, str]],
                 opened: Callable[[str], tuple["Scope", Callable[[str], Row | None]] | None], recorders: bool = False):
        self.sorts = sorts
        self.targets = targets
        self.opened = opened
        self.recorders = recorders


class Compiler:
    """One filter over one scope.  value() and test() give source text over the row variable."""

    def __init__(self, scope: Scope):
        self.globals: dict[str, Any] = {"norm": norm, "no_row": {}}
        self.numbers = count(1)
        self.variables = {"": ("r", scope)}

    def constant(self, value: Any) -> str:
        name = f"c{next(self.numbers)}"
        self.globals[name] = value
        return name

    # values: (source, sort); the source may give None

    def value(self, node) -> tuple[str, Any]:
        kind = node[0]
        if kind == "lit":
            return self.constant(node[2]), node[1]
        if kind == "path":
            return self.path(node)
        if kind == "neg":
            source, sort = self.value(node[1])
            self.need(sort, "number")
            return self.strict("(lambda a: -a)", [source]), "number"
        if kind == "math":
            return self.math(node)
        if kind == "call" and node[1] not in PREDICATES and node[1] not in ("like", "isof"):
            return self.call(node)
        return f"bool({self.test(node, False)})", "bool"

    def need(self, sort: Any, wanted: str) -> None:
        if sort != wanted:
            raise FilterFailure(ODD_TYPES)

    def strict(self, function: str, sources: list[str]) -> str:
        """A call that is null when an argument is null."""
        names = [f"v{next(self.numbers)}" for _ in sources]
        tests = " and ".join(f"({name}:={source}) is not None" for name, source in zip(names, sources))
        return f"({function}({', '.join(names)}) if {tests} else None)"

    def math(self, node) -> tuple[str, str]:
        left, left_sort = self.value(node[2])
        right, right_sort = self.value(node[3])
        if (left_sort, right_sort) == ("date", "number") and node[1] in ("add", "sub"):
            sign = MATH[node[1]]
            self.globals["timedelta"] = timedelta
            return self.strict(f"(lambda a, b: a {sign} timedelta(seconds=int(b)))", [left, right]), "date"
        self.need(left_sort, "number")
        self.need(right_sort, "number")
        if node[1] == "div":
            self.globals["divide"] = divide
            return self.strict("divide", [left, right]), "number"
        return self.strict(f"(lambda a, b: a {MATH[node[1]]} b)", [left, right]), "number"

    def call(self, node) -> tuple[str, Any]:
        name, arguments = node[1], node[2]
        if name == "cast":
            return self.cast(arguments)
        if name not in VALUES:
            raise FilterError(name)
        function, sorts, answer, spare = VALUES[name]
        if not len(sorts) - spare <= len(arguments) <= len(sorts):
            raise FilterError(name)
        sources = []
        for argument, wanted in zip(arguments, sorts):
            source, sort = self.value(argument)
            self.need(sort, wanted)
            sources.append(source)
        units = {"dateadd": 1, "datedifference": 2}
        if name in units and (arguments[units[name]][0] != "lit"
                              or arguments[units[name]][2] not in SECONDS | MONTHS):
            raise FilterError(name)
        return self.strict(self.constant(function), sources), answer

    def cast(self, arguments: list) -> tuple[str, Any]:
        if len(arguments) != 2 or arguments[1][0] != "lit" or arguments[1][1] != "text":
            raise FilterError("cast")
        wanted = arguments[1][2]
        inner = arguments[0]
        if inner[0] == "lit" and inner[1] == "guid":
            return self.constant(inner[2]), ("reference", wanted)
        source, sort = self.value(inner)
        if isinstance(sort, tuple) and sort[0] == "composite":
            if wanted in CASTS:
                self.globals["primitive"] = primitive
                found = f"primitive({source}, {sort[1]}, {CASTS[wanted]!r})"
                return found, {"Number": "number", "String": "text", "Date": "date", "Boolean": "bool"}[wanted]
            return f"({source} if {sort[1]} == {'StandardODATA.' + wanted!r} else None)", ("reference", wanted)
        if isinstance(sort, tuple) and sort[0] == "reference":
            return (source if sort[1] == wanted else "None"), ("reference", wanted)
        raise FilterFailure(ODD_TYPES)

    def path(self, node) -> tuple[str, Any]:
        start, names = node[1], list(node[2])
        if start is not None:
            source, sort = self.value(start)
            if not isinstance(sort, tuple) or sort[0] != "reference":
                raise FilterError("/".join(names))
            row, scope = self.follow(source, sort[1])
        elif len(names) > 1 and names[0] in self.variables:
            row, scope = self.variables[names.pop(0)]
        else:
            row, scope = self.variables[""]
        while len(names) > 1:
            step = names.pop(0)
            if step not in scope.targets:
                raise FilterError(step)
            field, target = scope.targets[step]
            row, scope = self.follow(f"{row}.get({field!r})", target)
        return self.field(row, scope, names[0])

    def follow(self, source: str, target: str) -> tuple[str, Scope]:
        opened = self.variables[""][1].opened(target)
        if opened is None:
            raise FilterError(target)
        return f"({self.constant(opened[1])}({source}) or no_row)", opened[0]

    def field(self, row: str, scope: Scope, name: str) -> tuple[str, Any]:
        source = f"{row}.get({name!r})"
        if name in scope.sorts:
            sort = scope.sorts[name]
            if sort == "composite":
                return source, ("composite", f"{row}.get({name + '_Type'!r})", scope.recorders)
            return source, sort
        raise FilterError(name)

    # tests: source of a condition that is true only when the row stays

    def test(self, node, negated: bool) -> str:
        kind = node[0]
        if kind in ("and", "or"):
            word = kind if not negated else ("or" if kind == "and" else "and")
            return "(" + f" {word} ".join(self.test(part, negated) for part in chain(node, kind)) + ")"
        if kind == "not":
            return self.test(node[1], not negated)
        if kind == "cmp":
            return self.comparison(node, negated)
        if kind == "lambda":
            return self.quantified(node, negated)
        if kind == "call" and node[1] in PREDICATES:
            return self.predicate(node, negated)
        if kind == "call" and node[1] == "like":
            return self.like(node[2], negated)
        if kind == "call" and node[1] == "isof":
            return self.isof(node[2], negated)
        source, sort = self.value(node)
        if sort != "bool":
            raise FilterError(str(node[1]))
        return f"({source} is {not negated})"

    def comparison(self, node, negated: bool) -> str:
        _, op, left, right = node
        for side, other in ((left, right), (right, left)):
            if other[0] == "lit" and other[1] == "bool" and op in ("eq", "ne") and side[0] not in ("path", "lit"):
                return self.test(side, negated ^ (op == "ne") ^ (not other[2]))
        a, a_sort = self.value(left)
        b, b_sort = self.value(right)
        return self.compare(NEGATED[op] if negated else op, (a, a_sort, left), (b, b_sort, right))

    def compare(self, op: str, left: tuple, right: tuple) -> str:
        """The truth and the lies of doc/1c-odata.md 6.3."""
        (a, a_sort, a_node), (b, b_sort, b_node) = left, right
        kinds = [sort[0] if isinstance(sort, tuple) else sort for sort in (a_sort, b_sort)]
        if "binary" in kinds or "rows" in kinds:
            raise FilterFailure(ODD_TYPES)
        if "composite" in kinds:
            if kinds[0] != "composite":
                return self.composite(op, b, b_sort, (a, a_sort, kinds[0]))
            return self.composite(op, a, a_sort, (b, b_sort, kinds[1]))
        if "type" in kinds:
            return "False"
        kinds = ["guid" if kind == "reference" else kind for kind in kinds]
        if kinds[0] != kinds[1]:
            if "guid" in kinds and "text" not in kinds and op not in ("eq", "ne"):
                raise FilterFailure(ODD_TYPES)
            return str(op in ("ne", "gt", "ge"))
        if kinds[0] == "guid" and op not in ("eq", "ne"):
            raise FilterFailure(ODD_TYPES)
        return self.plain(op, kinds[0], (a, a_node), (b, b_node))

    def plain(self, op: str, sort: str, left: tuple, right: tuple) -> str:
        tests, names = [], []
        for source, node in (left, right):
            if node[0] == "lit":
                names.append(self.constant(norm(node[2])) if sort == "text" else source)
                continue
            name = f"v{next(self.numbers)}"
            tests.append(f"({name}:={source}) is not None")
            names.append(f"{name}.rstrip(' ').lower()" if sort == "text" else name)
        return "(" + " and ".join(tests + [f"{names[0]} {OPS[op]} {names[1]}"]) + ")"

    def composite(self, op: str, source: str, sort: tuple, other: tuple) -> str:
        value, value_sort, kind = other
        if op not in ("eq", "ne"):
            raise FilterFailure(ODD_TYPES)
        word = "" if op == "eq" else "not "
        if kind == "reference":
            wanted = "StandardODATA." + value_sort[1]
            return f"({word}({source} == {value} and {sort[1]} == {wanted!r}))"
        if kind == "composite":
            return f"({word}({source} == {value} and {sort[1]} == {value_sort[1]}))"
        if kind == "guid" and sort[2]:
            raise FilterFailure(ODD_TYPES)  # a register's main set
        types = {"text": "Edm.String", "number": "Edm.Double", "date": "Edm.DateTime", "bool": "Edm.Boolean"}
        if kind not in types or sort[2]:
            return str(op == "ne")
        self.globals["primitive"] = primitive
        found = f"primitive({source}, {sort[1]}, {types[kind]!r})"
        if kind == "text":
            return f"({word}(({found} or '').rstrip(' ').lower() == norm({value} or '') and {sort[1]} == 'Edm.String'))"
        return f"({word}({found} == {value}))"

    def predicate(self, node, negated: bool) -> str:
        if len(node[2]) != 2:
            raise FilterError(node[1])
        sources = []
        for argument in node[2]:
            source, sort = self.value(argument)
            self.need(sort, "text")
            sources.append(source)
        return f"({self.strict(self.constant(PREDICATES[node[1]]), sources)} is {not negated})"

    def like(self, arguments: list, negated: bool) -> str:
        if len(arguments) != 2 or arguments[1][0] != "lit" or arguments[1][1] != "text":
            raise FilterError("like")
        source, sort = self.value(arguments[0])
        self.need(sort, "text")
        match = self.constant(like_pattern(arguments[1][2].rstrip(" ")).fullmatch)
        name = f"v{next(self.numbers)}"
        return f"(({name}:={source}) is not None and {match}({name}.rstrip(' ')) is {'' if negated else 'not '}None)"

    def isof(self, arguments: list, negated: bool) -> str:
        if len(arguments) != 2 or arguments[1][0] != "lit":
            raise FilterError("isof")
        source, sort = self.value(arguments[0])
        if not isinstance(sort, tuple) or sort[0] != "composite":
            raise FilterFailure(ODD_TYPES)
        wanted = CASTS.get(arguments[1][2], "StandardODATA." + arguments[1][2])
        return f"({sort[1]} {'!=' if negated else '=='} {wanted!r})"

    def quantified(self, node, negated: bool) -> str:
        _, kind, start, variable, body = node
        if start[0] != "path":
            raise FilterError(kind)
        source, sort = self.path(start)
        if not isinstance(sort, tuple) or sort[0] != "rows":
            raise FilterError(kind)
        if body is None:
            return f"({'not ' if negated else ''}{source})"
        name = f"r{next(self.numbers)}"
        outer = self.variables.get(variable)
        self.variables[variable] = (name, sort[1])
        # A walrus cannot stand in a comprehension inside a comprehension's condition, a lambda can.
        inner = f"(lambda {name}: {self.test(body, negated)})"
        if outer is None:
            del self.variables[variable]
        else:
            self.variables[variable] = outer
        word = kind if not negated else ("all" if kind == "any" else "any")
        return f"{word}(map({inner}, {source} or ()))"


def compile_filter(tree, scope: Scope) -> Callable[[Iterable[Row]], list[Row]]:
    """A function rows → the rows that stay, in their order."""
    compiler = Compiler(scope)
    source = compiler.test(tree, False)
    try:
        code = compile(f"def run(rows):\n return [r for r in rows if {source}]\n", "$filter", "exec")
    except (SyntaxError, MemoryError):
        raise FilterError("too deep") from None
    exec(code, compiler.globals)
    return compiler.globals["run"]


def compile_value(tree, scope: Scope) -> tuple[Callable[[Row], Any], Any]:
    """A function row → value, and the sort of the value ($orderby)."""
    compiler = Compiler(scope)
    source, sort = compiler.value(tree)
    exec(f"def value(r):\n return {source}\n", compiler.globals)
    return compiler.globals["value"], sort


# --- what an index can serve --------------------------------------------------------------

def conjuncts(tree) -> list:
    return chain(tree, "and")


def equalities(tree) -> tuple[str, list] | None:
    """(field, values) when the tree is "f eq a" or an or of such; composites by their cast."""
    if tree[0] == "or":
        parts = [equalities(part) for part in chain(tree, "or")]
        if all(parts) and len({part[0] for part in parts}) == 1:
            return parts[0][0], [value for part in parts for value in part[1]]
        return None
    if tree[0] != "cmp" or tree[1] != "eq" or tree[2][0] != "path" or tree[2][1] is not None or len(tree[2][2]) > 1:
        return None
    right = tree[3]
    if right[0] == "call" and right[1] == "cast" and right[2] and right[2][0][:2] == ("lit", "guid"):
        return tree[2][2][0], [right[2][0][2]]
    if right[0] == "lit" and right[1] in ("guid", "text"):
        return tree[2][2][0], [right[2]]
    return None


def bounds(trees: list, field: str) -> tuple[datetime, datetime] | None:
    """The closed interval that the conjuncts leave to a date field, or None."""
    low, high, found = datetime.min, datetime.max, False
    for tree in trees:
        if tree[0] != "cmp" or tree[2] != ("path", None, [field]) or tree[3][:2] != ("lit", "date"):
            continue
        if tree[1] in ("gt", "ge", "eq"):
            low, found = max(low, tree[3][2]), True
        if tree[1] in ("lt", "le", "eq"):
            high, found = min(high, tree[3][2]), True
    return (low, high) if found else None
