"""The parts of the install script as one text: what is defined where, and what each object calls.

Every name in it has its schema (lint_sql: caller_path), so whatever looks like onec.name or onec_internal.name is a use,
in PL/pgSQL and in statements that are put together as text too.  What people are told (RAISE, COMMENT, advice) is no use.

    Script({path: lines}).forward()    what is called before it is there
    Script({path: lines}).helpers()    helpers that stand among what users call
"""
import re

TOKEN = re.compile(r"""
	(?P<comment>--[^\n]*|/\*.*?\*/)
	|(?P<text>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')
	|(?P<dollar>\$\w*\$)
	|(?P<word>[A-Za-z_]\w*|"[^"]*")
	|(?P<other>.)""", re.X | re.S)
NAME = r"(?<![\w.])(onec(?:_internal)?)\.\"?(\w+)\"?"
CREATE = re.compile(r"CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|VIEW|TABLE|TYPE|DOMAIN|AGGREGATE) " + NAME)
IDENTITY = re.compile(r"\n\t(\w+) \w+ GENERATED \w+(?: BY DEFAULT)? AS IDENTITY")
GIVEN = re.compile(r"GRANT (?!.*\bFROM\b).*?" + NAME, re.S)
SAID = re.compile(r"COMMENT ON (?:FUNCTION|PROCEDURE|VIEW|TABLE|TYPE|DOMAIN|AGGREGATE) " + NAME + r".*\(?служебн\w+\)?[^']*'\s*;?\s*$", re.S)
# A literal that is a name or part of a statement; one that is a whole statement is for people or for pg_cron.
STATEMENT = re.compile(r"(?is)^'onec(_internal)?\.\w+'$|\b(from|join|into|update|using|table|on)\s+onec(_internal)?\.|\bonec(_internal)?\.\w+\(")
# What RAISE tells.
TOLD = re.compile(r"\b(?:MESSAGE|DETAIL|HINT)\s*=\s*(?:format\()?(?:E?'(?:[^']|'')*'\s*)+")
ADVICE = re.compile(r"(?s)[А-Яа-я]|^'CALL |;'$")


def _code(match):
    """A token without what is no code: comments and prose, their lines kept."""
    word = match.group()
    if match.group("comment"):
        return re.sub(r"[^\n]", " ", word)
    told = match.group("text") and (ADVICE.search(word) or not STATEMENT.search(word))
    return re.sub(r"[^\n']", " ", word) if told else word


def statements(text):
    """(offset, code) of the statements, comments and prose blanked out: a ";" outside of parentheses, quotes and bodies ends one."""
    code = TOKEN.sub(_code, text)
    at = start = depth = atomic = 0
    quote = last = ""
    for match in TOKEN.finditer(code):
        word, at = match.group().lower(), match.end()
        if match.group("dollar"):
            quote = "" if quote == word else quote or word
        elif quote:
            continue
        elif word in "([":
            depth += 1
        elif word in ")]":
            depth -= 1
        elif match.group("word"):
            atomic += (word == "atomic" and last == "begin") + (atomic > 0 and word == "case") - (atomic > 0 and word == "end")
            last = word
        elif word == ";" and depth == 0 and not atomic:
            yield start, code[start:at]
            start = at
    if code[start:].strip():
        yield start, code[start:]


def uses(code):
    """(offset, "schema.name") of what a statement calls or reads."""
    if re.match(r"\s*(COMMENT|REVOKE|GRANT)\b", code):
        return
    said = [m.span() for m in TOLD.finditer(code)]
    for match in re.finditer(NAME, code):
        if not any(a <= match.start() < b for a, b in said):
            yield match.start(), f"{match.group(1)}.{match.group(2)}"


class Script:
    def __init__(self, files):
        self.objects = {}                     # "schema.name": [(path, line), …], overloads in the order of the install
        self.calls = []                       # (path, line, name)
        self.told = []                        # (path, line, what is wrong)
        for path, lines in sorted(files.items()):
            self._read(path, "\n".join(lines))

    def _read(self, path, text):
        for start, code in statements(text):
            lead = len(code) - len(code.lstrip())
            number = text.count("\n", 0, start + lead) + 1
            made = CREATE.match(code, lead)
            given = GIVEN.match(code, lead)
            said = SAID.match(text, start + lead, start + len(code))
            if made:
                name = f"{made.group(2)}.{made.group(3)}"
                # a table, and the sequence of its identity column
                for defined in [name] + [f"{name}_{column}_seq" for column in IDENTITY.findall(code)]:
                    self.objects.setdefault(defined, []).append((path, number))
                if made.group(3).startswith("_"):
                    self.told.append((path, number, f"{name}: a helper's place is onec_internal, and its name says what it does"))
            if given and given.group(1) == "onec_internal":
                self.told.append((path, number, f"onec_internal.{given.group(2)} is given away: onec.grant_reader and onec.grant_sync do that"))
            if said and said.group(1) == "onec":
                self.told.append((path, number, f"onec.{said.group(2)} is told to be a helper: its place is onec_internal"))
            self.calls += [(path, text.count("\n", 0, start + at) + 1, used) for at, used in uses(code)]

    def forward(self):
        """(path, line, text): what a part calls that is defined in a later part, or nowhere."""
        for path, number, used in self.calls:
            homes = [home for home, _ in self.objects.get(used, ())]
            if not homes:
                yield path, number, f"{used} is nowhere defined"
            elif min(homes) > path:
                yield path, number, f"{used} comes later, in {min(homes)}"

    def helpers(self):
        """(path, line, text): helpers among what users call."""
        yield from self.told
