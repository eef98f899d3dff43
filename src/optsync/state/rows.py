"""Small pieces of SQL that several nouns need."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Column, Select, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from optsync.state.columns import Moment, Word
from optsync.state.prepared import Prepared

Item = TypeVar("Item")
CHUNK = 500
"""Values in one IN list: below every database's limit of parameters."""


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterable[Sequence[Item]]:
    """The items in lists of at most ``size``. Most lists are shorter, and stay as they are."""
    if isinstance(items, list) and len(items) <= size:
        return (items,) if items else ()
    return _in_parts(items, size)


def _in_parts(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    left = iter(items)
    while batch := list(islice(left, size)):
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


def take_ids(connection: Connection, table: Table, count: int) -> list[int]:
    """Keys for so many new rows, in ascending order, which nobody else is given: rows that bring their key can be
    written together, where rows that are given one come one by one."""
    if not count:
        return []
    if connection.dialect.name == "postgresql":
        return sorted(_next_ids(table).scalars(connection, count=count))
    # A transaction that writes is SQLite's only one.
    newest = _newest_id(table).scalar(connection) or 0
    return list(range(newest + 1, newest + 1 + count))


def insert_plainly(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that are certainly new, with times in microseconds and words by their numbers."""
    if rows:
        _inserting_plainly(table, tuple(rows[0])).run_each(connection, rows)


# Which statements there are is fixed by the schema; each is built once.


@cache
def _newest_id(table: Table) -> Prepared:
    return Prepared(select(func.max(table.c.id)))


@cache
def _next_ids(table: Table) -> Prepared:
    following = func.nextval(func.pg_get_serial_sequence(table.name, "id"))
    return Prepared(select(following.label("id")).select_from(func.generate_series(1, bindparam("count"))))


@cache
def _inserting_plainly(table: Table, names: tuple[str, ...]) -> Prepared:
    kinds = {name: table.c[name].type for name in names}
    plain = {name: BigInteger() if isinstance(kind, Moment | Word) else kind for name, kind in kinds.items()}
    return Prepared(table.insert().values({name: bindparam(name, type_=kind) for name, kind in plain.items()}))


def _insert(dialect: str, table: Table) -> Any:
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def _naming(dialect: str, table: Table, names: Sequence[str]) -> Any:
    return _insert(dialect, table).values({name: _value_of(table.c[name]) for name in names})


def _value_of(column: Column[Any]) -> Any:
    """A word comes by its number, which is asked for once for many rows."""
    return bindparam(column.name, type_=BigInteger() if isinstance(column.type, Word) else None)


@cache
def _inserting(dialect: str, table: Table, names: tuple[str, ...]) -> Prepared:
    return Prepared(_naming(dialect, table, names).on_conflict_do_nothing())


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
