"""The vendor mocks in a process of their own, with an eye on every write that reaches them."""

import os
import signal
from collections.abc import Iterable, Mapping
from random import Random
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import unquote

import msgspec
import requests

from optsync.connect.mock import MockConfig, MockRequest, MockResponse, Person, VendorMock
from optsync.connect.registry import mocks
from optsync.model.record import Side
from optsync_bitrix24.mocking import batch
from optsync_bitrix24.mocking.methods import is_writing
from optsync_bitrix24.mocking.php import decode_request, parse_str
from optsync_mock.server import RunningServer
from tests.crash.processes import fork, pause
from tests.crash.shared import Shared, SharedClock

CRM, ESP = "bitrix24", "mailchimp"


class Watched:
    """A mock that remembers every write as it came: further actions ``drain`` (the writes since the last one) and
    ``sight`` (everything it shows)."""

    name: ClassVar[str] = "watched"
    side: ClassVar[Side]

    def __init__(self, mock: Any) -> None:
        self._mock = mock
        self.side = mock.side  # type: ignore[misc]
        self._writes: list[dict[str, Any]] = []

    def handle(self, request: MockRequest) -> MockResponse:
        if self._mock.is_write(request):
            seen = _crm_writes(self._mock, request) if self.side is Side.CRM else _esp_writes(self._mock, request)
            self._writes.extend(seen)
        answer: MockResponse = self._mock.handle(request)
        return answer

    def populate(self, people: Iterable[Person]) -> None:
        self._mock.populate(people)

    def act(self, action: str, **arguments: Any) -> Any:
        if action == "drain":
            drained, self._writes = self._writes, []
            return drained
        if action == "sight":
            return _crm_sight(self._mock) if self.side is Side.CRM else _esp_sight(self._mock)
        return self._mock.act(action, **arguments)

    def config(self, base_url: str) -> MockConfig:
        shown: MockConfig = self._mock.config(base_url)
        return shown

    def is_write(self, request: MockRequest) -> bool:
        return bool(self._mock.is_write(request))


def _crm_writes(mock: Any, request: MockRequest) -> list[dict[str, Any]]:
    """Method, addresses of the record as it is, and the fields that are to be set."""
    name = unquote(request.path).rpartition("/")[2].lower().removesuffix(".json")
    params = decode_request(request)
    inner = [(method, parse_str(query)) for method, query in batch.commands(params).values()]
    calls = inner if name == "batch" else [(name, params)]
    rows = mock.portal.table("contact").rows
    found = []
    for method, asked in calls:
        if not is_writing(method):
            continue
        key = str(asked.get("id") or asked.get("ID") or "")
        row = rows.get(int(key)) if key.isdigit() else None
        found.append(
            {
                "method": method,
                "emails": [] if row is None else _addresses(row),
                "fields": asked.get("fields") or asked.get("FIELDS") or {},
            }
        )
    return found


def _esp_writes(mock: Any, request: MockRequest) -> list[dict[str, Any]]:
    """Every object that speaks of a member: its address and what is to be set."""
    body = msgspec.json.decode(request.body or b"{}")
    members = body.get("members") if isinstance(body, dict) else None
    parts = request.path.split("/")
    digest = parts[parts.index("members") + 1] if "members" in parts[:-1] else ""
    known = next((m.email for k, m in mock.audience.members.items() if digest in (k, m.id, m.contact_id)), None)
    return [
        {
            "method": f"{request.method} {request.path}",
            "emails": [e for e in (known, one.get("email_address")) if e],
            "fields": one,
        }
        for one in (members if isinstance(members, list) else [body])
    ]


def _addresses(row: Any) -> list[str]:
    return list(dict.fromkeys(one.value.strip().lower() for one in row.of_kind("EMAIL")))


def _crm_sight(mock: Any) -> list[dict[str, Any]]:
    views = {}
    for row in mock.portal.table("contact").rows.values():
        for email in _addresses(row):
            views[email] = {"email": email, **mock.act("view", email=email)}
    return list(views.values())


def _esp_sight(mock: Any) -> list[dict[str, Any]]:
    return [{"email": m.email.lower(), **mock.act("view", email=m.email)} for m in mock.audience.members.values()]


class Vendors:
    """Both mocks behind HTTP in a forked process, from ``with`` to its end."""

    def __init__(self, shared: Shared, people: Iterable[Person]) -> None:
        self._shared = shared
        self._people = list(people)
        self._session = requests.Session()
        # One that is kept is closed after some idle seconds, perhaps just when it is to be used again.
        self._session.headers["Connection"] = "close"

    def __enter__(self) -> Self:
        reader, writer = os.pipe()
        self._pid = fork(lambda: self._serve(writer))
        os.close(writer)
        with os.fdopen(reader) as told:
            self.url = told.readline().strip()
        assert self.url, "the mocks do not serve"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _serve(self, writer: int) -> int:
        clock, found = SharedClock(self._shared), mocks()
        watched: Mapping[str, VendorMock] = {n: Watched(found[n](clock=clock, rng=Random(n))) for n in (CRM, ESP)}
        for mock in watched.values():
            mock.populate(self._people)
        with RunningServer(mocks=watched, clock=clock) as server:
            os.write(writer, f"{server.url}\n".encode())
            os.close(writer)
            while os.getppid() != 1:
                pause(1)
        return 0

    def config(self) -> Mapping[str, Any]:
        """By mock, what a configuration needs."""
        shown: Mapping[str, Any] = self._session.get(f"{self.url}/_mock/config", timeout=10).json()
        return shown

    def act(self, mock: str, action: str, **arguments: Any) -> Any:
        answer = self._session.post(f"{self.url}/_mock/{mock}/act/{action}", json=arguments, timeout=10)
        if answer.status_code == 404:
            raise KeyError(answer.text)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def writes(self) -> int:
        """Writing requests so far."""
        logs = (self._session.get(f"{self.url}/_mock/{m}/log?last=0", timeout=10).json() for m in (CRM, ESP))
        return sum(int(log["writes"]) for log in logs)
