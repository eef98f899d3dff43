"""Small pieces of SQL that several nouns need."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, Select, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

Item = TypeVar("Item")
CHUNK = 500
"""Values in one IN list: below every database's limit of parameters."""


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """The items in lists of at most ``size``."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts what is not there yet (by any unique constraint); returns how many rows came in."""
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        # Its driver counts no rows when many are sent at once; those that came in are returned instead.
        statement = postgresql.insert(table).on_conflict_do_nothing().returning(*table.primary_key.columns)
        return len(connection.execute(statement, rows).all())
    return max(connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows).rowcount, 0)


def insert_from(connection: Connection, table: Table, columns: Sequence[str], query: Select[Any]) -> None:
    """Inserts what the query finds and what is not there yet, without bringing it here."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).from_select(list(columns), query).on_conflict_do_nothing())


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, key: tuple[str, ...]) -> None:
    """Inserts the rows; those whose ``key`` is there get the new values."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    values = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values), rows)


def count_up(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, key: tuple[str, ...], counter: Column[Any]
) -> None:
    """Inserts the rows, no two with the same ``key``; of those that are there, the counter goes up. Others who look at
    such a row wait, or pass it by, until this transaction ends."""
    if not rows:
        return
    values = {counter.name: counter + 1}
    if connection.dialect.name == "postgresql":
        # With something to return many rows are sent as one statement.
        statement = postgresql.insert(table).on_conflict_do_update(index_elements=key, set_=values)
        connection.execute(statement.returning(*table.primary_key.columns), rows).all()
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_update(index_elements=key, set_=values), rows)


def insert_returning(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *columns: Column[Any]
) -> Sequence[Sequence[Any]]:
    """As :func:`insert_new`; these columns of the rows that came in, in any order."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return connection.execute(dialect.insert(table).on_conflict_do_nothing().returning(*columns), rows).all()
