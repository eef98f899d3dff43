"""How much is too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.change import ChangeKind
from optsync.reconcile.guard import Excess, GuardKind, GuardLimit, excesses, guard_kind, has_shrunk
from optsync.reconcile.plan import priority

LIMIT = GuardLimit(max=50, percent=5, cap=1000)
counts = st.integers(min_value=0, max_value=5000)


@pytest.mark.parametrize(
    ("count", "known", "is_too_much"),
    [
        (50, 10, False),
        (51, 1020, False),
        (51, 1019, True),
        (60, 500, True),
        (60, 5000, False),
        (1000, 10**6, False),
        (1001, 10**6, True),
        (51, 0, True),
    ],
)
def test_a_kind_trips_above_max_and_above_the_share_or_the_cap(count: int, known: int, is_too_much: bool) -> None:
    assert LIMIT.is_exceeded(count, known) is is_too_much


@given(counts, counts, counts)
def test_more_changes_never_pass_where_fewer_are_held(count: int, more: int, known: int) -> None:
    assert LIMIT.is_exceeded(count, known) <= LIMIT.is_exceeded(count + more, known)


@given(counts, counts, counts)
def test_more_known_records_never_hold_what_passes_among_fewer(count: int, known: int, more: int) -> None:
    assert LIMIT.is_exceeded(count, known) >= LIMIT.is_exceeded(count, known + more)


@pytest.mark.parametrize(
    ("kind", "is_restrictive", "counts_as"),
    [
        (ChangeKind.OPT_OUT, True, GuardKind.OPT_OUTS),
        (ChangeKind.TOPIC, True, GuardKind.OPT_OUTS),
        (ChangeKind.TOPIC, False, GuardKind.OPT_INS),
        (ChangeKind.OPT_IN, False, GuardKind.OPT_INS),
        (ChangeKind.REQUEST, False, GuardKind.OPT_INS),
        (ChangeKind.CREATE, False, GuardKind.CREATES),
        (ChangeKind.ARCHIVE, False, GuardKind.ARCHIVES),
        (ChangeKind.FIELD, False, GuardKind.UPDATES),
        (ChangeKind.GRANT, False, GuardKind.UPDATES),
        (ChangeKind.RENAME, False, GuardKind.UPDATES),
        (ChangeKind.BOUNCE, True, GuardKind.UPDATES),
        (ChangeKind.BOUNCE, False, GuardKind.UPDATES),
    ],
)
def test_every_change_counts_as_one_kind(kind: ChangeKind, is_restrictive: bool, counts_as: GuardKind) -> None:
    assert guard_kind(kind, priority(kind, is_restrictive=is_restrictive)) is counts_as


def test_each_system_and_kind_is_judged_by_itself() -> None:
    planned = {("crm", GuardKind.OPT_OUTS): 51, ("mc", GuardKind.OPT_OUTS): 50, ("mc", GuardKind.CREATES): 51}
    limits = dict.fromkeys(GuardKind, LIMIT)

    found = excesses(planned, {"crm": 100, "mc": 100}, limits)
    assert [(e.system, e.kind, e.count, e.known) for e in found] == [
        ("crm", GuardKind.OPT_OUTS, 51, 100),
        ("mc", GuardKind.CREATES, 51, 100),
    ]
    assert [e.system for e in excesses(planned, {"crm": 100}, limits, exempt=[GuardKind.CREATES])] == ["crm"]


def test_the_share_is_taken_of_what_the_system_knows() -> None:
    planned = {("mc", GuardKind.OPT_OUTS): 51}
    limits = dict.fromkeys(GuardKind, LIMIT)

    assert excesses(planned, {"mc": 2_000}, limits) == ()
    assert [e.known for e in excesses(planned, {"mc": 100, "crm": 2_000}, limits)] == [100]


def test_an_excess_names_its_limit_and_a_system_of_which_no_record_is_known_has_none() -> None:
    one = GuardLimit(max=0, percent=100, cap=1)
    limits = {**dict.fromkeys(GuardKind, LIMIT), GuardKind.CREATES: one}

    assert excesses({("mc", GuardKind.CREATES): 1}, {"crm": 100}, limits) == (
        Excess(system="mc", kind=GuardKind.CREATES, count=1, known=0, limit=one),
    )


@pytest.mark.parametrize(
    ("known", "missing", "is_suspicious"),
    [
        (0, 0, False),
        (1, 1, False),
        (2, 2, True),
        (2, 1, False),
        (100, 50, False),
        (100, 51, True),
        (255, 51, False),
        (254, 51, True),
        (10**6, 200_000, False),
    ],
)
def test_a_source_that_shows_none_or_misses_very_many_is_not_believed(
    known: int, missing: int, is_suspicious: bool
) -> None:
    assert has_shrunk(known=known, missing=missing) is is_suspicious
