"""Another policy shows in no reading: everybody is looked at again, and what it comes to passes the guard as ever."""

import pytest

from optsync.model.record import Status
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
