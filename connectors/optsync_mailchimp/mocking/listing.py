"""``GET /lists/{id}/members``: filters, order, pages."""

from collections.abc import Iterable, Mapping

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, Trimmed, links
from optsync_mailchimp.mocking.problems import invalid_fields, named
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.showing import KNOWN, show_member
from optsync_mailchimp.mocking.store import STATUSES, Audience, ChangeIndex, Member, unique_email_id

_SORTS = ("timestamp_opt", "timestamp_signup", "last_changed")
_SLOW_FILTERS = (
    *("email_type", "unique_email_id", "vip_only", "interest_ids", "interest_category_id", "interest_match"),
    *("since_timestamp_opt", "before_timestamp_opt", "unsubscribed_since"),
)
_SINCE = {"since_timestamp_opt": "timestamp_opt", "unsubscribed_since": "unsubscribed_at"}
_PARTS = frozenset({"members", "list_id", "total_items", "_links"})
_FOREVER = float("inf")


def _list(account: Account, call: Call, params: Params) -> Json:
    audience = account.audience(params["list"])
    selection = call.selection
    selection.require(_PARTS)
    inner = selection.sub("members") if selection.wants("members") else None
    if inner is not None:
        inner.require(KNOWN)
    _check(call)
    page, total = _page(account, audience, call)
    answer = Trimmed()
    if inner is not None:
        answer["members"] = [show_member(call, audience, member, inner) for member in page]
    rest = {"list_id": audience.id, "total_items": total}
    answer.update((key, value) for key, value in rest.items() if selection.wants(key))
    if selection.wants("_links"):
        answer["_links"] = selection.sub("_links").apply(links(call, call.path))
    return answer


def _check(call: Call) -> None:
    query = call.query
    if query.get("status", "subscribed") not in STATUSES:
        raise invalid_fields(("status", "Data did not match any of the schemas described in anyOf."))
    if query.get("sort_field", "last_changed") not in _SORTS:
        raise invalid_fields(("sort_field", "Data did not match any of the schemas described in anyOf."))
    if query.get("sort_dir", "ASC").upper() not in {"ASC", "DESC"}:
        raise invalid_fields(("sort_dir", "Data did not match any of the schemas described in anyOf."))
    if query.get("unsubscribed_since") and query.get("status") != "unsubscribed":
        raise invalid_fields(("unsubscribed_since", 'This filter can only be used with the "unsubscribed" status.'))
    groups = [name for name in _SLOW_FILTERS if name.startswith("interest_") and query.get(name)]
    if len(groups) not in {0, 3}:
        raise named("BadRequest")


def _page(account: Account, audience: Audience, call: Call) -> tuple[list[Member], int]:
    offset, count = call.paging()
    since = call.time("since_last_changed", lost=_FOREVER)
    before = call.time("before_last_changed", lost=-_FOREVER)
    low, high = -_FOREVER if since is None else since, _FOREVER if before is None else before
    names = _lists(account, call)
    plain = not any(call.query.get(name) for name in _SLOW_FILTERS)
    if plain and len(names) == 1 and call.query.get("sort_field") == "last_changed":
        return _slice(audience, call, names[0], (low, high), (offset, count))
    wanted = _wanted_statuses(names)
    found = [m for m in audience.members.values() if m.status in wanted and low < m.last_changed <= high]
    if not plain:
        found = _filtered(audience, call, found)
    return _sorted(call, found)[offset : offset + count], len(found)


def _lists(account: Account, call: Call) -> tuple[str, ...]:
    status = call.query.get("status")
    if status:
        return (status,)
    more = ("archived",) if account.switches.archived_in_default_listing else ()
    return (ChangeIndex.LIVE, *more)


def _wanted_statuses(names: tuple[str, ...]) -> frozenset[str]:
    live = [status for status in STATUSES if status != "archived"] if ChangeIndex.LIVE in names else []
    return frozenset((*names, *live))


def _slice(
    audience: Audience, call: Call, name: str, times: tuple[float, float], part: tuple[int, int]
) -> tuple[list[Member], int]:
    rows, low, high = audience.index.window(name, *times)
    offset, count = part
    if _is_descending(call):
        stop = max(low, high - offset)
        chosen = rows[max(low, stop - count) : stop][::-1]
    else:
        chosen = rows[low + offset : min(high, low + offset + count)]
    return [audience.members[contact_id] for _, contact_id in chosen], high - low


def _is_descending(call: Call) -> bool:
    return call.query.get("sort_dir", "ASC").upper() == "DESC"


def _sorted(call: Call, members: list[Member]) -> list[Member]:
    name = call.query.get("sort_field")
    if not name:
        return members
    members.sort(key=lambda m: (getattr(m, name) or 0, m.contact_id), reverse=_is_descending(call))
    return members


def _filtered(audience: Audience, call: Call, members: list[Member]) -> list[Member]:
    for name, attribute in _SINCE.items():
        since = call.time(name, lost=_FOREVER)
        if since is not None:
            members = [m for m in members if _number(m, attribute) > since]
    before = call.time("before_timestamp_opt", lost=-_FOREVER)
    if before is not None:
        members = [m for m in members if -_FOREVER < _number(m, "timestamp_opt") <= before]
    query = call.query
    if query.get("email_type"):
        members = [m for m in members if m.email_type == query["email_type"]]
    if query.get("unique_email_id"):
        members = [m for m in members if unique_email_id(m.email) == query["unique_email_id"]]
    if call.flag("vip_only"):
        members = [m for m in members if m.vip]
    if query.get("interest_ids"):
        members = list(_by_interest(audience, query, members))
    return members


def _number(member: Member, attribute: str) -> float:
    value: float | None = getattr(member, attribute)
    return -_FOREVER if value is None else value


def _by_interest(audience: Audience, query: Mapping[str, str], members: Iterable[Member]) -> Iterable[Member]:
    category = audience.categories.get(query["interest_category_id"])
    wanted = frozenset(query["interest_ids"].split(","))
    match = query["interest_match"]
    if category is None or not wanted <= category.interests.keys() or match not in {"any", "all", "none"}:
        raise named("BadRequest")
    for member in members:
        held = len(wanted & member.interests)
        if {"any": held > 0, "all": held == len(wanted), "none": held == 0}[match]:
            yield member


ROUTES = (Route("GET", "/lists/{list}/members", _list),)
