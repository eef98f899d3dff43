"""Bounces and complaints: an address that cannot be reached is marked and cleared, and never mistaken for a wish."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from optsync.connect.mock import Person
from optsync.model.record import Status
from optsync.sync.administer import deliverable
from optsync.sync.explain import explain
from optsync.sync.permission import permissions
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("bounces are not wishes")
Make = Callable[..., World]
ANN, NEW, SCOPE = "ann1@example.com", "ann.new@example.com", "acme/marketing"
MARKER = "UF_CRM_EMAIL_BOUNCED"


def marked(w: World, email: str = ANN) -> bool:
    return w.crm.act("dump", id=w.crm_id(email))[MARKER] in ("1", True)


def mailbox(w: World, email: str = ANN) -> str:
    return str(explain(w.engine, email)["deliverability"])


def may_send(w: World, email: str = ANN, scope: str = SCOPE) -> bool:
    with w.store.reading() as unit:
        found = permissions(w.engine).verdicts(unit, [email], scope, now=w.clock.now())
    return found[email].permission.may_send


def standing(w: World, email: str = ANN) -> str:
    return str(explain(w.engine, email)["scopes"][SCOPE]["standing"])


def granted(number: int = 1, **details: Any) -> Person:
    return person(number, opt_in=True, consent_at=START.replace(month=6), **details)


def test_a_hard_bounce_marks_the_contact_and_stops_all_mail_without_a_wish(world: Make) -> None:
    w = world(granted())
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.sync()

    assert marked(w)
    assert (standing(w), mailbox(w)) == ("in", "hard")
    assert not may_send(w)
    assert not may_send(w, scope="acme/service")
    assert not w.crm_shows(ANN)["opt_out"]
    w.settle()


def test_a_bounce_marks_every_contact_with_the_address_and_one_person_clears_them_all(world: Make) -> None:
    w = world(person(1), person(2, addresses=("ANN1@example.com",), in_esp=False))
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.sync()
    with w.store.reading() as unit:
        held = unit.records.load(unit.records.holding(unit.points.find([ANN]).values()))
    ids = [o.record.id for o in held if o.system == "crm"]
    assert [w.crm.act("dump", id=i)[MARKER] in ("1", True) for i in ids] == [True, True]

    w.crm.act("edit", id=ids[1], fields={MARKER: 0})
    w.settle()
    assert [w.crm.act("dump", id=i)[MARKER] in ("1", True) for i in ids] == [False, False]
    assert mailbox(w) == "ok"


def test_a_corrected_address_is_clean_and_the_old_one_is_not(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    w.settle()

    assert not marked(w, NEW)
    assert (mailbox(w, NEW), mailbox(w)) == ("ok", "hard")


def test_a_marker_that_a_person_unticks_means_works_again_although_the_platform_shows_the_bounce(world: Make) -> None:
    w = world(granted())
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={MARKER: 0})
    w.settle()

    assert not marked(w)
    assert may_send(w)
    assert w.esp_shows(ANN)["status"] == Status.BOUNCED
    w.sync(full=True)
    assert not marked(w)


def test_a_marker_that_a_person_ticks_makes_the_address_undeliverable_and_opts_nobody_out(world: Make) -> None:
    w = world(granted())
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={MARKER: 1})
    w.settle()

    assert (mailbox(w), standing(w)) == ("hard", "in")
    assert w.esp_shows(ANN)["status"] == Status.IN


def test_signing_up_again_after_a_bounce_shows_that_mail_arrives(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    w.settle()

    assert not marked(w)
    assert mailbox(w) == "ok"


def test_archiving_a_bounced_member_does_not_mean_that_mail_arrives(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.sync()
    w.esp.act("archive", email=ANN)
    w.settle()

    assert marked(w)
    assert mailbox(w) == "hard"


def test_a_contact_made_with_a_bounced_address_is_marked_and_does_not_enter_the_list(world: Make) -> None:
    ann = person(1, opt_in=True, consent_at=START)
    w = world(person(1, in_crm=False), person(2))
    w.esp.act("bounce", email=ANN)
    w.sync()
    w.esp.act("forget", email=ANN)
    w.sync(full=True)
    w.wait(hours=2)
    w.sync(full=True)
    w.crm.populate([replace(ann, in_esp=False, created_at=w.clock.now())])
    w.settle()

    assert marked(w)
    assert w.esp.act("view", email=ANN) is None


def test_an_administrator_with_evidence_clears_a_bounce_and_no_wish(world: Make) -> None:
    w = world(granted(), person(2))
    w.sync()
    for email in (ANN, "ann2@example.com"):
        w.esp.act("bounce", email=email)
    w.crm.act("opt_out", email="ann2@example.com")
    w.sync()
    for email in (ANN, "ann2@example.com"):
        done = deliverable(w.engine, email, actor="Eve", evidence="the person wrote to us from it")
        assert (done.was, done.now, done.still_bounced_at) == ("hard", "ok", ("esp",))
    w.settle()

    assert not marked(w)
    assert not marked(w, "ann2@example.com")
    assert may_send(w)
    assert not may_send(w, "ann2@example.com")
    assert w.crm_shows("ann2@example.com")["opt_out"] is True
