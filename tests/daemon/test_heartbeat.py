import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from optsync.clock import SystemClock
from optsync.errors import StateLocked
from optsync.state.leases import Lease
from optsync.state.schema import lease
from optsync.state.store import Store
from optsync.sync.heartbeat import Heartbeat
from optsync.sync.run import run_cycle
from tests.daemon.world import wait_for
from tests.scenarios.world import World, person

SOON = timedelta(milliseconds=20)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'state.db'}", SystemClock())
    store.migrate()
    yield store
    store.close()


def take(store: Store) -> Lease:
    with store.transaction() as unit:
        return unit.leases.take("sync newsletter", holder="a test")


def beaten_at(store: Store) -> datetime:
    with store._engine.connect() as connection:
        moment: datetime = connection.execute(sa.select(lease.c.beat_at)).scalar_one()
        return moment


def beating() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("heartbeat")]


def test_a_lease_is_beaten_while_its_holder_waits(store: Store) -> None:
    held = take(store)
    before = beaten_at(store)
    with Heartbeat(store, held, every=SOON):
        wait_for(lambda: beaten_at(store) > before, "a beat", within=3)
        assert beating() == ["heartbeat sync newsletter"]
    after = beaten_at(store)
    assert beating() == []
    SystemClock().sleep(0.1)
    assert beaten_at(store) == after


def test_a_lease_that_was_given_back_ends_the_beating_and_hurts_nobody(store: Store) -> None:
    held = take(store)
    with Heartbeat(store, held, every=SOON):
        with store.transaction() as unit:
            unit.leases.give_back(held)
        wait_for(lambda: not beating(), "the beating ends", within=3)


def test_a_beat_waits_for_a_writer_and_goes_on_after_it(store: Store) -> None:
    held = take(store)
    with Heartbeat(store, held, every=SOON):
        with store.transaction() as unit:
            unit.leases.beat(held)
            SystemClock().sleep(0.3)
        between = beaten_at(store)
        wait_for(lambda: beaten_at(store) > between, "a beat after the writer", within=3)


def test_the_commits_of_whoever_lost_the_lease_are_still_refused(store: Store) -> None:
    held = take(store)
    with Heartbeat(store, held, every=SOON), store.transaction() as unit, pytest.raises(StateLocked):
        unit.leases.beat(replace(held, fence=held.fence - 1))


class _Listening:
    """Looks at the threads at every step of a run."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def step(self, name: str, done: int, total: int | None) -> None:
        self.seen |= set(beating())


def test_a_run_beats_its_lease_and_a_rehearsal_or_a_run_in_virtual_time_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)], state_url=f"sqlite:///{tmp_path / 'state.db'}")
    virtual, rehearsal, real = _Listening(), _Listening(), _Listening()
    run_cycle(world.engine, progress=virtual)
    engine = replace(world.engine, beats=True)
    run_cycle(engine, progress=rehearsal, is_rehearsal=True, full=True)
    run_cycle(engine, progress=real, full=True)
    assert (virtual.seen, rehearsal.seen, real.seen) == (set(), set(), {"heartbeat sync newsletter"})
    assert beating() == []
    world.engine.close()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="there is one such clock on this system")
def test_what_tells_that_a_lease_is_over_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", float)
    assert SystemClock().monotonic() == time.CLOCK_BOOTTIME
