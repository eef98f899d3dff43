"""A system says that it has written, and has not. What is still there then is nobody's word."""

from collections.abc import Callable

import pytest

from optsync.model.record import Status
from optsync.sync.explain import explain
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("nobody is opted in by accident")

Make = Callable[..., World]
ANN = "ann1@example.com"
SCOPE = "acme/marketing"
TRUSTED = {"status": "trusted", "topics": "trusted"}


def _trusting(world: Make) -> World:
    """Who flips a flag of the CRM back, or ticks a topic on either side, is taken for the person."""
    w = world(person(1, opt_in=True, crm_topics={"news": True}, esp_topics={"news": True}))
    w.reconfigure(lambda sync: sync["crm"].update(grants=TRUSTED))
    w.settle()
    return w


def _fields_set_aside(w: World) -> set[str | None]:
    with w.store.reading() as unit:
        return {issue.field for issue in unit.issues.list(kind="quarantined_field")}


def test_an_opt_out_that_the_crm_did_not_take_is_not_lifted_by_what_it_still_shows(world: Make) -> None:
    flags = ("UF_CRM_OPT_OUT", "UF_CRM_OPT_IN")
    w = _trusting(world)
    for flag in flags:
        w.crm.act("keep_field", field=flag)
    w.esp.act("unsubscribe", email=ANN)
    for _ in range(3):
        w.sync()
        assert explain(w.engine, ANN)["scopes"][SCOPE]["may_send"] is False
        assert w.esp_shows(ANN)["status"] == Status.OUT
    assert _fields_set_aside(w) == {*flags}

    for flag in flags:
        w.crm.act("keep_field", field=flag, is_kept=False)
    w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.crm_shows(ANN)["opt_in"] is False
    assert _fields_set_aside(w) == set()


def test_a_topic_that_the_crm_did_not_take_off_is_not_granted_by_what_it_still_shows(world: Make) -> None:
    w = _trusting(world)
    w.crm.act("keep_field", field="UF_CRM_TOPIC_NEWS")
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    for _ in range(3):
        w.sync()
        assert explain(w.engine, ANN)["scopes"][f"{SCOPE}/news"]["may_send"] is False
        assert w.esp_shows(ANN)["topics"]["news"] is False

    w.crm.act("keep_field", field="UF_CRM_TOPIC_NEWS", is_kept=False)
    w.sync()
    assert w.crm_shows(ANN)["topics"]["news"] is False


def test_a_bounce_marker_that_the_crm_did_not_take_heals_no_mailbox(world: Make) -> None:
    w = world(person(1))
    w.settle()
    w.crm.act("keep_field", field="UF_CRM_EMAIL_BOUNCED")
    w.esp.act("bounce", email=ANN)
    for _ in range(3):
        w.sync()
        assert explain(w.engine, ANN)["deliverability"] == "hard"

    w.crm.act("keep_field", field="UF_CRM_EMAIL_BOUNCED", is_kept=False)
    w.sync()
    assert w.crm.act("dump", id=1)["UF_CRM_EMAIL_BOUNCED"] == 1


@pytest.mark.parametrize("number", [1, 3])
def test_a_topic_that_the_platform_did_not_take_off_is_not_granted_by_what_it_still_shows(
    world: Make, number: int
) -> None:
    """What it has taken off in the same call moves the member's stamp."""
    topics = {"news": True, "offers": True}
    people = [person(n, opt_in=True, crm_topics=topics, esp_topics=topics) for n in range(1, number + 1)]
    w = world(*people)
    w.settle()
    w.esp.act("keep_topic", topic="news")
    for email in (one.addresses[0] for one in people):
        for topic in topics:
            w.crm.act("set_topic", email=email, topic=topic, wanted=False)
    for _ in range(3):
        w.sync()
        for email in (one.addresses[0] for one in people):
            assert explain(w.engine, email)["scopes"][f"{SCOPE}/news"]["may_send"] is False
            assert w.crm_shows(email)["topics"]["news"] is False
            assert w.esp_shows(email)["topics"]["offers"] is False

    w.esp.act("keep_topic", topic="news", is_kept=False)
    w.sync()
    assert w.esp_shows(ANN)["topics"]["news"] is False
