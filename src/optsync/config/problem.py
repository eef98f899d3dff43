"""One thing that a check found."""

from dataclasses import dataclass

from optsync.config.places import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``found`` empty means the value at ``path``, which is then shown unless it is hidden."""

    path: Path
    found: str = ""
    expected: str
    because: tuple[Path, ...] = ()
    """Other places it was judged by: if one of them is faulty itself, this says nothing."""
