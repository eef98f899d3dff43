"""What a population takes: memory of each phase's process, and bytes of the state database."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks.course import Course, course
from benchmarks.engine import NAMES
from benchmarks.tables import columns, number, whole


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
    return {**disk_of(made), "tables": made.state_tables}


def disk_of(made: Course) -> dict[str, Any]:
    """A contact pair is one record on each side; whoever is on one side only counts as half of one."""
    pairs = made.phases["first"].records / 2
    return {"bytes": made.state_bytes, "pairs": pairs, "bytes_a_pair": round(made.state_bytes / pairs)}


def memory_tables(results: Mapping[str, Any]) -> list[Table]:
    shown = columns("Memory of the engine's process", ["phase", "at rest MiB", "peak MiB"])
    for phase in results["phases"]:
        shown.add_row(phase["phase"], number(phase["at_rest_mib"]), number(phase["peak_mib"]))
    return [shown]


def disk_tables(results: Mapping[str, Any]) -> list[Table]:
    shown = columns("The state after the first sync (SQLite)", ["", "MiB", "contact pairs", "bytes a pair"])
    counts = (whole(round(results["pairs"])), whole(results["bytes_a_pair"]))
    shown.add_row("state", number(results["bytes"] / 1024**2), *counts)
    return [shown, *_by_table(results)]


def _by_table(results: Mapping[str, Any]) -> list[Table]:
    """Those that take a byte a pair or more; none where SQLite cannot tell."""
    names = ["table", "rows", "rows a pair", "bytes a row", "bytes a pair", "of these indexes"]
    shown = columns("What takes how much", names)
    pairs = results["pairs"]
    for each in results["tables"]:
        size, count = each["bytes"] + each["index_bytes"], each["rows"]
        if size < pairs:
            continue
        a_row = number(size / count) if count else "–"
        a_pair = (number(size / pairs), number(each["index_bytes"] / pairs))
        shown.add_row(each["table"], whole(count), number(count / pairs), a_row, *a_pair)
    return [shown] if shown.row_count else []
