"""A portal mock with a connector on it, and hands that spoil answers on their way."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from optsync.clock import ManualClock
from optsync.connect.contract import Context
from optsync.connect.mock import ConnectionLost, MockRequest, MockResponse, MockTransport, Person
from optsync.model.change import Write, WriteKind
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Value
from optsync_bitrix24 import Bitrix24
from optsync_bitrix24.client import Client
from optsync_bitrix24.mock import Bitrix24Mock
from optsync_bitrix24.settings import Bitrix24Settings

BASE = "http://127.0.0.1/b24"
RENAMED = "http://localhost/b24"
SECRET = "s3cr3tw0rd9xyz"
OPT_OUT = "UF_CRM_OPT_OUT"
START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

Spoil = Callable[[MockRequest, dict[str, Any]], Any]
"""Sees a request and its answer's JSON; gives what is to arrive: JSON, a MockResponse, or raises ConnectionLost."""


class Spoiled(Bitrix24Mock):
    """Answers as the mock does; the next answers pass through the spoiling functions, one each."""

    spoils: list[Spoil | None]

    def handle(self, request: MockRequest) -> MockResponse:
        answer = super().handle(request)
        spoil = self.spoils.pop(0) if self.spoils else None
        if spoil is None or not answer.body.endswith(b"}"):
            return answer
        made = spoil(request, msgspec.json.decode(answer.body))
        return made if isinstance(made, MockResponse) else json_answer(made, answer.status)


class Scripted(Bitrix24Mock):
    """Gives prepared answers, the last one again and again."""

    answers: list[MockResponse]
    seen: list[MockRequest]

    def handle(self, request: MockRequest) -> MockResponse:
        self.seen.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def json_answer(body: Any, status: int = 200) -> MockResponse:
    return MockResponse(status=status, headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body))


def html_answer(status: int, text: str = "<html><body>Maintenance</body></html>") -> MockResponse:
    return MockResponse(status=status, headers={"Content-Type": "text/html"}, body=text.encode())


@dataclass(frozen=True, kw_only=True)
class World:
    clock: ManualClock
    mock: Spoiled
    transport: MockTransport
    connector: Bitrix24

    def read(self, spec: ReadSpec, cursor: str | None = None) -> list[Page]:
        return list(self.connector.read(spec, cursor))

    def records(self, spec: ReadSpec) -> dict[str, Record]:
        return {record.id: record for page in self.read(spec) for record in page.records}

    def ids(self, spec: ReadSpec) -> list[str]:
        return list(self.records(spec))

    def spoil(self, *spoils: Spoil | None) -> None:
        self.mock.spoils.extend(spoils)

    def calls(self, action: Callable[[], Any]) -> int:
        before = self.connector.calls
        action()
        return self.connector.calls - before


def people(count: int, **values: Any) -> list[Person]:
    return [
        Person(number=n, first_name=f"Ann{n}", last_name="Lee", addresses=(f"ann{n}@example.com",), **values)
        for n in range(count)
    ]


def world(population: Sequence[Person] = (), *, settings: dict[str, Any] | None = None, **switches: Any) -> World:
    clock = ManualClock(START)
    mock = Spoiled(clock=clock, rng=random.Random(1), **{"secret": SECRET, **switches})
    mock.spoils = []
    mock.populate(population)
    transport = MockTransport({BASE: mock})
    made = Bitrix24Settings(**{"connector": "bitrix24", **mock.config(BASE).system, **(settings or {})})
    context = Context(system="crm", clock=clock, rng=random.Random(2), transport=transport)
    return World(clock=clock, mock=mock, transport=transport, connector=Bitrix24(made, context))


def scripted(*answers: MockResponse) -> tuple[Client, Scripted, ManualClock]:
    """A client before prepared answers."""
    clock = ManualClock(START)
    mock = Scripted(clock=clock, rng=random.Random(1), secret=SECRET)
    mock.answers, mock.seen = list(answers), []
    settings = Bitrix24Settings.model_validate({"connector": "bitrix24", "webhook_url": f"{BASE}/rest/7/{SECRET}/"})
    transport = MockTransport({BASE: mock, RENAMED: mock})
    context = Context(system="crm", clock=clock, rng=random.Random(2), transport=transport)
    return Client(settings, context), mock, clock


def contacts(*fields: str, topics: Sequence[str] = (), **lists: dict[str, Any]) -> ReadSpec:
    return ReadSpec(collection="contact", fields=frozenset(fields), topics=frozenset(topics), lists=lists)


def with_error(key: str, code: str, text: str) -> Any:
    """Spoils the answer to a batch: that command was refused."""

    def spoil(_: MockRequest, body: dict[str, Any]) -> Any:
        body["result"]["result"].pop(key, None)
        body["result"]["result_error"] = {key: {"error": code, "error_description": text}}
        return body

    return spoil


# writes


def status(record: str, value: bool = True, key: str = "") -> Write:
    """The opt-out flag."""
    return Write(
        key=key or f"k{record}",
        kind=WriteKind.STATUS,
        collection="contact",
        record=record,
        fields={OPT_OUT: value},
        restrictive=value,
    )


def fields_of(record: str, values: Mapping[str, Value], *, key: str = "f") -> Write:
    return Write(key=key, kind=WriteKind.FIELDS, collection="contact", record=record, fields=values)


def lost(*_: Any) -> Any:
    """Spoils an answer by its never arriving."""
    raise ConnectionLost
