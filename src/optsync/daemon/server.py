"""The web server in the main thread: it owns the signals."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from urllib.parse import urlsplit

import structlog
import uvicorn
from fastapi import FastAPI

from optsync.errors import ConfigError

_log = structlog.get_logger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_OPEN_REQUESTS = 3
"""Seconds that a request under way has at the end."""


def listen(address: str) -> socket.socket:
    """A socket that listens there (``web.listen``).

    Raises:
        ConfigError: the address cannot be used, because the port is taken for instance.
    """
    parts = urlsplit(f"//{address}")
    family = socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET
    try:
        listener = socket.create_server((parts.hostname or "", parts.port or 0), family=family)
    except OSError as error:
        reason = error.strerror or "no such address"
    else:
        # Connections inherit it. Without it a page waits some 40 ms for the browser to acknowledge its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    raise ConfigError(f"web.listen: {address} cannot be used ({reason}): is another optsync running? Name another port")


class Server(uvicorn.Server):
    """Ends in order at the first signal, at once at the second."""

    def __init__(self, app: FastAPI, on_signal: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_OPEN_REQUESTS,
            )
        )
        self._on_signal = on_signal

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike the original, doesn't send the signal again at the end: to be asked to end is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True
        self._on_signal()
