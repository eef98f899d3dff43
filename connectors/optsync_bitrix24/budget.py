"""The run time that the portal grants each method in ten minutes, and who may use how much of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optsync.clock import Clock

_SHARE = 0.8
_LONGEST = 600.0
_SAME = 2.0
"""The portal tells in whole seconds when the oldest minute drops out."""
_LARGEST = 1e12
"""Seconds: 30,000 years. Times in answers are seconds since 1970, or spans."""
_REMEMBERED = 0.8
"""How much of what was known of a call's cost stays when another answer tells it."""


def seconds(value: Any) -> float | None:
    """What an answer tells in seconds; None where that is no number, or none that a time can be."""
    return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else None


@dataclass(frozen=True, slots=True)
class _Used:
    seconds: float
    resets_at: float
    """On our monotonic clock."""


class OperatingBudget:
    """Remembers what each method has used, as the answers say, and what a call of it costs.

    Bitrix24 sums a method's run time over a sliding ten minutes, tells the sum with every answer and refuses the
    method above the limit until the oldest minute drops out (REST documentation, limits). It is not settled
    whether a batch is charged to its commands' methods or to ``batch``, so both are watched. Reads and ordinary
    writes stop at four fifths; the rest is kept for writes that restrict.
    """

    def __init__(self, clock: Clock, *, limit: float) -> None:
        self._clock = clock
        self._limit = limit
        self._used: dict[str, _Used] = {}
        self._cost: dict[str, float] = {}

    def note(self, method: str, time: Mapping[str, Any], vendor_now: float) -> None:
        """Takes in the ``time`` of an answer or command, in their order; ``vendor_now`` is the vendor's clock, a Unix
        time."""
        used, resets_at = seconds(time.get("operating")), seconds(time.get("operating_reset_at"))
        if used is None or resets_at is None:
            return
        ahead = min(max(0.0, resets_at - vendor_now), _LONGEST)
        before, now = self._used.get(method), _Used(used, self._clock.monotonic() + ahead)
        self._used[method] = now
        # Where a minute has dropped out in between, the sum does not tell what was added.
        if before is not None and abs(before.resets_at - now.resets_at) < _SAME:
            self._learn(method, now.seconds - before.seconds)

    def _learn(self, method: str, cost: float) -> None:
        if cost > 0:
            known = self._cost.get(method, cost)
            self._cost[method] = _REMEMBERED * known + (1 - _REMEMBERED) * cost

    def refused(self, method: str) -> None:
        """The method was refused inside a batch: nobody may call it until the oldest minute drops out."""
        self._used[method] = _Used(self._limit, self._clock.monotonic() + self.wait_after_refusal({method}))

    def free(self, method: str) -> float:
        """Seconds of the method's run time that what restricts nobody may use now."""
        used = self._used.get(method)
        return max(0.0, self._limit * _SHARE - (used.seconds if used and self._is_current(used) else 0.0))

    def seconds_for(self, method: str, calls: int) -> float | None:
        """About how long so many ordinary calls take from now on: what is free at once, and the rest as the portal
        grants it. None while no answer has told what one costs."""
        cost = self._cost.get(method)
        if cost is None:
            return None
        granted = self._limit * _SHARE / _LONGEST
        return max(calls * cost, (calls * cost - self.free(method)) / granted)

    def wait_before(self, methods: set[str], *, restrictive: bool) -> float:
        """Seconds to wait before those methods may be called."""
        share = 1.0 if restrictive else _SHARE
        return max((self._wait(method, share) for method in methods), default=0.0)

    def wait_after_refusal(self, methods: set[str]) -> float:
        """Seconds until a refused method may be called again; a minute where the portal never said."""
        known = [self._used[method].resets_at for method in methods if method in self._used]
        ahead = max(known, default=0.0) - self._clock.monotonic()
        return min(ahead, _LONGEST) if ahead > 0 else 60.0

    def _is_current(self, used: _Used) -> bool:
        return used.resets_at > self._clock.monotonic()

    def _wait(self, method: str, share: float) -> float:
        used = self._used.get(method)
        if used is None or used.seconds < self._limit * share:
            return 0.0
        return max(0.0, used.resets_at - self._clock.monotonic())
