"""``optsync db``: the state database as a whole."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsync.cli.invocation import AsJson, of
from optsync.cli.signals import ending_in_order

if TYPE_CHECKING:
    from optsync.config.schema import Config
    from optsync.state.verify import Verdict
    from optsync.sync.backup import BackedUp
    from optsync.sync.moving import Copied

app = typer.Typer(
    help="Back up the state database, and move it into another.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("backup")
def backup(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A file that is not there yet, or a folder; else beside the database."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write a proven copy of the state into an SQLite file, while others work."""
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.clock import SystemClock
    from optsync.sync.backup import back_up

    invocation = of(context)
    config = invocation.load()
    folder = invocation.config_path.resolve().parent
    with ending_in_order(), Bars() as bars:
        done = back_up(config, file, folder=folder, clock=SystemClock(), progress=bars)
    if as_json:
        print_json(_backup_document(done))
    else:
        _show_backup(done)
    raise typer.Exit(_exit_code(done.backup.verdict))


@app.command("copy")
def copy(
    context: typer.Context,
    *,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="An empty database: sqlite:///FILE, postgresql://…")],
    origin: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Another state than that of state.url: a backup.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the whole state into an empty database of either kind, and prove the copy."""
    from optsync.cli.output import print_json
    from optsync.cli.progress import Bars
    from optsync.clock import SystemClock
    from optsync.config.database_url import parse_database, secrets_of
    from optsync.sync.moving import copy_state

    invocation = of(context)
    hidden = [secret for url in (to, origin) if url for secret in secrets_of(url)]
    invocation.hide(*hidden)
    config = invocation.load()
    invocation.hide(*hidden)
    clock = SystemClock()
    began = clock.monotonic()
    target = parse_database(to, option="--to")
    if origin is not None:
        config = config.model_copy(update={"state": parse_database(origin, option="--from")})
    with _named(origin), ending_in_order(), Bars() as bars:
        done = copy_state(config, target, clock=clock, progress=bars)
    seconds, steps = clock.monotonic() - began, _next(config, done)
    if as_json:
        print_json(_copy_document(done, seconds, steps))
    else:
        _show_copy(done, seconds, steps)
    raise typer.Exit(_exit_code(done.moved.verdict))


def _exit_code(verdict: "Verdict | None") -> int:
    return 1 if verdict is not None and verdict.found else 0


@contextmanager
def _named(origin: str | None) -> Iterator[None]:
    """A source that cannot be used is told of by the option that named it."""
    from optsync.cli.failures import database_failure
    from optsync.errors import ConfigError
    from optsync.state.store import DatabaseError

    try:
        yield
    except DatabaseError as error:
        failure = database_failure(error)
        if origin is None or failure.exit_code != ConfigError.exit_code:
            raise
        reason = failure.text
    else:
        return
    raise ConfigError(reason.replace("state.url", "--from", 1))


def _next(config: "Config", done: "Copied") -> list[str]:
    """What is left to do, in the order to do it in."""
    steps = [
        "stop the daemon and whatever else works on the old database: what it writes from now on is not in the copy",
        f"put the new URL into the configuration: state.url: {done.target}",
    ]
    if config.secret_keys:
        steps.append("keep secret_keys as they are")
    elif not done.target.startswith("sqlite"):
        whence = f"what {done.key} holds" if done.key else "a secret of at least 8 characters"
        why = "forgotten people are known and the ledger is signed by it" if done.key else "a server has no key file"
        steps.append(f"put {whence} into secret_keys, by a variable for example: {why}")
    elif done.key:
        steps.append(f"keep {done.key} beside the new database: it was copied along, and is in no configuration")
    steps.append("optsync status, then start the daemon again")
    steps.append("keep the old database until that went well, then remove it: it holds the same people")
    return steps


def _copy_document(done: "Copied", seconds: float, steps: list[str]) -> dict[str, Any]:
    from optsync.cli.ledger import document

    moved = done.moved
    return {
        "from": done.source,
        "to": done.target,
        "tables": [{"table": name, "rows": count} for name, count in moved.rows.items()],
        "rows": sum(moved.rows.values()),
        "seconds": round(seconds, 3),
        "ledger": None if moved.verdict is None else document(moved.verdict),
        "key_file": str(done.key) if done.key else None,
        "next": steps,
    }


def _show_copy(done: "Copied", seconds: float, steps: list[str]) -> None:
    from optsync.cli.moments import length
    from optsync.cli.output import line

    _show_rows(done.moved.rows)
    rows = sum(done.moved.rows.values())
    line(f"{done.target}: {rows:,} rows in {length(seconds)}; every table has as many as in {done.source}.")
    _show_ledger(done.moved.verdict)
    if _exit_code(done.moved.verdict):
        line("It was the same where it was copied from.")
    line("Next:")
    for number, step in enumerate(steps, start=1):
        line(f"  {number}. {step}")


def _backup_document(done: "BackedUp") -> dict[str, Any]:
    from optsync.cli.ledger import document

    taken = done.backup
    return {
        "file": str(done.file),
        "bytes": done.size,
        "schema": taken.revision,
        "tables": [{"table": name, "rows": count} for name, count in taken.rows.items()],
        "rows": sum(taken.rows.values()),
        "ledger": None if taken.verdict is None else document(taken.verdict),
        "key_file": str(done.key) if done.key else None,
    }


def _show_backup(done: "BackedUp") -> None:
    from optsync.cli.output import line

    taken = done.backup
    _show_rows(taken.rows)
    line(f"{done.file}: {done.size:,} bytes, {sum(taken.rows.values()):,} rows, schema {taken.revision}; it is whole.")
    _show_ledger(taken.verdict)
    if done.key is not None:
        line(f"{done.key}: the secret key, which belongs to it; whoever has both can sign as you do.")


def _show_ledger(verdict: "Verdict | None") -> None:
    from optsync.cli.ledger import show
    from optsync.cli.output import line

    if verdict is None:
        line("The state is of an older optsync: its ledger can be verified when it was brought up to date.")
    else:
        show(verdict)


def _show_rows(rows: Mapping[str, int]) -> None:
    from optsync.cli.output import table

    table(("table", "rows#"), [(name, f"{count:,}") for name, count in rows.items() if count])
