"""The status of a contact: which moves the API allows, and what the contact does by herself.

Rules: Mailchimp, "The Importance of Contact Status" and the API's answers. An opt-out by the contact, or a hard
bounce, puts her in a compliance state that only her own sign-up ends; the API cannot write ``subscribed`` over it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from optsync_mailchimp.mocking.account import Switches
from optsync_mailchimp.mocking.envelope import show_time
from optsync_mailchimp.mocking.problems import in_compliance_state, invalid_fields, not_active
from optsync_mailchimp.mocking.store import Audience, Member

WRITABLE = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")
PATCHABLE = ("subscribed", "unsubscribed", "cleaned", "pending")
BY_ADMIN = "N/A (Unsubscribed by admin)"
NONE_GIVEN = "None given"
NOTHING: Mapping[str, str] = MappingProxyType({})
UI_NAME = {
    "subscribed": "Subscribed",
    "unsubscribed": "Unsubscribed",
    "cleaned": "Cleaned",
    "pending": "Pending",
    "transactional": "Non-subscribed",
    "archived": "Deleted",
}


def check_word(word: object, allowed: tuple[str, ...], field: str = "status") -> str:
    """Raises ``Problem`` for a word that the operation does not take."""
    if not isinstance(word, str) or word not in allowed:
        raise invalid_fields((field, "Data did not match any of the schemas described in anyOf."))
    return word


def check_move(member: Member, wanted: str, switches: Switches) -> None:
    """Raises ``Problem`` when the API refuses to bring the contact to ``wanted``."""
    if wanted == member.status:
        return
    may_revive = member.status == "archived" and switches.revives_after_own_opt_out
    if member.in_compliance and wanted in {"subscribed", "transactional"} and not may_revive:
        raise in_compliance_state(member.email)
    if member.status == "cleaned" and wanted == "pending" and not switches.cleaned_to_pending:
        raise in_compliance_state(member.email)
    if member.status == "subscribed" and wanted == "transactional" and not switches.subscribed_to_transactional:
        raise not_active(member.status)


def move(audience: Audience, member: Member, wanted: str, now: int) -> None:
    """Writes a status that :func:`check_move` accepted, inside ``Audience.edit``."""
    former = member.status
    if former == wanted:
        return
    if wanted == "subscribed":
        member.in_compliance = False
        if former == "archived" or member.timestamp_opt is None:
            member.timestamp_opt = now
    member.status = wanted
    member.pre_archive_status = ""
    member.origin = member.unsubscribe_reason = ""
    member.unsubscribed_at = None
    if wanted == "unsubscribed":
        opt_out(audience, member, now, origin="adm", reason=BY_ADMIN)
    if wanted == "cleaned":
        member.in_compliance = True
    if wanted == "pending":
        audience.confirmations.append(member.email)


def opt_out(
    audience: Audience, member: Member, now: int, *, origin: str, reason: str, campaign: dict[str, str] | None = None
) -> None:
    """By the contact (``self``, ``abuse``) or by an administrator or the API (``adm``), inside ``Audience.edit``."""
    member.status = "unsubscribed"
    member.origin = origin
    member.unsubscribe_reason = reason
    member.unsubscribed_at = now
    member.in_compliance = member.in_compliance or origin != "adm"
    audience.feed.setdefault(member.contact_id, []).append(
        {
            "activity_type": "unsub",
            "created_at_timestamp": show_time(now),
            "is_admin_unsubscribed": origin == "adm",
            "unsubscribe_reason": reason,
            **(campaign or {}),
        }
    )
    record(audience, member, "unsub", now, campaign, type="", reason=reason)


def record(
    audience: Audience, member: Member, action: str, now: int, campaign: dict[str, str] | None, **more: Any
) -> None:
    """An item of the older ``/activity`` listing."""
    audience.activity.setdefault(member.contact_id, []).append(
        {
            "action": action,
            "timestamp": show_time(now),
            "campaign_id": (campaign or {}).get("campaign_id", ""),
            "title": (campaign or {}).get("campaign_title", ""),
            **more,
        }
    )


def sign_up(
    audience: Audience, member: Member, now: int, ip: str, *, kind: str = "signup", detail: Mapping[str, str] = NOTHING
) -> None:
    """The contact opts in by a form or by the link of a confirmation mail, inside ``Audience.edit``. ``kind`` is the
    type of the activity, ``detail`` what it tells besides: the title of a landing page, the category of a form."""
    member.status = "subscribed"
    member.in_compliance = False
    member.origin = member.unsubscribe_reason = member.pre_archive_status = ""
    member.unsubscribed_at = None
    member.timestamp_opt = now
    member.ip_opt = ip
    audience.feed.setdefault(member.contact_id, []).append(
        {"activity_type": kind, "created_at_timestamp": show_time(now), **detail}
    )


def note_subscription(audience: Audience, member: Member, now: int) -> None:
    """What the contact's activity tells of a subscription by the API."""
    audience.feed.setdefault(member.contact_id, []).append(
        {"activity_type": "generic_signup", "created_at_timestamp": show_time(now), "signup_category": "API"}
    )


def archive(member: Member) -> None:
    """Inside ``Audience.edit``. Hides the former status; whether she had opted out is remembered."""
    member.pre_archive_status = member.status
    member.status = "archived"
