"""``POST /lists/{id}``: up to 500 contacts in one call, each with its own success or error."""

from dataclasses import dataclass, field

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, links
from optsync_mailchimp.mocking.problems import Problem, invalid_fields
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.showing import LEFT_OUT_OF_BULK, show_member
from optsync_mailchimp.mocking.status import WRITABLE, check_word
from optsync_mailchimp.mocking.store import Audience, Member
from optsync_mailchimp.mocking.tagging import put_on_named
from optsync_mailchimp.mocking.writing import check_address, create, update

LARGEST = 500


class _Exists(Exception):
    """The address is in the audience and the caller did not allow updates."""


@dataclass(slots=True)
class _Results:
    new: list[Member] = field(default_factory=list)
    updated: list[Member] = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)


def _bulk(account: Account, call: Call, params: Params) -> Json:
    audience, body = account.audience(params["list"]), call.body
    items = body.get("members")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid_fields(("members", "Schema describes array, other value found"))
    if not 1 <= len(items) <= LARGEST:
        raise invalid_fields(("members", f"This collection should contain 1 to {LARGEST} elements."))
    results = _Results()
    seen: set[str] = set()
    for item in items:
        address = str(item.get("email_address", ""))
        if address.lower() in seen:
            if not call.flag("skip_duplicate_check"):
                results.errors.append(_error(address, "Duplicate items found for this email address."))
            continue
        seen.add(address.lower())
        _take(account, audience, call, item, results)
    return _answer(call, audience, results)


def _take(account: Account, audience: Audience, call: Call, item: Json, results: _Results) -> None:
    address = str(item.get("email_address", ""))
    try:
        member, is_new = _write(account, audience, call, item)
    except _Exists:
        text = (
            "is already a list member, do you want to update? please provide update_existing:true in the request body"
        )
        results.errors.append(_error(address, f"{address} {text}", code="ERROR_CONTACT_EXISTS"))
    except Problem as problem:
        known = audience.find(address) if "@" in address else None
        silent = problem.title == "Member In Compliance State" and not account.switches.bulk_refusal_is_error
        if silent and known is not None:
            results.updated.append(known)
            return
        name, message = problem.errors[0] if problem.errors else ("", "")
        results.errors.append(_error(address, problem.detail, field=name, message=message))
    else:
        (results.new if is_new else results.updated).append(member)


def _write(account: Account, audience: Audience, call: Call, item: Json) -> tuple[Member, bool]:
    # Of a contact that exists, too: the call does not look whether the address is a new one.
    address = check_address(account, item.get("email_address"))
    status = check_word(item["status"], WRITABLE) if "status" in item else None
    member = audience.find(address)
    plain = {key: value for key, value in item.items() if key != "marketing_permissions"}
    skip = call.flag("skip_merge_validation")
    if member is None:
        if status is None:
            raise invalid_fields(("status", "This value should not be blank."))
        return create(account, audience, address, status, plain, skip_merge=skip, call=call), True
    if status is None and account.switches.bulk_needs_status:
        raise invalid_fields(("status", "This value should not be blank."))
    was_archived = member.status == "archived"
    if not call.body.get("update_existing") and not was_archived:
        raise _Exists
    update(account, audience, member, plain, status=status, skip_merge=skip, may_rename=False)
    exactly = bool(call.body.get("sync_tags")) and "tags" in item
    with audience.edit(member, call.now):
        put_on_named(account, audience, member, map(str, item.get("tags") or ()), exactly=exactly)
    return member, was_archived and not call.body.get("update_existing")


def _error(address: str, error: str, *, code: str = "ERROR_GENERIC", field: str = "", message: str = "") -> Json:
    return {
        "email_address": address,
        "error": error,
        "error_code": code,
        "field": field,
        "field_message": message,
    }


def _answer(call: Call, audience: Audience, results: _Results) -> Json:
    def shown(key: str, members: list[Member]) -> list[Json]:
        if not call.selection.wants(key):
            return []
        inner = call.selection.sub(key)
        full = (show_member(call, audience, member, inner) for member in members)
        return [{name: value for name, value in one.items() if name not in LEFT_OUT_OF_BULK} for one in full]

    return {
        "new_members": shown("new_members", results.new),
        "updated_members": shown("updated_members", results.updated),
        "errors": results.errors,
        "total_created": len(results.new),
        "total_updated": len(results.updated),
        "error_count": len(results.errors),
        "_links": links(call, call.path),
    }


ROUTES = (Route("POST", "/lists/{list}", _bulk),)
