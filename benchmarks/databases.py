"""The course with PostgreSQL as the state, beside SQLite."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from tests.postgresql import Missing

from benchmarks import storage
from benchmarks.course import course
from benchmarks.engine import NAMES, cost
from benchmarks.footprint import disk_of
from benchmarks.tables import columns, number, whole

RATIOS = ("cpu_ratio", "wall_ratio", "peak_ratio")
"""Of each phase, PostgreSQL's by SQLite's."""


def measure(population: int, seed: int) -> dict[str, Any]:
    """``missing``: why there is no PostgreSQL to measure, else None."""
    lite = course(population, seed)
    try:
        server = course(population, seed, "postgresql")
    except Missing as reason:
        return {"missing": str(reason), "phases": []}
    phases = []
    for key, name in NAMES.items():
        one, other = cost(lite.phases[key]), cost(server.phases[key])
        phases.append(
            {
                "phase": name,
                "sqlite": _part(one, lite.phases[key].peak_mib),
                "postgresql": _part(other, server.phases[key].peak_mib),
                "cpu_ratio": other["cpu_s"] / one["cpu_s"],
                "wall_ratio": other["wall_s"] / one["wall_s"],
                "peak_ratio": server.phases[key].peak_mib / lite.phases[key].peak_mib,
            }
        )
    disks = {made.state: disk_of(made) for made in (lite, server)}
    return {
        "missing": None,
        "settings": {"sqlite": storage.settings(), "postgresql": server.statements},
        "phases": phases,
        "disk": disks,
        "disk_ratio": disks["postgresql"]["bytes"] / disks["sqlite"]["bytes"],
    }


def _part(costs: Mapping[str, Any], peak: float) -> dict[str, Any]:
    return {"cpu_s": costs["cpu_s"], "wall_s": costs["wall_s"], "peak_mib": peak}


def tables(results: Mapping[str, Any]) -> list[Table]:
    title = "PostgreSQL as the state, against SQLite"
    if results["missing"]:
        shown = columns(title, ["not measured"])
        shown.add_row(results["missing"])
        return [shown]
    names = ["phase", "SQLite CPU s", "wall s", "peak MiB", "PostgreSQL CPU s", "wall s", "peak MiB"]
    shown = columns(title, [*names, "CPU ratio", "wall ratio", "peak ratio"])
    for phase in results["phases"]:
        cells = [phase[state][key] for state in ("sqlite", "postgresql") for key in ("cpu_s", "wall_s", "peak_mib")]
        shown.add_row(phase["phase"], *map(number, [*cells, *(phase[key] for key in RATIOS)]))
    sizes = columns("The state after the first sync", ["database", "durability", "MiB", "bytes a pair"], words=2)
    for state, taken in results["disk"].items():
        settings = ", ".join(f"{name} {value}" for name, value in results["settings"][state].items())
        sizes.add_row(state, settings, number(taken["bytes"] / 1024**2), whole(taken["bytes_a_pair"]))
    return [shown, sizes]
