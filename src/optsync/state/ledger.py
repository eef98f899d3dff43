"""The ledger: statements, append-only."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from optsync.model.statement import Source, Statement, StatementKind, Strength
from optsync.state.codec import dumps, loads
from optsync.state.rows import chunks, insert_new
from optsync.state.schema import backlog, evidence, statement


class Ledger:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, said: Iterable[tuple[int, Statement]], *, run: str | None) -> int:
        """Adds statements to points; one that is there already stays as it is. Returns how many were new."""
        items = list(said)
        added = 0
        for part in chunks(items):
            added += insert_new(self._connection, statement, [_row(key, s, run) for key, s in part])
        proofs = [(key, s) for key, s in items if s.evidence]
        for part in chunks(proofs):
            self._append_evidence(part)
        return added

    def _append_evidence(self, proofs: Sequence[tuple[int, Statement]]) -> None:
        wanted = {(key, s.uid): s for key, s in proofs}
        query = sa.select(statement.c.id, statement.c.point_id, statement.c.uid).where(
            statement.c.point_id.in_({key for key, _ in wanted}), statement.c.uid.in_({uid for _, uid in wanted})
        )
        rows = [
            {"statement_id": row_id, "data": dumps(dict(wanted[key, uid].evidence))}
            for row_id, key, uid in self._connection.execute(query)
            if (key, uid) in wanted
        ]
        insert_new(self._connection, evidence, rows)

    def about(self, points: Collection[int]) -> dict[int, tuple[Statement, ...]]:
        """All statements about these points, oldest first."""
        found: dict[int, list[Statement]] = {key: [] for key in points}
        for part in chunks(sorted(points)):
            query = (
                sa.select(statement, evidence.c.data)
                .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
                .where(statement.c.point_id.in_(part))
                .order_by(statement.c.point_id, statement.c.at, statement.c.uid)
            )
            for row in self._connection.execute(query).mappings():
                found[row["point_id"]].append(_statement(row))
        return {key: tuple(said) for key, said in found.items()}

    def with_statements(self, points: Collection[int]) -> set[int]:
        """Those of the points about which anything was said."""
        found: set[int] = set()
        for part in chunks(sorted(points)):
            query = sa.select(statement.c.point_id).where(statement.c.point_id.in_(part)).distinct()
            found.update(self._connection.execute(query).scalars())
        return found

    def oldest_out_waiting(self, sync: str, *, after: datetime | None) -> datetime | None:
        """When the oldest out was noted that this sync has not looked at: the point is on its backlog, and the
        statement came after the time given (None: whenever)."""
        query = (
            sa.select(sa.func.min(statement.c.seen_at))
            .join(backlog, backlog.c.point_id == statement.c.point_id)
            .where(backlog.c.sync == sync, statement.c.kind.in_((StatementKind.OUT, StatementKind.COMPLAINT)))
        )
        if after is not None:
            query = query.where(statement.c.seen_at > after)
        oldest: datetime | None = self._connection.execute(query).scalar_one()
        return oldest

    def count(self) -> int:
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(statement)).scalar_one())


def _row(key: int, said: Statement, run: str | None) -> dict[str, Any]:
    return {
        "point_id": key,
        "uid": said.uid,
        "scope": said.scope,
        "kind": said.kind,
        "at": said.at,
        "clock": said.clock,
        "seen_at": said.seen_at,
        "source": said.source,
        "strength": int(said.strength),
        "is_personal": said.is_personal,
        "reason": said.reason,
        "system": said.system,
        "record": said.record,
        "target": said.target,
        "run": run,
    }


def _statement(row: RowMapping) -> Statement:
    return Statement(
        uid=row["uid"],
        scope=row["scope"],
        kind=StatementKind(row["kind"]),
        at=row["at"],
        clock=row["clock"],
        seen_at=row["seen_at"],
        source=Source(row["source"]),
        strength=Strength(row["strength"]),
        is_personal=row["is_personal"],
        reason=row["reason"],
        system=row["system"],
        record=row["record"],
        target=row["target"],
        evidence=loads(row["data"]) or {},
    )
