"""Processor time of the engine's own process; the vendors live in another one."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from benchmarks import parts
from benchmarks.course import Course, course
from benchmarks.phases import Measured
from benchmarks.tables import columns, number, whole

NAMES = {
    "first": "first sync",
    "full": "full compare",
    "quiet": "no change",
    "delta": "1 % a side",
    "decide": "decide and journal",
}
AIM_US = 30.0
"""A record of a first sync: a million people a side in a minute."""
STAGES = ("read", "decide", "write", "rest")


def measure(population: int, seed: int) -> dict[str, Any]:
    """Each phase of the course: by cycle, by record, by what the time went into; and what it takes to store what a
    first sync stores, and nothing else."""
    return of(course(population, seed))


def of(made: Course) -> dict[str, Any]:
    phases = [{"phase": NAMES[key], **cost(made.phases[key])} for key in NAMES]
    return {"phases": phases, "storing": {**made.storing, "records": phases[0]["records"]}}


def cost(measured: Measured) -> dict[str, Any]:
    """``us_a_record`` is by distinct records, or by changes where these are more: a record that a later cycle reads
    again, because the earlier one wrote it, counts once. ``read`` counts it each time. ``vendor_s``: what the vendors'
    answers and limits make any program wait, in virtual time. All of one cycle, but a first sync's, which is all of
    it."""
    cycles = 1 if measured.phase in ("first", "delta") else measured.cycles
    units = max(measured.records, measured.changes)
    vendor_s = (measured.waited_s + measured.answering_s) / cycles
    cpu_s = measured.cpu_s / cycles
    return {
        "cycles": measured.cycles,
        "read": measured.read // cycles,
        "records": measured.records // cycles,
        "changes": measured.changes // cycles,
        "applied": measured.applied // cycles,
        "calls": {system: calls / cycles for system, calls in measured.calls.items()},
        "cpu_s": cpu_s,
        "wall_s": measured.wall_s / cycles,
        "us_a_record": measured.cpu_s * 1e6 / units if units else None,
        "stages_s": {stage: seconds / cycles for stage, seconds in measured.stages.items()},
        "parts_s": {part: seconds / cycles for part, seconds in measured.parts.items()},
        "waited_s": measured.waited_s / cycles,
        "answering_s": measured.answering_s / cycles,
        "times_below_vendor": vendor_s / cpu_s if cpu_s else None,
    }


def tables(results: Mapping[str, Any]) -> list[Table]:
    names = ["phase", "cycles", "read", "records", "changes", "applied", "CPU s", "µs each"]
    names += [f"{stage} s" for stage in STAGES] + ["vendors s", "times CPU"]
    shown = columns("Processor time of the engine", names)
    for phase in results["phases"]:
        each = "–" if phase["us_a_record"] is None else number(phase["us_a_record"])
        stages = [number(phase["stages_s"].get(stage, 0.0)) for stage in STAGES]
        vendors = [number(phase["waited_s"] + phase["answering_s"]), number(phase["times_below_vendor"])]
        counts = [whole(phase[key]) for key in ("cycles", "read", "records", "changes", "applied")]
        shown.add_row(phase["phase"], *counts, number(phase["cpu_s"]), each, *stages, *vendors)
    return [shown, parts.table(results["phases"]), _storing(results)]


def _storing(results: Mapping[str, Any]) -> Table:
    found, first = results["storing"], results["phases"][0]
    title = "The rows of a first sync put into an empty state, and nothing else"
    shown = columns(title, ["rows", "CPU s", "µs a record", f"of the {number(AIM_US)} aimed at", "of what it took"])
    each = found["cpu_s"] * 1e6 / found["records"]
    shares = (each / AIM_US, found["cpu_s"] / first["cpu_s"])
    shown.add_row(whole(found["rows"]), number(found["cpu_s"]), number(each), *(f"{share:.0%}" for share in shares))
    return shown
