"""Whoever is forgotten leaves no clear text behind, and stays out whatever is imported again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.reconcile import erasure
from optsync.sync.administer import opt_in
from optsync.sync.forget import forget, forget_at_vendors, still_there
from optsync.sync.undo import undo
from tests.scenarios.plans import may_send
from tests.scenarios.test_crashes import Killed, KillingTransport
from tests.scenarios.world import CRM, ESP, START, World, person

pytestmark = pytest.mark.rule("forgotten stays out")
Make = Callable[..., World]
ANN = "ann1@example.com"


def erase(w: World, email: str = ANN) -> None:
    forget(w.engine, email, actor="the privacy officer")


def imported_again(world: Make) -> World:
    """Ann was forgotten before any system showed her, and comes back as a contact with a consent of later."""
    w = world(person(2))
    w.sync()
    erase(w)
    w.wait(minutes=10)
    now = w.clock.now()
    w.crm.populate([person(1, in_esp=False, opt_in=True, consent_at=now, created_at=now)])
    return w


def test_a_forgotten_person_is_opted_out_wherever_they_still_are(world: Make) -> None:
    w = world(person(1, opt_in=True, consent_at=None), person(2))
    w.sync()
    erase(w)
    report = w.sync(full=True)

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    assert report.syncs["newsletter"].outcome["skipped"].get("forgotten", 0) + 2 >= 2
    changes = report.syncs["newsletter"].changes
    assert {(c.email, c.kind) for c in changes} == {("(forgotten)", "opt_out")}
    assert w.sync(full=True).syncs["newsletter"].outcome["skipped"] == {"forgotten": 2}


def test_a_forgotten_person_who_is_imported_into_the_crm_again_enters_no_list(world: Make) -> None:
    ann = person(1)
    w = world(ann, person(2))
    w.sync()
    erase(w)
    w.sync()
    w.crm.act("delete", email=ANN)
    now = w.clock.now()
    w.crm.populate([replace(ann, in_esp=False, opt_in=True, consent_at=now, created_at=now)])
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_a_forgotten_person_who_is_imported_at_the_esp_again_is_taken_off(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.sync()
    w.esp.act("forget", email=ANN)
    w.sync(full=True)
    w.esp.populate([person(1, in_crm=False, created_at=w.clock.now())])
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True


def test_somebody_forgotten_before_any_system_showed_them_never_gets_in(world: Make) -> None:
    w = world(person(2))
    w.sync()
    erase(w)
    now = w.clock.now()
    w.crm.populate([person(1, in_esp=False, opt_in=True, consent_at=now, created_at=now)])
    w.sync()

    assert w.esp.act("view", email=ANN) is None
    assert w.crm_shows(ANN)["opt_out"] is True


def test_a_consent_that_a_new_record_came_with_lifts_nothing_when_it_is_read_again(world: Make) -> None:
    w = imported_again(world)
    w.sync(stopping=lambda: True)
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync(stopping=lambda: True)
    w.sync()

    assert w.esp.act("view", email=ANN) is None
    assert w.crm_shows(ANN)["opt_out"] is True
    w.wait(minutes=10)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN, "a date that moved is a new consent"


def test_who_is_forgotten_twice_stays_forgotten(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.sync()
    again = forget(w.engine, ANN, actor="the privacy officer")
    w.sync()

    assert again.was_forgotten
    assert {h.system for h in again.holdings} == {"crm", "esp"}
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_an_erasure_follows_to_the_address_that_the_platform_says_the_person_had_before_it(world: Make) -> None:
    new = "new@example.com"
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    w.wait(minutes=1)
    erase(w)
    w.esp_clock.ahead = timedelta(minutes=-5)
    w.esp.act("change_address", email=ANN, to=new)
    w.esp_clock.ahead = timedelta(0)
    w.sync()

    assert not may_send(w, new)
    assert w.esp_shows(new)["status"] == Status.OUT
    w.settle()


def test_a_consent_that_a_new_record_came_with_lifts_nothing_after_a_second_erasure(world: Make) -> None:
    w = imported_again(world)
    w.sync()
    erase(w)
    w.wait(minutes=10)
    w.crm.act("opt_in", email=ANN)
    w.sync()

    assert w.esp.act("view", email=ANN) is None
    assert w.crm_shows(ANN)["opt_out"] is True
    w.settle()


def test_a_new_sign_up_of_a_forgotten_person_is_a_new_wish(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.crm_shows(ANN)["opt_out"] is not True
    with w.store.reading() as unit:
        assert unit.points.addresses(unit.points.find([ANN]).values())


def test_a_sign_up_of_a_forgotten_person_at_a_list_that_had_deleted_them_is_a_new_wish(world: Make) -> None:
    w = world(person(1, in_crm=False), person(2))
    w.sync()
    erase(w)
    w.sync()
    w.esp.act("forget", email=ANN)
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync(full=True)

    assert w.esp_shows(ANN)["status"] == Status.IN


def test_all_records_of_who_signs_up_again_are_theirs_again_at_once(world: Make) -> None:
    w = world(person(1), replace(person(2), addresses=(ANN,), in_esp=False))
    w.sync()
    erase(w)
    for _ in range(2):
        w.sync()
        w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert [held["opt_out"] for held in w.crm.act("view", email=ANN, all=True)] == [False, False]


def test_a_complaint_outlives_the_erasure_and_the_new_sign_up(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("complain", email=ANN)
    w.sync()
    erase(w)
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True


def test_an_administrators_opt_in_with_evidence_lets_a_forgotten_person_back(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.sync()
    w.wait(hours=1)
    opt_in(w.engine, ANN, scope="acme/marketing", actor="root", evidence="a signed form")
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is not True
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"


def test_an_address_that_two_contacts_share_is_forgotten_and_the_other_person_stays_readable(world: Make) -> None:
    w = world(person(1), person(2, addresses=("bob@example.com", ANN)))
    w.sync()
    erase(w)
    w.sync()
    w.sync()
    w.crm.act("set_field", email="bob@example.com", field="city", value="Oslo")
    w.sync()

    assert w.esp_shows("bob@example.com")["fields"]["city"] == "Oslo"
    assert w.crm.act("view", email=ANN, all=True)[0]["opt_out"] is True
    with w.store.reading() as unit:
        kept = unit.records.load(unit.records.holding(unit.points.find([ANN]).values()))
    assert {a for o in kept for a in o.record.addresses} == {"bob@example.com"}


def test_a_consent_of_somebody_else_that_a_merge_brings_lets_nobody_back(world: Make) -> None:
    w = world(person(1, in_esp=False), person(2))
    w.sync()
    erase(w)
    w.wait(minutes=10)
    w.crm.act("opt_in", email="ann2@example.com", at=w.clock.now().isoformat())
    w.crm.act("merge", keep=ANN, lose="ann2@example.com")
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp.act("view", email=ANN) is None
    with w.store.reading() as unit:
        assert unit.points.forgotten_since(unit.points.find([ANN])[ANN]), "still forgotten"


def test_the_flag_of_a_forgotten_persons_contact_binds_the_contact_that_takes_it_in(world: Make) -> None:
    shared = person(1, addresses=(ANN, "post@example.com"), in_esp=False, opt_out=True)
    w = world(shared, person(2, addresses=("ben@example.com", "ben@home.example"), status=Status.OUT))
    w.sync()
    assert w.crm_shows("ben@home.example")["opt_out"] is True, "for the other address, which says nothing of this one"
    erase(w)
    w.crm.act("merge", keep="ben@example.com", lose=ANN)
    w.sync()

    with w.store.reading() as unit:
        said = unit.ledger.about(unit.points.find(["ben@home.example"]).values())
    assert [s.kind for each in said.values() for s in each] == [StatementKind.OUT]


def test_whoever_shared_a_record_is_not_bound_any_more_once_the_address_is_taken_off(world: Make) -> None:
    bob = person(2, addresses=("bob@example.com", ANN), opt_in=True, consent_at=START - timedelta(days=3))
    w = world(person(1), bob)
    w.sync()
    erase(w)
    w.sync()
    number = w.crm_id("bob@example.com")
    assert w.crm_shows("bob@example.com")["opt_out"] is True, "a member of that address is out"
    row = next(row for row in w.crm.act("dump", id=number)["EMAIL"] if row["VALUE"] == ANN)
    w.crm.act("edit", id=number, fields={"EMAIL": [{"ID": row["ID"], "DELETE": "Y"}]})
    w.sync()

    assert w.crm_shows("bob@example.com")["opt_out"] is False
    assert w.crm_shows(ANN)["opt_out"] is True
    w.rest()


def test_a_change_that_waits_to_be_sent_is_not_sent_after_the_erasure(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync(stopping=lambda: True)
    erase(w)
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    assert w.esp_shows(ANN)["status"] == Status.OUT


class ForgettingTransport(MockTransport):
    """Somebody is forgotten while a write is on its way to the ESP."""

    def __init__(self, w: World) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.w = w
        self.is_armed = False

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if self.is_armed and self.w.esp.is_write(self.requests[-1]) and self.requests[-1].base_url == ESP:
            self.is_armed = False
            erase(self.w)
        return response


def test_a_person_who_is_forgotten_while_they_are_being_created_is_taken_off_again(world: Make) -> None:
    w = world(person(2))
    w.sync()
    transport = ForgettingTransport(w)
    w.use(transport)
    now = w.clock.now()
    w.crm.populate([person(1, in_esp=False, opt_in=True, consent_at=now, created_at=now)])
    transport.is_armed = True
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    with w.store.reading() as unit:
        kept = unit.records.load(unit.records.holding(unit.points.find([ANN]).values()))
    assert {o.system for o in kept} == {"crm", "esp"}
    assert not any(o.record.addresses for o in kept)


def test_a_process_that_ends_after_an_erasure_goes_on_keeping_the_person_out(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.use(KillingTransport(w, at=4, is_after=True))
    with pytest.raises(Killed):
        w.sync()
    w.use(w.transport)
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True


def test_a_forgotten_record_that_is_deleted_is_gone_and_stays_out_when_it_is_restored(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    erase(w)
    w.sync()
    for gone in w.crm.act("delete", email=ANN):
        w.sync(full=True)
        w.wait(hours=2)
        w.sync(full=True)
        w.crm.act("restore", id=gone)
    w.sync(full=True)

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_the_vendors_delete_what_holds_nobody_else(world: Make) -> None:
    w = world(person(1), person(2, addresses=("bob@example.com", ANN)), person(3))
    w.sync()
    done = forget_at_vendors(w.engine, forget(w.engine, ANN, actor="the privacy officer"), ANN)

    assert sorted((h.system, h.outcome) for h in done.holdings) == [
        ("crm", "deleted"),
        ("crm", "shared"),
        ("esp", "deleted"),
    ]
    assert [h.system for h in still_there(done)] == ["crm"]
    assert w.esp.act("view", email=ANN) is None
    with w.store.reading() as unit:
        (noted,) = unit.erasures.of(unit.points.find([ANN])[ANN])
    assert noted.actor == "the privacy officer"
    assert sorted(s["outcome"] for s in noted.systems) == ["deleted", "deleted", "shared"]
    w.sync()
    w.sync(full=True)


def test_a_vendor_out_of_reach_is_asked_again_by_the_next_erasure(world: Make) -> None:
    w = world(person(1, in_crm=False), person(2))
    w.sync()
    w.esp.act("account", state="APIKeyInvalid")
    done = forget_at_vendors(w.engine, forget(w.engine, ANN, actor="the privacy officer"), ANN)
    assert [(h.outcome, "again" in h.message) for h in done.holdings] == [("failed", True)]
    w.esp.act("account", state="")
    done = forget_at_vendors(w.engine, forget(w.engine, ANN, actor="the privacy officer"), ANN)

    assert [h.outcome for h in done.holdings] == ["deleted"]
    w.sync()


def test_a_record_id_that_names_the_person_is_not_kept_and_outs_still_arrive(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "gives_away", lambda _record, address: address == ANN)
    w = world(person(1), person(2))
    w.sync()
    ids = _stored_ids(w)
    erase(w)
    assert not ids & _stored_ids(w)
    w.sync(stopping=lambda: True)
    w.use(w.transport)
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    assert not ids & _stored_ids(w)


def _stored_ids(w: World) -> set[str]:
    with w.store.reading() as unit:
        return {o.record.id for o in unit.records.load(unit.records.holding([unit.points.find([ANN])[ANN]]))}


def test_undoing_a_run_brings_nothing_of_a_forgotten_person_back(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    for number in (1, 2):
        w.crm.act("set_field", email=f"ann{number}@example.com", field="city", value="Oslo")
    run = w.sync().run
    erase(w)
    w.sync()
    report = undo(w.engine, run, actor="root")

    not_undone = report.to_json()["syncs"]["newsletter"]["not_undone"]
    assert [(n["email"], n["skipped"]) for n in not_undone] == [("(forgotten)", "forgotten")]
    assert w.esp_shows("ann2@example.com")["fields"]["city"] == "Riga"
    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    w.sync()
