"""Another policy shows in no reading: everybody is looked at again, and what it comes to passes the guard as ever."""

import pytest

from optsync.model.record import Status
from optsync.sync.administer import opt_out
from tests.scenarios.plans import LIMIT, MANY, Make, crowd, held, part
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("list scope limits no restriction")
ANN, BEN = MANY[:2]


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("direction", ["crm_to_esp", "esp_to_crm"])
def test_what_a_direction_held_up_travels_once_it_is_switched_on(world: Make, direction: str) -> None:
    w = world(person(1), person(2), changes={"opt_out": {direction: False}})
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.esp.act("unsubscribe", email=BEN)
    w.sync()
    w.reconfigure(lambda sync: sync.pop("opt_out"))
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(BEN)["opt_out"] is True


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("direction", ["crm_to_esp", "esp_to_crm"])
def test_a_newer_opt_out_that_does_not_travel_holds_up_no_other(world: Make, direction: str) -> None:
    w = world(person(1), person(2), changes={"opt_out": {direction: False}})
    w.sync()
    for email in (ANN, BEN):
        opt_out(w.engine, email, scope="*", actor="Olga")
    w.crm.act("opt_out", email=ANN)
    w.esp.act("unsubscribe", email=BEN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(BEN)["opt_out"] is True
    w.settle()


def _two_contacts(make: Make) -> World:
    """Ann is in a contact of her own and, as its second address, in Bo's."""
    w = make(person(1), person(2, addresses=("bo@example.com", ANN)), changes={"opt_out": {"esp_to_crm": False}})
    w.sync()
    return w


@pytest.mark.rule("no opt-out is lost")
def test_a_contact_shows_the_opt_out_of_its_second_address_whatever_does_not_travel(world: Make) -> None:
    w = _two_contacts(world)
    w.esp.act("unsubscribe", email="bo@example.com")
    opt_out(w.engine, ANN, scope="*", actor="Olga")
    w.sync()

    assert w.crm_shows("bo@example.com")["opt_out"] is True
    w.settle()


@pytest.mark.rule("no opt-out is lost")
def test_a_contact_shows_what_another_one_of_its_address_says_whatever_does_not_travel(world: Make) -> None:
    w = _two_contacts(world)
    w.crm.act("opt_out", email="bo@example.com")
    w.wait(minutes=1)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert all(view["opt_out"] is True for view in w.crm.act("view", email=ANN, all=True))
    w.settle()


def test_who_was_not_to_enter_the_list_enters_it_when_that_is_wanted(world: Make) -> None:
    w = world(person(1, in_esp=False, opt_in=True, consent_at=START), person(2), policy={"enter": "skip"})
    w.sync()
    w.reconfigure(lambda sync: sync["policy"].update(enter="subscribe"))
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN


def _leave(w: World, *people: str) -> None:
    for email in people:
        w.crm.act("edit", id=w.crm_id(email), fields={"TYPE_ID": "SUPPLIER"})
    w.sync()


def test_who_has_left_the_list_before_is_archived_when_leavers_are(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    _leave(w, ANN)
    w.reconfigure(lambda sync: sync["policy"].update(leave="archive"))
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert w.esp_shows(BEN)["status"] == Status.IN


@pytest.mark.rule("suspicious volume stops")
def test_much_that_another_policy_comes_to_waits_for_a_person(world: Make) -> None:
    w = crowd(world, guard={"archives": LIMIT})
    _leave(w, *MANY[:4])
    w.reconfigure(lambda sync: sync["policy"].update(leave="archive"))

    assert [reason["kind"] for reason in part(w.sync()).held_for] == ["archives"]
    assert len(held(w)) == 1
