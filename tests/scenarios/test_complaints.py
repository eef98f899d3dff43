"""A spam complaint is final: nothing lifts it but an administrator with evidence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.sync.administer import opt_in
from optsync.sync.explain import explain
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("nobody is opted in by accident")
Make = Callable[..., World]
ANN, SCOPE = "ann1@example.com", "acme/marketing"
MARKER = "UF_CRM_EMAIL_BOUNCED"


def complained(world: Make, *, cleans: bool = False) -> World:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("complain", email=ANN, cleans=cleans)
    w.sync()
    return w


def is_out_everywhere(w: World) -> bool:
    standing = explain(w.engine, ANN)["scopes"][SCOPE]["standing"]
    shown = w.esp_shows(ANN)["status"]
    return (standing, w.crm_shows(ANN)["opt_out"]) == ("out", True) and shown in {Status.OUT, Status.BOUNCED}


def said(w: World) -> list[str]:
    with w.store.reading() as unit:
        key = unit.points.find([ANN])[ANN]
        return [str(each.uid) for each in unit.ledger.about([key])[key]]


def decided_by(w: World) -> str:
    return str(explain(w.engine, ANN)["scopes"][SCOPE]["decided_by"]["kind"])


def test_an_address_that_was_cleaned_for_abuse_has_complained_and_did_not_bounce(world: Make) -> None:
    w = complained(world, cleans=True)

    assert decided_by(w) == StatementKind.COMPLAINT
    assert explain(w.engine, ANN)["deliverability"] == "ok"
    assert w.crm.act("dump", id=w.crm_id(ANN)).get(MARKER) not in ("1", True)
    assert is_out_everywhere(w)
    w.settle()


def test_a_bounce_after_a_complaint_is_a_bounce_as_well(world: Make) -> None:
    w = complained(world)
    w.esp.act("bounce", email=ANN)
    w.settle()

    assert decided_by(w) == StatementKind.COMPLAINT
    assert explain(w.engine, ANN)["deliverability"] == "hard"


@pytest.mark.parametrize("cleans", [False, True])
def test_a_complaint_stands_against_a_tick_in_the_crm(world: Make, cleans: bool) -> None:
    w = complained(world, cleans=cleans)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.settle()

    assert is_out_everywhere(w)


@pytest.mark.parametrize("cleans", [False, True])
def test_a_complaint_stands_against_an_administrator_of_the_platform(world: Make, cleans: bool) -> None:
    w = complained(world, cleans=cleans)
    w.wait(hours=1)
    w.esp.act("flip_in", email=ANN, force=True)
    w.settle()

    assert is_out_everywhere(w)


def test_a_complaint_stands_against_a_new_sign_up(world: Make) -> None:
    w = complained(world)
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.settle()

    assert is_out_everywhere(w)


@pytest.mark.parametrize("was_synced", [False, True])
@pytest.mark.parametrize("since", ["resubscribe", "archive"])
def test_a_complaint_is_heard_although_the_member_shows_nothing_of_it_any_more(
    world: Make, since: str, was_synced: bool
) -> None:
    w = world(person(1), person(2))
    if was_synced:
        w.sync()
    w.wait(hours=1)
    w.esp.act("complain", email=ANN)
    complained_at = w.clock.now()
    w.wait(hours=1)
    w.esp.act(since, email=ANN)
    w.settle()

    decisive = explain(w.engine, ANN)["scopes"][SCOPE]["decided_by"]
    assert (decisive["kind"], decisive["at"]) == (StatementKind.COMPLAINT, complained_at.isoformat())
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] != Status.IN


def test_a_complaint_that_is_shown_later_than_it_is_stamped_stands_against_a_consent_of_meanwhile(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp_clock.ahead = timedelta(minutes=-5)
    w.esp.act("complain", email=ANN)
    w.esp_clock.ahead = timedelta(0)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()

    assert decided_by(w) == StatementKind.COMPLAINT
    assert is_out_everywhere(w)
    w.settle()


def test_who_complained_was_vouched_for_and_leaves_again_is_heard_although_the_clock_was_set_meanwhile(
    world: Make,
) -> None:
    w = complained(world)
    w.wait(hours=1)
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a letter")
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.PENDING
    w.esp.act("unsubscribe", email=ANN)
    w.esp_clock.ahead = timedelta(minutes=15)
    w.sync()

    assert is_out_everywhere(w)
    assert decided_by(w) == StatementKind.OUT
    w.settle()


def test_a_complaint_of_whom_an_administrator_let_back_in_is_not_raised_again(world: Make) -> None:
    w = complained(world)
    w.wait(hours=1)
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed letter")
    w.sync()
    w.esp.act("confirm", email=ANN)
    w.settle()
    w.sync(full=True)

    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "in"
    assert w.esp_shows(ANN)["status"] == Status.IN


def test_a_bounce_of_whom_an_administrator_let_back_in_is_no_second_complaint(world: Make) -> None:
    w = complained(world)
    w.esp.act("archive", email=ANN)
    w.esp.act("change_address", email=ANN, to="new@example.com")
    w.wait(hours=1)
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed letter")
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.PENDING
    w.esp.act("bounce", email=ANN)
    w.settle()

    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "in"
    assert explain(w.engine, ANN)["deliverability"] == "hard"
    assert w.crm_shows(ANN)["opt_out"] is False


def test_who_complained_was_let_back_in_and_left_as_others_do_can_come_back_as_others_do(world: Make) -> None:
    w = complained(world)
    w.wait(hours=1)
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed letter")
    w.sync()
    w.esp.act("confirm", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.esp.act("unsubscribe", email=ANN)
    w.settle()
    assert is_out_everywhere(w)
    assert decided_by(w) == StatementKind.OUT
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.settle()

    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "in"
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.rule("nothing to do, nothing written")
def test_a_value_that_is_written_for_whom_has_complained_says_nothing_of_them(world: Make) -> None:
    w = world(person(1), person(2), policy={"after_opt_out": "continue"})
    w.sync()
    w.esp.act("complain", email=ANN)
    w.sync()
    before = said(w)
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.settle()

    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    assert said(w) == before


def test_a_complaint_stands_against_deletion_and_import_on_both_sides(world: Make) -> None:
    w = complained(world)
    w.crm.act("delete", email=ANN)
    w.esp.act("forget", email=ANN)
    w.sync(full=True)
    w.wait(hours=2)
    w.sync(full=True)
    now = w.clock.now()
    w.crm.populate([replace(person(1), in_esp=False, opt_in=True, consent_at=now, created_at=now)])
    w.esp.act("resubscribe", email=ANN)
    w.settle()

    assert is_out_everywhere(w)


def test_only_an_administrator_with_evidence_lifts_a_complaint(world: Make) -> None:
    w = complained(world)
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed letter")
    w.settle()

    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "in"
    assert w.crm_shows(ANN)["opt_out"] is False


@pytest.mark.rule("nothing to do, nothing written")
def test_whom_an_administrator_lets_back_in_after_a_complaint_is_in_within_a_cycle(world: Make) -> None:
    w = world(person(1, crm_topics={"news": True}, esp_topics={"news": True}), person(2))
    w.sync()
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    w.esp.act("complain", email=ANN)
    w.sync()
    w.crm.act("set_topic", email=ANN, topic="news", wanted=True)
    opt_in(w.engine, ANN, scope="acme/marketing/news", actor="Kim", evidence="a letter")
    opt_in(w.engine, ANN, scope=SCOPE, actor="Kim", evidence="a letter")
    w.sync()

    assert w.crm_shows(ANN)["opt_in"] is True
    assert w.esp_shows(ANN)["topics"]["news"] is True
    assert w.esp_shows(ANN)["status"] == Status.PENDING
