"""Brings an engine's requests to mocks in the same process, and counts them by what they are for."""

import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import requests
from requests.adapters import BaseAdapter

from benchmarks.clock import SharedClock
from benchmarks.slow import SlowMock
from optsync.connect.mock import MockRequest, MockTransport
from optsync.model.record import Side
from optsync_bitrix24.mocking import batch
from optsync_bitrix24.mocking.methods import is_writing
from optsync_bitrix24.mocking.php import decode_request

_ID = re.compile(r"(?<=/)(?:[0-9a-f]{10}|[0-9a-f]{32}|\d+)(?=/|$)")


class Traffic(BaseAdapter):
    """``mocked_s``: the processor time that the mocks took, which is not the engine's. ``wrote_at``: the moments of the
    writing calls since it was last emptied, in seconds of the clock."""

    def __init__(self, mocks: Mapping[str, SlowMock], clock: SharedClock) -> None:
        super().__init__()
        self._transport = MockTransport(mocks)
        self._mocks = mocks
        self.calls: Counter[Side] = Counter()
        self.writing: Counter[Side] = Counter()
        self.kinds: Counter[tuple[Side, str]] = Counter()
        self.mocked_s = 0.0
        self.wrote_at: list[float] = []
        self._clock = clock

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        begun = time.process_time()
        try:
            return self._transport.send(request)
        finally:
            self._count(self._transport.requests.pop())  # none is kept: a large population makes many
            self.mocked_s += time.process_time() - begun

    def start_over(self) -> None:
        self.calls.clear()
        self.writing.clear()
        self.kinds.clear()
        self.mocked_s = 0.0

    def close(self) -> None:
        """Nothing to give back."""

    def _count(self, request: MockRequest) -> None:
        mock = self._mocks[request.base_url]
        self.calls[mock.side] += 1
        if mock.is_write(request):
            self.writing[mock.side] += 1
            self.wrote_at.append(self._clock.monotonic())
        self.kinds[mock.side, _kind_of(request, mock.side)] += 1


def _kind_of(request: MockRequest, side: Side) -> str:
    """The call without its ids; of a batch, the methods in it."""
    if side is Side.ESP:
        passes = "?status=archived" if "status=archived" in request.query else ""
        return f"{request.method} {_ID.sub('…', unquote(request.path))}{passes}"
    name = unquote(request.path).rpartition("/")[2].removesuffix(".json")
    if name != "batch":
        return name
    methods = {method for method, _ in batch.commands(decode_request(request)).values()}
    writing = sorted(method for method in methods if is_writing(method))
    return f"batch of {', '.join(writing or sorted(methods))}"
