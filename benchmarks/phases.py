"""One phase of a sync's life, measured in a fresh process: this one has the engine in it and nothing else.

``python -m benchmarks.phases`` reads an :class:`Order` as JSON from its standard input and writes a :class:`Measured`.
"""

import json
import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from benchmarks.clock import SharedClock
from benchmarks.memory import now_mib, peak_mib
from benchmarks.parts import Parts
from optsync.collecting import collect_rarely
from optsync.config.load import load
from optsync.model.change import ChangeState
from optsync.state.schema import system_record
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.sync.report import Report
from optsync.sync.run import run_cycle
from optsync.sync.word import Word

GAP_S = 600.0
"""Between two cycles."""
SYNC = "newsletter"
WORD = Word(actor="benchmark", approves_first=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """``phase``: a key of :data:`PHASES`. ``most``: cycles after which a first sync must be through; ``gap``: seconds
    between two. ``outs``: opt-outs that the CRM must have been told before a busy phase ends."""

    phase: str
    config: str
    clock: str
    most: int = 60
    cycles: int = 10
    gap: float = GAP_S
    outs: int = 0


@dataclass(slots=True, kw_only=True)
class Measured:
    """Of those cycles that are measured. ``read``: records by cycle, those included that only show what was just
    written; ``records``: each of them once. ``applied``: those of the changes that arrived; what is put off is
    journaled again. ``cpu_s`` and of it ``stages`` (by what was done) and ``parts`` (by whose code) are this process's.
    ``waited_s``: for the vendors' limits, in virtual time, and ``answering_s`` for their answers."""

    phase: str
    cycles: int = 0
    read: int = 0
    records: int = 0
    changes: int = 0
    applied: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    waited_s: float = 0.0
    answering_s: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    at_rest_mib: float = 0.0
    peak_mib: float = 0.0


class Stages:
    """A progress that tells apart what the processor was used for: a step ends what its name says."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._since = time.process_time()

    def step(self, name: str, done: int, total: int | None) -> None:
        del done, total
        now = time.process_time()
        self.seconds[name.partition(" ")[0]] += now - self._since
        self._since = now

    def begin(self) -> None:
        self._since = time.process_time()

    def end(self) -> None:
        """What came after the last step: looking back, reporting."""
        self.step("rest", 1, 1)


class Phase:
    """A process's part of the course."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.clock = SharedClock(Path(order.clock))
        self.engine: Engine = compose(load(Path(order.config), {}), clock=self.clock)
        self.stages = Stages()
        self.parts = Parts()
        self._begun = self.clock.now()
        self.measured = Measured(phase=order.phase, at_rest_mib=now_mib())

    def cycle(self, *, is_measured: bool = True, **options: Any) -> Report:
        """One cycle, some minutes after the last one. Ends the process where a system failed."""
        self.clock.pass_by(self.order.gap)
        made = self.measured
        before = (time.process_time(), time.perf_counter(), self.clock.slept, self.clock.monotonic())
        self.stages.begin()
        self.parts.begin()
        report = run_cycle(self.engine, word=WORD, progress=self.stages, **options)
        self.parts.end()
        self.stages.end()
        sync = report.syncs[SYNC]
        if sync.failures:
            sys.exit(f"a system failed: {sync.failures[0]}")
        if not is_measured:
            self.stages.seconds.clear()
            self.parts.clear()
            return report
        cpu, wall, slept, moment = before
        made.cycles += 1
        made.cpu_s += time.process_time() - cpu
        made.wall_s += time.perf_counter() - wall
        slept = self.clock.slept - slept
        made.waited_s += slept
        made.answering_s += self.clock.monotonic() - moment - slept
        made.read += sum(sync.seen.values())
        states = Counter(change.state for change in sync.changes)
        # What waits is counted by the run that sends it.
        made.changes += states.total() - states[ChangeState.READY]
        made.applied += states[ChangeState.APPLIED]
        made.calls = dict(Counter(made.calls) + Counter(sync.calls))
        return report

    def end(self) -> Measured:
        self.measured.stages = dict(self.stages.seconds)
        self.measured.parts = self.parts.of(self.measured.cpu_s)
        self.measured.peak_mib = peak_mib()  # before the counting, which is not the engine's
        self.measured.records = self._distinct()
        self.engine.close()
        return self.measured

    def _distinct(self) -> int:
        """A single cycle counts each record once; several show again what the earlier ones wrote."""
        if self.measured.cycles == 1:
            return self.measured.read
        query = sa.select(sa.func.count()).select_from(system_record)
        if self.order.phase != "first":
            query = query.where(system_record.c.read_at >= self._begun)
        with self.engine.store.at_one_moment() as connection:
            return int(connection.execute(query).scalar_one())

    @property
    def is_anything_left(self) -> bool:
        with self.engine.store.reading() as unit:
            return unit.points.count_waiting(SYNC) > 0 or unit.changes.is_any_ready(SYNC)


def _first(phase: Phase) -> None:
    """What is new, read and written, up to the last cycle that writes: a vendor's limits may leave work for later."""
    for _ in range(phase.order.most):
        phase.cycle()
        if not phase.is_anything_left:
            return
    sys.exit(f"the sync was not through after {phase.order.most} cycles")


def _settle(phase: Phase) -> None:
    for _ in range(phase.order.most):
        report = phase.cycle()
        if not phase.is_anything_left and not report.syncs[SYNC].changes:
            return
    sys.exit(f"not settled after {phase.order.most} cycles")


def _quiet(phase: Phase) -> None:
    """The first cycles of a process compile what later ones repeat; a daemon has them behind it."""
    for number in range(2 + phase.order.cycles):
        phase.cycle(is_measured=number >= 2)


def _full(phase: Phase) -> None:
    phase.cycle(full=True)


def _decide(phase: Phase) -> None:
    """A cycle that reads what changed, decides and journals; then everything is rolled back."""
    phase.cycle(is_rehearsal=True)


def _busy(phase: Phase) -> None:
    """Cycles until so many opt-outs have arrived at the CRM, or no cycle writes any more."""
    told = 0
    for _ in range(phase.order.most):
        report = phase.cycle().syncs[SYNC]
        changes = report.changes
        told += sum(c.kind == "opt_out" and c.system == "crm" and c.state == "applied" for c in changes)
        if told >= phase.order.outs or not (changes or report.unsent):
            return


PHASES: dict[str, Callable[[Phase], None]] = {
    "first": _first,
    "settle": _settle,
    "quiet": _quiet,
    "delta": _first,
    "full": _full,
    "decide": _decide,
    "busy": _busy,
}


def main() -> None:
    collect_rarely()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    order = Order(**json.loads(sys.stdin.read()))
    phase = Phase(order)
    PHASES[order.phase](phase)
    sys.stdout.write(json.dumps(asdict(phase.end())) + "\n")


if __name__ == "__main__":
    main()
