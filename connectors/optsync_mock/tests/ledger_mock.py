"""The smallest vendor mock: a key-value store with one kind of write."""

import json
import random
from collections.abc import Iterable
from typing import Any, ClassVar

from optsync.clock import Clock
from optsync.connect.mock import ConnectionLost, MockConfig, MockRequest, MockResponse, Person
from optsync.model.record import Side


class LedgerMock:
    """``PUT /{key}`` stores the body, ``GET /{key}`` shows it, ``GET /lost`` never answers."""

    name: ClassVar[str] = "ledger"
    side: ClassVar[Side] = Side.ESP

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.stored: dict[str, str] = {}
        self.people: list[Person] = []
        self.last: MockRequest | None = None

    def handle(self, request: MockRequest) -> MockResponse:
        self.last = request
        if request.path == "/lost":
            raise ConnectionLost
        key = request.path.removeprefix("/")
        if request.method == "PUT":
            self.stored[key] = request.body.decode()
        if key not in self.stored:
            return MockResponse(status=404, headers={"Content-Type": "application/json"}, body=b'{"error":"none"}')
        answer = json.dumps({"key": key, "value": self.stored[key]}).encode()
        return MockResponse(status=200, headers={"Content-Type": "application/json"}, body=answer)

    def populate(self, people: Iterable[Person]) -> None:
        self.people.extend(people)

    def act(self, action: str, **arguments: Any) -> Any:
        if action == "count":
            return {"records": len(self.stored)}
        if action == "put":
            return self._put(**arguments)
        raise KeyError(action)

    def config(self, base_url: str) -> MockConfig:
        return MockConfig(system={"base_url": base_url}, side={"audience": "one"}, fields={"first_name": "FIRST"})

    def is_write(self, request: MockRequest) -> bool:
        return request.method == "PUT"

    def _put(self, key: str, value: str) -> None:
        self.stored[key] = value
