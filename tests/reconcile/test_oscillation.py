"""A value that two systems keep taking back from each other is frozen."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Side, Value
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.oscillation import is_oscillating, moved
from optsync.reconcile.plan import decide
from optsync.reconcile.transforms import chain
from optsync.reconcile.view import Decision, Neighbourhood, Question
from tests.reconcile.places import NOW, around, carried_out, contact, grant, member, policy

RULE = FieldRule(crm="NAME", esp="FNAME")


class Cycles:
    """Two joined records that agree on "Ada"; every cycle carries out what it decides, ``step`` later."""

    def __init__(self, rule: FieldRule = RULE, *, step: timedelta = timedelta(minutes=5)) -> None:
        self.rule = rule
        self.step = step
        self.around: Neighbourhood = around(
            contact(1, fields={"NAME": "Ada", "IN": True}),
            member(2, fields={"FNAME": "Ada"}),
            said={1: [grant(system="crm")]},
            links=[Link(crm=1, esp=2, agreed={rule.key: Agreed("Ada", "Ada")})],
        )
        self.questions: list[Question] = []

    def type(self, side: Side, value: Value) -> None:
        """Somebody, or something, sets the field on one side."""
        name, records = ("NAME", self.around.crm) if side is Side.CRM else ("FNAME", self.around.esp)
        seen = records[0]
        changed = replace(seen, record=replace(seen.record, fields={**seen.record.fields, name: value}))
        crm = (changed,) if side is Side.CRM else self.around.crm
        esp = (changed,) if side is Side.ESP else self.around.esp
        self.around = replace(self.around, crm=crm, esp=esp)

    def decide(self) -> Decision:
        self.around = replace(self.around, now=self.around.now + self.step)
        return decide([1], self.around, policy(fields=(self.rule,)))

    def run(self) -> int:
        """One cycle; returns the number of writes."""
        decision = self.decide()
        self.questions += decision.questions
        self.around = carried_out(self.around, decision.intents, decision.settled)
        return len(decision.intents)

    def bounce(self, times: int) -> list[int]:
        """The ESP insists on "ADA" and the CRM on "Ada"."""
        writes = []
        for number in range(times):
            self.type(*((Side.ESP, "ADA") if number % 2 == 0 else (Side.CRM, "Ada")))
            writes.append(self.run())
        return writes

    @property
    def shown(self) -> tuple[Value, Value]:
        return self.around.crm[0].record.fields["NAME"], self.around.esp[0].record.fields["FNAME"]


def test_the_second_bounce_is_not_copied_and_raises_one_issue() -> None:
    cycles = Cycles()

    assert cycles.bounce(8) == [1, 1, 0, 0, 0, 0, 0, 0]
    assert [(q.kind, q.field, q.values) for q in cycles.questions] == [
        ("oscillation", "NAME", {"crm": "Ada", "esp": "ADA"})
    ]


def test_a_frozen_value_thaws_when_both_sides_show_the_same() -> None:
    cycles = Cycles()
    cycles.bounce(3)
    cycles.type(Side.CRM, "ADA")
    assert cycles.run() == 0

    cycles.type(Side.CRM, "Ada Byron")
    assert cycles.run() == 1
    assert cycles.shown == ("Ada Byron", "Ada Byron")


def test_after_a_thaw_bounces_are_counted_from_the_start() -> None:
    cycles = Cycles()
    cycles.bounce(3)
    cycles.type(Side.ESP, "Ada")
    cycles.run()

    assert cycles.bounce(4) == [1, 1, 0, 0]


def test_a_person_who_changes_their_mind_on_one_side_is_followed_every_time() -> None:
    cycles = Cycles()

    for value in ["Eva", "Ada"] * 5:
        cycles.type(Side.CRM, value)
        assert cycles.run() == 1
    assert cycles.questions == []


def test_new_values_from_alternating_sides_are_no_bounces() -> None:
    cycles = Cycles()

    for number in range(10):
        cycles.type(Side.CRM if number % 2 else Side.ESP, f"Ada {number}")
        assert cycles.run() == 1


def test_what_is_taken_back_after_more_than_a_week_is_no_bounce() -> None:
    cycles = Cycles(step=timedelta(days=8))

    assert cycles.bounce(8) == [1] * 8


def test_a_copy_that_fails_and_is_decided_again_is_not_counted_twice() -> None:
    cycles = Cycles()
    cycles.bounce(2)
    cycles.type(Side.ESP, "Ada B.")
    for _ in range(5):
        decision = cycles.decide()
        assert len(decision.intents) == 1
        cycles.around = carried_out(cycles.around, (), decision.settled)


def test_a_bounce_is_seen_through_a_transform() -> None:
    cycles = Cycles(FieldRule(crm="NAME", esp="FNAME", transform=chain([("map", {"45": "Gold", "46": "Silver"})])))
    writes = []
    for side, value in [(Side.CRM, "45"), (Side.ESP, "Silver"), (Side.CRM, "45"), (Side.ESP, "Silver")]:
        cycles.type(side, value)
        writes.append(cycles.run())

    assert writes == [1, 1, 1, 0]
    assert cycles.questions[0].kind == "oscillation"


def test_a_frozen_field_does_not_hold_back_the_others() -> None:
    cycles = Cycles()
    cycles.bounce(3)
    both = policy(fields=(RULE, FieldRule(crm="CITY", esp="TOWN")))
    seen = cycles.around.crm[0]
    cycles.around = replace(
        cycles.around, crm=(replace(seen, record=replace(seen.record, fields={**seen.record.fields, "CITY": "Rome"})),)
    )

    assert [dict(i.fields) for i in decide([1], cycles.around, both).intents] == [{"TOWN": "Rome"}]


forms = st.sampled_from(["a", "b", None])


@given(st.lists(st.tuples(st.sampled_from(Side), forms), min_size=1, max_size=12))
def test_only_two_reversals_in_a_row_freeze(copies: list[tuple[Side, Value]]) -> None:
    last: Move | None = None
    value: Value = "start"
    history: list[tuple[Side, Value, Value]] = []
    for number, (target, new) in enumerate(copies):
        history.append((target, value, new))
        last = moved(last, Agreed(value, value), new, target, NOW + timedelta(minutes=number))
        value = new
    distinct = [h for n, h in enumerate(history) if n == 0 or history[n - 1] != h]
    reversals = [a[0] is not b[0] and (a[1], a[2]) == (b[2], b[1]) for a, b in pairwise(distinct)]

    assert last is not None
    assert is_oscillating(last) == (reversals[-2:] == [True, True])


WEEK = timedelta(days=7)
LAST = Move(old="a", new="b", target=Side.ESP, at=NOW, bounces=1)


@pytest.mark.parametrize(
    ("agreed", "new", "target", "later", "expected"),
    [
        # the same copy once more
        ("a", "b", Side.ESP, timedelta(hours=1), LAST),
        ("a ", " b", Side.ESP, WEEK, LAST),
        # taken back on the other side
        ("b", "a", Side.CRM, timedelta(hours=1), 2),
        ("b", "a", Side.CRM, WEEK, 2),
        # anything else begins anew
        ("b", "a", Side.CRM, WEEK + timedelta(seconds=1), 0),
        ("b", "a", Side.ESP, timedelta(hours=1), 0),
        ("b", "c", Side.CRM, timedelta(hours=1), 0),
        ("c", "a", Side.CRM, timedelta(hours=1), 0),
        ("a", "b", Side.CRM, timedelta(hours=1), 0),
        ("a", "c", Side.ESP, timedelta(hours=1), 0),
        ("c", "b", Side.ESP, timedelta(hours=1), 0),
        ("a", "b", Side.ESP, WEEK + timedelta(seconds=1), 0),
        (None, "b", Side.ESP, timedelta(hours=1), 0),
        ("a", None, Side.ESP, timedelta(hours=1), 0),
    ],
)
def test_a_copy_is_the_last_one_again_its_bounce_or_a_new_one(
    agreed: str | None, new: str | None, target: Side, later: timedelta, expected: Move | int
) -> None:
    now = NOW + later
    both = None if agreed is None else Agreed("?", agreed)
    fresh = Move(old=agreed, new=new, target=target, at=now)

    found = moved(LAST, both, new, target, now)
    assert found == (replace(fresh, bounces=expected) if isinstance(expected, int) else expected)
    assert moved(None, both, new, target, now) == fresh
