"""A backup shows one moment, whole, while others go on writing."""

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from optsync.clock import ManualClock
from optsync.errors import CommandRefused
from optsync.state.backup import Backup, copy_file, copy_rows
from optsync.state.schema import lease
from optsync.state.store import Store
from tests.postgresql import require_server
from tests.state.databases import Databases, Rows, rows_of
from tests.state.released.story import told
from tests.state.rows import out
from tests.state.test_migrations import move as migrate_to
from tests.state.test_upgrades import RELEASED, load

KEYS = (b"a secret of the tests",)


def quiet(*_: object) -> None:
    """Shows no progress."""


def backed_up(store: Store, draft: Path, clock: ManualClock, step: Any = quiet) -> Backup:
    if store.is_sqlite:
        return copy_file(Path(str(store._engine.url.database)), draft, clock=clock, keys=KEYS, step=step)
    return copy_rows(store, draft, clock=clock, keys=KEYS, step=step)


def held_in(file: Path, clock: ManualClock) -> Rows:
    with closing(Store(f"sqlite:///{file}", clock)) as store:
        return rows_of(store)


def say(store: Store, email: str) -> None:
    with store.transaction() as unit:
        key = unit.points.require([email])[email]
        unit.ledger.append([(key, out(60, evidence={"ip": "192.0.2.1"}))], run="r")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_holds_everything_and_proves_itself(tmp_path: Path, clock: ManualClock, kind: str) -> None:
    require_server()
    w = told(tmp_path, state_url=Databases(tmp_path).empty(kind))
    draft = tmp_path / "backup.db"
    done = backed_up(w.store, draft, clock)

    assert held_in(draft, clock) == rows_of(w.store)
    assert done.rows == {name: len(rows) for name, rows in sorted(rows_of(w.store).items())}
    assert done.verdict is not None
    with w.store.reading() as unit:
        assert done.verdict == unit.ledger.verify(KEYS)
    assert not done.verdict.found
    w.store.close()


def test_a_backup_is_one_file_that_can_be_read_where_nothing_can_be_written(
    tmp_path: Path, store: Store, clock: ManualClock
) -> None:
    say(store, "p1@example.com")
    draft = tmp_path / "backup.db"
    backed_up(store, draft, clock)

    assert [p.name for p in tmp_path.glob("backup*")] == ["backup.db"]
    assert draft.read_bytes()[18:20] == b"\x01\x01", "not in WAL mode, which needs files beside it"


def test_nobody_works_on_a_backup(tmp_path: Path, store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        unit.leases.take("sync letter", holder="optsync")
    backed_up(store, tmp_path / "backup.db", clock)
    with closing(Store(f"sqlite:///{tmp_path}/backup.db", clock)) as copy, copy._engine.connect() as connection:
        assert connection.execute(sa.select(lease)).all() == []


def test_a_backup_shows_the_moment_of_its_beginning_while_others_write(
    tmp_path: Path, store: Store, clock: ManualClock
) -> None:
    for number in range(20):
        say(store, f"p{number}@example.com")
    before = rows_of(store)
    later = iter(range(1000, 2000))

    def go_on(*_: object) -> None:
        # In a thread of its own: another process, as far as the database can tell.
        thread = threading.Thread(target=say, args=(store, f"p{next(later)}@example.com"))
        thread.start()
        thread.join()

    done = backed_up(store, tmp_path / "backup.db", clock, step=go_on)

    assert next(later) > 1001
    assert rows_of(store) != before
    assert held_in(tmp_path / "backup.db", clock) == before
    assert done.rows["statement"] == 20
    assert done.verdict is not None
    assert not done.verdict.found


def test_a_writer_that_never_rests_does_not_keep_a_backup_from_ending(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(f"sqlite:///{tmp_path}/state.db", clock)
    store.migrate()
    with store.transaction() as unit:
        unit.points.require([f"somebody-with-a-long-name-{n}@example.com" for n in range(60_000)])
    stopping, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not stopping.is_set():
            written += 1
            with store.transaction() as unit:
                unit.meta.put("written", str(written))

    thread = threading.Thread(target=write)
    thread.start()
    told_of: list[tuple[str, int, int]] = []
    try:
        done = backed_up(store, tmp_path / "backup.db", clock, step=lambda *part: told_of.append(part))
    finally:
        stopping.set()
        thread.join()
    store.close()

    pages = [part for part in told_of if part[0] == "copy pages"]
    assert len(pages) > 1
    assert pages == sorted(pages), "it did not begin again"
    assert (done.rows["contact_point"], written > 1) == (60_000, True)


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_a_state_that_was_not_brought_up_to_date_yet_is_backed_up_as_it_is(
    tmp_path: Path, url: str, clock: ManualClock, path: Path
) -> None:
    store = Store(url, clock)
    migrate_to(store, path.stem)
    load(store, json.loads(path.read_text()))
    done = backed_up(store, tmp_path / "backup.db", clock)
    assert done.revision == path.stem

    store.migrate()
    with closing(Store(f"sqlite:///{tmp_path}/backup.db", clock)) as copy:
        copy.migrate()
        assert rows_of(copy) == rows_of(store)
    store.close()


def test_a_damaged_file_gives_no_backup(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(f"sqlite:///{tmp_path}/state.db", clock)
    store.migrate()
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_issue_of_sync'"
        page = connection.execute(query).fetchone()[0] - 1
    with (tmp_path / "state.db").open("r+b") as file:
        # How much of the page is in fragments: nothing that only counts rows would notice.
        file.seek(page * 4096 + 7)
        file.write(b"\x30")

    with pytest.raises(CommandRefused, match=r"the copy is damaged, and so is the state.*Page .*free space"):
        backed_up(store, tmp_path / "backup.db", clock)


def test_a_database_without_a_state_gives_none_either(tmp_path: Path, url: str, clock: ManualClock) -> None:
    store = Store(url, clock)
    with store._engine.connect():
        pass
    with pytest.raises(CommandRefused, match="no state in this database"):
        backed_up(store, tmp_path / "backup.db", clock)
    store.close()
