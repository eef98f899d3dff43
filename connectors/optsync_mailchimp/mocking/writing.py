"""What a create or an update does to a contact: everything is checked first, then everything is written."""

import re
from dataclasses import dataclass
from typing import Any

from optsync_mailchimp.mocking.account import Account
from optsync_mailchimp.mocking.envelope import Call, Json, json_type, parse_time
from optsync_mailchimp.mocking.merge_fields import validate
from optsync_mailchimp.mocking.problems import (
    already_in_list,
    forgotten,
    invalid,
    invalid_fields,
    not_active,
)
from optsync_mailchimp.mocking.status import UI_NAME, check_move, move, note_subscription
from optsync_mailchimp.mocking.store import Audience, Member, member_hash
from optsync_mailchimp.mocking.tagging import put_on_named

_ADDRESS = re.compile(r"[^@\s,;<>()]+@(?:[^@\s.,;<>()]+\.)+[^@\s.,;<>()]{2,}")
_PLAIN = {"language": str, "vip": bool, "email_type": str, "ip_signup": str, "ip_opt": str}
_TIMES = ("timestamp_signup", "timestamp_opt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A body whose every part was accepted. None: not sent."""

    merge_fields: dict[str, Any] | None
    interests: dict[str, bool] | None
    plain: dict[str, Any]
    location: tuple[float, float] | None
    permissions: dict[str, bool] | None


def check_address(account: Account, address: object) -> str:
    """A new address as sent. Raises ``Problem`` for one that the service does not take."""
    if address is None or address == "":
        raise invalid_fields(("email_address", "This value should not be blank."))
    if not isinstance(address, str):
        raise invalid_fields(("email_address", f"Schema describes string, {json_type(address)} found"))
    if not _ADDRESS.fullmatch(address):
        raise invalid("Please provide a valid email address.")
    domain = address.lower().rpartition("@")[2]
    switches = account.switches
    if (switches.misspelled_is_fake and domain.endswith((".con", ".vom"))) or (
        switches.example_is_fake and domain == "example.com"
    ):
        raise invalid(f"{address} looks fake or invalid, please enter a real email address.")
    check_throttle(account, address)
    return address


def check_throttle(account: Account, address: str) -> None:
    """Raises ``Problem`` for an address that may not be signed up for now."""
    if address.lower() in account.throttled:
        raise invalid(
            f"{address} has signed up to a lot of lists very recently; we're not allowing more signups for now"
        )


def check_body(account: Account, audience: Audience, member: Member | None, body: Json, *, skip_merge: bool) -> Checked:
    """Raises ``Problem`` for a part of a wrong form; nothing is written."""
    merged = None
    if member is None or "merge_fields" in body:
        merged = validate(
            audience.field_by_tag(),
            {} if member is None else member.merge_fields,
            body.get("merge_fields", {}),
            needs_required=not skip_merge,
            language=account.switches.language,
        )
    return Checked(
        merge_fields=merged,
        interests=_interests(audience, body),
        plain=_plain(body),
        location=_location(body),
        permissions=_permissions(audience, body),
    )


def _interests(audience: Audience, body: Json) -> dict[str, bool] | None:
    if "interests" not in body:
        return None
    sent = body["interests"]
    if not isinstance(sent, dict):
        raise invalid_fields(("interests", f"Schema describes object, {json_type(sent)} found"))
    known = audience.interests()
    for key, value in sent.items():
        if key not in known:
            raise invalid_fields((f"interests.{key}", f"Invalid interest ID: '{key}'."))
        if not isinstance(value, bool):
            raise invalid_fields((f"interests.{key}", f"Schema describes boolean, {json_type(value)} found"))
    return {key: value for key, value in sent.items() if value or key not in audience.kept_interests}


def _plain(body: Json) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, kind in _PLAIN.items():
        if key in body:
            if not isinstance(body[key], kind):
                raise invalid_fields((key, f"Schema describes {json_type(kind())}, {json_type(body[key])} found"))
            values[key] = body[key]
    if values.get("email_type", "html") not in {"html", "text"}:
        raise invalid_fields(("email_type", "Data did not match any of the schemas described in anyOf."))
    for key in _TIMES:
        if key in body and body[key] != "":
            moment = parse_time(body[key]) if isinstance(body[key], str) else None
            if moment is None:
                raise invalid_fields((key, "This value is not a valid datetime."))
            values[key] = int(moment)
    return values


def _location(body: Json) -> tuple[float, float] | None:
    sent = body.get("location")
    if not isinstance(sent, dict):
        return None
    return float(sent.get("latitude", 0)), float(sent.get("longitude", 0))


def _permissions(audience: Audience, body: Json) -> dict[str, bool] | None:
    sent = body.get("marketing_permissions")
    if not isinstance(sent, list) or not audience.permissions:
        return None
    choices = {item.get("marketing_permission_id"): bool(item.get("enabled")) for item in sent}
    if not choices.keys() <= audience.permissions.keys():
        raise invalid_fields(("marketing_permissions", "Invalid marketing permission ID."))
    return choices


def write_checked(member: Member, checked: Checked) -> None:
    """Inside ``Audience.edit``: what was not sent stays; interests and permissions are merged key by key."""
    if checked.merge_fields is not None:
        member.merge_fields = checked.merge_fields
    if checked.interests is not None:
        member.interests = _merged(member.interests, checked.interests)
    if checked.permissions is not None:
        member.permissions = _merged(member.permissions, checked.permissions)
    if checked.location is not None:
        member.location = checked.location
    for key, value in checked.plain.items():
        setattr(member, key, value)


def _merged(held: frozenset[str], sent: dict[str, bool]) -> frozenset[str]:
    return (held | {key for key, on in sent.items() if on}) - {key for key, on in sent.items() if not on}


def create(
    account: Account, audience: Audience, address: object, status: str, body: Json, *, skip_merge: bool, call: Call
) -> Member:
    """A contact whose address is not in the audience. Raises ``Problem``."""
    email = check_address(account, address)
    if member_hash(email) in audience.forgotten:
        raise forgotten(email)
    checked = check_body(account, audience, None, body, skip_merge=skip_merge)
    now = account.now()
    member = Member(
        contact_id=account.long_id(),
        web_id=account.number(),
        email=email,
        id=member_hash(email),
        status="",
        last_changed=now,
    )
    member.language = call.language
    _note(account, audience, member, status, now)
    move(audience, member, status, now)
    write_checked(member, checked)
    if status == "subscribed" and not member.ip_opt:
        member.ip_opt = call.client
    audience.add(member)
    names = _tag_names(body)
    if names:
        with audience.edit(member, now):
            put_on_named(account, audience, member, names, exactly=False)
    return member


def _tag_names(body: Json) -> list[str]:
    sent = body.get("tags")
    return [name for name in sent if isinstance(name, str)] if isinstance(sent, list) else []


def update(
    account: Account,
    audience: Audience,
    member: Member,
    body: Json,
    *,
    status: str | None,
    skip_merge: bool,
    may_rename: bool = True,
    may_revive: bool = True,
) -> None:
    """An existing contact. ``status`` None leaves it. Raises ``Problem``, and then nothing was written."""
    address = body.get("email_address") if may_rename else None
    renamed = check_rename(account, audience, member, address) if address is not None else None
    if member.status == "archived" and not (status and may_revive) and not account.switches.archived_editable:
        raise not_active(member.status)
    checked = check_body(account, audience, member, body, skip_merge=skip_merge)
    if status is not None:
        check_move(member, status, account.switches)
        if status != member.status and status in {"subscribed", "pending"}:
            check_throttle(account, member.email)
    now = account.now()
    with audience.edit(member, now):
        if status is not None:
            _note(account, audience, member, status, now)
            move(audience, member, status, now)
        write_checked(member, checked)
        if renamed is not None:
            audience.rename(member, renamed)


def _note(account: Account, audience: Audience, member: Member, status: str, now: int) -> None:
    if account.switches.api_sign_up_in_feed and status == "subscribed" != member.status:
        note_subscription(audience, member, now)


def check_rename(account: Account, audience: Audience, member: Member, address: object) -> str | None:
    """The new address, or None when it is the contact's own in whatever letter case."""
    if isinstance(address, str) and member_hash(address) == member.id:
        return None
    wanted = check_address(account, address)
    if member.status in {"unsubscribed", "cleaned", "archived"}:
        raise not_active(member.status)
    if member_hash(wanted) in audience.forgotten:
        raise forgotten(wanted)
    other = audience.find(wanted)
    if other is not None:
        raise already_in_list(wanted, UI_NAME[other.status])
    return wanted
