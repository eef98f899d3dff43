"""Tags as static segments: listing, search, adding and removing up to 500 contacts at once."""

from collections.abc import Callable

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, Trimmed, show_time
from optsync_mailchimp.mocking.problems import invalid, invalid_fields, not_found
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.showing import show_member
from optsync_mailchimp.mocking.store import Audience, Member, Tag
from optsync_mailchimp.mocking.tagging import find_tag, put_on, tag_named, take_off

LARGEST = 500
_BLANK = "This value should not be blank."
_ALWAYS_COUNTED = frozenset({"subscribed"})
_ON_REQUEST = {
    "include_cleaned": "cleaned",
    "include_transactional": "transactional",
    "include_unsubscribed": "unsubscribed",
}


def _tag(account: Account, params: Params) -> tuple[Audience, Tag]:
    audience = account.audience(params["list"])
    key = params["segment"]
    tag = audience.tags.get(int(key)) if key.isascii() and key.isdigit() else None
    if tag is None:
        raise not_found()
    return audience, tag


def _holders(call: Call, audience: Audience, tag: Tag) -> list[Member]:
    statuses = _ALWAYS_COUNTED | {status for name, status in _ON_REQUEST.items() if call.flag(name)}
    held = (audience.members[key] for key in sorted(tag.holders))
    return [member for member in held if member.status in statuses]


def _show(call: Call, audience: Audience, tag: Tag) -> Json:
    return {
        "id": tag.id,
        "name": tag.name,
        "member_count": len(_holders(call, audience, tag)),
        "type": "static",
        "created_at": show_time(tag.created_at),
        "updated_at": show_time(tag.updated_at),
        "options": {"match": "any", "conditions": []},
        "list_id": audience.id,
    }


def _search(account: Account, call: Call, params: Params) -> Json:
    audience = account.audience(params["list"])
    prefix = call.query.get("name", "").casefold()
    found: list[Json] = [
        {"id": tag.id, "name": tag.name} for tag in audience.tags.values() if tag.name.casefold().startswith(prefix)
    ]
    return {"tags": found, "total_items": len(found)}


def _list(account: Account, call: Call, params: Params) -> Json:
    audience = account.audience(params["list"])
    tags = audience.tags.values() if call.query.get("type", "static") == "static" else ()
    return call.collection("segments", [_show(call, audience, tag) for tag in tags], list_id=audience.id)


def _make(account: Account, call: Call, params: Params) -> Json:
    audience, body = account.audience(params["list"]), call.body
    if not body.get("name"):
        raise invalid_fields(("name", _BLANK))
    if not isinstance(body.get("static_segment"), list):
        raise invalid_fields(("static_segment", _BLANK))
    if find_tag(audience, body["name"]) is not None:
        raise invalid("Sorry, that tag already exists.")
    tag = tag_named(account, audience, body["name"])
    _each(audience, call, body["static_segment"], tag, put_on)
    return _show(call, audience, tag)


def _read(account: Account, call: Call, params: Params) -> Json:
    return _show(call, *_tag(account, params))


def _drop(account: Account, call: Call, params: Params) -> None:
    audience, tag = _tag(account, params)
    for key in list(tag.holders):
        member = audience.members[key]
        with audience.edit(member, call.now):
            take_off(tag, member, call.now)
    del audience.tags[tag.id]


def _each(
    audience: Audience, call: Call, addresses: list[str], tag: Tag, do: Callable[[Tag, Member, int], None]
) -> tuple[list[Member], list[str]]:
    """Who was reached, and the addresses that are no contacts."""
    done, unknown = [], []
    for address in addresses:
        member = audience.find(str(address)) if "@" in str(address) else None
        if member is None:
            unknown.append(str(address))
            continue
        with audience.edit(member, call.now):
            do(tag, member, call.now)
        done.append(member)
    return done, unknown


def _change(account: Account, call: Call, params: Params) -> Json:
    audience, tag = _tag(account, params)
    sent = {name: call.body.get(name) or [] for name in ("members_to_add", "members_to_remove")}
    for name, addresses in sent.items():
        if not isinstance(addresses, list) or len(addresses) > LARGEST:
            raise invalid_fields((name, f"This collection should contain {LARGEST} elements or less."))
    added, strange = _each(audience, call, sent["members_to_add"], tag, put_on)
    removed, missing = _each(audience, call, sent["members_to_remove"], tag, take_off)
    errors: list[Json] = []
    if strange or missing:
        text = "Email addresses do not exist in the audience."
        errors = [{"email_addresses": strange + missing, "error": text}]
    return {
        "members_added": _shown(call, audience, added, "members_added"),
        "members_removed": _shown(call, audience, removed, "members_removed"),
        "errors": errors,
        "total_added": len(added),
        "total_removed": len(removed),
        "error_count": len(strange) + len(missing),
    }


def _shown(call: Call, audience: Audience, members: list[Member], key: str) -> list[Json]:
    if not call.selection.wants(key):
        return []
    inner = call.selection.sub(key)
    return [show_member(call, audience, member, inner) for member in members]


def _members(account: Account, call: Call, params: Params) -> Json:
    audience, tag = _tag(account, params)
    found = _holders(call, audience, tag)
    offset, count = call.paging()
    page = _shown(call, audience, found[offset : offset + count], "members")
    return {"members": page, "list_id": audience.id, "total_items": len(found)}


def _add(account: Account, call: Call, params: Params) -> Json:
    audience, tag = _tag(account, params)
    done, _ = _each(audience, call, [call.body.get("email_address", "")], tag, put_on)
    if not done:
        raise not_found()
    return Trimmed(show_member(call, audience, done[0], call.selection))


def _remove(account: Account, call: Call, params: Params) -> None:
    audience, tag = _tag(account, params)
    member = audience.find(params["key"])
    if member is None or member.contact_id not in tag.holders:
        raise not_found()
    with audience.edit(member, call.now):
        take_off(tag, member, call.now)


_ALL = "/lists/{list}/segments"
_ONE = f"{_ALL}/{{segment}}"
ROUTES = (
    Route("GET", "/lists/{list}/tag-search", _search),
    Route("GET", _ALL, _list),
    Route("POST", _ALL, _make),
    Route("GET", _ONE, _read),
    Route("POST", _ONE, _change),
    Route("DELETE", _ONE, _drop),
    Route("GET", f"{_ONE}/members", _members),
    Route("POST", f"{_ONE}/members", _add),
    Route("DELETE", f"{_ONE}/members/{{key}}", _remove),
)
