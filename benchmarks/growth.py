"""How cost grows with the population: the course for one size after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.course import course
from benchmarks.engine import NAMES, cost
from benchmarks.footprint import disk_of, memory_of
from benchmarks.tables import columns, number


def sizes_up_to(population: int) -> list[int]:
    """A tenth, three tenths and the whole."""
    return sorted({max(200, population // 10), max(200, population * 3 // 10), population})


def measure(sizes: Sequence[int], seed: int, *, is_limited: bool = True) -> dict[str, Any]:
    """``is_limited``: see :func:`benchmarks.course.course`; without, a million people get through in one cycle."""
    return {"is_limited": is_limited, "sizes": [_size(population, seed, is_limited=is_limited) for population in sizes]}


def _size(population: int, seed: int, *, is_limited: bool) -> dict[str, Any]:
    made = course(population, seed, is_limited=is_limited)
    taken = {one["phase"]: one for one in memory_of(made)}
    phases = [{**cost(made.phases[key]), **taken[name]} for key, name in NAMES.items()]
    return {"population": population, "phases": phases, **disk_of(made)}


def tables(results: Mapping[str, Any]) -> list[Table]:
    names = ["phase", "people", "records", "changes", "applied", "calls", "CPU s", "µs each", "vendors s", "peak MiB"]
    title = "Growth with the population" if results["is_limited"] else "Growth at a CRM that grants any run time"
    shown = columns(title, [*names, "bytes a person"])
    for name in NAMES.values():
        for size in results["sizes"]:
            phase = next(p for p in size["phases"] if p["phase"] == name)
            counts = [size["population"], phase["records"], phase["changes"]]
            each = "–" if phase["us_a_record"] is None else number(phase["us_a_record"])
            applied = str(phase.get("applied", "–"))  # results of an earlier version lack it
            vendors = number(phase["waited_s"] + phase["answering_s"])
            costs = [str(round(sum(phase["calls"].values()))), number(phase["cpu_s"]), each, vendors]
            disk = str(size["bytes_a_person"]) if name == NAMES["first"] else ""
            row = [
                *(f"{count:,}".replace(",", " ") for count in counts),
                applied,
                *costs,
                number(phase["peak_mib"]),
                disk,
            ]
            shown.add_row(name, *row)
    return [shown]
