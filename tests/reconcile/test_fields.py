"""The three-way merge of one field, as a table of cases and as laws."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.link import Agreed
from optsync.model.record import Side, Value
from optsync.reconcile.fields import Conflict, FieldRule, Verdict, are_equal, merge, reopened
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import Transform, chain, same

Directions = tuple[bool, bool]
Steps = Sequence[tuple[str, Mapping[str, Any]]]
BOTH: Directions = (True, True)
TO_ESP: Directions = (True, False)
TO_CRM: Directions = (False, True)
ONE, FILL = Rule.ONE_SIDE_CHANGED, Rule.FIRST_FILL


def rule(
    directions: Directions = BOTH,
    conflict: Conflict = Conflict.CRM,
    *,
    clears: bool = False,
    steps: Steps | None = None,
) -> FieldRule:
    to_esp, to_crm = directions
    return FieldRule(
        crm="C", esp="E", to_esp=to_esp, to_crm=to_crm, conflict=conflict, clears=clears, transform=chain(steps or [])
    )


def decide(mapped: FieldRule, crm: Value, esp: Value, agreed: Agreed | None, **others: Value) -> Verdict:
    return merge(mapped, {"C": crm, **others}, {"E": esp}, agreed)


CASES = [
    # directions, conflict, clears, agreed, CRM, ESP, (side, value, rule)
    # nothing happened, or only formatting
    (BOTH, "crm", False, "a", "a", "a", (None, None, None)),
    (BOTH, "crm", False, "a", " a ", "a", (None, None, None)),
    (BOTH, "crm", False, "12", 12, "12", (None, None, None)),
    # one side changed
    (BOTH, "crm", False, "a", "b", "a", ("esp", "b", ONE)),
    (BOTH, "crm", False, "a", "a", "b", ("crm", "b", ONE)),
    (TO_ESP, "crm", False, "a", "b", "a", ("esp", "b", ONE)),
    (TO_ESP, "crm", False, "a", "a", "b", (None, None, None)),
    (TO_CRM, "crm", False, "a", "b", "a", (None, None, None)),
    (TO_CRM, "crm", False, "a", "a", "b", ("crm", "b", ONE)),
    # one side became blank
    (BOTH, "crm", False, "a", None, "a", (None, None, None)),
    (BOTH, "crm", False, "a", "a", "", (None, None, None)),
    (BOTH, "crm", True, "a", None, "a", ("esp", None, ONE)),
    (BOTH, "crm", True, "a", "a", "", ("crm", None, ONE)),
    # both changed to the same
    (BOTH, "crm", False, "a", "b", "b ", (None, None, None)),
    (BOTH, "review", False, "a", "b", "b", (None, None, None)),
    # both changed and differ
    (BOTH, "crm", False, "a", "b", "c", ("esp", "b", Rule.CONFLICT_CRM)),
    (BOTH, "esp", False, "a", "b", "c", ("crm", "c", Rule.CONFLICT_ESP)),
    (BOTH, "non_empty", False, "a", "b", "c", ("esp", "b", Rule.CONFLICT_NON_EMPTY)),
    (BOTH, "non_empty", True, "a", None, "c", ("crm", "c", Rule.CONFLICT_NON_EMPTY)),
    (BOTH, "non_empty", True, "a", "b", None, ("esp", "b", Rule.CONFLICT_NON_EMPTY)),
    (BOTH, "crm", False, "a", None, "c", (None, None, None)),
    (BOTH, "crm", True, "a", None, "c", ("esp", None, Rule.CONFLICT_CRM)),
    (BOTH, "esp", False, "a", "b", None, (None, None, None)),
    (BOTH, "esp", True, "a", "b", None, ("crm", None, Rule.CONFLICT_ESP)),
    (TO_ESP, "esp", False, "a", "b", "c", ("esp", "b", ONE)),
    (TO_CRM, "crm", False, "a", "b", "c", ("crm", "c", ONE)),
]


@pytest.mark.parametrize(("directions", "conflict", "clears", "agreed", "crm", "esp", "expected"), CASES)
def test_what_is_copied_where(
    directions: Directions,
    conflict: str,
    clears: bool,
    agreed: Value,
    crm: Value,
    esp: Value,
    expected: tuple[str | None, Value, Rule | None],
) -> None:
    verdict = decide(rule(directions, Conflict(conflict), clears=clears), crm, esp, Agreed(agreed, agreed))

    assert (verdict.target, verdict.value, verdict.rule) == expected
    assert not verdict.is_conflict
    assert verdict.agreed is not None


FIRST = [
    (BOTH, "crm", "a", "a", None, None, None),
    (BOTH, "crm", "a", None, "esp", "a", FILL),
    (BOTH, "crm", None, "b", "crm", "b", FILL),
    (TO_ESP, "crm", None, "b", None, None, None),
    (TO_CRM, "crm", "a", None, None, None, None),
    (BOTH, "crm", "a", "b", "esp", "a", Rule.CONFLICT_CRM),
    (BOTH, "esp", "a", "b", "crm", "b", Rule.CONFLICT_ESP),
    (TO_CRM, "crm", "a", "b", "crm", "b", ONE),
    (BOTH, "crm", None, "", None, None, None),
]


@pytest.mark.parametrize(("directions", "conflict", "crm", "esp", "side", "value", "named"), FIRST)
def test_what_is_copied_when_two_records_are_joined(
    directions: Directions, conflict: str, crm: Value, esp: Value, side: str | None, value: Value, named: Rule | None
) -> None:
    verdict = decide(rule(directions, Conflict(conflict)), crm, esp, None)

    assert (verdict.target, verdict.value, verdict.rule) == (side, value, named)


@pytest.mark.parametrize("agreed", [None, Agreed("a", "a")])
def test_a_conflict_under_review_writes_nothing_and_agrees_on_nothing(agreed: Agreed | None) -> None:
    assert decide(rule(conflict=Conflict.REVIEW), "b", "c", agreed) == Verdict(is_conflict=True)


def test_an_accepted_difference_stays_until_one_side_changes_again() -> None:
    accepted = Agreed("a", "b")

    assert decide(rule(), "a", "b", accepted).target is None
    assert decide(rule(), "a", "c", accepted).target is Side.CRM
    assert decide(rule(), "c", "b", accepted).target is Side.ESP


UPPER: Steps = [("upper", {})]
JOIN: Steps = [("join", {"with": ["LAST"]})]


@pytest.mark.parametrize("directions", [BOTH, TO_CRM])
@pytest.mark.parametrize("conflict", Conflict)
@pytest.mark.parametrize("steps", [UPPER, JOIN, [("default", {"value": "x"})], [("map", {"1": "Y", "2": "Y"})]])
def test_what_cannot_be_taken_back_is_never_written_to_the_crm(
    directions: Directions, conflict: Conflict, steps: Steps
) -> None:
    one_way = rule(directions, conflict, clears=True, steps=steps)

    for crm, esp, agreed in [("a", "Q", Agreed("a", "A")), (None, "Q", None), ("a", "Q", None), ("a", None, None)]:
        assert decide(one_way, crm, esp, agreed).target is not Side.CRM


def test_a_foreign_word_does_not_empty_the_crms_field() -> None:
    words = rule(clears=True, steps=[("boolean", {"true": "Ja", "false": "Nein"})])

    assert decide(words, True, "vielleicht", Agreed(True, "Ja")).target is None
    assert decide(words, True, "Nein", Agreed(True, "Ja")) == Verdict(Side.CRM, False, ONE, Agreed(False, "Nein"))


def test_a_joined_field_follows_the_other_field_it_reads() -> None:
    joined = rule(TO_ESP, steps=JOIN)
    first = decide(joined, "Ada", None, None, LAST="Byron")
    assert (first.target, first.value) == (Side.ESP, "Ada Byron")

    assert decide(joined, "Ada", "Ada Byron", first.agreed, LAST="Byron").target is None
    assert decide(joined, "Ada", "Ada Byron", first.agreed, LAST="King").value == "Ada King"


def test_a_joined_value_that_the_vendor_cut_or_dropped_is_not_sent_again_until_it_changes() -> None:
    joined = rule(TO_ESP, steps=JOIN)
    remembered = joined.remembered({"C": "Ada", "LAST": "Byron"})

    for kept in ("Ada By", None, "something else"):
        assert decide(joined, "Ada", kept, Agreed(remembered, kept), LAST="Byron").target is None
        assert decide(joined, "Ada", kept, Agreed(remembered, kept), LAST="King").target is Side.ESP


def test_an_edit_of_a_one_way_fields_target_stays_until_its_source_changes() -> None:
    upper = rule(TO_ESP, steps=UPPER)
    edited = decide(upper, "ada", "Ada!", Agreed("ada", "ADA"))
    assert edited == Verdict(agreed=Agreed("ada", "Ada!"))

    assert decide(upper, "ada", "Ada!", edited.agreed).target is None
    assert decide(upper, "eva", "Ada!", edited.agreed).value == "EVA"


words: st.SearchStrategy[Value] = st.sampled_from([None, "", " a ", "a", "b", "ß", 12, "12", True, False, ("x", "y")])
transforms = st.sampled_from(
    [
        [],
        [("map", {"a": "Gold", "b": "Silver"})],
        [("map", {"a": "Gold", "b": "Gold"})],
        [("boolean", {})],
        [("date", {"esp": "%d.%m.%Y"})],
        [("phone_e164", {"country": "DE"})],
        UPPER,
        JOIN,
        [("default", {"value": "de"}), ("upper", {})],
        [("split_name", {"part": "last"})],
    ]
)
rules = st.builds(
    lambda directions, conflict, clears, steps: rule(directions, conflict, clears=clears, steps=steps),
    st.sampled_from([BOTH, TO_ESP, TO_CRM]),
    st.sampled_from(Conflict),
    st.booleans(),
    transforms,
)
agreements = st.one_of(st.none(), st.builds(Agreed, words, words))


@given(rules, words, words, agreements, words)
def test_after_a_verdict_is_carried_out_the_next_merge_writes_nothing(
    mapped: FieldRule, crm: Value, esp: Value, agreed: Agreed | None, other: Value
) -> None:
    verdict = decide(mapped, crm, esp, agreed, LAST=other)
    if verdict.target is Side.CRM:
        crm = verdict.value
    elif verdict.target is Side.ESP:
        esp = verdict.value
    following = decide(mapped, crm, esp, agreed if verdict.is_conflict else verdict.agreed, LAST=other)

    assert following.target is None
    assert following.is_conflict == verdict.is_conflict


@given(rules, words, words, agreements)
def test_a_verdict_keeps_to_the_directions_and_never_writes_a_blank_unasked(
    mapped: FieldRule, crm: Value, esp: Value, agreed: Agreed | None
) -> None:
    verdict = decide(mapped, crm, esp, agreed)

    if verdict.target is Side.CRM:
        assert mapped.to_crm
    if verdict.target is Side.ESP:
        assert mapped.to_esp
    if verdict.target and verdict.value is None:
        assert mapped.clears
    if verdict.is_conflict:
        assert mapped.conflict is Conflict.REVIEW


@given(rules, words, words)
def test_a_write_always_changes_something(mapped: FieldRule, crm: Value, esp: Value) -> None:
    verdict = decide(mapped, crm, esp, None)

    if verdict.target is Side.ESP:
        assert not same(verdict.value, esp)
    assert not (verdict.target and are_equal(mapped, {"C": crm}, {"E": esp}))


# reopening


@pytest.mark.parametrize(
    ("crm", "esp"),
    [("b", "a"), ("", "a"), ("b", ""), ("?", "a"), ("b", "?")],
)
@pytest.mark.parametrize("target", list(Side))
def test_a_difference_that_was_accepted_is_decided_once_more_in_the_same_direction(
    crm: str, esp: str, target: Side
) -> None:
    rule = FieldRule(crm="NAME", esp="FNAME", clears=True)
    both = ({"NAME": crm}, {"FNAME": esp})
    agreed = reopened(rule, *both, target)
    verdict = merge(rule, *both, agreed)

    assert merge(rule, *both, Agreed(crm, esp)).target is None
    assert verdict.target is target
    assert (agreed.esp if target is Side.ESP else agreed.crm) == (esp if target is Side.ESP else crm)
    assert (agreed.crm if target is Side.ESP else agreed.esp) in {None, "?"}


def test_where_a_transform_reads_others_its_result_is_remembered() -> None:
    reading = Transform(lambda value, fields: f"{fields['TITLE']} {value}", None, reads_others=True)
    rule = FieldRule(crm="NAME", esp="FNAME", transform=reading)
    values = {"NAME": "Ann", "TITLE": "Dr"}

    assert rule.remembered(values) == "Dr Ann"
    assert FieldRule(crm="NAME", esp="FNAME").remembered(values) == "Ann"


def test_a_difference_that_nobody_changed_stays_as_it_was_agreed() -> None:
    agreed = Agreed("b", "a")

    assert merge(FieldRule(crm="NAME", esp="FNAME"), {"NAME": "b"}, {"FNAME": "a"}, agreed) == Verdict(agreed=agreed)


@pytest.mark.parametrize(
    ("side", "names", "is_read"),
    [
        (Side.CRM, {"CITY"}, True),
        (Side.CRM, {"PLAN"}, False),
        (Side.CRM, set(), False),
        (Side.ESP, {"TOWN"}, True),
        (Side.ESP, {"CITY"}, False),
    ],
)
def test_a_rule_reads_its_own_fields(side: Side, names: set[str], is_read: bool) -> None:
    assert FieldRule(crm="CITY", esp="TOWN").reads(side, names) is is_read


def test_a_rule_reads_only_what_it_copies_from() -> None:
    assert not FieldRule(crm="CITY", esp="TOWN", to_esp=False).reads(Side.CRM, {"CITY"})
    assert not FieldRule(crm="CITY", esp="TOWN", to_crm=False).reads(Side.ESP, {"TOWN"})


def test_a_rule_that_joins_fields_may_read_any() -> None:
    joins = FieldRule(crm="NAME", esp="FULL", to_crm=False, transform=chain([("join", {"with": ["LAST_NAME"]})]))

    assert joins.reads(Side.CRM, {"LAST_NAME"})
    assert not joins.reads(Side.CRM, set())
    assert not joins.reads(Side.ESP, {"FULL"})
