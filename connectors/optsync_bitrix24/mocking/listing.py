"""Pages of 50: which rows, in which order, with or without counting."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from optsync_bitrix24.mocking.filters import Query
from optsync_bitrix24.mocking.php import php_int
from optsync_bitrix24.mocking.store import Row, Table

PAGE = 50
Order = list[tuple[str, bool]]
"""Field names, and whether descending."""


@dataclass(slots=True, kw_only=True)
class Page:
    """``total`` is None where nothing was counted."""

    rows: list[Row]
    total: int | None
    next: int | None


def fetch(table: Table, query: Query, order: Order, start: Any, *, sees: Callable[[int], bool]) -> Page:
    """The page that begins at ``start``, rounded down to a whole page; -1 is the first page, uncounted."""
    offset = php_int(start)
    found = _ordered(table, query, order, sees)
    if offset == -1:
        return Page(rows=[row for row, _ in zip(found, range(PAGE), strict=False)], total=None, next=None)
    rows = list(found)
    begin = max(offset, 0) // PAGE * PAGE
    end = begin + PAGE
    return Page(rows=rows[begin:end], total=len(rows), next=end if len(rows) > end else None)


def _ordered(table: Table, query: Query, order: Order, sees: Callable[[int], bool]) -> Iterator[Row]:
    found = (table.rows[i] for i in _candidates(table, query))
    seen = (row for row in found if query.matches(row) and sees(row.id))
    if order and order[0] == ("ID", False):
        return seen
    if not order:
        # No order is promised; the newest first is what a client that relies on one trips over.
        order = [("ID", True)]
    rows = list(seen)
    for name, is_descending in reversed(order):
        rows.sort(key=lambda row: _sort_key(row, name), reverse=is_descending)
    return iter(rows)


def _candidates(table: Table, query: Query) -> Iterator[int]:
    """Ids that may match, ascending, without a look at every row where a bound helps."""
    if query.ids is not None:
        return iter(sorted(i for i in query.ids if i > query.above_id and i in table.rows))
    if query.from_modified is not None:
        recent = table.modified_between(query.from_modified, None)
        if len(recent) * 4 < len(table.ids):
            return iter(sorted(i for _, i in recent if i > query.above_id))
    return table.ids_above(query.above_id)


def _sort_key(row: Row, name: str) -> tuple[int, Any]:
    value = row.id if name == "ID" else row.values.get(name)
    if value is None or value == "" or isinstance(value, list):
        return (0, 0)
    return (2, value.casefold()) if isinstance(value, str) else (1, value)
