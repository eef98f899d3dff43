"""Indexes for what every cycle asks of the journal and of the issues.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("state IN ('planned','ready','sending','held')")
_IS_STANDING = sa.text("state <> 'resolved'")


def upgrade() -> None:
    op.drop_index("ix_change_open", table_name="change")
    op.create_index(
        "ix_change_open",
        "change",
        ["sync", "priority", "system", "collection", "kind", "id"],
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    )
    for name, columns in (("ix_issue_of_sync", ["sync"]), ("ix_issue_of_kind", ["kind", "system"])):
        op.create_index(name, "issue", columns, sqlite_where=_IS_STANDING, postgresql_where=_IS_STANDING)
    op.create_index(op.f("ix_issue_point_id"), "issue", ["point_id"])
    op.create_index(op.f("ix_issue_run"), "issue", ["run"])


def downgrade() -> None:
    for name in ("ix_issue_run", "ix_issue_point_id", "ix_issue_of_kind", "ix_issue_of_sync"):
        op.drop_index(name, table_name="issue")
    op.drop_index("ix_change_open", table_name="change")
    op.create_index("ix_change_open", "change", ["sync", "priority"], sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)
