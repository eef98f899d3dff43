"""A whole address book: the first sync settles it, and afterwards exactly what people change travels."""

import random
from pathlib import Path

import pytest

from optsync.sync.word import Word
from optsync_mock.population import people
from tests.scenarios import hundredth
from tests.scenarios.world import START, World

pytestmark = pytest.mark.rule("nothing to do, nothing written")

_MOST_CYCLES = 6


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_after_the_first_sync_exactly_what_changes_travels(count: int, tmp_path: Path) -> None:
    world = World(tmp_path, people(1, count, START))
    _settle_first(world)
    written = world.writes()
    again = world.sync().syncs["newsletter"]
    assert (again.changes, again.outcome["changed"], world.writes() - written) == ([], 0, 0)

    planned = hundredth.deeds(world, people(1, count, START), random.Random(7))
    hundredth.do(world, planned)
    assert {line.partition(":")[0] for line in hundredth.missing(world, planned)} == {deed.email for deed in planned}
    report = world.sync().syncs["newsletter"]
    assert list(hundredth.missing(world, planned)) == []
    assert {change.email for change in report.changes} == {deed.email for deed in planned}
    assert {change.kind for change in report.changes} <= {"opt_out", "topic", "field"}
    world.settle()


def _settle_first(world: World) -> None:
    """The first sync; with thousands of writes the vendor's run time leaves ordinary ones to later cycles."""
    for _ in range(_MOST_CYCLES):
        report = world.sync(word=Word(actor="somebody", approves_first=True))
        assert report.syncs["newsletter"].failures == []
        with world.store.reading() as unit:
            if unit.points.count_waiting("newsletter") == 0 and not unit.changes.is_any_ready("newsletter"):
                return
    pytest.fail(f"the first sync was not through after {_MOST_CYCLES} cycles")
