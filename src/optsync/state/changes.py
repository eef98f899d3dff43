"""Changes: plan, outbox, journal and undo log in one table."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from optsync.clock import Clock
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Value
from optsync.state.codec import dumps, loads
from optsync.state.erasures import NAME
from optsync.state.rows import chunks
from optsync.state.schema import backlog, change, contact_point, system_record

OPEN = (ChangeState.PLANNED, ChangeState.READY, ChangeState.SENDING)
# Word for word the condition of the index of open changes: with values as parameters SQLite can't tell that the
# index will do, and reads the whole journal instead.
_IS_OPEN = sa.text("change.state IN ('planned','ready','sending','held')")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChange:
    """A change to be journaled. ``write`` is what the apply step needs to build the vendor's write. ``plan``: the
    plan with which a person has approved it."""

    sync: str
    system: str
    collection: str
    record_id: int | None
    point_id: int
    kind: ChangeKind
    priority: int
    rule: str
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    causes: Sequence[str]
    write: Mapping[str, Any]
    fingerprint: str
    plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A journaled change. ``record`` is the system's id of the record, None before a create was answered."""

    id: int
    run: str
    sync: str
    system: str
    collection: str
    record_id: int | None
    record: str | None
    point_id: int
    email: str | None
    kind: ChangeKind
    priority: int
    rule: str
    before: dict[str, Any]
    after: dict[str, Any]
    causes: list[str]
    write: dict[str, Any]
    state: ChangeState
    fingerprint: str
    planned_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    fact: str | None
    message: str | None
    plan: str | None


class Changes:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def plan(self, run: str, changes: Sequence[NewChange]) -> None:
        """Adds planned changes. Older unsent ones of the same record and kind are superseded."""
        if not changes:
            return
        now = self._clock.now()
        self._supersede_older(changes)
        rows = [
            {
                "run": run,
                "plan": c.plan,
                "sync": c.sync,
                "system": c.system,
                "collection": c.collection,
                "record_id": c.record_id,
                "point_id": c.point_id,
                "kind": c.kind,
                "priority": c.priority,
                "rule": c.rule,
                "before": dumps(dict(c.before)),
                "after": dumps(dict(c.after)),
                "causes": dumps(list(c.causes)),
                "write": dumps(dict(c.write)),
                "state": ChangeState.PLANNED,
                "fingerprint": c.fingerprint,
                "planned_at": now,
            }
            for c in changes
        ]
        for part in chunks(rows, 1000):
            self._connection.execute(sa.insert(change), list(part))

    def _supersede_older(self, changes: Sequence[NewChange]) -> None:
        by_kind: dict[tuple[str, ChangeKind], list[int]] = {}
        for item in changes:
            if item.record_id is not None:
                by_kind.setdefault((item.sync, item.kind), []).append(item.record_id)
        for (sync, kind), keys in by_kind.items():
            for part in chunks(keys):
                self._connection.execute(
                    sa.update(change)
                    .where(
                        change.c.sync == sync,
                        change.c.kind == kind,
                        change.c.record_id.in_(part),
                        change.c.state.in_((ChangeState.PLANNED, ChangeState.READY)),
                    )
                    .values(state=ChangeState.SUPERSEDED, settled_at=self._clock.now())
                )

    def release(self, run: str, sync: str) -> int:
        """Lets the planned changes of a run be sent; returns how many there are."""
        result = self._connection.execute(
            sa.update(change)
            .where(change.c.run == run, change.c.sync == sync, change.c.state == ChangeState.PLANNED)
            .values(state=ChangeState.READY)
        )
        return result.rowcount

    def count_ready(self, sync: str) -> int:
        query = (
            sa.select(sa.func.count())
            .select_from(change)
            .where(change.c.sync == sync, change.c.state == ChangeState.READY)
        )
        return int(self._connection.execute(query).scalar_one())

    def next_ready(self, sync: str, systems: Collection[str], *, limit: int) -> list[Change]:
        """The first changes to send now: all of one priority, system, collection and way of writing."""
        is_ready = change.c.state == ChangeState.READY
        ready = (_IS_OPEN, change.c.sync == sync, is_ready, change.c.system.in_(list(systems)))
        head = self._connection.execute(
            sa.select(change.c.priority, change.c.system, change.c.collection, change.c.kind)
            .where(*ready)
            .order_by(change.c.priority, change.c.system, change.c.collection, change.c.kind, change.c.id)
            .limit(1)
        ).one_or_none()
        if head is None:
            return []
        same = (
            change.c.priority == head.priority,
            change.c.system == head.system,
            change.c.collection == head.collection,
            change.c.kind == head.kind,
        )
        return self._select(*ready, *same, limit=limit)

    def set_state(self, ids: Iterable[int], state: ChangeState, **values: Any) -> None:
        for part in chunks(ids):
            self._connection.execute(sa.update(change).where(change.c.id.in_(part)).values(state=state, **values))

    def start(self, ids: Iterable[int], *, at: datetime) -> set[int]:
        """Notes that these are about to be sent. Returns those that still were to be sent: a person may have been
        forgotten meanwhile."""
        started: set[int] = set()
        for part in chunks(ids):
            statement = (
                sa.update(change)
                .where(change.c.id.in_(part), change.c.state == ChangeState.READY)
                .values(state=ChangeState.SENDING, sent_at=at)
                .returning(change.c.id)
            )
            started.update(self._connection.execute(statement).scalars())
        return started

    def settle(
        self,
        change_id: int,
        state: ChangeState,
        *,
        record_id: int | None = None,
        fact: str | None = None,
        message: str | None = None,
    ) -> None:
        """Ends a change with what became of it."""
        values: dict[str, Any] = {"state": state, "settled_at": self._clock.now(), "fact": fact, "message": message}
        if record_id is not None:
            values["record_id"] = record_id
        self._connection.execute(sa.update(change).where(change.c.id == change_id).values(**values))

    def send_again(self, change_id: int, *, write: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Puts a change back into the outbox with less to write."""
        self._connection.execute(
            sa.update(change)
            .where(change.c.id == change_id)
            .values(state=ChangeState.READY, write=dumps(dict(write)), after=dumps(dict(after)))
        )

    def note_kept(self, change_id: int, *, write: Mapping[str, Any]) -> None:
        """Notes in the journal what a system made of the values that it was sent."""
        self._connection.execute(sa.update(change).where(change.c.id == change_id).values(write=dumps(dict(write))))

    def open_of(self, sync: str, states: Sequence[ChangeState] = OPEN) -> list[Change]:
        """Changes of a sync that an earlier run left unfinished."""
        return self._select(_IS_OPEN, change.c.sync == sync, change.c.state.in_(states))

    def of_run(self, run: str) -> list[Change]:
        return self._select(change.c.run == run)

    def of_points(self, points: Collection[int]) -> list[Change]:
        return self._select(change.c.point_id.in_(sorted(points)))

    def about_wishes(self, sync: str, records: Collection[int]) -> list[Change]:
        """What a sync has written about wishes into these records, as far as it arrived; the newest first."""
        kinds = (ChangeKind.OPT_OUT, ChangeKind.OPT_IN, ChangeKind.TOPIC)
        found: list[Change] = []
        for part in chunks(sorted(records)):
            found += self._select(
                change.c.record_id.in_(part),
                change.c.sync == sync,
                change.c.kind.in_(kinds),
                change.c.state.in_((ChangeState.APPLIED, ChangeState.SAME)),
            )
        return sorted(found, key=lambda each: each.id, reverse=True)

    def refused_since(self, points: Collection[int], *, system: str, collection: str, fact: str) -> dict[int, datetime]:
        """When a system last refused a change of these points for that reason; the others are left out."""
        found: dict[int, datetime] = {}
        for part in chunks(sorted(points)):
            query = (
                sa.select(change.c.point_id, sa.func.max(change.c.settled_at))
                .where(
                    change.c.point_id.in_(part),
                    change.c.fact == fact,
                    change.c.system == system,
                    change.c.collection == collection,
                )
                .group_by(change.c.point_id)
            )
            found.update((key, at) for key, at in self._connection.execute(query) if at is not None)
        return found

    def counts(self, run: str) -> dict[tuple[str, str, str, str], int]:
        """How many changes of a run there are, by (sync, system, kind, state)."""
        query = (
            sa.select(change.c.sync, change.c.system, change.c.kind, change.c.state, sa.func.count())
            .where(change.c.run == run)
            .group_by(change.c.sync, change.c.system, change.c.kind, change.c.state)
        )
        return {(a, b, c, d): n for a, b, c, d, n in self._connection.execute(query)}

    def oldest_unsent_out(self, sync: str) -> datetime | None:
        """When the oldest opt-out that is not yet everywhere was decided."""
        oldest = sa.func.min(change.c.planned_at)
        of_sync = (change.c.sync == sync, change.c.kind == ChangeKind.OPT_OUT)
        # One that failed is derived again in the next cycle; until then its point waits on the backlog.
        waits = sa.and_(backlog.c.sync == sync, backlog.c.point_id == change.c.point_id)
        has_failed = change.c.state == ChangeState.FAILED
        found = [
            self._connection.execute(sa.select(oldest).where(_IS_OPEN, *of_sync)).scalar_one(),
            self._connection.execute(
                sa.select(oldest).select_from(backlog).join(change, waits).where(has_failed, *of_sync)
            ).scalar_one(),
        ]
        return min((moment for moment in found if moment is not None), default=None)

    def _select(self, *where: sa.ColumnElement[bool] | sa.TextClause, limit: int | None = None) -> list[Change]:
        query = (
            sa.select(change, system_record.c.rid, sa.func.coalesce(contact_point.c.email, NAME).label("email"))
            .outerjoin(system_record, system_record.c.id == change.c.record_id)
            .join(contact_point, contact_point.c.id == change.c.point_id)
            .where(*where)
            .order_by(change.c.priority, change.c.id)
        )
        if limit is not None:
            query = query.limit(limit)
        return [_change(row) for row in self._connection.execute(query).mappings()]


def _change(row: RowMapping) -> Change:
    return Change(
        id=row["id"],
        run=row["run"],
        sync=row["sync"],
        system=row["system"],
        collection=row["collection"],
        record_id=row["record_id"],
        record=row["rid"],
        point_id=row["point_id"],
        email=row["email"],
        kind=ChangeKind(row["kind"]),
        priority=row["priority"],
        rule=row["rule"],
        before=loads(row["before"]),
        after=loads(row["after"]),
        causes=loads(row["causes"]),
        write=loads(row["write"]),
        state=ChangeState(row["state"]),
        fingerprint=row["fingerprint"],
        planned_at=row["planned_at"],
        sent_at=row["sent_at"],
        settled_at=row["settled_at"],
        fact=row["fact"],
        message=row["message"],
        plan=row["plan"],
    )
