"""A vendor mock that takes its time on the clock that it shares with the engine, and remembers what was written."""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from benchmarks.clock import SharedClock
from benchmarks.deeds import Deeds
from optsync.connect.mock import MockConfig, MockRequest, MockResponse, Person, VendorMock
from optsync.model.record import Side
from optsync_bitrix24.mocking import batch
from optsync_bitrix24.mocking.methods import is_writing
from optsync_bitrix24.mocking.php import decode_request, parse_str

_DURATION = re.compile(rb'"duration":([0-9.eE+-]+)')
_NUMBER = re.compile(rb"[0-9.eE+-]+")
_OPT_OUT = "UF_CRM_OPT_OUT"
ANSWER_S = 0.2
MEMBER_S = 0.0008
"""Seconds of an e-mail platform's answer and of each member in it: a page of 1,000 takes one. Assumed; nobody
documents it."""
PAUSE_S = 250.0
"""Longer than any wait inside a cycle, shorter than the pause between two."""


class SlowMock:
    """Further actions: ``stir`` (``do``) and ``missing`` of :class:`Deeds`; ``stir_later(when, …)`` or ``watch``, from
    which on every write to a CRM is remembered for ``written``; ``came``: when that happened."""

    name: ClassVar[str] = "slow"
    side: ClassVar[Side]

    def __init__(self, mock: VendorMock, clock: SharedClock, deeds: Callable[[], Deeds]) -> None:
        self._mock = mock
        self.side = mock.side  # type: ignore[misc]
        self._clock = clock
        self._deeds = deeds
        self._is_watched = False
        self._written: list[dict[str, Any]] = []
        self._later: deque[dict[str, Any]] = deque()
        self._came: list[float] = []
        self._answered_at = 0.0
        self._busy = 0

    def handle(self, request: MockRequest) -> MockResponse:
        begun = self._clock.monotonic()
        if self._later and self._is_time(begun):
            arguments = self._later.popleft()
            del arguments["when"]
            self._deeds().do(**arguments)
            self._came.append(begun)
            self._busy = 0
        answer = self._mock.handle(request)
        seconds = self._seconds(answer)
        if self._is_watched and self._mock.is_write(request):
            self._written.append({"at": begun, "took": seconds, **_counted(request, answer)})
            self._busy += self._written[-1]["others"] > 0
        self._clock.pass_by(seconds)
        self._answered_at = self._clock.monotonic()
        return replace(answer, body=_timed(answer.body, seconds)) if self.side is Side.CRM else answer

    def _is_time(self, now: float) -> bool:
        """``pause``: nothing was asked for minutes, so a cycle has ended. ``busy``: some calls that wrote something
        else than opt-outs have gone by."""
        if self._later[0]["when"] == "pause":
            return bool(self._written) and now - self._answered_at >= PAUSE_S
        return self._busy >= 5

    def populate(self, people: Iterable[Person]) -> None:
        self._mock.populate(people)

    def config(self, base_url: str) -> MockConfig:
        return self._mock.config(base_url)

    def is_write(self, request: MockRequest) -> bool:
        return self._mock.is_write(request)

    def act(self, action: str, **arguments: Any) -> Any:
        match action:
            case "stir":
                return self._deeds().do(**arguments)
            case "stir_later" | "watch":
                self._is_watched = True
                self._later.extend([arguments] if arguments else [])
                return None
            case "missing":
                return self._deeds().missing()
            case "written":
                return self._written
            case "came":
                return self._came
            case _:
                return self._mock.act(action, **arguments)

    def _seconds(self, answer: MockResponse) -> float:
        if self.side is Side.CRM:
            return sum(float(seconds) for seconds in _DURATION.findall(answer.body))
        return ANSWER_S + MEMBER_S * answer.body.count(b'"email_address"')


def _timed(body: bytes, seconds: float) -> bytes:
    """The mock takes no time, so that its batches say that they took none; by this a client tells how large the next
    one may be. The time of the whole stands at the end."""
    before, name, after = body.rpartition(b'"duration":')
    return before + name + _NUMBER.sub(str(seconds).encode(), after, count=1) if name else body


def _counted(request: MockRequest, answer: MockResponse) -> dict[str, int]:
    """How many records a batch of the CRM changed, and how many it refused because of run time."""
    params = decode_request(request)
    body = msgspec.json.decode(answer.body)
    parts = body["result"] if isinstance(body.get("result"), dict) else {}
    done, found = dict(parts.get("result") or {}), Counter({"opt_outs": 0, "others": 0, "refused": 0})
    for key, (method, query) in batch.commands(params).items():
        if not is_writing(method):
            continue
        fields: Any = parse_str(query).get("fields") or {}
        word = "opt_outs" if str(fields.get(_OPT_OUT, "")) in ("1", "Y") else "others"
        found[word if key in done else "refused"] += 1
    return dict(found)
