"""The changes of a sync in one run: a few are kept, many are read from the journal in parts whenever they are asked
for, so that a report takes no more memory than a page of it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

from optsync.state.changes import Change, Sum
from optsync.state.store import Store
from optsync.state.unit import Unit

AT_HAND = 1000
"""So many changes are kept."""
_PART = 1000

Counts = Mapping[tuple[str, str, str, str], int]
"""By (system, kind, rule, state)."""


class Journaled(Sequence[Change]):
    """Those that stand, restrictive ones first, as they are when they are looked at. ``sums``: how many there were."""

    def __init__(self, store: Store, run: str, sync: str, sums: Sequence[Sum]) -> None:
        self._store = store
        self._run = run
        self._sync = sync
        self._sums = sums

    @property
    def counts(self) -> Counts:
        return _counts(self._sums)

    def __len__(self) -> int:
        return sum(each.number for each in self._sums)

    def __iter__(self) -> Iterator[Change]:
        for rank in _ranks(self._sums):
            after = 0
            while part := self._part(rank, after):
                yield from part
                after = part[-1].id

    def _part(self, rank: int, after: int) -> list[Change]:
        with self._store.reading() as unit:
            return unit.changes.listed(self._run, self._sync, priority=rank, after=after, limit=_PART)

    @overload
    def __getitem__(self, at: int) -> Change: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Change]: ...

    def __getitem__(self, at: int | slice) -> Change | Sequence[Change]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return list(islice(self, start, stop, step))
        place = at + len(self) if at < 0 else at
        for change in islice(self, place, place + 1) if place >= 0 else ():
            return change
        raise IndexError(at)


class Rows:
    """Many changes as they are printed, made one by one; JSON's encoder knows them by this name."""

    def __init__(self, changes: Sequence[Change], shown: Callable[[Change], Mapping[str, Any]]) -> None:
        self._changes = changes
        self._shown = shown

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return map(self._shown, self._changes)


def journaled(store: Store, unit: Unit, run: str, sync: str, *, is_rehearsal: bool) -> Sequence[Change]:
    """What stands of a run. That of a rehearsal is in no journal afterwards, and is kept however many there are."""
    sums = unit.changes.sums(run, sync)
    if not is_rehearsal and sum(each.number for each in sums) > AT_HAND:
        return Journaled(store, run, sync, sums)
    found: list[Change] = []
    for rank in _ranks(sums):
        found += unit.changes.listed(run, sync, priority=rank, after=0, limit=None)
    return found


def counted(changes: Sequence[Change]) -> Counts:
    """How many there are, by (system, kind, rule, state)."""
    if isinstance(changes, Journaled):
        return changes.counts
    return Counter((c.system, str(c.kind), c.rule, str(c.state)) for c in changes)


def _counts(sums: Sequence[Sum]) -> Counts:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for each in sums:
        counts[each.system, each.kind, each.rule, each.state] += each.number
    return counts


def _ranks(sums: Sequence[Sum]) -> list[int]:
    return sorted({each.priority for each in sums})
