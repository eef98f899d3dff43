"""Faults on demand: what networks, gateways and busy vendors do, before or after a request had its effect."""

import fnmatch
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar

from optsync.connect.mock import AnswerLate, ConnectionLost, MockConfig, MockRequest, MockResponse, Person, VendorMock
from optsync.model.record import Side


class FaultKind(StrEnum):
    """Those that end in ``_after`` come when the request has had its effect; all others keep it from having one."""

    DROP = "drop"
    TIMEOUT = "timeout"
    TOO_MANY = "too_many"
    """429 with ``Retry-After``."""
    TOO_MANY_BARE = "too_many_bare"
    """429 without."""
    ERROR_500 = "error_500"
    ERROR_502 = "error_502"
    """An HTML page of a gateway, as are the next two."""
    ERROR_503_HTML = "error_503_html"
    FORBIDDEN = "forbidden"
    ERROR_503 = "error_503"
    DROP_AFTER = "drop_after"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_502_AFTER = "error_502_after"
    TRUNCATED_AFTER = "truncated_after"
    """The promised length, half the body."""


class Only(StrEnum):
    """Which requests a rule looks at."""

    ANY = "any"
    READS = "reads"
    WRITES = "writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to do what.

    A request matches if mock, method and path do (shell patterns; the path is the vendor's, still
    percent-encoded) and it is of the kind ``only``. Of the matching ones the ``nth`` (from 1) is hit, or each with
    ``probability``, or, with neither, every one; at most ``times`` in all.
    """

    kind: FaultKind
    mock: str = "*"
    method: str = "*"
    path: str = "*"
    only: Only = Only.ANY
    nth: int | None = None
    probability: float | None = None
    times: int | None = None
    retry_after: int = 1
    """Seconds that ``TOO_MANY`` asks for."""
    delay: float = 1.0
    """Seconds after which a timeout gives up and closes the connection."""


@dataclass(slots=True)
class _Counted:
    rule: Rule
    matched: int = 0
    hits: int = 0


class FaultInjector:
    """Decides for each request whether a fault hits it; rules are asked in order, the first that hits wins."""

    def __init__(self, rng: random.Random, rules: Iterable[Rule] = ()) -> None:
        self._rng = rng
        self._rules: list[_Counted] = []
        self.replace(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(counted.rule for counted in self._rules)

    @property
    def hits(self) -> int:
        """How many requests the present rules have hit."""
        return sum(counted.hits for counted in self._rules)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Puts other rules in force, counted from zero; none ends all faults."""
        self._rules = [_Counted(rule) for rule in rules]

    def pick(self, mock: str, request: MockRequest, *, is_write: bool) -> Rule | None:
        """The rule that hits this request. Every rule before it has counted the request."""
        for counted in self._rules:
            if _matches(counted.rule, mock, request, is_write) and self._hits(counted):
                counted.hits += 1
                return counted.rule
        return None

    def _hits(self, counted: _Counted) -> bool:
        counted.matched += 1
        rule = counted.rule
        if rule.times is not None and counted.hits >= rule.times:
            return False
        if rule.nth is not None:
            return counted.matched == rule.nth
        return rule.probability is None or self._rng.random() < rule.probability


def _matches(rule: Rule, mock: str, request: MockRequest, is_write: bool) -> bool:
    return (
        (rule.only is Only.ANY or (rule.only is Only.WRITES) is is_write)
        and fnmatch.fnmatchcase(mock, rule.mock)
        and fnmatch.fnmatchcase(request.method, rule.method.upper())
        and fnmatch.fnmatchcase(request.path, rule.path)
    )


def weather(error_rate: float, *, kinds: Sequence[FaultKind] = tuple(FaultKind), delay: float = 1.0) -> list[Rule]:
    """Bad weather: each request meets a fault with ``error_rate`` (0 to 1), all kinds equally often."""
    if not 0.0 <= error_rate <= 1.0:
        raise ValueError("an error rate lies between 0 and 1")
    share = error_rate / len(kinds)
    # Asked one after the other, so each must be a little likelier than the last to keep the shares equal.
    return [
        Rule(kind=kind, probability=min(1.0, share / (1.0 - position * share)) if share else 0.0, delay=delay)
        for position, kind in enumerate(kinds)
    ]


def answer_with_fault(rule: Rule, respond: Callable[[], MockResponse]) -> MockResponse:
    """What the client gets instead of the answer; ``respond`` is called if the request has its effect.

    Raises:
        ConnectionLost: no answer. AnswerLate: none for ``delay`` seconds, and then none.
    """
    if rule.kind is FaultKind.DROP:
        raise ConnectionLost(rule.kind)
    if rule.kind is FaultKind.TIMEOUT:
        raise AnswerLate(rule.delay)
    if rule.kind in _PAGES:
        return _PAGES[rule.kind](rule)
    return _spoil(rule, respond())


def _spoil(rule: Rule, answer: MockResponse) -> MockResponse:
    match rule.kind:
        case FaultKind.DROP_AFTER:
            raise ConnectionLost(rule.kind)
        case FaultKind.TIMEOUT_AFTER:
            raise AnswerLate(rule.delay)
        case FaultKind.TRUNCATED_AFTER if answer.body:
            headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
            headers["Content-Length"] = str(len(answer.body))
            return replace(answer, headers=headers, body=answer.body[: len(answer.body) // 2])
        case _:
            return _html(502, "Bad Gateway")


def _html(status: int, title: str) -> MockResponse:
    page = f"<html><head><title>{title}</title></head><body><h1>{status} {title}</h1></body></html>\n"
    return MockResponse(status=status, headers={"Content-Type": "text/html; charset=utf-8"}, body=page.encode())


def _json(status: int, message: str, headers: Mapping[str, str] | None = None) -> MockResponse:
    body = f'{{"status":{status},"error":"{message}"}}'
    return MockResponse(
        status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=body.encode()
    )


_PAGES: dict[FaultKind, Callable[[Rule], MockResponse]] = {
    FaultKind.TOO_MANY: lambda rule: _json(429, "too many requests", {"Retry-After": str(rule.retry_after)}),
    FaultKind.TOO_MANY_BARE: lambda _: _json(429, "too many requests"),
    FaultKind.ERROR_500: lambda _: _json(500, "internal error"),
    FaultKind.ERROR_502: lambda _: _html(502, "Bad Gateway"),
    FaultKind.ERROR_503: lambda _: _json(503, "unavailable"),
    FaultKind.ERROR_503_HTML: lambda _: _html(503, "Service Unavailable"),
    FaultKind.FORBIDDEN: lambda _: _html(403, "Access Denied"),
}


class FaultyMock:
    """A vendor mock behind bad weather, for use in process: it is itself a :class:`VendorMock`."""

    name: ClassVar[str] = "faulty"
    side: ClassVar[Side] = Side.ESP

    def __init__(self, inner: VendorMock, injector: FaultInjector) -> None:
        self.inner = inner
        self.injector = injector
        # It answers to the name of what it wraps, which differs from wrapper to wrapper.
        self.__dict__.update(name=inner.name, side=inner.side)

    def handle(self, request: MockRequest) -> MockResponse:
        rule = self.injector.pick(self.inner.name, request, is_write=self.inner.is_write(request))
        if rule is None:
            return self.inner.handle(request)
        return answer_with_fault(rule, lambda: self.inner.handle(request))

    def populate(self, people: Iterable[Person]) -> None:
        self.inner.populate(people)

    def act(self, action: str, **arguments: Any) -> Any:
        return self.inner.act(action, **arguments)

    def config(self, base_url: str) -> MockConfig:
        return self.inner.config(base_url)

    def is_write(self, request: MockRequest) -> bool:
        return self.inner.is_write(request)
