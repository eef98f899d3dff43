"""Simulated worlds hold the rules, replay exactly, and can fail."""

from typing import Any

import pytest

from optsync.reconcile import detect
from tests.simulation.script import make
from tests.simulation.shrink import trace, wrong


@pytest.mark.parametrize("seed", range(6))
def test_a_world_holds_every_rule(seed: int) -> None:
    assert wrong(make(seed)) is None, f"python -m tests.simulation --show --seed {seed}"


def test_a_seed_plays_the_same_world_twice() -> None:
    assert trace(make(7)) == trace(make(7))


def test_an_engine_that_overhears_opt_outs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def say_nothing(_: Any) -> None:
        """The planted bug."""

    monkeypatch.setattr(detect._Teller, "_say_out", say_nothing)
    found = next(message for seed in range(40) if (message := wrong(make(seed))))

    assert "said no" in found
