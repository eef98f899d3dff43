"""The status of a contact: every move that was seen at the service, one test for each."""

from typing import Any

import pytest

from optsync_mailchimp.tests.api import LIST, Api, Reply

ANN = "ann@example.com"
COMPLIANCE = "is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."


@pytest.fixture
def api() -> Api:
    return Api()


def in_state(api: Api, state: str) -> Any:
    """A contact ``ann`` in a state; ``/self`` and ``/adm`` say who opted out, ``archived/x`` what she was."""
    word, _, detail = state.partition("/")
    if word == "archived":
        in_state(api, "unsubscribed/self" if detail == "self" else "subscribed")
        api.act("archive", email=ANN)
    else:
        api.add(ANN, "subscribed" if detail == "self" else word)
        if detail == "self":
            api.act("unsubscribe", email=ANN)
    api.clock.advance(100)
    return api.call("GET", api.member(ANN)).body


def put(api: Api, status: str) -> Reply:
    return api.call("PUT", api.member(ANN), {"email_address": ANN, "status": status})


@pytest.mark.parametrize("status", ["subscribed", "unsubscribed", "pending", "cleaned", "transactional"])
def test_a_new_contact_can_be_in_every_status_but_archived(api: Api, status: str) -> None:
    assert api.add(ANN, status)["status"] == status
    assert api.mock.audience.confirmations == ([ANN] if status == "pending" else [])


def test_archived_is_no_input(api: Api) -> None:
    reply = api.call("POST", f"{LIST}/members", {"email_address": ANN, "status": "archived"})
    assert (reply.status, reply.body["errors"][0]["field"]) == (400, "status")


@pytest.mark.parametrize("verb", ["PATCH", "PUT"])
@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("subscribed", "unsubscribed"),
        ("subscribed", "pending"),
        ("subscribed", "cleaned"),
        ("unsubscribed/adm", "subscribed"),
        ("unsubscribed/self", "pending"),
        ("pending", "subscribed"),
        ("pending", "unsubscribed"),
        ("cleaned", "pending"),
        ("transactional", "subscribed"),
        ("transactional", "pending"),
        ("transactional", "unsubscribed"),
    ],
)
def test_an_allowed_move_answers_with_the_new_status(api: Api, state: str, wanted: str, verb: str) -> None:
    before = in_state(api, state)
    reply = api.call(verb, api.member(ANN), {"email_address": ANN, "status": wanted})
    assert (reply.status, reply.body["status"]) == (200, wanted)
    assert reply.body["last_changed"] > before["last_changed"]


@pytest.mark.parametrize("state", ["unsubscribed/self", "cleaned", "archived/self"])
def test_subscribed_is_refused_in_a_compliance_state(api: Api, state: str) -> None:
    before = in_state(api, state)
    reply = put(api, "subscribed")
    assert (reply.status, reply.body["title"]) == (400, "Member In Compliance State")
    assert reply.body["detail"] == f"{ANN} {COMPLIANCE}"
    assert api.call("GET", api.member(ANN)).body == before


def test_a_complaint_is_a_compliance_state_too(api: Api) -> None:
    api.add(ANN)
    api.act("complain", email=ANN)
    assert put(api, "subscribed").body["title"] == "Member In Compliance State"
    reports = api.call("GET", f"{LIST}/abuse-reports").body["abuse_reports"]
    assert [report["email_address"] for report in reports] == [ANN]


@pytest.mark.parametrize("detour", ["pending", "unsubscribed"])
def test_no_detour_leads_out_of_an_own_opt_out(api: Api, detour: str) -> None:
    in_state(api, "unsubscribed/self")
    put(api, detour)
    assert put(api, "subscribed").body["title"] == "Member In Compliance State"


def test_an_opt_out_by_the_api_shows_its_reason(api: Api) -> None:
    in_state(api, "subscribed")
    assert put(api, "unsubscribed").body["unsubscribe_reason"] == "N/A (Unsubscribed by admin)"
    assert "unsubscribe_reason" not in put(api, "subscribed").body


def test_the_activity_feed_tells_own_opt_outs_from_administrative_ones(api: Api) -> None:
    in_state(api, "unsubscribed/adm")
    feed = f"{api.member(ANN)}/activity-feed"
    (item,) = api.call("GET", feed, activity_filters="unsub").body["activity"]
    assert item["is_admin_unsubscribed"] is True
    api.act("unsubscribe", email=ANN)
    newest = api.call("GET", feed, activity_filters="unsub").body["activity"][0]
    assert newest["is_admin_unsubscribed"] is False


def test_an_api_resubscription_keeps_the_old_opt_in_stamp(api: Api) -> None:
    made = api.add(ANN)
    api.clock.advance(60)
    put(api, "unsubscribed")
    assert put(api, "subscribed").body["timestamp_opt"] == made["timestamp_opt"]


def test_fields_of_an_opted_out_contact_can_be_written(api: Api) -> None:
    in_state(api, "unsubscribed/self")
    reply = api.call("PATCH", api.member(ANN), {"merge_fields": {"FNAME": "Ann"}})
    assert (reply.body["status"], reply.body["merge_fields"]["FNAME"]) == ("unsubscribed", "Ann")


def test_pending_again_sends_no_second_mail_but_a_detour_does(api: Api) -> None:
    in_state(api, "pending")
    assert put(api, "pending").status == 200
    assert api.mock.audience.confirmations == [ANN]
    put(api, "unsubscribed")
    put(api, "pending")
    assert api.mock.audience.confirmations == [ANN, ANN]


def test_a_confirmed_request_is_a_sign_up_with_its_own_time(api: Api) -> None:
    in_state(api, "unsubscribed/self")
    put(api, "pending")
    api.clock.advance(3600)
    api.act("confirm", email=ANN)
    shown = api.call("GET", api.member(ANN)).body
    assert (shown["status"], shown["timestamp_opt"]) == ("subscribed", "2026-03-01T13:01:40+00:00")
    items = api.call("GET", f"{api.member(ANN)}/activity-feed", activity_filters="signup").body["activity"]
    assert [item["created_at_timestamp"] for item in items] == [shown["timestamp_opt"]]


@pytest.mark.parametrize(("status", "expected"), [("subscribed", 400), ("pending", 400), ("unsubscribed", 200)])
def test_who_signed_up_too_often_is_signed_up_by_no_verb(api: Api, status: str, expected: int) -> None:
    in_state(api, "transactional")
    api.act("throttle", email=ANN)
    assert put(api, status).status == expected
    assert api.call("PATCH", api.member(ANN), {"status": status}).status == expected
    assert api.call("PATCH", api.member(ANN), {"merge_fields": {"FNAME": "Ann"}}).status == 200


@pytest.mark.parametrize("status", ["subscribed", "unsubscribed", "transactional"])
def test_delete_archives(api: Api, status: str) -> None:
    in_state(api, status)
    assert api.call("DELETE", api.member(ANN)).status == 204
    assert api.call("GET", api.member(ANN)).body["status"] == "archived"


@pytest.mark.parametrize("status", ["pending", "cleaned", "archived"])
def test_delete_is_refused_where_there_is_nothing_to_archive(api: Api, status: str) -> None:
    in_state(api, status)
    reply = api.call("DELETE", api.member(ANN))
    assert (reply.status, reply.headers["Allow"], reply.body["title"]) == (405, "GET, PUT", "Method Not Allowed")
    assert reply.body["detail"].endswith("Can not archive a contact that is bounced, pending or archived")


@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_an_archived_contact_is_revived_with_its_fields_and_a_new_opt_in_stamp(api: Api, verb: str) -> None:
    made = api.add(ANN, merge_fields={"FNAME": "Ann"}, tags=["crm"])
    api.call("DELETE", api.member(ANN))
    api.clock.advance(100)
    path = f"{LIST}/members" if verb == "POST" else api.member(ANN)
    back = api.call(verb, path, {"email_address": ANN, "status": "subscribed"}).body
    assert (back["contact_id"], back["tags"], back["merge_fields"]["FNAME"]) == (
        made["contact_id"],
        made["tags"],
        "Ann",
    )
    assert back["timestamp_opt"] == back["last_changed"] == "2026-03-01T12:01:40+00:00"


def test_a_patch_of_an_archived_contact_names_its_status(api: Api) -> None:
    in_state(api, "archived")
    reply = api.call("PATCH", api.member(ANN), {"merge_fields": {"FNAME": "Ann"}})
    assert reply.body["errors"][0]["message"].startswith('This member\'s status is "archived."')


def test_switches_open_what_some_accounts_allow() -> None:
    api = Api(revives_after_own_opt_out=True)
    in_state(api, "archived/self")
    assert put(api, "subscribed").status == 200
    api = Api(cleaned_to_pending=False)
    in_state(api, "cleaned")
    assert put(api, "pending").status == 400


def test_the_person_can_always_sign_up_again_by_a_form(api: Api) -> None:
    in_state(api, "unsubscribed/self")
    api.act("resubscribe", email=ANN)
    assert api.act("view", email=ANN)["status"] == "in"
    api.act("forget", email=ANN)
    assert api.act("view", email=ANN) is None
    api.act("resubscribe", email=ANN)
    assert api.call("GET", api.member(ANN)).body["status"] == "subscribed"


def test_somebody_elses_api_write_is_bound_by_the_same_rules(api: Api) -> None:
    in_state(api, "unsubscribed/adm")
    assert api.act("flip_in", email=ANN) is True
    api.act("unsubscribe", email=ANN)
    assert api.act("flip_in", email=ANN) is False
    assert api.act("flip_in", email=ANN, force=True) is True
