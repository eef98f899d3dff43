"""Issues: what a person should look at."""

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.state import issue_sql as sql
from optsync.state.codec import dumps, loads
from optsync.state.prepared import Prepared
from optsync.state.rows import CHUNK, chunks
from optsync.state.schema import issue

_OF_THE_ANSWER = ("dismissed_by", "dismissed_at")
"""What a person's answer has left in the values; the matter's next occurrence leaves it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIssue:
    """``blocks`` is the fingerprint of a change that is not tried again while the issue stands. ``values`` hold no
    whole personal value (see :mod:`optsync.model.masking`)."""

    kind: str
    message: str
    sync: str | None = None
    system: str | None = None
    collection: str | None = None
    record: str | None = None
    point_id: int | None = None
    field: str | None = None
    rule: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    blocks: str | None = None

    @property
    def subject(self) -> str:
        """The same matter again has the same subject, and is one issue."""
        owner = self.system if self.collection is None else f"{self.system}/{self.collection}"
        parts = (self.kind, self.sync, owner, self.record, self.point_id, self.field, self.blocks)
        return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """``last_at``: when its matter was last met, ``count`` times in all; ``reason``: why it was closed."""

    id: int
    kind: str
    subject: str
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None
    reason: str | None
    run: str | None
    sync: str | None
    system: str | None
    collection: str | None
    record: str | None
    point_id: int | None
    email: str | None
    field: str | None
    rule: str | None
    message: str
    values: dict[str, Any]
    state: str
    count: int


class Issues:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def open(self, new: NewIssue, *, run: str | None, is_news: bool = False) -> bool:
        """Opens an issue; one that is open or dismissed for the same subject is counted up instead, and belongs to
        this run from then on if it ``is_news`` each time. Who dismissed it stays. Returns whether it is new."""
        return self.open_all([new], run=run, is_news=is_news) > 0

    def open_all(self, news: Sequence[NewIssue], *, run: str | None, is_news: bool = False) -> int:
        """Opens many, as :meth:`open` does one; returns how many are new."""
        opened = 0
        while news:
            now, news = _one_of_each(news)
            known = self._find(sql.LATEST_STANDING, [new.subject for new in now])
            fresh = [new for new in now if new.subject not in known]
            self._insert(fresh, run=run, state="open", reason=None)
            again = [(known[new.subject], new) for new in now if new.subject in known]
            self._count_up(again, run=run if is_news else None)
            opened += len(fresh)
        return opened

    def count_under(self, news: Sequence[NewIssue], *, run: str | None, reason: str) -> None:
        """Notes matters, no two the same, that are part of another issue: they are kept for the record, closed for
        that reason. Those that were dismissed stay so."""
        known = self.latest(new.subject for new in news)
        fresh = [new for new in news if new.subject not in known]
        self._insert(fresh, run=run, state="resolved", reason=reason)
        again = [(known[new.subject], new) for new in news if new.subject in known]
        self._count_up(again, run=run)
        self.close_all({issue.id: reason for issue, _ in again if issue.state != "dismissed"})

    def _insert(self, news: Sequence[NewIssue], *, run: str | None, state: str, reason: str | None) -> None:
        now = self._clock.now()
        rows = [
            {
                "kind": new.kind,
                "subject": new.subject,
                "opened_at": now,
                "last_at": now,
                "closed_at": now if state == "resolved" else None,
                "reason": reason,
                "run": run,
                "sync": new.sync,
                "system": new.system,
                "collection": new.collection,
                "record": new.record,
                "point_id": new.point_id,
                "field": new.field,
                "rule": new.rule,
                "message": new.message,
                "values": dumps(dict(new.values)),
                "blocks": new.blocks,
                "state": state,
                "count": 1,
            }
            for new in news
        ]
        sql.INSERT.run_each(self._connection, rows)

    def _count_up(self, again: Sequence[tuple[Issue, NewIssue]], *, run: str | None) -> None:
        """``run``: the one to which they belong from then on; None where that stays."""
        now = self._clock.now()
        rows = [
            {
                "key": known.id,
                "words": new.message,
                "text": dumps({**new.values, **{n: known.values[n] for n in _OF_THE_ANSWER if n in known.values}}),
                "now": now,
                "in_run": run or known.run,
            }
            for known, new in again
        ]
        sql.COUNT_UP.run_each(self._connection, rows)

    def latest(self, subjects: Iterable[str]) -> dict[str, Issue]:
        """The newest issue of each of these subjects, whatever its state."""
        return self._find(sql.LATEST, subjects)

    def _find(self, statement: Prepared, subjects: Iterable[str]) -> dict[str, Issue]:
        found: dict[str, Issue] = {}
        for part in chunks(subjects):
            found.update((row["subject"], _issue(row)) for row in statement.dicts(self._connection, subjects=part))
        return found

    def resolve(self, *, kind: str, system: str, collection: str, records: Sequence[str], reason: str) -> None:
        """Closes the open issues of a kind about these records: the matter is over."""
        for part in chunks(records):
            self._connection.execute(
                sa.update(issue)
                .where(
                    issue.c.kind == kind,
                    issue.c.system == system,
                    sa.or_(issue.c.collection == collection, issue.c.collection.is_(None)),
                    issue.c.record.in_(part),
                    issue.c.state == "open",
                )
                .values(state="resolved", closed_at=self._clock.now(), reason=reason)
            )

    def close(self, kind: str, *, sync: str, blocks: str, reason: str) -> None:
        """Ends the issue of a kind about what it keeps back, dismissed or not: the matter is over."""
        now = self._clock.now()
        sql.CLOSE_BLOCKING.run(self._connection, of_kind=kind, of_sync=sync, what=blocks, now=now, why=reason)

    def let_go(self, sync: str, *, reason: str) -> set[int]:
        """Ends what was put off until now: it may be tried again. Returns the points that it is about."""
        now = self._clock.now()
        put_off = map(_issue, sql.PUT_OFF.dicts(self._connection, sync=sync))
        due = [i for i in put_off if _is_due(i.values, now)]
        self.close_all({i.id: reason for i in due})
        return {i.point_id for i in due if i.point_id is not None}

    def close_all(self, reasons: Mapping[int, str]) -> None:
        """Closes these issues, by number, each for its reason."""
        rows = [{"key": key, "why": why, "now": self._clock.now()} for key, why in reasons.items()]
        sql.CLOSE.run_each(self._connection, rows)

    def to_review(self, sync: str, *, before: datetime, after: int = 0, limit: int = CHUNK) -> list[Issue]:
        """The next issues of a sync, by number, whose matter was not met since ``before``. Dismissed ones stay as
        they are; what was only put off ends all the same."""
        rows = sql.TO_REVIEW.dicts(self._connection, sync=sync, before=before, after=after, limit=limit)
        return [_issue(row) for row in rows]

    def count_records(
        self, kind: str, *, sync: str, system: str, field: str, since: datetime, but: Sequence[str] = ()
    ) -> int:
        """About how many records of a system, a few left out, an issue of that kind and field was met since then, in
        any state."""
        given = {"kind": kind, "sync": sync, "system": system, "field": field, "since": since, "but": but}
        return int(sql.COUNT_RECORDS.scalar(self._connection, **given))

    def absorb(self, kind: str, *, sync: str, system: str, field: str, run: str, reason: str) -> None:
        """Closes the open issues of that kind about single records of a system, since another issue speaks for them,
        and gives the reason to those that this run has closed."""
        is_closed_now = sa.and_(issue.c.state == "resolved", issue.c.run == run)
        self._connection.execute(
            sa.update(issue)
            .where(
                *_about(kind, sync, system, field),
                issue.c.record.is_not(None),
                sa.or_(issue.c.state == "open", is_closed_now),
            )
            .values(state="resolved", closed_at=self._clock.now(), reason=reason)
        )

    def set_state(self, issue_id: int, state: str, *, reason: str | None = None) -> bool:
        """``resolved`` lets optsync try again; ``dismissed`` keeps it quiet. False if there is no such open issue."""
        closed = self._clock.now() if state == "resolved" else None
        result = self._connection.execute(
            sa.update(issue)
            .where(issue.c.id == issue_id, issue.c.state != "resolved")
            .values(state=state, closed_at=closed, reason=reason)
        )
        return bool(result.rowcount)

    def dismiss(self, issue_id: int, *, actor: str) -> None:
        """Keeps an open issue quiet, and notes who said so."""
        values = self._connection.execute(sa.select(issue.c["values"]).where(issue.c.id == issue_id)).scalar_one()
        noted = {**(loads(values) or {}), "dismissed_by": actor, "dismissed_at": self._clock.now().isoformat()}
        self._connection.execute(
            sa.update(issue).where(issue.c.id == issue_id).values(state="dismissed", values=dumps(noted))
        )

    def find(self, issue_id: int) -> Issue | None:
        return next(iter(self._select(issue.c.id == issue_id)), None)

    def subjects_of_run(self, kind: str, run: str) -> frozenset[tuple[str, str, str]]:
        """(system, collection, record) of the issues of a kind that this run opened or met again."""
        return frozenset(sql.SUBJECTS_OF_RUN.all(self._connection, kind=kind, run=run))

    def records_with(self, kind: str, system: str, collection: str) -> frozenset[str]:
        """The records of a collection about which an issue of that kind stands, dismissed ones included. In another
        collection the same number is somebody else."""
        given = {"kind": kind, "system": system, "collection": collection}
        return frozenset(sql.RECORDS_WITH.scalars(self._connection, **given))

    def any_open(self, kind: str, system: str) -> bool:
        """Whether there is an open issue of that kind about the system."""
        return bool(sql.ANY_OPEN.all(self._connection, kind=kind, system=system))

    def blocked(self, sync: str) -> dict[str, str]:
        """Fingerprints of changes that are not tried again now, and other names of what is kept back, each with the
        kind of the issue; what was only put off is tried again when its time has come."""
        now = self._clock.now()
        return {
            blocks: kind
            for blocks, kind, values in sql.BLOCKS.all(self._connection, sync=sync)
            if kind != "put_off" or not _is_due(loads(values) or {}, now)
        }

    def about(self, points: Collection[int], *, kind: str, sync: str, system: str) -> Sequence[Issue]:
        """The issues of a kind about these points and a system, in any state, by number."""
        found: list[Issue] = []
        for part in chunks(sorted(points)):
            rows = sql.ABOUT.dicts(self._connection, points=part, kind=kind, sync=sync, system=system)
            found.extend(map(_issue, rows))
        return sorted(found, key=lambda each: each.id)

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Issue]:
        return [_issue(dict(row)) for row in self._connection.execute(sql.FULL.where(*where)).mappings()]

    def list(
        self,
        *,
        state: str | None = "open",
        points: Sequence[int] | None = None,
        kind: str | None = None,
        system: str | None = None,
    ) -> list[Issue]:
        """The issues by number. ``None`` is no condition."""
        where = [] if state is None else [issue.c.state == state]
        if points is not None:
            where.append(issue.c.point_id.in_(points))
        where += [issue.c[n] == wanted for n, wanted in (("kind", kind), ("system", system)) if wanted is not None]
        return self._select(*where)

    def kinds(self, *, state: str | None = "open") -> Sequence[str]:
        """The kinds of all issues in this state, sorted. ``None`` is no condition."""
        query = sa.select(issue.c.kind).distinct().order_by(issue.c.kind)
        return list(self._connection.execute(query if state is None else query.where(issue.c.state == state)).scalars())

    def standing_at(self, points: Collection[int]) -> Sequence[Issue]:
        """The issues about these points that are open or dismissed."""
        found: dict[int, Issue] = {}
        for part in chunks(sorted(points)):
            rows = sql.STANDING_AT.dicts(self._connection, points=part)
            found.update((row["id"], _issue(row)) for row in rows)
        return list(found.values())

    def count_open(self) -> int:
        query = sa.select(sa.func.count()).select_from(issue).where(issue.c.state == "open")
        return int(self._connection.execute(query).scalar_one())

    def count_of_run(self, run: str, sync: str) -> int:
        """Issues that this run opened in a sync."""
        return int(sql.COUNT_OF_RUN.scalar(self._connection, run=run, sync=sync))


def _about(kind: str, sync: str, system: str, field: str) -> tuple[sa.ColumnElement[bool], ...]:
    return issue.c.kind == kind, issue.c.sync == sync, issue.c.system == system, issue.c.field == field


def _one_of_each(news: Sequence[NewIssue]) -> tuple[list[NewIssue], list[NewIssue]]:
    """The first of every subject, and the others."""
    first: dict[str, NewIssue] = {}
    others: list[NewIssue] = []
    for new in news:
        if new.subject in first:
            others.append(new)
        else:
            first[new.subject] = new
    return list(first.values()), others


def _is_due(values: Mapping[str, Any], now: datetime) -> bool:
    until = values.get("until")
    return until is None or datetime.fromisoformat(until) <= now


def _issue(row: Mapping[str, Any]) -> Issue:
    kept = {k: v for k, v in row.items() if k != "blocks"}
    return Issue(**{**kept, "values": loads(row["values"]) or {}, "last_at": row["last_at"] or row["opened_at"]})
