"""PostgreSQL for the tests: a server that answers or one started for them, and databases of their own on it."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

_NAMES = count(1)


class Missing(Exception):
    """There is no server and none can be started; says why."""


class OwnServer:
    """A server in a temporary folder, run by a user that it accepts; may be stopped and started again.

    ``is_durable``: its commits wait for the disk, as in production.
    """

    def __init__(self, *, is_durable: bool = False) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
        if not found:
            raise Missing("no PostgreSQL at 127.0.0.1:5432, none named by OPTSYNC_TEST_POSTGRESQL, and none installed")
        self._programs = found[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="optsync-postgresql-"))
        # The server refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._as_user:
            shutil.chown(self.folder, "postgres")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=port, database="postgres")
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        if not is_durable:
            self._options += " -c fsync=off"

    def __enter__(self) -> Self:
        self._run("initdb", "-U", "postgres", "-A", "trust", "-N")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Returns when it answers."""
        self._run("pg_ctl", "-s", "-w", "-o", self._options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str) -> None:
        """``fast`` ends sessions and closes the files in order; ``immediate`` is a crash. Nothing if it is stopped."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-s", "-w", "-m", mode, "stop")

    def create(self, database: str) -> URL:
        """A new, empty one."""
        _administer(f"CREATE DATABASE {database}", of=self.url)
        return self.url.set(database=database)

    def _run(self, program: str, *arguments: str) -> None:
        data = ["-D", str(self.folder / "data")]
        command = [*self._as_user, str(self._programs / program), *data, *arguments]
        # Not captured: the server would keep a pipe open for as long as it lives.
        with (self.folder / "control.log").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


@cache
def server() -> URL:
    """A server for this process: the one named by OPTSYNC_TEST_POSTGRESQL, one on this machine, or one of its own.

    Raises:
        Missing: there is none.
    """
    named = os.environ.get("OPTSYNC_TEST_POSTGRESQL")
    if named:
        return make_url(named)
    for user in ("postgres", "root"):
        url = URL.create("postgresql+psycopg", user, host="127.0.0.1", port=5432, database="postgres")
        if _answers(url):
            return url
    own = OwnServer().__enter__()
    atexit.register(own.__exit__, None, None, None)
    return own.url


def require_server() -> URL:
    """:func:`server` for a test: without one it is skipped, in the continuous integration it fails."""
    try:
        return server()
    except Missing as reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(reason))


def create_database(template: URL | None = None) -> URL:
    """A database of this process on :func:`server`, empty or a copy; removed when the process ends."""
    name = f"optsync_test_{os.getpid()}_{next(_NAMES)}"
    _administer(f"DROP DATABASE IF EXISTS {name}")
    _administer(f"CREATE DATABASE {name}" + (f" TEMPLATE {template.database}" if template else ""))
    # A crash of the server is not what these databases are for; see OwnServer.
    _administer(f"ALTER DATABASE {name} SET synchronous_commit = off")
    atexit.register(_administer, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", os.getpid())
    return server().set(database=name)


def text_of(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _administer(statement: str, only_in: int | None = None, *, of: URL | None = None) -> None:
    if only_in is not None and only_in != os.getpid():
        return  # a forked process ends here; the database is its parent's
    engine = sa.create_engine(of or server(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(statement))


def _answers(url: URL) -> bool:
    try:
        engine = sa.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3})
        with engine.connect():
            return True
    except (SQLAlchemyError, ModuleNotFoundError):
        return False
