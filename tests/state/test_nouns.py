"""The ledger, points, links, changes, issues, runs and leases, each by what others rely on."""

import os
import socket
import subprocess
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.clock import ManualClock
from optsync.errors import StateLocked
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Side
from optsync.model.statement import Source, Statement, StatementKind, Strength, state
from optsync.state.changes import Settled
from optsync.state.issues import NewIssue
from optsync.state.leases import Lease
from optsync.state.schema import lease
from optsync.state.store import Store
from optsync.sync.agreements import Agreements
from tests.state.rows import NOW, change, member, out, ready_changes, stored

# the ledger


def statements() -> list[Statement]:
    target = out()
    said = [
        state(
            scope=scope,
            kind=kind,
            at=NOW - timedelta(minutes=number, microseconds=7),
            clock=clock,
            seen_at=NOW,
            source=source,
            strength=strength,
            is_personal=bool(number % 2),
            reason="because Ünï",
            system="mc",
            record="m1",
            target=target.uid if kind is StatementKind.RETRACT else None,
            evidence={"ip": "192.0.2.1", "text": "I agree"} if number % 3 else {},
        )
        for number, (scope, kind, clock, source, strength) in enumerate(
            zip(
                ["*", "acme", "acme/news", "acme/news/offers"] * 3,
                list(StatementKind) + list(StatementKind)[:3],
                [None, "mc", "optsync"] * 4,
                Source,
                list(Strength) * 3,
                strict=True,
            )
        )
    ]
    return [target, *said]


def test_statements_keep_all_their_fields_and_come_oldest_first(store: Store) -> None:
    said = statements()
    with store.transaction() as unit:
        points = unit.points.require(["a@example.com", "b@example.com"])
        key = points["a@example.com"]
        assert unit.ledger.append([(key, s) for s in said], run="r") == len(said)

        assert unit.ledger.about([key]) == {key: tuple(sorted(said, key=lambda s: (s.at, s.uid)))}
        assert unit.ledger.with_statements(points.values()) == {key}


def test_a_statement_that_is_appended_again_changes_nothing(store: Store) -> None:
    said = statements()
    with store.transaction() as unit:
        (key,) = unit.points.require(["a@example.com"]).values()
        unit.ledger.append([(key, s) for s in said], run="r")
        before = unit.ledger.about([key])
        again = [replace(s, reason="another", evidence={"ip": "192.0.2.99"}) for s in said if s.evidence]

        assert unit.ledger.append([(key, s) for s in (*again, *again)], run="later") == 0
        assert unit.ledger.about([key]) == before
        assert unit.ledger.count() == len(said)


def test_the_same_words_about_two_points_are_two_statements(store: Store) -> None:
    with store.transaction() as unit:
        keys = unit.points.require(["a@example.com", "b@example.com"]).values()

        assert unit.ledger.append([(key, out()) for key in keys], run="r") == 2


# points and the backlog


def test_a_point_is_made_once(store: Store) -> None:
    with store.transaction() as unit:
        first = unit.points.require(["a@example.com", "b@example.com"])
        again = unit.points.require(["b@example.com", "c@example.com"])

        assert again["b@example.com"] == first["b@example.com"]
        assert unit.points.find(["a@example.com", "x@example.com"]) == {"a@example.com": first["a@example.com"]}
        assert unit.points.addresses([first["a@example.com"], 999_999]) == {first["a@example.com"]: "a@example.com"}


def test_the_backlog_holds_a_point_once_for_each_sync_until_it_is_done(store: Store) -> None:
    with store.transaction() as unit:
        keys = sorted(unit.points.require([f"p{n}@example.com" for n in range(7)]).values())
        unit.points.mark(["letter", "other"], keys)
        unit.points.mark(["letter"], keys[:2])

        assert unit.points.count_waiting("letter") == 7
        assert unit.points.waiting("letter", limit=3) == keys[:3]
        assert unit.points.waiting("letter", after=keys[2], limit=3) == keys[3:6]
        unit.points.done("letter", unit.points.marks("letter", keys[:5]))
        assert unit.points.still_waiting("letter", keys) == keys[5:]
        assert unit.points.count_waiting("other") == 7


# links


def test_a_link_keeps_what_was_agreed_moved_and_frozen(store: Store) -> None:
    move = Move(old=("a", "b"), new=None, target=Side.ESP, at=NOW, bounces=1)
    with store.transaction() as unit:
        _, (one, two) = stored(unit, [member(1), member(2)])
        saved = Link(
            crm=one,
            esp=two,
            agreed={"a=b": Agreed(("x", "y"), None), "c=d": Agreed(1, "1"), "e=f": Agreed(True, 1.5)},
            frozen=frozenset({"a=b"}),
            moves={"a=b": move},
        )
        unit.links.save("letter", [saved])
        assert unit.links.of("letter", [two]) == {(one, two): saved}
        assert unit.links.of("other", [two]) == {}

        agreements = Agreements(unit, "letter", [two])
        agreements.agree(one, two, {"c=d": Agreed(2, "2")})
        assert unit.links.of("letter", [two]) == {(one, two): saved}
        agreements.save()
        agreed = {**saved.agreed, "c=d": Agreed(2, "2")}
        assert unit.links.of("letter", [two]) == {(one, two): replace(saved, agreed=agreed)}


# changes


def test_a_change_goes_from_plan_to_journal(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        _, (key,) = stored(unit, [member(1)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        unit.changes.plan("r", [change(key, point)])
        assert ready_changes(unit, ["mc"]) == []
        assert unit.changes.release("r", "letter") == 1
        (ready,) = ready_changes(unit, ["mc"])
        assert (ready.record, ready.email, ready.after, ready.planned_at) == (
            "m1",
            "p1@example.com",
            {"FNAME": "Ada"},
            NOW,
        )
        clock.advance(60)
        unit.changes.settle([Settled(id=ready.id, state=ChangeState.REFUSED, fact="gone", message="not there")])
        (journaled,) = unit.changes.of_run("r")

        assert (journaled.state, journaled.fact, journaled.message) == (ChangeState.REFUSED, "gone", "not there")
        assert journaled.settled_at == NOW + timedelta(minutes=1)
        assert unit.changes.counts("r") == {("letter", "mc", "field", "refused"): 1}
        unit.changes.send_again(journaled, write={"kind": "fields", "fields": {}}, after={})
        assert ready_changes(unit, ["mc"])[0].write["fields"] == {}


def test_a_newer_change_of_a_record_supersedes_the_older_unsent_one_of_its_kind(store: Store) -> None:
    with store.transaction() as unit:
        _, (key, other) = stored(unit, [member(1), member(2)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        unit.changes.plan("r1", [change(key, point), change(other, point), change(key, point, ChangeKind.OPT_OUT)])
        unit.changes.plan("sent", [change(key, point, sync="other")])
        unit.changes.plan("r2", [change(key, point)])

        assert [c.state for c in unit.changes.of_run("r1")] == ["superseded", "planned", "planned"]
        assert [c.state for c in unit.changes.of_run("sent")] == ["planned"]
        unit.changes.set_state([c.id for c in unit.changes.of_run("r2")], ChangeState.SENDING)
        unit.changes.plan("r3", [change(key, point)])
        assert [c.state for c in unit.changes.of_run("r2")] == ["sending"]


def test_a_newer_change_that_makes_a_record_supersedes_the_older_unsent_one_of_its_address(store: Store) -> None:
    with store.transaction() as unit:
        stored(unit, [member(1), member(2)])
        one, other = unit.points.find(["p1@example.com", "p2@example.com"]).values()
        create = ChangeKind.CREATE
        at_crm = change(None, one, create, system="crm", collection="contact")
        unit.changes.plan("r1", [change(None, one, create), change(None, other, create), at_crm])
        unit.changes.plan("r2", [change(None, one, create)])

        assert [c.state for c in unit.changes.of_run("r1")] == ["superseded", "planned", "planned"]
        unit.changes.set_state([c.id for c in unit.changes.of_run("r2")], ChangeState.SENDING)
        unit.changes.plan("r3", [change(None, one, create)])
        assert [c.state for c in unit.changes.of_run("r2")] == ["sending"]


def test_changes_are_ready_by_priority_and_one_way_of_writing_at_a_time(store: Store) -> None:
    with store.transaction() as unit:
        _, keys = stored(unit, [member(n) for n in range(4)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        kinds = [(ChangeKind.FIELD, 7), (ChangeKind.OPT_IN, 4), (ChangeKind.OPT_OUT, 0), (ChangeKind.TOPIC, 1)]
        planned = [change(k, point, kind, priority=p) for k, (kind, p) in zip(keys, kinds, strict=True)]
        elsewhere = change(keys[0], point, ChangeKind.OPT_OUT, priority=0, system="crm", collection="contact")
        unit.changes.plan("r", [*planned, elsewhere])
        unit.changes.release("r", "letter")
        in_order = unit.changes.ready("letter", ["mc", "crm"], limit=100)
        assert [place.way for place in in_order] == [
            (0, "crm", "contact", "opt_out"),
            (0, "mc", "list", "opt_out"),
            (1, "mc", "list", "topic"),
            (4, "mc", "list", "opt_in"),
            (7, "mc", "list", "field"),
        ]
        assert unit.changes.ready("letter", ["mc", "crm"], limit=2) == in_order[:2]
        assert unit.changes.ready("letter", ["crm"], limit=100) == in_order[:1]
        unit.changes.set_state([place.id for place in in_order[:4]], ChangeState.APPLIED)
        assert [c.kind for c in unit.changes.still_ready(in_order)] == ["field"]


def test_the_oldest_opt_out_counts_until_it_is_everywhere(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        _, keys = stored(unit, [member(1), member(2)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        assert unit.changes.oldest_unsent_out("letter") is None
        for key in keys:
            unit.changes.plan("r", [change(key, point, ChangeKind.OPT_OUT)])
            clock.advance(60)
        first, second = unit.changes.of_run("r")
        assert unit.changes.oldest_unsent_out("letter") == NOW
        unit.changes.set_state([second.id], ChangeState.HELD)
        unit.changes.set_state([first.id], ChangeState.FAILED)
        assert unit.changes.oldest_unsent_out("letter") == NOW + timedelta(minutes=1)
        unit.points.mark(["letter"], [point])
        assert unit.changes.oldest_unsent_out("letter") == NOW
        unit.changes.set_state([first.id, second.id], ChangeState.APPLIED)
        assert unit.changes.oldest_unsent_out("letter") is None


def test_a_refused_opt_out_that_is_tried_again_is_on_its_way_and_one_that_arrived_since_is_not(
    store: Store, clock: ManualClock
) -> None:
    with store.transaction() as unit:
        _, (key,) = stored(unit, [member(1)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        unit.points.mark(["letter"], [point])
        for _ in range(2):
            unit.changes.plan("r", [change(key, point, ChangeKind.OPT_OUT)])
            clock.advance(60)
        first, second = unit.changes.of_run("r")
        unit.changes.set_state([first.id], ChangeState.FAILED)
        unit.changes.set_state([second.id], ChangeState.REFUSED, fact="not_allowed")
        assert unit.changes.oldest_unsent_out("letter", harmless={"forgotten"}) == NOW
        assert unit.changes.oldest_unsent_out("letter", harmless={"forgotten", "not_allowed"}) == NOW
        unit.changes.plan("later", [change(key, point, ChangeKind.OPT_OUT)])
        (third,) = unit.changes.of_run("later")
        unit.changes.set_state([third.id], ChangeState.APPLIED)
        assert unit.changes.oldest_unsent_out("letter", harmless={"forgotten"}) is None
        unit.changes.set_state([third.id], ChangeState.REFUSED, fact="forgotten")
        unit.changes.set_state([first.id, second.id], ChangeState.SUPERSEDED)
        assert unit.changes.oldest_unsent_out("letter", harmless={"forgotten"}) is None


# issues

REFUSED = NewIssue(kind="refused", message="m", sync="letter", system="mc", record="m1", blocks="f1", values={"n": 1})


def test_the_same_matter_is_one_issue_until_it_is_resolved(store: Store) -> None:
    with store.transaction() as unit:
        assert unit.issues.open(REFUSED, run="r")
        assert not unit.issues.open(replace(REFUSED, values={"n": 2}), run="r2")
        (found,) = unit.issues.list()
        assert (found.count, found.values, found.run, found.opened_at) == (2, {"n": 2}, "r", NOW)

        unit.issues.resolve(kind="refused", system="mc", collection="letter", records=["m1"], reason="repaired")
        assert (unit.issues.count_open(), unit.issues.any_open("refused", "mc")) == (0, False)
        assert unit.issues.open(REFUSED, run="r3")
        assert [i.state for i in unit.issues.list(state=None)] == ["resolved", "open"]


def test_a_dismissed_issue_stays_quiet_and_keeps_blocking_and_a_resolved_one_does_not(store: Store) -> None:
    with store.transaction() as unit:
        unit.issues.open(REFUSED, run="r")
        (found,) = unit.issues.list()
        assert unit.issues.set_state(found.id, "dismissed")
        assert not unit.issues.open(REFUSED, run="r2")
        assert (unit.issues.count_open(), set(unit.issues.blocked("letter"))) == (0, {"f1"})
        assert unit.issues.blocked("other") == {}

        assert unit.issues.set_state(found.id, "resolved")
        assert unit.issues.blocked("letter") == {}
        assert not unit.issues.set_state(found.id, "dismissed")


# leases


def test_a_lease_is_refused_while_its_holder_beats_and_free_after_a_minute_without(
    store: Store, clock: ManualClock
) -> None:
    with store.transaction() as unit:
        first = unit.leases.take("letter", holder="one")
    with pytest.raises(StateLocked, match="one"), store.transaction() as unit:
        unit.leases.take("letter", holder="two")
    clock.advance(59)
    with store.transaction() as unit:
        unit.leases.beat(first)
    clock.advance(59.9)
    with pytest.raises(StateLocked), store.transaction() as unit:
        unit.leases.take("letter", holder="two")
    clock.advance(0.1)
    with store.transaction() as unit:
        second = unit.leases.take("letter", holder="two")

    assert second.fence > first.fence
    with pytest.raises(StateLocked, match="taken over"), store.transaction() as unit:
        unit.leases.beat(first)
    with store.transaction() as unit:
        unit.leases.give_back(first)
        unit.leases.beat(second)


def test_a_lease_that_is_given_back_is_free_at_once_and_others_are_their_own(store: Store) -> None:
    with store.transaction() as unit:
        held = unit.leases.take("letter", holder="one")
        unit.leases.take("another", holder="one")
        unit.leases.give_back(held)
        assert unit.leases.take("letter", holder="two").fence == held.fence + 1
    with pytest.raises(StateLocked), store.transaction() as unit:
        unit.leases.beat(held)


def beats(store: Store) -> set[datetime]:
    with store._engine.connect() as connection:
        return set(connection.execute(sa.select(lease.c.beat_at)).scalars())


def test_a_proof_writes_only_where_the_last_beat_was_a_while_ago(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        held = unit.leases.take_all(["letter", "another"], holder="one")
    began = clock.now()
    clock.advance(9)
    with store.transaction() as unit:
        unit.leases.prove(*held)
    assert beats(store) == {began}
    clock.advance(1)
    with store.transaction() as unit:
        unit.leases.prove(*held)
    assert beats(store) == {clock.now()}


def test_a_proof_is_refused_when_one_of_several_leases_was_taken_over(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        held = unit.leases.take_all(["letter", "another"], holder="one")
    clock.advance(60)
    with store.transaction() as unit:
        assert unit.leases.take("another", holder="two").fence == held[1].fence + 1
    with pytest.raises(StateLocked, match="another was taken over"), store.transaction() as unit:
        unit.leases.prove(*held)
    with pytest.raises(StateLocked, match="two"), store.transaction() as unit:
        unit.leases.take_all(["letter", "another"], holder="three")
    with store.transaction() as unit:
        assert unit.leases.take("letter", holder="three").fence == held[0].fence + 1


def test_nobody_takes_a_lease_over_while_a_transaction_relies_on_it(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        held = unit.leases.take_all(["letter", "another"], holder="one")
    found: list[object] = []

    def take_over() -> None:
        try:
            with store.transaction() as unit:
                found.append(unit.leases.take("letter", holder="two"))
        except StateLocked as error:
            found.append(error)

    taker = threading.Thread(target=take_over)
    with store.transaction() as unit:
        unit.leases.prove(*held)
        clock.advance(61)
        taker.start()
        taker.join(0.3)
        assert found == []
    taker.join(10)
    assert [type(each) for each in found] == [Lease]
    with pytest.raises(StateLocked), store.transaction() as unit:
        unit.leases.prove(*held)


@pytest.mark.parametrize(("host", "is_free"), [(socket.gethostname(), True), ("elsewhere.test", False)])
def test_a_lease_is_free_at_once_when_its_process_is_gone_from_this_host(
    store: Store, host: str, is_free: bool
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert ended.pid != os.getpid()
    with store.transaction() as unit:
        unit.leases.take("letter", holder="one")
        connection: Connection = unit.leases._connection
        connection.execute(sa.update(lease).values(pid=ended.pid, host=host))
        if is_free:
            assert unit.leases.take("letter", holder="two").fence == 2
        else:
            with pytest.raises(StateLocked):
                unit.leases.take("letter", holder="two")


@pytest.mark.parametrize(
    ("host", "ahead", "is_free"),
    [
        ("elsewhere.test", timedelta(days=3), True),
        ("elsewhere.test", timedelta(minutes=5), False),
        (socket.gethostname(), timedelta(days=3), False),
    ],
    ids=["a container that is gone", "a host whose clock is ahead", "a process that still runs here"],
)
def test_a_lease_of_elsewhere_is_free_where_the_clock_was_set_back_since_its_last_beat(
    store: Store, clock: ManualClock, host: str, ahead: timedelta, is_free: bool
) -> None:
    with store.transaction() as unit:
        unit.leases.take("letter", holder="one")
        connection: Connection = unit.leases._connection
        connection.execute(sa.update(lease).values(host=host, pid=os.getppid(), beat_at=clock.now() + ahead))
        if is_free:
            assert unit.leases.take("letter", holder="two").fence == 2
        else:
            with pytest.raises(StateLocked):
                unit.leases.take("letter", holder="two")


# runs and facts


def test_runs_come_newest_first_with_what_became_of_them(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        unit.runs.begin("one", ["letter"])
        clock.advance(5)
        unit.runs.begin("two", ["letter", "other"])
        unit.runs.end("one", "done", {"n": 1})
        found = unit.runs.list()

        assert [(r.uid, r.state, r.syncs, r.summary) for r in found] == [
            ("two", "running", ["letter", "other"], None),
            ("one", "done", ["letter"], {"n": 1}),
        ]
        assert unit.runs.find("three") is None
        unit.meta.put("a", "1")
        unit.meta.put("a", "2")
        assert (unit.meta.get("a"), unit.meta.get("b")) == ("2", None)


def _ended(
    store: Store,
    uid: str,
    state: str = "done",
    *,
    sync: str = "letter",
    head: str = "h",
    undoes: str | None = None,
    **part: Any,
) -> None:
    """A run of one sync that ends at once, with ``part`` besides what a run says in which nothing happens."""
    idle = {"plan": None, "state": "done", "outcome": {"changed": 0, "same": 3}, "issues": 0, "calls": {"crm": 1}}
    with store.transaction() as unit:
        unit.runs.begin(uid, [sync], undoes=undoes)
        unit.runs.end(uid, state, {"syncs": {sync: {**idle, **part}}, "ledger_head": {"block": 1, "hash": head}})


def _uids(store: Store) -> list[str]:
    with store.reading() as unit:
        return [run.uid for run in reversed(unit.runs.list())]


def test_of_old_runs_in_which_nothing_happened_one_a_day_is_kept(store: Store, clock: ManualClock) -> None:
    for day in ("monday", "tuesday"):
        for number in range(3):
            _ended(store, f"{day} {number}")
        clock.advance(86_400)
    before = clock.now()
    _ended(store, "young 1")
    _ended(store, "young 2")
    with store.transaction() as unit:
        assert unit.runs.thin(before=before, beyond=0, most=4) == (4, 4)

    assert _uids(store) == ["monday 0", "tuesday 0", "tuesday 1", "tuesday 2", "young 1", "young 2"]
    with store.transaction() as unit:
        assert unit.runs.thin(before=before, beyond=4, most=4) == (2, 6)
        assert unit.runs.thin(before=before, beyond=6, most=4) == (0, 6)

    assert _uids(store) == ["monday 0", "tuesday 0", "tuesday 1", "young 1", "young 2"]


def test_of_each_sync_one_old_run_a_day_is_kept(store: Store, clock: ManualClock) -> None:
    for uid, sync in (("1", "letter"), ("2", "rare"), ("3", "letter"), ("4", "letter")):
        _ended(store, uid, sync=sync)
    clock.advance(1)
    with store.transaction() as unit:
        unit.runs.thin(before=clock.now(), beyond=0, most=10)

    assert _uids(store) == ["1", "2"]


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": {"changed": 1}},
        {"plan": "plan-1"},
        {"errors": ["crm: no answer"]},
        {"waiting": 3},
        {"issues": 1},
        {"head": "another"},
        {"state": "failed"},
        {"undoes": "first"},
    ],
)
def test_an_old_run_that_has_something_to_tell_is_kept(store: Store, clock: ManualClock, told: dict[str, Any]) -> None:
    _ended(store, "first")
    _ended(store, "news", **told)
    _ended(store, "last", head=told.get("head", "h"))
    clock.advance(1)
    with store.transaction() as unit:
        unit.runs.begin("never ended", ["letter"])
    clock.advance(1)
    with store.transaction() as unit:
        unit.runs.thin(before=clock.now(), beyond=0, most=10)

    assert _uids(store) == ["first", "news", "never ended"]
