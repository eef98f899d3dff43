"""Which decisions were made, and which findings were told, in cycles in which what happened."""

from collections import Counter
from collections.abc import Iterable, Mapping

from optsync.reconcile.rules import Rule
from tests.simulation.script import CALM, CLASSES
from tests.simulation.stage import Stage

TOLD = (
    *("out by crm", "out by esp", "out by admin", "out by import", "complaint by spam_complaint"),
    *("grant by crm", "grant by esp", "grant by admin", "grant by import", "grant by legacy"),
    *("hard_bounce by bounce", "hard_bounce by crm", "soft_bounce by bounce"),
    *("delivered by crm", "delivered by esp", "delivered by admin"),
    *("request by api", "request_expired by api", "retract by admin"),
)
ROWS = (*(rule.value for rule in Rule), *TOLD)
ENOUGH = 20_000
"""Worlds after which every cell must have been met. Rare is no excuse: :mod:`tests.simulation.drills` is for that."""


class Coverage:
    """Of one world: (row, fault class) -> how many changes or statements."""

    def __init__(self, stage: Stage) -> None:
        self._driver = stage.store.driver
        self._change = self._statement = 0
        self.cells: Counter[tuple[str, str]] = Counter()

    def note(self, struck: Iterable[str]) -> None:
        """What the cycle that just ended has brought; ``struck``: the fault classes that hit it."""
        found: Counter[str] = Counter()
        changes = self._driver.execute("SELECT id, rule FROM change WHERE id > ?", (self._change,)).fetchall()
        query = "SELECT id, kind, source FROM statement WHERE id > ?"
        told = self._driver.execute(query, (self._statement,)).fetchall()
        for key, rule in changes:
            self._change = max(self._change, key)
            found[rule] += 1
        for key, kind, source in told:
            self._statement = max(self._statement, key)
            found[f"{kind} by {source}"] += 1
        for name in set(struck) or {CALM}:
            for row, count in found.items():
                self.cells[row, name] += count


def table(cells: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Every row, with a number for every class."""
    return {row: {name: cells.get((row, name), 0) for name in CLASSES} for row in ROWS}


def zeros(cells: Mapping[tuple[str, str], int]) -> list[str]:
    """The cells in which nothing ever happened."""
    return [f"{row} × {name}" for row, names in table(cells).items() for name, count in names.items() if not count]


def gaps(cells: Mapping[tuple[str, str], int], worlds: int) -> list[str]:
    """The cells that are empty after so many worlds that none may be."""
    return zeros(cells) if worlds >= ENOUGH else []


def text(cells: Mapping[tuple[str, str], int]) -> str:
    """The table for people, in Markdown."""
    lines = [f"| | {' | '.join(CLASSES)} |", f"|---|{'---:|' * len(CLASSES)}"]
    for row, names in table(cells).items():
        lines.append(f"| {row} | {' | '.join(str(names[name]) for name in CLASSES)} |")
    return "\n".join(lines)
