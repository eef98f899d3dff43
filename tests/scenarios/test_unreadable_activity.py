"""A platform does not show what somebody did: their sign-up waits for that, and nothing else does."""

from collections.abc import Callable
from typing import Any

import pytest

from optsync.connect.mock import MockRequest
from optsync.model.record import Status
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("one bad record stands alone")

Make = Callable[..., World]
ANN, BEN, CID = "ann1@example.com", "ann2@example.com", "ann3@example.com"
FAILURES = ["InternalServerError", "Forbidden"]


class _Feed:
    """What members did, which the platform does not show until ``shows`` is set; ``asked``: how often it was asked."""

    def __init__(self, w: World, monkeypatch: pytest.MonkeyPatch, kind: str = "InternalServerError") -> None:
        self.shows, self.asked = False, 0
        handle = type(w.esp).handle

        def met(mock: Any, request: MockRequest) -> Any:
            if "activity-feed" in request.path:
                self.asked += 1
                if not self.shows:
                    mock.act("fail", kind=kind)
            return handle(mock, request)

        monkeypatch.setattr(type(w.esp), "handle", met)


def _signs_up(w: World, *emails: str) -> None:
    w.wait(hours=1)
    for email in emails or (ANN,):
        w.esp.act("resubscribe", email=email)


@pytest.mark.parametrize("kind", FAILURES)
def test_what_is_said_and_edited_elsewhere_reaches_the_platform_meanwhile(
    world: Make, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    w = world(person(1, opt_out=True), person(2, opt_in=True, consent_at=START), person(3, opt_in=True))
    w.settle()
    feed = _Feed(w, monkeypatch, kind)
    _signs_up(w)
    w.crm.act("opt_out", email=BEN)
    w.crm.act("set_field", email=CID, field="city", value="Oslo")
    report = w.sync()

    assert report.syncs["newsletter"].failures != []
    assert (w.esp_shows(BEN)["status"], w.esp_shows(CID)["fields"]["city"]) == (Status.OUT, "Oslo")
    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.IN)
    feed.shows = True
    w.settle()
    assert w.crm_shows(ANN)["opt_out"] is False


@pytest.mark.parametrize("kind", FAILURES)
def test_whoever_leaves_is_heard_however_many_have_signed_up_and_few_of_these_are_asked_about(
    world: Make, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    many = [f"ann{number}@example.com" for number in range(4, 12)]
    w = world(person(2), person(3), *(person(number, opt_out=True) for number in range(4, 12)))
    w.settle()
    feed = _Feed(w, monkeypatch, kind)
    _signs_up(w, *many)
    w.esp.act("unsubscribe", email=BEN)
    w.sync()

    assert w.crm_shows(BEN)["opt_out"] is True
    assert feed.asked <= 2 * 7, "two of them, and again and again what fails"
    feed.shows = True
    w.settle()
    assert [w.crm_shows(email)["opt_out"] for email in many] == [False] * len(many)


def test_a_sign_up_that_waits_is_read_again_although_the_read_broke_off_on_a_later_page(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsync_mailchimp.reading.PAGE_SIZE", 2)
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, opt_out=True, **both), *(person(number, **both) for number in range(2, 7)))
    w.settle()
    feed = _Feed(w, monkeypatch)
    _signs_up(w)
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    for number in range(2, 7):
        w.wait(seconds=5)
        w.esp.act("set_field", email=f"ann{number}@example.com", field="city", value="Oslo")
    handle, pages = type(w.esp).handle, []

    def breaks_off(mock: Any, request: MockRequest) -> Any:
        if request.path.endswith("/members"):
            pages.append(request)
            if len(pages) == 2:
                for _ in range(9):
                    mock.act("fail", kind="InternalServerError")
        return handle(mock, request)

    with monkeypatch.context() as patch:
        patch.setattr(type(w.esp), "handle", breaks_off)
        w.sync()
    assert len(pages) > 1
    feed.shows = True
    w.wait(hours=2)
    w.settle()

    assert w.crm_shows(ANN)["opt_out"] is False
    assert w.crm_shows(ANN)["topics"]["news"] is False


def test_a_sign_up_that_the_answer_to_a_write_shows_ends_no_run(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(person(1, opt_out=True), person(2), person(3), policy={"after_opt_out": "continue"})
    w.settle()
    feed = _Feed(w, monkeypatch)
    handle = type(w.esp).handle

    def signs_up_first(mock: Any, request: MockRequest) -> Any:
        if request.method in {"PATCH", "PUT"} or (request.method == "POST" and "/lists/" in request.path):
            w.esp.act("resubscribe", email=ANN)
        return handle(mock, request)

    w.wait(hours=1)
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    with monkeypatch.context() as patch:
        patch.setattr(type(w.esp), "handle", signs_up_first)
        w.sync()
    assert feed.asked > 0
    feed.shows = True
    w.settle()

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["fields"]["city"]) == (False, "Oslo")
