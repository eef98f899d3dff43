"""Bars on a terminal; nothing in a pipe."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """One bar per step, from ``with`` to its end; on standard error, so that the answer stays clean."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr, markup=False, highlight=False),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._tasks: dict[str, TaskID] = {}
        self._last: str | None = None
        self._done = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, name: str, done: int, total: int | None) -> None:
        """See :class:`optsync.sync.progress.Progress`."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        if self._last not in (None, name):
            # Where nobody knew the total, its end shows only in that something else begins.
            before = self._tasks[str(self._last)]
            self._progress.update(before, total=self._done)
        self._last, self._done = name, done
        self._progress.update(self._tasks[name], completed=done, total=total)
