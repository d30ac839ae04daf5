"""Customers: counterparties, their contacts, their discount cards, and what is wrong with these.

All names are put together from common ones; telephones are 7000 and seven digits, a range
that nobody has.  Every kind of dirt is planted an exact number of times, never on the two
fixed customers (the first two), and its count is kept for the truth.
"""

from __future__ import annotations

import random
from bisect import bisect
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from goods import Goods, named
from ledger import guid
from model import EMPTY_DATE, EMPTY_GUID, Base, Row

FIXED = 2
FAMILIES = ("Иванов", "Смирнов", "Кузнецов", "Попов", "Васильев", "Петров", "Соколов", "Михайлов", "Новиков", "Фёдоров",
            "Морозов", "Волков", "Алексеев", "Лебедев", "Семёнов", "Егоров", "Павлов", "Козлов", "Степанов", "Николаев",
            "Орлов", "Андреев", "Макаров", "Никитин", "Захаров")
WOMEN = ("Анна", "Мария", "Елена", "Ольга", "Наталья", "Ирина", "Татьяна", "Светлана", "Екатерина", "Юлия", "Алёна", "Вера")
MEN = ("Алексей", "Дмитрий", "Сергей", "Андрей", "Иван", "Николай", "Пётр", "Павел")
FATHERS = ("Александр", "Алексей", "Андрей", "Борис", "Виктор", "Дмитрий", "Сергей", "Николай")
CITIES = ("Приречный", "Заозёрск", "Верхний Яр", "Белые Ключи", "Новолесье")
SOURCES = ("магазин", "сайт", "соцсети")
NOT_PHONES = ("", "АКЦИЯ", "000123", "подарочная", "?", "12-34")
FOLDERS = ("Покупатели", "Розничные", "Оптовые", "Сотрудники", "VIP", "Архив", "Поставщики", "Сайт", "Магазин 1", "Магазин 2",
           "Магазин 3", "Магазин 4")
# Shares of the cards, of the counterparties (names) and of the customers (two cards).
SHARES = {"cards_without_owner": .08, "two_cards": .03, "shared_phone": .01, "phone_spelling": .06, "not_a_phone": .02,
          "cards_deleted": .02, "name_is_phone": .05}


@dataclass(slots=True)
class Person:
    phone: str
    customer: str
    home: int  # store that most receipts come from; -1: the web
    cards: list[Row] = field(default_factory=list)


class People:
    def __init__(self, base: Base, seed: object, goods: Goods):
        self.base = base
        self.seed = seed
        self.goods = goods
        self.rng = random.Random(f"{seed}/people")
        self.found: list[Person] = []
        self.dirt: dict[str, int] = {}

    def build(self, count: int, created: list[datetime], dirt: bool) -> list[Person]:
        phones = ["7000" + f"{number:07d}" for number in [1, 2] + self.rng.sample(range(1000, 10_000_000), count)][:count]
        ownerless = set(self._sample(range(FIXED, count), "cards_without_owner", self._cards(count, dirt), dirt))
        self._folders(dirt)
        for at, phone in enumerate(phones):
            customer = EMPTY_GUID if at in ownerless else guid(self.seed, "customer", at)
            person = Person(phone, customer, self._home())
            name = self._counterparty(at, person, created[at]) if at not in ownerless else "Карта " + phone[-4:]
            self.add_card(person, at + 1, phone, name)
            self.found.append(person)
        if dirt:
            self._spoil(count)
        return self.found

    @staticmethod
    def _cards(count: int, dirt: bool) -> int:
        return count + round(SHARES["two_cards"] * count) if dirt else count

    def _sample(self, population, kind: str, of: int, dirt: bool = True) -> list:
        wanted = min(round(SHARES[kind] * of), len(population)) if dirt else 0
        self.dirt[kind] = wanted
        return self.rng.sample(population, wanted)

    def _home(self) -> int:
        return bisect(self.goods.store_weights[:-1], self.rng.random())

    def _folders(self, dirt: bool) -> None:
        names = FOLDERS if dirt else FOLDERS[:1]
        self.dirt["folders"] = len(names) if dirt else 0
        for name in names:
            self.folder(name)

    def folder(self, name: str) -> None:
        """A folder of customers; the first holds all others.  Attributes of items are null in folders."""
        known = self.base.sets["Catalog_Контрагенты"]
        at = len(known.rows) + 1
        empty = {p.name: None for p in known.properties if not p.type.startswith("Collection")}
        known.rows.append(empty | named(self.seed, "customer folder", at, name, f"ГР-{at:06d}") | {
            "Parent_Key": EMPTY_GUID if at == 1 else guid(self.seed, "customer folder", 1), "IsFolder": True})

    # one customer

    def _name(self) -> tuple[str, str]:
        rng = self.rng
        family, father = rng.choice(FAMILIES), rng.choice(FATHERS)
        stem = father[:-1] + "е" if father.endswith("й") else father + "о"
        if rng.random() < .85:
            return f"{family}а {rng.choice(WOMEN)} {stem}вна", "Женский"
        return f"{family} {rng.choice(MEN)} {stem}вич", "Мужской"

    def _counterparty(self, at: int, person: Person, created: datetime) -> str:
        rng = self.rng
        name, sex = self._name()
        mail = f"client{at + 1}@example.org" if rng.random() < .4 else ""
        born = datetime(1955, 1, 1) + timedelta(days=rng.randrange(365 * 50)) if rng.random() < .5 else EMPTY_DATE
        row = self.counterparty(person.customer, at + 1, name, created)
        row |= {"ДатаРождения": born, "Пол": sex, "НомерТелефонаДляПоиска": person.phone, "АдресЭПДляПоиска": mail,
                "ОсновныеСведения": f"Телефон: +{person.phone}\nE-mail: {mail}" if mail else f"Телефон: +{person.phone}"}
        self.base.sets["Catalog_Контрагенты"].rows.append(row)
        self.contacts(person.customer, person.phone, mail, rng.choice(CITIES) if rng.random() < .6 else "")
        if at % 5 == 0:
            self.attribute(person.customer, SOURCES[at // 5 % len(SOURCES)])
        return name

    def counterparty(self, key: str, at: int, name: str, created: datetime) -> Row:
        return named(self.seed, "customer", at, name, f"НФ-{at:06d}") | {
            "Ref_Key": key, "Parent_Key": guid(self.seed, "customer folder", 1), "IsFolder": False, "НаименованиеПолное": name,
            "ВидКонтрагента": "ФизическоеЛицо", "ЮридическоеФизическоеЛицо": "ФизическоеЛицо",
            "ИНН": "", "КПП": "", "Покупатель": True, "Поставщик": False,
            "ПрочиеОтношения": False, "Недействителен": False, "ДатаРождения": EMPTY_DATE, "ДатаСоздания": created, "Пол": "",
            "ФИО": name, "НомерТелефонаДляПоиска": "", "АдресЭПДляПоиска": "", "Комментарий": "", "ОсновныеСведения": "",
            "СтранаРегистрации_Key": EMPTY_GUID, "СчетУчетаРасчетовСПокупателем_Key": EMPTY_GUID,
            "Удалить_Категория_Key": EMPTY_GUID}

    def contacts(self, key: str, phone: str, mail: str, city: str) -> None:
        shown = f"+7 ({phone[1:4]}) {phone[4:7]}-{phone[7:9]}-{phone[9:]}"
        lines = [("Телефон", shown, phone, "", ""), ("АдресЭлектроннойПочты", mail, "", mail, ""), ("Адрес", city, "", "", city)]
        rows = self.base.sets["Catalog_Контрагенты_КонтактнаяИнформация"].rows
        line = 0
        for kind, (sort, text, digits, address, town) in enumerate(lines, 1):
            if text:
                line += 1
                rows.append({"Ref_Key": key, "LineNumber": line, "Тип": sort, "Вид_Key": guid(self.seed, "contact kind", kind),
                             "Представление": text, "ЗначенияПолей": "", "Значение": "", "НомерТелефона": digits,
                             "НомерТелефонаБезКодов": digits[4:], "ОбратныйНомерТелефона": digits[::-1], "АдресЭП": address,
                             "ДоменноеИмяСервера": address.partition("@")[2], "Город": town, "ДействуетС": EMPTY_DATE})

    def attribute(self, key: str, text: str) -> None:
        """Where a customer comes from: a property of his that somebody added."""
        self.base.sets["Catalog_Контрагенты_ДополнительныеРеквизиты"].rows.append({
            "Ref_Key": key, "LineNumber": 1, "Свойство_Key": guid(self.seed, "property", 6), "Значение": text,
            "Значение_Type": "Edm.String", "ТекстоваяСтрока": text})

    def add_card(self, person: Person, at: int, barcode: str, name: str) -> None:
        row = self.card(at, barcode, name, person.customer)
        person.cards.append(row)
        self.base.sets["Catalog_ДисконтныеКарты"].rows.append(row)

    def card(self, at: int, barcode: str, name: str, owner: str) -> Row:
        return named(self.seed, "card", at, name, f"{at:09d}") | {
            "Owner_Key": self.goods.card_kinds[at % 4 == 0], "ВладелецКарты_Key": owner, "КартаНедействительна": False,
            "БонуснаяПрограмма_Key": self.goods.program if at % 4 == 0 else EMPTY_GUID,
            "КодКартыМагнитный": "", "КодКартыШтрихкод": barcode, "Комментарий": ""}

    # dirt

    def _spoil(self, count: int) -> None:
        owned = [at for at in range(FIXED, count) if self.found[at].customer != EMPTY_GUID]
        cards = self._cards(count, True)
        self._second_cards(count, owned, cards)
        every = [card for person in self.found[FIXED:] for card in person.cards]
        self.rng.shuffle(every)
        for card in self._sample(every, "cards_deleted", cards):
            card["DeletionMark"] = card["КартаНедействительна"] = True
        # The barcodes: no card is spoilt twice, so every count can be found again.
        shared = self._take(every, "shared_phone", cards)
        for card, other in zip(shared, self._strangers(every, shared)):
            card["КодКартыШтрихкод"] = other["КодКартыШтрихкод"]
        spelt = self._take(every, "phone_spelling", cards)
        for at, card in enumerate(spelt):
            card["КодКартыШтрихкод"] = spelling(card["КодКартыШтрихкод"], at % 3)
        for at, kind in enumerate(("phone_with_8", "phone_with_plus", "phone_of_10")):
            self.dirt[kind] = len(spelt[at::3])
        for at, card in enumerate(self._take(every, "not_a_phone", cards)):
            card["КодКартыШтрихкод"] = NOT_PHONES[at % len(NOT_PHONES)]
        by_key = {row["Ref_Key"]: row for row in self.base.sets["Catalog_Контрагенты"].rows}
        for at in self._sample(owned, "name_is_phone", len(owned) + FIXED):
            row = by_key[self.found[at].customer]
            row["Description"] = row["НаименованиеПолное"] = self.found[at].phone

    def _second_cards(self, count: int, owned: list[int], cards: int) -> None:
        for extra, at in enumerate(sorted(self._sample(owned, "two_cards", count))):
            person = self.found[at]
            self.add_card(person, count + extra + 1, self._new_phone(), person.cards[0]["Description"])

    def _new_phone(self) -> str:
        taken = {card["КодКартыШтрихкод"] for card in self.base.sets["Catalog_ДисконтныеКарты"].rows[-200:]}
        taken |= {person.phone for person in self.found}
        while True:
            phone = "7000" + f"{self.rng.randrange(1000, 10_000_000):07d}"
            if phone not in taken:
                return phone

    def _take(self, cards: list[Row], kind: str, of: int) -> list[Row]:
        """The next cards of the shuffled list, taken out of it."""
        wanted = min(round(SHARES[kind] * of), max(len(cards) - 1, 0))
        self.dirt[kind] = wanted
        found = cards[:wanted]
        del cards[:wanted]
        return found

    def _strangers(self, cards: list[Row], shared: list[Row]) -> list[Row]:
        """For each card another owner's card, which is then not spoilt any more."""
        found = []
        for card in shared:
            at = next(i for i, other in enumerate(cards)
                      if other["ВладелецКарты_Key"] != card["ВладелецКарты_Key"] or card["ВладелецКарты_Key"] == EMPTY_GUID)
            found.append(cards.pop(at))
        return found


def spelling(phone: str, way: int) -> str:
    """The same number as people type it: with 8, with +7 and brackets, without the country."""
    if way == 0:
        return "8" + phone[1:]
    if way == 1:
        return f"+7 ({phone[1:4]}) {phone[4:7]}-{phone[7:9]}-{phone[9:]}"
    return phone[1:]
