"""``/reports``: the campaigns that were sent, and what became of each mail.

Shapes: Mailchimp Marketing API 3.0, Campaign Report and Email Activity.
"""

from typing import Any

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, links, parse_time, show_time
from optsync_mailchimp.mocking.problems import not_found
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.store import Campaign

_EARLIEST, _LATEST = -float("inf"), float("inf")


def _reports(account: Account, call: Call, _: Params) -> Json:
    since = call.time("since_send_time", lost=_LATEST)
    before = call.time("before_send_time", lost=_EARLIEST)
    low, high = _EARLIEST if since is None else since, _LATEST if before is None else before
    kind = call.query.get("type", "")
    sent = [c for c in account.campaigns.values() if c.send_time is not None and low < c.send_time < high]
    found = [_report(account, c) for c in sorted(sent, key=_newest_first) if not kind or c.type == kind]
    return call.collection("reports", found)


def _newest_first(campaign: Campaign) -> tuple[int, str]:
    return (-(campaign.send_time or 0), campaign.id)


def _one(account: Account, _: Call, params: Params) -> Json:
    return _report(account, _sent(account, params))


def _sent(account: Account, params: Params) -> Campaign:
    campaign = account.campaign(params["campaign"])
    if campaign.send_time is None:
        raise not_found()
    return campaign


def _report(account: Account, campaign: Campaign) -> Json:
    by_kind = {kind: _items(campaign, kind) for kind in ("open", "click", "bounce")}
    sent = len(campaign.recipients)
    return {
        "id": campaign.id,
        "campaign_title": campaign.title,
        "type": campaign.type,
        "list_id": campaign.list_id,
        "list_is_active": True,
        "list_name": account.audiences[campaign.list_id].name,
        "subject_line": campaign.subject,
        "preview_text": "",
        "emails_sent": sent,
        "abuse_reports": 0,
        "unsubscribed": 0,
        "send_time": show_time(campaign.send_time),
        "bounces": {
            "hard_bounces": sum(1 for _, item in by_kind["bounce"] if item["type"] == "hard"),
            "soft_bounces": sum(1 for _, item in by_kind["bounce"] if item["type"] == "soft"),
            "syntax_errors": 0,
        },
        "opens": {
            "opens_total": len(by_kind["open"]),
            "unique_opens": len({who for who, _ in by_kind["open"]}),
            "open_rate": len({who for who, _ in by_kind["open"]}) / sent if sent else 0,
            "last_open": _last(by_kind["open"]),
        },
        "clicks": {
            "clicks_total": len(by_kind["click"]),
            "unique_clicks": len({(who, item["url"]) for who, item in by_kind["click"]}),
            "unique_subscriber_clicks": len({who for who, _ in by_kind["click"]}),
            "click_rate": len({who for who, _ in by_kind["click"]}) / sent if sent else 0,
            "last_click": _last(by_kind["click"]),
        },
    }


def _items(campaign: Campaign, kind: str) -> list[tuple[str, Json]]:
    return [(who, item) for who, items in campaign.activity.items() for item in items if item["action"] == kind]


def _last(items: list[tuple[str, Json]]) -> str:
    return max((str(item["timestamp"]) for _, item in items), default="")


def _activity(account: Account, call: Call, params: Params) -> Json:
    campaign = _sent(account, params)
    since = call.time("since", lost=_LATEST)
    rows = [_row(campaign, who, since) for who in sorted(campaign.recipients)]
    if not account.switches.activity_shows_everybody:
        rows = [row for row in rows if row["activity"]]
    return call.collection("emails", rows, campaign_id=campaign.id)


def _of_one(account: Account, call: Call, params: Params) -> Json:
    campaign = _sent(account, params)
    since = call.time("since", lost=_LATEST)
    for who, (key, _) in campaign.recipients.items():
        if params["key"] in {who, key}:
            row = _row(campaign, who, since)
            return row | {"_links": links(call, call.path)}
    raise not_found()


def _row(campaign: Campaign, who: str, since: float | None) -> Json:
    key, address = campaign.recipients[who]
    items: list[dict[str, Any]] = campaign.activity.get(who, [])
    shown = [item for item in items if since is None or (parse_time(item["timestamp"]) or _EARLIEST) > since]
    return {
        "campaign_id": campaign.id,
        "list_id": campaign.list_id,
        "list_is_active": True,
        "email_id": key,
        "email_address": address,
        "activity": shown,
    }


ROUTES = (
    Route("GET", "/reports", _reports),
    Route("GET", "/reports/{campaign}", _one),
    Route("GET", "/reports/{campaign}/email-activity", _activity),
    Route("GET", "/reports/{campaign}/email-activity/{key}", _of_one),
)
