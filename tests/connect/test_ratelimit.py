from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.clock import ManualClock
from optsync.connect.ratelimit import Pace


def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_burst_goes_out_at_once_and_the_rest_at_the_pace() -> None:
    time = clock()
    pace = Pace(time, per_second=2, burst=3)
    assert [pace.wait() for _ in range(5)] == pytest.approx([0, 0, 0, 0.5, 0.5])


def test_a_rest_gives_the_burst_back_and_no_more() -> None:
    time = clock()
    pace = Pace(time, per_second=2, burst=3)
    for _ in range(6):
        pace.wait()
    time.advance(3600)
    assert [pace.wait() for _ in range(4)] == pytest.approx([0, 0, 0, 0.5])


def test_a_penalty_holds_everything_back_even_what_the_burst_would_allow() -> None:
    time = clock()
    pace = Pace(time, per_second=2, burst=3)
    pace.penalise(10)
    assert pace.wait() == pytest.approx(10)


def test_a_penalty_never_shortens_the_wait() -> None:
    time = clock()
    pace = Pace(time, per_second=1, burst=1)
    pace.penalise(60)
    pace.penalise(1)
    assert pace.wait() == pytest.approx(60)


@given(
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=60),
    per_second=st.sampled_from([0.5, 2.0, 10.0]),
    burst=st.integers(1, 10),
)
def test_no_window_ever_holds_more_than_burst_and_pace_allow(
    pauses: list[float], per_second: float, burst: int
) -> None:
    time = clock()
    pace = Pace(time, per_second=per_second, burst=burst)
    sent: list[float] = []
    for pause in pauses:
        time.advance(pause)
        pace.wait()
        sent.append(time.monotonic())
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            allowed = burst + (sent[last] - sent[first]) * per_second
            assert last - first + 1 <= allowed + 1e-6
