"""The ASGI application: vendor APIs under ``/{mock}/…``, the hands of people and administrators under ``/_mock``."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from email.utils import format_datetime
from typing import Any, TypeAlias

from optsync.clock import Clock
from optsync.connect.mock import AnswerLate, ConnectionLost, MockRequest, MockResponse, VendorMock
from optsync_mock.control import Control, json_answer
from optsync_mock.faults import FaultInjector
from optsync_mock.mount import Mount

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Channel: TypeAlias = tuple[Scope, Receive, Send]

DROP = "optsync.drop"
"""ASGI extension: a function that closes the client's connection; true sends first what is already written."""


class MockApp:
    """One port for all mocks. Each is called by one thread at a time: the server's, or a test's through ``act``."""

    def __init__(self, mocks: Mapping[str, VendorMock], *, clock: Clock, faults: FaultInjector) -> None:
        self.mounts = {name: Mount(mock, faults) for name, mock in mocks.items()}
        self.faults = faults
        self._clock = clock
        self._control = Control(self.mounts, faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served, not {scope['type']}")
        body = await _body(receive)
        _, first, *rest = scope["raw_path"].decode("ascii").split("/")
        path = "/" + "/".join(rest)
        base_url = f"{scope['scheme']}://{_host(scope)}"
        if first == "_mock":
            request = _request(scope, path, body, base_url)
            await self._answer(self._control.handle(request), (scope, receive, send))
        elif first in self.mounts:
            await self._serve(
                self.mounts[first], _request(scope, path, body, f"{base_url}/{first}"), (scope, receive, send)
            )
        else:
            names = ", ".join(self.mounts)
            answer = json_answer({"error": f"no mock is mounted here; there are: {names}"}, status=404)
            await self._answer(answer, (scope, receive, send))

    async def _serve(self, mount: Mount, request: MockRequest, channel: Channel) -> None:
        scope, receive, _ = channel
        try:
            answer = mount.handle(request)
        except AnswerLate as late:
            await asyncio.sleep(late.seconds)
            await _drop(scope, receive)
        except ConnectionLost:
            await _drop(scope, receive)
        else:
            await self._answer(answer, channel)

    async def _answer(self, answer: MockResponse, channel: Channel) -> None:
        scope, receive, send = channel
        headers = {name.lower(): value for name, value in answer.headers.items()}
        headers.setdefault("date", format_datetime(self._clock.now(), usegmt=True))
        if answer.status != 204:
            headers.setdefault("content-length", str(len(answer.body)))
        is_cut = int(headers.get("content-length", "0")) > len(answer.body) and scope["method"] != "HEAD"
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body, "more_body": is_cut})
        if is_cut:
            await _drop(scope, receive, flush=True)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _drop(scope: Scope, receive: Receive, *, flush: bool = False) -> None:
    scope["extensions"][DROP](flush)
    # The server would answer 500 for us if we returned before it has noticed.
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _host(scope: Scope) -> str:
    host = _headers(scope).get("host")
    return host or "{}:{}".format(*scope["server"])


def _query(scope: Scope) -> str:
    return str(scope["query_string"].decode("latin-1"))


def _request(scope: Scope, path: str, body: bytes, base_url: str) -> MockRequest:
    client = scope.get("client")
    return MockRequest(
        method=scope["method"],
        path=path,
        query=_query(scope),
        headers=_headers(scope),
        body=body,
        client=client[0] if client else "127.0.0.1",
        base_url=base_url,
    )
