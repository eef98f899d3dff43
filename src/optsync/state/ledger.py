"""The ledger: statements, append-only."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from optsync.model.statement import Source, Statement, StatementKind, Strength
from optsync.reconcile.erasure import may_be_kept, without_private_part
from optsync.state import seal
from optsync.state.chain import Chain, Head, as_raw, new_salts
from optsync.state.codec import dumps, loads
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, insert_new, insert_returning
from optsync.state.schema import backlog, contact_point, evidence, statement
from optsync.state.verify import Verdict, Verification

_HAS_FORGOTTEN = Prepared(sa.select(contact_point.c.id).where(contact_point.c.hash.is_not(None)).limit(1))
_FORGOTTEN = Prepared(
    sa.select(contact_point.c.id).where(contact_point.c.id.in_(any_of("points")), contact_point.c.email.is_(None))
)
_KNOWN = Prepared(sa.select(statement.c.point_id, statement.c.uid).where(statement.c.point_id.in_(any_of("points"))))
_ABOUT = Prepared(
    sa.select(statement, evidence.c.data)
    .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
    .where(statement.c.point_id.in_(any_of("points")))
    .order_by(statement.c.point_id, statement.c.at, statement.c.uid)
)
_SPOKEN_OF = Prepared(sa.select(statement.c.point_id).where(statement.c.point_id.in_(any_of("points"))).distinct())


class Ledger:
    def __init__(self, connection: Connection, chain: Chain | None) -> None:
        """``chain`` is None where nothing lasts, as in a rehearsal: nothing is sealed then."""
        self._connection = connection
        self._chain = chain

    def append(self, said: Iterable[tuple[int, Statement]], *, run: str | None) -> int:
        """Adds statements to points and seals them; one that is there already stays as it is, evidence included.
        Returns how many were new. About forgotten people only what counts without a grant is added, and nothing that
        tells of them."""
        news: dict[tuple[int, str], Statement] = {}
        for key, s in self._permitted(list(said)):
            news.setdefault((key, s.uid), s)
        for known in self._known({key for key, _ in news}):
            news.pop(known, None)
        if not news:
            return 0
        chain = self._chain
        if chain is None:
            return len(self._insert(news, run, None, {}))
        points = {key for key, _ in news}
        # Seals are looked up under the lock of the chain's head: else two writers could seal one point differently.
        return chain.add(lambda number: self._insert(news, run, number, chain.seals_of(points)))

    def _permitted(self, said: Sequence[tuple[int, Statement]]) -> Iterator[tuple[int, Statement]]:
        forgotten: set[int] = set()
        if said and _HAS_FORGOTTEN.all(self._connection):
            for part in chunks(sorted({key for key, _ in said})):
                forgotten.update(_FORGOTTEN.scalars(self._connection, points=part))
        for key, each in said:
            if key not in forgotten:
                yield key, each
            elif may_be_kept(each):
                yield key, without_private_part(each)

    def head(self) -> Head | None:
        """The newest block of the chain; None where nothing is sealed."""
        return self._chain.head() if self._chain else None

    def catch_up(self) -> None:
        """Seals statements from before the ledger was sealed; nothing happens when there are none."""
        if self._chain:
            self._chain.catch_up()

    def verify(
        self,
        keys: Sequence[bytes],
        *,
        written_down: bytes | None = None,
        step: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Verdict:
        """Proves the whole ledger. ``keys``: all that may have signed it; ``written_down``: the hash, or its first
        bytes, of a head kept elsewhere; ``step`` is told how many of how many statements are through. First in its
        transaction: the state must not move meanwhile."""
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return Verification(self._connection, keys).run(written_down=written_down, step=step)

    def _known(self, points: Collection[int]) -> Iterator[tuple[int, str]]:
        for part in chunks(sorted(points)):
            yield from ((key, uid) for key, uid in _KNOWN.all(self._connection, points=part))

    def _insert(
        self, news: Mapping[tuple[int, str], Statement], run: str | None, number: int | None, seals: Mapping[int, bytes]
    ) -> list[bytes]:
        """Writes them, with their evidence, and returns their leaves by id; unsealed ones have empty leaves."""
        leaves: list[tuple[int, bytes]] = []
        for part in chunks(news.items(), 1000):
            rows = {named: _row(named[0], said, run) for named, said in part}
            texts = {named: dumps(dict(said.evidence)) for named, said in part if said.evidence}
            plain = _prove(rows, texts, number, seals) if number is not None else {}
            columns = (statement.c.id, statement.c.point_id, statement.c.uid)
            came_in = insert_returning(self._connection, statement, list(rows.values()), *columns)
            added = {(row[1], row[2]): row[0] for row in came_in}
            proofs = [{"statement_id": added[named], "data": text} for named, text in texts.items() if named in added]
            insert_new(self._connection, evidence, proofs)
            leaves.extend(
                (row_id, seal.leaf(row_id, seals[named[0]], rows[named]["proof"], plain[named]) if plain else b"")
                for named, row_id in added.items()
            )
        return [made for _, made in sorted(leaves)]

    def about(self, points: Collection[int]) -> dict[int, tuple[Statement, ...]]:
        """All statements about these points, oldest first."""
        found: dict[int, list[Statement]] = {key: [] for key in points}
        for part in chunks(sorted(points)):
            for row in _ABOUT.dicts(self._connection, points=part):
                found[row["point_id"]].append(read_statement(row))
        return {key: tuple(said) for key, said in found.items()}

    def with_statements(self, points: Collection[int]) -> set[int]:
        """Those of the points about which anything was said."""
        found: set[int] = set()
        for part in chunks(sorted(points)):
            found.update(_SPOKEN_OF.scalars(self._connection, points=part))
        return found

    def points_of_import(self, uid: str) -> list[int]:
        """The points about which an import said something."""
        query = (
            sa.select(statement.c.point_id)
            .join(evidence, evidence.c.statement_id == statement.c.id)
            .where(
                statement.c.source.in_((Source.IMPORT, Source.LEGACY)),
                evidence.c.data.contains(f'"import":{dumps(uid)}', autoescape=True),
            )
            .distinct()
            .order_by(statement.c.point_id)
        )
        return list(self._connection.execute(query).scalars())

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


def _prove(
    rows: Mapping[tuple[int, str], dict[str, Any]],
    texts: Mapping[tuple[int, str], str],
    number: int,
    seals: Mapping[int, bytes],
) -> dict[tuple[int, str], dict[str, Any]]:
    """Adds to each row its salt, proof and block; returns them in the form that is sealed."""
    plain = {named: as_raw(row) for named, row in rows.items()}
    for (named, row), salt in zip(rows.items(), new_salts(len(rows)), strict=True):
        made = seal.proof(salt, seals[named[0]], plain[named], texts.get(named))
        row.update(salt=salt, proof=made, block=number)
    return plain


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


def read_statement(row: Mapping[str, Any] | RowMapping) -> Statement:
    """From the columns of the statement and ``data`` of its evidence."""
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
