import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import requests

from optsync.connect.mock import MockRequest, MockTransport
from optsync_bitrix24.mock import Bitrix24Mock
from optsync_bitrix24.tests.mock_calls import JSON, Portal, nobody, person


def test_people_become_records_with_typed_addresses_and_their_own_times() -> None:
    at = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    topics = {"news": True, "offers": False}
    ann = person(1, "Ann@Example.com", "ann@example.org", "a3@example.net", created_at=at, consent_at=at, city="Oslo")
    portal = Portal(ann, person(2, is_client=False, crm_topics=topics, phone="+4712345"), person(3, in_crm=False))
    shown, other = portal.contact(1), portal.contact(2)
    assert [(row["VALUE_TYPE"], row["VALUE"]) for row in shown["EMAIL"]] == [
        ("WORK", "Ann@Example.com"),
        ("HOME", "ann@example.org"),
        ("OTHER", "a3@example.net"),
    ]
    assert shown["DATE_CREATE"] == shown["DATE_MODIFY"] == shown["UF_CRM_CONSENT_DATE"] == "2020-01-02T05:04:05+02:00"
    assert (shown["TYPE_ID"], other["TYPE_ID"]) == ("CLIENT", "SUPPLIER")
    assert (other["UF_CRM_TOPIC_NEWS"], other["UF_CRM_TOPIC_OFFERS"], other["UF_CRM_TOPIC_EVENTS"]) == ("1", "0", None)
    assert (shown["HAS_PHONE"], other["HAS_PHONE"]) == ("N", "Y")
    assert portal.mock.act("count") == {"records": 2}


def test_the_configuration_reaches_the_portal_over_http() -> None:
    portal = Portal(person(1))
    base = "http://bitrix24.example"
    session = requests.Session()
    session.mount("http://", MockTransport({base: portal.mock}))
    config = portal.mock.config(base)
    answer = session.post(f"{config.system['webhook_url']}crm.contact.list.json", json={"filter": config.side["where"]})
    assert [row["NAME"] for row in answer.json()["result"]] == ["First1"]
    known = portal.result("crm.contact.fields")
    named = {*config.fields.values(), *config.side["topics"].values(), *config.side["consent"].values()}
    assert named <= known.keys()
    assert {item["VALUE"]: item["ID"] for item in known["UF_CRM_PLAN"]["items"]} == config.plan_values


def test_a_view_speaks_neutral_words() -> None:
    portal = Portal(person(1, "Ann@Example.com", city="Oslo", plan="Silver", opt_in=True, crm_topics={"news": True}))
    assert portal.mock.act("view", email="ann@example.com") == {
        "address": "Ann@Example.com",
        "opt_out": False,
        "opt_in": True,
        "topics": {"news": True, "offers": False, "events": False},
        "fields": {"first_name": "First1", "last_name": "Last1", "city": "Oslo", "plan": "Silver"},
    }
    assert portal.mock.act("view", email="nobody@example.com") is None


@pytest.mark.parametrize(
    ("action", "arguments", "field", "expected"),
    [
        ("opt_out", {}, "UF_CRM_OPT_OUT", "1"),
        ("opt_in", {"at": "2026-11-20T00:00:00Z"}, "UF_CRM_CONSENT_DATE", "2026-11-20T02:00:00+02:00"),
        ("opt_in", {}, "UF_CRM_OPT_OUT", "0"),
        ("set_topic", {"topic": "offers", "wanted": True}, "UF_CRM_TOPIC_OFFERS", "1"),
        ("set_field", {"field": "last_name", "value": "Zed"}, "LAST_NAME", "Zed"),
        ("set_field", {"field": "plan", "value": "Gold"}, "UF_CRM_PLAN", "45"),
    ],
)
def test_an_action_is_another_users_edit(action: str, arguments: dict[str, Any], field: str, expected: str) -> None:
    portal = Portal(person(1))
    portal.result("crm.contact.update", id=1, fields={"UF_CRM_OPT_OUT": "Y"})
    portal.clock.advance(60)
    portal.mock.act(action, email="P1@EXAMPLE.com", **arguments)
    shown = portal.contact()
    assert (shown[field], shown["MODIFY_BY_ID"]) == (expected, "1")
    assert shown["DATE_MODIFY"] == "2026-11-21T10:27:40+02:00"


def test_of_several_holders_the_first_is_meant_unless_all_are() -> None:
    portal = Portal(person(1, "x@example.com"), person(2, "X@example.com"), person(3, "x@example.com"))
    portal.mock.act("opt_out", email="x@example.com")
    assert [portal.contact(i)["UF_CRM_OPT_OUT"] for i in (1, 2, 3)] == ["1", None, None]
    portal.mock.act("opt_out", email="x@example.com", all=True)
    assert [portal.contact(i)["UF_CRM_OPT_OUT"] for i in (1, 2, 3)] == ["1", "1", "1"]
    with pytest.raises(KeyError):
        portal.mock.act("opt_out", email="nobody@example.com")
    with pytest.raises(KeyError):
        portal.mock.act("dance")
    with pytest.raises(KeyError):
        portal.mock.act("edit", id=1, fields={"DATE_MODIFY": "2020-01-01"})


def test_a_restored_record_has_a_new_id() -> None:
    portal = Portal(person(1), person(2))
    assert portal.mock.act("delete", email="p1@example.com") == [1]
    assert portal.error("crm.contact.get", id=1)[2] == "Not found"
    assert portal.mock.act("restore", id=1) == 3
    assert portal.contact(3)["EMAIL"][0]["VALUE"] == "p1@example.com"
    assert portal.result("crm.contact.delete", id=2) is True
    assert portal.mock.act("restore", id=2) == 4


def test_a_merge_by_hand_keeps_the_survivors_answer_and_unites_addresses() -> None:
    portal = Portal(person(1), person(2, opt_out=True, city="Oslo"))
    portal.mock.act("edit", id=1, fields={"UF_CRM_OPT_OUT": "N"})
    portal.mock.act("merge", keep="p1@example.com", lose=2)
    assert (portal.contact(1)["UF_CRM_OPT_OUT"], portal.contact(1)["UF_CRM_CITY"]) == ("0", "Oslo")
    assert [row["VALUE"] for row in portal.contact(1)["EMAIL"]] == ["p1@example.com", "p2@example.com"]
    assert portal.error("crm.contact.get", id=2)[0] == 400


def test_a_merge_over_the_api_refuses_two_different_answers() -> None:
    same = {"first_name": "Ann", "last_name": "Lee"}
    portal = Portal(person(1, **same), person(2, **same, opt_out=True), person(3))

    def merge(*ids: int) -> Any:
        return portal.result("crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": list(ids)})

    assert merge(1, 3) == {"STATUS": "CONFLICT", "ENTITY_IDS": []}
    assert merge(1, 2) == {"STATUS": "SUCCESS", "ENTITY_IDS": [2]}
    assert portal.contact(1)["UF_CRM_OPT_OUT"] == "1"
    assert portal.error("crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": [1]})[1] == 0


def test_addresses_are_added_and_changed_by_hand() -> None:
    portal = Portal(person(1))
    portal.mock.act("add_address", email="p1@example.com", address="new@example.org")
    portal.mock.act("change_address", email="p1@example.com", to="moved@example.com")
    rows = [(row["VALUE_TYPE"], row["VALUE"]) for row in portal.contact()["EMAIL"]]
    assert rows == [("WORK", "moved@example.com"), ("HOME", "new@example.org")]
    assert portal.result("crm.contact.list", filter={"EMAIL": "p1@example.com"}) == []
    made = portal.mock.act("create", email="c@example.com", first_name="Cy", crm_entity="lead", opt_in=True)
    assert portal.result("crm.lead.get", id=made)["UF_CRM_OPT_IN"] == "1"


def test_duplicates_are_found_exactly_and_without_case() -> None:
    shared = [person(1, "Ann@Example.com"), person(2, "ann@example.com", crm_entity="company"), nobody(3)]
    portal = Portal(*shared)

    def found(**params: Any) -> Any:
        return portal.result("crm.duplicate.findbycomm", type="EMAIL", **params)

    assert found(values=["ANN@example.com"]) == {"CONTACT": [1], "COMPANY": [1]}
    assert found(values=["ann@example.com"], entity_type="CONTACT") == {"CONTACT": [1]}
    assert found(values=["nobody@example.com"]) == []
    assert portal.error("crm.duplicate.findbycomm")[1] == "Communication type is not defined"
    assert portal.error("crm.duplicate.findbycomm", type="EMAIL")[1] == "Communication values is not defined"


def test_more_than_twenty_duplicates_are_cut_and_hide_further_types() -> None:
    crowd = [person(i, "x@example.com") for i in range(25)]
    portal = Portal(*crowd, person(99, "x@example.com", crm_entity="company"))
    hits = portal.result("crm.duplicate.findbycomm", type="EMAIL", values=["x@example.com"])
    assert {kind: len(found) for kind, found in hits.items()} == {"CONTACT": 20}


def test_an_unsubscribe_in_the_mailing_tool_is_invisible() -> None:
    portal = Portal(person(1))
    before = portal.contact(), portal.mock.act("view", email="p1@example.com")
    portal.mock.act("marketing_unsubscribe", email="p1@example.com")
    assert (portal.contact(), portal.mock.act("view", email="p1@example.com")) == before


def test_a_comment_moves_the_activity_and_not_the_modification() -> None:
    portal = Portal(person(1))
    portal.clock.advance(5)
    fields = {"ENTITY_ID": 1, "ENTITY_TYPE": "contact", "COMMENT": "Opted out by link"}
    assert portal.result("crm.timeline.comment.add", fields=fields) == 1
    shown = portal.contact()
    assert (shown["DATE_MODIFY"], shown["LAST_ACTIVITY_TIME"]) == (
        "2026-11-21T10:26:40+02:00",
        "2026-11-21T10:26:45+02:00",
    )
    assert portal.error("crm.timeline.comment.add", FIELDS=fields)[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("crm.contact.list", {}, False),
        ("crm.contact.userfield.list.json", {}, False),
        ("crm.contact.Update.json", {}, True),
        ("crm.item.add", {}, True),
        ("crm.entity.mergeBatch", {}, True),
        ("batch", {"cmd": {"a": "crm.contact.list", "b": "crm.contact.get?id=1"}}, False),
        ("batch.json", {"cmd": ["crm.contact.list", "crm.contact.update?id=1"]}, True),
    ],
)
def test_a_write_is_told_from_a_read(path: str, body: dict[str, Any], expected: bool) -> None:
    mock = Portal().mock
    request = MockRequest(method="POST", path=f"/rest/7/x/{path}", headers=JSON, body=msgspec.json.encode(body))
    assert mock.is_write(request) is expected


def test_one_seed_makes_one_portal() -> None:
    portal = Portal()
    again = Bitrix24Mock(clock=portal.clock, rng=random.Random(7))
    assert again.config("").system == portal.mock.config("").system
    with pytest.raises(TypeError):
        Bitrix24Mock(clock=portal.clock, rng=random.Random(7), nonsense=1)
