"""Looks into members' activity for an opt-out that their status does not show any more.

Source: Mailchimp Marketing API 3.0, List contact activity feed; Batch operations.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from optsync.connect.contract import Departure, Departures
from optsync.connect.http import Effect
from optsync.errors import SystemUnavailable
from optsync_mailchimp.activity import BY_PERSON, UNSURE, sign_up
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.mapping import BY_ADMIN, origin_of, parse_time

FEW = 25
"""So many are asked one by one; more than these cost less together, and some minutes."""
_UNSUB = "unsub"
_QUERY: Mapping[str, str | int] = {"activity_filters": ",".join((_UNSUB, *BY_PERSON, UNSURE)), "count": 1000}
_BROKEN = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError)

Asked: TypeAlias = Mapping[str, datetime | None]


class Departing:
    """Questions about the members of one account."""

    def __init__(self, client: MailchimpClient) -> None:
        self._client = client

    def departures(self, audience: str, asked: Asked, ticket: str | None) -> Departures:
        """See :meth:`optsync.connect.contract.CanTellDepartures.departures`. A ticket is the id of a batch."""
        if ticket:
            batch = self._client.get(f"/batches/{ticket}", {"fields": "id,status,response_body_url"})
            if batch.status != 404:
                return self._collect(audience, asked, batch.body, ticket)
        if len(asked) > FEW:
            return Departures(told={}, ticket=self._submit(audience, asked))
        return self._few(audience, asked)

    def _few(self, audience: str, asked: Asked) -> Departures:
        """One by one. One of them that cannot be read does not keep the others from being heard; two are enough to
        know that it is not about them."""
        told: dict[str, Departure | None] = {}
        failures: list[SystemUnavailable] = []
        for record, since in asked.items():
            try:
                told[record] = self._one(audience, record, since)
            except SystemUnavailable as failure:
                failures.append(failure)
                if len(failures) > 1:
                    break
        if failures and not told:
            raise failures[0]
        return Departures(told=told)

    def _one(self, audience: str, record: str, since: datetime | None) -> Departure | None:
        path = f"/lists/{audience}/members/{record}"
        reply = self._client.get(f"{path}/activity-feed", _QUERY)
        if reply.status == 404 and self._client.get(path, {"fields": "id"}).status == 404:
            return None  # deleted for good: nothing is left that could be told
        items = reply.body.get("activity")
        if not reply.is_ok or not isinstance(items, list) or not _is_told(items, since):
            raise SystemUnavailable(
                self._client.system, f"a member's activity could not be read (HTTP {reply.status}); it is asked again"
            )
        return _newest(items, since)

    # many

    def _submit(self, audience: str, asked: Asked) -> str:
        operations = [
            {
                "method": "GET",
                "path": f"/lists/{audience}/members/{record}/activity-feed",
                "params": dict(_QUERY),
                "operation_id": record,
            }
            for record in asked
        ]
        reply = self._client.send("POST", "/batches", {"operations": operations}, effect=Effect.READ)
        ticket = reply.body.get("id")
        if not reply.is_ok or not isinstance(ticket, str) or not ticket:
            raise SystemUnavailable(self._client.system, f"members' activity was not taken on (HTTP {reply.status})")
        return ticket

    def _collect(self, audience: str, asked: Asked, batch: Mapping[str, Any], ticket: str) -> Departures:
        """What a finished batch has found. A member whose answer is no list of activity is left out; where all are, one
        is asked: it tells why."""
        if batch.get("status") != "finished":
            return Departures(told={}, ticket=ticket)
        archive = self._client.download(str(batch.get("response_body_url") or ""))
        told: dict[str, Departure | None] = {}
        for item in self._answers(archive):
            record, items = str(item.get("operation_id")), _items(item, audience)
            if record in asked and items is not None and _is_told(items, asked[record]):
                told[record] = _newest(items, asked[record])
        if not told:
            record, since = next(iter(asked.items()))
            told = {record: self._one(audience, record, since)}
        return Departures(told=told)

    def _answers(self, archive: bytes) -> list[Mapping[str, Any]]:
        """Of all operations.

        Raises:
            SystemUnavailable: it cannot be unpacked; it is fetched again the next time.
        """
        try:
            return list(_unpacked(archive))
        except _BROKEN:
            raise SystemUnavailable(self._client.system, "the results of a batch cannot be unpacked") from None


def _unpacked(archive: bytes) -> Iterator[Mapping[str, Any]]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:*") as files:
        for entry in files:
            source = files.extractfile(entry) if entry.isfile() else None
            content = source.read() if source else b""
            listed = msgspec.json.decode(content) if content else []
            yield from (item for item in listed if isinstance(item, dict)) if isinstance(listed, list) else ()


def _items(answer: Mapping[str, Any], audience: str) -> list[Any] | None:
    """The activity in the answer to one operation; None where it is none of this audience."""
    if answer.get("status_code") != 200:
        return None
    try:
        body = msgspec.json.decode(str(answer.get("response") or "null"))
    except msgspec.DecodeError:
        return None
    items = body.get("activity") if isinstance(body, dict) and body.get("list_id", audience) == audience else None
    return items if isinstance(items, list) else None


def _newest(items: list[Any], since: datetime | None) -> Departure | None:
    """The newest opt-out that the person has not ended by signing up later: grains are seconds, and in one second
    the opt-out counts."""
    shown = [item for item in items if isinstance(item, dict)]
    found = [left for item in shown if (left := _departure(item)) and (since is None or left.at >= since)]
    newest = max(found, key=lambda left: left.at, default=None)
    if newest is None or any(sign_up(item, newest.at) for item in shown):
        return None
    return newest


def _is_told(items: list[Any], since: datetime | None) -> bool:
    """Whether it tells when each opt-out was, as far as that matters: one without a time may be the newest."""
    shown = [item for item in items if isinstance(item, dict) and item.get("activity_type") == _UNSUB]
    return all(map(_departure, shown)) or _newest(items, since) is not None


def _departure(item: Mapping[str, Any]) -> Departure | None:
    at = parse_time(item.get("created_at_timestamp"))
    if at is None or item.get("activity_type") != _UNSUB:
        return None
    reason = item.get("unsubscribe_reason")
    told = reason if isinstance(reason, str) and reason else None
    is_admin = item.get("is_admin_unsubscribed") is True
    detail = {key: value for key, value in item.items() if isinstance(value, str) and value}
    return Departure(
        at=at, origin=origin_of("unsubscribed", BY_ADMIN if is_admin else told), reason=told, detail=detail
    )
