"""The simulation can fail: it finds bugs that are planted in the engine, each within a stated number of worlds."""

import pytest

from tests.simulation.bugs import BUGS, Bug, find
from tests.simulation.chance import make, seeds
from tests.simulation.shrink import play


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = find(bug, start=bug.start, worlds=bug.within)

    assert found is not None, f"{bug.says}: not found in {bug.within} worlds"
    clean = play(make(found[1]))
    assert clean.kind is None, f"the engine breaks a law without the bug, too: {clean.message}"


def test_there_are_enough_of_them_and_each_is_of_its_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 14
    assert all(next(seeds(bug.theme, bug.start)) >= bug.start for bug in BUGS)
