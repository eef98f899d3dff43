"""No answer of the wrong shape loses an opt-out, raises a status or ends a run with a fault of our own."""

from pathlib import Path

import pytest

from tests.fuzz.answers import Fuzzed

_WORLDS = 120
_KEPT = (40, 113, 151, 161, 10_436, 10_508, 500_114, 502_068)
"""Worlds that once went wrong."""


@pytest.mark.parametrize("seed", sorted({*range(_WORLDS), *_KEPT}))
def test_a_world_survives_answers_of_the_wrong_shape(tmp_path: Path, seed: int) -> None:
    fuzzed = Fuzzed(tmp_path, seed).play()
    assert not fuzzed.wrong, "\n".join([*fuzzed.wrong, "after:", *fuzzed.done])


def test_the_answers_were_really_spoiled(tmp_path: Path) -> None:
    fuzzed = Fuzzed(tmp_path, 1).play()
    assert len(fuzzed.done) >= 3
