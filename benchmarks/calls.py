"""Calls made and calls needed, in three phases over one population."""

import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter
from rich import box
from rich.table import Table
from tests.scenarios import hundredth
from tests.scenarios.world import CRM, START, World

from benchmarks import least
from optsync.connect.mock import MockRequest, MockTransport, VendorMock
from optsync.model.record import Side
from optsync.sync.report import SyncReport
from optsync.sync.word import Word
from optsync_mock.population import people

_GAP_S = 600
"""What a world waits before each cycle."""
_MOST_CYCLES = 12
_MIB = 1024 * 1024
_WORD = Word(actor="benchmark", approves_first=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """``calls`` and ``least`` by side, ``writing`` those of the calls that write. ``waited_s``: what keeping the
    vendors' limits took on the virtual clock; ``cpu_s``: of this process, the mocks' share left out; ``rss_mib``: the
    process's peak, the mocks included."""

    name: str
    cycles: int
    seen: int
    changes: int
    calls: dict[str, int]
    least: dict[str, int]
    writing: dict[str, int]
    wall_s: float
    cpu_s: float
    waited_s: float
    rss_mib: int

    def ratio(self, side: str) -> float:
        return round(self.calls[side] / self.least[side], 2)

    def to_json(self) -> dict[str, Any]:
        sides = {
            side: {
                "calls": self.calls[side],
                "writing": self.writing[side],
                "least": self.least[side],
                "ratio": self.ratio(side),
            }
            for side in self.calls
        }
        return {
            "phase": self.name,
            "cycles": self.cycles,
            "records_read": self.seen,
            "changes": self.changes,
            **sides,
            "writing_requests": sum(self.writing.values()),
            "wall_s": self.wall_s,
            "cpu_s_outside_mocks": self.cpu_s,
            "waited_for_limits_s": self.waited_s,
            "peak_rss_mib": self.rss_mib,
        }


class _Stopwatch(BaseAdapter):
    """Brings requests to the mocks and notes how much processor time they take."""

    def __init__(self) -> None:
        super().__init__()
        self.inner: MockTransport | None = None
        self.seconds = 0.0

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert self.inner is not None  # noqa: S101 - set before anything is sent
        begun = time.process_time()
        try:
            return self.inner.send(request)
        finally:
            self.seconds += time.process_time() - begun

    def close(self) -> None:
        """Nothing to give back."""


def measure(population: int, seed: int) -> list[Phase]:
    """The first sync until nothing is left of it, a cycle without changes, a hundredth changed on each side."""
    with tempfile.TemporaryDirectory() as folder:
        mocks_time = _Stopwatch()
        crowd = partial(people, seed, population, START)  # made anew for each use, never kept
        url = f"sqlite:///{folder}/state.db"
        world = World(Path(folder), crowd(), state_url=url, transport=mocks_time)
        mocks_time.inner = world.transport
        first = _measured("first sync", world, mocks_time, lambda: _until_quiet(world))
        world.settle()
        quiet = _measured("no change", world, mocks_time, lambda: [_cycle(world)])
        planned = hundredth.deeds(world, crowd(), random.Random(seed))
        hundredth.do(world, planned)
        some = _measured("1 % a side", world, mocks_time, lambda: [_cycle(world)])
        if lost := list(hundredth.missing(world, planned)):
            sys.exit("\n".join(["These changes did not arrive:", *lost]))
        world.engine.close()
    return [first, quiet, some]


def table(phases: Sequence[Phase]) -> Table:
    """The measurements for people."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = (
        "phase",
        "cycles",
        "read",
        "changes",
        "CRM",
        "writing",
        "least",
        "ratio",
        "ESP",
        "writing",
        "least",
        "ratio",
    )
    for column in (*columns, "wall s", "CPU s", "limits s", "RSS MiB"):
        shown.add_column(column, no_wrap=True, justify="left" if column == "phase" else "right")
    for phase in phases:
        sides = [value for s in Side for value in (phase.calls[s], phase.writing[s], phase.least[s], phase.ratio(s))]
        cost = (phase.wall_s, phase.cpu_s, phase.waited_s, phase.rss_mib)
        row = (phase.cycles, phase.seen, phase.changes, *sides, *cost)
        shown.add_row(phase.name, *map(str, row))
    return shown


def _measured(name: str, world: World, mocks_time: _Stopwatch, work: Callable[[], list[SyncReport]]) -> Phase:
    sent, mocked = len(world.transport.requests), mocks_time.seconds
    wall, cpu, virtual = time.perf_counter(), time.process_time(), world.clock.monotonic()
    reports = work()
    cpu = time.process_time() - cpu - (mocks_time.seconds - mocked)
    wall = time.perf_counter() - wall
    waited = world.clock.monotonic() - virtual - _GAP_S * len(reports)
    requests_sent = world.transport.requests[sent:]
    return Phase(
        name=name,
        cycles=len(reports),
        seen=sum(sum(r.seen.values()) for r in reports),
        changes=sum(len(r.changes) for r in reports),
        calls=_count(world, requests_sent),
        least={side.value: sum(_least(side, r) for r in reports) for side in Side},
        writing=_count(world, [r for r in requests_sent if _mock(world, r).is_write(r)]),
        wall_s=round(wall, 1),
        cpu_s=round(cpu, 1),
        waited_s=round(waited),
        # Kilobytes on Linux, bytes on macOS.
        rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (_MIB if sys.platform == "darwin" else 1024),
    )


def _least(side: Side, report: SyncReport) -> int:
    changes = [c for c in report.changes if c.system == side.value]
    return least.reads(side, report.seen[side.value]) + least.writes(side, changes)


def _count(world: World, sent: Sequence[MockRequest]) -> dict[str, int]:
    mocks = [_mock(world, request) for request in sent]
    return {side.value: sum(mock.side is side for mock in mocks) for side in Side}


def _mock(world: World, request: MockRequest) -> VendorMock:
    return world.crm if request.base_url == CRM else world.esp


def _cycle(world: World) -> SyncReport:
    report = world.sync(word=_WORD).syncs["newsletter"]
    if report.failures:
        sys.exit(f"a system failed: {report.failures[0]}")
    return report


def _until_quiet(world: World) -> list[SyncReport]:
    """Cycles up to the last one that writes: a vendor's limits may leave work for later ones."""
    reports = [_cycle(world)]
    while len(reports) < _MOST_CYCLES:
        with world.engine.store.reading() as unit:
            is_left = unit.points.count_waiting("newsletter") > 0
        if not is_left:
            return reports
        reports.append(_cycle(world))
    sys.exit(f"the first sync was not through after {_MOST_CYCLES} cycles")
