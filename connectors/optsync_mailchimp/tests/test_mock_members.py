"""Single contacts: identity, upserts, renames, no-ops, deletion."""

import pytest

from optsync_mailchimp.tests.api import LIST, Api

ANN = "Ann.Lee@example.com"


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_contact_is_found_by_hash_address_and_contact_id(api: Api) -> None:
    made = api.add(ANN)
    for key in (made["id"], ANN, ANN.lower(), made["contact_id"]):
        assert api.call("GET", f"{LIST}/members/{key}").body["email_address"] == ANN


def test_a_second_post_says_that_the_member_exists(api: Api) -> None:
    api.add(ANN)
    reply = api.call("POST", f"{LIST}/members", {"email_address": ANN.lower(), "status": "subscribed"})
    assert (reply.status, reply.body["title"]) == (400, "Member Exists")


def test_put_merges_fields_and_interests_and_ignores_unknown_tags(api: Api) -> None:
    news, offers, events = api.mock.audience.interests()
    api.add(ANN, merge_fields={"FNAME": "Ann"}, interests={news: True})
    body = {"email_address": ANN, "merge_fields": {"LNAME": "Lee", "NOSUCH": "x"}, "interests": {offers: True}}
    changed = api.call("PUT", api.member(ANN), body).body
    assert changed["merge_fields"] == {"FNAME": "Ann", "LNAME": "Lee", "CITY": "", "PLAN": "", "PHONE": ""}
    assert changed["interests"] == {news: True, offers: True, events: False}
    assert changed["full_name"] == "Ann Lee"


def test_a_write_without_a_difference_does_not_move_last_changed(api: Api) -> None:
    made = api.add(ANN, merge_fields={"FNAME": "Ann"})
    api.clock.advance(60)
    body = {"email_address": ANN, "status": "subscribed", "merge_fields": {"FNAME": "Ann"}}
    assert api.call("PUT", api.member(ANN), body).body["last_changed"] == made["last_changed"]
    changed = api.call("PATCH", api.member(ANN), {"merge_fields": {"FNAME": "Anne"}}).body
    assert changed["last_changed"] == "2026-03-01T12:01:00+00:00"


def test_status_if_new_is_used_for_new_contacts_only(api: Api) -> None:
    body = {"email_address": ANN, "status_if_new": "unsubscribed"}
    assert api.call("PUT", api.member(ANN), body).body["status"] == "unsubscribed"
    again = {"email_address": ANN, "status_if_new": "subscribed"}
    assert api.call("PUT", api.member(ANN), again).body["status"] == "unsubscribed"


def test_put_to_a_foreign_hash_creates_under_the_hash_of_the_body(api: Api) -> None:
    path = api.member("other@example.com")
    made = api.call("PUT", path, {"email_address": ANN, "status_if_new": "subscribed"})
    assert made.status == 200
    assert made.body["id"] == api.member(ANN).rsplit("/", 1)[1]
    assert api.call("PUT", path, {"email_address": ANN, "status": "subscribed"}).body["title"] == "Member Exists"


def test_a_rename_keeps_the_contact_and_changes_the_hash(api: Api) -> None:
    old = api.add(ANN, tags=["crm"])
    api.clock.advance(5)
    new = api.call("PATCH", f"{LIST}/members/{old['contact_id']}", {"email_address": "ann@example.org"}).body
    for kept in ("contact_id", "web_id", "timestamp_opt", "tags"):
        assert new[kept] == old[kept]
    for moved in ("id", "unique_email_id", "last_changed"):
        assert new[moved] != old[moved]
    assert api.call("GET", api.member(ANN)).status == 404


@pytest.mark.parametrize(
    ("status", "word"),
    [("subscribed", "Subscribed"), ("unsubscribed", "Unsubscribed"), ("cleaned", "Cleaned"), ("archived", "Deleted")],
)
def test_a_rename_onto_another_contact_names_its_status(api: Api, status: str, word: str) -> None:
    api.add(ANN)
    api.add("bob@example.com", "subscribed" if status == "archived" else status)
    if status == "archived":
        api.call("DELETE", api.member("bob@example.com"))
    reply = api.call("PATCH", api.member(ANN), {"email_address": "bob@example.com"})
    assert reply.status == 400
    message = f'"bob@example.com" is already in this list with a status of "{word}".'
    assert reply.body["errors"] == [{"field": "email address", "message": message}]


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
def test_an_inactive_contact_cannot_be_renamed(api: Api, status: str) -> None:
    api.add(ANN, status)
    reply = api.call("PATCH", api.member(ANN), {"email_address": "ann@example.org"})
    assert reply.body["errors"][0]["message"].startswith(f'This member\'s status is "{status}."')


def test_a_change_of_letter_case_is_no_rename(api: Api) -> None:
    made = api.add(ANN)
    body = {"email_address": ANN.upper(), "merge_fields": {"FNAME": "A"}}
    assert api.call("PATCH", api.member(ANN), body).body["id"] == made["id"]


def test_delete_permanent_removes_and_blocks_the_address(api: Api) -> None:
    api.add(ANN)
    assert api.call("POST", f"{api.member(ANN)}/actions/delete-permanent").status == 204
    assert api.call("GET", api.member(ANN)).status == 404
    for status in ("pending", "subscribed"):
        body = {"email_address": ANN, "status": status}
        assert api.call("PUT", api.member(ANN), body).body["title"] == "Forgotten Email Not Subscribed"


def test_fake_and_malformed_addresses_are_refused_by_rule(api: Api) -> None:
    for address, detail in {
        "a@gmail.con": "a@gmail.con looks fake or invalid, please enter a real email address.",
        "no address": "Please provide a valid email address.",
    }.items():
        reply = api.call("POST", f"{LIST}/members", {"email_address": address, "status": "subscribed"})
        assert reply.body["detail"] == detail
    strict = Api(example_is_fake=True)
    reply = strict.call("POST", f"{LIST}/members", {"email_address": ANN, "status": "subscribed"})
    assert "looks fake" in reply.body["detail"]


def test_a_throttled_address_is_refused_until_released(api: Api) -> None:
    api.act("throttle", email=ANN)
    reply = api.call("POST", f"{LIST}/members", {"email_address": ANN, "status": "subscribed"})
    assert "has signed up to a lot of lists very recently" in reply.body["detail"]
    api.act("throttle", email=ANN, on=False)
    api.add(ANN)


def test_a_new_contact_takes_the_language_of_the_request_unless_the_body_names_one(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.mock.account.api_key}", "accept-language": "de-CH"}
    for body in (
        b'{"email_address":"a@example.com","status":"subscribed"}',
        b'{"email_address":"b@example.com","status":"subscribed","language":"fr"}',
    ):
        assert api.raw("POST", f"/3.0{LIST}/members", body=body, headers=headers).status == 200
    assert api.call("GET", api.member("a@example.com")).body["language"] == "de"
    assert api.call("GET", api.member("b@example.com")).body["language"] == "fr"


def test_notes_events_and_searches_are_kept_per_contact(api: Api) -> None:
    api.add(ANN)
    note = api.call("POST", f"{api.member(ANN)}/notes", {"note": "Called."}).body
    assert api.call("GET", api.member(ANN)).body["last_note"]["note"] == "Called."
    assert api.call("DELETE", f"{api.member(ANN)}/notes/{note['id']}").status == 204
    assert api.call("POST", f"{api.member(ANN)}/events", {"name": "visited"}).status == 204
    assert api.call("GET", f"{api.member(ANN)}/events").body["total_items"] == 1
    found = api.call("GET", "/search-members", query=ANN.lower()).body
    assert [one["email_address"] for one in found["exact_matches"]["members"]] == [ANN]


def test_a_campaigns_report_lists_its_opt_outs(api: Api) -> None:
    api.add(ANN)
    api.act("unsubscribe", email=ANN, campaign_id="cb398d21d2")
    (row,) = api.call("GET", "/reports/cb398d21d2/unsubscribed").body["unsubscribes"]
    assert (row["email_address"], row["list_id"]) == (ANN, "4c1a9f02bb")
    activity = api.call("GET", f"{api.member(ANN)}/activity", action="unsub").body["activity"]
    assert [item["campaign_id"] for item in activity] == ["cb398d21d2"]
