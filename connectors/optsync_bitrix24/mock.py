"""A strict imitation of a Bitrix24 portal's REST API, with state, quirks and limits.

Built from the public Bitrix24 REST documentation, its client libraries and their issue lists. It leaves out OAuth
token exchange, events, user consent and file fields."""

import random
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from optsync.clock import Clock
from optsync.connect.mock import ConnectionLost, MockConfig, MockRequest, MockResponse, Person
from optsync.model.record import Side
from optsync_bitrix24.mocking import batch, people
from optsync_bitrix24.mocking.answers import RestError, Result
from optsync_bitrix24.mocking.faults import Fault, Faults, Kind
from optsync_bitrix24.mocking.hands import Hands
from optsync_bitrix24.mocking.limits import LEAST_IN_BATCH, LeakyBucket, OperatingTime, TookTooLong
from optsync_bitrix24.mocking.methods import Methods, is_writing
from optsync_bitrix24.mocking.moments import http_date
from optsync_bitrix24.mocking.php import Params, ShownMap, decode_request, php_json, php_text
from optsync_bitrix24.mocking.portal import Call, Portal
from optsync_bitrix24.mocking.switches import Switches


class Bitrix24Mock:
    """One portal with one inbound webhook. ``switches`` are the fields of
    :class:`optsync_bitrix24.mocking.switches.Switches`."""

    name: ClassVar[str] = "bitrix24"
    side: ClassVar[Side] = Side.CRM

    def __init__(self, *, clock: Clock, rng: random.Random, **switches: Any) -> None:
        self.switches = Switches(**switches)
        self.portal = Portal(clock, rng, self.switches)
        self._clock = clock
        self._methods = Methods(self.portal)
        self._bucket = LeakyBucket(clock, self.switches)
        self._operating = OperatingTime(self.switches)
        self._faults = Faults()
        self._hands = Hands(self.portal, self._faults)

    def handle(self, request: MockRequest) -> MockResponse:
        """Answers ``/rest/{user}/{secret}/{method}[.json]`` and ``/rest/{method}[.json]?auth=…``."""
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        if len(parts) not in (2, 4) or parts[0] != "rest" or not parts[-1]:
            return self._html(404, "404 Not Found")
        name = parts[-1].lower().removesuffix(".json")
        fault = self._faults.transport(name)
        if fault and fault.kind in (Kind.HTML, Kind.REDIRECT):
            return self._html(fault.status, "Error", location=fault.location)
        if fault and fault.kind is Kind.LOST_BEFORE:
            raise ConnectionLost
        return self._spoiled(fault, self._answer(request, parts[1:-1], name))

    def populate(self, people_given: Iterable[Person]) -> None:
        people.populate(self.portal, people_given)

    def act(self, action: str, **arguments: Any) -> Any:
        """An action of :class:`optsync_bitrix24.mocking.hands.Hands`; raises ``KeyError`` for another."""
        return self._hands.act(action, arguments)

    def config(self, base_url: str) -> MockConfig:
        webhook = f"{base_url.rstrip('/')}/rest/{self.switches.user_id}/{self.portal.secret}/"
        return people.config(webhook)

    def is_write(self, request: MockRequest) -> bool:
        name = unquote(request.path).rpartition("/")[2].lower().removesuffix(".json")
        if name != "batch":
            return is_writing(name)
        return any(is_writing(inner) for inner, _ in batch.commands(decode_request(request)).values())

    def _answer(self, request: MockRequest, credential: list[str], name: str) -> MockResponse:
        begun = self.portal.moments.exact()
        try:
            self._bucket.take(request.client)
            self._demand_https(request)
            params = decode_request(request)
            call = self._authenticated(credential, params)
            if name == "batch":
                return self._batched(call, begun)
            result, spent = self._execute(name, call, begun, payer=name)
        except RestError as error:
            return self._json(error.status, error.body())
        except TookTooLong:
            return self._html(504, "504 Gateway Time-out")
        return self._json(200, {**_body(result), "time": spent})

    def _demand_https(self, request: MockRequest) -> None:
        if self.switches.is_https_required and not request.base_url.startswith("https:"):
            raise RestError("INVALID_REQUEST", "Https required.")

    def _authenticated(self, credential: list[str], params: Params) -> Call:
        if credential:
            if credential != [str(self.switches.user_id), self.portal.secret]:
                text = "Invalid request credentials"
                raise RestError("INVALID_CREDENTIALS", text, status=self.switches.wrong_secret_status)
            return Call(params=params, user=self.switches.user_id)
        token = php_text(params.get("auth") or params.get("access_token"))
        if not token:
            raise RestError("NO_AUTH_FOUND", "Wrong authorization data", status=401)
        if token != self.switches.access_token:
            raise RestError("invalid_token", "Unable to get application by token", status=401)
        return Call(params=params, user=self.switches.user_id, is_webhook=False)

    def _batched(self, call: Call, begun: float) -> MockResponse:
        is_outer_charged = self.switches.operating_charge == "batch"
        if is_outer_charged:
            self._operating.check(_credential(call), "batch", begun)
        self._faults.error("batch")
        took = 0.0

        def execute(name: str, params: Params) -> tuple[Result, dict[str, Any]]:
            nonlocal took
            if took > self.switches.longest_request:
                raise TookTooLong
            inner = Call(params=params, user=call.user, is_webhook=call.is_webhook)
            made = self._execute(name, inner, begun, payer="batch" if is_outer_charged else name)
            took += made[1]["duration"]
            return made

        fails_together = self.switches.long_batch == "request"
        answer = batch.run(call.params, execute, fails_together=fails_together)
        if took > self.switches.longest_request:
            raise TookTooLong
        spent = self._time(begun, 0.0, self._operating.charge(_credential(call), "batch", 0.0, begun))
        return self._json(200, {"result": answer, "time": spent})

    def _execute(self, name: str, call: Call, begun: float, *, payer: str) -> tuple[Result, dict[str, Any]]:
        credential = _credential(call)
        self._operating.check(credential, payer, begun)
        self._faults.error(name)
        result = self._methods.run(name, call)
        cost = self.switches.write_cost if is_writing(name) else self.switches.read_cost
        if payer == "batch":
            cost = max(cost, LEAST_IN_BATCH)
        return result, self._time(begun, cost, self._operating.charge(credential, payer, cost, begun))

    def _time(self, begun: float, cost: float, operating: tuple[float, int]) -> dict[str, Any]:
        """``begun`` in Unix seconds; the mock itself takes no time."""
        shown = self.portal.moments.show
        block = ShownMap(
            start=begun,
            finish=begun + cost,
            duration=cost,
            processing=cost,
            date_start=shown(int(begun)),
            date_finish=shown(int(begun + cost)),
        )
        if self.switches.shows_operating:
            block["operating"], block["operating_reset_at"] = operating
        return block

    def _spoiled(self, fault: Fault | None, answer: MockResponse) -> MockResponse:
        if fault is None:
            return answer
        if fault.kind is Kind.LOST_AFTER:
            raise ConnectionLost
        half = answer.body[: len(answer.body) // 2]
        return MockResponse(status=answer.status, headers=answer.headers, body=half)

    def _json(self, status: int, body: dict[str, Any]) -> MockResponse:
        headers = {"Content-Type": "application/json; charset=utf-8", "Date": http_date(self._clock)}
        return MockResponse(status=status, headers=headers, body=msgspec.json.encode(php_json(body)))

    def _html(self, status: int, title: str, *, location: str = "") -> MockResponse:
        headers = {"Content-Type": "text/html; charset=UTF-8", "Date": http_date(self._clock)}
        if location:
            headers["Location"] = location
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return MockResponse(status=status, headers=headers, body=page.encode())


def _credential(call: Call) -> str:
    return f"{'webhook' if call.is_webhook else 'application'} {call.user}"


def _body(result: Result) -> dict[str, Any]:
    body: dict[str, Any] = {"result": result.value}
    if result.next is not None:
        body["next"] = result.next
    if result.total is not None:
        body["total"] = result.total
    return body
