"""How far a long piece of work is; shown on a terminal, silent elsewhere."""

from typing import Protocol


class Progress(Protocol):
    def step(self, name: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` (None: not known yet) of the step ``name`` are through."""


class Silent:
    """Shows nothing."""

    def step(self, name: str, done: int, total: int | None) -> None:
        del name, done, total
