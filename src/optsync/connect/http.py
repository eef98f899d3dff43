"""The one way to a vendor over HTTP: timeouts always, retries with jitter and Retry-After, pacing, redaction,
typed failures, counted calls."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests
import structlog
import tenacity
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from optsync.connect.contract import Context
from optsync.connect.ratelimit import Pace
from optsync.connect.redact import Redactor
from optsync.connect.text import HALF
from optsync.errors import OutcomeUnknown, RateLimited, SystemFailure, SystemUnavailable

_log = structlog.get_logger(__name__)
_LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")
_LONGEST_WAIT = 900.0
PLAIN = msgspec.json.Decoder()
"""Takes any JSON."""
_PIECE = 256 * 1024
"""How much of an answer is taken at once, in bytes. ``requests`` by itself takes pieces of ten thousand."""
_NOTHING_SENT = ("NewConnectionError", "NameResolutionError", "SSLCertVerificationError")
"""Failures after which the request is certainly still here."""


class Effect(StrEnum):
    """What sending a request twice does."""

    READ = "read"
    REPEATABLE = "repeatable"
    """A write that sets a state: twice is the same as once."""
    ONCE = "once"
    """A write that must not be sent again unless it certainly was not applied."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: ``body`` is the parsed JSON, or None when it was empty or not JSON (``text`` has its start).
    ``is_of_repetition``: an earlier attempt of the same write may have been carried out."""

    status: int
    headers: Mapping[str, str]
    body: Any
    is_json: bool
    text: str
    content: bytes
    is_of_repetition: bool = False

    def retry_after(self, now: datetime) -> float | None:
        """Seconds of a ``Retry-After`` in either form, never more than is waited for at once; None without one."""
        value = self.headers.get("Retry-After", "").strip()
        if not value:
            return None
        if value.isdecimal():
            return min(float(value), _LONGEST_WAIT)
        moment = _moment(value)
        return None if moment is None else min(max(0.0, (moment - now).total_seconds()), _LONGEST_WAIT)

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
        self._auth = auth
        self._base_url = base_url.rstrip("/")
        self._judge = judge
        self._pace = pace
        self._timeout = (5.0, read_timeout)
        self._retrying = tenacity.Retrying(
            retry=_may_retry,
            wait=self._wait,
            stop=tenacity.stop_after_attempt(attempts),
            sleep=context.clock.sleep,
            reraise=True,
        )
        self._redactor = Redactor(secrets)
        self._lock = threading.RLock()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "optsync"
        self._session.headers.pop("Accept-Language", None)
        adapter = context.transport or HTTPAdapter(max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._headers = _prepared_headers(self._session.headers)
        json = {"Content-Type": "application/json; charset=utf-8"}
        self._headers_of_json = _prepared_headers({**self._session.headers, **json})
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
        decoder: msgspec.json.Decoder[Any] = PLAIN,
    ) -> Answer:
        """Sends until the judge accepts an answer.

        ``path`` is relative to the base URL, or absolute. JSON goes out as UTF-8. Redirects are not followed.
        ``decoder`` makes the body of an answer that fits it; any other body is plain JSON.

        Raises:
            OutcomeUnknown: a write whose answer was lost, or (ONCE) that failed in a way that may have applied it.
            SystemUnavailable: could not be reached, or kept failing. RateLimited: kept being too fast.
            CredentialsRefused: as the judge says.
        """
        if self._context.is_read_only and effect is not Effect.READ:
            raise AssertionError(f"{self._context.system}: a dry run tried to write ({method})")
        attempts = _Attempts(effect)
        try:
            answer = self._retrying(self._send_once, attempts, method, path, params, json, use_auth, decoder)
        except TryAgain as failure:
            message = self._redactor.all(str(failure))
            if attempts.maybe_applied:
                raise OutcomeUnknown(f"{self._context.system}: {message}") from None
            kind = RateLimited if failure.is_limit else SystemUnavailable
            raise kind(self._context.system, f"{message}; gave up after {attempts.tried} attempts") from None
        except SystemFailure as failure:
            if attempts.maybe_applied:  # a refusal of the repetition says nothing about the first call
                raise OutcomeUnknown(str(failure)) from None
            raise
        return replace(answer, is_of_repetition=True) if attempts.maybe_applied else answer

    def close(self) -> None:
        self._session.close()

    def _send_once(
        self,
        attempts: "_Attempts",
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        json: Any,
        use_auth: bool,
        decoder: msgspec.json.Decoder[Any],
    ) -> Answer:
        url = path if path.startswith(("http://", "https://")) else f"{self._base_url}/{path.lstrip('/')}"
        body = None if json is None else msgspec.json.encode(json)
        with self._lock:
            self._pace.wait()
            if attempts.effect is not Effect.READ:
                self._context.before_write()
            self.calls += 1
            response, content = self._exchange(method, url, params=params, data=body, use_auth=use_auth)
        answer = _answer(response, content, decoder)
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
    ) -> tuple[requests.Response, bytes]:
        try:
            request = self._prepared(method, url, params=params, data=data, use_auth=use_auth)
            response = self._session.send(
                request, timeout=self._timeout, allow_redirects=False, proxies={}, stream=True
            )
            return response, b"".join(response.iter_content(_PIECE))
        except requests.ConnectTimeout as error:
            raise TryAgain(f"no connection ({type(error).__name__})") from None
        except requests.ConnectionError as error:
            # Encryption may break while the answer comes in, too: only a certificate is checked before all else.
            is_refused = any(name in repr(error) for name in _NOTHING_SENT)
            raise TryAgain(f"connection failed ({_cause(error)})", maybe_applied=not is_refused) from None
        except requests.RequestException as error:
            raise TryAgain(f"no usable answer ({type(error).__name__})", maybe_applied=True) from None

    def _prepared(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None,
        data: bytes | None,
        use_auth: bool,
    ) -> requests.PreparedRequest:
        """What ``Session.request`` would make of it, which spends most of its time on settings that we never have."""
        request = requests.PreparedRequest()
        request.prepare_method(method)
        # Some vendors have addresses in their paths, and an address is kept nowhere.
        request.url = _normalised(url) if "@" in url else _normalised_before(url)
        if params:
            request.url += ("&" if "?" in request.url else "?") + "&".join(map(_encoded, params, params.values()))
        # Checked once; the same go out with every request.
        request.headers = (self._headers if data is None else self._headers_of_json).copy()
        if self._session.cookies:
            request.prepare_cookies(self._session.cookies)
        else:
            vars(request).update(_cookies=self._session.cookies)  # without working out which of none to send
        request.body = data
        if data:
            request.headers["Content-Length"] = str(len(data))
        else:
            request.prepare_content_length(data)
        auth = self._auth if use_auth else _NoAuth()
        if auth is not None:
            request = auth(request)
        elif "@" in url:
            request.prepare_auth(None)  # a name and a password may be part of the address
        return request

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        after = error.after if isinstance(error, TryAgain) else None
        backoff: float = min(60.0, 2.0 ** (state.attempt_number - 1))
        jitter = self._context.rng.uniform(0.5, 1.0)
        delay = max(after, 0.0) + jitter if after is not None else backoff * jitter
        _log.debug("retry", system=self._context.system, attempt=state.attempt_number, wait_s=round(delay, 2))
        return min(delay, _LONGEST_WAIT)

    def _measure_offset(self, answer: Answer) -> None:
        theirs = answer.at
        if theirs is not None:
            self.clock_offset = (theirs - self._context.clock.now()).total_seconds()


class _Attempts:
    """Remembers over all attempts of one request whether it may have been applied."""

    def __init__(self, effect: Effect) -> None:
        self.effect = effect
        self.maybe_applied = False
        self.tried = 0

    def may_retry(self, error: BaseException) -> bool:
        self.tried += 1
        if not isinstance(error, TryAgain):
            return False
        if error.maybe_applied and self.effect is not Effect.READ:
            self.maybe_applied = True
        return not (self.maybe_applied and self.effect is Effect.ONCE)


def _may_retry(state: tenacity.RetryCallState) -> bool:
    attempts: _Attempts = state.args[0]
    error = state.outcome.exception() if state.outcome else None
    return error is not None and attempts.may_retry(error)


class _NoAuth(AuthBase):
    """For signed storage links: the account's credentials must not travel there."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Authorization", None)
        return request


def _prepared_headers(headers: Mapping[str, str | bytes]) -> CaseInsensitiveDict[str]:
    request = requests.PreparedRequest()
    request.prepare_headers(headers)
    return request.headers


def _normalised(url: str) -> str:
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    return str(request.url)


_normalised_before = lru_cache(maxsize=64)(_normalised)


def _encoded(name: str, value: str | int) -> str:
    """A parameter of a query. Most come again with every page, but for addresses, which are kept nowhere."""
    text = str(value)
    return _encoded_anew(name, text) if "@" in text else _encoded_before(name, text)


def _encoded_anew(name: str, value: str) -> str:
    return urlencode({name: value})


_encoded_before = lru_cache(maxsize=64)(_encoded_anew)


@lru_cache(maxsize=8)
def _moment(text: str) -> datetime | None:
    """Of a ``Date`` or ``Retry-After`` header: asked for again and again within a second."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parsed(content: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[Any] = PLAIN) -> tuple[Any, bool]:
    """What ``decoder`` makes of JSON that fits it, plain JSON where it does not, None where it is no JSON; and whether
    it is: what nests a thousand deep is none. Single broken characters, such as half of an emoji where a text was cut,
    are replaced: one text of one record must not hide all the others."""
    for one in (decoder, PLAIN):
        try:
            return one.decode(content), True
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    try:
        text = json.dumps(json.loads(bytes(content).decode("utf-8", "replace")), ensure_ascii=False, allow_nan=False)
        return msgspec.json.decode(HALF.sub("\N{REPLACEMENT CHARACTER}", text)), True
    except (ValueError, RecursionError):
        return None, False


def _answer(response: requests.Response, content: bytes, decoder: msgspec.json.Decoder[Any]) -> Answer:
    text = content[:200].decode("utf-8", "replace")
    body, is_json = parsed(content, decoder)
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
