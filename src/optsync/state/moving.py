"""Moving the whole state into another, empty database."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from optsync.errors import CommandRefused, ConfigError, StateLocked
from optsync.state.chain import HEAD, Head, parse_head
from optsync.state.copying import Step, pour
from optsync.state.revisions import VERSION_TABLE, all_revisions, newest, revision_of, upgrade
from optsync.state.schema import meta, metadata
from optsync.state.store import Store, is_lock_timeout
from optsync.state.verify import Verdict, Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """``rows`` by table, as many in both databases. ``verdict``: of the copy's ledger; what it found, the source has,
    too. None where the source is from before ledgers were sealed. ``revision``: the schema that the source has; the
    copy has the newest."""

    rows: dict[str, int]
    verdict: Verdict | None
    revision: str


def move(source: Store, target: Store, *, name: str, keys: Sequence[bytes], step: Step) -> Moved:
    """Copies everything but leases, in one transaction of the target that ends after the copy was proven. Nobody
    writes to the source meanwhile, so that nothing which is said then stays behind. ``name`` stands for the target in
    messages.

    Raises:
        ConfigError: the target cannot be reached or used. StateLocked: somebody works on the source.
        CommandRefused: the target holds something; there is no state; the copy is not as the source.
    """
    revision = _revision_of_idle(source)
    with _reaching(name), target.being_filled() as into:
        require_empty(into, revision, name=name)
    with _breaking_off(name), target.being_filled() as into:
        require_empty(into, revision, name=name)
        with source.standing_still() as out:
            _revision_of_idle(source)
            rows = pour(out, into, revision=revision, step=step)
            upgrade(into, newest())
            verdict = _prove(out, into, revision=revision, keys=keys, step=step)
    return Moved(rows=rows, verdict=verdict, revision=revision)


def require_revision(connection: Connection) -> str:
    """The schema of a state.

    Raises:
        CommandRefused: there is no state, or one of a newer optsync.
    """
    found = revision_of(connection)
    if found is None:
        raise CommandRefused("there is no state in this database yet: nothing to copy")
    return found


def require_empty(connection: Connection, revision: str, *, name: str) -> None:
    """A database without tables, or with a schema of optsync's and no row.

    Raises:
        CommandRefused: it holds something, and what; or its schema is newer than ``revision``.
    """
    found = set(sa.inspect(connection).get_table_names()) - {VERSION_TABLE}
    if foreign := sorted(found - metadata.tables.keys()):
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise CommandRefused(
            f"{name} is not empty: it holds tables that are not optsync's ({', '.join(foreign[:5])}{more}); name a "
            "database of its own"
        )
    tables = (metadata.tables[table] for table in sorted(found))
    full = [t.name for t in tables if connection.execute(sa.select(sa.literal(1)).select_from(t).limit(1)).first()]
    if full:
        raise CommandRefused(
            f"{name} is not empty: it holds a state already (rows in {', '.join(full)}); name an empty database"
        )
    there, known = revision_of(connection), all_revisions()
    if there is not None and known.index(there) < known.index(revision):
        raise CommandRefused(
            f"{name} has schema {there}, and the state that is copied has {revision}: name a database without tables"
        )


def require_empty_file(file: Path, revision: str, *, name: str) -> None:
    """As :func:`require_empty`, without touching a file that may belong to somebody else.

    Raises:
        ConfigError: it is no SQLite database. CommandRefused: it holds something.
    """
    if not file.exists() or not file.stat().st_size:
        return
    url = URL.create("sqlite", database=file.resolve().as_uri(), query={"mode": "ro", "uri": "true"})
    engine = sa.create_engine(url)
    with _reaching(name), closing(engine.connect()) as connection:
        require_empty(connection, revision, name=name)
    engine.dispose()


def _revision_of_idle(source: Store) -> str:
    """Raises: StateLocked, while somebody works on it."""
    with source.at_one_moment() as connection:
        revision = require_revision(connection)
    with source.reading() as unit:
        live = unit.leases.live()
    if live:
        more = f" ({len(live) - 1} more are held)" if len(live) > 1 else ""
        raise StateLocked(f"{live[0]}{more}; stop it, and copy when it has ended")
    return revision


def _prove(out: Connection, into: Connection, *, revision: str, keys: Sequence[bytes], step: Step) -> Verdict | None:
    """Raises: CommandRefused, if the copy's ledger is not the source's."""
    is_old = revision != newest()
    if is_old and _head(into) is None:
        return None
    verdict = _verdict(into, keys, step)
    if verdict.head == _head(out) and (not verdict.found or is_old):
        return verdict
    # What is wrong with the copy may be wrong with the source; only the newest schema can be asked.
    if is_old or verdict != _verdict(out, keys, step):
        raise CommandRefused("the copy's ledger is not the source's; nothing was kept of the copy")
    return verdict


def _verdict(connection: Connection, keys: Sequence[bytes], step: Step) -> Verdict:
    return Verification(connection, keys).run(
        written_down=None, step=lambda done, total: step("verify the ledger", done, total)
    )


def _head(connection: Connection) -> Head | None:
    return parse_head(connection.execute(sa.select(meta.c.value).where(meta.c.key == HEAD)).scalar_one_or_none())


@contextmanager
def _reaching(name: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise ConfigError(f"{name} cannot be used ({cause_of(error)}); nothing was copied") from None


@contextmanager
def _breaking_off(name: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        if is_lock_timeout(error):
            raise
        raise CommandRefused(f"the copy broke off ({cause_of(error)}); {name} is as empty as before") from None


def cause_of(error: SQLAlchemyError) -> str:
    """In the database's words, without the statement and its values."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
