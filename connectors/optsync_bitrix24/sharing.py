"""How the pages of a batch are shared between the walk over the records and those over the list scopes."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optsync.model.page import RowFault
from optsync_bitrix24.belonging import Test
from optsync_bitrix24.cursor import Place
from optsync_bitrix24.walking import PAGE, Walk

_FIRST_OF_DELTA = 3
"""A delta is mostly empty, and each page costs run time whether it shows something or not."""
_FIRST_OF_ALL = 10
"""A small portal is read with these; a large one needs one batch more than if all places had been used."""


@dataclass(slots=True, kw_only=True)
class ScopeWalk:
    """List scopes with the same filter share one walk; ``waiting`` are members not yet given out. ``test``: as long as
    the rows tell by themselves who belongs to it, there is nothing to walk."""

    names: tuple[str, ...]
    walk: Walk
    test: Test | None = None
    waiting: set[int] = field(default_factory=set)

    @property
    def is_walked(self) -> bool:
        return self.test is None and not self.walk.has_ended

    def holds(self, number: int, row: Mapping[str, Any]) -> bool | None:
        """Whether the row belongs to it; None where the row does not tell."""
        return number in self.waiting if self.test is None else self.test(row)

    def walk_from(self, number: int) -> None:
        """From here on the portal is asked."""
        self.test, self.walk.last = None, number


@dataclass(slots=True, kw_only=True)
class Progress:
    """Where a read stands between two batches. ``buffer`` holds rows whose membership is not yet known."""

    place: Place
    after: int
    """The last id that was given out; ``place`` follows when the page is made."""
    data: Walk
    scopes: list[ScopeWalk] | None = None
    """None before the fields are known."""
    buffer: deque[tuple[int, dict[str, Any]]] = field(default_factory=deque)
    faults: list[RowFault] = field(default_factory=list)
    failures: int = 0
    is_first: bool = True
    first_pages: int = _FIRST_OF_ALL
    """What will probably do, for each walk in the first batch."""

    @property
    def walks(self) -> list[Walk]:
        return [self.data, *(scope.walk for scope in self.scopes or ())]

    @property
    def active(self) -> list[ScopeWalk]:
        """Those to be walked still."""
        return [scope for scope in self.scopes or () if scope.is_walked]

    @property
    def rows_read(self) -> int:
        return sum(walk.read for walk in self.walks)

    @property
    def is_complete(self) -> bool:
        return self.place.is_complete and all(walk.is_complete for walk in self.walks)


def first_pages(place: Place, known: int | None, written: int) -> int:
    """For :attr:`Progress.first_pages`; ``known`` is how many records there were at the last full read, ``written`` how
    many we have changed ourselves since the last one: a delta shows them too."""
    if place.since is not None:
        return _FIRST_OF_DELTA + written // PAGE
    # One page more than they need: a full last page does not show that it is the last, and there may be new ones.
    return _FIRST_OF_ALL if known is None else known // PAGE + 2


def share(progress: Progress, total: int) -> dict[str, int]:
    """How many pages of a batch each walk gets, by the walk's name.

    Members are fewer than records, so a scope's walk needs fewer pages for the same stretch of ids: as many as its
    density so far says. The walk over the records gets the most that leaves room for these.
    """
    total = max(total, len(progress.walks))
    active = progress.active
    if progress.data.has_ended:
        return _filled(progress, data=0, needs=_even(active, total))
    if progress.data.read == 0:
        each = total // (1 + len(active))
        if progress.is_first:
            each = min(each, progress.first_pages)
        return _filled(progress, data=each, needs=dict.fromkeys(_names(active), each))
    for data in range(total, 0, -1):
        needs = {scope.walk.name: _need(progress, scope, data) for scope in active}
        if data + sum(needs.values()) <= total:
            return _filled(progress, data=data, needs=needs)
    return _filled(progress, data=1, needs=_even(active, total - 1))


def _need(progress: Progress, scope: ScopeWalk, data_pages: int) -> int:
    # A walk that begins later than that over the records has those in the buffer before it.
    density = min(1.0, scope.walk.read / max(1, progress.data.read - len(progress.buffer))) if scope.walk.read else 1.0
    rows = density * (data_pages * PAGE + len(progress.buffer)) - len(scope.waiting)
    is_behind = bool(progress.buffer) and scope.walk.last <= progress.buffer[0][0]
    return max(math.ceil(rows / PAGE), 1 if is_behind else 0)


def _even(scopes: Sequence[ScopeWalk], total: int) -> dict[str, int]:
    return dict.fromkeys(_names(scopes), max(1, total // max(1, len(scopes))))


def _names(scopes: Sequence[ScopeWalk]) -> list[str]:
    return [scope.walk.name for scope in scopes]


def _filled(progress: Progress, *, data: int, needs: Mapping[str, int]) -> dict[str, int]:
    return {walk.name: needs.get(walk.name, 0) for walk in progress.walks} | {progress.data.name: data}
