"""Mailman's REST interface over HTTP: parsed data in and out, no rule about people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from requests.auth import HTTPBasicAuth

from optsync.connect.contract import Context
from optsync.connect.http import Answer, Effect, HttpSession, TryAgain
from optsync.connect.ratelimit import Pace
from optsync.errors import CredentialsRefused, OutcomeUnknown, SystemUnavailable
from optsync_mailman3.settings import MailmanSettings

PAGE = 1000
_DONE = (201, 202, 204)
"""How Mailman answers a write that was done: never with a plain 200, but for the removal of many."""
SEARCH_PAGE = 5000
"""Of a search by delivery status: it takes as long for one row as for all."""
_MEMBER_FIELDS = (("fields", "email"), ("fields", "display_name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """One page of a collection; ``total`` counts the whole collection at that moment."""

    entries: tuple[Mapping[str, Any], ...]
    total: int


class MailmanClient:
    """One installation. Raises what :meth:`optsync.connect.http.HttpSession.send` raises."""

    def __init__(self, settings: MailmanSettings, context: Context) -> None:
        password = settings.password.get_secret_value()
        self._system = context.system
        self._clock = context.clock
        self.session = HttpSession(
            context,
            base_url=settings.base_url,
            judge=self._judge,
            # Mailman has no limit of its own; this only keeps a small server usable for its list owners.
            pace=Pace(context.clock, per_second=50, burst=20),
            auth=HTTPBasicAuth(settings.user.encode(), password.encode()),
            secrets=(password,),
            # A search by delivery status takes about 0.3 ms for each member of the list.
            read_timeout=300.0,
        )

    def versions(self) -> Mapping[str, Any]:
        """``mailman_version``, ``api_version``."""
        return self._with("mailman_version", self._get("system/versions"))

    def site_owner(self) -> str:
        """Address of the installation's owner."""
        # A part of the account's identity: left out, the account would seem to be another one.
        return str(self._with("site_owner", self._get("system/configuration/mailman"))["site_owner"])

    def lists(self) -> Iterator[Mapping[str, Any]]:
        """All lists: ``list_id``, ``fqdn_listname``, ``display_name``, ``member_count``."""
        return self._named("list_id", self._all("lists", ()))

    def list_id(self, name: str) -> str | None:
        """Of the list with that list_id or posting address; None when there is none."""
        answer = self._read(f"lists/{quote(name, safe='')}")
        return None if answer.status == 404 else str(self._with("list_id", self._object(answer))["list_id"])

    def config(self, list_id: str) -> Mapping[str, Any]:
        """A list's settings."""
        return self._get(f"lists/{quote(list_id, safe='')}/config")

    def member_total(self, list_id: str) -> int:
        """How many memberships a list has; unlike a search, it fails for a list that is not there."""
        return self._rows(f"lists/{quote(list_id, safe='')}/roster/member", (), page=1, count=1).total

    def members(self, list_id: str, delivery_status: str, page: int) -> Rows:
        """Memberships whose effective delivery status is that one, sorted by address; pages count from 1."""
        terms = (("list_id", list_id), ("role", "member"), ("delivery_status", delivery_status), *_MEMBER_FIELDS)
        return self._rows("members/find", terms, page=page, count=SEARCH_PAGE)

    def count(self, list_id: str, delivery_status: str) -> int:
        """How many memberships have that effective delivery status."""
        terms = (("list_id", list_id), ("role", "member"), ("delivery_status", delivery_status), ("fields", "email"))
        return self._rows("members/find", terms, page=1, count=1).total

    def roster(self, list_id: str, page: int) -> Rows:
        """All memberships whatever their delivery status, sorted by address; pages count from 1."""
        return self._rows(f"lists/{quote(list_id, safe='')}/roster/member", _MEMBER_FIELDS, page=page, count=PAGE)

    def memberships(self, list_id: str, email: str) -> list[Mapping[str, Any]]:
        """One address's memberships of a list: none, one, or two (as an address and as a user).

        A search and not ``lists/…/member/EMAIL``, which answers 404 for a member whose address holds a slash."""
        terms = (("list_id", list_id), ("role", "member"), ("subscriber", email))
        # An asterisk in an address is a wildcard of the search.
        rows = self._named("member_id", self._all("members/find", terms))
        return [row for row in rows if str(row.get("email", "")).lower() == email.lower()]

    def delivery_status(self, member_id: str) -> str | None:
        """Effective: of the membership, else of the address, the user, the site. None when the membership is gone."""
        answer = self._read(f"members/{member_id}/all/preferences")
        if answer.status == 404:
            return None
        # Left out, it would pass for a word that nobody knows, and for a look at the person before an opt-in.
        return str(self._with("delivery_status", self._object(answer))["delivery_status"])

    def requests(self, list_id: str, what: str) -> Iterator[Mapping[str, Any]]:
        """What waits for the person or a moderator: each ``subscription``, or each ``unsubscription``."""
        path = f"lists/{quote(list_id, safe='')}/requests"
        rows = self._named("email", self._all(path, (("request_type", what),)))
        return (row for row in rows if row.get("type", what) == what)

    def remove(self, list_id: str, emails: Sequence[str]) -> Mapping[str, bool]:
        """Ends all memberships of these addresses; says of each whether there was one."""
        path = f"lists/{quote(list_id, safe='')}/roster/member"
        answer = self.session.send("DELETE", path, effect=Effect.REPEATABLE, json={"emails": list(emails)})
        body = self._object(answer)
        return {email: body[email] is True for email in emails if email in body}

    def subscribe(self, list_id: str, email: str, display_name: str | None) -> Answer:
        """Makes a membership at once, without any mail: 201, 400 or 409."""
        done = {"pre_verified": True, "pre_confirmed": True, "pre_approved": True, "send_welcome_message": False}
        return self._subscription(list_id, email, display_name, done)

    def invite(self, list_id: str, email: str, display_name: str | None) -> Answer:
        """Mails an invitation that the person has to confirm, whatever the list's policy is: 202, 400 or 409."""
        return self._subscription(list_id, email, display_name, {"invitation": True})

    def enable(self, member_id: str) -> Answer:
        """Ends a membership's pause: 204 or 404."""
        path = f"members/{member_id}/preferences"
        return self._write("PATCH", path, {"delivery_status": "enabled"}, effect=Effect.ONCE)

    def discard(self, list_id: str, token: str) -> Answer:
        """Drops a waiting subscription without telling anybody: 204 or 404."""
        path = f"lists/{quote(list_id, safe='')}/requests/{token}"
        return self._write("POST", path, {"action": "discard"}, effect=Effect.REPEATABLE)

    def set_display_name(self, email: str, display_name: str) -> Answer:
        """Of an address, on all its lists: 204, or 404 when Mailman does not know the address."""
        path = f"addresses/{quote(email, safe='@')}"
        return self._write("PATCH", path, {"display_name": display_name}, effect=Effect.REPEATABLE)

    def _subscription(self, list_id: str, email: str, display_name: str | None, how: Mapping[str, bool]) -> Answer:
        body: dict[str, Any] = {"list_id": list_id, "subscriber": email, **how}
        if display_name:
            body["display_name"] = display_name
        # Sent once only: it is permissive, and a second one would meet the first as "already subscribed".
        return self._write("POST", "members", body, effect=Effect.ONCE)

    def _write(self, method: str, path: str, body: Mapping[str, Any], *, effect: Effect) -> Answer:
        answer = self.session.send(method, path, effect=effect, json=body)
        if answer.status < 300 and answer.status not in _DONE:
            # Not Mailman's own: a gateway's, which says nothing about what was asked for.
            raise OutcomeUnknown(f"{self._system}: HTTP {answer.status} instead of Mailman's answer")
        return answer

    def _all(self, path: str, terms: Sequence[tuple[str, str]]) -> Iterator[Mapping[str, Any]]:
        page, got = 1, 0
        while True:
            rows = self._rows(path, terms, page=page, count=PAGE)
            yield from rows.entries
            got += len(rows.entries)
            # Whatever gives all of its rows at once, however many are asked for, must not be asked for ever.
            if got >= rows.total:
                return
            if not rows.entries:
                raise SystemUnavailable(self._system, f"{got} rows of {rows.total}; nothing was inferred")
            page += 1

    def _named(self, key: str, rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for row in rows:
            if not row.get(key):
                raise SystemUnavailable(self._system, f"an answer with a row that has no {key}; nothing was inferred")
            yield row

    def _rows(self, path: str, terms: Sequence[tuple[str, str]], *, page: int, count: int) -> Rows:
        # Count without page, or page without count, is answered with a 500.
        query = urlencode([*terms, ("count", str(count)), ("page", str(page))])
        body = self._object(self._read(f"{path}?{query}"))
        # An empty page has no key `entries` at all.
        entries, total = body.get("entries", []), body.get("total_size")
        if not isinstance(entries, list) or not isinstance(total, int) or not all(isinstance(e, dict) for e in entries):
            raise SystemUnavailable(self._system, "an answer without rows and their number; nothing was inferred")
        return Rows(entries=tuple(entries), total=total)

    def _with(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if key not in body:
            raise SystemUnavailable(self._system, f"an answer without {key}; nothing was inferred. Check base_url")
        return body

    def _get(self, path: str) -> Mapping[str, Any]:
        return self._object(self._read(path))

    def _read(self, path: str) -> Answer:
        return self.session.send("GET", path, effect=Effect.READ)

    def _object(self, answer: Answer) -> Mapping[str, Any]:
        if answer.status == 404:
            raise SystemUnavailable(self._system, "Mailman does not know this list (any more); nothing was inferred")
        if answer.status >= 400 or not isinstance(answer.body, dict):
            raise SystemUnavailable(self._system, f"unexpected answer {answer.status}: {describe(answer)}")
        return answer.body

    def _judge(self, answer: Answer) -> None:
        if answer.status in (401, 403):
            raise CredentialsRefused(
                self._system, f"Mailman answered {answer.status}; check user and password against its [webservice]"
            )
        if 300 <= answer.status < 400:
            raise SystemUnavailable(self._system, f"redirected ({answer.status}); correct base_url")
        if answer.status == 429 or answer.status >= 500:
            raise TryAgain(
                f"HTTP {answer.status}",
                after=answer.retry_after(self._clock.now()),
                maybe_applied=answer.status != 429,
                is_limit=answer.status == 429,
            )
        if answer.status < 300 and answer.content and not answer.is_json:
            # Cut off on its way, or a proxy's own page: what was asked for may have been done.
            raise TryAgain(f"HTTP {answer.status} without a whole answer", maybe_applied=True)
        if answer.text.lstrip().startswith("<"):
            # A proxy's page says nothing about a member, least of all that they have left.
            raise TryAgain(f"HTTP {answer.status} with a page instead of an answer")


def describe(answer: Answer) -> str:
    """Mailman's own words for an error."""
    if isinstance(answer.body, dict):
        return str(answer.body.get("description") or answer.body.get("title") or "")
    return answer.text
