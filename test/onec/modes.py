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


def hits(mode: Any, name: str) -> bool:
    return mode is True or (isinstance(mode, str) and mode != "" and re.search(mode, name) is not None)
