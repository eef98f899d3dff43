"""Simulated worlds hold every rule, replay exactly, and can be shortened and kept."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation import chance, witness
from tests.simulation.bugs import BUGS, planted
from tests.simulation.chance import FAMILY, THEMES, make, theme_of
from tests.simulation.coverage import ENOUGH, ROWS, gaps, table, zeros
from tests.simulation.law import Law, unexercised
from tests.simulation.script import CLASSES, FAULTS, Act, Cycle, Script, dump, load
from tests.simulation.shrink import are_alike, play, play_alike, shrink, trace

KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))
TWICE = range(0, 60, 12)
"""Every so-manieth world is played twice."""


@pytest.mark.parametrize("seed", range(24))
def test_a_world_holds_every_rule(seed: int) -> None:
    ending = play(make(seed))

    assert ending.kind is None, f"{ending.message}\npython -m tests.simulation --show --seed {seed}"


@pytest.mark.parametrize("seed", TWICE)
def test_a_seed_plays_the_same_world_twice(seed: int) -> None:
    assert "\n".join(trace(make(seed))).encode() == "\n".join(trace(make(seed))).encode()


@pytest.mark.parametrize("first", range(0, 400, 9 * FAMILY))
def test_worlds_that_share_their_beginning_end_as_each_of_them_does_alone(first: int) -> None:
    scripts = [make(seed) for seed in range(first, first + FAMILY)]

    assert all(are_alike(scripts[0], script) for script in scripts)
    assert list(play_alike(scripts)) == [play(script) for script in scripts]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_world_that_was_kept_holds_every_rule(path: Path) -> None:
    ending = play(load(path.read_text(encoding="utf-8")))

    assert ending.kind is None, f"{ending.message}\npython -m tests.simulation --replay {path}"


def test_a_script_is_the_same_after_it_was_kept_as_a_file() -> None:
    for seed in range(200):
        assert load(dump(make(seed))) == make(seed)


def test_the_streams_of_a_world_do_not_shift_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network does is drawn apart: in fine weather the same people do the same things, and as many die."""
    found = [seed for seed in range(0, 200, FAMILY) if theme_of(seed) == "all"]
    rough = [make(seed) for seed in found]
    calm = replace(THEMES["all"], weather=tuple(0.0 for _ in THEMES["all"].weather))
    monkeypatch.setattr(chance, "THEMES", {**THEMES, "all": calm})
    fine = [make(seed) for seed in found]

    assert rough != fine
    for one, other in zip(rough, fine, strict=True):
        assert _without_faults(one) == _without_faults(other)


def _without_faults(script: Script) -> Script:
    steps = (replace(step, faults={}) if isinstance(step, Cycle) else step for step in script.steps)
    return replace(script, steps=tuple(steps))


def test_the_witness_knows_nothing_of_how_the_engine_decides() -> None:
    of_witness = ("witness", "readings", "testimony", "ticks", "terms", "words", "messages")
    for name in (*of_witness, "law", "hands", "script", "line"):
        tree = ast.parse((Path(witness.__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
        used = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        used |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not [m for m in used if m.startswith(("optsync.reconcile", "optsync.sync", "optsync.state"))], name


def test_a_failing_world_is_shortened_and_still_fails_in_the_same_way() -> None:
    bug = next(b for b in BUGS if b.name == "echo")
    steps = (
        Cycle(60, faults={30: "drop"}),
        Act("person", "set_field", wait=5),
        Act("person", "unsubscribe", wait=40),
        Act("crm", "set_topic", wait=40),
        Cycle(600, faults={40: "too_many"}),
    )
    script = Script(seed=4, people=2, policy={"existing": "legacy_grant"}, basis="consent", steps=steps)
    with planted(bug):
        assert play(script).kind == Law.NO_ECHO
        short = shrink(script)
        ending = play(short)

    assert ending.kind == Law.NO_ECHO
    assert len(short.steps) < len(script.steps)
    assert not any(step.faults for step in short.steps if isinstance(step, Cycle))
    assert play(short).kind is None
    assert play(replace(script, steps=())).kind is None


def test_the_coverage_names_every_cell_in_which_nothing_happened() -> None:
    cells = {(ROWS[0], CLASSES[0]): 3}

    assert table(cells)[ROWS[0]][CLASSES[0]] == 3
    assert len(zeros(cells)) == len(ROWS) * len(CLASSES) - 1
    assert set(FAULTS.values()) <= set(CLASSES)


def test_an_empty_cell_is_a_failure_once_enough_worlds_were_played() -> None:
    full = {(row, name): 1 for row in ROWS for name in CLASSES}
    most = {cell: count for cell, count in full.items() if cell != (ROWS[0], CLASSES[0])}

    assert gaps(most, ENOUGH) == [f"{ROWS[0]} × {CLASSES[0]}"]
    assert not gaps(most, ENOUGH - 1)
    assert not gaps(full, ENOUGH)


def test_a_law_that_nothing_was_held_against_is_named() -> None:
    counts = {law.value: 1 for law in Law}

    assert unexercised(counts) == []
    assert unexercised(counts | {Law.ONCE.value: 0}) == [Law.ONCE.value]
    assert unexercised({}) == list(counts)
