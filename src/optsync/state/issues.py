"""Issues: what a person should look at."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.clock import Clock
from optsync.state.codec import dumps, loads
from optsync.state.schema import contact_point, issue


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIssue:
    """``blocks`` is the fingerprint of a change that is not tried again while the issue stands."""

    kind: str
    message: str
    sync: str | None = None
    system: str | None = None
    record: str | None = None
    point_id: int | None = None
    field: str | None = None
    rule: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    blocks: str | None = None

    @property
    def subject(self) -> str:
        """The same matter again has the same subject, and is one issue."""
        parts = (self.kind, self.sync, self.system, self.record, self.point_id, self.field, self.blocks)
        return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    id: int
    kind: str
    opened_at: datetime
    closed_at: datetime | None
    run: str | None
    sync: str | None
    system: str | None
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
        this run from then on if it ``is_news`` each time. Returns whether it is new."""
        again: dict[str, Any] = {"count": issue.c.count + 1, "values": dumps(dict(new.values))}
        if is_news:
            again["run"] = run
        known = sa.update(issue).where(issue.c.subject == new.subject, issue.c.state != "resolved").values(**again)
        if self._connection.execute(known).rowcount:
            return False
        self._connection.execute(
            sa.insert(issue).values(
                kind=new.kind,
                subject=new.subject,
                opened_at=self._clock.now(),
                run=run,
                sync=new.sync,
                system=new.system,
                record=new.record,
                point_id=new.point_id,
                field=new.field,
                rule=new.rule,
                message=new.message,
                values=dumps(dict(new.values)),
                blocks=new.blocks,
                state="open",
                count=1,
            )
        )
        return True

    def resolve(self, *, kind: str, system: str, records: Sequence[str]) -> None:
        """Closes the open issues of a kind about these records: the matter is over."""
        if records:
            self._connection.execute(
                sa.update(issue)
                .where(
                    issue.c.kind == kind,
                    issue.c.system == system,
                    issue.c.record.in_(records),
                    issue.c.state == "open",
                )
                .values(state="resolved", closed_at=self._clock.now())
            )

    def close(self, kind: str, *, sync: str, blocks: str) -> None:
        """Ends the issue of a kind about what it keeps back, dismissed or not: the matter is over."""
        self._connection.execute(
            sa.update(issue)
            .where(issue.c.kind == kind, issue.c.sync == sync, issue.c.blocks == blocks, issue.c.state != "resolved")
            .values(state="resolved", closed_at=self._clock.now())
        )

    def set_state(self, issue_id: int, state: str) -> bool:
        """``resolved`` lets optsync try again; ``dismissed`` keeps it quiet. False if there is no such open issue."""
        closed = self._clock.now() if state == "resolved" else None
        result = self._connection.execute(
            sa.update(issue)
            .where(issue.c.id == issue_id, issue.c.state != "resolved")
            .values(state=state, closed_at=closed)
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

    def subjects_of_run(self, kind: str, run: str) -> frozenset[tuple[str, str]]:
        """(system, record) of the issues of a kind that this run opened or met again."""
        query = sa.select(issue.c.system, issue.c.record).where(issue.c.kind == kind, issue.c.run == run)
        return frozenset((system, record) for system, record in self._connection.execute(query))

    def records_with(self, kind: str, system: str) -> frozenset[str]:
        """The system's records about which an issue of that kind stands, dismissed ones included."""
        query = sa.select(issue.c.record).where(
            issue.c.kind == kind, issue.c.system == system, issue.c.state != "resolved", issue.c.record.is_not(None)
        )
        return frozenset(self._connection.execute(query).scalars())

    def any_open(self, kind: str, system: str) -> bool:
        """Whether there is an open issue of that kind about the system."""
        query = sa.select(issue.c.id).where(issue.c.kind == kind, issue.c.system == system, issue.c.state == "open")
        return self._connection.execute(query.limit(1)).first() is not None

    def blocked(self, sync: str) -> frozenset[str]:
        """Fingerprints of changes that are not tried again now; what was only put off comes back by itself."""
        self._let_go(sync)
        query = sa.select(issue.c.blocks).where(
            issue.c.sync == sync, issue.c.blocks.is_not(None), issue.c.state != "resolved"
        )
        return frozenset(b for b in self._connection.execute(query).scalars() if b is not None)

    def _let_go(self, sync: str) -> None:
        now = self._clock.now()
        query = sa.select(issue.c.id, issue.c["values"]).where(
            issue.c.sync == sync, issue.c.kind == "put_off", issue.c.state != "resolved"
        )
        due = [
            key
            for key, values in self._connection.execute(query)
            if datetime.fromisoformat((loads(values) or {}).get("until", now.isoformat())) <= now
        ]
        if due:
            self._connection.execute(
                sa.update(issue).where(issue.c.id.in_(due)).values(state="resolved", closed_at=now)
            )

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Issue]:
        query = (
            sa.select(issue, contact_point.c.email)
            .outerjoin(contact_point, contact_point.c.id == issue.c.point_id)
            .where(*where)
            .order_by(issue.c.id)
        )
        hidden = {"subject", "blocks"}
        return [
            Issue(**{**{k: v for k, v in row.items() if k not in hidden}, "values": loads(row["values"]) or {}})
            for row in self._connection.execute(query).mappings()
        ]

    def list(self, *, state: str | None = "open", points: Sequence[int] | None = None) -> list[Issue]:
        where = [] if state is None else [issue.c.state == state]
        if points is not None:
            where.append(issue.c.point_id.in_(points))
        return self._select(*where)

    def count_open(self) -> int:
        query = sa.select(sa.func.count()).select_from(issue).where(issue.c.state == "open")
        return int(self._connection.execute(query).scalar_one())

    def count_of_run(self, run: str, sync: str | None = None) -> int:
        """Issues that this run opened."""
        query = sa.select(sa.func.count()).select_from(issue).where(issue.c.run == run, issue.c.state == "open")
        if sync is not None:
            query = query.where(issue.c.sync == sync)
        return int(self._connection.execute(query).scalar_one())
