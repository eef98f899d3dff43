"""The time that several processes share."""

from datetime import timedelta
from pathlib import Path

from benchmarks.clock import START, SharedClock


def test_what_one_sleeps_the_other_sees_and_only_the_sleeper_counts(tmp_path: Path) -> None:
    one, other = SharedClock(tmp_path / "clock"), SharedClock(tmp_path / "clock")
    one.sleep(90)
    other.pass_by(10)
    assert one.now() == other.now() == START + timedelta(seconds=100)
    assert (one.slept, other.slept) == (90, 0)


def test_time_never_goes_back(tmp_path: Path) -> None:
    clock = SharedClock(tmp_path / "clock")
    clock.sleep(5)
    clock.sleep(-3)
    clock.pass_by(-3)
    assert (clock.monotonic(), clock.slept) == (5, 5)
