"""Holding a sync: its leases from taking to giving back, and the proof in every commit that they are still held."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import structlog

from optsync.errors import OptsyncError, StateLocked
from optsync.model.change import ChangeState
from optsync.reconcile.plan import ORDINARY
from optsync.state.changes import Left
from optsync.state.leases import Lease
from optsync.state.store import DatabaseError, is_lock_timeout
from optsync.state.unit import Unit
from optsync.sync.arrived import doubt_unanswered
from optsync.sync.engine import Engine
from optsync.sync.heartbeat import Heartbeat
from optsync.sync.waiting import NOT_DECIDED

_CERTAIN = 40.0
"""Seconds after a proof within which nobody can have taken the leases over: a proof may rest on a beat that is ten
seconds old, and they are free sixty seconds after it."""
_PART = 5000
"""So many unfinished changes are looked at together."""
_log = structlog.get_logger(__name__)


class Holding:
    """The leases of one sync: of itself, and of every source it reads, since syncs that share one have its place and
    its scan in common."""

    def __init__(self, engine: Engine, sync: str) -> None:
        self._engine = engine
        self._sync = sync
        self._leases: tuple[Lease, ...] = ()
        self._proved_at = 0.0

    @contextmanager
    def held(self, *, beats: bool) -> Iterator[None]:
        """Holds them inside the block. ``beats``: by a thread of its own while vendors are waited for.

        Raises:
            StateLocked: somebody else holds one of them.
        """
        sources = (f"read {b.system}/{b.collection}"[:120] for b in self._engine.bound.sources_of(self._sync))
        names = tuple(dict.fromkeys((f"sync {self._sync}", *sources)))
        self._take(names)
        try:
            beating = Heartbeat(self._engine.store, *self._leases) if beats else nullcontext()
            with beating, self._engine.gate.guarded_by(self._still_held):
                yield
        finally:
            self._give_back()

    def guarded(self, unit: Unit) -> None:
        """Proves inside a transaction that the leases are still held.

        Raises:
            StateLocked: they are not.
        """
        if not self._leases:
            raise StateLocked(f"sync {self._sync}: no lease")
        self._proved_at = self._engine.clock.monotonic()
        unit.leases.prove(*self._leases)

    def recover(self, unit: Unit, *, keeps_waiting: bool) -> None:
        """What an earlier run left unfinished is derived again; what it sent without an answer is looked at. So is what
        was sent by runs of other syncs that share a source with this one: they have ended, since these leases are held,
        and what arrived must not be read as somebody's edit. ``keeps_waiting``: but what may wait goes on waiting."""
        given: dict[str, Any] = {"waiting_from": ORDINARY, "rules": NOT_DECIDED} if keeps_waiting else {}
        for left in _left(unit, self._sync, **given):
            self._look_at_sent(unit, self._sync, left)
            unsent = [c.id for c in left if c.state != ChangeState.SENDING]
            unit.changes.set_state(unsent, ChangeState.SUPERSEDED, settled_at=self._engine.clock.now())
            unit.plans.leave(unsent)
            unit.points.mark([self._sync], {c.point for c in left})
        sharing = {sync for b in self._engine.bound.sources_of(self._sync) for sync in b.syncs}
        for sync in sorted(sharing - {self._sync}):
            for left in _left(unit, sync, waiting_from=0):
                self._look_at_sent(unit, sync, left)

    def _look_at_sent(self, unit: Unit, sync: str, left: Sequence[Left]) -> None:
        sent = [c for c in left if c.state == ChangeState.SENDING]
        ids, now = [c.id for c in sent], self._engine.clock.now()
        doubt_unanswered(unit, ids)
        unit.changes.set_state(
            ids, ChangeState.FAILED, settled_at=now, message="the answer was lost; the record is read again"
        )
        unit.points.mark([sync], {c.point for c in sent})

    def _take(self, names: Sequence[str]) -> None:
        self._proved_at = self._engine.clock.monotonic()
        try:
            with self._engine.store.transaction() as unit:
                self._leases = unit.leases.take_all(names, holder=self._engine.holder)
        except DatabaseError as error:
            if not is_lock_timeout(error):
                raise
            reason = f"{names[0]} is being worked on by another process, in a transaction that has not ended yet"
            raise StateLocked(reason) from None

    def _still_held(self) -> None:
        """Before a request that writes: a process that was stopped, or whose machine slept, learns here that it is
        too late, before the vendor does."""
        if self._engine.clock.monotonic() - self._proved_at > _CERTAIN:
            with self._engine.store.transaction() as unit:
                self.guarded(unit)

    def _give_back(self) -> None:
        try:
            with self._engine.store.transaction() as unit:
                unit.leases.give_back(*self._leases)
        except (OptsyncError, DatabaseError):
            # It is free by itself soon; what ended the work is the news.
            _log.warning("lease not given back", sync=self._sync)


def _left(unit: Unit, sync: str, **given: Any) -> Iterator[Sequence[Left]]:
    """What the sync has left unfinished, in parts."""
    after = 0
    while left := unit.changes.left(sync, after=after, limit=_PART, **given):
        yield left
        after = left[-1].id
