"""``python -m benchmarks calls --population 10000``."""

import json
import logging
import sys
from typing import Annotated

import structlog
import typer
from rich.console import Console

from benchmarks.calls import measure, table

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def benchmarks() -> None:
    """Measure optsync against imitated vendors, in one process and under a virtual clock."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@app.command()
def calls(
    population: Annotated[int, typer.Option(min=200, help="How many people.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people and changes.")] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Count calls against the least possible: a first sync, a cycle without changes, a hundredth changed."""
    measured = measure(population, seed)
    if as_json:
        sys.stdout.write(json.dumps([phase.to_json() for phase in measured], indent=2) + "\n")
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(table(measured))


app()
