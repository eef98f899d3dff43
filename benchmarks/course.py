"""The course that most measurements run: a first sync, a day without news, a hundredth changed, a full compare."""

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks import postgresql
from benchmarks.clock import SharedClock
from benchmarks.configuration import document, from_server
from benchmarks.phases import Measured, Order
from benchmarks.storage import storing, tables_of
from benchmarks.vendors import CRM, ESP, ROOT, Town, Vendors

KINDS, SIDES = ["out", "field", "topic"], ["crm", "esp"]
MANY = 10_000
"""Changes that are decided and journaled at once, or half as many as there are people."""
_UNLIMITED = {"has_operating_limit": False, "shows_operating": False}
_SPACING_S = 0.01


@dataclass(slots=True, kw_only=True)
class Course:
    """``phases`` by name, in order. ``state_bytes``: of the state database after the first sync, and ``state_tables``
    what in it takes how much, where that is known; ``storing``: what its rows take at least."""

    population: int
    state: str
    phases: dict[str, Measured] = field(default_factory=dict)
    state_bytes: int = 0
    state_tables: list[dict[str, Any]] = field(default_factory=list)
    storing: dict[str, float] = field(default_factory=dict)
    statements: dict[str, str] = field(default_factory=dict)
    """What the database server says of itself."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def course(population: int, seed: int, state: str = "sqlite", *, is_limited: bool = True) -> Course:
    """Runs it, once for all measurements that ask for the same. ``state``: sqlite or postgresql. ``is_limited``: the
    CRM grants so much run time and no more."""
    return _course(population, seed, state, is_limited)  # of a cache, an argument left out is another one


@cache
def _course(population: int, seed: int, state: str, is_limited: bool) -> Course:
    made = Course(population=population, state=state)
    town = Town(population=population, seed=seed, crm={} if is_limited else _UNLIMITED)
    with _state(state) as url, staged(town, url) as stage:
        # A portal's run time lets so many be written in a cycle, and no more.
        made.phases["first"] = stage.run("first", most=max(60, population // 5000))
        made.state_bytes = _size(url)
        if state == "sqlite":
            file = Path(url.removeprefix("sqlite:///"))
            made.state_tables, made.storing = tables_of(file), storing(file)
        stage.run("settle")
        made.phases["quiet"] = stage.run("quiet")
        _stir(stage, max(1, population // 50), seed)
        made.phases["delta"] = stage.run("delta")
        stage.demand_arrived()
        stage.run("settle")
        made.phases["full"] = stage.run("full")
        stage.stir(min(MANY, population // 2), ["field"], ["esp"], seed + 1)
        made.phases["decide"] = stage.run("decide")
        if state == "postgresql":
            made.statements = postgresql.settings(url)
    return made


def _stir(stage: "Stage", count: int, seed: int) -> None:
    if not stage.stir(count, KINDS, SIDES, seed):
        sys.exit("nobody is in on both sides: the population is too small")


@dataclass(slots=True, kw_only=True)
class Stage:
    """Vendors with people, a state database, a configuration."""

    vendors: Vendors
    folder: Path
    clock: Path
    config: Path

    def run(self, phase: str, **options: Any) -> Measured:
        """One phase in a process of its own."""
        order = Order(phase=phase, config=str(self.config), clock=str(self.clock), **options)
        return Measured(**ordered("benchmarks.phases", asdict(order)))

    def stir(self, count: int, kinds: list[str], sides: list[str], seed: int) -> int:
        """``count`` people change something; how many there were to do it."""
        arguments = {"count": count, "kinds": kinds, "sides": sides, "seed": seed, "spacing": _SPACING_S}
        return int(self.vendors.act(ESP, "stir", **arguments))

    def demand_arrived(self) -> None:
        """Ends the process where a change did not arrive on both sides."""
        if lost := self.vendors.act(ESP, "missing"):
            sys.exit("\n".join(["These changes did not arrive:", *lost]))


@contextmanager
def staged(town: Town, url: str = "") -> Iterator[Stage]:
    """The vendors serve until the end of the block. ``url``: of the state; without one it is gone with the block."""
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as name:
        folder = Path(name)
        clock = folder / "clock"
        SharedClock(clock)
        with Vendors(town, clock) as vendors:
            crm, esp = (from_server(vendors.config()[name]) for name in (CRM, ESP))
            config = folder / "config.yaml"
            config.write_text(yaml.safe_dump(document(crm, esp, url or f"sqlite:///{folder}/state.db")))
            yield Stage(vendors=vendors, folder=folder, clock=clock, config=config)


def ordered(module: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """What the module answers, as a program of its own, to an order; both are JSON. Ends the process with its."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{module} ended with {done.returncode}: {json.dumps(dict(order))}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def _state(kind: str) -> Iterator[str]:
    """The URL of an empty state that is gone after the block."""
    if kind == "postgresql":
        with postgresql.database() as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as name:
            yield f"sqlite:///{name}/state.db"


def _size(url: str) -> int:
    if not url.startswith("sqlite"):
        return postgresql.size(url)
    path = Path(url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
