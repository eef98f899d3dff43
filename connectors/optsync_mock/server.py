"""The mock server as a process (:func:`serve`) and inside one (:class:`RunningServer`)."""

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from optsync.clock import Clock, SystemClock
from optsync.connect.mock import MockConfig, VendorMock
from optsync.connect.registry import mocks as installed_mocks
from optsync_mock.app import DROP, MockApp, Receive, Scope, Send
from optsync_mock.faults import FaultInjector, Rule, weather
from optsync_mock.population import people


def populated(*, seed: int, contacts: int, clock: Clock) -> dict[str, VendorMock]:
    """One mock of every installed vendor, all filled with the same ``contacts`` people."""
    filled: dict[str, VendorMock] = {}
    now = clock.now()
    for name, kind in installed_mocks().items():
        mock = kind(clock=clock, rng=random.Random(f"{name}/{seed}"))
        mock.populate(people(seed, contacts, now))
        filled[name] = mock
    return filled


def serve(
    host: str = "127.0.0.1",
    port: int = 8765,
    seed: int = 1,
    contacts: int = 2000,
    *,
    error_rate: float = 0.0,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves all installed mocks until the process is told to stop (SIGINT, SIGTERM).

    Args:
        port: 0 takes a free one.
        error_rate: the share of requests that meet a fault, from 0 to 1.
        on_ready: called with the server's URL once it answers.

    Raises:
        OSError: the port is taken.
    """
    clock = SystemClock()
    faults = FaultInjector(random.Random(f"weather/{seed}"), weather(error_rate))
    with _listen(host, port) as listener:
        app = MockApp(populated(seed=seed, contacts=contacts, clock=clock), clock=clock, faults=faults)
        _Server(app, lambda: on_ready(_url(listener))).run(sockets=[listener])


class RunningServer:
    """A mock server in a thread of this process, from ``with`` to its end.

    Args:
        mocks: served as they are, by name; without it one of every installed vendor with ``contacts`` people.
        port: 0 takes a free one.
        rules: faults in force from the start; ``faults.replace(…)`` changes them.
    """

    def __init__(
        self,
        *,
        mocks: Mapping[str, VendorMock] | None = None,
        seed: int = 1,
        contacts: int = 200,
        clock: Clock | None = None,
        rules: Iterable[Rule] = (),
        port: int = 0,
    ) -> None:
        clock = clock or SystemClock()
        self.mocks = dict(populated(seed=seed, contacts=contacts, clock=clock) if mocks is None else mocks)
        self.faults = FaultInjector(random.Random(f"weather/{seed}"), rules)
        self._app = MockApp(self.mocks, clock=clock, faults=self.faults)
        self._listener = _listen("127.0.0.1", port)
        self.url = _url(self._listener)
        self._ready = threading.Event()
        self._server = _Server(self._app, self._ready.set)
        self._thread = threading.Thread(target=self._run, name="mock-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the mock server did not start within ten seconds")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()

    def base_url(self, mock: str) -> str:
        """Where the API of that mock begins."""
        return f"{self.url}/{mock}"

    def config(self, mock: str) -> MockConfig:
        """What a configuration needs to reach that mock."""
        return self.mocks[mock].config(self.base_url(mock))

    def act(self, mock: str, action: str, **arguments: Any) -> Any:
        """What people do there, under the lock that also holds requests back."""
        return self._app.mounts[mock].act(action, arguments)

    def log(self, mock: str, *, last: int = 50) -> dict[str, Any]:
        """``calls``, ``writes`` and the ``last`` ``requests``, as ``GET /_mock/{mock}/log`` shows them."""
        return self._app.mounts[mock].log(last)

    def clear_log(self, mock: str) -> None:
        """Counts from zero again."""
        self._app.mounts[mock].clear_log()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, app: MockApp, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_DroppingProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


class _DroppingProtocol(H11Protocol):
    """Lets the application close a connection without an answer, which ASGI has no word for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        def drop(flush: bool) -> None:
            (transport.close if flush else transport.abort)()

        async def with_drop(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[DROP] = drop
            await app(scope, receive, send)

        self.app = with_drop


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Inherited by every connection: asyncio sets it only where the socket's protocol was named. Without it the body of
    # an answer waits some 40 ms for the client to acknowledge the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
