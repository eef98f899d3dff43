"""Empty state databases for worlds: SQLite in memory, or PostgreSQL with ``OPTSYNC_TEST_STATE=postgresql``."""

import os
from functools import cache
from pathlib import Path
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
_in_use: dict[Path, Store] = {}
"""PostgreSQL's, by folder of the world: another world in the same folder is its successor."""
_spare: list[sa.Engine] = []
"""Of closed worlds: an engine that has compiled the statements, on a database that can be emptied or replaced."""


def empty_state(folder: Path, clock: Clock, kind: type[Store] = Store) -> Store:
    """A migrated state database without a row."""
    if not IS_POSTGRESQL:
        return _in_memory(kind("sqlite://", clock))
    if folder in _in_use:
        give_back(folder, _in_use[folder])
    store = kind(text_of(_spare[-1].url if _spare else create_database(_template())), clock)
    if _spare:
        store._engine = _spare.pop()
    _empty(store)
    _in_use[folder] = store
    return store


def give_back(folder: Path, store: Store) -> None:
    """Nothing of that world may be used any more."""
    if not IS_POSTGRESQL or _in_use.pop(folder, None) is store:
        _spare.append(store._engine)


def give_back_all() -> None:
    """No world lives any more."""
    for folder, store in list(_in_use.items()):
        give_back(folder, store)


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
