"""A system's stamps by our clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optsync.reconcile.reading import Jump, Reading

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OFFSETS = st.integers(-7200, 7200).map(lambda seconds: timedelta(seconds=seconds))
AGES = st.integers(0, 90000).map(lambda seconds: timedelta(seconds=seconds))
WRONG = st.integers(-30, 30).map(lambda seconds: timedelta(seconds=seconds))
"""As far as a clock may be off what is known of it."""


@given(before=OFFSETS, after=OFFSETS, said=AGES, set_=AGES, found=AGES, wrong=WRONG, is_known=st.booleans())
@example(
    before=timedelta(0),
    after=timedelta(minutes=-15),
    said=timedelta(hours=1),
    set_=timedelta(0),
    found=timedelta(minutes=60, seconds=-3),
    wrong=timedelta(seconds=30),
    is_known=True,
)
def test_what_restricts_counts_never_before_it_was_said_and_what_permits_never_after(
    before: timedelta,
    after: timedelta,
    said: timedelta,
    set_: timedelta,
    found: timedelta,
    wrong: timedelta,
    is_known: bool,
) -> None:
    """Whenever the clock was set: before it was said, or after; and found to be set after that."""
    said_at, set_at = NOW - said, NOW - max(set_, found)
    stamp = said_at + (before if said_at < set_at else after) + wrong
    jump = Jump(at=NOW - found, before=before, after=after)
    reading = Reading(system="mc", seen_at=NOW, offset=after if is_known else None, jump=jump)

    assert reading.corrected(stamp, permits=True) <= said_at + wrong <= reading.corrected(stamp, permits=False)


@given(before=OFFSETS, after=OFFSETS, permits=st.booleans())
def test_what_only_the_clock_as_it_is_can_have_told_counts_when_it_was_said(
    before: timedelta, after: timedelta, permits: bool
) -> None:
    jump = Jump(at=NOW - timedelta(hours=5), before=before, after=after)
    reading = Reading(system="mc", seen_at=NOW, offset=after, jump=jump)

    assert reading.corrected(NOW + after, permits=permits) == NOW


@pytest.mark.parametrize(("later", "moments"), [(0, 2), (32, 2), (33, 1)])
def test_what_was_told_up_to_the_moment_a_jump_was_found_may_be_of_either_clock(later: int, moments: int) -> None:
    """By a clock that was no more than half a minute ahead."""
    found = NOW - timedelta(hours=5)
    jump = Jump(at=found, before=timedelta(0), after=timedelta(hours=1))
    reading = Reading(system="mc", seen_at=NOW, offset=timedelta(hours=1), jump=jump)
    stamp = found + timedelta(seconds=later)

    may_be = (stamp - timedelta(hours=1), stamp)[:moments]
    assert reading.moments(stamp) == may_be
    assert reading.corrected(stamp, permits=True) == min(may_be)
    assert reading.corrected(stamp, permits=False) == max(may_be)


def test_the_clock_as_it_was_counts_by_what_it_was_off_then() -> None:
    jump = Jump(at=NOW, before=timedelta(minutes=2), after=timedelta(hours=1))
    reading = Reading(system="mc", seen_at=NOW, offset=timedelta(hours=1), jump=jump)

    assert reading.moments(NOW) == (NOW - timedelta(hours=1), NOW - timedelta(minutes=2))
