"""``optsync approve`` and ``optsync reject``: a person's word on a held plan."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of, require_system

if TYPE_CHECKING:
    from optsync.sync.engine import Engine
    from optsync.sync.report import Report

Name = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's name, P…; optsync status shows it.")]
Actor = Annotated[str, typer.Option(metavar="A", help="Who answers for it.")]


def approve(context: typer.Context, plan: Name, *, actor: Actor, as_json: AsJson = False) -> None:
    """Let a held plan go: read what changed meanwhile, then carry out what of it still applies."""
    from optsync.sync import plans

    _carry_out(context, lambda engine, **options: plans.approve(engine, plan, actor=actor, **options), as_json)


def reject(
    context: typer.Context,
    plan: Name,
    *,
    actor: Actor,
    system: Annotated[
        str | None, typer.Option(metavar="S", help="Take back only what was said in this system.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Drop a held plan: void what administrators said to cause it, and put back where it shows."""
    from optsync.sync import plans

    def decide(engine: "Engine", **options: object) -> "Report":
        if system is not None:
            require_system(engine.config, system)
        return plans.reject(engine, plan, actor=actor, system=system, **options)

    _carry_out(context, decide, as_json)


def _carry_out(context: typer.Context, decide: "Callable[..., Report]", as_json: bool) -> None:
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.cli.report import show_sync
    from optsync.cli.sync import stoppable

    with of(context).engine() as engine, stoppable() as stopping, Bars() as bars:
        report = decide(engine, progress=bars, stopping=stopping)
    if as_json:
        print_json(report.to_json())
    else:
        show_sync(report)
    raise typer.Exit(report.exit_code)
