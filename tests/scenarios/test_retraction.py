"""An administrator voids what was said wrongly: where it was written meanwhile, it is put back, and only there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optsync.model.record import Status
from optsync.model.scope import EVERYTHING
from optsync.model.statement import OUR_CLOCK, Source, StatementKind, state
from optsync.sync import plans
from optsync.sync.importing import take_back
from optsync.sync.progress import Silent
from tests.scenarios.plans import MANY, SMALL, part
from tests.scenarios.test_import import SCOPE, imported, standing
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("retraction spares the person")
ANN, BEN = "ann1@example.com", "ann2@example.com"
TOPICS: dict[str, Any] = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
Worlds = Callable[..., World]


def people(world: Worlds, **options: Any) -> World:
    w = world(*(person(n, **TOPICS) for n in (1, 2)), **options)
    w.sync()
    return w


def wrong(w: World, folder: Path, *emails: str, **options: Any) -> str:
    """Imports outs that nobody has said, and lets them travel."""
    uid = imported(w, folder, *(f"{email},out,2026-01-02,,," for email in emails), **options).uid
    w.sync()
    return uid


def retract(w: World, uid: str) -> Any:
    take_back(w.engine, uid, actor="Eve", reason="the wrong column", progress=Silent())
    return w.sync()


def changes(report: Any) -> set[tuple[str, str, str, str]]:
    return {(c.system, c.kind.value, c.rule, c.state.value) for c in report.syncs["newsletter"].changes}


def test_a_wrong_import_that_has_reached_both_systems_is_put_back_there(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    before = {email: (w.crm_shows(email)["opt_out"], w.crm_shows(email)["opt_in"]) for email in (ANN, BEN)}
    uid = wrong(w, tmp_path, ANN)
    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)
    report = retract(w, uid)

    assert changes(report) == {("crm", "opt_in", "put_back", "applied"), ("esp", "opt_in", "put_back", "applied")}
    assert {email: (w.crm_shows(email)["opt_out"], w.crm_shows(email)["opt_in"]) for email in before} == before
    assert w.esp_shows(ANN)["status"] == Status.IN


def test_what_was_out_before_a_wrong_import_stays_out(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    uid = wrong(w, tmp_path, ANN, BEN)
    retract(w, uid)

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)
    assert (w.crm_shows(BEN)["opt_out"], w.esp_shows(BEN)["status"]) == (False, Status.IN)


def test_who_left_by_themself_after_a_wrong_import_stays_out(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    uid = wrong(w, tmp_path, ANN)
    w.esp.act("resubscribe", email=ANN)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    retract(w, uid)

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)


def test_another_out_that_stands_keeps_everything_out(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    uid = wrong(w, tmp_path, ANN)
    wrong(w, tmp_path, ANN, source="import")
    retract(w, uid)

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)


def test_both_of_two_wrong_imports_must_be_taken_back(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    uids = [wrong(w, tmp_path, ANN), wrong(w, tmp_path, ANN, source="import")]
    retract(w, uids[0])
    retract(w, uids[1])

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (False, Status.IN)


def test_a_record_that_somebody_touched_since_is_left_as_it_is(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    uid = wrong(w, tmp_path, ANN)
    take_back(w.engine, uid, actor="Eve", reason="the wrong column", progress=Silent())
    w.crm.act("opt_in", email=ANN)
    w.esp.act("archive", email=ANN)
    before = w.crm_shows(ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert w.crm_shows(ANN)["opt_in"] == before["opt_in"]


def test_what_was_put_back_is_not_put_back_again(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    retract(w, wrong(w, tmp_path, ANN))
    w.wait(hours=1)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (True, Status.OUT)


def test_a_second_wrong_import_is_put_back_like_the_first(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    retract(w, wrong(w, tmp_path, ANN))
    retract(w, wrong(w, tmp_path, ANN, source="import"))

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (False, Status.IN)


def test_a_topic_that_a_wrong_import_switched_off_is_on_again(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    uid = wrong(w, tmp_path, ANN, scope=f"{SCOPE}/news")
    assert (w.crm_shows(ANN)["topics"]["news"], w.esp_shows(ANN)["topics"]["news"]) == (False, False)
    report = retract(w, uid)

    assert changes(report) == {("crm", "topic", "put_back", "applied"), ("esp", "topic", "put_back", "applied")}
    assert (w.crm_shows(ANN)["topics"]["news"], w.esp_shows(ANN)["topics"]["news"]) == (True, True)


def test_a_topic_that_somebody_else_declined_stays_off(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    w.sync()
    retract(w, wrong(w, tmp_path, ANN, BEN, scope=f"{SCOPE}/news"))

    assert (w.crm_shows(ANN)["topics"]["news"], w.esp_shows(ANN)["topics"]["news"]) == (False, False)
    assert (w.crm_shows(BEN)["topics"]["news"], w.esp_shows(BEN)["topics"]["news"]) == (True, True)


@pytest.mark.rule("suspicious volume stops")
def test_putting_back_much_waits_for_a_person(world: Worlds, tmp_path: Path) -> None:
    w = people(world, guard={"opt_outs": {"max": 100}, "opt_ins": {"max": 1, "percent": 1, "cap": 100}})
    report = retract(w, wrong(w, tmp_path, ANN, BEN))
    uid = report.syncs["newsletter"].plan

    assert uid is not None
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.wait(minutes=10)
    plans.approve(w.engine, uid, actor="boss")
    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (False, Status.IN)
    assert (w.crm_shows(BEN)["opt_out"], w.esp_shows(BEN)["status"]) == (False, Status.IN)


@pytest.mark.rule("bounces are not wishes")
def test_who_became_undeliverable_meanwhile_is_not_subscribed_again(world: Worlds, tmp_path: Path) -> None:
    w = people(world)
    uid = wrong(w, tmp_path, ANN)
    hard = state(
        scope=EVERYTHING,
        kind=StatementKind.HARD_BOUNCE,
        at=w.clock.now(),
        clock=OUR_CLOCK,
        seen_at=w.clock.now(),
        source=Source.BOUNCE,
    )
    with w.store.transaction() as unit:
        unit.ledger.append([(unit.points.find([ANN])[ANN], hard)], run=None)
    retract(w, uid)

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is False


def test_a_mistaken_flag_that_has_reached_the_platform_is_put_back_on_both_sides(world: Worlds) -> None:
    w = people(world)
    w.crm.act("opt_out", email=ANN)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.OUT
    with w.store.transaction() as unit:
        key = unit.points.find([ANN])[ANN]
        (out,) = (s for s in unit.ledger.about([key])[key] if s.kind is StatementKind.OUT)
        now = w.clock.now()
        void = state(
            scope=out.scope,
            kind=StatementKind.RETRACT,
            at=now,
            clock=OUR_CLOCK,
            seen_at=now,
            source=Source.ADMIN,
            target=out.uid,
        )
        unit.ledger.append([(key, void)], run=None)
        unit.points.mark(w.engine.bound.policies, [key])
    w.sync()

    assert (w.crm_shows(ANN)["opt_out"], w.esp_shows(ANN)["status"]) == (False, Status.IN)


def test_a_contact_is_not_given_the_yes_of_a_lead_that_has_the_same_number(world: Worlds) -> None:
    w = world(*(person(n) for n in (1, 2)), guard={"opt_outs": {"max": 0, "percent": 0, "cap": 0}})
    w.reconfigure(lambda sync: sync["crm"].update(entity=["contact", "lead"], where={}))
    w.sync()
    number = int(w.crm_id(ANN))
    assert w.crm.act("create", email=ANN, crm_entity="lead", opt_in=True) == number
    w.sync()
    no = {"UF_CRM_OPT_OUT": 1, "UF_CRM_OPT_IN": 0}
    w.crm.act("edit", id=number, entity="lead", fields=no)
    held = w.sync().syncs["newsletter"].plan
    assert held is not None
    plans.reject(w.engine, held, actor="Eve")
    w.settle()

    contact, lead = (w.crm.act("dump", id=number, entity=entity) for entity in ("contact", "lead"))
    shown = [[bool(row.get(name)) for name in no] for row in (contact, lead)]
    assert shown == [[False, False], [False, True]]


@pytest.mark.rule("no opt-out is lost")
def test_a_rejection_voids_an_import_for_the_people_of_its_plan_only(world: Worlds, tmp_path: Path) -> None:
    """Rows of one file with one date say the same words."""
    w = world(*(person(n, opt_in=True) for n in range(1, 7)), guard=SMALL)
    w.sync()
    stranger = "stranger@example.com"
    imported(w, tmp_path, *(f"{email},out,2026-11-02,asked,," for email in (*MANY[:4], stranger)))
    uid = part(w.sync()).plan
    assert uid is not None
    plans.reject(w.engine, uid, actor="boss")

    assert [standing(w, email) for email in (*MANY[:4], stranger)] == ["unknown"] * 4 + ["out"]


@pytest.mark.rule("nobody is opted in by accident")
def test_a_rejected_tick_is_void_with_the_consent_that_was_typed_beside_it(world: Worlds) -> None:
    w = world(*(person(n, opt_in=True, crm_topics={"news": False}) for n in range(1, 7)), guard=SMALL)
    w.sync()
    for email in MANY[:4]:
        w.crm.act("set_topic", email=email, topic="news", wanted=True)
        w.crm.act("opt_in", email=email, at=w.clock.now().isoformat())
    uid = part(w.sync()).plan
    assert uid is not None
    plans.reject(w.engine, uid, actor="boss")
    w.settle()

    assert [standing(w, email, f"{SCOPE}/news") for email in MANY[:4]] == ["unknown"] * 4
    assert not any(w.esp_shows(email)["topics"].get("news") for email in MANY[:4])
