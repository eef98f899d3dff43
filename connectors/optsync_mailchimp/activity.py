"""Looks into a member's activity for a sign-up that the person made."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optsync.connect.contract import SignUp
from optsync.errors import SystemUnavailable
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.mapping import parse_time

_ON_A_PAGE = ("landing_page_signup", "website_signup", "squatter_signup")
# Sign-ups through forms and pages. A shop's is left out: it writes consent as a side effect of an order.
BY_PERSON = ("signup", *_ON_A_PAGE)
UNSURE = "generic_signup"
_NOT_BY_PERSON = ("api", "import", "admin")
_AS_WORDS = re.compile(rf"(?<![^\W\d_])(?:{'|'.join(_NOT_BY_PERSON)})(?![^\W\d_])")
"""Where the kind of sign-up is a person's, what is told besides may be a name: "Important news", "The capital"."""


def confirm_opt_in(client: MailchimpClient, audience: str, record: str, since: datetime) -> SignUp | None:
    """The newest sign-up later than ``since``; None without one or when the member is gone.

    Source: Mailchimp Marketing API 3.0, List contact activity feed.
    """
    filters = ",".join((*BY_PERSON, UNSURE))
    reply = client.get(
        f"/lists/{audience}/members/{record}/activity-feed", {"activity_filters": filters, "count": 1000}
    )
    if reply.status == 404:
        return None
    items = reply.body.get("activity")
    if not reply.is_ok or not isinstance(items, list):
        raise SystemUnavailable(client.system, f"a member's activity could not be read (HTTP {reply.status})")
    found = [one for item in items if isinstance(item, dict) and (one := sign_up(item, since))]
    return max(found, key=lambda one: one.at, default=None)


def sign_up(item: Mapping[str, Any], since: datetime) -> SignUp | None:
    """What an item of the activity tells of a sign-up by the person later than ``since``, if anything."""
    kind, at = item.get("activity_type"), parse_time(item.get("created_at_timestamp"))
    if at is None or at <= since or kind not in (*BY_PERSON, UNSURE):
        return None
    detail = {key: value for key, value in item.items() if isinstance(value, str) and value}
    told = " ".join(value.casefold() for key, value in detail.items() if key != "activity_type")
    if _tells_otherwise(str(kind), told):
        return None
    # A generic one counts only if it names where the person signed up.
    is_sourced = any(key not in ("activity_type", "created_at_timestamp") for key in detail)
    if kind == UNSURE and not is_sourced:
        return None
    return SignUp(at=at, detail=detail)


def _tells_otherwise(kind: str, told: str) -> bool:
    """Whether the rest of the item says that no person did it. A page has people only, whatever its title."""
    if kind in _ON_A_PAGE:
        return False
    return _AS_WORDS.search(told) is not None if kind != UNSURE else any(word in told for word in _NOT_BY_PERSON)
