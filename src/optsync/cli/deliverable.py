"""``optsync deliverable``: a mailbox that bounced works again."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of, require_address
from optsync.cli.wishes import Actor, Email

if TYPE_CHECKING:
    from optsync.sync.administer import Repaired


def deliverable(
    context: typer.Context,
    email: Email,
    *,
    actor: Actor,
    evidence: Annotated[str, typer.Option(metavar="TEXT", help="How it is known that mail arrives.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say that mail reaches an address again. The next run takes the bounce markers away; no wish is touched."""
    from optsync.cli.output import line, print_json
    from optsync.sync.administer import deliverable as say
    from optsync.sync.explain import statement_to_json

    address = require_address(email)
    with of(context).engine() as engine:
        done = say(engine, address, actor=actor, evidence=evidence)
    cautions = list(_cautions(done))
    if as_json:
        statement = statement_to_json(done.statement)
        print_json({"email": address, "deliverability": done.now, "statement": statement, "warnings": cautions})
        return
    line(f"Noted: mail reaches {address} again. The next run takes the bounce markers away.")
    for caution in cautions:
        line(f"warning: {caution}")


def _cautions(done: "Repaired") -> Iterator[str]:
    from optsync.reconcile.consent import Deliverability

    if done.was is Deliverability.OK:
        yield "nothing said that the address is undeliverable; a bounce from before now counts no more either."
    if done.now is Deliverability.HARD:
        yield (
            "it counts as undeliverable all the same: its bounce was noted when this machine's clock was ahead of what "
            "it tells now. Say it again when that time has passed."
        )
    if done.still_bounced_at:
        systems = ", ".join(done.still_bounced_at)
        yield f"{systems} still shows it as bounced and does not mail it until the person signs up there again."
