"""Held plans and their changes."""

from optsync.clock import ManualClock
from optsync.model.change import ChangeKind, ChangeState
from optsync.state.changes import Change, NewChange, Settled
from optsync.state.issues import NewIssue
from optsync.state.plans import DROPPED, REJECTED
from optsync.state.store import Store
from optsync.state.unit import Unit
from tests.state.rows import NOW, change, member, ready_changes, stored

REASONS = [{"system": "mc", "kind": "opt_outs", "count": 2, "known": 3, "max": 1, "percent": 5.0, "cap": 100}]


def _hold(unit: Unit, changes: list[NewChange], uid: str = "P1", run: str = "r1") -> None:
    unit.changes.plan(run, changes)
    unit.plans.add(uid, sync="letter", run=run, is_first=False, reasons=REASONS)


def _two(unit: Unit) -> tuple[list[int], list[int]]:
    _, keys = stored(unit, [member(1), member(2, "second@example.com")])
    points = unit.points.require(["p1@example.com", "p2@example.com", "second@example.com"])
    return keys, [points["p1@example.com"], points["p2@example.com"], points["second@example.com"]]


def _of_run(unit: Unit, run: str = "r1") -> dict[str, Change]:
    return {c.fingerprint: c for c in unit.changes.of_run(run)}


def test_a_held_plan_keeps_what_the_run_has_planned_for_its_sync(store: Store) -> None:
    with store.transaction() as unit:
        keys, points = _two(unit)
        others = change(keys[0], points[0], sync="other", fingerprint="other")
        approved = change(keys[1], points[1], fingerprint="approved", plan="P0")
        unit.changes.plan("r0", [change(keys[0], points[0], fingerprint="older")])
        _hold(unit, [change(keys[0], points[0], ChangeKind.OPT_OUT, fingerprint="a"), others, approved])
        held = unit.plans.held("letter")
        states = {c.fingerprint: (c.state, c.plan) for c in unit.changes.of_run("r1")}

    assert [(p.uid, p.run, p.held_at, p.is_first, p.reasons, p.state) for p in held] == [
        ("P1", "r1", NOW, False, REASONS, "held")
    ]
    assert states == {
        "a": (ChangeState.HELD, "P1"),
        "other": (ChangeState.PLANNED, None),
        "approved": (ChangeState.PLANNED, "P0"),
    }


def test_what_is_held_is_neither_open_nor_sent_nor_superseded_by_something_newer(store: Store) -> None:
    with store.transaction() as unit:
        keys, points = _two(unit)
        _hold(unit, [change(keys[0], points[0], fingerprint="a")])
        unit.changes.plan("r2", [change(keys[0], points[0], fingerprint="b")])
        unit.changes.release("r2", "letter")

        assert unit.plans.count_held("P1") == 1
        assert [c.fingerprint for c in unit.changes.open_of("letter")] == ["b"]
        assert [c.fingerprint for c in ready_changes(unit, ["mc"])] == ["b"]


def test_what_a_run_has_planned_is_counted_without_what_is_approved(store: Store) -> None:
    with store.transaction() as unit:
        keys, points = _two(unit)
        outs = [
            change(k, p, ChangeKind.OPT_OUT, priority=0, fingerprint=f"{k}") for k, p in zip(keys, points, strict=False)
        ]
        unit.changes.plan("r1", [*outs, change(keys[0], points[0], fingerprint="field", plan="P0")])

        assert unit.plans.count_planned("r1", "letter") == [("mc", "list", ChangeKind.OPT_OUT, 0, 2)]
        assert unit.plans.count_planned("r2", "letter") == []


def test_held_changes_are_found_by_their_points_and_the_points_by_their_records(store: Store) -> None:
    with store.transaction() as unit:
        keys, points = _two(unit)
        _hold(unit, [change(keys[1], points[1], fingerprint="a"), change(None, points[0], fingerprint="b")])

        assert [h.fingerprint for h in unit.plans.held_at("letter", [points[1]])] == ["a"]
        assert unit.plans.held_at("other", points) == []
        assert unit.plans.points_of("P1") == set(points)
        ((first, system, causes), *_) = sorted(unit.plans.changes_held("P1"), key=lambda row: row[0].fingerprint)
        assert (first.fingerprint, first.record_id, system, causes) == ("a", keys[1], "mc", ["u1"])


def test_an_approved_change_stays_approved_until_it_arrives(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        _, points = _two(unit)
        names = ("arrived", "failed", "dropped", "waits")
        _hold(unit, [change(None, points[0], fingerprint=name) for name in names])
        ids = {name: c.id for name, c in _of_run(unit).items()}
        unit.changes.set_state([ids["dropped"]], ChangeState.SUPERSEDED, fact=DROPPED)
        assert unit.plans.approved_at("letter", points) == []
        unit.plans.close("P1", "approved", actor="boss")
        unit.changes.plan("r2", [change(None, points[0], fingerprint=name, plan="P1") for name in names[:2]])
        again = {name: c.id for name, c in _of_run(unit, "r2").items()}
        unit.changes.settle([Settled(id=again["arrived"], state=ChangeState.APPLIED)])
        unit.changes.settle([Settled(id=again["failed"], state=ChangeState.FAILED)])

        approvals = unit.plans.approved_at("letter", points)
        assert [(each.fingerprint, each.plan) for each in approvals] == [("failed", "P1"), ("waits", "P1")]
        assert unit.plans.approved_at("letter", [points[1]]) == []
        plan = unit.plans.find("P1")
        assert plan is not None
        assert (plan.state, plan.actor, plan.decided_at) == ("approved", "boss", clock.now())
        assert unit.plans.count_held("P1") == 0


def test_rejected_changes_are_blocked_while_their_issue_stands(store: Store) -> None:
    with store.transaction() as unit:
        _, points = _two(unit)
        _hold(unit, [change(None, points[0], fingerprint="a"), change(None, points[0], fingerprint="b")])
        unit.changes.set_state([_of_run(unit)["a"].id], ChangeState.SUPERSEDED, fact=REJECTED)
        unit.plans.close("P1", "rejected", actor="boss")
        assert unit.plans.rejected_at(unit.issues.blocked("letter"), points) == set()
        unit.issues.open(NewIssue(kind="plan_rejected", message="…", sync="letter", blocks="P1"), run="r2")

        assert unit.plans.rejected_at(unit.issues.blocked("letter"), points) == {"a"}
        assert unit.plans.rejected_at(["P1"], [points[1]]) == set()
        assert unit.plans.points_of("P1", fact=REJECTED) == {points[0]}
        unit.issues.close("plan_rejected", sync="letter", blocks="P1", reason="tried again")
        assert unit.plans.rejected_at(unit.issues.blocked("letter"), points) == set()


def test_a_plan_that_is_planned_again_goes_with_its_name(store: Store) -> None:
    with store.transaction() as unit:
        _, points = _two(unit)
        _hold(unit, [change(None, points[0], fingerprint="a")])
        unit.plans.plan_again("r1", "P1")
        assert unit.plans.count_planned("r1", "letter") == []
        unit.plans.take_back("r1", ["P1"])

        assert _of_run(unit)["a"].state is ChangeState.SUPERSEDED


def test_what_was_put_back_is_remembered(store: Store) -> None:
    with store.transaction() as unit:
        _, points = _two(unit)
        rows = [change(None, points[0], fingerprint=name, rule="put_back") for name in ("done", "failed")]
        unit.changes.plan("r1", rows)
        ids = {name: c.id for name, c in _of_run(unit).items()}
        unit.changes.settle([Settled(id=ids["done"], state=ChangeState.APPLIED)])
        unit.changes.settle([Settled(id=ids["failed"], state=ChangeState.FAILED)])

        assert unit.plans.put_back_at("letter", points) == {"done"}
        assert unit.plans.put_back_at("letter", []) == frozenset()
