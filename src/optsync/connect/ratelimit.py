"""Pacing by the generic cell rate algorithm: exact, a few lines, under an injected clock."""

from optsync.clock import Clock


class Pace:
    """At most ``burst`` requests at once and ``per_second`` in the long run."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int) -> None:
        self._clock = clock
        self._interval = 1.0 / per_second
        self._tolerance = self._interval * (burst - 1)
        self._due = 0.0

    def wait(self) -> float:
        """Sleeps until the next request may go out; returns the seconds slept."""
        now = self._clock.monotonic()
        due = max(self._due, now)
        delay = max(0.0, due - now - self._tolerance)
        if delay:
            self._clock.sleep(delay)
        self._due = due + self._interval
        return delay

    def penalise(self, seconds: float) -> None:
        """Keeps everything back for that long: the vendor said that we are too fast."""
        self._due = max(self._due, self._clock.monotonic() + seconds + self._tolerance)
