"""The whole state is copied from one database into another, and the copy goes on as the original would."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from optsync.clock import ManualClock
from optsync.errors import CommandRefused, ConfigError, StateLocked
from optsync.state.copying import LEFT_BEHIND
from optsync.state.moving import Moved, move
from optsync.state.revisions import newest
from optsync.state.schema import contact_point, lease, metadata, statement
from optsync.state.store import Store
from optsync.sync.forget import forget
from tests.postgresql import require_server
from tests.scenarios.world import World
from tests.state.databases import COPIED, Databases, rows_of, tables_of
from tests.state.released.story import told
from tests.state.rows import out
from tests.state.test_migrations import move as migrate_to
from tests.state.test_upgrades import RELEASED, load

KINDS = ("sqlite", "postgresql")
DIRECTIONS = [(one, other) for one in KINDS for other in KINDS]
KEYS = (b"a secret of the tests",)


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.fixture
def databases(tmp_path: Path) -> Databases:
    require_server()
    return Databases(tmp_path)


@pytest.fixture
def stores(databases: Databases, clock: ManualClock) -> Iterator[Any]:
    """``stores(kind)`` or ``stores(url=…)`` opens one; all are closed at the end."""
    opened: list[Store] = []

    def make(kind: str = "sqlite", *, url: str | None = None) -> Store:
        opened.append(Store(url or databases.empty(kind), clock, keys=lambda: KEYS))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def with_a_past(folder: Path, url: str) -> World:
    """What synced systems leave behind: evidence, a held plan, and people who were forgotten, one who had said much."""
    w = told(folder, state_url=url)
    forget(w.engine, "ann2@example.com", actor="the privacy officer")
    return w


def moved(source: Store, target: Store, step: Any = lambda *_: None) -> Moved:
    return move(source, target, name="the target", keys=KEYS, step=step)


def say(store: Store, email: str = "p1@example.com", minutes: int = 60) -> None:
    with store.transaction() as unit:
        key = unit.points.require([email])[email]
        unit.ledger.append([(key, out(minutes, evidence={"ip": "192.0.2.1"}))], run="r")


def small(stores: Any, kind: str = "sqlite") -> Store:
    store: Store = stores(kind)
    store.migrate()
    say(store)
    return store


@pytest.mark.parametrize(("one", "other"), DIRECTIONS)
def test_a_state_with_a_past_arrives_whole_and_its_ledger_proves_itself(
    tmp_path: Path, databases: Databases, stores: Any, one: str, other: str
) -> None:
    w = with_a_past(tmp_path, databases.empty(one))
    target = stores(other)
    before = rows_of(w.store)
    done = moved(w.store, target)

    assert rows_of(target) == before == rows_of(w.store)
    assert done.rows == {name: len(rows) for name, rows in sorted(before.items())}
    assert all(done.rows[name] for name in ("system_record", "evidence", "plan", "issue", "erasure", "change", "link"))
    assert done.verdict is not None
    assert (done.verdict.findings, done.verdict.unsigned) == ([], 0)
    assert done.verdict.erased
    with w.store.reading() as there, target.reading() as here:
        assert done.verdict == there.ledger.verify(KEYS) == here.ledger.verify(KEYS)
    w.store.close()


def test_there_and_back_again_is_the_same_to_the_byte(tmp_path: Path, databases: Databases, stores: Any) -> None:
    w = with_a_past(tmp_path, databases.empty("sqlite"))
    on_server, back = stores("postgresql"), stores("sqlite")
    moved(w.store, on_server)
    moved(on_server, back)

    assert rows_of(back) == rows_of(w.store)
    w.store.close()


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_syncs_go_on_with_the_copy_where_they_were(
    tmp_path: Path, databases: Databases, stores: Any, one: str, other: str
) -> None:
    w: World = with_a_past(tmp_path, databases.empty(one))
    w._transport = None
    old, new = w.store, stores(other)
    moved(old, new)
    w.store = new
    w.engine = w.compose()
    w.sync(full=True)
    w.settle()
    w.esp.act("unsubscribe", email="ann4@example.com")
    w.sync()

    assert w.crm_shows("ann4@example.com")["opt_out"] is True
    with new.reading() as unit:
        assert unit.ledger.verify(KEYS).findings == []
    old.close()


@pytest.mark.parametrize(("one", "other"), DIRECTIONS)
def test_what_is_added_to_a_copy_gets_numbers_of_its_own(stores: Any, one: str, other: str) -> None:
    source, target = small(stores, one), stores(other)
    for number in range(2, 5):
        say(source, f"p{number}@example.com")
    moved(source, target)
    say(target, "p5@example.com")

    with target._engine.connect() as connection:
        assert sorted(connection.execute(sa.select(statement.c.id)).scalars()) == [1, 2, 3, 4, 5]
        assert sorted(connection.execute(sa.select(contact_point.c.id)).scalars()) == [1, 2, 3, 4, 5]


def test_every_numbered_table_of_a_copy_on_postgresql_counts_on(
    tmp_path: Path, databases: Databases, stores: Any
) -> None:
    w = with_a_past(tmp_path, databases.empty("sqlite"))
    target = stores("postgresql")
    moved(w.store, target)
    numbered = [t for t in COPIED if "id" in t.c]
    assert len(numbered) >= 8
    with target._engine.connect() as connection:
        for table in numbered:
            newest_id = connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
            sequence = sa.func.pg_get_serial_sequence(f'"{table.name}"', "id")
            assert connection.execute(sa.select(sa.func.nextval(sequence))).scalar_one() == (newest_id or 0) + 1
    w.store.close()


def test_many_rows_are_copied_in_parts_and_told_of(stores: Any) -> None:
    source, target = stores("sqlite"), stores("postgresql")
    source.migrate()
    with source.transaction() as unit:
        unit.points.require([f"p{n}@example.com" for n in range(4500)])
    told_of: list[tuple[str, int, int]] = []
    moved(source, target, step=lambda *part: told_of.append(part))

    assert rows_of(target) == rows_of(source)
    assert [done for name, done, total in told_of if name == "copy"] == [0, 2000, 4000, 4500]


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_an_earlier_schema_is_copied_and_the_copy_has_the_newest(stores: Any, path: Path, kind: str) -> None:
    source, target = stores("sqlite"), stores(kind)
    migrate_to(source, path.stem)
    load(source, json.loads(path.read_text()))
    done = moved(source, target)

    assert done.revision == path.stem
    assert done.verdict is None or done.verdict.findings == []
    source.migrate()
    assert rows_of(target) == rows_of(source)
    target.migrate()
    with target.reading() as unit:
        assert unit.ledger.count() == done.rows["statement"] > 0


# refusals


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_while_somebody_works_on_the_state_it_is_not_copied(
    stores: Any, databases: Databases, clock: ManualClock, one: str, other: str
) -> None:
    source, url = small(stores, one), databases.empty(other)
    with source.transaction() as unit:
        taken = unit.leases.take_all(["sync letter", "read mc/list"], holder="optsync")
    holder = rf"read mc/list is being worked on by optsync on {socket.gethostname()} \(process {os.getpid()}\).*1 more"
    with pytest.raises(StateLocked, match=holder):
        moved(source, stores(url=url))
    assert other == "sqlite" or tables_of(url) == []

    with source.transaction() as unit:
        unit.leases.give_back(*taken)
    target = stores(url=url)
    moved(source, target)
    with target._engine.connect() as connection:
        assert connection.execute(sa.select(lease)).all() == []


def test_a_lease_whose_holder_is_gone_keeps_nobody(stores: Any, clock: ManualClock) -> None:
    source = small(stores)
    with source.transaction() as unit:
        unit.leases.take("sync letter", holder="optsync")
    clock.advance(timedelta(seconds=61).total_seconds())
    assert moved(source, stores("postgresql")).rows["statement"] == 1


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_nobody_writes_to_the_state_while_it_is_copied(stores: Any, clock: ManualClock, one: str, other: str) -> None:
    source = small(stores, one)
    impatient = Store(str(source._engine.url.render_as_string(hide_password=False)), clock)
    refused: list[str] = []

    def try_to_write(*_: object) -> None:
        if refused:
            return
        impatience = "PRAGMA busy_timeout=50" if impatient.is_sqlite else "SET lock_timeout='50ms'"
        with impatient._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(impatience)
            try:
                driver.execute("BEGIN IMMEDIATE" if impatient.is_sqlite else "DELETE FROM meta")
            except connection.dialect.loaded_dbapi.OperationalError as error:
                refused.append(str(error))

    moved(source, stores(other), step=try_to_write)
    impatient.close()
    assert len(refused) == 1
    say(source, "p2@example.com")


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_holds_a_state_is_refused_and_left_alone(stores: Any, kind: str) -> None:
    source, target = small(stores), small(stores, kind)
    before = rows_of(target)
    with pytest.raises(CommandRefused, match=r"the target is not empty: .*block, contact_point, evidence"):
        moved(source, target)
    assert rows_of(target) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_of_somebody_else_is_refused_and_left_alone(stores: Any, databases: Databases, kind: str) -> None:
    url = databases.empty(kind)
    target = stores(url=url)
    with target._engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE invoices (id INTEGER)"))
    with pytest.raises(CommandRefused, match=r"tables that are not optsync's \(invoices\)"):
        moved(small(stores), target)
    assert tables_of(url) == ["invoices"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_database_with_the_schema_is_as_good_as_one_without(stores: Any, kind: str) -> None:
    source, target = small(stores), stores(kind)
    target.migrate()
    moved(source, target)
    assert rows_of(target) == rows_of(source)


def test_a_schema_that_is_newer_than_the_state_is_refused(stores: Any) -> None:
    source, target = stores("sqlite"), stores("sqlite")
    migrate_to(source, "0001")
    target.migrate()
    with pytest.raises(CommandRefused, match=rf"has schema {newest()}, .* has 0001"):
        moved(source, target)


def test_a_file_without_a_state_is_told(stores: Any) -> None:
    with pytest.raises(CommandRefused, match="no state in this database"):
        moved(stores("sqlite"), stores("postgresql"))


def test_a_server_that_does_not_know_the_database_is_told(stores: Any) -> None:
    url = make_absent(str(require_server().render_as_string(hide_password=False)))
    with pytest.raises(ConfigError, match=r"the target cannot be used .*does not exist"):
        moved(small(stores), stores(url=url))


def make_absent(url: str) -> str:
    return url.rpartition("/")[0] + "/nobody_made_this"


def test_a_row_that_the_target_does_not_take_is_named_without_its_values(stores: Any, databases: Databases) -> None:
    source, url = small(stores), databases.empty("postgresql")
    with source._engine.begin() as connection:
        connection.execute(sa.text("UPDATE statement SET source = 'anna@example.com' || printf('%.50c', 'x')"))
    with pytest.raises(CommandRefused, match=r"^statement: .*too long.*nothing was kept") as refused:
        moved(source, stores(url=url))
    assert "anna" not in str(refused.value)
    assert tables_of(url) == []


def test_a_ledger_that_was_edited_is_copied_as_it_is_and_told(stores: Any) -> None:
    source, target = small(stores), stores("postgresql")
    with source._engine.begin() as connection:
        connection.execute(sa.update(statement).values(reason="another"))
    done = moved(source, target)

    assert done.verdict is not None
    assert [finding.statement for finding in done.verdict.findings] == [1, None]
    assert rows_of(target) == rows_of(source)


# interruptions


@pytest.mark.parametrize("at", ["copy", "verify the ledger"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_is_stopped_leaves_the_target_empty(stores: Any, databases: Databases, kind: str, at: str) -> None:
    source, url = small(stores), databases.empty(kind)

    def stop(name: str, done: int, total: int) -> None:
        if name == at and done == total:
            raise Stopped

    with pytest.raises(Stopped):
        moved(source, stores(url=url), step=stop)
    assert tables_of(url) == []
    target = stores(url=url)
    moved(source, target)
    assert rows_of(target) == rows_of(source)


DYING = """
import os, sys
from optsync.clock import SystemClock
from optsync.state.moving import move
from optsync.state.store import Store

def step(name, done, total):
    if name == "copy" and done == total:
        os._exit(9)

source, target = (Store(url, SystemClock()) for url in sys.argv[1:])
move(source, target, name="the target", keys=(), step=step)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_whose_process_dies_leaves_the_target_empty(stores: Any, databases: Databases, kind: str) -> None:
    source, url = small(stores), databases.empty(kind)
    source.close()
    where = source._engine.url.render_as_string(hide_password=False)
    assert subprocess.run([sys.executable, "-c", DYING, where, url], check=False).returncode == 9
    assert tables_of(url) == []


def test_all_tables_are_copied_but_leases() -> None:
    assert {table.name for table in COPIED} == set(metadata.tables) - LEFT_BEHIND
