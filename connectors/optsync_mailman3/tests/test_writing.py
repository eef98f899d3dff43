import re
from collections.abc import Iterator

import pytest
import requests
import responses

from optsync.errors import CredentialsRefused
from optsync.model.change import Fact, Result, Write, WriteKind
from optsync.model.record import Status
from optsync_mailman3.tests.installation import (
    BASE,
    LIST,
    SPEC,
    asked_to_leave,
    bodies,
    collection,
    connector,
    row,
    shows,
    waiting,
)

ROSTER = f"{BASE}/lists/{LIST}/roster/member"
ANNA = "anna@example.com"


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def _status(email: str, status: Status) -> Write:
    restrictive = status is Status.OUT
    return Write(
        key=email, kind=WriteKind.STATUS, collection=LIST, record=email, status=status, restrictive=restrictive
    )


def _create(email: str, status: Status = Status.IN, *, name: str | None = None) -> Write:
    fields = {"display_name": name} if name else {}
    return Write(key=email, kind=WriteKind.CREATE, collection=LIST, address=email, status=status, fields=fields)


def test_many_people_leave_in_one_call(server: responses.RequestsMock) -> None:
    people = [f"p{number}@example.com" for number in range(150)]
    server.delete(ROSTER, json={**dict.fromkeys(people, True), "http_etag": '"x"'})
    outcomes = connector().write([_status(person, Status.OUT) for person in people], SPEC)
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED] * 150
    assert {outcome.record.status for outcome in outcomes if outcome.record} == {Status.ABSENT}
    assert len(server.calls) == 1


def test_an_answer_that_was_cut_off_says_nothing_and_the_opt_out_is_repeated(server: responses.RequestsMock) -> None:
    server.delete(ROSTER, body=f'{{"{ANNA}": tr')
    server.delete(ROSTER, json={ANNA: True})
    (outcome,) = connector().write([_status(ANNA, Status.OUT)], SPEC)
    assert outcome.result is Result.APPLIED


def test_somebody_who_was_no_member_is_the_same(server: responses.RequestsMock) -> None:
    server.delete(ROSTER, json={ANNA: False})
    shows(server, ANNA)
    waiting(server)
    (outcome,) = connector().write([_status(ANNA, Status.OUT)], SPEC)
    assert (outcome.result, outcome.record and outcome.record.status) == (Result.SAME, Status.ABSENT)


def test_restrictive_writes_go_first_and_outcomes_keep_the_order_asked(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=201)
    server.delete(ROSTER, json={ANNA: True})
    outcomes = connector().write([_create("bert@example.com"), _status(ANNA, Status.OUT)], SPEC)
    assert [outcome.key for outcome in outcomes] == ["bert@example.com", ANNA]
    assert [call.request.method for call in server.calls] == ["DELETE", "POST"]


def test_a_subscription_is_silent(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=201)
    server.patch(f"{BASE}/addresses/{ANNA}", status=204)
    (outcome,) = connector().write([_create("Anna@Example.com", name="A")], SPEC)
    assert (outcome.result, outcome.record_id) == (Result.APPLIED, ANNA)
    (body,) = bodies(server, "POST")
    assert body == {
        "list_id": LIST,
        "subscriber": "Anna@Example.com",
        "display_name": "A",
        "pre_verified": True,
        "pre_confirmed": True,
        "pre_approved": True,
        "send_welcome_message": False,
    }


def test_somebody_whose_address_mailman_knew_by_another_name_gets_the_new_one(server: responses.RequestsMock) -> None:
    """Of its own accord Mailman keeps the old one, which would pass for an edit when it is read."""
    server.post(f"{BASE}/members", status=201)
    server.patch(f"{BASE}/addresses/{ANNA}", status=204)
    (outcome,) = connector().write([_create(ANNA, name="Anna")], SPEC)
    assert outcome.record
    assert dict(outcome.record.fields) == {"display_name": "Anna"}
    assert bodies(server, "PATCH") == [{"display_name": "Anna"}]


@pytest.mark.parametrize("email", [ANNA, "an/na@example.com"])
def test_a_name_that_mailman_does_not_take_is_shown_as_it_is(server: responses.RequestsMock, email: str) -> None:
    server.post(f"{BASE}/members", status=201)
    server.patch(f"{BASE}/addresses/{ANNA}", status=400, json={"description": "no"})
    server.get(f"{BASE}/members/find", json=collection([row(email, "m1", "Old")]))
    asked_to_leave(server)
    server.get(f"{BASE}/members/m1/all/preferences", json={"delivery_status": "enabled"})
    (outcome,) = connector().write([_create(email, name="Anna")], SPEC)
    assert outcome.record
    assert (outcome.result, dict(outcome.record.fields)) == (Result.APPLIED, {"display_name": "Old"})


def test_who_is_invited_under_an_address_that_mailman_does_not_know_has_the_name_of_the_invitation(
    server: responses.RequestsMock,
) -> None:
    server.post(f"{BASE}/members", status=202, json={"token": "t", "token_owner": "subscriber"})
    server.patch(f"{BASE}/addresses/{ANNA}", status=404, json={"title": "404 Not Found"})
    (outcome,) = connector().write([_create(ANNA, Status.PENDING, name="Anna")], SPEC)
    assert outcome.record
    assert (outcome.record.status, dict(outcome.record.fields)) == (Status.PENDING, {"display_name": "Anna"})
    assert len(server.calls) == 2


def test_a_created_member_whose_name_nobody_knows_is_not_called_done_nor_failed(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=201)
    server.patch(f"{BASE}/addresses/{ANNA}", status=503)
    (outcome,) = connector().write([_create(ANNA, name="Anna")], SPEC)
    assert outcome.result is Result.UNKNOWN


def test_who_is_subscribed_again_is_shown_under_no_name_that_nobody_looked_up(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=201)
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert outcome.record
    assert (outcome.result, dict(outcome.record.fields)) == (Result.APPLIED, {})
    assert len(server.calls) == 1


def test_asking_is_an_invitation_and_never_a_subscription(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=202, json={"token": "t", "token_owner": "subscriber"})
    (outcome,) = connector().write([_create(ANNA, Status.PENDING)], SPEC)
    assert (outcome.result, outcome.record and outcome.record.status) == (Result.APPLIED, Status.PENDING)
    (body,) = bodies(server, "POST")
    assert body["invitation"] is True
    assert not any(key.startswith("pre_") for key in body)


def test_a_create_never_changes_a_paused_member(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="by_user")
    (outcome,) = connector().write([_create(ANNA)], SPEC)
    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.EXISTS)
    assert outcome.record
    assert outcome.record.status is Status.OUT
    assert bodies(server, "PATCH") == []


def test_a_paused_member_is_resumed_on_all_memberships(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="by_user", m2="by_moderator")
    for member_id in ("m1", "m2"):
        server.patch(f"{BASE}/members/{member_id}/preferences", status=204)
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert outcome.result is Result.APPLIED
    assert bodies(server, "PATCH") == [{"delivery_status": "enabled"}] * 2


def test_somebody_who_is_in_already_is_the_same(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="enabled")
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert outcome.result is Result.SAME


def test_a_member_suspended_for_bounces_is_left_to_the_administrators(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="by_bounces")
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert (outcome.result, outcome.fact) == (Result.REFUSED, Fact.UNDELIVERABLE)
    assert bodies(server, "PATCH") == []


@pytest.mark.parametrize(
    ("description", "result", "fact"),
    [
        ("Membership is banned", Result.REFUSED, Fact.BANNED),
        ('Invalid Parameter "subscriber": .', Result.INVALID, None),
        ("No such list", Result.FAILED, None),
    ],
)
def test_a_refusal_is_a_fact(
    server: responses.RequestsMock, description: str, result: Result, fact: Fact | None
) -> None:
    server.post(f"{BASE}/members", status=400, json={"title": "400 Bad Request", "description": description})
    (outcome,) = connector().write([_create(ANNA)], SPEC)
    assert (outcome.result, outcome.fact, outcome.message) == (result, fact, description)


def test_a_subscription_whose_answer_is_lost_is_unknown_and_not_sent_again(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", body=requests.ConnectionError("Connection aborted."))
    (outcome,) = connector().write([_create(ANNA)], SPEC)
    assert outcome.result is Result.UNKNOWN
    assert len(server.calls) == 1


def test_an_unsubscription_whose_answer_is_lost_is_sent_again(server: responses.RequestsMock) -> None:
    server.delete(ROSTER, body=requests.ReadTimeout("slow"))
    server.delete(ROSTER, json={ANNA: False})
    shows(server, ANNA)
    waiting(server)
    (outcome,) = connector().write([_status(ANNA, Status.OUT)], SPEC)
    assert outcome.result is Result.SAME


def test_one_lost_answer_stops_only_its_own_write(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", body=requests.ConnectionError("Connection aborted."))
    server.post(f"{BASE}/members", status=201)
    outcomes = connector().write([_create(ANNA), _create("bert@example.com")], SPEC)
    assert [outcome.result for outcome in outcomes] == [Result.UNKNOWN, Result.APPLIED]


def test_when_mailman_fails_half_way_the_rest_is_not_sent(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=201)
    server.post(f"{BASE}/members", status=401, json={"title": "401 Unauthorized"})
    outcomes = connector().write([_create(ANNA), _create("bert@example.com"), _create("carl@example.com")], SPEC)
    assert [outcome.result for outcome in outcomes] == [Result.APPLIED, Result.FAILED, Result.FAILED]
    assert len(server.calls) == 2


def test_credentials_refused_before_the_first_write_are_raised(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=401, json={"title": "401 Unauthorized"})
    with pytest.raises(CredentialsRefused):
        connector().write([_create(ANNA)], SPEC)


def test_a_field_write_touches_the_name_and_nothing_else(server: responses.RequestsMock) -> None:
    server.patch(f"{BASE}/addresses/{ANNA}", status=204)
    write = Write(key="k", kind=WriteKind.FIELDS, collection=LIST, record=ANNA, fields={"display_name": "Anna Ö"})
    (outcome,) = connector().write([write], SPEC)
    assert outcome.result is Result.APPLIED
    assert [call.request.url for call in server.calls] == [f"{BASE}/addresses/{ANNA}"]
    assert bodies(server, "PATCH") == [{"display_name": "Anna Ö"}]


def test_a_domain_that_is_not_ascii_is_sent_in_its_ascii_form(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=201)
    (outcome,) = connector().write([_create("Anna@Bücher.example")], SPEC)
    assert outcome.record_id == "anna@xn--bcher-kva.example"
    assert [body["subscriber"] for body in bodies(server, "POST")] == ["anna@xn--bcher-kva.example"]


@pytest.mark.parametrize("fields", [{"display_name": None}, {"city": "Oslo"}])
def test_a_field_that_cannot_be_written_is_named(server: responses.RequestsMock, fields: dict[str, str | None]) -> None:
    write = Write(key="k", kind=WriteKind.FIELDS, collection=LIST, record=ANNA, fields=fields)
    (outcome,) = connector().write([write], SPEC)
    assert (outcome.result, outcome.field) == (Result.INVALID, next(iter(fields)))
    assert len(server.calls) == 0


def test_what_a_list_cannot_hold_is_refused_without_a_call(server: responses.RequestsMock) -> None:
    topic = Write(key="k", kind=WriteKind.TOPICS, collection=LIST, record=ANNA, topics={"offers": False})
    outcomes = connector().write([topic, _status(ANNA, Status.ARCHIVED)], SPEC)
    assert [outcome.fact for outcome in outcomes] == [Fact.NOT_ALLOWED] * 2
    assert len(server.calls) == 0


@pytest.mark.parametrize("second", [404, 503, 401], ids=["has left", "broken", "refused"])
def test_a_member_who_was_resumed_on_one_membership_is_never_called_failed(
    server: responses.RequestsMock, second: int
) -> None:
    """They are mailed again: called failed, it would later pass for their own opt-in."""
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="by_user", m2="by_user")
    server.patch(f"{BASE}/members/m1/preferences", status=204)
    server.patch(f"{BASE}/members/m2/preferences", status=second, json={"title": str(second)})
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert outcome.result is (Result.APPLIED if second == 404 else Result.UNKNOWN)


def test_nobody_to_resume_is_a_failure(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="by_user")
    server.patch(f"{BASE}/members/m1/preferences", status=404, json={"title": "404 Not Found"})
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert outcome.result is Result.FAILED


def test_a_later_opt_in_takes_the_waiting_request_to_leave_off_the_moderators_desk(
    server: responses.RequestsMock,
) -> None:
    """Else it would end the membership that the person has asked for since."""
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    asked_to_leave(server, {"email": ANNA, "token": "t1", "token_owner": "moderator"})
    asked_to_leave(server, {"email": ANNA, "token": "t1", "token_owner": "moderator"})
    shows(server, ANNA, m1="enabled")
    server.post(f"{BASE}/lists/{LIST}/requests/t1", status=204)
    server.patch(f"{BASE}/members/m1/preferences", status=204)
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert (outcome.result, outcome.record and outcome.record.status) == (Result.APPLIED, Status.IN)
    assert {"action": "discard"} in bodies(server, "POST")


@pytest.mark.parametrize("status", [Status.IN, Status.PENDING, Status.OUT])
def test_a_gateways_answer_says_nothing_about_a_write(server: responses.RequestsMock, status: Status) -> None:
    """Called failed, a subscription that was made all the same would later pass for the person's own."""
    for method in ("POST", "DELETE"):
        server.add(method, re.compile(".*"), json={})
    (outcome,) = connector().write([_status(ANNA, status)], SPEC)
    assert outcome.result is Result.UNKNOWN


def test_a_gateways_answer_does_not_mean_that_a_pause_has_ended(server: responses.RequestsMock) -> None:
    server.post(f"{BASE}/members", status=409, json={"description": "Member already subscribed"})
    shows(server, ANNA, m1="by_user")
    server.patch(f"{BASE}/members/m1/preferences", json={})
    (outcome,) = connector().write([_status(ANNA, Status.IN)], SPEC)
    assert outcome.result is Result.UNKNOWN
