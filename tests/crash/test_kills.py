"""``optsync sync`` killed at fifty random moments on each database; ``make crash`` does it two hundred times."""

from pathlib import Path

import pytest

from tests.crash.kills import Kills
from tests.crash.shared import Phase
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
        kills = Kills(stage, seed=1, people=PEOPLE)
        assert kills.play(KILLS) == [], kills.landed()
    assert kills.killed.total() == KILLS
    assert kills.kept_out <= 2
    never = [phase for phase in Phase if not kills.killed[phase] and phase is not Phase.STARTING]
    assert never == [], kills.landed()
