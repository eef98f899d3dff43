"""Issues: one for each matter, counted up, closed with a reason."""

from dataclasses import replace
from datetime import timedelta

from optsync.clock import ManualClock
from optsync.model.change import ChangeState
from optsync.state.changes import Settled
from optsync.state.issues import NewIssue
from optsync.state.store import Store
from tests.state.rows import change

FLIP = NewIssue(
    kind="refused_opt_in", message="m", sync="letter", system="mc", collection="list", record="m1", field="acme/news"
)
ABOUT = {"sync": "letter", "system": "mc", "field": "acme/news"}


def test_the_same_record_number_in_another_collection_is_another_matter(store: Store) -> None:
    with store.transaction() as unit:
        assert unit.issues.open(FLIP, run="r")
        assert unit.issues.open(replace(FLIP, collection="other"), run="r")
        unit.issues.resolve(
            kind="refused_opt_in", system="mc", collection="other", records=["m1"], reason="can be read again"
        )

        assert [i.collection for i in unit.issues.list()] == ["list"]
        assert [i.reason for i in unit.issues.list(state="resolved")] == ["can be read again"]


def test_an_issue_says_when_its_matter_was_last_met_and_keeps_who_dismissed_it(
    store: Store, clock: ManualClock
) -> None:
    with store.transaction() as unit:
        unit.issues.open(FLIP, run="r")
        (first,) = unit.issues.list()
        unit.issues.dismiss(first.id, actor="Eve")
        clock.advance(60)
        assert not unit.issues.open(replace(FLIP, message="again", values={"n": 2}), run="r2", is_news=True)

        (known,) = unit.issues.list(state="dismissed")
        assert (known.count, known.message, known.run) == (2, "again", "r2")
        assert known.last_at - known.opened_at == timedelta(minutes=1)
        assert (known.values["n"], known.values["dismissed_by"]) == (2, "Eve")


def test_a_matter_that_is_part_of_another_issue_is_kept_and_closed(store: Store) -> None:
    with store.transaction() as unit:
        unit.issues.open(FLIP, run="r")
        unit.issues.count_under([FLIP, replace(FLIP, record="m2")], run="r2", reason="part of issue 7")

        found = unit.issues.list(state=None)
        assert [(i.record, i.count, i.state, i.reason) for i in found] == [
            ("m1", 2, "resolved", "part of issue 7"),
            ("m2", 1, "resolved", "part of issue 7"),
        ]
        unit.issues.count_under([FLIP], run="r3", reason="part of issue 8")
        assert unit.issues.latest([FLIP.subject])[FLIP.subject].count == 3


def test_many_are_opened_as_one_is(store: Store) -> None:
    with store.transaction() as unit:
        unit.issues.open(FLIP, run="r")
        other = replace(FLIP, record="m2")
        assert unit.issues.open_all([FLIP, other, other], run="r2") == 1
        assert unit.issues.open_all([], run="r2") == 0
        found = [(i.record, i.count, i.run) for i in unit.issues.list()]
        assert found == [("m1", 2, "r"), ("m2", 2, "r2")]
        unit.issues.open_all([other, FLIP], run="r3", is_news=True)
        assert [(i.count, i.run) for i in unit.issues.list()] == [(3, "r3"), (3, "r3")]


def test_a_dismissed_matter_stays_so_as_part_of_another_issue(store: Store) -> None:
    with store.transaction() as unit:
        unit.issues.open(FLIP, run="r")
        unit.issues.dismiss(unit.issues.list()[0].id, actor="Eve")
        unit.issues.count_under([FLIP], run="r2", reason="part of issue 7")

        assert [(i.state, i.count) for i in unit.issues.list(state=None)] == [("dismissed", 2)]


def test_the_single_issues_of_a_system_are_absorbed_by_one_about_all_of_them(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        unit.issues.open(FLIP, run="r")
        clock.advance(3600)
        for record in ("m2", "m3"):
            unit.issues.open(replace(FLIP, record=record), run="r2")
        unit.issues.open(replace(FLIP, record=None), run="r2")
        now = clock.now()

        assert unit.issues.count_records("refused_opt_in", **ABOUT, since=now) == 2
        assert unit.issues.count_records("refused_opt_in", **ABOUT, since=now - timedelta(days=1)) == 3
        assert unit.issues.count_records("refused_opt_in", **ABOUT, since=now, but=["m2"]) == 1
        unit.issues.absorb("refused_opt_in", **ABOUT, run="r2", reason="part of issue 4")
        assert [i.record for i in unit.issues.list()] == [None]
        assert {i.reason for i in unit.issues.list(state="resolved")} == {"part of issue 4"}


def test_what_is_reviewed_is_open_older_and_of_the_sync(store: Store, clock: ManualClock) -> None:
    with store.transaction() as unit:
        unit.issues.open(FLIP, run="r")
        put_off = replace(FLIP, kind="put_off", blocks="f1", values={"until": clock.now().isoformat()})
        for issue in (put_off, replace(FLIP, record="m2")):
            unit.issues.open(issue, run="r")
            unit.issues.dismiss(unit.issues.list()[-1].id, actor="Eve")
        unit.issues.open(replace(FLIP, sync="other"), run="r")
        clock.advance(1)
        unit.issues.open(replace(FLIP, record="m3"), run="r2")

        reviewed = unit.issues.to_review("letter", before=clock.now())
        assert [(i.kind, i.record) for i in reviewed] == [("refused_opt_in", "m1"), ("put_off", "m1")]
        assert unit.issues.to_review("letter", before=clock.now(), after=reviewed[-1].id) == []
        unit.issues.close_all({i.id: "over" for i in reviewed})
        assert unit.issues.to_review("letter", before=clock.now()) == []
        assert unit.issues.latest([FLIP.subject])[FLIP.subject].reason == "over"


def test_what_was_put_off_blocks_until_its_time_has_come(store: Store, clock: ManualClock) -> None:
    until = (clock.now() + timedelta(hours=1)).isoformat()
    with store.transaction() as unit:
        unit.issues.open(replace(FLIP, kind="put_off", blocks="f1", values={"until": until}), run="r")
        assert unit.issues.blocked("letter").keys() == {"f1"}
        clock.advance(3600)
        assert unit.issues.blocked("letter") == {}


def test_words_of_others_may_hold_any_character(store: Store) -> None:
    with store.transaction() as unit:
        (point,) = unit.points.require(["p1@example.com"]).values()
        unit.changes.plan("r", [change(None, point)])
        (planned,) = unit.changes.of_run("r")
        unit.changes.settle([Settled(id=planned.id, state=ChangeState.REFUSED, message="no\0such\nfield")])
        for _ in range(2):
            unit.issues.open(replace(FLIP, message="no\0such\nfield"), run="r")

        assert unit.changes.of_run("r")[0].message == "no\ufffdsuch\nfield"
        assert [i.message for i in unit.issues.list()] == ["no\ufffdsuch\nfield"]


def test_a_record_of_any_name_is_set_aside_and_can_be_read_again(store: Store) -> None:
    name = "no address at all, but a note of some length; " * 9 + "\0"
    aside = replace(FLIP, kind="quarantined_record", record=name, field=name)
    with store.transaction() as unit:
        assert unit.issues.open(aside, run="r")
        assert not unit.issues.open(aside, run="r2")
        unit.issues.resolve(
            kind="quarantined_record", system="mc", collection="list", records=[name], reason="can be read again"
        )
        assert [(i.record, i.state) for i in unit.issues.list(state=None)] == [(name[:320], "resolved")]
