"""What went wrong in a world, and the shortest script in which it still does: delta debugging on the steps."""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from tests.simulation.law import Violation
from tests.simulation.play import Player
from tests.simulation.saved import Saved
from tests.simulation.script import Act, Cycle, Script, Step


@dataclass(frozen=True, slots=True)
class Ending:
    """``kind`` is the law that was broken, or the error and its place; None if all held."""

    kind: str | None
    message: str = ""
    cycles: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[str, str], int] = field(default_factory=dict)


def play(script: Script) -> Ending:
    """Plays a world to its end."""
    return _played(Player(script))


def play_alike(scripts: Sequence[Script]) -> Iterator[Ending]:
    """Plays worlds that differ in nothing but their steps: those that all begin with are played once."""
    alike = sum(1 for _ in takewhile(_are_equal, zip(*(script.steps for script in scripts), strict=False)))
    player = Player(scripts[0])
    begun = _played(player, slice(alike), is_whole=False)
    if begun.kind:
        yield from map(play, scripts)
        return
    saved = Saved(player)
    for number, script in enumerate(scripts):
        player = saved.again() if number else player
        player.script = script
        yield _played(player, slice(alike, None))


def _are_equal(steps: Sequence[Step]) -> bool:
    return all(step == steps[0] for step in steps)


def are_alike(one: Script, other: Script) -> bool:
    """Whether the two worlds are the same but for what happens in them."""
    return replace(one, steps=()) == replace(other, steps=())


def _played(player: Player, steps: slice = slice(None), *, is_whole: bool = True) -> Ending:
    """What came of these steps; ``is_whole``: they lead to the end of the world."""
    kind, message = None, ""
    try:
        player.play(steps, is_whole=is_whole)
    except Violation as violation:
        kind, message = violation.law.value, str(violation)
    except Exception as error:  # noqa: BLE001 - anything that ends a world is a finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
        message = f"{kind}: {error}"
    return Ending(kind, message, player.cycles, dict(player.counts), dict(player.coverage.cells))


def shrink(script: Script) -> Script:
    """Leaves out steps, then acts and faults inside them, then what is unusual about the world, as long as it still
    ends in the same kind of trouble."""
    kind = play(script).kind
    if kind is None:
        return script
    shorter = True
    while shorter:
        shorter = False
        for candidate in _shorter(script):
            if play(candidate).kind == kind:
                script, shorter = candidate, True
                break
    return script


def _shorter(script: Script) -> Iterator[Script]:
    """Scripts with one thing less, the largest things first."""
    steps = script.steps
    size = len(steps) // 2
    while size >= 1:
        for start in reversed(range(0, len(steps), size)):
            yield replace(script, steps=(*steps[:start], *steps[start + size :]))
        size //= 2
    for place, step in enumerate(steps):
        for simpler in _simpler(step):
            yield replace(script, steps=(*steps[:place], simpler, *steps[place + 1 :]))
    plain = {"page": 1000, "guard": 50, "handled": False, "crm_ahead": 0, "esp_ahead": 0}
    for name, value in plain.items():
        if getattr(script, name) != value:
            yield replace(script, **{name: value})  # type: ignore[arg-type]
    for name in script.policy:
        yield replace(script, policy={k: v for k, v in script.policy.items() if k != name})


def _simpler(step: Step) -> Iterator[Step]:
    if isinstance(step, Act):
        if step.late:
            yield replace(step, late=0)
        return
    for name in ("faults", "commits"):
        happens = getattr(step, name)
        for number in happens:
            yield _with(step, name, {n: kind for n, kind in happens.items() if n != number})
    if step.kill:
        yield replace(step, kill=None)
    if step.word:
        yield replace(step, word="")
    for number, inner in step.meanwhile.items():
        for fewer in _fewer(inner):
            rest = {n: s for n, s in step.meanwhile.items() if n != number}
            yield replace(step, meanwhile={**rest, number: fewer} if fewer else rest)
    if step.is_full:
        yield replace(step, is_full=False)


def _with(step: Cycle, name: str, value: dict[int, str]) -> Cycle:
    return replace(step, faults=value) if name == "faults" else replace(step, commits=value)


def _fewer(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    for place in range(len(steps)):
        yield (*steps[:place], *steps[place + 1 :])


def trace(script: Script) -> list[str]:
    """Everything that happened in the world, to the bitter end."""
    player = Player(script)
    try:
        player.play()
    except Exception as error:  # noqa: BLE001 - it is part of the story
        player.trace.append(f"{type(error).__name__}: {error}")
    return player.trace
