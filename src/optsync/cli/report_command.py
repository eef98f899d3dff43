"""``optsync report``: does everybody get what they want, and where not, why."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of, require_syncs

Names = Annotated[list[str] | None, typer.Argument(metavar="SYNC", help="Names of syncs; all without any.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Entries in each list; totals are exact.")]

_LISTS = (
    ("mailed_without_basis", "mailed without basis"),
    ("blocked_although_allowed", "blocked although allowed"),
    ("mismatches", "mismatches"),
)


def report(context: typer.Context, syncs: Names = None, *, limit: Limit = 100, as_json: AsJson = False) -> None:
    """Compare every standing with what each system shows. Answers from the state alone."""
    from optsync.cli.output import print_json
    from optsync.sync.standings import report as gather

    with of(context).looking() as engine:
        document = gather(engine, require_syncs(engine, syncs or ()), limit=limit)
    if as_json:
        print_json(document)
        return
    for name, part in document["syncs"].items():
        _show(name, part)


def _show(name: str, part: Mapping[str, Any]) -> None:
    from optsync.cli.output import line

    if not part["counts"]:
        line(f"{name}: nothing is known yet; optsync sync reads the systems")
        return
    totals = [(title, part[f"{key}_total"]) for key, title in _LISTS]
    line(f"{name}: " + ", ".join(f"{title} {count}" for title, count in totals))
    if not any(count for _, count in totals):
        line("  all is well: nobody is mailed without a basis, nobody is kept from what they want, all sides agree")
    _matrix(part["counts"])
    for key, title in _LISTS:
        _list(title, part[key], part[f"{key}_total"])


def _matrix(counts: Sequence[Mapping[str, Any]]) -> None:
    from optsync.cli.output import table

    columns = list(dict.fromkeys((c["system"], c["shows"]) for c in sorted(counts, key=lambda c: c["system"])))
    cells = {(c["standing"], c["system"], c["shows"]): c["count"] for c in counts}
    rows = [
        (standing, *(cells.get((standing, system, shows), "") for system, shows in columns))
        for standing in dict.fromkeys(c["standing"] for c in counts)
    ]
    table(("standing", *(f"{system}: {shows}#" for system, shows in columns)), rows)


def _list(title: str, entries: Sequence[Mapping[str, Any]], total: int) -> None:
    from optsync.cli.moments import written
    from optsync.cli.output import line, table

    if not total:
        return
    line(f"{title}: {total}" + (f", the first {len(entries)}" if len(entries) < total else ""))
    if not entries:
        return
    table(
        ("address", "scope", "system", "shows", "standing", "why", "since"),
        [
            (
                e["email"],
                e["scope"],
                e["system"],
                f"{e['field']}: {e['shows']}" if e.get("field") else e["shows"],
                e["standing"],
                e["reason"],
                written(e["since"]) if e["since"] else None,
            )
            for e in entries
        ],
    )
