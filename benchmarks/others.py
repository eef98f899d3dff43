"""Our connectors beside other people's tools: the same data from the same imitated vendors over HTTP, one by one."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.course import Stage, ordered, staged
from benchmarks.tables import columns, number
from benchmarks.tools import TOOLS, Tool, ToolMissing, prepare, surroundings
from benchmarks.vendors import CRM, ESP, ROOT, Town
from optsync.config.load import load
from optsync.model.page import ReadSpec
from optsync.model.record import Side
from optsync.sync.compose import compose
from optsync_bitrix24.mapping import select_for
from optsync_mailchimp.mapping import wanted_keys

MOST_WRITES = 10_000
_PATIENCE_S = 1800
_SIDES = {CRM: "crm", ESP: "esp"}


def measure(population: int, seed: int, tools: Sequence[Tool] = TOOLS) -> dict[str, Any]:
    """``reading``: a row a tool, ours first. ``writing``: opt-outs, ours and one call each. ``failed`` of a row: why it
    has no figures."""
    # No limit: what is compared is the programs. Every tool gets the same fields, pages and people.
    town = Town(population=population, seed=seed, crm={"has_rate_limit": False, "has_operating_limit": False})
    with staged(town) as stage:
        reading = [row for vendor in (CRM, ESP) for row in _reading(stage, vendor, tools)]
    with staged(Town(population=population, seed=seed)) as stage:
        most = min(MOST_WRITES, population * 3 // 10)
        writing = [row for vendor in (CRM, ESP) for row in _writing(stage, vendor, most)]
    return {"reading": reading, "writing": writing}


def _reading(stage: Stage, vendor: str, tools: Sequence[Tool]) -> Iterator[dict[str, Any]]:
    own: dict[str, Any] = {"tool": "optsync", "vendor": vendor, "failed": None}
    ours = {**own, "how": "connector.read", **_ours(stage, vendor, what="read")}
    yield _rated(ours, ours)
    yield _rated({**own, "how": "connector.read_rows", **_ours(stage, vendor, what="read rows")}, ours)
    for tool in tools:
        if tool.vendor == vendor:
            row: dict[str, Any] = {"tool": tool.package.replace("==", " "), "vendor": vendor, "how": tool.how}
            try:
                yield _rated({**row, "failed": None, **_theirs(stage, tool)}, ours)
            except ToolMissing as why:
                yield {**row, "failed": str(why)}


def _writing(stage: Stage, vendor: str, most: int) -> Iterator[dict[str, Any]]:
    ours: dict[str, Any] = {"tool": "optsync", "vendor": vendor, "how": "connector.write", "failed": None}
    ours |= _ours(stage, vendor, what="write", most=most)
    yield _rated(ours, ours)
    usual: dict[str, Any] = {"tool": "requests", "vendor": vendor, "how": "one call each", "failed": None}
    yield _rated({**usual, **_ours(stage, vendor, what="one by one", most=most)}, ours)


def _ours(stage: Stage, vendor: str, **order: Any) -> dict[str, Any]:
    places = {"side": _SIDES[vendor], "config": str(stage.config), "clock": str(stage.clock)}
    return ordered("benchmarks.ours", {"most": 0, **places, **order})


def _theirs(stage: Stage, tool: Tool) -> dict[str, Any]:
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
    """With records a second, and how much longer and with how much more work it takes for one than ours."""
    each = {key: row[key] / max(1, row["records"]) for key in ("wall_s", "cpu_s", "calls")}
    of_ours = {key: ours[key] / max(1, ours["records"]) for key in each}
    ratios = {f"{key.partition('_')[0]}_ratio": each[key] / of_ours[key] for key in each}
    return {**row, "records_s": row["records"] / row["wall_s"], **ratios}


def tables(results: Mapping[str, Any]) -> list[Table]:
    names = ["tool", "vendor", "how", "records", "calls", "CPU s", "wall s", "records/s", "CPU ratio", "wall ratio"]
    reading = columns("Reading everything", [*names, "peak MiB"], words=3)
    _fill(reading, results["reading"], ("cpu_ratio", "wall_ratio", "peak_mib"))
    names = ["way", *names[1:8], "CPU ratio", "calls ratio", "vendors s"]
    writing = columns("Writing opt-outs", names, words=3)
    _fill(writing, results["writing"], ("cpu_ratio", "calls_ratio", "vendor_s"))
    return [reading, writing]


def _fill(table: Table, rows: list[dict[str, Any]], last: tuple[str, ...]) -> None:
    for row in rows:
        names = (row["tool"], row["vendor"], row["how"])
        if row["failed"]:
            table.add_row(*names, "not measured")
            table.caption = f"{table.caption or ''}{row['tool']}: {row['failed']}\n"
        else:
            costs = [number(row[key]) for key in ("cpu_s", "wall_s", "records_s", *last)]
            table.add_row(*names, str(row["records"]), str(row["calls"]), *costs)
