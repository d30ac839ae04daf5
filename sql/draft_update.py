"""What an update script has to do: the statements of sql/install that a released script does not have, as far as text can tell.

    sql/draft_update.py RELEASED NEWEST UPDATE      ("sql/release draft" calls it; UPDATE may not be there yet)

What UPDATE does already is left out, so a draft can be put behind it after every change.  A function is replaced, or dropped and made
anew if its arguments differ; a view is replaced; rows that the extension brings stay apart from what people made of them; what has to
be thought of (a table that changed, rows that are no list) is a comment "by hand" with the difference.  test/run tap 100 proves the
whole by installing both ways.
"""
import difflib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test"))
from lint_install import TOKEN, statements  # noqa: E402  (one reader of statements)

MADE = re.compile(r"CREATE (?:OR REPLACE )?(FUNCTION|PROCEDURE|AGGREGATE|VIEW|TABLE|TYPE|DOMAIN|TRIGGER|(?:UNIQUE )?INDEX) ([\w.\"]+)")
ROWS = re.compile(r"INSERT INTO onec\.(\w+) \(([^()]*)\)\s*VALUES\s*(.*?);?\s*$", re.S)
SEEDS = re.compile(r"\('(\w+)', '\{\"?([\w,]+?)\"?(?:,\w+)*\}'")
FINISH = "SELECT onec_internal.finish_script();"


def plain(text):
    """A statement as it is compared: without comments, breaks, OR REPLACE."""
    code = TOKEN.sub(lambda m: "" if m.group("comment") else m.group(), text)
    return re.sub(r"\s+", " ", code).strip().replace("CREATE OR REPLACE ", "CREATE ")


def split(text):
    """The statements of a script: plain → as written, without comments and psql's lines before them; in order."""
    found, offsets = {}, [start for start, _ in statements(text)] + [len(text)]
    for start, end in zip(offsets, offsets[1:]):
        written = re.sub(r"\A(?:\s*(?:--|\\)[^\n]*\n|\s*\n)*", "", text[start:end]).strip()
        if plain(written):
            found[plain(written)] = written
    return found


def made(statement):
    """(kind, name) of what a statement makes, or None."""
    match = MADE.match(statement)
    return (match.group(1).replace("UNIQUE ", ""), match.group(2)) if match else None


def header(statement):
    """Arguments and result of a function, without defaults: what CREATE OR REPLACE cannot change."""
    return re.sub(r"\s+DEFAULT\s+(?:'[^']*'|[\w.]+|\([^()]*\))(?:::\w+)?", "", re.split(r" LANGUAGE ", statement, maxsplit=1)[0])


def tuples(text):
    """The rows of VALUES, each as written."""
    depth = start = 0
    for match in TOKEN.finditer(text):
        if match.group("other") in ("(", "["):
            start = match.start() if depth == 0 else start
            depth += 1
        elif match.group("other") in (")", "]"):
            depth -= 1
            if depth == 0:
                yield text[start:match.end()]


def values(row):
    """The expressions of a row."""
    depth, at, found = 0, 1, []
    for match in TOKEN.finditer(row):
        depth += (match.group("other") in ("(", "[")) - (match.group("other") in (")", "]"))
        if match.group("other") == "," and depth == 1:
            found.append(row[at:match.start()].strip())
            at = match.end()
    return found + [row[at:-1].strip()]


def by_hand(what, old, new):
    lines = [line for line in difflib.unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=0) if not re.match(r"---|\+\+\+|@@", line)]
    return f"-- by hand: {what}\n" + "\n".join(f"--   {line}" for line in lines)


class Draft:
    def __init__(self, released, newest, update):
        self.old, self.new, self.done = split(released), split(newest), split(update)
        self.by_hand_done = set(re.findall(r"^-- by hand: (.*)$", update, re.M))
        self.before = {made(s): s for s in self.old if made(s)}
        self.rows_before = {plain(row) for s in self.old.values() if ROWS.match(s) for row in tuples(ROWS.match(s).group(3))}
        self.seeds = dict(SEEDS.findall(newest))
        self.anew = set()  # functions that were dropped: their comments and rights are gone
        self.replaced = set()  # functions of which what ALTER said is gone
        self.touched = set()  # tables with rows that are brought along, and changed

    def one(self, statement, written):
        """What is to be done for a statement that is new; None if nothing."""
        what = made(statement)
        rows = ROWS.match(written)
        if rows and rows.group(1) in self.seeds:
            return self.rows(*rows.groups())
        if what is None and statement.startswith(("COMMENT", "REVOKE", "GRANT", "ALTER", "SELECT pg_catalog.pg_extension_config_dump")):
            return written
        if what is None or what in self.before and what[0] in ("TABLE", "TYPE", "DOMAIN", "AGGREGATE", "TRIGGER"):
            beside = self.before.get(what) or next(iter(difflib.get_close_matches(statement, self.old, 1, 0.8)), "")
            name = " ".join(what).lower() if what else statement[:60]
            return None if name in self.by_hand_done else by_hand(name, self.old.get(beside, ""), written)
        if what not in self.before:
            return written
        if what[0] == "INDEX":
            return f"DROP INDEX {re.sub(r'[^.]*$', '', re.search(r' ON (?:ONLY )?([^ (]+)', statement).group(1))}{what[1]};\n{written}"
        if what[0] != "VIEW" and header(statement) not in {header(s) for s in self.old}:
            if header(self.before[what]) in {header(s) for s in self.new}:
                return written  # one more of that name
            self.anew.add(what[1])
            return f"DROP {what[0]} {what[1]};\n{written}"
        self.replaced.add(what[1])
        return re.sub(r"\ACREATE (?!OR REPLACE)", "CREATE OR REPLACE ", written)

    def is_lost(self, statement):
        """Whether one that says something of a function has to be said again."""
        of = self.anew | self.replaced if statement.startswith("ALTER FUNCTION") else self.anew
        return statement in self.old and made(statement) is None and any(re.search(rf"\b{re.escape(n)}\(", statement) for n in of)

    def key(self, table, columns, row):
        """(column, expression) of a row's key."""
        fields = dict(zip((c.strip() for c in columns.split(",")), values(row)))
        return tuple((k, fields.get(k, "NULL")) for k in self.seeds[table].split(","))

    def rows(self, table, columns, listed):
        """Rows that are brought along, new or changed: what people made of one, or have deleted, stays."""
        before = {(m.group(1), self.key(m.group(1), m.group(2), row)) for s in self.old.values() if (m := ROWS.match(s)) and m.group(1) in self.seeds
                  for row in tuples(m.group(3))}
        said = []
        for row in tuples(listed):
            if plain(row) in self.rows_before or any(plain(row)[1:-1] in s for s in self.done):
                continue
            key = self.key(table, columns, row)
            if (table, key) in before:
                said.append(f"UPDATE onec.{table} SET ({columns}) = {row}\nWHERE {' AND '.join(f'{k} = {v}' for k, v in key)} AND is_seed;")
            else:
                said.append(f"INSERT INTO onec.{table} ({columns}, is_seed) VALUES ({row[1:-1]}, true)\nON CONFLICT DO NOTHING;")
        self.touched |= {table} if said else set()
        return said and "\n".join([f"ALTER TABLE onec.{table} DISABLE TRIGGER keep_edit;", *said,
                                   f"ALTER TABLE onec.{table} ENABLE ALWAYS TRIGGER keep_edit;"])

    def lines(self):
        """The draft, statement by statement."""
        there = {made(s) for s in self.new if made(s)}
        for statement, written in self.new.items():
            told = None if statement in self.old or statement in self.done else self.one(statement, written)
            if told or self.is_lost(statement) and statement not in self.done:
                yield told or written
        for statement in self.new:
            source = re.match(r"(INSERT INTO onec\.\w+) .*\bFROM onec\.(\w+)", statement)
            if source and source.group(2) in self.touched:
                told = f"{source.group(1)} … FROM onec.{source.group(2)}: rows that are made of those above"
                if told not in self.by_hand_done:
                    yield f"-- by hand: {told}"
        for what in [w for w in self.before if w not in there]:
            gone = f"DROP {what[0]} {what[1]};"
            if what[0] in ("TRIGGER", "INDEX") and f"by hand: {gone}" not in self.by_hand_done:
                yield f"-- by hand: {gone}"
            elif gone not in self.done:
                yield gone


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    texts = [open(name, encoding="utf-8").read() if os.path.exists(name) else "" for name in sys.argv[1:]]
    said = list(Draft(*texts).lines())
    if said:
        print("\n\n".join([*said, FINISH]))


if __name__ == "__main__":
    main()
