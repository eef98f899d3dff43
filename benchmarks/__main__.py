"""``python -m benchmarks calls --population 10000``."""

import json
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from benchmarks import growth as growing
from benchmarks.measurements import MEASUREMENTS, Results, document
from benchmarks.report import write

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)

Population = Annotated[int, typer.Option(min=200, help="How many people.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same people and changes.")]
Note = Annotated[str, typer.Option(help="About the machine, for the page: what else it did.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, as `report` reads it.")]
Unlimited = Annotated[bool, typer.Option("--unlimited", help="The CRM grants any run time.")]
Sizes = Annotated[
    str, typer.Option(help="Populations instead, separated by commas.", show_default="a tenth, three tenths, all of it")
]


@app.callback()
def benchmarks() -> None:
    """Measure optsync against imitated vendors, under a virtual clock: what a vendor would make it wait is counted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _run(work: dict[str, Callable[[], Results]], population: int, seed: int, note: str, *, as_json: bool) -> None:
    done: dict[str, Results] = {}
    console = Console(width=None if sys.stdout.isatty() else 170)
    for name, measure in work.items():
        done[name] = measure()
        if not as_json:
            console.print(*MEASUREMENTS[name].tables(done[name]))
    if as_json:
        sys.stdout.write(json.dumps(document(done, population=population, seed=seed, note=note), indent=1) + "\n")


def _one(name: str, population: int, seed: int, note: str, *, as_json: bool) -> None:
    _run({name: partial(MEASUREMENTS[name].measure, population, seed)}, population, seed, note, as_json=as_json)


@app.command()
def calls(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Count calls against the least possible, in five phases."""
    _one("calls", population, seed, note, as_json=as_json)


@app.command()
def engine(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Measure the engine's processor time, the vendors being in another process."""
    _one("engine", population, seed, note, as_json=as_json)


@app.command()
def memory(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Measure the memory of each phase, each in a process of its own."""
    _one("memory", population, seed, note, as_json=as_json)


@app.command()
def disk(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Measure the state database after the first sync."""
    _one("disk", population, seed, note, as_json=as_json)


@app.command()
def growth(
    population: Population = 100_000,
    sizes: Sizes = "",
    seed: Seed = 1,
    note: Note = "",
    *,
    unlimited: Unlimited = False,
    as_json: AsJson = False,
) -> None:
    """Run the course for one population after the other, up to this one."""
    try:
        wanted = sorted(int(size) for size in sizes.split(",")) if sizes else growing.sizes_up_to(population)
    except ValueError:
        raise typer.BadParameter("expected numbers, as in 10000,30000", param_hint="--sizes") from None
    measure = partial(growing.measure, wanted, seed, is_limited=not unlimited)
    _run({"growth": measure}, wanted[-1], seed, note, as_json=as_json)


@app.command()
def others(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Read and write beside other people's tools, which are installed below .venvs for it."""
    _one("others", population, seed, note, as_json=as_json)


@app.command()
def postgresql(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Run the course with PostgreSQL as the state, beside SQLite."""
    _one("postgresql", population, seed, note, as_json=as_json)


@app.command()
def budget(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """See who goes first at a slow portal; 50000 people for a long queue."""
    _one("budget", population, seed, note, as_json=as_json)


@app.command("all")
def everything(population: Population = 10_000, seed: Seed = 1, note: Note = "", *, as_json: AsJson = False) -> None:
    """Run all of them; the growth up to this population."""
    work: dict[str, Callable[[], Results]] = {
        name: partial(one.measure, population, seed) for name, one in MEASUREMENTS.items()
    }
    _run(work, population, seed, note, as_json=as_json)


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="What --json printed, one file or several.", exists=True)],
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/performance.md"),
    pictures: Annotated[Path, typer.Option(help="The folder of its pictures.")] = Path("docs/pictures"),
) -> None:
    """Write the page about performance and its pictures from results."""
    written = write([json.loads(path.read_text(encoding="utf-8")) for path in results], page=page, pictures=pictures)
    sys.stdout.write("".join(f"{path}\n" for path in written))


app()
