"""PostgreSQL's statistics about the tables: without them it plans for empty ones, and looks through a full table for
every page of a first sync."""

from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from optsync.state.prepared import execute_plainly
from optsync.state.schema import metadata

_EVERY = 32
"""Transactions that write, after which they are looked at again."""
_PATIENCE = "SET LOCAL lock_timeout = '1s'"
"""Somebody else, the server itself perhaps, is at it already."""
_STALE = sa.text(
    "SELECT relname FROM pg_stat_user_tables"
    " WHERE schemaname = current_schema() AND n_mod_since_analyze > 1000 + n_live_tup / 2"
)


class Statistics:
    """Has the server gather them once half of a table is new. Most servers do so by themselves a minute later at best,
    when a first sync is long over or has slowed down to a crawl, and some are told not to."""

    def __init__(self) -> None:
        self._written = 0

    def note_written(self, engine: Engine) -> None:
        """A transaction that may have written has ended. (SQLite is not asked: its plans look at no statistics.)"""
        self._written += 1
        if self._written % _EVERY == 0 and engine.dialect.name == "postgresql":
            # Nothing depends on it but how long things take.
            with suppress(SQLAlchemyError), engine.connect() as connection, connection.begin():
                _gather(connection)


def _gather(connection: Connection) -> None:
    execute_plainly(connection, _PATIENCE)
    stale = [name for name in connection.execute(_STALE).scalars() if name in metadata.tables]
    if stale:
        quote = connection.dialect.identifier_preparer.quote
        execute_plainly(connection, f"ANALYZE {', '.join(map(quote, sorted(stale)))}")
