"""What is told of a version where it leaves the tree: to PGXN, Debian, whoever updates.

Each function takes the files of the tree, {path: lines}, and yields (file, line, what is wrong).
"""
import hashlib
import json
import re

OUT = re.compile(r"-- onec_fdw \S+, as released")
# What PGXN refuses a META.json without, and what we want there besides.
WANTED = ("name", "abstract", "version", "maintainer", "license", "provides", "meta-spec", "release_status", "description",
          "resources", "prereqs", "tags")
STATUSES = ("stable", "testing", "unstable")
SEMVER = re.compile(r"\d+\.\d+\.\d+(-[A-Za-z][0-9A-Za-z-]*)?$")


def _first(files, name, pattern):
    match = re.search(pattern, "\n".join(files.get(name, [])), re.M)
    return match.group(1) if match else None


def control_version(files):
    return _first(files, "onec_fdw.control", r"^default_version\s*=\s*'([\d.]+)'")


def one_version(files):
    """the control file, META.json, debian/changelog and CHANGELOG.md tell of the same version, and META.json is whole"""
    version = control_version(files)
    for name, pattern in (("debian/changelog", r"\Aonec-fdw \(([\d.]+)\.\d+-"), ("CHANGELOG.md", r"\A# Changelog\n\n## ([\d.]+)")):
        if _first(files, name, pattern) != version:
            yield name, 1, f"does not begin with version {version}"
    try:
        meta = json.loads("\n".join(files.get("META.json", [])))
    except ValueError as error:
        yield "META.json", 1, f"is no JSON: {error}"
        return
    for key in WANTED:
        if not meta.get(key):
            yield "META.json", 1, f"has no {key}"
    if meta.get("release_status") not in STATUSES:
        yield "META.json", 1, f"release_status is one of {', '.join(STATUSES)}"
    for key in ("homepage", "bugtracker", "repository"):
        if not meta.get("resources", {}).get(key):
            yield "META.json", 1, f"has no {key} among its resources"
    if "not released" in (files.get("CHANGELOG.md", []) + [""] * 3)[2] and OUT.match((files.get(f"sql/onec_fdw--{version}.sql") or [""])[0]):
        yield "CHANGELOG.md", 3, f"{version} is out: when?"
    for name, one in meta.get("provides", {}).items():
        if one.get("file") != f"sql/{name}--{version}.sql":
            yield "META.json", 1, f"the script of {version} is sql/{name}--{version}.sql"
    for what in [meta, *meta.get("provides", {}).values()]:
        number = what.get("version", "")
        if not SEMVER.match(number) or not number.startswith(f"{version}."):
            yield "META.json", 1, f"version {number} is not a semantic one of {version}"
        for file in (what.get("file"), what.get("docfile")):
            # the install script comes into the tree when the version is frozen, and into the archive anyway
            if file and file not in files and file != f"sql/onec_fdw--{version}.sql":
                yield "META.json", 1, f"names {file}, which is not here"


def released_kept(files, scripts):
    """an install script that is out is never changed: what comes after it needs a version of its own"""
    version = control_version(files)
    parts = sorted(n for n in files if re.match(r"sql/install/\d\d_\w+/\d\d_\w+\.sql$", n))
    newest = "".join("\n".join(files[n]) for n in parts).split("\n")
    scripts = {**scripts, **{n: t for n, t in files.items() if re.match(r"sql/onec_fdw--[\d.]+\.sql$", n)}}
    for name, lines in scripts.items():
        number = re.match(r"sql/onec_fdw--([\d.]+)\.sql$", name).group(1)
        if not OUT.match(lines[0]):
            continue
        if number == version and lines[1:] != newest:
            yield name, 1, "differs from sql/install: begin a new version (doc/release.md)"
        if number == version:
            continue
        onwards = [t for n, t in files.items() if n.startswith(f"sql/updates/onec_fdw--{number}--")]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        if not onwards:
            yield name, 1, f"nothing in sql/updates leads on from {number}"
        elif not any(f"sha256 {digest}" in t[0] for t in onwards):
            yield name, 1, "is not the script that the update was begun from (sha256 in its first line)"


def ci_alike(files):
    """.github/workflows/ci.yml runs .ci/run, and nothing besides"""
    name = ".github/workflows/ci.yml"
    runs = [(number, match.group(1)) for number, line in enumerate(files.get(name, []), 1)
            if (match := re.match(r"\s*(?:- )?run:\s*(.*)$", line))]
    if not runs:
        yield name, 1, "runs nothing"
    for number, command in runs:
        if command != ".ci/run":
            yield name, number, f"runs {command}: say it in .ci/run"
