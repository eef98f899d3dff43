"""What a vendor refuses is recorded, shown and not tried again; what it puts off comes back by itself."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.record import Origin, Status
from optsync.sync.administer import opt_in
from optsync.sync.explain import explain
from tests.scenarios.world import ESP, START, World, person

pytestmark = pytest.mark.rule("a refusal is a fact")

Make = Callable[..., World]
ANN, FAKE = "ann1@example.com", "ann1@gmail.con"
SCOPE = "acme/marketing"
CONSENT: dict[str, Any] = {"in_esp": False, "opt_in": True, "consent_at": START - timedelta(days=3)}


def open_issues(w: World) -> list[str]:
    with w.store.reading() as unit:
        return [issue.kind for issue in unit.issues.list()]


def about(w: World, email: str = ANN) -> dict[str, Any]:
    return dict(explain(w.engine, email))


def esp_writes(w: World) -> int:
    return sum(1 for r in w.transport.requests if r.base_url == ESP and w.esp.is_write(r))


def forgotten(world: Make, **options: Any) -> World:
    """Ann belongs to the list, and the platform has deleted her for good."""
    details = {**CONSENT, **options.pop("details", {})}
    w = world(person(1, **details), **options)
    w.esp.act("resubscribe", email=ANN)
    w.esp.act("forget", email=ANN)
    return w


def test_who_was_deleted_for_good_there_is_never_created_again(world: Make) -> None:
    w = forgotten(world)
    report = w.sync()

    refused = [(c.kind, c.state, c.fact) for c in report.syncs["newsletter"].changes if c.system == "esp"]
    assert refused == [("create", "refused", "forgotten")]
    assert open_issues(w) == ["refused"]
    before = esp_writes(w)
    w.sync()
    assert w.sync(full=True).syncs["newsletter"].outcome["skipped"] == {"refused": 1}
    w.engine = w.compose()
    w.sync(full=True)
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    opt_in(w.engine, ANN, scope=SCOPE, actor="Kim", evidence="signed form")
    w.sync()

    assert esp_writes(w) == before
    assert open_issues(w) == ["refused"]
    w.settle()


def test_a_refusal_is_explained_with_the_vendors_words_and_without_the_address(world: Make) -> None:
    w = forgotten(world)
    w.sync()

    (refusal,) = about(w)["refusals"]
    assert (refusal["system"], refusal["kind"], refusal["fact"]) == ("esp", "create", "forgotten")
    assert refusal["at"] is not None
    assert "permanently deleted" in refusal["words"]
    assert "signing up with a form" in refusal["next"]
    with w.store.reading() as unit:
        messages = [issue.message for issue in unit.issues.list()]
    assert ANN not in f"{refusal} {messages}"
    w.settle()


def test_who_was_deleted_for_good_is_not_asked_either(world: Make) -> None:
    w = forgotten(world, details={"opt_in": False, "consent_at": None}, policy={"enter": "request"})
    w.sync()

    asked = about(w)["scopes"][SCOPE]
    assert (asked["standing"], asked["request"]["state"], asked["request"]["fact"]) == (
        "unknown",
        "refused",
        "forgotten",
    )
    assert open_issues(w) == ["refused"]
    before = esp_writes(w)
    w.wait(hours=30)
    w.sync(full=True)
    assert esp_writes(w) == before
    w.settle()


def test_a_later_sign_up_by_the_person_is_honoured(world: Make) -> None:
    w = forgotten(world)
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert open_issues(w) == []
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    w.settle()


def test_an_address_that_looks_fake_is_left_until_it_is_corrected(world: Make) -> None:
    w = world(person(1, addresses=(FAKE,), **CONSENT))
    w.sync()
    assert about(w, FAKE)["refusals"][0]["fact"] == "fake_address"
    before = esp_writes(w)
    w.wait(hours=1)
    w.crm.act("opt_in", email=FAKE, at=w.clock.now().isoformat())
    w.sync(full=True)
    assert esp_writes(w) == before
    w.settle()

    w.wait(hours=1)
    w.crm.act("change_address", email=FAKE, to=ANN)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


def test_a_vendor_that_takes_a_sign_up_later_gets_it_later(world: Make) -> None:
    w = world(person(1, **CONSENT))
    w.esp.act("throttle", email=ANN)
    w.sync()
    assert open_issues(w) == ["put_off"]
    (refusal,) = about(w)["refusals"]
    assert (refusal["fact"], "put off" in refusal["next"]) == (None, True)
    w.settle()

    w.esp.act("throttle", email=ANN, on=False)
    w.wait(hours=25)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert open_issues(w) == []
    w.settle()


@pytest.mark.parametrize("many", [1, 5])
def test_members_at_addresses_that_look_fake_come_back_however_many_do(world: Make, many: int) -> None:
    people = [
        person(number, addresses=(f"ann{number}@gmail.con",), status=Status.OUT, origin=Origin.ADMIN)
        for number in range(1, many + 1)
    ]
    addresses = [each.addresses[0] for each in people]
    w = world(*people)
    w.sync()
    w.wait(hours=1)
    for address in addresses:
        w.crm.act("opt_in", email=address, at=w.clock.now().isoformat())
    w.sync()

    assert {w.esp_shows(address)["status"] for address in addresses} == {Status.IN}
    assert open_issues(w) == []
    w.settle()


@pytest.mark.parametrize("many", [1, 5])
def test_members_who_signed_up_too_often_elsewhere_come_back_later_and_leave_at_once(world: Make, many: int) -> None:
    people = [person(number, status=Status.OUT, origin=Origin.ADMIN) for number in range(1, many + 1)]
    leaving = [person(number) for number in range(11, 11 + many)]
    w = world(*people, *leaving)
    w.sync()
    for each in (*people, *leaving):
        w.esp.act("throttle", email=each.addresses[0])
    w.wait(hours=1)
    for each in people:
        w.crm.act("opt_in", email=each.addresses[0], at=w.clock.now().isoformat())
    for each in leaving:
        w.crm.act("opt_out", email=each.addresses[0])
    w.sync()
    assert {w.esp_shows(each.addresses[0])["status"] for each in (*people, *leaving)} == {Status.OUT}
    assert open_issues(w) == ["put_off"] * many
    w.settle()

    for each in people:
        w.esp.act("throttle", email=each.addresses[0], on=False)
    w.wait(hours=25)
    w.sync()
    assert {w.esp_shows(each.addresses[0])["status"] for each in people} == {Status.IN}
    assert open_issues(w) == []
    w.settle()


def test_a_request_that_the_vendor_puts_off_is_made_later_and_once(world: Make) -> None:
    w = world(person(1, in_esp=False), policy={"enter": "request"})
    w.esp.act("throttle", email=ANN)
    w.sync()
    assert about(w)["scopes"][SCOPE]["request"]["state"] == "never"
    w.settle()

    w.esp.act("throttle", email=ANN, on=False)
    w.wait(hours=25)
    w.sync()
    assert about(w)["scopes"][SCOPE]["request"]["state"] == "waiting"
    w.wait(hours=25)
    w.sync(full=True)
    assert w.esp.act("asked", email=ANN) == 1
    w.settle()


def test_a_self_unsubscribe_that_the_record_hides_is_asked_after_the_refusal(world: Make) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.PERSON))
    w.esp.act("unlist", email=ANN)
    w.esp.act("admin_unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    report = w.sync()
    refused = [(c.kind, c.state, c.fact) for c in report.syncs["newsletter"].changes if c.system == "esp"]
    assert refused == [("opt_in", "refused", "self_unsubscribed")]
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.PENDING
    assert w.esp.act("asked", email=ANN) == 1
    assert open_issues(w) == []
    w.settle()
    assert w.esp.act("asked", email=ANN) == 1


def test_a_bounced_member_is_left_as_it_is_whatever_opt_in_arrives(world: Make) -> None:
    w = world(person(1, status=Status.BOUNCED))
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    before = esp_writes(w)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.BOUNCED
    assert esp_writes(w) == before
    w.settle()


@pytest.mark.parametrize("language", ["english", "other"])
def test_an_opt_out_for_a_contact_that_may_not_be_seen_any_more_is_told_and_tried_again(
    world: Make, language: str
) -> None:
    hidden: set[int] = set()
    portal = {"can_see": lambda _, number: number not in hidden, "language": language}
    w = world(person(1), person(2), portal=portal)
    w.sync()
    hidden.add(int(w.crm_id(ANN)))
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert "refused" in open_issues(w)
    hidden.clear()
    w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True
    w.wait(hours=30)
    w.sync(full=True)
    assert open_issues(w) == []
