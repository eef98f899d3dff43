"""The page about performance and its pictures, from what the measurements printed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import growth
from benchmarks.engine import NAMES
from benchmarks.measurements import MEASUREMENTS
from benchmarks.pictures import bars, lines
from benchmarks.prose import ABOUT, INTRODUCTION
from benchmarks.tables import number
from benchmarks.targets import targets

Document = Mapping[str, Any]


def write(documents: Sequence[Document], *, page: Path, pictures: Path) -> list[Path]:
    """Writes the page and returns what was written; of several documents those of the smaller population come first."""
    in_order = sorted(documents, key=lambda one: int(one["population"]))
    drawn = dict(_drawn(in_order))
    pictures.mkdir(parents=True, exist_ok=True)
    for name, text in drawn.items():
        (pictures / name).write_text(text, encoding="utf-8")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("".join(_page(in_order, set(drawn))), encoding="utf-8")
    return [page, *(pictures / name for name in drawn)]


def _page(documents: Sequence[Document], drawn: set[str]) -> Iterator[str]:
    yield INTRODUCTION
    for one in documents:
        yield f"* {', '.join(one['results'])} with {number(one['population'])} people: {_machine(one)}\n"
    if promised := list(targets(documents)):
        yield "\n## What is promised\n\n| promise | people | measured | |\n|---|---:|---|---|\n"
        places = {text: place for place, text in enumerate(dict.fromkeys(t.text for t in promised))}
        for each in sorted(dict.fromkeys(promised), key=lambda t: places[t.text]):
            yield _row([each.text, each.people, each.measured, "kept" if each.is_met else "**missed**"])
    for name, measurement in MEASUREMENTS.items():
        found = dict.fromkeys((title, markdown(table)) for title, table in _tables(name, documents))
        if not found:
            continue
        yield f"\n## {measurement.title}\n\n`python -m benchmarks {name}`\n\n{ABOUT[name]}\n"
        for picture in sorted(drawn):
            if picture.startswith(f"performance-{name}"):
                yield f"\n![{measurement.title}](pictures/{picture})\n"
        yield from (f"\n{title}:\n\n{text}" for title, text in found)


def _tables(name: str, documents: Sequence[Document]) -> Iterator[tuple[str, Table]]:
    """With their titles, to which the population belongs unless the table has it. Growth is one table of all documents;
    what the time of its largest populations goes into stands beside that of the others."""
    if name == "growth":
        if sizes := _sizes(documents):
            shown = growth.table(sizes)
            yield str(shown.title), shown
        return
    for one in documents:
        measured: list[tuple[str, Document]] = []
        if name in one["results"]:
            measured.append((f"{number(one['population'])} people", one["results"][name]))
        if name == "engine" and (largest := growth.apart(one["results"], one["population"])):
            measured.append((f"{number(largest['population'])} people{growth.mode(largest)}", largest))
        for people, results in measured:
            for shown in MEASUREMENTS[name].tables(results):
                yield str(shown.title) if name == "budget" else f"{shown.title}, {people}", shown


def _sizes(documents: Sequence[Document]) -> list[growth.Size]:
    return growth.merged(one["results"]["growth"] for one in documents if "growth" in one["results"])


def _machine(one: Document) -> str:
    machine = one["machine"]
    note = f"; {machine['note']}" if machine["note"] else ""
    about = f"{machine['processors']} processors ({machine['architecture']}), Python {machine['python']}"
    return f"{about}, SQLite {machine['sqlite']}{note}"


def markdown(table: Table) -> str:
    """The same cells."""
    rows = zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True)
    text = _row([str(column.header) for column in table.columns])
    text += _row(["---:" if column.justify == "right" else "---" for column in table.columns])
    text += "".join(_row(row) for row in rows)
    return text + (f"\n{table.caption}\n" if table.caption else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _drawn(documents: Sequence[Document]) -> Iterator[tuple[str, str]]:
    """File name and text of each picture for which there are results; of the largest population."""
    sizes = _sizes(documents)
    if len({size["population"] for size in sizes}) > 1:
        yield "performance-growth.svg", _growth(sizes)
    for one in reversed(documents):
        rows = [row for row in one["results"].get("others", {}).get("reading", []) if not row["failed"]]
        if rows:
            title = f"Records read per second of processor time, {number(one['population'])} people"
            values = {_named(row): row["records"] / row["cpu_s"] for row in rows}
            yield "performance-others.svg", bars(title, values, unit="a second")
            break


def _named(row: Mapping[str, Any]) -> str:
    way = f" {row['how'].partition('.')[2]}" if row["tool"] == "optsync" else ""
    return f"{row['tool']}{way} ({row['vendor']})"


def _growth(sizes: Sequence[growth.Size]) -> str:
    def curve(name: str) -> list[tuple[float, float]]:
        return [(size["population"], max(growth.phase_of(size, name)["cpu_s"], 1e-3)) for size in sizes]

    series = {name: curve(name) for name in NAMES.values()}
    return lines("Processor seconds of the engine by population", series, x="people", y="seconds")
