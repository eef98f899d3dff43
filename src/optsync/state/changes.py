"""Changes: plan, outbox, journal and undo log in one table."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.quick import quick_dataclass
from optsync.model.record import Value
from optsync.state import change_sql as sql
from optsync.state.change_codec import decode_deed, encode_deed
from optsync.state.erasures import NAME
from optsync.state.prepared import Prepared
from optsync.state.rows import chunks
from optsync.state.schema import change
from optsync.state.words import numbered


@quick_dataclass(frozen=True, slots=True, kw_only=True)
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


@quick_dataclass(frozen=True, slots=True, kw_only=True)
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


class Ready(NamedTuple):
    """The place of a change in the queue."""

    id: int
    priority: int
    system: str
    collection: str
    kind: str

    @property
    def way(self) -> tuple[int, str, str, str]:
        """What those that are sent together have in common."""
        return self[1:]


class Sum(NamedTuple):
    """How many changes have this in common."""

    priority: int
    system: str
    kind: str
    rule: str
    state: str
    number: int


class Left(NamedTuple):
    """What an earlier run left unfinished."""

    id: int
    state: str
    point: int


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a change. ``record_id``: of the record that it made; None leaves what is known."""

    id: int
    state: ChangeState
    record_id: int | None = None
    fact: str | None = None
    message: str | None = None


LAST = 99
"""No change has a later place in the queue."""
_KINDS = {kind.value: kind for kind in ChangeKind}
_STATES = {state.value: state for state in ChangeState}


class Changes:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def plan(self, run: str, changes: Sequence[NewChange]) -> None:
        """Adds planned changes. Older unsent ones of the same record and kind are superseded, and those that were to
        make the same record: whoever is looked at again because of another address is decided again."""
        if not changes:
            return
        now, planned = self._clock.now(), str(ChangeState.PLANNED)
        self._supersede_older(changes, now)
        emails = self._addresses({c.point_id for c in changes})
        deeds = [encode_deed(c.before, c.after, c.write, emails.get(c.point_id)) for c in changes]
        words = numbered(self._connection, {run, *(shape for shape, _ in deeds)})
        rows = [
            {
                "run": words[run],
                "plan": c.plan,
                "sync": c.sync,
                "system": c.system,
                "collection": c.collection,
                "record_id": c.record_id,
                "point_id": c.point_id,
                "kind": str(c.kind),
                "priority": c.priority,
                "rule": str(c.rule),
                "shape": words[shape],
                "data": data,
                "causes": c.causes,
                "state": planned,
                "fingerprint": c.fingerprint,
                "planned_at": now,
            }
            for c, (shape, data) in zip(changes, deeds, strict=True)
        ]
        sql.INSERT.run_each(self._connection, rows)

    def _addresses(self, points: Collection[int]) -> dict[int, str | None]:
        parts = (sql.ADDRESSES.all(self._connection, points=part) for part in chunks(sorted(points)))
        return {key: email for rows in parts for key, email in rows}

    def _supersede_older(self, changes: Sequence[NewChange], now: datetime) -> None:
        alike: dict[tuple[str, ChangeKind, str | None], list[int]] = {}
        for c in changes:
            is_new = c.record_id is None
            alike.setdefault((c.sync, c.kind, c.system if is_new else None), []).append(c.record_id or c.point_id)
        for (sync, kind, system), keys in alike.items():
            given = {"of": sync, "what": kind, "now": now}
            for part in chunks(keys):
                if system is None:
                    sql.SUPERSEDE.run(self._connection, records=part, **given)
                else:
                    sql.SUPERSEDE_NEW.run(self._connection, points=part, at=system, **given)

    def release(self, run: str, sync: str) -> int:
        """Lets the planned changes of a run be sent; returns how many there are."""
        return sql.RELEASE.run(self._connection, in_run=run, of=sync)

    def count_ready(self, sync: str) -> dict[tuple[str, str], int]:
        """How many changes are to be sent, by system and collection."""
        return {(str(s), str(c)): int(count) for s, c, count in sql.COUNT_READY.all(self._connection, of=sync)}

    def is_any_ready(self, sync: str) -> bool:
        return bool(sql.ANY_READY.all(self._connection, of=sync))

    def ready_at(self, sync: str, points: Collection[int]) -> set[int]:
        """Those of the points about which something is to be sent still."""
        found: set[int] = set()
        for part in chunks(sorted(points)):
            found.update(sql.READY_AT.scalars(self._connection, of=sync, points=part))
        return found

    def ready(
        self, sync: str, systems: Collection[str], *, limit: int, first: int = 0, last: int = LAST
    ) -> list[Ready]:
        """What is to be sent now, in this order: by priority (from ``first`` to ``last``), then all of one system,
        collection and kind together."""
        given = {"sync": sync, "systems": list(systems), "limit": limit, "first": first, "last": last}
        return [Ready(*row) for row in sql.READY.all(self._connection, **given)]

    def still_ready(self, places: Sequence[Ready]) -> list[Change]:
        """Those of the changes that are to be sent still."""
        found: list[Change] = []
        for part in chunks([place.id for place in places]):
            found += [_change(row) for row in sql.STILL_READY.dicts(self._connection, ids=part)]
        return found

    def ready_of(self, sync: str, records: Collection[int]) -> list[Change]:
        """All changes of these records that are to be sent."""
        found: list[Change] = []
        for part in chunks(sorted(records)):
            found += [_change(row) for row in sql.READY_OF.dicts(self._connection, of=sync, records=part)]
        return found

    def set_state(
        self,
        ids: Iterable[int],
        state: ChangeState,
        *,
        settled_at: datetime | None = None,
        fact: str | None = None,
        message: str | None = None,
    ) -> None:
        """Moves these changes to another state; what is None stays as it is."""
        for part in chunks(ids):
            given = {"now_in": state, "moment": settled_at, "why": fact, "words": message}
            sql.SET_STATE.run(self._connection, ids=part, **given)

    def start(self, ids: Iterable[int], *, run: str, at: datetime) -> set[int]:
        """Notes that these are about to be sent, by this run: what it writes is its own, whoever decided it. Returns
        those that still were to be sent: a person may have been forgotten meanwhile."""
        number = numbered(self._connection, (run,))[run]
        started: set[int] = set()
        for part in chunks(ids):
            started.update(sql.START.scalars(self._connection, ids=part, now=at, run=number))
        return started

    def settle(self, settled: Sequence[Settled]) -> None:
        """Ends changes with what became of them."""
        now = self._clock.now()
        names = ("key", "now_in", "moment", "why", "words", "record")
        ended = ((s.id, str(s.state), now, s.fact, s.message, s.record_id) for s in settled)
        rows = [dict(zip(names, each, strict=True)) for each in ended]
        sql.SETTLE.run_each(self._connection, [row for row in rows if row["record"] is None])
        sql.SETTLE_MADE.run_each(self._connection, [row for row in rows if row["record"] is not None])

    def send_again(self, sent: Change, *, write: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Puts a change back into the outbox with less to write."""
        self._rewrite([replace(sent, write=dict(write), after=dict(after))])
        self.set_state([sent.id], ChangeState.READY)

    def note_unsent(self, ids: Iterable[int]) -> None:
        """Nothing of these has reached the system."""
        for part in chunks(ids):
            sql.NEVER_SENT.run(self._connection, ids=part)

    def put_back(self, words: Mapping[int, str]) -> None:
        """Has changes, by id, wait to be sent another time; with the reason."""
        sql.PUT_BACK.run_each(self._connection, [{"key": key, "words": why} for key, why in words.items()])

    def newest(self) -> int:
        """The id of the last change that anybody has decided."""
        return int(sql.NEWEST.scalar(self._connection) or 0)

    def overtake(self, sync: str, points: Collection[int], records: Collection[int], *, newest: int) -> None:
        """Ends what was decided before about these: what is planned, and what is to be sent up to the id ``newest``."""
        for statement, keys in zip(sql.OVERTAKE, (points, records), strict=True):
            for part in chunks(sorted(keys)):
                statement.run(self._connection, of=sync, keys=part, newest=newest, now=self._clock.now())

    def adopt(self, run: str, sync: str) -> None:
        """Counts what earlier runs have left to be sent as this run's."""
        sql.ADOPT.run(self._connection, run=numbered(self._connection, (run,))[run], of=sync)

    def note_kept(self, kept: Iterable[tuple[Change, Mapping[str, Value]]]) -> None:
        """Notes in the journal what a system made of the values that it was sent."""
        self._rewrite([replace(sent, write={**sent.write, "kept": dict(values)}) for sent, values in kept])

    def _rewrite(self, changes: Sequence[Change]) -> None:
        deeds = [encode_deed(c.before, c.after, c.write, c.email) for c in changes]
        words = numbered(self._connection, {shape for shape, _ in deeds})
        rows = [
            {"key": c.id, "known": c.fingerprint, "shape": words[shape], "data": data}
            for c, (shape, data) in zip(changes, deeds, strict=True)
        ]
        sql.REWRITE.run_each(self._connection, rows)

    def open_of(self, sync: str) -> list[Change]:
        """Changes of a sync that an earlier run left unfinished."""
        return [_change(row) for row in sql.OPEN_OF.dicts(self._connection, sync=sync)]

    def count_open(self, sync: str) -> int:
        """How many changes of a sync are not finished."""
        return int(sql.COUNT_OPEN.scalar(self._connection, of=sync))

    def left(
        self, sync: str, *, after: int, limit: int, waiting_from: int | None = None, rules: Collection[str] = ()
    ) -> list[Left]:
        """The next changes of a sync, by id, that an earlier run left unfinished; without those that are to be sent,
        have this priority or a later one, and none of the ``rules``."""
        rank = LAST + 1 if waiting_from is None else waiting_from
        given = {"of": sync, "after": after, "limit": limit, "waiting_from": rank, "rules": sorted(rules)}
        return [Left(*row) for row in sql.LEFT.all(self._connection, **given)]

    def sums(self, run: str, sync: str) -> list[Sum]:
        """How many changes of a run stand, restrictive ones first."""
        return [Sum(*row) for row in sql.SUMS.all(self._connection, run=run, of=sync)]

    def listed(self, run: str, sync: str, *, priority: int, after: int, limit: int | None) -> list[Change]:
        """The next changes of a run that stand, of one priority and by id; ``limit``: None for all of them."""
        given = {"run": run, "of": sync, "rank": priority, "after": after}
        found = sql.LISTED.dicts if limit is None else partial(sql.LISTED_PART.dicts, limit=limit)
        return list(map(_change, found(self._connection, **given)))

    def of_run(self, run: str) -> list[Change]:
        return [_change(row) for row in sql.OF_RUN.dicts(self._connection, run=run)]

    def of_points(self, points: Collection[int]) -> list[Change]:
        return [_change(row) for row in sql.OF_POINTS.dicts(self._connection, points=sorted(points))]

    def about_wishes(self, sync: str, records: Collection[int]) -> list[Change]:
        """What a sync has written about wishes into these records, as far as it arrived; the newest first."""
        found = self._found(sql.ABOUT_WISHES, "records", records, sync=sync)
        return sorted(found, key=lambda each: each.id, reverse=True)

    def permissive(self, *, records: Collection[int], points: Collection[int]) -> list[Change]:
        """What any sync has sent to opt in at these records, or to prove it, whether or not it arrived; and what was to
        make records of these points of whose ids nobody has heard."""
        written = self._found(sql.PERMISSIVE_OF, "records", records)
        return written + self._found(sql.UNHEARD_CREATES, "points", points)

    def fields_of(self, ids: Collection[int]) -> list[Change]:
        """Those of the changes that are about fields, the oldest first."""
        return self._found(sql.FIELDS_OF, "ids", ids)

    def lost_fields(self, records: Collection[int]) -> list[Change]:
        """Changes of fields of these records that failed, or whose answer was lost; the oldest first."""
        return sorted(self._found(sql.LOST_FIELDS, "records", records), key=lambda each: each.id)

    def _found(self, query: Prepared, name: str, keys: Collection[int], **given: Any) -> list[Change]:
        """What the query finds of the keys, which it knows by that name."""
        parts = (query.dicts(self._connection, **given, **{name: part}) for part in chunks(sorted(keys)))
        return [_change(row) for rows in parts for row in rows]

    def refused_since(self, points: Collection[int], *, system: str, collection: str, fact: str) -> dict[int, datetime]:
        """When a system last refused a change of these points for that reason; the others are left out."""
        given = {"system": system, "collection": collection, "fact": fact}
        parts = (sql.REFUSED_SINCE.all(self._connection, points=part, **given) for part in chunks(sorted(points)))
        return {key: at for rows in parts for key, at in rows if at is not None}

    def counts(self, run: str) -> dict[tuple[str, str, str, str], int]:
        """How many changes of a run there are, by (sync, system, kind, state)."""
        by = (change.c.sync, change.c.system, change.c.kind, change.c.state)
        query = sa.select(*by, sa.func.count()).where(change.c.run == run).group_by(*by)
        return {(a, b, c, d): n for a, b, c, d, n in self._connection.execute(query)}

    def oldest_unsent_out(self, sync: str, *, harmless: Collection[str] = ()) -> datetime | None:
        """When the oldest opt-out that is not yet everywhere was decided. ``harmless``: facts for which it is refused
        and not tried again."""
        unsent = sql.OLDEST_OPEN_OUT.scalar(self._connection, of=sync)
        lost = sql.OLDEST_LOST_OUT.scalar(self._connection, of=sync, harmless=sorted(harmless))
        return min((moment for moment in (unsent, lost) if moment is not None), default=None)


def _change(row: Mapping[str, Any]) -> Change:
    email = row["email"]
    deed = decode_deed(row["shape"], row["data"], None if email == NAME else email)
    return Change(
        id=row["id"],
        run=row["run"],
        sync=row["sync"],
        system=row["system"],
        collection=row["collection"],
        record_id=row["record_id"],
        record=row["rid"],
        point_id=row["point_id"],
        email=email,
        kind=_KINDS[row["kind"]],
        priority=row["priority"],
        rule=row["rule"],
        before=deed.before,
        after=deed.after,
        causes=row["causes"],
        write=deed.write,
        state=_STATES[row["state"]],
        fingerprint=row["fingerprint"],
        planned_at=row["planned_at"],
        sent_at=row["sent_at"],
        settled_at=row["settled_at"],
        fact=row["fact"],
        message=row["message"],
        plan=row["plan"],
    )
