"""A system's times are corrected by one steady offset, so that they compare as on its own clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from optsync.clock import ManualClock
from optsync.state.store import Store
from optsync.sync.clocks import settled_offset


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([None], [None]),
        ([0.4, -0.9, 12.0, None], [0, 0, 0, 0]),
        ([125.4, 124.6, 110.0, None], [125, 125, 125, 125]),
        ([0.2, 600.3, 600.9], [0, None, 600]),
        ([600.3, 0.2, 0.4], [600, None, 0]),
    ],
    ids=["unknown", "jitter", "a clock that is ahead", "a jump", "a clock put right"],
)
def test_the_offset_is_steady_until_the_clock_moves(
    measured: Sequence[float | None], expected: Sequence[int | None]
) -> None:
    store = Store("sqlite://", ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    store.migrate()
    with store.transaction() as unit:
        found = [settled_offset(unit, "mc", seconds) for seconds in measured]
    store.close()

    assert found == [None if n is None else timedelta(seconds=n) for n in expected]
