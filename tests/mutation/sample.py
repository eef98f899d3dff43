"""A module that the tests of mutation testing make mutants of."""

from dataclasses import dataclass
from functools import cache

SMALL = frozenset({1, 2})
NAMES: dict[str, int] = {
    "one": 1,
    "many": 9,
}
UNUSED = {"a", "b"}


@dataclass(frozen=True, slots=True)
class Span:
    """From a number to another."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many numbers it holds."""
        return self.last - self.first

    @classmethod
    def upto(
        cls,
        last: int,
        first: int = 0,
    ) -> "Span":
        """From ``first`` to ``last``."""
        return cls(first, last)


def longest(spans: list[Span]) -> int:
    """The length of the longest; 0 without any."""
    lengths = [span.length for span in spans]
    return max(lengths, default=0)


@cache
def halve(number: int) -> int:
    """How often a number can be halved."""
    times = 0
    while number > 1:
        number //= 2
        times += 1
    return times


def unused() -> bool:
    """No test calls it."""
    return True


def is_small(name: str) -> bool:
    """Whether the number of that name is small."""
    return NAMES.get(name) in SMALL
