"""``optsync undo``: taking a run back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of
from optsync.cli.sync import stoppable

if TYPE_CHECKING:
    from optsync.sync.undoing import NotUndone, UndoReport

_SHOWN = 50


def undo(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, as optsync runs list shows it.")],
    *,
    actor: Annotated[str, typer.Option(metavar="A", help="Who answers for it.")],
    sync: Annotated[str | None, typer.Option("--sync", metavar="S", help="Only what it did in this sync.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be restored, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on, however much it is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take back what a run wrote: fields, tags and archives that nobody has touched since."""
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.sync import check
    from optsync.sync.undo import syncs_of_run
    from optsync.sync.undo import undo as take_back

    call = of(context)
    with call.rehearsing() if dry_run else call.engine() as engine, stoppable() as stopping:
        names = syncs_of_run(engine, run, sync)
        check.verify_accounts(engine, check.systems_of(engine, names), is_rehearsal=dry_run)
        with Bars() as bars:
            report = take_back(
                engine,
                run,
                actor=actor,
                sync=sync,
                is_approved=yes,
                is_rehearsal=dry_run,
                progress=bars,
                stopping=stopping,
            )
    if as_json:
        print_json(report.to_json())
    else:
        _show(report, is_rehearsal=dry_run)
    raise typer.Exit(report.exit_code)


def _show(report: "UndoReport", *, is_rehearsal: bool) -> None:
    from optsync.cli.output import line
    from optsync.cli.report import show_plan, show_sync
    from optsync.sync.undoing import UndoneSync

    if is_rehearsal:
        show_plan(report, limit=_SHOWN)
    else:
        show_sync(report)
    for name, part in report.syncs.items():
        if isinstance(part, UndoneSync) and part.not_undone:
            line(f"{name}: not undone", style="bold")
            _show_staying(part.not_undone)
    if any(part.held_for for part in report.syncs.values()):
        line("This is a lot at once. If it is what you want: the same command with --yes.")
    elif not is_rehearsal:
        line(f"This is run {report.run}; optsync undo {report.run} takes it back.")


def _show_staying(staying: "Sequence[NotUndone]") -> None:
    from optsync.cli.output import line
    from optsync.cli.report import whom
    from optsync.reconcile.undo import INSTEAD, REASONS, Why

    for each in staying[:_SHOWN]:
        what = f" ({', '.join(each.names)})" if each.names else ""
        line(f"  {whom(each.change)}  {each.change.system}  {each.change.kind}{what}: {REASONS[each.why]}")
    if len(staying) > _SHOWN:
        line(f"  … and {len(staying) - _SHOWN} more, --json shows all")
    for kind in dict.fromkeys(each.change.kind for each in staying if each.why is Why.NOT_UNDOABLE):
        line(f"  instead of undoing {kind}: {INSTEAD[kind]}")
