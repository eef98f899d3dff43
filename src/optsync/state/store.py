"""The state database: opening, migrating, transactions, rehearsals."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from optsync.clock import Clock
from optsync.errors import ConfigError
from optsync.state import revisions
from optsync.state.chain import Chain, Keys
from optsync.state.erasures import TOUCHED
from optsync.state.prepared import commit_plainly, execute_plainly
from optsync.state.pseudonyms import Pseudonyms
from optsync.state.statistics import Statistics
from optsync.state.unit import Unit

_PRAGMAS = (
    # Opt-outs are in the ledger before anything else happens: a commit must survive a power cut.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA cache_size=-65536",
    # A first sync touches the same pages of its indexes again and again: what is in the log is written back once for
    # many transactions (32 MiB), and not after each of them.
    "PRAGMA wal_autocheckpoint=8192",
    "PRAGMA journal_size_limit=67108864",
    # What is deleted or replaced is overwritten, so that forgotten people are not left in free pages.
    "PRAGMA secure_delete=ON",
)

_REMEMBERED = {"cached_statements": 1024}
"""A cycle asks some 200 different things; SQLite's driver remembers 128 unless told otherwise."""

_PATIENCE = (
    # As long as SQLite waits for its writer.
    ("lock_timeout", "10s"),
    # As long as a lease lasts without a beat: a process that stands still inside a transaction, or whose machine is
    # gone, keeps the rows of its leases locked until its session ends.
    ("idle_in_transaction_session_timeout", "60s"),
)

_SIGNS_OF_LIFE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""A server whose machine or network is gone answers nothing, not even that: the system's own patience with it lasts up
to two hours, in which no opt-out would travel."""

_READING = "optsync_reading"

_AT_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_MAY_TAKE_ITS_TIME = "SET LOCAL idle_in_transaction_session_timeout = 0"

_ALONE = "SELECT pg_advisory_xact_lock(7096212847)"
"""Of several that start at once one upgrades the schema, and the others wait for it. (SQLite has one writer.)"""

DatabaseError = SQLAlchemyError
"""Whatever a database raises, for those who know no SQL."""


class Store:
    """One state database. Writing transactions are short; SQLite's begin with BEGIN IMMEDIATE."""

    def __init__(self, url: str, clock: Clock, keys: Keys | None = None) -> None:
        """Opens nothing yet. ``keys`` is asked for the secret keys when they are first needed.

        Raises:
            ConfigError: the URL is of no supported database.
        """
        try:
            parsed = make_url(url)
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            in_memory = self.is_sqlite and parsed.database in (None, "", ":memory:")
            is_file = self.is_sqlite and not in_memory and "uri" not in parsed.query
            self._file = Path(str(parsed.database)) if is_file else None
            self._engine: Engine = sa.create_engine(parsed, **_pool(parsed, in_memory=in_memory))
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigError(
                f"state.url: no usable database URL ({type(error).__name__}); expected sqlite:///FILE or "
                "postgresql+psycopg://… (install optsync[postgresql])"
            ) from None
        if not self.is_sqlite:
            event.listen(self._engine, "connect", _prepare_postgresql)
        elif in_memory:
            event.listen(self._engine, "connect", _no_driver_transactions)
        else:
            event.listen(self._engine, "connect", _prepare_sqlite)
        self._statistics = Statistics()
        self._clock = clock
        self.keys = keys
        self._rehearsal: Connection | None = None
        self._rehearsal_lock = threading.RLock()
        self._of_thread = threading.local()

    # schema

    def migrate(self) -> None:
        """Brings the schema up to date; nothing happens when it is. Afterwards an SQLite file is no larger than what is
        in it, if nobody else uses it.

        Raises:
            CommandRefused: the database was written by a newer optsync.
        """
        if self._file is not None:
            _make_for_the_owner(self._file)
        # Only looked at: whoever just asks something must not wait for somebody else's writing to end.
        with self._engine.connect() as connection, _begun_to_read(connection):
            before = revisions.revision_of(connection)
            if before == revisions.newest():
                return
        with self._engine.connect() as connection, _tables_replaceable(connection), connection.begin():
            if not self.is_sqlite:
                execute_plainly(connection, _ALONE)
            if revisions.revision_of(connection) == revisions.newest():
                return
            revisions.upgrade(connection, revisions.newest())
        if self.is_sqlite and before is not None:
            self.wipe()

    @property
    def _pseudonyms(self) -> Pseudonyms:
        return Pseudonyms(self.keys)

    # transactions

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        """Commits at the end of the block, rolls back when it raises. Not nestable."""
        if self._rehearsal is not None:
            with self._rehearsal_lock, self._rehearsal.begin_nested():
                yield Unit(self._rehearsal, self._clock, self._pseudonyms)
            return
        with self._connected() as connection, self._begun(connection, may_write=True):
            yield Unit(connection, self._clock, self._pseudonyms, Chain(connection, self._clock, self.keys))
        self._statistics.note_written(self._engine)

    @contextmanager
    def reading(self) -> Iterator[Unit]:
        """A block that only reads: what it writes is undone, and raises a ``DatabaseError``. (A transaction that turns
        from reading to writing fails at once when somebody else is writing, instead of waiting for its turn.)"""
        if self._rehearsal is not None:
            with self._rehearsal_lock:
                yield Unit(self._rehearsal, self._clock, self._pseudonyms)
            return
        with self._connected() as connection, self._begun(connection, may_write=False):
            if not self.is_sqlite:
                execute_plainly(connection, f"SET TRANSACTION READ ONLY; {_MAY_TAKE_ITS_TIME}")
            yield Unit(connection, self._clock, self._pseudonyms, Chain(connection, self._clock, self.keys))

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Inside, this thread's transactions use one connection of SQLite, which saves each of them the way to the
        pool. A server may go away and come back meanwhile: there the pool looks at a connection before each use."""
        if not self.is_sqlite or getattr(self._of_thread, "connection", None) is not None:
            yield
            return
        with self._engine.connect() as connection:
            self._of_thread.connection = connection
            try:
                yield
            finally:
                self._of_thread.connection = None

    def _connected(self) -> AbstractContextManager[Connection]:
        connection: Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None or _is_begun(connection):
            return self._engine.connect()
        return nullcontext(connection)

    def _begun(self, connection: Connection, *, may_write: bool) -> AbstractContextManager[object]:
        return _Transaction(connection, may_write=may_write) if self.is_sqlite else connection.begin()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Inside, transactions are real for each other and all of them are undone at the end."""
        with self._engine.connect() as connection:
            outer = connection.begin()
            if not self.is_sqlite:
                execute_plainly(connection, _MAY_TAKE_ITS_TIME)  # it waits for vendors
            self._rehearsal = connection
            try:
                yield
            finally:
                self._rehearsal = None
                outer.rollback()

    # copies of the whole

    @contextmanager
    def at_one_moment(self) -> Iterator[Connection]:
        """A connection that shows everything as it is now, whatever others write meanwhile; it only reads."""
        with self._engine.connect() as connection, _begun_to_read(connection):
            if not self.is_sqlite:
                execute_plainly(connection, f"{_AT_ONE_MOMENT}, READ ONLY; {_MAY_TAKE_ITS_TIME}")
            yield connection

    @contextmanager
    def standing_still(self) -> Iterator[Connection]:
        """As :meth:`at_one_moment`, and nobody else writes until the block ends: they wait, and give up after a while.
        What the block writes is undone."""
        with self._engine.connect() as connection:
            tables = [] if self.is_sqlite else sa.inspect(connection).get_table_names()
            connection.rollback()
            transaction = connection.begin()
            try:
                if not self.is_sqlite:
                    execute_plainly(connection, f"{_AT_ONE_MOMENT}; {_MAY_TAKE_ITS_TIME}")
                    _lock(connection, tables)
                yield connection
            finally:
                transaction.rollback()

    @contextmanager
    def being_filled(self) -> Iterator[Connection]:
        """One transaction in which tables are made and filled; SQLite's foreign keys are off in it."""
        with self._engine.connect() as connection, _tables_replaceable(connection), connection.begin():
            if not self.is_sqlite:
                execute_plainly(connection, _MAY_TAKE_ITS_TIME)
            yield connection

    def wipe(self) -> bool:
        """Takes what was deleted before out of the database's files too: SQLite's file is written anew and its log
        emptied (both take the time and the room of a copy); PostgreSQL is told to free the touched tables' rows and
        its samples of them. False if others were using the database all the while: it is to be done again."""
        raw = self._engine.raw_connection()
        try:
            driver = raw.driver_connection
            if driver is None:
                raise AssertionError("a connection without a driver")
            return _wipe_sqlite(driver) if self.is_sqlite else _vacuum(driver)
        except self._engine.dialect.loaded_dbapi.OperationalError as error:
            if self.is_sqlite or is_lock_timeout(error):
                return False
            raise
        finally:
            raw.close()

    def close(self) -> None:
        self._engine.dispose()


def _pool(url: URL, *, in_memory: bool) -> dict[str, Any]:
    if in_memory:
        return {"poolclass": StaticPool, "connect_args": {**_REMEMBERED, "check_same_thread": False}}
    if url.get_backend_name() == "sqlite":
        # As many as are asked for: every run of a daemon keeps one at hand, and others must not wait for its end.
        return {"connect_args": dict(_REMEMBERED), "max_overflow": -1}
    # A server that was restarted since is no news: the connection is made again before it is used.
    told = {k: v for k, v in {"connect_timeout": 10, **_SIGNS_OF_LIFE}.items() if k not in url.query}
    return {"pool_pre_ping": True, "connect_args": told}


def _make_for_the_owner(file: Path) -> None:
    """A new database holds everybody's address: nobody else on the machine is to read it, nor what SQLite puts beside
    it with the same rights. What keeps it from being made SQLite says better."""
    with suppress(OSError):
        if not file.exists():
            file.touch(mode=0o600)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether the database gave up waiting for somebody else's transaction to end."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None) == "55P03" or "is locked" in str(cause)


def _wipe_sqlite(connection: Any) -> bool:
    connection.execute("VACUUM")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _vacuum(connection: Any) -> bool:
    connection.rollback()
    connection.autocommit = True
    try:
        connection.execute(f"VACUUM (ANALYZE) {', '.join(TOUCHED)}")  # statistics are samples of what was there
    finally:
        connection.autocommit = False
    return True


def _lock(connection: Connection, tables: Sequence[str]) -> None:
    """Before anything is read, so that what others have just committed is seen, too."""
    quote = connection.dialect.identifier_preparer.quote
    if tables:
        execute_plainly(connection, f"LOCK TABLE {', '.join(map(quote, tables))} IN EXCLUSIVE MODE")


class _Transaction:
    """One of SQLite's, begun and ended past SQLAlchemy, which takes several times as long for it as SQLite does; it
    joins in with the first statement that it executes itself. ``may_write``: otherwise what the block writes is undone,
    and is an error."""

    __slots__ = ("_connection", "_driver", "_may_write", "_written_before")

    def __init__(self, connection: Connection, *, may_write: bool) -> None:
        self._connection = connection
        self._driver: Any = connection.connection.dbapi_connection
        self._may_write = may_write

    def __enter__(self) -> None:
        execute_plainly(self._connection, "BEGIN IMMEDIATE" if self._may_write else "BEGIN")
        self._written_before = self._driver.total_changes

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self._end()
        finally:
            if self._driver.in_transaction:
                self._driver.rollback()
            self._connection.rollback()  # of what has ended already: SQLAlchemy's part, where there is one

    def _end(self) -> None:
        # Not PRAGMA query_only: it makes SQLite compile every statement of the connection anew.
        if not self._may_write and self._driver.total_changes != self._written_before:
            raise InvalidRequestError("a block that only reads has written; it is undone")
        commit_plainly(self._connection)


def _is_begun(connection: Connection) -> bool:
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.in_transaction)


@contextmanager
def _begun_to_read(connection: Connection) -> Iterator[None]:
    connection.info[_READING] = True
    try:
        begun = connection.begin()
    finally:
        del connection.info[_READING]
    with begun:
        yield


@contextmanager
def _tables_replaceable(connection: Connection) -> Iterator[None]:
    """SQLite alters a table by making it anew, which its foreign keys would forbid."""
    if connection.dialect.name != "sqlite":
        yield
        return
    # Past SQLAlchemy, which would begin a transaction, and within one SQLite ignores it.
    cursor = connection.connection.cursor()
    is_on = cursor.execute("PRAGMA foreign_keys").fetchone()[0]
    cursor.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        cursor.execute(f"PRAGMA foreign_keys={int(is_on)}")
        cursor.close()


def _prepare_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    _no_driver_transactions(connection, entry)
    cursor = connection.cursor()
    _keep_a_log(cursor)
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


@retry(retry=retry_if_exception(_is_busy), stop=stop_after_delay(10), wait=wait_fixed(0.05), reraise=True)
def _keep_a_log(cursor: DBAPICursor) -> None:
    """Of several that open a new file at once SQLite lets one do so, and does not have the others wait."""
    cursor.execute("PRAGMA journal_mode=WAL")


def _prepare_postgresql(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """What the URL, the role or the database say of these settings goes before."""
    cursor = connection.cursor()
    for name, value in _PATIENCE:
        cursor.execute(f"SELECT set_config('{name}', '{value}', false) WHERE current_setting('{name}') = '0'")
    cursor.close()
    connection.commit()


def _no_driver_transactions(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """The driver begins no transaction before a SELECT, so we begin all of them ourselves."""
    connection.isolation_level = None


@event.listens_for(Engine, "begin")
def _begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and not _is_begun(connection):
        execute_plainly(connection, "BEGIN" if _READING in connection.info else "BEGIN IMMEDIATE")
