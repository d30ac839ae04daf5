"""What the papers name exists: files, folders, functions, settings, options, sections.

A paper is any *.md but the changelog, which tells of what has been.  What stands in back-ticks there is looked at if it looks like
a path (`table/options.c`, `test/onec/`; also without its beginning, where the folder is plain), an SQL name (`onec.fit_clv`), a
name of C (`onec_session_open`) or a setting (`rfm.window`).  Names with a placeholder (*, …, NAME, NN) are patterns, and pass.

Each function takes the files of the tree, {path: lines}, and yields (file, line, what is wrong).
"""
import re

PAPER = re.compile(r"^(?!CHANGELOG|doc/reliability).*\.md$")
# Papers that tests write, and that are in no tree before.
WRITTEN = {"doc/reliability.md"}
ENDING = r"(?:c|h|sql|py|pl|pm|sh|md|out|control|json)"
QUOTED = re.compile(r"`([^`\n]+)`")
LINKED = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
PATTERN = re.compile(r"[*…<>{}$]|\bN+\b|NN|\bNAME\b|--[A-Z]\b")
CITED = re.compile(r"(?<![\w./-])((?:\.\./)*(?:[\w-]+/)*[\w-]+(?:\.ru)?\.md)\b(?:,? (\d+(?:\.\d+)*))?")


def is_path(word):
    return re.fullmatch(rf"[\w./-]+\.{ENDING}|[\w.-]+(?:/[\w.-]+)*/", word) and not word.startswith(".")


def stands(files, word, folder=""):
    """Whether a file or a folder is called so, wherever it lies."""
    whole = "/" + word
    return word in WRITTEN or any(whole in "/" + name if word.endswith("/") else ("/" + name).endswith(whole) for name in files)


def text_of(files, pattern):
    return "\n".join("\n".join(lines) for name, lines in files.items() if re.search(pattern, name))


def wrong_word(files, word, sql, c):
    """What is wrong with one thing in back-ticks; None: nothing, or it is no name."""
    if PATTERN.search(word):
        return None
    name = re.sub(r"\(.*\)$", "", word)
    if is_path(word):
        return None if stands(files, word) else "is no file here"
    if re.fullmatch(r"onec(_internal)?\.\w+", name):
        return None if re.search(rf"\b{re.escape(name)}\b", sql) else "is in no part of the install script"
    if re.fullmatch(r"onec_fdw\.\w+", name):
        return None if f'"{name}"' in c else "is no setting of the session"
    if re.fullmatch(r"(onec_|Onec)\w+", name):
        return None if re.search(rf"\b{name}\b", c + sql) else "is no name of src/ or sql/"
    if re.fullmatch(r"_[a-z]\w+", name):
        return None if re.search(rf"\bonec(_internal)?\.{name}\b", sql) else "is in no part of the install script"
    family = re.match(r"([a-z]+\.)[a-z_0-9]+$", name)
    if family and f"\t('{family.group(1)}" in sql and f"('{name}'," not in sql:
        return "is no setting"
    return None


def named(files):
    """What a paper names exists"""
    sql, c = text_of(files, r"^sql/(extension|install)/"), text_of(files, r"^src/.*\.[ch]$")
    for paper in (name for name in files if PAPER.search(name)):
        fence = False
        for number, line in enumerate(files[paper], 1):
            if line.startswith("```"):
                fence = not fence
            if fence:
                continue
            for word in QUOTED.findall(line):
                wrong = wrong_word(files, word, sql, c)
                if wrong:
                    yield paper, number, f"`{word}` {wrong}"
            for link in LINKED.findall(QUOTED.sub("", line)):
                if not stands(files, re.sub(r"^(\.\./)+", "", link)):
                    yield paper, number, f"links to {link}, which is not here"


def cited(files):
    """A comment cites papers, and sections, that are in the tree"""
    for name in (n for n in files if re.search(r"^(src|sql)/.*\.(c|h|sql)$", n)):
        for number, line in enumerate(files[name], 1):
            for paper, section in CITED.findall(line):
                lines = files.get(paper, [])
                if paper not in files and paper not in WRITTEN:
                    yield name, number, f"cites {paper}, which is not here"
                elif section and not any(re.match(rf"#+ {re.escape(section)}\.? ", heading) for heading in lines):
                    yield name, number, f"cites section {section} of {paper}, which has none"


def options_of(files):
    options = "\n".join(files.get("src/table/options.c", []))
    table = options[options.find("option_defs[]"):options.find("};", options.find("option_defs[]"))]
    return set(re.findall(r"^\t(?:[A-Z]+\(\"?|\{\.name = \")(\w+)", table, re.M))


def parameters_of(files):
    return set(re.findall(r'DefineCustom\w+Variable\("([\w.]+)"', text_of(files, r"^src/.*\.c$")))


def settings_of(files):
    """{key: part of the install script that makes it}"""
    found = {}
    for name, lines in files.items():
        if re.search(r"^sql/install/", name):
            inserts = re.findall(r"INSERT INTO onec(?:_internal)?\.setting \([^)]*\) VALUES(.*?);\n", "\n".join(lines), re.S)
            found.update({key: name for key in re.findall(r"^\s*\('([\w.]+)', '", "\n".join(inserts), re.M)})
    return found


def rows_named(files, paper):
    """What the rows of a paper's tables are about: all names in their first cell, outside of fences."""
    fence, found = False, {}
    for number, line in enumerate(files.get(paper, []), 1):
        if line.startswith("```"):
            fence = not fence
        if not fence and line.startswith("| `"):
            for name in QUOTED.findall(re.split(r"(?<!\\) \| ", line)[0]):
                found[name] = number
    return found


def told(files):
    """Options and session settings stand in doc/options.md and its twin, settings in doc/definitions.md and its twin, and nothing else does"""
    options, settings = options_of(files) | parameters_of(files), settings_of(files)
    for paper in ("doc/options.md", "doc/options.ru.md"):
        rows = rows_named(files, paper)
        for name in sorted(options - rows.keys()):
            yield paper, 1, f"does not tell of the option {name}"
        for name in sorted(rows.keys() - options):
            yield paper, rows[name], f"tells of the option {name}, which there is not"
    for paper in ("doc/definitions.md", "doc/definitions.ru.md"):
        text = "\n".join(files.get(paper, []))
        for key, part in settings.items():
            # settings of the tables that are synced come by themselves, see onec.target
            if f"`{key}`" not in text:
                yield paper, 1, f"does not tell of the setting {key} ({part})"


ERRORS = ("doc/errors.md", "doc/errors.ru.md")


def fragments(message):
    """The pieces of a message that are always alike."""
    return [piece.strip(' ":') for piece in re.split(r"…|\"", message) if len(piece.strip(' ":')) > 3]


def errors(files):
    """Messages that doc/errors.md and its twin tell of are raised somewhere, and every kind of failure of 1C is told of"""
    source = re.sub(r'"\s*\n\s*"', "", text_of(files, r"^src/.*\.[ch]$")).replace('\\"', '"')
    source += re.sub(r"'\s*\n\s*'", "", text_of(files, r"^sql/install/")).replace("''", "'")
    kinds = re.findall(r'^\tX\(\w+, \w+, "([^"]+)"\)', "\n".join(files.get("src/onec_error.h", [])), re.M)
    for paper in ERRORS:
        rows = rows_named(files, paper)
        for message, number in rows.items():
            missing = [f for f in fragments(message) if f not in source]
            if missing and not message.startswith("user mapping not found"):
                yield paper, number, f"tells of `{message}`, which nobody says: {missing[0]}"
        for kind in kinds:
            if kind not in rows and kind != "table":
                yield paper, 1, f"does not tell of \"{kind}\""


def twins(files):
    """A page and its Russian twin (x.md, x.ru.md) have headings of the same levels, and every page of the manual has a twin"""
    def levels(paper):
        fence, found = False, []
        for line in files[paper]:
            if line.startswith("```"):
                fence = not fence
            elif not fence and re.match(r"#+ ", line):
                found.append(len(line.split(" ")[0]))
        return found

    manual = set(re.findall(r"^\| \[[\w.]+\]\((doc/\w+\.md)\)", "\n".join(files.get("README.md", [])), re.M)) | {"README.md"}
    for paper in sorted(manual | {n[:-6] + ".md" for n in files if n.endswith(".ru.md")}):
        twin = paper[:-3] + ".ru.md"
        if paper not in files or twin not in files:
            yield paper, 1, "has no Russian twin, or is none of an English page"
        elif levels(paper) != levels(twin):
            yield twin, 1, f"{len(levels(twin))} headings where {paper} has {len(levels(paper))}, or of other levels"
