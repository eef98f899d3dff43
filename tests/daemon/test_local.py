"""The scheduler with runs that are only pretended; real time, in tenths of a second."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from optsync.clock import SystemClock
from optsync.config.schema import SyncConfig
from optsync.connect.settings import CrmSide, EspSide
from optsync.daemon.dispatcher import Dispatcher
from optsync.daemon.local import LocalDispatcher
from optsync.metrics import Metrics
from optsync.state.store import Store
from tests.daemon.world import wait_for


class Runs:
    """Remembers what ran, and whether two runs of one sync or of one lane ever met."""

    def __init__(self, *, seconds: float = 0.0, fails: str = "", more: int = 0, within: float = 0.0) -> None:
        """``more``: runs of each sync after which another one is to begin, ``within`` so many seconds."""
        self.started: list[str] = []
        self.ended: list[str] = []
        self.together: set[frozenset[str]] = set()
        self.gate = threading.Event()
        self.gate.set()
        self._seconds = seconds
        self._fails = fails
        self._more = more
        self._within = within
        self._now: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, sync: str) -> float | None:
        with self._lock:
            self.started.append(sync)
            self.together |= {frozenset((sync, other)) for other in self._now}
            self._now.append(sync)
        SystemClock().sleep(self._seconds)
        self.gate.wait(10)
        with self._lock:
            self._now.remove(sync)
            self.ended.append(sync)
        if sync == self._fails:
            raise RuntimeError("a bug")
        return self._within if self.ended.count(sync) <= self._more else None


class Jumping(SystemClock):
    """The machine's clock, and then some."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Setting:
    def __init__(self, runs: Callable[[str], float | None], lanes: dict[str, int], **options: Any) -> None:
        self.clock = clock = Jumping()
        syncs = {name: _sync(**options).named(name) for name in lanes}
        self.metrics = Metrics(Store("sqlite://", clock), clock, syncs, ())
        self.dispatcher: Dispatcher = LocalDispatcher(
            syncs, runs, lanes=lanes, metrics=self.metrics, clock=clock, rng=random.Random(1)
        )

    @contextmanager
    def started(self) -> Iterator[Dispatcher]:
        self.dispatcher.start()
        try:
            yield self.dispatcher
        finally:
            self.dispatcher.stop(5)

    def count(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


def _sync(**options: Any) -> SyncConfig:
    sides = {"crm": CrmSide(system="crm"), "esp": EspSide(system="esp", audience="1")}
    return SyncConfig.model_validate({**sides, **({"every": timedelta(seconds=1)} | options)})


def test_every_sync_runs_soon_after_the_start_and_then_by_its_schedule() -> None:
    runs = Runs()
    with Setting(runs, {"a": 0, "b": 1}).started() as dispatcher:
        wait_for(lambda: {"a", "b"} <= set(runs.started), "the first runs", within=5)
        wait_for(lambda: min(runs.started.count("a"), runs.started.count("b")) >= 3, "further runs", within=10)
        assert dispatcher.is_alive()
        assert dispatcher.neglected() == []


def test_a_sync_with_a_crontab_runs_once_at_the_start_and_then_waits_for_its_time() -> None:
    runs = Runs()
    setting = Setting(runs, {"a": 0}, every=None, cron="0 0 29 2 *")
    with setting.started() as dispatcher:
        wait_for(lambda: runs.started == ["a"], "the first run", within=6)
        SystemClock().sleep(1.2)
        assert runs.started == ["a"]
        assert dispatcher.neglected() == []


def test_a_run_that_leaves_something_to_be_done_is_followed_by_another_and_others_of_its_lane_get_their_turn() -> None:
    runs = Runs(more=3)
    with Setting(runs, {"a": 0, "b": 0}, every=None, cron="0 0 29 2 *").started():
        wait_for(lambda: len(runs.ended) == 8, "four runs of each", within=10)
        SystemClock().sleep(1.2)
    assert sorted(runs.ended) == ["a"] * 4 + ["b"] * 4
    assert runs.together == set()


def test_a_run_that_found_others_at_work_is_followed_by_another_long_before_its_time() -> None:
    runs = Runs(more=1, within=1.0)
    with Setting(runs, {"a": 0}, every=None, cron="0 0 29 2 *").started():
        wait_for(lambda: runs.ended == ["a"], "the first run", within=6)
        SystemClock().sleep(0.5)
        assert runs.started == ["a"]
        wait_for(lambda: runs.ended == ["a", "a"], "another one", within=5)
        SystemClock().sleep(1.2)
        assert runs.started == ["a", "a"]


def test_a_run_that_ends_before_the_scheduler_has_noted_its_start_is_followed_by_another_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes = Future.add_done_callback

    def slow(future: Future[Any], callback: Callable[[Future[Any]], object]) -> None:
        SystemClock().sleep(0.1)
        notes(future, callback)

    monkeypatch.setattr(Future, "add_done_callback", slow)
    runs = Runs(more=1)
    with Setting(runs, {"a": 0}, every=None, cron="0 0 29 2 *").started():
        wait_for(lambda: len(runs.ended) == 2, "another run", within=10)


def test_a_run_that_lasts_longer_than_its_interval_is_never_met_by_another_and_the_skipped_ones_are_counted() -> None:
    runs = Runs(seconds=2.3)
    setting = Setting(runs, {"a": 0})
    with setting.started():
        wait_for(lambda: len(runs.ended) >= 2, "two runs", within=10)
    assert runs.together == set()
    assert setting.count("optsync_missed_runs_total", sync="a", cause="running") >= 2


def test_syncs_of_one_lane_run_one_after_the_other_and_lanes_side_by_side() -> None:
    runs = Runs(seconds=0.6)
    with Setting(runs, {"a": 0, "b": 0, "c": 1}).started():
        wait_for(lambda: min(runs.ended.count(n) for n in "abc") >= 2, "all of them run", within=12)
    assert frozenset("ab") not in runs.together
    assert runs.together & {frozenset("ac"), frozenset("bc")}


def test_a_run_that_breaks_off_is_counted_and_stops_neither_itself_nor_others() -> None:
    runs = Runs(fails="a")
    setting = Setting(runs, {"a": 0, "b": 0})
    with setting.started():
        wait_for(lambda: min(runs.ended.count("a"), runs.ended.count("b")) >= 2, "both go on", within=12)
    assert setting.count("optsync_runs_total", sync="a", state="crashed") >= 1
    assert setting.count("optsync_runs_total", sync="b", state="crashed") == 0


def test_a_triggered_sync_runs_at_once() -> None:
    runs = Runs()
    with Setting(runs, {"a": 0}, every=timedelta(hours=1)).started() as dispatcher:
        wait_for(lambda: runs.ended == ["a"], "the first run", within=6)
        dispatcher.trigger("a")
        wait_for(lambda: runs.ended == ["a", "a"], "the triggered one", within=3)
        with pytest.raises(KeyError):
            dispatcher.trigger("of nobody")


def test_a_sync_triggered_while_it_runs_runs_once_more_and_no_more_than_that() -> None:
    runs = Runs()
    runs.gate.clear()
    setting = Setting(runs, {"a": 0}, every=timedelta(hours=1))
    with setting.started() as dispatcher:
        wait_for(lambda: runs.started == ["a"], "the first run", within=6)
        for _ in range(5):
            dispatcher.trigger("a")
        SystemClock().sleep(0.3)
        assert runs.started == ["a"]
        runs.gate.set()
        wait_for(lambda: len(runs.ended) == 2, "once more", within=5)
        SystemClock().sleep(0.5)
        assert runs.ended == ["a", "a"]
    assert setting.count("optsync_missed_runs_total", sync="a", cause="running") == 0, "nothing was missed"


def test_stopping_waits_for_the_run_under_way_and_starts_nothing_more() -> None:
    runs = Runs(seconds=1.0)
    setting = Setting(runs, {"a": 0, "b": 0}, every=timedelta(hours=1))
    setting.dispatcher.start()
    wait_for(lambda: len(runs.started) == 1, "the first run", within=6)
    setting.dispatcher.trigger("b" if runs.started == ["a"] else "a")
    SystemClock().sleep(0.3)
    assert setting.dispatcher.stop(5)
    assert len(runs.ended) == 1
    SystemClock().sleep(0.8)
    assert len(runs.started) == 1, "the sync that waited for its lane was not begun"
    assert not setting.dispatcher.is_alive()


def test_stopping_gives_up_on_a_run_that_does_not_end() -> None:
    runs = Runs()
    runs.gate.clear()
    setting = Setting(runs, {"a": 0})
    setting.dispatcher.start()
    wait_for(lambda: len(runs.started) == 1, "the first run", within=3)
    assert not setting.dispatcher.stop(0.2)
    runs.gate.set()
    assert setting.dispatcher.stop(5)


def test_a_dispatcher_that_was_not_started_is_not_alive_and_can_be_stopped() -> None:
    setting = Setting(Runs(), {"a": 0})
    assert not setting.dispatcher.is_alive()
    assert setting.dispatcher.stop(0.1)


def test_a_scheduler_that_gets_round_to_nothing_is_not_alive_until_it_does_again() -> None:
    setting = Setting(Runs(), {"a": 0})
    with setting.started() as dispatcher:
        assert dispatcher.is_alive()
        setting.clock.ahead = 90
        assert not dispatcher.is_alive()
        wait_for(dispatcher.is_alive, "its next pulse", within=10)


def test_syncs_run_although_the_clock_was_set_back_after_their_next_time_was_noted() -> None:
    runs = Runs()
    setting = Setting(runs, {"a": 0})
    with setting.started() as dispatcher:
        wait_for(lambda: bool(runs.ended), "the first run", within=6)
        for job in dispatcher._scheduler.get_jobs():  # type: ignore[attr-defined]
            job.modify(next_run_time=job.next_run_time + timedelta(hours=24))
        done = len(runs.ended)
        setting.clock.ahead = 90
        assert not dispatcher.is_alive()
        wait_for(lambda: len(runs.ended) >= done + 3, "further runs", within=15)
        wait_for(dispatcher.is_alive, "a pulse", within=10)
