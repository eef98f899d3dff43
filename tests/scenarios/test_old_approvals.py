"""An approval is good for what was approved then and follows still, until that has arrived, and for nothing else."""

from collections.abc import Iterable
from typing import Any

import pytest

from optsync.errors import CommandRefused
from optsync.model.change import ChangeState
from optsync.model.record import Status
from optsync.sync import plans
from optsync.sync.guard import NEW_MEANING
from tests.scenarios.plans import LIMIT, MANY, SMALL, Make, crowd, held, hold_opt_outs, mark, may_send, part, plan
from tests.scenarios.test_crashes import Killed, KillingStore
from tests.scenarios.test_guard import EspDown
from tests.scenarios.test_waiting import Meanwhile, journal
from tests.scenarios.world import CRM, ESP, World

pytestmark = pytest.mark.rule("suspicious volume stops")
ANN, BEA, CLEO, DORA, EVE, FAY = MANY


def _approve(w: World, uid: str) -> Any:
    w.wait(minutes=10)
    return plans.approve(w.engine, uid, actor="boss")


def _move(w: World, people: Iterable[str], *, to: str) -> None:
    """Somebody takes them off the list scope, or puts them on it."""
    for email in people:
        w.crm.act("edit", id=w.crm_id(email), fields={"TYPE_ID": to})


def _hold_archives(world: Make, **options: Any) -> tuple[World, str]:
    """Four people left the list; the plan that takes them off it."""
    w = crowd(world, policy={"leave": "archive"}, **options)
    _move(w, MANY[:4], to="SUPPLIER")
    uid = part(w.sync()).plan
    assert uid is not None
    return w, uid


def test_what_did_not_apply_any_more_is_not_approved_because_an_approval_was_killed_before(world: Make) -> None:
    for at in range(2, 40):
        w, uid = _hold_archives(world, store=KillingStore)
        assert isinstance(w.store, KillingStore)
        w.store.arm(at, is_after=True)
        with pytest.raises(Killed):
            _approve(w, uid)
        w.store.disarm()
        w.engine = w.compose()
        if plan(w, uid).state != "held":
            assert at > 5
            w.settle()
            return
        _move(w, [ANN], to="CLIENT")
        _approve(w, uid)
        assert w.esp_shows(BEA)["status"] == Status.ARCHIVED
        _move(w, [ANN, EVE, FAY], to="SUPPLIER")
        assert w.sync().exit_code == 4, f"killed after commit {at}"
        assert w.esp_shows(ANN)["status"] == Status.IN
    pytest.fail("the approval had no end")


def _approve_in_vain(w: World, uid: str) -> None:
    """The plan is approved while the platform cannot be reached."""
    w.use(EspDown({CRM: w.crm, ESP: w.esp}))
    _approve(w, uid)
    w.use(w.transport)
    assert plan(w, uid).state == "approved"


def test_what_could_not_be_carried_out_when_it_was_approved_is_carried_out_later(world: Make) -> None:
    w, uid = _hold_archives(world)
    _approve_in_vain(w, uid)

    assert w.sync().exit_code == 0
    assert all(w.esp_shows(email)["status"] == Status.ARCHIVED for email in MANY[:4])


def test_a_run_that_only_wrote_what_was_approved_before_is_remembered(world: Make) -> None:
    w, uid = _hold_archives(world)
    _approve_in_vain(w, uid)
    for _ in range(2):
        w.sync()
    assert all(w.esp_shows(email)["status"] == Status.ARCHIVED for email in MANY[:4])
    wrote = next(c.run for c in journal(w) if c.kind == "archive" and c.state is ChangeState.APPLIED)
    w.wait(hours=24 * 40)
    w.sync()

    with w.store.reading() as unit:
        assert unit.runs.find(wrote) is not None


def test_an_approval_ends_when_what_was_approved_does_not_follow_any_more(world: Make) -> None:
    w, uid = _hold_archives(world)
    _approve_in_vain(w, uid)
    _move(w, MANY[:4], to="CLIENT")
    assert w.sync().exit_code == 0
    _move(w, MANY[:4], to="SUPPLIER")

    assert w.sync().exit_code == 4
    assert all(w.esp_shows(email)["status"] == Status.IN for email in MANY[:4])


def test_what_was_approved_as_a_tag_is_not_archived_after_a_change_of_policy(world: Make) -> None:
    w = crowd(world, policy={"leave": "tag"})
    _move(w, MANY[:4], to="SUPPLIER")
    uid = part(w.sync()).plan
    assert uid is not None
    w.reconfigure(lambda sync: sync["policy"].update(leave="archive"))
    assert _approve(w, uid).exit_code == 4

    assert all(w.esp_shows(email)["status"] == Status.IN for email in MANY[:4])
    (anew,) = held(w)
    assert anew.uid != uid
    _approve(w, anew.uid)
    assert all(w.esp_shows(email)["status"] == Status.ARCHIVED for email in MANY[:4])
    assert not any(w.esp_shows(email)["tags"] for email in MANY)


def test_an_approval_does_not_outlive_a_change_of_meaning(world: Make) -> None:
    w = crowd(world)
    _approve_in_vain(w, hold_opt_outs(w))
    w.reconfigure(lambda sync: sync["crm"].pop("reason"))
    before = w.writes()
    report = w.sync()

    assert part(report).held_for[0]["reason"] == NEW_MEANING
    assert w.writes() == before
    assert not may_send(w, ANN)
    uid = part(report).plan
    assert uid is not None
    _approve(w, uid)
    assert all(w.esp_shows(email)["status"] == Status.OUT for email in MANY[:4])


def test_what_comes_while_an_approved_plan_is_written_does_not_belie_the_approval(world: Make) -> None:
    w = crowd(world, guard={**SMALL, "updates": LIMIT})
    for email in MANY[:4]:
        w.crm.act("set_field", email=email, field="city", value="Oslo")
        w.esp.act("set_field", email=email, field="last_name", value="Bo")
    uid = part(w.sync()).plan
    assert uid is not None
    w.use(Meanwhile(w, lambda: mark(w, MANY[2:]), seconds=70))
    report = _approve(w, uid)
    w.use(w.transport)

    assert plan(w, uid).state == "approved"
    assert [each.uid for each in held(w)] == [part(report).plan]
    assert report.exit_code == 4
    assert w.crm_shows(ANN)["fields"]["last_name"] == "Bo"
    assert w.esp_shows(FAY)["status"] == Status.IN


def _hold_outs_of_the_platform(world: Make) -> tuple[World, str]:
    w = crowd(world)
    for email in MANY[:4]:
        w.esp.act("admin_unsubscribe", email=email)
    uid = part(w.sync()).plan
    assert uid is not None
    return w, uid


def _other_flag(w: World, topic: str) -> None:
    """What was the box of a topic shows opt-outs from now on."""

    def change(sync: dict[str, Any]) -> None:
        sync["crm"]["opt_out"] = sync["crm"]["topics"].pop(topic)
        del sync["esp"]["topics"][topic]

    w.reconfigure(change)


def test_what_is_held_when_the_meaning_changes_is_held_anew_for_that(world: Make) -> None:
    w, uid = _hold_outs_of_the_platform(world)
    _other_flag(w, "events")
    report = w.sync()

    assert report.exit_code == 4
    assert part(report).held_for[0]["reason"] == NEW_MEANING
    assert [each.uid for each in held(w)] == [part(report).plan]
    assert plan(w, uid).state == "superseded"
    assert w.sync().exit_code == 0
    _approve(w, held(w)[0].uid)
    assert all(w.crm_shows(email)["topics"]["events"] for email in MANY[:4])


def test_what_was_held_before_the_meaning_changed_is_not_approved_as_it_would_be_written_now(world: Make) -> None:
    w, uid = _hold_outs_of_the_platform(world)
    _other_flag(w, "events")
    before = w.writes()
    with pytest.raises(CommandRefused, match="was held before the mapping"):
        _approve(w, uid)

    assert w.writes() == before
    anew = part(w.sync()).plan
    assert anew is not None
    assert [each.uid for each in held(w)] == [anew]
    _other_flag(w, "offers")
    with pytest.raises(CommandRefused, match="was held before the mapping"):
        _approve(w, anew)
    w.sync()
    assert [each.uid for each in held(w)] != [anew]
    _approve(w, held(w)[0].uid)
    assert all(w.crm_shows(email)["topics"]["offers"] for email in MANY[:4])
    assert not any(w.crm_shows(email)["topics"]["events"] for email in MANY)


def test_what_is_held_while_a_system_cannot_be_reached_is_held_once_under_another_meaning(world: Make) -> None:
    w, uid = _hold_outs_of_the_platform(world)
    _other_flag(w, "events")
    w.use(EspDown({CRM: w.crm, ESP: w.esp}))
    w.sync()
    (once,) = held(w)
    w.sync()
    assert [each.uid for each in held(w)] == [once.uid] != [uid]
    w.use(w.transport)
    w.sync()
    assert once.uid in {each.uid for each in held(w)}
    for each in held(w):
        _approve(w, each.uid)

    assert all(w.crm_shows(email)["topics"]["events"] for email in MANY[:4])
