"""Who belongs to the list: entering, leaving, coming back. It never limits restrictions."""

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.record import Status
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("list scope limits no restriction")

Make = Callable[..., World]
ANN = "ann1@example.com"


def _move(w: World, to: str) -> None:
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": to})


@pytest.mark.parametrize("leave", ["keep", "archive", "tag"])
def test_leaving_the_list_does_what_the_policy_says_once(world: Make, leave: str) -> None:
    w = world(person(1), policy={"leave": leave})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()

    shows = w.esp_shows(ANN)
    assert shows["status"] == (Status.ARCHIVED if leave == "archive" else Status.IN)
    assert ("left list" in shows["tags"]) is (leave == "tag")
    w.settle()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    w.settle()


@pytest.mark.parametrize("side", ["crm", "esp"])
def test_a_topic_that_is_ticked_later_out_of_the_list_is_no_disagreement(world: Make, side: str) -> None:
    on = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    trust = {"grants": {"status": "evidence", "topics": "evidence"}}
    w = world(person(1, is_client=False), person(2, **on))
    w.reconfigure(lambda sync: sync["esp"].update(trust))
    w.sync()
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    w.sync()
    (w.crm if side == "crm" else w.esp).act("set_topic", email=ANN, topic="news", wanted=True)
    w.sync()

    assert (w.crm_shows(ANN)["topics"]["news"], w.esp_shows(ANN)["topics"]["news"]) == (True, True)
    w.settle()


def test_topics_that_disagree_out_of_the_list_when_the_second_of_both_is_first_seen_are_off(world: Make) -> None:
    on = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, is_client=False, in_esp=False, crm_topics={"news": True}), person(2, **on))
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert w.crm_shows(ANN)["topics"]["news"] is False
    w.settle()


def test_somebody_who_comes_back_loses_the_tag(world: Make) -> None:
    w = world(person(1), policy={"leave": "tag"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    _move(w, "CLIENT")
    w.sync()

    assert w.esp_shows(ANN)["tags"] == []
    w.settle()


def test_a_member_archived_by_optsync_returns_if_the_person_still_is_in(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    _move(w, "CLIENT")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


def test_what_was_edited_while_a_member_was_away_travels_once_they_are_back(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    _move(w, "CLIENT")
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    w.settle()


def test_a_member_archived_by_people_stays_archived(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    w.sync()
    w.esp.act("archive", email=ANN)
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    _move(w, "CLIENT")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.settle()


@pytest.mark.parametrize("is_read_between", [True, False])
def test_a_member_whom_optsync_tagged_and_people_archived_stays_archived(world: Make, is_read_between: bool) -> None:
    w = world(person(1), policy={"leave": "tag", "existing": "legacy_grant"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    w.esp.act("archive", email=ANN)
    if is_read_between:
        w.sync()
    _move(w, "CLIENT")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.settle()


def test_a_member_whom_people_put_back_while_away_and_archived_again_stays_archived(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.settle()
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.wait(hours=1)
    w.esp.act("archive", email=ANN)
    w.sync()
    _move(w, "CLIENT")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED


def test_an_opt_out_while_away_keeps_a_member_from_returning(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    _move(w, "CLIENT")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.settle()


def test_members_that_optsync_never_joined_are_not_touched(world: Make) -> None:
    w = world(person(1, is_client=False), policy={"leave": "archive"})
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


def test_who_is_created_in_the_crm_has_their_topics_and_the_proof_of_their_consent_from_the_start(world: Make) -> None:
    ann = person(1, in_crm=False, opted_in_at=START - timedelta(days=3), esp_topics={"news": True, "offers": False})
    w = world(ann, person(2), policy={"esp_only": "create_in_crm"})
    w.sync()

    shows = w.crm_shows(ANN)
    assert (shows["opt_in"], shows["topics"]["news"], shows["topics"]["offers"]) == (True, True, False)
    assert w.crm.act("dump", id=w.crm_id(ANN))["UF_CRM_CONSENT_DATE"]
    w.rest()


def test_people_known_to_the_esp_only_are_created_in_the_crm_on_request(world: Make) -> None:
    w = world(person(1, in_crm=False), person(2), policy={"esp_only": "create_in_crm"})
    w.sync()

    shows = w.crm_shows(ANN)
    assert shows["fields"]["first_name"] == "Ann1"
    w.settle()
    assert w.crm.act("dump", id=w.crm_id(ANN))["TYPE_ID"] == "CLIENT"


@pytest.mark.parametrize("leave", ["archive", "tag"])
def test_a_member_stays_whose_new_address_is_that_of_somebody_on_the_list(world: Make, leave: str) -> None:
    w = world(person(1), policy={"leave": leave})
    w.sync()
    w.esp.act("change_address", email=ANN, to="ben@example.com")
    now = w.clock.now()
    ben = person(2, addresses=("ben@example.com",), in_esp=False, opt_in=True, consent_at=now, created_at=now)
    w.crm.populate([ben])
    _move(w, "SUPPLIER")
    w.sync()

    assert w.esp_shows("ben@example.com")["status"] == Status.IN
    assert "left list" not in w.esp_shows("ben@example.com")["tags"]
    w.settle()


def _with_suppliers(w: World) -> None:
    """Suppliers have a list of their own, of the same audience."""

    def add(sync: dict[str, Any]) -> None:
        suppliers = copy.deepcopy(sync)
        suppliers["crm"]["where"] = {"TYPE_ID": "SUPPLIER"}
        w.document["syncs"]["suppliers"] = suppliers

    w.reconfigure(add)


def test_who_moves_from_one_list_of_an_audience_to_another_stays_a_member(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive"})
    _with_suppliers(w)
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.rest()

    _move(w, "PARTNER")
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.rest()


def test_a_member_archived_by_one_list_of_an_audience_returns_on_another(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    _with_suppliers(w)
    w.sync()
    for _ in range(2):
        _move(w, "PARTNER")
        w.sync()
        assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
        _move(w, "SUPPLIER")
        w.sync()
        w.sync()
        assert w.esp_shows(ANN)["status"] == Status.IN
        _move(w, "PARTNER")
        w.sync()
        assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
        _move(w, "CLIENT")
        w.sync()
        w.sync()
        assert w.esp_shows(ANN)["status"] == Status.IN


def test_a_member_that_returned_on_another_list_and_was_archived_by_people_stays_archived(world: Make) -> None:
    w = world(person(1), policy={"leave": "archive", "existing": "legacy_grant"})
    _with_suppliers(w)
    w.sync()
    _move(w, "PARTNER")
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    w.sync()
    w.esp.act("archive", email=ANN)
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED


def test_a_member_stays_while_a_record_of_another_sync_belongs_to_its_list(world: Make) -> None:
    lead = person(2, addresses=(ANN,), crm_entity="lead", in_esp=False)
    w = world(person(1), lead, policy={"leave": "archive"})

    def add(sync: dict[str, Any]) -> None:
        leads = copy.deepcopy(sync)
        leads["crm"] |= {"entity": "lead", "where": {"STATUS_ID": "NEW"}}
        w.document["syncs"]["leads"] = leads

    w.reconfigure(add)
    w.crm.act("edit", id=1, entity="lead", fields={"STATUS_ID": "NEW"})
    w.sync()
    w.sync()
    w.crm.act("edit", id=1, fields={"TYPE_ID": "SUPPLIER"})
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.rest()

    w.crm.act("edit", id=1, entity="lead", fields={"STATUS_ID": "JUNK"})
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED


def test_a_tag_of_one_list_of_an_audience_goes_on_another(world: Make) -> None:
    w = world(person(1), policy={"leave": "tag"})
    _with_suppliers(w)
    w.sync()
    for to in ("SUPPLIER", "CLIENT"):
        _move(w, "PARTNER")
        w.sync()
        assert w.esp_shows(ANN)["tags"] == ["left list"]
        _move(w, to)
        w.sync()
        w.sync()
        assert w.esp_shows(ANN)["tags"] == []


def test_a_tag_is_not_forgotten_over_the_return_of_whom_another_list_archived(world: Make) -> None:
    w = world(person(1), policy={"leave": "tag", "existing": "legacy_grant"})
    _with_suppliers(w)
    w.document["syncs"]["suppliers"]["policy"]["leave"] = "archive"
    w.reconfigure(lambda _: None)
    w.sync()
    for to in ("SUPPLIER", "PARTNER", "CLIENT"):
        _move(w, to)
        w.sync()
        w.sync()
    w.sync()

    shows = w.esp_shows(ANN)
    assert (shows["status"], shows["tags"]) == (Status.IN, [])
