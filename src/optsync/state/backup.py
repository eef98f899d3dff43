"""A backup of the state: one SQLite file that shows one moment, taken while others work.

SQLite is copied by its backup interface and not by VACUUM INTO: page by page it costs a copy of the file instead of
building every table and index anew, tells how far it is, and shows faults of the file as they are. What was deleted is
overwritten at once (``secure_delete``), so free pages hold nobody. The copying reads in one transaction, so that no
writer makes it start over, and in WAL mode it keeps nobody waiting.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from optsync.clock import Clock
from optsync.errors import CommandRefused, ConfigError
from optsync.state.copying import LEFT_BEHIND, Step, pour, require_same
from optsync.state.moving import require_revision
from optsync.state.revisions import newest
from optsync.state.store import Store
from optsync.state.verify import Verdict

_PAGES = 1024
"""Copied at a time: 4 MB, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """``rows`` by table. ``verdict``: of the copy's ledger; None where its schema is older than the code."""

    rows: dict[str, int]
    revision: str
    verdict: Verdict | None


def copy_file(database: Path, draft: Path, *, clock: Clock, keys: Sequence[bytes], step: Step) -> Backup:
    """Copies an SQLite state into the file ``draft``, which is empty or not there, and looks at the copy.

    Raises:
        CommandRefused: there is no state, it belongs to a newer optsync, or the copy is not whole.
    """
    source = f"{database.resolve().as_uri()}?mode=ro"
    with (
        _room_for(draft),
        closing(sqlite3.connect(source, uri=True, isolation_level=None)) as original,
        closing(sqlite3.connect(draft)) as duplicate,
    ):
        original.execute("BEGIN")
        # Only reading makes it a moment that stays.
        expected = _counts(original)
        original.backup(
            duplicate, pages=_PAGES, progress=lambda _, left, total: step("copy pages", total - left, total)
        )
        original.execute("ROLLBACK")
        if "lease" in _names(duplicate):
            # Nobody works on the copy.
            duplicate.execute("DELETE FROM lease")
            duplicate.commit()
        require_same(expected, _counts(duplicate))
    return _looked_at(draft, rows=expected, clock=clock, keys=keys, step=step)


def copy_rows(source: Store, draft: Path, *, clock: Clock, keys: Sequence[bytes], step: Step) -> Backup:
    """As :func:`copy_file`, from PostgreSQL, row by row."""
    with _room_for(draft), closing(Store(_url(draft), clock)) as target, source.at_one_moment() as out:
        revision = require_revision(out)
        with target.being_filled() as into:
            rows = pour(out, into, revision=revision, step=step)
    return _looked_at(draft, rows=rows, clock=clock, keys=keys, step=step)


@contextmanager
def _room_for(draft: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, OperationalError) as error:
        if "disk is full" not in str(getattr(error, "orig", None) or error):
            raise
        raise ConfigError(f"{draft.parent}: the disk is full; no backup was kept") from None


def _looked_at(draft: Path, *, rows: dict[str, int], clock: Clock, keys: Sequence[bytes], step: Step) -> Backup:
    with closing(Store(_url(draft), clock)) as store:
        with store.at_one_moment() as connection:
            revision = require_revision(connection)
        verdict = None
        if revision == newest():
            with store.reading() as unit:
                verdict = unit.ledger.verify(keys, step=lambda done, total: step("verify the ledger", done, total))
    _finish(draft)
    return Backup(rows=rows, revision=revision, verdict=verdict)


def _url(file: Path) -> str:
    return URL.create("sqlite", database=str(file)).render_as_string()


def _finish(draft: Path) -> None:
    """One file that can be read from anywhere: in WAL mode a folder that cannot be written to would keep it shut."""
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        found = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    if found != ["ok"]:
        told = "; ".join(part for row in found for part in row.splitlines() if not part.startswith("***"))
        raise CommandRefused(
            f"the copy is damaged, and so is the state, as a rule ({told}); no backup was kept. Stop "
            "optsync, keep a copy of the database's files, and restore the newest backup"
        )


def _names(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [name for (name,) in connection.execute(query)]


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    return {
        name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608 - our own tables
        for name in _names(connection)
        if name not in LEFT_BEHIND
    }
