"""``optsync issues``: what a person should look at."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of
from optsync.errors import ConfigError

if TYPE_CHECKING:
    from optsync.state.issues import Issue

app = typer.Typer(help="Show and answer what needs a person.", rich_markup_mode=None)


class Which(StrEnum):
    """Which issues to list."""

    OPEN = "open"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    ALL = "all"


State = Annotated[Which, typer.Option("--state", help="Which of them.")]
Number = Annotated[int, typer.Argument(metavar="ID", help="The issue's number.")]


@app.callback(invoke_without_command=True)
def issues(context: typer.Context, *, state: State = Which.OPEN, as_json: AsJson = False) -> None:
    """Show and answer what needs a person: conflicts, refused opt-ins, records and fields set aside."""
    if context.invoked_subcommand is None:
        _list(context, state, as_json=as_json)


@app.command("list")
def list_issues(context: typer.Context, *, state: State = Which.OPEN, as_json: AsJson = False) -> None:
    """List the issues, oldest first."""
    _list(context, state, as_json=as_json)


@app.command("show")
def show(context: typer.Context, number: Number, *, as_json: AsJson = False) -> None:
    """Show one issue with all its values."""
    from optsync.sync.issues import find

    with of(context).looking() as engine:
        _print(find(engine, number), as_json=as_json)


@app.command("retry")
def retry(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(metavar="[ID]", help="The issue's number.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All open issues.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close an issue and let the next run try again."""
    from optsync.cli.output import line, print_json
    from optsync.sync import issues as answers

    if (number is None) == (not everything):
        raise ConfigError("ID or --all: exactly one of them is needed")
    with of(context).engine() as engine:
        if number is not None:
            _print(answers.retry(engine, number), as_json=as_json)
            return
        count = answers.retry_all(engine)
    if as_json:
        print_json({"retried": count})
    else:
        line(f"{count} issue(s) closed; the next run looks at them again.")


@app.command("dismiss")
def dismiss(
    context: typer.Context,
    number: Number,
    *,
    actor: Annotated[str, typer.Option(metavar="A", help="Who answers for it.")],
    as_json: AsJson = False,
) -> None:
    """Keep an issue quiet: it is not reported again, and what was refused is not tried again."""
    from optsync.sync import issues as answers

    with of(context).engine() as engine:
        _print(answers.dismiss(engine, number, actor=actor), as_json=as_json)


def _list(context: typer.Context, state: Which, *, as_json: bool) -> None:
    from optsync.cli.moments import written
    from optsync.cli.output import line, print_json, table
    from optsync.sync.explain import issue_to_json

    with of(context).looking() as engine, engine.store.reading() as unit:
        found = unit.issues.list(state=None if state is Which.ALL else state.value)
    if as_json:
        print_json([issue_to_json(i) for i in found])
    elif not found:
        line("No issues." if state is Which.ALL else f"No {state} issues.")
    else:
        columns = ("id#", "opened", "kind", "system", "record", "address", "message")
        rows = [(i.id, written(i.opened_at), i.kind, i.system, i.record, i.email, i.message) for i in found]
        table(columns, rows)
        line("Look closer: optsync issues show ID. Answer: optsync issues retry ID, or dismiss ID --actor NAME.")


def _print(issue: "Issue", *, as_json: bool) -> None:
    from optsync.cli.output import line, print_json
    from optsync.sync.explain import issue_to_json

    document = issue_to_json(issue)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if value not in (None, {}):
            line(f"{name}: {value}")
