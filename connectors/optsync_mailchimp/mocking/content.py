"""``/campaigns`` and ``/templates``: what is about to be mailed, and what it is made from.

Shapes: Mailchimp Marketing API 3.0, Campaigns, Campaign Content, Templates and Template Default Content.
"""

from optsync_mailchimp.mocking.account import Account, Params
from optsync_mailchimp.mocking.envelope import Call, Json, links, show_time
from optsync_mailchimp.mocking.problems import invalid_fields, not_found
from optsync_mailchimp.mocking.routing import Route
from optsync_mailchimp.mocking.store import Campaign, Template

_STATUSES = ("save", "paused", "schedule", "sending", "sent")
_TEMPLATE_TYPES = ("user", "base", "gallery")
_ENUM = "Data did not match any of the schemas described in anyOf."


def _campaigns(account: Account, call: Call, _: Params) -> Json:
    status, audience, kind = (call.query.get(name, "") for name in ("status", "list_id", "type"))
    if status and status not in _STATUSES:
        raise invalid_fields(("status", _ENUM))
    found = [
        _campaign(account, c)
        for c in account.campaigns.values()
        if status in {"", c.status} and audience in {"", c.list_id} and kind in {"", c.type}
    ]
    return call.collection("campaigns", found)


def _one_campaign(account: Account, _: Call, params: Params) -> Json:
    return _campaign(account, account.campaign(params["campaign"]))


def _campaign(account: Account, campaign: Campaign) -> Json:
    return {
        "id": campaign.id,
        "web_id": campaign.web_id,
        "type": campaign.type,
        "create_time": show_time(campaign.created_at),
        "status": campaign.status,
        "emails_sent": len(campaign.recipients),
        "send_time": show_time(campaign.send_time),
        "content_type": "html",
        "recipients": {
            "list_id": campaign.list_id,
            "list_is_active": True,
            "list_name": account.audiences[campaign.list_id].name,
            "segment_text": "",
            "recipient_count": len(campaign.recipients),
        },
        "settings": {"subject_line": campaign.subject, "title": campaign.title, "template_id": 0},
    }


def _content(account: Account, call: Call, params: Params) -> Json:
    campaign = account.campaign(params["campaign"])
    shown: Json = {"plain_text": campaign.plain_text, "_links": links(call, call.path)}
    if campaign.type != "plaintext":
        shown |= {"html": campaign.html, "archive_html": campaign.html}
    return shown


def _templates(account: Account, call: Call, _: Params) -> Json:
    kind = call.query.get("type", "")
    if kind and kind not in _TEMPLATE_TYPES:
        raise invalid_fields(("type", _ENUM))
    found = [_template(t) for t in account.templates.values() if kind in {"", t.type}]
    return call.collection("templates", found)


def _one_template(account: Account, _: Call, params: Params) -> Json:
    return _template(_find(account, params))


def _template(template: Template) -> Json:
    return {
        "id": template.id,
        "type": template.type,
        "name": template.name,
        "drag_and_drop": True,
        "responsive": True,
        "category": "",
        "date_created": show_time(template.created_at),
        "date_edited": show_time(template.created_at),
        "created_by": "Olga Owner",
        "active": template.is_active,
        "thumbnail": "",
        "share_url": "",
        "content_type": "template",
    }


def _sections(account: Account, call: Call, params: Params) -> Json:
    return {"sections": dict(_find(account, params).sections), "_links": links(call, call.path)}


def _find(account: Account, params: Params) -> Template:
    key = params["template"]
    if not key.isdigit() or int(key) not in account.templates:
        raise not_found()
    return account.templates[int(key)]


ROUTES = (
    Route("GET", "/campaigns", _campaigns),
    Route("GET", "/campaigns/{campaign}", _one_campaign),
    Route("GET", "/campaigns/{campaign}/content", _content),
    Route("GET", "/templates", _templates),
    Route("GET", "/templates/{template}", _one_template),
    Route("GET", "/templates/{template}/default-content", _sections),
)
