"""Time as an argument: every part that needs the time is given a :class:`Clock`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""What Linux calls monotonic stands still while the machine sleeps: nobody would find out that a lease is over."""


class Clock(Protocol):
    """Wall time, a monotonic counter and waiting. Tests and the simulation bring a virtual one."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps back, and goes on while the machine sleeps."""

    def sleep(self, seconds: float) -> None:
        """Waits that long."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(_STEADY)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told to (or when somebody sleeps on it)."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._elapsed = 0.0
        self._now = start

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self._elapsed += max(0.0, seconds)
        self._now = self._start + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> None:
        """Moves on by ``seconds``."""
        self.sleep(seconds)
