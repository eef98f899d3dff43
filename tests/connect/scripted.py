"""A network that answers by a script, and a context around it."""

import io
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import Message
from types import SimpleNamespace
from typing import Any, TypeAlias

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPResponse

from optsync.clock import ManualClock
from optsync.connect.contract import Context
from optsync.connect.http import Answer, HttpSession, TryAgain
from optsync.connect.ratelimit import Pace
from optsync.errors import CredentialsRefused

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Step: TypeAlias = Exception | tuple[int, bytes, dict[str, str]]


def ok(body: bytes = b"{}", status: int = 200, **headers: str) -> Step:
    """An answer; underscores in header names stand for hyphens."""
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


class Script(BaseAdapter):
    """Gives the steps in order, the last one for ever; remembers what was asked and when."""

    def __init__(self, clock: ManualClock, steps: Sequence[Step]) -> None:
        super().__init__()
        self._clock = clock
        self._steps = list(steps)
        self.sent: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []
        self.sent_at: list[float] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.sent.append(request)
        self.options.append(options)
        self.sent_at.append(self._clock.monotonic())
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        status, body, headers = step
        message = Message()
        for name, value in headers.items():
            message[name] = value
        # Where requests looks for cookies.
        under: Any = SimpleNamespace(msg=message, close=lambda: None, isclosed=lambda: True)
        raw = HTTPResponse(
            body=io.BytesIO(body), headers=headers, status=status, preload_content=False, original_response=under
        )
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        """Nothing is open."""


def judge(answer: Answer) -> None:
    """Busy and broken vendors are tried again; 500 may have had its effect."""
    if answer.status == 401:
        raise CredentialsRefused("crm", "the key is not accepted")
    if answer.status == 429:
        raise TryAgain("too fast", after=answer.retry_after(NOON), is_limit=True)
    if answer.status >= 500:
        raise TryAgain(f"status {answer.status}", maybe_applied=answer.status == 500)


def session(
    *steps: Step, secrets: Sequence[str] = (), auth: AuthBase | None = None, is_read_only: bool = False
) -> tuple[HttpSession, Script]:
    """A session on a scripted network with a clock that moves only by sleeping."""
    clock = ManualClock(NOON)
    script = Script(clock, steps)
    context = Context(system="crm", clock=clock, rng=random.Random(1), transport=script, is_read_only=is_read_only)
    pace = Pace(clock, per_second=1000, burst=1000)
    made = HttpSession(
        context, base_url="https://crm.example/api/", judge=judge, pace=pace, auth=auth, secrets=secrets, attempts=4
    )
    return made, script
