"""Changes of documents and catalogs, as users make them: everything that 1C keeps together changes together.

apply({"op": …}) returns what it did, with ids and dates as text; what is not named is chosen, by
"seed" where given; "silently" leaves DataVersion as it was, as no 1C should.  A recorder is a receipt, a
return or a shift report.

  change_amount    recorder?, line?, amount?           a line's sum, in registers, document, journal, points
  delete_document  recorder?, physically?              its movements go; the document is marked, or gone as well
  backdate         recorder?, days? or date?           all its dates
  new_sale         card? or phone?, date?, amount?, lines?
  return           recorder?, line?, date?             a line comes back (line 0: all of them)
  inactivate       recorder?                           its movements are switched off
  close_shift      recorder?                           a report registers that day and store again; receipts are archived
  new_customer     name?, phone?                       a counterparty with contact and card
  new_card         customer? or phone_of?, phone?
  change_owner     card? or phone?, customer?          the card's; past movements keep theirs
  change_phone     card? or phone?, new_phone?
  delete_card      card? or phone?                     the deletion mark
  rename_product   product?, name?
  grow             cards?, products?, customers?       so many more, in no receipt
  order_new, order_state, order_line, order_move, order_delete: see orders.py
  price_set, price_drop, stock_move, stock_gone, reserve, unreserve, variant_new, property_set, term_change, term_gone,
  price_list, random_goods: see wares.py
  order_pay, order_refund, order_ship: see parcels.py; picture_new, picture_replace, picture_remove: see pictures.py
  random           n, seed                             n of the above, and n of orders
  random_site      n, seed                             n of what becomes of orders, and n of pictures
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, Callable

from ledger import (JOURNAL, REFUND, REGISTERS, REPORT, SALE, SALES, Entry, Ledger, Line, a_year_later, accrued,
                    guid, kopecks, money)
from model import EMPTY_DATE, EMPTY_GUID, Base, Row
from orders import OrderEdits, Orders
from parcels import ParcelEdits
from pictures import PictureEdits
from schema import PREFIX
from wares import WareEdits

CARDS, CUSTOMERS, GOODS = "Catalog_ДисконтныеКарты", "Catalog_Контрагенты", "Catalog_Номенклатура"
CONTACTS = "Catalog_Контрагенты_КонтактнаяИнформация"
LOTS, POINTS = REGISTERS[3], REGISTERS[2]
GOODS_EDITS = ("price_", "stock_", "reserve", "unreserve", "variant_", "property_", "term_", "random_goods")
PROTECTED = ("70000000001", "70000000002")  # examples rely on them: never chosen, only named


class Edits(OrderEdits, WareEdits, ParcelEdits, PictureEdits):
    def __init__(self, base: Base, ledger: Ledger, orders: Orders):
        self.base = base
        self.ledger = ledger
        self.orders = orders
        self.rng = random.Random("edits")
        self.made = 0
        self._silently = False
        self._movements: dict[str, list[tuple[str, Row]]] | None = None  # recorder → set, row
        self._documents: dict[str, Row] = {}
        self._journal: dict[str, Row] = {}

    def apply(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given.get("op", "")
        action: Callable | None = getattr(self, "op_" + name, None)
        if action is None:
            raise ValueError(f"there is no edit {name!r}")
        if "seed" in given:
            self.rng = random.Random(f"edits/{given['seed']}")
            self.orders.rng = random.Random(f"orders/{given['seed']}")
            for own in (self.parcels, self.pictures):
                if own:
                    own.rng = random.Random(f"{own.__class__.__name__}/{given['seed']}")
        self.made += not name.startswith(("order_", "picture_", "random_site", *GOODS_EDITS))
        self._silently = bool(given.get("silently"))
        self.base.version += 1
        return {"op": name} | action(given)

    def forget(self) -> None:
        """Somebody else has written: what was found is looked for again."""
        self._movements, self._documents, self._journal = None, {}, {}

    # finding things

    def rows(self, name: str) -> list[Row]:
        return self.base.sets[name].rows

    def _look(self) -> dict[str, list[tuple[str, Row]]]:
        if self._movements is None:
            self._movements = {}
            for name in REGISTERS:
                for row in self.rows(name):
                    self._movements.setdefault(row["Recorder"], []).append((name, row))
            for name in ("ЧекККМ", "ЧекККМВозврат", "ОтчетОРозничныхПродажах"):
                self._documents |= {row["Ref_Key"]: row for row in self.rows("Document_" + name)}
            self._journal = {row["Ref"]: row for row in self.rows(JOURNAL)}
        return self._movements

    def _of(self, recorder: str, name: str = SALES) -> list[Row]:
        return [row for at, row in self._look().get(recorder, ()) if at == name]

    def _fixed_cards(self) -> set[str]:
        return {row["Ref_Key"] for row in self.rows(CARDS) if row["КодКартыШтрихкод"] in PROTECTED}

    def _recorder(self, given: dict, kinds: tuple[str, ...] = (SALE, REFUND, REPORT)) -> str:
        """The one named, or one with active movements, of one of the kinds."""
        self._look()
        if given.get("recorder"):
            if not self._of(given["recorder"]):
                raise ValueError("this recorder has no sales")
            return given["recorder"]
        fixed = self._fixed_cards()
        rows = self.rows(SALES)
        for _ in range(10_000 if rows else 0):
            row = self.rng.choice(rows)
            document = self._documents.get(row["Recorder"], {})
            if row["Recorder_Type"] in kinds and row["Active"] and document.get("ДисконтнаяКарта_Key") not in fixed:
                return row["Recorder"]
        raise ValueError("there is no such document left")

    def _card(self, given: dict, live: bool = True) -> Row:
        if given.get("card") or given.get("phone"):
            for row in self.rows(CARDS):
                if given.get("card") in (None, row["Ref_Key"]) and given.get("phone") in (None, row["КодКартыШтрихкод"]):
                    return row
            raise ValueError("there is no such card")
        found = [row for row in self.rows(CARDS)
                 if row["КодКартыШтрихкод"] not in PROTECTED and not (live and row["DeletionMark"])]
        if not found:
            raise ValueError("there is no card to choose")
        return self.rng.choice(found)

    def _customer(self, key: str | None) -> Row:
        fixed = {row["ВладелецКарты_Key"] for row in self.rows(CARDS) if row["КодКартыШтрихкод"] in PROTECTED}
        found = [row for row in self.rows(CUSTOMERS)
                 if not row["IsFolder"] and (row["Ref_Key"] == key if key else row["Ref_Key"] not in fixed)]
        if not found:
            raise ValueError("there is no such customer")
        return found[0] if key else self.rng.choice(found)

    def _phone(self) -> str:
        taken = {row["КодКартыШтрихкод"] for row in self.rows(CARDS)}
        while True:
            phone = "7000" + f"{self.rng.randrange(1000, 10_000_000):07d}"
            if phone not in taken:
                return phone

    def _moment(self, given: dict) -> datetime:
        """The date given, or a while after the last sale."""
        if given.get("date"):
            return datetime.fromisoformat(given["date"])
        last = max((row["Period"] for row in self.rows(SALES)), default=datetime(2026, 11, 22, 12))
        return last + timedelta(minutes=self.rng.randrange(1, 30))

    def _touch(self, row: Row) -> None:
        if not self._silently:
            row["DataVersion"] = self.ledger.next_version()

    # writing through

    def _track(self, recorder: str, before: dict[str, int]) -> None:
        """Rows that the ledger has appended since."""
        for name, length in before.items():
            for row in self.rows(name)[length:]:
                self._look().setdefault(recorder, []).append((name, row))

    def _lengths(self) -> dict[str, int]:
        return {name: len(self.rows(name)) for name in REGISTERS}

    def _post(self, kind: str, ref: str, at: datetime, entries: list[Entry], of: str = EMPTY_GUID,
              first: datetime | None = None) -> None:
        self._look()
        before = self._lengths()
        self._documents[ref] = self.ledger.receipt(kind, ref, at, self.ledger.next_number(kind), entries, of)
        self._journal[ref] = self.rows(JOURNAL)[-1]
        self.ledger.movements(kind, ref, at, entries)
        if entries[0].card:
            self.ledger.accrue(kind, ref, at, entries, first)
        self._track(ref, before)

    def _drop(self, name: str, gone: list[Row]) -> None:
        stays = set(map(id, gone))
        rows = self.rows(name)
        rows[:] = [row for row in rows if id(row) not in stays]

    def _forget_movements(self, recorder: str) -> int:
        found = self._look().pop(recorder, [])
        for name in REGISTERS:
            gone = [row for at, row in found if at == name]
            if gone:
                self._drop(name, gone)
        return len(found)

    def _remove_document(self, recorder: str) -> None:
        row, journal = self._documents.pop(recorder), self._journal.pop(recorder)
        kind = journal["Ref_Type"].removeprefix(PREFIX)
        self._drop(kind, [row])
        self._drop(JOURNAL, [journal])
        for section in ("_Запасы", "_БезналичнаяОплата"):
            if kind + section in self.base.sets:
                self._drop(kind + section, [line for line in self.rows(kind + section) if line["Ref_Key"] == recorder])

    def _about(self, recorder: str, **more: Any) -> dict[str, Any]:
        rows = self._of(recorder)
        about: dict[str, Any] = {"recorder": recorder}
        if rows:
            about |= {"recorder_type": rows[0]["Recorder_Type"], "period": rows[0]["Period"].isoformat(), "lines": len(rows),
                      "sum": f"{sum(row['Сумма'] for row in rows):.2f}", "customer": rows[0]["Контрагент_Key"]}
        return about | more

    # edits of documents

    def op_change_amount(self, given: dict) -> dict:
        recorder = self._recorder(given, (SALE,))
        rows = self._of(recorder)
        line = given.get("line") or self.rng.choice(rows)["LineNumber"]
        sale = next((row for row in rows if row["LineNumber"] == line), None)
        if sale is None:
            raise ValueError("there is no such line")
        old = kopecks(sale["Сумма"])
        new = round(float(given["amount"]) * 100) if "amount" in given else max(old + self.rng.choice((-1, 1)) * 10000, 100)
        for name, row in self._look()[recorder]:
            if row["LineNumber"] == line and name in REGISTERS[:2]:
                row["Сумма"] = money(new)
                if name == SALES:
                    row["СуммаНДС"], row["Себестоимость"] = money(new // 6), money(new * 45 // 100)
        self._reaccrue(recorder, sale, accrued(new) - accrued(old))
        self._retotal(recorder, line, money(new), money(new - old))
        return self._about(recorder, line=line, old=f"{money(old):.2f}", new=f"{money(new):.2f}")

    def _reaccrue(self, recorder: str, sale: Row, by: int) -> None:
        """Points follow the sum: the lot of the product, the accrual and its expiry."""
        lots = [row for row in self._of(recorder, LOTS) if row["Номенклатура_Key"] == sale["Номенклатура_Key"]]
        if not by or not lots:
            return
        lots[0]["Сумма"] += by
        card = lots[0]["БонуснаяКарта_Key"]
        for field in ("Начислено", "КСписанию"):
            for row in self._of(recorder, POINTS):
                if row["БонуснаяКарта_Key"] == card and row["RecordType"] == "Receipt" and row[field] != 0:
                    row[field] += by
                    break

    def _retotal(self, recorder: str, line: int, amount: Any, by: Any) -> None:
        document, journal = self._documents[recorder], self._journal[recorder]
        for row in self.rows(journal["Ref_Type"].removeprefix(PREFIX) + "_Запасы"):
            if row["Ref_Key"] == recorder and row["LineNumber"] == line:
                row["Сумма"] = row["Всего"] = amount
        document["СуммаДокумента"] += by
        journal["Сумма"] = document["СуммаДокумента"]
        self._touch(document)

    def op_delete_document(self, given: dict) -> dict:
        recorder = self._recorder(given)
        about = self._about(recorder, physically=bool(given.get("physically")))
        self._forget_movements(recorder)
        if recorder not in self._documents:  # an opening balance
            return about
        for row in (self._documents[recorder], self._journal[recorder]):
            row["DeletionMark"], row["Posted"] = True, False
        self._touch(self._documents[recorder])
        if given.get("physically"):
            self._remove_document(recorder)
        return about

    def op_backdate(self, given: dict) -> dict:
        recorder = self._recorder(given, (SALE, REFUND))
        old = self._of(recorder)[0]["Period"]
        new = (datetime.fromisoformat(given["date"]) if given.get("date")
               else old - timedelta(days=given.get("days") or self.rng.randrange(3, 91)))
        kind = self._of(recorder)[0]["Recorder_Type"]
        for name, row in self._look()[recorder]:
            if name != POINTS:
                row["Period"] = new
                continue
            first = row["ДатаПервоначальногоНачисления"]
            own = kind == SALE and row["RecordType"] == "Receipt"  # points spent or taken back keep their lot's day
            if own:
                first = row["ДатаПервоначальногоНачисления"] = datetime(new.year, new.month, new.day)
            row["Period"] = new if row["Начислено"] else a_year_later(first)
        self._documents[recorder]["Date"] = self._journal[recorder]["Date"] = new
        self._touch(self._documents[recorder])
        return self._about(recorder, old=old.isoformat(), new=new.isoformat())

    def op_new_sale(self, given: dict) -> dict:
        known = given.get("card") or given.get("phone") or self.rng.random() < .65
        card = self._card(given) if known else None
        ref = guid(self.ledger.seed, "edit", self.made, "sale")
        store = self.rng.choice(list(self.ledger.tills))
        products = [row for row in self.rows(GOODS) if not row["IsFolder"]]
        entries = []
        for at in range(int(given.get("lines") or 1)):
            amount = round(float(given["amount"]) * 100) if "amount" in given and at == 0 else self.rng.randrange(1, 90) * 10000 - 1000
            product = given.get("product") or self.rng.choice(products)["Ref_Key"]
            entries.append(Entry(Line(product, EMPTY_GUID, 1, amount, amount), card, (ref, SALE), store))
        self._post(SALE, ref, self._moment(given), entries)
        return self._about(ref, card=card["Ref_Key"] if card else "")

    def op_return(self, given: dict) -> dict:
        recorder = self._recorder(given, (SALE, REPORT))
        rows = [row for row in self._of(recorder) if row["Сумма"] > 0]
        line = given["line"] if "line" in given else self.rng.choice(rows)["LineNumber"]
        back = [row for row in rows if line in (0, row["LineNumber"])]
        if not back:
            raise ValueError("there is no such line")
        cards = {row["LineNumber"]: row["ДисконтнаяКарта_Key"] for row in self._of(recorder, REGISTERS[1])}
        by_key = {row["Ref_Key"]: row for row in self.rows(CARDS)}
        card = by_key.get(cards.get(back[0]["LineNumber"], ""))
        back = [row for row in back if row["Контрагент_Key"] == back[0]["Контрагент_Key"]]
        period = rows[0]["Period"]
        at = self._moment(given)
        if not given.get("date"):
            at = min(at, period + timedelta(days=self.rng.randrange(1, 15)))
        ref = guid(self.ledger.seed, "edit", self.made, "return")
        entries = [Entry(Line(row["Номенклатура_Key"], row["Характеристика_Key"], -int(row["Количество"]), -kopecks(row["Сумма"]),
                              kopecks(row["Сумма"])), card, (row["Документ"], row["Документ_Type"]), row["Склад_Key"]) for row in back]
        self._post(REFUND, ref, at, entries, recorder if rows[0]["Recorder_Type"] == SALE else EMPTY_GUID, period)
        return self._about(ref, of=recorder)

    def op_inactivate(self, given: dict) -> dict:
        recorder = self._recorder(given, (SALE,))
        about = self._about(recorder)
        for _, row in self._look()[recorder]:
            row["Active"] = False
        return about

    def op_close_shift(self, given: dict) -> dict:
        """Whole receipts of one day and store move to a report; their returns keep the document they name."""
        one = self._of(self._recorder(given, (SALE,)))[0]
        day, store = one["Period"].date(), one["Склад_Key"]
        fixed = self._fixed_cards()
        chosen: dict[str, None] = {}
        for row in self.rows(SALES):
            if (row["Recorder_Type"] == SALE and row["Active"] and row["Склад_Key"] == store and row["Period"].date() == day
                    and self._documents[row["Recorder"]]["ДисконтнаяКарта_Key"] not in fixed):
                chosen[row["Recorder"]] = None
        by_key = {row["Ref_Key"]: row for row in self.rows(CARDS)}
        entries: list[Entry] = []
        kept: dict[str, list[Row]] = {POINTS: [], LOTS: []}
        for recorder in chosen:
            card = by_key.get(self._documents[recorder]["ДисконтнаяКарта_Key"])
            entries += [Entry(Line(row["Номенклатура_Key"], row["Характеристика_Key"], int(row["Количество"]), kopecks(row["Сумма"]),
                                   kopecks(row["Сумма"])), card, (recorder, SALE), store) for row in self._of(recorder)]
            for name in kept:
                kept[name] += self._of(recorder, name)
        ref = guid(self.ledger.seed, "edit", self.made, "shift")
        # The report takes the owners that cards have today; movements of points only change their recorder.
        self._move_points(ref, kept)
        for recorder in chosen:
            self._forget_movements(recorder)
            self._remove_document(recorder)
        before = self._lengths()
        self.ledger.report(ref, datetime(day.year, day.month, day.day, 22, self.made % 60), entries)
        self._documents[ref] = self.rows("Document_ОтчетОРозничныхПродажах")[-1]
        self._journal[ref] = self.rows(JOURNAL)[-1]
        self._track(ref, before)
        return self._about(ref, day=day.isoformat(), store=store, receipts=list(chosen))

    def _move_points(self, ref: str, kept: dict[str, list[Row]]) -> None:
        for name, rows in kept.items():
            for line, row in enumerate(rows, 1):
                old = row["Recorder"]
                self._movements[old] = [pair for pair in self._look()[old] if pair[1] is not row]
                row["Recorder"], row["Recorder_Type"], row["LineNumber"] = ref, REPORT, line
                self._look().setdefault(ref, []).append((name, row))

    # edits of catalogs

    def op_new_customer(self, given: dict) -> dict:
        key, phone = guid(self.ledger.seed, "edit", self.made, "customer"), given.get("phone") or self._phone()
        name = given.get("name") or f"Новый Покупатель {self.made}"
        model = next(row for row in self.rows(CUSTOMERS) if not row["IsFolder"])
        at = len(self.rows(CUSTOMERS)) + 1
        self.rows(CUSTOMERS).append(model | {
            "Ref_Key": key, "DataVersion": self.ledger.next_version(), "DeletionMark": False, "Code": f"НФ-{at:06d}",
            "Description": name, "НаименованиеПолное": name, "ФИО": name, "ДатаРождения": EMPTY_DATE,
            "ДатаСоздания": self._moment(given), "Пол": "", "НомерТелефонаДляПоиска": phone, "АдресЭПДляПоиска": "",
            "ОсновныеСведения": f"Телефон: +{phone}"})
        if self.rows(CONTACTS):
            self.rows(CONTACTS).append(self.rows(CONTACTS)[0] | {
                "Ref_Key": key, "LineNumber": 1, "Представление": "+" + phone, "НомерТелефона": phone,
                "НомерТелефонаБезКодов": phone[4:], "ОбратныйНомерТелефона": phone[::-1]})
        return {"customer": key, "name": name} | self._new_card(key, phone, name)

    def _new_card(self, owner: str, phone: str, name: str) -> dict:
        cards = self.rows(CARDS)
        key = guid(self.ledger.seed, "edit", self.made, "card")
        cards.append(cards[0] | {"Ref_Key": key, "DataVersion": self.ledger.next_version(), "DeletionMark": False,
                                 "КартаНедействительна": False, "Code": f"{len(cards) + 1:09d}", "Description": name,
                                 "ВладелецКарты_Key": owner, "КодКартыШтрихкод": phone})
        return {"card": key, "phone": phone, "code": cards[-1]["Code"]}

    def op_new_card(self, given: dict) -> dict:
        owner = given.get("customer")
        if given.get("phone_of"):
            owner = self._card({"phone": given["phone_of"]})["ВладелецКарты_Key"]
        customer = self._customer(owner)
        return {"customer": customer["Ref_Key"]} | self._new_card(
            customer["Ref_Key"], given.get("phone") or self._phone(), customer["Description"])

    def op_change_owner(self, given: dict) -> dict:
        card, customer = self._card(given), self._customer(given.get("customer"))
        old, card["ВладелецКарты_Key"] = card["ВладелецКарты_Key"], customer["Ref_Key"]
        self._touch(card)
        return {"card": card["Ref_Key"], "old": old, "new": customer["Ref_Key"]}

    def op_change_phone(self, given: dict) -> dict:
        card = self._card(given)
        old, card["КодКартыШтрихкод"] = card["КодКартыШтрихкод"], given.get("new_phone") or self._phone()
        self._touch(card)
        return {"card": card["Ref_Key"], "old": old, "new": card["КодКартыШтрихкод"]}

    def op_delete_card(self, given: dict) -> dict:
        card = self._card(given)
        card["DeletionMark"] = card["КартаНедействительна"] = True
        self._touch(card)
        return {"card": card["Ref_Key"], "phone": card["КодКартыШтрихкод"]}

    def op_rename_product(self, given: dict) -> dict:
        found = [row for row in self.rows(GOODS) if not row["IsFolder"] and given.get("product") in (None, row["Ref_Key"])]
        if not found:
            raise ValueError("there is no such product")
        row = self.rng.choice(found)
        old, row["Description"] = row["Description"], given.get("name") or f"{row['Description']} (новое имя {self.made})"
        self._touch(row)
        return {"product": row["Ref_Key"], "old": old, "new": row["Description"]}

    def op_grow(self, given: dict) -> dict:
        model = next(row for row in self.rows(GOODS) if not row["IsFolder"])
        for n in range(given.get("products", 0)):
            self.rows(GOODS).append(model | {
                "Ref_Key": guid(self.ledger.seed, "grown", self.made, "product", n), "Code": f"П{self.made}-{n:06d}",
                "DataVersion": self.ledger.next_version(), "Description": f"{model['Description']} {n}"})
        for n in range(given.get("cards", 0)):
            self.rows(CARDS).append(self.rows(CARDS)[n % 50] | {
                "Ref_Key": guid(self.ledger.seed, "grown", self.made, "card", n), "Code": f"К{self.made}-{n:06d}",
                "DataVersion": self.ledger.next_version(), "Description": f"Карта {n}", "ВладелецКарты_Key": EMPTY_GUID,
                "DeletionMark": False, "КартаНедействительна": False, "КодКартыШтрихкод": f"2{self.made:03d}{n:09d}"})
        person = next(row for row in self.rows(CUSTOMERS) if not row["IsFolder"])
        for n in range(given.get("customers", 0)):
            key = guid(self.ledger.seed, "grown", self.made, "customer", n)
            self.rows(CUSTOMERS).append(person | {
                "Ref_Key": key, "DataVersion": self.ledger.next_version(), "Code": f"Ч{self.made}-{n:06d}",
                "Description": f"Покупатель {n}", "НомерТелефонаДляПоиска": "", "АдресЭПДляПоиска": ""})
            self.rows(CONTACTS).append(self.rows(CONTACTS)[0] | {"Ref_Key": key, "LineNumber": 1, "Тип": "Адрес",
                                                                 "Представление": f"Улица {n}", "НомерТелефона": ""})
        return {"cards": len(self.rows(CARDS)), "products": len(self.rows(GOODS))}

    def op_random(self, given: dict) -> dict:
        names = ("new_sale", "new_sale", "new_sale", "change_amount", "delete_document", "backdate", "return", "inactivate",
                 "new_customer", "new_card", "change_owner", "change_phone", "delete_card", "rename_product", "close_shift")
        done = []
        for _ in range(int(given.get("n", 1))):
            try:
                done.append(self.apply({"op": self.rng.choice(names), "physically": self.rng.random() < .5}))
            except (LookupError, ValueError) as error:  # in a small shop nothing fitting may be left
                done.append({"op": "none", "why": str(error)})
        return {"done": done + self.random_order_edits(int(given.get("n", 1)))}

    def op_random_site(self, given: dict) -> dict:
        """Of what is published for a site only; by streams of their own."""
        count, rng = int(given.get("n", 1)), self.parcels.rng
        done = []
        for _ in range(count):
            name = rng.choice(("order_pay", "order_pay", "order_refund", "order_ship"))
            done.append({"op": name} | getattr(self, "op_" + name)({}))
        return {"done": done + self.random_picture_edits(count)}
