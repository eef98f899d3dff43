"""Canned answers of Mailman's REST interface, as 3.3.10 gives them, and a connector that meets them."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import responses

from optsync.clock import ManualClock
from optsync.connect.contract import Context
from optsync.model.page import ReadSpec
from optsync_mailman3 import Mailman3
from optsync_mailman3.settings import MailmanSettings

BASE = "http://127.0.0.1:8001/3.1"
LIST = "news.lists.example"
SPEC = ReadSpec(collection=LIST, fields=frozenset({"display_name"}))


def connector() -> Mailman3:
    settings = MailmanSettings.model_validate({"connector": "mailman3", "base_url": BASE, "password": "opensesame"})
    clock = ManualClock(datetime(2026, 3, 1, 8, tzinfo=UTC))
    return Mailman3(settings, Context(system="lists", clock=clock, rng=random.Random(1)))


def collection(rows: Sequence[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    """An empty page has no key ``entries``."""
    answer: dict[str, Any] = {"start": 0, "total_size": len(rows) if total is None else total, "http_etag": '"x"'}
    return {**answer, "entries": list(rows)} if rows else answer


def row(email: str, member_id: str = "m1", name: str = "") -> dict[str, Any]:
    return {"email": email, "member_id": member_id, "display_name": name, "http_etag": '"x"'}


def has(server: responses.RequestsMock, *totals: int, **by_status: Sequence[dict[str, Any]]) -> None:
    """Fills the list: delivery status -> rows. ``totals`` is what the roster counts, call after call, if not them."""
    everybody = [each for rows in by_status.values() for each in rows]
    for status in ("by_user", "by_moderator", "by_bounces", "unknown", "enabled"):
        server.get(
            f"{BASE}/members/find",
            json=collection(by_status.get(status, ())),
            match=[responses.matchers.query_param_matcher({"delivery_status": status}, strict_match=False)],
        )
    for total in totals or (len(everybody),):
        server.get(
            f"{BASE}/lists/{LIST}/roster/member",
            json=collection((), total),
            match=[responses.matchers.query_param_matcher({"count": 1}, strict_match=False)],
        )
    server.get(
        f"{BASE}/lists/{LIST}/roster/member",
        json=collection(everybody),
        match=[responses.matchers.query_param_matcher({"count": 1000}, strict_match=False)],
    )


def asked_to_leave(server: responses.RequestsMock, *rows: dict[str, Any]) -> None:
    requests = [{"type": "unsubscription", "when": "2026-03-01T07:00:00", **each} for each in rows]
    server.get(
        f"{BASE}/lists/{LIST}/requests",
        json=collection(requests),
        match=[responses.matchers.query_param_matcher({"request_type": "unsubscription"}, strict_match=False)],
    )


def waiting(server: responses.RequestsMock, *rows: dict[str, Any]) -> None:
    requests = [{"type": "subscription", **each} for each in rows]
    server.get(f"{BASE}/lists/{LIST}/requests", json=collection(requests))


def shows(server: responses.RequestsMock, email: str, **statuses: str) -> None:
    """One address's memberships: member_id -> delivery status."""
    server.get(
        f"{BASE}/members/find",
        json=collection([row(email, member_id) for member_id in statuses]),
        match=[responses.matchers.query_param_matcher({"subscriber": email}, strict_match=False)],
    )
    asked_to_leave(server)
    for member_id, status in statuses.items():
        server.get(f"{BASE}/members/{member_id}/all/preferences", json={"delivery_status": status})


def bodies(server: responses.RequestsMock, method: str) -> list[Any]:
    """The JSON bodies sent by that method, in order."""
    requests = [call.request for call in server.calls if call.request.method == method]
    return [json.loads(request.body) for request in requests if request.body]
