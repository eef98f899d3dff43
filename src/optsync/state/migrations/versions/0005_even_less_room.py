"""Still less room: changes and evidence as values apart from their names, proofs by their first bytes. And a place for
questions about hidden opt-outs.

Revision ID: 0005
Revises: 0004

What was sealed stays as it was sealed: the salt of every statement, and the text that its evidence gives. Proofs that
can be made again are cut; the way down makes them again.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from optsync.state.migrations.rows_0004 import digest_of
from optsync.state.migrations.rows_0005 import (
    Row,
    change_back,
    change_forth,
    evidence_back,
    evidence_forth,
    evidence_text,
    whole_proof,
)

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CHUNK = 2000
_IS_OPEN = sa.text("state IN ('planned','ready','sending','held')")
_STATES = "state IN ('planned','ready','sending','applied','same','refused','failed','held','superseded')"


def upgrade() -> None:
    words = _Words(op.get_bind())
    _remake(_change(is_new=True), "id", lambda rows: _changes_forth(rows, words.number))
    _remake(_evidence(is_new=True), "statement_id", lambda rows: [evidence_forth(row, words.number) for row in rows])
    words.finish()
    op.drop_index(op.f("ix_statement_block"), table_name="statement")
    op.execute("UPDATE statement SET proof = substr(proof, 1, 4) WHERE salt IS NOT NULL")
    op.create_table(
        "unasked",
        _column("source_id", _KEY),
        _column("record_id", _KEY),
        _column("since", sa.BigInteger(), null=True),
        _column("noted_at", sa.BigInteger()),
        _refers("unasked", "source_id", "source"),
        _refers("unasked", "record_id", "system_record"),
        sa.PrimaryKeyConstraint("source_id", "record_id", name="pk_unasked"),
        sqlite_with_rowid=False,
    )
    op.add_column("source", _column("ticket", sa.Text(), null=True))
    op.add_column("source", _column("asked_at", sa.BigInteger(), null=True))


def downgrade() -> None:
    bind = op.get_bind()
    op.drop_table("unasked")
    for name in ("asked_at", "ticket"):
        op.drop_column("source", name)
    texts = {row.id: row.text for row in bind.execute(sa.text("SELECT id, text FROM word"))}
    _make_proofs_whole(bind, texts)
    op.create_index(op.f("ix_statement_block"), "statement", ["block"])
    shapes = list(bind.execute(sa.text("SELECT shape FROM change UNION SELECT shape FROM evidence")).scalars())
    _remake(_change(is_new=False), "id", lambda rows: _changes_back(rows, texts))
    _remake(
        _evidence(is_new=False),
        "statement_id",
        lambda rows: [evidence_back(row, texts.get(row["shape"])) for row in rows],
    )
    _drop_words(bind, [shape for shape in shapes if shape is not None])


# tables


def _remake(table: sa.Table, key: str, convert: Callable[[list[Row]], list[Row]]) -> None:
    """Makes it anew, with its rows in the order of the key; nothing refers to it."""
    bind = op.get_bind()
    name, new, is_server = table.name, f"new_{table.name}", bind.dialect.name == "postgresql"
    for found in sa.inspect(bind).get_indexes(name):
        op.drop_index(str(found["name"]), table_name=name)
    if is_server:
        # Its index has a name that no two tables may have.
        op.execute(f"ALTER TABLE {name} RENAME CONSTRAINT pk_{name} TO old_pk_{name}")
    op.create_table(new, *_parts_of(table))
    source, target = (sa.Table(each, sa.MetaData(), autoload_with=bind, resolve_fks=False) for each in (name, new))
    rows = bind.execute(sa.select(source).order_by(source.c[key]).execution_options(yield_per=_CHUNK)).mappings()
    for part in rows.partitions():
        bind.execute(sa.insert(target), convert([dict(row) for row in part]))
    op.drop_table(name)
    op.rename_table(new, name)
    if is_server and key == "id":
        _number_on(name)
    for index, columns, where in _indexes() if name == "change" else ():
        op.create_index(op.f(index), name, columns, sqlite_where=where, postgresql_where=where)


def _parts_of(table: sa.Table) -> Iterator[Any]:
    """Free to belong to another table."""
    for column in table.columns:
        yield sa.Column(column.name, column.type, nullable=column.nullable)
    for constraint in table.constraints:
        name = op.f(str(constraint.name))
        if isinstance(constraint, sa.CheckConstraint):
            yield sa.CheckConstraint(constraint.sqltext, name=name)
        elif isinstance(constraint, sa.ForeignKeyConstraint):
            names = [column.name for column in constraint.columns]
            yield sa.ForeignKeyConstraint(names, [e.target_fullname for e in constraint.elements], name=name)
        elif isinstance(constraint, sa.PrimaryKeyConstraint):
            yield sa.PrimaryKeyConstraint(*(column.name for column in constraint.columns), name=name)


def _column(name: str, kind: Any, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null)


def _refers(of: str, name: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([name], [f"{to}.id"], name=f"fk_{of}_{name}_{to}")


def _change(*, is_new: bool) -> sa.Table:
    texts = [] if is_new else [_column(name, sa.Text()) for name in ("before", "after", "write")]
    values = [_column("shape", sa.BigInteger()), _column("data", sa.LargeBinary())] if is_new else []
    refers = {"run": "word", "record_id": "system_record", "point_id": "contact_point"}
    return sa.Table(
        "change",
        sa.MetaData(),
        _column("id", _KEY),
        _column("run", sa.BigInteger()),
        _column("plan", sa.String(40), null=True),
        _column("sync", sa.String(100)),
        _column("system", sa.String(100)),
        _column("collection", sa.String(200)),
        _column("record_id", _KEY, null=True),
        _column("point_id", _KEY),
        _column("kind", sa.String(20)),
        _column("priority", sa.Integer()),
        _column("rule", sa.String(40)),
        *texts,
        *values,
        _column("causes", sa.LargeBinary()),
        _column("state", sa.String(20)),
        _column("fingerprint", sa.LargeBinary()),
        _column("planned_at", sa.BigInteger()),
        _column("sent_at", sa.BigInteger(), null=True),
        _column("settled_at", sa.BigInteger(), null=True),
        _column("fact", sa.String(40), null=True),
        _column("message", sa.Text(), null=True),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
        sa.CheckConstraint(_STATES, name="ck_change_state"),
        *(_refers("change", name, to) for name, to in (refers | ({"shape": "word"} if is_new else {})).items()),
    )


def _evidence(*, is_new: bool) -> sa.Table:
    shape = [_column("shape", sa.BigInteger(), null=True), _refers("evidence", "shape", "word")] if is_new else []
    return sa.Table(
        "evidence",
        sa.MetaData(),
        _column("statement_id", _KEY),
        *shape,
        _column("data", sa.LargeBinary() if is_new else sa.Text()),
        sa.PrimaryKeyConstraint("statement_id", name="pk_evidence"),
        _refers("evidence", "statement_id", "statement"),
    )


def _indexes() -> Iterator[tuple[str, Sequence[str], Any]]:
    for name in ("run", "record_id", "point_id"):
        yield f"ix_change_{name}", [name], None
    yield "ix_change_plan", ["plan"], sa.text("plan IS NOT NULL")
    yield "ix_change_open", ["sync", "priority", "system", "collection", "kind", "id"], _IS_OPEN


def _number_on(name: str) -> None:
    """After the rows that brought their numbers."""
    newest = sa.func.max(sa.table(name, sa.column("id")).c.id)
    sequence = sa.func.pg_get_serial_sequence(name, "id")
    op.execute(sa.select(sa.func.setval(sequence, newest)).having(newest > 0))


# rows


_POINT = sa.table("contact_point", sa.column("id"), sa.column("email"))


def _emails(rows: list[Row]) -> dict[int, str | None]:
    points = sorted({row["point_id"] for row in rows})
    found: dict[int, str | None] = {}
    for at in range(0, len(points), 100):
        part = points[at : at + 100]
        known = sa.select(_POINT.c.id, _POINT.c.email).where(_POINT.c.id.in_(part))
        found.update((key, email) for key, email in op.get_bind().execute(known))
    return found


def _changes_forth(rows: list[Row], number: Callable[[str], int]) -> list[Row]:
    emails = _emails(rows)
    return [change_forth(row, emails.get(row["point_id"]), number) for row in rows]


def _changes_back(rows: list[Row], texts: dict[Any, str]) -> list[Row]:
    emails = _emails(rows)
    return [change_back(row, emails.get(row["point_id"]), texts[row["shape"]]) for row in rows]


def _make_proofs_whole(bind: sa.Connection, texts: dict[Any, str]) -> None:
    """With the salt that they were made with, which every statement has for itself in 0004."""
    said, points, proofs = (
        sa.Table(name, sa.MetaData(), autoload_with=bind, resolve_fks=False)
        for name in ("statement", "contact_point", "evidence")
    )
    salt = sa.func.coalesce(said.c.salt, points.c.salt)
    query = (
        sa.select(said, salt.label("used"), points.c.seal, proofs.c.shape.label("named"), proofs.c.data)
        .join(points, points.c.id == said.c.point_id)
        .outerjoin(proofs, proofs.c.statement_id == said.c.id)
        .where(said.c.proof.is_not(None), salt.is_not(None), said.c.id > sa.bindparam("after"))
        .order_by(said.c.id)
        .limit(_CHUNK)
    )
    change = sa.update(said).where(said.c.id == sa.bindparam("key"))
    change = change.values(salt=sa.bindparam("own"), proof=sa.bindparam("whole"))
    after = 0
    while rows := bind.execute(query, {"after": after}).mappings().all():
        after = rows[-1]["id"]
        made = []
        for row in rows:
            text = None if row["data"] is None else evidence_text(row["data"], texts.get(row["named"]))
            whole = whole_proof(dict(row), texts, text, row["used"], row["seal"])
            made.append({"key": row["id"], "own": row["used"], "whole": whole})
        bind.execute(change, made)


class _Words:
    """Numbers of texts; those that are none yet are made as they come."""

    def __init__(self, bind: sa.Connection) -> None:
        self._bind = bind
        self._table = sa.Table("word", sa.MetaData(), autoload_with=bind)
        known = bind.execute(sa.text("SELECT id, text FROM word"))
        self._numbers: dict[str, int] = {row.text: row.id for row in known}
        self._last = max(self._numbers.values(), default=0)

    def number(self, text: str) -> int:
        if text not in self._numbers:
            self._last += 1
            self._numbers[text] = self._last
            row = {"id": self._last, "digest": digest_of(text), "text": text}
            self._bind.execute(sa.insert(self._table).values(row))
        return self._numbers[text]

    def finish(self) -> None:
        if self._bind.dialect.name == "postgresql":
            _number_on("word")


_NAMING = {
    "statement": ("scope", "clock", "system", "run"),
    "standing": ("scope",),
    "link": ("shape",),
    "system_record": ("shape",),
    "change": ("run",),
}
"""Who names words in 0004."""


def _drop_words(bind: sa.Connection, numbers: list[int]) -> None:
    """Those of the words that nobody names any more."""
    still = " UNION ".join(
        f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - our own names
        for table, columns in _NAMING.items()
        for column in columns
    )
    kept = set(bind.execute(sa.text(still)).scalars())
    if gone := [{"key": key} for key in numbers if key not in kept]:
        bind.execute(sa.text("DELETE FROM word WHERE id = :key"), gone)
