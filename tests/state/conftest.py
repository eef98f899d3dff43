"""Every test of the state runs on SQLite (a file, WAL) and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from optsync.clock import ManualClock
from optsync.state.chain import Keys
from optsync.state.store import Store
from tests.migrated import migrations
from tests.postgresql import create_database, require_server, text_of
from tests.state.rows import NOW

__all__ = ["migrations"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(scope="session")
def postgresql() -> URL:
    """A database of this session's own."""
    require_server()
    return create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    found: URL = request.getfixturevalue("postgresql")
    engine = sa.create_engine(found)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return text_of(found)


@pytest.fixture
def keys() -> Keys | None:
    """Nobody signs the ledger; a module that needs it signed has its own."""
    return None


@pytest.fixture
def store(url: str, clock: ManualClock, keys: Keys | None) -> Iterator[Store]:
    """A migrated, empty state database."""
    opened = Store(url, clock, keys=keys)
    opened.migrate()
    yield opened
    opened.close()
