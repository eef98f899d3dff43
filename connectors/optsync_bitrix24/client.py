"""The REST API over HTTP: single calls and batches, their errors told apart, limits kept."""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

import structlog

from optsync.connect.contract import Context
from optsync.connect.http import Answer, Effect, HttpSession, TryAgain, is_loopback
from optsync.connect.ratelimit import Pace
from optsync.connect.redact import Redactor
from optsync.errors import CredentialsRefused, OutcomeUnknown, SystemUnavailable
from optsync_bitrix24 import refusals
from optsync_bitrix24.budget import OperatingBudget, seconds
from optsync_bitrix24.php import as_map, command
from optsync_bitrix24.refusals import VendorError, error_of
from optsync_bitrix24.settings import Bitrix24Settings

_log = structlog.get_logger(__name__)
_MOVED = (301, 302, 303, 307, 308)
_CLOUD_HOST = re.compile(r"[a-z0-9-]+\.bitrix24\.[a-z]{2,6}(?:\.[a-z]{2})?")
_SLOW_S = 30.0
_QUICK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a batch: a method and its parameters (texts, numbers, booleans, maps and lists of them)."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer to one call: its ``result``, or the error about the record it was for."""

    result: Any
    error: VendorError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReply:
    """What became of each command. One that is in neither map was not answered for.

    ``started_at`` is the vendor's clock at the start, in the portal's zone; None where the portal does not say.
    """

    results: Mapping[str, Any]
    errors: Mapping[str, VendorError]
    started_at: datetime | None


class Client:
    """The portal behind one webhook. Calls go out one after another, whichever thread asks."""

    def __init__(self, settings: Bitrix24Settings, context: Context) -> None:
        self._webhook = settings.webhook
        self._system = context.system
        self._clock = context.clock
        self._redactor = Redactor([self._webhook.secret])
        self._netloc = self._webhook.netloc
        self._lock = threading.RLock()
        self._method = ""
        self._methods: set[str] = set()
        self._effect = Effect.READ
        self._sql_errors = 0
        self._size_of = {True: 1.0, False: 1.0}
        """By whether a batch only reads: reading that goes quickly does not tell that writing does."""
        self.budget = OperatingBudget(context.clock, limit=settings.operating_limit)
        self.clock_offset: float | None = None
        self._http = HttpSession(
            context,
            base_url=self._webhook.base_url,
            judge=self._judge,
            pace=Pace(context.clock, per_second=settings.requests_per_second, burst=settings.burst),
            secrets=[self._webhook.secret],
        )

    @property
    def calls(self) -> int:
        return self._http.calls

    def batch_size(self, most: int, *, reads: bool = True) -> int:
        """``most``, or less while the portal is slow: a request may run for 60 seconds only."""
        return max(1, int(most * self._size_of[reads]))

    def call(self, method: str, params: Mapping[str, Any], *, effect: Effect, restrictive: bool = False) -> Reply:
        """One call by JSON. Raises as :meth:`HttpSession.send` does."""
        body, answer = self._send(method, params, {method}, effect=effect, restrictive=restrictive)
        error = error_of(body)
        if error is None and "result" not in body:
            self._refuse(f"{method} was answered without a result (HTTP {answer.status})")
        return Reply(result=body.get("result"), error=error)

    def batch(self, commands: Mapping[str, Command], *, effect: Effect, restrictive: bool = False) -> BatchReply:
        """At most 50 commands by one request, in order, none stopped by another's failure.

        Keys must not be numeric. A failed command is in ``errors``; raises only for the request as a whole.
        """
        cmd = {key: command(one.method, one.params) for key, one in commands.items()}
        methods = {one.method for one in commands.values()}
        body, _ = self._send("batch", {"halt": 0, "cmd": cmd}, methods, effect=effect, restrictive=restrictive)
        parts = as_map(body.get("result")) or {}
        times = (as_map(parts.get("result_time")) or {}).items()
        now = self._vendor_now()
        for key, time in times:
            if key in commands and isinstance(time, dict):
                self.budget.note(commands[key].method, time, now)
        errors = {key: _inner_error(error) for key, error in (as_map(parts.get("result_error")) or {}).items()}
        for method in {commands[key].method for key in errors.keys() & commands if errors[key].is_operating}:
            self.budget.refused(method)
        return BatchReply(
            results=as_map(parts.get("result")) or {},
            errors=errors,
            started_at=_started_at(body.get("time")),
        )

    def wait_before(self, methods: Iterable[str], *, restrictive: bool) -> float:
        """Seconds that a batch of those methods would wait for run time."""
        return self.budget.wait_before({*methods, "batch"}, restrictive=restrictive)

    def wait_after_limit(self, method: str) -> float:
        """Seconds until a method that was refused inside a batch may be called again."""
        return self.budget.wait_after_refusal({method, "batch"})

    def close(self) -> None:
        self._http.close()

    def _send(
        self, method: str, params: Mapping[str, Any], methods: set[str], *, effect: Effect, restrictive: bool
    ) -> tuple[dict[str, Any], Answer]:
        with self._lock:
            self._method, self._effect, self._sql_errors = method, effect, 0
            self._methods = methods | {method}
            if wait := self.budget.wait_before(self._methods, restrictive=restrictive):
                _log.info("operating_budget", system=self._system, wait_s=round(wait))
                self._clock.sleep(wait)
            answer = self._post(method, params)
            if answer.status in _MOVED:
                self._move(answer)
                answer = self._post(method, params)
            if answer.status in _MOVED:
                self._refuse("the portal redirects again and again; put its present address into webhook_url")
            body: dict[str, Any] = answer.body
            self._note_time(method, body.get("time"))
            return body, answer

    def _post(self, method: str, params: Mapping[str, Any]) -> Answer:
        path = f"{self._webhook.base_on(self._netloc)}/{method}.json"
        try:
            return self._http.send("POST", path, effect=self._effect, json=params)
        except (SystemUnavailable, OutcomeUnknown):
            if method == "batch":
                self._shrink()  # perhaps it ran into the 60 seconds
            raise

    def _move(self, answer: Answer) -> None:
        """A renamed portal redirects to its new host; following blindly would turn POST into GET."""
        target = urlsplit(answer.headers.get("Location", ""))
        new, old = (target.hostname or "").lower(), (urlsplit(f"//{self._netloc}").hostname or "").lower()
        is_same_kind = bool(_CLOUD_HOST.fullmatch(new) and _CLOUD_HOST.fullmatch(old))
        is_local = is_loopback(new) and is_loopback(old) and target.scheme == self._webhook.scheme
        if not is_local and not (is_same_kind and target.scheme == "https"):
            self._refuse(
                f"the portal redirects to {new or 'nowhere'} (HTTP {answer.status}), which was not followed;"
                " put the portal's present address into webhook_url"
            )
        _log.warning("portal_renamed", system=self._system, host=new, advice="put the new host into webhook_url")
        self._netloc = target.netloc.rpartition("@")[2]

    def _note_time(self, method: str, time: Any) -> None:
        if not isinstance(time, dict):
            return
        finish = seconds(time.get("finish"))
        if finish is not None and finish > 0:
            self.clock_offset = finish - self._clock.now().timestamp()
        self.budget.note(method, time, self._vendor_now())
        duration = seconds(time.get("duration"))
        if method == "batch" and duration is not None:
            reads = self._effect is Effect.READ
            if duration > _SLOW_S:
                self._shrink()
            elif duration < _QUICK_S:
                self._size_of[reads] = min(1.0, self._size_of[reads] * 1.5)

    def _shrink(self) -> None:
        """The next batch of either kind: where one is slow the other may be."""
        self._size_of = {reads: max(0.02, size / 2) for reads, size in self._size_of.items()}

    def _vendor_now(self) -> float:
        offset = self.clock_offset if self.clock_offset is not None else self._http.clock_offset
        return self._clock.now().timestamp() + (offset or 0.0)

    def _judge(self, answer: Answer) -> None:
        """Returns for results and for errors about a record. Codes first, statuses second."""
        if answer.status in _MOVED:
            return
        error = error_of(answer.body)
        if error is not None:
            self._judge_error(answer.status, error)
            if self._method == "batch":
                self._refuse(f"a batch was refused ({error})")
        elif not answer.is_json or answer.status >= 400:
            self._judge_foreign(answer)
        elif not isinstance(answer.body, dict) or "result" not in answer.body:
            raise TryAgain(f"{self._method}: an answer without a result", maybe_applied=True)

    def _judge_error(self, status: int, error: VendorError) -> None:
        code, says = error.code.upper(), f"{self._method} (HTTP {status}, {error})"
        if code == refusals.RATE:
            raise TryAgain(f"too many requests: {says}", is_limit=True)
        if code == refusals.OPERATING:
            after = self.budget.wait_after_refusal(self._methods)
            raise TryAgain(f"the method's run time is used up: {says}", after=after, is_limit=True)
        if code in refusals.STOPPED:
            self._refuse(f"{refusals.STOPPED[code]}: {says}")
        if code == "INVALID_REQUEST" and "https" in error.text.lower():
            self._deny(f"the portal wants https: {says}; write webhook_url with https://")
        if code in refusals.BROKEN or status >= 500:
            self._judge_broken(code, says)
        if code in refusals.CREDENTIALS and not (code == "ACCESS_DENIED" and status == 400):
            self._deny(f"{refusals.CREDENTIALS[code]}: {says}")
        if status == 429:
            raise TryAgain(f"too many requests: {says}", is_limit=True)
        if status in (401, 403):
            self._deny(f"the portal refuses the webhook: {says}; check its permissions and its owner's CRM rights")

    def _judge_broken(self, code: str, says: str) -> NoReturn:
        if code == "ERROR_CORE":
            self._sql_errors += 1
            if self._sql_errors > 1 and self._effect is not Effect.READ:
                raise OutcomeUnknown(f"{self._system}: {self._redactor.all(f'the database failed twice: {says}')}")
            if self._sql_errors > 1:
                self._refuse(f"the portal's database failed twice: {says}")
        raise TryAgain(f"the portal failed: {says}", maybe_applied=True)

    def _judge_foreign(self, answer: Answer) -> None:
        """Something answered that is not the REST module: a proxy, a firewall, a maintenance page."""
        # Redacted before it is cut: half a secret or half an address would not be found any more.
        page = self._redactor.all(answer.content.decode("utf-8", "replace"))
        start = " ".join(re.sub(r"<[^>]*>", " ", page).split())[:120]
        says = f"{self._method}: HTTP {answer.status}, no REST answer ({start})"
        if answer.status == 401:
            self._deny(f"the portal refuses the webhook; check webhook_url: {says}")
        if answer.status == 404:
            self._refuse(f"no REST at this address; check webhook_url and that the REST module is on: {says}")
        # The portal names no time to wait; a proxy before it may.
        after = answer.retry_after(self._clock.now())
        if answer.status == 429:
            raise TryAgain(f"too many requests: {says}", after=after, is_limit=True)
        if answer.status == 403:
            raise TryAgain(f"blocked before the REST module (maintenance, or this IP address): {says}")
        if 400 <= answer.status < 500:
            self._refuse(f"the request was refused before the REST module: {says}")
        raise TryAgain(says, after=after, maybe_applied=True)

    def _refuse(self, message: str) -> NoReturn:
        raise SystemUnavailable(self._system, self._redactor.all(message))

    def _deny(self, message: str) -> NoReturn:
        raise CredentialsRefused(self._system, self._redactor.all(message))


def _inner_error(value: Any) -> VendorError:
    return error_of(value) or VendorError(code="", text=str(value))


def _started_at(time: Any) -> datetime | None:
    text = time.get("date_start") if isinstance(time, dict) else None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    # Whole seconds: the portal compares in them.
    return moment.replace(microsecond=0)
