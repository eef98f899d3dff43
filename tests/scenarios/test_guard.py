"""A plan that changes suspiciously much is held before its first write, frozen, and everything else goes on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from optsync.connect.mock import MockTransport
from optsync.model.change import Fact, Outcome, Result, Write
from optsync.model.page import ReadSpec
from optsync.model.record import Status
from optsync.state.plans import Plan
from optsync.sync import plans
from optsync.sync.guard import NEW_MEANING
from optsync.sync.status import status
from optsync.sync.word import Word
from tests.scenarios.plans import (
    LIMIT,
    MANY,
    SMALL,
    TOPIC,
    Make,
    crowd,
    held,
    hold_opt_outs,
    issues,
    mark,
    may_send,
    part,
    plan,
)
from tests.scenarios.world import CRM, ESP, START, World, person

pytestmark = pytest.mark.rule("suspicious volume stops")
ANN, OTHER = MANY[0], MANY[5]


class EspDown(MockTransport):
    """Nobody answers at the e-mail platform."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith(ESP):
            raise requests.ConnectionError
        return super().send(request, *args, **options)


class Slow(MockTransport):
    """The first write takes more than a minute, in which something happens."""

    meanwhile: Callable[[], None] | None = None

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        answer = super().send(request, *args, **options)
        act, is_write = self.meanwhile, request.method in {"POST", "PATCH", "PUT"} and str(request.url).startswith(ESP)
        if act is not None and is_write:
            self.meanwhile = None
            act()
        return answer


def test_what_comes_while_a_cycle_writes_is_added_to_what_it_has_written(world: Make) -> None:
    w = crowd(world)
    slow = Slow({CRM: w.crm, ESP: w.esp})
    w.use(slow)

    def meanwhile() -> None:
        w.wait(seconds=70)
        mark(w, MANY[2:4])

    slow.meanwhile = meanwhile
    mark(w, MANY[:2])
    w.crm.act("edit", id=w.crm_id(OTHER), fields={"UF_CRM_CITY": "Brno"})
    report = w.sync()

    assert [(r["system"], r["kind"], r["count"]) for r in part(report).held_for] == [("esp", "opt_outs", 4)]
    assert [w.esp_shows(email)["status"] for email in MANY[:4]] == [Status.OUT, Status.OUT, Status.IN, Status.IN]
    assert not any(may_send(w, email) for email in MANY[:4])
    later = w.sync()
    assert (part(later).plan, len(held(w))) == (None, 1), "it stays held although the next cycle has written nothing"


def test_a_mass_of_opt_outs_is_held_before_the_first_write(world: Make) -> None:
    w = crowd(world)
    mark(w)
    before = w.writes()
    report = w.sync()

    found = part(report)
    assert (report.exit_code, found.state, report.to_json()["plan"]) == (4, "held", found.plan)
    assert w.writes() == before
    assert {c.state for c in found.changes} == {"held"}
    assert [(r["system"], r["kind"], r["count"], r["known"]) for r in found.held_for] == [
        ("esp", "opt_outs", 4, 6),
    ]
    assert [i.values["plan"] for i in issues(w, "plan_held")] == [found.plan]
    assert w.esp_shows(ANN)["status"] == Status.IN


def test_while_the_plan_is_held_nobody_of_it_may_be_mailed(world: Make) -> None:
    w = crowd(world)
    hold_opt_outs(w)

    assert not any(may_send(w, email) for email in MANY[:4])


def test_a_held_plan_stays_as_it_is_and_is_told_again_with_its_age(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    before = w.writes()
    with capture_logs() as logs:
        again = w.sync()

    assert (again.exit_code, part(again).state, part(again).plan, part(again).changes) == (0, "done", None, [])
    assert w.writes() == before
    assert [p.uid for p in held(w)] == [uid]
    assert [e["age_s"] for e in logs if e["event"] == "plan is held"] == [600]
    shown = status(w.engine)["syncs"]["newsletter"]
    assert (shown["held_plan"], shown["held_since"]) == (uid, plan(w, uid).held_at.isoformat())


def test_a_genuine_opt_out_of_somebody_else_travels_meanwhile(world: Make) -> None:
    w = crowd(world)
    hold_opt_outs(w)
    w.esp.act("unsubscribe", email=OTHER)
    report = w.sync()

    assert report.exit_code == 0
    assert w.crm_shows(OTHER)["opt_out"] is True


def test_somebody_of_a_held_plan_who_opts_out_in_person_is_not_held_any_more(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert _emails_held(w, plan(w, uid)) == set(MANY[1:4])
    assert w.esp_shows(MANY[1])["status"] == Status.IN


@pytest.mark.rule("no opt-out is lost")
def test_somebody_of_a_held_plan_who_opts_out_at_a_further_address_is_not_held_any_more(world: Make) -> None:
    second = "second@example.com"
    w = world(
        person(1, opt_in=True, addresses=(ANN, second)),
        *(person(n, opt_in=True) for n in range(2, 7)),
        person(7, addresses=(second,), in_crm=False),
        guard=SMALL,
    )
    w.sync()
    for email in MANY[:4]:
        w.esp.act("admin_unsubscribe", email=email)
    uid = part(w.sync()).plan
    assert uid is not None
    w.esp.act("unsubscribe", email=second)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert _emails_held(w, plan(w, uid)) == set(MANY[1:4])
    assert w.crm_shows(MANY[1])["opt_out"] is False


def test_a_rehearsal_says_that_it_would_be_held_and_keeps_nothing(world: Make) -> None:
    w = crowd(world)
    mark(w)
    report = w.sync(is_rehearsal=True)

    assert (report.exit_code, part(report).state, part(report).plan) == (4, "held", None)
    assert [r["kind"] for r in part(report).held_for] == ["opt_outs"]
    assert held(w) == []
    assert issues(w, "plan_held") == []


def test_a_second_mass_is_a_plan_of_its_own(world: Make) -> None:
    w = crowd(world)
    first = hold_opt_outs(w, MANY[:3])
    second = hold_opt_outs(w, MANY[3:])

    assert [p.uid for p in held(w)] == [first, second]
    assert _emails_held(w, plan(w, second)) == set(MANY[3:])
    assert len(issues(w, "plan_held")) == 2


def test_a_plan_in_which_nothing_applies_any_more_dissolves(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w, MANY[:3])
    for email in MANY[:3]:
        w.wait(hours=1)
        w.esp.act("unsubscribe", email=email)
    w.sync()

    assert plan(w, uid).state == "superseded"
    assert issues(w, "plan_held") == []
    assert status(w.engine)["syncs"]["newsletter"]["held_plan"] is None


def test_few_changes_among_many_records_are_not_held(world: Make) -> None:
    w = crowd(world, guard={"opt_outs": {"max": 2, "percent": 80, "cap": 100}})
    mark(w)

    assert w.sync().exit_code == 0
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_above_its_cap_a_plan_is_held_whatever_the_share(world: Make) -> None:
    w = crowd(world, guard={"opt_outs": {"max": 2, "percent": 100, "cap": 3}})
    uid = hold_opt_outs(w)

    assert {r["count"] for r in plan(w, uid).reasons} == {4}


def _topics_off(w: World) -> None:
    for email in MANY[:4]:
        w.crm.act("set_topic", email=email, topic="news", wanted=False)


def _flags_on(w: World) -> None:
    w.wait(hours=1)
    for email in MANY[:4]:
        w.crm.act("opt_in", email=email, at=w.clock.now().isoformat())


def _new_people(w: World) -> None:
    given = {"opt_in": True, "consent_at": w.clock.now(), "created_at": w.clock.now(), "in_esp": False}
    w.crm.populate([person(n, **given) for n in range(11, 15)])


@pytest.mark.parametrize(
    ("start", "act", "reason"),
    [
        pytest.param({}, _topics_off, ("esp", "opt_outs"), id="topics switched off"),
        pytest.param({"status": Status.OUT}, _flags_on, ("esp", "opt_ins"), id="opt-ins"),
        pytest.param({}, _new_people, ("esp", "creates"), id="new members after the first run"),
    ],
)
def test_every_kind_of_mass_is_held(
    world: Make, start: Mapping[str, Any], act: Callable[[World], None], reason: tuple[str, str]
) -> None:
    w = world(*(person(n, **{**TOPIC, **start}) for n in range(1, 7)), guard={**SMALL, "opt_outs": {"max": 100}})
    w.sync()
    w.document["guard"] = SMALL
    w.reconfigure(lambda _: None)
    act(w)
    before = w.writes()
    report = w.sync()

    assert [(r["system"], r["kind"]) for r in part(report).held_for] == [reason]
    assert w.writes() == before


def test_creates_have_no_limit_in_the_first_run_and_opt_outs_have(world: Make) -> None:
    given = {"opt_in": True, "consent_at": START, "created_at": START, "in_esp": False}
    w = world(*(person(n, **given) for n in range(1, 7)), guard=SMALL)

    assert w.sync().exit_code == 0
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.parametrize(
    "answer", [(Result.REFUSED, Fact.NOT_ALLOWED), (Result.FAILED, None)], ids=["refused", "failed"]
)
def test_an_opt_out_that_never_arrives_does_not_keep_the_limit_of_creates_away(
    world: Make, monkeypatch: pytest.MonkeyPatch, answer: tuple[Result, Fact | None]
) -> None:
    w = world(person(1, status=Status.OUT), *(person(n) for n in range(2, 7)), guard=SMALL)
    crm = w.engine.connectors["crm"]
    write = crm.write

    def without_opt_outs(writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        if not writes[0].restrictive:
            return write(writes, spec)
        result, fact = answer
        return [Outcome(key=each.key, result=result, fact=fact, message="Access denied.") for each in writes]

    monkeypatch.setattr(crm, "write", without_opt_outs)
    for _ in range(2):
        assert [c.kind for c in part(w.sync()).changes if c.system == "crm" and c.state.value == answer[0].value] == [
            "opt_out"
        ]
    _new_people(w)
    report = w.sync()

    assert [(r["system"], r["kind"]) for r in part(report).held_for] == [("esp", "creates")]
    with w.store.reading() as unit:
        assert not any(plan.is_first for plan in unit.plans.held("newsletter"))


def test_field_updates_have_a_limit_too(world: Make) -> None:
    w = crowd(world, guard={"updates": LIMIT})
    for email in MANY[:4]:
        w.crm.act("set_field", email=email, field="city", value="Oslo")
    report = w.sync()

    assert [(r["system"], r["kind"]) for r in part(report).held_for] == [("esp", "updates")]
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"


def test_a_cycle_with_one_side_out_of_reach_leaves_a_held_plan_as_it_is(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.engine = w.compose(transport=EspDown({CRM: w.crm, ESP: w.esp}))
    assert part(w.sync()).failures
    assert _emails_held(w, plan(w, uid)) == set(MANY[:4])
    w.engine = w.compose()
    w.sync()

    assert _emails_held(w, plan(w, uid)) == set(MANY[:4])


def _emails_held(w: World, of: Plan) -> set[str | None]:
    with w.store.reading() as unit:
        return {c.email for c in unit.changes.of_run(of.run) if c.plan == of.uid and c.state == "held"}


@pytest.mark.rule("restrictions follow the person")
def test_a_rejected_archive_is_none_of_the_same_member_for_another_reason(world: Make) -> None:
    w = crowd(world, policy={"leave": "archive"})
    w.esp.populate([person(20, in_crm=False)])
    contacts = {email: w.crm_id(email) for email in MANY[:4]}
    for number in contacts.values():
        w.crm.act("edit", id=number, fields={"TYPE_ID": "SUPPLIER"})
    uid = part(w.sync()).plan
    assert uid is not None
    w.wait(minutes=10)
    plans.reject(w.engine, uid, actor="boss")
    for number in contacts.values():
        w.crm.act("edit", id=number, fields={"TYPE_ID": "CLIENT"})
    w.sync()
    w.crm.act("change_address", email=ANN, to="ann20@example.com")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert w.esp_shows("ann20@example.com")["status"] == Status.IN


def test_yes_does_not_let_go_what_follows_from_another_mapping_in_a_first_run(world: Make) -> None:
    out = {"status": Status.OUT, "opt_in": True}
    w = world(*(person(n, **out) for n in range(1, 5)), person(5), guard=SMALL)
    assert part(w.sync()).plan is not None
    w.reconfigure(lambda sync: sync["fields"].pop())
    before, word = w.writes(), Word(actor="sync --yes", approves_first=True)
    report = w.sync(word=word)

    assert report.exit_code == 4
    assert part(report).held_for[0]["reason"] == NEW_MEANING
    (waiting,) = held(w)
    w.sync(word=word)
    assert [p.uid for p in held(w)] == [waiting.uid], "nor later"
    assert w.writes() == before
    w.wait(minutes=10)
    assert plans.approve(w.engine, waiting.uid, actor="boss").exit_code == 0
    assert w.crm_shows(ANN)["opt_out"] is True
