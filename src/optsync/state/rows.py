"""Small pieces of SQL that several nouns need."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Column, Select, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from optsync.state.prepared import Prepared

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


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Inserts what is not there yet (by any unique constraint); returns how many rows came in."""
    if not rows:
        return 0
    return _inserting(connection.dialect.name, table, tuple(rows[0])).run_each(connection, rows)


def insert_from(
    connection: Connection, table: Table, columns: tuple[str, ...], query: Select[Any], **given: Any
) -> None:
    """Inserts what the query finds with these arguments and what is not there yet, without bringing it here. The query
    is one of a few that are built once."""
    _inserting_from(connection.dialect.name, table, columns, query).run(connection, **given)


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: tuple[str, ...]) -> None:
    """Inserts the rows; those whose ``key`` is there get the new values."""
    if rows:
        _upserting(connection.dialect.name, table, tuple(rows[0]), key).run_each(connection, rows)


def count_up(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: tuple[str, ...],
    counter: Column[Any],
) -> None:
    """Inserts the rows, no two with the same ``key``; of those that are there, the counter goes up. Others who look at
    such a row wait, or pass it by, until this transaction ends."""
    if rows:
        _counting(connection.dialect.name, table, tuple(rows[0]), key, counter).run_each(connection, rows)


def insert_returning(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *columns: Column[Any]
) -> Sequence[Sequence[Any]]:
    """As :func:`insert_new`; these columns of the rows that came in, in any order."""
    if not rows:
        return []
    return _inserting(connection.dialect.name, table, tuple(rows[0]), *columns).all_each(connection, rows)


# Which statements there are is fixed by the schema; each is built once.


def _insert(dialect: str, table: Table) -> Any:
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def _naming(dialect: str, table: Table, names: Sequence[str]) -> Any:
    return _insert(dialect, table).values({name: bindparam(name) for name in names})


@cache
def _inserting(dialect: str, table: Table, names: tuple[str, ...], *columns: Column[Any]) -> Prepared:
    statement = _naming(dialect, table, names).on_conflict_do_nothing()
    return Prepared(statement.returning(*columns) if columns else statement)


@cache
def _inserting_from(dialect: str, table: Table, columns: tuple[str, ...], query: Select[Any]) -> Prepared:
    return Prepared(_insert(dialect, table).from_select(columns, query).on_conflict_do_nothing())


@cache
def _upserting(dialect: str, table: Table, names: tuple[str, ...], key: tuple[str, ...]) -> Prepared:
    statement = _naming(dialect, table, names)
    values = {name: statement.excluded[name] for name in names if name not in key}
    return Prepared(statement.on_conflict_do_update(index_elements=key, set_=values))


@cache
def _counting(
    dialect: str, table: Table, names: tuple[str, ...], key: tuple[str, ...], counter: Column[Any]
) -> Prepared:
    statement = _naming(dialect, table, names)
    return Prepared(statement.on_conflict_do_update(index_elements=key, set_={counter.name: counter + 1}))
