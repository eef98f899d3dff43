"""One run of one sync as the daemon does it: counted, logged, watched."""

import threading
from collections.abc import Callable

import structlog

from optsync.errors import CommandRefused
from optsync.metrics import Metrics, is_locked
from optsync.state.leases import FREE_AFTER
from optsync.sync.check import AnotherAccount, run_on_known_accounts
from optsync.sync.engine import Engine
from optsync.sync.report import SyncReport

_log = structlog.get_logger(__name__)
_STUCK_AFTER = 2 * 3600.0
"""Seconds without a step. Vendors may lawfully make us wait for more than an hour; then something hangs."""


class Runner:
    """``stopping`` is asked between batches of writes: a run ends after the batch in flight."""

    def __init__(self, engine: Engine, metrics: Metrics, stopping: Callable[[], bool]) -> None:
        self._engine = engine
        self._metrics = metrics
        self._stopping = stopping
        self._steps: dict[str, float] = {}
        self._lock = threading.Lock()

    def run(self, sync: str) -> float | None:
        """Runs one cycle, with one turn of ordinary writes; when the next one is to begin at the latest, where more of
        them could be sent at once, or others worked on it. Systems that fail are in the log and in the metrics, and the
        next run tries again: the schedule is the backoff."""
        watch = _Watch(lambda: self._note(sync))
        started = self._engine.clock.monotonic()
        self._note(sync)
        try:
            report = run_on_known_accounts(self._engine, [sync], one_turn=True, progress=watch, stopping=self._stopping)
        except (AnotherAccount, CommandRefused) as refusal:
            self._metrics.crashed(sync)
            _log.error("sync refused", sync=sync, reason=str(refusal))
            return None
        finally:
            with self._lock:
                del self._steps[sync]
        result = report.syncs[sync]
        self._metrics.ran(sync, result, seconds=self._engine.clock.monotonic() - started)
        _say(sync, report.run, result)
        if is_locked(result):
            return FREE_AFTER.total_seconds()
        return 0.0 if result.has_more else None

    def stuck(self) -> list[str]:
        """Syncs whose run has come no further for two hours."""
        now = self._engine.clock.monotonic()
        with self._lock:
            return sorted(sync for sync, at in self._steps.items() if now - at > _STUCK_AFTER)

    def _note(self, sync: str) -> None:
        with self._lock:
            self._steps[sync] = self._engine.clock.monotonic()


class _Watch:
    """Takes note of every step of a run."""

    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note

    def step(self, name: str, done: int, total: int | None) -> None:
        del name, done, total
        self._note()


def _say(sync: str, run: str, report: SyncReport) -> None:
    if is_locked(report):
        _log.info("sync left to another process", sync=sync, run=run, reason=str(report.failures[0]))
    elif report.failures:
        _log.warning("sync failed", sync=sync, run=run, reasons=[str(failure) for failure in report.failures])
    elif report.state == "held":
        _log.warning("sync held", sync=sync, run=run, plan=report.plan)
    if report.is_stopped:
        _log.info("sync stopped before all was written", sync=sync, run=run)
    for system, left in report.unsent.items():
        _log.info("changes wait", sync=sync, run=run, system=system, **left)
