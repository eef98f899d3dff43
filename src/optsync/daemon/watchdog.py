"""What systemd is told: ready, stopping, and that things still move."""

import asyncio
import os
from collections.abc import Callable, Mapping

import sdnotify
import structlog

_log = structlog.get_logger(__name__)


class Watchdog:
    """Speaks to systemd where it listens (``NOTIFY_SOCKET``) and is silent elsewhere.

    ``is_well`` is asked before every sign of life. The signs come from the event loop, so that they also prove that
    requests are answered.
    """

    def __init__(self, is_well: Callable[[], bool], environment: Mapping[str, str] = os.environ) -> None:
        self._is_well = is_well
        self._notifier = sdnotify.SystemdNotifier() if environment.get("NOTIFY_SOCKET") else None
        given = environment.get("WATCHDOG_USEC", "").strip()
        self._every = int(given) / 2_000_000 if given.isdecimal() else 0
        """Seconds: twice as often as systemd wants it."""

    def ready(self) -> None:
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    async def watch(self) -> None:
        """Runs until it is cancelled."""
        while self._notifier is not None and self._every > 0:
            if self._is_well():
                self._tell("WATCHDOG=1")
            else:
                _log.error("no sign of life given: the scheduler or a run hangs")
            await asyncio.sleep(self._every)

    def close(self) -> None:
        """Tells nothing more."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()
        self._notifier = None

    def _tell(self, message: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(message)
