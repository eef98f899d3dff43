"""``optsync ledger export``: consent records for auditors, and for moving on."""

import csv
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from optsync.cli.invocation import of
from optsync.cli.signals import ending_in_order
from optsync.errors import ConfigError

if TYPE_CHECKING:
    from optsync.state.events import Selection
    from optsync.sync.engine import Engine

_FORMATS = ("csv", "jsonl")


def export(
    context: typer.Context,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="K", help="out, complaint, grant, request, … (repeatable). Without it: every wish."),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="S", help="What bears on this scope: on it, within it, or above it.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="T", help="Recorded at this time or later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="T", help="Recorded before this time.")] = None,
    standing: Annotated[
        bool, typer.Option("--standing", help="One row for each address and scope instead: how they stand now.")
    ] = False,
    form: Annotated[str, typer.Option("--format", metavar="csv|jsonl", help="How rows are written.")] = "csv",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to, instead of standard output.")] = None,
) -> None:
    """Export the ledger: one consent record a row."""
    from optsync.cli.progress import Bars
    from optsync.sync.consent_records import EVENT_COLUMNS, STANDING_COLUMNS, events, standings

    if form not in _FORMATS:
        raise ConfigError(f"--format: found {form!r}, expected csv or jsonl")
    if standing and (kind or since or until):
        raise ConfigError("--standing is how everybody stands now: it takes neither --kind nor --since nor --until")
    selection = _selection(kind or [], scope, since, until)
    with of(context).looking() as engine, Bars() as bars, engine.store.reading() as unit:
        if scope is not None:
            _require_scope(engine, scope, is_standing=standing)
        rows = standings(engine, unit, scope, bars) if standing else events(engine, unit, selection, bars)
        columns = STANDING_COLUMNS if standing else EVENT_COLUMNS
        with ending_in_order(), _target(out) as file:
            count = _write_csv(file, columns, rows) if form == "csv" else _write_lines(file, rows)
    if out is not None:
        sys.stderr.write(f"{out}: {count} rows\n")


def _selection(kinds: Sequence[str], scope: str | None, since: str | None, until: str | None) -> "Selection":
    from optsync.cli.moments import parse
    from optsync.model.statement import StatementKind
    from optsync.state.events import Selection
    from optsync.sync.consent_records import WISHES

    known = [kind.value for kind in StatementKind]
    for kind in kinds:
        if kind not in known:
            raise ConfigError(f"--kind: found {kind!r}, expected one of {', '.join(known)}")
    return Selection(
        kinds=frozenset(StatementKind(kind) for kind in kinds) or WISHES,
        scope=scope,
        since=None if since is None else parse(since, option="--since"),
        until=None if until is None else parse(until, option="--until"),
    )


def _require_scope(engine: "Engine", scope: str, *, is_standing: bool) -> None:
    from optsync.sync.permission import permissions

    asked = permissions(engine)
    if is_standing:
        asked.require_mail_scope(scope)
    asked.require_wish_scope(scope)


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    """A file is there when it is complete, readable for its owner only; standard output gets UTF-8."""
    if out is None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        yield sys.stdout
        return
    try:
        with _opened(out) as file:
            yield file
    except OSError as error:
        reason = str(error.strerror or "cannot be written").lower()
    else:
        return
    raise ConfigError(f"--out: {out}: {reason}")


@contextmanager
def _opened(out: Path) -> Iterator[TextIO]:
    """What is no file, such as a pipe or a device, takes the rows itself: a file in its place would take it away."""
    if out.exists() and not out.is_file():
        with out.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    target = Path(os.path.realpath(out))  # a link stays a link
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    # In a folder for all somebody else could have put a file, or a link, where this one is to be.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> int:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(columns)
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - it is the answer
        writer.writerow([_cell(row[name]) for name in columns])
    return count


def _cell(value: object) -> object:
    from optsync.sync.import_file import protected

    if isinstance(value, bool):
        return "true" if value else "false"
    return protected(value) if isinstance(value, str) else value


def _write_lines(file: TextIO, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - it is the answer
        if row.get("evidence"):
            row["evidence"] = json.loads(row["evidence"])
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count
