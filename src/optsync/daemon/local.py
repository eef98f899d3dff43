"""Runs every sync by its schedule inside this process, with APScheduler."""

import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, timedelta

import structlog
from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    JobEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from optsync.clock import Clock
from optsync.config.schedule import cron_trigger
from optsync.config.schema import SyncConfig
from optsync.daemon.dispatcher import RunSync
from optsync.metrics import Metrics

_log = structlog.get_logger(__name__)
_PULSE = "scheduler pulse"
_PULSE_EVERY = 5
_PULSE_LASTS = 60.0
_LATER = timedelta(seconds=90)
"""More than chance adds to a sync's interval, twice."""
_FIRST_WITHIN = 5.0
"""Seconds."""
_JOBS = {
    # APScheduler's own values drop a run that starts more than a second late. However late, there is one run.
    "misfire_grace_time": None,
    "coalesce": True,
    "max_instances": 1,
}


class LocalDispatcher:
    """The scheduler keeps nothing: its jobs are made from the configuration at every start.

    ``lanes``: see :func:`optsync.daemon.lanes.lanes`; each lane is one thread.
    """

    def __init__(
        self,
        syncs: Mapping[str, SyncConfig],
        run: RunSync,
        *,
        lanes: Mapping[str, int],
        metrics: Metrics,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._syncs = syncs
        self._run = run
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._lanes = lanes
        self._asked: set[str] = set()
        self._within: dict[str, float] = {}
        """What the runs that have just ended said about the next ones."""
        self._running: set[str] = set()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_over = threading.Event()
        self._pulse_at = 0.0
        self._scheduler = self._build()

    def start(self) -> None:
        now = self._clock.now()
        for name, sync in self._syncs.items():
            within = min(_FIRST_WITHIN, _interval(sync) or _FIRST_WITHIN)
            self._scheduler.add_job(
                self._run_one,
                _trigger(sync),
                args=[name],
                id=name,
                executor=_lane(self._lanes[name]),
                next_run_time=now + timedelta(seconds=self._rng.uniform(0, within)),
            )
        self._pulse()
        self._scheduler.start()
        threading.Thread(target=self._watch, name=_PULSE, daemon=True).start()

    def stop(self, seconds: float) -> bool:
        self._is_over.set()
        with self._changed:
            self._is_stopping = True
        if self._scheduler.running:
            # Runs that wait for their lane are still begun by it; each sees that we are stopping and returns.
            self._scheduler.shutdown(wait=False)
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout=seconds)

    def trigger(self, sync: str) -> None:
        if sync not in self._syncs:
            raise KeyError(sync)
        with self._changed:
            self._asked.add(sync)
        self._run_soon(sync)

    def is_alive(self) -> bool:
        """Whether the scheduler's thread still gets round to things."""
        is_late = self._clock.monotonic() - self._pulse_at > _PULSE_LASTS
        return bool(self._scheduler.running) and not self._is_stopping and not is_late

    def neglected(self) -> Sequence[str]:
        with self._changed:
            running = set(self._running)
        waiting = {job.id for job in self._scheduler.get_jobs() if job.next_run_time is not None}
        return sorted(set(self._syncs) - running - waiting)

    def _build(self) -> BackgroundScheduler:
        executors = {_lane(number): ThreadPoolExecutor(1) for number in set(self._lanes.values())}
        scheduler = BackgroundScheduler(
            timezone=UTC, executors={**executors, _PULSE: ThreadPoolExecutor(1)}, job_defaults=_JOBS
        )
        every = IntervalTrigger(seconds=_PULSE_EVERY, timezone=UTC)
        scheduler.add_job(self._pulse, every, id=_PULSE, executor=_PULSE)
        scheduler.add_listener(self._ended, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)
        return scheduler

    def _run_one(self, sync: str) -> None:
        # This waits until the scheduler, which locks its jobs meanwhile, has noted the start and set the next time: a
        # run that ended before that would see the time of its follow-up overwritten.
        self._scheduler.get_job(sync)
        with self._changed:
            if self._is_stopping:
                return
            self._asked.discard(sync)
            self._running.add(sync)
        within = None
        try:
            within = self._run(sync)
        finally:
            with self._changed:
                if within is not None:
                    self._within[sync] = within  # in its turn: others of its lane that are due go first
                self._running.discard(sync)
                self._changed.notify_all()

    def _run_soon(self, sync: str, *, within: float = 0.0) -> None:
        job = self._scheduler.get_job(sync)
        if job is None:
            _log.warning("not scheduled any more", sync=sync)
            return
        at = self._clock.now() + timedelta(seconds=within)
        if within == 0 or job.next_run_time is None or job.next_run_time > at:
            with suppress(JobLookupError):
                job.modify(next_run_time=at)

    def _pulse(self) -> None:
        self._pulse_at = self._clock.monotonic()

    def _watch(self) -> None:
        while not self._is_over.wait(_PULSE_EVERY):
            self._bring_forward()

    def _bring_forward(self) -> None:
        """The scheduler goes by the wall clock: once that was set back, it would start nothing until it is as late as
        it was."""
        now = self._clock.now()
        for job in self._scheduler.get_jobs():
            due = job.trigger.get_next_fire_time(now, now)
            if due and job.next_run_time and job.next_run_time - due > _LATER:
                _log.warning("the clock was set back", job=job.id, instead_of=job.next_run_time.isoformat())
                with suppress(JobLookupError):
                    self._scheduler.modify_job(job.id, next_run_time=due)

    # what the scheduler says

    def _ended(self, event: JobEvent) -> None:
        if event.job_id == _PULSE:
            return
        if event.code == EVENT_JOB_ERROR:
            self._metrics.crashed(event.job_id)
            _log.error("run broke off", sync=event.job_id, exc_info=event.exception)
        with self._changed:
            within = 0.0 if event.job_id in self._asked else self._within.get(event.job_id)
            self._within.pop(event.job_id, None)
        if within is not None and not self._is_stopping:
            self._run_soon(event.job_id, within=within)

    def _skipped(self, event: JobEvent) -> None:
        if event.job_id == _PULSE:
            return
        with self._changed:
            is_kept = event.job_id in self._asked or event.job_id in self._within
        if not is_kept:
            self._metrics.missed(event.job_id)
            _log.info("due run skipped", sync=event.job_id)


def _trigger(sync: SyncConfig) -> BaseTrigger:
    seconds = _interval(sync)
    if seconds is None:
        return cron_trigger(sync.cron or "")
    # Without jitter all syncs of an interval would call at the same moment for ever.
    return IntervalTrigger(seconds=seconds, jitter=min(30.0, seconds / 10), timezone=UTC)


def _interval(sync: SyncConfig) -> float | None:
    return None if sync.cron or sync.every is None else sync.every.total_seconds()


def _lane(number: int) -> str:
    return f"lane {number}"
