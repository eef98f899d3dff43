"""Our connectors beside other people's tools: the same data from the same imitated vendors over HTTP, one by one."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.course import Stage, ordered, staged
from benchmarks.tables import columns, number, whole
from benchmarks.tools import TOOLS, Tool, ToolMissing, prepare, surroundings
from benchmarks.vendors import CRM, ESP, ROOT, Town
from optsync.config.load import load
from optsync.model.page import ReadSpec
from optsync.model.record import Side
from optsync.sync.compose import compose
from optsync_bitrix24.mapping import select_for
from optsync_mailchimp.mapping import wanted_keys

MOST_WRITES = 10_000
ROUNDS = 5
Contestant = tuple[dict[str, Any], Callable[[Stage], dict[str, Any]]]
"""What names it, and what it takes on a stage."""
_PATIENCE_S = 1800
_SIDES = {CRM: "crm", ESP: "esp"}


def measure(population: int, seed: int, tools: Sequence[Tool] = TOOLS, rounds: int = ROUNDS) -> dict[str, Any]:
    """``reading``: a row a tool, ours first. ``writing``: opt-outs, ours and one call each. ``failed`` of a row: why it
    has no figures. Each is done so many times, and another one begins each round: whoever is first finds the vendors
    cold, and other work on the machine comes and goes."""
    # No limit: what is compared is the programs. Every tool gets the same fields, pages and people.
    town = Town(population=population, seed=seed, crm={"has_rate_limit": False, "has_operating_limit": False})
    with staged(town) as stage:
        same = [nullcontext(stage)] * rounds
        reading = [row for vendor in (CRM, ESP) for row in _repeated(_readers(vendor, tools), same)]
    town, most = Town(population=population, seed=seed), min(MOST_WRITES, population * 3 // 10)
    writing: list[dict[str, Any]] = []
    for vendor in (CRM, ESP):
        # Who is out cannot leave again: each round has its own people.
        writing += _repeated(_writers(vendor, most), (staged(town) for _ in range(rounds)))
    return {"rounds": rounds, "reading": reading, "writing": writing}


def _readers(vendor: str, tools: Sequence[Tool]) -> Iterator[Contestant]:
    own = {"tool": "optsync", "vendor": vendor}
    yield {**own, "how": "connector.read_rows"}, partial(_ours, vendor=vendor, what="read rows")
    yield {**own, "how": "connector.read"}, partial(_ours, vendor=vendor, what="read")
    for tool in tools:
        if tool.vendor == vendor:
            row = {"tool": tool.package.replace("==", " "), "vendor": vendor, "how": tool.how}
            yield row, partial(_theirs, tool=tool)


def _writers(vendor: str, most: int) -> Iterator[Contestant]:
    ours = {"tool": "optsync", "vendor": vendor, "how": "connector.write"}
    yield ours, partial(_ours, vendor=vendor, what="write", most=most)
    usual = {"tool": "requests", "vendor": vendor, "how": "one call each"}
    yield usual, partial(_ours, vendor=vendor, what="one by one", most=most)


def _repeated(
    contestants: Iterable[Contestant], stages: Iterable[AbstractContextManager[Stage]]
) -> Iterator[dict[str, Any]]:
    """The median of each, in their order; one round on each stage."""
    entered = list(contestants)
    took: list[list[dict[str, Any]]] = [[] for _ in entered]
    failed: dict[int, str] = {}
    for turn, entering in enumerate(stages):
        with entering as stage:
            for place in ((turn + step) % len(entered) for step in range(len(entered))):
                try:
                    if place not in failed:
                        took[place].append(entered[place][1](stage))
                except ToolMissing as why:
                    failed[place] = str(why)
    ours = _median(took[0])
    for place, (row, _) in enumerate(entered):
        if place in failed:
            yield {**row, "failed": failed[place]}
        else:
            yield _rated({**row, "failed": None, **_median(took[place])}, ours)


def _median(took: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """With the least and the most of its processor time."""
    found: dict[str, Any] = {key: median(one[key] for one in took) for key in took[0]}
    spread = [one["cpu_s"] for one in took]
    return {**found, "cpu_least_s": min(spread), "cpu_most_s": max(spread)}


def _ours(stage: Stage, *, vendor: str, **order: Any) -> dict[str, Any]:
    places = {"side": _SIDES[vendor], "config": str(stage.config), "clock": str(stage.clock)}
    return ordered("benchmarks.ours", {"most": 0, **places, **order})


def _theirs(stage: Stage, *, tool: Tool) -> dict[str, Any]:
    """Raises ToolMissing: it could not be installed, or did not get through."""
    python = prepare(tool)
    stage.vendors.calls()
    order = json.dumps({"tool": tool.name, **_asked(stage, tool.vendor)})
    try:
        done = subprocess.run(
            [str(python), "-m", "benchmarks.readers"],
            cwd=ROOT,
            env=surroundings(),
            input=order,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        raise ToolMissing(f"not through within {_PATIENCE_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["without a word"]
        raise ToolMissing(f"ended with {done.returncode}: {lines[-1][-200:]}")
    took: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**took, "calls": stage.vendors.calls()[tool.vendor]}


def _asked(stage: Stage, vendor: str) -> dict[str, Any]:
    """What our reader asks for, so that the others read as much."""
    engine = compose(load(stage.config, {}))
    side = Side(_SIDES[vendor])
    spec: ReadSpec = next(one.spec for one in engine.bound.sources.values() if one.side is side)
    engine.close()
    shown = stage.vendors.config()
    return {
        "mount": f"{stage.vendors.url}/{vendor}",
        "webhook": shown[CRM]["system"]["webhook_url"],
        "key": shown[ESP]["system"]["api_key"],
        "audience": shown[ESP]["side"]["audience"],
        "fields": list(select_for(spec) if side is Side.CRM else wanted_keys(spec)),
        "page": 1000,
    }


def _rated(row: dict[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """With records a second, and how much longer and with how much more work it takes for one than ``ours``."""
    each = {key: row[key] / max(1, row["records"]) for key in ("wall_s", "cpu_s", "calls")}
    of_ours = {key: ours[key] / max(1, ours["records"]) for key in each}
    ratios = {f"{key.partition('_')[0]}_ratio": each[key] / of_ours[key] for key in each}
    return {**row, "records_s": row["records"] / row["wall_s"], **ratios}


def tables(results: Mapping[str, Any]) -> list[Table]:
    names = ["tool", "vendor", "how", "records", "calls", "CPU s", "from–to", "wall s", "records/s", "CPU ratio"]
    times = f"median of {results['rounds']}"
    reading = columns(f"Reading everything, {times}", [*names, "wall ratio", "peak MiB"], words=3)
    _fill(reading, results["reading"], ("cpu_ratio", "wall_ratio", "peak_mib"))
    names = ["way", *names[1:], "calls ratio", "vendors s"]
    writing = columns(f"Writing opt-outs, {times}", names, words=3)
    _fill(writing, results["writing"], ("cpu_ratio", "calls_ratio", "vendor_s"))
    return [reading, writing]


def _fill(table: Table, rows: list[dict[str, Any]], last: tuple[str, ...]) -> None:
    for row in rows:
        names = (row["tool"], row["vendor"], row["how"])
        if row["failed"]:
            table.add_row(*names, "not measured")
            table.caption = f"{table.caption or ''}{row['tool']}: {row['failed']}\n"
        else:
            counts = [whole(round(row[key])) for key in ("records", "calls")]
            spread = f"{number(row['cpu_least_s'])}–{number(row['cpu_most_s'])}"
            costs = [number(row[key]) for key in ("wall_s", "records_s", *last)]
            table.add_row(*names, *counts, number(row["cpu_s"]), spread, *costs)
