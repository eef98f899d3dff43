"""A database of the benchmarks' own on a PostgreSQL server, with the durability that the server has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from tests.postgresql import server, text_of

_NUMBERS = count(1)


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty one; dropped after the block.

    Raises:
        tests.postgresql.Missing: there is no server, and none can be started.
    """
    name = f"optsync_benchmark_{os.getpid()}_{next(_NUMBERS)}"
    _ask(text_of(server()), f"CREATE DATABASE {name}")
    try:
        yield text_of(server().set(database=name))
    finally:
        _ask(text_of(server()), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def size(url: str) -> int:
    """Bytes of its files. What is dead may be used again, and is part of them as long as it is not."""
    _ask(url, "VACUUM")
    return int(_ask(url, "SELECT pg_database_size(current_database())"))


def settings(url: str) -> dict[str, str]:
    """What the speed of its commits depends on."""
    names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
    return {name: _ask(url, f"SHOW {name}") for name in names}


def _ask(url: str, statement: str) -> str:
    engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        found = connection.execute(sa.text(statement))
        return str(found.scalar_one()) if found.returns_rows else ""
