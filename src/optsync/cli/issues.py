"""``optsync issues``: what a person should look at."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from optsync.cli.invocation import AsJson, of, require_bare, require_system
from optsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optsync.state.issues import Issue

app = typer.Typer(help="Show and answer what needs a person.", rich_markup_mode=None)


class Which(StrEnum):
    """Which issues to list."""

    OPEN = "open"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    ALL = "all"


State = Annotated[Which, typer.Option("--state", help="Which of them.")]
Kind = Annotated[str | None, typer.Option("--kind", metavar="K", help="Only of this kind.")]
System = Annotated[str | None, typer.Option("--system", metavar="S", help="Only about this system.")]
_HIGHEST = 2**63 - 1
"""A database numbers no further."""
Number = Annotated[int, typer.Argument(metavar="ID", max=_HIGHEST, help="The issue's number.")]
Numbers = Annotated[
    list[int], typer.Argument(metavar="ID", max=_HIGHEST, help="The issues' numbers.", show_default=False)
]

MANY = 20
"""More than so many are counted by kind; nobody reads a longer list."""


@app.callback(invoke_without_command=True)
def issues(
    context: typer.Context,
    *,
    state: State = Which.OPEN,
    kind: Kind = None,
    system: System = None,
    as_json: AsJson = False,
) -> None:
    """Show and answer what needs a person: conflicts, refused opt-ins, records and fields set aside."""
    require_bare(context)
    if context.invoked_subcommand is None:
        _list(context, state, kind, system, as_json=as_json)


@app.command("list")
def list_issues(
    context: typer.Context,
    *,
    state: State = Which.OPEN,
    kind: Kind = None,
    system: System = None,
    as_json: AsJson = False,
) -> None:
    """List the issues, oldest first; many of one kind and system are counted unless that kind is asked for."""
    _list(context, state, kind, system, as_json=as_json)


@app.command("show")
def show(context: typer.Context, number: Number, *, as_json: AsJson = False) -> None:
    """Show one issue with all its values."""
    from optsync.sync.issues import find

    with of(context).looking() as engine:
        _print([find(engine, number)], as_json=as_json)


@app.command("retry")
def retry(
    context: typer.Context,
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="ID", max=_HIGHEST, help="The issues' numbers.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All open issues.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close issues and let the next run try again."""
    from optsync.cli.output import line, print_json
    from optsync.sync import issues as answers

    if bool(numbers) == everything:
        raise ConfigError("ID or --all: exactly one of them is needed")
    with of(context).engine() as engine:
        if numbers:
            _print(answers.retry(engine, numbers), as_json=as_json)
            return
        count = answers.retry_all(engine)
    if as_json:
        print_json({"retried": count})
    else:
        line(f"{count} issue(s) closed; the next run looks at them again.")


@app.command("dismiss")
def dismiss(
    context: typer.Context,
    numbers: Numbers,
    *,
    actor: Annotated[str, typer.Option(metavar="A", help="Who answers for it.")],
    as_json: AsJson = False,
) -> None:
    """Keep issues quiet: they are not reported again, and what was refused is not tried again."""
    from optsync.sync import issues as answers

    with of(context).engine() as engine:
        _print(answers.dismiss(engine, numbers, actor=actor), as_json=as_json)


def _list(context: typer.Context, state: Which, kind: str | None, system: str | None, *, as_json: bool) -> None:
    from optsync.cli.output import line, print_json
    from optsync.sync.explain import issue_to_json

    with of(context).looking() as engine, engine.store.reading() as unit:
        wanted_state = None if state is Which.ALL else state.value
        found = unit.issues.list(state=wanted_state, kind=kind, system=system)
        kinds = [] if found or not kind else unit.issues.kinds(state=wanted_state)
    if not found and system is not None:
        require_system(engine.config, system)
    if as_json:
        print_json([issue_to_json(i) for i in found])
    elif not found:
        of_these = "".join(f" {name} {wanted}" for name, wanted in (("of kind", kind), ("about", system)) if wanted)
        there_are = f" There are: {', '.join(kinds)}." if kind and kinds else ""
        line((f"No issues{of_these}." if state is Which.ALL else f"No {state} issues{of_these}.") + there_are)
    elif len(found) > MANY and kind is None:
        _print_groups(found)
    else:
        _print_rows(found)


def _print_rows(found: "Sequence[Issue]") -> None:
    from optsync.cli.moments import written
    from optsync.cli.output import line, table

    columns = ("id#", "since", "times#", "last", "kind", "system", "record", "address", "message")
    table(
        columns,
        [
            (
                i.id,
                written(i.opened_at),
                i.count,
                written(i.last_at, beside=i.opened_at),
                i.kind,
                i.system,
                i.record,
                i.email,
                i.message,
            )
            for i in found
        ],
    )
    line("Look closer: optsync issues show ID. Answer: optsync issues retry ID…, or dismiss ID… --actor NAME.")


def _print_groups(found: "Sequence[Issue]") -> None:
    """Equal kinds as one line each, with the newest as an example."""
    from optsync.cli.moments import written
    from optsync.cli.output import line, table

    groups: dict[tuple[str, str | None], list[Issue]] = {}
    for issue in found:
        groups.setdefault((issue.kind, issue.system), []).append(issue)
    rows = [
        (
            len(members),
            kind,
            system,
            written(min(i.opened_at for i in members)),
            written(max(i.last_at for i in members)),
            members[-1].message,
        )
        for (kind, system), members in sorted(groups.items(), key=lambda g: -len(g[1]))
    ]
    line(f"{len(found)} issues")
    table(("count#", "kind", "system", "since", "last", "for example"), rows)
    line("See them one by one: optsync issues list --kind KIND [--system S].")


def _print(found: "Sequence[Issue]", *, as_json: bool) -> None:
    """One issue as one document, several as a list."""
    from optsync.cli.output import line, print_json
    from optsync.sync.explain import issue_to_json

    documents = [issue_to_json(issue) for issue in found]
    if as_json:
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    for number, document in enumerate(documents):
        if number:
            line()
        for name, value in document.items():
            if value not in (None, {}):
                line(f"{name}: {value}")
