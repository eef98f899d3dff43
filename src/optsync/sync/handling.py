"""Custom handling: fields of an organisation's own, and its handlers, after an opt-out has been carried everywhere.

Nothing here may keep an opt-out waiting: it runs when the cycle's writes are done, about people of whom nothing else is
left to write. A place in a queue of its own, in the database, is kept until all of it is through.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from optsync.connect import handlers
from optsync.connect.handlers import HandlerBroken, HandlerFailed, OptOutEvent
from optsync.model.change import ChangeState
from optsync.model.scope import contains
from optsync.reconcile.consent import Wish
from optsync.reconcile.handling import Handled, Past, Turn, filled, intent, turns
from optsync.reconcile.view import Neighbourhood, Seen
from optsync.state.codec import dumps, loads
from optsync.state.handled import Handling
from optsync.state.issues import NewIssue
from optsync.state.unit import Unit
from optsync.sync.decide import handling_queue, load_around, new_change
from optsync.sync.engine import Engine
from optsync.sync.guard import applied_key
from optsync.sync.turn import SECONDS

_log = structlog.get_logger(__name__)
_BATCH = 200
TRIES = 5
"""Calls of a handler for one event, one in each cycle, before it is given up."""
PATIENCE = 10.0
"""Seconds that a handler may take: the leases are beaten meanwhile, and nobody's opt-out waits for it."""
FAILED = "handler_failed"
_THROUGH = frozenset({ChangeState.APPLIED, ChangeState.SAME, ChangeState.REFUSED})


@dataclass(slots=True, kw_only=True)
class _Task:
    """One turn at one record, and how far its handling has come."""

    seen: Seen
    turn: Turn
    row: Handling
    address: str
    is_again: bool


class CustomHandler:
    """Of one sync in one run. ``guarded`` is called inside every transaction; ``send`` sends what is planned."""

    def __init__(self, engine: Engine, sync: str, run: str, guarded: Callable[[Unit], None]) -> None:
        self._engine = engine
        self._policy = engine.bound.policies[sync]
        self._how = self._policy.handling
        self._scopes = self._policy.handled_scopes
        self._run = run
        self._guarded = guarded
        self._hanging: set[str] = set()
        self._until = 0.0

    def begin(self, unit: Unit) -> None:
        """Notes from when on a scope's handling counts: in a sync that is at work already from now on, else when its
        first cycle ends. What was said before stays without."""
        if self._scopes and unit.meta.get(applied_key(self._policy.name)) is not None:
            self._note_since(unit)

    def work_off(self, send: Callable[[], None], *, is_rehearsal: bool) -> None:
        """Handles whoever turned and waits for nothing else; what fails is tried again in the next cycles, and there it
        goes on where handlers take more time than anybody's opt-out may wait."""
        if not self._scopes:
            return
        self._until = self._engine.clock.monotonic() + SECONDS
        tasks: list[_Task] = []
        last = 0
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            since = self._note_since(unit)
        while True:
            with self._engine.store.transaction() as unit:
                self._guarded(unit)
                keys = unit.points.waiting(handling_queue(self._policy.name), after=last, limit=_BATCH)
                batch = self._derive(unit, keys, since)
            if not keys:
                break
            for task in () if is_rehearsal else batch:
                self._call(task)
            with self._engine.store.transaction() as unit:
                self._guarded(unit)
                batch = _known(unit, batch)
                self._plan(unit, batch)
            tasks += batch
            last = keys[-1]
        if tasks and not is_rehearsal:
            send()
            self._finish(tasks)

    # since when

    def _note_since(self, unit: Unit) -> Mapping[str, datetime]:
        key = f"handling:{self._policy.name}"
        known = loads(unit.meta.get(key)) or {}
        now = self._engine.clock.now()
        since = {s: datetime.fromisoformat(known[s]) if s in known else now for s in self._scopes}
        if set(known) != set(self._scopes):
            unit.meta.put(key, dumps({scope: at.isoformat() for scope, at in since.items()}))
        return since

    # deriving

    def _derive(self, unit: Unit, keys: Sequence[int], since: Mapping[str, datetime]) -> list[_Task]:
        name = self._policy.name
        waiting = {*unit.points.still_waiting(name, keys), *(c.point_id for c in unit.plans.held_at(name, keys))}
        free = [key for key in keys if key not in waiting]
        if not free:
            return []
        around = load_around(unit, self._engine, self._policy, free, run=self._run)
        waiting |= unit.changes.ready_at(name, around.points)
        free = [key for key in free if key not in waiting]
        # Whoever was forgotten has no address here any more, and receives nothing but outs.
        named = [s for s in around.crm if all(around.points[p].address for p in s.points)]
        concerned = [s for s in named if set(free).intersection(s.points)]
        records = [s for s in concerned if not waiting.intersection(s.points)]
        rows = unit.handled.of(name, {s.key for s in records})
        first_seen = unit.records.first_seen({s.key for s in records})
        known = {at: Handled(Wish(row.wish), row.uid) for at, row in rows.items()}
        handled = {at: each for at, each in known.items() if rows[at].is_done}
        begun = {at: each for at, each in known.items() if not rows[at].is_done}
        past = Past(since=since, first_seen=first_seen, handled=handled, begun=begun)
        found = [
            self._task(seen, turn, rows.get((seen.key, turn.scope)), around)
            for seen in records
            for turn in turns(seen, around, self._policy, past)
        ]
        unit.handled.save(name, [task.row for task in found])
        busy = {point for task in found for point in task.seen.points}
        busy.update(point for s in concerned if waiting.intersection(s.points) for point in s.points)
        self._done(unit, [key for key in free if key not in busy])
        return found

    def _task(self, seen: Seen, turn: Turn, row: Handling | None, around: Neighbourhood) -> _Task:
        is_again = row is not None and not row.is_done and (row.uid, row.wish) == (turn.said.uid, turn.wish.value)
        if row is None or not is_again:
            before = {name: seen.record.fields.get(name) for name in sorted(self._how.all_fields)}
            row = Handling(record=seen.key, scope=turn.scope, wish=turn.wish.value, uid=turn.said.uid, before=before)
        return _Task(seen=seen, turn=turn, row=row, address=around.points[turn.point].address, is_again=is_again)

    # calling

    def _call(self, task: _Task) -> None:
        for name, further in self._how.handlers.items():
            if name in task.row.ended or name in self._hanging or not self._concerns(task):
                continue
            if self._engine.clock.monotonic() >= self._until:
                return
            try:
                allowed = self._how.fields | further
                answer = handlers.call(
                    handlers.load(name), _event(task, self._policy.name), within=PATIENCE, may_set=allowed
                )
            except (HandlerFailed, HandlerBroken) as failure:
                self._failed(task, name, failure)
            else:
                returned = {**task.row.returned, **answer}
                task.row = replace(task.row, ended=task.row.ended | {name}, returned=returned)

    def _concerns(self, task: _Task) -> bool:
        """Handlers hear about the sync's own scope, whatever turned it; about a topic if the wish was about that."""
        own, scope = self._policy.scope, task.turn.scope
        return scope == own or (contains(own, scope) and task.turn.said.scope == scope)

    def _failed(self, task: _Task, name: str, failure: HandlerFailed | HandlerBroken) -> None:
        kind = failure.kind if isinstance(failure, HandlerFailed) else type(failure).__name__
        if isinstance(failure, HandlerFailed) and failure.is_late:
            self._hanging.add(name)  # the next one would wait as long
        count = task.row.tries.get(name, 0) + 1
        is_over = count >= TRIES
        ended = task.row.ended | {name} if is_over else task.row.ended
        task.row = replace(task.row, tries={**task.row.tries, name: count}, ended=ended)
        then = f"given up after {TRIES} cycles" if is_over else "it is called again in the next cycle"
        _log.warning("handler failed", handler=name, sync=self._policy.name, error=kind, tries=count)
        issue = NewIssue(
            kind=FAILED,
            message=f"handler {name} failed ({kind}); the opt-out or opt-in itself was carried everywhere; {then}",
            sync=self._policy.name,
            values={"handler": name, "error": kind, **({"given_up": True} if is_over else {})},
            blocks=f"handler {name}{' given up' if is_over else ''}",
        )
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            unit.issues.open(issue, run=self._run)

    # planning and settling

    def _plan(self, unit: Unit, tasks: Sequence[_Task]) -> None:
        blocked = unit.issues.blocked(self._policy.name) if tasks else frozenset()
        planned = []
        for task in tasks:
            by_scope = self._how.on_opt_out if task.turn.wish is Wish.OUT else self._how.on_opt_in
            wanted = filled(by_scope.get(task.turn.scope, {}), task.turn.scope, task.turn.said)
            wanted = {n: v for n, v in wanted.items() if n not in task.row.applied} | dict(task.row.returned)
            task.row = replace(task.row, applied=task.row.applied | wanted.keys())
            found = intent(task.seen, task.turn, wanted, task.row.before if task.is_again else None)
            if found is not None and found.fingerprint not in blocked:
                planned.append(new_change(self._policy.name, found))
        unit.changes.plan(self._run, planned)
        unit.changes.release(self._run, self._policy.name)

    def _finish(self, tasks: Sequence[_Task]) -> None:
        """Remembers what is through. What is not keeps its place in the queue."""
        wanted = set(self._how.handlers)
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            tasks = _known(unit, tasks)
            about = unit.changes.of_points({point for task in tasks for point in task.seen.points})
            of_sync = [c for c in about if (c.run, c.sync) == (self._run, self._policy.name)]
            lost = {
                (c.record_id, tuple(c.causes))
                for c in of_sync
                if c.state not in _THROUGH and c.rule.startswith("handled")
            }
            busy: set[int] = set()
            rows = []
            for task in tasks:
                is_lost = (task.seen.key, (task.turn.said.uid,)) in lost
                ended = task.row.ended if self._concerns(task) else frozenset(wanted)
                is_done = not is_lost and wanted <= ended
                row = replace(task.row, is_done=is_done)
                rows.append(replace(row, applied=frozenset()) if is_lost else replace(row, returned={}))
                if not is_done:
                    busy.update(task.seen.points)
            unit.handled.save(self._policy.name, rows)
            through = {p for task in tasks for p in task.seen.points if p not in busy}
            self._done(unit, through)

    def _done(self, unit: Unit, points: Collection[int]) -> None:
        """Only the sync itself marks points for its handling, under its lease: no mark can come in between."""
        queue = handling_queue(self._policy.name)
        unit.points.done(queue, unit.points.marks(queue, points))


def _known(unit: Unit, tasks: Sequence[_Task]) -> list[_Task]:
    """Without those about people who were forgotten since: what is in memory must not come back."""
    forgotten = unit.points.holders({task.seen.key for task in tasks})
    return [task for task in tasks if task.seen.key not in forgotten]


def _event(task: _Task, sync: str) -> OptOutEvent:
    said, seen = task.turn.said, task.seen
    return OptOutEvent(
        uid=said.uid,
        sync=sync,
        scope=task.turn.scope,
        standing=task.turn.wish.value,
        address=task.address,
        at=said.at,
        source=said.source.value,
        reason=said.reason,
        system=seen.system,
        collection=seen.collection,
        record=seen.record.id,
        fields=dict(seen.record.fields),
    )
