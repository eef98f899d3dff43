"""Pages of 50: which rows, in which order, with or without counting."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, overload

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


Viewer = Callable[[int], bool] | None


def fetch(table: Table, query: Query, order: Order, start: Any, *, sees: Viewer) -> Page:
    """The page that begins at ``start``, rounded down to a whole page; -1 is the first page, uncounted."""
    offset = php_int(start)
    # No order is promised without one; the newest first is what a client that relies on one trips over.
    order = order or [("ID", True)]
    begin = max(offset, 0) // PAGE * PAGE
    if order[0][0] == "ID":
        ids = _candidates(table, query, is_descending=order[0][1])
        if sees is None and not query.predicates and offset != -1:
            return _page([table.rows[i] for i in ids[begin : begin + PAGE]], len(ids), begin)
        found = _met(table, query, ids, sees)
        if offset == -1:
            return Page(rows=list(islice(found, PAGE)), total=None, next=None)
        rows = list(found)
    else:
        rows = list(_met(table, query, _candidates(table, query, is_descending=False), sees))
        for name, is_descending in reversed(order):
            rows.sort(key=lambda row: _sort_key(row, name), reverse=is_descending)
    if offset == -1:
        return Page(rows=rows[:PAGE], total=None, next=None)
    return _page(rows[begin : begin + PAGE], len(rows), begin)


def _page(rows: list[Row], total: int, begin: int) -> Page:
    end = begin + PAGE
    return Page(rows=rows, total=total, next=end if total > end else None)


def _met(table: Table, query: Query, ids: Sequence[int], sees: Viewer) -> Iterator[Row]:
    found: Iterator[Row] = map(table.rows.__getitem__, ids)
    for holds in query.predicates:
        found = filter(holds, found)
    return found if sees is None else (row for row in found if sees(row.id))


def _candidates(table: Table, query: Query, *, is_descending: bool) -> Sequence[int]:
    """Ids that may match, without a look at every row where a bound helps."""
    if query.ids is not None:
        return sorted((i for i in query.ids if query.admits(i) and i in table.rows), reverse=is_descending)
    if query.from_modified is not None:
        recent = table.modified_between(query.from_modified, None)
        if len(recent) * 4 < len(table.ids):
            return sorted((i for _, i in recent if query.admits(i)), reverse=is_descending)
    places = table.span(query.lowest_id, query.highest_id)
    return _Picked(table.ids, places[::-1] if is_descending else places)


class _Picked(Sequence[int]):
    """Some of a list, without a copy of it."""

    def __init__(self, ids: list[int], places: range) -> None:
        self._ids = ids
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[int]: ...
    def __getitem__(self, place: int | slice) -> int | Sequence[int]:
        if isinstance(place, slice):
            return _Picked(self._ids, self._places[place])
        return self._ids[self._places[place]]

    def __iter__(self) -> Iterator[int]:
        return map(self._ids.__getitem__, self._places)


def _sort_key(row: Row, name: str) -> tuple[int, Any]:
    value = row.id if name == "ID" else row.values.get(name)
    if value is None or value == "" or isinstance(value, list):
        return (0, 0)
    return (2, value.casefold()) if isinstance(value, str) else (1, value)
