"""The page about performance and its pictures, from what the measurements printed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

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
        yield f"* {number(one['population'])} people: {_machine(one)}\n"
    if promised := list(targets(documents)):
        yield "\n## What is promised\n\n| promise | measured | |\n|---|---|---|\n"
        yield from (f"| {t.text} | {t.measured} | {'kept' if t.is_met else '**missed**'} |\n" for t in promised)
    for name, measurement in MEASUREMENTS.items():
        having = [one for one in documents if name in one["results"]]
        if not having:
            continue
        yield f"\n## {measurement.title}\n\n`python -m benchmarks {name}`\n\n{ABOUT[name]}\n"
        for picture in sorted(drawn):
            if picture.startswith(f"performance-{name}"):
                yield f"\n![{measurement.title}](pictures/{picture})\n"
        for one in having:
            for table in measurement.tables(one["results"][name]):
                yield f"\n{table.title}, {number(one['population'])} people:\n\n{markdown(table)}"


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
    for one in reversed(documents):
        sizes = one["results"].get("growth", {}).get("sizes", [])
        if len(sizes) > 1:
            yield "performance-growth.svg", _growth(sizes)
            break
    for one in reversed(documents):
        rows = [row for row in one["results"].get("others", {}).get("reading", []) if not row["failed"]]
        if rows:
            title = f"Records read per second of processor time, {number(one['population'])} people"
            values = {f"{row['tool']} ({row['vendor']})": row["records"] / row["cpu_s"] for row in rows}
            yield "performance-others.svg", bars(title, values, unit="a second")
            break


def _growth(sizes: Sequence[Mapping[str, Any]]) -> str:
    def curve(name: str, key: str) -> list[tuple[float, float]]:
        phases = ((size["population"], next(p for p in size["phases"] if p["phase"] == name)) for size in sizes)
        return [(people, max(phase[key], 1e-3)) for people, phase in phases]

    series = {name: curve(name, "cpu_s") for name in NAMES.values()}
    return lines("Processor seconds of the engine by population", series, x="people", y="seconds")
