"""Reading the whole ledger, or the whole list of people, in order and in bounded memory."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from optsync.model.scope import EVERYTHING, path
from optsync.model.statement import Statement, StatementKind
from optsync.state.chain import EVIDENCE, proof_of
from optsync.state.columns import Key, word
from optsync.state.ledger import read_statement, sealed_form
from optsync.state.schema import block, contact_point, evidence, statement

_PAGE = 1000
_IS_SOMEBODY = sa.or_(contact_point.c.email.is_not(None), contact_point.c.hash.is_not(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to read; nothing given is everything. ``scope``: what was said about it, within it, or about what contains
    it. ``since`` and ``until`` (not included) are times of recording."""

    kinds: Collection[StatementKind] = ()
    scope: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A statement with its place in the ledger. ``email`` is None for a forgotten person, whose ``keyed_hash`` is
    kept. ``proof``, ``block`` and ``block_hash`` are None for what was not sealed yet."""

    id: int
    point: int
    email: str | None
    keyed_hash: bytes | None
    said: Statement
    run: str | None
    is_void: bool
    proof: bytes | None
    block: int | None
    block_hash: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A contact point."""

    key: int
    email: str | None
    keyed_hash: bytes | None


class Events:
    """Valid inside the transaction of the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count(self, selection: Selection) -> int:
        query = sa.select(sa.func.count()).select_from(statement).where(*_conditions(selection))
        return int(self._connection.execute(query).scalar_one())

    def read(self, selection: Selection) -> Iterator[Event]:
        """In the order in which they were recorded."""
        retraction = statement.alias()
        is_void = (
            sa.select(retraction.c.id)
            .where(
                retraction.c.point_id == statement.c.point_id,
                retraction.c.kind == StatementKind.RETRACT,
                retraction.c.target == statement.c.uid,
            )
            .exists()
        )
        query = (
            sa.select(
                statement,
                *EVIDENCE,
                contact_point.c.salt.label("point_salt"),
                contact_point.c.seal,
                contact_point.c.email,
                contact_point.c.hash.label("keyed_hash"),
                block.c.hash.label("block_hash"),
                sa.and_(is_void, sa.not_(statement.c.is_personal)).label("is_void"),
            )
            .join(contact_point, contact_point.c.id == statement.c.point_id)
            .outerjoin(evidence, evidence.c.statement_id == statement.c.id)
            .outerjoin(block, block.c.id == statement.c.block)
            .where(*_conditions(selection))
            .order_by(statement.c.id)
            .limit(_PAGE)
        )
        last = 0
        while rows := self._connection.execute(query.where(statement.c.id > last)).mappings().all():
            last = rows[-1]["id"]
            yield from (_event(row) for row in rows)

    def count_people(self) -> int:
        query = sa.select(sa.func.count()).select_from(contact_point).where(_IS_SOMEBODY)
        return int(self._connection.execute(query).scalar_one())

    def people(self) -> Iterator[list[Somebody]]:
        """All contact points in parts, those about whom nothing was said included. Whoever was forgotten and came back
        is one of them, and not two."""
        last = 0
        columns = (contact_point.c.id, contact_point.c.email, contact_point.c.hash)
        query = sa.select(*columns).where(_IS_SOMEBODY).order_by(contact_point.c.id).limit(_PAGE)
        while rows := self._connection.execute(query.where(contact_point.c.id > last)).all():
            last = rows[-1][0]
            yield [Somebody(key=key, email=email, keyed_hash=keyed) for key, email, keyed in rows]


def _event(row: RowMapping) -> Event:
    said = read_statement(row)
    sealed = {**row, **sealed_form(row["id"], row["point_id"], said, row["run"])}
    return Event(
        id=row["id"],
        point=row["point_id"],
        email=row["email"],
        keyed_hash=row["keyed_hash"],
        said=said,
        run=row["run"],
        is_void=row["is_void"],
        proof=row["proof"] and (proof_of(sealed) or row["proof"]),
        block=row["block"],
        block_hash=row["block_hash"],
    )


def _conditions(selection: Selection) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if selection.kinds:
        conditions.append(statement.c.kind.in_(sorted(selection.kinds)))
    if selection.scope is not None and selection.scope != EVERYTHING:
        within = word.c.text.startswith(selection.scope + "/", autoescape=True)
        scopes = sa.select(word.c.id).where(sa.or_(word.c.text.in_(path(selection.scope)), within))
        conditions.append(sa.type_coerce(statement.c.scope, Key).in_(scopes))
    if selection.since is not None:
        conditions.append(statement.c.seen_at >= selection.since)
    if selection.until is not None:
        conditions.append(statement.c.seen_at < selection.until)
    return conditions
