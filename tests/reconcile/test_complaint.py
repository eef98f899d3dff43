"""Complaints that a system keeps apart from the status."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.record import Origin, Record, Status
from optsync.model.statement import OUR_CLOCK, Source, StatementKind, Strength, state
from optsync.reconcile.complaint import complaint, is_no_other, with_known
from optsync.reconcile.consent import Wish, standing
from optsync.reconcile.reading import Jump, Reading
from tests.reconcile.places import CRM, ESP, NOW, SCOPE, before, grant
from tests.reconcile.test_detect import OLD, RECENT, crm, esp, kinds, only, read

OUT, COMPLAINT, HARD = StatementKind.OUT, StatementKind.COMPLAINT, StatementKind.HARD_BOUNCE
TOLERANCE = timedelta(minutes=5)
COMPLAINED: dict[str, Any] = {"complained_at": RECENT, "modified_at": RECENT}
BY_COMPLAINT: dict[str, Any] = {**COMPLAINED, "origin": Origin.COMPLAINT}


def test_a_complaint_is_told_at_its_own_time_by_the_systems_clock() -> None:
    fast = Reading(system="mc", seen_at=NOW, offset=timedelta(minutes=3))
    now = esp(Status.OUT, **BY_COMPLAINT, reason="abuse")

    told = complaint(esp(Status.IN), now, SCOPE, fast)
    assert told == state(
        scope=SCOPE,
        kind=COMPLAINT,
        at=RECENT - timedelta(minutes=3),
        clock="mc",
        seen_at=NOW,
        source=Source.SPAM_COMPLAINT,
        is_personal=True,
        reason="abuse",
        system="mc",
        record="m7",
    )
    assert only(read(esp(Status.IN), now, ESP, offset=fast.offset)) == told


def test_a_complaint_that_the_clock_as_it_was_may_have_told_counts_from_the_later_moment() -> None:
    jump = Jump(at=before(5), before=timedelta(0), after=timedelta(hours=1))
    told = complaint(None, esp(Status.OUT, **COMPLAINED), SCOPE, Reading(system="mc", seen_at=NOW, jump=jump))

    assert told is not None
    assert told.at == RECENT


def test_while_a_clock_is_unknown_a_new_complaint_is_dated_now_and_one_at_first_sight_at_its_stamp() -> None:
    unknown, now = Reading(system="mc", seen_at=NOW, offset=None), esp(Status.OUT, **COMPLAINED)
    later, first = complaint(esp(Status.IN), now, SCOPE, unknown), complaint(None, now, SCOPE, unknown)

    assert later is not None
    assert first is not None
    assert (later.at, later.clock) == (NOW, OUR_CLOCK)
    assert (first.at, first.clock) == (RECENT, "mc")


@given(status=st.sampled_from(Status), was=st.none() | st.sampled_from(Status), origin=st.sampled_from(Origin))
def test_whatever_is_shown_since_a_complaint_is_told_and_told_once(
    status: Status, was: Status | None, origin: Origin
) -> None:
    now = esp(status, origin=origin, complained_at=OLD, opted_in_at=RECENT, modified_at=RECENT)
    first = read(esp(was) if was else None, now, ESP)

    assert kinds(first).count(COMPLAINT) == 1
    assert COMPLAINT not in kinds(read(now, replace(now, modified_at=NOW), ESP))


@pytest.mark.parametrize(("was", "is_told"), [(None, True), (OLD, True), (RECENT, False), (NOW, False)])
def test_only_a_later_complaint_is_another_one(was: Any, is_told: bool) -> None:
    found = read(esp(Status.IN, complained_at=was), esp(Status.IN, complained_at=RECENT), ESP)

    assert kinds(found) == [COMPLAINT] * is_told


@given(status=st.sampled_from(Status), minutes=st.integers(0, 600))
def test_what_an_administrator_granted_since_stands_however_often_a_complaint_is_read_anew(
    status: Status, minutes: int
) -> None:
    first = complaint(None, esp(Status.OUT, **BY_COMPLAINT), SCOPE, Reading(system="mc", seen_at=RECENT))
    later = Reading(system="mc", seen_at=NOW + timedelta(minutes=minutes))
    again = complaint(None, esp(status, complained_at=RECENT, modified_at=NOW), SCOPE, later)

    assert first is not None
    assert again is not None
    assert again.uid == first.uid
    let_in = grant(20, strength=Strength.ADMINISTRATOR)
    assert standing([first, again, let_in], SCOPE, tolerance=TOLERANCE).wish is Wish.IN


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (esp(Status.IN), esp(Status.OUT, **BY_COMPLAINT), [COMPLAINT]),
        (esp(Status.IN), esp(Status.OUT, **{**BY_COMPLAINT, "modified_at": before(29)}), [COMPLAINT, OUT]),
        (esp(Status.IN), esp(Status.OUT, **{**BY_COMPLAINT, "modified_at": OLD}), [COMPLAINT]),
        (esp(Status.IN), esp(Status.OUT, **{**COMPLAINED, "modified_at": OLD}), [COMPLAINT, OUT]),
        (esp(Status.OUT, origin=Origin.ADMIN), esp(Status.OUT, **BY_COMPLAINT), [COMPLAINT]),
        (esp(Status.IN, **COMPLAINED), esp(Status.OUT, **{**BY_COMPLAINT, "modified_at": NOW}), [OUT]),
        (esp(Status.IN), esp(Status.BOUNCED, **{**BY_COMPLAINT, "modified_at": NOW}), [COMPLAINT]),
        (esp(Status.BOUNCED), esp(Status.BOUNCED, **BY_COMPLAINT), [COMPLAINT]),
        (esp(Status.OUT, **BY_COMPLAINT), esp(Status.BOUNCED, **{**BY_COMPLAINT, "modified_at": NOW}), [HARD]),
        (esp(Status.IN, modified_at=NOW), esp(Status.BOUNCED, **BY_COMPLAINT), [COMPLAINT, HARD]),
        (None, esp(Status.BOUNCED, **COMPLAINED), [COMPLAINT, HARD]),
        (None, esp(Status.ARCHIVED, **COMPLAINED), [COMPLAINT]),
    ],
)
def test_an_out_or_a_bounce_that_is_no_other_than_the_complaint_is_not_told_besides(
    was: Record | None, now: Record, expected: list[StatementKind]
) -> None:
    assert kinds(read(was, now, ESP)) == expected


def test_the_reason_of_a_status_that_came_later_is_none_for_the_complaint() -> None:
    found = read(None, esp(Status.IN, complained_at=OLD, reason="came back"), ESP)

    assert only(found).reason is None


def test_flags_tell_of_no_complaint() -> None:
    assert read(None, crm(complained_at=OLD), CRM).said == ()


@pytest.mark.parametrize(
    ("was", "now", "is_later", "is_it"),
    [
        (None, {}, False, True),
        (None, {}, True, False),
        (None, {"status": Status.BOUNCED}, True, True),
        (None, {"origin": Origin.PERSON}, False, False),
        (esp(Status.PENDING), {}, False, True),
        (esp(Status.PENDING, modified_at=RECENT + timedelta(minutes=10)), {}, False, True),
        (esp(Status.PENDING, modified_at=RECENT + timedelta(minutes=10, seconds=1)), {}, False, False),
        (esp(Status.PENDING, modified_at=NOW), {"complained_at": None}, False, True),
    ],
)
def test_an_out_is_the_complaint_unless_something_dates_it_later_or_another_was_shown_since(
    was: Record | None, now: dict[str, Any], is_later: bool, is_it: bool
) -> None:
    shown = replace(esp(Status.OUT, **BY_COMPLAINT), **now)

    assert is_no_other(was, shown, is_later=is_later) is is_it


def test_an_out_after_something_else_was_shown_is_said_beside_the_old_complaint_that_is_told_with_it() -> None:
    asked = esp(Status.PENDING, modified_at=RECENT + timedelta(minutes=30))
    left = replace(asked, status=Status.OUT, origin=Origin.COMPLAINT, complained_at=RECENT)

    assert kinds(read(asked, left, ESP)) == [COMPLAINT, OUT]


def test_an_answer_that_tells_of_no_complaint_takes_none_back() -> None:
    known, answer = esp(Status.OUT, **BY_COMPLAINT), esp(Status.OUT, modified_at=NOW)

    assert with_known(answer, known) == replace(answer, complained_at=RECENT)
    by_self = replace(answer, origin=Origin.PERSON)
    assert with_known(by_self, known) == replace(by_self, complained_at=RECENT, origin=Origin.COMPLAINT)
    by_admin = replace(known, origin=Origin.ADMIN)
    assert with_known(by_self, by_admin) == replace(by_self, complained_at=RECENT), "that is another word"
    for other in ({"status": Status.BOUNCED}, {"opted_in_at": NOW}):
        assert with_known(replace(by_self, **other), known) == replace(by_self, **other, complained_at=RECENT)
    later = replace(answer, complained_at=NOW)
    assert with_known(later, known) == later
    assert with_known(answer, esp(Status.OUT)) == answer
    moved = replace(answer, addresses=("new@example.com",))
    assert with_known(moved, known) == moved, "reports go by address: of that one nothing is known"
