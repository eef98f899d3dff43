"""``optsync status``: how things stand, without asking any system."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from optsync.cli.invocation import AsJson, of


def status(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show systems, syncs, last runs, queues, and the age of the oldest opt-out that is not yet everywhere."""
    from optsync.cli.output import print_json
    from optsync.sync.status import status as gather

    with of(context).looking() as engine:
        document = gather(engine)
    if as_json:
        print_json(document)
    else:
        _show(document)


def _show(document: Mapping[str, Any]) -> None:
    from optsync.cli.moments import length, written
    from optsync.cli.output import line, table

    table(
        ("system", "connector", "state", "account", "clock", "calls today#"),
        [
            (name, s["connector"], _state(s["ok"]), s["account"], _clock(s["clock_offset_s"]), s["calls_today"])
            for name, s in document["systems"].items()
        ],
    )
    table(
        ("sync", "last run", "state", "last ok", "next", "waiting#", "oldest opt-out under way"),
        [
            (
                name,
                written(s["last_run_at"]),
                s["last_state"],
                written(s["last_ok_at"]),
                written(s["next_at"]) if s["next_at"] else None,
                document["queues"]["backlog"][name] + document["queues"]["unsent"][name],
                None if s["oldest_unpropagated_s"] is None else length(s["oldest_unpropagated_s"]),
            )
            for name, s in document["syncs"].items()
        ],
    )
    for remark in _remarks(document):
        line(remark)
    issues = document["issues_open"]
    line(f"open issues: {issues}" + (" (optsync issues list)" if issues else ""))


def _remarks(document: Mapping[str, Any]) -> Iterator[str]:
    """What does not go as it should, or waits."""
    from optsync.cli.moments import written
    from optsync.cli.report import waiting_in_words

    for system in document["systems"].values():
        if system["error"]:
            yield f"error: {system['error']}"
    for name, sync in document["syncs"].items():
        for way in sync["opt_outs_that_stay"]:
            yield f"warning: sync {name}: opt_out.{way} is off, these opt-outs do not reach the other side"
        for plan in sync["held_plans"]:
            yield f"held: sync {name}: plan {plan} waits: optsync approve {plan} --actor NAME, or optsync reject"
        if sync["held_since"]:
            yield f"held: sync {name}: since {written(sync['held_since'])}"
        for system, left in document["queues"]["waiting"][name].items():
            yield f"waiting: sync {name}: {waiting_in_words(system, left)}"


def _state(is_ok: bool | None) -> str:
    return "not tried yet" if is_ok is None else "ok" if is_ok else "failing"


def _clock(offset: float | None) -> str | None:
    return None if offset is None else f"{round(offset):+d} s"
