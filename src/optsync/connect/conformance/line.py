"""The line between a connector and its vendor: counts requests, spoils them, lets people act in between."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

from optsync.connect.mock import MockRequest


class Trouble(StrEnum):
    """What happens to a request. Those that end in ``_after`` come when it has had its effect."""

    DROP = "drop"
    DROP_AFTER = "drop_after"
    TOO_MANY = "too_many"
    """429 that asks for seven seconds."""
    TOO_MANY_BARE = "too_many_bare"
    ERROR_502 = "error_502"
    """A gateway's page."""
    ERROR_503 = "error_503"
    CUT_AFTER = "cut_after"
    """Half the answer."""
    FORBIDDEN = "forbidden"
    """A page that repeats the address and headers of the request, as some proxies do."""
    FORBIDDEN_JSON = "forbidden_json"
    """A 403 in the words of an interface, without anything that was asked for."""
    EMPTY = "empty"
    """An empty JSON object with status 200, as a gateway answers whose server is being exchanged."""
    EMPTY_AFTER = "empty_after"
    """The same in the place of the system's own answer."""


PASSING = (
    *(Trouble.DROP, Trouble.DROP_AFTER, Trouble.TOO_MANY, Trouble.TOO_MANY_BARE),
    *(Trouble.ERROR_502, Trouble.ERROR_503, Trouble.CUT_AFTER),
)
"""Those that are waited out. The others say nothing of the kind, and need only not be taken for an answer."""


RETRY_AFTER_S = 7
_STATUSES = {
    Trouble.TOO_MANY: 429,
    Trouble.TOO_MANY_BARE: 429,
    Trouble.ERROR_502: 502,
    Trouble.ERROR_503: 503,
    Trouble.FORBIDDEN: 403,
    Trouble.FORBIDDEN_JSON: 403,
    Trouble.EMPTY: 200,
    Trouble.EMPTY_AFTER: 200,
}


_IN_JSON = {Trouble.FORBIDDEN_JSON: b'{"error": "forbidden"}', Trouble.EMPTY: b"{}", Trouble.EMPTY_AFTER: b"{}"}


@dataclass(slots=True, kw_only=True)
class _Order:
    trouble: Trouble
    skip: int
    times: int
    is_for_writes: bool


HTTP_TROUBLES = frozenset(Trouble)


class Line:
    """What the kit does between a connector and its system. A subclass carries what is asked: over HTTP
    (:class:`HttpLine`), or by another road, where ``troubles`` says what can happen there.

    ``before`` and ``after`` are called at every request that gets through, with it.
    """

    troubles: frozenset[Trouble] = HTTP_TROUBLES

    def __init__(self, is_write: Callable[[MockRequest], bool]) -> None:
        self._is_write = is_write
        self._orders: list[_Order] = []
        self.sent: list[MockRequest] = []
        self.limits_met = 0
        """Answers of the system itself, not of the kit, that said "too fast"."""
        self.before: Callable[[MockRequest], None] = _nothing
        self.after: Callable[[MockRequest], None] = _nothing
        self.rewrite: Callable[[bytes], bytes] = bytes
        """Sees the bytes of every answer."""

    @property
    def writes(self) -> int:
        """Requests so far that asked for a change and reached the line."""
        return sum(1 for request in self.sent if self._is_write(request))

    def asks_for_a_change(self, request: MockRequest) -> bool:
        return self._is_write(request)

    def trouble(self, kind: Trouble, *, skip: int = 0, times: int = 1, is_for_writes: bool = False) -> None:
        """After ``skip`` requests (or writes) the next ``times`` meet it."""
        self._orders.append(_Order(trouble=kind, skip=skip, times=times, is_for_writes=is_for_writes))

    def clear(self) -> None:
        """Ends all trouble."""
        self._orders.clear()
        self.before = self.after = _nothing

    def meets(self, request: MockRequest) -> Trouble | None:
        """Notes a request; the trouble that it meets."""
        self.sent.append(request)
        for order in self._orders:
            if order.is_for_writes and not self._is_write(request):
                continue
            if order.skip:
                order.skip -= 1
            elif order.times:
                order.times -= 1
                return order.trouble
        return None


class HttpLine(Line, BaseAdapter):
    """An adapter around the one that reaches the vendor."""

    def __init__(self, inner: BaseAdapter, is_write: Callable[[MockRequest], bool]) -> None:
        BaseAdapter.__init__(self)
        Line.__init__(self, is_write)
        self._inner = inner

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        asked = _as_asked(request)
        trouble = self.meets(asked)
        if trouble is Trouble.DROP:
            raise requests.ConnectionError("Connection aborted.", request=request)
        if trouble in _STATUSES and trouble is not Trouble.EMPTY_AFTER:
            return _page(request, trouble)
        self.before(asked)
        response = self._inner.send(request, *args, **kwargs)
        self.limits_met += response.status_code in (429, 503)
        content = self.rewrite(response.content)
        self.after(asked)
        if trouble is Trouble.DROP_AFTER:
            raise requests.ConnectionError("Connection aborted.", request=request)
        if trouble is Trouble.EMPTY_AFTER:
            return _page(request, trouble)
        if trouble is Trouble.CUT_AFTER:
            content = content[: len(content) // 2]
        return _with_content(response, content)

    def close(self) -> None:
        self._inner.close()


def _nothing(_: MockRequest) -> None:
    """Nobody acts."""


def _as_asked(request: requests.PreparedRequest) -> MockRequest:
    parts = urlsplit(str(request.url))
    body = request.body or b""
    return MockRequest(
        method=str(request.method),
        path=parts.path,
        query=parts.query,
        headers={k.lower(): v if isinstance(v, str) else v.decode() for k, v in request.headers.items()},
        body=body.encode() if isinstance(body, str) else bytes(body),
        base_url=f"{parts.scheme}://{parts.netloc}",
    )


def _page(request: requests.PreparedRequest, trouble: Trouble) -> requests.Response:
    response = requests.Response()
    response.status_code = _STATUSES[trouble]
    response.request, response.url = request, str(request.url)
    if trouble in _IN_JSON:
        response.headers["Content-Type"] = "application/json"
        return _with_content(response, _IN_JSON[trouble])
    response.headers["Content-Type"] = "text/html"
    if trouble is Trouble.TOO_MANY:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    told = f"{request.url} {dict(request.headers)}" if trouble is Trouble.FORBIDDEN else ""
    return _with_content(response, f"<html><body><h1>{trouble}</h1>{told}</body></html>".encode())


def _with_content(response: requests.Response, content: bytes) -> requests.Response:
    vars(response).update(_content=content, _content_consumed=True)  # requests offers no other way to give it a body
    return response
