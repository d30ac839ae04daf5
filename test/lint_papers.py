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


def told(files):
    """Options stand in both READMEs, settings in doc/definitions.md"""
    options = "\n".join(files.get("src/table/options.c", []))
    table = options[options.find("option_defs[]"):options.find("};", options.find("option_defs[]"))]
    names = re.findall(r"^\t(?:[A-Z]+\(\"?|\{\.name = \")(\w+)", table, re.M)
    for paper in ("README.md", "README.ru.md"):
        text = "\n".join(files.get(paper, []))
        for name in names:
            if f"`{name}`" not in text:
                yield paper, 1, f"does not tell of the option {name}"
    text = "\n".join(files.get("doc/definitions.md", []))
    for name, lines in files.items():
        if re.search(r"^sql/(extension|install)/", name):
            inserts = re.findall(r"INSERT INTO onec(?:_internal)?\.setting \([^)]*\) VALUES(.*?);\n", "\n".join(lines), re.S)
            for key in re.findall(r"^\s*\('([\w.]+)', '", "\n".join(inserts), re.M):
                if f"`{key}`" not in text:
                    yield "doc/definitions.md", 1, f"does not tell of the setting {key} ({name})"
