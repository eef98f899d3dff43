"""What Prometheus is told, in a registry of its own."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from optsync.clock import Clock
from optsync.errors import StateLocked
from optsync.model.change import ChangeState
from optsync.state.runs import Run, Runs
from optsync.state.store import Store
from optsync.state.unit import Unit
from optsync.sync.journaled import counted
from optsync.sync.report import SyncReport
from optsync.sync.status import oldest_out, was_good

_log = structlog.get_logger(__name__)
_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
RUN_STATES = ("done", "held", "failed", "locked", "crashed")


class Metrics:
    """Counts what the runs did; what the state database knows is asked when somebody looks."""

    def __init__(self, store: Store, clock: Clock, syncs: Iterable[str], systems: Iterable[str]) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        self._runs = Counter("optsync_runs", "Runs that ended.", ["sync", "state"], registry=self.registry)
        self._seconds = Histogram(
            "optsync_run_seconds", "How long runs took.", ["sync"], buckets=_SECONDS, registry=self.registry
        )
        self._changes = Counter(
            "optsync_changes_applied", "Changes applied.", ["system", "kind"], registry=self.registry
        )
        self._calls = Counter("optsync_calls", "Requests sent to systems.", ["system"], registry=self.registry)
        self._missed = Counter(
            "optsync_missed_runs", "Due runs that did not start.", ["sync", "cause"], registry=self.registry
        )
        self._succeeded = Gauge(
            "optsync_last_success_timestamp_seconds", "When a run last ended well.", ["sync"], registry=self.registry
        )
        self._good_since: dict[str, datetime | None] = dict.fromkeys(syncs)
        self._begin_at_zero(self._good_since, systems)
        self.registry.register(_StateCollector(store, clock, self._good_since))

    def remember(self, runs: Runs) -> None:
        """Takes the last good run of each sync from those of earlier processes."""
        for sync in self._good_since:
            good = next((run for run in runs.ended(sync) if _succeeded(run, sync)), None)
            if good is not None:
                self._good_since[sync] = good.started_at
                self._succeeded.labels(sync).set((good.ended_at or good.started_at).timestamp())

    def ran(self, sync: str, report: SyncReport, *, seconds: float) -> None:
        """A run of the sync ended with this report."""
        state = "locked" if is_locked(report) else report.state
        self._runs.labels(sync, state).inc()
        self._seconds.labels(sync).observe(seconds)
        if state == "done" and not report.is_stopped:
            now = self._clock.now()
            self._good_since[sync] = now - timedelta(seconds=seconds)
            self._succeeded.labels(sync).set(now.timestamp())
        for system, calls in report.calls.items():
            self._calls.labels(system).inc(calls)
        for (system, kind, _, how), count in counted(report.changes).items():
            if how == ChangeState.APPLIED:
                self._changes.labels(system, kind).inc(count)

    def crashed(self, sync: str) -> None:
        """A run of the sync ended without a report."""
        self._runs.labels(sync, "crashed").inc()

    def missed(self, sync: str) -> None:
        """A due run did not start, since the one before was still under way."""
        self._missed.labels(sync, "running").inc()

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def _begin_at_zero(self, syncs: Iterable[str], systems: Iterable[str]) -> None:
        """A rate over a series that appears with its first event does not see that event, and on the last good run of a
        sync that never had one no alert fires."""
        for sync in syncs:
            self._succeeded.labels(sync)
            for state in RUN_STATES:
                self._runs.labels(sync, state)
            self._missed.labels(sync, "running")
        for system in systems:
            self._calls.labels(system)


def _succeeded(run: Run, sync: str) -> bool:
    return was_good(run, sync) and (run.summary or {})["syncs"][sync]["state"] == "done"


def is_locked(report: SyncReport) -> bool:
    """Whether another process worked on the sync: nothing is wrong, and that process does the work."""
    return any(isinstance(failure, StateLocked) for failure in report.failures)


def _oldest_held(unit: Unit, sync: str) -> datetime | None:
    return min((plan.held_at for plan in unit.plans.held(sync)), default=None)


class _StateCollector(Collector):
    """Asks the state database at every scrape; when it does not answer, only ``optsync_state_up`` is told.

    ``good_since``: by sync when its last good run began.
    """

    def __init__(self, store: Store, clock: Clock, good_since: Mapping[str, datetime | None]) -> None:
        self._store = store
        self._clock = clock
        self._good_since = good_since

    def describe(self) -> Iterator[Metric]:
        """Without this, registering would already ask the database."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        try:
            with self._store.reading() as unit:
                issues = unit.issues.count_open()
                held = {sync: _oldest_held(unit, sync) for sync in self._good_since}
                oldest = {sync: oldest_out(unit, sync, good_since=since) for sync, since in self._good_since.items()}
        except SQLAlchemyError as error:
            _log.warning("state database does not answer", error=type(error).__name__)
            yield GaugeMetricFamily("optsync_state_up", "Whether the state database answers.", 0)
            return
        yield GaugeMetricFamily("optsync_state_up", "Whether the state database answers.", 1)
        yield GaugeMetricFamily("optsync_issues_open", "Matters that wait for a person.", issues)
        waiting = GaugeMetricFamily(
            "optsync_oldest_unpropagated_opt_out_seconds",
            "Age of the oldest opt-out that has not reached every system; 0 when there is none.",
            labels=["sync"],
        )
        for sync, since in oldest.items():
            waiting.add_metric([sync], self._age(since))
        yield waiting
        kept_back = GaugeMetricFamily(
            "optsync_oldest_held_plan_seconds",
            "Age of the oldest plan that waits for a person's approval; 0 when there is none.",
            labels=["sync"],
        )
        for sync, since in held.items():
            kept_back.add_metric([sync], self._age(since))
        yield kept_back

    def _age(self, since: datetime | None) -> float:
        return 0.0 if since is None else max(0.0, (self._clock.now() - since).total_seconds())
