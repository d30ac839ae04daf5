"""Pictures of goods, where a site asks for them: files with bytes kept in two ways.

Published with --site only.  A file is an object of Catalog_НоменклатураПрисоединенныеФайлы whose owner is a product;
the product names its main one in ФайлКартинки_Key.  Where its bytes are:

  storage    InformationRegister_ХранилищеФайлов leads to Catalog_ХранилищеДвоичныхДанных, which has them
  own        in the file's own attribute ФайлХранилище, as base64
  link       the same attribute, but of which only Atom tells, by a link to the bytes
  elsewhere  such a link that leads to another host

Planted beside good ones (PLANTED): a picture that is too large and says so, one that says less than it has, an SVG, a page
of HTML that is called .jpg, a picture without its end, one whose file is marked for deletion, a document (PDF) that
is no picture, a file without any bytes, a link to another host.  From a random stream of their own.
"""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from datetime import datetime
from typing import Any

from goods import named
from ledger import guid, version
from model import EMPTY_GUID, Base, EntitySet, Property, Row
from schema import CATALOG, NAMED, PREDEFINED, PREFIX, publish

PRODUCTS, FILES = "Catalog_Номенклатура", "Catalog_НоменклатураПрисоединенныеФайлы"
REGISTER, STORAGE = "InformationRegister_ХранилищеФайлов", "Catalog_ХранилищеДвоичныхДанных"
ELSEWHERE = "http://pictures.invalid/stolen.jpg"
SETS = {
    FILES: CATALOG + NAMED + """
    ВладелецФайла_Key Key Catalog_Номенклатура
    Расширение String(10)
    Размер Int64
    ДатаМодификацииУниверсальная DateTime
    ТипХраненияФайла String
    ФайлХранилище Stream
    ФайлХранилище_Base64Data Binary
    ФайлХранилище_Type String""" + PREDEFINED,
    REGISTER: """
    Файл Any
    ХранилищеДвоичныхДанных_Key Key Catalog_ХранилищеДвоичныхДанных""",
    STORAGE: CATALOG + """
    Description String(100)
    Размер Int64
    Хеш String(100)
    ДвоичныеДанные Stream
    ДвоичныеДанные_Base64Data Binary
    ДвоичныеДанные_Type String""" + PREDEFINED,
}
KINDS = ("jpg", "png", "webp", "gif")
WHOLE = 24  # good pictures, by turns of kind and of way
GALLERY = 4  # of those, further ones of a product that has one
LARGE = 40_000  # bytes of those that are too large where image.max_bytes is less
PLANTED = {"storage": 9, "own": 9, "link": 6, "large": 1, "larger than said": 1, "svg": 1, "html": 1, "cut": 1, "marked": 1,
           "pdf": 1, "without bytes": 1, "elsewhere": 1}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(kind: str, rng: random.Random, size: int) -> bytes:
    """A picture of about so many bytes: a real PNG; of the others head and end are real."""
    noise = rng.randbytes(size)
    if kind == "png":
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(b"\0" + noise[:1])) + chunk(b"tEXt", b"Comment\0" + noise.hex().encode()[:size])
                + chunk(b"IEND", b""))
    if kind == "gif":
        return b"GIF89a" + noise + b"\x3b"
    if kind == "webp":
        noise = noise[:len(noise) // 2 * 2]
        return b"RIFF" + struct.pack("<I", len(noise) + 4) + b"WEBP" + noise
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + noise.replace(b"\xff", b"\xfe") + b"\xff\xd9"


def stored(key: str, at: int, data: bytes) -> Row:
    return {"Ref_Key": key, "DataVersion": version(at), "DeletionMark": False, "Description": f"{at:09d}", "Размер": len(data),
            "Хеш": hashlib.md5(data).hexdigest(), "ДвоичныеДанные": None, "ДвоичныеДанные_Base64Data": data,
            "ДвоичныеДанные_Type": "application/octet-stream", "Predefined": False, "PredefinedDataName": ""}


class Pictures:
    """Writes files, one way for the generator and for edits."""

    def __init__(self, base: Base, seed: object):
        self.base = base
        self.seed = seed
        self.rng = random.Random(f"{seed}/pictures")
        self.made = 0
        self.products = [row for row in self.rows(PRODUCTS) if not row["IsFolder"]]

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def next(self) -> int:
        self.made += 1
        return self.made

    def add(self, product: Row, data: bytes | None, extension: str, way: str, said: int | None = None) -> Row:
        """A file of the product; "said": another size than it has."""
        at = self.next()
        row = named(self.seed, "file", at, f"{product['Description']} {at:03d}") | {
            "ВладелецФайла_Key": product["Ref_Key"], "Расширение": extension, "ТипХраненияФайла": "ВИнформационнойБазе",
            "ФайлХранилище": None, "ФайлХранилище_Base64Data": None, "ФайлХранилище_Type": ""}
        self.rows(FILES).append(row)
        self.fill(row, data, way, said)
        return row

    def fill(self, row: Row, data: bytes | None, way: str, said: int | None = None) -> None:
        """The bytes of a file, in the place of those that it had."""
        at = self.next()
        row |= {"DataVersion": version(at), "ДатаМодификацииУниверсальная": datetime(2026, 3, 1, 12, at // 60 % 60, at % 60),
                "Размер": len(data or b"") if said is None else said, "ФайлХранилище": None, "ФайлХранилище_Base64Data": None}
        self.base.sets[FILES].links.pop((row["Ref_Key"], "ФайлХранилище"), None)
        self.unlink(row)
        if way == "storage" and data is not None:
            storage = guid(self.seed, "storage", at)
            self.rows(STORAGE).append(stored(storage, at, data))
            self.rows(REGISTER).append({"Файл": row["Ref_Key"], "Файл_Type": PREFIX + FILES,
                                        "ХранилищеДвоичныхДанных_Key": storage})
        elif way == "own":
            row["ФайлХранилище_Base64Data"], row["ФайлХранилище_Type"] = data, "application/octet-stream"
        elif way == "elsewhere":
            self.base.sets[FILES].links[row["Ref_Key"], "ФайлХранилище"] = ELSEWHERE
        else:
            row["ФайлХранилище"] = data

    def unlink(self, row: Row) -> None:
        links = [found for found in self.rows(REGISTER) if found["Файл"] == row["Ref_Key"]]
        keys = {found["ХранилищеДвоичныхДанных_Key"] for found in links}
        for name, gone in ((REGISTER, links), (STORAGE, [x for x in self.rows(STORAGE) if x["Ref_Key"] in keys])):
            stays = set(map(id, gone))
            self.rows(name)[:] = [found for found in self.rows(name) if id(found) not in stays]

    def remove(self, row: Row) -> None:
        self.unlink(row)
        self.rows(FILES).remove(row)
        for product in self.products:
            if product["ФайлКартинки_Key"] == row["Ref_Key"]:
                product["ФайлКартинки_Key"] = EMPTY_GUID
                product["DataVersion"] = version(0x1000000 + self.next())


def _publish(base: Base) -> None:
    publish(base, SETS, keys={REGISTER: ("Файл", "Файл_Type")})
    goods: EntitySet = base.sets[PRODUCTS]
    at = [p.name for p in goods.properties].index("Комментарий") + 1
    goods.properties.insert(at, Property("ФайлКартинки_Key", "Edm.Guid", True, FILES))
    for row in goods.rows:
        row["ФайлКартинки_Key"] = None if row["IsFolder"] else EMPTY_GUID
    # files that are none of ours: the register has those of the whole base
    base.sets[REGISTER].rows += [{"Файл": guid("other", "file", at), "Файл_Type": PREFIX + "Catalog_ПисьмаПрисоединенныеФайлы",
                                  "ХранилищеДвоичныхДанных_Key": guid("other", "storage", at)} for at in range(5)]
    base.sets[STORAGE].rows += [stored(guid("other", "storage", at), at, b"letter") for at in range(5)]


def plant(base: Base, seed: object) -> Pictures:
    _publish(base)
    found = Pictures(base, seed)
    rng, goods = found.rng, iter(found.products)
    for at in range(WHOLE):
        kind, way = KINDS[at % 4], ("storage", "own", "link")[at % 8 % 3]
        product = next(goods) if at < WHOLE - GALLERY else found.products[at % GALLERY]
        row = found.add(product, picture(kind, rng, rng.randrange(300, 3000)), kind, way)
        if at < WHOLE - GALLERY and at % 2 == 0:
            product["ФайлКартинки_Key"] = row["Ref_Key"]
    wrong = (("jpg", picture("jpg", rng, LARGE), "storage", None), ("jpg", picture("jpg", rng, LARGE), "own", 100),
             ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "own", None),
             ("jpg", b"<!DOCTYPE html><html><script>alert(1)</script></html>", "storage", None),
             ("jpg", picture("jpg", rng, 900)[:-300], "own", None), ("png", picture("png", rng, 500), "own", None),
             ("pdf", b"%PDF-1.4 nothing", "storage", None), ("jpg", None, "storage", None), ("jpg", None, "elsewhere", 500))
    for extension, data, way, said in wrong:
        product = next(goods)
        row = found.add(product, data, extension, way, said)
        product["ФайлКартинки_Key"] = row["Ref_Key"]
        row["DeletionMark"] = extension == "png"
    return found


class PictureEdits:
    """Edits of pictures: picture_new, picture_replace, picture_remove, picture_main.  Chosen by a stream of their own."""

    pictures: Pictures | None = None

    def _file(self, given: dict) -> Row:
        found = [row for row in self.pictures.rows(FILES) if given.get("file") in (None, row["Ref_Key"])]
        if not found:
            raise ValueError("there is no such file")
        return self.pictures.rng.choice(found)

    def _bytes(self, given: dict) -> tuple[bytes, str]:
        rng = self.pictures.rng
        kind = given.get("kind") or rng.choice(KINDS)
        return picture(kind, rng, int(given.get("size") or rng.randrange(300, 3000))), kind

    def _about_file(self, row: Row) -> dict:
        return {"file": row["Ref_Key"], "product": row["ВладелецФайла_Key"], "way": way_of(self.pictures.base, row)}

    def op_picture_new(self, given: dict) -> dict:
        """product?, kind?, size?, said?, way?: a file more, which becomes the main one"""
        pictures = self.pictures
        found = [row for row in pictures.products if given.get("product") in (None, row["Ref_Key"])]
        product = pictures.rng.choice(found)
        data, kind = self._bytes(given)
        row = pictures.add(product, data, kind, given.get("way") or pictures.rng.choice(("storage", "own", "link")),
                           given.get("said"))
        product["ФайлКартинки_Key"] = row["Ref_Key"]
        product["DataVersion"] = version(0x1000000 + pictures.next())
        return self._about_file(row)

    def op_picture_replace(self, given: dict) -> dict:
        """file?, kind?, size?, way?: other bytes"""
        row = self._file(given)
        data, kind = self._bytes(given)
        row["Расширение"] = kind
        was = way_of(self.pictures.base, row)
        way = given.get("way") or (was if was != "elsewhere" else "link")
        self.pictures.fill(row, data, way)
        return self._about_file(row)

    def op_picture_remove(self, given: dict) -> dict:
        """file?, mark?: it goes, or is marked"""
        row = self._file(given)
        if given.get("mark"):
            row["DeletionMark"], row["DataVersion"] = True, version(self.pictures.next())
        else:
            self.pictures.remove(row)
        return self._about_file(row)

    def random_picture_edits(self, count: int) -> list[dict]:
        done = []
        for _ in range(count):
            name = self.pictures.rng.choice(("picture_new", "picture_replace", "picture_replace", "picture_remove"))
            if self.pictures.rows(FILES) or name == "picture_new":
                done.append({"op": name} | getattr(self, "op_" + name)({"mark": self.pictures.rng.random() < .3}))
        return done


def way_of(base: Base, row: Row) -> str:
    if (row["Ref_Key"], "ФайлХранилище") in base.sets[FILES].links:
        return "elsewhere"
    if row["ФайлХранилище_Base64Data"] is not None:
        return "own"
    return "link" if row["ФайлХранилище"] is not None else "storage"


def bytes_of(base: Base, row: Row) -> bytes | None:
    """As a user of 1C would see them."""
    keys = {found["ХранилищеДвоичныхДанных_Key"] for found in base.sets[REGISTER].rows if found["Файл"] == row["Ref_Key"]}
    kept = (found["ДвоичныеДанные_Base64Data"] for found in base.sets[STORAGE].rows if found["Ref_Key"] in keys)
    return next(kept, row["ФайлХранилище_Base64Data"] or row["ФайлХранилище"])


def truth(base: Base) -> dict[str, Any]:
    """Each file with what it is: nothing is judged here."""
    files = {}
    for row in base.sets[FILES].rows:
        data = bytes_of(base, row)
        files[row["Ref_Key"]] = {
            "product": row["ВладелецФайла_Key"], "way": way_of(base, row), "marked": row["DeletionMark"], "extension": row["Расширение"],
            "said": row["Размер"], "size": None if data is None else len(data), "head": (data or b"")[:12].hex(),
            "tail": (data or b"")[-12:].hex(),
            "sha256": None if data is None else hashlib.sha256(data).hexdigest()}
    return {"files": files, "planted": PLANTED, "main": {
        row["Ref_Key"]: row["ФайлКартинки_Key"] for row in base.sets[PRODUCTS].rows
        if row["ФайлКартинки_Key"] not in (None, EMPTY_GUID)}}
