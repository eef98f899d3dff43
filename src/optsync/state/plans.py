"""Held plans: what the guard keeps back, and what people said about it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.model.change import ChangeKind, ChangeState
from optsync.state.codec import dumps, loads
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks
from optsync.state.schema import change, plan, record_point

DROPPED = "no_longer_applies"
"""Fact of a held change that was not derived any more when its point was looked at again."""
REJECTED = "rejected"
"""Fact of a held change that a person rejected."""
_IS_UNDONE = (ChangeState.PLANNED, ChangeState.READY, ChangeState.FAILED, ChangeState.SUPERSEDED)

_HAS_ANY = Prepared(
    sa.select(plan.c.uid).where(plan.c.sync == bindparam("sync"), plan.c.state.in_(("held", "approved"))).limit(1)
)
_HELD_PLANS = Prepared(
    sa.select(plan).where(plan.c.sync == bindparam("sync"), plan.c.state == "held").order_by(plan.c.held_at, plan.c.uid)
)
_BY = (change.c.system, change.c.collection, change.c.kind, change.c.priority)
_COUNT_PLANNED = Prepared(
    sa.select(*_BY, sa.func.count())
    .where(
        change.c.run == bindparam("run"),
        change.c.sync == bindparam("sync"),
        change.c.state == ChangeState.PLANNED,
        change.c.plan.is_(None),
    )
    .group_by(*_BY)
)
_COUNT_RELEASED = Prepared(
    sa.select(*_BY, sa.func.count())
    .where(
        change.c.run == bindparam("run"),
        change.c.sync == bindparam("sync"),
        change.c.id > bindparam("after"),
        change.c.state.in_((ChangeState.READY, ChangeState.SENDING, ChangeState.APPLIED, ChangeState.SAME)),
        change.c.plan.is_(None),
    )
    .group_by(*_BY)
)
_APPROVED_AT = Prepared(
    sa.select(change.c.id, change.c.point_id, change.c.fingerprint, change.c.plan, change.c.state, change.c.fact)
    .join(plan, plan.c.uid == change.c.plan)
    .where(change.c.point_id.in_(any_of("points")), plan.c.sync == bindparam("sync"), plan.c.state == "approved")
    .order_by(change.c.id)
)
_LAPSE = Prepared(sa.update(change).where(change.c.id.in_(any_of("ids"))).values(plan=None))
_LAPSE_ALL = Prepared(
    sa.update(change)
    .where(
        change.c.plan.in_(sa.select(plan.c.uid).where(plan.c.sync == bindparam("of"), plan.c.state == "approved")),
        change.c.state.in_(_IS_UNDONE),
    )
    .values(plan=None)
)
_PUT_BACK_AT = Prepared(
    sa.select(change.c.fingerprint).where(
        change.c.point_id.in_(any_of("points")),
        change.c.sync == bindparam("sync"),
        change.c.rule == "put_back",
        change.c.state.in_((ChangeState.APPLIED, ChangeState.SAME)),
    )
)
_REJECTED_AT = Prepared(
    sa.select(change.c.fingerprint).where(
        change.c.point_id.in_(any_of("points")), change.c.plan.in_(any_of("plans")), change.c.fact == REJECTED
    )
)
_HELD_NAMES = ("id", "plan", "point_id", "record_id", "kind", "fingerprint")
_HELD = tuple(change.c[name] for name in _HELD_NAMES)
_HELD_AT = Prepared(
    sa.select(*_HELD).where(
        change.c.point_id.in_(any_of("points")),
        change.c.sync == bindparam("sync"),
        change.c.state == ChangeState.HELD,
    )
)
_FIND = Prepared(sa.select(plan).where(plan.c.uid == bindparam("of")))
_STILL_HELD = (change.c.plan == bindparam("of"), change.c.state == ChangeState.HELD)
_COUNT_HELD = Prepared(sa.select(sa.func.count()).select_from(change).where(*_STILL_HELD))
_DECIDE = Prepared(
    sa.update(plan)
    .where(plan.c.uid == bindparam("of"))
    .values(state=bindparam("now_is"), actor=bindparam("by"), decided_at=bindparam("now"))
)
_LET_GO = Prepared(
    sa.update(change).where(*_STILL_HELD).values(state=ChangeState.SUPERSEDED, settled_at=bindparam("now"))
)
_TAKE_BACK = Prepared(
    sa.update(change)
    .where(change.c.run == bindparam("of"), change.c.state == ChangeState.PLANNED, change.c.plan.in_(any_of("plans")))
    # Of no plan any more: what the plan holds decides whether it is approved.
    .values(state=ChangeState.SUPERSEDED, plan=None, settled_at=bindparam("now"))
)
_NOT_DECIDED = Prepared(
    sa.update(change)
    .where(change.c.id.in_(any_of("ids")), change.c.plan.in_(sa.select(plan.c.uid).where(plan.c.state == "held")))
    .values(plan=None)
)


def _points(*of_plan: sa.ColumnElement[bool]) -> Prepared:
    """Of changes, and of their records as they are now."""
    of_records = (
        sa.select(record_point.c.point_id).join(change, change.c.record_id == record_point.c.record_id).where(*of_plan)
    )
    return Prepared(sa.union(sa.select(change.c.point_id).where(*of_plan), of_records))


_HAS_ENDED = (change.c.plan == bindparam("of"), change.c.fact == bindparam("fact"))
_IS_OF_TOPICS = change.c.kind == ChangeKind.TOPIC
_POINTS_HELD = {False: _points(*_STILL_HELD), True: _points(*_STILL_HELD, _IS_OF_TOPICS)}
_POINTS_ENDED = {False: _points(*_HAS_ENDED), True: _points(*_HAS_ENDED, _IS_OF_TOPICS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``reasons``: what the guard found, as it is shown. ``state``: held, approved, rejected or superseded."""

    uid: str
    sync: str
    run: str
    held_at: datetime
    is_first: bool
    reasons: list[dict[str, Any]]
    state: str
    actor: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldChange:
    """The little of a held change that tells whether it is derived again."""

    id: int
    plan: str
    point_id: int
    record_id: int | None
    kind: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A change that a person has approved and that did not arrive yet; ``ids``: each time that it was planned."""

    fingerprint: str
    plan: str
    point_id: int
    ids: tuple[int, ...]


class Plans:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    # plans

    def add(self, uid: str, *, sync: str, run: str, is_first: bool, reasons: Sequence[Mapping[str, Any]]) -> None:
        """Makes a held plan of the changes that the run has planned for the sync and nobody has approved."""
        self._connection.execute(
            sa.insert(plan).values(
                uid=uid,
                sync=sync,
                run=run,
                held_at=self._clock.now(),
                is_first=is_first,
                reasons=dumps([dict(r) for r in reasons]),
                state="held",
            )
        )
        self._connection.execute(
            sa.update(change)
            .where(*_planned(run, sync), change.c.plan.is_(None))
            .values(state=ChangeState.HELD, plan=uid)
        )

    def find(self, uid: str) -> Plan | None:
        rows = _FIND.dicts(self._connection, of=uid)
        return _plan(rows[0]) if rows else None

    def has_any(self, sync: str) -> bool:
        """Whether plans of the sync are held, or were approved."""
        return bool(_HAS_ANY.all(self._connection, sync=sync))

    def held(self, sync: str) -> list[Plan]:
        """The held plans of a sync, oldest first."""
        return [_plan(row) for row in _HELD_PLANS.dicts(self._connection, sync=sync)]

    def close(self, uid: str, state: str, *, actor: str | None = None) -> None:
        """Ends a held plan; what is still held of it is derived anew from then on."""
        now = self._clock.now()
        _DECIDE.run(self._connection, of=uid, now_is=state, by=actor, now=now)
        _LET_GO.run(self._connection, of=uid, now=now)

    # their changes

    def changes_held(self, uid: str) -> list[tuple[HeldChange, str, list[str]]]:
        """What is still held of a plan: each change with its system and its causes."""
        query = sa.select(*_HELD, change.c.system, change.c.causes).where(
            change.c.plan == uid, change.c.state == ChangeState.HELD
        )
        return [
            (HeldChange(**dict(zip(_HELD_NAMES, row, strict=False))), row.system, row.causes)
            for row in self._connection.execute(query)
        ]

    def count_planned(self, run: str, sync: str) -> list[tuple[str, str, ChangeKind, int, int]]:
        """What a run has planned and nobody has approved: (system, collection, kind, priority, count)."""
        rows = _COUNT_PLANNED.all(self._connection, run=run, sync=sync)
        return [(s, c, ChangeKind(k), int(p), int(n)) for s, c, k, p, n in rows]

    def count_released(self, run: str, sync: str, *, after: int) -> list[tuple[str, str, ChangeKind, int, int]]:
        """The same of what it has let go and that stands; decided by itself, after the change of that id."""
        rows = _COUNT_RELEASED.all(self._connection, run=run, sync=sync, after=after)
        return [(s, c, ChangeKind(k), int(p), int(n)) for s, c, k, p, n in rows]

    def plan_again(self, run: str, uid: str) -> None:
        """Lets the held changes that the run has planned be sent after all, as part of their plan."""
        self._connection.execute(
            sa.update(change)
            .where(change.c.plan == uid, change.c.run == run, change.c.state == ChangeState.HELD)
            .values(state=ChangeState.PLANNED)
        )

    def count_held(self, uid: str) -> int:
        return int(_COUNT_HELD.scalar(self._connection, of=uid))

    def take_back(self, run: str, uids: Collection[str]) -> None:
        """What the run has planned of these plans is not sent after all."""
        _TAKE_BACK.run(self._connection, of=run, plans=sorted(uids), now=self._clock.now())

    def leave(self, ids: Collection[int]) -> None:
        """Has these changes belong to no plan any more that is held still: they were planned for an approval that came
        to nothing, and what the plan holds decides whether it is approved."""
        for part in chunks(sorted(ids)):
            _NOT_DECIDED.run(self._connection, ids=part)

    def points_of(self, uid: str, *, fact: str | None = None, of_topics: bool = False) -> set[int]:
        """The points of a plan's held changes, and those of their records as they are now. With ``fact``: of the
        changes that ended with it instead; ``of_topics``: of changes of topics alone."""
        if fact is None:
            return set(_POINTS_HELD[of_topics].scalars(self._connection, of=uid))
        return set(_POINTS_ENDED[of_topics].scalars(self._connection, of=uid, fact=fact))

    def held_at(self, sync: str, points: Collection[int]) -> list[HeldChange]:
        """The held changes of a sync at these points."""
        found: list[HeldChange] = []
        for part in chunks(sorted(points)):
            found.extend(HeldChange(**row) for row in _HELD_AT.dicts(self._connection, points=part, sync=sync))
        return found

    def approved_at(self, sync: str, points: Collection[int]) -> list[Approval]:
        """What a person has approved at these points and did not arrive yet."""
        rows: dict[str, list[tuple[int, int, str, str, str, str | None]]] = {}
        for part in chunks(sorted(points)):
            for row in _APPROVED_AT.all(self._connection, points=part, sync=sync):
                rows.setdefault(row[2], []).append(row)
        found = []
        for tries in rows.values():
            _, point, print_, uid, state, fact = tries[-1]
            if state in _IS_UNDONE and fact != DROPPED:
                ids = tuple(each[0] for each in tries if each[4] in _IS_UNDONE)
                found.append(Approval(fingerprint=print_, plan=uid, point_id=point, ids=ids))
        return found

    def lapse(self, approvals: Iterable[Approval]) -> None:
        """These are not approved any more."""
        for part in chunks(id_ for each in approvals for id_ in each.ids):
            _LAPSE.run(self._connection, ids=part)

    def lapse_all(self, sync: str) -> None:
        """Nothing that did not arrive yet is approved any more."""
        _LAPSE_ALL.run(self._connection, of=sync)

    def put_back_at(self, sync: str, points: Collection[int]) -> frozenset[str]:
        """Fingerprints of what was put back at these points."""
        found: set[str] = set()
        for part in chunks(sorted(points)):
            found.update(_PUT_BACK_AT.scalars(self._connection, points=part, sync=sync))
        return frozenset(found)

    def rejected_at(self, uids: Collection[str], points: Collection[int]) -> set[str]:
        """Fingerprints at these points that were rejected with one of the plans."""
        found: set[str] = set()
        for part in chunks(sorted(points)) if uids else ():
            found.update(_REJECTED_AT.scalars(self._connection, points=part, plans=sorted(uids)))
        return found

    def kept_back_at(self, syncs: Collection[str], uids: Collection[str], points: Collection[int]) -> frozenset[str]:
        """The causes of changes of topics at these points that the syncs hold, or that were rejected with one of the
        plans."""
        is_held = sa.and_(change.c.sync.in_(syncs), change.c.state == ChangeState.HELD)
        is_rejected = sa.and_(change.c.plan.in_(uids), change.c.fact == REJECTED)
        found: set[str] = set()
        for part in chunks(sorted(points)):
            of_topics = (change.c.point_id.in_(part), change.c.kind == ChangeKind.TOPIC)
            query = sa.select(change.c.causes).where(*of_topics, sa.or_(is_held, is_rejected))
            found.update(uid for causes in self._connection.execute(query).scalars() for uid in causes)
        return frozenset(found)


def _planned(run: str, sync: str) -> tuple[sa.ColumnElement[bool], ...]:
    return change.c.run == run, change.c.sync == sync, change.c.state == ChangeState.PLANNED


def _plan(row: Mapping[str, Any]) -> Plan:
    return Plan(**{**row, "reasons": loads(row["reasons"])})
