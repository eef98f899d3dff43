"""Empty state databases for worlds: SQLite in memory, or PostgreSQL with ``OPTSYNC_TEST_STATE=postgresql``."""

import os
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from optsync.clock import Clock
from optsync.state.schema import metadata
from optsync.state.store import Store
from tests.postgresql import create_database, require_server, text_of

IS_POSTGRESQL = os.environ.get("OPTSYNC_TEST_STATE") == "postgresql"

_migrated: list[bytes] = []
"""A migrated, empty database; migrating anew would take longer than most scenarios."""
_in_use: list[Store] = []
"""PostgreSQL's; given back by a world that is closed, or after the test."""
_spare: list[sa.Engine] = []
"""Of closed worlds: an engine that has compiled the statements, on a database that can be emptied or replaced."""


def empty_state(clock: Clock, kind: type[Store] = Store) -> Store:
    """A migrated state database without a row."""
    if not IS_POSTGRESQL:
        return _in_memory(kind("sqlite://", clock))
    for other in _in_use:
        other._engine.dispose()  # a server has so many connections; they come back when they are needed
    store = kind(text_of(_spare[-1].url if _spare else create_database(_template())), clock)
    if _spare:
        store._engine = _spare.pop()
    _empty(store)
    _in_use.append(store)
    return store


def give_back(store: Store) -> None:
    """Nothing of that world may be used any more."""
    if store in _in_use:
        _in_use.remove(store)
    _spare.append(store._engine)


def give_back_all() -> None:
    """No world lives any more."""
    while _in_use:
        give_back(_in_use[-1])


def _in_memory(store: Store) -> Store:
    if _spare:
        store._engine = _spare.pop()
    with store._engine.connect() as connection:
        database: Any = connection.connection.driver_connection
        if _migrated:
            database.deserialize(_migrated[0])
            return store
    store.migrate()
    with store._engine.connect() as connection:
        database = connection.connection.driver_connection
        _migrated.append(database.serialize())
    return store


@cache
def _template() -> URL:
    from optsync.clock import SystemClock

    require_server()
    url = create_database()
    store = Store(text_of(url), SystemClock())
    store.migrate()
    store.close()
    return url


def _empty(store: Store) -> None:
    """Faster by far than TRUNCATE or another copy, for the few rows of a scenario."""
    with store._engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
        sequences = connection.execute(sa.text("SELECT sequencename FROM pg_sequences")).scalars().all()
        for name in sequences:
            connection.execute(sa.text(f"ALTER SEQUENCE {name} RESTART"))
