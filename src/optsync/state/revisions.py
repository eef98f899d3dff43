"""Which schema a database has, and bringing it to another."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from optsync.errors import CommandRefused

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"


@cache
def _script() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS))


@cache
def all_revisions() -> tuple[str, ...]:
    """Every revision that this optsync knows, the newest first."""
    return tuple(revision.revision for revision in _script().walk_revisions())


def newest() -> str:
    """The revision that the code works with."""
    return all_revisions()[0]


def revision_of(connection: Connection) -> str | None:
    """The schema of a database; None: it has none.

    Raises:
        CommandRefused: it was written by a newer optsync.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in all_revisions():
        raise CommandRefused(
            f"the state database has schema {current}, which this optsync does not know: use a newer optsync"
        )
    return current


def upgrade(connection: Connection, revision: str) -> None:
    """Runs the migrations that lead there, in the connection's transaction. SQLite's foreign keys must be off."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
