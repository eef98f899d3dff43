"""A stateful, strict imitation of the Mailchimp Marketing API 3.0."""

import base64
import binascii
import random
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import msgspec

from optsync.clock import Clock
from optsync.connect.mock import ConnectionLost, MockConfig, MockRequest, MockResponse, Person
from optsync.model.record import Side
from optsync_mailchimp.mocking import bulk, content, history, listing, members, reports, schema, segments
from optsync_mailchimp.mocking.account import Account, Switches
from optsync_mailchimp.mocking.batches import RESULTS_PATH, Batches
from optsync_mailchimp.mocking.envelope import Call, Json, Trimmed
from optsync_mailchimp.mocking.faults import EDGE, LOST
from optsync_mailchimp.mocking.mailer import Mailer
from optsync_mailchimp.mocking.people import AUDIENCE, FIELDS, TOPICS, Hands, furnish, populate
from optsync_mailchimp.mocking.problems import NAMED, Problem, named
from optsync_mailchimp.mocking.routing import Router

_ROOT = "/3.0"
_READS = {"GET", "HEAD", "OPTIONS"}


class MailchimpMock:
    """One account with the audience ``Newsletter``.

    ``switches`` are the fields of :class:`Switches`. Further actions of :meth:`act`: ``archive``, ``forget``,
    ``let_lapse(email)`` (of a pending one), ``unlist(email)`` (to non-subscribed), ``ask(email)`` (by another program),
    ``asked(email)`` -> number of confirmation mails, ``throttle(email)``, ``account(state)`` with a name of
    ``problems.NAMED`` or empty, ``fail(kind, times)`` for the next calls with a name of ``problems.NAMED``, of
    ``faults.EDGE``, or ``lost_answer``.
    ``delete(email)`` archives, as the web interface does. What is mailed and what becomes of it: :class:`Mailer`.
    """

    name: ClassVar[str] = "mailchimp"
    side: ClassVar[Side] = Side.ESP

    def __init__(self, *, clock: Clock, rng: random.Random, **switches: Any) -> None:
        self.account = Account(clock, rng, Switches(**switches))
        self.audience = furnish(self.account, AUDIENCE, "Newsletter")
        self._actions = Hands(self.account, self.audience).actions | Mailer(self.account, self.audience).actions
        self._batches = Batches(self.account, self._run)
        parts = (members, listing, bulk, schema, segments, history, reports, content)
        self._router = Router((*(route for part in parts for route in part.ROUTES), *self._batches.routes))
        self._failures: deque[str] = deque()

    def populate(self, people: Iterable[Person]) -> None:
        populate(self.account, self.audience, people)

    def config(self, base_url: str) -> MockConfig:
        return MockConfig(
            system={
                "connector": "mailchimp",
                "api_key": self.account.api_key,
                "base_url": f"{base_url}{_ROOT}",
            },
            side={
                "audience": AUDIENCE,
                "topics": {topic: f"Topics/{label}" for topic, label in TOPICS.items()},
                "grants": {"status": "evidence", "topics": "trusted"},
            },
            fields=dict(FIELDS),
        )

    def act(self, action: str, **arguments: Any) -> Any:
        self._batches.advance()
        if action == "account":
            self.account.state = arguments["state"]
            return None
        if action == "fail":
            self._failures.extend([arguments["kind"]] * arguments.get("times", 1))
            return None
        return self._actions[action](**arguments)

    def is_write(self, request: MockRequest) -> bool:
        """Every verb but GET; a batch of nothing but GETs is a read."""
        if request.method in _READS:
            return False
        if request.path.rstrip("/") == f"{_ROOT}/batches" and request.method == "POST":
            return not _only_reads(request.body)
        return True

    def handle(self, request: MockRequest) -> MockResponse:
        self._batches.advance()
        if request.path.startswith(RESULTS_PATH):
            return self._results(request)
        failure = self._failures.popleft() if self._failures else ""
        if failure in EDGE:
            return EDGE[failure]
        instance = self.account.uuid()
        try:
            if failure in NAMED:
                raise named(failure)
            answer = self._answer(request)
        except Problem as problem:
            return self._refusal(problem, instance)
        if failure == LOST:
            raise ConnectionLost
        headers = self._headers(instance)
        if answer is None:
            return MockResponse(status=204, headers=headers)
        headers["Content-Type"] = "application/json; charset=utf-8"
        return MockResponse(status=200, headers=headers, body=msgspec.json.encode(answer))

    def _results(self, request: MockRequest) -> MockResponse:
        """The storage service: the link is the permission, and a second one is refused."""
        if "authorization" in request.headers:
            return MockResponse(status=400, headers={"Content-Type": "application/xml"}, body=b"<Error/>")
        archive = self._batches.results(request.path)
        if archive is None:
            return MockResponse(status=403, headers={"Content-Type": "application/xml"}, body=b"<Error/>")
        return MockResponse(status=200, headers={"Content-Type": "application/x-gzip"}, body=archive)

    def _run(self, call: Call) -> tuple[int, Json | None]:
        """One operation of a batch."""
        try:
            answer = self._dispatch(call)
        except Problem as problem:
            return problem.status, problem.document("")
        return (204 if answer is None else 200), answer

    def _answer(self, request: MockRequest) -> Json | None:
        if request.path == "/oauth2/metadata":
            return self._metadata(request)
        if not f"{request.path}/".startswith(f"{_ROOT}/"):
            raise named("ResourceNotFound")
        self._admit(request)
        method = _method(request)
        call = Call(
            method=method,
            path=request.path[len(_ROOT) :].rstrip("/") or "/",
            query=dict(pair for part in request.query.split("&") for pair in _pairs(part)),
            now=self.account.now(),
            raw_body=request.body,
            client=request.client,
            base_url=request.base_url,
            language=request.headers.get("accept-language", "")[:2],
        )
        return self._dispatch(call)

    def _dispatch(self, call: Call) -> Json | None:
        handler, params = self._router.find(call.method, call.path)
        selection = call.selection
        answer = handler(self.account, call, params)
        if answer is None or isinstance(answer, Trimmed):
            return None if answer is None else dict(answer)
        selection.require(frozenset(answer))
        trimmed: Json = selection.apply(answer)
        return trimmed

    def _metadata(self, request: MockRequest) -> Json:
        """Of the login service, which answers 200 to a token it does not know, too."""
        if request.headers.get("authorization", "").partition(" ")[2] != self.account.access_token:
            return {"error": "invalid_token", "error_description": "The access token is invalid."}
        return {
            "dc": self.account.datacenter,
            "role": "owner",
            "accountname": "Example",
            "login_url": "https://login.mailchimp.com",
            "api_endpoint": request.base_url,
        }

    def _admit(self, request: MockRequest) -> None:
        self._check_key(request.headers.get("authorization", ""))
        if self.account.state:
            raise named(self.account.state)
        wanted = request.headers.get("x-trigger-error", "")
        if wanted in NAMED:
            raise named(wanted)

    def _check_key(self, authorization: str) -> None:
        key = _key(authorization)
        if key in {self.account.api_key, self.account.access_token}:
            return
        if key.partition("-")[0] == self.account.api_key.partition("-")[0]:
            raise named("WrongDatacenter")
        raise named("APIKeyInvalid")

    def _refusal(self, problem: Problem, instance: str) -> MockResponse:
        document = problem.document(instance)
        if not self.account.switches.problem_type:
            del document["type"]
        headers = self._headers(instance) | {"Content-Type": "application/problem+json; charset=utf-8"}
        return MockResponse(
            status=problem.status, headers=headers | problem.headers, body=msgspec.json.encode(document)
        )

    def _headers(self, instance: str) -> dict[str, str]:
        date = self.account.clock.now().replace(microsecond=0)
        return {"Server": "openresty", "Date": _date(date), "X-Request-Id": instance}


@lru_cache(maxsize=8)
def _key(authorization: str) -> str:
    """Raises ``Problem`` when there is none."""
    scheme, _, rest = authorization.partition(" ")
    key = rest.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            raise named("APIKeyInvalid") from None
    elif scheme.lower() not in {"bearer", "oauth"}:
        raise named("APIKeyMissing")
    if not key:
        raise named("APIKeyMissing")
    return key


@lru_cache(maxsize=8)
def _date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@lru_cache(maxsize=256)
def _pairs(part: str) -> list[tuple[str, str]]:
    return parse_qsl(part, keep_blank_values=True)


def _method(request: MockRequest) -> str:
    override = request.headers.get("x-http-method-override", "")
    if override and request.method != "POST":
        raise named("InvalidMethodOverride")
    return (override or request.method).upper()


def _only_reads(body: bytes) -> bool:
    try:
        operations = msgspec.json.decode(body)["operations"]
        return all(operation["method"].upper() == "GET" for operation in operations)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return False
