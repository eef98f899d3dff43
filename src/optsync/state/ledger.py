"""The ledger: statements, append-only."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, RowMapping

from optsync.clock import Clock
from optsync.model.statement import Source, Statement, StatementKind, Strength, counted_from
from optsync.reconcile.erasure import may_be_kept, without_private_part
from optsync.state import seal
from optsync.state.chain import BONDS, EVIDENCE, RAW, Bond, Chain, Head, proof_of, raw, salt_for
from optsync.state.codec import decode_evidence, dumps, encode_evidence
from optsync.state.columns import microseconds, storable
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, insert_plainly, take_ids
from optsync.state.schema import backlog, contact_point, evidence, statement
from optsync.state.verify import Verdict, Verification
from optsync.state.words import numbered

PARTS = (
    "uid",
    "scope",
    "kind",
    "at",
    "clock",
    "seen_at",
    "source",
    "strength",
    "is_personal",
    "reason",
    "system",
    "record",
    "target",
)
"""The columns that a statement is read from, but for its evidence."""
_WORDS = ("scope", "clock", "system")
"""Those of them that are words; the run is another."""
_KINDS = {kind.value: kind for kind in StatementKind}
_SOURCES = {source.value: source for source in Source}
_STRENGTHS = tuple(Strength)
_HAS_FORGOTTEN = Prepared(sa.select(contact_point.c.id).where(contact_point.c.hash.is_not(None)).limit(1))
_FORGOTTEN = Prepared(
    sa.select(contact_point.c.id).where(contact_point.c.id.in_(any_of("points")), contact_point.c.email.is_(None))
)
_KNOWN = Prepared(
    sa.select(statement.c.point_id, statement.c.uid, statement.c.kind, statement.c.seen_at).where(
        statement.c.point_id.in_(any_of("points"))
    )
)
_TOLD = (*(statement.c[name] for name in PARTS), *EVIDENCE)
_ABOUT = Prepared(
    sa.select(statement.c.point_id, *_TOLD)
    .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
    .where(statement.c.point_id.in_(any_of("points")))
    .order_by(statement.c.point_id, statement.c.at, statement.c.uid)
)
_PROVEN = Prepared(
    sa.select(*RAW, *EVIDENCE, *BONDS)
    .join(contact_point, contact_point.c.id == statement.c.point_id)
    .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
    .where(statement.c.point_id == bindparam("point"))
)
_BLANK = Prepared(
    sa.update(statement)
    .where(statement.c.id == bindparam("key"))
    .values(proof=bindparam("made"), salt=sa.null(), reason=sa.null(), record=sa.null())
)
_NO_EVIDENCE = Prepared(sa.delete(evidence).where(evidence.c.statement_id.in_(any_of("keys"))))
_SPOKEN_OF = Prepared(sa.select(statement.c.point_id).where(statement.c.point_id.in_(any_of("points"))).distinct())


class Ledger:
    def __init__(self, connection: Connection, chain: Chain | None, clock: Clock) -> None:
        """``chain`` is None where nothing lasts, as in a rehearsal: nothing is sealed then."""
        self._connection = connection
        self._chain = chain
        self._clock = clock

    def append(self, said: Iterable[tuple[int, Statement]], *, run: str | None) -> int:
        """Adds statements to points and seals them; one that is there already stays as it is, evidence included.
        Returns how many were new. About forgotten people only what counts without a grant is added, and nothing that
        tells of them. A no that comes after our clock was set back counts from the newest yes that it came after."""
        news: dict[tuple[int, str], Statement] = {}
        for key, s in self._permitted(list(said)):
            news.setdefault((key, s.uid), _storable(s))
        self._count_later(news, self._leave_out_known(news))
        if not news:
            return 0
        chain = self._chain
        if chain is None:
            return len(self._insert(news, run, None, {}))
        return chain.add(lambda number: self._insert_sealed(news, run, number, chain))

    def _insert_sealed(
        self, news: dict[tuple[int, str], Statement], run: str | None, number: int, chain: Chain
    ) -> list[bytes]:
        """Under the lock of the chain's head: else two writers could seal one point differently, or say the same."""
        if self._connection.dialect.name != "sqlite":
            # Whoever held the lock before may have said some of it, or forgotten somebody.
            news = {(key, s.uid): s for key, s in self._permitted([(key, s) for (key, _), s in news.items()])}
            self._leave_out_known(news)
        return self._insert(news, run, number, chain.bonds_of({key for key, _ in news}))

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

    def forget(self, point: int, last: Statement) -> None:
        """Erases from the statements about a point what tells of the person, and says the last thing about them. What
        counts stays, and so does the chain: of every statement the whole proof is kept. The ``last`` one has a salt
        of its own, since the point's goes with its address."""
        news = {(point, last.uid): last}
        chain = self._chain
        if chain is None:
            self._blank(point)
            self._insert(news, None, None, {})
            return

        def fill(number: int) -> Sequence[bytes]:
            # Under the lock of the head: what others say about the point is sealed before, or after it has no salt.
            self._blank(point)
            self._leave_out_known(news)
            bond = chain.bonds_of({point})[point]
            return self._insert(news, None, number, {point: bond._replace(salt=None)})

        chain.add(fill)

    def _blank(self, point: int) -> None:
        rows = [raw(row) for row in _PROVEN.dicts(self._connection, point=point)]
        _BLANK.run_each(self._connection, [{"key": row["id"], "made": proof_of(row) or row["proof"]} for row in rows])
        for part in chunks([row["id"] for row in rows]):
            _NO_EVIDENCE.run(self._connection, keys=part)

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

    def _leave_out_known(self, news: dict[tuple[int, str], Statement]) -> dict[int, datetime]:
        """Answers when the newest yes about a point was noted, where that lies ahead: our clock was set back since."""
        now = self._clock.now()
        ahead: dict[int, datetime] = {}
        for part in chunks(sorted({key for key, _ in news})):
            for point, uid, kind, seen_at in _KNOWN.all(self._connection, points=part):
                news.pop((point, uid), None)
                if kind == StatementKind.GRANT and seen_at > now:
                    ahead[point] = max(seen_at, ahead.get(point, seen_at))
        return ahead

    def _count_later(self, news: dict[tuple[int, str], Statement], ahead: Mapping[int, datetime]) -> None:
        late = [key for key in news if key[0] in ahead]
        for point, uid in late:
            said = counted_from(news.pop((point, uid)), ahead[point])
            news[point, said.uid] = said
        if late:
            self._leave_out_known(news)

    def _insert(
        self, news: Mapping[tuple[int, str], Statement], run: str | None, number: int | None, bonds: Mapping[int, Bond]
    ) -> list[bytes]:
        """Writes them, with their evidence, and returns their leaves by id; unsealed ones have empty leaves."""
        leaves: list[bytes] = []
        told = {at: encode_evidence(said.evidence) for at, said in news.items() if said.evidence}
        texts = {getattr(s, name) for s in news.values() for name in _WORDS}
        words = numbered(self._connection, {run, *texts, *(shape for shape, _ in told.values())})
        for part in chunks(news.items(), 1000):
            rows, proofs = [], []
            for row_id, (at, said) in zip(take_ids(self._connection, statement, len(part)), part, strict=True):
                row = sealed_form(row_id, at[0], said, run)
                leaf = b""
                if number is not None:
                    bond = bonds[at[0]]
                    salt, own = salt_for(bond)
                    text = dumps(dict(said.evidence)) if said.evidence else None
                    made, leaf = seal.proof_and_leaf(row_id, salt, bond.seal, row, text)
                    row.update(salt=own, proof=seal.mark(made), block=number)
                # The seal has a truth of numbers, the databases have each its own.
                row["is_personal"] = said.is_personal
                row.update({name: words[row[name]] for name in (*_WORDS, "run")})
                rows.append(row)
                leaves.append(leaf)
                if at in told:
                    shape, data = told[at]
                    proofs.append({"statement_id": row_id, "shape": words[shape], "data": data})
            insert_plainly(self._connection, statement, rows)
            insert_plainly(self._connection, evidence, proofs)
        return leaves

    def about(self, points: Collection[int]) -> dict[int, tuple[Statement, ...]]:
        """All statements about these points, oldest first."""
        found: dict[int, list[Statement]] = {key: [] for key in points}
        for part in chunks(sorted(points)):
            for point, *told in _ABOUT.all(self._connection, points=part):
                found[point].append(_statement(*told))
        return {key: tuple(said) for key, said in found.items()}

    def with_statements(self, points: Collection[int]) -> set[int]:
        """Those of the points about which anything was said."""
        found: set[int] = set()
        for part in chunks(sorted(points)):
            found.update(_SPOKEN_OF.scalars(self._connection, points=part))
        return found

    def points_with(self, uids: Collection[str], speakers: Collection[tuple[str, str]]) -> set[int]:
        """The points about which a record said one of these statements, or about which one of these records (system and
        id) said anything, whoever has them now. (What no record said may be the same word about somebody else, as are
        rows of one import.) Reads the whole ledger."""
        columns = (statement.c.point_id, statement.c.uid, statement.c.system, statement.c.record)
        rows = self._connection.execute(sa.select(*columns).execution_options(yield_per=1000)) if uids else ()
        return {p for p, uid, system, record in rows if (system and uid in uids) or (system, record) in speakers}

    def points_of_import(self, uid: str) -> list[int]:
        """The points about which an import said something."""
        query = (
            sa.select(statement.c.point_id, *EVIDENCE)
            .join(evidence, evidence.c.statement_id == statement.c.id)
            .where(statement.c.source.in_((Source.IMPORT, Source.LEGACY)))
            .execution_options(yield_per=1000)
        )
        rows = self._connection.execute(query)
        return sorted({point for point, shape, data in rows if decode_evidence(shape, data).get("import") == uid})

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


def sealed_form(row_id: int, key: int, said: Statement, run: str | None) -> dict[str, Any]:
    """A statement in the form that is sealed: times as microseconds, truth as 0 and 1."""
    return {
        "id": row_id,
        "point_id": key,
        "uid": said.uid,
        "scope": said.scope,
        "kind": str(said.kind),
        "at": microseconds(said.at),
        "clock": said.clock,
        "seen_at": microseconds(said.seen_at),
        "source": str(said.source),
        "strength": int(said.strength),
        "is_personal": int(said.is_personal),
        "reason": said.reason,
        "system": said.system,
        "record": said.record,
        "target": said.target,
        "run": run,
    }


def _storable(said: Statement) -> Statement:
    """As it can be kept and sealed: a reason may be in anybody's words."""
    return said if said.reason is None else replace(said, reason=storable(said.reason))


def read_statement(row: Mapping[str, Any] | RowMapping) -> Statement:
    """From the columns of the statement and those of its evidence."""
    return _statement(*(row[name] for name in (*PARTS, "evidence_shape", "data")))


def _statement(  # noqa: PLR0913, PLR0917 - the columns of PARTS and the evidence, as they come
    uid: str,
    scope: str,
    kind: str,
    at: datetime,
    clock: str | None,
    seen_at: datetime,
    source: str,
    strength: int,
    is_personal: bool,
    reason: str | None,
    system: str | None,
    record: str | None,
    target: str | None,
    shape: str | None,
    data: bytes | None,
) -> Statement:
    return Statement(
        uid=uid,
        scope=scope,
        kind=_KINDS.get(kind) or StatementKind(kind),
        at=at,
        clock=clock,
        seen_at=seen_at,
        source=_SOURCES.get(source) or Source(source),
        strength=_STRENGTHS[strength],
        is_personal=is_personal,
        reason=reason,
        system=system,
        record=record,
        target=target,
        evidence=decode_evidence(shape, data),
    )
