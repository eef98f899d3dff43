"""``optsync runs``: the journal."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of, require_bare
from optsync.errors import CommandRefused

if TYPE_CHECKING:
    from optsync.state.changes import Change
    from optsync.state.runs import Run

app = typer.Typer(help="Show the runs so far, and what each of them changed.", rich_markup_mode=None)
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="How many, newest first.")]


@app.callback(invoke_without_command=True)
def runs(context: typer.Context, *, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show the runs so far, and what each of them changed."""
    require_bare(context)
    if context.invoked_subcommand is None:
        _list(context, limit=limit, as_json=as_json)


@app.command("list")
def list_runs(context: typer.Context, *, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the runs, newest first."""
    _list(context, limit=limit, as_json=as_json)


@app.command("show")
def show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or `last`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one run: counts, and every change with its reason."""
    from optsync.cli.output import print_json

    with of(context).looking() as engine, engine.store.reading() as unit:
        newest = unit.runs.list(limit=1)
        found = (newest[0] if newest else None) if run == "last" else unit.runs.find(run)
        if found is None:
            raise CommandRefused(f"there is no run {run}; optsync runs list shows them")
        changes = unit.changes.of_run(found.uid)
    if as_json:
        print_json(_detail(found, changes))
    else:
        _show(found, changes)


def _list(context: typer.Context, *, limit: int, as_json: bool) -> None:
    from optsync.cli.moments import written
    from optsync.cli.output import line, print_json, table

    with of(context).looking() as engine, engine.store.reading() as unit:
        found = unit.runs.list(limit=limit)
    if as_json:
        print_json([_brief(r) for r in found])
        return
    if not found:
        line("No runs yet. Next: optsync plan")
        return
    table(
        ("run", "started", "ended", "state", "syncs", "undoes"),
        [(r.uid, written(r.started_at), _ended(r), r.state, ", ".join(r.syncs), r.undoes) for r in found],
    )


def _ended(run: "Run") -> str | None:
    from optsync.cli.moments import written

    return written(run.ended_at, beside=run.started_at) if run.ended_at else None


def _brief(run: "Run") -> dict[str, Any]:
    return {
        "run": run.uid,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "state": run.state,
        "syncs": run.syncs,
        "undoes": run.undoes,
        "actor": run.actor,
    }


def _detail(run: "Run", changes: "list[Change]") -> dict[str, Any]:
    from optsync.sync.report import change_to_json

    journal = [{"sync": c.sync, **change_to_json(c), "message": c.message, "fact": c.fact} for c in changes]
    return {**_brief(run), "summary": run.summary, "changes": journal}


def _show(run: "Run", changes: "list[Change]") -> None:
    from optsync.cli.moments import written
    from optsync.cli.output import line
    from optsync.cli.report import diff, show_counts, whom, why

    line(f"{run.uid}: {run.state}, started {written(run.started_at)}, syncs: {', '.join(run.syncs)}", style="bold")
    if run.undoes:
        line(f"takes back run {run.undoes}, in the name of {run.actor}")
    for name, part in (run.summary or {}).get("syncs", {}).items():
        line(f"{name}: {part['state']}")
        show_counts(part)
        for error in part.get("errors", ()):
            line(f"  {error}")
    for c in changes:
        message = f": {c.message}" if c.message else ""
        line(f"  {whom(c)}  {c.system}  {c.kind} {c.state}{message}  {diff(c.before, c.after)}  ({why(c.rule)})")
