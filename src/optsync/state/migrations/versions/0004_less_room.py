"""The same in less room: texts that many rows repeat as words, digests as bytes, names apart from values.

Revision ID: 0004
Revises: 0003

A table is made anew, its rows are converted, and it takes the place of the old one. The ledger says what it said: its
texts are the same, and so are its proofs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from optsync.state.migrations.rows_0004 import DIGEST, WORDS, Row, back, digest_of, forth

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CHUNK = 2000
_IS_OPEN = sa.text("state IN ('planned','ready','sending','held')")
_STATES = "state IN ('planned','ready','sending','applied','same','refused','failed','held','superseded')"
_INBOUND = {"system_record": ("handled", "record_id"), "statement": ("evidence", "statement_id")}
"""Who refers to a table that is made anew, and is not."""


def upgrade() -> None:
    op.create_table(
        "word",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("digest", sa.LargeBinary(DIGEST), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_word")),
        sa.UniqueConstraint("digest", name=op.f("uq_word_digest")),
    )
    words = _Words(op.get_bind())
    _rebuild(is_new=True, convert=lambda table, row: forth(table, row, words.number))
    words.finish()
    _name_blocks_anew()
    with op.batch_alter_table("contact_point") as batch:
        batch.drop_constraint(op.f("uq_contact_point_hash"), type_="unique")
    where = sa.text("hash IS NOT NULL")
    op.create_index(
        op.f("uq_contact_point_hash"),
        "contact_point",
        ["hash"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    texts = {row.id: row.text for row in op.get_bind().execute(sa.text("SELECT id, text FROM word"))}
    _rebuild(is_new=False, convert=lambda table, row: back(table, row, texts))
    op.drop_table("word")
    op.drop_index(op.f("uq_contact_point_hash"), table_name="contact_point")
    with op.batch_alter_table("contact_point") as batch:
        batch.create_unique_constraint(op.f("uq_contact_point_hash"), ["hash"])


# tables


def _rebuild(*, is_new: bool, convert: Callable[[str, Row], Row]) -> None:
    bind = op.get_bind()
    is_server = bind.dialect.name == "postgresql"
    for table in _tables(is_new=is_new):
        name, new = table.name, f"new_{table.name}"
        for found in sa.inspect(bind).get_indexes(name):
            if not found.get("duplicates_constraint"):
                op.drop_index(str(found["name"]), table_name=name)
        if is_server:
            # Their indexes have names that no two tables may have.
            for constraint in table.constraints:
                if isinstance(constraint, sa.PrimaryKeyConstraint | sa.UniqueConstraint):
                    op.execute(f"ALTER TABLE {name} RENAME CONSTRAINT {constraint.name} TO old_{constraint.name}")
        op.create_table(new, *_parts_of(table), **table.dialect_kwargs)
        _copy(bind, name, new, convert)
        op.execute(f"DROP TABLE {name}{' CASCADE' if is_server else ''}")
        op.rename_table(new, name)
        if is_server and "id" in table.c:
            _number_on(name)
        if is_server and name in _INBOUND:
            other, column = _INBOUND[name]
            op.create_foreign_key(op.f(f"fk_{other}_{column}_{name}"), other, name, [column], ["id"])
    for name, index, columns, where in _indexes(is_new=is_new):
        op.create_index(op.f(index), name, columns, sqlite_where=where, postgresql_where=where)


def _number_on(name: str) -> None:
    """After the rows that brought their numbers."""
    newest = sa.func.max(sa.table(name, sa.column("id")).c.id)
    sequence = sa.func.pg_get_serial_sequence(name, "id")
    op.execute(sa.select(sa.func.setval(sequence, newest)).having(newest > 0))


def _parts_of(table: sa.Table) -> Iterator[Any]:
    """Free to belong to another table."""
    for column in table.columns:
        yield sa.Column(column.name, column.type, nullable=column.nullable, server_default=column.server_default)
    for constraint in table.constraints:
        name = op.f(str(constraint.name))
        if isinstance(constraint, sa.CheckConstraint):
            yield sa.CheckConstraint(constraint.sqltext, name=name)
        elif isinstance(constraint, sa.schema.ColumnCollectionConstraint):
            names = [column.name for column in constraint.columns]
            if isinstance(constraint, sa.ForeignKeyConstraint):
                yield sa.ForeignKeyConstraint(names, [e.target_fullname for e in constraint.elements], name=name)
            else:
                yield type(constraint)(*names, name=name)


def _copy(bind: sa.Connection, name: str, new: str, convert: Callable[[str, Row], Row]) -> None:
    source, target = (sa.Table(each, sa.MetaData(), autoload_with=bind, resolve_fks=False) for each in (name, new))
    rows = bind.execute(sa.select(source).execution_options(yield_per=_CHUNK)).mappings()
    for part in rows.partitions():
        bind.execute(sa.insert(target), [convert(name, dict(row)) for row in part])


def _tables(*, is_new: bool) -> Sequence[sa.Table]:
    """In the order of their references."""
    metadata = sa.MetaData()
    lean: Row = {"sqlite_with_rowid": False} if is_new else {}

    def table(name: str, *parts: Any, **options: Any) -> sa.Table:
        return sa.Table(name, metadata, *parts, **options)

    def column(name: str, kind: Any, *, null: bool = False, **options: Any) -> sa.Column[Any]:
        return sa.Column(name, kind, nullable=null, **options)

    def key(of: str, *names: str) -> sa.PrimaryKeyConstraint:
        return sa.PrimaryKeyConstraint(*names, name=f"pk_{of}")

    def refers(of: str, name: str, to: str) -> sa.ForeignKeyConstraint:
        return sa.ForeignKeyConstraint([name], [f"{to}.id"], name=f"fk_{of}_{name}_{to}")

    def words(of: str, *names: str) -> list[sa.ForeignKeyConstraint]:
        return [refers(of, name, "word") for name in names] if is_new else []

    def word(length: int) -> Any:
        return sa.BigInteger() if is_new else sa.String(length)

    def digest(length: int | None) -> Any:
        return sa.LargeBinary() if is_new else sa.String(length) if length else sa.Text()

    shape = [column("shape", sa.BigInteger())] if is_new else []
    return (
        table(
            "system_record",
            column("id", _KEY),
            column("source_id", _KEY),
            column("rid", digest(320)),
            *shape,
            column("data", sa.LargeBinary()),
            column("fp", sa.LargeBinary(16)),
            column("first_seen_at", sa.BigInteger()),
            column("read_at", sa.BigInteger()),
            column("missing_since", sa.BigInteger(), null=True),
            column("is_gone", sa.Boolean()),
            column("unsure", sa.Text(), null=True),
            column("skipped", sa.String(40), null=True),
            key("system_record", "id"),
            sa.UniqueConstraint("source_id", "rid", name="uq_system_record_source_id"),
            refers("system_record", "source_id", "source"),
            *words("system_record", "shape"),
        ),
        table(
            "statement",
            column("id", _KEY),
            column("point_id", _KEY),
            column("uid", digest(32)),
            column("scope", word(300)),
            column("kind", sa.String(20)),
            column("at", sa.BigInteger()),
            column("clock", word(100), null=True),
            column("seen_at", sa.BigInteger()),
            column("source", sa.String(30)),
            column("strength", sa.Integer()),
            column("is_personal", sa.Boolean()),
            column("reason", sa.Text(), null=True),
            column("system", word(100), null=True),
            column("record", digest(320), null=True),
            column("target", digest(32), null=True),
            column("run", word(40), null=True),
            column("salt", sa.LargeBinary(16), null=True),
            column("proof", sa.LargeBinary(32), null=True),
            column("block", _KEY, null=True),
            key("statement", "id"),
            sa.UniqueConstraint("point_id", "uid", name="uq_statement_point_id"),
            refers("statement", "point_id", "contact_point"),
            refers("statement", "block", "block"),
            *words("statement", *WORDS["statement"]),
        ),
        table(
            "standing",
            column("point_id", _KEY),
            column("scope", word(300)),
            column("wish", sa.String(10)),
            column("since", sa.BigInteger(), null=True),
            key("standing", "point_id", "scope"),
            refers("standing", "point_id", "contact_point"),
            *words("standing", "scope"),
            **lean,
        ),
        table(
            "link",
            column("sync", sa.String(100)),
            column("crm_record", _KEY),
            column("esp_record", _KEY),
            *([column("shape", sa.BigInteger())] if is_new else []),
            column("agreed", sa.LargeBinary() if is_new else sa.Text()),
            column("frozen", sa.Text(), null=True),
            key("link", "sync", "crm_record", "esp_record"),
            refers("link", "crm_record", "system_record"),
            refers("link", "esp_record", "system_record"),
            *words("link", "shape"),
            **lean,
        ),
        table(
            "change",
            column("id", _KEY),
            column("run", word(40)),
            column("plan", sa.String(40), null=True),
            column("sync", sa.String(100)),
            column("system", sa.String(100)),
            column("collection", sa.String(200)),
            column("record_id", _KEY, null=True),
            column("point_id", _KEY),
            column("kind", sa.String(20)),
            column("priority", sa.Integer()),
            column("rule", sa.String(40)),
            column("before", sa.Text()),
            column("after", sa.Text()),
            column("causes", digest(None)),
            column("write", sa.Text()),
            column("state", sa.String(20)),
            column("fingerprint", digest(None)),
            column("planned_at", sa.BigInteger()),
            column("sent_at", sa.BigInteger(), null=True),
            column("settled_at", sa.BigInteger(), null=True),
            column("fact", sa.String(40), null=True),
            column("message", sa.Text(), null=True),
            key("change", "id"),
            sa.CheckConstraint(_STATES, name="ck_change_state"),
            refers("change", "record_id", "system_record"),
            refers("change", "point_id", "contact_point"),
            *words("change", "run"),
        ),
        table(
            "record_point",
            column("record_id", _KEY),
            column("position", sa.Integer()),
            column("point_id", _KEY),
            key("record_point", "record_id", "position"),
            refers("record_point", "record_id", "system_record"),
            refers("record_point", "point_id", "contact_point"),
            **lean,
        ),
        table(
            "scan",
            column("source_id", _KEY),
            column("record_id", _KEY),
            column("is_news", sa.Boolean()),
            key("scan", "source_id", "record_id"),
            refers("scan", "source_id", "source"),
            refers("scan", "record_id", "system_record"),
            **lean,
        ),
        table(
            "backlog",
            column("sync", sa.String(100)),
            column("point_id", _KEY),
            column("marks", sa.Integer(), server_default="1"),
            key("backlog", "sync", "point_id"),
            refers("backlog", "point_id", "contact_point"),
            **lean,
        ),
    )


def _indexes(*, is_new: bool) -> Iterator[tuple[str, str, list[str], Any]]:
    yield "system_record", "ix_system_record_unsure", ["source_id"], sa.text("unsure IS NOT NULL")
    yield "statement", "ix_statement_block", ["block"], None
    yield "link", "ix_link_esp_record", ["esp_record"], None
    yield "record_point", "ix_record_point_point_id", ["point_id"], None
    for name in ("run", "record_id", "point_id"):
        yield "change", f"ix_change_{name}", [name], None
    yield "change", "ix_change_plan", ["plan"], sa.text("plan IS NOT NULL") if is_new else None
    yield "change", "ix_change_open", ["sync", "priority", "system", "collection", "kind", "id"], _IS_OPEN


# rows


class _Words:
    """Numbers of texts, which are made as they come."""

    def __init__(self, bind: sa.Connection) -> None:
        self._bind = bind
        self._table = sa.Table("word", sa.MetaData(), autoload_with=bind)
        self._numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int | None:
        if text is None:
            return None
        if text not in self._numbers:
            self._numbers[text] = len(self._numbers) + 1
            row = {"id": self._numbers[text], "digest": digest_of(text), "text": text}
            self._bind.execute(sa.insert(self._table).values(row))
        return self._numbers[text]

    def finish(self) -> None:
        if self._bind.dialect.name == "postgresql" and self._numbers:
            _number_on("word")


def _name_blocks_anew() -> None:
    """What is not tried again is known by the fingerprint of the change."""
    bind = op.get_bind()
    issues = sa.Table("issue", sa.MetaData(), autoload_with=bind, resolve_fks=False)
    found = bind.execute(sa.select(issues.c.id, issues.c.blocks).where(issues.c.blocks.is_not(None))).all()
    for key, name in found:
        bind.execute(sa.update(issues).where(issues.c.id == key).values(blocks=digest_of(name).hex()))
