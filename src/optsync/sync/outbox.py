"""The outbox of one sync: which of its released changes are sent together, and in which order."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import takewhile

from optsync.connect.contract import Capabilities
from optsync.model.change import ChangeKind, WriteKind
from optsync.reconcile.plan import ORDINARY
from optsync.reconcile.rules import Rule
from optsync.state.changes import LAST, Change, Ready
from optsync.state.unit import Unit

_JOINED = frozenset({ChangeKind.TOPIC, ChangeKind.OPT_IN, ChangeKind.GRANT})
_WINDOW = 5000
"""So many places of the queue are read at a time."""
_CALLS_A_REREAD = 5
"""How many writing calls may follow one re-read: few enough that what it showed is seconds old."""
_RESTRICTIVE, _ORDINARY = (0, ORDINARY - 1), (ORDINARY, LAST)
_ARCHIVED_A_REREAD = 25
"""How many archives may: each is a call of its own, and hides what was said since the re-read."""
_LOOKED_AT = frozenset({ChangeKind.OPT_IN, ChangeKind.REQUEST, ChangeKind.RENAME, ChangeKind.ARCHIVE})


class Outbox:
    """Goes through what is ready in the order of the journal: all that restricts, then what is ordinary.
    ``available``: systems that can be written, asked again for every batch. ``capabilities``: of a system. ``total``:
    how many changes are ready, 0 where nobody knows: then they are counted, which takes longer the more there are."""

    def __init__(
        self,
        sync: str,
        available: Collection[str],
        capabilities: Callable[[str], Capabilities],
        *,
        total: int = 0,
    ) -> None:
        self._sync = sync
        self._available = available
        self._capabilities = capabilities
        self._could_be_written = len(available)
        self._held_back: set[str] = set()
        self._places: list[Ready] = []
        self._unread = [_RESTRICTIVE, _ORDINARY]
        """Which parts of the queue were not read to their end yet, by their first and last priority."""
        self.total = total
        """How many changes were ready when it was first looked at."""

    @property
    def is_over(self) -> bool:
        """Nothing is left to send."""
        return not self._unread and not self._places

    def renew(self) -> None:
        """Something was put back into it, perhaps before what is left."""
        self._places, self._unread = [], [_RESTRICTIVE, _ORDINARY]

    def hold_back(self, system: str) -> None:
        """The system takes nothing ordinary for now; that waits, and what restricts goes on."""
        self._held_back.add(system)
        self._places = [p for p in self._places if p.system != system or p.priority < ORDINARY]

    def is_ordinary_next(self, unit: Unit) -> bool:
        """Whether something is left, and none of it restricts."""
        return self._fill(unit) and self._places[0].priority >= ORDINARY

    def next_batch(self, unit: Unit) -> Sequence[Change]:
        """The first changes, all of one priority, system, collection and kind, as many as one call writes; of those
        that need another look some calls' worth, where one call re-reads so many; and with them what may travel along.
        Nothing if none is ready."""
        while self._fill(unit):
            able = self._capabilities(self._places[0].system)
            way, size = self._places[0].way, able.write_batch
            batch = self._take(unit, way, min(size, _ARCHIVED_A_REREAD) if way[3] == ChangeKind.ARCHIVE else size)
            if batch:
                batch += self._take(unit, way, _most(batch[0], able) - len(batch))
                batch = self._of_one_call(batch)
                return [*batch, *self._companions(unit, batch)] if able.joins_updates else batch
        return ()

    def _take(self, unit: Unit, way: tuple[int, str, str, str], most: int) -> list[Change]:
        """The next that go this way and are to be sent still."""
        batch: list[Change] = []
        while len(batch) < most:
            group = list(takewhile(lambda place: place.way == way, self._places[: most - len(batch)]))
            if not group:
                break
            del self._places[: len(group)]
            batch += unit.changes.still_ready(group)
        return batch

    def _of_one_call(self, batch: list[Change]) -> list[Change]:
        """Taking somebody off the list is one kind of change, done by an archive or by a tag: what is not done as the
        first one is goes next."""
        if batch[0].kind is not ChangeKind.ARCHIVE:
            return batch
        others = [c for c in batch if c.write["kind"] != batch[0].write["kind"]]
        self._places[:0] = [Ready(c.id, c.priority, c.system, c.collection, c.kind) for c in others]
        return [c for c in batch if c.write["kind"] == batch[0].write["kind"]]

    def _companions(self, unit: Unit, batch: Sequence[Change]) -> Iterator[Change]:
        """What else permits something to the same records, and the proof of it. What restricts has gone before, and
        ordinary fields do not travel with a status."""
        if not all(_is_joined(change) for change in batch):
            return
        taken = {change.id for change in batch}
        records = {change.record_id for change in batch if change.record_id is not None}
        for change in unit.changes.ready_of(self._sync, records):
            if change.id not in taken and _is_joined(change):
                yield change

    def _fill(self, unit: Unit) -> bool:
        """Whether there is anything left that can be sent."""
        if len(self._available) != self._could_be_written:
            self._could_be_written = len(self._available)
            self._places = [place for place in self._places if place.system in self._available]
        self.total = self.total or sum(unit.changes.count_ready(self._sync).values())
        while not self._places and self._unread:
            first, last = self._unread[0]
            takers = [s for s in self._available if first < ORDINARY or s not in self._held_back]
            self._places = unit.changes.ready(self._sync, takers, first=first, last=last, limit=_WINDOW)
            if len(self._places) < _WINDOW:
                del self._unread[0]
        return bool(self._places)


def _most(change: Change, able: Capabilities) -> int:
    """How many like this one go together."""
    if not needs_another_look(change):
        return able.write_batch
    if change.kind is ChangeKind.ARCHIVE:
        return min(able.write_batch, _ARCHIVED_A_REREAD)
    return max(able.write_batch, min(able.reread_batch, _CALLS_A_REREAD * able.write_batch))


def _is_joined(change: Change) -> bool:
    return change.kind in _JOINED and not change.write["is_restrictive"] and change.rule != Rule.UNDONE


def needs_another_look(change: Change) -> bool:
    """What gives more than there was, hides what somebody may have said meanwhile, or takes back what they may have
    touched."""
    if WriteKind(change.write["kind"]) is WriteKind.TAG:
        return False  # no reading shows tags
    if change.rule == Rule.UNDONE or change.kind in _LOOKED_AT:
        return True
    return change.kind is ChangeKind.TOPIC and not change.write["is_restrictive"]
