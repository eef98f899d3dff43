"""What is promised, beside what was measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.tables import number

Document = Mapping[str, Any]
_MOST_RATIO, _MOST_QUIET, _MOST_MIB, _LEAST_TIMES = 1.1, 4, 300, 10
_BULK = ("first sync", "full compare")


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
            yield _times_below(people, results["engine"]["phases"])
        if "memory" in results:
            yield _memory(people, results["memory"]["phases"])
        if "growth" in results:
            largest = results["growth"]["sizes"][-1]
            if "engine" not in results or largest["population"] != one["population"]:
                many = f"{number(largest['population'])} people"
                yield _times_below(many, largest["phases"])
                yield _memory(many, largest["phases"])
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


def _times_below(people: str, phases: Sequence[Mapping[str, Any]]) -> Target:
    full = next(phase for phase in phases if phase["phase"] == "full compare")
    times = full["times_below_vendor"]
    text = f"a full compare takes a tenth of the vendors' time or less ({people})"
    return Target(text=text, measured=f"1/{number(times)}", is_met=times >= _LEAST_TIMES)


def _memory(people: str, phases: Sequence[Mapping[str, Any]]) -> Target:
    most = max(phases, key=lambda phase: phase["peak_mib"])
    text = f"at most {_MOST_MIB} MiB ({people})"
    measured = f"{number(most['peak_mib'])} MiB ({most['phase']})"
    return Target(text=text, measured=measured, is_met=most["peak_mib"] <= _MOST_MIB)


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
