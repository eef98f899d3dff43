"""``optsync demo``: the whole tour against imitated vendors, in one command; it checks itself."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from optsync.cli.demo_play import FLIPPED, SCENES, Scene, cast, play, shortfalls
from optsync.cli.demo_stage import SYNC, HurriedClock, Stage, stage
from optsync.cli.explain import in_words
from optsync.cli.progress import Bars
from optsync.cli.report import diff, whom, why
from optsync.clock import SystemClock
from optsync.config.load import load
from optsync.errors import CommandRefused
from optsync.model.record import Side
from optsync.state.changes import Change
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.sync.explain import explain
from optsync.sync.report import Report, count_kinds
from optsync.sync.run import run_cycle
from optsync.sync.word import Word

_WORD = Word(actor="demo", approves_first=True)
"""With many people the first sync changes more than the guard lets pass: here nobody is there to look at it."""
_PAUSE = 600
"""Seconds between two syncs, skipped by the clock: more than the tolerance between clocks."""


def demo(
    contacts: Annotated[
        int, typer.Option(min=0, help="How many people the two systems share, besides the cast.")
    ] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="A new folder for the configuration and the database.")] = None,
) -> None:
    """Show a tour: imitated vendors, a first sync, wishes on both sides, a second sync, an explanation.

    Needs no account and no network. Exit code 1 if anything did not travel as it should.
    """
    console = _console()
    clock = HurriedClock(SystemClock())
    with _folder(keep) as folder:
        on = stage(seed=seed, contacts=contacts, clock=clock)
        on.seat(cast(clock.now()))
        with on.server:
            path = on.write_config(folder, contacts=contacts)
            engine = compose(load(path), clock=clock, rng=random.Random(seed))
            try:
                failures = _Tour(console, engine, on, clock).run(path)
            finally:
                engine.close()
        if keep is not None:
            console.print(f"\nKept: {escape(str(path))} and the state database beside it.")
    if failures:
        for failure in failures:
            console.print(f"[bold red]Did not travel:[/] {escape(failure)}")
        raise typer.Exit(1)
    console.print("\n[bold green]Everything travelled, nothing else was touched.[/]")


class _Tour:
    """The syncs, and what is shown between them."""

    def __init__(self, console: Console, engine: Engine, on: Stage, clock: HurriedClock) -> None:
        self._console = console
        self._engine = engine
        self._on = on
        self._clock = clock
        self._crm, self._esp = on.systems[Side.CRM], on.systems[Side.ESP]
        self._waited = 0

    def run(self, path: Path) -> list[str]:
        """The whole tour; returns a sentence for everything that did not travel."""
        self._console.print(
            f"[bold]{self._crm}[/] ⇄ [bold]{self._esp}[/], imitated, at {self._on.server.url}\n"
            f"Configuration: {escape(str(path))}"
        )
        self._title("1  First sync: wishes are taken over, nobody is opted in by accident")
        first, _ = self._sync()
        self._show_first(first)
        self._title("2  People do things")
        self._show_deeds()
        self._title("3  Second sync: what travelled where, and why")
        second, _ = self._sync()
        changes = second.syncs[SYNC].changes
        self._console.print(self._travels(changes))
        failures = list(shortfalls(self._on, changes))
        self._title(f"4  Why is {FLIPPED.first_name} opted out, although the CRM was told otherwise?")
        self._explain(FLIPPED)
        self._title("5  Third sync: nothing is left to do")
        failures += self._check_quiet()
        return failures

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold cyan]{text}[/]")

    def _sync(self) -> tuple[Report, int]:
        """A cycle and how many writing requests it made."""
        self._clock.sleep(_PAUSE)
        before, skipped = self._on.writes(), self._clock.skipped
        with Bars() as bars:
            report = run_cycle(self._engine, progress=bars, word=_WORD)
        self._waited = round(self._clock.skipped - skipped)
        for failure in report.syncs[SYNC].failures:
            raise CommandRefused(str(failure))
        if report.state != "done":
            raise CommandRefused(f"the sync ended as {report.state}")
        return report, self._on.writes() - before

    def _show_first(self, report: Report) -> None:
        of_sync = report.syncs[SYNC]
        table = _table("to", "what", "why", "how many")
        table.columns[-1].justify = "right"
        counts = count_kinds(of_sync.changes)
        for (system, kind, rule), count in sorted(counts.items(), key=lambda item: -item[1]):
            table.add_row(system, kind, why(rule), str(count))
        self._console.print(table)
        seen, outcome = of_sync.seen, of_sync.outcome
        reasons = sorted(outcome["skipped"].items())
        skipped = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons) or "none"
        calls = ", ".join(f"{count} to {system}" for system, count in of_sync.calls.items())
        self._console.print(
            f"{seen['crm']} records in {self._crm}, {seen['esp']} in {self._esp}: {outcome['changed']} changed, "
            f"{outcome['same']} same, {outcome['quarantined']} quarantined; skipped: {skipped}.\n"
            f"Calls: {calls}; the vendors' limits ask for {self._waited} s of waiting, which the demo's clock skips."
        )

    def _show_deeds(self) -> None:
        for scene in SCENES:
            self._clock.sleep(60)
            play(scene, self._on)
            where = " and ".join(self._on.systems[deed.side] for deed in scene.deeds)
            self._console.print(f"  [bold]{scene.first_name}[/] {scene.told}  [dim]({where})[/]")

    def _travels(self, changes: Sequence[Change]) -> Table:
        table = _table("who", "from → to", "what", "before → after", "why")
        of_person: dict[str | None, list[Change]] = {}
        for change in changes:
            of_person.setdefault(change.email, []).append(change)
        names = {scene.email: scene.first_name for scene in SCENES}
        for email in sorted(of_person, key=lambda address: names.get(address or "", "~")):
            for number, change in enumerate(of_person[email]):
                who = names.get(email or "", whom(change)) if number == 0 else ""
                source = self._esp if change.system == self._crm else self._crm
                way = f"{source} → {change.system}"
                table.add_row(who, way, change.kind, escape(diff(change.before, change.after)), why(change.rule))
        return table

    def _explain(self, scene: Scene) -> None:
        for text in in_words(explain(self._engine, scene.email)):
            self._console.print(f"  {escape(text)}", soft_wrap=True)

    def _check_quiet(self) -> list[str]:
        report, writes = self._sync()
        changes = len(report.syncs[SYNC].changes)
        if changes or writes:
            return [f"the third sync should find nothing to do, and made {changes} changes in {writes} requests"]
        calls = sum(report.syncs[SYNC].calls.values())
        self._console.print(f"{calls} reading calls, [bold]0 writes[/], 0 changes: both sides agree.")
        return []


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    return console


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        # What an earlier tour left there would be taken for what these systems last agreed on.
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise CommandRefused(f"{keep} is there and not empty; name a folder that may be made")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="optsync-demo-") as name:
        yield Path(name)
