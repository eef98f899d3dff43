"""A change of what readings mean makes the next read a first sight, lifts nothing, and holds its plan for a person."""

import json
import random
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.connect.registry import mocks
from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.sync import check, plans
from optsync.sync.guard import NEW_MEANING
from tests.scenarios.plans import Make, held, issues, may_send, part
from tests.scenarios.test_hurting_answers import Hurting
from tests.scenarios.test_quarantine import garbled
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("suspicious volume stops")
ANN, BEA, CLEO = (f"ann{n}@example.com" for n in (1, 2, 3))
OTHER = "http://127.0.0.1:1/other"


def _three(make: Make, **options: Any) -> World:
    """Ann is out, Bea and Cleo are in."""
    w = make(*(person(n, opt_in=True) for n in (1, 2, 3)), **options)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True
    return w


def _held(w: World) -> str:
    """Runs a cycle that must hold everything; the plan's name."""
    before = w.writes()
    report = w.sync()
    assert report.exit_code == 4
    assert part(report).held_for[0]["reason"] == NEW_MEANING
    assert w.writes() == before
    uid = part(report).plan
    assert uid is not None
    return uid


def _approve(w: World, uid: str) -> None:
    w.wait(minutes=10)
    assert plans.approve(w.engine, uid, actor="boss").exit_code == 0


def _said(w: World, email: str) -> set[tuple[str, str]]:
    with w.store.reading() as unit:
        key = unit.points.find([email])[email]
        return {(s.kind.value, s.uid) for s in unit.ledger.about([key])[key]}


def _other_flag(w: World) -> None:
    """The opt-out lives in another field from now on."""

    def change(sync: dict[str, Any]) -> None:
        field = sync["crm"]["topics"].pop("events")
        sync["esp"]["topics"].pop("events", None)
        sync["crm"]["opt_out"] = field

    w.reconfigure(change)


def test_another_opt_out_field_is_written_only_after_approval(world: Make) -> None:
    w = _three(world)
    w.crm.act("set_topic", email=BEA, topic="events", wanted=True)
    _other_flag(w)
    cleo = _said(w, CLEO)
    uid = _held(w)

    assert w.crm_shows(ANN)["topics"]["events"] is False
    assert w.esp_shows(BEA)["status"] == Status.IN
    assert not may_send(w, ANN)
    assert not may_send(w, BEA)
    assert {kind for kind, _ in _said(w, CLEO) - cleo} <= {"grant"}
    assert issues(w, "refused_opt_in") == []
    _approve(w, uid)
    assert w.crm_shows(ANN)["topics"]["events"] is True
    assert w.esp_shows(BEA)["status"] == Status.OUT
    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.esp_shows(CLEO)["status"] == Status.IN


def _untick(w: World, email: str) -> None:
    """An employee takes the opt-in flag away and sets no other."""
    w.crm.act("edit", id=w.crm.portal.table("contact").holders("EMAIL", email)[0], fields={"UF_CRM_OPT_IN": 0})  # type: ignore[attr-defined]


def _without_reason(w: World) -> None:
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))


def test_a_yes_that_was_taken_back_before_the_meaning_changed_is_taken_back(world: Make) -> None:
    w = _three(world)
    _untick(w, CLEO)
    _without_reason(w)
    uid = _held(w)

    assert not may_send(w, CLEO)
    _approve(w, uid)
    assert w.esp_shows(CLEO)["status"] == Status.OUT
    assert w.esp_shows(BEA)["status"] == Status.IN


def test_a_yes_that_was_taken_back_with_an_address_added_before_the_meaning_changed_is_taken_back(world: Make) -> None:
    w = _three(world, policy={"existing": "legacy_grant"})
    _untick(w, CLEO)
    w.crm.act("add_address", email=CLEO, address="cleo@example.org")
    _without_reason(w)
    _held(w)

    assert not may_send(w, CLEO)
    assert may_send(w, BEA)


def test_a_yes_that_was_taken_back_where_the_address_is_spelled_otherwise_since_is_taken_back(world: Make) -> None:
    w = _three(world, policy={"existing": "legacy_grant"})
    _untick(w, CLEO)
    w.crm.act("change_address", email=CLEO, to=CLEO.upper())
    _without_reason(w)
    _held(w)

    assert not may_send(w, CLEO)
    assert may_send(w, BEA)


@pytest.mark.parametrize("side", ["crm", "esp"])
def test_a_topic_that_was_left_before_the_meaning_changed_is_left(world: Make, side: str) -> None:
    ticked = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, **ticked), person(2, **ticked))
    w.sync()
    (w.crm if side == "crm" else w.esp).act("set_topic", email=ANN, topic="news", wanted=False)
    _without_reason(w)
    _approve(w, _held(w))

    assert w.crm_shows(ANN)["topics"]["news"] is False
    assert w.esp_shows(ANN)["topics"]["news"] is False
    assert w.crm_shows(BEA)["topics"]["news"] is True
    assert w.esp_shows(BEA)["status"] == Status.IN


class Missing(MockTransport):
    """Listings of members count Ann and do not show her."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if "/members?" in str(request.url):
            body = json.loads(response.content)
            body["members"] = [each for each in body["members"] if each["email_address"] != ANN]
            response._content = json.dumps(body).encode()
        return response


def _without_events(w: World) -> None:
    def change(sync: dict[str, Any]) -> None:
        del sync["crm"]["topics"]["events"], sync["esp"]["topics"]["events"]

    w.reconfigure(change)


def _events(w: World) -> tuple[str, str]:
    sync = w.document["syncs"]["newsletter"]
    return sync["crm"]["topics"]["events"], sync["esp"]["topics"]["events"]


def _map(w: World, names: tuple[str, str]) -> None:
    """The topic is mapped again, to these."""

    def change(sync: dict[str, Any]) -> None:
        sync["crm"]["topics"]["events"], sync["esp"]["topics"]["events"] = names

    w.reconfigure(change)


@pytest.mark.rule("nobody is opted in by accident")
@pytest.mark.parametrize("side", ["crm", "esp"])
@pytest.mark.parametrize("where", [None, {"TYPE_ID": "SUPPLIER"}])
def test_a_topic_that_is_mapped_later_is_off_where_both_sides_disagree(
    world: Make, side: str, where: dict[str, str] | None
) -> None:
    on = {"crm_topics": {"events": True}, "esp_topics": {"events": True}}
    apart: dict[str, Any] = {f"{s}_topics": {"events": s == side} for s in ("crm", "esp")}
    w = world(person(1, **apart), person(2, **on), person(3))
    names = _events(w)
    _without_events(w)
    if where:
        w.reconfigure(lambda sync: sync["crm"].update(where=where))
    w.sync()
    _map(w, names)
    _approve(w, _held(w))

    assert [w.crm_shows(who)["topics"]["events"] for who in (ANN, BEA, CLEO)] == [False, True, False]
    assert [w.esp_shows(who)["topics"]["events"] for who in (ANN, BEA, CLEO)] == [False, True, False]
    w.crm.act("set_topic", email=CLEO, topic="events", wanted=True)
    w.sync()
    assert w.esp_shows(CLEO)["topics"]["events"] is True
    w.settle()


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("is_back", [False, True])
def test_a_topic_that_was_left_while_it_was_not_mapped_is_left(world: Make, is_back: bool) -> None:
    w = world(person(1), person(2, crm_topics={"events": True}, esp_topics={"events": True}))
    names = _events(w)
    w.sync()
    for wanted in (True, False, True) if is_back else (True,):
        w.wait(hours=1)
        w.esp.act("set_topic", email=ANN, topic="events", wanted=wanted)
        w.sync()
    assert w.crm_shows(ANN)["topics"]["events"] is True
    _without_events(w)
    w.sync()
    w.esp.act("set_topic", email=ANN, topic="events", wanted=False)
    w.sync()
    _map(w, names)
    _approve(w, _held(w))

    assert w.crm_shows(ANN)["topics"]["events"] is False
    assert w.esp_shows(ANN)["topics"]["events"] is False
    assert w.esp_shows(BEA)["topics"]["events"] is True
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
@pytest.mark.parametrize("is_ticked", [False, True])
def test_a_box_that_could_not_be_read_when_its_topic_was_mapped_is_not_ticked_unseen(
    world: Make, is_ticked: bool
) -> None:
    on = {"crm_topics": {"events": True}, "esp_topics": {"events": True}}
    w = world(person(1, crm_topics={"events": is_ticked}, esp_topics={"events": True}), person(2, **on), person(3))
    names = _events(w)
    _without_events(w)
    w.sync()
    unreadable = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w.use(unreadable)
    unreadable.left = 1000
    _map(w, names)
    w.sync()
    assert w.crm_shows(ANN)["topics"]["events"] is is_ticked
    unreadable.left = 0
    w.sync(full=True)
    w.settle()

    assert [w.crm_shows(who)["topics"]["events"] for who in (ANN, BEA, CLEO)] == [is_ticked, True, False]
    assert [w.esp_shows(who)["topics"]["events"] for who in (ANN, BEA, CLEO)] == [is_ticked, True, False]
    w.crm.act("set_topic", email=CLEO, topic="events", wanted=True)
    w.sync()
    assert w.esp_shows(CLEO)["topics"]["events"] is True


def test_a_tick_that_another_change_of_meaning_overtakes_is_no_disagreement(world: Make) -> None:
    w = world(person(1), person(2, crm_topics={"events": True}, esp_topics={"events": True}))
    w.sync()
    w.crm.act("set_topic", email=ANN, topic="events", wanted=True)
    _without_reason(w)
    _approve(w, _held(w))

    assert w.esp_shows(ANN)["topics"]["events"] is True


@pytest.mark.rule("nobody is opted in by accident")
def test_a_box_that_was_not_asked_for_before_lifts_nothing_when_the_first_read_misses_it(world: Make) -> None:
    offers = {"crm_topics": {"offers": True}, "esp_topics": {"offers": True, "events": True}}
    w = world(person(1, **offers), person(2, **offers))
    events = w.document["syncs"]["newsletter"]["esp"]["topics"]["events"]
    _without_events(w)
    w.sync()
    w.crm.act("set_topic", email=ANN, topic="offers", wanted=False)
    w.sync()
    w.wait(hours=1)
    w.esp.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    w.reconfigure(lambda sync: sync["esp"]["topics"].update(offers=events))
    w.use(Missing({CRM: w.crm, ESP: w.esp}))
    w.sync()
    w.use(w.transport)
    w.sync()

    assert w.crm_shows(ANN)["topics"]["offers"] is False
    assert w.esp_shows(ANN)["topics"]["events"] is False
    assert w.crm_shows(BEA)["topics"]["offers"] is True


def test_the_same_number_in_another_account_is_another_person(world: Make) -> None:
    """What one record shows is compared with what it showed before only while it has an address of before."""
    w = _three(world)
    w.crm.act("change_address", email=CLEO, to="dora@example.com")
    _untick(w, "dora@example.com")
    _without_reason(w)
    _held(w)

    assert not {kind for kind, _ in _said(w, "dora@example.com")} & {"out"}


def test_another_list_filter_moves_nobody_before_approval(world: Make) -> None:
    w = _three(world, policy={"leave": "archive"})
    w.reconfigure(lambda sync: sync["crm"].update(where={"TYPE_ID": "SUPPLIER"}))
    uid = _held(w)

    assert w.esp_shows(CLEO)["status"] == Status.IN
    _approve(w, uid)
    assert w.esp_shows(CLEO)["status"] == Status.ARCHIVED
    assert w.esp_shows(ANN)["status"] == Status.OUT


def _other_account(w: World, *members: Any) -> Any:
    """A further account of the e-mail platform."""
    other: Any = mocks()["mailchimp"](clock=w.clock, rng=random.Random(9))
    other.populate(members)
    w.transport = MockTransport({CRM: w.crm, ESP: w.esp, OTHER: other})
    return other


def test_another_audience_gets_nothing_before_approval(world: Make) -> None:
    w = _three(world)
    other = _other_account(w, person(1), person(2, status=Status.OUT))
    w.document["systems"]["second"] = other.config(OTHER).system
    w.reconfigure(lambda sync: sync["esp"].update(system="second", audience=other.config(OTHER).side["audience"]))
    before = [r for r in w.transport.requests if other.is_write(r)]
    assert part(w.sync()).held_for[0]["reason"] == NEW_MEANING
    uid = held(w)[0].uid

    assert before == []
    assert other.act("view", email=ANN)["status"] == Status.IN
    assert w.crm_shows(BEA)["opt_out"] is False
    assert not may_send(w, ANN)
    _approve(w, uid)
    assert other.act("view", email=ANN)["status"] == Status.OUT
    assert w.crm_shows(BEA)["opt_out"] is True


def test_another_scope_starts_with_what_is_shown_and_waits_for_approval(world: Make) -> None:
    w = _three(world)
    w.esp.act("unsubscribe", email=CLEO)
    w.document["brands"]["acme"]["purposes"] = {
        **w.document["brands"]["acme"]["purposes"],
        "press": w.document["brands"]["acme"]["purposes"]["marketing"],
    }
    w.reconfigure(lambda sync: sync.update(scope="acme/press"))
    uid = _held(w)

    assert w.crm_shows(CLEO)["opt_out"] is False
    assert w.esp_shows(BEA)["status"] == Status.IN
    _approve(w, uid)
    assert w.crm_shows(CLEO)["opt_out"] is True
    assert w.crm_shows(BEA)["opt_out"] is False
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_a_rebased_account_waits_for_approval(world: Make) -> None:
    w = _three(world)
    other = _other_account(w, person(1), person(2, status=Status.OUT), person(3))
    w.document["systems"]["esp"] = other.config(OTHER).system
    w.reconfigure(lambda sync: sync["esp"].update(audience=other.config(OTHER).side["audience"]))
    check.rebase(w.engine, "esp")
    assert part(w.sync()).held_for[0]["reason"] == NEW_MEANING
    uid = held(w)[0].uid

    assert other.act("view", email=ANN)["status"] == Status.IN
    assert w.crm_shows(BEA)["opt_out"] is False
    _approve(w, uid)
    assert other.act("view", email=ANN)["status"] == Status.OUT
    assert other.act("view", email=CLEO)["status"] == Status.IN
    w.esp = other


def test_a_new_meaning_that_changes_nothing_holds_nothing(world: Make) -> None:
    w = _three(world)
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))
    report = w.sync()

    assert (report.exit_code, part(report).changes) == (0, [])
    assert part(report).seen == {"crm": 3, "esp": 3}
    w.crm.act("opt_out", email=BEA)
    assert w.sync().exit_code == 0
    assert w.esp_shows(BEA)["status"] == Status.OUT


def test_a_new_meaning_gives_no_legacy_grants_again(world: Make) -> None:
    w = _three(world, policy={"existing": "legacy_grant"})
    w.esp.populate([person(9, in_crm=False)])
    w.sync()
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))
    w.sync()

    assert not any(kind == StatementKind.GRANT for kind, _ in _said(w, "ann9@example.com"))
    assert may_send(w, CLEO)
    assert not may_send(w, "ann9@example.com")


def test_the_plan_after_an_approved_new_meaning_is_an_ordinary_one(world: Make) -> None:
    w = _three(world)
    _other_flag(w)
    uid = _held(w)
    w.esp.act("unsubscribe", email=BEA)

    assert w.sync().exit_code == 0
    assert w.crm_shows(BEA)["topics"]["events"] is True
    _approve(w, uid)
    assert w.crm_shows(ANN)["topics"]["events"] is True
