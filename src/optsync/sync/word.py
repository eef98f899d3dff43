"""What a person said about held plans, handed to the cycle that carries it out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """``approves`` and ``rejects`` name a plan; ``system`` limits a rejection to what that system said.
    ``approves_first``: whatever the first run of a sync holds or has held."""

    actor: str
    approves: str | None = None
    rejects: str | None = None
    system: str | None = None
    approves_first: bool = False
