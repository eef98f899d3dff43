"""Mailchimp Marketing API 3.0 over HTTP: sends, judges answers, returns parsed bodies. Knows no rule of ours."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from requests.auth import HTTPBasicAuth

from optsync.connect.contract import Context
from optsync.connect.http import PLAIN, Answer, Effect, HttpSession, TryAgain, is_loopback
from optsync.connect.ratelimit import Pace
from optsync.errors import CredentialsRefused, SystemUnavailable
from optsync_mailchimp.settings import MailchimpSettings

# The server cuts a request off at 120 s; one given up earlier would go on and hold one of the ten connections.
_READ_TIMEOUT = 130.0
_EDGE_BLOCK_SECONDS = 10.0
_PER_RECORD = frozenset({400, 404, 405, 409, 414, 422})
_STOPPED = "Writes and reads of this account wait until that is settled."

_KEY_REFUSED = "the API key was refused; make a new key (Account > Extras > API keys) and set it as api_key."
_ADVICE: Mapping[str, str] = {
    "apikeymissing": _KEY_REFUSED,
    "apikeyinvalid": "the API key was refused; it may be revoked, its user may have left the account, or it belongs "
    "to another data centre. Make a new key (Account > Extras > API keys) and set it as api_key.",
    "userdisabled": "the account was deactivated; the owner must settle this with Mailchimp.",
    "wrongdatacenter": "the key belongs to another data centre; remove base_url, or set the one at the end of the key.",
    "forbidden": "the user who made the key lacks the right; make a key as an owner, admin or manager.",
    "compliancerelated": "Mailchimp has disabled this function for the account; the owner must ask its support.",
}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list in an answer; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer to use: ``body`` is ``{}`` where there was none; ``at`` is the vendor's clock, if it said.
    ``is_of_repetition``: see :class:`optsync.connect.http.Answer`."""

    status: int
    body: Mapping[str, Any]
    at: datetime | None
    is_of_repetition: bool = False

    @property
    def is_ok(self) -> bool:
        return self.status < 300


class MailchimpClient:
    """One account. Constructing it does no I/O. Errors as :meth:`optsync.connect.http.HttpSession.send`."""

    def __init__(self, settings: MailchimpSettings, context: Context) -> None:
        key = settings.api_key.get_secret_value()
        self.system = context.system
        self._pace = Pace(context.clock, per_second=10.0, burst=10)
        self._session = HttpSession(
            context,
            base_url=settings.endpoint,
            judge=self._judge,
            pace=self._pace,
            auth=HTTPBasicAuth("optsync", key),
            secrets=(key, base64.b64encode(f"optsync:{key}".encode()).decode()),
            read_timeout=_READ_TIMEOUT,
        )
        # Results of batches lie with a storage service: signed links, which our key must not travel to.
        self._storage = HttpSession(
            context,
            base_url=settings.endpoint,
            judge=_judge_storage,
            pace=self._pace,
            read_timeout=_READ_TIMEOUT,
        )
        self._clock = context.clock

    @property
    def calls(self) -> int:
        """Requests sent so far, retries included."""
        return self._session.calls + self._storage.calls

    @property
    def clock_offset(self) -> float | None:
        """The vendor's clock minus ours, in seconds."""
        return self._session.clock_offset

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        decoder: msgspec.json.Decoder[Any] = PLAIN,
    ) -> Reply:
        """A read; a 4xx about the resource is returned, not raised."""
        return self._reply(self._session.send("GET", path, effect=Effect.READ, params=params, decoder=decoder))

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        effect: Effect,
        params: Mapping[str, str | int] | None = None,
    ) -> Reply:
        """A write; a 4xx about the record is returned, not raised."""
        return self._reply(self._session.send(method, path, effect=effect, params=params, json=body))

    def download(self, url: str) -> bytes:
        """What lies behind a link to results.

        Raises:
            SystemUnavailable: it is no such link, or none any more.
        """
        if urlsplit(url).scheme != "https" and not is_loopback(urlsplit(url).hostname):
            raise SystemUnavailable(self.system, "the link to the results is none")
        answer = self._storage.send("GET", url, effect=Effect.READ, use_auth=False)
        if answer.status != 200:
            raise SystemUnavailable(self.system, f"the results could not be fetched (HTTP {answer.status})")
        return answer.content

    def close(self) -> None:
        """Gives the connections back."""
        self._session.close()
        self._storage.close()

    def _reply(self, answer: Answer) -> Reply:
        body = answer.body if isinstance(answer.body, dict) else {}
        repeated = answer.is_of_repetition
        return Reply(status=_status(answer), body=body, at=answer.at, is_of_repetition=repeated)

    def _judge(self, answer: Answer) -> None:
        status = _status(answer)
        if status in (401, 402, 403) and (answer.is_json or status != 403):
            raise CredentialsRefused(self.system, _advice(status, answer))
        if status in (403, 429):
            self._back_off(answer)
        if status >= 500:
            self._judge_failure(status, answer)
        if 300 <= status < 400 or status == 426:
            raise SystemUnavailable(
                self.system, f"HTTP {status} instead of an answer; check base_url (https, no path but /3.0). {_STOPPED}"
            )
        # An object without anything in it is a gateway's: Mailchimp answers with what there is, or with nothing at all.
        is_usable = (isinstance(answer.body, dict) and answer.body) or (status == 204 and not answer.content)
        if not is_usable or (status >= 400 and status not in _PER_RECORD):
            # A page of a proxy says nothing about the record, least of all that it is gone.
            raise TryAgain(f"HTTP {status} without the JSON object of the API", maybe_applied=status < 400)

    def _back_off(self, answer: Answer) -> None:
        after = answer.retry_after(self._clock.now())
        self._pace.penalise(after if after is not None else (1.0 if answer.is_json else _EDGE_BLOCK_SECONDS))
        raise TryAgain(f"too many requests (HTTP {answer.status})", after=after, is_limit=True)

    def _judge_failure(self, status: int, answer: Answer) -> None:
        if _title(answer) == "compliancerelated":
            raise CredentialsRefused(self.system, _advice(status, answer))
        raise TryAgain(f"HTTP {status}", after=answer.retry_after(self._clock.now()), maybe_applied=True)


def _judge_storage(answer: Answer) -> None:
    if answer.status == 429 or answer.status >= 500:
        raise TryAgain(f"HTTP {answer.status}")


def _status(answer: Answer) -> int:
    """The HTTP status, or that of a problem document inside a 200. A member's ``status`` is a word."""
    body = answer.body
    if answer.status < 300 and isinstance(body, dict) and "title" in body:
        inner = body.get("status")
        if isinstance(inner, int) and not isinstance(inner, bool) and 400 <= inner < 600:
            return inner
    return answer.status


def _title(answer: Answer) -> str:
    title = answer.body.get("title") if isinstance(answer.body, dict) else None
    return squeezed(title) if isinstance(title, str) else ""


def squeezed(title: str) -> str:
    """``Member In Compliance State`` and the older ``MemberInComplianceState`` as one word."""
    return "".join(title.split()).casefold()


def _advice(status: int, answer: Answer) -> str:
    title = _title(answer)
    if status == 402:
        text = "the account is unpaid; its owner must settle the bill."
    elif title in _ADVICE:
        text = _ADVICE[title]
    elif status == 401:
        text = _KEY_REFUSED
    else:
        text = "API access is disabled for the account or not part of its plan; its owner must ask Mailchimp's support."
    return f"HTTP {status}: {text} {_STOPPED}"
