"""What the processor is used for, by part of the program: found by looking at the stack every few milliseconds."""

import signal
from collections import Counter
from collections.abc import Mapping
from types import FrameType
from typing import Any

from rich.table import Table

from benchmarks.tables import columns, number

_EVERY_S = 0.005
"""Of processor time."""
_PARTS = {
    "/optsync/state/prepared.py": "SQL",
    "/sqlalchemy/": "SQL",
    "/optsync/state/chain.py": "ledger",
    "/optsync/state/ledger.py": "ledger",
    "/optsync/state/seal": "ledger",
    "/optsync/state/": "state",
    "/optsync/reconcile/": "rules",
    "/optsync/model/": "rules",
    "/optsync/sync/": "cycle",
    "/optsync/connect/": "HTTP, JSON",
    "/requests/": "HTTP, JSON",
    "/urllib3/": "HTTP, JSON",
    "/http/": "HTTP, JSON",
    "/optsync_": "connectors",
}
"""By what a file's path contains, the first that does. What is in none, as the standard library is, counts for whoever
called it; so does what is written in C, such as the database."""
NAMES = (*dict.fromkeys(_PARTS.values()), "else")


class Parts:
    """Samples the main thread from ``begin()`` to ``end()``."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._of_file: dict[str, str | None] = {}

    def begin(self) -> None:
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def of(self, cpu_s: float) -> dict[str, float]:
        """Seconds by part, of this processor time."""
        total = self._seen.total()
        return {name: cpu_s * self._seen[name] / total for name in NAMES if self._seen[name]}

    def clear(self) -> None:
        self._seen.clear()

    def _look(self, _: int, frame: FrameType | None) -> None:
        while frame is not None:
            if part := self._part(frame.f_code.co_filename):
                self._seen[part] += 1
                return
            frame = frame.f_back
        self._seen["else"] += 1

    def _part(self, file: str) -> str | None:
        if file not in self._of_file:
            self._of_file[file] = next((name for piece, name in _PARTS.items() if piece in file), None)
        return self._of_file[file]


def table(phases: list[Mapping[str, Any]]) -> Table:
    """Microseconds a record; phases without records are left out."""
    shown = columns("What the processor time goes into, µs a record", ["phase", *NAMES])
    for phase in phases:
        units = max(phase["records"], phase["changes"])
        if units:
            shown.add_row(phase["phase"], *(number(phase["parts_s"].get(name, 0.0) * 1e6 / units) for name in NAMES))
    if total := sum(phases[0]["parts_s"].values()):
        shares = (f"{name} {phases[0]['parts_s'].get(name, 0.0) / total:.0%}" for name in NAMES)
        shown.caption = f"Of the {phases[0]['phase']}: {'; '.join(shares)}."
    return shown
