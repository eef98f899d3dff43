"""The cloud's two limits: a leaky bucket per source address and execution time per method and credential
(Bitrix24 REST documentation, limits)."""

from optsync.clock import Clock
from optsync_bitrix24.mocking.answers import RestError
from optsync_bitrix24.mocking.switches import Switches

_WINDOW = 600.0


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


class OperatingTime:
    """Baskets of one minute; a basket drops out ten minutes after its first call."""

    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._baskets: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}

    def check(self, credential: str, method: str) -> None:
        """Raises ``OPERATION_TIME_LIMIT`` when former calls used the budget up."""
        if self._switches.has_operating_limit and self._used(credential, method) >= self._switches.operating_budget:
            raise RestError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", status=429)

    def charge(self, credential: str, method: str, seconds: float) -> tuple[float, int]:
        """Adds an execution; gives the running sum and the moment (Unix seconds) when its oldest basket drops out."""
        now = self._clock.now().timestamp()
        used = self._used(credential, method) + seconds
        baskets = self._baskets.setdefault((credential, method), {})
        first, spent = baskets.get(int(now // 60), (now, 0.0))
        baskets[int(now // 60)] = (first, spent + seconds)
        return round(used, 6), int(min(begun for begun, _ in baskets.values()) + _WINDOW)

    def _used(self, credential: str, method: str) -> float:
        now = self._clock.now().timestamp()
        baskets = self._baskets.get((credential, method), {})
        for minute in [m for m, (first, _) in baskets.items() if first + _WINDOW <= now]:
            del baskets[minute]
        return sum(spent for _, spent in baskets.values())
