"""Topics never leak, fields merge three-way, and a field update never carries a status."""

from collections.abc import Callable

import pytest

from optsync.model.record import Origin, Status
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("fields merge three ways")

Make = Callable[..., World]
ANN = "ann1@example.com"
BOTH = {"crm_topics": {"news": True, "offers": True}, "esp_topics": {"news": True, "offers": True}}


@pytest.mark.rule("scopes don't leak")
def test_a_topic_switched_off_at_the_esp_is_switched_off_in_the_crm_and_nothing_else(world: Make) -> None:
    w = world(person(1, **BOTH))
    w.sync()
    w.esp.act("set_topic", email=ANN, topic="offers", wanted=False)
    w.sync()

    shows = w.crm_shows(ANN)
    assert shows["topics"]["offers"] is False
    assert shows["topics"]["news"] is True
    assert not shows["opt_out"]
    w.settle()


@pytest.mark.rule("scopes don't leak")
def test_a_topic_switched_off_in_the_crm_is_switched_off_at_the_esp(world: Make) -> None:
    w = world(person(1, **BOTH))
    w.sync()
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    w.sync()

    shows = w.esp_shows(ANN)
    assert shows["topics"]["news"] is False
    assert shows["status"] == Status.IN
    w.settle()


@pytest.mark.rule("scopes don't leak")
def test_a_topic_chosen_at_the_esp_again_reaches_the_crm_where_the_esp_is_trusted(world: Make) -> None:
    w = world(person(1, **BOTH))
    w.sync()
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    w.sync()
    w.wait(hours=1)
    w.esp.act("set_topic", email=ANN, topic="news", wanted=True)
    w.sync()

    assert w.crm_shows(ANN)["topics"]["news"] is True
    w.settle()


@pytest.mark.rule("restrictive wins")
def test_a_topic_ticked_again_in_a_crm_that_is_not_trusted_is_put_back(world: Make) -> None:
    w = world(person(1, **BOTH))
    w.sync()
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    w.sync()
    w.wait(hours=1)
    w.crm.act("set_topic", email=ANN, topic="news", wanted=True)
    w.sync()

    assert w.crm_shows(ANN)["topics"]["news"] is False
    assert w.esp_shows(ANN)["topics"]["news"] is False
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
def test_topics_on_which_both_sides_disagree_when_first_seen_are_off(world: Make) -> None:
    ticked = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, crm_topics={"news": True}, esp_topics={"news": False}), person(2, **ticked))
    w.sync()

    assert w.crm_shows(ANN)["topics"]["news"] is False
    assert w.crm_shows("ann2@example.com")["topics"]["news"] is True
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
def test_a_topic_field_that_is_empty_on_every_record_was_never_asked(world: Make) -> None:
    w = world(person(1, crm_topics={"news": False}, esp_topics={"news": True}))
    w.sync()

    assert w.crm_shows(ANN)["topics"]["news"] is True
    w.settle()


@pytest.mark.rule("scopes don't leak")
def test_an_opt_out_keeps_the_topics_for_a_later_return(world: Make) -> None:
    w = world(person(1, **BOTH))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert w.crm_shows(ANN)["topics"]["offers"] is True
    w.settle()


def test_a_field_changed_on_either_side_reaches_the_other(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.esp.act("set_field", email="ann2@example.com", field="last_name", value="Larsen")
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Tartu"
    assert w.crm_shows("ann2@example.com")["fields"]["last_name"] == "Larsen"
    w.settle()


def test_when_both_sides_changed_a_field_the_configured_side_wins(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.esp.act("set_field", email=ANN, field="city", value="Narva")
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Tartu"
    assert w.crm_shows(ANN)["fields"]["city"] == "Tartu"
    w.settle()


def test_a_mapped_choice_travels_by_its_meaning(world: Make) -> None:
    w = world(person(1, plan="Gold"))
    w.sync()
    w.esp.act("set_field", email=ANN, field="plan", value="Silver")
    w.sync()

    assert w.crm_shows(ANN)["fields"]["plan"] in ("46", "Silver")
    w.settle()


@pytest.mark.rule("fields never carry status")
def test_fields_stop_after_an_opt_out_and_a_long_text_never_bounces(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="ä" * 300)
    w.esp.act("unsubscribe", email="ann2@example.com")
    w.sync()
    w.crm.act("set_field", email="ann2@example.com", field="city", value="Tartu")
    w.sync()

    assert w.crm_shows(ANN)["fields"]["city"] == "ä" * 300
    assert w.esp_shows("ann2@example.com")["fields"]["city"] == "Riga"
    w.settle()


@pytest.mark.rule("list scope limits no restriction")
def test_fields_of_a_contact_outside_the_list_scope_stay(world: Make) -> None:
    w = world(person(1, is_client=False))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
def test_an_archived_member_is_left_as_it_is_and_brought_in_line_on_return(world: Make) -> None:
    w = world(person(1, **BOTH), person(2, **BOTH))
    w.sync()
    w.esp.act("archive", email=ANN)
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    report = w.sync()
    assert [c.kind for c in report.syncs["newsletter"].changes if c.system == "esp"] == []
    w.settle()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["topics"]["news"] is False
    w.settle()


@pytest.mark.rule("no opt-out is lost")
def test_a_topic_is_not_switched_on_again_by_a_consent_from_before_it_was_switched_off(world: Make) -> None:
    w = world(person(1, crm_topics={"news": True}, esp_topics={"news": True}))
    w.sync()
    consented_at = w.clock.now()
    w.wait(hours=1)
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    w.sync()
    w.wait(hours=1)
    w.crm.act("set_topic", email=ANN, topic="news", wanted=True)
    w.crm.act("opt_in", email=ANN, at=consented_at.isoformat())
    w.sync()

    assert not w.crm_shows(ANN)["topics"]["news"]
    assert not w.esp_shows(ANN)["topics"]["news"]
    w.settle()


def _group(w: World, former: str, name: str) -> None:
    """Somebody gives a group of the platform another name."""
    (category,) = w.esp.account.audiences["4c1a9f02bb"].categories.values()  # type: ignore[attr-defined]
    next(each for each in category.interests.values() if each.name == former).name = name
    w.engine = w.compose()


@pytest.mark.rule("absence is no wish")
def test_a_group_that_is_renamed_at_the_platform_switches_nobodys_topic_off(world: Make) -> None:
    both = {"crm_topics": {"offers": True}, "esp_topics": {"offers": True}}
    w = world(person(1, **both), person(2, **both), person(3, **both))
    w.settle()
    _group(w, "Offers", "Special offers")
    w.esp.act("set_field", email="ann1@example.com", field="city", value="Oslo")
    w.sync(full=True)
    w.settle()
    for number in (1, 2, 3):
        assert w.crm_shows(f"ann{number}@example.com")["topics"]["offers"] is True
    _group(w, "Special offers", "Offers")
    w.esp.act("set_topic", email="ann3@example.com", topic="offers", wanted=False)
    w.sync(full=True)
    w.settle()

    shown = [w.crm_shows(f"ann{number}@example.com")["topics"]["offers"] for number in (1, 2, 3)]
    assert shown == [True, True, False]


@pytest.mark.rule("nobody is opted in by accident")
def test_a_group_that_the_platform_comes_to_know_by_its_name_switches_nobodys_topic_on(world: Make) -> None:
    w = world(person(1, **BOTH), person(2, **BOTH))
    _group(w, "Offers", "Special offers")
    w.settle()
    w.crm.act("set_topic", email=ANN, topic="offers", wanted=False)
    w.settle()
    w.wait(hours=1)
    _group(w, "Special offers", "Offers")
    w.esp.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync(full=True)
    w.settle()

    assert w.crm_shows(ANN)["topics"]["offers"] is False
    assert w.esp_shows(ANN)["topics"]["offers"] is False
    assert w.crm_shows("ann2@example.com")["topics"]["offers"] is True


def test_an_edit_of_somebody_who_was_out_from_the_beginning_is_no_conflict_when_they_come_back(world: Make) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.PERSON), person(2))
    w.settle()
    w.esp.act("set_field", email=ANN, field="city", value="Graz")
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["fields"]["city"] == "Graz"
    assert w.esp_shows(ANN)["fields"]["city"] == "Graz"
    w.settle()
