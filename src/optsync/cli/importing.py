"""``optsync import``: wishes that another system held."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of
from optsync.errors import ConfigError

if TYPE_CHECKING:
    from optsync.sync.importing import Imported, Request

_SOURCES = ("legacy", "import")


def import_wishes(  # noqa: PLR0913 - one parameter for each option
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="CSV with the columns email, status (out or grant), at, reason, source, evidence."
        ),
    ] = None,
    *,
    scope: Annotated[str | None, typer.Option(metavar="S", help="What the wishes are about.")] = None,
    source: Annotated[
        str,
        typer.Option(metavar="legacy|import", help="import: you vouch for the evidence, and grants lift older outs."),
    ] = "legacy",
    actor: Annotated[str, typer.Option(metavar="A", help="Who answers for it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go in.")] = False,
    retract: Annotated[str | None, typer.Option(metavar="ID", help="Take that import back, instead of a file.")] = None,
    reason: Annotated[str, typer.Option(metavar="R", help="With --retract: why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Bring in opt-outs and grants from a table. The next run carries them to every system."""
    if (file is None) == (retract is None):
        raise ConfigError("FILE or --retract ID: exactly one of them is needed")
    if retract is not None:
        if dry_run or scope is not None or source != _SOURCES[0]:
            raise ConfigError("--retract takes back all of an import: --dry-run, --scope and --source go with FILE")
        _take_back(context, retract, actor=actor, reason=reason, as_json=as_json)
        return
    if scope is None or source not in _SOURCES:
        raise ConfigError(
            "--scope: what the wishes are about is needed"
            if scope is None
            else f"--source: found {source!r}, expected legacy or import"
        )
    if file is not None and file.exists() and not file.is_file() and not file.is_dir():
        raise ConfigError(f"FILE: {file}: is a pipe or a device; expected a file, which is read more than once")
    from optsync.model.statement import Source
    from optsync.sync.importing import Request

    request = Request(path=file or Path(), scope=scope, source=Source(source), actor=actor, is_rehearsal=dry_run)
    done = _bring_in(context, request)
    _answer(request, done, as_json=as_json)
    raise typer.Exit(1 if done.refused else 0)


def _bring_in(context: typer.Context, request: "Request") -> "Imported":
    from optsync.cli.progress import Bars
    from optsync.sync.importing import bring_in

    invocation = of(context)
    with invocation.looking() if request.is_rehearsal else invocation.engine() as engine, Bars() as bars:
        return bring_in(engine, request, bars)


def _answer(request: "Request", done: "Imported", *, as_json: bool) -> None:
    from optsync.cli.output import line, print_json
    from optsync.model.statement import StatementKind

    if as_json:
        print_json(_document(request, done))
        return
    would = "would be added" if request.is_rehearsal else "added"
    outs, grants = done.added[StatementKind.OUT], done.added[StatementKind.GRANT]
    counts = f"{outs} opt-outs and {grants} grants {would}"
    line(f"{request.path.name}: {done.rows} rows about {request.scope}: {counts}, {done.known} known already")
    if done.voided:
        line(f"  {done.voided} are in the ledger and were retracted: they stay so")
    if done.forgotten:
        line(f"  {done.forgotten} are consents of people who were forgotten: they count for nothing")
    if done.ignored:
        line(f"  columns that mean nothing here: {', '.join(done.ignored)}")
    for bad in done.shown:
        line(f"  refused: {bad}")
    if done.refused > len(done.shown):
        line(f"  … and {done.refused - len(done.shown)} more")
    if done.refused:
        line(f"{done.refused} rows were refused; correct them and import the file again: what is there adds nothing")
    if not request.is_rehearsal:
        line(f"Import {done.uid}. The next run carries it to every system that is connected.")


def _document(request: "Request", done: "Imported") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "import": done.uid,
        "file": request.path.name,
        "scope": request.scope,
        "source": request.source,
        "dry_run": request.is_rehearsal,
        "rows": done.rows,
        "added": dict(done.added),
        "known": done.known,
        "retracted": done.voided,
        "forgotten": done.forgotten,
        "refused": done.refused,
        "refusals": [asdict(bad) for bad in done.shown],
        "ignored_columns": list(done.ignored),
    }


def _take_back(context: typer.Context, uid: str, *, actor: str, reason: str, as_json: bool) -> None:
    from optsync.cli.output import line, print_json
    from optsync.cli.progress import Bars
    from optsync.sync.importing import take_back

    with of(context).engine() as engine, Bars() as bars:
        done = take_back(engine, uid, actor=actor, reason=reason, progress=bars)
    if as_json:
        print_json({"import": uid, "retracted": done.retracted, "already_retracted": done.already})
        return
    before = f"; {done.already} were retracted before" if done.already else ""
    line(f"Import {uid}: {done.retracted} statements retracted{before}. The next run decides without them.")
