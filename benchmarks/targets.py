"""What is promised, beside what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.tables import number

Document = Mapping[str, Any]
_MOST_RATIO, _MOST_QUIET, _MOST_MIB, _LEAST_TIMES, _MOST_BYTES, _MOST_TIMES = 1.1, 4, 300, 10, 1500, 2
_BULK = ("first sync", "full compare")
_PROCESSOR = (
    ("first sync", "us_a_record", 30.0, "µs a record"),
    ("full compare", "us_a_record", 22.5, "µs a row"),
    ("decide and journal", "us_a_record", 500.0, "µs a change"),
    ("1 % a side", "cpu_s", 3.0, "s"),
    ("no change", "cpu_s", 0.03, "s"),
)
"""Phases, and what they may take of the processor: a million people a side in a minute, three quarters of one, and so
on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    text: str
    measured: str
    is_met: bool


def targets(documents: Sequence[Document]) -> Iterator[Target]:
    """One for each promise and population that was measured."""
    for one in documents:
        people, results = f"{number(one['population'])} people", one["results"]
        if "calls" in results:
            yield from _calls(people, results["calls"]["phases"])
        if "engine" in results:
            yield from _processor(people, results["engine"]["phases"])
        if "memory" in results:
            yield _memory(people, results["memory"]["phases"])
        if "disk" in results:
            yield _disk(people, results["disk"])
        if "growth" in results:
            largest = results["growth"]["sizes"][-1]
            if "engine" not in results or largest["population"] != one["population"]:
                many = f"{number(largest['population'])} people"
                yield from _processor(many, largest["phases"])
                yield _memory(many, largest["phases"])
                yield _disk(many, largest)
        if results.get("postgresql", {}).get("phases"):
            yield _beside(people, results["postgresql"]["phases"])
        if "budget" in results:
            yield from _budget(results["budget"])


def _calls(people: str, phases: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    by_name = {phase["phase"]: phase for phase in phases}
    for key, what in (("needed", "calls that its rules need"), ("least", "least calls of any program")):
        ratios = {
            f"{name}, {side}": by_name[name][side]["calls"] / by_name[name][side][key]
            for name in _BULK
            for side in ("crm", "esp")
        }
        worst = max(ratios, key=lambda each: ratios[each])
        text = f"bulk work takes at most {_MOST_RATIO} of the {what} ({people})"
        yield Target(text=text, measured=f"{ratios[worst]:.2f} ({worst})", is_met=ratios[worst] <= _MOST_RATIO)
    quiet = by_name["no change"]["crm"]["calls"] + by_name["no change"]["esp"]["calls"]
    writes = by_name["no change"]["writing_requests"]
    yield Target(
        text=f"a cycle without changes takes at most {_MOST_QUIET} calls and writes nothing ({people})",
        measured=f"{quiet} calls, {writes} of them writing",
        is_met=quiet <= _MOST_QUIET and writes == 0,
    )


def _processor(people: str, phases: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    by_name = {phase["phase"]: phase for phase in phases}
    times = by_name["full compare"]["times_below_vendor"]
    text = f"a full compare takes a tenth of the vendors' time or less ({people})"
    yield Target(text=text, measured=f"1/{number(times)}", is_met=times >= _LEAST_TIMES)
    for name, key, most, unit in _PROCESSOR:
        value = by_name[name][key]
        if value is not None:
            text = f"{name}: at most {number(most)} {unit} of processor time ({people})"
            yield Target(text=text, measured=f"{number(value)} {unit}", is_met=value <= most)


def _memory(people: str, phases: Sequence[Mapping[str, Any]]) -> Target:
    most = max(phases, key=lambda phase: phase["peak_mib"])
    text = f"at most {_MOST_MIB} MiB ({people})"
    measured = f"{number(most['peak_mib'])} MiB ({most['phase']})"
    return Target(text=text, measured=measured, is_met=most["peak_mib"] <= _MOST_MIB)


def _disk(people: str, taken: Mapping[str, Any]) -> Target:
    size = taken["bytes_a_person"]
    text = f"the state takes at most {number(_MOST_BYTES)} bytes a person ({people})"
    return Target(text=text, measured=number(size), is_met=size <= _MOST_BYTES)


def _beside(people: str, phases: Sequence[Mapping[str, Any]]) -> Target:
    worst = max(phases, key=lambda phase: phase["cpu_ratio"])
    text = f"with PostgreSQL at most {_MOST_TIMES} times the processor time ({people})"
    measured = f"{number(worst['cpu_ratio'])} ({worst['phase']})"
    return Target(text=text, measured=measured, is_met=worst["cpu_ratio"] <= _MOST_TIMES)


def _budget(results: Mapping[str, Any]) -> Iterator[Target]:
    for scene in results["scenes"]:
        place = "between two cycles" if scene["arrive"] == "pause" else "while a cycle writes"
        waits = f"({number(results['updates'])} updates wait)"
        text = f"no update goes before an opt-out that arrives {place} {waits}"
        between, is_written = scene["updates_between"], scene["last_s"] is not None
        yield Target(
            text=text,
            measured=f"{between} updates went before the last one",
            is_met=between == 0 and is_written,
        )
        if scene["arrive"] != "pause":
            late = scene.get("updates_late", between)  # results of an earlier version lack it
            yield Target(
                text=f"an opt-out that arrives {place} waits for a minute of updates at most {waits}",
                measured=f"{late} updates were begun after that",
                is_met=late == 0 and is_written,
            )
