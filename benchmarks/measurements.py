"""Every measurement by its name: what it does, and how it is shown."""

import os
import platform
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich.table import Table

from benchmarks import budget, calls, databases, engine, footprint, growth, others

Results = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """``measure``: population and seed -> results; ``tables``: these for people."""

    title: str
    measure: Callable[[int, int], Results]
    tables: Callable[[Mapping[str, Any]], list[Table]]


def _growth(population: int, seed: int) -> Results:
    """Up to the population that the other measurements have run with already."""
    return growth.measure(growth.sizes_up_to(population), seed)


MEASUREMENTS: dict[str, Measurement] = {
    "calls": Measurement(
        title="Calls",
        measure=calls.measure,
        tables=calls.tables,
    ),
    "engine": Measurement(
        title="Processor time",
        measure=engine.measure,
        tables=engine.tables,
    ),
    "memory": Measurement(
        title="Memory",
        measure=footprint.memory,
        tables=footprint.memory_tables,
    ),
    "disk": Measurement(
        title="Disk",
        measure=footprint.disk,
        tables=footprint.disk_tables,
    ),
    "growth": Measurement(
        title="Growth",
        measure=_growth,
        tables=growth.tables,
    ),
    "others": Measurement(
        title="Beside other tools",
        measure=others.measure,
        tables=others.tables,
    ),
    "postgresql": Measurement(
        title="PostgreSQL",
        measure=databases.measure,
        tables=databases.tables,
    ),
    "budget": Measurement(
        title="A slow portal",
        measure=budget.measure,
        tables=budget.tables,
    ),
}


def document(results: Mapping[str, Results], *, population: int, seed: int, note: str) -> dict[str, Any]:
    """What ``--json`` prints and ``report`` reads."""
    return {
        "optsync": version("optsync"),
        "machine": {
            "processors": os.cpu_count(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "note": note,
        },
        "population": population,
        "seed": seed,
        "results": dict(results),
    }
