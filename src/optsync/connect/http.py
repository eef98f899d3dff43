"""The one way to a vendor over HTTP: timeouts always, retries with jitter and Retry-After, pacing, redaction,
typed failures, counted calls."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

import msgspec
import requests
import structlog
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.utils import default_headers

from optsync.connect.contract import Context
from optsync.connect.ratelimit import Pace
from optsync.connect.redact import Redactor
from optsync.errors import OutcomeUnknown, RateLimited, SystemUnavailable

_log = structlog.get_logger(__name__)
_LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")


class Effect(StrEnum):
    """What sending a request twice does."""

    READ = "read"
    REPEATABLE = "repeatable"
    """A write that sets a state: twice is the same as once."""
    ONCE = "once"
    """A write that must not be sent again unless it certainly was not applied."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: ``body`` is the parsed JSON, or None when it was empty or not JSON (``text`` has its start)."""

    status: int
    headers: Mapping[str, str]
    body: Any
    is_json: bool
    text: str
    content: bytes

    def retry_after(self, now: datetime) -> float | None:
        """Seconds of a ``Retry-After`` in either form, None without one."""
        value = self.headers.get("Retry-After", "").strip()
        if not value:
            return None
        if value.isdigit():
            return float(value)
        moment = _moment(value)
        return None if moment is None else max(0.0, (moment - now).total_seconds())

    @property
    def at(self) -> datetime | None:
        """The vendor's clock when it answered, as UTC; None when it did not say."""
        return _moment(self.headers.get("Date", ""))


class TryAgain(Exception):
    """Raised by a judge: the vendor is busy or broken. ``maybe_applied``: the request may have had its effect."""

    def __init__(
        self, message: str, *, after: float | None = None, maybe_applied: bool = False, is_limit: bool = False
    ) -> None:
        super().__init__(message)
        self.after = after
        self.maybe_applied = maybe_applied
        self.is_limit = is_limit


Judge = Callable[[Answer], None]
"""Looks at every answer; returns when it is one to use (errors about a record included), raises ``TryAgain``,
``CredentialsRefused`` or ``SystemUnavailable`` otherwise."""


class HttpSession:
    """One per connected account. Requests go out one at a time, whichever thread asks."""

    def __init__(
        self,
        context: Context,
        *,
        base_url: str,
        judge: Judge,
        pace: Pace,
        auth: AuthBase | None = None,
        secrets: Sequence[str] = (),
        read_timeout: float = 65.0,
        attempts: int = 6,
    ) -> None:
        self._context = context
        self._base_url = base_url.rstrip("/")
        self._judge = judge
        self._pace = pace
        self._timeout = (5.0, read_timeout)
        self._attempts = attempts
        self._redactor = Redactor(secrets)
        self._lock = threading.RLock()
        self._auth = auth
        self._adapter = context.transport or HTTPAdapter(max_retries=0)
        self._cookies = RequestsCookieJar()
        self._headers = default_headers()
        self._headers["User-Agent"] = "optsync"
        self.calls = 0
        self.clock_offset: float | None = None

    def send(
        self,
        method: str,
        path: str,
        *,
        effect: Effect,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        use_auth: bool = True,
    ) -> Answer:
        """Sends until the judge accepts an answer.

        ``path`` is relative to the base URL, or absolute. JSON goes out as UTF-8. Redirects are not followed.

        Raises:
            OutcomeUnknown: a write whose answer was lost, or (ONCE) that failed in a way that may have applied it.
            SystemUnavailable: could not be reached, or kept failing. RateLimited: kept being too fast.
            CredentialsRefused: as the judge says.
        """
        if self._context.is_read_only and effect is not Effect.READ:
            raise AssertionError(f"{self._context.system}: a dry run tried to write ({method})")
        state = _Attempts(effect)
        while True:
            try:
                return self._send_once(effect, method, path, params, json, use_auth)
            except TryAgain as failure:
                may_retry = state.may_retry(failure)
                delay = self._wait(state.tried, failure.after) if may_retry else 0.0
                if not may_retry or state.tried >= self._attempts:
                    raise self._given_up(state, failure) from None
            self._context.clock.sleep(delay)

    def _given_up(self, state: "_Attempts", failure: TryAgain) -> Exception:
        message = self._redactor.all(str(failure))
        if state.maybe_applied:
            return OutcomeUnknown(f"{self._context.system}: {message}")
        kind = RateLimited if failure.is_limit else SystemUnavailable
        return kind(self._context.system, f"{message}; gave up after {state.tried} attempts")

    def close(self) -> None:
        self._adapter.close()

    def _send_once(
        self,
        effect: Effect,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        json: Any,
        use_auth: bool,
    ) -> Answer:
        url = path if path.startswith(("http://", "https://")) else f"{self._base_url}/{path.lstrip('/')}"
        body = None if json is None else msgspec.json.encode(json)
        with self._lock:
            self._pace.wait()
            if effect is not Effect.READ:
                self._context.before_write()
            self.calls += 1
            response = self._exchange(method, url, params=params, data=body, use_auth=use_auth)
        answer = _answer(response)
        self._measure_offset(answer)
        self._judge(answer)
        return answer

    def _exchange(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None,
        data: bytes | None,
        use_auth: bool,
    ) -> requests.Response:
        """What a ``requests.Session`` does besides serves its settings from the environment, hooks and redirects."""
        try:
            request = self._prepared(method, url, params=params, data=data, use_auth=use_auth)
            response = self._adapter.send(request, timeout=self._timeout, proxies={})
            extract_cookies_to_jar(self._cookies, request, response.raw)  # type: ignore[no-untyped-call]
            _ = response.content  # read here, where a connection that breaks off is known for what it is
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            raise TryAgain(f"no connection ({type(error).__name__})") from None
        except requests.ConnectionError as error:
            refused = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
            raise TryAgain(f"connection failed ({_cause(error)})", maybe_applied=not refused) from None
        except requests.RequestException as error:
            raise TryAgain(f"no usable answer ({type(error).__name__})", maybe_applied=True) from None
        return response

    def _prepared(
        self, method: str, url: str, *, params: Mapping[str, str | int] | None, data: bytes | None, use_auth: bool
    ) -> requests.PreparedRequest:
        """The same as from ``PreparedRequest.prepare``, with nothing checked anew that is the same every time."""
        request = requests.PreparedRequest()
        request.method = method
        # Some vendors have addresses in their paths, and an address is kept nowhere.
        request.url = _normalised(url) if "@" in url else _normalised_before(url)
        if params:
            request.url += f"{'&' if '?' in request.url else '?'}{_encoded(params)}"
        request.headers = headers = self._headers.copy()
        if data is not None:
            request.body = data
            headers["Content-Type"] = "application/json; charset=utf-8"
        if self._cookies:
            request.prepare_cookies(self._cookies)
        if data is not None or method not in {"GET", "HEAD"}:
            headers["Content-Length"] = str(len(data or b""))
        # Signed storage links go without: the account's credentials must not travel there.
        if use_auth and (self._auth or "@" in url):
            request.prepare_auth(self._auth)
        return request

    def _wait(self, attempt: int, after: float | None) -> float:
        backoff: float = min(60.0, 2.0 ** (attempt - 1))
        jitter = self._context.rng.uniform(0.5, 1.0)
        delay = max(after, 0.0) + jitter if after is not None else backoff * jitter
        _log.debug("retry", system=self._context.system, attempt=attempt, wait_s=round(delay, 2))
        return min(delay, 900.0)

    def _measure_offset(self, answer: Answer) -> None:
        theirs = answer.at
        if theirs is not None:
            self.clock_offset = (theirs - self._context.clock.now()).total_seconds()


class _Attempts:
    """Remembers over all attempts of one request whether it may have been applied."""

    def __init__(self, effect: Effect) -> None:
        self._effect = effect
        self.maybe_applied = False
        self.tried = 0

    def may_retry(self, failure: TryAgain) -> bool:
        self.tried += 1
        if failure.maybe_applied and self._effect is not Effect.READ:
            self.maybe_applied = True
        return not (self.maybe_applied and self._effect is Effect.ONCE)


def _normalised(url: str) -> str:
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    return str(request.url)


_normalised_before = lru_cache(maxsize=64)(_normalised)


def _encoded(params: Mapping[str, str | int]) -> str:
    return "&".join([f"{_quoted(key)}={_quoted(str(value))}" for key, value in params.items()])


def _quoted(text: str) -> str:
    # The same lists of fields go out with every request.
    return quote_plus(text) if "@" in text else _quoted_before(text)


_quoted_before = lru_cache(maxsize=256)(quote_plus)


@lru_cache(maxsize=8)
def _moment(text: str) -> datetime | None:
    """Of a ``Date`` or ``Retry-After`` header: asked for again and again within a second."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _answer(response: requests.Response) -> Answer:
    content = response.content
    text = content[:200].decode("utf-8", "replace")
    try:
        body, is_json = msgspec.json.decode(content), True
    except (msgspec.DecodeError, UnicodeDecodeError):
        body, is_json = None, False
    return Answer(response.status_code, response.headers, body, is_json, text, content)


def _cause(error: BaseException) -> str:
    """The innermost class name; messages hold URLs, and URLs hold secrets."""
    args = error.args
    while args and isinstance(args[0], BaseException):
        error = args[0]
        args = error.args
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__


def is_loopback(host: str | None) -> bool:
    """Plain HTTP is accepted for these only."""
    return (host or "").lower() in _LOCAL
