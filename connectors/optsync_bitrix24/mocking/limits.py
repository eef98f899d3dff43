"""The cloud's two limits: a leaky bucket per source address and execution time per method and credential
(Bitrix24 REST documentation, limits)."""

from dataclasses import dataclass, field

from optsync.clock import Clock
from optsync_bitrix24.mocking.answers import RestError
from optsync_bitrix24.mocking.switches import Switches

_WINDOW = 600.0
LEAST_IN_BATCH = 0.1
"""Seconds that a portal which charges a batch for its commands takes for each of them at least."""


class TookTooLong(Exception):
    """The request was cut off; what it had done by then is done."""


class LeakyBucket:
    """Every request counts, also one that is refused."""

    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> None:
        """Raises ``QUERY_LIMIT_EXCEEDED`` when the bucket overflows."""
        if not self._switches.has_rate_limit:
            return
        now = self._clock.monotonic()
        level, seen = self._levels.get(client, (0.0, now))
        level = max(0.0, level - (now - seen) * self._switches.drain) + 1
        self._levels[client] = (level, now)
        if level > self._switches.threshold:
            raise RestError("QUERY_LIMIT_EXCEEDED", "Too many requests", status=503)


@dataclass(slots=True)
class _Used:
    """By minute: its first call and the seconds spent. Their sum and the first call of all are kept beside them."""

    baskets: dict[int, tuple[float, float]] = field(default_factory=dict)
    seconds: float = 0.0
    oldest: float = float("inf")

    def sum_up(self) -> None:
        self.seconds = sum([spent for _, spent in self.baskets.values()])
        self.oldest = min([first for first, _ in self.baskets.values()], default=float("inf"))


class OperatingTime:
    """Baskets of one minute; a basket drops out ten minutes after its first call. Moments are Unix seconds."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._known: dict[tuple[str, str], _Used] = {}

    def check(self, credential: str, method: str, now: float) -> None:
        """Raises ``OPERATION_TIME_LIMIT`` when former calls used the budget up."""
        if not self._switches.has_operating_limit:
            return
        if self._used(credential, method, now).seconds >= self._switches.operating_budget:
            raise RestError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", status=429)

    def charge(self, credential: str, method: str, seconds: float, now: float) -> tuple[float, int]:
        """Adds an execution; gives the running sum and the moment when its oldest basket drops out."""
        used = self._used(credential, method, now)
        summed = used.seconds + seconds
        minute = int(now // 60)
        first, spent = used.baskets.get(minute, (now, 0.0))
        used.baskets[minute] = (first, spent + seconds)
        used.sum_up()
        return round(summed, 6), int(used.oldest + _WINDOW)

    def _used(self, credential: str, method: str, now: float) -> _Used:
        used = self._known.get((credential, method))
        if used is None:
            used = self._known[credential, method] = _Used()
        elif used.oldest + _WINDOW <= now:
            used.baskets = {m: basket for m, basket in used.baskets.items() if basket[0] + _WINDOW > now}
            used.sum_up()
        return used
