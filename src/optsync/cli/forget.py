"""``optsync forget``: erasing a person."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of, require_address
from optsync.errors import CommandRefused

if TYPE_CHECKING:
    from optsync.sync.forget import Forgotten, Holding


def forget(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address.")],
    *,
    actor: Annotated[str, typer.Option(metavar="A", help="Who answers for it.")],
    vendors: Annotated[
        bool, typer.Option("--vendors", help="Delete the person in the connected systems, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete there without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person: only a keyed hash with their opt-outs stays, so that no later import mails them."""
    from optsync.cli.output import print_json
    from optsync.sync.forget import forget as erase
    from optsync.sync.forget import forget_at_vendors, still_there

    address = require_address(email)
    may_ask = not as_json and sys.stdin.isatty()
    if vendors and not yes and not may_ask:
        raise CommandRefused("nothing was erased: --vendors deletes in the connected systems, which needs --yes here")
    with of(context).engine() as engine:
        done = erase(engine, address, actor=actor)
        if vendors and done.holdings and (yes or _agrees(done)):
            done = forget_at_vendors(engine, done, address)
    if as_json:
        print_json(done.to_json())
    else:
        _tell(done, list(still_there(done)))
    failed = vendors and any(h.outcome not in {"deleted", "gone"} for h in done.holdings)
    raise typer.Exit(1 if failed or not done.is_wiped else 0)


def _agrees(done: "Forgotten") -> bool:
    from optsync.cli.output import line

    line("Erased here. These records hold the person; those that hold nobody else will be deleted there:")
    for holding in done.holdings:
        line(f"  {_place(holding)}")
    try:
        return typer.confirm("Delete them?")
    except typer.Abort:
        # They are erased here by now: the answer has to say so, and where they still are.
        line()
        return False


def _tell(done: "Forgotten", left: "list[Holding]") -> None:
    from optsync.cli.output import line

    for text in _sentences(done):
        line(text)
    for holding in done.holdings:
        if holding.outcome in {"deleted", "gone"}:
            line(f"  {_place(holding)}: {holding.message}")
    if left:
        line("These records still hold the person:")
        for holding in left:
            line(f"  {_place(holding)}{f': {holding.message}' if holding.message else ''}")


def _sentences(done: "Forgotten") -> Iterator[str]:
    from optsync.cli.moments import written

    if done.was_forgotten:
        yield f"This person was forgotten on {written(done.at.isoformat())} already."
    elif not done.was_known:
        yield "Nothing was known about this address. Its keyed hash is kept, so that a later import stays out."
    else:
        yield "Forgotten. A keyed hash with the opt-outs is kept, so that a later import stays out."
    yield f"Noted as erasure {done.erasure}."
    if not done.is_wiped:
        yield (
            "warning: other processes were using the database, so that its file may still hold what was erased; run "
            "the command again in a quiet moment"
        )


def _place(holding: "Holding") -> str:
    shared = " (holds another address, too)" if holding.is_shared else ""
    return f"{holding.system} {holding.collection} {holding.record}{shared}"
