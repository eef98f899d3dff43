"""The tables. Times are integer microseconds since 1970 in UTC; structures are JSON, but for what there is much of."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from optsync.state import columns
from optsync.state.columns import HexText, HexTexts, Key, Moment, Named, Told, Word

metadata = columns.metadata

meta = Table("meta", metadata, Column("key", String(200), primary_key=True), Column("value", Text, nullable=False))

source = Table(
    "source",
    metadata,
    Column("id", Key, primary_key=True),
    Column("system", String(100), nullable=False),
    Column("collection", String(200), nullable=False),
    Column("spec", String(64), nullable=False, default=""),
    Column("cursor", Text),
    Column("scan_started_at", Moment),
    Column("read_at", Moment),
    Column("full_at", Moment),
    Column("is_known", Boolean, nullable=False, default=False),
    Column("ticket", Text),
    Column("asked_at", Moment),
    UniqueConstraint("system", "collection"),
)
"""``ticket``: what the system has given for the questions that it works on since ``asked_at``."""

contact_point = Table(
    "contact_point",
    metadata,
    Column("id", Key, primary_key=True),
    Column("email", String(320), unique=True),
    Column("hash", LargeBinary(32)),
    Column("hash_key", String(16)),
    Column("salt", LargeBinary(16)),
    Column("seal", LargeBinary(32)),
    Column("forgotten_at", Moment),
    Column("active_at", Moment),
)
"""``hash`` is keyed and kept for forgotten points only; ``hash_key`` is the fingerprint of its key. ``seal`` binds the
ledger to the address: it is the digest of ``salt`` and address, and stays when both are erased."""

Index(
    "uq_contact_point_hash",
    contact_point.c.hash,
    unique=True,
    sqlite_where=text("hash IS NOT NULL"),
    postgresql_where=text("hash IS NOT NULL"),
)

system_record = Table(
    "system_record",
    metadata,
    Column("id", Key, primary_key=True),
    Column("source_id", ForeignKey("source.id"), nullable=False),
    Column("rid", HexText, nullable=False),
    Column("shape", Word, ForeignKey("word.id"), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("fp", LargeBinary(16), nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("read_at", Moment, nullable=False),
    Column("missing_since", Moment),
    Column("is_gone", Boolean, nullable=False, default=False),
    Column("unsure", Text),
    Column("skipped", String(40)),
    UniqueConstraint("source_id", "rid"),
)
"""``shape`` names the parts that ``data`` has the values of (:mod:`optsync.state.codec`)."""
Index(
    "ix_system_record_unsure",
    system_record.c.source_id,
    sqlite_where=text("unsure IS NOT NULL"),
    postgresql_where=text("unsure IS NOT NULL"),
)

record_point = Table(
    "record_point",
    metadata,
    Column("record_id", ForeignKey("system_record.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("point_id", ForeignKey("contact_point.id"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

statement = Table(
    "statement",
    metadata,
    Column("id", Key, primary_key=True),
    Column("point_id", ForeignKey("contact_point.id"), nullable=False),
    Column("uid", HexText, nullable=False),
    Column("scope", Word, ForeignKey("word.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("at", Moment, nullable=False),
    Column("clock", Word, ForeignKey("word.id")),
    Column("seen_at", Moment, nullable=False),
    Column("source", String(30), nullable=False),
    Column("strength", Integer, nullable=False),
    Column("is_personal", Boolean, nullable=False),
    Column("reason", Text),
    Column("system", Word, ForeignKey("word.id")),
    Column("record", HexText),
    Column("target", HexText),
    Column("run", Word, ForeignKey("word.id")),
    Column("salt", LargeBinary(16)),
    Column("proof", LargeBinary(32)),
    Column("block", ForeignKey("block.id")),
    UniqueConstraint("point_id", "uid"),
)
"""``proof``: the first bytes of the digest of a salt and of the whole statement with its evidence. The salt is the
contact point's; those that were sealed before that, and those about forgotten people, have a ``salt`` of their own.
When the person is forgotten, all of the digest is kept, and ``salt``, ``reason``, ``record`` and evidence are erased.
Nothing else ever changes."""

block = Table(
    "block",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("count", Integer, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("mac", LargeBinary(32)),
)
"""The ledger's seal: each block names the hash of the one before it and covers the statements that belong to it."""

evidence = Table(
    "evidence",
    metadata,
    Column("statement_id", ForeignKey("statement.id"), primary_key=True),
    Column("shape", Word, ForeignKey("word.id")),
    Column("data", LargeBinary, nullable=False),
)
"""``shape`` names what ``data`` has the values of; without one ``data`` is the text of an older release."""

standing = Table(
    "standing",
    metadata,
    Column("point_id", ForeignKey("contact_point.id"), primary_key=True),
    Column("scope", Word, ForeignKey("word.id"), primary_key=True),
    Column("wish", String(10), nullable=False),
    Column("since", Moment),
    sqlite_with_rowid=False,
)

link = Table(
    "link",
    metadata,
    Column("sync", String(100), primary_key=True),
    Column("crm_record", ForeignKey("system_record.id"), primary_key=True),
    Column("esp_record", ForeignKey("system_record.id"), primary_key=True, index=True),
    Column("shape", Word, ForeignKey("word.id"), nullable=False),
    Column("agreed", LargeBinary, nullable=False),
    Column("frozen", Text),
    sqlite_with_rowid=False,
)
"""``shape`` names the fields that ``agreed`` has the values of."""

change = Table(
    "change",
    metadata,
    Column("id", Key, primary_key=True),
    Column("run", Word, ForeignKey("word.id"), nullable=False, index=True),
    Column("plan", String(40)),
    Column("sync", String(100), nullable=False),
    Column("system", String(100), nullable=False),
    Column("collection", String(200), nullable=False),
    Column("record_id", ForeignKey("system_record.id"), index=True),
    Column("point_id", ForeignKey("contact_point.id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("rule", String(40), nullable=False),
    Column("shape", Word, ForeignKey("word.id"), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("causes", HexTexts, nullable=False),
    Column("state", String(20), nullable=False),
    Column("fingerprint", HexText, nullable=False),
    Column("planned_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("settled_at", Moment),
    Column("fact", String(40)),
    Column("message", Told),
    CheckConstraint(
        "state IN ('planned','ready','sending','applied','same','refused','failed','held','superseded')", name="state"
    ),
)
"""``shape`` names what ``data`` has the values of: what was before and is after, and what is written
(:mod:`optsync.state.change_codec`)."""
Index(
    "ix_change_plan",
    change.c.plan,
    sqlite_where=text("plan IS NOT NULL"),
    postgresql_where=text("plan IS NOT NULL"),
)
Index(
    "ix_change_open",
    change.c.sync,
    change.c.priority,
    change.c.system,
    change.c.collection,
    change.c.kind,
    change.c.id,
    sqlite_where=text("state IN ('planned','ready','sending','held')"),
    postgresql_where=text("state IN ('planned','ready','sending','held')"),
)

plan = Table(
    "plan",
    metadata,
    Column("uid", String(40), primary_key=True),
    Column("sync", String(100), nullable=False, index=True),
    Column("run", String(40), nullable=False),
    Column("held_at", Moment, nullable=False),
    Column("is_first", Boolean, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("actor", String(200)),
    Column("decided_at", Moment),
    CheckConstraint("state IN ('held','approved','rejected','superseded')", name="state"),
)
"""Plans that the guard has held; their changes name them."""

run = Table(
    "run",
    metadata,
    Column("id", Key, primary_key=True),
    Column("uid", String(40), nullable=False, unique=True),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("state", String(20), nullable=False),
    Column("syncs", Text, nullable=False),
    Column("summary", Text),
    Column("undoes", String(40), index=True),
    Column("actor", String(200)),
)
"""``undoes``: the run that this one takes back, and ``actor`` who asked for it."""

issue = Table(
    "issue",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("last_at", Moment),
    Column("closed_at", Moment),
    Column("reason", Text),
    Column("run", String(40), index=True),
    Column("sync", String(100)),
    Column("system", String(100)),
    Column("collection", String(200)),
    Column("record", Named(320)),
    Column("point_id", ForeignKey("contact_point.id"), index=True),
    Column("field", Named(200)),
    Column("rule", String(40)),
    Column("message", Told, nullable=False),
    Column("values", Text),
    Column("blocks", Text),
    Column("state", String(10), nullable=False),
    Column("count", Integer, nullable=False, default=1),
)
"""``last_at``: when the matter was last met; ``reason``: why the issue was closed."""
Index(
    "uq_issue_open",
    issue.c.subject,
    unique=True,
    sqlite_where=text("state <> 'resolved'"),
    postgresql_where=text("state <> 'resolved'"),
)
Index("ix_issue_subject", issue.c.subject)
for _name, _columns in (("ix_issue_of_sync", (issue.c.sync,)), ("ix_issue_of_kind", (issue.c.kind, issue.c.system))):
    Index(_name, *_columns, sqlite_where=text("state <> 'resolved'"), postgresql_where=text("state <> 'resolved'"))

backlog = Table(
    "backlog",
    metadata,
    Column("sync", String(100), primary_key=True),
    Column("point_id", ForeignKey("contact_point.id"), primary_key=True),
    Column("marks", Integer, nullable=False, server_default="1"),
    sqlite_with_rowid=False,
)
"""Contact points that must be looked at again; what must be done is derived, not stored. ``marks``: how often one was
put there since, so that a mark which comes while the point is looked at is not taken off with it."""

scan = Table(
    "scan",
    metadata,
    Column("source_id", ForeignKey("source.id"), primary_key=True),
    Column("record_id", ForeignKey("system_record.id"), primary_key=True),
    Column("is_news", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""The records that the current read of a source has shown."""

unasked = Table(
    "unasked",
    metadata,
    Column("source_id", ForeignKey("source.id"), primary_key=True),
    Column("record_id", ForeignKey("system_record.id"), primary_key=True),
    Column("since", Moment),
    Column("noted_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)
"""Records that may hide an opt-out, and whose system has not answered yet. ``since``: when one counts from, by the
system's clock; without a time it counts whenever it was."""

ticked = Table(
    "ticked",
    metadata,
    Column("source_id", ForeignKey("source.id"), primary_key=True),
    Column("topic", String(300), primary_key=True),
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", String(200)),
    Column("host", String(200)),
    Column("pid", Integer),
    Column("taken_at", Moment),
    Column("beat_at", Moment),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", Key, primary_key=True),
    Column("system", String(100), nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("done_at", Moment),
)

handled = Table(
    "handled",
    metadata,
    Column("sync", String(100), primary_key=True),
    Column("record_id", ForeignKey("system_record.id"), primary_key=True),
    Column("scope", String(300), primary_key=True),
    Column("wish", String(10), nullable=False),
    Column("uid", String(32), nullable=False),
    Column("is_done", Boolean, nullable=False),
    Column("data", Text, nullable=False),
)
"""Which turn of a standing the custom handling has dealt with at a record."""

erasure = Table(
    "erasure",
    metadata,
    Column("id", Key, primary_key=True),
    Column("point_id", ForeignKey("contact_point.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", String(200)),
    Column("systems", Text, nullable=False),
)
"""Who was forgotten when, without a word of clear text; ``systems`` says what became of the vendors' records."""
