"""Somebody is forgotten while something about them is under way: held, on its way to another address, or moved."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from optsync.connect.contract import Absence
from optsync.connect.mock import MockTransport
from optsync.errors import CommandRefused
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Side, Status
from optsync.model.statement import StatementKind
from optsync.reconcile.undo import Why
from optsync.sync import plans
from optsync.sync.absence import Absences
from optsync.sync.administer import opt_in
from optsync.sync.forget import forget, forget_at_vendors
from optsync.sync.forgotten import quiet
from optsync.sync.standings import report as standings
from optsync.sync.undo import undo
from optsync.sync.undoing import UndoneSync
from tests.scenarios import world as worlds
from tests.scenarios.plans import MANY, crowd, held, hold_opt_outs
from tests.scenarios.world import CRM, ESP, START, World, person

pytestmark = pytest.mark.rule("forgotten stays out")
Make = Callable[..., World]
ANN, BEA, CLEO, DORA, EVE, FAY = MANY
NEW = "new@example.com"


def erase(w: World, email: str = ANN) -> None:
    forget(w.engine, email, actor="the privacy officer")


def is_proven(w: World) -> bool:
    with w.store.reading() as unit:
        return unit.ledger.verify([b"a secret of the tests"]).findings == []


def is_forgotten(w: World) -> bool:
    with w.store.reading() as unit:
        return unit.points.forgotten_since(unit.points.find([ANN])[ANN]) is not None


def test_who_is_forgotten_inside_a_held_plan_is_out_at_once_and_the_others_by_approval(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    erase(w)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.esp_shows(BEA)["status"] == Status.IN
    w.wait(minutes=10)
    plans.approve(w.engine, uid, actor="boss")

    assert all(w.esp_shows(email)["status"] == Status.OUT for email in MANY[:4])
    assert all(w.esp_shows(email)["status"] == Status.IN for email in MANY[4:])
    assert held(w) == []
    assert is_proven(w)


def test_who_is_forgotten_inside_a_held_plan_stays_out_when_it_is_rejected(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    erase(w)
    w.wait(minutes=10)
    second = plans.reject(w.engine, uid, actor="boss").syncs["newsletter"].plan
    if second is not None:
        w.wait(minutes=10)
        plans.approve(w.engine, second, actor="boss")

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)
    assert all(w.crm_shows(email)["opt_out"] is False for email in MANY[1:4])
    assert all(w.esp_shows(email)["status"] == Status.IN for email in MANY[1:])
    assert is_proven(w)


def test_a_member_is_not_renamed_to_the_new_address_of_somebody_who_is_forgotten_at_the_old_one(world: Make) -> None:
    w = world(person(1, opt_in=True), person(2))
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    w.sync(stopping=lambda: True)
    erase(w, ANN)
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.esp.act("view", email=NEW) is None
    assert is_proven(w)


def test_a_member_is_not_renamed_to_an_address_that_is_forgotten_meanwhile(world: Make) -> None:
    w = world(person(1, opt_in=True), person(2))
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    w.sync(stopping=lambda: True)
    erase(w, NEW)
    w.sync()
    w.sync()

    assert w.crm_shows(NEW)["opt_out"] is True
    assert w.esp.act("view", email=NEW) is None
    assert is_proven(w)


@pytest.mark.rule("restrictions follow the person")
def test_the_out_of_a_forgotten_person_follows_their_record_to_another_address(world: Make) -> None:
    w = world(person(1, opt_in=True), person(2))
    w.sync()
    erase(w)
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    w.sync()
    w.sync()

    assert w.crm_shows(NEW)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    new = w.esp.act("view", email=NEW)
    assert new is None or new["status"] == Status.OUT
    with w.store.reading() as unit:
        key = unit.points.find([NEW])[NEW]
        kinds = {s.kind for s in unit.ledger.about([key])[key]}
    assert StatementKind.OUT in kinds
    assert StatementKind.GRANT not in kinds


@pytest.mark.rule("nobody is opted in by accident")
def test_no_grant_follows_from_a_forgotten_address(world: Make) -> None:
    w = world(person(1, opt_in=True), person(2), policy={"existing": "legacy_grant"})
    w.sync()
    erase(w)
    w.esp.act("change_address", email=ANN, to=NEW)
    w.crm.act("change_address", email=ANN, to=NEW)
    w.sync()
    w.sync()

    with w.store.reading() as unit:
        key = unit.points.find([NEW])[NEW]
        said = unit.ledger.about([key])[key]
    assert StatementKind.GRANT not in {s.kind for s in said}
    assert w.esp_shows(NEW)["status"] == Status.OUT
    assert w.crm_shows(NEW)["opt_out"] is True
    assert is_proven(w)


def test_an_administrators_opt_in_of_before_the_erasure_brings_no_address_back(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.sync()
    with pytest.raises(CommandRefused, match="forgotten"):
        opt_in(w.engine, ANN, scope="acme/marketing", actor="Eve", evidence="a letter", at=START - timedelta(days=1))
    w.settle()

    assert is_forgotten(w)
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_a_sign_up_in_the_minute_of_the_erasure_lets_nobody_back_whatever_stamp_a_program_set_since(
    world: Make,
) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("archive", email=ANN)
    w.sync()
    erase(w)
    w.wait(minutes=1)
    w.esp.act("resubscribe", email=ANN)
    w.wait(hours=1)
    for act in ("archive", "flip_in"):
        w.esp.act(act, email=ANN)
    w.settle()

    assert is_forgotten(w)
    assert w.esp_shows(ANN)["status"] == Status.OUT


@pytest.mark.parametrize("is_read_between", [False, True])
def test_an_edit_of_the_contact_of_a_forgotten_person_who_signs_up_again_is_no_new_no(
    world: Make, is_read_between: bool
) -> None:
    proven = person(1, opt_in=True, consent_at=START, opted_in_at=START - timedelta(days=5))
    w = world(proven, person(2))
    w.sync()
    erase(w)
    w.settle()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    if is_read_between:
        w.sync()
    w.wait(minutes=1)
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    w.settle()

    assert not is_forgotten(w)
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.crm_shows(ANN)["opt_in"] is True


def test_an_edit_of_the_member_of_a_forgotten_person_whom_a_program_put_on_the_list_since_is_no_new_no(
    world: Make,
) -> None:
    w = world(person(1, opt_in=True, consent_at=START), person(2))
    w.sync()
    erase(w)
    w.settle()
    w.wait(hours=1)
    w.esp.act("archive", email=ANN)
    w.esp.act("flip_in", email=ANN)
    w.settle()
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.wait(minutes=1)
    w.esp.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    w.settle()

    assert not is_forgotten(w)
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.crm_shows(ANN)["opt_in"] is True


def test_a_record_with_a_value_that_cannot_be_used_is_deleted_as_well_and_not_told_as_gone(world: Make) -> None:
    w = crowd(world)
    number = int(w.crm_id(ANN))
    rows: Any = w.crm
    rows.portal.table("contact").rows[number].values["UF_CRM_OPT_OUT"] = "perhaps"
    done = forget(w.engine, ANN, actor="the privacy officer")
    done = forget_at_vendors(w.engine, done, ANN)

    assert {h.outcome for h in done.holdings} == {"deleted"}
    assert w.crm.act("view", email=ANN) is None


class Forgetting(MockTransport):
    """Somebody is forgotten while the first request is under way."""

    def __init__(self, w: World) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._acts = [lambda: erase(w)]

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        while self._acts:
            self._acts.pop()()
        return super().send(request, *arguments, **options)


def test_an_undo_puts_no_value_back_into_the_record_of_who_is_forgotten_meanwhile(world: Make) -> None:
    w = crowd(world)
    w.reconfigure(lambda sync: sync.update(fields=[{**each, "blank": "clear"} for each in sync["fields"]]))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="")
    cleared = w.sync()
    w.use(Forgetting(w))
    report = undo(w.engine, cleared.run, actor="Kim")
    part = report.syncs["newsletter"]

    assert w.esp_shows(ANN)["fields"]["city"] == ""
    assert isinstance(part, UndoneSync)
    assert [each.why for each in part.not_undone] == [Why.FORGOTTEN]
    with w.store.reading() as unit:
        assert "Riga" not in repr([(c.before, c.after) for c in unit.changes.of_run(report.run)])
    w.settle()


def test_outs_of_a_forgotten_address_that_came_to_another_contact_are_written_once_their_plan_is_approved(
    world: Make,
) -> None:
    limit = {"max": 1, "percent": 5, "cap": 100}
    w = world(*(person(n, opt_in=True) for n in range(1, 5)), guard={"opt_outs": limit})
    w.sync()
    erase(w)
    w.crm.act("change_address", email="ann2@example.com", to=ANN)
    w.esp.act("unsubscribe", email="ann2@example.com")
    held = w.sync().syncs["newsletter"].plan
    assert held is not None
    w.wait(minutes=10)
    report = plans.approve(w.engine, held, actor="boss")

    assert report.syncs["newsletter"].state == "done"
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


def _stored(w: World, system: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What is stored of a system's records: id, addresses and first name."""
    with w.store.reading() as unit:
        return [
            (o.record.id, o.record.addresses, str(o.record.fields.get("FNAME")))
            for o in unit.records.load(range(20))
            if o.system == system
        ]


def test_who_is_forgotten_while_a_system_says_that_they_left_does_not_come_back(world: Make) -> None:
    w = crowd(world)
    w.sync()
    found = next(b for b in w.engine.bound.sources.values() if b.side is Side.ESP)
    binding = replace(found, absence=Absence.LEFT)
    with w.store.transaction() as unit:
        source = unit.sources.require(binding.system, binding.collection)
        unit.sources.clear_scan(source.id)

    class Answering:
        def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> list[Record]:
            del spec, ids
            erase(w)
            return []

    answering: Any = Answering()
    engine = replace(w.engine, connectors={**w.engine.connectors, binding.system: answering})
    Absences(engine, binding, source, "r", lambda _: None, lambda *_, **__: None).judge()

    stored = _stored(w, binding.system)
    assert BEA in {address for _, listed, _ in stored for address in listed}
    assert ANN not in {address for _, listed, _ in stored for address in listed}
    assert "Ann1" not in {name for _, _, name in stored}
    assert is_proven(w)


def test_an_issue_about_who_is_forgotten_while_a_write_is_under_way_does_not_name_the_record_by_the_address(
    world: Make,
) -> None:
    w = crowd(world)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync()
    with w.store.reading() as unit:
        sent = [replace(c, record=ANN) for c in unit.changes.of_run(report.run) if c.email == ANN]
    erase(w)

    with w.store.reading() as unit:
        told = [change.record for change, _ in quiet(unit, sent, {})]
    assert told
    assert not any("@" in str(record) for record in told)


@pytest.mark.parametrize("blank", ["keep", "clear"])
@pytest.mark.parametrize(
    ("typed", "stored"),
    [(ANN, ANN), ("Zoë@Bücher.Example", "zoë@xn--bcher-kva.example")],
)
def test_a_text_that_names_who_is_forgotten_in_the_record_of_somebody_else_is_no_blank(
    world: Make, blank: str, typed: str, stored: str
) -> None:
    w = world(person(1, addresses=(BEA, typed), city=f"care of {typed}"), person(3))

    def set_blank(sync: dict[str, Any]) -> None:
        for field in sync["fields"]:
            field["blank"] = blank

    w.reconfigure(set_blank)
    w.sync()
    erase(w, stored)
    w.rest()
    w.sync(full=True)
    w.rest()

    assert w.esp_shows(BEA)["fields"]["city"] == w.crm_shows(BEA)["fields"]["city"] == f"care of {typed}"
    assert standings(w.engine)["syncs"]["newsletter"]["mismatches"] == []
    w.crm.act("set_field", email=BEA, field="city", value="Oslo")
    w.sync()
    assert w.esp_shows(BEA)["fields"]["city"] == "Oslo"


def test_no_text_that_names_who_is_forgotten_is_kept_of_the_record_of_somebody_else(world: Make) -> None:
    w = world(person(1, addresses=(BEA, "Zoë@Bücher.Example"), city="care of Zoë@Bücher.Example"), person(3))
    w.sync()
    erase(w, "zoë@xn--bcher-kva.example")
    for is_full in (False, True):
        w.sync(full=is_full)
        with w.store.reading() as unit:
            (contact,) = (
                o.record
                for o in unit.records.load(unit.records.holding([unit.points.find([BEA])[BEA]]))
                if o.system == "crm"
            )
        assert contact.addresses == (BEA,)
        assert "care of" not in repr(contact.fields)


@pytest.fixture
def interest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The purpose needs no grant."""
    marketing = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
    monkeypatch.setitem(worlds.BRANDS, "acme", {"purposes": {"marketing": marketing}})


@pytest.mark.rule("restrictions follow the person")
@pytest.mark.parametrize("email", [NEW, BEA])
def test_being_forgotten_counts_for_both_addresses_of_who_is_asked_about(
    world: Make, interest: None, email: str
) -> None:
    w = world(person(1), person(3))
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    w.esp.act("change_address", email=ANN, to=BEA)
    w.sync()
    assert w.esp_shows(BEA)["status"] == Status.IN
    erase(w, email)
    w.sync()

    assert (w.crm_shows(NEW)["opt_out"], w.esp_shows(BEA)["status"]) == (True, Status.OUT)
    w.crm.act("set_field", email=NEW, field="city", value="Oslo")
    w.sync()
    assert w.esp.act("view", email=NEW) is None
    assert is_proven(w)


@pytest.mark.rule("restrictions follow the person")
@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize("is_filtered", [True, False])
def test_who_is_forgotten_at_the_new_address_is_taken_off_at_the_one_that_the_platform_still_has(
    world: Make, interest: None, is_read: bool, is_filtered: bool
) -> None:
    w = world(person(1), person(3))
    if not is_filtered:
        w.reconfigure(lambda sync: sync["crm"].update(where={}))
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    if is_read:
        w.sync(stopping=lambda: True)
    erase(w, NEW)
    w.sync()

    assert (w.crm_shows(NEW)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)


@pytest.mark.rule("restrictions follow the person")
def test_who_has_the_former_address_of_somebody_who_is_forgotten_stays_on_the_list(world: Make, interest: None) -> None:
    w = world(person(1), person(3))
    w.reconfigure(lambda sync: sync["crm"].update(where={}))
    w.sync()
    w.crm.act("change_address", email=ANN, to=NEW)
    w.crm.act("change_address", email=CLEO, to=ANN)
    w.sync(stopping=lambda: True)
    erase(w, NEW)
    w.sync()

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (False, Status.IN)
