"""What a person says about a held plan: approved, what still applies goes at once; rejected, it is taken back."""

from typing import Any

import pytest

from optsync.errors import CommandRefused, PlanHeld
from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.sync import issues as answers
from optsync.sync import plans
from optsync.sync.administer import opt_in
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
from tests.scenarios.test_crashes import Killed, KillingStore
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("suspicious volume stops")
retraction = pytest.mark.rule("retraction spares the person")
ANN, BEA, CLEO, DORA, EVE, FAY = MANY
ROOM: dict[str, Any] = {**SMALL, "opt_ins": {"max": 100}}
"""So that what is put back is not held itself."""


def _approve(w: World, uid: str) -> Any:
    w.wait(minutes=10)
    return plans.approve(w.engine, uid, actor="boss")


def _reject(w: World, uid: str, **options: Any) -> Any:
    w.wait(minutes=10)
    return plans.reject(w.engine, uid, actor="boss", **options)


def test_an_approved_plan_is_carried_out_at_once(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    report = _approve(w, uid)

    assert (report.exit_code, part(report).state, part(report).plan) == (0, "done", None)
    assert {(c.email, c.state.value) for c in part(report).changes} == {(email, "applied") for email in MANY[:4]}
    assert all(w.esp_shows(email)["status"] == Status.OUT for email in MANY[:4])
    assert (plan(w, uid).state, plan(w, uid).actor) == ("approved", "boss")
    assert issues(w, "plan_held") == []


def test_what_changed_before_the_approval_counts(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.crm.act("set_field", email=FAY, field="city", value="Oslo")
    report = _approve(w, uid)

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.esp_shows(BEA)["status"] == Status.OUT
    assert w.esp_shows(FAY)["fields"]["city"] == "Oslo"
    assert ANN not in {c.email for c in part(report).changes if c.kind == "opt_out"}


def test_a_small_opt_out_that_arrives_with_the_approval_travels_with_it(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    w.esp.act("unsubscribe", email=FAY)
    _approve(w, uid)

    assert w.crm_shows(FAY)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_an_approval_is_refused_when_what_arrived_since_is_too_much_by_itself(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w, MANY[:3])
    mark(w, MANY[3:])
    before = w.writes()
    with pytest.raises(PlanHeld, match=uid):
        _approve(w, uid)

    assert w.writes() == before
    assert plan(w, uid).state == "held"
    second = next(p.uid for p in held(w) if p.uid != uid)
    _approve(w, second)
    assert w.esp_shows(FAY)["status"] == Status.OUT
    assert w.esp_shows(ANN)["status"] == Status.IN
    _approve(w, uid)
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_what_did_not_apply_when_its_plan_was_approved_is_not_approved_when_it_applies_again(world: Make) -> None:
    some = [person(n, status=Status.OUT) for n in (1, 2)] + [person(n) for n in (4, 5, 6)]
    w = world(*some, person(3, esp_topics={"offers": True}), guard={key: {**LIMIT, "max": 1} for key in SMALL})
    offers = w.document["syncs"]["newsletter"]["crm"]["topics"]["offers"]
    w.sync()
    (uid,) = (each.uid for each in held(w))
    mark(w, (DORA, EVE))
    with pytest.raises(PlanHeld, match=uid):
        _approve(w, uid)
    w.reconfigure(lambda sync: sync["crm"]["topics"].pop("offers"))
    w.sync()
    for each in held(w):
        _approve(w, each.uid)
    before = w.writes()
    w.reconfigure(lambda sync: sync["crm"]["topics"].update(offers=offers))
    w.sync()

    assert w.writes() == before
    assert not w.crm_shows(CLEO)["topics"]["offers"]


def test_of_two_held_plans_each_is_decided_on_its_own(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    first = hold_opt_outs(w, MANY[:3])
    second = hold_opt_outs(w, MANY[3:])
    _reject(w, first)
    _approve(w, second)

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.crm_shows(ANN)["opt_out"] is False
    assert w.esp_shows(FAY)["status"] == Status.OUT
    assert (plan(w, first).state, plan(w, second).state) == ("rejected", "approved")


def test_an_approval_goes_on_after_a_kill_at_any_commit(world: Make) -> None:
    for at in range(2, 60):
        w = crowd(world, store=KillingStore)
        uid = hold_opt_outs(w)
        assert isinstance(w.store, KillingStore)
        w.store.arm(at, is_after=True)
        try:
            _approve(w, uid)
        except Killed:
            w.store.disarm()
            w.engine = w.compose()
            w.sync()
            if plan(w, uid).state == "held":
                assert w.esp_shows(ANN)["status"] == Status.IN
                _approve(w, uid)
            assert all(w.esp_shows(email)["status"] == Status.OUT for email in MANY[:4]), f"killed after commit {at}"
            assert held(w) == []
        else:
            w.store.disarm()
            return
    pytest.fail("the approval had no end")


def test_what_is_not_held_any_more_cannot_be_decided(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)
    _approve(w, uid)

    with pytest.raises(CommandRefused, match="approved already by boss"):
        _approve(w, uid)
    with pytest.raises(CommandRefused, match="approved already by boss"):
        _reject(w, uid)
    with pytest.raises(CommandRefused, match="there is no plan P0"):
        _approve(w, "P0")


@retraction
def test_a_rejected_plan_puts_the_flags_back_and_never_touches_the_other_side(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    uid = hold_opt_outs(w)
    touched = {email: w.esp_shows(email) for email in MANY}
    report = _reject(w, uid)

    assert {(c.system, c.kind.value, c.rule, c.state.value) for c in part(report).changes} == {
        ("crm", "opt_in", "put_back", "applied")
    }
    for email in MANY[:4]:
        shows = w.crm_shows(email)
        assert (shows["opt_out"], shows["opt_in"]) == (False, True)
    assert {email: w.esp_shows(email) for email in MANY} == touched
    assert (plan(w, uid).state, plan(w, uid).actor) == ("rejected", "boss")


@retraction
@pytest.mark.parametrize("is_moved", [False, True])
def test_a_rejected_plan_reaches_an_address_that_has_left_its_contact_since(world: Make, is_moved: bool) -> None:
    second = "second@example.com"
    w = crowd(world, guard=ROOM)
    w.crm.act("add_address", email=ANN, address=second)
    w.sync()
    uid = hold_opt_outs(w)
    assert not may_send(w, second)
    if is_moved:
        row = next(e["ID"] for e in w.crm.act("dump", id=w.crm_id(ANN))["EMAIL"] if e["VALUE"] == second)
        w.crm.act("edit", id=w.crm_id(ANN), fields={"EMAIL": [{"ID": row, "DELETE": "Y"}]})
        w.sync()
    _reject(w, uid)
    opt_in(w.engine, second, scope="acme/marketing", actor="Eve", evidence="a letter", at=START)

    assert may_send(w, second)


@retraction
def test_a_rejected_plan_reaches_the_address_to_which_an_out_went_with_its_contact(world: Make) -> None:
    moved, left = "new@example.org", "newer@example.org"
    w = crowd(world, guard=ROOM)
    uid = hold_opt_outs(w)
    w.crm.act("change_address", email=ANN, to=moved)
    w.sync()
    w.crm.act("change_address", email=moved, to=left)
    w.sync()
    assert not may_send(w, moved)
    _reject(w, uid)
    for email in (moved, left):
        opt_in(w.engine, email, scope="acme/marketing", actor="Eve", evidence="a letter", at=START)
        assert may_send(w, email)
    w.settle()


@retraction
def test_putting_back_many_is_held_itself(world: Make) -> None:
    w = crowd(world)
    report = _reject(w, hold_opt_outs(w))

    assert [(r["system"], r["kind"]) for r in part(report).held_for] == [("crm", "opt_ins")]
    assert w.crm_shows(ANN)["opt_out"] is True
    second = part(report).plan
    assert second is not None
    _approve(w, second)
    assert w.crm_shows(ANN)["opt_out"] is False


def test_somebody_has_to_answer_for_a_decision(world: Make) -> None:
    w = crowd(world)
    uid = hold_opt_outs(w)

    for decide in (plans.approve, plans.reject):
        with pytest.raises(CommandRefused, match="--actor"):
            decide(w.engine, uid, actor=" ")
    assert plan(w, uid).state == "held"


@retraction
def test_putting_back_may_be_rejected_too(world: Make) -> None:
    w = crowd(world)
    second = part(_reject(w, hold_opt_outs(w))).plan
    assert second is not None
    _reject(w, second)

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert held(w) == []


@retraction
def test_what_was_put_back_is_a_wish_like_any_other_afterwards(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    _reject(w, hold_opt_outs(w))
    w.crm.act("opt_out", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True


@retraction
def test_the_personal_unsubscribe_in_a_rejected_plan_stays(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    for email in MANY[:3]:
        w.esp.act("unsubscribe", email=email)
    mark(w, MANY[3:])
    uid = part(w.sync()).plan
    assert uid is not None
    w.document["guard"] = {**ROOM, "opt_outs": {"max": 100}}
    w.reconfigure(lambda _: None)
    _reject(w, uid)

    for email in MANY[:3]:
        assert w.crm_shows(email)["opt_out"] is True
        assert not may_send(w, email)
    for email in MANY[3:]:
        assert w.crm_shows(email)["opt_out"] is False
        assert w.esp_shows(email)["status"] == Status.IN


@retraction
def test_a_person_who_left_the_platform_meanwhile_is_not_put_back_there(world: Make) -> None:
    w = crowd(world, guard={**ROOM, "updates": LIMIT})
    for email in MANY[:4]:
        w.esp.act("admin_unsubscribe", email=email)
    uid = part(w.sync()).plan
    assert uid is not None
    w.wait(hours=1)
    w.esp.act("unsubscribe", email=ANN)
    _reject(w, uid)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(BEA)["status"] == Status.IN
    assert w.crm_shows(BEA)["opt_out"] is False


@retraction
@pytest.mark.parametrize("beside_an_import", [False, True])
def test_a_sign_up_that_the_platform_vouches_for_is_the_persons_own_word(world: Make, beside_an_import: bool) -> None:
    w = crowd(world, guard={**SMALL, "opt_outs": {"max": 100}})
    back, others = (MANY[:2], MANY[2:]) if beside_an_import else (MANY[:4], ())
    for act, people in (("unsubscribe", back), ("admin_unsubscribe", others)):
        for email in people:
            w.esp.act(act, email=email)
    w.sync()
    w.wait(hours=1)
    for email in back:
        w.esp.act("resubscribe", email=email)
    for email in others:
        w.crm.act("opt_in", email=email, at=w.clock.now().isoformat())
    uid = part(w.sync()).plan
    assert uid is not None
    assert w.crm_shows(ANN)["opt_out"] is True
    report = _reject(w, uid)

    for email in back:
        assert w.esp_shows(email)["status"] == Status.IN
        assert may_send(w, email)
    for email in others:
        assert w.esp_shows(email)["status"] == Status.OUT
        assert not may_send(w, email)
    if (again := part(report).plan) is not None:
        _approve(w, again)
    assert not any(w.crm_shows(email)["opt_out"] for email in back)


@retraction
def test_a_rejection_can_be_limited_to_what_one_system_said(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    mark(w, MANY[:3])
    for email in MANY[3:]:
        w.esp.act("admin_unsubscribe", email=email)
    uid = part(w.sync()).plan
    assert uid is not None
    w.document["guard"] = {**ROOM, "opt_outs": {"max": 100}}
    w.reconfigure(lambda _: None)
    _reject(w, uid, system="crm")

    assert w.crm_shows(ANN)["opt_out"] is False
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.crm_shows(FAY)["opt_out"] is True
    assert w.esp_shows(FAY)["status"] == Status.OUT


@retraction
def test_topics_switched_off_by_mistake_are_on_again_after_a_rejection(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    for email in MANY[:4]:
        w.crm.act("set_topic", email=email, topic="news", wanted=False)
    uid = part(w.sync()).plan
    assert uid is not None
    report = _reject(w, uid)

    assert {c.rule for c in part(report).changes} == {"put_back"}
    assert all(w.crm_shows(email)["topics"]["news"] is True for email in MANY[:4])
    assert all(w.esp_shows(email)["topics"]["news"] is True for email in MANY[:4])


@pytest.mark.rule("nobody is opted in by accident")
@pytest.mark.parametrize("unites", [False, True])
def test_topics_that_are_off_since_both_sides_disagree_are_left_as_shown_by_a_rejection(
    world: Make, unites: bool
) -> None:
    apart = {"crm_topics": {"news": True}, "esp_topics": {"news": False}}
    w = world(*(person(n, **apart) for n in range(1, 5)), person(5, **TOPIC), guard=ROOM)
    uid = part(w.sync()).plan
    assert uid is not None
    if unites:
        w.reconfigure(lambda sync: sync["policy"].update(topics_first_sight="union"))
    _reject(w, uid)
    w.rest()

    assert (w.crm_shows(ANN)["topics"]["news"], w.esp_shows(ANN)["topics"]["news"]) == (True, unites)
    if unites:
        return
    (issue,) = issues(w, "plan_rejected")
    answers.retry(w.engine, [issue.id])
    _approve(w, str(part(w.sync()).plan))
    assert w.crm_shows(ANN)["topics"]["news"] is False


def test_rejected_field_changes_wait_until_their_issue_is_retried(world: Make) -> None:
    w = crowd(world, guard={"updates": LIMIT})
    for email in MANY[:4]:
        w.crm.act("set_field", email=email, field="city", value="Oslo")
    uid = part(w.sync()).plan
    assert uid is not None
    _reject(w, uid)
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    (issue,) = issues(w, "plan_rejected")
    assert issue.values["changes"] == 4

    answers.retry(w.engine, [issue.id])
    again = part(w.sync()).plan
    assert again is not None
    _approve(w, again)
    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"


def test_the_ledger_keeps_who_rejected_what(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    uid = hold_opt_outs(w)
    _reject(w, uid)

    with w.store.reading() as unit:
        key = unit.points.find([ANN])[ANN]
        said = unit.ledger.about([key])[key]
    (retracted,) = [s for s in said if s.kind is StatementKind.RETRACT]
    assert retracted.target in {s.uid for s in said if s.kind is StatementKind.OUT}
    assert (retracted.reason, retracted.evidence) == (f"plan {uid} rejected", {"actor": "boss"})


def _first(world: Make) -> World:
    """The first run has many opt-outs to carry."""
    out = {"status": Status.OUT, "opt_in": True}
    return world(*(person(n, **out) for n in range(1, 5)), person(5), guard=SMALL)


def test_yes_lets_the_first_run_go(world: Make) -> None:
    w = _first(world)
    report = w.sync(word=Word(actor="sync --yes", approves_first=True))

    assert (report.exit_code, part(report).plan) == (0, None)
    assert w.crm_shows(ANN)["opt_out"] is True


def test_yes_lets_a_first_run_go_that_is_held_already(world: Make) -> None:
    w = _first(world)
    uid = part(w.sync()).plan
    assert uid is not None
    assert w.crm_shows(ANN)["opt_out"] is False
    report = w.sync(word=Word(actor="sync --yes", approves_first=True))

    assert report.exit_code == 0
    assert plan(w, uid).state == "approved"
    assert w.crm_shows(ANN)["opt_out"] is True


def test_yes_never_lets_a_later_plan_go(world: Make) -> None:
    w = crowd(world)
    mark(w)
    report = w.sync(word=Word(actor="sync --yes", approves_first=True))

    assert report.exit_code == 4
    again = w.sync(word=Word(actor="sync --yes", approves_first=True))
    assert again.exit_code == 0
    assert w.esp_shows(ANN)["status"] == Status.IN


def test_a_plan_of_creations_that_were_rejected_does_not_come_back(world: Make) -> None:
    w = crowd(world)
    given = {"opt_in": True, "consent_at": START, "created_at": w.clock.now(), "in_esp": False, **TOPIC}
    w.crm.populate([person(n, **given) for n in range(11, 15)])
    uid = part(w.sync()).plan
    assert uid is not None
    _reject(w, uid)
    w.sync()

    assert w.esp.act("view", email="ann11@example.com") is None
    assert held(w) == []


@retraction
def test_what_was_retracted_does_not_follow_to_a_new_address(world: Make) -> None:
    w = crowd(world, guard=ROOM)
    _reject(w, hold_opt_outs(w))
    w.crm.act("add_address", email=ANN, address="ann.new@example.com")
    w.sync()

    with w.store.reading() as unit:
        key = unit.points.find(["ann.new@example.com"])["ann.new@example.com"]
        assert [s for s in unit.ledger.about([key])[key] if s.kind is StatementKind.OUT] == []
    assert w.esp_shows(ANN)["status"] == Status.IN
