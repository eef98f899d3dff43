"""Held plans, the sealed ledger, erasure.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("uid", sa.String(40), nullable=False),
        sa.Column("sync", sa.String(100), nullable=False),
        sa.Column("run", sa.String(40), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("actor", sa.String(200)),
        sa.Column("decided_at", sa.BigInteger()),
        sa.CheckConstraint("state IN ('held','approved','rejected','superseded')", name=op.f("ck_plan_state")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_plan")),
    )
    op.create_index(op.f("ix_plan_sync"), "plan", ["sync"])
    op.create_index("ix_change_plan", "change", ["plan"])
    op.create_table(
        "block",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("mac", sa.LargeBinary(32)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block")),
    )
    with op.batch_alter_table("statement") as batch:
        batch.add_column(sa.Column("salt", sa.LargeBinary(16)))
        batch.add_column(sa.Column("proof", sa.LargeBinary(32)))
        batch.add_column(sa.Column("block", _KEY))
        batch.create_foreign_key(op.f("fk_statement_block_block"), "block", ["block"], ["id"])
        batch.create_index(op.f("ix_statement_block"), ["block"])
    op.add_column("contact_point", sa.Column("hash_key", sa.String(16)))
    op.add_column("contact_point", sa.Column("salt", sa.LargeBinary(16)))
    op.add_column("contact_point", sa.Column("seal", sa.LargeBinary(32)))
    op.add_column("contact_point", sa.Column("forgotten_at", sa.BigInteger()))
    op.add_column("contact_point", sa.Column("active_at", sa.BigInteger()))
    op.add_column("backlog", sa.Column("marks", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("issue", sa.Column("last_at", sa.BigInteger()))
    op.add_column("issue", sa.Column("reason", sa.Text()))
    op.add_column("issue", sa.Column("collection", sa.String(200)))
    op.create_index("ix_issue_subject", "issue", ["subject"])
    op.create_table(
        "handled",
        sa.Column("sync", sa.String(100), nullable=False),
        sa.Column("record_id", _KEY, nullable=False),
        sa.Column("scope", sa.String(300), nullable=False),
        sa.Column("wish", sa.String(10), nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["system_record.id"], name=op.f("fk_handled_record_id_system_record")),
        sa.PrimaryKeyConstraint("sync", "record_id", "scope", name=op.f("pk_handled")),
    )
    op.add_column("run", sa.Column("undoes", sa.String(40)))
    op.add_column("run", sa.Column("actor", sa.String(200)))
    op.create_index(op.f("ix_run_undoes"), "run", ["undoes"])
    op.create_table(
        "erasure",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("point_id", _KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(200)),
        sa.Column("systems", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["point_id"], ["contact_point.id"], name=op.f("fk_erasure_point_id_contact_point")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
    )


def downgrade() -> None:
    with op.batch_alter_table("run") as batch:
        batch.drop_index(op.f("ix_run_undoes"))
        batch.drop_column("actor")
        batch.drop_column("undoes")
    op.drop_table("handled")
    op.drop_table("erasure")
    op.drop_index("ix_issue_subject", table_name="issue")
    op.drop_column("backlog", "marks")
    for name in ("collection", "reason", "last_at"):
        op.drop_column("issue", name)
    for name in ("active_at", "forgotten_at", "seal", "salt", "hash_key"):
        op.drop_column("contact_point", name)
    with op.batch_alter_table("statement") as batch:
        batch.drop_index(op.f("ix_statement_block"))
        batch.drop_constraint(op.f("fk_statement_block_block"), type_="foreignkey")
        for name in ("block", "proof", "salt"):
            batch.drop_column(name)
    op.drop_table("block")
    op.drop_index("ix_change_plan", table_name="change")
    op.drop_table("plan")
