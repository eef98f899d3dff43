"""Transactions, rehearsals, and times."""

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from optsync.clock import ManualClock
from optsync.daemon.lanes import MOST
from optsync.model.change import ChangeKind
from optsync.model.link import Agreed, Link
from optsync.state.issues import NewIssue
from optsync.state.store import Store
from optsync.state.unit import Unit
from tests.postgresql import create_database, require_server, server, text_of
from tests.state.rows import NOW, change, dump, member, out, stored


class Stopped(Exception):
    """Something went wrong in the middle."""


def fill(unit: Unit, number: int) -> None:
    """Something in most tables."""
    source, keys = stored(unit, [member(number)])
    points = list(unit.points.find([f"p{number}@example.com"]).values())
    unit.ledger.append([(points[0], out(number, evidence={"ip": "192.0.2.1"}))], run="r")
    unit.points.mark(["letter"], points)
    unit.points.cache_standings({(points[0], "acme/news"): "out"})
    unit.changes.plan("r", [change(keys[0], points[0], ChangeKind.OPT_OUT)])
    unit.links.save("letter", [Link(crm=keys[0], esp=keys[0], agreed={"a=b": Agreed("x", None)})])
    unit.issues.open(NewIssue(kind="refused", message="m", point_id=points[0]), run="r")
    unit.sources.note_shown(keys[:1], is_news=True)
    unit.sources.note_ticked(source, ["Offers"])
    unit.runs.begin(f"run {number}", ["letter"])
    unit.leases.take(f"lease {number}", holder="test")
    unit.meta.put("number", str(number))


def fill_and_stop(store: Store, number: int) -> None:
    with store.transaction() as unit:
        fill(unit, number)
        raise Stopped


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with store.transaction() as unit:
        fill(unit, 1)
    before = dump(store)

    with pytest.raises(Stopped):
        fill_and_stop(store, 2)
    assert dump(store) == before


@pytest.mark.parametrize("fails", [False, True])
def test_a_rehearsal_leaves_every_table_as_it_was(store: Store, fails: bool) -> None:
    with store.transaction() as unit:
        fill(unit, 1)
    before = dump(store)
    assert sum(map(bool, before.values())) >= 13

    def rehearse() -> None:
        with store.rehearsal():
            with store.transaction() as unit:
                fill(unit, 2)
            with store.reading() as unit:
                assert unit.meta.get("number") == "2"
                assert unit.ledger.count() == 2
            if fails:
                raise Stopped

    if fails:
        with pytest.raises(Stopped):
            rehearse()
    else:
        rehearse()
    assert dump(store) == before
    with store.transaction() as unit:
        fill(unit, 3)
    assert dump(store) != before


def test_a_transaction_that_fails_inside_a_rehearsal_undoes_itself_alone(store: Store) -> None:
    with store.rehearsal():
        with store.transaction() as unit:
            unit.meta.put("number", "1")
        with pytest.raises(Stopped):
            fill_and_stop(store, 2)
        with store.reading() as unit:
            assert unit.meta.get("number") == "1"


def test_on_sqlite_four_threads_that_read_and_then_write_lose_no_update(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(f"sqlite:///{tmp_path}/state.db", clock)
    store.migrate()
    with store.transaction() as unit:
        unit.meta.put("count", "0")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                with store.transaction() as unit:
                    unit.meta.put("count", str(int(unit.meta.get("count") or "0") + 1))
        except BaseException as error:  # noqa: BLE001 - told to the test, in its own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with store.reading() as unit:
        assert unit.meta.get("count") == "800"
    store.close()


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1965, 3, 4, 5, 6, 7, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_times_keep_their_microseconds_and_come_back_aware(store: Store, moment: datetime) -> None:
    with store.transaction() as unit:
        source = unit.sources.require("mc", "list")
        unit.sources.finish_read(source.id, cursor=None, saved=None, at=moment, full_at=None)
        found = unit.sources.require("mc", "list")

    assert found.read_at == moment
    assert found.read_at is not None
    assert found.read_at.tzinfo is UTC


def test_times_of_other_zones_are_the_same_moment_and_naive_ones_are_refused(store: Store) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    with store.transaction() as unit:
        source = unit.sources.require("mc", "list")
        unit.sources.finish_read(source.id, cursor=None, saved=None, at=there, full_at=None)
        assert unit.sources.require("mc", "list").read_at == NOW
    with pytest.raises(ValueError, match="without a time zone"), store.transaction() as unit:
        unit.sources.finish_read(source.id, cursor=None, saved=None, at=NOW.replace(tzinfo=None), full_at=None)


def test_as_many_runs_as_there_are_lanes_keep_a_connection_at_hand_and_nobody_else_waits_for_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    store = Store(f"sqlite:///{tmp_path}/state.db", clock)
    store.migrate()
    at_work, is_over = threading.Barrier(MOST + 1, timeout=20), threading.Event()

    def run() -> None:
        with store.at_hand():
            at_work.wait()
            is_over.wait(20)

    lanes = [threading.Thread(target=run) for _ in range(MOST)]
    for lane in lanes:
        lane.start()
    try:
        at_work.wait()
        with store.transaction() as unit:
            unit.meta.put("heard", "yes")
    finally:
        is_over.set()
        for lane in lanes:
            lane.join()
    store.close()


def test_a_server_that_has_vanished_is_given_up_after_half_a_minute_unless_the_url_says_otherwise(
    clock: ManualClock,
) -> None:
    require_server()
    url = server()
    own = {"connect_timeout": "3", "keepalives_idle": "7"}

    def told(given: URL) -> dict[str, str]:
        with closing(Store(text_of(given), clock)) as store, store.at_one_moment() as connection:
            driver: Any = connection.connection.driver_connection
            return dict(driver.info.get_parameters())

    expected = {
        "connect_timeout": "10",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
    assert told(url).items() >= expected.items()
    assert told(url.update_query_dict(own)).items() >= {**expected, **own}.items()


def test_on_postgresql_tables_that_others_keep_locked_are_to_be_wiped_again(clock: ManualClock) -> None:
    require_server()
    url = create_database()
    impatient = url.update_query_dict({"options": "-c lock_timeout=100"})
    store, other = Store(text_of(impatient), clock), Store(text_of(url), clock)
    store.migrate()
    with other._engine.connect() as connection:
        # As another erasure's wiping does.
        connection.execute(sa.text("LOCK TABLE statement IN SHARE UPDATE EXCLUSIVE MODE"))
        assert not store.wipe()
    assert store.wipe()
    store.close()
    other.close()


def test_on_postgresql_statistics_are_gathered_once_half_of_a_table_is_new(clock: ManualClock) -> None:
    require_server()
    store = Store(text_of(create_database()), clock)
    store.migrate()

    def known() -> float:
        with store._engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
            query = "SELECT reltuples FROM pg_class WHERE relname = 'contact_point'"
            return float(connection.execute(sa.text(query)).scalar_one())

    assert known() <= 0, "nothing is known of an empty table"
    for part in range(32):
        known()
        with store.transaction() as unit:
            unit.points.require([f"ann{part}.{n}@example.com" for n in range(100)])
    assert known() > 1000
    store.close()
