"""``optsync ledger``: proof."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of
from optsync.errors import ConfigError

if TYPE_CHECKING:
    from optsync.state.verify import Verdict

app = typer.Typer(help="Prove the ledger, and export it.", no_args_is_help=True, rich_markup_mode=None)
_SHORTEST = 16


@app.command("verify")
def verify(
    context: typer.Context,
    *,
    head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A block's hash that you wrote down; its first 16 digits do.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no statement was edited, removed or slipped in since it was noted."""
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.config.keys import known_keys

    written_down = None if head is None else _digest(head)
    with of(context).looking() as engine, Bars() as bars, engine.store.reading() as unit:
        verdict = unit.ledger.verify(
            known_keys(engine.config),
            written_down=written_down,
            step=lambda done, total: bars.step("verify", done, total),
        )
    if as_json:
        print_json(document(verdict))
    else:
        show(verdict)
    raise typer.Exit(1 if verdict.found else 0)


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.strip())
    except ValueError:
        found = b""
    if not _SHORTEST <= 2 * len(found) <= 64:
        raise ConfigError(
            f"--head: expected {_SHORTEST} to 64 hexadecimal digits, as `optsync ledger verify` prints them"
        )
    return found


def document(verdict: "Verdict") -> dict[str, Any]:
    """As ``--json`` prints it."""
    head = verdict.head
    return {
        "ok": not verdict.found,
        "head": head.to_json() if head else None,
        "erased": verdict.erased,
        "unsigned_blocks": verdict.unsigned,
        "signed_blocks_by_key": {str(place + 1): count for place, count in sorted(verdict.signed_with.items())},
        "found": verdict.found,
        "findings": [{"block": f.block, "statement": f.statement, "message": f.message} for f in verdict.findings],
    }


def show(verdict: "Verdict") -> None:
    """What was found, in lines."""
    from optsync.cli.output import line

    for finding in verdict.findings:
        line(str(finding))
    if verdict.found > len(verdict.findings):
        line(f"… and {verdict.found - len(verdict.findings)} more")
    head = verdict.head
    if head is None:
        line(
            "The ledger is empty."
            if not verdict.found
            else f"The ledger is NOT as it was noted: {verdict.found} found."
        )
        return
    line(f"{head.statements} statements in {head.block} blocks; the newest has the hash {head.hash.hex()}")
    if verdict.erased:
        line(f"{verdict.erased} belong to people who were forgotten: what was erased of them can't be shown any more")
    if verdict.unsigned:
        line(f"{verdict.unsigned} blocks are not signed: they were sealed without a secret key")
    if older := sum(count for place, count in verdict.signed_with.items() if place):
        line(f"{older} blocks are signed with an older key: keep it in secret_keys")
    if verdict.found:
        line(f"The ledger is NOT as it was noted: {verdict.found} found.")
    else:
        line(
            "Nothing was edited, removed or slipped in. Write the hash down elsewhere: --head HASH checks it next time."
        )
