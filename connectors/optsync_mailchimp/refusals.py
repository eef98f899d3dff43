"""What a refused write means.

By HTTP status, title and field first. Message texts come in the language of the account (German has been seen),
so the English ones only add what nothing else tells.

Source: Mailchimp Marketing API 3.0, Errors, and Batch subscribe or unsubscribe; checked in November 2026.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from optsync.model.change import Fact, Outcome, Result
from optsync.model.record import Record, Status
from optsync_mailchimp.client import Reply, objects, squeezed


class Refusal(StrEnum):
    """Why the vendor did not write."""

    GONE = "gone"
    EXISTS = "exists"
    COMPLIANCE = "compliance"
    """Unsubscribed, bounced or under review; the member itself shows which."""
    FORGOTTEN = "forgotten"
    FAKE = "fake"
    THROTTLED = "throttled"
    FIELD = "field"
    NOT_ALLOWED = "not_allowed"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A refusal with the field it is about and the vendor's words (which may hold an address)."""

    refusal: Refusal
    field: str | None = None
    message: str = ""


_OF_TITLE: Mapping[str, Refusal] = {
    "memberincompliancestate": Refusal.COMPLIANCE,
    "forgottenemailnotsubscribed": Refusal.FORGOTTEN,
    "memberexists": Refusal.EXISTS,
    "methodnotallowed": Refusal.NOT_ALLOWED,
    "resourcenotfound": Refusal.GONE,
}
_OF_TEXT: tuple[tuple[str, Refusal], ...] = (
    ("is in a compliance state", Refusal.COMPLIANCE),
    ("has previously unsubscribed", Refusal.COMPLIANCE),
    ("was previously removed from this audience", Refusal.COMPLIANCE),
    ("permanently deleted", Refusal.FORGOTTEN),
    ("looks fake or invalid", Refusal.FAKE),
    ("provide a valid email address", Refusal.FAKE),
    ("domain portion of the email address is invalid", Refusal.FAKE),
    ("signed up to a lot of lists", Refusal.THROTTLED),
)
_ADDRESS_FIELDS = ("emailaddress", "email_address", "email")
# The throttle is per address over all of Mailchimp; it was seen to last from minutes to a week.
PARKED = timedelta(days=1)


def of_reply(reply: Reply) -> Verdict:
    """Of a single write's 4xx."""
    message = str(reply.body.get("detail") or "")
    if reply.status == 404:
        return Verdict(refusal=Refusal.GONE, message=message)
    if known := _OF_TITLE.get(squeezed(str(reply.body.get("title") or ""))):
        return Verdict(refusal=known, message=message)
    for fault in objects(reply.body.get("errors")):
        if field := str(fault.get("field") or ""):
            return _of_field(field, str(fault.get("message") or message))
    return Verdict(refusal=_of_text(message) or Refusal.UNCLEAR, message=message)


def of_item(error: Mapping[str, Any]) -> Verdict:
    """Of one entry of a bulk answer's ``errors``. It has no title, so a localized one may stay unclear."""
    message = str(error.get("error") or error.get("field_message") or "")
    if error.get("error_code") == "ERROR_CONTACT_EXISTS":
        return Verdict(refusal=Refusal.EXISTS, message=message)
    if field := str(error.get("field") or ""):
        return _of_field(field, str(error.get("field_message") or message))
    return Verdict(refusal=_of_text(message) or Refusal.UNCLEAR, message=message)


def _of_text(message: str) -> Refusal | None:
    lowered = message.lower()
    return next((refusal for text, refusal in _OF_TEXT if text in lowered), None)


def _of_field(field: str, message: str) -> Verdict:
    tag = field.removeprefix("merge_fields.")
    if squeezed(tag) in _ADDRESS_FIELDS:
        return Verdict(refusal=_of_text(message) or Refusal.UNCLEAR, message=message)
    return Verdict(refusal=Refusal.FIELD if tag != "status" else Refusal.UNCLEAR, field=tag, message=message)


def compliance_fact(record: Record | None) -> Fact:
    """What keeps a member out, by what it shows now. Archived hides an opt-out of before."""
    if record is not None and record.status is Status.BOUNCED:
        return Fact.UNDELIVERABLE
    return Fact.SELF_UNSUBSCRIBED


def status_fact(record: Record) -> Fact:
    """Why a member does not take a change, by the status it shows."""
    facts = {Status.BOUNCED: Fact.UNDELIVERABLE, Status.ARCHIVED: Fact.ARCHIVED}
    return facts.get(record.status or Status.UNKNOWN, Fact.NOT_ALLOWED)


def refused(
    key: str, fact: Fact, *, record: Record | None = None, id_: str | None = None, message: str = ""
) -> Outcome:
    """An outcome that states a fact."""
    return Outcome(
        key=key,
        result=Result.REFUSED,
        fact=fact,
        record=record,
        record_id=record.id if record else id_,
        message=message,
    )
