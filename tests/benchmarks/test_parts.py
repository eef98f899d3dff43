"""What the processor is used for."""

import time

import pytest
from benchmarks.parts import Parts, table

from optsync.model.contact_point import normalise


@pytest.fixture
def parts() -> Parts:
    return Parts()


def _spend(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        normalise("Ann.Lée@Example.com")


def test_time_is_counted_for_the_innermost_part_that_is_known(parts: Parts) -> None:
    parts.begin()
    _spend(0.3)
    parts.end()
    found = parts.of(2.0)
    assert sum(found.values()) == pytest.approx(2.0)
    assert found["rules"] > found.get("else", 0.0), "what the address is made of belongs to whoever asked for it"


def test_nothing_is_counted_before_or_after(parts: Parts) -> None:
    _spend(0.05)
    parts.begin()
    parts.end()
    _spend(0.05)
    assert parts.of(1.0) == {}


def test_the_table_shows_what_a_record_costs() -> None:
    phase = {"phase": "first sync", "records": 1000, "changes": 10, "parts_s": {"SQL": 0.5}}
    shown = table([phase, {"phase": "no change", "records": 0, "changes": 0, "parts_s": {}}])
    assert [list(column.cells) for column in shown.columns[:3]] == [["first sync"], ["500"], ["0"]]
    assert "SQL 100%" in str(shown.caption)
