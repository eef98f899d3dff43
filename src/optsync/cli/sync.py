"""``optsync sync`` and ``optsync plan``: one cycle, and its rehearsal."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from optsync.cli.invocation import AsJson, of, require_syncs, require_system

Names = Annotated[list[str] | None, typer.Argument(metavar="SYNC", help="Names of syncs; all without any.")]
Full = Annotated[bool, typer.Option("--full", help="Compare everything instead of what has changed.")]


def sync(
    context: typer.Context,
    names: Names = None,
    *,
    full: Full = False,
    yes: Annotated[bool, typer.Option("--yes", help="Approve what a first run holds back for its volume.")] = False,
    rebase: Annotated[
        str | None, typer.Option(metavar="SYSTEM", help="Accept that this system's name leads to another account now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run one cycle: read what changed, decide, write what follows."""
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.cli.report import show_sync
    from optsync.sync import check
    from optsync.sync.word import Word

    word = Word(actor="sync --yes", approves_first=True) if yes else None
    with of(context).engine() as engine, stoppable() as stopping:
        chosen = require_syncs(engine, names or [])
        if rebase is not None:
            check.rebase(engine, require_system(engine.config, rebase))
        with Bars() as bars:
            report = check.run_on_known_accounts(engine, chosen, full=full, progress=bars, stopping=stopping, word=word)
    if as_json:
        print_json(report.to_json())
    else:
        show_sync(report)
    raise typer.Exit(report.exit_code)


def plan(
    context: typer.Context,
    names: Names = None,
    *,
    full: Full = False,
    limit: Annotated[int, typer.Option(min=1, help="Changes to print.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what a cycle would change, without writing to any system or to the state database."""
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.cli.report import show_plan
    from optsync.sync import check
    from optsync.sync.run import run_cycle

    with of(context).rehearsing() as engine:
        chosen = require_syncs(engine, names or [])
        check.verify_accounts(engine, check.systems_of(engine, chosen), is_rehearsal=True)
        with Bars() as bars:
            report = run_cycle(engine, chosen, full=full, is_rehearsal=True, progress=bars)
    if as_json:
        print_json(report.to_json())
    else:
        show_plan(report, limit=limit)
    raise typer.Exit(report.exit_code)


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """The first signal lets the batch under way end; the next one stops at once."""
    asked: list[int] = []
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in wanted}

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)
        for each in wanted:
            signal.signal(each, before[each])

    for number in wanted:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number in wanted:
            signal.signal(number, before[number])
