"""Empty databases of both kinds, and what one holds to the byte."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.types import NullType

from optsync.state.schema import metadata
from optsync.state.store import Store
from tests.postgresql import create_database, text_of

Rows: TypeAlias = Mapping[str, list[tuple[Any, ...]]]
COPIED = tuple(table for table in metadata.sorted_tables if table.name != "lease")


class Databases:
    """``empty("sqlite")``, ``empty("postgresql")``: another one each time it is called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def empty(self, kind: str) -> str:
        self._made += 1
        if kind == "sqlite":
            return f"sqlite:///{self._folder}/state-{self._made}.db"
        return text_of(create_database())


def rows_of(store: Store) -> Rows:
    """Every row of every table that is copied, as the database holds it."""
    found = {}
    with store._engine.connect() as connection:
        for table in COPIED:
            query = sa.select(*(sa.type_coerce(column, NullType()) for column in table.c))
            found[table.name] = sorted((_plain(row) for row in connection.execute(query)), key=repr)
    return found


def tables_of(url: str) -> list[str]:
    """What an untouched database does not have."""
    engine = sa.create_engine(make_url(url))
    try:
        return sa.inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _plain(row: Any) -> tuple[Any, ...]:
    """PostgreSQL has a truth of its own; everything else must be of the same type, too."""
    return tuple(int(value) if isinstance(value, bool) else value for value in row)
