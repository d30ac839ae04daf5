"""The same answers in Atom, which 1C gives when nobody asks for JSON."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from model import EMPTY_GUID, Property, Row
from views import PREFIX, Chosen, View, scalar_text

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
DATA = "http://schemas.microsoft.com/ado/2007/08/dataservices"
NAMES = f'xmlns:d="{DATA}" xmlns:m="{DATA}/metadata"'
UPDATED = "2026-01-01T00:00:00"


def _value(name: str, text: str, null: bool) -> str:
    if null:
        return f'<d:{name} m:null="true"/>'
    return f"<d:{name}>{escape(text)}</d:{name}>" if text else f"<d:{name}/>"


def _member(view: View, field: Property, row: Row, chosen: Chosen) -> str:
    value = row.get(field.name)
    if not field.type.startswith("Collection("):
        return _value(field.name, scalar_text(value, field.type), value is None)
    kind = field.type[11:-1]
    inner = view.store.row_type(kind) or []
    only = chosen.inner.get(field.name)
    inner = [p for p in inner if (only is None or p.name in only) and p.type != "Edm.Stream"]
    lines = "".join(
        f"<d:element m:type={quoteattr(kind)}>"
        + "".join(_value(p.name, scalar_text(line.get(p.name), p.type), line.get(p.name) is None) for p in inner)
        + "</d:element>" for line in value or ())
    return f"<d:{field.name} m:type={quoteattr(field.type)}>{lines}</d:{field.name}>"


def _members(view: View, row: Row, chosen: Chosen) -> str:
    return "\n".join(_member(view, field, row, chosen) for field in chosen.fields)


def _entry(root: str, view: View, row: Row, chosen: Chosen, head: str) -> str:
    address = view.key_text(row)
    links = "".join(
        f'<link rel="{DATA}/related/{name}" href={quoteattr(f"{address}/{name}")} '
        f'type="application/atom+xml;type=entry;charset=utf-8" title={quoteattr(name)}/>\n'
        for name, (key, target) in view.scope.targets.items()
        if target in view.store.base.sets and row.get(key) not in (None, EMPTY_GUID))
    for p in view.properties:
        if p.type == "Edm.Stream":
            href = view.source.links.get((row[view.source.key[0]], p.name)) or f"{address}/{p.name}"
            links += f'<link rel="{DATA}/mediaresource/{p.name}" href={quoteattr(href)} title={quoteattr(p.name)}/>\n'
    return (f"{head}<id>{escape(f'{root}/{address}')}</id>\n"
            f'<category term={quoteattr(PREFIX + view.name)} scheme="{DATA}/scheme"/>\n'
            f'<title type="text"/>\n<updated>{UPDATED}</updated>\n<author/>\n<summary/>\n{links}'
            f'<link rel="edit" href={quoteattr(address)} title="edit-link"/>\n'
            f'<content type="application/xml"><m:properties {NAMES}>\n{_members(view, row, chosen)}\n</m:properties>'
            "</content>\n</entry>")


def entry_document(root: str, view: View, row: Row, chosen: Chosen) -> bytes:
    head = f'{HEAD}<entry xmlns="http://www.w3.org/2005/Atom" {NAMES} xml:base={quoteattr(root + "/")}>\n'
    return _entry(root, view, row, chosen, head).encode()


def feed(root: str, view: View, rows: list[Row], chosen: Chosen, count: int | None) -> bytes:
    counted = "" if count is None else f"<m:count>{count}</m:count>\n"
    head = (f'{HEAD}<feed xmlns="http://www.w3.org/2005/Atom" {NAMES} xml:base={quoteattr(root + "/")}>\n'
            f"<id>{escape(f'{root}/{view.name}')}</id>\n<title type=\"text\"/>\n<updated>{UPDATED}</updated>\n"
            f"{counted}<link rel=\"self\" href={quoteattr(view.name)} title={quoteattr(view.name)}/>\n")
    return (head + "\n".join(_entry(root, view, row, chosen, "<entry>\n") for row in rows) + "\n</feed>").encode()


def elements(function: str, view: View, rows: list[Row], chosen: Chosen) -> bytes:
    """The answer of a virtual table: no feed, no entries."""
    body = "\n".join(f"<d:element>\n{_members(view, row, chosen)}\n</d:element>" for row in rows)
    return f"{HEAD}<d:Result {NAMES}>\n{body}\n</d:Result>".encode()


def service(root: str, names: list[str]) -> bytes:
    sets = "\n".join(f"<collection href={quoteattr(name)}><atom:title>{escape(name)}</atom:title></collection>"
                     for name in names)
    return (f'{HEAD}<service xmlns="http://www.w3.org/2007/app" xmlns:atom="http://www.w3.org/2005/Atom" '
            f'xml:base={quoteattr(root + "/")}>\n<workspace><atom:title>Default</atom:title>\n{sets}\n'
            "</workspace>\n</service>").encode()


def error(code: int, message: str) -> bytes:
    return (f'{HEAD}<m:error xmlns:m="{DATA}/metadata"><m:code>{code}</m:code>'
            f"<m:message>{escape(message)}</m:message></m:error>").encode()
