"""Scopes: what a wish is about — ``*`` > ``brand`` > ``brand/purpose`` > ``brand/purpose/topic``."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

EVERYTHING = "*"


class Kind(StrEnum):
    """Of a purpose. A transactional one can never be opted out of."""

    COMMERCIAL = "commercial"
    TRANSACTIONAL = "transactional"


class Basis(StrEnum):
    """Of a purpose: what permits a mail."""

    CONSENT = "consent"
    LEGITIMATE_INTEREST = "legitimate_interest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A configured purpose of a brand; ``topics`` are names, not scopes."""

    scope: str
    kind: Kind = Kind.COMMERCIAL
    basis: Basis = Basis.CONSENT
    topics: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def path(scope: str) -> tuple[str, ...]:
    """From ``*`` down to the scope itself: ``("*", "acme", "acme/news", …)``."""
    if scope == EVERYTHING:
        return (EVERYTHING,)
    parts = scope.split("/")
    return (EVERYTHING, *("/".join(parts[:n]) for n in range(1, len(parts) + 1)))


def purpose_of(scope: str) -> str | None:
    """The ``brand/purpose`` a scope lies in, or None above that level."""
    parts = scope.split("/")
    return "/".join(parts[:2]) if len(parts) >= 2 else None


def contains(ancestor: str, scope: str) -> bool:
    """Whether ``ancestor`` is the scope or lies above it."""
    return ancestor in (EVERYTHING, scope) or scope.startswith(ancestor + "/")


def is_valid(scope: str) -> bool:
    """``*`` or one to three non-empty parts without spaces."""
    if scope == EVERYTHING:
        return True
    parts = scope.split("/")
    return 1 <= len(parts) <= 3 and all(p and p == p.strip() and p != EVERYTHING for p in parts)
