"""What a population takes: memory of each phase's process, and bytes of the state database."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks.course import Course, course
from benchmarks.engine import NAMES
from benchmarks.tables import columns, number


def memory(population: int, seed: int) -> dict[str, Any]:
    """The peak of each phase, each in a process of its own, and what that had before it began."""
    return {"phases": memory_of(course(population, seed))}


def memory_of(made: Course) -> list[dict[str, Any]]:
    return [
        {"phase": NAMES[key], "at_rest_mib": made.phases[key].at_rest_mib, "peak_mib": made.phases[key].peak_mib}
        for key in NAMES
    ]


def disk(population: int, seed: int) -> dict[str, Any]:
    """The state after the first sync, with its journal written back, and what in it takes how much."""
    made = course(population, seed)
    return {**disk_of(made), "population": population, "tables": made.state_tables}


def disk_of(made: Course) -> dict[str, Any]:
    """``bytes_a_person``: by everybody, whether they are on both sides or on one."""
    return {"bytes": made.state_bytes, "bytes_a_person": round(made.state_bytes / made.population)}


def memory_tables(results: Mapping[str, Any]) -> list[Table]:
    shown = columns("Memory of the engine's process", ["phase", "at rest MiB", "peak MiB"])
    for phase in results["phases"]:
        shown.add_row(phase["phase"], number(phase["at_rest_mib"]), number(phase["peak_mib"]))
    return [shown]


def disk_tables(results: Mapping[str, Any]) -> list[Table]:
    shown = columns("The state after the first sync (SQLite)", ["", "MiB", "bytes a person"])
    shown.add_row("state", number(results["bytes"] / 1024**2), str(results["bytes_a_person"]))
    return [shown, *_by_table(results)]


def _by_table(results: Mapping[str, Any]) -> list[Table]:
    """Those that take a byte a person or more; results of an earlier version have none."""
    names = ["table", "rows", "rows a person", "bytes a row", "bytes a person", "of these indexes"]
    shown = columns("What takes how much", names)
    people = results.get("population", 1)
    for each in results.get("tables", ()):
        size, count = each["bytes"] + each["index_bytes"], each["rows"]
        if size < people:
            continue
        a_row = number(size / count) if count else "–"
        a_person = (number(size / people), number(each["index_bytes"] / people))
        shown.add_row(each["table"], number(count), number(count / people), a_row, *a_person)
    return [shown] if shown.row_count else []
