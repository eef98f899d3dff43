"""Copying every row from one database into another, whichever kinds the two are.

Rows are read and written as the database holds them, by the columns of the schema that both have: nothing is decoded,
so a copy is the same to the byte, and a state of any released schema can be copied. PostgreSQL is filled by COPY, which
takes about twice the rows a second that INSERT does.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import NullType

from optsync.errors import CommandRefused
from optsync.state.prepared import execute_plainly
from optsync.state.revisions import VERSION_TABLE, upgrade

Step = Callable[[str, int, int], None]
"""Is told of what kind of work how much of how much is done."""
_CHUNK = 2000
"""Rows in memory at a time."""
LEFT_BEHIND = frozenset({VERSION_TABLE, "lease"})
"""Nobody works on the copy: a lease would keep it from those who want to. The schema's number is written by the
migrations."""


def pour(source: Connection, target: Connection, *, revision: str, step: Step) -> dict[str, int]:
    """Brings an empty ``target`` to the schema of the source and copies all rows; returns how many, by table. Within
    both transactions; ``source`` must show one moment.

    Raises:
        CommandRefused: the target does not take a row, or not all have arrived.
    """
    upgrade(target, revision)
    tables = _tables(target)
    expected = counts(source, tables)
    total, done = sum(expected.values()), 0
    step("copy", done, total)
    for table in tables:
        for rows in _read(source, table, converting=source.dialect.name != target.dialect.name):
            _write(target, table, rows)
            done += len(rows)
            step("copy", done, total)
    _finish(target, tables)
    require_same(expected, counts(target, tables))
    return expected


def counts(connection: Connection, tables: Sequence[sa.Table]) -> dict[str, int]:
    """How many rows each of the tables has, by name."""
    return {
        table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for table in sorted(tables, key=lambda table: table.name)
    }


def require_same(expected: Mapping[str, int], arrived: Mapping[str, int]) -> None:
    """Raises: CommandRefused, naming tables whose numbers of rows differ."""
    wrong = [f"{name} {arrived.get(name)} of {count}" for name, count in expected.items() if arrived.get(name) != count]
    if wrong:
        raise CommandRefused(f"not all rows have arrived ({', '.join(wrong)}); nothing was kept of the copy")


def _tables(connection: Connection) -> list[sa.Table]:
    """Those that are copied; one that refers to another comes after it."""
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in LEFT_BEHIND]


def _read(source: Connection, table: sa.Table, *, converting: bool) -> Iterator[Sequence[Sequence[Any]]]:
    query = sa.select(*(sa.type_coerce(column, NullType()) for column in table.c)).execution_options(yield_per=_CHUNK)
    # SQLite has no truth of its own; its driver takes PostgreSQL's for the numbers that it means.
    truths = [n for n, column in enumerate(table.c) if isinstance(column.type, sa.Boolean)]
    is_plain = not (converting and truths and source.dialect.name == "sqlite")
    for part in source.execute(query).partitions():
        yield part if is_plain else [_with_truths(row, truths) for row in part]


def _with_truths(row: Sequence[Any], places: Sequence[int]) -> list[Any]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = bool(values[place])
    return values


def _write(target: Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    quote = target.dialect.identifier_preparer.quote
    into = f"{quote(table.name)} ({', '.join(quote(column.name) for column in table.c)})"
    driver: Any = target.connection.driver_connection
    try:
        if target.dialect.name == "postgresql":
            with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            driver.executemany(f"INSERT INTO {into} VALUES ({', '.join('?' * len(table.c))})", rows)  # noqa: S608
    except target.dialect.loaded_dbapi.Error as error:
        raise CommandRefused(f"{table.name}: {_cause(error)}; nothing was kept of the copy") from None


def _cause(error: Exception) -> str:
    """In the database's words, without the values that it quotes: they belong to people."""
    first, _, context = str(error).strip().partition("\n")
    column = re.search(r"column (\w+)", context)
    return re.sub(r'"[^"]*"', '"…"', first) + (f" (column {column[1]})" if column else "")


def _finish(target: Connection, tables: Sequence[sa.Table]) -> None:
    """What comes after the rows: PostgreSQL's numbering and statistics, SQLite's look at what refers to what."""
    if target.dialect.name != "postgresql":
        if dangling := {row[0] for row in target.exec_driver_sql("PRAGMA foreign_key_check")}:
            raise CommandRefused(
                f"rows refer to others that are not there ({', '.join(sorted(dangling))}); nothing was kept of the copy"
            )
        return
    quote = target.dialect.identifier_preparer.quote
    for table in tables:
        if "id" in table.c:
            sequence = sa.func.pg_get_serial_sequence(quote(table.name), "id")
            newest = sa.func.max(table.c.id)
            target.execute(sa.select(sa.func.setval(sequence, newest)).having(newest > 0))
    # Without them its first plans would be those for empty tables.
    execute_plainly(target, f"ANALYZE {', '.join(quote(table.name) for table in tables)}")
