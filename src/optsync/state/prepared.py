"""Statements that are built once and go straight to the driver.

Building a statement, finding its compiled form and wrapping its rows takes SQLAlchemy ten to thirty times what SQLite
needs to answer it, and a cycle asks many small questions. What every cycle asks is therefore a constant of its module,
in SQLAlchemy's words, with a ``bindparam`` for every value that differs and ``any_of`` for a list of them::

    _KNOWN = Prepared(sa.select(table.c.id, table.c.rid).where(table.c.source_id == bindparam("source"),
                                                               table.c.rid.in_(any_of("rids"))))
    rows = _KNOWN.all(self._connection, source=1, rids=["a", "b"])

It is compiled when it is first used, once for each kind of database; types, transactions and errors are SQLAlchemy's.
PostgreSQL gets a list as one value: of hundreds of values it believes that they are best compared with every row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import BinaryExpression, BindParameter, Boolean, LargeBinary, String, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import operators, visitors
from sqlalchemy.types import TypeEngine

Row = tuple[Any, ...]
_TAKES_LISTS = "postgresql"
Converter = Callable[[Any], Any]


def any_of(name: str) -> BindParameter[Any]:
    """A list of values for ``in_``; an empty one holds nothing."""
    return bindparam(name, expanding=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """Stands in the compiled statement for an argument, or for one value of a list."""

    name: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in one database's words, with lists of given lengths. ``bind`` and ``bind_each``: from the given
    arguments, or those of many rows, to what the driver takes; ``converters``: of the columns that Python holds in
    another form than the driver."""

    sql: str
    bind: Callable[[Mapping[str, Any]], Any]
    bind_each: Callable[[Sequence[Mapping[str, Any]]], Sequence[Any]]
    converters: tuple[tuple[int, Converter], ...]


def _converted(rows: list[Any], converters: Sequence[tuple[int, Converter]]) -> list[Row]:
    """The rows with some of their columns in another form: column by column, since all but the conversion itself is
    done in C then."""
    if len(rows) == 1:
        values = list(rows[0])
        for at, convert in converters:
            values[at] = convert(values[at])
        return [tuple(values)]
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for at, convert in converters:
        columns[at] = map(convert, columns[at])
    return list(zip(*columns, strict=True))


def _picker(sources: Sequence[Any]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """From arguments to values in the order of ``sources``, each of them the place of an argument or a constant. It is
    chosen once, since it runs for every row that is written."""
    parts = list(_parts(sources))
    if len(parts) > 1 and not any(is_list or is_constant for _, is_list, is_constant in parts):
        return itemgetter(*(name for name, _, _ in parts))
    if len(parts) == 1 and parts[0][1]:
        return itemgetter(parts[0][0])

    def pick(given: Mapping[str, Any]) -> list[Any]:
        picked: list[Any] = []
        for part, is_list, is_constant in parts:
            if is_list:
                picked += given[part]
            else:
                picked.append(part if is_constant else given[part])
        return picked

    return pick


def _parts(sources: Sequence[Any]) -> Iterator[tuple[Any, bool, bool]]:
    """The sources, a list as one: the name of the argument and whether it is a list; or a constant, and that it is."""
    for before, source in zip((None, *sources), sources, strict=False):
        if not isinstance(source, _Place):
            yield source, False, True
        elif not source.index:
            yield source.name, source.index is not None, False
        elif before != _Place(source.name, source.index - 1):
            raise AssertionError(f"the values of {source.name} are not side by side")


def _binder(
    pick: Callable[[Mapping[str, Any]], Sequence[Any]], converters: Sequence[tuple[int, Converter]]
) -> Callable[..., Any]:
    """As :func:`_picker`, each value as the driver wants it."""
    if not converters:
        return pick

    def bind(given: Mapping[str, Any]) -> Sequence[Any]:
        values = list(pick(given))
        for at, convert in converters:
            values[at] = convert(values[at])
        return values

    return bind


class Prepared:
    """One statement. It runs in the transaction of the connection and raises SQLAlchemy's errors. Arguments are named
    as its parameters."""

    def __init__(self, statement: Any) -> None:
        """Raises: ValueError, at its first use, when it leaves a column to its default in Python: that is not filled
        in here."""
        self._statement = statement
        parameters = (p for p in visitors.iterate(statement) if isinstance(p, BindParameter) and p.required)
        self._is_list = {p.key: p.expanding for p in parameters}
        self._lists = tuple(sorted(name for name, is_list in self._is_list.items() if is_list))
        self._columns = tuple(statement.exported_columns)
        self._names = tuple(column.name for column in self._columns)
        self._compiled: dict[Any, _Compiled] = {}
        """By the kind of database, and the lengths of the lists where it wants each value by itself."""

    def all(self, connection: Connection, **given: Any) -> list[Row]:
        """The rows that it finds or returns."""
        compiled = self._for(connection, given)
        rows: list[Row] = _execute(connection, compiled.sql, compiled.bind(given)).fetchall()
        return _converted(rows, compiled.converters) if rows and compiled.converters else rows

    def dicts(self, connection: Connection, **given: Any) -> list[dict[str, Any]]:
        """The rows by the names of the columns."""
        return [dict(zip(self._names, row, strict=True)) for row in self.all(connection, **given)]

    def scalars(self, connection: Connection, **given: Any) -> list[Any]:
        """The first column of the rows."""
        return [row[0] for row in self.all(connection, **given)]

    def scalar(self, connection: Connection, **given: Any) -> Any:
        """The first column of the first row; None without rows."""
        rows = self.all(connection, **given)
        return rows[0][0] if rows else None

    def run(self, connection: Connection, **given: Any) -> int:
        """Writes; returns how many rows it has met."""
        compiled = self._for(connection, given)
        return int(_execute(connection, compiled.sql, compiled.bind(given)).rowcount)

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Writes once with the arguments of each row; returns how many rows of the table it has met. Not for lists."""
        if not rows:
            return 0
        compiled = self._for(connection, {})
        if len(rows) == 1:
            return int(_execute(connection, compiled.sql, compiled.bind(rows[0])).rowcount)
        return int(_execute_many(connection, compiled.sql, compiled.bind_each(rows)).rowcount)

    def _for(self, connection: Connection, given: dict[str, Any]) -> _Compiled:
        key: Any = connection.dialect.name
        for name in self._lists:
            if key == _TAKES_LISTS:
                given[name] = list(given[name])
                continue
            given[name] = listed = _padded(given[name])
            key = (key, len(listed))
        known = self._compiled.get(key)
        if known is None:
            known = self._compiled[key] = self._compile(connection.dialect, given)
        return known

    def _compile(self, dialect: Dialect, given: Mapping[str, Any]) -> _Compiled:
        def place(parameter: BindParameter[Any]) -> None:
            if parameter.required:
                name = parameter.key
                parameter.required = False
                listed = [_Place(name, n) for n in range(len(given[name]))] if parameter.expanding else None
                parameter.value = _Place(name) if listed is None else listed

        statement = self._statement
        if dialect.name == _TAKES_LISTS and self._lists:
            statement = visitors.replacement_traverse(statement, {}, _with_whole_list)
        placed = visitors.cloned_traverse(statement, {}, {"bindparam": place})
        compiled = placed.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise ValueError(f"a prepared statement leaves a column to its default: {compiled}")
        names = tuple(compiled.positiontup or compiled.params)
        sources = [compiled.params[name] for name in names]
        kinds = {p.key: p.type for p in compiled.binds.values()} | {n: p.type for n, p in compiled.binds.items()}
        of = [source.name if isinstance(source, _Place) else name for name, source in zip(names, sources, strict=True)]
        # A list that is part of the statement has a name, and each of its values that name with a number.
        of = [name if name in kinds else name.rpartition("_")[0] for name in of]
        to_driver = _chosen(_to_driver(kinds[name], dialect) for name in of)
        to_python = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in self._columns]
        pick = _picker(sources)
        bind = _binder(pick, to_driver)

        def named(row: Sequence[Any]) -> dict[str, Any]:
            return dict(zip(names, row, strict=True))

        def bind_each(rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
            picked = list(map(pick, rows))
            bound = _converted(picked, to_driver) if to_driver else picked
            return bound if compiled.positional else list(map(named, bound))

        return _Compiled(
            sql=str(compiled),
            bind=bind if compiled.positional else lambda given: named(bind(given)),
            bind_each=bind_each,
            converters=_chosen(to_python),
        )


def _chosen(converters: Iterable[Converter | None]) -> tuple[tuple[int, Converter], ...]:
    """Where something is to be converted, and how."""
    return tuple((n, convert) for n, convert in enumerate(converters) if convert is not None)


def _with_whole_list(element: Any, **_: Any) -> Any:
    """In the place of "one of" a list the same of a subquery that opens it, which the server can join whatever it
    believes of the table's size; None elsewhere."""
    if not isinstance(element, BinaryExpression) or not isinstance(element.right, BindParameter):
        return None
    listed = element.right
    if not listed.expanding or not listed.required:
        return None
    # Of an array with a length PostgreSQL cuts the values; of a value by itself SQLAlchemy leaves the length away.
    kind = String() if type(listed.type) is String else listed.type
    opened = select(func.unnest(bindparam(listed.key, type_=ARRAY(kind))))
    return element.left.not_in(opened) if element.operator is operators.not_in_op else element.left.in_(opened)


def _to_driver(kind: TypeEngine[Any], dialect: Dialect) -> Converter | None:
    """How the driver wants values of that type. Both drivers take bytes and truth as they are; SQLAlchemy wraps or
    examines them."""
    if isinstance(kind, ARRAY):
        each = _to_driver(kind.item_type, dialect)
        return None if each is None else lambda values: list(map(each, values))
    if isinstance(kind, LargeBinary | Boolean):
        return None
    return kind.dialect_impl(dialect).bind_processor(dialect)


def execute_plainly(connection: Connection, sql: str) -> None:
    """A command without arguments and without an answer."""
    _execute(connection, sql, ())


def commit_plainly(connection: Connection) -> None:
    """Ends a transaction that was begun by a plain command."""
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.commit()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _known_error(connection, "COMMIT", (), error) from error


def _padded(values: Sequence[Any]) -> Sequence[Any]:
    """Lists of a few lengths only, so that few forms of a statement are needed: the last value again and again."""
    listed = list(values)
    size = len(listed)
    if size > 2:
        listed += listed[-1:] * ((1 << (size - 1).bit_length()) - size)
    return listed


def _execute(connection: Connection, sql: str, bound: Any) -> Any:
    driver: Any = connection.connection.dbapi_connection
    try:
        return driver.execute(sql, bound)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _known_error(connection, sql, bound, error) from error


def _execute_many(connection: Connection, sql: str, bound: Sequence[Any]) -> Any:
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor()
    try:
        cursor.executemany(sql, bound)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _known_error(connection, sql, bound, error) from error
    return cursor


def _known_error(connection: Connection, sql: str, bound: Any, error: Any) -> BaseException:
    dialect = connection.dialect
    if dialect.is_disconnect(error, connection.connection, None):
        connection.invalidate(error)
    hides, base = connection.engine.hide_parameters, dialect.loaded_dbapi.Error
    known: BaseException = DBAPIError.instance(sql, bound, error, base, hide_parameters=hides, dialect=dialect)
    return known
