"""Contacts that are merged, swapped, deleted, restored or made anew: restrictions stay with the people."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optsync.clock import ManualClock
from optsync.connect.mock import MockRequest
from optsync.connect.registry import mocks
from optsync.errors import SystemUnavailable
from optsync.model.record import Status
from optsync.sync.administer import opt_out
from optsync.sync.run import run_cycle
from tests.scenarios import world as worlds
from tests.scenarios.plans import may_send
from tests.scenarios.two_audiences import TwoAudiences
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("restrictions follow the person")

Make = Callable[..., World]
ANN, BEN, CAT = "ann1@example.com", "ann2@example.com", "ann3@example.com"


@pytest.fixture
def interest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The purpose needs no grant."""
    marketing = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
    monkeypatch.setitem(worlds.BRANDS, "acme", {"purposes": {"marketing": marketing}})


def kinds(w: World) -> list[tuple[str, str]]:
    return [(c.system, c.kind) for c in w.sync().syncs["newsletter"].changes]


def status(w: World, email: str) -> Any:
    return w.esp_shows(email)["status"]


@pytest.mark.parametrize("survivor", [ANN, BEN])
def test_a_merge_that_loses_the_flag_loses_no_opt_out(world: Make, interest: None, survivor: str) -> None:
    loser = BEN if survivor == ANN else ANN
    w = world(person(1), person(2), person(3))
    w.sync()
    w.crm.act("opt_out", email=loser)
    w.sync()
    w.crm.act("edit", id=w.crm_id(survivor), fields={"UF_CRM_OPT_OUT": 0})
    w.crm.act("merge", keep=survivor, lose=loser)
    assert not w.crm_shows(survivor)["opt_out"]
    w.sync()

    assert w.crm_shows(survivor)["opt_out"] is True
    assert status(w, ANN) == status(w, BEN) == Status.OUT
    assert status(w, CAT) == Status.IN


def test_a_merge_that_is_read_under_a_new_mapping_loses_no_opt_out(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=BEN)
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_OPT_OUT": 0})
    w.crm.act("merge", keep=ANN, lose=BEN)
    w.reconfigure(lambda sync: sync["fields"].pop())
    w.sync()

    assert not may_send(w, ANN)


def test_a_merge_that_a_write_comes_upon_before_the_survivor_is_read_loses_no_opt_out(
    world: Make, interest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1), person(2, crm_topics={"news": True}))
    w.sync()
    w.crm.act("opt_out", email=BEN)
    w.sync()
    w.crm.act("edit", id=1, fields={"UF_CRM_OPT_OUT": 0})
    w.sync()
    opt_out(w.engine, BEN, scope="acme/marketing/news", actor="Eve", reason="a letter")
    platform: Any = w.engine.connectors["esp"]
    read_rows = platform.read_rows

    def merge_first(*asked: Any) -> Any:
        w.wait(seconds=1)
        w.crm.act("merge", keep=1, lose=2)
        return read_rows(*asked)

    with monkeypatch.context() as patch:
        patch.setattr(platform, "read_rows", merge_first)
        report = w.sync()
    assert "gone" in [c.fact for c in report.syncs["newsletter"].changes]
    w.sync()

    assert not may_send(w, ANN)
    assert status(w, ANN) == Status.OUT


def test_a_topic_switched_off_by_the_lost_contact_stays_off(world: Make) -> None:
    topics = {"news": True, "offers": True}
    w = world(*(person(n, crm_topics=topics, esp_topics=topics) for n in (1, 2)), policy={"existing": "legacy_grant"})
    w.sync()
    w.crm.act("set_topic", email=BEN, topic="offers", wanted=False)
    w.sync()
    w.crm.act("merge", keep=ANN, lose=BEN)
    w.sync()

    assert w.esp_shows(ANN)["topics"]["offers"] is False
    assert w.esp_shows(ANN)["topics"]["news"] is True
    assert status(w, ANN) == Status.IN


@pytest.mark.parametrize("is_read_between", [True, False])
def test_a_consent_that_a_merge_brings_lifts_nothing_for_the_survivor(
    world: Make, interest: None, is_read_between: bool
) -> None:
    w = world(person(1), person(2), changes={"opt_out": {"esp_to_crm": False}})
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("opt_in", email=BEN, at=w.clock.now().isoformat())
    if is_read_between:
        w.sync()
    w.crm.act("merge", keep=ANN, lose=BEN)
    w.sync()

    assert w.crm.act("dump", id=w.crm_id(ANN))["UF_CRM_CONSENT_DATE"], "the merge filled it"
    assert not may_send(w, ANN)
    assert status(w, ANN) == Status.OUT
    assert status(w, BEN) == Status.IN
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert may_send(w, ANN), "a consent of its own lifts it"


def test_a_consent_of_a_record_that_was_merged_before_anybody_read_it_lifts_nothing(
    world: Make, interest: None
) -> None:
    w = world(person(1), changes={"opt_out": {"esp_to_crm": False}})
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(minutes=10)
    w.crm.act("create", first_name="Ben", addresses=(BEN,), opt_in=True, consent_at=w.clock.now())
    w.crm.act("merge", keep=ANN, lose=BEN)
    w.sync()

    assert not may_send(w, ANN)
    assert status(w, ANN) == Status.OUT


def test_a_consent_that_was_seen_for_the_first_time_lifts_nothing_once_it_is_merged_either(
    world: Make, interest: None
) -> None:
    w = world(person(1), changes={"opt_out": {"esp_to_crm": False}})
    w.sync()
    first = w.crm_id(ANN)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("create", first_name="Ann", addresses=(ANN,), opt_in=True, consent_at=w.clock.now())
    w.sync()
    assert not may_send(w, ANN)
    second = next(k for k in w.crm.portal.table("contact").rows if str(k) != first)  # type: ignore[attr-defined]
    w.crm.act("merge", keep=int(first), lose=second)
    w.sync()

    assert not may_send(w, ANN)
    assert status(w, ANN) == Status.OUT


def test_a_consent_that_a_merge_brings_to_a_contact_that_had_the_address_already_lifts_nothing(
    world: Make, interest: None
) -> None:
    ann, ben = person(1, addresses=(ANN, BEN)), person(2)
    w = world(ann, ben, changes={"opt_out": {"esp_to_crm": False}})
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(minutes=10)
    consent = {"UF_CRM_OPT_IN": 1, "UF_CRM_CONSENT_DATE": w.clock.now().isoformat()}
    w.crm.act("edit", id=2, fields=consent)
    w.crm.act("merge", keep=1, lose=2)
    w.sync()

    assert w.crm.act("dump", id=1)["UF_CRM_CONSENT_DATE"], "the merge filled it"
    assert not may_send(w, ANN)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert may_send(w, ANN), "a consent of its own lifts it"


def test_a_merge_of_two_who_never_said_no_opts_nobody_out(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("merge", keep=ANN, lose=BEN)
    w.sync()

    assert not w.crm_shows(ANN)["opt_out"]
    assert status(w, ANN) == status(w, BEN) == Status.IN


def test_an_address_that_two_contacts_come_to_share_is_no_merge(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=BEN)
    w.sync()
    w.crm.act("add_address", email=ANN, address=BEN)
    w.sync()

    assert status(w, ANN) == Status.IN
    assert w.crm_shows(ANN)["opt_out"] is True, "one of its addresses is a member and out"
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_CITY": "Oslo"})
    w.sync()
    assert status(w, ANN) == Status.IN, "the flag that we set speaks for that address only"


def test_two_contacts_that_swap_their_addresses_share_the_restriction(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.crm.act("change_address", email=ANN, to="between@example.com")
    w.crm.act("change_address", email=BEN, to=ANN)
    w.crm.act("change_address", email="between@example.com", to=BEN)

    assert "rename" not in {kind for _, kind in kinds(w)}
    assert status(w, ANN) == status(w, BEN) == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.crm_shows(BEN)["opt_out"] is True
    for _ in range(3):
        w.rest()


def test_an_address_added_before_a_swap_shares_the_restriction_too(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.crm.act("add_address", email=BEN, address=CAT)
    w.crm.act("change_address", email=ANN, to="between@example.com")
    w.crm.act("change_address", email=BEN, to=ANN)
    w.crm.act("change_address", email="between@example.com", to=BEN)
    w.sync()

    assert not may_send(w, CAT)


@pytest.mark.parametrize("moved", [1, 3])
def test_an_opt_out_at_one_duplicate_follows_the_other_to_its_new_address(
    world: Make, interest: None, moved: int
) -> None:
    w = world(person(1), person(2))
    w.crm.act("create", addresses=(ANN,), first_name="Ann")
    w.sync()
    flagged = {1: 3, 3: 1}[moved]
    w.crm.act("edit", id=flagged, fields={"UF_CRM_OPT_OUT": 1})
    held = w.crm.act("dump", id=moved)["EMAIL"][0]["ID"]
    w.crm.act("edit", id=moved, fields={"EMAIL": [{"ID": held, "VALUE": CAT}]})
    w.sync()

    assert not may_send(w, ANN)
    assert not may_send(w, CAT)
    assert w.crm_shows(CAT)["opt_out"] is True


def test_members_that_swap_their_addresses_are_asked_about_and_left(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("change_address", email=ANN, to="between@example.com")
    w.esp.act("change_address", email=BEN, to=ANN)
    w.esp.act("change_address", email="between@example.com", to=BEN)

    assert kinds(w) == []
    with w.store.reading() as unit:
        assert [issue.kind for issue in unit.issues.list()] == ["ambiguous", "ambiguous"]


@pytest.mark.parametrize("way", ["restore", "create"])
def test_an_opt_out_survives_deletion_and_a_new_id(world: Make, interest: None, way: str) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    gone = w.crm.act("delete", email=ANN)
    w.sync()
    if way == "restore":
        w.crm.act("restore", id=gone[0])
        w.crm.act("edit", id=_id(w, ANN), fields={"UF_CRM_OPT_OUT": 0})
    else:
        w.crm.act("create", email=ANN, first_name="Ann", opt_in=True)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert status(w, ANN) == Status.OUT


def _id(w: World, email: str) -> int:
    """The id of the contact with this address, which may not have been read yet."""
    for number in range(1, 50):
        try:
            shown = w.crm.act("dump", id=number)
        except KeyError:
            continue
        if any(row["VALUE"].casefold() == email for row in shown["EMAIL"]):
            return number
    raise AssertionError(email)


def test_a_contact_made_anew_with_further_addresses_brings_its_opt_out_to_them(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.crm.act("delete", email=ANN)
    w.crm.act("create", addresses=("other@example.com", ANN), first_name="Ann")
    w.sync()

    assert w.crm_shows("other@example.com")["opt_out"] is True
    assert w.esp.act("view", email="other@example.com") is None


def test_a_lead_that_becomes_a_contact_leaves_it_the_fields_and_the_opt_out_reaches_both(world: Make) -> None:
    lead = person(1, crm_entity="lead", city="Riga")
    w = world(lead, changes={"crm": {**_crm(), "entity": ["lead", "contact"], "where": {}}})
    w.sync()
    w.crm.act("create", email=ANN, first_name="Anna", city="Oslo")
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert [view["opt_out"] for view in w.crm.act("view", email=ANN, all=True)] == [True, True]


def test_a_consent_that_a_lead_came_with_lifts_nothing_when_it_becomes_a_contact(world: Make, interest: None) -> None:
    crm = {**_crm(), "entity": ["contact", "lead"], "where": {}}
    w = world(person(1), changes={"crm": crm, "opt_out": {"esp_to_crm": False}})
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(minutes=10)
    at = w.clock.now()
    w.crm.act("create", email=ANN, crm_entity="lead", first_name="Ann", opt_in=True, consent_at=at)
    w.sync()
    assert not may_send(w, ANN), "it was there before it was seen"
    w.crm.act("opt_in", email=ANN, at=at.isoformat())
    w.sync()

    assert w.crm.act("dump", id=1)["UF_CRM_CONSENT_DATE"], "the contact has the lead's"
    assert not may_send(w, ANN)
    assert status(w, ANN) == Status.OUT


def _crm() -> dict[str, Any]:
    mock = mocks()["bitrix24"](clock=ManualClock(worlds.START), rng=random.Random(1))
    return {"system": "crm", **mock.config(worlds.CRM).side}


def test_an_address_changed_at_one_platform_is_followed_by_the_other(tmp_path: Path, interest: None) -> None:
    people = [person(1), person(2)]
    two = TwoAudiences(tmp_path, people, people)
    two.sync()
    two.w.esp.act("change_address", email=ANN, to="new@example.com")
    two.sync()
    two.sync()

    assert two.w.crm_shows("new@example.com")["address"] == "new@example.com"
    assert two.other.act("view", email="new@example.com")["status"] == Status.IN
    assert two.other.act("view", email=ANN) is None
    two.settle()
    two.other.act("unsubscribe", email="new@example.com")
    two.sync()
    two.sync()
    assert two.w.esp_shows("new@example.com")["status"] == Status.OUT
    assert run_cycle(two.engine).state == "done"


@pytest.mark.rule("one bad record stands alone")
def test_who_cannot_be_looked_up_after_a_write_ends_no_run(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(person(1), person(2), person(3))
    w.settle()
    handle = type(w.crm).handle
    written: list[MockRequest] = []

    def met(mock: Any, request: MockRequest) -> Any:
        if mock.is_write(request) and not written:
            written.append(request)
            mock.act("add_address", email=ANN, address=BEN)
        return handle(mock, request)

    def fails(*_: Any) -> Any:
        raise SystemUnavailable("crm", "HTTP 500")

    w.esp.act("unsubscribe", email=ANN)
    with monkeypatch.context() as patch:
        patch.setattr(type(w.crm), "handle", met)
        patch.setattr(w.engine.connectors["crm"], "read_ids", fails)
        report = w.sync()
    assert [type(failure) for failure in report.syncs["newsletter"].failures] == [SystemUnavailable]
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(BEN)["status"] == Status.IN
