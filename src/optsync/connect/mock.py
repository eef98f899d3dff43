"""What a vendor mock offers: the vendor's HTTP behaviour, a population, and hands of the people who use it."""

import io
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPResponse

from optsync.clock import Clock
from optsync.model.record import Origin, Side, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class MockRequest:
    """``path`` is percent-encoded and begins with ``/``; ``headers`` have lower-case names."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    client: str = "127.0.0.1"
    base_url: str = ""
    """Scheme, host and mount prefix under which the client reached the mock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MockResponse:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class ConnectionLost(Exception):
    """A mock or a fault raises it to drop the connection without an answer."""


class AnswerLate(ConnectionLost):
    """The answer does not come within ``seconds``, and then the connection is dropped."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer for {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A member of the test population. Addresses are as people type them, the primary first."""

    number: int
    first_name: str
    last_name: str
    addresses: tuple[str, ...]
    phone: str = ""
    city: str = ""
    plan: str = ""
    """A choice: Gold, Silver or empty."""
    is_client: bool = True
    """Whether the CRM's list scope contains them."""
    in_crm: bool = True
    in_esp: bool = True
    crm_entity: str = "contact"
    opt_out: bool = False
    """The CRM's flag."""
    opt_in: bool = False
    consent_at: datetime | None = None
    consent_source: str = ""
    consent_text: str = ""
    crm_topics: Mapping[str, bool] = field(default_factory=dict)
    status: Status = Status.IN
    """At the ESP; ARCHIVED, BOUNCED, PENDING, OUT … included."""
    origin: Origin = Origin.UNKNOWN
    """Of an OUT at the ESP."""
    opted_in_at: datetime | None = None
    esp_topics: Mapping[str, bool] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MockConfig:
    """The configuration entries that reach a mock, and its names for the neutral fields of :class:`Person`."""

    system: dict[str, Any]
    side: dict[str, Any]
    """Of the sync, without ``system``."""
    fields: dict[str, str]
    """first_name, last_name, phone, city, plan -> the vendor's field names."""
    plan_values: dict[str, str] = field(default_factory=dict)
    """Gold, Silver -> the vendor's values, where they differ."""


class VendorMock(Protocol):
    """A stateful, strict imitation of one vendor.

    ``handle`` answers the vendor's API; it is called by one thread at a time and never blocks. ``populate`` leaves out
    whom the vendor cannot have: the mock server fills all mocks with the same people. ``act`` is what
    people, CRM users and administrators do by other ways than the API; an unknown action raises ``KeyError``.
    Every mock knows, with an ``email`` that is matched without case:

    * ``view(email)`` -> ``{"status"?, "opt_out"?, "opt_in"?, "topics": {}, "fields": {}, "address"}`` or None
    * ``count()`` -> ``{"records": n}``
    * ``set_field(email, field, value)`` (neutral name), ``set_topic(email, topic, wanted)``
    * ``delete(email)``; ``change_address(email, to)``
    * an ESP: ``unsubscribe(email)`` (by the person), ``complain(email)``, ``bounce(email)``,
      ``admin_unsubscribe(email)``, ``resubscribe(email)`` (by the person, with evidence),
      ``confirm(email)`` (of a pending one), ``flip_in(email)`` (somebody else's API write, no evidence)
    * a CRM: ``opt_out(email)``, ``opt_in(email, at)`` (``at``: consent date, ISO, optional), ``create(person fields)``
    """

    name: ClassVar[str]
    side: ClassVar[Side]

    def __init__(self, *, clock: Clock, rng: random.Random) -> None: ...

    def handle(self, request: MockRequest) -> MockResponse: ...

    def populate(self, people: Iterable[Person]) -> None: ...

    def act(self, action: str, **arguments: Any) -> Any: ...

    def config(self, base_url: str) -> MockConfig: ...

    def is_write(self, request: MockRequest) -> bool:
        """Whether the request asks for a change of the vendor's data."""


_ON_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding"})
_BLANK = vars(requests.Response())
"""Making a response makes a cookie jar and its policy, which costs more than all the rest of an answer."""


class MockTransport(BaseAdapter):
    """Brings a connector's requests to mocks in the same process: base URL -> mock."""

    def __init__(self, mocks: Mapping[str, VendorMock]) -> None:
        super().__init__()
        # The longest first: one base URL may begin with another.
        self._mocks = {base: mocks[base] for base in sorted(mocks, key=len, reverse=True)}
        self.requests: list[MockRequest] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = str(request.url)
        base = next(b for b in self._mocks if url.startswith(b))
        parts = urlsplit(url[len(base) :] or "/")
        body = request.body or b""
        asked = MockRequest(
            method=str(request.method),
            path=parts.path or "/",
            query=parts.query,
            headers={k: v if isinstance(v, str) else v.decode() for k, v in request.headers.lower_items()},
            body=body.encode() if isinstance(body, str) else bytes(body),
            base_url=base,
        )
        self.requests.append(asked)
        try:
            return _response(request, self._mocks[base].handle(asked))
        except AnswerLate as error:
            raise requests.ReadTimeout("Read timed out.", request=request) from error
        except ConnectionLost as error:
            raise requests.ConnectionError("Connection aborted.", request=request) from error

    def close(self) -> None:
        """Nothing to give back."""


@lru_cache(maxsize=32)
def _encoding(content_type: str) -> str | None:
    return get_encoding_from_headers({"content-type": content_type} if content_type else {})


def _response(request: requests.PreparedRequest, answer: MockResponse) -> requests.Response:
    response = requests.Response.__new__(requests.Response)
    vars(response).update(_BLANK, history=[])
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = _encoding(response.headers.get("Content-Type", ""))
    if _ON_THE_BODY.isdisjoint(map(str.lower, answer.headers)):
        vars(response).update(_content=answer.body, _content_consumed=True)
    else:
        # Holds the body to what the headers say of it.
        body = io.BytesIO(answer.body)
        response.raw = HTTPResponse(body, dict(answer.headers), answer.status, preload_content=False)
    response.url = str(request.url)
    response.request = request
    return response
