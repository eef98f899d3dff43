"""A platform's clock is set while people speak: what they said before may have been stamped by either."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from optsync.connect.mock import MockRequest
from optsync.model.record import Status
from optsync.sync.administer import opt_out
from optsync.sync.explain import explain
from optsync.sync.run import run_cycle
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Make = Callable[..., World]
ANN = "ann1@example.com"
SCOPE = "acme/marketing"


@pytest.mark.parametrize(("before", "after"), [(-600, -690), (-600, 0), (0, 600), (600, 0)])
def test_an_opt_out_of_a_member_who_was_never_read_counts_after_the_consent_that_it_followed(
    world: Make, before: int, after: int
) -> None:
    w = world(person(1, in_esp=False), person(2), esp_ahead=before)
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.esp.act("unsubscribe", email=ANN)
    w.esp_clock.ahead = timedelta(seconds=after)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_an_opt_out_that_shows_only_after_the_clock_is_known_again_counts_after_the_consent_that_it_followed(
    world: Make,
) -> None:
    w = world(person(1), person(2), esp_ahead=-900)
    w.sync()
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.esp_clock.ahead = timedelta(0)
    w.sync()
    w.esp_clock.ahead = timedelta(seconds=-900)
    w.esp.act("unsubscribe", email=ANN)
    w.esp_clock.ahead = timedelta(0)
    w.sync(full=True)

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_an_opt_out_of_before_the_clock_was_set_is_heard_although_it_is_shown_after_the_next_reading(
    world: Make,
) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp_clock.ahead = timedelta(minutes=10)
    w.wait(seconds=20)
    run_cycle(w.engine)
    w.esp_clock.ahead = timedelta(seconds=-30)
    w.esp.act("unsubscribe", email=ANN)
    w.esp_clock.ahead = timedelta(minutes=10)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    w.settle()


@pytest.mark.parametrize("by", [20, 60])
def test_an_opt_out_of_after_the_clock_was_set_back_is_heard_although_it_is_older_than_the_next_reading_goes_back(
    world: Make, by: int
) -> None:
    w = world(person(1), person(2))
    w.settle()
    w.esp_clock.ahead = timedelta(minutes=-by)
    w.esp.act("unsubscribe", email=ANN)
    w.wait(minutes=5)
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    calls = len(w.transport.requests)
    w.settle()
    assert len(w.transport.requests) - calls < 10, "read whole once, and then what has changed"


def test_an_opt_out_of_while_the_clock_was_set_back_within_one_reading_is_heard(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1), person(2))
    w.settle()
    handle, lists = type(w.esp).handle, []

    def met(self: Any, request: MockRequest) -> Any:
        if request.path.endswith("/members"):
            lists.append(request)
        if len(lists) == 2 and w.esp_clock.ahead:
            w.esp.act("unsubscribe", email=ANN)
            w.esp_clock.ahead = timedelta(0)
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", met)
    w.esp_clock.ahead = timedelta(hours=-1)
    w.sync()
    assert (len(lists), w.esp_clock.ahead) == (2, timedelta(0))
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    calls = len(w.transport.requests)
    w.settle()
    assert len(w.transport.requests) - calls < 10, "read whole once, and then what has changed"


def test_a_sign_up_right_before_the_clock_was_set_back_does_not_beat_an_opt_out_of_the_minutes_after_it(
    world: Make,
) -> None:
    """By a clock that was less ahead than is corrected, and shown after the reading that found it set."""
    w = world(person(1, status=Status.OUT), person(2), esp_ahead=25)
    w.settle()
    w.esp_clock.ahead = timedelta(minutes=-15)
    run_cycle(w.engine)
    w.esp_clock.ahead = timedelta(seconds=25)
    w.esp.act("resubscribe", email=ANN)
    w.esp_clock.ahead = timedelta(minutes=-15)
    w.wait(minutes=8)
    opt_out(w.engine, ANN, scope=SCOPE, actor="agent:7", reason="on the phone")
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


def test_restrictions_that_follow_a_person_to_another_address_count_from_the_change_at_the_latest(world: Make) -> None:
    new = "new@example.com"
    w = world(person(1, in_crm=False), person(2, addresses=(new,), in_esp=False), esp_ahead=-600)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("opt_in", email=new, at=w.clock.now().isoformat())
    w.esp.act("change_address", email=ANN, to=new)
    w.esp_clock.ahead = timedelta(0)
    w.sync()

    assert w.crm_shows(new)["opt_out"] is True
    assert w.esp_shows(new)["status"] == Status.OUT


@pytest.mark.parametrize(("minutes", "ahead", "by"), [(10, 0, -90), (10, 0, 90), (10, 0, -600), (0, 25, 600)])
def test_an_opt_out_of_our_own_that_a_bounce_hides_is_nobodys_word_after_the_clock_was_set(
    world: Make, minutes: int, ahead: int, by: int
) -> None:
    w = world(person(1), person(2), esp_ahead=ahead)
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.esp.act("bounce", email=ANN)
    w.esp_clock.ahead = timedelta(seconds=by)
    w.wait(minutes=minutes)
    run_cycle(w.engine)

    said = explain(w.engine, ANN)["scopes"][SCOPE]["statements"]
    assert [each["system"] for each in said if each["kind"] == "out"] == ["crm"]
    w.settle()
