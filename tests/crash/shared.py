"""A few numbers that all processes of a crash test see at once: the time, how far the program is, where it must die.

They live in memory that is shared by forking, so what a killed process wrote last is still there.
"""

import mmap
import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum


class Phase(IntEnum):
    """What the program was doing."""

    STARTING = 0
    READING = 1
    """Waiting for a system's answer."""
    DECIDING = 2
    """Computing, or talking to its database."""
    COMMITTING = 3
    BEFORE_A_WRITE = 4
    """The intent is committed, the request is not sent."""
    WRITING = 5
    """The request is on its way, or its answer."""
    AFTER_A_WRITE = 6
    """The answer is there, what it says is not committed."""


AROUND_A_WRITE = (Phase.BEFORE_A_WRITE, Phase.WRITING, Phase.AFTER_A_WRITE)


@dataclass(frozen=True, slots=True)
class Aim:
    """A moment of a run: the ``nth`` entry into ``phase``, or into any; ``delay``: seconds after it."""

    nth: int
    phase: Phase | None = None
    signal: int = 0
    delay: float = 0.0


class Shared:
    """``ahead``: seconds by which the clock of all processes is ahead. ``events``: how often the program changed its
    phase. When it enters ``Aim.phase`` (any, if that is None) for the ``nth`` time, it gets the signal."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 64)

    def _get(self, place: int) -> float:
        return float(struct.unpack_from("d", self._memory, place * 8)[0])

    def _set(self, place: int, value: float) -> None:
        struct.pack_into("d", self._memory, place * 8, value)

    @property
    def ahead(self) -> float:
        return self._get(0)

    @ahead.setter
    def ahead(self, value: float) -> None:
        self._set(0, value)

    @property
    def events(self) -> int:
        return int(self._get(1))

    @property
    def phase(self) -> Phase:
        return Phase(int(self._get(2)))

    @property
    def aim(self) -> "Aim":
        phase = int(self._get(3))
        return Aim(int(self._get(4)), None if phase < 0 else Phase(phase), int(self._get(5)), self._get(6))

    def start_over(self, aim: "Aim | None" = None) -> None:
        """For the next process."""
        aim = aim or Aim(0)
        wanted = -1.0 if aim.phase is None else float(aim.phase)
        for place, value in enumerate((0.0, float(Phase.STARTING), wanted, aim.nth, aim.signal, aim.delay), 1):
            self._set(place, float(value))

    def enter(self, phase: Phase) -> None:
        self._set(1, float(self.events + 1))
        self._set(2, float(phase))


class SharedClock:
    """The machine's clock, set ahead for all at once. Sleeping sets it ahead and takes no time: rate limits and retries
    pass at once."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._shared.ahead)  # noqa: TID251 - real processes

    def monotonic(self) -> float:
        return time.monotonic() + self._shared.ahead

    def sleep(self, seconds: float) -> None:
        self._shared.ahead += max(0.0, seconds)
