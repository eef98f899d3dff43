"""What is promised, beside what was measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import growth
from benchmarks.engine import AIM_US
from benchmarks.tables import number

Document = Mapping[str, Any]
_MOST_RATIO, _MOST_QUIET, _MOST_MB, _LEAST_TIMES, _MOST_BYTES, _MOST_TIMES = 1.1, 4, 300, 10, 1500, 2
_MOST_REQUEST_S = 60
_MOST_GROWN = 1.5
"""By how much more of it the largest population may take than the cheapest smaller one."""
_PROCESSOR = (
    ("first sync", "us_a_record", AIM_US, "µs a record", 0),
    ("full compare", "us_a_record", 22.5, "µs a row", 0),
    ("decide and journal", "us_a_record", 500.0, "µs a change", 0),
    ("1 % a side", "cpu_s", 3.0, "s", 1_000_000),
    ("no change", "cpu_s", 0.03, "s", 0),
)
"""Phases, what they may take of the processor (a million people a side in a minute, three quarters of one, and so on),
and from how many records of both sides on that is told: a hundredth of few people takes few seconds anyhow."""
_BESIDE = {"cpu_ratio": "processor time of optsync", "wall_ratio": "wall time", "peak_ratio": "memory of optsync"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``people``: the population that it was measured with."""

    text: str
    people: str
    measured: str
    is_met: bool


def targets(documents: Sequence[Document]) -> Iterator[Target]:
    """One for each promise and population that was measured; growth is of all documents together."""
    for one in documents:
        people, results = number(one["population"]), one["results"]
        for name, promised in _PROMISED.items():
            if name in results:
                yield from promised(people, results[name])
        if largest := growth.apart(results, one["population"]):
            for promised in (_processor, _memory, _disk):
                yield from promised(f"{number(largest['population'])}{growth.mode(largest)}", largest)
    yield from _growth(growth.merged(one["results"]["growth"] for one in documents if "growth" in one["results"]))


def _calls(people: str, results: Document) -> Iterator[Target]:
    by_name = {phase["phase"]: phase for phase in results["phases"]}
    quiet = by_name.pop("no change")
    for key, what in (("needed", "calls that its rules need"), ("least", "least calls of any program")):
        ratios = {
            f"{name}, {side}": phase[side]["calls"] / phase[side][key]
            for name, phase in by_name.items()
            for side in ("crm", "esp")
        }
        worst = max(ratios, key=lambda each: ratios[each])
        kept = sum(ratio <= _MOST_RATIO for ratio in ratios.values())
        text = f"bulk work takes at most {_MOST_RATIO} of the {what}"
        measured = f"{kept} of {len(ratios)} do; {ratios[worst]:.2f} ({worst})"
        yield Target(text=text, people=people, measured=measured, is_met=kept == len(ratios))
    calls, writes = quiet["crm"]["calls"] + quiet["esp"]["calls"], quiet["writing_requests"]
    yield Target(
        people=people,
        text=f"a cycle without changes takes at most {_MOST_QUIET} calls, none of them writing",
        measured=f"{calls} calls, {writes} of them writing",
        is_met=calls <= _MOST_QUIET and writes == 0,
    )


def _processor(people: str, results: Document) -> Iterator[Target]:
    by_name = {phase["phase"]: phase for phase in results["phases"]}
    times = by_name["full compare"]["times_below_vendor"]
    text = "a full compare takes a tenth of the vendors' time or less"
    yield Target(text=text, people=people, measured=f"1/{number(times)}", is_met=times >= _LEAST_TIMES)
    records = by_name["full compare"]["records"]
    for name, key, most, unit, least_records in _PROCESSOR:
        value = by_name[name][key]
        if value is not None and records >= least_records:
            text = f"{name}: at most {number(most)} {unit} of processor time"
            yield Target(text=text, people=people, measured=f"{number(value)} {unit}", is_met=value <= most)


def _memory(people: str, results: Document) -> Iterator[Target]:
    most = max(results["phases"], key=lambda phase: phase["peak_mib"])
    limit = _MOST_MB * 1e6 / 2**20
    text = f"at most {_MOST_MB} MB ({number(limit)} MiB) of memory"
    measured = f"{number(most['peak_mib'])} MiB ({most['phase']})"
    yield Target(text=text, people=people, measured=measured, is_met=most["peak_mib"] <= limit)


def _disk(people: str, results: Document) -> Iterator[Target]:
    size = results["bytes_a_pair"]
    text = f"the state takes at most {number(_MOST_BYTES)} bytes a contact pair"
    yield Target(text=text, people=people, measured=number(size), is_met=size <= _MOST_BYTES)


def _growth(sizes: Sequence[growth.Size]) -> Iterator[Target]:
    """Nothing where there is no smaller population to compare the largest with."""
    for what, least_people, of, unit in _GROWN:
        compared = [size for size in sizes if size["population"] >= least_people]
        smaller = [size for size in compared if size["population"] < compared[-1]["population"]]
        if least := min(map(of, smaller), default=0.0):
            largest, value = compared[-1], of(compared[-1])
            yield Target(
                text=f"{what}: at the largest at most {_MOST_GROWN} times the least of the smaller",
                people=f"{number(smaller[0]['population'])} to {number(largest['population'])}{growth.mode(largest)}",
                measured=f"{number(value / least)} ({number(least)} and {number(value)} {unit})",
                is_met=value <= _MOST_GROWN * least,
            )


def _of_phase(name: str, key: str) -> Callable[[growth.Size], float]:
    return lambda size: growth.phase_of(size, name)[key] or 0.0


def _peak(size: growth.Size) -> float:
    return max(float(phase["peak_mib"]) for phase in size["phases"])


_GROWN = (
    ("a cycle without changes is flat", 3000, _of_phase("no change", "cpu_s"), "s"),
    ("1 % a side is flat by record", 3000, _of_phase("1 % a side", "us_a_record"), "µs each"),
    ("a full compare is linear", 3000, _of_phase("full compare", "us_a_record"), "µs a row"),
    ("memory is flat", 100_000, _peak, "MiB"),
)
"""What grows how, from how many people on: among fewer, what every process and cycle needs is most of it."""


def _beside(people: str, results: Document) -> Iterator[Target]:
    """Within so many times of each other, whichever takes more."""
    if not results["phases"]:
        return
    lite, server = results["settings"]["sqlite"], results["settings"]["postgresql"]
    both = f"PostgreSQL (fsync {server['fsync']}) and SQLite (synchronous {lite['synchronous']})"
    found = {what: _farthest(results["phases"], key) for key, what in _BESIDE.items()}
    found["disk"] = (results["disk_ratio"], "after the first sync")
    for what, (ratio, where) in found.items():
        text = f"{both} within {_MOST_TIMES} times of each other: {what}"
        is_met = 1 / _MOST_TIMES <= ratio <= _MOST_TIMES
        yield Target(text=text, people=people, measured=f"{number(ratio)} ({where})", is_met=is_met)


def _farthest(phases: Sequence[Mapping[str, Any]], key: str) -> tuple[float, str]:
    worst = max(phases, key=lambda phase: max(float(phase[key]), 1 / float(phase[key])))
    return float(worst[key]), str(worst["phase"])


def _others(people: str, results: Document) -> Iterator[Target]:
    """By the way that the engine reads, and by the one that makes a record of every row; a vendor after the other."""
    for what, rows, ours in (
        ("reading", results["reading"], "connector.read_rows"),
        ("reading, with a record made of every row,", results["reading"], "connector.read"),
        ("writing", results["writing"], "connector.write"),
    ):
        for own in (row for row in rows if row["how"] == ours):
            others = [r for r in rows if r["vendor"] == own["vendor"] and r["tool"] != own["tool"] and not r["failed"]]
            if others:
                best = min(others, key=lambda row: float(row["cpu_ratio"]))
                times = best["cpu_ratio"] / own["cpu_ratio"]
                text = f"{what} at {own['vendor']} takes less processor time than any other way"
                wall = best["wall_ratio"] / own["wall_ratio"]
                measured = f"{best['tool']} takes {number(times)} of ours, and {number(wall)} of the wall time"
                yield Target(text=text, people=people, measured=measured, is_met=times > 1)


def _budget(_: str, results: Document) -> Iterator[Target]:
    people = number(results["updates"])
    for scene in results["scenes"]:
        between, is_written = scene["updates_between"], scene["last_s"] is not None
        if scene["arrive"] == "pause":
            text = "no update goes before an opt-out that arrives between two cycles"
            measured = f"{between} updates went before the last one"
        else:
            # What is under way when people leave cannot be overtaken.
            between = scene["updates_late"]
            text = "an opt-out that arrives while a cycle writes waits for a minute of updates at most"
            measured = f"{between} updates were begun after that"
        yield Target(text=text, people=people, measured=measured, is_met=between == 0 and is_written)
    batches = results["shrinking"]
    first, *later = batches["records"]
    yield Target(
        text=f"batches shrink before they take {_MOST_REQUEST_S} s, at {batches['write_s']} s an update",
        people=number(batches["updates"]),
        measured=f"{first} updates, then at most {max(later, default=0)}; {number(batches['longest_s'])} s at most",
        is_met=max(later, default=0) < first and batches["longest_s"] < _MOST_REQUEST_S and not batches["refused"],
    )


_PROMISED: Mapping[str, Callable[[str, Document], Iterator[Target]]] = {
    "calls": _calls,
    "engine": _processor,
    "memory": _memory,
    "disk": _disk,
    "others": _others,
    "postgresql": _beside,
    "budget": _budget,
}
