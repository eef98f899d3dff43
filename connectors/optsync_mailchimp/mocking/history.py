"""What happened to a contact: activity, activity feed, notes, events; abuse reports and campaign opt-outs."""

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, show_time
from optsync_mailchimp.mocking.problems import invalid_fields, not_found
from optsync_mailchimp.mocking.routing import Route

_LATEST = 50
_LONGEST_NOTE = 1000
_FEED_KINDS = frozenset(
    (
        *("bounce", "click", "conversation", "ecommerce_signup", "event", "web_engagement", "generic_signup"),
        *("landing_page_signup", "marketing_permission", "note", "open", "order", "postcard_sent", "sent", "signup"),
        *("squatter_signup", "unsub", "website_signup", "survey_response", "sms_bulk_sent", "inbox_thread"),
    )
)


def _activity(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    wanted = {name for name in call.query.get("action", "").split(",") if name}
    items = audience.activity.get(member.contact_id, [])[-_LATEST:][::-1]
    shown = [item for item in items if not wanted or item["action"] in wanted]
    return {"activity": shown, "email_id": member.id, "list_id": audience.id, "total_items": len(shown)}


def _feed(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    wanted = {name for name in call.query.get("activity_filters", "").split(",") if name}
    if not wanted <= _FEED_KINDS:
        raise invalid_fields(("activity_filters", "Data did not match any of the schemas described in anyOf."))
    items = audience.feed.get(member.contact_id, [])[::-1]
    shown = [item for item in items if not wanted or item["activity_type"] in wanted]
    return call.collection("activity", shown, email_id=member.id, list_id=audience.id)


def _goals(account: Account, _: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    return {"goals": [], "list_id": audience.id, "email_id": member.id, "total_items": 0}


def _notes(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    notes = audience.notes.get(member.contact_id, [])
    return call.collection("notes", notes, email_id=member.id, list_id=audience.id)


def _add_note(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    text = call.body.get("note")
    if not isinstance(text, str) or not 1 <= len(text) <= _LONGEST_NOTE:
        raise invalid_fields(("note", f"This value should have 1 to {_LONGEST_NOTE} characters."))
    note = {
        "id": account.number(),
        "created_at": show_time(call.now),
        "created_by": "Olga Owner",
        "updated_at": show_time(call.now),
        "note": text,
        "list_id": audience.id,
        "email_id": member.id,
    }
    audience.notes.setdefault(member.contact_id, []).append(note)
    return note


def _drop_note(account: Account, _: Call, params: Params) -> None:
    audience, member = account.contact(params["list"], params["key"])
    notes = audience.notes.get(member.contact_id, [])
    kept = [note for note in notes if str(note["id"]) != params["note"]]
    if len(kept) == len(notes):
        raise not_found()
    audience.notes[member.contact_id] = kept


def _events(account: Account, call: Call, params: Params) -> Json:
    audience, member = account.contact(params["list"], params["key"])
    return call.collection("events", audience.events.get(member.contact_id, []))


def _add_event(account: Account, call: Call, params: Params) -> None:
    audience, member = account.contact(params["list"], params["key"])
    name = call.body.get("name")
    if not isinstance(name, str) or not 2 <= len(name) <= 30:
        raise invalid_fields(("name", "This value should have 2 to 30 characters."))
    event = {"occurred_at": show_time(call.now), "name": name, "properties": call.body.get("properties", {})}
    audience.events.setdefault(member.contact_id, []).append(event)
    audience.feed.setdefault(member.contact_id, []).append(
        {"activity_type": "event", "created_at_timestamp": show_time(call.now), "event_name": name}
    )


def _abuse_reports(account: Account, call: Call, params: Params) -> Json:
    audience = account.audience(params["list"])
    return call.collection("abuse_reports", audience.abuse_reports, list_id=audience.id)


def _abuse_report(account: Account, _: Call, params: Params) -> Json:
    for report in account.audience(params["list"]).abuse_reports:
        if str(report["id"]) == params["report"]:
            return report
    raise not_found()


def _campaign_opt_outs(account: Account, call: Call, params: Params) -> Json:
    campaign = params["campaign"]
    found: list[Json] = []
    for audience in account.audiences.values():
        for contact_id, items in audience.activity.items():
            member = audience.members[contact_id]
            found += [
                {
                    "email_id": member.id,
                    "email_address": member.email,
                    "merge_fields": dict(member.merge_fields),
                    "vip": member.vip,
                    "timestamp": item["timestamp"],
                    "reason": item["reason"],
                    "campaign_id": campaign,
                    "list_id": audience.id,
                    "list_is_active": True,
                }
                for item in items
                if item["action"] == "unsub" and item["campaign_id"] == campaign
            ]
    return call.collection("unsubscribes", found, campaign_id=campaign)


_LIST = "/lists/{list}"
_ONE = f"{_LIST}/members/{{key}}"
ROUTES = (
    Route("GET", f"{_ONE}/activity", _activity),
    Route("GET", f"{_ONE}/activity-feed", _feed),
    Route("GET", f"{_ONE}/goals", _goals),
    Route("GET", f"{_ONE}/notes", _notes),
    Route("POST", f"{_ONE}/notes", _add_note),
    Route("DELETE", f"{_ONE}/notes/{{note}}", _drop_note),
    Route("GET", f"{_ONE}/events", _events),
    Route("POST", f"{_ONE}/events", _add_event),
    Route("GET", f"{_LIST}/abuse-reports", _abuse_reports),
    Route("GET", f"{_LIST}/abuse-reports/{{report}}", _abuse_report),
    Route("GET", "/reports/{campaign}/unsubscribed", _campaign_opt_outs),
)
