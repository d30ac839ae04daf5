"""What of the install script runs with the search_path of whoever calls it.

A name without a schema then means what the owner of some schema on that path has put there, and runs with the caller's rights.
So a routine has SET search_path = pg_catalog, pg_temp, or is of SQL and parsed when it is created (BEGIN ATOMIC, RETURN), or is a
procedure that commits, which can have no SET: that holds only control flow and calls in which every name has its schema.

caller_path(name, lines) yields (line, what is wrong).
"""
import re

ROUTINE = re.compile(r"^CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE) (onec(?:_internal)?\.[\w\"]+)\(", re.M)
BODY = re.compile(r"\bAS \$(\w*)\$(.*?)\$\1\$", re.S)
SAFE_PATH = re.compile(r"^\s*SET search_path = pg_catalog, pg_temp$", re.M)

# What looks like a call and is grammar, and types that are.
GRAMMAR = set("""and or not in if elsif when then else case while loop foreach array row exists all from select values returning
	coalesce greatest least extract call perform return exit continue into using as on with lateral operator""".split())
TYPES = set("""int integer smallint bigint boolean numeric decimal real float timestamp time interval character varchar char bit
	double""".split())
TOKEN = re.compile(r"""
	(?P<space>\s+|--[^\n]*|/\*.*?\*/)
	|(?P<text>[eE]?'(?:[^']|'')*'|\$\$.*?\$\$)
	|(?P<word>(?:[A-Za-z_]\w*|"[^"]*")(?:\s*\.\s*(?:[A-Za-z_]\w*|"[^"]*"|\*))*)
	|(?P<number>\d+(?:\.(?!\.)\d+)?|\$\d+)
	|(?P<plain>:=|=>|::|\.\.|[][(),;:.])
	|(?P<operator>[-+*/<>=~!@\#%^&|`?]+)""", re.X | re.S)
# Grammar that finds an operator by its name.
HIDDEN = {"like", "ilike", "similar", "between", "overlaps", "nullif", "any", "some", "distinct", "natural", "all"}
# Options of RAISE, which have a "=" of their own.
RAISE_OPTIONS = {"message", "detail", "hint", "errcode", "column", "constraint", "datatype", "table", "schema"}


def tokens(text):
    """(kind, text, offset), blanks and comments left out."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"not understood: {text[at:at + 20]!r}")
        if match.lastgroup != "space":
            yield match.lastgroup, match.group(), at
        at = match.end()


def qualified(word):
    return "." in word


def faults(body):
    """(offset, what is wrong) of the body of a procedure in PL/pgSQL."""
    found = list(tokens(body))
    words = [text.lower() for _, text, _ in found] + [""]
    declaring = "declare" in words
    for i, (kind, text, at) in enumerate(found):
        before, after, word = words[i - 1] if i else "", words[i + 1], words[i]
        if word == "begin":
            declaring = False
        if kind == "operator" and not (before in RAISE_OPTIONS and text == "=" or text == "*" and before in ("(", "select")
                                       or words[max(i - 4, 0):i] == ["operator", "(", "pg_catalog", "."]):
            yield at, f"operator {text} is looked up on the caller's path: OPERATOR(pg_catalog.{text})"
        elif kind == "word" and not qualified(text):
            yield from _word_faults(word, before, after, words, i, at, declaring)


def _word_faults(word, before, after, words, i, at, declaring):
    if word in HIDDEN or (word == "in" and "for" not in words[max(i - 12, 0):i]) or (word == "case" and after != "when") \
            or (word == "using" and "raise" not in words[max(i - 2, 0):i] and words[i - 1] not in ("exception", "notice", "warning")):
        yield at, f"{word.upper()} looks an operator up on the caller's path"
    elif before == "::" and word not in TYPES:
        yield at, f"type {word} is looked up on the caller's path"
    elif after == "(" and word not in GRAMMAR and word not in TYPES:
        yield at, f"{word}() is looked up on the caller's path"
    elif before in ("from", "join") and word not in GRAMMAR and words[max(i - 4, 0):i - 3] != ["extract"]:
        yield at, f"table {word} is looked up on the caller's path"
    elif word in ("execute", "insert", "update", "delete", "merge"):
        yield at, f"{word.upper()} belongs into a function with SET search_path"
    elif declaring and before not in ("declare", ";", ":=", "::") and after in (";", ":=", "[") and word not in TYPES and word != "null":
        yield at, f"type {word} is looked up on the caller's path"


def caller_path(lines):
    """(line, what is wrong) of the routines of a part of the install script."""
    script = "\n".join(lines)
    starts = [m.start() for m in ROUTINE.finditer(script)] + [len(script)]
    for match, end in zip(ROUTINE.finditer(script), starts[1:]):
        kind, name = match.groups()
        whole = script[match.start():end]
        body = BODY.search(whole)
        head = whole[:body.start()] if body else whole
        line = script.count("\n", 0, match.start()) + 1
        if re.search(r"\bLANGUAGE c\b", head) or SAFE_PATH.search(head):
            continue
        if body is None:
            if not re.search(r"^\s*(BEGIN ATOMIC|RETURN\b)", head, re.M):
                yield line, f"{name} has neither SET search_path = pg_catalog, pg_temp nor a body that is parsed now"
        elif kind == "FUNCTION" or "LANGUAGE plpgsql" not in head:
            yield line, f"{name} runs with the caller's path: SET search_path = pg_catalog, pg_temp"
        else:
            start = match.start() + body.start(2)
            for at, what in faults(body.group(2)):
                yield script.count("\n", 0, start + at) + 1, f"{name}: {what}"
