"""``optsync sync`` killed at fifty random moments on each database; ``make crash`` does it two hundred times."""

from pathlib import Path
from random import Random

import pytest

from tests.crash.kills import Kills
from tests.crash.life import Life
from tests.crash.shared import AROUND_A_WRITE, Phase
from tests.crash.stage import KINDS, people, staged, state_url
from tests.postgresql import require_server

KILLS = 50
PEOPLE = 30


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_doubled_or_contradicted_however_often_it_is_killed(kind: str, tmp_path: Path) -> None:
    if kind == "postgresql":
        require_server()
    with staged(tmp_path, state_url(kind, tmp_path), people(PEOPLE)) as stage:
        kills = Kills(stage, Life(stage, Random("life/1"), PEOPLE), seed=1)
        assert kills.play(KILLS) == [], kills.landed()
    assert kills.killed.total() == KILLS
    assert kills.kept_out <= 2, "each is explained by a doubt, but doubts end with the next look"
    assert all(kills.killed[phase] for phase in (Phase.READING, Phase.DECIDING, Phase.COMMITTING)), kills.landed()
    assert sum(kills.killed[phase] for phase in AROUND_A_WRITE) >= 5, kills.landed()
