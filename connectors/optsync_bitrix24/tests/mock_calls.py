"""Calls of a Bitrix24 imitation, as the tests of it make them."""

import random
from datetime import UTC, datetime
from typing import Any

import msgspec

from optsync.clock import ManualClock
from optsync.connect.mock import MockRequest, MockResponse, Person
from optsync_bitrix24.mock import Bitrix24Mock

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Portal:
    """An imitation with a clock, and the shortest way to call it."""

    def __init__(self, *people: Person, **switches: Any) -> None:
        self.clock = ManualClock(datetime(2026, 11, 21, 8, 26, 40, tzinfo=UTC))
        self.mock = Bitrix24Mock(clock=self.clock, rng=random.Random(7), **switches)
        self.mock.populate(people)
        self.base = str(self.mock.config("").system["webhook_url"])

    def send(self, path: str, body: bytes = b"", **more: Any) -> MockResponse:
        """A POST of a body under an absolute path."""
        return self.mock.handle(MockRequest(method="POST", path=path, body=body, **{"headers": JSON, **more}))

    def answer(self, method: str, **params: Any) -> tuple[int, Any]:
        """Status and parsed body."""
        found = self.send(self.base + method, msgspec.json.encode(params))
        return found.status, msgspec.json.decode(found.body)

    def result(self, method: str, **params: Any) -> Any:
        """The result of a call that must go well."""
        status, body = self.answer(method, **params)
        assert status == 200, body
        return body["result"]

    def error(self, method: str, **params: Any) -> tuple[int, Any, str]:
        """Status, code and text of a call that must be refused."""
        status, body = self.answer(method, **params)
        assert "result" not in body
        assert "time" not in body
        return status, body["error"], body["error_description"]

    def contact(self, number: int = 1) -> Any:
        return self.result("crm.contact.get", id=number)

    def batch(self, halt: int = 0, **commands: str) -> Any:
        return self.result("batch", halt=halt, cmd=commands)


def person(number: int = 1, *addresses: str, **more: Any) -> Person:
    """Somebody with an address of their own unless some are given."""
    held = addresses or (f"p{number}@example.com",)
    named = {"first_name": f"First{number}", "last_name": f"Last{number}"}
    return Person(number=number, addresses=held, **{**named, **more})


def nobody(number: int = 1, **more: Any) -> Person:
    """Somebody without an address."""
    return Person(number=number, first_name=f"First{number}", last_name="Silent", addresses=(), **more)
