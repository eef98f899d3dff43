"""The ledger's chain: every statement belongs to a block, every block names the hash of the one before it.

What one append adds is sealed in the same transaction, so that nothing is ever unsealed, and in whatever order the
transactions of several processes end. They seal one after the other: each locks the head first.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection, RowMapping

from optsync.clock import Clock
from optsync.state import seal
from optsync.state.codec import evidence_text
from optsync.state.columns import HexText, Word, microseconds, to_text
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, insert_new, upsert
from optsync.state.schema import block, contact_point, evidence, meta, statement

Keys = Callable[[], Sequence[bytes]]
"""The secret keys; the first signs, all verify."""
HEAD = "ledger"
_OLD_STATEMENTS = 1000
"""How many statements from before the chain a block takes."""

RAW = tuple(
    column if isinstance(column.type, Word) else sa.type_coerce(column, sa.types.NullType()).label(column.name)
    for column in statement.c
)
"""The columns of a statement as the database holds them, whatever somebody wrote there, but for words, whose number
says nothing; :func:`raw` gives the form that was sealed."""
EVIDENCE = (evidence.c.shape.label("evidence_shape"), evidence.c.data)
"""Beside them; :func:`optsync.state.codec.evidence_text` gives the text that was sealed."""
BONDS = tuple(
    sa.type_coerce(column, sa.types.NullType()).label(name)
    for name, column in (("point_salt", contact_point.c.salt), ("seal", contact_point.c.seal))
)
"""And what binds it to its point: all of them together are what :func:`proof_of` needs."""
_DIGESTS = tuple(column.name for column in statement.c if isinstance(column.type, HexText))

_HEAD = sa.select(meta.c.value).where(meta.c.key == HEAD)
NOTED = Prepared(_HEAD)
"""The head as it was noted; :func:`parse_head` reads it."""
_LOCKED = Prepared(_HEAD.with_for_update())
_DROP = Prepared(sa.delete(block).where(block.c.id == bindparam("number")))
_CLOSE = Prepared(
    sa.update(block)
    .where(block.c.id == bindparam("number"))
    .values(count=bindparam("leaves"), hash=bindparam("digest"), mac=bindparam("signature"))
)
_SEALS = Prepared(
    sa.select(
        contact_point.c.id, contact_point.c.seal, contact_point.c.salt, contact_point.c.email, contact_point.c.hash
    ).where(contact_point.c.id.in_(any_of("points")))
)
_SEAL = Prepared(
    sa.update(contact_point)
    .where(contact_point.c.id == bindparam("of"))
    .values(seal=bindparam("seal"), salt=bindparam("salt"))
)
_NEWEST = Prepared(sa.select(block.c.id, block.c.hash).order_by(block.c.id.desc()).limit(1))
_TOTAL = Prepared(sa.select(sa.func.sum(block.c.count)))
_OLD = Prepared(
    sa.select(*RAW, *EVIDENCE)
    .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
    .where(statement.c.block.is_(None), statement.c.id > bindparam("after"))
    .order_by(statement.c.id)
    .limit(_OLD_STATEMENTS)
)
_ANYTHING_OLD = Prepared(sa.select(statement.c.id).where(statement.c.block.is_(None)).limit(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest block, its hash, and how many statements there are up to it."""

    block: int
    hash: bytes
    statements: int

    def to_json(self) -> dict[str, Any]:
        """As each run's summary keeps it."""
        return {"block": self.block, "hash": self.hash.hex(), "statements": self.statements}


def parse_head(text: str | None) -> Head | None:
    """What :class:`Chain` noted; None for nothing, or for what it never wrote."""
    parts = (text or "").split()
    try:
        number, digest, total = int(parts[0]), bytes.fromhex(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        return None
    return Head(block=number, hash=digest, statements=total)


class Bond(NamedTuple):
    """What binds statements to their contact point: its seal, and the salt of its address, with which their proofs are
    made, too. None once the address is forgotten."""

    seal: bytes
    salt: bytes | None


class Chain:
    """Seals what is added. ``keys``: None where nobody signs."""

    def __init__(self, connection: Connection, clock: Clock, keys: Keys | None) -> None:
        self._connection = connection
        self._clock = clock
        self._keys = keys

    def head(self) -> Head | None:
        """None: nothing was sealed yet."""
        return parse_head(NOTED.scalar(self._connection))

    def add(self, fill: Callable[[int], Sequence[bytes]]) -> int:
        """Adds a block. ``fill`` is given its number, writes its statements and returns their leaves in the order of
        their ids; without any there is no block. Returns how many there were."""
        before = self._locked()
        if before is None:
            before = self._seal_the_old()
        return self._add(before, fill)[1]

    def catch_up(self) -> None:
        """Seals statements from before there was a chain."""
        if self.head() is None and self._is_anything_old() and self._locked() is None:
            self._seal_the_old()

    # the head

    def _locked(self) -> Head | None:
        """The head, which nobody else can move until this transaction ends."""
        value = _LOCKED.scalar(self._connection)
        if value is None:
            insert_new(self._connection, meta, [{"key": HEAD, "value": ""}])
            value = _LOCKED.scalar(self._connection)
        return parse_head(value)

    def _newest(self) -> Head:
        """What the blocks themselves say; for when nobody noted the head."""
        total = _TOTAL.scalar(self._connection) or 0
        for number, digest in _NEWEST.all(self._connection):
            return Head(block=number, hash=digest, statements=total)
        return Head(block=0, hash=seal.START, statements=0)

    def _add(self, before: Head, fill: Callable[[int], Sequence[bytes]]) -> tuple[Head, int]:
        number, at = before.block + 1, self._clock.now()
        row = {"id": number, "at": at, "count": 0, "previous": before.hash, "hash": b""}
        while not insert_new(self._connection, block, [row]):
            # Somebody moved the noted head back; no opt-out is refused for that, and the check tells.
            number += 1
            row["id"] = number
        leaves = fill(number)
        if not leaves:
            _DROP.run(self._connection, number=number)
            return before, 0
        digest = seal.block_hash(before.hash, number, microseconds(at), leaves)
        _CLOSE.run(
            self._connection, number=number, leaves=len(leaves), digest=digest, signature=self._signature(digest)
        )
        head = Head(block=number, hash=digest, statements=before.statements + len(leaves))
        upsert(
            self._connection,
            meta,
            [{"key": HEAD, "value": f"{head.block} {head.hash.hex()} {head.statements}"}],
            key=("key",),
        )
        return head, len(leaves)

    def _signature(self, digest: bytes) -> bytes | None:
        keys = self._keys() if self._keys else ()
        return seal.sign(keys[0], digest) if keys else None

    # points

    def bonds_of(self, points: Collection[int]) -> dict[int, Bond]:
        """What binds these points to their addresses; made where nothing was said about a point before.
        Under the lock of the head only."""
        found: dict[int, Bond] = {}
        for part in chunks(sorted(points)):
            rows = _SEALS.all(self._connection, points=part)
            nameless = [(key, email, keyed) for key, known, _, email, keyed in rows if known is None]
            made = [_seal_row(*each, salt) for each, salt in zip(nameless, new_salts(len(nameless)), strict=True)]
            _SEAL.run_each(self._connection, made)
            found.update((key, Bond(known, salt)) for key, known, salt, _, _ in rows if known is not None)
            found.update((row["of"], Bond(row["seal"], row["salt"])) for row in made)
        return found

    # statements from before the chain

    def _is_anything_old(self) -> bool:
        return bool(_ANYTHING_OLD.all(self._connection))

    def _seal_the_old(self) -> Head:
        head = self._newest()
        for rows in self._old():
            bonds = self.bonds_of({row["point_id"] for row in rows})
            head, _ = self._add(head, partial(self._seal_rows, rows, bonds))
        return head

    def _old(self) -> Iterator[Sequence[dict[str, Any]]]:
        last = 0
        while True:
            rows = [raw(row) for row in _OLD.dicts(self._connection, after=last)]
            if not rows:
                return
            last = rows[-1]["id"]
            yield rows

    def _seal_rows(self, rows: Sequence[dict[str, Any]], bonds: Mapping[int, Bond], number: int) -> list[bytes]:
        sealed, leaves = [], []
        for row in rows:
            bond = bonds[row["point_id"]]
            salt, own = salt_for(bond)
            made = seal.proof(salt, bond.seal, row, evidence_text(row["evidence_shape"], row["data"]))
            sealed.append({"of": row["id"], "salt": own, "proof": seal.mark(made), "block": number})
            leaves.append(seal.leaf(row["id"], bond.seal, made, row))
        self._connection.execute(sa.update(statement).where(statement.c.id == sa.bindparam("of")), sealed)
        return leaves


def salt_for(bond: Bond) -> tuple[bytes, bytes | None]:
    """For a statement about to be sealed: the point's, or one of its own where the point has none any more."""
    if bond.salt is not None:
        return bond.salt, None
    (own,) = new_salts(1)
    return own, own


def new_salts(count: int) -> list[bytes]:
    """From the system's randomness and not the run's: nobody must be able to compute an erased one again."""
    pool = os.urandom(count * seal.SALT)
    return [pool[n : n + seal.SALT] for n in range(0, len(pool), seal.SALT)]


def _seal_row(key: int, email: str | None, keyed: bytes | None, salt: bytes) -> dict[str, Any]:
    """Of a point that was forgotten before anything was said, the salt is not kept, as for any forgotten one."""
    made = seal.address_seal(salt, email or (keyed or b"").hex())
    return {"of": key, "seal": made, "salt": salt if email is not None else None}


def proof_of(row: Mapping[str, Any]) -> bytes | None:
    """The whole proof of a statement in the form that :func:`raw` gives, made again; None where what it needs is
    erased."""
    salt = row["point_salt"] if row["salt"] is None else row["salt"]
    if salt is None or row["seal"] is None:
        return None
    return seal.proof(as_bytes(salt), as_bytes(row["seal"]), row, _text_of(row["evidence_shape"], row["data"]))


def _text_of(shape: str | None, data: Any) -> str | None:
    try:
        return evidence_text(shape, None if data is None else as_bytes(data))
    except ValueError:
        return f"cannot be read: {data!r}"


def as_bytes(value: object) -> bytes:
    """Whatever somebody put there."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def raw(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    """A row of ``RAW`` in the form that is sealed: PostgreSQL has a truth of its own, and both keep texts as bytes."""
    values = dict(row)
    for name in _DIGESTS:
        if isinstance(values[name], bytes):
            values[name] = to_text(values[name])
    if values["is_personal"] is True or values["is_personal"] is False:
        values["is_personal"] = int(values["is_personal"])
    return values
