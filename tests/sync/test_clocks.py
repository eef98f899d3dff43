"""A system's times are corrected by one steady offset, so that they compare as on its own clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from optsync.clock import ManualClock
from optsync.reconcile.reading import Jump
from optsync.state.store import Store
from optsync.sync.clocks import settled_offset, was_set_back

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([None], [None]),
        ([0.4, -0.9, 12.0, None], [0, 0, 0, 0]),
        ([125.4, 124.6, 110.0, None], [125, 125, 125, 125]),
        ([0.2, 600.3, 600.9], [0, None, 600]),
        ([600.3, 0.2, 0.4], [600, None, 0]),
        ([2.0**70, -1e12, 0.2], [None, None, 0]),
        ([125.4, 1.7e12, 124.6], [125, 125, 125]),
    ],
    ids=["unknown", "jitter", "a clock that is ahead", "a jump", "a clock put right", "no clock", "no clock's jump"],
)
def test_the_offset_is_steady_until_the_clock_moves(
    measured: Sequence[float | None], expected: Sequence[int | None]
) -> None:
    found = [offset for offset, _ in _settled(measured)]

    assert found == [None if n is None else timedelta(seconds=n) for n in expected]


def test_the_last_jump_is_remembered_with_the_moment_at_which_it_was_found() -> None:
    found = [jump for _, jump in _settled([None, 0.2, 600.3, 600.9, None, 90.0])]
    first = Jump(at=START + timedelta(minutes=2), before=timedelta(0), after=timedelta(seconds=600))
    second = Jump(at=START + timedelta(minutes=5), before=timedelta(seconds=600), after=timedelta(seconds=90))

    assert found == [None, None, first, first, first, second]


def test_it_is_remembered_that_a_clock_was_set_back_although_it_was_put_right_since() -> None:
    jumps = [jump for _, jump in _settled([0.2, -3600.0, 0.2, None, 600.0])]
    back, read = START + timedelta(minutes=1), START + timedelta(seconds=30)

    assert [was_set_back(jump, since=read) for jump in jumps] == [False, True, True, True, True]
    assert [was_set_back(jump, since=back) for jump in jumps] == [False] * 5


def _settled(measured: Sequence[float | None]) -> list[tuple[timedelta | None, Jump | None]]:
    """What follows from measurements that are a minute apart."""
    store = Store("sqlite://", ManualClock(START))
    store.migrate()
    with store.transaction() as unit:
        found = [
            settled_offset(unit, "mc", seconds, now=START + timedelta(minutes=n)) for n, seconds in enumerate(measured)
        ]
    store.close()
    return found
