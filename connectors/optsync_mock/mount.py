"""A vendor mock behind its lock, its faults and its log."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from optsync.connect.mock import MockRequest, MockResponse, VendorMock
from optsync_mock.faults import FaultInjector, FaultyMock


class Mount:
    """Serialises what clients and people do to one mock, and counts what clients ask for."""

    def __init__(self, mock: VendorMock, faults: FaultInjector) -> None:
        self.mock = mock
        self.calls = 0
        self.writes = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=1000)
        """The newest; a ``status`` of None means that no answer was given."""
        self._door = FaultyMock(mock, faults)
        self._lock = threading.Lock()

    def handle(self, request: MockRequest) -> MockResponse:
        """Answers a vendor's client. Raises ``ConnectionLost`` where it gets no answer."""
        with self._lock:
            is_write = self.mock.is_write(request)
            self.calls += 1
            self.writes += is_write
            entry = {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "body": request.body[:4000].decode("utf-8", "replace"),
                "is_write": is_write,
                "status": None,
            }
            self.requests.append(entry)
            answer = self._door.handle(request)
            entry["status"] = answer.status
            return answer

    def act(self, action: str, arguments: Mapping[str, Any]) -> Any:
        """What people do there by other ways than the API. Raises ``KeyError`` for an unknown action."""
        with self._lock:
            return self.mock.act(action, **arguments)

    def log(self, last: int) -> dict[str, Any]:
        """Counts since the start or the last ``clear_log``, and the ``last`` requests, oldest first."""
        with self._lock:
            newest = list(self.requests)[-last:] if last > 0 else []
            return {"calls": self.calls, "writes": self.writes, "requests": [dict(entry) for entry in newest]}

    def clear_log(self) -> None:
        with self._lock:
            self.calls = self.writes = 0
            self.requests.clear()
