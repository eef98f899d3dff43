"""A Mailchimp account in memory, a connector in front of it, and a line between them that can fail."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import requests

from optsync.clock import ManualClock
from optsync.connect.contract import Context
from optsync.connect.mock import MockTransport, Person
from optsync.model.change import Outcome, Write, WriteKind
from optsync.model.page import Page, ReadSpec
from optsync.model.record import Record, Status
from optsync_mailchimp import Mailchimp
from optsync_mailchimp.mock import MailchimpMock
from optsync_mailchimp.settings import MailchimpSettings

BASE = "https://mailchimp.example"
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
NEWS, OFFERS = "Topics/News", "Topics/Offers"


class Line(MockTransport):
    """Breaks before a request arrives, loses answers afterwards, rewrites them, and lets people act in between."""

    def __init__(self, mock: MailchimpMock) -> None:
        super().__init__({BASE: mock})
        self.refuse: Callable[[str, str], bool] = lambda _method, _path: False
        self.lose: Callable[[str, str], bool] = lambda _method, _path: False
        self.rewrite: Callable[[str, str, Any], Any] = lambda _method, _path, body: body
        self.after: Callable[[int], None] = lambda _count: None

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        if self.refuse(str(request.method), str(request.path_url)):
            raise requests.ConnectionError("Connection aborted.", request=request)
        response = super().send(request)
        asked = self.requests[-1]
        self.after(len(self.requests))
        if self.lose(asked.method, asked.path):
            raise requests.ConnectionError("Connection aborted.", request=request)
        if response.content and "json" in response.headers.get("Content-Type", ""):
            body = self.rewrite(asked.method, asked.path, msgspec.json.decode(response.content))
            response._content = msgspec.json.encode(body)
        return response


class World:
    """``people`` are addresses with their statuses; everybody changed an hour before the start."""

    def __init__(self, people: Mapping[str, Status], **switches: Any) -> None:
        self.clock = ManualClock(START)
        self.mock = MailchimpMock(clock=self.clock, rng=random.Random(1), **switches)
        self.mock.populate(
            Person(
                number=number,
                first_name=f"First{number}",
                last_name="Last",
                addresses=(address,),
                status=status,
                created_at=START - timedelta(hours=1) + timedelta(seconds=number // 300),
                opted_in_at=START - timedelta(days=9),
            )
            for number, (address, status) in enumerate(people.items())
        )
        self.line = Line(self.mock)
        config = self.mock.config(BASE)
        self.settings = MailchimpSettings(**config.system)
        context = Context(system="mc", clock=self.clock, rng=random.Random(2), transport=self.line)
        self.connector = Mailchimp(self.settings, context)
        self.spec = ReadSpec(
            collection=config.side["audience"],
            fields=frozenset({"FNAME", "CITY", "PLAN"}),
            topics=frozenset({NEWS, OFFERS}),
        )

    def act(self, action: str, email: str, **arguments: Any) -> Any:
        return self.mock.act(action, email=email, **arguments)

    def shows(self, email: str) -> dict[str, Any]:
        view = self.mock.act("view", email=email)
        assert view is not None
        return dict(view)

    def read(self, cursor: str | None = None) -> list[Page]:
        return list(self.connector.read(self.spec, cursor))

    def records(self) -> dict[str, Record]:
        """By lower-cased address."""
        return {r.addresses[0].lower(): r for page in self.read() for r in page.records}

    def to(self, kind: WriteKind, record: Record, **parts: Any) -> Write:
        return Write(
            key=f"{kind}-{record.id}",
            kind=kind,
            collection=self.spec.collection,
            record=record.id,
            **{"address": record.addresses[0], **parts},
        )

    def out(self, record: Record) -> Write:
        return self.to(WriteKind.STATUS, record, status=Status.OUT, restrictive=True)

    def into(self, record: Record) -> Write:
        return self.to(WriteKind.STATUS, record, status=Status.IN)

    def create(self, address: str, status: Status = Status.IN, **parts: Any) -> Write:
        return Write(
            key=address,
            kind=WriteKind.CREATE,
            collection=self.spec.collection,
            address=address,
            status=status,
            **parts,
        )

    def write(self, *writes: Write) -> list[Outcome]:
        return list(self.connector.write(writes, self.spec))

    def calls(self, method: str, ending: str = "") -> int:
        return sum(1 for r in self.line.requests if r.method == method and r.path.endswith(ending))

    def bodies(self) -> list[Any]:
        """Of every request that had one."""
        return [msgspec.json.decode(r.body) for r in self.line.requests if r.body]


def numbered(count: int, status: Status = Status.IN) -> dict[str, Status]:
    return {f"person{n}@example.org": status for n in range(count)}
