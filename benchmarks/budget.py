"""Opt-outs that arrive while a slow portal is busy with field updates: who goes first, and how long they take."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.table import Table

from benchmarks.course import staged
from benchmarks.tables import columns, number, whole
from benchmarks.vendors import CRM, Town
from optsync.sync.turn import SECONDS as TURN_S

UPDATES = 50_000
SLOW = {"write_cost": 0.4, "read_cost": 0.07}
"""Seconds of run time that a large portal needs."""
SLOWER_S, SLOWER_UPDATES = 1.2, 300
"""A batch of 49 updates and one look takes 59 s of the 60 that a request may."""
SCENES = ("pause", "busy")
_MOST_CYCLES = 100


def measure(population: int, seed: int) -> dict[str, Any]:
    """Everybody (at most 50,000 people) is changed in a field that the slow CRM has to be told; twice a fiftieth of
    them leaves, so that the CRM must be told that as well: in the pause after the first cycle, and while a later cycle
    is busy with the updates."""
    updates = min(UPDATES, population)
    outs = max(1, updates // 50)
    town = Town(population=updates, seed=seed, crowd="plain", crm=SLOW)
    with staged(town) as stage:
        stage.run("first")
        stage.run("settle")
        done = stage.stir(updates, ["field"], ["esp"], seed)
        leaving = {"count": outs, "kinds": ["out"], "sides": ["esp"]}
        for place, when in enumerate(SCENES, start=1):
            stage.vendors.act(CRM, "stir_later", when=when, seed=seed + place, **leaving)
        busy = stage.run("busy", outs=len(SCENES) * outs, most=_MOST_CYCLES, gap=300.0)
        written, came = stage.vendors.act(CRM, "written"), stage.vendors.act(CRM, "came")
    scenes = [_scene(when, at, written, outs) for when, at in zip(SCENES, came, strict=False)]
    costs = {"cycles": busy.cycles, "waited_s": busy.waited_s, "cpu_s": busy.cpu_s}
    found = {"updates": done, "opt_outs": outs, "write_s": SLOW["write_cost"], "scenes": scenes, **costs}
    return {**found, "shrinking": _shrinking(seed)}


def _shrinking(seed: int) -> dict[str, Any]:
    """The batches of a portal that is so slow that a full one takes nearly as long as a request may."""
    town = Town(population=SLOWER_UPDATES, seed=seed, crowd="plain", crm={**SLOW, "write_cost": SLOWER_S})
    with staged(town) as stage:
        stage.run("first")
        stage.run("settle")
        stage.stir(SLOWER_UPDATES, ["field"], ["esp"], seed)
        stage.vendors.act(CRM, "watch")
        stage.run("busy", outs=1, most=_MOST_CYCLES)  # nobody leaves: it ends with the last update
        written = stage.vendors.act(CRM, "written")
    return {
        "write_s": SLOWER_S,
        "updates": SLOWER_UPDATES,
        "records": [one["others"] for one in written],
        "refused": sum(one["refused"] for one in written),
        "longest_s": max(one["took"] for one in written),
    }


def _scene(when: str, came_at: float, written: Sequence[Mapping[str, Any]], outs: int) -> dict[str, Any]:
    """``updates_between``: sent after the opt-outs came and before the last of them was written; ``updates_late``: of
    these, what was begun when a turn that was under way then had to be over. Seconds from when they came; None: not all
    of them were written."""
    later = [one for one in written if one["at"] + one["took"] > came_at]
    left, between, late, ends = outs, 0, 0, list[float]()
    over = came_at + (TURN_S if when == "busy" else 0.0)
    for one in later:
        if left <= 0:
            break
        left -= one["opt_outs"]
        between += one["others"]
        late += one["others"] if one["at"] >= over else 0
        ends += [one["at"] + one["took"] - came_at] * one["opt_outs"]
    ends = ends[:outs]
    return {
        "arrive": when,
        "written": outs - max(0, left),
        "updates_between": between,
        "updates_late": late,
        "first_s": ends[0] if ends else None,
        "half_s": ends[len(ends) // 2] if ends else None,
        "last_s": ends[-1] if ends and left <= 0 else None,
        "order": list(_runs(later))[:20],
        "longest_pause_s": max((b["at"] - a["at"] - a["took"] for a, b in pairwise(later)), default=0.0),
    }


def _runs(written: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Neighbouring batches of the same kind as one: when it began, what it was, how many records."""
    run: dict[str, Any] | None = None
    for one in written:
        kind = "opt-outs" if one["opt_outs"] else "updates" if one["others"] else "refused"
        count = one["opt_outs"] or one["others"] or one["refused"]
        if run is not None and run["kind"] == kind:
            run["records"] += count
            continue
        if run is not None:
            yield run
        run = {"at": one["at"], "kind": kind, "records": count}
    if run is not None:
        yield run


def tables(results: Mapping[str, Any]) -> list[Table]:
    updates, outs = whole(results["updates"]), whole(results["opt_outs"])
    title = f"{updates} field updates wait for a slow portal, and {outs} opt-outs arrive"
    names = ["they arrive", "written", "updates before the last", "first s", "half s", "last s"]
    shown = columns(title, names)
    for scene in results["scenes"]:
        times = ["–" if scene[key] is None else number(scene[key]) for key in ("first_s", "half_s", "last_s")]
        place = "between two cycles" if scene["arrive"] == "pause" else "while a cycle writes"
        shown.add_row(place, whole(scene["written"]), whole(scene["updates_between"]), *times)
    return [shown, _batches(results["shrinking"])]


def _batches(found: Mapping[str, Any]) -> Table:
    title = f"{found['updates']} field updates at a portal that needs {found['write_s']} s for each"
    shown = columns(title, ["batches", "updates in the first", "most in a later one", "longest s", "refused"], words=0)
    first, *later = found["records"]
    counts = [len(found["records"]), first, max(later, default=0)]
    shown.add_row(*map(str, counts), number(found["longest_s"]), str(found["refused"]))
    return shown
