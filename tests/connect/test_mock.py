import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
import requests

from optsync.clock import Clock, ManualClock
from optsync.connect.mock import (
    AnswerLate,
    ConnectionLost,
    MockConfig,
    MockRequest,
    MockResponse,
    MockTransport,
    Person,
)
from optsync.model.record import Side


class Mirror:
    """Answers with what it was asked; ``/lost`` and ``/late`` are not answered."""

    name: ClassVar[str] = "mirror"
    side: ClassVar[Side] = Side.CRM

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self.seen: list[MockRequest] = []

    def handle(self, request: MockRequest) -> MockResponse:
        self.seen.append(request)
        if request.path == "/lost":
            raise ConnectionLost
        if request.path == "/late":
            raise AnswerLate(3)
        return MockResponse(status=201, headers={"X-Path": request.path}, body=request.body)

    def populate(self, people: Iterable[Person]) -> None: ...

    def act(self, action: str, **arguments: Any) -> Any:
        raise KeyError(action)

    def config(self, base_url: str) -> MockConfig:
        return MockConfig(system={}, side={}, fields={})

    def is_write(self, request: MockRequest) -> bool:
        return False


@pytest.fixture
def mirror() -> Mirror:
    return Mirror(clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), rng=random.Random(1))


@pytest.fixture
def transport(mirror: Mirror) -> MockTransport:
    other = Mirror(clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), rng=random.Random(1))
    return MockTransport({"https://crm.example/rest": mirror, "https://crm.example": other})


@pytest.fixture
def http(transport: MockTransport) -> requests.Session:
    made = requests.Session()
    made.mount("https://", transport)
    return made


def test_a_request_reaches_the_mock_with_the_longest_base_url_and_its_answer_comes_back(
    http: requests.Session, mirror: Mirror, transport: MockTransport
) -> None:
    answer = http.post("https://crm.example/rest/a%40b?x=1", data="wörld".encode(), headers={"X-One": "1"}, timeout=1)
    assert (answer.status_code, answer.headers["x-path"], answer.text) == (201, "/a%40b", "wörld")
    asked = mirror.seen[0]
    assert (asked.method, asked.path, asked.query) == ("POST", "/a%40b", "x=1")
    assert asked.headers["x-one"] == "1"
    assert asked.base_url == "https://crm.example/rest"
    assert transport.requests == [asked]


def test_the_base_url_alone_is_the_root(http: requests.Session, mirror: Mirror) -> None:
    http.get("https://crm.example/rest", timeout=1)
    assert mirror.seen[0].path == "/"


def test_a_lost_connection_and_a_late_answer_look_as_they_do_on_the_network(http: requests.Session) -> None:
    with pytest.raises(requests.ConnectionError):
        http.get("https://crm.example/rest/lost", timeout=1)
    with pytest.raises(requests.ReadTimeout):
        http.get("https://crm.example/rest/late", timeout=1)
