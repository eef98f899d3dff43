"""What the migrations say to an empty database, remembered: working it out takes longer than most tests of a state."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from optsync.state import revisions

_said: dict[str, list[tuple[str, Any]]] = {}
"""By the kind of database, statements with their values, in order."""


@pytest.fixture(autouse=True)
def migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the conftest of tests that need a state; those of the migrations have a fixture of this name that leaves them
    as they are."""
    monkeypatch.setattr(revisions, "upgrade", remembering(revisions.upgrade))


def remembering(migrate: Callable[[Connection, str], None]) -> Callable[[Connection, str], None]:
    """``revisions.upgrade`` for tests. The first database of a kind is migrated and listened to; to other empty ones
    the same is said, at the same moment and in the same transaction. One that holds a schema is migrated."""

    def upgrade(connection: Connection, revision: str) -> None:
        is_usual = revision == revisions.newest() and revisions.revision_of(connection) is None
        if not is_usual:
            migrate(connection, revision)
            return
        kind = connection.dialect.name
        if kind not in _said:
            _said[kind] = _heard(lambda: migrate(connection, revision), connection)
            return
        for statement, values in _said[kind]:
            connection.exec_driver_sql(statement, values or None)

    return upgrade


def _heard(work: Callable[[], None], connection: Connection) -> list[tuple[str, Any]]:
    """What changes something; what only looks at the schema is of no use afterwards."""
    heard: list[tuple[str, Any]] = []

    def hear(_: Connection, __: Any, statement: str, values: Any, *rest: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            heard.append((statement, values))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        work()
    finally:
        event.remove(connection, "before_cursor_execute", hear)
    return heard
