"""Runs: one cycle over one or more syncs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, RowMapping

from optsync.clock import Clock
from optsync.state.codec import dumps, loads
from optsync.state.prepared import Prepared
from optsync.state.rows import chunks
from optsync.state.schema import run
from optsync.state.words import known

_NEW = ("uid", "started_at", "state", "syncs", "undoes", "actor")
_BEGIN = Prepared(sa.insert(run).values({name: bindparam(name) for name in _NEW}))
_END = Prepared(
    sa.update(run)
    .where(run.c.uid == bindparam("of"))
    .values(ended_at=bindparam("at"), state=bindparam("became"), summary=bindparam("text"))
)
_OLD = Prepared(
    sa.select(run)
    .where(run.c.id > bindparam("beyond"), run.c.started_at < bindparam("before"))
    .order_by(run.c.id)
    .limit(bindparam("most"))
)
_NEWS = ("plan", "errors", "waiting", "issues")
"""What a sync's part of a summary says of besides changes."""
_PAGE = 200
_DROP = Prepared(sa.delete(run).where(run.c.id.in_(bindparam("those", expanding=True))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """``summary`` is the run's report without its single changes. ``undoes``: the run that it takes back, in the name
    of ``actor``."""

    uid: str
    started_at: datetime
    ended_at: datetime | None
    state: str
    syncs: list[str]
    summary: dict[str, Any] | None
    undoes: str | None = None
    actor: str | None = None


class Runs:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def begin(self, uid: str, syncs: Sequence[str], *, undoes: str | None = None, actor: str | None = None) -> None:
        _BEGIN.run(
            self._connection,
            uid=uid,
            started_at=self._clock.now(),
            state="running",
            syncs=dumps(list(syncs)),
            undoes=undoes,
            actor=actor,
        )

    def end(self, uid: str, state: str, summary: dict[str, Any]) -> None:
        _END.run(self._connection, of=uid, at=self._clock.now(), became=state, text=dumps(summary))

    def forget(self, uid: str) -> None:
        """Takes away a run that did nothing."""
        self._connection.execute(sa.delete(run).where(run.c.uid == uid))

    def thin(self, *, before: datetime, beyond: int, most: int) -> tuple[int, int]:
        """Of the runs that began before then and in which nothing happened one a day stays of each sync; all others do
        as well, and those that the journal or the ledger names. Looks at ``most`` of them, the oldest with an id over
        ``beyond`` first; returns how many it looked at, and the id of the last."""
        rows = _OLD.dicts(self._connection, beyond=beyond, before=before, most=most)
        idle: dict[str, int] = {}
        days: set[tuple[str, date]] = set()
        head = None
        for row in rows:
            day, summary = (row["syncs"], row["started_at"].date()), loads(row["summary"]) or {}
            is_same_end = summary.get("ledger_head") == head
            if day in days and is_same_end and row["state"] == "done" and not row["undoes"] and _is_idle(summary):
                idle[row["uid"]] = row["id"]
            days.add(day)
            head = summary.get("ledger_head")
        # A summary counts records that were read: what was put off, or held, is written without another reading.
        named = known(self._connection, idle)
        for part in chunks([number for uid, number in idle.items() if uid not in named]):
            _DROP.run(self._connection, those=part)
        return len(rows), rows[-1]["id"] if rows else beyond

    def find(self, uid: str) -> Run | None:
        row = self._connection.execute(sa.select(run).where(run.c.uid == uid)).mappings().one_or_none()
        return _run(row) if row else None

    def undoing(self, uid: str) -> Sequence[Run]:
        """The runs that take this one back, newest first."""
        query = sa.select(run).where(run.c.undoes == uid).order_by(run.c.id.desc())
        return [_run(row) for row in self._connection.execute(query).mappings()]

    def list(self, *, limit: int = 50) -> list[Run]:
        """The newest runs, newest first."""
        rows = self._connection.execute(sa.select(run).order_by(run.c.id.desc()).limit(limit)).mappings()
        return [_run(row) for row in rows]

    def ended(self, sync: str | None = None) -> Iterator[Run]:
        """All runs that have ended (of this sync, if one is named), newest first, read as far as they are asked for."""
        query = sa.select(run).where(run.c.state != "running").order_by(run.c.id.desc()).limit(_PAGE)
        if sync is not None:
            query = query.where(run.c.syncs.contains(dumps(sync), autoescape=True))
        rows = self._connection.execute(query).mappings().all()
        while rows:
            found = (_run(row) for row in rows)
            yield from (each for each in found if sync is None or sync in each.syncs)
            rows = self._connection.execute(query.where(run.c.id < rows[-1]["id"])).mappings().all()


def _is_idle(summary: Mapping[str, Any]) -> bool:
    """Whether it tells of no change, nothing held and nothing else."""
    parts = summary.get("syncs", {}).values()
    return not any(part["outcome"]["changed"] or any(map(part.get, _NEWS)) for part in parts)


def _run(row: RowMapping) -> Run:
    return Run(
        uid=row["uid"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        state=row["state"],
        syncs=loads(row["syncs"]),
        summary=loads(row["summary"]),
        undoes=row["undoes"],
        actor=row["actor"],
    )
