"""Every test of the state runs on SQLite (a file, WAL) and on PostgreSQL."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from optsync.clock import ManualClock
from optsync.state.store import Store
from tests.state.rows import NOW


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def _answers(url: URL) -> bool:
    try:
        engine = sa.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3})
        with engine.connect():
            return True
    except (SQLAlchemyError, ModuleNotFoundError):
        return False


def _server(folder: Path) -> Iterator[URL | str]:
    """A server that answers: the one named by the environment, one on this machine, or one started for the tests;
    else the reason why there is none."""
    named = os.environ.get("OPTSYNC_TEST_POSTGRESQL")
    if named:
        yield make_url(named)
        return
    for user in ("postgres", "root"):
        url = URL.create("postgresql+psycopg", user, host="127.0.0.1", port=5432, database="postgres")
        if _answers(url):
            yield url
            return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not programs:
        yield "no PostgreSQL at 127.0.0.1:5432, none named by OPTSYNC_TEST_POSTGRESQL, and none installed"
        return
    yield from _started(programs[-1], folder)


def _started(programs: Path, folder: Path) -> Iterator[URL]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The server refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    user = "postgres"
    data = folder / "data"
    if as_user:
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        subprocess.run(["chown", "postgres", str(folder)], check=True)
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-s", "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run(
        [*as_user, str(programs / "initdb"), "-D", str(data), "-U", user, "-A", "trust", "-N"],
        check=True,
        capture_output=True,
    )
    subprocess.run([*control, "-o", options, "-l", str(folder / "log"), "start"], check=True, capture_output=True)
    try:
        yield URL.create("postgresql+psycopg", user, host="127.0.0.1", port=port, database="postgres")
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL | str]:
    """A database of this session's own, or the reason why there is none."""
    servers = _server(tmp_path_factory.mktemp("postgresql"))
    server = next(servers)
    if isinstance(server, str):
        yield server
    else:
        name = f"optsync_test_{os.getpid()}"
        admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        yield server.set(database=name)
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
    for _ in servers:
        pass


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    found: URL | str = request.getfixturevalue("postgresql")
    if isinstance(found, str):
        if os.environ.get("CI"):
            pytest.fail(found)
        pytest.skip(found)
    engine = sa.create_engine(found)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return found.render_as_string(hide_password=False)


@pytest.fixture
def store(url: str, clock: ManualClock) -> Iterator[Store]:
    """A migrated, empty state database."""
    opened = Store(url, clock)
    opened.migrate()
    yield opened
    opened.close()
