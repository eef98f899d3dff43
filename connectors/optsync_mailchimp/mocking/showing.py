"""How a contact looks in an answer; only the parts that were asked for are made."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from optsync_mailchimp.mocking.envelope import Call, Json, Selection, links, show_time
from optsync_mailchimp.mocking.store import Audience, Member, unique_email_id

SHOWN_TAGS = 50
_Part = Callable[[Audience, Member], Any]
_Present = Callable[[Audience, Member], bool]


def _full_name(_: Audience, member: Member) -> str:
    values = member.merge_fields
    return f"{values.get('FNAME', '')} {values.get('LNAME', '')}".strip()


def _merge_fields(audience: Audience, member: Member) -> Json:
    values = member.merge_fields
    return {item.tag: values.get(item.tag, "") for item in audience.merge_fields.values()}


def _interests(audience: Audience, member: Member) -> Json:
    return {key: key in member.interests for key in audience.interests()}


def _tags(audience: Audience, member: Member) -> list[Json]:
    return [{"id": key, "name": audience.tags[key].name} for key in list(member.tags)[:SHOWN_TAGS]]


def _location(_: Audience, member: Member) -> Json:
    latitude, longitude = member.location
    empty = {"gmtoff": 0, "dstoff": 0, "country_code": "", "timezone": "", "region": ""}
    return {"latitude": latitude, "longitude": longitude, **empty}


def _permissions(audience: Audience, member: Member) -> list[Json]:
    return [
        {"marketing_permission_id": key, "text": text, "enabled": key in member.permissions}
        for key, text in audience.permissions.items()
    ]


def _last_note(audience: Audience, member: Member) -> Json:
    note = audience.notes[member.contact_id][-1]
    return {"note_id": note["id"], **{key: note[key] for key in ("created_at", "created_by", "note")}}


_PARTS: Mapping[str, _Part] = {
    "id": lambda _, m: m.id,
    "email_address": lambda _, m: m.email,
    "unique_email_id": lambda _, m: unique_email_id(m.email),
    "contact_id": lambda _, m: m.contact_id,
    "full_name": _full_name,
    "web_id": lambda _, m: m.web_id,
    "email_type": lambda _, m: m.email_type,
    "status": lambda _, m: m.status,
    "unsubscribe_reason": lambda _, m: m.unsubscribe_reason,
    "consents_to_one_to_one_messaging": lambda _a, _m: True,
    "merge_fields": _merge_fields,
    "interests": _interests,
    "stats": lambda _a, _m: {"avg_open_rate": 0, "avg_click_rate": 0},
    "ip_signup": lambda _, m: m.ip_signup,
    "timestamp_signup": lambda _, m: show_time(m.timestamp_signup),
    "ip_opt": lambda _, m: m.ip_opt,
    "timestamp_opt": lambda _, m: show_time(m.timestamp_opt),
    "member_rating": lambda _a, _m: 2,
    "last_changed": lambda _, m: show_time(m.last_changed),
    "language": lambda _, m: m.language,
    "vip": lambda _, m: m.vip,
    "email_client": lambda _a, _m: "",
    "location": _location,
    "marketing_permissions": _permissions,
    "last_note": _last_note,
    "source": lambda _, m: m.source,
    "tags_count": lambda _, m: len(m.tags),
    "tags": _tags,
    "list_id": lambda a, _: a.id,
}
_PRESENT: Mapping[str, _Present] = {
    "unsubscribe_reason": lambda _, m: m.status == "unsubscribed",
    "interests": lambda a, _: any(category.interests for category in a.categories.values()),
    "marketing_permissions": lambda a, _: bool(a.permissions),
    "last_note": lambda a, m: bool(a.notes.get(m.contact_id)),
}
KNOWN = frozenset((*_PARTS, "_links"))
LEFT_OUT_OF_BULK = frozenset({"contact_id", "full_name", "marketing_permissions"})


@lru_cache(maxsize=128)
def _wanted(selection: Selection) -> tuple[tuple[str, _Part, _Present | None, Selection], ...]:
    return tuple(
        (key, part, _PRESENT.get(key), selection.sub(key)) for key, part in _PARTS.items() if selection.wants(key)
    )


def show_member(call: Call, audience: Audience, member: Member, selection: Selection) -> Json:
    """Trimmed already. Parts that do not apply to the contact are missing, as they are in the service's answers."""
    shown: Json = {}
    for key, part, present, inner in _wanted(selection):
        if present is None or present(audience, member):
            value = part(audience, member)
            shown[key] = inner.apply(value) if isinstance(value, dict | list) else value
    if selection.wants("_links"):
        shown["_links"] = selection.sub("_links").apply(_links(call, audience, member))
    return shown


def _links(call: Call, audience: Audience, member: Member) -> list[Json]:
    path = f"/lists/{audience.id}/members/{member.id}"
    verbs = (("update", path, "PATCH"), ("upsert", path, "PUT"), ("delete", path, "DELETE"))
    parts = tuple((name, f"{path}/{name}", "GET") for name in ("activity", "goals", "notes", "events"))
    return links(call, path, *verbs, *parts, ("delete_permanent", f"{path}/actions/delete-permanent", "POST"))
