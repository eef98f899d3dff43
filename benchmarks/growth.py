"""How cost grows with the population: the course for one size after the other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks import engine
from benchmarks.course import course
from benchmarks.engine import NAMES
from benchmarks.footprint import disk_of, memory_of
from benchmarks.tables import columns, number, whole

Size = Mapping[str, Any]


def sizes_up_to(population: int) -> list[int]:
    """A tenth, three tenths and the whole."""
    return sorted({max(200, population // 10), max(200, population * 3 // 10), population})


def measure(sizes: Sequence[int], seed: int, *, is_limited: bool = True) -> dict[str, Any]:
    """``is_limited``: see :func:`benchmarks.course.course`; without, a million people get through in one cycle."""
    return {"sizes": [_size(population, seed, is_limited=is_limited) for population in sizes]}


def _size(population: int, seed: int, *, is_limited: bool) -> dict[str, Any]:
    made = course(population, seed, is_limited=is_limited)
    costs, taken = engine.of(made), memory_of(made)
    phases = [{**cost, **memory} for cost, memory in zip(costs["phases"], taken, strict=True)]
    return {**costs, "population": population, "is_limited": is_limited, "phases": phases, **disk_of(made)}


def merged(results: Iterable[Mapping[str, Any]]) -> list[Size]:
    """The sizes of several runs, the smallest first; of one that was measured twice the last."""
    found = {(size["population"], not size["is_limited"]): size for one in results for size in one["sizes"]}
    return [found[key] for key in sorted(found)]


def apart(results: Mapping[str, Any], population: int) -> Size | None:
    """The largest size of a document of that population, unless another measurement in it has run that course."""
    if "growth" not in results:
        return None
    largest: Size = results["growth"]["sizes"][-1]
    return None if "engine" in results and largest["population"] == population else largest


def mode(size: Size) -> str:
    """What is to be said beside its population."""
    return "" if size["is_limited"] else " (any run time)"


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Of all sizes, and what the time of the largest goes into."""
    return [table(results["sizes"]), *engine.tables(results["sizes"][-1])]


def table(sizes: Sequence[Size]) -> Table:
    names = ["phase", "people", "CRM's run time", "records", "changes", "applied", "calls", "CPU s", "µs each"]
    shown = columns("Growth with the population", [*names, "vendors s", "peak MiB", "bytes a pair"])
    for name in NAMES.values():
        for size in sizes:
            shown.add_row(name, *_cells(size, phase_of(size, name)))
    return shown


def phase_of(size: Size, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(phase for phase in size["phases"] if phase["phase"] == name)
    return found


def _cells(size: Size, phase: Mapping[str, Any]) -> list[str]:
    return [
        whole(size["population"]),
        "limited" if size["is_limited"] else "any",
        *(whole(phase[key]) for key in ("records", "changes", "applied")),
        whole(round(sum(phase["calls"].values()))),
        number(phase["cpu_s"]),
        "–" if phase["us_a_record"] is None else number(phase["us_a_record"]),
        number(phase["waited_s"] + phase["answering_s"]),
        number(phase["peak_mib"]),
        whole(size["bytes_a_pair"]) if phase["phase"] == NAMES["first"] else "",
    ]
