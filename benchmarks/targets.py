"""What is promised, beside what was measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
        for name, promised in _PROMISED.items():
            if name in results:
                yield from promised(people, results[name])
        if "growth" in results:
            largest = results["growth"]["sizes"][-1]
            if "engine" not in results or largest["population"] != one["population"]:
                many = f"{number(largest['population'])} people"
                for promised in (_processor, _memory, _disk):
                    yield from promised(many, largest)


def _calls(people: str, results: Document) -> Iterator[Target]:
    by_name = {phase["phase"]: phase for phase in results["phases"]}
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


def _processor(people: str, results: Document) -> Iterator[Target]:
    by_name = {phase["phase"]: phase for phase in results["phases"]}
    times = by_name["full compare"]["times_below_vendor"]
    text = f"a full compare takes a tenth of the vendors' time or less ({people})"
    yield Target(text=text, measured=f"1/{number(times)}", is_met=times >= _LEAST_TIMES)
    for name, key, most, unit in _PROCESSOR:
        value = by_name[name][key]
        if value is not None:
            text = f"{name}: at most {number(most)} {unit} of processor time ({people})"
            yield Target(text=text, measured=f"{number(value)} {unit}", is_met=value <= most)


def _memory(people: str, results: Document) -> Iterator[Target]:
    most = max(results["phases"], key=lambda phase: phase["peak_mib"])
    text = f"at most {_MOST_MIB} MiB ({people})"
    measured = f"{number(most['peak_mib'])} MiB ({most['phase']})"
    yield Target(text=text, measured=measured, is_met=most["peak_mib"] <= _MOST_MIB)


def _disk(people: str, results: Document) -> Iterator[Target]:
    size = results["bytes_a_person"]
    text = f"the state takes at most {number(_MOST_BYTES)} bytes a person ({people})"
    yield Target(text=text, measured=number(size), is_met=size <= _MOST_BYTES)


def _beside(people: str, results: Document) -> Iterator[Target]:
    if not results.get("phases"):
        return
    worst = max(results["phases"], key=lambda phase: float(phase["cpu_ratio"]))
    text = f"with PostgreSQL at most {_MOST_TIMES} times the processor time ({people})"
    measured = f"{number(worst['cpu_ratio'])} ({worst['phase']})"
    yield Target(text=text, measured=measured, is_met=worst["cpu_ratio"] <= _MOST_TIMES)


def _others(people: str, results: Document) -> Iterator[Target]:
    """By the way that the engine reads, one vendor after the other."""
    for what, rows, ours in (
        ("reading", results["reading"], "connector.read_rows"),
        ("writing", results["writing"], "connector.write"),
    ):
        for own in (row for row in rows if row["how"] == ours):
            others = [r for r in rows if r["vendor"] == own["vendor"] and r["tool"] != own["tool"] and not r["failed"]]
            if others:
                best = min(others, key=lambda row: float(row["cpu_ratio"]))
                times = best["cpu_ratio"] / own["cpu_ratio"]
                text = f"{what} at {own['vendor']} takes less processor time than any other way ({people})"
                yield Target(text=text, measured=f"{best['tool']} takes {number(times)} of ours", is_met=times > 1)


def _budget(_: str, results: Document) -> Iterator[Target]:
    waits = f"({number(results['updates'])} updates wait)"
    for scene in results["scenes"]:
        between, is_written = scene["updates_between"], scene["last_s"] is not None
        if scene["arrive"] == "pause":
            text = f"no update goes before an opt-out that arrives between two cycles {waits}"
            measured = f"{between} updates went before the last one"
        else:
            # What is under way when people leave cannot be overtaken.
            between = scene.get("updates_late", between)  # results of an earlier version lack it
            text = f"an opt-out that arrives while a cycle writes waits for a minute of updates at most {waits}"
            measured = f"{between} updates were begun after that"
        yield Target(text=text, measured=measured, is_met=between == 0 and is_written)


_PROMISED: Mapping[str, Callable[[str, Document], Iterator[Target]]] = {
    "calls": _calls,
    "engine": _processor,
    "memory": _memory,
    "disk": _disk,
    "others": _others,
    "postgresql": _beside,
    "budget": _budget,
}
