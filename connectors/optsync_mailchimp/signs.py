"""What became of the mails of an audience: opens, clicks and bounces, campaign by campaign."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from optsync.errors import SystemUnavailable
from optsync.model.sign import Sign, SignKind, SignPage
from optsync_mailchimp.client import MailchimpClient, Reply
from optsync_mailchimp.mapping import parse_time

PAGE_SIZE = 1000
# Opens and bounces are shown a little after they happened; the filter excludes the second that it names.
OVERLAP = timedelta(hours=1)
# Mailchimp tries for three days to deliver a mail; a report says of opens and clicks when the last one was, and of
# bounces nothing.
BOUNCES_COME = timedelta(days=7)
# A mail may be opened long after it was sent; the list of campaigns is cheap, and those without news are not read.
STILL_OPENED = timedelta(days=365)
_KINDS = {"open": SignKind.OPENED, "click": SignKind.OPENED}
_BOUNCES = {"soft": SignKind.SOFT_BOUNCE, "hard": SignKind.HARD_BOUNCE}
_REPORT = ("id", "list_id", "send_time", "opens.last_open", "clicks.last_click")
_EMAIL = ("email_address", "activity")


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a look stands; the text form is the cursor. Campaigns are walked in the order of (sending, id)."""

    since: str
    """Activity after this moment is wanted."""
    began: str = ""
    """The vendor's clock when the look began; empty between two looks."""
    sent: str = ""
    campaign: str = ""
    offset: int = 0


class SignReader:
    """Reads the reports of one account.

    Source: Mailchimp Marketing API 3.0, List campaign reports and List email activity.
    """

    def __init__(self, client: MailchimpClient) -> None:
        self._client = client

    def read(self, audience: str, cursor: str | None, since: datetime) -> Iterator[SignPage]:
        """See :meth:`optsync.connect.contract.CanReportActivity.activity`."""
        place = _parse(cursor) or Place(since=since.isoformat())
        reports, began = self._reports(audience, since)
        mailed_at = max((at for report in reports if (at := parse_time(report["send_time"]))), default=None)
        if not place.began:
            place = msgspec.structs.replace(place, began=began.isoformat() if began else place.since)
        for report in reports:
            key = (str(report["send_time"]), str(report["id"]))
            if key < (place.sent, place.campaign) or not _has_news(report, place):
                continue
            offset = place.offset if key == (place.sent, place.campaign) else 0
            place = msgspec.structs.replace(place, sent=key[0], campaign=key[1], offset=offset)
            for signs, after in self._campaign(place):
                place = after
                yield SignPage(signs=signs, cursor=_text(place), is_last=False, mailed_at=mailed_at)
        yield SignPage(signs=(), cursor=_text(_next(place)), is_last=True, mailed_at=mailed_at)

    def _reports(self, audience: str, since: datetime) -> tuple[list[Mapping[str, Any]], datetime | None]:
        """Of every campaign of the audience of which something may be heard after ``since``, and the vendor's time."""
        found: list[Mapping[str, Any]] = []
        seen, began = 0, None
        while True:
            query: dict[str, str | int] = {
                "fields": ",".join([*(f"reports.{key}" for key in _REPORT), "total_items"]),
                "since_send_time": (since - STILL_OPENED).isoformat(),
                "count": PAGE_SIZE,
                "offset": seen,
            }
            reply = self._client.get("/reports", query)
            rows, total = _listed(reply, "reports")
            if rows is None:
                raise self._unreadable("the campaign reports", reply)
            began = began or reply.at
            found += [row for row in rows if row.get("list_id") == audience and parse_time(row.get("send_time"))]
            seen += len(rows)
            if not rows or seen >= total:
                # New ones come in front while we page: the same one may be shown twice.
                unique = {str(row["id"]): row for row in found if row.get("id")}
                return sorted(unique.values(), key=lambda r: (str(r["send_time"]), str(r["id"]))), began

    def _campaign(self, place: Place) -> Iterator[tuple[tuple[Sign, ...], Place]]:
        """Pages of what happened to one campaign, each with the place after it."""
        while True:
            query: dict[str, str | int] = {
                "fields": ",".join([*(f"emails.{key}" for key in _EMAIL), "total_items"]),
                "since": place.since,
                "count": PAGE_SIZE,
                "offset": place.offset,
            }
            reply = self._client.get(f"/reports/{place.campaign}/email-activity", query)
            if reply.status == 404:
                return  # deleted meanwhile, and its report with it
            rows, total = _listed(reply, "emails")
            if rows is None:
                raise self._unreadable("a campaign's activity", reply)
            place = msgspec.structs.replace(place, offset=place.offset + len(rows))
            yield tuple(sign for row in rows for sign in _signs(row, place)), place
            if not rows or place.offset >= total:
                return

    def _unreadable(self, what: str, reply: Reply) -> SystemUnavailable:
        return SystemUnavailable(
            self._client.system, f"{what} could not be read (HTTP {reply.status}); nothing is concluded"
        )


def _listed(reply: Reply, key: str) -> tuple[Sequence[Mapping[str, Any]] | None, int]:
    rows, total = reply.body.get(key), reply.body.get("total_items")
    if not reply.is_ok or not isinstance(rows, list) or not isinstance(total, int):
        return None, 0
    return [row for row in rows if isinstance(row, dict)], total


def _has_news(report: Mapping[str, Any], place: Place) -> bool:
    """Whether anything can have happened to the campaign since; in doubt it has."""
    since, sent = parse_time(place.since), parse_time(report["send_time"])
    if since is None or sent is None or sent > since - BOUNCES_COME:
        return True
    for part, name in (("opens", "last_open"), ("clicks", "last_click")):
        shown = report.get(part)
        last = shown.get(name) if isinstance(shown, dict) else None
        if last and ((at := parse_time(last)) is None or at > since):
            return True
    return False


def _signs(row: Mapping[str, Any], place: Place) -> Iterator[Sign]:
    address = row.get("email_address")
    items = row.get("activity")
    if not isinstance(address, str) or not address or not isinstance(items, list):
        return
    since = parse_time(place.since)
    for item in items:
        if not isinstance(item, dict):
            continue
        action, at = item.get("action"), parse_time(item.get("timestamp"))
        kind = _BOUNCES.get(str(item.get("type"))) if action == "bounce" else _KINDS.get(str(action))
        if kind is not None and at is not None and (since is None or at > since):
            yield Sign(address=address, kind=kind, at=at, mailing=place.campaign)


def _next(place: Place) -> Place:
    """The next look goes back to the vendor's time when this one began, and a little further."""
    began = parse_time(place.began)
    return Place(since=(began - OVERLAP).isoformat() if began else place.since)


def _parse(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(cursor, type=Place)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _text(place: Place) -> str:
    return msgspec.json.encode(place).decode()
