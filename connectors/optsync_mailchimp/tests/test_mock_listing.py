"""The listing of contacts: filters, order, pages, trimming, speed."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from optsync.connect.mock import Person
from optsync_mailchimp.tests.api import LIST, Api

MEMBERS = f"{LIST}/members"


@pytest.fixture
def api() -> Api:
    """Six contacts, ten seconds apart; the last two in the same second; one of them archived."""
    api = Api()
    for number in range(6):
        api.add(f"p{number}@example.com", "unsubscribed" if number == 1 else "subscribed")
        if number != 4:
            api.clock.advance(10)
    api.call("DELETE", api.member("p0@example.com"))
    return api


def names(api: Api, **query: object) -> list[str]:
    reply = api.call("GET", MEMBERS, **query)
    assert reply.status == 200, reply.body
    return [member["email_address"][:2] for member in reply.body["members"]]


def test_archived_contacts_are_listed_only_when_asked_for(api: Api) -> None:
    assert names(api) == ["p1", "p2", "p3", "p4", "p5"]
    assert names(api, status="archived") == ["p0"]
    assert names(api, status="unsubscribed", sort_field="last_changed") == ["p1"]


def test_since_is_exclusive_and_before_inclusive(api: Api) -> None:
    edge = "2026-03-01T12:00:10+00:00"
    window = {"since_last_changed": edge, "before_last_changed": "2026-03-01T12:00:30Z"}
    assert names(api, sort_field="last_changed", **window) == ["p2", "p3"]
    assert names(api, **window) == ["p2", "p3"]
    assert names(api, before_last_changed=edge) == ["p1"]
    assert "p2" not in names(api, since_last_changed="2026-03-01T12:00:20.999Z", sort_field="last_changed")


def test_a_lost_plus_sign_matches_nothing(api: Api) -> None:
    answer = api.raw("GET", f"/3.0{MEMBERS}", query="since_last_changed=2020-01-01T00:00:00+00:00")
    assert b'"total_items":0' in answer.body


def test_descending_is_the_exact_reverse(api: Api) -> None:
    up = names(api, sort_field="last_changed", sort_dir="ASC")
    assert names(api, sort_field="last_changed", sort_dir="DESC") == up[::-1]
    pages = [names(api, sort_field="last_changed", sort_dir="DESC", count=2, offset=start)[0] for start in (0, 2, 4)]
    assert pages == up[::-2]


def test_pages_have_a_default_and_a_largest_size(api: Api) -> None:
    for number in range(20):
        api.add(f"more{number}@example.com")
    assert len(names(api)) == 10
    assert len(names(api, count=1000)) == 25
    reply = api.call("GET", MEMBERS, count=1001)
    assert (reply.status, reply.body["errors"][0]["field"]) == (400, "count")


def test_a_page_past_the_end_is_empty_with_the_right_total(api: Api) -> None:
    body = api.call("GET", MEMBERS, offset=99, sort_field="last_changed").body
    assert (body["members"], body["total_items"]) == ([], 5)


def test_a_row_that_changes_while_paging_moves_to_the_end(api: Api) -> None:
    first = names(api, sort_field="last_changed", count=2)
    api.clock.advance(60)
    api.call("PATCH", api.member("p1@example.com"), {"merge_fields": {"FNAME": "New"}})
    second = names(api, sort_field="last_changed", count=3, offset=2)
    assert first == ["p1", "p2"]
    assert "p3" not in second
    assert second[-1] == "p1"


def test_fields_trim_and_unknown_ones_are_refused(api: Api) -> None:
    query = "members.id,members.merge_fields.FNAME,total_items"
    body = api.call("GET", MEMBERS, fields=query, count=1).body
    assert body.keys() == {"members", "total_items"}
    assert body["members"][0].keys() == {"id", "merge_fields"}
    assert body["members"][0]["merge_fields"] == {"FNAME": ""}
    assert api.call("GET", MEMBERS, fields="members.nonsense").body["title"] == "Requested Fields Invalid"


def test_excluded_links_are_gone_and_a_bare_name_excludes_nothing(api: Api) -> None:
    body = api.call("GET", MEMBERS, exclude_fields="_links,members._links,email_address", count=1).body
    assert "_links" not in body
    assert "_links" not in body["members"][0]
    assert "email_address" in body["members"][0]


def test_unsubscribed_since_needs_its_status(api: Api) -> None:
    since = "2026-03-01T12:00:09Z"
    assert names(api, status="unsubscribed", unsubscribed_since=since) == ["p1"]
    assert names(api, status="unsubscribed", unsubscribed_since="2026-03-01T12:00:10Z") == []
    assert api.call("GET", MEMBERS, unsubscribed_since=since).status == 400


def test_interest_filters_work_together_only(api: Api) -> None:
    category = next(iter(api.mock.audience.categories.values()))
    news = next(iter(category.interests))
    api.call("PATCH", api.member("p2@example.com"), {"interests": {news: True}})
    asked = {"interest_category_id": category.id, "interest_ids": news, "interest_match": "any"}
    assert names(api, **asked) == ["p2"]
    assert api.call("GET", MEMBERS, interest_ids=news).status == 400


def test_a_contact_is_found_by_its_unique_email_id(api: Api) -> None:
    wanted = api.call("GET", api.member("p3@example.com")).body["unique_email_id"]
    assert names(api, unique_email_id=wanted) == ["p3"]


@pytest.mark.slow
def test_a_hundred_thousand_contacts_are_read_in_seconds() -> None:
    api = Api()
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    people = (
        Person(
            number=number,
            first_name="A",
            last_name=str(number),
            addresses=(f"p{number}@example.com",),
            created_at=begin + timedelta(seconds=number // 3),
        )
        for number in range(100_000)
    )
    api.mock.populate(people)
    started = time.perf_counter()
    seen: set[str] = set()
    fields = "members.contact_id,members.email_address,members.status,members.last_changed,total_items"
    for offset in range(0, 100_000, 1000):
        body = api.call("GET", MEMBERS, sort_field="last_changed", count=1000, offset=offset, fields=fields).body
        seen.update(member["contact_id"] for member in body["members"])
        api.call("PATCH", api.member("p99999@example.com"), {"merge_fields": {"FNAME": str(offset)}})
    assert len(seen) == 100_000
    assert time.perf_counter() - started < 10
