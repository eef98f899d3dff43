"""A turn: one look at the systems, and what is decided and written after it."""

from collections.abc import Collection
from dataclasses import dataclass

SECONDS = 60.0
"""After so many, ordinary writing makes room for another look at what people said: an opt-out that arrives meanwhile
waits for that and for the call under way, and looking costs a few calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """``available``: systems that can be read and written. ``is_cautious``: one side could not be read, so that only
    what restricts is decided and written. ``newest``: the last change that was decided before this look and may wait
    to be sent still, 0 if none does; such a one is sent only if it would be decided so now. ``seconds``: after which
    nothing ordinary is begun; None: all is sent in one go, and what a system puts off is put off one by one.
    ``expected``: how many changes there are to be sent, 0 where nobody knows."""

    available: Collection[str]
    is_cautious: bool = False
    newest: int = 0
    seconds: float | None = SECONDS
    expected: int = 0
