"""How the base differs from a friendly one: the switches that the control port sets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass
class Modes:
    """How the base differs from a friendly one; set at the start or by the control port."""

    autoorder: Any = False  # true or a pattern of set names: $orderby answers 500
    refuse_filter: Any = False  # true or a pattern of set names: $filter answers 500
    ignore_filter: bool = False  # $filter is taken and has no effect
    ignore_order: bool = False  # $orderby is
    no_recordtype: bool = False  # _RecordType sets are not published
    no_facets: bool = False  # $metadata tells no lengths
    no_count: bool = False
    no_session: bool = False
    no_gzip: bool = False
    bom: bool = False  # JSON bodies start with a byte order mark
    shuffle_members: bool = False  # members in another order in every answer
    row_rights: Any = False  # pattern of set names with rows that the user may not read
    max_top: int = 0  # a larger $top answers 500
    max_url: int = 0  # a longer address answers 414
    max_segment: int = 0  # a longer part of the path gets the web server's own 400
    page_delay: int = 0  # ms before each answer with rows
    session_cost: int = 0  # ms for a request outside a session, and for starting one
    session_limit: int = 0  # starting more answers 406
    session_stale: int = 400  # status for a session that is no more

    # of writing; the default is what is known, or most probable
    client_keys: bool = True  # false: 1C takes a key of its own, and answers it
    if_match: bool = False  # true: another DataVersion than the header's answers 412
    refuse_unknown: bool = False  # an unknown property is not ignored but refused
    refuse_long: bool = False  # a text that is too long is not cut but refused
    refuse_untyped: bool = False  # a composite value without its _Type is not dropped but refused
    rows_need_type: bool = False  # rows without …@odata.type are dropped, as in 2017
    refuse_zone: bool = False  # a date with Z or +03:00 is not taken without it but refused
    no_atom: bool = False  # bodies in JSON only
    patch_status: int = 200  # 204: and no body
    post_answer: str = "empty"  # of Post and Unpost: empty, object
    data_load: bool = True  # false: the header 1C_OData-DataLoadMode answers code 17
    read_only: Any = False  # pattern of sets that the user may not write: 401 code 20
    fill_check: str = "write"  # when a document must have its fields: write, post, never
    reset_fields: Any = False  # pattern of "Set.Property" that a handler of the configuration empties on every write
    refuse_handler: Any = False  # pattern of sets whose handler refuses every write
    locked: Any = False  # pattern of sets that others have locked: writes answer 1C's text
    no_licence: Any = False  # pattern of sets: writes answer that there is no licence
    closed_until: str = ""  # a date: what is posted up to it cannot be changed, nor posted
    post_without_movements: Any = False  # pattern of documents that are posted and leave nothing in registers
    unlimited_refused: bool = False  # comparing a text of unlimited length answers 500

    # of an exchange plan (--plan)
    plan_sets: Any = "^(Catalog_(ДисконтныеКарты|Контрагенты|Номенклатура)|Document_ЗаказПокупателя)$"  # which sets it has
    plan_misses: Any = False  # pattern of "Set GUID": objects whose changes nobody registers
    plan_lies: Any = False  # pattern of "Set GUID": objects that live and are told of as deleted
    plan_form: str = "atom"  # of the message: atom, json
    plan_says: str = "type"  # what of an object in JSON says of which set it is: type, address, nothing
    plan_counts: bool = True  # false: a confirmation leaves ReceivedNo as it was
    plan_quotes: str = "plain"  # doubled: quotes inside the parameter DataExchangePoint are taken so only


def hits(mode: Any, name: str) -> bool:
    return mode is True or (isinstance(mode, str) and mode != "" and re.search(mode, name) is not None)
