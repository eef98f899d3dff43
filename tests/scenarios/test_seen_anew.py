"""Read as if for the first time, what was voided stays void, and what we wrote is nobody's word."""

from pathlib import Path

import pytest
import requests

from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.sync import plans
from optsync.sync.administer import opt_in
from optsync.sync.importing import take_back
from optsync.sync.progress import Silent
from tests.scenarios.plans import LIMIT, SMALL, Make, may_send, part
from tests.scenarios.test_crashes import Killed
from tests.scenarios.test_import import SCOPE, imported, standing
from tests.scenarios.test_lost_answers import Deaf
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("nobody is opted in by accident")
ANN, BEA, CLEO, DORA = (f"ann{n}@example.com" for n in range(1, 5))
FURTHER = "second@example.com"
_MARKETING = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
INTEREST = {"acme": {"purposes": {"marketing": _MARKETING}}}


def _without_reason(w: World) -> None:
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))


def _grants(w: World, email: str) -> int:
    with w.store.reading() as unit:
        key = unit.points.find([email])[email]
        return sum(s.kind is StatementKind.GRANT for s in unit.ledger.about([key])[key])


def _reject(w: World) -> None:
    uid = part(w.sync()).plan
    assert uid is not None
    w.wait(minutes=10)
    plans.reject(w.engine, uid, actor="boss")


@pytest.mark.rule("retraction spares the person")
@pytest.mark.parametrize("then", ["another meaning", "restored"])
def test_a_rejected_consent_stays_void(world: Make, then: str) -> None:
    w = world(*(person(n, in_esp=False) for n in range(1, 5)), person(9, opt_in=True), guard=SMALL)
    w.sync()
    for email in (ANN, BEA, CLEO, DORA):
        w.crm.act("opt_in", email=email, at=(START.replace(hour=8)).isoformat())
    _reject(w)
    assert not may_send(w, ANN)
    if then == "restored":
        number = w.crm_id(ANN)
        w.crm.act("delete", email=ANN)
        for _ in range(2):
            w.sync(full=True)
            w.wait(hours=2)
        w.crm.act("restore", id=number)
    else:
        w.crm.act("set_field", email=ANN, field="city", value="Oslo")
        _without_reason(w)
    report = w.sync()

    assert (report.exit_code, part(report).changes) == (0, [])
    assert not may_send(w, ANN)
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.rule("retraction spares the person")
def test_a_rejected_tick_stays_void(world: Make) -> None:
    off = {"crm_topics": {"news": False}, "esp_topics": {"news": False}}
    w = world(*(person(n, opt_in=True, **off) for n in range(1, 5)), guard={**SMALL, "updates": LIMIT})
    w.sync()
    for email in (ANN, BEA, CLEO, DORA):
        w.crm.act("set_topic", email=email, topic="news", wanted=True)
    _reject(w)
    assert standing(w, ANN, f"{SCOPE}/news") == "unknown"
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    _without_reason(w)
    w.sync()

    assert standing(w, ANN, f"{SCOPE}/news") == "unknown"
    assert w.esp_shows(ANN)["topics"]["news"] is False


@pytest.mark.rule("retraction spares the person")
@pytest.mark.parametrize("is_read_before", [False, True])
def test_a_consent_of_an_import_that_was_taken_back_is_not_read_from_what_we_wrote(
    world: Make, tmp_path: Path, is_read_before: bool
) -> None:
    w = world(person(1, in_esp=False), person(2))
    w.sync()
    uid = imported(w, tmp_path, f"{ANN},grant,2026-01-02,,,a form", source="import").uid
    w.sync()
    assert (w.crm_shows(ANN)["opt_in"], w.esp_shows(ANN)["status"]) == (True, Status.IN)
    if is_read_before:
        _without_reason(w)
        w.sync()
    assert _grants(w, ANN) == 1
    take_back(w.engine, uid, actor="Eve", reason="the wrong list", progress=Silent())
    w.reconfigure(lambda sync: sync["fields"].pop())
    w.sync()

    assert (_grants(w, ANN), standing(w, ANN), may_send(w, ANN)) == (1, "unknown", False)


@pytest.mark.parametrize("esp_ahead", [0, 420])
def test_the_stamp_of_a_member_that_we_made_is_nobodys_opt_in(world: Make, esp_ahead: float) -> None:
    w = world(person(1, in_esp=False), person(2), brands=INTEREST, esp_ahead=esp_ahead)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()
    _without_reason(w)
    report = w.sync()

    assert (part(report).changes, _grants(w, ANN), standing(w, ANN)) == ([], 0, "unknown")
    assert not w.crm_shows(ANN)["opt_in"]
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    assert (standing(w, ANN), w.crm_shows(ANN)["opt_in"]) == ("in", True)


@pytest.mark.parametrize("error", [Killed, requests.ConnectionError])
def test_the_stamp_of_a_member_that_we_made_unheard_is_nobodys_opt_in(world: Make, error: type[BaseException]) -> None:
    w = world(person(2), brands=INTEREST)
    w.settle()
    w.crm.populate([person(1, in_esp=False, created_at=w.clock.now())])
    deaf = Deaf(w, lambda: None, sign="ann1@example.com", error=error)
    w.use(deaf)
    try:
        w.sync()
    except Killed:
        assert error is Killed
    assert deaf.count == 1
    w.use(w.transport)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert (_grants(w, ANN), standing(w, ANN)) == (0, "unknown")
    assert not w.crm_shows(ANN)["opt_in"]
    w.settle()


@pytest.mark.parametrize("error", [None, Killed, requests.ConnectionError])
def test_the_stamp_of_a_member_that_we_took_back_is_nobodys_opt_in(
    world: Make, error: type[BaseException] | None
) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    w.settle()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "SUPPLIER"})
    w.settle()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.wait(hours=1)
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "CLIENT"})
    if error is not None:
        w.use(Deaf(w, lambda: None, sign='"subscribed"', error=error))
    try:
        w.sync()
    except Killed:
        assert error is Killed
    w.use(w.transport)
    w.sync()
    _without_reason(w)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert _grants(w, ANN) == 1


def test_the_proof_on_a_contact_that_we_made_unheard_is_no_other_consent(world: Make) -> None:
    w = world(person(2), policy={"esp_only": "create_in_crm"})
    w.settle()
    w.esp.populate([person(1, in_crm=False, opted_in_at=w.clock.now(), created_at=w.clock.now())])
    deaf = Deaf(w, lambda: None, sign="UF_CRM_CONSENT_DATE]=", error=Killed)
    w.use(deaf)
    with pytest.raises(Killed):
        w.sync()
    w.use(w.transport)
    w.sync()

    assert w.crm_shows(ANN)["opt_in"] is True
    assert (_grants(w, ANN), standing(w, ANN)) == (1, "in")


def _let_in(w: World, email: str) -> None:
    opt_in(w.engine, email, scope="acme/marketing", actor="Olga", evidence="a letter")


def _standings(w: World, *emails: str) -> list[str]:
    return [standing(w, email) for email in emails]


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_flag_that_we_set_for_one_address_speaks_for_no_other_under_another_mapping(
    world: Make, *, is_edited: bool
) -> None:
    w = world(person(1, addresses=(ANN, FURTHER)), person(2, addresses=(FURTHER,), in_crm=False))
    w.sync()
    _let_in(w, ANN)
    w.sync()
    w.esp.act("unsubscribe", email=FURTHER)
    w.settle()
    assert (w.crm_shows(ANN)["opt_out"], _standings(w, ANN, FURTHER)) == (True, ["in", "out"])
    if is_edited:
        w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))
    w.sync()

    assert _standings(w, ANN, FURTHER) == ["in", "out"]
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("is_ours_before", [False, True])
def test_a_flag_that_somebody_set_before_the_mapping_changed_speaks_for_all_addresses(
    world: Make, *, is_ours_before: bool
) -> None:
    w = world(person(1, addresses=(ANN, FURTHER)), person(2, addresses=(FURTHER,), in_crm=False))
    w.sync()
    _let_in(w, ANN)
    w.sync()
    if is_ours_before:
        w.esp.act("admin_unsubscribe", email=FURTHER)
        w.settle()
        _let_in(w, FURTHER)
        w.settle()
        assert w.crm_shows(ANN)["opt_out"] is False
    w.wait(hours=1)
    w.crm.act("opt_out", email=ANN)
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))
    w.sync()

    assert _standings(w, ANN, FURTHER) == ["out", "out"]


@pytest.mark.rule("no opt-out is lost")
def test_a_flag_that_we_set_for_one_address_speaks_for_all_in_another_scope(world: Make) -> None:
    """In which nobody has said what it was set for."""
    w = world(person(1, addresses=(ANN, FURTHER)), person(2, addresses=(FURTHER,), in_crm=False))
    w.sync()
    w.esp.act("unsubscribe", email=FURTHER)
    w.settle()
    purposes = w.document["brands"]["acme"]["purposes"]
    purposes["press"] = purposes["marketing"]
    w.reconfigure(lambda sync: sync.update(scope="acme/press"))
    w.sync()

    assert [standing(w, email, "acme/press") for email in (ANN, FURTHER)] == ["out", "out"]
