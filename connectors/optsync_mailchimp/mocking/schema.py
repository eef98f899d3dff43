"""The account and what an audience consists of: root, ping, lists, merge fields, interest groups."""

from dataclasses import asdict
from typing import Any

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, links, show_time
from optsync_mailchimp.mocking.merge_fields import TYPES, MergeField, as_tag
from optsync_mailchimp.mocking.problems import invalid, invalid_fields, not_found
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.store import Audience, Category, Interest

_MOST_FIELDS = 30
_MOST_INTERESTS = 60
_BLANK = "This value should not be blank."


def _ping(_: Account, _call: Call, _params: Params) -> Json:
    return {"health_status": "Everything's Chimpy!"}


def _root(account: Account, call: Call, _: Params) -> Json:
    contact = dict.fromkeys(("company", "addr1", "addr2", "city", "state", "zip", "country"), "")
    return {
        "account_id": account.id,
        "login_id": account.id[:8],
        "account_name": "Example",
        "email": "owner@example.com",
        "first_name": "Olga",
        "last_name": "Owner",
        "username": "example",
        "avatar_url": "",
        "role": "owner",
        "member_since": "2020-01-01T00:00:00+00:00",
        "pricing_plan_type": "monthly",
        "first_payment": "",
        "account_timezone": "Etc/UTC",
        "account_industry": "",
        "contact": contact | {"company": "Example"},
        "pro_enabled": False,
        "last_login": "",
        "total_subscribers": sum(a.index.size("subscribed") for a in account.audiences.values()),
        "industry_stats": {"open_rate": 0, "bounce_rate": 0, "click_rate": 0},
        "_links": links(call, "/"),
    }


def _show_list(account: Account, call: Call, audience: Audience) -> Json:
    size = audience.index.size
    stats: Json = {
        "member_count": size("subscribed"),
        "unsubscribe_count": size("unsubscribed"),
        "cleaned_count": size("cleaned"),
        "campaign_count": 0,
        "merge_field_count": len(audience.merge_fields),
    }
    if call.flag("include_total_contacts"):
        stats["total_contacts"] = len(audience.members)
    sender = {"from_name": "Example", "from_email": "news@example.com", "subject": "", "language": "en"}
    return {
        "id": audience.id,
        "web_id": audience.web_id,
        "name": audience.name,
        "contact": {"company": "Example", "address1": "", "city": "", "state": "", "zip": "", "country": "US"},
        "permission_reminder": "You signed up on our site.",
        "use_archive_bar": True,
        "campaign_defaults": sender,
        "date_created": show_time(audience.created_at),
        "list_rating": 0,
        "email_type_option": False,
        "visibility": "prv",
        "double_optin": account.switches.double_optin,
        "has_welcome": False,
        "marketing_permissions": bool(audience.permissions),
        "modules": [],
        "stats": stats,
        "_links": links(call, f"/lists/{audience.id}"),
    }


def _lists(account: Account, call: Call, _: Params) -> Json:
    address = call.query.get("email")
    found = [a for a in account.audiences.values() if not address or a.find(address) is not None]
    limits = {"may_create": False, "max_instances": len(found), "current_total_instances": len(found)}
    return call.collection("lists", [_show_list(account, call, a) for a in found], constraints=limits)


def _list(account: Account, call: Call, params: Params) -> Json:
    return _show_list(account, call, account.audience(params["list"]))


def _show_field(audience: Audience, item: MergeField) -> Json:
    return {**asdict(item), "list_id": audience.id}


def _merge_fields(account: Account, call: Call, params: Params) -> Json:
    audience = account.audience(params["list"])
    kind, required = call.query.get("type"), call.query.get("required")
    items = [
        _show_field(audience, item)
        for item in sorted(audience.merge_fields.values(), key=lambda item: item.tag)
        if kind in {None, "", item.type} and required in {None, "", str(item.required).lower()}
    ]
    return call.collection("merge_fields", items, list_id=audience.id)


def _field(account: Account, params: Params) -> tuple[Audience, MergeField]:
    audience = account.audience(params["list"])
    key = params["field"]
    item = audience.merge_fields.get(int(key)) if key.isascii() and key.isdigit() else None
    if item is None:
        raise not_found()
    return audience, item


def _merge_field(account: Account, _: Call, params: Params) -> Json:
    return _show_field(*_field(account, params))


def _add_field(account: Account, call: Call, params: Params) -> Json:
    audience, body = account.audience(params["list"]), call.body
    missing = [(key, _BLANK) for key in ("name", "type") if not body.get(key)]
    if missing:
        raise invalid_fields(*missing)
    if body["type"] not in TYPES:
        raise invalid_fields(("type", "Data did not match any of the schemas described in anyOf."))
    if len(audience.merge_fields) >= _MOST_FIELDS:
        raise invalid(f"You can only have {_MOST_FIELDS} merge fields in this audience.")
    merge_id = max(audience.merge_fields, default=0) + 1
    tag = as_tag(str(body.get("tag", "")), merge_id)
    if tag in audience.field_by_tag() or tag == "EMAIL":
        raise invalid(f'A Merge Field with the tag "{tag}" already exists for this list.')
    item = MergeField(merge_id=merge_id, tag=tag, name=body["name"], type=body["type"], display_order=merge_id + 1)
    _set_field(item, body)
    audience.merge_fields[merge_id] = item
    return _show_field(audience, item)


def _set_field(item: MergeField, body: dict[str, Any]) -> None:
    for key in ("name", "required", "default_value", "public", "display_order", "help_text"):
        if key in body:
            setattr(item, key, body[key])
    item.options = {**item.options, **body.get("options", {})}


def _change_field(account: Account, call: Call, params: Params) -> Json:
    audience, item = _field(account, params)
    _set_field(item, call.body)
    return _show_field(audience, item)


def _drop_field(account: Account, _: Call, params: Params) -> None:
    audience, item = _field(account, params)
    del audience.merge_fields[item.merge_id]
    for member in audience.members.values():
        member.merge_fields.pop(item.tag, None)


def _category(account: Account, params: Params) -> tuple[Audience, Category]:
    audience = account.audience(params["list"])
    try:
        return audience, audience.categories[params["category"]]
    except KeyError:
        raise not_found() from None


def _show_category(audience: Audience, item: Category) -> Json:
    shown = {"id": item.id, "list_id": audience.id, "title": item.title}
    return {**shown, "display_order": item.order, "type": item.type}


def _show_interest(audience: Audience, item: Interest) -> Json:
    holders = sum(item.id in member.interests for member in audience.members.values())
    return {
        "category_id": item.category_id,
        "list_id": audience.id,
        "id": item.id,
        "name": item.name,
        "subscriber_count": str(holders),
        "display_order": item.order,
    }


def _categories(account: Account, call: Call, params: Params) -> Json:
    audience = account.audience(params["list"])
    items = [_show_category(audience, item) for item in audience.categories.values()]
    return call.collection("categories", items, list_id=audience.id)


def _add_category(account: Account, call: Call, params: Params) -> Json:
    audience, body = account.audience(params["list"]), call.body
    missing = [(key, _BLANK) for key in ("title", "type") if not body.get(key)]
    if missing:
        raise invalid_fields(*missing)
    item = Category(id=account.short_id(), title=body["title"], type=body["type"], order=len(audience.categories))
    audience.categories[item.id] = item
    return _show_category(audience, item)


def _interests(account: Account, call: Call, params: Params) -> Json:
    audience, category = _category(account, params)
    items = [_show_interest(audience, item) for item in category.interests.values()]
    return call.collection("interests", items, list_id=audience.id, category_id=category.id)


def _add_interest(account: Account, call: Call, params: Params) -> Json:
    audience, category = _category(account, params)
    if not call.body.get("name"):
        raise invalid_fields(("name", _BLANK))
    if len(audience.interests()) >= _MOST_INTERESTS:
        raise invalid(f"Cannot have more than {_MOST_INTERESTS} groups in an audience.")
    item = Interest(
        id=account.short_id(), category_id=category.id, name=call.body["name"], order=len(category.interests) + 1
    )
    category.interests[item.id] = item
    return _show_interest(audience, item)


_LIST = "/lists/{list}"
ROUTES = (
    Route("GET", "/ping", _ping),
    Route("GET", "/", _root),
    Route("GET", "/lists", _lists),
    Route("GET", _LIST, _list),
    Route("GET", f"{_LIST}/merge-fields", _merge_fields),
    Route("POST", f"{_LIST}/merge-fields", _add_field),
    Route("GET", f"{_LIST}/merge-fields/{{field}}", _merge_field),
    Route("PATCH", f"{_LIST}/merge-fields/{{field}}", _change_field),
    Route("DELETE", f"{_LIST}/merge-fields/{{field}}", _drop_field),
    Route("GET", f"{_LIST}/interest-categories", _categories),
    Route("POST", f"{_LIST}/interest-categories", _add_category),
    Route("GET", f"{_LIST}/interest-categories/{{category}}/interests", _interests),
    Route("POST", f"{_LIST}/interest-categories/{{category}}/interests", _add_interest),
)
