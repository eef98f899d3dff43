"""A thin caller of the mock's ``handle``, and the clock and people that the tests share."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from optsync.clock import ManualClock
from optsync.connect.mock import MockRequest, MockResponse
from optsync_mailchimp.mock import MailchimpMock
from optsync_mailchimp.mocking.store import member_hash

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
LIST = "/lists/4c1a9f02bb"


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """Calls the mock as an integration with a valid key would."""

    def __init__(self, **switches: Any) -> None:
        self.clock = ManualClock(START)
        self.mock = MailchimpMock(clock=self.clock, rng=random.Random(7), **switches)

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> MockResponse:
        sent = {"authorization": f"Bearer {self.mock.account.api_key}"} if headers is None else headers
        request = MockRequest(
            method=method, path=path, query=query, headers=sent, body=body, base_url="http://127.0.0.1:1"
        )
        return self.mock.handle(request)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Reply:
        sent = b"" if body is None else json.dumps(body).encode()
        answer = self.raw(method, f"/3.0{path}", query=urlencode(query), body=sent)
        return Reply(answer.status, json.loads(answer.body) if answer.body else None, answer.headers)

    def member(self, address: str) -> str:
        """The path of a contact."""
        return f"{LIST}/members/{member_hash(address)}"

    def add(self, address: str, status: str = "subscribed", **more: Any) -> Any:
        """A contact made over the API."""
        reply = self.call("POST", f"{LIST}/members", {"email_address": address, "status": status, **more})
        assert reply.status == 200, reply.body
        return reply.body

    def act(self, action: str, **arguments: Any) -> Any:
        return self.mock.act(action, **arguments)
