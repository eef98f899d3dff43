"""Finds archived members among addresses that are to be created: Mailchimp revives them instead of refusing."""

from collections.abc import Collection
from datetime import datetime

from optsync.errors import SystemUnavailable
from optsync_mailchimp.client import MailchimpClient, objects
from optsync_mailchimp.mapping import parse_time

_PAGE = 1000


def archived_among(
    client: MailchimpClient, audience: str, addresses: Collection[str], *, known_until: datetime | None
) -> set[str]:
    """Which of the lower-cased ``addresses`` are archived members.

    ``known_until``: the caller has read what was archived before, so the search goes back to there and no
    further; None searches all. The newest come first, so one call is nearly always enough.
    """
    found: set[str] = set()
    offset = 0
    while True:
        query: dict[str, str | int] = {
            "fields": "members.email_address,members.last_changed,total_items",
            "status": "archived",
            "sort_field": "last_changed",
            "sort_dir": "DESC",
            "count": _PAGE,
            "offset": offset,
        }
        reply = client.get(f"/lists/{audience}/members", query)
        rows, total = reply.body.get("members"), reply.body.get("total_items")
        if not reply.is_ok or rows != objects(rows) or not isinstance(total, int):
            raise SystemUnavailable(client.system, f"archived members could not be listed (HTTP {reply.status})")
        found.update({str(row.get("email_address") or "").strip().lower() for row in rows} & set(addresses))
        offset += len(rows)
        oldest = parse_time(rows[-1].get("last_changed")) if rows else None
        is_known = known_until is not None and oldest is not None and oldest < known_until
        if not rows or offset >= total or is_known:
            return found
