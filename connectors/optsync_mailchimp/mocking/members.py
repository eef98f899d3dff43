"""Single contacts: create, read, upsert, update, archive, delete for good, tags."""

from typing import Any

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, Trimmed, links, show_time
from optsync_mailchimp.mocking.problems import (
    cannot_archive,
    invalid_fields,
    member_exists,
    named,
)
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.showing import KNOWN, show_member
from optsync_mailchimp.mocking.status import PATCHABLE, WRITABLE, archive, check_word
from optsync_mailchimp.mocking.store import Audience, Member
from optsync_mailchimp.mocking.tagging import find_tag, put_on, tag_named, take_off
from optsync_mailchimp.mocking.writing import check_address, create, update

_BLANK = "This value should not be blank."


def _shown(call: Call, audience: Audience, member: Member) -> Json:
    call.selection.require(KNOWN)
    return Trimmed(show_member(call, audience, member, call.selection))


def _read(account: Account, call: Call, params: Params) -> Json:
    return _shown(call, *account.contact(params["list"], params["key"]))


def _create(account: Account, call: Call, params: Params) -> Json:
    audience, body = account.audience(params["list"]), call.body
    address = body.get("email_address")
    if "status" not in body:
        raise invalid_fields(("status", _BLANK))
    status = check_word(body["status"], WRITABLE)
    member = audience.find(address) if isinstance(address, str) and "@" in address else None
    skip = call.flag("skip_merge_validation")
    if member is None:
        member = create(account, audience, address, status, body, skip_merge=skip, call=call)
    elif member.status == "archived":
        update(account, audience, member, body, status=status, skip_merge=skip)
    else:
        raise member_exists(str(address))
    return _shown(call, audience, member)


def _upsert(account: Account, call: Call, params: Params) -> Json:
    audience, body = account.audience(params["list"]), call.body
    address = body.get("email_address")
    if not address:
        raise invalid_fields(("email_address", _BLANK))
    status = check_word(body["status"], WRITABLE) if "status" in body else None
    if_new = check_word(body["status_if_new"], WRITABLE, "status_if_new") if "status_if_new" in body else None
    skip = call.flag("skip_merge_validation")
    member = audience.find(params["key"])
    if member is not None:
        update(account, audience, member, body, status=status, skip_merge=skip)
        return _shown(call, audience, member)
    if audience.find(check_address(account, address)) is not None:
        raise member_exists(address)
    first = status or if_new
    if first is None:
        raise invalid_fields(("status_if_new", _BLANK))
    member = create(account, audience, address, first, body, skip_merge=skip, call=call)
    return _shown(call, audience, member)


def _patch(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    body = call.body
    status = check_word(body["status"], PATCHABLE) if "status" in body else None
    skip = call.flag("skip_merge_validation")
    update(account, audience, member, body, status=status, skip_merge=skip, may_revive=False)
    return _shown(call, audience, member)


def _archive(account: Account, call: Call, params: Params) -> None:
    audience, member = account.contact(params["list"], params["key"])
    if member.status in {"cleaned", "pending", "archived"}:
        raise cannot_archive()
    with audience.edit(member, call.now):
        archive(member)


def _forget(account: Account, _: Call, params: Params) -> None:
    audience, member = account.contact(params["list"], params["key"])
    audience.forget(member)


def _list_tags(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    tags: list[Json] = [
        {"id": key, "name": audience.tags[key].name, "date_added": show_time(added)}
        for key, added in member.tags.items()
    ]
    return call.collection("tags", tags)


def _write_tags(account: Account, call: Call, params: Params) -> None:
    audience, member = account.contact(params["list"], params["key"])
    items = call.body.get("tags")
    if items is None:
        raise invalid_fields(("tags", _BLANK))
    if isinstance(items, dict) or not items:
        return
    wanted = [_tag_item(item) for item in items]
    with audience.edit(member, call.now, always=any(active for _, active in wanted)):
        for name, active in wanted:
            tag = tag_named(account, audience, name) if active else find_tag(audience, name)
            if tag is not None and active:
                put_on(tag, member, call.now)
            elif tag is not None and tag.id in member.tags:
                take_off(tag, member, call.now)


def _tag_item(item: Any) -> tuple[str, bool]:
    if not isinstance(item, dict) or not item.get("name") or item.get("status") not in {"active", "inactive"}:
        raise invalid_fields(("tags.item:0", "Data did not match any of the schemas described in anyOf."))
    return str(item["name"]), item["status"] == "active"


def _search(account: Account, call: Call, _: Params) -> Json:
    query = call.query.get("query", "").lower()
    if not query:
        raise named("BadRequest")
    wanted = call.query.get("list_id")
    found = [
        (audience, member)
        for audience in account.audiences.values()
        if wanted in {None, "", audience.id}
        for member in audience.members.values()
        if member.status != "archived" and query in _text(member)
    ]
    exact = [pair for pair in found if pair[1].email.lower() == query]
    return {
        "exact_matches": _matches(call, exact, "exact_matches"),
        "full_search": _matches(call, found, "full_search"),
        "_links": links(call, "/search-members"),
    }


def _text(member: Member) -> str:
    return " ".join((member.email, *(str(value) for value in member.merge_fields.values()))).lower()


def _matches(call: Call, found: list[tuple[Audience, Member]], key: str) -> Json:
    if not call.selection.wants(key):
        return {}
    offset, count = call.paging()
    selection = call.selection.sub(key).sub("members")
    shown = [show_member(call, audience, member, selection) for audience, member in found[offset : offset + count]]
    return {"members": shown, "total_items": len(found)}


_ONE = "/lists/{list}/members/{key}"
ROUTES = (
    Route("POST", "/lists/{list}/members", _create),
    Route("GET", _ONE, _read),
    Route("PUT", _ONE, _upsert),
    Route("PATCH", _ONE, _patch),
    Route("DELETE", _ONE, _archive),
    Route("POST", f"{_ONE}/actions/delete-permanent", _forget),
    Route("GET", f"{_ONE}/tags", _list_tags),
    Route("POST", f"{_ONE}/tags", _write_tags),
    Route("GET", "/search-members", _search),
)
