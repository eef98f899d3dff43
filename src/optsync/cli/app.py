"""The command line: ``optsync [-c config.yaml] COMMAND``."""

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from optsync import version
from optsync.cli import (
    audit,
    check,
    db,
    deliverable,
    explain,
    forget,
    importing,
    init,
    issues,
    ledger,
    ledger_export,
    mock_server,
    plans,
    report_command,
    runs,
    status,
    streams,
    sync,
    undo,
    wishes,
)
from optsync.cli.failures import STOPPED, describe
from optsync.cli.invocation import Invocation, of
from optsync.cli.streams import into_nothing
from optsync.collecting import collect_rarely
from optsync.errors import ConfigError

app = typer.Typer(
    name="optsync",
    help="Keeps opt-outs, consent, topics and fields in agreement between CRMs and e-mail platforms.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"optsync {version.running()}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    *,
    config: Annotated[
        Path, typer.Option("-c", "--config", envvar="OPTSYNC_CONFIG", help="The configuration file.")
    ] = Path("config.yaml"),
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Log everything; show where a fault arose.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep opt-outs, consent, topics and fields in agreement between CRMs and e-mail platforms."""
    invocation = of(context)
    invocation.config_path = config
    invocation.is_verbose = verbose
    invocation.set_up_logs()


app.command("init")(init.init)
app.command("schema")(init.schema)
app.command("connectors")(check.connectors)
app.command("check")(check.check)
app.command("fields")(check.fields)
app.command("plan")(sync.plan)
app.command("sync")(sync.sync)
app.command("approve")(plans.approve)
app.command("reject")(plans.reject)
app.command("status")(status.status)
app.command("report")(report_command.report)
app.command("explain")(explain.explain)
app.command("opt-out")(wishes.opt_out)
app.command("opt-in")(wishes.opt_in)
app.command("deliverable")(deliverable.deliverable)
app.command("forget")(forget.forget)
app.command("may-send")(wishes.may_send)
app.add_typer(issues.app, name="issues")
app.add_typer(runs.app, name="runs")
ledger.app.command("export")(ledger_export.export)
app.add_typer(audit.app, name="audit")
app.add_typer(ledger.app, name="ledger")
app.add_typer(db.app, name="db")
app.command("import")(importing.import_wishes)
app.command("undo")(undo.undo)
app.command("mock-server")(mock_server.mock_server)


@app.command("daemon")
def daemon(context: typer.Context) -> None:
    """Run all syncs on schedule and serve the web endpoints until told to stop."""
    from optsync.daemon.main import daemon as serve

    invocation = of(context)
    invocation.is_daemon = True
    raise typer.Exit(serve(invocation.load()))


@app.command("demo", add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def demo(context: typer.Context) -> None:
    """Show it all: two imitated systems, a first sync, opt-outs on both sides, a second sync, an explanation."""
    from optsync.cli.demo import demo as show

    shown = typer.Typer(add_completion=False, rich_markup_mode=None)
    shown.command()(show)
    command = typer.main.get_command(shown)
    code = command.main(args=context.args, prog_name="optsync demo", obj=of(context), standalone_mode=False)
    raise typer.Exit(code if isinstance(code, int) else 0)


def run(arguments: Sequence[str]) -> int:
    """Carries out one command; every error becomes a sentence and an exit code."""
    invocation = Invocation()
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="optsync", obj=invocation, standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the boundary: no traceback reaches a user
        return _report(_of_no_text(error, arguments), invocation, as_json="--json" in arguments)
    if code == STOPPED:
        # Typer makes this of a Ctrl-C, and says nothing.
        return _report(KeyboardInterrupt(), invocation, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _of_no_text(error: BaseException, arguments: Sequence[str]) -> BaseException:
    """An argument whose bytes are no text can name a file, and nothing else."""
    if not isinstance(error, UnicodeEncodeError):
        return error
    spoilt = next((a for a in arguments if a != a.encode("utf-8", "replace").decode()), None)
    if spoilt is None:
        return error
    shown = spoilt.encode("utf-8", "replace").decode()
    return ConfigError(f"{shown!r} is no text in UTF-8; each ? stands for a byte that is none")


def _report(error: BaseException, invocation: Invocation, *, as_json: bool) -> int:
    failure = describe(error, database=invocation.database)
    if invocation.is_verbose and failure.is_bug:
        trace = "".join(traceback.format_exception(error))
        sys.stderr.write(invocation.redactor.all(trace))
    with suppress(OSError):
        if as_json and not failure.is_unwritten:
            sys.stdout.write(failure.to_json(invocation.redactor.secrets) + "\n")
        else:
            sys.stderr.write(invocation.redactor.secrets(failure.text) + "\n")
    try:
        sys.stdout.flush()
    except OSError:
        # The interpreter must not complain about it again at its end.
        into_nothing(sys.stdout.fileno())
    return failure.exit_code


def main() -> None:
    """The entry point of ``optsync``."""
    collect_rarely()
    streams.prepare()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
