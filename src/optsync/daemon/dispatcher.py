"""Who starts the runs. One process does it by itself; a queue in a shared database can take its place."""

from collections.abc import Callable, Sequence
from typing import Protocol

RunSync = Callable[[str], float | None]
"""Runs one cycle of the named sync to its end; after how many seconds the next one is to begin at the latest, None: by
its schedule. What it raises is counted and logged, and stops nothing else."""


class Dispatcher(Protocol):
    """Never starts a sync while a run of it is under way here; other processes are kept out by its lease."""

    def start(self) -> None:
        """Begins: every sync runs once soon, and then by its schedule."""

    def stop(self, seconds: float) -> bool:
        """Starts nothing more and waits that long for what is under way; False if something still is."""

    def trigger(self, sync: str) -> None:
        """Runs the sync soon. While it is running it runs once more afterwards, however often this is called.

        Raises:
            KeyError: there is no such sync.
        """

    def is_alive(self) -> bool:
        """Whether due runs are being started."""

    def neglected(self) -> Sequence[str]:
        """Syncs that are neither running nor waiting for their next run; empty when all is well."""
