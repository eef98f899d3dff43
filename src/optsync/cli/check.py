"""``optsync check``, ``fields`` and ``connectors``: what is connected, what can be mapped, what is installed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of, require_system

if TYPE_CHECKING:
    from optsync.connect.contract import CollectionInfo
    from optsync.sync.check import SystemCheck


def check(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Validate the file, connect to every system, check permissions, fields, audiences and clocks."""
    from optsync.cli.output import print_json
    from optsync.sync.check import check_systems, keys_in_use, warnings

    with of(context).engine() as engine:
        results = check_systems(engine)
        cautions, keys = warnings(engine), keys_in_use(engine)
        syncs = list(engine.bound.policies)
    is_ok = all(r.is_ok for r in results)
    if as_json:
        systems = {r.system: r.to_json() for r in results}
        print_json({"ok": is_ok, "systems": systems, "syncs": syncs, "warnings": cautions, "secret_keys": keys})
    else:
        _show(results, cautions, syncs)
        _show_keys(keys)
    raise typer.Exit(_exit_code(results))


def _exit_code(results: "Sequence[SystemCheck]") -> int:
    """What does not exist in a system is a fault of the configuration; it comes before a system out of reach."""
    if any(not r.is_ok and r.failure is None for r in results):
        return 2
    return 3 if any(r.failure for r in results) else 0


def _show(results: "Sequence[SystemCheck]", cautions: Sequence[str], syncs: Sequence[str]) -> None:
    from optsync.cli.output import line, table

    line(f"The configuration is valid: {len(syncs)} sync(s): {', '.join(syncs)}.")
    table(
        ("system", "connector", "answer", "account", "clock"),
        [
            (
                r.system,
                r.connector,
                "ok" if r.is_ok else "failed" if r.failure else "problems",
                r.health.account_name if r.health else None,
                _clock(r.health.clock_offset) if r.health else None,
            )
            for r in results
        ],
    )
    for result in results:
        if result.failure:
            line(f"error: {result.failure}")
        for problem in result.problems:
            field = f" {problem.field}:" if problem.field else ""
            line(f"{problem.severity}: {result.system}:{field} {problem.message}")
    for caution in cautions:
        line(f"warning: {caution}")
    if all(r.is_ok for r in results):
        line("Everything that is configured is there. Next: optsync plan")


def _show_keys(keys: "Sequence[dict[str, Any]]") -> None:
    from optsync.cli.output import line

    for key in keys[1:]:
        people = key["forgotten"]
        says = "nobody is known by it; blocks of the ledger may be signed with it"
        if people:
            says = f"{people} forgotten people are known by it alone: keep it"
        line(f"secret key {key['key']} (an older one): {says}")


def _clock(offset: float | None) -> str:
    return "unknown" if offset is None else f"{round(offset):+d} s"


def fields(
    context: typer.Context,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="A name under `systems:`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """List what can be mapped in a system: collections, fields, topics."""
    import random

    from optsync.cli.output import print_json
    from optsync.clock import SystemClock
    from optsync.sync.compose import connect

    config = of(context).load()
    name = require_system(config, system)
    connector = connect(config, [name], clock=SystemClock(), rng=random.Random(), is_read_only=True)[name]
    try:
        collections = connector.describe()
    finally:
        connector.close()
    if as_json:
        print_json({"system": name, "collections": [_collection(c) for c in collections]})
    else:
        for collection in collections:
            _show_collection(collection)


def _collection(collection: "CollectionInfo") -> dict[str, Any]:
    return {
        "id": collection.id,
        "name": collection.name,
        "topics": list(collection.topics),
        "fields": [
            {
                "name": f.name,
                "label": f.label,
                "type": f.type,
                "is_writable": f.is_writable,
                "is_required": f.is_required,
                "options": [{"value": value, "label": label} for value, label in f.options],
                "max_bytes": f.max_bytes,
            }
            for f in collection.fields
        ],
    }


def _show_collection(collection: "CollectionInfo") -> None:
    from optsync.cli.output import line, table

    line(f"{collection.id}  {collection.name}", style="bold")
    if collection.topics:
        line(f"  topics: {', '.join(collection.topics)}")
    table(
        ("field", "label", "type", "", "options"),
        [
            (
                f.name,
                f.label,
                f.type,
                "required" if f.is_required else "" if f.is_writable else "read only",
                ", ".join(value if value == label else f"{value} = {label}" for value, label in f.options),
            )
            for f in collection.fields
        ],
    )


def connectors(*, as_json: AsJson = False) -> None:
    """List the installed connectors and what they can do, and an organisation's own handlers."""
    from optsync.cli.output import line, print_json, table

    found, own = _installed(), _own_handlers()
    if as_json:
        print_json([*found, *own])
        return
    table(
        ("connector", "version", "sides", "can", "mock"),
        [
            (
                c["name"],
                c["version"],
                ", ".join(c["sides"]) or "–",
                c.get("error") or ", ".join(c["can"]),
                "yes" if c["has_mock"] else "no",
            )
            for c in found
        ],
    )
    if own:
        table(
            ("handler", "version", "function", "fault"),
            [(h["name"], h["version"], h["function"], h.get("error")) for h in own],
        )
    else:
        line("No handlers of your own are installed.")


def _installed() -> list[dict[str, Any]]:
    from optsync.connect import registry

    mocks = registry.mock_names()
    found = []
    for name, point in registry.installed().items():
        entry: dict[str, Any] = {
            "kind": "connector",
            "name": name,
            "version": point.dist.version if point.dist else None,
            "sides": [],
            "can": [],
            "has_mock": name in mocks,
        }
        try:
            connector = registry.load(name)
        except registry.ConnectorBroken as error:
            found.append({**entry, "error": str(error)})
            continue
        facts = connector.capabilities
        entry |= {
            "sides": sorted(facts.sides),
            "can": registry.powers(connector),
            "capabilities": {
                "statuses": sorted(facts.statuses),
                "entities": list(facts.entities),
                "absence": facts.absence,
                "has_delta": facts.has_delta,
                "delta_misses": list(facts.delta_misses),
                "read_page": facts.read_page,
                "write_batch": facts.write_batch,
                "opt_in_stamp": facts.opt_in_stamp,
            },
        }
        found.append(entry)
    return found


def _own_handlers() -> list[dict[str, Any]]:
    from optsync.connect import handlers

    found = []
    for name, point in handlers.installed().items():
        entry: dict[str, Any] = {
            "kind": "handler",
            "name": name,
            "version": point.dist.version if point.dist else None,
            "function": point.value,
        }
        try:
            handlers.load(name)
        except handlers.HandlerBroken as error:
            entry["error"] = str(error)
        found.append(entry)
    return found
