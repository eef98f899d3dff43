"""Calls made and calls needed, in one process that lives through all of it, as a daemon does."""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from benchmarks import least
from benchmarks.clock import SharedClock
from benchmarks.configuration import document
from benchmarks.least import Needed
from benchmarks.phases import GAP_S, SYNC, WORD
from benchmarks.slow import SlowMock
from benchmarks.tables import columns, number, whole
from benchmarks.traffic import Traffic
from benchmarks.vendors import CRM, ESP, Town, served
from optsync.config.load import load
from optsync.connect.mock import MockConfig
from optsync.model.change import ChangeKind
from optsync.model.record import Side
from optsync.state.changes import Change
from optsync.sync.compose import compose
from optsync.sync.report import SyncReport
from optsync.sync.run import run_cycle

_BASE = "http://127.0.0.1:1"
_MOST_CYCLES = 1000
OPT_OUTS = 1000
_SHOWN = ("calls", "writing", "least", "ratio", "needed", "needed_ratio")
_WHY = ("kinds apart", "looks", "listings", "describing", "news", "of own writes", "not needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """``calls`` by side, with the ``least`` for any program and what the rules need (:mod:`benchmarks.least`),
    ``writing``: those of the calls that write, ``kinds``: what they were.
    ``waited_s``: what keeping the vendors' limits took on the virtual clock; ``cpu_s``: of this process, the mocks'
    share left out."""

    name: str
    cycles: int
    seen: int
    changes: int
    calls: dict[str, int]
    least: dict[str, int]
    needed: dict[str, list[Needed]]
    writing: dict[str, int]
    kinds: dict[str, dict[str, int]]
    wall_s: float
    cpu_s: float
    waited_s: float

    def to_json(self) -> dict[str, Any]:
        sides = {side: self._side_to_json(side) for side in self.calls}
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
        }

    def _side_to_json(self, side: str) -> dict[str, Any]:
        calls, least, parts = self.calls[side], self.least[side], self.needed[side]
        needed = sum(part.calls for part in parts)
        return {
            "calls": calls,
            "writing": self.writing[side],
            "least": least,
            "ratio": round(calls / least, 2),
            "needed": needed,
            "needed_ratio": round(calls / needed, 2),
            "needed_for": {name: sum(asdict(part)[name] for part in parts) for name in asdict(parts[0])},
            "kinds": self.kinds[side],
        }


class _World:
    """Mocks, engine and clock in this process."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.clock = SharedClock(folder / "clock")
        self.mocks: dict[str, SlowMock] = served(town, self.clock)
        self.traffic = Traffic({f"{_BASE}/{name}": mock for name, mock in self.mocks.items()}, self.clock)
        self.minutes: list[int] = []
        """Of each cycle since this was last emptied: how many whole minutes it wrote."""
        shown: dict[str, MockConfig] = {name: mock.config(f"{_BASE}/{name}") for name, mock in self.mocks.items()}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(document(shown[CRM], shown[ESP], f"sqlite:///{folder}/state.db")))
        config = load(path, {})
        self.engine = compose(config, clock=self.clock, rng=random.Random(3), transport=self.traffic)

    def cycle(self, *, full: bool = False) -> SyncReport:
        self.clock.pass_by(GAP_S)
        self.traffic.wrote_at.clear()
        report = run_cycle(self.engine, word=WORD, full=full).syncs[SYNC]
        moments = self.traffic.wrote_at or [0.0]
        self.minutes.append(int((moments[-1] - moments[0]) // 60))
        if report.failures:
            sys.exit(f"a system failed: {report.failures[0]}")
        return report

    def until_quiet(self) -> list[SyncReport]:
        """Cycles up to the last one that writes: a vendor's limits may leave work for later ones."""
        reports: list[SyncReport] = []
        while len(reports) < _MOST_CYCLES:
            reports.append(self.cycle())
            with self.engine.store.reading() as unit:
                if unit.points.count_waiting(SYNC) == 0 and not unit.changes.is_any_ready(SYNC):
                    return reports
        sys.exit(f"the sync was not through after {_MOST_CYCLES} cycles")

    def settle(self) -> None:
        while self.cycle().changes:
            pass

    def stir(self, count: int, kinds: Sequence[str], seed: int) -> None:
        done = self.mocks[ESP].act("stir", count=count, kinds=kinds, sides=["crm", "esp"], seed=seed, spacing=0.01)
        if not done:
            sys.exit("nobody is in on both sides: the population is too small")

    def demand_arrived(self) -> None:
        if lost := self.mocks[ESP].act("missing"):
            sys.exit("\n".join(["These changes did not arrive:", *lost]))

    def measured(
        self, name: str, work: Callable[[], list[SyncReport]], *, is_first: bool = False, is_full: bool = False
    ) -> Phase:
        """``is_first``: of all. ``is_full``: its first cycle reads everything."""
        self.traffic.start_over()
        self.minutes.clear()
        wall, cpu, slept = time.perf_counter(), time.process_time(), self.clock.slept
        reports = work()
        cpu = time.process_time() - cpu - self.traffic.mocked_s
        traffic = self.traffic
        return Phase(
            name=name,
            cycles=len(reports),
            seen=sum(sum(r.seen.values()) for r in reports),
            changes=sum(len(r.changes) for r in reports),
            calls={side.value: traffic.calls[side] for side in Side},
            least={side.value: _least(side, reports, is_full=is_full) for side in Side},
            needed={
                side.value: _needed(side, reports, self.minutes, is_first=is_first, is_full=is_full) for side in Side
            },
            writing={side.value: traffic.writing[side] for side in Side},
            kinds={side.value: _kinds(traffic, side) for side in Side},
            wall_s=round(time.perf_counter() - wall, 1),
            cpu_s=round(cpu, 2),
            waited_s=round(self.clock.slept - slept),
        )


def measure(population: int, seed: int) -> dict[str, Any]:
    """The first sync until nothing is left of it, a cycle without changes, a hundredth changed on each side, a full
    compare, opt-outs."""
    outs = min(OPT_OUTS, population // 10)
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as name:
        world = _World(Town(population=population, seed=seed), Path(name))
        phases = [world.measured("first sync", world.until_quiet, is_first=True, is_full=True)]
        world.settle()
        phases.append(world.measured("no change", lambda: [world.cycle()]))
        world.stir(max(1, population // 50), ["out", "field", "topic"], seed)
        phases.append(world.measured("1 % a side", world.until_quiet))
        world.demand_arrived()
        world.settle()
        phases.append(world.measured("full compare", lambda: [world.cycle(full=True)], is_full=True))
        world.stir(outs, ["out"], seed + 1)
        phases.append(world.measured(f"{outs} opt-outs", world.until_quiet))
        world.demand_arrived()
        world.engine.close()
    return {"phases": [phase.to_json() for phase in phases]}


def tables(results: Mapping[str, Any]) -> list[Table]:
    """The measurements for people."""
    names = ["phase", "cycles", "read", "changes"]
    names += [part for side in ("CRM", "ESP") for part in (side, "writing", "least", "ratio", "by the rules", "ratio")]
    names += ["CPU s", "limits s"]
    shown = columns("Calls against the least possible", names)
    for phase in results["phases"]:
        row = [whole(phase[key]) for key in ("cycles", "records_read", "changes")]
        for side in Side:
            row += [(number if "ratio" in key else whole)(phase[side.value][key]) for key in _SHOWN]
        cost = [number(phase[key]) for key in ("cpu_s_outside_mocks", "waited_for_limits_s")]
        shown.add_row(phase["phase"], *row, *cost)
    return [shown, _above(results)]


def _above(results: Mapping[str, Any]) -> Table:
    """Phases that take no more than the least are left out."""
    shown = columns("What the calls above the least are for", ["phase", "side", "calls", "least", *_WHY], words=2)
    for phase in results["phases"]:
        for side in Side:
            found = phase[side.value]
            if found["calls"] == found["least"]:
                continue
            why = found["needed_for"]
            apart = why["reads"] + why["writes"] - found["least"]
            kinds = [why[key] for key in ("looks", "listings", "describing", "listening", "echoes")]
            row = [found["calls"], found["least"], apart, *kinds, found["calls"] - found["needed"]]
            shown.add_row(phase["phase"], side.value.upper(), *map(whole, row))
    return shown


def _least(side: Side, reports: Sequence[SyncReport], *, is_full: bool) -> int:
    """Further cycles read only what was written before, which nobody must."""
    changes = [change for report in reports for change in _of(side, report)]
    return least.reads(side, _shown(side, reports[0], is_full=is_full)) + least.writes(side, changes)


def _shown(side: Side, report: SyncReport, *, is_full: bool) -> int:
    """Records that the cycle is told of; of those that it has seen, it made some itself, and a cycle that reads news is
    shown all that it wrote."""
    own = (change for change in _of(side, report) if change.kind is ChangeKind.CREATE or not is_full)
    return max(0, report.seen[side.value] - least.records(own))


def _needed(
    side: Side, reports: Sequence[SyncReport], minutes: Sequence[int], *, is_first: bool, is_full: bool
) -> list[Needed]:
    first, *further = reports
    shown = _shown(side, first, is_full=is_full)
    made = [least.needed(side, shown, _of(side, first), is_first=is_first, is_full=is_full, minutes=minutes[0])]
    for report, spent in zip(further, minutes[1:], strict=True):
        if report.changes:
            shown = _shown(side, report, is_full=False)
            made.append(least.needed(side, shown, _of(side, report), is_further=True, minutes=spent))
    return made


def _of(side: Side, report: SyncReport) -> list[Change]:
    return [change for change in report.changes if change.system == side.value]


def _kinds(traffic: Traffic, side: Side) -> dict[str, int]:
    of_side = Counter({kind: count for (where, kind), count in traffic.kinds.items() if where is side})
    return dict(of_side.most_common())
