"""A run that was ended goes on from its file, and comes to what it would have come to in one go."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.simulation import tally as tallying
from tests.simulation.chance import make
from tests.simulation.shrink import Ending, play
from tests.simulation.tally import OtherRun, Tally

SEEDS = range(40, 46)


@cache
def ending(seed: int) -> Ending:
    return play(make(seed))


def added(tally: Tally, *seeds: int) -> Tally:
    for seed in seeds:
        tally.add(seed, ending(seed))
    return tally


def figures(tally: Tally, file: Path) -> dict[str, object]:
    tally.keep(file)
    return {name: found for name, found in json.loads(file.read_text("utf-8")).items() if name != "seconds"}


def test_two_parts_come_to_what_one_run_comes_to(tmp_path: Path) -> None:
    part, whole = tmp_path / "part.json", tmp_path / "whole.json"
    added(Tally(SEEDS), 40, 41, 42, 43).keep(part)

    resumed = Tally.resumed(part, SEEDS)

    assert resumed.done == 4
    assert figures(added(resumed, 44, 45), part) == figures(added(Tally(SEEDS), *SEEDS), whole)


def test_a_broken_rule_stands_until_its_world_was_played_again_and_held(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    broken = replace(ending(41), kind="lost", message="an opt-out was lost")
    tally = added(Tally(SEEDS), 40)
    tally.add(41, broken)
    tally.keep(file)

    resumed = Tally.resumed(file, SEEDS)
    resumed.replayed([(40, ending(40)), (41, broken)])
    assert resumed.broken == {41: "an opt-out was lost"}

    resumed.replayed([(40, ending(40)), (41, ending(41))])
    assert (resumed.broken, resumed.held) == ({}, {41: "an opt-out was lost"})


def test_a_run_without_a_file_begins_anew(tmp_path: Path) -> None:
    assert Tally.resumed(tmp_path / "none.json", SEEDS).done == 0


def test_what_another_engine_or_other_seeds_came_to_is_not_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.json"
    added(Tally(SEEDS), 40).keep(file)

    with pytest.raises(OtherRun, match="its seed is 40, not 50"):
        Tally.resumed(file, range(50, 60))
    monkeypatch.setattr(tallying, "_PLAYED", ("src/optsync/model",))
    with pytest.raises(OtherRun, match=r"its engine is [0-9a-f]{16}, not "):
        Tally.resumed(file, SEEDS)
