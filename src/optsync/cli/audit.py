"""``optsync audit``: what would keep people from getting out of a mailing."""

from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of, require_system
from optsync.errors import CommandRefused

if TYPE_CHECKING:
    from optsync.sync.audit import Audit

app = typer.Typer(help="Look for what would keep people from getting out of a mailing.", rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """Look for what would keep people from getting out of a mailing."""


@app.command("templates")
def templates(
    context: typer.Context,
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="A name under `systems:`.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Find templates and drafts without an unsubscribe link that works. Nothing is changed."""
    import random

    from optsync.cli.output import print_json
    from optsync.clock import SystemClock
    from optsync.connect.contract import CanListTemplates
    from optsync.sync.audit import audit as look
    from optsync.sync.compose import connect

    config = of(context).load()
    name = require_system(config, system)
    connector = connect(config, [name], clock=SystemClock(), rng=random.Random(), is_read_only=True)[name]
    try:
        if not isinstance(connector, CanListTemplates):
            raise CommandRefused(
                f"{name} cannot list templates: its connector lacks that power (`optsync connectors`), so nothing was "
                "looked at"
            )
        done = look(connector.templates())
    finally:
        connector.close()
    if as_json:
        unread = [{"kind": m.kind, "id": m.id, "name": m.name, "reason": m.reason} for m in done.unread]
        findings = [finding.to_json() for finding in done.findings]
        print_json({"system": name, "checked": done.checked, "findings": findings, "unread": unread})
    else:
        _show(done)
    raise typer.Exit(1 if done.findings else 0)


def _show(done: "Audit") -> None:
    from optsync.cli.output import line

    for finding in done.findings:
        line(f"{finding.mailing.kind} {finding.mailing.id} “{finding.mailing.name}” ({finding.text}): {finding.found}")
        line(f"  → {finding.advice}")
    for mailing in done.unread:
        line(f"not judged: {mailing.kind} {mailing.id} “{mailing.name}”: {mailing.reason}")
    if not done.checked and not done.unread:
        line("There are no templates and no drafts to look at.")
        return
    faulty = len({(f.mailing.kind, f.mailing.id) for f in done.findings})
    word = "every one that could be judged has a way out" if not faulty else f"{faulty} without a way out that works"
    line(f"{done.checked} templates and drafts: {word}.")
