"""Nobody is opted in by accident; an opt-in with evidence is honoured."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from optsync.connect.mock import MockRequest
from optsync.model.record import Origin, Status
from optsync.model.statement import Source
from optsync.sync.importing import Request, bring_in
from optsync.sync.progress import Silent
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("nobody is opted in by accident")

Make = Callable[..., World]
ANN, SCOPE = "ann1@example.com", "acme/marketing"


def open_issues(w: World) -> list[str]:
    with w.store.reading() as unit:
        return [issue.kind for issue in unit.issues.list()]


@pytest.mark.rule("restrictive wins")
def test_a_resubscription_by_somebody_elses_api_call_is_put_back(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    assert w.esp.act("flip_in", email=ANN) is True
    report = w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    assert open_issues(w) == ["refused_opt_in"]
    assert report.exit_code == 1
    w.settle()


@pytest.mark.rule("restrictive wins")
def test_a_flag_cleared_in_the_crm_without_evidence_is_put_back(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("opt_in", email=ANN)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert open_issues(w) == ["refused_opt_in"]
    w.settle()


def test_a_newer_consent_date_in_the_crm_lifts_an_administrators_opt_out(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("admin_unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert not w.crm_shows(ANN)["opt_out"]
    w.settle()


def test_an_older_consent_date_lifts_nothing(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("opt_in", email=ANN, at=(START - timedelta(days=1)).isoformat())
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    w.settle()


def test_a_consent_date_in_the_future_is_no_evidence(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("opt_in", email=ANN, at=(w.clock.now() + timedelta(days=2)).isoformat())
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert set(open_issues(w)) == {"refused_opt_in", "future_evidence"}
    w.settle()


def test_a_sign_up_by_the_person_herself_lifts_her_opt_out_in_the_crm(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert not w.crm_shows(ANN)["opt_out"]
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert open_issues(w) == []
    w.settle()


@pytest.mark.parametrize(
    ("kind", "detail", "counts"),
    [
        ("landing_page_signup", {"landing_page_title": "News of our API"}, True),
        ("generic_signup", {"signup_category": "Pop-up form"}, True),
        ("generic_signup", {"signup_category": "API"}, False),
        ("generic_signup", {}, False),
        ("ecommerce_signup", {"store_name": "Shop"}, False),
    ],
)
def test_what_a_sign_up_went_through_tells_whether_the_person_made_it(
    world: Make, kind: str, detail: dict[str, str], counts: bool
) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN, kind=kind, **detail)
    w.sync()

    assert w.esp_shows(ANN)["status"] == (Status.IN if counts else Status.OUT)
    assert w.crm_shows(ANN)["opt_out"] is not counts
    w.settle()


def test_unknown_is_not_consent_and_the_first_sync_sets_nothing(world: Make) -> None:
    w = world(
        person(1, in_esp=False),
        person(2, status=Status.UNKNOWN),
        person(3, status=Status.PENDING),
        person(4, status=Status.ARCHIVED),
    )
    report = w.sync()

    assert w.esp.act("view", email=ANN) is None
    assert w.esp_shows("ann2@example.com")["status"] == Status.UNKNOWN
    assert w.esp_shows("ann3@example.com")["status"] == Status.PENDING
    assert w.esp_shows("ann4@example.com")["status"] == Status.ARCHIVED
    assert report.syncs["newsletter"].outcome["skipped"]["no_consent"] == 1
    w.settle()


def test_a_legacy_grant_is_for_subscribed_members_and_never_for_a_flag_in_the_crm(world: Make) -> None:
    w = world(
        person(1, opt_in=True, status=Status.PENDING),
        person(2, opt_in=True, status=Status.UNKNOWN),
        person(3, opt_in=True, in_esp=False),
        person(4),
        policy={"existing": "legacy_grant"},
    )
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.PENDING
    assert w.esp_shows("ann2@example.com")["status"] == Status.UNKNOWN
    assert w.esp.act("view", email="ann3@example.com") is None
    assert w.crm_shows("ann4@example.com")["opt_in"] is True
    w.settle()


def test_somebody_with_a_known_consent_enters_the_audience_with_its_proof(world: Make) -> None:
    at = START - timedelta(days=3)
    w = world(person(1, in_esp=False, opt_in=True, consent_at=at))
    w.sync()

    shows = w.esp_shows(ANN)
    assert shows["status"] == Status.IN
    assert shows["fields"]["first_name"] == "Ann1"
    assert shows["opted_in_at"] == at.isoformat()
    w.settle()


def test_a_contact_who_is_out_never_enters(world: Make) -> None:
    w = world(person(1, in_esp=False, opt_out=True, opt_in=True, consent_at=START - timedelta(days=3)))
    w.sync()

    assert w.esp.act("view", email=ANN) is None
    assert open_issues(w) == ["contradictory_flags"]
    w.settle()


def test_a_sign_up_counts_as_of_when_the_person_made_it_whatever_stamp_a_program_set_since(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.wait(seconds=50)
    w.esp.act("resubscribe", email=ANN)
    w.esp.act("archive", email=ANN)
    w.wait(minutes=50)
    w.esp.act("flip_in", email=ANN)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


def test_a_sign_up_that_lifted_nothing_when_it_was_first_seen_lifts_nothing_under_another_stamp(world: Make) -> None:
    w = world(person(1, opt_out=True, opted_in_at=START - timedelta(days=90)), person(2))
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.esp.act("archive", email=ANN)
    w.esp.act("flip_in", email=ANN)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


@pytest.mark.rule("one bad record stands alone")
@pytest.mark.parametrize("full", [False, True])
def test_a_sign_up_whose_activity_cannot_be_read_keeps_nobody_else_from_being_heard_and_counts_when_it_can(
    world: Make, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    w = world(person(1, opt_out=True), person(2))
    w.settle()
    handle = type(w.esp).handle

    def without(self: Any, request: MockRequest) -> Any:
        if "activity-feed" in request.path:
            self.act("fail", kind="InternalServerError")
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", without)
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.esp.act("unsubscribe", email="ann2@example.com")
    for _ in range(3):
        assert w.sync(full=full).syncs["newsletter"].failures != []
        assert w.crm_shows("ann2@example.com")["opt_out"] is True
        assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.IN)
    monkeypatch.setattr(type(w.esp), "handle", handle)
    w.settle()

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (False, Status.IN)


def test_a_proof_that_we_wrote_into_a_field_for_dates_is_no_consent_of_the_crm(world: Make, tmp_path: Path) -> None:
    w = world(person(1, opted_in_at=START - timedelta(days=2)), person(2))
    w.crm.portal.table("contact").fields["UF_CRM_CONSENT_DATE"].type = "date"  # type: ignore[attr-defined]
    w.settle()
    assert w.crm.act("dump", id=w.crm_id(ANN))["UF_CRM_CONSENT_DATE"] == "2026-11-20"
    file = tmp_path / "old.csv"
    file.write_text(f"email,status,at\n{ANN},out,2026-11-01T00:00:00Z\n")
    bring_in(w.engine, Request(path=file, scope=SCOPE, source=Source.IMPORT, actor="Eve"), Silent())
    w.settle()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


@pytest.mark.rule("order does not matter")
def test_a_simultaneous_contradiction_ends_out(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.crm.act("opt_in", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    w.settle()


@pytest.mark.rule("asked once")
def test_asking_happens_once_and_the_persons_click_is_the_grant(world: Make) -> None:
    w = world(person(1, in_esp=False), policy={"enter": "request"})
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.PENDING
    w.settle()
    w.wait(hours=1)
    w.esp.act("confirm", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.crm_shows(ANN)["opt_in"] is True
    w.settle()


def test_an_administrators_unsubscribe_is_no_self_unsubscribe(world: Make) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.ADMIN))
    w.sync()
    with w.store.reading() as unit:
        key = unit.points.find([ANN])[ANN]
        said = unit.ledger.about([key])[key]

    assert [s.is_personal for s in said if s.kind == "out"] == [False]


def test_a_sign_up_before_the_opt_out_lifts_nothing_although_the_vendors_clock_is_ahead(world: Make) -> None:
    w = world(person(1), esp_ahead=8 * 60, changes={"opt_out": {"esp_to_crm": False}})
    w.sync()
    w.esp.act("admin_unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.wait(minutes=2)
    w.crm.act("opt_out", email=ANN)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


def test_a_sign_up_well_after_the_opt_out_counts_although_the_vendors_clock_is_behind(world: Make) -> None:
    w = world(person(1), esp_ahead=-8 * 60)
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.wait(minutes=7)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert not w.crm_shows(ANN)["opt_out"]
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


def test_an_address_is_handed_over_without_what_was_typed_around_it(world: Make) -> None:
    consent = {"in_esp": False, "opt_in": True, "consent_at": START - timedelta(days=3)}
    w = world(
        person(1, addresses=("  Ann1@Example.com\u00a0",), **consent),
        person(2, addresses=("no address", "\tben@b\u00fccher.example"), **consent),
    )
    report = w.sync()

    assert w.esp_shows(ANN)["address"] == "Ann1@Example.com"
    assert w.esp_shows("ben@xn--bcher-kva.example")["status"] == Status.IN
    assert [c.state for c in report.syncs["newsletter"].changes if c.kind == "create"] == ["applied", "applied"]
    w.settle()
