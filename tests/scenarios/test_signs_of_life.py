"""Temporary failures and signs of life: what became of the mails counts once, and is never a wish."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from optsync.connect.mock import Person
from optsync.model.record import Status
from optsync.sync.explain import explain
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("bounces are not wishes")
Make = Callable[..., World]
ANN, BEN = "ann1@example.com", "ann2@example.com"
SCOPE, MARKER = "acme/marketing", "UF_CRM_EMAIL_BOUNCED"


def granted(number: int = 1) -> Person:
    return person(number, opt_in=True, consent_at=START.replace(month=6))


def marked(w: World, email: str = ANN) -> bool:
    return w.crm.act("dump", id=w.crm_id(email)).get(MARKER) in ("1", True)


def mailbox(w: World, email: str = ANN) -> str:
    return str(explain(w.engine, email)["deliverability"])


def said(w: World, kind: str, email: str = ANN) -> list[Any]:
    with w.store.reading() as unit:
        key = unit.points.find([email])[email]
        return [s for s in unit.ledger.about([key])[key] if s.kind == kind]


def full(w: World) -> Any:
    return w.sync(full=True)


def bounce_softly(w: World, times: int, email: str = ANN) -> None:
    for number in range(times):
        w.esp.act("send_campaign", subject=f"News {number}")
        w.wait(hours=20)
        w.esp.act("soft_bounce", email=email)


def test_as_many_temporary_failures_as_the_limit_make_an_address_undeliverable(world: Make) -> None:
    w = world(granted(), granted(2))
    w.sync()
    bounce_softly(w, 4)
    full(w)
    assert (mailbox(w), marked(w)) == ("soft", False)

    bounce_softly(w, 1)
    full(w)
    assert (mailbox(w), marked(w)) == ("hard", True)
    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "in"
    assert (w.esp_shows(ANN)["status"], mailbox(w, BEN)) == (Status.IN, "ok")
    w.settle()


def test_an_opened_mail_answers_the_failures_before_it(world: Make) -> None:
    w = world(granted())
    w.sync()
    bounce_softly(w, 5)
    full(w)
    assert marked(w)
    w.esp.act("open", email=ANN)
    full(w)

    assert (mailbox(w), marked(w)) == ("ok", False)
    assert len(said(w, "delivered")) == 1
    w.settle()


def test_an_opened_mail_clears_a_final_failure_before_it(world: Make) -> None:
    w = world(granted(), granted(2))
    w.sync()
    w.esp.act("send_campaign")
    w.wait(hours=1)
    w.esp.act("hard_bounce", email=ANN)
    full(w)
    assert (mailbox(w), marked(w)) == ("hard", True)
    w.esp.act("click", email=ANN)
    full(w)

    assert (mailbox(w), marked(w)) == ("ok", False)
    assert len(said(w, "hard_bounce")) == 1
    w.settle()


def test_an_opened_mail_says_nothing_where_nothing_had_failed(world: Make) -> None:
    w = world(granted())
    w.sync()
    w.esp.act("send_campaign")
    w.wait(hours=1)
    w.esp.act("open", email=ANN)
    at = w.clock.now().replace(microsecond=0)
    full(w)

    assert said(w, "delivered") == []
    with w.store.reading() as unit:
        assert list(unit.points.active(unit.points.find([ANN]).values()).values()) == [at]
    w.settle()


def test_temporary_failures_are_forgotten_when_their_time_is_over(world: Make) -> None:
    w = world(granted())
    w.sync()
    bounce_softly(w, 5)
    full(w)
    assert marked(w)
    w.wait(hours=24 * 40)
    w.sync()

    assert (mailbox(w), marked(w)) == ("ok", False)
    w.settle()


def test_what_is_read_again_is_not_counted_again(world: Make) -> None:
    w = world(granted())
    w.sync()
    bounce_softly(w, 3)
    full(w)
    with w.store.transaction() as unit:
        source = unit.sources.require("esp", "4c1a9f02bb")
        look = json.loads(unit.meta.get(f"signs:{source.id}") or "{}")
        assert look["is_open"] is False
        unit.meta.put(f"signs:{source.id}", json.dumps({**look, "cursor": None}))
    full(w)
    full(w)

    assert len(said(w, "soft_bounce")) == 3
    w.settle()


def test_failures_that_are_read_after_the_mail_that_answered_them_change_nothing(world: Make) -> None:
    w = world(granted())
    w.sync()
    first = w.esp.act("send_campaign", subject="first")
    w.wait(hours=1)
    second = w.esp.act("send_campaign", subject="second")
    for _ in range(6):
        w.wait(hours=1)
        w.esp.act("soft_bounce", email=ANN, campaign=second)
    w.wait(hours=1)
    w.esp.act("open", email=ANN, campaign=first)
    full(w)

    assert (mailbox(w), marked(w)) == ("ok", False)
    assert said(w, "soft_bounce") == []
    w.settle()


def test_a_look_that_broke_off_goes_on_in_the_next_cycle_and_doubles_nothing(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_mailchimp.signs.PAGE_SIZE", 2)
    w = world(*(granted(n) for n in range(1, 8)))
    w.sync()
    bounce_softly(w, 2, "ann1@example.com")
    w.esp.act("soft_bounce", email="ann7@example.com")
    calls = {"left": 3}
    handle = type(w.esp).handle

    def breaks(self: Any, request: Any) -> Any:
        if request.path.endswith("/email-activity"):
            calls["left"] -= 1
            if calls["left"] == 0:
                w.esp.act("fail", kind="InternalServerError", times=20)
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", breaks)
    assert full(w).state == "failed"
    monkeypatch.undo()
    w.esp._failures.clear()  # type: ignore[attr-defined]
    assert w.sync().state == "done"

    assert [len(said(w, "soft_bounce", f"ann{n}@example.com")) for n in (1, 7)] == [2, 1]
    w.settle()


def test_a_cycle_without_changes_asks_for_no_signs(world: Make) -> None:
    w = world(granted())
    w.sync()
    w.esp.act("send_campaign")
    w.sync()
    before = len(w.transport.requests)
    w.sync()

    assert not [r for r in w.transport.requests[before:] if "/reports" in r.path]


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_clock_that_is_off_dates_no_failure_after_the_mail_that_answered_it(world: Make, ahead: float) -> None:
    w = world(granted(), esp_ahead=ahead)
    w.sync()
    bounce_softly(w, 5)
    full(w)
    assert marked(w)
    w.crm.act("edit", id=w.crm_id(ANN), fields={MARKER: 0})
    full(w)
    full(w)

    assert (mailbox(w), len(said(w, "soft_bounce"))) == ("ok", 5)
    w.settle()
